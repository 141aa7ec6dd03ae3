/**
 * Landmark networks, that look at a crop: points in pixels of the input (MediaPipe: hands 21 x 3, faces 468 x 3, poses
 * 39 x 5) or as shares, and perhaps how sure it is that there is something. Source: MediaPipe,
 * tensors_to_landmarks_calculator.cc.
 */
import { elements } from '../../graph/graph.ts'
import type { TensorInfo } from '../../graph/types.ts'
import type { CandidatePoint } from '../boxes.ts'
import { sigmoid, wrongOutputs } from '../values.ts'
import type { Decoder, Size, Thresholds } from './head.ts'
import { boxAround } from './movenet.ts'

export interface LandmarksHead extends Thresholds {
  kind: 'landmarks'
  output: number
  /** Numbers of each point: x, y, then z (left out), then visibility and presence as logits. */
  values: 2 | 3 | 4 | 5
  /** `signed`: -1 to 1 across the input. */
  coordinates: 'pixels' | 'shares' | 'signed'
  /** The output that says how sure the network is, and how. */
  presence?: number
  presenceIs?: 'logit' | 'probability'
  /**
   * Points that say where the person is: the middle of a circle, and one on it above (BlazePose's 33 and 34). A whole
   * photo is looked at again there, as MediaPipe does from frame to frame.
   */
  look?: readonly [middle: number, edge: number]
  /**
   * [1, rows, columns, points], logits: a map of where each point is, which says better where it is sure (BlazePose).
   */
  heat?: number
}

/**
 * A point where its map has its middle, where that is sure of it. Source: MediaPipe,
 * refine_landmarks_from_heatmap_calculator.cc.
 */
function refined(
  { x, y, ...rest }: CandidatePoint,
  heat: ArrayLike<number>,
  map: { rows: number; columns: number; points: number },
  index: number,
): CandidatePoint {
  const { rows, columns, points } = map
  const [column, row] = [Math.trunc(x * columns), Math.trunc(y * rows)]
  if (column < 0 || column >= Math.min(columns, rows) || row < 0) return { x, y, ...rest }
  let [sum, across, down, most] = [0, 0, 0, 0]
  for (let v = Math.max(0, row - REACH); v < Math.min(rows, row + REACH + 1); v++) {
    for (let u = Math.max(0, column - REACH); u < Math.min(columns, column + REACH + 1); u++) {
      const sure = sigmoid(heat[(v * columns + u) * points + index]!)
      sum += sure
      across += u * sure
      down += v * sure
      most = Math.max(most, sure)
    }
  }
  return most >= SURE ? { x: across / columns / sum, y: down / rows / sum, ...rest } : { x, y, ...rest }
}
/** Cells of a map that are looked at around a point, and what counts as sure. */
const [REACH, SURE] = [4, 0.5]

/** One object with its points. Errors: `format/shape`. */
export function landmarksDecoder(head: LandmarksHead, outputs: readonly TensorInfo[], input: Size): Decoder {
  const info = outputs[head.output]
  const count = info ? elements(info.shape) / head.values : NaN
  if (!Number.isInteger(count) || (head.presence !== undefined && !outputs[head.presence])) {
    return wrongOutputs(head.kind, `output ${head.output}: points of ${head.values} values`, outputs)
  }
  const [rows = 0, columns = 0, channels = 0] =
    head.heat === undefined ? [] : (outputs[head.heat]?.shape.slice(1) ?? [])
  if (head.heat !== undefined && channels !== count) {
    return wrongOutputs(head.kind, `output ${head.heat}: maps of ${count} points`, outputs)
  }
  const [sx, sy] = head.coordinates === 'pixels' ? [1 / input.width, 1 / input.height] : [1, 1]
  const place = (v: number, scale: number): number => (head.coordinates === 'signed' ? (v + 1) / 2 : v * scale)
  return (all, threshold) => {
    const t = all[head.output]!
    const raw = head.presence === undefined ? 1 : all[head.presence]![0]!
    const score = head.presence !== undefined && head.presenceIs !== 'probability' ? sigmoid(raw) : raw
    if (!(score >= threshold)) return []
    const points = Array.from({ length: count }, (_, p): CandidatePoint => {
      const at = p * head.values
      const point = {
        x: place(t[at]!, sx),
        y: place(t[at + 1]!, sy),
        ...(head.values >= 4 && { score: sigmoid(t[at + 3]!) }),
      }
      return head.heat === undefined ? point : refined(point, all[head.heat]!, { rows, columns, points: count }, p)
    })
    return [{ ...boxAround(points), score, index: 0, points }]
  }
}
