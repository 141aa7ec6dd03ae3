/**
 * Arena planner: lifetimes to offsets. Greedy: one buffer after another at the lowest offset where it is in nobody's
 * way. The first one that ends up too high goes to the front of the order, and all are placed again, until the peak is
 * the smallest possible or nothing is gained. Deterministic.
 * Source: the greedy strategy of TFLite Micro's memory planner with overlays added; "squeaky wheel" optimization
 * (Joslin and Clements, 1999) for the order.
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
export interface Overlay {
  from: number
  to: number
  margin: number
}

export interface Placement {
  offsets: number[]
  peak: number
}

export const ALIGNMENT = 16

/** Blocks of 16 bytes: small integers, whatever the memory. */
const blocks = (bytes: number): number => Math.ceil(bytes / ALIGNMENT)

/**
 * Who is alive at the same time as whom, as one list: buffer i's neighbours are entries start[i] to start[i + 1].
 * Neighbour k lies at `other[k]`; i may lie at or under its offset - below[k], or at or over its offset + above[k]. In
 * blocks.
 */
interface Neighbours {
  start: Int32Array
  other: Int32Array
  below: Int32Array
  above: Int32Array
}

/** Numbers in the list of pairs beyond which buffers are placed one after the other instead. */
const MOST_PAIRS = 4e6

/**
 * Pairs of buffers that live at the same time, one after the other; undefined: too many. `byFirst`: the buffers by
 * their first step.
 */
function pairsAlive(requests: readonly Request[], byFirst: Int32Array): number[] | undefined {
  const pairs: number[] = []
  const alive = new Int32Array(byFirst.length)
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
    if (pairs.length > MOST_PAIRS) return undefined
    alive[kept] = i
    count = kept + 1
  }
  return pairs
}

function neighbours(pairs: readonly number[], sizes: Int32Array, overlays: readonly Overlay[]): Neighbours {
  const n = sizes.length
  const start = new Int32Array(n + 1)
  const next = new Int32Array(n)
  const other = new Int32Array(pairs.length)
  const below = new Int32Array(pairs.length)
  const above = new Int32Array(pairs.length)
  for (const i of pairs) start[i + 1]!++
  for (let i = 0; i < n; i++) {
    next[i] = start[i]!
    start[i + 1]! += start[i]!
  }
  for (let k = 0; k < pairs.length; k++) {
    const i = pairs[k]!
    const j = pairs[k ^ 1]!
    const at = next[i]!++
    other[at] = j
    below[at] = sizes[i]!
    above[at] = sizes[j]!
  }
  for (const { from, to, margin } of overlays) {
    const up = other.subarray(start[from], start[from + 1]).indexOf(to)
    if (up < 0) continue
    const shared = Math.min(blocks(margin), sizes[to]!)
    above[start[from]! + up] = shared
    below[other.indexOf(from, start[to])] = shared
  }
  return { start, other, below, above }
}

/** Smallest useful offset of each buffer in blocks, so that the results that overlay it find room below. */
function raises(requests: readonly Request[], overlays: readonly Overlay[]): Int32Array {
  const out = new Int32Array(requests.length)
  for (const o of [...overlays].sort((a, b) => requests[b.to]!.first - requests[a.to]!.first)) {
    out[o.from] = Math.max(out[o.from]!, out[o.to]! + blocks(o.margin))
  }
  return out
}

/** Places the same buffers again and again, in orders that change by one buffer. All numbers are blocks. */
class Placer {
  private readonly near: Neighbours
  private readonly sizes: Int32Array
  private readonly order: Int32Array
  /** No buffer lies lower than this. */
  private readonly raise: Int32Array
  /** -1: not placed. */
  readonly offsets: Int32Array
  peak = 0
  /**
   * Of the last placement: its offsets, how many it placed, and where in the order the first buffer was that reached
   * the peak.
   */
  private readonly before: Int32Array
  private placed = 0
  private highest = 0
  /** Buffers with a neighbour that lies elsewhere than in the last placement. */
  private readonly disturbed: Uint8Array

  constructor(near: Neighbours, sizes: Int32Array, order: Int32Array, raise: Int32Array) {
    this.near = near
    this.sizes = sizes
    this.order = order.slice()
    this.raise = raise
    this.offsets = new Int32Array(sizes.length)
    this.before = new Int32Array(sizes.length)
    this.disturbed = new Uint8Array(sizes.length)
  }

  /** Places one buffer after another until one ends above `limit`: whether all are placed. */
  place(limit: number): boolean {
    const { order, offsets, before, disturbed, sizes, placed } = this
    before.set(offsets)
    offsets.fill(-1)
    disturbed.fill(0)
    let peak = 0
    for (let n = 0; n < order.length; n++) {
      const i = order[n]!
      if (n === 0 || n >= placed || disturbed[i]) this.drop(i, n < placed)
      else offsets[i] = before[i]!
      const top = offsets[i]! + sizes[i]!
      if (top <= peak) continue
      peak = top
      this.highest = n
      this.placed = n + 1
      if (peak > limit) return false
    }
    this.placed = order.length
    this.peak = peak
    return true
  }

  /** Gives buffer i the lowest offset that its placed neighbours leave it. */
  private drop(i: number, again: boolean): void {
    const { offsets, disturbed } = this
    const { start, other, below, above } = this.near
    const from = start[i]!
    const to = start[i + 1]!
    let at = this.raise[i]!
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
    if (again && i !== this.order[0] && at === this.before[i]) return
    for (const near of other.subarray(from, to)) disturbed[near] = 1
  }

  /** The first buffer that reached the peak goes to the front of the order; false: it is there. */
  promote(): boolean {
    const at = this.highest
    const buffer = this.order[at]!
    this.order.copyWithin(1, 0, at)
    this.order[0] = buffer
    return at > 0
  }
}

/** Largest sum of bytes alive at one step, overlays ignored: no placement without overlays can be smaller. */
export function liveMaximum(requests: readonly Request[]): number {
  let most = 0
  for (const s of new Set(requests.map((r) => r.first))) {
    most = Math.max(
      most,
      requests.reduce((a, r) => (r.first <= s && s <= r.last ? a + blocks(r.bytes) * ALIGNMENT : a), 0),
    )
  }
  return most
}

/**
 * Each buffer at its first step into the lowest gap that is large enough, without overlays: for models with thousands
 * of buffers alive at the same time. `byFirst`, `byLast`: the buffers by their first and (from the end) last steps.
 */
function placeInTurn(
  requests: readonly Request[],
  sizes: Int32Array,
  byFirst: Int32Array,
  byLast: Int32Array,
): { offsets: Int32Array; peak: number } {
  const offsets = new Int32Array(sizes.length)
  const gaps: { at: number; size: number }[] = []
  let peak = 0
  let ended = byLast.length - 1
  for (const i of byFirst) {
    for (; ended >= 0 && requests[byLast[ended]!]!.last < requests[i]!.first; ended--) {
      const k = byLast[ended]!
      free(gaps, offsets[k]!, sizes[k]!)
    }
    const gap = gaps.findIndex((g) => g.size >= sizes[i]!)
    if (gap < 0) {
      // A gap below the end grows.
      const end = gaps.at(-1)
      const grows = end !== undefined && end.at + end.size === peak
      offsets[i] = grows ? end.at : peak
      if (grows) gaps.pop()
      peak = offsets[i] + sizes[i]!
      continue
    }
    const { at, size } = gaps[gap]!
    offsets[i] = at
    if (size === sizes[i]) gaps.splice(gap, 1)
    else gaps[gap] = { at: at + sizes[i]!, size: size - sizes[i]! }
  }
  return { offsets, peak }
}

/** A new gap, one with its neighbours. `gaps` are in order. */
function free(gaps: { at: number; size: number }[], at: number, size: number): void {
  let low = 0
  for (let high = gaps.length; low < high;) {
    const middle = (low + high) >> 1
    if (gaps[middle]!.at < at) low = middle + 1
    else high = middle
  }
  const before = gaps[low - 1]
  const after = gaps[low]
  const joins = after !== undefined && at + size === after.at
  if (before && before.at + before.size === at) {
    gaps[low - 1] = { at: before.at, size: before.size + size + (joins ? after.size : 0) }
    if (joins) gaps.splice(low, 1)
  } else if (joins) gaps[low] = { at, size: size + after.size }
  else gaps.splice(low, 0, { at, size })
}

/** Orders that are tried with each set of raises. */
const ROUNDS = 30

/**
 * Offsets for all requests, 16-byte aligned, and the peak. `bound`: stop searching once the peak is no larger (what the
 * caller knows to be the optimum).
 */
export function planArena(requests: readonly Request[], overlays: readonly Overlay[] = [], bound = 0): Placement {
  const sizes = new Int32Array(requests.length)
  const used: number[] = []
  for (let i = 0; i < sizes.length; i++) {
    sizes[i] = blocks(requests[i]!.bytes)
    if (sizes[i]! > 0) used.push(i)
  }
  const byFirst = Int32Array.from(used).sort((a, b) => requests[a]!.first - requests[b]!.first)
  const byLast = Int32Array.from(used).sort((a, b) => requests[b]!.last - requests[a]!.last || sizes[b]! - sizes[a]!)
  const pairs = pairsAlive(requests, byFirst)
  if (!pairs) {
    const turn = placeInTurn(requests, sizes, byFirst, byLast)
    return { offsets: Array.from(turn.offsets, (o) => o * ALIGNMENT), peak: turn.peak * ALIGNMENT }
  }
  const near = neighbours(pairs, sizes, overlays)
  const limit = blocks(bound)
  let peak = Infinity
  let best = new Int32Array(sizes.length)
  for (const raise of overlays.length
    ? [raises(requests, overlays), new Int32Array(sizes.length)]
    : [new Int32Array(sizes.length)]) {
    const placer = new Placer(near, sizes, byLast, raise)
    for (let round = 0; round < ROUNDS && peak > limit; round++) {
      if (placer.place(peak - 1)) {
        peak = placer.peak
        best = placer.offsets.slice()
      }
      if (!placer.promote()) break
    }
  }
  return { offsets: Array.from(best, (o) => Math.max(0, o) * ALIGNMENT), peak: used.length ? peak * ALIGNMENT : 0 }
}
