/**
 * Depthwise 5x5, stride 1 or 2, along a row dilated with stride 1 only: four channels of one output row at a time, two
 * input columns a step. Rows 0 and 1 of the window are interleaved for dot_i16x8, so are rows 2 and 3; row 4 is paired
 * along the columns: thirteen dots do the work of 25 products. Each input column is loaded and interleaved once: it
 * updates the accumulators of every output it belongs to, and those that it does not complete are carried to the next
 * step.
 *
 * Shapes: input frame [inRows, W, C] i8 with its padding; output [rows, outW, C] i8, C >= 4.
 * Weights: 16 vectors a block of four channels (src/lower/pack.ts draws them), bias and scale four a block; the last
 * block may overlap.
 * Requires: |acc * scale| <= 2^22. Reads past end: as src/lower/depthwise-forms.ts says. Writes: exactly the output
 * rows. SIMD only.
 */
import { DepthwiseRecord } from '../layout'
import { barrier, requantize4, widen } from '../simd'
import { eachRow, finish as finish8, high, low, mac } from './depthwise-row'

/** Four channels at `p` and at `q` in turn, widened. */
// @ts-ignore: decorator
@inline
function zip(p: usize, q: usize): v128 {
  return i16x8.extend_low_i8x16_s(
    v128.shuffle<i8>(v128.load32_zero(p), v128.load32_zero(q), 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23),
  )
}
/** Requantizes and clamps two pixels of four channels: lanes 0 and 1. */
// @ts-ignore: decorator
@inline
function finish(constants: usize, clamped: i32, scale: usize, a: v128, b: v128): v128 {
  const magic = v128.load(constants)
  const zero = v128.load(constants, 16)
  const s = v128.load(scale)
  const h = i16x8.narrow_i32x4_s(requantize4(a, s, magic, zero), requantize4(b, s, magic, zero))
  const q = i8x16.narrow_i16x8_s(h, h)
  return clamped ? i8x16.min_s(i8x16.max_s(q, v128.load(constants, 32)), v128.load(constants, 48)) : q
}

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
    const last: usize = r.channels - 4
    let n: usize = 0
    while (true) {
      let q0 = p0 + n
      let q1 = p1 + n
      let q2 = p2 + n
      let q3 = p3 + n
      let q4 = p4 + n
      let out = y + n
      // Outputs e, f, g, h begin left of the next two columns; those before the first output are not stored.
      let e = v128.load(bias)
      let f = e
      let g = e
      let h = e
      let x = count + 4
      while (true) {
        let m = v128.load(bias)
        let n = m
        {
          const u = zip(q0, q1)
          const v = zip(q0 + c, q1 + c)
          const w4 = v128.load(w, 64)
          e = mac(e, u, w4)
          const w3 = v128.load(w, 48)
          f = mac(mac(f, v, w4), u, w3)
          const w2 = v128.load(w, 32)
          g = mac(mac(g, v, w3), u, w2)
          const w1 = v128.load(w, 16)
          h = mac(mac(h, v, w2), u, w1)
          const w0 = v128.load(w)
          m = mac(mac(m, v, w1), u, w0)
          n = mac(n, v, w0)
          barrier(x, 1)
        }
        {
          const u = zip(q2, q3)
          const v = zip(q2 + c, q3 + c)
          const w4 = v128.load(w, 144)
          e = mac(e, u, w4)
          const w3 = v128.load(w, 128)
          f = mac(mac(f, v, w4), u, w3)
          const w2 = v128.load(w, 112)
          g = mac(mac(g, v, w3), u, w2)
          const w1 = v128.load(w, 96)
          h = mac(mac(h, v, w2), u, w1)
          const w0 = v128.load(w, 80)
          m = mac(mac(m, v, w1), u, w0)
          n = mac(n, v, w0)
          barrier(x, 2)
        }
        {
          const s = zip(q4, q4 + c)
          e = mac(e, s, v128.load(w, 160))
          f = mac(f, s, v128.load(w, 176))
          g = mac(g, s, v128.load(w, 192))
          h = mac(h, s, v128.load(w, 208))
          m = mac(m, s, v128.load(w, 224))
          n = mac(n, s, v128.load(w, 240))
          barrier(x, 3)
        }
        if (x <= count) {
          const q = finish(constants, clamped, scale, e, f)
          v128.store32_lane(out, q, 0)
          if (x < 2) break
          v128.store32_lane(out + c, q, 1)
          out += 2 * c
        }
        x -= 2
        if (!x) break
        e = g
        f = h
        g = m
        h = n
        q0 += 2 * c
        q1 += 2 * c
        q2 += 2 * c
        q3 += 2 * c
        q4 += 2 * c
      }
      if (n >= last) break
      n = min(n + 4, last)
      w += 256
      bias += 16
      scale += 16
    }
  }

  /** Two columns a step, each completes an output. */
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
      let q3 = p3 + n
      let q4 = p4 + n
      let out = y + n
      let el = v128.load(bias)
      let eh = v128.load(bias, 16)
      let fl = el
      let fh = eh
      // Steps: two before the first output is complete.
      let x = count + 2
      while (true) {
        let ml = v128.load(bias)
        let mh = v128.load(bias, 16)
        {
          const i = widen(q0)
          const j = widen(q1)
          const k = widen(q0 + c)
          const l = widen(q1 + c)
          {
            const u = low(i, j)
            const v = low(k, l)
            el = mac(el, u, v128.load(w, 128))
            fl = mac(mac(fl, u, v128.load(w, 64)), v, v128.load(w, 96))
            ml = mac(mac(ml, u, v128.load(w, 0)), v, v128.load(w, 32))
            barrier(x, 1)
          }
          {
            const u = high(i, j)
            const v = high(k, l)
            eh = mac(eh, u, v128.load(w, 144))
            fh = mac(mac(fh, u, v128.load(w, 80)), v, v128.load(w, 112))
            mh = mac(mac(mh, u, v128.load(w, 16)), v, v128.load(w, 48))
            barrier(x, 2)
          }
        }
        {
          const i = widen(q2)
          const j = widen(q3)
          const k = widen(q2 + c)
          const l = widen(q3 + c)
          {
            const u = low(i, j)
            const v = low(k, l)
            el = mac(el, u, v128.load(w, 288))
            fl = mac(mac(fl, u, v128.load(w, 224)), v, v128.load(w, 256))
            ml = mac(mac(ml, u, v128.load(w, 160)), v, v128.load(w, 192))
            barrier(x, 3)
          }
          {
            const u = high(i, j)
            const v = high(k, l)
            eh = mac(eh, u, v128.load(w, 304))
            fh = mac(mac(fh, u, v128.load(w, 240)), v, v128.load(w, 272))
            mh = mac(mac(mh, u, v128.load(w, 176)), v, v128.load(w, 208))
            barrier(x, 4)
          }
        }
        {
          const i = widen(q4)
          const j = widen(q4 + c)
          const sl = low(i, j)
          el = mac(el, sl, v128.load(w, 320))
          fl = mac(fl, sl, v128.load(w, 352))
          ml = mac(ml, sl, v128.load(w, 384))
          const sh = high(i, j)
          eh = mac(eh, sh, v128.load(w, 336))
          fh = mac(fh, sh, v128.load(w, 368))
          mh = mac(mh, sh, v128.load(w, 400))
          barrier(x, 5)
        }
        if (x <= count) {
          v128.store64_lane(out, finish8(constants, clamped, scale, el, eh, el, eh), 0)
          out += c
        }
        x--
        if (!x) break
        el = fl
        eh = fh
        fl = ml
        fh = mh
        q0 += 2 * c
        q1 += 2 * c
        q2 += 2 * c
        q3 += 2 * c
        q4 += 2 * c
      }
      if (n >= last) break
      n = min(n + 8, last)
      w += 416
      bias += 32
      scale += 32
    }
  }
}

export function depthwise5x5(record: usize, y0: i32, y1: i32): void {
  if (!ASC_FEATURE_SIMD) return
  eachRow<Rows>(record, y0, y1, 5)
}
