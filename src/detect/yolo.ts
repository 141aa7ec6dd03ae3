/** YOLO version 2 heads: a grid of cells, several anchors each. No dependencies. */
import type { TensorInfo } from '../types.ts'
import type { Candidate } from './boxes.ts'
import { outputOf, type YoloHead } from './head.ts'
import { sigmoid } from './ssd.ts'

/**
 * A function from the outputs' real values to candidates with at least the given score.
 * centre = (cell + sigmoid(t)) / cells, size = anchor * exp(t) / cells. Source: YOLO9000 (arXiv 1612.08242), section 2.
 * Errors: `format/shape` when the outputs do not fit the head.
 */
export function yoloDecoder(
  head: YoloHead,
  outputs: readonly TensorInfo[],
): (values: readonly ArrayLike<number>[], threshold: number) => Candidate[] {
  const count = head.anchors.length
  const [, rows = 0, columns = 0] = outputs.find((o) => o.shape.length === 4 && o.shape[3] === count)?.shape ?? []
  const scores = outputOf(outputs, count, rows * columns * count, 'scores')
  const total = 2 * rows * columns * count
  const centres = outputOf(outputs, 2 * count, total, 'centres')
  const sizes = outputOf(outputs, 2 * count, total, 'sizes', centres)
  return (values, threshold) => {
    const found: Candidate[] = []
    for (let i = 0; i < rows * columns * count; i++) {
      const score = sigmoid(values[scores]![i]!)
      if (!(score >= threshold)) continue
      const [anchorWidth, anchorHeight] = head.anchors[i % count]!
      const cell = Math.floor(i / count)
      const cx = ((cell % columns) + sigmoid(values[centres]![2 * i]!)) / columns
      const cy = (Math.floor(cell / columns) + sigmoid(values[centres]![2 * i + 1]!)) / rows
      const width = (anchorWidth * Math.exp(values[sizes]![2 * i]!)) / columns
      const height = (anchorHeight * Math.exp(values[sizes]![2 * i + 1]!)) / rows
      found.push({
        left: cx - width / 2,
        top: cy - height / 2,
        right: cx + width / 2,
        bottom: cy + height / 2,
        score,
        index: 0,
      })
    }
    return found
  }
}
