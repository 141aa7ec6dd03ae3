/**
 * The units that a program may be cut into, with the arena bytes and the time of each. What does not depend on overlays
 * is worked out once and kept; units that can't be part of a better cut are not looked at.
 */
import type { Buffer, Step } from '../lower/program.ts'
import type { BandOptions, Unit } from './bands.ts'
import { overlayable, overlayMargin, ringRows } from './schedule.ts'

/** Estimated cost model, nanoseconds: only ratios matter, and only to compare plans of one model. */
const NS_PER_MAC = 0.035
const NS_PER_REREAD_BYTE = 0.01
const NS_PER_CALL = 40
/** Bytes of an intermediate tensor past this no longer stay in the second cache: writing and reading them costs. */
const CACHE_BYTES = 262144
const NS_PER_SPILLED_BYTE = 0.05

const LONGEST_GROUP = 8
const BAND_ROWS = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32]

export const align16 = (n: number): number => Math.ceil(n / 16) * 16

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

/** A candidate before it is decided which overlay it counts on. `share`: margin as a share of the overlaid buffer. */
interface Form extends Candidate { overlays: { overlay: NonNullable<Unit['overlay']>; saved: number; share: number }[] }

interface Span { buffer: Buffer; first: number; last: number; bytes: number; input: boolean }

/** Arena buffers and the steps that need them. Scratch does not outlive its step: only the largest of a unit counts. */
function spansOf(steps: readonly Step[], inputs: readonly Buffer[], outputs: readonly Buffer[]): Map<Buffer, Span> {
  const spans = new Map<Buffer, Span>()
  const size = (b: Buffer): number => b.measure ? b.measure() : b.bytes
  const touch = (b: Buffer, i: number): void => {
    if (b.constant) return
    const span = spans.get(b)
    if (span) span.last = i
    else spans.set(b, { buffer: b, first: i, last: i, bytes: size(b), input: false })
  }
  steps.forEach((s, i) => {
    for (const b of s.reads) touch(b, i)
    for (const b of s.writes) touch(b, i)
    if (s.prologue) for (const p of s.prologue) for (const b of p.writes) touch(b, i)
  })
  for (const b of inputs) spans.set(b, { buffer: b, first: 0, last: spans.get(b)?.last ?? 0, bytes: size(b), input: true })
  for (const b of outputs) spans.set(b, { buffer: b, first: spans.get(b)?.first ?? 0, last: steps.length, bytes: size(b), input: false })
  return spans
}

/** For each step, whether the next one continues the stream that it writes and nobody else reads. */
export function joinsNext(steps: readonly Step[]): boolean[] {
  const readers = new Map<Buffer, number>()
  for (const s of steps) for (const b of new Set(s.reads)) readers.set(b, (readers.get(b) ?? 0) + 1)
  return steps.map((a, i) => {
    const b = steps[i + 1], between = a.stream?.to
    return b !== undefined && between !== undefined && b.stream?.from === between && !between.alias && readers.get(between.buffer) === 1 && a.rows.rows === b.rows.inRows
  })
}

export class Candidates {
  readonly steps: readonly Step[]
  readonly computeNs: number
  private readonly threads: number
  private readonly spans: Map<Buffer, Span>
  private readonly joins: boolean[]
  /** Sums over spans that end before step i, and that begin after it. */
  private readonly ended: Float64Array
  private readonly later: Float64Array
  private total = 0
  private readonly scratch: Float64Array
  private readonly weightBytes: number[]
  /** A lower bound of every cut's largest unit: the largest buffer that is always whole. */
  private readonly atLeast: number
  private readonly known = new Map<number, Form[]>()

  constructor(steps: readonly Step[], { inputs, outputs, threads }: Pick<BandOptions, 'inputs' | 'outputs' | 'threads'>) {
    this.steps = steps
    this.threads = threads
    this.computeNs = steps.reduce((a, s) => a + (s.macs ?? 0) * NS_PER_MAC + 200, 0)
    this.spans = spansOf(steps, inputs, outputs)
    this.joins = joinsNext(steps)
    this.weightBytes = steps.map(s => s.reads.reduce((a, b) => a + (b.constant ? b.bytes : 0), 0))
    const n = steps.length
    this.ended = new Float64Array(n + 1)
    this.later = new Float64Array(n)
    this.scratch = new Float64Array(n)
    this.atLeast = this.sumUp(n)
  }

  private sumUp(n: number): number {
    const inner = new Set<Buffer>()
    this.steps.forEach((s, i) => { if (this.joins[i]) inner.add(s.stream!.to.buffer) })
    let largest = 0
    for (const { buffer, first, last, bytes: exact } of this.spans.values()) {
      const bytes = align16(exact)
      if (buffer.transient) {
        for (let i = first; i <= last; i++) this.scratch[i] = Math.max(this.scratch[i]!, bytes)
        continue
      }
      this.total += bytes
      if (last < n) this.ended[last + 1]! += bytes
      if (first > 0) this.later[first - 1]! += bytes
      if (!inner.has(buffer)) largest = Math.max(largest, bytes)
    }
    for (let i = 1; i <= n; i++) this.ended[i]! += this.ended[i - 1]!
    for (let i = n - 2; i >= 0; i--) this.later[i]! += this.later[i + 1]!
    return largest
  }

  /**
   * By first step, every unit that may be worth it. Overlays with a margin of more than `largestMargin` of the overlaid
   * buffer are not counted on. A group that saves no time is left out where its steps fit on their own into what any cut needs.
   */
  all(largestMargin: number): Candidate[][] {
    const { steps, joins } = this, n = steps.length
    const single = steps.map((_, i) => this.forms(i, i)[0]!).map(f => settle(f, largestMargin))
    return steps.map((_, first) => {
      const out = [single[first]!]
      let needed = single[first]!.bytes > this.atLeast
      for (let last = first + 1; last < Math.min(first + LONGEST_GROUP, n) && joins[last - 1]; last++) {
        needed ||= single[last]!.bytes > this.atLeast || this.spilled(last - 1) > 0
        if (needed) for (const f of this.forms(first, last)) out.push(settle(f, largestMargin))
      }
      return out
    })
  }

  private forms(first: number, last: number): Form[] {
    const key = first * this.steps.length + last
    let forms = this.known.get(key)
    if (!forms) this.known.set(key, forms = first === last ? [this.single(first)] : this.groups(first, last))
    return forms
  }

  private single(at: number): Form {
    const group = [this.steps[at]!], bandRows = group[0]!.rows.rows
    return { first: at, last: at, bandRows, bytes: this.live(at, at) + this.scratch[at]!, ns: 0, overlays: this.overlays(group, at, at, [bandRows])[0]! }
  }

  private groups(first: number, last: number): Form[] {
    const group = this.steps.slice(first, last + 1), rows = group[group.length - 1]!.rows.rows
    let outside = this.live(first, last), scratch = this.scratch[last]!, saved = 0
    for (let i = first; i < last; i++) {
      outside -= align16(this.spans.get(this.steps[i]!.stream!.to.buffer)!.bytes)
      scratch = Math.max(scratch, this.scratch[i]!)
      saved += this.spilled(i)
    }
    const bands = BAND_ROWS.filter(r => r < rows), overlays = this.overlays(group, first, last, bands)
    return bands.map((bandRows, b) => {
      const rings = ringRows(group, bandRows, this.threads)
      let bytes = outside + scratch
      for (let k = 0; k < rings.length; k++) {
        const value = group[k]!.stream!.to
        bytes += align16(rings[k]! * value.rowStride + value.frame.left * value.c)
      }
      return { first, last, bandRows, bytes, ns: this.bandingNs(first, last, bandRows) - saved, overlays: overlays[b]! }
    })
  }

  /** Arena bytes that live during any of the steps, scratch apart. */
  private live(first: number, last: number): number { return this.total - this.ended[first]! - this.later[last]! }

  /** Time saved when what step i writes stays in the cache. */
  private spilled(i: number): number {
    const { h, rowStride } = this.steps[i]!.stream!.to
    return Math.max(0, h * rowStride - CACHE_BYTES) * NS_PER_SPILLED_BYTE
  }

  /** For each band height, the overlays of the unit's result over an input that dies in it. */
  private overlays(group: readonly Step[], first: number, last: number, bands: readonly number[]): Form['overlays'][] {
    const out = bands.map((): Form['overlays'] => [])
    const end = group[group.length - 1]!, to = end.stream?.to, result = to && this.spans.get(to.buffer)
    if (!result || result.first < first || to.buffer.constant) return out
    for (const from of [group[0]!.stream?.from, end.side]) {
      const span = from && this.spans.get(from.buffer)
      if (!span || span.last > last || span.first >= first + (span.input ? 1 : 0) || from.buffer === to.buffer || !overlayable(group, from)) continue
      bands.forEach((bandRows, b) => {
        const margin = overlayMargin(group, bandRows, from)
        const saved = align16(span.bytes) + align16(result.bytes) - align16(Math.max(result.bytes, margin + span.bytes))
        if (saved > 0) out[b]!.push({ overlay: { from: from.buffer, to: to.buffer, margin }, saved, share: margin / span.bytes })
      })
    }
    return out
  }

  private bandingNs(first: number, last: number, bandRows: number): number {
    const bands = Math.ceil(this.steps[last]!.rows.rows / bandRows)
    let ns = bands * (last - first + 1) * NS_PER_CALL
    for (let i = first; i <= last; i++) {
      const { rows, stream, macs } = this.steps[i]!
      ns += (bands - 1) * this.weightBytes[i]! * NS_PER_REREAD_BYTE
      // Pixels of a band that do not fill the last four-pixel tile.
      const pixels = Math.max(1, Math.round(rows.rows / bands)) * (stream?.to.w ?? 1)
      ns += (macs ?? 0) * NS_PER_MAC * (Math.ceil(pixels / 4) * 4 / pixels - 1)
    }
    return ns
  }
}

/** The candidate with the overlay that saves most. */
function settle(form: Form, largestMargin: number): Candidate {
  let best: Form['overlays'][number] | undefined
  for (const o of form.overlays) if (o.share <= largestMargin && o.saved > (best?.saved ?? 0)) best = o
  return { first: form.first, last: form.last, bandRows: form.bandRows, bytes: form.bytes - (best?.saved ?? 0), ns: form.ns, overlay: best?.overlay }
}
