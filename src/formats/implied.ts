/** What a graph implies about its image input and its scores, where its file does not say it. */
import type { Graph, Op, Tensor } from '../graph/graph.ts'
import { elements } from '../graph/graph.ts'
import { defaultPreprocess } from '../image/defaults.ts'

/** Ops that hand values on as they are. */
const PASSING = new Set<Op['type']>(['QUANTIZE', 'DEQUANTIZE', 'RESHAPE'])

/** The op whose values an output has. */
function source(graph: Graph, tensor: number): Op | undefined {
  for (let at = tensor, steps = 0; steps < 8; steps++) {
    const op = graph.ops.find((o) => o.outputs.includes(at))
    if (!op || !PASSING.has(op.type)) return op
    at = op.inputs[0]!
  }
  return undefined
}

const isImage = ({ shape }: Tensor): boolean =>
  shape.length === 4 && shape[0] === 1 && [1, 3].some((n) => shape[3] === n || shape[1] === n)

/**
 * Adds to `graph.metadata`, where nothing is said:
 * `preprocess` of a float image input that is quantized at once: the range is that of the quantized tensor.
 * `scores` of a model with one number: `identity` where a LOGISTIC made it, else `sigmoid`.
 */
export function addImplied(graph: Graph): void {
  const [index] = graph.inputs
  const input = index === undefined ? undefined : graph.tensors[index]
  if (graph.inputs.length !== 1 || !input || !isImage(input)) return
  const { metadata } = graph
  if (!metadata.preprocess && input.dtype === 'float32') {
    const users = graph.ops.filter((op) => op.inputs.includes(index!))
    const [op] = users
    const quantized = users.length === 1 && op!.type === 'QUANTIZE' ? graph.tensors[op.outputs[0]!] : undefined
    const { scales, zeroPoints } = quantized?.quantization ?? { scales: [], zeroPoints: [] }
    if (quantized && (quantized.dtype === 'int8' || quantized.dtype === 'uint8') && scales.length === 1) {
      const { name, shape } = input
      const as = { name, shape, dtype: quantized.dtype, scale: scales[0]!, zeroPoint: zeroPoints[0] ?? 0 }
      const { preprocess, assumed } = defaultPreprocess(as)
      graph.metadata = { ...metadata, preprocess, preprocessFrom: `${assumed}; the input is quantized at once` }
    }
  }
  const output = graph.outputs.length === 1 ? graph.tensors[graph.outputs[0]!] : undefined
  if (output && elements(output.shape) === 1 && !metadata.scores && !metadata.task) {
    const scores = source(graph, graph.outputs[0]!)?.type === 'LOGISTIC' ? 'identity' : 'sigmoid'
    graph.metadata = { ...graph.metadata, scores }
  }
}
