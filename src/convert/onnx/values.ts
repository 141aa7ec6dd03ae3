/**
 * What an ONNX name stands for while a graph is read: numbers, or a tensor of the new graph seen through a permutation.
 * Images are stored NHWC; an NCHW value is that tensor with permutation [0, 3, 1, 2]. A Transpose node only changes the
 * permutation, so layouts cost nothing until an op insists on one.
 */
import { ThimbleError } from '../../base/errors.ts'
import { elements } from '../../graph/graph.ts'
import { Net } from '../net.ts'
import { transpose } from '../values.ts'
import type { OnnxTensor } from './model.ts'

/** ONNX axis i is axis `permutation[i]` of the stored tensor. */
export interface Activation {
  kind: 'tensor'
  id: number
  permutation: readonly number[]
}
/** [N, C, H, W] merged to [N, C*H*W], not carried out yet: a fully connected layer permutes its weights instead. */
export interface Flat {
  kind: 'flat'
  of: Activation
}
export interface Constant {
  kind: 'constant'
  value: OnnxTensor
  grid?: Grid
}
export type Value = Activation | Flat | Constant

/** The 8-bit grid that a dequantized constant lies on. */
export interface Grid {
  scales: Float32Array
  zeroPoints: Int32Array
  axis: number
  dtype: 'int8' | 'uint8' | 'int32'
}

export const NCHW = [0, 3, 1, 2] as const
export const isIdentity = (p: readonly number[]): boolean => p.every((v, i) => v === i)

/** The builder, with ONNX's view of shapes. */
export class LayoutNet extends Net {
  /** Grids of constants by tensor name, for QDQ models. */
  readonly grids = new Map<string, Grid>()

  /** numpy.transpose of a constant's data. */
  transposed(
    data: Float32Array | Float64Array,
    shape: readonly number[],
    permutation: readonly number[],
  ): Float32Array {
    return transpose(Float32Array.from(data), shape, permutation).data
  }

  /** Shape in ONNX's axis order. */
  onnxShape(v: Value): number[] {
    if (v.kind === 'constant') return [...v.value.shape]
    if (v.kind === 'flat') {
      const [n, ...rest] = this.onnxShape(v.of)
      return [n!, elements(rest)]
    }
    return v.permutation.map((p) => this.shape(v.id)[p]!)
  }

  /** Stored axes in the order `order`; free where only axes of length 1 move. */
  private reorder(name: string, id: number, order: readonly number[]): number {
    if (isIdentity(order)) return id
    const shape = this.shape(id)
    const moving = order.filter((a) => shape[a] !== 1)
    const free = moving.every((a, i) => i === 0 || a > moving[i - 1]!)
    return free
      ? this.reshape(
          name,
          id,
          order.map((a) => shape[a]!),
        )
      : this.transpose(name, id, order)
  }

  /** The value stored so that ONNX axis i is stored axis `permutation[i]`. */
  arrange(name: string, v: Value, permutation: readonly number[]): number {
    const rank = permutation.length
    if (v.kind === 'constant') return this.arrangeConstant(name, v, permutation)
    if (v.kind === 'flat') return this.arrange(name, this.unflatten(name, v), permutation)
    if (v.permutation.length !== rank) {
      // Broadcasting adds axes of length 1 in front.
      const shape = this.onnxShape(v)
      const plain = this.reorder(`${name}/plain`, v.id, v.permutation)
      const raised = this.reshape(`${name}/raised`, plain, [
        ...new Array<number>(rank - shape.length).fill(1),
        ...shape,
      ])
      return this.arrange(name, { kind: 'tensor', id: raised, permutation: permutation.map((_, i) => i) }, permutation)
    }
    const order = new Array<number>(rank)
    permutation.forEach((to, axis) => {
      order[to] = v.permutation[axis]!
    })
    return this.reorder(`${name}/layout`, v.id, order)
  }

  private arrangeConstant(name: string, v: Constant, permutation: readonly number[]): number {
    const rank = permutation.length
    const shape = [...new Array<number>(rank - v.value.shape.length).fill(1), ...v.value.shape]
    const order = new Array<number>(rank)
    permutation.forEach((to, axis) => {
      order[to] = axis
    })
    const moved = isIdentity(order)
      ? { shape, data: Float32Array.from(v.value.data) }
      : transpose(Float32Array.from(v.value.data), shape, order)
    const id = this.constant(v.value.name || name, moved)
    if (v.grid) {
      this.grids.set(this.tensors[id]!.name, {
        ...v.grid,
        axis: v.grid.scales.length > 1 ? permutation[v.grid.axis + rank - v.value.shape.length]! : 0,
      })
    }
    return id
  }

  /** ONNX's own axis order. */
  plain(name: string, v: Value): number {
    if (v.kind === 'flat') return this.unflatten(name, v).id
    return this.arrange(
      name,
      v,
      this.onnxShape(v).map((_, i) => i),
    )
  }

  /** Stored NHWC, from [N, C, H, W]. */
  nhwc(name: string, v: Value): number {
    const shape = this.onnxShape(v)
    if (shape.length !== 4) {
      throw new ThimbleError('lower/unsupported-op', 'only two-dimensional windows are read', {
        tensor: name,
        expected: 'rank 4',
        got: `[${shape.join(', ')}]`,
      })
    }
    return this.arrange(name, v, NCHW)
  }

  private unflatten(name: string, v: Flat): Activation {
    const shape = this.onnxShape(v)
    const id = this.reshape(`${name}/flat`, this.plain(`${name}/flat`, v.of), shape)
    return { kind: 'tensor', id, permutation: [0, 1] }
  }

  /** An activation value, with anything lazy carried out. */
  settled(name: string, v: Value): Activation {
    if (v.kind === 'tensor') return v
    if (v.kind === 'flat') return this.unflatten(name, v)
    const id = this.arrangeConstant(
      name,
      v,
      v.value.shape.map((_, i) => i),
    )
    return { kind: 'tensor', id, permutation: v.value.shape.map((_, i) => i) }
  }
}
