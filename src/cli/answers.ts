/** One question about one picture or one set of tensors, answered: what `watch`, `serve` and their threads share. */
import { ThimbleError } from '../errors.ts'
import { decodeImage } from '../image/decode.ts'
import { suggestion, taskOf } from '../task.ts'
import type { Model, PixelImage, TensorInfo, TypedArray } from '../types.ts'
import { pixelsOf, type RawFrame } from '../vision/source.ts'
import { number } from './args.ts'
import type { Args } from './command.ts'
import { load, loadOptions } from './models.ts'
import { modelFor, type ModelFile, openModel } from './shipped.ts'
import { printable } from './report.ts'

export const TASKS = ['classify', 'detect', 'pose', 'segment', 'faces'] as const
export type TaskName = (typeof TASKS)[number]

/** A picture, and what is asked of it. */
export interface PictureQuestion {
  /** Default: what the model is for. */
  task?: TaskName
  /** Path or shipped name. Default: the shipped model for the task. */
  model?: string
  picture: Uint8Array | RawFrame
  /** Most predictions or detections. */
  top?: number
  /** What scores less is left out. */
  threshold?: number
}
/** Raw tensors, one an input. */
export interface TensorQuestion {
  model: string
  inputs: TypedArray[]
}
/** What a model takes and gives. */
export interface DescribeQuestion {
  model: string
  describe: true
}
export type Question = PictureQuestion | TensorQuestion | DescribeQuestion

export interface PictureAnswer {
  task: TaskName
  model: string
  /** Absent for encoded pictures that were classified. */
  width?: number
  height?: number
  /** The task's own fields, as its command prints them in JSON. */
  fields: Record<string, unknown>
  /** The same in a few words. */
  words: string
  timings: { decodeMs: number; preprocessMs: number; inferMs: number }
}
export interface TensorAnswer {
  outputs: TypedArray[]
  inferMs: number
}
export interface Description {
  inputs: TensorInfo[]
  outputs: TensorInfo[]
  labels: string[]
  /** `run`: none of the tasks. */
  task: TaskName | 'run'
}
export type Answer = PictureAnswer | TensorAnswer | Description

type Limits = Pick<PictureQuestion, 'top' | 'threshold'>
type Found = Pick<PictureAnswer, 'fields' | 'words' | 'timings' | 'width' | 'height'>
type Asked = (picture: Uint8Array | RawFrame, limits: Limits) => Found

/** What a shipped model's entry calls the task. */
const SHIPPED_TASK: Record<TaskName, string> = {
  classify: 'classification',
  detect: 'detection',
  faces: 'faces',
  pose: 'pose',
  segment: 'segmentation',
}

const percent = (score: number): string => `${(score * 100).toFixed(0)} %`
const listed = (items: readonly string[], nothing: string): string =>
  items.length
    ? printable(items.slice(0, 5).join(', ') + (items.length > 5 ? `, ${items.length - 5} more` : ''))
    : nothing
const named = (list: readonly { label: string; score: number }[]): string[] =>
  list.map((f) => `${f.label} ${percent(f.score)}`)

/** A picture's pixels, and how long decoding took. */
function pixels(picture: Uint8Array | RawFrame, maxPixels: number): { image: PixelImage; decodeMs: number } {
  const start = performance.now()
  const image = picture instanceof Uint8Array ? decodeImage(picture, { maxPixels }) : pixelsOf(picture)
  return { image, decodeMs: performance.now() - start }
}

const maxPixelsOf = (args: Args): number => number(args, 'max-megapixels', 50, 0.001, 1000) * 1e6

async function askClassifier(args: Args, file: ModelFile): Promise<Asked> {
  const { classifierOf } = await import('./classify.ts')
  const classifier = await classifierOf(args, file)
  return (picture, { top, threshold }) => {
    const encoded = picture instanceof Uint8Array
    const from = encoded ? undefined : pixels(picture, Infinity)
    const limits = {
      ...(top === undefined ? {} : { topK: top }),
      ...(threshold === undefined ? {} : { scoreThreshold: threshold }),
    }
    const predictions = encoded ? classifier.classify(picture, limits) : classifier.classify(from!.image, limits)
    const { decodeMs, preprocessMs, inferMs } = classifier.timings
    return {
      ...(from && { width: from.image.width, height: from.image.height }),
      fields: { predictions },
      words: listed(named(predictions.slice(0, 1)), 'nothing'),
      timings: { decodeMs: from ? from.decodeMs : decodeMs, preprocessMs, inferMs },
    }
  }
}

/** An asker whose network has a threshold of its own: one that was made for another is made anew, the latest are kept. */
function byThreshold<T>(make: (threshold?: number) => Promise<T>): (threshold?: number) => Promise<T> {
  const made = new Map<number | undefined, Promise<T>>()
  return (threshold) => {
    const known = made.get(threshold) ?? make(threshold)
    made.delete(threshold)
    made.set(threshold, known)
    if (made.size > 4) made.delete(made.keys().next().value)
    return known
  }
}

/** Times of a network on a picture: what it makes of its outputs is part of the inference. */
const timed = (decodeMs: number, t: { preprocessMs: number; inferMs: number; headMs: number }): Found['timings'] => ({
  decodeMs,
  preprocessMs: t.preprocessMs,
  inferMs: t.inferMs + t.headMs,
})

/** The asker of a task that finds things; its maker is asked for each threshold once. */
async function finder(
  task: Exclude<TaskName, 'classify'>,
  args: Args,
  file: ModelFile,
): Promise<(threshold?: number) => Promise<Asked>> {
  const { openVision, printedBox, rounded } = await import('./photos.ts')
  const maxPixels = maxPixelsOf(args)
  const { model, options } = await openVision(args, file)
  const boxed = <T extends { box: Parameters<typeof printedBox>[0]; score: number; label: string; index: number }>({
    box,
    score,
    label,
    index,
  }: T): object => ({ box: printedBox(box), score: rounded(score, 4), label, index })
  const at = (threshold?: number): typeof options =>
    threshold === undefined ? options : { ...options, scoreThreshold: threshold }
  /** Pixels first, then what `find` makes of them. */
  const asked =
    (find: (image: PixelImage, decodeMs: number, limits: Limits) => Omit<Found, 'width' | 'height'>): Asked =>
    (picture, limits) => {
      const { image, decodeMs } = pixels(picture, maxPixels)
      return { width: image.width, height: image.height, ...find(image, decodeMs, limits) }
    }
  if (task === 'detect') {
    const { createDetector } = await import('../vision/detector.ts')
    return byThreshold(async (threshold) => {
      const detector = await createDetector(model, at(threshold))
      return asked((image, decodeMs, { top }) => {
        const found = detector.detect(image).slice(0, top)
        const fields = { detections: found.map(boxed) }
        return { fields, words: listed(named(found), 'nothing'), timings: timed(decodeMs, detector.timings) }
      })
    })
  }
  if (task === 'pose') {
    const [{ createPoseEstimator }, { printedPose }] = await Promise.all([
      import('../vision/pose.ts'),
      import('./pose.ts'),
    ])
    return byThreshold(async (threshold) => {
      const estimator = await createPoseEstimator(model, at(threshold))
      return asked((image, decodeMs, { top }) => {
        const poses = estimator.estimate(image).slice(0, top)
        const fields = { poses: poses.map(printedPose) }
        return { fields, words: listed(named(poses), 'nobody'), timings: timed(decodeMs, estimator.timings) }
      })
    })
  }
  if (task === 'segment') {
    const [{ createSegmenter }, { printedSegments }] = await Promise.all([
      import('../vision/segmenter.ts'),
      import('./segment.ts'),
    ])
    return byThreshold(async (threshold) => {
      const segmenter = await createSegmenter(model, at(threshold))
      return asked((image, decodeMs) => {
        const found = segmenter.segment(image)
        const words = listed(
          found.classes.map((c) => `${c.label} ${percent(c.share)}`),
          'no class',
        )
        return { fields: printedSegments(found), words, timings: timed(decodeMs, segmenter.timings) }
      })
    })
  }
  const { openFaces, printedFace } = await import('./faces.ts')
  const others = await openFaces(args)
  const { createFaceFinder } = await import('../vision/faces.ts')
  return byThreshold(async (threshold) => {
    const faces = await createFaceFinder({ detector: model, ...others }, at(threshold))
    return asked((image, decodeMs, { top }) => {
      const found = faces.find(image).slice(0, top)
      const { preprocessMs } = faces.detector.timings
      const { detectMs, describeMs } = faces.timings
      return {
        fields: { faces: found.map(printedFace) },
        words: listed(named(found), 'no face'),
        timings: { decodeMs, preprocessMs, inferMs: detectMs + describeMs - preprocessMs },
      }
    })
  })
}

/** Answers questions one after the other; models are opened when they are first asked for, and stay. */
export class Answerer {
  private readonly args: Args
  private readonly askers = new Map<string, Promise<(threshold?: number) => Promise<Asked>>>()
  private readonly models = new Map<string, Promise<Model>>()

  /** `args`: what applies to every model, such as --threads. */
  constructor(args: Args) {
    this.args = args
  }

  /** Errors: those of the task's command. */
  answer(question: PictureQuestion): Promise<PictureAnswer>
  answer(question: TensorQuestion): Promise<TensorAnswer>
  answer(question: DescribeQuestion): Promise<Description>
  answer(question: Question): Promise<Answer>
  answer(question: Question): Promise<Answer> {
    if ('picture' in question) return this.picture(question)
    return 'inputs' in question ? this.tensors(question) : this.describe(question.model)
  }

  private async picture({ task, model, picture, top, threshold }: PictureQuestion): Promise<PictureAnswer> {
    const wanted = task ?? (model === undefined ? 'classify' : await this.taskOf(model))
    const key = `${wanted} ${model ?? ''}`
    const asker = await kept(this.askers, key, () => this.open(wanted, model))
    const ask = await asker(wanted === 'classify' ? undefined : threshold)
    const found = ask(picture, {
      ...(top === undefined ? {} : { top }),
      ...(threshold === undefined ? {} : { threshold }),
    })
    return { task: wanted, model: model ?? modelFor(undefined, SHIPPED_TASK[wanted]).name, ...found }
  }

  private async open(task: TaskName, model?: string): Promise<(threshold?: number) => Promise<Asked>> {
    const file = modelFor(model, SHIPPED_TASK[task])
    if (task !== 'classify') return finder(task, this.args, file)
    const asked = await askClassifier(this.args, file)
    return async () => asked
  }

  private model(name: string): Promise<Model> {
    return kept(this.models, name, () => load(openModel(name), loadOptions(this.args)))
  }

  private async taskOf(name: string): Promise<TaskName> {
    const model = await this.model(name)
    const { command, why } = taskOf(model)
    if (command !== 'run') return command
    throw new ThimbleError('usage/model', `${name} answers no question about a picture: ${why}`, {
      hint: `${suggestion(model)}, or name a task with --task`,
    })
  }

  private async tensors({ model, inputs }: TensorQuestion): Promise<TensorAnswer> {
    const loaded = await this.model(model)
    const start = performance.now()
    const outputs = loaded.run(inputs)
    return { outputs, inferMs: performance.now() - start }
  }

  private async describe(name: string): Promise<Description> {
    const model = await this.model(name)
    const plain = ({ name, shape, dtype, scale, zeroPoint }: TensorInfo): TensorInfo => ({
      name,
      shape: [...shape],
      dtype,
      scale,
      zeroPoint,
    })
    return {
      inputs: model.inputs.map(plain),
      outputs: model.outputs.map(plain),
      labels: [...(model.metadata.labels ?? [])],
      task: taskOf(model).command,
    }
  }
}

/** The value of a key, made once; what fails is tried again the next time. */
function kept<T>(map: Map<string, Promise<T>>, key: string, make: () => Promise<T>): Promise<T> {
  const known = map.get(key)
  if (known) return known
  const made = make()
  map.set(key, made)
  made.catch(() => map.delete(key))
  return made
}
