/**
 * Encoded picture to pixels or to the input tensor, through the image module (assembly/image.ts): decoding, resizing and
 * tables run in WebAssembly. The same on every host; `thimble/image.wasm` is the module for those that may not compile.
 */
import { ThimbleError } from '../errors.ts'
import { elements, type Preprocess } from '../graph.ts'
import type { PixelImage, TensorInfo, TypedArray } from '../types.ts'
import { checkSize, type DecodeOptions, MAX_BYTES, type Size } from './limits.ts'
import { type InputGeometry, inputGeometry, inputTable, type Placement, placement, Preprocessor } from './preprocess.ts'
import { axisTaps, rowsFirst } from './resize.ts'
import { sniffOther } from './sniff.ts'

interface Exports {
  memory: WebAssembly.Memory
  begin(bytes: number, maxBytes: number): number
  reserve(bytes: number): number
  failure(): number
  message_ptr(): number
  message_length(): number
  format_of(file: number, bytes: number): number
  open(file: number, bytes: number): number
  full_width(): number
  full_height(): number
  decode(width: number, height: number): number
  pixels_ptr(): number
  pixels_width(): number
  pixels_height(): number
  pixels_channels(): number
  gray(picture: number, channels: number, count: number, out: number): void
  triangle_taps(inSize: number, outSize: number, from: number, count: number, stride: number, at: number): void
  resize: ResizePass
  resize_rows_first: ResizePass
  lookup(samples: number, step: number, count: number, table: number, out: number, outStep: number): void
}
type ResizePass = (
  picture: number,
  pitch: number,
  channels: number,
  first: number,
  last: number,
  x: number,
  countX: number,
  strideX: number,
  y: number,
  countY: number,
  strideY: number,
  temp: number,
  sums: number,
  out: number,
) => void

/** A picture in the module's memory; it was decoded at 1/`reduced` of its size. */
interface Picture {
  at: number
  width: number
  height: number
  channels: number
  reduced: number
}

/** By `format_of`'s number. */
const FORMATS = ['', 'JPEG', 'PNG', 'BMP', 'PNM'] as const
const KNOWN = 'JPEG, PNG, BMP, PPM or PGM'
/** By the module's kinds of failure. */
const KINDS = ['', 'image/truncated', 'image/corrupt', 'image/unsupported-format', 'image/too-large'] as const
const HINTS = [
  '',
  'copy or download the file again',
  'the file is damaged',
  'save it as an ordinary JPEG or as PNG',
  'scale it down first, or raise maxBytes',
] as const

/** How encoded photos are decoded: `exact` at full size, `fast` JPEGs at 1/2, 1/4 or 1/8 where the model needs no more. */
export type DecodePolicy = 'exact' | 'fast'

export interface DecoderOptions extends Pick<DecodeOptions, 'maxPixels' | 'maxBytes'> {
  /** For `prepare`; default `exact`. */
  decode?: DecodePolicy
}

/** One picture: milliseconds as the host's clock sees them, and that it was decoded at 1/`reduced` of its size. */
export interface PrepareTimings {
  decodeMs: number
  preprocessMs: number
  reduced: number
}

/** Pixels, and that they were decoded at 1/`reduced` of the size. */
export interface DecodedImage extends PixelImage {
  reduced: number
}

/** Memory from which on an instance is not kept for the next picture. */
const KEPT_BYTES = 96 * 1024 * 1024

/** The image module's instance: one picture at a time. */
export class ImageDecoder {
  private wasm: Exports
  private readonly module: WebAssembly.Module
  private readonly tables = new Map<string, Uint8Array>()
  private readonly options: DecoderOptions

  /** Errors: `usage/source` when `module` is not the image module. */
  constructor(module: WebAssembly.Module, options: DecoderOptions = {}) {
    this.options = options
    if (
      !(module instanceof WebAssembly.Module) ||
      !WebAssembly.Module.exports(module).some((e) => e.name === 'pixels_ptr')
    ) {
      throw new ThimbleError('usage/source', 'not the image module', {
        expected: 'the WebAssembly.Module of thimble/image.wasm',
      })
    }
    this.module = module
    this.wasm = this.instantiate()
  }

  private instantiate(): Exports {
    return new WebAssembly.Instance(this.module).exports as unknown as Exports
  }

  /** Decodes an encoded picture, see DecodeOptions. Errors: `image/…`. */
  decode(bytes: Uint8Array, options: DecodeOptions = this.options): DecodedImage {
    const { atLeast } = options
    const { at, width, height, channels, reduced } = this.load(bytes, options, (w, h) =>
      typeof atLeast === 'function' ? atLeast(w, h) : atLeast,
    )
    const data = new Uint8Array(this.wasm.memory.buffer).slice(at, at + width * height * channels)
    this.trim()
    return { data, width, height, channels: channels as 1 | 3, reduced }
  }

  /**
   * Decodes a picture and fills `out`, the elements of `input`, as `how` says.
   * Errors: `image/…`, `usage/preprocess`.
   */
  prepare(bytes: Uint8Array, input: TensorInfo, how: Preprocess, out: TypedArray): PrepareTimings {
    const start = performance.now()
    const geometry = inputGeometry(input)
    const picture = this.load(bytes, this.options, (width, height) =>
      this.options.decode === 'fast' ? placement(width, height, geometry.width, geometry.height, how) : undefined,
    )
    const decoded = performance.now()
    const { at, width, height, channels, reduced } = picture
    if (input.dtype === 'int8' || input.dtype === 'uint8') {
      const place = placement(width, height, geometry.width, geometry.height, how)
      this.fill(picture, place, geometry, input, how, out)
    } else {
      const data = new Uint8Array(this.wasm.memory.buffer, at, width * height * channels)
      new Preprocessor(input, how).run({ data, width, height, channels: channels as 1 | 3 }, out)
    }
    this.trim()
    return { decodeMs: decoded - start, preprocessMs: performance.now() - decoded, reduced }
  }

  /** A memory that one large picture needed is not kept. */
  private trim(): void {
    if (this.wasm.memory.buffer.byteLength > KEPT_BYTES) this.wasm = this.instantiate()
  }

  /** Brings a picture into memory; `wanted` is asked with its upright full size. */
  private load(
    bytes: Uint8Array,
    options: DecodeOptions,
    wanted: (width: number, height: number) => Size | undefined,
  ): Picture {
    const { wasm } = this
    if (bytes.length === 0) {
      throw new ThimbleError('image/empty', 'the image has no bytes', { expected: KNOWN, got: '0 bytes' })
    }
    const at = this.checked(wasm.begin(bytes.length, options.maxBytes ?? MAX_BYTES))
    new Uint8Array(wasm.memory.buffer).set(bytes, at)
    const format = FORMATS[wasm.format_of(at, bytes.length)]!
    if (format === '') throw otherFile(bytes)
    this.checkFailure(wasm.open(at, bytes.length), format)
    const [width, height] = [wasm.full_width(), wasm.full_height()]
    checkSize(format, width, height, options)
    const target = wanted(width, height) ?? { width: 0, height: 0 }
    this.checkFailure(wasm.decode(target.width, target.height), format)
    const long = Math.max(width, height)
    return {
      at: wasm.pixels_ptr(),
      width: wasm.pixels_width(),
      height: wasm.pixels_height(),
      channels: wasm.pixels_channels(),
      reduced: [1, 2, 4, 8].find((n) => Math.ceil(long / n) <= Math.max(wasm.pixels_width(), wasm.pixels_height()))!,
    }
  }

  private fill(
    picture: Picture,
    place: Placement,
    geometry: InputGeometry,
    input: TensorInfo,
    how: Preprocess,
    out: TypedArray,
  ): void {
    const { wasm } = this
    const source =
      picture.channels !== 1 && (geometry.channels === 1 || how.channels === 'gray') ? this.toGray(picture) : picture
    const samples = this.scale(source, place, how)
    const { width, height, channels, nchw } = geometry
    const total = elements(input.shape)
    if (out.length !== total || out.BYTES_PER_ELEMENT !== 1) {
      throw new ThimbleError('usage/tensor', 'the array for the input tensor does not fit', {
        tensor: input.name,
        expected: `${input.dtype} x ${total}`,
        got: `${out.constructor.name} x ${out.length}`,
      })
    }
    const tensor = this.checked(wasm.reserve(total))
    const table = this.checked(wasm.reserve(256))
    const plane = width * height
    for (let c = 0; c < channels; c++) {
      const bytes = new Uint8Array(wasm.memory.buffer)
      const values = this.table(input, (how.mean[c] ?? how.mean[0])!, (how.std[c] ?? how.std[0])!)
      bytes.set(values, table)
      const base = nchw ? tensor + c * plane : tensor + c
      const step = nchw ? 1 : channels
      if (place.countX * place.countY < plane) {
        for (let i = 0, o = base; i < plane; i++, o += step) bytes[o] = values[0]!
      }
      const from = source.channels === 1 ? 0 : how.channels === 'bgr' ? 2 - c : c
      for (let row = 0; row < place.countY; row++) {
        const pixel = (place.padY + row) * width + place.padX
        wasm.lookup(
          samples + row * place.countX * source.channels + from,
          source.channels,
          place.countX,
          table,
          base + pixel * step,
          step,
        )
      }
    }
    new Uint8Array(out.buffer, out.byteOffset, total).set(new Uint8Array(wasm.memory.buffer, tensor, total))
  }

  private toGray({ at, width, height, channels, reduced }: Picture): Picture {
    const out = this.checked(this.wasm.reserve(width * height))
    this.wasm.gray(at, channels, width * height, out)
    return { at: out, width, height, channels: 1, reduced }
  }

  /** The picture at its place's size; the address of countX x countY pixels. */
  private scale({ at, width, height, channels }: Picture, place: Placement, how: Preprocess): number {
    const { wasm } = this
    const x = this.taps(how, width, place.width, place.cropX, place.countX)
    const y = this.taps(how, height, place.height, place.cropY, place.countY)
    const rows = rowsFirst(width, height, place.width, place.height)
    const { first, last } = rows ? x : y
    const line = Math.max(width, place.countX) * channels
    const temp = this.checked(wasm.reserve(rows ? line : (last - first) * place.countX * channels))
    const sums = this.checked(wasm.reserve(line * 4))
    const out = this.checked(wasm.reserve(place.countX * place.countY * channels))
    const pass = rows ? wasm.resize_rows_first : wasm.resize
    pass(
      at,
      width * channels,
      channels,
      first,
      last,
      x.at,
      place.countX,
      x.stride,
      y.at,
      place.countY,
      y.stride,
      temp,
      sums,
      out,
    )
    return out
  }

  /** An axis' taps in the module's memory, and the input positions they reach from and to. */
  private taps(
    how: Preprocess,
    inSize: number,
    outSize: number,
    from: number,
    count: number,
  ): { at: number; stride: number; first: number; last: number } {
    const { wasm } = this
    if (how.method === 'bilinear' && inSize !== outSize) {
      const stride = Math.ceil(Math.max(inSize / outSize, 1)) * 2 + 1
      const at = this.checked(wasm.reserve(count * (2 + stride) * 4))
      wasm.triangle_taps(inSize, outSize, from, count, stride, at)
      const words = new Int32Array(wasm.memory.buffer, at, 2 * count)
      return { at, stride, first: words[0]!, last: words[count - 1]! + words[2 * count - 1]! }
    }
    const { starts, counts, weights, stride } = axisTaps(how.method, inSize, outSize, from, count)
    const at = this.checked(wasm.reserve((starts.length + counts.length + weights.length) * 4))
    const words = new Int32Array(wasm.memory.buffer)
    words.set(starts, at >> 2)
    words.set(counts, (at >> 2) + count)
    words.set(weights, (at >> 2) + 2 * count)
    return { at, stride, first: starts[0]!, last: starts[count - 1]! + counts[count - 1]! }
  }

  /** The table of a channel, kept for the pictures to come. */
  private table(input: TensorInfo, mean: number, std: number): Uint8Array {
    const key = `${input.dtype} ${input.scale} ${input.zeroPoint} ${mean} ${std}`
    let table = this.tables.get(key)
    if (!table) {
      table = new Uint8Array(inputTable(input, mean, std).buffer)
      this.tables.set(key, table)
    }
    return table
  }

  /** `address`, unless it is 0: the module failed. */
  private checked(address: number): number {
    if (address === 0) this.checkFailure(this.wasm.failure(), 'image')
    return address
  }

  private checkFailure(kind: number, format: string): void {
    if (kind === 0) return
    const text = new TextDecoder('utf-16le').decode(
      new Uint8Array(this.wasm.memory.buffer, this.wasm.message_ptr(), this.wasm.message_length() * 2),
    )
    this.trim()
    throw new ThimbleError(KINDS[kind] || 'image/corrupt', `${format}: ${text}`, { hint: HINTS[kind] })
  }
}

/** A file that is none of the formats read. */
function otherFile(bytes: Uint8Array): ThimbleError {
  const other = sniffOther(bytes)
  if (other) {
    return new ThimbleError('image/unsupported-format', `the file is in ${other} format`, {
      expected: KNOWN,
      got: other,
      hint: 'convert it to JPEG or PNG first',
    })
  }
  const head = Array.from(bytes.subarray(0, 4), (b) => b.toString(16).padStart(2, '0')).join(' ')
  return new ThimbleError('image/unknown-format', 'the file is not an image that Thimble knows', {
    expected: KNOWN,
    got: `bytes ${head}`,
  })
}
