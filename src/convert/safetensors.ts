/**
 * `.safetensors` to named float32 tensors. Source: the format's specification (8-byte length, JSON header, raw data).
 */
import { ThimbleError } from '../base/errors.ts'
import { elements, type DType } from '../graph/graph.ts'
import type { StateDict } from './pytorch.ts'
import { decodeNumbers } from './values.ts'

const DTYPES = new Map<unknown, DType | 'bfloat16'>([
  ['F64', 'float64'],
  ['F32', 'float32'],
  ['F16', 'float16'],
  ['BF16', 'bfloat16'],
  ['I64', 'int64'],
  ['I32', 'int32'],
  ['I16', 'int16'],
  ['I8', 'int8'],
  ['U8', 'uint8'],
  ['BOOL', 'bool'],
])
const MAX_HEADER = 100_000_000
const bad = (what: string, tensor?: string): never => {
  throw new ThimbleError('format/safetensors', what, tensor === undefined ? {} : { tensor })
}

function headerLength(bytes: Uint8Array): number | undefined {
  if (bytes.length < 10) return undefined
  const n = new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0, true)
  return n > 1n && n <= BigInt(Math.min(bytes.length - 8, MAX_HEADER)) ? Number(n) : undefined
}

export const isSafetensors = (bytes: Uint8Array): boolean => bytes[8] === 0x7b && headerLength(bytes) !== undefined

/** Errors: `format/safetensors` for a malformed header or tensors outside the file. */
export function readSafetensors(bytes: Uint8Array): StateDict {
  const length = headerLength(bytes) ?? bad('header is longer than the file')
  let header: unknown
  try {
    header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length)))
  } catch {
    return bad('header is not JSON')
  }
  if (typeof header !== 'object' || header === null) return bad('header is no JSON object')
  const body = bytes.subarray(8 + length)
  const out: StateDict = new Map()
  for (const [name, entry] of Object.entries(header)) {
    if (name === '__metadata__') continue
    const t = entry as { dtype?: unknown; shape?: unknown; data_offsets?: unknown } | null
    const dtype = DTYPES.get(t?.dtype)
    const shape = t?.shape
    const range = t?.data_offsets
    const whole = (v: unknown): v is number[] => Array.isArray(v) && v.every((d) => Number.isSafeInteger(d) && d >= 0)
    if (!dtype || !whole(shape) || !whole(range) || range.length !== 2) return bad('malformed entry', name)
    const [from, to] = range as [number, number]
    const count = elements(shape)
    if (from > to || to > body.length) return bad('tensor lies outside the file', name)
    const slice = body.subarray(from, to)
    if (dtype === 'bfloat16') {
      if (slice.length !== 2 * count) return bad('tensor does not fill its shape', name)
      const bits = Uint32Array.from({ length: count }, (_, i) => ((slice[2 * i + 1]! << 8) | slice[2 * i]!) << 16)
      out.set(name, { shape, data: new Float32Array(bits.buffer) })
      continue
    }
    const read = decodeNumbers(dtype, slice, count)
    out.set(name, { shape, data: Float32Array.from({ length: count }, (_, i) => read(i)) })
  }
  return out.size ? out : bad('file holds no tensors')
}
