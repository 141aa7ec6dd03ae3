/**
 * What the engine's relaxed dot product is, asked by the values that src/kernels/kernels.ts asks: kernels that compute
 * by it are exact only where it takes both operands as signed.
 */

/** Whether one lane of it over four bytes each of w and x is `want`. */
// @ts-ignore: decorator
@inline
function dotIs(w: i32, x: i32, want: i32): bool {
  const dot = i32x4.relaxed_dot_i8x16_i7x16_add_s(i32x4.splat(w), i32x4.splat(x), i32x4.splat(0))
  return i32x4.extract_lane(dot, 0) == want
}

/**
 * Whether it takes both operands as signed. `zero`: 0 that no compiler knows, since it must not compute the products
 * itself. A module without kernels that need this has it stubbed (src/pack/pack.ts).
 */
export function relaxed_dot_is_signed(zero: i32): bool {
  if (!ASC_FEATURE_RELAXED_SIMD) return true
  const low = 0x80808080 ^ zero
  const high = 0x7f7f7f7f ^ zero
  const minus = 0xffffffff ^ zero
  return (
    dotIs(high, low, -65024) &&
    dotIs(low, high, -65024) &&
    dotIs(0x80818180 ^ zero, low, 65280) &&
    dotIs(high, minus, -508) &&
    dotIs(low, minus, 512) &&
    dotIs(0x04fd02ff ^ zero, 0x67669b9c ^ zero, 4)
  )
}
