/** Raw frames: packed pixels with strides, and YUV 4:2:0. No dependencies. */
import { ThimbleError } from '../errors.ts'
import type { PixelImage } from '../types.ts'

/** Layouts of raw frames. */
export type PixelFormat = 'gray' | 'rgb' | 'rgba' | 'bgr' | 'bgra' | 'yuv420' | 'nv12' | 'nv21'

/**
 * A raw frame. Packed formats are rows of pixels, `stride` bytes apart (default: no gap). `yuv420` (I420) has three
 * planes, `nv12` and `nv21` two: luma at full and colour at half resolution (rounded up); `stride` is the luma's, and
 * I420's colour planes have half of it (rounded up). YUV is BT.601 with video range unless `fullRange`.
 */
export interface RawFrame {
  data: Uint8Array | Uint8ClampedArray
  width: number
  height: number
  format: PixelFormat
  stride?: number
  fullRange?: boolean
}

const CHANNELS: Partial<Record<PixelFormat, number>> = { gray: 1, rgb: 3, bgr: 3, rgba: 4, bgra: 4 }
const FORMATS: readonly PixelFormat[] = ['gray', 'rgb', 'rgba', 'bgr', 'bgra', 'yuv420', 'nv12', 'nv21']

/** Refuses pixels: what is wrong, what was expected, what came. */
export const wrong = (what: string, expected: unknown, got: unknown): never => {
  throw new ThimbleError('image/pixels', what, { expected: String(expected), got: String(got) })
}

const clampByte = (v: number): number => (v < 0 ? 0 : v > 255 ? 255 : v)

/** Where the planes of a YUV 4:2:0 frame lie and how they become RGB. */
export interface YuvPlan {
  stride: number
  /** Bytes of the first colour samples, from one row of them to the next, from one to the next. */
  uAt: number
  vAt: number
  colourStride: number
  step: 1 | 2
  /** Luma of black, then factors of 2^16: luma, V in red, U and V in green, U in blue. Source: ITU-R BT.601. */
  base: number
  gain: number
  rv: number
  gu: number
  gv: number
  bu: number
}

/** Errors: `image/pixels` where bytes are missing. */
export function yuvPlan({ data, width, height, format, stride = width, fullRange }: RawFrame): YuvPlan {
  const [halfWidth, halfHeight] = [(width + 1) >> 1, (height + 1) >> 1]
  const planar = format === 'yuv420'
  const colourStride = planar ? (stride + 1) >> 1 : stride + (stride & 1)
  const colour = stride * height
  const end = planar
    ? colour + 2 * colourStride * halfHeight - (colourStride - halfWidth)
    : colour + colourStride * (halfHeight - 1) + 2 * halfWidth
  if (data.length < end) wrong(`too few bytes for ${width}x${height} in ${format}`, end, data.length)
  const [uAt, vAt] = planar
    ? [colour, colour + colourStride * halfHeight]
    : format === 'nv12'
      ? [colour, colour + 1]
      : [colour + 1, colour]
  const step = planar ? 1 : 2
  const [base, gain, k] = fullRange ? [0, 65536, 1] : [16, 76309, 255 / 224]
  const factor = (c: number): number => Math.round(c * k * 65536)
  return {
    stride,
    uAt,
    vAt,
    colourStride,
    step,
    base,
    gain,
    rv: factor(1.402),
    gu: factor(0.344136),
    gv: factor(0.714136),
    bu: factor(1.772),
  }
}

/** YUV 4:2:0 to RGB, in 16-bit fixed point. */
function fromYuv(frame: RawFrame): PixelImage {
  const { data, width, height } = frame
  const { stride, uAt, vAt, colourStride, step, base, gain, rv, gu, gv, bu } = yuvPlan(frame)
  const out = new Uint8Array(width * height * 3)
  for (let y = 0, o = 0; y < height; y++) {
    const row = (y >> 1) * colourStride
    for (let x = 0; x < width; x++, o += 3) {
      const luma = (data[y * stride + x]! - base) * gain + 32768
      const u = data[uAt + row + (x >> 1) * step]! - 128
      const v = data[vAt + row + (x >> 1) * step]! - 128
      out[o] = clampByte((luma + rv * v) >> 16)
      out[o + 1] = clampByte((luma - gu * u - gv * v) >> 16)
      out[o + 2] = clampByte((luma + bu * u) >> 16)
    }
  }
  return { data: out, width, height, channels: 3 }
}

/** Errors: `image/pixels` for what is no frame, whatever its length. */
export function checkRaw(frame: RawFrame): void {
  const { data, width, height, format } = frame
  if (!FORMATS.includes(format)) wrong('unknown pixel format', FORMATS.join(', '), format)
  if (!(data instanceof Uint8Array || data instanceof Uint8ClampedArray)) {
    wrong('not a raw frame', '{ data: Uint8Array, width, height, format }', Object.prototype.toString.call(data))
  }
  if (!Number.isInteger(width) || !Number.isInteger(height) || width < 1 || height < 1) {
    wrong('the frame has no size', 'whole numbers from 1 on', `${width}x${height}`)
  }
  const row = width * (CHANNELS[format] ?? 1)
  const stride = frame.stride ?? row
  if (!Number.isInteger(stride) || stride < row) wrong('the stride is shorter than a row', `at least ${row}`, stride)
}

/** Whether a frame is YUV 4:2:0. */
export const isYuv = ({ format }: RawFrame): boolean => CHANNELS[format] === undefined

/** A raw frame as pixels; nothing is copied where nothing must change. Errors: `image/pixels`. */
export function fromRaw(frame: RawFrame): PixelImage {
  checkRaw(frame)
  const { data, width, height, format } = frame
  const channels = CHANNELS[format]
  const row = width * (channels ?? 1)
  const stride = frame.stride ?? row
  if (!channels) return fromYuv(frame)
  const bytes = stride * (height - 1) + row
  if (data.length < bytes) wrong(`too few bytes for ${width}x${height} in ${format}`, bytes, data.length)
  const swapped = format === 'bgr' || format === 'bgra'
  if (stride === row && !swapped) return { data, width, height, channels: channels as 1 | 3 | 4 }
  const out = new Uint8Array(row * height)
  for (let y = 0; y < height; y++) out.set(data.subarray(y * stride, y * stride + row), y * row)
  if (swapped) {
    for (let i = 0; i < out.length; i += channels) {
      const blue = out[i]!
      out[i] = out[i + 2]!
      out[i + 2] = blue
    }
  }
  return { data: out, width, height, channels: channels as 1 | 3 | 4 }
}
