/**
 * Encoded image to pixels, behind one door: JPEG, PNG, BMP and PPM/PGM by content. This file and what it imports are
 * for Node, the command line and hosts that have no decoder of their own; the runtime never imports it.
 */
import { ThimbleError } from '../errors.ts'
import type { PixelImage } from '../types.ts'
import { decodeBmp } from './bmp.ts'
import { decodeJpeg } from './jpeg/decode.ts'
import type { DecodeOptions } from './limits.ts'
import { decodePng } from './png.ts'
import { decodePnm } from './pnm.ts'
import { type ImageFormat, sniffImage, sniffOther } from './sniff.ts'

export type { DecodeOptions } from './limits.ts'

const DECODERS: Record<ImageFormat, (bytes: Uint8Array, options: DecodeOptions) => PixelImage> = {
  jpeg: decodeJpeg,
  png: decodePng,
  bmp: decodeBmp,
  pnm: decodePnm,
}
const KNOWN = 'JPEG, PNG, BMP, PPM or PGM'

/**
 * Decodes one image. The result has 1 (gray) or 3 (RGB) channels, is upright (EXIF orientation is applied) and opaque
 * (alpha is laid over white).
 * Limits are checked from the header, before anything is decoded.
 * Errors: `image/empty`, `image/truncated`, `image/corrupt`, `image/too-large`, `image/unsupported-format`,
 * `image/unknown-format`.
 */
export function decodeImage(bytes: Uint8Array, options: DecodeOptions = {}): PixelImage {
  if (bytes.length === 0) {
    throw new ThimbleError('image/empty', 'the image has no bytes', { expected: KNOWN, got: '0 bytes' })
  }
  const format = sniffImage(bytes)
  if (format) return DECODERS[format](bytes, options)
  const other = sniffOther(bytes)
  if (other) {
    throw new ThimbleError('image/unsupported-format', `the file is in ${other} format`, {
      expected: KNOWN,
      hint: 'convert it to JPEG or PNG first',
    })
  }
  const head = Array.from(bytes.subarray(0, 4), (b) => b.toString(16).padStart(2, '0')).join(' ')
  throw new ThimbleError('image/unknown-format', 'the file is not an image that Thimble knows', {
    expected: KNOWN,
    got: `bytes ${head}`,
  })
}
