/** Loops over dimensions: broadcasting of two operands, as few loops as do, strides. */
import type { Tensor } from '../graph/graph.ts'
import type { Context } from './context.ts'

/** Steps from one element to the next along a dimension, in elements; 0: the operand is repeated. */
export interface Dim {
  size: number
  a: number
  b: number
}

/** Broadcast dimensions, outermost first. Errors: `lower/shape`. */
export function broadcast(cx: Context, a: Tensor, b: Tensor, out: Tensor): Dim[] {
  const rank = out.shape.length
  const pad = (s: readonly number[]): number[] => [...Array<number>(Math.max(0, rank - s.length)).fill(1), ...s]
  const sa = pad(a.shape)
  const sb = pad(b.shape)
  const dims: Dim[] = []
  let strideA = 1
  let strideB = 1
  for (let i = rank - 1; i >= 0; i--) {
    const size = out.shape[i]!
    if (
      (sa[i] !== size && sa[i] !== 1) ||
      (sb[i] !== size && sb[i] !== 1) ||
      sa.length > rank ||
      sb.length > rank ||
      size !== Math.max(sa[i]!, sb[i]!)
    ) {
      throw cx.fail('lower/shape', 'shapes do not broadcast', out, {
        expected: `[${a.shape}] with [${b.shape}]`,
        got: `[${out.shape}]`,
      })
    }
    dims.unshift({ size, a: sa[i] === 1 ? 0 : strideA, b: sb[i] === 1 ? 0 : strideB })
    strideA *= sa[i]!
    strideB *= sb[i]!
  }
  return dims
}

/** The same loops, with dimensions that all `steps` run on through as one and those of one element left out. */
export function merge<K extends string, D extends { size: number } & Record<K, number>>(
  dims: readonly D[],
  steps: readonly K[],
): D[] {
  const out: D[] = []
  for (const d of dims) {
    if (d.size === 1) continue
    const p = out[out.length - 1]
    if (p && steps.every((s) => p[s] === d[s] * d.size)) out[out.length - 1] = { ...d, size: p.size * d.size }
    else out.push(d)
  }
  return out
}

/** Where each index of the outer dimensions begins, in elements of each operand. */
export function offsets(outer: readonly Dim[]): { a: number; b: number }[] {
  let list = [{ a: 0, b: 0 }]
  for (const d of outer) {
    list = list.flatMap((o) => Array.from({ length: d.size }, (_, i) => ({ a: o.a + i * d.a, b: o.b + i * d.b })))
  }
  return list
}

/** Bytes from one index to the next along each dimension of a row-major tensor with elements of `width` bytes. */
export function strides(shape: readonly number[], width: number): number[] {
  const out: number[] = []
  let s = width
  for (let i = shape.length - 1; i >= 0; i--) {
    out.unshift(s)
    s *= shape[i]!
  }
  return out
}

/** A shape without its leading ones, as text. */
export const trimmed = (shape: readonly number[]): string =>
  shape
    .slice(
      Math.max(
        0,
        shape.findIndex((d) => d !== 1),
      ),
    )
    .join()
