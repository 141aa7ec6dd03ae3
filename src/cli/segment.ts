/** `thimble segment`: what each pixel of photos shows. */
import type { Model, PixelImage } from '../graph/types.ts'
import type { DetectorOptions } from '../vision/detector.ts'
import type { Segmentation } from '../vision/segmenter.ts'
import { printedSegments } from '../vision/printed.ts'
import { boxLine, visionCommand, type PhotoAnswer } from './photos.ts'
import { printable } from '../base/markup.ts'
import { encodeIndexedPng } from './tensor-picture.ts'

/** Classes as lines, largest first; or what a map or a picture is. */
function lines({ classes, instances, map, picture, width, height }: Segmentation): string[] {
  if (picture) return [`  a picture of ${picture.width} x ${picture.height}; --out writes it`]
  if (map) return [`  ${width} x ${height} numbers from ${+map.min.toPrecision(4)} to ${+map.max.toPrecision(4)}`]
  const widest = Math.max(0, ...[...classes, ...(instances ?? [])].map((c) => printable(c.label).length))
  if (instances) {
    return instances.length ? instances.map((i) => boxLine(i, widest)) : ['  nothing reaches the threshold']
  }
  return classes.map(
    (c) => `  ${printable(c.label).padEnd(widest)}  ${(c.share * 100).toFixed(1).padStart(5)} %  ${c.pixels} pixels`,
  )
}

async function open(model: Model, options: DetectorOptions): Promise<(image: PixelImage) => PhotoAnswer> {
  const [{ createSegmenter }, { annotateSegmentation, maskColours, mapPicture }, { encodePng }] = await Promise.all([
    import('../vision/segmenter.ts'),
    import('../draw/annotate.ts'),
    import('./tensor-picture.ts'),
  ])
  const segmenter = await createSegmenter(model, options)
  /** Colour numbers are class indices (plus one where 0 is no class). */
  const mask = (found: Segmentation): Uint8Array => {
    if (found.map) return encodePng(mapPicture(found, found.map))
    if (found.picture) return encodePng(found.picture)
    const colour = maskColours(found, segmenter.background)
    const most = found.classes.reduce((n, c) => Math.max(n, c.index + (found.offset ? 1 : 0)), 0)
    const palette = Array.from({ length: most + 1 }, (_, i) => colour(i) ?? ([0, 0, 0] as const))
    return encodeIndexedPng(found.mask, found, palette)
  }
  return (image) => {
    const found = segmenter.segment(image)
    return {
      json: printedSegments(found),
      lines: lines(found),
      timings: { ...segmenter.timings },
      picture: () => annotateSegmentation(image, found, segmenter.background),
      crops: found.instances ?? [],
      mask: () => mask(found),
    }
  }
}

export const command = visionCommand({
  name: 'segment',
  task: 'segmentation',
  summary: 'Says what each pixel of photos shows.',
  usage: 'segment [PHOTO...] --model MODEL [--labels FILE] [--json] [--out FILE.png] [--mask FILE.png]',
  modelHelp: 'DeepLab, U-Net, YOLO-seg, selfie segmentation, or a network that makes a map (depth) or a picture',
  more: {
    mask: {
      type: 'string',
      value: 'FILE',
      help: 'write the classes as an indexed PNG of the photo’s size (colour number = class index; objects: plus one)',
    },
  },
  open,
})
