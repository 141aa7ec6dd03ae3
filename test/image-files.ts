/** Small image files made on the spot, for the tests of the decoders. */
import { deflateSync } from 'node:zlib'
import { crc32 } from '../src/base/scan.ts'
import type { PixelImage } from '../src/graph/types.ts'
import { rng } from './util.ts'

const u32be = (v: number): number[] => [v >>> 24, (v >>> 16) & 255, (v >>> 8) & 255, v & 255]
const u32le = (v: number): number[] => u32be(v).reverse()
const u16le = (v: number): number[] => [v & 255, (v >>> 8) & 255]
const ascii = (text: string): number[] => [...text].map((c) => c.charCodeAt(0))

export interface PngOptions {
  type: 0 | 2 | 3 | 4 | 6
  depth: 1 | 2 | 4 | 8 | 16
  interlaced?: boolean
  palette?: number[]
  transparency?: number[]
  orientation?: number
  /** IDAT chunks of this many bytes. */
  split?: number
}

const SAMPLES = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 } as const
const ADAM7 = [
  [0, 0, 8, 8],
  [4, 0, 8, 8],
  [0, 4, 4, 8],
  [2, 0, 4, 4],
  [0, 2, 2, 4],
  [1, 0, 2, 2],
  [0, 1, 1, 2],
] as const

export function pngChunk(type: string, body: ArrayLike<number>): number[] {
  const typed = [...ascii(type), ...Array.from(body)]
  return [...u32be(body.length), ...typed, ...u32be(crc32(Uint8Array.from(typed)))]
}

/** `sample(x, y, c)` gives full-depth samples. Every row gets another filter. */
export function makePng(
  width: number,
  height: number,
  sample: (x: number, y: number, c: number) => number,
  o: PngOptions,
): Uint8Array {
  const samples = SAMPLES[o.type]
  const raw: number[] = []
  for (const [x0, y0, dx, dy] of o.interlaced ? ADAM7 : [[0, 0, 1, 1] as const]) {
    const w = Math.ceil((width - x0) / dx)
    const h = Math.ceil((height - y0) / dy)
    if (w <= 0 || h <= 0) continue
    let above = new Uint8Array(Math.ceil((w * samples * o.depth) / 8))
    for (let y = 0; y < h; y++) {
      const row = packRow(w, samples, o.depth, (x, c) => sample(x0 + x * dx, y0 + y * dy, c))
      const filter = (y + x0) % 5
      raw.push(filter, ...filtered(row, above, filter, Math.max(1, (samples * o.depth) >> 3)))
      above = row
    }
  }
  const data = deflateSync(Uint8Array.from(raw))
  const split = o.split ?? data.length
  const idats: number[] = []
  for (let at = 0; at < data.length; at += split) idats.push(...pngChunk('IDAT', data.subarray(at, at + split)))
  return Uint8Array.from([
    0x89,
    0x50,
    0x4e,
    0x47,
    0x0d,
    0x0a,
    0x1a,
    0x0a,
    ...pngChunk('IHDR', [...u32be(width), ...u32be(height), o.depth, o.type, 0, 0, o.interlaced ? 1 : 0]),
    ...(o.palette ? pngChunk('PLTE', o.palette) : []),
    ...(o.transparency ? pngChunk('tRNS', o.transparency) : []),
    ...(o.orientation ? pngChunk('eXIf', exif(o.orientation)) : []),
    ...pngChunk('tEXt', ascii('Comment\0a test')),
    ...idats,
    ...pngChunk('IEND', []),
  ])
}

function packRow(
  w: number,
  samples: number,
  depth: number,
  sample: (x: number, c: number) => number,
): Uint8Array<ArrayBuffer> {
  const row = new Uint8Array(Math.ceil((w * samples * depth) / 8))
  for (let i = 0; i < w * samples; i++) {
    const v = sample(Math.floor(i / samples), i % samples)
    if (depth === 16) row.set([v >> 8, v & 255], i * 2)
    else row[(i * depth) >> 3]! |= v << (8 - depth - ((i * depth) & 7))
  }
  return row
}

function filtered(row: Uint8Array, above: Uint8Array, filter: number, bpp: number): number[] {
  return Array.from(row, (v, i) => {
    const a = i < bpp ? 0 : row[i - bpp]!
    const b = above[i]!
    const c = i < bpp ? 0 : above[i - bpp]!
    const p = a + b - c
    const [pa, pb, pc] = [Math.abs(p - a), Math.abs(p - b), Math.abs(p - c)]
    const paeth = pa <= pb && pa <= pc ? a : pb <= pc ? b : c
    return (v - [0, a, b, (a + b) >> 1, paeth][filter]!) & 255
  })
}

/** A TIFF block with nothing but an orientation. */
export const exif = (orientation: number, little = true): number[] =>
  little
    ? [...ascii('II'), 42, 0, ...u32le(8), 1, 0, 0x12, 0x01, 3, 0, ...u32le(1), orientation, 0, 0, 0, ...u32le(0)]
    : [...ascii('MM'), 0, 42, ...u32be(8), 0, 1, 0x01, 0x12, 0, 3, ...u32be(1), 0, orientation, 0, 0, ...u32be(0)]

/** The JPEG with an EXIF orientation put behind its first marker. */
export function withOrientation(jpeg: Uint8Array, orientation: number, little = true): Uint8Array {
  const body = [...ascii('Exif\0\0'), ...exif(orientation, little)]
  return Uint8Array.from([
    0xff,
    0xd8,
    0xff,
    0xe1,
    (body.length + 2) >> 8,
    (body.length + 2) & 255,
    ...body,
    ...jpeg.subarray(2),
  ])
}

/** A bitmap: `pixel(x, y)` gives a palette index (1, 4, 8 bits), or the pixel's number (16, 24, 32). */
export function makeBmp(
  { width, height, bits }: { width: number; height: number; bits: number },
  pixel: (x: number, y: number) => number,
  o: {
    palette?: number[][]
    topDown?: boolean
    masks?: number[]
    compression?: number
    core?: boolean
    v4?: boolean
  } = {},
): Uint8Array {
  const stride = Math.ceil((width * bits) / 32) * 4
  const rows = new Uint8Array(stride * height)
  for (let y = 0; y < height; y++) {
    const at = (o.topDown ? y : height - 1 - y) * stride
    for (let x = 0; x < width; x++) {
      const v = pixel(x, y)
      if (bits < 8) rows[at + ((x * bits) >> 3)]! |= v << (8 - bits - ((x * bits) & 7))
      else for (let k = 0; k < bits / 8; k++) rows[at + (x * bits) / 8 + k] = (v / 2 ** (8 * k)) & 255
    }
  }
  const palette = (o.palette ?? []).flatMap(([r, g, b]) => (o.core ? [b, g, r] : [b, g, r, 0]))
  const compression = o.compression ?? (o.masks ? 3 : 0)
  const masks = (o.masks ?? []).flatMap(u32le)
  const info = o.core
    ? [...u32le(12), ...u16le(width), ...u16le(height), 1, 0, ...u16le(bits)]
    : [
        ...u32le(o.v4 ? 108 : 40),
        ...u32le(width),
        ...u32le(o.topDown ? -height >>> 0 : height),
        1,
        0,
        ...u16le(bits),
        ...u32le(compression),
        ...u32le(rows.length),
        ...u32le(2835),
        ...u32le(2835),
        ...u32le(o.palette?.length ?? 0),
        ...u32le(0),
      ]
  const header = [
    ...info,
    ...masks,
    ...(o.v4 ? new Array<number>(108 - info.length - masks.length).fill(0) : []),
    ...palette,
  ]
  const offset = 14 + header.length
  return Uint8Array.from([
    ...ascii('BM'),
    ...u32le(offset + rows.length),
    0,
    0,
    0,
    0,
    ...u32le(offset),
    ...header,
    ...rows,
  ])
}

/** Reproducible pixels. The same rule is used by whatever made the recorded answers in vectors/. */
export function noise(seed: number, count: number): Uint8Array {
  const random = rng(seed)
  return Uint8Array.from({ length: count }, () => random.int(256))
}

/** A black picture. */
export const blank = (width: number, height: number): PixelImage => ({
  data: new Uint8Array(width * height * 3),
  width,
  height,
  channels: 3,
})
