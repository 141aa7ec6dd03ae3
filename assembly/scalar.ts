/** Scalar helpers shared by the kernels. */

/** Σ a[i] * b[i] over k int8. */
export function dot(a: usize, b: usize, k: i32): i32 {
  let acc = 0
  const end = a + (k & ~3)
  while (a < end) {
    acc +=
      load<i8>(a) * load<i8>(b) +
      load<i8>(a, 1) * load<i8>(b, 1) +
      load<i8>(a, 2) * load<i8>(b, 2) +
      load<i8>(a, 3) * load<i8>(b, 3)
    a += 4
    b += 4
  }
  for (let i = 0; i < (k & 3); i++) acc += load<i8>(a + i) * load<i8>(b + i)
  return acc
}

/** Σ a[i] over k int8. */
export function sum(a: usize, k: i32): i32 {
  let acc = 0
  for (let i = 0; i < k; i++) acc += load<i8>(a + i)
  return acc
}

/** Copies n bytes; short runs without the call into bulk memory. */
// @ts-ignore: decorator
@inline
export function copyBytes(to: usize, from: usize, n: i32): void {
  if (n > 32) memory.copy(to, from, n)
  else for (let i = 0; i < n; i++) store<u8>(to + i, load<u8>(from + i))
}
