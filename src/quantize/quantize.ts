/**
 * Post-training quantization of a float graph: per-channel symmetric int8 weights, per-tensor activations (int8 with a
 * zero point and int32 biases, or int16 around zero and int64 biases), TFLite's restrictions (shared parameters across
 * data movement, fixed softmax output). The walk: observe ranges, equalize, then go through the ops in order with two
 * sets of values, the float ones and the ones the quantized model will really have, so that every layer corrects what
 * the layers before it lost.
 */
import { ThimbleError } from '../base/errors.ts'
import { floatModel } from '../float/execute.ts'
import { snap } from '../float/values.ts'
import { elements, type Graph, type Op, type Quantization, type Tensor } from '../graph/graph.ts'
import { callback, checkOptions, flag, listOf, oneOf, real, type Rules, shown, whole } from '../options/options.ts'
import { isLayer } from './channel-groups.ts'
import { refuseBlocked } from './check.ts'
import { equalize } from './equalize.ts'
import { fitGrids } from './fit.ts'
import { headroom } from './headroom.ts'
import { observe, type TensorStats } from './observe.ts'
import { isFloat, prepare, quantizeConstants } from './prepare.ts'
import { activationGrids, RANGE_METHODS, type RangeMethod } from './ranges.ts'
import { type SchemeName, SCHEMES } from './scheme.ts'
import { sensitivity } from './sensitivity.ts'
import { quantizeLayer, type Rounding } from './layer.ts'
import { Walk } from './walk.ts'

export interface QuantizeOptions {
  /** What activations become. Default `int8`. */
  scheme?: SchemeName
  /** How activation ranges are chosen. Default `auto`. */
  ranges?: RangeMethod
  /** Cross-layer equalization. Default on. */
  equalize?: boolean
  /** How weights are rounded. Default `adaptive`. */
  rounding?: Rounding
  /** Where the randomness of the sensitivity probes starts. Default 1. */
  seed?: number
  /** Which photo each calibration input is a variation of. Default: all are different photos. */
  photoOf?: readonly number[]
  /** Range of the first input in real units, where it is known. */
  inputRange?: readonly [number, number]
  progress?: (stage: string, done: number, total: number) => void
}

/** The quantized graph, and the float graph with the same ops and channel factors that its layers are compared with. */
export interface Quantized {
  graph: Graph
  equalized: Graph
  /** With ranges `auto`: the chosen ranges in terms of what calibration saw; 1 is just that. */
  beyond?: number
}

const QUANTIZE: Rules<QuantizeOptions> = {
  scheme: oneOf(['int8', 'int16x8']),
  ranges: oneOf(RANGE_METHODS),
  equalize: flag,
  rounding: oneOf(['nearest', 'adaptive']),
  seed: whole(0),
  photoOf: listOf(whole(0)),
  inputRange: listOf(real(), 2, 2),
  progress: callback,
}

/** One calibration input: real values of every graph input, or of the only one. */
export type Sample = Float32Array | readonly Float32Array[]

/** Lists of arrays. Errors: `usage/calibration` for none, and for what are no samples of the graph's inputs. */
function checkedSamples(graph: Graph, given: readonly Sample[]): (readonly Float32Array[])[] {
  const isList = (v: unknown): v is readonly unknown[] => Array.isArray(v)
  const fits = (sample: unknown): boolean => {
    const arrays = sample instanceof Float32Array ? [sample] : sample
    return isList(arrays) && arrays.length === graph.inputs.length && arrays.every((a) => a instanceof Float32Array)
  }
  const wrong: unknown = isList(given) ? given.find((sample) => !fits(sample)) : given
  if (isList(given) && wrong === undefined) {
    if (given.length === 0) {
      throw new ThimbleError('usage/calibration', 'no calibration photos', {
        hint: 'give a folder with 16 or more photos',
      })
    }
    return given.map((s) => (s instanceof Float32Array ? [s] : s))
  }
  throw new ThimbleError('usage/calibration', 'the calibration inputs are not usable', {
    expected: `a list of samples, each ${graph.inputs.length === 1 ? 'a Float32Array' : `${graph.inputs.length} Float32Arrays`}`,
    got: shown(wrong),
  })
}

/**
 * Quantizes a float graph. `given`: calibration inputs in the graph's own real units (already preprocessed), in a fixed
 * order.
 * Errors, before any work: `lower/quantization` for graphs outside the scheme, `lower/unsupported-op` naming every op
 * that the result could not run, `usage/calibration` without samples.
 */
export function quantize(graph: Graph, given: readonly Sample[], options: QuantizeOptions = {}): Quantized {
  checkOptions('quantize', options, QUANTIZE)
  checkedSamples(graph, given)
  refuseBlocked(graph, options.scheme ?? 'int8')
  return quantizeChecked(graph, given, options)
}

/** Errors: `usage/calibration` where the float model's own values are beyond float32. */
function refuseEndless(graph: Graph, stats: ReadonlyMap<number, TensorStats>): void {
  for (const [t, { min, max }] of stats) {
    if (elements(graph.tensors[t]!.shape) === 0 || (Number.isFinite(min) && Number.isFinite(max))) continue
    throw new ThimbleError(
      'usage/calibration',
      'the float model gives values beyond float32 on the calibration inputs',
      {
        tensor: graph.tensors[t]!.name,
        expected: 'finite numbers',
        got: `${min} to ${max}`,
        hint: 'check that its weights are trained ones, and that inputs are in the range it was trained with',
      },
    )
  }
}

/**
 * As `quantize`, of a graph that was asked already. Requires: `quantizeBlockers` finds nothing. Errors:
 * `usage/calibration`.
 */
export function quantizeChecked(graph: Graph, given: readonly Sample[], options: QuantizeOptions = {}): Quantized {
  checkOptions('quantize', options, QUANTIZE)
  const samples = checkedSamples(graph, given)
  const scheme = SCHEMES[options.scheme ?? 'int8']
  const step =
    (stage: string) =>
    (done: number): void =>
      options.progress?.(stage, done, samples.length)
  const photoOf = options.photoOf ?? samples.map((_, i) => i)
  const prepared = prepare(graph, scheme)
  const observed = observe(prepared, samples, photoOf, step('observe'))
  refuseEndless(prepared, observed)
  const costs =
    options.equalize === false ? undefined : sensitivity(prepared, samples, options.seed ?? 1, step('sensitivity'))
  const even = costs && equalize(prepared, observed, costs, { scheme })
  const method = options.ranges ?? 'auto'
  const beyond =
    method === 'auto'
      ? headroom(prepared, observed, {
          scheme,
          samples,
          photoOf,
          input: options.inputRange,
          even: even && { sensitivity: costs, factors: even.factors },
          progress: (done, total) => options.progress?.('ranges', done, total),
        })
      : undefined
  const source = even?.graph ?? prepared
  const grids = activationGrids(source, even?.stats ?? observed, {
    scheme,
    samples,
    photoOf,
    input: options.inputRange,
    ...(method === 'auto' ? {} : { method }),
    ...(beyond === undefined ? {} : { beyond }),
  })
  const float = floatModel(source)
  fitGrids(float, grids, scheme)
  const tensors: Tensor[] = source.tensors.map((t, i) =>
    grids.has(i) && isFloat(source, i) ? { ...t, dtype: scheme.dtype, quantization: grids.get(i)! } : t,
  )
  const walk = new Walk(float, { samples, photoOf }, grids, scheme)
  source.ops.forEach((op, i) => {
    if (isLayer(op)) quantizeLayer(walk, op, { tensors, grids }, options.rounding ?? 'adaptive')
    else plainOp(walk, op, tensors, grids)
    walk.release(i)
    options.progress?.('quantize', i + 1, source.ops.length)
  })
  return { graph: { ...source, tensors }, equalized: source, ...(beyond === undefined ? {} : { beyond }) }
}

/** Ops without weights: runs them on both sides. */
function plainOp(walk: Walk, op: Op, tensors: Tensor[], grids: Map<number, Quantization>): void {
  const { float, scheme } = walk
  quantizeConstants(float.constant, op, { tensors, grids }, scheme)
  const grid = (y: number): Quantization | undefined => (tensors[y]!.dtype === scheme.dtype ? grids.get(y) : undefined)
  for (const [sides, quantized] of [
    [walk.reference, false],
    [walk.simulated, true],
  ] as const) {
    for (const values of sides) {
      float
        .runOp(op, (t) => values.get(t) ?? float.constant(t))
        .forEach((d, k) => {
          const q = quantized ? grid(op.outputs[k]!) : undefined
          if (q) snap(d, q, scheme.dtype)
          values.set(op.outputs[k]!, d)
        })
    }
  }
}
