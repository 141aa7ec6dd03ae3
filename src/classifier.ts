/**
 * A model with its labels and its preprocessing: image in, names with probabilities out. No dependencies; how encoded
 * images are decoded is given by the entry point.
 */
import { ThimbleError } from './errors.ts'
import { elements, type Preprocess } from './graph.ts'
import { defaultPreprocess } from './image/defaults.ts'
import type { Size } from './image/limits.ts'
import { placement, Preprocessor } from './image/preprocess.ts'
import { labelOf, parseLabels, topK } from './labels.ts'
import { expectModel } from './source.ts'
import type { Model, PixelImage, Prediction, TensorInfo, TypedArray } from './types.ts'

/**
 * Encoded image to pixels, at once or later. `wanted` tells, for an image's upright full size, which size the model
 * needs at least. A decoder that gives pixels at 1/2, 1/4 or 1/8 says so in `reduced`.
 */
export type Decode = (bytes: Uint8Array, wanted: WantedSize) => DecodedPixels
export type DecodeLater = (bytes: Uint8Array, wanted: WantedSize) => Promise<DecodedPixels>
export type WantedSize = (width: number, height: number) => Size
export type DecodedPixels = PixelImage & { reduced?: number }
/**
 * How the entry point's own decoder reads JPEGs: `exact` at full size, `fast` at 1/2, 1/4 or 1/8 (libjpeg's reduction)
 * where the model needs no more. Other formats are always read at full size.
 */
export type DecodePolicy = 'exact' | 'fast'

export interface ClassifierOptions<D extends Decode | DecodeLater = Decode> {
  /**
   * Class names by index, or the text of a label file (see parseLabels). Default: those in the model file, else `class
   * N`.
   */
  labels?: readonly string[] | string
  /**
   * How an image becomes the input tensor. Default: what the model file says, else what its input tensor implies (see
   * defaultPreprocess).
   */
  preprocess?: Preprocess
  /** Most predictions per image. Default 5. */
  topK?: number
  /** Predictions with a lower score are left out. Default: none. */
  scoreThreshold?: number
  /**
   * What turns the output into scores from 0 to 1. `auto` (default): the model file's own word, else decided by the
   * output tensor: values that can't leave 0..1 are probabilities already, others are taken for logits (softmax).
   */
  scores?: 'auto' | 'softmax' | 'sigmoid' | 'identity'
  /**
   * Decoder of encoded images, or how the entry point's own works: `exact` (default), with the same pixels and scores on
   * every host, or `fast`. With a decoder that returns a promise, `classify` of encoded images does too.
   */
  decode?: D | DecodePolicy
  /** Decodes an encoded image and fills the input tensor in one go, instead of `decode`. */
  prepare?: (encoded: Uint8Array, input: TensorInfo, how: Preprocess, out: TypedArray) => Prepared
}

interface Prepared {
  decodeMs: number
  preprocessMs: number
  reduced: number
}

/** Milliseconds of one call, `decodeMs` being 0 for pixels; `reduced`: the image was decoded at 1/reduced of its size. */
export interface Timings {
  decodeMs: number
  preprocessMs: number
  inferMs: number
  reduced: number
}

/** Per-call limits, on top of the classifier's own. */
export interface ClassifyLimits {
  topK?: number
  scoreThreshold?: number
}

/** `Answer`: what classifying an encoded image gives; a promise where decoding is asynchronous (browsers). */
export interface Classifier<Answer extends Prediction[] | Promise<Prediction[]> = Prediction[]> {
  readonly model: Model
  readonly labels: readonly string[]
  readonly preprocess: Preprocess
  /** Where the preprocessing comes from, in words. */
  readonly assumed: string
  /** Times of the latest call. */
  readonly timings: Readonly<Timings>
  /**
   * The best classes of an image, best first, with probabilities. An image is pixels (a canvas' ImageData is one) or
   * the bytes of an image file.
   * Errors: `image/…` for an image that can't be read or used, `usage/…` for a wrong call.
   */
  classify(image: PixelImage, limits?: ClassifyLimits): Prediction[]
  classify(image: Uint8Array | ArrayBuffer, limits?: ClassifyLimits): Answer
}

/** Which output holds the scores: the only one, or the one with as many elements as there are labels. */
function scoreOutput(model: Model, labels: readonly string[] | undefined): number {
  const count = labels?.length
  const index =
    model.outputs.length === 1
      ? 0
      : Math.max(
          0,
          model.outputs.findIndex((o) => elements(o.shape) === count),
        )
  const output = model.outputs[index]!
  if (output.shape.filter((d) => d > 1).length > 1) {
    throw new ThimbleError('usage/not-a-classifier', "the model's output is not one score per class", {
      tensor: output.name,
      expected: '[1, classes]',
      got: `[${output.shape.join(', ')}]`,
      hint: 'use run for raw tensors',
    })
  }
  return index
}

/** True when no value of the tensor can lie outside 0..1 (a softmax or sigmoid output's quantization). */
export const isProbability = (t: TensorInfo): boolean => {
  if (t.scale <= 0 || (t.dtype !== 'uint8' && t.dtype !== 'int8')) return false
  const min = t.dtype === 'uint8' ? 0 : -128
  return t.zeroPoint === min && t.scale * 255 <= 1.01
}

/** Float output: already between 0 and 1, adding up to one. */
function looksLikeProbabilities(values: Float32Array): boolean {
  let sum = 0
  for (const v of values) {
    if (!(v >= -1e-6 && v <= 1 + 1e-6)) return false
    sum += v
  }
  return Math.abs(sum - 1) < 0.02
}

/** Real values of an output. */
function dequantize(raw: TypedArray, { scale, zeroPoint }: TensorInfo, out: Float32Array): void {
  for (let i = 0; i < out.length; i++) out[i] = scale > 0 ? (Number(raw[i]) - zeroPoint) * scale : Number(raw[i])
}

/** Softmax in place, in double precision. */
function softmaxInPlace(values: Float32Array): void {
  let max = -Infinity
  for (const v of values) max = Math.max(max, v)
  let sum = 0
  for (const v of values) sum += Math.exp(v - max)
  for (let i = 0; i < values.length; i++) values[i] = Math.exp(values[i]! - max) / sum
}

function checkCount(name: string, value: number): number {
  if (!Number.isInteger(value) || value < 1) {
    throw new ThimbleError('usage/option', `${name} is out of range`, {
      expected: 'a whole number from 1 on',
      got: value,
    })
  }
  return value
}

/** The caller's labels must fit; a file's own are taken as they are. */
function pickLabels(model: Model, given: ClassifierOptions['labels'], classes: number): readonly string[] {
  if (given === undefined) return model.metadata.labels ?? []
  const labels = typeof given === 'string' ? parseLabels(given) : given
  if (labels.length !== classes) {
    const hint =
      Math.abs(labels.length - classes) === 1
        ? 'TensorFlow\'s ImageNet models have 1001 classes, "background" first; others have 1000'
        : 'give the label file that belongs to this model'
    throw new ThimbleError('usage/labels', 'the labels do not fit the model', {
      expected: `${classes} labels`,
      got: labels.length,
      hint,
    })
  }
  return labels
}

/** Turns raw outputs into scores; the array is the same every time. */
function scorer(
  model: Model,
  output: TensorInfo,
  how: 'auto' | 'softmax' | 'sigmoid' | 'identity',
): (raw: TypedArray) => Float32Array {
  const scores = new Float32Array(elements(output.shape))
  const said = how === 'auto' ? model.metadata.scores : how
  return (raw) => {
    dequantize(raw, output, scores)
    const kind = said ?? (isProbability(output) || looksLikeProbabilities(scores) ? 'identity' : 'softmax')
    if (kind === 'softmax') softmaxInPlace(scores)
    else if (kind === 'sigmoid') for (let i = 0; i < scores.length; i++) scores[i] = 1 / (1 + Math.exp(-scores[i]!))
    return scores
  }
}

/**
 * Makes a classifier of a loaded model. The classifier keeps its buffers: classifying allocates only the answer.
 * Errors: `image/unsupported-input`, `usage/labels`, `usage/not-a-classifier`, `usage/option`, `usage/preprocess`.
 */
export async function createClassifier(model: Model, options?: ClassifierOptions<Decode>): Promise<Classifier>
export async function createClassifier(
  model: Model,
  options: ClassifierOptions<DecodeLater>,
): Promise<Classifier<Promise<Prediction[]>>>
export async function createClassifier(
  model: Model,
  options: ClassifierOptions<Decode | DecodeLater> = {},
): Promise<Classifier<Prediction[] | Promise<Prediction[]>>> {
  expectModel(model, 'createClassifier')
  if (model.inputs.length !== 1) {
    throw new ThimbleError('usage/not-a-classifier', 'the model takes several inputs', {
      expected: 1,
      got: model.inputs.length,
      hint: 'use run for raw tensors',
    })
  }
  const given = typeof options.labels === 'string' ? parseLabels(options.labels) : options.labels
  const at = scoreOutput(model, given ?? model.metadata.labels)
  const labels = pickLabels(model, given, elements(model.outputs[at]!.shape))
  const { preprocess, assumed } = options.preprocess
    ? { preprocess: options.preprocess, assumed: 'given by the caller' }
    : defaultPreprocess(model.inputs[0]!, model.metadata)
  const preprocessor = new Preprocessor(model.inputs[0]!, preprocess)
  const count = checkCount('topK', options.topK ?? 5)
  const threshold = options.scoreThreshold ?? -Infinity
  const scoresOf = scorer(model, model.outputs[at]!, options.scores ?? 'auto')
  const timings: Timings = { decodeMs: 0, preprocessMs: 0, inferMs: 0, reduced: 1 }
  const input = preprocessor.createInput()
  let outputs: TypedArray[] | undefined

  const answer = (pixels: DecodedPixels, decodeMs: number, limits: ClassifyLimits): Prediction[] => {
    const start = performance.now()
    preprocessor.run(pixels, input)
    return infer({ decodeMs, preprocessMs: performance.now() - start, reduced: pixels.reduced ?? 1 }, limits)
  }
  const wanted: WantedSize = (width, height) => {
    const { geometry } = preprocessor
    return placement(width, height, geometry.width, geometry.height, preprocess)
  }

  const infer = ({ decodeMs, preprocessMs, reduced }: Prepared, limits: ClassifyLimits): Prediction[] => {
    const prepared = performance.now()
    outputs = outputs ? model.run(input, { out: outputs }) : model.run(input)
    timings.inferMs = performance.now() - prepared
    timings.preprocessMs = preprocessMs
    timings.decodeMs = decodeMs
    timings.reduced = reduced
    const scores = scoresOf(outputs[at]!)
    const k = limits.topK === undefined ? count : checkCount('topK', limits.topK)
    return topK(scores, k, limits.scoreThreshold ?? threshold).map((index) => ({
      label: labelOf(labels, index),
      index,
      score: scores[index]!,
    }))
  }

  return {
    model,
    labels,
    preprocess,
    assumed,
    timings,
    classify(image: PixelImage | Uint8Array | ArrayBuffer, limits: ClassifyLimits = {}) {
      const encoded =
        image instanceof ArrayBuffer ? new Uint8Array(image) : image instanceof Uint8Array ? image : undefined
      if (!encoded) return answer(image as PixelImage, 0, limits)
      if (options.prepare) return infer(options.prepare(encoded, model.inputs[0]!, preprocess, input), limits)
      if (typeof options.decode !== 'function') {
        throw new ThimbleError('usage/decode', 'this entry point has no image decoder', {
          expected: '{ data, width, height, channels } or ImageData',
          got: 'an encoded image',
          hint: 'give createClassifier a decode option, or decode it first',
        })
      }
      const start = performance.now()
      const decoded = options.decode(encoded, wanted)
      if (decoded instanceof Promise) return decoded.then((pixels) => answer(pixels, performance.now() - start, limits))
      return answer(decoded, performance.now() - start, limits)
    },
  } as Classifier<Prediction[] | Promise<Prediction[]>>
}
