/**
 * UltraFace (version-slim and -RFB): boxes that the network decodes itself, as shares of its input, and a probability
 * of nothing and one of a face for each.
 * Source: Ultra-Light-Fast-Generic-Face-Detector-1MB, vision/ssd/predictor.py, utils/box_utils_numpy.py.
 */
import { elements } from '../../graph.ts'
import type { TensorInfo } from '../../types.ts'
import type { Candidate } from '../boxes.ts'
import { wrongOutputs } from '../values.ts'
import type { Decoder, Thresholds } from './head.ts'

export interface UltraFaceHead extends Thresholds {
  kind: 'ultraface'
  /** [candidates, 4]: left, top, right, bottom. */
  boxes: number
  /** [candidates, 2]: nothing, a face. */
  scores: number
}

/** Errors: `format/shape`. */
export function ultraFaceDecoder(head: UltraFaceHead, outputs: readonly TensorInfo[]): Decoder {
  const [boxes, scores] = [outputs[head.boxes], outputs[head.scores]]
  const count = boxes ? elements(boxes.shape) / 4 : NaN
  if (boxes?.shape.at(-1) !== 4 || scores?.shape.at(-1) !== 2 || elements(scores.shape) !== 2 * count) {
    return wrongOutputs(head.kind, 'boxes [candidates, 4] and scores [candidates, 2]', outputs)
  }
  return (all, threshold) => {
    const [b, s] = [all[head.boxes]!, all[head.scores]!]
    const found: Candidate[] = []
    for (let i = 0; i < count; i++) {
      const score = s[2 * i + 1]!
      if (!(score > threshold)) continue
      const at = (k: number): number => b[4 * i + k]!
      found.push({ left: at(0), top: at(1), right: at(2), bottom: at(3), score, index: 0 })
    }
    return found
  }
}
