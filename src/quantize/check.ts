/** Whether a float graph's quantized form will run: asked before calibration, answered with every blocker at once. */
import { ThimbleError } from '../base/errors.ts'
import { floatBlockers } from '../float/execute.ts'
import { realValues } from '../float/values.ts'
import { settle } from '../fold/index.ts'
import { elements, type Graph, type Tensor, tensorBytes } from '../graph/graph.ts'
import { blockerText } from '../lower/blockers.ts'
import { lower } from '../lower/index.ts'
import { isLayer, operandsOf } from './channel-groups.ts'
import type { TensorStats } from './observe.ts'
import { isFloat, prepare, quantizeConstants } from './prepare.ts'
import { activationGrids } from './ranges.ts'
import { type Scheme, type SchemeName, SCHEMES } from './scheme.ts'

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

/** The graph that quantization would make, with weights of zero and every range [-1, 1]. */
function outline(graph: Graph, scheme: Scheme): Graph {
  const source = prepare(graph, scheme)
  const activations = [...source.inputs, ...source.ops.flatMap((op) => [...op.outputs])]
  const grids = activationGrids(source, new Map(activations.map((t) => [t, UNSEEN])), { scheme })
  const tensors = source.tensors.map((t, i): Tensor =>
    grids.has(i) && isFloat(source, i) ? { ...t, dtype: scheme.dtype, quantization: grids.get(i)! } : t,
  )
  for (const op of source.ops) {
    if (!isLayer(op)) {
      quantizeConstants((t) => realValues(source.tensors[t]!), op, { tensors, grids }, scheme)
      continue
    }
    const at = operandsOf(op)
    const [x, f, b] = [op.inputs[at.x]!, op.inputs[at.filter]!, op.inputs[at.bias]!]
    const channels = elements(tensors[b]!.shape)
    const zeros = (t: number, dtype: Tensor['dtype'], scale: number, axis: number): Tensor => {
      const stored: Tensor = {
        ...tensors[t]!,
        dtype,
        quantization: { scales: new Float32Array(channels).fill(scale), zeroPoints: new Int32Array(channels), axis },
      }
      return { ...stored, data: new Uint8Array(tensorBytes(stored)) }
    }
    const input = grids.get(x)?.scales[0] ?? 1
    tensors[f] = zeros(f, 'int8', 1 / 127, op.type === 'DEPTHWISE_CONV_2D' ? 3 : 0)
    tensors[b] = zeros(b, scheme.biasType, Math.fround(Math.fround(1 / 127) * input), 0)
  }
  return { ...source, tensors }
}

/**
 * Ops that a quantized graph can't run, each as `OP at op N (reason)`. Errors: those of `settle` for impossible shapes.
 */
export const runBlockers = (graph: Graph): string[] =>
  lower(settle(graph), { variant: 'simd', kernels: 'generic', compact: false }).unsupported.map(blockerText)

/** CAST takes stored numbers as they are: between real numbers, which become those on a grid, and others it lies. */
const wrongCasts = (graph: Graph): string[] =>
  graph.ops.flatMap((op, i) => {
    const [from, to] = [op.inputs[0]!, op.outputs[0]!]
    return op.type === 'CAST' && isFloat(graph, from) !== isFloat(graph, to)
      ? [
          `CAST at op ${i} (${graph.tensors[from]!.dtype} to ${graph.tensors[to]!.dtype}: its real numbers become stored ones on a grid, and those would be cast)`,
        ]
      : []
  })

/** Layers whose weights another op computes. */
const computedWeights = (graph: Graph): string[] =>
  graph.ops.flatMap((op, i) =>
    isLayer(op) && !graph.tensors[op.inputs[operandsOf(op).filter]!]!.data
      ? [`${op.type} at op ${i} (weights that are not constant)`]
      : [],
  )

/**
 * Everything that keeps a float graph from being quantized and run: ops that the result could not run or would get
 * wrong, and ops that calibration can't compute.
 */
export function quantizeBlockers(graph: Graph, scheme: SchemeName = 'int8'): string[] {
  const computed = computedWeights(graph)
  const found = [
    ...wrongCasts(graph),
    ...computed,
    // Without constant weights there is no outline to try.
    ...(computed.length ? [] : runBlockers(outline(graph, SCHEMES[scheme]))),
  ]
  const named = (op: string): boolean => found.some((f) => f.startsWith(`${op} at op `))
  return [...found, ...floatBlockers(graph).filter((op) => !named(op))]
}

/** Throws `lower/unsupported-op` naming all of `quantizeBlockers`. */
export function refuseBlocked(graph: Graph, scheme: SchemeName): void {
  const found = quantizeBlockers(graph, scheme)
  if (found.length === 0) return
  const more = found.length > 8 ? ` and ${found.length - 8} more` : ''
  throw new ThimbleError(
    'lower/unsupported-op',
    `its ${scheme} form could not run: ${found.slice(0, 8).join(', ')}${more}`,
    {
      hint: 'leave these ops out of the exported model and compute them on its output, or replace them (see OPERATORS.md)',
    },
  )
}

/** Refuses a model, `name` in the message, that is quantized already. Errors: `lower/quantization`. */
export function checkFloat(graph: Graph, name: string): void {
  if (graph.inputs.every((t) => graph.tensors[t]!.dtype === 'float32')) return
  const found = runBlockers(graph)
  throw new ThimbleError('lower/quantization', `${name} is quantized already`, {
    hint: found.length
      ? `it can't run as it is either: ${found.slice(0, 4).join(', ')}${found.length > 4 ? ` and ${found.length - 4} more` : ''}; give the float model it was made from`
      : 'run it as it is, or use thimble convert',
  })
}
