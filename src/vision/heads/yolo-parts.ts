/**
 * A YOLO whose table comes in parts: boxes and class scores (YOLOv8 and later, split before their concatenation, which
 * keeps a quantization of its own for each), or decoded boxes with the best class's score and number (Qualcomm AI Hub).
 * Source: Ultralytics, nn/modules/head.py Detect; ai-hub-models, models/_shared/yolo/utils.py detect_postprocess.
 */
import { elements } from '../../graph/graph.ts'
import type { TensorInfo } from '../../graph/types.ts'
import { around, type Candidate } from '../boxes.ts'
import { argMax, inner, wrongOutputs } from '../values.ts'
import type { Decoder, Size, Thresholds } from './head.ts'
import { type Extras, extraValues, readExtras, scaleOf, type YoloHead } from './yolo.ts'

export interface YoloPartsHead extends Thresholds, Extras {
  kind: 'yolo-parts'
  /** [candidates, 4], or turned. */
  boxes: number
  /** [candidates, classes], or turned; [candidates] where `classes` has their numbers. */
  scores: number
  classes?: number
  /** [candidates, key points or mask coefficients], or turned. */
  behind?: number
  layout: 'rows' | 'columns'
  /** Centre and size, or the corners left, top, right, bottom. */
  form: 'centre' | 'corners'
  coordinates: YoloHead['coordinates']
}

/** Errors: `format/shape`. */
export function yoloPartsDecoder(head: YoloPartsHead, outputs: readonly TensorInfo[], input: Size): Decoder {
  const [boxes, scores] = [outputs[head.boxes], outputs[head.scores]]
  const count = boxes ? elements(boxes.shape) / 4 : NaN
  const classes = scores ? elements(scores.shape) / count : NaN
  const numbered = head.classes !== undefined
  const lead = boxes ? inner(boxes.shape)[head.layout === 'rows' ? 1 : 0] : undefined
  const extra = head.behind === undefined ? 0 : extraValues(head)
  const counted = numbered && (classes !== 1 || elements(outputs[head.classes!]?.shape ?? []) !== count)
  if (
    !Number.isInteger(classes) ||
    (lead !== 4 && count !== 1) ||
    counted ||
    (extra > 0 && elements(outputs[head.behind!]?.shape ?? []) !== extra * count)
  ) {
    return wrongOutputs(head.kind, 'boxes [candidates, 4] and scores of as many candidates', outputs)
  }
  const rows = head.layout === 'rows'
  const scale = scaleOf(head.coordinates, input, boxes!)
  return (all, threshold) => {
    const [b, s] = [all[head.boxes]!, all[head.scores]!]
    const [sx, sy] = scale(() => {
      let most = 0
      for (let i = 0; i < 4 * count; i++) most = Math.max(most, b[i]!)
      return most
    })
    const found: Candidate[] = []
    for (let i = 0; i < count; i++) {
      const index = numbered
        ? Math.round(all[head.classes!]![i]!)
        : argMax(s, rows ? i * classes : i, classes, rows ? 1 : count)
      const score = numbered ? s[i]! : s[rows ? i * classes + index : index * count + i]!
      if (!(score > threshold)) continue
      const at = (k: number): number => b[rows ? 4 * i + k : k * count + i]! * (k % 2 ? sy : sx)
      const box =
        head.form === 'centre'
          ? around(at(0), at(1), at(2), at(3))
          : { left: at(0), top: at(1), right: at(2), bottom: at(3) }
      const more = (k: number): number => all[head.behind!]![rows ? i * extra + k : k * count + i]!
      found.push({ ...box, score, index, ...(extra > 0 && readExtras(head, more, [sx, sy])) })
    }
    return found
  }
}
