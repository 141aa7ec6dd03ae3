/** What TensorFlow's StridedSlice takes of a shape. Source: tensorflow/core/util/strided_slice_op.cc. */
import { slicesOf, type SliceIndices, type SliceMasks } from '../../fold/shapes.ts'

/** Along each dimension of the input; `result` is the shape after dimensions were dropped and added. */
export interface Sliced {
  begin: number[]
  end: number[]
  strides: number[]
  extent: number[]
  result: number[]
}

/**
 * As TensorFlow Lite's, but for a shrunk axis, whose begin TensorFlow does not mask. Undefined where nothing is left, a
 * step goes backwards, or the entries do not fit the shape.
 */
export function strided(shape: readonly number[], indices: SliceIndices, masks: SliceMasks): Sliced | undefined {
  const beginMask = masks.beginMask & ~masks.shrinkAxisMask
  const slices = slicesOf(shape, indices, { ...masks, beginMask })
  if (!slices || slices.spans.some(({ step, size }) => step < 1 || size < 1)) return undefined
  const { spans } = slices
  return {
    begin: spans.map((s) => s.begin),
    end: spans.map((s) => s.begin + (s.size - 1) * s.step + 1),
    strides: spans.map((s) => s.step),
    extent: spans.map((s) => s.size),
    result: slices.shape,
  }
}
