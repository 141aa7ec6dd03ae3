/**
 * Arena planner: lifetimes to offsets. Greedy by size: the largest buffer first, each at the lowest offset where it
 * overlaps no already placed buffer that lives at the same time; several orders are tried and the best one kept.
 * Source: the strategy of TFLite Micro's greedy memory planner.
 */
export interface Request {
  bytes: number
  /** First and last step that needs the buffer, inclusive. */
  first: number
  last: number
}

export interface Placement { offsets: number[]; peak: number }

export const ALIGNMENT = 16

const aligned = (n: number): number => Math.ceil(n / ALIGNMENT) * ALIGNMENT

function place(requests: readonly Request[], order: number[]): Placement {
  const offsets = new Array<number>(requests.length).fill(0)
  const placed: number[] = []
  let peak = 0
  for (const i of order) {
    const r = requests[i]!
    if (r.bytes === 0) continue
    // Live neighbours by offset; take the first gap that is wide enough.
    let at = 0
    for (const j of placed) {
      const o = requests[j]!
      if (o.last < r.first || r.last < o.first) continue
      if (offsets[j]! - at >= r.bytes) break
      at = Math.max(at, aligned(offsets[j]! + o.bytes))
    }
    offsets[i] = at
    peak = Math.max(peak, at + r.bytes)
    const k = placed.findIndex(j => offsets[j]! > at)
    placed.splice(k < 0 ? placed.length : k, 0, i)
  }
  return { offsets, peak: aligned(peak) }
}

/** Lower bound: the largest sum of bytes live at one step. */
export function liveMaximum(requests: readonly Request[]): number {
  const steps = new Set(requests.map(r => r.first))
  let most = 0
  for (const s of steps) most = Math.max(most, requests.reduce((a, r) => r.first <= s && s <= r.last ? a + r.bytes : a, 0))
  return most
}

export function planArena(requests: readonly Request[]): Placement {
  const index = requests.map((_, i) => i)
  const size = (i: number): number => requests[i]!.bytes
  const life = (i: number): number => requests[i]!.last - requests[i]!.first
  const orders = [
    [...index].sort((a, b) => size(b) - size(a)),
    [...index].sort((a, b) => size(b) * (life(b) + 1) - size(a) * (life(a) + 1)),
    [...index].sort((a, b) => requests[a]!.first - requests[b]!.first || size(b) - size(a)),
    [...index].sort((a, b) => life(b) - life(a) || size(b) - size(a))
  ]
  let best: Placement | undefined
  for (const order of orders) {
    const p = place(requests, order)
    if (!best || p.peak < best.peak) best = p
  }
  return improve(requests, orders[0]!, best!)
}

/** Moves the buffers that reach the peak to the front of the order, while that helps. */
function improve(requests: readonly Request[], order: number[], best: Placement): Placement {
  const bound = liveMaximum(requests)
  let current = order
  for (let round = 0; round < 32 && best.peak > bound; round++) {
    const p = place(requests, current)
    if (p.peak < best.peak) best = p
    const top = current.filter(i => requests[i]!.bytes > 0 && aligned(p.offsets[i]! + requests[i]!.bytes) === p.peak)
    const rest = current.filter(i => !top.includes(i))
    const next = [...top, ...rest]
    if (next.every((v, i) => v === current[i])) break
    current = next
  }
  return best
}
