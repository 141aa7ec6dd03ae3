/**
 * What convolutions by fewer products share (winograd.ts, polyphase.ts): packing four tiles side by side, and the sums
 * of products of one position, or of several in a row, of four packed tiles with one panel of weights.
 *
 * Shapes: windows [pairs of channels][4 tiles][2] i16, weights [pairs][NR][2] i16, sums [4 tiles][NR] i32; two pairs at
 * least. NR: 8, and in the fast binary 16 too.
 */
import { FAST } from '../fast'
import { WinogradRecord } from '../layout'

/** Address of pixel `x` of input row `iy`, which may lie outside the image. */
// @ts-ignore: decorator
@inline
export function rowAt(r: WinogradRecord, iy: i32, x: i32): usize {
  const at = <usize>(x * r.xStep)
  if (<u32>iy >= <u32>r.inRows) return <usize>r.zeroRow + at
  return <usize>r.input + <usize>((iy < r.inRing ? iy : iy % r.inRing) * r.inRowStride) + at
}

/** Bytes that describe a tile, and where in them is the offset in scratch of its first column. */
export const TILE: usize = 64
export const FIRST: usize = 56

/**
 * Rows y0 to y1 of a record's output in tiles of side x side pixels, in the order of rows: groups of four tiles, as
 * many as `batch` before they are multiplied. The class K extends the record: `side`, the `columns` of a window, of
 * which neighbouring tiles share all but four, and what it does to tiles: `describe`, `transform`, `multiply`.
 *
 * Scratch: columns of four windows [4][columns][columns][8] i16, 64 zeros, tiles, windows, sums.
 */
// @ts-ignore: decorator
@inline
export function eachTile<K>(record: usize, y0: i32, y1: i32): void {
  const r = changetype<K>(record)
  const batch = r.batch
  const columns = r.columns
  const columnBytes = columns << 4
  const groupBytes = <usize>r.positionBytes * columns * columns
  const begin = <usize>r.scratch + 4 * columns * columnBytes + 64
  const windows = begin + <usize>batch * (4 * TILE)
  const sums = windows + <usize>batch * groupBytes
  if (FAST) memory.fill(begin - 64, 0, 64)
  let y = y0
  let x = 0
  while (y < y1) {
    let tile = begin
    let to = windows
    let tiles: usize = 0
    for (let groups = 0; groups < batch && y < y1; groups++) {
      let column: usize = 0
      for (const end = tile + 4 * TILE; tile < end; tile += TILE) {
        if (y < y1) {
          r.describe(tile, y, x, y1)
          // Next to the one before, it shares columns with it.
          if (tile + 4 * TILE != end) column += (x ? 4 : columns) * columnBytes
          store<u32>(tile, column, FIRST)
          tiles++
          x += r.side
          if (x >= r.outW) {
            x = 0
            y += r.side
          }
        } else memory.copy(tile, tile - TILE, TILE)
      }
      r.transform(tile - 4 * TILE, to)
      to += groupBytes
    }
    r.multiply(tiles, windows, sums)
  }
}

/** Two pairs of channels of four tiles each to [pair][tile][2]. */
// @ts-ignore: decorator
@inline
export function put(to: usize, a: v128, b: v128, c: v128, d: v128): void {
  const t0 = v128.shuffle<i32>(a, b, 0, 4, 1, 5)
  const t1 = v128.shuffle<i32>(c, d, 0, 4, 1, 5)
  const t2 = v128.shuffle<i32>(a, b, 2, 6, 3, 7)
  const t3 = v128.shuffle<i32>(c, d, 2, 6, 3, 7)
  v128.store(to, v128.shuffle<i64>(t0, t1, 0, 2))
  v128.store(to, v128.shuffle<i64>(t0, t1, 1, 3), 16)
  v128.store(to, v128.shuffle<i64>(t2, t3, 0, 2), 32)
  v128.store(to, v128.shuffle<i64>(t2, t3, 1, 3), 48)
}

// @ts-ignore: decorator
@inline
function mac(c: v128, a: v128, w: v128): v128 {
  return i32x4.add(c, i32x4.dot_i16x8_s(a, w))
}

/** One position of four tiles against one panel of eight channels, to m. */
// @ts-ignore: decorator
@inline
function block8(a: usize, end: usize, w: usize, m: usize): void {
  const g0 = v128.load(w)
  const g1 = v128.load(w, 16)
  // The first step apart: it has nothing to add to.
  const f0 = v128.load_splat<i32>(a)
  let c00 = i32x4.dot_i16x8_s(f0, g0)
  let c01 = i32x4.dot_i16x8_s(f0, g1)
  const f1 = v128.load_splat<i32>(a, 4)
  let c10 = i32x4.dot_i16x8_s(f1, g0)
  let c11 = i32x4.dot_i16x8_s(f1, g1)
  const f2 = v128.load_splat<i32>(a, 8)
  let c20 = i32x4.dot_i16x8_s(f2, g0)
  let c21 = i32x4.dot_i16x8_s(f2, g1)
  const f3 = v128.load_splat<i32>(a, 12)
  let c30 = i32x4.dot_i16x8_s(f3, g0)
  let c31 = i32x4.dot_i16x8_s(f3, g1)
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
function block16(a: usize, end: usize, w: usize, zeros: usize, m: usize): void {
  let c00 = v128.load(zeros)
  let c01 = v128.load(zeros, 16)
  let c02 = v128.load(zeros, 32)
  let c03 = v128.load(zeros, 48)
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

/** One position of a single tile against one panel, to m. */
// @ts-ignore: decorator
@inline
function single8(a: usize, end: usize, w: usize, m: usize): void {
  let c0 = i32x4.splat(0)
  let c1 = i32x4.splat(0)
  do {
    const x = v128.load_splat<i32>(a)
    c0 = mac(c0, x, v128.load(w))
    c1 = mac(c1, x, v128.load(w, 16))
    w += 32
    a += 16
  } while (a < end)
  v128.store(m, c0)
  v128.store(m, c1, 16)
}

// @ts-ignore: decorator
@inline
function single16(a: usize, end: usize, w: usize, zeros: usize, m: usize): void {
  let c0 = v128.load(zeros)
  let c1 = v128.load(zeros, 16)
  let c2 = v128.load(zeros, 32)
  let c3 = v128.load(zeros, 48)
  do {
    const x = v128.load_splat<i32>(a)
    c0 = mac(c0, x, v128.load(w))
    c1 = mac(c1, x, v128.load(w, 16))
    c2 = mac(c2, x, v128.load(w, 32))
    c3 = mac(c3, x, v128.load(w, 48))
    w += 64
    a += 16
  } while (a < end)
  v128.store(m, c0)
  v128.store(m, c1, 16)
  v128.store(m, c2, 32)
  v128.store(m, c3, 48)
}

/**
 * Sums of `bytes` of windows, those of the groups' first positions `group` bytes apart from `a` on, with one panel's
 * weights at w: of groups of four tiles up to `whole`, of a single tile up to `end`.
 */
// @ts-ignore: decorator
@inline
export function sumProducts<N>(
  a: usize,
  bytes: usize,
  group: usize,
  w: usize,
  zeros: usize,
  m: usize,
  step: usize,
  whole: usize,
  end: usize,
): void {
  for (; m < whole; m += step) {
    if (sizeof<N>() == 16) block16(a, a + bytes, w, zeros, m)
    else block8(a, a + bytes, w, m)
    a += group
  }
  if (m < end) {
    if (sizeof<N>() == 16) single16(a, a + bytes, w, zeros, m)
    else single8(a, a + bytes, w, m)
  }
}
