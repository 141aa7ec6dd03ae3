/** Whether a float graph's int8 form will run: asked before calibration, answered with every blocker at once. */
import { ThimbleError } from '../errors.ts'
import { floatBlockers } from '../float/execute.ts'
import { realValues } from '../float/values.ts'
import { settle } from '../fold/index.ts'
import { elements, type Graph, type Tensor } from '../graph.ts'
import { lower } from '../lower/index.ts'
import { isLayer, operandsOf } from './channel-groups.ts'
import type { TensorStats } from './observe.ts'
import { isFloat, prepare, quantizeConstants } from './prepare.ts'
import { activationGrids } from './ranges.ts'

/** Statistics of a tensor that nothing has been seen of. */
const UNSEEN: TensorStats = {
  min: -1,
  max: 1,
  channels: 1,
  channelMin: Float32Array.of(-1),
  channelMax: Float32Array.of(1),
  channelSecond: Float32Array.of(1),
  photos: new Map(),
}

/** The int8 graph that quantization would make, with weights of zero and every range [-1, 1]. */
function outline(graph: Graph): Graph {
  const source = prepare(graph)
  const activations = [...source.inputs, ...source.ops.flatMap((op) => [...op.outputs])]
  const grids = activationGrids(source, [], [], new Map(activations.map((t) => [t, UNSEEN])), 'minmax')
  const tensors = source.tensors.map((t, i): Tensor =>
    grids.has(i) && isFloat(source, i) ? { ...t, dtype: 'int8', quantization: grids.get(i)! } : t,
  )
  for (const op of source.ops) {
    if (!isLayer(op)) {
      quantizeConstants((t) => realValues(source.tensors[t]!), op, tensors, grids)
      continue
    }
    const at = operandsOf(op)
    const [x, f, b] = [op.inputs[at.x]!, op.inputs[at.filter]!, op.inputs[at.bias]!]
    const channels = elements(tensors[b]!.shape)
    const zeros = (t: number, dtype: 'int8' | 'int32', scale: number, axis: number): Tensor => ({
      ...tensors[t]!,
      dtype,
      data: new Uint8Array(elements(tensors[t]!.shape) * (dtype === 'int8' ? 1 : 4)),
      quantization: {
        scales: new Float32Array(channels).fill(scale),
        zeroPoints: new Int32Array(channels),
        axis,
      },
    })
    const input = grids.get(x)?.scales[0] ?? 1
    tensors[f] = zeros(f, 'int8', 1 / 127, op.type === 'DEPTHWISE_CONV_2D' ? 3 : 0)
    tensors[b] = zeros(b, 'int32', Math.fround(Math.fround(1 / 127) * input), 0)
  }
  return { ...source, tensors }
}

/** Ops that an 8-bit graph can't run, each as `OP at op N (reason)`. Errors: those of `settle` for impossible shapes. */
export const blockers8bit = (graph: Graph): string[] =>
  lower(settle(graph), { variant: 'simd', kernels: 'generic', compact: false }).unsupported.map(
    ({ op, index, reason }) => `${op} at op ${index} (${reason})`,
  )

/** CAST takes stored numbers as they are: between real numbers, which become 8-bit ones on a grid, and others it lies. */
const wrongCasts = (graph: Graph): string[] =>
  graph.ops.flatMap((op, i) => {
    const [from, to] = [op.inputs[0]!, op.outputs[0]!]
    return op.type === 'CAST' && isFloat(graph, from) !== isFloat(graph, to)
      ? [
          `CAST at op ${i} (${graph.tensors[from]!.dtype} to ${graph.tensors[to]!.dtype}: 8-bit numbers would be cast as they are stored)`,
        ]
      : []
  })

/**
 * What keeps a float graph from being quantized and run: ops that calibration can't compute, else ops that the int8
 * result could not run or would get wrong. Errors: `lower/quantization` for weights that are not constant.
 */
export function quantizeBlockers(graph: Graph): string[] {
  const float = floatBlockers(graph)
  return float.length ? float : [...wrongCasts(graph), ...blockers8bit(outline(graph))]
}

/** Throws `lower/unsupported-op` naming all of `quantizeBlockers`. */
export function refuseBlocked(graph: Graph): void {
  const found = quantizeBlockers(graph)
  if (found.length === 0) return
  const more = found.length > 8 ? ` and ${found.length - 8} more` : ''
  throw new ThimbleError(
    'lower/unsupported-op',
    `its int8 form could not run: ${found.slice(0, 8).join(', ')}${more}`,
    {
      hint: 'leave these ops out of the exported model and compute them on its output, or replace them (see OPERATORS.md)',
    },
  )
}
