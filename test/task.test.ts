/** Which command suits a model, one-output classifiers, and what a graph or Ultralytics' metadata say of the rest. */
import { disposable } from '../src/base/dispose.ts'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { createClassifier } from '../src/classify/classifier.ts'
import { readModel } from '../src/formats/index.ts'
import { ultralyticsMetadata } from '../src/formats/ultralytics.ts'
import type { Metadata } from '../src/graph/graph.ts'
import { defaultPreprocess } from '../src/image/defaults.ts'
import { taskOf } from '../src/answers/task.ts'
import type { Model, PixelImage, TensorInfo, TypedArray } from '../src/graph/types.ts'
import { need, shared } from './util.ts'

const test = suite('task')
const tensor = (shape: number[], more: Partial<TensorInfo> = {}): TensorInfo => ({
  name: 't',
  shape,
  dtype: 'int8',
  scale: 1 / 256,
  zeroPoint: -128,
  ...more,
})

test('the command by what the file says and by shapes', () => {
  const rows: [string, number[][], number[][], Metadata, string][] = [
    ['a classifier', [[1, 224, 224, 3]], [[1, 1000]], {}, 'classify'],
    ['NCHW', [[1, 3, 224, 224]], [[1, 10]], {}, 'classify'],
    ['one score', [[1, 96, 96, 1]], [[1, 1]], {}, 'classify'],
    ['[1, 1, 1, n]', [[1, 96, 96, 3]], [[1, 1, 1, 7]], {}, 'classify'],
    ['SSD with suppression', [[1, 320, 320, 3]], [[1, 10], [1, 10, 4], [1], [1, 10]], {}, 'detect'],
    [
      'SSD without',
      [[1, 320, 320, 3]],
      [
        [1, 2034, 4],
        [1, 2034, 91],
      ],
      {},
      'detect',
    ],
    ['YOLOv8', [[1, 320, 320, 3]], [[1, 84, 2100]], {}, 'detect'],
    ['YOLOv8, one class, 192', [[1, 192, 192, 3]], [[1, 5, 756]], {}, 'detect'],
    ['YOLOv5', [[1, 224, 224, 3]], [[1, 3087, 85]], {}, 'detect'],
    ['FOMO', [[1, 96, 96, 3]], [[1, 12, 12, 2]], {}, 'detect'],
    ['DeepLab', [[1, 257, 257, 3]], [[1, 257, 257, 21]], {}, 'segment'],
    ['words', [[1, 49, 10, 5]], [[1, 12]], {}, 'run'],
    [
      'two inputs',
      [
        [1, 8, 8, 3],
        [1, 4],
      ],
      [[1, 12]],
      {},
      'run',
    ],
    ['the file says detection', [[1, 96, 96, 3]], [[1, 7]], { task: 'detection' }, 'detect'],
    ['the file says classification', [[1, 96, 96, 3]], [[1, 12, 12, 2]], { task: 'classification' }, 'classify'],
    ['the file says features', [[1, 96, 96, 3]], [[1, 64]], { task: 'features' }, 'run'],
    ['the file describes boxes', [[1, 96, 96, 3]], [[1, 64]], { extra: { detection: {} } }, 'detect'],
  ]
  for (const [name, inputs, outputs, metadata, want] of rows) {
    const got = taskOf({ inputs: inputs.map((s) => tensor(s)), outputs: outputs.map((s) => tensor(s)), metadata })
    assert.is(got.command, want, `${name}: ${got.why}`)
  }
})

const gray: PixelImage = { data: Uint8Array.of(1, 2, 3, 4), width: 2, height: 2, channels: 1 }
function oneOutput(raw: TypedArray, output: Partial<TensorInfo>, metadata: Metadata = {}): Model {
  return {
    inputs: [tensor([1, 2, 2, 3], { dtype: 'uint8', scale: 1 / 255, zeroPoint: 0 })],
    outputs: [tensor([1, raw.length], output)],
    variant: 'scalar',
    kernels: 'generic',
    why: 'a test',
    metadata,
    memoryBytes: 0,
    arenaBytes: 0,
    run: () => [raw.slice()],
    reset() {},
    ...disposable(() => undefined),
  }
}

test('a model with one score answers p and 1 - p', async () => {
  const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x))
  const float = { dtype: 'float32', scale: 0, zeroPoint: 0 } as const
  const rows: [string, Model, number][] = [
    ['a quantized probability', oneOutput(Int8Array.of(64), {}), 0.75],
    ['a quantized logit', oneOutput(Int8Array.of(20), { scale: 0.1, zeroPoint: 0 }), sigmoid(2)],
    ['a float probability', oneOutput(Float32Array.of(0.25), float), 0.25],
    ['a float logit', oneOutput(Float32Array.of(-3), float), sigmoid(-3)],
    [
      'a logit between 0 and 1, as the file says',
      oneOutput(Float32Array.of(0.25), float, { scores: 'sigmoid' }),
      sigmoid(0.25),
    ],
  ]
  for (const [name, model, p] of rows) {
    const answers = (await createClassifier(model)).classify(gray)
    assert.equal(answers.map((a) => a.label).sort(), ['no', 'yes'], name)
    for (const { index, score } of answers) assert.ok(Math.abs(score - (index === 1 ? p : 1 - p)) < 1e-6, name)
    assert.ok(answers[0]!.score >= answers[1]!.score, name)
  }
  const model = oneOutput(Int8Array.of(64), {})
  const labels = async (given: string[] | string): Promise<readonly string[]> =>
    (await createClassifier(model, { labels: given })).labels
  assert.equal(await labels(['empty', 'person']), ['empty', 'person'])
  assert.equal(await labels(['person']), ['not person', 'person'])
  assert.equal(await labels('0 empty\n1 person\n'), ['empty', 'person'])
  let message = ''
  await labels(['a', 'b', 'c']).catch((error: Error) => (message = error.message))
  assert.match(message, /usage\/labels: .*expected 2 labels, or the 1 of what the score is for, got 3/)
  assert.equal(
    (await createClassifier(oneOutput(Int8Array.of(64), {}, { labels: ['dog'] }))).classify(gray)[0]!.label,
    'dog',
  )
})

test("Ultralytics' metadata: a Python dict or JSON", () => {
  const dict =
    "{'description': 'YOLO', 'author': 'Ultralytics', 'version': '8.0', 'license': 'AGPL-3.0', 'stride': 32, 'task': 'pose', 'batch': 1, 'imgsz': [192, 192], 'names': {0: 'person', 1: \"dog's\"}, 'kpt_shape': [17, 3]}"
  const json =
    '{"description": "YOLO", "author": "Ultralytics", "version": "8.0", "license": "AGPL-3.0", "stride": 32, "task": "pose", "imgsz": [192, 192], "names": {"0": "person", "1": "dog\'s"}, "kpt_shape": [17, 3]}'
  const want = ultralyticsMetadata(json)!
  assert.equal(ultralyticsMetadata(dict), want)
  assert.equal(want.labels, ['person', "dog's"])
  assert.is(want.task, 'landmarks')
  assert.equal(want.preprocess, { fit: 'fit', method: 'bilinear-fast', channels: 'rgb', mean: [0], std: [255] })
  assert.not.match(want.preprocessFrom!, /from the model file/)
  assert.equal(want.extra, { keypoints: [17, 3], ultralytics: { task: 'pose', stride: 32, imgsz: [192, 192] } })
  // What is not as Ultralytics writes it is left out.
  const odd = ultralyticsMetadata(
    '{"stride": 0, "task": 7, "imgsz": [0, 192], "kpt_shape": [17], "names": ["a"], "author": 5, "license": "MIT"}',
  )!
  assert.equal(odd.extra, { ultralytics: {} })
  assert.equal([odd.author, odd.license, odd.task, odd.scores], [undefined, 'MIT', undefined, undefined])
  assert.equal(ultralyticsMetadata('{"imgsz": 640, "names": ["a"]}')!.extra, { ultralytics: { imgsz: 640 } })
  assert.is(ultralyticsMetadata('{"task": "constructor", "names": ["a"]}')!.task, undefined)
  const classify = ultralyticsMetadata('{"task": "classify", "names": ["a", "b"]}')!
  assert.is(classify.task, 'classification')
  assert.is(classify.preprocess!.fit, 'crop')
  assert.is(classify.scores, 'identity')
  for (const other of ['cat\ndog', '{"0": "cat"}', "{'names': 3, 'task': 'x'}", '{', '', '{"names": ["a"]}']) {
    assert.is(ultralyticsMetadata(other), undefined, other)
  }
})

test('what is assumed of a range, at the ends of each', () => {
  const covering = (low: number, high: number): TensorInfo => {
    const scale = (high - low) / 255
    return tensor([1, 8, 8, 3], { scale, zeroPoint: Math.round(-128 - low / scale) })
  }
  const rows: [number, number, number, number][] = [
    // low, high, mean, std of the first channel
    [0, 1, 0, 255],
    [-1, 1, 127.5, 127.5],
    [0, 255, 0, 1],
    [-2.118, 2.64, 123.675, 58.395],
    [-2.25, 2.75, 123.675, 58.395],
    [-3, 3, 127.5, 127.5],
    [-2.118, 4, 127.5, 127.5],
  ]
  for (const [low, high, mean, std] of rows) {
    const { preprocess } = defaultPreprocess(covering(low, high))
    assert.ok(Math.abs(preprocess.mean[0]! - mean) <= 1, `${low} to ${high}: mean ${preprocess.mean[0]}`)
    assert.ok(Math.abs(preprocess.std[0]! / std - 1) < 0.02, `${low} to ${high}: std ${preprocess.std[0]}`)
  }
  const imagenet = defaultPreprocess(covering(-2.118, 2.64)).preprocess
  assert.equal(
    [imagenet.mean, imagenet.std],
    [
      [123.675, 116.28, 103.53],
      [58.395, 57.12, 57.375],
    ],
  )
})

const cases = shared('cases')
const at = (path: string): string | undefined =>
  cases && existsSync(join(cases, path)) ? join(cases, path) : undefined
const metadataOf = (path: string): Metadata => readModel(readFileSync(path)).metadata

need(
  test,
  'public YOLO files with both forms',
  { resource: at('metadata/yolov8n_ultralytics_metadata.tflite'), missing: '../shared/cases is missing' },
  (path) => {
    for (const file of [path, at('metadata/float_input_integer_quant.tflite')!]) {
      const { labels, task, preprocess } = metadataOf(file)
      assert.is(labels!.length, 80)
      assert.equal([labels![0], labels![79], task], ['person', 'toothbrush', 'detection'])
      assert.equal([preprocess!.mean, preprocess!.std], [[0], [255]])
    }
  },
)

need(
  test,
  'public models with one output say how it becomes a score',
  { resource: at('outputs/sigmoid1.tflite'), missing: '../shared/cases is missing' },
  (path) => {
    assert.is(metadataOf(path).scores, 'identity')
    assert.is(metadataOf(at('outputs/binary_sigmoid_stm_person.tflite')!).scores, 'identity')
    assert.is(metadataOf(at('outputs/regress.tflite')!).scores, 'sigmoid')
  },
)

test.run()
