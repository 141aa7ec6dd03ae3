/**
 * Decoding in browsers: the image module where it reads the file, the browser's decoder where not. The browser is
 * played by the two classes that are asked for; real ones run test/web.test.ts.
 */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { decodeAnywhere, decodeInBrowser } from '../src/image/browser-decode.ts'
import { decodeImage } from '../src/image/decode.ts'
import { ThimbleError } from '../src/base/errors.ts'
import { makePng } from './image-files.ts'
import { equalBytes } from './util.ts'

const test = suite('browser-decode')
const png = makePng(5, 4, (x, y, c) => 40 * x + 10 * y + c, { type: 2, depth: 8, interlaced: false })
const gif = new TextEncoder().encode('GIF89a..........')

/** What the browser was asked, in order. */
let asked: string[] = []
let size = { width: 3, height: 2 }
let readable = true
let canvas = true

const browser = {
  async createImageBitmap(blob: Blob, options: object): Promise<object> {
    asked.push(`${blob.size} bytes ${JSON.stringify(options)}`)
    if (!readable) throw new Error('unreadable')
    return { ...size, close: () => asked.push('close') }
  },
  OffscreenCanvas: class {
    readonly width: number
    readonly height: number
    constructor(width: number, height: number) {
      this.width = width
      this.height = height
    }
    getContext(kind: string): object | null {
      if (!canvas) return null
      const { width, height } = this
      return {
        set fillStyle(colour: string) {
          asked.push(`${kind} ${colour}`)
        },
        fillRect: (...at: number[]) => asked.push(`fill ${at}`),
        drawImage: (_: object, ...at: number[]) => asked.push(`draw ${at}`),
        getImageData: (x: number, y: number, w: number, h: number) => ({
          data: new Uint8ClampedArray(4 * w * h).fill(x + y + 10 * width + height),
        }),
      }
    }
  },
}
test.before(() => void Object.assign(globalThis, browser))
test.before.each(() => {
  asked = []
  size = { width: 3, height: 2 }
  readable = true
  canvas = true
})
test.after(() => {
  for (const name of Object.keys(browser)) delete (globalThis as Record<string, unknown>)[name]
})

const refused = async (body: () => Promise<unknown>): Promise<ThimbleError> => {
  try {
    await body()
  } catch (error) {
    if (error instanceof ThimbleError) return error
    throw error
  }
  throw new Error('was not refused')
}

test('what the image module reads has its pixels', async () => {
  const got = await decodeAnywhere(png)
  const want = decodeImage(png)
  assert.equal([got.width, got.height, got.channels, got.reduced], [5, 4, 3, 1])
  equalBytes(got.data, want.data, 'pixels')
  assert.equal(asked, [])
})

test('other pictures are laid over white by the browser', async () => {
  const got = await decodeAnywhere(gif)
  assert.equal([got.width, got.height, got.channels, got.reduced], [3, 2, 4, 1])
  assert.equal(Array.from(got.data), new Array(24).fill(32))
  const how = '{"imageOrientation":"from-image","colorSpaceConversion":"none"}'
  assert.equal(asked, [`${gif.length} bytes ${how}`, '2d #fff', 'fill 0,0,3,2', 'draw 0,0', 'close'])
  assert.is((await decodeInBrowser(new Blob([gif]))).width, 3)
})

test('damage is not tried again, limits hold, the bitmap is closed', async () => {
  assert.is((await refused(() => decodeAnywhere(png.subarray(0, 60)))).code, 'image/truncated')
  assert.is((await refused(() => decodeAnywhere(png, { maxPixels: 19 }))).code, 'image/too-large')
  assert.equal(asked, [])
  size = { width: 5, height: 4 }
  const large = await refused(() => decodeInBrowser(gif, { maxPixels: 19 }))
  assert.match(large.message, /image\/too-large: the image of 5x4 is too large; expected at most 19 pixels, got 20/)
  assert.is(asked.at(-1), 'close')
  assert.is((await decodeInBrowser(gif, { maxPixels: 20 })).height, 4)
  size = { width: 10_000, height: 5001 }
  assert.is((await refused(() => decodeInBrowser(gif))).code, 'image/too-large')
  size = { width: 3, height: 2 }
  canvas = false
  assert.match((await refused(() => decodeInBrowser(gif))).message, /image\/unreadable: the browser gives no 2D canvas/)
  assert.is(asked.at(-1), 'close')
  readable = false
  const odd = await refused(() => decodeInBrowser(new Blob([gif], { type: 'image/gif' })))
  assert.match(odd.message, /can't read this file as an image; got 16 bytes of image\/gif/)
  assert.is((odd.cause as Error).message, 'unreadable')
})

test('where there is no browser, what the image module does not read is refused in its words', async () => {
  Object.assign(globalThis, { OffscreenCanvas: undefined })
  try {
    assert.is((await refused(() => decodeAnywhere(gif))).code, 'image/unsupported-format')
    assert.is((await refused(() => decodeAnywhere(new Uint8Array(99).fill(7)))).code, 'image/unknown-format')
    assert.is((await decodeAnywhere(png)).width, 5)
    assert.equal(asked, [])
  } finally {
    Object.assign(globalThis, browser)
  }
})

test.run()
