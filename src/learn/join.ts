/** A learned linear layer as int8 ops behind the features of a network: one graph. */
import type { Graph, Metadata, Op, Quantization, Tensor } from '../graph.ts'
import { affine } from '../quantize/scheme.ts'
import { fitScale, QMAX, quantizeBias } from '../quantize/weights.ts'
import { littleEndian } from '../words.ts'
import type { Linear } from './solve.ts'

/** Room that the logits' range leaves beyond those of the photos taught. */
const ROOM = 1.25

const perTensor = (scale: number, zeroPoint: number): Quantization => ({
  scales: Float32Array.of(scale),
  zeroPoints: Int32Array.of(zeroPoint),
  axis: 0,
})

/** Features as int8: a uint8 tensor's values less 128. */
export function int8Features({ tensors, outputs }: Graph): { scale: number; zeroPoint: number; offset: number } {
  const { dtype, quantization } = tensors[outputs[0]!]!
  const offset = dtype === 'uint8' ? 128 : 0
  return { scale: quantization!.scales[0]!, zeroPoint: quantization!.zeroPoints[0]! - offset, offset }
}

/**
 * The network with FULLY_CONNECTED (weights per channel) and SOFTMAX (scale 1/256, zero point -128) behind it.
 * `observed`: int8 features of the photos taught, row-major; the logits' range is theirs, with some room.
 */
export function joinHead(base: Graph, head: Linear, observed: Int8Array, metadata: Metadata): Graph {
  const { scale: inputScale, zeroPoint, offset } = int8Features(base)
  const classes = head.bias.length
  const features = head.weights.length / classes
  const scales = Float32Array.from(head.bias, (bias, c) => {
    const row = head.weights.subarray(c * features, (c + 1) * features)
    return fitScale(row.reduce((m, w) => Math.max(m, Math.abs(w)), 0) / QMAX, bias, inputScale)
  })
  const weights = Int8Array.from(head.weights, (w, i) =>
    Math.max(-QMAX, Math.min(QMAX, Math.round(w / scales[Math.floor(i / features)]!))),
  )
  const bias = quantizeBias(Float32Array.from(head.bias), scales, inputScale)
  let [min, max] = [0, 0]
  for (let r = 0; r < observed.length; r += features) {
    for (let c = 0; c < classes; c++) {
      let sum = bias[c]!
      for (let d = 0; d < features; d++) sum += (observed[r + d]! - zeroPoint) * weights[c * features + d]!
      const logit = sum * inputScale * scales[c]!
      min = Math.min(min, logit)
      max = Math.max(max, logit)
    }
  }
  const tensors: Tensor[] = [...base.tensors]
  const add = (tensor: Tensor): number => tensors.push(tensor) - 1
  const ops: Op[] = [...base.ops]
  let from = base.outputs[0]!
  if (offset) {
    const { name, shape } = tensors[from]!
    const to = add({ name: `${name}/int8`, shape, dtype: 'int8', quantization: perTensor(inputScale, zeroPoint) })
    ops.push({ type: 'QUANTIZE', inputs: [from], outputs: [to], attrs: {} })
    from = to
  }
  const zeroPoints = new Int32Array(classes)
  const filter = add({
    name: 'learned/filter',
    shape: [classes, features],
    dtype: 'int8',
    quantization: { scales, zeroPoints, axis: 0 },
    data: littleEndian(weights),
  })
  const biases = add({
    name: 'learned/bias',
    shape: [classes],
    dtype: 'int32',
    quantization: { scales: scales.map((s) => Math.fround(s * inputScale)), zeroPoints, axis: 0 },
    data: littleEndian(bias),
  })
  const logits = add({
    name: 'learned',
    shape: [1, classes],
    dtype: 'int8',
    quantization: affine(min * ROOM, max * ROOM),
  })
  const scores = add({ name: 'scores', shape: [1, classes], dtype: 'int8', quantization: perTensor(1 / 256, -128) })
  ops.push(
    {
      type: 'FULLY_CONNECTED',
      inputs: [from, filter, biases],
      outputs: [logits],
      attrs: { activation: 'NONE', keepNumDims: false },
    },
    { type: 'SOFTMAX', inputs: [logits], outputs: [scores], attrs: { beta: 1 } },
  )
  return { tensors, ops, inputs: base.inputs, outputs: [scores], metadata }
}
