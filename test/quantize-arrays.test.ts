/** `thimble quantize` calibrated on arrays: an accelerometer's windows, audio, two inputs; and what does not fit. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { zipSync } from 'fflate'
import { GraphBuilder } from '../src/convert/builder.ts'
import { floatModel } from '../src/float/execute.ts'
import { quantizeValues } from '../src/float/values.ts'
import { readTflite } from '../src/formats/tflite.ts'
import { writeTflite } from '../src/formats/tflite-write.ts'
import type { Graph } from '../src/graph/graph.ts'
import { loadGraph } from '../src/engine/load-graph.ts'
import type { QuantizeReport } from '../src/quantize/report.ts'
import { thimble, type Result } from './call-cli.ts'
import { rng } from './util.ts'

const folder = mkdtempSync(join(tmpdir(), 'thimble-arrays-'))
const at = (name: string): string => join(folder, name)
test.after(() => rmSync(folder, { recursive: true }))

/** A .npy file of format 1, little-endian float32. */
function npy(shape: readonly number[], data: Float32Array, fortran = false): Uint8Array {
  const dict = `{'descr': '<f4', 'fortran_order': ${fortran ? 'True' : 'False'}, 'shape': (${shape.join(', ')}${shape.length === 1 ? ',' : ''}), }`
  const header = `${dict.padEnd(117)}\n`
  const bytes = new Uint8Array(10 + header.length + data.byteLength)
  bytes.set([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, header.length, 0])
  bytes.set(new TextEncoder().encode(header), 10)
  bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), 10 + header.length)
  return bytes
}

const weights = (seed: number, shape: readonly number[]): { shape: readonly number[]; data: Float32Array } => {
  const next = rng(seed)
  const n = shape.reduce((a, b) => a * b, 1)
  return { shape, data: Float32Array.from({ length: n }, () => (2 * next() - 1) * Math.sqrt((3 * shape[0]!) / n)) }
}

/** 64 readings of three axes, as Keras makes a 1-D convolution of them. */
function imu(): Graph {
  const b = new GraphBuilder()
  const x = b.conv('conv', b.input('serving_default_window:0', [1, 1, 64, 3]), {
    filter: weights(1, [12, 1, 5, 3]),
    stride: [1, 2],
    activation: 'RELU',
  })
  return b.finish([b.fullyConnected('gesture', b.globalAverage('pool', x), { filter: weights(2, [5, 12]) })], {
    labels: ['rest', 'up', 'down', 'circle', 'shake'],
    task: 'classification',
  })
}

/** Two inputs of different sizes: a spectrogram and two numbers beside it. */
function two(): Graph {
  const b = new GraphBuilder()
  const spectrum = b.input('spectrum', [1, 8, 10, 1])
  const more = b.input('more', [1, 2])
  const x = b.conv('conv', spectrum, { filter: weights(3, [6, 3, 3, 1]), activation: 'RELU' })
  const side = b.fullyConnected('side', more, { filter: weights(4, [6, 2]) })
  const sum = b.op<never>(
    { type: 'ADD', inputs: [b.globalAverage('pool', x), side], attrs: { activation: 'NONE' } } as never,
    'sum',
    [1, 6],
  )
  return b.finish([b.fullyConnected('out', sum, { filter: weights(5, [3, 6]) })])
}

const wave = (count: number, size: number, seed: number, scale = 1): Float32Array => {
  const next = rng(seed)
  const out = new Float32Array(count * size)
  for (let i = 0; i < count; i++) {
    const [f, p] = [0.02 + 0.3 * next(), 6 * next()]
    for (let k = 0; k < size; k++) out[i * size + k] = scale * (Math.sin(f * k + p) + 0.2 * (next() - 0.5))
  }
  return out
}

const WINDOWS = wave(40, 192, 5, 9.81)
const call = (model: string, ...args: string[]): Promise<Result> =>
  thimble(['quantize', at(model), '-o', at('q.tflite'), '--json', ...args])

test.before(() => {
  writeFileSync(at('imu.tflite'), writeTflite(imu()))
  writeFileSync(at('two.tflite'), writeTflite(two()))
  writeFileSync(at('windows.npy'), npy([40, 64, 3], WINDOWS))
  writeFileSync(at('windows.bin'), new Uint8Array(WINDOWS.buffer))
  // The same windows, first index fastest.
  const fortran = Float32Array.from({ length: WINDOWS.length }, (_, i) => {
    const [n, t, c] = [i % 40, Math.floor(i / 40) % 64, Math.floor(i / 40 / 64)]
    return WINDOWS[(n * 64 + t) * 3 + c]!
  })
  writeFileSync(at('fortran.npy'), npy([40, 64, 3], fortran, true))
  mkdirSync(at('many'))
  for (let i = 0; i < 40; i++) {
    writeFileSync(at(`many/${String(i).padStart(2, '0')}.npy`), npy([64, 3], WINDOWS.slice(192 * i, 192 * (i + 1))))
  }
  const labels = npy([40], new Float32Array(40))
  writeFileSync(at('set.npz'), zipSync({ 'x_train.npy': npy([40, 64, 3], WINDOWS), 'y_train.npy': labels }))
  const [spectrum, more] = [wave(20, 80, 6), wave(20, 2, 7)]
  writeFileSync(at('two.npz'), zipSync({ 'more.npy': npy([20, 2], more), 'spectrum.npy': npy([20, 8, 10], spectrum) }))
  writeFileSync(at('spectrum.npy'), npy([20, 8, 10, 1], spectrum))
  writeFileSync(at('more.npy'), npy([20, 2], more))
  writeFileSync(at('one-more.npy'), npy([1, 2], more.slice(0, 2)))
})

test('windows of an accelerometer: .npy, Fortran order, a folder, .npz beside labels and raw give the same file', async () => {
  const files: Uint8Array[] = []
  for (const data of ['windows.npy', 'fortran.npy', 'many', 'set.npz', 'windows.bin']) {
    const { code, out, err } = await call('imu.tflite', '--calibration', at(data))
    assert.equal([code, err], [0, ''], data)
    const report = JSON.parse(out) as QuantizeReport
    assert.equal([report.of, report.calibration.photos, report.evaluation.photos], ['samples', 35, 5])
    assert.ok(report.asTheyAre.logitSqnr > 30, `${report.asTheyAre.logitSqnr} dB`)
    files.push(readFileSync(at('q.tflite')))
  }
  for (const file of files) assert.equal(file, files[0])
  const graph = readTflite(files[0]!)
  assert.is(graph.metadata.preprocess, undefined)
  // The input's range is that of the data, with the room that --ranges auto may choose.
  const { scales } = graph.tensors[graph.inputs[0]!]!.quantization!
  const calibrated = WINDOWS.reduce((a, b) => Math.max(a, Math.abs(b)), 0)
  assert.ok(scales[0]! * 255 < 1.3 * 2.1 * calibrated && scales[0]! * 255 > 1.7 * calibrated)
})

test('two inputs: one .npz, a file each, one value for all samples', async () => {
  const named = await call('two.tflite', '--calibration', at('two.npz'))
  assert.equal([named.code, named.err], [0, ''])
  const first = readFileSync(at('q.tflite'))
  const each = await call(
    'two.tflite',
    '--input',
    `spectrum=${at('spectrum.npy')}`,
    '--input',
    `more=${at('more.npy')}`,
  )
  assert.equal([each.code, each.err], [0, ''])
  assert.equal(readFileSync(at('q.tflite')), first)
  const keys = await call('two.tflite', '--calibrate', at('spectrum.npy'), '--input', `more=${at('two.npz')}:more`)
  assert.equal([keys.code, keys.err], [0, ''])
  assert.equal(readFileSync(at('q.tflite')), first)
  const fixed = await call(
    'two.tflite',
    '--input',
    `spectrum=${at('spectrum.npy')}`,
    '--input',
    `more=${at('one-more.npy')}`,
  )
  assert.is(fixed.code, 0)
  // What is written runs, near float.
  const graph = readTflite(first)
  const [float, int8] = [floatModel(two()), await loadGraph(graph)]
  const inputs = [wave(1, 80, 6), wave(1, 2, 7)]
  const want = float.run(inputs)[0]!
  const raw = int8.run(inputs.map((x, k) => quantizeValues(x, graph.tensors[graph.inputs[k]!]!) as Int8Array))[0]!
  const q = graph.tensors[graph.outputs[0]!]!.quantization!
  want.forEach((w, i) => assert.ok(Math.abs(w - q.scales[0]! * (Number(raw[i]) - q.zeroPoints[0]!)) < 0.05, `${i}`))
})

const REFUSED: [string, string, string[], RegExp][] = [
  [
    'channels first',
    'imu.tflite',
    ['--calibration', '@turned.npy'],
    /\[1, 1, 64, 3\].*got \[40, 3, 64\] of <f4; the same sizes in another order/,
  ],
  ['other sizes', 'imu.tflite', ['--calibration', '@more.npy'], /does not fit the model's input.*got \[20, 2\]/],
  ['a raw file that is cut off', 'imu.tflite', ['--calibration', '@cut.bin'], /expected a multiple of 4 bytes, got 7/],
  [
    'raw of another type',
    'imu.tflite',
    ['--calibration', '@windows.bin', '--raw-type', 'f32'],
    /--raw-type is not usable/,
  ],
  ['no numbers', 'imu.tflite', ['--calibration', '@text.npy'], /no plain numbers.*<U1/],
  ['NaN', 'imu.tflite', ['--calibration', '@nan.npy'], /NaN/],
  [
    'one array for two inputs',
    'two.tflite',
    ['--calibration', '@spectrum.npy'],
    /which array is which input.*--input NAME=FILE/,
  ],
  ['an input without data', 'two.tflite', ['--input', 'more=@more.npy'], /--input spectrum=FILE/],
  [
    'an input that is not there',
    'two.tflite',
    ['--input', 'mroe=@more.npy'],
    /names no input.*spectrum=FILE, more=FILE/,
  ],
  [
    'different numbers',
    'two.tflite',
    ['--input', 'spectrum=@spectrum.npy', '--input', 'more=@three.npy'],
    /spectrum: 20, more: 3/,
  ],
  ['photos and arrays', 'imu.tflite', ['--calibration', '@mixed'], /holds photos and arrays/],
  ['photos for no image', 'imu.tflite', ['--calibration', '@photos'], /no photo.*\[1, 1, 64, 3\].*calibrate on arrays/],
  [
    'a key that is not there',
    'two.tflite',
    ['--calibration', '@spectrum.npy', '--input', 'more=@two.npz:moer'],
    /no array called moer/,
  ],
]
for (const [what, model, args, message] of REFUSED) {
  test(`refused: ${what}`, async () => {
    writeFileSync(at('turned.npy'), npy([40, 3, 64], WINDOWS))
    writeFileSync(at('three.npy'), npy([3, 2], new Float32Array(6)))
    writeFileSync(at('cut.bin'), new Uint8Array(7))
    writeFileSync(at('nan.npy'), npy([64, 3], new Float32Array(192).fill(NaN)))
    const text = npy([64, 3], new Float32Array(192))
    text.set(new TextEncoder().encode('<U1'), Buffer.from(text).indexOf('<f4'))
    writeFileSync(at('text.npy'), text)
    mkdirSync(at('mixed'), { recursive: true })
    mkdirSync(at('photos'), { recursive: true })
    for (const name of ['mixed/a.png', 'photos/a.png', 'mixed/b.npy']) writeFileSync(at(name), '')
    const result = await call(model, ...args.map((a) => a.replace('@', `${folder}/`)))
    assert.match(result.err, message)
    assert.is(result.err.trim().split('\n').length, 1)
    assert.equal([result.code === 0, result.out], [false, ''])
  })
}

test.run()
