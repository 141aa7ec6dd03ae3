/**
 * Logistic and tanh of 16-bit fixed-point numbers, and the products they are made of.
 * Units: Q(b) has b integer bits, 15 - b fractional ones and a sign; arguments and results are i32 that fit 16 bits.
 * Source: gemmlowp's fixedpoint.h on int16, as LiteRT's integer LSTM calls it.
 */

// @ts-ignore: decorator
@inline
export function clamp16(x: i32): i32 {
  return max(-32768, min(32767, x))
}

/** a * b / 2^15, half away from zero; the one overflow saturates. */
// @ts-ignore: decorator
@inline
function mul(a: i32, b: i32): i32 {
  const ab = a * b
  return min(32767, (ab + (ab >= 0 ? 16384 : -16383)) / 32768)
}

/** x / 2^exponent, half away from zero. */
// @ts-ignore: decorator
@inline
export function roundingShift(x: i32, exponent: i32): i32 {
  const mask = (1 << exponent) - 1
  return (x >> exponent) + i32((x & mask) > (mask >> 1) + i32(x < 0))
}

/** exp(a) in Q0 for a in Q0, -1/4 <= a < 0. */
function expQuarter(a: i32): i32 {
  const x = a + 4096
  const x2 = mul(x, x)
  const x4 = mul(x2, x2)
  const t = roundingShift(mul(roundingShift(x4, 2) + mul(x2, x), 10923) + x2, 1)
  return clamp16(28918 + mul(28918, x + t))
}

/** exp(a) in Q0 for a <= 0 in Q(bits). */
function expNegative(a: i32, bits: i32): i32 {
  if (a == 0) return 32767
  const fraction = 15 - bits
  if (bits > 5 && a < -(1 << (20 - bits))) return 0
  const quarter = 1 << (fraction - 2)
  const modulo = (a & (quarter - 1)) - quarter
  const remainder = modulo - a
  let r = expQuarter(modulo << bits)
  if (remainder & quarter) r = mul(r, 25520)
  if (remainder & (quarter << 1)) r = mul(r, 19875)
  if (bits > 0 && remainder & (quarter << 2)) r = mul(r, 12055)
  if (bits > 1 && remainder & (quarter << 3)) r = mul(r, 4435)
  if (bits > 2 && remainder & (quarter << 4)) r = mul(r, 600)
  if (bits > 3 && remainder & (quarter << 5)) r = mul(r, 11)
  if (bits > 4 && remainder & (quarter << 6)) r = 0
  return r
}

/** 2 / (1 + x) in Q2 for x in Q0, 0 <= x. */
function reciprocal(x: i32): i32 {
  const half = (x + 32768) >> 1
  let y = 23130 + mul(half, -15420)
  for (let i = 0; i < 3; i++) y += clamp16(mul(y, 8192 - mul(half, y)) << 2)
  return y
}

/** Logistic: Q3 to Q0. */
export function logistic16(a: i32): i32 {
  if (a == 0) return 16384
  const positive = a > 0
  // -(-32768) wraps in the reference: it is taken for negative again.
  const r = clamp16(reciprocal(expNegative(positive ? -a : a, 3)) << 1)
  return positive ? r : 32767 - r
}

/** tanh: Q(bits) to Q0. */
export function tanh16(a: i32, bits: i32): i32 {
  if (a == 0) return 0
  const negative = a < 0
  const t = clamp16((reciprocal(expNegative(negative ? a : -a, bits + 1)) - 8192) << 2)
  return negative ? -t : t
}
