/**
 * A model with its labels and its preprocessing: image in, names with probabilities out. No dependencies; how encoded
 * images are decoded is given by the entry point.
 */
import { disposable, type Disposes } from '../base/dispose.ts'
import { ThimbleError } from '../base/errors.ts'
import { elements, type Preprocess } from '../graph/graph.ts'
import { defaultPreprocess } from '../image/defaults.ts'
import type { WantedSize } from '../image/limits.ts'
import { placement, Preprocessor } from '../image/preprocess.ts'
import { type FileSource, type FrameSource, isFile, isRaw, pixelsOf, type RawFrame } from '../image/source.ts'
import type { HostBlob } from '../base/host.ts'
import { fitLabels, type LabelFile, labelOf, misfitHint, topK } from '../answers/labels.ts'
import {
  callback,
  checkOptions,
  labelNames,
  oneOf,
  preprocessing,
  real,
  type Rule,
  type Rules,
  whole,
} from '../options/options.ts'
import { expectModel } from '../options/source.ts'
import { suggestion, taskOf } from '../answers/task.ts'
import type { Model, PixelImage, Prediction, TensorInfo, TypedArray } from '../graph/types.ts'

/**
 * Encoded image to pixels, at once or later. `wanted` tells, for an image's upright full size, which size the model
 * needs at least. A decoder that gives pixels at 1/2, 1/4 or 1/8 says so in `reduced`.
 */
export type Decode = (bytes: Uint8Array, wanted: WantedSize) => DecodedPixels
export type DecodeLater = (bytes: Uint8Array, wanted: WantedSize) => Promise<DecodedPixels>
export type DecodedPixels = PixelImage & { reduced?: number }
/**
 * How the entry point's own decoder reads JPEGs: `exact` at full size, `fast` at 1/2, 1/4 or 1/8 (libjpeg's reduction)
 * where the model needs no more. Other formats are always read at full size.
 */
export type DecodePolicy = 'exact' | 'fast'

/** How a classifier names, prepares and scores; all of it has a default. */
export interface ClassifierOptions<D extends Decode | DecodeLater = Decode> {
  /**
   * Class names by index, or the bytes or text of a label file: a name a line, JSON, CSV, YOLO's data.yaml, a label
   * map. Default: those in the model file, else `class N`. A model with one output takes two names, or the one of what
   * its score is for.
   */
  labels?: readonly string[] | string | Uint8Array
  /**
   * How an image becomes the input tensor. Default: what the model file says, else what its input tensor implies.
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
   * Decoder of encoded images, or how the entry point's own works: `exact` (default), with the same pixels and scores
   * on every host, or `fast`. With a decoder that returns a promise, `classify` of encoded images does too.
   */
  decode?: D | DecodePolicy
}

/** How an entry point with a decoder of its own fills the input tensor in one go, instead of `decode`. */
export interface ClassifierHooks {
  /** From an encoded image. */
  prepare?: (encoded: Uint8Array, input: TensorInfo, how: Preprocess, out: TypedArray) => Prepared
  /** The same for a raw frame; undefined where it must become pixels first. */
  prepareFrame?: (frame: RawFrame, input: TensorInfo, how: Preprocess, out: TypedArray) => Prepared | undefined
}

interface Prepared {
  decodeMs: number
  preprocessMs: number
  reduced: number
}

/**
 * Milliseconds of one call, `decodeMs` being 0 for pixels; `reduced`: the image was decoded at 1/reduced of its size.
 */
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
export interface Classifier<Answer extends Prediction[] | Promise<Prediction[]> = Prediction[]> extends Disposes {
  readonly model: Model
  readonly labels: readonly string[]
  readonly preprocess: Preprocess
  /** Where the preprocessing comes from, in words. */
  readonly assumed: string
  /** What was decided in reading the labels and could be wrong, one sentence each. */
  readonly notes: readonly string[]
  /** Times of the latest call. */
  readonly timings: Readonly<Timings>
  /** Raw outputs of the latest call; none before it. */
  readonly raw: readonly TypedArray[]
  /**
   * The best classes of an image, best first, with probabilities. An image is pixels (a canvas' ImageData is one), a
   * raw frame of any format (stride, BGR, YUV), what a canvas draws (ImageBitmap, VideoFrame), or an image file: its
   * bytes, or a Blob, which is a promise everywhere.
   * Errors: `image/…` for an image that can't be read or used, `usage/…` for a wrong call.
   */
  classify(image: Uint8Array | ArrayBuffer, limits?: ClassifyLimits): Answer
  classify(image: HostBlob, limits?: ClassifyLimits): Promise<Prediction[]>
  classify(image: FrameSource, limits?: ClassifyLimits): Prediction[]
  classify(image: FrameSource | Uint8Array | ArrayBuffer, limits?: ClassifyLimits): Prediction[] | Answer
}

const refusedShape = (model: Model, output: TensorInfo): ThimbleError =>
  new ThimbleError('usage/not-a-classifier', "the model's output is not one score per class", {
    tensor: output.name,
    expected: '[1, classes]',
    got: model.outputs.map((o) => `[${o.shape.join(', ')}]`).join(', '),
    hint: suggestion(model),
  })

/** Which output holds the scores: the only one, or the one with as many elements as there are labels. */
export function scoreOutput(model: Pick<Model, 'inputs' | 'outputs' | 'metadata'>, labels: number | undefined): number {
  const index =
    model.outputs.length === 1
      ? 0
      : Math.max(
          0,
          model.outputs.findIndex((o) => elements(o.shape) === labels),
        )
  const output = model.outputs[index]!
  const { command } = taskOf(model)
  if (
    output.shape.filter((d) => d > 1).length > 1 ||
    command === 'detect' ||
    command === 'segment' ||
    command === 'pose'
  ) {
    throw refusedShape(model as Model, output)
  }
  return index
}

/** True when no value of the tensor can lie outside 0..1 (a softmax or sigmoid output's quantization). */
export const isProbability = (t: TensorInfo): boolean => {
  // 16 bits: what LiteRT demands of softmax and logistic.
  if (t.dtype === 'int16') return t.zeroPoint === 0 && t.scale === 1 / 32768
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

/** Names of the two answers of a model with one score. */
const YES_AND_NO = ['no', 'yes']

/** The caller's labels; what reads label files is loaded for those who give one. Errors: `format/labels`. */
async function givenLabels(labels: ClassifierOptions['labels']): Promise<LabelFile | undefined> {
  if (labels === undefined) return undefined
  const isFile = typeof labels === 'string' || labels instanceof Uint8Array
  return isFile ? (await import('../answers/label-file.ts')).readLabels(labels) : { labels: [...labels], notes: [] }
}

/** The caller's labels must fit; a file's own are taken as they are. One output is one of two classes. */
export function pickLabels(
  model: Pick<Model, 'metadata'>,
  given: LabelFile | undefined,
  outputs: number,
): { labels: readonly string[]; notes: readonly string[] } {
  const file = given ?? { labels: [...(model.metadata.labels ?? [])], notes: [] }
  const classes = outputs === 1 ? 2 : outputs
  // The one name is that of the class whose score it is: the second of two.
  if (outputs === 1 && file.labels.length === 1) {
    return { ...file, labels: [`not ${file.labels[0]!}`, file.labels[0]!] }
  }
  if (given === undefined) return { ...file, labels: outputs === 1 && !file.labels.length ? YES_AND_NO : file.labels }
  const fitted = fitLabels(file, classes)
  if (fitted) return fitted
  throw new ThimbleError('usage/labels', 'the labels do not fit the model', {
    expected: outputs === 1 ? '2 labels, or the 1 of what the score is for' : `${classes} labels`,
    got: file.labels.length,
    hint: misfitHint(file.labels, classes),
  })
}

/** One score p as those of two classes: 1 - p and p. */
function twoClasses(
  raw: TypedArray,
  output: TensorInfo,
  kind: 'sigmoid' | 'identity',
  scores: Float32Array,
): Float32Array {
  dequantize(raw, output, scores.subarray(0, 1))
  const value = scores[0]!
  const p = kind === 'sigmoid' ? 1 / (1 + Math.exp(-value)) : value
  scores[0] = 1 - p
  scores[1] = p
  return scores
}

/** Turns raw outputs into scores; the array is the same every time. */
function scorer(
  model: Model,
  output: TensorInfo,
  how: 'auto' | 'softmax' | 'sigmoid' | 'identity',
): (raw: TypedArray) => Float32Array {
  const classes = elements(output.shape)
  const scores = new Float32Array(Math.max(2, classes))
  const said = how === 'auto' ? model.metadata.scores : how
  if (classes === 1) {
    // A softmax over one value is 1 whatever the value: what is no probability is a logit.
    const kind = (value: number): 'sigmoid' | 'identity' =>
      said === 'identity' || said === 'sigmoid'
        ? said
        : isProbability(output) || (output.scale === 0 && value >= 0 && value <= 1)
          ? 'identity'
          : 'sigmoid'
    return (raw) => twoClasses(raw, output, kind(Number(raw[0])), scores)
  }
  return (raw) => {
    dequantize(raw, output, scores)
    const kind = said ?? (isProbability(output) || looksLikeProbabilities(scores) ? 'identity' : 'softmax')
    if (kind === 'softmax') softmaxInPlace(scores)
    else if (kind === 'sigmoid') for (let i = 0; i < scores.length; i++) scores[i] = 1 / (1 + Math.exp(-scores[i]!))
    return scores
  }
}

/** Any number where the caller's scores have no range of their own, else 0 to 1. */
const threshold = (scores: ClassifierOptions['scores']): Rule => (scores === 'identity' ? real() : real(0, 1))

const POLICIES = ['exact', 'fast']
const DECODE: Rule = {
  expected: 'exact, fast or a function',
  words: POLICIES,
  accepts: (v) => typeof v === 'function' || POLICIES.includes(v as string),
}

const rules = (scores: ClassifierOptions['scores']): Rules<ClassifierOptions & ClassifierHooks> => ({
  labels: labelNames,
  preprocess: preprocessing,
  topK: whole(),
  scoreThreshold: threshold(scores),
  scores: oneOf(['auto', 'softmax', 'sigmoid', 'identity']),
  decode: DECODE,
  prepare: callback,
  prepareFrame: callback,
})

/** Which output holds the scores, what they are called, and how an image becomes the input. */
type Reading = Pick<Classifier, 'labels' | 'notes' | 'preprocess' | 'assumed'> & { at: number }

/** Errors: `usage/not-a-classifier`, `usage/labels`, `image/unsupported-input`. */
function readingOf(model: Model, given: LabelFile | undefined, preprocessing?: Preprocess): Reading {
  if (model.inputs.length !== 1) {
    throw new ThimbleError('usage/not-a-classifier', 'the model takes several inputs', {
      expected: 1,
      got: model.inputs.length,
      hint: 'use run for raw tensors',
    })
  }
  const at = scoreOutput(model, (given?.labels ?? model.metadata.labels)?.length)
  const { labels, notes } = pickLabels(model, given, elements(model.outputs[at]!.shape))
  const { preprocess, assumed } = preprocessing
    ? { preprocess: preprocessing, assumed: 'given by the caller' }
    : defaultPreprocess(model.inputs[0]!, model.metadata)
  return { at, labels, notes, preprocess, assumed }
}

/**
 * Makes a classifier of a loaded model. The classifier keeps its buffers: classifying allocates only the answer.
 * A model with one output has two classes: `index` 1 with its score p, and 0 with 1 - p.
 * Errors: `image/unsupported-input`, `usage/labels`, `usage/not-a-classifier`, `usage/option`, `usage/preprocess`.
 */
export async function createClassifier(
  model: Model,
  options?: ClassifierOptions<Decode> & ClassifierHooks,
): Promise<Classifier>
export async function createClassifier(
  model: Model,
  options: ClassifierOptions<DecodeLater>,
): Promise<Classifier<Promise<Prediction[]>>>
export async function createClassifier(
  model: Model,
  options: ClassifierOptions<Decode | DecodeLater> & ClassifierHooks = {},
): Promise<Classifier<Prediction[] | Promise<Prediction[]>>> {
  expectModel(model, 'createClassifier')
  checkOptions(
    'createClassifier',
    options,
    rules(options?.scores) as Rules<ClassifierOptions<Decode | DecodeLater> & ClassifierHooks>,
  )
  const given = await givenLabels(options.labels)
  const { at, labels, notes, preprocess, assumed } = readingOf(model, given, options.preprocess)
  const preprocessor = new Preprocessor(model.inputs[0]!, preprocess)
  const limitRules: Rules<ClassifyLimits> = { topK: whole(), scoreThreshold: threshold(options.scores) }
  const scoresOf = scorer(model, model.outputs[at]!, options.scores ?? 'auto')
  const timings: Timings = { decodeMs: 0, preprocessMs: 0, inferMs: 0, reduced: 1 }
  const input = preprocessor.createInput()
  let outputs: TypedArray[] | undefined

  const answer = (pixels: DecodedPixels, decodeMs: number, limits: ClassifyLimits): Prediction[] => {
    const start = performance.now()
    preprocessor.run(pixels, input)
    return infer({ decodeMs, preprocessMs: performance.now() - start, reduced: pixels.reduced ?? 1 }, limits)
  }
  const wanted: WantedSize = (width, height) => placement({ width, height }, preprocessor.geometry, preprocess)

  const infer = ({ decodeMs, preprocessMs, reduced }: Prepared, limits: ClassifyLimits): Prediction[] => {
    const prepared = performance.now()
    outputs = outputs ? model.run(input, { out: outputs }) : model.run(input)
    timings.inferMs = performance.now() - prepared
    timings.preprocessMs = preprocessMs
    timings.decodeMs = decodeMs
    timings.reduced = reduced
    const scores = scoresOf(outputs[at]!)
    const count = limits.topK ?? options.topK ?? 5
    return topK(scores, count, limits.scoreThreshold ?? options.scoreThreshold).map((index) => ({
      label: labelOf(labels, index),
      index,
      score: scores[index]!,
    }))
  }

  const classifyFile = (encoded: Uint8Array, limits: ClassifyLimits): Prediction[] | Promise<Prediction[]> => {
    if (options.prepare) return infer(options.prepare(encoded, model.inputs[0]!, preprocess, input), limits)
    if (typeof options.decode !== 'function') {
      throw new ThimbleError('usage/decode', 'this entry point has no image decoder', {
        expected: 'pixels, a raw frame or ImageData',
        got: 'an encoded image',
        hint: 'give createClassifier a decode option, or decode it first',
      })
    }
    const start = performance.now()
    const decoded = options.decode(encoded, wanted)
    if (decoded instanceof Promise) return decoded.then((pixels) => answer(pixels, performance.now() - start, limits))
    return answer(decoded, performance.now() - start, limits)
  }

  return {
    model,
    labels,
    preprocess,
    assumed,
    notes,
    timings,
    get raw() {
      return outputs ?? []
    },
    ...disposable(() => model.dispose()),
    classify(image: FrameSource | FileSource, limits: ClassifyLimits = {}) {
      checkOptions('classify', limits, limitRules)
      if (!isFile(image)) {
        const prepared = isRaw(image) && options.prepareFrame?.(image, model.inputs[0]!, preprocess, input)
        if (prepared) return infer(prepared, limits)
        const start = performance.now()
        const pixels = pixelsOf(image)
        return answer(pixels, pixels === image ? 0 : performance.now() - start, limits)
      }
      if (image instanceof Uint8Array) return classifyFile(image, limits)
      if (image instanceof ArrayBuffer) return classifyFile(new Uint8Array(image), limits)
      return image.arrayBuffer().then((bytes) => classifyFile(new Uint8Array(bytes), limits))
    },
  } as Classifier<Prediction[] | Promise<Prediction[]>>
}
