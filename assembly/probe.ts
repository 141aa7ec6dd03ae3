/**
 * What the host asks an engine before it chooses kernels (src/kernels.ts), all of it answered by values. No memory, no
 * imports. `relaxedDot` is of use only where it is built with relaxed SIMD.
 */

/** Bits of 0 / 0: the sign of the NaN that the processor makes is set on x86, clear on arm64. Pass 0. */
export function nanBits(zero: f32): i32 {
  return reinterpret<i32>(zero / zero)
}

// @ts-ignore: decorator
@inline
function dot(w: v128, x: v128, acc: v128): v128 {
  return i32x4.relaxed_dot_i8x16_i7x16_add_s(w, x, acc)
}

/**
 * One lane of i32x4.relaxed_dot_i8x16_i7x16_add_s over four bytes each, packed into integers. Engines that compile
 * twice may answer otherwise once they have optimized; `hurry` asks for that: it makes so many turns of a loop whose
 * long body is never entered, since engines count the bytes of code that a loop jumps back over.
 */
export function relaxedDot(w: i32, x: i32, hurry: i32): i32 {
  if (!ASC_FEATURE_RELAXED_SIMD) return 0
  const b = i32x4.splat(x)
  let a = i32x4.splat(w)
  for (let i = 0; i < hurry; i++) {
    if (i < 0) {
      a = dot(dot(dot(dot(a, b, a), b, a), b, a), b, a)
      a = dot(dot(dot(dot(a, b, a), b, a), b, a), b, a)
    }
  }
  return i32x4.extract_lane(dot(a, b, i32x4.splat(0)), 0)
}
