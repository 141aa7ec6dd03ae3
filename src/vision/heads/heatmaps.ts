/**
 * One heat map a key point: the point is the middle of its hottest cell, and how hot that is its score. Source: STM32
 * model zoo services, pose_estimation, heatmaps_spe_postprocess.
 */
import type { TensorInfo } from '../../graph/types.ts'
import type { CandidatePoint } from '../boxes.ts'
import { argMax, sigmoid, wrongOutputs } from '../values.ts'
import type { Decoder, Thresholds } from './head.ts'
import { boxAround } from './movenet.ts'

export interface HeatmapsHead extends Thresholds {
  kind: 'heatmaps'
  output: number
  /** Where the key points' axis is: [1, rows, columns, points] or [1, points, rows, columns]. */
  layout: 'last' | 'first'
  /** The maps hold logits. */
  logits?: boolean
}

/** One person, whose score is the mean of the points'. Errors: `format/shape`. */
export function heatmapsDecoder(head: HeatmapsHead, outputs: readonly TensorInfo[]): Decoder {
  const shape = outputs[head.output]?.shape.slice(1) ?? []
  if (shape.length !== 3) return wrongOutputs(head.kind, `output ${head.output}: a heat map a key point`, outputs)
  const [a, b, c] = shape as [number, number, number]
  const [rows, columns, count] = head.layout === 'last' ? [a, b, c] : [b, c, a]
  const cells = rows * columns
  const [map, step] = head.layout === 'last' ? [1, count] : [cells, 1]
  return (all, threshold) => {
    const t = all[head.output]!
    const points = Array.from({ length: count }, (_, p): CandidatePoint => {
      const cell = argMax(t, p * map, cells, step)
      const heat = t[p * map + cell * step]!
      return {
        x: ((cell % columns) + 0.5) / columns,
        y: (Math.floor(cell / columns) + 0.5) / rows,
        score: head.logits ? sigmoid(heat) : heat,
      }
    })
    const score = points.reduce((sum, p) => sum + p.score!, 0) / count
    return score >= threshold ? [{ ...boxAround(points), score, index: 0, points }] : []
  }
}
