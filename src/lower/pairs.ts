/** Element by element on two 8-bit tensors: how operands broadcast, and the kernel's loops. */
import type { OP_BINARY, OP_COMBINE } from '../generated/layout.ts'
import { broadcast, merge, offsets, trimmed, type Dim } from './broadcast.ts'
import { type ByteFunction, type Context, Unsupported, type Q } from './context.ts'
import { emitLut } from './elementwise.ts'
import { joinFunctions } from './functions.ts'
import { present, rowwise, type Buffer, type Value } from './program.ts'

/** The two inputs and the quantization of all three tensors, which must be of one 8-bit type. */
export function operandsOf(cx: Context): { a: Value; b: Value; aq: Q; bq: Q; yq: Q } {
  const a = cx.value(0)
  const b = cx.value(1)
  const out = cx.output()
  const aq = cx.q(a.tensor)
  const bq = cx.q(b.tensor)
  const yq = cx.q(out)
  if (a.tensor.dtype !== out.dtype || b.tensor.dtype !== out.dtype) {
    throw new Unsupported(`mixed ${a.tensor.dtype}, ${b.tensor.dtype} and ${out.dtype} tensors`)
  }
  return { a, b, aq, bq, yq }
}

/** What a kernel computes of every pair of elements. */
export interface PairArithmetic {
  record: 'BinaryRecord' | 'CombineRecord'
  op: typeof OP_BINARY | typeof OP_COMBINE
  kernel: string
  /** The record's fields but for addresses, strides and sizes. */
  fields: Record<string, number>
  /** The same with a and b exchanged, where that gives the same. */
  swapped?: Record<string, number> | undefined
  /** One result, in the kernels' domain; undefined where only the kernel computes it exactly. */
  element?: ((a: number, b: number) => number) | undefined
  /** The kernel is as fast as a table beside an operand that is one constant. */
  lanes?: boolean | undefined
  table?: Buffer | undefined
}

/** Fields of both records that an arithmetic names where it uses them. */
export const UNUSED = {
  aMultiplier: 0,
  aShift: 0,
  bMultiplier: 0,
  bShift: 0,
  multiplier: 0,
  shift: 0,
  wrapElements: 0,
  minus: 0,
  scale: 0,
} as const

/** The one value of a constant that has the same everywhere, as kernels see it. */
function uniform({ tensor }: Value): number | undefined {
  const { data, dtype } = tensor
  const first = data?.[0]
  return first !== undefined && data!.every((v) => v === first)
    ? dtype === 'uint8'
      ? first - 128
      : (first << 24) >> 24
    : undefined
}

/** Both operands as one table's worth: they are functions of the same tensor, or one is a single constant. */
function asFunction(cx: Context, a: Value, b: Value, { element }: PairArithmetic): ByteFunction | undefined {
  const f = element && joinFunctions(cx, [a, b], [uniform(a), uniform(b)], element)
  return f && trimmed(f.of.tensor.shape) === trimmed(cx.output().shape) ? f : undefined
}

export function emitPairs(cx: Context, a: Value, b: Value, arithmetic: PairArithmetic): void {
  const out = cx.output()
  const dims = broadcast(cx, a.tensor, b.tensor, out)
  const f = asFunction(cx, a, b, arithmetic)
  // Of a plain tensor and a constant the kernel's lanes are as fast.
  const plain = f && (f.of === a || f.of === b) && (a.tensor.data ?? b.tensor.data)
  if (f && !(plain && arithmetic.lanes)) {
    emitLut(cx, { from: f.of, to: cx.result(), lut: f.table, kernel: arithmetic.kernel })
    return
  }
  const equal = trimmed(a.tensor.shape) === trimmed(b.tensor.shape)
  let { fields } = arithmetic
  // One image: rows of the image, so that the step can stream. Otherwise rows are the fourth merged dimension.
  const spatial = out.shape.length === 4 && out.shape[0] === 1
  const merged = merge(spatial ? dims.slice(2) : dims, ['a', 'b'])
  const outer = merged.splice(0, Math.max(0, merged.length - 4))
  const rowDim = spatial ? dims[1]! : merged.length > 3 ? merged.shift()! : { size: 1, a: 0, b: 0 }
  // The kernel wants operand a contiguous in the innermost dimension.
  const last = merged[merged.length - 1]
  if (last && last.a === 0 && last.b === 1 && arithmetic.swapped) {
    for (const d of [...outer, ...merged, rowDim]) [d.a, d.b] = [d.b, d.a]
    ;[a, b] = [b, a]
    fields = arithmetic.swapped
  }
  while (merged.length < 3) merged.unshift({ size: 1, a: 0, b: 0 })
  const [d1, d2, d3] = merged as [Dim, Dim, Dim]
  cx.plain(a)
  cx.plain(b)
  const y = cx.result()
  if (f) cx.functions.set(y, f)
  if (!spatial) y.alias = true
  const [x1, x2] = [a, b]
  // Operands of a lower rank are one run of bytes that the row stride walks through.
  const rowsKept = (v: Value): number => (spatial && v.tensor.shape.length === 4 ? v.ringRows : rowDim.size)
  const streams = rowDim.a !== 0 && x1.n === 1 && x1.h === y.h && x1.rowBytes === y.rowBytes && (spatial || y.h === 1)
  const part = rowDim.size * d1.size * d2.size * d3.size
  offsets(outer).forEach((from, i) =>
    cx.push({
      record: arithmetic.record,
      op: arithmetic.op,
      kernel: arithmetic.kernel,
      rows: rowwise(rowDim.size),
      reads: present(a.buffer, b.buffer, arithmetic.table),
      writes: [y.buffer],
      stream: streams && !outer.length ? { from: a, to: y, order: 'element' } : undefined,
      side: equal && !outer.length ? b : undefined,
      fields: () => ({
        ...fields,
        a: x1.address() + from.a,
        aRing: rowsKept(x1),
        aRowStride: rowDim.a,
        a1: d1.a,
        a2: d2.a,
        a3: d3.a,
        b: x2.address() + from.b,
        bRing: rowsKept(x2),
        bRowStride: rowDim.b,
        b1: d1.b,
        b2: d2.b,
        b3: d3.b,
        output: y.address() + i * part,
        outRing: spatial ? y.ringRows : rowDim.size,
        outRowStride: spatial ? y.rowStride : d1.size * d2.size * d3.size,
        d1: d1.size,
        d2: d2.size,
        d3: d3.size,
        ...(arithmetic.table && { table: arithmetic.table.address }),
      }),
    }),
  )
}
