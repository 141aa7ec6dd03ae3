/**
 * GEMM form 10, 4x16: four pixels by sixteen channels, dot_i16x8 on activations broadcast from memory. Written for V8's
 * revectorizer, which turns pairs of vectors into one of 256 bits: neighbouring vectors c0 c1 and c2 c3 of a pixel lie
 * next to each other in memory and take part in the same operations, and the last narrowing, of two narrowings, is what
 * it starts to pair from. Without it sixteen accumulators spill. In the fast binary only.
 *
 * Shapes: panel [K/2][4 pixels][2] i16 as for form 0, weights [N/16][K/2][16][2] i16, bias and scale sixteen a panel.
 */
import { ConvRecord, SLOT_BYTES, TILE_BYTES } from '../layout'
import { requantize4 } from '../simd'
import { isSingle } from './tile'

/** Requantizes and clamps sixteen channels. */
// @ts-ignore: decorator
@inline
export function finish16(constants: usize, scale: usize, c0: v128, c1: v128, c2: v128, c3: v128): v128 {
  const magic = v128.load(constants)
  const zero = v128.load(constants, 16)
  const q0 = requantize4(c0, v128.load(scale), magic, zero)
  const q1 = requantize4(c1, v128.load(scale, 16), magic, zero)
  const q2 = requantize4(c2, v128.load(scale, 32), magic, zero)
  const q3 = requantize4(c3, v128.load(scale, 48), magic, zero)
  // Halves of the pairs together, then back in order.
  const q = i8x16.narrow_i16x8_s(i16x8.narrow_i32x4_s(q0, q2), i16x8.narrow_i32x4_s(q1, q3))
  return i8x16.min_s(
    i8x16.max_s(v128.shuffle<i32>(q, q, 0, 2, 1, 3), v128.load(constants, 32)),
    v128.load(constants, 48),
  )
}

// @ts-ignore: decorator
@inline
function mac(c: v128, a: v128, w: v128): v128 {
  return i32x4.add(c, i32x4.dot_i16x8_s(a, w))
}

/** One packed tile against one panel of weights. y0..y3: where the four pixels' sixteen channels go. */
// @ts-ignore: decorator
@inline
function block(
  constants: usize,
  panel: usize,
  panelEnd: usize,
  w: usize,
  bias: usize,
  scale: usize,
  y0: usize,
  y1: usize,
  y2: usize,
  y3: usize,
): void {
  const b0 = v128.load(bias)
  const b1 = v128.load(bias, 16)
  const b2 = v128.load(bias, 32)
  const b3 = v128.load(bias, 48)
  let c00 = b0
  let c01 = b1
  let c02 = b2
  let c03 = b3
  let c10 = b0
  let c11 = b1
  let c12 = b2
  let c13 = b3
  let c20 = b0
  let c21 = b1
  let c22 = b2
  let c23 = b3
  let c30 = b0
  let c31 = b1
  let c32 = b2
  let c33 = b3
  do {
    const w0 = v128.load(w)
    const w1 = v128.load(w, 16)
    const w2 = v128.load(w, 32)
    const w3 = v128.load(w, 48)
    const a0 = v128.load_splat<i32>(panel)
    c00 = mac(c00, a0, w0)
    c01 = mac(c01, a0, w1)
    c02 = mac(c02, a0, w2)
    c03 = mac(c03, a0, w3)
    const a1 = v128.load_splat<i32>(panel, 4)
    c10 = mac(c10, a1, w0)
    c11 = mac(c11, a1, w1)
    c12 = mac(c12, a1, w2)
    c13 = mac(c13, a1, w3)
    const a2 = v128.load_splat<i32>(panel, 8)
    c20 = mac(c20, a2, w0)
    c21 = mac(c21, a2, w1)
    c22 = mac(c22, a2, w2)
    c23 = mac(c23, a2, w3)
    const a3 = v128.load_splat<i32>(panel, 12)
    c30 = mac(c30, a3, w0)
    c31 = mac(c31, a3, w1)
    c32 = mac(c32, a3, w2)
    c33 = mac(c33, a3, w3)
    w += 64
    panel += 16
  } while (panel < panelEnd)
  // All before the first store, so that what they share is loaded once.
  const q0 = finish16(constants, scale, c00, c01, c02, c03)
  const q1 = finish16(constants, scale, c10, c11, c12, c13)
  const q2 = finish16(constants, scale, c20, c21, c22, c23)
  const q3 = finish16(constants, scale, c30, c31, c32, c33)
  v128.store(y0, q0)
  v128.store(y1, q1)
  v128.store(y2, q2)
  v128.store(y3, q3)
}

/** The first pixel of a slot against one panel of weights. y: where its sixteen channels go. */
function single(constants: usize, panel: usize, panelEnd: usize, w: usize, bias: usize, scale: usize, y: usize): void {
  let c0 = v128.load(bias)
  let c1 = v128.load(bias, 16)
  let c2 = v128.load(bias, 32)
  let c3 = v128.load(bias, 48)
  do {
    const a = v128.load_splat<i32>(panel)
    c0 = mac(c0, a, v128.load(w))
    c1 = mac(c1, a, v128.load(w, 16))
    c2 = mac(c2, a, v128.load(w, 32))
    c3 = mac(c3, a, v128.load(w, 48))
    w += 64
    panel += 16
  } while (panel < panelEnd)
  v128.store(y, finish16(constants, scale, c0, c1, c2, c3))
}

/**
 * The first `count` slots against all weights, one panel of weights after the other: they come from far where K is
 * large.
 */
export function gemm4x16(r: ConvRecord, count: i32): void {
  const slots: usize = r.scratch + TILE_BYTES
  const panelBytes: usize = r.panelBytes
  const slotBytes: usize = SLOT_BYTES + r.panelBytes
  const end = slots + <usize>count * slotBytes
  const lastSlot = end - slotBytes
  const whole = isSingle(lastSlot) ? lastSlot : end
  const last = r.outC - 16
  const constants: usize = r.constants
  let w: usize = r.weights
  let bias: usize = r.bias
  let scale: usize = r.scale
  let n: usize = 0
  while (true) {
    for (let slot = slots; slot < whole;) {
      const panel = slot + SLOT_BYTES
      const panelEnd = panel + panelBytes
      block(
        constants,
        panel,
        panelEnd,
        w,
        bias,
        scale,
        <usize>load<u32>(slot) + n,
        <usize>load<u32>(slot, 4) + n,
        <usize>load<u32>(slot, 8) + n,
        <usize>load<u32>(slot, 12) + n,
      )
      slot = panelEnd
    }
    if (whole < end) single(constants, whole + SLOT_BYTES, end, w, bias, scale, <usize>load<u32>(whole) + n)
    if (<i32>n >= last) break
    n += 16
    if (<i32>n > last) n = last
    w += panelBytes << 2
    bias += 64
    scale += 64
  }
}
