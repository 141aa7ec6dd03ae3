/** Per-channel symmetric int8 weights and their bias. */
import { roundEven } from '../base/round.ts'
import { littleEndian } from '../base/words.ts'
import type { Scheme } from './scheme.ts'

/** A weighted op's constants as one matrix: row = output channel, column = tap x input channel in filter order. */
export interface Matrix {
  rows: number
  columns: number
  data: Float32Array
}

export interface QuantizedMatrix {
  rows: number
  columns: number
  /** Values in [-127, 127], row-major. */
  q: Int8Array
  /** Per row. */
  scales: Float32Array
}

/** Largest stored weight: -128 is not used, so that a product of two bytes never overflows 16 bits. */
export const QMAX = 127

/** Depthwise filters [1,kh,kw,C] are stored channel-last; the quantizer wants one row per channel. */
export function toRows(filter: Float32Array, channels: number, channelLast: boolean): Matrix {
  const columns = filter.length / channels
  if (!channelLast) return { rows: channels, columns, data: filter.slice() }
  const data = new Float32Array(filter.length)
  for (let k = 0; k < columns; k++) for (let c = 0; c < channels; c++) data[c * columns + k] = filter[k * channels + c]!
  return { rows: channels, columns, data }
}

/** Inverse of `toRows`, for stored values. */
export function fromRows<T extends Int8Array | Float32Array>(data: T, rows: number, channelLast: boolean): T {
  if (!channelLast) return data
  const columns = data.length / rows
  const out = data.slice() as T
  for (let k = 0; k < columns; k++) for (let c = 0; c < rows; c++) out[k * rows + c] = data[c * columns + k]!
  return out
}

/** Scale of a row that is all zero (a dead channel): any positive number works; this keeps the bias in range. */
const EMPTY_SCALE = 1 / QMAX

/** The largest magnitude a stored bias may have, so that bias + sum stays in int32. */
const MAX_BIAS = 2 ** 30

/** Least scale of a row: its product with an activation's (at least as large) is a normal float32. */
const LEAST_SCALE = 2 ** -60

/** A row's scale, raised where its stored bias would not fit (with room for a corrected bias). */
export const fitScale = (scale: number, bias: number, inputScale: number, maxBias = MAX_BIAS): number =>
  Math.fround(Math.max(scale || EMPTY_SCALE, LEAST_SCALE, (4 * Math.abs(bias)) / (maxBias * inputScale)))

/** Real values of stored rows. */
export function dequantizeRows({ rows, columns, q, scales }: QuantizedMatrix): Float32Array {
  const out = new Float32Array(q.length)
  for (let r = 0; r < rows; r++) for (let k = r * columns; k < (r + 1) * columns; k++) out[k] = q[k]! * scales[r]!
  return out
}

/** bias / (inputScale * scale), rounded. Each at most `maxBias`. */
const biasSteps = (bias: Float32Array, scales: Float32Array, inputScale: number, maxBias: number): Float64Array =>
  Float64Array.from(bias, (b, r) =>
    Math.max(-maxBias, Math.min(maxBias, roundEven(b / Math.fround(inputScale * scales[r]!)))),
  )

/** bias / (inputScale * scale) as int32. */
export const quantizeBias = (bias: Float32Array, scales: Float32Array, inputScale: number): Int32Array =>
  Int32Array.from(biasSteps(bias, scales, inputScale, MAX_BIAS))

/** The same in a scheme's own type, as stored. */
export function storedBias(bias: Float32Array, scales: Float32Array, inputScale: number, scheme: Scheme): Uint8Array {
  const steps = biasSteps(bias, scales, inputScale, scheme.maxBias)
  return littleEndian(
    scheme.biasType === 'int32' ? Int32Array.from(steps) : BigInt64Array.from(Array.from(steps, BigInt)),
  )
}
