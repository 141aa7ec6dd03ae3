/** Running sums, and sums of many tensors. Source: TFLite's builtin kernels. */
import { ARITHMETIC_FLOAT_ADD, ARITHMETIC_INT_ADD, OP_CUMULATE } from '../generated/layout.ts'
import { elements, type OpOf } from '../graph/graph.ts'
import { type Context, Unsupported } from './context.ts'
import { rowwise } from './program.ts'
import { typeOf } from './select.ts'
import { normalAxis } from './shape.ts'
import { emitWords } from './words.ts'

export function lowerCumsum(cx: Context): void {
  const { exclusive, reverse } = (cx.op as OpOf<'CUMSUM'>).attrs
  const x = cx.plain(cx.value(0))
  const { shape, dtype } = x.tensor
  const out = cx.output()
  if (out.dtype !== dtype || !['int32', 'int64', 'float32'].includes(dtype)) {
    throw new Unsupported(`CUMSUM of ${dtype} to ${out.dtype}`)
  }
  cx.expectShape(out, shape)
  const axis = normalAxis(cx, cx.integers(1, 'axis')[0] ?? 0, shape.length)
  const type = typeOf(cx, x.tensor)
  const y = cx.result()
  y.alias = true
  cx.push({
    record: 'CumulateRecord',
    op: OP_CUMULATE,
    kernel: 'cumsum',
    rows: rowwise(1),
    reads: [x.buffer],
    writes: [y.buffer],
    fields: () => ({
      input: x.address(),
      output: y.address(),
      outer: elements(shape.slice(0, axis)),
      depth: shape[axis]!,
      inner: elements(shape.slice(axis + 1)),
      type,
      exclusive: Number(exclusive),
      reverse: Number(reverse),
    }),
  })
}

const KINDS: Partial<Record<string, number>> = { int32: ARITHMETIC_INT_ADD, float32: ARITHMETIC_FLOAT_ADD }

/** One tensor after the other. */
export function lowerAddN(cx: Context): void {
  const { inputs } = cx.op
  const out = cx.output()
  const kind = KINDS[out.dtype]
  if (kind === undefined) throw new Unsupported(`ADD_N of ${out.dtype}`)
  inputs.forEach((_, i) => {
    const t = cx.input(i)
    if (t.dtype !== out.dtype || `${t.shape}` !== `${out.shape}`) {
      throw cx.fail('lower/shape', `input ${i}`, t, {
        expected: `[${out.shape}] ${out.dtype}`,
        got: `[${t.shape}] ${t.dtype}`,
      })
    }
  })
  let sum = cx.plain(cx.value(0))
  if (inputs.length === 1) {
    cx.alias(0, sum)
    return
  }
  const count = elements(out.shape)
  for (let i = 1; i < inputs.length; i++) {
    const y = i === inputs.length - 1 ? cx.result() : cx.temporary({ ...out, name: `${out.name} (${i})` })
    emitWords(cx, { kind, a: sum, b: cx.plain(cx.value(i)), y, dims: [{ size: count, a: 1, b: 1 }] })
    sum = y
  }
}
