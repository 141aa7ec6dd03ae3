import { readFileSync, readdirSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import fc from 'fast-check'
import type { DType, Graph, OpType, Tensor } from '../src/graph/graph.ts'
import { FlatBuffer } from '../src/formats/flatbuffer.ts'
import { readTflite } from '../src/formats/tflite.ts'
import { writeTflite } from '../src/formats/tflite-write.ts'
import { SUPPORTED_OPS } from '../src/lower/index.ts'
import { arbitraryGraph } from './arbitrary-graph.ts'
import { bool, i32, i8, rawTflite, type RawModel, type RawOp, type RawTensor } from './raw-tflite.ts'
import { equalGraphs, smallModels } from './small-models.ts'
import { lines } from './op-cases.ts'
import { need, refusal, root, shared } from './util.ts'

/** What a round trip keeps: everything but the metadata, which `.tflite` has no room for. */
function roundTrip(graph: Graph, what: string): void {
  const back = readTflite(writeTflite(graph))
  equalGraphs({ ...back, metadata: graph.metadata }, graph, what)
}

test('the small models come back as they were written', () => {
  for (const { name, graph } of smallModels()) roundTrip(graph, name)
})

test('arbitrary graphs come back as they were written', () => {
  fc.assert(
    fc.property(arbitraryGraph({ tflite: true }), (graph) => roundTrip(graph, 'graph')),
    { numRuns: 300 },
  )
})

/** A model of one op over tensors of these types, and the version that its operator code gets. */
function versionOf(
  type: OpType,
  attrs: object,
  inputs: readonly (DType | number[])[],
  { output = inputs[0] as DType, perChannel = false } = {},
): number {
  const tensors: Tensor[] = inputs.map((t, i) =>
    Array.isArray(t)
      ? { name: `t${i}`, shape: [t.length], dtype: 'int32', data: new Uint8Array(Int32Array.from(t).buffer) }
      : { name: `t${i}`, shape: [1, 4, 4, 4], dtype: t },
  )
  if (perChannel) {
    tensors[1]!.quantization = { scales: Float32Array.of(1, 2, 3, 4), zeroPoints: new Int32Array(4), axis: 0 }
  }
  const graph = {
    tensors: [...tensors, { name: 'y', shape: [1, 4, 4, 4], dtype: output }],
    ops: [{ type, attrs, inputs: inputs.map((_, i) => i), outputs: [inputs.length] }],
    inputs: [0],
    outputs: [inputs.length],
    metadata: {},
  } as unknown as Graph
  const model = new FlatBuffer(writeTflite(graph), 'model').root('TFL3')
  return model.tables(1, 'operator_codes', 10)[0]!.int32(2, 1)
}

test('versions of operators: the least that has what an op uses, as TensorFlow counts them', () => {
  const window = { padding: 'SAME', strideH: 1, strideW: 1, activation: 'NONE', dilationH: 1, dilationW: 1 }
  const pool = { ...window, filterH: 2, filterW: 2 }
  const plain = { activation: 'NONE' }
  const rows: [OpType, object, number, number, number][] = [
    // Type, attributes, version of float32, of int8, of uint8
    ['ADD', plain, 1, 2, 2],
    ['SUB', plain, 1, 2, 2],
    ['MUL', plain, 1, 2, 2],
    ['AVERAGE_POOL_2D', pool, 1, 2, 2],
    ['MAX_POOL_2D', pool, 1, 2, 2],
    ['SOFTMAX', { beta: 1 }, 1, 2, 2],
    ['LEAKY_RELU', { alpha: 0.1 }, 1, 2, 2],
    ['CONCATENATION', { axis: 3, activation: 'NONE' }, 1, 2, 2],
    ['PACK', { axis: 0, valuesCount: 2 }, 1, 2, 2],
    ['UNPACK', { axis: 0, num: 1 }, 1, 2, 2],
    ['GELU', { approximate: false }, 1, 2, 2],
    ['L2_NORMALIZATION', plain, 1, 2, 2],
    ['BATCH_MATMUL', { adjX: false, adjY: false }, 1, 2, 2],
    ['GATHER', { axis: 0, batchDims: 0 }, 1, 2, 2],
    ['GATHER', { axis: 1, batchDims: 1 }, 5, 5, 5],
    ['SPACE_TO_DEPTH', { blockSize: 2 }, 1, 2, 2],
    ['DEPTH_TO_SPACE', { blockSize: 2 }, 1, 2, 2],
    ['RELU', {}, 1, 2, 2],
    ['HARD_SWISH', {}, 1, 1, 1],
    ['PRELU', {}, 1, 1, 1],
    ['CONV_2D', window, 1, 3, 1],
    ['DEPTHWISE_CONV_2D', { ...window, depthMultiplier: 1 }, 1, 3, 1],
    ['DEPTHWISE_CONV_2D', { ...window, depthMultiplier: 1, dilationW: 2 }, 2, 3, 2],
    ['DEPTHWISE_CONV_2D', { ...window, depthMultiplier: 1, dilationH: 2 }, 2, 3, 2],
    ['FULLY_CONNECTED', { ...plain, keepNumDims: false }, 1, 4, 1],
    ['FULLY_CONNECTED', { ...plain, keepNumDims: true }, 5, 5, 5],
  ]
  for (const [type, attrs, ...versions] of rows) {
    const got = (['float32', 'int8', 'uint8'] as const).map((t) => versionOf(type, attrs, [t, t]))
    assert.equal(got, versions, `${type} ${JSON.stringify(attrs)}`)
  }
  const reduce = { keepDims: true }
  const sizes = { alignCorners: false, halfPixelCenters: false }
  const half = { alignCorners: false, halfPixelCenters: true }
  const more: [string, number, number][] = [
    ['MEAN', versionOf('MEAN', reduce, ['float32', [1]]), 1],
    ['MEAN int8', versionOf('MEAN', reduce, ['int8', [1]]), 2],
    ['RESIZE_BILINEAR', versionOf('RESIZE_BILINEAR', sizes, ['float32', [4, 4]]), 1],
    ['RESIZE_BILINEAR int8', versionOf('RESIZE_BILINEAR', sizes, ['int8', [4, 4]]), 2],
    ['RESIZE_BILINEAR half', versionOf('RESIZE_BILINEAR', half, ['int8', [4, 4]]), 3],
    ['RESIZE_NEAREST_NEIGHBOR int8', versionOf('RESIZE_NEAREST_NEIGHBOR', sizes, ['int8', [4, 4]]), 2],
    ['RESIZE_NEAREST_NEIGHBOR half', versionOf('RESIZE_NEAREST_NEIGHBOR', half, ['float32', [4, 4]]), 3],
    ['SPLIT_V', versionOf('SPLIT_V', { numSplits: 1 }, ['float32', [4], [3]]), 1],
    ['SPLIT_V int8', versionOf('SPLIT_V', { numSplits: 1 }, ['int8', [4], [3]]), 2],
    ['SPLIT int8', versionOf('SPLIT', { numSplits: 1 }, [[3], 'int8'], { output: 'int8' }), 2],
    ['MIRROR_PAD int8', versionOf('MIRROR_PAD', { mode: 'REFLECT' }, ['int8', [0, 0]]), 2],
    ['QUANTIZE', versionOf('QUANTIZE', {}, ['float32'], { output: 'int8' }), 1],
    ['QUANTIZE again', versionOf('QUANTIZE', {}, ['int8'], { output: 'uint8' }), 2],
    ['DEQUANTIZE', versionOf('DEQUANTIZE', {}, ['int8'], { output: 'float32' }), 2],
    ['ARG_MAX', versionOf('ARG_MAX', { outputType: 'int64' }, ['float32', [3]], { output: 'int64' }), 1],
    ['ARG_MAX int8', versionOf('ARG_MAX', { outputType: 'int64' }, ['int8', [3]], { output: 'int64' }), 2],
    ['TRANSPOSE_CONV', versionOf('TRANSPOSE_CONV', window, [[4], 'float32', 'float32'], { output: 'float32' }), 1],
    ['TRANSPOSE_CONV int8', versionOf('TRANSPOSE_CONV', window, [[4], 'int8', 'int8'], { output: 'int8' }), 2],
    ['with a bias', versionOf('TRANSPOSE_CONV', window, [[4], 'int8', 'int8', [1, 2, 3, 4]], { output: 'int8' }), 3],
    [
      'per channel',
      versionOf('FULLY_CONNECTED', { ...plain, keepNumDims: false }, ['int8', 'int8'], { perChannel: true }),
      12,
    ],
  ]
  for (const [what, got, want] of more) assert.is(got, want, what)
})

test('SQUEEZE without its dimensions: those that went are written', () => {
  const squeezed = (from: number[], to: number[]): unknown => {
    const graph = {
      tensors: [
        { name: 'x', shape: from, dtype: 'float32' },
        { name: 'y', shape: to, dtype: 'float32' },
      ],
      ops: [{ type: 'SQUEEZE', attrs: {}, inputs: [0], outputs: [1] }],
      inputs: [0],
      outputs: [1],
      metadata: {},
    } as unknown as Graph
    const options = new FlatBuffer(writeTflite(graph), 'model').root('TFL3').tables(2, 'subgraphs', 1)[0]!
    return options.tables(3, 'operators', 1)[0]!.table(4, 'options')!.int32s(0, 'squeeze_dims', 8)
  }
  assert.equal(squeezed([1, 4, 1, 3], [4, 3]), [0, 2])
  assert.equal(squeezed([1, 4, 1, 3], [1, 4, 3]), [2])
  assert.equal(squeezed([4, 1], [4]), [1])
  assert.equal(squeezed([1, 1], []), [0, 1])
})

test('constants are views of the file', () => {
  const bytes = writeTflite(smallModels()[0]!.graph)
  const graph = readTflite(bytes)
  assert.ok(graph.tensors.some((t) => t.data && t.data.length > 0))
  for (const t of graph.tensors) if (t.data?.length) assert.is(t.data.buffer, bytes.buffer)
})

// Counted with the schema that ai-edge-litert 2.3.0 ships: tensors, ops, and the ops that Thimble does not run.
const MODELS: Record<string, [number, number, string[]]> = {
  ad01_int8: [31, 10, []],
  deeplabv3_mnv2_dm05_pascal_quant: [186, 72, []],
  keras_lstm_mnist_ptq: [29, 6, []],
  kws_ref_model: [35, 13, []],
  'mobilenet_v1_0.25_128_quant': [89, 31, []],
  'mobilenet_v1_0.75_192_quant': [89, 31, []],
  'mobilenet_v2_1.0_224_inat_bird_quant': [172, 65, []],
  'mobilenet_v2_1.0_224_quant': [174, 66, []],
  model_invoking_error: [2, 1, ['CUSTOM fake-op-double']],
  movenet_single_pose_lightning_ptq: [333, 157, []],
  pretrainedResnet_quant: [38, 16, []],
  str_ww_ref_model: [31, 11, []],
  'tf2_mobilenet_v2_1.0_224_ptq': [177, 68, []],
  vww_96_float: [89, 31, []],
  vww_96_int8: [89, 31, []],
}

need(test, 'every model file reads', { resource: shared('models'), missing: 'no ../shared/models' }, (folder) => {
  const files = readdirSync(folder)
    .filter((f) => f.endsWith('.tflite'))
    .map((f) => f.slice(0, -7))
  assert.ok(files.length >= 15)
  for (const name of files) {
    const graph = readTflite(readFileSync(`${folder}/${name}.tflite`))
    const unsupported = graph.ops.flatMap((op) => (op.type === 'UNSUPPORTED' ? [op.attrs.name] : []))
    if (MODELS[name]) assert.equal([graph.tensors.length, graph.ops.length, unsupported], MODELS[name], name)
  }
})

need(
  test,
  'every single-op model reads, with the recorded inputs and outputs',
  { resource: shared('goldens/ops.jsonl.gz'), missing: 'no ../shared/goldens/ops.jsonl.gz' },
  (file) => {
    for (const line of lines(file)) {
      const { kind, model, inputs, outputs } = JSON.parse(line) as {
        kind: string
        model: string
        inputs: { index: number; data: string }[]
        outputs: { index: number; dtype: string; shape: number[] }[]
      }
      const graph = readTflite(new Uint8Array(Buffer.from(model, 'base64')))
      assert.equal(
        graph.inputs,
        inputs.map((i) => i.index),
        kind,
      )
      assert.equal(
        graph.outputs.map((i) => ({ index: i, dtype: graph.tensors[i]!.dtype, shape: graph.tensors[i]!.shape })),
        outputs.map(({ index, dtype, shape }) => ({ index, dtype, shape })),
        kind,
      )
      assert.not.ok(
        graph.ops.some((op) => op.type === 'UNSUPPORTED'),
        kind,
      )
    }
    console.log(`${lines.length} single-op models`)
  },
)

const RELU = 19
const CONV = 3
const ADD = 0
const FULLY_CONNECTED = 9
const CUSTOM = 32
const HASHTABLE = 136
const vector = (t: RawTensor = {}): RawTensor => ({ shape: [1, 4], scales: [0.5], zeroPoints: [3], ...t })
/** x -> op -> y, with whatever is given instead. */
const model = (change: Partial<RawModel> = {}, op: Partial<RawOp> = {}): RawModel => ({
  codes: [{ narrow: RELU }],
  buffers: [undefined],
  tensors: [vector({ name: 'x' }), vector({ name: 'y' })],
  ops: [{ code: 0, inputs: [0], outputs: [1], ...op }],
  inputs: [0],
  outputs: [1],
  ...change,
})
const read = (change: Partial<RawModel> = {}, op: Partial<RawOp> = {}): Graph =>
  readTflite(rawTflite(model(change, op)))
const unsupported = (change: Partial<RawModel> = {}, op: Partial<RawOp> = {}): string[] =>
  read(change, op).ops.flatMap((o) => (o.type === 'UNSUPPORTED' ? [o.attrs.name] : []))

test('the builtin code is the larger of the two fields', () => {
  assert.is(read().ops[0]!.type, 'RELU')
  assert.is(read({ codes: [{ narrow: 127, wide: HASHTABLE }] }).ops[0]!.type, 'UNSUPPORTED')
  assert.equal(unsupported({ codes: [{ narrow: 127, wide: HASHTABLE }] }), ['HASHTABLE'])
  assert.equal(unsupported({ codes: [{ wide: HASHTABLE }] }), ['HASHTABLE'])
  assert.equal(unsupported({ codes: [{ narrow: 127, wide: 9999 }] }), ['BUILTIN 9999'])
})

test('what Thimble does not run becomes an op with a name, never an error', () => {
  assert.equal(
    unsupported({ codes: [{ narrow: CUSTOM, custom: 'edgetpu-custom-op' }] }, { custom: Uint8Array.of(1, 2, 3) }),
    ['CUSTOM edgetpu-custom-op'],
  )
  assert.equal(unsupported({ codes: [{ narrow: CUSTOM }] }), ['CUSTOM'])
  assert.equal(unsupported({ codes: [{ narrow: ADD }] }, { inputs: [0, 0], optionsType: 11, options: [i8(4)] }), [
    'ADD with TANH activation',
  ])
  assert.equal(
    unsupported(
      { codes: [{ narrow: FULLY_CONNECTED }] },
      { inputs: [0, 0], optionsType: 8, options: [undefined, i8(1)] },
    ),
    ['FULLY_CONNECTED with shuffled weights'],
  )
  assert.equal(unsupported({ tensors: [vector({ type: 17 }), vector()] }), ['RELU with INT4 tensors'])
  assert.equal(unsupported({ tensors: [vector({ type: 5 }), vector()] }), ['RELU with STRING tensors'])
  assert.equal(unsupported({ tensors: [vector({ sparse: true }), vector()] }), ['RELU with sparse tensors'])
  assert.equal(unsupported({ tensors: [vector({ details: 2 }), vector()] }), ['RELU with blockwise quantization'])
  assert.equal(
    unsupported(
      {
        tensors: [vector(), vector(), vector({ variable: true, buffer: 1 })],
        buffers: [undefined, Uint8Array.of(1, 2, 3, 4)],
        codes: [{ narrow: ADD }],
      },
      { inputs: [0, 2] },
    ),
    ['ADD with variable tensors that have contents'],
  )
  // Recorded shapes of activations are computed anew.
  assert.equal(unsupported({ tensors: [vector({ shape: [1, 0] }), vector()] }), [])
  assert.equal(unsupported({ codes: [{ wide: 118 }], subgraphs: 3 }), ['IF with a condition of several values'])
})

// Made by the Python package flatbuffers 25.12.19 (flexbuffers.Dumps).
const POSTPROCESS =
  'bWF4X2RldGVjdGlvbnMAbWF4X2NsYXNzZXNfcGVyX2RldGVjdGlvbgBkZXRlY3Rpb25zX3Blcl9jbGFzcwB1c2VfcmVndWxhcl9ubXMAbm1zX3Njb3JlX3RocmVzaG9sZABubXNfaW91X3RocmVzaG9sZABudW1fY2xhc3NlcwB5X3NjYWxlAHhfc2NhbGUAaF9zY2FsZQB3X3NjYWxlAAt4EpSkQ1gzahEiKwsAAAABAAAACwAAAEYAAAAAAKBAAQAAAAoAAAAAAAA/AACAPloAAAABAAAAAACgQAAAIEEAACBBBg4GBg4OBmoODg43JgE='

test('the post-processing op of SSD detectors, options in a flexbuffer', () => {
  const detector = (custom: Uint8Array): Graph =>
    read(
      {
        codes: [{ narrow: CUSTOM, custom: 'TFLite_Detection_PostProcess' }],
        tensors: [0, 1, 2, 3, 4, 5, 6].map(() => vector()),
        inputs: [0, 1, 2],
        outputs: [3, 4, 5, 6],
      },
      { inputs: [0, 1, 2], outputs: [3, 4, 5, 6], custom },
    )
  const op = detector(new Uint8Array(Buffer.from(POSTPROCESS, 'base64'))).ops[0]!
  assert.is(op.type, 'DETECTION_POSTPROCESS')
  assert.equal(op.attrs, {
    maxDetections: 10,
    maxClassesPerDetection: 1,
    detectionsPerClass: 70,
    useRegularNms: true,
    nmsScoreThreshold: 0.25,
    nmsIouThreshold: 0.5,
    numClasses: 90,
    yScale: 10,
    xScale: 10,
    hScale: 5,
    wScale: 5,
  })
  assert.is(refusal(() => detector(Uint8Array.of(1, 2, 3, 4))).code, 'format/flexbuffer')
})

test("missing options mean the schema's defaults", () => {
  assert.equal(read({ codes: [{ narrow: ADD }] }, { inputs: [0, 0] }).ops[0]!.attrs, { activation: 'NONE' })
  const conv = (options: RawOp['options']): Graph =>
    read({ codes: [{ narrow: CONV }] }, { inputs: [0, 0], optionsType: 1, options })
  assert.equal(conv([i8(1), i32(2), i32(3), i8(3)]).ops[0]!.attrs, {
    padding: 'VALID',
    strideW: 2,
    strideH: 3,
    activation: 'RELU6',
    dilationW: 1,
    dilationH: 1,
  })
  assert.is(refusal(() => conv([i8(1), i32(2)])).code, 'format/op-attribute', 'a stride of 0')
  assert.is(refusal(() => conv([i8(7), i32(2), i32(2)])).code, 'format/op-attribute', 'padding 7')
  assert.is(
    refusal(() => read({ codes: [{ narrow: CONV }] }, { inputs: [0, 0], optionsType: 5, options: [] })).code,
    'format/op-attribute',
    'options of a pool',
  )
})

test("the depth multiplier is the shapes'; another is an error, none is not run", () => {
  const depthwise = (multiplier: number): Partial<RawModel> => ({
    codes: [{ narrow: 4 }],
    tensors: [vector({ shape: [1, 4, 4, 2] }), vector(), vector({ shape: [1, 1, 1, 6], buffer: 1 })],
    buffers: [undefined, new Uint8Array(6)],
    ops: [{ code: 0, inputs: [0, 2], outputs: [1], optionsType: 2, options: [i8(0), i32(1), i32(1), i32(multiplier)] }],
  })
  assert.equal(read(depthwise(3)).ops[0]!.attrs, {
    padding: 'SAME',
    strideW: 1,
    strideH: 1,
    depthMultiplier: 3,
    activation: 'NONE',
    dilationW: 1,
    dilationH: 1,
  })
  // Whether it fits the shapes is seen when they are known.
  assert.is((read(depthwise(2)).ops[0]!.attrs as { depthMultiplier: number }).depthMultiplier, 2)
  assert.equal(unsupported(depthwise(0)), ['DEPTHWISE_CONV_2D with no depth multiplier'])
})

test('negative axes stay as they are; flags of STRIDED_SLICE and RESIZE_BILINEAR', () => {
  assert.equal(read({ codes: [{ narrow: 2 }] }, { optionsType: 10, options: [i32(-1)] }).ops[0]!.attrs, {
    axis: -1,
    activation: 'NONE',
  })
  assert.is(
    refusal(() => read({ codes: [{ narrow: 2 }] }, { optionsType: 10, options: [i32(-33)] })).code,
    'format/op-attribute',
  )
  const slice = (options: RawOp['options']): Partial<RawOp> => ({ inputs: [0, 0, 0, 0], optionsType: 32, options })
  assert.equal(read({ codes: [{ narrow: 45 }] }, slice([i32(1), i32(2), undefined, i32(4), i32(8)])).ops[0]!.attrs, {
    beginMask: 1,
    endMask: 2,
    ellipsisMask: 0,
    newAxisMask: 4,
    shrinkAxisMask: 8,
  })
  assert.equal(
    unsupported(
      { codes: [{ narrow: 45 }] },
      slice([undefined, undefined, undefined, undefined, undefined, bool(true)]),
    ),
    ['STRIDED_SLICE with offset ends'],
  )
  assert.equal(
    read({ codes: [{ narrow: 23 }] }, { inputs: [0, 0], optionsType: 15, options: [undefined, undefined, bool(true)] })
      .ops[0]!.attrs,
    { alignCorners: true, halfPixelCenters: false },
  )
})

test('constants: in the file, behind the flatbuffer, empty, absent list of buffers', () => {
  const constant = (buffers: RawModel['buffers'], t: RawTensor = {}): Graph =>
    read(
      { buffers, tensors: [vector(), vector(), vector({ buffer: 1, ...t })], codes: [{ narrow: ADD }] },
      { inputs: [0, 2] },
    )
  assert.equal([...constant([undefined, Uint8Array.of(1, 2, 3, 4)]).tensors[2]!.data!], [1, 2, 3, 4])
  const size = rawTflite(
    model(
      {
        buffers: [undefined, { offset: 4096, size: 4 }],
        tensors: [vector(), vector(), vector({ buffer: 1 })],
        codes: [{ narrow: ADD }],
      },
      { inputs: [0, 2] },
    ),
  )
  const file = new Uint8Array(4100)
  file.set(size)
  file.set([9, 8, 7, 6], 4096)
  assert.equal([...readTflite(file).tensors[2]!.data!], [9, 8, 7, 6])
  assert.is(refusal(() => readTflite(file.subarray(0, 4099))).code, 'format/flatbuffer')
  assert.is(refusal(() => constant([undefined, Uint8Array.of(1, 2, 3)])).code, 'format/constant-size')
  assert.is(refusal(() => constant([undefined, undefined])).code, 'format/order', 'an empty buffer is no constant')
  assert.is(refusal(() => constant([undefined])).code, 'format/buffer')
  assert.is(refusal(() => constant([undefined], { buffer: 0, externalBuffer: 1 })).code, 'format/external-weights')
  assert.is(
    constant([undefined, undefined], { shape: [0], type: 2, scales: undefined, zeroPoints: undefined }).tensors[2]!
      .data!.length,
    0,
  )
  assert.is(read({ buffers: undefined }).tensors.length, 2)
})

test('scalars have no shape; long zero points and per-channel scales', () => {
  assert.equal(read({ tensors: [{}, {}] }).tensors, [
    { name: 'tensor 0', shape: [], dtype: 'int8' },
    { name: 'tensor 1', shape: [], dtype: 'int8' },
  ])
  const q = read({ tensors: [vector({ scales: [0.1, 0.2, 0.3, 0.4], zeroPoints: [0, 1, 2, 3], axis: 1 }), vector()] })
    .tensors[0]!.quantization!
  assert.equal([[...q.scales], [...q.zeroPoints], q.axis], [[0.1, 0.2, 0.3, 0.4].map(Math.fround), [0, 1, 2, 3], 1])
  const bad = (t: RawTensor): string => refusal(() => read({ tensors: [vector(t), vector()] })).code
  for (const t of [
    { scales: [0.1, 0.2], zeroPoints: [0, 0], axis: 1 },
    { scales: [0.1], zeroPoints: [] },
    { scales: [0.1], zeroPoints: [0], axis: 2 },
    { scales: [0.1], zeroPoints: [0], axis: -1 },
    { scales: [NaN], zeroPoints: [0] },
    { scales: [Infinity], zeroPoints: [0] },
    { zeroPoints: [128] },
    { zeroPoints: [2 ** 40] },
  ]) {
    assert.is(bad(t), 'format/quantization', JSON.stringify(t))
  }
})

test('files that contradict themselves: the code says how', () => {
  const rows: [string, string, Partial<RawModel>, Partial<RawOp>?][] = [
    ['format/version', 'schema 2', { version: 2 }],
    ['format/no-graph', 'no subgraph', { subgraphs: 0 }],
    ['format/inputs', 'no inputs', { inputs: [] }],
    ['format/inputs', 'no outputs', { outputs: [] }],
    ['format/inputs', 'an input listed twice', { inputs: [0, 0] }],
    [
      'format/inputs',
      'a constant as input',
      { buffers: [undefined, new Uint8Array(4)], tensors: [vector({ buffer: 1 }), vector()] },
    ],
    ['format/tensor-index', 'input out of range', { inputs: [2] }],
    ['format/tensor-index', 'output out of range', { outputs: [-1] }],
    ['format/tensor-index', 'operand out of range', {}, { inputs: [7] }],
    ['format/tensor-index', 'operand -2', {}, { inputs: [-2] }],
    ['format/op-operands', 'missing operand', {}, { inputs: [-1] }],
    ['format/op-operands', 'two inputs for RELU', {}, { inputs: [0, 0] }],
    ['format/op-operands', 'no output for RELU', {}, { outputs: [] }],
    ['format/opcode', 'no such operator code', {}, { code: 1 }],
    ['format/order', 'reads its own output', {}, { inputs: [1] }],
    ['format/order', 'output that nothing writes', { tensors: [vector(), vector(), vector()], outputs: [2] }],
    ['format/written-twice', 'writes an input', {}, { outputs: [0] }],
    [
      'format/written-twice',
      'two writers',
      {
        ops: [
          { code: 0, inputs: [0], outputs: [1] },
          { code: 0, inputs: [0], outputs: [1] },
        ],
      },
    ],
    [
      'format/order',
      'ops in the wrong order',
      {
        tensors: [vector(), vector(), vector()],
        outputs: [2],
        ops: [
          { code: 0, inputs: [1], outputs: [2] },
          { code: 0, inputs: [0], outputs: [1] },
        ],
      },
    ],
    ['format/shape', 'negative dimension', { tensors: [vector({ shape: [1, -2] }), vector()] }],
    ['format/shape', 'product beyond 2^31', { tensors: [vector({ shape: [65536, 65536] }), vector()] }],
    [
      'format/shape',
      'product beyond 2^31 hidden by a zero',
      { tensors: [vector({ shape: [65536, 65536, 0] }), vector()] },
    ],
    [
      'format/shape',
      'product beyond 2^53',
      { tensors: [vector({ shape: [2147483647, 2147483647, 2147483647] }), vector()] },
    ],
    ['format/limit', '33 dimensions', { tensors: [vector({ shape: new Array<number>(33).fill(1) }), vector()] }],
    ['format/tensor-type', 'type 99', { tensors: [vector({ type: 99 }), vector()] }],
  ]
  for (const [code, what, change, op] of rows) assert.is(refusal(() => read(change, op)).code, code, what)
})

test('an error is one line that names the place', () => {
  const e = refusal(() => read({ tensors: [vector({ name: 'the\ninput', shape: [1, -2] }), vector()] }))
  assert.match(e.message, /^format\/shape: .*"the input".*expected.*got \[1,-2\]/)
  assert.not.match(e.message, /\n/)
})

test("description: the model's own, not a converter's signature", () => {
  assert.equal(read({ description: 'a cat detector' }).metadata, { description: 'a cat detector' })
  assert.equal(read({ description: 'MLIR Converted.' }).metadata, {})
})

test('OPERATORS.md has a row with every op that runs', () => {
  const rows = readFileSync(`${root}OPERATORS.md`, 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('| '))
    .map((line) => line.split('|')[1]!)
    .join()
  for (const op of SUPPORTED_OPS) {
    assert.ok(rows.includes(op === 'DETECTION_POSTPROCESS' ? 'TFLite_Detection_PostProcess' : op), op)
  }
})

test.run()
