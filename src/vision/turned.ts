/** Boxes that are turned around their centres: where they lie in the photo, and their suppression. */
import { bestFirst, type Candidate, type Corners } from './boxes.ts'
import { toPhoto, type View } from './frame.ts'
import type { Size } from './heads/head.ts'

/** A box turned around its centre, in pixels of the photo. */
export interface TurnedBox {
  /** Its centre. */
  x: number
  y: number
  width: number
  height: number
  /** How far its width is turned from the horizontal: radians, clockwise. */
  angle: number
  /** Upper left, upper right, lower right and lower left of the box before it was turned. */
  corners: [x: number, y: number][]
}

/**
 * A candidate with an angle in a photo. It stays a rectangle where a letterbox's sides are scaled unlike by their
 * rounding.
 * Source: Ultralytics, models/yolo/obb/predict.py construct_result, utils/ops.py xywhr2xyxyxyxy.
 */
export function turnedBox(c: Candidate & { angle: number }, view: View): TurnedBox {
  const [x, y] = toPhoto(view, (c.left + c.right) / 2, (c.top + c.bottom) / 2)
  const width = (c.right - c.left) * view.width * Math.hypot(view.xx, view.yx)
  const height = (c.bottom - c.top) * view.height * Math.hypot(view.xy, view.yy)
  const angle = c.angle + Math.atan2(view.yx, view.xx)
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)]
  const at = (dx: number, dy: number): [number, number] => [x + dx * cos - dy * sin, y + dx * sin + dy * cos]
  const [w, h] = [width / 2, height / 2]
  return { x, y, width, height, angle, corners: [at(-w, -h), at(w, -h), at(w, h), at(-w, h)] }
}

/** Corners of the upright box around a turned one. */
export function aroundTurned({ corners }: TurnedBox): Corners {
  const [xs, ys] = [corners.map(([x]) => x), corners.map(([, y]) => y)]
  return { left: Math.min(...xs), top: Math.min(...ys), right: Math.max(...xs), bottom: Math.max(...ys) }
}

/** A box as a normal distribution of the same spread. */
interface Spread {
  x: number
  y: number
  xx: number
  yy: number
  xy: number
}

function spreadOf(c: Candidate, { width, height }: Size): Spread {
  const [cos, sin] = [Math.cos(c.angle ?? 0), Math.sin(c.angle ?? 0)]
  const a = ((c.right - c.left) * width) ** 2 / 12
  const b = ((c.bottom - c.top) * height) ** 2 / 12
  return {
    x: ((c.left + c.right) / 2) * width,
    y: ((c.top + c.bottom) / 2) * height,
    xx: a * cos * cos + b * sin * sin,
    yy: a * sin * sin + b * cos * cos,
    xy: (a - b) * cos * sin,
  }
}

const EPSILON = 1e-7

/**
 * How alike two boxes are, 0 to 1: probabilistic IoU (arXiv 2106.06072). Source: Ultralytics, utils/metrics.py
 * batch_probiou.
 */
function likeness(p: Spread, q: Spread): number {
  const [xx, yy, xy] = [p.xx + q.xx, p.yy + q.yy, p.xy + q.xy]
  const [dx, dy] = [p.x - q.x, p.y - q.y]
  const joint = xx * yy - xy * xy
  const own = (s: Spread): number => Math.max(0, s.xx * s.yy - s.xy * s.xy)
  const apart = ((xx * dy * dy + yy * dx * dx) * 0.25 - xy * dx * dy * 0.5) / (joint + EPSILON)
  const shape = Math.log(joint / (4 * Math.sqrt(own(p) * own(q)) + EPSILON) + EPSILON) * 0.5
  const distance = Math.max(EPSILON, Math.min(100, apart + shape))
  return 1 - Math.sqrt(1 - Math.exp(-distance) + EPSILON)
}

/**
 * Fast suppression (arXiv 1904.02689): a candidate is dropped when any better one of its class, kept or not, is more
 * like it than `iouThreshold`. `input` is the network's, in whose pixels they are compared. Source: Ultralytics,
 * utils/nms.py fast_nms.
 */
export function turnedSuppression(
  candidates: readonly Candidate[],
  { iouThreshold, count, input }: { iouThreshold: number; count: number; input: Size },
): Candidate[] {
  const better = new Map<number, Spread[]>()
  const kept: Candidate[] = []
  for (const c of bestFirst(candidates)) {
    if (kept.length >= count) break
    const spread = spreadOf(c, input)
    const others = better.get(c.index) ?? []
    if (!others.some((other) => likeness(other, spread) > iouThreshold)) kept.push(c)
    others.push(spread)
    better.set(c.index, others)
  }
  return kept
}
