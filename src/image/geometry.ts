/** Where width, height and channels are in a tensor that holds an image. */
import { ThimbleError } from '../base/errors.ts'
import type { TensorInfo } from '../graph/types.ts'

/** An image tensor's geometry. */
export interface InputGeometry {
  width: number
  height: number
  channels: 1 | 3
  nchw: boolean
}

/**
 * Reads [1, H, W, C], [1, C, H, W] or [H, W, C] with 1 or 3 channels.
 * Errors: `image/unsupported-input` when the tensor can't hold an image.
 */
export function inputGeometry(input: TensorInfo): InputGeometry {
  const shape = input.shape.length === 3 ? [1, ...input.shape] : input.shape
  const [n, a, b, c] = shape as readonly [number, number, number, number]
  if (shape.length === 4 && n === 1 && shape.every((d) => Number.isInteger(d) && d > 0)) {
    if (c === 3 || c === 1) return { height: a, width: b, channels: c, nchw: false }
    if (a === 3 || a === 1) return { height: b, width: c, channels: a, nchw: true }
  }
  throw new ThimbleError('image/unsupported-input', "the model's input is not an image", {
    tensor: input.name,
    expected: '[1, height, width, 1 or 3]',
    got: `[${input.shape.join(', ')}]`,
    hint: 'give it raw tensors with run',
  })
}
