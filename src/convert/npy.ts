/**
 * NumPy's array files as real numbers: .npy (format 1 to 3) and .npz, a zip archive of them.
 * Source: numpy.lib.format.
 */
import { readZip } from './zip.ts'
import { ThimbleError } from '../base/errors.ts'
import { halfToFloat } from '../float/values.ts'
import { elements } from '../graph/graph.ts'
import { parsePythonLiteral } from '../base/literal.ts'

/** Values in row-major order, whatever the file's order and byte order. */
export interface NumberArray {
  shape: readonly number[]
  data: Float32Array
  /** As the file writes it, e.g. `<f4`. */
  dtype: string
}

const MAGIC = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59]

export const isNpy = (bytes: Uint8Array): boolean => MAGIC.every((m, i) => bytes[i] === m)

type Read = (view: DataView, at: number, little: boolean) => number

/** By kind and width, NumPy's `b1`, `i2`, `f4`, …. */
const READERS: Record<string, Read> = {
  b1: (v, at) => Number(v.getUint8(at) !== 0),
  i1: (v, at) => v.getInt8(at),
  u1: (v, at) => v.getUint8(at),
  i2: (v, at, little) => v.getInt16(at, little),
  u2: (v, at, little) => v.getUint16(at, little),
  i4: (v, at, little) => v.getInt32(at, little),
  u4: (v, at, little) => v.getUint32(at, little),
  i8: (v, at, little) => Number(v.getBigInt64(at, little)),
  u8: (v, at, little) => Number(v.getBigUint64(at, little)),
  f2: (v, at, little) => halfToFloat(v.getUint16(at, little)),
  f4: (v, at, little) => v.getFloat32(at, little),
  f8: (v, at, little) => v.getFloat64(at, little),
}

/** What raw files may hold, as people say it, and NumPy's name for it. */
export const RAW_TYPES: Readonly<Record<string, string>> = {
  float32: '<f4',
  float16: '<f2',
  float64: '<f8',
  int8: '|i1',
  uint8: '|u1',
  int16: '<i2',
  uint16: '<u2',
  int32: '<i4',
}

const fail = (
  name: string,
  what: string,
  detail: { expected?: string | number; got?: string | number } = {},
): never => {
  throw new ThimbleError('format/npy', `${name}: ${what}`, detail)
}

interface Layout {
  read: Read
  width: number
  little: boolean
}

/** Errors: `format/npy`. */
function layoutOf(dtype: unknown, name: string): Layout {
  const match = typeof dtype === 'string' ? /^([<>|=]?)([a-zA-Z])(\d*)$/.exec(dtype) : null
  const kind = match ? match[2] + match[3]! : ''
  const read = match && Object.hasOwn(READERS, kind) ? READERS[kind] : undefined
  if (!match || !read) {
    return fail(name, 'holds no plain numbers', {
      expected: 'float, integer or bool elements',
      got: typeof dtype === 'string' ? `dtype ${dtype}` : 'records of several fields',
    })
  }
  return { read, width: Number(match[3]), little: match[1] !== '>' }
}

/** Row-major values of the elements that `bytes` begin with. Errors: `format/npy` for numbers that are not finite. */
function values(
  bytes: Uint8Array,
  shape: readonly number[],
  { read, width, little }: Layout,
  fortran: boolean,
): Float32Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const out = new Float32Array(elements(shape))
  if (!fortran) {
    for (let i = 0; i < out.length; i++) out[i] = read(view, i * width, little)
    return out
  }
  // The first index changes fastest in the file: `at` follows the row-major index through it.
  const strides = shape.map((_, d) => elements(shape.slice(0, d)))
  const index = new Array<number>(shape.length).fill(0)
  let at = 0
  for (let i = 0; i < out.length; i++) {
    out[i] = read(view, at * width, little)
    for (let d = shape.length - 1; d >= 0; d--) {
      at += strides[d]!
      if (++index[d]! < shape[d]!) break
      at -= strides[d]! * shape[d]!
      index[d] = 0
    }
  }
  return out
}

const finite = (array: NumberArray, name: string): NumberArray => {
  const at = array.data.findIndex((v) => !Number.isFinite(v))
  if (at >= 0) {
    fail(name, 'holds numbers that float32 has not, or NaN', {
      expected: 'finite numbers',
      got: `${array.data[at]} at element ${at}`,
    })
  }
  return array
}

/**
 * Reads one .npy file. `name`: what errors call it.
 * Errors: `format/npy` for damaged files, elements that are no plain numbers, and NaN.
 */
export function readNpy(bytes: Uint8Array, name: string): NumberArray {
  if (!isNpy(bytes) || bytes.length < 10) fail(name, 'is no .npy file')
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const major = bytes[6]!
  if (major < 1 || major > 3) fail(name, 'is a .npy file of a later format', { expected: '1 to 3', got: major })
  const start = major === 1 ? 10 : 12
  const length = major === 1 ? view.getUint16(8, true) : bytes.length < 12 ? NaN : view.getUint32(8, true)
  if (!(start + length <= bytes.length)) fail(name, 'ends within its header')
  let header: unknown
  try {
    header = parsePythonLiteral(new TextDecoder().decode(bytes.subarray(start, start + length)).trim())
  } catch (error) {
    throw new ThimbleError('format/npy', `${name}: the header of the .npy file is damaged`, { cause: error })
  }
  const { descr, shape, fortran_order: fortran } = (header ?? {}) as Record<string, unknown>
  if (
    !Array.isArray(shape) ||
    shape.length > 16 ||
    !shape.every((d): d is number => Number.isInteger(d) && d >= 0 && d < 2 ** 31) ||
    typeof fortran !== 'boolean'
  ) {
    return fail(name, 'the header of the .npy file is damaged')
  }
  const layout = layoutOf(descr, name)
  const want = elements(shape) * layout.width
  const have = bytes.length - start - length
  if (have !== want) {
    fail(name, 'is not as long as its header says', { expected: `${want} bytes of elements`, got: have })
  }
  const data = values(bytes.subarray(start + length), shape, layout, fortran)
  return finite({ shape, data, dtype: descr as string }, name)
}

/** The arrays of a .npz file by name, in the archive's order. Errors: `format/zip`, `format/npy`. */
export function readNpz(bytes: Uint8Array, name: string): Map<string, NumberArray> {
  const entries = [...readZip(bytes, (entry) => entry.endsWith('.npy'))]
  if (entries.length === 0) fail(name, 'has no arrays in it', { expected: 'an archive that numpy.savez wrote' })
  return new Map(
    entries.map(([entry, content]) => {
      const key = entry.slice(0, -4)
      return [key, readNpy(content, `${name}: ${key}`)]
    }),
  )
}

/** Elements of a headerless file, as one row of numbers. Errors: `format/npy`. */
export function readRaw(bytes: Uint8Array, type: string, name: string): NumberArray {
  const dtype = RAW_TYPES[type]!
  const layout = layoutOf(dtype, name)
  if (bytes.length === 0 || bytes.length % layout.width !== 0) {
    fail(name, `is no whole number of ${type} elements`, {
      expected: `a multiple of ${layout.width} bytes`,
      got: bytes.length,
    })
  }
  const shape = [bytes.length / layout.width]
  return finite({ shape, data: values(bytes, shape, layout, false), dtype }, name)
}
