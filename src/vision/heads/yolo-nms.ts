/**
 * YOLO with suppression inside (YOLOv10, YOLO26, exports with nms=True): rows of left, top, right, bottom, score,
 * class, perhaps followed by key points, mask coefficients or an angle. Source: Ultralytics, utils/nms.py, the end2end
 * branch. Rows of RT-DETR (models/rtdetr/predict.py) and of turned boxes (models/yolo/obb/predict.py) begin with centre
 * and size.
 */
import { elements } from '../../graph/graph.ts'
import type { TensorInfo } from '../../graph/types.ts'
import { around, type Candidate } from '../boxes.ts'
import { wrongOutputs } from '../values.ts'
import type { Decoder, Size, Thresholds } from './head.ts'
import { type Extras, extraValues, readExtras, scaleOf, type YoloHead } from './yolo.ts'

export interface YoloNmsHead extends Thresholds, Extras {
  kind: 'yolo-nms'
  output: number
  coordinates: YoloHead['coordinates']
  /** How rows begin. Default: with corners. */
  form?: 'centre' | 'corners'
}

/** Errors: `format/shape`. */
export function yoloNmsDecoder(head: YoloNmsHead, outputs: readonly TensorInfo[], input: Size): Decoder {
  const table = outputs[head.output]
  const values = 6 + extraValues(head)
  if (table?.shape.at(-1) !== values) {
    return wrongOutputs(head.kind, `output ${head.output}: [detections, ${values}]`, outputs)
  }
  const count = elements(table.shape) / values
  const scale = scaleOf(head.coordinates, input, table)
  return (all, threshold) => {
    const t = all[head.output]!
    const [sx, sy] = scale(() => {
      let most = 0
      for (let i = 0; i < count; i++) for (let k = 0; k < 4; k++) most = Math.max(most, t[i * values + k]!)
      return most
    })
    const found: Candidate[] = []
    for (let i = 0; i < count; i++) {
      const at = (k: number): number => t[i * values + k]!
      if (!(at(4) > threshold)) continue
      const [a, b, c, d] = [at(0) * sx, at(1) * sy, at(2) * sx, at(3) * sy]
      found.push({
        ...(head.form === 'centre' ? around(a, b, c, d) : { left: a, top: b, right: c, bottom: d }),
        score: at(4),
        index: Math.max(0, Math.round(at(5))),
        ...readExtras(head, (k) => at(6 + k), [sx, sy]),
      })
    }
    return found
  }
}
