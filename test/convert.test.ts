/** Models that other tools wrote give their own tool's answer. Fixtures: test/fixtures/convert/generate.py and generate.mjs. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { readFloatModel, sniffModel } from '../src/convert/index.ts'
import { loadGraph } from '../src/load.ts'
import { answer, expected, fixture, fixtureBytes, opCounts, pseudo, relative } from './convert-util.ts'
import { equalBytes } from './util.ts'
import '../src/node.ts'

const TOLERANCE = 5e-6

for (const [name, { output, madeBy, input }] of Object.entries(expected)) {
  if (name.startsWith('qdq.')) continue
  test(`${name}, by ${madeBy}`, async () => {
    const graph = await readFloatModel(fixture(name))
    assert.equal([...graph.tensors[graph.inputs[0]!]!.shape], input, 'input shape')
    const difference = relative(answer(graph), output)
    assert.ok(difference <= TOLERANCE, `relative difference ${difference}`)
    assert.ok(graph.ops.every((op) => op.type !== 'TRANSPOSE' && op.type !== 'UNSUPPORTED'), 'no transposes, nothing unsupported')
  })
}

test('formats are recognised by content', async () => {
  const kinds: Record<string, string> = {
    'nested.keras2.h5': 'keras-h5', 'everywhere.keras3.keras': 'keras', 'tfjs-graph/model.json': 'tfjs', 'torch.opset9.onnx': 'onnx', 'everywhere.float32.tflite': 'tflite',
    'mobilenet_v3_small.pt': 'pytorch', 'mobilenet_v3_small.legacy.pth': 'pytorch', 'mobilenet_v3_small.safetensors': 'safetensors', 'teachable-machine.zip': 'zip',
  }
  for (const [file, kind] of Object.entries(kinds)) assert.is(await sniffModel(fixtureBytes(file)), kind, file)
  assert.is(await sniffModel(new Uint8Array([1, 2, 3])), undefined)
})

test('Teachable Machine brings labels and preprocessing', async () => {
  const { metadata } = await readFloatModel(fixtureBytes('teachable-machine.zip'))
  assert.equal(metadata.labels, ['Cat', 'Dog', 'Nothing'])
  assert.equal(metadata.preprocess, { fit: 'crop', method: 'bilinear', channels: 'rgb', mean: [127.5], std: [127.5] })
  assert.is(metadata.name, 'tm-my-image-model')
})

test('bytes with a sidecar, folders and unfolded graphs', async () => {
  const folder = await readFloatModel(fixture('tfjs-layers-float'))
  const bytes = await readFloatModel(fixtureBytes('tfjs-layers-float/model.json'), { sidecar: (name) => (name.endsWith('.bin') ? fixtureBytes(`tfjs-layers-float/${name}`) : undefined) })
  equalBytes(answer(folder), answer(bytes), 'folder against bytes')
  const raw = await readFloatModel(fixture('nested.keras2.h5'), { fold: false })
  const folded = await readFloatModel(fixture('nested.keras2.h5'))
  assert.ok(opCounts(raw).MUL! >= 2 && opCounts(folded).MUL === undefined, 'batch norm is separate before folding, gone after')
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
    assert.ok(graph.ops.every((op) => op.outputs.every((t) => graph.tensors[t]!.dtype !== 'float32')), 'no float op is left')
    const model = await loadGraph(graph, { variant: 'simd' })
    const [low, high] = unsigned ? [0, 255] : [-128, 127]
    const quantized = Array.from(pseudo(inTensor.shape.reduce((a, b) => a * b, 1)), (v) => Math.max(low, Math.min(high, roundEven(v / inTensor.quantization!.scales[0]!) + inTensor.quantization!.zeroPoints[0]!)))
    const y = model.run(unsigned ? Uint8Array.from(quantized) : Int8Array.from(quantized))[0]!
    const { scales, zeroPoints } = outTensor.quantization!
    // onnxruntime computes in float between the grids: a step or two of the output's grid apart.
    const steps = Math.max(...Array.from(y as Int8Array, (q, i) => Math.abs(output[i]! / scales[0]! - (q - zeroPoints[0]!))))
    assert.ok(steps <= 3, `${steps} output steps from ${madeBy}`)
    model.dispose()
  })
}

function roundEven(v: number): number {
  const r = Math.round(v)
  return r - v === 0.5 && r % 2 !== 0 ? r - 1 : r
}

test.run()
