/**
 * Options of everything that finds, follows, cuts out, decodes or quantizes: one ThimbleError that names the option.
 */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { ThimbleError } from '../src/base/errors.ts'
import type { Graph } from '../src/graph/graph.ts'
import { decodeImage, imageDecoder } from '../src/image/decode.ts'
import { loadGraph } from '../src/engine/load-graph.ts'
import { quantize } from '../src/quantize/quantize.ts'
import type { Model } from '../src/graph/types.ts'
import {
  classifyStage,
  createDetector,
  createFaceFinder,
  createPoseEstimator,
  createSegmenter,
  createTracker,
  crop,
  pipeline,
} from '../src/vision.ts'
import { createClassifier as workerClassifier } from '../src/workerd.ts'
import { GraphBuilder } from './small-models.ts'

/** A network of 64 cells with `channels` numbers each. */
function cells(channels: number, shape: readonly number[], head: object): Graph {
  const b = new GraphBuilder(1)
  const x = b.input([1, 32, 32, 3], 'int8', 1 / 127, 0)
  const y = b.op(
    'CONV_2D',
    [x, b.weights([channels, 4, 4, 3], 0), b.bias(channels, channels)],
    [b.tensor([1, 8, 8, channels], 'int8', 1 / 256, -128)],
    { padding: 'VALID', strideH: 4, strideW: 4, activation: 'NONE', dilationH: 1, dilationW: 1 },
  )
  const graph = b.done(b.op('RESHAPE', [y, b.ints(shape)], [b.tensor(shape, 'int8', 1 / 256, -128)], {}))
  graph.metadata.extra = { head: { scoreThreshold: 0.5, iouThreshold: 0.5, ...head } }
  return graph
}
const yolo = { kind: 'yolo8', output: 0, layout: 'rows', coordinates: 'shares', classes: 3 }
const boxes = await loadGraph(cells(7, [1, 64, 7], yolo))
const grid = await loadGraph(cells(4, [1, 8, 8, 4], { kind: 'fomo', output: 0 }))
const planes = await loadGraph(cells(4, [1, 8, 8, 4], { kind: 'segmentation', outputs: [0], form: 'last' }))
const people = await loadGraph(cells(56, [1, 64, 56], { ...yolo, kind: 'yolo8-pose', classes: 1, points: 17 }))

async function failure(body: () => unknown): Promise<ThimbleError> {
  try {
    await body()
  } catch (error) {
    assert.instance(error, ThimbleError, String(error))
    return error as ThimbleError
  }
  throw new Error('was not refused')
}

const VISION: [object | null, RegExp][] = [
  [{ scoreTreshold: 0.3 }, /no option scoreTreshold.*did you mean scoreThreshold\?/],
  [{ scoreThreshold: NaN }, /scoreThreshold is not usable; expected a number from 0 to 1, got NaN/],
  [{ scoreThreshold: 1.5 }, /got 1\.5/],
  [{ scoreThreshold: '0.5' }, /got "0\.5"/],
  [{ iouThreshold: -0.1 }, /iouThreshold is not usable/],
  [{ maxDetections: 0 }, /maxDetections is not usable; expected a whole number from 1 on, got 0/],
  [{ maxDetections: 2.5 }, /got 2\.5/],
  [{ labels: [1, 2, 3] }, /labels is not usable/],
  [{ head: 3 }, /head is not usable/],
  [{ decode: 'fast' }, /decode is not usable; expected a function/],
  [
    { preprocess: { fit: 'strech', method: 'bilinear', channels: 'rgb', mean: [0], std: [1] } },
    /did you mean "stretch"\?/,
  ],
  [null, /are not an object/],
]

for (const [name, make] of [
  ['createDetector', (o: unknown) => createDetector(boxes, o as object)],
  ['createSegmenter', (o: unknown) => createSegmenter(planes, o as object)],
  ['createPoseEstimator', (o: unknown) => createPoseEstimator(people, o as object)],
  ['createFaceFinder', (o: unknown) => createFaceFinder({ detector: boxes }, o as object)],
] as const) {
  test(name, async () => {
    for (const [options, message] of VISION) {
      const error = await failure(() => make(options))
      assert.ok(error.code === 'usage/option' || error.code === 'usage/preprocess', error.code)
      assert.match(error.message, message)
    }
    await make({ scoreThreshold: 0, iouThreshold: 1, maxDetections: 3, labels: undefined })
  })
}

test('labels of detectors and segmenters fit as those of classifiers do', async () => {
  const three = 'cup\ndog\ncat\n'
  for (const labels of [
    three,
    new TextEncoder().encode(`\ufeff${three}`),
    three.trim().split('\n'),
    '1 cup\n2 dog\n3 cat\n',
  ]) {
    assert.equal([...(await createDetector(boxes, { labels })).labels], ['cup', 'dog', 'cat'])
    assert.equal([...(await createDetector(grid, { labels })).labels], ['cup', 'dog', 'cat'])
  }
  // A table with a title line; classes that count from 1 where the network has a background.
  assert.equal([...(await createDetector(boxes, { labels: 'name\ncup\ndog\ncat\n' })).labels], ['cup', 'dog', 'cat'])
  assert.equal(
    [...(await createSegmenter(planes, { labels: '1 cup\n2 dog\n3 cat\n' })).labels],
    ['', 'cup', 'dog', 'cat'],
  )
  for (const make of [
    () => createDetector(boxes, { labels: ['cup', 'dog'] }),
    () => createDetector(grid, { labels: 'a\nb\nc\nd\ne\n' }),
    () => createSegmenter(planes, { labels: ['cup'] }),
    () => createPoseEstimator(people, { labels: ['a', 'b'] }),
  ]) {
    assert.is((await failure(make)).code, 'usage/labels')
  }
})

test('tracker, crops, stages and pipelines', async () => {
  const rows: [() => unknown, RegExp][] = [
    [() => createTracker({ patients: 3 } as object), /did you mean patience\?/],
    [() => createTracker({ sure: NaN }), /sure is not usable/],
    [() => createTracker({ patience: 1.5 }), /patience is not usable/],
    [() => createTracker(null as never), /are not an object/],
    [() => crop({ square: 'longest' as never }), /square is not usable; expected long, short/],
    [() => crop({ square: 'lnog' as never }), /did you mean "long"\?/],
    [() => crop({ margin: Infinity }), /margin is not usable/],
    [() => crop({ from: -1 }), /from is not usable/],
    [() => classifyStage(boxes, { top: 0 }), /top is not usable/],
    [() => classifyStage({} as Model), /usage\/model/],
    [() => pipeline([] as never), /usage\/pipeline/],
    [() => pipeline(undefined as never), /usage\/pipeline.*got nothing/],
    [() => pipeline([undefined] as never), /usage\/pipeline/],
    [() => pipeline([crop()] as never), /usage\/pipeline/],
  ]
  for (const [body, message] of rows) assert.match((await failure(body)).message, message)
  createTracker({ sure: 0.4, patience: 0 })
})

test('limits of pictures', async () => {
  const file = new TextEncoder().encode('P5 1 1 255\n0')
  const rows: [() => unknown, RegExp][] = [
    [() => decodeImage(file, { maxPixel: 3 } as object), /did you mean maxPixels\?/],
    [() => decodeImage(file, { maxPixels: NaN }), /maxPixels is not usable; expected a number from 1 on, got NaN/],
    [() => decodeImage(file, { maxBytes: '1MB' as never }), /got "1MB"/],
    [() => decodeImage(file, { atLeast: { width: 3 } as never }), /atLeast is not usable/],
    [() => decodeImage(file, null as never), /are not an object/],
    [() => imageDecoder({ decode: 'quick' as never }), /decode is not usable; expected exact, fast/],
    [() => workerClassifier(boxes, { imageLimits: { maxPixels: 0 } }), /maxPixels is not usable/],
    [() => workerClassifier(boxes, { imageLimits: 5 as never }), /imageLimits is not usable/],
    [() => workerClassifier(boxes, null as never), /are not an object/],
  ]
  for (const [body, message] of rows) assert.match((await failure(body)).message, message)
  assert.is(decodeImage(file, { maxPixels: Infinity, atLeast: { width: 1, height: 1 } }).width, 1)
})

test('quantize', async () => {
  const b = new GraphBuilder(2)
  const x = b.tensor([1, 4], 'float32')
  b.graph.inputs.push(x)
  const graph = b.done(b.op('RELU', [x], [b.tensor([1, 4], 'float32')], {}))
  const samples = [new Float32Array(4)]
  const rows: [() => unknown, RegExp][] = [
    [() => quantize(graph, samples, { rounding: 'adaptiv' as never }), /did you mean "adaptive"\?/],
    [() => quantize(graph, samples, { range: 'mse' } as object), /did you mean ranges\?/],
    [() => quantize(graph, samples, { inputRange: [0, NaN] }), /inputRange is not usable/],
    [() => quantize(graph, samples, { seed: -1 }), /seed is not usable/],
    [() => quantize(graph, undefined as never), /usage\/calibration.*got nothing/],
    [() => quantize(graph, [[1, 2] as never]), /usage\/calibration/],
    [() => quantize(graph, [[samples[0]!, samples[0]!]]), /usage\/calibration/],
  ]
  for (const [body, message] of rows) assert.match((await failure(body)).message, message)
})

test.run()
