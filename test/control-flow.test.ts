/**
 * Loops and branches that the file decides become ordinary ops (op-goldens.test.ts has them against LiteRT); what the
 * input decides is refused by name, and nothing of it hangs.
 */
import { readFileSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { readTflite } from '../src/formats/tflite.ts'
import { readModel } from '../src/formats/index.ts'
import { writePacked } from '../src/formats/packed-write.ts'
import { writeTflite } from '../src/formats/tflite-write.ts'
import { loadModel } from '../src/node.ts'
import { withPrograms } from '../src/plan/record.ts'
import { opCasesOf, typed } from './op-cases.ts'
import { equalBytes, root } from './util.ts'

const refused = JSON.parse(readFileSync(`${root}test/fixtures/control-flow.json`, 'utf8')) as Record<string, string>
const REASONS: Record<string, RegExp> = {
  counted: /WHILE with a number of steps that the input decides at op 0/,
  endless: /WHILE with no end at op 0/,
  long: /WHILE with loops that become more than 20000 ops at op 0/,
  branches: /IF with GATHER in a branch at op 0/,
}

test('what can not be written out is refused with the reason and what to do', async () => {
  assert.equal(Object.keys(refused), Object.keys(REASONS))
  for (const [name, base64] of Object.entries(refused)) {
    const error = await loadModel(Buffer.from(base64, 'base64')).then(
      () => undefined,
      (e: Error) => e,
    )
    assert.match(error?.message ?? 'no error', REASONS[name]!, name)
    assert.match(error!.message, /the model holds control flow: .*unroll=True/)
  }
})

test('a loop that is written out is a model of ordinary ops in every format', async () => {
  const [c] = opCasesOf(`${root}test/goldens/ops`, /^WHILE$/)
  const bytes = Buffer.from(c!.model, 'base64')
  const graph = readTflite(bytes)
  assert.not.ok(graph.ops.some((op) => op.type === 'UNSUPPORTED'))
  const { inputs, outputs } = c!.runs[0]!
  for (const file of [writePacked(withPrograms(readModel(bytes))), writePacked(graph), writeTflite(graph)]) {
    const model = await loadModel(file)
    const got = model.run(inputs.map((x, i) => typed(Buffer.from(x, 'base64'), model.inputs[i]!.dtype)))
    outputs.forEach((o, i) => equalBytes(got[i]!, Buffer.from(o.data, 'base64'), `output ${i}`))
    model.dispose()
  }
})

test.run()
