/**
 * What readers ask of long runs of bytes (src/base/scan.ts): code that runs once per model, which an engine would
 * interpret if it were JavaScript. One page of memory, no imports: tables below DATA, the bytes in question from there
 * on.
 */

export const DATA: usize = 8192

/** CRC-32, slicing by 8: word 256k + i is entry i of the table that advances a byte over k further zero bytes. */
function makeTable(): void {
  for (let n: u32 = 0; n < 256; n++) {
    let c = n
    for (let bit = 0; bit < 8; bit++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1
    store<u32>(n << 2, c)
  }
  for (let i: u32 = 1024; i < 8192; i += 4) {
    const c = load<u32>(i - 1024)
    store<u32>(i, load<u32>((c & 0xff) << 2) ^ (c >>> 8))
  }
}

/** Where entry `byte` of the first table is. */
// @ts-ignore: decorator
@inline
function entry(byte: u32): usize {
  return (byte & 0xff) << 2
}

/** The running CRC-32 (complemented, so that it begins and ends with ~) after n more bytes. */
export function crc32(crc: u32, n: i32): u32 {
  if (load<u32>(4) == 0) makeTable()
  let at: usize = DATA
  const end = at + n
  for (; at + 8 <= end; at += 8) {
    const a = crc ^ load<u32>(at)
    const b = load<u32>(at, 4)
    crc =
      load<u32>(entry(a), 7168) ^
      load<u32>(entry(a >>> 8), 6144) ^
      load<u32>(entry(a >>> 16), 5120) ^
      load<u32>(entry(a >>> 24), 4096) ^
      load<u32>(entry(b), 3072) ^
      load<u32>(entry(b >>> 8), 2048) ^
      load<u32>(entry(b >>> 16), 1024) ^
      load<u32>(entry(b >>> 24))
  }
  for (; at < end; at++) crc = load<u32>(entry(crc ^ load<u8>(at))) ^ (crc >>> 8)
  return crc
}

/** The least of n > 0 int32s. */
export function least(n: i32): i32 {
  let v = load<i32>(DATA)
  for (let i = 1; i < n; i++) v = min(v, load<i32>(DATA + ((<usize>i) << 2)))
  return v
}

/** The greatest of n > 0 int32s. */
export function greatest(n: i32): i32 {
  let v = load<i32>(DATA)
  for (let i = 1; i < n; i++) v = max(v, load<i32>(DATA + ((<usize>i) << 2)))
  return v
}
