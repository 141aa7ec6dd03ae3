/** Constants as float32, the grids of quantized tensors, and what a fused activation makes of values. */
import { ThimbleError } from '../base/errors.ts'
import { elements, tensorBytes, type Activation, type Quantization, type Tensor } from '../graph/graph.ts'
import { roundEven } from '../base/round.ts'

/** Smallest and largest stored value of an integer dtype. */
function integerRange(dtype: Tensor['dtype']): readonly [number, number] {
  switch (dtype) {
    case 'int8':
      return [-128, 127]
    case 'uint8':
      return [0, 255]
    case 'int16':
      return [-32768, 32767]
    case 'uint16':
      return [0, 65535]
    default:
      return [-2147483648, 2147483647]
  }
}

/** IEEE half bits to number. */
export function halfToFloat(h: number): number {
  const sign = h & 0x8000 ? -1 : 1
  const exponent = (h >> 10) & 31
  const fraction = h & 1023
  if (exponent === 0) return sign * fraction * 2 ** -24
  if (exponent === 31) return fraction ? NaN : sign * Infinity
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15)
}

/** Stored numbers of a constant, before scale and zero point. */
function storedValues(t: Tensor): Float64Array {
  const count = elements(t.shape)
  if (!t.data || t.data.length < tensorBytes(t)) {
    throw new ThimbleError('format/tensor', 'constant has no data', { tensor: t.name })
  }
  const view = new DataView(t.data.buffer, t.data.byteOffset, t.data.byteLength)
  const out = new Float64Array(count)
  for (let i = 0; i < count; i++) out[i] = readNumber(view, t, i)
  return out
}

function readNumber(view: DataView, t: Tensor, i: number): number {
  switch (t.dtype) {
    case 'float32':
      return view.getFloat32(4 * i, true)
    case 'float64':
      return view.getFloat64(8 * i, true)
    case 'float16':
      return halfToFloat(view.getUint16(2 * i, true))
    case 'int8':
      return view.getInt8(i)
    case 'uint8':
    case 'bool':
      return view.getUint8(i)
    case 'int16':
      return view.getInt16(2 * i, true)
    case 'uint16':
      return view.getUint16(2 * i, true)
    case 'int32':
      return view.getInt32(4 * i, true)
    case 'uint32':
      return view.getUint32(4 * i, true)
    case 'int64':
      return Number(view.getBigInt64(8 * i, true))
    case 'uint64':
      return Number(view.getBigUint64(8 * i, true))
    default:
      throw new ThimbleError('format/tensor', `dtype ${t.dtype} holds no numbers`, { tensor: t.name })
  }
}

/** Real values of a constant: stored numbers, or scale * (q - zeroPoint) along its axis when it is quantized. */
export function realValues(t: Tensor): Float32Array {
  const q = t.quantization
  if (t.dtype === 'float32' && !q) {
    if (!t.data || t.data.length < tensorBytes(t)) {
      throw new ThimbleError('format/tensor', 'constant has no data', { tensor: t.name })
    }
    return new Float32Array(t.data.slice(0, tensorBytes(t)).buffer)
  }
  const stored = storedValues(t)
  const out = new Float32Array(stored.length)
  if (!q) {
    out.set(stored)
    return out
  }
  const inner = elements(t.shape.slice(q.axis + 1))
  const channels = q.scales.length
  for (let i = 0; i < out.length; i++) {
    const c = channels === 1 ? 0 : Math.floor(i / inner) % channels
    out[i] = q.scales[c]! * (stored[i]! - q.zeroPoints[c]!)
  }
  return out
}

/** Moves every value to the nearest point of a per-tensor grid, in place. */
export function snap(data: Float32Array, q: Quantization, dtype: Tensor['dtype']): void {
  const scale = q.scales[0]!
  const zero = q.zeroPoints[0]!
  const [first, last] = integerRange(dtype)
  const lo = first - zero
  const hi = last - zero
  for (let i = 0; i < data.length; i++) {
    const v = roundEven(data[i]! / scale)
    data[i] = scale * (v < lo ? lo : v > hi ? hi : v)
  }
}

/** Real values to stored numbers of a per-tensor quantized tensor. */
export function quantizeValues(
  data: ArrayLike<number>,
  t: Pick<Tensor, 'quantization' | 'dtype'>,
): Int8Array | Uint8Array | Int16Array {
  const q = t.quantization
  if (!q) throw new ThimbleError('lower/quantization', 'tensor is not quantized')
  const [lo, hi] = integerRange(t.dtype)
  const out =
    t.dtype === 'int8'
      ? new Int8Array(data.length)
      : t.dtype === 'uint8'
        ? new Uint8Array(data.length)
        : new Int16Array(data.length)
  const scale = q.scales[0]!
  const zero = q.zeroPoints[0]!
  for (let i = 0; i < out.length; i++) out[i] = Math.min(hi, Math.max(lo, roundEven(data[i]! / scale) + zero))
  return out
}

/** Real values of a tensor by index. */
export type Values = (tensor: number) => Float32Array

/** Bounds of a fused activation; undefined for none. */
export function bounds(activation: Activation): readonly [number, number] | undefined {
  switch (activation) {
    case 'RELU':
      return [0, Infinity]
    case 'RELU6':
      return [0, 6]
    case 'RELU_N1_TO_1':
      return [-1, 1]
    default:
      return undefined
  }
}

/** Clamps in place to a fused activation's bounds. */
export function activate(data: Float32Array, activation: Activation): void {
  const limits = bounds(activation)
  if (!limits) return
  const [lo, hi] = limits
  for (let i = 0; i < data.length; i++) data[i] = Math.min(Math.max(data[i]!, lo), hi)
}
