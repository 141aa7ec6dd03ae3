/**
 * ONNX Gather with constant indices: a slice, a new view of a flat tensor (as_strided of dynamo's exports), or GATHER.
 */
import { elements, type OpOf } from '../../graph/graph.ts'
import { attribute, constantInput, malformed, type Handler } from './reader.ts'
import type { Value } from './values.ts'

/** The constant difference of neighbours, at least 1; undefined where it is none. One index has the step 1. */
function stepOf(indices: readonly number[]): number | undefined {
  const step = indices.length > 1 ? indices[1]! - indices[0]! : 1
  return step >= 1 && indices.every((v, i) => v === indices[0]! + i * step) ? step : undefined
}

/**
 * The axes of `shape` from the slowest in memory to the fastest, where `indices` are all elements of a flat tensor
 * once, in the order of those axes; else undefined.
 */
function viewOrder(indices: readonly number[], shape: readonly number[]): number[] | undefined {
  const inner = (axis: number): number => elements(shape.slice(axis + 1))
  const axes = shape.map((_, axis) => axis)
  const strides = axes.map((axis) => (shape[axis]! > 1 ? indices[inner(axis)]! - indices[0]! : 0))
  const order = axes.sort((a, b) => strides[b]! - strides[a]!)
  let next = 1
  for (const axis of [...order].reverse()) {
    if (shape[axis] === 1) continue
    if (strides[axis] !== next) return undefined
    next *= shape[axis]!
  }
  const at = (flat: number): number =>
    shape.reduce((sum, size, axis) => sum + (Math.floor(flat / inner(axis)) % size) * strides[axis]!, 0)
  return indices.every((v, flat) => v === at(flat)) ? order : undefined
}

export const gather: Handler = (r, n) => {
  const x = r.net.settled(n.name, r.input(n, 0))
  const wanted = constantInput(r, n, 1).value
  const shape = r.net.onnxShape(x)
  const given = attribute.int(n, 'axis', 0)
  const axis = given < 0 ? given + shape.length : given
  const size = shape[axis] ?? malformed(n, 'axis')
  const indices = Array.from(wanted.data, (i) => (i < 0 ? i + size : i))
  if (indices.length === 0 || indices.some((i) => !(i >= 0 && i < size))) return malformed(n, 'list of indices')
  const order = shape.length === 1 && indices.length === size ? viewOrder(indices, wanted.shape) : undefined
  if (order) {
    const id = r.net.reshape(
      n.name,
      x.id,
      order.map((a) => wanted.shape[a]!),
    )
    return [{ kind: 'tensor', id, permutation: wanted.shape.map((_, a) => order.indexOf(a)) }]
  }
  const step = stepOf(indices)
  if (wanted.shape.length <= 1 && step === 1) {
    const at = x.permutation[axis]!
    const stored = r.net.shape(x.id)
    const begin = stored.map((_, i) => (i === at ? indices[0]! : 0))
    const id = r.net.slice(
      n.name,
      x.id,
      begin,
      stored.map((d, i) => (i === at ? indices.length : d)),
    )
    if (wanted.shape.length === 1) return [{ ...x, id }]
    const left = stored.filter((_, i) => i !== at)
    const permutation = x.permutation.filter((p) => p !== at).map((p) => (p > at ? p - 1 : p))
    return [{ kind: 'tensor', id: r.net.reshape(`${n.name}/one`, id, left), permutation }]
  }
  const plain = r.net.plain(`${n.name}/plain`, x)
  const out = [...shape.slice(0, axis), ...wanted.shape, ...shape.slice(axis + 1)]
  const inputs = [plain, r.net.int32(`${n.name}/indices`, wanted.shape, indices)]
  const id = r.net.op<OpOf<'GATHER'>>({ type: 'GATHER', inputs, attrs: { axis, batchDims: 0 } }, n.name, out)
  const value: Value = { kind: 'tensor', id, permutation: out.map((_, i) => i) }
  return [value]
}
