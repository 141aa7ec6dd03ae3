/**
 * The face networks against face-api itself, on the same pixels. `.ci/engines.sh peers` installs it; THIMBLE_PEERS
 * names another folder whose node_modules has @vladmandic/face-api, @tensorflow/tfjs and @tensorflow/tfjs-backend-wasm.
 */
import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { FaceNetwork } from '../src/convert/face-api.ts'
import { readFloatModel } from '../src/convert/index.ts'
import { intersectionOverUnion, nonMaxSuppression, type Candidate } from '../src/vision/boxes.ts'
import { cropImage } from '../src/vision/crop.ts'
import { createFaceFinder, type Face } from '../src/vision/faces.ts'
import { describedHead } from '../src/vision/described.ts'
import { ssdDecoder } from '../src/vision/heads/ssd.ts'
import { yoloSplitDecoder } from '../src/vision/heads/yolo-grid.ts'
import { floatModel } from '../src/float/execute.ts'
import type { Graph } from '../src/graph/graph.ts'
import { decodeImage } from '../src/image/decode.ts'
import { preprocess } from '../src/image/preprocess.ts'
import { loadModel } from '../src/node.ts'
import type { Model, PixelImage } from '../src/graph/types.ts'
import { relative } from './convert-util.ts'
import { ENGINES } from './engines/engines.ts'
import { need, root } from './util.ts'

const folder = [process.env.THIMBLE_PEERS, join(ENGINES, 'peers')].find(
  (f): f is string =>
    f !== undefined &&
    existsSync(join(f, 'node_modules/@vladmandic/face-api')) &&
    existsSync(join(f, 'node_modules/@tensorflow/tfjs-backend-wasm')),
)

interface Data {
  dataSync(): Float32Array
}
interface Net {
  loadFromDisk(path: string): Promise<void>
  forwardInput(input: object, size?: number): Data & { age: Data; gender: Data; boxes: Data[]; scores: Data[] }
  locateFaces(input: object, o: object): Promise<TheirFace[]>
}
interface TheirFace {
  score: number
  box: { left: number; top: number; right: number; bottom: number }
}
interface Described {
  detection: TheirFace
  landmarks: { positions: { x: number; y: number }[] }
  age: number
  gender: string
  genderProbability: number
  expressions: Record<string, number>
}
interface FaceApi {
  nets: Record<
    | 'tinyFaceDetector'
    | 'ssdMobilenetv1'
    | 'faceLandmark68Net'
    | 'faceLandmark68TinyNet'
    | 'ageGenderNet'
    | 'faceExpressionNet',
    Net
  >
  toNetInput(input: object): Promise<object>
  TinyFaceDetectorOptions: new (o: object) => object
  SsdMobilenetv1Options: new (o: object) => object
  detectAllFaces(
    input: object,
    o: object,
  ): { withFaceLandmarks(): { withFaceExpressions(): { withAgeAndGender(): Promise<Described[]> } } }
}
interface Tf {
  setBackend(name: string): Promise<boolean>
  ready(): Promise<void>
  tensor3d(data: Uint8Array, shape: readonly number[], dtype: 'int32'): object
}

const NETWORKS: Record<FaceNetwork, { file: string; net: keyof FaceApi['nets'] }> = {
  'tiny-detector': { file: 'tiny_face_detector', net: 'tinyFaceDetector' },
  'ssd-detector': { file: 'ssd_mobilenetv1', net: 'ssdMobilenetv1' },
  landmarks: { file: 'face_landmark_68', net: 'faceLandmark68Net' },
  'landmarks-tiny': { file: 'face_landmark_68_tiny', net: 'faceLandmark68TinyNet' },
  'age-gender': { file: 'age_gender', net: 'ageGenderNet' },
  expression: { file: 'face_expression', net: 'faceExpressionNet' },
}

let peers: { tf: Tf; api: FaceApi } | undefined
async function open(at: string): Promise<{ tf: Tf; api: FaceApi }> {
  if (peers) return peers
  const require = createRequire(join(at, 'x.js'))
  const tf = require('@tensorflow/tfjs') as Tf
  require('@tensorflow/tfjs-backend-wasm')
  await tf.setBackend('wasm')
  await tf.ready()
  const api = require('@vladmandic/face-api/dist/face-api.node-wasm.js') as FaceApi
  for (const { net } of Object.values(NETWORKS)) {
    await api.nets[net].loadFromDisk(join(at, 'node_modules/@vladmandic/face-api/model'))
  }
  return (peers = { tf, api })
}

const astronaut = decodeImage(readFileSync(join(root, 'weights/samples/astronaut.jpg')))
const FACE = { x: 163, y: 74, width: 116, height: 113 }

/** The pixels that a network of this input sees, letterboxed and scaled by us. */
function square(image: PixelImage, size: number): Uint8Array {
  const input = { name: 'pixels', shape: [1, size, size, 3], dtype: 'uint8', scale: 0, zeroPoint: 0 } as const
  return preprocess(image, input, {
    fit: 'fit',
    method: 'bilinear',
    channels: 'rgb',
    mean: [0],
    std: [1],
  }) as Uint8Array
}

function run(graph: Graph, pixels: Uint8Array): Float32Array[] {
  const { mean, std } = graph.metadata.preprocess!
  return floatModel(graph).run([Float32Array.from(pixels, (v, i) => (v - (mean[i % 3] ?? mean[0]!)) / std[0]!)])
}

const peersMissing = 'face-api and TensorFlow.js: .ci/engines.sh peers'
const graphOf = (at: string, network: FaceNetwork): Promise<Graph> =>
  readFloatModel(
    join(at, `node_modules/@vladmandic/face-api/model/${NETWORKS[network].file}_model-weights_manifest.json`),
  )
const sizeOf = (graph: Graph): number => graph.tensors[graph.inputs[0]!]!.shape[1]!

for (const network of ['landmarks', 'landmarks-tiny', 'age-gender', 'expression'] as const) {
  need(test, `${network}: face-api's numbers`, { resource: folder, missing: peersMissing }, async (at) => {
    const { tf, api } = await open(at)
    const graph = await graphOf(at, network)
    const pixels = square(cropImage(astronaut, FACE), sizeOf(graph))
    const mine = run(graph, pixels)
    const theirs = api.nets[NETWORKS[network].net].forwardInput(
      await api.toNetInput(tf.tensor3d(pixels, [112, 112, 3], 'int32')),
    )
    const outputs = network === 'age-gender' ? [theirs.age, theirs.gender] : [theirs]
    outputs.forEach((o, i) =>
      assert.ok(
        relative(mine[i]!, o.dataSync()) < 1e-4,
        `output ${i}: relative difference ${relative(mine[i]!, o.dataSync())}`,
      ),
    )
  })
}

const corners = ({ score, box: { left, top, right, bottom } }: TheirFace): Candidate => ({
  left,
  top,
  right,
  bottom,
  score,
  index: 0,
})

for (const network of ['tiny-detector', 'ssd-detector'] as const) {
  need(
    test,
    `${network}: face-api's boxes, decoded and suppressed by us`,
    { resource: folder, missing: peersMissing },
    async (at) => {
      const { tf, api } = await open(at)
      const graph = await graphOf(at, network)
      const size = sizeOf(graph)
      const pixels = square(astronaut, size)
      const head = describedHead(graph.metadata, graph.outputs.length)!
      const outputs = graph.outputs.map((t) => ({
        name: graph.tensors[t]!.name,
        shape: graph.tensors[t]!.shape,
        dtype: 'float32' as const,
        scale: 0,
        zeroPoint: 0,
      }))
      const decode =
        head.kind === 'ssd'
          ? ssdDecoder(head, outputs, { width: size, height: size })
          : head.kind === 'yolo'
            ? yoloSplitDecoder(head, outputs)
            : assert.unreachable()
      // A low threshold, so that there are boxes to compare.
      const mine = nonMaxSuppression(decode!(run(graph, pixels), 0.05), head.iouThreshold)
      const options =
        network === 'tiny-detector'
          ? new api.TinyFaceDetectorOptions({ inputSize: size, scoreThreshold: 0.05 })
          : new api.SsdMobilenetv1Options({ minConfidence: 0.05, maxResults: 200 })
      const theirs = (
        await api.nets[NETWORKS[network].net].locateFaces(tf.tensor3d(pixels, [size, size, 3], 'int32'), options)
      )
        .map(corners)
        .sort((a, b) => b.score - a.score)
      assert.is(mine.length, theirs.length)
      assert.ok(mine.length >= 1)
      mine.forEach((m, i) => {
        const clip = (v: number): number => (network === 'ssd-detector' ? Math.max(0, Math.min(1, v)) : v) * size
        const scaled = { ...m, left: clip(m.left), top: clip(m.top), right: clip(m.right), bottom: clip(m.bottom) }
        assert.ok(Math.abs(m.score - theirs[i]!.score) < 1e-4, `score ${i}: ${m.score}, expected ${theirs[i]!.score}`)
        for (const side of ['left', 'top', 'right', 'bottom'] as const) {
          assert.ok(
            Math.abs(scaled[side] - theirs[i]![side]) < 1e-3 * size,
            `box ${i} ${side}: ${scaled[side]}, expected ${theirs[i]![side]}`,
          )
        }
      })
    },
  )
}

need(
  test,
  'the shipped int8 networks find what face-api finds',
  { resource: folder, missing: peersMissing },
  async (at) => {
    const { tf, api } = await open(at)
    const load = (name: string): Promise<Model> => loadModel(join(root, 'weights', `${name}.thimble`))
    const finder = await createFaceFinder({
      detector: await load('face_detector_tiny_416'),
      landmarks: await load('face_landmarks_68_112'),
      ageGender: await load('face_age_gender_112'),
      expression: await load('face_expression_112'),
    })
    const [mine, ...more] = finder.find(astronaut) as [Face, ...Face[]]
    const image = tf.tensor3d(astronaut.data as Uint8Array, [astronaut.height, astronaut.width, 3], 'int32')
    const [theirs, ...others] = (await api
      .detectAllFaces(image, new api.TinyFaceDetectorOptions({ inputSize: 416 }))
      .withFaceLandmarks()
      .withFaceExpressions()
      .withAgeAndGender()) as [Described, ...Described[]]
    assert.is(more.length, others.length)
    const { x, y, width, height } = mine.box
    const overlap = intersectionOverUnion(
      { left: x, top: y, right: x + width, bottom: y + height },
      theirs.detection.box,
    )
    assert.ok(overlap > 0.9, `overlap ${overlap}`)
    const distance =
      mine.points!.reduce(
        (s, p, i) => s + Math.hypot(p[0] - theirs.landmarks.positions[i]!.x, p[1] - theirs.landmarks.positions[i]!.y),
        0,
      ) / 68
    assert.ok(distance < 0.03 * Math.hypot(width, height), `points are ${distance} pixels away on average`)
    assert.ok(Math.abs(mine.age! - theirs.age) < 5, `age ${mine.age}, expected ${theirs.age}`)
    assert.is(mine.gender!.label, theirs.gender)
    const best = Object.entries(theirs.expressions)
      .filter(([, v]) => typeof v === 'number')
      .sort((a, b) => b[1] - a[1])[0]![0]
    assert.is(mine.expression!.label, best)
  },
)

test.run()
