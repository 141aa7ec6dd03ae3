/** Constants of any stored type as float32 or plain integers, and permutations of them. */
import { ThimbleError } from '../base/errors.ts'
import { elements, tensorBytes, type Tensor } from '../graph/graph.ts'
import { halfToFloat, realValues } from '../float/values.ts'

/** Little-endian elements of a dtype, as numbers. */
export function decodeNumbers(dtype: Tensor['dtype'], bytes: Uint8Array, count: number): (i: number) => number {
  if (bytes.byteLength < tensorBytes({ shape: [count], dtype })) {
    throw new ThimbleError('format/constant', 'constant is shorter than its shape', {
      expected: tensorBytes({ shape: [count], dtype }),
      got: bytes.byteLength,
    })
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  switch (dtype) {
    case 'float32':
      return (i) => view.getFloat32(4 * i, true)
    case 'float64':
      return (i) => view.getFloat64(8 * i, true)
    case 'float16':
      return (i) => halfToFloat(view.getUint16(2 * i, true))
    case 'int8':
      return (i) => view.getInt8(i)
    case 'uint8':
    case 'bool':
      return (i) => view.getUint8(i)
    case 'int16':
      return (i) => view.getInt16(2 * i, true)
    case 'uint16':
      return (i) => view.getUint16(2 * i, true)
    case 'int32':
      return (i) => view.getInt32(4 * i, true)
    case 'uint32':
      return (i) => view.getUint32(4 * i, true)
    case 'int64':
      return (i) => Number(view.getBigInt64(8 * i, true))
    case 'uint64':
      return (i) => Number(view.getBigUint64(8 * i, true))
    default:
      throw new ThimbleError('format/constant', `constants of type ${dtype} are not read`)
  }
}

/** Real values of a constant tensor: quantized ones dequantized, per tensor or per channel. */
export const floatsOf = (t: Tensor): Float32Array => {
  decodeNumbers(t.dtype, t.data ?? new Uint8Array(0), elements(t.shape))
  return realValues(t)
}

/** Moves axis `permutation[i]` to place `i`, as numpy's transpose does. Any typed array. */
export function transpose<T extends Float32Array | Int8Array | Uint8Array | Int32Array>(
  data: T,
  shape: readonly number[],
  permutation: readonly number[],
): { shape: number[]; data: T } {
  const rank = shape.length
  const strides = new Array<number>(rank).fill(1)
  for (let i = rank - 2; i >= 0; i--) strides[i] = strides[i + 1]! * shape[i + 1]!
  const outShape = permutation.map((p) => shape[p]!)
  const step = permutation.map((p) => strides[p]!)
  const out = data.slice() as T
  const index = new Array<number>(rank).fill(0)
  let from = 0
  for (let i = 0; i < out.length; i++) {
    out[i] = data[from]!
    for (let d = rank - 1; d >= 0; d--) {
      from += step[d]!
      if (++index[d]! < outShape[d]!) break
      from -= step[d]! * outShape[d]!
      index[d] = 0
    }
  }
  return { shape: outShape, data: out }
}
