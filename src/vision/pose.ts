/** A pose estimator: image in, named key points in the image's own pixels out. No dependencies. */
import { disposable, type Disposes } from '../base/dispose.ts'
import { ThimbleError } from '../base/errors.ts'
import type { Preprocess } from '../graph/graph.ts'
import type { Picture } from '../image/rows.ts'
import type { FrameSource } from '../image/source.ts'
import { checkOptions, type Rules } from '../options/options.ts'
import type { Model } from '../graph/types.ts'
import type { Box, Candidate } from './boxes.ts'
import { boxOfPoints, circleBox, regionOf } from './crop.ts'
import { pointDecoder } from './decoders.ts'
import { chooser, DETECTOR_RULES, type DetectorOptions, cutBox, givesBoxes, toBox, uncutBox } from './detector.ts'
import { type Crop, cropAfter, type PosePoint } from './found.ts'
import { type Region, toPhoto, type View } from './frame.ts'
import { type BoxHead, type Head, type PointHead, taskOfHead } from './head.ts'
import { type Answers, answering, Network, type VisionTimings } from './network.ts'
import { skeletonOf } from './skeletons.ts'

/** The key points of one person, hand or face, with a score from 0 to 1. */
export interface Pose {
  score: number
  label: string
  /** The network's box, or the one around the points; cut at the image's borders, missing when outside of it. */
  box?: Box
  /** The box before it was cut, where it was. */
  uncut?: Box
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
  estimateIn(image: Picture, region: Region): Pose[]
}

/** A pose estimator's options. */
export interface PoseOptions extends DetectorOptions {
  /**
   * Finds who a landmark network looks at: MediaPipe's detector of faces, palms or people, as a pose estimator. The
   * network then sees each of them upright in a crop, as in MediaPipe's own pipelines. Default: it sees the whole
   * photo.
   */
  finder?: PoseEstimator
}

/** Detectors whose points say how a crop lies. */
const FINDERS = ['palm', 'blazeface', 'blazepose'] as const
const finderKind = ({ head }: PoseEstimator): (typeof FINDERS)[number] | undefined =>
  FINDERS.find((kind) => kind === head.kind)

const isEstimator = (v: unknown): v is PoseEstimator => typeof v === 'object' && v !== null && 'estimateIn' in v
const POSE_RULES: Rules<PoseOptions> = {
  ...DETECTOR_RULES,
  finder: {
    expected: `a pose estimator of a ${FINDERS.join(', ')} network`,
    accepts: (v) => isEstimator(v) && finderKind(v) !== undefined,
  },
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

/** Times of several runs together. */
const plus = (a: VisionTimings, b: VisionTimings): VisionTimings => ({
  preprocessMs: a.preprocessMs + b.preprocessMs,
  inferMs: a.inferMs + b.inferMs,
  headMs: a.headMs + b.headMs,
})

type PosingHead = (BoxHead | PointHead) & Head
const POINTED: readonly Head['kind'][] = [
  'blazeface',
  'palm',
  'blazepose',
  'dbface',
  'centerface',
  'scrfd',
  'yunet',
  'retinaface',
]
const givesPoints = (head: Head): head is PosingHead => taskOfHead(head) === 'pose' || POINTED.includes(head.kind)

/** Looks at a photo, or a region of it, once. */
function looker(network: Network<PosingHead>, options: DetectorOptions): (image: Picture, region?: Region) => Seen {
  const { head, model, framer, scoreThreshold } = network
  const most = options.maxDetections ?? 100
  let choose: (values: Float32Array[], view: View) => Candidate[]
  if (givesBoxes(head)) choose = chooser(network as Network<BoxHead & Head>, options)
  else {
    const decode = pointDecoder(head, model.outputs, framer.input)
    choose = (values) => decode(values, scoreThreshold).slice(0, most)
  }
  const look = head.kind === 'landmarks' ? head.look : undefined
  return (image, region) =>
    network.run(
      image,
      (values, view) => {
        const candidates = choose(values, view)
        const poses = candidates.map((c): Pose => {
          const points = posePoints(c, view)
          // In a turned crop the box around its points is not the photo's.
          const around = head.kind === 'landmarks' ? boxOfPoints(points) : undefined
          const uncut = around ?? uncutBox(c, view)
          const box = around ? cutBox(around, image) : toBox(c, view, image)
          const cut = box && (box.width < uncut.width || box.height < uncut.height)
          return {
            score: c.score,
            label: network.label(c.index),
            ...(box && { box }),
            ...(cut && { uncut }),
            points,
          }
        })
        return { poses, next: look && candidates[0] && closer(candidates[0], view, look) }
      },
      region,
    )
}

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
export async function createPoseEstimator(model: Model, options: PoseOptions = {}): Promise<PoseEstimator> {
  checkOptions('createPoseEstimator', options, POSE_RULES)
  const { finder, ...rest } = options
  const task = { code: 'usage/not-a-pose-model', gives: 'points' } as const
  const network = new Network(model, rest, task, givesPoints)
  const { head, framer, scoreThreshold, timings } = network
  if (finder && head.kind !== 'landmarks') {
    throw new ThimbleError('usage/option', 'only landmark networks are shown what a finder finds', {
      expected: 'a landmarks head',
      got: `a ${head.kind} head`,
    })
  }
  const seen = looker(network, rest)
  /** The whole photo, then closer where the network says so. */
  const whole = (image: Picture): Pose[] => {
    let answer = seen(image)
    let total = { ...timings }
    for (let n = 0; n < LOOKS && answer.next; n++) {
      const again = seen(image, answer.next)
      total = plus(total, timings)
      if (again.poses.length === 0) break
      answer = again
    }
    Object.assign(timings, total)
    return answer.poses
  }
  /** Everyone that is found, each in a crop. */
  const each = (image: Picture, { estimate, timings: finding }: PoseEstimator, crop: Crop): Pose[] => {
    const found = estimate(image as FrameSource)
    let total = { ...finding }
    const poses = found.flatMap((pose) => {
      const region = pose.box && crop({ ...pose, box: pose.box, index: 0 }, image)
      if (!region) return []
      const answer = seen(image, region)
      total = plus(total, timings)
      return answer.poses
    })
    Object.assign(timings, total)
    return poses
  }
  return {
    model,
    head,
    preprocess: framer.preprocess,
    scoreThreshold,
    timings,
    ...disposable(() => [model, finder].forEach((owned) => owned?.dispose())),
    estimate: answering(
      options.decode,
      finder ? (image) => each(image, finder, cropAfter(finderKind(finder)!)) : whole,
    ),
    estimateIn: (image, region) => seen(image, region).poses,
  }
}
