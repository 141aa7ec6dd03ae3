/** Values of int32, int64 and float32 of a few elements (indices, coordinates): arithmetic, CAST. */
import {
  ARITHMETIC_FLOAT_ADD,
  ARITHMETIC_FLOAT_DIV,
  ARITHMETIC_FLOAT_MUL,
  ARITHMETIC_FLOAT_SUB,
  ARITHMETIC_INT_ADD,
  ARITHMETIC_INT_FLOOR_DIV,
  ARITHMETIC_INT_MUL,
  ARITHMETIC_INT_SUB,
  ARITHMETIC_FLOAT_FLOOR_DIV,
  ARITHMETIC_FLOAT_MAXIMUM,
  ARITHMETIC_FLOAT_MINIMUM,
  ARITHMETIC_FLOAT_SQUARED_DIFFERENCE,
  ARITHMETIC_INT_DIV,
  ARITHMETIC_INT_FLOOR_MOD,
  ARITHMETIC_INT_MAXIMUM,
  ARITHMETIC_INT_MINIMUM,
  ARITHMETIC_INT_SQUARED_DIFFERENCE,
  ARITHMETIC_FLOAT_POW,
  ARITHMETIC_FLOAT_POW_OF_ONE,
  ARITHMETIC_FLOAT_PRELU,
  ARITHMETIC_INT_POW,
  ARITHMETIC_LONG,
  OP_ARITHMETIC,
  OP_POWER,
} from '../generated/layout.ts'
import { dtypeBytes, elements, type Activation, type DType, type OpType } from '../graph/graph.ts'
import { powerTable, powf, powOfOne } from '../arithmetic/libm.ts'
import { f32 } from '../arithmetic/numerics.ts'
import { flush } from '../arithmetic/xnnpack.ts'
import { broadcast, merge, offsets, type Dim } from './broadcast.ts'
import { type Context, Unsupported } from './context.ts'
import { present, rowwise, type Value } from './program.ts'
import { joinTables, lowerLine } from './floats.ts'
import { emitConvert } from './select.ts'

const KINDS: Partial<Record<OpType, Partial<Record<DType, number>>>> = {
  ADD: { int32: ARITHMETIC_INT_ADD, int64: ARITHMETIC_INT_ADD + ARITHMETIC_LONG, float32: ARITHMETIC_FLOAT_ADD },
  SUB: { int32: ARITHMETIC_INT_SUB, int64: ARITHMETIC_INT_SUB + ARITHMETIC_LONG, float32: ARITHMETIC_FLOAT_SUB },
  MUL: { int32: ARITHMETIC_INT_MUL, int64: ARITHMETIC_INT_MUL + ARITHMETIC_LONG, float32: ARITHMETIC_FLOAT_MUL },
  DIV: { int32: ARITHMETIC_INT_DIV, float32: ARITHMETIC_FLOAT_DIV },
  FLOOR_DIV: {
    int32: ARITHMETIC_INT_FLOOR_DIV,
    float32: ARITHMETIC_FLOAT_FLOOR_DIV,
  },
  FLOOR_MOD: { int32: ARITHMETIC_INT_FLOOR_MOD, int64: ARITHMETIC_INT_FLOOR_MOD + ARITHMETIC_LONG },
  MAXIMUM: {
    int32: ARITHMETIC_INT_MAXIMUM,
    int64: ARITHMETIC_INT_MAXIMUM + ARITHMETIC_LONG,
    float32: ARITHMETIC_FLOAT_MAXIMUM,
  },
  MINIMUM: {
    int32: ARITHMETIC_INT_MINIMUM,
    int64: ARITHMETIC_INT_MINIMUM + ARITHMETIC_LONG,
    float32: ARITHMETIC_FLOAT_MINIMUM,
  },
  SQUARED_DIFFERENCE: {
    int32: ARITHMETIC_INT_SQUARED_DIFFERENCE,
    float32: ARITHMETIC_FLOAT_SQUARED_DIFFERENCE,
  },
  PRELU: { float32: ARITHMETIC_FLOAT_PRELU },
  POW: { int32: ARITHMETIC_INT_POW, float32: ARITHMETIC_FLOAT_POW },
}

/** The float32 ones, as their kernels compute them. */
const FLOATS: Partial<Record<number, (a: number, b: number) => number>> = {
  [ARITHMETIC_FLOAT_ADD]: (a, b) => flush(f32(a + b)),
  [ARITHMETIC_FLOAT_SUB]: (a, b) => flush(f32(a - b)),
  [ARITHMETIC_FLOAT_MUL]: (a, b) => flush(f32(a * b)),
  [ARITHMETIC_FLOAT_DIV]: (a, b) => flush(f32(a / b)),
  [ARITHMETIC_FLOAT_PRELU]: (a, b) => (a < 0 ? flush(f32(a * b)) : a),
  [ARITHMETIC_FLOAT_FLOOR_DIV]: (a, b) => f32(Math.floor(a / b)),
  [ARITHMETIC_FLOAT_MAXIMUM]: Math.max,
  [ARITHMETIC_FLOAT_MINIMUM]: Math.min,
  [ARITHMETIC_FLOAT_SQUARED_DIFFERENCE]: (a, b) => flush(f32(f32(a - b) * f32(a - b))),
  [ARITHMETIC_FLOAT_POW]: powf,
  [ARITHMETIC_FLOAT_POW_OF_ONE]: powOfOne,
}

/** Limits of a fused activation on the result itself. */
function wordLimits(cx: Context): Record<'clamped' | 'low' | 'high', number> {
  const { activation = 'NONE' } = cx.op.attrs as { activation?: Activation }
  const symmetric = activation === 'RELU_N1_TO_1'
  return {
    clamped: activation === 'NONE' ? 0 : activation === 'RELU' ? 1 : 3,
    low: symmetric ? -1 : 0,
    high: symmetric ? 1 : 6,
  }
}

/** An element with the limits of the fused activation. */
function limitedBy(cx: Context, element: (a: number, b: number) => number): (a: number, b: number) => number {
  const { clamped, low, high } = wordLimits(cx)
  return (a, b) => {
    const y = element(a, b)
    return clamped & 1 && y < low ? low : clamped & 2 && y > high ? high : y
  }
}

/** Kinds of the POW kernel. */
const POWERS: ReadonlySet<number> = new Set([ARITHMETIC_FLOAT_POW, ARITHMETIC_FLOAT_POW_OF_ONE, ARITHMETIC_INT_POW])

interface Words {
  kind: number
  a: Value
  b: Value
  y: Value
  dims: readonly Dim[]
}

/** An ARITHMETIC of two tensors, with the limits of the op's fused activation. */
export function emitWords(cx: Context, { kind, a, b, y, dims }: Words): void {
  const loops = [...dims]
  const outer = offsets(loops.splice(0, Math.max(0, loops.length - 4)))
  const [d0, d1, d2, d3] = [...Array<Dim>(4 - loops.length).fill({ size: 1, a: 0, b: 0 }), ...loops] as [
    Dim,
    Dim,
    Dim,
    Dim,
  ]
  cx.plain(a)
  cx.plain(b)
  y.alias = true
  const limits = wordLimits(cx)
  const table = POWERS.has(kind) ? cx.buffers.constant('logarithms', powerTable()) : undefined
  const width = dtypeBytes(y.tensor.dtype)
  const part = width * d0.size * d1.size * d2.size * d3.size
  outer.forEach((from, i) =>
    cx.push({
      record: table ? 'PowerRecord' : 'ArithmeticRecord',
      op: table ? OP_POWER : OP_ARITHMETIC,
      kernel: table ? 'power' : 'arithmetic',
      rows: rowwise(1),
      reads: present(a.buffer, b.buffer, table),
      writes: [y.buffer],
      fields: () => ({
        kind,
        ...(table && { table: table.address }),
        a: a.address() + width * from.a,
        b: b.address() + width * from.b,
        output: y.address() + i * part,
        d0: d0.size,
        d1: d1.size,
        d2: d2.size,
        d3: d3.size,
        a0: width * d0.a,
        a1: width * d1.a,
        a2: width * d2.a,
        a3: width * d3.a,
        b0: width * d0.b,
        b1: width * d1.b,
        b2: width * d2.b,
        b3: width * d3.b,
        ...limits,
      }),
    }),
  )
}

/**
 * Functions of two tensors of 32- or 64-bit words. LiteRT ends with an error where an integer divisor is 0; here the
 * result is.
 */
export function lowerArithmetic(cx: Context): void {
  const { type } = cx.op
  const out = cx.output()
  const a = cx.input(0)
  const b = cx.input(1)
  const single = type === 'POW' && out.dtype === 'float32' && elements(b.shape) === 1 && `${a.shape}` !== `${b.shape}`
  const kind = single ? ARITHMETIC_FLOAT_POW_OF_ONE : KINDS[type]?.[out.dtype]
  if (kind === undefined) throw new Unsupported(`${type} of ${out.dtype}`)
  if (a.dtype !== out.dtype || b.dtype !== out.dtype) {
    throw new Unsupported(`mixed ${a.dtype}, ${b.dtype} and ${out.dtype} tensors`)
  }
  if (type === 'FLOOR_DIV' && b.data && b.dtype !== 'float32' && cx.integers(1, 'divisor').includes(0)) {
    throw cx.fail('lower/constant', 'division by zero', b)
  }
  const element = FLOATS[kind]
  if (element && joinTables(cx, limitedBy(cx, element))) return
  const dims = merge(broadcast(cx, a, b, out), ['a', 'b'])
  emitWords(cx, { kind, a: cx.value(0), b: cx.value(1), y: cx.result(), dims })
}

/** By the output's type: words, else `eight`. */
export const wordsOr =
  (eight: (cx: Context) => void) =>
  (cx: Context): void =>
    /(32|64)$/.test(cx.output().dtype) ? lowerArithmetic(cx) : eight(cx)

/** To float32 from 8-bit tensors, whose quantization does not matter, and from int32. */
export function lowerCast(cx: Context): void {
  const x = cx.value(0)
  const { tensor } = x
  const out = cx.output()
  cx.expectShape(out, tensor.shape)
  if (tensor.dtype === out.dtype) {
    cx.alias(0, x)
    return
  }
  if (out.dtype !== 'float32' || (tensor.dtype !== 'int8' && tensor.dtype !== 'uint8')) return emitConvert(cx, x)
  lowerLine(cx, x, tensor.dtype === 'uint8' ? -128 : 0, 1)
}
