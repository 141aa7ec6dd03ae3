/** Windows of convolutions and pools over an image, one axis at a time, as TFLite has them. */
import type { Padding } from './graph.ts'

/** A window along an axis of `size` pixels. Source: TFLite ComputePadding. */
export interface AxisWindow {
  padding: Padding
  size: number
  kernel: number
  /** Default 1. */
  stride?: number
  dilation?: number
  /** VALID: pixels of padding that stand before and after the image all the same. Default 0. */
  before?: number
  after?: number
  /** Output size where it is given; default: the one that follows from the rest. */
  out?: number
}

/** Output size along an axis, and padding before and after the image. */
export interface Axis {
  out: number
  before: number
  after: number
}

/** Pixels from a window's first tap to its last, both included. */
export const reachOf = (kernel: number, dilation = 1): number => (kernel - 1) * dilation + 1

/** Where a window goes. SAME pads with the odd pixel after the image, VALID not at all. */
export function windowAlong(w: AxisWindow): Axis {
  const { padding, size, kernel, stride = 1, dilation = 1, before = 0, after = 0 } = w
  const reach = reachOf(kernel, dilation)
  if (padding === 'SAME') {
    const out = w.out ?? Math.ceil(size / stride)
    const total = Math.max((out - 1) * stride + reach - size, 0)
    return { out, before: total >> 1, after: total - (total >> 1) }
  }
  return { out: w.out ?? Math.floor((size + before + after - reach) / stride) + 1, before, after }
}
