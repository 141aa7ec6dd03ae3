/**
 * Models that other tools wrote give their own tool's answer. Fixtures: test/fixtures/convert/generate.py and
 * generate.mjs.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { readFloatModel, sniffModel } from '../src/convert/index.ts'
import { impliedPreprocess } from '../src/convert/implied.ts'
import { foldNode } from '../src/convert/onnx/constants.ts'
import { writePacked } from '../src/formats/packed-write.ts'
import { readTflite } from '../src/formats/tflite.ts'
import { writeTflite } from '../src/formats/tflite-write.ts'
import { loadGraph } from '../src/engine/load-graph.ts'
import { loadModel } from '../src/node.ts'
import { withPrograms } from '../src/plan/record.ts'
import { answer, expected, fixture, fixtureBytes, opCounts, pseudo, relative } from './convert-util.ts'
import { thimble } from './call-cli.ts'
import { GraphBuilder } from './small-models.ts'
import { equalBytes } from './util.ts'

const TOLERANCE = 5e-6
/** onnxruntime quantizes the activations of these when they run. */
const LOOSE: Record<string, number> = { 'dynamic.onnx': 0.01 }

for (const [name, { output, madeBy, input }] of Object.entries(expected)) {
  if (name.startsWith('qdq.')) continue
  test(`${name}, by ${madeBy}`, async () => {
    const graph = await readFloatModel(fixture(name))
    assert.equal([...graph.tensors[graph.inputs[0]!]!.shape], input, 'input shape')
    const difference = relative(answer(graph), output)
    assert.ok(difference <= (LOOSE[name] ?? TOLERANCE), `relative difference ${difference}`)
    assert.ok(
      graph.ops.every((op) => op.type !== 'TRANSPOSE' && op.type !== 'UNSUPPORTED'),
      'no transposes, nothing unsupported',
    )
  })
}

test('shape arithmetic is worked out while reading: padding as the TorchScript exporter writes it', () => {
  const ints = (...data: number[]): { dtype: 'int64'; shape: number[]; data: Float64Array } => ({
    dtype: 'int64',
    shape: [data.length],
    data: Float64Array.from(data),
  })
  const fold = (
    type: string,
    inputs: Parameters<typeof foldNode>[1],
    attributes: Record<string, object> = {},
  ): { shape: number[]; data: number[] } => {
    const out = foldNode(
      { type, attributes: new Map(Object.entries(attributes)) } as unknown as Parameters<typeof foldNode>[0],
      inputs,
    )!
    return { shape: [...out.shape], data: [...out.data] }
  }
  const pairs = { ...ints(1, 2, 3, 4, 5, 6), shape: [3, 2] }
  // Rows reversed, by an end that stands for "before the first".
  assert.equal(fold('Slice', [pairs, ints(-1), ints(-(2 ** 63) + 1), ints(0), ints(-1)]), {
    shape: [3, 2],
    data: [5, 6, 3, 4, 1, 2],
  })
  assert.equal(fold('Slice', [pairs, ints(0, 1), ints(9, 2)]), { shape: [3, 1], data: [2, 4, 6] })
  assert.equal(fold('Slice', [ints(1, 2, 3, 4, 5), ints(4), ints(0), ints(0), ints(-2)]), { shape: [2], data: [5, 3] })
  assert.equal(fold('Slice', [ints(1, 2, 3), ints(2), ints(1)]), { shape: [0], data: [] })
  assert.equal(fold('Transpose', [pairs], { perm: { ints: [1, 0] } }), { shape: [2, 3], data: [1, 3, 5, 2, 4, 6] })
  assert.equal(fold('Clip', [ints(-3, 0, 7), ints(0), undefined]), { shape: [3], data: [0, 0, 7] })
  assert.equal(fold('Clip', [ints(-3, 0, 7)], { min: { f: -1 }, max: { f: 1 } }), { shape: [3], data: [-1, 0, 1] })
})

test('a network that scales its pixels itself gets them as they are', () => {
  const first = (type: string, values: number[], from = 0, channels = 3): unknown =>
    impliedPreprocess({
      tensors: [
        { name: 'image', shape: [1, 8, 8, channels], dtype: 'float32' },
        { name: 'c', shape: [values.length], dtype: 'float32', data: new Uint8Array(Float32Array.from(values).buffer) },
        { name: 'y', shape: [1, 8, 8, channels], dtype: 'float32' },
      ],
      ops: [{ type, inputs: from === 0 ? [0, 1] : [1, 0], outputs: [2], attrs: {} }],
      inputs: [0],
      outputs: [2],
      metadata: {},
    } as unknown as Parameters<typeof impliedPreprocess>[0])
  const raw = { fit: 'stretch', method: 'bilinear', channels: 'rgb', mean: [0], std: [1] }
  assert.equal(first('MUL', [1 / 127.5]), raw)
  assert.equal(first('MUL', [1 / 255], 1), raw)
  assert.equal(first('DIV', [255]), raw)
  assert.equal(first('SUB', [123.68, 116.78, 103.94]), raw)
  assert.equal(first('MUL', [1 / 255], 0, 1), { ...raw, channels: 'gray' })
  for (const [type, values, from] of [
    ['MUL', [2], 0],
    ['SUB', [0.5], 0],
    ['SUB', [127.5], 1],
    ['ADD', [1], 0],
    ['DIV', [0.229, 0.224, 0.225], 0],
  ] as const) {
    assert.is(first(type, [...values], from), undefined, type)
  }
  assert.is(first('MUL', [1 / 255], 0, 4), undefined)
})

test('formats are recognised by content', async () => {
  const kinds: Record<string, string> = {
    'nested.keras2.h5': 'keras-h5',
    'everywhere.keras3.keras': 'keras',
    'tfjs-graph/model.json': 'tfjs',
    'torch.opset9.onnx': 'onnx',
    'everywhere.float32.tflite': 'tflite',
    'mobilenet_v3_small.pt': 'pytorch',
    'mobilenet_v3_small.legacy.pth': 'pytorch',
    'mobilenet_v3_small.safetensors': 'safetensors',
    'teachable-machine.zip': 'zip',
  }
  for (const [file, kind] of Object.entries(kinds)) assert.is(await sniffModel(fixtureBytes(file)), kind, file)
  assert.is(await sniffModel(new Uint8Array([1, 2, 3])), undefined)
})

test('a .thimble file is converted like any other, and to itself', async () => {
  const file = new Uint8Array(readFileSync(new URL('../weights/face_landmarks_68_tiny_112.thimble', import.meta.url)))
  assert.is(await sniffModel(file), 'thimble')
  const graph = await readFloatModel(file)
  equalBytes(writePacked(withPrograms(graph)), file, 'packed again')
  const back = readTflite(writeTflite(graph))
  const input = Uint8Array.from({ length: 112 * 112 * 3 }, (_, i) => i * 7)
  const [one, other] = await Promise.all([loadGraph(graph), loadGraph(back)])
  const values = one.inputs[0]!.dtype === 'int8' ? new Int8Array(input.buffer) : input
  one.run(values).forEach((got, i) => equalBytes(other.run(values)[i]!, got, 'by way of .tflite'))
})

test('an 8-bit model with float inputs and outputs is written as .thimble, a float model is not', async () => {
  const b = new GraphBuilder(1)
  const x = b.input([1, 8], 'float32')
  const folder = mkdtempSync(join(tmpdir(), 'thimble-'))
  delete b.graph.tensors[x]!.quantization
  const q = b.op('QUANTIZE', [x], [b.tensor([1, 8], 'int8', 0.05, 3)], {})
  const f = b.op('FULLY_CONNECTED', [q, b.weights([10, 8]), b.bias(10, 1)], [b.tensor([1, 10], 'int8', 0.1, 2)], {
    activation: 'NONE',
    keepNumDims: false,
  })
  const bytes = writeTflite(b.done(b.op('DEQUANTIZE', [f], [b.tensor([1, 10], 'float32')], {})))
  const [from, to] = [join(folder, 'a.tflite'), join(folder, 'a.thimble')]
  writeFileSync(from, bytes)
  assert.is((await thimble(['convert', from, '-o', to])).code, 0)
  const input = Float32Array.from({ length: 8 }, (_, i) => i - 3.3)
  const [one, other] = await Promise.all([loadModel(from), loadModel(to)])
  equalBytes(other.run(input)[0]!, one.run(input)[0]!, 'by way of .thimble')
  writeFileSync(from, writeTflite(await readFloatModel(fixture('nested.keras2.h5'))))
  const { code, err } = await thimble(['convert', from, '-o', to])
  assert.is(code, 1)
  assert.match(err, 'lower/float')
  rmSync(folder, { recursive: true })
})

test('Teachable Machine brings labels and preprocessing', async () => {
  const { metadata } = await readFloatModel(fixtureBytes('teachable-machine.zip'))
  assert.equal(metadata.labels, ['Cat', 'Dog', 'Nothing'])
  assert.equal(metadata.preprocess, { fit: 'crop', method: 'bilinear', channels: 'rgb', mean: [127.5], std: [127.5] })
  assert.is(metadata.name, 'tm-my-image-model')
})

test('bytes with a sidecar, folders and unfolded graphs', async () => {
  const folder = await readFloatModel(fixture('tfjs-layers-float'))
  const bytes = await readFloatModel(fixtureBytes('tfjs-layers-float/model.json'), {
    sidecar: (name) => (name.endsWith('.bin') ? fixtureBytes(`tfjs-layers-float/${name}`) : undefined),
  })
  equalBytes(answer(folder), answer(bytes), 'folder against bytes')
  const raw = await readFloatModel(fixture('nested.keras2.h5'), { fold: false })
  const folded = await readFloatModel(fixture('nested.keras2.h5'))
  assert.ok(
    opCounts(raw).MUL! >= 2 && opCounts(folded).MUL === undefined,
    'batch norm is separate before folding, gone after',
  )
  assert.ok(relative(answer(raw), answer(folded)) < TOLERANCE)
})

for (const name of Object.keys(expected).filter((n) => n.startsWith('qdq.'))) {
  test(`${name}: 8-bit graph on the file's grids, run by the int8 runtime`, async () => {
    const { output, madeBy } = expected[name]!
    const graph = await readFloatModel(fixture(name))
    const inTensor = graph.tensors[graph.inputs[0]!]!
    const outTensor = graph.tensors[graph.outputs[0]!]!
    const unsigned = name.includes('u8u8')
    assert.is(inTensor.dtype, unsigned ? 'uint8' : 'int8')
    assert.ok(
      graph.ops.every((op) => op.outputs.every((t) => graph.tensors[t]!.dtype !== 'float32')),
      'no float op is left',
    )
    const model = await loadGraph(graph, { variant: 'simd' })
    const [low, high] = unsigned ? [0, 255] : [-128, 127]
    const quantized = Array.from(pseudo(inTensor.shape.reduce((a, b) => a * b, 1)), (v) =>
      Math.max(
        low,
        Math.min(high, roundEven(v / inTensor.quantization!.scales[0]!) + inTensor.quantization!.zeroPoints[0]!),
      ),
    )
    const y = model.run(unsigned ? Uint8Array.from(quantized) : Int8Array.from(quantized))[0]!
    const { scales, zeroPoints } = outTensor.quantization!
    // onnxruntime computes in float between the grids: a step or two of the output's grid apart.
    const steps = Math.max(
      ...Array.from(y as Int8Array, (q, i) => Math.abs(output[i]! / scales[0]! - (q - zeroPoints[0]!))),
    )
    assert.ok(steps <= 3, `${steps} output steps from ${madeBy}`)
    model.dispose()
  })
}

function roundEven(v: number): number {
  const r = Math.round(v)
  return r - v === 0.5 && r % 2 !== 0 ? r - 1 : r
}

test.run()
