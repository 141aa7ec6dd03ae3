/**
 * Encoded image to pixels where WebAssembly may be compiled at once: Node and the command line. The module is in this
 * file's chunk, as base64, with SIMD and without.
 */
import { fromBase64 } from '../base64.ts'
import scalar from '../generated/image-scalar.ts'
import simd from '../generated/image-simd.ts'
import type { DecodeOptions } from './limits.ts'
import { type DecodedImage, type DecoderOptions, ImageDecoder } from './wasm.ts'

export type { DecodeOptions } from './limits.ts'
export type { DecodePolicy } from './wasm.ts'

let module: WebAssembly.Module | undefined
let shared: ImageDecoder | undefined

function imageModule(): WebAssembly.Module {
  if (!module) {
    const bytes = fromBase64(simd)
    module = new WebAssembly.Module(WebAssembly.validate(bytes) ? bytes : fromBase64(scalar))
  }
  return module
}

/** A decoder of one's own. */
export const imageDecoder = (options: DecoderOptions = {}): ImageDecoder => new ImageDecoder(imageModule(), options)

/**
 * Decodes one image: JPEG, PNG, BMP, PPM or PGM by content. The result has 1 (gray) or 3 (RGB) channels, is upright
 * (EXIF orientation, else XMP's, is applied) and opaque (alpha is laid over white).
 * Limits are checked from the header, before anything is decoded.
 * Errors: `image/empty`, `image/truncated`, `image/corrupt`, `image/too-large`, `image/unsupported-format`,
 * `image/unknown-format`.
 */
export function decodeImage(bytes: Uint8Array, options: DecodeOptions = {}): DecodedImage {
  shared ??= imageDecoder()
  return shared.decode(bytes, options)
}
