/**
 * MediaPipe's anchor-based detectors: BlazeFace (6 key points), palm detection (7), pose detection (4 or 2). Anchors
 * are cell centres alone; boxes and points are pixels of the input relative to them.
 * Source: MediaPipe, ssd_anchors_calculator.cc (fixed_anchor_size) and tensors_to_detections_calculator.cc.
 */
import { elements } from '../../graph/graph.ts'
import type { TensorInfo } from '../../graph/types.ts'
import { around, type Candidate } from '../boxes.ts'
import { sigmoid, wrongOutputs } from '../values.ts'
import type { Decoder, Size, Thresholds } from './head.ts'

export interface BlazeHead extends Thresholds {
  kind: 'blazeface' | 'palm' | 'blazepose'
  /** Pixels of the input to a cell, and anchors to a cell, map by map. */
  maps: readonly (readonly [stride: number, anchors: number])[]
  /** Key points behind the box. */
  points: number
  /** The outputs hold probabilities already. */
  activated?: boolean
}

/** MediaPipe's score_clipping_thresh. */
const CLIP = 100

/** Centres of all anchors, x and y in turn, shares of the input. */
export function blazeAnchors(maps: BlazeHead['maps'], input: Size): Float64Array {
  const out: number[] = []
  for (const [stride, anchors] of maps) {
    const [columns, rows] = [Math.ceil(input.width / stride), Math.ceil(input.height / stride)]
    for (let i = 0; i < rows * columns; i++) {
      for (let a = 0; a < anchors; a++) {
        out.push(((i % columns) + 0.5) / columns, (Math.floor(i / columns) + 0.5) / rows)
      }
    }
  }
  return Float64Array.from(out)
}

/** Outputs with `last` values a row that together have `count` rows, most rows first. */
function parts(outputs: readonly TensorInfo[], last: number, count: number): number[] | undefined {
  const rows = (i: number): number => elements(outputs[i]!.shape) / last
  const at = outputs.map((_, i) => i).filter((i) => outputs[i]!.shape.at(-1) === last)
  at.sort((a, b) => rows(b) - rows(a))
  return at.reduce((n, i) => n + rows(i), 0) === count ? at : undefined
}

/** Errors: `format/shape`. */
export function blazeDecoder(head: BlazeHead, outputs: readonly TensorInfo[], input: Size): Decoder {
  const anchors = blazeAnchors(head.maps, input)
  const count = anchors.length / 2
  const width = 4 + 2 * head.points
  const boxes = parts(outputs, width, count)
  const scores = parts(outputs, 1, count) ?? parts(outputs, count, 1)
  if (!boxes || !scores) {
    return wrongOutputs(head.kind, `[${count}, ${width}] and [${count}, 1], perhaps in parts`, outputs)
  }
  return (all, threshold) => {
    const found: Candidate[] = []
    const [rawBoxes, rawScores] = [boxes, scores].map((list) =>
      list.length === 1 ? all[list[0]!]! : list.flatMap((i) => Array.from(all[i]!)),
    ) as [ArrayLike<number>, ArrayLike<number>]
    for (let i = 0; i < count; i++) {
      const raw = rawScores[i]!
      const score = head.activated ? raw : Math.fround(sigmoid(Math.max(-CLIP, Math.min(CLIP, raw))))
      if (!(score >= threshold)) continue
      const at = i * width
      const [ax, ay] = [anchors[2 * i]!, anchors[2 * i + 1]!]
      const x = (k: number): number => rawBoxes[at + k]! / input.width
      const y = (k: number): number => rawBoxes[at + k]! / input.height
      found.push({
        ...around(x(0) + ax, y(1) + ay, x(2), y(3)),
        score,
        index: 0,
        points: Array.from({ length: head.points }, (_, p) => ({ x: x(4 + 2 * p) + ax, y: y(5 + 2 * p) + ay })),
      })
    }
    return found
  }
}
