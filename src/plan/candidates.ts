/**
 * The units that a program may be cut into, with the arena bytes and the time of each. Steps on their own are worked
 * out at once, groups only as far as they are asked about; those that can't be part of a better cut are left out.
 */
import { align } from '../base/words.ts'
import type { Step, Value } from '../lower/program.ts'
import type { BandOptions, Unit } from './unit.ts'
import { Liveness, type Span } from './liveness.ts'
import { overlayable, overlayMargin, ringRows } from './schedule.ts'
import { divides, sliceNeed } from './slices.ts'

/** Estimated cost model, nanoseconds: only ratios matter, and only to compare plans of one model. */
const NS_PER_MAC = 0.035
const NS_PER_STEP = 200
const NS_PER_REREAD_BYTE = 0.01
const NS_PER_CALL = 40
/** Bytes of an intermediate tensor past this no longer stay in the second cache: writing and reading them costs. */
const CACHE_BYTES = 262144
const NS_PER_SPILLED_BYTE = 0.05

const PIXEL = { rows: 1, columns: 1 }

/** Estimated time of steps that run whole. */
export const estimatedNs = (steps: readonly Step[]): number =>
  steps.reduce((ns, { macs = 0, effort = 1 }) => ns + macs * effort * NS_PER_MAC + NS_PER_STEP, 0)

const LONGEST_GROUP = 8
const BAND_ROWS = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32]

/** Steps first..last run as one unit. */
export interface Candidate {
  first: number
  last: number
  bandRows: number
  /** Arena bytes live while the unit runs. */
  bytes: number
  /** Estimated time against running the steps whole. */
  ns: number
  overlay?: Unit['overlay']
}

/** A value that dies in a unit whose result may take its memory. */
interface Source {
  from: Value
  span: Span
}

/** Steps and what is known of them before they are joined. */
export class Candidates {
  readonly steps: readonly Step[]
  readonly threads: number
  /** Records and constants take arena memory, too. */
  readonly slices: boolean
  readonly live: Liveness
  /** Estimated time of all steps. */
  readonly computeNs: number
  /** Bytes of constants that each step reads. */
  readonly weightBytes: Float64Array

  constructor(
    steps: readonly Step[],
    { inputs, outputs, threads, slices }: Pick<BandOptions, 'inputs' | 'outputs' | 'threads' | 'slices'>,
  ) {
    this.steps = steps
    this.threads = threads
    this.slices = slices !== undefined
    this.live = new Liveness(steps, inputs, outputs)
    this.weightBytes = new Float64Array(steps.length)
    for (let i = 0; i < steps.length; i++) {
      for (const b of steps[i]!.reads) if (b.constant) this.weightBytes[i]! += b.bytes
    }
    this.computeNs = estimatedNs(steps)
  }

  /**
   * Each step on its own. Overlays with a margin of more than `largestMargin` of the overlaid buffer are not counted
   * on.
   */
  singles(largestMargin: number): Candidate[] {
    return this.steps.map((step, i) => {
      const group = [step]
      const bandRows = step.rows.rows
      const bytes = this.live.live(i, i) + this.live.scratch[i]! + this.sliceOf(group)
      return withOverlay(
        { first: i, last: i, bandRows, bytes, ns: 0 },
        {
          group,
          sources: this.sources(group, i, i),
          result: this.result(step),
          largestMargin,
          byRows: this.slices && divides(step),
          cost: this.sliceOf(group, true) - this.sliceOf(group),
        },
      )
    })
  }

  /** Bytes of the slices of steps that make a unit. */
  sliceOf(group: readonly Step[], overlaid = false): number {
    return this.slices ? align(sliceNeed(group, overlaid).least, 16) : 0
  }

  /**
   * By first step, every group that may be worth it: that saves time, or has a step that alone needs more than some
   * whole buffer.
   */
  groups(singles: readonly Candidate[], largestMargin: number): Group[][] {
    const { steps } = this
    const { joins, scratch, spans, atLeast } = this.live
    return singles.map(({ first, bytes }) => {
      const out: Group[] = []
      let needed = bytes > atLeast
      let inner = 0
      let saved = 0
      let largest = scratch[first]!
      for (let last = first + 1; joins[last - 1] && last < first + LONGEST_GROUP; last++) {
        const { to } = steps[last - 1]!.stream!
        inner += align(spans.get(to.buffer)!.bytes, 16)
        saved += spilledNs(to)
        largest = Math.max(largest, scratch[last]!)
        needed ||= saved > 0 || singles[last]!.bytes > atLeast
        if (needed) {
          const whole = this.live.live(first, last) + largest + this.sliceOf(steps.slice(first, last + 1))
          out.push(new Group(this, first, last, { saved, whole, inner, largestMargin }))
        }
      }
      return out
    })
  }

  result(end: Step): Span | undefined {
    return end.stream && this.live.spans.get(end.stream.to.buffer)
  }

  /** The unit's input and its last step's side operand, as far as they may give their memory to its result. */
  sources(group: readonly Step[], first: number, last: number): Source[] {
    const end = group[group.length - 1]!
    const result = this.result(end)
    const out: Source[] = []
    if (!result || result.first < first) return out
    const unit = { group, result, first, last }
    const streamed = this.source(unit, group[0]!.stream?.from)
    const side = this.source(unit, end.side)
    if (streamed) out.push(streamed)
    if (side) out.push(side)
    return out
  }

  private source({ group, result, first, last }: Spanned, from: Value | undefined): Source | undefined {
    const span = from && this.live.spans.get(from.buffer)
    if (
      !span ||
      span === result ||
      span.last > last ||
      span.first >= first + (span.input ? 1 : 0) ||
      !overlayable(group, from)
    ) {
      return undefined
    }
    return { from, span }
  }
}

/** Steps first..last, and where their result lies. */
interface Spanned {
  group: readonly Step[]
  result: Span
  first: number
  last: number
}

/** Time saved when a value stays in the cache. */
const spilledNs = ({ h, rowStride }: Value): number => Math.max(0, h * rowStride - CACHE_BYTES) * NS_PER_SPILLED_BYTE

/** Bytes that two buffers need less when the result begins `margin` bytes before the other. */
const overlaid = (result: Span, from: Span, margin: number): number =>
  align(from.bytes, 16) + align(result.bytes, 16) - align(Math.max(result.bytes, margin + from.bytes), 16)

interface Overlaying {
  group: readonly Step[]
  sources: readonly Source[]
  result: Span | undefined
  largestMargin: number
  /** The step finishes row by row, whatever order its kernel has. */
  byRows?: boolean
  /** Bytes that the unit needs more with an overlay. */
  cost?: number
}

/** The candidate with the overlay that saves most. */
function withOverlay(candidate: Candidate, of: Overlaying): Candidate {
  const { group, sources, result, largestMargin, byRows, cost = 0 } = of
  let most = cost
  for (const { from, span } of sources) {
    const margin = overlayMargin(group, candidate.bandRows, from, byRows)
    const saved = overlaid(result!, span, margin)
    if (saved <= most || margin / span.bytes > largestMargin) continue
    most = saved
    candidate.overlay = { from: from.buffer, to: result!.buffer, margin }
  }
  if (candidate.overlay) candidate.bytes -= most - cost
  return candidate
}

/**
 * `saved`: time that a group saves before bands cost any. `whole`: bytes alive in it without bands, `inner` those of
 * them that rings replace.
 */
interface GroupNumbers {
  saved: number
  whole: number
  inner: number
  largestMargin: number
}

/** Steps first..last in bands of one of several heights, each of which is worked out when it is asked for. */
export class Group {
  readonly first: number
  readonly last: number
  /** No height saves as much time as this. */
  readonly saved: number
  /** How many heights there are, lowest first. */
  readonly heights: number
  private readonly of: Candidates
  private readonly numbers: GroupNumbers
  private readonly steps: readonly Step[]
  private readonly sources: readonly Source[]
  private readonly result: Span | undefined
  /** The most bytes that an overlay may save. */
  private readonly mostOverlaid: number
  private readonly known: (Candidate | undefined)[] = []
  private readonly times: (number | undefined)[] = []
  /** Bytes that each height needs at least, as far as that is known. */
  private readonly floors: (number | undefined)[] = []

  constructor(of: Candidates, first: number, last: number, numbers: GroupNumbers) {
    this.of = of
    this.first = first
    this.last = last
    this.saved = numbers.saved
    this.numbers = numbers
    this.steps = of.steps.slice(first, last + 1)
    this.sources = numbers.largestMargin < 0 ? [] : of.sources(this.steps, first, last)
    this.result = of.result(of.steps[last]!)
    this.mostOverlaid = this.sources.reduce((most, { span }) => Math.max(most, overlaid(this.result!, span, 0)), 0)
    const { rows } = of.steps[last]!.rows
    let heights = 0
    while (heights < BAND_ROWS.length && BAND_ROWS[heights]! < rows) heights++
    this.heights = heights
  }

  /** The group in bands of the k-th height. */
  candidate(k: number): Candidate {
    return (this.known[k] ??= this.work(k))
  }

  private work(k: number): Candidate {
    const bandRows = BAND_ROWS[k]!
    const bytes = this.withRings(bandRows)
    this.floors[k] = bytes - this.mostOverlaid
    return withOverlay(
      { first: this.first, last: this.last, bandRows, bytes, ns: this.ns(k) },
      {
        group: this.steps,
        sources: this.sources,
        result: this.result,
        largestMargin: this.numbers.largestMargin,
      },
    )
  }

  /** Bytes that every height needs at least: rings are smallest in bands of one row. */
  leastBytes(): number {
    return (this.floors[0] ??= this.withRings(BAND_ROWS[0]!) - this.mostOverlaid)
  }

  /**
   * The fastest height that fits into `budget`; -1: none takes, with the `after` ns of what follows, less than `limit`.
   */
  fastest(budget: number, after: number, limit: number): number {
    const allFit = this.numbers.whole <= budget
    let best = -1
    let least = limit
    for (let k = 0; k < this.heights; k++) {
      // Every height is a multiple of the one two before it, and needs no smaller rings.
      if (!allFit && (this.floors[k] ??= k ? this.floors[Math.max(0, k - 2)]! : this.leastBytes()) > budget) continue
      const ns = this.ns(k) + after
      if (ns < least && (allFit || this.candidate(k).bytes <= budget)) {
        least = ns
        best = k
      }
    }
    return best
  }

  /** Estimated time in bands of the k-th height, against running the steps whole. */
  ns(k: number): number {
    return (this.times[k] ??= this.estimate(k))
  }

  private estimate(k: number): number {
    const { steps, weightBytes } = this.of
    const { first, last } = this
    const bands = Math.ceil(steps[last]!.rows.rows / BAND_ROWS[k]!)
    let ns = bands * (last - first + 1) * NS_PER_CALL
    for (let i = first; i <= last; i++) {
      const { rows, stream, macs = 0, block = PIXEL } = steps[i]!
      ns += (bands - 1) * weightBytes[i]! * NS_PER_REREAD_BYTE
      // Pixels of a band that do not fill the last tile, of four blocks of pixels.
      const h = Math.max(1, Math.round(rows.rows / bands))
      const w = stream?.to.w ?? 1
      const blocks = Math.ceil((Math.ceil(h / block.rows) * Math.ceil(w / block.columns)) / 4) * 4
      ns += macs * NS_PER_MAC * ((blocks * block.rows * block.columns) / (h * w) - 1)
    }
    return ns - this.saved
  }

  private withRings(bandRows: number): number {
    const { steps } = this
    const rings = ringRows(steps, bandRows, this.of.threads)
    let bytes = this.numbers.whole - this.numbers.inner
    for (let k = 0; k < rings.length; k++) {
      const { rowStride, frame, c } = steps[k]!.stream!.to
      bytes += align(rings[k]! * rowStride + frame.left * c, 16)
    }
    return bytes
  }
}
