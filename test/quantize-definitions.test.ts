/** Definitions of the quantizer in numbers: fixed grids, what noise costs at the outputs, what a report lists. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { GraphBuilder } from '../src/convert/builder.ts'
import { floatModel } from '../src/float/execute.ts'
import type { Op } from '../src/graph/graph.ts'
import { htmlReport, textReport, type QuantizeReport } from '../src/quantize/report.ts'
import { SCHEMES } from '../src/quantize/scheme.ts'
import { sensitivity } from '../src/quantize/sensitivity.ts'
import { rng } from './util.ts'

test('grids that TFLite fixes: scale and zero point of each op, in both schemes', () => {
  const grid = (scheme: 'int8' | 'int16x8', type: Op['type']) => {
    const q = SCHEMES[scheme].fixedOutput({ type, inputs: [0], outputs: [1], attrs: {} } as unknown as Op)
    return q && [q.scales[0], q.zeroPoints[0]]
  }
  assert.equal(grid('int8', 'SOFTMAX'), [1 / 256, -128])
  assert.equal(grid('int8', 'LOGISTIC'), [1 / 256, -128])
  assert.equal(grid('int8', 'LOG_SOFTMAX'), [1 / 16, 127])
  assert.equal(grid('int8', 'TANH'), [1 / 128, 0])
  assert.equal(grid('int8', 'L2_NORMALIZATION'), [1 / 128, 0])
  for (const type of ['SOFTMAX', 'LOGISTIC', 'TANH'] as const) assert.equal(grid('int16x8', type), [1 / 32768, 0])
  for (const scheme of ['int8', 'int16x8'] as const) assert.is(grid(scheme, 'CONV_2D'), undefined)
})

/** Two outputs of one input, 1x1 convolutions of 4 channels whose weights are from the seed, times `sizes`. */
function twoOutputs(sizes: readonly number[]): { graph: ReturnType<GraphBuilder['finish']>; outputs: number[] } {
  const b = new GraphBuilder()
  const x = b.input('x', [1, 2, 2, 4])
  const r = rng(5)
  const outputs = sizes.map((size, i) => {
    const data = Float32Array.from({ length: 16 }, () => size * (r.int(200) / 100 - 1))
    const bias = new Float32Array(4).fill(0.3 * size)
    return b.conv(`y${i}`, x, { filter: { shape: [4, 1, 1, 4], data }, bias, activation: 'NONE' })
  })
  return { graph: b.finish(outputs), outputs }
}

test('noise on an output costs its positions, over the square of its length where there are several outputs', () => {
  const sample = [Float32Array.from({ length: 16 }, (_, i) => Math.sin(i + 1))]
  const cost = (net: ReturnType<typeof twoOutputs>, i: number): number[] =>
    Array.from(sensitivity(net.graph, [sample], 1).activations.get(net.outputs[i]!)!)
  const near = (got: readonly number[], want: number): void => {
    for (const v of got) assert.ok(Math.abs(v - want) < 1e-4 * want, `${v}, not ${want}`)
  }
  near(cost(twoOutputs([1]), 0), 4)
  for (const sizes of [
    [1, 1],
    [1, 40],
  ]) {
    const net = twoOutputs(sizes)
    const values = floatModel(net.graph).run(sample)
    net.outputs.forEach((_, i) => {
      near(cost(net, i), 4 / values[i]!.reduce((sum, v) => sum + v * v, 0))
    })
  }
})

/** A report on photos whose class changed, and on layers with these names. */
function reportOf(changed: number, names: readonly string[]): QuantizeReport {
  const summary = { inputs: changed, top1: 0, top5: changed, logitSqnr: 20 }
  return {
    model: 'net',
    scheme: 'int8',
    calibration: { photos: 2, inputs: 4, ranges: 'minmax', seed: 1 },
    evaluation: { photos: changed, inputs: changed, heldBack: true },
    floatBytes: 4e6,
    fileBytes: 1e6,
    seconds: 1,
    classifier: true,
    asTheyAre: summary,
    varied: { ...summary, inputs: 0 },
    photos: Array.from({ length: changed }, (_, i) => ({
      name: `photo ${i}`,
      varied: false,
      signal: 100,
      noise: 1,
      sqnr: 20,
      float: { index: 1, score: 0.6 },
      int8: { index: 2, score: 0.5 },
      inTop5: true,
    })),
    layers: names.map((name, index) => ({ index, op: 'CONV_2D', name, sqnr: 10 + index })),
  }
}

test('a report lists the first five photos whose class changed', () => {
  const listed = (changed: number): number => textReport(reportOf(changed, ['a'])).split(' became ').length - 1
  assert.equal([0, 1, 5, 6, 9].map(listed), [0, 1, 5, 5, 5])
  assert.match(textReport(reportOf(6, ['a'])), /photo 0: [^]*photo 4: /)
})

test('names of layers longer than 36 letters lose their beginning in the picture', () => {
  const [fits, long] = ['a'.repeat(36), `b${'c'.repeat(36)}`]
  const page = htmlReport(reportOf(1, [fits, long]))
  assert.ok(page.includes(`>${fits}</text>`))
  assert.ok(page.includes(`>…${'c'.repeat(35)}</text>`))
  assert.not.ok(page.includes(`>${long}</text>`))
})

test.run()
