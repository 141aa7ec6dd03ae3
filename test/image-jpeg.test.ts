/** JPEG: the pixels of libjpeg, at full size and scaled; what is refused. */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ThimbleError } from '../src/base/errors.ts'
import { decodeImage } from '../src/image/decode.ts'
import { withOrientation } from './image-files.ts'
import { rng } from './util.ts'

interface Pixels {
  width: number
  height: number
  sha256: string
}
interface Case {
  name: string
  jpeg: string
  channels: number
  full: Pixels
  scaled: Pixels[]
}
const { cases } = JSON.parse(readFileSync(new URL('./vectors/jpeg.json', import.meta.url), 'utf8')) as { cases: Case[] }
const bytesOf = (c: Case): Uint8Array => Uint8Array.from(Buffer.from(c.jpeg, 'base64'))
const sha256 = (data: Uint8Array | Uint8ClampedArray): string => createHash('sha256').update(data).digest('hex')
const byName = (name: string): Uint8Array => bytesOf(cases.find((c) => c.name === name)!)

const test = suite('image-jpeg')

for (const c of cases) {
  test(`${c.name}: libjpeg's pixels`, () => {
    const image = decodeImage(bytesOf(c))
    assert.is(`${image.width}x${image.height}x${image.channels}`, `${c.full.width}x${c.full.height}x${c.channels}`)
    assert.is(sha256(image.data), c.full.sha256)
  })
  test(`${c.name}: libjpeg's pixels when scaled`, () => {
    for (const wanted of c.scaled) {
      const image = decodeImage(bytesOf(c), { atLeast: wanted })
      assert.is(`${image.width}x${image.height}`, `${wanted.width}x${wanted.height}`)
      assert.is(sha256(image.data), wanted.sha256, `at ${wanted.width}x${wanted.height}`)
    }
  })
}

test('scaled: never smaller than asked for, and the function gets the upright size', () => {
  const turned = withOrientation(byName('progressive 4:2:0'), 6)
  let asked = ''
  const image = decodeImage(turned, {
    atLeast: (w, h) => {
      asked = `${w}x${h}`
      return { width: 16, height: 23 }
    },
  })
  assert.is(asked, '33x45')
  assert.is(`${image.width}x${image.height}`, '17x23')
})

test('EXIF orientation: all eight, both byte orders', () => {
  const jpeg = byName('baseline 4:4:4')
  const upright = decodeImage(jpeg)
  const { width: w, height: h, data } = upright
  // Where output pixel (x, y) comes from, by the standard's description of each value.
  const source: Record<number, (x: number, y: number) => [number, number]> = {
    1: (x, y) => [x, y],
    2: (x, y) => [w - 1 - x, y],
    3: (x, y) => [w - 1 - x, h - 1 - y],
    4: (x, y) => [x, h - 1 - y],
    5: (x, y) => [y, x],
    6: (x, y) => [y, h - 1 - x],
    7: (x, y) => [w - 1 - y, h - 1 - x],
    8: (x, y) => [w - 1 - y, x],
  }
  for (let orientation = 1; orientation <= 8; orientation++) {
    for (const little of [true, false]) {
      const got = decodeImage(withOrientation(jpeg, orientation, little))
      assert.is(`${got.width}x${got.height}`, orientation > 4 ? `${h}x${w}` : `${w}x${h}`)
      for (let y = 0; y < got.height; y++) {
        for (let x = 0; x < got.width; x++) {
          const [sx, sy] = source[orientation]!(x, y)
          for (let c = 0; c < 3; c++) {
            assert.is(
              got.data[(y * got.width + x) * 3 + c],
              data[(sy * w + sx) * 3 + c],
              `orientation ${orientation} at ${x}, ${y}`,
            )
          }
        }
      }
    }
  }
  assert.is(decodeImage(withOrientation(jpeg, 9)).width, w, 'out of range: upright')
})

test('EXIF orientation: only what lies within its segment counts', () => {
  const jpeg = byName('baseline 4:4:4')
  const { width: w, height: h } = decodeImage(jpeg)
  for (const little of [true, false]) {
    const whole = withOrientation(jpeg, 6, little)
    assert.is(decodeImage(whole).width, h)
    // The segment ends before the entry does: the TIFF block is 8 bytes, a count and one entry of 12, 4 for the next.
    const end = 2 + 4 + 6 + 8 + 2 + 12
    for (let short = 1; short <= 12; short++) {
      const file = Uint8Array.from([...whole.subarray(0, end - short), ...jpeg.subarray(2)])
      file[4] = (end - short - 4) >> 8
      file[5] = (end - short - 4) & 255
      assert.is(decodeImage(file).width, w, `${short} bytes short`)
    }
    const exact = Uint8Array.from([...whole.subarray(0, end), ...jpeg.subarray(2)])
    exact[4] = (end - 4) >> 8
    exact[5] = (end - 4) & 255
    assert.is(decodeImage(exact).width, h, 'the entry is the last thing')
  }
})

/** The error's code. */
function codeOf(bytes: Uint8Array, options = {}): string {
  try {
    decodeImage(bytes, options)
  } catch (error) {
    assert.instance(error, ThimbleError, String((error as Error).stack))
    assert.not.match((error as Error).message, /\n/)
    return (error as ThimbleError).code
  }
  return 'decoded'
}

test('every truncation is refused', () => {
  for (const name of ['baseline 4:2:0', 'progressive 4:2:0', 'restart markers', 'CMYK']) {
    const jpeg = byName(name)
    // The last two bytes are the end marker, which only a progressive file needs; the byte before may be padding bits.
    const needed = name.startsWith('progressive') ? jpeg.length : jpeg.length - 3
    for (let n = 0; n < needed; n++) {
      const code = codeOf(jpeg.subarray(0, n))
      assert.ok(
        /^image\/(empty|truncated|corrupt|unknown-format)$/.test(code),
        `${name} cut to ${n} of ${jpeg.length}: ${code}`,
      )
    }
  }
})

test('mutants end in an image or a ThimbleError, in bounded time', () => {
  const random = rng(11)
  const outcomes = new Map<string, number>()
  const start = performance.now()
  for (let i = 0; i < 3000; i++) {
    const jpeg = bytesOf(random.pick(cases)).slice()
    for (let k = random.int(4); k >= 0; k--) jpeg[2 + random.int(jpeg.length - 2)] = random.int(256)
    const t = performance.now()
    const code = codeOf(jpeg, { maxPixels: 1e6 })
    assert.ok(performance.now() - t < 2000, `mutant ${i} took ${performance.now() - t} ms`)
    outcomes.set(code, (outcomes.get(code) ?? 0) + 1)
  }
  assert.ok(
    (outcomes.get('image/corrupt') ?? 0) > 100 && (outcomes.get('decoded') ?? 0) > 100,
    JSON.stringify([...outcomes]),
  )
  assert.ok(performance.now() - start < 15000)
})

test('scans are bounded before they are decoded', () => {
  const jpeg = byName('progressive 4:2:0')
  const scan = jpeg.findIndex((b, i) => b === 0xff && jpeg[i + 1] === 0xda)
  const body = jpeg.subarray(scan, jpeg.length - 2)
  const repeated = (n: number): Uint8Array =>
    Uint8Array.from([...jpeg.subarray(0, scan), ...Array.from({ length: n }, () => [...body]).flat(), 0xff, 0xd9])
  // As for libjpeg, the same scan again is odd, not wrong.
  assert.is(codeOf(repeated(2)), 'decoded')
  assert.is(codeOf(repeated(600)), 'image/too-large')
  // A file that one scan completes must end there.
  const gray = byName('gray')
  const only = gray.findIndex((b, i) => b === 0xff && gray[i + 1] === 0xda)
  const twice = [...gray.subarray(0, gray.length - 2), ...gray.subarray(only)]
  assert.is(codeOf(Uint8Array.from(twice)), 'image/corrupt')
})

test('refused by name: lossless, arithmetic coding or not, 12 bits, two components', () => {
  const frame = (marker: number, precision: number, components: number): Uint8Array =>
    Uint8Array.from([
      0xff,
      0xd8,
      0xff,
      marker,
      0,
      8 + components * 3,
      precision,
      0,
      16,
      0,
      16,
      components,
      ...Array.from({ length: components }, (_, i) => [i + 1, 0x11, 0]).flat(),
      0xff,
      0xd9,
    ])
  for (const [bytes, words] of [
    [frame(0xcb, 8, 3), /lossless/],
    [frame(0xc3, 8, 3), /lossless/],
    [frame(0xc1, 12, 3), /12 bits/],
    [frame(0xc0, 8, 2), /1, 3 or 4 colour/],
  ] as const) {
    assert.throws(
      () => decodeImage(bytes),
      (e: Error) => e instanceof ThimbleError && e.code === 'image/unsupported-format' && words.test(e.message),
    )
  }
})

test('the size is judged before anything is decoded', () => {
  const huge = byName('baseline 4:4:4').slice()
  const sof = huge.findIndex((b, i) => b === 0xff && huge[i + 1] === 0xc0)
  huge.set([0xff, 0xff, 0xff, 0xff], sof + 5)
  const start = performance.now()
  assert.is(codeOf(huge), 'image/too-large')
  huge.set([0x10, 0x00, 0x10, 0x00], sof + 5)
  assert.is(codeOf(huge, { maxBytes: 20e6 }), 'image/too-large', 'memory, not pixels')
  assert.ok(performance.now() - start < 500)
})

test.run()
