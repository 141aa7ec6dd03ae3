/**
 * Ops as a `.tflite` stores them: version, options union, fields of the options table. The inverse of `tflite-ops.ts`.
 * Source: tensorflow/lite/schema/schema.fbs (slots), lite/tools/versioning/op_version.cc (versions).
 */
import { ThimbleError } from '../base/errors.ts'
import type { DType, Graph, Op, OpAttributes, Padding, Tensor } from '../graph/graph.ts'
import { bool, f32, i32, i8, offset, type Field, type FlatBufferBuilder } from './flatbuffer-build.ts'
import { writeFlexMap } from './flexbuffer.ts'
import { ACTIVATION_NAMES, TYPE_NAMES } from './tflite-names.ts'

/** How an op is stored: version, options union number (0: none), option fields by slot. */
export interface Stored {
  version: number
  options?: number
  fields?: (Field | undefined)[]
  /** A custom op's FlexBuffer. */
  custom?: Uint8Array
}

/** What an op's form depends on beside its attributes. */
interface Site {
  /** Its inputs and first output. */
  inputs: readonly Tensor[]
  output: Tensor
  b: FlatBufferBuilder
  /** The version of float ops (1), or that of quantized ones (2). */
  version(quantized?: number): number
}

interface OpIn<T extends Op['type']> {
  type: T
  inputs: readonly number[]
  attrs: OpAttributes[T]
}
type Write<T extends Op['type']> = (op: OpIn<T>, site: Site) => Stored

const INT32 = TYPE_NAMES.indexOf('INT32')
const padding = (p: Padding): Field => i8(p === 'SAME' ? 0 : 1)
const activation = (a: string): Field => i8(ACTIVATION_NAMES.indexOf(a))

/** The number of a tensor's type. Errors: `format/dtype`. */
export function typeCode(dtype: DType): number {
  const code = TYPE_NAMES.indexOf(dtype.toUpperCase())
  if (code < 0) throw new ThimbleError('format/dtype', `dtype ${dtype} is not written to .tflite`)
  return code
}

const pool =
  (quantized: number): Write<'AVERAGE_POOL_2D' | 'MAX_POOL_2D' | 'L2_POOL_2D'> =>
  ({ attrs: a }, { version }) => ({
    version: version(quantized),
    options: 5,
    fields: [
      padding(a.padding),
      i32(a.strideW),
      i32(a.strideH),
      i32(a.filterW),
      i32(a.filterH),
      activation(a.activation),
    ],
  })

/** 16-bit sums say whether their scales are powers of two, which is what a file without the field says. */
const sum =
  (options: number): Write<'ADD' | 'SUB'> =>
  ({ attrs }, { inputs, version }) => ({
    version: version(),
    options,
    fields: [activation(attrs.activation), inputs[0]!.dtype === 'int16' ? bool(attrs.powersOfTwo ?? false) : undefined],
  })

const activated =
  (options: number): Write<'MUL' | 'DIV' | 'L2_NORMALIZATION'> =>
  ({ attrs }, { version }) => ({ version: version(), options, fields: [activation(attrs.activation)] })

type Reduction = 'MEAN' | 'SUM' | 'REDUCE_MAX' | 'REDUCE_MIN' | 'REDUCE_PROD' | 'REDUCE_ANY' | 'REDUCE_ALL'
const reduction: Write<Reduction> = ({ attrs }, { version }) => ({
  version: version(),
  options: 27,
  fields: [bool(attrs.keepDims)],
})

const split =
  (options: number): Write<'SPLIT' | 'SPLIT_V'> =>
  ({ attrs }, { version }) => ({ version: version(), options, fields: [i32(attrs.numSplits)] })

const blocks =
  (options: number): Write<'SPACE_TO_DEPTH' | 'DEPTH_TO_SPACE'> =>
  ({ attrs }, { version }) => ({ version: version(), options, fields: [i32(attrs.blockSize)] })

/** Ops whose one option is the type of the numbers they answer with. */
const typed =
  (options: number): Write<'ARG_MAX' | 'ARG_MIN' | 'SHAPE'> =>
  ({ type, attrs }, { inputs }) => ({
    version: type === 'ARG_MAX' && inputs[0]!.dtype !== 'float32' ? 2 : 1,
    options,
    fields: [i8(typeCode(attrs.outputType))],
  })

const convolution: Write<'CONV_2D'> = ({ attrs: a }, { inputs, version }) => ({
  version: version(inputs[0]!.dtype === 'int8' ? 3 : 1),
  options: 1,
  fields: [
    padding(a.padding),
    i32(a.strideW),
    i32(a.strideH),
    activation(a.activation),
    i32(a.dilationW),
    i32(a.dilationH),
    a.narrowBias && i8(INT32),
  ],
})

const depthwise: Write<'DEPTHWISE_CONV_2D'> = ({ attrs: a }, { inputs }) => ({
  version: inputs[0]!.dtype === 'int8' ? 3 : a.dilationH > 1 || a.dilationW > 1 ? 2 : 1,
  options: 2,
  fields: [
    padding(a.padding),
    i32(a.strideW),
    i32(a.strideH),
    i32(a.depthMultiplier),
    activation(a.activation),
    i32(a.dilationW),
    i32(a.dilationH),
  ],
})

const transposeConv: Write<'TRANSPOSE_CONV'> = ({ inputs: { length }, attrs: a }, { version }) => ({
  version: length > 3 ? 3 : version(),
  options: 49,
  fields: [padding(a.padding), i32(a.strideW), i32(a.strideH), activation(a.activation), a.narrowBias && i8(INT32)],
})

const fullyConnected: Write<'FULLY_CONNECTED'> = ({ attrs: a }, { inputs, version }) => {
  const perChannel = (inputs[1]!.quantization?.scales.length ?? 1) > 1
  return {
    version: perChannel ? 12 : a.keepNumDims ? 5 : version(inputs[0]!.dtype === 'int8' ? 4 : 1),
    options: 8,
    fields: [activation(a.activation), undefined, bool(a.keepNumDims)],
  }
}

const detection: Write<'DETECTION_POSTPROCESS'> = ({ attrs: a }) => ({
  version: 1,
  custom: writeFlexMap({
    max_detections: a.maxDetections,
    max_classes_per_detection: a.maxClassesPerDetection,
    detections_per_class: a.detectionsPerClass,
    use_regular_nms: a.useRegularNms,
    nms_score_threshold: { real: a.nmsScoreThreshold },
    nms_iou_threshold: { real: a.nmsIouThreshold },
    num_classes: a.numClasses,
    y_scale: { real: a.yScale },
    x_scale: { real: a.xScale },
    h_scale: { real: a.hScale },
    w_scale: { real: a.wScale },
  }),
})

const stridedSlice: Write<'STRIDED_SLICE'> = ({ attrs: a }, { version }) => ({
  version: version(),
  options: 32,
  fields: [i32(a.beginMask), i32(a.endMask), i32(a.ellipsisMask), i32(a.newAxisMask), i32(a.shrinkAxisMask)],
})

/** Dimensions of length 1 that SQUEEZE removed. */
function squeezed(from: readonly number[], to: readonly number[]): number[] {
  const removed: number[] = []
  let k = 0
  from.forEach((d, i) => {
    if (k < to.length && to[k] === d) k++
    else removed.push(i)
  })
  return removed
}

/** Ops with options, or with a version of their own. */
const WRITERS: { [T in Op['type']]?: Write<T> } = {
  DETECTION_POSTPROCESS: detection,
  CONV_2D: convolution,
  DEPTHWISE_CONV_2D: depthwise,
  TRANSPOSE_CONV: transposeConv,
  FULLY_CONNECTED: fullyConnected,
  ADD: sum(11),
  SUB: sum(28),
  MUL: activated(21),
  DIV: activated(29),
  L2_NORMALIZATION: activated(12),
  AVERAGE_POOL_2D: pool(2),
  MAX_POOL_2D: pool(2),
  L2_POOL_2D: pool(1),
  MEAN: reduction,
  SUM: reduction,
  REDUCE_MAX: reduction,
  REDUCE_MIN: reduction,
  REDUCE_PROD: reduction,
  REDUCE_ANY: reduction,
  REDUCE_ALL: reduction,
  SOFTMAX: ({ attrs }, { version }) => ({ version: version(), options: 9, fields: [f32(attrs.beta)] }),
  LEAKY_RELU: ({ attrs }, { version }) => ({ version: version(), options: 75, fields: [f32(attrs.alpha)] }),
  CONCATENATION: ({ attrs }, { version }) => ({
    version: version(),
    options: 10,
    fields: [i32(attrs.axis), activation(attrs.activation)],
  }),
  SPLIT: split(35),
  SPLIT_V: split(79),
  ARG_MAX: typed(40),
  ARG_MIN: typed(57),
  SHAPE: typed(55),
  RESIZE_BILINEAR: ({ attrs: a }, { version }) => ({
    version: a.halfPixelCenters ? 3 : version(),
    options: 15,
    fields: [undefined, undefined, bool(a.alignCorners), bool(a.halfPixelCenters)],
  }),
  RESIZE_NEAREST_NEIGHBOR: ({ attrs: a }, { version }) => ({
    version: a.halfPixelCenters ? 3 : version(),
    options: 74,
    fields: [bool(a.alignCorners), bool(a.halfPixelCenters)],
  }),
  STRIDED_SLICE: stridedSlice,
  PACK: ({ attrs: a }, { version }) => ({
    version: version(),
    options: 59,
    fields: [i32(a.valuesCount), i32(a.axis)],
  }),
  UNPACK: ({ attrs: a }, { version }) => ({ version: version(), options: 64, fields: [i32(a.num), i32(a.axis)] }),
  GELU: ({ attrs }, { version }) => ({ version: version(), options: 116, fields: [bool(attrs.approximate)] }),
  BATCH_MATMUL: ({ attrs: a }, { version }) => ({
    version: version(),
    options: 101,
    fields: [bool(a.adjX), bool(a.adjY)],
  }),
  MIRROR_PAD: ({ attrs }, { version }) => ({
    version: version(),
    options: 77,
    fields: [i8(attrs.mode === 'REFLECT' ? 0 : 1)],
  }),
  GATHER: ({ attrs: a }, { version }) => ({
    version: a.batchDims ? 5 : version(),
    options: 23,
    fields: [i32(a.axis), i32(a.batchDims)],
  }),
  SPACE_TO_DEPTH: blocks(19),
  DEPTH_TO_SPACE: blocks(94),
  ONE_HOT: ({ attrs }) => ({ version: 1, options: 61, fields: [i32(attrs.axis)] }),
  REVERSE_SEQUENCE: ({ attrs: a }) => ({ version: 1, options: 87, fields: [i32(a.axis), i32(a.batchAxis)] }),
  CUMSUM: ({ attrs: a }) => ({ version: 1, options: 102, fields: [bool(a.exclusive), bool(a.reverse)] }),
  RESHAPE: ({ attrs }, { output, b }) => ({
    version: 1,
    options: 17,
    fields: [offset(b.int32Vector([...(attrs.newShape ?? output.shape)]))],
  }),
  SQUEEZE: ({ attrs }, { inputs, output, b }) => ({
    version: 1,
    options: 30,
    fields: [offset(b.int32Vector([...(attrs.dims ?? squeezed(inputs[0]!.shape, output.shape))]))],
  }),
  CAST: (_, { inputs, output }) => ({
    version: 1,
    options: 37,
    fields: [i8(typeCode(inputs[0]!.dtype)), i8(typeCode(output.dtype))],
  }),
  DEQUANTIZE: () => ({ version: 2 }),
  QUANTIZE: (_, { inputs }) => ({ version: inputs[0]!.dtype === 'float32' ? 1 : 2 }),
}

/** Ops without options, of version 1 in floats and 2 quantized. */
const PLAIN: ReadonlySet<Op['type']> = new Set<Op['type']>([
  'PAD',
  'TRANSPOSE',
  'SLICE',
  'RELU',
  'RELU6',
  'LOGISTIC',
  'TANH',
  'LOG_SOFTMAX',
  'EXP',
  'LOG',
  'RSQRT',
  'PADV2',
  'MAXIMUM',
  'MINIMUM',
  'SQUARED_DIFFERENCE',
  'EQUAL',
  'NOT_EQUAL',
  'LESS',
  'LESS_EQUAL',
  'GREATER',
  'GREATER_EQUAL',
  'SPACE_TO_BATCH_ND',
  'BATCH_TO_SPACE_ND',
  'TOPK_V2',
])

/** Ops without options that have one version. */
const FIRST: ReadonlySet<Op['type']> = new Set<Op['type']>([
  'HARD_SWISH',
  'RELU_N1_TO_1',
  'EXPAND_DIMS',
  'SQRT',
  'FLOOR_DIV',
  'GATHER_ND',
  'PRELU',
  'ELU',
  'ABS',
  'NEG',
  'SQUARE',
  'SIN',
  'COS',
  'FLOOR',
  'CEIL',
  'ROUND',
  'SIGN',
  'RELU_0_TO_1',
  'LOGICAL_NOT',
  'ZEROS_LIKE',
  'RANK',
  'SCATTER_ND',
  'ADD_N',
  'EMBEDDING_LOOKUP',
  'FLOOR_MOD',
  'POW',
  'LOGICAL_AND',
  'LOGICAL_OR',
  'SELECT',
  'SELECT_V2',
  'FILL',
  'RANGE',
  'TILE',
  'BROADCAST_TO',
  'BROADCAST_ARGS',
  'REVERSE_V2',
])

/**
 * How an op is stored; vectors that its options name are written to `b`. Errors: `format/unsupported-op` for ops that
 * are not written to `.tflite`.
 */
export function storedOp(graph: Graph, op: Op, b: FlatBufferBuilder): Stored {
  const tensors = (list: readonly number[]): Tensor[] => list.map((t) => graph.tensors[t]!)
  const outputs = tensors(op.outputs)
  const float = outputs.every((t) => t.dtype === 'float32')
  const version = (quantized = 2): number => (float ? 1 : quantized)
  const write = WRITERS[op.type] as Write<Op['type']> | undefined
  if (write) return write(op, { inputs: tensors(op.inputs), output: outputs[0]!, b, version })
  if (PLAIN.has(op.type)) return { version: version() }
  if (FIRST.has(op.type)) return { version: 1 }
  const name = op.type === 'UNSUPPORTED' ? op.attrs.name : op.type
  throw new ThimbleError('format/unsupported-op', `${name} is not written to .tflite`)
}
