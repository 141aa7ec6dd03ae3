/** An encoded picture in memory -> upright samples: which format it is, size limits, one decoder or another. */
import { CORRUPT, fail, status, TOO_LARGE, TRUNCATED, UNSUPPORTED } from '../image/memory'
import {
  decodeJpeg,
  fullHeight,
  fullWidth,
  openJpeg,
  pixelChannels,
  pixelHeight,
  pixels,
  pixelWidth,
} from '../image/jpeg'
import { decodeBmp } from './bmp'
import { place, placePicture } from './placement'
import { decodePnm } from './pnm'

/** Largest picture taken. */
const MAX_PIXELS: u64 = 250_000_000
/** JPEGs beyond this are decoded at 1/2, 1/4 or 1/8, at twice the size that the model needs or more. */
const SCALE_ABOVE: i64 = 8_000_000

/** The result: samples row by row, 1 or 3 channels. */
export let samples: usize = 0
export let width: i32 = 0
export let height: i32 = 0
export let channels: i32 = 0

export function setPicture(at: usize, w: i32, h: i32, n: i32): void {
  samples = at
  width = w
  height = h
  channels = n
}

/** Refuses impossible sizes before anything is allocated. */
export function checkSize(w: i32, h: i32): bool {
  if (w <= 0 || h <= 0) fail(CORRUPT, 'the header gives no size')
  else if (<u64>w * <u64>h > MAX_PIXELS) fail(TOO_LARGE, 'more than 250 megapixels')
  return status == 0
}

function isPnm(file: usize, length: usize): bool {
  const kind = load<u8>(file, 1)
  if (load<u8>(file) != 0x50 || kind < 0x31 || kind > 0x36) return false
  const c = load<u8>(file, 2)
  return length == 2 || c == 0x20 || (c >= 9 && c <= 13) || c == 0x23
}

/** Decodes the file at `file`, which has 64 writable bytes behind it. Failures: see memory.ts. */
export function decode(file: usize, length: usize): void {
  if (length == 0) fail(TRUNCATED, 'the file is empty')
  else if (length >= 3 && load<u16>(file) == 0xd8ff && load<u8>(file, 2) == 0xff) jpeg(file, length)
  else if (length >= 2 && load<u16>(file) == 0x4d42) decodeBmp(file, length)
  else if (length >= 2 && isPnm(file, length)) decodePnm(file, length)
  else if (length >= 4 && load<u32>(file) == 0x474e5089) fail(UNSUPPORTED, 'PNG is not read by this command')
  else fail(UNSUPPORTED, 'not a picture that this command reads')
}

function jpeg(file: usize, length: usize): void {
  openJpeg(file, length)
  if (status != 0) return
  const w = fullWidth()
  const h = fullHeight()
  if (!checkSize(w, h)) return
  placePicture(w, h)
  const scaled = <i64>w * h > SCALE_ABOVE
  decodeJpeg(scaled ? 2 * place.width : 0, scaled ? 2 * place.height : 0)
  if (status == 0) setPicture(pixels, pixelWidth, pixelHeight, pixelChannels)
}
