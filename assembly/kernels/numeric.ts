/** Softmax, quantize, dequantize, arg-max, bilinear resize. */
import { ArgMaxRecord, DequantizeRecord, QuantizeRecord, ResizeBilinearRecord, SoftmaxRecord } from '../layout'
import { clamp } from '../requantize'
import { exponential, rowMaximum, sumExponentials } from './exponentials'

/**
 * Softmax over the last axis of [rows, depth] i8. The sum runs left to right in f32 and the division is a
 * multiplication by the reciprocal, as the reference rounds. Source: TFLite's builtin softmax.
 */
export function softmax(record: usize): void {
  const r = changetype<SoftmaxRecord>(record)
  const depth = r.depth
  const table: usize = r.table
  for (let y: u32 = 0; y < r.rows; y++) {
    const from: usize = r.input + y * depth
    const to: usize = r.output + y * depth
    const top = rowMaximum(from, depth)
    const sum = sumExponentials(table, top, from, depth)
    const inverse: f32 = <f32>1 / (sum * r.outScale)
    let i = 0
    if (ASC_FEATURE_SIMD) {
      if (!r.unsigned) {
        const factor = f32x4.splat(inverse)
        const half = f32x4.splat(0.5)
        const zero = i32x4.splat(r.outputZeroPoint)
        const at = table + ((<usize>top) << 2)
        for (; i + 4 <= depth; i += 4) {
          let e = v128.load_zero<f32>(at - <usize>(load<i8>(from + i) << 2))
          e = v128.load_lane<f32>(at - <usize>(load<i8>(from + i, 1) << 2), e, 1)
          e = v128.load_lane<f32>(at - <usize>(load<i8>(from + i, 2) << 2), e, 2)
          e = v128.load_lane<f32>(at - <usize>(load<i8>(from + i, 3) << 2), e, 3)
          const p = f32x4.mul(e, factor)
          const whole = f32x4.trunc(p)
          const q = i32x4.add(i32x4.sub(i32x4.trunc_sat_f32x4_s(whole), f32x4.ge(f32x4.sub(p, whole), half)), zero)
          const h = i16x8.narrow_i32x4_s(q, q)
          v128.store32_lane(to + i, i8x16.narrow_i16x8_s(h, h), 0)
        }
      }
    }
    for (; i < depth; i++) {
      const p = exponential(table, top, from + i) * inverse
      if (r.unsigned) {
        store<u8>(to + i, <u8>(clamp(i32(p + <f32>0.5), 0, 255) ^ r.xor))
      } else {
        const whole = trunc<f32>(p)
        store<i8>(to + i, clamp(i32(whole) + i32(p - whole >= 0.5) + r.outputZeroPoint, -128, 127))
      }
    }
  }
}

/** f32(f32(q - zeroPoint) * scale). */
export function dequantize(record: usize): void {
  const r = changetype<DequantizeRecord>(record)
  let i = 0
  if (ASC_FEATURE_SIMD) {
    const zero = i16x8.splat(<i16>r.zeroPoint)
    const scale = f32x4.splat(r.scale)
    for (; i + 8 <= r.count; i += 8) {
      const q = i16x8.sub(v128.load_ext<i8>(r.input + i), zero)
      const to: usize = r.output + (i << 2)
      v128.store(to, f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(q)), scale))
      v128.store(to, f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(q)), scale), 16)
    }
  }
  for (; i < r.count; i++) {
    store<f32>(r.output + (i << 2), f32(load<i8>(r.input + i) - r.zeroPoint) * r.scale)
  }
}

/** 1.5 * 2^23: a float below 2^22 added to it is rounded to an integer, its low bits. */
const MAGIC: f32 = 12582912

/** Four floats, already times the inverse scale, as integers from -1024 to 1024; NaN is the most. */
// @ts-ignore: decorator
@inline
function rounded(x: v128): v128 {
  const magic = f32x4.splat(MAGIC)
  return i32x4.sub(f32x4.add(f32x4.pmax(f32x4.splat(-1024), f32x4.pmin(f32x4.splat(1024), x)), magic), magic)
}

/** clamp(RNE(x * f32(1/scale)) + zeroPoint); NaN and +inf give the maximum. Source: XNNPACK's f32 to qs8 convert. */
export function quantize(record: usize): void {
  const r = changetype<QuantizeRecord>(record)
  let i = 0
  if (ASC_FEATURE_SIMD) {
    const inverse = f32x4.splat(r.inverseScale)
    const zero = i16x8.splat(<i16>r.zeroPoint)
    for (; i + 8 <= r.count; i += 8) {
      const from: usize = r.input + (i << 2)
      const q = i16x8.add(
        i16x8.narrow_i32x4_s(
          rounded(f32x4.mul(v128.load(from), inverse)),
          rounded(f32x4.mul(v128.load(from, 16), inverse)),
        ),
        zero,
      )
      v128.store64_lane(r.output + i, i8x16.narrow_i16x8_s(q, q), 0)
    }
  }
  for (; i < r.count; i++) {
    const x = load<f32>(r.input + (i << 2)) * r.inverseScale
    // The first test is false for NaN, too.
    const y = x < <f32>1024 ? max<f32>(x, -1024) : <f32>1024
    store<i8>(r.output + i, clamp(i32(nearest<f32>(y)) + r.zeroPoint, -128, 127))
  }
}

/** Maximum of the sixteen lanes, in every lane. */
// @ts-ignore: decorator
@inline
function spreadMaximum(v: v128): v128 {
  v = i8x16.max_s(v, v128.shuffle<i64>(v, v, 1, 0))
  v = i8x16.max_s(v, v128.shuffle<i32>(v, v, 1, 0, 3, 2))
  v = i8x16.max_s(v, v128.shuffle<i16>(v, v, 1, 0, 3, 2, 5, 4, 7, 6))
  return i8x16.max_s(v, v128.or(i16x8.shl(v, 8), i16x8.shr_u(v, 8)))
}

/** First index of the maximum of n >= 16 int8. */
function firstMaximum(p: usize, n: i32): i32 {
  const last = n - 16
  let most = v128.load(p + last)
  for (let i = 0; i < last; i += 16) most = i8x16.max_s(most, v128.load(p + i))
  most = spreadMaximum(most)
  for (let i = 0; i < last; i += 16) {
    const found = i8x16.bitmask(i8x16.eq(v128.load(p + i), most))
    if (found) return i + ctz(found)
  }
  return last + ctz(i8x16.bitmask(i8x16.eq(v128.load(p + last), most)))
}

/** First index of the maximum along `depth`; input i8. */
export function argMax(record: usize): void {
  const r = changetype<ArgMaxRecord>(record)
  const depth = r.depth
  const inner = r.inner
  if (ASC_FEATURE_SIMD && inner == 1 && depth >= 16) {
    let row: usize = r.input
    let out: usize = r.output
    for (let o = 0; o < r.outer; o++) {
      const at = firstMaximum(row, depth)
      if (r.outBytes == 8) store<i64>(out, at)
      else store<i32>(out, at)
      row += depth
      out += r.outBytes
    }
    return
  }
  let out: usize = r.output
  for (let o = 0; o < r.outer; o++) {
    const row: usize = r.input + o * depth * inner
    for (let i = 0; i < inner; i++) {
      let p = row + i
      let best = <i32>load<i8>(p)
      let at = 0
      for (let d = 1; d < depth; d++) {
        p += inner
        const q = <i32>load<i8>(p)
        if (q > best) {
          best = q
          at = d
        }
      }
      if (r.outBytes == 8) store<i64>(out, at)
      else store<i32>(out, at)
      out += r.outBytes
    }
  }
}

/**
 * Bilinear resize in 11-bit fixed point: horizontal, then vertical, then (x + 2^21) >> 22.
 * Tables come from the host: f32 coordinates rounded as the reference does. Source: XNNPACK's ibilinear s8.
 */
export function resizeBilinear(record: usize, y0: i32, y1: i32): void {
  const r = changetype<ResizeBilinearRecord>(record)
  const channels = r.channels
  for (let y = y0; y < y1; y++) {
    const row: usize = r.rowTable + y * 12
    const top: usize = r.input + load<i32>(row)
    const bottom: usize = r.input + load<i32>(row, 4)
    const wy = load<i32>(row, 8)
    let to: usize = r.output + y * r.outRowStride
    for (let x = 0; x < r.outW; x++) {
      const column: usize = r.columnTable + x * 12
      const left: usize = load<i32>(column)
      const right: usize = load<i32>(column, 4)
      const wx = load<i32>(column, 8)
      let c = 0
      if (ASC_FEATURE_SIMD && channels >= 8) {
        const weights = i32x4.splat((2048 - wx) | (wx << 16))
        const below = i32x4.splat(wy)
        const above = i32x4.splat(2048 - wy)
        const half = i32x4.splat(1 << 21)
        while (true) {
          const q = blend8(top + c, bottom + c, left, right, weights, above, below, half)
          v128.store64_lane(to + c, q, 0)
          c += 8
          if (c >= channels) break
          if (c > channels - 8) c = channels - 8
        }
      }
      for (; c < channels; c++) {
        const a = <i32>load<i8>(top + left + c)
        const b = <i32>load<i8>(bottom + left + c)
        const t = (a << 11) + (load<i8>(top + right + c) - a) * wx
        const u = (b << 11) + (load<i8>(bottom + right + c) - b) * wx
        store<i8>(to + c, ((t << 11) + (u - t) * wy + (1 << 21)) >> 22)
      }
      to += channels
    }
  }
}

/** Eight channels of one output pixel. */
// @ts-ignore: decorator
@inline
function blend8(
  top: usize,
  bottom: usize,
  left: usize,
  right: usize,
  weights: v128,
  above: v128,
  below: v128,
  half: v128,
): v128 {
  const tl = v128.load_ext<i8>(top + left)
  const tr = v128.load_ext<i8>(top + right)
  const bl = v128.load_ext<i8>(bottom + left)
  const br = v128.load_ext<i8>(bottom + right)
  const lo = blend4(
    v128.shuffle<i16>(tl, tr, 0, 8, 1, 9, 2, 10, 3, 11),
    v128.shuffle<i16>(bl, br, 0, 8, 1, 9, 2, 10, 3, 11),
    weights,
    above,
    below,
    half,
  )
  const hi = blend4(
    v128.shuffle<i16>(tl, tr, 4, 12, 5, 13, 6, 14, 7, 15),
    v128.shuffle<i16>(bl, br, 4, 12, 5, 13, 6, 14, 7, 15),
    weights,
    above,
    below,
    half,
  )
  const q = i16x8.narrow_i32x4_s(lo, hi)
  return i8x16.narrow_i16x8_s(q, q)
}

// @ts-ignore: decorator
@inline
function blend4(top: v128, bottom: v128, weights: v128, above: v128, below: v128, half: v128): v128 {
  const t = i32x4.mul(i32x4.dot_i16x8_s(top, weights), above)
  const b = i32x4.mul(i32x4.dot_i16x8_s(bottom, weights), below)
  return i32x4.shr_s(i32x4.add(i32x4.add(t, b), half), 22)
}
