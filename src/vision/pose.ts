/** A pose estimator: image in, named key points in the image's own pixels out. No dependencies. */
import { disposable, type Disposes } from '../dispose.ts'
import type { Preprocess } from '../graph.ts'
import { checkOptions } from '../options.ts'
import type { Model, PixelImage } from '../types.ts'
import type { Box, Candidate } from './boxes.ts'
import { circleBox, regionOf } from './crop.ts'
import { pointDecoder } from './decoders.ts'
import { chooser, DETECTOR_RULES, type DetectorOptions, givesBoxes, toBox } from './detector.ts'
import { type Region, toPhoto, type View } from './frame.ts'
import { type BoxHead, type Head, type PointHead, taskOfHead } from './head.ts'
import { type Answers, answering, Network, type VisionTimings } from './network.ts'
import { skeletonOf } from './skeletons.ts'

/** A key point in pixels of the photo. */
export interface PosePoint {
  name: string
  x: number
  y: number
  /** Missing where the network gives points no score of their own. */
  score?: number
}

/** The key points of one person, hand or face, with a score from 0 to 1. */
export interface Pose {
  score: number
  label: string
  /** The network's box, or the one around the points; cut at the image's borders, missing when outside of it. */
  box?: Box
  /** May lie outside of the image: points that the network guesses. */
  points: PosePoint[]
}

/** Finds key points; its buffers are kept. */
export interface PoseEstimator extends Disposes {
  readonly model: Model
  readonly head: Head
  readonly preprocess: Preprocess
  readonly scoreThreshold: number
  /** Milliseconds of the latest call. */
  readonly timings: Readonly<VisionTimings>
  /** Who is in an image, best score first. Errors: `image/…`. */
  readonly estimate: Answers<Pose[]>
  /** The same in a region of the photo, which fills the network's input. Errors: `image/pixels`. */
  estimateIn(image: PixelImage, region: Region): Pose[]
}

/** Points of a candidate in a photo. */
export function posePoints(c: Candidate, view: View): PosePoint[] {
  const points = c.points ?? []
  const { names } = skeletonOf(points.length)
  return points.slice(0, names.length || points.length).map((p, i) => {
    const [x, y] = toPhoto(view, p.x, p.y)
    return { name: names[i] ?? String(i), x, y, ...(p.score !== undefined && { score: p.score }) }
  })
}

/** Poses, and where the network says to look from closer. */
interface Seen {
  poses: Pose[]
  next: Region | undefined
}
/** Looks at a whole photo's person, each where the one before said. */
const LOOKS = 2
/** MediaPipe's pose_landmarks_to_roi.pbtxt. */
const MARGIN = 0.25

/** The upright square around the circle of a person, see LandmarksHead.look. */
function closer({ points = [] }: Candidate, view: View, [middle, edge]: readonly [number, number]): Region | undefined {
  const [from, to] = [middle, edge].map((i) => {
    const [x, y] = toPhoto(view, points[i]?.x ?? NaN, points[i]?.y ?? NaN)
    return { x, y }
  }) as [{ x: number; y: number }, { x: number; y: number }]
  return regionOf(circleBox(from, to), { margin: MARGIN, direction: { from, to, towards: -90 } })
}

type PosingHead = (BoxHead | PointHead) & Head
const POINTED: readonly Head['kind'][] = ['blazeface', 'palm', 'blazepose', 'dbface']
const givesPoints = (head: Head): head is PosingHead => taskOfHead(head) === 'pose' || POINTED.includes(head.kind)

/**
 * Makes a pose estimator of a loaded model: MoveNet, PoseNet, YOLO-pose, MediaPipe's landmark networks and detectors.
 * Errors: `usage/not-a-pose-model`, and those of `createDetector`.
 *
 * @example
 * import { readFile } from 'node:fs/promises'
 * import { loadModel } from 'thimble'
 * import { createPoseEstimator } from 'thimble/vision'
 * using estimator = await createPoseEstimator(await loadModel('pose.tflite'))
 * for (const { score, points } of await estimator.estimate(await readFile('portrait.jpg'))) {
 *   console.log(score, points.map(({ name, x, y }) => `${name} at ${x}, ${y}`))
 * }
 */
export async function createPoseEstimator(model: Model, options: DetectorOptions = {}): Promise<PoseEstimator> {
  checkOptions('createPoseEstimator', options, DETECTOR_RULES)
  const task = { code: 'usage/not-a-pose-model', gives: 'points' } as const
  const network = new Network(model, options, task, givesPoints)
  const { head, framer, scoreThreshold, timings } = network
  const most = options.maxDetections ?? 100
  let choose: (values: Float32Array[]) => Candidate[]
  if (givesBoxes(head)) choose = chooser(network as Network<BoxHead & Head>, options)
  else {
    const decode = pointDecoder(head, model.outputs, framer.input)
    choose = (values) => decode(values, scoreThreshold).slice(0, most)
  }
  const look = head.kind === 'landmarks' ? head.look : undefined
  const seen = (image: PixelImage, region?: Region): Seen =>
    network.run(
      image,
      (values, view) => {
        const candidates = choose(values)
        const poses = candidates.map((c): Pose => {
          const box = toBox(c, view, image)
          return { score: c.score, label: network.label(c.index), ...(box && { box }), points: posePoints(c, view) }
        })
        return { poses, next: look && candidates[0] && closer(candidates[0], view, look) }
      },
      region,
    )
  const poses = (image: PixelImage): Pose[] => {
    let answer = seen(image)
    const total = { ...timings }
    for (let n = 0; n < LOOKS && answer.next; n++) {
      const again = seen(image, answer.next)
      total.preprocessMs += timings.preprocessMs
      total.inferMs += timings.inferMs
      total.headMs += timings.headMs
      if (again.poses.length === 0) break
      answer = again
    }
    Object.assign(timings, total)
    return answer.poses
  }
  return {
    model,
    head,
    preprocess: framer.preprocess,
    scoreThreshold,
    timings,
    ...disposable(() => model.dispose()),
    estimate: answering(options.decode, poses),
    estimateIn: (image, region) => seen(image, region).poses,
  }
}
