/**
 * A bounds-checked cursor over an HDF5 file, and the error that everything in this folder throws.
 * Source: HDF5 File Format Specification, version 3.0.
 */
import { ThimbleError } from '../../base/errors.ts'

/** Throws `format/hdf5`. */
export function bad(what: string, got?: string): never {
  throw new ThimbleError('format/hdf5', what, got === undefined ? {} : { got })
}

/** Structures that one file may make us visit: no real one comes near, a cycle of addresses ends here. */
const MAX_VISITS = 1_000_000

/** The bytes of a file, the sizes of its addresses and lengths, and a budget of visits. */
export class Hdf5Bytes {
  readonly bytes: Uint8Array
  readonly view: DataView
  /** Bytes of an address and of a length, as the superblock says. */
  offsetBytes = 8
  lengthBytes = 8
  /** What addresses count from. */
  base = 0
  private visits = 0

  constructor(bytes: Uint8Array) {
    this.bytes = bytes
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  /** A cursor at a file address. Errors: `format/hdf5` outside the file. */
  at(address: number): Cursor {
    if (++this.visits > MAX_VISITS) bad('file goes in circles')
    const at = this.base + address
    if (!Number.isSafeInteger(at) || at < 0 || at > this.bytes.length) {
      bad('an address lies outside the file', `${address}`)
    }
    return new Cursor(this, at, this.bytes.length)
  }
}

/** Reads little-endian numbers from `position` on, never beyond `end`. */
export class Cursor {
  readonly file: Hdf5Bytes
  position: number
  readonly end: number

  constructor(file: Hdf5Bytes, position: number, end: number) {
    this.file = file
    this.position = position
    this.end = end
  }

  /** Bytes that are left. */
  get left(): number {
    return this.end - this.position
  }

  private take(count: number): number {
    if (count < 0 || count > this.left) bad('a structure is cut off', `${count} bytes wanted, ${this.left} left`)
    const at = this.position
    this.position += count
    return at
  }

  skip(count: number): this {
    this.take(count)
    return this
  }

  /** Skips to the next multiple of eight bytes from `start`. */
  pad8(start: number): this {
    return this.skip((8 - ((this.position - start) & 7)) & 7)
  }

  u8(): number {
    return this.file.view.getUint8(this.take(1))
  }
  u16(): number {
    return this.file.view.getUint16(this.take(2), true)
  }
  u32(): number {
    return this.file.view.getUint32(this.take(4), true)
  }

  /** An unsigned integer of `bytes` bytes; one of 2^53 and more becomes Infinity. */
  uint(bytes: number): number {
    const at = this.take(bytes)
    let value = 0
    for (let i = bytes - 1; i >= 0; i--) value = value * 256 + this.file.bytes[at + i]!
    return Number.isSafeInteger(value) ? value : Infinity
  }

  /** An address; undefined where the file says that there is none (all bits set). */
  address(): number | undefined {
    const value = this.uint(this.file.offsetBytes)
    return value === Infinity || value === 2 ** (8 * this.file.offsetBytes) - 1 ? undefined : value
  }

  /** An address that must be there. */
  target(what: string): number {
    return this.address() ?? bad(`${what} has no address`)
  }

  length(): number {
    return this.uint(this.file.lengthBytes)
  }

  /** `count` bytes of the file, not copied. */
  take8(count: number): Uint8Array {
    const at = this.take(count)
    return this.file.bytes.subarray(at, at + count)
  }

  /** A cursor over the next `count` bytes, which this one skips. */
  slice(count: number): Cursor {
    const at = this.take(count)
    return new Cursor(this.file, at, at + count)
  }

  /** Four bytes that must read `text`. */
  signature(text: string): this {
    const got = String.fromCharCode(...this.take8(4))
    if (got !== text) bad(`expected a ${text} block`, JSON.stringify(got))
    return this
  }

  /** Text up to a zero byte or the end. */
  zeroTerminated(): string {
    const rest = this.file.bytes.subarray(this.position, this.end)
    const zero = rest.indexOf(0)
    const length = zero < 0 ? rest.length : zero
    this.position += Math.min(length + 1, rest.length)
    return utf8(rest.subarray(0, length))
  }
}

const decoder = new TextDecoder()
export const utf8 = (bytes: Uint8Array): string => decoder.decode(bytes)
