/** Kernels that move bytes: row copy, fill, table look-ups, strided copy, gather. */
import { ChannelLutRecord, CopyRecord, FillRecord, GatherRecord, LutRecord, StridedCopyRecord } from '../layout'
import { copyBytes } from '../scalar'
import { eachOuter } from './odometer'

/** Row copy with xor. Reads and writes exactly `bytes` a row. */
export function copy(record: usize, y0: i32, y1: i32): void {
  const r = changetype<CopyRecord>(record)
  const bytes = r.bytes
  const flip = r.xor
  for (let y = y0; y < y1; y++) {
    const from: usize = r.input + (y < r.inRing ? y : y % r.inRing) * r.inRowStride
    const to: usize = r.output + (y < r.outRing ? y : y % r.outRing) * r.outRowStride
    if (!flip) {
      copyBytes(to, from, bytes)
      continue
    }
    let i = 0
    if (ASC_FEATURE_SIMD) {
      const mask = i8x16.splat(<i8>flip)
      for (; i + 16 <= bytes; i += 16) v128.store(to + i, v128.xor(v128.load(from + i), mask))
    }
    for (; i < bytes; i++) store<u8>(to + i, load<u8>(from + i) ^ (<u8>flip))
  }
}

export function fill(record: usize, y0: i32, y1: i32): void {
  const r = changetype<FillRecord>(record)
  for (let y = y0; y < y1; y++) memory.fill(r.output + y * r.outRowStride, <u8>r.value, r.bytes)
}

/** out = table[in] for every byte. May run in place. */
export function lut(record: usize, y0: i32, y1: i32): void {
  const r = changetype<LutRecord>(record)
  const table: usize = r.table
  const bytes = r.bytes
  for (let y = y0; y < y1; y++) {
    let from: usize = r.input + (y < r.inRing ? y : y % r.inRing) * r.inRowStride
    let to: usize = r.output + (y < r.outRing ? y : y % r.outRing) * r.outRowStride
    const end = from + bytes
    if (ASC_FEATURE_SIMD) {
      // Half of the bytes are gathered in a vector, half stored one by one: loads, stores and shuffles share the work.
      // No byte is written before those that lie there have been read, also where `to` is a little before `from`.
      for (; from + 16 <= end; from += 16, to += 16) {
        let v = v128.load8_splat(table + load<u8>(from))
        v = v128.load8_lane(table + load<u8>(from, 1), v, 1)
        v = v128.load8_lane(table + load<u8>(from, 2), v, 2)
        v = v128.load8_lane(table + load<u8>(from, 3), v, 3)
        v = v128.load8_lane(table + load<u8>(from, 4), v, 4)
        v = v128.load8_lane(table + load<u8>(from, 5), v, 5)
        v = v128.load8_lane(table + load<u8>(from, 6), v, 6)
        v = v128.load8_lane(table + load<u8>(from, 7), v, 7)
        store<u8>(to, load<u8>(table + load<u8>(from, 8)), 8)
        store<u8>(to, load<u8>(table + load<u8>(from, 9)), 9)
        store<u8>(to, load<u8>(table + load<u8>(from, 10)), 10)
        store<u8>(to, load<u8>(table + load<u8>(from, 11)), 11)
        store<u8>(to, load<u8>(table + load<u8>(from, 12)), 12)
        store<u8>(to, load<u8>(table + load<u8>(from, 13)), 13)
        store<u8>(to, load<u8>(table + load<u8>(from, 14)), 14)
        store<u8>(to, load<u8>(table + load<u8>(from, 15)), 15)
        v128.store64_lane(to, v, 0)
      }
    }
    for (; from < end; from++, to++) store<u8>(to, load<u8>(table + load<u8>(from)))
  }
}

/** out = table of the channel[in] for every byte. May run in place. */
export function channelLut(record: usize, y0: i32, y1: i32): void {
  const r = changetype<ChannelLutRecord>(record)
  const table: usize = r.table
  const first: usize = r.offsets
  const last = first + ((<usize>r.channels) << 2)
  for (let y = y0; y < y1; y++) {
    let from: usize = r.input + (y < r.inRing ? y : y % r.inRing) * r.inRowStride
    let to: usize = r.output + (y < r.outRing ? y : y % r.outRing) * r.outRowStride
    for (let x = 0; x < r.pixels; x++) {
      for (let offset = first; offset < last; offset += 4) {
        store<u8>(to++, load<u8>(table + load<u32>(offset) + load<u8>(from++)))
      }
    }
  }
}


@unmanaged
class Strided extends StridedCopyRecord {
  // @ts-ignore: decorator
  @inline
  row(i: i32, j: i32, k: i32, first: usize): usize {
    const bytes = this.bytes
    const in3 = this.in3
    const out3 = this.out3
    let from: usize = this.input + i * this.in0 + j * this.in1 + k * this.in2
    let to: usize = first + i * this.out0 + j * this.out1 + k * this.out2
    if (bytes == 1) {
      for (let l = this.d3; l > 0; l--) {
        store<u8>(to, load<u8>(from))
        from += in3
        to += out3
      }
    } else {
      for (let l = this.d3; l > 0; l--) {
        copyBytes(to, from, bytes)
        from += in3
        to += out3
      }
    }
    return first
  }
}

export function stridedCopy(record: usize): void {
  eachOuter<Strided>(record)
}

/** Nearest-neighbour resize: runs of `bytes` from rowTable[y] + columnTable[x]. */
export function gather(record: usize, y0: i32, y1: i32): void {
  const r = changetype<GatherRecord>(record)
  const bytes = r.bytes
  for (let y = y0; y < y1; y++) {
    const row: usize = r.input + load<i32>(r.rowTable + (y << 2))
    let to: usize = r.output + y * r.outRowStride
    for (let x = 0; x < r.outW; x++) {
      copyBytes(to, row + load<i32>(r.columnTable + (x << 2)), bytes)
      to += bytes
    }
  }
}
