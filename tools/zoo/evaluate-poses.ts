/**
 * How far points of poses lie from those of MediaPipe's own pose solution: detector, crop and landmarks together.
 * Distances are shares of the diagonal of the box around MediaPipe's points; points that MediaPipe calls visible count.
 *
 * Usage: npx tsx tools/zoo/evaluate-poses.ts MEDIAPIPE.json [--float] [--no-finder]
 *   MEDIAPIPE.json  of tools/zoo/mediapipe_pose.py; none of its photos may be a calibration photo
 *   --float         the float networks instead of the int8 files
 *   --no-finder     the landmark network alone, on whole photos
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { asModel } from '../../src/float/as-model.ts'
import { decodeImage } from '../../src/image/decode.ts'
import { loadModel } from '../../src/node.ts'
import type { Model } from '../../src/graph/types.ts'
import { boxOfPoints } from '../../src/vision/crop.ts'
import { createPoseEstimator, type Pose } from '../../src/vision/pose.ts'
import { projectRoot } from './fetch.ts'
import { MODELS } from './models.ts'

type Known = readonly (readonly [x: number, y: number, visibility: number])[]
/** A pose is another person's where its points are farther away than this share of the diagonal. */
const OTHER = 0.25

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { float: { type: 'boolean' }, 'no-finder': { type: 'boolean' } },
})
const known = JSON.parse(readFileSync(positionals[0]!, 'utf8')) as Record<string, Known>

async function open(name: string): Promise<Model> {
  if (values.float) return asModel(await MODELS.find((m) => m.name === name)!.float())
  return loadModel(join(projectRoot, 'weights', `${name}.thimble`))
}

const finder = values['no-finder'] ? undefined : await createPoseEstimator(await open('pose_detector_224'))
const estimator = await createPoseEstimator(await open('pose_landmarks_33_256'), finder ? { finder } : {})

/** Distances of the visible points, as shares of the person's diagonal. */
function distances({ points }: Pose, want: Known): number[] {
  const { width, height } = boxOfPoints(want.map(([x, y]) => ({ x, y })))
  const diagonal = Math.hypot(width, height)
  return want.flatMap(([x, y, visibility], i) =>
    visibility > 0.5 ? [Math.hypot(points[i]!.x - x, points[i]!.y - y) / diagonal] : [],
  )
}
const mean = (list: readonly number[]): number => list.reduce((sum, v) => sum + v, 0) / list.length

const persons: number[] = []
const all: number[] = []
const lost: string[] = []
for (const [photo, want] of Object.entries(known)) {
  const each = estimator
    .estimate(decodeImage(readFileSync(photo)))
    .map((pose) => distances(pose, want))
    .sort((a, b) => mean(a) - mean(b))
  const [nearest] = each
  if (!nearest || nearest.length === 0 || mean(nearest) > OTHER) {
    lost.push(photo)
    continue
  }
  persons.push(mean(nearest))
  all.push(...nearest)
}
persons.sort((a, b) => a - b)
all.sort((a, b) => a - b)
const percent = (share: number | undefined): string => `${(100 * (share ?? NaN)).toFixed(2)} %`
const at = (list: readonly number[], part: number): string =>
  percent(list[Math.min(list.length - 1, Math.floor(part * list.length))])
console.log(
  `${persons.length} of ${Object.keys(known).length} persons; points off by ${percent(mean(all))} of the diagonal, median ` +
    `${at(all, 0.5)}, 95 of 100 within ${at(all, 0.95)}; persons: median ${at(persons, 0.5)}, 9 of 10 within ${at(persons, 0.9)}`,
)
if (lost.length) console.log(`not found: ${lost.join(' ')}`)
