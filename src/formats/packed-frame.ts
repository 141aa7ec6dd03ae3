/**
 * The frame of Thimble's own model file, `.thimble`: one self-describing buffer that can be mapped and used in place.
 *
 * ```
 * byte  0  magic     8 bytes   "THIMBLE" and 0x1A
 *       8  version   uint32    2
 *      12  checksum  uint32    XXH32 of bytes 32 to the end and then 16 to 31
 *      16  size      uint32    of the whole file, in bytes
 *      20  header    uint32    bytes of JSON
 *      24  data      uint32    where the data begins: 32 + header, rounded up to 16
 *      28  seal      uint32    the checksum as it would be with PROGRAMS_ID here; 0 without programs
 *      32  header    JSON, UTF-8, then spaces up to the data
 *    data  constants and tables, each starting at a multiple of 16, the gaps and the end filled with zeros to 16
 * ```
 * All numbers are little-endian; the file is a multiple of 16 bytes, at most 4 GB. packed.ts has what is in header and
 * data.
 *
 * Version 1 differs in that its checksum is the CRC-32 of every byte from 16 to the end; it is still read.
 *
 * The checksum finds damage, it does not make a file trustworthy. The seal says that the programs in the file belong to
 * this graph and to this build's runtime: what edits a file without knowing of programs breaks it, and another version
 * of Thimble has another id. A file with a broken seal is as good as one without programs.
 */
import { align } from '../base/words.ts'
import { ThimbleError } from '../base/errors.ts'
import { crc32 } from '../base/scan.ts'
import { PROGRAMS_ID } from './programs.ts'
import { xxh32Blocks, xxh32End, xxh32Start } from './xxh32.ts'

export const PACKED_MAGIC: readonly number[] = [0x54, 0x48, 0x49, 0x4d, 0x42, 0x4c, 0x45, 0x1a]
export const PACKED_VERSION = 2
const START = 32
export const ALIGN = 16
const MAX_BYTES = 2 ** 32 - ALIGN

export const isObject = (v: unknown): v is Record<string, unknown> =>
  typeof v === 'object' && v !== null && !Array.isArray(v)

export const headerError = (what: string, expected: string, got: unknown, cause?: unknown): ThimbleError =>
  new ThimbleError('format/packed-header', what, {
    cause,
    expected,
    got: JSON.stringify(got)?.slice(0, 80) ?? 'nothing',
    hint: 'the file was written by something else than Thimble',
  })

/** What the header and the data of a file are, found without looking at the checksum. */
export interface Frame {
  header: Record<string, unknown>
  data: Uint8Array
}

/** Takes a multiple of 16 bytes into lanes of XXH32. */
export type TakeBlocks = (lanes: Int32Array, bytes: Uint8Array) => void

const hash = (body: Int32Array, head: Uint8Array, fileBytes: number): number => {
  const lanes = body.slice()
  xxh32Blocks(lanes, head)
  return xxh32End(lanes, fileBytes - ALIGN)
}

/**
 * The checksum that a file of version 2 must have, and the seal of programs that belong to it. `take`: what reads most
 * of it.
 */
export function sums(file: Uint8Array, take: TakeBlocks = xxh32Blocks): { checksum: number; seal: number } {
  const body = xxh32Start()
  const head = new Uint8Array(ALIGN)
  head.set(file.subarray(16, START))
  take(body, file.subarray(START))
  const checksum = hash(body, head, file.length)
  new DataView(head.buffer).setUint32(12, PROGRAMS_ID, true)
  return { checksum, seal: hash(body, head, file.length) }
}

/** Whether a file that `peekFrame` has opened is whole, and its programs are its own and for this build. */
export function isSealed(file: Uint8Array, take: TakeBlocks): boolean {
  const view = new DataView(file.buffer, file.byteOffset)
  const { checksum, seal } = sums(file, take)
  return view.getUint32(12, true) === checksum && view.getUint32(28, true) === seal
}

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)

const damaged = (what: string, expected: string | number, got: string | number): ThimbleError =>
  new ThimbleError('format/packed', what, {
    expected,
    got,
    hint: 'the file is truncated or damaged: copy or download it again',
  })

/** Header and data; the size of the file is right. Errors: `format/packed-header`. */
function parse(bytes: Uint8Array, view: DataView): Frame {
  const headerBytes = view.getUint32(20, true)
  const dataStart = view.getUint32(24, true)
  if (dataStart !== align(START + headerBytes, ALIGN) || dataStart > bytes.length) {
    throw headerError('header size', 'inside the file', [headerBytes, dataStart])
  }
  let header: unknown
  try {
    header = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(START, START + headerBytes)))
  } catch (error) {
    throw headerError(
      `header (${error instanceof Error ? error.message : String(error)})`,
      'JSON in UTF-8',
      undefined,
      error,
    )
  }
  if (!isObject(header)) throw headerError('header', 'an object', header)
  return { header, data: bytes.subarray(dataStart) }
}

/** Header and data of a file with a seal, before its checksum is known to hold; undefined for anything else. */
export function peekFrame(bytes: Uint8Array): Frame | undefined {
  if (bytes.length < START || bytes.length % ALIGN || !PACKED_MAGIC.every((b, i) => bytes[i] === b)) return undefined
  const view = viewOf(bytes)
  if (
    view.getUint32(8, true) !== PACKED_VERSION ||
    view.getUint32(16, true) !== bytes.length ||
    view.getUint32(28, true) === 0
  ) {
    return undefined
  }
  try {
    return parse(bytes, view)
  } catch {
    return undefined
  }
}

/**
 * The JSON and the data of a file whose frame (magic, version, size, checksum) holds. Errors: `format/packed`,
 * `format/version`, `format/packed-header`.
 */
export function openFrame(bytes: Uint8Array): Frame {
  if (bytes.length < START) throw damaged('packed file too short', `at least ${START} bytes`, bytes.length)
  if (!PACKED_MAGIC.every((b, i) => bytes[i] === b)) {
    throw damaged('packed file without its first eight bytes', 'THIMBLE', String.fromCharCode(...bytes.subarray(0, 8)))
  }
  const view = viewOf(bytes)
  const version = view.getUint32(8, true)
  if (version !== PACKED_VERSION && version !== 1) {
    throw new ThimbleError('format/version', 'packed file of another version', {
      expected: `${PACKED_VERSION} or 1`,
      got: version,
      hint: 'write it again with this version of Thimble',
    })
  }
  if (view.getUint32(16, true) !== bytes.length || bytes.length % ALIGN) {
    throw damaged('packed file of a wrong size', view.getUint32(16, true), bytes.length)
  }
  const checksum = version === 1 ? crc32(bytes.subarray(16)) : sums(bytes).checksum
  if (view.getUint32(12, true) !== checksum) {
    throw damaged('packed file with a wrong checksum', view.getUint32(12, true).toString(16), checksum.toString(16))
  }
  return parse(bytes, view)
}

/**
 * A file of a header (JSON text) and pieces of data. `programs`: whether it gets a seal. Errors: `format/too-large`
 * above 4 GB.
 */
export function writeFrame(
  text: string,
  pieces: readonly { at: number; bytes: Uint8Array }[],
  dataBytes: number,
  programs: boolean,
): Uint8Array {
  const json = new TextEncoder().encode(text)
  const dataStart = align(START + json.length, ALIGN)
  const size = dataStart + dataBytes
  if (size > MAX_BYTES) {
    throw new ThimbleError('format/too-large', 'packed file', { expected: `at most ${MAX_BYTES} bytes`, got: size })
  }
  const out = new Uint8Array(size)
  const view = viewOf(out)
  out.set(PACKED_MAGIC)
  view.setUint32(8, PACKED_VERSION, true)
  view.setUint32(16, size, true)
  view.setUint32(20, json.length, true)
  view.setUint32(24, dataStart, true)
  out.fill(0x20, START, dataStart)
  out.set(json, START)
  for (const { at, bytes } of pieces) out.set(bytes, dataStart + at)
  if (programs) view.setUint32(28, sums(out).seal, true)
  view.setUint32(12, sums(out).checksum, true)
  return out
}
