/** What TensorFlow's StridedSlice takes of a shape. Source: tensorflow/core/util/strided_slice_op.cc. */

/** Bit i of a mask is about the i-th entry of `begin`, `end` and `strides`. */
export interface StridedSpec {
  begin: ArrayLike<number>
  end: ArrayLike<number>
  strides: ArrayLike<number>
  beginMask: number
  endMask: number
  ellipsisMask: number
  newAxisMask: number
  shrinkAxisMask: number
}

/** Along each dimension of the input; `result` is the shape after dimensions were dropped and added. */
export interface Sliced {
  begin: number[]
  end: number[]
  strides: number[]
  extent: number[]
  result: number[]
}

/** Undefined where nothing is left, a step goes backwards, or the entries do not fit the shape. */
export function strided(shape: readonly number[], spec: StridedSpec): Sliced | undefined {
  const out: Sliced = { begin: [], end: [], strides: [], extent: [], result: [] }
  const entries = spec.begin.length
  const set = (mask: number, i: number): boolean => (mask & (1 << i)) !== 0
  /** Entries from the k-th on that are about dimensions of the input. */
  const taking = (k: number): number => {
    let count = 0
    for (let i = k; i < entries; i++) if (!set(spec.newAxisMask, i)) count++
    return count
  }
  const whole = (): void => {
    const size = shape[out.begin.length]!
    out.begin.push(0)
    out.end.push(size)
    out.strides.push(1)
    out.extent.push(size)
    out.result.push(size)
  }
  for (let i = 0; i < entries; i++) {
    if (set(spec.ellipsisMask, i)) {
      while (out.begin.length < shape.length - taking(i + 1)) whole()
      continue
    }
    if (set(spec.newAxisMask, i)) {
      out.result.push(1)
      continue
    }
    const size = shape[out.begin.length]
    if (size === undefined) return undefined
    const at = (v: number): number => Math.max(0, Math.min(size, v < 0 ? v + size : v))
    const drop = set(spec.shrinkAxisMask, i)
    const from = set(spec.beginMask, i) && !drop ? 0 : at(spec.begin[i]!)
    const to = drop ? from + 1 : set(spec.endMask, i) ? size : at(spec.end[i]!)
    const step = drop ? 1 : spec.strides[i]!
    const extent = Math.ceil((to - from) / step)
    if (!(step >= 1) || !(extent >= 1) || to > size) return undefined
    out.begin.push(from)
    out.end.push(to)
    out.strides.push(step)
    out.extent.push(extent)
    if (!drop) out.result.push(extent)
  }
  while (out.begin.length < shape.length) whole()
  return out
}
