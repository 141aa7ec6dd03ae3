/** A learned linear layer, and what tells the unknown, as int8 ops behind the features of a network: one graph. */
import type { Graph, Metadata, Op, Quantization, Tensor } from '../graph/graph.ts'
import { affine } from '../quantize/scheme.ts'
import { fitScale, QMAX, quantizeBias } from '../quantize/weights.ts'
import { littleEndian } from '../base/words.ts'
import type { Linear } from './solve.ts'
import { type Nearness, UNIT_STEPS } from './unknown.ts'

/** Room that the logits' range leaves beyond those of the photos taught. */
const ROOM = 1.25
/** Logits beyond all others from which on it makes no difference any more how far or near an image is. */
const BEYOND = 4

const perTensor = (scale: number, zeroPoint: number): Quantization => ({
  scales: Float32Array.of(scale),
  zeroPoints: Int32Array.of(zeroPoint),
  axis: 0,
})
/** What LiteRT demands of the outputs of L2_NORMALIZATION and SOFTMAX. */
const UNIT = perTensor(1 / UNIT_STEPS, 0)
const PROBABILITY = perTensor(1 / 256, -128)

/** The names of tensors by which a learned file is known again. */
export const FILTER = 'learned/filter'
const FEATURES = 'learned/features'
const FLAT = 'learned/flat'
const UNIT_FEATURES = 'learned/unit'
/** Ops between a network's features and the learned layer, by the names of their outputs. */
export const BETWEEN = [FEATURES, FLAT, UNIT_FEATURES]

/** Most features that are brought to length 1 before the learned layer: of more, too many would round to nothing. */
const MOST_UNIT = 4096
export const headOnUnit = (features: number): boolean => features <= MOST_UNIT

/** Features as int8: a uint8 tensor's values less 128. */
export function int8Features({ tensors, outputs }: Graph): { scale: number; zeroPoint: number; offset: number } {
  const { dtype, quantization } = tensors[outputs[0]!]!
  const offset = dtype === 'uint8' ? 128 : 0
  return { scale: quantization!.scales[0]!, zeroPoint: quantization!.zeroPoints[0]! - offset, offset }
}

/** A layer's constants in int8, a scale a row. */
interface Layer {
  rows: number
  columns: number
  inputScale: number
  scales: Float32Array
  weights: Int8Array
  bias: Int32Array
}

function quantized({ weights, bias }: Linear, inputScale: number): Layer {
  const rows = bias.length
  const columns = weights.length / rows
  const scales = Float32Array.from(bias, (b, r) => {
    const row = weights.subarray(r * columns, (r + 1) * columns)
    return fitScale(row.reduce((m, w) => Math.max(m, Math.abs(w)), 0) / QMAX, b, inputScale)
  })
  return {
    rows,
    columns,
    inputScale,
    scales,
    weights: Int8Array.from(weights, (w, i) =>
      Math.max(-QMAX, Math.min(QMAX, Math.round(w / scales[Math.floor(i / columns)]!))),
    ),
    bias: quantizeBias(Float32Array.from(bias), scales, inputScale),
  }
}

/** Rows `from` to `to` of a layer. */
const rowsOf = (layer: Layer, from: number, to: number): Layer => ({
  ...layer,
  rows: to - from,
  scales: layer.scales.slice(from, to),
  weights: layer.weights.slice(from * layer.columns, to * layer.columns),
  bias: layer.bias.slice(from, to),
})

/** Int8 features, row-major, as L2_NORMALIZATION gives them, with their zero point 0. */
function unitSteps(features: Int8Array, columns: number, zeroPoint: number): Int8Array {
  const out = new Int8Array(features.length)
  for (let r = 0; r < features.length; r += columns) {
    let squares = 0
    for (let d = 0; d < columns; d++) squares += (features[r + d]! - zeroPoint) ** 2
    const factor = UNIT_STEPS / (Math.sqrt(squares) || 1)
    for (let d = 0; d < columns; d++) {
      out[r + d] = Math.max(-128, Math.min(QMAX, Math.round((features[r + d]! - zeroPoint) * factor)))
    }
  }
  return out
}

/** Least and largest logit of a layer's int8 inputs, row-major. */
function logitRange(layer: Layer, observed: Int8Array, zeroPoint: number): [number, number] {
  const { rows, columns, weights, bias, scales, inputScale } = layer
  let [min, max] = [0, 0]
  for (let r = 0; r < observed.length; r += columns) {
    for (let c = 0; c < rows; c++) {
      let sum = bias[c]!
      for (let d = 0; d < columns; d++) sum += (observed[r + d]! - zeroPoint) * weights[c * columns + d]!
      const logit = sum * inputScale * scales[c]!
      min = Math.min(min, logit)
      max = Math.max(max, logit)
    }
  }
  return [min, max]
}

/** What stands behind the features. */
export interface Head {
  /** A row a class; with `none`, one more, which counts as unknown. */
  linear: Linear
  none: boolean
  /** Absent: everything is one of the classes. */
  nearness?: Nearness | undefined
}

/** Names of a layer's tensors. */
interface LayerNames {
  output: string
  filter: string
  bias: string
}

/** Adds tensors and ops to a graph. */
class Builder {
  readonly tensors: Tensor[]
  readonly ops: Op[]

  constructor(graph: Graph) {
    this.tensors = [...graph.tensors]
    this.ops = [...graph.ops]
  }

  tensor(tensor: Tensor): number {
    return this.tensors.push(tensor) - 1
  }

  /** An op with one output, an int8 activation. */
  op(op: Omit<Op, 'outputs'>, name: string, shape: readonly number[], quantization: Quantization): number {
    const output = this.tensor({ name, shape, dtype: 'int8', quantization })
    this.ops.push({ ...op, outputs: [output] } as Op)
    return output
  }

  /** A layer over `from`, named as `names` say. */
  connected(from: number, layer: Layer, names: LayerNames, quantization: Quantization): number {
    const { rows, columns, inputScale, scales, weights, bias } = layer
    const zeroPoints = new Int32Array(rows)
    const filter = this.tensor({
      name: names.filter,
      shape: [rows, columns],
      dtype: 'int8',
      quantization: { scales, zeroPoints, axis: 0 },
      data: littleEndian(weights),
    })
    const biases = this.tensor({
      name: names.bias,
      shape: [rows],
      dtype: 'int32',
      quantization: { scales: scales.map((s) => Math.fround(s * inputScale)), zeroPoints, axis: 0 },
      data: littleEndian(bias),
    })
    return this.op(
      {
        type: 'FULLY_CONNECTED',
        inputs: [from, filter, biases],
        attrs: { activation: 'NONE', keepNumDims: false },
      },
      names.output,
      [1, rows],
      quantization,
    )
  }
}

/**
 * The network with L2_NORMALIZATION, FULLY_CONNECTED (weights per channel) and SOFTMAX behind it; with a nearness, one
 * more output, the last, for what is unknown: FULLY_CONNECTED (minus the cosine to each prototype), REDUCE_MIN.
 * `observed`: int8 features of the photos taught, row-major; the logits' range is theirs, with some room.
 */
export function joinHead(base: Graph, head: Head, observed: Int8Array, metadata: Metadata): Graph {
  const { scale, zeroPoint, offset } = int8Features(base)
  const { nearness } = head
  const columns = head.linear.weights.length / head.linear.bias.length
  const onUnit = headOnUnit(columns)
  const layer = quantized(head.linear, onUnit ? UNIT.scales[0]! : scale)
  const classes = layer.rows - (head.none ? 1 : 0)
  const inputs = onUnit ? unitSteps(observed, columns, zeroPoint) : observed
  const [min, max] = logitRange(layer, inputs, onUnit ? 0 : zeroPoint).map((v) => v * ROOM) as [number, number]
  // Of cosines 1 and 0.
  const near = nearness ? nearness.threshold - nearness.weight : 0
  const far = nearness ? nearness.threshold : 0
  const grid = affine(Math.min(min, Math.max(near, min - BEYOND)), Math.max(max, Math.min(far, max + BEYOND)))
  const b = new Builder(base)
  let from = base.outputs[0]!
  const stored = perTensor(scale, zeroPoint)
  if (offset) {
    const { shape } = b.tensors[from]!
    from = b.op({ type: 'QUANTIZE', inputs: [from], attrs: {} }, FEATURES, shape, stored)
  }
  const flat = [1, columns]
  if (b.tensors[from]!.shape.length !== 2) {
    from = b.op({ type: 'RESHAPE', inputs: [from], attrs: { newShape: flat } }, FLAT, flat, stored)
  }
  const brought = (): number =>
    b.op({ type: 'L2_NORMALIZATION', inputs: [from], attrs: { activation: 'NONE' } }, UNIT_FEATURES, flat, UNIT)
  const unit = onUnit || nearness ? brought() : from
  const input = onUnit ? unit : from
  const known = rowsOf(layer, 0, classes)
  let logits = b.connected(input, known, { output: 'learned', filter: FILTER, bias: 'learned/bias' }, grid)
  if (nearness) {
    const { features, prototypes, weight, threshold } = nearness
    const cosines = quantized(
      {
        weights: prototypes.map((v) => -weight * v),
        bias: new Float64Array(prototypes.length / features).fill(threshold),
      },
      UNIT.scales[0]!,
    )
    const distances = b.connected(
      unit,
      cosines,
      { output: 'distances', filter: 'unknown/photos', bias: 'unknown/bias' },
      grid,
    )
    const axis = b.tensor({ name: 'unknown/axis', shape: [1], dtype: 'int32', data: littleEndian(Int32Array.of(1)) })
    let unknown = b.op(
      { type: 'REDUCE_MIN', inputs: [distances, axis], attrs: { keepDims: true } },
      'distance',
      [1, 1],
      grid,
    )
    if (head.none) {
      const none = rowsOf(layer, classes, layer.rows)
      const nothing = b.connected(input, none, { output: 'nothing', filter: 'none/filter', bias: 'none/bias' }, grid)
      unknown = b.op({ type: 'MAXIMUM', inputs: [unknown, nothing], attrs: {} }, 'unknown', [1, 1], grid)
    }
    logits = b.op(
      { type: 'CONCATENATION', inputs: [logits, unknown], attrs: { axis: 1, activation: 'NONE' } },
      'logits',
      [1, classes + 1],
      grid,
    )
  }
  const outputs = b.tensors[logits]!.shape
  const scores = b.op({ type: 'SOFTMAX', inputs: [logits], attrs: { beta: 1 } }, 'scores', outputs, PROBABILITY)
  return { tensors: b.tensors, ops: b.ops, inputs: base.inputs, outputs: [scores], metadata }
}

/** The features alone as a graph: what a head runs on by itself. */
export const featuresOnly = ({ tensors, outputs, metadata }: Graph): Graph => ({
  tensors: [tensors[outputs[0]!]!],
  ops: [],
  inputs: [0],
  outputs: [0],
  metadata,
})
