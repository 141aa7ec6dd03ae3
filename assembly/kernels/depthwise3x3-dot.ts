/**
 * Depthwise 3x3 like depthwise3x3.ts, by i32x4.relaxed_dot_i8x16_i7x16_add_s: each input column of three rows is
 * transposed once to four bytes a channel (the fourth counts for nothing) and updates every output that it belongs to.
 * For engines whose relaxed dot product is signed (src/kernels/kernels.ts proves it), in the relaxed binary only.
 *
 * Shapes: as depthwise3x3.ts. Weights: six vectors a block of eight channels, [3 columns][8 channels][4] i8: three rows
 * and a zero; the last block may overlap. Weights are raw: weightZeroPoint, in -127..127, is taken from them here.
 * Requires: |acc * scale| <= 2^22; weights of rows 0 and 1 of a column not both -128.
 * Reads past end: as src/lower/depthwise-forms.ts says, and 7 bytes of input. Writes: exactly the output rows.
 */
import { DepthwiseRecord } from '../layout'
import { eachRow, finish, high, low } from './depthwise-row'

// @ts-ignore: decorator
@inline
function dot(acc: v128, x: v128, w: v128): v128 {
  return i32x4.relaxed_dot_i8x16_i7x16_add_s(w, x, acc)
}
/** Bytes of two rows in turn, eight of each. */
// @ts-ignore: decorator
@inline
function zip8(a: v128, b: v128): v128 {
  return v128.shuffle<i8>(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
}

/** See eachRow. */
@unmanaged
class Rows {
  row1(r: DepthwiseRecord, p0: usize, p1: usize, p2: usize, p3: usize, p4: usize, y: usize, count: i32): void {
    const c: usize = r.tapStep
    const constants: usize = r.constants
    const zero = r.weightZeroPoint
    // Minus the zero point for each of the three rows.
    const z = v128.and(i8x16.splat(<i8>-zero), i32x4.splat(0xffffff))
    let w: usize = r.weights
    let bias: usize = r.bias
    let scale: usize = r.scale
    const last: usize = r.channels - 8
    let n: usize = 0
    while (true) {
      const w0l = v128.load(w)
      const w0h = v128.load(w, 16)
      const w1l = v128.load(w, 32)
      const w1h = v128.load(w, 48)
      const w2l = v128.load(w, 64)
      const w2h = v128.load(w, 80)
      const bl = v128.load(bias)
      const bh = v128.load(bias, 16)
      let q0 = p0 + n
      let q1 = p1 + n
      let q2 = p2 + n
      let out = y + n
      // Outputs a and b, left of the next columns; those before the first output are not stored.
      let al = bl
      let ah = bh
      let ml = bl
      let mh = bh
      let x = count + 2
      while (true) {
        const e = zip8(v128.load64_zero(q0), v128.load64_zero(q1))
        const f = v128.load64_zero(q2)
        const g = zip8(v128.load64_zero(q0 + c), v128.load64_zero(q1 + c))
        const h = v128.load64_zero(q2 + c)
        const ff = zip8(f, f)
        const hh = zip8(h, h)
        const ul = low(e, ff)
        const uh = high(e, ff)
        const vl = low(g, hh)
        const vh = high(g, hh)
        al = dot(al, ul, w2l)
        ah = dot(ah, uh, w2h)
        ml = dot(dot(ml, ul, w1l), vl, w2l)
        mh = dot(dot(mh, uh, w1h), vh, w2h)
        let nl = dot(dot(bl, ul, w0l), vl, w1l)
        let nh = dot(dot(bh, uh, w0h), vh, w1h)
        let ol = dot(bl, vl, w0l)
        let oh = dot(bh, vh, w0h)
        if (zero) {
          al = dot(al, ul, z)
          ah = dot(ah, uh, z)
          ml = dot(dot(ml, ul, z), vl, z)
          mh = dot(dot(mh, uh, z), vh, z)
          nl = dot(dot(nl, ul, z), vl, z)
          nh = dot(dot(nh, uh, z), vh, z)
          ol = dot(ol, vl, z)
          oh = dot(oh, vh, z)
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
      w += 96
      bias += 32
      scale += 32
    }
  }

  /** Two outputs of five columns a step, the fifth is the next step's first. */
  row2(r: DepthwiseRecord, p0: usize, p1: usize, p2: usize, p3: usize, p4: usize, y: usize, count: i32): void {
    const c: usize = r.channels
    const constants: usize = r.constants
    const zero = r.weightZeroPoint
    const z = v128.and(i8x16.splat(<i8>-zero), i32x4.splat(0xffffff))
    let w: usize = r.weights
    let bias: usize = r.bias
    let scale: usize = r.scale
    const last: usize = r.channels - 8
    let n: usize = 0
    while (true) {
      const w0l = v128.load(w)
      const w0h = v128.load(w, 16)
      const w1l = v128.load(w, 32)
      const w1h = v128.load(w, 48)
      const w2l = v128.load(w, 64)
      const w2h = v128.load(w, 80)
      const bl = v128.load(bias)
      const bh = v128.load(bias, 16)
      let q0 = p0 + n
      let q1 = p1 + n
      let q2 = p2 + n
      let out = y + n
      let x = count
      let e = zip8(v128.load64_zero(q0), v128.load64_zero(q1))
      let f = v128.load64_zero(q2)
      f = zip8(f, f)
      let ul = low(e, f)
      let uh = high(e, f)
      while (true) {
        let al = dot(bl, ul, w0l)
        let ah = dot(bh, uh, w0h)
        if (zero) {
          al = dot(al, ul, z)
          ah = dot(ah, uh, z)
        }
        e = zip8(v128.load64_zero(q0 + c), v128.load64_zero(q1 + c))
        f = v128.load64_zero(q2 + c)
        f = zip8(f, f)
        let vl = low(e, f)
        let vh = high(e, f)
        q0 += 2 * c
        q1 += 2 * c
        q2 += 2 * c
        e = zip8(v128.load64_zero(q0), v128.load64_zero(q1))
        f = v128.load64_zero(q2)
        f = zip8(f, f)
        ul = low(e, f)
        uh = high(e, f)
        al = dot(dot(al, vl, w1l), ul, w2l)
        ah = dot(dot(ah, vh, w1h), uh, w2h)
        let ml = dot(bl, ul, w0l)
        let mh = dot(bh, uh, w0h)
        if (zero) {
          al = dot(dot(al, vl, z), ul, z)
          ah = dot(dot(ah, vh, z), uh, z)
          ml = dot(ml, ul, z)
          mh = dot(mh, uh, z)
        }
        e = zip8(v128.load64_zero(q0 + c), v128.load64_zero(q1 + c))
        f = v128.load64_zero(q2 + c)
        f = zip8(f, f)
        vl = low(e, f)
        vh = high(e, f)
        q0 += 2 * c
        q1 += 2 * c
        q2 += 2 * c
        e = zip8(v128.load64_zero(q0), v128.load64_zero(q1))
        f = v128.load64_zero(q2)
        f = zip8(f, f)
        ul = low(e, f)
        uh = high(e, f)
        ml = dot(dot(ml, vl, w1l), ul, w2l)
        mh = dot(dot(mh, vh, w1h), uh, w2h)
        if (zero) {
          ml = dot(dot(ml, vl, z), ul, z)
          mh = dot(dot(mh, vh, z), uh, z)
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
      w += 96
      bias += 32
      scale += 32
    }
  }
}

export function depthwise3x3Dot(record: usize, y0: i32, y1: i32): void {
  if (!ASC_FEATURE_RELAXED_SIMD) return
  eachRow<Rows>(record, y0, y1, 3)
}
