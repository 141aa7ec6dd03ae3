/** An encoded picture in memory -> upright samples, within the command's limits. */
import { fail, status, TOO_LARGE } from '../image/memory'
import { decodePicture, openedHeight, openedWidth, openPicture } from '../image/picture'
import { pictureHeight, pictureWidth } from '../image/result'
import { place, placePicture } from './placement'

/** Largest picture taken, as on every host. */
const MAX_PIXELS: u64 = 50_000_000

/** Whether a JPEG may be decoded smaller, and at which part of its size the last one was: 1, 2, 4 or 8. */
export let decodedFast: bool = false
export let reduced: i32 = 1

/** Decodes the file at `file`, which has SLACK writable bytes behind it. Failures: see memory.ts. */
export function decode(file: usize, length: usize, fast: bool): void {
  decodedFast = fast
  reduced = 1
  openPicture(file, length)
  if (status != 0) return
  const w = openedWidth()
  const h = openedHeight()
  if (<u64>w * <u64>h > MAX_PIXELS) return fail(TOO_LARGE, 'more than 50 megapixels')
  if (fast) placePicture(w, h)
  decodePicture(fast ? place.width : 0, fast ? place.height : 0)
  if (status != 0) return
  const long = max(w, h)
  while (reduced < 8 && (long + reduced - 1) / reduced > max(pictureWidth, pictureHeight)) reduced *= 2
}
