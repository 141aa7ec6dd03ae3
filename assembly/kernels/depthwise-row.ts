/** What the depthwise kernels share. */
import { DepthwiseRecord } from '../layout'
import { requantize4 } from '../simd'

/** Eight i16 of `a` and `b` in turn: the first four of each, and the last four. */
// @ts-ignore: decorator
@inline
export function low(a: v128, b: v128): v128 {
  return v128.shuffle<i16>(a, b, 0, 8, 1, 9, 2, 10, 3, 11)
}
// @ts-ignore: decorator
@inline
export function high(a: v128, b: v128): v128 {
  return v128.shuffle<i16>(a, b, 4, 12, 5, 13, 6, 14, 7, 15)
}

/** Requantizes and clamps two pixels of eight channels. */
// @ts-ignore: decorator
@inline
export function finish(constants: usize, clamped: i32, scale: usize, l0: v128, h0: v128, l1: v128, h1: v128): v128 {
  const magic = v128.load(constants)
  const zero = v128.load(constants, 16)
  const s0 = v128.load(scale)
  const s1 = v128.load(scale, 16)
  const a = i16x8.narrow_i32x4_s(requantize4(l0, s0, magic, zero), requantize4(h0, s1, magic, zero))
  const b = i16x8.narrow_i32x4_s(requantize4(l1, s0, magic, zero), requantize4(h1, s1, magic, zero))
  const q = i8x16.narrow_i16x8_s(a, b)
  return clamped ? i8x16.min_s(i8x16.max_s(q, v128.load(constants, 32)), v128.load(constants, 48)) : q
}

/** acc + the dot products of four channels' tap pairs with their weights. */
// @ts-ignore: decorator
@inline
export function mac(acc: v128, pairs: v128, w: v128): v128 {
  return i32x4.add(acc, i32x4.dot_i16x8_s(pairs, w))
}

/** Row `ky` of the window of output row `oy`: outside the image it is the zero row. */
// @ts-ignore: decorator
@inline
export function rowAt(r: DepthwiseRecord, oy: i32, ky: i32): usize {
  const iy = oy * r.strideH - r.padTop + ky * r.dilationH
  if (<u32>iy >= <u32>r.inRows) return r.zeroRow
  return r.input + (iy < r.inRing ? iy : iy % r.inRing) * r.inRowStride
}

/**
 * Output rows [oy0, oy1), by the row functions of K, a class without fields: row1 with a horizontal stride of 1, else
 * row2, which K may lack. They compute `count` outputs that lie tapStep bytes apart from `y` on: a whole row, or with
 * dilation every dilationW-th output of it. p0..p4: rows of the window of the first one, as many as its `height`, 3 or
 * 5, says.
 */
// @ts-ignore: decorator
@inline
export function eachRow<K>(record: usize, oy0: i32, oy1: i32, height: i32): void {
  const r = changetype<DepthwiseRecord>(record)
  const rows = changetype<K>(0)
  const c = r.channels
  const apart = r.tapStep / c
  for (let oy = oy0; oy < oy1; oy++) {
    const p0 = rowAt(r, oy, 0)
    const p1 = rowAt(r, oy, 1)
    const p2 = rowAt(r, oy, 2)
    const p3 = height > 3 ? rowAt(r, oy, 3) : 0
    const p4 = height > 3 ? rowAt(r, oy, 4) : 0
    const y: usize = r.output + (oy < r.outRing ? oy : oy % r.outRing) * r.outRowStride
    for (let phase = 0; phase < min(apart, r.outW); phase++) {
      const at: usize = phase * c
      const count = (r.outW - phase + apart - 1) / apart
      if (isDefined(rows.row2) && r.strideW > 1) {
        rows.row2(r, p0 + at, p1 + at, p2 + at, p3 + at, p4 + at, y + at, count)
      } else rows.row1(r, p0 + at, p1 + at, p2 + at, p3 + at, p4 + at, y + at, count)
    }
  }
}
