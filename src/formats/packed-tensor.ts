/** Tensors as the header of a `.thimble` file describes them; packed.ts has the form. */
import { dtypeBytes, elements, type DType, type Quantization, type Tensor } from '../graph/graph.ts'
import { int32s } from '../base/words.ts'
import { checkShape } from './check-shape.ts'
import { ALIGN, headerError, isObject } from './packed-frame.ts'

export function list(value: unknown, where: string): unknown[] {
  if (!Array.isArray(value)) throw headerError(where, 'a list', value)
  return value
}

export function integers(value: unknown, where: string): number[] {
  const values = list(value, where)
  if (!values.every(Number.isInteger)) throw headerError(where, 'a list of integers', value)
  return values as number[]
}

export function object(value: unknown, where: string): Record<string, unknown> {
  if (!isObject(value)) throw headerError(where, 'an object', value)
  return value
}

/** `[offset, offset + length)` of the data part, as a view. */
export function slice(data: Uint8Array, offset: unknown, length: number, where: string): Uint8Array {
  if (
    !Number.isInteger(offset) ||
    (offset as number) < 0 ||
    (offset as number) % ALIGN !== 0 ||
    (offset as number) + length > data.length
  ) {
    throw headerError(`${where} offset`, `a multiple of ${ALIGN}, at most ${data.length - length}`, offset)
  }
  return data.subarray(offset as number, (offset as number) + length)
}

function unpackQuantization(value: unknown, data: Uint8Array, where: string): Quantization {
  const { scale, zeroPoint, scales, zeroPoints, count, axis = 0 } = object(value, where)
  if (!Number.isInteger(axis)) throw headerError(`${where} axis`, 'an integer', axis)
  if (scales === undefined) {
    if (typeof scale !== 'number' || !Number.isInteger(zeroPoint) || zeroPoint !== ((zeroPoint as number) | 0)) {
      throw headerError(where, 'a scale and a zero point', value)
    }
    return { scales: Float32Array.of(scale), zeroPoints: Int32Array.of(zeroPoint), axis: axis as number }
  }
  // The bytes must be there before anything of this size is allocated.
  if (!Number.isInteger(count) || (count as number) < 1) throw headerError(`${where} count`, 'at least 1', count)
  const words = (offset: unknown, name: string): Int32Array =>
    int32s(slice(data, offset, 4 * (count as number), `${where} ${name}`))
  return {
    scales: new Float32Array(words(scales, 'scales').buffer),
    zeroPoints: zeroPoints === undefined ? new Int32Array(count as number) : words(zeroPoints, 'zeroPoints'),
    axis: axis as number,
  }
}

const DTYPES: readonly string[] = [
  'int8',
  'uint8',
  'int16',
  'uint16',
  'int32',
  'uint32',
  'int64',
  'uint64',
  'float16',
  'float32',
  'float64',
  'bool',
  'string',
] satisfies DType[]

export function unpackTensor(value: unknown, index: number, data: Uint8Array): Tensor {
  const where = `tensor ${index}`
  const { name, shape, dtype, quantization, data: offset, initial } = object(value, where)
  if (typeof name !== 'string') throw headerError(`${where} name`, 'a string', name)
  if (typeof dtype !== 'string' || !DTYPES.includes(dtype)) {
    throw headerError(`${where} dtype`, DTYPES.join(', '), dtype)
  }
  const tensor: Tensor = { name, shape: integers(shape, `${where} shape`), dtype: dtype as DType }
  checkShape(tensor)
  if (quantization !== undefined) tensor.quantization = unpackQuantization(quantization, data, `${where} quantization`)
  if (initial !== undefined) {
    tensor.initial = slice(data, initial, elements(tensor.shape) * dtypeBytes(tensor.dtype), `${where} initial state`)
  }
  if (offset !== undefined) {
    tensor.data = slice(data, offset, elements(tensor.shape) * dtypeBytes(tensor.dtype), `${where} data`)
  }
  return tensor
}
