/**
 * Several networks on one photo, declared in a row: what finds things, how each is cut out, and what looks at each cutout.
 *
 *     const read = pipeline([detector, crop({ margin: 0.1 }), await createStage(model)])
 *     read.run(photo)      // [{ ...detection, region, results: [answer of the model] }]
 */
import { ThimbleError } from '../errors.ts'
import { defaultPreprocess } from '../image/defaults.ts'
import { labelOf, topK } from '../labels.ts'
import { callback, checkOptions, checkValue, oneOf, real, type Rules, shown, whole } from '../options.ts'
import { expectModel } from '../source.ts'
import type { Model, PixelImage, Prediction } from '../types.ts'
import type { Box } from './boxes.ts'
import { boxOfPoints, circleBox, cropBox, regionOf } from './crop.ts'
import type { Detection, Detector } from './detector.ts'
import { Framer, type Region, toPhoto, type View } from './frame.ts'
import type { Pose, PoseEstimator, PosePoint } from './pose.ts'
import { type Answers, answering } from './network.ts'
import { type FrameSource } from '../image/source.ts'
import { dequantized, holdsProbabilities, softmax } from './values.ts'

/** Something found: a box, and points where the finder or a stage before gives them. */
export interface Found extends Detection {
  points?: readonly PosePoint[]
}

/** From what was found to the region that is looked at; undefined where there is nothing to look at. */
export type Crop = (found: Found, image: PixelImage) => Region | undefined

/** Looks at a region of a photo. */
export interface Stage<T = unknown> {
  look(image: PixelImage, region: Region): T
}

/** What a stage adds to what was found, for the crops and stages behind it. */
export interface Refined {
  points?: readonly PosePoint[]
}

/** How the box of something found becomes the region that the next stage sees. */
export interface CropOptions {
  /** Added around the box, as a share of it. Default 0. */
  margin?: number
  /** Make it a square with the longer (or shorter) side. Default: as the box is. */
  square?: 'long' | 'short'
  /**
   * Points that give the direction: the crop is turned so that the line from the first to the second points to
   * `towards` degrees, clockwise from the right (MediaPipe's target angle, with the sign of pictures). Default: upright.
   */
  from?: number
  to?: number
  towards?: number
  /** Moves the crop by shares of its size in its own directions (MediaPipe's shift_x and shift_y). */
  shiftX?: number
  shiftY?: number
  /**
   * `points`: the box around the points of what was found. `circle`: the square around the circle that has `from` in the
   * middle and `to` on it (MediaPipe's AlignmentPointsRectsCalculator). Default: its own box.
   */
  around?: 'box' | 'points' | 'circle'
}

const AROUND = oneOf(['box', 'points', 'circle'])
const MARGIN = real(-1, 100)
const CROP: Rules<CropOptions> = {
  margin: MARGIN,
  square: oneOf(['long', 'short']),
  from: whole(0),
  to: whole(0),
  towards: real(),
  shiftX: real(),
  shiftY: real(),
  around: AROUND,
}

/** Whole pixels within the photo that a box covers, as a region. */
const wholeRegion = (box: Box, image: PixelImage): Region | undefined => {
  const whole = cropBox(box, image)
  return whole && regionOf(whole)
}

/** A box with a share of its width and height added around it. */
export const grownBox = ({ x, y, width, height }: Box, margin: number): Box => ({
  x: x - (width * margin) / 2,
  y: y - (height * margin) / 2,
  width: width * (1 + margin),
  height: height * (1 + margin),
})

/**
 * How found things are cut out. Source: MediaPipe, detections_to_rects_calculator.cc,
 * alignment_points_to_rects_calculator.cc and rect_transformation_calculator.cc for turning, shifting and squaring.
 *
 * @example
 * import { crop } from 'thimble/vision'
 * const around = crop({ margin: 0.5, square: 'long' })
 * const photo = { data: new Uint8Array(300 * 200 * 3), width: 300, height: 200 }
 * const face = { box: { x: 100, y: 50, width: 40, height: 60 }, label: 'face', index: 0, score: 1 }
 * console.log(around(face, photo)) // 90 x 90 pixels around 120, 80
 */
export function crop(options: CropOptions = {}): Crop {
  checkOptions('crop', options, CROP)
  const { margin = 0, square, from, to, towards = 0, shiftX = 0, shiftY = 0, around: of = 'box' } = options
  if (of === 'circle' && (from === undefined || to === undefined)) {
    throw new ThimbleError('usage/option', 'crop: a circle has two points', {
      expected: 'from and to',
      got: 'one, or none',
    })
  }
  return (found) => {
    if (of === 'points' && !found.points?.length) return undefined
    const [a, b] = [found.points?.[from ?? -1], found.points?.[to ?? -1]]
    const direction = a && b && { from: a, to: b, towards }
    if (of === 'circle' && !direction) return undefined
    const box = of === 'points' ? boxOfPoints(found.points!) : of === 'circle' ? circleBox(a!, b!) : found.box
    return regionOf(box, { margin, shiftX, shiftY, ...(square && { square }), ...(direction && { direction }) })
  }
}

/**
 * The crop that MediaPipe makes of what one of its detectors finds, for the landmark network behind it: turned so that
 * fingers, heads and bodies point up. Give the pipeline the detector as a pose estimator, which gives the points that
 * this goes by. Source: MediaPipe, palm_detection_detection_to_roi, face_detection_front_detection_to_roi and
 * pose_detection_to_roi.
 *
 * @example
 * import { cropAfter } from 'thimble/vision'
 * const face = { box: { x: 100, y: 50, width: 40, height: 60 }, label: 'face', index: 0, score: 1 }
 * const eyes = [{ name: 'right_eye', x: 110, y: 70 }, { name: 'left_eye', x: 125, y: 85 }]
 * const photo = { data: new Uint8Array(300 * 200 * 3), width: 300, height: 200 }
 * console.log(cropAfter('blazeface')({ ...face, points: eyes }, photo)) // 90 x 90 pixels, turned by 45 degrees
 */
export function cropAfter(kind: 'palm' | 'blazeface' | 'blazepose'): Crop {
  checkValue('cropAfter', kind, oneOf(['palm', 'blazeface', 'blazepose']))
  switch (kind) {
    case 'palm':
      return crop({ margin: 1.6, square: 'long', from: 0, to: 2, towards: -90, shiftY: -0.5 })
    case 'blazeface':
      return crop({ margin: 0.5, square: 'long', from: 0, to: 1, towards: 0 })
    case 'blazepose':
      return crop({ around: 'circle', margin: 0.25, from: 0, to: 1, towards: -90 })
  }
}

/** Crops as face-api makes them: whole pixels of the box within the photo, or of the box around the points. */
export function wholePixels(options: Pick<CropOptions, 'margin' | 'around'> = {}): Crop {
  checkOptions('wholePixels', options, { margin: MARGIN, around: AROUND })
  const { margin = 0, around: of = 'box' } = options
  return (found, image) => {
    const own = wholeRegion(found.box, image)
    if (of === 'box' || !found.points?.length) return own
    const wide = grownBox(boxOfPoints(found.points), margin)
    return wholeRegion(wide, image) ?? own
  }
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

const isDetector = (first: Detector | PoseEstimator | Finder): first is Detector => 'detect' in first
const isEstimator = (first: Detector | PoseEstimator | Finder): first is PoseEstimator => 'estimate' in first

/** A detector or pose estimator as finder. */
function finderOf(first: Detector | PoseEstimator | Finder): Finder {
  if (isDetector(first)) return { find: (image) => first.detect(image as FrameSource) }
  if (!isEstimator(first)) return first
  return {
    find: (image) =>
      first
        .estimate(image as FrameSource)
        .flatMap(({ box, score, label, points }) => (box ? [{ box, score, label, index: 0, points }] : [])),
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
 * for (const { box, points } of steps.run(await decodeImage(await readFile('portrait.jpg')))) console.log(box, points?.length)
 */
export function pipeline(
  steps: readonly [Detector | PoseEstimator | Finder, ...(Crop | Stage | PoseEstimator)[]],
): Pipeline {
  const isStep = (s: unknown): boolean => typeof s === 'function' || (typeof s === 'object' && s !== null)
  if (!Array.isArray(steps) || steps.length === 0 || !steps.every(isStep) || typeof steps[0] === 'function') {
    throw new ThimbleError('usage/pipeline', 'the steps are no list that begins with what finds things', {
      expected: '[detector, crop(), stage, …]',
      got: Array.isArray(steps) ? `[${steps.map((s) => (isStep(s) ? typeof s : shown(s))).join(', ')}]` : shown(steps),
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
    if (typeof step === 'function' || 'look' in step) return step
    if ('estimateIn' in step) return poseStage(step)
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
  return { run: answering(undefined, (image) => finder.find(image).map((found) => describe(found, image))) }
}
