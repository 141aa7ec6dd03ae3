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


@inline function tiff64(at: usize, little: bool): u64 {
  return little ? load<u64>(at) : bswap<u64>(load<u64>(at))
}

const SHORT: i32 = 3
const LONG: i32 = 4
const RATIONAL: i32 = 5
const SBYTE: i32 = 6
const SSHORT: i32 = 8
const SLONG: i32 = 9
const SRATIONAL: i32 = 10
const FLOAT: i32 = 11
const DOUBLE: i32 = 12
const IFD: i32 = 13
const LONG8: i32 = 16
/** Bytes of a value of each type; 0: no type. */
const TYPE_BYTES = memory.data<u8>([0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8])

/** A number of any type; 0 for bytes and text. */
function tiffNumber(at: usize, type: i32, little: bool): f64 {
  if (type == SHORT) return <f64>tiff16(at, little)
  if (type == SSHORT) return <f64>(<i16>tiff16(at, little))
  if (type == LONG || type == IFD) return <f64>tiff32(at, little)
  if (type == SLONG) return <f64>(<i32>tiff32(at, little))
  if (type == SBYTE) return <f64>load<i8>(at)
  if (type == LONG8) return <f64>tiff64(at, little)
  if (type == FLOAT) return <f64>reinterpret<f32>(tiff32(at, little))
  if (type == DOUBLE) return reinterpret<f64>(tiff64(at, little))
  const below = tiff32(at + 4, little)
  if (type == RATIONAL) return <f64>tiff32(at, little) / <f64>below
  return type == SRATIONAL ? <f64>(<i32>tiff32(at, little)) / <f64>(<i32>below) : 0
}

const EXIF_PREFIX: u32 = 0x66697845

/**
 * `at` starts at the byte-order mark, or at one or two times `Exif` and two zeros. The first tag with a value counts,
 * whatever it holds; a directory is read up to data that the file does not have.
 */
export function readExif(at: usize, bytes: usize): void {
  for (let n = 0; n < 2 && bytes >= 6 && load<u32>(at) == EXIF_PREFIX && load<u16>(at, 4) == 0; n++) {
    at += 6
    bytes -= 6
  }
  if (fromExif || bytes < 14) return
  const little = load<u16>(at) == 0x4949
  if (!little && load<u16>(at) != 0x4d4d) return
  // The number of TIFF in either order, and that of BigTIFF where Pillow takes it for TIFF.
  const magic = load<u16>(at, 2)
  if (magic != 0x002a && magic != 0x2a00 && (little || magic != 0x2b00)) return
  const size = <u64>bytes
  const directory = <u64>tiff32(at + 4, little)
  if (directory + 2 > size) return
  const entries = tiff16(at + <usize>directory, little)
  let far: u64 = 0
  for (let i = 0; i < entries; i++) {
    const offset = directory + 2 + <u64>i * 12
    if (offset + 12 > size) return
    const entry = at + <usize>offset
    const type = tiff16(entry + 2, little)
    const unit = type <= LONG8 ? <u64>load<u8>(TYPE_BYTES + type) : 0
    const length = unit * <u64>tiff32(entry + 4, little)
    if (length == 0) continue
    let value = entry + 8
    if (length > 4) {
      far += length
      if (far > size) continue
      const from = <u64>tiff32(value, little)
      if (from + length > size) return
      value = at + <usize>from
    }
    if (tiff16(entry, little) != 0x0112) continue
    const number = tiffNumber(value, type, little)
    orientation = number >= 1 && number <= 8 && trunc(number) == number ? <i32>number : 1
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
