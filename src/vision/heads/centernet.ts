/**
 * CenterNet: a heat map of centres for each class, sizes, and offsets within a cell. A centre is a cell that no
 * neighbour exceeds. Source: CenterNet (arXiv 1904.07850), models/decode.py ctdet_decode.
 */
import type { TensorInfo } from '../../graph/types.ts'
import { around, type Candidate } from '../boxes.ts'
import { isPeak, sigmoid, wrongOutputs } from '../values.ts'
import type { Decoder, Thresholds } from './head.ts'

export interface CenterNetHead extends Thresholds {
  kind: 'centernet'
  heat: number
  /** Widths and heights in cells. */
  sizes: number
  offsets?: number
  /** The heat map holds logits. */
  logits?: boolean
}

/** Errors: `format/shape`. */
export function centerNetDecoder(head: CenterNetHead, outputs: readonly TensorInfo[]): Decoder {
  const [rows, columns, classes] = (outputs[head.heat]?.shape.slice(-3) ?? []) as [number, number, number]
  const pairs = [head.sizes, ...(head.offsets === undefined ? [] : [head.offsets])]
  if (!classes || pairs.some((i) => outputs[i]?.shape.slice(-3).join() !== `${rows},${columns},2`)) {
    return wrongOutputs(head.kind, '[1, rows, columns, classes] and pairs [1, rows, columns, 2]', outputs)
  }
  return (all, threshold) => {
    const heat = all[head.heat]!
    const found: Candidate[] = []
    for (let i = 0; i < rows * columns; i++) {
      const [x, y] = [i % columns, Math.floor(i / columns)]
      for (let c = 0; c < classes; c++) {
        const raw = heat[i * classes + c]!
        const score = head.logits ? sigmoid(raw) : raw
        if (!(score >= threshold) || !isPeak(heat, { rows, columns, classes }, i, c)) continue
        const [dx, dy] =
          head.offsets === undefined ? [0.5, 0.5] : [all[head.offsets]![2 * i]!, all[head.offsets]![2 * i + 1]!]
        const [width, height] = [all[head.sizes]![2 * i]!, all[head.sizes]![2 * i + 1]!]
        const box = around((x + dx) / columns, (y + dy) / rows, width / columns, height / rows)
        found.push({ ...box, score, index: c })
      }
    }
    return found.sort((a, b) => b.score - a.score)
  }
}
