/**
 * UltraFace (version-slim and -RFB): boxes that the network decodes itself, as shares of its input, or offsets from
 * priors, and a probability of nothing and one of a face for each.
 * Source: Ultra-Light-Fast-Generic-Face-Detector-1MB, vision/ssd/predictor.py, utils/box_utils_numpy.py.
 */
import { elements } from '../../graph/graph.ts'
import type { TensorInfo } from '../../graph/types.ts'
import { around, type Candidate } from '../boxes.ts'
import { wrongOutputs } from '../values.ts'
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

/** Priors as centre and size, shares of the input, none larger than it. */
const priorsOf = ({ width, height }: Size): (readonly [x: number, y: number, w: number, h: number])[] =>
  PRIORS.flatMap(([stride, ...sides]) => {
    const [rows, columns] = [Math.ceil(height / stride), Math.ceil(width / stride)]
    return Array.from({ length: rows * columns }, (_, i) => {
      const x = (((i % columns) + 0.5) * stride) / width
      const y = ((Math.floor(i / columns) + 0.5) * stride) / height
      return sides.map(
        (s) => [Math.min(1, x), Math.min(1, y), Math.min(1, s / width), Math.min(1, s / height)] as const,
      )
    }).flat()
  })

/** Errors: `format/shape`. */
export function ultraFaceDecoder(head: UltraFaceHead, outputs: readonly TensorInfo[], input: Size): Decoder {
  const [boxes, scores] = [outputs[head.boxes], outputs[head.scores]]
  const count = boxes ? elements(boxes.shape) / 4 : NaN
  if (boxes?.shape.at(-1) !== 4 || scores?.shape.at(-1) !== 2 || elements(scores.shape) !== 2 * count) {
    return wrongOutputs(head.kind, 'boxes [candidates, 4] and scores [candidates, 2]', outputs)
  }
  const priors = head.coded ? priorsOf(input) : []
  if (head.coded && priors.length !== count) {
    return wrongOutputs(head.kind, `${priors.length} boxes for priors of the usual sizes`, outputs)
  }
  return (all, threshold) => {
    const [b, s] = [all[head.boxes]!, all[head.scores]!]
    const found: Candidate[] = []
    for (let i = 0; i < count; i++) {
      const score = s[2 * i + 1]!
      if (!(score > threshold)) continue
      const at = (k: number): number => b[4 * i + k]!
      const [x, y, w, h] = priors[i] ?? [0, 0, 0, 0]
      const box = head.coded
        ? around(x + at(0) * 0.1 * w, y + at(1) * 0.1 * h, w * Math.exp(at(2) * 0.2), h * Math.exp(at(3) * 0.2))
        : { left: at(0), top: at(1), right: at(2), bottom: at(3) }
      found.push({ ...box, score, index: 0 })
    }
    return found
  }
}
