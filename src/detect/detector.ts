/** A detector: image in, boxes in the image's own pixels out. No dependencies. */
import { ThimbleError } from '../errors.ts'
import type { Preprocess } from '../graph.ts'
import { defaultPreprocess } from '../image/defaults.ts'
import { type InputGeometry, type Placement, placement, Preprocessor } from '../image/preprocess.ts'
import { labelOf, parseLabels } from '../labels.ts'
import type { Model, PixelImage, TensorInfo, TypedArray } from '../types.ts'
import { type Box, type Candidate, nonMaxSuppression } from './boxes.ts'
import { type Head, headOf } from './head.ts'
import { postprocessDecoder } from './postprocess.ts'
import { ssdDecoder } from './ssd.ts'
import { yoloDecoder } from './yolo.ts'

export interface Detection {
  box: Box
  score: number
  label: string
  index: number
}

export interface DetectorOptions {
  /** Class names by index, or the text of a label file. Default: those in the model file, else `class N`. */
  labels?: readonly string[] | string
  /** How an image becomes the input tensor. Default: what the model file says, else what its input tensor implies. */
  preprocess?: Preprocess
  /** Detections below are left out. Default: the model file's own, else 0.5. */
  scoreThreshold?: number
  /**
   * Boxes of one class that overlap by more (intersection over union) are one object. Default: the model file's own.
   * Models that suppress by themselves ignore it.
   */
  iouThreshold?: number
  /** Most detections per image. Default 100. */
  maxDetections?: number
}

export interface Detector {
  readonly model: Model
  readonly labels: readonly string[]
  readonly preprocess: Preprocess
  readonly scoreThreshold: number
  /** Milliseconds of the latest call. */
  readonly timings: Readonly<{ preprocessMs: number; inferMs: number; decodeMs: number }>
  /** What is in an image, best score first. Boxes lie within the image. Errors: `image/pixels`. */
  detect(image: PixelImage): Detection[]
}

/** Real values of a raw output. */
export function dequantized(raw: TypedArray, { scale, zeroPoint }: TensorInfo): Float32Array {
  return Float32Array.from(raw as ArrayLike<number>, (v) => (scale > 0 ? (v - zeroPoint) * scale : Number(v)))
}

/** From shares of the network's input to pixels of the image that was placed in it. */
export function toImage(
  x: number,
  y: number,
  place: Placement,
  input: InputGeometry,
  image: { width: number; height: number },
): [number, number] {
  return [
    ((x * input.width - place.padX + place.cropX) * image.width) / place.width,
    ((y * input.height - place.padY + place.cropY) * image.height) / place.height,
  ]
}

/** Box of a candidate, cut at the image's borders; undefined when nothing is left of it. */
function toBox(
  c: Candidate,
  place: Placement,
  input: InputGeometry,
  image: { width: number; height: number },
): Box | undefined {
  const [left, top] = toImage(c.left, c.top, place, input, image)
  const [right, bottom] = toImage(c.right, c.bottom, place, input, image)
  const [x, y] = [Math.max(0, left), Math.max(0, top)]
  const [width, height] = [Math.min(image.width, right) - x, Math.min(image.height, bottom) - y]
  return width > 0 && height > 0 && Number.isFinite(width) && Number.isFinite(height)
    ? { x, y, width, height }
    : undefined
}

function decoderOf(
  head: Head,
  outputs: readonly TensorInfo[],
): (values: readonly ArrayLike<number>[], threshold: number) => Candidate[] {
  switch (head.kind) {
    case 'ssd':
      return ssdDecoder(head, outputs)
    case 'yolo':
      return yoloDecoder(head, outputs)
    case 'postprocess':
      return postprocessDecoder(head, outputs)
  }
}

const between = (name: string, value: number): number => {
  if (!(value >= 0 && value <= 1)) {
    throw new ThimbleError('usage/option', `${name} is out of range`, { expected: 'a number from 0 to 1', got: value })
  }
  return value
}

/**
 * Makes a detector of a loaded model: one whose file says how its outputs are coded (Thimble's own detectors), or a
 * `.tflite` that ends in TFLite_Detection_PostProcess.
 * Errors: `usage/not-a-detector`, `usage/option`, `format/metadata`, `format/shape`, `image/unsupported-input`.
 */
export async function createDetector(model: Model, options: DetectorOptions = {}): Promise<Detector> {
  const head = headOf(model.metadata, model.outputs)
  if (!head) {
    throw new ThimbleError('usage/not-a-detector', 'the model does not say how its outputs become boxes', {
      expected: 'a detector of weights/, or a .tflite that ends in TFLite_Detection_PostProcess',
      got: `${model.outputs.length} outputs: ${model.outputs.map((o) => `[${o.shape.join(', ')}]`).join(', ')}`,
      hint: 'use run for raw tensors',
    })
  }
  if (model.inputs.length !== 1) {
    throw new ThimbleError('usage/not-a-detector', 'the model takes several inputs', {
      expected: 1,
      got: model.inputs.length,
    })
  }
  const labels =
    typeof options.labels === 'string' ? parseLabels(options.labels) : (options.labels ?? model.metadata.labels ?? [])
  const preprocess = options.preprocess ?? defaultPreprocess(model.inputs[0]!, model.metadata).preprocess
  const preprocessor = new Preprocessor(model.inputs[0]!, preprocess)
  const scoreThreshold = between('scoreThreshold', options.scoreThreshold ?? head.scoreThreshold)
  const iouThreshold = between('iouThreshold', options.iouThreshold ?? head.iouThreshold)
  const most = options.maxDetections ?? 100
  if (!Number.isInteger(most) || most < 1) {
    throw new ThimbleError('usage/option', 'maxDetections is out of range', {
      expected: 'a whole number from 1 on',
      got: most,
    })
  }
  const decode = decoderOf(head, model.outputs)
  const { geometry } = preprocessor
  const input = preprocessor.createInput()
  const timings = { preprocessMs: 0, inferMs: 0, decodeMs: 0 }
  let raw: TypedArray[] | undefined
  return {
    model,
    labels,
    preprocess,
    scoreThreshold,
    timings,
    detect(image) {
      const start = performance.now()
      preprocessor.run(image, input)
      const prepared = performance.now()
      raw = raw ? model.run(input, { out: raw }) : model.run(input)
      const inferred = performance.now()
      const values = raw.map((r, i) => dequantized(r, model.outputs[i]!))
      const candidates = decode(values, scoreThreshold)
      const kept =
        head.kind === 'postprocess' ? candidates.slice(0, most) : nonMaxSuppression(candidates, iouThreshold, most)
      const place = placement(image.width, image.height, geometry.width, geometry.height, preprocess)
      const found = kept.flatMap((c) => {
        const box = toBox(c, place, geometry, image)
        return box ? [{ box, score: c.score, label: labelOf(labels, c.index), index: c.index }] : []
      })
      Object.assign(timings, {
        preprocessMs: prepared - start,
        inferMs: inferred - prepared,
        decodeMs: performance.now() - inferred,
      })
      return found
    },
  }
}
