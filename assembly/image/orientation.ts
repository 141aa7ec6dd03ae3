/**
 * Which way up a picture is: EXIF's tag, else XMP's, and turning the samples.
 * Source: Exif 2.32, 4.6.4 A (tag 0x0112); TIFF 6.0, section 2; Adobe's XMP Specification, part 2 (tiff:Orientation);
 * Pillow's Image.getexif for which of them counts.
 */
import { alloc } from './memory'
import { setPicture, pictureAt, pictureChannels, pictureHeight, pictureWidth } from './result'

/** 1 to 8 as in the standard. */
export let orientation: i32 = 1
let fromExif: bool = false

export function startOrientation(): void {
  orientation = 1
  fromExif = false
}


@inline function tiff16(at: usize, little: bool): i32 {
  return little ? <i32>load<u16>(at) : ((<i32>load<u8>(at)) << 8) | (<i32>load<u8>(at, 1))
}


@inline function tiff32(at: usize, little: bool): u32 {
  return little ? load<u32>(at) : bswap<u32>(load<u32>(at))
}

/** `tiff` starts at the byte-order mark. The first tag found counts, whatever it holds. */
export function readExif(tiff: usize, bytes: usize): void {
  if (fromExif || bytes < 14) return
  const little = load<u16>(tiff) == 0x4949
  if (!little && load<u16>(tiff) != 0x4d4d) return
  const size = <u64>bytes
  const ifd = tiff32(tiff + 4, little)
  if (tiff16(tiff + 2, little) != 42 || <u64>ifd + 2 > size) return
  const entries = tiff16(tiff + ifd, little)
  for (let i = 0; i < entries; i++) {
    const at = <u64>ifd + 2 + <u64>i * 12
    if (at + 12 > size) return
    const entry = tiff + <usize>at
    if (tiff16(entry, little) != 0x0112) continue
    // SHORT by the standard; some writers store LONG.
    const type = tiff16(entry + 2, little)
    const value = type == 3 ? <u32>tiff16(entry + 8, little) : type == 4 ? tiff32(entry + 8, little) : 1
    orientation = value >= 1 && value <= 8 ? <i32>value : 1
    fromExif = true
    return
  }
}

const TAG = memory.data<u8>([
  0x74, 0x69, 0x66, 0x66, 0x3a, 0x4f, 0x72, 0x69, 0x65, 0x6e, 0x74, 0x61, 0x74, 0x69, 0x6f, 0x6e,
])

/** XMP text: `tiff:Orientation="6"` or `<tiff:Orientation>6`; the first one counts. */
export function readXmp(text: usize, bytes: usize): void {
  if (fromExif) return
  const end = text + bytes
  for (let at = text; at + 18 <= end; at++) {
    if (load<u8>(at) != 0x74 || memory.compare(at, TAG, 16) != 0) continue
    let digit: usize = 0
    if (load<u8>(at, 16) == 0x3e) digit = at + 17
    else if (at + 19 <= end && load<u8>(at, 16) == 0x3d && load<u8>(at, 17) == 0x22) digit = at + 18
    if (digit == 0) continue
    const value = <i32>load<u8>(digit) - 0x30
    if (value < 0 || value > 9) continue
    orientation = value >= 1 && value <= 8 ? value : 1
    return
  }
}

/** Rows that are turned together: what they reach stays in the cache. */
const BAND: i32 = 32

/** Makes the picture upright. Source: Exif 2.32, 4.6.4 A. */
export function turn(): void {
  if (orientation <= 1) return
  const w = pictureWidth
  const h = pictureHeight
  const n = pictureChannels
  const out = alloc(<u64>w * <u64>h * <u64>n + 16)
  if (out == 0) return
  const swap = orientation >= 5
  const outW = swap ? h : w
  const outH = swap ? w : h
  // Source pixel of the upright picture's corner, and the steps to its right and lower neighbours.
  const right = w - 1
  const bottom = (h - 1) * w
  let from = 0
  let dx = 1
  let dy = w
  if (orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8) from += right
  if (orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7) from += bottom
  if (swap) {
    dx = orientation == 5 || orientation == 8 ? w : -w
    dy = orientation == 5 || orientation == 6 ? 1 : -1
  } else {
    dx = orientation == 4 ? 1 : -1
    dy = orientation == 2 ? w : -w
  }
  for (let y0 = 0; y0 < outH; y0 += BAND) {
    const y1 = min(y0 + BAND, outH)
    for (let x0 = 0; x0 < outW; x0 += BAND) {
      const count = min(BAND, outW - x0)
      for (let y = y0; y < y1; y++) {
        let p = pictureAt + <usize>(from + y * dy + x0 * dx) * n
        let to = out + (<usize>y * outW + x0) * n
        const end = to + <usize>count * n
        if (n == 1) {
          for (; to < end; to++, p += dx) store<u8>(to, load<u8>(p))
        } else {
          for (; to < end; to += 3, p += dx * 3) {
            store<u16>(to, load<u16>(p))
            store<u8>(to, load<u8>(p, 2), 2)
          }
        }
      }
    }
  }
  setPicture(out, outW, outH, n)
}
