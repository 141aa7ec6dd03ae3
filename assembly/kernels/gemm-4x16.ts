/**
 * GEMM form 10, 4x16: four pixels by sixteen channels, dot_i16x8 on activations broadcast from memory. Written for V8's
 * revectorizer, which turns pairs of vectors into one of 256 bits: neighbouring vectors c0 c1 and c2 c3 of a pixel lie next
 * to each other in memory and take part in the same operations, and the last narrowing, of two narrowings, is what it
 * starts to pair from. Without it sixteen accumulators spill. In the fast binary only.
 *
 * Shapes: panel [K/2][4 pixels][2] i16 as for form 0, weights [N/16][K/2][16][2] i16, bias and scale sixteen a panel.
 */
import { ConvRecord, TILE_BYTES } from '../layout'
import { requantize4 } from '../simd'
import { pack4 } from './gemm-4x8'
import { tileOut } from './tile'

/** Requantizes and clamps sixteen channels. */
// @ts-ignore: decorator
@inline
export function finish16(constants: usize, scale: usize, c0: v128, c1: v128, c2: v128, c3: v128): v128 {
  const magic = v128.load(constants), zero = v128.load(constants, 16)
  const q0 = requantize4(c0, v128.load(scale), magic, zero), q1 = requantize4(c1, v128.load(scale, 16), magic, zero)
  const q2 = requantize4(c2, v128.load(scale, 32), magic, zero), q3 = requantize4(c3, v128.load(scale, 48), magic, zero)
  // Halves of the pairs together, then back in order.
  const q = i8x16.narrow_i16x8_s(i16x8.narrow_i32x4_s(q0, q2), i16x8.narrow_i32x4_s(q1, q3))
  return i8x16.min_s(i8x16.max_s(v128.shuffle<i32>(q, q, 0, 2, 1, 3), v128.load(constants, 32)), v128.load(constants, 48))
}

// @ts-ignore: decorator
@inline
function mac(c: v128, a: v128, w: v128): v128 {
  return i32x4.add(c, i32x4.dot_i16x8_s(a, w))
}

/** A packed panel against all weights. y0..y3: where the four pixels' outputs go. */
function multiply(r: ConvRecord, panel: usize, y0: usize, y1: usize, y2: usize, y3: usize): void {
  const panelEnd = panel + r.panelBytes
  const last = r.outC - 16, constants: usize = r.constants
  let w: usize = r.weights, bias: usize = r.bias, scale: usize = r.scale
  let n = 0
  while (true) {
    const b0 = v128.load(bias), b1 = v128.load(bias, 16), b2 = v128.load(bias, 32), b3 = v128.load(bias, 48)
    let c00 = b0, c01 = b1, c02 = b2, c03 = b3
    let c10 = b0, c11 = b1, c12 = b2, c13 = b3
    let c20 = b0, c21 = b1, c22 = b2, c23 = b3
    let c30 = b0, c31 = b1, c32 = b2, c33 = b3
    let a = panel
    do {
      const w0 = v128.load(w), w1 = v128.load(w, 16), w2 = v128.load(w, 32), w3 = v128.load(w, 48)
      const a0 = v128.load_splat<i32>(a)
      c00 = mac(c00, a0, w0)
      c01 = mac(c01, a0, w1)
      c02 = mac(c02, a0, w2)
      c03 = mac(c03, a0, w3)
      const a1 = v128.load_splat<i32>(a, 4)
      c10 = mac(c10, a1, w0)
      c11 = mac(c11, a1, w1)
      c12 = mac(c12, a1, w2)
      c13 = mac(c13, a1, w3)
      const a2 = v128.load_splat<i32>(a, 8)
      c20 = mac(c20, a2, w0)
      c21 = mac(c21, a2, w1)
      c22 = mac(c22, a2, w2)
      c23 = mac(c23, a2, w3)
      const a3 = v128.load_splat<i32>(a, 12)
      c30 = mac(c30, a3, w0)
      c31 = mac(c31, a3, w1)
      c32 = mac(c32, a3, w2)
      c33 = mac(c33, a3, w3)
      w += 64
      a += 16
    } while (a < panelEnd)
    v128.store(y0 + n, finish16(constants, scale, c00, c01, c02, c03))
    v128.store(y1 + n, finish16(constants, scale, c10, c11, c12, c13))
    v128.store(y2 + n, finish16(constants, scale, c20, c21, c22, c23))
    v128.store(y3 + n, finish16(constants, scale, c30, c31, c32, c33))
    if (n >= last) break
    n += 16
    if (n > last) n = last
    bias += 64
    scale += 64
  }
}

/**
 * Pointwise convolution of `tiles` x 4 pixels that lie xStep bytes apart from `from` on, their outputs outPixelStride bytes
 * apart from `to` on; no tiles: the one tile that the driver has described in scratch.
 */
export function gemm4x16(r: ConvRecord, from: usize, to: usize, tiles: i32): void {
  if (tiles == 0) {
    const tile: usize = r.scratch
    multiply(r, tile + TILE_BYTES, tileOut(tile, 0), tileOut(tile, 1), tileOut(tile, 2), tileOut(tile, 3))
    return
  }
  const panel: usize = r.scratch + TILE_BYTES, bytes: usize = r.segmentBytes
  const inStep: usize = r.xStep, outStep: usize = r.outPixelStride
  do {
    pack4(panel, from, from + inStep, from + 2 * inStep, from + 3 * inStep, bytes)
    multiply(r, panel, to, to + outStep, to + 2 * outStep, to + 3 * outStep)
    from += 4 * inStep
    to += 4 * outStep
  } while (--tiles)
}
