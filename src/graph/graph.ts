/**
 * The format-neutral graph: what every reader produces and what `lower`, the quantizer and the writers consume.
 * Types only, plus the few helpers that everybody needs. Op names and attribute meanings are TFLite's; activations
 * are NHWC, convolution filters OHWI, depthwise filters [1, kh, kw, C*m], fully connected filters [O, K].
 * The same graph carries float32 models (readers of float formats, the quantizer's input) and 8-bit ones.
 */

export type DType =
  | 'int8'
  | 'uint8'
  | 'int16'
  | 'uint16'
  | 'int32'
  | 'uint32'
  | 'int64'
  | 'uint64'
  | 'float16'
  | 'float32'
  | 'float64'
  | 'bool'
  | 'string'

/** Affine quantization: real = scale * (q - zeroPoint). One scale for the tensor, or one per index of `axis`. */
export interface Quantization {
  /** Length 1 (per tensor) or `shape[axis]` (per channel). Stored float32 values. */
  scales: Float32Array
  /** Same length as `scales`. */
  zeroPoints: Int32Array
  /** The dimension that per-channel scales run along; 0 when per tensor. */
  axis: number
}

/** One tensor of a graph: row-major, NHWC where it is an image; with `data`, a constant in little-endian bytes. */
export interface Tensor {
  name: string
  shape: readonly number[]
  dtype: DType
  quantization?: Quantization
  /** Row-major little-endian bytes of a constant; absent for activations. */
  data?: Uint8Array
  /** State: the tensor keeps its contents from one run to the next, and these are the bytes that it begins with. */
  initial?: Uint8Array
}

export type Padding = 'SAME' | 'VALID'
/** Fused activation, applied to the op's real-valued result. */
export type Activation = 'NONE' | 'RELU' | 'RELU_N1_TO_1' | 'RELU6'

/** `narrowBias`: 16-bit activations have an int32 bias, as LiteRT wants to be told. */
interface Conv {
  padding: Padding
  strideH: number
  strideW: number
  dilationH: number
  dilationW: number
  activation: Activation
  narrowBias?: true | undefined
}
interface Pool {
  padding: Padding
  strideH: number
  strideW: number
  filterH: number
  filterW: number
  activation: Activation
}
interface Binary {
  activation: Activation
}
interface Sum extends Binary {
  /** 16-bit tensors whose scales are all powers of two are added by shifts. */
  powersOfTwo?: true | undefined
}
interface Reduce {
  keepDims: boolean
}
interface Resize {
  alignCorners: boolean
  halfPixelCenters: boolean
}
type None = Record<never, never>

/** Attributes by op. Inputs are positional as in TFLite (-1: absent optional input). */
export interface OpAttributes {
  /** inputs: x [N,H,W,C], filter [O,kh,kw,C/groups], bias [O] int32 */
  CONV_2D: Conv
  /** inputs: x [N,H,W,C], filter [1,kh,kw,C*depthMultiplier], bias */
  DEPTHWISE_CONV_2D: Conv & { depthMultiplier: number }
  /** inputs: outputShape [4] int32, filter [O,kh,kw,I], x [N,H,W,I], bias? */
  TRANSPOSE_CONV: {
    padding: Padding
    strideH: number
    strideW: number
    activation: Activation
    narrowBias?: true | undefined
  }
  /** inputs: x, filter [O,K], bias? */
  FULLY_CONNECTED: { activation: Activation; keepNumDims: boolean }
  ADD: Sum
  /** inputs: one or more of one shape */
  ADD_N: None
  SUB: Sum
  MUL: Binary
  DIV: Binary
  FLOOR_DIV: None
  FLOOR_MOD: None
  MAXIMUM: None
  MINIMUM: None
  SQUARED_DIFFERENCE: None
  POW: None
  /** Comparisons: bool result. */
  EQUAL: None
  NOT_EQUAL: None
  LESS: None
  LESS_EQUAL: None
  GREATER: None
  GREATER_EQUAL: None
  LOGICAL_AND: None
  LOGICAL_OR: None
  LOGICAL_NOT: None
  /**
   * inputs: condition bool, a, b. SELECT: equal shapes, or a condition of the first dimension; SELECT_V2 broadcasts.
   */
  SELECT: None
  SELECT_V2: None
  /** inputs: a [..., M, K], b [..., K, N]; adjX, adjY: the last two dimensions of a, b are swapped */
  BATCH_MATMUL: { adjX: boolean; adjY: boolean }
  AVERAGE_POOL_2D: Pool
  MAX_POOL_2D: Pool
  /** The root of the mean of squares. */
  L2_POOL_2D: Pool
  /** inputs: x, axes int32 constant */
  MEAN: Reduce
  SUM: Reduce
  REDUCE_MAX: Reduce
  REDUCE_MIN: Reduce
  REDUCE_PROD: Reduce
  REDUCE_ANY: Reduce
  REDUCE_ALL: Reduce
  SOFTMAX: { beta: number }
  LOG_SOFTMAX: None
  /** Over the last axis. */
  L2_NORMALIZATION: Binary
  LOGISTIC: None
  TANH: None
  ELU: None
  GELU: { approximate: boolean }
  EXP: None
  LOG: None
  ABS: None
  NEG: None
  SQUARE: None
  RSQRT: None
  SIN: None
  COS: None
  FLOOR: None
  CEIL: None
  ROUND: None
  SIGN: None
  RELU_0_TO_1: None
  HARD_SWISH: None
  RELU: None
  RELU6: None
  RELU_N1_TO_1: None
  LEAKY_RELU: { alpha: number }
  /** inputs: x, slope of negative values, e.g. [C] */
  PRELU: None
  QUANTIZE: None
  DEQUANTIZE: None
  /** inputs: x, size [2] int32 constant (height, width) */
  RESIZE_BILINEAR: Resize
  RESIZE_NEAREST_NEIGHBOR: Resize
  /** inputs: x, paddings [rank,2] int32 constant */
  PAD: None
  /** inputs: x, paddings [rank,2], value */
  PADV2: None
  /** inputs: x, paddings [rank,2]. REFLECT leaves the border out, SYMMETRIC repeats it. */
  MIRROR_PAD: { mode: 'REFLECT' | 'SYMMETRIC' }
  CONCATENATION: { axis: number; activation: Activation }
  /** inputs: axis int32 constant, x */
  SPLIT: { numSplits: number }
  /** inputs: x, sizes, axis */
  SPLIT_V: { numSplits: number }
  /** inputs: x, axis int32 constant */
  ARG_MAX: { outputType: 'int32' | 'int64' }
  ARG_MIN: { outputType: 'int32' | 'int64' }
  /** inputs: x, k; outputs: values, int32 indices along the last axis */
  TOPK_V2: None
  /** inputs: x, shape?; without a shape it is `newShape`, and without that the output tensor's own. */
  RESHAPE: { newShape?: readonly number[] | undefined }
  /** Without `dims` the output tensor's shape is what counts; empty: all dimensions of length 1 go. */
  SQUEEZE: { dims?: readonly number[] | undefined }
  /** inputs: x, axis */
  EXPAND_DIMS: None
  SHAPE: { outputType: 'int32' | 'int64' }
  RANK: None
  /** inputs: dims, value */
  FILL: None
  /** inputs: start, limit, delta */
  RANGE: None
  ZEROS_LIKE: None
  /** inputs: x, multiples */
  TILE: None
  /** inputs: x, shape */
  BROADCAST_TO: None
  /** inputs: two shapes; output: what they broadcast to */
  BROADCAST_ARGS: None
  /** inputs: x, block, paddings [k,2] */
  SPACE_TO_BATCH_ND: None
  /** inputs: x, block, crops [k,2] */
  BATCH_TO_SPACE_ND: None
  SPACE_TO_DEPTH: { blockSize: number }
  DEPTH_TO_SPACE: { blockSize: number }
  /** inputs: x, axes */
  REVERSE_V2: None
  /** inputs: x, lengths: of each index of batchAxis, how many of the first along axis change their order */
  REVERSE_SEQUENCE: { axis: number; batchAxis: number }
  /** inputs: x, axis; exclusive: without the element itself */
  CUMSUM: { exclusive: boolean; reverse: boolean }
  /** inputs: x, permutation int32 constant */
  TRANSPOSE: None
  /** inputs: x, begin, size */
  SLICE: None
  STRIDED_SLICE: {
    beginMask: number
    endMask: number
    ellipsisMask: number
    newAxisMask: number
    shrinkAxisMask: number
  }
  PACK: { axis: number; valuesCount: number }
  UNPACK: { axis: number; num: number }
  CAST: None
  SQRT: None
  /**
   * inputs: x, indices; output: the shape of x with dimension `axis` replaced by those of the indices behind batchDims
   */
  GATHER: { axis: number; batchDims: number }
  /** inputs: x, indices [..., depth] int32 */
  GATHER_ND: None
  /** inputs: indices int32, table [rows, ...]: GATHER along the first axis */
  EMBEDDING_LOOKUP: None
  /** inputs: indices, depth, on, off; the new dimension stands at `axis`, -1: last */
  ONE_HOT: { axis: number }
  /** inputs: indices [..., depth], updates, shape */
  SCATTER_ND: None
  /**
   * inputs, by LiteRT's numbers: 0 x; input weights 1-4 and recurrent weights 5-8 of the gates input, forget, cell,
   * output; 9-11 peepholes (input, forget, output); 12-15 biases; 16 projection, 17 its bias; 18 hidden state, 19 cell
   * state; 20-23 layer norm. `hiddenScale`, `hiddenZeroPoint`: of the hidden state before a projection.
   */
  UNIDIRECTIONAL_SEQUENCE_LSTM: {
    timeMajor: boolean
    cellClip: number
    projectionClip: number
    hiddenScale: number
    hiddenZeroPoint: number
  }
  /** inputs: x [N,K], features [F,K], time weights [F,depth], bias?, state [N,F*depth] */
  SVDF: { rank: number; activation: Activation }
  /** inputs: a state tensor. Its contents at this place in the order of ops. */
  READ_VARIABLE: None
  /** inputs: a state tensor, its new contents. No outputs. */
  ASSIGN_VARIABLE: None
  /** inputs: box encodings, scores, anchors */
  DETECTION_POSTPROCESS: {
    maxDetections: number
    maxClassesPerDetection: number
    detectionsPerClass: number
    useRegularNms: boolean
    nmsScoreThreshold: number
    nmsIouThreshold: number
    numClasses: number
    yScale: number
    xScale: number
    hScale: number
    wScale: number
  }
  /** An op that Thimble does not run: `name` is the file's own name for it, for the error message. */
  UNSUPPORTED: { name: string }
}
export type OpType = keyof OpAttributes

export type Op = {
  [T in OpType]: { type: T; inputs: readonly number[]; outputs: readonly number[]; attrs: OpAttributes[T] }
}[OpType]
export type OpOf<T extends OpType> = Extract<Op, { type: T }>

/**
 * How an image becomes the input tensor: real = (pixel - mean) / std per channel, then the input's own quantization.
 */
export interface Preprocess {
  /**
   * `stretch`: to width x height, aspect ignored. `crop`: scale so that the shorter side is `shorterSide`, centre-crop
   * width x height. `fit`: letterbox.
   */
  fit: 'stretch' | 'crop' | 'fit'
  /**
   * For `crop`: the shorter side after scaling, in pixels of the model's own input size (e.g. 256 for a 224 input).
   * Default: the input's size.
   */
  shorterSide?: number
  /**
   * `bilinear`: triangle filter, widened when shrinking (antialiased, as Pillow and torchvision do). `bilinear-fast`:
   * 2x2 taps only (as TFLite's Android examples do).
   */
  method: 'bilinear' | 'bilinear-fast' | 'nearest' | 'area'
  channels: 'rgb' | 'bgr' | 'gray'
  /** Per channel (or one value for all), on the 0..255 pixel scale. */
  mean: readonly number[]
  std: readonly number[]
}

/** What travels with a model beside its numbers. Every field is optional in a foreign file. */
export interface Metadata {
  name?: string | undefined
  description?: string | undefined
  /** SPDX identifier of the weights' licence, and where they come from. */
  license?: string | undefined
  source?: string | undefined
  author?: string | undefined
  version?: string | undefined
  labels?: string[] | undefined
  preprocess?: Preprocess | undefined
  /** Where `preprocess` comes from, in words, when it is not written in the file: `assumed: …`. */
  preprocessFrom?: string | undefined
  /** Which kind of head this is: how `classify`/`detect` read the outputs. */
  task?: 'classification' | 'detection' | 'segmentation' | 'landmarks' | 'features' | undefined
  /**
   * What turns the (dequantized) output of a classifier into scores from 0 to 1: `softmax` for logits, `sigmoid` for
   * independent logits, `identity` for an output that already holds probabilities. Absent: `identity`.
   */
  scores?: 'softmax' | 'sigmoid' | 'identity' | undefined
  /** Anything else a writer wants to keep (JSON). */
  extra?: Record<string, unknown> | undefined
}

/** A model as data: tensors, and ops that name them by index. */
export interface Graph {
  tensors: Tensor[]
  ops: Op[]
  /** Tensor indices, in the file's own order. */
  inputs: number[]
  outputs: number[]
  metadata: Metadata
}

/** The name of an op in messages. */
export const opLabel = (op: Op, index: number): string =>
  `${op.type === 'UNSUPPORTED' ? op.attrs.name : op.type} at op ${index}`

/** Elements of a shape (1 for a scalar). */
export function elements(shape: readonly number[]): number {
  let n = 1
  for (let i = 0; i < shape.length; i++) n *= shape[i]!
  return n
}

const WIDTH: Record<DType, number> = {
  int8: 1,
  uint8: 1,
  bool: 1,
  int16: 2,
  uint16: 2,
  float16: 2,
  int32: 4,
  uint32: 4,
  float32: 4,
  int64: 8,
  uint64: 8,
  float64: 8,
  string: 1,
}
/** Bytes of one element. */
export const dtypeBytes = (dtype: DType): number => WIDTH[dtype]
/** Bytes of a whole tensor. */
export const tensorBytes = (t: Pick<Tensor, 'shape' | 'dtype'>): number => elements(t.shape) * WIDTH[t.dtype]
