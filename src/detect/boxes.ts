/** Boxes, their overlap, and non-maximum suppression. No dependencies. */

/** Pixels from the image's upper left corner; fractions are meant. */
export interface Box {
  x: number
  y: number
  width: number
  height: number
}

/** A box that a detector proposes: shares of the network's input, unclipped, with its best class. */
export interface Candidate {
  left: number
  top: number
  right: number
  bottom: number
  score: number
  index: number
}

type Corners = Pick<Candidate, 'left' | 'top' | 'right' | 'bottom'>

/** Shared area over joint area, 0 to 1; 0 when either box is empty. */
export function intersectionOverUnion(a: Corners, b: Corners): number {
  const areaA = (a.right - a.left) * (a.bottom - a.top)
  const areaB = (b.right - b.left) * (b.bottom - b.top)
  if (!(areaA > 0 && areaB > 0)) return 0
  const width = Math.min(a.right, b.right) - Math.max(a.left, b.left)
  const height = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top)
  if (!(width > 0 && height > 0)) return 0
  return (width * height) / (areaA + areaB - width * height)
}

/** Candidates beyond this many are dropped, the worst first, so that a low threshold can't take minutes. */
const MAX_CANDIDATES = 2000

/**
 * Greedy non-maximum suppression: best score first (equal scores in the given order), a candidate is kept unless it
 * overlaps a kept one of its class by more than `iouThreshold`. At most `count` are kept. Returns them best first.
 */
export function nonMaxSuppression<C extends Candidate>(
  candidates: readonly C[],
  iouThreshold: number,
  count = Infinity,
): C[] {
  const sorted = candidates
    .map((c, i) => [c, i] as const)
    .sort((a, b) => b[0].score - a[0].score || a[1] - b[1])
    .slice(0, MAX_CANDIDATES)
  const kept: C[] = []
  for (const [c] of sorted) {
    if (kept.length >= count) break
    if (kept.every((k) => k.index !== c.index || intersectionOverUnion(k, c) <= iouThreshold)) kept.push(c)
  }
  return kept
}
