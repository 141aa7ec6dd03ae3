/**
 * Plans that a `.thimble` file carries, so that loading it asks no planner: where the steps are cut into units and where each
 * buffer lies. Everything else follows from the graph. A plan is taken only when it fits the lowered graph in every
 * respect: the cuts are legal, and no two buffers that live at the same time overlap, but for a result that keeps its
 * distance from the input it overwrites. One that does not (another version may lower differently) is as good as none.
 */
import type { Graph } from '../graph.ts'
import { lower, type Lowered } from '../lower/index.ts'
import type { Buffer, Step } from '../lower/program.ts'
import { ThimbleError } from '../errors.ts'
import type { Kernels, Variant } from '../types.ts'
import { ALIGNMENT } from './arena.ts'
import { arrange, buffersOf, type Arrangement } from './arrange.ts'
import { unitOf, wholeValues, type Unit } from './bands.ts'
import { joinsNext } from './liveness.ts'
import { overlayable, overlayMargin } from './schedule.ts'

/** All numbers are integers, not negative. */
export interface StoredPlan {
  /** Variants with their kernel sets, e.g. `simd x86`. */
  for: readonly string[]
  /** Steps in each unit, and rows in each of its bands: two numbers a unit. */
  units: readonly number[]
  /** Where each arena buffer lies, in blocks of 16 bytes, in the order in which lowering makes them. */
  offsets: readonly number[]
}

/** Most blocks of an arena: what 32 bits of bytes address. */
const MOST = 2 ** 28

/** The units, with their rings set; undefined when the steps can't be cut so. */
function unitsOf(steps: readonly Step[], numbers: readonly number[]): Unit[] | undefined {
  wholeValues(steps)
  const joins = joinsNext(steps), units: Unit[] = []
  let first = 0
  for (let i = 0; i < numbers.length; i += 2) {
    const last = first + numbers[i]! - 1, bandRows = numbers[i + 1]!
    if (last < first || last >= steps.length) return undefined
    const rows = steps[last]!.rows.rows
    if (first === last ? bandRows !== rows : !(bandRows >= 1 && bandRows < rows)) return undefined
    for (let k = first; k < last; k++) if (!joins[k]) return undefined
    units.push(unitOf(steps, { first, last, bandRows, bytes: 0 }, 1))
    first = last + 1
  }
  return first === steps.length ? units : undefined
}

/** Whether `to`, which overlaps `from` in memory, is written by a unit that has read away what it overwrites. */
function mayOverlay(units: readonly Unit[], from: Buffer, to: Buffer, distance: number): boolean {
  const unit = units[to.first]
  if (!unit || from.last !== to.first || from.first >= to.first) return false
  const last = unit.steps[unit.steps.length - 1]!
  if (last.stream?.to.buffer !== to) return false
  return [unit.steps[0]!.stream?.from, last.side].some(v => v?.buffer === from && overlayable(unit.steps, v) && overlayMargin(unit.steps, unit.bandRows, v) <= distance)
}

/** Whether no buffer is overwritten while it is needed. */
function isSound(units: readonly Unit[], live: readonly Buffer[], offsets: readonly number[]): boolean {
  const order = live.map((_, i) => i).filter(i => live[i]!.bytes > 0).sort((a, b) => live[a]!.first - live[b]!.first)
  let alive: number[] = []
  for (const i of order) {
    const b = live[i]!, at = offsets[i]!
    alive = alive.filter(j => Math.max(live[j]!.last, live[j]!.first) >= b.first)
    for (const j of alive) {
      const a = live[j]!, other = offsets[j]!
      if (at + b.bytes <= other || other + a.bytes <= at) continue
      if (!mayOverlay(units, a, b, other - at) && !mayOverlay(units, b, a, at - other)) return false
    }
    alive.push(i)
  }
  return true
}

/** A stored plan as the planner's result; undefined when it does not fit. */
export function arrangeStored(lowered: Lowered, plan: StoredPlan): Arrangement | undefined {
  const units = unitsOf(lowered.steps, plan.units)
  if (!units) return undefined
  const { scratch, live } = buffersOf(lowered, units)
  if (plan.offsets.length !== live.length || plan.offsets.some(o => o > MOST)) return undefined
  const offsets = plan.offsets.map(o => o * ALIGNMENT)
  if (!isSound(units, live, offsets)) return undefined
  const peak = live.reduce((a, b, i) => Math.max(a, offsets[i]! + Math.ceil(b.bytes / ALIGNMENT) * ALIGNMENT), 0)
  return { units, scratch, live, placement: { offsets, peak } }
}

/** What each variant may be asked to run; opt-in `avx2` kernels are planned for when they are. */
const TARGETS: readonly (readonly [Variant, Kernels])[] = [['simd', 'x86'], ['simd', 'generic'], ['simd', 'arm'], ['relaxed', 'arm-dot'], ['scalar', 'generic']]

/** The graph with the planner's result for every kernel set; unchanged when Thimble can't run it. The same for the same graph. */
export function withPlans(graph: Graph): Graph {
  const plans = new Map<string, StoredPlan>()
  for (const [variant, kernels] of TARGETS) {
    let lowered: Lowered
    try {
      lowered = lower(graph, variant, kernels)
    } catch (error) {
      if (error instanceof ThimbleError) return graph
      throw error
    }
    if (lowered.unsupported.length) return graph
    const { units, placement } = arrange(lowered, { plan: 'speed' })
    const made = { units: units.flatMap(u => [u.steps.length, u.bandRows]), offsets: placement.offsets.map(o => o / ALIGNMENT) }
    const key = JSON.stringify(made)
    plans.set(key, { for: [...plans.get(key)?.for ?? [], `${variant} ${kernels}`], ...made })
  }
  return { ...graph, plans: [...plans.values()] }
}
