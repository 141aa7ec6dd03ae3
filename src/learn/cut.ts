/** A classifier cut before its head: the same network up to the features that the head weighs. */
import { ThimbleError } from '../errors.ts'
import { elements, type Graph, type Op, type OpType } from '../graph.ts'

/** What may stand between a classifier's last weights and its output, or behind an embedding. */
const AFTER_HEAD: ReadonlySet<OpType> = new Set([
  'SOFTMAX',
  'LOG_SOFTMAX',
  'LOGISTIC',
  'RESHAPE',
  'SQUEEZE',
  'QUANTIZE',
  'DEQUANTIZE',
  'L2_NORMALIZATION',
])

/** The graph with `outputs` alone: ops and tensors that these do not need are gone. */
export function prune(graph: Graph, outputs: readonly number[]): Graph {
  const needed = new Set(outputs)
  const kept: Op[] = []
  for (const op of [...graph.ops].reverse()) {
    // An op without outputs writes state.
    if (op.outputs.length && !op.outputs.some((t) => needed.has(t))) continue
    op.inputs.forEach((t) => t >= 0 && needed.add(t))
    kept.unshift(op)
  }
  const used = new Set([...graph.inputs, ...outputs, ...kept.flatMap((op) => [...op.inputs, ...op.outputs])])
  const order = [...used].filter((t) => t >= 0).sort((a, b) => a - b)
  const at = new Map(order.map((t, i) => [t, i]))
  const move = (t: number): number => at.get(t) ?? -1
  return {
    tensors: order.map((t) => graph.tensors[t]!),
    ops: kept.map((op) => ({ ...op, inputs: op.inputs.map(move), outputs: op.outputs.map(move) })),
    inputs: graph.inputs.map(move),
    outputs: outputs.map(move),
    metadata: graph.metadata,
  }
}

/** A fully connected layer, or what it is as a convolution: 1x1 over one position. */
function isHead(graph: Graph, op: Op): boolean {
  if (op.type === 'FULLY_CONNECTED') return true
  if (op.type !== 'CONV_2D') return false
  const [, filterHeight, filterWidth] = graph.tensors[op.inputs[1]!]!.shape
  return filterHeight === 1 && filterWidth === 1 && isVector(graph.tensors[op.inputs[0]!]!.shape)
}

/** One row of features, whatever the ones around it. */
const isVector = (shape: readonly number[]): boolean => shape.length > 0 && elements(shape) === shape.at(-1)

const notABase = (what: string, got: string): ThimbleError =>
  new ThimbleError('usage/base', what, {
    expected: 'an int8 or uint8 image classifier, or an embedding model',
    got,
    hint: 'the shipped mobilenet_v2_1.0_224 is one',
  })

/**
 * The network up to its features, its one output: an 8-bit tensor [1, ..., features]. A model without a head (an
 * embedding) keeps all but the ops that only rescale its output. Errors: `usage/base`.
 */
export function cutHead(graph: Graph): Graph {
  if (graph.inputs.length !== 1) throw notABase('the base model takes several inputs', `${graph.inputs.length} inputs`)
  if (graph.outputs.length !== 1) {
    throw notABase('the base model has several outputs', `${graph.outputs.length} outputs`)
  }
  let features = graph.outputs[0]!
  for (;;) {
    const op = graph.ops.find((o) => o.outputs.includes(features))
    if (!op) break
    if (isHead(graph, op)) {
      // An embedding's last layer is part of it.
      if (graph.metadata.task !== 'features') features = op.inputs[0]!
      break
    }
    if (!AFTER_HEAD.has(op.type)) break
    features = op.inputs[0]!
  }
  const { shape, dtype, quantization, name } = graph.tensors[features]!
  if (!isVector(shape)) {
    throw notABase('the base model does not end in features of the whole image', `${name} [${shape.join(', ')}]`)
  }
  if ((dtype !== 'int8' && dtype !== 'uint8') || quantization?.scales.length !== 1) {
    throw notABase("the base model's features are not quantized to 8 bits", `${name} ${dtype}`)
  }
  return prune(graph, [features])
}
