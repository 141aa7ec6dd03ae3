/**
 * Pictures a row at a time: pixels as they lie, raw frames made RGB where they are read, so that no more than two of
 * their rows are ever converted at once. No dependencies.
 */
import type { PixelImage } from '../graph/types.ts'
import { checkRaw, fromRaw, isYuv, packedRow, type RawFrame, yuvPlan, yuvRow } from './raw-frame.ts'

/** Pixels, or a raw frame that may become pixels. */
export type Picture = PixelImage | RawFrame

/** Whether a picture is a raw frame, and not pixels with a number of channels. */
export const isRawFrame = (picture: Picture): picture is RawFrame =>
  (picture as Partial<RawFrame> | undefined)?.format !== undefined

/** A picture as pixels. Errors: `image/pixels`. */
export const pixelsIn = (picture: Picture): PixelImage => (isRawFrame(picture) ? fromRaw(picture) : picture)

/** Samples of a row, from `at` on. */
export interface PixelRow {
  samples: Uint8Array | Uint8ClampedArray
  at: number
}

/** A picture whose rows can be read; a row stays as it is until the next but one is asked for. */
export interface PixelRows {
  width: number
  height: number
  channels: 1 | 3 | 4
  row(y: number): PixelRow
  /** All rows, where they lie one after the other. */
  whole?: PixelImage
}

/** Rows of pixels without gaps. */
export function plainRows(whole: PixelImage, channels: 1 | 3 | 4): PixelRows {
  const { data, width, height } = whole
  return { width, height, channels, whole, row: (y) => ({ samples: data, at: y * width * channels }) }
}

/** Rows that `make` writes, the latest two of which are kept. */
function madeRows(
  size: Omit<PixelRows, 'row' | 'whole'>,
  make: (y: number, out: Uint8ClampedArray) => void,
): PixelRows {
  const lines = [0, 1].map(() => new Uint8ClampedArray(size.width * size.channels))
  const held = [-1, -1]
  return {
    ...size,
    row(y) {
      const line = lines[y & 1]!
      if (held[y & 1] !== y) make(y, line)
      held[y & 1] = y
      return { samples: line, at: 0 }
    },
  }
}

/** Rows of a raw frame; the samples are those of `fromRaw`. Errors: `image/pixels`. */
export function rawRows(frame: RawFrame): PixelRows {
  checkRaw(frame)
  const { width, height } = frame
  if (isYuv(frame)) {
    const plan = yuvPlan(frame)
    return madeRows({ width, height, channels: 3 }, (y, out) => yuvRow(frame, plan, y, out))
  }
  const packed = packedRow(frame)
  if (!packed) {
    const image = fromRaw(frame)
    return plainRows(image, image.channels as 1 | 3 | 4)
  }
  return madeRows({ width, height, channels: packed.channels }, packed.copy)
}

/** Adds `factor` pixels of a row each to the sums of their channels. */
function addRow(
  { samples, at }: PixelRow,
  { sums, channels, factor }: { sums: Uint32Array; channels: number; factor: number },
): void {
  for (let o = 0, from = at; o < sums.length; o += channels) {
    if (channels === 3) {
      let [r, g, b] = [0, 0, 0]
      for (let k = 0; k < factor; k++, from += 3) {
        r += samples[from]!
        g += samples[from + 1]!
        b += samples[from + 2]!
      }
      sums[o]! += r
      sums[o + 1]! += g
      sums[o + 2]! += b
    } else for (let k = 0; k < factor; k++) for (let c = 0; c < channels; c++) sums[o + c]! += samples[from++]!
  }
}

/** Means of `factor` x `factor` samples; the last rows and columns may be left out. */
export function shrunkRows(rows: PixelRows, factor: number): PixelRows {
  const { channels } = rows
  const [width, height] = [Math.floor(rows.width / factor), Math.floor(rows.height / factor)]
  const sums = new Uint32Array(width * channels)
  const [area, half] = [factor * factor, (factor * factor) >> 1]
  return madeRows({ width, height, channels }, (y, out) => {
    sums.fill(0)
    for (let r = y * factor; r < (y + 1) * factor; r++) addRow(rows.row(r), { sums, channels, factor })
    // Whole numbers: a clamped array would round.
    for (let i = 0; i < sums.length; i++) out[i] = Math.floor((sums[i]! + half) / area)
  })
}
