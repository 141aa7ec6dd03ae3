/** Networks of several vectors, and vectors that are compared: what is taken for which, and what they say. */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { disposable } from '../src/base/dispose.ts'
import { createClassifier } from '../src/classify/classifier.ts'
import { taskOf } from '../src/answers/task.ts'
import type { Model, TensorInfo, TypedArray } from '../src/graph/types.ts'
import { cosineSimilarity, type Group, groupsOf, isEmbedding, normalized } from '../src/answers/vectors.ts'
import { blank } from './image-files.ts'

const test = suite('vectors')
const output = (name: string, shape: number[], rest: Partial<TensorInfo> = {}): TensorInfo => ({
  name,
  shape,
  dtype: 'int8',
  scale: 1 / 256,
  zeroPoint: -128,
  ...rest,
})
const AROUND = { scale: 0.02, zeroPoint: 3 }

test('an embedding is told by its name, or by its length and values on both sides of zero', () => {
  for (const [is, info] of [
    [true, output('embeddings', [1, 128])],
    [true, output('global_pooling/Mean', [1, 1, 1, 1024])],
    [true, output('StatefulPartitionedCall:0', [1, 512], AROUND)],
    [true, output('add', [1, 256], { dtype: 'float32', scale: 0, zeroPoint: 0 })],
    [true, output('x', [1, 128], { dtype: 'uint8', scale: 0.01, zeroPoint: 120 })],
    [false, output('StatefulPartitionedCall:0', [1, 512])],
    [false, output('x', [1, 1000], AROUND)],
    [false, output('dense/logits', [1, 128], AROUND)],
    [false, output('features', [1, 10], AROUND)],
    [false, output('features', [1, 8, 8, 64], AROUND)],
  ] as const) {
    assert.is(isEmbedding(info), is, `${info.name} ${info.shape.join('x')}`)
  }
  const inputs = [output('image', [1, 112, 112, 3])]
  const command = (outputs: TensorInfo[], labels?: string[]): string =>
    taskOf({ inputs, outputs, ...(labels && { metadata: { labels } }) }).command
  assert.is(command([output('x', [1, 128], AROUND)]), 'embed')
  assert.is(command([output('x', [1, 3], AROUND)]), 'classify')
  assert.is(command([output('x', [1, 128], AROUND)], Array<string>(128).fill('a')), 'classify', 'it has names')
  assert.is(command([output('age', [1, 100]), output('gender', [1, 1])]), 'classify')
})

test('cosines', () => {
  assert.is(cosineSimilarity([1, 0], [0, 1]), 0)
  assert.ok(Math.abs(cosineSimilarity([1, 2], [-2, -4]) + 1) < 1e-12)
  assert.is(cosineSimilarity([0, 0], [1, 1]), 0)
  assert.equal(normalized([3, 4]), [0.6, 0.8])
  assert.equal(normalized([0, 0]), [0, 0])
})

test('each of several vectors says its own: scores by name where they fit, a number, numbers, an embedding', async () => {
  const outputs = [
    output('gender', [1, 1]),
    output('embedding', [1, 16], AROUND),
    output('age', [1, 3]),
    output('pose', [1, 3], AROUND),
  ]
  const raw: TypedArray[] = [
    Int8Array.of(64),
    Int8Array.from({ length: 16 }, (_, i) => (i === 4 ? 53 : 3)),
    Int8Array.of(-128, 64, -64),
    Int8Array.of(53, 3, -97),
  ]
  const model: Model = {
    inputs: [output('image', [1, 8, 8, 3], { dtype: 'uint8', zeroPoint: 0 })],
    outputs,
    metadata: { labels: ['young', 'middle', 'old'] },
    variant: 'simd',
    kernels: 'generic',
    why: '',
    memoryBytes: 0,
    arenaBytes: 0,
    run: () => raw.map((r) => r.slice() as TypedArray),
    reset: () => undefined,
    ...disposable(() => undefined),
  }
  const classifier = await createClassifier(model)
  assert.is(classifier.raw.length, 0, 'nothing was asked yet')
  classifier.classify(blank(8, 8))
  const [gender, embedding, age, pose] = groupsOf(model, classifier.raw) as [Group, Group, Group, Group]
  assert.equal(gender, { name: 'gender', value: 0.75 })
  assert.equal(embedding, { name: 'embedding', embedding: Array.from({ length: 16 }, (_, i) => Number(i === 4)) })
  assert.equal(age, {
    name: 'age',
    predictions: [
      { label: 'middle', index: 1, score: 0.75 },
      { label: 'old', index: 2, score: 0.25 },
      { label: 'young', index: 0, score: 0 },
    ],
  })
  assert.equal(pose, { name: 'pose', values: [1, 0, -2] })
  assert.is(groupsOf({ outputs: outputs.slice(0, 1), metadata: {} }, raw.slice(0, 1)), undefined, 'one is no group')
  assert.is(groupsOf({ outputs: [...outputs, output('map', [1, 4, 4, 1])], metadata: {} }, raw), undefined)
})

test.run()
