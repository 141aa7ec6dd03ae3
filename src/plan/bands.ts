/**
 * Depth-first execution: consecutive row-streaming steps whose intermediate tensors nobody else reads may run as a band
 * group, a few rows at a time; the tensors between them are then never whole, only rings of the rows still needed.
 *
 *      whole:    expand ████████ ▶ depthwise ████████ ▶ project ██
 *      banded:   expand ▒▒ ▶ depthwise ▒ ▶ project ██      (▒: ring of a few rows)
 *
 * Which steps to join and how many rows to take is chosen from numbers: bytes live at every step against an estimate of
 * the time that joining costs (weights read again by every band, short rows in four-pixel tiles, calls) or saves (tensors
 * that no longer leave the cache). `candidates.ts` has the numbers, here the best cut is chosen.
 */
import type { Buffer, Step, Value } from '../lower/program.ts'
import { Candidates, type Candidate } from './candidates.ts'
import { ringRows } from './schedule.ts'

/** A top-level entry of the program: one step, or a group run in bands of `bandRows` rows of its last step. */
export interface Unit {
  prologue: Step[]
  steps: Step[]
  bandRows: number
  /** Arena bytes alive while it runs, as counted when the unit was chosen. */
  bytes: number
  /** The unit's input may give its memory to the unit's output, see arena.ts. */
  overlay?: { from: Buffer; to: Buffer; margin: number }
}

export interface BandOptions {
  /** `size`: the smallest arena. `speed`: the smallest one that costs at most `tolerance` of the estimated time. */
  plan: 'speed' | 'size'
  inputs: readonly Buffer[]
  outputs: readonly Buffer[]
  /** Threads that split a unit's rows. */
  threads: number
}

/** Share of the estimated run time that the speed plan may give for memory. */
const SPEED_TOLERANCE = 0.03

/** Cheapest way to cut the steps into units whose bytes all stay within `budget`; undefined when there is none. */
function cut(all: readonly Candidate[][], budget: number): { ns: number; units: Candidate[] } | undefined {
  const n = all.length
  const ns = new Float64Array(n + 1).fill(Infinity)
  const pick = new Array<Candidate>(n)
  ns[n] = 0
  for (let i = n - 1; i >= 0; i--) {
    for (const c of all[i]!) {
      const total = c.ns + ns[c.last + 1]!
      if (c.bytes <= budget && total < ns[i]!) {
        ns[i] = total
        pick[i] = c
      }
    }
  }
  if (ns[0] === Infinity) return undefined
  const units: Candidate[] = []
  for (let i = 0; i < n; i = pick[i]!.last + 1) units.push(pick[i]!)
  return { ns: ns[0]!, units }
}

/** Smallest largest-unit: the bound below which no cut exists. */
function smallestPeak(all: readonly Candidate[][]): number {
  const n = all.length
  const peak = new Float64Array(n + 1).fill(Infinity)
  peak[n] = 0
  for (let i = n - 1; i >= 0; i--) for (const c of all[i]!) peak[i] = Math.min(peak[i]!, Math.max(c.bytes, peak[c.last + 1]!))
  return peak[0]!
}

function choose(all: readonly Candidate[][], plan: 'speed' | 'size', computeNs: number): Candidate[] {
  const smallest = smallestPeak(all)
  if (plan === 'size') return cut(all, smallest)!.units
  const allowed = cut(all, Infinity)!.ns + computeNs * SPEED_TOLERANCE
  const budgets = Float64Array.from(new Set(all.flatMap(list => list.map(c => c.bytes)).filter(b => b >= smallest))).sort()
  let low = 0, high = budgets.length - 1
  while (low < high) {
    const middle = (low + high) >> 1
    if (cut(all, budgets[middle]!)!.ns <= allowed) high = middle
    else low = middle + 1
  }
  return cut(all, budgets[low]!)!.units
}

/** Cuts one list of steps into units, as often as asked. */
export class Bands {
  private readonly steps: readonly Step[]
  private readonly options: BandOptions
  private readonly candidates: Candidates | undefined

  constructor(steps: readonly Step[], options: BandOptions) {
    this.steps = steps
    this.options = options
    for (const s of steps) if (s.stream) s.stream.to.ring = 0
    this.candidates = steps.length ? new Candidates(steps, options) : undefined
  }

  /**
   * The units, with the ring sizes of the values inside groups set. `largestMargin`: overlays with a larger margin, as a
   * share of the buffer, are not counted on: each one pushes its result further down in memory, and a chain of them may
   * find no place.
   */
  units(largestMargin: number): Unit[] {
    for (const s of this.steps) if (s.stream) s.stream.to.ring = 0
    if (!this.candidates) return []
    const chosen = choose(this.candidates.all(largestMargin), this.options.plan, this.candidates.computeNs)
    return chosen.map(c => unitOf(this.steps, c, this.options.threads))
  }
}

/** Steps first..last as a unit; sets the ring sizes of the values inside it. */
export function unitOf(steps: readonly Step[], { first, last, bandRows, bytes, overlay }: Omit<Candidate, 'ns'>, threads: number): Unit {
  const group = steps.slice(first, last + 1)
  if (group.length > 1) ringRows(group, bandRows, threads).forEach((rows, k) => { (group[k]!.stream!.to as Value).ring = rows })
  return { prologue: group.flatMap(s => s.prologue ?? []), steps: group, bandRows, bytes, overlay }
}
