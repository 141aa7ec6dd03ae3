/**
 * GEMM form 0, 4x8: four pixels by eight channels, dot_i16x8 on activations broadcast from memory. The best single choice
 * for V8 on x86: eight accumulators and at most six loads live, so that no engine spills.
 *
 * Shapes: panel [K/2][4 pixels][2] i16, weights [N/8][K/2][8][2] i16, bias and scale eight a panel. K >= 3.
 * Form 12 loads four pixels' activations at once and broadcasts by shuffles: for engines that make a splat of a load out of a
 * scalar one (Cranelift). Form 11 keeps the weights as int8, their zero point included and as padding, and widens them as it loads them: half the
 * memory for a few percent of the time. What the zero point adds to a pixel's sums is taken off at the end.
 */
import { ConvRecord, TILE_BYTES } from '../layout'
import { finish4x8 } from '../simd'
import { TILE_CORRECTION, tileCorrection, tileIn, tileOut } from './tile'

/** Packs `bytes` int8 of four rows to [k/2][4][2] i16, eight k a step. */
// @ts-ignore: decorator
@inline
export function pack4(panel: usize, p0: usize, p1: usize, p2: usize, p3: usize, bytes: usize): void {
  let q: usize = 0
  do {
    const a0 = v128.load_ext<i8>(p0 + q), a1 = v128.load_ext<i8>(p1 + q)
    const a2 = v128.load_ext<i8>(p2 + q), a3 = v128.load_ext<i8>(p3 + q)
    const t0 = v128.shuffle<i32>(a0, a1, 0, 4, 1, 5), t1 = v128.shuffle<i32>(a2, a3, 0, 4, 1, 5)
    const t2 = v128.shuffle<i32>(a0, a1, 2, 6, 3, 7), t3 = v128.shuffle<i32>(a2, a3, 2, 6, 3, 7)
    v128.store(panel, v128.shuffle<i64>(t0, t1, 0, 2))
    v128.store(panel, v128.shuffle<i64>(t0, t1, 1, 3), 16)
    v128.store(panel, v128.shuffle<i64>(t2, t3, 0, 2), 32)
    v128.store(panel, v128.shuffle<i64>(t2, t3, 1, 3), 48)
    panel += 64
    q += 8
  } while (q < bytes)
}

/** A pair of weights of channels 0-3 at `w`, and of channels 4-7, as i16. */
// @ts-ignore: decorator
@inline
function low<W>(w: usize): v128 {
  return sizeof<W>() == 1 ? v128.load_ext<i8>(w) : v128.load(w)
}
// @ts-ignore: decorator
@inline
function high<W>(w: usize): v128 {
  return sizeof<W>() == 1 ? v128.load_ext<i8>(w, 8) : v128.load(w, 16)
}

/** The pair of activations of one of four pixels in every lane; from memory, or with B = v128 from `four`, loaded before. */
// @ts-ignore: decorator
@inline
function four<B>(a: usize): v128 {
  return sizeof<B>() == 16 ? v128.load(a) : i32x4.splat(0)
}
// @ts-ignore: decorator
@inline
function pixel0<B>(a: usize, x: v128): v128 {
  return sizeof<B>() == 16 ? v128.shuffle<i32>(x, x, 0, 0, 0, 0) : v128.load_splat<i32>(a)
}
// @ts-ignore: decorator
@inline
function pixel1<B>(a: usize, x: v128): v128 {
  return sizeof<B>() == 16 ? v128.shuffle<i32>(x, x, 1, 1, 1, 1) : v128.load_splat<i32>(a, 4)
}
// @ts-ignore: decorator
@inline
function pixel2<B>(a: usize, x: v128): v128 {
  return sizeof<B>() == 16 ? v128.shuffle<i32>(x, x, 2, 2, 2, 2) : v128.load_splat<i32>(a, 8)
}
// @ts-ignore: decorator
@inline
function pixel3<B>(a: usize, x: v128): v128 {
  return sizeof<B>() == 16 ? v128.shuffle<i32>(x, x, 3, 3, 3, 3) : v128.load_splat<i32>(a, 12)
}

/** Weight zero point times the sum of each pixel's patch, to the tile. */
function correctPanel(tile: usize, panel: usize, panelEnd: usize, zero: i32): void {
  const ones = i16x8.splat(1)
  let sum = i32x4.splat(0)
  for (; panel < panelEnd; panel += 16) sum = i32x4.add(sum, i32x4.dot_i16x8_s(v128.load(panel), ones))
  v128.store(tile, i32x4.mul(sum, i32x4.splat(zero)), TILE_CORRECTION)
}

/** A packed panel against all weights, which lie in memory as W; activations are broadcast by way of B. y0..y3: where the four pixels' outputs go. */
function multiply<W, B>(r: ConvRecord, panel: usize, y0: usize, y1: usize, y2: usize, y3: usize): void {
  const panelEnd = panel + r.panelBytes
  const last = r.outC - 8, constants: usize = r.constants, clamped = r.clamped
  const tile: usize = r.scratch, zero: i32 = sizeof<W>() == 1 ? r.weightZeroPoint : 0
  if (sizeof<W>() == 1) {
    if (zero) correctPanel(tile, panel, panelEnd, zero)
  }
  let w: usize = r.weights, bias: usize = r.bias, scale: usize = r.scale
  let n = 0
  while (true) {
    const b0 = v128.load(bias), b1 = v128.load(bias, 16)
    const g0 = low<W>(w), g1 = high<W>(w)
    // The first step apart: it adds to the bias, so that no accumulator is copied.
    const f = four<B>(panel), f0 = pixel0<B>(panel, f), f1 = pixel1<B>(panel, f)
    let c00 = i32x4.add(b0, i32x4.dot_i16x8_s(f0, g0)), c01 = i32x4.add(b1, i32x4.dot_i16x8_s(f0, g1))
    let c10 = i32x4.add(b0, i32x4.dot_i16x8_s(f1, g0)), c11 = i32x4.add(b1, i32x4.dot_i16x8_s(f1, g1))
    const f2 = pixel2<B>(panel, f), f3 = pixel3<B>(panel, f)
    let c20 = i32x4.add(b0, i32x4.dot_i16x8_s(f2, g0)), c21 = i32x4.add(b1, i32x4.dot_i16x8_s(f2, g1))
    let c30 = i32x4.add(b0, i32x4.dot_i16x8_s(f3, g0)), c31 = i32x4.add(b1, i32x4.dot_i16x8_s(f3, g1))
    w += sizeof<W>() << 4
    let a = panel + 16
    do {
      const x = four<B>(a), w0 = low<W>(w), w1 = high<W>(w)
      const a0 = pixel0<B>(a, x)
      c00 = i32x4.add(c00, i32x4.dot_i16x8_s(a0, w0))
      c01 = i32x4.add(c01, i32x4.dot_i16x8_s(a0, w1))
      const a1 = pixel1<B>(a, x)
      c10 = i32x4.add(c10, i32x4.dot_i16x8_s(a1, w0))
      c11 = i32x4.add(c11, i32x4.dot_i16x8_s(a1, w1))
      const a2 = pixel2<B>(a, x)
      c20 = i32x4.add(c20, i32x4.dot_i16x8_s(a2, w0))
      c21 = i32x4.add(c21, i32x4.dot_i16x8_s(a2, w1))
      const a3 = pixel3<B>(a, x)
      c30 = i32x4.add(c30, i32x4.dot_i16x8_s(a3, w0))
      c31 = i32x4.add(c31, i32x4.dot_i16x8_s(a3, w1))
      w += sizeof<W>() << 4
      a += 16
    } while (a < panelEnd)
    if (sizeof<W>() == 1) {
      if (zero) {
        const v0 = tileCorrection(tile, 0), v1 = tileCorrection(tile, 1), v2 = tileCorrection(tile, 2), v3 = tileCorrection(tile, 3)
        c00 = i32x4.sub(c00, v0), c01 = i32x4.sub(c01, v0), c10 = i32x4.sub(c10, v1), c11 = i32x4.sub(c11, v1)
        c20 = i32x4.sub(c20, v2), c21 = i32x4.sub(c21, v2), c30 = i32x4.sub(c30, v3), c31 = i32x4.sub(c31, v3)
      }
    }
    finish4x8(constants, clamped, scale, y0 + n, y1 + n, y2 + n, y3 + n, c00, c01, c10, c11, c20, c21, c30, c31)
    if (n >= last) break
    n += 8
    if (n > last) n = last
    bias += 32
    scale += 32
  }
}

/** Packs `bytes` int8 of the tile's rows, from byte `at` of each. */
export function pack4x8(tile: usize, panel: usize, at: usize, bytes: i32): void {
  pack4(panel, tileIn(tile, 0) + at, tileIn(tile, 1) + at, tileIn(tile, 2) + at, tileIn(tile, 3) + at, bytes)
}

/**
 * Pointwise convolution of `tiles` x 4 pixels that lie xStep bytes apart from `from` on, their outputs outPixelStride bytes
 * apart from `to` on; no tiles: the one tile that the driver has described in scratch.
 */
// @ts-ignore: decorator
@inline
function gemm<W, B>(r: ConvRecord, from: usize, to: usize, tiles: i32): void {
  if (tiles == 0) {
    const tile: usize = r.scratch
    multiply<W, B>(r, tile + TILE_BYTES, tileOut(tile, 0), tileOut(tile, 1), tileOut(tile, 2), tileOut(tile, 3))
    return
  }
  const panel: usize = r.scratch + TILE_BYTES, bytes: usize = r.segmentBytes
  const inStep: usize = r.xStep, outStep: usize = r.outPixelStride
  do {
    pack4(panel, from, from + inStep, from + 2 * inStep, from + 3 * inStep, bytes)
    multiply<W, B>(r, panel, to, to + outStep, to + 2 * outStep, to + 3 * outStep)
    from += 4 * inStep
    to += 4 * outStep
  } while (--tiles)
}

export function gemm4x8(r: ConvRecord, from: usize, to: usize, tiles: i32): void {
  if (ASC_FEATURE_SIMD) gemm<i16, i32>(r, from, to, tiles)
}

export function gemm4x8w8(r: ConvRecord, from: usize, to: usize, tiles: i32): void {
  if (ASC_FEATURE_SIMD) gemm<i8, i32>(r, from, to, tiles)
}

export function gemm4x8Shuffle(r: ConvRecord, from: usize, to: usize, tiles: i32): void {
  if (ASC_FEATURE_SIMD) gemm<i16, v128>(r, from, to, tiles)
}
