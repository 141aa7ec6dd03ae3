/**
 * One named file out of a zip archive at the end of a `.tflite` (where TFLite metadata keeps label lists), stored or
 * deflated. Only the file asked for is unpacked, and only up to a limit.
 * Source: PKWARE APPNOTE.TXT 4.3 (central directory 4.3.12, end record 4.3.16); no zip64, no encryption.
 */
import { ThimbleError } from '../base/errors.ts'
import { crc32 } from '../base/scan.ts'
import { inflate } from '../base/inflate.ts'

/** Most bytes of one unpacked file. */
export const MAX_UNPACKED_BYTES = 16 << 20
const MAX_ENTRIES = 1024
const END_BYTES = 22
const MOST_COMMENT = 65535
const ENTRY_BYTES = 46
const LOCAL_BYTES = 30

const damaged = (what: string): ThimbleError =>
  new ThimbleError('format/zip', `${what} in the archive behind the model`, {
    hint: 'the file is truncated or damaged',
  })

/**
 * Position of the end record: the last one whose comment reaches exactly the end of the file; undefined when there
 * is no archive.
 */
function findEnd(bytes: Uint8Array, view: DataView): number | undefined {
  const least = Math.max(0, bytes.length - END_BYTES - MOST_COMMENT)
  for (let at = bytes.length - END_BYTES; at >= least; at--) {
    // The engine finds the first letter of the signature sooner than a loop would.
    at = bytes.lastIndexOf(0x50, at)
    if (at < least) return undefined
    if (view.getUint32(at, true) === 0x06054b50 && at + END_BYTES + view.getUint16(at + 20, true) === bytes.length) {
      return at
    }
  }
  return undefined
}

/**
 * The bytes of the file called `name`; undefined when `bytes` does not end in an archive or the archive has no such
 * file.
 * Errors: `format/zip` for a damaged archive or more than MAX_UNPACKED_BYTES.
 */
export function readZipFile(bytes: Uint8Array, name: string): Uint8Array | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const end = findEnd(bytes, view)
  if (end === undefined) return undefined
  const count = Math.min(view.getUint16(end + 10, true), MAX_ENTRIES)
  const directoryBytes = view.getUint32(end + 12, true)
  const directory = end - directoryBytes
  // Offsets count from the archive's start, which is the file's start unless the archive was simply appended.
  const base = directory - view.getUint32(end + 16, true)
  if (directory < 0 || base < 0) throw damaged('impossible offset')

  const wanted = new TextEncoder().encode(name)
  for (let i = 0, at = directory; i < count; i++) {
    if (at + ENTRY_BYTES > end || view.getUint32(at, true) !== 0x02014b50) throw damaged('damaged directory')
    const nameBytes = view.getUint16(at + 28, true)
    const found = bytes.subarray(at + ENTRY_BYTES, at + ENTRY_BYTES + nameBytes)
    if (nameBytes === wanted.length && wanted.every((b, k) => found[k] === b)) {
      return unpack(bytes.subarray(base, end), at - base)
    }
    at += ENTRY_BYTES + nameBytes + view.getUint16(at + 30, true) + view.getUint16(at + 32, true)
  }
  return undefined
}

/** The contents of the entry at `entry` of an archive's files and directory. */
function unpack(archive: Uint8Array, entry: number): Uint8Array {
  const view = new DataView(archive.buffer, archive.byteOffset, archive.byteLength)
  const flags = view.getUint16(entry + 8, true)
  const method = view.getUint16(entry + 10, true)
  const packedBytes = view.getUint32(entry + 20, true)
  const size = view.getUint32(entry + 24, true)
  if (flags & 1) throw damaged('encrypted file')
  if (method !== 0 && method !== 8) {
    throw new ThimbleError('format/zip', 'unknown compression in the archive behind the model', {
      expected: '0 (stored) or 8 (deflate)',
      got: method,
    })
  }
  if (size > MAX_UNPACKED_BYTES) {
    throw new ThimbleError('format/zip', 'file too large in the archive behind the model', {
      expected: `at most ${MAX_UNPACKED_BYTES} bytes`,
      got: size,
    })
  }
  const local = view.getUint32(entry + 42, true)
  if (local + LOCAL_BYTES > archive.length || view.getUint32(local, true) !== 0x04034b50) {
    throw damaged('damaged file header')
  }
  const start = local + LOCAL_BYTES + view.getUint16(local + 26, true) + view.getUint16(local + 28, true)
  if (start + packedBytes > archive.length || (method === 0 && packedBytes !== size)) throw damaged('impossible size')
  const packed = archive.subarray(start, start + packedBytes)
  const data = method === 0 ? packed : inflate(packed, size)
  if (crc32(data) !== view.getUint32(entry + 16, true)) throw damaged('checksum mismatch')
  return data
}
