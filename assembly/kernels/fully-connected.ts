/**
 * Fully connected layer: matrix times vector, int8 weights.
 *
 * Shapes: input [rows, K] i8; output [rows, O] i8. SIMD: weights [O/4][K/16][4][16] i8, K padded with zeros to a
 * multiple of 16: one stream, however long rows are, which is what memory gives fastest; bias i32 and scale f32 four a
 * panel; when O > 4 is no multiple of 4 the last panel covers channels O-4..O-1 again. Scalar: weights [O/4][K][4],
 * bias and scale four a panel. Requires (SIMD): |acc * scale| <= 2^22. Reads past end: nothing; with products of bytes
 * 0..15 bytes of the input, times zero weights.
 */
import { FULLY_CONNECTED_BYTES, FullyConnectedRecord } from '../layout'
import { requantize4, sumRow } from '../simd'
import { rowByAll } from '../scalar'

/** Widens one input row to i16 in scratch, zero-padded to a multiple of 16. */
function widenRow(to: usize, from: usize, k: i32): void {
  let i = 0
  for (; i + 8 <= k; i += 8) v128.store(to + (i << 1), v128.load_ext<i8>(from + i))
  for (; i < k; i++) store<i16>(to + (i << 1), load<i8>(from + i))
  for (; i & 15; i++) store<i16>(to + (i << 1), 0)
}

// @ts-ignore: decorator
@inline
function step(acc: v128, x0: v128, x1: v128, w0: v128, w1: v128): v128 {
  return i32x4.add(acc, i32x4.add(i32x4.dot_i16x8_s(x0, w0), i32x4.dot_i16x8_s(x1, w1)))
}

/**
 * The same of bytes, two products added in 16 bits: for arm64, where V8 makes of it smull, smlal2 and sadalp. Requires:
 * no two weights k and k + 8 of sixteen both -128.
 */
// @ts-ignore: decorator
@inline
function byteStep(acc: v128, x: v128, w: v128): v128 {
  return i32x4.add(
    acc,
    i32x4.extadd_pairwise_i16x8_s(i16x8.add(i16x8.extmul_low_i8x16_s(x, w), i16x8.extmul_high_i8x16_s(x, w))),
  )
}

/** Four sums of four lanes each, as one vector. */
// @ts-ignore: decorator
@inline
function transposeSum(a: v128, b: v128, c: v128, d: v128): v128 {
  const ab = i32x4.add(v128.shuffle<i32>(a, b, 0, 4, 1, 5), v128.shuffle<i32>(a, b, 2, 6, 3, 7))
  const cd = i32x4.add(v128.shuffle<i32>(c, d, 0, 4, 1, 5), v128.shuffle<i32>(c, d, 2, 6, 3, 7))
  return i32x4.add(v128.shuffle<i64>(ab, cd, 0, 2), v128.shuffle<i64>(ab, cd, 1, 3))
}

function rowSimd(r: FullyConnectedRecord, row: usize, out: usize): void {
  const k = r.inC
  const outC = r.outC
  const last = outC - 4
  const bytes = r.scalar == FULLY_CONNECTED_BYTES
  const wide: usize = r.scratch
  if (!bytes) widenRow(wide, row, k)
  const end = bytes ? row + k : wide + (((k + 15) & ~15) << 1)
  const correction = i32x4.splat(r.weightZeroPoint == 0 ? 0 : r.weightZeroPoint * sumRow(row, k))
  const magic = i32x4.splat(r.magic)
  const zero = i32x4.splat(r.magicMinusZero)
  const low = i8x16.splat(<i8>r.actMin)
  const high = i8x16.splat(<i8>r.actMax)
  let w: usize = r.weights
  let bias: usize = r.bias
  let scale: usize = r.scale
  let n = 0
  while (true) {
    let c0 = i32x4.splat(0)
    let c1 = c0
    let c2 = c0
    let c3 = c0
    let x = bytes ? row : wide
    if (bytes) {
      do {
        const v = v128.load(x)
        c0 = byteStep(c0, v, v128.load(w))
        c1 = byteStep(c1, v, v128.load(w, 16))
        c2 = byteStep(c2, v, v128.load(w, 32))
        c3 = byteStep(c3, v, v128.load(w, 48))
        w += 64
        x += 16
      } while (x < end)
    } else {
      do {
        const x0 = v128.load(x)
        const x1 = v128.load(x, 16)
        c0 = step(c0, x0, x1, v128.load_ext<i8>(w), v128.load_ext<i8>(w, 8))
        c1 = step(c1, x0, x1, v128.load_ext<i8>(w, 16), v128.load_ext<i8>(w, 24))
        c2 = step(c2, x0, x1, v128.load_ext<i8>(w, 32), v128.load_ext<i8>(w, 40))
        c3 = step(c3, x0, x1, v128.load_ext<i8>(w, 48), v128.load_ext<i8>(w, 56))
        w += 64
        x += 32
      } while (x < end)
    }
    const acc = i32x4.sub(i32x4.add(transposeSum(c0, c1, c2, c3), v128.load(bias)), correction)
    const h = i16x8.narrow_i32x4_s(requantize4(acc, v128.load(scale), magic, zero), acc)
    const q = i8x16.min_s(i8x16.max_s(i8x16.narrow_i16x8_s(h, h), low), high)
    if (last < 0) {
      // At most three channels in all.
      store<i8>(out, i8x16.extract_lane_s(q, 0))
      if (outC > 1) store<i8>(out, i8x16.extract_lane_s(q, 1), 1)
      if (outC > 2) store<i8>(out, i8x16.extract_lane_s(q, 2), 2)
      return
    }
    v128.store32_lane(out + n, q, 0)
    if (n >= last) return
    n = min(n + 4, last)
    bias += 16
    scale += 16
  }
}

export function fullyConnected(record: usize, y0: i32, y1: i32): void {
  const r = changetype<FullyConnectedRecord>(record)
  for (let y = y0; y < y1; y++) {
    const x: usize = r.input + y * r.inC
    const out: usize = r.output + y * r.outC
    if (ASC_FEATURE_SIMD && r.scalar != 1) rowSimd(r, x, out)
    else {
      rowByAll(
        x,
        r.inC,
        r.outC,
        r.weights,
        r.bias,
        r.scale,
        r.weightZeroPoint,
        out,
        r.outputZeroPoint,
        r.actMin,
        r.actMax,
      )
    }
  }
}
