/** A classifier cut before its head: the same network up to the features that the head weighs. */
import { ThimbleError } from '../base/errors.ts'
import { elements, type Graph, type Op, type OpType } from '../graph/graph.ts'

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
    // An op without outputs writes state; one that was folded left constants.
    if (op.outputs.length && !op.outputs.some((t) => needed.has(t) && !graph.tensors[t]!.data)) continue
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

const notABase = (
  what: string,
  got: string,
  hint = 'the shipped mobilenet_v2_1.0_224 is one, thimble inspect says what a file is',
): ThimbleError =>
  new ThimbleError('usage/base', what, {
    expected: 'an int8 or uint8 image classifier, or an embedding model',
    got,
    hint,
  })

/**
 * The tensor before the last weights that lead to `output`, or before what only rescales it; and whether weights did.
 */
function beforeHead(graph: Graph, output: number): { features: number; head?: OpType } {
  let features = output
  for (;;) {
    const op = graph.ops.find((o) => o.outputs.includes(features))
    if (!op) return { features }
    if (isHead(graph, op)) {
      // An embedding's last layer is part of it.
      return graph.metadata.task === 'features' ? { features } : { features: op.inputs[0]!, head: op.type }
    }
    if (!AFTER_HEAD.has(op.type)) return { features }
    features = op.inputs[0]!
  }
}

/**
 * The network up to its features, its one output: an 8-bit tensor, [1, ..., features] or what a fully connected layer
 * flattens. A model without a head (an embedding) keeps all but the ops that only rescale its output; of a model with
 * several outputs, all heads must stand on the same features. Errors: `usage/base`.
 */
export function cutHead(graph: Graph): Graph {
  if (graph.inputs.length !== 1) throw notABase('the base model takes several inputs', `${graph.inputs.length} inputs`)
  const [first, ...others] = graph.outputs.map((output) => beforeHead(graph, output))
  const { features, head } = first!
  if (others.some((other) => other.features !== features)) {
    throw notABase(
      'the base model has several outputs without features that they share: no head to cut',
      `${graph.outputs.length} outputs`,
    )
  }
  const { shape, dtype, quantization, name } = graph.tensors[features]!
  if (!isVector(shape) && (head !== 'FULLY_CONNECTED' || shape[0] !== 1)) {
    throw notABase(
      'the base model does not end in features of the whole image: no head to cut',
      `${name} [${shape.join(', ')}]`,
    )
  }
  if (dtype === 'float32') {
    throw notABase('the base model is not quantized', `${name} ${dtype}`, 'make it int8 with thimble quantize')
  }
  if ((dtype !== 'int8' && dtype !== 'uint8') || quantization?.scales.length !== 1) {
    throw notABase("the base model's features are not quantized to 8 bits", `${name} ${dtype}`)
  }
  return prune(graph, [features])
}
