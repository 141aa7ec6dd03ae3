/** A segmenter: image in, a class for every pixel out; or the map that a network makes of it. No dependencies. */
import { disposable, type Disposes } from '../base/dispose.ts'
import type { Preprocess } from '../graph/graph.ts'
import { checkOptions } from '../options/options.ts'
import type { Model, PixelImage } from '../graph/types.ts'
import {
  chooser,
  corners,
  type Detection,
  DETECTOR_RULES,
  type DetectorOptions,
  givesBoxes,
  toBox,
} from './detector.ts'
import type { View } from './frame.ts'
import { type BoxHead, type Head, taskOfHead } from './head.ts'
import { mapDecoder, pictureDecoder, type Plane, segmentationDecoder } from './heads/maps.ts'
import type { YoloNmsHead } from './heads/yolo-nms.ts'
import type { YoloHead } from './heads/yolo.ts'
import { classesOnPhoto, coverMask, maskLogits, numbersOnPhoto, type Prototypes } from './masks.ts'
import { type Answers, answering, Network, type VisionTimings } from './network.ts'
import { wrongOutputs } from './values.ts'

/** A class that some of the photo belongs to. */
export interface SegmentClass {
  label: string
  index: number
  pixels: number
  /** Of the photo's pixels, 0 to 1. */
  share: number
}

/** What each pixel of the photo shows. */
export interface Segmentation {
  /** The photo's size, which `mask` and `map` have. */
  width: number
  height: number
  /** Most pixels first. */
  classes: SegmentClass[]
  /**
   * Class index of every pixel, row by row. Where the network finds objects, one more than that, and 0 is what belongs
   * to none.
   */
  mask: Uint16Array
  /** True where `mask` counts from 1 and 0 is no class. */
  offset: boolean
  /** Objects, where the network finds those; best first. */
  instances?: Detection[]
  /** The network's numbers for every pixel, where it gives numbers instead of classes; NaN beyond its input. */
  map?: { data: Float32Array; min: number; max: number }
  /** The picture that the network makes of the photo, in the network's own size. */
  picture?: PixelImage
}

/** Sorts the pixels of images into classes, objects or a map of numbers. */
export interface Segmenter extends Disposes {
  readonly model: Model
  readonly head: Head
  readonly labels: readonly string[]
  readonly preprocess: Preprocess
  /** Whether class 0 is what is left of the photo. */
  readonly background: boolean
  /** Milliseconds of the latest call. */
  readonly timings: Readonly<VisionTimings>
  /** Errors: `image/…`. */
  readonly segment: Answers<Segmentation>
}

type Decode = (values: Float32Array[], view: View, image: PixelImage) => Omit<Segmentation, 'width' | 'height'>
type SegmentHead = Head
const givesPlanes = (head: Head): head is SegmentHead =>
  taskOfHead(head) === 'segment' || ('masks' in head && head.masks !== undefined)

/** Counts classes, most pixels first. */
function countClasses(mask: Uint16Array, label: (index: number) => string, offset: boolean): SegmentClass[] {
  const counts = new Map<number, number>()
  for (const c of mask) counts.set(c, (counts.get(c) ?? 0) + 1)
  if (offset) counts.delete(0)
  return [...counts]
    .map(([value, pixels]) => {
      const index = offset ? value - 1 : value
      return { label: label(index), index, pixels, share: pixels / mask.length }
    })
    .sort((a, b) => b.pixels - a.pixels || a.index - b.index)
}

const isBackground = (label: string | undefined): boolean =>
  label === undefined || /^(_*background_*|unlabell?ed|other|void|none|)$/i.test(label)

/** Masks of the objects of a YOLO with prototypes. */
function instanceDecode(network: Network<BoxHead & Head>, options: DetectorOptions): Decode {
  const { head, model } = network
  const { prototypes = -1, masks = 0 } = head as YoloHead | YoloNmsHead
  const shape = model.outputs[prototypes]?.shape.slice(-3) ?? []
  const first = shape[0] === masks && shape[2] !== masks
  if (shape.length !== 3 || (!first && shape[2] !== masks)) {
    wrongOutputs(head.kind, `output ${prototypes}: [1, height, width, ${masks}]`, model.outputs)
  }
  const [height, width] = (first ? shape.slice(1) : shape) as [number, number]
  const choose = chooser(network, options)
  return (values, view, image) => {
    const found = choose(values, view)
    const protos: Prototypes = { data: values[prototypes]!, width, height, masks, first }
    const mask = new Uint16Array(image.width * image.height)
    const instances: Detection[] = []
    // The best one is painted last, on top.
    for (const c of [...found].reverse()) {
      const box = toBox(c, view, image)
      if (!box) continue
      const pixels = coverMask(
        { logits: maskLogits(protos, c.coefficients!), box: corners(c, view) },
        view,
        image,
        (i) => {
          mask[i] = c.index + 1
        },
      )
      if (pixels > 0) instances.unshift({ box, score: c.score, label: network.label(c.index), index: c.index })
    }
    return { classes: countClasses(mask, (i) => network.label(i), true), mask, offset: true, instances }
  }
}

function extremes(data: Float32Array): { min: number; max: number } {
  let [min, max] = [Infinity, -Infinity]
  for (const v of data) {
    if (v < min) min = v
    if (v > max) max = v
  }
  return { min, max }
}

/**
 * Makes a segmenter of a loaded model: DeepLab, U-Net, selfie segmentation, YOLO-seg, and networks that give one number
 * for every pixel (depth) or a picture (another style, more pixels).
 * Errors: `usage/not-a-segmenter`, and those of `createDetector`.
 *
 * @example
 * import { readFile } from 'node:fs/promises'
 * import { loadModel } from 'thimble'
 * import { createSegmenter } from 'thimble/vision'
 * using segmenter = await createSegmenter(await loadModel('segmenter.tflite'))
 * const { classes, mask, width } = await segmenter.segment(await readFile('photo.jpg'))
 * for (const { label, share } of classes) console.log(label, share)
 * console.log('the pixel at 10, 20 shows class', mask[20 * width + 10])
 */
export async function createSegmenter(model: Model, options: DetectorOptions = {}): Promise<Segmenter> {
  checkOptions('createSegmenter', options, DETECTOR_RULES)
  const network = new Network(model, options, { code: 'usage/not-a-segmenter', gives: 'a plane' }, givesPlanes)
  const { head, framer, labels, timings } = network
  const background = isBackground(labels[0])
  let decode: Decode
  if (head.kind === 'segmentation') {
    const { decode: classesOf } = segmentationDecoder(head, model.outputs)
    const label = (i: number): string => (i === 0 && labels.length === 0 ? 'background' : network.label(i))
    decode = (values, view, image) => {
      const plane: Plane<Uint16Array> = classesOf(values, network.scoreThreshold)
      const mask = classesOnPhoto(plane, view, image)
      return { classes: countClasses(mask, label, false), mask, offset: false }
    }
  } else if (head.kind === 'map') {
    const numbersOf = mapDecoder(head, model.outputs)
    decode = (values, view, image) => {
      const plane = numbersOf(values)
      const map = { data: numbersOnPhoto(plane, view, image), ...extremes(plane.data) }
      return { classes: [], mask: new Uint16Array(0), offset: false, map }
    }
  } else if (head.kind === 'picture') {
    const pictureOf = pictureDecoder(head, model.outputs)
    decode = (values) => ({ classes: [], mask: new Uint16Array(0), offset: false, picture: pictureOf(values) })
  } else if (givesBoxes(head)) decode = instanceDecode(network as unknown as Network<BoxHead & Head>, options)
  else return wrongOutputs(head.kind, 'a plane', model.outputs)
  return {
    model,
    head,
    labels,
    preprocess: framer.preprocess,
    background,
    timings,
    ...disposable(() => model.dispose()),
    segment: answering(options.decode, (image) =>
      network.run(image, (values, view) => ({
        width: image.width,
        height: image.height,
        ...decode(values, view, image),
      })),
    ),
  }
}
