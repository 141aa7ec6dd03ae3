/**
 * Post-training quantization of a float graph to int8: per-channel symmetric weights, per-tensor asymmetric
 * activations, int32 biases, TFLite's restrictions (shared parameters across data movement, fixed softmax output).
 * The walk: observe ranges, equalize, observe again, then go through the ops in order with two sets of values, the
 * float ones and the ones the int8 model will really have, so that every layer corrects what the layers before it lost.
 */
import { ThimbleError } from '../errors.ts'
import { floatModel } from '../float/execute.ts'
import { quantizeValues, snap } from '../float/values.ts'
import { type Graph, type Op, type Quantization, type Tensor } from '../graph.ts'
import { isWeighted } from './channel-groups.ts'
import { equalize } from './equalize.ts'
import { observe } from './observe.ts'
import { activationGrids, affine, PASS_THROUGH, type RangeMethod } from './ranges.ts'
import { sensitivity } from './sensitivity.ts'
import { quantizeLayer, type Rounding } from './layer.ts'
import { Walk } from './walk.ts'

export interface QuantizeOptions {
  /** How activation ranges are chosen. Default `minmax`. */
  ranges?: RangeMethod
  /** Cross-layer equalization. Default on. */
  equalize?: boolean
  /** How weights are rounded. Default `adaptive`. */
  rounding?: Rounding
  /** Where the randomness of the sensitivity probes starts. Default 1. */
  seed?: number
  /** Which photo each calibration input is a variation of. Default: all are different photos. */
  photoOf?: readonly number[]
  /** Range of the input in real units, where it is known. */
  inputRange?: readonly [number, number]
  progress?: (stage: string, done: number, total: number) => void
}

/** The int8 graph, and the float graph with the same ops and channel factors that its layers are compared with. */
export interface Quantized {
  graph: Graph
  equalized: Graph
}

/**
 * Quantizes a float graph with one float input.
 * `samples`: calibration inputs in the graph's own real units (already preprocessed), in a fixed order.
 * Errors: `lower/quantization` for graphs outside the scheme, `usage/calibration` without samples.
 */
export function quantize(graph: Graph, samples: readonly Float32Array[], options: QuantizeOptions = {}): Quantized {
  if (samples.length === 0) {
    throw new ThimbleError('usage/calibration', 'no calibration photos', {
      hint: 'give a folder with 16 or more photos',
    })
  }
  if (graph.inputs.length !== 1) {
    throw new ThimbleError('lower/quantization', 'only graphs with one input are quantized', {
      expected: 1,
      got: graph.inputs.length,
    })
  }
  const step =
    (stage: string) =>
    (done: number): void =>
      options.progress?.(stage, done, samples.length)
  const photoOf = options.photoOf ?? samples.map((_, i) => i)
  let source = prepare(graph)
  let stats = observe(source, samples, photoOf, step('observe'))
  if (options.equalize !== false) {
    source = equalize(source, stats, sensitivity(source, samples, options.seed ?? 1, step('sensitivity')))
    stats = observe(source, samples, photoOf, step('equalize'))
  }
  const grids = activationGrids(source, samples, photoOf, stats, options.ranges ?? 'minmax', options.inputRange)
  const tensors: Tensor[] = source.tensors.map((t, i) =>
    grids.has(i) && isFloat(source, i) ? { ...t, dtype: 'int8', quantization: grids.get(i)! } : t,
  )
  const walk = new Walk(floatModel(source), samples, photoOf, grids.get(source.inputs[0]!)!)
  source.ops.forEach((op, i) => {
    if (isWeighted(op)) quantizeLayer(walk, op, tensors, grids, options.rounding ?? 'adaptive')
    else plainOp(walk, op, tensors, grids)
    walk.release(i)
    options.progress?.('quantize', i + 1, source.ops.length)
  })
  return { graph: { ...source, tensors }, equalized: source }
}

/** Stored bytes of a float constant on a grid. */
function onGrid(t: Tensor, data: Float32Array, q: Quantization): Tensor {
  const stored = quantizeValues(data, { dtype: 'int8', quantization: q }) as Int8Array
  return { ...t, dtype: 'int8', quantization: q, data: new Uint8Array(stored.buffer) }
}

/**
 * Constants that an op without weights reads as activations: on the output's grid where the op only moves data, else on
 * one of their own.
 */
function quantizeConstants(walk: Walk, op: Op, tensors: Tensor[], grids: Map<number, Quantization>): void {
  for (const t of op.inputs) {
    if (t < 0 || tensors[t]!.dtype !== 'float32' || !tensors[t]!.data) continue
    const data = walk.float.constant(t)
    const own = (): Quantization =>
      affine(
        data.reduce((a, b) => Math.min(a, b), 0),
        data.reduce((a, b) => Math.max(a, b), 0),
      )
    tensors[t] = onGrid(tensors[t]!, data, PASS_THROUGH.has(op.type) ? grids.get(op.outputs[0]!)! : own())
  }
}

/** Ops without weights: runs them on both sides. */
function plainOp(walk: Walk, op: Op, tensors: Tensor[], grids: Map<number, Quantization>): void {
  const { float } = walk
  quantizeConstants(walk, op, tensors, grids)
  const grid = (y: number): Quantization | undefined => (tensors[y]!.dtype === 'int8' ? grids.get(y) : undefined)
  for (const [sides, quantized] of [
    [walk.reference, false],
    [walk.simulated, true],
  ] as const) {
    for (const values of sides) {
      float
        .runOp(op, (t) => values.get(t) ?? float.constant(t))
        .forEach((d, k) => {
          const q = quantized ? grid(op.outputs[k]!) : undefined
          if (q) snap(d, q, 'int8')
          values.set(op.outputs[k]!, d)
        })
    }
  }
}

/** A graph in the quantizer's terms: every weighted op has constants of its own, and a bias. */
function prepare(graph: Graph): Graph {
  const tensors = [...graph.tensors]
  const used = new Set<number>()
  const own = (t: number): number => {
    if (!used.has(t)) {
      used.add(t)
      return t
    }
    tensors.push({ ...tensors[t]!, name: `${tensors[t]!.name}_${tensors.length}` })
    return tensors.length - 1
  }
  const ops = graph.ops.map((op): Op => {
    if (!isWeighted(op)) return op
    const [x, f, b] = op.inputs as [number, number, number?]
    const filter = tensors[f]!
    if (!filter.data) {
      throw new ThimbleError('lower/quantization', `${op.type} with weights that are not constant`, {
        tensor: filter.name,
      })
    }
    const channels = op.type === 'DEPTHWISE_CONV_2D' ? filter.shape.at(-1)! : filter.shape[0]!
    if (b !== undefined && b >= 0) return { ...op, inputs: [x, own(f), own(b)] }
    tensors.push({
      name: `${filter.name}/bias`,
      shape: [channels],
      dtype: 'float32',
      data: new Uint8Array(4 * channels),
    })
    return { ...op, inputs: [x, own(f), tensors.length - 1] }
  })
  return { ...graph, tensors, ops }
}

/** What stays as it is: indices, and everything that is not float. */
const isFloat = (graph: Graph, t: number): boolean => graph.tensors[t]!.dtype === 'float32'
