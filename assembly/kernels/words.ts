/** Kernels on 32-bit words: arithmetic of coordinates and indices, gathering by index. */
import {
  ARITHMETIC_FLOAT_ADD,
  ARITHMETIC_FLOAT_DIV,
  ARITHMETIC_FLOAT_MUL,
  ARITHMETIC_FLOAT_SUB,
  ARITHMETIC_INT_ADD,
  ARITHMETIC_INT_FLOOR_DIV,
  ARITHMETIC_INT_MUL,
  ARITHMETIC_INT_SUB,
  ArithmeticRecord,
  GatherNdRecord,
  STATUS_BAD_INDEX,
  STATUS_OK,
} from '../layout'
import { copyBytes } from '../scalar'

/** Towards minus infinity; b is not 0. The quotient that does not fit wraps. */
// @ts-ignore: decorator
@inline
function floorDiv(a: i32, b: i32): i32 {
  if (b == -1) return -a
  const q = a / b
  return q - i32(q * b != a && (a ^ b) < 0)
}

// @ts-ignore: decorator
@inline
function combine(kind: u32, a: i32, b: i32): i32 {
  switch (kind) {
    case ARITHMETIC_INT_ADD:
      return a + b
    case ARITHMETIC_INT_SUB:
      return a - b
    case ARITHMETIC_INT_MUL:
      return a * b
    case ARITHMETIC_INT_FLOOR_DIV:
      return floorDiv(a, b)
    case ARITHMETIC_FLOAT_ADD:
      return reinterpret<i32>(reinterpret<f32>(a) + reinterpret<f32>(b))
    case ARITHMETIC_FLOAT_SUB:
      return reinterpret<i32>(reinterpret<f32>(a) - reinterpret<f32>(b))
    case ARITHMETIC_FLOAT_MUL:
      return reinterpret<i32>(reinterpret<f32>(a) * reinterpret<f32>(b))
    case ARITHMETIC_FLOAT_DIV:
      return reinterpret<i32>(reinterpret<f32>(a) / reinterpret<f32>(b))
    default:
      return reinterpret<i32>(<f32>a)
  }
}

export function arithmetic(record: usize): void {
  const r = changetype<ArithmeticRecord>(record)
  const kind = r.kind
  let to: usize = r.output
  for (let i = 0; i < r.d0; i++) {
    for (let j = 0; j < r.d1; j++) {
      for (let k = 0; k < r.d2; k++) {
        let a: usize = r.a + i * r.a0 + j * r.a1 + k * r.a2
        let b: usize = r.b + i * r.b0 + j * r.b1 + k * r.b2
        for (const end: usize = to + (r.d3 << 2); to < end; to += 4) {
          store<i32>(to, combine(kind, load<i32>(a), load<i32>(b)))
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
