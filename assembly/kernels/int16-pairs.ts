/**
 * Elementwise functions of two int16 operands with broadcasting.
 * Source: TFLite's ADD, SUB, MUL, DIV, MAXIMUM, MINIMUM, FLOOR_DIV and FLOOR_MOD on int16.
 */
import {
  PAIRS16_ADD,
  PAIRS16_ADD_POWERS,
  PAIRS16_ADD_SAME,
  PAIRS16_DIV,
  PAIRS16_FLOOR_DIV,
  PAIRS16_MAXIMUM,
  PAIRS16_MINIMUM,
  PAIRS16_MUL,
  Pairs16Record,
} from '../layout'
import { clamp, doublingHighProduct, multiplyByQuantizedMultiplier, roundingShift } from '../requantize'
import { clamp16 } from './fixed-point'
import { eachOuter } from './odometer'

/** To the nearest integer, half away from zero; what does not fit 32 bits is the least integer, as on x86. */
export function roundAway64(v: f64): i32 {
  const whole = trunc<f64>(v)
  const r = abs<f64>(v - whole) >= 0.5 ? whole + copysign<f64>(1, v) : whole
  return abs<f64>(r) < 2147483648 ? <i32>r : i32.MIN_VALUE
}

/** As multiplyByQuantizedMultiplier, but what the left shift pushes out of 32 bits is lost. */
// @ts-ignore: decorator
@inline
export function multiplyWrapping(x: i32, multiplier: i32, shift: i32): i32 {
  return shift > 0
    ? multiplyByQuantizedMultiplier(x << shift, multiplier, 0)
    : multiplyByQuantizedMultiplier(x, multiplier, shift)
}

// @ts-ignore: decorator
@inline
function saturated(x: i64): i32 {
  return i32(max<i64>(min<i64>(x, i32.MAX_VALUE), i32.MIN_VALUE))
}

/** x / 2^exponent, half away from zero; exponents outside 0 to 31 as x86 shifts by them. */
function shiftAsX86(x: i32, exponent: i32): i32 {
  const mask = <u32>exponent > 31 ? -1 : i32((i64(1) << exponent) - 1)
  return (x >> (exponent & 31)) + i32((x & mask) > (mask >> 1) + i32(x < 0))
}

/** a / b times the multiplier. Source: TFLite DivElement, GetReciprocal. */
function quotient(r: Pairs16Record, a: i32, b: i32): i32 {
  if (b < 0) a = -a
  const magnitude = abs(b)
  const headroom = i32(clz<i32>(magnitude))
  const fraction = i32((u32(magnitude) << headroom) - 0x80000000)
  const half = i32((i64(fraction) + 0x80000000) / 2)
  let y = 1515870810 + doublingHighProduct(half, -1010580540)
  for (let i = 0; i < 3; i++) {
    const rest = (1 << 29) - doublingHighProduct(half, y)
    y += saturated(i64(doublingHighProduct(y, rest)) << 2)
  }
  const reciprocal = saturated(i64(y) << 1)
  const room = i32(clz<i32>(a < 0 ? (-a << 1) - 1 : a)) - i32(a >= 0)
  const unscaled = doublingHighProduct(a << room, reciprocal)
  return shiftAsX86(doublingHighProduct(unscaled, r.multiplier), 31 - headroom + room - r.shift)
}

function element(r: Pairs16Record, a: i32, b: i32): i32 {
  let y: i32
  switch (r.kind) {
    case PAIRS16_ADD:
      y = multiplyByQuantizedMultiplier(
        multiplyByQuantizedMultiplier(a << 15, r.aMultiplier, r.aShift) +
          multiplyByQuantizedMultiplier(b << 15, r.bMultiplier, r.bShift),
        r.multiplier,
        r.shift,
      )
      break
    case PAIRS16_ADD_SAME:
      y = multiplyByQuantizedMultiplier(
        multiplyByQuantizedMultiplier(a, r.aMultiplier, 15 + r.aShift) +
          multiplyByQuantizedMultiplier(b, r.bMultiplier, 15 + r.bShift),
        r.multiplier,
        r.shift,
      )
      break
    case PAIRS16_ADD_POWERS:
      y = clamp16(roundingShift(a, r.aShift) + roundingShift(b, r.bShift) * r.bMultiplier)
      break
    case PAIRS16_MUL:
      y = multiplyWrapping(a * b, r.multiplier, r.shift)
      break
    case PAIRS16_MAXIMUM:
      return max(a, b)
    case PAIRS16_MINIMUM:
      return min(a, b)
    case PAIRS16_DIV:
      if (b == 0) return 0
      y = quotient(r, a, b)
      break
    case PAIRS16_FLOOR_DIV:
      return b ? a / b - i32(a % b != 0 && (a ^ b) < 0) : 0
    default:
      if (!b) return 0
      a %= b
      return a && (a ^ b) < 0 ? a + b : a
  }
  return clamp(y, r.actMin, r.actMax)
}


@unmanaged
class Paired extends Pairs16Record {
  // @ts-ignore: decorator
  @inline
  row(i: i32, j: i32, k: i32, to: usize): usize {
    let a: usize = this.a + i * this.a0 + j * this.a1 + k * this.a2
    let b: usize = this.b + i * this.b0 + j * this.b1 + k * this.b2
    for (let l = 0; l < this.d3; l++) {
      store<i16>(to, element(this, load<i16>(a), load<i16>(b)))
      to += 2
      a += this.a3
      b += this.b3
    }
    return to
  }
}

export function pairs16(record: usize): void {
  eachOuter<Paired>(record)
}
