/** Inline v128 helpers shared by the SIMD kernels. */

/** Scratch word that `fence` writes to. */
const FENCE = memory.data(16, 16)

/**
 * A store that nothing reads. It keeps the optimizer from sinking whole accumulator chains to their last use, which
 * would spill registers (measured: depthwise 3x3, +20 % without it).
 */
// @ts-ignore: decorator
@inline
export function fence(): void {
  store<i32>(FENCE, 0)
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

/** Sum of the four i32 lanes. */
// @ts-ignore: decorator
@inline
export function horizontalSum(v: v128): i32 {
  const a = i32x4.add(v, v128.shuffle<i32>(v, v, 2, 3, 0, 1))
  return i32x4.extract_lane(i32x4.add(a, v128.shuffle<i32>(a, a, 1, 0, 3, 2)), 0)
}
