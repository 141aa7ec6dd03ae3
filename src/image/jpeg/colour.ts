/**
 * Component planes to pixels: chroma brought to full size with libjpeg's triangle filter ("fancy upsampling") where
 * the ratio is 2, repeated elsewhere; then YCbCr, CMYK or YCCK to RGB.
 * Source: libjpeg-turbo's jdsample and jdcolor (weights and rounding), Pillow's CMYK conversion; JFIF 1.02 (matrix).
 */
import type { PixelImage } from '../../types.ts'
import type { Frame, Markers } from './frame.ts'
import type { Plane } from './scan.ts'

type ColourSpace = 'gray' | 'rgb' | 'ycc' | 'cmyk' | 'ycck'

/** What the components mean, by the markers as libjpeg reads them. */
function colourSpace({ jfif, adobe }: Markers, frame: Frame): ColourSpace {
  const { length } = frame.components
  if (length === 1) return 'gray'
  if (length === 4) return adobe === 2 ? 'ycck' : 'cmyk'
  if (jfif) return 'ycc'
  if (adobe !== undefined) return adobe === 0 ? 'rgb' : 'ycc'
  return frame.components.map((c) => String.fromCharCode(c.id)).join('') === 'RGB' ? 'rgb' : 'ycc'
}

/** Gives one row of a component at full width. `y`: the image row. */
type RowSource = (y: number) => void

export function toPixels(markers: Markers, frame: Frame, planes: Plane[], minSize: number): PixelImage {
  const scale = (n: number): number => Math.ceil(n * minSize / 8)
  const width = scale(frame.width), height = scale(frame.height)
  const space = colourSpace(markers, frame)
  if (space === 'gray') return { data: cropped(planes[0], width, height), width, height, channels: 1 }
  const lines = planes.map(() => new Uint8Array(width + 8))
  const sources = planes.map((plane, i) => rowSource(plane, frame, minSize, width, height, lines[i]))
  const data = new Uint8Array(width * height * 3)
  const convert = converter(space)
  for (let y = 0; y < height; y++) {
    for (const source of sources) source(y)
    convert(lines, data, y * width * 3, width)
  }
  return { data, width, height, channels: 3 }
}

function cropped({ samples, stride }: Plane, width: number, height: number): Uint8Array {
  const out = new Uint8Array(width * height)
  for (let y = 0; y < height; y++) out.set(samples.subarray(y * stride, y * stride + width), y * width)
  return out
}

function rowSource(plane: Plane, frame: Frame, minSize: number, width: number, height: number, out: Uint8Array): RowSource {
  const { component: { h, v }, size, samples, stride } = plane
  // Real size of the component: what lies beyond is padding and must not bleed in.
  const w = Math.ceil(frame.width * h * size / (frame.maxH * 8))
  const rows = Math.ceil(frame.height * v * size / (frame.maxV * 8))
  const ratioX = frame.maxH * minSize / (h * size), ratioY = frame.maxV * minSize / (v * size)
  const row = (y: number): number => Math.min(Math.max(y, 0), rows - 1) * stride
  const fancy = minSize > 1
  if (ratioX === 1 && ratioY === 1) return (y) => out.set(samples.subarray(y * stride, y * stride + width))
  if (ratioX === 2 && ratioY === 1 && fancy && w > 2) return (y) => widen(samples, row(y), w, out)
  if (ratioX === 2 && ratioY === 2 && fancy && w > 2) {
    const sums = new Int32Array(w)
    return (y) => {
      const near = row(y >> 1), far = row((y >> 1) + (y & 1 ? 1 : -1))
      for (let x = 0; x < w; x++) sums[x] = samples[near + x] * 3 + samples[far + x]
      widenSums(sums, w, out)
    }
  }
  if (ratioX === 1 && ratioY === 2 && fancy) {
    return (y) => {
      const near = row(y >> 1), far = row((y >> 1) + (y & 1 ? 1 : -1))
      const bias = y & 1 ? 2 : 1
      for (let x = 0; x < width; x++) out[x] = samples[near + x] * 3 + samples[far + x] + bias >> 2
    }
  }
  const columns = Int32Array.from({ length: width }, (_, x) => Math.min(Math.floor(x / ratioX), w - 1))
  return (y) => {
    const start = row(Math.min(Math.floor(y / ratioY), height))
    for (let x = 0; x < width; x++) out[x] = samples[start + columns[x]]
  }
}

/** Twice as wide: 3/4 the nearer, 1/4 the farther sample. `out` takes up to one sample more than the image is wide. */
function widen(samples: Uint8Array, at: number, w: number, out: Uint8Array): void {
  out[0] = samples[at]
  out[1] = samples[at] * 3 + samples[at + 1] + 2 >> 2
  for (let x = 1; x < w - 1; x++) {
    const v = samples[at + x] * 3
    out[2 * x] = v + samples[at + x - 1] + 1 >> 2
    out[2 * x + 1] = v + samples[at + x + 1] + 2 >> 2
  }
  out[2 * w - 2] = samples[at + w - 1] * 3 + samples[at + w - 2] + 1 >> 2
  out[2 * w - 1] = samples[at + w - 1]
}

/** The same for column sums that are already 4 times as large. */
function widenSums(sums: Int32Array, w: number, out: Uint8Array): void {
  out[0] = sums[0] * 4 + 8 >> 4
  out[1] = sums[0] * 3 + sums[1] + 7 >> 4
  for (let x = 1; x < w - 1; x++) {
    const v = sums[x] * 3
    out[2 * x] = v + sums[x - 1] + 8 >> 4
    out[2 * x + 1] = v + sums[x + 1] + 7 >> 4
  }
  out[2 * w - 2] = sums[w - 1] * 3 + sums[w - 2] + 8 >> 4
  out[2 * w - 1] = sums[w - 1] * 4 + 7 >> 4
}

type Converter = (lines: Uint8Array[], out: Uint8Array, at: number, width: number) => void

const clip = (v: number): number => (v < 0 ? 0 : v > 255 ? 255 : v)

function converter(space: Exclude<ColourSpace, 'gray'>): Converter {
  if (space === 'rgb') {
    return ([r, g, b], out, at, width) => {
      for (let x = 0; x < width; x++, at += 3) {
        out[at] = r[x]
        out[at + 1] = g[x]
        out[at + 2] = b[x]
      }
    }
  }
  if (space === 'ycc') return yccConverter()
  const ycc = space === 'ycck' ? yccConverter() : undefined
  // Inks are stored inverted, as Adobe writes them.
  return (lines, out, at, width) => {
    ycc?.(lines, out, at, width)
    for (let x = 0; x < width; x++, at += 3) {
      const white = lines[3][x]
      for (let c = 0; c < 3; c++) {
        const ink = ycc ? out[at + c] : 255 - lines[c][x]
        const product = ink * white + 128
        out[at + c] = clip(white - ((product >> 8) + product >> 8))
      }
    }
  }
}

/** R = Y + 1.402 Cr, G = Y - 0.34414 Cb - 0.71414 Cr, B = Y + 1.772 Cb, in 16-bit fixed point. */
function yccConverter(): Converter {
  const crR = new Int32Array(256), cbB = new Int32Array(256), crG = new Int32Array(256), cbG = new Int32Array(256)
  for (let i = 0; i < 256; i++) {
    const x = i - 128
    crR[i] = 91881 * x + 32768 >> 16
    cbB[i] = 116130 * x + 32768 >> 16
    crG[i] = -46802 * x
    cbG[i] = -22554 * x + 32768
  }
  return (lines, out, at, width) => {
    const [ys, cbs, crs] = lines
    for (let x = 0; x < width; x++, at += 3) {
      const y = ys[x], cb = cbs[x], cr = crs[x]
      out[at] = clip(y + crR[cr])
      out[at + 1] = clip(y + (cbG[cb] + crG[cr] >> 16))
      out[at + 2] = clip(y + cbB[cb])
    }
  }
}
