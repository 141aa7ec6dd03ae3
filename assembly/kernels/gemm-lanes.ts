/**
 * Scalar microkernel, 3 pixels x 4 channels: three rows of int8 lie in one i64, in lanes of 21 bits, so that one load,
 * one product and one sum serve three multiply-adds. For engines that pay for every instruction (interpreters) and for
 * 64-bit processors; a 32-bit one takes longer than pixel by pixel (rowByAll).
 *
 * Shapes: lanes [K] i64, K padded to a multiple of four with zeros; weights [N/4][K][4] i8, bias and scale four a
 * panel, the last panel may overlap. Exact: a lane holds 2^20 more than its sum, which is less than 2^20 away from 0
 * after CHUNK products; then lanes go to i32 sums. Reads past end: 0..12 bytes of weights, times zeros.
 */
import { ConvRecord } from '../layout'
import { roundWithin } from '../requantize'

const HALF: i32 = 1 << 20
const MASK: i32 = (1 << 21) - 1
const START: i64 = (1 << 20) | (1 << 41) | (1 << 62)
/** Bytes of lanes whose products a lane holds: 60 of at most 2^14. */
const CHUNK: usize = 60 * 8
/** The same where int8 are summed. */
const LONG_CHUNK: usize = 8000 * 8

// @ts-ignore: decorator
@inline
function lane0(sums: i64): i32 {
  return i32(sums) & MASK
}
// @ts-ignore: decorator
@inline
function lane1(sums: i64): i32 {
  return i32(sums >>> 21) & MASK
}
// @ts-ignore: decorator
@inline
function lane2(sums: i64): i32 {
  return i32(sums >>> 42)
}

// @ts-ignore: decorator
@inline
function join(a: i64, b: i64, c: i64): i64 {
  return a + (b << 21) + (c << 42)
}

/** Three rows of k int8 to lanes at `to`; returns the end of those. */
export function packLanes(to: usize, a: usize, b: usize, c: usize, k: i32): usize {
  const end = a + k
  for (const whole = a + (k & ~3); a < whole; a += 4, b += 4, c += 4, to += 32) {
    store<i64>(to, join(load<i8>(a), load<i8>(b), load<i8>(c)))
    store<i64>(to, join(load<i8>(a, 1), load<i8>(b, 1), load<i8>(c, 1)), 8)
    store<i64>(to, join(load<i8>(a, 2), load<i8>(b, 2), load<i8>(c, 2)), 16)
    store<i64>(to, join(load<i8>(a, 3), load<i8>(b, 3), load<i8>(c, 3)), 24)
  }
  for (; a < end; a++, b++, c++, to += 8) store<i64>(to, join(load<i8>(a), load<i8>(b), load<i8>(c)))
  return to
}

/** Four sums with their scales as int8 to `to`, of which `channels` are wanted. */
// @ts-ignore: decorator
@inline
function finish(to: usize, channels: i32, zero: i32, low: f32, high: f32, y0: f32, y1: f32, y2: f32, y3: f32): void {
  const r0 = roundWithin(y0, low, high) + zero
  const r1 = roundWithin(y1, low, high) + zero
  const r2 = roundWithin(y2, low, high) + zero
  const r3 = roundWithin(y3, low, high) + zero
  if (channels == 4) {
    store<u32>(to, (r0 & 255) | ((r1 & 255) << 8) | ((r2 & 255) << 16) | (r3 << 24))
    return
  }
  store<i8>(to, r0)
  if (channels > 1) store<i8>(to, r1, 1)
  if (channels > 2) store<i8>(to, r2, 2)
}

/** The lanes in scratch by all weights: the first `count` of three pixels to `to`, one outPixelStride apart. */
export function gemmLanes(r: ConvRecord, to: usize, count: i32): void {
  if (ASC_FEATURE_SIMD) return
  const k = r.panelBytes
  const lanes: usize = r.scratch
  const bytes: usize = ((k + 3) & ~3) << 3
  const end = lanes + bytes
  const panel: usize = k << 2
  const step: usize = r.outPixelStride
  const zero = r.outputZeroPoint
  const low = f32(r.actMin - zero)
  const high = f32(r.actMax - zero)
  const weightZero = r.weightZeroPoint
  // What lanes hold too much.
  let o0 = <i32>((bytes + CHUNK - 1) / CHUNK) * HALF
  let o1 = o0
  let o2 = o0
  if (weightZero) {
    for (let at = lanes; at < end;) {
      let sums = START
      for (const stop = min(at + LONG_CHUNK, end); at < stop; at += 8) sums += load<i64>(at)
      o0 += weightZero * (lane0(sums) - HALF)
      o1 += weightZero * (lane1(sums) - HALF)
      o2 += weightZero * (lane2(sums) - HALF)
    }
  }
  const last = r.outC - 4
  const channels = min(4, r.outC)
  let w: usize = r.weights
  let bias: usize = r.bias
  let scale: usize = r.scale
  let n = 0
  while (true) {
    let b = load<i32>(bias)
    let s00 = b - o0
    let s10 = b - o1
    let s20 = b - o2
    b = load<i32>(bias, 4)
    let s01 = b - o0
    let s11 = b - o1
    let s21 = b - o2
    b = load<i32>(bias, 8)
    let s02 = b - o0
    let s12 = b - o1
    let s22 = b - o2
    b = load<i32>(bias, 12)
    let s03 = b - o0
    let s13 = b - o1
    let s23 = b - o2
    let v = w
    let at = lanes
    do {
      let a0 = START
      let a1 = START
      let a2 = START
      let a3 = START
      const stop = min(at + CHUNK, end)
      do {
        let p = load<i64>(at)
        a0 += p * <i64>load<i8>(v)
        a1 += p * <i64>load<i8>(v, 1)
        a2 += p * <i64>load<i8>(v, 2)
        a3 += p * <i64>load<i8>(v, 3)
        p = load<i64>(at, 8)
        a0 += p * <i64>load<i8>(v, 4)
        a1 += p * <i64>load<i8>(v, 5)
        a2 += p * <i64>load<i8>(v, 6)
        a3 += p * <i64>load<i8>(v, 7)
        p = load<i64>(at, 16)
        a0 += p * <i64>load<i8>(v, 8)
        a1 += p * <i64>load<i8>(v, 9)
        a2 += p * <i64>load<i8>(v, 10)
        a3 += p * <i64>load<i8>(v, 11)
        p = load<i64>(at, 24)
        a0 += p * <i64>load<i8>(v, 12)
        a1 += p * <i64>load<i8>(v, 13)
        a2 += p * <i64>load<i8>(v, 14)
        a3 += p * <i64>load<i8>(v, 15)
        at += 32
        v += 16
      } while (at < stop)
      s00 += lane0(a0)
      s10 += lane1(a0)
      s20 += lane2(a0)
      s01 += lane0(a1)
      s11 += lane1(a1)
      s21 += lane2(a1)
      s02 += lane0(a2)
      s12 += lane1(a2)
      s22 += lane2(a2)
      s03 += lane0(a3)
      s13 += lane1(a3)
      s23 += lane2(a3)
    } while (at < end)
    const f0 = load<f32>(scale)
    const f1 = load<f32>(scale, 4)
    const f2 = load<f32>(scale, 8)
    const f3 = load<f32>(scale, 12)
    let y = to + n
    finish(y, channels, zero, low, high, f32(s00) * f0, f32(s01) * f1, f32(s02) * f2, f32(s03) * f3)
    if (count > 1) {
      y += step
      finish(y, channels, zero, low, high, f32(s10) * f0, f32(s11) * f1, f32(s12) * f2, f32(s13) * f3)
    }
    if (count > 2) {
      y += step
      finish(y, channels, zero, low, high, f32(s20) * f0, f32(s21) * f1, f32(s22) * f2, f32(s23) * f3)
    }
    if (n >= last) return
    n = min(n + 4, last)
    w += panel
    bias += 16
    scale += 16
  }
}
