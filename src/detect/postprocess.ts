/** Outputs of TFLite_Detection_PostProcess: boxes, classes, scores and their number, ready to use. No dependencies. */
import { elements } from '../graph.ts'
import type { TensorInfo } from '../types.ts'
import type { Candidate } from './boxes.ts'
import { outputOf, type PostprocessHead } from './head.ts'

/** Errors: `format/shape` when the outputs do not fit the head. */
export function postprocessDecoder(
  head: PostprocessHead,
  outputs: readonly TensorInfo[],
): (values: readonly ArrayLike<number>[], threshold: number) => Candidate[] {
  const most = elements(outputs[head.scores]!.shape)
  for (const [i, last, total, what] of [
    [head.boxes, 4, 4 * most, 'boxes'],
    [head.classes, most, most, 'classes'],
    [head.count, 1, 1, 'count'],
  ] as const) {
    if (elements(outputs[i]!.shape) !== total) outputOf([], last, total, what)
  }
  return (values, threshold) => {
    const [boxes, classes, scores] = [values[head.boxes]!, values[head.classes]!, values[head.scores]!]
    const count = Math.min(most, Math.max(0, Math.trunc(values[head.count]![0]!)))
    const found: Candidate[] = []
    for (let i = 0; i < count; i++) {
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
