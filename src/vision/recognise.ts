/**
 * Which head a network has: by what its file says, else by the shapes and ranges of its outputs. Decodes nothing, so
 * that asking costs no decoder. No dependencies.
 */
import { ThimbleError } from '../base/errors.ts'
import { type Metadata } from '../graph/graph.ts'
import { inputGeometry } from '../image/geometry.ts'
import { checkValue, type Rule, text } from '../options/options.ts'
import type { TensorInfo } from '../graph/types.ts'
import { type About } from './about.ts'
import { describedHead } from './described.ts'
import type { Framing, Head, HeadKind } from './head.ts'
import { levels, retinaFace, scrfd, simcc, yuNet } from './recognise-levels.ts'
import { inner, shapesOf } from './values.ts'
import { yolo8, yolo5, yolox, yoloNms, detr, yoloParts, yoloGrid } from './recognise-yolo.ts'
import { blaze, postprocess, ultraFace, ssd, pyramid, ssdAnchors } from './recognise-boxes.ts'
import {
  fomo,
  fastestDet,
  centerNet,
  dbFace,
  centerFace,
  objectron,
  heatmaps,
  moveNet,
  moveNetMulti,
  poseNet,
  landmarks,
} from './recognise-points.ts'
import { segmentation, picture, map } from './recognise-masks.ts'

/** What is known of a network. */
export interface Network {
  inputs: readonly TensorInfo[]
  outputs: readonly TensorInfo[]
  metadata?: Metadata
}

/** Every kind, the surer signs first. */
const KINDS: readonly (readonly [kind: HeadKind, read: (about: About) => Head | undefined])[] = [
  ['movenet', moveNet],
  ['movenet-multi', moveNetMulti],
  ['posenet', poseNet],
  ['dbface', dbFace],
  ['centerface', centerFace],
  ['objectron', objectron],
  ['scrfd', scrfd],
  ['yunet', yuNet],
  ['retinaface', retinaFace],
  ['simcc', simcc],
  ['yolo-levels', (about) => levels(about, 'yolo-levels')],
  ['nanodet', (about) => levels(about, 'nanodet')],
  ['picodet', (about) => levels(about, 'picodet')],
  ['rtmdet', (about) => levels(about, 'rtmdet')],
  ['blazeface', (about) => blaze(about, 'blazeface')],
  ['palm', (about) => blaze(about, 'palm')],
  ['blazepose', (about) => blaze(about, 'blazepose')],
  ['yolo-parts', yoloParts],
  ['postprocess', postprocess],
  ['yolo8-seg', (about) => yolo8(about, 'yolo8-seg')],
  ['yolo8-pose', (about) => yolo8(about, 'yolo8-pose')],
  ['yolo8-obb', (about) => yolo8(about, 'yolo8-obb')],
  ['yolo8', (about) => yolo8(about, 'yolo8')],
  ['yolo5', yolo5],
  ['yolox', yolox],
  ['yolo-nms', yoloNms],
  ['ultraface', ultraFace],
  ['ssd', ssd],
  ['ssd-fpn', (about) => pyramid(about, 'ssd-fpn')],
  ['efficientdet', (about) => pyramid(about, 'efficientdet')],
  ['detr', detr],
  ['ssd-anchors', ssdAnchors],
  ['yolo-grid', yoloGrid],
  ['fomo', fomo],
  ['centernet', centerNet],
  ['fastestdet', fastestDet],
  ['landmarks', landmarks],
  ['heatmaps', heatmaps],
  ['picture', picture],
  ['segmentation', segmentation],
  ['map', map],
]
/**
 * Names that `--head` takes.
 *
 * @example
 * import { headKinds } from 'thimble/vision'
 * console.log(headKinds.includes('yolo8')) // true
 */
export const headKinds: readonly HeadKind[] = KINDS.map(([kind]) => kind)

function about({ inputs, outputs, metadata = {} }: Network, forced: boolean): About | undefined {
  if (inputs.length !== 1 || outputs.length === 0) return undefined
  try {
    const { width, height } = inputGeometry(inputs[0]!)
    const shapes = outputs.map((o) => inner(o.shape))
    return { input: { width, height }, outputs, shapes, labels: metadata.labels?.length, metadata, forced }
  } catch {
    return undefined
  }
}

const NETWORK: Rule = {
  expected: 'a loaded model',
  accepts: (v) => [(v as Network | null)?.inputs, (v as Network | null)?.outputs].every(Array.isArray),
}

/**
 * The head of a network; undefined where nothing fits, a classifier's [1, classes] among them. `kind` asks for one
 * kind.
 * Errors: `format/metadata` for a description that is not one; `usage/head` for a kind that the outputs can't be;
 * `usage/option`.
 *
 * @example
 * import { loadModel } from 'thimble'
 * import { headOf } from 'thimble/vision'
 * using model = await loadModel('faces.thimble')
 * console.log(headOf(model)?.kind)
 */
export function headOf(network: Network, kind?: HeadKind): Head | undefined {
  checkValue('headOf: network', network, NETWORK)
  if (kind !== undefined) checkValue('headOf: kind', kind, text)
  const described = describedHead(network.metadata ?? {}, network.outputs.length)
  if (described && (kind === undefined || kind === described.kind)) return described
  const known = about(network, kind !== undefined)
  if (kind === undefined) {
    if (!known) return undefined
    for (const [, read] of KINDS) {
      const head = read(known)
      if (head) return head
    }
    return undefined
  }
  const head = known && KINDS.find(([name]) => name === kind)?.[1](known)
  if (head) return head
  throw new ThimbleError('usage/head', `the outputs can't be those of a ${kind} head`, {
    expected: headKinds.includes(kind) ? `a network of that kind` : headKinds.join(', '),
    got: shapesOf(network.outputs),
  })
}

/** The framing part of a head. */
export const framingOf = ({ framing, range, bgr, crop }: Head): Framing => ({
  ...(framing && { framing }),
  ...(range && { range }),
  ...(bgr && { bgr }),
  ...(crop && { crop }),
})
