/** What a file is by its first bytes, every byte of them; and means of blocks of pixels by their definition. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { plainRows, shrunkRows } from '../src/image/rows.ts'
import { sniffOther } from '../src/image/sniff.ts'
import { rng } from './util.ts'

/** Text and numbers in turn; `?` is any byte. */
const KINDS: readonly (readonly [name: string, ...starts: (string | readonly number[])[]])[] = [
  ['GIF', 'GIF87a', 'GIF89a'],
  ['WebP', 'RIFF????WEBP'],
  ['AVIF', '????ftypavif', '????ftypavis'],
  ...['heic', 'heim', 'heix', 'heis', 'hevc', 'hevx', 'mif1', 'msf1'].map((b) => ['HEIC', `????ftyp${b}`] as const),
  ['Canon raw (CR3)', '????ftypcrx '],
  ['MP4/QuickTime video', '????ftypisom', '????ftypqt  ', '????ftyphead'],
  ['TIFF', [0x49, 0x49, 42, 0], [0x4d, 0x4d, 0, 42], [0x49, 0x49, 43, 0], [0x4d, 0x4d, 0, 43]],
  ['JPEG XL', [0xff, 0x0a], [0, 0, 0, 12, 0x4a, 0x58, 0x4c, 0x20]],
  ['JPEG 2000', [0xff, 0x4f, 0xff, 0x51], [0, 0, 0, 12, 0x6a, 0x50, 0x20, 0x20]],
  ['ICO', [0, 0, 1, 0]],
  ['Photoshop (PSD)', '8BPS'],
  ['QOI', 'qoif'],
  ['PAM', 'P7'],
  ['PFM', 'PF', 'Pf'],
  ['PDF', '%PDF'],
  ['ZIP', [0x50, 0x4b, 3, 4]],
  ['TensorFlow Lite model', '????TFL3'],
  ['WebAssembly', [0, 0x61, 0x73, 0x6d]],
]
const bytesOf = (start: string | readonly number[]): (number | undefined)[] =>
  typeof start === 'string' ? [...start].map((c) => (c === '?' ? undefined : c.charCodeAt(0))) : [...start]

test('every kind of file by its magic, and by no other one', () => {
  for (const [name, ...starts] of KINDS) {
    for (const start of starts) {
      const wanted = bytesOf(start)
      const file = (change?: number): Uint8Array =>
        Uint8Array.from([...wanted.map((b, i) => (b ?? 0x21) ^ (i === change ? 0x80 : 0)), 0x21, 0x21])
      assert.is(sniffOther(file()), name, String(start))
      assert.is(sniffOther(file().subarray(0, wanted.length)), name, 'nothing behind it')
      wanted.forEach((b, i) => {
        const other = sniffOther(file(i))
        // A brand that is unknown is a video's; what is any byte may be another one.
        const brand = typeof start === 'string' && start.startsWith('????ftyp') && i >= 8
        if (b === undefined) assert.is(other, name)
        else assert.is(other, brand ? 'MP4/QuickTime video' : undefined, `${String(start)}, byte ${i}`)
        // One byte too short.
        if (i === wanted.length - 1 && !brand) assert.is(sniffOther(file().subarray(0, i)), undefined, String(start))
      })
    }
  }
})

test('pages and drawings by their first words, whatever the case and the white space before them', () => {
  const kind = (text: string): string | undefined => sniffOther(new TextEncoder().encode(text))
  for (const text of ['<!DOCTYPE html><p>', '<html>', ' \n\t<HTML lang="de">', '<!doctype HTML']) {
    assert.is(kind(text), 'HTML')
  }
  for (const text of ['<svg>', '\n<SVG xmlns="">', '<?xml version="1.0"?>\n<svg>']) assert.is(kind(text), 'SVG')
  for (const text of ['', 'x<html>', '<?xml version="1.0"?>', '<p>', 'svg', `${' '.repeat(256)}<html>`]) {
    assert.is(kind(text), undefined, text)
  }
  assert.is(kind(`<?xml?>${' '.repeat(244)}<svg>`), 'SVG')
  assert.is(kind(`<?xml?>${' '.repeat(247)}<svg>`), undefined, 'behind the first 256 bytes')
})

test('smaller pictures: means of whole blocks, halves up, what is left at the right and below left out', () => {
  const r = rng(9)
  for (const channels of [1, 3, 4] as const) {
    for (const [width, height] of [
      [7, 5],
      [8, 8],
      [3, 9],
      [12, 4],
    ] as const) {
      for (const factor of [1, 2, 3]) {
        const data = Uint8Array.from({ length: width * height * channels }, () => r.int(256))
        const small = shrunkRows(plainRows({ data, width, height }, channels), factor)
        assert.equal([small.width, small.height], [Math.floor(width / factor), Math.floor(height / factor)])
        assert.is(small.channels, channels)
        for (let y = small.height - 1; y >= 0; y--) {
          const { samples, at } = small.row(y)
          const want = Array.from({ length: small.width * channels }, (_, i) => {
            const [x, c] = [Math.floor(i / channels), i % channels]
            let sum = 0
            for (let dy = 0; dy < factor; dy++) {
              for (let dx = 0; dx < factor; dx++) {
                sum += data[((y * factor + dy) * width + x * factor + dx) * channels + c]!
              }
            }
            return Math.floor(sum / (factor * factor) + 0.5)
          })
          assert.equal([...samples.subarray(at, at + want.length)], want, `${width}x${height}x${channels} by ${factor}`)
        }
      }
    }
  }
})

test.run()
