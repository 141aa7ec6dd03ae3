/** CRC-32 as zip, gzip and PNG use it (polynomial 0xEDB88320, reflected). Finds every error of up to 32 adjacent bits. */

let tables: Uint32Array[] | undefined

/** Slicing by 8: table k advances a byte over k further zero bytes. */
function makeTables(): Uint32Array[] {
  const made = Array.from({ length: 8 }, () => new Uint32Array(256))
  for (let n = 0; n < 256; n++) {
    let c = n
    for (let bit = 0; bit < 8; bit++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1
    made[0][n] = c
  }
  for (let k = 1; k < 8; k++) {
    for (let n = 0; n < 256; n++) made[k][n] = made[0][made[k - 1][n] & 0xff] ^ (made[k - 1][n] >>> 8)
  }
  return made
}

/** The CRC-32 of `bytes`, as an unsigned number. */
export function crc32(bytes: Uint8Array): number {
  const [t0, t1, t2, t3, t4, t5, t6, t7] = (tables ??= makeTables())
  let c = -1
  let i = 0
  for (const end = bytes.length - 7; i < end; i += 8) {
    c ^= bytes[i] | bytes[i + 1] << 8 | bytes[i + 2] << 16 | bytes[i + 3] << 24
    c = t7[c & 0xff] ^ t6[c >>> 8 & 0xff] ^ t5[c >>> 16 & 0xff] ^ t4[c >>> 24] ^
      t3[bytes[i + 4]] ^ t2[bytes[i + 5]] ^ t1[bytes[i + 6]] ^ t0[bytes[i + 7]]
  }
  for (; i < bytes.length; i++) c = t0[(c ^ bytes[i]) & 0xff] ^ (c >>> 8)
  return ~c >>> 0
}
