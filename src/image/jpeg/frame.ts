/**
 * A JPEG's markers: frame, components, tables. Everything up to and between the scans.
 * Source: ITU-T T.81, annex B; JFIF 1.02; Adobe's APP14 (technote 5116); Exif 2.32, 4.5.4.
 */
import { readOrientation } from '../exif.ts'
import { corrupt, truncated, unsupported } from '../limits.ts'
import { huffmanTable, type HuffmanTable } from './entropy.ts'

export interface Component {
  id: number
  /** Sampling factors, 1 to 4. */
  h: number
  v: number
  quantizer: number
  /** Blocks across and down that cover the component, and those that whole MCUs cover. */
  blocksWide: number
  blocksHigh: number
  paddedWide: number
  paddedHigh: number
}

export interface Frame {
  progressive: boolean
  width: number
  height: number
  components: Component[]
  maxH: number
  maxV: number
  mcusWide: number
  mcusHigh: number
}

export interface Scan {
  components: { component: Component; index: number; dc: number; ac: number }[]
  /** Spectral selection and successive approximation; 0, 63, 0, 0 in sequential files. */
  start: number
  end: number
  high: number
  low: number
  /** Where its entropy-coded data begins. */
  dataStart: number
}

const SOF_NAMES: Record<number, string> = {
  0xc3: 'lossless',
  0xc5: 'hierarchical',
  0xc6: 'hierarchical progressive',
  0xc7: 'hierarchical lossless',
  0xc9: 'arithmetic-coded',
  0xca: 'arithmetic-coded progressive',
  0xcb: 'arithmetic-coded lossless',
  0xcd: 'arithmetic-coded hierarchical',
  0xce: 'arithmetic-coded hierarchical',
  0xcf: 'arithmetic-coded hierarchical',
}

/** Walks the markers; the tables are those in force at the current place. */
export class Markers {
  readonly bytes: Uint8Array
  pos = 2
  frame?: Frame
  orientation = 1
  jfif = false
  /** Adobe's colour transform: 0 none, 1 YCbCr, 2 YCCK; undefined without the marker. */
  adobe?: number | undefined
  restartInterval = 0
  /** In natural order. */
  readonly quantizers: (Uint16Array | undefined)[] = [undefined, undefined, undefined, undefined]
  readonly dcTables: (HuffmanTable | undefined)[] = [undefined, undefined, undefined, undefined]
  readonly acTables: (HuffmanTable | undefined)[] = [undefined, undefined, undefined, undefined]

  constructor(bytes: Uint8Array) {
    this.bytes = bytes
  }

  /** Reads on to the frame header, when it has not been read yet. */
  toFrame(): Frame {
    while (!this.frame) {
      if (this.next() !== undefined || this.ended) throw corrupt('JPEG', 'no frame header before the image data')
    }
    return this.frame
  }

  /** At the end of the image; `complete` when its end marker was there. */
  ended = false
  complete = false

  /** Reads on to the next scan; undefined at the end of the image. */
  toScan(): Scan | undefined {
    while (!this.ended) {
      const scan = this.next()
      if (scan) return scan
    }
    return undefined
  }

  /** One marker segment. */
  private next(): Scan | undefined {
    const { bytes } = this
    // Garbage between segments is passed over; 0xff may be repeated before a marker.
    while (
      this.pos + 1 < bytes.length &&
      (bytes[this.pos] !== 0xff || bytes[this.pos + 1] === 0xff || bytes[this.pos + 1] === 0)
    ) {
      this.pos++
    }
    if (this.pos + 1 >= bytes.length) {
      if (!this.frame) throw truncated('JPEG', 'a frame header', `the end of the file at byte ${bytes.length}`)
      this.ended = true
      return undefined
    }
    const marker = bytes[this.pos + 1]!
    if (marker === 0xd9) {
      this.complete = true
      this.ended = true
      return undefined
    }
    if ((marker >= 0xd0 && marker <= 0xd8) || marker === 0x01) {
      this.pos += 2
      return undefined
    }
    const at = this.pos + 4
    const length = at <= bytes.length ? (bytes[this.pos + 2]! << 8) | bytes[this.pos + 3]! : 2
    const end = this.pos + 2 + length
    if (length < 2) throw corrupt('JPEG', `a marker segment at byte ${this.pos} has no length`)
    if (end > bytes.length) {
      throw truncated('JPEG', `marker segment ff ${marker.toString(16)} to byte ${end}`, `${bytes.length} bytes`)
    }
    this.pos = end
    return this.segment(marker, bytes.subarray(at, end), end)
  }

  private segment(marker: number, body: Uint8Array, end: number): Scan | undefined {
    if (marker === 0xda) return this.scan(body, end)
    if (marker === 0xdb) this.quantization(body)
    else if (marker === 0xc4) this.huffman(body)
    else if (marker === 0xdd && body.length >= 2) this.restartInterval = (body[0]! << 8) | body[1]!
    else if (marker === 0xe0 && starts(body, 'JFIF\0')) this.jfif = true
    else if (marker === 0xe1 && starts(body, 'Exif\0')) this.orientation = readOrientation(body.subarray(6))
    else if (marker === 0xee && starts(body, 'Adobe') && body.length >= 12) this.adobe = body[11]
    else if (SOF_NAMES[marker]) {
      throw unsupported(
        `JPEG that is ${SOF_NAMES[marker]}`,
        'save it as an ordinary (baseline or progressive) JPEG, or as PNG',
      )
    } else if (marker >= 0xc0 && marker <= 0xc2) this.startOfFrame(marker, body)
    return undefined
  }

  private startOfFrame(marker: number, body: Uint8Array): void {
    if (this.frame) throw corrupt('JPEG', 'second frame header')
    if (body.length < 6) throw corrupt('JPEG', 'frame header is too short')
    const [precision, count] = [body[0], body[5]]
    const [height, width] = [(body[1]! << 8) | body[2]!, (body[3]! << 8) | body[4]!]
    if (precision !== 8) throw unsupported(`JPEG with ${precision} bits per sample`, 'save it with 8 bits per sample')
    if (count !== 1 && count !== 3 && count !== 4) throw unsupported(`JPEG with ${count} colour components`)
    if (body.length < 6 + count * 3) throw corrupt('JPEG', 'frame header is too short')
    const parts = Array.from({ length: count }, (_, i) => body.subarray(6 + i * 3, 9 + i * 3))
    for (const p of parts) {
      if (!inRange(p[1]! >> 4, 1, 4) || !inRange(p[1]! & 15, 1, 4) || p[2]! > 3) {
        throw corrupt('JPEG', 'a component has impossible sampling factors or tables')
      }
    }
    const single = count === 1
    const maxH = single ? 1 : Math.max(...parts.map((p) => p[1]! >> 4))
    const maxV = single ? 1 : Math.max(...parts.map((p) => p[1]! & 15))
    const mcusWide = Math.ceil(width / (8 * maxH))
    const mcusHigh = Math.ceil(height / (8 * maxV))
    const components = parts.map((p): Component => {
      // A single component's sampling factors mean nothing.
      const [h, v] = single ? [1, 1] : [p[1]! >> 4, p[1]! & 15]
      return {
        id: p[0]!,
        h,
        v,
        quantizer: p[2]!,
        blocksWide: Math.ceil(Math.ceil((width * h) / maxH) / 8),
        blocksHigh: Math.ceil(Math.ceil((height * v) / maxV) / 8),
        paddedWide: mcusWide * h,
        paddedHigh: mcusHigh * v,
      }
    })
    this.frame = { progressive: marker === 0xc2, width, height, components, maxH, maxV, mcusWide, mcusHigh }
  }

  private quantization(body: Uint8Array): void {
    for (let at = 0; at < body.length;) {
      const wide = body[at]! >> 4
      const id = body[at++]! & 15
      const bytes = wide ? 128 : 64
      if (wide > 1 || id > 3 || at + bytes > body.length) throw corrupt('JPEG', 'a quantization table is damaged')
      const table = new Uint16Array(64)
      for (let k = 0; k < 64; k++) {
        table[ZIGZAG[k]!] = wide ? (body[at + 2 * k]! << 8) | body[at + 2 * k + 1]! : body[at + k]!
      }
      this.quantizers[id] = table
      at += bytes
    }
  }

  private huffman(body: Uint8Array): void {
    for (let at = 0; at < body.length;) {
      const kind = body[at]! >> 4
      const id = body[at]! & 15
      const counts = body.slice(at + 1, at + 17)
      const total = counts.reduce((a, b) => a + b, 0)
      if (kind > 1 || id > 3 || counts.length < 16 || total > 256 || at + 17 + total > body.length) {
        throw corrupt('JPEG', 'a Huffman table is damaged')
      }
      const symbols = new Uint8Array(256)
      symbols.set(body.subarray(at + 17, at + 17 + total))
      ;(kind === 0 ? this.dcTables : this.acTables)[id] = huffmanTable(counts, symbols)
      at += 17 + total
    }
  }

  private scan(body: Uint8Array, dataStart: number): Scan {
    const { frame } = this
    if (!frame) throw corrupt('JPEG', 'image data before the frame header')
    const count = body[0]!
    if (!inRange(count, 1, 4) || body.length < 4 + count * 2) throw corrupt('JPEG', 'scan header is damaged')
    const components = Array.from({ length: count }, (_, i) => {
      const index = frame.components.findIndex((c) => c.id === body[1 + i * 2])
      const tables = body[2 + i * 2]!
      if (index < 0 || tables >> 4 > 3 || (tables & 15) > 3) {
        throw corrupt('JPEG', 'a scan names an unknown component or table')
      }
      return { component: frame.components[index]!, index, dc: tables >> 4, ac: tables & 15 }
    })
    if (new Set(components.map((c) => c.index)).size !== count) throw corrupt('JPEG', 'a scan names a component twice')
    const [start, end, approximation] = body.subarray(1 + count * 2) as unknown as [number, number, number]
    const [high, low] = [approximation >> 4, approximation & 15]
    if (!frame.progressive) return { components, start: 0, end: 63, high: 0, low: 0, dataStart }
    if (
      end > 63 ||
      start > end ||
      low > 13 ||
      (high !== 0 && high !== low + 1) ||
      (start === 0 ? end !== 0 : count !== 1)
    ) {
      throw corrupt('JPEG', 'a progressive scan has impossible parameters')
    }
    return { components, start, end, high, low, dataStart }
  }
}

const inRange = (v: number, min: number, max: number): boolean => v >= min && v <= max
const starts = (body: Uint8Array, text: string): boolean => [...text].every((c, i) => body[i] === c.charCodeAt(0))

/** Natural order index of the k-th coefficient in zigzag order. */
export const ZIGZAG = /* @__PURE__ */ Uint8Array.of(
  0,
  1,
  8,
  16,
  9,
  2,
  3,
  10,
  17,
  24,
  32,
  25,
  18,
  11,
  4,
  5,
  12,
  19,
  26,
  33,
  40,
  48,
  41,
  34,
  27,
  20,
  13,
  6,
  7,
  14,
  21,
  28,
  35,
  42,
  49,
  56,
  57,
  50,
  43,
  36,
  29,
  22,
  15,
  23,
  30,
  37,
  44,
  51,
  58,
  59,
  52,
  45,
  38,
  31,
  39,
  46,
  53,
  60,
  61,
  54,
  47,
  55,
  62,
  63,
)
