/**
 * i32x4.relaxed_dot_i8x16_i7x16_add_s as kernels use it: four products of neighbouring bytes to a lane, added to `acc`.
 * Engines may take `x` as signed or unsigned and add pairs of products in 16 bits; the host asks which
 * (src/kernels/kernels.ts). A build for tests stands in for an engine by a plain function (DOT: 1 VPDPBUSD, 2 PMADDUBSW
 * and PMADDWD, 3 SDOT).
 */

/** Which engine a build for tests stands in for; 0: it is the instruction. */
// @ts-ignore: decorator
@inline
export const STAND_IN: i32 = isDefined(DOT_VPDPBUSD) ? 1 : isDefined(DOT_PMADDUBSW) ? 2 : isDefined(DOT_SDOT) ? 3 : 0

/** Whether this build has the relaxed dot product. */
// @ts-ignore: decorator
@inline
export const HAS_DOT: bool = ASC_FEATURE_RELAXED_SIMD || STAND_IN != 0

function standIn(w: v128, x: v128, acc: v128): v128 {
  const low = i32x4.dot_i16x8_s(
    i16x8.extend_low_i8x16_s(w),
    STAND_IN == 3 ? i16x8.extend_low_i8x16_s(x) : i16x8.extend_low_i8x16_u(x),
  )
  const high = i32x4.dot_i16x8_s(
    i16x8.extend_high_i8x16_s(w),
    STAND_IN == 3 ? i16x8.extend_high_i8x16_s(x) : i16x8.extend_high_i8x16_u(x),
  )
  const sum =
    STAND_IN == 2
      ? i32x4.extadd_pairwise_i16x8_s(i16x8.narrow_i32x4_s(low, high))
      : i32x4.add(v128.shuffle<i32>(low, high, 0, 2, 4, 6), v128.shuffle<i32>(low, high, 1, 3, 5, 7))
  return i32x4.add(sum, acc)
}

// @ts-ignore: decorator
@inline
export function dotAdd(w: v128, x: v128, acc: v128): v128 {
  if (STAND_IN) return standIn(w, x, acc)
  if (ASC_FEATURE_RELAXED_SIMD) return i32x4.relaxed_dot_i8x16_i7x16_add_s(w, x, acc)
  return acc
}
