/** What a graph's outputs are, for the parts of the quantizer that look at the end first. */
import type { Graph } from '../graph.ts'

const UNWRAPPED = new Set(['SOFTMAX', 'LOGISTIC', 'RESHAPE', 'SQUEEZE', 'DEQUANTIZE', 'QUANTIZE'])

/**
 * The tensors that are compared: the outputs, or what a final softmax, logistic or reshape reads (logits say more than
 * saturated scores).
 */
export function probedOutputs(graph: Graph): number[] {
  const behind = (t: number): number => {
    const op = graph.ops.find((o) => o.outputs.includes(t))
    return op && UNWRAPPED.has(op.type) ? behind(op.inputs[0]!) : t
  }
  return [...new Set(graph.outputs.map(behind))]
}

/** One output with one score per class. */
export const isClassifier = (graph: Graph): boolean =>
  graph.outputs.length === 1 && graph.tensors[graph.outputs[0]!]!.shape.filter((d) => d > 1).length === 1
