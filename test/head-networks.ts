/**
 * Networks with every kind of head that packed modules for pictures read, photos for them, and what Node finds there.
 */
import { Buffer } from 'node:buffer'
import type { Graph, Metadata } from '../src/graph/graph.ts'
import { loadGraph } from '../src/engine/load-graph.ts'
import type { PixelImage } from '../src/graph/types.ts'
import { createDetector, createPoseEstimator, createSegmenter } from '../src/vision.ts'
import type { Detection } from '../src/vision/detector.ts'
import type { Head } from '../src/vision/head.ts'
import type { Pose } from '../src/vision/pose.ts'
import type { Segmentation } from '../src/vision/segmenter.ts'
import { DETECTION_ATTRS, GraphBuilder } from './small-models.ts'
import { rng } from './util.ts'

/** Photos with large and small things in them: binary PNM of odd sizes. */
const photos = [
  [64, 64, 3],
  [37, 61, 3],
  [211, 90, 3],
  [150, 149, 1],
] as const
export const PHOTOS: readonly Buffer[] = photos.map(([width, height, channels], i) => {
  const r = rng(i + 1)
  const blobs = Array.from({ length: 6 }, () => [r.int(width), r.int(height), 4 + r.int(20), r.int(256)] as const)
  const data = Buffer.alloc(width * height * channels, 90)
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      for (const [bx, by, size, value] of blobs) {
        if (Math.abs(x - bx) + Math.abs(y - by) > size) continue
        for (let c = 0; c < channels; c++) data[(y * width + x) * channels + c] = (value * (c + 2) + x) & 255
      }
    }
  }
  return Buffer.concat([Buffer.from(`P${channels === 3 ? 6 : 5} ${width} ${height} 255\n`), data])
})

/** A network from a picture of `side` to [1, cells, cells, channels], as values of -1 to 1. */
export function grid(
  seed: number,
  side: number,
  channels: number,
): { b: GraphBuilder; y: number; cells: number; channels: number } {
  const b = new GraphBuilder(seed)
  const x = b.input([1, side, side, 3], 'int8', 1 / 127, 0)
  const cells = side / 4
  const y = b.op(
    'CONV_2D',
    [x, b.weights([channels, 5, 5, 3], 0), b.bias(channels, channels)],
    [b.tensor([1, cells, cells, channels], 'int8', 1 / 100, 0)],
    { padding: 'SAME', strideH: 4, strideW: 4, activation: 'NONE', dilationH: 1, dilationW: 1 },
  )
  return { b, y, cells, channels }
}

/** The same as probabilities, in another shape, perhaps as floats. */
export function shaped(
  { b, y, cells, channels }: ReturnType<typeof grid>,
  shape: readonly number[],
  floats = false,
): Graph {
  const p = b.op('LOGISTIC', [y], [b.tensor([1, cells, cells, channels], 'int8', 1 / 256, -128)], {})
  const out = b.op('RESHAPE', [p, b.ints(shape)], [b.tensor(shape, 'int8', 1 / 256, -128)], {})
  return b.done(floats ? b.op('DEQUANTIZE', [out], [b.tensor(shape, 'float32')], {}) : out)
}

export const described = (graph: Graph, head: object, more: Metadata = {}): Graph => {
  graph.metadata = { name: 'net', ...more, extra: { head } }
  return graph
}

export const common = { scoreThreshold: 0.5, iouThreshold: 0.4 }
const yolo = { ...common, output: 0, layout: 'rows', coordinates: 'shares', classes: 3 }

/** Classes of every cell as int64, by an arg-max in the network. */
function indices(): Graph {
  const { b, y, cells } = grid(5, 32, 6)
  return b.done(b.op('ARG_MAX', [y, b.ints([3], [])], [b.tensor([1, cells, cells], 'int64')], { outputType: 'int64' }))
}

/** Boxes and scores of a grid through TFLite_Detection_PostProcess. */
function postprocess(): Graph {
  const { b, y } = grid(6, 32, 6)
  const codes = b.op('RESHAPE', [y, b.ints([1, 64, 6])], [b.tensor([1, 64, 6], 'int8', 1 / 100, 0)], {})
  const part = (from: number, count: number): number => {
    const shape = [1, 64, count]
    const slice = b.op('SLICE', [codes, b.ints([0, 0, from]), b.ints(shape)], [b.tensor(shape, 'int8', 1 / 100, 0)], {})
    return b.op('DEQUANTIZE', [slice], [b.tensor(shape, 'float32')], {})
  }
  const anchors = b.tensor([64, 4], 'float32')
  const centre = (i: number): number[] => [((i >> 3) + 0.5) / 8, ((i & 7) + 0.5) / 8, 0.3, 0.25]
  b.graph.tensors[anchors]!.data = new Uint8Array(
    Float32Array.from(Array.from({ length: 64 }, (_, i) => centre(i)).flat()).buffer,
  )
  const outputs = [[1, 9, 4], [1, 9], [1, 9], [1]].map((shape) => b.tensor(shape, 'float32'))
  b.op('DETECTION_POSTPROCESS', [part(0, 4), part(4, 2), anchors], outputs, {
    ...DETECTION_ATTRS,
    maxDetections: 9,
  })
  return b.done(...outputs)
}

export const HEADS: Record<string, Graph> = {
  'yolo8 rows, letterbox': described(shaped(grid(1, 32, 7), [1, 64, 7]), {
    kind: 'yolo8',
    ...yolo,
    framing: 'letterbox',
  }),
  'yolo8 columns of floats, corner': described(
    shaped(grid(2, 32, 7), [1, 7, 64], true),
    { kind: 'yolo8', ...yolo, layout: 'columns', coordinates: 'auto', framing: 'corner' },
    { labels: ['a "cup"', 'ein Bär', ''] },
  ),
  'yolo5, percent apart': described(shaped(grid(3, 32, 8), [1, 64, 8]), {
    kind: 'yolo5',
    ...yolo,
    scoreThreshold: 0.3,
  }),
  'yolo8-pose': described(shaped(grid(4, 32, 56), [1, 64, 56]), {
    kind: 'yolo8-pose',
    ...yolo,
    classes: 1,
    points: 17,
    pointValues: 3,
  }),
  'fomo, square': described(shaped(grid(7, 48, 3), [1, 12, 12, 3]), {
    kind: 'fomo',
    ...common,
    output: 0,
    framing: 'square',
  }),
  'fomo, logits': described(shaped(grid(8, 32, 3), [1, 8, 8, 3], true), {
    kind: 'fomo',
    ...common,
    scoreThreshold: 0.35,
    output: 0,
    scores: 'softmax',
  }),
  movenet: described(shaped(grid(9, 4, 51), [1, 1, 17, 3], true), {
    kind: 'movenet',
    ...common,
    scoreThreshold: 0.2,
    output: 0,
    framing: 'square',
  }),
  postprocess: described(postprocess(), { kind: 'postprocess', ...common, boxes: 0, classes: 1, scores: 2, count: 3 }),
  'classes along the last axis': described(
    shaped(grid(10, 32, 5), [1, 8, 8, 5]),
    { kind: 'segmentation', ...common, outputs: [0], form: 'last' },
    { labels: ['sky', 'road'] },
  ),
  'classes along the first axis': described(shaped(grid(11, 32, 4), [1, 4, 8, 8]), {
    kind: 'segmentation',
    ...common,
    outputs: [0],
    form: 'first',
  }),
  'class numbers': described(indices(), {
    kind: 'segmentation',
    ...common,
    outputs: [0],
    form: 'indices',
    framing: 'letterbox',
  }),
  'one mask': described(shaped(grid(12, 32, 1), [1, 8, 8, 1]), {
    kind: 'segmentation',
    ...common,
    outputs: [0],
    form: 'mask',
    crop: true,
  }),
}

/** What Node finds in a photo, as the library gives it. */
export type Finder =
  | { task: 'segment'; find: (image: PixelImage) => Segmentation }
  | { task: 'pose'; find: (image: PixelImage) => Pose[] }
  | { task: 'detect'; find: (image: PixelImage) => Detection[] }

export async function finderOf(graph: Graph): Promise<Finder> {
  const model = await loadGraph(graph)
  const { kind } = graph.metadata.extra!.head as Head
  if (kind === 'segmentation') {
    const segmenter = await createSegmenter(model)
    return { task: 'segment', find: (image) => segmenter.segment(image) }
  }
  if (kind === 'movenet' || kind === 'yolo8-pose') {
    const estimator = await createPoseEstimator(model)
    return { task: 'pose', find: (image) => estimator.estimate(image) }
  }
  const detector = await createDetector(model)
  return { task: 'detect', find: (image) => detector.detect(image) }
}
