// test/fixtures/heads/posenet.json: heat maps decoded by TensorFlow.js' PoseNet.
//
// npm i @tensorflow-models/posenet @tensorflow/tfjs-core@3 @tensorflow/tfjs-converter@3 @tensorflow/tfjs-backend-cpu@3
// NODE_PATH=…/node_modules node tools/heads/posenet_reference.mjs
import { mkdirSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'

const require = createRequire(join(process.env.NODE_PATH, 'x.js'))
const tf = require('@tensorflow/tfjs-core')
require('@tensorflow/tfjs-backend-cpu')
const { decodeMultiplePoses } = require('@tensorflow-models/posenet/dist/multi_pose/decode_multiple_poses.js')
const { decodeSinglePose } = require('@tensorflow-models/posenet/dist/single_pose/decode_single_pose.js')

let state = 7
const random = () => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0
  return state / 4294967296
}

/** An int8 output and the values that it stands for. */
function output(name, shape, [low, high], fill) {
  const scale = Math.fround((high - low) / 255)
  const zeroPoint = Math.max(-128, Math.min(127, Math.round(-128 - low / scale)))
  const n = shape.reduce((a, b) => a * b, 1)
  const q = Int8Array.from({ length: n }, (_, i) =>
    Math.max(-128, Math.min(127, Math.round(fill(i) / scale) + zeroPoint)),
  )
  const values = Float32Array.from(q, (v) => (v - zeroPoint) * scale)
  const record = { name, shape: [1, ...shape], scale, zeroPoint, data: Buffer.from(q.buffer).toString('base64') }
  return { record, tensor: tf.tensor(values, shape) }
}

const cases = []
for (const [rows, columns] of [
  [9, 9],
  [9, 7],
]) {
  const stride = 16
  const size = [(columns - 1) * stride + 1, (rows - 1) * stride + 1]
  const heat = output('heatmap', [rows, columns, 17], [0, 255 / 256], () => random() ** 40)
  const offsets = output('offset', [rows, columns, 34], [-16, 16], () => (random() - 0.5) * 24)
  const fwd = output('displacement_fwd', [rows, columns, 32], [-60, 60], () => (random() - 0.5) * 80)
  const bwd = output('displacement_bwd', [rows, columns, 32], [-60, 60], () => (random() - 0.5) * 80)
  const points = (pose) => pose.keypoints.map(({ position, score }) => [position.x, position.y, score])
  const poses = decodeMultiplePoses(
    ...[heat, offsets, fwd, bwd].map(({ tensor }) => tensor.bufferSync()),
    stride,
    5,
    0.5,
    20,
  ).sort((a, b) => b.score - a.score)
  const common = { kind: 'posenet', input: size, photo: size }
  cases.push({
    ...common,
    outputs: [heat, offsets, fwd, bwd].map(({ record }) => record),
    options: { scoreThreshold: 0.5 },
    expected: { points: poses.map(points), scores: poses.map((p) => p.score) },
  })
  const single = await decodeSinglePose(heat.tensor, offsets.tensor, stride)
  cases.push({
    ...common,
    outputs: [heat, offsets].map(({ record }) => record),
    options: { scoreThreshold: 0.1 },
    expected: { points: [points(single)], scores: [single.score] },
  })
}
const folder = new URL('../../test/fixtures/heads/', import.meta.url)
mkdirSync(folder, { recursive: true })
const madeWith = `@tensorflow-models/posenet ${require('@tensorflow-models/posenet/package.json').version}, tools/heads/posenet_reference.mjs`
writeFileSync(
  new URL('posenet.json', folder),
  `{"madeWith":${JSON.stringify(madeWith)},"cases":[\n${cases.map((c) => JSON.stringify(c)).join(',\n')}\n]}\n`,
)
console.log('posenet', cases.length, 'cases')
