/**
 * Convolution 3x3 with stride 1 in integers as Winograd's F(2x2,3x3): 16 products for four output pixels where the plain
 * sum takes 36, and exactly the same sum.
 *
 *   4 Y = At [ (2G g 2Gt) . (Bt d B) ] A        . summed over input channels, d a window of 4x4 pixels, Y 2x2 pixels
 *
 * The halves of G are doubled, so everything is an integer: |Bt d B| <= 512, |2G g 2Gt| <= 9 * 255, both int16. Products
 * and sums wrap at 32 bits, which is harmless while 4 Y fits: the planner proves it from the weights of every layer. The
 * bias comes times four, the scale divided by four: the same float bit for bit.
 *
 * Shapes: input frame [inRows, W, C] i8 with its padding in place; output [rows, outW, outC] i8, outC >= NR. Weights
 * [N/NR][16 positions][pairs][NR][2] i16, pairs = ceil(C / 2), a channel past the last is zero; bias and scale NR a panel;
 * the last panel may overlap. NR: 8, and in the fast binary 16 too.
 * Requires: |acc * scale| <= 2^22, |4 acc| < 2^31. Reads past end: 0..15 bytes and one pixel of input. Writes: exactly
 * the output rows. SIMD only.
 *
 * Scratch: a group is four tiles of 2x2 pixels, in the order of rows.
 *
 *   0              columns of four windows, transformed downwards: up to 16 x [4 rows][8 channels] i16
 *   1024           zeros, the bias of all positions but one
 *   1088           per tile (TILE bytes): four input rows, four output pixels, first column above; 4 * batch of them
 *   then           per group: transformed windows [16 positions][pairs, a multiple of four][4 tiles][2] i16
 *   then           per group: products' sums [16 positions][4 tiles][NR] i32
 * Source of the transforms: Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, 2015.
 */
import { WinogradRecord } from '../layout'
import { FAST } from '../fast'
import { requantize4 } from '../simd'
import { finish16 } from './gemm-4x16'

const COLUMN: usize = 64
const ZEROS: usize = 1024
const TILES: usize = 1088
const TILE: usize = 48

/** Address of pixel `x` of input row `iy`, which may lie outside the image. */
// @ts-ignore: decorator
@inline
function rowAt(r: WinogradRecord, iy: i32, x: i32): usize {
  const at = <usize>(x * r.xStep)
  if (<u32>iy >= <u32>r.inRows) return <usize>r.zeroRow + at
  return <usize>r.input + <usize>((iy < r.inRing ? iy : iy % r.inRing) * r.inRowStride) + at
}

/** Writes the tile whose first pixel is (y, x). Pixels that are not there lie where one is that is written later. */
function describe(r: WinogradRecord, tile: usize, y: i32, x: i32, y1: i32): void {
  const top = y * r.strideH - r.padTop
  const two = y + 1 < y1
  store<u32>(tile, rowAt(r, top, x))
  store<u32>(tile, rowAt(r, top + 1, x), 4)
  store<u32>(tile, rowAt(r, top + 2, x), 8)
  // Only the second row of pixels needs it.
  store<u32>(tile, rowAt(r, two ? top + 3 : top + 2, x), 12)
  const stride: usize = r.outRowStride
  const at = <usize>(x * r.outPixelStride)
  const upper = <usize>r.output + <usize>(y < r.outRing ? y : y % r.outRing) * stride + at
  const lower = two ? <usize>r.output + <usize>(y + 1 < r.outRing ? y + 1 : (y + 1) % r.outRing) * stride + at : upper
  const right = x + 1 < r.outW ? <usize>r.outPixelStride : 0
  store<u32>(tile, upper, 16)
  store<u32>(tile, upper + right, 20)
  store<u32>(tile, lower, 24)
  store<u32>(tile, lower + right, 28)
}

/** Two pairs of channels of four tiles each to [pair][tile][2]. */
// @ts-ignore: decorator
@inline
function put(to: usize, a: v128, b: v128, c: v128, d: v128): void {
  const t0 = v128.shuffle<i32>(a, b, 0, 4, 1, 5)
  const t1 = v128.shuffle<i32>(c, d, 0, 4, 1, 5)
  const t2 = v128.shuffle<i32>(a, b, 2, 6, 3, 7)
  const t3 = v128.shuffle<i32>(c, d, 2, 6, 3, 7)
  v128.store(to, v128.shuffle<i64>(t0, t1, 0, 2))
  v128.store(to, v128.shuffle<i64>(t0, t1, 1, 3), 16)
  v128.store(to, v128.shuffle<i64>(t2, t3, 0, 2), 32)
  v128.store(to, v128.shuffle<i64>(t2, t3, 1, 3), 48)
}

/** The windows of four tiles to [16 positions][pairs][4 tiles][2]. */
function transform(scratch: usize, tile: usize, to: usize, channels: i32, xStep: usize, positionBytes: usize): void {
  const last = tile + 3 * TILE
  const p0 = scratch + load<u32>(tile, 32)
  const p1 = scratch + load<u32>(tile + TILE, 32)
  const p2 = scratch + load<u32>(tile + 2 * TILE, 32)
  const p3 = scratch + load<u32>(last, 32)
  for (let c: usize = 0; c < <usize>channels; c += 8) {
    let free = scratch
    for (let t = tile; t <= last; t += TILE) {
      const end = scratch + load<u32>(t, 32) + 4 * COLUMN
      // Columns that the tile to the left has transformed already.
      let x = (<usize>4 - (end - free) / COLUMN) * xStep + c
      const r0 = <usize>load<u32>(t)
      const r1 = <usize>load<u32>(t, 4)
      const r2 = <usize>load<u32>(t, 8)
      const r3 = <usize>load<u32>(t, 12)
      for (; free < end; free += COLUMN) {
        const d0 = v128.load_ext<i8>(r0 + x)
        const d1 = v128.load_ext<i8>(r1 + x)
        const d2 = v128.load_ext<i8>(r2 + x)
        const d3 = v128.load_ext<i8>(r3 + x)
        v128.store(free, i16x8.sub(d0, d2))
        v128.store(free, i16x8.add(d1, d2), 16)
        v128.store(free, i16x8.sub(d2, d1), 32)
        v128.store(free, i16x8.sub(d1, d3), 48)
        x += xStep
      }
    }
    let o = to + (c << 3)
    for (let i: usize = 0; i < COLUMN; i += 16) {
      const a = p0 + i
      const b = p1 + i
      const d = p2 + i
      const e = p3 + i
      put(
        o,
        i16x8.sub(v128.load(a), v128.load(a, 128)),
        i16x8.sub(v128.load(b), v128.load(b, 128)),
        i16x8.sub(v128.load(d), v128.load(d, 128)),
        i16x8.sub(v128.load(e), v128.load(e, 128)),
      )
      o += positionBytes
      put(
        o,
        i16x8.add(v128.load(a, 64), v128.load(a, 128)),
        i16x8.add(v128.load(b, 64), v128.load(b, 128)),
        i16x8.add(v128.load(d, 64), v128.load(d, 128)),
        i16x8.add(v128.load(e, 64), v128.load(e, 128)),
      )
      o += positionBytes
      put(
        o,
        i16x8.sub(v128.load(a, 128), v128.load(a, 64)),
        i16x8.sub(v128.load(b, 128), v128.load(b, 64)),
        i16x8.sub(v128.load(d, 128), v128.load(d, 64)),
        i16x8.sub(v128.load(e, 128), v128.load(e, 64)),
      )
      o += positionBytes
      put(
        o,
        i16x8.sub(v128.load(a, 64), v128.load(a, 192)),
        i16x8.sub(v128.load(b, 64), v128.load(b, 192)),
        i16x8.sub(v128.load(d, 64), v128.load(d, 192)),
        i16x8.sub(v128.load(e, 64), v128.load(e, 192)),
      )
      o += positionBytes
    }
  }
}

// @ts-ignore: decorator
@inline
function mac(c: v128, a: v128, w: v128): v128 {
  return i32x4.add(c, i32x4.dot_i16x8_s(a, w))
}

/** One position of four tiles against one panel of eight channels, to m. */
// @ts-ignore: decorator
@inline
function block8(a: usize, end: usize, w: usize, bias: usize, m: usize): void {
  const b0 = v128.load(bias)
  const b1 = v128.load(bias, 16)
  const g0 = v128.load(w)
  const g1 = v128.load(w, 16)
  // The first step apart: it adds to the bias, so that no accumulator is copied.
  const f0 = v128.load_splat<i32>(a)
  let c00 = mac(b0, f0, g0)
  let c01 = mac(b1, f0, g1)
  const f1 = v128.load_splat<i32>(a, 4)
  let c10 = mac(b0, f1, g0)
  let c11 = mac(b1, f1, g1)
  const f2 = v128.load_splat<i32>(a, 8)
  let c20 = mac(b0, f2, g0)
  let c21 = mac(b1, f2, g1)
  const f3 = v128.load_splat<i32>(a, 12)
  let c30 = mac(b0, f3, g0)
  let c31 = mac(b1, f3, g1)
  w += 32
  a += 16
  do {
    const w0 = v128.load(w)
    const w1 = v128.load(w, 16)
    const a0 = v128.load_splat<i32>(a)
    c00 = mac(c00, a0, w0)
    c01 = mac(c01, a0, w1)
    const a1 = v128.load_splat<i32>(a, 4)
    c10 = mac(c10, a1, w0)
    c11 = mac(c11, a1, w1)
    const a2 = v128.load_splat<i32>(a, 8)
    c20 = mac(c20, a2, w0)
    c21 = mac(c21, a2, w1)
    const a3 = v128.load_splat<i32>(a, 12)
    c30 = mac(c30, a3, w0)
    c31 = mac(c31, a3, w1)
    w += 32
    a += 16
  } while (a < end)
  v128.store(m, c00)
  v128.store(m, c01, 16)
  v128.store(m, c10, 32)
  v128.store(m, c11, 48)
  v128.store(m, c20, 64)
  v128.store(m, c21, 80)
  v128.store(m, c30, 96)
  v128.store(m, c31, 112)
}

/** The same with sixteen channels, in the shape that the revectorizer pairs. */
// @ts-ignore: decorator
@inline
function block16(a: usize, end: usize, w: usize, bias: usize, m: usize): void {
  let c00 = v128.load(bias)
  let c01 = v128.load(bias, 16)
  let c02 = v128.load(bias, 32)
  let c03 = v128.load(bias, 48)
  let c10 = c00
  let c11 = c01
  let c12 = c02
  let c13 = c03
  let c20 = c00
  let c21 = c01
  let c22 = c02
  let c23 = c03
  let c30 = c00
  let c31 = c01
  let c32 = c02
  let c33 = c03
  do {
    const w0 = v128.load(w)
    const w1 = v128.load(w, 16)
    const w2 = v128.load(w, 32)
    const w3 = v128.load(w, 48)
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
  } while (a < end)
  v128.store(m, c00)
  v128.store(m, c01, 16)
  v128.store(m, c02, 32)
  v128.store(m, c03, 48)
  v128.store(m, c10, 64)
  v128.store(m, c11, 80)
  v128.store(m, c12, 96)
  v128.store(m, c13, 112)
  v128.store(m, c20, 128)
  v128.store(m, c21, 144)
  v128.store(m, c22, 160)
  v128.store(m, c23, 176)
  v128.store(m, c30, 192)
  v128.store(m, c31, 208)
  v128.store(m, c32, 224)
  v128.store(m, c33, 240)
}

/** Sums of four rows of positions to two, in place: rows are 4 * `position` bytes apart. */
// @ts-ignore: decorator
@inline
function sumColumns(m: usize, position: usize): void {
  const row = position << 2
  for (const end = m + row; m < end; m += 32) {
    const n = m + row
    const o = n + row
    const p = o + row
    const b = v128.load(n)
    const d = v128.load(o)
    const f = v128.load(n, 16)
    const g = v128.load(o, 16)
    const s0 = i32x4.add(i32x4.add(v128.load(m), b), d)
    const s1 = i32x4.add(i32x4.add(v128.load(m, 16), f), g)
    const t0 = i32x4.sub(i32x4.sub(b, d), v128.load(p))
    const t1 = i32x4.sub(i32x4.sub(f, g), v128.load(p, 16))
    v128.store(m, s0)
    v128.store(m, s1, 16)
    v128.store(n, t0)
    v128.store(n, t1, 16)
  }
}

/** The two pixels of a row of a tile from sums of columns at s, eight channels, to `left` and `right`. */
// @ts-ignore: decorator
@inline
function row8(constants: usize, clamped: i32, scale: usize, s: usize, left: usize, right: usize): void {
  const magic = v128.load(constants)
  const zero = v128.load(constants, 16)
  const s0 = v128.load(scale)
  const s1 = v128.load(scale, 16)
  const b0 = v128.load(s, 128)
  const c0 = v128.load(s, 256)
  const b1 = v128.load(s, 144)
  const c1 = v128.load(s, 272)
  const h0 = i16x8.narrow_i32x4_s(
    requantize4(i32x4.add(i32x4.add(v128.load(s), b0), c0), s0, magic, zero),
    requantize4(i32x4.add(i32x4.add(v128.load(s, 16), b1), c1), s1, magic, zero),
  )
  const h1 = i16x8.narrow_i32x4_s(
    requantize4(i32x4.sub(i32x4.sub(b0, c0), v128.load(s, 384)), s0, magic, zero),
    requantize4(i32x4.sub(i32x4.sub(b1, c1), v128.load(s, 400)), s1, magic, zero),
  )
  let q = i8x16.narrow_i16x8_s(h0, h1)
  if (clamped) q = i8x16.min_s(i8x16.max_s(q, v128.load(constants, 32)), v128.load(constants, 48))
  v128.store64_lane(right, q, 1)
  v128.store64_lane(left, q, 0)
}

/** The same with sixteen channels. */
// @ts-ignore: decorator
@inline
function row16(constants: usize, scale: usize, s: usize, left: usize, right: usize): void {
  const b0 = v128.load(s, 256)
  const b1 = v128.load(s, 272)
  const b2 = v128.load(s, 288)
  const b3 = v128.load(s, 304)
  const c0 = v128.load(s, 512)
  const c1 = v128.load(s, 528)
  const c2 = v128.load(s, 544)
  const c3 = v128.load(s, 560)
  const q1 = finish16(
    constants,
    scale,
    i32x4.sub(i32x4.sub(b0, c0), v128.load(s, 768)),
    i32x4.sub(i32x4.sub(b1, c1), v128.load(s, 784)),
    i32x4.sub(i32x4.sub(b2, c2), v128.load(s, 800)),
    i32x4.sub(i32x4.sub(b3, c3), v128.load(s, 816)),
  )
  const q0 = finish16(
    constants,
    scale,
    i32x4.add(i32x4.add(v128.load(s), b0), c0),
    i32x4.add(i32x4.add(v128.load(s, 16), b1), c1),
    i32x4.add(i32x4.add(v128.load(s, 32), b2), c2),
    i32x4.add(i32x4.add(v128.load(s, 48), b3), c3),
  )
  v128.store(right, q1)
  v128.store(left, q0)
}

/** `groups` groups of transformed windows at `from` against all weights: a panel at a time for all of them. */
function multiply8(r: WinogradRecord, groups: usize, from: usize, sums: usize): void {
  const pairBytes: usize = r.pairs << 4
  const positionBytes: usize = r.positionBytes
  const zeros = <usize>r.scratch + ZEROS
  const last = r.outC - 8
  const constants: usize = r.constants
  const clamped = r.clamped
  const groupEnd = sums + (groups << 11)
  let w: usize = r.weights
  let bias: usize = r.bias
  let scale: usize = r.scale
  let n = 0
  while (true) {
    let position = from
    for (let p: usize = 0; p < 2048; p += 128) {
      // The position that every pixel of the tile takes once, with the same sign.
      const b = p == 5 * 128 ? bias : zeros
      let a = position
      for (let m = sums + p; m < groupEnd; m += 2048) {
        block8(a, a + pairBytes, w, b, m)
        a += positionBytes << 4
      }
      position += positionBytes
      w += pairBytes << 1
    }
    let tile = <usize>r.scratch + TILES
    for (let m = sums; m < groupEnd; m += 2048) {
      sumColumns(m, 128)
      for (const end = m + 128; m < end; m += 32) {
        row8(constants, clamped, scale, m + 512, <usize>load<u32>(tile, 24) + n, <usize>load<u32>(tile, 28) + n)
        row8(constants, clamped, scale, m, <usize>load<u32>(tile, 16) + n, <usize>load<u32>(tile, 20) + n)
        tile += TILE
      }
      m -= 128
    }
    if (n >= last) break
    n = min(n + 8, last)
    bias += 32
    scale += 32
  }
}

/** The same in panels of sixteen channels. */
function multiply16(r: WinogradRecord, groups: usize, from: usize, sums: usize): void {
  const pairBytes: usize = r.pairs << 4
  const positionBytes: usize = r.positionBytes
  const zeros = <usize>r.scratch + ZEROS
  const last = r.outC - 16
  const constants: usize = r.constants
  const groupEnd = sums + (groups << 12)
  let w: usize = r.weights
  let bias: usize = r.bias
  let scale: usize = r.scale
  let n = 0
  while (true) {
    let position = from
    for (let p: usize = 0; p < 4096; p += 256) {
      const b = p == 5 * 256 ? bias : zeros
      let a = position
      for (let m = sums + p; m < groupEnd; m += 4096) {
        block16(a, a + pairBytes, w, b, m)
        a += positionBytes << 4
      }
      position += positionBytes
      w += pairBytes << 2
    }
    let tile = <usize>r.scratch + TILES
    for (let m = sums; m < groupEnd; m += 4096) {
      sumColumns(m, 256)
      for (const end = m + 256; m < end; m += 64) {
        row16(constants, scale, m + 1024, <usize>load<u32>(tile, 24) + n, <usize>load<u32>(tile, 28) + n)
        row16(constants, scale, m, <usize>load<u32>(tile, 16) + n, <usize>load<u32>(tile, 20) + n)
        tile += TILE
      }
      m -= 256
    }
    if (n >= last) break
    n = min(n + 16, last)
    bias += 64
    scale += 64
  }
}

export function winograd(record: usize, y0: i32, y1: i32): void {
  if (!ASC_FEATURE_SIMD) return
  const r = changetype<WinogradRecord>(record)
  const scratch: usize = r.scratch
  const batch = r.batch
  const channels = r.channels
  const xStep: usize = r.xStep
  const positionBytes: usize = r.positionBytes
  const groupBytes = positionBytes << 4
  const first = scratch + TILES
  const windows = first + <usize>batch * (4 * TILE)
  const sums = windows + <usize>batch * groupBytes
  memory.fill(scratch + ZEROS, 0, 64)
  let y = y0
  let x = 0
  while (y < y1) {
    let tile = first
    let to = windows
    let groups = 0
    for (; groups < batch && y < y1; groups++) {
      let column: usize = 0
      for (const end = tile + 4 * TILE; tile < end; tile += TILE) {
        if (y < y1) {
          describe(r, tile, y, x, y1)
          // Next to the one before, it shares two columns with it.
          if (tile + 4 * TILE != end) column += x ? 2 * COLUMN : 4 * COLUMN
          store<u32>(tile, column, 32)
          x += 2
          if (x >= r.outW) {
            x = 0
            y += 2
          }
        } else memory.copy(tile, tile - TILE, TILE)
      }
      transform(scratch, tile - 4 * TILE, to, channels, xStep, positionBytes)
      to += groupBytes
    }
    if (FAST) {
      if (r.nr == 16) {
        multiply16(r, groups, windows, sums)
        continue
      }
    }
    multiply8(r, groups, windows, sums)
  }
}
