/** Boxes, their overlap, and non-maximum suppression. */
import { checkValue, numbersIn, type Rule } from '../options/options.ts'

/** Pixels from the image's upper left corner; fractions are meant. */
export interface Box {
  x: number
  y: number
  width: number
  height: number
}

/** A point that a network proposes: shares of its input. */
export interface CandidatePoint {
  x: number
  y: number
  /** Missing where the network gives points no score of their own. */
  score?: number
}

/** A box that a detector proposes: shares of the network's input, unclipped, with its best class. */
export interface Candidate {
  left: number
  top: number
  right: number
  bottom: number
  score: number
  index: number
  /** Key points that come with the box. */
  points?: CandidatePoint[]
  /** What the mask prototypes are multiplied by. */
  coefficients?: ArrayLike<number>
  /** How far the box is turned around its centre: radians, clockwise, of the network's input. */
  angle?: number
}

export type Corners = Pick<Candidate, 'left' | 'top' | 'right' | 'bottom'>

export const cornersOf = ({ x, y, width, height }: Box): Corners => ({
  left: x,
  top: y,
  right: x + width,
  bottom: y + height,
})

/** Corners of a box given by its centre. */
export const around = (x: number, y: number, width: number, height: number): Corners => ({
  left: x - width / 2,
  top: y - height / 2,
  right: x + width / 2,
  bottom: y + height / 2,
})

/**
 * Shared area over joint area, 0 to 1; 0 when either box is empty.
 * Errors: `usage/option`.
 *
 * @example
 * import { intersectionOverUnion } from 'thimble/vision'
 * const [a, b] = [
 *   { left: 0, top: 0, right: 2, bottom: 1 },
 *   { left: 1, top: 0, right: 3, bottom: 1 },
 * ]
 * console.log(intersectionOverUnion(a, b)) // 1 / 3
 */
export function intersectionOverUnion(a: Corners, b: Corners): number {
  checkValue('intersectionOverUnion: a', a, CORNERS)
  checkValue('intersectionOverUnion: b', b, CORNERS)
  return overlap(a, b)
}

const CORNERS = numbersIn('left', 'top', 'right', 'bottom')
const CANDIDATE = numbersIn('left', 'top', 'right', 'bottom', 'score', 'index')
const CANDIDATES: Rule = {
  expected: `a list, each ${CANDIDATE.expected}`,
  accepts: (v) => Array.isArray(v) && v.every(CANDIDATE.accepts),
}
const notNaN: Rule = { expected: 'a number', accepts: (v) => typeof v === 'number' && !Number.isNaN(v) }

/** What sides are longer by where a box holds the pixels that both its corners lie in: one, in the corners' unit. */
export interface Pixel {
  width: number
  height: number
}
const NO_PIXEL: Pixel = { width: 0, height: 0 }

/** `intersectionOverUnion` of what are corners; with a `pixel`, both corners' pixels belong to the box. */
export function overlap(a: Corners, b: Corners, pixel = NO_PIXEL): number {
  const areaA = (a.right - a.left + pixel.width) * (a.bottom - a.top + pixel.height)
  const areaB = (b.right - b.left + pixel.width) * (b.bottom - b.top + pixel.height)
  if (!(areaA > 0 && areaB > 0)) return 0
  const width = Math.min(a.right, b.right) - Math.max(a.left, b.left) + pixel.width
  const height = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) + pixel.height
  if (!(width > 0 && height > 0)) return 0
  return (width * height) / (areaA + areaB - width * height)
}

/**
 * Candidates beyond this many are dropped, the worst first, so that a low threshold can't take minutes (Ultralytics'
 * limit).
 */
const MAX_CANDIDATES = 30_000

/** Best score first, equal scores in the given order. */
export const bestFirst = <C extends Candidate>(candidates: readonly C[]): C[] =>
  candidates
    .map((c, i) => [c, i] as const)
    .sort((a, b) => b[0].score - a[0].score || a[1] - b[1])
    .slice(0, MAX_CANDIDATES)
    .map(([c]) => c)

/**
 * Greedy non-maximum suppression: best score first (equal scores in the given order), a candidate is kept unless it
 * overlaps a kept one of its class by more than `iouThreshold`. At most `count` are kept. Returns them best first.
 * Errors: `usage/option`.
 *
 * @example
 * import { nonMaxSuppression } from 'thimble/vision'
 * const box = { left: 0.1, top: 0.1, right: 0.5, bottom: 0.5, index: 0 }
 * const kept = nonMaxSuppression([{ ...box, score: 0.9 }, { ...box, right: 0.51, score: 0.6 }], 0.5, 10)
 * console.log(kept.length) // 1
 */
export function nonMaxSuppression<C extends Candidate>(
  candidates: readonly C[],
  iouThreshold: number,
  count = Infinity,
): C[] {
  checkValue('nonMaxSuppression: candidates', candidates, CANDIDATES)
  checkValue('nonMaxSuppression: iouThreshold', iouThreshold, notNaN)
  checkValue('nonMaxSuppression: count', count, notNaN)
  return suppressed(candidates, { iouThreshold, count })
}

/** `nonMaxSuppression` of what are candidates; `pixel` is `overlap`'s. */
export function suppressed<C extends Candidate>(
  candidates: readonly C[],
  { iouThreshold, count, pixel }: { iouThreshold: number; count: number; pixel?: Pixel },
): C[] {
  const kept: C[] = []
  for (const c of bestFirst(candidates)) {
    if (kept.length >= count) break
    if (kept.every((k) => k.index !== c.index || overlap(k, c, pixel) <= iouThreshold)) kept.push(c)
  }
  return kept
}

/** Mean of corners and points, weighted by score. */
function weightedMean(group: readonly Candidate[], best: Candidate): Candidate {
  const total = group.reduce((sum, c) => sum + c.score, 0)
  const mean = (of: (c: Candidate) => number): number => group.reduce((sum, c) => sum + of(c) * c.score, 0) / total
  return {
    ...best,
    left: mean((c) => c.left),
    top: mean((c) => c.top),
    right: mean((c) => c.right),
    bottom: mean((c) => c.bottom),
    ...(best.points && {
      points: best.points.map((p, i) => ({
        ...p,
        x: mean((c) => c.points![i]!.x),
        y: mean((c) => c.points![i]!.y),
      })),
    }),
  }
}

/**
 * MediaPipe's weighted suppression: the best candidate and all that overlap it by more than `iouThreshold` become one,
 * their mean weighted by score, with the best one's score. Source: non_max_suppression_calculator.cc, WEIGHTED.
 */
export function weightedSuppression(
  candidates: readonly Candidate[],
  iouThreshold: number,
  count = Infinity,
): Candidate[] {
  let left = bestFirst(candidates)
  const kept: Candidate[] = []
  while (left.length > 0 && kept.length < count) {
    const best = left[0]!
    const group = left.filter((c) => overlap(c, best) > iouThreshold)
    kept.push(group.length > 0 ? weightedMean(group, best) : best)
    const rest = left.filter((c) => !(overlap(c, best) > iouThreshold))
    // A best candidate without area overlaps nothing, not even itself.
    left = rest.length < left.length ? rest : rest.slice(1)
  }
  return kept
}
