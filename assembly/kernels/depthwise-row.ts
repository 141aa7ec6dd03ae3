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
  const magic = v128.load(constants), zero = v128.load(constants, 16)
  const s0 = v128.load(scale), s1 = v128.load(scale, 16)
  const a = i16x8.narrow_i32x4_s(requantize4(l0, s0, magic, zero), requantize4(h0, s1, magic, zero))
  const b = i16x8.narrow_i32x4_s(requantize4(l1, s0, magic, zero), requantize4(h1, s1, magic, zero))
  const q = i8x16.narrow_i16x8_s(a, b)
  return clamped ? i8x16.min_s(i8x16.max_s(q, v128.load(constants, 32)), v128.load(constants, 48)) : q
}

/** Address of input row `iy`, or the zero row outside the image. */
// @ts-ignore: decorator
@inline
export function rowAt(r: DepthwiseRecord, iy: i32): usize {
  if (<u32>iy >= <u32>r.inRows) return r.zeroRow
  const slot = iy < r.inRing ? iy : iy % r.inRing
  return r.input + slot * r.inRowStride
}

/**
 * Output rows [y0, y1) of a 3x3 kernel by the row functions of K, a class without fields: row1 for `count` outputs of stride
 * 1 that lie tapStep bytes apart, row2 for a row of stride 2. They get the window's rows at, and the address of, the first
 * output.
 */
// @ts-ignore: decorator
@inline
export function eachRow<K>(record: usize, y0: i32, y1: i32): void {
  const r = changetype<DepthwiseRecord>(record), rows = changetype<K>(0)
  const wide = r.strideW == 1, c = r.channels
  for (let y = y0; y < y1; y++) {
    const iy = y * r.strideH - r.padTop
    const p0 = rowAt(r, iy), p1 = rowAt(r, iy + r.dilationH), p2 = rowAt(r, iy + 2 * r.dilationH)
    const slot = y < r.outRing ? y : y % r.outRing
    const out: usize = r.output + slot * r.outRowStride
    if (!wide) {
      rows.row2(r, p0, p1, p2, out)
      continue
    }
    const apart = r.tapStep / c
    for (let phase = 0; phase < min(apart, r.outW); phase++) {
      const at: usize = phase * c
      rows.row1(r, p0 + at, p1 + at, p2 + at, out + at, (r.outW - phase + apart - 1) / apart)
    }
  }
}
