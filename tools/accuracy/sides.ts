/** A model and its float original as classifiers that get the same pixels, and what both make of a photo. */
import { type Classifier, createClassifier } from '../../src/classify/classifier.ts'
import { classifierOf, openNamed } from '../../src/cli/classify.ts'
import type { Args } from '../../src/cli/command.ts'
import { readFile } from '../../src/cli/files.ts'
import { asModel } from '../../src/float/as-model.ts'
import type { Graph } from '../../src/graph/graph.ts'
import { decodeImage } from '../../src/image/decode.ts'
import type { Model, PixelImage, TensorInfo, TypedArray } from '../../src/graph/types.ts'

/** What one model says: its five best classes, and the best one's score. */
export interface Said {
  best: number[]
  score: number
}

export interface Compared {
  int8: Said
  float?: Said
  /** Sums over the outputs of float squared, and of the difference squared. */
  signal: number
  noise: number
}

interface Side {
  classifier: Classifier
  /** Real values of the latest output of scores. */
  outputs(): Float32Array
}

const real = (raw: TypedArray, { scale, zeroPoint }: TensorInfo): Float32Array =>
  Float32Array.from(raw as ArrayLike<number>, (q) => (scale > 0 ? (q - zeroPoint) * scale : q))

/** A classifier whose model's outputs can be looked at. */
async function side(model: Model, make: (model: Model) => Promise<Classifier>): Promise<Side> {
  let latest: TypedArray[] = []
  const watched: Model = Object.assign(Object.create(model) as Model, {
    run: (...call: Parameters<Model['run']>) => (latest = model.run(...call)),
  })
  const classifier = await make(watched)
  return { classifier, outputs: () => real(latest[0]!, model.outputs[0]!) }
}

/** Both sides of a comparison, on one thread. Errors: those of `createClassifier` and of the float executor. */
export async function openSides(args: Args, float: Graph | undefined): Promise<(file: string) => Compared> {
  const plain = await classifierOf(args, openNamed(args))
  const { labels, preprocess, model } = plain
  const like = (m: Model): Promise<Classifier> =>
    createClassifier(m, {
      ...(labels.length ? { labels } : {}),
      preprocess,
      ...(m.metadata.scores ? {} : { scores: model.metadata.scores ?? 'auto' }),
    })
  const int8 = await side(model, like)
  const reference = float && (await side(asModel(float), like))
  const say = ({ classifier }: Side, pixels: PixelImage): Said => {
    const predictions = classifier.classify(pixels)
    return { best: predictions.map((p) => p.index), score: predictions[0]?.score ?? 0 }
  }
  return (file) => {
    const pixels = decodeImage(readFile(file))
    const out: Compared = { int8: say(int8, pixels), signal: 0, noise: 0 }
    if (!reference) return out
    out.float = say(reference, pixels)
    const [want, got] = [reference.outputs(), int8.outputs()]
    for (let i = 0; i < want.length; i++) {
      out.signal += want[i]! ** 2
      out.noise += (want[i]! - got[i]!) ** 2
    }
    return out
  }
}
