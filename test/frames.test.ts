/**
 * Raw frames into every task: packed formats with and without gaps, YUV in all its forms, give a network what the same
 * pixels in RGB give it.
 */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { createClassifier } from '../src/classify/classifier.ts'
import type { Model, PixelImage, TensorInfo, TypedArray } from '../src/graph/types.ts'
import { createDetector, createFaceFinder, createPoseEstimator, createSegmenter, pipeline } from '../src/vision.ts'
import type { PixelFormat, RawFrame } from '../src/image/source.ts'
import { rng } from './util.ts'

const test = suite('frames')
const SIDE = 32
const [WIDTH, HEIGHT] = [37, 23]

/** A network that answers zeros and keeps what it was given. */
function spy(outputs: readonly (readonly number[])[]): { model: Model; seen: () => number[] } {
  let input: number[] = []
  const info = (name: string, shape: readonly number[], dtype: 'uint8' | 'int8'): TensorInfo => ({
    name,
    shape: [...shape],
    dtype,
    scale: 1 / 256,
    zeroPoint: dtype === 'uint8' ? 0 : -128,
  })
  const model: Model = {
    inputs: [info('image', [1, SIDE, SIDE, 3], 'uint8')],
    outputs: outputs.map((shape, i) => info(`out${i}`, shape, 'int8')),
    metadata: {},
    variant: 'simd',
    kernels: 'generic',
    why: '',
    memoryBytes: 0,
    arenaBytes: 0,
    run: (given) => {
      input = Array.from(given as Uint8Array)
      return outputs.map((shape) => new Int8Array(shape.reduce((a, b) => a * b, 1)).fill(-128) as TypedArray)
    },
    reset: () => undefined,
    dispose: () => undefined,
    [Symbol.dispose]: () => undefined,
  }
  return { model, seen: () => input }
}

/** What each task's network sees of an image. */
const TASKS: Record<string, (image: RawFrame | PixelImage) => Promise<number[]>> = {
  async classify(image) {
    const { model, seen } = spy([[1, 10]])
    ;(await createClassifier(model)).classify(image)
    return seen()
  },
  async detect(image) {
    const { model, seen } = spy([[1, 4, 4, 3]])
    ;(await createDetector(model, { head: 'fomo' })).detect(image)
    return seen()
  },
  async pose(image) {
    const { model, seen } = spy([[1, 1, 17, 3]])
    ;(await createPoseEstimator(model)).estimate(image)
    return seen()
  },
  async segment(image) {
    const { model, seen } = spy([[1, SIDE, SIDE, 4]])
    ;(await createSegmenter(model)).segment(image)
    return seen()
  },
  async faces(image) {
    const { model, seen } = spy([[1, 4, 4, 3]])
    ;(await createFaceFinder({ detector: model }, { head: 'fomo' })).find(image as PixelImage)
    return seen()
  },
  async pipeline(image) {
    const { model, seen } = spy([[1, 4, 4, 3]])
    pipeline([await createDetector(model, { head: 'fomo' })]).run(image)
    return seen()
  },
}

const r = rng(20)
const rgb: PixelImage = {
  data: Uint8Array.from({ length: WIDTH * HEIGHT * 3 }, () => r.int(256)),
  width: WIDTH,
  height: HEIGHT,
  channels: 3,
}

/** The same pixels packed, rows `stride` bytes apart, noise between them. */
function packed(format: 'rgb' | 'bgr' | 'rgba' | 'bgra', gap: number): RawFrame {
  const channels = format.length
  const stride = WIDTH * channels + gap
  const data = Uint8Array.from({ length: stride * HEIGHT }, () => r.int(256))
  for (let y = 0; y < HEIGHT; y++) {
    for (let x = 0; x < WIDTH; x++) {
      for (let c = 0; c < 3; c++) {
        const to = format.startsWith('b') ? 2 - c : c
        data[y * stride + x * channels + to] = rgb.data[(y * WIDTH + x) * 3 + c]!
      }
      if (channels === 4) data[y * stride + x * 4 + 3] = 255
    }
  }
  return { data, width: WIDTH, height: HEIGHT, format, ...(gap ? { stride } : {}) }
}

for (const [task, look] of Object.entries(TASKS)) {
  test(`${task}: packed pixels in any order, with and without gaps between rows`, async () => {
    const want = await look(rgb)
    assert.ok(new Set(want).size > 20, 'the network sees a picture')
    for (const format of ['rgb', 'bgr', 'rgba', 'bgra'] as const) {
      for (const gap of [0, 5]) assert.equal(await look(packed(format, gap)), want, `${format}, gap ${gap}`)
    }
  })

  test(`${task}: YUV 4:2:0 in three layouts, with a stride, gives what its pixels give`, async () => {
    const stride = WIDTH + 7
    const [halfWidth, halfHeight] = [(WIDTH + 1) >> 1, (HEIGHT + 1) >> 1]
    const luma = Uint8Array.from({ length: WIDTH * HEIGHT }, () => 16 + r.int(220))
    const [u, v] = [0, 1].map(() => Uint8Array.from({ length: halfWidth * halfHeight }, () => 90 + r.int(80))) as [
      Uint8Array,
      Uint8Array,
    ]
    const half = (x: number, y: number): number => (y >> 1) * halfWidth + (x >> 1)
    // ITU-R BT.601, video range, in real numbers.
    const pixels = new Uint8Array(WIDTH * HEIGHT * 3)
    for (let y = 0, o = 0; y < HEIGHT; y++) {
      for (let x = 0; x < WIDTH; x++, o += 3) {
        const l = ((luma[y * WIDTH + x]! - 16) * 255) / 219
        const [cb, cr] = [((u[half(x, y)]! - 128) * 255) / 224, ((v[half(x, y)]! - 128) * 255) / 224]
        const values = [l + 1.402 * cr, l - 0.344136 * cb - 0.714136 * cr, l + 1.772 * cb]
        values.forEach((value, c) => (pixels[o + c] = Math.max(0, Math.min(255, Math.round(value)))))
      }
    }
    const want = await look({ ...rgb, data: pixels })
    for (const format of ['yuv420', 'nv12', 'nv21'] as const) {
      const got = await look(yuv(format, { luma, u, v, stride }))
      const most = Math.max(...got.map((value, i) => Math.abs(value - want[i]!)))
      // Fixed point against real numbers: the last bit.
      assert.ok(most <= 1, `${format}: ${most} apart`)
    }
  })
}

/** Planes as one buffer, luma rows `stride` apart. */
function yuv(
  format: PixelFormat & ('yuv420' | 'nv12' | 'nv21'),
  { luma, u, v, stride }: { luma: Uint8Array; u: Uint8Array; v: Uint8Array; stride: number },
): RawFrame {
  const [halfWidth, halfHeight] = [(WIDTH + 1) >> 1, (HEIGHT + 1) >> 1]
  const planar = format === 'yuv420'
  const colourStride = planar ? (stride + 1) >> 1 : stride + (stride & 1)
  const data = new Uint8Array(stride * HEIGHT + colourStride * halfHeight * (planar ? 2 : 1)).fill(77)
  for (let y = 0; y < HEIGHT; y++) data.set(luma.subarray(y * WIDTH, (y + 1) * WIDTH), y * stride)
  for (let y = 0; y < halfHeight; y++) {
    for (let x = 0; x < halfWidth; x++) {
      const row = stride * HEIGHT + y * colourStride
      const [first, second] = format === 'nv21' ? [v, u] : [u, v]
      const at = y * halfWidth + x
      data[planar ? row + x : row + 2 * x] = first[at]!
      data[planar ? row + colourStride * halfHeight + x : row + 2 * x + 1] = second[at]!
    }
  }
  return { data, width: WIDTH, height: HEIGHT, format, stride }
}

test('a frame with too few bytes is refused by every task', async () => {
  for (const [task, look] of Object.entries(TASKS)) {
    for (const format of ['rgb', 'nv12', 'yuv420'] as const) {
      let error: unknown
      try {
        await look({ data: new Uint8Array(100), width: WIDTH, height: HEIGHT, format })
      } catch (caught) {
        error = caught
      }
      assert.match(String(error), /image\/pixels/, `${task} ${format}`)
    }
  }
})

test.run()
