/**
 * UltraFace (version-slim and -RFB): boxes that the network decodes itself, as shares of its input, or offsets from
 * priors, and a probability of nothing and one of a face for each.
 * Source: Ultra-Light-Fast-Generic-Face-Detector-1MB, vision/ssd/predictor.py, utils/box_utils_numpy.py.
 */
import { elements } from '../../graph/graph.ts'
import type { TensorInfo } from '../../graph/types.ts'
import type { Candidate } from '../boxes.ts'
import { wrongOutputs } from '../values.ts'
import { besides, type Prior, priorsOf } from './face-priors.ts'
import type { Decoder, Size, Thresholds } from './head.ts'

export interface UltraFaceHead extends Thresholds {
  kind: 'ultraface'
  /** [candidates, 4]: left, top, right, bottom. */
  boxes: number
  /** [candidates, 2]: nothing, a face. */
  scores: number
  /** Boxes are offsets from priors: centres by a tenth of their sizes, sizes as logarithms by a fifth. */
  coded?: boolean
}

/** Strides, and the priors' sides in pixels. */
const PRIORS = [
  [8, 10, 16, 24],
  [16, 32, 48],
  [32, 64, 96],
  [64, 128, 192, 256],
] as const

/** Priors, none larger than the input. */
const clipped = ([x, y, w, h]: Prior): Prior => [Math.min(1, x), Math.min(1, y), Math.min(1, w), Math.min(1, h)]

/** Errors: `format/shape`. */
export function ultraFaceDecoder(head: UltraFaceHead, outputs: readonly TensorInfo[], input: Size): Decoder {
  const [boxes, scores] = [outputs[head.boxes], outputs[head.scores]]
  const count = boxes ? elements(boxes.shape) / 4 : NaN
  if (boxes?.shape.at(-1) !== 4 || scores?.shape.at(-1) !== 2 || elements(scores.shape) !== 2 * count) {
    return wrongOutputs(head.kind, 'boxes [candidates, 4] and scores [candidates, 2]', outputs)
  }
  const priors = head.coded ? priorsOf(input, PRIORS).map(clipped) : []
  if (head.coded && priors.length !== count) {
    return wrongOutputs(head.kind, `${priors.length} boxes for priors of the usual sizes`, outputs)
  }
  return (all, threshold) => {
    const [b, s] = [all[head.boxes]!, all[head.scores]!]
    const found: Candidate[] = []
    for (let i = 0; i < count; i++) {
      const score = s[2 * i + 1]!
      if (!(score > threshold)) continue
      const [prior, at] = [priors[i], 4 * i]
      const box = prior
        ? besides(prior, b, at)
        : { left: b[at]!, top: b[at + 1]!, right: b[at + 2]!, bottom: b[at + 3]! }
      found.push({ ...box, score, index: 0 })
    }
    return found
  }
}
