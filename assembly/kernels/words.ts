/** Kernels on words: arithmetic of coordinates and indices, gathering by index. */
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
  ARITHMETIC_LONG,
  ArithmeticRecord,
  GatherNdRecord,
  STATUS_BAD_INDEX,
  STATUS_OK,
} from '../layout'
import { copyBytes } from '../scalar'
import { flush } from './float-unary'
import { eachOuter } from './odometer'

/** The quotient that does not fit wraps; by 0: 0. */
// @ts-ignore: decorator
@inline
function divide<T>(a: T, b: T): T {
  return b == <T>-1 ? <T>0 - a : b != <T>0 ? a / b : <T>0
}

/** The remainder, of the dividend's sign; by 0: 0. */
// @ts-ignore: decorator
@inline
function remainder<T>(a: T, b: T): T {
  return b == <T>-1 || b == <T>0 ? <T>0 : a % b
}

// @ts-ignore: decorator
@inline
function combineInts<T>(kind: i32, a: T, b: T): T {
  switch (kind) {
    case ARITHMETIC_INT_ADD:
      return a + b
    case ARITHMETIC_INT_SUB:
      return a - b
    case ARITHMETIC_INT_MUL:
      return a * b
    case ARITHMETIC_INT_FLOOR_DIV:
      return divide<T>(a, b) - <T>(remainder<T>(a, b) != <T>0 && (a ^ b) < <T>0)
    case ARITHMETIC_INT_FLOOR_MOD: {
      const rest = remainder<T>(a, b)
      return rest != <T>0 && (rest ^ b) < <T>0 ? rest + b : rest
    }
    case ARITHMETIC_INT_DIV:
      return divide<T>(a, b)
    case ARITHMETIC_INT_MAXIMUM:
      return max<T>(a, b)
    case ARITHMETIC_INT_MINIMUM:
      return min<T>(a, b)
    default:
      return (a - b) * (a - b)
  }
}

/** One element of int32 or int64, within the limits of the fused activation. */
// @ts-ignore: decorator
@inline
function storeInt<T>(r: ArithmeticRecord, to: usize, a: usize, b: usize): void {
  let y = combineInts<T>(r.kind & ~ARITHMETIC_LONG, load<T>(a), load<T>(b))
  if (r.clamped & 1) y = max<T>(y, <T>r.low)
  if (r.clamped & 2) y = min<T>(y, <T>r.high)
  store<T>(to, y)
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

/** Whether a kind, not one of int64, computes with floats. */
// @ts-ignore: decorator
@inline
function isFloat(kind: i32): bool {
  return kind >= ARITHMETIC_FLOAT_MAXIMUM || (kind >= ARITHMETIC_FLOAT_ADD && kind <= ARITHMETIC_FLOAT_DIV)
}


@unmanaged
class Combined extends ArithmeticRecord {
  // @ts-ignore: decorator
  @inline
  row(i: i32, j: i32, k: i32, to: usize): usize {
    const kind = this.kind
    const long = (kind & ARITHMETIC_LONG) != 0
    const width = long ? 3 : 2
    const floats = !long && isFloat(kind)
    let a: usize = this.a + i * this.a0 + j * this.a1 + k * this.a2
    let b: usize = this.b + i * this.b0 + j * this.b1 + k * this.b2
    for (const end: usize = to + (this.d3 << width); to < end; to += 1 << width) {
      if (kind == ARITHMETIC_INT_TO_FLOAT) store<f32>(to, f32(load<i32>(a)))
      else if (floats) {
        let y = combineFloats(kind, load<f32>(a), load<f32>(b))
        // A zero keeps its sign.
        if (this.clamped & 1 && y < this.low) y = this.low
        if (this.clamped & 2 && y > this.high) y = this.high
        store<f32>(to, y)
      } else if (long) storeInt<i64>(this, to, a, b)
      else storeInt<i32>(this, to, a, b)
      a += this.a3
      b += this.b3
    }
    return to
  }
}

export function arithmetic(record: usize): void {
  eachOuter<Combined>(record)
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
