/**
 * Tables of YOLO candidates, a row (or column) each: x, y, width, height, then scores. YOLOv5 and v7 have an
 * objectness before the class scores, v8, v9 and v11 have none. Behind the classes may come key points, mask
 * coefficients or an angle.
 * Source: Ultralytics, utils/nms.py non_max_suppression, nn/autobackend.py (coordinates are shares of the input in
 * TFLite exports, pixels elsewhere); SSCMA, el_algorithm_yolo.cpp (`percent`).
 */
import { elements } from '../../graph/graph.ts'
import type { TensorInfo } from '../../graph/types.ts'
import { around, type Candidate, type CandidatePoint } from '../boxes.ts'
import { argMax, inner, largestValue, wrongOutputs } from '../values.ts'
import type { Decoder, Size, Thresholds } from './head.ts'

/** What follows the classes in a row. */
export interface Extras {
  /** Key points of each candidate, and numbers of each: x, y and perhaps a score. */
  points?: number
  pointValues?: 2 | 3
  /** Mask coefficients of each candidate, and the output that holds the prototypes. */
  masks?: number
  prototypes?: number
  /** The last value is an angle: boxes are turned around their centres. */
  turned?: boolean
}

export interface YoloHead extends Thresholds, Extras {
  kind: 'yolo5' | 'yolo8' | 'yolo8-pose' | 'yolo8-seg' | 'yolo8-obb'
  /** The output that holds the table. */
  output: number
  /** `rows`: [candidates, values]; `columns`: [values, candidates]. */
  layout: 'rows' | 'columns'
  /** `auto`: pixels where some coordinate is above 2. */
  coordinates: 'shares' | 'pixels' | 'auto'
  classes: number
  /** Scores are percent, the objectness alone counts (SSCMA's Swift-YOLO). */
  percent?: boolean
}

/** Coordinates beyond this are no shares. */
const LARGEST_SHARE = 2

/** How coordinates become shares. */
export function scaleOf(
  how: YoloHead['coordinates'],
  input: Size,
  output: TensorInfo,
): (largest: () => number) => readonly [number, number] {
  const pixels = [1 / input.width, 1 / input.height] as const
  const shares = [1, 1] as const
  const most = largestValue(output)
  if (how === 'pixels' || (how === 'auto' && most !== undefined && most > 2 * LARGEST_SHARE)) return () => pixels
  if (how === 'shares' || most !== undefined) return () => shares
  return (largest) => (largest() > LARGEST_SHARE ? pixels : shares)
}

/** Key points of a row. `at(i)` gives its i-th number behind the classes. */
function readPoints(
  { points = 0, pointValues = 3 }: Extras,
  at: (i: number) => number,
  [sx, sy]: readonly [number, number],
): CandidatePoint[] {
  return Array.from({ length: points }, (_, p) => ({
    x: at(p * pointValues) * sx,
    y: at(p * pointValues + 1) * sy,
    ...(pointValues === 3 && { score: at(p * 3 + 2) }),
  }))
}

export const extraValues = ({ points = 0, pointValues = 3, masks = 0, turned }: Extras): number =>
  points * pointValues + masks + (turned ? 1 : 0)

/** What follows the classes of a row, as its candidate has it. `at(i)` gives the i-th number behind the classes. */
export const readExtras = (
  head: Extras,
  at: (i: number) => number,
  scale: readonly [number, number],
): Pick<Candidate, 'points' | 'coefficients' | 'angle'> => ({
  ...(head.points && { points: readPoints(head, at, scale) }),
  ...(head.masks && { coefficients: Float32Array.from({ length: head.masks }, (_, k) => at(k)) }),
  ...(head.turned && { angle: at(extraValues(head) - 1) }),
})

/** Errors: `format/shape`. */
export function yoloDecoder(head: YoloHead, outputs: readonly TensorInfo[], input: Size): Decoder {
  const table = outputs[head.output]
  const objectness = head.kind === 'yolo5' ? 1 : 0
  const values = 4 + objectness + head.classes + extraValues(head)
  const count = table ? elements(table.shape) / values : NaN
  const shape = table ? inner(table.shape) : []
  const lead = shape[head.layout === 'rows' ? shape.length - 1 : 0]
  if (!Number.isInteger(count) || (lead !== values && count !== 1)) {
    return wrongOutputs(
      head.kind,
      `output ${head.output}: ${head.layout === 'rows' ? `[candidates, ${values}]` : `[${values}, candidates]`}`,
      outputs,
    )
  }
  // Number k of candidate i lies at i * row + k * step.
  const [row, step] = head.layout === 'rows' ? [values, 1] : [1, count]
  const scale = scaleOf(head.coordinates, input, table!)
  const firstClass = 4 + objectness
  return (all, threshold) => {
    const t = all[head.output]!
    const [sx, sy] = scale(() => {
      let most = 0
      for (let i = 0; i < count; i++) for (let k = 0; k < 4; k++) most = Math.max(most, t[i * row + k * step]!)
      return most
    })
    const found: Candidate[] = []
    for (let i = 0; i < count; i++) {
      const at = (k: number): number => t[i * row + k * step]!
      const sure = objectness ? at(4) : 1
      if (!(sure > (head.percent ? 100 * threshold : threshold))) continue
      const index = head.classes > 0 ? argMax(t, i * row + firstClass * step, head.classes, step) : 0
      const best = head.classes > 0 ? at(firstClass + index) : 1
      const score = head.percent ? sure / 100 : Math.fround(sure * best)
      if (!(score > threshold)) continue
      const behind = firstClass + head.classes
      found.push({
        ...around(at(0) * sx, at(1) * sy, at(2) * sx, at(3) * sy),
        score,
        index,
        ...readExtras(head, (k) => at(behind + k), [sx, sy]),
      })
    }
    return found
  }
}
