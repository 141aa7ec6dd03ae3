/** Counts of a graph from its shapes alone. */
import { elements, type Graph } from '../graph/graph.ts'
import { opMacs } from '../engine/inspect.ts'

export interface ArchCounts {
  /** Trained parameters with batch norm folded: filters and biases. */
  params: number
  /** The filters among them, and the biases of convolutions. */
  filterParams: number
  convBiases: number
  /** Multiply-adds of convolutions and fully connected layers. */
  macs: number
  /** Those of convolutions. */
  convMacs: number
  /** Bytes of the weights as int8 filters with int32 biases, and as float32. */
  int8Bytes: number
  floatBytes: number
}

export function countArch(graph: Graph): ArchCounts {
  const counts: ArchCounts = {
    params: 0,
    filterParams: 0,
    convBiases: 0,
    macs: 0,
    convMacs: 0,
    int8Bytes: 0,
    floatBytes: 0,
  }
  for (const op of graph.ops) {
    if (op.type !== 'CONV_2D' && op.type !== 'DEPTHWISE_CONV_2D' && op.type !== 'FULLY_CONNECTED') continue
    const macs = opMacs(graph, op)
    const [filter, bias] = [
      elements(graph.tensors[op.inputs[1]!]!.shape),
      elements(graph.tensors[op.inputs[2]!]!.shape),
    ]
    counts.macs += macs
    counts.params += filter + bias
    counts.filterParams += filter
    counts.int8Bytes += filter + 4 * bias
    counts.floatBytes += 4 * (filter + bias)
    if (op.type === 'FULLY_CONNECTED') continue
    counts.convMacs += macs
    counts.convBiases += bias
  }
  return counts
}
