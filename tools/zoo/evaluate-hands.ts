/**
 * How many of the hands that MediaPipe's own hands solution finds are found here, palm detector, crop and landmarks
 * together, and how far their points lie apart: shares of the diagonal of the box around MediaPipe's points.
 *
 * Usage: npx tsx tools/zoo/evaluate-hands.ts MEDIAPIPE.json [--float]
 *   MEDIAPIPE.json  of tools/zoo/mediapipe_hands.py; none of its photos may be a calibration photo
 *   --float         the float networks instead of the int8 files
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

type Known = readonly (readonly [x: number, y: number])[]
/** A hand is another one where its points are farther away than this share of the diagonal. */
const OTHER = 0.25

const { values, positionals } = parseArgs({ allowPositionals: true, options: { float: { type: 'boolean' } } })
const known = JSON.parse(readFileSync(positionals[0]!, 'utf8')) as Record<string, Known[]>

async function open(name: string): Promise<Model> {
  if (values.float) return asModel(await MODELS.find((m) => m.name === name)!.float())
  return loadModel(join(projectRoot, 'weights', `${name}.thimble`))
}

const finder = await createPoseEstimator(await open('palm_detector_192'))
const estimator = await createPoseEstimator(await open('hand_landmarks_21_224'), { finder })

const mean = (list: readonly number[]): number => list.reduce((sum, v) => sum + v, 0) / list.length

/** Mean distance of the points, as a share of the hand's diagonal. */
function apart({ points }: Pose, want: Known): number {
  const { width, height } = boxOfPoints(want.map(([x, y]) => ({ x, y })))
  return mean(want.map(([x, y], i) => Math.hypot(points[i]!.x - x, points[i]!.y - y))) / Math.hypot(width, height)
}

const distances: number[] = []
let more = 0
let hands = 0
for (const [photo, wanted] of Object.entries(known)) {
  const left = estimator.estimate(decodeImage(readFileSync(photo)))
  hands += wanted.length
  for (const want of wanted) {
    const each = left.map((pose, i) => ({ i, distance: apart(pose, want) }))
    const nearest = each.sort((a, b) => a.distance - b.distance)[0]
    if (!nearest || nearest.distance > OTHER) continue
    distances.push(nearest.distance)
    left.splice(nearest.i, 1)
  }
  more += left.length
}
distances.sort((a, b) => a - b)
const at = (part: number): string =>
  `${(100 * (distances[Math.min(distances.length - 1, Math.floor(part * distances.length))] ?? NaN)).toFixed(2)} %`
console.log(
  `${distances.length} of ${hands} hands on ${Object.keys(known).length} photos, ${more} more; points of a hand off by ` +
    `${(100 * mean(distances)).toFixed(2)} % of its diagonal, median ${at(0.5)}, 9 of 10 within ${at(0.9)}`,
)
