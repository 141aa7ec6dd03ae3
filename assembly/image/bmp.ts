/**
 * Windows and OS/2 bitmaps: 1, 4, 8, 16, 24, 32 bits, bit fields, bottom-up and top-down; alpha
 * over white. Run-length and embedded ones are refused.
 * Source: Microsoft's BITMAPINFOHEADER, BITMAPV4HEADER and BITMAPV5HEADER pages.
 */
import { alloc, CORRUPT, fail, status, TRUNCATED, UNSUPPORTED } from './memory'
import { setPicture } from './result'

/** Masks of red, green, blue, alpha. */
const masks = memory.data(16, 4)

// @ts-ignore: decorator
@inline
function mask(c: i32): u32 {
  return load<u32>(masks + ((<usize>c) << 2))
}

function setMasks(r: u32, g: u32, b: u32, a: u32): void {
  store<u32>(masks, r)
  store<u32>(masks, g, 4)
  store<u32>(masks, b, 8)
  store<u32>(masks, a, 12)
}

let first: usize = 0
let end: usize = 0
let palette: usize = 0
let colours: u32 = 0
let entry: u32 = 0
let stride: u64 = 0
let bits: i32 = 0
let topDown: bool = false
export let bmpWidth: i32 = 0
export let bmpHeight: i32 = 0

/** Reads the headers. */
export function openBmp(file: usize, length: usize): void {
  if (length < 26) return fail(TRUNCATED, 'the file ends in its header')
  const size = load<u32>(file, 14)
  if (size != 12 && (size < 40 || size > 124)) return fail(CORRUPT, 'unknown header size')
  if (length < 14 + size) return fail(TRUNCATED, 'the file ends in its header')
  const core = size == 12
  bmpWidth = core ? load<u16>(file, 18) : load<i32>(file, 18)
  const rows: i32 = core ? load<u16>(file, 20) : load<i32>(file, 22)
  bits = load<u16>(file + (core ? 24 : 28))
  const compression: u32 = core ? 0 : load<u32>(file, 30)
  const given: u32 = core ? 0 : load<u32>(file, 46)
  if (bits != 1 && bits != 4 && bits != 8 && bits != 16 && bits != 24 && bits != 32) {
    return fail(CORRUPT, 'unknown bits per pixel')
  }
  const fields = (compression == 3 || compression == 6) && (bits == 16 || bits == 32)
  if (compression == 4 || compression == 5) return fail(UNSUPPORTED, 'a BMP with an embedded picture')
  if (compression != 0 && !fields) return fail(UNSUPPORTED, 'a compressed BMP')
  let after: usize = 14 + size
  if (bits == 16) setMasks(0x7c00, 0x3e0, 0x1f, 0)
  else setMasks(0xff0000, 0xff00, 0xff, 0)
  if (fields) {
    const four = compression == 6 || size >= 56
    if (length < 54 + (four ? 16 : 12)) return fail(TRUNCATED, 'the file ends in its colour masks')
    setMasks(load<u32>(file, 54), load<u32>(file, 58), load<u32>(file, 62), four ? load<u32>(file, 66) : 0)
    if (size < 52) after += four ? 16 : 12
    if (mask(0) == 0 || mask(1) == 0 || mask(2) == 0) return fail(CORRUPT, 'an empty colour mask')
  }
  if (rows == i32.MIN_VALUE || rows == 0 || bmpWidth <= 0) return fail(CORRUPT, 'the header gives no size')
  bmpHeight = abs(rows)
  topDown = rows < 0
  stride = ((<u64>bmpWidth * bits + 31) / 32) * 4
  const offset = load<u32>(file, 10)
  if (offset < 26) return fail(CORRUPT, 'pixels start inside the header')
  if (offset > <u32>length) return fail(TRUNCATED, 'the file holds fewer pixels than its header says')
  first = file + offset
  const full: u32 = bits <= 8 ? 1 << bits : 0
  colours = bits <= 8 && given > 0 && given < full ? given : full
  entry = core ? 3 : 4
  palette = file + after
  if (after + colours * entry > length) return fail(TRUNCATED, 'the file ends in its palette')
  end = file + length
}

export function decodeBmp(): void {
  const width = bmpWidth
  const height = bmpHeight
  if (<u64>first + stride * (height - 1) + (<u64>width * bits + 7) / 8 > end) {
    return fail(TRUNCATED, 'the file holds fewer pixels than its header says')
  }
  const out = alloc(<u64>width * height * 3 + 16)
  if (out == 0) return
  setPicture(out, width, height, 3)
  const alpha = bits > 8 && bits != 24 && anyAlpha()
  for (let y = 0; y < height && status == 0; y++) {
    const row = first + <usize>(topDown ? y : height - 1 - y) * <usize>stride
    const to = out + <usize>y * width * 3
    if (bits <= 8) indexed(row, width, to)
    else if (bits == 24) direct(row, width, to)
    else masked(row, width, alpha, to)
  }
}

function indexed(row: usize, width: i32, out: usize): void {
  for (let x = 0; x < width; x++, out += 3) {
    const position = x * bits
    const index: u32 = (load<u8>(row + (position >> 3)) >> (8 - bits - (position & 7))) & ((1 << bits) - 1)
    if (index >= colours) return fail(CORRUPT, 'a colour is outside the palette')
    const p = palette + index * entry
    store<u8>(out, load<u8>(p, 2))
    store<u8>(out, load<u8>(p, 1), 1)
    store<u8>(out, load<u8>(p), 2)
  }
}

function direct(row: usize, width: i32, out: usize): void {
  for (let x = 0; x < width; x++, out += 3, row += 3) {
    store<u8>(out, load<u8>(row, 2))
    store<u8>(out, load<u8>(row, 1), 1)
    store<u8>(out, load<u8>(row), 2)
  }
}

// @ts-ignore: decorator
@inline
function pixelAt(row: usize, x: i32): u32 {
  return bits == 16 ? load<u16>(row + ((<usize>x) << 1)) : load<u32>(row + ((<usize>x) << 2))
}

/** Many writers declare an alpha channel and leave it at zero: then there is none. */
function anyAlpha(): bool {
  if (mask(3) == 0) return false
  for (let y = 0; y < bmpHeight; y++) {
    for (let x = 0; x < bmpWidth; x++) if ((pixelAt(first + <usize>y * <usize>stride, x) & mask(3)) != 0) return true
  }
  return false
}

/** A field as 0..255, rounded down. */
function value(pixel: u32, c: i32): i32 {
  const m = mask(c)
  const shift = ctz(m)
  return <i32>((<u64>((pixel & m) >> shift) * 255) / (m >> shift))
}

function masked(row: usize, width: i32, alpha: bool, out: usize): void {
  for (let x = 0; x < width; x++, out += 3) {
    const pixel = pixelAt(row, x)
    const a = alpha ? value(pixel, 3) : 255
    for (let c = 0; c < 3; c++) {
      const v = value(pixel, c)
      store<u8>(out + c, a == 255 ? v : (2 * (v * a + 255 * (255 - a)) + 255) / 510)
    }
  }
}
