/** Elements of a tensor by their coordinates, row-major. */
import { elements } from './graph.ts'

/** Where the element for some coordinates lies. */
export type Place = (at: readonly number[]) => number

/** Strides in elements. */
export function stridesOf(shape: readonly number[]): number[] {
  const out = new Array<number>(shape.length).fill(1)
  for (let d = shape.length - 2; d >= 0; d--) out[d] = out[d + 1]! * shape[d + 1]!
  return out
}

/** Calls `visit` with the coordinates of every element, in order; the list is reused. */
export function eachElement(shape: readonly number[], visit: (at: readonly number[], flat: number) => void): void {
  const at = new Array<number>(shape.length).fill(0)
  const n = elements(shape)
  for (let flat = 0; flat < n; flat++) {
    visit(at, flat)
    for (let d = shape.length - 1; d >= 0 && ++at[d]! === shape[d]!; d--) at[d] = 0
  }
}

/** Where coordinates of `rank` dimensions lie in a shape that broadcasts to them. */
export function placeIn(shape: readonly number[], rank: number): Place {
  const strides = stridesOf(shape)
  const first = rank - shape.length
  return (at) => strides.reduce((sum, s, d) => sum + (shape[d] === 1 ? 0 : at[first + d]! * s), 0)
}
