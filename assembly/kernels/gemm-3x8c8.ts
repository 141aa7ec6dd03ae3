/**
 * GEMM form 8, 3x8c8: three pixels by eight channels, eight k a step: products of 8-bit values, two of which are added
 * in 16 bits, then pairwise into 32. For arm64, where V8 makes of it smull2, smlal and sadalp: three instructions for
 * sixteen multiply-adds.
 *
 * Shapes: pixel rows [K] i8 (the input itself where a patch is contiguous), weights [N/8][K/8][64] i8, zero-padded, in
 * the order that src/lower/pack.ts draws; bias and scale eight a panel.
 * Requires: no two weights k and k + 4 of eight both -128 (the sum of two products of -128 leaves 16 bits).
 * Reads past the end of a pixel's row: 0..7 bytes, times zero weights.
 */
import { ConvRecord } from '../layout'
import { requantize4 } from '../simd'
import { correct, tileCorrection, tileIn, tileOut } from './tile'

/** acc + pairwise sums of low(a) * x + low(b) * y. */
// @ts-ignore: decorator
@inline
function low(acc: v128, a: v128, x: v128, b: v128, y: v128): v128 {
  return i32x4.add(
    acc,
    i32x4.extadd_pairwise_i16x8_s(i16x8.add(i16x8.extmul_low_i8x16_s(a, x), i16x8.extmul_low_i8x16_s(b, y))),
  )
}
// @ts-ignore: decorator
@inline
function high(acc: v128, a: v128, x: v128, b: v128, y: v128): v128 {
  return i32x4.add(
    acc,
    i32x4.extadd_pairwise_i16x8_s(i16x8.add(i16x8.extmul_high_i8x16_s(a, x), i16x8.extmul_high_i8x16_s(b, y))),
  )
}

/** Sum of both halves' sums: the high half's channels are in swapped order. */
// @ts-ignore: decorator
@inline
function join(l: v128, h: v128): v128 {
  return i32x4.add(l, v128.shuffle<i32>(h, h, 1, 0, 3, 2))
}

/** Eight channels requantized to i16. */
// @ts-ignore: decorator
@inline
function requantize8(constants: usize, c0: v128, c1: v128, scale0: v128, scale1: v128): v128 {
  const magic = v128.load(constants)
  const zero = v128.load(constants, 16)
  return i16x8.narrow_i32x4_s(requantize4(c0, scale0, magic, zero), requantize4(c1, scale1, magic, zero))
}

/** Three rows at x0..x2 against all weights. y0..y2: where their outputs go. */
function multiply(r: ConvRecord, x0: usize, x1: usize, x2: usize, y0: usize, y1: usize, y2: usize): void {
  const tile: usize = r.scratch
  const last = r.outC - 8
  const constants: usize = r.constants
  const k: usize = r.rowBytes
  let w: usize = r.weights
  let bias: usize = r.bias
  let scale: usize = r.scale
  let n = 0
  while (true) {
    const bias0 = v128.load(bias)
    const bias1 = v128.load(bias, 16)
    const none = i32x4.splat(0)
    const v0 = tileCorrection(tile, 0)
    const v1 = tileCorrection(tile, 1)
    const v2 = tileCorrection(tile, 2)
    let l00 = i32x4.sub(bias0, v0)
    let h00 = none
    let l01 = i32x4.sub(bias1, v0)
    let h01 = none
    let l10 = i32x4.sub(bias0, v1)
    let h10 = none
    let l11 = i32x4.sub(bias1, v1)
    let h11 = none
    let l20 = i32x4.sub(bias0, v2)
    let h20 = none
    let l21 = i32x4.sub(bias1, v2)
    let h21 = none
    let i: usize = 0
    do {
      const p = w + (i << 3)
      const a0 = v128.load(p)
      const b0 = v128.load(p, 16)
      const a1 = v128.load(p, 32)
      const b1 = v128.load(p, 48)
      let v = v128.load64_zero(x0 + i)
      let x = v128.shuffle<i32>(v, v, 0, 0, 0, 0)
      let y = v128.shuffle<i32>(v, v, 1, 1, 1, 1)
      l00 = low(l00, a0, x, b0, y)
      h00 = high(h00, a0, x, b0, y)
      l01 = low(l01, a1, x, b1, y)
      h01 = high(h01, a1, x, b1, y)
      v = v128.load64_zero(x1 + i)
      x = v128.shuffle<i32>(v, v, 0, 0, 0, 0)
      y = v128.shuffle<i32>(v, v, 1, 1, 1, 1)
      l10 = low(l10, a0, x, b0, y)
      h10 = high(h10, a0, x, b0, y)
      l11 = low(l11, a1, x, b1, y)
      h11 = high(h11, a1, x, b1, y)
      v = v128.load64_zero(x2 + i)
      x = v128.shuffle<i32>(v, v, 0, 0, 0, 0)
      y = v128.shuffle<i32>(v, v, 1, 1, 1, 1)
      l20 = low(l20, a0, x, b0, y)
      h20 = high(h20, a0, x, b0, y)
      l21 = low(l21, a1, x, b1, y)
      h21 = high(h21, a1, x, b1, y)
      i += 8
    } while (i < k)
    const scale0 = v128.load(scale)
    const scale1 = v128.load(scale, 16)
    const q0 = requantize8(constants, join(l00, h00), join(l01, h01), scale0, scale1)
    const q1 = requantize8(constants, join(l10, h10), join(l11, h11), scale0, scale1)
    const q2 = requantize8(constants, join(l20, h20), join(l21, h21), scale0, scale1)
    const min = v128.load(constants, 32)
    const max = v128.load(constants, 48)
    const q01 = i8x16.min_s(i8x16.max_s(i8x16.narrow_i16x8_s(q0, q1), min), max)
    const q22 = i8x16.min_s(i8x16.max_s(i8x16.narrow_i16x8_s(q2, q2), min), max)
    v128.store64_lane(y0 + n, q01, 0)
    v128.store64_lane(y1 + n, q01, 1)
    v128.store64_lane(y2 + n, q22, 0)
    if (n >= last) break
    n += 8
    if (n > last) n = last
    w += k << 3
    bias += 32
    scale += 32
  }
}

/**
 * Pointwise convolution of `tiles` x 3 pixels that lie xStep bytes apart from `from` on, their outputs outPixelStride
 * bytes apart from `to` on; no tiles: the one tile that the driver has described in scratch.
 */
export function gemm3x8c8(r: ConvRecord, from: usize, to: usize, tiles: i32): void {
  if (!ASC_FEATURE_SIMD) return
  if (tiles == 0) {
    const tile: usize = r.scratch
    multiply(r, tileIn(tile, 0), tileIn(tile, 1), tileIn(tile, 2), tileOut(tile, 0), tileOut(tile, 1), tileOut(tile, 2))
    return
  }
  const inStep: usize = r.xStep
  const outStep: usize = r.outPixelStride
  const bytes = r.segmentBytes
  do {
    const x1 = from + inStep
    const x2 = x1 + inStep
    correct(r, 0, from, bytes)
    correct(r, 1, x1, bytes)
    correct(r, 2, x2, bytes)
    multiply(r, from, x1, x2, to, to + outStep, to + 2 * outStep)
    from += 3 * inStep
    to += 3 * outStep
  } while (--tiles)
}
