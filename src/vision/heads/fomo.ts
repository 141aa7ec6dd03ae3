/**
 * FOMO: a grid of class probabilities, background first. Neighbouring cells of one class are one object.
 * Source: Edge Impulse, inferencing-sdk-cpp, ei_fill_result_struct.h: cells are joined in reading order, each to the
 * first object of its class that it touches; objects that then touch an earlier one are left out. An object does not
 * grow to the left or upwards: there the SDK moves its corner and keeps its size, and so does this.
 */
import type { TensorInfo } from '../../graph/types.ts'
import type { Candidate } from '../boxes.ts'
import { softmax, wrongOutputs } from '../values.ts'
import type { Decoder, Thresholds } from './head.ts'

export interface FomoHead extends Thresholds {
  kind: 'fomo'
  output: number
  /** Classes are taken for independent or softmax probabilities as they are; `softmax`: the output holds logits. */
  scores?: 'identity' | 'softmax'
}

/** An object in cells. */
interface Cube {
  x: number
  y: number
  width: number
  height: number
  score: number
  index: number
}

/** Joins `b` to `a` where they touch, corners included; says whether they do. */
function join(a: Cube, b: Cube): boolean {
  if (a.x + a.width < b.x || a.y + a.height < b.y || a.x > b.x + b.width || a.y > b.y + b.height) return false
  a.x = Math.min(a.x, b.x)
  a.y = Math.min(a.y, b.y)
  a.width = Math.max(a.width, b.x + b.width - a.x)
  a.height = Math.max(a.height, b.y + b.height - a.y)
  a.score = Math.max(a.score, b.score)
  return true
}

/** Joins each cell to the first earlier object of its class that it touches. */
function joinCells(cells: readonly Cube[]): Cube[] {
  const kept: Cube[] = []
  for (const cell of cells) {
    if (!kept.some((k) => k.index === cell.index && join(k, cell))) kept.push({ ...cell })
  }
  return kept
}

/** Leaves out objects that touch an earlier one of their class; what is kept stays as it is, only its reach grows. */
function distinct(objects: readonly Cube[]): Cube[] {
  const reach: Cube[] = []
  return objects.filter((o) => {
    if (reach.some((r) => r.index === o.index && join(r, o))) return false
    reach.push({ ...o })
    return true
  })
}

/** Errors: `format/shape`. */
export function fomoDecoder(head: FomoHead, outputs: readonly TensorInfo[]): Decoder {
  const shape = outputs[head.output]?.shape ?? []
  const [rows, columns, channels] = shape.slice(-3) as [number, number, number]
  if (shape.length < 3 || channels < 2) {
    return wrongOutputs(head.kind, `output ${head.output}: [1, rows, columns, 1 + classes]`, outputs)
  }
  return (all, threshold) => {
    const t = all[head.output]!
    const cells: Cube[] = []
    for (let i = 0; i < rows * columns; i++) {
      const scores = head.scores === 'softmax' ? softmax(t, i * channels, channels) : undefined
      for (let c = 1; c < channels; c++) {
        const score = scores ? scores[c]! : t[i * channels + c]!
        if (!(score >= threshold)) continue
        cells.push({ x: i % columns, y: Math.floor(i / columns), width: 1, height: 1, score, index: c - 1 })
      }
    }
    return distinct(joinCells(cells)).map(({ x, y, width, height, score, index }): Candidate => ({
      left: x / columns,
      top: y / rows,
      right: (x + width) / columns,
      bottom: (y + height) / rows,
      score,
      index,
    }))
  }
}
