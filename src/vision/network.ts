/** A model with its head and the way a photo gets into it: what all tasks start from. */
import { ThimbleError } from '../base/errors.ts'
import type { Metadata, Preprocess } from '../graph/graph.ts'
import { defaultPreprocess } from '../image/defaults.ts'
import { inputGeometry } from '../image/geometry.ts'
import { readLabels } from '../answers/label-file.ts'
import { fitLabels, labelOf, misfitHint } from '../answers/labels.ts'
import { callback, labelNames, preprocessing, real, type Rules } from '../options/options.ts'
import { expectModel } from '../options/source.ts'
import type { Picture } from '../image/rows.ts'
import type { Model, TensorInfo, TypedArray } from '../graph/types.ts'
import { readHead } from './described.ts'
import { Framer, type Region, type View } from './frame.ts'
import type { Framing, Head, HeadKind } from './head.ts'
import { headOf } from './recognise.ts'
import {
  decoded,
  type FileSource,
  type ImageDecode,
  type ImageSource,
  isFile,
  type FrameSource,
  pictureOf,
} from '../image/source.ts'
import { dequantized, shapesOf } from './values.ts'

export interface VisionOptions {
  /** Class names by index, or a label file's text or bytes. Default: those in the model file, else `class N`. */
  labels?: readonly string[] | string | Uint8Array
  /**
   * How an image becomes the input tensor. Default: what the head's family does, else what the model file says, else
   * what its input tensor implies.
   */
  preprocess?: Preprocess
  /** What the outputs mean: a kind, or a whole description. Default: recognised. */
  head?: HeadKind | Head
  /** What scores below is left out. Default: the head's own. */
  scoreThreshold?: number
  /** Decoder of encoded images. Default: the browser's where there is one, else Thimble's. */
  decode?: ImageDecode
}

/** What the options of all tasks may be. */
export const VISION_RULES: Rules<VisionOptions> = {
  labels: labelNames,
  preprocess: preprocessing,
  head: {
    expected: 'a kind of head, or its description',
    accepts: (v) => typeof v === 'string' || (typeof v === 'object' && v !== null),
  },
  scoreThreshold: real(0, 1),
  decode: callback,
}

/** Milliseconds of the latest call. */
export interface VisionTimings {
  preprocessMs: number
  inferMs: number
  headMs: number
}

/** An answer: at once for pixels, a promise where an image must be decoded first. */
export interface Answers<T> {
  (image: FrameSource): T
  (image: FileSource): Promise<T>
}

/** Answers of a function from pixels or raw frames. */
export function answering<T>(decode: ImageDecode | undefined, answer: (image: Picture) => T): Answers<T> {
  return ((image: ImageSource) =>
    isFile(image) ? decoded(image, decode).then(answer) : answer(pictureOf(image))) as Answers<T>
}

const RANGES = {
  raw: { mean: [0], std: [1] },
  unit: { mean: [0], std: [255] },
  signed: { mean: [127.5], std: [127.5] },
  imagenet: { mean: [123.675, 116.28, 103.53], std: [58.395, 57.12, 57.375] },
  caffe: { mean: [123, 117, 104], std: [1] },
}

/**
 * The preprocessing where the caller gives none: the file's or the tensor's, with what the head's family is known to
 * do.
 */
export function familyPreprocess(input: TensorInfo, model: Pick<Model, 'metadata'>, head: Framing): Preprocess {
  const { preprocess, guessed } = defaultPreprocess(input, model.metadata)
  // A quantized input says by its range what it takes.
  const open = guessed && !(input.scale > 0)
  const bgr = head.bgr && preprocess.channels === 'rgb' && !model.metadata.preprocess
  return {
    ...preprocess,
    ...(open && head.range ? RANGES[head.range] : {}),
    ...(bgr ? { channels: 'bgr' as const } : {}),
    ...(guessed && head.crop ? { fit: 'crop' as const, shorterSide: shorter(input) } : {}),
  }
}

/** What heads of one class find. */
const FAMILY_LABELS: Partial<Record<HeadKind, readonly string[]>> = {
  blazeface: ['face'],
  palm: ['hand'],
  blazepose: ['person'],
  dbface: ['face'],
  ultraface: ['face'],
  scrfd: ['face'],
  yunet: ['face'],
  retinaface: ['face'],
  simcc: ['person'],
  centerface: ['face'],
  movenet: ['person'],
  'movenet-multi': ['person'],
  posenet: ['person'],
  heatmaps: ['person'],
}

/** Labels of the file, or what the head's family finds. */
export const familyLabels = (head: Head, metadata: Metadata): readonly string[] =>
  metadata.labels ?? FAMILY_LABELS[head.kind] ?? []

const shorter = (input: TensorInfo): number => {
  const { width, height } = inputGeometry(input)
  return Math.min(width, height)
}

/** How many classes a head tells apart; undefined where its outputs do not say. */
function classesOf(head: Head, outputs: readonly TensorInfo[]): number | undefined {
  switch (head.kind) {
    case 'yolo5':
    case 'yolo8':
    case 'yolo8-pose':
    case 'yolo8-seg':
    case 'yolo8-obb':
    case 'yolox':
    case 'yolo-levels':
    case 'nanodet':
    case 'picodet':
    case 'rtmdet':
      return head.classes || undefined
    case 'fomo':
      return outputs[head.output]!.shape.at(-1)! - 1
    case 'segmentation': {
      const shape = outputs[head.outputs[0]!]?.shape ?? []
      if (head.outputs.length > 1 || (head.form !== 'last' && head.form !== 'first')) return undefined
      return head.form === 'last' ? shape.at(-1) : shape[1]
    }
    default:
      return undefined
  }
}

/** The caller's labels, as classify takes them. Errors: `usage/labels` where they do not fit. */
function givenLabels(
  given: NonNullable<VisionOptions['labels']>,
  head: Head,
  outputs: readonly TensorInfo[],
): readonly string[] {
  const isFile = typeof given === 'string' || given instanceof Uint8Array
  const file = isFile ? readLabels(given) : { labels: [...given], notes: [] }
  const classes = classesOf(head, outputs)
  if (classes === undefined) return file.labels
  const fitted = fitLabels(file, classes)
  if (fitted) return fitted.labels
  throw new ThimbleError('usage/labels', 'the labels do not fit the model', {
    expected: `${classes} labels`,
    got: file.labels.length,
    hint: misfitHint(file.labels, classes),
  })
}

/** A model that is asked one photo at a time. */
export class Network<H extends Head = Head> {
  readonly model: Model
  readonly head: H
  readonly labels: readonly string[]
  readonly framer: Framer
  readonly scoreThreshold: number
  readonly timings: VisionTimings = { preprocessMs: 0, inferMs: 0, headMs: 0 }
  private readonly input: TypedArray
  private raw?: TypedArray[]

  /**
   * `accepts` says which heads will do; `task` names the error where they don't.
   * Errors: `task.code`, `usage/head`, `usage/option`, `format/metadata`, `image/unsupported-input`.
   */
  constructor(
    model: Model,
    options: VisionOptions,
    task: { code: `usage/${string}`; gives: string },
    accepts: (head: Head) => head is H,
  ) {
    expectModel(model, `what gives ${task.gives}`)
    const { head: wanted } = options
    const head = typeof wanted === 'object' ? readHead(wanted, model.outputs.length) : headOf(model, wanted)
    if (!head || !accepts(head) || model.inputs.length !== 1) {
      throw new ThimbleError(task.code, `the model does not say how its outputs become ${task.gives}`, {
        expected: `one input, and outputs that become ${task.gives}`,
        got:
          head && !accepts(head)
            ? `a ${head.kind} head`
            : `${model.outputs.length} outputs: ${shapesOf(model.outputs)}`,
        hint: 'name the head where it was not recognised (docs/heads.md), or use run for raw tensors',
      })
    }
    this.model = model
    this.head = head
    this.labels =
      options.labels === undefined
        ? familyLabels(head, model.metadata)
        : givenLabels(options.labels, head, model.outputs)
    const input = model.inputs[0]!
    const preprocess = options.preprocess ?? familyPreprocess(input, model, head)
    this.framer = new Framer(input, preprocess, options.preprocess ? undefined : head.framing)
    this.scoreThreshold = options.scoreThreshold ?? head.scoreThreshold
    this.input = this.framer.createInput()
  }

  label(index: number): string {
    return labelOf(this.labels, index)
  }

  /** Runs the network on a photo, or on a region of it; `decode` makes the answer of the outputs' real values. */
  run<T>(image: Picture, decode: (values: Float32Array[], view: View) => T, region?: Region): T {
    const start = performance.now()
    const view = region ? this.framer.fillRegion(image, region, this.input) : this.framer.fill(image, this.input)
    const prepared = performance.now()
    this.raw = this.raw ? this.model.run(this.input, { out: this.raw }) : this.model.run(this.input)
    const inferred = performance.now()
    const answer = decode(
      this.raw.map((r, i) => dequantized(r, this.model.outputs[i]!)),
      view,
    )
    this.timings.preprocessMs = prepared - start
    this.timings.inferMs = inferred - prepared
    this.timings.headMs = performance.now() - inferred
    return answer
  }
}
