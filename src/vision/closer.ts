/** A closer look at what a detector is not sure of. No dependencies. */
import type { PixelImage } from '../graph/types.ts'
import type { Box } from './boxes.ts'
import { cropBox, cropImage } from './crop.ts'
import type { Detection } from './detector.ts'

/** Sides of the squares around a weak detection that are looked at, in sides of its box: both have to agree. */
const AROUND = [2, 3]
/** Most weak detections of an image that are looked at again. */
const MOST_LOOKS = 8

const centre = ({ x, y, width, height }: Box): [number, number] => [x + width / 2, y + height / 2]
const side = ({ width, height }: Box): number => Math.max(width, height)

/** Whether two boxes are of one thing: their centres lie within half of the larger one's side. */
function same(a: Box, b: Box): boolean {
  const [[ax, ay], [bx, by]] = [centre(a), centre(b)]
  return Math.hypot(ax - bx, ay - by) < 0.5 * Math.max(side(a), side(b))
}

/** What `detect` finds of a box's thing in a square around it, best first, in pixels of the image. */
function lookAt(
  image: PixelImage,
  box: Box,
  { around, detect }: { around: number; detect: (image: PixelImage) => Detection[] },
): Detection | undefined {
  const [x, y] = centre(box)
  const size = side(box) * around
  const part = cropBox({ x: x - size / 2, y: y - size / 2, width: size, height: size }, image)
  if (!part) return undefined
  return detect(cropImage(image, part))
    .map((d) => ({ ...d, box: { ...d.box, x: d.box.x + part.x, y: d.box.y + part.y } }))
    .find((d) => same(d.box, box))
}

/**
 * Detections of `detect` that score at least `threshold`, and of the weaker ones those that do so in every square
 * around them: there they have the lower of those scores. Best first.
 */
export function withCloserLooks(
  image: PixelImage,
  detect: (image: PixelImage) => Detection[],
  threshold: number,
): Detection[] {
  const first = detect(image)
  const sure = first.filter((d) => d.score >= threshold)
  const weak = first.filter((d) => d.score < threshold)
  for (const { box } of weak.slice(0, MOST_LOOKS)) {
    if (sure.some((d) => same(d.box, box))) continue
    const looks = AROUND.map((around) => lookAt(image, box, { around, detect }))
    const worst = looks.reduce((a, b) => (a && b && b.score < a.score ? b : a && b ? a : undefined))
    if (worst && worst.score >= threshold) sure.push(worst)
  }
  return sure.sort((a, b) => b.score - a.score)
}
