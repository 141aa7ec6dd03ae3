/**
 * The parts between a picture and an input tensor, each against its definition: raw frames and what is said of wrong
 * ones, drawables, limits, resizing by hand-made sums, what is assumed of ranges.
 */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { ThimbleError } from '../src/base/errors.ts'
import type { DType, Preprocess } from '../src/graph/graph.ts'
import { decodeImage, imageDecoder } from '../src/image/decode.ts'
import { defaultPreprocess, describePreprocess } from '../src/image/defaults.ts'
import { checkSize } from '../src/image/limits.ts'
import { inputGeometry } from '../src/image/geometry.ts'
import { checkPixels, inputTable, placement, preprocess, Preprocessor } from '../src/image/preprocess.ts'
import { axisTaps, extent, rowsFirst } from '../src/image/resize.ts'
import { fromRaw, type PixelFormat, type RawFrame } from '../src/image/raw-frame.ts'
import { decoded, isFile, pixelsOf } from '../src/image/source.ts'
import type { ImageDecoder } from '../src/image/wasm.ts'
import type { PixelImage, TensorInfo } from '../src/graph/types.ts'
import { makePng, noise } from './image-files.ts'
import { equalBytes, errorCode, refusal, rng } from './util.ts'

const test = suite('image parts')
const tensor = (shape: number[], dtype: DType = 'uint8', scale = 1, zeroPoint = 0): TensorInfo => ({
  name: 'input',
  shape,
  dtype,
  scale,
  zeroPoint,
})
const plain: Preprocess = { fit: 'stretch', method: 'bilinear', channels: 'rgb', mean: [0], std: [1] }

// Raw frames ------------------------------------------------------------------

const PACKED = { gray: 'g', rgb: 'rgb', rgba: 'rgba', bgr: 'bgr', bgra: 'bgra' } as const

test('packed frames of every format and stride: each sample where its name says', () => {
  const r = rng(1)
  for (const [format, order] of Object.entries(PACKED) as [PixelFormat, string][]) {
    for (const [width, height, gap] of [
      [1, 1, 0],
      [3, 2, 0],
      [5, 3, 1],
      [4, 4, 7],
    ] as const) {
      const row = width * order.length
      const stride = row + gap
      // The last row needs no gap behind it.
      const data = Uint8Array.from({ length: stride * (height - 1) + row }, () => r.int(256))
      const got = fromRaw({ data, width, height, format, ...(gap ? { stride } : {}) })
      assert.equal([got.width, got.height, got.channels], [width, height, order.length], format)
      for (let y = 0; y < height; y++) {
        for (let x = 0; x < width; x++) {
          for (const [k, name] of [...order].entries()) {
            const c = name === 'a' ? 3 : name === 'g' ? (order.length === 1 ? 0 : 1) : 'r.b'.indexOf(name)
            assert.is(got.data[(y * width + x) * order.length + c], data[y * stride + x * order.length + k], format)
          }
        }
      }
      const short = { data: data.subarray(1), width, height, format, stride }
      const error = refusal(() => fromRaw(short))
      assert.is(error.code, 'image/pixels')
      assert.equal([error.expected, error.got], [String(data.length), String(data.length - 1)], format)
      assert.match(error.message, `too few bytes for ${width}x${height} in ${format}`)
    }
  }
  const data = noise(2, 12)
  assert.is(fromRaw({ data, width: 2, height: 2, format: 'rgb' }).data, data, 'nothing is copied that must not change')
})

/** BT.601 in real numbers, rounded and clamped. */
const rgbOf = (y: number, u: number, v: number, full: boolean): number[] => {
  const l = full ? y : ((y - 16) * 255) / 219
  const [cb, cr] = [u - 128, v - 128].map((c) => (full ? c : (c * 255) / 224)) as [number, number]
  return [l + 1.402 * cr, l - 0.344136 * cb - 0.714136 * cr, l + 1.772 * cb].map((c) => Math.min(255, Math.max(0, c)))
}

test('YUV 4:2:0: BT.601 of the pixel and of its 2x2 block, both ranges, odd sizes and strides', () => {
  const r = rng(3)
  for (const format of ['yuv420', 'nv12', 'nv21'] as const) {
    for (const [width, height, gap] of [
      [1, 1, 0],
      [2, 2, 0],
      [5, 3, 0],
      [4, 5, 3],
      [7, 4, 2],
    ] as const) {
      for (const fullRange of [false, true]) {
        const stride = width + gap
        const [halfWidth, halfHeight] = [Math.ceil(width / 2), Math.ceil(height / 2)]
        const planar = format === 'yuv420'
        const colourStride = planar ? Math.ceil(stride / 2) : 2 * Math.ceil(stride / 2)
        // Where the last sample ends.
        const luma = stride * height
        const end = planar
          ? luma + colourStride * (2 * halfHeight - 1) + halfWidth
          : luma + colourStride * (halfHeight - 1) + 2 * halfWidth
        const data = Uint8Array.from({ length: end }, () => r.int(256))
        const at = (x: number, y: number, second: boolean): number =>
          planar
            ? luma + colourStride * ((y >> 1) + (second ? halfHeight : 0)) + (x >> 1)
            : luma + colourStride * (y >> 1) + 2 * (x >> 1) + Number(second)
        const frame: RawFrame = { data, width, height, format, fullRange, ...(gap ? { stride } : {}) }
        const got = fromRaw(frame)
        assert.equal([got.width, got.height, got.channels, got.data.length], [width, height, 3, width * height * 3])
        for (let y = 0; y < height; y++) {
          for (let x = 0; x < width; x++) {
            const swapped = format === 'nv21'
            const want = rgbOf(data[y * stride + x]!, data[at(x, y, swapped)]!, data[at(x, y, !swapped)]!, fullRange)
            want.forEach((value, c) => {
              const seen = got.data[(y * width + x) * 3 + c]!
              // Fixed point of 16 bits against real numbers.
              assert.ok(Math.abs(seen - value) <= 0.52, `${format} ${x},${y}: ${seen} for ${value}`)
            })
          }
        }
        const error = refusal(() => fromRaw({ ...frame, data: data.subarray(1) }))
        assert.equal([error.code, error.expected, error.got], ['image/pixels', String(end), String(end - 1)], format)
      }
    }
  }
})

test('YUV with colour in every row: planes of half and of full width, and pairs of pixels; odd sizes and strides', () => {
  const r = rng(4)
  /** Where the luma of a pixel and its two colours lie, and the end of the last sample. */
  type Places = (x: number, y: number) => [luma: number, u: number, v: number]
  const layouts = (width: number, height: number, gap: number): Record<string, [Places, number]> => {
    const half = Math.ceil(width / 2)
    const stride = width + gap
    const [narrow, pairs] = [Math.ceil(stride / 2), 4 * half + gap]
    const planes =
      (across: number, row: number): Places =>
      (x, y) => {
        const u = stride * height + y * row + Math.floor(x / across)
        return [y * stride + x, u, u + row * height]
      }
    const packed =
      (luma: number): Places =>
      (x, y) => {
        const at = y * pairs + 4 * (x >> 1)
        return [at + luma + 2 * (x & 1), at + 1 - luma, at + 3 - luma]
      }
    return {
      yuv422: [planes(2, narrow), stride * height + narrow * (2 * height - 1) + half],
      yuv444: [planes(1, stride), stride * height + stride * (2 * height - 1) + width],
      yuyv: [packed(0), pairs * (height - 1) + 4 * half],
      uyvy: [packed(1), pairs * (height - 1) + 4 * half],
    }
  }
  for (const [width, height, gap] of [
    [1, 1, 0],
    [5, 3, 0],
    [4, 5, 4],
    [7, 2, 3],
  ] as const) {
    for (const [format, [places, end]] of Object.entries(layouts(width, height, gap)) as [
      PixelFormat,
      [Places, number],
    ][]) {
      const data = Uint8Array.from({ length: end }, () => r.int(256))
      const pair = format === 'yuyv' || format === 'uyvy'
      const stride = pair ? 4 * Math.ceil(width / 2) + gap : width + gap
      const frame: RawFrame = { data, width, height, format, ...(gap ? { stride } : {}) }
      const got = fromRaw(frame)
      for (let i = 0; i < width * height; i++) {
        const [y, u, v] = places(i % width, Math.floor(i / width)).map((at) => data[at]!) as [number, number, number]
        rgbOf(y, u, v, false).forEach((value, c) => {
          assert.ok(Math.abs(got.data[3 * i + c]! - value) <= 0.52, `${format} ${width}x${height} at ${i}`)
        })
      }
      const error = refusal(() => fromRaw({ ...frame, data: data.subarray(1) }))
      assert.equal([error.code, error.expected], ['image/pixels', String(end)], format)
    }
  }
})

test('frames that are none: each is told what is wrong', () => {
  const frame: RawFrame = { data: new Uint8Array(12), width: 2, height: 2, format: 'rgb' }
  for (const [change, message] of [
    [
      { format: 'rgb565' },
      /unknown pixel format; expected gray, rgb, bgr, rgba, bgra, yuv420, nv12, nv21, yuv422, yuv444, yuyv, uyvy, got rgb565/,
    ],
    [{ data: [1, 2, 3] }, /not a raw frame; expected .*, got Array/],
    [{ data: 'x' }, /not a raw frame/],
    [{ width: 0 }, /the frame has no size; expected whole numbers from 1 on, got 0x2/],
    [{ height: 0 }, /no size/],
    [{ width: 1.5 }, /no size/],
    [{ height: NaN }, /no size/],
    [{ width: -2, height: -2 }, /no size/],
    [{ stride: 5 }, /the stride is shorter than a row; expected at least 6, got 5/],
    [{ stride: 6.5 }, /stride/],
    [{ format: 'nv12', stride: 1 }, /expected at least 2, got 1/],
    [{ format: 'yuv420', width: 3, height: 3 }, /too few bytes/],
  ] as const) {
    const error = refusal(() => fromRaw({ ...frame, ...change } as unknown as RawFrame))
    assert.is(error.code, 'image/pixels', JSON.stringify(change))
    assert.match(error.message, message)
  }
  assert.is(fromRaw({ ...frame, data: new Uint8ClampedArray(12) }).channels, 3)
  assert.is(fromRaw({ ...frame, data: new Uint8Array(1), width: 1, height: 1, format: 'gray' }).channels, 1)
})

test('pixels with a stride and channels are frames, without one they are themselves', () => {
  const data = Uint8Array.of(1, 2, 3, 4, 5, 6, 99, 99, 7, 8, 9, 10, 11, 12)
  const strided = { data, width: 2, height: 2, channels: 3 as const, stride: 8 }
  assert.equal(Array.from(pixelsOf(strided).data), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12])
  const gray = { data: Uint8Array.of(1, 9, 2), width: 1, height: 2, channels: 1 as const, stride: 2 }
  assert.equal(Array.from(pixelsOf(gray).data), [1, 2])
  const rgba = { data: Uint8Array.of(1, 2, 3, 4, 0, 5, 6, 7, 8), width: 1, height: 2, channels: 4 as const, stride: 5 }
  assert.equal(Array.from(pixelsOf(rgba).data), [1, 2, 3, 4, 5, 6, 7, 8])
  const whole: PixelImage = { data, width: 2, height: 2 }
  assert.is(pixelsOf(whole), whole)
  assert.is(pixelsOf({ ...whole, format: undefined }).data, data)
})

test('drawables: by the sizes that their kinds have, over white; without a canvas they are refused', () => {
  const drawn: unknown[][] = []
  class Canvas {
    readonly width: number
    readonly height: number
    constructor(width: number, height: number) {
      this.width = width
      this.height = height
    }
    getContext(kind: string, options: object): object {
      drawn.push([kind, JSON.stringify(options)])
      return {
        set fillStyle(colour: string) {
          drawn.push([colour])
        },
        fillRect: (...at: number[]) => drawn.push(['fill', ...at]),
        drawImage: (_: object, ...at: number[]) => drawn.push(['draw', ...at]),
        getImageData: (x: number, y: number, w: number, h: number) => ({
          data: new Uint8ClampedArray(4 * w * h).fill(x + y + 7),
        }),
      }
    }
  }
  const kinds: [object, number, number][] = [
    [{ width: 5, height: 4 }, 5, 4],
    [{ displayWidth: 3, displayHeight: 2, width: 9, height: 9 }, 3, 2],
    [{ videoWidth: 6, videoHeight: 1, width: 0, height: 0 }, 6, 1],
    [{ naturalWidth: 2, naturalHeight: 8, width: 1, height: 1 }, 2, 8],
    [{ naturalWidth: 0, naturalHeight: 8, width: 1, height: 3 }, 1, 3],
    [{ naturalWidth: 8, naturalHeight: 0, width: 1, height: 4 }, 1, 4],
    [{ naturalWidth: 8, width: 1, height: 5 }, 1, 5],
    [{ naturalHeight: 8, width: 1, height: 6 }, 1, 6],
  ]
  for (const [source] of kinds) {
    const error = refusal(() => pixelsOf(source))
    assert.is(error.code, 'image/pixels')
    assert.match(error.message, /no canvas to draw on; expected pixels or a raw frame, got Object/)
  }
  Object.assign(globalThis, { OffscreenCanvas: Canvas })
  try {
    for (const [source, width, height] of kinds) {
      drawn.length = 0
      const got = pixelsOf(source)
      assert.equal([got.width, got.height, got.channels], [width, height, 4])
      assert.equal(Array.from(got.data), new Array(width * height * 4).fill(7))
      const asked = ['2d', '{"willReadFrequently":true}']
      assert.equal(drawn, [asked, ['#fff'], ['fill', 0, 0, width, height], ['draw', 0, 0, width, height]])
    }
    for (const [source, got] of [
      [null, 'null'],
      [{}, 'Object'],
      [{ width: 5, height: 0 }, 'Object'],
      [{ width: -5, height: -5 }, 'Object'],
      [{ width: '5', height: 5 }, 'Object'],
      [{ width: 5, height: '5' }, 'Object'],
    ] as const) {
      const error = refusal(() => pixelsOf(source as never))
      assert.is(error.code, 'image/pixels')
      assert.match(error.message, 'not an image; expected pixels, a raw frame with a format')
      assert.is(error.got, got)
    }
  } finally {
    delete (globalThis as Record<string, unknown>).OffscreenCanvas
  }
  assert.is(
    errorCode(() => pixelsOf(7 as never)),
    'image/pixels',
  )
})

test('files: bytes, buffers and blobs, whoever decodes', async () => {
  const png = makePng(3, 2, (x, y, c) => 50 * x + 20 * y + c, { type: 2, depth: 8 })
  const whole = png.buffer.slice(png.byteOffset, png.byteOffset + png.length)
  const want = decodeImage(png)
  for (const source of [png, whole as ArrayBuffer, new Blob([png as Uint8Array<ArrayBuffer>])]) {
    assert.ok(isFile(source))
    const got = await decoded(source)
    equalBytes(got.data, want.data, 'pixels')
    let seen: Uint8Array | undefined
    const own = await decoded(source, (bytes) => {
      seen = bytes
      return { data: new Uint8Array(1), width: 1, height: 1, channels: 1 }
    })
    assert.is(own.width, 1)
    equalBytes(seen!, png, 'bytes')
  }
  for (const other of [want, { data: png, width: 1, height: 1 }, 'x', null, undefined, {}]) {
    assert.not.ok(isFile(other as never))
  }
})

// Limits ----------------------------------------------------------------------

test('limits: what is too large is said in megapixels, with one digit below ten', () => {
  for (const [width, height, maxPixels, got, most] of [
    [8000, 8000, undefined, '64', '50'],
    [2000, 1000, 1_900_000, '2.0', '1.9'],
    [3500, 3000, 10_000_000, '11', '10'],
    [3000, 3000, 8_999_999, '9.0', '9.0'],
    [100, 100, 9999, '0.0', '0.0'],
  ] as const) {
    const error = refusal(() => checkSize('PNG', width, height, maxPixels === undefined ? {} : { maxPixels }))
    assert.is(error.code, 'image/too-large')
    assert.match(error.message, `PNG of ${width}x${height} is ${got} megapixels; expected at most ${most}`)
  }
  checkSize('PNG', 8000, 6250, {})
  checkSize('PNG', 8001, 6250, { maxPixels: Infinity })
})

test('options of decodeImage: sizes that are wanted, as a size or a function of the upright one', () => {
  const png = makePng(4, 2, (x) => x * 60, { type: 0, depth: 8, orientation: 6 })
  const asked: number[][] = []
  const atLeast = (w: number, h: number): { width: number; height: number } => {
    asked.push([w, h])
    return { width: w, height: h }
  }
  assert.is(decodeImage(png, { atLeast }).width, 2)
  assert.equal(asked, [[2, 4]])
  assert.is(decodeImage(png, { atLeast: { width: 0, height: 0 } }).height, 4)
  for (const wrong of [
    { atLeast: 5 },
    { atLeast: null },
    { atLeast: {} },
    { atLeast: { width: 1 } },
    { atLeast: { width: 1.5, height: 1 } },
    { atLeast: { width: -1, height: 1 } },
    { atLeast: { width: 1, height: '1' } },
    { maxPixels: 0 },
    { maxPixels: '5' },
    { maxPixels: NaN },
    { maxBytes: -1 },
    { maxBytes: NaN },
    { maxpixels: 5 },
  ]) {
    assert.match(
      errorCode(() => decodeImage(png, wrong as never)),
      /^usage\//,
      JSON.stringify(wrong),
    )
  }
  for (const bytes of ['x', null, undefined, {}, [1], new Float32Array(3), new ArrayBuffer(9)]) {
    assert.is(
      errorCode(() => decodeImage(bytes as never)),
      'usage/source',
    )
  }
  assert.is(decodeImage(png, { maxPixels: Infinity, maxBytes: Infinity }).width, 2)
  assert.is(
    errorCode(() => decodeImage(png, { maxPixels: 7 })),
    'image/too-large',
  )
  assert.is(
    errorCode(() => decodeImage(png, { maxPixels: 8 })),
    'no error',
  )
})

// Preparing -------------------------------------------------------------------

test('the decoder fills the input that it is given, and no other', () => {
  const png = makePng(9, 7, (x, y, c) => (x * 31 + y * 17 + c * 60) & 255, { type: 2, depth: 8 })
  const decoder: ImageDecoder = imageDecoder()
  const input = tensor([1, 4, 5, 3], 'int8', 1 / 127.5, -1)
  const how = { ...plain, mean: [127.5], std: [127.5] }
  const want = preprocess(decodeImage(png), input, how) as Int8Array
  // An array in the middle of a larger one.
  const room = new Int8Array(80).fill(99)
  const timings = decoder.prepare(png, input, how, room.subarray(10, 70))
  equalBytes(room.subarray(10, 70), want, 'tensor')
  assert.ok(room.subarray(0, 10).every((v) => v === 99) && room.subarray(70).every((v) => v === 99))
  assert.is(timings.reduced, 1)
  assert.ok(timings.decodeMs >= 0 && timings.preprocessMs >= 0)
  // Another model at the same decoder has tables of its own.
  for (const [dtype, scale, zeroPoint] of [
    ['uint8', 1 / 127.5, 127],
    ['uint8', 1 / 255, 127],
    ['uint8', 1 / 255, 3],
    ['float32', 0, 0],
    ['int8', 1 / 127.5, -1],
  ] as const) {
    for (const [mean, std] of [
      [[0], [255]],
      [[10, 20, 30], [255]],
      [[0], [1, 2, 3]],
    ] as const) {
      const other = tensor([1, 4, 5, 3], dtype, scale, zeroPoint)
      const own = new Preprocessor(other, { ...how, mean, std })
      const got = own.createInput()
      decoder.prepare(png, other, own.how, got)
      equalBytes(got, own.run(decodeImage(png)), `${dtype} ${mean} ${std}`)
    }
  }
  for (const wrong of [new Int8Array(59), new Int8Array(61), new Int16Array(60), new Float32Array(60)]) {
    const error = refusal(() => void decoder.prepare(png, input, how, wrong))
    assert.is(error.code, 'usage/tensor')
    assert.match(error.message, `expected int8 x 60, got ${wrong.constructor.name} x ${wrong.length}`)
  }
})

test('`decode: fast` reduces JPEGs to what the input needs, and says by how much', async () => {
  const { readFileSync } = await import('node:fs')
  const { cases } = JSON.parse(readFileSync(new URL('./vectors/jpeg.json', import.meta.url), 'utf8')) as {
    cases: { name: string; jpeg: string; full: { width: number; height: number } }[]
  }
  const large = cases.reduce((a, b) => (b.full.width > a.full.width ? b : a))
  const jpeg = Uint8Array.from(Buffer.from(large.jpeg, 'base64'))
  const input = tensor([1, 4, 4, 3])
  const out = new Uint8Array(48)
  const { width, height } = large.full
  assert.ok(Math.min(width, height) >= 16, `${width}x${height}`)
  for (const [decode, reduced] of [
    ['exact', 1],
    ['fast', 4],
  ] as const) {
    const decoder = imageDecoder({ decode })
    assert.is(decoder.prepare(jpeg, input, plain, out).reduced, reduced, decode)
    const pixels = decodeImage(jpeg, decode === 'fast' ? { atLeast: { width: 4, height: 4 } } : {})
    assert.is(pixels.reduced, reduced)
    equalBytes(out, preprocess(pixels, input, plain), decode)
  }
  assert.is(
    errorCode(() => imageDecoder({ decode: 'quick' } as never)),
    'usage/option',
  )
})

// Geometry --------------------------------------------------------------------

test('input shapes: which hold an image, and how', () => {
  for (const [shape, want] of [
    [
      [1, 4, 5, 3],
      [5, 4, 3, false],
    ],
    [
      [1, 4, 5, 1],
      [5, 4, 1, false],
    ],
    [
      [4, 5, 3],
      [5, 4, 3, false],
    ],
    [
      [1, 3, 4, 5],
      [5, 4, 3, true],
    ],
    [
      [1, 1, 4, 5],
      [5, 4, 1, true],
    ],
    [
      [3, 4, 5],
      [5, 4, 3, true],
    ],
    [
      [1, 3, 3, 3],
      [3, 3, 3, false],
    ],
    [
      [1, 1, 1, 1],
      [1, 1, 1, false],
    ],
  ] as const) {
    const { width, height, channels, nchw } = inputGeometry(tensor([...shape]))
    assert.equal([width, height, channels, nchw], want, shape.join())
  }
  for (const shape of [
    [4, 5],
    [1, 4, 5, 2],
    [1, 4, 5, 4],
    [2, 4, 5, 3],
    [1, 1, 4, 5, 3],
    [1, 4.5, 5, 3],
    [1, -4, 5, 3],
  ]) {
    const error = refusal(() => inputGeometry(tensor(shape)))
    assert.is(error.code, 'image/unsupported-input', shape.join())
    assert.match(error.message, `got [${shape.join(', ')}]`)
  }
})

test("placement: TensorFlow's resize_with_pad and torchvision's crops, by their rules", () => {
  const r = rng(9)
  const even = (x: number): number => {
    const [low, rest] = [Math.floor(x), x - Math.floor(x)]
    return rest < 0.5 || (rest === 0.5 && low % 2 === 0) ? low : low + 1
  }
  for (let n = 0; n < 400; n++) {
    const image = { width: 1 + r.int(90), height: 1 + r.int(90) }
    const input = { width: 1 + r.int(40), height: 1 + r.int(40) }
    const fit = placement(image, input, { ...plain, fit: 'fit' })
    const ratio = Math.max(image.width / input.width, image.height / input.height)
    const size = (of: number, most: number): number => Math.min(most, Math.max(1, Math.floor(of / ratio)))
    const [w, h] = [size(image.width, input.width), size(image.height, input.height)]
    assert.equal(fit, {
      width: w,
      height: h,
      cropX: 0,
      cropY: 0,
      countX: w,
      countY: h,
      padX: Math.floor((input.width - w) / 2),
      padY: Math.floor((input.height - h) / 2),
    })
    for (const shorterSide of [undefined, 1 + r.int(60)]) {
      const crop = placement(image, input, { ...plain, fit: 'crop', ...(shorterSide ? { shorterSide } : {}) })
      // Without a side: the smallest size that covers the input, one side equal to it.
      const scale = shorterSide
        ? shorterSide / Math.min(image.width, image.height)
        : Math.max(input.width / image.width, input.height / image.height)
      for (const [got, of] of [
        [crop.width, image.width],
        [crop.height, image.height],
      ] as const) {
        assert.ok(got <= of * scale + 1e-9 && got > of * scale - 1 - 1e-9, `${got} for ${of * scale}`)
      }
      if (shorterSide) assert.is(Math.min(crop.width, crop.height), shorterSide)
      else assert.ok(crop.width === input.width || crop.height === input.height)
      for (const [size, want, from, count, pad] of [
        [crop.width, input.width, crop.cropX, crop.countX, crop.padX],
        [crop.height, input.height, crop.cropY, crop.countY, crop.padY],
      ] as const) {
        if (size < want) assert.equal([from, count, pad], [0, size, Math.floor((want - size) / 2)])
        else assert.equal([from, count, pad], [even((size - want) / 2), want, 0])
      }
    }
  }
  assert.equal(placement({ width: 7, height: 9 }, { width: 3, height: 2 }, plain), {
    width: 3,
    height: 2,
    cropX: 0,
    cropY: 0,
    countX: 3,
    countY: 2,
    padX: 0,
    padY: 0,
  })
})

test('taps: every output adds up the pixels that its definition names, with weights that make one', () => {
  const ONE = 1 << 22
  for (const method of ['bilinear', 'bilinear-fast', 'area', 'nearest'] as const) {
    for (const [inSize, outSize] of [
      [1, 1],
      [1, 7],
      [2, 5],
      [5, 2],
      [7, 3],
      [100, 9],
      [9, 100],
      [64, 64],
      [10, 9],
    ] as const) {
      const scale = inSize / outSize
      const taps = axisTaps(method, { inSize, outSize, from: 0, count: outSize })
      const [first, last] = extent(taps)
      assert.ok(first >= 0 && last <= inSize, `${method} ${inSize} to ${outSize} reads [${first}, ${last})`)
      assert.is(first, Math.min(...taps.starts))
      assert.is(last, Math.max(...taps.starts.map((s, i) => s + taps.counts[i]!)))
      assert.is(taps.identity, method === 'nearest' || inSize === outSize)
      for (let i = 0; i < outSize; i++) {
        const count = taps.counts[i]!
        assert.ok(count >= 1 && count <= taps.stride)
        const weights = Array.from(taps.weights.subarray(i * taps.stride, i * taps.stride + count))
        const sum = weights.reduce((a, b) => a + b, 0)
        assert.ok(Math.abs(sum - ONE) <= count, `${method}: weights of ${sum / ONE}`)
        const from = taps.starts[i]!
        const weightOf = (x: number): number => (x >= from && x < from + count ? weights[x - from]! / ONE : 0)
        // What each pixel should weigh.
        const want = Array.from({ length: inSize }, (_, x) => {
          const center = (i + 0.5) * scale
          if (inSize === outSize) return Number(x === i)
          if (method === 'nearest') return Number(x === Math.min(inSize - 1, Math.floor(center + 1e-9)))
          if (method === 'area') return Math.max(0, Math.min((i + 1) * scale, x + 1) - Math.max(i * scale, x))
          const support = method === 'bilinear' ? Math.max(1, scale) : 1
          const at = method === 'bilinear' ? center : Math.min(Math.max(center, 0.5), inSize - 0.5)
          return Math.max(0, 1 - Math.abs(x + 0.5 - at) / support)
        })
        const total = want.reduce((a, b) => a + b, 0)
        want.forEach((w, x) => {
          assert.ok(Math.abs(w / total - weightOf(x)) < 1e-6, `${method} ${inSize} to ${outSize}: ${i} of ${x}`)
        })
        // No pixel is read for nothing, but at the ends of Pillow's windows.
        if (method !== 'bilinear' && count > 1) assert.ok(count <= Math.ceil(scale) + 1)
        if (method === 'bilinear') assert.ok(count <= 2 * Math.ceil(Math.max(1, scale)) + 1)
      }
      // A part of an axis is that part of the whole one.
      if (outSize > 2) {
        const part = axisTaps(method, { inSize, outSize, from: 1, count: outSize - 2 })
        assert.equal(Array.from(part.starts), Array.from(taps.starts.subarray(1, outSize - 1)))
        assert.equal(Array.from(part.counts), Array.from(taps.counts.subarray(1, outSize - 1)))
        assert.equal(
          Array.from(part.weights),
          Array.from(taps.weights.subarray(part.stride, (outSize - 1) * part.stride)),
        )
      }
    }
  }
})

test("which direction is resized first: rows where the height shrinks by more than twice the width's pixels", () => {
  for (const [inW, inH, outW, outH, want] of [
    [100, 100, 50, 50, false],
    [100, 200, 90, 180, false],
    [100, 200, 90, 179, true],
    [100, 100, 100, 99, true],
    [100, 100, 100, 100, false],
    [100, 100, 110, 100, false],
    [100, 100, 120, 99, true],
    [100, 100, 120, 101, false],
  ] as const) {
    assert.is(rowsFirst(inW, inH, outW, outH), want, `${inW}x${inH} to ${outW}x${outH}`)
  }
})

test('tensors are the rounded sums of their taps, in either order, any channels, placed and over black', () => {
  const r = rng(21)
  const shift = 2 ** 22
  const round = (v: number): number => Math.min(255, Math.floor((v + shift / 2) / shift))
  for (let n = 0; n < 60; n++) {
    const method = r.pick(['bilinear', 'bilinear-fast', 'area', 'nearest'] as const)
    const fit = r.pick(['stretch', 'crop', 'fit'] as const)
    const [width, height] = [1 + r.int(24), 1 + r.int(40)]
    const channels = r.pick([1, 3, 4] as const)
    const inChannels = r.pick([1, 3] as const)
    const order = r.pick(['rgb', 'bgr', 'gray'] as const)
    const geometry = { width: 1 + r.int(14), height: 1 + r.int(14) }
    const nchw = r.int(2) === 1 && geometry.width > 3
    const picture: PixelImage = { data: noise(n, width * height * channels), width, height, channels }
    const how: Preprocess = { fit, method, channels: order, mean: [3], std: [2] }
    const side = r.int(2) ? { shorterSide: 1 + r.int(20) } : {}
    const input = tensor(
      nchw ? [1, inChannels, geometry.height, geometry.width] : [1, geometry.height, geometry.width, inChannels],
      'float32',
      0,
    )
    const own = { ...how, ...(fit === 'crop' ? side : {}) }
    const { channels: c, nchw: planes } = inputGeometry(input)
    const p = placement(picture, inputGeometry(input), own)
    // Gray: BT.601 of the whole picture first, as Pillow's convert('L').
    const gray = channels > 1 && (c === 1 || order === 'gray')
    const value = (x: number, y: number, k: number): number => {
      const at = (y * width + x) * channels
      if (channels === 1) return picture.data[at]!
      const [red, green, blue] = [0, 1, 2].map((i) => picture.data[at + i]!) as [number, number, number]
      return gray ? (red * 19595 + green * 38470 + blue * 7471 + 32768) >> 16 : picture.data[at + k]!
    }
    const x = axisTaps(method, { inSize: width, outSize: p.width, from: 0, count: p.width })
    const y = axisTaps(method, { inSize: height, outSize: p.height, from: 0, count: p.height })
    const along = (taps: typeof x, i: number, read: (at: number) => number): number => {
      let sum = 0
      for (let k = 0; k < taps.counts[i]!; k++) sum += taps.weights[i * taps.stride + k]! * read(taps.starts[i]! + k)
      return round(sum)
    }
    const rows = height > p.height && height - p.height > 2 * (width - p.width)
    const pixel = (i: number, j: number, k: number): number =>
      rows
        ? along(x, i, (sx) => along(y, j, (sy) => value(sx, sy, k)))
        : along(y, j, (sy) => along(x, i, (sx) => value(sx, sy, k)))
    const got = preprocess(picture, input, own) as Float32Array
    for (let j = 0; j < geometry.height; j++) {
      for (let i = 0; i < geometry.width; i++) {
        for (let k = 0; k < c; k++) {
          const [px, py] = [i - p.padX, j - p.padY]
          const inside = px >= 0 && py >= 0 && px < p.countX && py < p.countY
          const from = order === 'bgr' ? 2 - k : k
          const want = inside ? pixel(px + p.cropX, py + p.cropY, from) : 0
          const at = planes
            ? (k * inputGeometry(input).height + j) * inputGeometry(input).width + i
            : (j * geometry.width + i) * c + k
          assert.is(got[at], Math.fround((want - 3) / 2), `case ${n}: ${method} ${fit} ${order} at ${i},${j},${k}`)
        }
      }
    }
  }
})

test('tables: (pixel - mean) / std in steps of the scale, to even, clamped', () => {
  const even = (x: number): number => {
    const low = Math.floor(x)
    return x - low < 0.5 || (x - low === 0.5 && low % 2 === 0) ? low : low + 1
  }
  const r = rng(30)
  for (const [dtype, min, max] of [
    ['int8', -128, 127],
    ['uint8', 0, 255],
    ['int16', -32768, 32767],
    ['int32', -(2 ** 31), 2 ** 31 - 1],
  ] as const) {
    for (let n = 0; n < 20; n++) {
      const [mean, std, scale, zeroPoint] = [r() * 255, 1 + r() * 200, r() / 20, r.int(100) - 50]
      const table = inputTable(tensor([1, 1, 1, 1], dtype, scale, zeroPoint), mean, std)
      assert.is(table.length, 256)
      table.forEach((v, p) => {
        assert.is(v, Math.min(max, Math.max(min, even((p - mean) / std / scale) + zeroPoint)), `${dtype} ${p}`)
      })
    }
    const unscaled = inputTable(tensor([1, 1, 1, 1], dtype, 0, 0), 0, 2)
    assert.is(unscaled[5], 2, 'without a scale the step is 1, 2.5 goes to 2')
  }
  const reals = inputTable(tensor([1, 1, 1, 1], 'float32', 0, 0), 127.5, 127.5)
  reals.forEach((v, p) => assert.is(v, Math.fround((p - 127.5) / 127.5)))
})

test('pixels: channels are what the bytes say, too few are refused', () => {
  const image = (bytes: number, channels?: number): PixelImage =>
    ({ data: new Uint8Array(bytes), width: 2, height: 3, ...(channels ? { channels } : {}) }) as PixelImage
  assert.equal(
    [6, 18, 24].map((n) => checkPixels(image(n))),
    [1, 3, 4],
  )
  assert.is(checkPixels(image(30, 3)), 3, 'more bytes than pixels need are no fault')
  for (const [picture, message] of [
    [image(12), /2x3 pixels have a wrong number of channels; expected 1, 3 or 4, got 12 bytes: 2 channels/],
    [image(13), /13 bytes: 2.167 channels/],
    [image(0), /0 channels/],
    [image(17, 3), /too few bytes for 2x3x3; expected 18, got 17/],
    [image(12, 2), /12 bytes: 2 channels/],
    [{ ...image(6), width: -1 }, /not an image; .* got Uint8Array of -1x3/],
    [{ ...image(6), height: 0 }, /Uint8Array of 2x0/],
    [{ ...image(6), height: 1.5 }, /Uint8Array of 2x1.5/],
    [{}, /not an image; .*got object/],
  ] as const) {
    const error = refusal(() => checkPixels(picture as PixelImage))
    assert.is(error.code, 'image/pixels')
    assert.match(error.message, message)
  }
})

// What is assumed -------------------------------------------------------------

test('what is assumed of a quantized input, at both ends of every range', () => {
  const span = (dtype: 'int8' | 'uint8', low: number, high: number, channels = 3): TensorInfo => {
    const scale = (high - low) / 255
    return tensor([1, 4, 4, channels], dtype, scale, (dtype === 'int8' ? -128 : 0) - low / scale)
  }
  const kind = (t: TensorInfo): string => {
    const { assumed, guessed } = defaultPreprocess(t)
    assert.is(guessed, true)
    return (
      /covers (0 to 1|-1 to 1|0 to 255|-128 to 127)\)/.exec(assumed)?.[1] ??
      (/ImageNet/.test(assumed) ? 'ImageNet' : '?')
    )
  }
  for (const dtype of ['int8', 'uint8'] as const) {
    for (const [name, low, high, slack] of [
      ['0 to 1', 0, 1, 0.02],
      ['-1 to 1', -1, 1, 0.03],
      ['0 to 255', 0, 255, 2],
      ['-128 to 127', -128, 127, 2],
      ['ImageNet', -2.118, 2.64, 0.15],
    ] as const) {
      for (const [a, b] of [
        [0, 0],
        [0.9, 0],
        [-0.9, 0],
        [0, 0.9],
        [0, -0.9],
      ] as const) {
        assert.is(kind(span(dtype, low + a * slack, high + b * slack)), name)
      }
      for (const [a, b] of [
        [1.2, 0],
        [-1.2, 0],
        [0, 1.2],
        [0, -1.2],
      ] as const) {
        assert.is(kind(span(dtype, low + a * slack, high + b * slack)), '?', `${name} ${a} ${b}`)
      }
    }
    assert.is(kind(span(dtype, -2.118, 2.64, 1)), '?', 'ImageNet is in colour')
    // What is assumed of the pixel: q = pixel, or pixel - 128.
    for (const t of [
      span(dtype, 0, 1),
      span(dtype, -1, 1),
      tensor([1, 4, 4, 1], dtype, 0),
      tensor([1, 4, 4, 3], dtype, -1),
    ]) {
      const { preprocess: how, assumed } = defaultPreprocess(t)
      assert.match(assumed, dtype === 'int8' ? 'the pixel itself, minus 128 (' : 'the pixel itself (')
      const table = inputTable({ ...t, zeroPoint: Math.round(t.zeroPoint) }, how.mean[0]!, how.std[0]!)
      if (t.scale > 0) assert.is(table[200], dtype === 'int8' ? 72 : 200)
      assert.is(how.channels, t.shape[3] === 1 ? 'gray' : 'rgb')
      assert.equal([how.fit, how.method], ['stretch', 'bilinear'])
    }
    const odd = defaultPreprocess(span(dtype, -3, 12.3456))
    assert.match(odd.assumed, 'covers -3.00 to 12.3, which fits no usual range')
    assert.equal([odd.preprocess.mean, odd.preprocess.std], [[127.5], [127.5]])
  }
  const imagenet = defaultPreprocess(span('int8', -2.118, 2.64)).preprocess
  assert.equal(
    [imagenet.mean, imagenet.std],
    [
      [123.675, 116.28, 103.53],
      [58.395, 57.12, 57.375],
    ],
  )
  const other = defaultPreprocess(tensor([1, 4, 4, 3], 'float32', 0))
  assert.match(other.assumed, 'a float32 input does not say its range')
  assert.equal([other.preprocess.mean, other.preprocess.std, other.guessed], [[127.5], [127.5], true])
  const said = { preprocess: plain }
  assert.equal(
    defaultPreprocess(tensor([1, 4, 4, 3]), { ...said, preprocessFrom: 'assumed: from its name' }).guessed,
    true,
  )
  const from = defaultPreprocess(tensor([1, 4, 4, 3]), { ...said, preprocessFrom: 'from its QUANTIZE' })
  assert.equal([from.assumed, from.guessed], ['from its QUANTIZE', false])
})

test('a preprocessing in words', () => {
  const words = (how: Partial<Preprocess>, shape = [1, 3, 5, 3]): string =>
    describePreprocess({ ...plain, ...how }, tensor(shape))
  assert.is(words({ mean: [0.1234567], std: [1] }), 'stretch to 5x3 (bilinear), RGB, (pixel - 0.123457)')
  assert.is(words({ fit: 'crop' }), 'centre-crop 5x3 (bilinear), RGB, pixel')
  assert.is(words({ fit: 'crop', shorterSide: 9 }), 'shorter side to 9, centre-crop 5x3 (bilinear), RGB, pixel')
  assert.is(words({ mean: [0, 0, 0], std: [2, 2, 2] }), 'stretch to 5x3 (bilinear), RGB, pixel / 2')
  assert.is(words({ mean: [0, 1, 0] }), 'stretch to 5x3 (bilinear), RGB, (pixel - [0, 1, 0])')
  assert.is(words({ channels: 'gray' }, [1, 3, 5, 1]), 'stretch to 5x3 (bilinear), gray, pixel')
})

test('errors of the image module name the format, the fault and what to do', () => {
  const png = makePng(3, 2, () => 9, { type: 2, depth: 8 })
  const broken = png.slice()
  broken[30]! ^= 1
  for (const [bytes, code, message] of [
    [png.subarray(0, 40), 'image/truncated', /PNG: .*; copy or download the file again/],
    [broken, 'image/corrupt', /PNG: the checksum of a chunk is wrong; the file is damaged/],
    [new Uint8Array(0), 'image/empty', /the image has no bytes; expected JPEG, PNG, BMP, PPM or PGM, got 0 bytes/],
    [Uint8Array.of(1, 2), 'image/unknown-format', /got bytes 01 02$/],
    [new Uint8Array(8).fill(0xab), 'image/unknown-format', /got bytes ab ab ab ab$/],
    [
      new TextEncoder().encode('GIF89a'),
      'image/unsupported-format',
      /in GIF format; .*got GIF; convert it to JPEG or PNG/,
    ],
  ] as const) {
    let error: ThimbleError | undefined
    for (const decode of [decodeImage, (b: Uint8Array) => imageDecoder().decode(b)]) {
      error = refusal(() => void decode(bytes))
      assert.is(error.code, code)
      assert.match(error.message, message)
    }
  }
})

test.run()
