/** Custom ops that become one of Thimble's own with other inputs. */
import type { Tensor } from '../graph/graph.ts'
import { littleEndian } from '../base/words.ts'
import { DECONVOLUTION, opName, type RawOp } from './tflite-ops.ts'
import type { Read } from './tflite-variables.ts'

/**
 * MediaPipe's transposed convolutions in the order of TRANSPOSE_CONV's inputs; `reads` gets the sizes of their results.
 */
export function resolveDeconvolutions(raws: readonly RawOp[], reads: Read[]): readonly RawOp[] {
  return raws.map((raw) => {
    const result = reads[raw.outputs[0] ?? -1]?.tensor
    if (opName(raw) !== DECONVOLUTION || !result || raw.inputs.length < 2) return raw
    const [x, filter, ...bias] = raw.inputs
    const size: Tensor = {
      name: `${result.name}/size`,
      shape: [result.shape.length],
      dtype: 'int32',
      data: littleEndian(Int32Array.from(result.shape)),
    }
    reads.push({ tensor: size, opaque: undefined, ready: true })
    return { ...raw, inputs: [reads.length - 1, filter!, x!, ...bias] }
  })
}
