/** Whether a model computes in floats, how its weights are stored, and what to do then. */
import { ThimbleError } from '../base/errors.ts'
import { opLabel, type DType, type Graph, type Op } from './graph.ts'

/** Where ops with weights have their filter, and the ops. */
const FILTER = 1
const WEIGHTED = new Set<Op['type']>(['CONV_2D', 'DEPTHWISE_CONV_2D', 'FULLY_CONNECTED', 'TRANSPOSE_CONV'])

export interface FloatModel {
  /** The first op with weights. */
  index: number
  /** The narrowest type that its weights are stored in: int8 in a dynamic-range file. */
  weights: DType
}

const WIDTHS: readonly DType[] = ['int8', 'uint8', 'float16']

/** How the filter of an op is stored, through a DEQUANTIZE of a constant; undefined where it is computed. */
function storedAs(graph: Graph, producer: ReadonlyMap<number, Op>, op: Op): DType | undefined {
  const filter = op.inputs[FILTER] ?? -1
  const made = producer.get(filter)
  const t = graph.tensors[made?.type === 'DEQUANTIZE' ? made.inputs[0]! : filter]
  return t?.data ? t.dtype : undefined
}

/**
 * The float model that a graph is; undefined for one that computes with quantized tensors anywhere: its float parts
 * run, too. Float inputs and outputs make no float model.
 */
export function floatModelOf(graph: Graph): FloatModel | undefined {
  const quantized = (i: number): boolean => {
    const t = graph.tensors[i]
    return t !== undefined && !t.data && t.quantization !== undefined && /int(8|16)$/.test(t.dtype)
  }
  if (graph.ops.some((op) => [...op.inputs, ...op.outputs].some(quantized))) return undefined
  const producer = new Map(graph.ops.flatMap((op) => op.outputs.map((t) => [t, op] as const)))
  let first = -1
  const found = new Set<DType>()
  graph.ops.forEach((op, index) => {
    if (!WEIGHTED.has(op.type) || graph.tensors[op.outputs[0] ?? -1]?.dtype !== 'float32') return
    const dtype = storedAs(graph, producer, op)
    if (dtype === undefined) return
    if (first < 0) first = index
    found.add(dtype)
  })
  return first < 0 ? undefined : { index: first, weights: WIDTHS.find((d) => found.has(d)) ?? 'float32' }
}

/** In words, e.g. `a float model with int8 weights (dynamic range)`. */
export function describeFloat({ weights }: FloatModel): string {
  if (weights === 'float32') return 'a float model'
  return `a float model with ${weights} weights${weights === 'float16' ? '' : ' (dynamic range)'}`
}

/** The command that makes it int8. `file`: a path; for an address, or without one, the command says MODEL. */
export const quantizeCommand = (file = 'MODEL'): string => {
  if (/^\w+:\/\//.test(file)) return quantizeCommand()
  const quoted = (name: string): string => (/^[\w./:@+-]+$/.test(name) ? name : JSON.stringify(name))
  const stem = file.replace(/[\\/]+$/, '').replace(/\.\w+$/, '')
  return `thimble quantize ${quoted(file)} --calibration PHOTOS -o ${quoted(file === 'MODEL' ? 'OUT.thimble' : `${stem}.int8.thimble`)}`
}

/** What the quantized model could not run either, in words; empty where the reader knows all ops. */
function alsoMissing({ ops }: Graph): string {
  const named = ops.flatMap((op, i) => (op.type === 'UNSUPPORTED' ? [`${op.attrs.name} at op ${i}`] : []))
  if (named.length === 0) return ''
  const more = named.length > 8 ? ` and ${named.length - 8} more` : ''
  return `; that will be refused too, for ops that have to leave the model before: ${named.slice(0, 8).join(', ')}${more}`
}

/** Throws `lower/float-model` for a float model. `file`: its name. */
export function refuseFloat(graph: Graph, file?: string): void {
  const found = floatModelOf(graph)
  if (!found) return
  throw new ThimbleError('lower/float-model', `this is ${describeFloat(found)}, Thimble runs 8-bit ones`, {
    op: opLabel(graph.ops[found.index]!, found.index),
    expected: 'int8 or uint8 activations',
    got: 'float32 activations',
    hint: `quantize it first: ${quantizeCommand(file)}${alsoMissing(graph)}`,
  })
}
