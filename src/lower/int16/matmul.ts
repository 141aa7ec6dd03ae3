/** Products of int16 matrices: BATCH_MATMUL, FULLY_CONNECTED with a filter of 16 bits. */
import { OP_MATMUL16 } from '../../generated/layout.ts'
import { dtypeBytes, elements, type OpOf, type Tensor } from '../../graph/graph.ts'
import { activationBoundsBuiltin, f32 } from '../../arithmetic/numerics.ts'
import { type Context, Unsupported } from '../context.ts'
import { batchesOf, type Batch } from '../matmul.ts'
import { present, rowwise, type Buffer, type Value } from '../program.ts'
import { biasBuffer, grid, HIGH, LOW, multiplierBuffers, params16, scale16, wideMultiplier } from './common.ts'

interface Product {
  a: Value
  b: Value
  /** Elements from one row or column to the next, and along the inner dimension. */
  steps: Record<'aRow' | 'aInner' | 'bColumn' | 'bInner', number>
  rows: number
  inner: number
  columns: number
  batches: readonly Batch[]
  scales: readonly number[]
  limits: [number, number]
  bias?: Buffer | undefined
}

function emit(cx: Context, p: Product): void {
  if (p.batches.length > 3) throw new Unsupported('matrix products over more than three separate dimensions')
  const [d0, d1, d2] = [...Array<Batch>(3 - p.batches.length).fill({ size: 1, a: 0, b: 0 }), ...p.batches] as [
    Batch,
    Batch,
    Batch,
  ]
  const { a, b } = p
  const bBytes = dtypeBytes(b.tensor.dtype)
  const { multipliers, shifts } = multiplierBuffers(cx, cx.output().name, p.scales.map(wideMultiplier))
  cx.plain(a)
  cx.plain(b)
  const y = cx.result()
  y.alias = true
  cx.push({
    record: 'Matmul16Record',
    op: OP_MATMUL16,
    kernel: 'matmul-int16',
    rows: rowwise(1),
    reads: present(a.buffer, b.buffer, p.bias, multipliers, shifts),
    writes: [y.buffer],
    macs: d0.size * d1.size * d2.size * p.rows * p.inner * p.columns,
    fields: () => ({
      a: a.address(),
      b: b.address(),
      output: y.address(),
      d0: d0.size,
      d1: d1.size,
      d2: d2.size,
      a0: 2 * d0.a,
      a1: 2 * d1.a,
      a2: 2 * d2.a,
      b0: bBytes * d0.b,
      b1: bBytes * d1.b,
      b2: bBytes * d2.b,
      m: p.rows,
      inner: p.inner,
      columns: p.columns,
      aRow: 2 * p.steps.aRow,
      aInner: 2 * p.steps.aInner,
      bInner: bBytes * p.steps.bInner,
      bColumn: bBytes * p.steps.bColumn,
      bBytes,
      bias: p.bias?.address ?? 0,
      multipliers: multipliers.address,
      shifts: shifts.address,
      perColumn: Number(p.scales.length > 1),
      actMin: p.limits[0],
      actMax: p.limits[1],
    }),
  })
}

/** Scale of an operand of 16 or 8 bits whose zero point is 0. */
function operand(cx: Context, t: Tensor): number {
  if (t.dtype === 'int16') return scale16(cx, t)
  if (t.dtype !== 'int8') throw new Unsupported(`int16 by ${t.dtype} matrices`)
  const { scale, zeroPoint } = grid(cx, t)
  if (zeroPoint !== 0) {
    throw cx.fail('lower/quantization', 'zero point beside a 16-bit matrix', t, { expected: 0, got: zeroPoint })
  }
  return scale
}

export function lowerBatchMatmul16(cx: Context): void {
  const { adjX, adjY } = (cx.op as OpOf<'BATCH_MATMUL'>).attrs
  const a = cx.value(0)
  const b = cx.value(1)
  const out = cx.output()
  const { shape: sa } = a.tensor
  const { shape: sb } = b.tensor
  for (const t of [a.tensor, b.tensor, out]) {
    if (t.shape.length < 2) throw cx.fail('lower/shape', 'rank', t, { expected: 'at least 2', got: t.shape.length })
  }
  const [rows, inner] = (adjX ? [sa.at(-1), sa.at(-2)] : [sa.at(-2), sa.at(-1)]) as [number, number]
  const [columns, other] = (adjY ? [sb.at(-2), sb.at(-1)] : [sb.at(-1), sb.at(-2)]) as [number, number]
  if (inner !== other || out.shape.at(-2) !== rows || out.shape.at(-1) !== columns) {
    throw cx.fail('lower/shape', 'matrices do not fit', out, { expected: `[${sa}] by [${sb}]`, got: `[${out.shape}]` })
  }
  const scale = f32(scale16(cx, a.tensor) * operand(cx, b.tensor)) / scale16(cx, out)
  emit(cx, {
    a,
    b,
    steps: { aRow: adjX ? 1 : inner, aInner: adjX ? rows : 1, bColumn: adjY ? inner : 1, bInner: adjY ? 1 : columns },
    rows,
    inner,
    columns,
    batches: batchesOf(cx, sa, sb),
    scales: [scale],
    limits: [LOW, HIGH],
  })
}

/** FULLY_CONNECTED whose filter has 16 bits, constant or computed. Its shapes are checked. */
export function lowerComputedFilter16(cx: Context): void {
  const { activation } = (cx.op as OpOf<'FULLY_CONNECTED'>).attrs
  const x = cx.value(0)
  const w = cx.value(1)
  const [columns, inner] = w.tensor.shape as [number, number]
  const output = scale16(cx, cx.output())
  const input = scale16(cx, x.tensor)
  const scales = w.tensor.quantization?.scales ?? []
  if (scales.length !== 1 && scales.length !== columns) {
    throw cx.fail('lower/quantization', 'scales of the filter', w.tensor, {
      expected: `1 or ${columns}`,
      got: scales.length,
    })
  }
  emit(cx, {
    a: x,
    b: w,
    steps: { aRow: inner, aInner: 1, bColumn: inner, bInner: 1 },
    rows: elements(x.tensor.shape) / inner,
    inner,
    columns,
    batches: [],
    scales: Array.from(scales, (s) => (scales.length === 1 ? f32(input * s) : input * s) / output),
    limits: activationBoundsBuiltin(activation, params16(output)),
    bias: biasBuffer(cx, 2, columns).buffer,
  })
}
