/**
 * Depthwise 3x3, stride 1 or 2, no dilation: two output columns and eight channels a step. Rows 0 and 1 of the window
 * are interleaved for dot_i16x8; row 2 is paired along the columns, so that five dots do the work of nine products.
 *
 * Shapes: input frame [inRows, W, C] i8 with its padding; output [rows, outW, C] i8, outW >= 2, C >= 8.
 * Weights: 14 vectors a block of eight channels (src/lower/pack.ts draws them); the last block may overlap.
 * Requires: |acc * scale| <= 2^22. Reads past end: 0..7 bytes. Writes: exactly the output rows. SIMD only.
 */
import { DepthwiseRecord } from '../layout'
import { fence, requantize4, widen } from '../simd'

// @ts-ignore: decorator
@inline
function low(a: v128, b: v128): v128 {
  return v128.shuffle<i16>(a, b, 0, 8, 1, 9, 2, 10, 3, 11)
}
// @ts-ignore: decorator
@inline
function high(a: v128, b: v128): v128 {
  return v128.shuffle<i16>(a, b, 4, 12, 5, 13, 6, 14, 7, 15)
}
/** Two neighbouring output pixels, all channels. p0..p2: window rows; y: the left output pixel. */
function pair1(r: DepthwiseRecord, p0: usize, p1: usize, p2: usize, y: usize): void {
  const c: usize = r.channels, last = r.channels - 8
  let w: usize = r.weights, bias: usize = r.bias, scale: usize = r.scale
  let n = 0
  while (true) {
    const q0 = p0 + n, q1 = p1 + n, q2 = p2 + n
    const b0 = v128.load(bias), b1 = v128.load(bias, 16)
    let l0 = b0, h0 = b1, l1 = b0, h1 = b1
    {
      const a = widen(q0), b = widen(q1)
      l0 = i32x4.add(l0, i32x4.dot_i16x8_s(low(a, b), v128.load(w)))
      h0 = i32x4.add(h0, i32x4.dot_i16x8_s(high(a, b), v128.load(w, 16)))
    }
    {
      const a = widen(q0 + c), b = widen(q1 + c)
      const u = low(a, b), v = high(a, b)
      l1 = i32x4.add(l1, i32x4.dot_i16x8_s(u, v128.load(w)))
      l0 = i32x4.add(l0, i32x4.dot_i16x8_s(u, v128.load(w, 32)))
      h1 = i32x4.add(h1, i32x4.dot_i16x8_s(v, v128.load(w, 16)))
      h0 = i32x4.add(h0, i32x4.dot_i16x8_s(v, v128.load(w, 48)))
    }
    {
      const a = widen(q2), b = widen(q2 + c)
      const u = low(a, b), v = high(a, b)
      l0 = i32x4.add(l0, i32x4.dot_i16x8_s(u, v128.load(w, 96)))
      l1 = i32x4.add(l1, i32x4.dot_i16x8_s(u, v128.load(w, 160)))
      h0 = i32x4.add(h0, i32x4.dot_i16x8_s(v, v128.load(w, 112)))
      h1 = i32x4.add(h1, i32x4.dot_i16x8_s(v, v128.load(w, 176)))
      fence()
    }
    {
      const a = widen(q0 + 2 * c), b = widen(q1 + 2 * c)
      const u = low(a, b), v = high(a, b)
      l1 = i32x4.add(l1, i32x4.dot_i16x8_s(u, v128.load(w, 32)))
      l0 = i32x4.add(l0, i32x4.dot_i16x8_s(u, v128.load(w, 64)))
      h1 = i32x4.add(h1, i32x4.dot_i16x8_s(v, v128.load(w, 48)))
      h0 = i32x4.add(h0, i32x4.dot_i16x8_s(v, v128.load(w, 80)))
    }
    {
      const a = widen(q0 + 3 * c), b = widen(q1 + 3 * c)
      l1 = i32x4.add(l1, i32x4.dot_i16x8_s(low(a, b), v128.load(w, 64)))
      h1 = i32x4.add(h1, i32x4.dot_i16x8_s(high(a, b), v128.load(w, 80)))
    }
    {
      const a = widen(q2 + 2 * c), b = widen(q2 + 3 * c)
      const u = low(a, b), v = high(a, b)
      l0 = i32x4.add(l0, i32x4.dot_i16x8_s(u, v128.load(w, 128)))
      l1 = i32x4.add(l1, i32x4.dot_i16x8_s(u, v128.load(w, 192)))
      h0 = i32x4.add(h0, i32x4.dot_i16x8_s(v, v128.load(w, 144)))
      h1 = i32x4.add(h1, i32x4.dot_i16x8_s(v, v128.load(w, 208)))
      fence()
    }
    finish(r, scale, y + n, y + n + c, l0, h0, l1, h1)
    if (n >= last) break
    w += 224
    bias += 32
    scale += 32
    n += 8
    if (n > last) n = last
  }
}

/** The same for stride 2: columns 0..2 make the left pixel, 2..4 the right one. */
function pair2(r: DepthwiseRecord, p0: usize, p1: usize, p2: usize, y: usize): void {
  const c: usize = r.channels, last = r.channels - 8
  let w: usize = r.weights, bias: usize = r.bias, scale: usize = r.scale
  let n = 0
  while (true) {
    const q0 = p0 + n, q1 = p1 + n, q2 = p2 + n
    const b0 = v128.load(bias), b1 = v128.load(bias, 16)
    let l0 = b0, h0 = b1, l1 = b0, h1 = b1
    {
      const a = widen(q0), b = widen(q1)
      l0 = i32x4.add(l0, i32x4.dot_i16x8_s(low(a, b), v128.load(w)))
      h0 = i32x4.add(h0, i32x4.dot_i16x8_s(high(a, b), v128.load(w, 16)))
    }
    {
      const a = widen(q0 + c), b = widen(q1 + c)
      l0 = i32x4.add(l0, i32x4.dot_i16x8_s(low(a, b), v128.load(w, 32)))
      h0 = i32x4.add(h0, i32x4.dot_i16x8_s(high(a, b), v128.load(w, 48)))
    }
    {
      const a = widen(q2), b = widen(q2 + c)
      l0 = i32x4.add(l0, i32x4.dot_i16x8_s(low(a, b), v128.load(w, 96)))
      h0 = i32x4.add(h0, i32x4.dot_i16x8_s(high(a, b), v128.load(w, 112)))
      fence()
    }
    {
      const a = widen(q0 + 2 * c), b = widen(q1 + 2 * c)
      const u = low(a, b), v = high(a, b)
      l1 = i32x4.add(l1, i32x4.dot_i16x8_s(u, v128.load(w)))
      l0 = i32x4.add(l0, i32x4.dot_i16x8_s(u, v128.load(w, 64)))
      h1 = i32x4.add(h1, i32x4.dot_i16x8_s(v, v128.load(w, 16)))
      h0 = i32x4.add(h0, i32x4.dot_i16x8_s(v, v128.load(w, 80)))
    }
    {
      const a = widen(q2 + 2 * c), b = widen(q2 + 3 * c)
      const u = low(a, b), v = high(a, b)
      l0 = i32x4.add(l0, i32x4.dot_i16x8_s(u, v128.load(w, 128)))
      l1 = i32x4.add(l1, i32x4.dot_i16x8_s(u, v128.load(w, 96)))
      h0 = i32x4.add(h0, i32x4.dot_i16x8_s(v, v128.load(w, 144)))
      h1 = i32x4.add(h1, i32x4.dot_i16x8_s(v, v128.load(w, 112)))
      fence()
    }
    {
      const a = widen(q0 + 3 * c), b = widen(q1 + 3 * c)
      l1 = i32x4.add(l1, i32x4.dot_i16x8_s(low(a, b), v128.load(w, 32)))
      h1 = i32x4.add(h1, i32x4.dot_i16x8_s(high(a, b), v128.load(w, 48)))
    }
    {
      const a = widen(q0 + 4 * c), b = widen(q1 + 4 * c)
      l1 = i32x4.add(l1, i32x4.dot_i16x8_s(low(a, b), v128.load(w, 64)))
      h1 = i32x4.add(h1, i32x4.dot_i16x8_s(high(a, b), v128.load(w, 80)))
    }
    {
      const a = widen(q2 + 4 * c)
      l1 = i32x4.add(l1, i32x4.dot_i16x8_s(low(a, a), v128.load(w, 128)))
      h1 = i32x4.add(h1, i32x4.dot_i16x8_s(high(a, a), v128.load(w, 144)))
      fence()
    }
    finish(r, scale, y + n, y + n + c, l0, h0, l1, h1)
    if (n >= last) break
    w += 224
    bias += 32
    scale += 32
    n += 8
    if (n > last) n = last
  }
}

// @ts-ignore: decorator
@inline
function finish(r: DepthwiseRecord, scale: usize, ya: usize, yb: usize, l0: v128, h0: v128, l1: v128, h1: v128): void {
  const at = changetype<usize>(r)
  const magic = v128.load_splat<i32>(at, offsetof<DepthwiseRecord>('magic'))
  const zero = v128.load_splat<i32>(at, offsetof<DepthwiseRecord>('magicMinusZero'))
  const s0 = v128.load(scale), s1 = v128.load(scale, 16)
  const a = i16x8.narrow_i32x4_s(requantize4(l0, s0, magic, zero), requantize4(h0, s1, magic, zero))
  const b = i16x8.narrow_i32x4_s(requantize4(l1, s0, magic, zero), requantize4(h1, s1, magic, zero))
  const min = v128.load_splat<i8>(at, offsetof<DepthwiseRecord>('actMin'))
  const max = v128.load_splat<i8>(at, offsetof<DepthwiseRecord>('actMax'))
  const q = i8x16.min_s(i8x16.max_s(i8x16.narrow_i16x8_s(a, b), min), max)
  v128.store64_lane(ya, q, 0)
  v128.store64_lane(yb, q, 1)
}

// @ts-ignore: decorator
@inline
function rowAt(r: DepthwiseRecord, iy: i32): usize {
  if (<u32>iy >= <u32>r.inRows) return r.zeroRow
  const slot = iy < r.inRing ? iy : iy % r.inRing
  return r.input + slot * r.inRowStride
}

export function depthwise3x3(record: usize, y0: i32, y1: i32): void {
  if (!ASC_FEATURE_SIMD) return
  const r = changetype<DepthwiseRecord>(record)
  const outW = r.outW, stride = r.strideH, wide = r.strideW == 1
  for (let y = y0; y < y1; y++) {
    const iy = y * stride - r.padTop
    const p0 = rowAt(r, iy), p1 = rowAt(r, iy + 1), p2 = rowAt(r, iy + 2)
    const slot = y < r.outRing ? y : y % r.outRing
    const out: usize = r.output + slot * r.outRowStride
    let x = 0
    while (true) {
      const at = x * r.xStep
      if (wide) pair1(r, p0 + at, p1 + at, p2 + at, out + x * r.channels)
      else pair2(r, p0 + at, p1 + at, p2 + at, out + x * r.channels)
      x += 2
      if (x >= outW) break
      if (x > outW - 2) x = outW - 2
    }
  }
}
