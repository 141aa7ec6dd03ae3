/**
 * Ranges of results that are known better than a few calibration photos show: ages beyond theirs, scores of either
 * sign.
 */
import type { Graph, Tensor } from '../../src/graph/graph.ts'
import { affine } from '../../src/quantize/scheme.ts'

/** Ops whose result lies on the grid of what they are given. */
const MOVES = new Set(['RESHAPE', 'CONCATENATION'])

/**
 * An int8 graph whose named tensors cover the given ranges of real values. What is quantized stays the same but for
 * the last rounding. Requires: tensors made by convolutions or fully connected layers, directly or moved by reshape and
 * concatenation.
 */
export function withRanges(graph: Graph, ranges: Readonly<Record<string, readonly [number, number]>>): Graph {
  const tensors: Tensor[] = [...graph.tensors]
  const set = (t: number, range: readonly [number, number]): void => {
    const made = graph.ops.find((op) => op.outputs.includes(t))
    if (!made) throw new Error(`${tensors[t]!.name} is made by no op`)
    tensors[t] = { ...tensors[t]!, quantization: affine(...range) }
    if (MOVES.has(made.type)) made.inputs.filter((i) => !graph.tensors[i]!.data).forEach((i) => set(i, range))
  }
  for (const [name, range] of Object.entries(ranges)) {
    const t = tensors.findIndex((tensor) => tensor.name === name)
    if (t < 0) throw new Error(`no tensor is called ${name}`)
    set(t, range)
  }
  return { ...graph, tensors }
}
