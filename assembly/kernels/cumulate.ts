/** ARG_MAX of 32-bit words, running sums, sums at indices. Source: TFLite's builtin kernels. */
import {
  ArgMax32Record,
  CumulateRecord,
  ScatterRecord,
  STATUS_BAD_INDEX,
  STATUS_OK,
  TYPE_FLOAT32,
  TYPE_INT16,
  TYPE_INT32,
  TYPE_INT64,
} from '../layout'

/** First index of the largest or smallest number along `depth`; a NaN never is, unless all are. */
export function argMax32(record: usize): void {
  const r = changetype<ArgMax32Record>(record)
  const step: usize = r.inner << 2
  let out: usize = r.output
  for (let o = 0; o < r.outer; o++) {
    for (let i = 0; i < r.inner; i++) {
      let p: usize = r.input + ((o * r.depth * r.inner + i) << 2)
      let best: f64 = r.floats ? <f64>load<f32>(p) : <f64>load<i32>(p)
      let at = 0
      for (let d = 1; d < r.depth; d++) {
        p += step
        const v: f64 = r.floats ? <f64>load<f32>(p) : <f64>load<i32>(p)
        if (best != best ? v == v : r.least ? v < best : v > best) {
          best = v
          at = d
        }
      }
      if (r.outBytes == 8) store<i64>(out, at)
      else store<i32>(out, at)
      out += r.outBytes
    }
  }
}

/** x + y of a type. */
// @ts-ignore: decorator
@inline
function addTo(to: usize, from: usize, type: i32): void {
  if (type == TYPE_FLOAT32) store<f32>(to, load<f32>(to) + load<f32>(from))
  else if (type == TYPE_INT32) store<i32>(to, load<i32>(to) + load<i32>(from))
  else if (type == TYPE_INT64) store<i64>(to, load<i64>(to) + load<i64>(from))
  else if (type == TYPE_INT16) store<i16>(to, load<i16>(to) + load<i16>(from))
  else store<i8>(to, load<i8>(to) + load<i8>(from))
}

/** Whole runs of `inner` elements along `depth`. */
export function cumulate(record: usize): void {
  const r = changetype<CumulateRecord>(record)
  const width = r.type == TYPE_INT64 ? 8 : 4
  const run = r.inner * width
  for (let o = 0; o < r.outer; o++) {
    const first = o * r.depth * run
    for (let d = 0; d < r.depth; d++) {
      const at = first + (r.reverse ? r.depth - 1 - d : d) * run
      const before = r.reverse ? at + run : at - run
      const to: usize = r.output + at
      if (d) memory.copy(to, r.output + before, run)
      else memory.fill(to, 0, run)
      if (!d && r.exclusive) continue
      const from: usize = r.input + (r.exclusive ? before : at)
      for (let i = 0; i < run; i += width) addTo(to + i, from + i, r.type)
    }
  }
}

/** Returns a STATUS. */
export function scatter(record: usize): i32 {
  const r = changetype<ScatterRecord>(record)
  memory.fill(r.output, 0, r.outputBytes)
  const width = r.type == TYPE_INT64 ? 8 : r.type >= TYPE_INT32 ? 4 : r.type == TYPE_INT16 ? 2 : 1
  let index: usize = r.indices
  let from: usize = r.input
  for (let n = 0; n < r.count; n++) {
    let to: usize = r.output
    for (let word: usize = record, end = record + (r.depth << 2); word < end; word += 4) {
      const i = load<u32>(index)
      if (i >= load<u32>(word, offsetof<ScatterRecord>('limit0'))) return STATUS_BAD_INDEX
      to += i * load<i32>(word, offsetof<ScatterRecord>('stride0'))
      index += 4
    }
    for (let k = 0; k < r.bytes; k += width) addTo(to + k, from + k, r.type)
    from += r.bytes
  }
  return STATUS_OK
}
