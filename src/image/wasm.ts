/**
 * Encoded picture to pixels or to the input tensor, through the image module (assembly/image.ts): decoding, resizing
 * and tables run in WebAssembly. The same on every host; `thimble/image.wasm` is the module for those that may not
 * compile.
 */
import type { WasmModule } from '../base/host.ts'
import { ThimbleError } from '../base/errors.ts'
import { elements, type Preprocess } from '../graph/graph.ts'
import type { PixelImage, TensorInfo, TypedArray } from '../graph/types.ts'
import { checkOptions, kindOf, oneOf } from '../options/options.ts'
import { checkSize, type DecodeOptions, LIMITS, MAX_BYTES, type Size } from './limits.ts'
import { inputGeometry } from './geometry.ts'
import { inputTable, placement } from './preprocess.ts'
import { sniffOther } from './sniff.ts'
import { checkRaw, fromRaw, isYuv, type RawFrame, yuvPlan, type YuvPlan } from './raw-frame.ts'

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
  prepare(plan: number): number
  set_pixels(at: number, width: number, height: number, channels: number): void
  prepare_raw(plan: number, raw: number): number
}

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

/**
 * How encoded photos are decoded: `exact` at full size, `fast` JPEGs at 1/2, 1/4 or 1/8 where the model needs no more.
 */
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

/** By the module's METHOD_…, assembly/image/taps.ts. */
const METHODS = { bilinear: 0, 'bilinear-fast': 1, nearest: 2, area: 3 }
const PLAN_WORDS = 18

/** A limit above this is none: wasm32 has no more bytes. */
const ADDRESSABLE = 2 ** 32 - 1

/** Memory from which on an instance is not kept for the next picture. */
const KEPT_BYTES = 96 * 1024 * 1024

/** The image module's instance: one picture at a time. */
export class ImageDecoder {
  private wasm: Exports
  private readonly module: WasmModule
  private readonly tables = new Map<string, Uint8Array>()
  private readonly options: DecoderOptions

  /** Errors: `usage/source` when `module` is not the image module. */
  constructor(module: WasmModule, options: DecoderOptions = {}) {
    checkOptions('imageDecoder', options, { ...LIMITS, decode: oneOf(['exact', 'fast']) })
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
    const image = this.decodeInPlace(bytes, options)
    return { ...image, data: image.data.slice() }
  }

  /** The same in the decoder's own memory: the pixels hold until it is asked again. */
  decodeInPlace(bytes: Uint8Array, options: DecodeOptions = this.options): DecodedImage {
    const { atLeast } = options
    const { at, width, height, channels, reduced } = this.load(bytes, options, (w, h) =>
      typeof atLeast === 'function' ? atLeast(w, h) : atLeast,
    )
    const data = new Uint8Array(this.wasm.memory.buffer, at, width * height * channels)
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
      this.options.decode === 'fast' ? placement({ width, height }, geometry, how) : undefined,
    )
    const decoded = performance.now()
    this.fill(picture, input, how, out)
    this.trim()
    return { decodeMs: decoded - start, preprocessMs: performance.now() - decoded, reduced: picture.reduced }
  }

  /**
   * Fills `out` from a raw frame, as `how` says; undefined for layouts with alpha and for YUV whose colour is not
   * 4:2:0. YUV becomes RGB row by row where the resize reads it. Errors: `image/pixels`, `image/too-large`,
   * `usage/preprocess`.
   */
  prepareFrame(frame: RawFrame, input: TensorInfo, how: Preprocess, out: TypedArray): PrepareTimings | undefined {
    const start = performance.now()
    checkRaw(frame)
    const { width, height } = frame
    checkSize('frame', width, height, this.options)
    if (isYuv(frame)) {
      const planes = yuvPlan(frame)
      if (planes.shiftX + planes.shiftY < 2) return undefined
      const at = this.bring(frame.data)
      this.fill({ width, height, raw: { at, planes } }, input, how, out)
    } else {
      const { data, channels } = fromRaw(frame)
      if (channels === 4) return undefined
      this.wasm.set_pixels(this.bring(data), width, height, channels!)
      this.fill({ width, height }, input, how, out)
    }
    this.trim()
    return { decodeMs: 0, preprocessMs: performance.now() - start, reduced: 1 }
  }

  /** Bytes at the start of the module's memory. */
  private bring(data: Uint8Array | Uint8ClampedArray): number {
    const at = this.checked(this.wasm.begin(data.length, Math.min(this.options.maxBytes ?? MAX_BYTES, ADDRESSABLE)))
    new Uint8Array(this.wasm.memory.buffer).set(data, at)
    return at
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
    if (!ArrayBuffer.isView(bytes) || (bytes as Partial<Uint8Array>).BYTES_PER_ELEMENT !== 1) {
      throw new ThimbleError('usage/source', 'not the bytes of an image file', {
        expected: 'a Uint8Array',
        got: kindOf(bytes),
      })
    }
    if (bytes.length === 0) {
      throw new ThimbleError('image/empty', 'the image has no bytes', { expected: KNOWN, got: '0 bytes' })
    }
    const at = this.checked(wasm.begin(bytes.length, Math.min(options.maxBytes ?? MAX_BYTES, ADDRESSABLE)))
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

  /** The picture that was loaded, or a raw frame whose bytes are at `raw.at` -> `out`. */
  private fill(
    { width, height, raw }: Size & { raw?: { at: number; planes: YuvPlan } },
    input: TensorInfo,
    how: Preprocess,
    out: TypedArray,
  ): void {
    const { wasm } = this
    const geometry = inputGeometry(input)
    const total = elements(input.shape)
    const tables = Array.from({ length: geometry.channels }, (_, c) =>
      this.table(input, (how.mean[c] ?? how.mean[0])!, (how.std[c] ?? how.std[0])!),
    )
    const bytes = tables[0]!.length / 256
    if (out.length !== total || out.BYTES_PER_ELEMENT !== bytes) {
      throw new ThimbleError('usage/tensor', 'the array for the input tensor does not fit', {
        tensor: input.name,
        expected: `${input.dtype} x ${total}`,
        got: `${out.constructor.name} x ${out.length}`,
      })
    }
    const at = this.checked(wasm.reserve(tables.length * 256 * bytes))
    const tensor = this.checked(wasm.reserve(total * bytes))
    const plan = this.checked(wasm.reserve(PLAN_WORDS * 4))
    tables.forEach((table, c) => new Uint8Array(wasm.memory.buffer).set(table, at + c * 256 * bytes))
    const place = placement({ width, height }, geometry, how)
    // The fields of InputPlan in assembly/image/input.ts, in their order.
    new Int32Array(wasm.memory.buffer).set(
      [
        geometry.width,
        geometry.height,
        geometry.channels,
        Number(geometry.nchw),
        Number(how.channels === 'bgr'),
        Number(how.channels === 'gray'),
        METHODS[how.method],
        at,
        bytes,
        tensor,
        place.width,
        place.height,
        place.cropX,
        place.cropY,
        place.countX,
        place.countY,
        place.padX,
        place.padY,
      ],
      plan >> 2,
    )
    this.checkFailure(raw ? wasm.prepare_raw(plan, this.rawPlan(raw, width, height)) : wasm.prepare(plan), 'image')
    new Uint8Array(out.buffer, out.byteOffset, total * bytes).set(
      new Uint8Array(wasm.memory.buffer, tensor, total * bytes),
    )
  }

  /** The fields of RawPlan in assembly/image/raw.ts, in their order; where they are. */
  private rawPlan({ at, planes: p }: { at: number; planes: YuvPlan }, width: number, height: number): number {
    const fields = [width, height, at, p.stride, at + p.uAt, at + p.vAt, p.colourStride, p.step]
    fields.push(p.base, p.gain, p.rv, p.gu, p.gv, p.bu)
    const to = this.checked(this.wasm.reserve(fields.length * 4))
    new Int32Array(this.wasm.memory.buffer).set(fields, to >> 2)
    return to
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
