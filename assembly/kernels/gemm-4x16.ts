/**
 * GEMM form 10, 4x16: four pixels by sixteen channels, dot_i16x8 on activations broadcast from memory. Written for V8's
 * revectorizer, which turns pairs of vectors into one of 256 bits: neighbouring vectors c0 c1 and c2 c3 of a pixel lie next
 * to each other in memory and take part in the same operations, and the last narrowing, of two narrowings, is what it
 * starts to pair from. Without it sixteen accumulators spill. In the fast binary only.
 *
 * Shapes: panel [K/2][4 pixels][2] i16 as for form 0, weights [N/16][K/2][16][2] i16, bias and scale sixteen a panel.
 */
import { ConvRecord, GEMM_BATCH, GEMM_BATCH_BYTES, TILE_BYTES } from '../layout'
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

/** One packed tile against one panel of weights. y0..y3: where the four pixels' sixteen channels go. */
// @ts-ignore: decorator
@inline
function block(constants: usize, panel: usize, panelEnd: usize, w: usize, bias: usize, scale: usize, y0: usize, y1: usize, y2: usize, y3: usize): void {
  const b0 = v128.load(bias), b1 = v128.load(bias, 16), b2 = v128.load(bias, 32), b3 = v128.load(bias, 48)
  let c00 = b0, c01 = b1, c02 = b2, c03 = b3
  let c10 = b0, c11 = b1, c12 = b2, c13 = b3
  let c20 = b0, c21 = b1, c22 = b2, c23 = b3
  let c30 = b0, c31 = b1, c32 = b2, c33 = b3
  do {
    const w0 = v128.load(w), w1 = v128.load(w, 16), w2 = v128.load(w, 32), w3 = v128.load(w, 48)
    const a0 = v128.load_splat<i32>(panel)
    c00 = mac(c00, a0, w0)
    c01 = mac(c01, a0, w1)
    c02 = mac(c02, a0, w2)
    c03 = mac(c03, a0, w3)
    const a1 = v128.load_splat<i32>(panel, 4)
    c10 = mac(c10, a1, w0)
    c11 = mac(c11, a1, w1)
    c12 = mac(c12, a1, w2)
    c13 = mac(c13, a1, w3)
    const a2 = v128.load_splat<i32>(panel, 8)
    c20 = mac(c20, a2, w0)
    c21 = mac(c21, a2, w1)
    c22 = mac(c22, a2, w2)
    c23 = mac(c23, a2, w3)
    const a3 = v128.load_splat<i32>(panel, 12)
    c30 = mac(c30, a3, w0)
    c31 = mac(c31, a3, w1)
    c32 = mac(c32, a3, w2)
    c33 = mac(c33, a3, w3)
    w += 64
    panel += 16
  } while (panel < panelEnd)
  // All before the first store, so that what they share is loaded once.
  const q0 = finish16(constants, scale, c00, c01, c02, c03), q1 = finish16(constants, scale, c10, c11, c12, c13)
  const q2 = finish16(constants, scale, c20, c21, c22, c23), q3 = finish16(constants, scale, c30, c31, c32, c33)
  v128.store(y0, q0)
  v128.store(y1, q1)
  v128.store(y2, q2)
  v128.store(y3, q3)
}

/** One packed tile against all weights. y0..y3: where the four pixels' outputs go. */
function multiply(r: ConvRecord, panel: usize, y0: usize, y1: usize, y2: usize, y3: usize): void {
  const panelBytes: usize = r.panelBytes, last = r.outC - 16, constants: usize = r.constants
  let w: usize = r.weights, bias: usize = r.bias, scale: usize = r.scale
  let n = 0
  while (true) {
    block(constants, panel, panel + panelBytes, w, bias, scale, y0 + n, y1 + n, y2 + n, y3 + n)
    if (n >= last) break
    n += 16
    if (n > last) n = last
    w += panelBytes << 2
    bias += 64
    scale += 64
  }
}

/** `tiles` packed tiles against all weights, one panel of weights at a time: they come from far where K is large. */
function multiplyTiles(r: ConvRecord, panel: usize, tiles: i32, y: usize): void {
  const panelBytes: usize = r.panelBytes, last = r.outC - 16, constants: usize = r.constants, step: usize = r.outPixelStride
  let w: usize = r.weights, bias: usize = r.bias, scale: usize = r.scale
  let n = 0
  while (true) {
    let p = panel, to = y + n
    for (let t = tiles; t; t--) {
      const y2 = to + 2 * step
      block(constants, p, p + panelBytes, w, bias, scale, to, to + step, y2, y2 + step)
      p += panelBytes
      to += 4 * step
    }
    if (n >= last) break
    n += 16
    if (n > last) n = last
    w += panelBytes << 2
    bias += 64
    scale += 64
  }
}

/**
 * Pointwise convolution of `tiles` x 4 pixels that lie xStep bytes apart from `from` on, their outputs outPixelStride bytes
 * apart from `to` on; no tiles: the one tile that the driver has described in scratch. Panels of GEMM_BATCH_BYTES and more
 * are packed GEMM_BATCH at a time.
 */
export function gemm4x16(r: ConvRecord, from: usize, to: usize, tiles: i32): void {
  if (tiles == 0) {
    const tile: usize = r.scratch
    multiply(r, tile + TILE_BYTES, tileOut(tile, 0), tileOut(tile, 1), tileOut(tile, 2), tileOut(tile, 3))
    return
  }
  const panels: usize = r.scratch + TILE_BYTES, bytes: usize = r.segmentBytes
  const inStep: usize = r.xStep, outStep: usize = r.outPixelStride
  const most = r.panelBytes < GEMM_BATCH_BYTES ? 1 : GEMM_BATCH
  do {
    const batch = min(tiles, most)
    let panel = panels
    for (let t = batch; t; t--) {
      pack4(panel, from, from + inStep, from + 2 * inStep, from + 3 * inStep, bytes)
      panel += r.panelBytes
      from += 4 * inStep
    }
    if (batch == 1) multiply(r, panels, to, to + outStep, to + 2 * outStep, to + 3 * outStep)
    else multiplyTiles(r, panels, batch, to)
    to += <usize>batch * 4 * outStep
    tiles -= batch
  } while (tiles)
}
