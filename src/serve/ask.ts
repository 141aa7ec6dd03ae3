/** Opened models, asked about pictures: each task in one form, on every host. */
import type { Classifier } from '../classify/classifier.ts'
import { suggestion, taskOf } from '../answers/task.ts'
import { ThimbleError } from '../base/errors.ts'
import type { Model, PixelImage, TensorInfo } from '../graph/types.ts'
import type { DetectorOptions } from '../vision/detector.ts'
import type { FaceModels } from '../vision/faces.ts'
import type { PoseOptions } from '../vision/pose.ts'
import { printedDetection, printedFace, printedPose, printedSegments } from '../vision/printed.ts'
import { pictureOf, type RawFrame } from '../image/source.ts'
import type { Picture } from '../image/rows.ts'
import { printable } from '../base/markup.ts'
import { groupsOf } from '../answers/vectors.ts'
import type {
  Description,
  PictureAnswer,
  PictureQuestion,
  TaskName,
  TensorAnswer,
  TensorQuestion,
} from './questions.ts'

/** What a task was opened with. */
export type Opened =
  /** `reduced`: large photos may be read at a part of their size, which the answer then says. */
  | { task: 'classify'; classifier: Classifier; reduced?: boolean }
  | { task: 'detect' | 'segment'; model: Model; options: DetectorOptions }
  | { task: 'pose'; model: Model; options: PoseOptions }
  | { task: 'faces'; models: FaceModels; options: DetectorOptions }

type Limits = Pick<PictureQuestion, 'top' | 'threshold'>
type Found = Pick<PictureAnswer, 'fields' | 'words' | 'timings' | 'width' | 'height'>
/** One picture, answered. */
export type Ask = (picture: Uint8Array | RawFrame, limits: Limits) => Found
/** Encoded picture to pixels. */
export type Decode = (bytes: Uint8Array) => PixelImage

const percent = (score: number): string => `${(score * 100).toFixed(0)} %`
const listed = (items: readonly string[], nothing: string): string =>
  items.length
    ? printable(items.slice(0, 5).join(', ') + (items.length > 5 ? `, ${items.length - 5} more` : ''))
    : nothing
const named = (list: readonly { label: string; score: number }[]): string[] =>
  list.map((f) => `${f.label} ${percent(f.score)}`)

function askClassifier({ classifier, reduced }: Extract<Opened, { task: 'classify' }>): Ask {
  return (picture, { top, threshold }) => {
    const limits = {
      ...(top === undefined ? {} : { topK: top }),
      ...(threshold === undefined ? {} : { scoreThreshold: threshold }),
    }
    const predictions = classifier.classify(picture, limits)
    const groups = groupsOf(classifier.model, classifier.raw)
    const { decodeMs, preprocessMs, inferMs, reduced: part } = classifier.timings
    return {
      ...(picture instanceof Uint8Array ? {} : { width: picture.width, height: picture.height }),
      fields: { predictions, ...(groups && { groups }), ...(reduced && { decode: 'fast', reduced: part }) },
      words: listed(named(predictions.slice(0, 1)), 'nothing'),
      timings: { decodeMs, preprocessMs, inferMs },
    }
  }
}

/**
 * An asker whose network has a threshold of its own: one that was made for another is made anew, the latest are kept.
 */
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

type Find = (image: Picture, decodeMs: number, limits: Limits) => Omit<Found, 'width' | 'height'>

/** What looks for things in pixels, with a threshold. */
function finder(opened: Exclude<Opened, { task: 'classify' }>): (threshold?: number) => Promise<Find> {
  const at = (threshold?: number): PoseOptions =>
    threshold === undefined ? opened.options : { ...opened.options, scoreThreshold: threshold }
  switch (opened.task) {
    case 'detect':
      return async (threshold) => {
        const { createDetector } = await import('../vision/detector.ts')
        const detector = await createDetector(opened.model, at(threshold))
        return (image, decodeMs, { top }) => {
          const found = detector.detect(image).slice(0, top)
          const fields = { detections: found.map(printedDetection) }
          return { fields, words: listed(named(found), 'nothing'), timings: timed(decodeMs, detector.timings) }
        }
      }
    case 'pose':
      return async (threshold) => {
        const { createPoseEstimator } = await import('../vision/pose.ts')
        const estimator = await createPoseEstimator(opened.model, at(threshold))
        return (image, decodeMs, { top }) => {
          const poses = estimator.estimate(image).slice(0, top)
          const fields = { poses: poses.map(printedPose) }
          return { fields, words: listed(named(poses), 'nobody'), timings: timed(decodeMs, estimator.timings) }
        }
      }
    case 'segment':
      return async (threshold) => {
        const { createSegmenter } = await import('../vision/segmenter.ts')
        const segmenter = await createSegmenter(opened.model, at(threshold))
        return (image, decodeMs) => {
          const found = segmenter.segment(image)
          const words = listed(
            found.classes.map((c) => `${c.label} ${percent(c.share)}`),
            'no class',
          )
          return { fields: printedSegments(found), words, timings: timed(decodeMs, segmenter.timings) }
        }
      }
    case 'faces':
      return async (threshold) => {
        const { createFaceFinder } = await import('../vision/faces.ts')
        const faces = await createFaceFinder(opened.models, at(threshold))
        return (image, decodeMs, { top }) => {
          const found = faces.find(image).slice(0, top)
          const { preprocessMs } = faces.detector.timings
          const { detectMs, describeMs } = faces.timings
          return {
            fields: { faces: found.map(printedFace) },
            words: listed(named(found), 'no face'),
            timings: { decodeMs, preprocessMs, inferMs: detectMs + describeMs - preprocessMs },
          }
        }
      }
  }
}

/** The asker of an opened task, for each threshold. Errors: those of the task's `create…`. */
export function askerOf(opened: Opened, decode: Decode): (threshold?: number) => Promise<Ask> {
  if (opened.task === 'classify') {
    const ask = askClassifier(opened)
    return () => Promise.resolve(ask)
  }
  const find = finder(opened)
  return byThreshold(async (threshold): Promise<Ask> => {
    const look = await find(threshold)
    return (picture, limits) => {
      const start = performance.now()
      const image = picture instanceof Uint8Array ? decode(picture) : pictureOf(picture)
      const { width, height } = image
      return { width, height, ...look(image, performance.now() - start, limits) }
    }
  })
}

/** The task that a model is for. Errors: `usage/model` where it is for none. */
export function pictureTask(model: Model, name: string): TaskName {
  const { command, why } = taskOf(model)
  if (command !== 'run' && command !== 'embed') return command
  throw new ThimbleError('usage/model', `${name} answers no question about a picture: ${why}`, {
    hint: `${suggestion(model)}, or name a task with --task`,
  })
}

/** Raw tensors through a model. */
export function runTensors(model: Model, { inputs }: TensorQuestion): TensorAnswer {
  const start = performance.now()
  const outputs = model.run(inputs)
  return { outputs, inferMs: performance.now() - start }
}

/** What a loaded model takes, gives and is for. */
export function described(model: Model): Description {
  const { command } = taskOf(model)
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
    task: command === 'embed' ? 'run' : command,
    variant: model.variant,
    memoryBytes: model.memoryBytes,
  }
}
