/**
 * DBFace: a heat map of face centres, distances from there to the four sides, and five points. Source: DBFace, main.py
 * detect and common.py exp.
 */
import type { TensorInfo } from '../../graph/types.ts'
import type { Candidate } from '../boxes.ts'
import { isPeak, wrongOutputs } from '../values.ts'
import type { Decoder, Thresholds } from './head.ts'

export interface DbFaceHead extends Thresholds {
  kind: 'dbface'
  /** [1, rows, columns, 1], probabilities. */
  heat: number
  /** [1, rows, columns, 4]: left, top, right, bottom, in cells. */
  sides: number
  /** [1, rows, columns, 10]: five x, five y. */
  points: number
}

/** Exponential beyond 1 in both directions, a line between. */
const stretched = (v: number): number => (Math.abs(v) < 1 ? v * Math.E : v > 0 ? Math.exp(v) : -Math.exp(-v))

/** Errors: `format/shape`. */
export function dbFaceDecoder(head: DbFaceHead, outputs: readonly TensorInfo[]): Decoder {
  const [rows, columns] = (outputs[head.heat]?.shape.slice(1, 3) ?? []) as [number, number]
  const fits = (output: number, channels: number): boolean =>
    outputs[output]?.shape.slice(1).join() === [rows, columns, channels].join()
  if (!fits(head.heat, 1) || !fits(head.sides, 4) || !fits(head.points, 10)) {
    return wrongOutputs(head.kind, '[1, rows, columns, 1], [..., 4] and [..., 10]', outputs)
  }
  return (all, threshold) => {
    const [heat, sides, marks] = [all[head.heat]!, all[head.sides]!, all[head.points]!]
    const found: Candidate[] = []
    for (let i = 0; i < rows * columns; i++) {
      const [x, y] = [i % columns, Math.floor(i / columns)]
      if (!(heat[i]! >= threshold) || !isPeak(heat, { rows, columns }, i)) continue
      found.push({
        left: (x - sides[4 * i]!) / columns,
        top: (y - sides[4 * i + 1]!) / rows,
        right: (x + sides[4 * i + 2]!) / columns,
        bottom: (y + sides[4 * i + 3]!) / rows,
        score: heat[i]!,
        index: 0,
        points: Array.from({ length: 5 }, (_, p) => ({
          x: (x + stretched(4 * marks[10 * i + p]!)) / columns,
          y: (y + stretched(4 * marks[10 * i + 5 + p]!)) / rows,
        })),
      })
    }
    return found
  }
}
