/** SSD heads: anchors, box coding, class scores. No dependencies. */
import { elements } from '../../graph/graph.ts'
import type { TensorInfo } from '../../graph/types.ts'
import { around, type Candidate, type Corners } from '../boxes.ts'
import { argMax, outputOf, sigmoid, wrongOutputs } from '../values.ts'
import type { Decoder, Size, Thresholds } from './head.ts'

interface Coded extends Thresholds {
  /** Divisors of ty, tx, th, tw. */
  boxScales: readonly [number, number, number, number]
  scores: 'sigmoid' | 'softmax' | 'identity'
  /** Class 0 is the background: no detection, and not counted among the classes. */
  background?: boolean
}

/** Outputs [1, n, 4] (ty, tx, th, tw relative to anchors) and [1, n, classes]. */
export interface SsdHead extends Coded {
  kind: 'ssd'
  /** Height and width of each feature map, in the order of the anchors. */
  maps: readonly (readonly [number, number])[]
  /** Anchor sizes of the first and last map, as shares of the image; in between evenly. */
  minScale: number
  maxScale: number
  /**
   * Anchor shapes, width over height. The first map has three anchors: 0.1 square, and the scale at the 2nd and 3rd
   * ratio.
   */
  aspectRatios: readonly number[]
  /** Where the square between this map's scale and the next one's stands: behind the plain square, or at the end. */
  between?: 'square' | 'last'
}

/** The same outputs over the levels of a feature pyramid: SSD FPN, RetinaNet, EfficientDet. */
export interface PyramidHead extends Coded {
  kind: 'ssd-fpn' | 'efficientdet'
  /** Levels of the pyramid: a cell of level l has 2^l pixels. */
  levels: readonly [first: number, last: number]
  /** Side of the smallest square anchor, in cells. */
  anchorScale: number
  /** Anchors between one size and twice of it. */
  scalesPerOctave: number
  aspectRatios: readonly number[]
}

/**
 * Corner offsets relative to anchors that are outputs themselves: scores [1, n, 1 + classes] (background first),
 * offsets and anchors [1, n, 4], or all three side by side in one output. Source: STM32 model zoo, postprocess.py.
 */
export interface AnchoredHead extends Thresholds {
  kind: 'ssd-anchors'
  scores: number
  /** Missing: behind the scores, in the same output. */
  offsets?: number
  anchors?: number
}

/** Side of the extra small square anchor of the first map. */
const FIRST_SCALE = 0.1

/** Anchors as centre y, centre x, height, width: four numbers each, shares of the image. */
export type Anchors = Float64Array

/** Height and width of an anchor of the given size and ratio. */
const shape = (size: number, ratio: number): [number, number] => [size / Math.sqrt(ratio), size * Math.sqrt(ratio)]

/** Height and width of each anchor shape of one map. */
function shapes({ maps, minScale, maxScale, aspectRatios, between }: SsdHead, map: number): [number, number][] {
  const scaleOf = (m: number): number =>
    m >= maps.length ? 1 : minScale + (maps.length === 1 ? 0 : ((maxScale - minScale) * m) / (maps.length - 1))
  const scale = scaleOf(map)
  if (map === 0) {
    return [shape(FIRST_SCALE, 1), shape(scale, aspectRatios[1] ?? 2), shape(scale, aspectRatios[2] ?? 0.5)]
  }
  const middle = shape(Math.sqrt(scale * scaleOf(map + 1)), 1)
  if (between === 'last') return [...aspectRatios.map((ratio) => shape(scale, ratio)), middle]
  return aspectRatios.flatMap((ratio) => (ratio === 1 ? [shape(scale, 1), middle] : [shape(scale, ratio)]))
}

/**
 * All anchors, map by map, row by row. Source: SSD (arXiv 1512.02325) 2.2; TensorFlow object detection,
 * multiple_grid_anchor_generator.
 */
export function ssdAnchors(head: SsdHead): Anchors {
  const out: number[] = []
  head.maps.forEach(([rows, columns], map) => {
    const each = shapes(head, map)
    for (let y = 0; y < rows; y++) {
      for (let x = 0; x < columns; x++) for (const [h, w] of each) out.push((y + 0.5) / rows, (x + 0.5) / columns, h, w)
    }
  })
  return Float64Array.from(out)
}

/**
 * All anchors of a pyramid. Source: TensorFlow object detection, multiscale_grid_anchor_generator (sizes vary fastest;
 * cells of 2^level pixels, no offset where these do not divide the input); automl, efficientdet/tf2/anchors.py (ratios
 * vary fastest; cells are equal parts of the input).
 */
export function pyramidAnchors(head: PyramidHead, input: Size): Anchors {
  const out: number[] = []
  const octaves = Array.from({ length: head.scalesPerOctave }, (_, i) => 2 ** (i / head.scalesPerOctave))
  const equal = head.kind === 'efficientdet'
  /** Shares of a side: the step from cell to cell, and the first centre. */
  const steps = (side: number, level: number): { cells: number; step: number; first: number } => {
    const cells = Math.ceil(side / 2 ** level)
    const step = equal ? 1 / cells : 2 ** level / side
    return { cells, step, first: equal || side % 2 ** level === 0 ? step / 2 : 0 }
  }
  for (let level = head.levels[0]; level <= head.levels[1]; level++) {
    const [down, across] = [steps(input.height, level), steps(input.width, level)]
    const sized = (octave: number, ratio: number): [number, number] => {
      const [h, w] = shape(head.anchorScale * octave, ratio)
      return [h * down.step, w * across.step]
    }
    const each = equal
      ? octaves.flatMap((octave) => head.aspectRatios.map((ratio) => sized(octave, ratio)))
      : head.aspectRatios.flatMap((ratio) => octaves.map((octave) => sized(octave, ratio)))
    for (let y = 0; y < down.cells; y++) {
      for (let x = 0; x < across.cells; x++) {
        for (const [h, w] of each) out.push(down.first + y * down.step, across.first + x * across.step, h, w)
      }
    }
  }
  return Float64Array.from(out)
}

/** Box of an anchor and its four codes; shares of the image. */
export function decodeBox(
  codes: ArrayLike<number>,
  anchors: Anchors,
  i: number,
  [sy, sx, sh, sw]: Coded['boxScales'],
): Corners {
  const [ay, ax, ah, aw] = [anchors[4 * i]!, anchors[4 * i + 1]!, anchors[4 * i + 2]!, anchors[4 * i + 3]!]
  const cy = (codes[4 * i]! / sy) * ah + ay
  const cx = (codes[4 * i + 1]! / sx) * aw + ax
  const h = Math.exp(codes[4 * i + 2]! / sh) * ah
  const w = Math.exp(codes[4 * i + 3]! / sw) * aw
  return around(cx, cy, w, h)
}

/** Probability of class `index` as a function of all scores and where an anchor's `count` ones begin. */
function probability(
  how: Coded['scores'],
  count: number,
): (all: ArrayLike<number>, at: number, index: number) => number {
  if (how === 'sigmoid') return (all, at, index) => sigmoid(all[at + index]!)
  if (how === 'identity') return (all, at, index) => all[at + index]!
  return (all, at, index) => {
    const raw = all[at + index]!
    let sum = 0
    for (let c = 0; c < count; c++) sum += Math.exp(all[at + c]! - raw)
    return 1 / sum
  }
}

/**
 * A function from the outputs' real values to candidates with at least the given score, one per anchor (its best
 * class).
 * Errors: `format/shape` when the outputs do not fit the head.
 */
export function ssdDecoder(head: SsdHead | PyramidHead, outputs: readonly TensorInfo[], input: Size): Decoder {
  const anchors = head.kind === 'ssd' ? ssdAnchors(head) : pyramidAnchors(head, input)
  const count = anchors.length / 4
  const boxes = outputOf(outputs, { last: 4, total: 4 * count }, 'boxes')
  const scores = outputs.findIndex((o, i) => i !== boxes && o.shape.at(-2) === count)
  const classes = scores < 0 ? outputOf(outputs, { last: 1, total: count }, 'scores') : outputs[scores]!.shape.at(-1)!
  const first = head.background ? 1 : 0
  const scoreOf = probability(head.scores, classes)
  return (values, threshold) => {
    const found: Candidate[] = []
    const all = values[scores]!
    for (let i = 0; i < count; i++) {
      const index = argMax(all, i * classes + first, classes - first)
      const score = scoreOf(all, i * classes, first + index)
      if (score >= threshold) {
        found.push({ ...decodeBox(values[boxes]!, anchors, i, head.boxScales), score, index })
      }
    }
    return found
  }
}

/** Boxes are cut at the input's borders before they are compared. Errors: `format/shape`. */
export function anchoredDecoder(head: AnchoredHead, outputs: readonly TensorInfo[]): Decoder {
  const one = head.offsets === undefined || head.anchors === undefined
  const width = outputs[head.scores]?.shape.at(-1) ?? 0
  const count = width > 0 ? elements(outputs[head.scores]!.shape) / width : 0
  const classes = one ? width - 8 : width
  const four = (i: number | undefined): boolean =>
    i !== undefined && outputs[i]?.shape.at(-1) === 4 && elements(outputs[i].shape) === 4 * count
  if (classes < 2 || (!one && !(four(head.offsets) && four(head.anchors)))) {
    return wrongOutputs(
      head.kind,
      'scores [1, n, 1 + classes], offsets and anchors [1, n, 4], or side by side',
      outputs,
    )
  }
  const unit = (v: number): number => Math.max(0, Math.min(1, v))
  return (values, threshold) => {
    const scores = values[head.scores]!
    const [offsets, anchors] = one ? [scores, scores] : [values[head.offsets!]!, values[head.anchors!]!]
    const step = one ? width : 4
    const [atOffsets, atAnchors] = one ? [classes, classes + 4] : [0, 0]
    const found: Candidate[] = []
    for (let i = 0; i < count; i++) {
      // Every class above the threshold is a candidate of its own.
      for (let c = 1; c < classes; c++) {
        const score = scores[i * width + c]!
        if (!(score > threshold)) continue
        const [x1, y1, x2, y2] = Array.from({ length: 4 }, (_, k) => anchors[i * step + atAnchors + k]!) as [
          number,
          number,
          number,
          number,
        ]
        const offset = (k: number): number => offsets[i * step + atOffsets + k]!
        found.push({
          left: unit(offset(0) * (x2 - x1) + x1),
          top: unit(offset(1) * (y2 - y1) + y1),
          right: unit(offset(2) * (x2 - x1) + x2),
          bottom: unit(offset(3) * (y2 - y1) + y2),
          score,
          index: c - 1,
        })
      }
    }
    return found
  }
}
