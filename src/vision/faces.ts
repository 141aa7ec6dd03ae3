/**
 * Faces: a detector, then for each face its 68 points, and from a crop around the points its age, gender and
 * expression. The crops are face-api's (1.7): the detector's box for the points, their bounding box plus a fifth for
 * the rest. No dependencies.
 */
import { ThimbleError } from '../errors.ts'
import { elements } from '../graph.ts'
import { checkPixels, Preprocessor } from '../image/preprocess.ts'
import { defaultPreprocess } from '../image/defaults.ts'
import { labelOf } from '../labels.ts'
import type { Model, PixelImage, TensorInfo } from '../types.ts'
import type { Box } from './boxes.ts'
import { createDetector, type Detection, type Detector, type DetectorOptions } from './detector.ts'
import { preprocessView, toPhoto } from './frame.ts'
import { dequantized } from './values.ts'

export type Point = [x: number, y: number]
export interface Attribute {
  label: string
  score: number
}

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

export interface FaceFinder {
  readonly detector: Detector
  /** Milliseconds of the latest call: finding the faces, and all else. */
  readonly timings: Readonly<{ detectMs: number; describeMs: number }>
  /** The faces of an image, best score first. Errors: `image/pixels`. */
  find(image: PixelImage): Face[]
}

const POINTS = 68
/** Share of the points' width and height added around them. */
const MARGIN = 0.2

/** Whole pixels of the image that a box covers; undefined when it covers none. */
export function cropBox(box: Box, image: { width: number; height: number }): Box | undefined {
  const x = Math.max(0, Math.floor(box.x))
  const y = Math.max(0, Math.floor(box.y))
  const width = Math.floor(Math.min(box.x + box.width, image.width) - x)
  const height = Math.floor(Math.min(box.y + box.height, image.height) - y)
  return width >= 1 && height >= 1 ? { x, y, width, height } : undefined
}

/** The pixels within a box of whole numbers that lies inside the image. */
export function cropImage(image: PixelImage, { x, y, width, height }: Box): PixelImage {
  const channels = checkPixels(image)
  const data = new Uint8Array(width * height * channels)
  for (let row = 0; row < height; row++) {
    const from = ((y + row) * image.width + x) * channels
    data.set(image.data.subarray(from, from + width * channels), row * width * channels)
  }
  return { data, width, height, channels }
}

/** The points' bounding box with a margin: the crop that attributes are read from. */
export function pointsBox(points: readonly Point[]): Box {
  const xs = points.map((p) => p[0])
  const ys = points.map((p) => p[1])
  const [left, top] = [Math.min(...xs), Math.min(...ys)]
  const [width, height] = [Math.max(...xs) - left, Math.max(...ys) - top]
  return {
    x: left - (width * MARGIN) / 2,
    y: top - (height * MARGIN) / 2,
    width: width * (1 + MARGIN),
    height: height * (1 + MARGIN),
  }
}

/** A network on crops of faces. */
class CropNetwork {
  private readonly preprocessor: Preprocessor
  private readonly model: Model

  constructor(model: Model) {
    this.model = model
    this.preprocessor = new Preprocessor(
      model.inputs[0]!,
      defaultPreprocess(model.inputs[0]!, model.metadata).preprocess,
    )
  }

  run(image: PixelImage): Float32Array[] {
    return this.model.run(this.preprocessor.run(image)).map((raw, i) => dequantized(raw, this.model.outputs[i]!))
  }

  /** Points as shares of the input, in pixels of the photo that `crop` was taken from. */
  points(values: ArrayLike<number>, crop: Box): Point[] {
    const view = preprocessView(crop, this.preprocessor.geometry, this.preprocessor.how)
    return Array.from({ length: POINTS }, (_, i): Point => {
      const [x, y] = toPhoto(view, values[2 * i]!, values[2 * i + 1]!)
      return [x + crop.x, y + crop.y]
    })
  }
}

function wants(
  model: Model | undefined,
  what: string,
  fits: (outputs: readonly TensorInfo[]) => boolean,
  expected: string,
): CropNetwork | undefined {
  if (!model) return undefined
  if (model.inputs.length !== 1 || !fits(model.outputs)) {
    throw new ThimbleError('usage/model', `the model is no network for ${what}`, {
      expected,
      got: model.outputs.map((o) => `[${o.shape.join(', ')}]`).join(', '),
    })
  }
  return new CropNetwork(model)
}

const best = (values: ArrayLike<number>, labels: readonly string[] | undefined): Attribute => {
  const scores = Array.from(values)
  const index = scores.indexOf(Math.max(...scores))
  return { label: labelOf(labels, index), score: scores[index]! }
}

/**
 * Makes a face finder of loaded models.
 * Errors: those of `createDetector`; `usage/model` for a model whose outputs are not what its place needs.
 */
export async function createFaceFinder(models: FaceModels, options: DetectorOptions = {}): Promise<FaceFinder> {
  const detector = await createDetector(models.detector, options)
  const sizes = (outputs: readonly TensorInfo[]): number[] => outputs.map((o) => elements(o.shape))
  const landmarks = wants(models.landmarks, 'landmarks', (o) => sizes(o).join() === String(2 * POINTS), '[1, 136]')
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

  const describe = (face: Detection, image: PixelImage): Face => {
    const crop = cropBox(face.box, image)
    if (!crop) return face
    const out: Face = { ...face }
    let around: Box | undefined = crop
    if (landmarks) {
      out.points = landmarks.points(landmarks.run(cropImage(image, crop))[0]!, crop)
      around = cropBox(pointsBox(out.points), image) ?? crop
    }
    const aligned = ageGender || expression ? cropImage(image, around) : undefined
    if (ageGender) {
      const values = ageGender.run(aligned!)
      out.age = values.find((v) => v.length === 1)![0]!
      out.gender = best(
        values.find((v) => v.length === 2)!,
        models.ageGender!.metadata.labels,
      )
    }
    if (expression) out.expression = best(expression.run(aligned!)[0]!, models.expression!.metadata.labels)
    return out
  }

  return {
    detector,
    timings,
    find(image) {
      const start = performance.now()
      const found = detector.detect(image)
      const detected = performance.now()
      const faces = found.map((face) => describe(face, image))
      Object.assign(timings, { detectMs: detected - start, describeMs: performance.now() - detected })
      return faces
    },
  }
}
