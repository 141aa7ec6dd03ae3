/**
 * The working copy of a graph that the folding passes edit: ops plus a pseudo-op for a per-channel affine map
 * (batch norm and its relatives), who produces and who reads each tensor, and float constants by value.
 */
import { type Activation, type Graph, type Op, type OpOf, type Tensor } from '../../graph/graph.ts'

/** y[..., c] = activation(x[..., c] * scale[c] + offset[c]). Never leaves the passes. */
export interface Affine {
  type: 'AFFINE'
  inputs: readonly number[]
  outputs: readonly number[]
  scale: Float64Array
  offset: Float64Array
  activation: Activation
}
export type WorkOp = Op | Affine
/** Ops that are linear in x with constant weights. */
export type Linear = OpOf<'CONV_2D'> | OpOf<'DEPTHWISE_CONV_2D'> | OpOf<'FULLY_CONNECTED'> | OpOf<'TRANSPOSE_CONV'>

export class Work {
  readonly tensors: Tensor[]
  ops: WorkOp[]
  readonly inputs: readonly number[]
  outputs: number[]
  private producers = new Map<number, WorkOp>()
  private readers = new Map<number, WorkOp[]>()

  constructor(graph: Graph) {
    this.tensors = graph.tensors.map((t) => ({ ...t }))
    this.ops = graph.ops.map((op) => ({ ...op, attrs: { ...op.attrs } }) as Op)
    this.inputs = graph.inputs
    this.outputs = [...graph.outputs]
    this.index()
  }

  /** Recomputes producers and readers after `ops` changed. */
  index(): void {
    this.producers = new Map()
    this.readers = new Map()
    for (const op of this.ops) {
      for (const t of op.outputs) this.producers.set(t, op)
      for (const t of new Set(op.inputs)) if (t >= 0) this.readers.set(t, [...(this.readers.get(t) ?? []), op])
    }
  }

  producer(t: number): WorkOp | undefined {
    return this.producers.get(t)
  }
  consumers(t: number): WorkOp[] {
    return this.readers.get(t) ?? []
  }
  /** The only op that reads `t`, when `t` is no graph output. */
  soleConsumer(t: number): WorkOp | undefined {
    const readers = this.consumers(t)
    return readers.length === 1 && !this.outputs.includes(t) ? readers[0] : undefined
  }
  shape(t: number): readonly number[] {
    return this.tensors[t]!.shape
  }
  channels(t: number): number {
    return this.shape(t)[this.shape(t).length - 1] ?? 1
  }
  isConstant(t: number): boolean {
    return t >= 0 && this.tensors[t]!.data !== undefined
  }

  /** Values of a float32 constant. */
  floats(t: number): Float32Array | undefined {
    const tensor = this.tensors[t]
    if (!tensor?.data || tensor.dtype !== 'float32') return undefined
    return new Float32Array(tensor.data.slice().buffer)
  }

  addConstant(name: string, shape: readonly number[], data: Float32Array): number {
    this.tensors.push({
      name,
      shape: [...shape],
      dtype: 'float32',
      data: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
    })
    return this.tensors.length - 1
  }

  addActivation(name: string, shape: readonly number[]): number {
    this.tensors.push({ name, shape: [...shape], dtype: 'float32' })
    return this.tensors.length - 1
  }

  /** Takes `op` out; readers of its output read `from` instead. */
  bypass(op: WorkOp, from: number): void {
    const to = op.outputs[0]!
    this.ops = this.ops.filter((o) => o !== op)
    for (const o of this.ops) if (o.inputs.includes(to)) o.inputs = o.inputs.map((t) => (t === to ? from : t))
    this.outputs = this.outputs.map((t) => (t === to ? from : t))
    this.index()
  }

  replace(op: WorkOp, ...by: WorkOp[]): void {
    this.ops.splice(this.ops.indexOf(op), 1, ...by)
    this.index()
  }
}

/** Positions of weights in a linear op's inputs. */
export const slots = (op: Linear): { x: number; filter: number; bias: number } =>
  op.type === 'TRANSPOSE_CONV' ? { x: 2, filter: 1, bias: 3 } : { x: 0, filter: 1, bias: 2 }

export const asLinear = (op: WorkOp | undefined): Linear | undefined =>
  op &&
  (op.type === 'CONV_2D' ||
    op.type === 'DEPTHWISE_CONV_2D' ||
    op.type === 'FULLY_CONNECTED' ||
    op.type === 'TRANSPOSE_CONV')
    ? op
    : undefined

/** Reads a constant as one value per channel; undefined when it is not a scalar or a vector along the last axis. */
export function channelVector(w: Work, t: number, channels: number): Float64Array | undefined {
  const values = w.floats(t)
  if (!values) return undefined
  if (values.length === 1) return new Float64Array(channels).fill(values[0]!)
  const shape = w.shape(t)
  if (values.length !== channels || shape[shape.length - 1] !== channels) return undefined
  return Float64Array.from(values)
}

/** True when the op computes in float32: the passes leave everything else alone. */
export const isFloat = (w: Work, op: WorkOp): boolean => w.tensors[op.outputs[0] ?? -1]?.dtype === 'float32'

/** True when the op's activation input and output have the same shape (so nothing was broadcast). */
export const keepsShape = (w: Work, from: number, to: number): boolean => {
  const a = w.shape(from)
  const b = w.shape(to)
  return a.length === b.length && a.every((d, i) => d === b[i])
}

/** A compact graph again: dead ops and tensors dropped, ops in an order where producers come first. */
export function compact(w: Work, metadata: Graph['metadata']): Graph {
  const live: WorkOp[] = []
  const done = new Set<WorkOp>()
  const stack = [...w.outputs].reverse().flatMap((t) => w.producer(t) ?? [])
  while (stack.length) {
    const op = stack[stack.length - 1]!
    if (done.has(op)) {
      stack.pop()
      continue
    }
    const wait = op.inputs.flatMap((t) => (t >= 0 ? (w.producer(t) ?? []) : [])).filter((p) => !done.has(p))
    if (wait.length === 0) {
      done.add(op)
      live.push(op)
      stack.pop()
    } else for (const op of wait.reverse()) stack.push(op)
  }
  const order = new Map(w.ops.map((op, i) => [op, i]))
  const inFileOrder = live.every((op) =>
    op.inputs.every((t) => {
      const p = t >= 0 ? w.producer(t) : undefined
      return !p || order.get(p)! < order.get(op)!
    }),
  )
  if (inFileOrder) live.sort((a, b) => order.get(a)! - order.get(b)!)
  const used = new Set(
    [...w.inputs, ...w.outputs, ...live.flatMap((op) => [...op.inputs, ...op.outputs])].filter((t) => t >= 0),
  )
  const map = new Map<number, number>()
  const tensors = w.tensors.filter((_, i) => used.has(i))
  w.tensors.forEach((_, i) => {
    if (used.has(i)) map.set(i, map.size)
  })
  const at = (t: number): number => (t < 0 ? -1 : map.get(t)!)
  const ops = live.map((op) => ({ ...op, inputs: op.inputs.map(at), outputs: op.outputs.map(at) }) as Op)
  return { tensors, ops, inputs: w.inputs.map(at), outputs: w.outputs.map(at), metadata }
}
