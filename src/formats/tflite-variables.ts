/**
 * Resource variables of a `.tflite`: VAR_HANDLE names one, CALL_ONCE runs a subgraph that gives them their first
 * contents, READ_VARIABLE and ASSIGN_VARIABLE take a handle. Here a handle's tensor becomes the state tensor itself.
 * Source: LiteRT's kernels/{var_handle,call_once,read_variable,assign_variable}.cc.
 */
import { ThimbleError } from '../base/errors.ts'
import { tensorBytes, type Tensor } from '../graph/graph.ts'
import { opName, type RawOp } from './tflite-ops.ts'

/** A tensor with what the graph has no room for. */
export interface Read {
  tensor: Tensor
  /** Why ops on it can't run, e.g. `INT4 tensors`; undefined for an ordinary tensor. */
  opaque: string | undefined
  /** Has a value before the first op: a constant or a variable. */
  ready: boolean
}

export interface RawSubgraph {
  reads: Read[]
  raws: readonly RawOp[]
  /** Tensors by which others call it. */
  inputs?: readonly number[]
  outputs?: readonly number[]
}

/** The variable that a VAR_HANDLE names, `container/name`. */
const variableOf = (raw: RawOp): string =>
  `${raw.options?.string(0, 'container') ?? ''}/${raw.options?.string(1, 'shared_name') ?? ''}`

/** Handles of a subgraph: tensor index to variable. */
function handlesOf({ raws }: RawSubgraph): Map<number, string> {
  const out = new Map<number, string>()
  for (const raw of raws) if (opName(raw) === 'VAR_HANDLE') for (const i of raw.outputs) out.set(i, variableOf(raw))
  return out
}

/** What an initialization gives each variable; or, as a text, the first thing in it that is not understood. */
function initialsOf(subgraph: RawSubgraph): Map<string, Tensor> | string {
  const handles = handlesOf(subgraph)
  const out = new Map<string, Tensor>()
  for (const raw of subgraph.raws) {
    const name = opName(raw)
    if (name === 'VAR_HANDLE') continue
    const variable = handles.get(raw.inputs[0] ?? -1)
    const value = subgraph.reads[raw.inputs[1] ?? -1]
    if (name !== 'ASSIGN_VARIABLE' || variable === undefined || !value) return name
    if (value.opaque || !value.tensor.data) return 'computed contents'
    out.set(variable, value.tensor)
  }
  return out
}

/** The contents of all variables that some CALL_ONCE initializes; ops that can't be resolved go to `refused`. */
function initialize(
  raws: readonly RawOp[],
  subgraph: (index: number) => RawSubgraph | undefined,
  refused: RawOp[],
): Map<string, Tensor> {
  const out = new Map<string, Tensor>()
  for (const raw of raws) {
    if (opName(raw) !== 'CALL_ONCE') continue
    const index = raw.options?.int32(0) ?? 0
    const called = index > 0 ? subgraph(index) : undefined
    if (!called) {
      throw new ThimbleError('format/op-attribute', 'CALL_ONCE of a subgraph that the file does not have', {
        got: index,
        hint: 'the file is damaged',
      })
    }
    const initials = initialsOf(called)
    if (typeof initials === 'string') refused.push({ ...raw, refused: `${initials} in its initialization` })
    else for (const [variable, tensor] of initials) out.set(variable, tensor)
  }
  return out
}

/**
 * The ops of the first subgraph without VAR_HANDLE and CALL_ONCE; `reads` gets the state tensors. A variable that
 * nothing initializes takes its form from what is assigned first, and may not be read before.
 */
export function resolveVariables(
  main: RawSubgraph,
  subgraph: (index: number) => RawSubgraph | undefined,
): readonly RawOp[] {
  const { reads, raws } = main
  const handles = handlesOf(main)
  if (handles.size === 0 && !raws.some((raw) => opName(raw) === 'CALL_ONCE')) return raws
  const refused: RawOp[] = []
  const initials = initialize(raws, subgraph, refused)
  /** The tensor that stands for each variable: the first handle's. */
  const states = new Map<string, number>()
  for (const [index, variable] of handles) {
    if (!states.has(variable) && reads[index]) states.set(variable, index)
  }
  const made = new Set<string>()
  const make = (variable: string, like: Tensor, initial: Uint8Array): void => {
    made.add(variable)
    const { shape, dtype, quantization } = like
    const tensor: Tensor = { name: variable.slice(variable.indexOf('/') + 1), shape, dtype, initial }
    if (quantization) tensor.quantization = quantization
    reads[states.get(variable)!] = { tensor, opaque: undefined, ready: true }
  }
  for (const [variable, tensor] of initials) if (states.has(variable)) make(variable, tensor, tensor.data!)
  const ops = raws
    .filter((raw) => !['VAR_HANDLE', 'CALL_ONCE'].includes(opName(raw)))
    .map((raw) => {
      const resolved = { ...raw, inputs: raw.inputs.map((i) => states.get(handles.get(i) ?? '') ?? i) }
      const variable = handles.get(raw.inputs[0] ?? -1)
      if (variable === undefined || made.has(variable)) return resolved
      const value = reads[raw.inputs[1] ?? -1]
      if (opName(raw) !== 'ASSIGN_VARIABLE' || !value || value.opaque) {
        return { ...resolved, refused: 'a variable that nothing has written yet' }
      }
      make(variable, value.tensor, new Uint8Array(tensorBytes(value.tensor)))
      return resolved
    })
  return [...refused, ...ops]
}
