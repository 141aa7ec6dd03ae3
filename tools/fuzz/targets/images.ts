/** Encoded pictures: the SIMD decoder and the scalar one agree in every pixel and every refusal. */
import { readFileSync } from 'node:fs'
import { deflateSync, inflateSync } from 'node:zlib'
import { decompress } from '../../../src/base/compressed.ts'
import { ThimbleError } from '../../../src/base/errors.ts'
import scalar from '../../../src/generated/image-scalar.ts'
import simd from '../../../src/generated/image-simd.ts'
import { type DecodedImage, ImageDecoder } from '../../../src/image/wasm.ts'
import { exif, makeBmp, makePng, noise, pngChunk, withOrientation } from '../../../test/image-files.ts'
import { changeBytes, changeText, joined } from '../mutators.ts'
import type { FuzzTarget, Work } from '../target.ts'

/** A picture that needs more is refused; the real limits are larger and meant for real photos. */
const LIMITS = { maxPixels: 1 << 20, maxBytes: 64 << 20 }
const modules = await Promise.all([simd, scalar].map(decompress))
const decoders = modules.map((bytes) => new ImageDecoder(new WebAssembly.Module(bytes), LIMITS))

/** Counters of the instrumented module, for the loop to take. */
export const imageMemory = (): WebAssembly.Memory =>
  (decoders[0] as unknown as { wasm: { memory: WebAssembly.Memory } }).wasm.memory

const equal = (a: DecodedImage['data'], b: DecodedImage['data']): boolean =>
  a.length === b.length && a.every((v, i) => v === b[i])

interface Attempt {
  image?: DecodedImage
  refused?: ThimbleError
}

function attempt(decoder: ImageDecoder, bytes: Uint8Array, side: number): Attempt {
  try {
    return { image: decoder.decode(bytes, side ? { ...LIMITS, atLeast: { width: side, height: side } } : LIMITS) }
  } catch (error) {
    if (error instanceof ThimbleError) return { refused: error }
    throw error
  }
}

function decode(bytes: Uint8Array): void {
  let first: ThimbleError | undefined
  for (const side of [0, 8]) {
    const [a, b] = decoders.map((d) => attempt(d, bytes, side))
    if (a!.refused?.message !== b!.refused?.message) throw new Error('the two decoders refuse differently')
    first ??= a!.refused
    const [one, other] = [a!.image, b!.image]
    if (!one || !other) continue
    if (one.width !== other.width || one.channels !== other.channels || !equal(one.data, other.data)) {
      throw new Error('the two decoders give different pixels')
    }
    if (one.data.length !== one.width * one.height * (one.channels ?? 0)) throw new Error('pixels of another size')
  }
  if (first) throw first
}

interface Case {
  name: string
  jpeg: string
}
const jpegs = (): Uint8Array[] =>
  (JSON.parse(readFileSync('test/vectors/jpeg.json', 'utf8')) as { cases: Case[] }).cases.map((c) =>
    Uint8Array.from(Buffer.from(c.jpeg, 'base64')),
  )

/** Where the segments of a JPEG begin; the last is the end of the file. */
function segments(b: Uint8Array): number[] {
  const out: number[] = []
  for (let at = 2; at + 4 <= b.length && b[at] === 0xff && b[at + 1] !== 0xd9;) {
    out.push(at)
    at += 2 + ((b[at + 2]! << 8) | b[at + 3]!)
    if (b[out[out.length - 1]! + 1] === 0xda) {
      while (at + 1 < b.length && !(b[at] === 0xff && b[at + 1]! >= 0xc0 && (b[at + 1]! & 0xf8) !== 0xd0)) at++
    }
  }
  return out.length ? [...out, b.length] : out
}

/** Segments left out, doubled, moved, taken from another file, or changed with their length in order. */
function changeJpeg(work: Work): Uint8Array | undefined {
  const { bytes, dice, other } = work
  const at = segments(bytes)
  if (at.length < 2) return undefined
  const parts = at.slice(0, -1).map((from, i) => bytes.subarray(from, at[i + 1]))
  const i = dice.int(parts.length)
  switch (dice.int(6)) {
    case 0:
      parts.splice(i, 1)
      break
    case 1:
      parts.splice(dice.int(parts.length), 0, parts[i]!)
      break
    case 2: {
      const theirs = segments(other)
      if (theirs.length < 2) return undefined
      const k = dice.int(theirs.length - 1)
      parts.splice(i, dice.int(2), other.subarray(theirs[k], theirs[k + 1]))
      break
    }
    case 3: {
      const body = changeBytes({ ...work, bytes: parts[i]!.slice(4) })
      parts[i] = joined(parts[i]!.subarray(0, 2), Uint8Array.of((body.length + 2) >> 8, body.length + 2), body)
      break
    }
    default: {
      // Within the segment, headers more often than coefficients.
      const out = parts[i]!.slice()
      const k = 2 + dice.int(Math.max(1, Math.min(out.length - 2, dice.int(3) ? 40 : out.length)))
      if (k < out.length) out[k] = dice.int(2) ? dice.int(256) : out[k]! ^ (1 << dice.int(8))
      parts[i] = out
    }
  }
  return joined(bytes.subarray(0, at[0]), ...parts)
}

const jpeg: FuzzTarget = {
  name: 'jpeg',
  about: 'JPEG: full and reduced size; simd and scalar agree',
  seeds: jpegs,
  run: decode,
  change: changeJpeg,
  maxBytes: 1 << 14,
}

const colours = [
  [0, 0, 0],
  [255, 255, 255],
  [200, 10, 30],
]
const gray = (x: number, y: number): number => (x * 31 + y * 17) & 255
const pngs = (): Uint8Array[] => {
  const base = { palette: undefined, transparency: undefined, orientation: undefined, split: undefined } as const
  const make = (o: object): Uint8Array =>
    makePng(7, 5, gray, { ...base, ...o } as unknown as Parameters<typeof makePng>[3])
  return [
    make({ type: 0, depth: 8, interlaced: false }),
    make({ type: 2, depth: 8, interlaced: true }),
    make({ type: 2, depth: 16, interlaced: false, transparency: [0, 1, 0, 2, 0, 3] }),
    make({ type: 4, depth: 8, interlaced: false }),
    make({ type: 6, depth: 16, interlaced: true }),
    make({ type: 6, depth: 8, interlaced: false, orientation: 6, split: 11 }),
    makePng(9, 4, (x) => x % 3, {
      ...base,
      type: 3,
      depth: 4,
      interlaced: false,
      palette: colours.flat(),
      transparency: [0, 128],
    } as unknown as Parameters<typeof makePng>[3]),
    makePng(9, 4, (x) => x & 1, { ...base, type: 0, depth: 1, interlaced: true } as unknown as Parameters<
      typeof makePng
    >[3]),
  ]
}

interface Chunk {
  type: string
  body: Uint8Array
}
function chunks(b: Uint8Array): Chunk[] {
  const out: Chunk[] = []
  const view = new DataView(b.buffer, b.byteOffset, b.byteLength)
  for (let at = 8; at + 12 <= b.length;) {
    const length = view.getUint32(at)
    if (at + 12 + length > b.length) break
    out.push({ type: String.fromCharCode(...b.subarray(at + 4, at + 8)), body: b.subarray(at + 8, at + 8 + length) })
    at += 12 + length
  }
  return out
}
const fromChunks = (b: Uint8Array, list: readonly Chunk[]): Uint8Array =>
  joined(b.subarray(0, 8), ...list.map((c) => Uint8Array.from(pngChunk(c.type, c.body))))

/** Chunks changed with their checksums in order; of the pixels, what is deflated or how it is. */
function changePng(work: Work): Uint8Array | undefined {
  const { bytes, dice, other } = work
  const list = chunks(bytes)
  if (list.length === 0) return undefined
  const i = dice.int(list.length)
  const chunk = list[i]!
  switch (dice.int(6)) {
    case 0:
      list.splice(i, 1)
      break
    case 1:
      list.splice(dice.int(list.length), 0, chunk)
      break
    case 2: {
      const theirs = chunks(other)
      if (theirs.length) list.splice(i, dice.int(2), dice.pick(theirs))
      break
    }
    case 3:
      try {
        const raw = new Uint8Array(inflateSync(chunk.body, { maxOutputLength: 1 << 16 }))
        chunk.body = new Uint8Array(
          deflateSync(changeBytes({ ...work, bytes: raw }), { level: dice.pick([0, 1, 9]), strategy: dice.int(5) }),
        )
      } catch {
        return undefined
      }
      break
    case 4: {
      const body = chunk.body.slice()
      if (body.length) {
        body[dice.int(Math.min(body.length, 16))] = dice.pick([0, 1, 2, 3, 4, 6, 8, 16, 255, dice.int(256)])
      }
      chunk.body = body
      break
    }
    default:
      chunk.body = changeBytes({ ...work, bytes: chunk.body })
  }
  return fromChunks(bytes, list)
}

const png: FuzzTarget = {
  name: 'png',
  about: 'PNG: every type and depth, interlaced or not; simd and scalar agree',
  seeds: pngs,
  run: decode,
  change: changePng,
  seal: (bytes) => (bytes.length > 8 ? fromChunks(bytes, chunks(bytes)) : bytes),
  maxBytes: 1 << 14,
}

const bmp: FuzzTarget = {
  name: 'bmp',
  about: 'BMP: palettes, masks, RLE, both directions; simd and scalar agree',
  seeds: () => {
    const pixels = noise(3, 64)
    const at = (x: number, y: number): number => pixels[(y * 7 + x) & 63]!
    return [
      makeBmp({ width: 5, height: 4, bits: 24 }, at),
      makeBmp({ width: 5, height: 4, bits: 32 }, at, { masks: [0xff0000, 0xff00, 0xff] }),
      makeBmp({ width: 5, height: 4, bits: 16 }, at, { masks: [0xf800, 0x7e0, 0x1f] }),
      makeBmp({ width: 5, height: 4, bits: 16 }, at),
      makeBmp({ width: 9, height: 3, bits: 8 }, (x) => x % 3, { palette: colours }),
      makeBmp({ width: 9, height: 3, bits: 4 }, (x) => x % 3, { palette: colours, topDown: true }),
      makeBmp({ width: 9, height: 3, bits: 1 }, (x) => x & 1, { palette: colours.slice(0, 2), core: true }),
      makeBmp({ width: 5, height: 4, bits: 32 }, at, { v4: true }),
      makeBmp({ width: 4, height: 4, bits: 8 }, (x) => x % 3, { palette: colours, compression: 1 }),
      makeBmp({ width: 4, height: 4, bits: 4 }, (x) => x % 3, { palette: colours, compression: 2 }),
    ]
  },
  run: decode,
  maxBytes: 1 << 13,
}

const pnm: FuzzTarget = {
  name: 'pnm',
  about: 'PBM, PGM and PPM, binary and as text; simd and scalar agree',
  seeds: () =>
    [
      'P1\n3 2\n1 0 1\n0 1 0\n',
      'P2\n# a comment\n2 2\n255\n0 100\n200 255\n',
      'P3 2 1 15 1 2 3 4 5 6',
      'P4\n9 2\nabcd',
      'P5\n3 2\n255\nabcdef',
      'P5 2 2 65535\nabcdefgh',
      'P6\n2 2\n255\nabcdefghijkl',
    ].map((s) => Uint8Array.from(Buffer.from(s, 'latin1'))),
  run: decode,
  change: changeText,
  maxBytes: 1 << 12,
}

/** The block of a file that has nothing else of interest. */
const photo = jpegs()[0]!
const exifTarget: FuzzTarget = {
  name: 'exif',
  about: 'the TIFF block of a JPEG and of a PNG, and XMP: the orientation',
  seeds: () => [
    Uint8Array.from(exif(6)),
    Uint8Array.from(exif(3, false)),
    Uint8Array.from(
      Buffer.from(
        'http://ns.adobe.com/xap/1.0/\0<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="a"><rdf:Description tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>',
      ),
    ),
    Uint8Array.from(
      Buffer.from('http://ns.adobe.com/xap/1.0/\0<x:xmpmeta><tiff:Orientation>8</tiff:Orientation></x:xmpmeta>'),
    ),
    withOrientation(photo, 5).subarray(4, 60),
  ],
  run(bytes) {
    const app1 = (body: Uint8Array): Uint8Array =>
      joined(
        Uint8Array.of(0xff, 0xd8, 0xff, 0xe1, (body.length + 2) >> 8, (body.length + 2) & 255),
        body,
        photo.subarray(2),
      )
    const block = bytes.subarray(0, 60_000)
    decode(app1(joined(Uint8Array.from(Buffer.from('Exif\0\0')), block)))
    decode(app1(block))
    const list = chunks(pngs()[0]!)
    list.splice(1, 0, { type: 'eXIf', body: block })
    decode(fromChunks(pngs()[0]!, list))
  },
  maxBytes: 1 << 12,
}

export default [jpeg, png, bmp, pnm, exifTarget]
