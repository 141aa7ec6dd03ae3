/** What an image may cost, decided from its header before a pixel is decoded: the same numbers on every host. */
import { ThimbleError } from '../base/errors.ts'
import { type Rule, type Rules, whole } from '../options/options.ts'

/** Largest image decoded unless the caller says otherwise: 50 megapixels. */
export const MAX_PIXELS = 50_000_000
/** Most memory that a decode may take (file, working buffers and result) unless the caller says otherwise: 512 MiB. */
export const MAX_BYTES = 512 * 1024 * 1024

export interface Size {
  width: number
  height: number
}

/** The size that is wanted at least, for an upright image's full one. */
export type WantedSize = (width: number, height: number) => Size

export interface DecodeOptions {
  /** Most pixels (width x height) accepted. Default 50,000,000. */
  maxPixels?: number
  /** Most bytes of memory that a decode may take: file, working buffers and pixels together. Default 512 MiB. */
  maxBytes?: number
  /**
   * Allows a JPEG to be decoded at 1/2, 1/4 or 1/8 of its size as long as at least this many pixels remain each way:
   * much faster for large photos, but no longer the pixels that a resize of the whole photo would see. A function gets
   * the upright image's size, e.g. `(w, h) => placement(w, h, 224, 224, how)`.
   */
  atLeast?: Size | WantedSize
}

/** No limit is a limit, too. */
const most: Rule = {
  expected: 'a number from 1 on',
  accepts: (v) => typeof v === 'number' && v >= 1,
}
export const LIMITS: Rules<Pick<DecodeOptions, 'maxPixels' | 'maxBytes'>> = { maxPixels: most, maxBytes: most }

const isSize = (v: unknown): boolean =>
  typeof v === 'object' && v !== null && [(v as Size).width, (v as Size).height].every(whole(0).accepts)
export const DECODE_RULES: Rules<DecodeOptions> = {
  ...LIMITS,
  atLeast: { expected: '{ width, height }, or a function', accepts: (v) => typeof v === 'function' || isSize(v) },
}

const mega = (n: number): string => (n / 1e6).toFixed(n < 1e7 ? 1 : 0)

/**
 * Refuses an image by its header's numbers. Errors: `image/too-large`.
 */
export function checkSize(format: string, width: number, height: number, options: DecodeOptions): void {
  const maxPixels = options.maxPixels ?? MAX_PIXELS
  if (width * height > maxPixels) {
    throw new ThimbleError('image/too-large', `${format} of ${width}x${height} is ${mega(width * height)} megapixels`, {
      expected: `at most ${mega(maxPixels)}`,
      hint: 'scale it down first, or raise maxPixels',
    })
  }
}
