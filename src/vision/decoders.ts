/** The decoder of each kind of head that gives boxes or points. */
import type { TensorInfo } from '../graph/types.ts'
import type { BoxHead, PointHead } from './head.ts'
import { blazeDecoder } from './heads/blazeface.ts'
import { centerFaceDecoder } from './heads/centerface.ts'
import { centerNetDecoder } from './heads/centernet.ts'
import { dbFaceDecoder } from './heads/dbface.ts'
import { detrDecoder } from './heads/detr.ts'
import { fastestDetDecoder } from './heads/fastestdet.ts'
import { fomoDecoder } from './heads/fomo.ts'
import type { Decoder, Size } from './heads/head.ts'
import { retinaFaceDecoder, yuNetDecoder } from './heads/face-priors.ts'
import { heatmapsDecoder } from './heads/heatmaps.ts'
import { landmarksDecoder } from './heads/landmarks.ts'
import { levelsDecoder } from './heads/levels.ts'
import { moveNetDecoder, moveNetMultiDecoder } from './heads/movenet.ts'
import { objectronDecoder } from './heads/objectron.ts'
import { poseNetDecoder } from './heads/posenet.ts'
import { postprocessDecoder } from './heads/postprocess.ts'
import { anchoredDecoder, ssdDecoder } from './heads/ssd.ts'
import { simccDecoder } from './heads/simcc.ts'
import { ultraFaceDecoder } from './heads/ultraface.ts'
import { yoloGridDecoder, yoloSplitDecoder } from './heads/yolo-grid.ts'
import { yoloNmsDecoder } from './heads/yolo-nms.ts'
import { yoloPartsDecoder } from './heads/yolo-parts.ts'
import { yoloDecoder } from './heads/yolo.ts'
import { yoloxDecoder } from './heads/yolox.ts'

/** Errors: `format/shape` when the outputs do not fit the head. */
export function boxDecoder(head: BoxHead, outputs: readonly TensorInfo[], input: Size): Decoder {
  switch (head.kind) {
    case 'postprocess':
      return postprocessDecoder(head, outputs)
    case 'ssd':
    case 'ssd-fpn':
    case 'efficientdet':
      return ssdDecoder(head, outputs, input)
    case 'ssd-anchors':
      return anchoredDecoder(head, outputs)
    case 'yolo5':
    case 'yolo8':
    case 'yolo8-pose':
    case 'yolo8-seg':
    case 'yolo8-obb':
      return yoloDecoder(head, outputs, input)
    case 'yolo-nms':
      return yoloNmsDecoder(head, outputs, input)
    case 'yolo-grid':
      return yoloGridDecoder(head, outputs, input)
    case 'yolo':
      return yoloSplitDecoder(head, outputs)
    case 'yolox':
      return yoloxDecoder(head, outputs, input)
    case 'fomo':
      return fomoDecoder(head, outputs)
    case 'blazeface':
    case 'palm':
    case 'blazepose':
      return blazeDecoder(head, outputs, input)
    case 'centernet':
      return centerNetDecoder(head, outputs)
    case 'centerface':
      return centerFaceDecoder(head, outputs)
    case 'detr':
      return detrDecoder(head, outputs)
    case 'fastestdet':
      return fastestDetDecoder(head, outputs)
    case 'yolo-parts':
      return yoloPartsDecoder(head, outputs, input)
    case 'dbface':
      return dbFaceDecoder(head, outputs)
    case 'ultraface':
      return ultraFaceDecoder(head, outputs, input)
    case 'yolo-levels':
    case 'nanodet':
    case 'picodet':
    case 'rtmdet':
    case 'scrfd':
      return levelsDecoder(head, outputs, input)
    case 'retinaface':
      return retinaFaceDecoder(head, outputs, input)
    case 'yunet':
      return yuNetDecoder(head, outputs, input)
  }
}

/** Errors: `format/shape` when the outputs do not fit the head. */
export function pointDecoder(head: PointHead, outputs: readonly TensorInfo[], input: Size): Decoder {
  switch (head.kind) {
    case 'movenet':
      return moveNetDecoder(head, outputs)
    case 'movenet-multi':
      return moveNetMultiDecoder(head, outputs)
    case 'posenet':
      return poseNetDecoder(head, outputs, input)
    case 'landmarks':
      return landmarksDecoder(head, outputs, input)
    case 'heatmaps':
      return heatmapsDecoder(head, outputs)
    case 'objectron':
      return objectronDecoder(head, outputs)
    case 'simcc':
      return simccDecoder(head, outputs)
  }
}

/**
 * What remains to be done with candidates: nothing, suppression by class, the same where boxes hold the pixels of both
 * their corners (InsightFace's and facexlib's `nms`), MediaPipe's weighted one, or that of turned boxes.
 */
export function suppressionOf({ kind }: BoxHead): 'none' | 'class' | 'inclusive' | 'weighted' | 'turned' {
  switch (kind) {
    case 'postprocess':
    case 'yolo-nms':
    case 'fomo':
    case 'centernet':
    case 'detr':
      return 'none'
    case 'blazeface':
    case 'palm':
    case 'blazepose':
      return 'weighted'
    case 'yolo8-obb':
      return 'turned'
    case 'scrfd':
    case 'retinaface':
      return 'inclusive'
    default:
      return 'class'
  }
}
