/** The units that a list of steps is cut into, and what is asked of the cut. */
import type { Buffer, Step } from '../lower/program.ts'

/** Blocks [from, to) of a step that divides. */
export type Part = readonly [from: number, to: number]

/** Some of a unit's output rows, [first, rows); all of them, and a part of its channels. */
export interface Share {
  first: number
  rows: number
  part?: Part
}

/** A top-level entry of the program: one step, or a group run in bands of `bandRows` rows of its last step. */
export interface Unit {
  prologue: Step[]
  steps: Step[]
  bandRows: number
  /** Arena bytes alive while it runs, as counted when the unit was chosen. */
  bytes: number
  /** The unit's input may give its memory to the unit's output, see arena.ts. */
  overlay?: { from: Buffer; to: Buffer; margin: number } | undefined
  /** What each thread does of it, see shares.ts; the first one alone does all where there is one share. */
  shares?: readonly Share[]
  /** All threads meet before it. */
  meets?: boolean
  /** Memory for its slices, in programs that have them (slices.ts). */
  slice?: Buffer
}

export interface BandOptions {
  /** `size`: the smallest arena. `speed`: the smallest one that costs at most `tolerance` of the estimated time. */
  plan: 'speed' | 'size'
  inputs: readonly Buffer[]
  outputs: readonly Buffer[]
  /** Threads that split a unit's rows. */
  threads: number
  /** Records and constants are brought into the arena; `budget`: bytes that the arena may have. */
  slices?: { budget?: number | undefined } | undefined
}
