/** CRC-32 as zip, gzip and PNG use it (polynomial 0xEDB88320, reflected). Finds every error of up to 32 adjacent bits. */

let table: Int32Array | undefined

/** Slicing by 8: entries 256k..256k+255 advance a byte over k further zero bytes. */
function makeTable(): Int32Array {
  const made = new Int32Array(8 * 256)
  for (let n = 0; n < 256; n++) {
    let c = n
    for (let bit = 0; bit < 8; bit++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1
    made[n] = c
  }
  for (let i = 256; i < made.length; i++) made[i] = made[made[i - 256]! & 0xff]! ^ (made[i - 256]! >>> 8)
  return made
}

function byBytes(t: Int32Array, crc: number, bytes: Uint8Array, from: number, to: number): number {
  for (let i = from; i < to; i++) crc = t[(crc ^ bytes[i]!) & 0xff]! ^ (crc >>> 8)
  return crc
}

/** `words` is an even number of little-endian words. */
function byWords(t: Int32Array, crc: number, words: Int32Array): number {
  for (let i = 0; i < words.length; i += 2) {
    const a = crc ^ words[i]!, b = words[i + 1]!
    crc = t[0x700 + (a & 0xff)]! ^ t[0x600 + (a >>> 8 & 0xff)]! ^ t[0x500 + (a >>> 16 & 0xff)]! ^ t[0x400 + (a >>> 24)]! ^
      t[0x300 + (b & 0xff)]! ^ t[0x200 + (b >>> 8 & 0xff)]! ^ t[0x100 + (b >>> 16 & 0xff)]! ^ t[b >>> 24]!
  }
  return crc
}

const LITTLE_ENDIAN = new Uint8Array(Uint32Array.of(1).buffer)[0] === 1

/** Bytes from which starting Node's zlib is faster than running our loop cold. */
const LARGE = 1 << 20

/** Node's own, many times as fast; Node 20.16 and newer. */
function builtin(): ((bytes: Uint8Array) => number) | undefined {
  const { process } = globalThis as { process?: { getBuiltinModule?: (name: string) => { crc32?: (bytes: Uint8Array) => number } | undefined } }
  return process?.getBuiltinModule?.('node:zlib')?.crc32
}

/** The CRC-32 of `bytes`, as an unsigned number. */
export function crc32(bytes: Uint8Array): number {
  return (bytes.length < LARGE ? undefined : builtin()?.(bytes)) ?? ownCrc32(bytes)
}

/** The same in JavaScript. */
export function ownCrc32(bytes: Uint8Array): number {
  const t = (table ??= makeTable())
  const head = LITTLE_ENDIAN ? Math.min(-bytes.byteOffset & 3, bytes.length) : bytes.length
  const pairs = (bytes.length - head) >>> 3
  let crc = byBytes(t, -1, bytes, 0, head)
  if (pairs > 0) crc = byWords(t, crc, new Int32Array(bytes.buffer, bytes.byteOffset + head, 2 * pairs))
  return ~byBytes(t, crc, bytes, head + 8 * pairs, bytes.length) >>> 0
}
