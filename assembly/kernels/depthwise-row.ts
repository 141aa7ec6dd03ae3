/** What the depthwise 3x3 kernels share. */
import { DepthwiseRecord } from '../layout'
import { requantize4 } from '../simd'

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
