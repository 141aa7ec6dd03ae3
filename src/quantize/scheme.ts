/** What activations and biases become: 8 bits with a zero point, or 16 bits around zero. Weights are int8 in both. */
import { quantizeValues } from '../float/values.ts'
import type { Op, Quantization } from '../graph/graph.ts'

/**
 * `int8`: activations of 8 bits with a zero point, biases of 32. `int16x8`: activations of 16 bits around zero, biases
 * of 64, as TensorFlow's converter writes them; four times the bits where it counts, at twice the memory and much of
 * the speed.
 */
export type SchemeName = 'int8' | 'int16x8'

export interface Scheme {
  readonly name: SchemeName
  /** Of activations, with its smallest and largest stored value. */
  readonly dtype: 'int8' | 'int16'
  readonly low: number
  readonly high: number
  readonly biasType: 'int32' | 'int64'
  /** Largest magnitude of a stored bias, so that bias + sum stays within what LiteRT adds up in. */
  readonly maxBias: number
  /** Largest input scale x filter scale over output scale, with room below what the kernels take. */
  readonly maxRescale: number
  /** The same for an input of a sum. */
  readonly maxSum: number
  /** Steps that a range is divided into. */
  readonly steps: number
  /** Per-tensor parameters whose range covers [min, max] and zero; zero is exactly representable. */
  affine(min: number, max: number): Quantization
  /** Parameters that TFLite prescribes for an op's output. */
  fixedOutput(op: Op): Quantization | undefined
}

const one = (scale: number, zero: number): Quantization => ({
  scales: Float32Array.of(scale),
  zeroPoints: Int32Array.of(zero),
  axis: 0,
})

/** Per-tensor int8 parameters whose range covers [min, max] and zero. */
export function affine(min: number, max: number): Quantization {
  const lo = Math.min(0, min)
  const hi = Math.max(0, max)
  const scale = Math.fround(hi > lo ? (hi - lo) / 255 : 1 / 255)
  return one(scale, Math.max(-128, Math.min(127, Math.round(-128 - lo / scale))))
}

function fixedOutput8(op: Op): Quantization | undefined {
  if (op.type === 'SOFTMAX' || op.type === 'LOGISTIC') return one(1 / 256, -128)
  if (op.type === 'LOG_SOFTMAX') return one(16 / 256, 127)
  return op.type === 'TANH' || op.type === 'L2_NORMALIZATION' ? one(1 / 128, 0) : undefined
}

/** Per-tensor int16 parameters without a zero point. Source: TFLite's 16x8 scheme, [-32767, 32767]. */
function symmetric(min: number, max: number): Quantization {
  const largest = Math.max(-min, max, 0)
  return one(Math.fround((largest || 1) / 32767), 0)
}

const FIXED_16 = new Set<Op['type']>(['SOFTMAX', 'LOGISTIC', 'TANH'])

export const SCHEMES: Readonly<Record<SchemeName, Scheme>> = {
  int8: {
    name: 'int8',
    dtype: 'int8',
    low: -128,
    high: 127,
    biasType: 'int32',
    maxBias: 2 ** 30,
    maxRescale: 128,
    maxSum: 2 ** 18,
    steps: 255,
    affine,
    fixedOutput: fixedOutput8,
  },
  int16x8: {
    name: 'int16x8',
    dtype: 'int16',
    low: -32768,
    high: 32767,
    biasType: 'int64',
    maxBias: 2 ** 46,
    maxRescale: 2 ** 12,
    maxSum: 2 ** 13,
    steps: 65534,
    affine: symmetric,
    fixedOutput: (op) => (FIXED_16.has(op.type) ? one(1 / 32768, 0) : undefined),
  },
}

/** Stored bytes of real values on a grid of the scheme. */
export function storedBytes(data: Float32Array, quantization: Quantization, { dtype }: Scheme): Uint8Array {
  const { buffer, byteOffset, byteLength } = quantizeValues(data, { dtype, quantization })
  return new Uint8Array(buffer, byteOffset, byteLength)
}
