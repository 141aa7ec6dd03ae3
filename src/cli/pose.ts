/** `thimble pose`: key points of people, hands or faces in photos. */
import type { Model, PixelImage } from '../graph/types.ts'
import type { DetectorOptions } from '../vision/detector.ts'
import type { Pose } from '../vision/pose.ts'
import { printedPose } from '../vision/printed.ts'
import type { Args } from './command.ts'
import { FINDER_OPTION, openFinder } from './finder.ts'
import { boxLine, visionCommand, type PhotoAnswer } from './photos.ts'

/** How many of a pose's points are sure enough to be drawn. */
function sure({ points }: Pose): string {
  const scored = points.filter((q) => q.score !== undefined)
  return scored.length ? `${scored.filter((q) => q.score! >= 0.3).length} of ${points.length} points` : ''
}

async function open(model: Model, options: DetectorOptions, args: Args): Promise<(image: PixelImage) => PhotoAnswer> {
  const [{ createPoseEstimator }, { annotatePoses }] = await Promise.all([
    import('../vision/pose.ts'),
    import('../draw/annotate.ts'),
  ])
  const estimator = await createPoseEstimator(model, { ...options, ...(await openFinder(args, model)) })
  return (image) => {
    const poses = estimator.estimate(image)
    const widest = Math.max(0, ...poses.map((p) => p.label.length))
    return {
      json: { poses: poses.map(printedPose) },
      lines: poses.length
        ? poses.map((p) => boxLine(p, widest, sure(p)))
        : [`  nobody reaches a score of ${estimator.scoreThreshold}`],
      timings: { ...estimator.timings },
      picture: () => annotatePoses(image, poses),
      crops: poses.flatMap((p) => (p.box ? [{ box: p.box, label: p.label }] : [])),
    }
  }
}

export const command = visionCommand({
  name: 'pose',
  task: 'pose',
  summary: 'Finds the key points of people, hands or faces in photos.',
  usage: 'pose [PHOTO...] --model MODEL [--threshold T] [--json] [--out FILE.png] [--crop DIR]',
  modelHelp: 'MoveNet, PoseNet, YOLO-pose, or a landmark network of MediaPipe',
  more: FINDER_OPTION,
  notes: 'Points that score below 0.3 are not drawn; JSON has them all.',
  open,
})
