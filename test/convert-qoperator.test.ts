/**
 * QLinear and integer nodes spelled out, node by node. Whole models: the `operators` and `dynamic` fixtures of
 * convert.test.ts.
 */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import type { OnnxModel, OnnxNode, OnnxTensor } from '../src/convert/onnx/model.ts'
import { spelledOut } from '../src/convert/onnx/qoperator.ts'
import { refusal } from './util.ts'

const tensor = (name: string, dtype: OnnxTensor['dtype'], shape: number[], data: number[]): [string, OnnxTensor] => [
  name,
  { name, dtype, shape, data: Float32Array.from(data) },
]
const CONSTANTS = new Map<string, OnnxTensor>([
  tensor('s', 'float32', [], [0.5]),
  tensor('z', 'uint8', [], [3]),
  tensor('columns', 'float32', [2], [0.25, 0.5]),
  tensor('zeros', 'int8', [2], [0, 0]),
  tensor('weights', 'int8', [3, 2], [1, 2, 3, 4, 5, 6]),
  tensor('offsets', 'uint8', [2], [1, 2]),
  tensor('bias', 'int32', [2], [10, 20]),
])
const node = (type: string, inputs: string[], outputs = ['y'], ints: Record<string, number> = {}): OnnxNode => ({
  type,
  domain: 'com.microsoft',
  name: type,
  inputs,
  outputs,
  attributes: new Map(Object.entries(ints).map(([k, i]) => [k, { i, floats: [], ints: [], hasGraph: false }])),
})
const model = (...nodes: OnnxNode[]): OnnxModel => ({
  opset: 17,
  producer: '',
  name: '',
  nodes,
  constants: CONSTANTS,
  inputs: [],
  outputs: [],
})
const types = (m: OnnxModel): string[] => m.nodes.map((n) => n.type)
const GRID = ['s', 'z']

test('a product of two tensors: scales of columns run along the last axis', () => {
  const { nodes } = spelledOut(model(node('QLinearMatMul', ['a', ...GRID, 'weights', 'columns', 'zeros', ...GRID])))
  assert.equal(types(model(...nodes)), ['DequantizeLinear', 'DequantizeLinear', 'MatMul', 'QuantizeLinear'])
  assert.is(nodes[1]!.attributes.get('axis')!.i, 1)
  assert.equal(nodes[3]!.outputs, ['y'])
  assert.equal(nodes[3]!.inputs.slice(1), GRID)
  assert.ok(nodes.every((n) => n.domain === ''))
})

test('QGemm: the bias has the scale of the products, a result without a grid is float', () => {
  const { nodes, constants } = spelledOut(
    model(node('QGemm', ['a', ...GRID, 'weights', 'columns', 'zeros', 'bias'], ['y'], { transB: 0 })),
  )
  assert.equal(types(model(...nodes)), ['DequantizeLinear', 'DequantizeLinear', 'DequantizeLinear', 'Gemm'])
  assert.equal([...constants.get(nodes[2]!.inputs[1]!)!.data], [0.125, 0.25])
  assert.equal(nodes[3]!.outputs, ['y'])
})

test('joins and what only moves numbers', () => {
  const m = spelledOut(
    model(
      node('QLinearConcat', [...GRID, 'a', ...GRID, 'b', ...GRID], ['c'], { axis: 1 }),
      node('MaxPool', ['c'], ['d']),
      node('Reshape', ['other', 'shape'], ['e']),
    ),
  )
  assert.equal(types(m), [
    'DequantizeLinear',
    'DequantizeLinear',
    'Concat',
    'QuantizeLinear',
    'DequantizeLinear',
    'MaxPool',
    'QuantizeLinear',
    'Reshape',
  ])
  assert.equal(m.nodes[6]!.inputs, ['d/real', ...GRID])
})

test('products over inputs quantized at run time: real inputs, weights without their zero points', () => {
  const { nodes, constants } = spelledOut(
    model(
      node('DynamicQuantizeLinear', ['x'], ['q', 'scale', 'zero']),
      node('MatMulInteger', ['q', 'weights', 'zero', 'offsets']),
    ),
  )
  assert.equal(types(model(...nodes)), ['Identity', 'MatMul'])
  assert.equal([...constants.get('scale')!.data], [1])
  assert.equal([...constants.get(nodes[1]!.inputs[1]!)!.data], [0, 0, 2, 2, 4, 4])
})

test('a node that lacks inputs, or whose layout is another, is refused by name', () => {
  const code = (n: OnnxNode): string => refusal(() => spelledOut(model(n))).message
  assert.match(code(node('QLinearConv', ['x', 's'])), /QLinearConv/)
  assert.match(
    code(node('QLinearGlobalAveragePool', ['x', ...GRID, ...GRID], ['y'], { channels_last: 1 })),
    /channels last/,
  )
})

test('a model without such nodes is left as it is', () => {
  const m = model(node('Conv', ['x', 'weights']))
  assert.is(spelledOut(m), m)
})

test.run()
