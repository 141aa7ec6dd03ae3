/**
 * The quantizer gives the same bytes as when its accuracy was measured, on every machine: digests of its files, of what
 * it says of them, and of the pixels that it calibrates with, for every way to call it.
 *
 * After a change that is meant: THIMBLE_UPDATE=1 npx tsx test/quantize-same.test.ts, and measure again
 * (CONTRIBUTING, Changing the quantizer).
 */
import { createHash } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { GraphBuilder } from '../src/convert/builder.ts'
import { floatModel } from '../src/float/execute.ts'
import { writeTflite } from '../src/formats/tflite-write.ts'
import type { Activation, Graph } from '../src/graph/graph.ts'
import { augment, random, variations } from '../src/quantize/augment.ts'
import { evaluate } from '../src/quantize/evaluate.ts'
import { quantize, type QuantizeOptions } from '../src/quantize/quantize.ts'
import { htmlReport, jsonReport, textReport, type QuantizeReport } from '../src/quantize/report.ts'
import { noise } from './image-files.ts'
import { quantizedNets } from './quantized-nets.ts'
import { calibration, tinyNet, unseen } from './tiny-net.ts'
import { rng, root } from './util.ts'

const FILE = `${root}test/fixtures/quantize/digests.json`
const update = process.env.THIMBLE_UPDATE === '1'
const stored = JSON.parse(readFileSync(FILE, 'utf8')) as Record<string, string>
const now: Record<string, string> = {}

function same(name: string, content: string | Uint8Array): void {
  now[name] = createHash('sha256').update(content).digest('hex').slice(0, 16)
  if (!update) assert.is(now[name], stored[name], name)
}

/** Six digits: sums of squares are the same everywhere, logarithms nearly. */
const short = (_: string, v: unknown): unknown => (typeof v === 'number' ? +v.toPrecision(6) : v)

const photoOf = calibration.map((_, i) => i >> 1)
const WAYS: Record<string, QuantizeOptions> = {
  'as it is': {},
  'everything seen': { ranges: 'minmax' },
  'to nearest': { rounding: 'nearest' },
  'without equalization': { equalize: false },
  'least squared error': { ranges: 'mse', photoOf },
  percentiles: { ranges: 'percentile' },
  'another seed, variations of photos': { seed: 7, photoOf },
  '16 bits': { scheme: 'int16x8' },
}

for (const [name, options] of Object.entries(WAYS)) {
  test(`tiny net, ${name}`, () => {
    const range = name === 'percentiles' ? {} : { inputRange: [-2.1, 2.7] as const }
    same(`tiny ${name}`, writeTflite(quantize(tinyNet(1), calibration, { ...range, ...options }).graph))
  })
}

for (const net of quantizedNets()) {
  test(net.name, () => {
    const samples = Array.from({ length: 8 }, (_, i) => net.inputs(i)[0]!)
    same(net.name, writeTflite(quantize(net.graph, samples).graph))
  })
}

/**
 * Maps of more positions than are sampled, zeros around, a window, another shape, a layer of more columns than samples.
 */
function odd(): { graph: Graph; inputs: (seed: number) => Float32Array } {
  const next = rng(77)
  const b = new GraphBuilder()
  const values = (n: number): Float32Array => Float32Array.from({ length: n }, () => next() - 0.5)
  const conv = (
    name: string,
    x: number,
    channels: number,
    { k, activation }: { k: number; activation: Activation },
  ): number => {
    const shape = [channels, k, k, b.shape(x)[3]!]
    const filter = { shape, data: values(shape.reduce((n, d) => n * d, 1)) }
    return b.conv(name, x, {
      filter,
      bias: values(channels),
      activation,
      ...(k > 1 ? { padding: 'VALID' as const } : {}),
    })
  }
  const x = b.input('x', [1, 50, 50, 2])
  const one = conv('one', b.pad('pad', x, [1, 1, 1, 1]), 6, { k: 3, activation: 'RELU6' })
  const attrs = { padding: 'VALID', strideH: 10, strideW: 10, filterH: 10, filterW: 10, activation: 'NONE' } as const
  const pool = b.op({ type: 'MAX_POOL_2D', inputs: [one], attrs }, 'pool', [1, 5, 5, 6])
  const two = b.add('sum', pool, conv('two', pool, 6, { k: 1, activation: 'NONE' }), 'RELU')
  const flat = b.op({ type: 'RESHAPE', inputs: [two, b.int32('s', [2], [1, 150])], attrs: {} }, 'flat', [1, 150])
  const dense = b.fullyConnected('dense', flat, { filter: { shape: [5, 150], data: values(750) }, bias: values(5) })
  const graph = b.finish([b.op({ type: 'SOFTMAX', inputs: [dense], attrs: { beta: 1 } }, 'out', [1, 5])])
  return {
    graph,
    inputs: (seed) => {
      const r = rng(seed)
      return Float32Array.from({ length: 5000 }, (_, i) => Math.sin(i / (3 + seed)) + r() - 0.5)
    },
  }
}

test('large maps, more columns than samples, padding, pooling', async () => {
  const { graph, inputs } = odd()
  const samples = Array.from({ length: 8 }, (_, i) => inputs(i))
  const { graph: int8, equalized } = quantize(graph, samples)
  same('odd', writeTflite(int8))
  same('odd, percentiles', writeTflite(quantize(graph, samples, { ranges: 'percentile' }).graph))
  const given = [20, 21].map((seed) => ({ name: `${seed}`, data: inputs(seed) }))
  const { layers } = await evaluate(graph, { graph: int8, equalized }, given)
  assert.equal(
    layers.map((l) => l.name),
    ['one', 'pool', 'two', 'sum', 'dense', 'out'],
  )
  same('odd, layers', JSON.stringify(layers, short))
})

test("each channel's mean output stays the float model's: biases make up for rounded weights", () => {
  const float = tinyNet(3)
  const { graph, equalized } = quantize(float, calibration, { inputRange: [-2.1, 2.7], rounding: 'nearest' })
  const [a, b] = [floatModel(equalized), floatModel(graph)]
  const first = graph.ops.find((op) => op.type === 'CONV_2D' && op.attrs.activation === 'NONE')!
  const y = first.outputs[0]!
  const channels = graph.tensors[y]!.shape.at(-1)!
  const means = (model: typeof a): Float64Array => {
    const sums = new Float64Array(channels)
    let count = 0
    for (const x of calibration) {
      model.run([x], (t, data) => {
        if (t !== y) return
        data.forEach((v, i) => (sums[i % channels]! += v))
        count += data.length / channels
      })
    }
    return sums.map((s) => s / count)
  }
  const [want, got] = [means(a), means(b)]
  const step = graph.tensors[y]!.quantization!.scales[0]!
  want.forEach((w, c) => {
    assert.ok(Math.abs(w - got[c]!) < 0.1 * step, `channel ${c}: ${(w - got[c]!) / step} steps off`)
  })
})

test('what is said of a file, photo by photo and layer by layer', async () => {
  const float = tinyNet(1)
  const { graph, equalized } = quantize(float, calibration, { inputRange: [-2.1, 2.7] })
  const done: number[] = []
  const inputs = unseen.map((data, i) => ({ name: `photo ${i}`, data, varied: i % 3 === 2 }))
  const said = await evaluate(float, { graph, equalized }, inputs, { progress: (n) => done.push(n), layerInputs: 3 })
  assert.equal(
    done,
    inputs.map((_, i) => i + 1),
  )
  const report: QuantizeReport = {
    ...said,
    model: 'tiny',
    scheme: 'int8',
    calibration: { photos: 12, inputs: 24, ranges: 'minmax', seed: 1 },
    evaluation: { photos: unseen.length, inputs: unseen.length, heldBack: true },
    floatBytes: 4_123_456,
    fileBytes: 1_034_567,
    seconds: 12.34,
    labels: graph.metadata.labels ?? [],
  }
  same('evaluation', JSON.stringify(said, short))
  same('report, text', textReport(report))
  same('report, JSON', JSON.stringify(JSON.parse(jsonReport(report)), short))
  same('report, page', htmlReport(report))
  const few: QuantizeReport = { ...report, classifier: false, evaluation: { photos: 1, inputs: 1, heldBack: false } }
  same('report of no classifier, text', textReport(few))
  same('report of no classifier, page', htmlReport(few))
})

test('variations of photos', () => {
  const photo = (seed: number, width: number, height: number, channels: 1 | 3 | 4) => ({
    data: noise(seed, width * height * channels),
    width,
    height,
    channels,
  })
  const photos = [photo(1, 20, 14, 3), photo(2, 9, 30, 4), photo(3, 16, 16, 1)]
  const pixels = createHash('sha256')
  for (const { pixels: p, photo: of, varied } of variations(photos, 14, random(5))) {
    pixels.update(`${p.width} ${p.height} ${p.channels} ${of} ${varied}`).update(p.data)
  }
  for (const p of photos) {
    const a = augment(p, random(9), { minCrop: 0.9, light: 0.6 })
    assert.ok(a.width >= Math.round(0.9 * p.width) && a.height >= Math.round(0.9 * p.height))
    pixels.update(a.data)
  }
  same('variations', pixels.digest('hex'))
})

test('nothing is stored that is no more', () => {
  if (update) writeFileSync(FILE, `${JSON.stringify(now, null, 2)}\n`)
  else assert.equal(Object.keys(stored).sort(), Object.keys(now).sort())
})

test.run()
