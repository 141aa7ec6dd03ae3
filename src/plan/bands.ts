/**
 * Depth-first execution: consecutive row-streaming steps whose intermediate tensors nobody else reads may run as a band
 * group, a few rows at a time; the tensors between them are then never whole, only rings of the rows still needed.
 *
 *      whole:    expand ████████ ▶ depthwise ████████ ▶ project ██
 *      banded:   expand ▒▒ ▶ depthwise ▒ ▶ project ██      (▒: ring of a few rows)
 *
 * Which steps to join and how many rows to take is chosen from numbers: bytes live at every step against an estimate of
 * the time that joining costs (weights read again by every band, short rows in four-pixel tiles, calls) or saves
 * (tensors that no longer leave the cache). `candidates.ts` has the numbers, here the best cut is chosen.
 */
import type { Step } from '../lower/program.ts'
import { Candidates, type Candidate, type Group } from './candidates.ts'
import { ringRows } from './schedule.ts'
import type { BandOptions, Unit } from './unit.ts'

/** Share of the estimated run time that may be given for memory where speed counts. */
export const SPEED_TOLERANCE = 0.03

/** What to choose from: each step on its own, and groups by their first step. */
interface Choices {
  singles: readonly Candidate[]
  groups: readonly (readonly Group[])[]
}

/**
 * A way to cut the steps into units: for each step, the group that begins there if one is best, and its height. `ns`:
 * least time of step i and all behind it; Infinity where there is no way.
 */
interface Cut {
  ns: Float64Array
  groups: (Group | undefined)[]
  heights: Int32Array
}

/**
 * The fastest cut whose units all stay within `budget` bytes. From step i on, only what takes less than `limits[i]`
 * counts.
 */
function cut({ singles, groups }: Choices, budget: number, limits?: Float64Array): Cut {
  const n = singles.length
  const ns = new Float64Array(n + 1)
  const picks = new Array<Group | undefined>(n)
  const heights = new Int32Array(n)
  for (let i = n - 1; i >= 0; i--) {
    let best = limits ? limits[i]! : Infinity
    ns[i] = Infinity
    if (singles[i]!.bytes <= budget && ns[i + 1]! < best) {
      best = ns[i + 1]!
      ns[i] = best
    }
    for (const group of groups[i]!) {
      const after = ns[group.last + 1]!
      if (after - group.saved >= best) continue
      const k = group.fastest(budget, after, best)
      if (k < 0) continue
      best = group.ns(k) + after
      ns[i] = best
      picks[i] = group
      heights[i] = k
    }
  }
  return { ns, groups: picks, heights }
}

function unitsOf({ singles }: Choices, { groups, heights }: Cut): Candidate[] {
  const units: Candidate[] = []
  for (let i = 0; i < singles.length; i = units[units.length - 1]!.last + 1) {
    units.push(groups[i]?.candidate(heights[i]!) ?? singles[i]!)
  }
  return units
}

/** Bytes that every cut needs at least. `atLeast`: what is known of that beforehand. */
function leastPeak({ singles, groups }: Choices, atLeast: number): number {
  const n = singles.length
  const peak = new Float64Array(n + 1).fill(atLeast)
  for (let i = n - 1; i >= 0; i--) {
    let least = Math.max(singles[i]!.bytes, peak[i + 1]!)
    for (const group of groups[i]!) {
      const after = peak[group.last + 1]!
      if (after < least && least > atLeast) least = Math.min(least, Math.max(group.leastBytes(), after))
    }
    peak[i] = least
  }
  return peak[0]!
}

/**
 * In rising order, from `least` on, all bytes that a unit may need which takes less than `limits` before the fastest
 * cut's `ns`.
 */
function budgets({ singles, groups }: Choices, least: number, ns: Float64Array, limits: Float64Array): Float64Array {
  const all = new Set<number>()
  for (const { bytes } of singles) if (bytes >= least) all.add(bytes)
  for (const group of groups.flat()) {
    for (let k = 0; k < group.heights; k++) {
      if (group.ns(k) + ns[group.last + 1]! < limits[group.first]! && group.candidate(k).bytes >= least) {
        all.add(group.candidate(k).bytes)
      }
    }
  }
  return Float64Array.from(all).sort()
}

/**
 * The cut with the smallest largest unit among those that take at most `spare` ns more than the fastest one. `atLeast`:
 * what every cut is known to need. `budget`: where some cut keeps within it, the fastest one that does.
 */
function choose(choices: Choices, spare: number, atLeast: number, budget = Infinity): Candidate[] {
  const fastest = cut(choices, budget)
  if (budget !== Infinity && fastest.ns[0]! !== Infinity) return unitsOf(choices, fastest)
  const { ns } = budget === Infinity ? fastest : cut(choices, Infinity)
  const least = leastPeak(choices, atLeast)
  // The fastest way to a step may be taken for granted; rounding must not decide what is left out.
  const limits = ns.map((after) => after + spare * (1 + 1e-9))
  const fits = (c: Cut): boolean => c.ns[0]! <= ns[0]! + spare
  const smallest = cut(choices, least, limits)
  if (fits(smallest)) return unitsOf(choices, smallest)
  const all = budgets(choices, least, ns, limits)
  let low = 0
  let high = all.length - 1
  while (low < high) {
    const middle = (low + high) >> 1
    if (fits(cut(choices, all[middle]!, limits))) high = middle
    else low = middle + 1
  }
  return unitsOf(choices, cut(choices, all[low]!, limits))
}

/** Cuts one list of steps into units, as often as asked. */
export class Bands {
  private readonly steps: readonly Step[]
  private readonly options: BandOptions
  private readonly candidates: Candidates

  constructor(steps: readonly Step[], options: BandOptions) {
    this.steps = steps
    this.options = options
    wholeValues(steps)
    this.candidates = new Candidates(steps, options)
  }

  /**
   * The units, with the ring sizes of the values inside groups set. `largestMargin`: overlays with a larger margin, as
   * a share of the buffer, are not counted on: each one pushes its result further down in memory, and a chain of them
   * may find no place.
   */
  units(largestMargin: number): Unit[] {
    wholeValues(this.steps)
    const { candidates, steps } = this
    const singles = candidates.singles(largestMargin)
    const groups = candidates.groups(singles, largestMargin)
    const spare = this.options.plan === 'size' ? Number.MAX_VALUE : candidates.computeNs * SPEED_TOLERANCE
    const chosen = choose({ singles, groups }, spare, candidates.live.atLeast, this.options.slices?.budget)
    return chosen.map((c) => unitOf(steps, c, this.options.threads))
  }
}

/** Forgets what rings values are. */
export function wholeValues(steps: readonly Step[]): void {
  for (const s of steps) if (s.stream) s.stream.to.ring = 0
}

/** Steps first..last as a unit; sets the ring sizes of the values inside it. */
function unitOf(
  steps: readonly Step[],
  { first, last, bandRows, bytes, overlay }: Omit<Candidate, 'ns'>,
  threads: number,
): Unit {
  const group = steps.slice(first, last + 1)
  if (group.length > 1) {
    ringRows(group, bandRows, threads).forEach((rows, k) => {
      group[k]!.stream!.to.ring = rows
    })
  }
  return { prologue: group.flatMap((s) => s.prologue ?? []), steps: group, bandRows, bytes, overlay }
}
