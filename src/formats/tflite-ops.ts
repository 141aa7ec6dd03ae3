/**
 * How each TFLite op becomes an op of the graph: one table, builtin code to row. An op that has no row, or that a row
 * refuses, becomes UNSUPPORTED with a name; a row throws only for what no valid file can hold.
 * Slots and defaults follow TFLite's schema (tensorflow/lite/schema/schema.fbs); what a missing option means follows
 * its core/api/flatbuffer_conversions.cc.
 */
import { ThimbleError } from '../errors.ts'
import type { Activation, OpAttributes, OpType, Padding, Tensor } from '../graph.ts'
import type { Table } from './flatbuffer.ts'
import { readFlexMap } from './flexbuffer.ts'
import { ACTIVATION_NAMES, BUILTIN_NAMES, TYPE_NAMES } from './tflite-names.ts'

/** Why a row refuses an op, completing "CONV_2D with …". */
class Refusal {
  readonly reason: string
  constructor(reason: string) { this.reason = reason }
}

/** The options of one op, read with the schema's defaults. */
class Options {
  readonly table: Table | undefined
  readonly tensors: readonly Tensor[]
  readonly inputs: readonly number[]
  readonly outputs: readonly number[]
  readonly where: string

  constructor(table: Table | undefined, tensors: readonly Tensor[], inputs: readonly number[], outputs: readonly number[], where: string) {
    this.table = table
    this.tensors = tensors
    this.inputs = inputs
    this.outputs = outputs
    this.where = where
  }

  int(slot: number, absent = 0): number { return this.table?.int32(slot, absent) ?? absent }
  bool(slot: number): boolean { return this.table?.bool(slot) ?? false }
  byte(slot: number): number { return this.table?.int8(slot) ?? 0 }
  float(slot: number): number { return this.table?.float32(slot) ?? 0 }

  bad(what: string, expected: string | number, got: string | number): ThimbleError {
    return new ThimbleError('format/op-attribute', what, { op: this.where, expected, got, hint: 'the file is damaged or its converter is at fault' })
  }

  /** A count of at least 1 that fits 16 bits: strides, dilations, windows. */
  count(slot: number, name: string, absent = 0): number {
    const value = this.int(slot, absent)
    if (value < 1 || value > 65535) throw this.bad(name, '1 to 65535', value)
    return value
  }

  padding(slot: number): Padding {
    const value = this.byte(slot)
    if (value !== 0 && value !== 1) throw this.bad('padding', '0 (SAME) or 1 (VALID)', value)
    return value === 0 ? 'SAME' : 'VALID'
  }

  activation(slot: number): Activation {
    const value = this.byte(slot)
    if (value < 0 || value > 3) throw new Refusal(`${ACTIVATION_NAMES[value] ?? `unknown (${value})`} activation`)
    return ACTIVATION_NAMES[value] as Activation
  }

  /** An axis in [-rank, rank), made non-negative. */
  axis(slot: number, rank: number): number {
    const value = this.int(slot)
    if (value < -rank || value >= rank) throw this.bad('axis', `${-rank} to ${rank - 1}`, value)
    return value < 0 ? value + rank : value
  }

  /** The number in `slot`, which must be how many operands there are. */
  matching(slot: number, name: string, operands: number): number {
    const value = this.int(slot)
    if (value !== operands) throw this.bad(name, operands, value)
    return value
  }

  input(i: number): Tensor { return this.tensors[this.inputs[i]] }
  output(i: number): Tensor { return this.tensors[this.outputs[i]] }
}

interface Row<T extends OpType> {
  type: T
  /** Number in the BuiltinOptions union of the table that holds the options; 0: the op has none that matter. */
  options: number
  /** Fewest and most inputs. */
  inputs: readonly [number, number]
  /** Fewest and most outputs. */
  outputs: readonly [number, number]
  /** Position of the one input that may be absent (-1). */
  optional?: number
  attrs(o: Options): OpAttributes[T]
}
type AnyRow = { [T in OpType]: Row<T> }[OpType]

const MANY = 1024
const none = (): Record<never, never> => ({})
const unary = <T extends 'LOGISTIC' | 'TANH' | 'HARD_SWISH' | 'RELU' | 'RELU6' | 'RELU_N1_TO_1' | 'QUANTIZE' | 'DEQUANTIZE' | 'CAST' | 'SQUEEZE'>(type: T): AnyRow =>
  ({ type, options: 0, inputs: [1, 1], outputs: [1, 1], attrs: none }) as AnyRow
/** Ops of a tensor and `extra` constant-like inputs, without attributes. */
const shaped = <T extends 'RESHAPE' | 'EXPAND_DIMS' | 'TRANSPOSE' | 'SLICE' | 'PAD'>(type: T, extra: number): AnyRow =>
  ({ type, options: 0, inputs: [1 + extra, 1 + extra], outputs: [1, 1], attrs: none }) as AnyRow
const binary = <T extends 'ADD' | 'SUB' | 'MUL' | 'DIV'>(type: T, options: number): AnyRow =>
  ({ type, options, inputs: [2, 2], outputs: [1, 1], attrs: (o: Options) => ({ activation: o.activation(0) }) }) as AnyRow
const reducer = <T extends 'MEAN' | 'SUM'>(type: T): AnyRow =>
  ({ type, options: 27, inputs: [2, 2], outputs: [1, 1], attrs: (o: Options) => ({ keepDims: o.bool(0) }) }) as AnyRow
const pool = <T extends 'AVERAGE_POOL_2D' | 'MAX_POOL_2D'>(type: T): AnyRow =>
  ({
    type, options: 5, inputs: [1, 1], outputs: [1, 1],
    attrs: (o: Options) => ({
      padding: o.padding(0), strideW: o.count(1, 'stride width'), strideH: o.count(2, 'stride height'),
      filterW: o.count(3, 'filter width'), filterH: o.count(4, 'filter height'), activation: o.activation(5)
    })
  }) as AnyRow

/** Output channels per input channel, from the shapes; the file's own number is only checked, as it is optional. */
function depthMultiplier(o: Options): number {
  const x = o.input(0).shape, filter = o.input(1).shape
  if (x.length !== 4 || filter.length !== 4 || x[3] < 1 || filter[3] % x[3] !== 0) {
    throw new ThimbleError('format/shape', 'depthwise filter does not fit its input', { op: o.where, expected: 'input [N,H,W,C], filter [1,kh,kw,C*m]', got: `[${x}], [${filter}]` })
  }
  const multiplier = filter[3] / x[3]
  const stored = o.int(3)
  if (stored !== 0 && stored !== multiplier) throw o.bad('depth multiplier', multiplier, stored)
  return multiplier
}

const ROWS: Record<string, AnyRow> = {
  CONV_2D: {
    type: 'CONV_2D', options: 1, inputs: [2, 3], outputs: [1, 1], optional: 2,
    attrs: o => ({
      padding: o.padding(0), strideW: o.count(1, 'stride width'), strideH: o.count(2, 'stride height'), activation: o.activation(3),
      dilationW: o.count(4, 'dilation width', 1), dilationH: o.count(5, 'dilation height', 1)
    })
  },
  DEPTHWISE_CONV_2D: {
    type: 'DEPTHWISE_CONV_2D', options: 2, inputs: [2, 3], outputs: [1, 1], optional: 2,
    attrs: o => ({
      padding: o.padding(0), strideW: o.count(1, 'stride width'), strideH: o.count(2, 'stride height'), depthMultiplier: depthMultiplier(o),
      activation: o.activation(4), dilationW: o.count(5, 'dilation width', 1), dilationH: o.count(6, 'dilation height', 1)
    })
  },
  TRANSPOSE_CONV: {
    type: 'TRANSPOSE_CONV', options: 49, inputs: [3, 4], outputs: [1, 1], optional: 3,
    attrs: o => ({ padding: o.padding(0), strideW: o.count(1, 'stride width'), strideH: o.count(2, 'stride height'), activation: o.activation(3) })
  },
  FULLY_CONNECTED: {
    type: 'FULLY_CONNECTED', options: 8, inputs: [2, 3], outputs: [1, 1], optional: 2,
    attrs: o => {
      if (o.byte(1) !== 0) throw new Refusal(o.byte(1) === 1 ? 'shuffled weights' : `unknown weights format ${o.byte(1)}`)
      return { activation: o.activation(0), keepNumDims: o.bool(2) }
    }
  },
  ADD: binary('ADD', 11),
  SUB: binary('SUB', 28),
  MUL: binary('MUL', 21),
  DIV: binary('DIV', 29),
  AVERAGE_POOL_2D: pool('AVERAGE_POOL_2D'),
  MAX_POOL_2D: pool('MAX_POOL_2D'),
  MEAN: reducer('MEAN'),
  SUM: reducer('SUM'),
  SOFTMAX: { type: 'SOFTMAX', options: 9, inputs: [1, 1], outputs: [1, 1], attrs: o => ({ beta: finite(o, 'beta') }) },
  LOGISTIC: unary('LOGISTIC'),
  TANH: unary('TANH'),
  HARD_SWISH: unary('HARD_SWISH'),
  RELU: unary('RELU'),
  RELU6: unary('RELU6'),
  RELU_N1_TO_1: unary('RELU_N1_TO_1'),
  LEAKY_RELU: { type: 'LEAKY_RELU', options: 75, inputs: [1, 1], outputs: [1, 1], attrs: o => ({ alpha: finite(o, 'alpha') }) },
  QUANTIZE: unary('QUANTIZE'),
  DEQUANTIZE: unary('DEQUANTIZE'),
  CAST: unary('CAST'),
  SQUEEZE: unary('SQUEEZE'),
  RESIZE_BILINEAR: { type: 'RESIZE_BILINEAR', options: 15, inputs: [2, 2], outputs: [1, 1], attrs: o => ({ alignCorners: o.bool(2), halfPixelCenters: o.bool(3) }) },
  RESIZE_NEAREST_NEIGHBOR: { type: 'RESIZE_NEAREST_NEIGHBOR', options: 74, inputs: [2, 2], outputs: [1, 1], attrs: o => ({ alignCorners: o.bool(0), halfPixelCenters: o.bool(1) }) },
  PAD: shaped('PAD', 1),
  CONCATENATION: { type: 'CONCATENATION', options: 10, inputs: [1, MANY], outputs: [1, 1], attrs: o => ({ axis: o.axis(0, o.output(0).shape.length), activation: o.activation(1) }) },
  SPLIT: { type: 'SPLIT', options: 35, inputs: [2, 2], outputs: [1, MANY], attrs: o => ({ numSplits: o.matching(0, 'number of splits', o.outputs.length) }) },
  ARG_MAX: {
    type: 'ARG_MAX', options: 40, inputs: [2, 2], outputs: [1, 1],
    attrs: o => {
      const type = TYPE_NAMES[o.byte(0)]
      if (type !== 'INT32' && type !== 'INT64') throw new Refusal(`${type ?? 'unknown'} output`)
      return { outputType: type === 'INT32' ? 'int32' : 'int64' }
    }
  },
  RESHAPE: { type: 'RESHAPE', options: 0, inputs: [1, 2], outputs: [1, 1], optional: 1, attrs: none },
  EXPAND_DIMS: shaped('EXPAND_DIMS', 1),
  TRANSPOSE: shaped('TRANSPOSE', 1),
  SLICE: shaped('SLICE', 2),
  STRIDED_SLICE: {
    type: 'STRIDED_SLICE', options: 32, inputs: [4, 4], outputs: [1, 1],
    attrs: o => {
      if (o.bool(5)) throw new Refusal('offset ends')
      return { beginMask: o.int(0), endMask: o.int(1), ellipsisMask: o.int(2), newAxisMask: o.int(3), shrinkAxisMask: o.int(4) }
    }
  },
  PACK: { type: 'PACK', options: 59, inputs: [1, MANY], outputs: [1, 1], attrs: o => ({ valuesCount: o.matching(0, 'values count', o.inputs.length), axis: o.axis(1, o.output(0).shape.length) }) },
  UNPACK: { type: 'UNPACK', options: 64, inputs: [1, 1], outputs: [1, MANY], attrs: o => ({ num: o.matching(0, 'number of outputs', o.outputs.length), axis: o.axis(1, o.input(0).shape.length) }) }
}

function finite(o: Options, name: string): number {
  const value = o.float(0)
  if (!Number.isFinite(value)) throw o.bad(name, 'a finite number', value)
  return value
}

/** What the reader knows of an op before its attributes. */
export interface RawOp {
  code: number
  customCode: string | undefined
  optionsType: number
  options: Table | undefined
  customOptions: Uint8Array | undefined
  inputs: readonly number[]
  outputs: readonly number[]
}

/** The file's name for an op, e.g. `CONV_2D` or `CUSTOM edgetpu-custom-op`. */
export function opName(raw: Pick<RawOp, 'code' | 'customCode'>): string {
  if (raw.code === 32) return `CUSTOM ${raw.customCode ?? ''}`.trim()
  return BUILTIN_NAMES[raw.code] ?? `BUILTIN ${raw.code}`
}

/** Fewest and most operands; the one optional input is the only one that may be -1. */
function checkOperands(row: Pick<AnyRow, 'inputs' | 'outputs' | 'optional'>, raw: RawOp, where: string): void {
  const check = (what: string, got: number, [min, max]: readonly [number, number]): void => {
    if (got < min || got > max) throw new ThimbleError('format/op-operands', `wrong number of ${what}`, { op: where, expected: min === max ? min : `${min} to ${max}`, got })
  }
  check('inputs', raw.inputs.length, row.inputs)
  check('outputs', raw.outputs.length, row.outputs)
  raw.inputs.forEach((t, i) => {
    if (t < 0 && i !== row.optional) throw new ThimbleError('format/op-operands', `input ${i} is missing`, { op: where })
  })
}

function detectionPostprocess(raw: RawOp, where: string): OpAttributes['DETECTION_POSTPROCESS'] {
  checkOperands({ inputs: [3, 3], outputs: [4, 4] }, raw, where)
  const map = readFlexMap(raw.customOptions ?? new Uint8Array(0))
  const bad = (key: string, expected: string): ThimbleError => new ThimbleError('format/op-attribute', key, { op: where, expected, got: map.get(key) ?? 'nothing' })
  const count = (key: string, absent?: number): number => {
    const value = Math.trunc(map.get(key) ?? absent ?? NaN)
    if (!(value >= 1 && value <= 1e6)) throw bad(key, '1 to 1000000')
    return value
  }
  const real = (key: string): number => {
    const value = Math.fround(map.get(key) ?? NaN)
    if (!Number.isFinite(value)) throw bad(key, 'a finite number')
    return value
  }
  return {
    maxDetections: count('max_detections'), maxClassesPerDetection: count('max_classes_per_detection'), detectionsPerClass: count('detections_per_class', 100),
    useRegularNms: (map.get('use_regular_nms') ?? 0) !== 0, nmsScoreThreshold: real('nms_score_threshold'), nmsIouThreshold: real('nms_iou_threshold'),
    numClasses: count('num_classes'), yScale: real('y_scale'), xScale: real('x_scale'), hScale: real('h_scale'), wScale: real('w_scale')
  }
}

/**
 * Type and attributes of one op; `UNSUPPORTED` with a name when Thimble has no such op or not with these options.
 * Errors: `format/op-operands`, `format/op-attribute`, `format/shape`, `format/flexbuffer` for what no valid file holds.
 */
export function readOp(raw: RawOp, tensors: readonly Tensor[], where: string): { type: OpType; attrs: OpAttributes[OpType] } {
  const name = opName(raw)
  if (name === 'CUSTOM TFLite_Detection_PostProcess') return { type: 'DETECTION_POSTPROCESS', attrs: detectionPostprocess(raw, where) }
  const row = Object.hasOwn(ROWS, name) ? ROWS[name] : undefined
  if (!row) return { type: 'UNSUPPORTED', attrs: { name } }
  checkOperands(row, raw, where)
  if (row.options !== 0 && raw.optionsType !== 0 && raw.optionsType !== row.options) {
    throw new ThimbleError('format/op-attribute', 'options of another op', { op: where, expected: `options type ${row.options}`, got: raw.optionsType, hint: 'the file is damaged or its converter is at fault' })
  }
  const options = new Options(raw.optionsType === row.options ? raw.options : undefined, tensors, raw.inputs, raw.outputs, where)
  try {
    return { type: row.type, attrs: row.attrs(options) }
  } catch (error) {
    if (error instanceof Refusal) return { type: 'UNSUPPORTED', attrs: { name: `${name} with ${error.reason}` } }
    throw error
  }
}
