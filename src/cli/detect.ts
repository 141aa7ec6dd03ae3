/** `thimble detect`: boxes of what is in photos. */
import type { Model, PixelImage } from '../graph/types.ts'
import type { DetectorOptions } from '../vision/detector.ts'
import { printedDetection } from '../vision/printed.ts'
import { boxLine, visionCommand, type PhotoAnswer } from './photos.ts'
import { printable } from '../base/markup.ts'

const turnedBy = (angle: number): string => `turned by ${Math.round((angle * 180) / Math.PI)} degrees`

async function open(model: Model, options: DetectorOptions): Promise<(image: PixelImage) => PhotoAnswer> {
  const [{ createDetector }, { annotate }] = await Promise.all([
    import('../vision/detector.ts'),
    import('../draw/annotate.ts'),
  ])
  const detector = await createDetector(model, options)
  const only = detector.labels.length === 1 ? detector.labels[0] : undefined
  return (image) => {
    const found = detector.detect(image)
    const widest = Math.max(0, ...found.map((d) => printable(d.label).length))
    return {
      json: {
        detections: found.map(printedDetection),
      },
      lines: found.length
        ? found.map((d) => boxLine(d, widest, d.turned ? turnedBy(d.turned.angle) : ''))
        : [`  no${only === undefined ? 'thing' : ` ${printable(only)}`} reaches a score of ${detector.scoreThreshold}`],
      timings: { ...detector.timings },
      picture: () => annotate(image, found),
      crops: found,
    }
  }
}

export const command = visionCommand({
  name: 'detect',
  task: 'detection',
  summary: 'Finds things in photos: a box, a label and a score for each.',
  usage: 'detect [PHOTO...] [--model MODEL] [--labels FILE] [--threshold T] [--json] [--out FILE.png] [--crop DIR]',
  modelHelp: "a detector: a shipped model's name, or a .tflite: YOLO, SSD, FOMO, … (default: the 80 things of COCO)",
  open,
})
