/**
 * Kernels on elements of any type: comparison, logic, selection, conversion, the largest of a row.
 * Source: TFLite's builtin comparisons.cc, select.cc, cast.cc, topk_v2.cc.
 */
import {
  COMPARE_AND,
  COMPARE_EQUAL,
  COMPARE_GREATER,
  COMPARE_GREATER_EQUAL,
  COMPARE_LESS,
  COMPARE_LESS_EQUAL,
  COMPARE_NOT_EQUAL,
  CompareRecord,
  ConvertRecord,
  SelectRecord,
  TopKRecord,
  TYPE_BOOL,
  TYPE_FLOAT32,
  TYPE_INT16,
  TYPE_INT32,
  TYPE_INT64,
  TYPE_UINT8,
} from '../layout'
import { multiplyByQuantizedMultiplier } from '../requantize'
import { copyBytes } from '../scalar'
import { eachOuter } from './odometer'

function test<T>(kind: u32, a: T, b: T): bool {
  switch (kind) {
    case COMPARE_EQUAL:
      return a == b
    case COMPARE_NOT_EQUAL:
      return a != b
    case COMPARE_LESS:
      return a < b
    case COMPARE_LESS_EQUAL:
      return a <= b
    case COMPARE_GREATER:
      return a > b
    case COMPARE_GREATER_EQUAL:
      return a >= b
    case COMPARE_AND:
      return a != <T>0 && b != <T>0
    default:
      return a != <T>0 || b != <T>0
  }
}

function compared(r: CompareRecord, a: usize, b: usize): bool {
  switch (r.type) {
    case TYPE_BOOL:
      return test<u32>(r.kind, load<u8>(a), load<u8>(b))
    case TYPE_INT16:
      // Without multipliers as stored.
      if (!r.aMultiplier) return test<i32>(r.kind, load<i16>(a), load<i16>(b))
      return test<i32>(
        r.kind,
        multiplyByQuantizedMultiplier(load<i16>(a) << 8, r.aMultiplier, r.aShift),
        multiplyByQuantizedMultiplier(load<i16>(b) << 8, r.bMultiplier, r.bShift),
      )
    case TYPE_INT32:
      return test<i32>(r.kind, load<i32>(a), load<i32>(b))
    case TYPE_INT64:
      return test<i64>(r.kind, load<i64>(a), load<i64>(b))
    case TYPE_FLOAT32:
      return test<f32>(r.kind, load<f32>(a), load<f32>(b))
    default:
      return test<i32>(
        r.kind,
        multiplyByQuantizedMultiplier((load<i8>(a) - r.aZeroPoint) << 8, r.aMultiplier, r.aShift),
        multiplyByQuantizedMultiplier((load<i8>(b) - r.bZeroPoint) << 8, r.bMultiplier, r.bShift),
      )
  }
}


@unmanaged
class Compared extends CompareRecord {
  // @ts-ignore: decorator
  @inline
  row(i: i32, j: i32, k: i32, to: usize): usize {
    let a: usize = this.a + i * this.a0 + j * this.a1 + k * this.a2
    let b: usize = this.b + i * this.b0 + j * this.b1 + k * this.b2
    for (let l = 0; l < this.d3; l++) {
      store<u8>(to++, u8(compared(this, a, b)))
      a += this.a3
      b += this.b3
    }
    return to
  }
}

export function compare(record: usize): void {
  eachOuter<Compared>(record)
}


@unmanaged
class Selected extends SelectRecord {
  // @ts-ignore: decorator
  @inline
  row(i: i32, j: i32, k: i32, to: usize): usize {
    const bytes = this.bytes
    let c: usize = this.condition + i * this.c0 + j * this.c1 + k * this.c2
    let a: usize = this.a + i * this.a0 + j * this.a1 + k * this.a2
    let b: usize = this.b + i * this.b0 + j * this.b1 + k * this.b2
    for (let l = 0; l < this.d3; l++) {
      copyBytes(to, load<u8>(c) ? a : b, bytes)
      to += bytes
      c += this.c3
      a += this.a3
      b += this.b3
    }
    return to
  }
}

export function select(record: usize): void {
  eachOuter<Selected>(record)
}

function widthOf(type: u32): usize {
  if (type == TYPE_INT64) return 8
  if (type == TYPE_INT32 || type == TYPE_FLOAT32) return 4
  return type == TYPE_INT16 ? 2 : 1
}

function integerAt(type: u32, at: usize): i64 {
  switch (type) {
    case TYPE_UINT8:
      return load<u8>(at) ^ 0x80
    case TYPE_BOOL:
      return load<u8>(at)
    case TYPE_INT16:
      return load<i16>(at)
    case TYPE_INT32:
      return load<i32>(at)
    case TYPE_INT64:
      return load<i64>(at)
    default:
      return load<i8>(at)
  }
}

function storeInteger(type: u32, at: usize, v: i64): void {
  switch (type) {
    case TYPE_UINT8:
      store<u8>(at, (<u8>v) ^ 0x80)
      break
    case TYPE_BOOL:
      store<u8>(at, u8(v != 0))
      break
    case TYPE_INT16:
      store<i16>(at, <i16>v)
      break
    case TYPE_INT32:
      store<i32>(at, <i32>v)
      break
    case TYPE_INT64:
      store<i64>(at, v)
      break
    default:
      store<i8>(at, <i8>v)
  }
}

/** As x86 truncates: what does not fit is the smallest integer. */
function truncated(v: f32, wide: bool): i64 {
  if (wide) return abs<f32>(v) < 9.223372036854775807e18 ? <i64>v : i64.MIN_VALUE
  return abs<f32>(v) < 2147483648 ? i64(<i32>v) : i64(i32.MIN_VALUE)
}

export function convert(record: usize): void {
  const r = changetype<ConvertRecord>(record)
  const stepIn = widthOf(r.from)
  const stepOut = widthOf(r.to)
  let from: usize = r.input
  let to: usize = r.output
  for (let i = 0; i < r.count; i++) {
    if (r.from != TYPE_FLOAT32) {
      const v = integerAt(r.from, from)
      if (r.to == TYPE_FLOAT32) store<f32>(to, <f32>v)
      else storeInteger(r.to, to, v)
    } else if (r.to == TYPE_BOOL) {
      store<u8>(to, u8(load<f32>(from) != 0))
    } else {
      storeInteger(r.to, to, truncated(load<f32>(from), r.to == TYPE_INT64))
    }
    from += stepIn
    to += stepOut
  }
}

/** Order of values as f64, which holds all types here exactly but int64. */
function valueAt(type: u32, at: usize): f64 {
  if (type == TYPE_FLOAT32) return load<f32>(at)
  if (type == TYPE_INT32) return load<i32>(at)
  if (type == TYPE_INT16) return load<i16>(at)
  return load<i8>(at)
}

export function topK(record: usize): void {
  const r = changetype<TopKRecord>(record)
  const bytes = r.bytes
  let values: usize = r.values
  let indices: usize = r.indices
  for (let o = 0; o < r.outer; o++) {
    const row: usize = r.input + o * r.depth * bytes
    let last = Infinity
    let lastAt = -1
    for (let k = 0; k < r.k; k++) {
      // The largest of those that come after the one before.
      let best = 0.0
      let at = -1
      for (let d = 0; d < r.depth; d++) {
        const v = valueAt(r.type, row + d * bytes)
        if (k && (v > last || (v == last && d <= lastAt))) continue
        if (at < 0 || v > best) {
          best = v
          at = d
        }
      }
      if (at < 0) at = 0
      copyBytes(values, row + at * bytes, bytes)
      store<i32>(indices, at)
      values += bytes
      indices += 4
      last = best
      lastAt = at
    }
  }
}
