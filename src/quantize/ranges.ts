/** Choice of an activation's 8-bit range from a sample of its values. */
import type { Quantization } from '../graph.ts'

export type RangeMethod = 'minmax' | 'percentile' | 'mse'

/** Fraction of values that `percentile` leaves outside at each end. */
const TAIL = 1e-4

/** Per-tensor int8 parameters whose range covers [min, max] and zero; zero is exactly representable. */
export function affine(min: number, max: number): Quantization {
  const lo = Math.min(0, min)
  const hi = Math.max(0, max)
  const scale = Math.fround(hi > lo ? (hi - lo) / 255 : 1 / 255)
  const zero = Math.max(-128, Math.min(127, Math.round(-128 - lo / scale)))
  return { scales: Float32Array.of(scale), zeroPoints: Int32Array.of(zero), axis: 0 }
}

/** Mean squared error of putting `values` (sorted or not) on a grid. */
function gridError(values: Float32Array, min: number, max: number): number {
  const { scales: [scale], zeroPoints: [zero] } = affine(min, max) as { scales: ArrayLike<number> & Iterable<number>; zeroPoints: ArrayLike<number> & Iterable<number> }
  const inverse = 1 / scale!
  let sum = 0
  for (let i = 0; i < values.length; i++) {
    const v = values[i]!
    let q = Math.round(v * inverse) + zero!
    q = q < -128 ? -128 : q > 127 ? 127 : q
    const e = v - (q - zero!) * scale!
    sum += e * e
  }
  return sum / values.length
}

/** Largest error-minimizing shrink of [min, max]: each end is narrowed in turn on a fixed grid of fractions. */
function searchMse(values: Float32Array, min: number, max: number): [number, number] {
  let best = gridError(values, min, max)
  let range: [number, number] = [min, max]
  for (let round = 0; round < 2; round++) {
    for (const end of [1, 0] as const) {
      const from = range[end]
      if (from === 0) continue
      for (let f = 0.98; f >= 0.3; f -= 0.02) {
        const trial: [number, number] = end ? [range[0], from * f] : [from * f, range[1]]
        const error = gridError(values, trial[0], trial[1])
        if (error < best) { best = error; range = trial }
        else if (error > 2 * best) break
      }
    }
  }
  return range
}

/**
 * The real range that a tensor's 8 bits should cover.
 * `bounds` are the exact extremes over calibration; `values` a sample of them.
 */
export function chooseRange(method: RangeMethod, values: Float32Array, bounds: readonly [number, number]): [number, number] {
  const [min, max] = bounds
  if (method === 'minmax' || values.length === 0) return [min, max]
  if (method === 'percentile') {
    const sorted = values.slice().sort()
    const at = (p: number): number => sorted[Math.min(sorted.length - 1, Math.max(0, Math.round(p * (sorted.length - 1))))]!
    return [at(TAIL), at(1 - TAIL)]
  }
  const [lo, hi] = [Math.min(0, min), Math.max(0, max)]
  return searchMse(values, lo, hi)
}
