/**
 * DEFLATE decompression of small files (label lists): plain, bounded, without a dependency.
 * It writes into a buffer of the size the caller expects and stops with an error at the first byte too many, so a
 * compression bomb costs no more than what was asked for. Codes are decoded a bit at a time by canonical counting:
 * slow beside a table, and nothing to build for a list of a thousand names.
 * Source: RFC 1951 (section numbers below).
 */
import { ThimbleError } from '../errors.ts'

const damaged = (what: string): ThimbleError =>
  new ThimbleError('format/zip', `${what} in a compressed file`, { hint: 'the file is truncated or damaged' })

const MAX_BITS = 15
// Section 3.2.5: base and extra bits of the length codes 257..285 and the distance codes 0..29.
const LENGTH_BASE = [
  3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258,
]
const LENGTH_EXTRA = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0]
const DISTANCE_BASE = [
  1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145,
  8193, 12289, 16385, 24577,
]
const DISTANCE_EXTRA = [
  0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13,
]
/** Section 3.2.7: the order in which the lengths of the code length code are stored. */
const CODE_LENGTH_ORDER = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15]

/** A canonical Huffman code (section 3.2.2): how many codes of each length, and the symbols in order of their codes. */
interface Code {
  counts: Uint16Array
  symbols: Uint16Array
}

function makeCode(lengths: readonly number[]): Code {
  const counts = new Uint16Array(MAX_BITS + 1)
  for (const length of lengths) counts[length]!++
  counts[0] = 0
  let left = 1
  for (let bits = 1; bits <= MAX_BITS; bits++) {
    left = 2 * left - counts[bits]!
    if (left < 0) throw damaged('over-subscribed code')
  }
  const starts = new Uint16Array(MAX_BITS + 2)
  for (let bits = 1; bits <= MAX_BITS; bits++) starts[bits + 1] = starts[bits]! + counts[bits]!
  const symbols = new Uint16Array(lengths.length)
  lengths.forEach((length, symbol) => {
    if (length > 0) symbols[starts[length]!++] = symbol
  })
  return { counts, symbols }
}

/** The fixed codes of section 3.2.6. */
const fixedCodes = (): [Code, Code] => [
  makeCode(Array.from({ length: 288 }, (_, i) => (i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8))),
  makeCode(new Array<number>(30).fill(5)),
]

class Inflater {
  private readonly input: Uint8Array
  private readonly out: Uint8Array
  private at = 0
  private bitBuffer = 0
  private bitCount = 0
  private length = 0

  constructor(input: Uint8Array, out: Uint8Array) {
    this.input = input
    this.out = out
  }

  /** The next `count` (0..16) bits, least significant first. */
  private bits(count: number): number {
    while (this.bitCount < count) {
      if (this.at >= this.input.length) throw damaged('unexpected end')
      this.bitBuffer |= this.input[this.at++]! << this.bitCount
      this.bitCount += 8
    }
    const value = this.bitBuffer & ((1 << count) - 1)
    this.bitBuffer >>>= count
    this.bitCount -= count
    return value
  }

  private symbol(code: Code): number {
    // `first` is the first code of this length, `index` where its symbol is.
    let value = 0
    let first = 0
    let index = 0
    for (let bits = 1; bits <= MAX_BITS; bits++) {
      value |= this.bits(1)
      const count = code.counts[bits]!
      if (value - count < first) return code.symbols[index + value - first]!
      index += count
      first = (first + count) << 1
      value <<= 1
    }
    throw damaged('invalid code')
  }

  private stored(): void {
    this.bitCount = 0
    this.bitBuffer = 0
    if (this.at + 4 > this.input.length) throw damaged('unexpected end')
    const length = this.input[this.at]! | (this.input[this.at + 1]! << 8)
    const complement = this.input[this.at + 2]! | (this.input[this.at + 3]! << 8)
    if (length !== (~complement & 0xffff)) throw damaged('damaged stored block')
    this.at += 4
    if (this.at + length > this.input.length) throw damaged('unexpected end')
    if (this.length + length > this.out.length) throw damaged('more bytes than announced')
    this.out.set(this.input.subarray(this.at, this.at + length), this.length)
    this.at += length
    this.length += length
  }

  /** Section 3.2.7. */
  private dynamicCodes(): [Code, Code] {
    const literals = this.bits(5) + 257
    const distances = this.bits(5) + 1
    const codeLengths = this.bits(4) + 4
    if (literals > 286 || distances > 30) throw damaged('too many codes')
    const lengths = new Array<number>(19).fill(0)
    for (let i = 0; i < codeLengths; i++) lengths[CODE_LENGTH_ORDER[i]!] = this.bits(3)
    const lengthCode = makeCode(lengths)
    const all: number[] = []
    while (all.length < literals + distances) {
      const symbol = this.symbol(lengthCode)
      if (symbol < 16) {
        all.push(symbol)
        continue
      }
      if (symbol === 16 && all.length === 0) throw damaged('repeat of nothing')
      const value = symbol === 16 ? all[all.length - 1]! : 0
      const repeat = symbol === 16 ? 3 + this.bits(2) : symbol === 17 ? 3 + this.bits(3) : 11 + this.bits(7)
      if (all.length + repeat > literals + distances) throw damaged('too many code lengths')
      for (let i = 0; i < repeat; i++) all.push(value)
    }
    return [makeCode(all.slice(0, literals)), makeCode(all.slice(literals))]
  }

  private compressed([literalCode, distanceCode]: [Code, Code]): void {
    for (;;) {
      const symbol = this.symbol(literalCode)
      if (symbol === 256) return
      if (symbol < 256) {
        if (this.length >= this.out.length) throw damaged('more bytes than announced')
        this.out[this.length++] = symbol
        continue
      }
      if (symbol > 285) throw damaged('invalid length')
      const length = LENGTH_BASE[symbol - 257]! + this.bits(LENGTH_EXTRA[symbol - 257]!)
      const distanceSymbol = this.symbol(distanceCode)
      if (distanceSymbol > 29) throw damaged('invalid distance')
      const distance = DISTANCE_BASE[distanceSymbol]! + this.bits(DISTANCE_EXTRA[distanceSymbol]!)
      if (distance > this.length) throw damaged('distance before the start')
      if (this.length + length > this.out.length) throw damaged('more bytes than announced')
      for (const end = this.length + length; this.length < end; this.length++) {
        this.out[this.length] = this.out[this.length - distance]!
      }
    }
  }

  run(): void {
    for (let last = false; !last;) {
      last = this.bits(1) === 1
      const type = this.bits(2)
      if (type === 0) this.stored()
      else if (type === 1) this.compressed(fixedCodes())
      else if (type === 2) this.compressed(this.dynamicCodes())
      else throw damaged('invalid block type')
    }
    if (this.length !== this.out.length) throw damaged('fewer bytes than announced')
  }
}

/**
 * Decompresses a raw DEFLATE stream that must come to exactly `size` bytes.
 * Errors: `format/zip` for an invalid stream or any other size.
 */
export function inflate(input: Uint8Array, size: number): Uint8Array {
  const out = new Uint8Array(size)
  new Inflater(input, out).run()
  return out
}
