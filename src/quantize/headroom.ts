/**
 * How far activations' ranges should reach beyond what calibration saw, measured: ranges and channel factors come from
 * some of the photos, the errors in the outputs from the others, and every photo is one of the others once.
 */
import { floatModel } from '../float/execute.ts'
import type { Graph, Tensor } from '../graph/graph.ts'
import { thinned } from './augment.ts'
import { equalize } from './equalize.ts'
import { type TensorStats, without } from './observe.ts'
import { probedOutputs } from './outputs.ts'
import { isFloat } from './prepare.ts'
import { activationGrids } from './ranges.ts'
import type { Scheme } from './scheme.ts'
import type { Sensitivity } from './sensitivity.ts'

/** Factors to choose from. A larger one is tried only if the one before it has gained. */
const FACTORS = [1, 1.15, 1.3] as const

/**
 * Share of the error that the next factor must leave at most: it costs every photo a little, what it gains comes from
 * few of them, and part of the gain is that three quarters of the photos show less than all do.
 */
const WORTH = 0.8

/** Parts that the photos are split into, each left out once. */
const FOLDS = 4

/** At most so many inputs are compared. */
const COMPARED = 32

export interface HeadroomOptions {
  scheme: Scheme
  samples: readonly (readonly Float32Array[])[]
  photoOf: readonly number[]
  /** Range of the first input in real units, where it is known. */
  input?: readonly [number, number] | undefined
  /** What channels are evened with, and the factors of all photos; none where they are not evened. */
  even?: { sensitivity: Sensitivity; factors: ReadonlyMap<number, Float64Array> } | undefined
  progress?: (done: number, total: number) => void
}

/** The graph with its activations on grids; weights stay float. */
function onGrids(
  { graph, stats }: { graph: Graph; stats: Map<number, TensorStats> },
  beyond: number,
  { scheme, input }: HeadroomOptions,
): Graph {
  const grids = activationGrids(graph, stats, { scheme, beyond, input })
  const tensors = graph.tensors.map((t, i): Tensor => {
    const quantization = grids.get(i)
    return quantization && isFloat(graph, i) ? { ...t, dtype: scheme.dtype, quantization } : t
  })
  return { ...graph, tensors, outputs: probedOutputs(graph) }
}

/** Squared error of each output over that output's sum of squares, added up. */
function relativeError(want: readonly (readonly Float32Array[])[], got: readonly (readonly Float32Array[])[]): number {
  const [signal, noise] = [new Float64Array(want[0]!.length), new Float64Array(want[0]!.length)]
  want.forEach((outputs, i) =>
    outputs.forEach((w, o) => {
      const g = got[i]![o]!
      for (let k = 0; k < w.length; k++) {
        signal[o]! += w[k]! * w[k]!
        noise[o]! += (w[k]! - g[k]!) ** 2
      }
    }),
  )
  return noise.reduce((sum, n, o) => sum + (signal[o]! > 0 ? n / signal[o]! : 0), 0)
}

/**
 * The factor of the ranges with the least error in the outputs on photos that the ranges do not know; 1 with a single
 * photo, of which there is nothing to leave out. `source`: before its channels are evened; `stats`: of all inputs.
 */
export function headroom(source: Graph, stats: Map<number, TensorStats>, options: HeadroomOptions): number {
  const { samples, photoOf, scheme, even, progress } = options
  const photos = [...new Set(photoOf)]
  const count = Math.min(FOLDS, photos.length)
  if (count < 2) return 1
  const compared = thinned(
    samples.map((_, i) => i),
    COMPARED,
  )
  const folds = Array.from({ length: count }, (_, f) => {
    const left = new Set(photos.filter((_, i) => i % count === f))
    const seen = without(stats, left)
    return {
      inputs: compared.filter((i) => left.has(photoOf[i]!)),
      made: even
        ? equalize(source, seen, even.sensitivity, { scheme, from: even.factors })
        : { graph: source, stats: seen },
    }
  })
  const float = floatModel({ ...source, outputs: probedOutputs(source) })
  const order = folds.flatMap(({ inputs }) => inputs)
  const want = order.map((i) => float.run(samples[i]!))
  const errorAt = (beyond: number): number => {
    const got = folds.flatMap(({ inputs, made }) => {
      const model = floatModel(onGrids(made, beyond, options))
      return inputs.map((i) => model.run(samples[i]!))
    })
    return relativeError(want, got)
  }
  let [best, error] = [1, Infinity]
  for (const [k, beyond] of FACTORS.entries()) {
    const tried = errorAt(beyond)
    progress?.(k + 1, FACTORS.length)
    if (tried >= WORTH * error) break
    best = beyond
    error = tried
  }
  progress?.(FACTORS.length, FACTORS.length)
  return best
}
