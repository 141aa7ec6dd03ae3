/**
 * MediaPipe's small networks (Apache-2.0): faces, hands, poses, the person before a background. Most are in PyPI
 * `mediapipe`, the light pose network in npm `@mediapipe/pose`.
 */
import { foldGraph, readFloatModel } from '../../src/convert/index.ts'
import type { Graph, Metadata, Op, Preprocess, Tensor } from '../../src/graph/graph.ts'
import type { Accuracy } from '../../src/cli/shipped.ts'
import { decodeImage } from '../../src/image/decode.ts'
import { prune } from '../../src/learn/cut.ts'
import { augment, random, type Variation, variations } from '../../src/quantize/augment.ts'
import type { PixelImage } from '../../src/graph/types.ts'
import { regionView, sample } from '../../src/vision/frame.ts'
import { cropBox, cropImage } from '../../src/vision/crop.ts'
import { type Crop, cropAfter, type Found } from '../../src/vision/found.ts'
import { createPoseEstimator } from '../../src/vision/pose.ts'
import { asModel } from '../../src/float/as-model.ts'
import { demoPhotos } from './faces.ts'
import { npmFiles, wheelFiles, type Wheel } from './fetch.ts'
import type { ZooModel } from './models.ts'
import { photos } from './photos.ts'

const WHEEL: Wheel = {
  name: 'mediapipe',
  version: '0.10.14',
  platform: { platform: 'manylinux_2_17_x86_64', python: '311' },
}
const POSE = { name: '@mediapipe/pose', version: '0.5.1675469404' }
export const MEDIAPIPE_LICENSE = 'Apache-2.0'

const WHEEL_FILES = {
  'face_detection/face_detection_short_range': 'bbff11cebd1eb27a1e004cae0b0e63ec8c551cbf34a4451148b4908b8db3eca8',
  'face_landmark/face_landmark': '1055cb9d4a9ca8b8c688902a3a5194311138ba256bcc94e336d8373a5f30c814',
  'pose_detection/pose_detection': '9ba9dd3d42efaaba86b4ff0122b06f29c4122e756b329d89dca1e297fd8f866c',
  'palm_detection/palm_detection_lite': 'e9a4aaddf90dda56a87235303cf00e4c2d3fb28725f68fd88772997dac905c18',
  'hand_landmark/hand_landmark_lite': '048edd3645c9bf7397d19a9f6e3a42957d6e414c9bea6598030a2e9b624156e6',
  'selfie_segmentation/selfie_segmentation': '9ee168ec7c8f2a16c56fe8e1cfbc514974cbbb7e434051b455635f1bd1462f5c',
} as const
const POSE_FILE = { 'pose_landmark_lite.tflite': 'f17bfbecadb61c3be1baa8b8d851cc6619c870a87167b32848ad20db306b9d61' }

type WheelFile = keyof typeof WHEEL_FILES
type Network = WheelFile | 'pose_landmark_lite'

function bytesOf(network: Network): Uint8Array {
  if (network === 'pose_landmark_lite') return npmFiles(POSE.name, POSE.version, POSE_FILE)['pose_landmark_lite.tflite']
  const file = `mediapipe/modules/${network}.tflite`
  return wheelFiles(WHEEL, { [file]: WHEEL_FILES[network] })[file]!
}

const sourceOf = (network: Network): string =>
  network === 'pose_landmark_lite'
    ? `pose_landmark_lite.tflite, from npm ${POSE.name} ${POSE.version}`
    : `${network.replace(/^.*\//, '')}.tflite, from PyPI mediapipe ${WHEEL.version}`

/** A custom op whose parameters are not kept: a transposed convolution of 2x2, stride 2, with its bias. */
const DOUBLING = 'CUSTOM Convolution2DTransposeBias'

/** The graph with MediaPipe's own transposed convolution as TFLite's, of which XNNPACK has one with a bias too. */
function standard(graph: Graph): Graph {
  const tensors: Tensor[] = [...graph.tensors]
  const ops = graph.ops.map((op): Op => {
    if (op.type !== 'UNSUPPORTED' || op.attrs.name !== DOUBLING) return op
    const [x, filter, bias] = op.inputs as [number, number, number]
    const [out] = op.outputs as [number]
    const [, height, width] = tensors[filter]!.shape
    const doubled = tensors[x]!.shape.slice(1, 3).every((side, i) => tensors[out]!.shape[i + 1] === 2 * side)
    if (height !== 2 || width !== 2 || !doubled) throw new Error(`${DOUBLING} of another kind`)
    const shape = Int32Array.from(tensors[out]!.shape)
    tensors.push({
      name: `${tensors[out]!.name}/shape`,
      shape: [4],
      dtype: 'int32',
      data: new Uint8Array(shape.buffer),
    })
    return {
      type: 'TRANSPOSE_CONV',
      inputs: [tensors.length - 1, filter, x, bias],
      outputs: [out],
      attrs: { padding: 'VALID', strideH: 2, strideW: 2, activation: 'NONE' },
    }
  })
  return { ...graph, tensors, ops }
}

/** The float network with the outputs that decoders read, by their number. */
async function networkOf(network: Network, metadata: Metadata = {}, outputs?: readonly number[]): Promise<Graph> {
  const read = foldGraph(standard(await readFloatModel(bytesOf(network), { fold: false })))
  const graph = outputs
    ? prune(
        read,
        outputs.map((i) => read.outputs[i]!),
      )
    : read
  return { ...graph, metadata: { ...graph.metadata, preprocessFrom: undefined, ...metadata } }
}

/** A rendered person, arms away from the body. */
export function bodyPhoto(): PixelImage {
  const file = 'src/sample.ts'
  const { [file]: bytes } = npmFiles('@vladmandic/human', '3.3.6', {
    [file]: '5e6e03412f8b1a653865c45a4ae9be7078a8adc4ccea46189db717c08d827145',
  })
  const text = /export const body = `([^`]+)`/.exec(new TextDecoder().decode(bytes))![1]!
  return decodeImage(Buffer.from(text.replace(/^\s*data:[^,]*,/, ''), 'base64'))
}

const people = (): PixelImage[] => [...demoPhotos('calibration'), photos().get('astronaut')!, bodyPhoto()]
const nobody = (): PixelImage[] => ['chelsea', 'coffee', 'rocket'].map((name) => photos().get(name)!)

/** Whole photos and variations of those with people. */
function scenes(count: number): Variation[] {
  const faces = people()
  const plain = nobody().map((pixels, i): Variation => ({ pixels, photo: faces.length + i, varied: false }))
  return [...plain, ...variations(faces, count - plain.length, random(1))]
}

/** What is cut out of photos, and where, as MediaPipe's graphs do. */
export const CROPS = {
  face: { finder: 'face_detection/face_detection_short_range', crop: cropAfter('blazeface') },
  hand: { finder: 'palm_detection/palm_detection_lite', crop: cropAfter('palm') },
  person: { finder: 'pose_detection/pose_detection', crop: cropAfter('blazepose') },
} satisfies Record<string, { finder: WheelFile; crop: Crop }>

const SIDES = { face: 192, hand: 224, person: 256 } as const

interface Finding {
  image: PixelImage
  /** Number of the photo. */
  photo: number
  thing: Found
}

/** What the detector finds in the people's photos. */
async function findings(what: keyof typeof CROPS): Promise<Finding[]> {
  const find = await finderOf(what)
  return people().flatMap((image, photo) => find(image).map((thing) => ({ image, photo, thing })))
}

/** Sides of the windows that are looked through for hands, as shares of a photo's shorter side. */
const WINDOWS = [3 / 4, 1 / 2, 1 / 3, 1 / 4]
/** Score from which on the float network is believed that there is a palm. */
const PALM = 0.7
/** Of two palms nearer to each other than this share of the larger one's width the surer one stays. */
const APART = 0.6

const moved = (thing: Found, dx: number, dy: number): Found => ({
  ...thing,
  box: { ...thing.box, x: thing.box.x + dx, y: thing.box.y + dy },
  ...(thing.uncut && { uncut: { ...thing.uncut, x: thing.uncut.x + dx, y: thing.uncut.y + dy } }),
  ...(thing.points && { points: thing.points.map((p) => ({ ...p, x: p.x + dx, y: p.y + dy })) }),
})

const middle = ({ box }: Found): [number, number] => [box.x + box.width / 2, box.y + box.height / 2]

function same(a: Found, b: Found): boolean {
  const [[ax, ay], [bx, by]] = [middle(a), middle(b)]
  return Math.hypot(ax - bx, ay - by) < APART * Math.max(a.box.width, b.box.width)
}

/** Palms in the people's photos, too small there to be found in the whole: in windows, each half over the next. */
async function closePalms(): Promise<Finding[]> {
  const find = await finderOf('hand')
  return people().flatMap((image, photo) => {
    const all = WINDOWS.flatMap((share) => {
      const side = Math.floor(share * Math.min(image.width, image.height))
      return windowsOf(image, side).flatMap(({ x, y }) =>
        find(cropImage(image, { x, y, width: side, height: side })).map((thing) => moved(thing, x, y)),
      )
    })
    const kept: Found[] = []
    for (const thing of all.filter((f) => f.score >= PALM).sort((a, b) => b.score - a.score)) {
      if (!kept.some((k) => same(k, thing))) kept.push(thing)
    }
    return kept.map((thing) => ({ image, photo, thing }))
  })
}

/** Corners of the windows of a side, each half a side from the next. */
function windowsOf({ width, height }: PixelImage, side: number): { x: number; y: number }[] {
  const half = side >> 1
  const across = Math.floor((width - side) / half) + 1
  const down = Math.floor((height - side) / half) + 1
  return Array.from({ length: across * down }, (_, i) => ({
    x: (i % across) * half,
    y: Math.floor(i / across) * half,
  }))
}

/** Whole photos, and squares around palms: a palm takes a seventh to two fifths of the side. */
async function handScenes(count: number): Promise<Variation[]> {
  const next = random(3)
  const found = await closePalms()
  const whole = scenes(count >> 1)
  const near = Array.from({ length: count - whole.length }, (_, i): Variation => {
    const { image, photo, thing } = found[i % found.length]!
    const side = thing.box.width * (2.5 + 4.5 * next())
    const [x, y] = middle(thing).map((v) => v - side * (0.3 + 0.4 * next())) as [number, number]
    const pixels = cropImage(image, cropBox({ x, y, width: side, height: side }, image)!)
    return { pixels: augment(pixels, next, { minCrop: 1, light: 0.25 }), photo, varied: true }
  })
  return [...whole, ...near]
}

/** Crops of what is found in the photos, and variations of each in place, size, turn and light. */
async function crops(what: keyof typeof CROPS, count: number): Promise<Variation[]> {
  const next = random(2)
  const found = await findings(what)
  const side = SIDES[what]
  return Array.from({ length: count }, (_, i): Variation => {
    const { image, photo, thing } = found[i % found.length]!
    const region = CROPS[what].crop(thing, image)!
    const varied = i >= found.length
    const shift = (): number => (varied ? (next() - 0.5) * 0.15 * region.width : 0)
    const grow = varied ? 0.85 + 0.3 * next() : 1
    const turned = {
      x: region.x + shift(),
      y: region.y + shift(),
      width: region.width * grow,
      height: region.height * grow,
      angle: region.angle + (varied ? (next() - 0.5) * 0.5 : 0),
    }
    const pixels = sample(image, regionView(turned, { width: side, height: side }), { smooth: true })
    return { pixels: varied ? augment(pixels, next, { minCrop: 1, light: 0.25 }) : pixels, photo, varied }
  })
}

/** The float detector of the family: what it finds in a photo. */
export async function finderOf(what: keyof typeof CROPS): Promise<(image: PixelImage) => Found[]> {
  const finder = await createPoseEstimator(asModel(await networkOf(CROPS[what].finder)))
  return (image) => finder.estimate(image).flatMap((pose) => (pose.box ? [{ ...pose, box: pose.box, index: 0 }] : []))
}

export interface MediapipeModel {
  name: string
  network: Network
  description: string
  /** What it is for in the manifest. */
  use: string
  /** What its command uses when none is named. */
  default?: boolean
  accuracy?: readonly Accuracy[]
  /** Class names. */
  labels: string[]
  /** Of the published outputs, by number; default: all. */
  outputs?: readonly number[]
  calibration(): Variation[] | Promise<Variation[]>
  ranges?: Readonly<Record<string, readonly [number, number]>>
}

/** What decides about a score: cells without anything have logits far below. */
const LOGITS = [-10, 10] as const

export const MEDIAPIPE_MODELS: readonly MediapipeModel[] = [
  {
    name: 'blazeface_short_128',
    network: 'face_detection/face_detection_short_range',
    labels: ['face'],
    description: 'BlazeFace, short range, 128x128, faces and 6 points',
    use: 'faces',
    calibration: () => scenes(32),
    ranges: { classificators: LOGITS },
    accuracy: [{ measure: "of the float network's boxes", percent: 100, on: '5 photos with 10 faces, overlap 0.5' }],
  },
  {
    name: 'face_mesh_468_192',
    use: 'landmarks',
    network: 'face_landmark/face_landmark',
    labels: ['face'],
    description: '468 points of a face, 192x192',
    accuracy: [{ measure: 'of the diagonal off float', percent: 0.46, on: '30 faces on 334 labelled photos' }],
    calibration: () => crops('face', 64),
  },
  {
    name: 'palm_detector_192',
    use: 'hands',
    network: 'palm_detection/palm_detection_lite',
    labels: ['hand'],
    description: 'palms and 7 points, 192x192',
    calibration: () => handScenes(64),
    ranges: { Identity_1: LOGITS },
    accuracy: [
      { measure: "of MediaPipe's hands", percent: 82, on: '21 photos with 28 hands, with the points of each' },
    ],
  },
  {
    name: 'hand_landmarks_21_224',
    use: 'hands',
    network: 'hand_landmark/hand_landmark_lite',
    labels: ['hand'],
    description: '21 points of a hand, 224x224',
    accuracy: [{ measure: "of the diagonal off MediaPipe's", percent: 1.77, on: '23 hands, in the median' }],
    outputs: [0, 1, 2],
    calibration: () => crops('hand', 64),
  },
  {
    name: 'pose_detector_224',
    use: 'pose',
    network: 'pose_detection/pose_detection',
    labels: ['person'],
    description: 'people and 4 points, 224x224',
    accuracy: [{ measure: "of MediaPipe's persons", percent: 94, on: '67 labelled photos, with the points of each' }],
    calibration: () => scenes(32),
    ranges: { Identity_1: LOGITS },
  },
  {
    name: 'pose_landmarks_33_256',
    use: 'pose',
    default: true,
    network: 'pose_landmark_lite',
    labels: ['person'],
    description: '33 points of a person, 256x256',
    outputs: [0, 1, 3],
    accuracy: [
      { measure: "of the diagonal off MediaPipe's", percent: 1.03, on: '63 persons, visible points, in the median' },
    ],
    calibration: () => crops('person', 48),
  },
  {
    name: 'selfie_segmentation_256',
    use: 'segmentation',
    network: 'selfie_segmentation/selfie_segmentation',
    labels: ['background', 'person'],
    description: 'the person before a background, 256x256',
    accuracy: [
      {
        measure: 'overlap with the float mask',
        percent: 73.7,
        on: '65 labelled photos with a face, few of them portraits',
      },
    ],
    calibration: () => scenes(32),
  },
]

/** Photos become the input as the network's family does it. */
const FAMILY: Preprocess = { fit: 'fit', method: 'bilinear', channels: 'rgb', mean: [0], std: [255] }
const SIGNED: Pick<Preprocess, 'mean' | 'std'> = { mean: [127.5], std: [127.5] }

export const mediapipeModel = ({
  name,
  network,
  description,
  labels,
  use,
  outputs,
  ...how
}: MediapipeModel): ZooModel => {
  const source = sourceOf(network)
  const task = network.includes('segmentation')
    ? 'segmentation'
    : network.includes('_detection')
      ? 'detection'
      : 'landmarks'
  return {
    name,
    license: MEDIAPIPE_LICENSE,
    source,
    sample: 'astronaut',
    framed: true,
    calibration: { count: 0, seed: 1 },
    variations: async () => how.calibration(),
    ...(how.ranges ? { ranges: how.ranges } : {}),
    ...(how.accuracy ? { accuracy: how.accuracy } : {}),
    ...(how.default ? { default: true } : {}),
    use,
    float: () =>
      networkOf(
        network,
        {
          name,
          description,
          license: MEDIAPIPE_LICENSE,
          source,
          task,
          labels,
          preprocess: { ...FAMILY, ...(/(face|pose)_detection/.test(network) ? SIGNED : {}) },
        },
        outputs,
      ),
  }
}
