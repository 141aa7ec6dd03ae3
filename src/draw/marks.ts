/** What is drawn on a photo: boxes, points, bones and captions. */
import type { Box } from '../vision/boxes.ts'
import type { Detection } from '../vision/detector.ts'
import type { Face } from '../vision/faces.ts'
import type { Pose } from '../vision/pose.ts'
import { skeletonOf } from '../vision/skeletons.ts'

/** One thing found, in pixels of the photo. */
export interface Mark {
  box?: Box
  /** Corners of the outline that is drawn instead of the box. */
  outline?: readonly (readonly [x: number, y: number])[]
  /** Lines of text. */
  captions: readonly string[]
  /** Marks of one key have one colour. */
  key: string
  points?: readonly { x: number; y: number; faint?: boolean }[]
  bones?: readonly (readonly [number, number])[]
}

const percent = (score: number): string => `${Math.round(score * 100)}%`

/** What is written at a box: a line each. */
export function captions(d: Detection | Face): string[] {
  const face = d as Face
  if (face.gender === undefined && face.age === undefined && face.expression === undefined) {
    return [`${d.label} ${percent(d.score)}`]
  }
  const who = [face.gender?.label, face.age === undefined ? undefined : `${Math.round(face.age)}`]
    .filter(Boolean)
    .join(', ')
  return [who, face.expression?.label ?? ''].filter((s) => s !== '')
}

/** Detections and faces; `id` of a tracked one is written first. */
export const detectionMarks = (found: readonly (Detection | Face)[]): Mark[] =>
  found.map((d): Mark => {
    const points = (d as Face).points?.map(([x, y]) => ({ x, y }))
    return {
      box: d.box,
      ...(d.turned && { outline: d.turned.corners }),
      captions: captions(d),
      key: String(d.index),
      ...(points && { points, bones: skeletonOf(points.length).bones }),
    }
  })

/** Points that score below this are drawn faintly, and bones between them not at all. */
const FAINT = 0.3

/** Poses, a colour each. */
export const poseMarks = (poses: readonly Pose[]): Mark[] =>
  poses.map((p, i): Mark => {
    const points = p.points.map(({ x, y, score = 1 }) => ({ x, y, faint: score < FAINT }))
    const { bones } = skeletonOf(p.points.length)
    return {
      // A box that is only the points' own says nothing more.
      captions: [`${p.label} ${percent(p.score)}`],
      key: `pose ${i}`,
      points,
      bones: bones.filter(([a, b]) => !points[a]?.faint && !points[b]?.faint),
      ...(p.box && { box: p.box }),
    }
  })
