/**
 * Depthwise 3x3, stride 1 or 2, along a row dilated with stride 1 only: eight channels of one output row at a time, two
 * input columns a step. Rows 0 and 1 of the window are interleaved for dot_i16x8; row 2 is paired along the columns, so
 * that five dots do the work of nine products. Each input column is loaded and interleaved once: it updates the
 * accumulators of every output it belongs to, and those that it does not complete are carried to the next step.
 *
 * Shapes: input frame [inRows, W, C] i8 with its padding; output [rows, outW, C] i8, C >= 8.
 * Weights: 14 vectors a block of eight channels (src/lower/pack.ts draws them); the last block may overlap.
 * Requires: |acc * scale| <= 2^22. Reads past end: 0..7 bytes, with stride 1 up to tapStep more. Writes: exactly the
 * output rows. SIMD only.
 */
import { DepthwiseRecord } from '../layout'
import { barrier, widen } from '../simd'
import { eachRow, finish, high, low, mac } from './depthwise-row'

/** See eachRow. */
@unmanaged
class Rows {
  row1(r: DepthwiseRecord, p0: usize, p1: usize, p2: usize, p3: usize, p4: usize, y: usize, count: i32): void {
    const c: usize = r.tapStep
    const constants: usize = r.constants
    const clamped = r.clamped
    let w: usize = r.weights
    let bias: usize = r.bias
    let scale: usize = r.scale
    const last: usize = r.channels - 8
    let n: usize = 0
    while (true) {
      let q0 = p0 + n
      let q1 = p1 + n
      let q2 = p2 + n
      let out = y + n
      let x = count
      const b0 = v128.load(bias)
      const b1 = v128.load(bias, 16)
      // Columns 0 and 1 begin outputs a and b.
      let al = b0
      let ah = b1
      let bl = b0
      let bh = b1
      {
        const i = widen(q0)
        const j = widen(q1)
        const k = widen(q0 + c)
        const l = widen(q1 + c)
        const u = low(i, j)
        const v = low(k, l)
        al = mac(mac(al, u, v128.load(w)), v, v128.load(w, 32))
        bl = mac(bl, v, v128.load(w))
        barrier(x, 1)
        const f = high(i, j)
        const g = high(k, l)
        ah = mac(mac(ah, f, v128.load(w, 16)), g, v128.load(w, 48))
        bh = mac(bh, g, v128.load(w, 16))
        barrier(x, 2)
      }
      {
        const i = widen(q2)
        const j = widen(q2 + c)
        const u = low(i, j)
        const v = high(i, j)
        al = mac(al, u, v128.load(w, 96))
        ah = mac(ah, v, v128.load(w, 112))
        bl = mac(bl, u, v128.load(w, 160))
        bh = mac(bh, v, v128.load(w, 176))
        barrier(x, 3)
      }
      while (true) {
        // The next two columns complete a and b and begin outputs n and m.
        q0 += 2 * c
        q1 += 2 * c
        q2 += 2 * c
        let nl = v128.load(bias)
        let nh = v128.load(bias, 16)
        let ml = nl
        let mh = nh
        {
          const i = widen(q0)
          const j = widen(q1)
          const k = widen(q0 + c)
          const l = widen(q1 + c)
          {
            const u = low(i, j)
            const v = low(k, l)
            const w2 = v128.load(w, 64)
            const w1 = v128.load(w, 32)
            const w0 = v128.load(w)
            al = mac(al, u, w2)
            bl = mac(mac(bl, v, w2), u, w1)
            nl = mac(mac(nl, v, w1), u, w0)
            ml = mac(ml, v, w0)
            barrier(x, 4)
          }
          {
            const u = high(i, j)
            const v = high(k, l)
            const w2 = v128.load(w, 80)
            const w1 = v128.load(w, 48)
            const w0 = v128.load(w, 16)
            ah = mac(ah, u, w2)
            bh = mac(mac(bh, v, w2), u, w1)
            nh = mac(mac(nh, v, w1), u, w0)
            mh = mac(mh, v, w0)
            barrier(x, 5)
          }
        }
        {
          const i = widen(q2)
          const j = widen(q2 + c)
          const u = low(i, j)
          const v = high(i, j)
          al = mac(al, u, v128.load(w, 128))
          bl = mac(bl, u, v128.load(w, 192))
          nl = mac(nl, u, v128.load(w, 96))
          ml = mac(ml, u, v128.load(w, 160))
          ah = mac(ah, v, v128.load(w, 144))
          bh = mac(bh, v, v128.load(w, 208))
          nh = mac(nh, v, v128.load(w, 112))
          mh = mac(mh, v, v128.load(w, 176))
          barrier(x, 6)
        }
        const q = finish(constants, clamped, scale, al, ah, bl, bh)
        v128.store64_lane(out, q, 0)
        if (x < 2) break
        v128.store64_lane(out + c, q, 1)
        x -= 2
        if (!x) break
        out += 2 * c
        al = nl
        ah = nh
        bl = ml
        bh = mh
      }
      if (n >= last) break
      n = min(n + 8, last)
      w += 224
      bias += 32
      scale += 32
    }
  }

  row2(r: DepthwiseRecord, p0: usize, p1: usize, p2: usize, p3: usize, p4: usize, y: usize, count: i32): void {
    const c: usize = r.channels
    const constants: usize = r.constants
    const clamped = r.clamped
    let w: usize = r.weights
    let bias: usize = r.bias
    let scale: usize = r.scale
    const last: usize = r.channels - 8
    let n: usize = 0
    while (true) {
      let q0 = p0 + n
      let q1 = p1 + n
      let q2 = p2 + n
      let out = y + n
      let x = count
      // Columns 0 and 1 begin the first output. What one turn carries to the next is summed up in place: copied at its
      // end it would be computed there, behind the stores, from vectors that are spilled until then.
      let nl = v128.load(bias)
      let nh = v128.load(bias, 16)
      {
        const i = widen(q0)
        const j = widen(q1)
        nl = mac(nl, low(i, j), v128.load(w))
        nh = mac(nh, high(i, j), v128.load(w, 16))
      }
      {
        const i = widen(q0 + c)
        const j = widen(q1 + c)
        nl = mac(nl, low(i, j), v128.load(w, 32))
        nh = mac(nh, high(i, j), v128.load(w, 48))
      }
      {
        const i = widen(q2)
        const j = widen(q2 + c)
        nl = mac(nl, low(i, j), v128.load(w, 96))
        nh = mac(nh, high(i, j), v128.load(w, 112))
      }
      while (true) {
        // The next two columns complete a and begin b, the two after them complete b and begin n.
        // Columns that no further output needs are not read: the one before is read again.
        const d: usize = x > 1 ? c : 0
        const o3: usize = 2 * c + d
        const o4: usize = o3 + d
        const o5: usize = x > 2 ? 5 * c : o4
        let al = nl
        let ah = nh
        let bl = v128.load(bias)
        let bh = v128.load(bias, 16)
        nl = bl
        nh = bh
        {
          const i = widen(q0 + 2 * c)
          const j = widen(q1 + 2 * c)
          const k = widen(q0 + o4)
          const l = widen(q1 + o4)
          {
            const u = low(i, j)
            const v = low(k, l)
            const w2 = v128.load(w, 64)
            const w0 = v128.load(w)
            al = mac(al, u, w2)
            bl = mac(mac(bl, v, w2), u, w0)
            nl = mac(nl, v, w0)
            barrier(x, 1)
          }
          {
            const u = high(i, j)
            const v = high(k, l)
            const w2 = v128.load(w, 80)
            const w0 = v128.load(w, 16)
            ah = mac(ah, u, w2)
            bh = mac(mac(bh, v, w2), u, w0)
            nh = mac(nh, v, w0)
            barrier(x, 2)
          }
        }
        {
          const i = widen(q0 + o3)
          const j = widen(q1 + o3)
          const k = widen(q0 + o5)
          const l = widen(q1 + o5)
          const w1 = v128.load(w, 32)
          const w1h = v128.load(w, 48)
          bl = mac(bl, low(i, j), w1)
          nl = mac(nl, low(k, l), w1)
          bh = mac(bh, high(i, j), w1h)
          nh = mac(nh, high(k, l), w1h)
          barrier(x, 3)
        }
        {
          const i = widen(q2 + 2 * c)
          const j = widen(q2 + o3)
          const k = widen(q2 + o4)
          const l = widen(q2 + o5)
          {
            const u = low(i, j)
            const v = low(k, l)
            const w2 = v128.load(w, 128)
            const w0 = v128.load(w, 96)
            al = mac(al, u, w2)
            bl = mac(mac(bl, v, w2), u, w0)
            nl = mac(nl, v, w0)
            barrier(x, 4)
          }
          {
            const u = high(i, j)
            const v = high(k, l)
            const w2 = v128.load(w, 144)
            const w0 = v128.load(w, 112)
            ah = mac(ah, u, w2)
            bh = mac(mac(bh, v, w2), u, w0)
            nh = mac(nh, v, w0)
            barrier(x, 5)
          }
        }
        q0 += 4 * c
        q1 += 4 * c
        q2 += 4 * c
        const q = finish(constants, clamped, scale, al, ah, bl, bh)
        v128.store64_lane(out, q, 0)
        if (x < 2) break
        v128.store64_lane(out + c, q, 1)
        x -= 2
        if (!x) break
        out += 2 * c
      }
      if (n >= last) break
      n = min(n + 8, last)
      w += 224
      bias += 32
      scale += 32
    }
  }
}

export function depthwise3x3(record: usize, y0: i32, y1: i32): void {
  if (!ASC_FEATURE_SIMD) return
  eachRow<Rows>(record, y0, y1, 3)
}
