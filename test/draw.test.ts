/** Drawing on photos: what is drawn is where it should be, readable, and inside the picture. */
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { encodePng } from '../src/cli/tensor-picture.ts'
import type { Detection } from '../src/vision/detector.ts'
import { annotate, captions, enlargement } from '../src/draw/annotate.ts'
import { Canvas, type Colour } from '../src/draw/canvas.ts'
import { glyph, layout, plainText } from '../src/draw/font.ts'
import { decodeImage } from '../src/image/decode.ts'
import type { PixelImage } from '../src/graph/types.ts'

const gray = (width: number, height: number, value = 128): PixelImage => ({
  data: new Uint8Array(width * height * 3).fill(value),
  width,
  height,
  channels: 3,
})
const pixel = (p: PixelImage, x: number, y: number): number[] => [
  ...p.data.subarray((y * p.width + x) * 3, (y * p.width + x) * 3 + 3),
]
const RED: Colour = [255, 0, 0]

test('a rectangle covers whole pixels fully and parts of pixels in part', () => {
  const c = new Canvas(gray(6, 4, 0))
  c.fillRect({ x: 1, y: 1, width: 2, height: 2 }, [200, 200, 200])
  for (let y = 0; y < 4; y++) {
    for (let x = 0; x < 6; x++) assert.is(pixel(c, x, y)[0], x >= 1 && x < 3 && y >= 1 && y < 3 ? 200 : 0, `${x}, ${y}`)
  }
  const half = new Canvas(gray(4, 1, 0))
  half.fillRect({ x: 0.5, y: 0, width: 2, height: 1 }, [200, 200, 200])
  assert.equal(
    [0, 1, 2, 3].map((x) => pixel(half, x, 0)[0]),
    [100, 200, 100, 0],
  )
})

test('a line goes from one end to the other', () => {
  const c = new Canvas(gray(20, 20, 0))
  c.line({ from: { x: 2.5, y: 2.5 }, to: { x: 17.5, y: 17.5 } }, { width: 2, colour: RED })
  for (let i = 2; i < 18; i++) assert.ok(pixel(c, i, i)[0]! > 200)
  assert.equal(pixel(c, 2, 17), [0, 0, 0])
})

test('every printable character has a look of its own', () => {
  const looks = new Map<string, string>()
  for (let code = 33; code < 127; code++) {
    const g = glyph(String.fromCharCode(code))
    assert.ok(g.width >= 1 && g.width <= 5 && g.strokes.length > 0, String.fromCharCode(code))
    const look = JSON.stringify(g.strokes)
    // An apostrophe and a bar may be alike but for their place; none is exactly alike.
    assert.is(looks.get(look), undefined, `${String.fromCharCode(code)} looks like ${looks.get(look)}`)
    looks.set(look, String.fromCharCode(code))
  }
  assert.is(plainText('crème brûlée'), 'creme brulee')
  assert.is(plainText('狗 dog'), '? dog')
  assert.ok(layout('iii').width < layout('mmm').width)
})

type Box = readonly [x: number, y: number, width: number, height: number]
const detection = ([x, y, width, height]: Box, label = 'thing', index = 0): Detection => ({
  box: { x, y, width, height },
  score: 0.987,
  label,
  index,
})

test('labels', () => {
  assert.equal(captions(detection([0, 0, 1, 1])), ['thing 99%'])
  assert.equal(
    captions({
      ...detection([0, 0, 1, 1]),
      age: 30.4,
      gender: { label: 'female', score: 1 },
      expression: { label: 'happy', score: 1 },
    }),
    ['female, 30', 'happy'],
  )
  assert.equal(captions({ ...detection([0, 0, 1, 1]), expression: { label: 'happy', score: 1 } }), ['happy'])
})

/** Rows and columns where a picture differs from plain gray. */
function touched(p: PixelImage, value = 128): { left: number; top: number; right: number; bottom: number } {
  const r = { left: Infinity, top: Infinity, right: -1, bottom: -1 }
  for (let y = 0; y < p.height; y++) {
    for (let x = 0; x < p.width; x++) {
      if (pixel(p, x, y).every((v) => v === value)) continue
      r.left = Math.min(r.left, x)
      r.right = Math.max(r.right, x)
      r.top = Math.min(r.top, y)
      r.bottom = Math.max(r.bottom, y)
    }
  }
  return r
}

test('a box is drawn on its edge with its label above it', () => {
  const at = touched(annotate(gray(400, 300), [detection([100, 120, 150, 90])]))
  assert.ok(
    Math.abs(at.left - 100) <= 3 && Math.abs(at.right - 250) <= 3 && Math.abs(at.bottom - 210) <= 3,
    JSON.stringify(at),
  )
  assert.ok(at.top > 95 && at.top < 112, `label top ${at.top}`)
})

test('the photo itself is left as it is', () => {
  const photo = gray(50, 50)
  annotate(photo, [detection([5, 5, 20, 20])])
  assert.ok(photo.data.every((v) => v === 128))
})

test('a label at the top, at the right and of any length stays inside, whole', () => {
  for (const d of [
    detection([0, 0, 60, 40]),
    detection([350, 2, 50, 100]),
    detection([380, 250, 20, 50]),
    detection([0, 0, 400, 300]),
    detection(
      [10, 100, 50, 50],
      'a name that is much longer than any picture is wide, and then some more of it so that it must be cut',
    ),
  ]) {
    const drawn = annotate(gray(400, 300), [d])
    // Text is white or near black on its plate; its rows must be complete: at least a plate's height of plate colour.
    let best = 0
    for (let x = 0; x < 400; x++) {
      let run = 0
      for (let y = 0; y < 300; y++) {
        const [r, g, b] = pixel(drawn, x, y) as [number, number, number]
        run = g > 130 && g < 170 && r < 40 && b > 90 && b < 130 ? run + 1 : 0
        best = Math.max(best, run)
      }
    }
    assert.ok(best >= 16, `no plate of full height for ${JSON.stringify(d.box)}: ${best}`)
  }
})

test('property: nothing that can be detected makes drawing fail', () => {
  const number = fc.double({ min: -50, max: 150, noNaN: true })
  const size = fc.double({ min: 0.01, max: 200, noNaN: true })
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 80 }),
      fc.integer({ min: 1, max: 80 }),
      fc.array(fc.tuple(number, number, size, size, fc.string(), fc.integer({ min: 0, max: 90 })), { maxLength: 5 }),
      (w, h, list) => {
        const drawn = annotate(
          gray(w, h),
          list.map(([x, y, bw, bh, label, index]) => detection([x, y, bw, bh], label, index)),
        )
        assert.is(drawn.data.length, w * h * 3 * enlargement({ width: w, height: h }) ** 2)
      },
    ),
    { seed: 3, numRuns: 100 },
  )
})

test('an annotated picture is a PNG that comes back the same', () => {
  const drawn = annotate(gray(320, 90), [detection([20, 30, 50, 40])])
  const back = decodeImage(encodePng(drawn))
  assert.is(back.width, 320)
  assert.equal([...back.data], [...drawn.data])
})

test.run()
