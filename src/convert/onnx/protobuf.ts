/**
 * A bounds-checked cursor over protobuf wire format: fields as they come, no schema, no recursion of its own.
 * Source: Protocol Buffers encoding specification (wire types 0, 1, 2, 5).
 */
import { ThimbleError } from '../../base/errors.ts'

const bad = (what: string, at: number): never => {
  throw new ThimbleError('format/protobuf', `${what} at byte ${at}`, { hint: 'file is truncated or no protobuf' })
}
const utf8 = new TextDecoder()

export interface Field {
  number: number
  wire: number
  /** Varint or fixed value (wire 0, 1, 5), as stored. */ value: bigint
  /** Payload of wire 2. */ bytes: Uint8Array
}

const EMPTY = new Uint8Array(0)

/** Reads a varint: value and the offset after it. */
function varint(b: Uint8Array, at: number): [bigint, number] {
  let low = 0
  // Up to 28 bits without BigInt: nearly all tags and lengths.
  for (let i = 0; i < 4; i++) {
    if (at + i >= b.length) bad('varint ends early', at)
    const byte = b[at + i]!
    low |= (byte & 0x7f) << (7 * i)
    if (byte < 0x80) return [BigInt(low), at + i + 1]
  }
  let value = BigInt(low)
  for (let i = 4; i < 10; i++) {
    if (at + i >= b.length) bad('varint ends early', at)
    const byte = b[at + i]!
    value |= BigInt(byte & 0x7f) << BigInt(7 * i)
    if (byte < 0x80) return [BigInt.asUintN(64, value), at + i + 1]
  }
  return bad('varint is too long', at)
}

/** The fields of one message. Errors: `format/protobuf` for anything that does not fit the buffer. */
export function* fields(b: Uint8Array): Generator<Field> {
  const view = new DataView(b.buffer, b.byteOffset, b.byteLength)
  let at = 0
  while (at < b.length) {
    const start = at
    let tag: bigint
    ;[tag, at] = varint(b, at)
    const number = Number(tag >> 3n)
    const wire = Number(tag & 7n)
    if (number < 1 || number > 536870911) bad('field number out of range', start)
    if (wire === 0) {
      let value: bigint
      ;[value, at] = varint(b, at)
      yield { number, wire, value, bytes: EMPTY }
    } else if (wire === 1 || wire === 5) {
      const width = wire === 1 ? 8 : 4
      if (at + width > b.length) bad('fixed-width field ends early', start)
      yield {
        number,
        wire,
        value: wire === 1 ? view.getBigUint64(at, true) : BigInt(view.getUint32(at, true)),
        bytes: b.subarray(at, at + width),
      }
      at += width
    } else if (wire === 2) {
      let length: bigint
      ;[length, at] = varint(b, at)
      if (length > BigInt(b.length - at)) bad('field is longer than the file', start)
      yield { number, wire, value: 0n, bytes: b.subarray(at, at + Number(length)) }
      at += Number(length)
    } else bad(`wire type ${wire} is not read`, start)
  }
}

export const text = (f: Field): string => utf8.decode(f.bytes)
/** A signed 64-bit integer as a number. Errors: `format/protobuf` when it is not exact. */
export function int(value: bigint): number {
  const n = Number(BigInt.asIntN(64, value))
  // INT64_MAX and INT64_MIN stand for "to the end" in slices; they may lose their last bits.
  return Number.isSafeInteger(n) || Math.abs(n) >= 2 ** 62 ? n : bad('integer is too large', 0)
}
export const float = (f: Field): number =>
  new DataView(f.bytes.buffer, f.bytes.byteOffset, f.bytes.byteLength).getFloat32(0, true)

/** Repeated integers: one field each, or packed. */
export function ints(f: Field, out: number[]): void {
  if (f.wire !== 2) {
    out.push(int(f.value))
    return
  }
  let at = 0
  while (at < f.bytes.length) {
    let v: bigint
    ;[v, at] = varint(f.bytes, at)
    out.push(int(v))
  }
}

/** Repeated 32- or 64-bit floats: one field each, or packed. */
export function floats(f: Field, out: number[], width: 4 | 8 = 4): void {
  const view = new DataView(f.bytes.buffer, f.bytes.byteOffset, f.bytes.byteLength)
  if (f.bytes.length % width !== 0) bad('packed floats are cut off', 0)
  for (let i = 0; i < f.bytes.length; i += width) {
    out.push(width === 4 ? view.getFloat32(i, true) : view.getFloat64(i, true))
  }
}
