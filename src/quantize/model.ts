/** A float model file and photos (or arrays) to an 8-bit model file: what `thimble quantize` does, for programs. */
import { readFloatModel } from '../convert/index.ts'
import { ThimbleError } from '../base/errors.ts'
import { addImplied } from '../formats/implied.ts'
import { writePacked } from '../formats/packed-write.ts'
import { writeTflite } from '../formats/tflite-write.ts'
import type { Graph, Preprocess } from '../graph/graph.ts'
import type { HostUrl } from '../base/host.ts'
import { defaultPreprocess } from '../image/defaults.ts'
import { decoded, type ImageSource, isFile, pixelsOf } from '../image/source.ts'
import {
  callback,
  checkOptions,
  listOf,
  oneOf,
  preprocessing,
  type Rules,
  shown,
  text,
  whole,
} from '../options/options.ts'
import { withPrograms } from '../plan/record.ts'
import { notASource } from '../options/source.ts'
import type { PixelImage } from '../graph/types.ts'
import { random, thinned, variations } from './augment.ts'
import { checkFloat, refuseBlocked } from './check.ts'
import { evaluate, type Summary } from './evaluate.ts'
import { expectPhotos, inputInfo, photoInput, pixelRange } from './inputs.ts'
import { withScores } from './outputs.ts'
import { quantizeChecked, type Sample } from './quantize.ts'
import { RANGE_METHODS, type RangeMethod } from './ranges.ts'
import type { SchemeName } from './scheme.ts'

/** One thing to calibrate with: a photo, or the values of every input in the model's own units. */
export type CalibrationInput = ImageSource | Sample

/** What `quantizeModel` may be told. */
export interface QuantizeModelOptions {
  /** The file to write. Default `tflite`; `thimble` is Thimble's own, which loads faster. */
  format?: 'tflite' | 'thimble'
  /** What activations become. Default `int8`. */
  scheme?: SchemeName
  /** How activation ranges are chosen. Default `auto`. */
  ranges?: RangeMethod
  /** Inputs that calibrate: variations make up for photos, more are thinned. Default 32 with photos, all arrays. */
  inputs?: number
  /** Where randomness starts: the same photos and seed give the same bytes. Default 1. */
  seed?: number
  /** Photos or arrays to compare on, float against 8-bit. Default: nothing is compared. */
  compare?: readonly CalibrationInput[]
  /** How photos become the input. Default: as the model says, else an assumption. */
  preprocess?: Preprocess
  /** Names of the classes, kept in the file. */
  labels?: readonly string[]
  /** The shape of an input that the model leaves open, in the file's own axis order. */
  inputShape?: readonly number[]
  /** Side of the square input, for state dicts, which do not say. */
  size?: number
  /** Called as the work goes on: stages are `observe`, `sensitivity`, `ranges`, `quantize` and `compare`. */
  progress?: (stage: string, done: number, total: number) => void
}

/** A model that was quantized. */
export interface QuantizedModel {
  /** The file. */
  bytes: Uint8Array
  /** How photos become its input; absent where calibration inputs are arrays. */
  preprocess?: Preprocess
  /** How far from float it is on what `compare` names. */
  compared?: Summary
}

const OPTIONS: Rules<QuantizeModelOptions> = {
  format: oneOf(['tflite', 'thimble']),
  scheme: oneOf(['int8', 'int16x8']),
  ranges: oneOf(RANGE_METHODS),
  inputs: whole(1, 4096),
  seed: whole(0),
  compare: { expected: 'a list of photos or arrays', accepts: Array.isArray },
  preprocess: preprocessing,
  labels: listOf(text),
  inputShape: listOf(whole(), 1, 6),
  size: whole(16, 4096),
  progress: callback,
}

const isSample = (input: unknown): input is Sample =>
  input instanceof Float32Array || (Array.isArray(input) && input.every((part) => part instanceof Float32Array))

/** Errors: `usage/calibration` for a list that is empty, or of photos and arrays at once. */
function kindOf(inputs: readonly CalibrationInput[], kind?: 'photos' | 'arrays'): 'photos' | 'arrays' {
  const found = Array.isArray(inputs) ? new Set(inputs.map((one) => (isSample(one) ? 'arrays' : 'photos'))) : undefined
  const [only] = found ?? []
  if (found?.size === 1 && only && (kind === undefined || kind === only)) return only
  throw new ThimbleError(
    'usage/calibration',
    `${kind ? 'what is compared' : 'the calibration inputs'} are not usable`,
    {
      expected: `a list of ${kind ?? 'photos, or of arrays'}`,
      got: found?.size ? [...found].join(' and ') : shown(inputs),
      hint: '16 and more photos of what the model will see are best',
    },
  )
}

/** Pixels of photos. Errors: `image/…`. */
const pixelsOfAll = (photos: readonly CalibrationInput[]): Promise<PixelImage[]> =>
  Promise.all(
    photos.map(async (photo) => {
      const image = photo as ImageSource
      return isFile(image) ? decoded(image) : pixelsOf(image)
    }),
  )

/** The float graph with what the call adds to it. Errors: those of the readers and of `checkFloat`. */
async function graphOf(
  source: string | HostUrl | Uint8Array | ArrayBuffer,
  kind: 'photos' | 'arrays',
  { scheme = 'int8', labels, preprocess, inputShape, size }: QuantizeModelOptions,
): Promise<Graph> {
  const graph = await readFloatModel(source, {
    ...(inputShape ? { inputShape } : {}),
    ...(size === undefined ? {} : { size }),
  })
  addImplied(graph)
  checkFloat(graph, 'the model')
  refuseBlocked(graph, scheme)
  if (kind === 'photos') expectPhotos(graph)
  const named = labels ? { ...graph.metadata, labels: [...labels], task: 'classification' as const } : graph.metadata
  const metadata = withScores({ ...graph, metadata: named })
  if (kind === 'arrays') return { ...graph, metadata }
  const how = preprocess ?? defaultPreprocess(inputInfo(graph), metadata).preprocess
  return { ...graph, metadata: { ...metadata, preprocess: how } }
}

interface Calibrating {
  samples: readonly Sample[]
  photoOf: readonly number[]
  inputRange?: readonly [number, number]
}

/** Photos with variations to make up `count`, or arrays as they are. */
async function calibrating(
  graph: Graph,
  given: readonly CalibrationInput[],
  { inputs: count, seed = 1 }: QuantizeModelOptions,
): Promise<Calibrating> {
  const { preprocess } = graph.metadata
  if (isSample(given[0])) {
    const used = thinned(given as readonly Sample[], count ?? Infinity)
    return { samples: used, photoOf: used.map((_, i) => i) }
  }
  const toInput = photoInput(graph)
  const all = variations(await pixelsOfAll(given), count ?? 32, random(seed))
  return {
    samples: all.map(({ pixels }) => toInput(pixels)),
    photoOf: all.map(({ photo }) => photo),
    inputRange: pixelRange(preprocess!),
  }
}

/** Values of what is compared, one input each. */
async function comparing(graph: Graph, given: readonly CalibrationInput[]): Promise<Sample[]> {
  if (isSample(given[0])) return given as Sample[]
  return (await pixelsOfAll(given)).map(photoInput(graph))
}

/**
 * The int8 form of a float model. `model`: a path, file URL or the bytes of what `thimble quantize` reads (Keras,
 * PyTorch state dicts, ONNX, TensorFlow.js, float .tflite). `calibration`: photos of what it will see, in anything that
 * `classify` takes, or arrays in the model's own units. Takes seconds to a minute of one processor: in a page, call it
 * in a worker.
 * Errors: those of the readers; `lower/unsupported-op` naming, before any work, all that the result could not run;
 * `lower/quantization`, `usage/calibration`, `usage/option`, `image/…`.
 *
 * @example
 * import { readFile } from 'node:fs/promises'
 * import { quantizeModel } from 'thimble/quantize'
 * const photos = await Promise.all(['photo.jpg', 'coffee.jpg'].map((name) => readFile(name)))
 * const { bytes, compared } = await quantizeModel('float.tflite', photos, {
 *   compare: [await readFile('portrait.jpg')],
 *   progress: (stage, done, total) => console.log(stage, done, 'of', total),
 * })
 * console.log(bytes.length, 'bytes,', compared!.logitSqnr.toFixed(1), 'dB from float')
 */
export async function quantizeModel(
  model: string | HostUrl | Uint8Array | ArrayBuffer,
  calibration: readonly CalibrationInput[],
  options: QuantizeModelOptions = {},
): Promise<QuantizedModel> {
  checkOptions('quantizeModel', options, OPTIONS)
  const known =
    typeof model === 'string' || model instanceof URL || model instanceof Uint8Array || model instanceof ArrayBuffer
  if (!known) throw notASource(model, 'a path, a file URL or the bytes of a float model')
  const kind = kindOf(calibration)
  if (options.compare) kindOf(options.compare, kind)
  const graph = await graphOf(model, kind, options)
  const { samples, ...how } = await calibrating(graph, calibration, options)
  const { scheme, ranges, seed, progress, compare, format = 'tflite' } = options
  const result = quantizeChecked(graph, samples, {
    ...how,
    ...(scheme ? { scheme } : {}),
    ...(ranges ? { ranges } : {}),
    ...(seed === undefined ? {} : { seed }),
    ...(progress ? { progress } : {}),
  })
  const compared = compare && (await comparing(graph, compare)).map((data, i) => ({ name: String(i), data }))
  const evaluation =
    compared &&
    (await evaluate(graph, result, compared, {
      progress: (done) => progress?.('compare', done, compared.length),
      layerInputs: 0,
    }))
  const { preprocess } = graph.metadata
  return {
    bytes: format === 'tflite' ? writeTflite(result.graph) : writePacked(withPrograms(result.graph)),
    ...(preprocess && kind === 'photos' ? { preprocess } : {}),
    ...(evaluation ? { compared: evaluation.asTheyAre } : {}),
  }
}
