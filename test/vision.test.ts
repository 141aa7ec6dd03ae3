/**
 * Box arithmetic, decoding and suppression on hand-computed cases and on random ones; detectors on made-up and on
 * shipped networks.
 */
import { disposable } from '../src/base/dispose.ts'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { type Candidate, intersectionOverUnion, nonMaxSuppression } from '../src/vision/boxes.ts'
import { describedHead } from '../src/vision/described.ts'
import { createDetector } from '../src/vision/detector.ts'
import { boxOfPoints, cropBox, cropImage } from '../src/vision/crop.ts'
import { createFaceFinder, type Face } from '../src/vision/faces.ts'
import { grownBox } from '../src/vision/found.ts'
import { preprocessView, toPhoto } from '../src/vision/frame.ts'
import { decodeBox, ssdAnchors, ssdDecoder, type SsdHead } from '../src/vision/heads/ssd.ts'
import { yoloSplitDecoder, type YoloSplitHead } from '../src/vision/heads/yolo-grid.ts'
import { type ThimbleError } from '../src/base/errors.ts'
import type { Metadata, Preprocess } from '../src/graph/graph.ts'
import { decodeImage } from '../src/image/decode.ts'
import { placement, Preprocessor } from '../src/image/preprocess.ts'
import { loadModel } from '../src/node.ts'
import type { Model, PixelImage, TensorInfo, TypedArray } from '../src/graph/types.ts'
import { root } from './util.ts'

type Corners = readonly [left: number, top: number, right: number, bottom: number]
const box = ([left, top, right, bottom]: Corners, score = 1, index = 0): Candidate => ({
  left,
  top,
  right,
  bottom,
  score,
  index,
})
const near = (got: number, want: number, tolerance: number, what: string): void =>
  assert.ok(Math.abs(got - want) <= tolerance, `${what}: ${got}, expected ${want}`)
const code = async (run: () => unknown): Promise<string> => {
  try {
    await run()
  } catch (error) {
    return (error as ThimbleError).code
  }
  return 'nothing'
}

// Boxes -----------------------------------------------------------------------

test('overlap of boxes', () => {
  assert.is(intersectionOverUnion(box([0, 0, 2, 2]), box([1, 1, 3, 3])), 1 / 7)
  assert.is(intersectionOverUnion(box([0, 0, 2, 2]), box([0, 0, 2, 2])), 1)
  assert.is(intersectionOverUnion(box([0, 0, 4, 4]), box([1, 1, 3, 3])), 0.25)
  assert.is(intersectionOverUnion(box([0, 0, 1, 1]), box([1, 0, 2, 1])), 0, 'touching')
  assert.is(intersectionOverUnion(box([0, 0, 0, 1]), box([0, 0, 1, 1])), 0, 'empty')
  assert.is(intersectionOverUnion(box([0, 0, NaN, 1]), box([0, 0, 1, 1])), 0, 'not a number')
})

test('suppression keeps the best of each class', () => {
  const a = box([0, 0, 10, 10], 0.9)
  const b = box([1, 0, 11, 10], 0.8)
  const c = box([1, 0, 11, 10], 0.7, 1)
  const d = box([20, 0, 30, 10], 0.95)
  assert.equal(nonMaxSuppression([b, a, c, d], 0.5), [d, a, c])
  assert.equal(nonMaxSuppression([b, a, c, d], 0.5, 2), [d, a])
  assert.equal(nonMaxSuppression([a, b], 9 / 11), [a, b], 'an overlap of exactly the threshold is kept')
  assert.equal(nonMaxSuppression([], 0.5), [])
})

const anyCandidate = fc
  .record({
    x: fc.double({ min: 0, max: 1, noNaN: true }),
    y: fc.double({ min: 0, max: 1, noNaN: true }),
    w: fc.double({ min: 0.01, max: 0.6, noNaN: true }),
    h: fc.double({ min: 0.01, max: 0.6, noNaN: true }),
    score: fc.constantFrom(0.5, 0.6, 0.7, 0.8, 0.9),
    index: fc.integer({ min: 0, max: 2 }),
  })
  .map(({ x, y, w, h, score, index }) => box([x, y, x + w, y + h], score, index))

test('property: what is kept does not overlap, what is dropped overlaps something kept that is as good', () => {
  fc.assert(
    fc.property(
      fc.array(anyCandidate, { maxLength: 40 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (all, threshold) => {
        const kept = nonMaxSuppression(all, threshold)
        for (let i = 0; i < kept.length; i++) {
          if (i) assert.ok(kept[i - 1]!.score >= kept[i]!.score)
          for (let j = 0; j < i; j++) {
            if (kept[i]!.index === kept[j]!.index) assert.ok(intersectionOverUnion(kept[i]!, kept[j]!) <= threshold)
          }
        }
        for (const c of all) {
          if (!kept.includes(c)) {
            assert.ok(
              kept.some((k) => k.index === c.index && k.score >= c.score && intersectionOverUnion(k, c) > threshold),
            )
          }
        }
        assert.equal(nonMaxSuppression(kept, threshold), kept)
      },
    ),
    { seed: 1, numRuns: 300 },
  )
})

// Decoding --------------------------------------------------------------------

const SSD: SsdHead = {
  kind: 'ssd',
  maps: [
    [32, 32],
    [16, 16],
    [8, 8],
    [4, 4],
    [2, 2],
    [1, 1],
  ],
  minScale: 0.2,
  maxScale: 0.95,
  aspectRatios: [1, 2, 0.5, 3, 0.3333],
  boxScales: [10, 10, 5, 5],
  scores: 'sigmoid',
  iouThreshold: 0.5,
  scoreThreshold: 0.5,
}
const info = (name: string, shape: number[]): TensorInfo => ({ name, shape, dtype: 'float32', scale: 0, zeroPoint: 0 })

test("SSD anchors: numbers that TensorFlow's generator stores in models", () => {
  const anchors = ssdAnchors(SSD)
  assert.is(anchors.length, 4 * 5118)
  const corner = (i: number): number[] => [
    anchors[4 * i]! - anchors[4 * i + 2]! / 2,
    anchors[4 * i + 1]! - anchors[4 * i + 3]! / 2,
    anchors[4 * i]! + anchors[4 * i + 2]! / 2,
    anchors[4 * i + 1]! + anchors[4 * i + 3]! / 2,
  ]
  const rows: [number, number[]][] = [
    [0, [-0.034375, -0.034375, 0.065625, 0.065625]],
    [1, [-0.0550857, -0.1257964, 0.0863357, 0.1570464]],
    [3, [-0.034375, -0.003125, 0.065625, 0.096875]],
    [3073, [-0.177915, -0.177915, 0.240415, 0.240415]],
    [3075, [-0.2162374, -0.0924937, 0.2787374, 0.1549937]],
    [3077, [-0.271874, -0.0697812, 0.334374, 0.1322812]],
    [5113, [0.0126603, 0.0126603, 0.9873397, 0.9873397]],
    [5117, [-0.3227652, 0.2257723, 1.3227652, 0.7742277]],
  ]
  for (const [i, want] of rows) corner(i).forEach((v, k) => near(v, want[k]!, 2e-6, `anchor ${i}, ${k}`))
})

test('SSD boxes: no codes give the anchor, codes move and grow it', () => {
  const anchors = Float64Array.of(0.5, 0.25, 0.2, 0.1)
  const check = (codes: number[], want: number[]): void => {
    const b = decodeBox(codes, anchors, 0, [10, 10, 5, 5])
    ;[b.top, b.left, b.bottom, b.right].forEach((v, i) => near(v, want[i]!, 1e-12, `${codes.join()}: ${i}`))
  }
  check([0, 0, 0, 0], [0.4, 0.2, 0.6, 0.3])
  check([10, 0, 5 * Math.log(2), 0], [0.5, 0.2, 0.9, 0.3])
  check([0, -10, 0, -5 * Math.log(2)], [0.4, 0.125, 0.6, 0.175])
})

test('property: SSD decoding undoes encoding', () => {
  const unit = fc.double({ min: 0.05, max: 1, noNaN: true })
  fc.assert(
    fc.property(
      fc.tuple(unit, unit, unit, unit),
      fc.tuple(unit, unit, unit, unit),
      ([cy, cx, h, w], [ay, ax, ah, aw]) => {
        const codes = [((cy - ay) / ah) * 10, ((cx - ax) / aw) * 10, Math.log(h / ah) * 5, Math.log(w / aw) * 5]
        const b = decodeBox(codes, Float64Array.of(ay, ax, ah, aw), 0, [10, 10, 5, 5])
        ;[b.top - (cy - h / 2), b.bottom - (cy + h / 2), b.left - (cx - w / 2), b.right - (cx + w / 2)].forEach((d) =>
          assert.ok(Math.abs(d) < 1e-9),
        )
      },
    ),
    { seed: 2 },
  )
})

test("SSD picks each anchor's best class", () => {
  const head: SsdHead = { ...SSD, maps: [[1, 1]] }
  const decode = ssdDecoder(head, [info('scores', [1, 3, 2]), info('boxes', [1, 3, 4])], { width: 8, height: 8 })
  const found = decode([[0, 3, -9, -9, 2, 1], new Float32Array(12)], 0.5)
  assert.equal(
    found.map((c) => c.index),
    [1, 0],
  )
  near(found[0]!.score, 1 / (1 + Math.exp(-3)), 1e-12, 'score')
  near(found[0]!.right - found[0]!.left, 0.1, 1e-12, 'width')
})

test('YOLO cells: centre, size and score', () => {
  const head: YoloSplitHead = {
    kind: 'yolo',
    anchors: [
      [1, 2],
      [3, 3],
    ],
    iouThreshold: 0.4,
    scoreThreshold: 0.5,
  }
  const outputs = [info('centres', [1, 2, 4, 4]), info('sizes', [1, 2, 4, 4]), info('scores', [1, 2, 4, 2])]
  const values = [new Float32Array(32), new Float32Array(32), new Float32Array(16).fill(-20)]
  // Row 1, column 2, second anchor: entry 2 * (1 * 4 + 2) + 1.
  values[2]![13] = Math.log(3)
  values[0]![26] = Math.log(3)
  values[1]![27] = Math.log(2)
  const [c, ...rest] = yoloSplitDecoder(head, outputs)(values, 0.5)
  assert.is(rest.length, 0)
  const want = { score: 0.75, width: 3 / 4, height: 6 / 2, x: 2.75 / 4, y: 1.5 / 2 }
  near(c!.score, want.score, 1e-6, 'score')
  near(c!.right - c!.left, want.width, 1e-6, 'width')
  near(c!.bottom - c!.top, want.height, 1e-6, 'height')
  near((c!.left + c!.right) / 2, want.x, 1e-6, 'centre x')
  near((c!.top + c!.bottom) / 2, want.y, 1e-6, 'centre y')
})

// From the network's input back to the photo ----------------------------------

/** A gray photo with one white rectangle. */
function scene(width: number, height: number, r: { x: number; y: number; w: number; h: number }): PixelImage {
  const data = new Uint8Array(width * height)
  for (let y = r.y; y < r.y + r.h; y++) data.fill(255, y * width + r.x, y * width + r.x + r.w)
  return { data, width, height, channels: 1 }
}

for (const fit of ['fit', 'stretch', 'crop'] as const) {
  test(`what is seen in the input lies where it is in the photo (${fit})`, () => {
    for (const [width, height] of [
      [640, 480],
      [300, 700],
      [90, 60],
      [416, 416],
    ] as const) {
      const how: Preprocess = {
        fit,
        method: 'bilinear',
        channels: 'gray',
        mean: [0],
        std: [1],
        ...(fit === 'crop' ? { shorterSide: 128 } : {}),
      }
      const input = info('image', [1, 104, 120, 1])
      const rect = {
        x: Math.round(width * 0.4),
        y: Math.round(height * 0.45),
        w: Math.round(width * 0.2),
        h: Math.round(height * 0.15),
      }
      const preprocessor = new Preprocessor(input, how)
      const seen = preprocessor.run(scene(width, height, rect)) as Float32Array
      const at: { x: number[]; y: number[] } = { x: [], y: [] }
      seen.forEach((v, i) => {
        if (v > 127) {
          at.x.push(i % 120)
          at.y.push(Math.floor(i / 120))
        }
      })
      const place = placement({ width, height }, { width: 120, height: 104 }, how)
      const view = preprocessView({ width, height }, preprocessor.geometry, how)
      const [left, top] = toPhoto(view, Math.min(...at.x) / 120, Math.min(...at.y) / 104)
      const [right, bottom] = toPhoto(view, (Math.max(...at.x) + 1) / 120, (Math.max(...at.y) + 1) / 104)
      const pixel = Math.max(width / place.width, height / place.height)
      ;[
        [left, rect.x],
        [top, rect.y],
        [right, rect.x + rect.w],
        [bottom, rect.y + rect.h],
      ].forEach(([got, want], i) => near(got!, want!, 0.75 * Math.max(1, pixel), `${width}x${height} side ${i}`))
    }
  })
}

// A detector over a made-up model -----------------------------------------------

/** A model that answers the same whatever it is shown. */
function answering(outputs: [TensorInfo, TypedArray][], metadata: Metadata): Model {
  return {
    inputs: [info('image', [1, 64, 64, 3])],
    outputs: outputs.map(([o]) => o),
    metadata,
    variant: 'simd',
    kernels: 'generic',
    why: '',
    memoryBytes: 0,
    arenaBytes: 0,
    run: () => outputs.map(([, values]) => values.slice() as TypedArray),
    reset: () => undefined,
    ...disposable(() => undefined),
  }
}

const postprocessed = (boxes: number[], classes: number[], scores: number[], count: number): Model =>
  answering(
    [
      [info('boxes', [1, classes.length, 4]), Float32Array.from(boxes)],
      [info('classes', [1, classes.length]), Float32Array.from(classes)],
      [info('scores', [1, scores.length]), Float32Array.from(scores)],
      [info('count', [1]), Float32Array.of(count)],
    ],
    {
      task: 'detection',
      extra: {
        detection: {
          kind: 'postprocess',
          boxes: 0,
          classes: 1,
          scores: 2,
          count: 3,
          iouThreshold: 0.5,
          scoreThreshold: 0.5,
        },
      },
    },
  )

const photo = (width: number, height: number): PixelImage => ({
  data: new Uint8Array(width * height * 3),
  width,
  height,
  channels: 3,
})

test("boxes are cut at the photo's borders, what lies outside is dropped", async () => {
  const model = postprocessed(
    [-0.5, -0.25, 0.5, 0.5, 0.1, 1.2, 0.3, 1.4, 0.2, 0.2, 0.4, 0.4],
    [0, 1, 7],
    [0.9, 0.8, 0.6],
    3,
  )
  const detector = await createDetector(model, { labels: ['a', 'b'] })
  const found = detector.detect(photo(200, 100))
  assert.equal(
    found.map((d) => [d.label, d.index, d.score]),
    [
      ['a', 0, Math.fround(0.9)],
      ['class 7', 7, Math.fround(0.6)],
    ],
  )
  assert.equal(found[0]!.box, { x: 0, y: 0, width: 100, height: 50 })
  for (const [key, want] of Object.entries({ x: 40, y: 20, width: 40, height: 20 })) {
    near(found[1]!.box[key as 'x'], want, 1e-4, key)
  }
})

test('threshold and count', async () => {
  const model = postprocessed([0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1], [0, 1, 2], [0.9, 0.4, 0.95], 3)
  const labels = async (o: object): Promise<string[]> =>
    (await createDetector(model, o)).detect(photo(10, 10)).map((d) => d.label)
  assert.equal(await labels({}), ['class 2', 'class 0'])
  assert.equal(await labels({ scoreThreshold: 0.3 }), ['class 2', 'class 0', 'class 1'])
  assert.equal(await labels({ scoreThreshold: 0.3, maxDetections: 1 }), ['class 2'])
  assert.equal(
    (await createDetector(postprocessed([0, 0, 1, 1], [0], [0.9], 0))).detect(photo(10, 10)),
    [],
    'the count output counts',
  )
})

test('calls and files that do not fit give an error', async () => {
  const good = postprocessed([0, 0, 1, 1], [0], [0.9], 1)
  const head = (change: object): Metadata => ({ extra: { detection: { ...SSD, ...change } } })
  assert.is(
    await code(() => createDetector(answering([[info('x', [1, 10]), new Float32Array(10)]], {}))),
    'usage/not-a-detector',
  )
  assert.is(await code(() => createDetector(good, { scoreThreshold: 2 })), 'usage/option')
  assert.is(await code(() => createDetector(good, { maxDetections: 0 })), 'usage/option')
  assert.is(
    await code(() =>
      createDetector(answering([[info('x', [1, 10]), new Float32Array(10)]], { extra: { detection: { ...SSD } } })),
    ),
    'format/shape',
  )
  const bad: object[] = [
    { kind: 'ssd2' },
    { maps: [] },
    { maps: [[0, 1]] },
    { maps: [[1.5, 1]] },
    { minScale: -1 },
    { maxScale: 'x' },
    { aspectRatios: [0] },
    { boxScales: [1, 2, 3] },
    { scores: 'best' },
    { iouThreshold: 7 },
    { scoreThreshold: NaN },
    { kind: 'yolo', anchors: [[1]] },
    { kind: 'postprocess', boxes: 9 },
  ]
  for (const change of bad) {
    assert.is(await code(() => describedHead(head(change), 4)), 'format/metadata', JSON.stringify(change))
  }
  assert.is(await code(() => describedHead({ extra: { detection: 3 } }, 4)), 'format/metadata')
})

test('crops', () => {
  assert.equal(cropBox({ x: -3.5, y: 2.7, width: 10, height: 200 }, { width: 50, height: 40 }), {
    x: 0,
    y: 2,
    width: 6,
    height: 38,
  })
  assert.equal(cropBox({ x: 49.8, y: 0, width: 10, height: 10 }, { width: 50, height: 40 }), {
    x: 49,
    y: 0,
    width: 1,
    height: 10,
  })
  assert.is(cropBox({ x: 10, y: 10, width: 0.2, height: 10 }, { width: 50, height: 40 }), undefined)
  assert.is(cropBox({ x: 60, y: 0, width: 10, height: 10 }, { width: 50, height: 40 }), undefined)
  const corners = [
    { x: 10, y: 20 },
    { x: 30, y: 20 },
    { x: 20, y: 70 },
  ]
  assert.equal(grownBox(boxOfPoints(corners), 0.2), { x: 8, y: 15, width: 24, height: 60 })
  const picture: PixelImage = { data: Uint8Array.from({ length: 24 }, (_, i) => i), width: 4, height: 2, channels: 3 }
  assert.equal([...cropImage(picture, { x: 1, y: 1, width: 2, height: 1 }).data], [15, 16, 17, 18, 19, 20])
})

// The shipped networks ----------------------------------------------------------

const weights = (name: string): string => join(root, 'weights', name)
const picture = (name: string): PixelImage => decodeImage(readFileSync(weights(`samples/${name}.jpg`)))
const models = async (variant: 'simd' | 'scalar' = 'simd'): Promise<Parameters<typeof createFaceFinder>[0]> => {
  const load = (name: string): Promise<Model> => loadModel(weights(`${name}.thimble`), { variant })
  return {
    detector: await load('face_detector_tiny_416'),
    landmarks: await load('face_landmarks_68_112'),
    ageGender: await load('face_age_gender_112'),
    expression: await load('face_expression_112'),
  }
}
const mirrored = (image: PixelImage): PixelImage => {
  const data = new Uint8Array(image.data.length)
  const channels = image.channels ?? 4
  for (let y = 0; y < image.height; y++) {
    for (let x = 0; x < image.width; x++) {
      for (let c = 0; c < channels; c++) {
        data[(y * image.width + x) * channels + c] = image.data[(y * image.width + image.width - 1 - x) * channels + c]!
      }
    }
  }
  return { ...image, data }
}
const middle = (face: Face, from: number, to: number): [number, number] => {
  const part = face.points!.slice(from, to)
  return [part.reduce((s, p) => s + p[0], 0) / part.length, part.reduce((s, p) => s + p[1], 0) / part.length]
}

test('a portrait: one face, points on its eyes and mouth, attributes', async () => {
  const finder = await createFaceFinder(await models())
  const faces = finder.find(picture('astronaut'))
  assert.is(faces.length, 1)
  const [face] = faces as [Face]
  assert.ok(face.score > 0.9 && face.label === 'face')
  // Where they are in this photo, to a few pixels.
  const at = { 'one eye': [36, 42, 205, 103], 'other eye': [42, 48, 245, 102], mouth: [48, 68, 224, 145] } as const
  for (const [what, [from, to, x, y]] of Object.entries(at)) {
    const [gotX, gotY] = middle(face, from, to)
    assert.ok(Math.hypot(gotX - x, gotY - y) < 8, `${what} at ${gotX}, ${gotY}`)
  }
  assert.is(face.points!.length, 68)
  assert.is(face.gender!.label, 'female')
  assert.is(face.expression!.label, 'happy')
  assert.ok(face.age! > 15 && face.age! < 50)
})

test('no face in a cup of coffee or a cat', async () => {
  const finder = await createFaceFinder(await models())
  for (const name of ['coffee', 'cat']) assert.equal(finder.find(picture(name)), [])
})

test('two faces, one mirrored: both found where they are, in either variant', async () => {
  const one = picture('astronaut')
  const other = mirrored(one)
  const data = new Uint8Array(one.width * 2 * one.height * 3)
  for (let y = 0; y < one.height; y++) {
    data.set(one.data.subarray(y * one.width * 3, (y + 1) * one.width * 3), y * one.width * 6)
    data.set(other.data.subarray(y * one.width * 3, (y + 1) * one.width * 3), (y * 2 + 1) * one.width * 3)
  }
  const both: PixelImage = { data, width: one.width * 2, height: one.height, channels: 3 }
  const simd = (await createFaceFinder(await models('simd'))).find(both)
  assert.is(simd.length, 2)
  const [left, right] = simd.map((f) => f.box).sort((a, b) => a.x - b.x) as [Face['box'], Face['box']]
  near(left.x + left.width / 2, both.width - (right.x + right.width / 2), 12, 'mirrored centre')
  const scalar = (await createFaceFinder(await models('scalar'))).find(both)
  assert.equal(scalar, simd)
})

test('models in the wrong place are refused', async () => {
  const { detector, landmarks, expression } = await models()
  assert.is(await code(() => createFaceFinder({ detector, landmarks: expression! })), 'usage/model')
  assert.is(await code(() => createFaceFinder({ detector, ageGender: landmarks! })), 'usage/model')
  assert.is(await code(() => createFaceFinder({ detector: landmarks! })), 'usage/not-a-detector')
})

test.run()
