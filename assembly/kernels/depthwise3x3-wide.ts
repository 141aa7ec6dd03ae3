/**
 * Depthwise 3x3, stride 1, sixteen channels at a time, for V8's revectorizer (see gemm-4x16.ts): as depthwise3x3.ts,
 * but each vector comes twice, for channels 0-7 and 8-15 of the block, and pairs of taps are put together by masks and
 * shifts, which the revectorizer knows, instead of shuffles, which it does not: even channels apart from odd ones. In
 * the fast binary only.
 *
 * Shapes: input frame [inRows, W, C] i8 with its padding; output [rows, outW, C] i8, C >= 16.
 * Weights: 7 pairs of taps a block of sixteen channels, each even channels then odd ones (src/lower/pack.ts); bias and
 * scale likewise even channels first. The last block may overlap. Scratch: 32 bytes.
 * Requires: |acc * scale| <= 2^22. Reads past end: up to tapStep. Writes: exactly the output rows.
 */
import { DepthwiseRecord } from '../layout'
import { barrier, requantize4 } from '../simd'
import { eachRow, mac } from './depthwise-row'

/** Low halves of the lanes of `a`, beside low halves of those of `b`. */
// @ts-ignore: decorator
@inline
function even(a: v128, b: v128, mask: v128): v128 {
  return v128.or(v128.and(a, mask), i32x4.shl(b, 16))
}
/** High halves. */
// @ts-ignore: decorator
@inline
function odd(a: v128, b: v128, mask: v128): v128 {
  return v128.or(i32x4.shr_u(a, 16), v128.andnot(b, mask))
}
/** Channels 0-7 of the sixteen at q + 16, widened; the offset lets the revectorizer see that `upper` are the next. */
// @ts-ignore: decorator
@inline
function lower(q: usize): v128 {
  return v128.load_ext<i8>(q, 16)
}
// @ts-ignore: decorator
@inline
function upper(q: usize): v128 {
  return v128.load_ext<i8>(q, 24)
}
/** Eight channels of two pixels in order, from four even and four odd ones of each. */
// @ts-ignore: decorator
@inline
function inOrder(q: v128): v128 {
  const t = v128.shuffle<i32>(q, q, 0, 2, 1, 3)
  return v128.shuffle<i8>(
    t,
    v128.shuffle<i32>(t, t, 2, 3, 2, 3),
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

/** See eachRow. */
@unmanaged
class Rows {
  row1(r: DepthwiseRecord, p0: usize, p1: usize, p2: usize, p3: usize, p4: usize, y: usize, count: i32): void {
    const c: usize = r.tapStep
    const constants: usize = r.constants
    const clamped = r.clamped
    const seed: usize = r.scratch
    let w: usize = r.weights
    let bias: usize = r.bias
    let scale: usize = r.scale
    const last: usize = r.channels - 16
    let n: usize = 0
    while (true) {
      let q0 = p0 + n - 16
      let q1 = p1 + n - 16
      let q2 = p2 + n - 16
      let out = y + n
      let x = count
      const mask = v128.load(seed, 32)
      // Columns 0 and 1 begin outputs a and b. e, o: even and odd channels; 0, 1: of the lower and the upper eight.
      let ae0 = v128.load(bias)
      let ae1 = v128.load(bias, 16)
      let ao0 = v128.load(bias, 32)
      let ao1 = v128.load(bias, 48)
      let be0 = ae0
      let be1 = ae1
      let bo0 = ao0
      let bo1 = ao1
      {
        const i0 = lower(q0)
        const i1 = upper(q0)
        const j0 = lower(q1)
        const j1 = upper(q1)
        const k0 = lower(q0 + c)
        const k1 = upper(q0 + c)
        const l0 = lower(q1 + c)
        const l1 = upper(q1 + c)
        const u0 = even(i0, j0, mask)
        const u1 = even(i1, j1, mask)
        const v0 = even(k0, l0, mask)
        const v1 = even(k1, l1, mask)
        ae0 = mac(mac(ae0, u0, v128.load(w)), v0, v128.load(w, 64))
        ae1 = mac(mac(ae1, u1, v128.load(w, 16)), v1, v128.load(w, 80))
        be0 = mac(be0, v0, v128.load(w))
        be1 = mac(be1, v1, v128.load(w, 16))
        const f0 = odd(i0, j0, mask)
        const f1 = odd(i1, j1, mask)
        const g0 = odd(k0, l0, mask)
        const g1 = odd(k1, l1, mask)
        ao0 = mac(mac(ao0, f0, v128.load(w, 32)), g0, v128.load(w, 96))
        ao1 = mac(mac(ao1, f1, v128.load(w, 48)), g1, v128.load(w, 112))
        bo0 = mac(bo0, g0, v128.load(w, 32))
        bo1 = mac(bo1, g1, v128.load(w, 48))
        barrier(x, 1)
      }
      {
        const i0 = lower(q2)
        const i1 = upper(q2)
        const j0 = lower(q2 + c)
        const j1 = upper(q2 + c)
        const u0 = even(i0, j0, mask)
        const u1 = even(i1, j1, mask)
        const v0 = odd(i0, j0, mask)
        const v1 = odd(i1, j1, mask)
        ae0 = mac(ae0, u0, v128.load(w, 192))
        ae1 = mac(ae1, u1, v128.load(w, 208))
        ao0 = mac(ao0, v0, v128.load(w, 224))
        ao1 = mac(ao1, v1, v128.load(w, 240))
        be0 = mac(be0, u0, v128.load(w, 320))
        be1 = mac(be1, u1, v128.load(w, 336))
        bo0 = mac(bo0, v0, v128.load(w, 352))
        bo1 = mac(bo1, v1, v128.load(w, 368))
        barrier(x, 2)
      }
      while (true) {
        // The next two columns complete a and b and begin outputs n and m.
        q0 += 2 * c
        q1 += 2 * c
        q2 += 2 * c
        let ne0 = v128.load(bias)
        let ne1 = v128.load(bias, 16)
        let no0 = v128.load(bias, 32)
        let no1 = v128.load(bias, 48)
        let me0 = ne0
        let me1 = ne1
        let mo0 = no0
        let mo1 = no1
        {
          const i0 = lower(q0)
          const i1 = upper(q0)
          const j0 = lower(q1)
          const j1 = upper(q1)
          const k0 = lower(q0 + c)
          const k1 = upper(q0 + c)
          const l0 = lower(q1 + c)
          const l1 = upper(q1 + c)
          {
            const u0 = even(i0, j0, mask)
            const u1 = even(i1, j1, mask)
            const v0 = even(k0, l0, mask)
            const v1 = even(k1, l1, mask)
            const x0 = v128.load(w)
            const x1 = v128.load(w, 16)
            const y0 = v128.load(w, 64)
            const y1 = v128.load(w, 80)
            const z0 = v128.load(w, 128)
            const z1 = v128.load(w, 144)
            ae0 = mac(ae0, u0, z0)
            ae1 = mac(ae1, u1, z1)
            be0 = mac(mac(be0, v0, z0), u0, y0)
            be1 = mac(mac(be1, v1, z1), u1, y1)
            ne0 = mac(mac(ne0, v0, y0), u0, x0)
            ne1 = mac(mac(ne1, v1, y1), u1, x1)
            me0 = mac(me0, v0, x0)
            me1 = mac(me1, v1, x1)
            barrier(x, 3)
          }
          {
            const u0 = odd(i0, j0, mask)
            const u1 = odd(i1, j1, mask)
            const v0 = odd(k0, l0, mask)
            const v1 = odd(k1, l1, mask)
            const x0 = v128.load(w, 32)
            const x1 = v128.load(w, 48)
            const y0 = v128.load(w, 96)
            const y1 = v128.load(w, 112)
            const z0 = v128.load(w, 160)
            const z1 = v128.load(w, 176)
            ao0 = mac(ao0, u0, z0)
            ao1 = mac(ao1, u1, z1)
            bo0 = mac(mac(bo0, v0, z0), u0, y0)
            bo1 = mac(mac(bo1, v1, z1), u1, y1)
            no0 = mac(mac(no0, v0, y0), u0, x0)
            no1 = mac(mac(no1, v1, y1), u1, x1)
            mo0 = mac(mo0, v0, x0)
            mo1 = mac(mo1, v1, x1)
            barrier(x, 4)
          }
        }
        {
          const i0 = lower(q2)
          const i1 = upper(q2)
          const j0 = lower(q2 + c)
          const j1 = upper(q2 + c)
          const u0 = even(i0, j0, mask)
          const u1 = even(i1, j1, mask)
          const v0 = odd(i0, j0, mask)
          const v1 = odd(i1, j1, mask)
          ae0 = mac(ae0, u0, v128.load(w, 256))
          ae1 = mac(ae1, u1, v128.load(w, 272))
          be0 = mac(be0, u0, v128.load(w, 384))
          be1 = mac(be1, u1, v128.load(w, 400))
          ne0 = mac(ne0, u0, v128.load(w, 192))
          ne1 = mac(ne1, u1, v128.load(w, 208))
          me0 = mac(me0, u0, v128.load(w, 320))
          me1 = mac(me1, u1, v128.load(w, 336))
          ao0 = mac(ao0, v0, v128.load(w, 288))
          ao1 = mac(ao1, v1, v128.load(w, 304))
          bo0 = mac(bo0, v0, v128.load(w, 416))
          bo1 = mac(bo1, v1, v128.load(w, 432))
          no0 = mac(no0, v0, v128.load(w, 224))
          no1 = mac(no1, v1, v128.load(w, 240))
          mo0 = mac(mo0, v0, v128.load(w, 352))
          mo1 = mac(mo1, v1, v128.load(w, 368))
          barrier(x, 5)
        }
        const magic = v128.load(constants)
        const zero = v128.load(constants, 16)
        const se0 = v128.load(scale)
        const se1 = v128.load(scale, 16)
        const so0 = v128.load(scale, 32)
        const so1 = v128.load(scale, 48)
        let r0 = i8x16.narrow_i16x8_s(
          i16x8.narrow_i32x4_s(requantize4(ae0, se0, magic, zero), requantize4(ao0, so0, magic, zero)),
          i16x8.narrow_i32x4_s(requantize4(be0, se0, magic, zero), requantize4(bo0, so0, magic, zero)),
        )
        let r1 = i8x16.narrow_i16x8_s(
          i16x8.narrow_i32x4_s(requantize4(ae1, se1, magic, zero), requantize4(ao1, so1, magic, zero)),
          i16x8.narrow_i32x4_s(requantize4(be1, se1, magic, zero), requantize4(bo1, so1, magic, zero)),
        )
        // These stores are where the revectorizer starts to pair from; nobody reads them.
        v128.store(seed, r1, 16)
        v128.store(seed, r0)
        if (clamped) {
          const low = v128.load(constants, 32)
          const high = v128.load(constants, 48)
          r0 = i8x16.min_s(i8x16.max_s(r0, low), high)
          r1 = i8x16.min_s(i8x16.max_s(r1, low), high)
        }
        r0 = inOrder(r0)
        r1 = inOrder(r1)
        v128.store64_lane(out, r0, 0)
        v128.store64_lane(out, r1, 0, 8)
        if (x < 2) break
        v128.store64_lane(out + c, r0, 1)
        v128.store64_lane(out + c, r1, 1, 8)
        x -= 2
        if (!x) break
        out += 2 * c
        ae0 = ne0
        ae1 = ne1
        ao0 = no0
        ao1 = no1
        be0 = me0
        be1 = me1
        bo0 = mo0
        bo1 = mo1
      }
      if (n >= last) break
      n = min(n + 16, last)
      w += 448
      bias += 64
      scale += 64
    }
  }
}

export function depthwise3x3Wide(record: usize, y0: i32, y1: i32): void {
  // Behind the 32 bytes that nobody reads: low halves of four lanes, in memory so that no engine rematerialises them.
  v128.store(changetype<DepthwiseRecord>(record).scratch, i32x4.splat(0xffff), 32)
  eachRow<Rows>(record, y0, y1, 3)
}
