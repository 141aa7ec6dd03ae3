/**
 * Depthwise 3x3 like depthwise3x3.ts, by products of 8-bit values, two of which are added in 16 bits and then pairwise
 * into 32 (smull, smlal, sadalp on arm64): rows 0 and 1 of a column lie interleaved (z), and so do two columns of row 2
 * (y).
 *
 * Shapes: as depthwise3x3.ts. Weights: seven vectors a block of eight channels, [7][8 channels][2] i8, taps (row,
 * column) (0,0) (1,0) | (0,1) (1,1) | (0,2) (1,2) | (2,0) (2,1) | (2,2) 0 | 0 (2,0) | (2,1) (2,2); the last block may
 * overlap.
 * Weights are raw: weightZeroPoint, in -127..127, is taken from them here.
 * Requires: |acc * scale| <= 2^22; no two weights that meet in one 16-bit sum both -128 (src/lower/depthwise-forms.ts
 * checks).
 * Reads past end: as src/lower/depthwise-forms.ts says, and 7 bytes of input. Writes: exactly the output rows. SIMD
 * only.
 */
import { DepthwiseRecord } from '../layout'
import { eachRow, finish } from './depthwise-row'

/** Eight bytes of each in turn. */
// @ts-ignore: decorator
@inline
function zip(a: usize, b: usize): v128 {
  return v128.shuffle<i8>(
    v128.load64_zero(a),
    v128.load64_zero(b),
    0,
    16,
    1,
    17,
    2,
    18,
    3,
    19,
    4,
    20,
    5,
    21,
    6,
    22,
    7,
    23,
  )
}
/** acc + pair sums of a * v + b * w: channels 0-3. */
// @ts-ignore: decorator
@inline
function low2(acc: v128, a: v128, v: v128, b: v128, w: v128): v128 {
  return i32x4.add(
    acc,
    i32x4.extadd_pairwise_i16x8_s(i16x8.add(i16x8.extmul_low_i8x16_s(a, v), i16x8.extmul_low_i8x16_s(b, w))),
  )
}
// @ts-ignore: decorator
@inline
function high2(acc: v128, a: v128, v: v128, b: v128, w: v128): v128 {
  return i32x4.add(
    acc,
    i32x4.extadd_pairwise_i16x8_s(i16x8.add(i16x8.extmul_high_i8x16_s(a, v), i16x8.extmul_high_i8x16_s(b, w))),
  )
}
// @ts-ignore: decorator
@inline
function low1(acc: v128, a: v128, v: v128): v128 {
  return i32x4.add(acc, i32x4.extadd_pairwise_i16x8_s(i16x8.extmul_low_i8x16_s(a, v)))
}
// @ts-ignore: decorator
@inline
function high1(acc: v128, a: v128, v: v128): v128 {
  return i32x4.add(acc, i32x4.extadd_pairwise_i16x8_s(i16x8.extmul_high_i8x16_s(a, v)))
}

/** See eachRow. */
@unmanaged
class Rows {
  row1(r: DepthwiseRecord, p0: usize, p1: usize, p2: usize, p3: usize, p4: usize, y: usize, count: i32): void {
    const c: usize = r.tapStep
    const constants: usize = r.constants
    const zero = r.weightZeroPoint
    const k = i8x16.splat(<i8>-zero)
    const k0 = v128.and(k, i16x8.splat(0xff))
    const kk = v128.andnot(k, i16x8.splat(0xff))
    let w: usize = r.weights
    let bias: usize = r.bias
    let scale: usize = r.scale
    const last: usize = r.channels - 8
    let n: usize = 0
    while (true) {
      const z0 = v128.load(w)
      const z1 = v128.load(w, 16)
      const z2 = v128.load(w, 32)
      const y01 = v128.load(w, 48)
      const y2 = v128.load(w, 64)
      const y0 = v128.load(w, 80)
      const y12 = v128.load(w, 96)
      const bl = v128.load(bias)
      const bh = v128.load(bias, 16)
      let q0 = p0 + n
      let q1 = p1 + n
      let q2 = p2 + n
      let out = y + n
      // Outputs a and m, left of the next columns; those before the first output are not stored.
      let al = bl
      let ah = bh
      let ml = bl
      let mh = bh
      let x = count + 2
      while (true) {
        const u = zip(q0, q1)
        const v = zip(q0 + c, q1 + c)
        const s = zip(q2, q2 + c)
        al = low2(al, u, z2, s, y2)
        ah = high2(ah, u, z2, s, y2)
        ml = low1(low2(ml, u, z1, v, z2), s, y12)
        mh = high1(high2(mh, u, z1, v, z2), s, y12)
        let nl = low1(low2(bl, u, z0, v, z1), s, y01)
        let nh = high1(high2(bh, u, z0, v, z1), s, y01)
        let ol = low2(bl, v, z0, s, y0)
        let oh = high2(bh, v, z0, s, y0)
        if (zero) {
          al = low2(al, u, k, s, k0)
          ah = high2(ah, u, k, s, k0)
          ml = low1(low2(ml, u, k, v, k), s, k)
          mh = high1(high2(mh, u, k, v, k), s, k)
          nl = low1(low2(nl, u, k, v, k), s, k)
          nh = high1(high2(nh, u, k, v, k), s, k)
          ol = low2(ol, v, k, s, kk)
          oh = high2(oh, v, k, s, kk)
        }
        if (x <= count) {
          const q = finish(constants, 1, scale, al, ah, ml, mh)
          v128.store64_lane(out, q, 0)
          if (x < 2) break
          v128.store64_lane(out + c, q, 1)
          out += 2 * c
        }
        x -= 2
        if (!x) break
        al = nl
        ah = nh
        ml = ol
        mh = oh
        q0 += 2 * c
        q1 += 2 * c
        q2 += 2 * c
      }
      if (n >= last) break
      n = min(n + 8, last)
      w += 112
      bias += 32
      scale += 32
    }
  }

  /** Four columns a step. */
  row2(r: DepthwiseRecord, p0: usize, p1: usize, p2: usize, p3: usize, p4: usize, y: usize, count: i32): void {
    const c: usize = r.channels
    const constants: usize = r.constants
    const zero = r.weightZeroPoint
    const k = i8x16.splat(<i8>-zero)
    const k0 = v128.and(k, i16x8.splat(0xff))
    let w: usize = r.weights
    let bias: usize = r.bias
    let scale: usize = r.scale
    const last: usize = r.channels - 8
    let n: usize = 0
    while (true) {
      const z0 = v128.load(w)
      const z1 = v128.load(w, 16)
      const z2 = v128.load(w, 32)
      const y01 = v128.load(w, 48)
      const y2 = v128.load(w, 64)
      let q0 = p0 + n
      let q1 = p1 + n
      let q2 = p2 + n
      let out = y + n
      let x = count
      let u = zip(q0, q1)
      let v = zip(q0 + c, q1 + c)
      let s = zip(q2, q2 + c)
      while (true) {
        q0 += 2 * c
        q1 += 2 * c
        q2 += 2 * c
        const i = zip(q0, q1)
        const j = zip(q0 + c, q1 + c)
        const t = zip(q2, q2 + c)
        const bl = v128.load(bias)
        const bh = v128.load(bias, 16)
        let al = low1(low2(low2(bl, u, z0, v, z1), i, z2, s, y01), t, y2)
        let ah = high1(high2(high2(bh, u, z0, v, z1), i, z2, s, y01), t, y2)
        if (zero) {
          al = low1(low2(low2(al, u, k, v, k), i, k, s, k), t, k0)
          ah = high1(high2(high2(ah, u, k, v, k), i, k, s, k), t, k0)
        }
        q0 += 2 * c
        q1 += 2 * c
        q2 += 2 * c
        u = zip(q0, q1)
        v = zip(q0 + c, q1 + c)
        s = zip(q2, q2 + c)
        let ml = low1(low2(low2(bl, i, z0, j, z1), u, z2, t, y01), s, y2)
        let mh = high1(high2(high2(bh, i, z0, j, z1), u, z2, t, y01), s, y2)
        if (zero) {
          ml = low1(low2(low2(ml, i, k, j, k), u, k, t, k), s, k0)
          mh = high1(high2(high2(mh, i, k, j, k), u, k, t, k), s, k0)
        }
        const q = finish(constants, 1, scale, al, ah, ml, mh)
        v128.store64_lane(out, q, 0)
        if (x < 2) break
        v128.store64_lane(out + c, q, 1)
        x -= 2
        if (!x) break
        out += 2 * c
      }
      if (n >= last) break
      n = min(n + 8, last)
      w += 112
      bias += 32
      scale += 32
    }
  }
}

export function depthwise3x3Products(record: usize, y0: i32, y1: i32): void {
  if (!ASC_FEATURE_SIMD) return
  eachRow<Rows>(record, y0, y1, 3)
}
