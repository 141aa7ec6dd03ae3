/**
 * Convolution of int16 activations by int8 weights, of every kind.
 * Shapes: input [inH, inW, inC] i16, output [rows, outW, outC] i16. Reads up to 14 bytes past a pixel's last channel
 * and 7 past the weights of a channelwise one.
 * Source: TFLite's reference_integer_ops conv, depthwise_conv, transpose_conv, fully_connected on int16, and ruy.
 */
import { Conv16Record, RESCALE16_REAL, RESCALE16_WIDE } from '../layout'
import { clamp } from '../requantize'
import { copyBytes } from '../scalar'
import { multiplyHalfUp } from './conv-fixed'
import { multiplyWrapping, roundAway64 } from './int16-pairs'

/** Elements whose products of 22 bits may be added in the lanes of an i32x4. */
const CHUNK = 2032

/** A sum of products as the output has it. */
// @ts-ignore: decorator
@inline
function rescaled(r: Conv16Record, acc: i64, channel: i32): i16 {
  if (r.bias) acc += load<i64>(r.bias + (channel << 3))
  if (r.rescale == RESCALE16_REAL) {
    const v = f64(acc) * load<f64>(r.multipliers + (channel << 3))
    return <i16>clamp(roundAway64(v), r.actMin, r.actMax)
  }
  const multiplier = load<i32>(r.multipliers + (channel << 2))
  const shift = load<i32>(r.shifts + (channel << 2))
  let q: i32
  if (r.rescale == RESCALE16_WIDE) q = i32((acc * i64(multiplier) + (i64(1) << (shift - 1))) >> shift)
  else if (channel < r.awayFrom) {
    q = shift > 0 ? multiplyHalfUp(i32(acc) << shift, multiplier, 0) : multiplyHalfUp(i32(acc), multiplier, shift)
  } else q = multiplyWrapping(i32(acc), multiplier, shift)
  return <i16>clamp(q, r.actMin, r.actMax)
}

/** Input coordinate of a window's place, or -1 outside. `at`: output coordinate; `pad`: in front. */
// @ts-ignore: decorator
@inline
function place(transposed: i32, at: i32, stride: i32, pad: i32, tap: i32, dilation: i32, size: i32): i32 {
  let i: i32
  if (transposed) {
    i = at + pad - tap
    if (i < 0 || i % stride) return -1
    i /= stride
  } else i = at * stride - pad + tap * dilation
  return <u32>i < <u32>size ? i : -1
}

/** The window of output pixel (y, x), channels from `channel` on, as one run that zeros fill up. */
function gather(r: Conv16Record, y: i32, x: i32, channel: i32, to: usize): void {
  const bytes = r.groupIn << 1
  const kw = r.kw
  const end = to + (r.patch << 1)
  const first = x * r.strideW - r.padLeft
  const whole = !r.transposed && r.dilationW == 1 && r.groupIn == r.inC && first >= 0 && first + kw <= r.inW
  for (let ky = 0; ky < r.kh; ky++) {
    const iy = place(r.transposed, y, r.strideH, r.padTop, ky, r.dilationH, r.inH)
    const row: usize = r.input + ((iy * r.inW * r.inC + channel) << 1)
    if (iy < 0) {
      memory.fill(to, 0, kw * bytes)
      to += kw * bytes
    } else if (whole) {
      memory.copy(to, row + first * bytes, kw * bytes)
      to += kw * bytes
    } else {
      for (let kx = 0; kx < kw; kx++) {
        const ix = place(r.transposed, x, r.strideW, r.padLeft, kx, r.dilationW, r.inW)
        if (ix < 0) memory.fill(to, 0, bytes)
        else copyBytes(to, row + ((ix * r.inC) << 1), bytes)
        to += bytes
      }
    }
  }
  for (; to < end; to += 2) store<i16>(to, 0)
}

/** Sum of four lanes, in 64 bits. */
// @ts-ignore: decorator
@inline
function total(v: v128): i64 {
  const s = i64x2.add(i64x2.extend_low_i32x4_s(v), i64x2.extend_high_i32x4_s(v))
  return i64x2.extract_lane(s, 0) + i64x2.extract_lane(s, 1)
}

// @ts-ignore: decorator
@inline
function addTo(sum: usize, v: i64): void {
  store<i64>(sum, load<i64>(sum) + v)
}

/** Four channels of one patch, into four int64. */
function multiply1x4(a: usize, w: usize, k: i32, sums: usize): void {
  v128.store(sums, i64x2.splat(0))
  v128.store(sums, i64x2.splat(0), 16)
  const w1 = w + k
  const w2 = w1 + k
  const w3 = w2 + k
  let i: usize = 0
  while (i < <usize>k) {
    const end = min<usize>(k, i + CHUNK)
    let c0 = i32x4.splat(0)
    let c1 = c0
    let c2 = c0
    let c3 = c0
    for (; i < end; i += 8) {
      const x = v128.load(a + (i << 1))
      c0 = i32x4.add(c0, i32x4.dot_i16x8_s(x, v128.load_ext<i8>(w + i)))
      c1 = i32x4.add(c1, i32x4.dot_i16x8_s(x, v128.load_ext<i8>(w1 + i)))
      c2 = i32x4.add(c2, i32x4.dot_i16x8_s(x, v128.load_ext<i8>(w2 + i)))
      c3 = i32x4.add(c3, i32x4.dot_i16x8_s(x, v128.load_ext<i8>(w3 + i)))
    }
    addTo(sums, total(c0))
    addTo(sums + 8, total(c1))
    addTo(sums + 16, total(c2))
    addTo(sums + 24, total(c3))
  }
}

/** Four channels of two patches, into eight int64. */
function multiply2x4(a: usize, b: usize, w: usize, k: i32, sums: usize): void {
  for (let i: usize = 0; i < 64; i += 16) v128.store(sums + i, i64x2.splat(0))
  const w1 = w + k
  const w2 = w1 + k
  const w3 = w2 + k
  let i: usize = 0
  while (i < <usize>k) {
    const end = min<usize>(k, i + CHUNK)
    let a0 = i32x4.splat(0)
    let a1 = a0
    let a2 = a0
    let a3 = a0
    let b0 = a0
    let b1 = a0
    let b2 = a0
    let b3 = a0
    for (; i < end; i += 8) {
      const x = v128.load(a + (i << 1))
      const y = v128.load(b + (i << 1))
      let v = v128.load_ext<i8>(w + i)
      a0 = i32x4.add(a0, i32x4.dot_i16x8_s(x, v))
      b0 = i32x4.add(b0, i32x4.dot_i16x8_s(y, v))
      v = v128.load_ext<i8>(w1 + i)
      a1 = i32x4.add(a1, i32x4.dot_i16x8_s(x, v))
      b1 = i32x4.add(b1, i32x4.dot_i16x8_s(y, v))
      v = v128.load_ext<i8>(w2 + i)
      a2 = i32x4.add(a2, i32x4.dot_i16x8_s(x, v))
      b2 = i32x4.add(b2, i32x4.dot_i16x8_s(y, v))
      v = v128.load_ext<i8>(w3 + i)
      a3 = i32x4.add(a3, i32x4.dot_i16x8_s(x, v))
      b3 = i32x4.add(b3, i32x4.dot_i16x8_s(y, v))
    }
    addTo(sums, total(a0))
    addTo(sums + 8, total(a1))
    addTo(sums + 16, total(a2))
    addTo(sums + 24, total(a3))
    addTo(sums + 32, total(b0))
    addTo(sums + 40, total(b1))
    addTo(sums + 48, total(b2))
    addTo(sums + 56, total(b3))
  }
}

/** Σ a[i] * w[i] over k int16 and int8. */
function product(a: usize, w: usize, k: i32): i64 {
  let acc: i64 = 0
  while (k > 0) {
    // 128 products fit 32 bits.
    const n = min(k, 128)
    let part = 0
    for (let i = 0; i < n; i++) part += load<i16>(a + (i << 1)) * load<i8>(w + i)
    acc += part
    a += n << 1
    w += n
    k -= n
  }
  return acc
}

/** One group's channels of one or two (`there`) pixels. */
function group(r: Conv16Record, a: usize, b: usize, there: i32, channel: i32, to: usize): void {
  const k = r.patch
  const outC = r.outC
  const end = channel + r.groupOut
  const sums: usize = r.scratch
  for (let o = channel; o < end; o += 4) {
    const w: usize = r.weights + o * k
    const n = min(4, end - o)
    if (ASC_FEATURE_SIMD) {
      if (there > 1) multiply2x4(a, b, w, k, sums)
      else multiply1x4(a, w, k, sums)
    }
    for (let p = 0; p < there; p++) {
      for (let i = 0; i < n; i++) {
        const acc = ASC_FEATURE_SIMD ? load<i64>(sums + (p << 5) + (i << 3)) : product(p ? b : a, w + i * k, k)
        store<i16>(to + ((p * outC + o + i) << 1), rescaled(r, acc, o + i))
      }
    }
  }
}

/** Channels that are independent of each other, of one pixel. */
function channelwise(r: Conv16Record, y: i32, x: i32, to: usize): void {
  const channels = r.outC
  const top = y * r.strideH - r.padTop
  const left = x * r.strideW - r.padLeft
  const step = r.inC << 1
  let c = 0
  if (ASC_FEATURE_SIMD) {
    const sums: usize = r.scratch
    for (; c + 8 <= channels; c += 8) {
      let low = i32x4.splat(0)
      let high = low
      for (let ky = 0; ky < r.kh; ky++) {
        const iy = top + ky * r.dilationH
        if (<u32>iy >= <u32>r.inH) continue
        const row: usize = r.input + iy * r.inW * step + (c << 1)
        const w: usize = r.weights + ky * r.kw * channels + c
        for (let kx = 0; kx < r.kw; kx++) {
          const ix = left + kx * r.dilationW
          if (<u32>ix >= <u32>r.inW) continue
          const a = v128.load(row + ix * step)
          const b = v128.load_ext<i8>(w + kx * channels)
          low = i32x4.add(low, i32x4.extmul_low_i16x8_s(a, b))
          high = i32x4.add(high, i32x4.extmul_high_i16x8_s(a, b))
        }
      }
      v128.store(sums, low)
      v128.store(sums, high, 16)
      for (let i = 0; i < 8; i++) {
        store<i16>(to + ((c + i) << 1), rescaled(r, i64(load<i32>(sums + (i << 2))), c + i))
      }
    }
  }
  for (; c < channels; c++) {
    let acc = 0
    for (let ky = 0; ky < r.kh; ky++) {
      const iy = top + ky * r.dilationH
      if (<u32>iy >= <u32>r.inH) continue
      const row: usize = r.input + iy * r.inW * step + (c << 1)
      const w: usize = r.weights + ky * r.kw * channels + c
      for (let kx = 0; kx < r.kw; kx++) {
        const ix = left + kx * r.dilationW
        if (<u32>ix < <u32>r.inW) acc += load<i16>(row + ix * step) * load<i8>(w + kx * channels)
      }
    }
    store<i16>(to + (c << 1), rescaled(r, i64(acc), c))
  }
}

export function conv16(record: usize, y0: i32, y1: i32): void {
  const r = changetype<Conv16Record>(record)
  const pixel = r.outC << 1
  const inputPixel = r.inC << 1
  const patches: usize = r.scratch + 64
  const patchBytes = r.patch << 1
  // Pixels that lie as a patch in memory are read in place.
  const direct = !r.transposed && r.kh * r.kw == 1 && r.groupIn == r.inC && r.patch == r.inC && !(r.padTop | r.padLeft)
  for (let y = y0; y < y1; y++) {
    let to: usize = r.output + y * r.outW * pixel
    if (r.channelwise) {
      for (let x = 0; x < r.outW; x++) {
        channelwise(r, y, x, to)
        to += pixel
      }
      continue
    }
    for (let x = 0; x < r.outW; x += 2) {
      const there = min(2, r.outW - x)
      if (direct) {
        const a: usize = r.input + (y * r.strideH * r.inW + x * r.strideW) * inputPixel
        group(r, a, a + r.strideW * inputPixel, there, 0, to)
      } else {
        let channel = 0
        for (let o = 0; o < r.outC; o += r.groupOut) {
          for (let p = 0; p < there; p++) gather(r, y, x + p, channel, patches + p * patchBytes)
          group(r, patches, patches + patchBytes, there, o, to)
          channel += r.groupIn
        }
      }
      to += there * pixel
    }
  }
}
