/** Real values of raw outputs, and the small arithmetic that heads share. No dependencies. */
import { ThimbleError } from '../base/errors.ts'
import { elements } from '../graph/graph.ts'
import type { TensorInfo, TypedArray } from '../graph/types.ts'

/** Real values of one raw output, dequantized by its own scale and zero point. */
export function dequantized(raw: TypedArray, { scale, zeroPoint }: TensorInfo): Float32Array {
  return Float32Array.from(raw as ArrayLike<number>, (v) => (scale > 0 ? (v - zeroPoint) * scale : Number(v)))
}

export const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x))

/** Probabilities of `count` logits from `at` on. */
export function softmax(values: ArrayLike<number>, at = 0, count = values.length): number[] {
  const logits = Array.from({ length: count }, (_, i) => values[at + i]!)
  const most = logits.reduce((a, b) => Math.max(a, b), -Infinity)
  const powers = logits.map((v) => Math.exp(v - most))
  const sum = powers.reduce((a, b) => a + b, 0)
  return powers.map((p) => p / sum)
}

/** Index of the largest of `count` values from `at` on, `step` apart; the first among equals. */
export function argMax(values: ArrayLike<number>, at: number, count: number, step = 1): number {
  let best = 0
  for (let i = 1; i < count; i++) if (values[at + i * step]! > values[at + best * step]!) best = i
  return best
}

/**
 * Whether no cell within `reach` (1) cells of cell `i` has more heat, in one class of a map [rows, columns, classes
 * (1)].
 */
export function isPeak(
  heat: ArrayLike<number>,
  map: { rows: number; columns: number; classes?: number; reach?: number },
  i: number,
  c = 0,
): boolean {
  const { rows, columns, classes = 1, reach = 1 } = map
  const [x, y] = [i % columns, Math.floor(i / columns)]
  const own = heat[i * classes + c]!
  for (let v = Math.max(0, y - reach); v <= Math.min(rows - 1, y + reach); v++) {
    for (let u = Math.max(0, x - reach); u <= Math.min(columns - 1, x + reach); u++) {
      if (heat[(v * columns + u) * classes + c]! > own) return false
    }
  }
  return true
}

/** The largest real value that an output of 8 or 16 bits can hold; undefined for other outputs. */
export function largestValue({ dtype, scale, zeroPoint }: TensorInfo): number | undefined {
  const largest = dtype === 'int8' ? 127 : dtype === 'uint8' ? 255 : dtype === 'int16' ? 32767 : undefined
  return scale > 0 && largest !== undefined ? (largest - zeroPoint) * scale : undefined
}

/** The smallest real value that an output of 8 or 16 bits can hold; undefined for other outputs. */
export function smallestValue({ dtype, scale, zeroPoint }: TensorInfo): number | undefined {
  const smallest = dtype === 'int8' ? -128 : dtype === 'uint8' ? 0 : dtype === 'int16' ? -32768 : undefined
  return scale > 0 && smallest !== undefined ? (smallest - zeroPoint) * scale : undefined
}

/** True when no value of the output can lie outside 0..1: a softmax's or sigmoid's quantization. */
export function holdsProbabilities(t: TensorInfo): boolean {
  if (t.dtype === 'int16') return t.zeroPoint === 0 && t.scale === 1 / 32768
  const most = largestValue(t)
  return most !== undefined && most <= 1.01 && t.zeroPoint === (t.dtype === 'int8' ? -128 : 0)
}

/** Dimensions without the leading ones. */
export function inner(shape: readonly number[]): readonly number[] {
  let at = 0
  while (at < shape.length - 1 && shape[at] === 1) at++
  return shape.slice(at)
}

/** What an error says of a model's outputs. */
export const shapesOf = (outputs: readonly TensorInfo[]): string =>
  outputs.map((o) => `[${o.shape.join(', ')}]`).join(', ')

/**
 * The output with this many elements in its last dimension and altogether, the first behind `after`. Errors:
 * `format/shape`.
 */
export function outputOf(
  outputs: readonly TensorInfo[],
  { last, total }: { last: number; total: number },
  what: string,
  after = -1,
): number {
  const index = outputs.findIndex((o, i) => i > after && o.shape.at(-1) === last && elements(o.shape) === total)
  if (index < 0) {
    throw new ThimbleError('format/shape', `no output holds the detector's ${what}`, {
      expected: `[..., ${last}] of ${total} values`,
      got: shapesOf(outputs),
    })
  }
  return index
}

/** Refuses outputs that a head can't be. Errors: `format/shape`. */
export function wrongOutputs(kind: string, expected: string, outputs: readonly TensorInfo[]): never {
  throw new ThimbleError('format/shape', `the outputs are not those of a ${kind} head`, {
    expected,
    got: shapesOf(outputs),
    hint: 'inspect shows the head that fits; --head names another',
  })
}
