/**
 * CenterFace: a heat map of face centres, logarithms of heights and widths, offsets within the cells, and five points
 * as shares of the box; y before x in all of them. Source: CenterFace, centerface.py decode.
 */
import type { TensorInfo } from '../../graph/types.ts'
import type { Candidate } from '../boxes.ts'
import { wrongOutputs } from '../values.ts'
import type { Decoder, Thresholds } from './head.ts'

export interface CenterFaceHead extends Thresholds {
  kind: 'centerface'
  /** [1, rows, columns, 1], probabilities. */
  heat: number
  /** [1, rows, columns, 2]: logarithms of height and width, in cells. */
  sizes: number
  /** [1, rows, columns, 2]: down and right of the cell's middle, in cells. */
  offsets: number
  /** [1, rows, columns, 10]: five times y and x from the box's upper left corner, shares of its sides. */
  points: number
}

const between = (v: number, most: number): number => Math.min(Math.max(0, v), most)

/** Errors: `format/shape`. */
export function centerFaceDecoder(head: CenterFaceHead, outputs: readonly TensorInfo[]): Decoder {
  const [rows, columns] = (outputs[head.heat]?.shape.slice(1, 3) ?? []) as [number, number]
  const fits = (output: number, channels: number): boolean =>
    outputs[output]?.shape.slice(1).join() === [rows, columns, channels].join()
  if (!fits(head.heat, 1) || !fits(head.sizes, 2) || !fits(head.offsets, 2) || !fits(head.points, 10)) {
    return wrongOutputs(head.kind, '[1, rows, columns, 1], twice [..., 2], and [..., 10]', outputs)
  }
  return (all, threshold) => {
    const [heat, sizes, offsets, points] = [head.heat, head.sizes, head.offsets, head.points].map((i) => all[i]!) as [
      Float32Array,
      Float32Array,
      Float32Array,
      Float32Array,
    ]
    const found: Candidate[] = []
    for (let i = 0; i < rows * columns; i++) {
      if (!(heat[i]! > threshold)) continue
      const [height, width] = [Math.exp(sizes[2 * i]!), Math.exp(sizes[2 * i + 1]!)]
      // The corner is cut at the picture's borders before the other one and the points are laid off from it.
      const x = between((i % columns) + offsets[2 * i + 1]! + 0.5 - width / 2, columns)
      const y = between(Math.floor(i / columns) + offsets[2 * i]! + 0.5 - height / 2, rows)
      found.push({
        left: x / columns,
        top: y / rows,
        right: Math.min(x + width, columns) / columns,
        bottom: Math.min(y + height, rows) / rows,
        score: heat[i]!,
        index: 0,
        points: Array.from({ length: 5 }, (_, p) => ({
          x: (x + points[10 * i + 2 * p + 1]! * width) / columns,
          y: (y + points[10 * i + 2 * p]! * height) / rows,
        })),
      })
    }
    return found
  }
}
