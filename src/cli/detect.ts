/** `thimble detect`: boxes of what is in photos. */
import { choice, number, text, whole } from './args.ts'
import type { Args, Command } from './command.ts'
import { labelFile } from './files.ts'
import { defaultModel, load, loadOptions, openModel, RUN_OPTIONS } from './models.ts'
import { eachPhoto, PHOTO_NOTES, PHOTO_OPTIONS } from './photos.ts'

async function run(args: Args): Promise<number> {
  const model = text(args, 'model') === undefined ? defaultModel('detection') : openModel(text(args, 'model')!)
  return eachPhoto(args, { command, model }, async () => {
    const [{ createDetector }, { headKinds }, { annotate }] = await Promise.all([
      import('../vision/detector.ts'),
      import('../vision/recognise.ts'),
      import('../draw/annotate.ts'),
    ])
    const labels = labelFile(args)
    const head = choice(args, 'head', headKinds)
    const detector = await createDetector(await load(model, loadOptions(args)), {
      ...(labels ? { labels } : {}),
      ...(head ? { head } : {}),
      ...(text(args, 'threshold') === undefined ? {} : { scoreThreshold: number(args, 'threshold', 0, 0, 1) }),
      ...(text(args, 'iou') === undefined ? {} : { iouThreshold: number(args, 'iou', 0, 0, 1) }),
      maxDetections: whole(args, 'top', 100, 1, 10_000),
    })
    return {
      key: 'detections',
      nothing: `nothing reaches a score of ${detector.scoreThreshold}`,
      annotate,
      answer: (image) => {
        const found = detector.detect(image)
        return { found, timings: { ...detector.timings } }
      },
    }
  })
}

export const command: Command = {
  name: 'detect',
  summary: 'Finds things in photos: a box, a label and a score for each.',
  usage: 'detect [PHOTO...] [--model MODEL] [--labels FILE] [--threshold T] [--top N] [--json] [--out FILE.png]',
  options: {
    model: {
      type: 'string',
      short: 'm',
      value: 'MODEL',
      help: "a detector: a shipped model's name, or a .tflite: YOLO, SSD, FOMO, … (default: faces)",
    },
    labels: {
      type: 'string',
      short: 'l',
      value: 'FILE',
      help: 'class names: one per line, "index name" lines, or JSON',
    },
    threshold: {
      type: 'string',
      value: 'SCORE',
      help: "leave out what scores below this, 0 to 1 (default: the model's own, or 0.5)",
    },
    iou: {
      type: 'string',
      value: 'IOU',
      help: "boxes of one class that overlap more than this are one (default: the model's own)",
    },
    head: {
      type: 'string',
      value: 'KIND',
      help: 'what the outputs mean: yolo5, yolo8, ssd, fomo, … (default: recognised; docs/heads.md)',
    },
    top: { type: 'string', short: 'n', value: 'N', help: 'most detections per photo (default: 100)' },
    ...PHOTO_OPTIONS,
    ...RUN_OPTIONS,
  },
  notes: PHOTO_NOTES,
  run,
}
