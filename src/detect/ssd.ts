/** SSD heads: anchors, box coding, class scores. No dependencies. */
import type { Candidate } from './boxes.ts'
import { outputOf, type SsdHead } from './head.ts'
import type { TensorInfo } from '../types.ts'

/** Side of the extra small square anchor of the first map. */
const FIRST_SCALE = 0.1

/** Anchors as centre y, centre x, height, width: four numbers each, shares of the image. */
export type Anchors = Float64Array

/** Height and width of each anchor shape of one map. */
function shapes({ maps, minScale, maxScale, aspectRatios }: SsdHead, map: number): [number, number][] {
  const scaleOf = (m: number): number =>
    m >= maps.length ? 1 : minScale + (maps.length === 1 ? 0 : ((maxScale - minScale) * m) / (maps.length - 1))
  const scale = scaleOf(map)
  const shape = (size: number, ratio: number): [number, number] => [size / Math.sqrt(ratio), size * Math.sqrt(ratio)]
  if (map === 0) {
    return [shape(FIRST_SCALE, 1), shape(scale, aspectRatios[1] ?? 2), shape(scale, aspectRatios[2] ?? 0.5)]
  }
  // A square between this map's scale and the next one's follows the plain square.
  return aspectRatios.flatMap((ratio) =>
    ratio === 1 ? [shape(scale, 1), shape(Math.sqrt(scale * scaleOf(map + 1)), 1)] : [shape(scale, ratio)],
  )
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

/** Box of an anchor and its four codes; shares of the image. */
export function decodeBox(
  codes: ArrayLike<number>,
  anchors: Anchors,
  i: number,
  [sy, sx, sh, sw]: SsdHead['boxScales'],
): Pick<Candidate, 'left' | 'top' | 'right' | 'bottom'> {
  const [ay, ax, ah, aw] = [anchors[4 * i]!, anchors[4 * i + 1]!, anchors[4 * i + 2]!, anchors[4 * i + 3]!]
  const cy = (codes[4 * i]! / sy) * ah + ay
  const cx = (codes[4 * i + 1]! / sx) * aw + ax
  const h = Math.exp(codes[4 * i + 2]! / sh) * ah
  const w = Math.exp(codes[4 * i + 3]! / sw) * aw
  return { left: cx - w / 2, top: cy - h / 2, right: cx + w / 2, bottom: cy + h / 2 }
}

export const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x))

/**
 * A function from the outputs' real values to candidates with at least the given score, one per anchor (its best
 * class).
 * Errors: `format/shape` when the outputs do not fit the head.
 */
export function ssdDecoder(
  head: SsdHead,
  outputs: readonly TensorInfo[],
): (values: readonly ArrayLike<number>[], threshold: number) => Candidate[] {
  const anchors = ssdAnchors(head)
  const count = anchors.length / 4
  const boxes = outputOf(outputs, 4, 4 * count, 'boxes')
  const scores = outputs.findIndex((o, i) => i !== boxes && o.shape.at(-2) === count)
  const classes = scores < 0 ? outputOf(outputs, 1, count, 'scores') : outputs[scores]!.shape.at(-1)!
  return (values, threshold) => {
    const found: Candidate[] = []
    const all = values[scores]!
    for (let i = 0; i < count; i++) {
      let best = 0
      for (let c = 1; c < classes; c++) if (all[i * classes + c]! > all[i * classes + best]!) best = c
      const raw = all[i * classes + best]!
      const score = head.scores === 'sigmoid' ? sigmoid(raw) : raw
      if (score >= threshold) {
        found.push({ ...decodeBox(values[boxes]!, anchors, i, head.boxScales), score, index: best })
      }
    }
    return found
  }
}
