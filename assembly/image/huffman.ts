/**
 * JPEG's Huffman codes as look-up tables, and its entropy-coded bits.
 * Source: ITU-T T.81, annexes C and F.2.2; B.1.1.5 (stuffed zero bytes); libjpeg-turbo's jdhuff.c for bits that are no
 * code (symbol 0, 17 bits long) and for data that ends early (zeros).
 */
import { fileEnd, nextMarker, position as markerPosition, setPosition, setSuspended, unread } from './frame'
import { CORRUPT, fail } from './memory'

/** Bits looked at in one step; longer codes take a second one. */
export const LOOK: i32 = 11
const ENTRIES: i32 = 1 << LOOK

/**
 * A table in memory:
 *   symbols  u16 x 2048  by the next LOOK bits: symbol << 8 | code length; 0 where the code is longer
 *   limit    i32 x 17    by length: end of the codes so far, left-aligned to 16 bits
 *   offset   i32 x 17    by length: what to add to a code for its value's index
 *   values   u8 x 256
 *   fused    i32 x 2048  run, size and value at once: value << 16 | (run + 1) << 8 | bits; end of block: run + 1 = 64;
 *                        0 where they don't fit into LOOK bits
 * DC tables end before `fused`.
 */
const LIMIT: usize = <usize>ENTRIES * 2
const OFFSET: usize = LIMIT + 17 * 4
const VALUES: usize = OFFSET + 17 * 4
const FUSED: usize = VALUES + 256
export const DC_TABLE_BYTES: usize = FUSED
export const AC_TABLE_BYTES: usize = FUSED + <usize>ENTRIES * 4


@inline export function symbolOf(table: usize, bits: u64): i32 {
  const e = <i32>load<u16>(table + ((<usize>(bits >> (64 - LOOK))) << 1))
  return e != 0 ? e : longCode(table, <i32>(bits >> 48))
}


@inline export function fusedOf(table: usize, bits: u64): i32 {
  return load<i32>(table + ((<usize>(bits >> (64 - LOOK))) << 2), FUSED)
}

/** Symbol << 8 | length of a code longer than LOOK bits; bits that are no code are symbol 0 and 17 bits long. */
function longCode(table: usize, bits: i32): i32 {
  for (let length = LOOK + 1; length <= 16; length++) {
    if (bits < load<i32>(table + ((<usize>length) << 2), LIMIT)) {
      const index = load<i32>(table + ((<usize>length) << 2), OFFSET) + (bits >> (16 - length))
      return ((<i32>load<u8>(table + <usize>(index & 255), VALUES)) << 8) | length
    }
  }
  return 17
}

/** Fills a table from 16 counts and 256 values; fails when they are no prefix code. */
export function buildTable(table: usize, counts: usize, values: usize, ac: bool): void {
  memory.copy(table + VALUES, values, 256)
  let code = 0
  let index = 0
  let to = table
  for (let length = 1; length <= 16; length++) {
    store<i32>(table + ((<usize>length) << 2), index - code, OFFSET)
    const count = <i32>load<u8>(counts + length - 1)
    if (length <= LOOK) {
      const run = (<usize>2) << (LOOK - length)
      // Too many codes fail below; they must not be written.
      for (let i = 0; i < min(count, (1 << length) - code); i++) {
        const e = ((<u32>load<u8>(values + index + i)) << 8) | length
        fill16(to, e, run)
        to += run
      }
    }
    code += count
    index += count
    // No code may be all ones.
    if (count > 0 && code >= 1 << length) return fail(CORRUPT, 'a Huffman table is not a prefix code')
    store<i32>(table + ((<usize>length) << 2), code << (16 - length), LIMIT)
    code <<= 1
  }
  if (to < table + LIMIT) memory.fill(to, 0, table + LIMIT - to)
  if (ac) fuse(table)
  else for (let i = 0; i < index; i++) if (load<u8>(values + i) > 15) fail(CORRUPT, 'a DC table has impossible sizes')
}


@inline function fill16(to: usize, e: u32, bytes: usize): void {
  if (bytes >= 8) {
    const v = <u64>(e | (e << 16)) * 0x1_0000_0001
    for (let end = to + bytes; to < end; to += 8) store<u64>(to, v)
  } else for (let end = to + bytes; to < end; to += 2) store<u16>(to, e)
}

function fuse(table: usize): void {
  const fused = table + FUSED
  for (let i = 0; i < ENTRIES;) {
    const e = <i32>load<u16>(table + ((<usize>i) << 1))
    const length = e & 255
    if (e == 0) {
      store<i32>(fused + ((<usize>i) << 2), 0)
      i++
      continue
    }
    const run = e >> 12
    const size = (e >> 8) & 15
    const span = 1 << (LOOK - length)
    if (size == 0 || length + size > LOOK) {
      const v = size == 0 ? ((run == 15 ? 16 : 64) << 8) | length : 0
      for (let k = 0; k < span; k++) store<i32>(fused + ((<usize>(i + k)) << 2), v)
    } else {
      const step = span >> size
      const tail = ((run + 1) << 8) | (length + size)
      const half = 1 << (size - 1)
      for (let b = 0; b < 1 << size; b++) {
        const v = ((b < half ? b - (1 << size) + 1 : b) << 16) | tail
        const from = fused + ((<usize>(i + b * step)) << 2)
        for (let k = 0; k < step; k++) store<i32>(from + ((<usize>k) << 2), v)
      }
    }
    i += span
  }
}

/**
 * The next bits, at the top; how many of them are valid; where the following bytes are; bits made up behind the data.
 */
export let bits: u64 = 0
export let count: i32 = 0
export let position: usize = 0
let spare: i32 = 0
/** The data ended and zeros were used for it; whole units are left out until the next restart marker. */
export let insufficient: bool = false
let nextRestart: i32 = 0

/** Starts a scan's data at `at`. */
export function seek(at: usize): void {
  position = at
  bits = 0
  spare = 0
  count = 0
  insufficient = false
  nextRestart = 0
}


@inline export function setBits(b: u64, n: i32, at: usize): void {
  bits = b
  count = n
  position = at
}

/** What follows n bits of b. */
@inline export function past(b: u64, n: i32): u64 {
  b <<= <u64>n
  return b
}

/** True when none of eight bytes is 0xff. */
@inline export function plain(v: u64): bool {
  return ((~v - 0x0101_0101_0101_0101) & v & 0x8080_8080_8080_8080) == 0
}

/** Eight bytes from `at` on, the first at the top. */
@inline export function bigEndian(at: usize, v: u64): u64 {
  if (ASC_FEATURE_SIMD) {
    const x = i64x2.splat(v)
    return v128.extract_lane<u64>(v128.shuffle<u8>(x, x, 7, 6, 5, 4, 3, 2, 1, 0, 7, 6, 5, 4, 3, 2, 1, 0), 0)
  }
  return bswap<u64>(v)
}

/** More than 56 valid bits afterwards, byte by byte; at a marker zeros are made up. */
export function refillSlow(): void {
  while (count <= 56) {
    let byte: u64 = load<u8>(position)
    if (byte != 0xff) position++
    else {
      let code = position + 1
      while (load<u8>(code) == 0xff) code++
      if (load<u8>(code) == 0 && code < fileEnd) position = code + 1
      else {
        if (code >= fileEnd) position = fileEnd
        byte = 0
        spare += 8
      }
    }
    bits |= byte << (56 - count)
    count += 8
  }
}

/** At least 48 valid bits afterwards. */
@inline export function refill(): void {
  if (count >= 48) return
  const v = load<u64>(position)
  if (plain(v)) {
    bits |= bigEndian(position, v) >> count
    position += (63 - count) >> 3
    count |= 56
  } else refillSlow()
}

/** Next n bits, 0 to 16. */
@inline export function take(n: i32): i32 {
  if (n == 0) return 0
  refill()
  const v = <i32>(bits >> (64 - n))
  bits <<= n
  count -= n
  return v
}

/** A value of `size` bits, 1 to 15, at the top of b. Source: T.81, F.2.2.1 EXTEND. */
@inline export function extend(b: u64, size: i32): i32 {
  const v = <i32>(b >> (64 - size))
  return v + (((v >> (size - 1)) - 1) & (1 - (1 << size)))
}

/**
 * For a file that ends without a marker: how many bits libjpeg would hold now, and the byte that it would read next. It
 * reads ahead, and a file that ends while it does is truncated for it (and so for Pillow) even if no bit is missing.
 */
let held: i32 = 0
let ahead: usize = 0

export function startAhead(): void {
  held = count
  ahead = position
}

/** Reads ahead when fewer than `wanted` bits are held; false when the file ends. */
function readAhead(wanted: i32): bool {
  if (held >= wanted) return true
  while (held < 57) {
    if (ahead >= fileEnd) return false
    if (load<u8>(ahead) == 0xff) {
      let code = ahead + 1
      while (load<u8>(code) == 0xff) code++
      if (code >= fileEnd) return false
      if (load<u8>(code) != 0) {
        if (wanted > held) held = 57
        return true
      }
      ahead = code
    }
    ahead++
    held += 8
  }
  return true
}

/** Takes a symbol of `length` bits (up to 17) and `size` bits more, as libjpeg does. */
export function takeAhead(length: i32, size: i32): bool {
  if (!readAhead(8)) return false
  if (length > 8) {
    if (!readAhead(9)) return false
    held -= 9
    for (let i = 9; i < length; i++) {
      if (!readAhead(1)) return false
      held--
    }
  } else held -= length
  if (size > 0) {
    if (!readAhead(size)) return false
    held -= size
  }
  return true
}

/** Asks, after a unit, whether made-up bits were used. False when the file has no more bytes: reading stops. */
@inline export function dataHeld(): bool {
  return spare <= count || ranOut()
}
function ranOut(): bool {
  insufficient = true
  if (position < fileEnd) return true
  setSuspended()
  return false
}

/** Where the segments after the scan go on. */
export function endScan(): void {
  setPosition(position, 0)
}

/**
 * Passes the next restart marker, or decides what to do with another one that stands there: go on behind it, look
 * further, or take the interval for empty. False when the file has no more bytes.
 * Source: libjpeg's read_restart_marker and jpeg_resync_to_restart.
 */
export function restart(): bool {
  bits = 0
  count = 0
  spare = 0
  setPosition(position, 0)
  if (!nextMarker()) return false
  while (true) {
    const marker = unread
    const ahead = (marker - 0xd0 - nextRestart) & 7
    const isRestart = marker >= 0xd0 && marker <= 0xd7
    // A marker to come, or one that is no restart marker: this interval is empty, the marker stays.
    if (marker >= 0xc0 && (!isRestart || ahead == 1 || ahead == 2)) {
      position = markerPosition
      break
    }
    // A late one, or none at all: look further.
    if (!isRestart || ahead == 6 || ahead == 7) {
      setPosition(markerPosition + 2, 0)
      if (!nextMarker()) return false
      continue
    }
    position = markerPosition + 2
    insufficient = false
    break
  }
  nextRestart = (nextRestart + 1) & 7
  return true
}
