/** What a network's first operations say about its input: one that scales pixels itself wants them as they are. */
import { elements, type Graph, type Preprocess, type Tensor } from '../graph/graph.ts'

const values = (t: Tensor | undefined): Float32Array | undefined =>
  t?.data && t.dtype === 'float32' && elements(t.shape) <= 16 ? new Float32Array(t.data.slice().buffer) : undefined

/**
 * Preprocessing of a graph (not folded yet) that starts with Keras' Rescaling or Normalization or their like: pixels of
 * 0 to 255 as they are. Undefined when the network does not say, or its input is no image.
 */
export function impliedPreprocess(graph: Graph): Preprocess | undefined {
  const input = graph.inputs[0]
  if (graph.inputs.length !== 1 || input === undefined) return undefined
  const { shape, dtype } = graph.tensors[input]!
  const channels = shape[3]
  if (dtype !== 'float32' || shape.length !== 4 || (channels !== 1 && channels !== 3)) return undefined
  const users = graph.ops.filter((op) => op.inputs.includes(input))
  const [first] = users
  if (users.length !== 1 || !first) return undefined
  const constant = values(graph.tensors[first.inputs[0] === input ? first.inputs[1]! : first.inputs[0]!])
  const all = (low: number, high: number): boolean =>
    constant !== undefined && constant.every((v) => v >= low && v <= high)
  // Divided by about 255, 127.5 or a standard deviation; or a mean of pixels taken away.
  const scales = (first.type === 'MUL' && all(1 / 300, 1 / 30)) || (first.type === 'DIV' && all(30, 300))
  const shifts =
    (first.type === 'SUB' && first.inputs[0] === input && all(60, 200)) || (first.type === 'ADD' && all(-200, -60))
  return scales || shifts
    ? { fit: 'stretch', method: 'bilinear', channels: channels === 1 ? 'gray' : 'rgb', mean: [0], std: [1] }
    : undefined
}
