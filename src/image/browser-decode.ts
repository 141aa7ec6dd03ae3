/** Encoded image to pixels with the browser's own decoder. No dependencies; browsers and their workers only. */
import { ThimbleError } from '../errors.ts'
import type { PixelImage } from '../types.ts'
import { type DecodeOptions, MAX_PIXELS } from './limits.ts'

/**
 * Decodes any image that the browser shows. Upright (EXIF orientation is applied), 4 channels, laid over white, the
 * file's own colour values (no colour profile is applied, as with Pillow).
 * Errors: `image/unreadable`, `image/too-large`.
 */
export async function decodeInBrowser(source: Uint8Array | Blob, options: DecodeOptions = {}): Promise<PixelImage> {
  const blob = source instanceof Blob ? source : new Blob([source as Uint8Array<ArrayBuffer>])
  let bitmap: ImageBitmap
  try {
    bitmap = await createImageBitmap(blob, { imageOrientation: 'from-image', colorSpaceConversion: 'none' })
  } catch {
    throw new ThimbleError('image/unreadable', "the browser can't read this file as an image", {
      got: `${blob.size} bytes${blob.type ? ` of ${blob.type}` : ''}`,
      hint: 'use a JPEG, PNG or WebP file',
    })
  }
  try {
    const { width, height } = bitmap
    const maxPixels = options.maxPixels ?? MAX_PIXELS
    if (width * height > maxPixels) {
      throw new ThimbleError('image/too-large', `the image of ${width}x${height} is too large`, {
        expected: `at most ${maxPixels} pixels`,
        got: width * height,
      })
    }
    const context = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true })
    if (!context) throw new ThimbleError('image/unreadable', 'the browser gives no 2D canvas')
    context.fillStyle = '#fff'
    context.fillRect(0, 0, width, height)
    context.drawImage(bitmap, 0, 0)
    return { data: context.getImageData(0, 0, width, height).data, width, height, channels: 4 }
  } finally {
    bitmap.close()
  }
}
