/**
 * GEMM form 0, 4x8: four pixels by eight channels, dot_i16x8 on activations broadcast from memory. The best single
 * choice for V8 on x86: eight accumulators and at most six loads live, so that no engine spills.
 *
 * Shapes: panel [K/2][4 pixels][2] i16, weights [N/8][K/2][8][2] i16, bias and scale eight a panel. K >= 3.
 * Form 12 loads four pixels' activations at once and broadcasts by shuffles: for engines that make a splat of a load
 * out of a scalar one (Cranelift). Forms 11 and 14 are those two with weights as int8, their zero point included and
 * as padding, which they widen as they load them: half the memory. What the zero point adds to a pixel's sums is taken
 * off at the end.
 */
import { ConvRecord, SLOT_BYTES, TILE_BYTES } from '../layout'
import { finish4x8, finish8, requantize4 } from '../simd'
import { isSingle, SLOT_CORRECTION } from './tile'

/** Packs `bytes` int8 of four rows to [k/2][4][2] i16, eight k a step. */
// @ts-ignore: decorator
@inline
export function pack4(panel: usize, p0: usize, p1: usize, p2: usize, p3: usize, bytes: usize): void {
  let q: usize = 0
  do {
    const a0 = v128.load_ext<i8>(p0 + q)
    const a1 = v128.load_ext<i8>(p1 + q)
    const a2 = v128.load_ext<i8>(p2 + q)
    const a3 = v128.load_ext<i8>(p3 + q)
    const t0 = v128.shuffle<i32>(a0, a1, 0, 4, 1, 5)
    const t1 = v128.shuffle<i32>(a2, a3, 0, 4, 1, 5)
    const t2 = v128.shuffle<i32>(a0, a1, 2, 6, 3, 7)
    const t3 = v128.shuffle<i32>(a2, a3, 2, 6, 3, 7)
    v128.store(panel, v128.shuffle<i64>(t0, t1, 0, 2))
    v128.store(panel, v128.shuffle<i64>(t0, t1, 1, 3), 16)
    v128.store(panel, v128.shuffle<i64>(t2, t3, 0, 2), 32)
    v128.store(panel, v128.shuffle<i64>(t2, t3, 1, 3), 48)
    panel += 64
    q += 8
  } while (q < bytes)
}

/** A pair of weights of channels 0-3 at `w`, and of channels 4-7, as i16. */
// @ts-ignore: decorator
@inline
function low<W>(w: usize): v128 {
  return sizeof<W>() == 1 ? v128.load_ext<i8>(w) : v128.load(w)
}
// @ts-ignore: decorator
@inline
function high<W>(w: usize): v128 {
  return sizeof<W>() == 1 ? v128.load_ext<i8>(w, 8) : v128.load(w, 16)
}

/**
 * The pair of activations of one of four pixels in every lane; from memory, or with B = v128 from `four`, loaded
 * before.
 */
// @ts-ignore: decorator
@inline
function four<B>(a: usize): v128 {
  return sizeof<B>() == 16 ? v128.load(a) : i32x4.splat(0)
}
// @ts-ignore: decorator
@inline
function pixel0<B>(a: usize, x: v128): v128 {
  return sizeof<B>() == 16 ? v128.shuffle<i32>(x, x, 0, 0, 0, 0) : v128.load_splat<i32>(a)
}
// @ts-ignore: decorator
@inline
function pixel1<B>(a: usize, x: v128): v128 {
  return sizeof<B>() == 16 ? v128.shuffle<i32>(x, x, 1, 1, 1, 1) : v128.load_splat<i32>(a, 4)
}
// @ts-ignore: decorator
@inline
function pixel2<B>(a: usize, x: v128): v128 {
  return sizeof<B>() == 16 ? v128.shuffle<i32>(x, x, 2, 2, 2, 2) : v128.load_splat<i32>(a, 8)
}
// @ts-ignore: decorator
@inline
function pixel3<B>(a: usize, x: v128): v128 {
  return sizeof<B>() == 16 ? v128.shuffle<i32>(x, x, 3, 3, 3, 3) : v128.load_splat<i32>(a, 12)
}

/** Weight zero point times the sum of each pixel's patch, to the slot. */
function correctPanel(slot: usize, panelBytes: usize, zero: i32): void {
  const ones = i16x8.splat(1)
  let sum = i32x4.splat(0)
  const end = slot + SLOT_BYTES + panelBytes
  for (let panel = slot + SLOT_BYTES; panel < end; panel += 16) {
    sum = i32x4.add(sum, i32x4.dot_i16x8_s(v128.load(panel), ones))
  }
  v128.store(slot, i32x4.mul(sum, i32x4.splat(zero)), SLOT_CORRECTION)
}

// @ts-ignore: decorator
@inline
function slotCorrection(slot: usize, i: usize): v128 {
  return v128.load_splat<i32>(slot + (i << 2), SLOT_CORRECTION)
}

/** The first pixel of a slot against one panel of weights, its eight channels to the n-th of its output on. */
function single<W>(r: ConvRecord, slot: usize, w: usize, bias: usize, scale: usize, n: usize): void {
  let a = slot + SLOT_BYTES
  const end = a + r.panelBytes
  const constants: usize = r.constants
  let c0 = v128.load(bias)
  let c1 = v128.load(bias, 16)
  do {
    const x = v128.load_splat<i32>(a)
    c0 = i32x4.add(c0, i32x4.dot_i16x8_s(x, low<W>(w)))
    c1 = i32x4.add(c1, i32x4.dot_i16x8_s(x, high<W>(w)))
    w += sizeof<W>() << 4
    a += 16
  } while (a < end)
  if (sizeof<W>() == 1) {
    if (r.weightZeroPoint) {
      const v = slotCorrection(slot, 0)
      c0 = i32x4.sub(c0, v)
      c1 = i32x4.sub(c1, v)
    }
  }
  const magic = v128.load(constants)
  const zero = v128.load(constants, 16)
  finish8(
    constants,
    r.clamped,
    <usize>load<u32>(slot) + n,
    i16x8.narrow_i32x4_s(
      requantize4(c0, v128.load(scale), magic, zero),
      requantize4(c1, v128.load(scale, 16), magic, zero),
    ),
  )
}

/**
 * The first `count` slots against all weights, which lie in memory as W, one panel of weights after the other;
 * activations are broadcast by way of B.
 */
// @ts-ignore: decorator
@inline
function gemm<W, B>(r: ConvRecord, count: i32): void {
  const slots: usize = r.scratch + TILE_BYTES
  const panelBytes: usize = r.panelBytes
  const slotBytes: usize = SLOT_BYTES + r.panelBytes
  const end = slots + <usize>count * slotBytes
  const lastSlot = end - slotBytes
  const whole = isSingle(lastSlot) ? lastSlot : end
  const last = r.outC - 8
  const constants: usize = r.constants
  const clamped = r.clamped
  const zeroPoint: i32 = sizeof<W>() == 1 ? r.weightZeroPoint : 0
  if (sizeof<W>() == 1) {
    if (zeroPoint) for (let slot = slots; slot < end; slot += slotBytes) correctPanel(slot, panelBytes, zeroPoint)
  }
  let weights: usize = r.weights
  let bias: usize = r.bias
  let scale: usize = r.scale
  let n = 0
  while (true) {
    let slot = slots
    while (slot < whole) {
      let w = weights
      let a = slot + SLOT_BYTES
      const panelEnd = a + panelBytes
      const b0 = v128.load(bias)
      const b1 = v128.load(bias, 16)
      const g0 = low<W>(w)
      const g1 = high<W>(w)
      // The first step apart: it adds to the bias, so that no accumulator is copied.
      const f = four<B>(a)
      const f0 = pixel0<B>(a, f)
      const f1 = pixel1<B>(a, f)
      let c00 = i32x4.add(b0, i32x4.dot_i16x8_s(f0, g0))
      let c01 = i32x4.add(b1, i32x4.dot_i16x8_s(f0, g1))
      let c10 = i32x4.add(b0, i32x4.dot_i16x8_s(f1, g0))
      let c11 = i32x4.add(b1, i32x4.dot_i16x8_s(f1, g1))
      const f2 = pixel2<B>(a, f)
      const f3 = pixel3<B>(a, f)
      let c20 = i32x4.add(b0, i32x4.dot_i16x8_s(f2, g0))
      let c21 = i32x4.add(b1, i32x4.dot_i16x8_s(f2, g1))
      let c30 = i32x4.add(b0, i32x4.dot_i16x8_s(f3, g0))
      let c31 = i32x4.add(b1, i32x4.dot_i16x8_s(f3, g1))
      w += sizeof<W>() << 4
      a += 16
      do {
        const x = four<B>(a)
        const w0 = low<W>(w)
        const w1 = high<W>(w)
        const a0 = pixel0<B>(a, x)
        c00 = i32x4.add(c00, i32x4.dot_i16x8_s(a0, w0))
        c01 = i32x4.add(c01, i32x4.dot_i16x8_s(a0, w1))
        const a1 = pixel1<B>(a, x)
        c10 = i32x4.add(c10, i32x4.dot_i16x8_s(a1, w0))
        c11 = i32x4.add(c11, i32x4.dot_i16x8_s(a1, w1))
        const a2 = pixel2<B>(a, x)
        c20 = i32x4.add(c20, i32x4.dot_i16x8_s(a2, w0))
        c21 = i32x4.add(c21, i32x4.dot_i16x8_s(a2, w1))
        const a3 = pixel3<B>(a, x)
        c30 = i32x4.add(c30, i32x4.dot_i16x8_s(a3, w0))
        c31 = i32x4.add(c31, i32x4.dot_i16x8_s(a3, w1))
        w += sizeof<W>() << 4
        a += 16
      } while (a < panelEnd)
      if (sizeof<W>() == 1) {
        if (zeroPoint) {
          const v0 = slotCorrection(slot, 0)
          const v1 = slotCorrection(slot, 1)
          const v2 = slotCorrection(slot, 2)
          const v3 = slotCorrection(slot, 3)
          c00 = i32x4.sub(c00, v0)
          c01 = i32x4.sub(c01, v0)
          c10 = i32x4.sub(c10, v1)
          c11 = i32x4.sub(c11, v1)
          c20 = i32x4.sub(c20, v2)
          c21 = i32x4.sub(c21, v2)
          c30 = i32x4.sub(c30, v3)
          c31 = i32x4.sub(c31, v3)
        }
      }
      const y0 = <usize>load<u32>(slot) + n
      const y1 = <usize>load<u32>(slot, 4) + n
      const y2 = <usize>load<u32>(slot, 8) + n
      const y3 = <usize>load<u32>(slot, 12) + n
      finish4x8(constants, clamped, scale, y0, y1, y2, y3, c00, c01, c10, c11, c20, c21, c30, c31)
      slot = a
    }
    if (whole < end) single<W>(r, whole, weights, bias, scale, n)
    if (n >= last) break
    n += 8
    if (n > last) n = last
    weights += sizeof<W>() * panelBytes
    bias += 32
    scale += 32
  }
}

export function gemm4x8(r: ConvRecord, count: i32): void {
  if (ASC_FEATURE_SIMD) gemm<i16, i32>(r, count)
}

export function gemm4x8w8(r: ConvRecord, count: i32): void {
  if (ASC_FEATURE_SIMD) gemm<i8, i32>(r, count)
}

export function gemm4x8Shuffle(r: ConvRecord, count: i32): void {
  if (ASC_FEATURE_SIMD) gemm<i16, v128>(r, count)
}

export function gemm4x8w8Shuffle(r: ConvRecord, count: i32): void {
  if (ASC_FEATURE_SIMD) gemm<i8, v128>(r, count)
}
