/**
 * How each TFLite op becomes an op of the graph: one table, builtin code to row. An op that has no row, or that a row
 * refuses, becomes UNSUPPORTED with a name; a row throws only for what no valid file can hold.
 * Slots and defaults follow TFLite's schema (tensorflow/lite/schema/schema.fbs); what a missing option means follows
 * its core/api/flatbuffer_conversions.cc.
 */
import { ThimbleError } from '../base/errors.ts'
import type { Activation, OpAttributes, OpType, Padding, Tensor } from '../graph/graph.ts'
import { MAX_RANK } from './check-shape.ts'
import type { Table } from './flatbuffer.ts'
import { readFlexMap } from './flexbuffer.ts'
import { ACTIVATION_NAMES, BUILTIN_NAMES, TYPE_NAMES } from './tflite-names.ts'

/** Why a row refuses an op, completing "CONV_2D with …". */
class Refusal {
  readonly reason: string
  constructor(reason: string) {
    this.reason = reason
  }
}

/** The options of one op, read with the schema's defaults; `checkOp` judges the values afterwards. */
class Options {
  readonly table: Table | undefined
  readonly tensors: readonly Tensor[]
  readonly raw: RawOp

  constructor(table: Table | undefined, tensors: readonly Tensor[], raw: RawOp) {
    this.table = table
    this.tensors = tensors
    this.raw = raw
  }

  int(slot: number, absent = 0): number {
    return this.table?.int32(slot, absent) ?? absent
  }
  bool(slot: number): boolean {
    return this.table?.bool(slot) ?? false
  }
  byte(slot: number): number {
    return this.table?.int8(slot) ?? 0
  }
  float(slot: number): number {
    return this.table?.float32(slot) ?? 0
  }

  ints(slot: number): number[] | undefined {
    return this.table?.int32s(slot, 'dimensions', MAX_RANK)
  }

  /** `undefined as Padding`, which `checkOp` refuses, for a number that is none. */
  padding(slot: number): Padding {
    return (['SAME', 'VALID'] as const)[this.byte(slot)] as Padding
  }

  /** Whether the biases of 16-bit activations are said to be int32. */
  narrowBias(slot: number): { narrowBias?: true } {
    return TYPE_NAMES[this.byte(slot)] === 'INT32' ? { narrowBias: true } : {}
  }

  activation(slot: number): Activation {
    const value = this.byte(slot)
    if (value < 0 || value > 3) throw new Refusal(`${ACTIVATION_NAMES[value] ?? `unknown (${value})`} activation`)
    return ACTIVATION_NAMES[value] as Activation
  }
}

interface Row<T extends OpType> {
  /** Number in the BuiltinOptions union of the table that holds the options; 0: the op has none that matter. */
  options: number
  attrs(o: Options): OpAttributes[T]
}

const PLAIN = { options: 0, attrs: (): Record<never, never> => ({}) }
const binary = (options: number) => ({ options, attrs: (o: Options) => ({ activation: o.activation(0) }) })
/** Only where the tensors have 16 bits the scales may be powers of two. */
const sum = (options: number) => ({
  options,
  attrs: (o: Options): OpAttributes['ADD'] => ({
    activation: o.activation(0),
    ...(o.table && o.tensors[o.raw.inputs[0] ?? -1]?.dtype === 'int16' && o.table.bool(1, true)
      ? { powersOfTwo: true }
      : {}),
  }),
})
const REDUCER = { options: 27, attrs: (o: Options) => ({ keepDims: o.bool(0) }) }
const POOL = {
  options: 5,
  attrs: (o: Options) => ({
    padding: o.padding(0),
    strideW: o.int(1),
    strideH: o.int(2),
    filterW: o.int(3),
    filterH: o.int(4),
    activation: o.activation(5),
  }),
}

function outputType(o: Options): { outputType: 'int32' | 'int64' } {
  const type = TYPE_NAMES[o.byte(0)]
  if (type !== 'INT32' && type !== 'INT64') throw new Refusal(`${type ?? 'unknown'} output`)
  return { outputType: type === 'INT32' ? 'int32' : 'int64' }
}

/** Output channels per input channel. */
function depthMultiplier(o: Options): number {
  const stored = o.int(3)
  // LiteRT computes such an op by another path, to other bytes.
  if (stored === 0) throw new Refusal('no depth multiplier')
  return stored
}

const ROWS: { readonly [T in Exclude<OpType, 'DETECTION_POSTPROCESS' | 'UNSUPPORTED'>]: Row<T> } = {
  CONV_2D: {
    options: 1,
    attrs: (o) => ({
      padding: o.padding(0),
      strideW: o.int(1),
      strideH: o.int(2),
      activation: o.activation(3),
      dilationW: o.int(4, 1),
      dilationH: o.int(5, 1),
      ...o.narrowBias(6),
    }),
  },
  DEPTHWISE_CONV_2D: {
    options: 2,
    attrs: (o) => ({
      padding: o.padding(0),
      strideW: o.int(1),
      strideH: o.int(2),
      depthMultiplier: depthMultiplier(o),
      activation: o.activation(4),
      dilationW: o.int(5, 1),
      dilationH: o.int(6, 1),
    }),
  },
  TRANSPOSE_CONV: {
    options: 49,
    attrs: (o) => ({
      padding: o.padding(0),
      strideW: o.int(1),
      strideH: o.int(2),
      activation: o.activation(3),
      ...o.narrowBias(4),
    }),
  },
  FULLY_CONNECTED: {
    options: 8,
    attrs: (o) => {
      if (o.byte(1) !== 0) {
        throw new Refusal(o.byte(1) === 1 ? 'shuffled weights' : `unknown weights format ${o.byte(1)}`)
      }
      return { activation: o.activation(0), keepNumDims: o.bool(2) }
    },
  },
  ADD: sum(11),
  SUB: sum(28),
  ADD_N: PLAIN,
  MUL: binary(21),
  DIV: binary(29),
  AVERAGE_POOL_2D: POOL,
  MAX_POOL_2D: POOL,
  L2_POOL_2D: POOL,
  MEAN: REDUCER,
  SUM: REDUCER,
  REDUCE_MAX: REDUCER,
  REDUCE_MIN: REDUCER,
  REDUCE_PROD: REDUCER,
  REDUCE_ANY: REDUCER,
  REDUCE_ALL: REDUCER,
  SOFTMAX: { options: 9, attrs: (o) => ({ beta: o.float(0) }) },
  LOGISTIC: PLAIN,
  TANH: PLAIN,
  HARD_SWISH: PLAIN,
  RELU: PLAIN,
  RELU6: PLAIN,
  RELU_N1_TO_1: PLAIN,
  LEAKY_RELU: { options: 75, attrs: (o) => ({ alpha: o.float(0) }) },
  QUANTIZE: PLAIN,
  DEQUANTIZE: PLAIN,
  CAST: PLAIN,
  SQRT: PLAIN,
  FLOOR_DIV: PLAIN,
  GATHER_ND: PLAIN,
  PRELU: PLAIN,
  SQUEEZE: { options: 30, attrs: (o) => ({ dims: o.ints(0) ?? [] }) },
  PAD: PLAIN,
  // The options are older than the second input and count only without it.
  RESHAPE: { options: 17, attrs: (o) => ((o.raw.inputs[1] ?? -1) < 0 ? { newShape: o.ints(0) } : {}) },
  LOG_SOFTMAX: PLAIN,
  ELU: PLAIN,
  EXP: PLAIN,
  LOG: PLAIN,
  ABS: PLAIN,
  NEG: PLAIN,
  SQUARE: PLAIN,
  RSQRT: PLAIN,
  SIN: PLAIN,
  COS: PLAIN,
  FLOOR: PLAIN,
  CEIL: PLAIN,
  ROUND: PLAIN,
  SIGN: PLAIN,
  RELU_0_TO_1: PLAIN,
  LOGICAL_NOT: PLAIN,
  ZEROS_LIKE: PLAIN,
  RANK: PLAIN,
  PADV2: PLAIN,
  SCATTER_ND: PLAIN,
  EMBEDDING_LOOKUP: PLAIN,
  FLOOR_MOD: PLAIN,
  MAXIMUM: PLAIN,
  MINIMUM: PLAIN,
  SQUARED_DIFFERENCE: PLAIN,
  POW: PLAIN,
  EQUAL: PLAIN,
  NOT_EQUAL: PLAIN,
  LESS: PLAIN,
  LESS_EQUAL: PLAIN,
  GREATER: PLAIN,
  GREATER_EQUAL: PLAIN,
  LOGICAL_AND: PLAIN,
  LOGICAL_OR: PLAIN,
  SELECT: PLAIN,
  SELECT_V2: PLAIN,
  FILL: PLAIN,
  RANGE: PLAIN,
  TILE: PLAIN,
  BROADCAST_TO: PLAIN,
  BROADCAST_ARGS: PLAIN,
  SPACE_TO_BATCH_ND: PLAIN,
  BATCH_TO_SPACE_ND: PLAIN,
  REVERSE_V2: PLAIN,
  REVERSE_SEQUENCE: { options: 87, attrs: (o) => ({ axis: o.int(0), batchAxis: o.int(1) }) },
  TOPK_V2: PLAIN,
  EXPAND_DIMS: PLAIN,
  TRANSPOSE: PLAIN,
  UNIDIRECTIONAL_SEQUENCE_LSTM: {
    options: 71,
    attrs: (o) => {
      if (o.bool(5)) throw new Refusal('diagonal recurrent weights')
      const hidden = o.tensors[o.raw.intermediates?.[4] ?? -1]?.quantization
      return {
        timeMajor: o.bool(3),
        cellClip: o.float(1),
        projectionClip: o.float(2),
        hiddenScale: hidden?.scales[0] ?? 0,
        hiddenZeroPoint: hidden?.zeroPoints[0] ?? 0,
      }
    },
  },
  SVDF: { options: 6, attrs: (o) => ({ rank: o.int(0), activation: o.activation(1) }) },
  READ_VARIABLE: PLAIN,
  ASSIGN_VARIABLE: PLAIN,
  SLICE: PLAIN,
  RESIZE_BILINEAR: { options: 15, attrs: (o) => ({ alignCorners: o.bool(2), halfPixelCenters: o.bool(3) }) },
  RESIZE_NEAREST_NEIGHBOR: { options: 74, attrs: (o) => ({ alignCorners: o.bool(0), halfPixelCenters: o.bool(1) }) },
  CONCATENATION: { options: 10, attrs: (o) => ({ axis: o.int(0), activation: o.activation(1) }) },
  SPLIT: { options: 35, attrs: (o) => ({ numSplits: o.int(0) }) },
  SPLIT_V: { options: 79, attrs: (o) => ({ numSplits: o.int(0) }) },
  ARG_MAX: { options: 40, attrs: outputType },
  ARG_MIN: { options: 57, attrs: outputType },
  SHAPE: { options: 55, attrs: outputType },
  GELU: { options: 116, attrs: (o) => ({ approximate: o.bool(0) }) },
  L2_NORMALIZATION: { options: 12, attrs: (o) => ({ activation: o.activation(0) }) },
  BATCH_MATMUL: { options: 101, attrs: (o) => ({ adjX: o.bool(0), adjY: o.bool(1) }) },
  MIRROR_PAD: {
    options: 77,
    attrs: (o) => ({ mode: (['REFLECT', 'SYMMETRIC'] as const)[o.byte(0)] as 'REFLECT' }),
  },
  GATHER: { options: 23, attrs: (o) => ({ axis: o.int(0), batchDims: o.int(1) }) },
  SPACE_TO_DEPTH: { options: 19, attrs: (o) => ({ blockSize: o.int(0) }) },
  DEPTH_TO_SPACE: { options: 94, attrs: (o) => ({ blockSize: o.int(0) }) },
  ONE_HOT: { options: 61, attrs: (o) => ({ axis: o.int(0) }) },
  CUMSUM: { options: 102, attrs: (o) => ({ exclusive: o.bool(0), reverse: o.bool(1) }) },
  STRIDED_SLICE: {
    options: 32,
    attrs: (o) => {
      if (o.bool(5)) throw new Refusal('offset ends')
      return {
        beginMask: o.int(0),
        endMask: o.int(1),
        ellipsisMask: o.int(2),
        newAxisMask: o.int(3),
        shrinkAxisMask: o.int(4),
      }
    },
  },
  PACK: { options: 59, attrs: (o) => ({ valuesCount: o.int(0), axis: o.int(1) }) },
  UNPACK: { options: 64, attrs: (o) => ({ num: o.int(0), axis: o.int(1) }) },
}

/** What the reader knows of an op before its attributes. */
export interface RawOp {
  code: number
  customCode: string | undefined
  optionsType: number
  options: Table | undefined
  /** Options of the newer union, of StableHLO's ops. */
  options2?: Table | undefined
  customOptions: Uint8Array | undefined
  inputs: readonly number[]
  outputs: readonly number[]
  /** Tensors that only hold quantization, for LSTMs. */
  intermediates?: readonly number[] | undefined
  /** Why it can't run, completing "CALL_ONCE with …". */
  refused?: string
}

/** The file's name for an op, e.g. `CONV_2D` or `CUSTOM edgetpu-custom-op`. */
export function opName(raw: Pick<RawOp, 'code' | 'customCode'>): string {
  if (raw.code === 32) return `CUSTOM ${raw.customCode ?? ''}`.trim()
  return BUILTIN_NAMES[raw.code] ?? `BUILTIN ${raw.code}`
}

const POSTPROCESS = 'CUSTOM TFLite_Detection_PostProcess'

/**
 * Options of the custom op that ends SSD detectors. What the file leaves out is NaN, which `checkOp` refuses, where
 * TFLite has no default.
 */
function detectionPostprocess(raw: RawOp): OpAttributes['DETECTION_POSTPROCESS'] {
  const map = readFlexMap(raw.customOptions ?? new Uint8Array(0))
  const count = (key: string, absent = NaN): number => Math.trunc(map.get(key) ?? absent)
  const real = (key: string): number => Math.fround(map.get(key) ?? NaN)
  return {
    maxDetections: count('max_detections'),
    maxClassesPerDetection: count('max_classes_per_detection'),
    detectionsPerClass: count('detections_per_class', 100),
    useRegularNms: (map.get('use_regular_nms') ?? 0) !== 0,
    nmsScoreThreshold: real('nms_score_threshold'),
    nmsIouThreshold: real('nms_iou_threshold'),
    numClasses: count('num_classes'),
    yScale: real('y_scale'),
    xScale: real('x_scale'),
    hScale: real('h_scale'),
    wScale: real('w_scale'),
  }
}

/** MediaPipe's transposed convolution with a bias. inputs: x, filter, bias. */
export const DECONVOLUTION = 'CUSTOM Convolution2DTransposeBias'

/** Its options are a struct of C: padding (1: SAME, 2: VALID), width and height of the stride. */
function deconvolution(raw: RawOp): OpAttributes['TRANSPOSE_CONV'] {
  const bytes = raw.customOptions ?? new Uint8Array(0)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const word = (i: number): number => (4 * i + 4 <= bytes.length ? view.getInt32(4 * i, true) : NaN)
  return {
    padding: (['SAME', 'VALID'] as const)[word(0) - 1] as Padding,
    strideW: word(1),
    strideH: word(2),
    activation: 'NONE',
  }
}

const CUSTOM_ROWS = new Set([POSTPROCESS, DECONVOLUTION])

/** Whether the table has a row for an op of this name. */
export const hasRow = (name: string): boolean => Object.hasOwn(ROWS, name) || CUSTOM_ROWS.has(name)

/**
 * Type and attributes of op number `index`, whose `opName` is `name`; `UNSUPPORTED` when Thimble has no such op or not
 * with these options. The values are the file's: `checkOp` comes after. Operand indices must be in range, -1 for absent
 * ones.
 * Errors: `format/op-attribute`, `format/shape`, `format/flexbuffer` for what no valid file holds.
 */
export function readOp(
  raw: RawOp,
  name: string,
  tensors: readonly Tensor[],
  index: number,
): { type: OpType; attrs: OpAttributes[OpType] } {
  if (name === POSTPROCESS) return { type: 'DETECTION_POSTPROCESS', attrs: detectionPostprocess(raw) }
  if (name === DECONVOLUTION) return { type: 'TRANSPOSE_CONV', attrs: deconvolution(raw) }
  if (!hasRow(name)) return { type: 'UNSUPPORTED', attrs: { name } }
  const type = name as keyof typeof ROWS
  const row: Row<OpType> = ROWS[type]
  if (row.options !== 0 && raw.optionsType !== 0 && raw.optionsType !== row.options) {
    throw new ThimbleError('format/op-attribute', 'options of another op', {
      op: `${name} at op ${index}`,
      expected: `options type ${row.options}`,
      got: raw.optionsType,
      hint: 'the file is damaged or its converter is at fault',
    })
  }
  try {
    return {
      type,
      attrs: row.attrs(new Options(raw.optionsType === row.options ? raw.options : undefined, tensors, raw)),
    }
  } catch (error) {
    if (error instanceof Refusal) return { type: 'UNSUPPORTED', attrs: { name: `${name} with ${error.reason}` } }
    throw error
  }
}
