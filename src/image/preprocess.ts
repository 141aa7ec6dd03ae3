/**
 * Pixels to a model's input tensor: scale, crop or letterbox, channel order, mean and standard deviation, and the
 * input's own quantization, in one pass over the output through a table of 256 values per channel.
 * No dependencies; a Preprocessor allocates only when an image's size changes.
 */
import { ThimbleError } from '../base/errors.ts'
import { type DType, elements, type Preprocess } from '../graph/graph.ts'
import { checkPreprocess } from '../options/options.ts'
import { roundEven } from '../base/round.ts'
import type { PixelImage, TensorInfo, TypedArray } from '../graph/types.ts'
import { type InputGeometry, inputGeometry } from './geometry.ts'
import type { Size } from './limits.ts'
import { type AxisTaps, axisTaps, extent, resizeColumns, resizeRow, rowsFirst } from './resize.ts'
import { isRawFrame, type Picture, type PixelRows, pixelsIn, plainRows, rawRows } from './rows.ts'

/**
 * Where the image lands. The whole image is scaled to `width` x `height`; of that, `countX` x `countY` pixels from
 * (cropX, cropY) on go to (padX, padY) of the input; what stays uncovered is black.
 */
export interface Placement {
  width: number
  height: number
  cropX: number
  cropY: number
  countX: number
  countY: number
  padX: number
  padY: number
}

/** Centre crop of one axis, padded where the image is smaller: torchvision's CenterCrop. */
function centre(size: number, target: number): { crop: number; count: number; pad: number } {
  if (size < target) return { crop: 0, count: size, pad: Math.floor((target - size) / 2) }
  return { crop: roundEven((size - target) / 2), count: target, pad: 0 }
}

/**
 * Placement of a picture in an input.
 * Source: torchvision's Resize(shorterSide) and CenterCrop for `crop`; TensorFlow's resize_with_pad for `fit`.
 */
export function placement(image: Size, { width, height }: Size, how: Preprocess): Placement {
  const { width: imageWidth, height: imageHeight } = image
  if (how.fit === 'stretch') {
    return { width, height, cropX: 0, cropY: 0, countX: width, countY: height, padX: 0, padY: 0 }
  }
  let w: number
  let h: number
  if (how.fit === 'fit') {
    const ratio = Math.max(imageWidth / width, imageHeight / height)
    w = Math.min(width, Math.max(1, Math.floor(imageWidth / ratio)))
    h = Math.min(height, Math.max(1, Math.floor(imageHeight / ratio)))
    const [padX, padY] = [Math.floor((width - w) / 2), Math.floor((height - h) / 2)]
    return { width: w, height: h, cropX: 0, cropY: 0, countX: w, countY: h, padX, padY }
  }
  if (how.shorterSide !== undefined) {
    const [short, long] = [Math.min(imageWidth, imageHeight), Math.max(imageWidth, imageHeight)]
    const longer = Math.trunc((how.shorterSide * long) / short)
    ;[w, h] = imageWidth <= imageHeight ? [how.shorterSide, longer] : [longer, how.shorterSide]
  } else if (imageWidth * height <= imageHeight * width) {
    ;[w, h] = [width, Math.trunc((width * imageHeight) / imageWidth)]
  } else [w, h] = [Math.trunc((height * imageWidth) / imageHeight), height]
  const x = centre(w, width)
  const y = centre(h, height)
  return {
    width: w,
    height: h,
    cropX: x.crop,
    cropY: y.crop,
    countX: x.count,
    countY: y.count,
    padX: x.pad,
    padY: y.pad,
  }
}

const ARRAYS: Partial<Record<DType, { create: (n: number) => TypedArray; min: number; max: number }>> = {
  int8: { create: (n) => new Int8Array(n), min: -128, max: 127 },
  uint8: { create: (n) => new Uint8Array(n), min: 0, max: 255 },
  int16: { create: (n) => new Int16Array(n), min: -32768, max: 32767 },
  int32: { create: (n) => new Int32Array(n), min: -2147483648, max: 2147483647 },
  float32: { create: (n) => new Float32Array(n), min: -Infinity, max: Infinity },
}

type NumberArray = Exclude<TypedArray, BigInt64Array>

/** The 256 input values of one channel: (pixel - mean) / std, quantized by rounding to nearest even. */
export function inputTable(input: TensorInfo, mean: number, std: number): NumberArray {
  const kind = ARRAYS[input.dtype]!
  const lut = kind.create(256) as NumberArray
  const scale = input.scale > 0 ? input.scale : 1
  lut.forEach((_, p) => {
    const real = (p - mean) / std
    lut[p] =
      input.dtype === 'float32'
        ? real
        : Math.min(kind.max, Math.max(kind.min, roundEven(real / scale) + input.zeroPoint))
  })
  return lut
}

/** Tables for images of one size. */
interface SizePlan {
  width: number
  height: number
  sourceChannels: number
  place: Placement
  x: AxisTaps
  y: AxisTaps
  rowsFirst: boolean
  first: number
  last: number
}

/**
 * Fills a model's input from images, keeping its tables and buffers between them.
 * Errors (constructor): `image/unsupported-input`, `usage/preprocess`; (run): `image/pixels`.
 */
export class Preprocessor {
  readonly input: TensorInfo
  readonly how: Preprocess
  readonly geometry: InputGeometry
  private readonly luts: NumberArray[]
  private plan?: SizePlan
  private gray = new Uint8Array(0)
  private temp = new Uint8Array(0)
  private line = new Uint8Array(0)
  private sums = new Int32Array(0)

  constructor(input: TensorInfo, how: Preprocess) {
    this.input = input
    this.how = how
    this.geometry = inputGeometry(input)
    if (!ARRAYS[input.dtype]) {
      throw new ThimbleError('image/unsupported-input', 'no image can be put into this input', {
        tensor: input.name,
        expected: Object.keys(ARRAYS).join(', '),
        got: input.dtype,
      })
    }
    checkPreprocess(how)
    const { channels } = this.geometry
    this.luts = Array.from({ length: channels }, (_, c) =>
      inputTable(input, (how.mean[c] ?? how.mean[0])!, (how.std[c] ?? how.std[0])!),
    )
  }

  /** A new array of the input's dtype and element count. */
  createInput(): TypedArray {
    return ARRAYS[this.input.dtype]!.create(elements(this.input.shape))
  }

  /**
   * The input tensor's values for an image, in `out` (of the input's dtype and length) or a new array.
   * `how.mean` and `how.std` belong to the tensor's channels in their order: with `bgr`, the first is blue's. Raw
   * frames become RGB row by row, where the resize can read them so.
   */
  run(picture: Picture, out?: TypedArray): TypedArray {
    const rows = rowsOf(picture)
    const { width, height, channels } = rows
    const { geometry } = this
    const total = elements(this.input.shape)
    const result = (out ?? this.createInput()) as NumberArray
    if (result.length !== total || result.constructor !== this.luts[0]!.constructor) {
      throw new ThimbleError('usage/tensor', 'the array for the input tensor does not fit', {
        tensor: this.input.name,
        expected: `${this.input.dtype} x ${total}`,
        got: `${result.constructor.name} x ${result.length}`,
      })
    }
    const gray = channels !== 1 && (geometry.channels === 1 || this.how.channels === 'gray')
    const source = gray ? plainRows({ data: this.toGray(rows), width, height }, 1) : rows
    const plan = this.planFor(width, height, source.channels)
    const samples: 1 | 3 = source.channels === 1 ? 1 : 3
    if (plan.place.countX * plan.place.countY < geometry.width * geometry.height) this.fillBlack(result)
    if (!plan.rowsFirst) this.columnsThenRows(source, plan, samples, result)
    else this.rowsThenColumns(gray ? this.gray : pixelsIn(picture).data, plan, samples, result)
    return result
  }

  private planFor(width: number, height: number, sourceChannels: number): SizePlan {
    if (this.plan?.width === width && this.plan.height === height && this.plan.sourceChannels === sourceChannels) {
      return this.plan
    }
    const place = placement({ width, height }, this.geometry, this.how)
    const { method } = this.how
    const x = axisTaps(method, { inSize: width, outSize: place.width, from: place.cropX, count: place.countX })
    const y = axisTaps(method, { inSize: height, outSize: place.height, from: place.cropY, count: place.countY })
    const rows = rowsFirst(width, height, place.width, place.height)
    const [first, last] = extent(rows ? x : y)
    const samples = sourceChannels === 1 ? 1 : 3
    const lineElements = place.countX * samples
    // Rows first: one line of the image's own width. Columns first: every needed row, already narrowed.
    const tempElements = rows ? (last - first) * sourceChannels : (last - first) * lineElements
    if (this.temp.length < tempElements) this.temp = new Uint8Array(tempElements)
    if (this.line.length < lineElements) this.line = new Uint8Array(lineElements)
    const sums = Math.max(lineElements, rows ? tempElements : 0)
    if (this.sums.length < sums) this.sums = new Int32Array(sums)
    return (this.plan = { width, height, sourceChannels, place, x, y, rowsFirst: rows, first, last })
  }

  private columnsThenRows(source: PixelRows, plan: SizePlan, samples: 1 | 3, out: NumberArray): void {
    const { place, x, y, first, sourceChannels } = plan
    const { temp, line, sums } = this
    const n = place.countX * samples
    // One object for all rows: engines let those that are made row by row pile up.
    const wide = { samples: temp as Uint8Array | Uint8ClampedArray, at: 0, channels: sourceChannels }
    const narrowed = { samples: temp, at: 0, channels: samples }
    let next = first
    for (let i = 0; i < place.countY; i++) {
      // Only rows that some output reads (nearest and bilinear-fast skip many).
      const from = Math.max(next, y.starts[i]!)
      next = Math.max(next, y.starts[i]! + y.counts[i]!)
      for (let r = from; r < next; r++) {
        narrowed.at = (r - first) * n
        const row = source.row(r)
        wide.samples = row.samples
        wide.at = row.at
        resizeColumns(wide, x, narrowed)
      }
    }
    const rows = { samples: temp, at: 0 - first * n, rowElements: n, n }
    const scratch = { out: line, sums }
    const finished = { samples: line, channels: samples }
    for (let i = 0; i < place.countY; i++) {
      resizeRow(rows, y, i, scratch)
      this.emit(finished, place, i, out)
    }
  }

  private rowsThenColumns(
    data: Uint8Array | Uint8ClampedArray,
    plan: SizePlan,
    samples: 1 | 3,
    out: NumberArray,
  ): void {
    const { place, x, y, first, last, width, sourceChannels } = plan
    const { temp, line, sums } = this
    const n = (last - first) * sourceChannels
    const rows = { samples: data, at: first * sourceChannels, rowElements: width * sourceChannels, n }
    const row = { samples: temp, at: 0 - first * sourceChannels, channels: sourceChannels }
    const scratch = { out: temp, sums }
    const finished = { samples: line, at: 0, channels: samples }
    for (let i = 0; i < place.countY; i++) {
      resizeRow(rows, y, i, scratch)
      resizeColumns(row, x, finished)
      this.emit(finished, place, i, out)
    }
  }

  /** One finished row of 8-bit samples through the tables to its place. */
  private emit(line: { samples: Uint8Array; channels: 1 | 3 }, place: Placement, row: number, out: NumberArray): void {
    const { width, height, channels, nchw } = this.geometry
    const n = place.countX
    const pixel = (place.padY + row) * width + place.padX
    const step = nchw ? 1 : channels
    const bgr = this.how.channels === 'bgr'
    const { samples, channels: stride } = line
    for (let c = 0; c < channels; c++) {
      const lut = this.luts[c]!
      let i = stride === 1 ? 0 : bgr ? 2 - c : c
      let o = nchw ? c * width * height + pixel : pixel * channels + c
      for (let x = 0; x < n; x++, i += stride, o += step) out[o] = lut[samples[i]!]!
    }
  }

  private fillBlack(out: NumberArray): void {
    const { channels, nchw } = this.geometry
    const plane = out.length / channels
    for (let c = 0; c < channels; c++) {
      const black = this.luts[c]![0]!
      if (nchw) out.fill(black, c * plane, (c + 1) * plane)
      else for (let o = c; o < out.length; o += channels) out[o] = black
    }
  }

  /** ITU-R BT.601 luma in 16-bit fixed point, as Pillow's convert('L'). */
  private toGray({ width, height, channels, row }: PixelRows): Uint8Array {
    const n = width * height
    if (this.gray.length < n) this.gray = new Uint8Array(n)
    const { gray } = this
    for (let y = 0, i = 0; y < height; y++) {
      const { samples, at } = row(y)
      for (let x = 0, p = at; x < width; x++, p += channels, i++) {
        gray[i] = (samples[p]! * 19595 + samples[p + 1]! * 38470 + samples[p + 2]! * 7471 + 0x8000) >> 16
      }
    }
    return gray
  }
}

/** The rows of a picture. Errors: `image/pixels`. */
export function rowsOf(picture: Picture): PixelRows {
  return isRawFrame(picture) ? rawRows(picture) : plainRows(picture, checkPixels(picture))
}

/** Channels of a pixel buffer, derived from its length when not given (ImageData is RGBA). Errors: `image/pixels`. */
export function checkPixels(image: PixelImage): 1 | 3 | 4 {
  const { data, width, height } = image ?? {}
  if (
    !(data instanceof Uint8Array || data instanceof Uint8ClampedArray) ||
    !Number.isInteger(width) ||
    !Number.isInteger(height) ||
    width < 1 ||
    height < 1
  ) {
    throw new ThimbleError('image/pixels', 'not an image', {
      expected: '{ data: Uint8Array or Uint8ClampedArray, width, height, channels? }',
      got: data ? `${data.constructor?.name} of ${width}x${height}` : typeof image,
    })
  }
  const channels = image.channels ?? data.length / (width * height)
  if (channels !== 1 && channels !== 3 && channels !== 4) {
    throw new ThimbleError('image/pixels', `${width}x${height} pixels have a wrong number of channels`, {
      expected: '1, 3 or 4',
      got: `${data.length} bytes: ${+channels.toFixed(3)} channels`,
    })
  }
  if (data.length < width * height * channels) {
    throw new ThimbleError('image/pixels', `too few bytes for ${width}x${height}x${channels}`, {
      expected: width * height * channels,
      got: data.length,
    })
  }
  return channels
}

/** One-shot form of `Preprocessor`: the input tensor's values for one image. */
export const preprocess = (image: PixelImage, input: TensorInfo, how: Preprocess, out?: TypedArray): TypedArray =>
  new Preprocessor(input, how).run(image, out)
