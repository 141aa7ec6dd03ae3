/** A detector: image in, boxes in the image's own pixels out. No dependencies. */
import { disposable, type Disposes } from '../base/dispose.ts'
import type { Preprocess } from '../graph/graph.ts'
import { checkOptions, real, type Rules, whole } from '../options/options.ts'
import type { Model } from '../graph/types.ts'
import { type Box, type Candidate, type Corners, type Pixel, suppressed, weightedSuppression } from './boxes.ts'
import { boxDecoder, suppressionOf } from './decoders.ts'
import { toPhoto, type View } from './frame.ts'
import type { BoxHead, Head } from './head.ts'
import type { Size } from './heads/head.ts'
import { type Answers, answering, Network, VISION_RULES, type VisionOptions, type VisionTimings } from './network.ts'
import { aroundTurned, turnedBox, type TurnedBox, turnedSuppression } from './turned.ts'

/** Something found: where it is in the photo, in pixels, what it is, and a score from 0 to 1. */
export interface Detection {
  box: Box
  score: number
  label: string
  index: number
  /**
   * The box as the network has it, where that turns boxes; `box` is then the upright one around it, cut at the borders.
   */
  turned?: TurnedBox
}

/** Options of whatever reads a network head: labels, preprocessing, head, thresholds. */
export interface DetectorOptions extends VisionOptions {
  /**
   * Boxes of one class that overlap by more (intersection over union) are one object. Default: the head's own. Models
   * that suppress by themselves ignore it.
   */
  iouThreshold?: number
  /** Most detections per image. Default 100. */
  maxDetections?: number
}

/** Finds things in images; its buffers are kept, so calls allocate only the answer. */
export interface Detector extends Disposes {
  readonly model: Model
  readonly head: Head
  readonly labels: readonly string[]
  readonly preprocess: Preprocess
  readonly scoreThreshold: number
  /** Milliseconds of the latest call. */
  readonly timings: Readonly<VisionTimings>
  /** What is in an image, best score first. Boxes lie within the image. Errors: `image/…`. */
  readonly detect: Answers<Detection[]>
}

/** Corners of a candidate in the photo, which may lie beyond its borders. */
export function corners(c: Candidate, view: View): Corners {
  const [left, top] = toPhoto(view, c.left, c.top)
  const [right, bottom] = toPhoto(view, c.right, c.bottom)
  return { left, top, right, bottom }
}

/** Box of a candidate, which may reach beyond the image. */
export function uncutBox(c: Candidate, view: View): Box {
  const { left, top, right, bottom } = corners(c, view)
  return { x: left, y: top, width: right - left, height: bottom - top }
}

/** What of the corners' box lies in the image; undefined when nothing does. */
function cut({ left, top, right, bottom }: Corners, image: Size): Box | undefined {
  const [x, y] = [Math.max(0, left), Math.max(0, top)]
  const [width, height] = [Math.min(image.width, right) - x, Math.min(image.height, bottom) - y]
  return width > 0 && height > 0 && Number.isFinite(width) && Number.isFinite(height)
    ? { x, y, width, height }
    : undefined
}

/** Box of a candidate, cut at the image's borders; undefined when nothing is left of it. */
export const toBox = (c: Candidate, view: View, image: Size): Box | undefined => cut(corners(c, view), image)

/** A box cut at the image's borders; undefined when nothing is left of it. */
export const cutBox = ({ x, y, width, height }: Box, image: Size): Box | undefined =>
  cut({ left: x, top: y, right: x + width, bottom: y + height }, image)

const POINT_HEADS: readonly Head['kind'][] = [
  'movenet',
  'movenet-multi',
  'posenet',
  'landmarks',
  'heatmaps',
  'objectron',
  'simcc',
  'segmentation',
  'map',
  'picture',
]
/** Heads that give boxes. */
export const givesBoxes = (head: Head): head is BoxHead & Head => !POINT_HEADS.includes(head.kind)

/** What the options of detectors, pose estimators and segmenters may be. */
export const DETECTOR_RULES: Rules<DetectorOptions> = {
  ...VISION_RULES,
  iouThreshold: real(0, 1),
  maxDetections: whole(),
}

/** A pixel of the photo, in shares of the network's input. */
const pixelOf = ({ width, height, xx, xy, yx, yy }: View): Pixel => ({
  width: 1 / (width * Math.hypot(xx, yx)),
  height: 1 / (height * Math.hypot(xy, yy)),
})

/** From a network's outputs to the candidates that remain, best first. */
export function chooser(
  network: Network<BoxHead & Head>,
  options: DetectorOptions,
): (values: Float32Array[], view: View) => Candidate[] {
  const { head, scoreThreshold } = network
  const most = options.maxDetections ?? 100
  const iou = options.iouThreshold ?? head.iouThreshold
  const decode = boxDecoder(head, network.model.outputs, network.framer.input)
  const how = suppressionOf(head)
  return (values, view) => {
    const candidates = decode(values, scoreThreshold)
    if (how === 'turned') {
      return turnedSuppression(candidates, { iouThreshold: iou, count: most, input: network.framer.input })
    }
    if (how === 'none') return candidates.sort((a, b) => b.score - a.score).slice(0, most)
    if (how === 'weighted') return weightedSuppression(candidates, iou, most)
    return suppressed(candidates, {
      iouThreshold: iou,
      count: most,
      ...(how === 'inclusive' && { pixel: pixelOf(view) }),
    })
  }
}

/**
 * Makes a detector of a loaded model: one whose file says how its outputs are coded, or whose outputs are recognised
 * (docs/heads.md), or with the `head` option.
 * Errors: `usage/not-a-detector`, `usage/head`, `usage/option`, `format/metadata`, `format/shape`,
 * `image/unsupported-input`.
 *
 * @example
 * import { readFile } from 'node:fs/promises'
 * import { loadModel } from 'thimble'
 * import { createDetector } from 'thimble/vision'
 * using detector = await createDetector(await loadModel('faces.thimble'), { scoreThreshold: 0.5 })
 * for (const { label, score, box } of await detector.detect(await readFile('portrait.jpg'))) {
 *   console.log(label, score, box.x, box.y, box.width, box.height)
 * }
 */
export async function createDetector(model: Model, options: DetectorOptions = {}): Promise<Detector> {
  checkOptions('createDetector', options, DETECTOR_RULES)
  const network = new Network(model, options, { code: 'usage/not-a-detector', gives: 'boxes' }, givesBoxes)
  const choose = chooser(network, options)
  const { head, labels, framer, scoreThreshold, timings } = network
  return {
    model,
    head,
    labels,
    preprocess: framer.preprocess,
    scoreThreshold,
    timings,
    ...disposable(() => model.dispose()),
    detect: answering(options.decode, (image) =>
      network.run(image, (values, view) =>
        choose(values, view).flatMap((c): Detection[] => {
          const turned = c.angle === undefined ? undefined : turnedBox({ ...c, angle: c.angle }, view)
          const box = turned ? cut(aroundTurned(turned), image) : toBox(c, view, image)
          const named = { score: c.score, label: network.label(c.index), index: c.index }
          return box ? [{ box, ...named, ...(turned && { turned }) }] : []
        }),
      ),
    ),
  }
}
