/** GATHER and GATHER_ND: by a table where the indices are constant, by index where they are computed. */
import { OP_GATHER, OP_GATHER_ND, OP_SCATTER } from '../generated/layout.ts'
import { dtypeBytes, elements, tensorBytes, type OpOf } from '../graph/graph.ts'
import { strides } from './broadcast.ts'
import { type Context, Unsupported } from './context.ts'
import { moveBytes } from './move.ts'
import { rowwise, type Value } from './program.ts'
import { typeOf } from './select.ts'
import { normalAxis } from './shape.ts'

/** Steps that one op may become. */
const MOST_STEPS = 1024

/** int32 indices of an input; those of int64 are cut to their low words. */
export function wordIndices(cx: Context, position: number): Value {
  const x = cx.plain(cx.value(position))
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

/** What is done once for each row of runs: bytes from one to the next; `count`: runs, `indices`: which row's, each. */
interface Rows {
  size: number
  from: number
  to: number
  count: number
  /** The row of index tuples that row i goes by. Default: all by the first. */
  indices?: (i: number) => number
}

/** Fields of limits and steps as the records hold them. */
export function placeFields(cx: Context, { limits, steps }: Pick<Indexed, 'limits' | 'steps'>): Record<string, number> {
  const depth = limits.length
  if (depth > 4) throw new Unsupported(`${cx.op.type} by more than four indices`)
  const at = (list: readonly number[], k: number): number => (k < depth ? list[k]! : 0)
  return {
    depth,
    limit0: at(limits, 0),
    limit1: at(limits, 1),
    limit2: at(limits, 2),
    limit3: at(limits, 3),
    stride0: at(steps, 0),
    stride1: at(steps, 1),
    stride2: at(steps, 2),
    stride3: at(steps, 3),
  }
}

/** Runs of bytes of x by computed index tuples; an index outside is an error when the model runs. */
function emitIndexed(
  cx: Context,
  { x, indices }: { x: Value; indices: Value },
  { limits, steps, bytes }: Indexed,
  rows: Rows,
): void {
  if (rows.size > MOST_STEPS) throw new Unsupported(`${cx.op.type} of ${rows.size} rows by computed indices`)
  const places = placeFields(cx, { limits, steps })
  const tuples = 4 * rows.count * limits.length
  const y = cx.result()
  y.alias = true
  for (let i = 0; i < rows.size; i++) {
    cx.push({
      record: 'GatherNdRecord',
      op: OP_GATHER_ND,
      kernel: 'gather-nd',
      rows: rowwise(1),
      reads: [x.buffer, indices.buffer],
      writes: [y.buffer],
      fields: () => ({
        input: x.address() + i * rows.from,
        indices: indices.address() + (rows.indices?.(i) ?? 0) * tuples,
        output: y.address() + i * rows.to,
        count: rows.count,
        bytes,
        ...places,
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
    throw cx.fail('lower/constant', 'index is outside of its tensor', cx.input(1), {
      expected: `0 to ${limit - 1}`,
      got: index,
    })
  }
  return index
}

export function lowerGather(cx: Context): void {
  const { attrs } = cx.op as OpOf<'GATHER'>
  const { shape, dtype } = cx.input(0)
  const indices = cx.input(1)
  const axis = normalAxis(cx, attrs.axis, shape.length)
  const batch = attrs.batchDims < 0 ? attrs.batchDims + indices.shape.length : attrs.batchDims
  if (cx.output().dtype !== dtype) {
    throw cx.fail('lower/dtype', 'output type', cx.output(), { expected: dtype, got: cx.output().dtype })
  }
  const steps = strides(shape, dtypeBytes(dtype))
  const bytes = steps[axis]!
  const limit = shape[axis]!
  const rowBytes = limit * bytes
  const rows = elements(shape.slice(0, axis))
  const perBatch = elements(indices.shape.slice(batch))
  // Each batch has indices of its own.
  const rowsOfBatch = elements(shape.slice(batch, axis))
  if (!indices.data) {
    emitIndexed(
      cx,
      { x: cx.plain(cx.value(0)), indices: wordIndices(cx, 1) },
      { limits: [limit], steps: [bytes], bytes },
      {
        size: rows,
        from: rowBytes,
        to: perBatch * bytes,
        count: perBatch,
        indices: (row) => Math.floor(row / rowsOfBatch),
      },
    )
    return
  }
  const list = cx.integers(1, 'indices').map((i) => checkIndex(cx, i, limit))
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
  // One row of runs.
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
    throw cx.fail('lower/shape', 'last dimension of the indices', indices, {
      expected: `1..${shape.length}`,
      got: depth,
    })
  }
  if (out.dtype !== dtype) throw cx.fail('lower/dtype', 'output type', out, { expected: dtype, got: out.dtype })
  const steps = strides(shape, dtypeBytes(dtype))
  const bytes = steps[depth - 1]!
  if (!indices.data) {
    emitIndexed(
      cx,
      { x: cx.plain(cx.value(0)), indices: wordIndices(cx, 1) },
      { limits: shape.slice(0, depth), steps: steps.slice(0, depth), bytes },
      { size: 1, from: 0, to: 0, count: elements(places) / depth },
    )
    return
  }
  const list = cx.integers(1, 'indices')
  const columns = Array.from({ length: list.length / depth }, (_, n) =>
    shape.slice(0, depth).reduce((a, d, k) => a + checkIndex(cx, list[n * depth + k]!, d) * steps[k]!, 0),
  )
  emitTable(cx, [0], columns, bytes)
}

/** GATHER along the first axis, of a table of the output's type. */
export function lowerEmbedding(cx: Context): void {
  const indices = wordIndices(cx, 0)
  const x = cx.plain(cx.value(1))
  const { shape, dtype } = x.tensor
  const out = cx.output()
  if (out.dtype !== dtype) throw new Unsupported(`EMBEDDING_LOOKUP of ${dtype} to ${out.dtype}`)
  cx.expectShape(out, [...indices.tensor.shape, ...shape.slice(1)])
  const bytes = strides(shape, dtypeBytes(dtype))[0]!
  const rows = { size: 1, from: 0, to: 0, count: elements(indices.tensor.shape) }
  emitIndexed(cx, { x, indices }, { limits: [shape[0]!], steps: [bytes], bytes }, rows)
}

/** Sums at indices, of zeros. */
export function lowerScatterNd(cx: Context): void {
  const indices = wordIndices(cx, 0)
  const x = cx.plain(cx.value(1))
  const out = cx.output()
  const { dtype } = x.tensor
  const places = indices.tensor.shape
  const depth = places[places.length - 1] ?? 0
  if (depth < 1 || depth > out.shape.length) {
    throw cx.fail('lower/shape', 'last dimension of the indices', cx.input(0), {
      expected: `1..${out.shape.length}`,
      got: depth,
    })
  }
  if (out.dtype !== dtype || dtype === 'uint8' || dtype === 'bool') {
    throw new Unsupported(`SCATTER_ND of ${dtype} to ${out.dtype}`)
  }
  const type = typeOf(cx, x.tensor)
  const steps = strides(out.shape, dtypeBytes(dtype))
  const bytes = steps[depth - 1]!
  const count = elements(places) / depth
  if (elements(x.tensor.shape) * dtypeBytes(dtype) !== count * bytes) {
    throw cx.fail('lower/shape', 'updates', x.tensor, {
      expected: `${count} of ${bytes} bytes`,
      got: `[${x.tensor.shape}]`,
    })
  }
  const fields = placeFields(cx, { limits: out.shape.slice(0, depth), steps: steps.slice(0, depth) })
  const y = cx.result()
  y.alias = true
  cx.push({
    record: 'ScatterRecord',
    op: OP_SCATTER,
    kernel: 'scatter-nd',
    rows: rowwise(1),
    reads: [x.buffer, indices.buffer],
    writes: [y.buffer],
    fields: () => ({
      input: x.address(),
      indices: indices.address(),
      output: y.address(),
      count,
      bytes,
      ...fields,
      outputBytes: tensorBytes(out),
      type,
    }),
  })
}
