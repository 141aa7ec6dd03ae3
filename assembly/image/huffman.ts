/**
 * JPEG's Huffman codes as look-up tables, and its entropy-coded bits.
 * Source: ITU-T T.81, annexes C and F.2.2; B.1.1.5 (stuffed zero bytes).
 */
import { CORRUPT, fail, status, TRUNCATED } from './memory'

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
 *   skip     i32 x 2048  several coefficients passed over at once: end of block << 16 | coefficients << 8 | bits
 * DC tables end before `fused`.
 */
const LIMIT: usize = <usize>ENTRIES * 2
const OFFSET: usize = LIMIT + 17 * 4
const VALUES: usize = OFFSET + 17 * 4
const FUSED: usize = VALUES + 256
export const DC_TABLE_BYTES: usize = FUSED
const SKIP: usize = FUSED + <usize>ENTRIES * 4
export const AC_TABLE_BYTES: usize = SKIP + <usize>ENTRIES * 4


@inline export function symbolOf(table: usize, bits: u64): i32 {
  const e = <i32>load<u16>(table + ((<usize>(bits >> (64 - LOOK))) << 1))
  return e != 0 ? e : longCode(table, <i32>(bits >> 48))
}


@inline export function fusedOf(table: usize, bits: u64): i32 {
  return load<i32>(table + ((<usize>(bits >> (64 - LOOK))) << 2), FUSED)
}


@inline export function skipOf(table: usize, bits: u64): i32 {
  return load<i32>(table + ((<usize>(bits >> (64 - LOOK))) << 2), SKIP)
}

/** Symbol << 8 | length of a code longer than LOOK bits; fails on bits that are no code. */
function longCode(table: usize, bits: i32): i32 {
  for (let length = LOOK + 1; length <= 16; length++) {
    if (bits < load<i32>(table + ((<usize>length) << 2), LIMIT)) {
      const index = load<i32>(table + ((<usize>length) << 2), OFFSET) + (bits >> (16 - length))
      return ((<i32>load<u8>(table + <usize>(index & 255), VALUES)) << 8) | length
    }
  }
  fail(CORRUPT, 'invalid Huffman code in the image data')
  return 16
}

/** Fills a table from 16 counts and their values; fails when they are no prefix code. */
export function buildTable(table: usize, counts: usize, values: usize, total: i32, ac: bool): void {
  memory.fill(table, 0, ac ? AC_TABLE_BYTES : DC_TABLE_BYTES)
  memory.copy(table + VALUES, values, total)
  let code = 0
  let index = 0
  for (let length = 1; length <= 16; length++) {
    store<i32>(table + ((<usize>length) << 2), index - code, OFFSET)
    const count = <i32>load<u8>(counts + length - 1)
    if (code + count > 1 << length) {
      fail(CORRUPT, 'a Huffman table is not a prefix code')
      return
    }
    if (length <= LOOK) {
      for (let i = 0; i < count; i++) {
        const e = ((<i32>load<u8>(values + index + i)) << 8) | length
        const first = (code + i) << (LOOK - length)
        const last = (code + i + 1) << (LOOK - length)
        for (let k = first; k < last; k++) store<u16>(table + ((<usize>k) << 1), <u16>e)
      }
    }
    code += count
    index += count
    store<i32>(table + ((<usize>length) << 2), code << (16 - length), LIMIT)
    code <<= 1
  }
  if (ac) fuse(table)
}

function fuse(table: usize): void {
  for (let i = 0; i < ENTRIES; i++) {
    const e = <i32>load<u16>(table + ((<usize>i) << 1))
    if (e == 0) continue
    const length = e & 255
    const run = e >> 12
    const size = (e >> 8) & 15
    let fused = 0
    if (size == 0) fused = ((run == 15 ? 16 : 64) << 8) | length
    else if (length + size <= LOOK) {
      const bits = (i >> (LOOK - length - size)) & ((1 << size) - 1)
      fused = ((bits < 1 << (size - 1) ? bits - (1 << size) + 1 : bits) << 16) | ((run + 1) << 8) | (length + size)
    }
    store<i32>(table + ((<usize>i) << 2), fused, FUSED)
  }
  for (let i = 0; i < ENTRIES; i++) {
    let used = 0
    let count = 0
    let end = 0
    while (count < 64) {
      // Zeros stand behind the bits that remain: an entry that needs more of them does not count.
      const e = load<i32>(table + ((<usize>((i << used) & (ENTRIES - 1))) << 2), FUSED)
      const bits = e & 255
      const step = (e >> 8) & 255
      if (e == 0 || used + bits > LOOK) break
      used += bits
      if (step == 64) {
        end = 1
        break
      }
      count += step
    }
    store<i32>(table + ((<usize>i) << 2), (end << 16) | (count << 8) | used, SKIP)
  }
}

/**
 * The next bits, at the top; how many of them are valid; where the following bytes are; bits made up behind the data.
 */
export let bits: u64 = 0
export let count: i32 = 0
export let position: usize = 0
let spare: i32 = 0

export function seek(at: usize): void {
  position = at
  bits = 0
  spare = 0
  count = 0
}


@inline export function setBits(b: u64, n: i32, at: usize): void {
  bits = b
  count = n
  position = at
}

/** True when none of four bytes is 0xff. */
@inline export function plain(v: u32): bool {
  return ((~v - 0x01010101) & v & 0x80808080) == 0
}

/** More than 32 valid bits afterwards, byte by byte; at a marker zeros are made up. The file must end in a marker. */
export function refillSlow(): void {
  while (count <= 32) {
    let byte: u32 = load<u8>(position)
    if (byte != 0xff) position++
    else if (load<u8>(position, 1) == 0) position += 2
    else {
      byte = 0
      spare += 8
    }
    bits |= (<u64>byte) << (56 - count)
    count += 8
  }
}

export function refill(): void {
  if (count > 32) return
  const v = load<u32>(position)
  if (plain(v)) {
    bits |= (<u64>bswap<u32>(v)) << (32 - count)
    count += 32
    position += 4
  } else refillSlow()
}

/** Next n bits, 0 to 16. */
export function take(n: i32): i32 {
  if (n == 0) return 0
  refill()
  const v = <i32>(bits >> (64 - n))
  bits <<= n
  count -= n
  return v
}

/** A value of `size` bits at the top of b. Source: T.81, F.2.2.1 EXTEND. */
@inline export function extend(b: u64, size: i32): i32 {
  const v = <i32>(b >> (64 - size))
  return v + (((v >> (size - 1)) - 1) & (1 - (1 << size)))
}

/** Fails when made-up bits were used. */
@inline export function overrun(): bool {
  return spare > count
}
export function checkEnd(fileEnd: usize): void {
  if (overrun() && status == 0) fail(position >= fileEnd ? TRUNCATED : CORRUPT, 'the image data ends early')
}

/**
 * Position of the next marker from `at` on; restart markers and stuffed bytes don't count. The file must end in a
 * marker.
 */
export function nextMarker(at: usize, stopAtRestart: bool): usize {
  while (true) {
    while (plain(load<u32>(at))) at += 4
    while (load<u8>(at) != 0xff) at++
    const next = load<u8>(at, 1)
    if (next == 0) at += 2
    else if (next == 0xff) at++
    else if (next >= 0xd0 && next <= 0xd7 && !stopAtRestart) at += 2
    else return at
  }
}

/** Passes the next restart marker. */
export function restart(fileEnd: usize): void {
  checkEnd(fileEnd)
  const at = nextMarker(position, true)
  const marker = load<u8>(at, 1)
  if (marker < 0xd0 || marker > 0xd7) fail(at >= fileEnd ? TRUNCATED : CORRUPT, 'a restart marker is missing')
  seek(at + 2)
}
