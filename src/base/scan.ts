/**
 * Sums and extremes of thousands of numbers, asked once per model. A loop in JavaScript would be over before the engine
 * has compiled it, so these run in a small WebAssembly module (assembly/scan.ts); where there is none, in JavaScript.
 */
import { fromBase64 } from './base64.ts'
import scanModule from '../generated/scan.ts'
import { LITTLE_ENDIAN, littleEndian } from './words.ts'

interface Scanner {
  /** Its memory, from where the data goes: what is to be scanned is put here, at most so much at a time. */
  data: Uint8Array
  crc32(crc: number, bytes: number): number
  least(words: number): number
  greatest(words: number): number
}

function makeScanner(): Scanner | undefined {
  // On hosts with the other byte order, numbers would have to be turned round first.
  if (!LITTLE_ENDIAN) return undefined
  try {
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(fromBase64(scanModule)))
    const { memory, DATA, crc32, least, greatest } = exports as unknown as Scanner & {
      memory: WebAssembly.Memory
      DATA: WebAssembly.Global
    }
    return { data: new Uint8Array(memory.buffer, DATA.value as number), crc32, least, greatest }
  } catch {
    return undefined
  }
}

let tried = false
let made: Scanner | undefined

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
  const { process } = globalThis as {
    process?: { getBuiltinModule?: (name: string) => { crc32?: (bytes: Uint8Array) => number } | undefined }
  }
  return process?.getBuiltinModule?.('node:zlib')?.crc32
}

/**
 * CRC-32 as zip, gzip and PNG use it (polynomial 0xEDB88320, reflected), unsigned. Finds every error of up to 32
 * adjacent bits.
 */
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

/** The scanner with the numbers in its memory; undefined for few of them and where it can't take them. */
function loaded(numbers: Int32Array | Float32Array): Scanner | undefined {
  const s = numbers.length > SHORT ? scanner() : undefined
  if (!s || numbers.byteLength > s.data.length) return undefined
  s.data.set(littleEndian(numbers))
  return s
}

/** Whether every element lies in [low, high]. */
export function allWithin(words: Int32Array, low: number, high: number): boolean {
  const n = words.length
  const s = loaded(words)
  if (s) return s.least(n) >= low && s.greatest(n) <= high
  for (let i = 0; i < n; i++) if (words[i]! < low || words[i]! > high) return false
  return true
}

/** Whether every element is 0. */
export const allZero = (words: Int32Array): boolean => allWithin(words, 0, 0)

/** The largest absolute value; 0 of no numbers. */
export function largestMagnitude(words: Int32Array): number {
  const n = words.length
  const s = loaded(words)
  if (s) return Math.max(-s.least(n), s.greatest(n))
  let largest = 0
  for (let i = 0; i < n; i++) largest = Math.max(largest, -words[i]!, words[i]!)
  return largest
}

const oneFloat = new Float32Array(1)
const itsBits = new Int32Array(oneFloat.buffer)
/** Bits of the float32 Infinity; NaNs are above, negative numbers below 0. */
const INFINITY = 0x7f800000

/**
 * The largest of finite, not negative numbers (-0 need not pass), 0 of no numbers; -1 where there is any other number.
 */
export function largestScale(scales: Float32Array): number {
  const n = scales.length
  const s = loaded(scales)
  if (s) {
    // Bits of such numbers are in the order of the numbers.
    const bits = s.least(n) < 0 ? -1 : s.greatest(n)
    if (bits < 0 || bits >= INFINITY) return -1
    itsBits[0] = bits
    return oneFloat[0]!
  }
  let largest = 0
  for (let i = 0; i < n; i++) {
    const v = scales[i]!
    if (!(v >= 0 && v < Infinity)) return -1
    if (v > largest) largest = v
  }
  return largest
}
