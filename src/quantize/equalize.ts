/**
 * Cross-layer equalization: per-channel factors that even out a tensor's channel ranges and are absorbed exactly by
 * the weights before and after it, so that one 8-bit scale serves every channel.
 * Source: Nagel et al. 2019 (arXiv 1906.04721, sections 4.1 and 5.1), extended to residual streams (all tensors that
 * ADD joins share their factors) and to ReLU6 (a channel that reaches 6 keeps its scale, others may grow up to it).
 */
import { elements, type Graph, type Op, type OpOf, type Tensor } from '../graph.ts'
import { realValues } from '../float/values.ts'
import type { TensorStats } from './observe.ts'

type Weighted = OpOf<'CONV_2D' | 'DEPTHWISE_CONV_2D' | 'FULLY_CONNECTED'>
export const isWeighted = (op: Op): op is Weighted => op.type === 'CONV_2D' || op.type === 'DEPTHWISE_CONV_2D' || op.type === 'FULLY_CONNECTED'

export interface EqualizeOptions {
  /** 1: activations fully equalized; 0: weights of the next layer fully equalized. */
  alpha: number
  /** Headroom that a scaled-up ReLU6 channel keeps between the largest value seen and the clamp. */
  headroom: number
}

/** Tensors that must share one factor per channel. */
interface Group { tensors: Set<number>; channels: number; frozen: boolean }

/** Sets of tensors, joined by ops that keep channels apart and commute with scaling. */
function channelGroups(graph: Graph): Group[] {
  const parent = graph.tensors.map((_, i) => i)
  const find = (i: number): number => (parent[i] === i ? i : (parent[i] = find(parent[i]!)))
  const frozen = new Set<number>([...graph.inputs, ...graph.outputs])
  const channelsOf = (t: number): number => graph.tensors[t]!.shape.at(-1) ?? 1
  const join = (a: number, b: number): void => {
    if (channelsOf(a) !== channelsOf(b)) { frozen.add(a); frozen.add(b) }
    parent[find(a)] = find(b)
  }
  for (const op of graph.ops) {
    const [x] = op.inputs as [number]
    const [y] = op.outputs as [number]
    const fixed = (): void => [...op.inputs, ...op.outputs].forEach((t) => t >= 0 && frozen.add(t))
    switch (op.type) {
      case 'CONV_2D': if (elements(graph.tensors[op.inputs[1]!]!.shape.slice(3)) !== channelsOf(x)) fixed(); break
      case 'DEPTHWISE_CONV_2D': if (op.attrs.depthMultiplier !== 1) fixed(); break
      case 'FULLY_CONNECTED': if (graph.tensors[op.inputs[1]!]!.shape[1] !== channelsOf(x)) frozen.add(x); break
      case 'ADD': {
        const plain = op.inputs.every((t) => !graph.tensors[t]!.data && elements(graph.tensors[t]!.shape) === elements(graph.tensors[y]!.shape))
        if (!plain || op.attrs.activation === 'RELU6' || op.attrs.activation === 'RELU_N1_TO_1') fixed()
        else op.inputs.forEach((t) => join(t, y))
        break
      }
      case 'MEAN': fixedUnlessSpatial(graph, op) ? join(x, y) : fixed(); break
      case 'AVERAGE_POOL_2D': case 'MAX_POOL_2D': op.attrs.activation === 'NONE' || op.attrs.activation === 'RELU' ? join(x, y) : fixed(); break
      case 'PAD': case 'RESHAPE': case 'SQUEEZE': case 'RESIZE_BILINEAR': case 'RESIZE_NEAREST_NEIGHBOR': join(x, y); break
      default: fixed()
    }
    if (isWeighted(op) && op.attrs.activation === 'RELU_N1_TO_1') frozen.add(y)
  }
  const groups = new Map<number, Group>()
  for (const t of activations(graph)) {
    const root = find(t)
    const g = groups.get(root) ?? { tensors: new Set(), channels: channelsOf(t), frozen: false }
    g.tensors.add(t)
    g.frozen ||= frozen.has(t) || channelsOf(t) !== g.channels
    groups.set(root, g)
  }
  return [...groups.values()].filter((g) => !g.frozen)
}

const activations = (graph: Graph): Set<number> => new Set([...graph.inputs, ...graph.ops.flatMap((op) => [...op.outputs])])

function fixedUnlessSpatial(graph: Graph, op: OpOf<'MEAN'>): boolean {
  const axes = graph.tensors[op.inputs[1]!]!
  const rank = graph.tensors[op.inputs[0]!]!.shape.length
  return axes.data !== undefined && [...realValues(axes)].every((a) => (a < 0 ? a + rank : a) !== rank - 1)
}

/** Largest absolute weight of consumers per input channel of the group, relative to each output row's own largest. */
function consumerWeight(graph: Graph, group: Group): Float64Array | undefined {
  const out = new Float64Array(group.channels)
  let any = false
  for (const op of graph.ops) {
    if (!(op.type === 'CONV_2D' || op.type === 'FULLY_CONNECTED') || !group.tensors.has(op.inputs[0]!)) continue
    any = true
    const t = graph.tensors[op.inputs[1]!]!
    const w = realValues(t)
    const row = w.length / t.shape[0]!
    for (let o = 0; o < w.length; o += row) {
      let max = 0
      for (let i = 0; i < row; i++) max = Math.max(max, Math.abs(w[o + i]!))
      for (let i = 0; i < row; i++) out[i % group.channels] = Math.max(out[i % group.channels]!, max ? Math.abs(w[o + i]!) / max : 0)
    }
  }
  return any ? out : undefined
}

/** Factors s of one group: channel c becomes value / s[c]. */
function factors(graph: Graph, group: Group, stats: Map<number, TensorStats>, o: EqualizeOptions): Float64Array {
  const range = new Float64Array(group.channels)
  for (const t of group.tensors) {
    const s = stats.get(t)
    if (s) for (let c = 0; c < group.channels; c++) range[c] = Math.max(range[c]!, s.channelMax[c]!, -s.channelMin[c]!)
  }
  const largest = range.reduce((a, b) => Math.max(a, b), 0)
  const weights = consumerWeight(graph, group)
  const s = new Float64Array(group.channels).fill(1)
  if (largest === 0) return s
  const relu6 = graph.ops.some((op) => group.tensors.has(op.outputs[0]!) && isWeighted(op) && op.attrs.activation === 'RELU6')
  for (let c = 0; c < s.length; c++) {
    if (range[c]! < largest * 1e-6) continue
    const r = Math.min(1, (range[c]! * (relu6 ? o.headroom : 1)) / largest)
    const w = weights ? Math.max(weights[c]!, 1e-6) : 0
    s[c] = weights ? Math.pow(r, o.alpha) / Math.pow(w, 1 - o.alpha) : r
    // Below this the ReLU6 clamp would cut values that were seen; above 1 it would miss values beyond 6.
    if (relu6) s[c] = Math.min(1, Math.max(s[c]!, r))
  }
  return s
}

const withData = (t: Tensor, data: Float32Array): Tensor => ({ ...t, data: new Uint8Array(data.buffer, data.byteOffset, data.byteLength) })

/** Multiplies filter and bias of one op by what its neighbours' factors ask for. */
function rescale(tensors: Tensor[], op: Weighted, input: Float64Array | undefined, output: Float64Array | undefined): void {
  const filter = tensors[op.inputs[1]!]!
  const w = realValues(filter)
  const last = filter.shape.at(-1)!
  const row = w.length / filter.shape[0]!
  for (let i = 0; i < w.length; i++) {
    const ic = i % last
    const oc = op.type === 'DEPTHWISE_CONV_2D' ? ic : Math.floor(i / row)
    w[i] = (w[i]! * (input?.[ic] ?? 1)) / (output?.[oc] ?? 1)
  }
  tensors[op.inputs[1]!] = withData(filter, w)
  const b = op.inputs[2]
  if (b === undefined || b < 0 || !output) return
  const bias = realValues(tensors[b]!)
  for (let c = 0; c < bias.length; c++) bias[c]! /= output[c]!
  tensors[b] = withData(tensors[b]!, bias)
}

/** Constants used by exactly one op may be rescaled in place. */
function shared(graph: Graph): Set<number> {
  const uses = new Map<number, number>()
  graph.ops.forEach((op) => op.inputs.forEach((t) => t >= 0 && uses.set(t, (uses.get(t) ?? 0) + 1)))
  return new Set([...uses].filter(([t, n]) => n > 1 && graph.tensors[t]!.data).map(([t]) => t))
}

/**
 * A float graph that computes the same outputs with evener channel ranges.
 * Requires: float32 weights; `stats` from calibration of this very graph.
 */
export function equalize(graph: Graph, stats: Map<number, TensorStats>, options: EqualizeOptions): Graph {
  const reused = shared(graph)
  const factorOf = new Map<number, Float64Array>()
  for (const group of channelGroups(graph)) {
    const touches = graph.ops.filter((op) => isWeighted(op) && (group.tensors.has(op.inputs[0]!) || group.tensors.has(op.outputs[0]!)))
    if (touches.some((op) => op.inputs.some((t) => reused.has(t)))) continue
    const produced = [...group.tensors].every((t) => graph.ops.some((op) => op.outputs.includes(t)))
    if (!produced) continue
    const s = factors(graph, group, stats, options)
    for (const t of group.tensors) factorOf.set(t, s)
  }
  const tensors = [...graph.tensors]
  for (const op of graph.ops) if (isWeighted(op)) rescale(tensors, op, factorOf.get(op.inputs[0]!), factorOf.get(op.outputs[0]!))
  return { ...graph, tensors }
}
