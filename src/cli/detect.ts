/** `thimble detect`: boxes of what is in photos. */
import { text } from './args.ts'
import type { Args, Command } from './command.ts'
import { defaultModel, openModel } from './models.ts'
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
import { printable } from './report.ts'

async function run(args: Args): Promise<number> {
  const file = text(args, 'model') === undefined ? defaultModel('detection') : openModel(text(args, 'model')!)
  return eachPhoto(args, { command, model: file }, async () => {
    const [{ createDetector }, { annotate }] = await Promise.all([
      import('../vision/detector.ts'),
      import('../draw/annotate.ts'),
    ])
    const { model, options } = await openVision(args, file)
    const detector = await createDetector(model, options)
    return (image) => {
      const found = detector.detect(image)
      const widest = Math.max(0, ...found.map((d) => printable(d.label).length))
      return {
        json: {
          detections: found.map(({ box, score, label, index }) => ({
            box: printedBox(box),
            score: rounded(score, 4),
            label,
            index,
          })),
        },
        lines: found.length
          ? found.map((d) => boxLine(d, widest))
          : [`  nothing reaches a score of ${detector.scoreThreshold}`],
        timings: { ...detector.timings },
        picture: () => annotate(image, found),
        crops: found,
      }
    }
  })
}

export const command: Command = {
  name: 'detect',
  summary: 'Finds things in photos: a box, a label and a score for each.',
  usage: 'detect [PHOTO...] [--model MODEL] [--labels FILE] [--threshold T] [--json] [--out FILE.png] [--crop DIR]',
  options: {
    model: {
      type: 'string',
      short: 'm',
      value: 'MODEL',
      help: "a detector: a shipped model's name, or a .tflite: YOLO, SSD, FOMO, … (default: faces)",
    },
    ...HEAD_OPTIONS,
    ...PHOTO_OPTIONS,
    ...CROP_OPTION,
  },
  notes: PHOTO_NOTES,
  run,
}
