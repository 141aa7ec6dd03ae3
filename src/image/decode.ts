/**
 * Encoded image to pixels where WebAssembly may be compiled at once: Node and the command line. The module is in this
 * file's chunk, with SIMD and without.
 */
import { inflateRawSync } from 'node:zlib'
import { fromBase64 } from '../base/base64.ts'
import type { Compressed } from '../base/compressed.ts'
import scalar from '../generated/image-scalar.ts'
import simd from '../generated/image-simd.ts'
import { checkOptions } from '../options/options.ts'
import { DECODE_RULES, type DecodeOptions } from './limits.ts'
import { type DecodedImage, type DecoderOptions, ImageDecoder } from './wasm.ts'

export type { DecodeOptions } from './limits.ts'
export type { DecodePolicy } from './wasm.ts'

let module: WebAssembly.Module | undefined
let shared: ImageDecoder | undefined

const inflated = ({ deflated }: Compressed): Uint8Array<ArrayBuffer> =>
  new Uint8Array(inflateRawSync(fromBase64(deflated)))

function imageModule(): WebAssembly.Module {
  if (!module) {
    const bytes = inflated(simd)
    module = new WebAssembly.Module(WebAssembly.validate(bytes) ? bytes : inflated(scalar))
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
  checkOptions('decodeImage', options, DECODE_RULES)
  shared ??= imageDecoder()
  return shared.decode(bytes, options)
}
