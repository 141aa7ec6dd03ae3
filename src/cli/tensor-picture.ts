/** An input tensor as a picture, so that what the model sees can be looked at. */
import { zlibSync } from 'fflate'
import { ThimbleError } from '../base/errors.ts'
import { crc32 } from '../base/scan.ts'
import type { Preprocess } from '../graph/graph.ts'
import { inputGeometry } from '../image/geometry.ts'
import type { PixelImage, TensorInfo, TypedArray } from '../graph/types.ts'

/**
 * Pixels of a tensor: 8-bit values as they are (int8 plus 128), so that the picture holds the tensor exactly; other
 * types through the preprocessing backwards, rounded. Channels stay in the tensor's order, except that BGR is shown as
 * RGB.
 */
export function tensorPixels(values: TypedArray, input: TensorInfo, how: Preprocess): PixelImage {
  const { width, height, channels, nchw } = inputGeometry(input)
  const data = new Uint8Array(width * height * channels)
  const plane = width * height
  for (let i = 0; i < plane; i++) {
    for (let c = 0; c < channels; c++) {
      const v = Number(values[nchw ? c * plane + i : i * channels + c])
      const pixel =
        input.dtype === 'uint8'
          ? v
          : input.dtype === 'int8'
            ? v + 128
            : (input.scale > 0 ? (v - input.zeroPoint) * input.scale : v) * (how.std[c] ?? how.std[0])! +
              (how.mean[c] ?? how.mean[0])!
      data[i * channels + (how.channels === 'bgr' && channels === 3 ? 2 - c : c)] = Math.min(
        255,
        Math.max(0, Math.round(pixel)),
      )
    }
  }
  return { data, width, height, channels }
}

/** A gray or RGB PNG. Source: PNG specification, third edition, 5 and 11.2. */
export function encodePng({ data, width, height, channels = 3 }: PixelImage): Uint8Array {
  const stride = width * channels
  const raw = new Uint8Array((stride + 1) * height)
  for (let y = 0; y < height; y++) raw.set(data.subarray(y * stride, (y + 1) * stride), y * (stride + 1) + 1)
  return png(channels === 1 ? 0 : 2, { width, height }, raw)
}

/** A PNG of colour numbers. Errors: `usage/output` for numbers above 255. */
export function encodeIndexedPng(
  numbers: ArrayLike<number>,
  { width, height }: { width: number; height: number },
  palette: readonly (readonly [number, number, number])[],
): Uint8Array {
  const raw = new Uint8Array((width + 1) * height)
  for (let y = 0, i = 0, o = 0; y < height; y++) {
    o++
    for (let x = 0; x < width; x++) raw[o++] = numbers[i++]!
  }
  if (palette.length > 256) {
    throw new ThimbleError('usage/output', 'the classes do not fit into an indexed PNG', {
      expected: 'at most 256',
      got: palette.length,
    })
  }
  return png(3, { width, height }, raw, chunk('PLTE', Uint8Array.from(palette.flat())))
}

/** A PNG of rows of 8-bit samples, each after its filter byte. */
function png(type: number, size: { width: number; height: number }, raw: Uint8Array, palette?: Uint8Array): Uint8Array {
  const header = new Uint8Array(13)
  const view = new DataView(header.buffer)
  view.setUint32(0, size.width)
  view.setUint32(4, size.height)
  header[8] = 8
  header[9] = type
  return concat([
    Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a),
    chunk('IHDR', header),
    ...(palette ? [palette] : []),
    chunk('IDAT', zlibSync(raw, { level: 6 })),
    chunk('IEND', new Uint8Array(0)),
  ])
}

function chunk(type: string, body: Uint8Array): Uint8Array {
  const out = new Uint8Array(body.length + 12)
  const view = new DataView(out.buffer)
  view.setUint32(0, body.length)
  for (let i = 0; i < 4; i++) out[4 + i] = type.charCodeAt(i)
  out.set(body, 8)
  view.setUint32(body.length + 8, crc32(out.subarray(4, body.length + 8)))
  return out
}

function concat(parts: Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((n, p) => n + p.length, 0))
  let at = 0
  for (const p of parts) {
    out.set(p, at)
    at += p.length
  }
  return out
}

const encodePnm = ({ data, width, height, channels }: PixelImage): Uint8Array =>
  concat([new TextEncoder().encode(`P${channels === 1 ? 5 : 6}\n${width} ${height}\n255\n`), data as Uint8Array])

/** The file's bytes by its name: .png, .ppm/.pgm, or .bin for the raw tensor. Errors: `usage/output`. */
export function encodeTensor(path: string, values: TypedArray, input: TensorInfo, how: Preprocess): Uint8Array {
  const ending = /\.([a-z]+)$/i.exec(path)?.[1]!.toLowerCase()
  if (ending === 'bin') return new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
  if (ending === 'png') return encodePng(tensorPixels(values, input, how))
  if (ending === 'ppm' || ending === 'pgm') return encodePnm(tensorPixels(values, input, how))
  throw new ThimbleError('usage/output', `the kind of file ${path} is meant to be is unknown`, {
    expected: 'a name ending in .png, .ppm or .bin',
  })
}

/** The picture in a terminal of 24-bit colour, two pixels a character; `columns` wide at most. */
export function terminalPicture({ data, width, height, channels = 3 }: PixelImage, columns: number): string {
  const w = Math.min(width, columns)
  const h = Math.max(2, Math.round((height * w) / width / 2) * 2)
  const color = (x: number, y: number): string => {
    const at = (Math.floor(((y + 0.5) * height) / h) * width + Math.floor(((x + 0.5) * width) / w)) * channels
    return Array.from({ length: 3 }, (_, c) => data[at + (channels === 1 ? 0 : c)]).join(';')
  }
  let out = ''
  for (let y = 0; y < h; y += 2) {
    for (let x = 0; x < w; x++) out += `\x1b[38;2;${color(x, y)};48;2;${color(x, y + 1)}m▀`
    out += '\x1b[0m\n'
  }
  return out
}
