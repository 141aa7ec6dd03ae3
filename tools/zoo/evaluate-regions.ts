/**
 * How int8 files that look at one thing agree with their float networks, on the very same regions of photos: points by
 * their distance, masks by their overlap. Where something is, the float detector of the family says; masks count in
 * photos with a face where a twentieth is a person.
 *
 * Usage: npx tsx tools/zoo/evaluate-regions.ts MODEL PHOTO… [--every N]
 *   MODEL      face_mesh_468_192, hand_landmarks_21_224, pose_landmarks_33_256 or selfie_segmentation_256
 *   PHOTO      files and folders; none may be a calibration photo
 *   --every N  every Nth photo only
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { imagesIn } from '../../src/cli/files.ts'
import { asModel } from '../../src/float/as-model.ts'
import { decodeImage } from '../../src/image/decode.ts'
import { loadModel } from '../../src/node.ts'
import type { PixelImage } from '../../src/graph/types.ts'
import { boxOfPoints } from '../../src/vision/crop.ts'
import { createPoseEstimator, type Pose } from '../../src/vision/pose.ts'
import { createSegmenter } from '../../src/vision/segmenter.ts'
import { projectRoot } from './fetch.ts'
import { CROPS, finderOf } from './mediapipe.ts'
import { MODELS } from './models.ts'

const OF: Readonly<Record<string, keyof typeof CROPS | 'photo'>> = {
  face_mesh_468_192: 'face',
  hand_landmarks_21_224: 'hand',
  pose_landmarks_33_256: 'person',
  selfie_segmentation_256: 'photo',
}
/** The float network is as sure as this that there is something. */
const THERE = 0.5
/** Least share of a photo that the float network takes for a person. */
const PERSON = 0.05

const { values, positionals } = parseArgs({ allowPositionals: true, options: { every: { type: 'string' } } })
const [name = '', ...paths] = positionals
const [model, what] = [MODELS.find((m) => m.name === name), OF[name]]
if (!model || !what || paths.length === 0) {
  throw new Error(`usage: evaluate-regions.ts ${Object.keys(OF).join('|')} PHOTO…`)
}
const files = paths.flatMap((path) => (/\.\w+$/.test(path) ? [path] : imagesIn(path)))
const photos = files.filter((_, i) => i % Number(values.every ?? 1) === 0)
const networks = [
  asModel(await model.float()),
  await loadModel(join(projectRoot, 'weights', `${name}.thimble`)),
] as const

const mean = (list: readonly number[]): number => list.reduce((sum, v) => sum + v, 0) / list.length
const percent = (share: number): string => `${(100 * share).toFixed(2)} %`

/** Mean distance of the points, as a share of the diagonal of the box around those in float. */
function distance(float: Pose, int8: Pose): number {
  const { width, height } = boxOfPoints(float.points)
  const apart = float.points.map(({ x, y }, i) => Math.hypot(int8.points[i]!.x - x, int8.points[i]!.y - y))
  return mean(apart) / Math.hypot(width, height)
}

async function points(of: keyof typeof CROPS): Promise<string> {
  const [float, int8] = [await createPoseEstimator(networks[0]), await createPoseEstimator(networks[1])]
  const find = await finderOf(of)
  const apart: number[] = []
  let lost = 0
  for (const photo of photos) {
    const image = decodeImage(readFileSync(photo))
    for (const thing of find(image)) {
      const region = CROPS[of].crop(thing, image)
      const [want] = region ? float.estimateIn(image, region) : []
      if (!region || !want || want.score < THERE) continue
      const [got] = int8.estimateIn(image, region)
      if (got) apart.push(distance(want, got))
      else lost++
    }
  }
  apart.sort((a, b) => a - b)
  const at = (part: number): string => percent(apart[Math.floor(part * apart.length)] ?? NaN)
  return (
    `${apart.length + lost} times, ${lost} lost; points off by ${percent(mean(apart))} of the diagonal, ` +
    `median ${at(0.5)}, 9 of 10 within ${at(0.9)}`
  )
}

async function masks(): Promise<string> {
  const [float, int8] = [await createSegmenter(networks[0]), await createSegmenter(networks[1])]
  const person = (image: PixelImage, segmenter: typeof float): boolean[] =>
    Array.from(segmenter.segment(image).mask, (v) => v > 0)
  const find = await finderOf('face')
  const overlaps: number[] = []
  for (const photo of photos) {
    const image = decodeImage(readFileSync(photo))
    if (find(image).length === 0) continue
    const want = person(image, float)
    const shown = want.filter(Boolean).length
    if (shown < PERSON * want.length) continue
    const got = person(image, int8)
    const both = got.filter((v, i) => v && want[i]).length
    overlaps.push(both / (shown + got.filter(Boolean).length - both))
  }
  overlaps.sort((a, b) => a - b)
  return (
    `${overlaps.length} with a person; overlap ${percent(mean(overlaps))}, ` +
    `9 of 10 at least ${percent(overlaps[Math.floor(overlaps.length / 10)] ?? NaN)}`
  )
}

console.log(`${name}: ${photos.length} photos, ${what === 'photo' ? await masks() : await points(what)}`)
