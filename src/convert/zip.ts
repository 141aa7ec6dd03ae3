/** Zip archives in memory (PyTorch files, Python wheels): a bounds-checking door to fflate. */
import { unzipSync } from 'fflate'
import { ThimbleError } from '../base/errors.ts'
import { crc32 } from '../base/scan.ts'

/** Refused above this many bytes after decompression. */
const MAX_ZIP_BYTES = 2 ** 31

export const isZip = (bytes: Uint8Array): boolean =>
  bytes[0] === 0x50 && bytes[1] === 0x4b && bytes[2] === 3 && bytes[3] === 4

/** Deflate packs at most 1032 bytes into one. */
const MOST_PACKED = 1032

/** CRC-32 of each entry, in the order of the directory. Throws where the directory leaves the file. */
function checksums(bytes: Uint8Array): number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const u16 = (at: number): number => view.getUint16(at, true)
  const u32 = (at: number): number => view.getUint32(at, true)
  let end = bytes.length - 22
  while (end >= 0 && u32(end) !== 0x06054b50) end--
  if (end < 0) throw new Error('no directory')
  let [count, at] = [u16(end + 8), u32(end + 16)]
  // zip64: the locator before the end record leads to wider numbers.
  const wide = end >= 20 && u32(end - 20) === 0x07064b50 ? u32(end - 12) : Infinity
  if (wide + 56 <= bytes.length && u32(wide) === 0x06064b50) {
    count = u32(wide + 32)
    at = u32(wide + 48)
  }
  const out: number[] = []
  while (out.length < count) {
    if (at + 46 > bytes.length || u32(at) !== 0x02014b50) throw new Error('damaged directory')
    out.push(u32(at + 16))
    at += 46 + u16(at + 28) + u16(at + 30) + u16(at + 32)
  }
  return out
}

/**
 * Entries whose name passes `want` (default: all), by name; each has the checksum that the archive gives.
 * Errors: `format/zip` for a damaged archive or one that would unpack to more than MAX_ZIP_BYTES.
 */
export function readZip(bytes: Uint8Array, want: (name: string) => boolean = () => true): Map<string, Uint8Array> {
  let total = 0
  try {
    const sums = checksums(bytes)
    const wanted = new Map<string, number>()
    let entry = 0
    const files = unzipSync(bytes, {
      filter: ({ name, size, originalSize }) => {
        const sum = sums[entry++]
        if (!want(name) || sum === undefined) return false
        total += originalSize
        if (total > MAX_ZIP_BYTES) {
          throw new ThimbleError('format/zip', 'archive is too large', {
            expected: `at most ${MAX_ZIP_BYTES} bytes`,
            got: total,
          })
        }
        if (size > bytes.length) throw new Error(`${JSON.stringify(name)} is longer than the archive`)
        if (originalSize > MOST_PACKED * size + 64) throw new Error(`${JSON.stringify(name)} can't be so large`)
        wanted.set(name, sum)
        return true
      },
    })
    const out = new Map(Object.entries(files))
    for (const [name, data] of out) {
      if (crc32(data) !== wanted.get(name)) throw new Error(`wrong checksum of ${JSON.stringify(name)}`)
    }
    return out
  } catch (error) {
    if (error instanceof ThimbleError) throw error
    throw new ThimbleError(
      'format/zip',
      `damaged archive (${error instanceof Error ? error.message : String(error)})`,
      {
        cause: error,
        hint: 'copy or download it again',
      },
    )
  }
}
