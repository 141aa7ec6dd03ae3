/**
 * Taps of one axis, {starts, counts, weights} one behind the other: the arithmetic of axisTaps in src/image/resize.ts.
 */
import { alloc } from './memory'

/** How a picture is resized. */
export const METHOD_BILINEAR = 0
export const METHOD_BILINEAR_FAST = 1
export const METHOD_NEAREST = 2
export const METHOD_AREA = 3

/** Weight of one whole pixel: 22 bits behind the point. */
const ONE: f64 = 4194304

let starts: usize = 0
let counts: usize = 0
let weights: usize = 0

/** Weights from one output to the next, of the last axis made. */
export let stride: i32 = 0

/** Address of the taps of outputs `from` to `from + count`, or 0 when there is no memory. */
export function axisTaps(method: i32, inSize: i32, outSize: i32, from: i32, count: i32): usize {
  const scale = <f64>inSize / <f64>outSize
  const same = inSize == outSize
  if (same) stride = 1
  else if (method == METHOD_BILINEAR) stride = <i32>ceil(max<f64>(scale, 1)) * 2 + 1
  else if (method == METHOD_AREA) stride = <i32>ceil(scale) + 2
  else stride = method == METHOD_BILINEAR_FAST ? 2 : 1
  const at = alloc(<u64>count * (2 + stride) * 4)
  if (at == 0) return 0
  starts = at
  counts = at + ((<usize>count) << 2)
  weights = counts + ((<usize>count) << 2)
  if (same) pick(1, inSize, from, count)
  else if (method == METHOD_BILINEAR) triangle(inSize, outSize, from, count)
  else if (method == METHOD_AREA) area(scale, inSize, from, count)
  else if (method == METHOD_BILINEAR_FAST) twoTaps(scale, inSize, from, count)
  else pick(scale, inSize, from, count)
  return at
}

function setWindow(i: i32, start: i32, n: i32): void {
  store<i32>(starts + ((<usize>i) << 2), start)
  store<i32>(counts + ((<usize>i) << 2), n)
}

function setWeight(i: i32, k: i32, w: f64): void {
  store<i32>(weights + ((<usize>(i * stride + k)) << 2), <i32>(0.5 + w * ONE))
}

/** One whole input pixel per output; the position is added up from the first output on. */
function pick(scale: f64, inSize: i32, from: i32, count: i32): void {
  let x = scale * 0.5
  for (let i = 0; i < from; i++) x += scale
  for (let i = 0; i < count; i++, x += scale) {
    setWindow(i, min(<i32>floor(x), inSize - 1), 1)
    setWeight(i, 0, 1)
  }
}

/** Half-pixel centres, two neighbours, edges clamped. */
function twoTaps(scale: f64, inSize: i32, from: i32, count: i32): void {
  for (let i = 0; i < count; i++) {
    const x = min<f64>(max<f64>((<f64>(from + i) + 0.5) * scale - 0.5, 0), <f64>(inSize - 1))
    const start = min(<i32>floor(x), inSize - 1)
    const fraction = x - <f64>start
    const two = start + 1 < inSize
    setWindow(i, start, two ? 2 : 1)
    setWeight(i, 0, two ? 1 - fraction : 1)
    if (two) setWeight(i, 1, fraction)
  }
}

/** Every input pixel weighted by how much of it the output pixel covers. */
function area(scale: f64, inSize: i32, from: i32, count: i32): void {
  for (let i = 0; i < count; i++) {
    const left = <f64>(from + i) * scale
    const right = min<f64>(left + scale, <f64>inSize)
    const start = min(<i32>floor(left), inSize - 1)
    const end = min(max(<i32>ceil(right), start + 1), inSize)
    let sum: f64 = 0
    for (let x = start; x < end; x++) sum += covered(x, left, right)
    setWindow(i, start, end - start)
    for (let x = start; x < end; x++) setWeight(i, x - start, covered(x, left, right) / sum)
  }
}

// @ts-ignore: decorator
@inline
function covered(x: i32, left: f64, right: f64): f64 {
  return max<f64>(0, min<f64>(right, <f64>(x + 1)) - max<f64>(left, <f64>x))
}

/** A triangle that widens when shrinking. Source: Pillow, src/libImaging/Resample.c. */
function triangle(inSize: i32, outSize: i32, from: i32, count: i32): void {
  const scale = <f64>inSize / <f64>outSize
  const support = max<f64>(scale, 1)
  const inverse = 1 / support
  for (let i = 0; i < count; i++) {
    const center = (<f64>(from + i) + 0.5) * scale
    const start = max(0, <i32>(center - support + 0.5))
    const end = min(inSize, <i32>(center + support + 0.5))
    let sum: f64 = 0
    for (let x = start; x < end; x++) sum += height(x, center, inverse)
    for (let x = start; x < end; x++) {
      const w = height(x, center, inverse)
      setWeight(i, x - start, sum == 0 ? w : w / sum)
    }
    setWindow(i, start, end - start)
  }
}


@inline function height(x: i32, center: f64, inverse: f64): f64 {
  return max<f64>(0, 1 - abs<f64>((<f64>x - center + 0.5) * inverse))
}
