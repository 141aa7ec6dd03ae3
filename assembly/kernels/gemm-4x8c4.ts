/**
 * GEMM form 13, 4x8 in bytes: four pixels by eight channels, four k a step by relaxed dot products that take weights as
 * signed and activations as unsigned without saturation: VPDPBUSD. Activations are packed plus 128, which the bias
 * takes off again.
 *
 * Shapes: panel [K/4][4 pixels][4] u8, weights [N/8][K/4][8][4] i8, segments of K padded to 4 by weights of zero; bias
 * and scale eight a panel. Weights have no zero point. Relaxed SIMD only.
 */
import { ConvRecord, SLOT_BYTES, TILE_BYTES } from '../layout'
import { dotAdd, HAS_DOT } from '../dot'
import { finish4x8, finish8, requantize4 } from '../simd'
import { isSingle } from './tile'

/** Packs `bytes` int8 of four rows plus 128 to [k/4][4][4] u8, sixteen k a step. */
// @ts-ignore: decorator
@inline
export function packBytes4(panel: usize, p0: usize, p1: usize, p2: usize, p3: usize, bytes: usize): void {
  const flip = i8x16.splat(-128)
  // What a step writes too much is overwritten by the next segment, or lies behind the panel.
  for (let q: usize = 0; q < bytes; q += 16) {
    const a = v128.xor(v128.load(p0 + q), flip)
    const b = v128.xor(v128.load(p1 + q), flip)
    const c = v128.xor(v128.load(p2 + q), flip)
    const d = v128.xor(v128.load(p3 + q), flip)
    const t0 = v128.shuffle<i32>(a, b, 0, 4, 1, 5)
    const t1 = v128.shuffle<i32>(c, d, 0, 4, 1, 5)
    const t2 = v128.shuffle<i32>(a, b, 2, 6, 3, 7)
    const t3 = v128.shuffle<i32>(c, d, 2, 6, 3, 7)
    v128.store(panel, v128.shuffle<i64>(t0, t1, 0, 2))
    v128.store(panel, v128.shuffle<i64>(t0, t1, 1, 3), 16)
    v128.store(panel, v128.shuffle<i64>(t2, t3, 0, 2), 32)
    v128.store(panel, v128.shuffle<i64>(t2, t3, 1, 3), 48)
    panel += 64
  }
}

/** The first pixel of a slot against one panel of weights, its eight channels to y. */
function single(r: ConvRecord, slot: usize, w: usize, bias: usize, scale: usize, y: usize): void {
  let a = slot + SLOT_BYTES
  const end = a + r.panelBytes
  const constants: usize = r.constants
  let c0 = v128.load(bias)
  let c1 = v128.load(bias, 16)
  do {
    const x = v128.load_splat<i32>(a)
    c0 = dotAdd(v128.load(w), x, c0)
    c1 = dotAdd(v128.load(w, 16), x, c1)
    w += 32
    a += 16
  } while (a < end)
  const magic = v128.load(constants)
  const zero = v128.load(constants, 16)
  const h = i16x8.narrow_i32x4_s(
    requantize4(c0, v128.load(scale), magic, zero),
    requantize4(c1, v128.load(scale, 16), magic, zero),
  )
  finish8(constants, r.clamped, y, h)
}

/** The first `count` slots against all weights, a panel at a time. */
export function gemm4x8c4(r: ConvRecord, count: i32): void {
  if (!HAS_DOT) return
  const slots: usize = r.scratch + TILE_BYTES
  const panelBytes: usize = r.panelBytes
  const slotBytes = <usize>SLOT_BYTES + panelBytes
  const end = slots + <usize>count * slotBytes
  const lastSlot = end - slotBytes
  const whole = isSingle(lastSlot) ? lastSlot : end
  const last = r.outC - 8
  const constants: usize = r.constants
  const clamped = r.clamped
  let weights: usize = r.weights
  let bias: usize = r.bias
  let scale: usize = r.scale
  let n = 0
  while (true) {
    for (let slot = slots; slot < whole;) {
      let w = weights
      let a = slot + SLOT_BYTES
      const panelEnd = a + panelBytes
      let c00 = v128.load(bias)
      let c01 = v128.load(bias, 16)
      let c10 = c00
      let c11 = c01
      let c20 = c00
      let c21 = c01
      let c30 = c00
      let c31 = c01
      do {
        const w0 = v128.load(w)
        const w1 = v128.load(w, 16)
        const a0 = v128.load_splat<i32>(a)
        c00 = dotAdd(w0, a0, c00)
        c01 = dotAdd(w1, a0, c01)
        const a1 = v128.load_splat<i32>(a, 4)
        c10 = dotAdd(w0, a1, c10)
        c11 = dotAdd(w1, a1, c11)
        const a2 = v128.load_splat<i32>(a, 8)
        c20 = dotAdd(w0, a2, c20)
        c21 = dotAdd(w1, a2, c21)
        const a3 = v128.load_splat<i32>(a, 12)
        c30 = dotAdd(w0, a3, c30)
        c31 = dotAdd(w1, a3, c31)
        w += 32
        a += 16
      } while (a < panelEnd)
      const y0 = <usize>load<u32>(slot) + n
      const y1 = <usize>load<u32>(slot, 4) + n
      const y2 = <usize>load<u32>(slot, 8) + n
      const y3 = <usize>load<u32>(slot, 12) + n
      finish4x8(constants, clamped, scale, y0, y1, y2, y3, c00, c01, c10, c11, c20, c21, c30, c31)
      slot = a
    }
    if (whole < end) single(r, whole, weights, bias, scale, <usize>load<u32>(whole) + n)
    if (n >= last) break
    n += 8
    if (n > last) n = last
    weights += panelBytes << 1
    bias += 32
    scale += 32
  }
}
