/** The checksum of PNG's chunks. */
const crcTable = memory.data(256 * 4, 4)

/** CRC-32. Source: PNG, annex D. */
export function crc32(from: usize, bytes: usize): u32 {
  if (load<u32>(crcTable, 4) == 0) {
    for (let i = 0; i < 256; i++) {
      let c = <u32>i
      for (let k = 0; k < 8; k++) c = (c & 1) != 0 ? 0xedb88320 ^ (c >> 1) : c >> 1
      store<u32>(crcTable + ((<usize>i) << 2), c)
    }
  }
  let crc: u32 = 0xffffffff
  for (const end = from + bytes; from < end; from++) {
    crc = load<u32>(crcTable + ((<usize>((crc ^ load<u8>(from)) & 255)) << 2)) ^ (crc >> 8)
  }
  return ~crc
}
