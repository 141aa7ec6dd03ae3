/** Quantizes the weights and bias of one layer, knowing what its inputs have become and what its outputs should be. */
import { ThimbleError } from '../base/errors.ts'
import { convShape } from '../float/execute.ts'
import { bounds } from '../float/values.ts'
import type { ConvShape } from '../float/kernels.ts'
import { addColumns, finish } from '../float/wasm.ts'
import { elements, type Graph, type Op, type Quantization, type Tensor } from '../graph/graph.ts'
import { operandsOf, type LayerOp, type WeightedOp } from './channel-groups.ts'
import {
  addMoments,
  addTapMoments,
  covariance,
  emptyMoments,
  gatherRows,
  outputError,
  positions,
  regained,
  roundAdaptive,
  roundingForm,
  roundNearest,
  shareThatHolds,
  sum,
  variances,
  type Moments,
  type RoundingForm,
} from './reconstruct.ts'
import type { Scheme } from './scheme.ts'
import type { Walk } from './walk.ts'
import {
  dequantizeRows,
  fitScale,
  fromRows,
  QMAX,
  storedBias,
  toRows,
  type Matrix,
  type QuantizedMatrix,
} from './weights.ts'
import { littleEndian } from '../base/words.ts'

/** `nearest`: weights to the nearest step. `adaptive`: to the steps that keep the layer's outputs. */
export type Rounding = 'nearest' | 'adaptive'

/** Output positions sampled per layer over all calibration inputs. */
const SAMPLED_ROWS = 16384

/** The layer without its activation: what its weights and bias act on. */
const linear = (op: Op): Op => ({ ...op, attrs: { ...op.attrs, activation: 'NONE' } }) as Op

/** A fully connected layer is a 1x1 convolution over its rows. */
function layerShape(graph: Graph, op: WeightedOp): ConvShape {
  if (op.type !== 'FULLY_CONNECTED') return convShape(graph, op)
  const [O, K] = graph.tensors[op.inputs[1]!]!.shape as [number, number]
  const rows = elements(graph.tensors[op.inputs[0]!]!.shape) / K
  return {
    batch: 1,
    inH: rows,
    inW: 1,
    inC: K,
    outH: rows,
    outW: 1,
    outC: O,
    kh: 1,
    kw: 1,
    strideH: 1,
    strideW: 1,
    dilationH: 1,
    dilationW: 1,
    padding: 'VALID',
  }
}

/** How the rows of a layer's weight matrix fall into groups with inputs of their own. */
interface Grouping {
  groups: number
  inPerGroup: number
  outPerGroup: number
}

function grouping(op: WeightedOp, s: ConvShape, columns: number): Grouping {
  if (op.type === 'DEPTHWISE_CONV_2D') return { groups: s.inC, inPerGroup: 1, outPerGroup: s.outC / s.inC }
  const inPerGroup = columns / (s.kh * s.kw)
  const groups = s.inC / inPerGroup
  return { groups, inPerGroup, outPerGroup: s.outC / groups }
}

/** Columns above which a group is rounded to nearest: the time for adaptive rounding grows with their cube. */
const MAX_COLUMNS = 2304

/** Whether there are more samples than columns, and not too many columns. */
const adaptable = (columns: number, s: ConvShape, inputs: number): boolean =>
  columns <= MAX_COLUMNS && columns < Math.min(SAMPLED_ROWS, inputs * s.outH * s.outW)

/** A layer's inputs, and what the float model has in their place. */
interface Pairs {
  inputs: readonly Float32Array[]
  float: readonly Float32Array[]
}

/** About how many output positions to look at, and whether products of columns are wanted. */
interface Sampling {
  limit: number
  products: boolean
}

/** Moments of every group. */
function collect({ inputs, float }: Pairs, s: ConvShape, g: Grouping, { limit, products }: Sampling): Moments[] {
  const taps = s.kh * s.kw
  const all = Array.from({ length: g.groups }, () => emptyMoments(taps * g.inPerGroup, products, g.inPerGroup > 1))
  const perInput = Math.max(1, Math.ceil(limit / inputs.length))
  inputs.forEach((x, i) => {
    // Every input starts its stride elsewhere; 0.618 spreads the starts evenly.
    const at = positions(s.outH * s.outW, perInput, (i * 0.618) % 1)
    if (g.inPerGroup > 1) {
      all.forEach((m, group) => {
        const rows = (of: Float32Array): Float32Array =>
          gatherRows(of, s, at, [group * g.inPerGroup, (group + 1) * g.inPerGroup])
        addMoments(m, rows(x), at.length, rows(float[i]!))
      })
      return
    }
    addTapMoments(all, gatherRows(x, s, at, [0, s.inC]), taps, at.length)
  })
  return all
}

/**
 * max / 127, or less where clipping the largest weights costs less than coarser steps for the others. `variance`: of
 * each column.
 */
function searchScale(row: Float64Array, variance?: Float64Array): number {
  let max = 0
  for (const v of row) max = Math.max(max, Math.abs(v))
  const full = max / QMAX
  if (!variance || max === 0) return full
  let best = Infinity
  let scale = full
  for (let f = 1; f >= 0.7; f -= 0.02) {
    const s = full * f
    let error = 0
    for (let k = 0; k < row.length; k++) {
      const e = row[k]! - s * Math.max(-QMAX, Math.min(QMAX, Math.round(row[k]! / s)))
      error += e * e * variance[k]!
    }
    if (error < best) {
      best = error
      scale = s
    }
  }
  return scale
}

/**
 * Moments of the calibration inputs, and of two disjoint parts of them: photos to try the rounding with, photos to
 * judge it on.
 */
interface Samples {
  all: Moments
  fit?: Moments
  check?: Moments
}

/** What the scales of weights depend on beside the weights: biases are stored in units of both scales. */
interface InputGrid {
  scale: number
  scheme: Scheme
}

/** Rows that decide whether a group is rounded adaptively. */
const TRIED_ROWS = 16

/** Every so many rows that TRIED_ROWS of them are tried. */
const triedEach = (count: number): number => Math.ceil(count / TRIED_ROWS)

/** Whether rounding for some photos gains on others, over an even choice of rows (in units of their scales). */
function gainsElsewhere(units: readonly Float64Array[], form: RoundingForm, check: Moments): boolean {
  const H = covariance(check)
  if (!H) return false
  const tried = units.filter((_, r) => r % triedEach(units.length) === 0)
  const total = (rounded: Float64Array[]): number => outputError(tried, rounded, H).reduce((a, b) => a + b, 0)
  return total(tried.map(roundNearest)) > total(roundAdaptive(tried, form))
}

/** What the samples say about a group: quadratic forms of all of them, and of those to try it with. */
interface Forms extends Samples {
  form: RoundingForm | undefined
  fitForm: RoundingForm | undefined
}

const formsOf = (samples: Samples): Forms => ({
  ...samples,
  form: roundingForm(samples.all),
  fitForm: samples.fit && roundingForm(samples.fit),
})

/** Rows that make up for what the layers before lost, as far as that holds on photos that it was not learnt from. */
function regainedRows({ rows, columns: K, data }: Matrix, { all, fit, check, form, fitForm }: Forms): Float32Array {
  if (!all.loss || !form || !fit || !fitForm || !check) return data
  const tried = data.filter((_, i) => Math.floor(i / K) % triedEach(rows) === 0)
  const learnt = regained(tried, fit, fitForm)
  const share = learnt ? shareThatHolds(tried, learnt, check) : 0
  const added = share > 0 ? regained(data, all, form) : undefined
  return added ? data.map((v, i) => v + share * added[i]!) : data
}

/** Rounds the rows of one group: adaptively, unless that overfits; without samples to nearest. */
function roundGroup(rows: Matrix, bias: Float32Array, input: InputGrid, samples?: Samples): QuantizedMatrix {
  const { rows: count, columns: K } = rows
  const forms = samples && formsOf(samples)
  const data = forms ? regainedRows(rows, forms) : rows.data
  const variance = samples && variances(samples.all)
  const out: QuantizedMatrix = { rows: count, columns: K, q: new Int8Array(count * K), scales: new Float32Array(count) }
  const units = Array.from({ length: count }, (_, r) => {
    const row = Float64Array.from(data.subarray(r * K, (r + 1) * K))
    const s = fitScale(searchScale(row, variance), bias[r]!, input.scale, input.scheme.maxBias)
    out.scales[r] = s
    return row.map((v) => v / s)
  })
  const [form, fitForm, check] = [forms?.form, forms?.fitForm, forms?.check]
  const adaptive = form && (!check || (fitForm && gainsElsewhere(units, fitForm, check)))
  const rounded = adaptive ? roundAdaptive(units, form) : units.map(roundNearest)
  rounded.forEach((q, r) => out.q.set(q, r * K))
  return out
}

/** What a layer has before it is quantized, and what its input is stored in. */
interface FloatLayer {
  weights: Float32Array
  bias: Float32Array
  input: InputGrid
}

/**
 * Rounds a layer's filter. Transposed convolutions are rounded to nearest: which taps meet depends on the output's
 * position, so that their sums have no one covariance.
 */
function roundLayer(
  walk: Walk,
  op: LayerOp,
  { weights, bias, input }: FloatLayer,
  rounding: Rounding,
): QuantizedMatrix {
  const matrix = toRows(weights, bias.length, op.type === 'DEPTHWISE_CONV_2D')
  if (rounding === 'nearest' || op.type === 'TRANSPOSE_CONV') return roundGroup(matrix, bias, input)
  const s = layerShape(walk.float.graph, op)
  const g = grouping(op, s, matrix.columns)
  const inputs = walk.simulated.length
  const products = adaptable(matrix.columns, s, inputs)
  const collected = (of: readonly number[]): Moments[] =>
    collect(
      {
        inputs: of.map((i) => walk.simulated[i]!.get(op.inputs[0]!)!),
        float: of.map((i) => walk.reference[i]!.get(op.inputs[0]!)!),
      },
      s,
      g,
      { limit: (SAMPLED_ROWS * of.length) / inputs, products },
    )
  const [fit, check] = [collected(walk.fit), collected(walk.check)]
  const out: QuantizedMatrix = {
    rows: matrix.rows,
    columns: matrix.columns,
    q: new Int8Array(matrix.data.length),
    scales: new Float32Array(matrix.rows),
  }
  fit.forEach((m, group) => {
    const [first, end] = [group * g.outPerGroup, (group + 1) * g.outPerGroup]
    const rows = {
      rows: g.outPerGroup,
      columns: matrix.columns,
      data: matrix.data.subarray(first * matrix.columns, end * matrix.columns),
    }
    const samples = walk.check.length ? { all: sum(m, check[group]!), fit: m, check: check[group]! } : { all: m }
    const part = roundGroup(rows, bias.subarray(first, end), input, samples)
    out.q.set(part.q, first * matrix.columns)
    out.scales.set(part.scales, first)
  })
  return out
}

function channelMeans(data: readonly Float32Array[], channels: number): Float64Array {
  const sum = new Float64Array(channels)
  let count = 0
  for (const d of data) {
    addColumns(sum, d)
    count += d.length / channels
  }
  return sum.map((v) => v / count)
}

/** Tensors of the graph that is being made, and the grids that were chosen for activations. */
export interface Quantized {
  tensors: Tensor[]
  grids: Map<number, Quantization>
}

/**
 * Quantizes one weighted op: writes its filter and bias into `tensors` and its outputs into both sides of the walk.
 * Biases are shifted so that each channel's mean output stays the float model's.
 * Requires: the op has a bias, its input has a grid.
 */
export function quantizeLayer(walk: Walk, op: LayerOp, { tensors, grids }: Quantized, rounding: Rounding): void {
  const { float, scheme } = walk
  const at = operandsOf(op)
  const [x, f, b] = [op.inputs[at.x]!, op.inputs[at.filter]!, op.inputs[at.bias]]
  const [y] = op.outputs as [number]
  if (b === undefined || b < 0) {
    throw new ThimbleError('lower/quantization', `${op.type} has no bias`, {
      tensor: tensors[y]!.name,
      hint: 'give it a bias of zeros',
    })
  }
  const depthwise = op.type === 'DEPTHWISE_CONV_2D'
  const filter = tensors[f]!
  const channels = depthwise ? filter.shape[3]! : filter.shape[0]!
  const inputScale = grids.get(x)!.scales[0]!
  const run = (side: Map<number, Float32Array>, weights: Float32Array, bias: Float32Array): Float32Array =>
    float.runOp(linear(op), (t) => (t === f ? weights : t === b ? bias : (side.get(t) ?? float.constant(t))))[0]!
  const bias = float.constant(b).slice()
  const wanted = walk.reference.map((side) => run(side, float.constant(f), bias))
  const stored = roundLayer(
    walk,
    op,
    { weights: float.constant(f), bias, input: { scale: inputScale, scheme } },
    rounding,
  )
  const real = fromRows(dequantizeRows(stored), channels, depthwise)
  const got = walk.simulated.map((side) => run(side, real, bias))
  const shift = channelMeans(wanted, channels)
  channelMeans(got, channels).forEach((v, c) => {
    shift[c]! -= v
    bias[c]! += shift[c]!
  })
  const limits = bounds(op.attrs.activation)
  const grid = grids.get(y)!
  wanted.forEach((d, i) => {
    if (limits) finish(d, { bounds: limits })
    walk.reference[i]!.set(y, d)
  })
  got.forEach((d, i) => {
    finish(d, {
      shift: Float32Array.from(shift),
      bounds: limits,
      grid: { scale: grid.scales[0]!, zero: grid.zeroPoints[0]!, lo: scheme.low, hi: scheme.high },
    })
    walk.simulated[i]!.set(y, d)
  })
  const zeroPoints = (): Int32Array => new Int32Array(channels)
  tensors[f] = {
    ...filter,
    dtype: 'int8',
    data: littleEndian(fromRows(stored.q, channels, depthwise)),
    quantization: { scales: stored.scales, zeroPoints: zeroPoints(), axis: depthwise ? 3 : 0 },
  }
  tensors[b] = {
    ...tensors[b]!,
    dtype: scheme.biasType,
    data: storedBias(bias, stored.scales, inputScale, scheme),
    quantization: { scales: stored.scales.map((s) => Math.fround(s * inputScale)), zeroPoints: zeroPoints(), axis: 0 },
  }
}
