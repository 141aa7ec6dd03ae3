/**
 * MoveNet: 17 key points as y, x, score, shares of the input; the `multi` form has six people, each with a box behind
 * the points. Source: TensorFlow examples, lite/examples/pose_estimation/raspberry_pi/ml/movenet.py and
 * movenet_multipose.py.
 */
import { elements } from '../../graph/graph.ts'
import type { TensorInfo } from '../../graph/types.ts'
import type { Candidate, CandidatePoint } from '../boxes.ts'
import { wrongOutputs } from '../values.ts'
import type { Decoder, Thresholds } from './head.ts'

export interface MoveNetHead extends Thresholds {
  kind: 'movenet'
  output: number
}
export interface MoveNetMultiHead extends Thresholds {
  kind: 'movenet-multi'
  output: number
}

const pointsAt = (t: ArrayLike<number>, at: number, count: number): CandidatePoint[] =>
  Array.from({ length: count }, (_, p) => ({ y: t[at + 3 * p]!, x: t[at + 3 * p + 1]!, score: t[at + 3 * p + 2]! }))

/** The box around points. */
export function boxAround(points: readonly CandidatePoint[]): Pick<Candidate, 'left' | 'top' | 'right' | 'bottom'> {
  const [xs, ys] = [points.map((p) => p.x), points.map((p) => p.y)]
  return { left: Math.min(...xs), top: Math.min(...ys), right: Math.max(...xs), bottom: Math.max(...ys) }
}

/** Points that score less do not count for the person. Source: movenet.py, keypoint_score_threshold. */
const POINT_SCORE = 0.1

/** One person, whose score is the mean of its sure points'. Errors: `format/shape`. */
export function moveNetDecoder(head: MoveNetHead, outputs: readonly TensorInfo[]): Decoder {
  const info = outputs[head.output]
  if (info?.shape.at(-1) !== 3) return wrongOutputs(head.kind, `output ${head.output}: [1, 1, points, 3]`, outputs)
  const count = elements(info.shape) / 3
  return (all, threshold) => {
    const points = pointsAt(all[head.output]!, 0, count)
    const sure = points.filter((p) => p.score! > POINT_SCORE)
    const score = sure.length > 0 ? sure.reduce((sum, p) => sum + p.score!, 0) / sure.length : 0
    return score >= threshold ? [{ ...boxAround(points), score, index: 0, points }] : []
  }
}

/** Errors: `format/shape`. */
export function moveNetMultiDecoder(head: MoveNetMultiHead, outputs: readonly TensorInfo[]): Decoder {
  const info = outputs[head.output]
  const width = info?.shape.at(-1) ?? 0
  const count = (width - 5) / 3
  if (!info || !Number.isInteger(count) || count < 1) {
    return wrongOutputs(head.kind, `output ${head.output}: [1, people, 3 * points + 5]`, outputs)
  }
  return (all, threshold) => {
    const t = all[head.output]!
    return Array.from({ length: elements(info.shape) / width }, (_, i): Candidate => {
      const box = i * width + 3 * count
      return {
        top: t[box]!,
        left: t[box + 1]!,
        bottom: t[box + 2]!,
        right: t[box + 3]!,
        score: t[box + 4]!,
        index: 0,
        points: pointsAt(t, i * width, count),
      }
    }).filter((c) => c.score > threshold)
  }
}
