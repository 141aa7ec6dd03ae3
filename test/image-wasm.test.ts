/**
 * The image module, with SIMD and without: Pillow's pixels of whole and of damaged files, smaller pictures on request,
 * the same input tensors as the TypeScript preprocessing, no trap.
 */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ThimbleError } from '../src/base/errors.ts'
import type { DType, Preprocess } from '../src/graph/graph.ts'
import { decodeImage } from '../src/image/decode.ts'
import { Preprocessor } from '../src/image/preprocess.ts'
import { fromRaw, type PixelFormat, type RawFrame } from '../src/image/raw-frame.ts'
import { ImageDecoder } from '../src/image/wasm.ts'
import { makePng, withOrientation } from './image-files.ts'
import { equalBytes, rng } from './util.ts'

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
interface Damaged extends Partial<Pixels> {
  name: string
  file: string
  refused?: boolean
  channels?: number
}
const vectors = (name: string): unknown =>
  JSON.parse(readFileSync(new URL(`./vectors/${name}`, import.meta.url), 'utf8'))
const { cases } = vectors('jpeg.json') as { cases: Case[] }
const bytesOf = (c: Case): Uint8Array => Uint8Array.from(Buffer.from(c.jpeg, 'base64'))
const sha256 = (data: Uint8Array | Uint8ClampedArray): string => createHash('sha256').update(data).digest('hex')
const built = (name: string): WebAssembly.Module =>
  new WebAssembly.Module(readFileSync(new URL(`../build/thimble-image-${name}.wasm`, import.meta.url)))
const module = built('simd')
const decoder = new ImageDecoder(module)
const DECODERS = { simd: decoder, scalar: new ImageDecoder(built('scalar')) }

const test = suite('image-wasm')

test('the module imports nothing', () => {
  assert.equal(WebAssembly.Module.imports(module), [])
})

for (const [variant, d] of Object.entries(DECODERS)) {
  test(`${variant}, full size: libjpeg's pixels`, () => {
    assert.ok(cases.length > 10)
    for (const c of cases) {
      const image = d.decode(bytesOf(c))
      assert.is(
        `${image.width}x${image.height}x${image.channels}`,
        `${c.full.width}x${c.full.height}x${c.channels}`,
        c.name,
      )
      assert.is(sha256(image.data), c.full.sha256, c.name)
      assert.is(image.reduced, 1)
    }
  })

  test(`${variant}, scaled: the smallest size that is large enough, with libjpeg's pixels`, () => {
    for (const c of cases) {
      for (const wanted of c.scaled) {
        const got = d.decode(bytesOf(c), { atLeast: wanted })
        assert.is(`${got.width}x${got.height}`, `${wanted.width}x${wanted.height}`, c.name)
        assert.is(sha256(got.data), wanted.sha256, `${c.name} at ${wanted.width}x${wanted.height}`)
      }
    }
  })

  for (const [what, file] of [
    ['damaged files', 'damaged.json'],
    ['arithmetic coding, damaged and not', 'arithmetic.json'],
    ['files as no usual writer makes them', 'odd.json'],
  ] as const) {
    test(`${variant}, ${what}: read and refused as by Pillow, with its pixels`, () => {
      const { cases: damaged } = vectors(file) as { cases: Damaged[] }
      const refused = damaged.filter((c) => c.refused).length
      assert.ok(refused > 15 && damaged.length - refused > 50)
      for (const c of damaged) {
        const bytes = Uint8Array.from(Buffer.from(c.file, 'base64'))
        let said = 'refused'
        try {
          const { width, height, channels, data } = d.decode(bytes)
          said = `${width}x${height}x${channels} ${sha256(data)}`
        } catch (error) {
          assert.instance(error, ThimbleError)
        }
        assert.is(said, c.refused ? 'refused' : `${c.width}x${c.height}x${c.channels} ${c.sha256}`, c.name)
      }
    })
  }
}

test('tables may come first, as an image of their own; what else that says is forgotten', () => {
  const file = bytesOf(cases.find((c) => c.name === 'baseline 4:4:4')!)
  const tables: Uint8Array[] = []
  const others: Uint8Array[] = []
  let at = 2
  while (file[at + 1] !== 0xda) {
    const end = at + 2 + (file[at + 2]! << 8) + file[at + 3]!
    ;([0xdb, 0xc4].includes(file[at + 1]!) ? tables : others).push(file.subarray(at, end))
    at = end
  }
  const restarts = Uint8Array.of(0xff, 0xdd, 0, 4, 0, 1)
  // It says that the samples are RGB.
  const adobe = Uint8Array.of(0xff, 0xee, 0, 14, 0x41, 0x64, 0x6f, 0x62, 0x65, 0, 100, 0, 0, 0, 0, 0)
  const start = Uint8Array.of(0xff, 0xd8)
  const end = Uint8Array.of(0xff, 0xd9)
  for (const more of [[], [restarts], [adobe], [adobe, restarts]]) {
    const parts = [start, ...more, ...tables, end, start, ...others, file.subarray(at)]
    for (const d of Object.values(DECODERS)) {
      equalBytes(d.decode(Buffer.concat(parts)).data, d.decode(file).data, 'pixels')
    }
  }
})

test('EXIF orientation', () => {
  const jpeg = bytesOf(cases.find((c) => c.name === 'baseline 4:4:4')!)
  for (let orientation = 1; orientation <= 8; orientation++) {
    for (const little of [true, false]) {
      const file = withOrientation(jpeg, orientation, little)
      const got = decoder.decode(file)
      const want = decodeImage(file)
      assert.is(`${got.width}x${got.height}`, `${want.width}x${want.height}`)
      equalBytes(got.data, want.data, `orientation ${orientation}`)
    }
  }
})

test('EXIF in several segments is one, as Pillow joins it, whatever lies between', () => {
  const jpeg = bytesOf(cases.find((c) => c.name === 'baseline 4:4:4')!)
  const { width, height } = decoder.decode(jpeg)
  assert.is.not(width, height)
  const tiff = (orientation: number): number[] => [
    ...[0x4d, 0x4d, 0, 42, 0, 0, 0, 8, 0, 1, 1, 0x12, 0, 3, 0, 0, 0, 1, 0, orientation, 0, 0, 0, 0, 0, 0],
  ]
  const EXIF = [...Buffer.from('Exif\0\0')]
  const XMP = [...Buffer.from('http://ns.adobe.com/xap/1.0/\0<x/>')]
  const turned = (...bodies: number[][]): boolean => {
    const segments = bodies.map((body) => Uint8Array.of(0xff, 0xe1, 0, body.length + 2, ...body))
    const shape = decoder.decode(Buffer.concat([jpeg.subarray(0, 2), ...segments, jpeg.subarray(2)]))
    assert.equal([shape.width, shape.height].sort(), [width, height].sort())
    return shape.width === height
  }
  const whole = tiff(6)
  assert.ok(turned([...EXIF, ...whole]))
  for (let at = 0; at <= whole.length; at++) {
    const [a, b] = [whole.slice(0, at), whole.slice(at)].map((part) => [...EXIF, ...part]) as [number[], number[]]
    assert.ok(turned(a, b), `in two at ${at}`)
    assert.ok(turned(a, XMP, EXIF, b), `in three at ${at}`)
  }
  assert.ok(turned([...EXIF, ...whole], [...EXIF, ...tiff(3)]), 'the first counts')
  assert.not(turned([...EXIF, ...tiff(3)], [...EXIF, ...whole]))
  assert.not(turned([...EXIF, 1, 2, 3, 4], [...EXIF, ...whole]), 'what it begins with is no TIFF')
})

test('input tensors equal the TypeScript preprocessing', () => {
  const r = rng(11)
  const hows: Preprocess[] = [
    { fit: 'stretch', method: 'bilinear', channels: 'rgb', mean: [127.5], std: [127.5] },
    { fit: 'crop', shorterSide: 70, method: 'bilinear', channels: 'bgr', mean: [120, 110, 100], std: [60, 61, 62] },
    { fit: 'fit', method: 'area', channels: 'rgb', mean: [0], std: [255] },
    { fit: 'crop', method: 'bilinear-fast', channels: 'gray', mean: [0], std: [255] },
    { fit: 'stretch', method: 'nearest', channels: 'rgb', mean: [0], std: [255] },
  ]
  for (const [width, height] of [
    [90, 50],
    [40, 200],
    [64, 48],
    [300, 7],
    [1, 1],
  ] as const) {
    const png = makePng(width, height, () => r.int(256), { type: 2, depth: 8 })
    const pixels = decodeImage(png)
    for (const how of hows) {
      for (const shape of [
        [1, 48, 64, 3],
        [1, 48, 64, 1],
        [1, 3, 48, 64],
      ]) {
        for (const dtype of ['int8', 'uint8', 'float32'] as DType[]) {
          const input = { name: 'image', shape, dtype, scale: 1 / 127, zeroPoint: dtype === 'int8' ? -1 : 128 }
          const preprocessor = new Preprocessor(input, how)
          const want = preprocessor.createInput()
          const got = preprocessor.createInput()
          preprocessor.run(pixels, want)
          decoder.prepare(png, input, how, got)
          equalBytes(got, want, `${width}x${height} ${how.fit} ${how.method} ${dtype} [${shape}]`)
        }
      }
    }
  }
})

/** A frame of random bytes; planes that a stride makes longer than they need be. */
function randomFrame(r: ReturnType<typeof rng>, size: readonly [number, number], format: PixelFormat): RawFrame {
  const [width, height] = size
  const stride = format === 'yuv420' || format === 'nv12' || format === 'nv21' ? width + r.int(9) : undefined
  const packed = { gray: 1, rgb: 3, bgr: 3, rgba: 4, bgra: 4 }[format as 'rgb'] as number | undefined
  const half = (height + 1) >> 1
  const bytes = packed ? packed * width * height : stride! * height + half * 2 * (stride! + 2)
  const data = Uint8Array.from({ length: bytes }, () => r.int(256))
  return { data, width, height, format, ...(stride && { stride }), fullRange: r.int(2) === 1 }
}

test('raw frames fill the input as their pixels do, and no copy of them is made', () => {
  const r = rng(14)
  const sizes = [
    [64, 48],
    [131, 97],
    // Shrinks more in height: rows come first.
    [40, 333],
    [7, 5],
    [1, 1],
    [16, 2],
  ] as const
  const hows: Preprocess[] = [
    { method: 'bilinear', fit: 'stretch', mean: [127.5], std: [127.5], channels: 'rgb' },
    { method: 'area', fit: 'fit', mean: [0], std: [255], channels: 'bgr' },
    { method: 'nearest', fit: 'crop', mean: [0], std: [1], channels: 'rgb' },
    { method: 'bilinear-fast', fit: 'stretch', mean: [0], std: [1], channels: 'gray' },
  ]
  for (const d of Object.values(DECODERS)) {
    for (const size of sizes) {
      for (const format of ['yuv420', 'nv12', 'nv21', 'rgb', 'bgr', 'gray'] as const) {
        const frame = randomFrame(r, size, format)
        for (const how of hows) {
          for (const shape of [
            [1, 48, 64, 3],
            [1, 33, 21, 1],
            [1, 3, 20, 30],
          ]) {
            const input = { name: 'image', shape, dtype: 'uint8' as DType, scale: 1 / 127, zeroPoint: 128 }
            const preprocessor = new Preprocessor(input, how)
            const [want, got] = [preprocessor.createInput(), preprocessor.createInput()]
            preprocessor.run(fromRaw(frame), want)
            assert.ok(d.prepareFrame(frame, input, how, got))
            equalBytes(got, want, `${size.join('x')} ${format} ${how.fit} ${how.method} [${shape}]`)
          }
        }
      }
    }
  }
  const input = { name: 'image', shape: [1, 8, 8, 3], dtype: 'uint8' as DType, scale: 1, zeroPoint: 0 }
  const out = new Uint8Array(192)
  assert.is(decoder.prepareFrame(randomFrame(r, [9, 9], 'rgba'), input, hows[0]!, out), undefined)
  // Twelve megapixels of RGB are 36 MB; what the module takes is the frame, and a row.
  const small = new ImageDecoder(module, { maxBytes: 20 << 20 })
  const large = { data: new Uint8Array(6_000_000 * 3), width: 4000, height: 3000, format: 'nv12' as const }
  assert.ok(small.prepareFrame(large, input, hows[0]!, out))
  const short = { ...large, data: large.data.subarray(0, 100) }
  assert.throws(() => small.prepareFrame(short, input, hows[0]!, out), /image\/pixels/)
})

test('damaged files: an image or a ThimbleError, never a trap; the module goes on working', () => {
  const r = rng(5)
  const small = new ImageDecoder(module, { maxPixels: 1e6, maxBytes: 16 << 20 })
  const codes = new Map<string, number>()
  const input = { name: 'image', shape: [1, 16, 16, 3], dtype: 'uint8' as DType, scale: 1, zeroPoint: 0 }
  const how: Preprocess = { fit: 'stretch', method: 'bilinear', channels: 'rgb', mean: [0], std: [1] }
  const out = new Uint8Array(16 * 16 * 3)
  for (let n = 0; n < 4000; n++) {
    let bytes = bytesOf(r.pick(cases))
    for (let i = r.int(6); i >= 0; i--) {
      bytes[r.int(r.int(2) ? bytes.length : Math.min(650, bytes.length))] = r.int(3) ? r.int(256) : 255
    }
    if (r.int(4) === 0) bytes = bytes.slice(0, r.int(bytes.length))
    try {
      small.prepare(bytes, input, how, out)
      codes.set('ok', (codes.get('ok') ?? 0) + 1)
    } catch (error) {
      if (!(error instanceof ThimbleError)) throw error
      codes.set(error.code, (codes.get(error.code) ?? 0) + 1)
    }
  }
  for (const code of ['ok', 'image/corrupt', 'image/truncated', 'image/too-large', 'image/unsupported-format']) {
    assert.ok((codes.get(code) ?? 0) > 0, `${code}: ${JSON.stringify([...codes])}`)
  }
  assert.is(sha256(small.decode(bytesOf(cases[0]!)).data), cases[0]!.full.sha256, 'after all that')
})

test('limits and other files are refused by name', () => {
  const code = (body: () => unknown): string => {
    try {
      body()
      return 'no error'
    } catch (error) {
      return (error as ThimbleError).code
    }
  }
  const jpeg = bytesOf(cases.find((c) => c.name === 'baseline 4:4:4')!)
  const at = jpeg.findIndex((b, i) => b === 0xff && jpeg[i + 1] === 0xc0)
  const twelve = jpeg.slice()
  twelve[at + 4] = 12
  const huge = jpeg.slice()
  huge.set([0xff, 0xff, 0xff, 0xff], at + 5)
  assert.is(
    code(() => decoder.decode(twelve)),
    'image/unsupported-format',
  )
  assert.is(
    code(() => decoder.decode(huge)),
    'image/too-large',
  )
  assert.is(
    code(() => new ImageDecoder(module, { maxPixels: 100 }).decode(jpeg)),
    'image/too-large',
  )
  assert.is(
    code(() => new ImageDecoder(module, { maxBytes: 1000 }).decode(jpeg)),
    'image/too-large',
  )
  assert.is(
    code(() => decoder.decode(new Uint8Array(0))),
    'image/empty',
  )
  assert.is(
    code(() => decoder.decode(new TextEncoder().encode('GIF89a......'))),
    'image/unsupported-format',
  )
  assert.is(
    code(() => decoder.decode(new TextEncoder().encode('hello there'))),
    'image/unknown-format',
  )
  assert.is(
    code(() => new ImageDecoder(new WebAssembly.Module(Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0)))),
    'usage/source',
  )
})

test.run()
