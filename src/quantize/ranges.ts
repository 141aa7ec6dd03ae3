/** Choice of every activation's range. */
import type { Graph, Op, Quantization } from '../graph/graph.ts'
import { floatModel } from '../float/execute.ts'
import { bounds } from '../float/values.ts'
import { rangeOf, type TensorStats } from './observe.ts'
import { isClassifier, probedOutputs } from './outputs.ts'
import type { Scheme } from './scheme.ts'

/**
 * `auto`: everything seen, and as much room beyond as gains on photos that the range was not taken from (headroom.ts).
 * `minmax`: everything seen. `wide`: and 15 % beyond. `percentile`: all but the outermost values. `mse`: least squared
 * error of the tensor, on photos that the range was not taken from. None of the last two is best after equalization:
 * every channel fills the range then, and clipping cuts the peaks of all of them.
 */
export const RANGE_METHODS = ['auto', 'minmax', 'wide', 'percentile', 'mse'] as const
export type RangeMethod = (typeof RANGE_METHODS)[number]

/** Those that need no choice made before. */
export type PlainRanges = Exclude<RangeMethod, 'auto'>

/** Ops whose outputs must have their input's parameters (TFLite's quantization specification). */
export const PASS_THROUGH = new Set<Op['type']>([
  'MAX_POOL_2D',
  'AVERAGE_POOL_2D',
  'RESHAPE',
  'SQUEEZE',
  'EXPAND_DIMS',
  'PAD',
  'RESIZE_BILINEAR',
  'RESIZE_NEAREST_NEIGHBOR',
  'CONCATENATION',
  'SPLIT',
  'TRANSPOSE',
  'SLICE',
  'STRIDED_SLICE',
  'PACK',
  'UNPACK',
  'MAXIMUM',
  'MINIMUM',
  'REDUCE_MAX',
  'REDUCE_MIN',
  'TILE',
  'GATHER',
  'BROADCAST_TO',
  'REVERSE_V2',
  'PADV2',
  'MIRROR_PAD',
  'SPLIT_V',
  'SELECT_V2',
  'SPACE_TO_DEPTH',
  'DEPTH_TO_SPACE',
])

/** Functions of float32 alone in LiteRT, of which DEQUANTIZE, function and QUANTIZE run as one table. */
export const REAL = new Set<Op['type']>(['SIN', 'COS', 'SQUARE', 'FLOOR', 'CEIL', 'ROUND', 'SIGN'])

/** Tensors of a prepared graph that stay float: around the functions of float32. */
const realTensors = (graph: Graph): ReadonlySet<number> =>
  new Set(graph.ops.flatMap((op) => (REAL.has(op.type) ? [...op.inputs, ...op.outputs] : [])))

/** Tensors that share one grid. */
interface Shared {
  tensors: number[]
  /** Those that round values: not mere copies of another's. */
  sources: number[]
  fixed?: Quantization
  min: number
  max: number
  /** Smallest and largest value per photo. */
  photos: Map<number, readonly [number, number]>
  /** What a fused activation clamps to, or all readers do: a wider range would be wasted. */
  limits: readonly [number, number]
  /** Factors of the lower and of the upper end to try. */
  candidates: readonly (readonly [number, number])[]
  /** Squared error, per candidate. */
  cost: Float64Array
}

const FACTORS = [1, 1.1, 1.2, 1.4, 0.95, 0.9, 0.85, 0.8, 0.7, 0.6, 0.5]
const ONE_SIDED = FACTORS.map((f) => [f, f] as const)
const TWO_SIDED = FACTORS.flatMap((a) => FACTORS.map((b) => [a, b] as const))

/**
 * Range of all photos but one. What that one costs there is what a photo that calibration has not seen will cost,
 * so the factors are chosen by it; the final range is the best factors of the range of all photos.
 */
function rangeWithout(s: Shared, photo: number): readonly [number, number] {
  let [lo, hi] = [Infinity, -Infinity]
  for (const [p, [a, b]] of s.photos) {
    if (p !== photo || s.photos.size === 1) {
      lo = Math.min(lo, a)
      hi = Math.max(hi, b)
    }
  }
  return [lo, hi]
}

const scaled = (
  s: Shared,
  [lo, hi]: readonly [number, number],
  [a, b]: readonly [number, number],
): readonly [number, number] => [Math.max(s.limits[0], Math.min(0, lo) * a), Math.min(s.limits[1], Math.max(0, hi) * b)]

function sharedGrids(graph: Graph, stats: Map<number, TensorStats>, scheme: Scheme): Shared[] {
  const parent = graph.tensors.map((_, i) => i)
  const find = (i: number): number => (parent[i] === i ? i : (parent[i] = find(parent[i]!)))
  const fixed = new Map<number, Quantization>()
  const copies = new Set<number>()
  for (const op of graph.ops) {
    const q = scheme.fixedOutput(op)
    if (q) op.outputs.forEach((t) => fixed.set(t, q))
    if (!PASS_THROUGH.has(op.type)) continue
    for (const t of [...op.inputs, ...op.outputs]) {
      if (stats.has(t) && graph.tensors[t]!.dtype === 'float32') parent[find(t)] = find(op.outputs[0]!)
    }
    if (op.type !== 'AVERAGE_POOL_2D') op.outputs.forEach((t) => copies.add(t))
  }
  const sets = new Map<number, number[]>()
  for (const t of stats.keys()) sets.set(find(t), [...(sets.get(find(t)) ?? []), t])
  return [...sets.values()].map((tensors) => {
    const all = tensors.map((t) => stats.get(t)!)
    const [min, max] = [Math.min(...all.map((s) => s.min)), Math.max(...all.map((s) => s.max))]
    const given = tensors.map((t) => fixed.get(t)).find(Boolean)
    const candidates = min < 0 && max > 0 ? TWO_SIDED : ONE_SIDED
    const photos = new Map<number, readonly [number, number]>()
    for (const s of all) {
      for (const [p, channels] of s.photos) {
        const [a, b] = rangeOf(channels)
        const [x, y] = photos.get(p) ?? [a, b]
        photos.set(p, [Math.min(a, x), Math.max(b, y)])
      }
    }
    const [written, read] = [clampOf(graph, tensors), heededBy(graph, tensors, scheme)]
    const limits = [Math.max(written[0], read[0]), Math.min(written[1], read[1])] as const
    return {
      tensors,
      sources: tensors.filter((t) => !copies.has(t)),
      ...(given ? { fixed: given } : {}),
      min,
      max,
      photos,
      limits,
      candidates,
      cost: new Float64Array(candidates.length),
    }
  })
}

/** Bounds that every op writing one of the tensors clamps to. */
function clampOf(graph: Graph, tensors: readonly number[]): readonly [number, number] {
  const each = graph.ops
    .filter((op) => tensors.includes(op.outputs[0]!) && !PASS_THROUGH.has(op.type))
    .map(
      (op) => ('activation' in op.attrs ? bounds(op.attrs.activation) : undefined) ?? ([-Infinity, Infinity] as const),
    )
  return each.length ? [Math.min(...each.map((b) => b[0])), Math.max(...each.map((b) => b[1]))] : [-Infinity, Infinity]
}

/** All numbers. */
const EVERYTHING: readonly [number, number] = [-Infinity, Infinity]

/** The part of its input that an op tells apart: outside of it the output is one stored value. */
function heeds(op: Op, scheme: Scheme): readonly [number, number] {
  const half = (scheme.fixedOutput(op)?.scales[0] ?? 0) / 2
  switch (op.type) {
    case 'HARD_SWISH':
      return [-3, Infinity]
    case 'RELU':
      return [0, Infinity]
    case 'RELU6':
      return [0, 6]
    case 'RELU_N1_TO_1':
      return [-1, 1]
    case 'LOGISTIC':
      return half ? [Math.log(half / (1 - half)), Math.log((1 - half) / half)] : EVERYTHING
    case 'TANH':
      return half ? [-Math.atanh(1 - half), Math.atanh(1 - half)] : EVERYTHING
    default:
      return EVERYTHING
  }
}

/** What the readers of tensors on one grid tell apart together: ops that only move data ask those behind them. */
function heededBy(graph: Graph, tensors: readonly number[], scheme: Scheme): readonly [number, number] {
  const parts = graph.ops
    .filter((op) => op.inputs.some((t) => tensors.includes(t)))
    .filter((op) => !(PASS_THROUGH.has(op.type) && tensors.includes(op.outputs[0]!)))
    .map((op) => heeds(op, scheme))
  if (parts.length === 0 || tensors.some((t) => graph.outputs.includes(t))) return EVERYTHING
  return [Math.min(...parts.map((p) => p[0])), Math.max(...parts.map((p) => p[1]))]
}

/**
 * Adds what each candidate costs on one input: rounding noise as its expectation (scale^2 / 12 per value), clipping as
 * it is, of the part that readers tell apart.
 */
function addCosts(s: Shared, base: readonly [number, number], x: Float32Array, scheme: Scheme): void {
  let noisy = 0
  // Zero is exactly representable.
  for (let i = 0; i < x.length; i++) if (x[i] !== 0) noisy++
  const [least, most] = s.limits
  const outer = outliers(x, base).map((v) => Math.max(least, Math.min(most, v)))
  s.candidates.forEach((factor, k) => {
    const q = scheme.affine(...scaled(s, base, factor))
    const scale = q.scales[0]!
    const lo = (scheme.low - q.zeroPoints[0]!) * scale
    const hi = (scheme.high - q.zeroPoints[0]!) * scale
    let clipping = 0
    for (const v of outer) clipping += v < lo ? (lo - v) ** 2 : v > hi ? (hi - v) ** 2 : 0
    s.cost[k]! += clipping + (noisy * scale * scale) / 12
  })
}

/** Values outside the narrowest candidate. */
function outliers(x: Float32Array, [lo, hi]: readonly [number, number]): Float32Array {
  const least = Math.min(...FACTORS)
  const [a, b] = [Math.min(0, lo) * least, Math.max(0, hi) * least]
  return x.filter((v) => v < a || v > b)
}

const TAIL = 1e-4

/**
 * A range for logits with room: an answer surer than any in calibration must not be clipped, even if no photo there
 * showed any class (then all logits may be negative), and finer steps gain nothing.
 */
const roomy = ([lo, hi]: readonly [number, number]): readonly [number, number] => [
  1.25 * Math.min(0, lo),
  Math.max(1.25 * hi, -lo),
]

/**
 * How far `wide` goes beyond everything seen, at both ends: for networks where a few photos that calibration has not
 * seen go far beyond. Others lose a decibel by coarser steps. Measured: docs/quantization.md, "Headroom".
 */
const WIDER = 1.15

/** Values at a stride, so that all inputs together keep about 2^18. */
const thinned = (x: Float32Array, inputs: number): Float32Array => {
  const stride = Math.max(1, Math.floor((x.length * inputs) / (1 << 18)))
  return x.filter((_, i) => i % stride === 0)
}

/** The range that leaves a share TAIL of the values outside at each end. */
function percentileRange(values: readonly Float32Array[]): [number, number] {
  const sorted = Float32Array.from(values.flatMap((v) => [...v])).sort()
  const at = (p: number): number =>
    sorted[Math.min(sorted.length - 1, Math.max(0, Math.round(p * (sorted.length - 1))))]!
  return [at(TAIL), at(1 - TAIL)]
}

export interface GridOptions {
  scheme: Scheme
  /** Default `minmax`, which needs no samples. */
  method?: PlainRanges
  /** What `minmax` multiplies everything seen with. Default 1. */
  beyond?: number
  samples?: readonly (readonly Float32Array[])[]
  photoOf?: readonly number[]
  /** The range of the graph's first input where it is known from the preprocessing. */
  input?: readonly [number, number] | undefined
}

/** Quantization parameters of every activation by tensor index. */
export function activationGrids(
  graph: Graph,
  stats: Map<number, TensorStats>,
  { scheme, method = 'minmax', beyond = method === 'wide' ? WIDER : 1, samples = [], photoOf = [], input }: GridOptions,
): Map<number, Quantization> {
  const real = realTensors(graph)
  const sets = sharedGrids(graph, new Map([...stats].filter(([t]) => !real.has(t))), scheme)
  const isInput = (s: Shared): boolean => input !== undefined && s.tensors.includes(graph.inputs[0]!)
  const kept = new Map<Shared, Float32Array[]>()
  if (method === 'mse' || method === 'percentile') {
    const setOf = new Map(
      sets.filter((s) => !s.fixed && !isInput(s)).flatMap((s) => s.sources.map((t) => [t, s] as const)),
    )
    const model = floatModel(graph)
    samples.forEach((sample, i) =>
      model.run(sample, (t, x) => {
        const s = setOf.get(t)
        if (!s) return
        if (method === 'mse') addCosts(s, rangeWithout(s, photoOf[i]!), x, scheme)
        else kept.set(s, [...(kept.get(s) ?? []), thinned(x, samples.length)])
      }),
    )
  }
  const best = (s: Shared): readonly [number, number] =>
    scaled(s, [s.min, s.max], s.candidates[s.cost.reduce((b, v, k) => (v < s.cost[b]! ? k : b), 0)]!)
  const logits = new Set(isClassifier(graph) ? probedOutputs(graph) : [])
  const grids = new Map<number, Quantization>()
  for (const s of sets) {
    const chosen = isInput(s)
      ? input!
      : kept.has(s)
        ? percentileRange(kept.get(s)!)
        : method === 'mse'
          ? best(s)
          : scaled(s, [s.min, s.max], s.tensors.some((t) => logits.has(t)) ? [1, 1] : [beyond, beyond])
    const range = s.tensors.some((t) => logits.has(t)) ? roomy(chosen) : chosen
    const q = s.fixed ?? scheme.affine(...range)
    s.tensors.forEach((t) => grids.set(t, q))
  }
  return grids
}
