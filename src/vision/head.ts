/**
 * Every kind of head: what a network's outputs mean. Heads are plain JSON; the kinds' own files say what fields mean.
 */
import { checkValue, having } from '../options/options.ts'
import type { BlazeHead } from './heads/blazeface.ts'
import type { CenterFaceHead } from './heads/centerface.ts'
import type { CenterNetHead } from './heads/centernet.ts'
import type { DbFaceHead } from './heads/dbface.ts'
import type { DetrHead } from './heads/detr.ts'
import type { FastestDetHead } from './heads/fastestdet.ts'
import type { FomoHead } from './heads/fomo.ts'
import type { HeatmapsHead } from './heads/heatmaps.ts'
import type { RetinaFaceHead, YuNetHead } from './heads/face-priors.ts'
import type { LandmarksHead } from './heads/landmarks.ts'
import type { LevelsHead } from './heads/levels.ts'
import type { MapHead, PictureHead, SegmentationHead } from './heads/maps.ts'
import type { MoveNetHead, MoveNetMultiHead } from './heads/movenet.ts'
import type { ObjectronHead } from './heads/objectron.ts'
import type { PoseNetHead } from './heads/posenet.ts'
import type { PostprocessHead } from './heads/postprocess.ts'
import type { AnchoredHead, PyramidHead, SsdHead } from './heads/ssd.ts'
import type { SimccHead } from './heads/simcc.ts'
import type { UltraFaceHead } from './heads/ultraface.ts'
import type { YoloGridHead, YoloSplitHead } from './heads/yolo-grid.ts'
import type { YoloNmsHead } from './heads/yolo-nms.ts'
import type { YoloPartsHead } from './heads/yolo-parts.ts'
import type { YoloHead } from './heads/yolo.ts'
import type { YoloxHead } from './heads/yolox.ts'

/** How a photo gets into the network's input, where the head's family has a way of its own. */
export interface Framing {
  /**
   * `letterbox`: whole, centred, the bars gray (Ultralytics). `corner`: whole, in the upper left corner, the rest gray
   * (YOLOX). `square`: whole, centred to fractions of a pixel, the bars black (MoveNet); `mediapipe`: the same, sampled
   * as MediaPipe does. Missing: as the preprocessing says.
   */
  framing?: 'letterbox' | 'corner' | 'square' | 'mediapipe'
  /** What an input that does not say it takes: pixels as they are, or brought to 0..1 or -1..1; `imagenet`: to mean 0
   * and deviation 1 of ImageNet's colours, `caffe`: less the means of Caffe's. */
  range?: 'raw' | 'unit' | 'signed' | 'imagenet' | 'caffe'
  /** The network wants blue first. */
  bgr?: boolean
  /** Centre-crop instead of stretching, where nobody says otherwise. */
  crop?: boolean
}

export type BoxHead =
  | PostprocessHead
  | SsdHead
  | PyramidHead
  | AnchoredHead
  | YoloHead
  | YoloNmsHead
  | YoloGridHead
  | YoloSplitHead
  | YoloxHead
  | FomoHead
  | BlazeHead
  | CenterNetHead
  | CenterFaceHead
  | DetrHead
  | FastestDetHead
  | YoloPartsHead
  | DbFaceHead
  | UltraFaceHead
  | LevelsHead
  | RetinaFaceHead
  | YuNetHead
export type PointHead =
  MoveNetHead | MoveNetMultiHead | PoseNetHead | LandmarksHead | HeatmapsHead | ObjectronHead | SimccHead
export type PlaneHead = SegmentationHead | MapHead | PictureHead
/** What the outputs of a network mean: its kind, which output is what, anchors, units. docs/heads.md has them all. */
export type Head = (BoxHead | PointHead | PlaneHead) & Framing
/** The name of a kind of head, e.g. `yolo8`. */
export type HeadKind = Head['kind']

/** The command that a head is for. */
export type VisionTask = 'detect' | 'pose' | 'segment'

/**
 * The task of a head. Boxes with key points are poses, boxes with masks segments; `detect` takes both as well.
 * Errors: `usage/option`.
 *
 * @example
 * import { loadModel } from 'thimble'
 * import { headOf, taskOfHead } from 'thimble/vision'
 * using model = await loadModel('faces.thimble')
 * console.log(taskOfHead(headOf(model)!)) // detect
 */
export function taskOfHead(head: Head): VisionTask {
  checkValue('taskOfHead: head', head, having('kind'))
  switch (head.kind) {
    case 'movenet':
    case 'movenet-multi':
    case 'posenet':
    case 'landmarks':
    case 'heatmaps':
    case 'objectron':
    case 'simcc':
    case 'yolo8-pose':
      return 'pose'
    case 'segmentation':
    case 'map':
    case 'picture':
    case 'yolo8-seg':
      return 'segment'
    case 'yolo-nms':
    case 'yolo-parts':
    case 'yolo-levels':
      return head.points ? 'pose' : head.masks ? 'segment' : 'detect'
    default:
      return 'detect'
  }
}
