/** The state of reading one ONNX graph, and what the op handlers share. */
import { ThimbleError } from '../../base/errors.ts'
import type { OnnxNode, OnnxTensor } from './model.ts'
import { type LayoutNet, type Constant, type Value } from './values.ts'

export interface Reader {
  readonly net: LayoutNet
  readonly opset: number
  /** The value of a node's input. Errors: `format/onnx` when it is absent or undefined. */
  input(n: OnnxNode, i: number): Value
  optional(n: OnnxNode, i: number): Value | undefined
}
/** Reads one node; one value per output (fewer when trailing ones are of no use). */
export type Handler = (r: Reader, n: OnnxNode) => Value[]

/** Refuses by name what has no equivalent. */
export const fail = (n: OnnxNode, what: string): never => {
  throw new ThimbleError('lower/unsupported-op', `ONNX ${n.type}${what ? ` with ${what}` : ''}`, { tensor: n.name })
}
export const malformed = (n: OnnxNode, what: string): never => {
  throw new ThimbleError('format/onnx', `${n.type} has a malformed ${what}`, { tensor: n.name })
}

export const attribute = {
  int: (n: OnnxNode, key: string, fallback: number): number => n.attributes.get(key)?.i ?? fallback,
  float: (n: OnnxNode, key: string, fallback: number): number => n.attributes.get(key)?.f ?? fallback,
  text: (n: OnnxNode, key: string, fallback: string): string => n.attributes.get(key)?.s ?? fallback,
}

export function constantInput(r: Reader, n: OnnxNode, i: number): Constant {
  const v = r.input(n, i)
  return v.kind === 'constant' ? v : fail(n, `an input that is not constant (${n.inputs[i]})`)
}

export const numbersOf = (v: Value | undefined): number[] | undefined =>
  v?.kind === 'constant' ? [...v.value.data] : undefined
export const constant = (name: string, t: Pick<OnnxTensor, 'shape' | 'data' | 'dtype'>): Constant => ({
  kind: 'constant',
  value: { name, ...t },
})
