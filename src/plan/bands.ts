/**
 * Depth-first execution: consecutive row-streaming steps whose intermediate tensors nobody else reads may run as a band
 * group, a few rows at a time; the tensors between them are then never whole, only rings of the rows still needed.
 *
 *      whole:    expand ████████ ▶ depthwise ████████ ▶ project ██
 *      banded:   expand ▒▒ ▶ depthwise ▒ ▶ project ██      (▒: ring of a few rows)
 *
 * Which steps to join and how many rows to take is chosen from numbers: bytes live at every step against an estimate of
 * the time that joining costs (weights read again by every band, short rows in four-pixel tiles, calls) or saves (tensors
 * that no longer leave the cache).
 */
import type { Buffer, Step, Value } from '../lower/program.ts'

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
  /**
   * Overlays with a larger margin, as a share of the buffer, are not counted on: each one pushes its result further
   * down in memory, and a chain of them may find no place.
   */
  largestMargin: number
  /** Threads that split a unit's rows. */
  threads: number
}

/** Estimated cost model, nanoseconds: only ratios matter, and only to compare plans of one model. */
const NS_PER_MAC = 0.035
const NS_PER_REREAD_BYTE = 0.01
const NS_PER_CALL = 40
/** Bytes of an intermediate tensor past this no longer stay in the second cache: writing and reading them costs. */
const CACHE_BYTES = 262144
const NS_PER_SPILLED_BYTE = 0.05
/** Share of the estimated run time that the speed plan may give for memory. */
const SPEED_TOLERANCE = 0.03

const LONGEST_GROUP = 8
const BAND_ROWS = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32]

/** Row need of each step of a group when the last one has computed `target` rows. */
function needs(steps: readonly Step[], target: number, out: number[]): void {
  let need = target
  for (let k = steps.length - 1; k >= 0; k--) {
    out[k] = need
    const r = steps[k]!.rows
    need = Math.min((need - 1) * r.strideH - r.padTop + r.windowH, r.inRows)
  }
}

/** First row of each step of a group when the last one starts at `first`. */
export function firstRows(steps: readonly Step[], first: number): number[] {
  const out = new Array<number>(steps.length)
  for (let k = steps.length - 1; k >= 0; k--) {
    out[k] = first
    const r = steps[k]!.rows
    first = Math.max(0, Math.min(first * r.strideH - r.padTop, r.inRows))
  }
  return out
}

/** First output row of a thread's share. */
export const shareStart = (rows: number, thread: number, threads: number): number => Math.round(rows * thread / threads)

/**
 * Rows that each ring between the steps must hold, found by walking the executor's own schedule, from the first row of
 * every thread's share.
 */
export function ringRows(steps: readonly Step[], bandRows: number, threads = 1): number[] {
  const rows = steps[steps.length - 1]!.rows.rows
  const ring = new Array<number>(steps.length - 1).fill(1), need = new Array<number>(steps.length).fill(0)
  for (let thread = 0; thread < threads; thread++) {
    const end = shareStart(rows, thread + 1, threads)
    const done = firstRows(steps, shareStart(rows, thread, threads))
    for (let target = done[steps.length - 1]!; target < end;) {
      target = Math.min(target + bandRows, end)
      needs(steps, target, need)
      for (let k = 0; k < steps.length; k++) need[k] = Math.max(need[k]!, done[k]!)
      for (let k = 1; k < steps.length; k++) {
        if (need[k]! <= done[k]!) continue
        const r = steps[k]!.rows
        const oldest = Math.max(0, Math.min(done[k]! * r.strideH - r.padTop, r.inRows))
        ring[k - 1] = Math.max(ring[k - 1]!, need[k - 1]! - oldest)
      }
      for (let k = 0; k < steps.length; k++) done[k] = need[k]!
    }
  }
  return ring.map((n, k) => Math.min(n, steps[k]!.stream!.to.h))
}

/**
 * How far before `from` the group's result must begin so that no row is overwritten before it was read for the last
 * time; undefined when `from` cannot be overlaid at all. `from` is the first step's input or the last one's side operand.
 */
export function overlayMargin(steps: readonly Step[], bandRows: number, from: Value): number | undefined {
  const first = steps[0]!, last = steps[steps.length - 1]!, to = last.stream?.to
  if (!to || from.n !== 1 || to.n !== 1) return undefined
  const streamed = first.stream?.from.buffer === from.buffer, side = last.side?.buffer === from.buffer
  if (steps.some((s, k) => s.reads.includes(from.buffer) && !(k === 0 && streamed) && !(k === steps.length - 1 && side))) return undefined
  const inStride = from.rowStride, outStride = to.rowStride
  const pixels = to.h * to.w, lead = to.frame.left * to.c
  let margin = 0
  // Elementwise reading: row y is read element by element just ahead of the writes to row y.
  if (side || (steps.length === 1 && first.stream?.order === 'element')) {
    margin = Math.max(0, lead, lead + (to.h - 1) * (outStride - inStride))
  }
  if (!streamed || (steps.length === 1 && first.stream?.order === 'element')) return margin
  if (steps.length === 1 && first.stream?.order === 'pixel' && !to.frame.left && !to.frame.right && !from.frame.left && !from.frame.right) {
    const n = to.c, k = from.c, lag = first.stream.lag ?? 0
    return Math.max(margin, 0, n - (1 - lag) * k, pixels * n - (pixels - lag) * k)
  }
  const r = first.rows, rows = last.rows.rows, need = new Array<number>(steps.length).fill(0)
  const dead = (done: number): number => Math.max(0, Math.min(done * r.strideH - r.padTop, from.h))
  if (steps.length === 1) {
    // Pixels behind the one being written that are still read may lie in earlier rows.
    const behind = Math.ceil(Math.max(0, (first.stream?.lag ?? 0) - 1) / to.w)
    for (let y = 0; y < rows; y++) margin = Math.max(margin, Math.min(y + 1 + behind, rows) * outStride - dead(y) * inStride)
    return margin
  }
  for (let target = 0, done = 0; target < rows;) {
    target = Math.min(target + bandRows, rows)
    needs(steps, target, need)
    done = Math.max(done, need[0]!)
    margin = Math.max(margin, target * outStride - (done >= r.rows ? from.h : dead(done)) * inStride)
  }
  return margin
}

interface Candidate {
  first: number
  last: number
  bandRows: number
  /** Arena bytes live while the unit runs. */
  bytes: number
  /** Estimated time against running the steps whole. */
  ns: number
  overlay?: Unit['overlay']
}

class Chooser {
  readonly steps: readonly Step[]
  readonly readers = new Map<Buffer, number>()
  readonly spans = new Map<Buffer, { buffer: Buffer; first: number; last: number; bytes: number; input: boolean }>()
  readonly live: { buffer: Buffer; first: number; last: number; bytes: number }[]
  readonly computeNs: number

  readonly options: BandOptions

  constructor(steps: readonly Step[], options: BandOptions) {
    this.steps = steps
    this.options = options
    const size = (b: Buffer): number => b.measure ? b.measure() : b.bytes
    steps.forEach((s, i) => {
      for (const b of new Set(s.reads)) this.readers.set(b, (this.readers.get(b) ?? 0) + 1)
      for (const b of [...s.reads, ...s.writes, ...(s.prologue ?? []).flatMap(p => p.writes)]) {
        if (b.constant) continue
        const span = this.spans.get(b) ?? { buffer: b, first: i, last: i, bytes: size(b), input: false }
        span.last = i
        this.spans.set(b, span)
      }
    })
    for (const b of options.inputs) this.spans.set(b, { buffer: b, first: 0, last: this.spans.get(b)?.last ?? 0, bytes: size(b), input: true })
    for (const b of options.outputs) this.spans.set(b, { buffer: b, first: this.spans.get(b)?.first ?? 0, last: steps.length, bytes: size(b), input: false })
    this.live = [...this.spans.values()]
    this.computeNs = steps.reduce((a, s) => a + (s.macs ?? 0) * NS_PER_MAC + 200, 0)
  }

  /** Whether step i + 1 continues the stream that step i writes and nobody else reads. */
  continues(i: number): boolean {
    const a = this.steps[i]!, b = this.steps[i + 1]
    const between = a.stream?.to
    return b !== undefined && between !== undefined && b.stream?.from === between && !between.alias && this.readers.get(between.buffer) === 1 && a.rows.rows === b.rows.inRows
  }

  /** Every unit that may begin at step `first`. */
  candidates(first: number): Candidate[] {
    const out = [this.candidate(first, first, this.steps[first]!.rows.rows)]
    for (let last = first + 1; last < Math.min(first + LONGEST_GROUP, this.steps.length) && this.continues(last - 1); last++) {
      const rows = this.steps[last]!.rows.rows
      for (const r of BAND_ROWS) if (r < rows) out.push(this.candidate(first, last, r))
    }
    return out
  }

  candidate(first: number, last: number, bandRows: number): Candidate {
    const group = this.steps.slice(first, last + 1)
    const inner = new Set<Buffer>()
    let bytes = 0, ns = 0
    if (group.length > 1) {
      const rings = ringRows(group, bandRows, this.options.threads)
      for (let k = 0; k < rings.length; k++) {
        const value = group[k]!.stream!.to
        inner.add(value.buffer)
        bytes += align16(rings[k]! * value.rowStride + value.frame.left * value.c)
        ns -= Math.max(0, value.h * value.rowStride - CACHE_BYTES) * NS_PER_SPILLED_BYTE
      }
      ns += this.bandingNs(group, bandRows)
    }
    let scratch = 0
    for (const l of this.live) {
      if (l.first > last || l.last < first || inner.has(l.buffer)) continue
      if (l.buffer.transient) scratch = Math.max(scratch, l.bytes)
      else bytes += align16(l.bytes)
    }
    const overlay = this.overlay(first, last, bandRows)
    return { first, last, bandRows, bytes: bytes + align16(scratch) - (overlay?.saved ?? 0), ns, overlay: overlay?.overlay }
  }

  /** The best overlay of the unit's result over an input that dies in it. */
  overlay(first: number, last: number, bandRows: number): { overlay: Unit['overlay']; saved: number } | undefined {
    const group = this.steps.slice(first, last + 1)
    const to = group[group.length - 1]!.stream?.to
    const out = to && this.spans.get(to.buffer)
    if (!out || out.first < first || to.buffer.constant) return undefined
    let best: { overlay: Unit['overlay']; saved: number } | undefined
    for (const from of [group[0]!.stream?.from, group[group.length - 1]!.side]) {
      const span = from && this.spans.get(from.buffer)
      if (!span || span.last > last || span.first >= first + (span.input ? 1 : 0) || from.buffer === to.buffer) continue
      const margin = overlayMargin(group, bandRows, from)
      if (margin === undefined || margin > span.bytes * this.options.largestMargin) continue
      const saved = align16(span.bytes) + align16(out.bytes) - align16(Math.max(out.bytes, margin + span.bytes))
      if (saved > 0 && saved > (best?.saved ?? 0)) best = { overlay: { from: from.buffer, to: to.buffer, margin }, saved }
    }
    return best
  }

  bandingNs(group: readonly Step[], bandRows: number): number {
    const lastRows = group[group.length - 1]!.rows.rows
    const bands = Math.ceil(lastRows / bandRows)
    let ns = bands * group.length * NS_PER_CALL
    for (const s of group) {
      const weights = s.reads.reduce((a, b) => a + (b.constant ? b.bytes : 0), 0)
      ns += (bands - 1) * weights * NS_PER_REREAD_BYTE
      // Pixels of a band that do not fill the last four-pixel tile.
      const pixels = Math.max(1, Math.round(s.rows.rows / bands)) * (s.stream?.to.w ?? 1)
      ns += (s.macs ?? 0) * NS_PER_MAC * (Math.ceil(pixels / 4) * 4 / pixels - 1)
    }
    return ns
  }
}

const align16 = (n: number): number => Math.ceil(n / 16) * 16

/** Cheapest way to cut the steps into units whose bytes all stay within `budget`; undefined when there is none. */
function cut(all: readonly Candidate[][], budget: number): { ns: number; units: Candidate[] } | undefined {
  const n = all.length
  const ns = new Array<number>(n + 1).fill(Infinity)
  const pick = new Array<Candidate | undefined>(n)
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
  const peak = new Array<number>(n + 1).fill(Infinity)
  peak[n] = 0
  for (let i = n - 1; i >= 0; i--) for (const c of all[i]!) peak[i] = Math.min(peak[i]!, Math.max(c.bytes, peak[c.last + 1]!))
  return peak[0]!
}

function choose(chooser: Chooser, plan: 'speed' | 'size'): Candidate[] {
  const all = chooser.steps.map((_, i) => chooser.candidates(i))
  const smallest = smallestPeak(all)
  if (plan === 'size') return cut(all, smallest)!.units
  const allowed = cut(all, Infinity)!.ns + chooser.computeNs * SPEED_TOLERANCE
  const budgets = [...new Set(all.flat().map(c => c.bytes))].filter(b => b >= smallest).sort((a, b) => a - b)
  let low = 0, high = budgets.length - 1
  while (low < high) {
    const middle = (low + high) >> 1
    if (cut(all, budgets[middle]!)!.ns <= allowed) high = middle
    else low = middle + 1
  }
  return cut(all, budgets[low]!)!.units
}

/** Splits the steps into units and sets the ring sizes of the values inside groups. */
export function makeUnits(steps: readonly Step[], options: BandOptions): Unit[] {
  for (const s of steps) if (s.stream) s.stream.to.ring = 0
  if (steps.length === 0) return []
  return choose(new Chooser(steps, options), options.plan).map(({ first, last, bandRows, bytes, overlay }) => {
    const group = steps.slice(first, last + 1)
    if (group.length > 1) ringRows(group, bandRows, options.threads).forEach((rows, k) => { (group[k]!.stream!.to as Value).ring = rows })
    return { prologue: group.flatMap(s => s.prologue ?? []), steps: group, bandRows, bytes, overlay }
  })
}
