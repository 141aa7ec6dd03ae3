/**
 * Findings as JSON prints them: the same from every command and route. Coordinates to a tenth of a pixel, scores to
 * four digits.
 */
import type { Box } from './boxes.ts'
import type { Detection } from './detector.ts'
import type { Face } from './faces.ts'
import type { Pose } from './pose.ts'
import type { Segmentation } from './segmenter.ts'

export const rounded = (n: number, digits: number): number => Number(n.toFixed(digits))

export const printedBox = (b: Box): Box => ({
  x: rounded(b.x, 1),
  y: rounded(b.y, 1),
  width: rounded(b.width, 1),
  height: rounded(b.height, 1),
})

export const printedDetection = ({ box, score, label, index, turned }: Detection): Detection => ({
  box: printedBox(box),
  score: rounded(score, 4),
  label,
  index,
  ...(turned && {
    turned: {
      ...printedBox(turned),
      angle: rounded(turned.angle, 4),
      corners: turned.corners.map(([x, y]) => [rounded(x, 1), rounded(y, 1)]),
    },
  }),
})

export const printedPose = ({ score, box, points }: Pose): object => ({
  score: rounded(score, 4),
  ...(box && { box: printedBox(box) }),
  points: points.map((p) => ({
    name: p.name,
    x: rounded(p.x, 1),
    y: rounded(p.y, 1),
    ...(p.score !== undefined && { score: rounded(p.score, 4) }),
  })),
})

/** Classes, objects, map and picture. */
export const printedSegments = (found: Segmentation): Record<string, unknown> => ({
  classes: found.classes.map((c) => ({ ...c, share: rounded(c.share, 6) })),
  ...(found.instances && {
    instances: found.instances.map((i) => ({ ...i, box: printedBox(i.box), score: rounded(i.score, 4) })),
  }),
  ...(found.picture && { picture: { width: found.picture.width, height: found.picture.height } }),
  ...(found.map && { map: { min: found.map.min, max: found.map.max } }),
})

export function printedFace(f: Face): Record<string, unknown> {
  const scored = (a: { label: string; score: number }): object => ({ label: a.label, score: rounded(a.score, 4) })
  return {
    ...printedDetection(f),
    ...(f.points ? { points: f.points.map(([x, y]) => [rounded(x, 1), rounded(y, 1)]) } : {}),
    ...(f.age === undefined ? {} : { age: rounded(f.age, 1) }),
    ...(f.gender ? { gender: scored(f.gender) } : {}),
    ...(f.expression ? { expression: scored(f.expression) } : {}),
  }
}
