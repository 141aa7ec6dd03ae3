/** Ops of TensorFlow.js graph models against TensorFlow's own answers (tools/goldens/tfjs_ops.py). */
import { readFileSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { tfGraph } from '../src/convert/tfjs/graph-model.ts'
import { strided } from '../src/convert/tfjs/slicing.ts'
import { type Graph } from '../src/graph/graph.ts'
import { answer, fixture, relative } from './convert-util.ts'
import { refusal } from './util.ts'

interface Case {
  op: string
  input: number[]
  inputs: ({ shape: number[]; values: number[] } | null)[]
  attr: object
  shape: number[]
  values: number[]
}

/** A graph of one op; its constants are weights. */
function graphOf({ op, input, inputs, attr }: Omit<Case, 'shape' | 'values'>): Graph {
  const constants = inputs.flatMap((c, i) => (c ? [{ name: `c${i}`, ...c }] : []))
  const shape = { shape: { dim: input.map((size) => ({ size: String(size) })) } }
  const topology = {
    node: [
      { name: 'in', op: 'Placeholder', attr: { shape } },
      ...constants.map(({ name }) => ({ name, op: 'Const', attr: {} })),
      { name: 'out', op, input: inputs.map((c, i) => (c ? `c${i}` : 'in')), attr },
    ],
  }
  const weights = constants.map(({ name, shape, values }) => ({
    name,
    shape,
    dtype: 'float32' as const,
    data: Float32Array.from(values),
  }))
  return tfGraph(topology as never, weights, undefined, {})
}

const { cases, madeWith } = JSON.parse(readFileSync(fixture('tfjs-ops.json'), 'utf8')) as {
  cases: Case[]
  madeWith: string
}
cases.forEach((c, i) =>
  test(`${i}: ${c.op} of ${c.input.join('x')}, as ${madeWith.split(',')[0]} has it`, () => {
    const graph = graphOf(c)
    assert.equal(graph.tensors[graph.outputs[0]!]!.shape, c.shape)
    assert.ok(relative(answer(graph), c.values) < 1e-5)
  }),
)

test('what is no slice is refused', () => {
  const empty = { begin: [3], end: [3], step: [1] }
  const none = { beginMask: 0, endMask: 0, ellipsisMask: 0, newAxisMask: 0, shrinkAxisMask: 0 }
  const shrunk = { ...none, shrinkAxisMask: 1 }
  assert.is(strided([5], empty, none), undefined)
  assert.equal(strided([5], empty, shrunk)?.result, [])
  assert.equal(strided([5], empty, { ...shrunk, beginMask: 1 })?.begin, [3], 'begin is not masked where it is an index')
  assert.is(strided([5], { ...empty, begin: [5] }, shrunk), undefined)
  assert.is(strided([5], { ...empty, begin: [-6] }, shrunk), undefined)
  assert.is(strided([5], { ...empty, end: [0], step: [-1] }, none), undefined)
  assert.is(strided([5], { ...empty, end: [5], step: [0] }, none), undefined)
  assert.is(strided([], empty, none), undefined)
  const c = { shape: [1], values: [0] }
  const input = [1, 4]
  assert.is(
    refusal(() => graphOf({ op: 'StridedSlice', input, inputs: [null, c, c, { shape: [1], values: [1] }], attr: {} }))
      .code,
    'lower/unsupported-op',
  )
  const four = { shape: [1, 2], values: [-1, 0] }
  assert.is(refusal(() => graphOf({ op: 'Pad', input, inputs: [null, four], attr: {} })).code, 'lower/unsupported-op')
  assert.is(
    refusal(() =>
      graphOf({ op: 'DepthToSpace', input: [1, 2, 2, 3], inputs: [null], attr: { block_size: { i: '2' } } }),
    ).code,
    'lower/unsupported-op',
  )
})

test.run()
