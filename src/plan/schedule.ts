/**
 * The row schedule of a band group, as the executor walks it (assembly/exec.ts): which rows each step has computed
 * after each band, and what that asks of the rings and of a result that overlays its input.
 */
import type { Step, Value } from '../lower/program.ts'

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

/** Where the rows of each step of a group end when the last one ends at `end`. */
export function lastRows(steps: readonly Step[], end: number): number[] {
  const out = new Array<number>(steps.length)
  needs(steps, end, out)
  return out
}

/** First output row of a thread's share. */
export const shareStart = (rows: number, thread: number, threads: number): number =>
  Math.round((rows * thread) / threads)

/**
 * Rows that each ring between the steps must hold, from the executor's own schedule, from the first row of every
 * thread's share. Once no step reads above its input any more, row needs grow by the same amount every band until they
 * meet the bottom edge, and then by less: later bands ask for no more rows than the first one of that kind, so the walk
 * ends there.
 */
export function ringRows(steps: readonly Step[], bandRows: number, threads = 1): number[] {
  const last = steps.length - 1
  const rows = steps[last]!.rows.rows
  const ring = new Array<number>(last).fill(1)
  const need = new Array<number>(last + 1).fill(0)
  for (let thread = 0; thread < threads; thread++) {
    const end = shareStart(rows, thread + 1, threads)
    const done = firstRows(steps, shareStart(rows, thread, threads))
    for (let target = done[last]!, steady = false; target < end && !steady;) {
      target = Math.min(target + bandRows, end)
      needs(steps, target, need)
      // Shares that begin further down have their first rows clamped apart: those are walked to their end.
      steady = thread === 0 && target > bandRows
      for (let k = 0; k <= last; k++) {
        const before = done[k]!
        const now = Math.max(need[k]!, before)
        need[k] = now
        if (k > 0) {
          const r = steps[k]!.rows
          const oldest = before * r.strideH - r.padTop
          if (oldest < 0) steady = false
          if (now > before) ring[k - 1] = Math.max(ring[k - 1]!, need[k - 1]! - Math.max(0, Math.min(oldest, r.inRows)))
        }
        done[k] = now
      }
    }
  }
  for (let k = 0; k < last; k++) ring[k] = Math.min(ring[k]!, steps[k]!.stream!.to.h)
  return ring
}

/**
 * Whether a group's result may take the memory of `from`: the first step's input or the last one's side operand, read
 * nowhere else in the group.
 */
export function overlayable(steps: readonly Step[], from: Value): boolean {
  const last = steps.length - 1
  const to = steps[last]!.stream?.to
  if (!to || from.n !== 1 || to.n !== 1) return false
  const streamed = steps[0]!.stream?.from.buffer === from.buffer
  const side = steps[last]!.side?.buffer === from.buffer
  return !steps.some((s, k) => s.reads.includes(from.buffer) && !(k === 0 && streamed) && !(k === last && side))
}

/**
 * How far before `from` the group's result must begin so that no row is overwritten before it was read for the last
 * time. `from` is `overlayable`. `byRows`: a single step computes each row in several goes, and reads its input in
 * each.
 */
export function overlayMargin(steps: readonly Step[], bandRows: number, from: Value, byRows = false): number {
  const first = steps[0]!
  const to = steps[steps.length - 1]!.stream!.to
  const lead = to.frame.left * to.c
  const streamed = first.stream?.from.buffer === from.buffer
  const side = steps[steps.length - 1]!.side?.buffer === from.buffer
  const order = steps.length === 1 && !byRows ? first.stream?.order : undefined
  // Elementwise reading: row y is read element by element just ahead of the writes to row y.
  const margin =
    side || order === 'element' ? Math.max(0, lead, lead + (to.h - 1) * (to.rowStride - from.rowStride)) : 0
  if (!streamed || order === 'element') return margin
  if (order === 'pixel' && !to.frame.left && !to.frame.right && !from.frame.left && !from.frame.right) {
    const n = to.c
    const k = from.c
    const lag = first.stream!.lag ?? 0
    const pixels = to.h * to.w
    return Math.max(margin, 0, n - (1 - lag) * k, pixels * n - (pixels - lag) * k)
  }
  return Math.max(margin, steps.length === 1 ? stepMargin(first, from, to) : groupMargin(steps, bandRows, from, to))
}

/** Rows at the top of `from` that a step no longer reads when it has computed `done`. */
const deadRows = (step: Step, from: Value, done: number): number =>
  Math.max(0, Math.min(done * step.rows.strideH - step.rows.padTop, from.h))

/**
 * The largest distance by which row y of the result ends behind the rows still needed: piecewise linear in y, so it
 * lies next to a bend where it may stop growing: rows begin to be free, or the result has all its rows.
 */
function stepMargin(step: Step, from: Value, to: Value): number {
  const { rows, strideH, padTop } = step.rows
  // Pixels behind the one being written that are still read may lie in earlier rows.
  const behind = Math.ceil(Math.max(0, (step.stream?.lag ?? 0) - 1) / to.w)
  let margin = 0
  for (const bend of [padTop / strideH, rows - 1 - behind]) {
    for (const at of [Math.floor(bend), Math.ceil(bend)]) {
      const y = Math.max(0, Math.min(at, rows - 1))
      margin = Math.max(
        margin,
        Math.min(y + 1 + behind, rows) * to.rowStride - deadRows(step, from, y) * from.rowStride,
      )
    }
  }
  return margin
}

/**
 * The same after whole bands: a convex function between the first band that frees a row and the last one that reads the
 * input.
 */
function groupMargin(steps: readonly Step[], bandRows: number, from: Value, to: Value): number {
  const first = steps[0]!
  const rows = steps[steps.length - 1]!.rows.rows
  const need = new Array<number>(steps.length).fill(0)
  let margin = 0
  let dead = 0
  let whole = false
  const measure = (target: number): void => {
    needs(steps, target, need)
    whole = need[0]! >= first.rows.rows
    dead = whole ? from.h : deadRows(first, from, need[0]!)
    margin = Math.max(margin, target * to.rowStride - dead * from.rowStride)
  }
  let target = 0
  do {
    target = Math.min(target + bandRows, rows)
    measure(target)
  } while (target < rows && dead === 0)
  for (let end = rows; end > target; end = (Math.ceil(end / bandRows) - 1) * bandRows) {
    measure(end)
    if (!whole) break
  }
  return margin
}
