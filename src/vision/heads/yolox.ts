/**
 * YOLOX: rows of x, y, width, height, objectness and class scores, cell by cell of grids with falling resolution.
 * Centres are offsets in cells, sizes logarithms of cells. Source: YOLOX, models/yolo_head.py decode_outputs and
 * utils/boxes.py postprocess.
 */
import { elements } from '../../graph/graph.ts'
import type { TensorInfo } from '../../graph/types.ts'
import { around, type Candidate } from '../boxes.ts'
import { argMax, wrongOutputs } from '../values.ts'
import type { Decoder, Size, Thresholds } from './head.ts'

export interface YoloxHead extends Thresholds {
  kind: 'yolox'
  output: number
  /** `rows`: [cells, values]; `columns`: [values, cells]. */
  layout: 'rows' | 'columns'
  classes: number
  /** Pixels of the input to a cell, grid by grid. */
  strides: readonly number[]
}

/** Errors: `format/shape`. */
export function yoloxDecoder(head: YoloxHead, outputs: readonly TensorInfo[], input: Size): Decoder {
  const cells = head.strides.flatMap((stride) => {
    const columns = Math.floor(input.width / stride)
    const count = columns * Math.floor(input.height / stride)
    return Array.from({ length: count }, (_, i) => [i % columns, Math.floor(i / columns), stride] as const)
  })
  const table = outputs[head.output]
  const values = 5 + head.classes
  if (!table || elements(table.shape) !== cells.length * values) {
    return wrongOutputs(head.kind, `output ${head.output}: ${cells.length} cells of ${values} values`, outputs)
  }
  const [row, step] = head.layout === 'rows' ? [values, 1] : [1, cells.length]
  return (all, threshold) => {
    const t = all[head.output]!
    const found: Candidate[] = []
    cells.forEach(([column, line, stride], i) => {
      const at = (k: number): number => t[i * row + k * step]!
      if (!(at(4) >= threshold)) return
      const index = argMax(t, i * row + 5 * step, head.classes, step)
      const score = Math.fround(at(4) * at(5 + index))
      if (!(score >= threshold)) return
      const [sx, sy] = [stride / input.width, stride / input.height]
      const box = around((at(0) + column) * sx, (at(1) + line) * sy, Math.exp(at(2)) * sx, Math.exp(at(3)) * sy)
      found.push({ ...box, score, index })
    })
    return found
  }
}
