/** Little-endian and LEB128 reading and writing, as the WebAssembly binary format wants them. */
import { ThimbleError } from '../base/errors.ts'

const bad = (what: string, at: number): never => {
  throw new ThimbleError('format/wasm', `${what} at byte ${at}`, {
    hint: 'the file is truncated or not a WebAssembly module',
  })
}

/** Cursor over a wasm binary. Every read checks its bounds and throws `format/wasm`. */
export class Reader {
  at: number
  readonly bytes: Uint8Array
  readonly end: number

  constructor(bytes: Uint8Array, at = 0, end = bytes.length) {
    this.bytes = bytes
    this.at = at
    this.end = end
  }

  get done(): boolean {
    return this.at >= this.end
  }

  u8(): number {
    if (this.at >= this.end) bad('unexpected end', this.at)
    return this.bytes[this.at++]!
  }

  /** Unsigned LEB128, up to 32 bits. */
  u32(): number {
    let value = 0
    for (let i = 0; i < 5; i++) {
      const byte = this.u8()
      value += (byte & 0x7f) * 2 ** (7 * i)
      if (byte < 0x80) return value < 2 ** 32 ? value : bad('integer over 32 bits', this.at)
    }
    return bad('integer over 32 bits', this.at)
  }

  /** Signed LEB128 of up to 33 bits (constants of type i32, block types). */
  s33(): number {
    let value = 0
    for (let i = 0; i < 5; i++) {
      const byte = this.u8()
      value += (byte & 0x7f) * 2 ** (7 * i)
      if (byte < 0x80) return byte & 0x40 ? value - 2 ** (7 * (i + 1)) : value
    }
    return bad('integer over 33 bits', this.at)
  }

  /** Steps over a LEB128 integer of any width up to 64 bits. */
  skipLeb(): void {
    for (let i = 0; i < 10; i++) if (this.u8() < 0x80) return
    bad('integer over 64 bits', this.at)
  }

  skip(n: number): void {
    if (n > this.end - this.at) bad('unexpected end', this.at)
    this.at += n
  }

  /** View of the next n bytes. */
  take(n: number): Uint8Array {
    const from = this.at
    this.skip(n)
    return this.bytes.subarray(from, from + n)
  }

  /** Length-prefixed UTF-8. */
  name(): string {
    return new TextDecoder().decode(this.take(this.u32()))
  }

  /** Length-prefixed list. */
  list<T>(item: (index: number) => T): T[] {
    const count = this.u32()
    if (count > this.end - this.at) bad(`list of ${count} items`, this.at)
    return Array.from({ length: count }, (_, i) => item(i))
  }
}

/** Growing byte buffer. */
export class Writer {
  private buffer = new Uint8Array(256)
  length = 0

  private room(n: number): void {
    if (this.length + n <= this.buffer.length) return
    const grown = new Uint8Array(Math.max(this.buffer.length * 2, this.length + n))
    grown.set(this.buffer.subarray(0, this.length))
    this.buffer = grown
  }

  u8(...values: number[]): this {
    this.room(values.length)
    for (const v of values) this.buffer[this.length++] = v
    return this
  }

  bytes(values: Uint8Array): this {
    this.room(values.length)
    this.buffer.set(values, this.length)
    this.length += values.length
    return this
  }

  /** Shortest unsigned LEB128. */
  u32(value: number): this {
    do {
      const byte = value % 128
      value = Math.floor(value / 128)
      this.u8(value > 0 ? byte | 0x80 : byte)
    } while (value > 0)
    return this
  }

  /** Shortest signed LEB128 of a 33-bit value (i32 constants as their signed value). */
  s33(value: number): this {
    for (;;) {
      const byte = ((value % 128) + 128) % 128
      value = Math.floor(value / 128)
      if ((value === 0 && byte < 0x40) || (value === -1 && byte >= 0x40)) return this.u8(byte)
      this.u8(byte | 0x80)
    }
  }

  name(text: string): this {
    const utf8 = new TextEncoder().encode(text)
    return this.u32(utf8.length).bytes(utf8)
  }

  list<T>(items: readonly T[], item: (value: T) => void): this {
    this.u32(items.length)
    items.forEach(item)
    return this
  }

  /** Length-prefixed block written by `fill`. */
  block(fill: (w: Writer) => void): this {
    const inner = new Writer()
    fill(inner)
    return this.u32(inner.length).bytes(inner.finish())
  }

  finish(): Uint8Array {
    return this.buffer.slice(0, this.length)
  }
}
