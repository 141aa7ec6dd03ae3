/**
 * PNG: every colour type and bit depth, Adam7, tRNS. Inflating is fflate's work, pushed in small pieces and stopped at
 * the last row, so that neither a compression bomb nor a wrong header can make it grow beyond the image.
 * Grayscale comes out with 1 channel, the rest with 3; alpha is laid over white; 16-bit samples give their high byte.
 * Source: PNG specification, third edition (chunks 5, colour types 11.2, filters 9, interlace 8).
 */
import { Inflate } from 'fflate'
import { crc32 } from '../scan.ts'
import type { PixelImage } from '../types.ts'
import { overWhite } from './bmp.ts'
import { orient, readOrientation } from './exif.ts'
import { checkSize, corrupt, type DecodeOptions, truncated } from './limits.ts'

const GRAY = 0
const RGB = 2
const PALETTE = 3
const GRAY_ALPHA = 4
const RGB_ALPHA = 6
const CHANNELS: Record<number, number> = { [GRAY]: 1, [RGB]: 3, [PALETTE]: 1, [GRAY_ALPHA]: 2, [RGB_ALPHA]: 4 }
const DEPTHS: Record<number, number[]> = {
  [GRAY]: [1, 2, 4, 8, 16],
  [RGB]: [8, 16],
  [PALETTE]: [1, 2, 4, 8],
  [GRAY_ALPHA]: [8, 16],
  [RGB_ALPHA]: [8, 16],
}
/** Adam7: first column and row, column and row step of each pass. */
const ADAM7 = [
  [0, 0, 8, 8],
  [4, 0, 8, 8],
  [0, 4, 4, 8],
  [2, 0, 4, 4],
  [0, 2, 2, 4],
  [1, 0, 2, 2],
  [0, 1, 1, 2],
]
/** Compressed bytes inflated at a time; what comes out of a step is at most 1032 times as much. */
const STEP = 16384

interface Header {
  width: number
  height: number
  depth: number
  type: number
  interlaced: boolean
}

/** The palette (RGB triples), its alphas, and the colour key of gray and RGB images (full-depth samples). */
interface Colours {
  palette?: Uint8Array
  alphas?: Uint8Array
  key?: number[]
}

function readHeader(view: DataView, at: number, length: number): Header {
  if (length !== 13) throw corrupt('PNG', 'header chunk has a wrong length', { expected: 13, got: length })
  const [width, height, depth, type] = [
    view.getUint32(at),
    view.getUint32(at + 4),
    view.getUint8(at + 8),
    view.getUint8(at + 9),
  ]
  if (!DEPTHS[type]?.includes(depth)) throw corrupt('PNG', `colour type ${type} with ${depth} bits does not exist`)
  const [compression, filter, interlace] = [view.getUint8(at + 10), view.getUint8(at + 11), view.getUint8(at + 12)]
  if (compression !== 0 || filter !== 0 || interlace > 1) {
    throw corrupt('PNG', `unknown compression ${compression}, filter ${filter} or interlace ${interlace} method`)
  }
  return { width, height, depth, type, interlaced: interlace === 1 }
}

/** Errors: `image/truncated`, `image/corrupt`, `image/too-large`. */
export function decodePng(bytes: Uint8Array, options: DecodeOptions = {}): PixelImage {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (bytes.length < 33) throw truncated('PNG', 'a header of 33 bytes', bytes.length)
  if (view.getUint32(4) !== 0x0d0a1a0a) {
    throw corrupt('PNG', 'line ends were changed in the signature (a text-mode transfer)')
  }
  const colours: Colours = {}
  let header: Header | undefined
  let rows: RowSink | undefined
  let orientation = 1
  let at = 8
  for (let ended = false; !ended;) {
    if (at + 12 > bytes.length) {
      if (rows?.done) break
      throw truncated('PNG', `a chunk at byte ${at}`, `${bytes.length} bytes`)
    }
    const length = view.getUint32(at)
    const type = String.fromCharCode(...bytes.subarray(at + 4, at + 8))
    const body = at + 8
    const end = body + length
    if (!/^[A-Za-z]{4}$/.test(type)) throw corrupt('PNG', `no chunk at byte ${at}`)
    if (!header && type !== 'IHDR') throw corrupt('PNG', `${type} chunk before the header`)
    if (end + 4 > bytes.length) {
      if (rows?.done) break
      throw truncated('PNG', `${type} chunk of ${length} bytes at byte ${at}`, `${bytes.length - body} bytes`)
    }
    // Upper case first letter: the chunk is needed to read the image.
    const critical = type[0]! <= 'Z'
    if ((critical || type === 'tRNS') && crc32(bytes.subarray(at + 4, end)) !== view.getUint32(end)) {
      throw corrupt('PNG', `checksum of the ${type} chunk at byte ${at} is wrong`)
    }
    if (type === 'IHDR') {
      if (header) throw corrupt('PNG', 'second header')
      header = readHeader(view, body, length)
      const { width, height } = header
      const samples = width * height * outChannels(header.type)
      checkSize('PNG', width, height, samples + STEP * 1032, options)
    } else if (type === 'PLTE') {
      if (length % 3 !== 0 || length === 0 || length > 768) {
        throw corrupt('PNG', 'palette has a wrong length', { got: length })
      }
      colours.palette = bytes.subarray(body, end)
    } else if (type === 'tRNS') readTransparency(header!, view, body, length, colours)
    else if (type === 'eXIf') orientation = readOrientation(bytes.subarray(body, end))
    else if (type === 'IDAT') {
      rows ??= new RowSink(header!, colours)
      rows.push(bytes, body, end)
    } else if (type === 'IEND') ended = true
    else if (critical) throw corrupt('PNG', `unknown critical chunk ${type}`)
    at = end + 4
  }
  if (!rows) throw corrupt('PNG', 'no image data')
  return orient(rows.finish(), orientation)
}

const outChannels = (type: number): 1 | 3 => (type === GRAY || type === GRAY_ALPHA ? 1 : 3)

function readTransparency(header: Header, view: DataView, at: number, length: number, colours: Colours): void {
  if (header.type === PALETTE) colours.alphas = new Uint8Array(view.buffer, view.byteOffset + at, Math.min(length, 256))
  else if (header.type === GRAY && length >= 2) colours.key = [view.getUint16(at)]
  else if (header.type === RGB && length >= 6) {
    colours.key = [view.getUint16(at), view.getUint16(at + 2), view.getUint16(at + 4)]
  }
}

/** Takes IDAT pieces, gives the image: inflate, unfilter, expand to 8-bit samples, place. */
class RowSink {
  done = false
  private readonly header: Header
  private readonly colours: Colours
  private readonly out: Uint8Array
  private readonly channels: 1 | 3
  private readonly inflate: Inflate
  /** zlib's two header bytes still to be read. */
  private zlibHeader: number[] = []
  private readonly passes: number[][]
  private pass = -1
  private y = 0
  private passWidth = 0
  private passHeight = 0
  private rowBytes = 0
  /** Filter byte and samples of the row being filled, and the row above it. */
  private row = new Uint8Array(0)
  private above = new Uint8Array(0)
  private filled = 0
  private line = new Uint8Array(0)

  constructor(header: Header, colours: Colours) {
    this.header = header
    this.colours = colours
    if (header.type === PALETTE && !colours.palette) throw corrupt('PNG', 'no palette before the image data')
    this.channels = outChannels(header.type)
    this.out = new Uint8Array(header.width * header.height * this.channels)
    this.passes = header.interlaced ? ADAM7 : [[0, 0, 1, 1]]
    this.inflate = new Inflate((chunk) => this.take(chunk))
    this.nextPass()
  }

  private nextPass(): void {
    const { width, height, depth, type } = this.header
    for (;;) {
      if (++this.pass === this.passes.length) {
        this.done = true
        return
      }
      const [x0, y0, dx, dy] = this.passes[this.pass]! as [number, number, number, number]
      this.passWidth = Math.ceil((width - x0) / dx)
      this.passHeight = Math.ceil((height - y0) / dy)
      if (this.passWidth > 0 && this.passHeight > 0) break
    }
    this.rowBytes = Math.ceil((this.passWidth * depth * CHANNELS[type]!) / 8)
    this.row = new Uint8Array(this.rowBytes + 1)
    this.above = new Uint8Array(this.rowBytes + 1)
    this.line = new Uint8Array(this.passWidth * this.channels)
    this.filled = 0
    this.y = 0
  }

  push(bytes: Uint8Array, start: number, end: number): void {
    while (this.zlibHeader.length < 2 && start < end) this.zlibHeader.push(bytes[start++]!)
    if (this.zlibHeader.length === 2 && start < end) {
      const [cmf, flags] = this.zlibHeader as [number, number]
      if ((cmf & 15) !== 8 || ((cmf << 8) | flags) % 31 !== 0 || flags & 32) {
        throw corrupt('PNG', 'image data is not a zlib stream')
      }
    }
    for (let at = start; at < end && !this.done; at += STEP) {
      this.step(bytes.subarray(at, Math.min(end, at + STEP)), false)
    }
  }

  private step(piece: Uint8Array, final: boolean): void {
    try {
      this.inflate.push(piece, final)
    } catch (error) {
      if (this.done) return
      if (error instanceof Error && error.name === 'ThimbleError') throw error
      throw corrupt('PNG', `image data can't be inflated (${(error as Error).message})`)
    }
  }

  private take(chunk: Uint8Array): void {
    let at = 0
    while (at < chunk.length && !this.done) {
      const n = Math.min(chunk.length - at, this.rowBytes + 1 - this.filled)
      this.row.set(chunk.subarray(at, at + n), this.filled)
      this.filled += n
      at += n
      if (this.filled <= this.rowBytes) return
      this.filled = 0
      unfilter(this.row, this.above, Math.max(1, (this.header.depth * CHANNELS[this.header.type]!) >> 3))
      this.place()
      const row = this.row
      this.row = this.above
      this.above = row
      if (++this.y === this.passHeight) this.nextPass()
    }
  }

  private place(): void {
    expand(this.row, this.line, this.passWidth, this.header, this.colours)
    const [x0, y0, dx, dy] = this.passes[this.pass]! as [number, number, number, number]
    const { channels, line, out } = this
    let o = ((y0 + this.y * dy) * this.header.width + x0) * channels
    if (dx === 1) {
      out.set(line, o)
      return
    }
    for (let i = 0; i < line.length; i += channels, o += dx * channels) {
      for (let c = 0; c < channels; c++) out[o + c] = line[i + c]!
    }
  }

  finish(): PixelImage {
    if (!this.done) this.step(new Uint8Array(0), true)
    if (!this.done) throw truncated('PNG', `${this.header.height} rows`, 'less image data')
    return { data: this.out, width: this.header.width, height: this.header.height, channels: this.channels }
  }
}

/**
 * Undoes a row's filter in place; byte 0 is the filter type. `above` is the finished row above (zero for the first).
 */
function unfilter(row: Uint8Array, above: Uint8Array, bytesPerPixel: number): void {
  const n = row.length
  const first = bytesPerPixel + 1
  switch (row[0]) {
    case 0:
      return
    case 1:
      for (let i = first; i < n; i++) row[i]! += row[i - bytesPerPixel]!
      return
    case 2:
      for (let i = 1; i < n; i++) row[i]! += above[i]!
      return
    case 3:
      for (let i = 1; i < first && i < n; i++) row[i]! += above[i]! >> 1
      for (let i = first; i < n; i++) row[i]! += (row[i - bytesPerPixel]! + above[i]!) >> 1
      return
    case 4:
      for (let i = 1; i < first && i < n; i++) row[i]! += above[i]!
      for (let i = first; i < n; i++) {
        const a = row[i - bytesPerPixel]!
        const b = above[i]!
        const c = above[i - bytesPerPixel]!
        const pa = Math.abs(b - c)
        const pb = Math.abs(a - c)
        const pc = Math.abs(a + b - c - c)
        row[i]! += pa <= pb && pa <= pc ? a : pb <= pc ? b : c
      }
      return
    default:
      throw corrupt('PNG', `unknown row filter ${row[0]}`)
  }
}

/** A row's samples (from byte 1) as 8-bit gray or RGB. */
function expand(row: Uint8Array, line: Uint8Array, width: number, header: Header, colours: Colours): void {
  const { depth, type } = header
  if (type === PALETTE) return expandPalette(row, line, width, depth, colours)
  if (depth < 8) return expandBits(row, line, width, depth, colours.key)
  const { key } = colours
  const samples = CHANNELS[type]!
  const wide = depth === 16 ? 2 : 1
  if (wide === 1 && !key && samples !== 2 && samples !== 4) {
    line.set(row.subarray(1, 1 + line.length))
    return
  }
  const colourSamples = outChannels(type)
  let i = 1
  for (let o = 0; o < line.length; i += samples * wide) {
    let alpha = 255
    if (samples !== colourSamples) alpha = row[i + colourSamples * wide]!
    else if (key?.every((k, c) => (wide === 2 ? (row[i + 2 * c]! << 8) | row[i + 2 * c + 1]! : row[i + c]) === k)) {
      alpha = 0
    }
    for (let c = 0; c < colourSamples; c++) line[o++] = overWhite(row[i + c * wide]!, alpha)
  }
}

function expandBits(row: Uint8Array, line: Uint8Array, width: number, depth: number, key?: number[]): void {
  const mask = (1 << depth) - 1
  for (let x = 0; x < width; x++) {
    const bit = x * depth
    const v = (row[1 + (bit >> 3)]! >> (8 - depth - (bit & 7))) & mask
    line[x] = key?.[0] === v ? 255 : (v * 255) / mask
  }
}

function expandPalette(
  row: Uint8Array,
  line: Uint8Array,
  width: number,
  depth: number,
  { palette, alphas }: Colours,
): void {
  const mask = (1 << depth) - 1
  for (let x = 0; x < width; x++) {
    const bit = x * depth
    const index = (row[1 + (bit >> 3)]! >> (8 - depth - (bit & 7))) & mask
    if (index * 3 >= palette!.length) {
      throw corrupt('PNG', `colour ${index} is outside the palette`, { expected: `below ${palette!.length / 3}` })
    }
    const alpha = alphas?.[index] ?? 255
    for (let c = 0; c < 3; c++) line[x * 3 + c] = overWhite(palette![index * 3 + c]!, alpha)
  }
}
