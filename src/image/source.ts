/**
 * Pixels from whatever holds them: raw frames with strides and in YUV, ImageData, canvases and bitmaps, video frames,
 * files and their bytes. No dependencies.
 */
import type { HostBlob } from '../host.ts'
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

/** Anything that a canvas draws: ImageBitmap, VideoFrame, a canvas, an image or video element. */
export interface Drawable {
  width?: number | unknown
  close?(): void
}

/** What can be looked at, at once. */
export type FrameSource = PixelImage | RawFrame | Drawable
/** What must be read or decoded first. */
export type FileSource = HostBlob | Uint8Array | ArrayBuffer
/** Anything to look at: pixels of any layout, what a canvas draws, or an encoded image. */
export type ImageSource = FrameSource | FileSource

/** Decodes an encoded image. */
export type ImageDecode = (bytes: Uint8Array) => PixelImage | Promise<PixelImage>

const CHANNELS: Partial<Record<PixelFormat, number>> = { gray: 1, rgb: 3, bgr: 3, rgba: 4, bgra: 4 }
const FORMATS: readonly PixelFormat[] = ['gray', 'rgb', 'rgba', 'bgr', 'bgra', 'yuv420', 'nv12', 'nv21']

const wrong = (what: string, expected: unknown, got: unknown): never => {
  throw new ThimbleError('image/pixels', what, { expected: String(expected), got: String(got) })
}

const clampByte = (v: number): number => (v < 0 ? 0 : v > 255 ? 255 : v)

/** YUV 4:2:0 to RGB. Source: ITU-R BT.601, in 16-bit fixed point. */
function fromYuv({ data, width, height, format, fullRange }: RawFrame, stride: number): PixelImage {
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
  const [rv, gu, gv, bu] = [1.402, 0.344136, 0.714136, 1.772].map((c) => Math.round(c * k * 65536)) as [
    number,
    number,
    number,
    number,
  ]
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

/** A raw frame as pixels; nothing is copied where nothing must change. Errors: `image/pixels`. */
export function fromRaw(frame: RawFrame): PixelImage {
  const { data, width, height, format } = frame
  if (!FORMATS.includes(format)) wrong('unknown pixel format', FORMATS.join(', '), format)
  if (!(data instanceof Uint8Array || data instanceof Uint8ClampedArray)) {
    wrong('not a raw frame', '{ data: Uint8Array, width, height, format }', Object.prototype.toString.call(data))
  }
  if (!Number.isInteger(width) || !Number.isInteger(height) || width < 1 || height < 1) {
    wrong('the frame has no size', 'whole numbers from 1 on', `${width}x${height}`)
  }
  const channels = CHANNELS[format]
  const row = width * (channels ?? 1)
  const stride = frame.stride ?? row
  if (!Number.isInteger(stride) || stride < row) wrong('the stride is shorter than a row', `at least ${row}`, stride)
  if (!channels) return fromYuv(frame, stride)
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

/** Sizes of a drawable, by the names that the different kinds have. */
function sizeOf(source: Record<string, unknown> | null | undefined): [number, number] | undefined {
  if (!source) return undefined
  for (const [w, h] of [
    ['displayWidth', 'displayHeight'],
    ['videoWidth', 'videoHeight'],
    ['naturalWidth', 'naturalHeight'],
    ['width', 'height'],
  ] as const) {
    const [width, height] = [source[w], source[h]]
    if (typeof width === 'number' && typeof height === 'number' && width > 0 && height > 0) return [width, height]
  }
  return undefined
}

/** Draws a bitmap, frame, canvas or element. Errors: `image/pixels` where nothing can be drawn. */
function fromDrawable(source: Drawable): PixelImage {
  const size = sizeOf(source as Record<string, unknown> | null)
  if (!size) {
    return wrong(
      'not an image',
      'pixels, a raw frame with a format, ImageData, ImageBitmap, VideoFrame, Blob or encoded bytes',
      source === null ? 'null' : Object.prototype.toString.call(source),
    )
  }
  if (typeof OffscreenCanvas === 'undefined') {
    return wrong(
      'this platform has no canvas to draw on',
      'pixels or a raw frame',
      Object.prototype.toString.call(source),
    )
  }
  const [width, height] = size
  const context = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true })!
  context.fillStyle = '#fff'
  context.fillRect(0, 0, width, height)
  context.drawImage(source as CanvasImageSource, 0, 0, width, height)
  return { data: context.getImageData(0, 0, width, height).data, width, height, channels: 4 }
}

/** Pixels of a source that needs no decoding. Errors: `image/pixels`. */
export function pixelsOf(source: FrameSource): PixelImage {
  if (typeof source === 'object' && source !== null && 'data' in source) {
    return 'format' in source && source.format !== undefined ? fromRaw(source) : stripped(source)
  }
  return fromDrawable(source)
}

/** Pixels with a stride and channels instead of a format. */
function stripped(source: PixelImage & { stride?: number }): PixelImage {
  if (source.stride === undefined || !source.channels) return source
  return fromRaw({ ...source, format: ({ 1: 'gray', 3: 'rgb', 4: 'rgba' } as const)[source.channels] })
}

/** True for a source that must be read or decoded first. */
export const isFile = (source: ImageSource): source is FileSource =>
  source instanceof Uint8Array ||
  source instanceof ArrayBuffer ||
  (typeof Blob !== 'undefined' && source instanceof Blob)

/** Decodes as every host does, what Thimble does not read with the browser's decoder where there is one. */
async function decodeHere(bytes: Uint8Array): Promise<PixelImage> {
  const { decodeAnywhere } = await import('./browser-decode.ts')
  return decodeAnywhere(bytes)
}

/** Pixels of a file. Errors: `image/…`. */
export async function decoded(source: FileSource, decode: ImageDecode = decodeHere): Promise<PixelImage> {
  const bytes = source instanceof Blob ? new Uint8Array(await source.arrayBuffer()) : source
  return decode(bytes instanceof ArrayBuffer ? new Uint8Array(bytes) : bytes)
}
