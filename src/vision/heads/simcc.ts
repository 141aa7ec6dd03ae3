/**
 * SimCC (RTMPose): each point's place along the input's width and along its height, as scores of bins. One person, who
 * should fill the input. Source: MMPose, codecs/utils/post_processing.py get_simcc_maximum.
 */
import { elements } from '../../graph/graph.ts'
import type { TensorInfo } from '../../graph/types.ts'
import type { CandidatePoint } from '../boxes.ts'
import { argMax, wrongOutputs } from '../values.ts'
import type { Decoder, Thresholds } from './head.ts'
import { boxAround } from './movenet.ts'

export interface SimccHead extends Thresholds {
  kind: 'simcc'
  /** [points, bins of the width]. */
  across: number
  /** [points, bins of the height]. */
  down: number
}

/** Errors: `format/shape`. */
export function simccDecoder(head: SimccHead, outputs: readonly TensorInfo[]): Decoder {
  const [across, down] = [outputs[head.across]?.shape ?? [], outputs[head.down]?.shape ?? []]
  const [columns, rows] = [across.at(-1) ?? 0, down.at(-1) ?? 0]
  const count = elements(across) / columns
  if (across.length < 2 || down.length < 2 || elements(down) / rows !== count) {
    return wrongOutputs(head.kind, '[points, bins of the width] and [points, bins of the height]', outputs)
  }
  return (values, threshold) => {
    const [x, y] = [values[head.across]!, values[head.down]!]
    const points = Array.from({ length: count }, (_, p): CandidatePoint => {
      const [u, v] = [argMax(x, p * columns, columns), argMax(y, p * rows, rows)]
      return { x: u / columns, y: v / rows, score: Math.min(x[p * columns + u]!, y[p * rows + v]!) }
    })
    const score = points.reduce((sum, point) => sum + point.score!, 0) / count
    return score > threshold ? [{ ...boxAround(points), score, index: 0, points }] : []
  }
}
