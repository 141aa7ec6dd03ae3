/**
 * Arena planner: lifetimes to offsets. Greedy: one buffer after another at the lowest offset where it is in nobody's
 * way; several orders are tried, then a short seeded local search. Deterministic.
 * Source: the greedy-by-size strategy of TFLite Micro's memory planner, with overlays added.
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

const aligned = (n: number): number => Math.ceil(n / ALIGNMENT) * ALIGNMENT

/** A buffer alive at the same time. `below`: i may lie at or under offset(other) - below; `above`: at or over offset(other) + above. */
interface Neighbour { other: number; below: number; above: number }

function neighbours(requests: readonly Request[], overlays: readonly Overlay[]): Neighbour[][] {
  const margin = new Map(overlays.map(o => [o.from * requests.length + o.to, aligned(o.margin)]))
  return requests.map((a, i) => requests.flatMap((b, j) => {
    if (i === j || a.bytes === 0 || b.bytes === 0 || b.last < a.first || a.last < b.first) return []
    const asFrom = margin.get(i * requests.length + j), asTo = margin.get(j * requests.length + i)
    return [{
      other: j,
      below: asTo !== undefined ? Math.min(asTo, aligned(a.bytes)) : aligned(a.bytes),
      above: asFrom !== undefined ? Math.min(asFrom, aligned(b.bytes)) : aligned(b.bytes)
    }]
  }))
}

/** Smallest useful offset of each buffer, so that the results that overlay it find room below. */
function raises(requests: readonly Request[], overlays: readonly Overlay[]): number[] {
  const out = requests.map(() => 0)
  for (const o of [...overlays].sort((a, b) => requests[b.to]!.first - requests[a.to]!.first)) out[o.from] = Math.max(out[o.from]!, out[o.to]! + aligned(o.margin))
  return out
}

class Placer {
  readonly requests: readonly Request[]
  readonly near: Neighbour[][]
  readonly offsets: Float64Array
  constructor(requests: readonly Request[], overlays: readonly Overlay[]) {
    this.requests = requests
    this.near = neighbours(requests, overlays)
    this.offsets = new Float64Array(requests.length)
  }

  /** Places in the given order; gives up (Infinity) once the peak passes `limit`. */
  place(order: readonly number[], raise: readonly number[], limit: number): number {
    const { offsets, near, requests } = this
    offsets.fill(-1)
    let peak = 0
    for (const i of order) {
      let at = raise[i]!
      // Move up past every placed neighbour that is in the way, until none is.
      for (let moved = true; moved;) {
        moved = false
        for (const n of near[i]!) {
          const o = offsets[n.other]!
          if (o >= 0 && at > o - n.below && at < o + n.above) {
            at = o + n.above
            moved = true
          }
        }
      }
      offsets[i] = at
      peak = Math.max(peak, aligned(at + requests[i]!.bytes))
      if (peak > limit) return Infinity
    }
    return peak
  }
}

/** Largest sum of bytes alive at one step, overlays ignored: no placement without overlays can be smaller. */
export function liveMaximum(requests: readonly Request[]): number {
  let most = 0
  for (const s of new Set(requests.map(r => r.first))) {
    most = Math.max(most, requests.reduce((a, r) => r.first <= s && s <= r.last ? a + aligned(r.bytes) : a, 0))
  }
  return most
}

const SEARCH_ROUNDS = 400

/**
 * Offsets for all requests, 16-byte aligned, and the peak. `bound`: stop searching once the peak is no larger (what the
 * caller knows to be the optimum).
 */
export function planArena(requests: readonly Request[], overlays: readonly Overlay[] = [], bound = 0): Placement {
  const index = requests.map((_, i) => i).filter(i => requests[i]!.bytes > 0)
  const size = (i: number): number => requests[i]!.bytes
  const life = (i: number): number => requests[i]!.last - requests[i]!.first
  const orders = [
    [...index].sort((a, b) => size(b) - size(a)),
    [...index].sort((a, b) => size(b) * (life(b) + 1) - size(a) * (life(a) + 1)),
    [...index].sort((a, b) => requests[a]!.first - requests[b]!.first || size(b) - size(a)),
    [...index].sort((a, b) => requests[b]!.last - requests[a]!.last || size(b) - size(a)),
    [...index].sort((a, b) => life(b) - life(a) || size(b) - size(a))
  ]
  const placer = new Placer(requests, overlays)
  const flat = requests.map(() => 0)
  const lifts = overlays.length ? [flat, raises(requests, overlays)] : [flat]
  let best = Infinity, bestOrder = orders[0]!, bestLift = flat, offsets: number[] = []
  const attempt = (order: number[], lift: number[], limit: number): boolean => {
    const peak = placer.place(order, lift, limit)
    if (peak === Infinity || (peak >= best && offsets.length)) return peak === best
    best = peak
    bestOrder = order
    bestLift = lift
    offsets = [...placer.offsets].map(o => Math.max(0, o))
    return true
  }
  for (const lift of lifts) for (const order of orders) attempt(order, lift, Infinity)
  search(index.length, bound, () => best, () => bestOrder, () => bestLift, attempt)
  return { offsets, peak: Number.isFinite(best) ? best : 0 }
}

/** Moves one buffer at a time to another place in the order; keeps what is not worse. */
function search(n: number, bound: number, best: () => number, order: () => number[], lift: () => number[], attempt: (order: number[], lift: number[], limit: number) => boolean): void {
  let seed = 1
  const random = (k: number): number => {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0
    return Math.floor(seed / 4294967296 * k)
  }
  let current = order()
  for (let round = 0; round < SEARCH_ROUNDS && best() > bound && n > 2; round++) {
    const next = [...current]
    const [moved] = next.splice(random(n), 1)
    next.splice(random(n), 0, moved!)
    const useLift = random(4) === 0 ? lift().map(v => random(3) ? v : 0) : lift()
    if (attempt(next, useLift, best())) current = next
  }
}
