/** Shape arithmetic that inference and evaluation share. */

/** What two shapes broadcast to; undefined when they do not. */
export function broadcastShapes(a: readonly number[], b: readonly number[]): number[] | undefined {
  const rank = Math.max(a.length, b.length)
  const out: number[] = []
  for (let i = 0; i < rank; i++) {
    const x = a[i - rank + a.length] ?? 1
    const y = b[i - rank + b.length] ?? 1
    if (x !== y && x !== 1 && y !== 1) return undefined
    out.push(x === 1 ? y : x)
  }
  return out
}

/** An axis counted from the start; undefined for one that a tensor of this rank has not. */
export const axisOf = (axis: number, rank: number): number | undefined =>
  axis < -rank || axis >= Math.max(rank, 1) ? undefined : axis < 0 ? axis + rank : axis

/** One dimension of a slice as an index list: where it begins, how far apart its elements are, how many there are. */
export interface Span {
  begin: number
  step: number
  size: number
}

/** What STRIDED_SLICE takes: one span for each dimension of its input, and the output's shape. */
export interface Slices {
  spans: Span[]
  shape: number[]
}

/** Where slices begin and end and how far apart elements are, index by index. */
export interface SliceIndices {
  begin: readonly number[]
  end: readonly number[]
  step: readonly number[]
}

export interface SliceMasks {
  beginMask: number
  endMask: number
  ellipsisMask: number
  newAxisMask: number
  shrinkAxisMask: number
}

/**
 * Source: tensorflow/lite/kernels/strided_slice.cc. Undefined for more indices than dimensions, a step of 0, or a
 * shrunk axis whose index lies outside.
 */
export function slicesOf(
  shape: readonly number[],
  { begin, end, step }: SliceIndices,
  masks: SliceMasks,
): Slices | undefined {
  const bit = (mask: number, i: number): boolean => ((mask >> i) & 1) === 1
  const n = begin.length
  if (end.length !== n || step.length !== n || step.includes(0)) return undefined
  const spans: Span[] = []
  const out: number[] = []
  const whole = (): void => {
    const size = shape[spans.length]!
    spans.push({ begin: 0, step: 1, size })
    out.push(size)
  }
  for (let i = 0; i < n; i++) {
    if (bit(masks.ellipsisMask, i)) {
      const behind = begin.slice(i + 1).filter((_, k) => !bit(masks.newAxisMask, i + 1 + k)).length
      while (spans.length < shape.length - behind) whole()
      continue
    }
    if (bit(masks.newAxisMask, i)) {
      out.push(1)
      continue
    }
    const size = shape[spans.length]
    if (size === undefined) return undefined
    const s = step[i]!
    const clampTo = (v: number): number => {
      const at = v < 0 ? v + size : v
      return s > 0 ? Math.min(Math.max(at, 0), size) : Math.min(Math.max(at, -1), size - 1)
    }
    if (bit(masks.shrinkAxisMask, i)) {
      const at = bit(masks.beginMask, i) ? (s > 0 ? 0 : size - 1) : begin[i]! < 0 ? begin[i]! + size : begin[i]!
      if (at < 0 || at >= size) return undefined
      spans.push({ begin: at, step: 1, size: 1 })
      continue
    }
    const from = bit(masks.beginMask, i) ? (s > 0 ? 0 : size - 1) : clampTo(begin[i]!)
    const to = bit(masks.endMask, i) ? (s > 0 ? size : -1) : clampTo(end[i]!)
    const count = Math.max(0, Math.ceil((to - from) / s))
    spans.push({ begin: from, step: s, size: count })
    out.push(count)
  }
  while (spans.length < shape.length) whole()
  return { spans, shape: out }
}
