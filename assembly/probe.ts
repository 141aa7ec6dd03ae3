/**
 * What the host asks an engine before it chooses kernels (src/kernels/kernels.ts), all of it answered by values. No
 * memory, no imports. `relaxedDot` is of use only where it is built with relaxed SIMD.
 */
import { dotAdd, HAS_DOT } from './dot'

/** Bits of 0 / 0: the sign of the NaN that the processor makes is set on x86, clear on arm64. Pass 0. */
export function nanBits(zero: f32): i32 {
  return reinterpret<i32>(zero / zero)
}

/**
 * One lane of i32x4.relaxed_dot_i8x16_i7x16_add_s over four bytes each, packed into integers. Engines that compile
 * twice may answer otherwise once they have optimized; `hurry` asks for that: it makes so many turns of a loop whose
 * long body is never entered, since engines count the bytes of code that a loop jumps back over.
 */
export function relaxedDot(w: i32, x: i32, hurry: i32): i32 {
  if (!HAS_DOT) return 0
  const b = i32x4.splat(x)
  let a = i32x4.splat(w)
  for (let i = 0; i < hurry; i++) {
    if (i < 0) {
      a = dotAdd(dotAdd(dotAdd(dotAdd(a, b, a), b, a), b, a), b, a)
      a = dotAdd(dotAdd(dotAdd(dotAdd(a, b, a), b, a), b, a), b, a)
    }
  }
  return i32x4.extract_lane(dotAdd(a, b, i32x4.splat(0)), 0)
}
