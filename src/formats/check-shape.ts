/** What a tensor's dimensions must satisfy, whatever file they came from. */
import { ThimbleError } from '../base/errors.ts'
import { dtypeBytes, type Tensor } from '../graph/graph.ts'

/** Most inputs, or outputs, of an op and of a graph. */
export const MAX_OPERANDS = 1024
export const MAX_RANK = 32
/** Most bytes of one tensor: what a signed 32-bit index reaches. */
export const MAX_TENSOR_BYTES = 2 ** 31 - 1

export const isInt = (v: unknown, lo: number, hi: number): boolean =>
  Number.isInteger(v) && (v as number) >= lo && (v as number) <= hi

/** Dimensions and size of a tensor. Errors: `format/shape`. */
export function checkShape({ name, shape, dtype }: Tensor): void {
  if (shape.length > MAX_RANK) {
    throw new ThimbleError('format/shape', 'too many dimensions', {
      tensor: name,
      expected: `at most ${MAX_RANK}`,
      got: shape.length,
    })
  }
  let bytes = dtypeBytes(dtype)
  for (let i = 0; i < shape.length; i++) {
    const dim = shape[i]!
    if (!isInt(dim, 0, MAX_TENSOR_BYTES)) {
      throw new ThimbleError('format/shape', 'impossible dimension', {
        tensor: name,
        expected: 'an integer, not negative',
        got: `[${shape}]`,
      })
    }
    // Zero dimensions must not hide the size of the others: kernels multiply partial products too.
    bytes *= Math.max(dim, 1)
  }
  if (bytes > MAX_TENSOR_BYTES) {
    throw new ThimbleError('format/shape', 'tensor too large', {
      tensor: name,
      expected: `at most ${MAX_TENSOR_BYTES} bytes`,
      got: `[${shape}] ${dtype}`,
    })
  }
}
