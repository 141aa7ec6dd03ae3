/**
 * The door's limits: what an image may cost, decided from its header before a pixel is decoded.
 * Units: pixels, bytes.
 */
import { ThimbleError } from '../errors.ts'

/** Largest image decoded unless the caller says otherwise: 50 megapixels. */
export const MAX_PIXELS = 50_000_000
/** Most memory a decode may need (working buffers and result) unless the caller says otherwise: 512 MiB. */
export const MAX_BYTES = 512 * 1024 * 1024

export interface DecodeOptions {
  /** Most pixels (width x height) accepted. Default 50,000,000. */
  maxPixels?: number
  /**
   * Most bytes of memory a decode may take, working buffers and pixels together, estimated from the header. Default 512
   * MiB.
   */
  maxBytes?: number
  /**
   * Allows a JPEG to be decoded at 1/2, 1/4 or 1/8 of its size as long as at least this many pixels remain each way:
   * much faster for large photos, but no longer the pixels that a resize of the whole photo would see. A function gets
   * the upright image's size, e.g. `(w, h) => placement(w, h, 224, 224, how)`.
   */
  atLeast?: { width: number; height: number } | ((width: number, height: number) => { width: number; height: number })
}

const mega = (n: number): string => (n / 1e6).toFixed(n < 1e7 ? 1 : 0)

/**
 * Refuses an image by its header's numbers.
 * `bytes` is what decoding will allocate at its peak.
 * Errors: `image/corrupt` (zero or negative size), `image/too-large`.
 */
export function checkSize(format: string, width: number, height: number, bytes: number, options: DecodeOptions): void {
  if (!(width > 0 && height > 0)) {
    throw new ThimbleError('image/corrupt', `${format} header gives a ${width}x${height} image`, {
      hint: 'the file is damaged',
    })
  }
  const maxPixels = options.maxPixels ?? MAX_PIXELS
  if (width * height > maxPixels) {
    throw new ThimbleError('image/too-large', `${format} of ${width}x${height} is ${mega(width * height)} megapixels`, {
      expected: `at most ${mega(maxPixels)}`,
      hint: 'scale it down first, or raise maxPixels',
    })
  }
  const maxBytes = options.maxBytes ?? MAX_BYTES
  if (bytes > maxBytes) {
    throw new ThimbleError(
      'image/too-large',
      `decoding this ${width}x${height} ${format} takes ${Math.ceil(bytes / 1e6)} MB of memory`,
      {
        expected: `at most ${Math.floor(maxBytes / 1e6)} MB`,
        hint: 'scale it down first, or raise maxBytes',
      },
    )
  }
}

/** `image/truncated`, in the same words for every format. */
export const truncated = (format: string, expected: string | number, got: string | number): ThimbleError =>
  new ThimbleError('image/truncated', `${format} file ends too early`, {
    expected,
    got,
    hint: 'copy or download the file again',
  })

/** `image/corrupt`: the bytes contradict the format. */
export const corrupt = (
  format: string,
  what: string,
  detail: { expected?: string | number; got?: string | number } = {},
): ThimbleError => new ThimbleError('image/corrupt', `${format}: ${what}`, { ...detail, hint: 'the file is damaged' })

/** `image/unsupported-format`: a variant that is named but not decoded. */
export const unsupported = (what: string, hint = 'save it as JPEG or PNG first'): ThimbleError =>
  new ThimbleError('image/unsupported-format', what, { hint })
