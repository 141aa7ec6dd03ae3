/** What was found, and how it is cut out of a photo for the network that looks at it next. No dependencies. */
import { ThimbleError } from '../base/errors.ts'
import { checkOptions, checkValue, oneOf, real, type Rules, whole } from '../options/options.ts'
import type { PixelImage } from '../graph/types.ts'
import type { Box } from './boxes.ts'
import { boxOfPoints, circleBox, cropBox, regionOf } from './crop.ts'
import type { Detection } from './detector.ts'
import type { Region } from './frame.ts'

/** A key point in pixels of the photo. */
export interface PosePoint {
  name: string
  x: number
  y: number
  /** Missing where the network gives points no score of their own. */
  score?: number
}

/** Something found: a box, and points where the finder or a stage before gives them. */
export interface Found extends Detection {
  /** The box before it was cut at the image's borders, where it was: crops go by it. */
  uncut?: Box
  points?: readonly PosePoint[]
}

/** From what was found to the region that is looked at; undefined where there is nothing to look at. */
export type Crop = (found: Found, image: PixelImage) => Region | undefined

/** How the box of something found becomes the region that the next stage sees. */
export interface CropOptions {
  /** Added around the box, as a share of it. Default 0. */
  margin?: number
  /** Make it a square with the longer (or shorter) side. Default: as the box is. */
  square?: 'long' | 'short'
  /**
   * Points that give the direction: the crop is turned so that the line from the first to the second points to
   * `towards` degrees, clockwise from the right (MediaPipe's target angle, with the sign of pictures). Default:
   * upright.
   */
  from?: number
  to?: number
  towards?: number
  /** Moves the crop by shares of its size in its own directions (MediaPipe's shift_x and shift_y). */
  shiftX?: number
  shiftY?: number
  /**
   * `points`: the box around the points of what was found. `circle`: the square around the circle that has `from` in
   * the middle and `to` on it (MediaPipe's AlignmentPointsRectsCalculator). Default: its own box.
   */
  around?: 'box' | 'points' | 'circle'
}

const AROUND = oneOf(['box', 'points', 'circle'])
const MARGIN = real(-1, 100)
const CROP: Rules<CropOptions> = {
  margin: MARGIN,
  square: oneOf(['long', 'short']),
  from: whole(0),
  to: whole(0),
  towards: real(),
  shiftX: real(),
  shiftY: real(),
  around: AROUND,
}

/** Whole pixels within the photo that a box covers, as a region. */
const wholeRegion = (box: Box, image: PixelImage): Region | undefined => {
  const whole = cropBox(box, image)
  return whole && regionOf(whole)
}

/** A box with a share of its width and height added around it. */
export const grownBox = ({ x, y, width, height }: Box, margin: number): Box => ({
  x: x - (width * margin) / 2,
  y: y - (height * margin) / 2,
  width: width * (1 + margin),
  height: height * (1 + margin),
})

/**
 * How found things are cut out. Source: MediaPipe, detections_to_rects_calculator.cc,
 * alignment_points_to_rects_calculator.cc and rect_transformation_calculator.cc for turning, shifting and squaring.
 *
 * @example
 * import { crop } from 'thimble/vision'
 * const around = crop({ margin: 0.5, square: 'long' })
 * const photo = { data: new Uint8Array(300 * 200 * 3), width: 300, height: 200 }
 * const face = { box: { x: 100, y: 50, width: 40, height: 60 }, label: 'face', index: 0, score: 1 }
 * console.log(around(face, photo)) // 90 x 90 pixels around 120, 80
 */
export function crop(options: CropOptions = {}): Crop {
  checkOptions('crop', options, CROP)
  const { margin = 0, square, from, to, towards = 0, shiftX = 0, shiftY = 0, around: of = 'box' } = options
  if (of === 'circle' && (from === undefined || to === undefined)) {
    throw new ThimbleError('usage/option', 'crop: a circle has two points', {
      expected: 'from and to',
      got: 'one, or none',
    })
  }
  return (found) => {
    if (of === 'points' && !found.points?.length) return undefined
    const [a, b] = [found.points?.[from ?? -1], found.points?.[to ?? -1]]
    const direction = a && b && { from: a, to: b, towards }
    if (of === 'circle' && !direction) return undefined
    const box =
      of === 'points' ? boxOfPoints(found.points!) : of === 'circle' ? circleBox(a!, b!) : (found.uncut ?? found.box)
    return regionOf(box, { margin, shiftX, shiftY, ...(square && { square }), ...(direction && { direction }) })
  }
}

/**
 * The crop that MediaPipe makes of what one of its detectors finds, for the landmark network behind it: turned so that
 * fingers, heads and bodies point up. Give the pipeline the detector as a pose estimator, which gives the points that
 * this goes by. Source: MediaPipe, palm_detection_detection_to_roi, face_detection_front_detection_to_roi and
 * pose_detection_to_roi.
 *
 * @example
 * import { cropAfter } from 'thimble/vision'
 * const face = { box: { x: 100, y: 50, width: 40, height: 60 }, label: 'face', index: 0, score: 1 }
 * const eyes = [{ name: 'right_eye', x: 110, y: 70 }, { name: 'left_eye', x: 125, y: 85 }]
 * const photo = { data: new Uint8Array(300 * 200 * 3), width: 300, height: 200 }
 * console.log(cropAfter('blazeface')({ ...face, points: eyes }, photo)) // 90 x 90 pixels, turned by 45 degrees
 */
export function cropAfter(kind: 'palm' | 'blazeface' | 'blazepose'): Crop {
  checkValue('cropAfter', kind, oneOf(['palm', 'blazeface', 'blazepose']))
  switch (kind) {
    case 'palm':
      return crop({ margin: 1.6, square: 'long', from: 0, to: 2, towards: -90, shiftY: -0.5 })
    case 'blazeface':
      return crop({ margin: 0.5, square: 'long', from: 0, to: 1, towards: 0 })
    case 'blazepose':
      return crop({ around: 'circle', margin: 0.25, from: 0, to: 1, towards: -90 })
  }
}

/** Crops as face-api makes them: whole pixels of the box within the photo, or of the box around the points. */
export function wholePixels(options: Pick<CropOptions, 'margin' | 'around'> = {}): Crop {
  checkOptions('wholePixels', options, { margin: MARGIN, around: AROUND })
  const { margin = 0, around: of = 'box' } = options
  return (found, image) => {
    const own = wholeRegion(found.box, image)
    if (of === 'box' || !found.points?.length) return own
    const wide = grownBox(boxOfPoints(found.points), margin)
    return wholeRegion(wide, image) ?? own
  }
}
