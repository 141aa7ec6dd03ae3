/** Raw frames: packed pixels with strides, and YUV. No dependencies. */
import { ThimbleError } from '../base/errors.ts'
import { kindOf } from '../options/options.ts'
import type { PixelImage } from '../graph/types.ts'

/** Layouts of raw frames. */
export type PixelFormat =
  'gray' | 'rgb' | 'rgba' | 'bgr' | 'bgra' | 'yuv420' | 'nv12' | 'nv21' | 'yuv422' | 'yuv444' | 'yuyv' | 'uyvy'

/**
 * A raw frame. Packed formats are rows of pixels, `stride` bytes apart (default: no gap). `yuv420` (I420) has three
 * planes, `nv12` and `nv21` two: luma at full and colour at half resolution (rounded up); `stride` is the luma's, and
 * I420's colour planes have half of it (rounded up). `yuv422` and `yuv444` are three planes with colour at half and
 * full width and full height, `yuyv` and `uyvy` one, of pairs of pixels. YUV is BT.601 with video range unless
 * `fullRange`.
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
const FORMATS: readonly PixelFormat[] = [
  ...(Object.keys(CHANNELS) as PixelFormat[]),
  'yuv420',
  'nv12',
  'nv21',
  'yuv422',
  'yuv444',
  'yuyv',
  'uyvy',
]

/** Refuses pixels: what is wrong, what was expected, what came. */
export const wrong = (what: string, expected: unknown, got: unknown): never => {
  throw new ThimbleError('image/pixels', what, { expected: String(expected), got: String(got) })
}

/** Where the samples of a YUV frame lie and how they become RGB. */
export interface YuvPlan {
  stride: number
  /** Bytes before the first luma sample, and from one to the next. */
  yAt: number
  lumaStep: 1 | 2
  /** Bytes of the first colour samples, from one row of them to the next, from one to the next. */
  uAt: number
  vAt: number
  colourStride: number
  step: 1 | 2 | 4
  /** Columns and rows of luma that share colour, as powers of 2. */
  shiftX: 0 | 1
  shiftY: 0 | 1
  /** Luma of black, then factors of 2^16: luma, V in red, U and V in green, U in blue. Source: ITU-R BT.601. */
  base: number
  gain: number
  rv: number
  gu: number
  gv: number
  bu: number
}

type Planes = Omit<YuvPlan, 'base' | 'gain' | 'rv' | 'gu' | 'gv' | 'bu'> & { end: number }

/** Where the samples lie, and how many bytes there are. */
function planesOf({ width, height, format, stride: given }: RawFrame): Planes {
  const half = (width + 1) >> 1
  const stride = given ?? rowBytes(format, width)
  const luma = { stride, yAt: 0, lumaStep: 1 } as const
  switch (format) {
    case 'yuyv':
    case 'uyvy': {
      const y = format === 'yuyv' ? 0 : 1
      const [uAt, vAt] = [1 - y, 3 - y]
      const end = stride * (height - 1) + 4 * half
      return { stride, yAt: y, lumaStep: 2, uAt, vAt, colourStride: stride, step: 4, shiftX: 1, shiftY: 0, end }
    }
    case 'nv12':
    case 'nv21': {
      const [at, colourStride] = [stride * height, stride + (stride & 1)]
      const [uAt, vAt] = format === 'nv12' ? [at, at + 1] : [at + 1, at]
      const end = at + colourStride * (((height + 1) >> 1) - 1) + 2 * half
      return { ...luma, uAt, vAt, colourStride, step: 2, shiftX: 1, shiftY: 1, end }
    }
    default: {
      const [shiftX, shiftY] = format === 'yuv444' ? ([0, 0] as const) : ([1, format === 'yuv422' ? 0 : 1] as const)
      const colourStride = (stride + shiftX) >> shiftX
      const rows = (height + shiftY) >> shiftY
      const uAt = stride * height
      const vAt = uAt + colourStride * rows
      const end = vAt + colourStride * (rows - 1) + ((width + shiftX) >> shiftX)
      return { ...luma, uAt, vAt, colourStride, step: 1, shiftX, shiftY, end }
    }
  }
}

/** Bytes of a row (of luma, where it has a plane of its own) without a gap. */
function rowBytes(format: PixelFormat, width: number): number {
  if (format === 'yuyv' || format === 'uyvy') return 4 * ((width + 1) >> 1)
  return width * (CHANNELS[format] ?? 1)
}

/** Errors: `image/pixels` where bytes are missing. */
export function yuvPlan(frame: RawFrame): YuvPlan {
  const { data, width, height, format, fullRange } = frame
  const { end, ...planes } = planesOf(frame)
  if (data.length < end) wrong(`too few bytes for ${width}x${height} in ${format}`, end, data.length)
  const [base, gain, k] = fullRange ? [0, 65536, 1] : [16, 76309, 255 / 224]
  const factor = (c: number): number => Math.round(c * k * 65536)
  return {
    ...planes,
    base,
    gain,
    rv: factor(1.402),
    gu: factor(0.344136),
    gv: factor(0.714136),
    bu: factor(1.772),
  }
}

/** Row `y` of a YUV frame as RGB, in 16-bit fixed point. */
export function yuvRow({ data, width }: RawFrame, plan: YuvPlan, y: number, out: Uint8ClampedArray): void {
  const { base, gain, rv, gu, gv, bu, step, lumaStep, shiftX } = plan
  const row = (y >> plan.shiftY) * plan.colourStride
  const [uAt, vAt] = [plan.uAt + row, plan.vAt + row]
  const wide = 1 << shiftX
  let at = plan.yAt + y * plan.stride
  for (let x = 0, o = 0, c = 0; x < width; c += step) {
    const u = data[uAt + c]! - 128
    const v = data[vAt + c]! - 128
    const red = rv * v + 32768
    const green = 32768 - gu * u - gv * v
    const blue = bu * u + 32768
    for (const end = Math.min(width, x + wide); x < end; x++, o += 3, at += lumaStep) {
      const luma = (data[at]! - base) * gain
      out[o] = (luma + red) >> 16
      out[o + 1] = (luma + green) >> 16
      out[o + 2] = (luma + blue) >> 16
    }
  }
}

/** YUV to RGB. */
function fromYuv(frame: RawFrame): PixelImage {
  const { width, height } = frame
  const plan = yuvPlan(frame)
  const out = new Uint8ClampedArray(width * height * 3)
  for (let y = 0; y < height; y++) yuvRow(frame, plan, y, out.subarray(3 * width * y))
  return { data: new Uint8Array(out.buffer), width, height, channels: 3 }
}

/** Errors: `image/pixels` for what is no frame, whatever its length. */
export function checkRaw(frame: RawFrame): void {
  const { data, width, height, format } = frame
  if (!FORMATS.includes(format)) wrong('unknown pixel format', FORMATS.join(', '), format)
  if (!(data instanceof Uint8Array || data instanceof Uint8ClampedArray)) {
    wrong('not a raw frame', '{ data: Uint8Array, width, height, format }', kindOf(data))
  }
  if (!Number.isInteger(width) || !Number.isInteger(height) || width < 1 || height < 1) {
    wrong('the frame has no size', 'whole numbers from 1 on', `${width}x${height}`)
  }
  const row = rowBytes(format, width)
  const stride = frame.stride ?? row
  if (!Number.isInteger(stride) || stride < row) wrong('the stride is shorter than a row', `at least ${row}`, stride)
}

/** Whether a frame is YUV. */
export const isYuv = ({ format }: RawFrame): boolean => CHANNELS[format] === undefined

/**
 * A frame of pixels, checked: bytes to a pixel and a row of them, and whether blue comes first. Errors: `image/pixels`.
 */
function packedLayout(frame: RawFrame): { channels: 1 | 3 | 4; row: number; stride: number; swapped: boolean } {
  const { data, width, height, format } = frame
  const channels = CHANNELS[format] as 1 | 3 | 4
  const row = rowBytes(format, width)
  const stride = frame.stride ?? row
  const bytes = stride * (height - 1) + row
  if (data.length < bytes) wrong(`too few bytes for ${width}x${height} in ${format}`, bytes, data.length)
  return { channels, row, stride, swapped: format === 'bgr' || format === 'bgra' }
}

/**
 * Copies rows of a packed frame with gaps or with blue first; undefined where the frame's bytes are its pixels.
 * Errors: `image/pixels`.
 */
export function packedRow(
  frame: RawFrame,
): { channels: 1 | 3 | 4; copy: (y: number, out: Uint8Array | Uint8ClampedArray) => void } | undefined {
  const { channels, row, stride, swapped } = packedLayout(frame)
  if (stride === row && !swapped) return undefined
  const copy = (y: number, out: Uint8Array | Uint8ClampedArray): void => {
    out.set(frame.data.subarray(y * stride, y * stride + row))
    for (let i = 0; swapped && i < out.length; i += channels) {
      const blue = out[i]!
      out[i] = out[i + 2]!
      out[i + 2] = blue
    }
  }
  return { channels, copy }
}

/** A raw frame as pixels; nothing is copied where nothing must change. Errors: `image/pixels`. */
export function fromRaw(frame: RawFrame): PixelImage {
  checkRaw(frame)
  const { data, width, height } = frame
  if (isYuv(frame)) return fromYuv(frame)
  const packed = packedRow(frame)
  if (!packed) return { data, width, height, channels: packedLayout(frame).channels }
  const { channels, copy } = packed
  const row = width * channels
  const out = new Uint8Array(row * height)
  for (let y = 0; y < height; y++) copy(y, out.subarray(y * row, (y + 1) * row))
  return { data: out, width, height, channels }
}
