/**
 * Elementwise addition, subtraction (a negative multiplier) and multiplication with broadcasting.
 * Source: XNNPACK qs8-vadd / qs8-vmul (kinds 0, 1); TFLite's builtin ADD/SUB/MUL (kinds 2, 3).
 */
import { BinaryRecord } from '../layout'
import { clamp, multiplyByQuantizedMultiplier, requantize } from '../requantize'

// @ts-ignore: decorator
@inline
function element(r: BinaryRecord, a: i32, b: i32, index: i32): i32 {
  if (r.kind == 0) {
    // multiplier holds the rounding constant with both zero points folded in.
    return clamp(
      ((a * r.aMultiplier + b * r.bMultiplier + r.multiplier) >> r.shift) + r.outputZeroPoint,
      r.actMin,
      r.actMax,
    )
  }
  a -= r.aZeroPoint
  b -= r.bZeroPoint
  if (r.kind == 1) return requantize(a * b, r.scale, r.outputZeroPoint, r.actMin, r.actMax)
  if (r.kind == 2) {
    const left = multiplyByQuantizedMultiplier(a << 20, r.aMultiplier, r.aShift)
    const right = multiplyByQuantizedMultiplier(b << 20, r.bMultiplier < 0 ? -r.bMultiplier : r.bMultiplier, r.bShift)
    const sum = multiplyByQuantizedMultiplier(r.bMultiplier < 0 ? left - right : left + right, r.multiplier, r.shift)
    if (index < r.wrapElements) {
      return clamp(<i32>(<i16>(<i32>(<i16>sum) + r.outputZeroPoint)), r.actMin, r.actMax) - r.minus
    }
    return clamp(sum + r.outputZeroPoint, r.actMin, r.actMax) - r.minus
  }
  return clamp(multiplyByQuantizedMultiplier(a * b, r.multiplier, r.shift) + r.outputZeroPoint, r.actMin, r.actMax)
}

/** Eight lanes of kind 0. */
// @ts-ignore: decorator
@inline
function add8(a: v128, b: v128, ma: v128, mb: v128, bias: v128, shift: i32, zero: v128): v128 {
  const lo = i32x4.shr_s(
    i32x4.add(i32x4.add(i32x4.mul(i32x4.extend_low_i16x8_s(a), ma), i32x4.mul(i32x4.extend_low_i16x8_s(b), mb)), bias),
    shift,
  )
  const hi = i32x4.shr_s(
    i32x4.add(
      i32x4.add(i32x4.mul(i32x4.extend_high_i16x8_s(a), ma), i32x4.mul(i32x4.extend_high_i16x8_s(b), mb)),
      bias,
    ),
    shift,
  )
  return i16x8.add_sat_s(i16x8.narrow_i32x4_s(lo, hi), zero)
}

/** n elements, both operands contiguous (or b one repeated byte when bStep is 0). Returns how many were done. */
function run8(r: BinaryRecord, a: usize, b: usize, bStep: i32, to: usize, n: i32): i32 {
  const low = i8x16.splat(<i8>r.actMin)
  const high = i8x16.splat(<i8>r.actMax)
  const zero = i16x8.splat(<i16>r.outputZeroPoint)
  const repeated = i16x8.splat(load<i8>(b))
  let i = 0
  if (r.kind == 0) {
    const ma = i32x4.splat(r.aMultiplier)
    const mb = i32x4.splat(r.bMultiplier)
    const bias = i32x4.splat(r.multiplier)
    for (; i + 8 <= n; i += 8) {
      const q = add8(v128.load_ext<i8>(a + i), bStep ? v128.load_ext<i8>(b + i) : repeated, ma, mb, bias, r.shift, zero)
      v128.store64_lane(to + i, i8x16.min_s(i8x16.max_s(i8x16.narrow_i16x8_s(q, q), low), high), 0)
    }
    return i
  }
  const za = i16x8.splat(<i16>r.aZeroPoint)
  const zb = i16x8.splat(<i16>r.bZeroPoint)
  const scale = f32x4.splat(r.scale)
  for (; i + 8 <= n; i += 8) {
    const x = i16x8.sub(v128.load_ext<i8>(a + i), za)
    const y = i16x8.sub(bStep ? v128.load_ext<i8>(b + i) : repeated, zb)
    const lo = multiply4(i32x4.extmul_low_i16x8_s(x, y), scale)
    const hi = multiply4(i32x4.extmul_high_i16x8_s(x, y), scale)
    const q = i16x8.add_sat_s(i16x8.narrow_i32x4_s(lo, hi), zero)
    v128.store64_lane(to + i, i8x16.min_s(i8x16.max_s(i8x16.narrow_i16x8_s(q, q), low), high), 0)
  }
  return i
}

// @ts-ignore: decorator
@inline
function multiply4(product: v128, scale: v128): v128 {
  return i32x4.trunc_sat_f32x4_s(f32x4.nearest(f32x4.mul(f32x4.convert_i32x4_s(product), scale)))
}

export function binary(record: usize, y0: i32, y1: i32): void {
  const r = changetype<BinaryRecord>(record)
  const d1 = r.d1
  const d2 = r.d2
  const d3 = r.d3
  const a3 = r.a3
  const b3 = r.b3
  for (let y = y0; y < y1; y++) {
    const aRow: usize = r.a + (y < r.aRing ? y : y % r.aRing) * r.aRowStride
    const bRow: usize = r.b + (y < r.bRing ? y : y % r.bRing) * r.bRowStride
    let to: usize = r.output + (y < r.outRing ? y : y % r.outRing) * r.outRowStride
    let index = y * d1 * d2 * d3
    for (let i = 0; i < d1; i++) {
      for (let j = 0; j < d2; j++) {
        const a = aRow + i * r.a1 + j * r.a2
        const b = bRow + i * r.b1 + j * r.b2
        let k = 0
        if (ASC_FEATURE_SIMD && r.kind < 2 && a3) k = run8(r, a, b, b3, to, d3)
        for (; k < d3; k++) {
          store<i8>(to + k, element(r, load<i8>(a + k * a3), load<i8>(b + k * b3), index + k))
        }
        to += d3
        index += d3
      }
    }
  }
}
