/** Planes and instance masks on the photo. No dependencies. */
import type { Corners } from './boxes.ts'
import type { View } from './frame.ts'
import type { Plane } from './heads/maps.ts'
import type { Size } from './heads/head.ts'

/** Where each column (or row) of the photo lies in a plane: the cell before it, and the share of the next one. */
interface Axis {
  at: Int32Array
  part: Float32Array
}

/** Where the input's pixels lie along an axis of the photo. */
interface Line {
  scale: number
  offset: number
}

/**
 * An axis of the photo on a plane that covers the input; -1 where the photo reaches beyond the input.
 * Requires: a view without turning. Cells' centres lie at .5.
 */
function axis(size: number, { scale, offset }: Line, input: number, cells: number): Axis {
  const at = new Int32Array(size)
  const part = new Float32Array(size)
  for (let i = 0; i < size; i++) {
    const u = (i + 0.5 - offset) / scale
    const cell = Math.max(0, Math.min(cells - 1, (u * cells) / input - 0.5))
    at[i] = u < 0 || u > input ? -1 : Math.floor(cell)
    part[i] = cell - Math.floor(cell)
  }
  return { at, part }
}

const axes = (view: View, image: Size, plane: Size): [x: Axis, y: Axis] => [
  axis(image.width, { scale: view.xx, offset: view.x0 }, view.width, plane.width),
  axis(image.height, { scale: view.yy, offset: view.y0 }, view.height, plane.height),
]

/**
 * Classes for every pixel of the photo: of the four cells around it the class that covers most. Beyond the input: 0.
 */
export function classesOnPhoto(plane: Plane<Uint16Array>, view: View, image: Size): Uint16Array {
  const out = new Uint16Array(image.width * image.height)
  const [x, y] = axes(view, image, plane)
  const { data, width, height } = plane
  for (let j = 0, o = 0; j < image.height; j++) {
    const top = y.at[j]! * width
    const below = y.at[j]! < height - 1 ? width : 0
    const down = y.part[j]!
    for (let i = 0; i < image.width; i++, o++) {
      const left = x.at[i]!
      if (left < 0 || top < 0) continue
      const right = left < width - 1 ? 1 : 0
      const [a, b] = [data[top + left]!, data[top + left + right]!]
      const [c, d] = [data[top + below + left]!, data[top + below + left + right]!]
      if (a === b && a === c && a === d) {
        out[o] = a
        continue
      }
      const across = x.part[i]!
      const shares = [(1 - across) * (1 - down), across * (1 - down), (1 - across) * down, across * down] as const
      const ids = [a, b, c, d] as const
      let most = -1
      for (let k = 0; k < 4; k++) {
        let sum = 0
        for (let m = 0; m < 4; m++) if (ids[m] === ids[k]) sum += shares[m]!
        if (sum > most) {
          most = sum
          out[o] = ids[k]!
        }
      }
    }
  }
  return out
}

/** Numbers for every pixel of the photo, bilinear; NaN beyond the input. */
export function numbersOnPhoto(plane: Plane<Float32Array>, view: View, image: Size): Float32Array {
  const out = new Float32Array(image.width * image.height)
  const number = bilinear(plane, axes(view, image, plane))
  for (let j = 0, o = 0; j < image.height; j++) {
    for (let i = 0; i < image.width; i++, o++) out[o] = number(i, j)
  }
  return out
}

/** The number at a pixel of the photo. */
function bilinear(
  { data, width, height }: Plane<Float32Array>,
  [x, y]: readonly [x: Axis, y: Axis],
): (i: number, j: number) => number {
  return (i, j) => {
    const [left, row] = [x.at[i]!, y.at[j]!]
    if (left < 0 || row < 0) return NaN
    const at = row * width + left
    const right = left < width - 1 ? 1 : 0
    const below = row < height - 1 ? width : 0
    const [across, down] = [x.part[i]!, y.part[j]!]
    const upper = data[at]! * (1 - across) + data[at + right]! * across
    const lower = data[at + below]! * (1 - across) + data[at + below + right]! * across
    return upper * (1 - down) + lower * down
  }
}

/** Prototypes [height, width, masks] or [masks, height, width]. */
export interface Prototypes {
  data: ArrayLike<number>
  width: number
  height: number
  masks: number
  first: boolean
}

/** The mask's logits: prototypes weighted by an object's coefficients. */
export function maskLogits(p: Prototypes, coefficients: ArrayLike<number>): Plane<Float32Array> {
  const cells = p.width * p.height
  const data = new Float32Array(cells)
  for (let m = 0; m < p.masks; m++) {
    const c = coefficients[m]!
    for (let i = 0; i < cells; i++) data[i]! += c * p.data[p.first ? m * cells + i : i * p.masks + m]!
  }
  return { data, width: p.width, height: p.height }
}

/**
 * Pixels of the photo that an object covers: where its logits, bilinear, are above 0, within its box (in pixels).
 * Calls `cover` with each one's index; returns how many. Source: Ultralytics, utils/ops.py process_mask.
 */
export function coverMask(
  { logits, box }: { logits: Plane<Float32Array>; box: Corners },
  view: View,
  image: Size,
  cover: (index: number) => void,
): number {
  const number = bilinear(logits, axes(view, image, logits))
  let count = 0
  for (let j = Math.max(0, Math.ceil(box.top)); j < Math.min(image.height, box.bottom); j++) {
    for (let i = Math.max(0, Math.ceil(box.left)); i < Math.min(image.width, box.right); i++) {
      if (!(number(i, j) > 0)) continue
      cover(j * image.width + i)
      count++
    }
  }
  return count
}
