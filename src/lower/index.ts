/**
 * Graph to kernel steps. The only place that knows which op of the file format becomes which kernel, and what of the
 * reference runtime's behaviour (XNNPACK or builtin kernel, which rounding) an op gets.
 */

import { isFolded } from '../fold/index.ts'
import { ThimbleError } from '../base/errors.ts'
import { tensorBytes, type Graph, type Op, type OpType } from '../graph/graph.ts'
import { blockerOf, noRule, type Blocker } from './blockers.ts'
import { lowerLstm, lowerSvdf } from './recurrent.ts'
import { lowerAssignVariable, lowerReadVariable, resetSteps } from './state.ts'
import { lowerBinary } from './binary.ts'
import {
  lowerDiv8,
  lowerFloorDiv8,
  lowerFloorMod8,
  lowerMaximum,
  lowerMinimum,
  lowerPrelu8,
  lowerSquaredDifference8,
} from './combine.ts'
import { Context, Unsupported, type LowerOptions } from './context.ts'
import { lowerConv, lowerFullyConnected } from './conv.ts'
import { lowerAddN, lowerCumsum, lowerLongSum } from './cumulate.ts'
import {
  lowerFloatBatchMatmul,
  lowerFloatConv,
  lowerFloatFullyConnected,
  lowerFloatTransposeConv,
} from './float-conv.ts'
import { lowerFloatL2Normalization, lowerFloatPool, lowerFloatSoftmax, lowerFloatSum } from './float-rows.ts'
import { lowerDepthwise } from './depthwise.ts'
import { lowerDetection } from './detection.ts'
import {
  lowerDequantize,
  lowerHardSwish,
  lowerLeakyRelu,
  lowerLogistic,
  lowerQuantize,
  lowerRelu,
  lowerTanh,
} from './elementwise.ts'
import { floatOr, lowerFloat } from './floats.ts'
import { withoutUnread } from './functions.ts'
import { ruleOf16 } from './int16/index.ts'
import { lowerEmbedding, lowerGather, lowerGatherNd, lowerScatterNd } from './gather.ts'
import { lowerBatchMatmul } from './matmul.ts'
import { lowerL2Normalization, lowerLogSoftmax } from './normalize.ts'
import {
  lowerAbs,
  lowerElu,
  lowerExp,
  lowerGelu,
  lowerLog,
  lowerNeg,
  lowerRelu0To1,
  lowerRsqrt8,
  lowerSqrt8,
} from './unary.ts'
import { Value, type Buffer, type Step } from './program.ts'
import { lowerArgMax, lowerMeanOrSum, lowerPool, lowerReduce, lowerSoftmax } from './reduce.ts'
import { lowerMirrorPad, lowerPad } from './pad.ts'
import { lowerResize } from './resize.ts'
import {
  lowerBlocksToBatch,
  lowerBlocksToDepth,
  lowerBroadcast,
  lowerConcatenation,
  lowerPack,
  lowerReshape,
  lowerReverse,
  lowerReverseSequence,
  lowerSlice,
  lowerSplit,
  lowerStridedSlice,
  lowerTile,
  lowerTranspose,
  lowerUnpack,
} from './shape.ts'
import { lowerCompare, lowerNot, lowerOneHot, lowerSelect, lowerTopK } from './select.ts'
import { lowerTransposeConv } from './transpose-conv.ts'
import { lowerArithmetic, lowerCast, wordsOr } from './words.ts'

/** By the output's type: `real` for float32, else `rule`. */
const realOr =
  (real: (cx: Context) => void, rule: (cx: Context) => void) =>
  (cx: Context): void =>
    cx.output().dtype === 'float32' ? real(cx) : rule(cx)

/** An op that LiteRT runs on float32 alone. */
function noEight(cx: Context): void {
  throw new Unsupported(`${cx.op.type} of ${cx.output().dtype}, which LiteRT does not run either`)
}

const RULES: Partial<Record<OpType, (cx: Context) => void>> = {
  CONV_2D: realOr(lowerFloatConv, lowerConv),
  DEPTHWISE_CONV_2D: realOr(lowerFloatConv, lowerDepthwise),
  TRANSPOSE_CONV: realOr(lowerFloatTransposeConv, lowerTransposeConv),
  FULLY_CONNECTED: realOr(lowerFloatFullyConnected, lowerFullyConnected),
  ADD: lowerBinary,
  ADD_N: lowerAddN,
  SUB: lowerBinary,
  MUL: lowerBinary,
  DIV: wordsOr(lowerDiv8),
  FLOOR_DIV: wordsOr(lowerFloorDiv8),
  FLOOR_MOD: wordsOr(lowerFloorMod8),
  AVERAGE_POOL_2D: realOr(lowerFloatPool, lowerPool),
  MAX_POOL_2D: realOr(lowerFloatPool, lowerPool),
  L2_POOL_2D: realOr(lowerFloatPool, noEight),
  MEAN: realOr(lowerFloatSum, lowerMeanOrSum),
  SUM: realOr(lowerFloatSum, (cx) => (cx.output().dtype === 'int64' ? lowerLongSum(cx) : lowerMeanOrSum(cx))),
  REDUCE_MAX: lowerReduce,
  REDUCE_MIN: lowerReduce,
  REDUCE_PROD: lowerReduce,
  REDUCE_ANY: lowerReduce,
  REDUCE_ALL: lowerReduce,
  BATCH_MATMUL: realOr(lowerFloatBatchMatmul, lowerBatchMatmul),
  L2_NORMALIZATION: realOr(lowerFloatL2Normalization, lowerL2Normalization),
  LOG_SOFTMAX: lowerLogSoftmax,
  SOFTMAX: realOr(lowerFloatSoftmax, lowerSoftmax),
  LOGISTIC: floatOr(lowerLogistic),
  TANH: floatOr(lowerTanh),
  HARD_SWISH: floatOr(lowerHardSwish),
  RELU: floatOr(lowerRelu),
  RELU6: floatOr(lowerRelu),
  RELU_N1_TO_1: floatOr(lowerRelu),
  RELU_0_TO_1: floatOr(lowerRelu0To1),
  LEAKY_RELU: floatOr(lowerLeakyRelu),
  ABS: floatOr(lowerAbs),
  ELU: floatOr(lowerElu),
  EXP: floatOr(lowerExp),
  GELU: floatOr(lowerGelu),
  LOG: floatOr(lowerLog),
  NEG: floatOr(lowerNeg),
  RSQRT: floatOr(lowerRsqrt8),
  PRELU: realOr(lowerArithmetic, lowerPrelu8),
  MAXIMUM: wordsOr(lowerMaximum),
  MINIMUM: wordsOr(lowerMinimum),
  SQUARED_DIFFERENCE: wordsOr(lowerSquaredDifference8),
  QUANTIZE: lowerQuantize,
  DEQUANTIZE: lowerDequantize,
  CAST: lowerCast,
  SQRT: floatOr(lowerSqrt8),
  SQUARE: lowerFloat,
  FLOOR: lowerFloat,
  CEIL: lowerFloat,
  ROUND: lowerFloat,
  SIGN: lowerFloat,
  SIN: lowerFloat,
  COS: lowerFloat,
  POW: lowerArithmetic,
  RESIZE_BILINEAR: lowerResize,
  RESIZE_NEAREST_NEIGHBOR: lowerResize,
  PAD: lowerPad,
  PADV2: lowerPad,
  MIRROR_PAD: lowerMirrorPad,
  CONCATENATION: lowerConcatenation,
  SPLIT: lowerSplit,
  SPLIT_V: lowerSplit,
  PACK: lowerPack,
  UNPACK: lowerUnpack,
  ARG_MAX: lowerArgMax,
  GATHER: lowerGather,
  GATHER_ND: lowerGatherNd,
  EMBEDDING_LOOKUP: lowerEmbedding,
  SCATTER_ND: lowerScatterNd,
  ONE_HOT: lowerOneHot,
  CUMSUM: lowerCumsum,
  BROADCAST_TO: lowerBroadcast,
  FILL: lowerBroadcast,
  REVERSE_V2: lowerReverse,
  REVERSE_SEQUENCE: lowerReverseSequence,
  SPACE_TO_DEPTH: lowerBlocksToDepth,
  DEPTH_TO_SPACE: lowerBlocksToDepth,
  SPACE_TO_BATCH_ND: lowerBlocksToBatch,
  BATCH_TO_SPACE_ND: lowerBlocksToBatch,
  UNIDIRECTIONAL_SEQUENCE_LSTM: lowerLstm,
  SVDF: lowerSvdf,
  READ_VARIABLE: lowerReadVariable,
  ASSIGN_VARIABLE: lowerAssignVariable,
  RESHAPE: lowerReshape,
  SQUEEZE: lowerReshape,
  EXPAND_DIMS: lowerReshape,
  DETECTION_POSTPROCESS: lowerDetection,
  TRANSPOSE: lowerTranspose,
  TILE: lowerTile,
  SLICE: lowerSlice,
  STRIDED_SLICE: lowerStridedSlice,
  EQUAL: lowerCompare,
  NOT_EQUAL: lowerCompare,
  LESS: lowerCompare,
  LESS_EQUAL: lowerCompare,
  GREATER: lowerCompare,
  GREATER_EQUAL: lowerCompare,
  LOGICAL_AND: lowerCompare,
  LOGICAL_OR: lowerCompare,
  LOGICAL_NOT: lowerNot,
  SELECT: lowerSelect,
  SELECT_V2: lowerSelect,
  TOPK_V2: lowerTopK,
  ARG_MIN: lowerArgMax,
}

/** Op types with a lowering rule: those of OPERATORS.md. */
export const SUPPORTED_OPS = Object.keys(RULES) as OpType[]

export interface Port {
  tensorIndex: number
  buffer: Buffer
  value: Value
  bytes: number
}

export interface Lowered {
  steps: Step[]
  buffers: Buffer[]
  /** Where the host writes inputs and finds outputs, in the graph's order. */
  inputs: Port[]
  outputs: Port[]
  /** What brings state back to what it begins with. */
  reset: Step[]
  unsupported: Blocker[]
}

/** int8 and uint8 of the same real values differ in the top bit only. */
const FLIP = 0x80

function lowerInputs(cx: Context): Port[] {
  return cx.graph.inputs.map((index) => {
    const t = cx.graph.tensors[index]!
    const raw = cx.temporary(t)
    raw.alias = true
    cx.values.set(index, raw)
    raw.buffer.first = -1
    if (t.dtype === 'uint8') {
      const value = cx.temporary({ ...t, name: `${t.name} (int8)` })
      cx.opIndex = -1
      cx.copyRows(raw, value, FLIP, 'uint8-to-int8')
      cx.values.set(index, value)
    }
    return { tensorIndex: index, buffer: raw.buffer, value: raw, bytes: tensorBytes(t) }
  })
}

function lowerOutputs(cx: Context): Port[] {
  const taken = new Set<Buffer>()
  return cx.graph.outputs.map((index) => {
    const t = cx.graph.tensors[index]!
    cx.opIndex = cx.graph.ops.length
    let value = cx.computed(index)
    if (!value) {
      // A constant as output.
      const data = t.data!
      value = new Value(
        t,
        { n: 1, h: 1, w: 1, c: data.length },
        cx.buffers.constant(t.name, t.dtype === 'uint8' ? data.map((q) => q ^ FLIP) : data),
      )
    }
    const mustCopy =
      (t.dtype === 'uint8' && !value.raw) ||
      value.buffer.constant !== undefined ||
      value.buffer.first === -1 ||
      taken.has(value.buffer)
    if (mustCopy) {
      const out = cx.temporary({ ...t, name: `${t.name} (output)` })
      cx.copyRows(value, out, t.dtype === 'uint8' ? FLIP : 0, 'output')
      out.alias = true
      value = out
    }
    // Nobody may change the layout of what the caller reads.
    value.alias = true
    taken.add(value.buffer)
    value.buffer.last = Infinity
    return { tensorIndex: index, buffer: value.buffer, value, bytes: tensorBytes(t) }
  })
}

/** Lowers one op. Errors: `Unsupported` for what Thimble does not run. */
function lowerOp(cx: Context): void {
  const { op } = cx
  const rule = RULES[op.type]
  if (!rule) throw new Unsupported(noRule())
  const empty = op.outputs.find((o) => cx.graph.tensors[o]!.shape.includes(0))
  if (empty !== undefined) throw new Unsupported(`its result ${cx.graph.tensors[empty]!.name} is empty`)
  ;(ruleOf16(cx) ?? rule)(cx)
}

/** What lowering an op threw that speaks of the op. Throws all else. */
function faultOf(error: unknown): Error {
  if (error instanceof Unsupported) return error
  if (error instanceof ThimbleError && error.code.startsWith('lower/') && error.code !== 'lower/internal') return error
  throw error
}

/** Lowers ops one by one and keeps what stops any of them. */
class Survey {
  readonly blockers: Blocker[] = []
  private readonly faults: Error[] = []
  /** Tensors that nothing computes: stand-ins where their shape is known. */
  private readonly missing = new Set<number>()
  private readonly cx: Context

  constructor(cx: Context) {
    this.cx = cx
  }

  /** Behind a blocker only what is wrong with an op itself counts, not what follows from a guess of its operands. */
  take(index: number): void {
    const { cx } = this
    cx.opIndex = index
    const { op } = cx
    const behind = this.missing.size > 0 && op.inputs.some((i) => this.missing.has(i))
    // What folds is only left because of the ops in front of it.
    const folds = behind && op.type !== 'UNSUPPORTED' && !RULES[op.type]
    try {
      if (!folds && (!behind || op.inputs.every((i) => i < 0 || this.isKnown(i)))) lowerOp(cx)
      else this.standIn(op)
    } catch (error) {
      if (!behind || error instanceof Unsupported) {
        const fault = faultOf(error)
        this.faults.push(fault)
        this.blockers.push(blockerOf(cx.graph, { op, index }, fault))
      }
      this.standIn(op)
    }
    if (behind) for (const o of op.outputs) this.missing.add(o)
  }

  private isKnown(tensor: number): boolean {
    const { cx } = this
    return !this.missing.has(tensor) || cx.values.has(tensor) || cx.tabular.has(tensor)
  }

  private standIn(op: Op): void {
    for (const o of op.outputs) {
      const t = this.cx.graph.tensors[o]!
      this.missing.add(o)
      if (t.dtype !== 'string' && t.shape.length > 0 && !t.shape.includes(0) && !this.cx.values.has(o)) {
        this.cx.values.set(o, this.cx.temporary(t))
      }
    }
  }

  /** A single fault that has an error of its own is thrown as that. */
  finish(): Blocker[] {
    const [only, ...more] = this.faults
    if (more.length === 0 && only instanceof ThimbleError) throw only
    return this.blockers
  }
}

/**
 * Lowers a whole settled graph (fold/index.ts). All ops that can't run are collected in `unsupported`; a single fault
 * that is no matter of Thimble's ops, and anything else wrong, is thrown.
 */
export function lower(graph: Graph, options: LowerOptions): Lowered {
  const cx = new Context(graph, options)
  const inputs = lowerInputs(cx)
  const survey = new Survey(cx)
  graph.ops.forEach((_, index) => {
    if (!isFolded(graph, index)) survey.take(index)
  })
  const unsupported = survey.finish()
  if (unsupported.length) return { steps: [], buffers: [], inputs: [], outputs: [], reset: [], unsupported }
  const outputs = lowerOutputs(cx)
  const steps = withoutUnread(cx.steps, [...outputs.map((p) => p.buffer), ...cx.buffers.all.filter((b) => b.state)])
  const reset = resetSteps(cx)
  return { steps, buffers: cx.buffers.all, inputs, outputs, reset, unsupported }
}
