/**
 * A bounds-checked reader of FlatBuffers: the only code that turns file offsets into reads.
 * Every offset, vtable and vector is checked against the file before it is followed, so a damaged file ends in a
 * ThimbleError and never in a RangeError. Reads copy nothing but small vectors; byte vectors are views of the file.
 * Tables may share children, so work is bounded by a budget of read elements rather than by the file's size.
 * It knows no schema: `tflite.ts` and `metadata.ts` name fields by their slot number.
 * Source: https://flatbuffers.dev/internals/
 */
import { ThimbleError } from '../base/errors.ts'
import { allZero } from '../base/scan.ts'
import { LITTLE_ENDIAN } from '../base/words.ts'

const damaged = 'the file is truncated or damaged'
const utf8 = new TextDecoder()

/** Vectors of at most this many elements are read one by one: that is less than making a view of them. */
const SHORT = 4

/** Something in the file that messages can name. */
interface Place {
  readonly path: string
}

/** One FlatBuffer inside `bytes`, starting at byte 0. */
export class FlatBuffer {
  readonly bytes: Uint8Array
  readonly view: DataView
  /** What the messages call this buffer, e.g. `model`. */
  readonly what: string
  private budget: number

  constructor(bytes: Uint8Array, what: string) {
    // Views of Node's Buffers are Buffers, and dearer.
    this.bytes = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.what = what
    this.budget = 8 * bytes.length + (1 << 20)
  }

  /**
   * The root table. Errors: `format/flatbuffer` when `identifier` (4 characters at byte 4) differs or the root
   * offset leaves the file.
   */
  root(identifier: string): Table {
    this.need(0, 8, { path: 'header' })
    const got = String.fromCharCode(...this.bytes.subarray(4, 8))
    if (got !== identifier) {
      throw new ThimbleError('format/flatbuffer', `wrong file identifier of the ${this.what}`, {
        expected: identifier,
        got: JSON.stringify(got),
        hint: damaged,
      })
    }
    return new Table(this, this.view.getUint32(0, true), this.what)
  }

  /**
   * Checks that `[at, at + length)` is inside the file; `place` (and `field` of it) is for the message. Errors:
   * `format/flatbuffer`.
   */
  need(at: number, length: number, place: Place, field?: string): void {
    if (at >= 0 && at + length <= this.bytes.length) return
    throw new ThimbleError('format/flatbuffer', `offset outside the file at ${where(place, field)}`, {
      expected: `at most ${this.bytes.length} bytes`,
      got: at < 0 ? at : at + length,
      hint: damaged,
    })
  }

  /**
   * Takes `count` elements from the read budget. Errors: `format/flatbuffer` when a file refers to its data over and
   * over.
   */
  spend(count: number, place: Place, field?: string): void {
    this.budget -= count
    if (this.budget < 0) {
      throw new ThimbleError(
        'format/flatbuffer',
        `far more data referred to than the file holds, at ${where(place, field)}`,
        { hint: damaged },
      )
    }
  }
}

const where = ({ path }: Place, field?: string): string => (field === undefined ? path : `${path}.${field}`)

/**
 * One table: fields by slot number (declaration order in the schema, deprecated fields included). Absent fields give
 * the default.
 */
export class Table {
  readonly file: FlatBuffer
  /** Absolute byte position in the file. */
  readonly at: number
  /** The table and field it hangs in, and which element of that field, or -1. */
  private readonly parent: Table | undefined
  private readonly name: string
  private readonly index: number
  private readonly vtable: number
  private readonly vtableBytes: number
  private readonly tableBytes: number

  constructor(file: FlatBuffer, at: number, name: string, hangs?: { parent: Table; index?: number }) {
    this.file = file
    this.at = at
    this.parent = hangs?.parent
    this.name = name
    this.index = hangs?.index ?? -1
    const { view } = file
    file.spend(1, this)
    file.need(at, 4, this)
    const vtable = at - view.getInt32(at, true)
    this.vtable = vtable
    file.need(vtable, 4, this)
    const vtableBytes = view.getUint16(vtable, true)
    const tableBytes = view.getUint16(vtable + 2, true)
    this.vtableBytes = vtableBytes
    this.tableBytes = tableBytes
    if (vtableBytes < 4 || (vtableBytes & 1) !== 0 || tableBytes < 4) {
      throw new ThimbleError('format/flatbuffer', `impossible vtable at ${this.path}`, {
        expected: 'an even size of at least 4 and a table of at least 4 bytes',
        got: `${vtableBytes} and ${tableBytes}`,
        hint: damaged,
      })
    }
    file.need(vtable, vtableBytes, this)
    file.need(at, tableBytes, this)
  }

  /** Where the table hangs in the file, for messages, e.g. `model.subgraphs[0]`. */
  get path(): string {
    const own = this.index < 0 ? this.name : `${this.name}[${this.index}]`
    return this.parent ? `${this.parent.path}.${own}` : own
  }

  /** Absolute position of field `slot` of `width` bytes, or undefined when the file leaves it out. */
  private field(slot: number, width: number): number | undefined {
    const entry = 4 + 2 * slot
    if (entry >= this.vtableBytes) return undefined
    const offset = this.file.view.getUint16(this.vtable + entry, true)
    if (offset === 0) return undefined
    if (offset < 4 || offset + width > this.tableBytes) {
      throw new ThimbleError('format/flatbuffer', `field ${slot} outside its table at ${this.path}`, {
        expected: `at most ${this.tableBytes}`,
        got: offset + width,
        hint: damaged,
      })
    }
    return this.at + offset
  }

  has(slot: number): boolean {
    return this.field(slot, 1) !== undefined
  }
  int8(slot: number, absent = 0): number {
    const at = this.field(slot, 1)
    return at === undefined ? absent : this.file.view.getInt8(at)
  }
  uint8(slot: number, absent = 0): number {
    const at = this.field(slot, 1)
    return at === undefined ? absent : this.file.view.getUint8(at)
  }
  bool(slot: number, absent = false): boolean {
    const at = this.field(slot, 1)
    return at === undefined ? absent : this.file.view.getUint8(at) !== 0
  }
  int32(slot: number, absent = 0): number {
    const at = this.field(slot, 4)
    return at === undefined ? absent : this.file.view.getInt32(at, true)
  }
  uint32(slot: number, absent = 0): number {
    const at = this.field(slot, 4)
    return at === undefined ? absent : this.file.view.getUint32(at, true)
  }
  float32(slot: number, absent = 0): number {
    const at = this.field(slot, 4)
    return at === undefined ? absent : this.file.view.getFloat32(at, true)
  }
  /** A uint64 as a number; values above 2^53 lose their low bits, which no valid file offset has. */
  uint64(slot: number, absent = 0): number {
    const at = this.field(slot, 8)
    return at === undefined ? absent : Number(this.file.view.getBigUint64(at, true))
  }

  /** Where the uoffset in field `slot` leads, or undefined. */
  private target(slot: number): number | undefined {
    const at = this.field(slot, 4)
    return at === undefined ? undefined : at + this.file.view.getUint32(at, true)
  }

  /**
   * Start of the vector in field `slot`, behind its length, all its bytes inside the file; undefined when
   * absent.
   */
  private vector(slot: number, width: number, name: string, max: number): number | undefined {
    const at = this.target(slot)
    if (at === undefined) return undefined
    const { file } = this
    file.need(at, 4, this, name)
    const length = file.view.getUint32(at, true)
    file.need(at + 4, length * width, this, name)
    if (length > max) {
      throw new ThimbleError('format/limit', `too many elements in ${where(this, name)}`, {
        expected: `at most ${max}`,
        got: length,
      })
    }
    return at + 4
  }

  /** Length of the vector that starts at `at`. */
  private lengthOf(at: number): number {
    return this.file.view.getUint32(at - 4, true)
  }

  /** A view of a byte vector, nothing copied. */
  bytes(slot: number, name: string): Uint8Array | undefined {
    const at = this.vector(slot, 1, name, Infinity)
    return at === undefined ? undefined : this.file.bytes.subarray(at, at + this.lengthOf(at))
  }

  string(slot: number, name: string): string | undefined {
    const bytes = this.bytes(slot, name)
    if (!bytes) return undefined
    this.file.spend(bytes.length, this, name)
    return utf8.decode(bytes)
  }

  int32s(slot: number, name: string, max: number): number[] | undefined {
    const at = this.vector(slot, 4, name, max)
    if (at === undefined) return undefined
    const { view } = this.file
    const length = this.lengthOf(at)
    this.file.spend(length, this, name)
    const out = new Array<number>(length)
    for (let i = 0; i < length; i++) out[i] = view.getInt32(at + 4 * i, true)
    return out
  }

  uint16s(slot: number, name: string, max: number): number[] | undefined {
    const at = this.vector(slot, 2, name, max)
    if (at === undefined) return undefined
    const length = this.lengthOf(at)
    this.file.spend(length, this, name)
    return Array.from({ length }, (_, i) => this.file.view.getUint16(at + 2 * i, true))
  }

  float32s(slot: number, name: string, max: number): number[] | undefined {
    const values = this.float32Array(slot, name, max)
    return values && [...values]
  }

  /** `bytes` bytes at `at` as words: a view where their position allows, else of a copy. */
  private words(at: number, bytes: number): Int32Array {
    const { buffer, byteOffset } = this.file.bytes
    const from = byteOffset + at
    return from % 4 === 0 ? new Int32Array(buffer, from, bytes >> 2) : new Int32Array(buffer.slice(from, from + bytes))
  }

  /** A vector of floats as a typed array of its own; for long ones. */
  float32Array(slot: number, name: string, max: number): Float32Array | undefined {
    const at = this.vector(slot, 4, name, max)
    if (at === undefined) return undefined
    const { view } = this.file
    const length = this.lengthOf(at)
    this.file.spend(length, this, name)
    const out = new Float32Array(length)
    if (LITTLE_ENDIAN && length > SHORT) new Int32Array(out.buffer).set(this.words(at, 4 * length))
    else for (let i = 0; i < length; i++) out[i] = view.getFloat32(at + 4 * i, true)
    return out
  }

  /**
   * A vector of int64 whose values must fit 32 bits. `wide` is called with the first one that does not, and must throw.
   */
  int64sAsInt32(slot: number, name: string, max: number, wide: (value: bigint) => never): Int32Array | undefined {
    const at = this.vector(slot, 8, name, max)
    if (at === undefined) return undefined
    const { view } = this.file
    const length = this.lengthOf(at)
    this.file.spend(length, this, name)
    const out = new Int32Array(length)
    if (length > SHORT && allZero(this.words(at, 8 * length))) return out
    for (let i = 0, from = at; i < length; i++, from += 8) {
      const low = view.getInt32(from, true)
      if (view.getInt32(from + 4, true) !== low >> 31) wide(view.getBigInt64(from, true))
      out[i] = low
    }
    return out
  }

  table(slot: number, name: string): Table | undefined {
    const at = this.target(slot)
    return at === undefined ? undefined : new Table(this.file, at, name, { parent: this })
  }

  /** A vector of tables; empty when absent. Errors: `format/limit` above `max` elements. */
  tables(slot: number, name: string, max: number): Table[] {
    let at = this.vector(slot, 4, name, max)
    if (at === undefined) return []
    const { view } = this.file
    const length = this.lengthOf(at)
    const out: Table[] = []
    for (let i = 0; i < length; i++, at += 4) {
      out.push(new Table(this.file, at + view.getUint32(at, true), name, { parent: this, index: i }))
    }
    return out
  }
}
