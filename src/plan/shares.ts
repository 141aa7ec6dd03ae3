/**
 * How threads share a program's units. Each thread computes some of a unit's output rows, or of its channels; where all
 * that a thread needs of the units before is its own work, or lies behind the last barrier, it goes on without one.
 *
 *      thread 0   conv rows 0..12 ▶ table rows 0..12 ▶ frame rows 0..12 ┃ conv rows 0..12 …
 *      thread 1   conv rows 12..24 ▶ table rows 12..24 ▶ …              ┃ needs a row of thread 0's
 */
import type { Buffer, RecordName, Step, Value } from '../lower/program.ts'
import { firstRows, lastRows, shareStart } from './schedule.ts'
import type { Share, Unit } from './unit.ts'

/** Record types whose kernels compute any range of output rows. */
const SPLITTABLE = new Set<RecordName>([
  'CopyRecord',
  'LutRecord',
  'ChannelLutRecord',
  'ConvRecord',
  'ConvDirectRecord',
  'WinogradRecord',
  'DepthwiseRecord',
  'BinaryRecord',
  'PoolRecord',
  'ResizeBilinearRecord',
  'GatherRecord',
])

const NS_PER_MAC = 0.035
const NS_PER_BYTE = 0.3
/** What it costs that all threads meet, and to share a unit at all. */
const NS_PER_MEETING = 2400
const NS_PER_SHARING = 100

const bytesOf = (b: Buffer | undefined): number => b?.measure?.() ?? b?.bytes ?? 0

const nsOf = ({ steps }: Unit): number =>
  steps.reduce(
    (ns, s) =>
      ns +
      Math.max(
        (s.macs ?? 0) * (s.effort ?? 1) * NS_PER_MAC,
        (s.stream?.to.bytes ?? bytesOf(s.writes[0])) * NS_PER_BYTE,
      ),
    0,
  )

/** What it costs each thread of a part of the channels to read the whole input. */
const READ_AGAIN = 1.1

/** Output rows that the kernel of a unit's only step computes together. */
const together = ({ steps }: Unit): number => (steps.length === 1 ? (steps[0]!.block?.rows ?? 1) : 1)

const rowsOf = ({ steps }: Unit): number => steps[steps.length - 1]!.rows.rows

const sharesOf = (threads: number, of: (k: number) => Share): Share[] =>
  Array.from({ length: threads }, (_, k) => of(k))

/** Equal shares of a unit's channels; undefined where it does not divide by them. */
function channelShares({ steps }: Unit, threads: number): Share[] | undefined {
  const [step] = steps
  const blocks = step!.split?.blocks
  if (steps.length !== 1 || !blocks || blocks < threads) return undefined
  const start = (k: number): number => shareStart(blocks, k, threads)
  return sharesOf(threads, (k) => ({ first: 0, rows: step!.rows.rows, part: [start(k), start(k + 1)] }))
}

/** Equal shares of its rows. */
function rowShares(unit: Unit, threads: number): Share[] | undefined {
  const rows = rowsOf(unit)
  if (rows < threads || !unit.steps.every((s) => SPLITTABLE.has(s.record))) return undefined
  const tile = together(unit)
  const row = (k: number): number => Math.min(rows, shareStart(Math.ceil(rows / tile), k, threads) * tile)
  return sharesOf(threads, (k) => ({ first: row(k), rows: row(k + 1) }))
}

/** The shares of the rows that make what `of` shares of a unit before: the same part of the image for each thread. */
function sameShares(unit: Unit, before: Shared | undefined): Share[] | undefined {
  if (!before || unit.steps.length !== 1 || !SPLITTABLE.has(unit.steps[0]!.record)) return undefined
  const rows = rowsOf(unit)
  const tile = together(unit)
  const scaled = (row: number): number => (row * rows) / before.rows
  const fits = (row: number): boolean => Number.isInteger(row) && (row % tile === 0 || row === rows)
  const shares = before.shares.map(({ first, rows }) => ({ first: scaled(first), rows: scaled(rows) }))
  return shares.every((s) => fits(s.first) && fits(s.rows)) ? shares : undefined
}

/** A unit that was split by rows. */
interface Shared {
  rows: number
  shares: readonly Share[]
}

/** Bytes [from, to) of a buffer that a thread reads or writes. */
interface Access {
  buffer: Buffer
  from: number
  to: number
  writes: boolean
  thread: number
}

type Bytes = Pick<Access, 'from' | 'to'>

const WHOLE: Bytes = { from: 0, to: Infinity }

/** Rows [first, end) of a value, with or without the padding beside them. */
function bytesOfRows(value: Value, first: number, end: number, padded: boolean): Bytes {
  if (value.n !== 1 || value.ring) return WHOLE
  const left = value.frame.left * value.c
  const from = first * value.rowStride
  return padded
    ? { from, to: end * value.rowStride + left }
    : { from: from + left, to: (end - 1) * value.rowStride + left + value.rowBytes }
}

/** Rows [first, end) of one side of a step that copies runs of bytes. */
function bytesOfRuns(step: Step, { first, rows: end }: Share, side: 'in' | 'out'): Bytes {
  const f = step.fields()
  const [address, buffer] = side === 'in' ? [f.input!, step.reads[0]!] : [f.output!, step.writes[0]!]
  const stride = f[`${side}RowStride`]!
  const at = address - buffer.address
  const [a, b] = [at + first * stride, at + (end - 1) * stride]
  return { from: Math.min(a, b), to: Math.max(a, b) + f.bytes! }
}

/** What one step reads and writes for its rows; its scratch and constants apart. */
function* accessesOf(step: Step, share: Share): Generator<Omit<Access, 'thread'>> {
  const { stream, side, reads, writes, rows, record } = step
  const { first, rows: end, part } = share
  const runs = !stream && (record === 'CopyRecord' || record === 'LutRecord')
  const read = (buffer: Buffer): Bytes => {
    if (part) return WHOLE
    if (runs && buffer === reads[0]) return bytesOfRuns(step, share, 'in')
    if (buffer === stream?.from.buffer && buffer !== side?.buffer) {
      const from = Math.max(0, Math.min(first * rows.strideH - rows.padTop, rows.inRows))
      const to = Math.min((end - 1) * rows.strideH - rows.padTop + rows.windowH, rows.inRows)
      return bytesOfRows(stream.from, from, to, true)
    }
    if (buffer === side?.buffer && buffer !== stream?.from.buffer) return bytesOfRows(side, first, end, true)
    return WHOLE
  }
  const write = (buffer: Buffer): Bytes => {
    if (part) return WHOLE
    if (runs && buffer === writes[0]) return bytesOfRuns(step, share, 'out')
    return buffer === stream?.to.buffer ? bytesOfRows(stream.to, first, end, false) : WHOLE
  }
  for (const b of reads) if (!b.transient && (!b.constant || b.state)) yield { buffer: b, ...read(b), writes: false }
  for (const b of writes) if (!b.transient) yield { buffer: b, ...write(b), writes: true }
}

/**
 * What a unit touches that other threads can see. Its prologue is left out: all threads fill the same bytes with the
 * same values, which nothing else writes.
 */
function* accesses(unit: Unit, shares: readonly Share[]): Generator<Access> {
  const rings = new Set(unit.steps.slice(0, -1).map((s) => s.stream!.to.buffer))
  for (const [thread, share] of shares.entries()) {
    const starts = firstRows(unit.steps, share.first)
    const ends = lastRows(unit.steps, share.rows)
    for (const [k, step] of unit.steps.entries()) {
      for (const a of accessesOf(step, { ...share, first: starts[k]!, rows: ends[k]! })) {
        if (!rings.has(a.buffer)) yield { ...a, thread }
      }
    }
  }
}

/** What was done since the last barrier. */
class Section {
  private readonly done = new Map<Buffer, Access[]>()
  /** Whether a thread but the first took part. */
  shared = false
  /** The last unit split by rows. */
  rows: Shared | undefined

  /** Whether no thread needs what another one still changes, or changes what another one may still need. */
  admits(unit: Unit, shares: readonly Share[]): boolean {
    for (const a of accesses(unit, shares)) {
      for (const b of this.done.get(a.buffer) ?? []) {
        if (a.thread !== b.thread && (a.writes || b.writes) && a.from < b.to && b.from < a.to) return false
      }
    }
    return true
  }

  add(unit: Unit, shares: readonly Share[]): void {
    for (const a of accesses(unit, shares)) {
      const list = this.done.get(a.buffer)
      if (list) list.push(a)
      else this.done.set(a.buffer, [a])
    }
    this.shared ||= shares.length > 1
    if (shares.length > 1 && !shares[0]!.part) this.rows = { rows: rowsOf(unit), shares }
  }
}

/** A way to do a unit: its shares, whether all threads must meet before it, and the time of the largest share. */
interface Way {
  shares: readonly Share[]
  meets: boolean
  ns: number
}

/** Blocks of channels or output rows of the largest share, as a part of all. */
function largestShare(unit: Unit, shares: readonly Share[]): number {
  const all = shares[0]!.part ? unit.steps[0]!.split!.blocks / READ_AGAIN : rowsOf(unit)
  return Math.max(...shares.map(({ first, rows, part }) => (part ? part[1] - part[0] : rows - first))) / all
}

/** Sets each unit's shares, and whether all threads meet before it. Ring sizes are set. */
export function shareUnits(units: readonly Unit[], threads: number): void {
  let section = new Section()
  for (const unit of units) {
    const ns = nsOf(unit)
    const wayOf = (shares: readonly Share[]): Way => {
      const meets = !section.admits(unit, shares)
      const shared = shares.length > 1
      // What is shared has a barrier behind it, if only at the end.
      const meetings = meets || (shared && !section.shared) ? NS_PER_MEETING : 0
      return { shares, meets, ns: ns * largestShare(unit, shares) + meetings + (shared ? NS_PER_SHARING : 0) }
    }
    const rows = rowShares(unit, threads)
    const ways = [
      rows && sameShares(unit, section.rows),
      rows,
      channelShares(unit, threads),
      [{ first: 0, rows: rowsOf(unit) }],
    ]
    const best = ways.flatMap((shares) => (shares ? wayOf(shares) : [])).reduce((a, b) => (b.ns < a.ns ? b : a))
    unit.shares = best.shares
    unit.meets = best.meets
    if (best.meets) section = new Section()
    section.add(unit, best.shares)
  }
}
