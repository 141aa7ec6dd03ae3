/**
 * JPEG's segments up to the first scan, and between scans: frame, tables, EXIF orientation, colour model.
 * Source: ITU-T T.81, annex B (syntax); Exif 2.32; Adobe Technical Note 5116 (APP14).
 */
import { readOrientation } from '../exif.ts'
import { corrupt, truncated, unsupported } from '../limits.ts'
import { huffmanTable, type HuffmanTable } from './huffman.ts'

export interface Component {
  id: number
  /** Sampling factors. */
  h: number
  v: number
  /** Quantization table index. */
  tq: number
  /** Blocks across and down that hold image content, as in a scan of this component alone. */
  blocksX: number
  blocksY: number
}

export interface Frame {
  progressive: boolean
  width: number
  height: number
  components: Component[]
  maxH: number
  maxV: number
  mcusX: number
  mcusY: number
}

/** Everything the segments have said so far. */
export interface JpegState {
  frame?: Frame
  /** By index, in natural (row-major) order. */
  quant: (Int32Array | undefined)[]
  dc: (HuffmanTable | undefined)[]
  ac: (HuffmanTable | undefined)[]
  restartInterval: number
  orientation: number
  jfif: boolean
  /** APP14's transform flag: 0 as is, 1 YCbCr, 2 YCCK. */
  adobe?: number
}

export interface ScanHeader {
  /** Index into the frame's components, and the tables each uses. */
  components: { index: number; dc: number; ac: number }[]
  spectralStart: number
  spectralEnd: number
  approxHigh: number
  approxLow: number
}

/** Natural index of each zigzag position. Source: T.81, figure A.6. */
export const ZIGZAG = Uint8Array.of(
  0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21, 28,
  35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63
)

const SOF_NAMES: Record<number, string> = {
  3: 'lossless JPEG', 5: 'hierarchical JPEG', 6: 'hierarchical JPEG', 7: 'hierarchical JPEG', 9: 'arithmetic-coded JPEG', 10: 'arithmetic-coded JPEG',
  11: 'lossless JPEG', 13: 'hierarchical JPEG', 14: 'hierarchical JPEG', 15: 'hierarchical JPEG'
}

export const newState = (): JpegState => ({ quant: [], dc: [], ac: [], restartInterval: 0, orientation: 1, jfif: false })

const u16 = (b: Uint8Array, at: number): number => b[at] << 8 | b[at + 1]
const ascii = (b: Uint8Array, at: number, text: string): boolean => {
  for (let i = 0; i < text.length; i++) if (b[at + i] !== text.charCodeAt(i)) return false
  return true
}

/**
 * Reads segments from `at` on. Stops behind a start-of-scan segment (its header is returned), at the end-of-image
 * marker (no scan), or, with `headerOnly`, as soon as the frame is known.
 */
export function readSegments(bytes: Uint8Array, at: number, state: JpegState, headerOnly = false): { at: number; scan?: ScanHeader } {
  for (;;) {
    while (bytes[at] === 0xff && bytes[at + 1] === 0xff) at++
    if (at + 2 > bytes.length) throw truncated('JPEG', 'another segment', `${bytes.length} bytes`)
    if (bytes[at] !== 0xff) throw corrupt('JPEG', `no marker at byte ${at}`)
    const marker = bytes[at + 1]
    if (marker === 0xd9) return { at: at + 2 }
    if (marker === 0x01 || (marker >= 0xd0 && marker <= 0xd8)) {
      at += 2
      continue
    }
    const length = at + 4 <= bytes.length ? u16(bytes, at + 2) : 2
    const body = at + 4
    const end = at + 2 + length
    if (length < 2) throw corrupt('JPEG', `segment ${marker.toString(16)} at byte ${at} has length ${length}`)
    if (end > bytes.length) throw truncated('JPEG', `${length} bytes of segment ${marker.toString(16)} at byte ${at}`, `${bytes.length - at - 2} bytes`)
    if (marker === 0xda) return { at: end, scan: readScanHeader(bytes, body, end, state) }
    if (marker === 0xdb) readQuantTables(bytes, body, end, state)
    else if (marker === 0xc4) readHuffmanTables(bytes, body, end, state)
    else if (marker === 0xcc) throw unsupported('arithmetic-coded JPEG')
    else if (marker === 0xdd) state.restartInterval = length >= 4 ? u16(bytes, body) : 0
    else if (marker === 0xdc || marker === 0xde || marker === 0xdf) throw unsupported(marker === 0xdc ? 'JPEG whose height comes after its data (DNL)' : 'hierarchical JPEG')
    else if (marker >= 0xc0 && marker <= 0xcf && marker !== 0xc8) {
      readFrame(bytes, marker - 0xc0, body, end, state)
      if (headerOnly) return { at: end }
    } else if (marker === 0xe0 && ascii(bytes, body, 'JFIF\0')) state.jfif = true
    else if (marker === 0xe1 && ascii(bytes, body, 'Exif\0')) state.orientation = readOrientation(bytes.subarray(Math.min(body + 6, end), end))
    else if (marker === 0xee && length >= 14 && ascii(bytes, body, 'Adobe')) state.adobe = bytes[body + 11]
    at = end
  }
}

function readFrame(b: Uint8Array, sof: number, at: number, end: number, state: JpegState): void {
  if (sof > 2) throw unsupported(SOF_NAMES[sof] ?? `JPEG with frame type ${sof}`)
  if (state.frame) throw corrupt('JPEG', 'second frame header')
  if (end - at < 6) throw corrupt('JPEG', 'frame header is too short')
  const precision = b[at]
  const height = u16(b, at + 1), width = u16(b, at + 3), count = b[at + 5]
  if (precision !== 8) throw unsupported(`JPEG with ${precision} bits a sample`, 'save it with 8 bits a sample first')
  if (height === 0) throw unsupported('JPEG whose height comes after its data (DNL)')
  if (width === 0) throw corrupt('JPEG', `header gives a ${width}x${height} image`)
  if (count !== 1 && count !== 3 && count !== 4) throw unsupported(`JPEG with ${count} components`)
  if (end - at < 6 + 3 * count) throw corrupt('JPEG', 'frame header is too short')
  const components: Component[] = []
  for (let i = 0; i < count; i++) {
    const p = at + 6 + 3 * i
    const h = b[p + 1] >> 4, v = b[p + 1] & 15, tq = b[p + 2]
    if (h < 1 || h > 4 || v < 1 || v > 4 || tq > 3) throw corrupt('JPEG', `component ${i} has sampling ${h}x${v} and table ${tq}`, { expected: '1 to 4, table 0 to 3' })
    components.push({ id: b[p], h, v, tq, blocksX: 0, blocksY: 0 })
  }
  // One component is never subsampled against itself.
  if (count === 1) components[0].h = components[0].v = 1
  const maxH = Math.max(...components.map((c) => c.h)), maxV = Math.max(...components.map((c) => c.v))
  for (const c of components) {
    if (maxH % c.h !== 0 || maxV % c.v !== 0) throw unsupported(`JPEG with fractional sampling (${c.h}x${c.v} of ${maxH}x${maxV})`)
    c.blocksX = Math.ceil(Math.ceil(width * c.h / maxH) / 8)
    c.blocksY = Math.ceil(Math.ceil(height * c.v / maxV) / 8)
  }
  state.frame = { progressive: sof === 2, width, height, components, maxH, maxV, mcusX: Math.ceil(width / (8 * maxH)), mcusY: Math.ceil(height / (8 * maxV)) }
}

function readQuantTables(b: Uint8Array, at: number, end: number, state: JpegState): void {
  while (at < end) {
    const wide = b[at] >> 4, index = b[at] & 15
    at++
    const size = wide ? 128 : 64
    if (wide > 1 || index > 3 || at + size > end) throw corrupt('JPEG', 'quantization table is malformed')
    const table = new Int32Array(64)
    for (let k = 0; k < 64; k++) table[ZIGZAG[k]] = wide ? u16(b, at + 2 * k) : b[at + k]
    state.quant[index] = table
    at += size
  }
}

function readHuffmanTables(b: Uint8Array, at: number, end: number, state: JpegState): void {
  while (at < end) {
    const kind = b[at] >> 4, index = b[at] & 15
    let count = 0
    for (let i = 1; i <= 16 && at + i < end; i++) count += b[at + i]
    if (kind > 1 || index > 3 || count > 256 || at + 17 + count > end) throw corrupt('JPEG', 'Huffman table is malformed')
    const table = huffmanTable(b.subarray(at + 1, at + 17), b.subarray(at + 17, at + 17 + count), kind === 1)
    if (!table) throw corrupt('JPEG', 'Huffman table is not a prefix code')
    ;(kind === 0 ? state.dc : state.ac)[index] = table
    at += 17 + count
  }
}

function readScanHeader(b: Uint8Array, at: number, end: number, { frame }: JpegState): ScanHeader {
  if (!frame) throw corrupt('JPEG', 'scan before the frame header')
  const count = b[at]
  if (count < 1 || count > 4 || end - at < 4 + 2 * count) throw corrupt('JPEG', 'scan header is malformed')
  const components = Array.from({ length: count }, (_, i) => {
    const p = at + 1 + 2 * i
    const index = frame.components.findIndex((c) => c.id === b[p])
    const dc = b[p + 1] >> 4, ac = b[p + 1] & 15
    if (index < 0 || dc > 3 || ac > 3) throw corrupt('JPEG', `scan names component ${b[p]}, tables ${dc} and ${ac}`)
    return { index, dc, ac }
  })
  if (new Set(components.map((c) => c.index)).size !== count) throw corrupt('JPEG', 'scan names a component twice')
  const p = at + 1 + 2 * count
  const scan = { components, spectralStart: b[p], spectralEnd: b[p + 1], approxHigh: b[p + 2] >> 4, approxLow: b[p + 2] & 15 }
  if (frame.progressive) {
    const { spectralStart: s, spectralEnd: e, approxHigh: high, approxLow: low } = scan
    const fits = s === 0 ? e === 0 : s <= e && e <= 63 && count === 1
    if (!fits || low > 13 || (high !== 0 && high !== low + 1)) throw corrupt('JPEG', `progressive scan of coefficients ${s} to ${e}, bits ${high} to ${low}`)
  }
  if (count > 1 && components.reduce((n, c) => n + frame.components[c.index].h * frame.components[c.index].v, 0) > 10) throw corrupt('JPEG', 'more than 10 blocks in a unit')
  return scan
}
