/**
 * Quantizes the small networks of test/quantized-nets.ts and records LiteRT's answers for the files, so that a clone
 * alone can prove that they are the same: test/fixtures/quantize/NAME.tflite and answers.json, and the same of the
 * int16x8 forms in its folder int16x8.
 *
 *   npx tsx tools/goldens/quantized.ts [int8|int16x8]
 *
 * Needs a Python with ai-edge-litert 2.3.0 and numpy: THIMBLE_PYTHON, else `python3`.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { quantizeBlockers } from '../../src/quantize/check.ts'
import type { SchemeName } from '../../src/quantize/scheme.ts'
import { quantizedAnswers, quantizedFile, quantizedNets, UNSEEN } from '../../test/quantized-nets.ts'

const FOLDER = fileURLToPath(new URL('../../test/fixtures/quantize', import.meta.url))

function record(scheme: SchemeName, folder: string): void {
  mkdirSync(folder, { recursive: true })
  const nets = quantizedNets().filter((net) => quantizeBlockers(net.graph, scheme).length === 0)
  const files = new Map(nets.map((net) => [net, quantizedFile(net, scheme)]))
  for (const [net, { tflite }] of files) writeFileSync(join(folder, `${net.name}.tflite`), tflite)
  const { version, answers } = quantizedAnswers(process.env.THIMBLE_PYTHON ?? 'python3', files)
  writeFileSync(
    join(folder, 'answers.json'),
    `${JSON.stringify(
      {
        litert: version,
        seeds: UNSEEN,
        answers: Object.fromEntries([...answers].map(([name, of]) => [name, of.map((b) => b.toString('base64'))])),
      },
      null,
      1,
    )}\n`,
  )
  console.log(`${scheme}: ${files.size} networks, LiteRT ${version}`)
}

const only = process.argv[2]
if (only !== 'int16x8') record('int8', FOLDER)
if (only !== 'int8') record('int16x8', join(FOLDER, 'int16x8'))
