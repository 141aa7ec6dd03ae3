/** Inline v128 helpers shared by the SIMD kernels. */
import { FAST } from './fast'

/**
 * A branch that is never taken: `x` is not negative. Neither the optimizer nor the engine's scheduler moves work across
 * it, which keeps loads near their use and accumulator chains where they are written; without it they are sunk to
 * their last use and registers spill. `id` tells the barriers of one loop apart, equal ones would be merged.
 */
// @ts-ignore: decorator
@inline
export function barrier(x: i32, id: i32): void {
  if (x < -id) unreachable()
}

/** Eight int8 at `p`, widened to int16. */
// @ts-ignore: decorator
@inline
export function widen(p: usize): v128 {
  return v128.load_ext<i8>(p)
}

/**
 * fp32 requantization of four accumulators: bits(f32(f32(acc) * scale) + 1.5 * 2^23) - magicMinusZero, which is
 * RNE(acc * scale) + zeroPoint. Requires |acc * scale| <= 2^22: the planner proves it from the weights.
 */
// @ts-ignore: decorator
@inline
export function requantize4(acc: v128, scale: v128, magic: v128, magicMinusZero: v128): v128 {
  return i32x4.sub(f32x4.add(f32x4.mul(f32x4.convert_i32x4_s(acc), scale), magic), magicMinusZero)
}

/**
 * Eight channels of one pixel, as i16, clamped and stored at y. One pixel at a time: narrowing two pixels together
 * would make the revectorizer pair vectors of different pixels.
 */
// @ts-ignore: decorator
@inline
export function finish8(constants: usize, clamped: i32, y: usize, h: v128): void {
  let q = i8x16.narrow_i16x8_s(h, h)
  if (clamped) q = i8x16.min_s(i8x16.max_s(q, v128.load(constants, 32)), v128.load(constants, 48))
  v128.store64_lane(y, q, 0)
}

/**
 * Epilogue of a 4x8 tile: requantizes, clamps and stores eight channels of four pixels at y0..y3. Accumulators cP0,
 * cP1: pixel P's channels 0-3, 4-7. constants: magic x 4, magicMinusZero x 4, actMin x 16, actMax x 16; clamped:
 * whether the last two exclude any int8.
 */
// @ts-ignore: decorator
@inline
export function finish4x8(
  constants: usize,
  clamped: i32,
  scale: usize,
  y0: usize,
  y1: usize,
  y2: usize,
  y3: usize,
  c00: v128,
  c01: v128,
  c10: v128,
  c11: v128,
  c20: v128,
  c21: v128,
  c30: v128,
  c31: v128,
): void {
  const s0 = v128.load(scale)
  const s1 = v128.load(scale, 16)
  const magic = v128.load(constants)
  const zero = v128.load(constants, 16)
  const h0 = i16x8.narrow_i32x4_s(requantize4(c00, s0, magic, zero), requantize4(c01, s1, magic, zero))
  if (FAST) {
    finish8(constants, clamped, y0, h0)
    finish8(
      constants,
      clamped,
      y1,
      i16x8.narrow_i32x4_s(requantize4(c10, s0, magic, zero), requantize4(c11, s1, magic, zero)),
    )
    finish8(
      constants,
      clamped,
      y2,
      i16x8.narrow_i32x4_s(requantize4(c20, s0, magic, zero), requantize4(c21, s1, magic, zero)),
    )
    finish8(
      constants,
      clamped,
      y3,
      i16x8.narrow_i32x4_s(requantize4(c30, s0, magic, zero), requantize4(c31, s1, magic, zero)),
    )
    return
  }
  const h1 = i16x8.narrow_i32x4_s(requantize4(c10, s0, magic, zero), requantize4(c11, s1, magic, zero))
  let q01 = i8x16.narrow_i16x8_s(h0, h1)
  const h2 = i16x8.narrow_i32x4_s(requantize4(c20, s0, magic, zero), requantize4(c21, s1, magic, zero))
  const h3 = i16x8.narrow_i32x4_s(requantize4(c30, s0, magic, zero), requantize4(c31, s1, magic, zero))
  let q23 = i8x16.narrow_i16x8_s(h2, h3)
  if (clamped) {
    const low = v128.load(constants, 32)
    const high = v128.load(constants, 48)
    q01 = i8x16.min_s(i8x16.max_s(q01, low), high)
    q23 = i8x16.min_s(i8x16.max_s(q23, low), high)
  }
  v128.store64_lane(y0, q01, 0)
  v128.store64_lane(y1, q01, 1)
  v128.store64_lane(y2, q23, 0)
  v128.store64_lane(y3, q23, 1)
}

/** Sum of the four i32 lanes. */
// @ts-ignore: decorator
@inline
function horizontalSum(v: v128): i32 {
  const a = i32x4.add(v, v128.shuffle<i32>(v, v, 2, 3, 0, 1))
  return i32x4.extract_lane(i32x4.add(a, v128.shuffle<i32>(a, a, 1, 0, 3, 2)), 0)
}

/** Σ p[i] over k int8. */
export function sumRow(p: usize, k: i32): i32 {
  let acc = i32x4.splat(0)
  const end = p + (k & ~15)
  while (p < end) {
    acc = i32x4.add(acc, i32x4.extadd_pairwise_i16x8_s(i16x8.extadd_pairwise_i8x16_s(v128.load(p))))
    p += 16
  }
  let total = horizontalSum(acc)
  for (let i: usize = 0; i < <usize>(k & 15); i++) total += load<i8>(p + i)
  return total
}
