/**
 * Quantizes the small networks of test/quantized-nets.ts and records LiteRT's answers for the files, so that a clone alone
 * can prove that they are the same: test/fixtures/quantize/NAME.tflite and answers.json.
 *
 *   npx tsx tools/goldens/quantized.ts
 *
 * Needs a Python with ai-edge-litert 2.3.0 and numpy: THIMBLE_PYTHON, else `python3`.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { quantizedAnswers, quantizedFile, quantizedNets, UNSEEN } from '../../test/quantized-nets.ts'

const FOLDER = fileURLToPath(new URL('../../test/fixtures/quantize', import.meta.url))

mkdirSync(FOLDER, { recursive: true })
const files = new Map(quantizedNets().map((net) => [net, quantizedFile(net)]))
for (const [net, { tflite }] of files) writeFileSync(join(FOLDER, `${net.name}.tflite`), tflite)
const { version, answers } = quantizedAnswers(process.env.THIMBLE_PYTHON ?? 'python3', files)
writeFileSync(
  join(FOLDER, 'answers.json'),
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
console.log(`${files.size} networks, LiteRT ${version}`)
