/**
 * Cross-layer equalization: per-channel factors that are absorbed exactly by the weights before and after a tensor, so
 * that one scale serves all its channels. The factors minimize the expected squared error of the output: the
 * rounding noise of the tensors of a group, and of the weights that read them, each weighted by what it costs there.
 * Source of the idea: Nagel et al. 2019 (arXiv 1906.04721, sections 4.1 and 5.1). New here: the objective, residual
 * streams (all tensors that ADD joins share factors), and ReLU6, whose clamp only lets channels grow that stay below
 * it.
 */
import { realValues } from '../float/values.ts'
import { type NoisyRows, weightNoise } from '../float/wasm.ts'
import type { Graph, Tensor } from '../graph/graph.ts'
import { channelGroups, isWeighted, type Group, type WeightedOp } from './channel-groups.ts'
import type { TensorStats } from './observe.ts'
import type { Scheme } from './scheme.ts'
import type { Sensitivity } from './sensitivity.ts'
import { QMAX } from './weights.ts'

/** Least factor of a ReLU6 channel, however small its values were in calibration. */
const FLOOR = 0.125

/** Share of channels that may meet larger values than their headroom allows for on one more photo. */
const SURPRISE = 0.02

/** What one group's objective needs: noise of the tensors, and rows of the weights that read them. */
interface Problem {
  channels: number
  /** That the range of a tensor is divided into. */
  steps: number
  /** Per tensor: largest and smallest value per channel (unscaled), and cost of noise per channel. */
  tensors: { high: Float64Array; low: Float64Array; cost: Float64Array }[]
  /** Rows of the readers: largest absolute weight and summed cost per input channel, [rows, channels]. */
  rows: NoisyRows
  /** log s stays in [lower, 0] (ReLU6), or is free. */
  lower?: Float64Array
}

/** Exponent of the smooth maximum, and that power. */
const P = 24
const power = (v: number): number => {
  const cube = v * v * v
  const six = cube * cube
  const twelve = six * six
  return twelve * twelve
}

/** Smooth maximum of v[c] * f[c], and the share of each channel in it. */
function smoothMax(v: Float64Array, f: Float64Array, share: Float64Array): number {
  let max = 0
  for (let c = 0; c < v.length; c++) max = Math.max(max, v[c]! * f[c]!)
  if (max === 0) {
    share.fill(0)
    return 0
  }
  let sum = 0
  for (let c = 0; c < v.length; c++) {
    const p = power((v[c]! * f[c]!) / max)
    share[c] = p
    sum += p
  }
  for (let c = 0; c < v.length; c++) share[c]! /= sum
  return max * sum ** (1 / P)
}

type RowCost = ReturnType<typeof weightNoise>

/** The objective at u = log s, and its gradient. */
function objective(p: Problem, rows: RowCost, u: Float64Array, gradient: Float64Array): number {
  const n = p.channels
  const s = u.map(Math.exp)
  const inverse = s.map((v) => 1 / v)
  const [hiShare, loShare] = [new Float64Array(n), new Float64Array(n)]
  gradient.fill(0)
  let total = 0
  for (const { high, low, cost } of p.tensors) {
    const hi = smoothMax(high, inverse, hiShare)
    const lo = smoothMax(low, inverse, loShare)
    const range = (hi + lo) / p.steps
    let noise = 0
    for (let c = 0; c < n; c++) noise += cost[c]! * s[c]! * s[c]!
    total += (range * range * noise) / 12
    for (let c = 0; c < n; c++) {
      gradient[c]! +=
        (range * range * 2 * cost[c]! * s[c]! * s[c]!) / 12 -
        (2 * range * ((hi * hiShare[c]! + lo * loShare[c]!) / p.steps) * noise) / 12
    }
  }
  return total + rows(s, inverse, gradient)
}

/** Minimizes the logarithm of the objective with Adam from a start; returns the best point seen. */
function minimize(p: Problem, start: Float64Array, steps: number): { u: Float64Array; value: number } {
  const n = p.channels
  const u = start.slice()
  const clamp = (): void => {
    if (p.lower) for (let c = 0; c < n; c++) u[c] = Math.min(0, Math.max(p.lower[c]!, u[c]!))
  }
  const [g, m, v] = [new Float64Array(n), new Float64Array(n), new Float64Array(n)]
  let best = { u: u.slice(), value: Infinity }
  clamp()
  const rows = weightNoise(p.rows, n, QMAX)
  for (let t = 1; t <= steps; t++) {
    const value = objective(p, rows, u, g)
    if (value < best.value) best = { u: u.slice(), value }
    const rate = 0.1 * (1 - t / steps)
    for (let c = 0; c < n; c++) {
      const d = g[c]! / (value + 1e-300)
      m[c] = 0.9 * m[c]! + 0.1 * d
      v[c] = 0.99 * v[c]! + 0.01 * d * d
      u[c]! -= (rate * (m[c]! / (1 - 0.9 ** t))) / (Math.sqrt(v[c]! / (1 - 0.99 ** t)) + 1e-12)
    }
    clamp()
  }
  return best
}

/** Least factor of each channel of a ReLU6 group: where the clamp would start to cut values that are to be expected. */
function lowerBounds(group: Group, stats: Map<number, TensorStats>): Float64Array {
  const top = new Float64Array(group.channels)
  const second = new Float64Array(group.channels)
  for (const t of group.clamped) {
    const s = stats.get(t)
    if (s) {
      for (let c = 0; c < group.channels; c++) {
        top[c] = Math.max(top[c]!, s.channelMax[c]!)
        second[c] = Math.max(second[c]!, s.channelSecond[c]!)
      }
    }
  }
  // How far the photo with the largest value exceeds all others is how far the next photo may exceed this one.
  const ratios = Array.from(top, (v, c) => (second[c]! > 0 ? v / second[c]! : v > 0 ? Infinity : 1)).sort(
    (a, b) => a - b,
  )
  const headroom = 1.1 * ratios[Math.min(ratios.length - 1, Math.floor(ratios.length * (1 - SURPRISE)))]!
  return top.map((v) => Math.log(Math.min(1, Math.max(FLOOR, (v * headroom) / 6))))
}

function problemOf(
  graph: Graph,
  group: Group,
  stats: Map<number, TensorStats>,
  sensitivity: Sensitivity,
): Omit<Problem, 'steps'> {
  const tensors: Problem['tensors'] = []
  for (const t of group.tensors) {
    const s = stats.get(t)
    const cost = sensitivity.activations.get(t)
    const op = graph.ops.find((x) => x.outputs[0] === t)
    // Padding and reshaping add no noise of their own.
    if (!s || !cost || !op || op.type === 'PAD' || op.type === 'RESHAPE' || op.type === 'SQUEEZE') continue
    tensors.push({
      high: Float64Array.from(s.channelMax, (v) => Math.max(0, v)),
      low: Float64Array.from(s.channelMin, (v) => Math.max(0, -v)),
      cost,
    })
  }
  const rows: { weight: Float64Array; cost: Float64Array }[] = []
  graph.ops.forEach((op, k) => {
    if (!isWeighted(op) || op.type === 'DEPTHWISE_CONV_2D' || !group.tensors.has(op.inputs[0]!)) return
    const fisher = sensitivity.weights.get(k)
    if (fisher) {
      rows.push(
        ...rowsOf(
          realValues(graph.tensors[op.inputs[1]!]!),
          fisher,
          graph.tensors[op.inputs[1]!]!.shape[0]!,
          group.channels,
        ),
      )
    }
  })
  const together = (part: 'weight' | 'cost'): Float64Array => {
    const out = new Float64Array(rows.length * group.channels)
    rows.forEach((r, i) => out.set(r[part], i * group.channels))
    return out
  }
  return {
    channels: group.channels,
    tensors,
    rows: { weight: together('weight'), cost: together('cost') },
    ...(group.clamped.size ? { lower: lowerBounds(group, stats) } : {}),
  }
}

/** Rows of one reader that enter the objective; more are thinned, the rest weighted up. */
const MAX_ROWS = 96

function rowsOf(
  weights: Float32Array,
  fisher: Float32Array,
  count: number,
  channels: number,
): { weight: Float64Array; cost: Float64Array }[] {
  const columns = weights.length / count
  const used = Math.min(count, MAX_ROWS)
  return Array.from({ length: used }, (_, i) => {
    const r = Math.floor(((i + 0.5) * count) / used)
    const [weight, cost] = [new Float64Array(channels), new Float64Array(channels)]
    for (let k = 0; k < columns; k++) {
      const c = k % channels
      weight[c] = Math.max(weight[c]!, Math.abs(weights[r * columns + k]!))
      cost[c]! += (fisher[r * columns + k]! * count) / used
    }
    return { weight, cost }
  })
}

/** Steps of the descent from a start that knows nothing, and from factors that were best for nearly the same ranges. */
const STEPS = { anew: 120, again: 30 } as const

/** Start points: the factors `from`, or no scaling and every channel's range to the same. */
function factors(p: Problem, from?: Float64Array): Float64Array {
  const range = new Float64Array(p.channels)
  for (const { high, low } of p.tensors) {
    for (let c = 0; c < p.channels; c++) range[c] = Math.max(range[c]!, high[c]!, low[c]!)
  }
  const largest = range.reduce((a, b) => Math.max(a, b), 0)
  if (largest === 0 || p.tensors.length === 0) return new Float64Array(p.channels).fill(1)
  const even = (exponent: number): Float64Array => range.map((r) => exponent * Math.log(Math.max(r / largest, 1e-3)))
  const tries = from
    ? [minimize(p, from.map(Math.log), STEPS.again)]
    : [0, 0.7].map((exponent) => minimize(p, even(exponent), STEPS.anew))
  const best = tries.reduce((a, b) => (b.value < a.value ? b : a))
  return best.u.map(Math.exp)
}

const withData = (t: Tensor, data: Float32Array): Tensor => ({
  ...t,
  data: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
})

/** Multiplies filter and bias of one op by what its neighbours' factors ask for. */
function rescale(
  tensors: Tensor[],
  op: WeightedOp,
  input: Float64Array | undefined,
  output: Float64Array | undefined,
): void {
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

/** The graph, and what calibration would see of it. */
export interface Equalized {
  graph: Graph
  stats: Map<number, TensorStats>
  /** What each channel was divided by, of the tensors whose channels were. */
  factors: ReadonlyMap<number, Float64Array>
}

export interface EqualizeOptions {
  scheme: Scheme
  /** Factors for nearly the same statistics: found again in a fraction of the time. */
  from?: ReadonlyMap<number, Float64Array>
}

/** Statistics of a tensor whose channels are divided by factors. */
function rescaled(s: TensorStats, factors: Float64Array | undefined): TensorStats {
  if (!factors) return s
  const by = (v: Float32Array): Float32Array => v.map((x, c) => x / factors[c]!)
  const [channelMin, channelMax] = [by(s.channelMin), by(s.channelMax)]
  return {
    ...s,
    min: channelMin.reduce((a, b) => Math.min(a, b)),
    max: channelMax.reduce((a, b) => Math.max(a, b)),
    channelMin,
    channelMax,
    channelSecond: by(s.channelSecond),
    photos: new Map([...s.photos].map(([p, { min, max }]) => [p, { min: by(min), max: by(max) }])),
  }
}

/**
 * A float graph that computes the same outputs with evener channels.
 * Requires: float32 weights; `stats` and `sensitivity` from calibration of this very graph.
 */
export function equalize(
  graph: Graph,
  stats: Map<number, TensorStats>,
  sensitivity: Sensitivity,
  { scheme, from }: EqualizeOptions,
): Equalized {
  const factorOf = new Map<number, Float64Array>()
  for (const group of channelGroups(graph)) {
    const [first] = group.tensors
    const s = factors({ ...problemOf(graph, group, stats, sensitivity), steps: scheme.steps }, from?.get(first!))
    for (const t of group.tensors) factorOf.set(t, s)
  }
  const tensors = [...graph.tensors]
  for (const op of graph.ops) {
    if (isWeighted(op)) rescale(tensors, op, factorOf.get(op.inputs[0]!), factorOf.get(op.outputs[0]!))
  }
  return {
    graph: { ...graph, tensors },
    stats: new Map([...stats].map(([t, s]) => [t, rescaled(s, factorOf.get(t))])),
    factors: factorOf,
  }
}
