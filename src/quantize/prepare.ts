/** A float graph brought into the quantizer's form, and its plain constants on grids. */
import { ThimbleError } from '../errors.ts'
import { quantizeValues } from '../float/values.ts'
import type { Graph, Op, Quantization, Tensor } from '../graph.ts'
import { isLayer, operandsOf } from './channel-groups.ts'
import { affine, PASS_THROUGH } from './ranges.ts'

/** Stored bytes of a float constant on a grid. */
function onGrid(t: Tensor, data: Float32Array, q: Quantization): Tensor {
  const stored = quantizeValues(data, { dtype: 'int8', quantization: q }) as Int8Array
  return { ...t, dtype: 'int8', quantization: q, data: new Uint8Array(stored.buffer) }
}

/**
 * Constants that an op without weights reads as activations: on the output's grid where the op only moves data, else on
 * one of their own.
 */
export function quantizeConstants(
  constant: (t: number) => Float32Array,
  op: Op,
  tensors: Tensor[],
  grids: Map<number, Quantization>,
): void {
  for (const t of op.inputs) {
    if (t < 0 || tensors[t]!.dtype !== 'float32' || !tensors[t]!.data) continue
    const data = constant(t)
    const own = (): Quantization =>
      affine(
        data.reduce((a, b) => Math.min(a, b), 0),
        data.reduce((a, b) => Math.max(a, b), 0),
      )
    tensors[t] = onGrid(tensors[t]!, data, PASS_THROUGH.has(op.type) ? grids.get(op.outputs[0]!)! : own())
  }
}

/** A graph in the quantizer's terms: every weighted op has constants of its own, and a bias. */
export function prepare(graph: Graph): Graph {
  const tensors = [...graph.tensors]
  const used = new Set<number>()
  const own = (t: number): number => {
    if (!used.has(t)) {
      used.add(t)
      return t
    }
    tensors.push({ ...tensors[t]!, name: `${tensors[t]!.name}_${tensors.length}` })
    return tensors.length - 1
  }
  const ops = graph.ops.map((op): Op => {
    if (!isLayer(op)) return op
    const at = operandsOf(op)
    const [f, b] = [op.inputs[at.filter]!, op.inputs[at.bias]]
    const filter = tensors[f]!
    if (!filter.data) {
      throw new ThimbleError('lower/quantization', `${op.type} with weights that are not constant`, {
        tensor: filter.name,
      })
    }
    const channels = op.type === 'DEPTHWISE_CONV_2D' ? filter.shape.at(-1)! : filter.shape[0]!
    const using = (bias: number): Op => {
      const inputs = [...op.inputs]
      inputs[at.filter] = own(f)
      inputs[at.bias] = bias
      return { ...op, inputs }
    }
    if (b !== undefined && b >= 0) return using(own(b))
    tensors.push({
      name: `${filter.name}/bias`,
      shape: [channels],
      dtype: 'float32',
      data: new Uint8Array(4 * channels),
    })
    return using(tensors.length - 1)
  })
  return { ...graph, tensors, ops }
}

/** What stays as it is: indices, and everything that is not float. */
export const isFloat = (graph: Graph, t: number): boolean => graph.tensors[t]!.dtype === 'float32'
