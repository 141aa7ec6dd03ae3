/**
 * GEMM form 0, 4x8: four pixels by eight channels, dot_i16x8 on activations broadcast from memory. The best single choice
 * for V8 on x86: eight accumulators and at most six loads live, so that no engine spills.
 *
 * Shapes: panel [K/2][4 pixels][2] i16, weights [N/8][K/2][8][2] i16, bias and scale eight a panel.
 */
import { ConvRecord, TILE_BYTES } from '../layout'
import { finish4x8 } from '../simd'
import { tileIn, tileOut } from './tile'

/** Packs `bytes` int8 of the tile's rows, from byte `at` of each, to [k/2][4][2] i16, eight k a step. */
export function pack4x8(tile: usize, panel: usize, at: usize, bytes: i32): void {
  let p0 = tileIn(tile, 0) + at, p1 = tileIn(tile, 1) + at, p2 = tileIn(tile, 2) + at, p3 = tileIn(tile, 3) + at
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
  } while (q < <usize>bytes)
}

/** The tile's packed panel against all weights. */
export function gemm4x8(r: ConvRecord): void {
  const tile: usize = r.scratch
  const panel = tile + TILE_BYTES
  const panelEnd = panel + r.panelBytes
  const y0 = tileOut(tile, 0), y1 = tileOut(tile, 1), y2 = tileOut(tile, 2), y3 = tileOut(tile, 3)
  const last = r.outC - 8
  let w: usize = r.weights, bias: usize = r.bias, scale: usize = r.scale
  let n = 0
  while (true) {
    const b0 = v128.load(bias), b1 = v128.load(bias, 16)
    let c00 = b0, c01 = b1, c10 = b0, c11 = b1, c20 = b0, c21 = b1, c30 = b0, c31 = b1
    let a = panel
    do {
      const w0 = v128.load(w), w1 = v128.load(w, 16)
      const a0 = v128.load_splat<i32>(a)
      c00 = i32x4.add(c00, i32x4.dot_i16x8_s(a0, w0))
      c01 = i32x4.add(c01, i32x4.dot_i16x8_s(a0, w1))
      const a1 = v128.load_splat<i32>(a, 4)
      c10 = i32x4.add(c10, i32x4.dot_i16x8_s(a1, w0))
      c11 = i32x4.add(c11, i32x4.dot_i16x8_s(a1, w1))
      const a2 = v128.load_splat<i32>(a, 8)
      c20 = i32x4.add(c20, i32x4.dot_i16x8_s(a2, w0))
      c21 = i32x4.add(c21, i32x4.dot_i16x8_s(a2, w1))
      const a3 = v128.load_splat<i32>(a, 12)
      c30 = i32x4.add(c30, i32x4.dot_i16x8_s(a3, w0))
      c31 = i32x4.add(c31, i32x4.dot_i16x8_s(a3, w1))
      w += 32
      a += 16
    } while (a < panelEnd)
    finish4x8(changetype<usize>(r) + offsetof<ConvRecord>('magic'), scale, y0 + n, y1 + n, y2 + n, y3 + n, c00, c01, c10, c11, c20, c21, c30, c31)
    if (n >= last) break
    n += 8
    if (n > last) n = last
    bias += 32
    scale += 32
  }
}
