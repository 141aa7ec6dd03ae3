/** A closer look at weak detections: who gets one, what it must say, and where what it finds lies. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { PixelImage } from '../src/graph/types.ts'
import { withCloserLooks } from '../src/vision/closer.ts'
import type { Detection } from '../src/vision/detector.ts'

const test = suite('closer')
const SIDE = 100
/** Pixels say where in the whole photo they are: red is x, green is y. */
const photo: PixelImage = {
  width: SIDE,
  height: SIDE,
  channels: 3,
  data: Uint8Array.from({ length: SIDE * SIDE * 3 }, (_, i) => {
    const at = Math.floor(i / 3)
    return [at % SIDE, Math.floor(at / SIDE), 0][i % 3]!
  }),
}
const found = (x: number, y: number, size: number, score: number): Detection => ({
  box: { x, y, width: size, height: size },
  score,
  label: 'face',
  index: 0,
})

/** Things at fixed places of the photo, with their score in the whole of it, and in squares of 2 and 3 sides around. */
interface Thing {
  at: [x: number, y: number, size: number]
  whole: number
  closer: readonly [number, number]
}

/** A detector that knows the things, by where a crop begins and how large it is; and how often it was asked. */
function detector(things: readonly Thing[]): { detect(image: PixelImage): Detection[]; asked: PixelImage[] } {
  const asked: PixelImage[] = []
  return {
    asked,
    detect(image) {
      asked.push(image)
      const [left, top] = [image.data[0]!, image.data[1]!]
      return things
        .flatMap(({ at: [x, y, size], whole, closer }): Detection[] => {
          const score = image === photo ? whole : image.width <= 2 * size ? closer[0] : closer[1]
          const inside = x >= left && y >= top && x + size <= left + image.width && y + size <= top + image.height
          return score > 0 && inside ? [found(x - left, y - top, size, score)] : []
        })
        .sort((a, b) => b.score - a.score)
    },
  }
}

test('a weak one counts where both squares agree, with the lower score, in pixels of the photo', () => {
  const { detect, asked } = detector([
    { at: [40, 40, 10], whole: 0.3, closer: [0.9, 0.8] },
    { at: [10, 70, 10], whole: 0.4, closer: [0.9, 0.3] },
    { at: [70, 10, 10], whole: 0.2, closer: [0, 0.9] },
  ])
  assert.equal(withCloserLooks(photo, detect, 0.5), [found(40, 40, 10, 0.8)])
  assert.equal(
    asked.map(({ width }) => width),
    [100, 20, 30, 20, 30, 20, 30],
  )
})

test('sure ones stay as they are, first, and their surroundings get no second look', () => {
  const sure: Thing = { at: [40, 40, 20], whole: 0.7, closer: [0, 0] }
  const { detect, asked } = detector([sure, { at: [42, 43, 20], whole: 0.4, closer: [0.99, 0.99] }])
  assert.equal(withCloserLooks(photo, detect, 0.5), [found(40, 40, 20, 0.7)])
  assert.is(asked.length, 1)
})

test('at the edge of the photo the square is cut', () => {
  const { detect, asked } = detector([{ at: [0, 92, 8], whole: 0.2, closer: [0.6, 0.7] }])
  assert.equal(withCloserLooks(photo, detect, 0.5), [found(0, 92, 8, 0.6)])
  assert.equal(
    asked.slice(1).map(({ width, height }) => [width, height]),
    [
      [12, 12],
      [16, 16],
    ],
  )
})

test('a bounded number of weak ones is looked at, and two of one thing count once', () => {
  const crowd = Array.from({ length: 30 }, (_, i): Thing => ({
    at: [(i % 6) * 16, Math.floor(i / 6) * 16, 6],
    whole: 0.2,
    closer: [0, 0],
  }))
  const many = detector(crowd)
  assert.equal(withCloserLooks(photo, many.detect, 0.5), [])
  assert.is(many.asked.length, 1 + 2 * 8)
  const twice = detector([
    { at: [40, 40, 10], whole: 0.3, closer: [0.9, 0.9] },
    { at: [41, 41, 10], whole: 0.2, closer: [0.9, 0.9] },
  ])
  assert.is(withCloserLooks(photo, twice.detect, 0.5).length, 1)
})

test.run()
