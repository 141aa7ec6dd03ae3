/**
 * Encoded image to pixels where nothing of Node may be needed: with the image module, loaded when it is first needed,
 * or with the browser's own decoder where there is one.
 */
import { decompress } from '../base/compressed.ts'
import type { HostBlob } from '../base/host.ts'
import { ThimbleError } from '../base/errors.ts'
import { checkOptions, kindOf } from '../options/options.ts'
import type { PixelImage } from '../graph/types.ts'
import { DECODE_RULES, type DecodeOptions, MAX_PIXELS, type WantedSize } from './limits.ts'
import type { DecodedImage, ImageDecoder } from './wasm.ts'

let decoder: Promise<ImageDecoder> | undefined

/** Node, Bun and Deno have at most one of the two. */
const isBrowser = (): boolean => typeof createImageBitmap === 'function' && typeof OffscreenCanvas === 'function'

async function loadDecoder(): Promise<ImageDecoder> {
  const [{ ImageDecoder }, simd] = await Promise.all([import('./wasm.ts'), import('../generated/image-simd.ts')])
  const bytes = await decompress(simd.default)
  const fits = WebAssembly.validate(bytes)
  const module = fits ? bytes : await decompress((await import('../generated/image-scalar.ts')).default)
  return new ImageDecoder(await WebAssembly.compile(module))
}

/**
 * Decodes JPEG, PNG, BMP and PNM with the image module, so that pixels are the same as on every other host, and what
 * else the browser shows with its own decoder. Row-major pixels of 8 bits a channel, upright and opaque.
 * Errors: `image/empty`, `image/truncated`, `image/corrupt`, `image/too-large`, `image/unreadable`; outside browsers
 * `image/unknown-format` and `image/unsupported-format` for what the image module does not read.
 *
 * @example page
 * import { decodeImage } from 'thimble/browser'
 * const file = new Uint8Array(await (await fetch('/photo.jpg')).arrayBuffer())
 * const { width, height } = await decodeImage(file)
 * console.log(`${width} x ${height}`)
 */
export async function decodeAnywhere(bytes: Uint8Array, options: DecodeOptions = {}): Promise<DecodedImage> {
  checkOptions('decodeImage', options, DECODE_RULES)
  decoder ??= loadDecoder()
  try {
    return (await decoder).decode(bytes, options)
  } catch (error) {
    if (!(error instanceof ThimbleError)) decoder = undefined
    const other = error instanceof ThimbleError && /^image\/(unknown-format|unsupported-format)$/.test(error.code)
    if (!other || !isBrowser()) throw error
    return { ...(await decodeInBrowser(bytes, options)), reduced: 1 }
  }
}

/**
 * Decodes any image that the browser shows. Upright (EXIF orientation is applied), 4 channels, laid over white, the
 * file's own colour values (no colour profile is applied, as with Pillow).
 * A classifier that has it as its `decode` tells it the size that it wants, which changes nothing here.
 * Errors: `image/unreadable`, `image/too-large`, `usage/source`, `usage/option`.
 *
 * @example page
 * import { createClassifier, decodeInBrowser, loadModel } from 'thimble/browser'
 * const classifier = await createClassifier(await loadModel('/model.thimble'), { decode: decodeInBrowser })
 * console.log(await classifier.classify(await (await fetch('/photo.webp')).arrayBuffer()))
 */
export async function decodeInBrowser(
  source: Uint8Array | HostBlob,
  options: DecodeOptions | WantedSize = {},
): Promise<PixelImage> {
  if (typeof options !== 'function') checkOptions('decodeInBrowser', options, DECODE_RULES)
  if (!(source instanceof Blob || source instanceof Uint8Array || (source as unknown) instanceof ArrayBuffer)) {
    throw new ThimbleError('usage/source', 'not the bytes of an image file', {
      expected: 'a Uint8Array or a Blob',
      got: kindOf(source),
    })
  }
  const blob = source instanceof Blob ? source : new Blob([source as Uint8Array<ArrayBuffer>])
  let bitmap: ImageBitmap
  try {
    bitmap = await createImageBitmap(blob, { imageOrientation: 'from-image', colorSpaceConversion: 'none' })
  } catch (cause) {
    throw new ThimbleError('image/unreadable', "the browser can't read this file as an image", {
      cause,
      got: `${blob.size} bytes${blob.type ? ` of ${blob.type}` : ''}`,
      hint: 'use a JPEG, PNG or WebP file',
    })
  }
  try {
    const { width, height } = bitmap
    const maxPixels = (options as DecodeOptions).maxPixels ?? MAX_PIXELS
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
