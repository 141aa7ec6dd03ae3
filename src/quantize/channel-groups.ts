/** Which tensors must share their per-channel factors when channels are rescaled. */
import { realValues } from '../float/values.ts'
import { elements, type Graph, type Op, type OpOf } from '../graph/graph.ts'

export type WeightedOp = OpOf<'CONV_2D' | 'DEPTHWISE_CONV_2D' | 'FULLY_CONNECTED'>
export const isWeighted = (op: Op): op is WeightedOp =>
  op.type === 'CONV_2D' || op.type === 'DEPTHWISE_CONV_2D' || op.type === 'FULLY_CONNECTED'

/** Every op with a filter, and a bias of its own, that becomes per-channel int8. */
export type LayerOp = WeightedOp | OpOf<'TRANSPOSE_CONV'>
export const isLayer = (op: Op): op is LayerOp => isWeighted(op) || op.type === 'TRANSPOSE_CONV'

/** Where a layer's operands stand among its inputs. */
export const operandsOf = (op: LayerOp): { x: number; filter: number; bias: number } =>
  op.type === 'TRANSPOSE_CONV' ? { x: 2, filter: 1, bias: 3 } : { x: 0, filter: 1, bias: 2 }

/** Tensors that must share one factor per channel. */
export interface Group {
  tensors: Set<number>
  channels: number
  /** Those that an op with a fused ReLU6 writes. */
  clamped: Set<number>
}

const channelsOf = (graph: Graph, t: number): number => graph.tensors[t]!.shape.at(-1) ?? 1

/** The operand of a MUL that has one value per channel, as squeeze-excite's gate has, or -1. */
function gateOf(graph: Graph, op: OpOf<'MUL'>): number {
  const [y] = op.outputs
  const size = (t: number): number => elements(graph.tensors[t]!.shape)
  const gates = op.inputs.filter((t) => size(t) === channelsOf(graph, y!) && channelsOf(graph, t) === size(t))
  const wide = op.inputs.filter((t) => size(t) === size(y!))
  const plain = op.inputs.every((t) => !graph.tensors[t]!.data) && op.attrs.activation === 'NONE'
  return plain && gates.length === 1 && wide.length === 1 && gates[0] !== wide[0] ? gates[0]! : -1
}

/**
 * What an op does to channels: leaves them apart and commutes with scaling (`join`), takes the factors of its gate to
 * its output (`gate`), separates input from output factors (`weights`), or neither.
 */
function role(graph: Graph, op: Op): 'join' | 'gate' | 'weights' | 'fixed' {
  const [x, y] = [op.inputs[0]!, op.outputs[0]!]
  switch (op.type) {
    case 'CONV_2D':
      return elements(graph.tensors[op.inputs[1]!]!.shape.slice(3)) === channelsOf(graph, x) ? 'weights' : 'fixed'
    case 'DEPTHWISE_CONV_2D':
      return op.attrs.depthMultiplier === 1 ? 'weights' : 'fixed'
    case 'FULLY_CONNECTED':
      return graph.tensors[op.inputs[1]!]!.shape[1] === channelsOf(graph, x) ? 'weights' : 'fixed'
    case 'ADD': {
      const plain = op.inputs.every(
        (t) => !graph.tensors[t]!.data && elements(graph.tensors[t]!.shape) === elements(graph.tensors[y]!.shape),
      )
      return plain && (op.attrs.activation === 'NONE' || op.attrs.activation === 'RELU') ? 'join' : 'fixed'
    }
    case 'MUL':
      return gateOf(graph, op) < 0 ? 'fixed' : 'gate'
    case 'MEAN':
      return spatial(graph, op) ? 'join' : 'fixed'
    case 'AVERAGE_POOL_2D':
    case 'MAX_POOL_2D':
      return op.attrs.activation === 'NONE' || op.attrs.activation === 'RELU' ? 'join' : 'fixed'
    case 'PAD':
    case 'RESHAPE':
    case 'SQUEEZE':
    case 'RESIZE_BILINEAR':
    case 'RESIZE_NEAREST_NEIGHBOR':
    case 'RELU':
      return channelsOf(graph, x) === channelsOf(graph, y) ? 'join' : 'fixed'
    default:
      return 'fixed'
  }
}

function spatial(graph: Graph, op: OpOf<'MEAN'>): boolean {
  const axes = graph.tensors[op.inputs[1]!]!
  const rank = graph.tensors[op.inputs[0]!]!.shape.length
  return axes.data !== undefined && [...realValues(axes)].every((a) => (a < 0 ? a + rank : a) !== rank - 1)
}

/**
 * Groups of activations whose channels may be rescaled: written and read only by ops that allow it, not an input or
 * output of the graph, and with weights of their own (a filter that two ops share is left alone).
 */
export function channelGroups(graph: Graph): Group[] {
  const parent = graph.tensors.map((_, i) => i)
  const find = (i: number): number => (parent[i] === i ? i : (parent[i] = find(parent[i]!)))
  const frozen = new Set<number>([...graph.inputs, ...graph.outputs])
  const shared = sharedConstants(graph)
  for (const op of graph.ops) {
    const touched = [...op.inputs, ...op.outputs].filter((t) => t >= 0 && !graph.tensors[t]!.data)
    const kind = role(graph, op)
    if (kind === 'fixed' || op.inputs.some((t) => shared.has(t) && isWeighted(op))) {
      touched.forEach((t) => frozen.add(t))
    }
    const gate = kind === 'gate' && op.type === 'MUL' ? gateOf(graph, op) : -1
    touched.forEach((t) => {
      if (kind === 'join' || t === gate) parent[find(t)] = find(op.outputs[0]!)
      // What is gated keeps its own: its factors would have to be multiplied with the gate's.
      else if (gate >= 0 && t !== op.outputs[0]) frozen.add(t)
    })
    if (isWeighted(op) && op.attrs.activation === 'RELU_N1_TO_1') frozen.add(op.outputs[0]!)
  }
  const groups = new Map<number, Group & { frozen: boolean }>()
  for (const t of new Set([...graph.inputs, ...graph.ops.flatMap((op) => [...op.outputs])])) {
    const g = groups.get(find(t)) ?? {
      tensors: new Set<number>(),
      channels: channelsOf(graph, t),
      clamped: new Set<number>(),
      frozen: false,
    }
    g.tensors.add(t)
    g.frozen ||= frozen.has(t) || channelsOf(graph, t) !== g.channels
    groups.set(find(t), g)
  }
  for (const op of graph.ops) {
    const g = groups.get(find(op.outputs[0]!))
    if (isWeighted(op) && op.attrs.activation === 'RELU6') g?.clamped.add(op.outputs[0]!)
  }
  return [...groups.values()].filter((g) => !g.frozen)
}

function sharedConstants(graph: Graph): Set<number> {
  const uses = new Map<number, number>()
  graph.ops.forEach((op) => op.inputs.forEach((t) => t >= 0 && uses.set(t, (uses.get(t) ?? 0) + 1)))
  return new Set([...uses].filter(([t, n]) => n > 1 && graph.tensors[t]!.data).map(([t]) => t))
}
