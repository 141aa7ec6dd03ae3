/**
 * PBM, PGM and PPM (P1 to P6): comments, any maxval up to 65535.
 * Source: Netpbm's format pages. Samples scale to 0..255 by rounding value / maxval * 255, ties to even.
 */
import type { PixelImage } from '../types.ts'
import { checkSize, corrupt, type DecodeOptions, truncated } from './limits.ts'

const isSpace = (c: number): boolean => c === 0x20 || (c >= 9 && c <= 13)

/** Reads the whitespace-separated decimal numbers of headers and plain bodies; `#` starts a comment. */
class Scanner {
  at = 2
  readonly bytes: Uint8Array
  constructor(bytes: Uint8Array) {
    this.bytes = bytes
  }

  skip(): void {
    const { bytes } = this
    for (;;) {
      while (this.at < bytes.length && isSpace(bytes[this.at]!)) this.at++
      if (bytes[this.at] !== 0x23) return
      while (this.at < bytes.length && bytes[this.at] !== 0x0a && bytes[this.at] !== 0x0d) this.at++
    }
  }

  number(what: string): number {
    this.skip()
    if (this.at >= this.bytes.length) throw truncated('PPM', what, 'end of file')
    const start = this.at
    let value = 0
    while (this.at < this.bytes.length) {
      const c = this.bytes[this.at]!
      if (c < 0x30 || c > 0x39) break
      value = value * 10 + (c - 0x30)
      if (++this.at - start > 9) throw corrupt('PPM', `${what} is too long a number`)
    }
    if (this.at === start) {
      throw corrupt('PPM', `${what} is not a number`, { got: `byte 0x${this.bytes[start]!.toString(16)} at ${start}` })
    }
    return value
  }

  /** A plain bitmap's samples need no space between them. */
  bit(): number {
    this.skip()
    if (this.at >= this.bytes.length) throw truncated('PBM', 'a bit', 'end of file')
    const c = this.bytes[this.at++]!
    if (c !== 0x30 && c !== 0x31) throw corrupt('PBM', 'a bit is neither 0 nor 1', { got: `byte 0x${c.toString(16)}` })
    return c - 0x30
  }
}

const roundEven = (x: number): number => {
  const f = Math.floor(x)
  return x - f < 0.5 || (x - f === 0.5 && f % 2 === 0) ? f : f + 1
}

/** Errors: `image/truncated`, `image/corrupt`, `image/too-large`. */
export function decodePnm(bytes: Uint8Array, options: DecodeOptions = {}): PixelImage {
  const kind = bytes[1]! - 0x30
  const scanner = new Scanner(bytes)
  const width = scanner.number('width')
  const height = scanner.number('height')
  const bitmap = kind === 1 || kind === 4
  const maxval = bitmap ? 1 : scanner.number('maxval')
  if (maxval < 1 || maxval > 65535) throw corrupt('PPM', 'maxval out of range', { expected: '1 to 65535', got: maxval })
  const channels = kind === 3 || kind === 6 ? 3 : 1
  const samples = width * height * channels
  checkSize(bitmap ? 'PBM' : channels === 3 ? 'PPM' : 'PGM', width, height, samples, options)

  if (kind >= 4) {
    // One whitespace byte ends the header.
    if (scanner.at < bytes.length && !isSpace(bytes[scanner.at]!)) {
      throw corrupt('PPM', 'no whitespace after the header')
    }
    scanner.at++
    const bodyBytes = kind === 4 ? Math.ceil(width / 8) * height : samples * (maxval > 255 ? 2 : 1)
    const have = Math.max(0, bytes.length - scanner.at)
    if (have < bodyBytes) throw truncated(channels === 3 ? 'PPM' : 'PGM', `${bodyBytes} bytes of pixels`, have)
  } else if (bytes.length - scanner.at < (kind === 1 ? samples : samples * 2 - 1)) {
    throw truncated('PPM', `${samples} numbers`, `${Math.max(0, bytes.length - scanner.at)} bytes`)
  }

  const data = new Uint8Array(samples)
  if (kind === 1) for (let i = 0; i < samples; i++) data[i] = scanner.bit() ? 0 : 255
  else if (kind === 4) unpackBits(bytes, scanner.at, width, height, data)
  else if (kind >= 5 && maxval === 255) data.set(bytes.subarray(scanner.at, scanner.at + samples))
  else {
    const scale = new Uint8Array(maxval + 1)
    for (let v = 0; v <= maxval; v++) scale[v] = roundEven((v / maxval) * 255)
    const wide = maxval > 255
    let at = scanner.at
    for (let i = 0; i < samples; i++) {
      const v = kind < 4 ? scanner.number('a sample') : wide ? (bytes[at++]! << 8) | bytes[at++]! : bytes[at++]!
      if (v > maxval) throw corrupt('PPM', `sample ${i} is above maxval`, { expected: `at most ${maxval}`, got: v })
      data[i] = scale[v]!
    }
  }
  return { data, width, height, channels }
}

/** P4: rows of bits, most significant first, each row padded to a byte; 1 is black. */
function unpackBits(bytes: Uint8Array, start: number, width: number, height: number, data: Uint8Array): void {
  const stride = Math.ceil(width / 8)
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      data[y * width + x] = (bytes[start + y * stride + (x >> 3)]! >> (7 - (x & 7))) & 1 ? 0 : 255
    }
  }
}
