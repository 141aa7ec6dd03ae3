/**
 * Separable resizing of 8-bit images, as tables of taps per output column and row. No dependencies, no allocation
 * once the tables of a size exist.
 *
 * `bilinear` is Pillow's arithmetic: a triangle filter that widens when shrinking, weights rounded to 22-bit fixed
 * point, columns first, and the result of each direction rounded to 8 bits. Its pixels equal those of
 * `Image.resize(size, Image.BILINEAR)`, and so torchvision's `Resize` on PIL images.
 * Source: Pillow, src/libImaging/Resample.c and Geometry.c; OpenCV's INTER_AREA for `area`.
 */
import type { Preprocess } from '../graph/graph.ts'

export type ResizeMethod = Preprocess['method']

/** Bits after the point of a weight. 255 * 2^22 + 2^21 fits in an int32. */
const PRECISION = 22
const HALF = 1 << (PRECISION - 1)

/** Outputs `from` to `from + count` of an axis of `inSize` pixels that is resized to `outSize`. */
export interface Axis {
  inSize: number
  outSize: number
  from: number
  count: number
}

/**
 * Taps of one axis. Output i is the sum over k < counts[i] of weights[i * stride + k] * input[starts[i] + k].
 * `identity`: every output is one input pixel, whole.
 */
export interface AxisTaps {
  starts: Int32Array
  counts: Int32Array
  weights: Int32Array
  stride: number
  identity: boolean
}

/** Requires: inSize, outSize >= 1; 0 <= from, from + count <= outSize. */
export function axisTaps(method: ResizeMethod, { inSize, outSize, from, count }: Axis): AxisTaps {
  if (inSize === outSize) return nearestTaps(1, from, count)
  const scale = inSize / outSize
  switch (method) {
    case 'nearest':
      return nearestTaps(scale, from, count, inSize)
    case 'bilinear-fast':
      return windowTaps(from, count, (i) => twoTaps(i, scale, inSize))
    case 'area':
      return windowTaps(from, count, (i) => areaTaps(i, scale, inSize))
    case 'bilinear': {
      const support = Math.max(scale, 1)
      return windowTaps(from, count, (i) => triangleTaps(i, scale, support, inSize))
    }
  }
}

interface Window {
  start: number
  weights: number[]
}

function windowTaps(from: number, count: number, window: (i: number) => Window): AxisTaps {
  const windows = Array.from({ length: count }, (_, i) => window(from + i))
  const stride = windows.reduce((most, w) => Math.max(most, w.weights.length), 0)
  const weights = new Int32Array(count * stride)
  windows.forEach((w, i) => {
    // Truncated after adding a half, as C converts.
    w.weights.forEach((v, k) => {
      weights[i * stride + k] = Math.trunc(0.5 + v * (1 << PRECISION))
    })
  })
  return {
    starts: Int32Array.from(windows, (w) => w.start),
    counts: Int32Array.from(windows, (w) => w.weights.length),
    weights,
    stride,
    identity: false,
  }
}

function triangleTaps(i: number, scale: number, support: number, inSize: number): Window {
  const center = (i + 0.5) * scale
  const inverse = 1 / support
  const start = Math.max(0, Math.trunc(center - support + 0.5))
  const end = Math.min(inSize, Math.trunc(center + support + 0.5))
  const weights: number[] = []
  let sum = 0
  for (let x = start; x < end; x++) {
    const w = Math.max(0, 1 - Math.abs((x - center + 0.5) * inverse))
    weights.push(w)
    sum += w
  }
  return { start, weights: weights.map((w) => (sum === 0 ? w : w / sum)) }
}

/** Half-pixel centres, two neighbours, edges clamped. */
function twoTaps(i: number, scale: number, inSize: number): Window {
  const x = Math.min(Math.max((i + 0.5) * scale - 0.5, 0), inSize - 1)
  const start = Math.floor(x)
  const fraction = x - start
  return start + 1 < inSize ? { start, weights: [1 - fraction, fraction] } : { start, weights: [1] }
}

/** Every input pixel weighted by how much of it the output pixel covers. */
function areaTaps(i: number, scale: number, inSize: number): Window {
  const left = i * scale
  const right = Math.min(left + scale, inSize)
  const start = Math.floor(left)
  const weights: number[] = []
  for (let x = start; x < right; x++) weights.push(Math.min(right, x + 1) - Math.max(left, x))
  const sum = weights.reduce((a, b) => a + b, 0)
  return { start, weights: weights.map((w) => w / sum) }
}

/**
 * One whole input pixel per output. The position is added up from the first output on, as Pillow's affine transform
 * does.
 */
function nearestTaps(scale: number, from: number, count: number, inSize = from + count): AxisTaps {
  const starts = new Int32Array(count)
  let x = scale * 0.5
  for (let i = 0; i < from; i++) x += scale
  for (let i = 0; i < count; i++, x += scale) starts[i] = Math.min(Math.floor(x), inSize - 1)
  return {
    starts,
    counts: new Int32Array(count).fill(1),
    weights: new Int32Array(count).fill(1 << PRECISION),
    stride: 1,
    identity: true,
  }
}

/**
 * A row of pixels, interleaved. `at` is the element where the row's column 0 lies (or would lie: a table may start at a
 * later column).
 */
interface Row<Samples, Channels extends number = number> {
  samples: Samples
  at: number
  channels: Channels
}
type Pixels = Uint8Array | Uint8ClampedArray

/**
 * One row resized along x: `taps.starts.length` pixels of the first `to.channels` of `from.channels`.
 * Writes exactly starts.length * to.channels from `to.samples[to.at]` on.
 */
export function resizeColumns(from: Row<Pixels>, taps: AxisTaps, to: Row<Uint8Array, 1 | 3>): void {
  if (taps.identity) pickColumns(from, taps.starts, to)
  else if (to.channels === 3) columns3(from, taps, to)
  else columns1(from, taps, to)
}

function pickColumns(from: Row<Pixels>, starts: Int32Array, { samples: out, at, channels }: Row<Uint8Array>): void {
  const input = from.samples
  let to = at
  for (let i = 0; i < starts.length; i++) {
    const p = from.at + starts[i]! * from.channels
    for (let c = 0; c < channels; c++) out[to++] = input[p + c]!
  }
}

function columns3(from: Row<Pixels>, taps: AxisTaps, target: Row<Uint8Array>): void {
  const { samples: input, at, channels: inChannels } = from
  const { starts, counts, weights, stride } = taps
  const out = target.samples
  let to = target.at
  const n = starts.length
  for (let i = 0; i < n; i++, to += 3) {
    let p = at + starts[i]! * inChannels
    let k = i * stride
    let r = HALF
    let g = HALF
    let b = HALF
    for (const end = k + counts[i]!; k < end; k++, p += inChannels) {
      const w = weights[k]!
      r = (r + Math.imul(input[p]!, w)) | 0
      g = (g + Math.imul(input[p + 1]!, w)) | 0
      b = (b + Math.imul(input[p + 2]!, w)) | 0
    }
    out[to] = clip(r)
    out[to + 1] = clip(g)
    out[to + 2] = clip(b)
  }
}

function columns1(from: Row<Pixels>, taps: AxisTaps, target: Row<Uint8Array>): void {
  const { samples: input, at, channels: inChannels } = from
  const { starts, counts, weights, stride } = taps
  const out = target.samples
  let to = target.at
  const n = starts.length
  for (let i = 0; i < n; i++) {
    let p = at + starts[i]! * inChannels
    let k = i * stride
    let v = HALF
    for (const end = k + counts[i]!; k < end; k++, p += inChannels) v = (v + Math.imul(input[p]!, weights[k]!)) | 0
    out[to++] = clip(v)
  }
}

/** Rows of `n` samples; those of row r lie from `at + r * rowElements` on. */
interface Rows {
  samples: Pixels
  at: number
  rowElements: number
  n: number
}

/** Output row `index` of rows resized along y. `sums` is scratch of at least n elements. Writes `out[0 .. n)`. */
export function resizeRow(
  rows: Rows,
  taps: AxisTaps,
  index: number,
  { out, sums }: { out: Uint8Array; sums: Int32Array },
): void {
  const { samples: input, at, rowElements, n } = rows
  const { weights, stride } = taps
  const start = at + taps.starts[index]! * rowElements
  if (taps.identity) {
    for (let x = 0; x < n; x++) out[x] = input[start + x]!
    return
  }
  const count = taps.counts[index]!
  for (let x = 0; x < n; x++) sums[x] = HALF
  for (let k = 0; k < count; k++) {
    const w = weights[index * stride + k]!
    const row = start + k * rowElements
    for (let x = 0; x < n; x++) sums[x]! += Math.imul(input[row + x]!, w)
  }
  for (let x = 0; x < n; x++) out[x] = clip(sums[x]!)
}

/**
 * Which direction runs first; the result of the first is rounded to 8 bits, so the order shows in the last bit.
 * Source: Pillow 13 (earlier ones always resized columns first): rows first when the height shrinks by more than
 * twice what the width shrinks by, in pixels.
 */
export const rowsFirst = (inWidth: number, inHeight: number, outWidth: number, outHeight: number): boolean =>
  inHeight > outHeight && inHeight - outHeight > 2 * (inWidth - outWidth)

/** First and one-past-last input index that a table reads: neither falls from one output to the next. */
export function extent({ starts, counts }: AxisTaps): [number, number] {
  const last = starts.length - 1
  return [starts[0]!, starts[last]! + counts[last]!]
}

/** Rounded weights may add up to a little more than one. */
const clip = (v: number): number => {
  const x = v >> PRECISION
  return x > 255 ? 255 : x
}
