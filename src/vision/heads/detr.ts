/**
 * Networks that give a set instead of a grid, without suppression: rows of centre, size and the classes' scores,
 * together (RT-DETR as Ultralytics exports it) or as boxes and scores (DETR, RT-DETR and D-FINE as Transformers has
 * them).
 * Source: Ultralytics, models/rtdetr/predict.py; Transformers, image_processing_detr.py and _rt_detr.py, the best class
 * of each.
 */
import { elements } from '../../graph/graph.ts'
import type { TensorInfo } from '../../graph/types.ts'
import { around, type Candidate } from '../boxes.ts'
import { argMax, sigmoid, softmax, wrongOutputs } from '../values.ts'
import type { Decoder, Thresholds } from './head.ts'

export interface DetrHead extends Thresholds {
  kind: 'detr'
  /** [queries, 4], shares of the input, or [queries, 4 + classes] where `scores` is the same output. */
  boxes: number
  /** [queries, classes], with `softmax` one more at the end, for nothing. */
  scores: number
  /** What makes probabilities of the scores. */
  how: 'identity' | 'sigmoid' | 'softmax'
}

/** Errors: `format/shape`. */
export function detrDecoder(head: DetrHead, outputs: readonly TensorInfo[]): Decoder {
  const [boxes, scores] = [outputs[head.boxes], outputs[head.scores]]
  const together = head.boxes === head.scores
  const width = boxes?.shape.at(-1) ?? 0
  const values = scores?.shape.at(-1) ?? 0
  const count = elements(boxes?.shape ?? [0]) / width
  const first = together ? 4 : 0
  const classes = values - first - (head.how === 'softmax' ? 1 : 0)
  if (!boxes || !scores || !(classes >= 1) || (!together && width !== 4) || elements(scores.shape) !== count * values) {
    return wrongOutputs(head.kind, '[queries, 4 + classes], or [queries, 4] and [queries, classes]', outputs)
  }
  return (all, threshold) => {
    const [b, s] = [all[head.boxes]!, all[head.scores]!]
    const found: Candidate[] = []
    for (let i = 0; i < count; i++) {
      const from = i * values + first
      const index = argMax(s, from, classes)
      const raw = s[from + index]!
      const score =
        head.how === 'sigmoid' ? sigmoid(raw) : head.how === 'softmax' ? softmax(s, from, classes + 1)[index]! : raw
      if (!(score > threshold)) continue
      const at = i * width
      found.push({ ...around(b[at]!, b[at + 1]!, b[at + 2]!, b[at + 3]!), score, index })
    }
    return found
  }
}
