/** A network's layers with weights, each as a model of its own. */
import { elements, type Graph, type Op, type Tensor } from '../../src/graph/graph.ts'

export interface Layer {
  name: string
  /** Layers of the network that are like it. */
  times: number
  graph: Graph
}

const WEIGHTED = new Set(['CONV_2D', 'DEPTHWISE_CONV_2D', 'FULLY_CONNECTED', 'TRANSPOSE_CONV'])

const size = ({ shape }: Tensor): string => shape.slice(1).join('x')

function nameOf(op: Op, [x, w, y]: readonly [Tensor, Tensor, Tensor]): string {
  const kind = op.type === 'DEPTHWISE_CONV_2D' ? 'depthwise' : op.type === 'FULLY_CONNECTED' ? 'dense' : 'conv'
  const window = w.shape.length === 4 ? ` ${w.shape[1]}x${w.shape[2]}` : ''
  return `${kind}${window} ${size(x)} to ${size(y)}`
}

/** One op with its constants; what it computes from is the input. */
function alone(graph: Graph, op: Op): Graph {
  const used = [...new Set([...op.inputs, ...op.outputs].filter((i) => i >= 0))]
  const at = (i: number): number => (i < 0 ? i : used.indexOf(i))
  return {
    tensors: used.map((i) => graph.tensors[i]!),
    ops: [{ ...op, inputs: op.inputs.map(at), outputs: op.outputs.map(at) }],
    inputs: op.inputs.filter((i) => i >= 0 && graph.tensors[i]!.data === undefined).map(at),
    outputs: op.outputs.map(at),
    metadata: {},
  }
}

/** Layers of different kinds or shapes, in the network's order. */
export function layersOf(graph: Graph): Layer[] {
  const found = new Map<string, Layer>()
  for (const op of graph.ops) {
    if (!WEIGHTED.has(op.type)) continue
    const [x, w] = op.inputs.map((i) => graph.tensors[i])
    const y = graph.tensors[op.outputs[0]!]!
    if (!x || !w?.data || elements(y.shape) === 0) continue
    const name = nameOf(op, [x, w, y])
    const known = found.get(name)
    if (known) known.times++
    else found.set(name, { name, times: 1, graph: alone(graph, op) })
  }
  return [...found.values()]
}
