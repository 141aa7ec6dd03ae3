/** A learned linear layer, and what tells the unknown, as int8 ops behind the features of a network: one graph. */
import type { Graph, Metadata, Op, Quantization, Tensor } from '../graph.ts'
import { affine } from '../quantize/scheme.ts'
import { fitScale, QMAX, quantizeBias } from '../quantize/weights.ts'
import { littleEndian } from '../words.ts'
import type { Linear } from './solve.ts'
import { type Nearness, UNIT_STEPS } from './unknown.ts'

/** Room that the logits' range leaves beyond those of the photos taught. */
const ROOM = 1.25
/** Cosine below which it makes no difference any more how far an image is. */
const FAR = 0.5

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
/** Ops between a network's features and the learned layer, by the names of their outputs. */
export const BETWEEN = [FEATURES, FLAT]

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

/** Least and largest logit of int8 features, row-major. */
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
 * The network with FULLY_CONNECTED (weights per channel) and SOFTMAX behind it; with a nearness, one more output, the
 * last, for what is unknown: L2_NORMALIZATION, FULLY_CONNECTED (minus the cosine to each prototype), REDUCE_MIN.
 * `observed`: int8 features of the photos taught, row-major; the logits' range is theirs, with some room.
 */
export function joinHead(base: Graph, head: Head, observed: Int8Array, metadata: Metadata): Graph {
  const { scale: inputScale, zeroPoint, offset } = int8Features(base)
  const { nearness } = head
  const layer = quantized(head.linear, inputScale)
  const classes = layer.rows - (head.none ? 1 : 0)
  const [min, max] = logitRange(layer, observed, zeroPoint).map((v) => v * ROOM) as [number, number]
  const far = nearness ? nearness.threshold - nearness.weight * FAR : 0
  const near = nearness ? nearness.threshold - nearness.weight : 0
  const grid = affine(Math.min(min, near), Math.max(max, far))
  const b = new Builder(base)
  let from = base.outputs[0]!
  if (offset) {
    const { shape } = b.tensors[from]!
    from = b.op({ type: 'QUANTIZE', inputs: [from], attrs: {} }, FEATURES, shape, perTensor(inputScale, zeroPoint))
  }
  const flat = [1, layer.columns]
  if (b.tensors[from]!.shape.length !== 2) {
    const reshape = { type: 'RESHAPE', inputs: [from], attrs: { newShape: flat } } as const
    from = b.op(reshape, FLAT, flat, perTensor(inputScale, zeroPoint))
  }
  const known = rowsOf(layer, 0, classes)
  let logits = b.connected(from, known, { output: 'learned', filter: FILTER, bias: 'learned/bias' }, grid)
  if (nearness) {
    const { features, prototypes, weight, threshold } = nearness
    const unit = b.op({ type: 'L2_NORMALIZATION', inputs: [from], attrs: { activation: 'NONE' } }, 'unit', flat, UNIT)
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
      const nothing = b.connected(from, none, { output: 'nothing', filter: 'none/filter', bias: 'none/bias' }, grid)
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
