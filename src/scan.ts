/**
 * Sums and extremes of thousands of numbers, asked once per model. A loop in JavaScript would be over before the engine has
 * compiled it, so these run in a small WebAssembly module (assembly/scan.ts); where there is none, in JavaScript.
 */
import { fromBase64 } from './base64.ts'
import scanModule from './generated/scan.ts'

interface Scanner {
  /** Its memory, from where the data goes: what is to be scanned is put here, at most so much at a time. */
  data: Uint8Array
  crc32(crc: number, bytes: number): number
  least(words: number): number
  greatest(words: number): number
}

function makeScanner(): Scanner | undefined {
  // On hosts with the other byte order, numbers would have to be turned round first.
  if (new Uint8Array(Uint32Array.of(1).buffer)[0] !== 1) return undefined
  try {
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(fromBase64(scanModule)))
    const { memory, DATA, crc32, least, greatest } = exports as unknown as Scanner & { memory: WebAssembly.Memory; DATA: WebAssembly.Global }
    return { data: new Uint8Array(memory.buffer, DATA.value as number), crc32, least, greatest }
  } catch {
    return undefined
  }
}

let tried = false, made: Scanner | undefined

/** Made when it is first asked for. */
function scanner(): Scanner | undefined {
  if (!tried) made = makeScanner()
  tried = true
  return made
}

/** Bytes from which starting Node's zlib pays. */
const LARGE = 1 << 20

/** Node's own, which is faster; Node 20.16 and newer. */
function builtin(): ((bytes: Uint8Array) => number) | undefined {
  const { process } = globalThis as { process?: { getBuiltinModule?: (name: string) => { crc32?: (bytes: Uint8Array) => number } | undefined } }
  return process?.getBuiltinModule?.('node:zlib')?.crc32
}

/** CRC-32 as zip, gzip and PNG use it (polynomial 0xEDB88320, reflected), unsigned. Finds every error of up to 32 adjacent bits. */
export function crc32(bytes: Uint8Array): number {
  const native = bytes.length < LARGE ? undefined : builtin()
  if (native) return native(bytes)
  const s = scanner()
  if (!s) return plainCrc32(bytes)
  const most = s.data.length
  let crc = -1
  for (let at = 0; at < bytes.length; at += most) {
    const part = bytes.subarray(at, at + most)
    s.data.set(part)
    crc = s.crc32(crc, part.length)
  }
  return ~crc >>> 0
}

/** The same in JavaScript. */
export function plainCrc32(bytes: Uint8Array): number {
  let crc = -1
  for (const byte of bytes) {
    crc ^= byte
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? 0xedb88320 ^ (crc >>> 1) : crc >>> 1
  }
  return ~crc >>> 0
}

/** Vectors of at most this many numbers are looked through here. */
const SHORT = 8

/** The least and the greatest of some numbers; [0, 0] of none. */
export function extremes(words: Int32Array): readonly [least: number, greatest: number] {
  const { length } = words, s = length > SHORT ? scanner() : undefined
  if (s && words.byteLength <= s.data.length) {
    s.data.set(new Uint8Array(words.buffer, words.byteOffset, words.byteLength))
    return [s.least(length), s.greatest(length)]
  }
  if (length === 0) return [0, 0]
  let least = words[0]!, greatest = least
  for (let i = 1; i < length; i++) {
    const v = words[i]!
    if (v < least) least = v
    if (v > greatest) greatest = v
  }
  return [least, greatest]
}

/** Whether every element is 0. */
export function allZero(words: Int32Array): boolean {
  const [least, greatest] = extremes(words)
  return least === 0 && greatest === 0
}

/** Bits of the float32 Infinity; NaNs are above, negative numbers below 0. */
const INFINITY = 0x7f800000

/** The largest of finite, not negative numbers (-0 is none), 0 of no numbers; -1 where there is any other number. Their bits are in their own order. */
export function largestScale(scales: Float32Array): number {
  const [least, greatest] = extremes(new Int32Array(scales.buffer, scales.byteOffset, scales.length))
  return least < 0 || greatest >= INFINITY ? -1 : new Float32Array(Int32Array.of(greatest).buffer)[0]!
}
