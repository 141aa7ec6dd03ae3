/** Float .tflite files with weights of 8 or 16 bits: what they are called, the command for them, and that it works. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { readFloatModel } from '../src/convert/index.ts'
import { floatsOf } from '../src/convert/values.ts'
import { readTflite } from '../src/formats/tflite.ts'
import { writeTflite } from '../src/formats/tflite-write.ts'
import type { Graph } from '../src/graph/graph.ts'
import { loadModel } from '../src/node.ts'
import { thimble } from './call-cli.ts'
import { answer, fixture, fixtureBytes, opCounts, relative } from './convert-util.ts'
import { GraphBuilder } from './small-models.ts'

/** A float graph with int8 filters, one scale a channel, as the converter's dynamic-range quantization stores them. */
function dynamicRange(graph: Graph): Graph {
  const tensors = [...graph.tensors]
  for (const op of graph.ops) {
    if (!['CONV_2D', 'DEPTHWISE_CONV_2D', 'FULLY_CONNECTED'].includes(op.type)) continue
    const [index, axis] = [op.inputs[1]!, op.type === 'DEPTHWISE_CONV_2D' ? 3 : 0]
    const t = tensors[index]!
    if (!t.data) continue
    const values = floatsOf(t)
    const inner = t.shape.slice(axis + 1).reduce((a, b) => a * b, 1)
    const channel = (i: number): number => Math.floor(i / inner) % t.shape[axis]!
    const scales = new Float32Array(t.shape[axis]!).fill(1e-9)
    values.forEach((v, i) => (scales[channel(i)] = Math.max(scales[channel(i)]!, Math.abs(v) / 127)))
    const data = Int8Array.from(values, (v, i) => Math.round(v / scales[channel(i)]!))
    const quantization = { scales, zeroPoints: new Int32Array(scales.length), axis }
    tensors[index] = { ...t, dtype: 'int8', quantization, data: new Uint8Array(data.buffer) }
  }
  return { ...graph, tensors }
}

const folder = mkdtempSync(join(tmpdir(), 'thimble-'))
test.after(() => rmSync(folder, { recursive: true }))
const path = join(folder, 'dynamic.tflite')
writeFileSync(path, writeTflite(dynamicRange(readTflite(fixtureBytes('everywhere.float32.tflite')))))
const command = `thimble quantize ${path} --calibration PHOTOS -o ${path.replace('.tflite', '.int8.thimble')}`

test('weights of 8 bits are read as the real numbers they stand for', async () => {
  const [near, exact] = [await readFloatModel(path), await readFloatModel(fixture('everywhere.float32.tflite'))]
  assert.equal(opCounts(near), opCounts(exact))
  const difference = relative(answer(near), answer(exact))
  assert.ok(difference > 0 && difference < 0.03, `relative difference ${difference}`)
})

test('loading, classify and inspect name the kind of file and the command', async () => {
  let message = ''
  await loadModel(path).catch((error: Error) => (message = error.message))
  assert.match(message, 'lower/float-model: this is a float model with int8 weights (dynamic range)')
  assert.match(message, command)
  const photo = join(folder, 'photo.ppm')
  writeFileSync(photo, `P6 2 2 255\n${'x'.repeat(12)}`)
  const { code, err } = await thimble(['classify', photo, '--model', path])
  assert.is(code, 1)
  assert.match(err, command)
  assert.is(err.trim().split('\n').length, 1)
  const shown = await thimble(['inspect', path])
  assert.match(shown.out, `this is a float model with int8 weights (dynamic range). Make it int8: ${command}`)
  const json = JSON.parse((await thimble(['inspect', path, '--json'])).out) as { floatModel: string; command: string }
  assert.is(json.floatModel, 'a float model with int8 weights (dynamic range)')
  assert.is(json.command, 'quantize')
})

test('convert tells the same', async () => {
  assert.match((await thimble(['convert', path])).out, /a float model with int8 weights \(dynamic range\)/)
  assert.match((await thimble(['convert', path])).out, `runs when quantized: ${command}`)
  assert.match((await thimble(['convert', path, '-o', join(folder, 'a.thimble')])).err, command)
  const dynamic = await thimble(['convert', fixture('dynamic.onnx')])
  assert.is(
    dynamic.err,
    'thimble: note: the file is a float model with int8 weights (dynamic range), which were dequantized to float32 first\n',
  )
  assert.is(
    (await thimble(['convert', fixture('torch.opset18.onnx')])).err,
    '',
    'of float weights there is no such word',
  )
  const half = await thimble(['convert', fixture('everywhere.float16.tflite')])
  assert.match(half.out, 'a float model with float16 weights')
})

test('quantize takes it, and says what it took', async () => {
  const header = "{'descr': '<f4', 'fortran_order': False, 'shape': (4, 10, 10, 4), }".padEnd(117) + '\n'
  const values = Float32Array.from({ length: 1600 }, (_, i) => Math.sin(i * i))
  const arrays = join(folder, 'arrays.npy')
  writeFileSync(
    arrays,
    Buffer.concat([Buffer.from('\x93NUMPY\x01\x00v\x00', 'latin1'), Buffer.from(header), Buffer.from(values.buffer)]),
  )
  const out = join(folder, 'small.tflite')
  const { code, err } = await thimble(['quantize', path, '--calibration', arrays, '-o', out, '--inputs', '4'])
  assert.is(code, 0, err)
  assert.match(err, 'a float model with int8 weights (dynamic range), which were dequantized to float32 first')
  ;(await loadModel(out)).dispose()
})

test('what shapes decide is a constant: a reshape of an open batch', async () => {
  const b = new GraphBuilder(1)
  const x = b.tensor([1, 2, 3, 4], 'float32')
  b.graph.inputs.push(x)
  const shape = b.op('SHAPE', [x], [b.tensor([4], 'int32')], { outputType: 'int32' })
  const batch = b.op('STRIDED_SLICE', [shape, b.ints([0]), b.ints([1]), b.ints([1])], [b.tensor([], 'int32')], {
    beginMask: 0,
    endMask: 0,
    ellipsisMask: 0,
    newAxisMask: 0,
    shrinkAxisMask: 1,
  })
  const flat = b.op('PACK', [batch, b.ints([24], [])], [b.tensor([2], 'int32')], { axis: 0, valuesCount: 2 })
  const rows = b.op('RESHAPE', [x, flat], [b.tensor([1, 24], 'float32')], {})
  const w = b.tensor([3, 24], 'float32')
  b.graph.tensors[w]!.data = new Uint8Array(Float32Array.from({ length: 72 }, (_, i) => i / 72).buffer)
  const y = b.op('FULLY_CONNECTED', [rows, w, -1], [b.tensor([1, 3], 'float32')], {
    activation: 'NONE',
    keepNumDims: false,
  })
  const graph = await readFloatModel(writeTflite(b.done(y)))
  assert.equal(opCounts(graph), { RESHAPE: 1, FULLY_CONNECTED: 1 })
})

test.run()
