/**
 * Activations that are a function of one 8-bit tensor, element by element: x * logistic(x), hard-swish and GELU spelled
 * out in ops. Each is one table, composed of what every op gives for the 256 bytes, and read from the first tensor; the
 * ops in between then have no reader and are left out.
 */
import { OP_BINARY, OP_COMBINE, OP_LUT } from '../generated/layout.ts'
import type { ByteFunction, Context } from './context.ts'
import type { Buffer, Step, Value } from './program.ts'

const IDENTITY = Int8Array.from({ length: 256 }, (_, byte) => byte)

/** What a byte of `v` is a function of: itself, if of nothing else. */
export const functionOf = (cx: Context, v: Value): ByteFunction => cx.functions.get(v) ?? { of: v, table: IDENTITY }

/** `table` of what `inner` gives. */
export const compose = (inner: ByteFunction, table: Int8Array): ByteFunction => ({
  of: inner.of,
  table: inner.table.map((v) => table[v & 255]!),
})

/** Whether only the present op names the tensor of `v`, so that it is not needed where the op can do without. */
function onlyHere(cx: Context, v: Value): boolean {
  const index = cx.op.inputs.find((i) => cx.values.get(i) === v)
  return index !== undefined && cx.uses[index] === 1
}

/** Where to read from for `table` of x: x, or what x is a function of when nobody else needs x. */
export function source(cx: Context, x: Value, table: Int8Array): ByteFunction {
  const f = cx.functions.get(x)
  return f && onlyHere(cx, x) ? compose(f, table) : { of: x, table }
}

/**
 * `element` of two operands as a function of one tensor; undefined if they are of several, or a constant of several
 * values. A constant operand of one value goes in as that.
 */
export function joinFunctions(
  cx: Context,
  operands: readonly [Value, Value],
  constants: readonly [number | undefined, number | undefined],
  element: (a: number, b: number) => number,
): ByteFunction | undefined {
  const [a, b] = operands.map((v, i) => (constants[i] === undefined ? functionOf(cx, v) : undefined))
  const of = (a ?? b)?.of
  if (!of || of.tensor.data || (a && b && a.of !== b.of)) return undefined
  return {
    of,
    table: Int8Array.from({ length: 256 }, (_, byte) =>
      element(constants[0] ?? a!.table[byte]!, constants[1] ?? b!.table[byte]!),
    ),
  }
}

/** The steps without those that only fill buffers that nobody reads. `outputs`: what the caller reads. */
export function withoutUnread(steps: readonly Step[], outputs: readonly Buffer[]): Step[] {
  const read = new Set(outputs)
  const kept: Step[] = []
  for (const step of [...steps].reverse()) {
    const pure = step.op === OP_LUT || step.op === OP_BINARY || step.op === OP_COMBINE
    if (pure && !step.writes.some((b) => read.has(b))) continue
    for (const b of step.reads) read.add(b)
    kept.push(step)
  }
  return kept.reverse()
}
