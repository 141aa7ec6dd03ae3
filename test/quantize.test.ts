/** The quantizer on a small network with uneven channels: what each step must bring, determinism, files, reports. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { backward } from '../src/float/backward.ts'
import { floatModel } from '../src/float/execute.ts'
import { quantizeValues } from '../src/float/values.ts'
import { readModel } from '../src/formats/index.ts'
import { writePacked } from '../src/formats/packed-write.ts'
import { readTflite } from '../src/formats/tflite.ts'
import { writeTflite } from '../src/formats/tflite-write.ts'
import type { Graph } from '../src/graph/graph.ts'
import { loadGraph } from '../src/engine/load-graph.ts'
import { random, variations } from '../src/quantize/augment.ts'
import { cholesky } from '../src/float/wasm.ts'
import { inverseFactor } from '../src/quantize/linear-algebra.ts'
import { quantize, type QuantizeOptions } from '../src/quantize/quantize.ts'
import {
  addMoments,
  covariance,
  emptyMoments,
  outputError,
  roundAdaptive,
  roundingForm,
  roundNearest,
  type Moments,
} from '../src/quantize/reconstruct.ts'
import { htmlReport, jsonReport, textReport, worstLayers, type QuantizeReport } from '../src/quantize/report.ts'
import { LITERT_MISSING, litertPython } from './peer-python.ts'
import { calibration, CLASSES, METADATA, picture, tinyNet, unseen } from './tiny-net.ts'
import { equalBytes, need, rng } from './util.ts'

const input = { inputRange: [-2.1, 2.7] as const }

function sqnr(float: Graph, int8: Graph, inputs: readonly Float32Array[]): number {
  const [a, b] = [floatModel(float), floatModel(int8)]
  let [signal, noise] = [0, 0]
  for (const x of inputs) {
    const [want, got] = [a.run([x])[0]!, b.run([x])[0]!]
    want.forEach((w, i) => {
      signal += w * w
      noise += (w - got[i]!) ** 2
    })
  }
  return 10 * Math.log10(signal / noise)
}

const made = (o: QuantizeOptions = {}, graph = tinyNet(1)): Graph =>
  quantize(graph, calibration, { ...input, ...o }).graph

test('equalization wins on inputs that calibration has not seen', () => {
  let [plain, both] = [0, 0]
  for (const seed of [1, 2, 3]) {
    const float = tinyNet(seed)
    plain += sqnr(float, made({ equalize: false, rounding: 'nearest' }, float), unseen) / 3
    both += sqnr(float, made({}, float), unseen) / 3
  }
  assert.ok(both > plain + 10, `${both} dB, without ${plain} dB`)
})

test("adaptive rounding lowers a layer's error on samples it has not seen, and gives up with too few", () => {
  const next = rng(9)
  const K = 24
  const mix = Float64Array.from({ length: K * 6 }, () => next() - 0.5)
  /** Correlated inputs: 24 columns of 6 sources. */
  const moments = (count: number): Moments => {
    const rows = new Float32Array(count * K)
    for (let r = 0; r < count; r++) {
      const source = Array.from({ length: 6 }, () => next() - 0.5)
      for (let k = 0; k < K; k++) {
        rows[r * K + k] = source.reduce((s, v, i) => s + v * mix[6 * k + i]!, 0.02 * (next() - 0.5))
      }
    }
    const m = emptyMoments(K)
    addMoments(m, rows, count)
    return m
  }
  const fit = moments(600)
  const form = roundingForm(fit)!
  const H = covariance(moments(600))!
  const units = Array.from({ length: 20 }, () => Float64Array.from({ length: K }, () => 20 * (next() - 0.5)))
  const total = (rounded: Float64Array[]): number => outputError(units, rounded, H).reduce((a, b) => a + b, 0)
  const [nearest, adaptive] = [total(units.map(roundNearest)), total(roundAdaptive(units, form))]
  assert.ok(adaptive < nearest / 3, `${adaptive} against ${nearest}`)
  assert.is(roundingForm(moments(K)), undefined)
})

test('equalization leaves the function as it is', () => {
  const float = tinyNet(2)
  const { equalized } = quantize(float, calibration, input)
  assert.not.equal(
    equalized.tensors.map((t) => t.data),
    float.tensors.map((t) => t.data),
  )
  assert.ok(sqnr(float, equalized, calibration) > 80)
})

test('the same seed gives the same bytes', () => {
  assert.equal(writePacked(made({ seed: 5 })), writePacked(made({ seed: 5 })))
})

test('range methods, one photo, few photos', () => {
  const float = tinyNet(1)
  for (const ranges of ['percentile', 'mse'] as const) assert.ok(sqnr(float, made({ ranges }), unseen) > 10, ranges)
  for (const count of [1, 3]) {
    const { graph } = quantize(float, calibration.slice(0, count), input)
    assert.ok(sqnr(float, graph, calibration.slice(0, count)) > 10, `${count} photos`)
  }
})

test('every weight and bias fits its type, weights are symmetric per channel', () => {
  const graph = made()
  for (const op of graph.ops) {
    if (op.type !== 'CONV_2D' && op.type !== 'DEPTHWISE_CONV_2D' && op.type !== 'FULLY_CONNECTED') continue
    const [w, b] = [graph.tensors[op.inputs[1]!]!, graph.tensors[op.inputs[2]!]!]
    const channels = op.type === 'DEPTHWISE_CONV_2D' ? w.shape[3]! : w.shape[0]!
    assert.is(w.quantization!.scales.length, channels)
    assert.ok(w.quantization!.zeroPoints.every((z) => z === 0))
    assert.ok(new Int8Array(w.data!.slice().buffer).every((v) => v >= -127))
    const x = graph.tensors[op.inputs[0]!]!.quantization!.scales[0]!
    assert.equal(
      b.quantization!.scales,
      w.quantization!.scales.map((s) => Math.fround(s * x)),
    )
  }
})

test('gradients agree with differences', () => {
  const graph = tinyNet(4)
  const model = floatModel(graph)
  const x = picture(7)
  const direction = Float32Array.from({ length: CLASSES }, (_, i) => (i % 3) - 1)
  const values = new Map<number, Float32Array>()
  model.run([x], (t, d) => values.set(t, d))
  const { tensors } = backward(
    model,
    (t) => values.get(t) ?? model.constant(t),
    new Map([[graph.outputs[0]!, direction]]),
  )
  const g = tensors.get(graph.inputs[0]!)!
  // Along a small step of the whole input, where few clamps change.
  const step = picture(8).map((v) => v * 1e-3)
  const along = (sign: number): number =>
    model.run([x.map((v, i) => v + sign * step[i]!)])[0]!.reduce((s, v, i) => s + v * direction[i]!, 0)
  const [want, got] = [(along(1) - along(-1)) / 2, g.reduce((s, v, i) => s + v * step[i]!, 0)]
  assert.ok(Math.abs(want - got) < 0.02 * Math.abs(want), `${got} against ${want}`)
})

test('inverseFactor gives U with U^T U = inverse', () => {
  const next = rng(3)
  const n = 12
  const r = Float64Array.from({ length: n * n }, () => next() - 0.5)
  const a = Float64Array.from({ length: n * n }, (_, i) => {
    let s = i % (n + 1) === 0 ? 0.1 : 0
    for (let k = 0; k < n; k++) s += r[Math.floor(i / n) * n + k]! * r[(i % n) * n + k]!
    return s
  })
  const u = inverseFactor(a, n)!
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) {
      let s = 0
      for (let k = 0; k < n; k++) for (let m = 0; m < n; m++) s += u[m * n + i]! * u[m * n + k]! * a[k * n + j]!
      assert.ok(Math.abs(s - Number(i === j)) < 1e-9)
    }
  }
  assert.is(cholesky(Float64Array.of(1, 2, 2, 1), 2), undefined)
})

test('variations: photos first, then changed ones, thinned evenly when there are too many', () => {
  const photos = Array.from({ length: 6 }, (_, i) => ({
    data: new Uint8Array(12 * 12 * 3).fill(40 * i),
    width: 12,
    height: 12,
    channels: 3 as const,
  }))
  const all = variations(photos, 8, random(1))
  assert.equal(
    all.map((v) => v.photo),
    [0, 1, 2, 3, 4, 5, 0, 1],
  )
  assert.equal(
    all.map((v) => v.varied),
    [false, false, false, false, false, false, true, true],
  )
  assert.equal(
    variations(photos, 3, random(1)).map((v) => v.photo),
    [0, 2, 4],
  )
  assert.equal(variations(photos, 8, random(1)), all)
  assert.equal(variations([], 8, random(1)), [])
})

test('a .tflite keeps labels, preprocessing and licence, also for readers of TFLite metadata', async () => {
  const graph = made()
  const bytes = writeTflite(graph)
  const back = readTflite(bytes)
  assert.equal(back.metadata, METADATA)
  const [a, b] = [await loadGraph(back), await loadGraph(readModel(writePacked(graph)))]
  const x = quantizeValues(unseen[0]!, graph.tensors[graph.inputs[0]!]!) as Int8Array
  equalBytes(a.run(x)[0]!, b.run(x)[0]!, 'output')
  // Without the JSON block: what TFLite's own metadata says.
  const plain = bytes.slice()
  const at = Buffer.from(plain).indexOf('THIMBLE_METADATA')
  plain[at] = 'X'.charCodeAt(0)
  const { labels, preprocess, name, license } = readTflite(plain).metadata
  assert.equal([labels, name, license], [METADATA.labels, 'tiny', 'MIT'])
  assert.equal([preprocess!.mean, preprocess!.std], [METADATA.preprocess!.mean, METADATA.preprocess!.std])
  assert.equal(writeTflite(graph), bytes)
})

const LITERT = `
import sys, numpy as np
from ai_edge_litert.interpreter import Interpreter
i = Interpreter(model_path=sys.argv[1]); i.allocate_tensors()
for k in range(int(sys.argv[3])):
    x = np.fromfile(sys.argv[2], np.int8).reshape(-1, *i.get_input_details()[0]['shape'])[k]
    i.set_tensor(i.get_input_details()[0]['index'], x); i.invoke()
    sys.stdout.write(i.get_tensor(i.get_output_details()[0]['index']).tobytes().hex() + '\\n')`

need(
  test,
  'LiteRT gives the same bytes for the .tflite',
  { resource: litertPython(), missing: LITERT_MISSING },
  async (executable) => {
    const folder = mkdtempSync(join(tmpdir(), 'thimble-quantize-'))
    const graph = made()
    const t = graph.tensors[graph.inputs[0]!]!
    const inputs = unseen.map((x) => quantizeValues(x, t) as Int8Array)
    writeFileSync(join(folder, 'm.tflite'), writeTflite(graph))
    writeFileSync(join(folder, 'x'), Buffer.concat(inputs.map((x) => new Uint8Array(x.buffer))))
    const lines = execFileSync(
      executable,
      ['-c', LITERT, join(folder, 'm.tflite'), join(folder, 'x'), String(inputs.length)],
      { stdio: ['ignore', 'pipe', 'ignore'] },
    )
      .toString()
      .trim()
      .split('\n')
    const model = await loadGraph(graph)
    inputs.forEach((x, i) => equalBytes(model.run(x)[0]!, Buffer.from(lines[i]!, 'hex'), `input ${i}`))
    rmSync(folder, { recursive: true })
  },
)

test('nothing to calibrate on is refused', () => {
  assert.throws(() => quantize(tinyNet(1), []), /no calibration photos/)
})

test('the report names what changed', () => {
  const photo = (name: string, float: number, int8: number): QuantizeReport['photos'][number] => ({
    name,
    varied: false,
    signal: 100,
    noise: 1,
    sqnr: 20,
    float: { index: float, score: 0.5 },
    int8: { index: int8, score: 0.25 },
    inTop5: true,
  })
  const layers = [30, 12, 25, Infinity].map((sqnr, index) => ({ index, op: 'CONV_2D', name: `layer<${index}>`, sqnr }))
  const report: QuantizeReport = {
    model: 'a & b',
    classifier: true,
    photos: [photo('x.png', 1, 1), photo('y.png', 0, 1)],
    layers,
    asTheyAre: { inputs: 2, logitSqnr: 20, top1: 1, top5: 2 },
    varied: { inputs: 0, logitSqnr: NaN, top1: 0, top5: 0 },
    scheme: 'int8',
    calibration: { photos: 3, inputs: 8, ranges: 'minmax', seed: 1 },
    evaluation: { photos: 2, inputs: 2, heldBack: false },
    floatBytes: 4e6,
    fileBytes: 1e6,
    seconds: 3,
    labels: ['cat', 'dog'],
  }
  assert.equal(
    worstLayers(layers, 2).map((l) => l.name),
    ['layer<1>', 'layer<2>'],
  )
  const text = textReport(report)
  assert.match(text, 'y.png: cat 50.0 % became dog 25.0 %')
  assert.match(text, 'the calibration photos themselves')
  assert.not.match(text, 'variations:')
  assert.not.match(htmlReport(report), /a & b|layer<1>/)
  assert.is((JSON.parse(jsonReport(report)) as { layers: { sqnr: null }[] }).layers[3]!.sqnr, null)
})

test.run()
