/** Writes `.tflite` files field by field, also such as no converter writes: what `writeTflite` can't say. */
import {
  bool,
  type Field,
  FlatBufferBuilder,
  f32,
  i32,
  i8,
  offset,
  u32,
  u64,
  u8,
} from '../src/formats/flatbuffer-build.ts'

export interface RawTensor {
  shape?: readonly number[]
  /** TensorType number; default 9 (INT8). */
  type?: number
  buffer?: number
  name?: string
  variable?: boolean
  /** True: an empty table. */
  sparse?: boolean | RawSparsity
  externalBuffer?: number
  scales?: readonly number[] | undefined
  zeroPoints?: readonly number[] | undefined
  axis?: number
  /** QuantizationDetails union number. */
  details?: number
}

/** SparsityParameters: of every level either its size, or segments and indices. */
export interface RawSparsity {
  order: readonly number[]
  blockMap?: readonly number[]
  levels: readonly (number | { segments: readonly number[]; indices: readonly number[] })[]
}

export interface RawOp {
  code: number
  inputs: readonly number[]
  outputs: readonly number[]
  optionsType?: number
  options?: (Field | undefined)[] | undefined
  custom?: Uint8Array
}

export interface RawModel {
  version?: number
  /** Deprecated (narrow) and wide builtin code, custom name. */
  codes: readonly { narrow?: number; wide?: number; custom?: string }[]
  /** Bytes, or where they are in the file; undefined: empty. */
  buffers?: readonly (Uint8Array | { offset: number; size: number } | undefined)[] | undefined
  tensors: readonly RawTensor[]
  ops: readonly RawOp[]
  inputs: readonly number[]
  outputs: readonly number[]
  subgraphs?: number
  metadata?: readonly { name: string; buffer: number }[]
  description?: string
}

function sparsityTable({ order, blockMap, levels }: RawSparsity, b: FlatBufferBuilder): number {
  const indices = (values: readonly number[]): [Field, Field] => [
    u8(1),
    offset(b.table([offset(b.int32Vector(values))])),
  ]
  const dims = levels.map((level) =>
    typeof level === 'number'
      ? b.table([undefined, i32(level)])
      : b.table([i8(1), undefined, ...indices(level.segments), ...indices(level.indices)]),
  )
  return b.table([
    offset(b.int32Vector(order)),
    blockMap && offset(b.int32Vector(blockMap)),
    offset(b.offsetVector(dims)),
  ])
}

function tensorTable(t: RawTensor, b: FlatBufferBuilder): number {
  const shape = t.shape && offset(b.int32Vector(t.shape))
  const name = t.name === undefined ? undefined : offset(b.string(t.name))
  const scales = t.scales && offset(b.float32Vector(t.scales))
  const zeroPoints = t.zeroPoints && offset(b.int64Vector(t.zeroPoints))
  const details = t.details ? [u8(t.details), offset(b.table([]))] : []
  const q =
    scales || zeroPoints || t.details
      ? offset(
          b.table([undefined, undefined, scales, zeroPoints, details[0], details[1], t.axis ? i32(t.axis) : undefined]),
        )
      : undefined
  const sparsity = t.sparse ? offset(t.sparse === true ? b.table([]) : sparsityTable(t.sparse, b)) : undefined
  return b.table([
    shape,
    i8(t.type ?? 9),
    u32(t.buffer ?? 0),
    name,
    q,
    t.variable ? bool(true) : undefined,
    sparsity,
    undefined,
    undefined,
    undefined,
    t.externalBuffer ? u32(t.externalBuffer) : undefined,
  ])
}

function opTable(op: RawOp, b: FlatBufferBuilder): number {
  const options = op.options && offset(b.table(op.options))
  const custom = op.custom && offset(b.byteVector(op.custom, 16))
  const inputs = offset(b.int32Vector(op.inputs))
  const outputs = offset(b.int32Vector(op.outputs))
  return b.table([u32(op.code), inputs, outputs, op.optionsType ? u8(op.optionsType) : undefined, options, custom])
}

export function rawTflite(m: RawModel): Uint8Array {
  const b = new FlatBufferBuilder()
  const buffers =
    m.buffers &&
    b.offsetVector(
      m.buffers.map((data) =>
        b.table(
          data === undefined
            ? []
            : data instanceof Uint8Array
              ? [offset(b.byteVector(data, 16))]
              : [undefined, u64(data.offset), u64(data.size)],
        ),
      ),
    )
  const tensors = b.offsetVector(m.tensors.map((t) => tensorTable(t, b)))
  const ops = b.offsetVector(m.ops.map((op) => opTable(op, b)))
  const subgraph = b.table([
    offset(tensors),
    offset(b.int32Vector(m.inputs)),
    offset(b.int32Vector(m.outputs)),
    offset(ops),
  ])
  const subgraphs = b.offsetVector(new Array<number>(m.subgraphs ?? 1).fill(subgraph))
  const codes = b.offsetVector(
    m.codes.map((c) =>
      b.table([
        c.narrow === undefined ? undefined : i8(c.narrow),
        c.custom === undefined ? undefined : offset(b.string(c.custom)),
        undefined,
        c.wide === undefined ? undefined : i32(c.wide),
      ]),
    ),
  )
  const metadata =
    m.metadata && b.offsetVector(m.metadata.map((e) => b.table([offset(b.string(e.name)), u32(e.buffer)])))
  const description = m.description === undefined ? undefined : offset(b.string(m.description))
  return b.finish(
    b.table([
      u32(m.version ?? 3),
      offset(codes),
      offset(subgraphs),
      description,
      buffers === undefined ? undefined : offset(buffers),
      undefined,
      metadata === undefined ? undefined : offset(metadata),
    ]),
    'TFL3',
  )
}

export { bool, f32, i32, i8, offset, u32, u8 }
