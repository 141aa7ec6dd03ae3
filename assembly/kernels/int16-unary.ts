/**
 * Elementwise functions of one int16 operand, to and from int16; softmax.
 * Source: TFLite's reference_integer_ops logistic.h, tanh.h, lut.h, reference softmax.h, requantize.h on int16.
 */
import {
  Softmax16Record,
  SoftmaxRecord,
  TYPE_FLOAT32,
  TYPE_INT16,
  TYPE_INT32,
  UNARY16_FROM_FLOAT,
  UNARY16_LOGISTIC,
  UNARY16_LOGISTIC_FIXED,
  UNARY16_LOOKUP,
  UNARY16_RESCALE,
  UNARY16_SQRT,
  UNARY16_TANH,
  UNARY16_TO_FLOAT,
  Unary16Record,
} from '../layout'
import { clamp, multiplyByQuantizedMultiplier } from '../requantize'
import { exponential, rowMaximum, sumExponentials } from './exponentials'
import { clamp16, logistic16, tanh16 } from './fixed-point'
import { multiplyWrapping, roundAway64 } from './int16-pairs'

/** Between two of 513 entries, `v` from -32768 to 32767. */
function lookUp(table: usize, v: i32): i32 {
  const entry = table + ((256 + (v >> 7)) << 1)
  const base: i32 = load<i16>(entry)
  const slope: i32 = <i16>(load<i16>(entry, 2) - base)
  return <i16>(base + ((slope * (v & 127) + 64) >> 7))
}

/** The input in units of 1/12288. */
// @ts-ignore: decorator
@inline
function scaled(r: Unary16Record, v: i32): i32 {
  const round = r.shift > 0 ? 1 << (r.shift - 1) : 0
  return (v * r.multiplier + round) >> r.shift
}

function logistic(r: Unary16Record, v: i32): i32 {
  const x = scaled(r, v)
  const magnitude: u32 = abs(x)
  const at = magnitude >> 9
  let y: u32 = 0x7fff << 10
  if (at < 255) {
    const entry: usize = r.table + (at << 1)
    const base: u32 = load<u16>(entry)
    y = (base << 9) + (magnitude & 511) * (load<u16>(entry, 2) - base)
  }
  y = x >= 0 ? y + 512 : (1 << 25) - y + 511
  return <i16>(y >> 10)
}

function tanh(r: Unary16Record, v: i32): i32 {
  const x = scaled(r, v)
  const magnitude: u32 = abs(x)
  const at = magnitude >> 8
  let y: i32 = 0xffff << 8
  if (at < 255) {
    const entry: usize = r.table + (at << 1)
    const base: i32 = load<u16>(entry)
    y = (base << 8) + (magnitude & 255) * (load<u16>(entry, 2) - base)
  }
  y = x >= 0 ? y - (1 << 23) + 128 : -y + (1 << 23) + 127
  return <i16>(y >> 8)
}

function rescale(r: Unary16Record, v: i32): i32 {
  v -= r.inputZeroPoint
  v = v >= 0 ? multiplyWrapping(v, r.multiplier, r.shift) : multiplyWrapping(v, r.below, r.belowShift)
  return clamp(v + r.outputZeroPoint, r.low, r.high)
}

function element(r: Unary16Record, v: i32): i32 {
  switch (r.kind) {
    case UNARY16_RESCALE:
      return rescale(r, v)
    case UNARY16_LOOKUP:
      return lookUp(r.table, v)
    case UNARY16_LOGISTIC:
      return logistic(r, v)
    case UNARY16_TANH:
      return tanh(r, v)
    case UNARY16_SQRT:
      return v < 0 ? 0 : clamp(i32(sqrt<f32>(<f32>v * r.scale) / r.outputScale), -32768, 32767)
    case UNARY16_LOGISTIC_FIXED:
      return logistic16(v)
    default:
      // The input is shifted as 16 bits, saturating.
      return tanh16(clamp16(v << r.shift), 3)
  }
}

/** To the nearest integer, ties to even; what does not fit 32 bits is the least integer, as on x86. */
function rounded(v: f32): i32 {
  const r = nearest<f32>(v)
  return abs<f32>(r) < 2147483648 ? <i32>r : i32.MIN_VALUE
}

// @ts-ignore: decorator
@inline
function bytesOf(type: u32): usize {
  return type == TYPE_INT16 ? 2 : type == TYPE_INT32 || type == TYPE_FLOAT32 ? 4 : 1
}

export function unary16(record: usize): void {
  const r = changetype<Unary16Record>(record)
  const stepIn = bytesOf(r.from)
  const stepOut = bytesOf(r.to)
  const whole = r.count & ~7
  let from: usize = r.input
  let to: usize = r.output
  for (let i = 0; i < r.count; i++) {
    if (r.kind == UNARY16_TO_FLOAT) {
      store<f32>(to, <f32>(load<i16>(from) - r.inputZeroPoint) * r.scale)
    } else {
      let v: i32
      if (r.kind == UNARY16_FROM_FLOAT) {
        const x = load<f32>(from)
        // The reference's vectors of eight multiply and round to even, what is left of them is divided.
        v = i < whole ? rounded(x * r.scale) : roundAway64(f64(x) / f64(r.outputScale))
        v = clamp(v + r.outputZeroPoint, -32768, 32767)
      } else {
        v = element(r, stepIn == 2 ? load<i16>(from) : stepIn == 4 ? load<i32>(from) : load<i8>(from))
      }
      if (stepOut == 2) store<i16>(to, v)
      else if (stepOut == 4) store<i32>(to, v)
      else store<i8>(to, v)
    }
    from += stepIn
    to += stepOut
  }
}

function softmaxRow(r: Softmax16Record, x: usize, y: usize): void {
  const end = y + (r.depth << 1)
  let largest = -32768
  for (let i = 0; i < r.depth; i++) largest = max(largest, <i32>load<i16>(x + (i << 1)))
  let sum = 0
  for (let to = y; to < end; to += 2) {
    const difference = multiplyByQuantizedMultiplier(load<i16>(x) - largest, r.multiplier, r.shift)
    const e = lookUp(r.exponentials, clamp16(difference + 32767))
    store<i16>(to, e)
    sum += e
    x += 2
  }
  const headroom = i32(clz<i32>(sum))
  const shifted = i32(((i64(sum) << (headroom - 1)) + (1 << 13)) >> 14)
  const reciprocal = i64(lookUp(r.reciprocals, clamp16(shifted - 98304)))
  const right = 31 - headroom
  // No rounding for the one sum that is below 2: the reference's 1 << -1 is 1 << 31 on x86, shifted by 0.
  const round: i64 = i64(1 << (right - 1))
  for (let to = y; to < end; to += 2) {
    store<i16>(to, clamp(i32((i64(load<i16>(to)) * reciprocal + round) >> right), 0, 32767))
  }
}

export function softmax16(record: usize): void {
  const r = changetype<Softmax16Record>(record)
  const bytes = r.depth << 1
  for (let i = 0; i < <i32>r.rows; i++) softmaxRow(r, r.input + i * bytes, r.output + i * bytes)
}

/** Of int8 to int16, rounded half away from zero. Source: TFLite's builtin softmax. */
export function softmaxWide(record: usize): void {
  const r = changetype<SoftmaxRecord>(record)
  const depth = r.depth
  const table: usize = r.table
  for (let y: u32 = 0; y < r.rows; y++) {
    const from: usize = r.input + y * depth
    const to: usize = r.output + ((y * depth) << 1)
    const top = rowMaximum(from, depth)
    const sum = sumExponentials(table, top, from, depth)
    const inverse: f32 = <f32>1 / (sum * r.outScale)
    for (let i = 0; i < depth; i++) {
      const p = exponential(table, top, from + i) * inverse
      const whole = trunc<f32>(p)
      store<i16>(to + (i << 1), clamp(i32(whole) + i32(p - whole >= 0.5) + r.outputZeroPoint, -32768, 32767))
    }
  }
}
