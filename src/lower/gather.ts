/** GATHER and GATHER_ND: by a table where the indices are constant, by index where they are computed. */
import { OP_GATHER, OP_GATHER_ND } from '../generated/layout.ts'
import { dtypeBytes, elements, type OpOf } from '../graph.ts'
import { strides } from './broadcast.ts'
import { type Context, Unsupported } from './context.ts'
import { moveBytes } from './move.ts'
import { rowwise, type Value } from './program.ts'
import { normalAxis } from './shape.ts'

/** Steps that one op may become. */
const MOST_STEPS = 1024

/** int32 indices of input 1; those of int64 are cut to their low words. */
function wordIndices(cx: Context): Value {
  const x = cx.plain(cx.value(1))
  const { dtype, shape, name } = x.tensor
  if (dtype === 'int32') return x
  if (dtype !== 'int64') throw new Unsupported(`${cx.op.type} by ${dtype} indices`)
  const y = cx.temporary({ name: `${name} (int32)`, shape, dtype: 'int32' })
  moveBytes(cx, {
    from: x,
    to: y,
    loops: [{ size: elements(shape), from: 8, to: 4 }],
    bytes: 4,
    kernel: 'narrow',
  })
  return y
}

/** Where in a tensor runs begin: limits and steps of the dimensions that are indexed. */
interface Indexed {
  limits: readonly number[]
  steps: readonly number[]
  /** Bytes of one run. */
  bytes: number
}

/** Runs of bytes by computed index tuples; an index outside is an error when the model runs. */
function emitIndexed(
  cx: Context,
  { limits, steps, bytes }: Indexed,
  outer: { size: number; from: number; to: number },
): void {
  const x = cx.plain(cx.value(0))
  const indices = wordIndices(cx)
  const depth = limits.length
  if (depth > 4) throw new Unsupported(`${cx.op.type} by more than four indices`)
  if (outer.size > MOST_STEPS) throw new Unsupported(`${cx.op.type} of ${outer.size} rows by computed indices`)
  const count = elements(indices.tensor.shape) / (cx.op.type === 'GATHER_ND' ? depth : 1)
  const y = cx.result()
  y.alias = true
  const at = (list: readonly number[], k: number): number => (k < depth ? list[k]! : 0)
  for (let i = 0; i < outer.size; i++) {
    cx.push({
      record: 'GatherNdRecord',
      op: OP_GATHER_ND,
      kernel: 'gather-nd',
      rows: rowwise(1),
      reads: [x.buffer, indices.buffer],
      writes: [y.buffer],
      fields: () => ({
        input: x.address() + i * outer.from,
        indices: indices.address(),
        output: y.address() + i * outer.to,
        count,
        depth,
        bytes,
        limit0: at(limits, 0),
        limit1: at(limits, 1),
        limit2: at(limits, 2),
        limit3: at(limits, 3),
        stride0: at(steps, 0),
        stride1: at(steps, 1),
        stride2: at(steps, 2),
        stride3: at(steps, 3),
      }),
    })
  }
}

/** Runs of `bytes` from rows[y] + columns[x]. */
function emitTable(cx: Context, rows: readonly number[], columns: readonly number[], bytes: number): void {
  const x = cx.plain(cx.value(0))
  const rowTable = cx.buffers.constant('gather rows', Int32Array.from(rows))
  const columnTable = cx.buffers.constant('gather columns', Int32Array.from(columns))
  const y = cx.result()
  y.alias = true
  cx.push({
    record: 'GatherRecord',
    op: OP_GATHER,
    kernel: 'gather',
    rows: rowwise(rows.length),
    reads: [x.buffer, rowTable, columnTable],
    writes: [y.buffer],
    fields: () => ({
      input: x.address(),
      output: y.address(),
      outRowStride: columns.length * bytes,
      outW: columns.length,
      rowTable: rowTable.address,
      columnTable: columnTable.address,
      bytes,
    }),
  })
}

/** Errors: `lower/constant`. */
function checkIndex(cx: Context, index: number, limit: number): number {
  if (index < 0 || index >= limit) {
    throw cx.fail('lower/constant', 'index is outside of its tensor', cx.input(1), `0 to ${limit - 1}`, index)
  }
  return index
}

export function lowerGather(cx: Context): void {
  const { attrs } = cx.op as OpOf<'GATHER'>
  const { shape, dtype } = cx.input(0)
  const indices = cx.input(1)
  const axis = normalAxis(cx, attrs.axis, shape.length)
  const batch = attrs.batchDims < 0 ? attrs.batchDims + indices.shape.length : attrs.batchDims
  if (cx.output().dtype !== dtype) throw cx.fail('lower/dtype', 'output type', cx.output(), dtype, cx.output().dtype)
  const steps = strides(shape, dtypeBytes(dtype))
  const bytes = steps[axis]!
  const limit = shape[axis]!
  const rowBytes = limit * bytes
  const rows = elements(shape.slice(0, axis))
  if (!indices.data) {
    if (batch !== 0) throw new Unsupported('GATHER with batch dimensions by computed indices')
    const count = elements(indices.shape)
    emitIndexed(cx, { limits: [limit], steps: [bytes], bytes }, { size: rows, from: rowBytes, to: count * bytes })
    return
  }
  const list = cx.integers(1, 'indices').map((i) => checkIndex(cx, i, limit))
  const perBatch = elements(indices.shape.slice(batch))
  if (batch === 0) {
    const starts = Array.from({ length: rows }, (_, i) => i * rowBytes)
    emitTable(
      cx,
      starts,
      list.map((i) => i * bytes),
      bytes,
    )
    return
  }
  // Each batch has indices of its own: one row of runs.
  const rowsOfBatch = elements(shape.slice(batch, axis))
  const columns = Array.from({ length: rows }, (_, row) => {
    const first = Math.floor(row / rowsOfBatch) * perBatch
    return list.slice(first, first + perBatch).map((i) => row * rowBytes + i * bytes)
  }).flat()
  emitTable(cx, [0], columns, bytes)
}

export function lowerGatherNd(cx: Context): void {
  const { shape, dtype } = cx.input(0)
  const out = cx.output()
  const indices = cx.input(1)
  const places = indices.shape
  const depth = places[places.length - 1] ?? 0
  if (depth < 1 || depth > shape.length) {
    throw cx.fail('lower/shape', 'last dimension of the indices', indices, `1..${shape.length}`, depth)
  }
  if (out.dtype !== dtype) throw cx.fail('lower/dtype', 'output type', out, dtype, out.dtype)
  const steps = strides(shape, dtypeBytes(dtype))
  const bytes = steps[depth - 1]!
  if (!indices.data) {
    emitIndexed(cx, { limits: shape.slice(0, depth), steps: steps.slice(0, depth), bytes }, { size: 1, from: 0, to: 0 })
    return
  }
  const list = cx.integers(1, 'indices')
  const columns = Array.from({ length: list.length / depth }, (_, n) =>
    shape.slice(0, depth).reduce((a, d, k) => a + checkIndex(cx, list[n * depth + k]!, d) * steps[k]!, 0),
  )
  emitTable(cx, [0], columns, bytes)
}
