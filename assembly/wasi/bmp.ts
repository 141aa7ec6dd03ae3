/**
 * Windows and OS/2 bitmaps, as src/image/bmp.ts: 1, 4, 8, 16, 24, 32 bits, bit fields, bottom-up and top-down; alpha
 * over white. Run-length and embedded ones are refused.
 * Source: Microsoft's BITMAPINFOHEADER, BITMAPV4HEADER and BITMAPV5HEADER pages.
 */
import { alloc, CORRUPT, fail, status, TRUNCATED, UNSUPPORTED } from '../image/memory'
import { checkSize, setPicture } from './picture'

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

export function decodeBmp(file: usize, length: usize): void {
  if (length < 26) return fail(TRUNCATED, 'the file ends in its header')
  const size = load<u32>(file, 14)
  if (size != 12 && (size < 40 || size > 124)) return fail(CORRUPT, 'unknown header size')
  if (length < 14 + size) return fail(TRUNCATED, 'the file ends in its header')
  const core = size == 12
  const width: i32 = core ? load<u16>(file, 18) : load<i32>(file, 18)
  const rows: i32 = core ? load<u16>(file, 20) : load<i32>(file, 22)
  const bits: i32 = load<u16>(file + (core ? 24 : 28))
  const compression: u32 = core ? 0 : load<u32>(file, 30)
  const colours: u32 = core ? 0 : load<u32>(file, 46)
  if (bits != 1 && bits != 4 && bits != 8 && bits != 16 && bits != 24 && bits != 32) {
    return fail(CORRUPT, 'unknown bits per pixel')
  }
  const fields = (compression == 3 || compression == 6) && (bits == 16 || bits == 32)
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
  if (rows == i32.MIN_VALUE) return fail(CORRUPT, 'the header gives no size')
  const height: i32 = abs(rows)
  if (!checkSize(width, height)) return
  const stride = ((<u64>width * bits + 31) / 32) * 4
  const offset = load<u32>(file, 10)
  if (offset < 26) return fail(CORRUPT, 'pixels start inside the header')
  if (<u64>offset + stride * (height - 1) + (<u64>width * bits + 7) / 8 > length) {
    return fail(TRUNCATED, 'the file holds fewer pixels than its header says')
  }
  const full: u32 = bits <= 8 ? 1 << bits : 0
  const count = bits <= 8 && colours > 0 && colours < full ? colours : full
  const entry: u32 = core ? 3 : 4
  if (after + count * entry > length) return fail(TRUNCATED, 'the file ends in its palette')
  const out = alloc(<u64>width * height * 3)
  if (out == 0) return
  setPicture(out, width, height, 3)
  const alpha = bits > 8 && bits != 24 && anyAlpha(file + offset, <usize>stride, width, height, bits)
  for (let y = 0; y < height && status == 0; y++) {
    const row = file + offset + <usize>(rows < 0 ? y : height - 1 - y) * <usize>stride
    const to = out + <usize>y * width * 3
    if (bits <= 8) indexed(row, width, bits, file + after, count, entry, to)
    else if (bits == 24) direct(row, width, to)
    else masked(row, width, bits, alpha, to)
  }
}

function indexed(row: usize, width: i32, bits: i32, palette: usize, count: u32, entry: u32, out: usize): void {
  for (let x = 0; x < width; x++, out += 3) {
    const position = x * bits
    const index: u32 = (load<u8>(row + (position >> 3)) >> (8 - bits - (position & 7))) & ((1 << bits) - 1)
    if (index >= count) return fail(CORRUPT, 'a colour is outside the palette')
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
function pixelAt(row: usize, x: i32, bits: i32): u32 {
  return bits == 16 ? load<u16>(row + ((<usize>x) << 1)) : load<u32>(row + ((<usize>x) << 2))
}

/** Many writers declare an alpha channel and leave it at zero: then there is none. */
function anyAlpha(first: usize, stride: usize, width: i32, height: i32, bits: i32): bool {
  if (mask(3) == 0) return false
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) if ((pixelAt(first + <usize>y * stride, x, bits) & mask(3)) != 0) return true
  }
  return false
}

/** A field as 0..255, rounded down. */
function value(pixel: u32, c: i32): i32 {
  const m = mask(c)
  const shift = ctz(m)
  return <i32>((<u64>((pixel & m) >> shift) * 255) / (m >> shift))
}

function masked(row: usize, width: i32, bits: i32, alpha: bool, out: usize): void {
  for (let x = 0; x < width; x++, out += 3) {
    const pixel = pixelAt(row, x, bits)
    const a = alpha ? value(pixel, 3) : 255
    for (let c = 0; c < 3; c++) {
      const v = value(pixel, c)
      store<u8>(out + c, a == 255 ? v : (2 * (v * a + 255 * (255 - a)) + 255) / 510)
    }
  }
}
