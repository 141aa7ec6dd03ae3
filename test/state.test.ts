/**
 * Models with state: sequences of runs against LiteRT's answers, begun anew by `reset`, in every form that a model
 * takes. The recorded models are those of op-goldens.test.ts.
 */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { arrayType } from '../src/engine/engine.ts'
import { readModel } from '../src/formats/index.ts'
import { writePacked } from '../src/formats/packed-write.ts'
import { loadModel } from '../src/node.ts'
import { packGraph } from '../src/pack/pack.ts'
import { compileModel } from '../src/plan/compile.ts'
import { withPrograms } from '../src/plan/record.ts'
import type { Model, TypedArray } from '../src/graph/types.ts'
import { lines } from './op-cases.ts'
import { equalBytes, errorCode, root } from './util.ts'

interface Sequence {
  note: string
  model: Uint8Array<ArrayBuffer>
  runs: { inputs: string[]; outputs: { data: string }[] }[]
}

const recorded = (kind: string): Sequence[] =>
  lines(`${root}test/goldens/ops/${kind}.jsonl.gz`)
    .map((line) => JSON.parse(line) as Omit<Sequence, 'model'> & { model: string })
    .map((c) => ({ ...c, model: new Uint8Array(Buffer.from(c.model, 'base64')) }))

const FORMS: Record<string, (bytes: Uint8Array<ArrayBuffer>) => Promise<Model>> = {
  tflite: (bytes) => loadModel(bytes),
  thimble: (bytes) => loadModel(writePacked(withPrograms(readModel(bytes)))),
  'thimble without a program': (bytes) => loadModel(writePacked(readModel(bytes)), { variant: 'scalar' }),
  'two threads': (bytes) => loadModel(bytes, { threads: 2 }),
  'packed simd': async (bytes) => loadModel(new WebAssembly.Module((await packGraph(readModel(bytes))).wasm.slice())),
  'packed scalar': async (bytes) =>
    loadModel(new WebAssembly.Module((await packGraph(readModel(bytes), { variant: 'scalar' })).wasm.slice())),
}

function runSequence(model: Model, { runs, note }: Sequence, what: string): void {
  runs.forEach(({ inputs, outputs }, step) => {
    const typed = inputs.map(
      (x, i) => new (arrayType(model.inputs[i]!.dtype))(new Uint8Array(Buffer.from(x, 'base64')).buffer) as TypedArray,
    )
    model
      .run(typed)
      .forEach((o, i) => equalBytes(o, Buffer.from(outputs[i]!.data, 'base64'), `${note}: ${what}, run ${step}, ${i}`))
  })
}

for (const kind of ['VARIABLES', 'LSTM', 'SVDF']) {
  for (const [form, load] of Object.entries(FORMS)) {
    test(`${kind} as ${form}: a sequence, reset, the same again`, async () => {
      for (const sequence of recorded(kind).slice(0, form === 'two threads' ? 1 : 3)) {
        const model = await load(sequence.model)
        runSequence(model, sequence, 'first')
        model.run(model.inputs.map((t) => new (arrayType(t.dtype))(t.shape.reduce((a, b) => a * b, 1)) as TypedArray))
        model.reset()
        runSequence(model, sequence, 'after reset')
        model.dispose()
        assert.is(
          errorCode(() => model.reset()),
          'runtime/disposed',
        )
      }
    })
  }
}

test('state lies outside the arena, and models without state have none', () => {
  for (const { model } of recorded('LSTM')) {
    const graph = readModel(model)
    for (const variant of ['simd', 'scalar'] as const) {
      const program = compileModel(graph, { variant, plan: 'speed' })
      const bytes = graph.tensors.reduce((a, t) => a + (t.initial?.length ?? 0), 0)
      assert.ok(program.stateBytes >= bytes && program.stateBytes < bytes + 16 * 4, `${program.stateBytes}, ${bytes}`)
      assert.ok(program.stateAddress + program.stateBytes <= program.arenaAddress)
      assert.ok(program.header.resetCount! > 0)
    }
  }
  const { model } = recorded('TILE')[0]!
  const plain = compileModel(readModel(model), { variant: 'simd', plan: 'speed' })
  assert.is(plain.stateBytes, 0)
  assert.is(plain.header.resetCount, 0)
})

test('initial state of another size than its tensor is refused', () => {
  const graph = readModel(recorded('VARIABLES')[0]!.model)
  const state = graph.tensors.find((t) => t.initial)!
  state.initial = state.initial!.subarray(1)
  assert.is(
    errorCode(() => writePacked(graph)),
    'format/constant-size',
  )
})

test.run()
