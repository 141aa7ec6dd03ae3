/** What all heads have in common. */
import type { Candidate } from '../boxes.ts'

/** A network's input, in pixels. */
export interface Size {
  width: number
  height: number
}

export interface Thresholds {
  /** What counts as found when the caller does not say. */
  scoreThreshold: number
  /** Candidates of one class that overlap more than this are one object. */
  iouThreshold: number
}

/** From the outputs' real values to what reaches the score. Candidates are shares of the network's input. */
export type Decoder = (values: readonly ArrayLike<number>[], threshold: number) => Candidate[]
