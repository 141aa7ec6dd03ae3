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

/** Blocks of 16 bytes: small integers, whatever the memory. */
const blocks = (bytes: number): number => Math.ceil(bytes / ALIGNMENT)

/**
 * Who is alive at the same time as whom, as one list: buffer i's neighbours are entries start[i] to start[i + 1]. Neighbour
 * k lies at `other[k]`; i may lie at or under its offset - below[k], or at or over its offset + above[k]. In blocks.
 */
interface Neighbours { start: Int32Array; other: Int32Array; below: Int32Array; above: Int32Array }

function neighbours(requests: readonly Request[], overlays: readonly Overlay[]): Neighbours {
  const lists: number[][] = requests.map(() => [])
  const byStart = requests.map((_, i) => i).filter(i => requests[i]!.bytes > 0).sort((a, b) => requests[a]!.first - requests[b]!.first)
  let alive: number[] = []
  for (const i of byStart) {
    const { first } = requests[i]!
    alive = alive.filter(j => requests[j]!.last >= first)
    for (const j of alive) {
      lists[i]!.push(j)
      lists[j]!.push(i)
    }
    alive.push(i)
  }
  const start = new Int32Array(requests.length + 1)
  lists.forEach((list, i) => { start[i + 1] = start[i]! + list.length })
  const other = Int32Array.from(lists.flat()), below = new Int32Array(other.length), above = new Int32Array(other.length)
  for (let i = 0; i < requests.length; i++) {
    below.fill(blocks(requests[i]!.bytes), start[i], start[i + 1])
    for (let k = start[i]!; k < start[i + 1]!; k++) above[k] = blocks(requests[other[k]!]!.bytes)
  }
  for (const { from, to, margin } of overlays) {
    const up = lists[from]!.indexOf(to), down = lists[to]!.indexOf(from)
    if (up < 0) continue
    above[start[from]! + up] = Math.min(blocks(margin), blocks(requests[to]!.bytes))
    below[start[to]! + down] = Math.min(blocks(margin), blocks(requests[to]!.bytes))
  }
  return { start, other, below, above }
}

/** Smallest useful offset of each buffer in blocks, so that the results that overlay it find room below. */
function raises(requests: readonly Request[], overlays: readonly Overlay[]): Int32Array {
  const out = new Int32Array(requests.length)
  for (const o of [...overlays].sort((a, b) => requests[b.to]!.first - requests[a.to]!.first)) out[o.from] = Math.max(out[o.from]!, out[o.to]! + blocks(o.margin))
  return out
}

class Placer {
  private readonly near: Neighbours
  private readonly sizes: Int32Array
  /** In blocks; -1: not placed. */
  readonly offsets: Int32Array
  constructor(requests: readonly Request[], overlays: readonly Overlay[]) {
    this.near = neighbours(requests, overlays)
    this.sizes = Int32Array.from(requests, r => blocks(r.bytes))
    this.offsets = new Int32Array(requests.length)
  }

  /** Places in the given order and returns the peak in blocks; gives up (Infinity) once it passes `limit`. */
  place(order: Int32Array, raise: Int32Array, limit: number): number {
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
      if (at + sizes[i]! > peak) peak = at + sizes[i]!
      if (peak > limit) return Infinity
    }
    return peak
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

const SEARCH_ROUNDS = 400

/**
 * Offsets for all requests, 16-byte aligned, and the peak. `bound`: stop searching once the peak is no larger (what the
 * caller knows to be the optimum).
 */
export function planArena(requests: readonly Request[], overlays: readonly Overlay[] = [], bound = 0): Placement {
  const index = requests.map((_, i) => i).filter(i => requests[i]!.bytes > 0)
  const size = (i: number): number => requests[i]!.bytes
  const life = (i: number): number => requests[i]!.last - requests[i]!.first
  const sorted = (compare: (a: number, b: number) => number): Int32Array => Int32Array.from([...index].sort(compare))
  const orders = [
    sorted((a, b) => size(b) - size(a)),
    sorted((a, b) => size(b) * (life(b) + 1) - size(a) * (life(a) + 1)),
    sorted((a, b) => requests[a]!.first - requests[b]!.first || size(b) - size(a)),
    sorted((a, b) => requests[b]!.last - requests[a]!.last || size(b) - size(a)),
    sorted((a, b) => life(b) - life(a) || size(b) - size(a))
  ]
  const placer = new Placer(requests, overlays), limit = blocks(bound)
  const flat = new Int32Array(requests.length)
  const lifts = overlays.length ? [flat, raises(requests, overlays)] : [flat]
  const best: Best = { peak: Infinity, order: orders[0]!, lift: flat, offsets: [] }
  for (const lift of lifts) for (const order of orders) if (best.peak > limit) attempt(placer, best, order, lift, Infinity)
  search(placer, best, limit)
  return { offsets: best.offsets, peak: Number.isFinite(best.peak) ? best.peak * ALIGNMENT : 0 }
}

interface Best { peak: number; order: Int32Array; lift: Int32Array; offsets: number[] }

/** Places; keeps what is better. Whether it is no worse. */
function attempt(placer: Placer, best: Best, order: Int32Array, lift: Int32Array, limit: number): boolean {
  const peak = placer.place(order, lift, limit)
  if (peak === Infinity || (peak >= best.peak && best.offsets.length)) return peak === best.peak
  best.peak = peak
  best.order = order.slice()
  best.lift = lift.slice()
  best.offsets = Array.from(placer.offsets, o => Math.max(0, o) * ALIGNMENT)
  return true
}

/** Moves one buffer at a time to another place in the order; keeps what is not worse. */
function search(placer: Placer, best: Best, limit: number): void {
  let seed = 1
  const random = (k: number): number => {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0
    return Math.floor(seed / 4294967296 * k)
  }
  const n = best.order.length
  let current = best.order.slice(), next = new Int32Array(n)
  const lift = new Int32Array(best.lift.length)
  for (let round = 0; round < SEARCH_ROUNDS && best.peak > limit && n > 2; round++) {
    const from = random(n), to = random(n), moved = current[from]!
    next.set(current)
    if (from < to) next.copyWithin(from, from + 1, to + 1)
    else next.copyWithin(to + 1, to, from)
    next[to] = moved
    lift.set(best.lift)
    if (random(4) === 0) for (let i = 0; i < lift.length; i++) if (!random(3)) lift[i] = 0
    if (attempt(placer, best, next, lift, best.peak)) [current, next] = [next, current]
  }
}
