/** Functions of one 8-bit tensor as 256-byte tables: TFLite's builtin kernels, and XNNPACK's ELU. */
import type { OpOf } from '../graph/graph.ts'
import { erfcf, logf } from '../arithmetic/libm.ts'
import { clamp, expf, expm1f, f32, multiplyHalfAway, quantizeMultiplier, rha, tanhf } from '../arithmetic/numerics.ts'
import { type Context, Unsupported, type Q } from './context.ts'
import { real, toTable, unary } from './elementwise.ts'
import { inverseSqrt } from './fixed-point.ts'

/** TFLite's tables (LUTPopulate): half away from zero. */
const builtinTable = (y: Q, value: number): number => f32(rha(f32(value * f32(1 / y.scale))) + y.zeroPoint)

/** A table of an f32 function by TFLite's builtin kernel, which knows int8 only where `unsigned` is false. */
const builtin =
  (fn: (x: number, y: Q) => number, unsigned = false) =>
  (cx: Context): void => {
    const { dtype } = cx.input(0)
    if (dtype === 'uint8' && !unsigned) {
      throw new Unsupported(`${cx.op.type} of uint8, which LiteRT does not run either`)
    }
    unary(cx, (x, y, q) => builtinTable(y, fn(real(x, q), y)))
  }

export const lowerExp = builtin(expf)
export const lowerLog = builtin((x, y) => (x <= 0 ? f32((-128 - y.zeroPoint) * y.scale) : logf(x)))

export const gelu = (x: number): number => f32(f32(0.5 * x) * erfcf(f32(x * f32(-Math.SQRT1_2))))
const SQRT_2_PI = f32(0.7978845608028654)

export function approximateGelu(x: number): number {
  const cube = f32(f32(f32(f32(0.044715) * x) * x) * x)
  return f32(f32(0.5 * x) * f32(1 + tanhf(f32(SQRT_2_PI * f32(x + cube)))))
}

export const lowerGelu = (cx: Context): void =>
  builtin((cx.op as OpOf<'GELU'>).attrs.approximate ? approximateGelu : gelu, true)(cx)

/** int8 only: one of the functions that LiteRT does not know for uint8. */
function signed(cx: Context, fn: (x: Q, y: Q, q: number) => number): void {
  if (cx.input(0).dtype === 'uint8') throw new Unsupported(`${cx.op.type} of uint8, which LiteRT does not run either`)
  unary(cx, fn)
}

/** XNNPACK's table. */
export const lowerElu = (cx: Context): void =>
  signed(cx, (x, y, q) => {
    const v = real(x, q)
    return toTable(v < 0 ? expm1f(v) : v, y)
  })

export function lowerAbs(cx: Context): void {
  const x = cx.q(cx.input(0))
  const y = cx.q(cx.output())
  const { multiplier, shift } = quantizeMultiplier(f32(x.scale / y.scale))
  signed(cx, (_, __, q) => {
    const magnitude = Math.abs(q - x.zeroPoint)
    return y.zeroPoint + (x.scale === y.scale ? magnitude : multiplyHalfAway(magnitude, multiplier, shift))
  })
}

/** Of the stored integer, whatever the quantization says; -128 stays. */
export const lowerNeg = (cx: Context): void => signed(cx, (_, __, q) => (-q << 24) >> 24)

/** Truncated. LiteRT ends with an error where a value is negative; here its root is 0. */
export const lowerSqrt8 = (cx: Context): void =>
  signed(cx, (x, y, q) => {
    const root = f32(f32(Math.sqrt(Math.max(0, real(x, q)))) / y.scale)
    return root < 2 ** 31 ? Math.trunc(root) + y.zeroPoint : y.high
  })

/** Fixed-point. LiteRT ends with an error where a value is negative; here it counts as 0, whose result is the most. */
export function lowerRsqrt8(cx: Context): void {
  const x = cx.q(cx.input(0))
  const y = cx.q(cx.output())
  const { multiplier, shift } = quantizeMultiplier(1 / f32(f32(Math.sqrt(x.scale)) * y.scale))
  signed(cx, (_, __, q) => {
    const value = q - x.zeroPoint
    if (value <= 0) return 127
    const root = inverseSqrt(value)
    const data = multiplyHalfAway(1, root.multiplier, root.shift + 20)
    return y.zeroPoint + multiplyHalfAway(data, multiplier, shift - 20)
  })
}

/** Rescaled and clamped to 0 .. 1 as TFLite's builtin RELU kernels do. */
export function lowerRelu0To1(cx: Context): void {
  const x = cx.q(cx.input(0))
  const y = cx.q(cx.output())
  const { multiplier, shift } = quantizeMultiplier(f32(x.scale / y.scale))
  const low = clamp(y.zeroPoint, y.low, y.high)
  const high = clamp(y.zeroPoint + rha(f32(1 / y.scale)), y.low, y.high)
  unary(cx, (_, __, q) => clamp(multiplyHalfAway(q - x.zeroPoint, multiplier, shift) + y.zeroPoint, low, high))
}
