/** HDF5 datatypes and dataspaces, and bytes of them as values. */
import { bad, utf8, type Cursor, type Hdf5Bytes } from './reader.ts'

/** Elements that the models of Keras hold. */
export type Hdf5Type =
  | { kind: 'int' | 'uint' | 'float'; bytes: number; bigEndian: boolean }
  /** Fixed length, ended or padded by zeros or spaces. */
  | { kind: 'string'; bytes: number }
  /** Of any length, in the global heap. */
  | { kind: 'text'; bytes: number }
  | { kind: 'other'; bytes: number; what: string }

const CLASSES = [
  'int',
  'float',
  'time',
  'string',
  'bit field',
  'opaque',
  'compound',
  'reference',
  'enum',
  'list',
  'array',
]

/** Datatype message, sections IV.A.2.d. */
export function readType(c: Cursor): Hdf5Type {
  const head = c.u8()
  const flags = c.uint(3)
  const bytes = c.u32()
  const what = CLASSES[head & 15] ?? `class ${head & 15}`
  switch (what) {
    case 'int':
      c.skip(4)
      if (bytes > 8) break
      return { kind: flags & 8 ? 'int' : 'uint', bytes, bigEndian: (flags & 1) === 1 }
    case 'float':
      c.skip(12)
      if (bytes !== 2 && bytes !== 4 && bytes !== 8) break
      return { kind: 'float', bytes, bigEndian: (flags & 1) === 1 }
    case 'string':
      return { kind: 'string', bytes }
    case 'enum':
      // Booleans of h5py: an enumeration of one byte.
      return { ...readType(c), bytes }
    case 'list':
      if ((flags & 15) === 1) return { kind: 'text', bytes }
  }
  return { kind: 'other', bytes, what }
}

/** Dataspace message, section IV.A.2.b: sizes, outermost first; [] for a scalar. */
export function readShape(c: Cursor): number[] {
  const version = c.u8()
  const rank = c.u8()
  const flags = c.u8()
  if (rank > 32) bad('a dataset has an impossible rank', `${rank}`)
  if (version === 1) c.skip(5)
  else if (version === 2) {
    if (c.u8() === 2) return [0]
  } else bad('unknown dataspace version', `${version}`)
  const shape = Array.from({ length: rank }, () => c.length())
  if (flags & 1) c.skip(rank * c.file.lengthBytes)
  return shape
}

/** Elements of a shape. Errors: `format/hdf5` for more than the file could ever describe. */
export function countOf(shape: readonly number[]): number {
  const count = shape.reduce((a, b) => a * b, 1)
  if (!(count <= 2 ** 31)) bad('a dataset is too large', shape.join('x'))
  return count
}

/** IEEE 754 half precision. */
function half(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1
  const exponent = (bits >> 10) & 31
  const fraction = bits & 1023
  if (exponent === 0) return sign * fraction * 2 ** -24
  if (exponent === 31) return fraction ? NaN : sign * Infinity
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15)
}

/** `count` numbers as float32. Errors: `format/hdf5` for elements that are no numbers. */
export function readNumbers(type: Hdf5Type, data: Uint8Array, count: number): Float32Array {
  if (type.kind !== 'int' && type.kind !== 'uint' && type.kind !== 'float') {
    return bad('a dataset does not hold numbers', type.kind === 'other' ? type.what : type.kind)
  }
  const { kind, bytes, bigEndian } = type
  if (data.length < count * bytes) bad('a dataset is cut off', `${data.length} of ${count * bytes} bytes`)
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength)
  const little = !bigEndian
  const out = new Float32Array(count)
  for (let i = 0; i < count; i++) {
    const at = i * bytes
    if (kind !== 'float') out[i] = integer(data.subarray(at, at + bytes), little, kind === 'int')
    else if (bytes === 4) out[i] = view.getFloat32(at, little)
    else if (bytes === 8) out[i] = view.getFloat64(at, little)
    else out[i] = half(view.getUint16(at, little))
  }
  return out
}

function integer(bytes: Uint8Array, little: boolean, signed: boolean): number {
  const n = bytes.length
  let value = 0n
  for (let i = 0; i < n; i++) value = (value << 8n) | BigInt(bytes[little ? n - 1 - i : i]!)
  return Number(signed ? BigInt.asIntN(n * 8, value) : value)
}

/** `count` strings. Errors: `format/hdf5` for elements that are no text. */
export function readStrings(file: Hdf5Bytes, type: Hdf5Type, data: Cursor, count: number): string[] {
  if (type.kind === 'string') {
    return Array.from({ length: count }, () => utf8(data.take8(type.bytes)).replace(/[\0 ]*$/, ''))
  }
  if (type.kind !== 'text') return bad('an attribute is not text', type.kind === 'other' ? type.what : type.kind)
  return Array.from({ length: count }, () => {
    const length = data.u32()
    const collection = data.address()
    const index = data.u32()
    return length === 0 || !collection ? '' : heapText(file, collection, index, length)
  })
}

/** An object of a global heap collection, section III.E. */
function heapText(file: Hdf5Bytes, address: number, index: number, length: number): string {
  const c = file.at(address).signature('GCOL').skip(4)
  const start = c.position - 8
  const size = c.length()
  const heap = file
    .at(address)
    .slice(Math.min(size, file.bytes.length - start))
    .skip(8 + file.lengthBytes)
  while (heap.left >= 8 + file.lengthBytes) {
    const found = heap.u16()
    heap.skip(6)
    const bytes = heap.length()
    if (found === 0) break
    if (found === index) return utf8(heap.take8(Math.min(length, bytes)))
    heap.skip(Math.ceil(bytes / 8) * 8)
  }
  return bad('text is missing from the heap', `object ${index}`)
}
