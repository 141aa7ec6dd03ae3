/**
 * Heads whose authors' decoders are a line or two, by those lines; the table of docs/heads.md against the kinds there
 * are; and kinds that are others in parts.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { disposable } from '../src/base/dispose.ts'
import { taskOf } from '../src/answers/task.ts'
import type { Model, TensorInfo, TypedArray } from '../src/graph/types.ts'
import {
  createDetector,
  createPoseEstimator,
  createSegmenter,
  type Detection,
  headKinds,
  skeletonOf,
} from '../src/vision.ts'
import { blank } from './image-files.ts'
import { root } from './util.ts'

type Info = Omit<Partial<TensorInfo>, 'shape'>
type Output = Info & { shape: readonly number[]; data: TypedArray }

/** A network of real values that answers the same whatever it sees. */
function answering(size: [number, number], outputs: readonly Output[]): Model {
  return {
    inputs: [{ name: 'image', shape: [1, size[1], size[0], 3], dtype: 'uint8', scale: 1 / 255, zeroPoint: 0 }],
    outputs: outputs.map(({ data: _, ...o }) => ({ name: 'out', dtype: 'float32', scale: 0, zeroPoint: 0, ...o })),
    metadata: {},
    variant: 'simd',
    kernels: 'generic',
    why: '',
    memoryBytes: 0,
    arenaBytes: 0,
    run: () => outputs.map(({ data }) => data.slice()),
    reset: () => undefined,
    ...disposable(() => undefined),
  }
}
/** Numbers from 0 to 1, the same in every run. */
function random(seed: number): () => number {
  let state = seed
  return () => (state = (state * 48271) % 2147483647) / 2147483647
}
const near = (got: number, want: number, what: string): void =>
  assert.ok(Math.abs(got - want) <= 1e-3, `${what}: ${got}, expected ${want}`)

test('heatmaps: the middle of the hottest cell, points last or first', async () => {
  const next = random(1)
  const [rows, columns, points] = [16, 24, 13]
  const last = Float32Array.from({ length: rows * columns * points }, () => next())
  const first = new Float32Array(last.length)
  for (let i = 0; i < last.length; i++) first[(i % points) * rows * columns + Math.floor(i / points)] = last[i]!
  const layouts: Output[] = [
    { shape: [1, rows, columns, points], data: last },
    { shape: [1, points, rows, columns], data: first },
  ]
  for (const output of layouts) {
    const estimator = await createPoseEstimator(answering([96, 64], [output]), {
      scoreThreshold: 0,
    })
    assert.is(estimator.head.kind, 'heatmaps')
    const [pose] = estimator.estimate(blank(192, 128))
    for (let p = 0; p < points; p++) {
      const map = Array.from({ length: rows * columns }, (_, i) => last[i * points + p]!)
      const cell = map.indexOf(Math.max(...map))
      near(pose!.points[p]!.x, ((cell % columns) + 0.5) * 8, 'x')
      near(pose!.points[p]!.y, (Math.floor(cell / columns) + 0.5) * 8, 'y')
      near(pose!.points[p]!.score!, map[cell]!, 'score')
    }
  }
})

test('objectron: corners by votes of the cells around a centre, twins are one', async () => {
  const [rows, columns] = [12, 10]
  const heat = new Float32Array(rows * columns)
  const offsets = new Float32Array(rows * columns * 16)
  const corner = (c: number): [number, number] => [c % 2 ? 0.25 : -0.2, c < 4 ? -0.15 : 0.3]
  const put = (x: number, y: number, h: number, shift: number): void => {
    heat[y * columns + x] = h
    for (let c = 0; c < 8; c++) {
      const [dx, dy] = corner(c)
      // From this cell to the corners of the object centred at (5, 6); in units of the shorter side.
      offsets[(y * columns + x) * 16 + 2 * c] = (5 - x + shift) / 10 + dx
      offsets[(y * columns + x) * 16 + 2 * c + 1] = (6 - y) / 10 + dy
    }
  }
  put(5, 6, 0.9, 0)
  put(6, 6, 0.5, 0.4)
  // Too far off to be believed, too cold to be asked, and a peak of its own that says the same.
  put(4, 6, 0.5, 3)
  put(5, 5, 0.1, 0.9)
  put(8, 6, 0.7, 0)
  const model = answering(
    [160, 192],
    [
      { shape: [1, rows, columns, 1], data: heat },
      { shape: [1, rows, columns, 16], data: offsets },
    ],
  )
  const found = (await createPoseEstimator(model)).estimate(blank(160, 192))
  assert.is(found.length, 1)
  const { points, score } = found[0]!
  near(score, 0.9, 'score')
  assert.is(points.length, 9)
  assert.equal(
    points.map((p) => p.name),
    [...skeletonOf(9).names],
  )
  near(points[0]!.x, (5 / columns) * 160, 'centre')
  near(points[0]!.y, (6 / rows) * 192, 'centre')
  for (let c = 0; c < 8; c++) {
    const [dx, dy] = corner(c)
    const x = (0.9 * (5 + 10 * dx) + 0.5 * (5.4 + 10 * dx)) / 1.4
    near(points[1 + c]!.x, (x / columns) * 160, `corner ${c}`)
    near(points[1 + c]!.y, ((6 + 10 * dy) / rows) * 192, `corner ${c}`)
  }
})

test('ultraface: shares of the input, the second score, overlapping faces are one', async () => {
  // Cells of 320x240: 40x30 of 3 boxes, 20x15 and 10x8 of 2, 5x4 of 3.
  const count = 3600 + 600 + 160 + 60
  const boxes = new Float32Array(4 * count)
  const scores = new Float32Array(2 * count)
  const put = (i: number, box: number[], face: number): void => {
    boxes.set(box, 4 * i)
    scores.set([1 - face, face], 2 * i)
  }
  for (let i = 0; i < count; i++) put(i, [0, 0, 1, 1], 0.1)
  put(7, [0.25, 0.5, 0.5, 0.75], 0.9)
  put(8, [0.26, 0.5, 0.5, 0.75], 0.8)
  put(4419, [0.75, 0.25, 1.25, 0.5], 0.71)
  put(100, [0, 0, 0.1, 0.1], 0.69)
  const outputs = [
    { shape: [1, count, 2], data: scores },
    { shape: [1, count, 4], data: boxes },
  ]
  const detector = await createDetector(answering([320, 240], outputs))
  assert.is(detector.head.kind, 'ultraface')
  const found = detector.detect(blank(640, 240))
  assert.equal(
    found.map(({ box: { x, y, width, height }, label }) => [label, x, y, width, height]),
    [
      ['face', 160, 120, 160, 60],
      ['face', 480, 60, 160, 60],
    ],
  )
  near(found[1]!.score, 0.71, 'score')
})

test('ultraface: offsets from priors become boxes', async () => {
  const count = 3600 + 600 + 160 + 60
  const boxes = new Float32Array(4 * count)
  const scores = new Float32Array(2 * count)
  // The second prior of cell 20, 14 at a stride of 8: centre 164, 116, side 16.
  const at = 3 * (40 * 14 + 20) + 1
  boxes.set([1, -1, 0, Math.log(2) / 0.2], 4 * at)
  scores[2 * at + 1] = 0.9
  const outputs = [
    { shape: [1, count, 4], data: boxes },
    { shape: [1, count, 2], data: scores },
  ]
  const head = { kind: 'ultraface', boxes: 0, scores: 1, coded: true, scoreThreshold: 0.7, iouThreshold: 0.3 } as const
  const detector = await createDetector(answering([320, 240], outputs), { head })
  const found = detector.detect(blank(320, 240))
  assert.is(found.length, 1)
  const { x, y, width, height } = found[0]!.box
  near(x, 157.6, 'left')
  near(y, 98.4, 'top')
  near(width, 16, 'width')
  near(height, 32, 'height')
})

test('picture: values become pixels by what they range over', async () => {
  const cases: [Info, TypedArray, number[]][] = [
    [{ dtype: 'int8', scale: 1 / 128, zeroPoint: 0 }, Int8Array.of(-128, 0, 127), [0, 128, 254]],
    [{ dtype: 'uint8', scale: 1, zeroPoint: 0 }, Uint8Array.of(0, 100, 255), [0, 100, 255]],
    [{ name: 'Sigmoid' }, Float32Array.of(0, 0.5, 1.01), [0, 128, 255]],
    [{ name: 'Tanh' }, Float32Array.of(-1, 0, 1), [0, 128, 255]],
    [{ name: 'style' }, Float32Array.of(-4, 128.4, 300), [0, 128, 255]],
  ]
  for (const [info, three, want] of cases) {
    const data = new (three.constructor as typeof Float32Array)(8 * 8 * 3)
    for (let i = 0; i < data.length; i++) data[i] = Number(three[i % 3]!)
    const segmenter = await createSegmenter(answering([8, 8], [{ shape: [1, 8, 8, 3], data, ...info }]))
    assert.is(segmenter.head.kind, 'picture')
    const { picture, map } = segmenter.segment(blank(30, 20))
    assert.is(map, undefined)
    assert.equal(
      [picture!.width, picture!.height, picture!.channels, ...picture!.data.subarray(0, 3)],
      [8, 8, 3, ...want],
    )
  }
})

test('class numbers without a batch are a plane', async () => {
  const data = new BigInt64Array(64).fill(3n, 32)
  const segmenter = await createSegmenter(answering([16, 16], [{ shape: [8, 8], data, dtype: 'int64' }]))
  const { classes } = segmenter.segment(blank(16, 16))
  assert.equal(
    classes.map(({ index, pixels }) => [index, pixels]),
    [
      [0, 128],
      [3, 128],
    ],
  )
})

interface Recorded {
  kind: string
  input: [number, number]
  photo: [number, number]
  outputs: { shape: number[]; scale: number; zeroPoint: number; data: string }[]
  options: { scoreThreshold: number; iouThreshold: number; maxDetections: number; head?: 'yolo8' }
}
const ultralytics = JSON.parse(readFileSync(join(root, 'test/fixtures/heads/ultralytics.json'), 'utf8')) as {
  cases: Recorded[]
}

test('a YOLOv8 in parts finds what it finds in one table', async () => {
  let compared = 0
  for (const c of ultralytics.cases.filter((r) => r.kind === 'yolo8' && r.outputs[0]!.shape[1] === 7)) {
    const { shape, scale, zeroPoint, data } = c.outputs[0]!
    const raw = Int8Array.from(Buffer.from(data, 'base64'), (v) => (v << 24) >> 24)
    const real = Float32Array.from(raw, (v) => (v - zeroPoint) * scale)
    const [, values = 0, n = 0] = shape
    const { head: _, ...options } = c.options
    const found = async (outputs: Output[]): Promise<Detection[]> => {
      const detector = await createDetector(answering(c.input, outputs), options)
      assert.is(detector.head.kind, outputs.length === 1 ? 'yolo8' : 'yolo-parts')
      return detector.detect(blank(...c.photo))
    }
    const whole = await found([{ shape, data: real }])
    const classes = values - 4
    const columns = await found([
      { shape: [1, classes, n], data: real.slice(4 * n) },
      { shape: [1, 4, n], data: real.slice(0, 4 * n) },
    ])
    assert.equal(columns, whole)
    const at = (k: number, i: number): number => real[k * n + i]!
    const corners = new Float32Array(4 * n)
    const scores = new Float32Array(classes * n)
    const [best, numbers] = [new Float32Array(n), new Uint8Array(n)]
    for (let i = 0; i < n; i++) {
      const [x, y, w, h] = [at(0, i), at(1, i), at(2, i), at(3, i)]
      corners.set([x - w / 2, y - h / 2, x + w / 2, y + h / 2], 4 * i)
      for (let k = 0; k < classes; k++) {
        scores[i * classes + k] = at(4 + k, i)
        if (at(4 + k, i) > at(4 + numbers[i]!, i)) numbers[i] = k
      }
      best[i] = at(4 + numbers[i]!, i)
    }
    const decoded = await found([
      { shape: [1, n, 4], data: corners },
      { shape: [1, n, classes], data: scores },
    ])
    const numbered = await found([
      { shape: [1, n, 4], data: corners },
      { shape: [1, n], data: best },
      { shape: [1, n], data: numbers, dtype: 'uint8' },
    ])
    for (const other of [decoded, numbered]) {
      assert.equal(
        other.map(({ label, score }) => [label, score]),
        whole.map(({ label, score }) => [label, score]),
      )
      other.forEach(({ box }, i) => {
        near(box.x, whole[i]!.box.x, 'x')
        near(box.y, whole[i]!.box.y, 'y')
        near(box.width, whole[i]!.box.width, 'width')
        near(box.height, whole[i]!.box.height, 'height')
      })
    }
    compared += whole.length
  }
  assert.ok(compared > 10, `${compared} boxes`)
})

test('a reader of text is told by name', () => {
  const info = (shape: number[]): TensorInfo => ({ name: '', shape, dtype: 'int8', scale: 1, zeroPoint: 0 })
  const task = taskOf({ inputs: [info([1, 32, 128, 3])], outputs: [info([1, 1, 16, 66])] })
  assert.is(task.command, 'run')
  assert.match(task.why, /66 characters for 16 columns/)
})

test('docs/heads.md has a row for every kind, and no other', () => {
  const page = readFileSync(join(root, 'docs/heads.md'), 'utf8')
  const rows = [...page.matchAll(/^\| (`[^|]*`) \|/gm)].flatMap(([, cell]) =>
    [...cell!.matchAll(/`([^`]+)`/g)].map(([, kind]) => kind!),
  )
  assert.equal([...rows].sort(), [...headKinds].sort())
})

test.run()
