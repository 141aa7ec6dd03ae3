/**
 * Windows and OS/2 bitmaps: 1, 4, 8, 16, 24, 32 bits, bit fields, bottom-up and top-down. Run-length and embedded
 * JPEG/PNG ones are refused by name. Pixels with a real alpha channel are laid over white.
 * Source: Microsoft's BITMAPINFOHEADER, BITMAPV4HEADER and BITMAPV5HEADER pages.
 */
import type { PixelImage } from '../types.ts'
import { checkSize, corrupt, type DecodeOptions, truncated, unsupported } from './limits.ts'

interface Header {
  width: number
  height: number
  topDown: boolean
  bits: number
  /** Red, green, blue, alpha; 0 where absent. For 16 and 32 bits. */
  masks: number[]
  pixelOffset: number
  palette: { offset: number; count: number; entryBytes: number }
}

const COMPRESSION = ['RGB', 'RLE8', 'RLE4', 'BITFIELDS', 'JPEG', 'PNG', 'ALPHABITFIELDS']

function readHeader(bytes: Uint8Array, view: DataView): Header {
  if (bytes.length < 26) throw truncated('BMP', 'a header of at least 26 bytes', bytes.length)
  const size = view.getUint32(14, true)
  if (size !== 12 && (size < 40 || size > 124)) {
    throw corrupt('BMP', 'unknown header size', { expected: '12 or 40 to 124', got: size })
  }
  if (bytes.length < 14 + size) throw truncated('BMP', `${14 + size} bytes of header`, bytes.length)
  const core = size === 12
  const width = core ? view.getUint16(18, true) : view.getInt32(18, true)
  const rows = core ? view.getUint16(20, true) : view.getInt32(22, true)
  const bits = view.getUint16(core ? 24 : 28, true)
  const compression = core ? 0 : view.getUint32(30, true)
  const colours = core ? 0 : view.getUint32(46, true)
  if (![1, 4, 8, 16, 24, 32].includes(bits)) {
    throw corrupt('BMP', 'unknown bits per pixel', { expected: '1, 4, 8, 16, 24 or 32', got: bits })
  }
  const fields = compression === 3 || compression === 6
  if (compression !== 0 && !(fields && (bits === 16 || bits === 32))) {
    throw unsupported(
      `BMP with ${COMPRESSION[compression] ?? `unknown (${compression})`} compression at ${bits} bits`,
      'save it uncompressed, or as PNG',
    )
  }
  let masks = bits === 16 ? [0x7c00, 0x3e0, 0x1f, 0] : [0xff0000, 0xff00, 0xff, 0]
  let afterHeader = 14 + size
  if (fields) {
    // A plain 40-byte header has its masks behind it; longer ones hold them.
    const count = compression === 6 || size >= 56 ? 4 : 3
    if (bytes.length < 54 + count * 4) throw truncated('BMP', 'colour masks', bytes.length)
    masks = [0, 1, 2, 3].map((i) => (i < count ? view.getUint32(54 + i * 4, true) : 0))
    if (size < 52) afterHeader += count * 4
    if (masks.slice(0, 3).some((m) => m === 0)) throw corrupt('BMP', 'an empty colour mask')
  }
  const full = bits <= 8 ? 1 << bits : 0
  return {
    width,
    height: Math.abs(rows),
    topDown: rows < 0,
    bits,
    masks,
    pixelOffset: view.getUint32(10, true),
    palette: {
      offset: afterHeader,
      count: bits <= 8 ? (colours > 0 && colours < full ? colours : full) : 0,
      entryBytes: core ? 3 : 4,
    },
  }
}

/** Errors: `image/truncated`, `image/corrupt`, `image/too-large`, `image/unsupported-format`. */
export function decodeBmp(bytes: Uint8Array, options: DecodeOptions = {}): PixelImage {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const header = readHeader(bytes, view)
  const { width, height, bits, pixelOffset, palette } = header
  checkSize('BMP', width, height, width * height * 3, options)
  const stride = Math.ceil((width * bits) / 32) * 4
  const need = pixelOffset + stride * (height - 1) + Math.ceil((width * bits) / 8)
  if (pixelOffset < 26) throw corrupt('BMP', 'pixels start inside the header', { got: pixelOffset })
  if (need > bytes.length) throw truncated('BMP', `${need} bytes`, bytes.length)
  if (palette.count > 0 && palette.offset + palette.count * palette.entryBytes > bytes.length) {
    throw truncated('BMP', `a palette of ${palette.count} colours`, bytes.length)
  }
  const data = new Uint8Array(width * height * 3)
  if (bits <= 8) indexed(bytes, header, stride, data)
  else if (bits === 24) direct24(bytes, header, stride, data)
  else masked(view, header, stride, data)
  return { data, width, height, channels: 3 }
}

const rowStart = (h: Header, stride: number, y: number): number =>
  h.pixelOffset + (h.topDown ? y : h.height - 1 - y) * stride

function indexed(bytes: Uint8Array, h: Header, stride: number, data: Uint8Array): void {
  const { offset, count, entryBytes } = h.palette
  const { bits } = h
  const perByte = 8 / bits
  const mask = (1 << bits) - 1
  let o = 0
  for (let y = 0; y < h.height; y++) {
    const row = rowStart(h, stride, y)
    for (let x = 0; x < h.width; x++) {
      const index = (bytes[row + Math.floor(x / perByte)]! >> (8 - bits - (x % perByte) * bits)) & mask
      if (index >= count) {
        throw corrupt('BMP', `colour ${index} at (${x}, ${y}) is outside the palette`, { expected: `below ${count}` })
      }
      const p = offset + index * entryBytes
      data[o++] = bytes[p + 2]!
      data[o++] = bytes[p + 1]!
      data[o++] = bytes[p]!
    }
  }
}

function direct24(bytes: Uint8Array, h: Header, stride: number, data: Uint8Array): void {
  let o = 0
  for (let y = 0; y < h.height; y++) {
    let i = rowStart(h, stride, y)
    for (let x = 0; x < h.width; x++, i += 3) {
      data[o++] = bytes[i + 2]!
      data[o++] = bytes[i + 1]!
      data[o++] = bytes[i]!
    }
  }
}

/** Shift and scale that turn a masked field into 0..255. */
const field = (mask: number): { shift: number; max: number } => {
  const shift = mask === 0 ? 0 : 31 - Math.clz32(mask & -mask)
  return { shift, max: mask >>> shift }
}

function masked(view: DataView, h: Header, stride: number, data: Uint8Array): void {
  const fields = h.masks.map(field)
  const bytesPerPixel = h.bits / 8
  const read = (at: number): number => (h.bits === 16 ? view.getUint16(at, true) : view.getUint32(at, true))
  // Rounded down, as Pillow does with 5 and 6 bits.
  const value = (pixel: number, c: number): number =>
    Math.floor((((pixel & h.masks[c]!) >>> fields[c]!.shift) * 255) / fields[c]!.max)
  // Many writers declare an alpha channel and leave it at zero: then there is none.
  let alpha = false
  if (h.masks[3] !== 0) {
    for (let y = 0; y < h.height && !alpha; y++) {
      const row = rowStart(h, stride, y)
      for (let x = 0; x < h.width && !alpha; x++) alpha = (read(row + x * bytesPerPixel) & h.masks[3]!) !== 0
    }
  }
  let o = 0
  for (let y = 0; y < h.height; y++) {
    const row = rowStart(h, stride, y)
    for (let x = 0; x < h.width; x++) {
      const pixel = read(row + x * bytesPerPixel)
      const a = alpha ? value(pixel, 3) : 255
      for (let c = 0; c < 3; c++) data[o++] = overWhite(value(pixel, c), a)
    }
  }
}

/** One 8-bit sample with 8-bit alpha over a white ground. */
export const overWhite = (value: number, alpha: number): number =>
  alpha === 255 ? value : Math.round((value * alpha + 255 * (255 - alpha)) / 255)
