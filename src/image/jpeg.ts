/** JPEG through jpeg-js: header first (limits, variant, EXIF), then the decoder. */
import jpeg from 'jpeg-js'
import type { PixelImage } from '../types.ts'
import { orient, readOrientation } from './exif.ts'
import { checkSize, corrupt, type DecodeOptions, truncated } from './limits.ts'

export function decodeJpeg(bytes: Uint8Array, options: DecodeOptions = {}): PixelImage {
  let at = 2, width = 0, height = 0, orientation = 1, comps = 3
  for (;;) {
    if (at + 4 > bytes.length) throw truncated('JPEG', 'a frame header', bytes.length)
    if (bytes[at] !== 0xff) throw corrupt('JPEG', `no marker at byte ${at}`)
    const m = bytes[at + 1]
    if (m === 0xff) { at++; continue }
    const n = bytes[at + 2] << 8 | bytes[at + 3]
    if (m === 0xe1 && String.fromCharCode(...bytes.subarray(at + 4, at + 8)) === 'Exif') orientation = readOrientation(bytes.subarray(at + 10, at + 2 + n))
    if (m >= 0xc0 && m <= 0xcf && m !== 0xc4 && m !== 0xc8 && m !== 0xcc) {
      height = bytes[at + 5] << 8 | bytes[at + 6]; width = bytes[at + 7] << 8 | bytes[at + 8]; comps = bytes[at + 9]
      break
    }
    at += 2 + n
  }
  checkSize('JPEG', width, height, width * height * comps * 4, options)
  try {
    const r = jpeg.decode(bytes, { useTArray: true, formatAsRGBA: false, maxResolutionInMP: 1e9, maxMemoryUsageInMB: 4096, tolerantDecoding: false })
    return orient({ data: r.data, width: r.width, height: r.height, channels: 3 }, orientation)
  } catch (e) { throw corrupt('JPEG', (e as Error).message) }
}
