/**
 * The binary contract between the host (which plans) and the executor (which computes).
 *
 * A program in linear memory:
 *
 *   header ──▶ op table: u32 record address × opCount ──▶ records (the classes below)
 *        ├───▶ input table:  { u32 address, u32 bytes } × inputCount
 *        └───▶ output table: { u32 address, u32 bytes } × outputCount
 *
 * Every field is 4 bytes, little endian; addresses are absolute. tools/build.ts reads this file and generates the
 * host's offsets and field types from it, so a field is declared here and nowhere else.
 *
 * Rows. A kernel that works row by row computes output rows [y0, y1). Row y of a view lives at
 * `base + (y % ring) * rowStride`; ring >= the height unless the tensor is a ring buffer inside a band group.
 * Input row iy of output row y and window row ky is `y * strideH - padTop + ky * dilationH`; rows outside
 * [0, inRows) are read from `zeroRow`, which holds the input's zero point.
 */

/** Opcodes: one per kernel family; the linker strips the families that a model does not use. */
export const OP_GROUP = 0
export const OP_LSTM = 60
export const OP_SVDF = 61
export const OP_COPY = 1
export const OP_FILL = 2
export const OP_LUT = 3
export const OP_CONV = 4
export const OP_DEPTHWISE3X3 = 5
export const OP_DEPTHWISE = 6
export const OP_FULLY_CONNECTED = 7
export const OP_BINARY = 8
export const OP_AVERAGE_POOL = 9
export const OP_MAX_POOL = 10
export const OP_MEAN = 11
export const OP_SOFTMAX = 12
export const OP_DEQUANTIZE = 13
export const OP_QUANTIZE = 14
export const OP_RESIZE_BILINEAR = 15
export const OP_GATHER = 16
export const OP_ARG_MAX = 17
export const OP_STRIDED_COPY = 18
export const OP_TRANSPOSE_CONV = 19
export const OP_DETECTION = 20
export const OP_BARRIER = 21
export const OP_CONV_DIRECT = 22
export const OP_DEPTHWISE3X3_PRODUCTS = 23
export const OP_DEPTHWISE3X3_DOT = 24
export const OP_DEPTHWISE3X3_WIDE = 25
export const OP_DEPTHWISE5X5 = 26
export const OP_ARITHMETIC = 27
export const OP_GATHER_ND = 28
export const OP_CHANNEL_LUT = 29
export const OP_WINOGRAD = 40
export const OP_POLYPHASE = 49
export const OP_COMBINE = 45
export const OP_PARTS = 30
export const OP_REDUCE = 41
export const OP_MATMUL = 42
export const OP_L2_NORMALIZATION = 43
export const OP_LOG_SOFTMAX = 44
export const OP_CONV_FIXED = 70
export const OP_COMPARE = 71
export const OP_SELECT = 72
export const OP_CONVERT = 73
export const OP_TOP_K = 74
export const OP_FLOAT_TABLE = 80
export const OP_FLOAT_UNARY = 81
export const OP_POWER = 82
export const OP_FLOAT_LOG_SOFTMAX = 83
export const OP_FLOAT_ROWS = 84
export const OP_FLOAT_SUM = 85
export const OP_FLOAT_POOL = 86
export const OP_FLOAT_RESIZE = 87
export const OP_FLOAT_CONV = 88
export const OP_FLOAT_MATMUL = 89
export const OP_ARG_MAX32 = 46
export const OP_CUMULATE = 47
export const OP_SCATTER = 48
/** 16-bit activations: kernels/int16-*.ts. */
export const OP_CONV16 = 90
export const OP_PAIRS16 = 91
export const OP_UNARY16 = 92
export const OP_POOL16 = 93
export const OP_REDUCE16 = 94
export const OP_MATMUL16 = 95
export const OP_SOFTMAX16 = 96
export const OP_RESIZE16 = 97
/** SoftmaxRecord with an int16 output. */
export const OP_SOFTMAX8_16 = 98

/**
 * Bytes at the start of a convolution's scratch, and of what precedes a packed panel there (assembly/kernels/tile.ts).
 */
export const TILE_BYTES = 48
export const SLOT_BYTES = 32
/** The GEMM form that computes by relaxed dot products (kernels/gemm-4x16c4.ts). */
export const FORM_DOT = 9

/** A fully connected layer that multiplies bytes (kernels/fully-connected.ts). */
export const FULLY_CONNECTED_BYTES = 2

/** Version of this layout; the host refuses a module that reports another. */
export const ABI_VERSION = 1

/** What `run` and `thimble_invoke` return. */
export const STATUS_OK = 0
export const STATUS_NO_PROGRAM = 1
export const STATUS_BAD_OPCODE = 2
export const STATUS_TIMEOUT = 3
export const STATUS_BAD_INDEX = 4
/** The engine's relaxed dot product takes an operand as unsigned: the answer would be wrong. */
export const STATUS_INEXACT = 5


@unmanaged export class Header {
  abiVersion: u32
  opCount: u32
  opTable: u32
  inputCount: u32
  inputTable: u32
  outputCount: u32
  outputTable: u32
  /** Entries of the op table that brings state back to what it began with; 0 without state. */
  resetCount: u32
  resetTable: u32
}

/** Common head of every record. */
@unmanaged export class Record {
  op: u32
  /** First output row to compute: 0, or where this thread's share begins. */
  first: u32
  /** Output rows in all, or where this thread's share ends. */
  rows: u32
  strideH: i32
  padTop: i32
  /** Rows of input that one output row needs: (kh - 1) * dilationH + 1. */
  windowH: i32
  /** Input rows in all. */
  inRows: i32
  /** Executor's state inside a band group: rows computed so far, rows wanted next. */
  done: i32
  need: i32
}

/** Band group: the next `count` records run in turn, `bandRows` rows of the last one at a time. */
@unmanaged export class GroupRecord extends Record {
  count: u32
  bandRows: u32
}

/**
 * Head of a slice of a program whose records and constants stay outside of memory (assembly/flash.ts): `bytes` of the
 * next slice from byte `from` of the segment on, which go to address `to`; 0: there is none. Behind the head lie an op
 * table of `count` entries, records, and at the end of those bytes `runs` times { u32 address, u32 bytes } of constants
 * that follow in the segment. `zeros`: bytes behind all this that are cleared before.
 */
@unmanaged export class Slice {
  from: u32
  bytes: u32
  to: u32
  count: u32
  runs: u32
  zeros: u32
}

/** Stands for a member of a band group whose constants do not lie in memory: runs slices, from this one on, in turn. */
@unmanaged export class PartsRecord extends Record {
  from: u32
  bytes: u32
  to: u32
}

/** Row copy, each byte xor `xor` (0, or 0x80 to move between uint8 and int8). */
@unmanaged export class CopyRecord extends Record {
  input: u32
  inRowStride: i32
  inRing: i32
  output: u32
  outRowStride: i32
  outRing: i32
  bytes: i32
  xor: u32
}

/** Writes `value` to `bytes` bytes of each of `rows` rows. */
@unmanaged export class FillRecord extends Record {
  output: u32
  outRowStride: i32
  bytes: i32
  value: u32
}

/** Every byte through a table of 256, indexed by the byte as unsigned. */
@unmanaged export class LutRecord extends Record {
  input: u32
  inRowStride: i32
  inRing: i32
  output: u32
  outRowStride: i32
  outRing: i32
  bytes: i32
  table: u32
}

/**
 * Like LutRecord, `pixels` a row of `channels` bytes; the table of channel c lies offsets[c] bytes (int32) behind
 * `table`.
 */
@unmanaged export class ChannelLutRecord extends Record {
  input: u32
  inRowStride: i32
  inRing: i32
  output: u32
  outRowStride: i32
  outRing: i32
  pixels: i32
  channels: i32
  table: u32
  offsets: u32
}

/**
 * Convolution as GEMM. The input is a frame that already holds its left and right padding; one output pixel's patch is
 * kh rows of `segments` runs of `segmentBytes` contiguous bytes.
 */
@unmanaged export class ConvRecord extends Record {
  input: u32
  inRowStride: i32
  inRing: i32
  /** Bytes between the patches of neighbouring output pixels: strideW * input pixel stride. */
  xStep: i32
  zeroRow: u32
  kh: i32
  dilationH: i32
  segments: i32
  segmentBytes: i32
  segmentStep: i32
  output: u32
  outRowStride: i32
  outRing: i32
  outPixelStride: i32
  outW: i32
  outC: i32
  weights: u32
  bias: u32
  scale: u32
  scratch: u32
  /** 64 bytes: magic x 4, magicMinusZero x 4, actMin x 16, actMax x 16; whether the last two exclude any int8. */
  constants: u32
  clamped: i32
  /** SIMD: bytes of a tile's packed panel, and of one segment's part of it. Scalar: patch length K. */
  panelBytes: i32
  segmentPanelBytes: i32
  /** SIMD: which microkernel (src/lower/gemm.ts names them), its pixels a tile and channels a panel. */
  form: i32
  mr: i32
  nr: i32
  /**
   * SIMD: tiles packed before they are multiplied, 1 in forms that read rows; more than 1: one pixel that is left at
   * the end, too.
   */
  batch: i32
  /** SIMD: bytes of one pixel's row in forms that read rows of int8, K padded; 0 in forms that pack panels. */
  rowBytes: i32
  /** 0x4B400000 (1.5 * 2^23 as f32), read from memory so that no engine rematerialises it inside the tile. */
  magic: i32
  /** magic - outputZeroPoint. */
  magicMinusZero: i32
  actMin: i32
  actMax: i32
  outputZeroPoint: i32
  /** Scalar kernel and row forms: zero point of the weights as stored (0 for int8 models). */
  weightZeroPoint: i32
  /** 1: run the scalar kernel even where there is SIMD (weights are laid out for it; no bound on |acc * scale|). */
  scalar: i32
}

/** Convolution with few input channels, straight from rows widened to i16 (kernels/conv-direct.ts). */
@unmanaged export class ConvDirectRecord extends Record {
  input: u32
  inRowStride: i32
  inRing: i32
  /** Bytes of an input row. */
  rowBytes: i32
  /** Scratch: kh row addresses; windowH widened rows of ringStride bytes, then one that holds only the zero point. */
  rowTable: u32
  ring: u32
  ringStride: i32
  /** Bytes of padding left and right in a widened row, and between the windows of neighbouring output pixels. */
  padLeftBytes: i32
  padRightBytes: i32
  xStep: i32
  kh: i32
  dilationH: i32
  /** 4 * ceil(kw * C / 2). */
  pairBytes: i32
  inputZeroPoint: i32
  output: u32
  outRowStride: i32
  outRing: i32
  outW: i32
  outC: i32
  weights: u32
  bias: u32
  scale: u32
  constants: u32
  clamped: i32
}

/**
 * Convolution 3x3 by fewer products, with stride 1 (kernels/winograd.ts) or 2 (polyphase.ts). Input frame as in
 * ConvRecord.
 */
@unmanaged export class WinogradRecord extends Record {
  input: u32
  inRowStride: i32
  inRing: i32
  /** Bytes between neighbouring pixels of the input and of the output. */
  xStep: i32
  zeroRow: u32
  /** Input channels, and pairs of them: at least two. */
  channels: i32
  pairs: i32
  /** Bytes from one position of a group's transformed windows to the next; stride 2: those of its pairs. */
  positionBytes: i32
  output: u32
  outRowStride: i32
  outRing: i32
  outPixelStride: i32
  outW: i32
  outC: i32
  weights: u32
  bias: u32
  scale: u32
  scratch: u32
  constants: u32
  clamped: i32
  /** Channels a panel. */
  nr: i32
  /** Groups of four tiles that are transformed before they are multiplied. */
  batch: i32
}

/** Depthwise convolution, depth multiplier 1. Input frame as in ConvRecord. */
@unmanaged export class DepthwiseRecord extends Record {
  input: u32
  inRowStride: i32
  inRing: i32
  xStep: i32
  zeroRow: u32
  kh: i32
  kw: i32
  dilationH: i32
  /** Bytes between the window's columns: dilationW * channels. */
  tapStep: i32
  output: u32
  outRowStride: i32
  outRing: i32
  outW: i32
  channels: i32
  /** Scalar kernel: bytes between neighbouring pixels of the output. */
  outPixelStride: i32
  weights: u32
  bias: u32
  scale: u32
  scratch: u32
  /** As in ConvRecord. */
  constants: u32
  clamped: i32
  magic: i32
  magicMinusZero: i32
  actMin: i32
  actMax: i32
  outputZeroPoint: i32
  /** Zero point of the weights as stored: OP_DEPTHWISE3X3_PRODUCTS and OP_DEPTHWISE3X3_DOT. */
  weightZeroPoint: i32
  strideW: i32
  /** 1: scalar kernel, as in ConvRecord. */
  scalar: i32
  /** Scalar kernel only: fixed-point requantization by multiplier and shift (TFLite's builtin kernel). */
  fixedPoint: i32
  multiplier: i32
  shift: i32
}

/** out[n] = requantize(bias[n] + Σ_k x[k] * (w[n][k] - weightZeroPoint)), for each of `rows` rows of x. */
@unmanaged export class FullyConnectedRecord extends Record {
  input: u32
  output: u32
  inC: i32
  outC: i32
  weights: u32
  bias: u32
  scale: u32
  scratch: u32
  magic: i32
  magicMinusZero: i32
  actMin: i32
  actMax: i32
  outputZeroPoint: i32
  weightZeroPoint: i32
  /** 1: scalar kernel, as in ConvRecord; FULLY_CONNECTED_BYTES. */
  scalar: i32
}

/**
 * Elementwise a ∘ b with broadcasting: rows x d1 x d2 x d3 elements, byte strides of each operand per dimension (0:
 * broadcast; d3's stride is 0 or 1). kind 0: XNNPACK add; 1: XNNPACK mul; 2: builtin add; 3: builtin mul.
 */
@unmanaged export class BinaryRecord extends Record {
  kind: u32
  a: u32
  aRing: i32
  aRowStride: i32
  a1: i32
  a2: i32
  a3: i32
  b: u32
  bRing: i32
  bRowStride: i32
  b1: i32
  b2: i32
  b3: i32
  output: u32
  outRing: i32
  outRowStride: i32
  d1: i32
  d2: i32
  d3: i32
  aZeroPoint: i32
  bZeroPoint: i32
  outputZeroPoint: i32
  actMin: i32
  actMax: i32
  aMultiplier: i32
  aShift: i32
  bMultiplier: i32
  bShift: i32
  multiplier: i32
  shift: i32
  /** kind 2: elements handled by the vector block, whose int16 narrowing wraps. */
  wrapElements: i32
  /**
   * kind 2: zero point and limits are those of the file's own type; this much (128 for uint8) is subtracted at the end.
   */
  minus: i32
  scale: f32
}

/** Elementwise like BinaryRecord; `kind`: a COMBINE_ constant. */
@unmanaged export class CombineRecord extends BinaryRecord {
  /** COMBINE_DIV: { i32 reciprocal, i32 bits above 1 } of 0 to 255. */
  table: u32
}

export const COMBINE_MAXIMUM = 0
export const COMBINE_MINIMUM = 1
/**
 * Rescaled to twice the larger scale with 7 bits more by aMultiplier, bMultiplier; their squared difference by
 * multiplier.
 */
export const COMBINE_SQUARED_DIFFERENCE = 2
export const COMBINE_DIV = 3
/** a >= its zero point: times aMultiplier; else times b and bMultiplier. */
export const COMBINE_PRELU = 4
/** Of the stored integers; by 0: 0. */
export const COMBINE_FLOOR_DIV = 5
export const COMBINE_FLOOR_MOD = 6

/** Average (and, without the divisor, maximum) over windows clipped to the image. */
@unmanaged export class PoolRecord extends Record {
  input: u32
  inRowStride: i32
  inRing: i32
  output: u32
  outRowStride: i32
  outRing: i32
  inW: i32
  outW: i32
  channels: i32
  filterH: i32
  filterW: i32
  strideW: i32
  padLeft: i32
  actMin: i32
  actMax: i32
  /** 1: uint8 rounding (floor of the raw sum plus half), 0: int8 rounding (half away from zero). */
  unsigned: i32
  scratch: u32
}

/**
 * Mean over any axes: kept dimensions k0..k3 (output order), reduced dimensions r0..r3, with input byte strides.
 * out = clamp(RNE(f32(f32(sum + sumBias) * scale) + shift), -128..127 + bias) - see numerics: XNNPACK's mean.
 */
@unmanaged export class MeanRecord extends Record {
  input: u32
  output: u32
  k0: i32
  k1: i32
  k2: i32
  k3: i32
  k0Stride: i32
  k1Stride: i32
  k2Stride: i32
  k3Stride: i32
  r0: i32
  r1: i32
  r2: i32
  r3: i32
  r0Stride: i32
  r1Stride: i32
  r2Stride: i32
  r3Stride: i32
  /** Added to the sum of int8 values: 128 * n for uint8 tensors, else 0. */
  sumBias: i32
  scale: f32
  offset: f32
  /** Limits and final subtraction: [0,255] and 128 for uint8, [-128,127] and 0 for int8. */
  low: f32
  high: f32
  minus: i32
  scratch: u32
}

/**
 * Maximum, minimum, product, sum over any axes: dimensions and strides in bytes as in MeanRecord. `kind`: a REDUCE_
 * constant. Source: TFLite's builtin kernels.
 */
@unmanaged export class ReduceRecord extends Record {
  kind: i32
  input: u32
  output: u32
  k0: i32
  k1: i32
  k2: i32
  k3: i32
  k0Stride: i32
  k1Stride: i32
  k2Stride: i32
  k3Stride: i32
  r0: i32
  r1: i32
  r2: i32
  r3: i32
  r0Stride: i32
  r1Stride: i32
  r2Stride: i32
  r3Stride: i32
  /** REDUCE_PRODUCT8: zero points, and the factor of every step: multiplier of 15 bits, right shift. */
  inputZeroPoint: i32
  outputZeroPoint: i32
  multiplier: i32
  shift: i32
}

export const REDUCE_MAXIMUM8 = 0
export const REDUCE_MINIMUM8 = 1
export const REDUCE_PRODUCT8 = 2
/** On int32, wrapping; the mean is of the exact sum, towards 0. */
export const REDUCE_MAXIMUM32 = 3
export const REDUCE_MINIMUM32 = 4
export const REDUCE_PRODUCT32 = 5
export const REDUCE_SUM32 = 6
export const REDUCE_MEAN32 = 7
/** On float32. */
export const REDUCE_MAXIMUM_FLOAT = 8
export const REDUCE_MINIMUM_FLOAT = 9
export const REDUCE_PRODUCT_FLOAT = 10

/**
 * Products of int8 matrices: a [rows, inner] and b [inner, columns] for each of d0 x d1 x d2 pairs; strides in bytes, 0
 * where a matrix is repeated. The inner stride of a is 1, or its rows are gathered to scratch first.
 */
@unmanaged export class MatmulRecord extends Record {
  a: u32
  b: u32
  output: u32
  d0: i32
  d1: i32
  d2: i32
  a0: i32
  a1: i32
  a2: i32
  b0: i32
  b1: i32
  b2: i32
  m: i32
  inner: i32
  columns: i32
  aRow: i32
  aInner: i32
  bInner: i32
  bColumn: i32
  /** int32 by column; 0: none. */
  bias: u32
  /**
   * 16 bytes of sums, four columns of b as int16 (64 bytes each eight of the inner dimension), a's rows where they are
   * gathered.
   */
  scratch: u32
  aZeroPoint: i32
  bZeroPoint: i32
  outputZeroPoint: i32
  actMin: i32
  actMax: i32
  /** 0: f32 scale to nearest even; 1: by multiplier and shift, half away from zero; 2: the same, half up. */
  kind: i32
  scale: f32
  multiplier: i32
  shift: i32
}

/**
 * x / sqrt(sum of x squared) along the last axis: rows of `depth` int8. A value times 2^before, times the inverse root,
 * times 2^after.
 */
@unmanaged export class L2NormalizationRecord extends Record {
  input: u32
  output: u32
  depth: i32
  inputZeroPoint: i32
  before: i32
  after: i32
}

/** Log of softmax over the last axis; table[d] = expf(-scale * d), 256 f32. */
@unmanaged export class LogSoftmaxRecord extends Record {
  input: u32
  output: u32
  depth: i32
  table: u32
  inScale: f32
  outScale: f32
  /** Added to a stored value before the arithmetic, and to a result behind it: 128 and -1 for uint8, 0 and 127. */
  before: i32
  after: i32
}

/** Softmax over the last axis; table[d] = expf(-scale * beta * d), 256 f32. */
@unmanaged export class SoftmaxRecord extends Record {
  input: u32
  output: u32
  depth: i32
  table: u32
  outScale: f32
  /** int8: added after rounding half away. */
  outputZeroPoint: i32
  /** 1: uint8 output: q = trunc(p + 0.5), written as the raw uint8 xor `xor`. */
  unsigned: i32
  xor: u32
}

/** f32 = (q - zeroPoint) * scale */
@unmanaged export class DequantizeRecord extends Record {
  input: u32
  output: u32
  count: i32
  zeroPoint: i32
  scale: f32
}

/** q = clamp(RNE(x * inverseScale) + zeroPoint) */
@unmanaged export class QuantizeRecord extends Record {
  input: u32
  output: u32
  count: i32
  zeroPoint: i32
  inverseScale: f32
}

/**
 * LSTM over `steps` time steps of `batch` elements: int8 input, output and hidden state, int16 cell state. `gates`: for
 * each of the gates input, forget, cell, output (gateBytes apart) multiplier and shift of the input's, the hidden
 * state's and the peephole's share, then int32s for each cell: bias of the input's share, of the hidden state's, and
 * peephole weights.
 */
@unmanaged export class LstmRecord extends Record {
  input: u32
  output: u32
  hidden: u32
  cell: u32
  inputWeights0: u32
  inputWeights1: u32
  inputWeights2: u32
  inputWeights3: u32
  recurrentWeights0: u32
  recurrentWeights1: u32
  recurrentWeights2: u32
  recurrentWeights3: u32
  gates: u32
  gateBytes: i32
  steps: i32
  batch: i32
  inputs: i32
  cells: i32
  outputs: i32
  inputStride: i32
  inputBatchStride: i32
  outputStride: i32
  outputBatchStride: i32
  /** 1: no input gate, it is 1 - forget. */
  cifg: i32
  peephole: i32
  /** Right shift of input gate times cell gate, and integer bits of the cell state. */
  updateShift: i32
  cellBits: i32
  /** 0: none. */
  cellClip: i32
  hiddenMultiplier: i32
  hiddenShift: i32
  /** With a projection minus the zero point. */
  hiddenZeroPoint: i32
  /** int8 [outputs][cells], int32 [outputs]; 0: the hidden state is the output. */
  projection: u32
  projectionBias: u32
  projectionMultiplier: i32
  projectionShift: i32
  projectionClip: i32
  outputZeroPoint: i32
  /** 4 x cells int16, and cells int8. */
  scratch: u32
}

/**
 * Singular value decomposition filter: int8 features [filters][inputs], int16 time weights [filters][depth], int16
 * state [batch][filters][depth]; `rank` filters make one output.
 */
@unmanaged export class SvdfRecord extends Record {
  input: u32
  output: u32
  state: u32
  feature: u32
  featureBias: u32
  time: u32
  bias: u32
  batch: i32
  inputs: i32
  filters: i32
  rank: i32
  depth: i32
  stateMultiplier: i32
  stateShift: i32
  outputMultiplier: i32
  outputShift: i32
  outputZeroPoint: i32
}

/**
 * Bilinear resize by tables of { i32 first byte offset, i32 second byte offset, i32 weight of the second, 0..2048 }.
 */
@unmanaged export class ResizeBilinearRecord extends Record {
  input: u32
  output: u32
  outRowStride: i32
  outW: i32
  channels: i32
  rowTable: u32
  columnTable: u32
}

/** Copies runs of `bytes` from rows[y] + columns[x] (byte offsets): nearest-neighbour resize. */
@unmanaged export class GatherRecord extends Record {
  input: u32
  output: u32
  outRowStride: i32
  outW: i32
  bytes: i32
  rowTable: u32
  columnTable: u32
}

/** Box decoding and suppression of TFLite_Detection_PostProcess; see kernels/detection.ts. */
@unmanaged export class DetectionRecord extends Record {
  boxes: u32
  /** Numbers per box code. */
  boxStride: i32
  scores: u32
  anchors: u32
  count: i32
  classes: i32
  /** 1 where scores hold a background class first. */
  labelOffset: i32
  maxDetections: i32
  maxClasses: i32
  perClass: i32
  regular: i32
  scoreThreshold: f32
  iouThreshold: f32
  yScale: f32
  xScale: f32
  hScale: f32
  wScale: f32
  outBoxes: u32
  outClasses: u32
  outScores: u32
  outCount: u32
  scratch: u32
}

/** Index of the first maximum along one axis: outer x depth x inner. outBytes 4 or 8. */
@unmanaged export class ArgMaxRecord extends Record {
  input: u32
  output: u32
  outer: i32
  depth: i32
  inner: i32
  outBytes: i32
}

/**
 * Element by element on words of 32 or 64 bits, d0 x d1 x d2 x d3 of them; strides of the operands in bytes, the output
 * is contiguous. `kind`: an ARITHMETIC_ constant.
 */
@unmanaged export class ArithmeticRecord extends Record {
  kind: i32
  a: u32
  b: u32
  output: u32
  d0: i32
  d1: i32
  d2: i32
  d3: i32
  a0: i32
  a1: i32
  a2: i32
  a3: i32
  b0: i32
  b1: i32
  b2: i32
  b3: i32
  /** Limits of the result, which all kinds take as floats where bit 0 or 1 of `clamped` says so. */
  clamped: i32
  low: f32
  high: f32
}

/** int32, wrapping; FLOOR_DIV rounds towards minus infinity. */
export const ARITHMETIC_INT_ADD = 0
export const ARITHMETIC_INT_SUB = 1
export const ARITHMETIC_INT_MUL = 2
export const ARITHMETIC_INT_FLOOR_DIV = 3
/** float32. */
export const ARITHMETIC_FLOAT_ADD = 4
export const ARITHMETIC_FLOAT_SUB = 5
export const ARITHMETIC_FLOAT_MUL = 6
export const ARITHMETIC_FLOAT_DIV = 7
/** int32 to float32; `b` is not used. */
export const ARITHMETIC_INT_TO_FLOAT = 8
/** int32. FLOOR_MOD has the divisor's sign; DIV rounds towards 0. By 0: 0. */
export const ARITHMETIC_INT_MAXIMUM = 9
export const ARITHMETIC_INT_MINIMUM = 10
export const ARITHMETIC_INT_SQUARED_DIFFERENCE = 11
export const ARITHMETIC_INT_FLOOR_MOD = 12
export const ARITHMETIC_INT_DIV = 13
/** Added to the kinds of int32: the same on int64. */
export const ARITHMETIC_LONG = 32
/** float32. */
export const ARITHMETIC_FLOAT_MAXIMUM = 14
export const ARITHMETIC_FLOAT_MINIMUM = 15
export const ARITHMETIC_FLOAT_SQUARED_DIFFERENCE = 16
export const ARITHMETIC_FLOAT_FLOOR_DIV = 17
/** a, of negative ones the product. */
export const ARITHMETIC_FLOAT_PRELU = 21
/** Of OP_POWER. */
export const ARITHMETIC_FLOAT_POW = 18
/** The exponent is one for all: a whole one from 1 on multiplies. */
export const ARITHMETIC_FLOAT_POW_OF_ONE = 19
export const ARITHMETIC_INT_POW = 20

/**
 * Runs of `bytes` from `count` places; a place is `depth` int32 indices, each within its limit and times its stride in
 * bytes. An index outside of its limit ends the run with STATUS_BAD_INDEX.
 */
@unmanaged export class GatherNdRecord extends Record {
  input: u32
  indices: u32
  output: u32
  count: i32
  depth: i32
  bytes: i32
  limit0: u32
  limit1: u32
  limit2: u32
  limit3: u32
  stride0: i32
  stride1: i32
  stride2: i32
  stride3: i32
}

/** Copies d0 x d1 x d2 x d3 runs of `bytes` between any byte strides (transpose, concat, split, pad, slice, repeat). */
@unmanaged export class StridedCopyRecord extends Record {
  input: u32
  output: u32
  d0: i32
  d1: i32
  d2: i32
  d3: i32
  in0: i32
  in1: i32
  in2: i32
  in3: i32
  out0: i32
  out1: i32
  out2: i32
  out3: i32
  bytes: i32
}

/** Transposed convolution; weights [O][kh][kw][I] int8, accumulators in scratch (outH x outW x O, i32). */
@unmanaged export class TransposeConvRecord extends Record {
  input: u32
  inH: i32
  inW: i32
  inC: i32
  output: u32
  outH: i32
  outW: i32
  outC: i32
  kh: i32
  kw: i32
  strideW: i32
  padLeft: i32
  weights: u32
  bias: u32
  scale: u32
  scratch: u32
  inputZeroPoint: i32
  weightZeroPoint: i32
  outputZeroPoint: i32
  actMin: i32
  actMax: i32
  fixedPoint: i32
  multipliers: u32
  shifts: u32
}

/**
 * All threads of a program meet: `counter` counts arrivals, this barrier is passed when it reaches `target`.
 * `patience`: milliseconds to wait for the others before they must be dead; 0: without end.
 */
@unmanaged export class BarrierRecord extends Record {
  counter: u32
  target: u32
  patience: u32
}

/** Convolution with fixed-point rescaling, one output at a time (kernels/conv-fixed.ts). */
@unmanaged export class ConvFixedRecord extends Record {
  input: u32
  inH: i32
  inW: i32
  inC: i32
  output: u32
  outH: i32
  outW: i32
  outC: i32
  kh: i32
  kw: i32
  /** Input channels of one group, and output channels of one. */
  groupIn: i32
  groupOut: i32
  strideW: i32
  padLeft: i32
  dilationH: i32
  dilationW: i32
  weights: u32
  /** Bytes from one output channel's weights to the next, and from tap to tap. */
  weightStep: i32
  tapStep: i32
  bias: u32
  multipliers: u32
  shifts: u32
  inputZeroPoint: i32
  weightZeroPoint: i32
  outputZeroPoint: i32
  actMin: i32
  actMax: i32
  /** From this channel on the second rounding is half away from zero, before it half up. */
  awayFrom: i32
}

/** Element types of the kernels that take any. */
export const TYPE_INT8 = 0
/** uint8 as kernels see it: minus 128. */
export const TYPE_UINT8 = 1
export const TYPE_BOOL = 2
export const TYPE_INT16 = 3
export const TYPE_INT32 = 4
export const TYPE_INT64 = 5
export const TYPE_FLOAT32 = 6

export const COMPARE_EQUAL = 0
export const COMPARE_NOT_EQUAL = 1
export const COMPARE_LESS = 2
export const COMPARE_LESS_EQUAL = 3
export const COMPARE_GREATER = 4
export const COMPARE_GREATER_EQUAL = 5
export const COMPARE_AND = 6
export const COMPARE_OR = 7

/** bool = a ? b with broadcasting; steps in bytes. 8-bit operands: zero points and multipliers, after a shift by 8. */
@unmanaged export class CompareRecord extends Record {
  kind: u32
  type: u32
  a: u32
  b: u32
  output: u32
  d0: i32
  d1: i32
  d2: i32
  d3: i32
  a0: i32
  a1: i32
  a2: i32
  a3: i32
  b0: i32
  b1: i32
  b2: i32
  b3: i32
  aZeroPoint: i32
  aMultiplier: i32
  aShift: i32
  bZeroPoint: i32
  bMultiplier: i32
  bShift: i32
}

/** Where `condition` is set a, else b; elements of `bytes` bytes, steps in bytes. */
@unmanaged export class SelectRecord extends Record {
  condition: u32
  a: u32
  b: u32
  output: u32
  bytes: i32
  d0: i32
  d1: i32
  d2: i32
  d3: i32
  c0: i32
  c1: i32
  c2: i32
  c3: i32
  a0: i32
  a1: i32
  a2: i32
  a3: i32
  b0: i32
  b1: i32
  b2: i32
  b3: i32
}

/** C's conversion of `count` elements from type `from` to type `to`. */
@unmanaged export class ConvertRecord extends Record {
  input: u32
  output: u32
  count: i32
  from: u32
  to: u32
}

/** The `k` largest of each of `outer` rows of `depth` elements, and where they are; equal ones in order. */
@unmanaged export class TopKRecord extends Record {
  input: u32
  values: u32
  indices: u32
  outer: i32
  depth: i32
  k: i32
  type: u32
  bytes: i32
}

/** float32 of int8s through a table of 256, indexed by the byte as unsigned. */
@unmanaged export class FloatTableRecord extends Record {
  input: u32
  output: u32
  count: i32
  table: u32
}

/** A function of float32s or int32s, element by element; `kind`: a UNARY_ constant. */
@unmanaged export class FloatUnaryRecord extends Record {
  kind: i32
  input: u32
  output: u32
  count: i32
  /** Slope of UNARY_LEAKY_RELU. */
  alpha: f32
  /** Roots: 8192 u16, the estimates of kernels/float-unary.ts. */
  table: u32
}

export const UNARY_ABS = 0
export const UNARY_NEG = 1
export const UNARY_SQUARE = 2
export const UNARY_FLOOR = 3
export const UNARY_CEIL = 4
export const UNARY_ROUND = 5
export const UNARY_SIGN = 6
export const UNARY_RELU = 7
export const UNARY_RELU6 = 8
export const UNARY_RELU_N1_TO_1 = 9
export const UNARY_RELU_0_TO_1 = 10
export const UNARY_LEAKY_RELU = 11
export const UNARY_HARD_SWISH = 12
export const UNARY_EXP = 13
export const UNARY_LOG = 14
export const UNARY_SIN = 15
export const UNARY_COS = 16
export const UNARY_TANH = 17
export const UNARY_LOGISTIC = 18
export const UNARY_ELU = 19
export const UNARY_GELU = 20
export const UNARY_APPROXIMATE_GELU = 21
export const UNARY_SQRT = 22
export const UNARY_RSQRT = 23
/** int32. */
export const UNARY_INT_ABS = 24
export const UNARY_INT_NEG = 25
export const UNARY_INT_SIGN = 26

/** LOG_SOFTMAX of float32 over the last axis. */
@unmanaged export class FloatLogSoftmaxRecord extends Record {
  input: u32
  output: u32
  depth: i32
  /** As PowerRecord's. */
  table: u32
}

/** Functions of whole rows of float32: FLOAT_ROWS constants. `rows` of `depth` numbers. */
@unmanaged export class FloatRowsRecord extends Record {
  kind: i32
  input: u32
  output: u32
  depth: i32
}

export const FLOAT_ROWS_SOFTMAX = 0
export const FLOAT_ROWS_L2_NORMALIZATION = 1

/**
 * Sums of float32 times `scale`: dimensions and strides in bytes as in MeanRecord. Each run over r3 is a sum of its
 * own, scaled and added to what the runs before made; `contiguous`: a run is one stretch of memory, summed by lanes.
 */
@unmanaged export class FloatSumRecord extends Record {
  input: u32
  output: u32
  k0: i32
  k1: i32
  k2: i32
  k3: i32
  k0Stride: i32
  k1Stride: i32
  k2Stride: i32
  k3Stride: i32
  r0: i32
  r1: i32
  r2: i32
  r3: i32
  r0Stride: i32
  r1Stride: i32
  r2Stride: i32
  r3Stride: i32
  scale: f32
  contiguous: i32
}

/**
 * Pools of one image of float32, [inRows, inW, channels]. `kind`: a FLOAT_POOL constant; low and high: of the result.
 */
@unmanaged export class FloatPoolRecord extends Record {
  kind: i32
  input: u32
  output: u32
  inW: i32
  outW: i32
  channels: i32
  filterH: i32
  filterW: i32
  strideW: i32
  padLeft: i32
  low: f32
  high: f32
}

export const FLOAT_POOL_MAXIMUM = 0
export const FLOAT_POOL_AVERAGE = 1
export const FLOAT_POOL_L2 = 2
/** The average by TFLite's builtin kernel. */
export const FLOAT_POOL_MEAN = 3

/**
 * Convolution of one image of float32: plain, grouped, depthwise, transposed. Weights: [outC][kh][kw][groupIn],
 * depthwise ones (groupIn 1) alike. Output channel o reads the group o / groupOut. `order`: a FLOAT_CONV constant.
 */
@unmanaged export class FloatConvRecord extends Record {
  order: i32
  input: u32
  output: u32
  weights: u32
  /** 0: none. */
  bias: u32
  inW: i32
  inC: i32
  outW: i32
  outC: i32
  groupIn: i32
  groupOut: i32
  kh: i32
  kw: i32
  strideW: i32
  dilationH: i32
  dilationW: i32
  padLeft: i32
  low: f32
  high: f32
}

/** Taps row by row, column by column; row by row of an input that the strides spread. */
export const FLOAT_CONV_ROWS = 0
export const FLOAT_CONV_COLUMNS = 1
export const FLOAT_CONV_TRANSPOSED = 2

/** Products of float32 matrices as in MatmulRecord; strides of both in bytes along both dimensions. */
@unmanaged export class FloatMatmulRecord extends Record {
  a: u32
  b: u32
  /** [columns], 0: none. */
  bias: u32
  output: u32
  d0: i32
  d1: i32
  d2: i32
  a0: i32
  a1: i32
  a2: i32
  b0: i32
  b1: i32
  b2: i32
  m: i32
  inner: i32
  columns: i32
  aRow: i32
  aInner: i32
  bInner: i32
  bColumn: i32
  low: f32
  high: f32
}

/** ARG_MAX, ARG_MIN of 32-bit words. */
@unmanaged export class ArgMax32Record extends ArgMaxRecord {
  floats: i32
  /** 1: of the smallest. */
  least: i32
}

/** CUMSUM along `depth` of [outer, depth, inner]; `type`: a TYPE constant, int32, int64 or float32. */
@unmanaged export class CumulateRecord extends Record {
  input: u32
  output: u32
  outer: i32
  depth: i32
  inner: i32
  type: i32
  exclusive: i32
  reverse: i32
}

/**
 * Runs of `count` elements of `type` added to zeros at index tuples: SCATTER_ND. Limits and strides as in
 * GatherNdRecord.
 */
@unmanaged export class ScatterRecord extends GatherNdRecord {
  /** Of the whole output. */
  outputBytes: i32
  type: i32
}

/** POW of 32-bit words. */
@unmanaged export class PowerRecord extends ArithmeticRecord {
  /** f64: 1/c, log(c), log2(c) for sixteen c from sqrt(1/2) to sqrt(2), then 2^(i/32) for 32 i. */
  table: u32
}

/**
 * Convolution of int16 by int8: plain, grouped, depthwise, transposed; fully connected layers as 1 x 1. Zero points are
 * 0. Weights: [outC, a multiple of 4][patch], patches padded with zeros to a multiple of 8; channelwise ones
 *    [kh][kw][outC].
 */
@unmanaged export class Conv16Record extends Record {
  input: u32
  inH: i32
  inW: i32
  inC: i32
  output: u32
  outW: i32
  outC: i32
  kh: i32
  kw: i32
  groupIn: i32
  groupOut: i32
  strideW: i32
  padLeft: i32
  dilationH: i32
  dilationW: i32
  /** 1: strides are those of the output, each input pixel is spread over a window. */
  transposed: i32
  /** 1: one output channel for each input channel, taps at most 511. */
  channelwise: i32
  weights: u32
  /** Elements of a padded patch. */
  patch: i32
  /** int64 by channel; 0: none. */
  bias: u32
  multipliers: u32
  shifts: u32
  /** A RESCALE16_ constant. */
  rescale: i32
  awayFrom: i32
  actMin: i32
  actMax: i32
  /** Eight int64 sums, then two patches. */
  scratch: u32
}

/** 64-bit sum times a multiplier of 15 bits, half up, shifted right by `shift`. */
export const RESCALE16_WIDE = 0
/** 32-bit sum, wrapping, by multiplier and left shift: half up, and half away from zero from channel `awayFrom` on. */
export const RESCALE16_NARROW = 1
/** By a float64, half away from zero; `multipliers` has those, shifts are not read. */
export const RESCALE16_REAL = 2

/** Two int16 operands, d0 x d1 x d2 x d3 elements, strides in bytes; the output is contiguous. */
@unmanaged export class Pairs16Record extends Record {
  kind: i32
  a: u32
  b: u32
  output: u32
  d0: i32
  d1: i32
  d2: i32
  d3: i32
  a0: i32
  a1: i32
  a2: i32
  a3: i32
  b0: i32
  b1: i32
  b2: i32
  b3: i32
  aMultiplier: i32
  aShift: i32
  bMultiplier: i32
  bShift: i32
  multiplier: i32
  shift: i32
  actMin: i32
  actMax: i32
}

/** Both times 2^15 and their multipliers, added, times the multiplier; a negative bMultiplier subtracts. */
/** Operands of one shape: the shift to the left and that of the scale are one. */
export const PAIRS16_ADD_SAME = 8
export const PAIRS16_ADD = 0
/** Both divided by 2^aShift and 2^bShift, half away from zero, added with b times bMultiplier (1 or -1). */
export const PAIRS16_ADD_POWERS = 1
export const PAIRS16_MUL = 2
export const PAIRS16_MAXIMUM = 3
export const PAIRS16_MINIMUM = 4
/** By reciprocals in fixed point; by 0: 0. */
export const PAIRS16_DIV = 5
/** Of stored integers; by 0: 0. */
export const PAIRS16_FLOOR_DIV = 6
export const PAIRS16_FLOOR_MOD = 7

/** `count` elements of type `from` to type `to`, one of them int16. */
@unmanaged export class Unary16Record extends Record {
  kind: i32
  input: u32
  output: u32
  count: i32
  from: u32
  to: u32
  inputZeroPoint: i32
  outputZeroPoint: i32
  /** UNARY16_RESCALE: of values from 0 on, and of those below. */
  multiplier: i32
  shift: i32
  below: i32
  belowShift: i32
  low: i32
  high: i32
  /** int16 or uint16 entries. */
  table: u32
  scale: f32
  outputScale: f32
}

export const UNARY16_RESCALE = 0
/** 513 entries, between which is interpolated. */
export const UNARY16_LOOKUP = 1
/** By the 256 entries of 2^16 * logistic(i / 24). */
export const UNARY16_LOGISTIC = 2
export const UNARY16_TANH = 3
/** The input has 12 fractional bits; TANH's are shifted left by `shift`. */
export const UNARY16_LOGISTIC_FIXED = 4
export const UNARY16_TANH_FIXED = 5
export const UNARY16_FROM_FLOAT = 6
export const UNARY16_TO_FLOAT = 7
/** Square root of the real number, towards 0; of a negative one 0. */
export const UNARY16_SQRT = 8

/** Average or maximum over windows clipped to the image, of int16. */
@unmanaged export class Pool16Record extends Record {
  input: u32
  output: u32
  inW: i32
  outW: i32
  channels: i32
  filterH: i32
  filterW: i32
  strideW: i32
  padLeft: i32
  average: i32
  actMin: i32
  actMax: i32
}

/** Over any axes of int16, dimensions and strides in bytes as in MeanRecord. */
@unmanaged export class Reduce16Record extends Record {
  kind: i32
  input: u32
  output: u32
  k0: i32
  k1: i32
  k2: i32
  k3: i32
  k0Stride: i32
  k1Stride: i32
  k2Stride: i32
  k3Stride: i32
  r0: i32
  r1: i32
  r2: i32
  r3: i32
  r0Stride: i32
  r1Stride: i32
  r2Stride: i32
  r3Stride: i32
  /** REDUCE16_PRODUCT: 15 bits, and a right shift. */
  multiplier: i32
  shift: i32
  /** REDUCE16_SUM. */
  scale: f32
}

export const REDUCE16_MAXIMUM = 0
export const REDUCE16_MINIMUM = 1
export const REDUCE16_MEAN = 2
export const REDUCE16_SUM = 3
export const REDUCE16_PRODUCT = 4

/** Products of int16 matrices, or int16 by int8, as in MatmulRecord; `bBytes`: of an element of b. */
@unmanaged export class Matmul16Record extends Record {
  a: u32
  b: u32
  output: u32
  d0: i32
  d1: i32
  d2: i32
  a0: i32
  a1: i32
  a2: i32
  b0: i32
  b1: i32
  b2: i32
  m: i32
  inner: i32
  columns: i32
  aRow: i32
  aInner: i32
  bInner: i32
  bColumn: i32
  bBytes: i32
  /** int64 by column; 0: none. */
  bias: u32
  /** By column; or one for all, with `perColumn` 0. */
  multipliers: u32
  shifts: u32
  perColumn: i32
  actMin: i32
  actMax: i32
}

/** Softmax over the last axis of int16, by two tables of 513 entries. */
@unmanaged export class Softmax16Record extends Record {
  input: u32
  output: u32
  depth: i32
  multiplier: i32
  shift: i32
  exponentials: u32
  reciprocals: u32
}

/** Bilinear resize of int16 by tables as in ResizeBilinearRecord; weights have 10 bits. */
@unmanaged export class Resize16Record extends Record {
  input: u32
  output: u32
  outW: i32
  channels: i32
  rowTable: u32
  columnTable: u32
}
