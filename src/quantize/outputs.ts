/** What a graph's outputs are, for the parts of the quantizer that look at the end first. */
import type { DType, Graph, Metadata } from '../graph/graph.ts'

const UNWRAPPED = new Set(['SOFTMAX', 'LOG_SOFTMAX', 'LOGISTIC', 'RESHAPE', 'SQUEEZE', 'DEQUANTIZE', 'QUANTIZE'])

const INTEGERS = new Set<DType>(['int32', 'int64', 'bool'])

/** The tensor of real numbers that an integer end (an ARG_MAX, a comparison, a CAST) was made from; else t itself. */
function realBehind(graph: Graph, t: number): number {
  const { dtype, quantization } = graph.tensors[t]!
  if (quantization || !INTEGERS.has(dtype)) return t
  const op = graph.ops.find((o) => o.outputs.includes(t))
  const from = op?.inputs.find((i) => i >= 0 && !graph.tensors[i]!.data)
  return from === undefined ? t : realBehind(graph, from)
}

/**
 * The tensors that are compared: the outputs, or what a final softmax, logistic or reshape reads (logits say more than
 * saturated scores).
 */
export function probedOutputs(graph: Graph): number[] {
  const behind = (t: number): number => {
    const real = realBehind(graph, t)
    if (real !== t) return behind(real)
    const op = graph.ops.find((o) => o.outputs.includes(t))
    return op && UNWRAPPED.has(op.type) ? behind(op.inputs[0]!) : t
  }
  return [...new Set(graph.outputs.map(behind))]
}

/** One output with one score per class, or the best class of such. */
export const isClassifier = (graph: Graph): boolean =>
  graph.outputs.length === 1 &&
  graph.tensors[realBehind(graph, graph.outputs[0]!)]!.shape.filter((d) => d > 1).length === 1

/** A graph's metadata; of a classifier that ends in logits, with softmax named as what makes scores of them. */
export function withScores(graph: Graph): Metadata {
  const { metadata, ops, outputs, tensors } = graph
  const last = ops.find((op) => op.outputs.includes(outputs[0]!))
  const logits =
    metadata.task === 'classification' &&
    isClassifier(graph) &&
    tensors[outputs[0]!]!.dtype === 'float32' &&
    last?.type !== 'SOFTMAX' &&
    last?.type !== 'LOGISTIC'
  return logits && !metadata.scores ? { ...metadata, scores: 'softmax' } : metadata
}
