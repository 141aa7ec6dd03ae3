/** Products of two computed matrices: BATCH_MATMUL, FULLY_CONNECTED with a computed filter. */
import { OP_MATMUL } from '../generated/layout.ts'
import { elements, type OpOf } from '../graph/graph.ts'
import { activationBoundsBuiltin, f32, quantizeMultiplier } from '../arithmetic/numerics.ts'
import { merge, strides } from './broadcast.ts'
import { align } from '../base/words.ts'
import { type Context, shifted, Unsupported, type Q } from './context.ts'
import { present, rowwise, type Buffer, type Value } from './program.ts'

interface Matrix {
  value: Value
  q: Q
  /** Bytes from one row or column of the result to the next, and from one product to the next. */
  outer: number
  inner: number
}

export interface Batch {
  size: number
  a: number
  b: number
}

interface Product {
  a: Matrix
  b: Matrix
  yq: Q
  rows: number
  inner: number
  columns: number
  batches: readonly Batch[]
  limits: [number, number]
  bias?: Buffer | undefined
  kind: number
}

/** kind of the record: XNNPACK's f32 scale; fixed point, half away from zero or half up. */
const SCALE = 0
const HALF_AWAY = 1
const HALF_UP = 2

function emitProduct(cx: Context, p: Product): void {
  const { a, b, yq } = p
  if (p.batches.length > 3) throw new Unsupported('matrix products over more than three separate dimensions')
  const [d0, d1, d2] = [...Array<Batch>(3 - p.batches.length).fill({ size: 1, a: 0, b: 0 }), ...p.batches] as [
    Batch,
    Batch,
    Batch,
  ]
  const scale = f32(f32(a.q.scale * b.q.scale) / yq.scale)
  const fixed =
    p.kind === SCALE
      ? { multiplier: 0, shift: 0 }
      : quantizeMultiplier(
          (yq.unsigned || p.kind === HALF_AWAY ? f32(a.q.scale * b.q.scale) : a.q.scale * b.q.scale) / yq.scale,
        )
  const panel = align(p.inner, 8) * 8
  const scratch = cx.scratch(
    'matrix panel',
    cx.simd ? 16 + panel + (a.inner === 1 ? 0 : align(p.rows * p.inner, 16)) : 0,
  )
  cx.plain(a.value)
  cx.plain(b.value)
  const y = cx.result()
  y.alias = true
  cx.push({
    record: 'MatmulRecord',
    op: OP_MATMUL,
    kernel: 'matmul',
    rows: rowwise(1),
    reads: present(a.value.buffer, b.value.buffer, p.bias),
    writes: [y.buffer, scratch],
    macs: d0.size * d1.size * d2.size * p.rows * p.inner * p.columns,
    fields: () => ({
      a: a.value.address(),
      b: b.value.address(),
      output: y.address(),
      d0: d0.size,
      d1: d1.size,
      d2: d2.size,
      a0: d0.a,
      a1: d1.a,
      a2: d2.a,
      b0: d0.b,
      b1: d1.b,
      b2: d2.b,
      m: p.rows,
      inner: p.inner,
      columns: p.columns,
      aRow: a.outer,
      aInner: a.inner,
      bInner: b.inner,
      bColumn: b.outer,
      bias: p.bias?.address ?? 0,
      scratch: scratch.address,
      aZeroPoint: a.q.zero,
      bZeroPoint: b.q.zero,
      outputZeroPoint: yq.zero,
      ...shifted(p.limits, yq),
      kind: p.kind,
      scale,
      ...fixed,
    }),
  })
}

/** Batch dimensions of both operands against those of the output. Errors: `lower/shape`. */
export function batchesOf(cx: Context, a: readonly number[], b: readonly number[]): Batch[] {
  const out = cx.output()
  const sizes = out.shape.slice(0, -2)
  const steps = (shape: readonly number[]): number[] => {
    const own = shape.slice(0, -2)
    const missing = sizes.length - own.length
    const bytes = strides(shape, 1)
    return sizes.map((size, i) => {
      const d = own[i - missing] ?? 1
      if (missing < 0 || (d !== size && d !== 1)) {
        throw cx.fail('lower/shape', 'batch dimensions do not broadcast', out, {
          expected: `[${a}] with [${b}]`,
          got: `[${out.shape}]`,
        })
      }
      return d === 1 ? 0 : bytes[i - missing]!
    })
  }
  const [sa, sb] = [steps(a), steps(b)]
  return merge(
    sizes.map((size, i) => ({ size, a: sa[i]!, b: sb[i]! })),
    ['a', 'b'],
  )
}

/** XNNPACK takes it where the second operand's zero point is 0, TFLite's builtin kernel else. */
export function lowerBatchMatmul(cx: Context): void {
  const { adjX, adjY } = (cx.op as OpOf<'BATCH_MATMUL'>).attrs
  const a = cx.value(0)
  const b = cx.value(1)
  const out = cx.output()
  const { shape: sa } = a.tensor
  const { shape: sb } = b.tensor
  for (const t of [a.tensor, b.tensor, out]) {
    if (t.dtype !== 'int8') throw new Unsupported(`BATCH_MATMUL of ${t.dtype} tensors`)
    if (t.shape.length < 2) throw cx.fail('lower/shape', 'rank', t, { expected: 'at least 2', got: t.shape.length })
  }
  const [rows, inner] = (adjX ? [sa.at(-1), sa.at(-2)] : [sa.at(-2), sa.at(-1)]) as [number, number]
  const [columns, other] = (adjY ? [sb.at(-2), sb.at(-1)] : [sb.at(-1), sb.at(-2)]) as [number, number]
  if (inner !== other || out.shape.at(-2) !== rows || out.shape.at(-1) !== columns) {
    throw cx.fail('lower/shape', 'matrices do not fit', out, { expected: `[${sa}] by [${sb}]`, got: `[${out.shape}]` })
  }
  const yq = cx.q(out)
  const bq = cx.q(b.tensor)
  emitProduct(cx, {
    a: { value: a, q: cx.q(a.tensor), outer: adjX ? 1 : inner, inner: adjX ? rows : 1 },
    b: { value: b, q: bq, outer: adjY ? inner : 1, inner: adjY ? 1 : columns },
    yq,
    rows,
    inner,
    columns,
    batches: batchesOf(cx, sa, sb),
    limits: [yq.low, yq.high],
    kind: bq.zeroPoint === 0 ? SCALE : HALF_AWAY,
  })
}

/** FULLY_CONNECTED whose filter is no constant: TFLite's builtin kernel. */
export function lowerComputedFilter(cx: Context): void {
  const op = cx.op as OpOf<'FULLY_CONNECTED'>
  const x = cx.value(0)
  const w = cx.value(1)
  const out = cx.output()
  const [columns, inner] = w.tensor.shape as [number, number]
  const rows = elements(x.tensor.shape) / inner
  const yq = cx.q(out)
  const bias = cx.hasInput(2) ? cx.input(2, 'bias') : undefined
  if (bias && (bias.dtype !== 'int32' || elements(bias.shape) !== columns)) {
    throw cx.fail('lower/shape', 'bias', bias, { expected: `${columns} int32`, got: `[${bias.shape}] ${bias.dtype}` })
  }
  emitProduct(cx, {
    a: { value: x, q: cx.q(x.tensor), outer: inner, inner: 1 },
    b: { value: w, q: cx.q(w.tensor), outer: inner, inner: 1 },
    yq,
    rows,
    inner,
    columns,
    batches: [],
    limits: activationBoundsBuiltin(op.attrs.activation, yq),
    bias: bias && cx.value(2).buffer,
    kind: HALF_UP,
  })
}
