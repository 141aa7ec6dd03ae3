/**
 * The quantizer gives the same bytes as when its accuracy was measured, on every machine: digests of its files, of what it
 * says of them, and of the pixels that it calibrates with, for every way to call it.
 *
 * After a change that is meant: THIMBLE_UPDATE=1 npx tsx test/quantize-same.test.ts, and measure again
 * (CONTRIBUTING, Changing the quantizer).
 */
import { createHash } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { floatModel } from '../src/float/execute.ts'
import { writeTflite } from '../src/formats/tflite-write.ts'
import { augment, random, variations } from '../src/quantize/augment.ts'
import { evaluate } from '../src/quantize/evaluate.ts'
import { quantize, type QuantizeOptions } from '../src/quantize/quantize.ts'
import { htmlReport, jsonReport, textReport, type QuantizeReport } from '../src/quantize/report.ts'
import { noise } from './image-files.ts'
import { quantizedNets } from './quantized-nets.ts'
import { calibration, tinyNet, unseen } from './tiny-net.ts'
import { root } from './util.ts'

const FILE = `${root}test/fixtures/quantize/digests.json`
const update = process.env.THIMBLE_UPDATE === '1'
const stored = JSON.parse(readFileSync(FILE, 'utf8')) as Record<string, string>
const now: Record<string, string> = {}

function same(name: string, content: string | Uint8Array): void {
  now[name] = createHash('sha256').update(content).digest('hex').slice(0, 16)
  if (!update) assert.is(now[name], stored[name], name)
}

const photoOf = calibration.map((_, i) => i >> 1)
const WAYS: Record<string, QuantizeOptions> = {
  'as it is': {},
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
  const said = await evaluate(float, graph, equalized, inputs, (n) => done.push(n), 3)
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
  // Six digits: sums of squares are the same everywhere, logarithms nearly.
  const short = (_: string, v: unknown): unknown => (typeof v === 'number' ? +v.toPrecision(6) : v)
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
