/**
 * Programs whose constants and records stay outside of memory: what a unit of steps needs of them in memory while it
 * runs, at least and at most. The planner places that as one buffer a unit, its slice, beside the activations
 * (arrange.ts); flash.ts fills it.
 *
 * ```
 *   one step, divided     ▕head│table│record│constants of channels 0..k▏, then the same memory with channels k..2k, …
 *   group, all resident   ▕head│table│group, records│all constants▏ once
 *   group, divided        ▕head│table│group, heads of its members│▒ one part of one member at a time, once a band▒▏
 * ```
 */
import { LAYOUT } from '../generated/layout.ts'
import type { Buffer, Step } from '../lower/program.ts'
import { align } from '../base/words.ts'

/** What of a program stays out of memory. */
export interface Flash {
  bytes: Uint8Array
  /** Slices of it, and the bytes that the largest takes in memory. */
  slices: number
  largest: number
  /** Bytes that one inference brings in. */
  read: number
  /** The units in turn. */
  units: FlashUnit[]
}

/** What is brought in for the ops that run as one unit. */
export interface FlashUnit {
  firstOp: number
  lastOp: number
  slices: number
  /** Bytes that the largest of them takes in memory. */
  largest: number
  /** Bytes that one inference brings in, and how many of them it has had before: once a band. */
  read: number
  again: number
}

export const HEAD_BYTES: number = LAYOUT.Slice.size
/** One { address, bytes }. */
export const RUN_BYTES = 8
const ENTRY_BYTES = 4
const recordBytes = (name: keyof typeof LAYOUT): number => align(LAYOUT[name].size, 4)

/** Constants of a step of at most this many bytes are not divided: the calls would cost more than the memory. */
const WHOLE = 1024

const placed = (bytes: number): number => align(bytes, 16)

/** Constants that a step reads and that no run changes. */
export const constantsOf = (steps: readonly Step[]): Buffer[] => [
  ...new Set(steps.flatMap((s) => s.reads.filter((b) => b.constant && !b.state))),
]

/** Bytes that constants take, each of them aligned. */
export const totalBytes = (buffers: readonly Buffer[]): number => buffers.reduce((a, b) => a + placed(b.bytes), 0)

/** Whether a step may run in parts: bringing them in is then cheap beside computing. */
export const divides = (step: Step): boolean =>
  step.split !== undefined && step.split.blocks > 1 && totalBytes(constantsOf([step])) > WHOLE

/** Bytes of a slice of these records, with constants of so many bytes. */
export function sliceBytes(records: readonly (keyof typeof LAYOUT)[], constantBytes: number, runs = 1): number {
  const tables = records.reduce<number>((a, name) => a + ENTRY_BYTES + recordBytes(name), HEAD_BYTES)
  return constantBytes ? placed(tables + runs * RUN_BYTES) + constantBytes : tables
}

/** Constants of `blocks` blocks of a step that divides, each of its buffers aligned. */
export const partBytes = (step: Step, blocks: number): number =>
  constantsOf([step]).reduce(
    (a, b) => a + placed(step.split!.constants.includes(b) ? (b.bytes / step.split!.blocks) * blocks : b.bytes),
    0,
  )

/** The largest number of blocks of a step that fit into `bytes`; 0: none. */
export function blocksWithin(step: Step, bytes: number): number {
  const { blocks } = step.split!
  let low = 0
  let high = blocks
  while (low < high) {
    const middle = Math.ceil((low + high) / 2)
    if (sliceBytes([step.record], partBytes(step, middle)) <= bytes) low = middle
    else high = middle - 1
  }
  return low
}

/** The smallest part of a step that is worth a call. */
function leastPart(step: Step): number {
  if (!divides(step)) return sliceBytes([step.record], totalBytes(constantsOf([step])))
  const { blocks } = step.split!
  const worth = Math.min(blocks, Math.max(1, Math.ceil((WHOLE * blocks) / partBytes(step, blocks))))
  return sliceBytes([step.record], partBytes(step, worth))
}

/** Bytes that a unit needs of records and constants at a time. */
export interface SliceNeed {
  /** With everything divided that can be. */
  least: number
  /** With everything in memory at once. */
  most: number
}

const prologueOf = (steps: readonly Step[]): Step[] => steps.flatMap((s) => s.prologue ?? [])

/** Records of a unit that lies in memory as a whole. */
export const residentRecords = (prologue: readonly Step[], steps: readonly Step[]): (keyof typeof LAYOUT)[] => [
  ...prologue.map((s) => s.record),
  ...(steps.length > 1 ? (['GroupRecord'] as const) : []),
  ...steps.map((s) => s.record),
]

/** What stays in memory of a unit whose members `parted` do not: their heads, and the others. */
export const headRecords = (
  prologue: readonly Step[],
  steps: readonly Step[],
  parted: ReadonlySet<Step>,
): (keyof typeof LAYOUT)[] => [
  ...prologue.map((s) => s.record),
  'GroupRecord',
  ...steps.map((s) => (parted.has(s) ? 'PartsRecord' : s.record)),
]

/** Members of a group that gain from not being in memory all the time. */
export const partable = (steps: readonly Step[]): Step[] => {
  const size = new Map(steps.map((s) => [s, totalBytes(constantsOf([s]))]))
  return steps.filter((s) => size.get(s)! > WHOLE / 2).sort((a, b) => size.get(b)! - size.get(a)!)
}

/** Bytes of a unit whose members `parted` are brought in by parts, besides the parts. */
export const headBytes = (prologue: readonly Step[], steps: readonly Step[], parted: ReadonlySet<Step>): number =>
  placed(
    sliceBytes(headRecords(prologue, steps, parted), totalBytes(constantsOf(steps.filter((s) => !parted.has(s))))) +
      RUN_BYTES,
  )

/**
 * Of steps that make one unit. `overlaid`: its result lies on its input, so that it has to be finished row by row: then
 * even one step is a group.
 */
export function sliceNeed(steps: readonly Step[], overlaid = false): SliceNeed {
  const prologue = prologueOf(steps)
  const most = sliceBytes(residentRecords(prologue, steps), totalBytes(constantsOf(steps)))
  const [first] = steps
  if (steps.length === 1 && !divides(first!)) return { least: most, most }
  if (steps.length === 1 && !overlaid) {
    const before = prologue.length
      ? sliceBytes(
          prologue.map((s) => s.record),
          0,
        )
      : 0
    return { least: Math.min(most, Math.max(before, leastPart(first!))), most }
  }
  const parted = new Set(partable(steps))
  let parts = 0
  for (const s of parted) parts = Math.max(parts, leastPart(s))
  return { least: Math.min(most, headBytes(prologue, steps, parted) + parts), most }
}
