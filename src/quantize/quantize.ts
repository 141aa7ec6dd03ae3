/**
 * Post-training quantization of a float graph to int8: per-channel symmetric weights, per-tensor asymmetric
 * activations, int32 biases, TFLite's restrictions (shared parameters across data movement, fixed softmax output).
 * The walk: observe ranges, equalize, observe again, then go through the ops in order with two sets of values, the
 * float ones and the ones the int8 model will really have, so that every layer corrects what the layers before it lost.
 */
import { ThimbleError } from '../errors.ts'
import { activate, floatModel, type FloatModel } from '../float/execute.ts'
import { snap } from '../float/values.ts'
import { elements, type Graph, type Op, type Quantization, type Tensor } from '../graph.ts'
import { equalize, isWeighted } from './equalize.ts'
import { observe, type TensorStats } from './observe.ts'
import { affine, chooseRange, type RangeMethod } from './ranges.ts'
import { dequantizeRows, fitScales, fromRows, quantizeBias, roundRows, rowScales, toRows } from './weights.ts'

export interface QuantizeOptions {
  ranges?: RangeMethod
  equalize?: boolean
  alpha?: number
  headroom?: number
  biasCorrection?: boolean
  weightSearch?: boolean
  progress?: (stage: string, done: number, total: number) => void
}

/** Ops whose outputs must have their input's parameters. */
const PASS_THROUGH = new Set<Op['type']>(['MAX_POOL_2D', 'AVERAGE_POOL_2D', 'RESHAPE', 'SQUEEZE', 'EXPAND_DIMS', 'PAD', 'RESIZE_BILINEAR', 'RESIZE_NEAREST_NEIGHBOR', 'CONCATENATION', 'SPLIT', 'TRANSPOSE', 'SLICE', 'STRIDED_SLICE', 'PACK', 'UNPACK'])

const one = (scale: number, zero: number): Quantization => ({ scales: Float32Array.of(scale), zeroPoints: Int32Array.of(zero), axis: 0 })
/** Parameters that TFLite prescribes for an op's output. */
function fixedOutput(op: Op): Quantization | undefined {
  if (op.type === 'SOFTMAX' || op.type === 'LOGISTIC') return one(1 / 256, -128)
  return op.type === 'TANH' ? one(1 / 128, 0) : undefined
}

/** Quantization parameters of every float activation. */
function activationGrids(graph: Graph, stats: Map<number, TensorStats>, method: RangeMethod): Map<number, Quantization> {
  const parent = graph.tensors.map((_, i) => i)
  const find = (i: number): number => (parent[i] === i ? i : (parent[i] = find(parent[i]!)))
  const fixed = new Map<number, Quantization>()
  for (const op of graph.ops) {
    const q = fixedOutput(op)
    if (q) op.outputs.forEach((t) => fixed.set(t, q))
    if (PASS_THROUGH.has(op.type)) for (const t of [...op.inputs, ...op.outputs]) if (stats.has(t)) parent[find(t)] = find(op.outputs[0]!)
  }
  const members = new Map<number, number[]>()
  for (const t of stats.keys()) members.set(find(t), [...(members.get(find(t)) ?? []), t])
  const grids = new Map<number, Quantization>()
  for (const tensors of members.values()) {
    const given = tensors.map((t) => fixed.get(t)).find(Boolean)
    const q = given ?? gridOf(tensors.map((t) => stats.get(t)!), method)
    tensors.forEach((t) => grids.set(t, q))
  }
  return grids
}

function gridOf(all: TensorStats[], method: RangeMethod): Quantization {
  const bounds = [Math.min(...all.map((s) => s.min)), Math.max(...all.map((s) => s.max))] as const
  const sample = all.length === 1 ? all[0]!.sample : Float32Array.from(all.flatMap((s) => [...s.sample]))
  return affine(...chooseRange(method, sample, bounds))
}

/** Float and simulated values of the tensors that are still needed, for each calibration input. */
class Walk {
  readonly float: FloatModel
  readonly reference: Map<number, Float32Array>[]
  readonly simulated: Map<number, Float32Array>[]
  private readonly lastUse = new Map<number, number>()

  constructor(float: FloatModel, samples: readonly Float32Array[], inputGrid: Quantization) {
    this.float = float
    const input = float.graph.inputs[0]!
    this.reference = samples.map((s) => new Map([[input, s]]))
    this.simulated = samples.map((s) => { const q = s.slice(); snap(q, inputGrid, 'int8'); return new Map([[input, q]]) })
    float.graph.ops.forEach((op, i) => op.inputs.forEach((t) => this.lastUse.set(t, i)))
  }

  /** Drops what no later op reads. */
  release(i: number): void {
    for (const t of this.float.graph.ops[i]!.inputs) if (this.lastUse.get(t) === i) for (const side of [this.reference, this.simulated]) side.forEach((m) => m.delete(t))
  }
}

/** A weighted op without its activation: what its bias and weights can still change. */
const linear = (op: Op): Op => ({ ...op, attrs: { ...op.attrs, activation: 'NONE' } }) as Op

function channelMeans(data: readonly Float32Array[], channels: number): Float64Array {
  const sum = new Float64Array(channels)
  let count = 0
  for (const d of data) { for (let i = 0; i < d.length; i++) sum[i % channels]! += d[i]!; count += d.length / channels }
  return sum.map((v) => v / count)
}

const bytesOf = (a: Int8Array | Int32Array): Uint8Array => new Uint8Array(a.buffer, a.byteOffset, a.byteLength)

/** Quantizes one weighted op in place in `tensors`, and pushes its outputs on both sides. */
function weightedOp(walk: Walk, op: Extract<Op, { type: 'CONV_2D' | 'DEPTHWISE_CONV_2D' | 'FULLY_CONNECTED' }>, tensors: Tensor[], grids: Map<number, Quantization>, o: Required<Omit<QuantizeOptions, 'progress'>>): void {
  const { float } = walk
  const [x, f] = op.inputs as [number, number, number?]
  const b = op.inputs[2] !== undefined && op.inputs[2] >= 0 ? op.inputs[2] : undefined
  if (b === undefined) throw new ThimbleError('lower/quantization', `${op.type} has no bias`, { tensor: tensors[op.outputs[0]!]!.name, hint: 'give it a bias of zeros' })
  const depthwise = op.type === 'DEPTHWISE_CONV_2D'
  const filter = tensors[f]!
  const channels = depthwise ? filter.shape[3]! : filter.shape[0]!
  const inputScale = grids.get(x)!.scales[0]!
  const rows = toRows(float.constant(f), channels, depthwise)
  let bias = float.constant(b).slice()
  const scales = fitScales(rowScales(rows, o.weightSearch), bias, inputScale)
  const stored = roundRows(rows, scales)
  const real = fromRows(dequantizeRows(stored), channels, depthwise)
  const run = (w: Float32Array, side: Map<number, Float32Array>): Float32Array =>
    float.runOp(linear(op), (t) => (t === f ? w : t === b ? bias : side.get(t) ?? float.constant(t)))[0]!
  const wanted = walk.reference.map((side) => run(float.constant(f), side))
  const got = walk.simulated.map((side) => run(real, side))
  const shift = new Float32Array(channels)
  if (o.biasCorrection) {
    const want = channelMeans(wanted, channels)
    channelMeans(got, channels).forEach((v, c) => { shift[c] = want[c]! - v })
    bias = bias.map((v, c) => v + shift[c]!)
  }
  const y = op.outputs[0]!
  wanted.forEach((d, i) => { activate(d, op.attrs.activation); walk.reference[i]!.set(y, d) })
  got.forEach((d, i) => {
    for (let k = 0; k < d.length; k++) d[k]! += shift[k % channels]!
    activate(d, op.attrs.activation)
    snap(d, grids.get(y)!, 'int8')
    walk.simulated[i]!.set(y, d)
  })
  const zeros = (): Int32Array => new Int32Array(channels)
  tensors[f] = { ...filter, dtype: 'int8', data: bytesOf(fromRows(stored.q, channels, depthwise)), quantization: { scales, zeroPoints: zeros(), axis: depthwise ? 3 : 0 } }
  tensors[b] = { ...tensors[b]!, dtype: 'int32', data: bytesOf(quantizeBias(bias, scales, inputScale)), quantization: { scales: scales.map((s) => Math.fround(s * inputScale)), zeroPoints: zeros(), axis: 0 } }
}

/**
 * Quantizes a float graph with one float input.
 * `samples`: calibration inputs in the graph's own real units (already preprocessed), in a fixed order.
 * Errors: `lower/quantization` for graphs outside the scheme, `usage/calibration` without samples.
 */
export function quantize(graph: Graph, samples: readonly Float32Array[], options: QuantizeOptions = {}): Graph {
  const o = { ranges: 'mse', equalize: true, alpha: 0.7, headroom: 1.2, biasCorrection: true, weightSearch: false, ...options } as Required<QuantizeOptions>
  if (samples.length === 0) throw new ThimbleError('usage/calibration', 'no calibration photos', { hint: 'give a folder with 16 or more photos' })
  if (graph.inputs.length !== 1) throw new ThimbleError('lower/quantization', 'only graphs with one input are quantized', { expected: 1, got: graph.inputs.length })
  const step = (stage: string) => (done: number): void => options.progress?.(stage, done, samples.length)
  let source = graph
  let stats = observe(source, samples, step('observe'))
  if (o.equalize) {
    source = equalize(source, stats, { alpha: o.alpha, headroom: o.headroom })
    stats = observe(source, samples, step('equalize'))
  }
  const grids = activationGrids(source, stats, o.ranges)
  const tensors: Tensor[] = source.tensors.map((t, i) => (grids.has(i) ? { ...t, dtype: 'int8', quantization: grids.get(i)! } : t))
  const float = floatModel(source)
  const walk = new Walk(float, samples, grids.get(source.inputs[0]!)!)
  source.ops.forEach((op, i) => {
    if (isWeighted(op)) weightedOp(walk, op, tensors, grids, o)
    else plainOp(walk, op, tensors, grids)
    walk.release(i)
    options.progress?.('quantize', i + 1, source.ops.length)
  })
  return { ...source, tensors }
}

/** Ops without weights: constants among the inputs that hold activations get a grid of their own. */
function plainOp(walk: Walk, op: Op, tensors: Tensor[], grids: Map<number, Quantization>): void {
  const { float } = walk
  if (op.type === 'ADD' || op.type === 'SUB' || op.type === 'MUL') {
    for (const t of op.inputs) {
      if (tensors[t]!.dtype !== 'float32') continue
      const data = float.constant(t)
      const q = affine(data.reduce((a, b) => Math.min(a, b), 0), data.reduce((a, b) => Math.max(a, b), 0))
      tensors[t] = { ...tensors[t]!, dtype: 'int8', quantization: q, data: bytesOf(Int8Array.from(data, (v) => Math.max(-128, Math.min(127, Math.round(v / q.scales[0]!) + q.zeroPoints[0]!)))) }
    }
  }
  for (const [side, quantized] of [[walk.reference, false], [walk.simulated, true]] as const) {
    for (const values of side) {
      float.runOp(op, (t) => values.get(t) ?? float.constant(t)).forEach((d, k) => {
        const y = op.outputs[k]!
        if (quantized && grids.has(y) && elements(float.graph.tensors[y]!.shape) > 0) snap(d, grids.get(y)!, 'int8')
        values.set(y, d)
      })
    }
  }
}
