/** State: tensors that keep their contents from one run to the next, in memory of their own outside the arena. */
import { OP_COPY, OP_FILL } from '../generated/layout.ts'
import type { Context } from './context.ts'
import { rowwise, type Buffer, type Step, type Value } from './program.ts'

/** A copy of whole buffers, never joined with its neighbours, so that the order of ops stays. */
const copyWhole = (from: Buffer, to: Buffer, bytes: number, kernel: string): Omit<Step, 'opIndex'> => ({
  record: 'CopyRecord',
  op: OP_COPY,
  kernel,
  rows: rowwise(1),
  reads: [from],
  writes: [to],
  fields: () => ({
    input: from.address,
    inRowStride: bytes,
    inRing: 1,
    output: to.address,
    outRowStride: bytes,
    outRing: 1,
    bytes,
    xor: 0,
  }),
})

function expectSame(cx: Context, from: Value, to: Value): void {
  const { dtype } = from.tensor
  if (dtype !== to.tensor.dtype) {
    throw cx.fail('lower/dtype', 'type of a variable', to.tensor, { expected: dtype, got: to.tensor.dtype })
  }
  if (from.bytes !== to.bytes) {
    throw cx.fail('lower/shape', 'size of a variable', to.tensor, {
      expected: `[${from.tensor.shape}]`,
      got: `[${to.tensor.shape}]`,
    })
  }
}

/**
 * Whether all that reads output 0 copies from it before anything is assigned: then it may be the state itself. Only
 * CONCATENATION is known to copy where it stands; other ops may hand the bytes on.
 */
function readAtOnce(cx: Context, state: number): boolean {
  const { ops, outputs } = cx.graph
  const index = cx.op.outputs[0]!
  if (outputs.includes(index)) return false
  const assigned = ops.findIndex((op, i) => i > cx.opIndex && op.type === 'ASSIGN_VARIABLE' && op.inputs[0] === state)
  return ops.every(
    (op, i) => !op.inputs.includes(index) || (op.type === 'CONCATENATION' && (assigned < 0 || i < assigned)),
  )
}

export function lowerReadVariable(cx: Context): void {
  const state = cx.op.inputs[0]!
  const from = cx.value(0)
  if (from.tensor.dtype === cx.output().dtype && readAtOnce(cx, state)) {
    cx.alias(0, from)
    return
  }
  const to = cx.result()
  to.alias = true
  expectSame(cx, from, to)
  cx.push(copyWhole(from.buffer, to.buffer, to.bytes, 'read-state'))
}

export function lowerAssignVariable(cx: Context): void {
  const to = cx.value(0)
  const from = cx.plain(cx.value(1))
  expectSame(cx, from, to)
  cx.push(copyWhole(from.buffer, to.buffer, to.bytes, 'assign-state'))
}

/** Steps that write into every state buffer what it begins with. */
export function resetSteps(cx: Context): Step[] {
  cx.opIndex = cx.graph.ops.length
  return cx.buffers.all
    .filter((b) => b.state)
    .map((state): Step => {
      const initial = state.constant as Uint8Array
      const { opIndex } = cx
      const value = initial[0] ?? 0
      if (initial.some((b) => b !== value)) {
        const from = cx.buffers.constant(`${state.name} (initial)`, initial)
        return { ...copyWhole(from, state, initial.length, 'reset-state'), opIndex }
      }
      return {
        record: 'FillRecord',
        op: OP_FILL,
        kernel: 'reset-state',
        opIndex,
        rows: rowwise(1),
        reads: [],
        writes: [state],
        fields: () => ({ output: state.address, outRowStride: 0, bytes: initial.length, value }),
      }
    })
}
