/** New classes from a few photos: a classifier's features, a new head, one int8 model. Runs where the runtime runs. */
import { disposable, type Disposes } from '../base/dispose.ts'
import { ThimbleError } from '../base/errors.ts'
import { readModel } from '../formats/index.ts'
import { writePacked } from '../formats/packed-write.ts'
import { writeTflite } from '../formats/tflite-write.ts'
import { settle } from '../fold/index.ts'
import type { Graph, Metadata, Preprocess } from '../graph/graph.ts'
import type { HostUrl } from '../base/host.ts'
import { topK } from '../answers/labels.ts'
import { loadGraph } from '../engine/load-graph.ts'
import { callback, checkOptions, flag, oneOf, preprocessing, real, whole } from '../options/options.ts'
import { withPrograms } from '../plan/record.ts'
import { fetchBytes, notASource } from '../options/source.ts'
import type { Model, Prediction } from '../graph/types.ts'
import type { ImageDecode, ImageSource } from '../image/source.ts'
import { baseOf, type Embedder, openEmbedder, preprocessOf } from './embedder.ts'
import { featuresOnly, type Head, int8Features, joinHead } from './join.ts'
import { keptBytes, keptTensors, type Taught } from './keep.ts'
import { NONE, teach, type TeachReport, UNKNOWN } from './teach.ts'

/** A graph, the bytes of a .tflite or .thimble file, or the URL of one. */
export type BaseModel = Graph | Uint8Array | ArrayBuffer | HostUrl | string

/** How a learner prepares images, who decodes them, and on how many threads the network runs. */
export interface LearnerOptions {
  /** How an image becomes the base model's input. Default: what its file says, else what its input implies. */
  preprocess?: Preprocess
  /** Decoder of encoded images. Default: the browser's where there is one, else Thimble's. */
  decode?: ImageDecode
  /** Worker threads. Default 1. */
  threads?: number
}

/** How a head is made of the photos. */
export interface TrainOptions {
  /** Deals the photos to folds. Default 1. */
  seed?: number
  /**
   * Share of things taught that must still be recognised, above 0 and up to 1; what is as far from the photos as the
   * rest is called `unknown`. 0: everything is called one of the classes. Default 0.95.
   */
  unknown?: number
}

/** What a training found out, and how long it took. */
export interface LearnReport extends TeachReport {
  trainMs: number
}

/** What an exported file holds. */
export interface ExportOptions {
  /** Keep the photos' features, so that the file can be taught more. Default true. */
  photos?: boolean
}

/** Classes of your own on top of a network that someone else trained. */
export interface Learner extends Disposes {
  /** How an image becomes the input tensor, and where that comes from, one clause. */
  readonly preprocess: Preprocess
  readonly assumed: string
  /** Classes by first photo, with the number of photos taught; those of the file it was made from are there already. */
  readonly classes: ReadonlyMap<string, number>
  /** How often the network has run. */
  readonly inferences: number
  /** Bytes that the photos' features take in an exported file. */
  readonly photoBytes: number
  /**
   * Shows one photo of a class; `name` is what reports call it. A class `none` is for pictures of nothing that is
   * taught: they are called `unknown`. Errors: `image/…`, `usage/label`.
   */
  add(label: string, image: ImageSource, name?: string): Promise<void>
  /** Forgets a class with its photos and says how many these were. Errors: `usage/label` for one that is not there. */
  remove(label: string): number
  /**
   * Makes a head of all photos shown so far. The same photos and seed give the same model.
   * Errors: `usage/classes` for fewer than two classes.
   */
  train(options?: TrainOptions): Promise<LearnReport>
  /** The classes of an image by what was trained last, best first. Errors: `usage/not-trained`, `image/…`. */
  classify(image: ImageSource): Promise<Prediction[]>
  /** The trained model, one int8 file with labels and preprocessing. Errors: `usage/not-trained`. */
  export(format?: 'tflite' | 'thimble', options?: ExportOptions): Uint8Array
}

const KEEP = 0.95

/** Errors: `usage/label`. */
function checkLabel(label: string): void {
  if (typeof label === 'string' && label.trim() !== '') return
  throw new ThimbleError('usage/label', 'a class needs a name', { expected: 'text', got: String(label) })
}

async function graphOf(model: BaseModel): Promise<Graph> {
  if (model instanceof Uint8Array) return readModel(model)
  if (model instanceof ArrayBuffer) return readModel(new Uint8Array(model))
  if (typeof model === 'string' || model instanceof URL) return readModel(await fetchBytes(model), String(model))
  if (Array.isArray((model as Graph | undefined)?.ops) && Array.isArray(model.tensors)) return model
  throw notASource(model, 'the bytes or URL of a .tflite or .thimble file, or a graph')
}

/** The classes in the order of the outputs: the one of nothing last. */
function orderOf(classes: ReadonlyMap<string, number>, telling: boolean): { labels: string[]; none?: number } {
  const all = [...classes.keys()]
  if (!telling) return { labels: all }
  const nothing = all.filter((label) => NONE.includes(label))
  const labels = [...all.filter((label) => !NONE.includes(label)), ...nothing.slice(0, 1)]
  return nothing.length ? { labels, none: labels.length - 1 } : { labels }
}

/** A learner that also takes features which others made of its base. */
export interface OpenLearner {
  learner: Learner
  /** Loads the base, which else the first image that is shown here does. */
  ready(): Promise<unknown>
  /** `features`: int8 [VIEWS, features], see `Embedder.views`. Errors: `usage/label`. */
  teach(label: string, features: Int8Array, name?: string): void
}

/** What a training has made. */
interface Trained {
  head: Head
  observed: Int8Array
  metadata: Metadata
  engine: Model
  labels: string[]
}

/** What is known of the base when a learner is made. */
interface Ground {
  base: Graph
  baseName: string
  source: Metadata
  preprocess: Preprocess
  assumed: string
}

class Learning {
  private readonly ground: Ground
  private readonly options: LearnerOptions
  private readonly taught: Taught[]
  private readonly classes = new Map<string, number>()
  private opened: Promise<Embedder> | undefined
  private embedder: Embedder | undefined
  private trained: Trained | undefined

  constructor(ground: Ground, before: readonly Taught[], options: LearnerOptions) {
    this.ground = ground
    this.options = options
    this.taught = [...before]
    for (const { label } of before) this.count(label)
  }

  async ready(): Promise<Embedder> {
    this.opened ??= openEmbedder(this.ground.base, { ...this.options, preprocess: this.ground.preprocess })
    return (this.embedder = await this.opened)
  }

  teach(label: string, features: Int8Array, name?: string): void {
    checkLabel(label)
    const count = this.count(label)
    this.taught.push({ label, name: name ?? `${label} ${count}`, features })
  }

  /** One photo more of a class. */
  private count(label: string): number {
    const count = (this.classes.get(label) ?? 0) + 1
    this.classes.set(label, count)
    return count
  }

  private async add(label: string, image: ImageSource, name?: string): Promise<void> {
    checkLabel(label)
    this.teach(label, await (await this.ready()).views(image), name)
  }

  private remove(label: string): number {
    const { classes, taught } = this
    const count = classes.get(label)
    if (count === undefined) {
      throw new ThimbleError('usage/label', 'no such class is taught', {
        expected: [...classes.keys()].join(', ') || 'photos added first',
        got: String(label),
      })
    }
    const others = taught.filter((t) => t.label !== label)
    taught.splice(0, taught.length, ...others)
    classes.delete(label)
    return count
  }

  private async train(how: TrainOptions = {}): Promise<LearnReport> {
    checkOptions('train', how, { seed: whole(0), unknown: real(0, 1) })
    const { base } = this.ground
    const { seed = 1, unknown: keep = KEEP } = how
    const { labels, none } = orderOf(this.classes, keep > 0)
    const kinds = labels.length - (none === undefined ? 0 : 1)
    if (kinds < 2) {
      throw new ThimbleError('usage/classes', 'there is nothing to tell apart', {
        expected: `photos of at least 2 classes${none === undefined ? '' : ' besides none'}`,
        got: kinds,
      })
    }
    const start = performance.now()
    const { scale, zeroPoint } = int8Features(base)
    const { head, observed, report } = teach(this.taught, { labels, none, scale, zeroPoint, seed, keep })
    const { nearness } = head
    const said = nearness ? [...labels.slice(0, kinds), UNKNOWN] : labels
    const learned = {
      base: this.ground.baseName,
      photos: Object.fromEntries(labels.map((label, c) => [label, report.photos[c]])),
      seed,
      ...(nearness ? { unknown: { keep, threshold: nearness.threshold, cosine: nearness.weight } } : {}),
    }
    const metadata = this.metadata(said, kinds, learned)
    const trainMs = performance.now() - start
    const engine = await loadGraph(joinHead(featuresOnly(base), head, observed, metadata))
    this.trained?.engine.dispose()
    this.trained = { head, observed, metadata, engine, labels: said }
    return { ...report, trainMs }
  }

  /** Of a trained model: `kinds` of its labels are classes that were taught. */
  private metadata(labels: string[], kinds: number, learned: Record<string, unknown>): Metadata {
    const { baseName, preprocess, source } = this.ground
    const { license, source: from } = source
    return {
      name: 'learned',
      description: `${kinds} classes learned from ${this.taught.length} photos, on the features of ${baseName}`,
      ...(license ? { license } : {}),
      ...(from ? { source: from } : {}),
      labels,
      preprocess,
      task: 'classification',
      scores: 'identity',
      extra: { learned },
    }
  }

  private current(): Trained {
    if (this.trained) return this.trained
    throw new ThimbleError('usage/not-trained', 'nothing is learned yet', { hint: 'add photos, then call train' })
  }

  private async classify(image: ImageSource): Promise<Prediction[]> {
    const { engine, labels } = this.current()
    const quantized = engine.run(await (await this.ready()).features(image))[0] as Int8Array
    // The scores' scale is 1/256 and their zero point -128, as LiteRT's SOFTMAX wants it.
    const scores = Float32Array.from(quantized, (q) => (q + 128) / 256)
    return topK(scores, labels.length).map((index) => ({ label: labels[index]!, index, score: scores[index]! }))
  }

  private export(format: 'tflite' | 'thimble', how: ExportOptions): Uint8Array {
    checkOptions('export', { format, ...how }, { format: oneOf(['tflite', 'thimble']), photos: flag })
    const { head, observed, metadata } = this.current()
    const graph = joinHead(this.ground.base, head, observed, metadata)
    if (how.photos !== false) graph.tensors.push(...keptTensors(this.taught))
    return format === 'tflite' ? writeTflite(graph) : writePacked(withPrograms(graph))
  }

  /** What callers see. */
  asLearner(): Learner {
    const inferences = (): number => this.embedder?.inferences ?? 0
    const photoBytes = (): number => keptBytes(this.taught)
    return {
      preprocess: this.ground.preprocess,
      assumed: this.ground.assumed,
      classes: this.classes,
      get inferences() {
        return inferences()
      },
      get photoBytes() {
        return photoBytes()
      },
      add: (label, image, name) => this.add(label, image, name),
      remove: (label) => this.remove(label),
      train: (how) => this.train(how),
      classify: (image) => this.classify(image),
      export: (format = 'tflite', how = {}) => this.export(format, how),
      ...disposable(() => {
        void this.opened?.then((made) => made.dispose())
        this.trained?.engine.dispose()
      }),
    }
  }
}

/** `createLearner` of learn/index.ts. */
export async function createLearner(model: BaseModel, options: LearnerOptions = {}): Promise<Learner> {
  const opened = await openLearner(model, options)
  await opened.ready()
  return opened.learner
}

/** The same for callers that have their features from elsewhere. */
export async function openLearner(model: BaseModel, options: LearnerOptions = {}): Promise<OpenLearner> {
  checkOptions('createLearner', options, { preprocess: preprocessing, decode: callback, threads: whole(1, 64) })
  const source = settle(await graphOf(model))
  const { graph: base, name: baseName, taught } = baseOf(source)
  const { preprocess, assumed } = options.preprocess
    ? { preprocess: options.preprocess, assumed: 'given by the caller' }
    : preprocessOf(base, source.metadata)
  const learning = new Learning({ base, baseName, source: source.metadata, preprocess, assumed }, taught, options)
  return {
    learner: learning.asLearner(),
    ready: () => learning.ready(),
    teach: (label, features, name) => learning.teach(label, features, name),
  }
}
