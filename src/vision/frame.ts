/**
 * From a photo to a network's input and back: one affine map, the same for sampling and for the way back, so that boxes
 * and points lie on what the network saw. No dependencies.
 */
import type { Preprocess } from '../graph/graph.ts'
import { placement, Preprocessor, rowsOf } from '../image/preprocess.ts'
import { type Picture, type PixelRow, type PixelRows, shrunkRows } from '../image/rows.ts'
import { roundEven } from '../base/round.ts'
import type { PixelImage, TensorInfo, TypedArray } from '../graph/types.ts'
import type { Framing } from './head.ts'
import type { Size } from './heads/head.ts'

/** Photo coordinates of a point (u, v) of the input, both in pixels: x = xx u + xy v + x0, y = yx u + yy v + y0. */
export interface View {
  xx: number
  xy: number
  x0: number
  yx: number
  yy: number
  y0: number
  /** The input's size. */
  width: number
  height: number
}

/** A rectangle in a photo, perhaps turned: centre, size in its own directions, angle clockwise in radians. */
export interface Region {
  x: number
  y: number
  width: number
  height: number
  angle: number
}

/** Where a point given as shares of the input lies in the photo. */
export const toPhoto = (v: View, x: number, y: number): [x: number, y: number] => {
  const [a, b] = [x * v.width, y * v.height]
  return [v.xx * a + v.xy * b + v.x0, v.yx * a + v.yy * b + v.y0]
}

/** The view in which a region fills the input. */
export function regionView(region: Region, { width, height }: Size): View {
  const [cos, sin] = [Math.cos(region.angle), Math.sin(region.angle)]
  const [sx, sy] = [region.width / width, region.height / height]
  const [xx, xy, yx, yy] = [sx * cos, -sy * sin, sx * sin, sy * cos]
  return {
    xx,
    xy,
    x0: region.x - (xx * width + xy * height) / 2,
    yx,
    yy,
    y0: region.y - (yx * width + yy * height) / 2,
    width,
    height,
  }
}

/** The square around the whole photo, in the input's proportions. */
export function squareView(image: Size, input: Size): View {
  const scale = Math.max(image.width / input.width, image.height / input.height)
  const region = { width: scale * input.width, height: scale * input.height }
  return regionView({ x: image.width / 2, y: image.height / 2, ...region, angle: 0 }, input)
}

/** A view without turning: the photo, `width` x `height` pixels large in the input, with its corner at (left, top). */
const placedView = (image: Size, at: Size & { left: number; top: number }, input: Size): View => {
  const [xx, yy] = [image.width / at.width, image.height / at.height]
  return { xx, xy: 0, x0: -at.left * xx, yx: 0, yy, y0: -at.top * yy, width: input.width, height: input.height }
}

/** Source: Ultralytics, data/augment.py LetterBox; YOLOX, data/data_augment.py preproc (`corner`). */
export function letterboxView(image: Size, input: Size, corner: boolean): View {
  const ratio = Math.min(input.width / image.width, input.height / image.height)
  const side = corner ? Math.floor : roundEven
  const [width, height] = [Math.max(1, side(image.width * ratio)), Math.max(1, side(image.height * ratio))]
  const [left, top] = corner
    ? [0, 0]
    : [roundEven((input.width - width) / 2 - 0.1), roundEven((input.height - height) / 2 - 0.1)]
  return placedView(image, { width, height, left, top }, input)
}

/**
 * The way back from a `corner` framing: one ratio for both sides, whatever the rounded sides are. Source: YOLOX,
 * tools/demo.py Predictor.visual.
 */
function cornerBack(image: Size, input: Size): View {
  const xx = Math.max(image.width / input.width, image.height / input.height)
  return { xx, xy: 0, x0: 0, yx: 0, yy: xx, y0: 0, width: input.width, height: input.height }
}

/** The view that a preprocessing makes. */
export function preprocessView(image: Size, input: Size, how: Preprocess): View {
  const p = placement(image, input, how)
  const at = { width: p.width, height: p.height, left: p.padX - p.cropX, top: p.padY - p.cropY }
  return placedView(image, at, input)
}

/**
 * Where a view's pixels come from in one direction: both neighbours of each, and how much of the second; none outside.
 */
interface Neighbours {
  /** -1: outside. */
  first: Int32Array
  second: Int32Array
  weight: Float64Array
}

/**
 * How a view is sampled: `scale` samples are a pixel of the photo; `centre` is where in a pixel of the input its value
 * is.
 */
interface Sampling {
  fill: number
  scale: number
  centre: 0 | 0.5
}

/** `step * (i + centre) + at` for each of `count`, of `size` samples. */
function neighbours(
  step: number,
  at: number,
  { count, size, scale, centre }: { count: number; size: number } & Sampling,
): Neighbours {
  const [first, second, weight] = [new Int32Array(count).fill(-1), new Int32Array(count), new Float64Array(count)]
  for (let i = 0; i < count; i++) {
    // With the value in the pixel's corner the photo's are counted from their middles.
    const p = (step * (i + centre) + at) * scale + 0.5 - centre
    if (!(p >= 0 && p <= size)) continue
    const x = Math.max(0, Math.min(size - 1, p - 0.5))
    const low = Math.floor(x)
    first[i] = low
    second[i] = Math.min(low + 1, size - 1)
    weight[i] = x - low
  }
  return { first, second, weight }
}

/** A view without turning: row by row. */
function sampleUpright(rows: PixelRows, view: View, how: Sampling): PixelImage {
  const { width, height } = view
  const from = rows.channels
  const channels = from === 1 ? 1 : 3
  const x = neighbours(view.xx, view.x0, { count: width, size: rows.width, ...how })
  const y = neighbours(view.yy, view.y0, { count: height, size: rows.height, ...how })
  const out = new Uint8Array(width * height * channels).fill(how.fill)
  for (let v = 0; v < height; v++) {
    if (y.first[v]! < 0) continue
    const pair = { upper: rows.row(y.first[v]!), lower: rows.row(y.second[v]!), weight: y.weight[v]! }
    const target = { out, at: v * width * channels }
    if (channels === 3) blendColours(pair, x, from, target)
    else blendGrays(pair, x, target)
  }
  return { data: out, width, height, channels }
}

/** Two rows, and how much of the lower one. */
interface RowPair {
  upper: PixelRow
  lower: PixelRow
  weight: number
}
interface Target {
  out: Uint8Array
  at: number
}

/** A row between two of `step` samples a pixel, three of which are its colours. */
function blendColours({ upper, lower, weight: ay }: RowPair, x: Neighbours, step: number, { out, at }: Target): void {
  const [a, b, by] = [upper.samples, lower.samples, 1 - ay]
  const [upperAt, down] = [upper.at, lower.at - upper.at]
  const { first, second, weight } = x
  for (let u = 0, o = at; u < first.length; u++, o += 3) {
    if (first[u]! < 0) continue
    const ax = weight[u]!
    const bx = 1 - ax
    const p = upperAt + first[u]! * step
    const q = upperAt + second[u]! * step
    const r = p + down
    const s = q + down
    out[o] = (a[p]! * bx + a[q]! * ax) * by + (b[r]! * bx + b[s]! * ax) * ay + 0.5
    out[o + 1] = (a[p + 1]! * bx + a[q + 1]! * ax) * by + (b[r + 1]! * bx + b[s + 1]! * ax) * ay + 0.5
    out[o + 2] = (a[p + 2]! * bx + a[q + 2]! * ax) * by + (b[r + 2]! * bx + b[s + 2]! * ax) * ay + 0.5
  }
}

/** The same for one sample a pixel. */
function blendGrays({ upper, lower, weight: ay }: RowPair, x: Neighbours, { out, at }: Target): void {
  const [a, b, by] = [upper.samples, lower.samples, 1 - ay]
  const { first, second, weight } = x
  for (let u = 0; u < first.length; u++) {
    if (first[u]! < 0) continue
    const [left, right, ax] = [first[u]!, second[u]!, weight[u]!]
    const above = a[upper.at + left]! * (1 - ax) + a[upper.at + right]! * ax
    const below = b[lower.at + left]! * (1 - ax) + b[lower.at + right]! * ax
    out[at + u] = above * by + below * ay + 0.5
  }
}

/** Part of a picture, and where it lies in it. */
interface Part {
  image: PixelImage
  x: number
  y: number
}

/** The rows and columns that a view may read, of a picture whose samples are 1/scale as many. */
function partFor(rows: PixelRows, view: View, scale: number): Part {
  if (rows.whole) return { image: rows.whole, x: 0, y: 0 }
  const corner = (u: number, v: number): [number, number] => [
    (view.xx * u + view.xy * v + view.x0) * scale,
    (view.yx * u + view.yy * v + view.y0) * scale,
  ]
  const corners = [corner(0, 0), corner(view.width, 0), corner(0, view.height), corner(view.width, view.height)]
  const span = (k: 0 | 1, size: number): [number, number] => {
    const all = corners.map((c) => c[k])
    const low = Math.max(0, Math.min(size - 1, Math.floor(Math.min(...all)) - 1))
    return [low, Math.max(low + 1, Math.min(size, Math.ceil(Math.max(...all)) + 1))]
  }
  const [[x, right], [y, bottom]] = [span(0, rows.width), span(1, rows.height)]
  const [width, channels] = [right - x, rows.channels]
  const data = new Uint8Array(width * (bottom - y) * channels)
  for (let r = y; r < bottom; r++) {
    const { samples, at } = rows.row(r)
    data.set(samples.subarray(at + x * channels, at + right * channels), (r - y) * width * channels)
  }
  return { image: { data, width, height: bottom - y, channels }, x, y }
}

/** A turned view, of a part of the picture that holds all it reads. */
function sampleTurned(rows: PixelRows, view: View, { fill, scale, centre }: Sampling): PixelImage {
  const { image, x: partX, y: partY } = partFor(rows, view, scale)
  const from = rows.channels
  const channels = from === 1 ? 1 : 3
  const { width, height } = view
  const { data } = image
  const out = new Uint8Array(width * height * channels)
  const [lastX, lastY] = [rows.width - 1, rows.height - 1]
  for (let v = 0, o = 0; v < height; v++) {
    for (let u = 0; u < width; u++, o += channels) {
      const px = (view.xx * (u + centre) + view.xy * (v + centre) + view.x0) * scale + 0.5 - centre
      const py = (view.yx * (u + centre) + view.yy * (v + centre) + view.y0) * scale + 0.5 - centre
      if (!(px >= 0 && py >= 0 && px <= rows.width && py <= rows.height)) {
        for (let c = 0; c < channels; c++) out[o + c] = fill
        continue
      }
      const x = Math.max(0, Math.min(lastX, px - 0.5))
      const y = Math.max(0, Math.min(lastY, py - 0.5))
      const [left, top] = [Math.floor(x), Math.floor(y)]
      const [ax, ay] = [x - left, y - top]
      const i = ((top - partY) * image.width + left - partX) * from
      const right = left < lastX ? from : 0
      const below = top < lastY ? image.width * from : 0
      for (let c = 0; c < channels; c++) {
        const upper = data[i + c]! * (1 - ax) + data[i + right + c]! * ax
        const lower = data[i + below + c]! * (1 - ax) + data[i + below + right + c]! * ax
        out[o + c] = upper * (1 - ay) + lower * ay + 0.5
      }
    }
  }
  return { data: out, width, height, channels }
}

/**
 * The view as a picture of the input's size, bilinear; what lies outside the photo gets the value `fill`. Where a pixel
 * of the input covers several of the photo's and `smooth` is set, they are averaged first. `corners`: a pixel's value
 * is that in its upper left corner, as MediaPipe's are (image_to_tensor_converter_opencv.cc, cv::warpPerspective).
 */
export function sample(
  photo: Picture,
  view: View,
  { fill = 0, smooth = false, corners = false }: { fill?: number; smooth?: boolean; corners?: boolean } = {},
): PixelImage {
  const all = rowsOf(photo)
  const step = Math.min(Math.hypot(view.xx, view.yx), Math.hypot(view.xy, view.yy))
  const factor = smooth ? Math.min(Math.floor(step), all.width, all.height) : 1
  const rows = factor >= 2 ? shrunkRows(all, factor) : all
  const how: Sampling = { fill, scale: factor >= 2 ? 1 / factor : 1, centre: corners ? 0 : 0.5 }
  return view.xy === 0 && view.yx === 0 ? sampleUpright(rows, view, how) : sampleTurned(rows, view, how)
}

/** Gray of Ultralytics' and YOLOX' bars. */
const GRAY = 114

/** Fills a network's input from photos and says what of them it sees. */
export class Framer {
  readonly preprocess: Preprocess
  readonly input: Size
  private readonly framing: Framing['framing']
  private readonly preprocessor: Preprocessor

  /** Errors: `image/unsupported-input`, `usage/preprocess`. */
  constructor(tensor: TensorInfo, preprocess: Preprocess, framing: Framing['framing']) {
    this.preprocess = preprocess
    this.framing = framing
    // A view is a picture of the input's own size already.
    this.preprocessor = new Preprocessor(tensor, framing ? plain(preprocess) : preprocess)
    this.input = { width: this.preprocessor.geometry.width, height: this.preprocessor.geometry.height }
  }

  createInput(): TypedArray {
    return this.preprocessor.createInput()
  }

  /** Errors: `image/pixels`. */
  fill(image: Picture, out: TypedArray): View {
    if (!this.framing) {
      this.preprocessor.run(image, out)
      return preprocessView(image, this.input, this.preprocess)
    }
    const mediapipe = this.framing === 'mediapipe'
    const square = this.framing === 'square' || mediapipe
    const view = square ? squareView(image, this.input) : letterboxView(image, this.input, this.framing === 'corner')
    this.preprocessor.run(
      sample(image, view, { fill: square ? 0 : GRAY, smooth: square && !mediapipe, corners: mediapipe }),
      out,
    )
    return this.framing === 'corner' ? cornerBack(image, this.input) : view
  }

  /** The same for a region of the photo. */
  fillRegion(image: Picture, region: Region, out: TypedArray): View {
    const view = regionView(region, this.input)
    const plainly = this.regional ?? (this.regional = new Preprocessor(this.preprocessor.input, plain(this.preprocess)))
    const mediapipe = this.framing === 'mediapipe'
    plainly.run(sample(image, view, { smooth: !mediapipe, corners: mediapipe }), out)
    return view
  }
  private regional?: Preprocessor
}

/** The preprocessing without any scaling. */
const plain = ({ fit: _fit, shorterSide: _side, ...rest }: Preprocess): Preprocess => ({ fit: 'stretch', ...rest })
