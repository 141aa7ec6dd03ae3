/**
 * All rounding of 8-bit results. Scalar and v128 forms of the same arithmetic.
 * Source: XNNPACK's fp32 requantization and TFLite's MultiplyByQuantizedMultiplier, as LiteRT 2.3.0 runs them.
 */

/** 1.5 * 2^23: added to an f32 of at most 2^22, it leaves that rounded to nearest even in the lowest bits. */
const MAGIC: f32 = 12582912
const MAGIC_BITS = 0x4b400000

/** RNE(y) within limits that are integers of at most 2^22: rounding keeps the order, so that y is limited first. */
// @ts-ignore: decorator
@inline
export function roundWithin(y: f32, low: f32, high: f32): i32 {
  y = y < low ? low : y
  return reinterpret<i32>((y > high ? high : y) + MAGIC) - MAGIC_BITS
}

/** clamp(RNE(f32(acc) * scale) + zeroPoint, min, max); both f32 steps round on their own. */
// @ts-ignore: decorator
@inline
export function requantize(acc: i32, scale: f32, zeroPoint: i32, low: i32, high: i32): i32 {
  return roundWithin(f32(acc) * scale, f32(low - zeroPoint), f32(high - zeroPoint)) + zeroPoint
}

/** Rounding arithmetic shift right: half away from zero (TFLite's RoundingDivideByPOT). */
// @ts-ignore: decorator
@inline
export function roundingShift(x: i32, exponent: i32): i32 {
  const mask = (1 << exponent) - 1
  const remainder = x & mask
  return (x >> exponent) + i32(remainder > (mask >> 1) + i32(x < 0))
}

/**
 * x * multiplier * 2^(shift - 31), the first rounding half up, the second half away from zero.
 * Requires: multiplier in [0, 2^31), shift in [-31, 30]. A shift above 30 gives 0, as the reference's vector code does.
 */
export function multiplyByQuantizedMultiplier(x: i32, multiplier: i32, shift: i32): i32 {
  if (shift > 31) return 0
  const left = shift > 0 ? shift : 0
  const t = i32(((i64(x) << left) * i64(multiplier) + (1 << 30)) >> 31)
  return shift < 0 ? roundingShift(t, -shift) : t
}

/** The high half of 2 * a * b, rounded half up; not for two least integers. */
// @ts-ignore: decorator
@inline
export function doublingHighProduct(a: i32, b: i32): i32 {
  return i32((i64(a) * i64(b) + (1 << 30)) >> 31)
}

// @ts-ignore: decorator
@inline
export function clamp(x: i32, low: i32, high: i32): i32 {
  return x < low ? low : x > high ? high : x
}
