/**
 * Image to input tensor: Pillow's pixels, placement, channel order, quantization, and what is assumed about bare
 * models.
 */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ThimbleError } from '../src/base/errors.ts'
import type { DType, Preprocess } from '../src/graph/graph.ts'
import { decodeImage } from '../src/image/decode.ts'
import { defaultPreprocess, describePreprocess } from '../src/image/defaults.ts'
import { placement, preprocess, Preprocessor } from '../src/image/preprocess.ts'
import type { PixelImage, TensorInfo } from '../src/graph/types.ts'
import { noise } from './image-files.ts'
import { equalBytes, need, shared } from './util.ts'

const test = suite('preprocess')
const tensor = (shape: number[], dtype: DType = 'uint8', scale = 1, zeroPoint = 0): TensorInfo => ({
  name: 'input',
  shape,
  dtype,
  scale,
  zeroPoint,
})
const plain: Preprocess = { fit: 'stretch', method: 'bilinear', channels: 'rgb', mean: [0], std: [1] }
const image = (width: number, height: number, channels: 1 | 3 | 4, seed = 1): PixelImage => ({
  data: noise(seed, width * height * channels),
  width,
  height,
  channels,
})

interface Row {
  seed: number
  width: number
  height: number
  channels: 1 | 3
  method: 'bilinear' | 'nearest'
  outWidth: number
  outHeight: number
  sha256: string
  first: number[]
}
const recorded = JSON.parse(readFileSync(new URL('./vectors/resize.json', import.meta.url), 'utf8')) as { cases: Row[] }

for (const r of recorded.cases) {
  test(`${r.method} ${r.width}x${r.height}x${r.channels} to ${r.outWidth}x${r.outHeight} equals Pillow`, () => {
    const how: Preprocess = { ...plain, method: r.method, channels: r.channels === 1 ? 'gray' : 'rgb' }
    const got = preprocess(
      image(r.width, r.height, r.channels, r.seed),
      tensor([1, r.outHeight, r.outWidth, r.channels]),
      how,
    ) as Uint8Array
    assert.equal(Array.from(got.subarray(0, 6)), r.first)
    assert.is(createHash('sha256').update(got).digest('hex'), r.sha256)
  })
}

test("an image of the input's size passes unchanged, whatever the method", () => {
  const picture = image(9, 7, 3)
  for (const method of ['bilinear', 'bilinear-fast', 'nearest', 'area'] as const) {
    equalBytes(preprocess(picture, tensor([1, 7, 9, 3]), { ...plain, method }), picture.data, method)
  }
})

test('area: whole pixels are averaged, parts are weighted', () => {
  const how: Preprocess = { ...plain, method: 'area', channels: 'gray' }
  const row = (data: number[], out: number): number[] =>
    Array.from(
      preprocess(
        { data: Uint8Array.from(data), width: data.length, height: 1, channels: 1 },
        tensor([1, 1, out, 1]),
        how,
      ) as Uint8Array,
    )
  assert.equal(row([0, 10, 100, 200], 2), [5, 150])
  // 3 to 2: (30 + 60/2) / 1.5 and (60/2 + 90) / 1.5
  assert.equal(row([30, 60, 90], 2), [40, 80])
  assert.equal(row([10, 200], 4), [10, 10, 200, 200])
})

test('bilinear-fast: two taps a direction at half-pixel centres', () => {
  const how: Preprocess = { ...plain, method: 'bilinear-fast', channels: 'gray' }
  const row = (data: number[], out: number): number[] =>
    Array.from(
      preprocess(
        { data: Uint8Array.from(data), width: data.length, height: 1, channels: 1 },
        tensor([1, 1, out, 1]),
        how,
      ) as Uint8Array,
    )
  assert.equal(row([0, 100], 4), [0, 25, 75, 100])
  assert.equal(row([0, 0, 0, 80, 120, 0, 0, 0], 2), [0, 0], 'shrinking by 4 looks at pixels 1, 2 and 5, 6 only')
  assert.equal(row([0, 10, 30, 80], 2), [5, 55])
})

test("placement: torchvision's Resize and CenterCrop", () => {
  const crop: Preprocess = { ...plain, fit: 'crop', shorterSide: 256 }
  const rows: [number, number, [number, number, number, number]][] = [
    // size after Resize(256), then the corner of CenterCrop(224)
    [640, 480, [341, 256, 58, 16]],
    [480, 640, [256, 341, 16, 58]],
    [256, 256, [256, 256, 16, 16]],
    [500, 375, [341, 256, 58, 16]],
    [1000, 999, [256, 256, 16, 16]],
    [300, 257, [298, 256, 37, 16]],
    // (259 - 224) / 2 = 17.5 and (257 - 224) / 2 = 16.5 round to even
    [259, 256, [259, 256, 18, 16]],
    [257, 256, [257, 256, 16, 16]],
  ]
  for (const [w, h, want] of rows) {
    const p = placement({ width: w, height: h }, { width: 224, height: 224 }, crop)
    assert.equal([p.width, p.height, p.cropX, p.cropY], want, `${w}x${h}`)
    assert.equal([p.countX, p.countY, p.padX, p.padY], [224, 224, 0, 0])
  }
  // A crop larger than the scaled image is padded, the odd pixel on the right and below.
  const small = placement({ width: 100, height: 100 }, { width: 225, height: 225 }, { ...crop, shorterSide: 200 })
  assert.equal([small.countX, small.padX, small.cropX], [200, 12, 0])
})

test('placement: covering and letterbox, square and not', () => {
  assert.equal(
    Object.values(placement({ width: 400, height: 200 }, { width: 100, height: 100 }, { ...plain, fit: 'crop' })).slice(
      0,
      4,
    ),
    [200, 100, 50, 0],
  )
  assert.equal(
    Object.values(placement({ width: 100, height: 400 }, { width: 160, height: 120 }, { ...plain, fit: 'crop' })).slice(
      0,
      4,
    ),
    [160, 640, 0, 260],
  )
  const fit = placement({ width: 400, height: 200 }, { width: 100, height: 100 }, { ...plain, fit: 'fit' })
  assert.equal([fit.width, fit.height, fit.padX, fit.padY, fit.countX, fit.countY], [100, 50, 0, 25, 100, 50])
  const odd = placement({ width: 3, height: 1000 }, { width: 64, height: 64 }, { ...plain, fit: 'fit' })
  assert.equal([odd.width, odd.height, odd.padX], [1, 64, 31])
})

test('cropping gives the same pixels as resizing all and cutting', () => {
  for (const [w, h] of [
    [61, 40],
    [40, 90],
    [33, 33],
  ] as const) {
    const picture = image(w, h, 3, w)
    const how: Preprocess = { ...plain, fit: 'crop', shorterSide: 24 }
    const p = placement({ width: w, height: h }, { width: 20, height: 20 }, how)
    const whole = preprocess(picture, tensor([1, p.height, p.width, 3]), plain) as Uint8Array
    const cut = preprocess(picture, tensor([1, 20, 20, 3]), how) as Uint8Array
    for (let y = 0; y < 20; y++) {
      for (let i = 0; i < 60; i++) {
        assert.is(cut[y * 60 + i], whole[((p.cropY + y) * p.width + p.cropX) * 3 + i], `${w}x${h} row ${y}`)
      }
    }
  }
})

test("letterbox: black bars are black in the tensor's own terms", () => {
  const white: PixelImage = { data: new Uint8Array(8 * 4 * 3).fill(255), width: 8, height: 4, channels: 3 }
  const got = preprocess(white, tensor([1, 4, 4, 3], 'int8', 1 / 127.5, -1), {
    ...plain,
    fit: 'fit',
    mean: [127.5],
    std: [127.5],
  })
  // Black is -1: round(-1 / scale) - 1 = -127.5 rounded to even, -128, minus 1, clamped.
  assert.equal(Array.from(got.subarray(0, 3) as Int8Array), [-128, -128, -128])
  assert.ok(Array.from(got.subarray(12, 36) as Int8Array).every((v) => v > 120))
})

test('channels: RGBA drops alpha, BGR swaps, gray spreads, colour becomes luma', () => {
  const rgba: PixelImage = { data: Uint8Array.of(10, 20, 30, 99), width: 1, height: 1 }
  const one = (how: Partial<Preprocess>, shape = [1, 1, 1, 3], picture = rgba): number[] =>
    Array.from(preprocess(picture, tensor(shape), { ...plain, ...how }) as Uint8Array)
  assert.equal(one({}), [10, 20, 30])
  assert.equal(one({ channels: 'bgr' }), [30, 20, 10])
  assert.equal(one({ channels: 'bgr', mean: [5, 0, 0] }), [25, 20, 10], "mean and std follow the tensor's channels")
  assert.equal(one({}, [1, 1, 1, 3], { data: Uint8Array.of(7), width: 1, height: 1, channels: 1 }), [7, 7, 7])
  // (10 * 19595 + 20 * 38470 + 30 * 7471 + 32768) >> 16
  assert.equal(one({ channels: 'gray' }, [1, 1, 1, 1]), [18])
  assert.equal(one({ channels: 'gray' }), [18, 18, 18])
  assert.equal(
    one({}, [1, 1, 1, 3], { data: new Uint8ClampedArray([1, 2, 3, 255]), width: 1, height: 1 }),
    [1, 2, 3],
    'ImageData',
  )
})

test('NCHW and rank 3', () => {
  const picture = image(4, 3, 3)
  const nchw = preprocess(picture, tensor([1, 3, 3, 4]), plain) as Uint8Array
  const nhwc = preprocess(picture, tensor([3, 4, 3]), plain) as Uint8Array
  for (let i = 0; i < 12; i++) for (let c = 0; c < 3; c++) assert.is(nchw[c * 12 + i], nhwc[i * 3 + c])
})

test('quantization: nearest even, clamped, per channel; floats exact to float32', () => {
  const ramp: PixelImage = { data: Uint8Array.from({ length: 256 }, (_, i) => i), width: 256, height: 1, channels: 1 }
  type Pair = readonly [number, number]
  const values = (dtype: DType, [scale, zeroPoint]: Pair, [mean, std]: Pair): number[] =>
    Array.from(
      preprocess(ramp, tensor([1, 1, 256, 1], dtype, scale, zeroPoint), {
        ...plain,
        channels: 'gray',
        mean: [mean],
        std: [std],
      }) as Int8Array,
    )
  assert.equal(
    values('int8', [1 / 256, -128], [0, 256]),
    Array.from({ length: 256 }, (_, i) => i - 128),
  )
  assert.equal(values('int8', [2, 0], [0, 1]).slice(0, 8), [0, 0, 1, 2, 2, 2, 3, 4], 'ties to even')
  assert.equal(values('uint8', [1, 200], [0, 1])[255], 255)
  assert.equal(values('float32', [0, 0], [127.5, 127.5])[3], Math.fround((3 - 127.5) / 127.5))
  assert.equal(values('int16', [0.01, 0], [0, 255])[255], 100)
  for (const [dtype, low, high] of [
    ['int8', -128, 127],
    ['uint8', 0, 255],
    ['int16', -32768, 32767],
    ['int32', -2147483648, 2147483647],
  ] as const) {
    assert.is(values(dtype, [1e-9, 0], [0, 1])[255], high, dtype)
    assert.is(values(dtype, [1e-9, 0], [255, 1])[0], low, dtype)
    assert.is(values(dtype, [1, 0], [0, 4])[200], 50, dtype)
  }
  const rgb = preprocess(
    { data: Uint8Array.of(100, 100, 100), width: 1, height: 1, channels: 3 },
    tensor([1, 1, 1, 3], 'float32', 0, 0),
    { ...plain, mean: [0, 50, 100], std: [1, 2, 4] },
  )
  assert.equal(Array.from(rgb as Float32Array), [100, 25, 0])
})

test("a Preprocessor gives the same answers in any order of sizes, and fills the caller's array", () => {
  const p = new Preprocessor(tensor([1, 12, 10, 3]), { ...plain, fit: 'fit' })
  const pictures = [image(50, 30, 3, 1), image(10, 12, 4, 2), image(9, 80, 1, 3), image(50, 30, 3, 4)]
  const alone = pictures.map((x) => preprocess(x, p.input, p.how))
  const out = p.createInput()
  for (const order of [
    [0, 1, 2, 3],
    [3, 2, 1, 0],
    [1, 1, 0, 3, 2, 0],
  ]) {
    for (const i of order) {
      assert.is(p.run(pictures[i]!, out), out)
      equalBytes(out, alone[i]!, `picture ${i}`)
    }
  }
})

test('extreme shapes', () => {
  for (const [w, h] of [
    [1, 1],
    [1, 5000],
    [5000, 1],
    [2, 3],
  ] as const) {
    for (const fit of ['stretch', 'crop', 'fit'] as const) {
      for (const method of ['bilinear', 'bilinear-fast', 'nearest', 'area'] as const) {
        const flat: PixelImage = { data: new Uint8Array(w * h * 3).fill(77), width: w, height: h, channels: 3 }
        const got = preprocess(flat, tensor([1, 8, 8, 3]), { ...plain, fit, method }) as Uint8Array
        assert.ok(
          got.every((v) => v === 77 || (fit === 'fit' && v === 0)),
          `${w}x${h} ${fit} ${method}`,
        )
        assert.ok(got.includes(77))
      }
    }
  }
})

test('refused: wrong tensors, arrays, pixels and settings', () => {
  const fails = (run: () => unknown, code: string): void =>
    assert.throws(run, (e: Error) => e instanceof ThimbleError && e.code === code)
  for (const shape of [[1, 10], [2, 4, 4, 3], [1, 4, 4, 5], [4], [1, 0, 4, 3]]) {
    fails(() => preprocess(image(2, 2, 3), tensor(shape), plain), 'image/unsupported-input')
  }
  fails(() => preprocess(image(2, 2, 3), tensor([1, 2, 2, 3], 'int64'), plain), 'image/unsupported-input')
  fails(() => preprocess(image(2, 2, 3), tensor([1, 2, 2, 3]), plain, new Uint8Array(11)), 'usage/tensor')
  fails(() => preprocess(image(2, 2, 3), tensor([1, 2, 2, 3]), plain, new Int8Array(12)), 'usage/tensor')
  const ok = { data: new Uint8Array(12), width: 2, height: 2 }
  for (const bad of [
    { ...ok, width: 0 },
    { ...ok, width: 1.5 },
    { ...ok, width: 3 },
    { ...ok, data: [1, 2, 3] },
    { ...ok, channels: 4 },
    { ...ok, channels: 2 },
    undefined,
    null,
    'x',
  ]) {
    fails(() => preprocess(bad as unknown as PixelImage, tensor([1, 2, 2, 3]), plain), 'image/pixels')
  }
  for (const bad of [
    { fit: 'x' },
    { method: 'cubic' },
    { channels: 'hsv' },
    { std: [0] },
    { mean: [1, 2] },
    { mean: [NaN] },
    { shorterSide: 0 },
    { shorterSide: 1e9 },
  ]) {
    fails(
      () => preprocess(image(2, 2, 3), tensor([1, 2, 2, 3]), { ...plain, ...bad } as Preprocess),
      'usage/preprocess',
    )
  }
})

test('assumed: identity for the usual quantizations, mean and std otherwise, in words', () => {
  const ramp: PixelImage = { data: Uint8Array.from({ length: 256 }, (_, i) => i), width: 256, height: 1, channels: 1 }
  const identity: [DType, number, number][] = [
    ['uint8', 1 / 128, 128],
    ['uint8', 1 / 255, 0],
    ['uint8', 0.0078125, 127],
    ['int8', 1 / 255, -128],
    ['int8', 1, -128],
    ['int8', 1 / 127.5, -1],
    ['int8', 1 / 127.5, 0],
    ['uint8', 0, 0],
    ['int8', 0, 0],
  ]
  for (const [dtype, scale, zeroPoint] of identity) {
    const input = tensor([1, 1, 256, 1], dtype, scale, zeroPoint)
    const d = defaultPreprocess(input)
    assert.match(d.assumed, /the pixel itself/, `${dtype} ${scale} ${zeroPoint}`)
    assert.equal(
      Array.from(preprocess(ramp, input, d.preprocess) as Int8Array),
      Array.from({ length: 256 }, (_, i) => (dtype === 'int8' ? i - 128 : i)),
      `${dtype} ${scale} ${zeroPoint}`,
    )
  }
  const imagenet = defaultPreprocess(tensor([1, 8, 8, 3], 'int8', 0.018658, -14))
  assert.equal(imagenet.preprocess.mean, [123.675, 116.28, 103.53])
  // What the quantization covers, and whether it is ImageNet's -2.118 to 2.640 within 0.15.
  for (const [low, high, fits] of [
    [-2.118, 2.64, true],
    [-2.26, 2.78, true],
    [-1.98, 2.5, true],
    [-2.3, 2.64, false],
    [-1.95, 2.64, false],
    [-2.118, 2.82, false],
    [-2.118, 2.46, false],
    [-3.5, 3.9, false],
  ] as const) {
    // A zero point with a fraction gives the ends exactly.
    const scale = (high - low) / 255
    const { assumed } = defaultPreprocess(tensor([1, 8, 8, 3], 'int8', scale, -128 - low / scale))
    assert.is(/ImageNet/.test(assumed), fits, `${low} to ${high}`)
  }
  for (const odd of [tensor([1, 8, 8, 3], 'int8', 0.05, 3), tensor([1, 8, 8, 3], 'float32', 0, 0)]) {
    const d = defaultPreprocess(odd)
    assert.equal([d.preprocess.mean, d.preprocess.std], [[127.5], [127.5]])
    assert.match(d.assumed, /^assumed: /)
  }
  const own = { ...plain, mean: [1], std: [2] }
  assert.equal(defaultPreprocess(tensor([1, 8, 8, 3]), { preprocess: own }), {
    preprocess: own,
    assumed: 'from the model file',
    guessed: false,
  })
  assert.is(
    describePreprocess({ ...own, fit: 'crop', shorterSide: 256 }, tensor([1, 224, 224, 3])),
    'shorter side to 256, centre-crop 224x224 (bilinear), RGB, (pixel - 1) / 2',
  )
  const words = (how: Partial<Preprocess>): string => describePreprocess({ ...plain, ...how }, tensor([1, 32, 64, 3]))
  assert.is(words({}), 'stretch to 64x32 (bilinear), RGB, pixel')
  assert.is(words({ std: [255] }), 'stretch to 64x32 (bilinear), RGB, pixel / 255')
  assert.is(words({ mean: [128] }), 'stretch to 64x32 (bilinear), RGB, (pixel - 128)')
  assert.is(words({ fit: 'fit', channels: 'bgr' }), 'fit into 64x32, black bars (bilinear), BGR, pixel')
  assert.is(words({ fit: 'crop', method: 'area' }), 'centre-crop 64x32 (area), RGB, pixel')
  assert.is(
    words({ channels: 'gray', mean: [1, 1, 1], std: [2, 2.0000001, 3] }),
    'stretch to 64x32 (bilinear), gray, (pixel - 1) / [2, 2, 3]',
  )
})

/** Inputs recorded with Pillow's resize of these photographs, pixel minus 128 for int8. */
const RECORDED = [
  'vww_96_int8',
  'mobilenet_v2_1.0_224_quant',
  'tf2_mobilenet_v2_1.0_224_ptq',
  'movenet_single_pose_lightning_ptq',
  'pretrainedResnet_quant',
  'deeplabv3_mnv2_dm05_pascal_quant',
]

interface Manifest {
  inputs: [{ name: string; shape: number[]; dtype: DType; scales: number[]; zeroPoints: number[] }]
  cases: string[]
}

need(
  test,
  'recorded inputs of six networks come out byte for byte',
  { resource: shared('goldens'), missing: 'no ../shared' },
  (goldens) => {
    for (const model of RECORDED) {
      const manifest = JSON.parse(readFileSync(`${goldens}/${model}/manifest.json`, 'utf8')) as Manifest
      const [i] = manifest.inputs
      const input = tensor(i.shape, i.dtype, i.scales[0] ?? 0, i.zeroPoints[0] ?? 0)
      let compared = 0
      for (const name of manifest.cases) {
        const photo = shared(`images/${name}.bmp`) ?? shared(`images/${name}.jpg`)
        if (!photo) continue
        const got = preprocess(decodeImage(readFileSync(photo)), input, defaultPreprocess(input).preprocess)
        equalBytes(got, readFileSync(`${goldens}/${model}/${name}.in0.bin`), `${model} ${name}`)
        compared++
      }
      assert.ok(compared >= 3, `only ${compared} photographs`)
    }
  },
)

test.run()
