/**
 * Sparse constants of .tflite files: every form of the storage, and damage. LiteRT's answers: test/goldens/ops/DENSIFY.
 */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { readTflite } from '../src/formats/tflite.ts'
import { rawTflite, type RawSparsity } from './raw-tflite.ts'
import { refusal } from './util.ts'

const DENSIFY = 124
const MAXIMUM = 55

/** max(x, DENSIFY(constant)), the constant of these dimensions with these stored bytes. */
const sparseModel = (shape: number[], sparse: RawSparsity, stored: number[]): Uint8Array => {
  const grid = { shape, scales: [1], zeroPoints: [0] }
  return rawTflite({
    codes: [{ narrow: DENSIFY }, { narrow: MAXIMUM }],
    buffers: [undefined, Uint8Array.from(stored)],
    tensors: [
      { ...grid, name: 'x' },
      { ...grid, name: 'stored', sparse, buffer: 1 },
      { ...grid, name: 'dense' },
      { ...grid, name: 'y' },
    ],
    ops: [
      { code: 0, inputs: [1], outputs: [2] },
      { code: 1, inputs: [0, 2], outputs: [3] },
    ],
    inputs: [0],
    outputs: [3],
  })
}
const dense = (shape: number[], sparse: RawSparsity, stored: number[]): number[] => {
  const { ops, tensors } = readTflite(sparseModel(shape, sparse, stored))
  assert.equal(
    ops.map((op) => op.type),
    ['MAXIMUM'],
  )
  return [...tensors[2]!.data!]
}

const ROWS: RawSparsity = { order: [0, 1], levels: [2, { segments: [0, 1, 3], indices: [2, 0, 1] }] }

test('rows with some of their columns', () => {
  assert.equal(dense([2, 3], ROWS, [5, 6, 7]), [0, 0, 5, 6, 7, 0])
})

test('columns first', () => {
  const columns: RawSparsity = { order: [1, 0], levels: [3, { segments: [0, 1, 1, 2], indices: [1, 0] }] }
  assert.equal(dense([2, 3], columns, [5, 6]), [0, 0, 6, 5, 0, 0])
})

test('blocks of 2 x 2, some of them', () => {
  const blocks: RawSparsity = {
    order: [0, 1, 2, 3],
    blockMap: [0, 1],
    levels: [1, { segments: [0, 1], indices: [1] }, 2, 2],
  }
  assert.equal(dense([2, 4], blocks, [1, 2, 3, 4]), [0, 0, 1, 2, 0, 0, 3, 4])
})

test('nothing is stored of a constant of zeros', () => {
  assert.equal(dense([2, 2], { order: [0, 1], levels: [{ segments: [0, 0], indices: [] }, 2] }, []), [0, 0, 0, 0])
})

const DAMAGE: [string, RawSparsity, number[], RegExp][] = [
  ['too few values', ROWS, [5], /too few values/],
  ['an index outside', { ...ROWS, levels: [2, { segments: [0, 1, 2], indices: [3, 0] }] }, [5, 6], /outside/],
  ['a negative index', { ...ROWS, levels: [2, { segments: [0, 1, 2], indices: [-1, 0] }] }, [5, 6], /outside/],
  ['falling segments', { ...ROWS, levels: [2, { segments: [0, 2, 1], indices: [0, 1] }] }, [5, 6], /rising/],
  ['segments behind the indices', { ...ROWS, levels: [2, { segments: [0, 1, 9], indices: [0] }] }, [5], /rising/],
  ['too few segments', { ...ROWS, levels: [2, { segments: [0, 1], indices: [0] }] }, [5], /too few segments/],
  ['another size', { order: [0, 1], levels: [2, 4] }, [1, 2, 3, 4, 5, 6, 7, 8], /another size/],
  ['an order twice', { order: [0, 0], levels: [2, 3] }, [], /order/],
  ['an order of too few', { order: [0], levels: [2, 3] }, [], /order/],
  ['blocks of a dimension that is none', { order: [0, 1, 2], blockMap: [4], levels: [2, 3, 1] }, [], /blocks/],
  ['blocks that do not divide', { order: [0, 1, 2], blockMap: [1], levels: [2, 1, 2] }, [], /another size|divide/],
  ['blocks first', { order: [2, 0, 1], blockMap: [0], levels: [2, 1, 3] }, [], /blocks before/],
]
for (const [name, sparse, stored, message] of DAMAGE) {
  test(`damage: ${name}`, () => {
    const e = refusal(() => readTflite(sparseModel([2, 3], sparse, stored)))
    assert.is(e.code, 'format/sparsity')
    assert.match(e.message, message)
  })
}

test('a small file can not unfold to much', () => {
  const side = 40000
  const sparse: RawSparsity = { order: [0, 1], levels: [{ segments: [0, 0], indices: [] }, side] }
  assert.is(refusal(() => readTflite(sparseModel([side, side], sparse, []))).code, 'format/limit')
})

test.run()
