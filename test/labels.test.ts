/** Label files, the best scores, and a classifier over a model that answers what the test wants. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { createClassifier } from '../src/classifier.ts'
import { ThimbleError } from '../src/errors.ts'
import type { Metadata } from '../src/graph.ts'
import { labelOf, parseLabels, topK } from '../src/labels.ts'
import type { Model, PixelImage, TensorInfo, TypedArray } from '../src/types.ts'
import { rng } from './util.ts'

const test = suite('labels')
const throwsCode = (run: () => unknown, code: string, words = /./): void =>
  assert.throws(run, (e: Error) => e instanceof ThimbleError && e.code === code && words.test(e.message))

test('label files of every kind', () => {
  const rows: [string, string, string[]][] = [
    ['lines', 'cat\ndog\nbird', ['cat', 'dog', 'bird']],
    ['lines, CRLF, BOM, end', '\ufeffcat\r\ndog\r\n\r\n', ['cat', 'dog']],
    ['spaces around', '  cat \n\tdog', ['cat', 'dog']],
    ['an empty line keeps its place', 'cat\n\ndog', ['cat', '', 'dog']],
    ['Coral', '0  background\n1  tench, Tinca tinca\n3  shark', ['background', 'tench, Tinca tinca', '', 'shark']],
    ['Teachable Machine', '0 Hand\n1 No hand', ['Hand', 'No hand']],
    ['colons', '0: cat\n1: dog', ['cat', 'dog']],
    ['any order', '1 dog\n0 cat', ['cat', 'dog']],
    ['numbers that are names', '2 door car\ntruck', ['2 door car', 'truck']],
    ['the same number twice is no index', '4 seats\n4 wheels', ['4 seats', '4 wheels']],
    ['WordNet', 'n01440764 tench, Tinca tinca\nn01443537 goldfish', ['tench, Tinca tinca', 'goldfish']],
    ['JSON array', '["cat", "dog"]', ['cat', 'dog']],
    [
      'JSON objects',
      '[{"name": "cat"}, {"label": "dog"}, {"name": "n1", "displayName": "bird"}]',
      ['cat', 'dog', 'bird'],
    ],
    ['JSON ids', '[{"id": 2, "name": "dog"}, {"id": 0, "name": "cat"}]', ['cat', '', 'dog']],
    ['JSON map', '{"0": "cat", "2": "dog"}', ['cat', '', 'dog']],
    ['Keras', '{"0": ["n01440764", "tench"], "1": ["n01443537", "goldfish"]}', ['tench', 'goldfish']],
    ['wrapped', '{"labels": ["a", "b"]}', ['a', 'b']],
  ]
  for (const [name, text, want] of rows) assert.equal(parseLabels(text), want, name)
})

test('label files that are none', () => {
  for (const text of ['', '\n\n', '["a", 3]', '{"x": "a"}', '{"0": 1}', '[1', 'a\0b', '{"0": "a", "1e9": "b"}']) {
    throwsCode(() => parseLabels(text), 'format/labels')
  }
})

test('topK equals sorting, ties by index', () => {
  const random = rng(5)
  for (let i = 0; i < 200; i++) {
    const scores = Float32Array.from({ length: 1 + random.int(40) }, () => random.int(8) / 8)
    const k = 1 + random.int(12)
    const want = Array.from(scores, (s, at) => [s, at] as const)
      .sort((a, b) => b[0] - a[0] || a[1] - b[1])
      .slice(0, k)
      .map(([, at]) => at)
    assert.equal(topK(scores, k), want)
    assert.equal(
      topK(scores, k, 0.5),
      want.filter((at) => scores[at]! >= 0.5),
    )
  }
  assert.equal(topK([NaN, 1, NaN], 3), [1])
  assert.is(labelOf(['a', ''], 1), 'class 1')
  assert.is(labelOf(undefined, 7), 'class 7')
})

/** A model with a 2x2 image input that answers `raw`, and keeps what it was given. */
function fakeModel(
  raw: TypedArray,
  output: Partial<TensorInfo>,
  metadata: Metadata = {},
): Model & { seen?: TypedArray } {
  return {
    inputs: [{ name: 'in', shape: [1, 2, 2, 3], dtype: 'uint8', scale: 1 / 255, zeroPoint: 0 }],
    outputs: [{ name: 'out', shape: [1, raw.length], dtype: 'uint8', scale: 1 / 256, zeroPoint: 0, ...output }],
    variant: 'scalar',
    kernels: 'generic',
    why: 'a test',
    metadata,
    memoryBytes: 0,
    arenaBytes: 0,
    run(input, options) {
      this.seen = (input as TypedArray).slice()
      const out = (options?.out as TypedArray[] | undefined)?.[0]
      if (!out) return [raw.slice()]
      out.set(raw as never)
      return [out]
    },
    dispose() {},
  }
}
const gray: PixelImage = { data: Uint8Array.of(1, 2, 3, 4), width: 2, height: 2, channels: 1 }
const close = (a: number, b: number): void => assert.ok(Math.abs(a - b) < 1e-6, `${a} is not ${b}`)

test('a classifier: pixels in, best labels out', async () => {
  const model = fakeModel(Uint8Array.of(10, 200, 46), {}, { labels: ['a', 'b', 'c'] })
  const classifier = await createClassifier(model, { topK: 2 })
  assert.equal(classifier.classify(gray), [
    { label: 'b', index: 1, score: 200 / 256 },
    { label: 'c', index: 2, score: 46 / 256 },
  ])
  assert.equal(Array.from(model.seen as Uint8Array), [1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4])
  assert.is(classifier.timings.decodeMs, 0)
  assert.is(classifier.classify(gray, { topK: 1 }).length, 1)
  assert.equal(
    classifier.classify(gray, { scoreThreshold: 0.5 }).map((p) => p.label),
    ['b'],
  )
  assert.equal(
    classifier.classify({ data: new Uint8ClampedArray(16).fill(9), width: 2, height: 2 }).length,
    2,
    'ImageData',
  )
  const first = classifier.classify(gray)
  classifier.classify(gray)
  assert.is(first[0]!.score, 200 / 256, 'answers do not change under the caller')
})

test("scores: probabilities stay, logits become probabilities, the file's word counts", async () => {
  const scores = async (model: Model, how?: 'auto' | 'softmax' | 'sigmoid' | 'identity'): Promise<number[]> =>
    (await createClassifier(model, { topK: 9, ...(how ? { scores: how } : {}) }))
      .classify(gray)
      .sort((a, b) => a.index - b.index)
      .map((p) => p.score)
  const softmax = (v: number[]): number[] => v.map((x) => Math.exp(x) / v.reduce((s, y) => s + Math.exp(y), 0))
  const int8 = (values: number[], scale: number, zeroPoint: number, metadata: Metadata = {}): Model =>
    fakeModel(Int8Array.from(values), { dtype: 'int8', scale, zeroPoint }, metadata)

  assert.equal(await scores(int8([-128, 0, 127], 1 / 256, -128)), [0, 0.5, 255 / 256])
  const logits = int8([-10, 0, 30], 0.1, 0)
  ;(await scores(logits)).forEach((s, i) => close(s, softmax([-1, 0, 3])[i]!))
  ;(await scores(logits, 'identity')).forEach((s, i) => close(s, [-1, 0, 3][i]!))
  ;(await scores(logits, 'sigmoid')).forEach((s, i) => close(s, 1 / (1 + Math.exp(-[-1, 0, 3][i]!))))
  ;(await scores(int8([-128, 0, 127], 1 / 256, -128, { scores: 'softmax' }))).forEach((s, i) =>
    close(s, softmax([0, 0.5, 255 / 256])[i]!),
  )
  const float = (values: number[]): Model =>
    fakeModel(Float32Array.from(values), { dtype: 'float32', scale: 0, zeroPoint: 0 })
  ;(await scores(float([0.25, 0.75]))).forEach((s, i) => close(s, [0.25, 0.75][i]!))
  ;(await scores(float([0.25, 2]))).forEach((s, i) => close(s, softmax([0.25, 2])[i]!))
  ;(await scores(float([1000, 1000]))).forEach((s) => close(s, 0.5))
})

test("labels: text is parsed, a wrong number is refused, a file's own are taken", async () => {
  const model = fakeModel(Uint8Array.of(1, 2), {})
  assert.equal((await createClassifier(model, { labels: '0 x\n1 y' })).labels, ['x', 'y'])
  assert.is((await createClassifier(model)).classify(gray)[0]!.label, 'class 1')
  for (const labels of [['x'], ['x', 'y', 'z']]) {
    const error = await createClassifier(model, { labels }).then(
      () => undefined,
      (e: Error) => e,
    )
    assert.ok(error instanceof ThimbleError && error.code === 'usage/labels', String(error))
  }
  assert.equal(
    (await createClassifier(fakeModel(Uint8Array.of(1, 2), {}, { labels: ['only'] })))
      .classify(gray)
      .map((p) => p.label),
    ['class 1', 'only'],
  )
})

test('encoded images: decoder at once, later, or none', async () => {
  const model = fakeModel(Uint8Array.of(1, 2), {})
  const none = await createClassifier(model)
  throwsCode(() => none.classify(new Uint8Array(3)), 'usage/decode')
  const now = await createClassifier(model, { decode: () => gray })
  assert.is(now.classify(new Uint8Array(3).buffer)[0]!.index, 1)
  const later = await createClassifier(model, { decode: async () => gray })
  const promise = later.classify(new Uint8Array(3))
  assert.instance(promise, Promise)
  assert.is((await promise)[0]!.index, 1)
  assert.is(later.classify(gray)[0]!.index, 1)
})

test('models that are no classifiers, and wrong options', async () => {
  const rejects = async (promise: Promise<unknown>, code: string): Promise<void> => {
    const error = await promise.then(
      () => undefined,
      (e: Error) => e,
    )
    assert.ok(error instanceof ThimbleError && error.code === code, `${code}: ${error}`)
  }
  const ok = fakeModel(Uint8Array.of(1, 2), {})
  await rejects(
    createClassifier({ ...fakeModel(Uint8Array.of(1, 2, 3, 4), { shape: [1, 2, 2] }) }),
    'usage/not-a-classifier',
  )
  await rejects(createClassifier({ ...ok, inputs: [ok.inputs[0]!, ok.inputs[0]!] }), 'usage/not-a-classifier')
  await rejects(createClassifier({ ...ok, inputs: [{ ...ok.inputs[0]!, shape: [1, 640] }] }), 'image/unsupported-input')
  await rejects(createClassifier(ok, { topK: 0 }), 'usage/option')
  await rejects(
    createClassifier(ok, { preprocess: { fit: 'stretch', method: 'bilinear', channels: 'rgb', mean: [0], std: [0] } }),
    'usage/preprocess',
  )
})

test.run()
