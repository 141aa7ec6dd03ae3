/**
 * A bounds-checked reader of FlatBuffers: the only code that turns file offsets into reads.
 * Every offset, vtable and vector is checked against the file before it is followed, so a damaged file ends in a
 * ThimbleError and never in a RangeError. Reads copy nothing but small vectors; byte vectors are views of the file.
 * Tables may share children, so work is bounded by a budget of read elements rather than by the file's size.
 * It knows no schema: `tflite.ts` and `metadata.ts` name fields by their slot number.
 * Source: https://flatbuffers.dev/internals/
 */
import { ThimbleError } from '../errors.ts'
import { allZero } from './scan.ts'

const damaged = 'the file is truncated or damaged'
const utf8 = new TextDecoder()
const LITTLE_ENDIAN = new Uint8Array(Uint32Array.of(1).buffer)[0] === 1

/** One FlatBuffer inside `bytes`, starting at byte 0. */
export class FlatBuffer {
  readonly bytes: Uint8Array
  readonly view: DataView
  /** What the messages call this buffer, e.g. `model`. */
  readonly what: string
  private budget: number

  constructor(bytes: Uint8Array, what: string) {
    this.bytes = bytes
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.what = what
    this.budget = 8 * bytes.length + (1 << 20)
  }

  /**
   * The root table. Errors: `format/flatbuffer` when `identifier` (4 characters at byte 4) differs or the root
   * offset leaves the file.
   */
  root(identifier: string): Table {
    this.need(0, 8, 'header')
    const got = String.fromCharCode(...this.bytes.subarray(4, 8))
    if (got !== identifier) throw new ThimbleError('format/flatbuffer', `wrong file identifier of the ${this.what}`, { expected: identifier, got: JSON.stringify(got), hint: damaged })
    return new Table(this, this.view.getUint32(0, true), this.what)
  }

  /** Checks that `[at, at + length)` is inside the file. Errors: `format/flatbuffer`. */
  need(at: number, length: number, where: string): void {
    if (at >= 0 && at + length <= this.bytes.length) return
    throw new ThimbleError('format/flatbuffer', `offset outside the file at ${where}`, { expected: `at most ${this.bytes.length} bytes`, got: at < 0 ? at : at + length, hint: damaged })
  }

  /** Takes `count` elements from the read budget. Errors: `format/flatbuffer` when a file refers to its data over and over. */
  spend(count: number, where: string): void {
    this.budget -= count
    if (this.budget < 0) throw new ThimbleError('format/flatbuffer', `far more data referred to than the file holds, at ${where}`, { hint: damaged })
  }
}

/** One table: fields by slot number (declaration order in the schema, deprecated fields included). Absent fields give the default. */
export class Table {
  readonly file: FlatBuffer
  /** Absolute byte position in the file. */
  readonly at: number
  /** Where the table hangs in the file, for messages, e.g. `model.subgraphs[0]`. */
  readonly path: string
  private readonly vtable: number
  private readonly vtableBytes: number
  private readonly tableBytes: number

  constructor(file: FlatBuffer, at: number, path: string) {
    this.file = file
    this.at = at
    this.path = path
    file.spend(1, path)
    file.need(at, 4, path)
    this.vtable = at - file.view.getInt32(at, true)
    file.need(this.vtable, 4, path)
    this.vtableBytes = file.view.getUint16(this.vtable, true)
    this.tableBytes = file.view.getUint16(this.vtable + 2, true)
    if (this.vtableBytes < 4 || this.vtableBytes % 2 !== 0 || this.tableBytes < 4) {
      throw new ThimbleError('format/flatbuffer', `impossible vtable at ${path}`, { expected: 'an even size of at least 4 and a table of at least 4 bytes', got: `${this.vtableBytes} and ${this.tableBytes}`, hint: damaged })
    }
    file.need(this.vtable, this.vtableBytes, path)
    file.need(at, this.tableBytes, path)
  }

  /** Absolute position of field `slot` of `width` bytes, or -1 when the file leaves it out. */
  private field(slot: number, width: number): number {
    const entry = 4 + 2 * slot
    if (entry + 2 > this.vtableBytes) return -1
    const offset = this.file.view.getUint16(this.vtable + entry, true)
    if (offset === 0) return -1
    if (offset < 4 || offset + width > this.tableBytes) {
      throw new ThimbleError('format/flatbuffer', `field ${slot} outside its table at ${this.path}`, { expected: `at most ${this.tableBytes}`, got: offset + width, hint: damaged })
    }
    return this.at + offset
  }

  has(slot: number): boolean { return this.field(slot, 1) >= 0 }
  int8(slot: number, absent = 0): number { const at = this.field(slot, 1); return at < 0 ? absent : this.file.view.getInt8(at) }
  uint8(slot: number, absent = 0): number { const at = this.field(slot, 1); return at < 0 ? absent : this.file.view.getUint8(at) }
  bool(slot: number, absent = false): boolean { const at = this.field(slot, 1); return at < 0 ? absent : this.file.view.getUint8(at) !== 0 }
  int32(slot: number, absent = 0): number { const at = this.field(slot, 4); return at < 0 ? absent : this.file.view.getInt32(at, true) }
  uint32(slot: number, absent = 0): number { const at = this.field(slot, 4); return at < 0 ? absent : this.file.view.getUint32(at, true) }
  float32(slot: number, absent = 0): number { const at = this.field(slot, 4); return at < 0 ? absent : this.file.view.getFloat32(at, true) }
  /** A uint64 as a number; values above 2^53 lose their low bits, which no valid file offset has. */
  uint64(slot: number, absent = 0): number { const at = this.field(slot, 8); return at < 0 ? absent : Number(this.file.view.getBigUint64(at, true)) }

  /** Where the uoffset in field `slot` leads, or -1. */
  private target(slot: number): number {
    const at = this.field(slot, 4)
    return at < 0 ? -1 : at + this.file.view.getUint32(at, true)
  }

  /** Start and length of the vector in field `slot`, all its bytes inside the file; undefined when absent. */
  private vector(slot: number, width: number, name: string, max: number): { at: number; length: number } | undefined {
    const at = this.target(slot)
    if (at < 0) return undefined
    const where = `${this.path}.${name}`
    this.file.need(at, 4, where)
    const length = this.file.view.getUint32(at, true)
    this.file.need(at + 4, length * width, where)
    if (length > max) throw new ThimbleError('format/limit', `too many elements in ${where}`, { expected: `at most ${max}`, got: length })
    return { at: at + 4, length }
  }

  /** A view of a byte vector, nothing copied. */
  bytes(slot: number, name: string): Uint8Array | undefined {
    const v = this.vector(slot, 1, name, Infinity)
    return v && this.file.bytes.subarray(v.at, v.at + v.length)
  }

  string(slot: number, name: string): string | undefined {
    const v = this.vector(slot, 1, name, Infinity)
    if (!v) return undefined
    this.file.spend(v.length, `${this.path}.${name}`)
    return utf8.decode(this.file.bytes.subarray(v.at, v.at + v.length))
  }

  private numbers(slot: number, width: number, name: string, max: number, read: (at: number) => number): number[] | undefined {
    const v = this.vector(slot, width, name, max)
    if (!v) return undefined
    this.file.spend(v.length, `${this.path}.${name}`)
    return Array.from({ length: v.length }, (_, i) => read(v.at + i * width))
  }

  int32s(slot: number, name: string, max: number): number[] | undefined { return this.numbers(slot, 4, name, max, at => this.file.view.getInt32(at, true)) }
  float32s(slot: number, name: string, max: number): number[] | undefined { return this.numbers(slot, 4, name, max, at => this.file.view.getFloat32(at, true)) }

  /** A copy of a vector's bytes, so that it can be viewed as wider numbers whatever its position in the file. */
  private copy(slot: number, width: number, name: string, max: number): ArrayBuffer | undefined {
    const v = this.vector(slot, width, name, max)
    if (!v) return undefined
    this.file.spend(v.length, `${this.path}.${name}`)
    const bytes = new Uint8Array(v.length * width)
    bytes.set(this.file.bytes.subarray(v.at, v.at + bytes.length))
    return bytes.buffer
  }

  /** A vector of floats as a typed array; for long ones. */
  float32Array(slot: number, name: string, max: number): Float32Array | undefined {
    const bytes = this.copy(slot, 4, name, max)
    if (!bytes || LITTLE_ENDIAN) return bytes && new Float32Array(bytes)
    const view = new DataView(bytes)
    return Float32Array.from({ length: bytes.byteLength >> 2 }, (_, i) => view.getFloat32(4 * i, true))
  }

  /** A vector of int64 whose values must fit 32 bits. `wide` is called with the first one that does not, and must throw. */
  int64sAsInt32(slot: number, name: string, max: number, wide: (value: bigint) => never): Int32Array | undefined {
    const bytes = this.copy(slot, 8, name, max)
    if (!bytes) return undefined
    const out = new Int32Array(bytes.byteLength >> 3)
    if (allZero(new Int32Array(bytes))) return out
    const view = new DataView(bytes)
    for (let i = 0; i < out.length; i++) {
      const low = view.getInt32(8 * i, true)
      if (view.getInt32(8 * i + 4, true) !== low >> 31) wide(view.getBigInt64(8 * i, true))
      out[i] = low
    }
    return out
  }

  table(slot: number, name: string): Table | undefined {
    const at = this.target(slot)
    return at < 0 ? undefined : new Table(this.file, at, `${this.path}.${name}`)
  }

  /** A vector of tables; empty when absent. Errors: `format/limit` above `max` elements. */
  tables(slot: number, name: string, max: number): Table[] {
    const v = this.vector(slot, 4, name, max)
    if (!v) return []
    return Array.from({ length: v.length }, (_, i) => {
      const at = v.at + 4 * i
      return new Table(this.file, at + this.file.view.getUint32(at, true), `${this.path}.${name}[${i}]`)
    })
  }
}
