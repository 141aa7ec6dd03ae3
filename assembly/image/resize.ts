/**
 * The two passes of a separable resize with tables of taps: 22-bit fixed-point weights, each pass rounded to 8 bits, as
 * Pillow does it (src/image/resize.ts is the same for pixels that no module holds).
 *
 * With SIMD a weight is kept as two halves of 11 bits, w = high * 2^11 + low, so that products of pairs of taps are
 * sums of one instruction; results are the same.
 */
import { alloc } from './memory'
import { axisTaps, stride as weightStride } from './taps'

/** Bits after the point of a weight. */
const PRECISION: i32 = 22
const HALF: i32 = 1 << (PRECISION - 1)
const LOW_BITS: i32 = 11

/** Weights may add up to a little more than one. */
@inline function clip(v: i32): i32 {
  return min(v >> PRECISION, 255)
}

/**
 * Taps of one axis: tap k of output i weighs input starts[i] + k, k < counts[i]. Weights are i32, or with SIMD i16
 * halves {high x stride, low x stride}, zero from counts[i] on, stride a multiple of 8.
 */
@unmanaged export class Axis {
  starts: usize
  counts: usize
  weights: usize
  stride: i32
  count: i32
  /** First and one-past-last input that is read. */
  first: i32
  last: i32
}

export const axisX = changetype<Axis>(memory.data(offsetof<Axis>(), 8))
export const axisY = changetype<Axis>(memory.data(offsetof<Axis>(), 8))

/** Makes the taps of outputs `from` to `from + count`; false without memory. */
export function setAxis(axis: Axis, method: i32, inSize: i32, outSize: i32, from: i32, count: i32): bool {
  const at = axisTaps(method, inSize, outSize, from, count)
  if (at == 0) return false
  axis.starts = at
  axis.counts = at + ((<usize>count) << 2)
  axis.weights = axis.counts + ((<usize>count) << 2)
  axis.stride = weightStride
  axis.count = count
  axis.first = load<i32>(axis.starts)
  axis.last = 0
  for (let i = 0; i < count; i++) {
    const slot = (<usize>i) << 2
    axis.first = min(axis.first, load<i32>(axis.starts + slot))
    axis.last = max(axis.last, load<i32>(axis.starts + slot) + load<i32>(axis.counts + slot))
  }
  return !ASC_FEATURE_SIMD || splitWeights(axis)
}

function splitWeights(axis: Axis): bool {
  const stride = (axis.stride + 7) & ~7
  const to = alloc(<u64>axis.count * stride * 4)
  if (to == 0) return false
  memory.fill(to, 0, <usize>axis.count * stride * 4)
  for (let i = 0; i < axis.count; i++) {
    const from = axis.weights + ((<usize>(i * axis.stride)) << 2)
    const out = to + ((<usize>(i * stride)) << 2)
    const n = load<i32>(axis.counts + ((<usize>i) << 2))
    for (let k = 0; k < n; k++) {
      const w = load<i32>(from + ((<usize>k) << 2))
      store<i16>(out + ((<usize>k) << 1), w >> LOW_BITS)
      store<i16>(out + ((<usize>(stride + k)) << 1), w & ((1 << LOW_BITS) - 1))
    }
  }
  axis.weights = to
  axis.stride = stride
  return true
}

/**
 * One row along x: n pixels of `channels` (1 or 3). `row`: where column 0 lies or would lie. Up to 16 bytes behind the
 * taps are read, 3 behind the result written.
 */
export function resizeColumns(row: usize, channels: i32, axis: Axis, out: usize): void {
  if (ASC_FEATURE_SIMD) {
    if (channels == 1) wideColumns1(row, axis, out)
    else wideColumns3(row, axis, out)
  } else plainColumns(row, channels, axis, out)
}

function wideColumns3(row: usize, axis: Axis, out: usize): void {
  const n = axis.count
  const strideBytes = (<usize>axis.stride) << 1
  let weights = axis.weights
  let starts = axis.starts
  let counts = axis.counts
  // Four pixels: the reds and greens of all, the blues of all, as i16.
  const redGreen = i8x16(0, -128, 3, -128, 6, -128, 9, -128, 1, -128, 4, -128, 7, -128, 10, -128)
  const blue = i8x16(2, -128, 5, -128, 8, -128, 11, -128, -128, -128, -128, -128, -128, -128, -128, -128)
  const half = i32x4.splat(HALF)
  for (let i = 0; i < n; i++, starts += 4, counts += 4, weights += strideBytes << 1, out += 3) {
    let p = row + load<i32>(starts) * 3
    let w = weights
    const end = w + ((<usize>load<i32>(counts)) << 1)
    let ha = i32x4.splat(0)
    let hb = i32x4.splat(0)
    let la = i32x4.splat(0)
    let lb = i32x4.splat(0)
    for (; w < end; w += 8, p += 12) {
      const pixels = v128.load(p)
      const a = v128.swizzle(pixels, redGreen)
      const b = v128.swizzle(pixels, blue)
      const high = v128.load64_splat(w)
      const low = v128.load64_splat(w + strideBytes)
      ha = i32x4.add(ha, i32x4.dot_i16x8_s(a, high))
      hb = i32x4.add(hb, i32x4.dot_i16x8_s(b, high))
      la = i32x4.add(la, i32x4.dot_i16x8_s(a, low))
      lb = i32x4.add(lb, i32x4.dot_i16x8_s(b, low))
    }
    const a = i32x4.add(i32x4.shl(ha, LOW_BITS), la)
    const b = i32x4.add(i32x4.shl(hb, LOW_BITS), lb)
    const sum = i32x4.add(i32x4.add(v128.shuffle<u32>(a, b, 0, 2, 4, 6), v128.shuffle<u32>(a, b, 1, 3, 5, 7)), half)
    const words = i32x4.shr_s(sum, PRECISION)
    const shorts = i16x8.narrow_i32x4_s(words, words)
    v128.store_lane<u32>(out, i8x16.narrow_i16x8_u(shorts, shorts), 0)
  }
}

function wideColumns1(row: usize, axis: Axis, out: usize): void {
  const n = axis.count
  const strideBytes = (<usize>axis.stride) << 1
  let weights = axis.weights
  for (let i: usize = 0; i < <usize>n; i++, weights += strideBytes << 1) {
    let p = row + load<i32>(axis.starts + (i << 2))
    let w = weights
    const end = w + ((<usize>load<i32>(axis.counts + (i << 2))) << 1)
    let h = i32x4.splat(0)
    let l = i32x4.splat(0)
    for (; w < end; w += 16, p += 8) {
      const pixels = v128.load_ext<u8>(p)
      h = i32x4.add(h, i32x4.dot_i16x8_s(pixels, v128.load(w)))
      l = i32x4.add(l, i32x4.dot_i16x8_s(pixels, v128.load(w + strideBytes)))
    }
    const s = i32x4.add(i32x4.shl(h, LOW_BITS), l)
    const sum =
      i32x4.extract_lane(s, 0) + i32x4.extract_lane(s, 1) + i32x4.extract_lane(s, 2) + i32x4.extract_lane(s, 3)
    store<u8>(out + i, clip(sum + HALF))
  }
}

function plainColumns(row: usize, channels: i32, axis: Axis, out: usize): void {
  let weights = axis.weights
  for (let i = 0; i < axis.count; i++, weights += (<usize>axis.stride) << 2) {
    let p = row + load<i32>(axis.starts + ((<usize>i) << 2)) * channels
    let w = weights
    const end = w + ((<usize>load<i32>(axis.counts + ((<usize>i) << 2))) << 2)
    let r = HALF
    if (channels == 1) {
      for (; w < end; w += 4, p++) r += <i32>load<u8>(p) * load<i32>(w)
      store<u8>(out++, clip(r))
    } else {
      let g = HALF
      let b = HALF
      for (; w < end; w += 4, p += 3) {
        const k = load<i32>(w)
        r += <i32>load<u8>(p) * k
        g += <i32>load<u8>(p, 1) * k
        b += <i32>load<u8>(p, 2) * k
      }
      store<u8>(out, clip(r))
      store<u8>(out, clip(g), 1)
      store<u8>(out, clip(b), 2)
      out += 3
    }
  }
}

/**
 * Output row `index` along y: `n` samples. `rows`: where input row 0 lies or would lie, `pitch` bytes a row. Up to 15
 * bytes behind a row are read and behind the result written. `sums`: 4 bytes a sample of scratch.
 */
export function resizeRow(rows: usize, pitch: i32, n: i32, axis: Axis, index: i32, out: usize, sums: usize): void {
  const slot = (<usize>index) << 2
  const first = rows + load<i32>(axis.starts + slot) * pitch
  const count = load<i32>(axis.counts + slot)
  const weights = axis.weights + ((<usize>(index * axis.stride)) << 2)
  if (ASC_FEATURE_SIMD) wideRow(first, pitch, n, count, weights, (<usize>axis.stride) << 1, out)
  else plainRow(first, pitch, n, count, weights, out, sums)
}

function wideRow(rows: usize, pitch: usize, n: i32, count: i32, weights: usize, strideBytes: usize, out: usize): void {
  const half = i32x4.splat(HALF)
  const zero = i32x4.splat(0)
  for (let x = 0; x < n; x += 16) {
    let p = rows + x
    let h0 = zero
    let h1 = zero
    let h2 = zero
    let h3 = zero
    let l0 = zero
    let l1 = zero
    let l2 = zero
    let l3 = zero
    for (let k = 0; k < count; k += 2, p += pitch << 1) {
      const a = v128.load(p)
      // The weight of a row that is not there is zero.
      const b = v128.load(k + 1 < count ? p + pitch : p)
      const high = v128.load32_splat(weights + ((<usize>k) << 1))
      const low = v128.load32_splat(weights + ((<usize>k) << 1) + strideBytes)
      const near = v128.shuffle<u8>(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
      const far = v128.shuffle<u8>(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)
      const e0 = i16x8.extend_low_i8x16_u(near)
      const e1 = i16x8.extend_high_i8x16_u(near)
      const e2 = i16x8.extend_low_i8x16_u(far)
      const e3 = i16x8.extend_high_i8x16_u(far)
      h0 = i32x4.add(h0, i32x4.dot_i16x8_s(e0, high))
      l0 = i32x4.add(l0, i32x4.dot_i16x8_s(e0, low))
      h1 = i32x4.add(h1, i32x4.dot_i16x8_s(e1, high))
      l1 = i32x4.add(l1, i32x4.dot_i16x8_s(e1, low))
      h2 = i32x4.add(h2, i32x4.dot_i16x8_s(e2, high))
      l2 = i32x4.add(l2, i32x4.dot_i16x8_s(e2, low))
      h3 = i32x4.add(h3, i32x4.dot_i16x8_s(e3, high))
      l3 = i32x4.add(l3, i32x4.dot_i16x8_s(e3, low))
    }
    v128.store(
      out + x,
      i8x16.narrow_i16x8_u(
        i16x8.narrow_i32x4_s(rounded(h0, l0, half), rounded(h1, l1, half)),
        i16x8.narrow_i32x4_s(rounded(h2, l2, half), rounded(h3, l3, half)),
      ),
    )
  }
}


@inline function rounded(high: v128, low: v128, half: v128): v128 {
  return i32x4.shr_s(i32x4.add(i32x4.add(i32x4.shl(high, LOW_BITS), low), half), PRECISION)
}

function plainRow(rows: usize, pitch: i32, n: i32, count: i32, weights: usize, out: usize, sums: usize): void {
  for (let x = 0; x < n; x++) store<i32>(sums + ((<usize>x) << 2), HALF)
  for (let k = 0; k < count; k++, rows += pitch, weights += 4) {
    const w = load<i32>(weights)
    for (let x = 0; x < n; x++) {
      const s = sums + ((<usize>x) << 2)
      store<i32>(s, load<i32>(s) + <i32>load<u8>(rows + x) * w)
    }
  }
  for (let x = 0; x < n; x++) store<u8>(out + x, clip(load<i32>(sums + ((<usize>x) << 2))))
}
