/** An encoded picture in memory -> upright samples: which format it is, its size, one decoder or another. */
import { bmpHeight, bmpWidth, decodeBmp, openBmp } from './bmp'
import { decodeJpeg, fullHeight, fullWidth, openJpeg } from './jpeg'
import { fail, status, TRUNCATED, UNSUPPORTED } from './memory'
import { startOrientation } from './orientation'
import { decodePng, openPng, pngHeight, pngWidth } from './png'
import { decodePnm, openPnm, pnmHeight, pnmWidth } from './pnm'

/** The formats that are read. The host reads these numbers too. */
export const NONE: i32 = 0
export const JPEG: i32 = 1
export const PNG: i32 = 2
export const BMP: i32 = 3
export const PNM: i32 = 4

let format: i32 = 0

/** Bytes behind a file that must be there and may be overwritten. */
export const SLACK: usize = 64

/** What a file is, by its first bytes. */
export function sniff(file: usize, length: usize): i32 {
  if (length >= 3 && load<u16>(file) == 0xd8ff && load<u8>(file, 2) == 0xff) return JPEG
  if (length >= 4 && load<u32>(file) == 0x474e5089) return PNG
  if (length >= 2 && load<u16>(file) == 0x4d42) return BMP
  if (length >= 2 && isPnm(file, length)) return PNM
  return NONE
}

function isPnm(file: usize, length: usize): bool {
  const kind = load<u8>(file, 1)
  if (load<u8>(file) != 0x50 || kind < 0x31 || kind > 0x36) return false
  const c = load<u8>(file, 2)
  return length == 2 || c == 0x20 || (c >= 9 && c <= 13) || c == 0x23
}

/** Reads the header; the size is known afterwards. */
export function openPicture(file: usize, length: usize): void {
  startOrientation()
  format = sniff(file, length)
  if (format == JPEG) openJpeg(file, length)
  else if (format == PNG) openPng(file, length)
  else if (format == BMP) openBmp(file, length)
  else if (format == PNM) openPnm(file, length)
  else if (length == 0) fail(TRUNCATED, 'the file is empty')
  else fail(UNSUPPORTED, 'not a picture that can be read here')
}

/** Size of the upright picture at full size. */
export function openedWidth(): i32 {
  return format == JPEG ? fullWidth() : format == PNG ? pngWidth() : format == BMP ? bmpWidth : pnmWidth
}
export function openedHeight(): i32 {
  return format == JPEG ? fullHeight() : format == PNG ? pngHeight() : format == BMP ? bmpHeight : pnmHeight
}

/**
 * Decodes what was opened. A JPEG comes out at the smallest of 1/8, 1/4, 1/2 and its full size that is at least
 * width x height; 0: at its full size.
 */
export function decodePicture(width: i32, height: i32): void {
  if (status != 0) return
  if (format == JPEG) decodeJpeg(width, height)
  else if (format == PNG) decodePng()
  else if (format == BMP) decodeBmp()
  else decodePnm()
}
