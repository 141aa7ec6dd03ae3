/** A float graph brought into the quantizer's form, and its plain constants on grids. */
import { ThimbleError } from '../errors.ts'
import { quantizeValues } from '../float/values.ts'
import type { Graph, Op, Quantization, Tensor } from '../graph.ts'
import { isLayer, operandsOf } from './channel-groups.ts'
import { affine, fixedOutput, PASS_THROUGH } from './ranges.ts'

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

/** The grid that TFLite prescribes for a tensor, also for what only moves it; undefined for none. */
function prescribed(producer: ReadonlyMap<number, Op>, t: number): Quantization | undefined {
  for (let op = producer.get(t); op; op = producer.get(op.inputs[op.type === 'SPLIT' ? 1 : 0]!)) {
    const q = fixedOutput(op)
    if (q) return q
    if (!PASS_THROUGH.has(op.type) || op.inputs.length > 4 || MIXING.has(op.type)) return undefined
  }
  return undefined
}

/** Ops whose inputs all share the output's grid. */
const MIXING = new Set<Op['type']>(['CONCATENATION', 'PACK', 'MAXIMUM', 'MINIMUM', 'SELECT_V2'])

/**
 * A QUANTIZE before each input of a mixing op that has a prescribed grid which the others have not: scores beside boxes
 * would force theirs on them.
 */
function withOwnGrids(graph: Graph): Graph {
  const producer = new Map(graph.ops.flatMap((op) => op.outputs.map((t) => [t, op] as const)))
  const tensors = [...graph.tensors]
  const ops = graph.ops.flatMap((op): Op[] => {
    if (!MIXING.has(op.type)) return [op]
    const grids = op.inputs.map((t) => prescribed(producer, t))
    const same = (a?: Quantization, b?: Quantization): boolean =>
      a?.scales[0] === b?.scales[0] && a?.zeroPoints[0] === b?.zeroPoints[0]
    if (grids.every((q) => same(q, grids[0]))) return [op]
    const added: Op[] = []
    const inputs = op.inputs.map((t, i) => {
      if (!grids[i]) return t
      const { name, shape, dtype } = tensors[t]!
      tensors.push({ name: `${name}/requantized`, shape, dtype })
      added.push({ type: 'QUANTIZE', inputs: [t], outputs: [tensors.length - 1], attrs: {} })
      return tensors.length - 1
    })
    return [...added, { ...op, inputs }]
  })
  return { ...graph, tensors, ops }
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
  return withOwnGrids({ ...graph, tensors, ops })
}

/** What stays as it is: indices, and everything that is not float. */
export const isFloat = (graph: Graph, t: number): boolean => graph.tensors[t]!.dtype === 'float32'
