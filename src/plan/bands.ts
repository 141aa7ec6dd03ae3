/**
 * Depth-first execution: consecutive row-streaming steps whose intermediate tensors nobody else reads are joined to a
 * band group and run a few rows at a time, so that the tensors between them are never whole: they become ring buffers
 * of the rows that the next step still needs.
 */
import type { Step, Value } from '../lower/program.ts'

/** A top-level entry of the program: one step, or a group run in bands. */
export interface Unit { prologue: Step[]; steps: Step[]; bandRows: number }

/** Whether `b` continues the stream that `a` writes and nobody else reads it. */
function continues(a: Step, b: Step, readers: Map<unknown, number>): boolean {
  const between = a.stream?.to
  return between !== undefined && b.stream?.from === between && !between.alias && readers.get(between.buffer) === 1 && a.rows.rows === b.rows.inRows
}

/** Row need of each step of a group when the last one has computed `target` rows. */
function needs(steps: readonly Step[], target: number): number[] {
  const out = new Array<number>(steps.length)
  let need = target
  for (let k = steps.length - 1; k >= 0; k--) {
    out[k] = need
    const r = steps[k]!.rows
    need = Math.min((need - 1) * r.strideH - r.padTop + r.windowH, r.inRows)
  }
  return out
}

/** Rows each intermediate ring must hold, found by walking the executor's own schedule. */
export function ringRows(steps: readonly Step[], bandRows: number): number[] {
  const rows = steps[steps.length - 1]!.rows.rows
  const done = new Array<number>(steps.length).fill(0)
  const ring = new Array<number>(steps.length - 1).fill(1)
  for (let target = 0; target < rows;) {
    target = Math.min(target + bandRows, rows)
    const need = needs(steps, target)
    for (let k = 0; k < steps.length; k++) {
      if (k > 0 && need[k]! > done[k]!) {
        const r = steps[k]!.rows
        const oldest = Math.max(0, Math.min(done[k]! * r.strideH - r.padTop, r.inRows))
        ring[k - 1] = Math.max(ring[k - 1]!, Math.max(done[k - 1]!, need[k - 1]!) - oldest)
      }
      done[k] = Math.max(done[k]!, need[k]!)
    }
  }
  return ring
}

function setRings(unit: Unit): void {
  if (unit.steps.length < 2) return
  ringRows(unit.steps, unit.bandRows).forEach((rows, k) => {
    const value = unit.steps[k]!.stream!.to
    value.ring = Math.min(rows, value.h)
  })
}

/** Bytes of the values between a group's steps when they are whole. */
const wholeBytes = (steps: readonly Step[]): number => steps.slice(0, -1).reduce((a, s) => a + s.stream!.to.h * s.stream!.to.rowStride, 0)

/** Constant bytes that each band reads again. */
const weightBytes = (steps: readonly Step[]): number => steps.reduce((a, s) => a + s.reads.reduce((b, r) => b + (r.data ? r.bytes : 0), 0), 0)

/** Rows of the last step per band: enough pixels to fill the GEMM's tiles, few enough to stay in the first caches. */
function bandRows(steps: readonly Step[], plan: 'speed' | 'size'): number {
  const last = steps[steps.length - 1]!
  const width = last.stream!.to.w || 1
  const pixels = plan === 'size' ? 4 : 56
  return Math.max(1, Math.min(last.rows.rows, Math.ceil(pixels / width)))
}

export interface BandOptions {
  plan: 'speed' | 'size'
  /** Smallest intermediate tensor, in bytes, worth banding. */
  threshold: number
}

/** Splits the steps into units. Every step keeps its place in the order. */
export function makeUnits(steps: readonly Step[], options: BandOptions): Unit[] {
  const readers = new Map<unknown, number>()
  for (const s of steps) for (const b of new Set(s.reads)) readers.set(b, (readers.get(b) ?? 0) + 1)
  const units: Unit[] = []
  for (let i = 0; i < steps.length;) {
    let end = i + 1
    while (end < steps.length && continues(steps[end - 1]!, steps[end]!, readers) && joins(steps.slice(i, end), steps[end]!, options)) end++
    const group = steps.slice(i, end)
    const unit: Unit = { prologue: group.flatMap(s => s.prologue ?? []), steps: group, bandRows: group.length > 1 ? bandRows(group, options.plan) : group[0]!.rows.rows }
    setRings(unit)
    units.push(unit)
    i = end
  }
  return units
}

/** Whether the next step is better run inside the group: its input must be large against the weights re-read per band. */
function joins(group: readonly Step[], next: Step, options: BandOptions): boolean {
  const between: Value = next.stream!.from
  const bytes = between.h * between.rowStride
  if (bytes < options.threshold) return false
  const joined = [...group, next]
  // A band re-reads the group's weights: not worth it where they outweigh the tensors saved.
  if (options.plan === 'speed' && weightBytes(joined) * 2 > wholeBytes(joined) * 4) return false
  return true
}
