/**
 * float32 functions of one variable, by XNNPACK's arithmetic. Of a dequantized 8-bit tensor they are a table of 256:
 * one of floats where somebody needs the numbers, one of bytes where the result is quantized again. Others are
 * computed.
 */
import {
  OP_DEQUANTIZE,
  OP_FLOAT_TABLE,
  OP_FLOAT_UNARY,
  UNARY_ABS,
  UNARY_APPROXIMATE_GELU,
  UNARY_CEIL,
  UNARY_COS,
  UNARY_ELU,
  UNARY_EXP,
  UNARY_FLOOR,
  UNARY_GELU,
  UNARY_HARD_SWISH,
  UNARY_INT_ABS,
  UNARY_INT_NEG,
  UNARY_INT_SIGN,
  UNARY_LEAKY_RELU,
  UNARY_LOG,
  UNARY_LOGISTIC,
  UNARY_NEG,
  UNARY_RELU,
  UNARY_RELU6,
  UNARY_RELU_0_TO_1,
  UNARY_RELU_N1_TO_1,
  UNARY_ROUND,
  UNARY_RSQRT,
  UNARY_SIGN,
  UNARY_SIN,
  UNARY_SQRT,
  UNARY_SQUARE,
  UNARY_TANH,
} from '../generated/layout.ts'
import { elements, type Op, type OpType } from '../graph/graph.ts'
import { clamp, f32, rne } from '../arithmetic/numerics.ts'
import {
  approximateGelu32,
  cos32,
  elu32,
  exp32,
  gelu32,
  hardSwish32,
  log32,
  logistic32,
  rsqrt32,
  rsqrtEstimates,
  sin32,
  sqrt32,
  tanh32,
} from '../arithmetic/xnnpack.ts'
import { trimmed } from './broadcast.ts'
import { type Context, type Q, type Tabular, Unsupported } from './context.ts'
import { rowwise, type Value } from './program.ts'

/** A function, as the host computes it and as the kernel knows it. */
interface FloatFunction {
  kind: number
  of(x: number): number
  alpha?: number
}

const limited =
  (low: number, high: number) =>
  (x: number): number =>
    x < low ? low : x > high ? high : x

const ROUNDED: Partial<Record<OpType, FloatFunction>> = {
  ABS: { kind: UNARY_ABS, of: Math.abs },
  NEG: { kind: UNARY_NEG, of: (x) => 0 - x },
  SQUARE: { kind: UNARY_SQUARE, of: (x) => f32(x * x) },
  FLOOR: { kind: UNARY_FLOOR, of: Math.floor },
  CEIL: { kind: UNARY_CEIL, of: Math.ceil },
  ROUND: { kind: UNARY_ROUND, of: rne },
  SIGN: { kind: UNARY_SIGN, of: (x) => (x === 0 ? 0 : Math.sign(x)) },
  RELU: { kind: UNARY_RELU, of: limited(0, Infinity) },
  RELU6: { kind: UNARY_RELU6, of: limited(0, 6) },
  RELU_N1_TO_1: { kind: UNARY_RELU_N1_TO_1, of: limited(-1, 1) },
  RELU_0_TO_1: { kind: UNARY_RELU_0_TO_1, of: limited(0, 1) },
  HARD_SWISH: { kind: UNARY_HARD_SWISH, of: hardSwish32 },
  EXP: { kind: UNARY_EXP, of: exp32 },
  LOG: { kind: UNARY_LOG, of: log32 },
  SIN: { kind: UNARY_SIN, of: sin32 },
  COS: { kind: UNARY_COS, of: cos32 },
  TANH: { kind: UNARY_TANH, of: tanh32 },
  LOGISTIC: { kind: UNARY_LOGISTIC, of: logistic32 },
  ELU: { kind: UNARY_ELU, of: elu32 },
  SQRT: { kind: UNARY_SQRT, of: sqrt32 },
  RSQRT: { kind: UNARY_RSQRT, of: rsqrt32 },
}

/** The float32 function that an op is; undefined: none of one variable. */
export function floatFunction(op: Op): FloatFunction | undefined {
  if (op.type === 'LEAKY_RELU') {
    const alpha = f32(op.attrs.alpha)
    return { kind: UNARY_LEAKY_RELU, of: (x) => (x < 0 ? f32(x * alpha) : x), alpha }
  }
  if (op.type === 'GELU') {
    return op.attrs.approximate
      ? { kind: UNARY_APPROXIMATE_GELU, of: approximateGelu32 }
      : { kind: UNARY_GELU, of: gelu32 }
  }
  return ROUNDED[op.type]
}

const INTEGERS: Partial<Record<OpType, number>> = { ABS: UNARY_INT_ABS, NEG: UNARY_INT_NEG, SIGN: UNARY_INT_SIGN }

const kernelName = (op: Op): string => op.type.toLowerCase().replaceAll('_', '-')

/** Output 0 as a function of an 8-bit tensor: a table. `dequantize`: the table is this straight line. */
export function tabulate(
  cx: Context,
  x: Value,
  values: Float32Array,
  dequantize?: { zeroPoint: number; scale: number },
): void {
  const index = cx.op.outputs[0]!
  const at = cx.opIndex
  const out = cx.output()
  cx.plain(x)
  const emit = (): Value => {
    const reader = cx.opIndex
    cx.opIndex = at
    const y = cx.temporary(out)
    cx.values.set(index, y)
    const count = elements(out.shape)
    const step = { rows: rowwise(1), writes: [y.buffer] }
    const input = (): { input: number; output: number; count: number } => ({
      input: x.address(),
      output: y.address(),
      count,
    })
    if (dequantize) {
      cx.push({
        ...step,
        record: 'DequantizeRecord',
        op: OP_DEQUANTIZE,
        kernel: 'dequantize',
        reads: [x.buffer],
        fields: () => ({ ...input(), ...dequantize }),
      })
    } else {
      const table = cx.buffers.constant('floats', values)
      cx.push({
        ...step,
        record: 'FloatTableRecord',
        op: OP_FLOAT_TABLE,
        kernel: kernelName(cx.op),
        reads: [x.buffer, table],
        fields: () => ({ ...input(), table: table.address }),
      })
    }
    cx.opIndex = reader
    return y
  }
  cx.tabular.set(index, { x, values, emit })
}

/** scale * (x - zero) as float32, `zero` in the kernels' domain. */
export function lowerLine(cx: Context, x: Value, zeroPoint: number, scale: number): void {
  const values = Float32Array.from({ length: 256 }, (_, byte) => f32(((byte << 24) >> 24) - zeroPoint) * scale)
  tabulate(cx, x, values, { zeroPoint, scale })
}

/** A function of one float32 (or int32) tensor. */
export function lowerFloat(cx: Context): void {
  const { op } = cx
  const x = cx.input(0)
  const out = cx.output()
  cx.expectShape(out, x.shape)
  const f = out.dtype === 'float32' ? floatFunction(op) : undefined
  const kind = f?.kind ?? (out.dtype === 'int32' ? INTEGERS[op.type] : undefined)
  if (kind === undefined) throw new Unsupported(`${op.type} of ${out.dtype}`)
  if (x.dtype !== out.dtype) throw new Unsupported(`${op.type} of ${x.dtype} to ${out.dtype}`)
  const known = f && cx.tabular.get(op.inputs[0]!)
  if (known) {
    tabulate(cx, known.x, known.values.map(f.of))
    return
  }
  const from = cx.plain(cx.value(0))
  const y = cx.result()
  const count = elements(out.shape)
  const roots = kind === UNARY_SQRT || kind === UNARY_RSQRT
  const table = roots ? cx.buffers.constant('estimates of roots', rsqrtEstimates()) : undefined
  cx.push({
    record: 'FloatUnaryRecord',
    op: OP_FLOAT_UNARY,
    kernel: kernelName(op),
    rows: rowwise(1),
    reads: table ? [from.buffer, table] : [from.buffer],
    writes: [y.buffer],
    fields: () => ({
      kind,
      input: from.address(),
      output: y.address(),
      count,
      alpha: f?.alpha ?? 0,
      table: table?.address ?? 0,
    }),
  })
}

/** By the output's type: words, else `eight`. */
export const floatOr =
  (eight: (cx: Context) => void) =>
  (cx: Context): void =>
    /32$/.test(cx.output().dtype) ? lowerFloat(cx) : eight(cx)

/** The one number that a float32 constant holds everywhere. */
function uniformFloat(cx: Context, position: number): number | undefined {
  const { data, dtype } = cx.input(position)
  if (!data || dtype !== 'float32') return undefined
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength)
  const first = view.getUint32(0, true)
  for (let i = 4; i < data.length; i += 4) if (view.getUint32(i, true) !== first) return undefined
  return view.getFloat32(0, true)
}

/** Whether `element` of both inputs is a function of one 8-bit tensor; then it is the result. */
export function joinTables(cx: Context, element: (a: number, b: number) => number): boolean {
  const operands = [0, 1].map((i) => cx.tabular.get(cx.op.inputs[i]!) ?? uniformFloat(cx, i))
  const [a, b] = operands as [Tabular | number | undefined, Tabular | number | undefined]
  if (a === undefined || b === undefined) return false
  const x = typeof a === 'object' ? a.x : typeof b === 'object' ? b.x : undefined
  if (!x || (typeof a === 'object' && typeof b === 'object' && a.x !== b.x)) return false
  const { shape } = cx.output()
  if (![0, 1].every((i) => typeof operands[i] === 'number' || trimmed(cx.input(i).shape) === trimmed(shape))) {
    return false
  }
  const at = (t: Tabular | number, byte: number): number => (typeof t === 'number' ? t : t.values[byte]!)
  tabulate(
    cx,
    x,
    Float32Array.from({ length: 256 }, (_, byte) => element(at(a, byte), at(b, byte))),
  )
  return true
}

/** QUANTIZE of every value that a tabular tensor can have. */
export function quantizedTable({ values }: Tabular, y: Q): Int8Array {
  const inverse = f32(1 / y.scale)
  return Int8Array.from(values, (v) => {
    const scaled = f32(v * inverse)
    // The first test is false for NaN, too, as in the kernel.
    return clamp(rne(scaled < 1024 ? Math.max(scaled, -1024) : 1024) + y.zero, -128, 127)
  })
}
