/**
 * What is a function of one 8-bit tensor becomes one table: spelled out activations against the same ops one by one,
 * each in a program of its own, and the programs themselves.
 */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Engine, instantiateProgram, tensorInfo } from '../src/engine/engine.ts'
import type { DType, Graph } from '../src/graph/graph.ts'
import { compileModel, type Program } from '../src/plan/compile.ts'
import { runtimeModule } from '../src/engine/runtime.ts'
import type { TypedArray } from '../src/graph/types.ts'
import { GraphBuilder } from './small-models.ts'
import { equalBytes } from './util.ts'

const runtime = await runtimeModule('simd')

function engineOf(graph: Graph): { engine: Engine; program: Program } {
  const program = compileModel(graph, { variant: 'simd', kernels: 'x86', plan: 'speed' })
  const info = (i: number): ReturnType<typeof tensorInfo> => tensorInfo(graph.tensors[i]!)
  const about = { inputs: graph.inputs.map(info), outputs: graph.outputs.map(info), variant: 'simd', kernels: 'x86' }
  const engine = new Engine(
    instantiateProgram(runtime, program),
    { ...about, variant: 'simd', kernels: 'x86', why: '', metadata: {} },
    program,
  )
  return { engine, program }
}

/** Every op in a program of its own. */
function oneByOne(graph: Graph, input: TypedArray): TypedArray[] {
  const values = new Map<number, TypedArray>([[graph.inputs[0]!, input]])
  for (const op of graph.ops) {
    const from = [...new Set(op.inputs)].filter((i) => !graph.tensors[i]!.data)
    const { engine } = engineOf({ ...graph, ops: [op], inputs: from, outputs: [...op.outputs] })
    values.set(op.outputs[0]!, engine.run(from.map((i) => values.get(i)!))[0]!)
  }
  return graph.outputs.map((i) => values.get(i)!)
}

const SHAPE = [1, 9, 7, 16]

/** A graph on one input; `t` adds a tensor of that shape. */
function spelled(
  dtype: DType,
  build: (b: GraphBuilder, x: number, t: (scale: number, zero: number) => number, one: Constant) => number[],
): Graph {
  const b = new GraphBuilder(1)
  const shift = dtype === 'uint8' ? 128 : 0
  const x = b.input(SHAPE, dtype, 0.05, shift + 3)
  const one: Constant = (scale, zero, q) => {
    const i = b.tensor([1], dtype, scale, shift + zero)
    b.graph.tensors[i]!.data = Uint8Array.of(shift + q)
    return i
  }
  return b.done(...build(b, x, (scale, zero) => b.tensor(SHAPE, dtype, scale, shift + zero), one))
}
type Constant = (scale: number, zero: number, q: number) => number

const NONE = { activation: 'NONE' } as const
const CASES: Record<string, (dtype: DType) => Graph> = {
  'x * logistic(x)': (dtype) =>
    spelled(dtype, (b, x, t) => {
      const s = b.op('LOGISTIC', [x], [t(1 / 256, -128)], {})
      return [b.op('MUL', [x, s], [t(0.03, -100)], NONE)]
    }),
  'x * relu6(x + 3) / 6': (dtype) =>
    spelled(dtype, (b, x, t, one) => {
      const sum = b.op('ADD', [x, one(0.03, 0, 100)], [t(0.06, -20)], NONE)
      const clamped = b.op('RELU6', [sum], [t(0.024, -128)], {})
      const product = b.op('MUL', [clamped, x], [t(0.2, -40)], NONE)
      return [b.op('MUL', [one(1 / 6 / 127, 0, 127), product], [t(0.04, -110)], NONE)]
    }),
  'x * 0.5 * (1 + tanh(x + x * x * x))': (dtype) =>
    spelled(dtype, (b, x, t, one) => {
      const square = b.op('MUL', [x, x], [t(0.15, -128)], NONE)
      const cube = b.op('MUL', [square, x], [t(0.9, 2)], NONE)
      const small = b.op('MUL', [cube, one(0.0004, 0, 112)], [t(0.04, 1)], NONE)
      const sum = b.op('ADD', [x, small], [t(0.08, 5)], NONE)
      const tanh = b.op('TANH', [sum], [t(1 / 128, 0)], {})
      const plus = b.op('ADD', [tanh, one(1 / 127, 0, 127)], [t(0.008, -128)], NONE)
      const half = b.op('MUL', [x, one(0.004, 0, 125)], [t(0.025, 3)], NONE)
      return [b.op('MUL', [half, plus], [t(0.03, -100)], NONE)]
    }),
}

for (const [name, make] of Object.entries(CASES)) {
  for (const dtype of ['int8', 'uint8'] as const) {
    test(`${name}, ${dtype}: one table, the bytes of its ops one by one`, () => {
      const graph = make(dtype)
      const { engine, program } = engineOf(graph)
      const tables = program.entries.filter((e) => !e.kernel.includes('int8') && !e.kernel.includes('output'))
      assert.is(tables.length, 1, program.entries.map((e) => e.kernel).join())
      const n = SHAPE.reduce((a, v) => a * v)
      const bytes = Uint8Array.from({ length: n }, (_, i) => i)
      const input = dtype === 'uint8' ? bytes : new Int8Array(bytes.buffer)
      const [got] = engine.run(input)
      const [want] = oneByOne(graph, input)
      equalBytes(got!, want!, name)
      assert.ok(new Set(got as Int8Array).size > 20)
    })
  }
}

test('what somebody else reads stays, and is not joined across tensors or broadcasts', () => {
  const graph = spelled('int8', (b, x, t, one) => {
    const s = b.op('LOGISTIC', [x], [t(1 / 256, -128)], {})
    const other = b.op('MAX_POOL_2D', [x], [t(0.05, 3)], {
      padding: 'SAME',
      strideH: 1,
      strideW: 1,
      filterH: 2,
      filterW: 2,
      activation: 'NONE',
    })
    // Of two tensors; the logistic's output is an output of the graph, too.
    const mixed = b.op('MUL', [other, s], [t(0.03, -100)], NONE)
    const pixel = b.op('MEAN', [s, b.ints([1, 2])], [b.tensor([1, 1, 1, 16], 'int8', 1 / 256, -128)], {
      keepDims: true,
    })
    const wide = b.op('MUL', [s, pixel], [t(1 / 256, -128)], NONE)
    return [s, mixed, wide, b.op('ADD', [x, one(0.03, 0, 100)], [t(0.06, -20)], NONE)]
  })
  const { engine } = engineOf(graph)
  const input = Int8Array.from({ length: SHAPE.reduce((a, v) => a * v) }, (_, i) => i * 37)
  const want = oneByOne(graph, input)
  engine.run(input).forEach((o, i) => equalBytes(o, want[i]!, `output ${i}`))
})

test.run()
