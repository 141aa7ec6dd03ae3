/**
 * Objectron's first stage: a heat map of objects' centres, and from there the offsets of the eight corners of a box in
 * space, as the picture shows them; cells around a centre vote. Source: MediaPipe,
 * modules/objectron/calculators/decoder.cc DecodeBoundingBoxKeypoints. Lifting to three dimensions is left out.
 */
import type { TensorInfo } from '../../graph/types.ts'
import type { Candidate, CandidatePoint } from '../boxes.ts'
import { isPeak, wrongOutputs } from '../values.ts'
import type { Decoder, Thresholds } from './head.ts'
import { boxAround } from './movenet.ts'

export interface ObjectronHead extends Thresholds {
  kind: 'objectron'
  /** [1, rows, columns, 1]. */
  heat: number
  /** [1, rows, columns, 16]: x and y of each corner, in units of the shorter side of the maps. */
  offsets: number
}

const CORNERS = 8
const PEAK_REACH = 2
const VOTING = { reach: 2, threshold: 0.2, allowance: 1 }

/** The centre, then eight corners. Errors: `format/shape`. */
export function objectronDecoder(head: ObjectronHead, outputs: readonly TensorInfo[]): Decoder {
  const [rows, columns] = (outputs[head.heat]?.shape.slice(1, 3) ?? []) as [number, number]
  const fits = (output: number, channels: number): boolean =>
    outputs[output]?.shape.slice(1).join() === [rows, columns, channels].join()
  if (!fits(head.heat, 1) || !fits(head.offsets, 2 * CORNERS)) {
    return wrongOutputs(head.kind, '[1, rows, columns, 1] and [1, rows, columns, 16]', outputs)
  }
  const unit = Math.min(rows, columns)
  return (all, threshold) => {
    const [heat, offsets] = [all[head.heat]!, all[head.offsets]!]
    /** Where a cell thinks that a corner is, in cells. */
    const corner = (x: number, y: number, c: number): [number, number] => {
      const at = 2 * CORNERS * (y * columns + x) + 2 * c
      return [x + offsets[at]! * unit, y + offsets[at + 1]! * unit]
    }
    const voted = (x: number, y: number, c: number): CandidatePoint => {
      const [ownX, ownY] = corner(x, y, c)
      let [sumX, sumY, votes] = [0, 0, 0]
      for (let v = Math.max(0, y - VOTING.reach); v <= Math.min(rows - 1, y + VOTING.reach); v++) {
        for (let u = Math.max(0, x - VOTING.reach); u <= Math.min(columns - 1, x + VOTING.reach); u++) {
          const belief = heat[v * columns + u]!
          const [px, py] = corner(u, v, c)
          const near = Math.abs(px - ownX) <= VOTING.allowance && Math.abs(py - ownY) <= VOTING.allowance
          if (belief < VOTING.threshold || !near) continue
          sumX += px * belief
          sumY += py * belief
          votes += belief
        }
      }
      return { x: sumX / votes / columns, y: sumY / votes / rows }
    }
    const found: (Candidate & { points: CandidatePoint[] })[] = []
    for (let i = 0; i < rows * columns; i++) {
      if (!(heat[i]! >= threshold) || !isPeak(heat, { rows, columns, reach: PEAK_REACH }, i)) continue
      const [x, y] = [i % columns, Math.floor(i / columns)]
      const points = [{ x: x / columns, y: y / rows }, ...Array.from({ length: CORNERS }, (_, c) => voted(x, y, c))]
      const object = { ...boxAround(points.slice(1)), score: heat[i]!, index: 0, points }
      const twin = found.findIndex((other) => isSame(other.points, points, [columns, rows]))
      if (twin < 0) found.push(object)
      else if (found[twin]!.score < object.score) found[twin] = object
    }
    return found.sort((a, b) => b.score - a.score)
  }
}

/** Whether all corners lie within a cell of each other. */
const isSame = (
  a: readonly CandidatePoint[],
  b: readonly CandidatePoint[],
  [columns, rows]: readonly [number, number],
): boolean =>
  a.every(
    (p, i) =>
      i === 0 ||
      (Math.abs(p.x - b[i]!.x) * columns <= VOTING.allowance && Math.abs(p.y - b[i]!.y) * rows <= VOTING.allowance),
  )
