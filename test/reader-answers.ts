/** Small float models of another tool with its own outputs: what the readers make of them, and their int8 forms. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'uvu'
import * as assert from 'uvu/assert'
import { readFloatModel } from '../src/convert/index.ts'
import { floatModel } from '../src/float/execute.ts'
import { quantizeValues } from '../src/float/values.ts'
import { elements, type Graph } from '../src/graph/graph.ts'
import { loadGraph } from '../src/engine/load-graph.ts'
import { quantizeBlockers } from '../src/quantize/check.ts'
import { quantize } from '../src/quantize/quantize.ts'
import { rng, root } from './util.ts'

const floats = (text: string): Float32Array => new Float32Array(Uint8Array.from(Buffer.from(text, 'base64')).buffer)

/** Signal to noise of the quantized outputs on random inputs, run by the engine; dB. */
async function int8Quality(graph: Graph): Promise<number> {
  const next = rng(5)
  const sample = (): Float32Array[] =>
    graph.inputs.map((t) => Float32Array.from({ length: elements(graph.tensors[t]!.shape) }, () => 2 * next() - 1))
  const { graph: int8 } = quantize(graph, Array.from({ length: 8 }, sample))
  const [float, model] = [floatModel(graph), await loadGraph(int8)]
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
  return signal === 0 ? Infinity : 10 * Math.log10(signal / noise)
}

export interface Expectation {
  /** Largest difference as a share of the largest output: float sums are in another order than the other tool's. */
  tolerance: number
  /** Least signal to noise of int8, dB; by model where it is another. */
  least: number
  harder?: Record<string, number>
}

/** A test for each model of `test/fixtures/FOLDER` (NAME.EXTENSION, answers.json). */
export function testAnswers(test: Test, folder: string, extension: string, e: Expectation): void {
  const at = join(root, 'test/fixtures', folder)
  const { answers } = JSON.parse(readFileSync(join(at, 'answers.json'), 'utf8')) as {
    answers: Record<string, { x: string[]; y: string[] }>
  }
  for (const [name, { x, y }] of Object.entries(answers)) {
    test(`${name}: the other tool's numbers, and an int8 form that runs`, async () => {
      const graph = await readFloatModel(readFileSync(join(at, `${name}.${extension}`)))
      const outputs = floatModel(graph).run(x.map(floats))
      assert.is(outputs.length, y.length)
      y.map(floats).forEach((want, k) => {
        assert.is(outputs[k]!.length, want.length)
        const size = want.reduce((a, b) => Math.max(a, Math.abs(b)), 1e-3)
        want.forEach((w, i) =>
          assert.ok(Math.abs(w - outputs[k]![i]!) <= e.tolerance * size, `${k}[${i}]: ${outputs[k]![i]}, wanted ${w}`),
        )
      })
      assert.equal(quantizeBlockers(graph), [])
      const sqnr = await int8Quality(graph)
      assert.ok(sqnr > (e.harder?.[name] ?? e.least), `${sqnr} dB`)
    })
  }
}
