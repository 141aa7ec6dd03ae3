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

/** One row of a component at full width: `samples` from `at` on. */
interface Line {
  samples: Uint8Array
  at: number
  seek(y: number): void
}

export function toPixels(markers: Markers, frame: Frame, planes: Plane[], minSize: number): PixelImage {
  const scale = (n: number): number => Math.ceil((n * minSize) / 8)
  const width = scale(frame.width)
  const height = scale(frame.height)
  const space = colourSpace(markers, frame)
  if (space === 'gray') return { data: cropped(planes[0]!, width, height), width, height, channels: 1 }
  const lines = planes.map((plane) => lineOf(plane, frame, minSize, width))
  const data = new Uint8Array(width * height * 3)
  const convert = space === 'rgb' ? rgbRow : space === 'ycc' ? yccRow : space === 'cmyk' ? cmykRow : ycckRow
  for (let y = 0; y < height; y++) {
    for (const line of lines) line.seek(y)
    convert(lines, data, y * width * 3, width)
  }
  return { data, width, height, channels: 3 }
}

function cropped({ samples, stride }: Plane, width: number, height: number): Uint8Array {
  const out = new Uint8Array(width * height)
  for (let y = 0; y < height; y++) out.set(samples.subarray(y * stride, y * stride + width), y * width)
  return out
}

function lineOf(plane: Plane, frame: Frame, minSize: number, width: number): Line {
  const {
    component: { h, v },
    size,
    samples,
    stride,
  } = plane
  // Real size of the component: what lies beyond is padding and must not bleed in.
  const w = Math.ceil((frame.width * h * size) / (frame.maxH * 8))
  const rows = Math.ceil((frame.height * v * size) / (frame.maxV * 8))
  const ratioX = (frame.maxH * minSize) / (h * size)
  const ratioY = (frame.maxV * minSize) / (v * size)
  const row = (y: number): number => Math.min(Math.max(y, 0), rows - 1) * stride
  const fancy = minSize > 1
  if (ratioX === 1 && ratioY === 1) {
    return {
      samples,
      at: 0,
      seek(y) {
        this.at = y * stride
      },
    }
  }
  const out = new Uint8Array(width + 2)
  const made = (seek: (y: number) => void): Line => ({ samples: out, at: 0, seek })
  if (ratioX === 2 && ratioY === 1 && fancy && w > 2) return made((y) => widen(samples, row(y), w, out))
  if (ratioX === 2 && ratioY === 2 && fancy && w > 2) {
    return made((y) => widenBoth(samples, row(y >> 1), row((y >> 1) + (y & 1 ? 1 : -1)), w, out))
  }
  if (ratioX === 1 && ratioY === 2 && fancy) {
    return made((y) => {
      const near = row(y >> 1)
      const far = row((y >> 1) + (y & 1 ? 1 : -1))
      const bias = y & 1 ? 2 : 1
      for (let x = 0; x < width; x++) out[x] = (samples[near + x]! * 3 + samples[far + x]! + bias) >> 2
    })
  }
  const columns = Int32Array.from({ length: width }, (_, x) => Math.min(Math.floor(x / ratioX), w - 1))
  return made((y) => {
    const start = row(Math.floor(y / ratioY))
    for (let x = 0; x < width; x++) out[x] = samples[start + columns[x]!]!
  })
}

/** Twice as wide: 3/4 the nearer, 1/4 the farther sample. `out` takes up to one sample more than the image is wide. */
function widen(samples: Uint8Array, at: number, w: number, out: Uint8Array): void {
  out[0] = samples[at]!
  out[1] = (samples[at]! * 3 + samples[at + 1]! + 2) >> 2
  for (let x = 1; x < w - 1; x++) {
    const v = samples[at + x]! * 3
    out[2 * x] = (v + samples[at + x - 1]! + 1) >> 2
    out[2 * x + 1] = (v + samples[at + x + 1]! + 2) >> 2
  }
  out[2 * w - 2] = (samples[at + w - 1]! * 3 + samples[at + w - 2]! + 1) >> 2
  out[2 * w - 1] = samples[at + w - 1]!
}

/** Twice as wide and high: the same weights in both directions, from the nearer row and the farther one. */
function widenBoth(samples: Uint8Array, near: number, far: number, w: number, out: Uint8Array): void {
  let last = samples[near]! * 3 + samples[far]!
  let here = last
  let next = samples[near + 1]! * 3 + samples[far + 1]!
  out[0] = (here * 4 + 8) >> 4
  out[1] = (here * 3 + next + 7) >> 4
  for (let x = 1; x < w - 1; x++) {
    last = here
    here = next
    next = samples[near + x + 1]! * 3 + samples[far + x + 1]!
    const v = here * 3
    out[2 * x] = (v + last + 8) >> 4
    out[2 * x + 1] = (v + next + 7) >> 4
  }
  out[2 * w - 2] = (next * 3 + here + 8) >> 4
  out[2 * w - 1] = (next * 4 + 7) >> 4
}

// Converters of a row.

const clip = (v: number): number => (v < 0 ? 0 : v > 255 ? 255 : v)

function rgbRow(lines: Line[], out: Uint8Array, at: number, width: number): void {
  const [r, g, b] = lines as [Line, Line, Line]
  for (let x = 0; x < width; x++, at += 3) {
    out[at] = r.samples[r.at + x]!
    out[at + 1] = g.samples[g.at + x]!
    out[at + 2] = b.samples[b.at + x]!
  }
}

/** R = Y + 1.402 Cr, G = Y - 0.34414 Cb - 0.71414 Cr, B = Y + 1.772 Cb, in 16-bit fixed point. */
function yccRow(lines: Line[], out: Uint8Array, at: number, width: number): void {
  const [luma, blue, red] = lines as [Line, Line, Line]
  const ys = luma.samples
  const bs = blue.samples
  const rs = red.samples
  const yAt = luma.at
  const bAt = blue.at
  const rAt = red.at
  for (let x = 0; x < width; x++, at += 3) {
    const y = ys[yAt + x]!
    const cb = bs[bAt + x]! - 128
    const cr = rs[rAt + x]! - 128
    const r = (y + ((Math.imul(91881, cr) + 32768) >> 16)) | 0
    const g = (y + ((32768 - Math.imul(22554, cb) - Math.imul(46802, cr)) >> 16)) | 0
    const b = (y + ((Math.imul(116130, cb) + 32768) >> 16)) | 0
    // Most pixels need no clipping: one test for all three.
    if ((r | g | b) >>> 8 === 0) {
      out[at] = r
      out[at + 1] = g
      out[at + 2] = b
    } else {
      out[at] = clip(r)
      out[at + 1] = clip(g)
      out[at + 2] = clip(b)
    }
  }
}

/** Inks are stored inverted, as Adobe writes them: sample = 255 - ink. */
function cmykRow(lines: Line[], out: Uint8Array, at: number, width: number): void {
  const black = lines[3]!
  for (let x = 0; x < width; x++, at += 3) {
    for (let c = 0; c < 3; c++) {
      out[at + c] = inked(255 - lines[c]!.samples[lines[c]!.at + x]!, black.samples[black.at + x]!)
    }
  }
}

/** The first three hold the inks as YCbCr. */
function ycckRow(lines: Line[], out: Uint8Array, at: number, width: number): void {
  yccRow(lines, out, at, width)
  const black = lines[3]!
  for (let x = 0; x < width; x++, at += 3) {
    for (let c = 0; c < 3; c++) out[at + c] = inked(out[at + c]!, black.samples[black.at + x]!)
  }
}

/** What is left of `white` under an ink of 0..255. */
function inked(ink: number, white: number): number {
  const product = ink * white + 128
  return clip(white - (((product >> 8) + product) >> 8))
}
