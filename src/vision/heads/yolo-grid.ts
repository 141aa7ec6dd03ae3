/**
 * YOLO grids with anchors: one output for each resolution, [rows, columns, anchors * (5 + classes)]; or, in `split`
 * form, centres, sizes and scores as outputs of their own and a single class.
 * Source: YOLO9000 (arXiv 1612.08242), 2; YOLOv3 (arXiv 1804.02767), 2.1; YOLOv5, models/yolo.py Detect (`v5`);
 * STM32 model zoo, postprocess.py yolo_head (st_yolo_lc: version 2).
 */
import { elements } from '../../graph/graph.ts'
import type { TensorInfo } from '../../graph/types.ts'
import { around, type Candidate } from '../boxes.ts'
import { argMax, outputOf, sigmoid, wrongOutputs } from '../values.ts'
import type { Decoder, Size, Thresholds } from './head.ts'

type Pairs = readonly (readonly [width: number, height: number])[]

export interface YoloGridHead extends Thresholds {
  kind: 'yolo-grid'
  /** Outputs, finest grid first, and the anchors of each. */
  grids: readonly { output: number; anchors: Pairs }[]
  /** What anchors are measured in. */
  unit: 'cells' | 'pixels' | 'shares'
  /** `v2`: softmax over classes. `v3`: a sigmoid each. `v5`: YOLOv5's and v7's coding of centres and sizes. */
  version: 'v2' | 'v3' | 'v5'
  /** The outputs hold sigmoids (and softmax) already; sizes stay logarithms. */
  activated?: boolean
}

/** Outputs centres [1, n, n, 2a], sizes [1, n, n, 2a] and scores [1, n, n, a], all before sigmoid and exp. */
export interface YoloSplitHead extends Thresholds {
  kind: 'yolo'
  /** Width and height of each anchor, in grid cells. */
  anchors: Pairs
}

/** Scores of classes: the best one's index and probability. */
function bestClass(t: ArrayLike<number>, at: number, classes: number, head: YoloGridHead): [number, number] {
  const index = argMax(t, at, classes)
  const best = t[at + index]!
  if (head.activated) return [index, best]
  if (head.version !== 'v2') return [index, sigmoid(best)]
  let sum = 0
  for (let c = 0; c < classes; c++) sum += Math.exp(t[at + c]! - best)
  return [index, 1 / sum]
}

/** Errors: `format/shape`. */
export function yoloGridDecoder(head: YoloGridHead, outputs: readonly TensorInfo[], input: Size): Decoder {
  const scales = head.grids.map(({ output, anchors }) => {
    const info = outputs[output]
    const [rows, columns, channels] = (info?.shape.slice(-3) ?? []) as [number, number, number]
    const values = channels / anchors.length
    if (info?.shape.length !== 4 || !Number.isInteger(values) || values < 5) {
      return wrongOutputs(head.kind, `output ${output}: [1, rows, columns, ${anchors.length} * (5 + classes)]`, outputs)
    }
    const unit = {
      cells: [1 / columns, 1 / rows] as const,
      pixels: [1 / input.width, 1 / input.height] as const,
      shares: [1, 1] as const,
    }[head.unit]
    return { output, anchors, rows, columns, values, classes: values - 5, unit }
  })
  const curve = head.activated ? (x: number): number => x : sigmoid
  const centre = head.version === 'v5' ? (x: number): number => 2 * curve(x) - 0.5 : curve
  const size = head.version === 'v5' ? (x: number): number => (2 * curve(x)) ** 2 : Math.exp
  return (all, threshold) => {
    const found: Candidate[] = []
    for (const { output, anchors, rows, columns, values, classes, unit } of scales) {
      const t = all[output]!
      for (let i = 0; i < rows * columns * anchors.length; i++) {
        const at = i * values
        const sure = curve(t[at + 4]!)
        if (!(sure >= threshold)) continue
        const [index, best] = classes > 0 ? bestClass(t, at + 5, classes, head) : [0, 1]
        const score = sure * best
        if (!(score >= threshold)) continue
        const cell = Math.floor(i / anchors.length)
        const [width, height] = anchors[i % anchors.length]!
        const x = ((cell % columns) + centre(t[at]!)) / columns
        const y = (Math.floor(cell / columns) + centre(t[at + 1]!)) / rows
        const box = around(x, y, width * size(t[at + 2]!) * unit[0], height * size(t[at + 3]!) * unit[1])
        found.push({ ...box, score, index })
      }
    }
    return found
  }
}

/**
 * centre = (cell + sigmoid(t)) / cells, size = anchor * exp(t) / cells. Errors: `format/shape` when the outputs do not
 * fit the head.
 */
export function yoloSplitDecoder(head: YoloSplitHead, outputs: readonly TensorInfo[]): Decoder {
  const count = head.anchors.length
  const [, rows = 0, columns = 0] = outputs.find((o) => o.shape.length === 4 && o.shape[3] === count)?.shape ?? []
  const scores = outputOf(outputs, { last: count, total: rows * columns * count }, 'scores')
  const total = 2 * rows * columns * count
  const centres = outputOf(outputs, { last: 2 * count, total }, 'centres')
  const sizes = outputOf(outputs, { last: 2 * count, total }, 'sizes', centres)
  return (values, threshold) => {
    const found: Candidate[] = []
    for (let i = 0; i < elements(outputs[scores]!.shape); i++) {
      const score = sigmoid(values[scores]![i]!)
      if (!(score >= threshold)) continue
      const [anchorWidth, anchorHeight] = head.anchors[i % count]!
      const cell = Math.floor(i / count)
      const cx = ((cell % columns) + sigmoid(values[centres]![2 * i]!)) / columns
      const cy = (Math.floor(cell / columns) + sigmoid(values[centres]![2 * i + 1]!)) / rows
      const width = (anchorWidth * Math.exp(values[sizes]![2 * i]!)) / columns
      const height = (anchorHeight * Math.exp(values[sizes]![2 * i + 1]!)) / rows
      found.push({ ...around(cx, cy, width, height), score, index: 0 })
    }
    return found
  }
}
