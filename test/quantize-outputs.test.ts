/** What a quantized classifier says of its scores, by everything that decides it. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { Graph } from '../src/graph/graph.ts'
import { isClassifier, withScores } from '../src/quantize/outputs.ts'
import { GraphBuilder } from './small-models.ts'

interface Case {
  last: 'SOFTMAX' | 'LOGISTIC' | 'RELU'
  shape: number[]
  dtype: 'float32' | 'int8'
  task?: 'classification' | 'detection'
  scores?: 'identity' | 'sigmoid'
  twice?: boolean
}
function ending({ last, shape, dtype, task, scores, twice = false }: Case): Graph {
  const b = new GraphBuilder(1)
  const y = b.op(last, [b.input(shape, 'float32')], [b.tensor(shape, dtype)], { beta: 1 })
  const graph = b.done(...(twice ? [y, b.op('RELU', [y], [b.tensor(shape, dtype)], {})] : [y]))
  return { ...graph, metadata: { ...(task ? { task } : {}), ...(scores ? { scores } : {}) } }
}

test('softmax is named where a classifier ends in logits and says nothing itself', () => {
  const logits: Case = { last: 'RELU', shape: [1, 5], dtype: 'float32', task: 'classification' }
  const { task, ...untold } = logits
  assert.is(task, 'classification')
  const said = (c: Case): string | undefined => withScores(ending(c)).scores
  assert.is(said(logits), 'softmax')
  assert.is(said({ ...logits, shape: [1, 1, 1, 5] }), 'softmax')
  for (const other of [
    untold,
    { ...logits, task: 'detection' as const },
    { ...logits, last: 'SOFTMAX' as const },
    { ...logits, last: 'LOGISTIC' as const },
    { ...logits, dtype: 'int8' as const },
    { ...logits, shape: [1, 4, 5] },
    { ...logits, shape: [1, 1] },
    { ...logits, twice: true },
  ]) {
    assert.is(said(other), undefined, JSON.stringify(other))
  }
  for (const scores of ['identity', 'sigmoid'] as const) assert.is(said({ ...logits, scores }), scores)
  assert.equal(
    [logits, { ...logits, shape: [2, 5] }, { ...logits, shape: [1, 1] }, { ...logits, twice: true }].map((c) =>
      isClassifier(ending(c)),
    ),
    [true, false, false, false],
  )
})

test.run()
