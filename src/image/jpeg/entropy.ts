/**
 * JPEG's entropy-coded data: Huffman tables and the bit reader.
 * Source: ITU-T T.81, annexes C (codes), F.2.2 (decoding) and B.1.1.5 (stuffed zero bytes).
 */
import { corrupt, truncated } from '../limits.ts'

/** Bits that one look-up resolves. */
export const LOOK = 9
export const LOOK_MASK = (1 << LOOK) - 1

export interface HuffmanTable {
  /** By the next 9 bits: code length << 8 | symbol; 0 when the code is longer. */
  look: Int32Array
  /** By code length: largest code, -1 when there is none; and what to add to a code to get its symbol's place. */
  maxCode: Int32Array
  offset: Int32Array
  symbols: Uint8Array
}

/** `counts[i]`: codes of length i + 1. Errors: `image/corrupt` when they don't fit into 16 bits. */
export function huffmanTable(counts: Uint8Array, symbols: Uint8Array): HuffmanTable {
  const look = new Int32Array(1 << LOOK)
  const maxCode = new Int32Array(18).fill(-1)
  const offset = new Int32Array(18)
  let code = 0
  let k = 0
  for (let length = 1; length <= 16; length++) {
    offset[length] = k - code
    for (let i = 0; i < counts[length - 1]!; i++, code++, k++) {
      if (code >= 1 << length) throw corrupt('JPEG', 'a Huffman table has too many codes')
      if (length <= LOOK) look.fill((length << 8) | symbols[k]!, code << (LOOK - length), (code + 1) << (LOOK - length))
    }
    if (counts[length - 1]! > 0) maxCode[length] = code - 1
    code <<= 1
  }
  return { look, maxCode, offset, symbols }
}

/**
 * Reads the bits of one scan, one restart interval at a time: its bytes are copied without the stuffed zeros first, so
 * that the hot loops look at nothing but bits. Behind the last byte come zeros; `check` tells whether any were used.
 * `bits` holds the last `count` unread bits at its low end; `data` and `pos` are the bytes that follow them.
 */
export class BitReader {
  bits = 0
  count = 0
  data = new Uint8Array(0)
  pos = 0
  /** Bytes of `data` that are from the file. */
  private length = 0
  private readonly file: Uint8Array
  /** Where the marker or the end of the file is that ends the interval. */
  private stop: number

  constructor(file: Uint8Array, start: number) {
    this.file = file
    this.stop = start
    this.load(start)
  }

  /** Where the scan's data ends. */
  get end(): number {
    return this.stop
  }

  private load(start: number): void {
    const { file } = this
    let end = start
    // To the next 0xff that is not followed by a stuffed zero.
    for (;;) {
      end = file.indexOf(0xff, end)
      if (end < 0) end = file.length
      if (end >= file.length || file[end + 1] !== 0) break
      end += 2
    }
    if (this.data.length < end - start + PAD) this.data = new Uint8Array(end - start + PAD)
    const { data } = this
    let to = 0
    for (let at = start; at < end;) {
      const next = Math.min(end, (file.indexOf(0xff, at) + 1 || end + 1) - 1)
      const part = file.subarray(at, next < end ? next + 1 : next)
      data.set(part, to)
      to += part.length
      at = next + 2
    }
    data.fill(0, to, to + PAD)
    this.length = to
    this.stop = end
    this.count = 0
    this.bits = 0
    this.pos = 0
  }

  /** At least 17 bits afterwards. */
  fill(): void {
    if (this.count <= 16) {
      // Beyond the padding, zeros go on for ever.
      this.bits =
        (this.bits << 16) | (this.pos < this.data.length ? (this.data[this.pos]! << 8) | this.data[this.pos + 1]! : 0)
      this.pos += 2
      this.count += 16
    }
  }

  /** Next `n` bits, 0 <= n <= 16. */
  take(n: number): number {
    if (this.count < n) this.fill()
    this.count -= n
    return (this.bits >>> this.count) & ((1 << n) - 1)
  }

  symbol(table: HuffmanTable): number {
    if (this.count < 16) this.fill()
    const entry = table.look[(this.bits >>> (this.count - LOOK)) & LOOK_MASK] || longCode(table, this.bits, this.count)
    if (entry === 0) this.fail()
    this.count -= entry >> 8
    return entry & 255
  }

  /** A coefficient of `size` magnitude bits. Source: T.81, F.2.2.1, RECEIVE and EXTEND. */
  signed(size: number): number {
    if (size === 0) return 0
    const v = this.take(size)
    return v < 1 << (size - 1) ? v - (1 << size) + 1 : v
  }

  fail(): never {
    this.check()
    throw corrupt('JPEG', 'the image data holds a code that does not exist')
  }

  /** Errors: `image/truncated` or `image/corrupt` when more was read than there is. */
  check(): void {
    if (this.pos * 8 - this.count <= this.length * 8) return
    if (this.stop >= this.file.length) {
      throw truncated('JPEG', 'more image data', `the end of the file at byte ${this.file.length}`)
    }
    throw corrupt('JPEG', `image data ends early, at a marker at byte ${this.stop}`)
  }

  /** Passes restart marker `n` (0 to 7). */
  restart(n: number): void {
    this.check()
    const { file } = this
    let at = this.stop
    // 0xff may be repeated before a marker.
    while (file[at + 1] === 0xff) at++
    if (at + 1 >= file.length) {
      throw truncated('JPEG', `restart marker ${n}`, `the end of the file at byte ${file.length}`)
    }
    if (file[at + 1] !== 0xd0 + n) {
      throw corrupt('JPEG', `a restart marker is missing at byte ${at}`, {
        expected: `ff d${n}`,
        got: `ff ${file[at + 1]!.toString(16)}`,
      })
    }
    this.load(at + 2)
  }
}

/**
 * Zeros behind an interval's bytes. A code and its magnitude are 32 bits at most, and `check` comes once per row of
 * blocks.
 */
const PAD = 16

/** A code of more than 9 bits as `length << 8 | symbol`; 0 when there is none. `count` is at least 16. */
export function longCode(table: HuffmanTable, bits: number, count: number): number {
  for (let length = LOOK + 1; length <= 16; length++) {
    const code = (bits >>> (count - length)) & ((1 << length) - 1)
    if (code <= table.maxCode[length]!) return (length << 8) | table.symbols[code + table.offset[length]!]!
  }
  return 0
}
