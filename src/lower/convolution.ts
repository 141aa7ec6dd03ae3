/** What every kernel of a convolution is told. */
import type { Q } from './context.ts'
import type { Value } from './program.ts'
import type { Weights } from './weights.ts'
import type { Window } from './window.ts'

/** `weights` over x into y, as `win` goes over x; `limits` clamp the result, on y's grid. */
export interface Convolution {
  x: Value
  y: Value
  xq: Q
  oq: Q
  limits: [number, number]
  weights: Weights
  win: Window
}
