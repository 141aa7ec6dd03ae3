/** Scalar helpers shared by the kernels. */
import { roundWithin } from './requantize'

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

/**
 * A row of k int8 by four rows of weights [k][4]; the first `count` sums, each with its bias less `correction` and its
 * scale, as int8 to `to`. A load of the row serves four products, and sums stay in locals to the end: interpreters and
 * small processors pay for loads and stores as for products.
 */
export function rowBy4(
  x: usize,
  k: i32,
  w: usize,
  bias: usize,
  scale: usize,
  correction: i32,
  to: usize,
  count: i32,
  zeroPoint: i32,
  low: f32,
  high: f32,
): void {
  let a0 = load<i32>(bias) - correction
  let a1 = load<i32>(bias, 4) - correction
  let a2 = load<i32>(bias, 8) - correction
  let a3 = load<i32>(bias, 12) - correction
  let p: i32
  const end = x + k
  const whole = x + (k & ~3)
  while (x < whole) {
    p = load<i8>(x)
    a0 += p * load<i8>(w)
    a1 += p * load<i8>(w, 1)
    a2 += p * load<i8>(w, 2)
    a3 += p * load<i8>(w, 3)
    p = load<i8>(x, 1)
    a0 += p * load<i8>(w, 4)
    a1 += p * load<i8>(w, 5)
    a2 += p * load<i8>(w, 6)
    a3 += p * load<i8>(w, 7)
    p = load<i8>(x, 2)
    a0 += p * load<i8>(w, 8)
    a1 += p * load<i8>(w, 9)
    a2 += p * load<i8>(w, 10)
    a3 += p * load<i8>(w, 11)
    p = load<i8>(x, 3)
    a0 += p * load<i8>(w, 12)
    a1 += p * load<i8>(w, 13)
    a2 += p * load<i8>(w, 14)
    a3 += p * load<i8>(w, 15)
    x += 4
    w += 16
  }
  for (; x < end; x++, w += 4) {
    p = load<i8>(x)
    a0 += p * load<i8>(w)
    a1 += p * load<i8>(w, 1)
    a2 += p * load<i8>(w, 2)
    a3 += p * load<i8>(w, 3)
  }
  const r0 = roundWithin(f32(a0) * load<f32>(scale), low, high) + zeroPoint
  const r1 = roundWithin(f32(a1) * load<f32>(scale, 4), low, high) + zeroPoint
  const r2 = roundWithin(f32(a2) * load<f32>(scale, 8), low, high) + zeroPoint
  if (count == 4) {
    const r3 = roundWithin(f32(a3) * load<f32>(scale, 12), low, high) + zeroPoint
    store<u32>(to, (r0 & 255) | ((r1 & 255) << 8) | ((r2 & 255) << 16) | (r3 << 24))
    return
  }
  store<i8>(to, r0)
  if (count > 1) store<i8>(to, r1, 1)
  if (count > 2) store<i8>(to, r2, 2)
}

/** A row by all of `channels` rows of weights, in panels of four; the last one may overlap. Limits are the output's. */
export function rowByAll(
  x: usize,
  k: i32,
  channels: i32,
  w: usize,
  bias: usize,
  scale: usize,
  weightZero: i32,
  to: usize,
  zeroPoint: i32,
  actMin: i32,
  actMax: i32,
): void {
  const correction = weightZero == 0 ? 0 : weightZero * sum(x, k)
  const low = f32(actMin - zeroPoint)
  const high = f32(actMax - zeroPoint)
  const last = channels - 4
  const count = min(4, channels)
  let n = 0
  while (true) {
    rowBy4(x, k, w, bias, scale, correction, to + n, count, zeroPoint, low, high)
    if (n >= last) return
    n = min(n + 4, last)
    w += k << 2
    bias += 16
    scale += 16
  }
}

/** Copies a few bytes. */
// @ts-ignore: decorator
@inline
export function copyWords(to: usize, from: usize, n: i32): void {
  if (n > 64) memory.copy(to, from, n)
  else {
    const end = to + n
    for (; to + 4 <= end; to += 4, from += 4) store<u32>(to, load<u32>(from))
    for (; to < end; to++, from++) store<u8>(to, load<u8>(from))
  }
}

/** Σ a[i] over k int8. */
export function sum(a: usize, k: i32): i32 {
  let acc = 0
  for (let i = 0; i < k; i++) acc += load<i8>(a + i)
  return acc
}

/** Longest run that is copied without the call into bulk memory, with SIMD and without. */
const LONGEST: i32 = ASC_FEATURE_SIMD ? 1024 : 32

/** Copies n bytes; short runs without the call into bulk memory. The regions may overlap. */
export function copyBytes(to: usize, from: usize, n: i32): void {
  if (n > LONGEST) {
    memory.copy(to, from, n)
    return
  }
  if (ASC_FEATURE_SIMD) {
    if (n >= 16) {
      if (to - from < <usize>n || from - to < <usize>n) {
        memory.copy(to, from, n)
        return
      }
      const end = n - 16
      for (let i = 0; i < end; i += 16) v128.store(to + i, v128.load(from + i))
      v128.store(to + end, v128.load(from + end))
      return
    }
    if (n >= 4) {
      const half = n >= 8 ? 8 : 4
      const tail: usize = n - half
      if (half == 8) {
        const a = load<u64>(from)
        const b = load<u64>(from + tail)
        store<u64>(to, a)
        store<u64>(to + tail, b)
      } else {
        const a = load<u32>(from)
        const b = load<u32>(from + tail)
        store<u32>(to, a)
        store<u32>(to + tail, b)
      }
      return
    }
  }
  for (let i = 0; i < n; i++) store<u8>(to + i, load<u8>(from + i))
}
