/**
 * Convolution 3x3 with stride 1 by fewer products (Winograd's F(4x4,3x3) in integers): 36 products for sixteen output
 * pixels where the plain sum takes 144, and exactly the same sum.
 *
 *   576 Y = A' [ (G' g G't) . (Bt d B) ] A't  . summed over input channels, d a window of 6x6 pixels, Y 4x4
 *
 *   Bt   4  0 -5  0  1  0     G'   6  0  0     A'   1 -2 -2  1  1  0
 *        0 -4 -4  1  1  0          2  2  2          0 -2  2  2 -2  0
 *        0  4 -4 -1  1  0          2 -2  2          0 -2 -2  4  4  0
 *        0 -2 -1  2  1  0          1  2  4          0 -2  2  8 -8  4
 *        0  2 -1 -2  1  0          1 -2  4
 *        0  4  0 -5  0  1          0  0  6
 *
 * The fractions of G are in A', 24 times A in all, so everything is an integer: |Bt d B| <= 100 * 128 and
 * |G' g G't| <= 49 * 255, both int16. Products and sums wrap at 32 bits, and a ninth is a product there (9 is odd),
 * which is harmless while 64 Y fits: the planner proves it from the weights of every layer. Then Y is shifted out of
 * that, the bias is added, and all goes on as in a GEMM. Across, the rows of A' but the first are halved: 32 Y.
 *
 * Shapes: input frame [inRows, W, C] i8 with its padding in place; output [rows, outW, outC] i8, outC >= NR. Weights
 * [N/NR][36 positions][pairs][NR][2] i16, pairs = ceil(C / 2), a channel past the last is zero; bias and scale NR a
 * panel; the last panel may overlap. NR: 8, and in the fast binary 16 too.
 * Requires: |acc * scale| <= 2^22, |64 Y| < 2^31. Reads past end: 0..15 bytes and three pixels of input. Writes:
 * exactly the output rows. SIMD only.
 *
 * Scratch: a group is four tiles of 4x4 pixels, in the order of rows; the last one may be a single tile.
 *
 *   0              columns of four windows, transformed downwards: up to 24 x [6 rows][8 channels] i16
 *   2304           zeros, for panels of sixteen
 *   2368           per tile (TILE bytes): six input rows, four output rows, offsets of four columns there, first column
 *                  above; 4 * batch of them
 *   then           per group: transformed windows [36 positions][pairs, a multiple of four][4 tiles][2] i16
 *   then           per group: products' sums [36 positions][4 tiles][NR] i32
 * Source of the transforms: Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, 2015.
 */
import { WinogradRecord } from '../layout'
import { FAST } from '../fast'
import { requantize4 } from '../simd'
import { finish16 } from './gemm-4x16'
import { eachTile, FIRST, put, rowAt, sumProducts, TILE } from './products'

const COLUMN: usize = 96
const ZEROS: usize = 2304
const TILES: usize = 2368
/** Where a tile has its output rows and their columns' offsets. */
const OUT: usize = 24
const OFFSETS: usize = 40
/** Modulo 2^32 a ninth. */
const NINTH: i32 = 0x38e38e39

/**
 * Writes the tile whose first pixel is (y, x). Rows that are not there are the last one again; columns that are not
 * there lie where one is that is written later.
 */
function describe(r: WinogradRecord, tile: usize, y: i32, x: i32, y1: i32): void {
  const top = y - r.padTop
  const bottom = y1 + 1 - r.padTop
  for (let i = 0; i < 6; i++) store<u32>(tile + (i << 2), rowAt(r, min(top + i, bottom), x))
  for (let i = 0; i < 4; i++) {
    const row = min(y + i, y1 - 1)
    const to = tile + (i << 2)
    store<u32>(to, r.output + (row < r.outRing ? row : row % r.outRing) * r.outRowStride + x * r.outPixelStride, OUT)
    store<u32>(to, min(i, r.outW - 1 - x) * r.outPixelStride, OFFSETS)
  }
}

/** 4 (a - b) + (c - b): the outermost terms of Bt. */
// @ts-ignore: decorator
@inline
function outer(a: v128, b: v128, c: v128): v128 {
  return i16x8.add(i16x8.shl(i16x8.sub(a, b), 2), i16x8.sub(c, b))
}
/** a - 4 b, what the next ones are the sum and the difference of. */
// @ts-ignore: decorator
@inline
function inner(a: v128, b: v128): v128 {
  return i16x8.sub(a, i16x8.shl(b, 2))
}
// @ts-ignore: decorator
@inline
function twice(a: v128, b: v128): v128 {
  const d = i16x8.sub(a, b)
  return i16x8.add(d, d)
}
/** Column `i` of a window that was transformed downwards, one of its rows at `p`. */
// @ts-ignore: decorator
@inline
function at(p: usize, i: usize): v128 {
  return v128.load(p + i * COLUMN)
}

/** The windows of four tiles to [36 positions][pairs][4 tiles][2]. */
function transform(scratch: usize, tile: usize, to: usize, channels: i32, xStep: usize, positionBytes: usize): void {
  const last = tile + 3 * TILE
  const p0 = scratch + load<u32>(tile, FIRST)
  const p1 = scratch + load<u32>(tile + TILE, FIRST)
  const p2 = scratch + load<u32>(tile + 2 * TILE, FIRST)
  const p3 = scratch + load<u32>(last, FIRST)
  for (let c: usize = 0; c < <usize>channels; c += 8) {
    let free = scratch
    for (let t = tile; t <= last; t += TILE) {
      const end = scratch + load<u32>(t, FIRST) + 6 * COLUMN
      // Columns that the tile to the left has transformed already.
      let x = (<usize>6 - (end - free) / COLUMN) * xStep + c
      const r0 = <usize>load<u32>(t)
      const r1 = <usize>load<u32>(t, 4)
      const r2 = <usize>load<u32>(t, 8)
      const r3 = <usize>load<u32>(t, 12)
      const r4 = <usize>load<u32>(t, 16)
      const r5 = <usize>load<u32>(t, 20)
      for (; free < end; free += COLUMN) {
        const d1 = v128.load_ext<i8>(r1 + x)
        const d2 = v128.load_ext<i8>(r2 + x)
        const d3 = v128.load_ext<i8>(r3 + x)
        const d4 = v128.load_ext<i8>(r4 + x)
        const u = inner(d4, d2)
        const v = inner(d3, d1)
        v128.store(free, i16x8.add(u, v), 16)
        v128.store(free, i16x8.sub(u, v), 32)
        const s = i16x8.sub(d4, d2)
        const e = twice(d3, d1)
        v128.store(free, i16x8.add(s, e), 48)
        v128.store(free, i16x8.sub(s, e), 64)
        v128.store(free, i16x8.add(i16x8.shl(i16x8.sub(v128.load_ext<i8>(r0 + x), d2), 2), s))
        v128.store(free, i16x8.sub(i16x8.sub(v128.load_ext<i8>(r5 + x), d3), i16x8.add(e, e)), 80)
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
        outer(at(a, 0), at(a, 2), at(a, 4)),
        outer(at(b, 0), at(b, 2), at(b, 4)),
        outer(at(d, 0), at(d, 2), at(d, 4)),
        outer(at(e, 0), at(e, 2), at(e, 4)),
      )
      o += positionBytes
      {
        const ua = inner(at(a, 4), at(a, 2))
        const va = inner(at(a, 3), at(a, 1))
        const ub = inner(at(b, 4), at(b, 2))
        const vb = inner(at(b, 3), at(b, 1))
        const ud = inner(at(d, 4), at(d, 2))
        const vd = inner(at(d, 3), at(d, 1))
        const ue = inner(at(e, 4), at(e, 2))
        const ve = inner(at(e, 3), at(e, 1))
        put(o, i16x8.add(ua, va), i16x8.add(ub, vb), i16x8.add(ud, vd), i16x8.add(ue, ve))
        o += positionBytes
        put(o, i16x8.sub(ua, va), i16x8.sub(ub, vb), i16x8.sub(ud, vd), i16x8.sub(ue, ve))
        o += positionBytes
      }
      {
        const ua = i16x8.sub(at(a, 4), at(a, 2))
        const va = twice(at(a, 3), at(a, 1))
        const ub = i16x8.sub(at(b, 4), at(b, 2))
        const vb = twice(at(b, 3), at(b, 1))
        const ud = i16x8.sub(at(d, 4), at(d, 2))
        const vd = twice(at(d, 3), at(d, 1))
        const ue = i16x8.sub(at(e, 4), at(e, 2))
        const ve = twice(at(e, 3), at(e, 1))
        put(o, i16x8.add(ua, va), i16x8.add(ub, vb), i16x8.add(ud, vd), i16x8.add(ue, ve))
        o += positionBytes
        put(o, i16x8.sub(ua, va), i16x8.sub(ub, vb), i16x8.sub(ud, vd), i16x8.sub(ue, ve))
        o += positionBytes
      }
      put(
        o,
        outer(at(a, 1), at(a, 3), at(a, 5)),
        outer(at(b, 1), at(b, 3), at(b, 5)),
        outer(at(d, 1), at(d, 3), at(d, 5)),
        outer(at(e, 1), at(e, 3), at(e, 5)),
      )
      o += positionBytes
    }
  }
}

/** What A' takes of four of its terms: sums and differences, m1 + m2, m1 - m2, m3 + m4, m3 - m4. */
// @ts-ignore: decorator
@inline
function first(m0: v128, a: v128, c: v128): v128 {
  return i32x4.add(i32x4.sub(m0, i32x4.add(a, a)), c)
}
// @ts-ignore: decorator
@inline
function third(a: v128, c: v128): v128 {
  return i32x4.sub(i32x4.add(c, c), a)
}
// @ts-ignore: decorator
@inline
function fourth(b: v128, d: v128, m5: v128): v128 {
  return i32x4.add(i32x4.sub(i32x4.shl(d, 2), b), i32x4.add(m5, m5))
}

/**
 * Sums of six rows of positions to four, in place: `bytes` of each of the six positions of a row, which are `position`
 * bytes apart.
 */
// @ts-ignore: decorator
@inline
function sumColumns(m: usize, position: usize, bytes: usize): void {
  const row = position * 6
  for (const last = m + row; m < last; m += position) {
    for (let q = m, end = m + bytes; q < end; q += 16) {
      const m1 = v128.load(q + row)
      const m2 = v128.load(q + 2 * row)
      const m3 = v128.load(q + 3 * row)
      const m4 = v128.load(q + 4 * row)
      const a = i32x4.add(m1, m2)
      const b = i32x4.sub(m1, m2)
      const c = i32x4.add(m3, m4)
      const d = i32x4.sub(m3, m4)
      v128.store(q, first(v128.load(q), a, c))
      const e = i32x4.sub(d, b)
      v128.store(q + row, i32x4.add(e, e))
      v128.store(q + 2 * row, i32x4.shl(third(a, c), 1))
      v128.store(q + 3 * row, i32x4.shl(fourth(b, d, v128.load(q + 5 * row)), 1))
    }
  }
}

/** What a sum that is 2^shift * 9 times a pixel's gives with its bias. */
// @ts-ignore: decorator
@inline
function exact(sum: v128, shift: i32, bias: v128): v128 {
  return i32x4.add(i32x4.shr_s(i32x4.mul(sum, i32x4.splat(NINTH)), shift), bias)
}

/** The four pixels of a row of a tile from sums of columns at s, eight channels, to `to` and behind. */
// @ts-ignore: decorator
@inline
function row8(constants: usize, clamped: i32, bias: usize, scale: usize, s: usize, to: usize, tile: usize): void {
  const magic = v128.load(constants)
  const zero = v128.load(constants, 16)
  const s0 = v128.load(scale)
  const s1 = v128.load(scale, 16)
  const o0 = v128.load(bias)
  const o1 = v128.load(bias, 16)
  const f1 = v128.load(s, 128)
  const f2 = v128.load(s, 256)
  const f3 = v128.load(s, 384)
  const f4 = v128.load(s, 512)
  const a0 = i32x4.add(f1, f2)
  const b0 = i32x4.sub(f1, f2)
  const c0 = i32x4.add(f3, f4)
  const d0 = i32x4.sub(f3, f4)
  const g1 = v128.load(s, 144)
  const g2 = v128.load(s, 272)
  const g3 = v128.load(s, 400)
  const g4 = v128.load(s, 528)
  const a1 = i32x4.add(g1, g2)
  const b1 = i32x4.sub(g1, g2)
  const c1 = i32x4.add(g3, g4)
  const d1 = i32x4.sub(g3, g4)
  const h3 = i16x8.narrow_i32x4_s(
    requantize4(exact(fourth(b0, d0, v128.load(s, 640)), 5, o0), s0, magic, zero),
    requantize4(exact(fourth(b1, d1, v128.load(s, 656)), 5, o1), s1, magic, zero),
  )
  const h2 = i16x8.narrow_i32x4_s(
    requantize4(exact(third(a0, c0), 5, o0), s0, magic, zero),
    requantize4(exact(third(a1, c1), 5, o1), s1, magic, zero),
  )
  let q23 = i8x16.narrow_i16x8_s(h2, h3)
  const h1 = i16x8.narrow_i32x4_s(
    requantize4(exact(i32x4.sub(d0, b0), 5, o0), s0, magic, zero),
    requantize4(exact(i32x4.sub(d1, b1), 5, o1), s1, magic, zero),
  )
  const h0 = i16x8.narrow_i32x4_s(
    requantize4(exact(first(v128.load(s), a0, c0), 6, o0), s0, magic, zero),
    requantize4(exact(first(v128.load(s, 16), a1, c1), 6, o1), s1, magic, zero),
  )
  let q01 = i8x16.narrow_i16x8_s(h0, h1)
  if (clamped) {
    const low = v128.load(constants, 32)
    const high = v128.load(constants, 48)
    q01 = i8x16.min_s(i8x16.max_s(q01, low), high)
    q23 = i8x16.min_s(i8x16.max_s(q23, low), high)
  }
  v128.store64_lane(to + load<u32>(tile, OFFSETS + 12), q23, 1)
  v128.store64_lane(to + load<u32>(tile, OFFSETS + 8), q23, 0)
  v128.store64_lane(to + load<u32>(tile, OFFSETS + 4), q01, 1)
  v128.store64_lane(to, q01, 0)
}

/** The same with sixteen channels. */
// @ts-ignore: decorator
@inline
function row16(constants: usize, bias: usize, scale: usize, s: usize, to: usize, tile: usize): void {
  // To memory, four pixels of sixteen channels: what is paired with its neighbour becomes 256 bits wide.
  for (const end = s + 64; s < end; s += 32) {
    const p0 = v128.load(s, 256)
    const p1 = v128.load(s, 272)
    const q0 = v128.load(s, 512)
    const q1 = v128.load(s, 528)
    const a0 = i32x4.add(p0, q0)
    const a1 = i32x4.add(p1, q1)
    const b0 = i32x4.sub(p0, q0)
    const b1 = i32x4.sub(p1, q1)
    const u0 = v128.load(s, 768)
    const u1 = v128.load(s, 784)
    const v0 = v128.load(s, 1024)
    const v1 = v128.load(s, 1040)
    const c0 = i32x4.add(u0, v0)
    const c1 = i32x4.add(u1, v1)
    const d0 = i32x4.sub(u0, v0)
    const d1 = i32x4.sub(u1, v1)
    const o0 = v128.load(bias)
    const o1 = v128.load(bias, 16)
    v128.store(s, exact(first(v128.load(s), a0, c0), 6, o0))
    v128.store(s, exact(first(v128.load(s, 16), a1, c1), 6, o1), 16)
    v128.store(s, exact(i32x4.sub(d0, b0), 5, o0), 256)
    v128.store(s, exact(i32x4.sub(d1, b1), 5, o1), 272)
    v128.store(s, exact(third(a0, c0), 5, o0), 512)
    v128.store(s, exact(third(a1, c1), 5, o1), 528)
    v128.store(s, exact(fourth(b0, d0, v128.load(s, 1280)), 5, o0), 768)
    v128.store(s, exact(fourth(b1, d1, v128.load(s, 1296)), 5, o1), 784)
    bias += 32
  }
  s -= 64
  for (let i: usize = 4; i > 0; i--) {
    const p = s + (i - 1) * 256
    v128.store(
      to + load<u32>(tile + ((i - 1) << 2), OFFSETS),
      finish16(constants, scale, v128.load(p), v128.load(p, 16), v128.load(p, 32), v128.load(p, 48)),
    )
  }
}

/** Whether row `i` of a tile is there. */
// @ts-ignore: decorator
@inline
function hasRow(tile: usize, i: usize): bool {
  return i == 0 || load<u32>(tile + (i << 2), OUT) != load<u32>(tile + (i << 2), OUT - 4)
}

/**
 * `tiles` transformed windows at `from`, in groups of four and perhaps a single one, against all weights: a panel at a
 * time for all of them.
 */
// @ts-ignore: decorator
@inline
function multiply<N>(r: WinogradRecord, tiles: usize, from: usize, sums: usize): void {
  const nr: usize = sizeof<N>() == 16 ? 16 : 8
  const position = nr << 4
  const groupSums = position * 36
  const pairBytes: usize = r.pairs << 4
  const positionBytes: usize = r.positionBytes
  const last = <usize>r.outC - nr
  const constants: usize = r.constants
  const clamped = r.clamped
  const zeros = <usize>r.scratch + ZEROS
  const whole = sums + ((tiles + 2) >> 2) * groupSums
  const end = sums + ((tiles + 3) >> 2) * groupSums
  let w: usize = r.weights
  let bias: usize = r.bias
  let scale: usize = r.scale
  let n: usize = 0
  while (true) {
    let windows = from
    for (let p: usize = 0; p < groupSums; p += position) {
      sumProducts<N>(windows, pairBytes, positionBytes * 36, w, zeros, sums + p, groupSums, whole, end)
      windows += positionBytes
      w += (pairBytes * nr) >> 2
    }
    let tile = <usize>r.scratch + TILES
    for (let m = sums; m < end; m += groupSums) {
      const bytes = m < whole ? position : nr << 2
      sumColumns(m, position, bytes)
      for (let q = m; q < m + bytes; q += nr << 2) {
        for (let i: usize = 4; i > 0; i--) {
          if (!hasRow(tile, i - 1)) continue
          const s = q + (i - 1) * position * 6
          const to = <usize>load<u32>(tile + ((i - 1) << 2), OUT) + n
          if (sizeof<N>() == 16) row16(constants, bias, scale, s, to, tile)
          else row8(constants, clamped, bias, scale, s, to, tile)
        }
        tile += TILE
      }
    }
    if (n >= last) break
    n += nr
    if (n > last) n = last
    bias += nr << 2
    scale += nr << 2
  }
}

function multiply8(r: WinogradRecord, tiles: usize, from: usize, sums: usize): void {
  multiply<u64>(r, tiles, from, sums)
}
function multiply16(r: WinogradRecord, tiles: usize, from: usize, sums: usize): void {
  multiply<v128>(r, tiles, from, sums)
}

/** See eachTile. */
@unmanaged
class Winograd extends WinogradRecord {
  // @ts-ignore: decorator
  @inline
  get side(): i32 {
    return 4
  }
  // @ts-ignore: decorator
  @inline
  get columns(): usize {
    return 6
  }
  // @ts-ignore: decorator
  @inline
  describe(tile: usize, y: i32, x: i32, y1: i32): void {
    describe(this, tile, y, x, y1)
  }
  // @ts-ignore: decorator
  @inline
  transform(tile: usize, to: usize): void {
    transform(this.scratch, tile, to, this.channels, this.xStep, this.positionBytes)
  }
  // @ts-ignore: decorator
  @inline
  multiply(tiles: usize, windows: usize, sums: usize): void {
    if (FAST && this.nr == 16) multiply16(this, tiles, windows, sums)
    else multiply8(this, tiles, windows, sums)
  }
}

export function winograd(record: usize, y0: i32, y1: i32): void {
  // Kernel sets of the relaxed build multiply bytes instead.
  if (!ASC_FEATURE_SIMD || ASC_FEATURE_RELAXED_SIMD) return
  eachTile<Winograd>(record, y0, y1)
}
