/**
 * Grids that the runtime takes: an output whose steps are too small beside its inputs' asks for a multiplier that
 * LiteRT has no form for. Such an output gets larger steps.
 */
import type { FloatModel } from '../float/execute.ts'
import type { Graph, Op, Quantization } from '../graph/graph.ts'
import { isLayer, operandsOf } from './channel-groups.ts'
import type { Scheme } from './scheme.ts'
import { fitScale, QMAX } from './weights.ts'

/** Least scale of an activation: products of two keep above the smallest float32. */
const LEAST = 2 ** -60

/** Largest scale that a filter's channels can get, by `quantizeLayer`'s rule, before weights are corrected. */
function largestFilterScale(constant: FloatModel['constant'], op: Op, input: number, scheme: Scheme): number {
  if (!isLayer(op)) return 0
  const at = operandsOf(op)
  const [filter, bias] = [constant(op.inputs[at.filter]!), constant(op.inputs[at.bias]!)]
  const channels = bias.length
  const each = filter.length / channels
  const largest = new Float64Array(channels)
  const depthwise = op.type === 'DEPTHWISE_CONV_2D'
  filter.forEach((v, i) => {
    const c = depthwise ? i % channels : Math.floor(i / each)
    largest[c] = Math.max(largest[c]!, Math.abs(v))
  })
  return largest.reduce((most, v, c) => Math.max(most, fitScale(v / QMAX, bias[c]!, input, scheme.maxBias)), 0)
}

/** The least scale of an op's output that it can be run with, `inputs` being those of its activations. */
function leastScale(op: Op, inputs: readonly number[], filter: number, scheme: Scheme): number {
  const largest = inputs.reduce((a, b) => Math.max(a, b), 0)
  if (isLayer(op)) return (inputs[0]! * filter) / scheme.maxRescale
  switch (op.type) {
    // Fixed point of 16 bits, of which the input takes the upper part.
    case 'HARD_SWISH':
      return largest / 64
    case 'ADD':
    case 'SUB':
      return largest / scheme.maxSum
    case 'SQUARED_DIFFERENCE':
      return (4 * largest * largest) / 2 ** 13
    default:
      return 0
  }
}

/**
 * Raises scales in `grids`, of all tensors on a grid together, until every op can be run. Grids that TFLite prescribes
 * stay.
 * Requires: tensors that must share a grid have one object.
 */
export function fitGrids(model: FloatModel, grids: Map<number, Quantization>, scheme: Scheme): void {
  const { ops }: Graph = model.graph
  const prescribed = new Set(ops.filter((op) => scheme.fixedOutput(op)).map((op) => grids.get(op.outputs[0]!)))
  const raise = (t: number, least: number): boolean => {
    const q = grids.get(t)
    if (!q || q.scales[0]! >= least || prescribed.has(q)) return false
    const wider: Quantization = { ...q, scales: Float32Array.of(least) }
    for (const [other, grid] of grids) if (grid === q) grids.set(other, wider)
    return true
  }
  for (const t of grids.keys()) raise(t, LEAST)
  // Filters and their inputs' scales do not depend on the output: as many rounds as grids can follow one another.
  for (let round = 0, changed = true; changed && round < ops.length; round++) {
    changed = false
    for (const op of ops) {
      const from = isLayer(op) ? [op.inputs[operandsOf(op).x]!] : op.inputs
      const inputs = from.flatMap((t) => grids.get(t)?.scales[0] ?? [])
      if (inputs.length === 0) continue
      const filter = largestFilterScale(model.constant, op, inputs[0]!, scheme)
      changed = raise(op.outputs[0]!, leastScale(op, inputs, filter, scheme)) || changed
    }
  }
}
