/**
 * How much an error on each activation or weight costs in the output: gradients of random directions of the output,
 * over the calibration inputs. With g the gradient of v . output for a random sign vector v, the expectation of
 * (g . e)^2 is the squared length of the output's change under a small error e (Hutchinson's estimator).
 */
import { backward, weightGradient } from '../float/backward.ts'
import { floatModel } from '../float/execute.ts'
import { addColumns } from '../float/wasm.ts'
import type { Graph } from '../graph/graph.ts'
import { random } from './augment.ts'
import { isWeighted } from './channel-groups.ts'
import { probedOutputs } from './outputs.ts'

export interface Sensitivity {
  /**
   * Mean over inputs and probes of the squared gradient, summed over positions that are not zero: [channels] by tensor.
   */
  activations: Map<number, Float64Array>
  /** Mean squared gradient of each weight, in filter order, by index of the op in graph.ops. */
  weights: Map<number, Float32Array>
}

/** Random directions per calibration input. Two cost half as much time again as all else and gain 0.1 dB. */
const PROBES = 1

/** Random signs for every output; each output of several counts by its own size. */
function direction(
  outputs: readonly number[],
  of: (t: number) => Float32Array,
  next: () => number,
): Map<number, Float32Array> {
  return new Map(
    outputs.map((t) => {
      const y = of(t)
      const size = outputs.length === 1 ? 1 : Math.sqrt(y.reduce((s, v) => s + v * v, 0)) || 1
      return [t, Float32Array.from({ length: y.length }, () => (next() < 0.5 ? -1 : 1) / size)]
    }),
  )
}

/**
 * Measures what noise on every activation channel and every weight costs in the outputs. Tensors from which no path to
 * an output can be differentiated are absent.
 */
export function sensitivity(
  graph: Graph,
  samples: readonly (readonly Float32Array[])[],
  seed: number,
  progress?: (done: number) => void,
): Sensitivity {
  const model = floatModel(graph)
  const outputs = probedOutputs(graph)
  const next = random(seed)
  const activations = new Map<number, Float64Array>()
  const weights = new Map<number, Float32Array>()
  samples.forEach((sample, i) => {
    const values = new Map<number, Float32Array>()
    model.run(sample, (t, data) => values.set(t, data))
    const of = (t: number): Float32Array => values.get(t) ?? model.constant(t)
    for (let p = 0; p < PROBES; p++) {
      const { tensors, preactivation } = backward(model, of, direction(outputs, of, next))
      for (const [t, g] of tensors) {
        const sum = activations.get(t) ?? new Float64Array(graph.tensors[t]!.shape.at(-1) ?? 1)
        // Squares per channel. Zero is exactly representable: values that are zero have no rounding noise.
        addColumns(sum, of(t), g)
        activations.set(t, sum)
      }
      for (const [k, g] of preactivation) {
        const op = graph.ops[k]!
        const w = isWeighted(op) ? weightGradient(graph, op, of(op.inputs[0]!), g) : undefined
        if (w) addSquares(weights, k, w, graph)
      }
    }
    progress?.(i + 1)
  })
  const count = samples.length * PROBES
  for (const sum of [...activations.values(), ...weights.values()]) {
    for (let k = 0; k < sum.length; k++) sum[k]! /= count
  }
  return { activations, weights }
}

/** Adds squares of a [K, O] gradient to sums in filter order [O, K]. */
function addSquares(sums: Map<number, Float32Array>, k: number, g: Float64Array, graph: Graph): void {
  const O = graph.tensors[graph.ops[k]!.inputs[1]!]!.shape[0]!
  const K = g.length / O
  let sum = sums.get(k)
  if (!sum) sums.set(k, (sum = new Float32Array(g.length)))
  for (let i = 0; i < K; i++) {
    for (let r = 0; r < O; r++) {
      const v = g[i * O + r]!
      sum[r * K + i]! += v * v
    }
  }
}
