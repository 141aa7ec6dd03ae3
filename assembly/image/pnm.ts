/**
 * PBM, PGM and PPM (P1 to P6), with comments, any maxval up to 65535, samples scaled to 0..255 by
 * rounding to nearest even; gray with a maxval above 255 to 0..65535, of which what is above 255 is white.
 * Source: Netpbm's format pages.
 */
import { alloc, CORRUPT, fail, status, TRUNCATED } from './memory'
import { setPicture } from './result'

let at: usize = 0
let end: usize = 0

function isSpace(c: i32): bool {
  return c == 0x20 || (c >= 9 && c <= 13)
}

function skip(): void {
  while (at < end) {
    const c = load<u8>(at)
    if (c == 0x23) while (at < end && load<u8>(at) != 10 && load<u8>(at) != 13) at++
    else if (isSpace(c)) at++
    else return
  }
}

function number(): i32 {
  skip()
  const start = at
  let value = 0
  while (at < end) {
    const c = load<u8>(at)
    if (c < 0x30 || c > 0x39) break
    value = value * 10 + (c - 0x30)
    if (++at - start > 9) {
      fail(CORRUPT, 'a number in the header or body is too long')
      return 0
    }
  }
  if (at == start) {
    fail(at >= end ? TRUNCATED : CORRUPT, at >= end ? 'the file ends early' : 'not a number where one is expected')
  }
  return value
}

function bit(): i32 {
  skip()
  if (at >= end) fail(TRUNCATED, 'the file ends early')
  const c = status == 0 ? load<u8>(at++) : 0x30
  if (c != 0x30 && c != 0x31) fail(CORRUPT, 'a bit is neither 0 nor 1')
  return c - 0x30
}

let kind: i32 = 0
let maxval: i32 = 0
let channels: i32 = 0
export let pnmWidth: i32 = 0
export let pnmHeight: i32 = 0

/** Reads the header. */
export function openPnm(file: usize, length: usize): void {
  kind = <i32>load<u8>(file, 1) - 0x30
  at = file + 2
  end = file + length
  pnmWidth = number()
  pnmHeight = number()
  maxval = kind == 1 || kind == 4 ? 1 : number()
  if (status != 0) return
  if (pnmWidth == 0 || pnmHeight == 0) return fail(CORRUPT, 'the header gives no size')
  if (maxval < 1 || maxval > 65535) return fail(CORRUPT, 'maxval out of range')
  channels = kind == 3 || kind == 6 ? 3 : 1
}

export function decodePnm(): void {
  const samples = <u64>pnmWidth * pnmHeight * channels
  if (kind >= 4) {
    if (at < end && !isSpace(load<u8>(at))) return fail(CORRUPT, 'no whitespace after the header')
    at++
  }
  const body: u64 =
    kind == 4
      ? <u64>((pnmWidth + 7) >> 3) * pnmHeight
      : kind == 1
        ? samples
        : kind < 4
          ? samples * 2 - 1
          : samples * (maxval > 255 ? 2 : 1)
  if (at > end || <u64>(end - at) < body) return fail(TRUNCATED, 'the file holds fewer pixels than its header says')
  const out = alloc(samples + 16)
  if (out == 0) return
  setPicture(out, pnmWidth, pnmHeight, channels)
  if (kind == 4) return unpackBits(out, pnmWidth, pnmHeight)
  const last = out + <usize>samples
  if (kind > 4 && maxval == 255) {
    memory.copy(out, at, <usize>samples)
    return
  }
  // Gray of more than 8 bits is scaled to 16 and not back: what is above 255 is white then.
  const most: f64 = maxval > 255 && channels == 1 ? 65535 : 255
  for (let o = out; o < last && status == 0; o++) {
    let v: i32
    if (kind == 1) v = 1 - bit()
    else if (kind < 4) v = number()
    else if (maxval > 255) {
      v = ((<i32>load<u8>(at)) << 8) | (<i32>load<u8>(at, 1))
      at += 2
    } else v = load<u8>(at++)
    if (v > maxval && kind < 4) return fail(CORRUPT, 'a sample is above maxval')
    store<u8>(o, <i32>min<f64>(255, nearest((<f64>v / <f64>maxval) * most)))
  }
}

/** Rows of bits, most significant first, each row padded to a byte; 1 is black. */
function unpackBits(out: usize, width: i32, height: i32): void {
  const stride = (width + 7) >> 3
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      store<u8>(out++, ((load<u8>(at + y * stride + (x >> 3)) >> (7 - (x & 7))) & 1) != 0 ? 0 : 255)
    }
  }
}
