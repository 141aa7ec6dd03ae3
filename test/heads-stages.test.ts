/**
 * Two networks in a row as MediaPipe runs them: what its detectors find, the turned crop of each, and the landmarks'
 * way back into the photo, within 1e-3 pixels on the same output tensors (test/fixtures/heads-stages.json, made by
 * tools/heads/mediapipe_stages_reference.py). And the second look of a whole photo.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { disposable } from '../src/base/dispose.ts'
import type { Model, TypedArray } from '../src/graph/types.ts'
import { createPoseEstimator, crop, cropAfter, pipeline, type Pose } from '../src/vision.ts'
import { blank } from './image-files.ts'
import { root } from './util.ts'

interface Output {
  name: string
  shape: number[]
  scale: number
  zeroPoint: number
  data: string
}
interface Case {
  kind: 'palm' | 'blazeface' | 'blazepose'
  /** Sides of the two inputs. */
  inputs: [number, number]
  photo: [number, number]
  finder: Output[]
  second: Output[]
  /** For each found: left, top, right, bottom, score, class; x and y of points; x, y, width, height, angle; x and y. */
  expected: { boxes: number[][]; points: number[][]; regions: number[][]; landmarks: number[][] }
}

/** A network that answers with what `answers` has for each run in turn, the last one for ever. */
function recorded(side: number, outputs: readonly Output[], answers?: readonly TypedArray[][]): Model {
  const values = [outputs.map(({ data }) => new Int8Array(Buffer.from(data, 'base64')) as TypedArray)]
  let runs = 0
  return {
    inputs: [{ name: 'image', shape: [1, side, side, 3], dtype: 'uint8', scale: 1 / 255, zeroPoint: 0 }],
    outputs: outputs.map(({ name, shape, scale, zeroPoint }) => ({ name, shape, scale, zeroPoint, dtype: 'int8' })),
    metadata: {},
    variant: 'simd',
    kernels: 'generic',
    why: '',
    memoryBytes: 0,
    arenaBytes: 0,
    run: () => {
      const all = answers ?? values
      return all[Math.min(runs++, all.length - 1)]!.map((v) => v.slice())
    },
    reset: () => undefined,
    ...disposable(() => undefined),
  }
}

const near = (got: readonly number[], want: readonly number[]): boolean =>
  got.every((v, i) => Math.abs(v - want[i]!) <= 1e-3)
const flat = (points: readonly { x: number; y: number }[]): number[] => points.flatMap(({ x, y }) => [x, y])

const { cases } = JSON.parse(readFileSync(join(root, 'test/fixtures/heads-stages.json'), 'utf8')) as { cases: Case[] }
for (const [n, c] of cases.entries()) {
  test(`${c.kind} and what looks at its crops, ${c.photo.join('x')} (${n})`, async () => {
    const finder = await createPoseEstimator(recorded(c.inputs[0], c.finder))
    assert.is(finder.head.kind, c.kind)
    const second = await createPoseEstimator(recorded(c.inputs[1], c.second))
    assert.is(second.head.kind, 'landmarks')
    const found = pipeline([finder, cropAfter(c.kind), second]).run(blank(...c.photo))
    assert.is(found.length, c.expected.boxes.length)
    c.expected.points.forEach((points, i) => {
      const own = finder.estimate(blank(...c.photo)).findIndex((p) => near(flat(p.points), points))
      assert.ok(own >= 0, `nothing found like ${String(points)}`)
      const { region, results, score } = found[own]!
      assert.ok(Math.abs(score - c.expected.boxes[i]![4]!) <= 1e-3)
      const { x, y, width, height, angle } = region!
      // MediaPipe keeps angles in 32 bits.
      assert.ok(
        near([x, y, width, height], c.expected.regions[i]!),
        `${[x, y, width, height].join()}, expected ${String(c.expected.regions[i])}`,
      )
      assert.ok(Math.abs(Math.sin((angle - c.expected.regions[i]![4]!) / 2)) <= 1e-5, 'angle')
      const marks = flat((results[0] as Pose).points)
      assert.ok(
        near(marks, c.expected.landmarks[i]!),
        `landmarks, the first ${marks.slice(0, 2).join()}, expected ${c.expected.landmarks[i]!.slice(0, 2).join()}`,
      )
      assert.is(marks.length, c.expected.landmarks[i]!.length)
    })
  })
}

test('a whole photo is looked at again where the first look says, a region is not', async () => {
  const { second, inputs } = cases.find((c) => c.kind === 'blazepose')!
  const points = second[0]!
  const raw = new Int8Array(Buffer.from(points.data, 'base64'))
  const flag = new Int8Array(Buffer.from(second[1]!.data, 'base64'))
  /** The person's middle at (x, y) of the input, the circle 40 pixels to the right of it. */
  const at = (x: number, y: number): TypedArray => {
    const all = raw.slice()
    const put = (i: number, v: number): void => void (all[i] = Math.round(v / points.scale) + points.zeroPoint)
    for (const [i, v] of [x, y, 0, 0, 0, x + 40, y].entries()) put(33 * 5 + i, v)
    return all
  }
  const estimator = await createPoseEstimator(
    recorded(inputs[1], second, [
      [at(128, 128), flag],
      [at(100, 128), flag],
      [raw, flag],
    ]),
  )
  const head = estimator.head
  assert.equal(head.kind === 'landmarks' && head.look, [33, 34])
  const [pose] = estimator.estimate(blank(256, 256))
  // By hand: the same three looks, each a region.
  const steps = await createPoseEstimator(
    recorded(inputs[1], second, [
      [at(128, 128), flag],
      [at(100, 128), flag],
      [raw, flag],
    ]),
    {
      head: { ...head, look: undefined } as never,
    },
  )
  const whole = { x: 128, y: 128, width: 256, height: 256, angle: 0 }
  const circle = crop({ around: 'circle', from: 0, to: 1, towards: -90, margin: 0.25 })
  const onPhoto = (r: typeof whole, u: number, v: number): { name: string; x: number; y: number } => {
    const q = (p: number): number => (Math.round(p / points.scale) * points.scale) / 256 - 0.5
    const [a, b] = [q(u) * r.width, q(v) * r.height]
    return {
      name: '',
      x: r.x + a * Math.cos(r.angle) - b * Math.sin(r.angle),
      y: r.y + a * Math.sin(r.angle) + b * Math.cos(r.angle),
    }
  }
  const next = (r: typeof whole, x: number, y: number): typeof whole => {
    const found = {
      box: { x: 0, y: 0, width: 1, height: 1 },
      score: 1,
      label: '',
      index: 0,
      points: [onPhoto(r, x, y), onPhoto(r, x + 40, y)],
    }
    return circle(found, blank(256, 256))!
  }
  const turned = next(whole, 128, 128)
  assert.ok(Math.abs(turned.angle - Math.PI / 2) < 1e-9, 'turned so that the right is up')
  const third = next(turned, 100, 128)
  steps.estimateIn(blank(256, 256), whole)
  steps.estimateIn(blank(256, 256), turned)
  const [last] = steps.estimateIn(blank(256, 256), third)
  assert.ok(near(flat(pose!.points), flat(last!.points)))
})

test('the box of points in a turned crop is the one around them in the photo', async () => {
  const c = cases.find((one) => one.kind === 'blazepose')!
  const estimator = await createPoseEstimator(recorded(c.inputs[1], c.second))
  for (const angle of [0, 0.7, 2, -2.5, Math.PI]) {
    const [pose] = estimator.estimateIn(blank(4000, 4000), { x: 2000, y: 2000, width: 700, height: 700, angle })
    const { x, y, width, height } = pose!.box!
    const [xs, ys] = [pose!.points.map((p) => p.x), pose!.points.map((p) => p.y)]
    assert.ok(
      near([x, y, x + width, y + height], [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)]),
      `turned by ${angle}`,
    )
  }
})

test('a circle needs two points', () => {
  assert.throws(() => crop({ around: 'circle', from: 0 }), /usage\/option.*circle/)
  const found = { box: { x: 0, y: 0, width: 9, height: 9 }, score: 1, label: '', index: 0 }
  assert.is(crop({ around: 'circle', from: 0, to: 1 })(found, blank(9, 9)), undefined)
})

test.run()
