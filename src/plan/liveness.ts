/** Which arena bytes are alive at which step, as the steps stand before any of them are joined. */
import { align } from '../base/words.ts'
import type { Buffer, Step } from '../lower/program.ts'

/** The steps that need a buffer, first to last. `input`: it is there before the first step. */
export interface Span {
  buffer: Buffer
  first: number
  last: number
  bytes: number
  input: boolean
}

const bytesOf = (b: Buffer): number => (b.measure ? b.measure() : b.bytes)

/** Arena buffers and the steps that need them. */
function spansOf(steps: readonly Step[], inputs: readonly Buffer[], outputs: readonly Buffer[]): Map<Buffer, Span> {
  const spans = new Map<Buffer, Span>()
  const touch = (buffers: readonly Buffer[], i: number): void => {
    for (const buffer of buffers) {
      if (buffer.constant) continue
      const span = spans.get(buffer)
      if (span) span.last = i
      else spans.set(buffer, { buffer, first: i, last: i, bytes: bytesOf(buffer), input: false })
    }
  }
  for (let i = 0; i < steps.length; i++) {
    const { reads, writes, prologue } = steps[i]!
    touch(reads, i)
    touch(writes, i)
    if (prologue) for (const p of prologue) touch(p.writes, i)
  }
  for (const buffer of inputs) {
    spans.set(buffer, { buffer, first: 0, last: spans.get(buffer)?.last ?? 0, bytes: bytesOf(buffer), input: true })
  }
  for (const buffer of outputs) {
    spans.set(buffer, {
      buffer,
      first: spans.get(buffer)?.first ?? 0,
      last: steps.length,
      bytes: bytesOf(buffer),
      input: false,
    })
  }
  return spans
}

/** For each step, whether the next one continues the stream that it writes and nobody else reads. */
function joinsNext(steps: readonly Step[]): boolean[] {
  const readers = new Map<Buffer, number>()
  for (const { reads } of steps) {
    for (let k = 0; k < reads.length; k++) {
      const buffer = reads[k]!
      if (!buffer.constant && reads.indexOf(buffer) === k) readers.set(buffer, (readers.get(buffer) ?? 0) + 1)
    }
  }
  const joins: boolean[] = []
  for (let i = 0; i < steps.length; i++) {
    const a = steps[i]!
    const b = steps[i + 1]
    const between = a.stream?.to
    joins.push(
      b !== undefined &&
        between !== undefined &&
        b.stream?.from === between &&
        !between.alias &&
        readers.get(between.buffer) === 1 &&
        a.rows.rows === b.rows.inRows,
    )
  }
  return joins
}

export class Liveness {
  readonly spans: ReadonlyMap<Buffer, Span>
  readonly joins: readonly boolean[]
  /** Bytes of each step's scratch. It does not outlive its step: only the largest of a unit counts. */
  readonly scratch: Float64Array
  /** A lower bound of every cut's largest unit: the largest buffer that is always whole. */
  readonly atLeast: number
  private total = 0
  /** Sums over spans that end before step i, and that begin after it. */
  private readonly ended: Float64Array
  private readonly later: Float64Array

  constructor(steps: readonly Step[], inputs: readonly Buffer[], outputs: readonly Buffer[]) {
    const n = steps.length
    this.spans = spansOf(steps, inputs, outputs)
    this.joins = joinsNext(steps)
    this.scratch = new Float64Array(n)
    this.ended = new Float64Array(n + 1)
    this.later = new Float64Array(n)
    const inner = new Set<Buffer>()
    for (let i = 0; i < n; i++) if (this.joins[i]) inner.add(steps[i]!.stream!.to.buffer)
    this.atLeast = this.sumUp(n, inner)
  }

  /** Fills the sums; returns the largest buffer but for those of `inner`. */
  private sumUp(n: number, inner: ReadonlySet<Buffer>): number {
    const { scratch, ended, later } = this
    let largest = 0
    for (const { buffer, first, last, bytes: exact } of this.spans.values()) {
      const bytes = align(exact, 16)
      if (buffer.transient) {
        for (let i = first; i <= last; i++) scratch[i] = Math.max(scratch[i]!, bytes)
        continue
      }
      this.total += bytes
      if (last < n) ended[last + 1]! += bytes
      if (first > 0) later[first - 1]! += bytes
      if (bytes > largest && !inner.has(buffer)) largest = bytes
    }
    for (let i = 1; i <= n; i++) ended[i]! += ended[i - 1]!
    for (let i = n - 2; i >= 0; i--) later[i]! += later[i + 1]!
    return largest
  }

  /** Bytes that live during any of the steps first..last, scratch apart. */
  live(first: number, last: number): number {
    return this.total - this.ended[first]! - this.later[last]!
  }
}
