/**
 * GEMM form 9, 4x16c4: four pixels by sixteen channels, four k a step, i32x4.relaxed_dot_i8x16_i7x16_add_s. For engines
 * whose relaxed dot product takes both operands as signed, best as one instruction (arm64 sdot); the host proves it by
 * value before it plans this form (src/kernels/kernels.ts). In the relaxed binary only.
 *
 * Shapes: pixel rows [K] i8 (the input itself where a patch is contiguous), weights [N/16][K/4][16][4] i8 zero-padded,
 * bias and scale sixteen a panel.
 * Requires: no two weights 2i and 2i + 1 both -128: before it optimizes, an engine may add two products in 16 bits.
 * Reads past the end of a pixel's row: 0..3 bytes, times zero weights.
 */
import { ConvRecord } from '../layout'
import { requantize4 } from '../simd'
import { correct, tileCorrection, tileIn, tileOut } from './tile'

// @ts-ignore: decorator
@inline
function dot(w: v128, x: v128, acc: v128): v128 {
  return i32x4.relaxed_dot_i8x16_i7x16_add_s(w, x, acc)
}

/** Requantizes and clamps sixteen channels. */
// @ts-ignore: decorator
@inline
function finish16(
  constants: usize,
  c0: v128,
  c1: v128,
  c2: v128,
  c3: v128,
  s0: v128,
  s1: v128,
  s2: v128,
  s3: v128,
): v128 {
  const magic = v128.load(constants)
  const zero = v128.load(constants, 16)
  const h0 = i16x8.narrow_i32x4_s(requantize4(c0, s0, magic, zero), requantize4(c1, s1, magic, zero))
  const h1 = i16x8.narrow_i32x4_s(requantize4(c2, s2, magic, zero), requantize4(c3, s3, magic, zero))
  return i8x16.min_s(i8x16.max_s(i8x16.narrow_i16x8_s(h0, h1), v128.load(constants, 32)), v128.load(constants, 48))
}

/** Four rows at x0..x3 against all weights. y0..y3: where their outputs go. */
function multiply(
  r: ConvRecord,
  x0: usize,
  x1: usize,
  x2: usize,
  x3: usize,
  y0: usize,
  y1: usize,
  y2: usize,
  y3: usize,
): void {
  const tile: usize = r.scratch
  const last = r.outC - 16
  const constants: usize = r.constants
  const k: usize = r.rowBytes
  let w: usize = r.weights
  let bias: usize = r.bias
  let scale: usize = r.scale
  let n = 0
  while (true) {
    const b0 = v128.load(bias)
    const b1 = v128.load(bias, 16)
    const b2 = v128.load(bias, 32)
    const b3 = v128.load(bias, 48)
    const v0 = tileCorrection(tile, 0)
    const v1 = tileCorrection(tile, 1)
    const v2 = tileCorrection(tile, 2)
    const v3 = tileCorrection(tile, 3)
    let c00 = i32x4.sub(b0, v0)
    let c01 = i32x4.sub(b1, v0)
    let c02 = i32x4.sub(b2, v0)
    let c03 = i32x4.sub(b3, v0)
    let c10 = i32x4.sub(b0, v1)
    let c11 = i32x4.sub(b1, v1)
    let c12 = i32x4.sub(b2, v1)
    let c13 = i32x4.sub(b3, v1)
    let c20 = i32x4.sub(b0, v2)
    let c21 = i32x4.sub(b1, v2)
    let c22 = i32x4.sub(b2, v2)
    let c23 = i32x4.sub(b3, v2)
    let c30 = i32x4.sub(b0, v3)
    let c31 = i32x4.sub(b1, v3)
    let c32 = i32x4.sub(b2, v3)
    let c33 = i32x4.sub(b3, v3)
    let i: usize = 0
    do {
      const p = w + (i << 4)
      const w0 = v128.load(p)
      const w1 = v128.load(p, 16)
      const w2 = v128.load(p, 32)
      const w3 = v128.load(p, 48)
      const a0 = v128.load_splat<i32>(x0 + i)
      c00 = dot(w0, a0, c00)
      c01 = dot(w1, a0, c01)
      c02 = dot(w2, a0, c02)
      c03 = dot(w3, a0, c03)
      const a1 = v128.load_splat<i32>(x1 + i)
      c10 = dot(w0, a1, c10)
      c11 = dot(w1, a1, c11)
      c12 = dot(w2, a1, c12)
      c13 = dot(w3, a1, c13)
      const a2 = v128.load_splat<i32>(x2 + i)
      c20 = dot(w0, a2, c20)
      c21 = dot(w1, a2, c21)
      c22 = dot(w2, a2, c22)
      c23 = dot(w3, a2, c23)
      const a3 = v128.load_splat<i32>(x3 + i)
      c30 = dot(w0, a3, c30)
      c31 = dot(w1, a3, c31)
      c32 = dot(w2, a3, c32)
      c33 = dot(w3, a3, c33)
      i += 4
    } while (i < k)
    const s0 = v128.load(scale)
    const s1 = v128.load(scale, 16)
    const s2 = v128.load(scale, 32)
    const s3 = v128.load(scale, 48)
    v128.store(y0 + n, finish16(constants, c00, c01, c02, c03, s0, s1, s2, s3))
    v128.store(y1 + n, finish16(constants, c10, c11, c12, c13, s0, s1, s2, s3))
    v128.store(y2 + n, finish16(constants, c20, c21, c22, c23, s0, s1, s2, s3))
    v128.store(y3 + n, finish16(constants, c30, c31, c32, c33, s0, s1, s2, s3))
    if (n >= last) break
    n += 16
    if (n > last) n = last
    w += k << 4
    bias += 64
    scale += 64
  }
}

/**
 * Pointwise convolution of `tiles` x 4 pixels that lie xStep bytes apart from `from` on, their outputs outPixelStride
 * bytes apart from `to` on; no tiles: the one tile that the driver has described in scratch.
 */
export function gemm4x16c4(r: ConvRecord, from: usize, to: usize, tiles: i32): void {
  if (!ASC_FEATURE_RELAXED_SIMD) return
  if (tiles == 0) {
    const tile: usize = r.scratch
    multiply(
      r,
      tileIn(tile, 0),
      tileIn(tile, 1),
      tileIn(tile, 2),
      tileIn(tile, 3),
      tileOut(tile, 0),
      tileOut(tile, 1),
      tileOut(tile, 2),
      tileOut(tile, 3),
    )
    return
  }
  const inStep: usize = r.xStep
  const outStep: usize = r.outPixelStride
  const bytes = r.segmentBytes
  do {
    const x1 = from + inStep
    const x2 = x1 + inStep
    const x3 = x2 + inStep
    correct(r, 0, from, bytes)
    correct(r, 1, x1, bytes)
    correct(r, 2, x2, bytes)
    correct(r, 3, x3, bytes)
    multiply(r, from, x1, x2, x3, to, to + outStep, to + 2 * outStep, to + 3 * outStep)
    from += 4 * inStep
    to += 4 * outStep
  } while (--tiles)
}
