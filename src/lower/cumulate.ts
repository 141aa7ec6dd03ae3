/** Running sums, and sums of many tensors. Source: TFLite's builtin kernels. */
import { ARITHMETIC_FLOAT_ADD, ARITHMETIC_INT_ADD, OP_CUMULATE } from '../generated/layout.ts'
import { dtypeBytes, elements, type OpOf } from '../graph/graph.ts'
import { type Context, Unsupported } from './context.ts'
import { moveBytes } from './move.ts'
import { rowwise, type Value } from './program.ts'
import { typeOf } from './select.ts'
import { normalAxis } from './shape.ts'
import { emitWords } from './words.ts'

interface Sums {
  from: Value
  to: Value
  shape: readonly number[]
  axis: number
  exclusive?: boolean
  reverse?: boolean
}

/** Running sums of a tensor of `shape` along an axis. */
function emitCumulate(cx: Context, { from, to, shape, axis, exclusive = false, reverse = false }: Sums): void {
  const type = typeOf(cx, from.tensor)
  to.alias = true
  cx.push({
    record: 'CumulateRecord',
    op: OP_CUMULATE,
    kernel: 'cumsum',
    rows: rowwise(1),
    reads: [from.buffer],
    writes: [to.buffer],
    fields: () => ({
      input: from.address(),
      output: to.address(),
      outer: elements(shape.slice(0, axis)),
      depth: shape[axis]!,
      inner: elements(shape.slice(axis + 1)),
      type,
      exclusive: Number(exclusive),
      reverse: Number(reverse),
    }),
  })
}

/** SUM of int64, modulo 2^64: of each axis the last of its running sums. */
export function lowerLongSum(cx: Context): void {
  const { keepDims } = (cx.op as OpOf<'SUM'>).attrs
  let x = cx.plain(cx.value(0))
  const { dtype, name } = x.tensor
  const out = cx.output()
  if (out.dtype !== dtype) throw new Unsupported(`SUM of ${dtype} to ${out.dtype}`)
  const shape = [...x.tensor.shape]
  const axes = [...new Set(cx.integers(1, 'axes').map((a) => normalAxis(cx, a, shape.length)))]
  const reduced = shape.map((d, i) => (axes.includes(i) ? 1 : d))
  cx.expectShape(out, keepDims ? reduced : shape.filter((_, i) => !axes.includes(i)))
  const width = dtypeBytes(dtype)
  const y = cx.result()
  y.alias = true
  if (axes.length === 0) {
    moveBytes(cx, {
      from: x,
      to: y,
      loops: [{ size: elements(shape), from: width, to: width }],
      bytes: width,
      kernel: 'sum',
    })
  }
  axes.forEach((axis, i) => {
    const sums = cx.temporary({ name: `${name} (sums along ${axis})`, dtype, shape: [...shape] })
    emitCumulate(cx, { from: x, to: sums, shape: [...shape], axis })
    const [depth, run] = [shape[axis]!, width * elements(shape.slice(axis + 1))]
    const outer = elements(shape.slice(0, axis))
    shape[axis] = 1
    const last = i === axes.length - 1 ? y : cx.temporary({ name: `${name} (sum ${i})`, dtype, shape: [...shape] })
    last.alias = true
    moveBytes(cx, {
      from: sums,
      to: last,
      loops: [{ size: outer, from: depth * run, to: run }],
      bytes: run,
      inOffset: (depth - 1) * run,
      kernel: 'sum',
    })
    x = last
  })
}

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
  emitCumulate(cx, { from: x, to: cx.result(), shape, axis, exclusive, reverse })
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
