/**
 * From a photo to a network's input and back: one affine map, the same for sampling and for the way back, so that boxes
 * and points lie on what the network saw. No dependencies.
 */
import type { Preprocess } from '../graph.ts'
import { checkPixels, placement, Preprocessor } from '../image/preprocess.ts'
import type { PixelImage, TensorInfo, TypedArray } from '../types.ts'
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

const roundEven = (x: number): number => {
  const f = Math.floor(x)
  return x - f < 0.5 || (x - f === 0.5 && f % 2 === 0) ? f : f + 1
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

/** Shrinks a picture by a whole factor, averaging; the last rows and columns may be left out. */
function shrunk(image: PixelImage, factor: number): PixelImage {
  const channels = checkPixels(image)
  const [width, height] = [Math.floor(image.width / factor), Math.floor(image.height / factor)]
  const data = new Uint8Array(width * height * channels)
  const sums = new Uint32Array(width * channels)
  const area = factor * factor
  for (let y = 0; y < height; y++) {
    sums.fill(0)
    for (let row = y * factor; row < (y + 1) * factor; row++) {
      let from = row * image.width * channels
      for (let x = 0, o = 0; x < width; x++, o += channels) {
        for (let k = 0; k < factor; k++) for (let c = 0; c < channels; c++) sums[o + c]! += image.data[from++]!
      }
    }
    for (let i = 0; i < sums.length; i++) data[y * sums.length + i] = (sums[i]! + (area >> 1)) / area
  }
  return { data, width, height, channels }
}

/**
 * The view as a picture of the input's size, bilinear; what lies outside the photo gets the value `fill`. Where a pixel
 * of the input covers several of the photo's and `smooth` is set, they are averaged first.
 */
export function sample(photo: PixelImage, view: View, { fill = 0, smooth = false } = {}): PixelImage {
  const step = Math.min(Math.hypot(view.xx, view.yx), Math.hypot(view.xy, view.yy))
  const factor = smooth ? Math.min(Math.floor(step), photo.width, photo.height) : 1
  const image = factor >= 2 ? shrunk(photo, factor) : photo
  const from = checkPixels(image)
  const channels = from === 1 ? 1 : 3
  const { width, height } = view
  const { data } = image
  const out = new Uint8Array(width * height * channels)
  const [f, g] = factor >= 2 ? [1 / factor, 1 / factor] : [1, 1]
  const [lastX, lastY] = [image.width - 1, image.height - 1]
  for (let v = 0, o = 0; v < height; v++) {
    for (let u = 0; u < width; u++, o += channels) {
      const px = (view.xx * (u + 0.5) + view.xy * (v + 0.5) + view.x0) * f
      const py = (view.yx * (u + 0.5) + view.yy * (v + 0.5) + view.y0) * g
      if (!(px >= 0 && py >= 0 && px <= image.width && py <= image.height)) {
        for (let c = 0; c < channels; c++) out[o + c] = fill
        continue
      }
      const x = Math.max(0, Math.min(lastX, px - 0.5))
      const y = Math.max(0, Math.min(lastY, py - 0.5))
      const [left, top] = [Math.floor(x), Math.floor(y)]
      const [ax, ay] = [x - left, y - top]
      const i = (top * image.width + left) * from
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
  fill(image: PixelImage, out: TypedArray): View {
    checkPixels(image)
    if (!this.framing) {
      this.preprocessor.run(image, out)
      return preprocessView(image, this.input, this.preprocess)
    }
    const square = this.framing === 'square'
    const view = square ? squareView(image, this.input) : letterboxView(image, this.input, this.framing === 'corner')
    this.preprocessor.run(sample(image, view, { fill: square ? 0 : GRAY, smooth: square }), out)
    return this.framing === 'corner' ? cornerBack(image, this.input) : view
  }

  /** The same for a region of the photo. */
  fillRegion(image: PixelImage, region: Region, out: TypedArray): View {
    checkPixels(image)
    const view = regionView(region, this.input)
    const plainly = this.regional ?? (this.regional = new Preprocessor(this.preprocessor.input, plain(this.preprocess)))
    plainly.run(sample(image, view, { smooth: true }), out)
    return view
  }
  private regional?: Preprocessor
}

/** The preprocessing without any scaling. */
const plain = ({ fit: _fit, shorterSide: _side, ...rest }: Preprocess): Preprocess => ({ fit: 'stretch', ...rest })
