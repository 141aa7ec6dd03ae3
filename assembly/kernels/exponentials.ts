/** What the softmaxes of rows of int8 share: the largest, and the sum of e to the power of what is below it. */

/** Largest of n int8 at `from`. */
// @ts-ignore: decorator
@inline
export function rowMaximum(from: usize, n: i32): i32 {
  let top = -128
  for (let i = 0; i < n; i++) top = max(top, <i32>load<i8>(from + i))
  return top
}

/** Entry of a table [256] f32 by how far the int8 at `at` is below `top`. */
// @ts-ignore: decorator
@inline
export function exponential(table: usize, top: i32, at: usize): f32 {
  return load<f32>(table + ((top - load<i8>(at)) << 2))
}

/** Sum of n of them, left to right. */
// @ts-ignore: decorator
@inline
export function sumExponentials(table: usize, top: i32, from: usize, n: i32): f32 {
  let sum: f32 = 0
  for (let i = 0; i < n; i++) sum += exponential(table, top, from + i)
  return sum
}
