/**
 * Several networks on one photo, declared in a row: what finds things, how each is cut out, and what looks at each
 * cutout.
 *
 *     const read = pipeline([detector, crop({ margin: 0.1 }), await createStage(model)])
 *     read.run(photo)      // [{ ...detection, region, results: [answer of the model] }]
 */
import { ThimbleError } from '../base/errors.ts'
import { defaultPreprocess } from '../image/defaults.ts'
import { labelOf, topK } from '../answers/labels.ts'
import { callback, checkOptions, checkValue, kindOf, shown, whole } from '../options/options.ts'
import { expectModel } from '../options/source.ts'
import type { Model, PixelImage, Prediction } from '../graph/types.ts'
import type { Detector } from './detector.ts'
import type { Crop, Found, PosePoint } from './found.ts'
import { Framer, type Region, toPhoto, type View } from './frame.ts'
import type { Pose, PoseEstimator } from './pose.ts'
import { type Answers, answering } from './network.ts'
import { pixelsIn } from '../image/rows.ts'
import { type FrameSource } from '../image/source.ts'
import { dequantized, holdsProbabilities, softmax } from './values.ts'

/** Looks at a region of a photo. */
export interface Stage<T = unknown> {
  look(image: PixelImage, region: Region): T
}

/** What a stage adds to what was found, for the crops and stages behind it. */
export interface Refined {
  points?: readonly PosePoint[]
}

/** What a stage's network sees of a region, and its outputs' real values. */
export type ReadOutputs<T> = (values: Float32Array[], view: View) => T

/**
 * A stage of a model whose outputs `read` understands; the region fills the network's input.
 * Errors: `usage/model` for a model with several inputs, `image/unsupported-input`.
 *
 * @example
 * import { loadModel } from 'thimble'
 * import { createStage } from 'thimble/vision'
 * const brightest = createStage(await loadModel('model.thimble'), ([scores]) => scores!.indexOf(Math.max(...scores!)))
 * const photo = { data: new Uint8Array(300 * 200 * 3), width: 300, height: 200 }
 * console.log(brightest.look(photo, { x: 150, y: 100, width: 200, height: 200, angle: 0 }))
 */
export function createStage<T>(model: Model, read: ReadOutputs<T>): Stage<T> {
  expectModel(model, 'createStage')
  checkValue('createStage: read', read, callback)
  if (model.inputs.length !== 1) {
    throw new ThimbleError('usage/model', 'a stage takes one picture', {
      expected: '1 input',
      got: model.inputs.length,
    })
  }
  const input = model.inputs[0]!
  const framer = new Framer(input, defaultPreprocess(input, model.metadata).preprocess, undefined)
  const buffer = framer.createInput()
  return {
    look(image, region) {
      const view = framer.fillRegion(image, region, buffer)
      return read(
        model.run(buffer).map((raw, i) => dequantized(raw, model.outputs[i]!)),
        view,
      )
    },
  }
}

/**
 * A stage that classifies each crop.
 *
 * @example
 * import { loadModel } from 'thimble'
 * import { classifyStage, createDetector, crop, pipeline } from 'thimble/vision'
 * const faces = await createDetector(await loadModel('faces.thimble'))
 * const what = pipeline([faces, crop({ margin: 0.2 }), classifyStage(await loadModel('model.thimble'))])
 * console.log(what.run({ data: new Uint8Array(300 * 200 * 3), width: 300, height: 200 }))
 */
export function classifyStage(model: Model, options: { top?: number } = {}): Stage<Prediction[]> {
  expectModel(model, 'classifyStage')
  checkOptions('classifyStage', options, { top: whole() })
  const { top = 1 } = options
  const output = model.outputs[0]!
  const sure = holdsProbabilities(output) || model.metadata.scores === 'identity'
  return createStage(model, ([values]) => {
    const scores = sure ? values! : softmax(values!)
    return topK(scores, top, -Infinity).map((index) => ({
      label: labelOf(model.metadata.labels, index),
      index,
      score: scores[index]!,
    }))
  })
}

/**
 * A stage that finds points in each crop: the best pose there, undefined where there is none.
 *
 * @example
 * import { loadModel } from 'thimble'
 * import { createDetector, createPoseEstimator, crop, pipeline, poseStage } from 'thimble/vision'
 * const [faces, pose] = [await loadModel('faces.thimble'), await loadModel('pose.tflite')]
 * const inFace = poseStage(await createPoseEstimator(pose))
 * const steps = pipeline([await createDetector(faces), crop({ square: 'long' }), inFace])
 * console.log(steps.run({ data: new Uint8Array(300 * 200 * 3), width: 300, height: 200 }))
 */
export const poseStage = (estimator: PoseEstimator): Stage<Pose | undefined> => ({
  look: (image, region) => estimator.estimateIn(image, region)[0],
})

/**
 * A stage of points given as shares of the crop, x and y in turn.
 *
 * @example
 * import { loadModel } from 'thimble'
 * import { createDetector, crop, pipeline, pointStage } from 'thimble/vision'
 * const faces = await createDetector(await loadModel('faces.thimble'))
 * const marks = pipeline([faces, crop(), pointStage(await loadModel('landmarks.thimble'))])
 * console.log(marks.run({ data: new Uint8Array(300 * 200 * 3), width: 300, height: 200 }))
 */
export const pointStage = (model: Model): Stage<Refined> =>
  createStage(model, ([values], view) => ({
    points: Array.from({ length: values!.length / 2 }, (_, i) => {
      const [x, y] = toPhoto(view, values![2 * i]!, values![2 * i + 1]!)
      return { name: String(i), x, y }
    }),
  }))

/** Finds things in a photo. */
export interface Finder {
  find(image: PixelImage): Found[]
}

/** Whether a step has a method; lists and bytes have some of these names, too. */
const has = (step: object, method: string): boolean =>
  typeof (step as Record<string, unknown>)[method] === 'function' && !Array.isArray(step) && !ArrayBuffer.isView(step)
const isDetector = (first: Detector | PoseEstimator | Finder): first is Detector => has(first, 'detect')
const isEstimator = (first: Detector | PoseEstimator | Finder): first is PoseEstimator => has(first, 'estimate')
const finds = (step: object): boolean => ['detect', 'estimate', 'find'].some((method) => has(step, method))

/** A detector or pose estimator as finder. */
function finderOf(first: Detector | PoseEstimator | Finder): Finder {
  if (isDetector(first)) return { find: (image) => first.detect(image as FrameSource) }
  if (!isEstimator(first)) return first
  return {
    find: (image) =>
      first.estimate(image as FrameSource).flatMap((pose) => (pose.box ? [{ ...pose, box: pose.box, index: 0 }] : [])),
  }
}

/** One thing found, and what the stages say of it, in their order; undefined where a stage had nothing to look at. */
export interface Piped extends Found {
  /** What the last stage looked at. */
  region?: Region
  results: unknown[]
}

/** A finder with its crops and stages. */
export interface Pipeline {
  readonly run: Answers<Piped[]>
}

const isRefined = (v: unknown): v is Refined =>
  typeof v === 'object' && v !== null && Array.isArray((v as Refined).points)

/**
 * A finder, then crops and stages in turn; a stage looks at the latest crop. A stage that answers with `points` (pose
 * stages do) gives them to the crops behind it.
 * Errors: `usage/pipeline` for steps out of place.
 *
 * @example
 * import { readFile } from 'node:fs/promises'
 * import { decodeImage, loadModel } from 'thimble'
 * import { createDetector, crop, pipeline, pointStage } from 'thimble/vision'
 * const faces = await createDetector(await loadModel('faces.thimble'))
 * const steps = pipeline([faces, crop({ margin: 0.1 }), pointStage(await loadModel('landmarks.thimble'))])
 * const photo = await decodeImage(await readFile('portrait.jpg'))
 * for (const { box, points } of steps.run(photo)) console.log(box, points?.length)
 */
export function pipeline(
  steps: readonly [Detector | PoseEstimator | Finder, ...(Crop | Stage | PoseEstimator)[]],
): Pipeline {
  const isStep = (s: unknown): boolean => typeof s === 'function' || (typeof s === 'object' && s !== null)
  if (!Array.isArray(steps) || steps.length === 0 || !steps.every(isStep) || !finds(steps[0])) {
    throw new ThimbleError('usage/pipeline', 'the steps are no list that begins with what finds things', {
      expected: '[detector, crop(), stage, …]',
      got: Array.isArray(steps) ? `[${steps.map((s) => (isStep(s) ? kindOf(s) : shown(s))).join(', ')}]` : shown(steps),
    })
  }
  const [first, ...rest] = steps
  const finder = finderOf(first)
  if (rest.length > 0 && typeof rest[0] !== 'function') {
    throw new ThimbleError('usage/pipeline', 'behind what finds things comes how they are cut out', {
      expected: '[detector, crop(), stage, …]',
      got: 'a stage without a crop before it',
    })
  }
  const chain = rest.map((step): Crop | Stage => {
    if (typeof step === 'function' || (has(step, 'look') && 'look' in step)) return step
    if (has(step, 'estimateIn') && 'estimateIn' in step) return poseStage(step)
    throw new ThimbleError('usage/pipeline', 'a step is neither a crop nor a stage', {
      expected: 'crop(), createStage(), a pose estimator',
      got: Object.keys(step).join(', '),
    })
  })
  const describe = (found: Found, image: PixelImage): Piped => {
    const out: Piped = { ...found, results: [] }
    for (const step of chain) {
      if (typeof step === 'function') {
        const region = step(out, image)
        delete out.region
        if (region) out.region = region
        continue
      }
      const result = out.region ? step.look(image, out.region) : undefined
      out.results.push(result)
      if (isRefined(result)) out.points = result.points!
    }
    return out
  }
  return {
    run: answering(undefined, (picture) => {
      const image = pixelsIn(picture)
      return finder.find(image).map((found) => describe(found, image))
    }),
  }
}
