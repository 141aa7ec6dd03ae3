/**
 * TFLite_Detection_PostProcess against LiteRT's recorded answers, byte for byte; the detector and packed modules over
 * it.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { readFloatModel } from '../src/convert/index.ts'
import { createDetector } from '../src/vision/detector.ts'
import type { ThimbleError } from '../src/base/errors.ts'
import { readModel } from '../src/formats/index.ts'
import { writePacked } from '../src/formats/packed-write.ts'
import { writeTflite } from '../src/formats/tflite-write.ts'
import type { Graph, OpOf } from '../src/graph/graph.ts'
import { loadGraph } from '../src/engine/load-graph.ts'
import { loadBytes } from '../src/engine/load.ts'
import { packGraph } from '../src/pack/pack.ts'
import { loadModel } from '../src/node.ts'
import { withPrograms } from '../src/plan/record.ts'
import type { TypedArray } from '../src/graph/types.ts'
import { CHOICES } from './choices.ts'
import { DETECTION_ATTRS } from './small-models.ts'
import { equalBytes, root } from './util.ts'

interface Case {
  options: Record<string, number | boolean>
  quantized: boolean
  model: string
  inputs: string[]
  outputs: string[]
}
const cases = JSON.parse(
  gunzipSync(readFileSync(join(root, 'test/fixtures/detection/detection.json.gz'))).toString(),
) as Case[]
const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'base64'))
const floats = (text: string): Float32Array => new Float32Array(bytes(text).buffer)
const inputsOf = (c: Case): TypedArray[] => c.inputs.map((t) => (c.quantized ? bytes(t) : floats(t)))

/** Results of LiteRT's answer and zeros after them. */
function compare(c: Case, got: TypedArray[], what: string): void {
  c.outputs.forEach((text, i) => {
    const want = bytes(text)
    const all = new Uint8Array(got[i]!.buffer, got[i]!.byteOffset, got[i]!.byteLength)
    equalBytes(all.subarray(0, want.length), want, `${what}, output ${i}`)
    assert.ok(
      all.subarray(want.length).every((v) => v === 0),
      `${what}, output ${i}: zeros after the last result`,
    )
  })
}

// Kernel choices do not matter to this op.
for (const { variant } of CHOICES.filter((c) => c.kernels === 'generic')) {
  test(`${cases.length} models give LiteRT's bytes (${variant})`, async () => {
    let found = 0
    for (const [i, c] of cases.entries()) {
      const model = await loadBytes(bytes(c.model), { variant })
      const answer = model.run(inputsOf(c))
      compare(c, answer, `case ${i}, ${JSON.stringify(c.options)}`)
      compare(c, model.run(inputsOf(c)), `case ${i} again`)
      found += answer[3]![0] as number
      model.dispose()
    }
    assert.ok(found > 300, `only ${found} detections in all`)
  })
}

test('packed modules carry the kernel', async () => {
  for (const i of [0, 1, 2, 3]) {
    const c = cases[i]!
    const packed = await loadModel(
      await WebAssembly.compile(
        (await packGraph(readModel(bytes(c.model)), { variant: 'simd' })).wasm as Uint8Array<ArrayBuffer>,
      ),
    )
    compare(c, packed.run(inputsOf(c)), `case ${i}`)
    const file = await loadBytes(writePacked(readModel(bytes(c.model))))
    compare(c, file.run(inputsOf(c)), `case ${i}, .thimble`)
  }
})

test('converted to .tflite and .thimble, with anchors of either type, models give the same bytes', async () => {
  for (const [i, c] of cases.entries()) {
    const graph = await readFloatModel(bytes(c.model))
    for (const [format, file] of [
      ['.tflite', writeTflite(graph)],
      ['.thimble', writePacked(withPrograms(graph))],
    ] as const) {
      const model = await loadBytes(file)
      compare(c, model.run(inputsOf(c)), `case ${i}, ${format}`)
      model.dispose()
    }
  }
  assert.ok(cases.some((c) => c.quantized) && cases.some((c) => !c.quantized))
})

test('what the file says about the outputs is replaced by what the op gives', async () => {
  const c = cases.find((one) => !one.quantized)!
  const graph = readModel(bytes(c.model))
  const n = (c.options.max_detections as number) * (c.options.max_classes_per_detection as number)
  assert.equal(
    graph.outputs.map((t) => graph.tensors[t]!.shape),
    [[1, n, 4], [1, n], [1, n], [1]],
  )
  assert.is(graph.metadata.task, 'detection')
  assert.equal(graph.metadata.extra!.detection, {
    kind: 'postprocess',
    boxes: 0,
    classes: 1,
    scores: 2,
    count: 3,
    iouThreshold: 1,
    scoreThreshold: 0.5,
  })
})

/** A detector on images: its codes and scores are constants of the graph but for one number of the image. */
function imageDetector(labels?: string[]): Graph {
  const f = (v: number[]): Uint8Array => new Uint8Array(Float32Array.from(v).buffer)
  const q = (scale: number, zero: number): { scales: Float32Array; zeroPoints: Int32Array; axis: number } => ({
    scales: Float32Array.of(scale),
    zeroPoints: Int32Array.of(zero),
    axis: 0,
  })
  // Scores [1, 2, 2]: the first image pixel's first two channels and the second's, through a slice of the uint8 image.
  const int32 = (v: number[]): Uint8Array => new Uint8Array(Int32Array.from(v).buffer)
  return {
    tensors: [
      { name: 'image', shape: [1, 2, 2, 3], dtype: 'uint8', quantization: q(1 / 255, 0) },
      { name: 'begin', shape: [4], dtype: 'int32', data: int32([0, 0, 0, 0]) },
      { name: 'size', shape: [4], dtype: 'int32', data: int32([1, 1, 2, 2]) },
      { name: 'slice', shape: [1, 1, 2, 2], dtype: 'uint8', quantization: q(1 / 255, 0) },
      { name: 'scores', shape: [1, 2, 2], dtype: 'uint8', quantization: q(1 / 255, 0) },
      { name: 'float scores', shape: [1, 2, 2], dtype: 'float32' },
      { name: 'codes', shape: [1, 2, 4], dtype: 'float32', data: f([0, 0, 0, 0, 0, 0, 0, 0]) },
      { name: 'anchors', shape: [2, 4], dtype: 'float32', data: f([0.25, 0.25, 0.5, 0.5, 0.5, 0.75, 1, 0.5]) },
      { name: 'a', shape: [1, 4, 4], dtype: 'float32' },
      { name: 'b', shape: [1, 4], dtype: 'float32' },
      { name: 'c', shape: [1, 4], dtype: 'float32' },
      { name: 'd', shape: [1], dtype: 'float32' },
    ],
    ops: [
      { type: 'SLICE', inputs: [0, 1, 2], outputs: [3], attrs: {} },
      { type: 'RESHAPE', inputs: [3], outputs: [4], attrs: {} },
      { type: 'DEQUANTIZE', inputs: [4], outputs: [5], attrs: {} },
      {
        type: 'DETECTION_POSTPROCESS',
        inputs: [6, 5, 7],
        outputs: [8, 9, 10, 11],
        attrs: { ...DETECTION_ATTRS },
      },
    ],
    inputs: [0],
    outputs: [8, 9, 10, 11],
    metadata: {
      task: 'detection',
      ...(labels ? { labels } : {}),
      extra: {
        detection: {
          kind: 'postprocess',
          boxes: 0,
          classes: 1,
          scores: 2,
          count: 3,
          iouThreshold: 1,
          scoreThreshold: 0.5,
        },
      },
    },
  }
}

test('a detector whose graph ends in the op: image in, labelled boxes out', async () => {
  const detector = await createDetector(await loadGraph(imageDetector()), { labels: 'cup\ndog\n' })
  const data = new Uint8Array(12)
  data.set([200, 0, 0, 10, 255, 0])
  const found = detector.detect({ data, width: 2, height: 2, channels: 3 })
  assert.equal(
    found.map((d) => [d.label, Number(d.score.toFixed(3)), d.box]),
    [
      ['dog', 1, { x: 1, y: 0, width: 1, height: 2 }],
      ['cup', 0.784, { x: 0, y: 0, width: 1, height: 1 }],
    ],
  )
  data.fill(0)
  assert.equal(detector.detect({ data, width: 2, height: 2, channels: 3 }), [])
})

test('what LiteRT refuses is refused by name', async () => {
  type Attrs = OpOf<'DETECTION_POSTPROCESS'>['attrs']
  const code = async (change: (g: Graph, attrs: Attrs) => void): Promise<string> => {
    const g = imageDetector()
    change(g, g.ops[3]!.attrs as Attrs)
    try {
      await loadGraph(g)
    } catch (error) {
      return (error as ThimbleError).code
    }
    return 'nothing'
  }
  assert.is(
    await code((_, a) => {
      a.nmsIouThreshold = 0
    }),
    'lower/attribute',
  )
  assert.is(
    await code((_, a) => {
      a.nmsIouThreshold = 1.5
    }),
    'lower/attribute',
  )
  assert.is(
    await code((_, a) => {
      a.numClasses = 4
    }),
    'lower/shape',
  )
  assert.is(
    await code((_, a) => {
      a.maxDetections = 1e6
    }),
    'lower/unsupported-op',
  )
  assert.is(
    await code((g) => {
      g.tensors[7]!.data = new Uint8Array(Float32Array.of(0, 0, -1, 1, 0, 0, 1, 1).buffer)
    }),
    'lower/attribute',
  )
  assert.is(
    await code((g) => {
      g.tensors[7] = { ...g.tensors[7]!, shape: [1, 4] }
    }),
    'lower/shape',
  )
  assert.is(
    await code((g) => {
      g.tensors[6] = { ...g.tensors[6]!, dtype: 'int8' }
    }),
    'lower/unsupported-op',
  )
  assert.is(
    await code((g) => {
      delete g.tensors[7]!.data
      g.inputs.push(7)
    }),
    'lower/unsupported-op',
  )
})

test.run()
