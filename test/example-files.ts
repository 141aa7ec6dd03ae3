/** The files that examples of the documentation speak of. */
import { copyFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { writeTflite } from '../src/formats/tflite-write.ts'
import type { Graph, Quantization, Tensor } from '../src/graph/graph.ts'
import { tinyNet } from './tiny-net.ts'
import { root } from './util.ts'

const quantized = (scale: number, zeroPoint: number): Quantization => ({
  scales: Float32Array.of(scale),
  zeroPoints: Int32Array.of(zeroPoint),
  axis: 0,
})
const image: Tensor = { name: 'image', shape: [1, 32, 32, 3], dtype: 'int8', quantization: quantized(1 / 255, -128) }
const filter = (shape: number[], values: Int8Array): Tensor => ({
  name: 'filter',
  shape,
  dtype: 'int8',
  data: new Uint8Array(values.buffer),
  quantization: quantized(0.01, 0),
})
const bias = (values: Int32Array): Tensor => ({
  name: 'bias',
  shape: [values.length],
  dtype: 'int32',
  data: new Uint8Array(values.buffer),
  quantization: quantized(0.01 / 255, 0),
})
const output = (name: string, shape: number[]): Tensor => ({
  name,
  shape,
  dtype: 'int8',
  quantization: quantized(1 / 255, -128),
})

/** One convolution that sorts pixels into dark, red, green and blue ones. */
const segmenter = (): Graph => ({
  tensors: [
    image,
    filter([4, 1, 1, 3], Int8Array.of(0, 0, 0, 100, 0, 0, 0, 100, 0, 0, 0, 100)),
    bias(new Int32Array(4)),
    output('classes', [1, 32, 32, 4]),
  ],
  ops: [
    {
      type: 'CONV_2D',
      inputs: [0, 1, 2],
      outputs: [3],
      attrs: { padding: 'VALID', strideH: 1, strideW: 1, dilationH: 1, dilationW: 1, activation: 'NONE' },
    },
  ],
  inputs: [0],
  outputs: [3],
  metadata: {},
})

/** Seventeen points in the middle of the image, as MoveNet gives them. */
const pose = (): Graph => ({
  tensors: [
    image,
    filter([51, 32 * 32 * 3], new Int8Array(51 * 32 * 32 * 3)),
    bias(new Int32Array(51).fill(0.5 / (0.01 / 255))),
    output('flat', [1, 51]),
    { name: 'shape', shape: [4], dtype: 'int32', data: new Uint8Array(Int32Array.of(1, 1, 17, 3).buffer) },
    output('points', [1, 1, 17, 3]),
  ],
  ops: [
    { type: 'FULLY_CONNECTED', inputs: [0, 1, 2], outputs: [3], attrs: { activation: 'NONE', keepNumDims: false } },
    { type: 'RESHAPE', inputs: [3, 4], outputs: [5], attrs: { newShape: [1, 1, 17, 3] } },
  ],
  inputs: [0],
  outputs: [5],
  metadata: {},
})

/** Writes them into a folder. */
export function exampleFiles(folder: string): void {
  const copies = {
    'model.thimble': 'weights/mobilenet_v2_1.0_224.thimble',
    'faces.thimble': 'weights/face_detector_tiny_416.thimble',
    'landmarks.thimble': 'weights/face_landmarks_68_112.thimble',
    'photo.jpg': 'weights/samples/cat.jpg',
    'portrait.jpg': 'weights/samples/astronaut.jpg',
    'coffee.jpg': 'weights/samples/coffee.jpg',
  }
  for (const [name, from] of Object.entries(copies)) copyFileSync(join(root, from), join(folder, name))
  writeFileSync(join(folder, 'segmenter.tflite'), writeTflite(segmenter()))
  writeFileSync(join(folder, 'pose.tflite'), writeTflite(pose()))
  writeFileSync(join(folder, 'float.tflite'), writeTflite(tinyNet(1)))
}
