/**
 * Planes: a class for every cell (DeepLab, U-Net, selfie segmentation), one number for every cell (depth, saliency), or
 * a picture (another style, more pixels).
 */
import type { PixelImage, TensorInfo } from '../../graph/types.ts'
import { sigmoid, wrongOutputs } from '../values.ts'
import type { Thresholds } from './head.ts'

export interface SegmentationHead extends Thresholds {
  kind: 'segmentation'
  /** One output; or several with two classes each, background first, that become classes 1, 2, … (TwinLiteNet). */
  outputs: readonly number[]
  /** `indices`: the output holds class numbers. `last`, `first`: scores along this axis. `mask`: one score a cell. */
  form: 'indices' | 'last' | 'first' | 'mask'
  /** For `mask`: the output holds logits. */
  logits?: boolean
}

export interface MapHead extends Thresholds {
  kind: 'map'
  output: number
}

export interface PictureHead extends Thresholds {
  kind: 'picture'
  /** [1, height, width, 3] or [1, height, width, 1]. */
  output: number
  /** What black and white are: 0 and 255, 0 and 1, -1 and 1; `auto`: told by the values. */
  values: 'raw' | 'unit' | 'signed' | 'auto'
}

/** One value for each cell, row by row. */
export interface Plane<T extends Uint8Array | Uint16Array | Float32Array> {
  data: T
  width: number
  height: number
}

/** Height, width and number of classes. Errors: `format/shape`. */
function dimensions(head: SegmentationHead, outputs: readonly TensorInfo[]): [number, number, number] {
  const whole = outputs[head.outputs[0] ?? -1]?.shape ?? []
  // A plane of indices may come without a batch.
  const shape = whole.length === 2 ? whole : whole.slice(1)
  const [a, b, c] = shape as [number, number, number?]
  if (shape.length === 2 && head.form !== 'last' && head.form !== 'first') return [a, b, 1]
  if (shape.length === 3 && head.form === 'first') return [b, c!, a]
  if (shape.length === 3 && (head.form === 'last' || c === 1)) return [a, b, c!]
  return wrongOutputs(
    head.kind,
    '[1, height, width, classes], [1, classes, height, width] or [1, height, width]',
    outputs,
  )
}

/**
 * Class of every cell; class 0 is the background, except where scores are `last` or `first`: there classes are as the
 * network counts them. Errors: `format/shape`.
 */
export function segmentationDecoder(
  head: SegmentationHead,
  outputs: readonly TensorInfo[],
): {
  classes: number
  width: number
  height: number
  channels: number
  decode(values: readonly ArrayLike<number>[], threshold: number): Plane<Uint16Array>
} {
  const [height, width, channels] = dimensions(head, outputs)
  const cells = height * width
  const several = head.outputs.length > 1
  const classes = several ? head.outputs.length + 1 : head.form === 'mask' ? 2 : head.form === 'indices' ? 0 : channels
  const [row, step] = head.form === 'first' ? [1, cells] : [channels, 1]
  const best = (t: ArrayLike<number>, i: number): number => {
    let index = 0
    for (let c = 1; c < channels; c++) if (t[i * row + c * step]! > t[i * row + index * step]!) index = c
    return index
  }
  return {
    classes,
    width,
    height,
    channels,
    decode(values, threshold) {
      const data = new Uint16Array(cells)
      head.outputs.forEach((output, k) => {
        const t = values[output]!
        for (let i = 0; i < cells; i++) {
          if (head.form === 'indices') data[i] = Math.max(0, Math.round(t[i]!))
          else if (head.form === 'mask') data[i] = (head.logits ? sigmoid(t[i]!) : t[i]!) > threshold ? 1 : 0
          else if (!several) data[i] = best(t, i)
          else if (best(t, i) > 0) data[i] = k + 1
        }
      })
      return { data, width, height }
    },
  }
}

/** Black and what lies between black and white, from real values. */
function levels(how: PictureHead['values'], t: ArrayLike<number>): readonly [black: number, range: number] {
  if (how === 'auto') {
    let [least, most] = [0, 0]
    for (let i = 0; i < t.length; i++) [least, most] = [Math.min(least, t[i]!), Math.max(most, t[i]!)]
    // A sharpened picture overshoots a little on both sides.
    return most > 2 ? [0, 255] : least < -0.25 ? [-1, 2] : [0, 1]
  }
  return how === 'raw' ? [0, 255] : how === 'unit' ? [0, 1] : [-1, 2]
}

/** A picture of the network's own size. Errors: `format/shape`. */
export function pictureDecoder(
  head: PictureHead,
  outputs: readonly TensorInfo[],
): (values: readonly ArrayLike<number>[]) => PixelImage {
  const [height = 0, width = 0, channels] = outputs[head.output]?.shape.slice(-3) ?? []
  if (channels !== 1 && channels !== 3) {
    return wrongOutputs(head.kind, `output ${head.output}: [1, height, width, 3 or 1]`, outputs)
  }
  return (values) => {
    const t = values[head.output]!
    const [black, range] = levels(head.values, t)
    const data = Uint8Array.from(t, (v) => Math.max(0, Math.min(255, Math.round(((v - black) / range) * 255))))
    return { data, width, height, channels }
  }
}

/** The numbers themselves. Errors: `format/shape`. */
export function mapDecoder(
  head: MapHead,
  outputs: readonly TensorInfo[],
): (values: readonly ArrayLike<number>[]) => Plane<Float32Array> {
  const shape = outputs[head.output]?.shape.filter((d, i) => i > 0 && d !== 1) ?? []
  const [height, width] = shape as [number, number]
  if (shape.length !== 2) return wrongOutputs(head.kind, `output ${head.output}: [1, height, width]`, outputs)
  return (values) => ({ data: Float32Array.from(values[head.output]!), width, height })
}
