/**
 * Pixels from whatever holds them: raw frames with strides and in YUV, ImageData, canvases and bitmaps, video frames,
 * files and their bytes. No dependencies.
 */
import type { HostBlob } from '../base/host.ts'
import { kindOf } from '../options/options.ts'
import type { PixelImage } from '../graph/types.ts'
import { checkRaw, fromRaw, type RawFrame, wrong } from './raw-frame.ts'
import type { Picture } from './rows.ts'

export type { PixelFormat, RawFrame } from './raw-frame.ts'

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
      kindOf(source),
    )
  }
  if (typeof OffscreenCanvas === 'undefined') {
    return wrong('this platform has no canvas to draw on', 'pixels or a raw frame', kindOf(source))
  }
  const [width, height] = size
  const context = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true })!
  context.fillStyle = '#fff'
  context.fillRect(0, 0, width, height)
  context.drawImage(source as CanvasImageSource, 0, 0, width, height)
  return { data: context.getImageData(0, 0, width, height).data, width, height, channels: 4 }
}

/** Whether it is a raw frame, and not pixels with a number of channels. */
export const isRaw = (source: FrameSource): source is RawFrame =>
  typeof source === 'object' && source !== null && 'data' in source && 'format' in source && source.format !== undefined

/** Pixels of a source that needs no decoding. Errors: `image/pixels`. */
export function pixelsOf(source: FrameSource): PixelImage {
  if (isRaw(source)) return fromRaw(source)
  if (typeof source === 'object' && source !== null && 'data' in source) return stripped(source)
  return fromDrawable(source)
}

/** The same, but raw frames stay what they are until their rows are read. Errors: `image/pixels`. */
export function pictureOf(source: FrameSource): Picture {
  if (!isRaw(source)) return pixelsOf(source)
  checkRaw(source)
  return source
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
