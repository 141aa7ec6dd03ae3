/**
 * Convolution 3x3 with stride 2 by fewer products: 25 for four output pixels where the plain sum takes 36, and exactly
 * the same sum. Along one axis two outputs of a window d of five pixels and a filter g are
 *
 *   Y0 = g0 (d0 - d2) + g1 d1 + (g0 + g2) d2
 *   Y1 = (g0 + g2) d2 + g1 d3 + g2 (d4 - d2)
 *
 * five products instead of six: the even pixels are a filter of two taps with stride 1 (Winograd's F(2,2)), the odd
 * ones of one tap. Down and across, every product is added to outputs as it is, so that those which belong to the same
 * outputs are summed over as if they were channels: nine sums for four outputs.
 *
 *                    to row 0     to both     to row 1
 *   to column 0       0  1 |       10 |        15 16 |
 *                     2  3 |       11 |        17 18 |        positions in order: (row, column) of the transformed
 *   to both           4  5         12          19 20          window are (0,0) (0,1) (1,0) (1,1) (0,2) (1,2) (0,3) ..
 *   to column 1       6  7 |       13 |        21 22 |
 *                     8  9 |       14 |        23 24 |
 *
 * Shapes: input frame [inRows, W, C] i8 with its padding in place; output [rows, outW, outC] i8, outC >= NR. Weights
 * [N/NR][25 positions][pairs][NR][2] i16, pairs = ceil(C / 2), four at least, a channel past the last is zero; bias and
 * scale NR a panel; the last panel may overlap. NR: 8, and in the fast binary 16 too.
 * Requires: |acc * scale| <= 2^22. Reads past end: 0..15 bytes and two pixels of input. Writes: exactly the output
 * rows. SIMD only.
 *
 * Scratch: a group is four tiles of 2x2 pixels, in the order of rows; the last one may be a single tile.
 *
 *   0              columns of four windows, combined downwards: up to 20 x [5 rows][8 channels] i16
 *   1600           zeros, for panels of sixteen
 *   1664           per tile (TILE bytes): five input rows, four output pixels, first column above; 4 * batch of them
 *   then           per group: windows [25 positions][pairs][4 tiles][2] i16
 *   then           per group: sums [9][4 tiles][NR] i32
 */
import { WinogradRecord } from '../layout'
import { FAST } from '../fast'
import { finish4x8 } from '../simd'
import { finish16 } from './gemm-4x16'
import { eachTile, FIRST, put, rowAt, sumProducts, TILE } from './products'

const COLUMN: usize = 80
const ZEROS: usize = 1600
const TILES: usize = 1664
/** Where a tile has its output pixels. */
const OUT: usize = 20
/** Positions of the first, third and fourth column of each row, five bits a row. */
const FIRSTS: u32 = 0 | (2 << 5) | (10 << 10) | (15 << 15) | (17 << 20)
const THIRDS: u32 = 4 | (5 << 5) | (12 << 10) | (19 << 15) | (20 << 20)
const FOURTHS: u32 = 6 | (8 << 5) | (13 << 10) | (21 << 15) | (23 << 20)
/** Positions of each of the nine sums, four bits a sum. */
const COUNTS: u64 = 0x424212424

/** Writes the tile whose first pixel is (y, x). A row or column that is not there lies where the other one does. */
function describe(r: WinogradRecord, tile: usize, y: i32, x: i32, y1: i32): void {
  const top = 2 * y - r.padTop
  const bottom = 2 * y1 - r.padTop
  for (let i = 0; i < 5; i++) store<u32>(tile + (i << 2), rowAt(r, min(top + i, bottom), 2 * x))
  const right = x + 1 < r.outW ? r.outPixelStride : 0
  for (let i = 0; i < 2; i++) {
    const row = min(y + i, y1 - 1)
    const at = r.output + (row < r.outRing ? row : row % r.outRing) * r.outRowStride + x * r.outPixelStride
    store<u32>(tile + (i << 3), at, OUT)
    store<u32>(tile + (i << 3), at + right, OUT + 4)
  }
}

// @ts-ignore: decorator
@inline
function at(p: usize, j: usize): v128 {
  return v128.load(p + j * COLUMN)
}

/** The windows of four tiles to [25 positions][pairs][4 tiles][2]. */
function transform(scratch: usize, tile: usize, to: usize, channels: i32, xStep: usize, positionBytes: usize): void {
  const last = tile + 3 * TILE
  const p0 = scratch + load<u32>(tile, FIRST)
  const p1 = scratch + load<u32>(tile + TILE, FIRST)
  const p2 = scratch + load<u32>(tile + 2 * TILE, FIRST)
  const p3 = scratch + load<u32>(last, FIRST)
  // From the last channels to the first: what they write past the end of a position is overwritten by the first.
  for (let c = (channels - 1) & ~7; c >= 0; c -= 8) {
    let free = scratch
    for (let t = tile; t <= last; t += TILE) {
      const end = scratch + load<u32>(t, FIRST) + 5 * COLUMN
      // Columns that belong to the tile to the left too.
      let x = (<usize>5 - (end - free) / COLUMN) * xStep + <usize>c
      const r0 = <usize>load<u32>(t)
      const r1 = <usize>load<u32>(t, 4)
      const r2 = <usize>load<u32>(t, 8)
      const r3 = <usize>load<u32>(t, 12)
      const r4 = <usize>load<u32>(t, 16)
      for (; free < end; free += COLUMN) {
        const d2 = v128.load_ext<i8>(r2 + x)
        v128.store(free, i16x8.sub(v128.load_ext<i8>(r0 + x), d2))
        v128.store(free, v128.load_ext<i8>(r1 + x), 16)
        v128.store(free, d2, 32)
        v128.store(free, v128.load_ext<i8>(r3 + x), 48)
        v128.store(free, i16x8.sub(v128.load_ext<i8>(r4 + x), d2), 64)
        x += xStep
      }
    }
    const o = to + ((<usize>c) << 3)
    for (let i: usize = 0; i < 5; i++) {
      const a = p0 + (i << 4)
      const b = p1 + (i << 4)
      const d = p2 + (i << 4)
      const e = p3 + (i << 4)
      const bits = <i32>i * 5
      let out = o + <usize>((FIRSTS >> bits) & 31) * positionBytes
      const a2 = at(a, 2)
      const b2 = at(b, 2)
      const d2 = at(d, 2)
      const e2 = at(e, 2)
      put(out, i16x8.sub(at(a, 0), a2), i16x8.sub(at(b, 0), b2), i16x8.sub(at(d, 0), d2), i16x8.sub(at(e, 0), e2))
      put(out + positionBytes, at(a, 1), at(b, 1), at(d, 1), at(e, 1))
      put(o + <usize>((THIRDS >> bits) & 31) * positionBytes, a2, b2, d2, e2)
      out = o + <usize>((FOURTHS >> bits) & 31) * positionBytes
      put(out, at(a, 3), at(b, 3), at(d, 3), at(e, 3))
      out += positionBytes
      put(out, i16x8.sub(at(a, 4), a2), i16x8.sub(at(b, 4), b2), i16x8.sub(at(d, 4), d2), i16x8.sub(at(e, 4), e2))
    }
  }
}

/**
 * An output in a corner of its tile: its own sum, those that it shares with one other, and that of all with the bias.
 */
// @ts-ignore: decorator
@inline
function corner(own: v128, across: v128, down: v128, all: v128): v128 {
  return i32x4.add(i32x4.add(own, across), i32x4.add(down, all))
}

/** The four pixels of a tile from its sums at s, eight channels. */
// @ts-ignore: decorator
@inline
function finishTile8(constants: usize, clamped: i32, bias: usize, scale: usize, s: usize, tile: usize): void {
  const top0 = v128.load(s, 128)
  const top1 = v128.load(s, 144)
  const left0 = v128.load(s, 384)
  const left1 = v128.load(s, 400)
  const all0 = i32x4.add(v128.load(s, 512), v128.load(bias))
  const all1 = i32x4.add(v128.load(s, 528), v128.load(bias, 16))
  const right0 = v128.load(s, 640)
  const right1 = v128.load(s, 656)
  const bottom0 = v128.load(s, 896)
  const bottom1 = v128.load(s, 912)
  // The last one first: a row or column that is not there is overwritten.
  finish4x8(
    constants,
    clamped,
    scale,
    <usize>load<u32>(tile, OUT + 12),
    <usize>load<u32>(tile, OUT + 8),
    <usize>load<u32>(tile, OUT + 4),
    <usize>load<u32>(tile, OUT),
    corner(v128.load(s, 1024), bottom0, right0, all0),
    corner(v128.load(s, 1040), bottom1, right1, all1),
    corner(v128.load(s, 768), bottom0, left0, all0),
    corner(v128.load(s, 784), bottom1, left1, all1),
    corner(v128.load(s, 256), top0, right0, all0),
    corner(v128.load(s, 272), top1, right1, all1),
    corner(v128.load(s), top0, left0, all0),
    corner(v128.load(s, 16), top1, left1, all1),
  )
}

/** The same of sixteen channels. */
// @ts-ignore: decorator
@inline
function finishTile16(constants: usize, bias: usize, scale: usize, s: usize, tile: usize): void {
  // To memory, four pixels of sixteen channels: what is paired with its neighbour becomes 256 bits wide.
  for (const end = s + 64; s < end; s += 32) {
    const top0 = v128.load(s, 256)
    const top1 = v128.load(s, 272)
    const left0 = v128.load(s, 768)
    const left1 = v128.load(s, 784)
    const all0 = i32x4.add(v128.load(s, 1024), v128.load(bias))
    const all1 = i32x4.add(v128.load(s, 1040), v128.load(bias, 16))
    const right0 = v128.load(s, 1280)
    const right1 = v128.load(s, 1296)
    const bottom0 = v128.load(s, 1792)
    const bottom1 = v128.load(s, 1808)
    v128.store(s, corner(v128.load(s), top0, left0, all0))
    v128.store(s, corner(v128.load(s, 16), top1, left1, all1), 16)
    v128.store(s, corner(v128.load(s, 512), top0, right0, all0), 512)
    v128.store(s, corner(v128.load(s, 528), top1, right1, all1), 528)
    v128.store(s, corner(v128.load(s, 1536), bottom0, left0, all0), 1536)
    v128.store(s, corner(v128.load(s, 1552), bottom1, left1, all1), 1552)
    v128.store(s, corner(v128.load(s, 2048), bottom0, right0, all0), 2048)
    v128.store(s, corner(v128.load(s, 2064), bottom1, right1, all1), 2064)
    bias += 32
  }
  s -= 64
  for (let i: usize = 4; i > 0; i--) {
    // Sums 0, 2, 6 and 8.
    const p = s + (i - 1 + ((i - 1) >> 1)) * 512
    v128.store(
      <usize>load<u32>(tile + ((i - 1) << 2), OUT),
      finish16(constants, scale, v128.load(p), v128.load(p, 16), v128.load(p, 32), v128.load(p, 48)),
    )
  }
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
  const groupSums = position * 9
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
    let counts = COUNTS
    for (let p: usize = 0; p < groupSums; p += position) {
      const bytes = <usize>(counts & 15) * positionBytes
      counts >>= 4
      sumProducts<N>(windows, bytes, positionBytes * 25, w, zeros, sums + p, groupSums, whole, end)
      windows += bytes
      w += (bytes * nr) >> 2
    }
    let tile = <usize>r.scratch + TILES
    for (let m = sums; m < end; m += groupSums) {
      const bytes = m < whole ? position : nr << 2
      for (let q = m; q < m + bytes; q += nr << 2) {
        if (sizeof<N>() == 16) finishTile16(constants, bias, scale, q, tile)
        else finishTile8(constants, clamped, bias, scale, q, tile)
        tile += TILE
      }
    }
    if (n >= last) break
    const next = min(n + nr, last)
    for (let t = <usize>r.scratch + TILES; t < tile; t += TILE) {
      // To the same pixels' next channels.
      v128.store(t, i32x4.add(v128.load(t, OUT), i32x4.splat(<i32>(next - n))), OUT)
    }
    n = next
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
class Polyphase extends WinogradRecord {
  // @ts-ignore: decorator
  @inline
  get side(): i32 {
    return 2
  }
  // @ts-ignore: decorator
  @inline
  get columns(): usize {
    return 5
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

export function polyphase(record: usize, y0: i32, y1: i32): void {
  // Kernel sets of the relaxed build multiply bytes instead.
  if (!ASC_FEATURE_SIMD || ASC_FEATURE_RELAXED_SIMD) return
  eachTile<Polyphase>(record, y0, y1)
}
