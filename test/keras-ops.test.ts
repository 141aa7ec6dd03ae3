/**
 * Keras 3 graphs with operations on tensors (`x / 255`, slices, keras.ops), nested models and normalizations, against
 * Keras' own outputs; and their int8 forms in the engine against float. Fixtures: tools/goldens/keras_ops.py.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { readFloatModel } from '../src/convert/index.ts'
import { floatModel } from '../src/float/execute.ts'
import { quantizeValues } from '../src/float/values.ts'
import { elements } from '../src/graph.ts'
import { loadGraph } from '../src/load-graph.ts'
import { quantizeBlockers } from '../src/quantize/check.ts'
import { quantize } from '../src/quantize/quantize.ts'
import { rng, root } from './util.ts'

const folder = join(root, 'test/fixtures/keras-ops')
const { answers } = JSON.parse(readFileSync(join(folder, 'answers.json'), 'utf8')) as {
  answers: Record<string, { x: string[]; y: string[] }>
}
const floats = (text: string): Float32Array => new Float32Array(Uint8Array.from(Buffer.from(text, 'base64')).buffer)

/** Float sums are in another order than Keras': this share of the largest output. */
const TOLERANCE = 2e-5

/** Least signal to noise of int8, dB, where it is lower than LEAST: functions with poles or of wide range. */
const LEAST = 20
const HARDER: Record<string, number> = { groupnorm: 12, layernorm: 12 }

for (const [name, { x, y }] of Object.entries(answers)) {
  test(`${name}: Keras' own numbers, and an int8 form that runs`, async () => {
    const graph = await readFloatModel(readFileSync(join(folder, `${name}.keras`)))
    const float = floatModel(graph)
    const outputs = float.run(x.map(floats))
    assert.is(outputs.length, y.length)
    y.map(floats).forEach((want, k) => {
      assert.is(outputs[k]!.length, want.length)
      const size = want.reduce((a, b) => Math.max(a, Math.abs(b)), 1e-3)
      want.forEach((w, i) =>
        assert.ok(Math.abs(w - outputs[k]![i]!) <= TOLERANCE * size, `${k}[${i}]: ${outputs[k]![i]}, Keras ${w}`),
      )
    })
    assert.equal(quantizeBlockers(graph), [])
    const next = rng(5)
    const sample = (): Float32Array[] =>
      graph.inputs.map((t) => Float32Array.from({ length: elements(graph.tensors[t]!.shape) }, () => 2 * next() - 1))
    const { graph: int8 } = quantize(graph, Array.from({ length: 8 }, sample))
    const model = await loadGraph(int8)
    let [signal, noise] = [0, 0]
    for (let n = 0; n < 4; n++) {
      const inputs = sample()
      const want = float.run(inputs)
      const got = model.run(inputs.map((v, k) => quantizeValues(v, int8.tensors[int8.inputs[k]!]!) as Int8Array))
      got.forEach((raw, k) => {
        const q = int8.tensors[int8.outputs[k]!]!.quantization
        if (!q) return
        want[k]!.forEach((w, i) => {
          signal += w * w
          noise += (w - q.scales[0]! * (Number(raw[i]) - q.zeroPoints[0]!)) ** 2
        })
      })
    }
    const sqnr = signal === 0 ? Infinity : 10 * Math.log10(signal / noise)
    assert.ok(sqnr > (HARDER[name] ?? LEAST), `${sqnr} dB`)
  })
}

test.run()
