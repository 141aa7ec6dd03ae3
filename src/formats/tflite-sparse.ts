/**
 * Sparse constants of a `.tflite`: stored values and where they stand, laid out densely when the file is read. DENSIFY
 * of such a constant is the constant.
 * Source: tensorflow/lite/schema/schema.fbs (SparsityParameters), kernels/internal/utils/sparsity_format_converter.cc.
 */
import { ThimbleError } from '../base/errors.ts'
import { dtypeBytes, elements, tensorBytes, type Tensor } from '../graph/graph.ts'
import { checkShape, MAX_RANK } from './check-shape.ts'
import type { Table } from './flatbuffer.ts'
import { opName, type RawOp } from './tflite-ops.ts'
import type { Read } from './tflite-variables.ts'

/** One dimension of the storage: `extent` places, all there, or those in `indices` between two `segments`. */
interface Level {
  extent: number
  /** How far in the dense tensor, in elements, one place is from the next. */
  stride: number
  sparse: { segments: readonly number[]; indices: readonly number[] } | undefined
}

function damaged(tensor: Tensor, what: string, expected?: string | number, got?: string | number): ThimbleError {
  return new ThimbleError('format/sparsity', `sparse constant with ${what}`, {
    tensor: tensor.name,
    expected,
    got,
    hint: 'the file is damaged or its converter is at fault',
  })
}

/** A vector of indices, of 32, 16 or 8 bits by its number in the union SparseIndexVector. */
function indexVector(table: Table, slot: number, name: string): readonly number[] | undefined {
  const values = table.table(slot + 1, name)
  switch (table.uint8(slot)) {
    case 1:
      return values?.int32s(0, 'values', Infinity)
    case 2:
      return values?.uint16s(0, 'values', Infinity)
    case 3:
      return values && [...(values.bytes(0, 'values') ?? [])]
    default:
      return undefined
  }
}

/** Segments that grow and indices inside the dimension: then no walk is longer than what is stored. */
function checkSparse(tensor: Tensor, { extent, sparse }: Level): void {
  if (!sparse) return
  const { segments, indices } = sparse
  const grows = segments[0] === 0 && segments.every((s, i) => i === 0 || s >= segments[i - 1]!)
  if (!grows || segments.at(-1)! > indices.length) {
    throw damaged(tensor, 'segments that are no rising list', `from 0 to at most ${indices.length}`)
  }
  const outside = indices.find((i) => i < 0 || i >= extent)
  if (outside !== undefined) throw damaged(tensor, 'an index outside its dimension', `less than ${extent}`, outside)
}

/** The dimensions of the storage in the order it is walked. */
function levelsOf(sparsity: Table, tensor: Tensor): Level[] {
  const { shape } = tensor
  const rank = shape.length
  const order = sparsity.int32s(0, 'traversal_order', 2 * MAX_RANK) ?? []
  const blockMap = sparsity.int32s(1, 'block_map', MAX_RANK) ?? []
  const dims = sparsity.tables(2, 'dim_metadata', 2 * MAX_RANK)
  const count = rank + blockMap.length
  const permutation = order.length === count && new Set(order).size === count && order.every((d) => d >= 0 && d < count)
  if (!permutation || dims.length !== count) {
    throw damaged(
      tensor,
      'an impossible order of dimensions',
      `${count} dimensions`,
      `${dims.length}, order [${order}]`,
    )
  }
  if (blockMap.some((d) => d < 0 || d >= rank) || new Set(blockMap).size !== blockMap.length) {
    throw damaged(tensor, 'impossible blocks', `different dimensions below ${rank}`, `[${blockMap}]`)
  }
  // The first dimensions in the order are those of the tensor, divided by their blocks; the blocks come behind.
  if (order.some((d, i) => d < rank !== i < rank)) throw damaged(tensor, 'blocks before dimensions')
  const blocks = blockMap.map((_, i) => dims[order.indexOf(rank + i)]!.int32(1))
  const blockOf = (d: number): number => (blockMap.includes(d) ? blocks[blockMap.indexOf(d)]! : 1)
  const stride = (d: number): number => elements(shape.slice(d + 1))
  return order.map((d, at) => {
    const of = d < rank ? d : blockMap[d - rank]!
    const block = blockOf(of)
    const level: Level = {
      extent: d < rank ? shape[of]! / block : block,
      stride: d < rank ? stride(of) * block : stride(of),
      sparse: undefined,
    }
    const meta = dims[at]!
    if (meta.int8(0) === 1) {
      const [segments, indices] = [indexVector(meta, 2, 'array_segments'), indexVector(meta, 4, 'array_indices')]
      if (!segments || !indices) throw damaged(tensor, 'no indices')
      level.sparse = { segments, indices }
      checkSparse(tensor, level)
    } else if (meta.int8(0) !== 0 || meta.int32(1) !== level.extent) {
      throw damaged(tensor, 'a dimension of another size', level.extent, meta.int32(1))
    }
    if (!Number.isInteger(level.extent)) throw damaged(tensor, 'blocks that do not divide it', `[${shape}]`, block)
    return level
  })
}

/** Bytes of dense constants that a file may still unfold: what it stores is seldom less than a hundredth of them. */
export class Unfolding {
  private left: number

  constructor(fileBytes: number) {
    this.left = 64 * fileBytes + (1 << 20)
  }

  /**
   * The dense bytes of a sparse constant, whose stored values are `data`. Errors: `format/sparsity`, `format/shape`,
   * `format/limit`.
   */
  dense(sparsity: Table, tensor: Tensor, data: Uint8Array): Uint8Array {
    checkShape(tensor)
    const bytes = tensorBytes(tensor)
    this.left -= bytes
    if (this.left < 0) {
      throw new ThimbleError('format/limit', 'sparse constants unfold to far more than the file holds', {
        tensor: tensor.name,
        got: `${bytes} bytes`,
      })
    }
    const levels = levelsOf(sparsity, tensor)
    const width = dtypeBytes(tensor.dtype)
    const out = new Uint8Array(bytes)
    let from = 0
    const walk = (level: number, place: number, offset: number): void => {
      const own = levels[level]
      if (!own) {
        if (from + width > data.length) throw damaged(tensor, 'too few values', undefined, `${data.length} bytes`)
        for (let i = 0; i < width; i++) out[offset * width + i] = data[from++]!
        return
      }
      const { extent, stride, sparse } = own
      if (!sparse) {
        for (let i = 0; i < extent; i++) walk(level + 1, place * extent + i, offset + i * stride)
        return
      }
      if (place + 1 >= sparse.segments.length) throw damaged(tensor, 'too few segments', place + 2)
      for (let i = sparse.segments[place]!; i < sparse.segments[place + 1]!; i++) {
        walk(level + 1, i, offset + sparse.indices[i]! * stride)
      }
    }
    walk(0, 0, 0)
    return out
  }
}

/** The ops without DENSIFY of constants, whose outputs become the constants themselves. */
export function resolveDensify(raws: readonly RawOp[], reads: readonly Read[]): readonly RawOp[] {
  return raws.filter((raw) => {
    if (opName(raw) !== 'DENSIFY') return true
    const [from, to] = [reads[raw.inputs[0] ?? -1], reads[raw.outputs[0] ?? -1]]
    const fits = from?.tensor.data && to && !from.opaque && !to.opaque && from.tensor.dtype === to.tensor.dtype
    if (!fits) return true
    const { shape, data } = from.tensor
    to.tensor = { ...to.tensor, shape, data: data! }
    to.ready = true
    return false
  })
}
