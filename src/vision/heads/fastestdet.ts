/**
 * FastestDet: one grid, one candidate a cell: objectness, x, y, width, height, class probabilities.
 * Source: FastestDet, utils/tool.py handle_preds: score = objectness^0.6 * class^0.4, centre by tanh, size by sigmoid.
 */
import type { TensorInfo } from '../../graph/types.ts'
import { around, type Candidate } from '../boxes.ts'
import { argMax, sigmoid, wrongOutputs } from '../values.ts'
import type { Decoder, Thresholds } from './head.ts'

export interface FastestDetHead extends Thresholds {
  kind: 'fastestdet'
  output: number
}

/** Errors: `format/shape`. */
export function fastestDetDecoder(head: FastestDetHead, outputs: readonly TensorInfo[]): Decoder {
  const shape = outputs[head.output]?.shape ?? []
  const [rows, columns, values] = shape.slice(-3) as [number, number, number]
  if (shape.length !== 4 || values < 6) {
    return wrongOutputs(head.kind, `output ${head.output}: [1, rows, columns, 5 + classes]`, outputs)
  }
  return (all, threshold) => {
    const t = all[head.output]!
    const found: Candidate[] = []
    for (let i = 0; i < rows * columns; i++) {
      const at = i * values
      const index = argMax(t, at + 5, values - 5)
      const score = Math.max(0, t[at]!) ** 0.6 * Math.max(0, t[at + 5 + index]!) ** 0.4
      if (!(score > threshold)) continue
      const x = ((i % columns) + Math.tanh(t[at + 1]!)) / columns
      const y = (Math.floor(i / columns) + Math.tanh(t[at + 2]!)) / rows
      found.push({ ...around(x, y, sigmoid(t[at + 3]!), sigmoid(t[at + 4]!)), score, index })
    }
    return found
  }
}
