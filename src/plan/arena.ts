/**
 * Arena planner: lifetimes to offsets. Greedy: one buffer after another at the lowest offset where it is in nobody's
 * way. The first one that ends up too high goes to the front of the order, and all are placed again, until the peak is
 * the smallest possible or nothing is gained. Deterministic.
 * Source: the greedy strategy of TFLite Micro's memory planner with overlays added; "squeaky wheel" optimization (Joslin
 * and Clements, 1999) for the order.
 */
export interface Request {
  bytes: number
  /** First and last step that needs the buffer, inclusive. */
  first: number
  last: number
}

/**
 * `to` is written while `from` is read for the last time, in step with it: they may overlap when `to` begins at least
 * `margin` bytes before `from`. Indices into the requests.
 */
export interface Overlay { from: number; to: number; margin: number }

export interface Placement { offsets: number[]; peak: number }

export const ALIGNMENT = 16

/** Blocks of 16 bytes: small integers, whatever the memory. */
const blocks = (bytes: number): number => Math.ceil(bytes / ALIGNMENT)

/**
 * Who is alive at the same time as whom, as one list: buffer i's neighbours are entries start[i] to start[i + 1]. Neighbour
 * k lies at `other[k]`; i may lie at or under its offset - below[k], or at or over its offset + above[k]. In blocks.
 */
interface Neighbours { start: Int32Array; other: Int32Array; below: Int32Array; above: Int32Array }

/** Pairs of buffers that live at the same time, one after the other. `byFirst`: the buffers by their first step. */
function pairsAlive(requests: readonly Request[], byFirst: Int32Array): number[] {
  const pairs: number[] = [], alive = new Int32Array(byFirst.length)
  let count = 0
  for (const i of byFirst) {
    const { first } = requests[i]!
    let kept = 0
    for (let k = 0; k < count; k++) {
      const j = alive[k]!
      if (requests[j]!.last < first) continue
      alive[kept++] = j
      pairs.push(i, j)
    }
    alive[kept] = i
    count = kept + 1
  }
  return pairs
}

function neighbours(requests: readonly Request[], sizes: Int32Array, byFirst: Int32Array, overlays: readonly Overlay[]): Neighbours {
  const pairs = pairsAlive(requests, byFirst), n = requests.length
  const start = new Int32Array(n + 1), next = new Int32Array(n)
  const other = new Int32Array(pairs.length), below = new Int32Array(pairs.length), above = new Int32Array(pairs.length)
  for (const i of pairs) start[i + 1]!++
  for (let i = 0; i < n; i++) {
    next[i] = start[i]!
    start[i + 1]! += start[i]!
  }
  for (let k = 0; k < pairs.length; k++) {
    const i = pairs[k]!, j = pairs[k ^ 1]!, at = next[i]!++
    other[at] = j
    below[at] = sizes[i]!
    above[at] = sizes[j]!
  }
  for (const { from, to, margin } of overlays) {
    const up = other.subarray(start[from], start[from + 1]).indexOf(to), down = other.subarray(start[to], start[to + 1]).indexOf(from)
    if (up < 0) continue
    above[start[from]! + up] = below[start[to]! + down] = Math.min(blocks(margin), sizes[to]!)
  }
  return { start, other, below, above }
}

/** Smallest useful offset of each buffer in blocks, so that the results that overlay it find room below. */
function raises(requests: readonly Request[], overlays: readonly Overlay[]): Int32Array {
  const out = new Int32Array(requests.length)
  for (const o of [...overlays].sort((a, b) => requests[b.to]!.first - requests[a.to]!.first)) out[o.from] = Math.max(out[o.from]!, out[o.to]! + blocks(o.margin))
  return out
}

/** One placement after another of the same buffers. All numbers are blocks. */
class Placer {
  private readonly near: Neighbours
  private readonly sizes: Int32Array
  /** -1: not placed. */
  readonly offsets: Int32Array
  peak = 0
  /** Index into the order of the first buffer that reaches the peak. */
  highest = 0

  constructor(near: Neighbours, sizes: Int32Array) {
    this.near = near
    this.sizes = sizes
    this.offsets = new Int32Array(sizes.length)
  }

  /** Places in the given order, no buffer lower than its `raise`, until one ends above `limit`: whether all are placed. */
  place(order: Int32Array, raise: Int32Array, limit: number): boolean {
    const { offsets, sizes } = this, { start, other, below, above } = this.near
    offsets.fill(-1)
    let peak = 0
    for (let n = 0; n < order.length; n++) {
      const i = order[n]!, from = start[i]!, to = start[i + 1]!
      let at = raise[i]!
      // Move up past every placed neighbour that is in the way, until none is.
      for (let moved = true; moved;) {
        moved = false
        for (let k = from; k < to; k++) {
          const o = offsets[other[k]!]!
          if (o >= 0 && at > o - below[k]! && at < o + above[k]!) {
            at = o + above[k]!
            moved = true
          }
        }
      }
      offsets[i] = at
      if (at + sizes[i]! > peak) {
        peak = at + sizes[i]!
        this.highest = n
        if (peak > limit) return false
      }
    }
    this.peak = peak
    return true
  }
}

/** Largest sum of bytes alive at one step, overlays ignored: no placement without overlays can be smaller. */
export function liveMaximum(requests: readonly Request[]): number {
  let most = 0
  for (const s of new Set(requests.map(r => r.first))) {
    most = Math.max(most, requests.reduce((a, r) => r.first <= s && s <= r.last ? a + blocks(r.bytes) * ALIGNMENT : a, 0))
  }
  return most
}

/** Orders that are tried with each set of raises. */
const ROUNDS = 30

/**
 * Offsets for all requests, 16-byte aligned, and the peak. `bound`: stop searching once the peak is no larger (what the
 * caller knows to be the optimum).
 */
export function planArena(requests: readonly Request[], overlays: readonly Overlay[] = [], bound = 0): Placement {
  const sizes = Int32Array.from(requests, r => blocks(r.bytes)), used: number[] = []
  for (let i = 0; i < sizes.length; i++) if (sizes[i]! > 0) used.push(i)
  const byFirst = Int32Array.from(used).sort((a, b) => requests[a]!.first - requests[b]!.first)
  const byLast = Int32Array.from(used).sort((a, b) => requests[b]!.last - requests[a]!.last || sizes[b]! - sizes[a]!)
  const placer = new Placer(neighbours(requests, sizes, byFirst, overlays), sizes), limit = blocks(bound)
  let peak = Infinity, best = placer.offsets
  for (const lift of overlays.length ? [raises(requests, overlays), new Int32Array(sizes.length)] : [new Int32Array(sizes.length)]) {
    const order = byLast.slice()
    for (let round = 0; round < ROUNDS && peak > limit; round++) {
      if (placer.place(order, lift, peak - 1)) {
        peak = placer.peak
        best = placer.offsets.slice()
      }
      const at = placer.highest, squeaky = order[at]!
      if (at === 0) break
      order.copyWithin(1, 0, at)
      order[0] = squeaky
    }
  }
  return { offsets: Array.from(best, o => Math.max(0, o) * ALIGNMENT), peak: used.length ? peak * ALIGNMENT : 0 }
}
