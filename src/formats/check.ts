/**
 * What every graph must satisfy, whatever file it came from: shapes within limits, constants of the right size,
 * quantization that fits its tensor, operands in number and range, attributes in range, and an order in which the ops
 * can run. `OP_SPECS` is the one table of operand counts and attribute kinds.
 * Not checked here: whether the shapes and types of an op's operands fit each other, which is `lower`'s.
 */
import { ThimbleError } from '../base/errors.ts'
import type { DType, Graph, Op, OpAttributes, OpType, Quantization, Tensor } from '../graph/graph.ts'
import { opLabel, tensorBytes } from '../graph/graph.ts'
import { allWithin, largestScale } from '../base/scan.ts'
import { checkShape, isInt, MAX_OPERANDS, MAX_RANK, MAX_TENSOR_BYTES } from './check-shape.ts'

export const MAX_TENSORS = 2 ** 19
export const MAX_OPS = 2 ** 18

const damaged = 'the file is damaged'

/**
 * Kinds of attributes. `count`: 1 to 65535 (strides, windows); `limit`: 1 to a million; `dimensions`: a list, or
 * absent; `mark`: true, or absent.
 */
type Kind =
  | 'padding'
  | 'activation'
  | 'count'
  | 'limit'
  | 'limit or 0'
  | 'axis'
  | 'int'
  | 'real'
  | 'bool'
  | 'index type'
  | 'mirror mode'
  | 'dimensions'
  | 'mark'
  | 'name'

export interface OpSpec<T extends OpType = OpType> {
  /** Fewest and most inputs. */
  inputs: readonly [number, number]
  /** Fewest and most outputs. */
  outputs: readonly [number, number]
  /** Positions of inputs that may be absent (-1). */
  optional?: number | readonly number[]
  attrs: Record<keyof OpAttributes[T] & string, Kind>
}

const ONE = [1, 1] as const
const TWO = [2, 2] as const
const MANY = [1, MAX_OPERANDS] as const
const UNARY = { inputs: ONE, outputs: ONE, attrs: {} } as const
const BINARY = { inputs: TWO, outputs: ONE, attrs: { activation: 'activation' } } as const
const SHAPED = { inputs: TWO, outputs: ONE, attrs: {} } as const
const REDUCER = { inputs: TWO, outputs: ONE, attrs: { keepDims: 'bool' } } as const
const WINDOW = { padding: 'padding', strideH: 'count', strideW: 'count', activation: 'activation' } as const
const CONV = { ...WINDOW, dilationH: 'count', dilationW: 'count', narrowBias: 'mark' } as const
const SUM = { inputs: TWO, outputs: ONE, attrs: { activation: 'activation', powersOfTwo: 'mark' } } as const
const POOL = { inputs: ONE, outputs: ONE, attrs: { ...WINDOW, filterH: 'count', filterW: 'count' } } as const
const INDEX = { inputs: TWO, outputs: ONE, attrs: { outputType: 'index type' } } as const
const TERNARY = { inputs: [3, 3], outputs: ONE, attrs: {} } as const
const BLOCKS = { inputs: ONE, outputs: ONE, attrs: { blockSize: 'count' } } as const
const RESIZE = { inputs: TWO, outputs: ONE, attrs: { alignCorners: 'bool', halfPixelCenters: 'bool' } } as const

export const OP_SPECS: { readonly [T in OpType]: OpSpec<T> } = {
  CONV_2D: { inputs: [2, 3], outputs: ONE, optional: 2, attrs: CONV },
  DEPTHWISE_CONV_2D: { inputs: [2, 3], outputs: ONE, optional: 2, attrs: { ...CONV, depthMultiplier: 'limit' } },
  TRANSPOSE_CONV: { inputs: [3, 4], outputs: ONE, optional: 3, attrs: { ...WINDOW, narrowBias: 'mark' } },
  FULLY_CONNECTED: {
    inputs: [2, 3],
    outputs: ONE,
    optional: 2,
    attrs: { activation: 'activation', keepNumDims: 'bool' },
  },
  ADD: SUM,
  SUB: SUM,
  ADD_N: { inputs: MANY, outputs: ONE, attrs: {} },
  MUL: BINARY,
  DIV: BINARY,
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
  BATCH_MATMUL: { inputs: TWO, outputs: ONE, attrs: { adjX: 'bool', adjY: 'bool' } },
  SOFTMAX: { ...UNARY, attrs: { beta: 'real' } },
  LOG_SOFTMAX: UNARY,
  L2_NORMALIZATION: { ...UNARY, attrs: { activation: 'activation' } },
  LOGISTIC: UNARY,
  TANH: UNARY,
  ELU: UNARY,
  GELU: { ...UNARY, attrs: { approximate: 'bool' } },
  EXP: UNARY,
  LOG: UNARY,
  ABS: UNARY,
  NEG: UNARY,
  SQUARE: UNARY,
  RSQRT: UNARY,
  SIN: UNARY,
  COS: UNARY,
  FLOOR: UNARY,
  CEIL: UNARY,
  ROUND: UNARY,
  SIGN: UNARY,
  RELU_0_TO_1: UNARY,
  LOGICAL_NOT: UNARY,
  ZEROS_LIKE: UNARY,
  RANK: UNARY,
  HARD_SWISH: UNARY,
  RELU: UNARY,
  RELU6: UNARY,
  RELU_N1_TO_1: UNARY,
  LEAKY_RELU: { ...UNARY, attrs: { alpha: 'real' } },
  QUANTIZE: UNARY,
  DEQUANTIZE: UNARY,
  CAST: UNARY,
  SQRT: UNARY,
  SQUEEZE: { ...UNARY, attrs: { dims: 'dimensions' } },
  SHAPE: { ...UNARY, attrs: { outputType: 'index type' } },
  RESIZE_BILINEAR: RESIZE,
  RESIZE_NEAREST_NEIGHBOR: RESIZE,
  PAD: SHAPED,
  PADV2: TERNARY,
  MIRROR_PAD: { inputs: TWO, outputs: ONE, attrs: { mode: 'mirror mode' } },
  EXPAND_DIMS: SHAPED,
  TRANSPOSE: SHAPED,
  GATHER_ND: SHAPED,
  SCATTER_ND: TERNARY,
  EMBEDDING_LOOKUP: SHAPED,
  ONE_HOT: { inputs: [4, 4], outputs: ONE, attrs: { axis: 'int' } },
  GATHER: { inputs: TWO, outputs: ONE, attrs: { axis: 'int', batchDims: 'int' } },
  FLOOR_DIV: SHAPED,
  FLOOR_MOD: SHAPED,
  MAXIMUM: SHAPED,
  MINIMUM: SHAPED,
  SQUARED_DIFFERENCE: SHAPED,
  POW: SHAPED,
  EQUAL: SHAPED,
  NOT_EQUAL: SHAPED,
  LESS: SHAPED,
  LESS_EQUAL: SHAPED,
  GREATER: SHAPED,
  GREATER_EQUAL: SHAPED,
  LOGICAL_AND: SHAPED,
  LOGICAL_OR: SHAPED,
  SELECT: TERNARY,
  SELECT_V2: TERNARY,
  FILL: SHAPED,
  RANGE: TERNARY,
  TILE: SHAPED,
  BROADCAST_TO: SHAPED,
  BROADCAST_ARGS: SHAPED,
  SPACE_TO_BATCH_ND: TERNARY,
  BATCH_TO_SPACE_ND: TERNARY,
  SPACE_TO_DEPTH: BLOCKS,
  DEPTH_TO_SPACE: BLOCKS,
  REVERSE_V2: SHAPED,
  REVERSE_SEQUENCE: { inputs: TWO, outputs: ONE, attrs: { axis: 'int', batchAxis: 'int' } },
  CUMSUM: { inputs: TWO, outputs: ONE, attrs: { exclusive: 'bool', reverse: 'bool' } },
  TOPK_V2: { inputs: TWO, outputs: TWO, attrs: {} },
  PRELU: SHAPED,
  CONCATENATION: { inputs: MANY, outputs: ONE, attrs: { axis: 'axis', activation: 'activation' } },
  SPLIT: { inputs: TWO, outputs: MANY, attrs: { numSplits: 'limit' } },
  SPLIT_V: { inputs: [3, 3], outputs: MANY, attrs: { numSplits: 'limit' } },
  ARG_MAX: INDEX,
  ARG_MIN: INDEX,
  UNIDIRECTIONAL_SEQUENCE_LSTM: {
    inputs: [20, 24],
    outputs: ONE,
    optional: [1, 5, 9, 10, 11, 12, 16, 17, 20, 21, 22, 23],
    attrs: { timeMajor: 'bool', cellClip: 'real', projectionClip: 'real', hiddenScale: 'real', hiddenZeroPoint: 'int' },
  },
  SVDF: { inputs: [5, 5], outputs: ONE, optional: 3, attrs: { rank: 'count', activation: 'activation' } },
  READ_VARIABLE: UNARY,
  ASSIGN_VARIABLE: { inputs: TWO, outputs: [0, 0], attrs: {} },
  RESHAPE: { inputs: [1, 2], outputs: ONE, optional: 1, attrs: { newShape: 'dimensions' } },
  SLICE: { inputs: [3, 3], outputs: ONE, attrs: {} },
  STRIDED_SLICE: {
    inputs: [4, 4],
    outputs: ONE,
    attrs: { beginMask: 'int', endMask: 'int', ellipsisMask: 'int', newAxisMask: 'int', shrinkAxisMask: 'int' },
  },
  PACK: { inputs: MANY, outputs: ONE, attrs: { axis: 'axis', valuesCount: 'limit' } },
  UNPACK: { inputs: ONE, outputs: MANY, attrs: { axis: 'axis', num: 'limit' } },
  DETECTION_POSTPROCESS: {
    inputs: [3, 3],
    outputs: [4, 4],
    attrs: {
      maxDetections: 'limit',
      maxClassesPerDetection: 'limit',
      detectionsPerClass: 'limit or 0',
      numClasses: 'limit',
      useRegularNms: 'bool',
      nmsScoreThreshold: 'real',
      nmsIouThreshold: 'real',
      yScale: 'real',
      xScale: 'real',
      hScale: 'real',
      wScale: 'real',
    },
  },
  UNSUPPORTED: { inputs: [0, MAX_OPERANDS], outputs: [0, MAX_OPERANDS], attrs: { name: 'name' } },
}

/** Whether a value is of its kind, and what the kind allows, for the message. */
const KINDS: Record<Kind, readonly [(v: unknown) => boolean, string]> = {
  padding: [(v) => v === 'SAME' || v === 'VALID', 'SAME or VALID'],
  activation: [
    (v) => v === 'NONE' || v === 'RELU' || v === 'RELU_N1_TO_1' || v === 'RELU6',
    'NONE, RELU, RELU_N1_TO_1 or RELU6',
  ],
  count: [(v) => isInt(v, 1, 65535), '1 to 65535'],
  limit: [(v) => isInt(v, 1, 1e6), '1 to 1000000'],
  'limit or 0': [(v) => isInt(v, 0, 1e6), '0 to 1000000'],
  axis: [(v) => isInt(v, -MAX_RANK, MAX_RANK - 1), 'a dimension of the tensor'],
  int: [(v) => isInt(v, -(2 ** 31), 2 ** 31 - 1), 'a 32-bit integer'],
  real: [(v) => typeof v === 'number' && Number.isFinite(v), 'a finite number'],
  bool: [(v) => typeof v === 'boolean', 'true or false'],
  mark: [(v) => v === undefined || v === true, 'true, or nothing'],
  'index type': [(v) => v === 'int32' || v === 'int64', 'int32 or int64'],
  'mirror mode': [(v) => v === 'REFLECT' || v === 'SYMMETRIC', 'REFLECT or SYMMETRIC'],
  dimensions: [
    (v) =>
      v === undefined ||
      (Array.isArray(v) && v.length <= MAX_RANK && v.every((d) => isInt(d, -MAX_TENSOR_BYTES, MAX_TENSOR_BYTES))),
    `at most ${MAX_RANK} integers`,
  ],
  name: [(v) => typeof v === 'string', 'a name'],
}

const attributeError = (where: string, name: string, expected: string | number, got: unknown): ThimbleError =>
  new ThimbleError('format/op-attribute', name, {
    op: where,
    expected,
    got: String(got),
    hint: `${damaged} or its writer is at fault`,
  })

/** How many operands an attribute of some ops must name. */
function checkOperandCount(op: Op, where: string): void {
  const equal = (name: string, value: number, expected: number): void => {
    if (value !== expected) throw attributeError(where, name, expected, value)
  }
  switch (op.type) {
    case 'PACK':
      return equal('valuesCount', op.attrs.valuesCount, op.inputs.length)
    case 'UNPACK':
      return equal('num', op.attrs.num, op.outputs.length)
    case 'SPLIT':
    case 'SPLIT_V':
      return equal('numSplits', op.attrs.numSplits, op.outputs.length)
    default:
      return
  }
}

function checkCount(what: string, got: number, range: readonly [number, number], where: string): void {
  const min = range[0]
  const max = range[1]
  if (got < min || got > max) {
    throw new ThimbleError('format/op-operands', `wrong number of ${what}`, {
      op: where,
      expected: min === max ? min : `${min} to ${max}`,
      got,
    })
  }
}

const mayBeAbsent = ({ optional = -1 }: OpSpec, position: number): boolean =>
  typeof optional === 'number' ? optional === position : optional.includes(position)

/** Operand counts, missing inputs and attributes of one op. Errors: `format/op-operands`, `format/op-attribute`. */
export function checkOp(op: Op, where: string): void {
  const spec: OpSpec = OP_SPECS[op.type]
  const { inputs } = op
  checkCount('inputs', inputs.length, spec.inputs, where)
  checkCount('outputs', op.outputs.length, spec.outputs, where)
  if (op.type !== 'UNSUPPORTED') {
    for (let i = 0; i < inputs.length; i++) {
      if (inputs[i]! < 0 && !mayBeAbsent(spec, i)) {
        throw new ThimbleError('format/op-operands', `input ${i} is missing`, { op: where })
      }
    }
  }
  const attrs = op.attrs as Record<string, unknown>
  const kinds = spec.attrs as Record<string, Kind>
  for (const name in kinds) {
    const kind = KINDS[kinds[name]!]
    if (!kind[0](attrs[name])) throw attributeError(where, name, kind[1], attrs[name])
  }
  checkOperandCount(op, where)
}

const ZERO_POINT_RANGE: Partial<Record<DType, readonly [number, number]>> = {
  int8: [-128, 127],
  uint8: [0, 255],
  int16: [-32768, 32767],
  uint16: [0, 65535],
}

const badQuantization = (tensor: Tensor, what: string, expected: string | number, got: string | number): ThimbleError =>
  new ThimbleError('format/quantization', what, { tensor: tensor.name, expected, got })

/** Errors: `format/quantization`. */
function checkQuantization({ scales, zeroPoints, axis }: Quantization, tensor: Tensor): void {
  const { shape, dtype } = tensor
  if (zeroPoints.length !== scales.length) {
    throw badQuantization(tensor, 'number of zero points', scales.length, zeroPoints.length)
  }
  if (!isInt(axis, 0, Math.max(shape.length - 1, 0))) {
    throw badQuantization(tensor, 'quantized dimension', `less than ${shape.length}`, axis)
  }
  if (scales.length !== 1 && scales.length !== shape[axis]) {
    throw badQuantization(tensor, 'number of scales', `1 or ${shape[axis] ?? 1}`, scales.length)
  }
  // Filters may have negative ones: the builtin kernels take them.
  const scale = largestScale(scales) < 0 ? scales.find((s) => !Number.isFinite(s)) : undefined
  if (scale !== undefined) throw badQuantization(tensor, 'scale', 'a finite number', scale)
  const range = ZERO_POINT_RANGE[dtype]
  if (!range || allWithin(zeroPoints, range[0], range[1])) return
  throw badQuantization(
    tensor,
    'zero point',
    `${range[0]} to ${range[1]}`,
    zeroPoints.find((z) => z < range[0] || z > range[1])!,
  )
}

/** Errors: `format/shape`, `format/quantization`, `format/constant-size`. */
export function checkTensor(tensor: Tensor): void {
  checkShape(tensor)
  if (tensor.quantization) checkQuantization(tensor.quantization, tensor)
  const expected = tensorBytes(tensor)
  for (const [what, bytes] of [
    ['constant', tensor.data],
    ['initial state', tensor.initial],
  ] as const) {
    if (!bytes || bytes.length === expected) continue
    throw new ThimbleError(
      'format/constant-size',
      `${what} of another size than its shape [${tensor.shape}] and type ${tensor.dtype}`,
      { tensor: tensor.name, expected: `${expected} bytes`, got: bytes.length },
    )
  }
}

/** Errors: `format/tensor-index` for an index that names no tensor; -1 passes where `optional`. */
function checkIndices(indices: readonly number[], tensors: readonly Tensor[], where: string, optional = false): void {
  const least = optional ? -1 : 0
  const most = tensors.length - 1
  for (let k = 0; k < indices.length; k++) {
    const i = indices[k]!
    if (!isInt(i, least, most)) {
      throw new ThimbleError('format/tensor-index', `tensor index out of range in ${where}`, {
        expected: `0 to ${tensors.length - 1}`,
        got: i,
        hint: damaged,
      })
    }
  }
}

/**
 * Checks a whole graph. `ready[i]`: tensor i has a value without being a constant of the graph (a variable, or a
 * constant of a kind that the graph can't hold).
 * Errors: those of `checkTensor` and `checkOp`; `format/limit`, `format/tensor-index`, `format/inputs`; `format/order`
 * when something is read that nothing earlier provides; `format/written-twice`.
 */
export function checkGraph(graph: Graph, ready: readonly boolean[] = []): void {
  const { tensors, ops, inputs, outputs } = graph
  if (tensors.length > MAX_TENSORS || ops.length > MAX_OPS) {
    throw new ThimbleError('format/limit', 'too many tensors or ops', {
      expected: `at most ${MAX_TENSORS} and ${MAX_OPS}`,
      got: `${tensors.length} and ${ops.length}`,
    })
  }
  if (inputs.length === 0 || outputs.length === 0) {
    throw new ThimbleError('format/inputs', 'the model has no inputs or no outputs', {
      expected: 'at least 1 of each',
      got: `${inputs.length} and ${outputs.length}`,
    })
  }
  tensors.forEach(checkTensor)
  checkIndices(inputs, tensors, 'the graph inputs')
  checkIndices(outputs, tensors, 'the graph outputs')
  const written = tensors.map((t, i) => t.data !== undefined || t.initial !== undefined || ready[i] === true)
  for (const i of inputs) {
    if (written[i]) {
      throw new ThimbleError('format/inputs', 'a graph input is a constant, a variable or listed twice', {
        tensor: tensors[i]!.name,
        hint: damaged,
      })
    }
    written[i] = true
  }
  ops.forEach((op, index) => {
    const where = opLabel(op, index)
    checkIndices(op.inputs, tensors, where, true)
    checkIndices(op.outputs, tensors, where)
    checkOp(op, where)
    for (let k = 0; k < op.inputs.length; k++) {
      const i = op.inputs[k]!
      // Ops of other runtimes have scratch among their inputs; they are refused by name, not as damage.
      if (i >= 0 && !written[i] && op.type !== 'UNSUPPORTED') {
        throw new ThimbleError('format/order', 'reads a tensor that no earlier op, input or constant provides', {
          op: where,
          tensor: tensors[i]!.name,
          hint: damaged,
        })
      }
    }
    for (let k = 0; k < op.outputs.length; k++) {
      const i = op.outputs[k]!
      if (written[i]) {
        throw new ThimbleError(
          'format/written-twice',
          'writes a tensor that is a constant, an input or written before',
          { op: where, tensor: tensors[i]!.name, hint: damaged },
        )
      }
      written[i] = true
    }
  })
  for (const i of outputs) {
    if (!written[i]) {
      throw new ThimbleError('format/order', 'no op writes a graph output', { tensor: tensors[i]!.name, hint: damaged })
    }
  }
}
