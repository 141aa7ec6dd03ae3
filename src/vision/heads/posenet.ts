/**
 * PoseNet: heat maps of 17 key points, offsets within a cell, and displacements between joined points forwards and
 * backwards. Without displacements it is one person, each point where its heat map is highest.
 * Source: tfjs-models, posenet/src/multi_pose and single_pose.
 */
import type { TensorInfo } from '../../graph/types.ts'
import type { Candidate, CandidatePoint } from '../boxes.ts'
import { sigmoid, wrongOutputs } from '../values.ts'
import type { Decoder, Size, Thresholds } from './head.ts'
import { boxAround } from './movenet.ts'

export interface PoseNetHead extends Thresholds {
  kind: 'posenet'
  heat: number
  offsets: number
  forwards?: number
  backwards?: number
  /** The heat maps hold logits. */
  logits?: boolean
  /** Most people. */
  people: number
}

/**
 * Joined points, parent first, in the network's order: nose, eyes, ears, shoulders, elbows, wrists, hips, knees,
 * ankles.
 */
const CHAIN: readonly (readonly [parent: number, child: number])[] = [
  [0, 1],
  [1, 3],
  [0, 2],
  [2, 4],
  [0, 5],
  [5, 7],
  [7, 9],
  [5, 11],
  [11, 13],
  [13, 15],
  [0, 6],
  [6, 8],
  [8, 10],
  [6, 12],
  [12, 14],
  [14, 16],
]
/** Pixels within which a point belongs to a person found before. */
const RADIUS = 20
const REFINEMENTS = 2

type Spot = { x: number; y: number; score: number }

const clamp = (v: number, most: number): number => Math.max(0, Math.min(most, v))

/** The four outputs with their geometry; positions are pixels of the input. */
class Grids {
  readonly rows: number
  readonly columns: number
  readonly points: number
  readonly stride: number
  private readonly heat: ArrayLike<number>
  private readonly offsets: ArrayLike<number>

  constructor(shape: readonly number[], input: Size, heat: ArrayLike<number>, offsets: ArrayLike<number>) {
    ;[this.rows, this.columns, this.points] = shape as [number, number, number]
    // A power of two, whether the input is a multiple of it or one more.
    this.stride = 2 ** Math.round(Math.log2(input.width / this.columns))
    this.heat = heat
    this.offsets = offsets
  }

  score(row: number, column: number, point: number): number {
    return this.heat[(row * this.columns + column) * this.points + point]!
  }

  /** Where the cell says that the point is. */
  spot(row: number, column: number, point: number): Spot {
    const at = (row * this.columns + column) * 2 * this.points + point
    return {
      y: row * this.stride + this.offsets[at]!,
      x: column * this.stride + this.offsets[at + this.points]!,
      score: this.score(row, column, point),
    }
  }

  /** Row and column of the cell nearest to a position. */
  cell({ x, y }: { x: number; y: number }): [number, number] {
    return [clamp(Math.round(y / this.stride), this.rows - 1), clamp(Math.round(x / this.stride), this.columns - 1)]
  }

  /** Cells that no neighbour exceeds, best first. */
  peaks(threshold: number): { row: number; column: number; point: number; score: number }[] {
    const found: { row: number; column: number; point: number; score: number }[] = []
    for (let row = 0; row < this.rows; row++) {
      for (let column = 0; column < this.columns; column++) {
        for (let point = 0; point < this.points; point++) {
          const score = this.score(row, column, point)
          if (score >= threshold && this.isPeak(row, column, point, score)) found.push({ row, column, point, score })
        }
      }
    }
    return found.sort((a, b) => b.score - a.score)
  }

  private isPeak(row: number, column: number, point: number, score: number): boolean {
    for (let r = Math.max(0, row - 1); r <= Math.min(this.rows - 1, row + 1); r++) {
      for (let c = Math.max(0, column - 1); c <= Math.min(this.columns - 1, column + 1); c++) {
        if (this.score(r, c, point) > score) return false
      }
    }
    return true
  }
}

/** An edge of the chain, and the point that it leads to. */
interface Step {
  edge: number
  target: number
}

/** Follows a displacement from one point to the next, then the offsets there. */
function follow(grids: Grids, from: Spot, displacements: ArrayLike<number>, { edge, target }: Step): Spot {
  const [row, column] = grids.cell(from)
  const at = (row * grids.columns + column) * 2 * CHAIN.length + edge
  let spot: Spot = { y: from.y + displacements[at]!, x: from.x + displacements[at + CHAIN.length]!, score: 0 }
  for (let i = 0; i < REFINEMENTS; i++) {
    const [r, c] = grids.cell(spot)
    spot = grids.spot(r, c, target)
  }
  const [r, c] = grids.cell(spot)
  return { ...spot, score: grids.score(r, c, target) }
}

/** A whole person from one point. */
function person(
  grids: Grids,
  root: { point: number; spot: Spot },
  forwards: ArrayLike<number>,
  backwards: ArrayLike<number>,
): Spot[] {
  const spots: Spot[] = []
  spots[root.point] = root.spot
  for (let edge = CHAIN.length - 1; edge >= 0; edge--) {
    const [parent, child] = CHAIN[edge]!
    if (spots[child] && !spots[parent]) spots[parent] = follow(grids, spots[child], backwards, { edge, target: parent })
  }
  CHAIN.forEach(([parent, child], edge) => {
    if (spots[parent] && !spots[child]) spots[child] = follow(grids, spots[parent], forwards, { edge, target: child })
  })
  return spots
}

/** Errors: `format/shape`. */
export function poseNetDecoder(head: PoseNetHead, outputs: readonly TensorInfo[], input: Size): Decoder {
  const shape = outputs[head.heat]?.shape.slice(-3) ?? []
  const grid = shape.slice(0, 2).join()
  const has = (i: number | undefined, channels: number): boolean =>
    i === undefined || outputs[i]?.shape.slice(-3).join() === `${grid},${channels}`
  const points = shape[2] ?? 0
  const several = head.forwards !== undefined && head.backwards !== undefined
  if (!has(head.offsets, 2 * points) || !has(head.forwards, 32) || !has(head.backwards, 32)) {
    return wrongOutputs(
      head.kind,
      'heat maps [1, h, w, 17], offsets [1, h, w, 34], displacements [1, h, w, 32]',
      outputs,
    )
  }
  const toCandidate = (spots: readonly Spot[], score: number): Candidate => {
    const shares = spots.map((s): CandidatePoint => ({ x: s.x / input.width, y: s.y / input.height, score: s.score }))
    return { ...boxAround(shares), score, index: 0, points: shares }
  }
  return (all, threshold) => {
    const raw = all[head.heat]!
    const grids = new Grids(shape, input, head.logits ? Float32Array.from(raw, sigmoid) : raw, all[head.offsets]!)
    if (!several) {
      const spots = Array.from({ length: grids.points }, (_, point) => {
        let best = [0, 0] as [number, number]
        for (let row = 0; row < grids.rows; row++) {
          for (let column = 0; column < grids.columns; column++) {
            if (grids.score(row, column, point) > grids.score(...best, point)) best = [row, column]
          }
        }
        return grids.spot(...best, point)
      })
      const score = spots.reduce((sum, s) => sum + s.score, 0) / spots.length
      return score >= threshold ? [toCandidate(spots, score)] : []
    }
    const people: Spot[][] = []
    const found: Candidate[] = []
    const near = (spot: Spot, point: number): boolean =>
      people.some((p) => (p[point]!.x - spot.x) ** 2 + (p[point]!.y - spot.y) ** 2 <= RADIUS ** 2)
    for (const peak of grids.peaks(threshold)) {
      if (people.length >= head.people) break
      const spot = grids.spot(peak.row, peak.column, peak.point)
      if (near(spot, peak.point)) continue
      const spots = person(grids, { point: peak.point, spot }, all[head.forwards!]!, all[head.backwards!]!)
      const score = spots.reduce((sum, s, i) => sum + (near(s, i) ? 0 : s.score), 0) / spots.length
      people.push(spots)
      found.push(toCandidate(spots, score))
    }
    return found.sort((a, b) => b.score - a.score)
  }
}
