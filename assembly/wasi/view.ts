/**
 * From a picture to the model's input and back: the arithmetic of src/vision/frame.ts. x = xx u + x0, y = yy v + y0 for
 * a point (u, v) of the input, all in pixels.
 */
import { alloc } from '../image/memory'
import { pictureAt, pictureChannels, pictureHeight, pictureWidth, setPicture } from '../image/result'
import { FRAMING_CORNER, FRAMING_FIT, FRAMING_SQUARE } from './config'
import { place, placePicture } from './placement'
import { settings } from './settings'

export let xx: f64 = 1
export let x0: f64 = 0
export let yy: f64 = 1
export let y0: f64 = 0
/** The picture's own size: `frame` puts a view of it in its place. */
export let photoWidth: i32 = 0
export let photoHeight: i32 = 0

/** Gray of Ultralytics' and YOLOX' bars. */
const GRAY: u8 = 114

/** A point given as shares of the input, in the picture. */
// @ts-ignore: decorator
@inline
export function photoX(share: f64): f64 {
  return xx * (share * <f64>settings().inputWidth) + x0
}
// @ts-ignore: decorator
@inline
export function photoY(share: f64): f64 {
  return yy * (share * <f64>settings().inputHeight) + y0
}

function placed(width: f64, height: f64, left: f64, top: f64): void {
  xx = <f64>photoWidth / width
  yy = <f64>photoHeight / height
  x0 = -left * xx
  y0 = -top * yy
}

function letterbox(corner: bool): void {
  const w = <f64>settings().inputWidth
  const h = <f64>settings().inputHeight
  const ratio = min<f64>(w / <f64>photoWidth, h / <f64>photoHeight)
  const scaledW = <f64>photoWidth * ratio
  const scaledH = <f64>photoHeight * ratio
  const width = max<f64>(1, corner ? floor<f64>(scaledW) : nearest<f64>(scaledW))
  const height = max<f64>(1, corner ? floor<f64>(scaledH) : nearest<f64>(scaledH))
  if (corner) placed(width, height, 0, 0)
  else placed(width, height, nearest<f64>((w - width) / 2 - 0.1), nearest<f64>((h - height) / 2 - 0.1))
}

function square(): void {
  const w = <f64>settings().inputWidth
  const h = <f64>settings().inputHeight
  const scale = max<f64>(<f64>photoWidth / w, <f64>photoHeight / h)
  xx = (scale * w) / w
  yy = (scale * h) / h
  x0 = <f64>photoWidth / 2 - (xx * w) / 2
  y0 = <f64>photoHeight / 2 - (yy * h) / 2
}

/** Shrinks the picture by a whole factor, averaging; false when there is no memory. */
function shrink(factor: i32): bool {
  const n = pictureChannels
  const width = pictureWidth / factor
  const height = pictureHeight / factor
  const row = width * n
  const out = alloc(<u64>row * height + 32)
  const sums = alloc(<u64>row * 4)
  if (out == 0 || sums == 0) return false
  const area = factor * factor
  for (let y = 0; y < height; y++) {
    memory.fill(sums, 0, (<usize>row) << 2)
    for (let line = y * factor; line < (y + 1) * factor; line++) {
      let from = pictureAt + <usize>line * pictureWidth * n
      for (let o = 0; o < row; o += n) {
        for (let k = 0; k < factor; k++) {
          for (let c = 0; c < n; c++) {
            const sum = sums + ((<usize>(o + c)) << 2)
            store<u32>(sum, load<u32>(sum) + load<u8>(from++))
          }
        }
      }
    }
    const to = out + <usize>y * row
    for (let i = 0; i < row; i++) store<u8>(to + i, (load<u32>(sums + ((<usize>i) << 2)) + (area >> 1)) / area)
  }
  setPicture(out, width, height, n)
  return true
}

/** Puts the view, a picture of the input's size, in the picture's place; false when there is no memory. */
function sample(fill: u8, smooth: bool): bool {
  const factor = smooth ? min(<i32>floor<f64>(min(xx, yy)), min(photoWidth, photoHeight)) : 1
  if (factor >= 2 && !shrink(factor)) return false
  const part: f64 = factor >= 2 ? 1 / <f64>factor : 1
  const n = pictureChannels
  const w = pictureWidth
  const h = pictureHeight
  const width = settings().inputWidth
  const height = settings().inputHeight
  const out = alloc(<u64>width * height * n + 32)
  if (out == 0) return false
  const lastX = w - 1
  const lastY = h - 1
  let to = out
  for (let v = 0; v < height; v++) {
    const py = (yy * (<f64>v + 0.5) + y0) * part
    const y = max<f64>(0, min<f64>(<f64>lastY, py - 0.5))
    const top = <i32>floor<f64>(y)
    const ay = y - <f64>top
    for (let u = 0; u < width; u++) {
      const px = (xx * (<f64>u + 0.5) + x0) * part
      if (!(px >= 0 && py >= 0 && px <= <f64>w && py <= <f64>h)) {
        for (let c = 0; c < n; c++) store<u8>(to++, fill)
        continue
      }
      const x = max<f64>(0, min<f64>(<f64>lastX, px - 0.5))
      const left = <i32>floor<f64>(x)
      const ax = x - <f64>left
      const at = pictureAt + <usize>(top * w + left) * n
      const right: usize = left < lastX ? <usize>n : 0
      const below: usize = top < lastY ? <usize>w * n : 0
      for (let c = 0; c < n; c++) {
        const p = at + c
        const upper = <f64>load<u8>(p) * (1 - ax) + <f64>load<u8>(p + right) * ax
        const lower = <f64>load<u8>(p + below) * (1 - ax) + <f64>load<u8>(p + below + right) * ax
        store<u8>(to++, <i32>(upper * (1 - ay) + lower * ay + 0.5))
      }
    }
  }
  setPicture(out, width, height, n)
  return true
}

/** Fits the picture to the input as the head's family does; false when there is no memory. */
export function frame(): bool {
  photoWidth = pictureWidth
  photoHeight = pictureHeight
  const how = settings().framing
  if (how == FRAMING_FIT) {
    placePicture(photoWidth, photoHeight)
    placed(<f64>place.width, <f64>place.height, <f64>(place.padX - place.cropX), <f64>(place.padY - place.cropY))
    return true
  }
  if (how == FRAMING_SQUARE) square()
  else letterbox(how == FRAMING_CORNER)
  if (!sample(how == FRAMING_SQUARE ? 0 : GRAY, how == FRAMING_SQUARE)) return false
  if (how == FRAMING_CORNER) {
    // The way back has one ratio for both sides. Source: YOLOX, tools/demo.py Predictor.visual.
    xx = max<f64>(<f64>photoWidth / <f64>settings().inputWidth, <f64>photoHeight / <f64>settings().inputHeight)
    yy = xx
    x0 = 0
    y0 = 0
  }
  return true
}
