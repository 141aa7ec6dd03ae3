/** Kernels on 32-bit words: arithmetic of coordinates and indices, gathering by index. */
import {
  ARITHMETIC_FLOAT_ADD,
  ARITHMETIC_FLOAT_DIV,
  ARITHMETIC_FLOAT_FLOOR_DIV,
  ARITHMETIC_FLOAT_MAXIMUM,
  ARITHMETIC_FLOAT_MINIMUM,
  ARITHMETIC_FLOAT_MUL,
  ARITHMETIC_FLOAT_PRELU,
  ARITHMETIC_FLOAT_SQUARED_DIFFERENCE,
  ARITHMETIC_FLOAT_SUB,
  ARITHMETIC_INT_ADD,
  ARITHMETIC_INT_DIV,
  ARITHMETIC_INT_FLOOR_DIV,
  ARITHMETIC_INT_FLOOR_MOD,
  ARITHMETIC_INT_MAXIMUM,
  ARITHMETIC_INT_MINIMUM,
  ARITHMETIC_INT_MUL,
  ARITHMETIC_INT_SQUARED_DIFFERENCE,
  ARITHMETIC_INT_SUB,
  ARITHMETIC_INT_TO_FLOAT,
  ArithmeticRecord,
  GatherNdRecord,
  STATUS_BAD_INDEX,
  STATUS_OK,
} from '../layout'
import { copyBytes } from '../scalar'
import { flush } from './float-unary'

/** The quotient that does not fit wraps; by 0: 0. */
// @ts-ignore: decorator
@inline
function divide(a: i32, b: i32): i32 {
  return b == -1 ? -a : b ? a / b : 0
}

/** The remainder, of the dividend's sign; by 0: 0. */
// @ts-ignore: decorator
@inline
function remainder(a: i32, b: i32): i32 {
  return b == -1 || !b ? 0 : a % b
}

// @ts-ignore: decorator
@inline
function combineInts(kind: i32, a: i32, b: i32): i32 {
  switch (kind) {
    case ARITHMETIC_INT_ADD:
      return a + b
    case ARITHMETIC_INT_SUB:
      return a - b
    case ARITHMETIC_INT_MUL:
      return a * b
    case ARITHMETIC_INT_FLOOR_DIV:
      return divide(a, b) - i32(remainder(a, b) != 0 && (a ^ b) < 0)
    case ARITHMETIC_INT_FLOOR_MOD: {
      const rest = remainder(a, b)
      return rest && (rest ^ b) < 0 ? rest + b : rest
    }
    case ARITHMETIC_INT_DIV:
      return divide(a, b)
    case ARITHMETIC_INT_MAXIMUM:
      return max(a, b)
    case ARITHMETIC_INT_MINIMUM:
      return min(a, b)
    default:
      return (a - b) * (a - b)
  }
}

// @ts-ignore: decorator
@inline
function combineFloats(kind: i32, a: f32, b: f32): f32 {
  switch (kind) {
    case ARITHMETIC_FLOAT_ADD:
      return flush(a + b)
    case ARITHMETIC_FLOAT_SUB:
      return flush(a - b)
    case ARITHMETIC_FLOAT_MUL:
      return flush(a * b)
    case ARITHMETIC_FLOAT_DIV:
      return flush(a / b)
    case ARITHMETIC_FLOAT_PRELU:
      return a < 0 ? flush(a * b) : a
    case ARITHMETIC_FLOAT_FLOOR_DIV:
      return f32(floor<f64>(f64(a) / f64(b)))
    case ARITHMETIC_FLOAT_MAXIMUM:
      return max(a, b)
    case ARITHMETIC_FLOAT_MINIMUM:
      return min(a, b)
    default:
      return flush((a - b) * (a - b))
  }
}

/** Whether a kind computes with floats. */
// @ts-ignore: decorator
@inline
function isFloat(kind: i32): bool {
  return kind >= ARITHMETIC_FLOAT_MAXIMUM || (kind >= ARITHMETIC_FLOAT_ADD && kind <= ARITHMETIC_FLOAT_DIV)
}

export function arithmetic(record: usize): void {
  const r = changetype<ArithmeticRecord>(record)
  const kind = r.kind
  const floats = isFloat(kind)
  let to: usize = r.output
  for (let i = 0; i < r.d0; i++) {
    for (let j = 0; j < r.d1; j++) {
      for (let k = 0; k < r.d2; k++) {
        let a: usize = r.a + i * r.a0 + j * r.a1 + k * r.a2
        let b: usize = r.b + i * r.b0 + j * r.b1 + k * r.b2
        for (const end: usize = to + (r.d3 << 2); to < end; to += 4) {
          if (kind == ARITHMETIC_INT_TO_FLOAT) store<f32>(to, f32(load<i32>(a)))
          else if (floats) {
            let y = combineFloats(kind, load<f32>(a), load<f32>(b))
            // A zero keeps its sign.
            if (r.clamped & 1 && y < r.low) y = r.low
            if (r.clamped & 2 && y > r.high) y = r.high
            store<f32>(to, y)
          } else {
            let y = combineInts(kind, load<i32>(a), load<i32>(b))
            if (r.clamped & 1) y = max(y, i32(r.low))
            if (r.clamped & 2) y = min(y, i32(r.high))
            store<i32>(to, y)
          }
          a += r.a3
          b += r.b3
        }
      }
    }
  }
}

/** Returns a STATUS. */
export function gatherNd(record: usize): i32 {
  const r = changetype<GatherNdRecord>(record)
  const bytes = r.bytes
  let index: usize = r.indices
  let to: usize = r.output
  for (let n = 0; n < r.count; n++) {
    let from: usize = r.input
    for (let word: usize = record, end = record + (r.depth << 2); word < end; word += 4) {
      const i = load<u32>(index)
      if (i >= load<u32>(word, offsetof<GatherNdRecord>('limit0'))) return STATUS_BAD_INDEX
      from += i * load<i32>(word, offsetof<GatherNdRecord>('stride0'))
      index += 4
    }
    copyBytes(to, from, bytes)
    to += bytes
  }
  return STATUS_OK
}
