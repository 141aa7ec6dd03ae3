/**
 * JPEG's entropy-coded data: Huffman tables and the bit reader.
 * Source: ITU-T T.81, annexes C (codes), F.2.2 (decoding) and B.1.1.5 (stuffed zero bytes).
 */
import { corrupt, truncated } from '../limits.ts'

/** Bits that one look-up resolves. */
const LOOK = 9

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
    for (let i = 0; i < counts[length - 1]; i++, code++, k++) {
      if (code >= 1 << length) throw corrupt('JPEG', 'a Huffman table has too many codes')
      if (length <= LOOK) look.fill(length << 8 | symbols[k], code << (LOOK - length), (code + 1) << (LOOK - length))
    }
    if (counts[length - 1] > 0) maxCode[length] = code - 1
    code <<= 1
  }
  return { look, maxCode, offset, symbols }
}

/**
 * Reads bits of one scan. `bits` holds the last `count` unread ones at its low end. At a marker or the end of the file
 * zeros are handed out; `check` tells whether any of them were used.
 */
export class BitReader {
  bits = 0
  count = 0
  pos: number
  readonly data: Uint8Array
  /** Bits handed out since the data ended. */
  private spare = 0

  constructor(data: Uint8Array, pos: number) {
    this.data = data
    this.pos = pos
  }

  /** At least 25 bits afterwards. */
  fill(): void {
    const { data } = this
    while (this.count <= 24) {
      let byte = 0
      if (this.pos >= data.length) this.spare += 8
      else {
        byte = data[this.pos]
        if (byte !== 0xff) this.pos++
        else if (data[this.pos + 1] === 0) this.pos += 2
        else {
          byte = 0
          this.spare += 8
        }
      }
      this.bits = this.bits << 8 | byte
      this.count += 8
    }
  }

  /** Next `n` bits, 0 <= n <= 16. */
  take(n: number): number {
    if (this.count < n) this.fill()
    this.count -= n
    return this.bits >>> this.count & ((1 << n) - 1)
  }

  symbol(table: HuffmanTable): number {
    if (this.count < 16) this.fill()
    const entry = table.look[this.bits >>> (this.count - LOOK) & ((1 << LOOK) - 1)]
    if (entry !== 0) {
      this.count -= entry >> 8
      return entry & 255
    }
    for (let length = LOOK + 1; length <= 16; length++) {
      const code = this.bits >>> (this.count - length) & ((1 << length) - 1)
      if (code <= table.maxCode[length]) {
        this.count -= length
        return table.symbols[code + table.offset[length]]
      }
    }
    this.check()
    throw corrupt('JPEG', `no Huffman code fits the data before byte ${this.pos}`)
  }

  /** A coefficient of `size` magnitude bits. Source: T.81, F.2.2.1, RECEIVE and EXTEND. */
  signed(size: number): number {
    if (size === 0) return 0
    const v = this.take(size)
    return v < 1 << (size - 1) ? v - (1 << size) + 1 : v
  }

  /** Errors: `image/truncated` or `image/corrupt` when more was read than there is. */
  check(): void {
    if (this.spare <= this.count) return
    if (this.pos >= this.data.length) throw truncated('JPEG', 'more image data', `the end of the file at byte ${this.data.length}`)
    throw corrupt('JPEG', `image data ends early, at a marker at byte ${this.pos}`)
  }

  /** Passes restart marker `n` (0 to 7). */
  restart(n: number): void {
    this.check()
    this.bits = this.count = this.spare = 0
    const { data } = this
    let { pos } = this
    // The rest of the last byte and fill bytes may stand before it.
    while (pos + 1 < data.length && (data[pos] !== 0xff || data[pos + 1] === 0 || data[pos + 1] === 0xff)) pos++
    if (pos + 1 >= data.length) throw truncated('JPEG', `restart marker ${n}`, `the end of the file at byte ${data.length}`)
    if (data[pos + 1] !== 0xd0 + n) throw corrupt('JPEG', `a restart marker is missing at byte ${pos}`, { expected: `ff d${n}`, got: `ff ${data[pos + 1].toString(16)}` })
    this.pos = pos + 2
  }
}
