/** Zip archives in memory (PyTorch files, Python wheels): a bounds-checking door to fflate. */
import { unzipSync } from 'fflate'
import { ThimbleError } from '../errors.ts'

/** Refused above this many bytes after decompression. */
const MAX_ZIP_BYTES = 2 ** 31

export const isZip = (bytes: Uint8Array): boolean =>
  bytes[0] === 0x50 && bytes[1] === 0x4b && bytes[2] === 3 && bytes[3] === 4

/**
 * Entries whose name passes `want` (default: all), by name.
 * Errors: `format/zip` for a damaged archive or one that would unpack to more than MAX_ZIP_BYTES.
 */
export function readZip(bytes: Uint8Array, want: (name: string) => boolean = () => true): Map<string, Uint8Array> {
  let total = 0
  try {
    return new Map(
      Object.entries(
        unzipSync(bytes, {
          filter: ({ name, originalSize }) => {
            if (!want(name)) return false
            total += originalSize
            if (total > MAX_ZIP_BYTES) {
              throw new ThimbleError('format/zip', 'archive is too large', {
                expected: `at most ${MAX_ZIP_BYTES} bytes`,
                got: total,
              })
            }
            return true
          },
        }),
      ),
    )
  } catch (error) {
    if (error instanceof ThimbleError) throw error
    throw new ThimbleError(
      'format/zip',
      `damaged archive (${error instanceof Error ? error.message : String(error)})`,
      {
        cause: error,
      },
    )
  }
}
