/**
 * Faces: a detector, then for each face its 68 points, and from a crop around the points its age, gender and
 * expression. The crops are face-api's (1.7): the detector's box for the points, their bounding box plus a fifth for
 * the rest. No dependencies.
 */
import { disposable, type Disposes } from '../base/dispose.ts'
import { ThimbleError } from '../base/errors.ts'
import { elements } from '../graph/graph.ts'
import { Preprocessor } from '../image/preprocess.ts'
import { defaultPreprocess } from '../image/defaults.ts'
import { pixelsIn } from '../image/rows.ts'
import { labelOf } from '../answers/labels.ts'
import { checkOptions, checkValue, having, real } from '../options/options.ts'
import type { Model, PixelImage, TensorInfo } from '../graph/types.ts'
import { withCloserLooks } from './closer.ts'
import { cropImage } from './crop.ts'
import { suppressionOf } from './decoders.ts'
import { createDetector, DETECTOR_RULES, type Detection, type Detector, type DetectorOptions } from './detector.ts'
import { preprocessView, type Region, toPhoto } from './frame.ts'
import type { BoxHead } from './head.ts'
import { type Answers, answering } from './network.ts'
import { type Found, wholePixels } from './found.ts'
import { pipeline, type Refined, type Stage } from './pipeline.ts'
import { dequantized, shapesOf } from './values.ts'

/** A point in pixels of the photo. */
export type Point = [x: number, y: number]
/** What a network takes something for, with a score from 0 to 1. */
export interface Attribute {
  label: string
  score: number
}

/** A face, and what the models beside the detector say of it. Impressions of a small network, no facts. */
export interface Face extends Detection {
  /** Jaw 0-16, brows 17-26, nose 27-35, eyes 36-47, mouth 48-67 (the usual 68-point order), in pixels of the image. */
  points?: Point[]
  /** Years. */
  age?: number
  gender?: Attribute
  expression?: Attribute
}

/** `detector` finds faces; what the others give is added where they are. */
export interface FaceModels {
  detector: Model
  landmarks?: Model
  ageGender?: Model
  expression?: Model
}

/** A detector's options, and how weak a face may be to get a second chance. */
export interface FaceOptions extends DetectorOptions {
  /**
   * Faces that score less than the threshold but at least this are looked at again from closer, twice; those that reach
   * it both times count. Each costs two runs of the detector. Default 0.15; 1: none are.
   */
  closerLook?: number
}

/** Finds faces and describes them. */
export interface FaceFinder extends Disposes {
  readonly detector: Detector
  /** Milliseconds of the latest call: finding the faces, and all else. */
  readonly timings: Readonly<{ detectMs: number; describeMs: number }>
  /** The faces of an image, best score first. Errors: `image/…`. */
  readonly find: Answers<Face[]>
}

const CLOSER_LOOK = 0.15
const POINTS = 68
/** Share of the points' width and height added around them. */
const MARGIN = 0.2

/** A network on crops of faces, which are whole pixels scaled as its preprocessing says. */
function faceStage<T>(
  model: Model,
  read: (values: Float32Array[], toImage: (x: number, y: number) => Point) => T,
): Stage<T> {
  const preprocessor = new Preprocessor(
    model.inputs[0]!,
    defaultPreprocess(model.inputs[0]!, model.metadata).preprocess,
  )
  return {
    look(image, { x, y, width, height }: Region) {
      const box = { x: x - width / 2, y: y - height / 2, width, height }
      const values = model
        .run(preprocessor.run(cropImage(image, box)))
        .map((raw, i) => dequantized(raw, model.outputs[i]!))
      const view = preprocessView(box, preprocessor.geometry, preprocessor.how)
      return read(values, (u, v) => {
        const [px, py] = toPhoto(view, u, v)
        return [px + box.x, py + box.y]
      })
    },
  }
}

/** Points as shares of the input, in pixels of the photo. */
const landmarkStage = (model: Model): Stage<Refined> =>
  faceStage(model, ([values], toImage) => ({
    points: Array.from({ length: POINTS }, (_, i) => {
      const [x, y] = toImage(values![2 * i]!, values![2 * i + 1]!)
      return { name: String(i), x, y }
    }),
  }))

function wants(
  model: Model | undefined,
  what: string,
  fits: (outputs: readonly TensorInfo[]) => boolean,
  expected: string,
): Model | undefined {
  if (model && (model.inputs.length !== 1 || !fits(model.outputs))) {
    throw new ThimbleError('usage/model', `the model is no network for ${what}`, {
      expected,
      got: shapesOf(model.outputs),
    })
  }
  return model
}

const best = (values: ArrayLike<number>, labels: readonly string[] | undefined): Attribute => {
  const scores = Array.from(values)
  const index = scores.indexOf(Math.max(...scores))
  return { label: labelOf(labels, index), score: scores[index]! }
}

const ageGenderStage = (model: Model): Stage<Pick<Face, 'age' | 'gender'>> =>
  faceStage(model, (values) => ({
    age: values.find((v) => v.length === 1)![0]!,
    gender: best(
      values.find((v) => v.length === 2)!,
      model.metadata.labels,
    ),
  }))
const expressionStage = (model: Model): Stage<Pick<Face, 'expression'>> =>
  faceStage(model, ([values]) => ({ expression: best(values!, model.metadata.labels) }))

/**
 * Makes a face finder of loaded models.
 * Errors: those of `createDetector`; `usage/model` for a model whose outputs are not what its place needs.
 *
 * @example
 * import { readFile } from 'node:fs/promises'
 * import { loadModel } from 'thimble'
 * import { createFaceFinder } from 'thimble/vision'
 * const [detector, landmarks] = [await loadModel('faces.thimble'), await loadModel('landmarks.thimble')]
 * using finder = await createFaceFinder({ detector, landmarks })
 * const [face] = await finder.find(await readFile('portrait.jpg'))
 * console.log(face!.box, face!.points!.length, 'points')
 */
export async function createFaceFinder(models: FaceModels, options: FaceOptions = {}): Promise<FaceFinder> {
  checkValue('createFaceFinder: models', models, having('detector'))
  checkOptions('createFaceFinder', options, { ...DETECTOR_RULES, closerLook: real(0, 1) })
  const { closerLook = CLOSER_LOOK, ...detectorOptions } = options
  const detector = await createDetector(models.detector, detectorOptions)
  // Detectors that merge what overlaps would find something else with a lower threshold.
  const looks =
    closerLook < detector.scoreThreshold && ['class', 'inclusive'].includes(suppressionOf(detector.head as BoxHead))
  const all = looks
    ? await createDetector(models.detector, { ...detectorOptions, scoreThreshold: closerLook })
    : undefined
  const detect = (image: PixelImage): Detection[] =>
    all
      ? withCloserLooks(image, all.detect, detector.scoreThreshold).slice(0, options.maxDetections ?? 100)
      : detector.detect(image)
  const sizes = (outputs: readonly TensorInfo[]): number[] => outputs.map((o) => elements(o.shape))
  const landmarks = wants(
    models.landmarks,
    'face landmarks',
    (o) => o.length === 1 && sizes(o)[0] === 2 * POINTS,
    `[1, ${2 * POINTS}]`,
  )
  const ageGender = wants(
    models.ageGender,
    'age and gender',
    (o) => sizes(o).sort().join() === '1,2',
    '[1, 1] and [1, 2]',
  )
  const expression = wants(
    models.expression,
    'expressions',
    (o) => o.length === 1 && sizes(o)[0] === models.expression!.metadata.labels?.length,
    '[1, expressions] with a label each',
  )
  const timings = { detectMs: 0, describeMs: 0 }
  let detected = 0
  const finder = {
    find(image: PixelImage): Found[] {
      const found = detect(image)
      detected = performance.now()
      return found
    },
  }
  const attributes = [
    ...(ageGender ? [ageGenderStage(ageGender)] : []),
    ...(expression ? [expressionStage(expression)] : []),
  ]
  const steps = pipeline([
    finder,
    ...(landmarks ? [wholePixels(), landmarkStage(landmarks)] : []),
    ...(attributes.length ? [wholePixels({ around: 'points', margin: MARGIN }), ...attributes] : []),
  ])
  return {
    detector: all ? { ...detector, timings: all.timings } : detector,
    timings,
    ...disposable(() => [models.detector, landmarks, ageGender, expression].forEach((m) => m?.dispose())),
    find: answering(options.decode, (picture) => {
      const image = pixelsIn(picture)
      const start = performance.now()
      const faces = steps.run(image).map(({ results, points, region: _, ...face }): Face =>
        Object.assign(
          face,
          points && { points: points.map(({ x, y }): Point => [x, y]) },
          ...results.map((r) => {
            const { points: _points, ...attribute } = (r ?? {}) as Refined
            return attribute
          }),
        ),
      )
      Object.assign(timings, { detectMs: detected - start, describeMs: performance.now() - detected })
      return faces
    }),
  }
}
