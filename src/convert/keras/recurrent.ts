/**
 * Recurrent Keras layers, unrolled: one step's ops for every step of the sequence. State begins at zero, or at the
 * tensors that the layer is called with.
 */
import type { Values } from '../builder.ts'
import { transpose } from '../values.ts'
import { activate } from './activations.ts'
import { fail, integer, malformed, type Context, type Layer, type Run } from './layer.ts'

/** Most weights that the steps of a layer may have together: each step has its own copy. */
const MAX_WEIGHTS = 1 << 23

/** A layer while its steps are emitted. */
interface Cell {
  c: Context
  l: Layer
  units: number
  /** W x + b of every step, [steps, gates * units]. */
  projected: number
  /** [units, gates * units]. */
  recurrent: Values
  /** A second bias, of the recurrent product. */
  inner: Float32Array | undefined
}

/** Columns of a kernel [inputs, columns] as a filter [columns, inputs]. */
function filterOf({ shape, data }: Values, first: number, count: number): Values {
  const [rows, columns] = shape as [number, number]
  const part = new Float32Array(rows * count)
  for (let r = 0; r < rows; r++) part.set(data.subarray(r * columns + first, r * columns + first + count), r * count)
  return transpose(part, [rows, count], [1, 0])
}

/** The given gates of the recurrent product; undefined when state and bias are zero. */
function recall({ c, recurrent, units, inner }: Cell, name: string, h: number | undefined, gates: [number, number]) {
  const [first, count] = [gates[0] * units, gates[1] * units]
  const bias = inner?.slice(first, first + count)
  if (h !== undefined) return c.net.fullyConnected(name, h, { filter: filterOf(recurrent, first, count), bias })
  return bias ? c.net.constant(name, { shape: [1, count], data: bias }) : undefined
}

const gate = ({ c, units }: Cell, name: string, x: number, index: number): number =>
  c.net.slice(name, x, [0, index * units], [1, units])

/** The projection of a step, from its first gate on. */
const projection = (cell: Cell, name: string, step: number, [first, count]: [number, number]): number =>
  cell.c.net.slice(name, cell.projected, [step, first * cell.units], [1, count * cell.units])

const sum = (c: Context, name: string, a: number, b: number | undefined): number =>
  b === undefined ? a : c.net.binary(name, 'ADD', a, b)

const product = (c: Context, name: string, a: number, b: number): number => c.net.binary(name, 'MUL', a, b)

const squash = ({ c, l }: Cell, name: string, x: number, which: 'activation' | 'recurrent_activation'): number =>
  activate(c, { ...l, name }, x, l.config[which] ?? (which === 'activation' ? 'tanh' : 'sigmoid'))

/** The next state from the step's number and the state; state 0 is the output. */
type Step = (cell: Cell, name: string, step: number, state: readonly (number | undefined)[]) => number[]

const lstm: Step = (cell, name, step, [h, memory]) => {
  const { c } = cell
  const x = projection(cell, `${name}/x`, step, [0, 4])
  const z = sum(c, `${name}/z`, x, recall(cell, `${name}/h`, h, [0, 4]))
  const part = (as: string, i: number, which: 'activation' | 'recurrent_activation'): number =>
    squash(cell, `${name}/${as}`, gate(cell, `${name}/${as}/in`, z, i), which)
  const fresh = product(c, `${name}/fresh`, part('i', 0, 'recurrent_activation'), part('c', 2, 'activation'))
  const kept =
    memory === undefined ? undefined : product(c, `${name}/kept`, part('f', 1, 'recurrent_activation'), memory)
  const next = sum(c, `${name}/memory`, fresh, kept)
  const shown = squash(cell, `${name}/tanh`, next, 'activation')
  return [product(c, `${name}/output`, part('o', 3, 'recurrent_activation'), shown), next]
}

const gru: Step = (cell, name, step, [h]) => {
  const { c, l } = cell
  const after = l.config.reset_after !== false && cell.inner !== undefined
  const gates = sum(c, `${name}/zr`, projection(cell, `${name}/x`, step, [0, 2]), recall(cell, `${name}/h`, h, [0, 2]))
  const z = squash(cell, `${name}/update`, gate(cell, `${name}/z`, gates, 0), 'recurrent_activation')
  const r = squash(cell, `${name}/reset`, gate(cell, `${name}/r`, gates, 1), 'recurrent_activation')
  const x = projection(cell, `${name}/candidate/x`, step, [2, 1])
  const recalled = after
    ? recall(cell, `${name}/candidate/h`, h, [2, 1])
    : h === undefined
      ? undefined
      : recall(cell, `${name}/candidate/h`, product(c, `${name}/kept`, r, h), [2, 1])
  const held = after && recalled !== undefined ? product(c, `${name}/candidate/held`, r, recalled) : recalled
  const candidate = squash(cell, `${name}/candidate`, sum(c, `${name}/candidate/in`, x, held), 'activation')
  // z h + (1 - z) candidate = candidate + z (h - candidate)
  const distance =
    h === undefined
      ? c.net.affine(`${name}/distance`, candidate, [-1], [0])
      : c.net.binary(`${name}/distance`, 'SUB', h, candidate)
  return [c.net.binary(`${name}/output`, 'ADD', candidate, product(c, `${name}/step`, z, distance))]
}

const simple: Step = (cell, name, step, [h]) => {
  const z = sum(cell.c, `${name}/z`, projection(cell, `${name}/x`, step, [0, 1]), recall(cell, `${name}/h`, h, [0, 1]))
  return [squash(cell, `${name}/output`, z, 'activation')]
}

/** Kernel, recurrent kernel and biases, wherever the file keeps the cell's weights. */
function cellWeights(
  c: Context,
  l: Layer,
  depth: number,
  gates: number,
): Pick<Cell, 'recurrent' | 'inner'> & { kernel: Values; bias: Float32Array | undefined } {
  const units = integer(l, l.config.units, 'units')
  const wide = gates * units
  const twice = l.className === 'GRU' && l.config.reset_after === true
  const [inside] = c.weights.inner(l.path)
  const [kernel, recurrent, bias] = c.weights.get(inside === undefined ? l.path : [...l.path, inside], [
    { name: 'kernel', shape: [depth, wide] },
    { name: 'recurrent_kernel', shape: [units, wide] },
    ...(l.config.use_bias === false ? [] : [{ name: 'bias', shape: twice ? [2, wide] : [wide] }]),
  ])
  return {
    kernel: kernel!,
    recurrent: recurrent!,
    bias: bias?.data.slice(0, wide),
    inner: twice ? (bias?.data.slice(wide) ?? new Float32Array(wide)) : undefined,
  }
}

const unrolled =
  (gates: number, states: number, next: Step): Run =>
  (c, l, x, { inputs }) => {
    const shape = c.net.shape(x)
    if (shape.length !== 3 || shape[0] !== 1) return malformed(l, 'input: a sequence [1, steps, values]')
    const [, steps, depth] = shape as [number, number, number]
    const units = integer(l, l.config.units, 'units')
    if (steps * units * units * gates > MAX_WEIGHTS) {
      return fail(l, `${steps} steps of ${units} units: unrolled they have more than ${MAX_WEIGHTS} weights`)
    }
    const { kernel, bias, ...own } = cellWeights(c, l, depth, gates)
    const rows = c.net.reshape(`${l.name}/rows`, x, [steps, depth])
    const filter = filterOf(kernel, 0, gates * units)
    const projected = c.net.fullyConnected(`${l.name}/projected`, rows, { filter, bias })
    const cell: Cell = { c, l, units, projected, ...own }
    const given = inputs.slice(1).filter((i) => typeof i === 'number')
    if (given.length > states) return malformed(l, 'initial state')
    let state: (number | undefined)[] = Array.from({ length: states }, (_, i) => given[i])
    const seen: number[] = []
    for (let i = 0; i < steps; i++) {
      state = next(cell, `${l.name}/${i}`, l.config.go_backwards === true ? steps - 1 - i : i, state)
      seen.push(state[0]!)
    }
    const all = (): number => {
      const together = seen.length === 1 ? seen[0]! : c.net.concat(`${l.name}/sequence`, seen, 0)
      return c.net.reshape(l.name, together, [1, steps, units])
    }
    const y = l.config.return_sequences === true ? all() : seen.at(-1)!
    return l.config.return_state === true ? [y, ...(state as number[])] : y
  }

export const RECURRENT: Readonly<Record<string, Run>> = {
  LSTM: unrolled(4, 2, lstm),
  GRU: unrolled(3, 1, gru),
  SimpleRNN: unrolled(1, 1, simple),
}
