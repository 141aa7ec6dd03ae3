/** Normalizations of a tensor's rows. */
import { L2NormalizationRecord, LogSoftmaxRecord } from '../layout'
import { clamp, doublingHighProduct, multiplyByQuantizedMultiplier } from '../requantize'
import { rowMaximum, sumExponentials } from './exponentials'

/** x * 2^bits, saturated. */
// @ts-ignore: decorator
@inline
function saturatingShift(x: i32, bits: i32): i32 {
  return i32(min<i64>(max<i64>(i64(x) << bits, i32.MIN_VALUE), i32.MAX_VALUE))
}

/** The multiplier of 1 / sqrt(input) for 2^27 <= input < 2^29. Source: TFLite GetInvSqrtQuantizedMultiplierExp. */
function inverseSqrt(input: i32): i32 {
  const half = ((input >> 1) + 1) >> 1
  let x = 1 << 28
  for (let i = 0; i < 5; i++) {
    const cube = saturatingShift(doublingHighProduct(doublingHighProduct(x, x), x), 6)
    x = saturatingShift(doublingHighProduct((1 << 28) + (1 << 27), x) - doublingHighProduct(half, cube), 3)
  }
  return doublingHighProduct(x, 1518500250)
}

export function l2Normalization(record: usize): void {
  const r = changetype<L2NormalizationRecord>(record)
  const depth = r.depth
  let from: usize = r.input
  let to: usize = r.output
  for (let y: u32 = 0; y < r.rows; y++) {
    let squares = 0
    for (let i = 0; i < depth; i++) {
      const x = load<i8>(from + i) - r.inputZeroPoint
      squares += x * x
    }
    let multiplier: i32 = i32.MAX_VALUE
    let shift = 0
    if (squares > 1) {
      shift = -11
      while (squares >= 1 << 29) {
        squares /= 4
        shift--
      }
      const pairs = ((i32(clz(squares)) - 1) >> 1) - 1
      shift += pairs
      multiplier = inverseSqrt(squares << (2 * pairs))
      if (shift > 0) {
        multiplier <<= shift
        shift = 0
      }
    }
    for (let i = 0; i < depth; i++) {
      const x = (load<i8>(from + i) - r.inputZeroPoint) << r.before
      store<i8>(to + i, clamp(multiplyByQuantizedMultiplier(x, multiplier, shift + r.after), -128, 127))
    }
    from += depth
    to += depth
  }
}

/** The sum runs left to right in f32, the logarithm is glibc's. Source: TFLite's builtin LOG_SOFTMAX. */
export function logSoftmax(record: usize): void {
  const r = changetype<LogSoftmaxRecord>(record)
  const depth = r.depth
  const table: usize = r.table
  const scale: f32 = r.inScale / r.outScale
  let from: usize = r.input
  let to: usize = r.output
  for (let y: u32 = 0; y < r.rows; y++) {
    const top = rowMaximum(from, depth)
    const sum = sumExponentials(table, top, from, depth)
    const offset: f32 = (r.inScale * f32(top + r.before) + Mathf.log(sum)) / r.outScale
    for (let i = 0; i < depth; i++) {
      const p: f32 = scale * f32(load<i8>(from + i) + r.before) - offset
      store<i8>(to + i, clamp(i32(nearest<f32>(max<f32>(p, -1048576))) + r.after, -128, 127))
    }
    from += depth
    to += depth
  }
}
