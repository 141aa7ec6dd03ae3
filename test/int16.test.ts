/**
 * 16-bit activations: networks as TensorFlow's converter exports them against LiteRT's answers
 * (tools/goldens/int16_nets.py), in every form that a model takes; what LiteRT refuses, refused by name. Single ops:
 * op-goldens.test.ts.
 */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { createClassifier, loadModel } from '../src/node.ts'
import { readModel } from '../src/formats/index.ts'
import { writePacked } from '../src/formats/packed-write.ts'
import { writeTflite } from '../src/formats/tflite-write.ts'
import type { Graph, Op, Tensor } from '../src/graph/graph.ts'

import { packGraph } from '../src/pack/pack.ts'
import { compileModel } from '../src/plan/compile.ts'
import { withPrograms } from '../src/plan/record.ts'
import type { Model } from '../src/graph/types.ts'
import { lines } from './op-cases.ts'
import { equalBytes, errorCode, refusal, root } from './util.ts'

interface Network {
  name: string
  model: string
  runs: { inputs: string[]; outputs: string[] }[]
}

const networks = lines(`${root}test/goldens/int16/nets.jsonl.gz`).map((line) => JSON.parse(line) as Network)

const bytesOf = (base64: string): Uint8Array<ArrayBuffer> => new Uint8Array(Buffer.from(base64, 'base64'))

const FORMS: Record<string, (bytes: Uint8Array<ArrayBuffer>) => Promise<Model>> = {
  simd: (bytes) => loadModel(bytes, { variant: 'simd' }),
  'simd, size': (bytes) => loadModel(bytes, { variant: 'simd', plan: 'size' }),
  scalar: (bytes) => loadModel(bytes, { variant: 'scalar' }),
  'two threads': (bytes) => loadModel(bytes, { threads: 2 }),
  thimble: (bytes) => loadModel(writePacked(withPrograms(readModel(bytes)))),
  'written again': (bytes) => loadModel(writeTflite(readModel(bytes))),
  'packed simd': async (bytes) => loadModel(new WebAssembly.Module((await packGraph(readModel(bytes))).wasm.slice())),
  'packed scalar': async (bytes) =>
    loadModel(new WebAssembly.Module((await packGraph(readModel(bytes), { variant: 'scalar' })).wasm.slice())),
}

for (const [form, load] of Object.entries(FORMS)) {
  test(`networks, ${form}`, async () => {
    for (const { name, model: file, runs } of networks) {
      const model = await load(bytesOf(file))
      assert.is(model.inputs[0]!.dtype, 'int16')
      for (const { inputs, outputs } of runs) {
        const out = model.run(inputs.map((x) => new Int16Array(bytesOf(x).buffer)))
        outputs.forEach((want, i) => {
          assert.instance(out[i], Int16Array)
          equalBytes(out[i]!, bytesOf(want), `${name}, output ${i}`)
        })
      }
      model.dispose()
    }
  })
}

test('an array of another type is refused', async () => {
  const model = await loadModel(bytesOf(networks[0]!.model))
  const error = refusal(() => model.run(new Int8Array(40 * 13)))
  assert.match(error.message, /Int16Array|int16/)
})

test('a photo is quantized to 16 bits, and the softmax read as probabilities', async () => {
  const model = await loadModel(bytesOf(networks.find((n) => n.name === 'mobilenet-v2')!.model))
  const preprocess = {
    fit: 'stretch' as const,
    method: 'bilinear' as const,
    channels: 'rgb' as const,
    mean: [127.5],
    std: [127.5],
  }
  const classifier = await createClassifier(model, { preprocess, topK: 10 })
  const data = Uint8Array.from({ length: 48 * 48 * 3 }, (_, i) => (i * 37) % 256)
  const predictions = classifier.classify({ data, width: 48, height: 48, channels: 3 })
  const input = Int16Array.from(data, (p) => {
    const v = (p - 127.5) / 127.5 / model.inputs[0]!.scale
    return Math.min(32767, Math.max(-32768, Math.round(v)))
  })
  const [out] = model.run(input) as [Int16Array]
  for (const { index, score } of predictions) assert.ok(Math.abs(score - out[index]! / 32768) < 1e-3)
})

test('the C header has the type', async () => {
  const { header } = await packGraph(readModel(bytesOf(networks[0]!.model)))
  assert.match(header, /_INPUT\w*_TYPE int16_t/)
})

/** A graph of one op from int16 [1, 4, 4, 4] to `out`. */
function graphOf(op: Pick<Op, 'type' | 'attrs'>, out: Partial<Tensor> = {}, more: Tensor[] = []): Graph {
  const quantization = { scales: Float32Array.of(2 ** -12), zeroPoints: Int32Array.of(0), axis: 0 }
  const x: Tensor = { name: 'x', shape: [1, 4, 4, 4], dtype: 'int16', quantization }
  return {
    tensors: [x, { ...x, name: 'y', ...out }, ...more],
    ops: [{ ...op, inputs: [0, ...more.map((_, i) => i + 2)], outputs: [1] } as Op],
    inputs: [0],
    outputs: [1],
    metadata: {},
  }
}
const compile = (graph: Graph): unknown => compileModel(graph, { variant: 'simd', plan: 'speed' })

test('what LiteRT refuses is refused by name', () => {
  const plain = ['HARD_SWISH', 'RELU_N1_TO_1', 'RELU_0_TO_1', 'ELU', 'LOG_SOFTMAX', 'SQUARE', 'FLOOR', 'ROUND'] as const
  for (const type of plain) {
    const { code, message } = refusal(() => compile(graphOf({ type, attrs: {} })))
    assert.is(code, 'lower/unsupported-op')
    assert.ok(message.includes(`${type} at op 0`), message)
  }
  const eight = graphOf({ type: 'QUANTIZE', attrs: {} }, { dtype: 'uint8' })
  assert.match(refusal(() => compile(eight)).message, /int16 to uint8/)
})

test('zero points other than 0 are refused', () => {
  const graph = graphOf({ type: 'RELU', attrs: {} })
  graph.tensors[0]!.quantization!.zeroPoints[0] = 3
  assert.is(
    errorCode(() => compile(graph)),
    'lower/quantization',
  )
})

test('a bias of 32 bits that LiteRT would read as 64 is refused, one that is said to be is run', () => {
  const q = { scales: Float32Array.of(2 ** -7), zeroPoints: Int32Array.of(0), axis: 0 }
  const filter: Tensor = { name: 'w', shape: [4, 1, 1, 4], dtype: 'int8', quantization: q, data: new Uint8Array(16) }
  const bias: Tensor = { name: 'b', shape: [4], dtype: 'int32', quantization: q, data: new Uint8Array(16) }
  const attrs = {
    padding: 'SAME',
    strideH: 1,
    strideW: 1,
    dilationH: 1,
    dilationW: 1,
    activation: 'NONE',
  } as const
  assert.is(
    errorCode(() => compile(graphOf({ type: 'CONV_2D', attrs }, {}, [filter, bias]))),
    'lower/dtype',
  )
  compile(graphOf({ type: 'CONV_2D', attrs: { ...attrs, narrowBias: true } }, {}, [filter, bias]))
})

test.run()
