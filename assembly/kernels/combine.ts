/**
 * Elementwise functions of two int8 operands with broadcasting that are neither sum nor product.
 * Source: TFLite's builtin MAXIMUM, MINIMUM, SQUARED_DIFFERENCE, DIV, PRELU, FLOOR_DIV, FLOOR_MOD.
 */
import {
  COMBINE_DIV,
  COMBINE_FLOOR_DIV,
  COMBINE_FLOOR_MOD,
  COMBINE_MAXIMUM,
  COMBINE_MINIMUM,
  COMBINE_SQUARED_DIFFERENCE,
  CombineRecord,
} from '../layout'
import { clamp, doublingHighProduct, multiplyByQuantizedMultiplier, roundingShift } from '../requantize'

function quotient(r: CombineRecord, a: i32, b: i32): i32 {
  if (b < 0) {
    a = -a
    b = -b
  }
  const entry: usize = r.table + (b << 3)
  const headroom = clz(a < 0 ? (-a << 1) - 1 : a) - i32(a >= 0)
  const x = doublingHighProduct(doublingHighProduct(a << headroom, load<i32>(entry)), r.multiplier)
  const exponent = load<i32>(entry, 4) + headroom - r.shift
  // The reference shifts by more than 31 bits as x86 does.
  if (exponent > 31) return (x >> (exponent & 31)) + i32(x > i32(x < 0) - 1)
  return roundingShift(x, exponent)
}

function element(r: CombineRecord, a: i32, b: i32): i32 {
  switch (r.kind) {
    case COMBINE_MAXIMUM:
      return max(a, b)
    case COMBINE_MINIMUM:
      return min(a, b)
    case COMBINE_FLOOR_DIV:
      return b ? a / b - i32(a % b != 0 && (a ^ b) < 0) : 0
    case COMBINE_FLOOR_MOD:
      if (!b) return 0
      a %= b
      return a && (a ^ b) < 0 ? a + b : a
  }
  a -= r.aZeroPoint
  b -= r.bZeroPoint
  let y: i32
  if (r.kind == COMBINE_SQUARED_DIFFERENCE) {
    const difference =
      multiplyByQuantizedMultiplier(a << 7, r.aMultiplier, r.aShift) -
      multiplyByQuantizedMultiplier(b << 7, r.bMultiplier, r.bShift)
    y = multiplyByQuantizedMultiplier(difference * difference, r.multiplier, r.shift)
  } else if (r.kind == COMBINE_DIV) {
    y = quotient(r, a, b)
  } else {
    y =
      a >= 0
        ? multiplyByQuantizedMultiplier(a, r.aMultiplier, r.aShift)
        : multiplyByQuantizedMultiplier(a * b, r.bMultiplier, r.bShift)
  }
  return clamp(y + r.outputZeroPoint, r.actMin, r.actMax)
}

/** Maxima or minima of n elements, b contiguous or (bStep 0) one repeated byte. Returns how many were done. */
function run16(r: CombineRecord, a: usize, b: usize, bStep: i32, to: usize, n: i32): i32 {
  const repeated = v128.load8_splat(b)
  let i = 0
  for (; i + 16 <= n; i += 16) {
    const x = v128.load(a + i)
    const y = bStep ? v128.load(b + i) : repeated
    v128.store(to + i, r.kind == COMBINE_MAXIMUM ? i8x16.max_s(x, y) : i8x16.min_s(x, y))
  }
  return i
}

export function combine(record: usize, y0: i32, y1: i32): void {
  const r = changetype<CombineRecord>(record)
  const d3 = r.d3
  const a3 = r.a3
  const b3 = r.b3
  for (let y = y0; y < y1; y++) {
    const aRow: usize = r.a + (y < r.aRing ? y : y % r.aRing) * r.aRowStride
    const bRow: usize = r.b + (y < r.bRing ? y : y % r.bRing) * r.bRowStride
    let to: usize = r.output + (y < r.outRing ? y : y % r.outRing) * r.outRowStride
    for (let i = 0; i < r.d1; i++) {
      for (let j = 0; j < r.d2; j++) {
        const a = aRow + i * r.a1 + j * r.a2
        const b = bRow + i * r.b1 + j * r.b2
        let k = 0
        if (ASC_FEATURE_SIMD && <i32>r.kind <= COMBINE_MINIMUM && a3) k = run16(r, a, b, b3, to, d3)
        for (; k < d3; k++) store<i8>(to + k, element(r, load<i8>(a + k * a3), load<i8>(b + k * b3)))
        to += d3
      }
    }
  }
}
