/** The custom op that ends TensorFlow's SSD detectors. Source: TFLite's kernels/detection_postprocess.cc. */
import { OP_DEQUANTIZE, OP_DETECTION } from '../generated/layout.ts'
import { detectionShapes } from '../graph/detection-op.ts'
import { elements, type OpOf, type Tensor } from '../graph/graph.ts'
import { f32 } from '../arithmetic/numerics.ts'
import { type Context, Unsupported } from './context.ts'
import { rowwise, type Value } from './program.ts'

/** Most results of one image. */
const MAX_RESULTS = 100_000

/** An input in floats: as it is, or dequantized by a step of its own. */
function asFloats(cx: Context, position: number): Value {
  const t = cx.input(position)
  const x = cx.value(position)
  if (t.dtype === 'float32') return cx.plain(x)
  const q = cx.q(t)
  const shape = [...t.shape]
  const y = cx.temporary({ name: `${t.name} (float)`, shape, dtype: 'float32' })
  cx.plain(x)
  cx.push({
    record: 'DequantizeRecord',
    op: OP_DEQUANTIZE,
    kernel: 'dequantize',
    rows: rowwise(1),
    reads: [x.buffer],
    writes: [y.buffer],
    fields: () => ({
      input: x.address(),
      output: y.address(),
      count: elements(shape),
      zeroPoint: q.zero,
      scale: q.scale,
    }),
  })
  return y
}

/** The anchors' real values. LiteRT reads them with the type of the box codes. */
function anchorsOf(cx: Context, t: Tensor, type: Tensor['dtype']): Float32Array {
  if (!t.data) throw new Unsupported('anchors must be a constant')
  if (t.dtype !== type) {
    throw cx.fail('lower/type', 'anchors and box codes differ in type', t, { expected: type, got: t.dtype })
  }
  let anchors: Float32Array
  if (t.dtype === 'float32') {
    const view = new DataView(t.data.buffer, t.data.byteOffset, t.data.byteLength)
    anchors = Float32Array.from({ length: elements(t.shape) }, (_, i) => view.getFloat32(4 * i, true))
  } else {
    const q = cx.q(t)
    anchors = Float32Array.from(t.data, (v) => f32((v - q.zeroPoint) * q.scale))
  }
  // LiteRT fails on a box whose end lies before its start.
  for (let i = 0; i < anchors.length; i += 4) {
    if (anchors[i + 2]! < 0 || anchors[i + 3]! < 0) throw cx.fail('lower/attribute', 'an anchor has a negative size', t)
  }
  return anchors
}

/** Columns of the scores that stand before the first class: 0, or 1 with a background. */
function checkDetection(cx: Context, a: OpOf<'DETECTION_POSTPROCESS'>['attrs']): number {
  // Fast suppression does not look at it.
  if (a.useRegularNms && a.detectionsPerClass < 1) {
    throw cx.fail('lower/attribute', 'detectionsPerClass', undefined, { expected: 1, got: 0 })
  }
  const [codes, predictions, anchorTensor] = [cx.input(0), cx.input(1), cx.input(2)]
  const count = codes.shape[1] ?? 0
  for (const t of [codes, predictions]) {
    if (t.dtype !== 'float32' && t.dtype !== 'uint8') throw new Unsupported(`${t.dtype} input "${t.name}"`)
    if (t.shape.length !== 3 || t.shape[0] !== 1 || t.shape[1] !== count) {
      throw cx.fail('lower/shape', 'input must have shape [1, boxes, …]', t, {
        expected: `[1, ${count}, …]`,
        got: `[${t.shape.join(', ')}]`,
      })
    }
  }
  if (codes.shape[2]! < 4) {
    throw cx.fail('lower/shape', 'box codes must have four numbers', codes, { expected: 4, got: codes.shape[2] })
  }
  if (anchorTensor.shape.join() !== [count, 4].join()) {
    throw cx.fail('lower/shape', 'anchors must have shape [boxes, 4]', anchorTensor, {
      expected: `[${count}, 4]`,
      got: `[${anchorTensor.shape.join(', ')}]`,
    })
  }
  const labelOffset = predictions.shape[2]! - a.numClasses
  if (labelOffset !== 0 && labelOffset !== 1) {
    throw cx.fail(
      'lower/shape',
      'scores must have one column per class, and one for the background at most',
      predictions,
      { expected: a.numClasses, got: predictions.shape[2] },
    )
  }
  if (!(a.nmsIouThreshold > 0 && a.nmsIouThreshold <= 1)) {
    throw cx.fail('lower/attribute', 'nms_iou_threshold is out of range', undefined, {
      expected: 'above 0, up to 1',
      got: a.nmsIouThreshold,
    })
  }
  if (a.maxDetections * a.maxClassesPerDetection > MAX_RESULTS) {
    throw new Unsupported(`more than ${MAX_RESULTS} detections`)
  }
  return labelOffset
}

export function lowerDetection(cx: Context): void {
  const a = (cx.op as OpOf<'DETECTION_POSTPROCESS'>).attrs
  const labelOffset = checkDetection(cx, a)
  const [codes, anchorTensor] = [cx.input(0), cx.input(2)]
  const count = codes.shape[1]!
  const outputs = detectionShapes(a).map((shape, i) => {
    const t = cx.output(i)
    if (t.dtype !== 'float32') {
      throw cx.fail('lower/type', 'output must be float32', t, { expected: 'float32', got: t.dtype })
    }
    cx.expectShape(t, shape)
    return cx.result(i)
  })
  const boxes = asFloats(cx, 0)
  const scores = asFloats(cx, 1)
  const anchors = cx.buffers.constant(anchorTensor.name, anchorsOf(cx, anchorTensor, codes.dtype))
  const room = count + a.maxDetections
  const work = a.useRegularNms
    ? 16 * room + 8 * a.maxDetections + 13 * count
    : 8 * count + Math.max(9 * count, 8 * a.numClasses)
  const scratch = cx.scratch('detection work', 16 * count + work)
  cx.push({
    record: 'DetectionRecord',
    op: OP_DETECTION,
    kernel: a.useRegularNms ? 'detection-regular' : 'detection-fast',
    rows: rowwise(1),
    reads: [boxes.buffer, scores.buffer, anchors],
    writes: [...outputs.map((o) => o.buffer), scratch],
    fields: () => ({
      boxes: boxes.address(),
      boxStride: codes.shape[2]!,
      scores: scores.address(),
      anchors: anchors.address,
      count,
      classes: a.numClasses,
      labelOffset,
      maxDetections: a.maxDetections,
      maxClasses: a.maxClassesPerDetection,
      perClass: a.detectionsPerClass,
      regular: Number(a.useRegularNms),
      scoreThreshold: a.nmsScoreThreshold,
      iouThreshold: a.nmsIouThreshold,
      yScale: a.yScale,
      xScale: a.xScale,
      hScale: a.hScale,
      wScale: a.wScale,
      outBoxes: outputs[0]!.address(),
      outClasses: outputs[1]!.address(),
      outScores: outputs[2]!.address(),
      outCount: outputs[3]!.address(),
      scratch: scratch.address,
    }),
  })
}
