/** PNG, BMP, PNM and the door: every variant against the samples it was made of, and what is refused. */
import { deflateSync } from 'node:zlib'
import { readFileSync } from 'node:fs'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ThimbleError } from '../src/base/errors.ts'
import { checkSize } from '../src/image/limits.ts'
import { sniffOther } from '../src/image/sniff.ts'
import { decodeImage, type DecodeOptions } from '../src/image/decode.ts'
import { exif, makeBmp, makePng, noise, pngChunk, type PngOptions } from './image-files.ts'
import { refusal, rng } from './util.ts'

const test = suite('image-decode')
const text = (s: string): Uint8Array => new TextEncoder().encode(s)
const overWhite = (v: number, a: number): number => Math.round((v * a + 255 * (255 - a)) / 255)

function errorOf(bytes: Uint8Array, options: DecodeOptions = {}): ThimbleError | undefined {
  try {
    decodeImage(bytes, options)
    return undefined
  } catch (error) {
    assert.instance(error, ThimbleError, String((error as Error).stack))
    assert.not.match((error as Error).message, /[\n\r]/)
    return error as ThimbleError
  }
}

const SIZES = [
  [1, 1],
  [5, 3],
  [13, 9],
  [33, 17],
] as const

for (const [type, depths] of [
  [0, [1, 2, 4, 8, 16]],
  [2, [8, 16]],
  [3, [1, 2, 4, 8]],
  [4, [8, 16]],
  [6, [8, 16]],
] as const) {
  for (const depth of depths) {
    for (const interlaced of [false, true]) {
      test(`PNG type ${type}, ${depth} bits${interlaced ? ', interlaced' : ''}`, () => {
        for (const [w, h] of SIZES) {
          const n = noise(w * 100 + depth, w * h * 8)
          const max = 2 ** depth - 1
          const colours = Math.min(256, max + 1)
          const palette = Array.from(noise(depth, colours * 3))
          const alphas = Array.from(noise(depth + 1, colours))
          const sample = (x: number, y: number, c: number): number => {
            const at = (y * w + x) * 8 + c * 2
            return depth === 16 ? (n[at]! << 8) | n[at + 1]! : n[at]! & max
          }
          const options: PngOptions = {
            type,
            depth,
            interlaced,
            ...(w > 5 ? { split: 11 } : {}),
            ...(type === 3 ? { palette, transparency: alphas } : {}),
          }
          const image = decodeImage(makePng(w, h, sample, options))
          const channels = type === 0 || type === 4 ? 1 : 3
          assert.is(`${image.width}x${image.height}x${image.channels}`, `${w}x${h}x${channels}`)
          // Of 16-bit gray Pillow's conversion leaves what is above 255 white.
          const byte = (v: number): number => (depth < 16 ? (v * 255) / max : type === 0 ? Math.min(v, 255) : v >> 8)
          for (let y = 0; y < h; y++) {
            for (let x = 0; x < w; x++) {
              for (let c = 0; c < channels; c++) {
                const index = sample(x, y, 0)
                const want =
                  type === 3
                    ? overWhite(palette[index * 3 + c]!, alphas[index]!)
                    : type === 4 || type === 6
                      ? overWhite(byte(sample(x, y, c)), byte(sample(x, y, channels)))
                      : byte(sample(x, y, c))
                assert.is(image.data[(y * w + x) * channels + c], want, `${w}x${h} at ${x}, ${y}, ${c}`)
              }
            }
          }
        }
      })
    }
  }
}

interface Recorded {
  name: string
  file: string
  width: number
  height: number
  rgb: string
}

// tools/goldens/png.py made them.
const { cases: recorded } = JSON.parse(readFileSync(new URL('./vectors/png.json', import.meta.url), 'utf8')) as {
  cases: Recorded[]
}
test('PNG: colour keys, alpha and orientation in text, as Pillow shows them over white', () => {
  assert.ok(recorded.length > 80)
  for (const { name, file, width, height, rgb } of recorded) {
    const image = decodeImage(Uint8Array.from(Buffer.from(file, 'base64')))
    assert.is(`${image.width}x${image.height}`, `${width}x${height}`, name)
    const seen = image.channels === 1 ? Array.from(image.data).flatMap((v) => [v, v, v]) : image.data
    assert.is(Buffer.from(seen).toString('hex'), rgb, name)
  }
})

test('PNG: EXIF and XMP behind the image data count, those of the next frame not', () => {
  const png = makePng(4, 2, (x, y) => 40 * x + y, { type: 0, depth: 8 })
  const end = png.length - 12
  const behind = (...chunks: number[][]): number => {
    const file = Uint8Array.from([...png.subarray(0, end), ...chunks.flat(), ...png.subarray(end)])
    return decodeImage(file).width
  }
  const turned = pngChunk('eXIf', exif(6))
  const xmp = pngChunk('iTXt', Array.from(text('XML:com.adobe.xmp\0\0\0\0\0<rdf:Description tiff:Orientation="8"/>')))
  const control = pngChunk('fcTL', new Uint8Array(26))
  assert.is(behind(), 4)
  assert.is(behind(turned), 2)
  assert.is(behind(xmp), 2)
  // EXIF counts before XMP, wherever it stands.
  assert.is(behind(xmp, pngChunk('eXIf', exif(1))), 4)
  assert.is(behind(control, turned), 2, 'no APNG')
  // The picture is a frame itself when it has a header, and one more when it has none.
  for (const [frames, first, width] of [
    [1, [], 4],
    [2, [], 4],
    [1, control, 2],
    [2, control, 4],
  ] as const) {
    const header = [...pngChunk('acTL', [0, 0, 0, frames, 0, 0, 0, 0]), ...first]
    const file = [
      ...png.subarray(0, 33),
      ...header,
      ...png.subarray(33, end),
      ...(first.length ? pngChunk('fcTL', [0, 0, 0, 1, ...new Uint8Array(22)]) : control),
      ...turned,
      ...png.subarray(end),
    ]
    assert.is(decodeImage(Uint8Array.from(file)).width, width, `${frames} frames, ${first.length} bytes of header`)
  }
})

test('PNG: XMP whose text is cut off anywhere says nothing', () => {
  const png = makePng(4, 2, (x, y) => 40 * x + y, { type: 0, depth: 8 })
  const whole = text('XML:com.adobe.xmp\0\0\0en\0key\0<x tiff:Orientation="6"/>')
  for (let length = 0; length <= whole.length; length++) {
    const chunk = pngChunk('iTXt', whole.slice(0, length))
    const image = decodeImage(Uint8Array.from([...png.subarray(0, 33), ...chunk, ...png.subarray(33)]))
    assert.is(image.width, length < whole.length - 3 ? 4 : 2, `${length} bytes`)
  }
})

test('PNG: EXIF orientation', () => {
  const image = decodeImage(makePng(3, 2, (x, y) => y * 3 + x, { type: 0, depth: 8, orientation: 6 }))
  assert.is(`${image.width}x${image.height}`, '2x3')
  assert.equal(Array.from(image.data), [3, 0, 4, 1, 5, 2])
})

test('BMP: 1, 4, 8, 16, 24, 32 bits, bottom-up and top-down', () => {
  for (const [w, h] of SIZES) {
    for (const bits of [1, 4, 8, 16, 24, 32]) {
      for (const topDown of [false, true]) {
        const n = noise(bits * 100 + w, w * h * 4)
        const number = (x: number, y: number): number => {
          const i = (y * w + x) * 4
          return bits <= 8
            ? n[i]! & (2 ** bits - 1)
            : bits === 16
              ? ((n[i]! << 8) | n[i + 1]!) & 0x7fff
              : n[i]! + n[i + 1]! * 256 + n[i + 2]! * 65536
        }
        const palette = Array.from({ length: bits <= 8 ? 2 ** bits : 0 }, (_, i) => [
          (i * 3) & 255,
          (i * 7) & 255,
          (i * 11) & 255,
        ])
        const image = decodeImage(makeBmp({ width: w, height: h, bits }, number, { topDown, palette }))
        for (let y = 0; y < h; y++) {
          for (let x = 0; x < w; x++) {
            const v = number(x, y)
            const want =
              bits <= 8
                ? palette[v]!
                : bits === 16
                  ? [v >> 10, (v >> 5) & 31, v & 31].map((c) => Math.floor((c * 255) / 31))
                  : [(v >> 16) & 255, (v >> 8) & 255, v & 255]
            assert.equal(
              Array.from(image.data.subarray((y * w + x) * 3, (y * w + x) * 3 + 3)),
              want,
              `${bits} bits ${w}x${h} at ${x}, ${y}`,
            )
          }
        }
      }
    }
  }
})

test('BMP: bit fields, real and empty alpha, OS/2 header', () => {
  const green = decodeImage(makeBmp({ width: 1, height: 1, bits: 16 }, () => 0x07e0, { masks: [0xf800, 0x7e0, 0x1f] }))
  assert.equal(Array.from(green.data), [0, 255, 0])
  const masks = [0xff, 0xff00, 0xff0000, 0xff000000]
  const half = decodeImage(
    makeBmp({ width: 2, height: 1, bits: 32 }, (x) => (x ? 0x80000000 : 0xff0000ff), { masks, v4: true }),
  )
  assert.equal(Array.from(half.data), [255, 0, 0, 127, 127, 127])
  const empty = decodeImage(makeBmp({ width: 1, height: 1, bits: 32 }, () => 0x0000ff, { masks, v4: true }))
  assert.equal(Array.from(empty.data), [255, 0, 0])
  const core = decodeImage(
    makeBmp({ width: 2, height: 1, bits: 1 }, (x) => x, {
      core: true,
      palette: [
        [1, 2, 3],
        [4, 5, 6],
      ],
    }),
  )
  assert.equal(Array.from(core.data), [1, 2, 3, 4, 5, 6])
})

test('PNM: P1 to P6, comments, maxval', () => {
  const rows: [string, Uint8Array, number[], number][] = [
    ['P1', text('P1\n# a comment\n3 2\n1 0 1\n010'), [0, 255, 0, 255, 0, 255], 1],
    ['P2', text('P2 # c\n2 2 # c\n15\n0 5\n10 15'), [0, 85, 170, 255], 1],
    ['P3', text('P3\n1 2\n255\n1 2 3\n4 5 6'), [1, 2, 3, 4, 5, 6], 3],
    [
      'P4',
      Uint8Array.of(...text('P4 10 1\n'), 0b10100000, 0b01000000),
      [0, 255, 0, 255, 255, 255, 255, 255, 255, 0],
      1,
    ],
    ['P5', Uint8Array.of(...text('P5\n#x\n2 1\n255\n'), 7, 9), [7, 9], 1],
    ['P6', Uint8Array.of(...text('P6 1 1 255 '), 10, 13, 32), [10, 13, 32], 3],
    ['P5, maxval 100: ties to even', Uint8Array.of(...text('P5 3 1 100\n'), 50, 1, 100), [128, 3, 255], 1],
    ['P5, samples above maxval', Uint8Array.of(...text('P5 3 1 100\n'), 99, 101, 255), [252, 255, 255], 1],
    ['P6, samples above maxval', Uint8Array.of(...text('P6 1 1 100\n'), 99, 101, 255), [252, 255, 255], 3],
    // Pillow scales gray of more than 8 bits to 16, and its conversion leaves what is above 255 white.
    ['P5, 16 bits', Uint8Array.of(...text('P5 4 1 65535\n'), 255, 255, 1, 0, 0, 200, 0, 255), [255, 255, 200, 255], 1],
    ['P5, 10 bits', Uint8Array.of(...text('P5 3 1 1023\n'), 3, 255, 0, 3, 0, 4), [255, 192, 255], 1],
    ['P2, 16 bits', text('P2 3 1 65535\n65535 300 200'), [255, 255, 200], 1],
    ['P2, 10 bits', text('P2 3 1 1023\n0 2 4'), [0, 128, 255], 1],
    ['P6, 16 bits', Uint8Array.of(...text('P6 1 1 65535\n'), 255, 255, 0x80, 0, 0, 200), [255, 128, 1], 3],
  ]
  for (const [name, bytes, want, channels] of rows) {
    const image = decodeImage(bytes)
    assert.equal(Array.from(image.data), want, name)
    assert.is(image.channels, channels, name)
  }
})

const png = makePng(8, 8, (x, y, c) => x * y + c, { type: 2, depth: 8 })
const bmp = makeBmp({ width: 8, height: 8, bits: 24 }, (x, y) => x * y)
const ppm = Uint8Array.of(...text('P6 4 4 255\n'), ...noise(1, 48))
const zip = (n: number): Uint8Array => deflateSync(new Uint8Array(n))
const header = (w: number, h: number, type = 2, depth = 8): number[] =>
  pngChunk('IHDR', [
    w >>> 24,
    (w >> 16) & 255,
    (w >> 8) & 255,
    w & 255,
    h >>> 24,
    (h >> 16) & 255,
    (h >> 8) & 255,
    h & 255,
    depth,
    type,
    0,
    0,
    0,
  ])
const pngOf = (...chunks: number[][]): Uint8Array =>
  Uint8Array.from([0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10, ...chunks.flat()])
const flipped = (bytes: Uint8Array, at: number): Uint8Array => bytes.map((b, i) => (i === at ? b ^ 0x10 : b))

const BAD: [string, Uint8Array, string, RegExp][] = [
  ['nothing', new Uint8Array(0), 'image/empty', /0 bytes/],
  ['four zeros', new Uint8Array(4), 'image/unknown-format', /00 00 00 00/],
  ['GIF', text('GIF89a......'), 'image/unsupported-format', /GIF/],
  ['WebP', text('RIFF....WEBPVP8 '), 'image/unsupported-format', /WebP.*convert it to JPEG or PNG/],
  ['HEIC', text('\0\0\0\x18ftypheic'), 'image/unsupported-format', /HEIC/],
  ['AVIF', text('\0\0\0\x18ftypavif'), 'image/unsupported-format', /AVIF/],
  ['TIFF', Uint8Array.of(0x49, 0x49, 42, 0, 8, 0, 0, 0), 'image/unsupported-format', /TIFF/],
  ['a web page', text('<!DOCTYPE html><html>'), 'image/unsupported-format', /HTML/],
  ['a model', text('\x1c\0\0\0TFL3........'), 'image/unsupported-format', /TensorFlow Lite model/],
  ['PNG: only a signature', png.subarray(0, 8), 'image/truncated', /PNG/],
  ['PNG: half', png.subarray(0, png.length >> 1), 'image/truncated', /PNG/],
  ['PNG: bit flip in the data', flipped(png, png.length - 30), 'image/corrupt', /PNG/],
  ['PNG: line ends translated', flipped(png, 4), 'image/corrupt', /text-mode/],
  [
    'PNG: too few rows',
    pngOf(header(4, 4), pngChunk('IDAT', zip(13 * 3 + 1)), pngChunk('IEND', [])),
    'image/truncated',
    /ends early/,
  ],
  [
    'PNG: not a zlib stream',
    pngOf(header(4, 4), pngChunk('IDAT', [1, 2, 3, 4]), pngChunk('IEND', [])),
    'image/corrupt',
    /data is damaged/,
  ],
  [
    'PNG: unknown filter',
    pngOf(header(1, 1), pngChunk('IDAT', deflateSync(Uint8Array.of(9, 0, 0, 0))), pngChunk('IEND', [])),
    'image/corrupt',
    /row filter/,
  ],
  ['PNG: no data', pngOf(header(4, 4), pngChunk('IEND', [])), 'image/corrupt', /no image data/],
  ['PNG: impossible depth', pngOf(header(4, 4, 2, 4)), 'image/corrupt', /bit depth/],
  ['PNG: 0 wide', pngOf(header(0, 4)), 'image/corrupt', /no size/],
  ['PNG: 100 megapixels', pngOf(header(10000, 10000), pngChunk('IDAT', zip(10))), 'image/too-large', /100 megapixels/],
  ['PNG: 4 gigapixels', pngOf(header(65535, 65535), pngChunk('IDAT', zip(10))), 'image/too-large', /megapixels/],
  ['BMP: header only', bmp.subarray(0, 20), 'image/truncated', /BMP/],
  ['BMP: half', bmp.subarray(0, bmp.length >> 1), 'image/truncated', /BMP/],
  [
    'BMP: run-length',
    makeBmp({ width: 4, height: 4, bits: 8 }, () => 0, { palette: [[0, 0, 0]], compression: 1 }),
    'image/unsupported-format',
    /compressed/,
  ],
  [
    'BMP: embedded PNG',
    makeBmp({ width: 4, height: 4, bits: 24 }, () => 0, { compression: 5 }),
    'image/unsupported-format',
    /embedded/,
  ],
  [
    'BMP: 100 megapixels',
    makeBmp({ width: 1, height: 1, bits: 24 }, () => 0).map((b, i) => (i === 20 ? 1 : i === 24 ? 1 : b)),
    'image/too-large',
    /megapixels/,
  ],
  [
    'BMP: colour outside the palette',
    makeBmp({ width: 1, height: 1, bits: 8 }, () => 5, { palette: [[0, 0, 0]] }),
    'image/corrupt',
    /outside the palette/,
  ],
  ['PPM: half', ppm.subarray(0, 30), 'image/truncated', /fewer pixels/],
  ['PPM: no size', text('P6\n'), 'image/truncated', /ends early/],
  ['PPM: a word for a width', text('P6 x 4 255\n'), 'image/corrupt', /not a number/],
  ['PPM: maxval 0', text('P5 1 1 0\n\0'), 'image/corrupt', /maxval/],
  ['PPM: a sample above maxval', text('P2 1 1 9 10'), 'image/corrupt', /above maxval/],
  ['PPM: 10^9 wide', text('P6 999999999 999999999 255\n'), 'image/too-large', /megapixels/],
  ['PPM: an endless number', text(`P6 ${'9'.repeat(5000)} 1 255\n`), 'image/corrupt', /too long/],
  ['PPM: plain and cut', text('P3 9 9 255 1 2 3'), 'image/truncated', /fewer pixels/],
]

for (const [name, bytes, code, words] of BAD) {
  test(`refused: ${name}`, () => {
    const start = performance.now()
    const error = errorOf(bytes)
    assert.ok(error, 'was decoded')
    assert.is(error.code, code, error.message)
    assert.match(error.message, words)
    assert.ok(performance.now() - start < 1000)
  })
}

test('colours outside the palette are black, as in Pillow', () => {
  const image = decodeImage(makePng(2, 1, (x) => x * 3, { type: 3, depth: 8, palette: [1, 2, 3] }))
  assert.equal([...image.data], [1, 2, 3, 0, 0, 0])
})

test('a compression bomb is stopped at the last row', () => {
  const bomb = pngOf(header(16, 16), pngChunk('IDAT', deflateSync(new Uint8Array(200e6))), pngChunk('IEND', []))
  const before = process.memoryUsage().rss
  const image = decodeImage(bomb)
  assert.is(image.data.length, 16 * 16 * 3)
  assert.ok(process.memoryUsage().rss - before < 150e6, 'took the memory of the whole bomb')
})

test('maxPixels and maxBytes can be raised and lowered', () => {
  assert.match(
    refusal(() => checkSize('PNG', 3000, 4000, { maxPixels: 5_250_000 })).message,
    /PNG of 3000x4000 is 12 megapixels; expected at most 5.3/,
  )
  assert.match(
    refusal(() => checkSize('PNG', 3333, 3000, { maxPixels: 9_998_999 })).message,
    /is 10.0 megapixels; expected at most 10.0/,
  )
  checkSize('PNG', 3333, 3000, { maxPixels: 9_999_000 })
  assert.is(errorOf(png, { maxPixels: 63 })!.code, 'image/too-large')
  assert.not(errorOf(png, { maxPixels: 64 }))
  assert.is(errorOf(bmp, { maxBytes: 100 })!.code, 'image/too-large')
})

test('every truncation and 3000 mutants end in pixels or a ThimbleError', () => {
  const random = rng(7)
  const files = [
    png,
    bmp,
    ppm,
    makePng(9, 9, (x, y) => x ^ y, { type: 3, depth: 4, interlaced: true, palette: Array.from(noise(2, 48)) }),
    text('P3 2 2 9 1 2 3 4 5 6 7 8 9 1 2 3'),
  ]
  for (const file of files) for (let n = 0; n < file.length; n++) errorOf(file.subarray(0, n))
  for (let i = 0; i < 3000; i++) {
    const mutant = random.pick(files).slice()
    for (let k = random.int(4); k >= 0; k--) mutant[random.int(mutant.length)] = random.int(256)
    const start = performance.now()
    errorOf(mutant, { maxPixels: 1e6 })
    assert.ok(performance.now() - start < 2000, `mutant ${i}`)
  }
})

test('what is no picture that is read is called by its name, whatever it is', () => {
  const brand = (name: string): Uint8Array => text(`\0\0\0\x18ftyp${name}`)
  const rows: [string | undefined, Uint8Array][] = [
    ['GIF', text('GIF87a')],
    ['GIF', text('GIF89a')],
    [undefined, text('GIF88a')],
    ['WebP', text('RIFF1234WEBP')],
    [undefined, text('RIFF1234WAVE')],
    ['AVIF', brand('avif')],
    ['AVIF', brand('avis')],
    ...['heic', 'heix', 'heim', 'heis', 'hevc', 'hevx', 'mif1', 'msf1'].map((b): [string, Uint8Array] => [
      'HEIC',
      brand(b),
    ]),
    ['Canon raw (CR3)', brand('crx ')],
    ['MP4/QuickTime video', brand('isom')],
    ['MP4/QuickTime video', brand('qt  ')],
    ['TIFF', text('II*\0')],
    ['TIFF', text('MM\0*')],
    ['TIFF', text('II+\0')],
    ['TIFF', text('MM\0+')],
    [undefined, text('MM*\0')],
    [undefined, text('II\0*')],
    ['JPEG XL', Uint8Array.of(0xff, 0x0a)],
    ['JPEG XL', text('\0\0\0\x0cJXL ')],
    ['JPEG 2000', Uint8Array.of(0xff, 0x4f, 0xff, 0x51)],
    ['JPEG 2000', text('\0\0\0\x0cjP  ')],
    [undefined, text('\0\0\0\x0djP  ')],
    [undefined, Uint8Array.of(0xff, 0x4f, 0xff, 0x52)],
    ['ICO', Uint8Array.of(0, 0, 1, 0)],
    [undefined, Uint8Array.of(0, 0, 2, 0)],
    ['Photoshop (PSD)', text('8BPS')],
    ['QOI', text('qoif')],
    ['PAM', text('P7')],
    ['PFM', text('PF')],
    ['PFM', text('Pf')],
    ['PDF', text('%PDF')],
    ['ZIP', text('PK\x03\x04')],
    ['TensorFlow Lite model', text('1234TFL3')],
    ['WebAssembly', text('\0asm')],
    ['HTML', text(' <!DOCTYPE HTML>')],
    ['HTML', text('\n<html lang="en">')],
    ['SVG', text('<svg xmlns="">')],
    ['SVG', text('<?xml version="1.0"?> <svg>')],
    [undefined, text('<?xml version="1.0"?> <x>')],
    [undefined, text('hello')],
    [undefined, new Uint8Array(0)],
  ]
  for (const [name, bytes] of rows) {
    const shown = JSON.stringify(String.fromCharCode(...bytes))
    assert.is(sniffOther(bytes), name, shown)
    // All of the mark counts.
    if (name !== undefined && !/^(HTML|SVG|MP4)/.test(name)) {
      for (let i = 0; i < bytes.length; i++) {
        if (i < 4 && /ftyp|TFL3/.test(shown)) continue
        if (i >= 4 && i < 8 && /RIFF/.test(shown)) continue
        const other = bytes.map((b, k) => (k === i ? b ^ 0x80 : b))
        assert.is.not(sniffOther(other), name, `${shown}, byte ${i}`)
      }
    }
  }
})

test.run()
