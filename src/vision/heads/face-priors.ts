/**
 * Two detectors of faces with five points, coded against boxes of the cells: RetinaFace (two square priors a cell) and
 * YuNet (the cell itself; three strides, an output each).
 * Source: biubug6/Pytorch_Retinaface, utils/box_utils.py, layers/functions/prior_box.py; OpenCV,
 * modules/objdetect/src/face_detect.cpp.
 */
import { elements } from '../../graph/graph.ts'
import type { TensorInfo } from '../../graph/types.ts'
import { around, type Candidate, type Corners } from '../boxes.ts'
import { softmax, wrongOutputs } from '../values.ts'
import type { Decoder, Size, Thresholds } from './head.ts'

export interface RetinaFaceHead extends Thresholds {
  kind: 'retinaface'
  /** [priors, 4], [priors, 2], [priors, 10]. */
  boxes: number
  scores: number
  points: number
  /** Scores are logits. */
  logits?: boolean
}

export interface YuNetHead extends Thresholds {
  kind: 'yunet'
  /** Two scores of each cell whose geometric mean counts, boxes [cells, 4], points [cells, 10]. */
  levels: readonly { stride: number; classes: number; objects: number; boxes: number; points: number }[]
}

/** A box that others are coded against: centre and size, shares of the input. */
export type Prior = readonly [x: number, y: number, width: number, height: number]

/** Square priors of each cell, grid by grid, row by row; of a grid the stride, then the sides, in pixels. */
export const priorsOf = (
  { width, height }: Size,
  grids: readonly (readonly [stride: number, ...sides: number[]])[],
): Prior[] =>
  grids.flatMap(([stride, ...sides]) => {
    const [rows, columns] = [Math.ceil(height / stride), Math.ceil(width / stride)]
    return Array.from({ length: rows * columns }, (_, i): Prior[] => {
      const x = (((i % columns) + 0.5) * stride) / width
      const y = ((Math.floor(i / columns) + 0.5) * stride) / height
      return sides.map((side) => [x, y, side / width, side / height])
    }).flat()
  })

/** Box by its four codes from `at` on: the centre by tenths of the prior's size, sizes as logarithms by fifths. */
export const besides = ([x, y, w, h]: Prior, codes: ArrayLike<number>, at: number): Corners =>
  around(
    x + codes[at]! * 0.1 * w,
    y + codes[at + 1]! * 0.1 * h,
    w * Math.exp(codes[at + 2]! * 0.2),
    h * Math.exp(codes[at + 3]! * 0.2),
  )

const PRIORS = [
  [8, 16, 32],
  [16, 64, 128],
  [32, 256, 512],
] as const

/** Errors: `format/shape`. */
export function retinaFaceDecoder(head: RetinaFaceHead, outputs: readonly TensorInfo[], input: Size): Decoder {
  const all = priorsOf(input, PRIORS)
  const fits = (at: number, width: number): boolean => elements(outputs[at]?.shape ?? []) === width * all.length
  if (!fits(head.boxes, 4) || !fits(head.scores, 2) || !fits(head.points, 10)) {
    return wrongOutputs(head.kind, `[${all.length}, 4], [${all.length}, 2] and [${all.length}, 10]`, outputs)
  }
  return (values, threshold) => {
    const [b, s, p] = [values[head.boxes]!, values[head.scores]!, values[head.points]!]
    return all.flatMap((prior, i): Candidate[] => {
      const score = head.logits ? softmax(s, 2 * i, 2)[1]! : s[2 * i + 1]!
      if (!(score > threshold)) return []
      const [x, y, w, h] = prior
      const points = Array.from({ length: 5 }, (_, k) => ({
        x: x + p[10 * i + 2 * k]! * 0.1 * w,
        y: y + p[10 * i + 2 * k + 1]! * 0.1 * h,
      }))
      return [{ ...besides(prior, b, 4 * i), score, index: 0, points }]
    })
  }
}

const clamped = (v: number): number => Math.max(0, Math.min(1, v))

/** Errors: `format/shape`. */
export function yuNetDecoder(head: YuNetHead, outputs: readonly TensorInfo[], input: Size): Decoder {
  const levels = head.levels.map((level) => {
    const columns = Math.ceil(input.width / level.stride)
    return { ...level, columns, count: Math.ceil(input.height / level.stride) * columns }
  })
  const fits = (at: number, total: number): boolean => elements(outputs[at]?.shape ?? []) === total
  const right = levels.every(
    ({ count, classes, objects, boxes, points }) =>
      fits(classes, count) && fits(objects, count) && fits(boxes, 4 * count) && fits(points, 10 * count),
  )
  if (!right) wrongOutputs(head.kind, 'two scores, 4 and 10 numbers for every cell', outputs)
  return (values, threshold) =>
    levels.flatMap(({ stride, columns, count, ...at }) => {
      const [c, o, b, p] = [values[at.classes]!, values[at.objects]!, values[at.boxes]!, values[at.points]!]
      const [sx, sy] = [stride / input.width, stride / input.height]
      const found: Candidate[] = []
      for (let i = 0; i < count; i++) {
        const score = Math.sqrt(clamped(c[i]!) * clamped(o[i]!))
        if (!(score > threshold)) continue
        const [x, y] = [i % columns, Math.floor(i / columns)]
        const size = (k: number): number => Math.exp(b[4 * i + k]!)
        found.push({
          ...around((x + b[4 * i]!) * sx, (y + b[4 * i + 1]!) * sy, size(2) * sx, size(3) * sy),
          score,
          index: 0,
          points: Array.from({ length: 5 }, (_, k) => ({
            x: (x + p[10 * i + 2 * k]!) * sx,
            y: (y + p[10 * i + 2 * k + 1]!) * sy,
          })),
        })
      }
      return found
    })
}
