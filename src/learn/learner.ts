/** New classes from a few photos: a classifier's features, a new head, one int8 model. Runs where the runtime runs. */
import { disposable, type Disposes } from '../dispose.ts'
import type { HostUrl } from '../host.ts'
import { type Classifier, createClassifier } from '../classifier.ts'
import type { Engine } from '../engine.ts'
import { ThimbleError } from '../errors.ts'
import { settle } from '../fold/index.ts'
import { readModel } from '../formats/index.ts'
import { writePacked } from '../formats/packed-write.ts'
import { writeTflite } from '../formats/tflite-write.ts'
import type { Graph, Preprocess } from '../graph.ts'
import { defaultPreprocess } from '../image/defaults.ts'
import { inputGeometry, type InputGeometry, Preprocessor } from '../image/preprocess.ts'
import { loadGraph } from '../load-graph.ts'
import { checkOptions, oneOf, preprocessing, callback, whole } from '../options.ts'
import { withPrograms } from '../plan/record.ts'
import { fetchBytes, notASource } from '../source.ts'
import type { Prediction, TypedArray } from '../types.ts'
import { decoded, type ImageDecode, type ImageSource, isFile, pixelsOf } from '../vision/source.ts'
import { cutHead } from './cut.ts'
import { int8Features, joinHead } from './join.ts'
import { argMax, type Examples, linearOf, productsOf, ridge, trainSoftmax } from './solve.ts'

/** A graph, the bytes of a .tflite or .thimble file, or the URL of one. */
export type BaseModel = Graph | Uint8Array | ArrayBuffer | HostUrl | string

/** How a learner prepares images, and who decodes them. */
export interface LearnerOptions {
  /** How an image becomes the base model's input. Default: what its file says, else what its input implies. */
  preprocess?: Preprocess
  /** Decoder of encoded images. Default: the browser's where there is one, else Thimble's. */
  decode?: ImageDecode
}

/** What is kept of a photo, and what it is called in the report. */
interface Taught {
  label: string
  name: string
  /** Int8 features of the photo and of its mirror image, one after the other. */
  features: Int8Array
}

/** A photo that the classifier of all other photos takes for another class. */
export interface Doubtful {
  name: string
  label: string
  looksLike: string
  /** By how much the other class is ahead; 1 is as sure as the classifier is of a typical photo. */
  by: number
}

/** Two photos whose features hardly differ. */
export interface Double {
  a: string
  b: string
  /** Cosine of their features. */
  similarity: number
}

/** How well the classes can be told apart, judged on photos left out, and which photos look wrong. */
export interface LearnReport {
  labels: string[]
  /** Photos per class. */
  photos: number[]
  /** Share of photos that the closed form of all other photos gets right. */
  leaveOneOut: number
  /** [class][class said], counts of the same. */
  confusion: number[][]
  /** Of the head as it is trained, on photos held out in turn; absent where a class has a single photo. */
  crossValidation?: { folds: number; accuracy: number; loss: number }
  strength: number
  mislabelled: Doubtful[]
  doubles: Double[]
  trainMs: number
}

/** Classes of your own on top of a network that someone else trained. */
export interface Learner extends Disposes {
  /** How an image becomes the input tensor, and where that comes from, one clause. */
  readonly preprocess: Preprocess
  readonly assumed: string
  /** Classes by first photo, with the number of photos taught. */
  readonly classes: ReadonlyMap<string, number>
  /** Shows one photo of a class; `name` is what reports call it. Errors: `image/…`, `usage/label`. */
  add(label: string, image: ImageSource, name?: string): Promise<void>
  /**
   * Makes a head of all photos shown so far. The same photos and seed give the same model.
   * Errors: `usage/classes` for fewer than two classes.
   */
  train(options?: { seed?: number }): Promise<LearnReport>
  /** The classes of an image by what was trained last, best first. Errors: `usage/not-trained`, `image/…`. */
  classify(image: ImageSource): Promise<Prediction[]>
  /** The trained model, one int8 file with labels and preprocessing. Errors: `usage/not-trained`. */
  export(format?: 'tflite' | 'thimble'): Uint8Array
}

const VIEWS = 2
/** Lead of another class from which on a photo is named. */
const DOUBTFUL = 0.25
/** Cosine from which on two photos are named as nearly the same. */
const DOUBLE = 0.98

/** Flips an image tensor left to right. */
function mirror(input: TypedArray, { width, channels, nchw }: InputGeometry): TypedArray {
  const out = input.slice() as Exclude<TypedArray, BigInt64Array>
  const group = nchw ? 1 : channels
  for (let row = 0; row < out.length; row += width * group) {
    for (let x = 0; x < width; x++) {
      for (let c = 0; c < group; c++) out[row + x * group + c] = Number(input[row + (width - 1 - x) * group + c])
    }
  }
  return out
}

async function graphOf(model: BaseModel): Promise<Graph> {
  if (model instanceof Uint8Array) return readModel(model)
  if (model instanceof ArrayBuffer) return readModel(new Uint8Array(model))
  if (typeof model === 'string' || model instanceof URL) return readModel(await fetchBytes(model), String(model))
  if (Array.isArray((model as Graph | undefined)?.ops) && Array.isArray(model.tensors)) return model
  throw notASource(model, 'the bytes or URL of a .tflite or .thimble file, or a graph')
}

/** Cosine of two rows of features less their zero point. */
function cosine(a: Float64Array, b: Float64Array): number {
  let [ab, aa, bb] = [0, 0, 0]
  for (let i = 0; i < a.length; i++) {
    ab += a[i]! * b[i]!
    aa += a[i]! * a[i]!
    bb += b[i]! * b[i]!
  }
  return ab / (Math.sqrt(aa * bb) || 1)
}

/** Photos as near as copies, mirrored ones too. */
function doublesOf(taught: readonly Taught[], { count, features, rows }: Examples): Double[] {
  const row = (r: number): Float64Array => rows.subarray(r * features, (r + 1) * features)
  const found: Double[] = []
  for (let i = 0; i < count; i++) {
    for (let j = i + 1; j < count; j++) {
      const similarity = Math.max(
        ...Array.from({ length: VIEWS }, (_, v) => cosine(row(i * VIEWS), row(j * VIEWS + v))),
      )
      if (similarity >= DOUBLE) found.push({ a: taught[i]!.name, b: taught[j]!.name, similarity })
    }
  }
  return found.sort((x, y) => y.similarity - x.similarity)
}

/** `createLearner` of learn/index.ts. */
export async function createLearner(model: BaseModel, options: LearnerOptions = {}): Promise<Learner> {
  checkOptions('createLearner', options, { preprocess: preprocessing, decode: callback })
  const source = settle(await graphOf(model))
  const base = cutHead(source)
  const engine: Engine = await loadGraph(base)
  const input = engine.inputs[0]!
  const { preprocess, assumed } = options.preprocess
    ? { preprocess: options.preprocess, assumed: 'given by the caller' }
    : defaultPreprocess(input, source.metadata)
  const preprocessor = new Preprocessor(input, preprocess)
  const geometry = inputGeometry(input)
  const { scale, zeroPoint, offset } = int8Features(base)
  const taught: Taught[] = []
  const classes = new Map<string, number>()
  let trained: { graph: Graph; engine: Engine; classifier: Classifier } | undefined

  const featuresOf = (tensor: TypedArray): Int8Array =>
    Int8Array.from(engine.run(tensor)[0]! as Int8Array, (v) => v - offset)
  const pixels = async (image: ImageSource) => (isFile(image) ? decoded(image, options.decode) : pixelsOf(image))
  const current = (): NonNullable<typeof trained> => {
    if (trained) return trained
    throw new ThimbleError('usage/not-trained', 'nothing is learned yet', { hint: 'add photos, then call train' })
  }

  const train = async ({ seed = 1 }: { seed?: number } = {}): Promise<LearnReport> => {
    checkOptions('train', { seed }, { seed: whole(0) })
    const labels = [...classes.keys()]
    if (labels.length < 2) {
      throw new ThimbleError('usage/classes', 'there is nothing to tell apart', {
        expected: 'photos of at least 2 classes',
        got: labels.length,
      })
    }
    const start = performance.now()
    const features = taught[0]!.features.length / VIEWS
    const observed = new Int8Array(taught.length * VIEWS * features)
    taught.forEach((t, i) => observed.set(t.features, i * VIEWS * features))
    const examples: Examples = {
      count: taught.length,
      views: VIEWS,
      features,
      rows: Float64Array.from(observed, (q) => (q - zeroPoint) * scale),
      labels: Int32Array.from(taught, (t) => labels.indexOf(t.label)),
      classes: labels.length,
    }
    const products = productsOf(examples)
    const closed = ridge(examples, products.products)
    const head = trainSoftmax(examples, products.products, closed, seed)
    const { license, source: from, name } = source.metadata
    const graph = joinHead(base, linearOf(examples, products, head.coefficients), observed, {
      name: 'learned',
      description: `${labels.length} classes learned from ${taught.length} photos, on the features of ${name ?? 'a base model'}`,
      ...(license ? { license } : {}),
      ...(from ? { source: from } : {}),
      labels,
      preprocess,
      task: 'classification',
      scores: 'identity',
    })
    const confusion = labels.map(() => labels.map(() => 0))
    const mislabelled: Doubtful[] = []
    taught.forEach((t, i) => {
      const said = closed.leftOut.subarray(i * labels.length, (i + 1) * labels.length)
      const [own, best] = [examples.labels[i]!, argMax(said)]
      confusion[own]![best]!++
      const by = said[best]! - said[own]!
      // A class of one photo has nothing left to recognise it by.
      if (best !== own && by >= DOUBTFUL && classes.get(t.label)! > 1) {
        mislabelled.push({ name: t.name, label: t.label, looksLike: labels[best]!, by })
      }
    })
    const doubles = doublesOf(taught, examples)
    const trainMs = performance.now() - start
    const next = await loadGraph(graph)
    trained?.engine.dispose()
    trained = { graph, engine: next, classifier: await createClassifier(next, { topK: labels.length }) }
    return {
      labels,
      photos: [...classes.values()],
      leaveOneOut: confusion.reduce((sum, row, c) => sum + row[c]!, 0) / taught.length,
      confusion,
      ...(head.crossValidation ? { crossValidation: head.crossValidation } : {}),
      strength: head.strength,
      mislabelled: mislabelled.sort((a, b) => b.by - a.by),
      doubles,
      trainMs,
    }
  }

  return {
    preprocess,
    assumed,
    classes,
    async add(label, image, name) {
      if (typeof label !== 'string' || label.trim() === '') {
        throw new ThimbleError('usage/label', 'a class needs a name', { expected: 'text', got: String(label) })
      }
      const tensor = preprocessor.run(await pixels(image))
      const photo = [featuresOf(tensor), featuresOf(mirror(tensor, geometry))]
      const features = new Int8Array(photo[0]!.length * VIEWS)
      photo.forEach((f, v) => features.set(f, v * f.length))
      const count = (classes.get(label) ?? 0) + 1
      taught.push({ label, name: name ?? `${label} ${count}`, features })
      classes.set(label, count)
    },
    train,
    async classify(image) {
      const { classifier } = current()
      return classifier.classify(await pixels(image))
    },
    export(format = 'tflite') {
      checkOptions('export', { format }, { format: oneOf(['tflite', 'thimble']) })
      const { graph } = current()
      return format === 'tflite' ? writeTflite(graph) : writePacked(withPrograms(graph))
    },
    ...disposable(() => {
      engine.dispose()
      trained?.engine.dispose()
    }),
  }
}
