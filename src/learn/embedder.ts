/** What a network that someone else trained makes of a photo: features of the views that are learned from. */
import { tensorInfo } from '../engine/engine.ts'
import type { Graph, Preprocess } from '../graph/graph.ts'
import { defaultPreprocess } from '../image/defaults.ts'
import { decoded, type ImageDecode, type ImageSource, isFile, pixelsOf } from '../image/source.ts'
import { loadGraph } from '../engine/load-graph.ts'
import type { Model, TypedArray } from '../graph/types.ts'
import { cutHead } from './cut.ts'
import { int8Features } from './join.ts'
import { learnedFile, type Taught } from './keep.ts'
import { Viewer, VIEWS } from './views.ts'

/** A base model's file taken apart. */
export interface Base {
  /** The network without its head. */
  graph: Graph
  /** What the file was taught, where `learn` made it and kept the photos. */
  taught: readonly Taught[]
  /** Name of the network that was not taught. */
  name: string
}

/** The base in a settled graph. Errors: `usage/base`. */
export function baseOf(source: Graph): Base {
  const learned = learnedFile(source)
  return {
    graph: learned?.base ?? cutHead(source),
    taught: learned?.taught ?? [],
    name: learned?.baseName ?? source.metadata.name ?? 'a base model',
  }
}

/** How images become a base's input. */
export interface EmbedderOptions {
  preprocess: Preprocess
  /** Decoder of encoded images. Default: the browser's where there is one, else Thimble's. */
  decode?: ImageDecode | undefined
  /** Worker threads of the network. Default 1. */
  threads?: number | undefined
}

/** How an image becomes the base's input, and where that comes from, one clause. */
export function preprocessOf(base: Graph, metadata: Graph['metadata']): { preprocess: Preprocess; assumed: string } {
  return defaultPreprocess(tensorInfo(base.tensors[base.inputs[0]!]!), metadata)
}

/** A base, loaded. */
export class Embedder {
  /** How often the network has run. */
  inferences = 0
  readonly #engine: Model
  readonly #viewer: Viewer
  readonly #decode: ImageDecode | undefined
  readonly #offset: number

  constructor(engine: Model, base: Graph, { preprocess, decode }: EmbedderOptions) {
    this.#engine = engine
    this.#viewer = new Viewer(engine.inputs[0]!, preprocess)
    this.#decode = decode
    this.#offset = int8Features(base).offset
  }

  #run(tensor: TypedArray): Int8Array | Uint8Array {
    this.inferences++
    return this.#engine.run(tensor)[0]! as Int8Array | Uint8Array
  }

  #pixels(image: ImageSource) {
    return isFile(image) ? decoded(image, this.#decode) : pixelsOf(image)
  }

  /** int8 [VIEWS, features]. Errors: `image/…`. */
  async views(image: ImageSource): Promise<Int8Array> {
    let features: Int8Array | undefined
    let at = 0
    for (const tensor of this.#viewer.views(await this.#pixels(image))) {
      const said = this.#run(tensor)
      features ??= new Int8Array(said.length * VIEWS)
      for (const v of said) features[at++] = v - this.#offset
    }
    return features!
  }

  /** What the base says of the image as it is, in the type of its output. Errors: `image/…`. */
  async features(image: ImageSource): Promise<Int8Array | Uint8Array> {
    return this.#run(this.#viewer.tensor(await this.#pixels(image)))
  }

  dispose(): void {
    this.#engine.dispose()
  }
}

/** Loads a base. Errors: those of `loadGraph`. */
export async function openEmbedder(base: Graph, options: EmbedderOptions): Promise<Embedder> {
  return new Embedder(await loadGraph(base, options.threads ? { threads: options.threads } : {}), base, options)
}
