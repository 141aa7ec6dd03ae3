/**
 * Detectors that give a few numbers for every cell of grids of several strides and leave the rest to the caller: the
 * sides' distances from the cell (perhaps as a distribution each), class scores, perhaps key points or mask
 * coefficients.
 * Source: Ultralytics, nn/modules/head.py (YOLOv8 and later before its end); NanoDet-Plus, nanodet_plus_head.py;
 * PaddleDetection, pico_head.py; InsightFace, scrfd.py; MMDetection, rtmdet_head.py.
 */
import { elements } from '../../graph/graph.ts'
import type { TensorInfo } from '../../graph/types.ts'
import type { Candidate, CandidatePoint } from '../boxes.ts'
import { argMax, sigmoid, wrongOutputs } from '../values.ts'
import type { Decoder, Size, Thresholds } from './head.ts'

/** Where some of the numbers are: an output, the first column of its rows, the first row. */
export interface Part {
  output: number
  column?: number
  row?: number
}

export interface Level {
  /** Pixels of a cell. */
  stride: number
  boxes: Part
  scores: Part
  points?: Part
  coefficients?: Part
}

export interface LevelsHead extends Thresholds {
  kind: 'yolo-levels' | 'nanodet' | 'picodet' | 'rtmdet' | 'scrfd'
  levels: readonly Level[]
  classes: number
  /** Candidates of each cell. */
  anchors: number
  /** Numbers that a side's distance is the mean of; 1: the distance itself. */
  bins: number
  /** What distances count: strides, or pixels of the input. */
  unit: 'strides' | 'pixels'
  /** Where in a cell distances start: its upper left corner or its middle. */
  centre: 'corner' | 'middle'
  /** Scores are logits. */
  logits: boolean
  /** Rows are candidates, or columns are. */
  layout: 'rows' | 'columns'
  /** Key points of each candidate. */
  points?: number
  /** Mask coefficients of each candidate, and the output that holds the prototypes. */
  masks?: number
  prototypes?: number
}

/** Reads number `k` of candidate `i`. */
type Read = (i: number, k: number) => number

/** How many numbers the rows of a part have, of an output that holds `total` rows. */
const widthOf = (outputs: readonly TensorInfo[], part: Part, total: number): number =>
  elements(outputs[part.output]?.shape ?? []) / total

/** The mean of a distribution over 0, 1, 2, … that logits give. */
function meanOf(read: Read, i: number, { first, bins }: { first: number; bins: number }): number {
  if (bins === 1) return read(i, first)
  let most = -Infinity
  for (let k = 0; k < bins; k++) most = Math.max(most, read(i, first + k))
  let [sum, mean] = [0, 0]
  for (let k = 0; k < bins; k++) {
    const power = Math.exp(read(i, first + k) - most)
    sum += power
    mean += k * power
  }
  return mean / sum
}

/** Key points: YOLO's as twice the distance and a logit, others' as distances from the centre. */
function pointsOf(
  head: LevelsHead,
  at: { read: Read; i: number; x: number; y: number },
  scale: readonly [number, number],
): CandidatePoint[] {
  const { read, i, x, y } = at
  const yolo = head.kind === 'yolo-levels'
  return Array.from({ length: head.points! }, (_, p) =>
    yolo
      ? {
          x: (x - 0.5 + 2 * read(i, 3 * p)) * scale[0],
          y: (y - 0.5 + 2 * read(i, 3 * p + 1)) * scale[1],
          score: sigmoid(read(i, 3 * p + 2)),
        }
      : { x: (x + read(i, 2 * p)) * scale[0], y: (y + read(i, 2 * p + 1)) * scale[1] },
  )
}

/** Errors: `format/shape`. */
export function levelsDecoder(head: LevelsHead, outputs: readonly TensorInfo[], input: Size): Decoder {
  const { anchors, bins, classes, layout } = head
  const numbers = {
    boxes: 4 * bins,
    scores: classes,
    points: (head.points ?? 0) * (head.kind === 'yolo-levels' ? 3 : 2),
  }
  const levels = head.levels.map((level) => {
    const columns = Math.ceil(input.width / level.stride)
    return { ...level, columns, count: Math.ceil(input.height / level.stride) * columns * anchors }
  })
  const whole = levels.some(({ boxes }) => boxes.row !== undefined)
  const all = levels.reduce((sum, { count }) => sum + count, 0)
  const fits = (part: Part | undefined, count: number, least: number): boolean => {
    const width = part ? widthOf(outputs, part, whole ? all : count) : least
    return Number.isInteger(width) && width >= (part?.column ?? 0) + least
  }
  const wrong = levels.some(
    ({ count, boxes, scores, points, coefficients }) =>
      !fits(boxes, count, numbers.boxes) ||
      !fits(scores, count, numbers.scores) ||
      !fits(points, count, numbers.points) ||
      !fits(coefficients, count, head.masks ?? 0),
  )
  if (wrong) wrongOutputs(head.kind, `for every cell ${4 * bins} numbers of a box and ${classes} scores`, outputs)
  const shift = head.centre === 'middle' ? 0.5 : 0
  return (values, threshold) => {
    const found: Candidate[] = []
    for (const level of levels) {
      const { stride, columns, count } = level
      const reader = (part: Part): Read => {
        const t = values[part.output]!
        const total = whole ? all : count
        const [row, step] = layout === 'rows' ? [widthOf(outputs, part, total), 1] : [1, total]
        const from = (part.row ?? 0) * row + (part.column ?? 0) * step
        return (i, k) => t[from + i * row + k * step]!
      }
      const [box, score] = [reader(level.boxes), reader(level.scores)]
      const [marks, coefficients] = [
        level.points && reader(level.points),
        level.coefficients && reader(level.coefficients),
      ]
      const best = new Float32Array(classes)
      const scale = [stride / input.width, stride / input.height] as const
      const length = head.unit === 'pixels' ? 1 / stride : 1
      for (let i = 0; i < count; i++) {
        for (let c = 0; c < classes; c++) best[c] = score(i, c)
        const index = argMax(best, 0, classes)
        const sure = head.logits ? sigmoid(best[index]!) : best[index]!
        if (!(sure > threshold || (head.kind === 'scrfd' && sure === threshold))) continue
        const cell = Math.floor(i / anchors)
        const [x, y] = [(cell % columns) + shift, Math.floor(cell / columns) + shift]
        const side = (s: number): number => length * meanOf(box, i, { first: s * bins, bins })
        found.push({
          left: (x - side(0)) * scale[0],
          top: (y - side(1)) * scale[1],
          right: (x + side(2)) * scale[0],
          bottom: (y + side(3)) * scale[1],
          score: sure,
          index,
          ...(marks && { points: pointsOf(head, { read: marks, i, x, y }, scale) }),
          ...(coefficients && {
            coefficients: Float32Array.from({ length: head.masks! }, (_, k) => coefficients(i, k)),
          }),
        })
      }
    }
    return found
  }
}
