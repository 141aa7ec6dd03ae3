/**
 * Ops on 16-bit activations: LiteRT's reference kernels, XNNPACK takes none of them. What moves data or takes stored
 * values goes by the rules of other types; what is in neither list, LiteRT refuses as well.
 */
import type { OpType } from '../../graph/graph.ts'
import { type Context, Unsupported } from '../context.ts'
import { lowerConv16, lowerDepthwise16, lowerFullyConnected16, lowerTransposeConv16 } from './conv.ts'
import { lowerBatchMatmul16 } from './matmul.ts'
import {
  lowerAdd16,
  lowerDiv16,
  lowerFloorDiv16,
  lowerFloorMod16,
  lowerMaximum16,
  lowerMinimum16,
  lowerMul16,
} from './pairs.ts'
import { lowerPool16, lowerReduce16, lowerResize16 } from './reduce.ts'
import {
  lowerAbs16,
  lowerDequantize16,
  lowerExp16,
  lowerGelu16,
  lowerLeakyRelu16,
  lowerLog16,
  lowerLogistic16,
  lowerNeg16,
  lowerQuantize16,
  lowerRelu16,
  lowerRsqrt16,
  lowerSoftmax16,
  lowerSqrt16,
  lowerTanh16,
} from './unary.ts'

type Rule = (cx: Context) => void

const RULES: Partial<Record<OpType, Rule>> = {
  CONV_2D: lowerConv16,
  DEPTHWISE_CONV_2D: lowerDepthwise16,
  TRANSPOSE_CONV: lowerTransposeConv16,
  FULLY_CONNECTED: lowerFullyConnected16,
  BATCH_MATMUL: lowerBatchMatmul16,
  ADD: lowerAdd16,
  SUB: lowerAdd16,
  MUL: lowerMul16,
  DIV: lowerDiv16,
  FLOOR_DIV: lowerFloorDiv16,
  FLOOR_MOD: lowerFloorMod16,
  MAXIMUM: lowerMaximum16,
  MINIMUM: lowerMinimum16,
  AVERAGE_POOL_2D: lowerPool16,
  MAX_POOL_2D: lowerPool16,
  MEAN: lowerReduce16,
  SUM: lowerReduce16,
  REDUCE_MAX: lowerReduce16,
  REDUCE_MIN: lowerReduce16,
  REDUCE_PROD: lowerReduce16,
  SOFTMAX: lowerSoftmax16,
  LOGISTIC: lowerLogistic16,
  TANH: lowerTanh16,
  RELU: lowerRelu16,
  RELU6: lowerRelu16,
  LEAKY_RELU: lowerLeakyRelu16,
  ABS: lowerAbs16,
  NEG: lowerNeg16,
  EXP: lowerExp16,
  LOG: lowerLog16,
  GELU: lowerGelu16,
  SQRT: lowerSqrt16,
  RSQRT: lowerRsqrt16,
  QUANTIZE: lowerQuantize16,
  DEQUANTIZE: lowerDequantize16,
  RESIZE_BILINEAR: lowerResize16,
  RESIZE_NEAREST_NEIGHBOR: lowerResize16,
}

/** Ops whose rules take elements of 16 bits like others, as LiteRT does. */
const SHARED: ReadonlySet<OpType> = new Set([
  'RESHAPE',
  'SQUEEZE',
  'EXPAND_DIMS',
  'CONCATENATION',
  'SPLIT',
  'SPLIT_V',
  'PACK',
  'UNPACK',
  'PAD',
  'PADV2',
  'MIRROR_PAD',
  'TRANSPOSE',
  'SLICE',
  'STRIDED_SLICE',
  'TILE',
  'BROADCAST_TO',
  'FILL',
  'REVERSE_V2',
  'REVERSE_SEQUENCE',
  'SPACE_TO_BATCH_ND',
  'BATCH_TO_SPACE_ND',
  'GATHER',
  'GATHER_ND',
  'SELECT',
  'SELECT_V2',
  'CAST',
  'TOPK_V2',
  'EQUAL',
  'NOT_EQUAL',
  'LESS',
  'LESS_EQUAL',
  'GREATER',
  'GREATER_EQUAL',
  'SHAPE',
  'RANK',
  // 16 bits are their state or weights, not their activations.
  'READ_VARIABLE',
  'ASSIGN_VARIABLE',
  'UNIDIRECTIONAL_SEQUENCE_LSTM',
  'SVDF',
  'DETECTION_POSTPROCESS',
  'UNSUPPORTED',
])

/**
 * The rule of an op with 16-bit tensors; undefined where that of other types will do. Unsupported: what LiteRT refuses.
 */
export function ruleOf16(cx: Context): Rule | undefined {
  const { type, inputs, outputs } = cx.op
  const { tensors } = cx.graph
  const wide = [...inputs, ...outputs].some((i) => i >= 0 && tensors[i]!.dtype === 'int16')
  if (!wide || SHARED.has(type)) return undefined
  const rule = RULES[type]
  if (type === 'PRELU') throw new Unsupported('LiteRT takes the bytes of int16 tensors for int8 there')
  if (!rule) throw new Unsupported('on int16 tensors LiteRT does not run it either')
  return rule
}
