/** Calls of the public functions with whatever somebody may pass: options misspelt, of the wrong type, not numbers. */
import { writeTflite } from '../../../src/formats/tflite-write.ts'
import { createClassifier, decodeImage, loadModel } from '../../../src/node.ts'
import type { Model } from '../../../src/graph/types.ts'
import {
  createDetector,
  createFaceFinder,
  createLearner,
  createSegmenter,
  createTracker,
  pipeline,
  skeletonOf,
} from '../../../src/vision.ts'
import { makePng } from '../../../test/image-files.ts'
import { dice } from '../../../test/mutate.ts'
import { GraphBuilder, smallModels } from '../../../test/small-models.ts'
import { changeJsonText } from '../mutators.ts'
import type { FuzzTarget } from '../target.ts'
import { strToU8 } from 'fflate'

/** A network of one convolution from a picture to an output of this shape, 8 cells a side. */
function network(channels: number, shape: readonly number[]): Uint8Array {
  const b = new GraphBuilder(1)
  const x = b.input([1, 16, 16, 3], 'uint8', 1 / 255, 0)
  const attrs = { padding: 'SAME', strideH: 2, strideW: 2, activation: 'NONE', dilationH: 1, dilationW: 1 } as const
  const filter = b.weights([channels, 3, 3, 3], undefined, 'uint8')
  const y = b.op(
    'CONV_2D',
    [x, filter, b.bias(channels, 1)],
    [b.tensor([1, 8, 8, channels], 'uint8', 1 / 256, 0)],
    attrs,
  )
  return writeTflite(b.done(b.op('RESHAPE', [y, b.ints(shape)], [b.tensor(shape, 'uint8', 1 / 256, 0)], {})))
}

const png = makePng(9, 7, (x, y, c) => (x * 20 + y * 30 + c * 60) & 255, { type: 2, depth: 8 })
const { graph } = smallModels()[0]!
const files = {
  classifier: writeTflite(graph),
  fomo: network(3, [1, 8, 8, 3]),
}
const loaded: Partial<Record<keyof typeof files, Model>> = {}
const model = async (name: keyof typeof files): Promise<Model> =>
  (loaded[name] ??= await loadModel(files[name], { variant: 'scalar', kernels: 'generic' }))

/** What JSON has no word for. */
const WORDS: Record<string, () => unknown> = {
  $nan: () => NaN,
  $infinity: () => Infinity,
  $undefined: () => undefined,
  $big: () => 2n ** 64n,
  $symbol: () => Symbol('x'),
  $function: () => () => 1,
  $date: () => new Date(0),
  $map: () => new Map([['a', 1]]),
  $png: () => png.slice(),
  $pixels: () => ({ data: new Uint8Array(9 * 7 * 3).fill(9), width: 9, height: 7, channels: 3 }),
  $input: () => new Int8Array(9 * 9 * 3),
  $floats: () => new Float32Array(5),
  $file: () => files.classifier.slice(),
  $null: () => Object.create(null) as unknown,
}
const revived = (value: unknown): unknown => {
  if (typeof value === 'string' && Object.hasOwn(WORDS, value)) return WORDS[value]!()
  if (Array.isArray(value)) return value.map(revived)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, revived(v)]))
}

type Any = any
const CALLS: Record<string, { args: unknown[]; call: (...args: Any[]) => unknown }> = {
  decodeImage: {
    args: ['$png', { maxPixels: 1000, maxBytes: 1_000_000, atLeast: { width: 3, height: 3 } }],
    call: decodeImage,
  },
  loadModel: {
    args: ['$file', { variant: 'scalar', kernels: 'generic', plan: 'size', fast: false, threads: 1, labels: ['a'] }],
    call: async (source, options) => (await loadModel(source, options)).dispose(),
  },
  run: { args: [['$input'], {}], call: async (input, options) => (await model('classifier')).run(input, options) },
  classifier: {
    args: [{ topK: 2, scoreThreshold: 0.1, scores: 'auto', labels: ['a'] }, '$png'],
    call: async (options, image) => (await createClassifier(await model('classifier'), options)).classify(image),
  },
  detector: {
    args: [{ head: 'fomo', scoreThreshold: 0.5, iouThreshold: 0.5, labels: ['a', 'b'] }, '$pixels'],
    call: async (options, image) => (await createDetector(await model('fomo'), options)).detect(image),
  },
  faces: {
    args: [{ head: 'fomo' }, '$pixels'],
    call: async (options, image) => (await createFaceFinder({ detector: await model('fomo') }, options)).find(image),
  },
  segmenter: {
    args: [{ labels: ['a', 'b', 'c'] }, '$pixels'],
    call: async (options, image) => (await createSegmenter(await model('fomo'), options)).segment(image),
  },
  pipeline: {
    args: [[], '$pixels'],
    call: async (stages, image) =>
      pipeline(stages?.length ? stages : [await createDetector(await model('fomo'), { head: 'fomo' })]).run(image),
  },
  tracker: {
    args: [{}, [{ box: { x: 0, y: 0, width: 3, height: 3 }, score: 1, label: 'a', index: 0 }]],
    call: (options, found) => createTracker(options).update(found),
  },
  learner: { args: [{}], call: async (options) => createLearner(files.fomo, options) },
  skeleton: { args: [17], call: skeletonOf },
}

const options: FuzzTarget = {
  name: 'options',
  about: 'calls of the public functions with options and arguments of every kind: a result or one ThimbleError',
  seeds: () => Object.entries(CALLS).map(([call, { args }]) => strToU8(JSON.stringify({ call, args }))),
  async run(bytes) {
    let asked: { call?: unknown; args?: unknown } | null
    try {
      asked = JSON.parse(new TextDecoder().decode(bytes)) as typeof asked
    } catch {
      return
    }
    const name = asked?.call
    if (typeof name !== 'string' || !Object.hasOwn(CALLS, name) || !Array.isArray(asked?.args)) return
    await CALLS[name]!.call(...(revived(asked.args) as unknown[]))
  },
  blind: false,
  change({ bytes, dice: d }) {
    if (d.int(3)) return changeJsonText(bytes, d)
    // One value made something that JSON has no word for.
    const text = new TextDecoder().decode(bytes)
    const values = [...text.matchAll(/(?<=[:[,])(?:"[^"]*"|-?[\d.]+|true|false|null)(?=[,\]}])/g)]
    if (values.length === 0) return undefined
    const at = d.pick(values)
    const word = d.pick(Object.keys(WORDS))
    return strToU8(`${text.slice(0, at.index)}"${word}"${text.slice(at.index + at[0].length)}`)
  },
}

/** Some calls of each function, the same every time. */
export const hostileCalls = (count: number): Uint8Array[] => {
  const d = dice(4)
  const seeds = options.seeds() as Uint8Array[]
  return Array.from({ length: count }, () => {
    let bytes = d.pick(seeds)
    for (let n = 1 + d.int(4); n > 0; n--) {
      bytes = options.change!({ bytes, dice: d, other: bytes, words: [] }) ?? bytes
    }
    return bytes
  })
}

export default [options]
