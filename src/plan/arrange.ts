/** Lowered steps to units with their buffers placed: what of a program is chosen, before it is encoded. */
import { align } from '../base/words.ts'
import type { Lowered } from '../lower/index.ts'
import type { Buffer } from '../lower/program.ts'
import { planArena, type Overlay, type Placement, type Request } from './arena.ts'
import { Bands } from './bands.ts'
import { sliceNeed } from './slices.ts'
import { shareUnits } from './shares.ts'
import type { BandOptions, Unit } from './unit.ts'

export interface Arrangement {
  units: Unit[]
  /** Scratch buffers that are views of another one. */
  scratch: Map<Buffer, Buffer>
  /** The buffers that the placement is of. */
  live: Buffer[]
  placement: Placement
}

function touch(buffers: readonly Buffer[], unit: number): void {
  for (const b of buffers) {
    if (b.first > unit) b.first = unit
    b.last = unit
  }
}

/** Sets the size of each buffer, and the first and last unit that needs it. Ring sizes are set. */
function lifetimes({ buffers, inputs, outputs }: Lowered, units: readonly Unit[]): void {
  for (const b of buffers) {
    if (b.measure) b.bytes = b.measure()
    b.first = Infinity
    b.last = -Infinity
  }
  for (const port of inputs) port.buffer.first = -1
  for (let i = 0; i < units.length; i++) {
    const { prologue, steps } = units[i]!
    for (const list of [prologue, steps]) {
      for (const { reads, writes } of list) {
        touch(reads, i)
        touch(writes, i)
      }
    }
  }
  for (const port of outputs) port.buffer.last = Infinity
}

/**
 * Between two barriers threads are at different units: what any of these needs is there from the first to the last.
 * What each thread has for itself lives as long as it is needed.
 */
function meetings(buffers: readonly Buffer[], units: readonly Unit[]): void {
  const starts = units.map((_, i) => i)
  const ends = units.map((_, i) => i)
  for (let i = 1; i < units.length; i++) if (!units[i]!.meets) starts[i] = starts[i - 1]!
  for (let i = units.length - 2; i >= 0; i--) if (!units[i + 1]!.meets) ends[i] = ends[i + 1]!
  const own = new Set(units.flatMap(({ steps }) => steps.slice(0, -1).map((s) => s.stream!.to.buffer)))
  for (const b of buffers) {
    if (b.transient || own.has(b)) continue
    b.first = starts[b.first] ?? b.first
    b.last = ends[b.last] ?? b.last
  }
}

/** Pairs of buffers whose memory may overlap because one is read away before the other is written. */
function overlaysOf(units: readonly Unit[], live: readonly Buffer[]): Overlay[] {
  const out: Overlay[] = []
  const place = new Map(live.map((b, i) => [b, i]))
  for (let i = 0; i < units.length; i++) {
    const { overlay } = units[i]!
    if (!overlay || overlay.from.last !== i || overlay.to.first !== i) continue
    const from = place.get(overlay.from)
    const to = place.get(overlay.to)
    if (from !== undefined && to !== undefined) out.push({ from, to, margin: overlay.margin })
  }
  return out
}

/** The scratches of one unit become views of its largest one. */
function shareScratch(buffers: readonly Buffer[]): Map<Buffer, Buffer> {
  const owners = new Map<number, Buffer>()
  const shared = new Map<Buffer, Buffer>()
  for (const b of buffers.filter((b) => b.transient && b.first === b.last).sort((a, b) => b.bytes - a.bytes)) {
    const owner = owners.get(b.first)
    if (owner) {
      shared.set(b, owner)
      owner.useful = Math.max(owner.useful!, b.useful!)
    } else owners.set(b.first, b)
  }
  return shared
}

/** Which buffers units need, and when. Ring sizes are set. */
function buffersOf(
  lowered: Lowered,
  units: readonly Unit[],
  sliced: boolean,
): { scratch: Map<Buffer, Buffer>; live: Buffer[]; requests: Request[] } {
  lifetimes(lowered, units)
  if (units[0]?.shares) meetings(lowered.buffers, units)
  const scratch = shareScratch(lowered.buffers)
  const live: Buffer[] = []
  const requests: Request[] = []
  for (const b of lowered.buffers) {
    // Inputs have memory even where nothing reads them: they are there before the first unit.
    if (b.constant || scratch.has(b) || (b.last < b.first && b.first >= 0)) continue
    live.push(b)
    requests.push({ bytes: b.bytes, first: b.first, last: Math.max(b.last, b.first) })
  }
  for (const b of sliced ? sliceBuffers(units) : []) {
    live.push(b)
    requests.push({ bytes: b.bytes, first: b.first, last: b.last })
  }
  return { scratch, live, requests }
}

/** A buffer for the slices of each unit, as small as they may be. */
const sliceBuffers = (units: readonly Unit[]): Buffer[] =>
  units.map((unit, i) => {
    const { least, most } = sliceNeed(unit.steps, unit.overlay !== undefined)
    const ops = [...new Set(unit.steps.map((s) => s.opIndex))]
    unit.slice = {
      name: `weights of op ${ops.length > 1 ? `${ops[0]} to ${ops.at(-1)}` : ops[0]}`,
      bytes: least,
      // Runs of zeros that are left out take eight bytes each.
      useful: most + align(most >> 4, 16),
      address: 0,
      first: i,
      last: i,
    }
    return unit.slice
  })

/**
 * Gives each slice the largest gap that there is while its unit runs, as far as that is of use. `limit`: bytes that the
 * arena may grow to.
 */
function growSlices({ units, live, placement }: Arrangement, limit: number): void {
  const { offsets } = placement
  const place = new Map(live.map((b, i) => [b, i]))
  const ends = Math.max(placement.peak, limit)
  let alive: number[] = []
  const order = live.map((_, i) => i).sort((i, k) => compare(live[i]!, live[k]!))
  let next = 0
  units.forEach(({ slice }, u) => {
    if (!slice) return
    alive = alive.filter((k) => live[k]!.last >= u)
    for (; next < order.length && live[order[next]!]!.first <= u; next++) alive.push(order[next]!)
    const own = place.get(slice)!
    const taken = alive
      .filter((k) => k !== own)
      .map((k) => ({ from: offsets[k]!, to: align(offsets[k]! + (live[k]!.room ?? live[k]!.bytes), 16) }))
    slice.room = slice.bytes
    const gap = largestGap(taken, ends, slice.bytes)
    if (!gap) return
    offsets[own] = gap.at
    slice.room = Math.min(gap.bytes, slice.useful!)
    placement.peak = Math.max(placement.peak, align(gap.at + slice.room, 16))
  })
}

/** Buffers that are looked at for gaps: models with thousands alive at the same time do without. */
const MOST_VISITS = 2e7

/** The largest gap between buffers, as far as it is larger than `least` bytes. */
function largestGap(
  taken: { from: number; to: number }[],
  peak: number,
  least: number,
): { at: number; bytes: number } | undefined {
  let gap: { at: number; bytes: number } | undefined
  let at = 0
  for (const { from, to } of [...taken.sort((x, y) => x.from - y.from), { from: peak, to: peak }]) {
    if (from - at > (gap?.bytes ?? least)) gap = { at, bytes: from - at }
    at = Math.max(at, to)
  }
  return gap
}

/** Gives scratch the largest gap of the arena that there is while it is needed, as far as that is of use. */
function useGaps({ live, scratch, placement: { offsets, peak } }: Arrangement): void {
  for (const b of live) if (b.transient) b.room = b.bytes
  const takes = (b: Buffer): boolean => b.transient === true && b.useful! > b.bytes && b.first === b.last
  // A unit's scratch comes after all else that is alive in it.
  const order = live.map((_, i) => i).sort((i, k) => compare(live[i]!, live[k]!) || +takes(live[i]!) - +takes(live[k]!))
  let alive: number[] = []
  let visits = 0
  for (const i of order) {
    const b = live[i]!
    if (!takes(b)) {
      alive.push(i)
      continue
    }
    if (visits > MOST_VISITS) break
    alive = alive.filter((k) => live[k]!.last >= b.first)
    visits += alive.length
    const taken = alive.map((k) => ({ from: offsets[k]!, to: align(offsets[k]! + live[k]!.bytes, 16) }))
    const gap = largestGap(taken, peak, b.bytes)
    if (!gap) continue
    offsets[i] = gap.at
    b.room = Math.min(gap.bytes, b.useful!)
  }
  for (const [b, owner] of scratch) b.room = owner.room
}

/** By their first unit. */
const compare = (a: Buffer, b: Buffer): number => (a.first < b.first ? -1 : a.first > b.first ? 1 : 0)

/** With less memory for slices than this there are so many that their heads take more than they save. */
const SMALLEST_ARENA = 4096

/** How far an arrangement may be above the bytes that its units need at least before another one is tried. */
const GOOD_ENOUGH = 1.03

/**
 * Chooses bands and places the arena: the units are chosen by counted bytes, so the best of a few real placements wins.
 */
export function arrange(
  lowered: Lowered,
  { plan, threads = 1, slices }: Pick<BandOptions, 'plan' | 'slices'> & { threads?: number },
): Arrangement {
  const sliced = slices !== undefined
  const budget = slices?.budget
  const bands = new Bands(lowered.steps, {
    plan,
    threads,
    slices,
    inputs: lowered.inputs.map((p) => p.buffer),
    outputs: lowered.outputs.map((p) => p.buffer),
  })
  // Threads compute a unit's rows in no fixed order: nothing may be overlaid on what another still reads.
  if (threads > 1) {
    const shared = arrangeWith(lowered, bands, { largestMargin: -1, sliced, threads })
    useGaps(shared)
    return shared
  }
  let best: (Arrangement & { largestMargin: number }) | undefined
  let last: Arrangement | undefined
  for (const largestMargin of [0.5, 0.125, 0.03]) {
    last = arrangeWith(lowered, bands, { largestMargin, sliced, threads })
    if (!best || last.placement.peak < best.placement.peak) best = Object.assign(last, { largestMargin })
    if (last.placement.peak <= (budget ?? GOOD_ENOUGH * Math.max(largest(last.units), 1024))) break
  }
  // Ring sizes live on the values: the best arrangement must be the one that set them last.
  const chosen =
    best === last ? best! : arrangeWith(lowered, bands, { largestMargin: best!.largestMargin, sliced, threads })
  useGaps(chosen)
  if (sliced) growSlices(chosen, budget ?? SMALLEST_ARENA)
  return chosen
}

const largest = (units: readonly Unit[]): number => units.reduce((most, u) => Math.max(most, u.bytes), 0)

interface Arranging {
  largestMargin: number
  sliced: boolean
  threads: number
}

function arrangeWith(lowered: Lowered, bands: Bands, { largestMargin, sliced, threads }: Arranging): Arrangement {
  const units = bands.units(largestMargin)
  if (threads > 1) shareUnits(units, threads)
  const { scratch, live, requests } = buffersOf(lowered, units, sliced)
  return {
    units,
    scratch,
    live,
    placement: planArena(requests, overlaysOf(units, live), largest(units)),
  }
}
