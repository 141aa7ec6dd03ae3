/**
 * Outputs of TFLite_Detection_PostProcess or of a network that does the same: boxes, classes, scores and their number.
 * Source: TensorFlow Lite, kernels/detection_postprocess.cc; its boxes are top, left, bottom, right as shares.
 */
import { elements } from '../../graph/graph.ts'
import type { TensorInfo } from '../../graph/types.ts'
import type { Candidate } from '../boxes.ts'
import { wrongOutputs } from '../values.ts'
import type { Decoder, Thresholds } from './head.ts'

/** The numbers say which output is which. */
export interface PostprocessHead extends Thresholds {
  kind: 'postprocess'
  boxes: number
  classes: number
  scores: number
  /** How many boxes count; missing where all do. */
  count?: number
}

/** Classes are whole numbers, scores lie between 0 and 1: which is which, where the file does not say. */
const isScores = (values: ArrayLike<number>): boolean =>
  Array.from(values).every((v) => v >= 0 && v <= 1) && Array.from(values).some((v) => v > 0 && v < 1)

/** Errors: `format/shape` when the outputs do not fit the head. */
export function postprocessDecoder(head: PostprocessHead, outputs: readonly TensorInfo[]): Decoder {
  const size = (i: number): number => (outputs[i] ? elements(outputs[i].shape) : NaN)
  const most = size(head.scores)
  const counted = head.count === undefined || size(head.count) === 1
  if (!counted || size(head.boxes) !== 4 * most || size(head.classes) !== most) {
    return wrongOutputs(head.kind, `boxes [1, ${most}, 4], classes and scores [1, ${most}], count [1]`, outputs)
  }
  return (values, threshold) => {
    const boxes = values[head.boxes]!
    const swapped = !isScores(values[head.scores]!) && isScores(values[head.classes]!)
    const [scores, classes] = swapped
      ? [values[head.classes]!, values[head.scores]!]
      : [values[head.scores]!, values[head.classes]!]
    const said = head.count === undefined ? most : Math.trunc(values[head.count]![0]!)
    const found: Candidate[] = []
    for (let i = 0; i < Math.min(most, said); i++) {
      if (!(scores[i]! >= threshold)) continue
      found.push({
        top: boxes[4 * i]!,
        left: boxes[4 * i + 1]!,
        bottom: boxes[4 * i + 2]!,
        right: boxes[4 * i + 3]!,
        score: scores[i]!,
        index: Math.max(0, Math.round(classes[i]!)),
      })
    }
    return found.sort((a, b) => b.score - a.score)
  }
}
