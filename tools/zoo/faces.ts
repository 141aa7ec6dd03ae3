/**
 * Face detection, landmarks and attributes: the networks of npm `@vladmandic/face-api` (MIT), quantized on its demo
 * photos.
 */
import type { Accuracy } from '../../src/cli/shipped.ts'
import { faceApiGraph, type FaceNetwork } from '../../src/convert/face-api.ts'
import { decodeWeights } from '../../src/convert/tfjs/weights.ts'
import { boxOfPoints, cropBox, cropImage } from '../../src/vision/crop.ts'
import { createFaceFinder, type Face, type FaceModels } from '../../src/vision/faces.ts'
import { grownBox } from '../../src/vision/found.ts'
import { asModel } from '../../src/float/as-model.ts'
import type { Graph, Metadata } from '../../src/graph/graph.ts'
import { decodeImage } from '../../src/image/decode.ts'
import { augment, random, type Variation, variations } from '../../src/quantize/augment.ts'
import type { PixelImage } from '../../src/graph/types.ts'
import { npmFiles } from './fetch.ts'
import { photos } from './photos.ts'

const PACKAGE = '@vladmandic/face-api'
const VERSION = '1.7.15'

const WEIGHTS: Record<FaceNetwork, { file: string; bin: string; manifest: string }> = {
  'tiny-detector': {
    file: 'tiny_face_detector',
    bin: 'b7503ce7df31039b1c43316a9b865cab6a70dd748cc602d3fa28b551503c3871',
    manifest: '5d1af4849ac48d5b985f4a9b16010c512353ddd6fcc63d50fd0bc9e9e64296e5',
  },
  'ssd-detector': {
    file: 'ssd_mobilenetv1',
    bin: '2835640602d53718aa6ae9a42896327eaa21beefed056c218d32ca7d79e1e2f8',
    manifest: '888f744dffbc84f5f060d1f8427d9742341943a2dfaaf9205d10029b7e7a2955',
  },
  landmarks: {
    file: 'face_landmark_68',
    bin: '4611ef65c87d836d03d684b30eec4d195d8b219fa1dd58fc58945831c6b9299b',
    manifest: 'ca4886639f86e99b39fed0c155f81b63317225773bd9616716e887b0153389c9',
  },
  'landmarks-tiny': {
    file: 'face_landmark_68_tiny',
    bin: 'b98e9f2f7da76f8a6dda9741a36ed485b224b889d552de2b2c1bb16217f67bfc',
    manifest: '9a1a5dd19fd814fd5095c3cb58f8e0d3193b8c5b9a6715b30a69d559aea31ad4',
  },
  'age-gender': {
    file: 'age_gender',
    bin: '49f92bbc0afef2342c4385e4a2b0acb6d7a727c6f0aa539499719a81acf9abaa',
    manifest: '74b60bf3ebf981bf4e661e9cca3a185614e10b25d797118b62e2a68d3ff2569f',
  },
  expression: {
    file: 'face_expression',
    bin: '9a9840f2cf1f4c7eab95f197512569345c00d2426754d4608b92af30e0300f3d',
    manifest: '5b349c17c7836da506e03422cd6461c74085d8bb2713ad4114647dc5d28174c8',
  },
}

/** Group photos by the package's author, under its licence. The last two are kept for evaluation. */
const DEMO = {
  'demo/sample1.jpg': '8ecae4b267b2d3169e06e00c7dee97097aa2a94635d45216f7732a5f4943cb51',
  'demo/sample2.jpg': '7d2b60ae6f13bf30f422e04df87451081a02c83de469056f25afb44b7000c691',
  'demo/sample3.jpg': '8eb081c9efb14370fa94d9feab9e5fbeafd19a627491853a80c2bf67f7ffa936',
  'demo/sample4.jpg': '729efa5923061d40eb4ed5f267a18cc7b8ba6f852bb2757b16d8b7e4937476fc',
  'demo/sample5.jpg': '6d45095ebb182d8f975c0790e0e4eefd86fbb40609cf4b271776d92e12662938',
  'demo/sample6.jpg': '9baad80f9d5e306fb9b8c0913d44445f1e95848df317530efb03d0934c57ba87',
} as const
const CALIBRATION_PHOTOS = 4

/** The demo photos that calibration uses, or those it does not. */
export function demoPhotos(part: 'calibration' | 'evaluation'): PixelImage[] {
  const all = Object.values(npmFiles(PACKAGE, VERSION, DEMO)).map((bytes) => decodeImage(bytes))
  return part === 'calibration' ? all.slice(0, CALIBRATION_PHOTOS) : all.slice(CALIBRATION_PHOTOS)
}

/** The float network, with what its file will say about itself. */
export function faceGraph(network: FaceNetwork, metadata: Metadata = {}): Graph {
  const { file, bin, manifest } = WEIGHTS[network]
  const [list, bytes] = [`model/${file}_model-weights_manifest.json`, `model/${file}_model.bin`]
  const files = npmFiles(PACKAGE, VERSION, { [list]: manifest, [bytes]: bin })
  const groups = JSON.parse(new TextDecoder().decode(files[list])) as { weights: [] }[]
  const graph = faceApiGraph(
    network,
    decodeWeights(
      groups.flatMap((g) => g.weights),
      files[bytes]!,
    ),
  )
  return { ...graph, metadata: { ...graph.metadata, ...metadata } }
}

/** Every network in float. */
export const floatFaceModels = (detector: 'tiny-detector' | 'ssd-detector' = 'ssd-detector'): FaceModels => ({
  detector: asModel(faceGraph(detector)),
  landmarks: asModel(faceGraph('landmarks')),
  ageGender: asModel(faceGraph('age-gender')),
  expression: asModel(faceGraph('expression')),
})

const withFaces = (): PixelImage[] => [...demoPhotos('calibration'), photos().get('astronaut')!]
const withoutFaces = (): PixelImage[] => ['chelsea', 'coffee', 'rocket'].map((name) => photos().get(name)!)

/** Photos with and without faces, and variations of those with. */
function scenes(count: number): Variation[] {
  const plain = withoutFaces()
  const faces = variations(withFaces(), count - plain.length, random(1))
  return [...plain.map((pixels, i): Variation => ({ pixels, photo: withFaces().length + i, varied: false })), ...faces]
}

let found: { image: PixelImage; photo: number; face: Face }[] | undefined

/** The faces of the calibration photos, found by the float networks. */
async function calibrationFaces(): Promise<{ image: PixelImage; photo: number; face: Face }[]> {
  if (found) return found
  const finder = await createFaceFinder({
    detector: asModel(faceGraph('ssd-detector')),
    landmarks: asModel(faceGraph('landmarks')),
  })
  return (found = withFaces().flatMap((image, photo) => finder.find(image).map((face) => ({ image, photo, face }))))
}

/** Crops of faces as the networks after the detector get them, and variations of each in place, size and light. */
async function crops(count: number, around: 'detection' | 'points'): Promise<Variation[]> {
  const next = random(2)
  const faces = await calibrationFaces()
  return Array.from({ length: count }, (_, i) => {
    const { image, photo, face } = faces[i % faces.length]!
    const { x, y, width, height } =
      around === 'points' ? grownBox(boxOfPoints(face.points!.map(([x, y]) => ({ x, y }))), 0.2) : face.box
    const shift = (): number => (i < faces.length ? 0 : (next() - 0.5) * 0.2)
    const grow = i < faces.length ? 1 : 0.9 + 0.3 * next()
    const box = {
      x: x + width * (shift() + (1 - grow) / 2),
      y: y + height * (shift() + (1 - grow) / 2),
      width: width * grow,
      height: height * grow,
    }
    const crop = cropImage(image, cropBox(box, image)!)
    const varied = i >= faces.length
    return { pixels: varied ? augment(crop, next, { minCrop: 1, light: 0.25 }) : crop, photo, varied }
  })
}

export interface FaceZooModel {
  name: string
  network: FaceNetwork
  description: string
  accuracy?: readonly Accuracy[]
  calibration(): Promise<Variation[]>
  /** By tensor: ranges that the photos would not show. */
  ranges?: Readonly<Record<string, readonly [number, number]>>
}

export const LICENSE = 'MIT'
export const faceSource = (network: FaceNetwork): string =>
  `${WEIGHTS[network].file}_model, from npm ${PACKAGE} ${VERSION}`

/** By `npx tsx tools/zoo/evaluate-faces.ts`. */
const FACES = '9 faces of two group photos'

export const FACE_MODELS: readonly FaceZooModel[] = [
  {
    name: 'face_detector_tiny_416',
    network: 'tiny-detector',
    description: 'Tiny YOLOv2 with separable convolutions, 416x416, faces',
    accuracy: [{ measure: "of the float network's boxes", percent: 100, on: FACES }],
    calibration: async () => scenes(24),
    ranges: { scores: [-8, 6] },
  },
  {
    name: 'face_detector_ssd_mobilenet_v1_512',
    network: 'ssd-detector',
    description: 'SSD with MobileNet V1 1.0, 512x512, faces',
    accuracy: [{ measure: "of the float network's boxes", percent: 100, on: FACES }],
    calibration: async () => scenes(16),
    ranges: { scores: [-8, 8] },
  },
  {
    name: 'face_landmarks_68_112',
    network: 'landmarks',
    description: '68 points of a face, 112x112',
    accuracy: [{ measure: 'of the diagonal off float', percent: 0.32, on: FACES }],
    calibration: () => crops(64, 'detection'),
  },
  {
    name: 'face_landmarks_68_tiny_112',
    network: 'landmarks-tiny',
    description: '68 points of a face, small network, 112x112',
    accuracy: [{ measure: 'of the diagonal off float', percent: 0.26, on: FACES }],
    calibration: () => crops(64, 'detection'),
  },
  {
    name: 'face_age_gender_112',
    network: 'age-gender',
    description: 'age and gender of a face, 112x112',
    accuracy: [{ measure: 'as in float (gender)', percent: 100, on: `${FACES}; ages 1.6 years apart` }],
    calibration: () => crops(64, 'points'),
    ranges: { age: [0, 110], gender_logits: [-8, 8] },
  },
  {
    name: 'face_expression_112',
    network: 'expression',
    description: 'seven expressions of a face, 112x112',
    accuracy: [{ measure: 'as in float', percent: 89, on: FACES }],
    calibration: () => crops(64, 'points'),
    ranges: { fc: [-20, 20] },
  },
]
