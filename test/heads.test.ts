/**
 * Every head against its authors' decoder: on the same output tensors the same set, boxes and points within 1e-3 pixels
 * (test/fixtures/heads, made by tools/heads); and heads that are recognised, or not, from shapes.
 */
import { disposable } from '../src/base/dispose.ts'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Metadata } from '../src/graph/graph.ts'
import type { Model, TensorInfo, TypedArray } from '../src/graph/types.ts'
import { createDetector, givesBoxes } from '../src/vision/detector.ts'
import { type Head, type HeadKind, taskOfHead } from '../src/vision/head.ts'
import { pyramidAnchors } from '../src/vision/heads/ssd.ts'
import { createPoseEstimator } from '../src/vision/pose.ts'
import { headOf } from '../src/vision/recognise.ts'
import { createSegmenter } from '../src/vision/segmenter.ts'
import { blank } from './image-files.ts'
import { root } from './util.ts'

interface Case {
  kind: HeadKind
  input: [number, number]
  photo: [number, number]
  outputs: { name: string; shape: number[]; scale: number; zeroPoint: number; data: string }[]
  /** What the model file has, where recognition goes by their number. */
  labels?: string[]
  /** The model file's own word. */
  description?: string
  options: Record<string, unknown>
  expected: {
    /** left, top, right, bottom, score, class */
    boxes?: number[][]
    points?: number[][][]
    scores?: number[]
    masks?: string[]
    /** Corners of turned boxes in any order, score, class. */
    quads?: number[][]
    /** Points are moved into the photo. */
    clipped?: boolean
  }
}

const TOLERANCE = 1e-3
const folder = join(root, 'test/fixtures/heads')

/** A network that answers recorded outputs whatever it sees. */
function recorded({ input: [width, height], outputs, labels, description }: Case): Model {
  const values = outputs.map(({ data }) => new Int8Array(Buffer.from(data, 'base64')))
  return {
    inputs: [{ name: 'image', shape: [1, height, width, 3], dtype: 'uint8', scale: 1 / 255, zeroPoint: 0 }],
    outputs: outputs.map(({ name, shape, scale, zeroPoint }) => ({ name, shape, scale, zeroPoint, dtype: 'int8' })),
    metadata: { ...(labels && { labels }), ...(description && { description }) },
    variant: 'simd',
    kernels: 'generic',
    why: '',
    memoryBytes: 0,
    arenaBytes: 0,
    run: () => values.map((v) => v.slice() as TypedArray),
    reset: () => undefined,
    ...disposable(() => undefined),
  }
}

const near = (got: number, want: number, what: string): void =>
  assert.ok(Math.abs(got - want) <= TOLERANCE, `${what}: ${got}, expected ${want}`)

/** The expected boxes cut at the photo's borders, what is left of them. */
const cut = (rows: readonly number[][], [width, height]: [number, number]): { row: number[]; at: number }[] =>
  rows.flatMap((row, at) => {
    const [l, t, r, b, score, index] = row as [number, number, number, number, number, number]
    const [x0, y0, x1, y1] = [Math.max(0, l), Math.max(0, t), Math.min(width, r), Math.min(height, b)]
    return x1 > x0 && y1 > y0 ? [{ row: [x0, y0, x1, y1, score, index], at }] : []
  })

async function checkBoxes(c: Case): Promise<void> {
  const detector = await createDetector(recorded(c), c.options)
  assert.is(detector.head.kind, c.kind)
  const got = detector
    .detect(blank(...c.photo))
    .map(({ box, score, index }) => [box.x, box.y, box.x + box.width, box.y + box.height, score, index])
  const want = cut(c.expected.boxes!, c.photo)
  assert.is(got.length, want.length, 'as many boxes')
  // Equal scores may come in any order.
  for (const { row } of want) {
    const match = got.findIndex((g) => g.every((v, k) => Math.abs(v - row[k]!) <= TOLERANCE))
    assert.ok(match >= 0, `no box like ${row.join(', ')}`)
    got.splice(match, 1)
  }
}

/** Turned boxes: their corners as a set, and the upright box around them, cut at the photo's borders. */
async function checkQuads(c: Case): Promise<void> {
  const [width, height] = c.photo
  const found = (await createDetector(recorded(c), c.options)).detect(blank(width, height))
  const inside = (corners: readonly (readonly number[])[]): boolean =>
    [width, height].every((most, k) => corners.some((q) => q[k]! > 0) && corners.some((q) => q[k]! < most))
  const want = c.expected
    .quads!.map((row) => ({ corners: [0, 2, 4, 6].map((i) => row.slice(i, i + 2)), rest: row.slice(8) }))
    .filter(({ corners }) => inside(corners))
  assert.is(found.length, want.length, 'as many boxes')
  const close = (a: number, b: number): boolean => Math.abs(a - b) <= TOLERANCE
  for (const { corners, rest } of want) {
    const match = found.findIndex(
      ({ turned, score, index }) =>
        close(score, rest[0]!) &&
        index === rest[1] &&
        corners.every(([x, y]) => turned!.corners.some((own) => close(own[0], x!) && close(own[1], y!))),
    )
    assert.ok(match >= 0, `no box like ${JSON.stringify(corners)}, ${rest.join()}`)
    const [{ box, turned }] = found.splice(match, 1) as [(typeof found)[0]]
    near(box.x, Math.max(0, Math.min(...corners.map(([x]) => x!))), 'left')
    near(box.y + box.height, Math.min(height, Math.max(...corners.map(([, y]) => y!))), 'bottom')
    const { x, y, angle, width: w } = turned!
    near(turned!.corners.reduce((sum, q) => sum + q[0], 0) / 4, x, 'centre')
    const [upperLeft, upperRight] = turned!.corners as [[number, number], [number, number]]
    near(upperLeft[0] + w * Math.cos(angle), upperRight[0], 'width along the angle')
    near(upperLeft[1] + w * Math.sin(angle), upperRight[1], 'width along the angle')
    assert.ok(Number.isFinite(y))
  }
}

async function checkPoints(c: Case): Promise<void> {
  const estimator = await createPoseEstimator(recorded(c), c.options)
  const poses = estimator.estimate(blank(...c.photo))
  const want = c.expected.points!
  assert.is(poses.length, want.length, 'as many poses')
  const into = (v: number, most: number): number => (c.expected.clipped ? Math.max(0, Math.min(most, v)) : v)
  const left = poses.map((p) =>
    p.points.map(({ x, y, score }) => [
      into(x, c.photo[0]),
      into(y, c.photo[1]),
      ...(score === undefined ? [] : [score]),
    ]),
  )
  want.forEach((points, i) => {
    const match = left.findIndex((p) => p.every((v, k) => v.every((n, d) => Math.abs(n - points[k]![d]!) <= TOLERANCE)))
    assert.ok(
      match >= 0,
      `no pose like the ${i}th: ${JSON.stringify(points[0])}, nearest ${JSON.stringify(left[0]?.[0])}`,
    )
    left.splice(match, 1)
    if (c.expected.scores) {
      assert.ok(
        poses.some((p) => Math.abs(p.score - c.expected.scores![i]!) <= TOLERANCE),
        'score',
      )
    }
  })
}

/** The union of the masks by class, painted worst first; on a photo of the input's size. */
async function checkMasks(c: Case): Promise<void> {
  const segmenter = await createSegmenter(recorded(c), c.options)
  const { mask } = segmenter.segment(blank(...c.photo))
  const want = new Uint16Array(mask.length)
  c.expected
    .masks!.map((m, i) => [m, c.expected.boxes![i]!] as const)
    .sort((a, b) => a[1][4]! - b[1][4]!)
    .forEach(([m, box]) => {
      for (let i = 0; i < m.length; i++) if (m[i] === '1') want[i] = box[5]! + 1
    })
  let differ = 0
  for (let i = 0; i < mask.length; i++) if (mask[i] !== want[i]) differ++
  assert.is(differ, 0, 'pixels of the masks')
}

for (const file of readdirSync(folder).filter((f) => f.endsWith('.json'))) {
  const { madeWith, cases } = JSON.parse(readFileSync(join(folder, file), 'utf8')) as {
    madeWith: string
    cases: Case[]
  }
  cases.forEach((c, i) => {
    test(`${file} ${i}: ${c.kind}, ${c.input.join('x')} on ${c.photo.join('x')}, as ${madeWith.split(',')[0]} has it`, async () => {
      if (c.expected.boxes) await checkBoxes(c)
      if (c.expected.quads) await checkQuads(c)
      if (c.expected.points) await checkPoints(c)
      if (c.expected.masks) await checkMasks(c)
    })
  })
}

// Recognition ------------------------------------------------------------------

const info = (shape: number[], more: Partial<TensorInfo> = {}): TensorInfo => ({
  name: 'out',
  shape,
  dtype: 'float32',
  scale: 0,
  zeroPoint: 0,
  ...more,
})
const PROBABILITIES: Partial<TensorInfo> = { dtype: 'int8', scale: 1 / 256, zeroPoint: -128 }
const LOGITS: Partial<TensorInfo> = { dtype: 'int8', scale: 0.1, zeroPoint: 3 }

const rows: readonly [side: number, outputs: TensorInfo[], kind: HeadKind | undefined, metadata?: Metadata][] = [
  [640, [info([1, 84, 8400])], 'yolo8'],
  [640, [info([1, 8400, 84])], 'yolo8'],
  [640, [info([1, 8400, 85])], 'yolox'],
  [640, [info([1, 8400, 7])], 'yolo8', { labels: ['a', 'b', 'c'] }],
  [640, [info([1, 25200, 85])], 'yolo5'],
  [320, [info([1, 6300, 6])], 'yolo5'],
  [640, [info([1, 56, 8400])], 'yolo8-pose'],
  [640, [info([1, 116, 8400]), info([1, 160, 160, 32])], 'yolo8-seg'],
  [640, [info([1, 32, 160, 160]), info([1, 116, 8400])], 'yolo8-seg'],
  [640, [info([1, 300, 6])], 'yolo-nms'],
  [640, [info([1, 300, 57])], 'yolo-nms'],
  [1024, [info([1, 20, 21504])], 'yolo8'],
  [1024, [info([1, 20, 21504])], 'yolo8-obb', { extra: { ultralytics: { task: 'obb' } } }],
  [1024, [info([1, 21504, 20])], 'yolo8-obb', { extra: { ultralytics: { task: 'obb' } } }],
  [640, [info([1, 8, 8400])], 'yolo8-obb', { labels: ['a', 'b', 'c'] }],
  [640, [info([1, 8, 8400], { dtype: 'int8', scale: 0.0125, zeroPoint: -65 })], 'yolo8-obb'],
  [640, [info([1, 300, 7])], 'yolo-nms'],
  [640, [info([1, 300, 7])], 'detr', { labels: ['a', 'b', 'c'] }],
  [416, [info([1, 13, 13, 255]), info([1, 26, 26, 255])], 'yolo-grid'],
  [416, [info([1, 52, 52, 24]), info([1, 26, 26, 24]), info([1, 13, 13, 24])], 'yolo-grid'],
  [192, [info([1, 12, 12, 30])], 'yolo-grid'],
  [96, [info([1, 12, 12, 3], PROBABILITIES)], 'fomo'],
  [352, [info([1, 22, 22, 85], LOGITS)], 'fastestdet'],
  [300, [info([1, 1917, 4]), info([1, 1917, 91])], 'ssd'],
  [320, [info([1, 12804, 4]), info([1, 12804, 91])], 'ssd-fpn'],
  [320, [info([1, 19206, 90]), info([1, 19206, 4])], 'efficientdet'],
  [192, [info([1, 3830, 2]), info([1, 3830, 4]), info([1, 3830, 4])], 'ssd-anchors'],
  [300, [info([1, 10, 4]), info([1, 10]), info([1, 10]), info([1])], 'postprocess'],
  [128, [info([1, 896, 16]), info([1, 896, 1])], 'blazeface'],
  [128, [info([1, 512, 16]), info([1, 512, 1]), info([1, 384, 1]), info([1, 384, 16])], 'blazeface'],
  [192, [info([1, 2016, 18]), info([1, 2016, 1])], 'palm'],
  [224, [info([1, 2254, 12]), info([1, 2254, 1])], 'blazepose'],
  [512, [info([1, 128, 128, 80]), info([1, 128, 128, 2]), info([1, 128, 128, 2])], 'centernet'],
  [192, [info([1, 1, 17, 3])], 'movenet'],
  [256, [info([1, 6, 56])], 'movenet-multi'],
  [257, [info([1, 9, 9, 17]), info([1, 9, 9, 34]), info([1, 9, 9, 32]), info([1, 9, 9, 32])], 'posenet'],
  [224, [info([1, 63]), info([1, 1])], 'landmarks'],
  [192, [info([1, 1, 1, 1404]), info([1, 1, 1, 1])], 'landmarks'],
  [513, [info([1, 513, 513], { dtype: 'int64' })], 'segmentation'],
  [513, [info([1, 65, 65, 21])], 'segmentation'],
  [256, [info([1, 256, 256, 1], PROBABILITIES)], 'segmentation'],
  [256, [info([1, 256, 256, 1])], 'map'],
  // Three classes, unless the name or the range says that it is a picture.
  [256, [info([1, 256, 256, 3])], 'segmentation'],
  [256, [{ ...info([1, 256, 256, 3]), name: 'generator/out_layer/Tanh' }], 'picture'],
  [256, [info([1, 256, 256, 3], { dtype: 'int8', scale: 1 / 128, zeroPoint: 0 })], 'picture'],
  [128, [info([1, 512, 512, 3])], 'picture'],
  [128, [info([1, 384, 384, 1])], 'picture'],
  [448, [info([448, 448], { dtype: 'int64' })], 'segmentation'],
  [192, [info([1, 48, 48, 17])], 'heatmaps'],
  [256, [info([1, 13, 64, 64])], 'heatmaps'],
  [192, [info([1, 48, 48, 17])], 'segmentation', { labels: Array.from({ length: 17 }, (_, i) => `surface ${i}`) }],
  [256, [info([1, 64, 64, 10]), info([1, 64, 64, 4]), info([1, 64, 64, 1])], 'dbface'],
  [128, [info([1, 32, 32, 2]), info([1, 32, 32, 10]), info([1, 32, 32, 1]), info([1, 32, 32, 2])], 'centerface'],
  [640, [info([1, 300, 84])], 'detr'],
  [640, [info([1, 300, 6])], 'yolo-nms'],
  [800, [info([1, 100, 92]), info([1, 100, 4])], 'detr'],
  [640, [info([1, 300, 80]), info([1, 300, 4])], 'detr'],
  [640, [info([1, 40, 40, 1]), info([1, 40, 40, 16]), info([1, 160, 160, 4])], 'objectron'],
  [640, [info([1, 4, 8400]), info([1, 80, 8400])], 'yolo-parts'],
  [640, [info([1, 8400, 4]), info([1, 8400, 80])], 'yolo-parts'],
  [640, [info([1, 8400, 4]), info([1, 8400]), info([1, 8400], { dtype: 'uint8' })], 'yolo-parts'],
  [640, [info([1, 4, 8400]), info([1, 80, 8400]), info([1, 32, 8400]), info([1, 160, 160, 32])], 'yolo-parts'],
  [
    640,
    [info([1, 8400, 4]), info([1, 8400]), info([1, 8400, 32]), info([1, 8400]), info([1, 32, 160, 160])],
    'yolo-parts',
  ],
  [640, [80, 40, 20].map((n) => info([1, n, n, 144])), 'yolo-levels'],
  [640, [80, 40, 20].flatMap((n) => [info([1, n, n, 64]), info([1, n, n, 80])]), 'yolo-levels'],
  [640, [80, 40, 20].flatMap((n) => [info([1, 64, n, n]), info([1, 3, n, n])]), 'yolo-levels'],
  [640, [80, 40, 20].flatMap((n) => [info([1, n, n, 64]), info([1, n, n, 1]), info([1, n, n, 51])]), 'yolo-levels'],
  [416, [info([1, 3598, 112])], 'nanodet'],
  [416, [52, 26, 13, 7].flatMap((n) => [info([1, n * n, 80]), info([1, n * n, 32])]), 'picodet'],
  [640, [80, 40, 20].flatMap((n) => [info([1, n, n, 80]), info([1, n, n, 4])]), 'rtmdet'],
  [640, [1, 4, 10].flatMap((w) => [12800, 3200, 800].map((n) => info([n, w]))), 'scrfd'],
  [640, [1, 4].flatMap((w) => [12800, 3200, 800].map((n) => info([1, n, w]))), 'scrfd'],
  [640, [1, 1, 4, 10].flatMap((w) => [6400, 1600, 400].map((n) => info([1, n, w]))), 'yunet'],
  [640, [info([1, 16800, 4]), info([1, 16800, 2]), info([1, 16800, 10])], 'retinaface'],
  [256, [info([1, 17, 512]), info([1, 17, 512])], 'simcc'],
  [112, [info([1, 196])], 'landmarks'],
  [192, [info([1, 212])], 'landmarks'],
  [64, [info([1, 213]), info([1, 15])], 'landmarks'],
  [224, [info([1, 1000])], undefined],
  [224, [info([1, 1, 1, 1001])], undefined],
  [224, [info([1, 2], PROBABILITIES)], undefined],
]

test('heads are recognised by shapes', () => {
  for (const [side, outputs, kind, metadata = {}] of rows) {
    const head = headOf({ inputs: [info([1, side, side, 3])], outputs, metadata })
    assert.is(head?.kind, kind, `${side}: ${outputs.map((o) => o.shape.join('x')).join(' ')}`)
    // A description of it, as a model file may carry one, is read as the same.
    if (head) {
      const described = headOf({
        inputs: [],
        outputs,
        metadata: { extra: { head: JSON.parse(JSON.stringify(head)) as unknown } },
      })
      assert.equal(JSON.stringify(sorted(described!)), JSON.stringify(sorted(head)))
    }
  }
})
const sorted = (head: Head): object => Object.fromEntries(Object.entries(head).sort(([a], [b]) => (a < b ? -1 : 1)))

test('every head has a task, and a kind asked for must fit', () => {
  const tasks = rows.flatMap(([side, outputs, kind]) => {
    const head = kind && headOf({ inputs: [info([1, side, side, 3])], outputs, metadata: {} })
    return head ? [`${head.kind} ${taskOfHead(head)} ${givesBoxes(head)}`] : []
  })
  for (const want of ['movenet pose false', 'yolo8-seg segment true', 'fomo detect true', 'map segment false']) {
    assert.ok(tasks.includes(want), want)
  }
  const network = { inputs: [info([1, 224, 224, 3])], outputs: [info([1, 1000])] }
  assert.throws(() => headOf(network, 'yolo8'), /usage\/head/)
  assert.throws(() => headOf(network, 'nonsense' as HeadKind), /usage\/head/)
})

test('pyramid anchors of an SSD FPNLite 320 and an EfficientDet-Lite0, worked out by hand from the formulas', () => {
  const size = { width: 320, height: 320 }
  const fpn = headOf({
    inputs: [info([1, 320, 320, 3])],
    outputs: [info([1, 12804, 4]), info([1, 12804, 91])],
  }) as Parameters<typeof pyramidAnchors>[0]
  const anchors = pyramidAnchors(fpn, size)
  const row = (a: Float64Array, i: number): number[] => [...a.subarray(4 * i, 4 * i + 4)].map((v) => v * 320)
  const check = (got: number[], want: number[]): void =>
    got.forEach((v, k) => near(v, want[k]!, `anchor ${got.join()}`))
  // Level 3, cell 0: 32 pixels square, then 32 * sqrt 2; then twice as wide as high.
  check(row(anchors, 0), [4, 4, 32, 32])
  check(row(anchors, 1), [4, 4, 45.2548, 45.2548])
  check(row(anchors, 2), [4, 4, 22.6274, 45.2548])
  // Level 7 has 3 x 3 cells of 128 pixels, which do not divide 320: no offset.
  check(row(anchors, 12804 - 6 * 9), [0, 0, 512, 512])
  const lite = headOf({
    inputs: [info([1, 320, 320, 3])],
    outputs: [info([1, 19206, 90]), info([1, 19206, 4])],
  }) as Parameters<typeof pyramidAnchors>[0]
  const theirs = pyramidAnchors(lite, size)
  check(row(theirs, 0), [4, 4, 24, 24])
  check(row(theirs, 1), [4, 4, 16.97056, 33.94113])
  check(row(theirs, 3), [4, 4, 30.2381, 30.2381])
  // 320 has three cells of level 7, each a third of it.
  check(row(theirs, 19206 - 9), [266.6667, 266.6667, 320, 320])
})

test.run()
