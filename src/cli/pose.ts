/** `thimble pose`: key points of people, hands or faces in photos. */
import type { Pose } from '../vision/pose.ts'
import { badCall, text } from './args.ts'
import type { Args, Command } from './command.ts'
import { defaultModel, openModel, shippedModels } from './models.ts'
import {
  boxLine,
  CROP_OPTION,
  eachPhoto,
  HEAD_OPTIONS,
  openVision,
  PHOTO_NOTES,
  PHOTO_OPTIONS,
  printedBox,
  rounded,
} from './photos.ts'

async function run(args: Args): Promise<number> {
  const name = text(args, 'model')
  if (name === undefined && !shippedModels().some((m) => m.task === 'pose')) {
    throw badCall(command, 'no model for poses is shipped: give one with --model')
  }
  const file = name === undefined ? defaultModel('pose') : openModel(name)
  return eachPhoto(args, { command, model: file }, async () => {
    const [{ createPoseEstimator }, { annotatePoses }] = await Promise.all([
      import('../vision/pose.ts'),
      import('../draw/annotate.ts'),
    ])
    const { model, options } = await openVision(args, file)
    const estimator = await createPoseEstimator(model, options)
    return (image) => {
      const poses = estimator.estimate(image)
      const sure = (p: (typeof poses)[number]): string => {
        const scored = p.points.filter((q) => q.score !== undefined)
        return scored.length ? `${scored.filter((q) => q.score! >= 0.3).length} of ${p.points.length} points` : ''
      }
      return {
        json: {
          poses: poses.map(printedPose),
        },
        lines: poses.length
          ? poses.map((p) => boxLine(p, Math.max(...poses.map((q) => q.label.length)), sure(p)))
          : [`  nobody reaches a score of ${estimator.scoreThreshold}`],
        timings: { ...estimator.timings },
        picture: () => annotatePoses(image, poses),
        crops: poses.flatMap((p) => (p.box ? [{ box: p.box, label: p.label }] : [])),
      }
    }
  })
}

/** A pose as JSON prints it. */
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

export const command: Command = {
  name: 'pose',
  summary: 'Finds the key points of people, hands or faces in photos.',
  usage: 'pose [PHOTO...] --model MODEL [--threshold T] [--json] [--out FILE.png] [--crop DIR]',
  options: {
    model: {
      type: 'string',
      short: 'm',
      value: 'MODEL',
      help: 'MoveNet, PoseNet, YOLO-pose, or a landmark network of MediaPipe',
    },
    ...HEAD_OPTIONS,
    ...PHOTO_OPTIONS,
    ...CROP_OPTION,
  },
  notes: `${PHOTO_NOTES}\nPoints that score below 0.3 are not drawn; JSON has them all.`,
  run,
}
