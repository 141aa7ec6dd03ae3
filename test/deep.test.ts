/** Graphs of tens of thousands of ops, deep and wide: read, checked, lowered, planned and reported in linear time. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { writePacked } from '../src/formats/packed-write.ts'
import { readPacked } from '../src/formats/packed.ts'
import { writeTflite } from '../src/formats/tflite-write.ts'
import { readTflite } from '../src/formats/tflite.ts'
import type { Graph, Op } from '../src/graph/graph.ts'
import { inspectModel } from '../src/engine/inspect.ts'
import { loadGraph } from '../src/engine/load-graph.ts'
import { compileModel } from '../src/plan/compile.ts'
import { GraphBuilder } from './small-models.ts'

/** Most processor time that anything here may take. */
const LIMIT_MS = 6000

function within<T>(limit: number, what: string, body: () => T): T {
  const start = process.cpuUsage()
  const out = body()
  const { user } = process.cpuUsage(start)
  const ms = user / 1000
  assert.ok(ms < limit, `${what}: ${ms.toFixed(0)} ms`)
  return out
}

const relu = { type: 'RELU', attrs: {} } as const

/** `n` times what `link` adds behind the tensor before. */
function chain(n: number, shape: readonly number[], link: (b: GraphBuilder, from: number, i: number) => number): Graph {
  const b = new GraphBuilder(1)
  let at = b.input(shape)
  for (let i = 0; i < n; i++) at = link(b, at, i)
  b.graph.outputs.push(at)
  return b.graph
}

function push(b: GraphBuilder, op: { type: string; attrs: object }, inputs: readonly number[], out: number): number {
  b.graph.ops.push({ ...op, inputs: [...inputs], outputs: [out] } as Op)
  return out
}

const one = [1, 4, 4, 8]

/** One tensor that `n` ops read, their results joined in two levels of CONCATENATION: all are alive together. */
function fan(n: number): Graph {
  const b = new GraphBuilder(2)
  const from = b.input([1, 1, 1, 8])
  const join = { type: 'CONCATENATION', attrs: { axis: 3, activation: 'NONE' } }
  const level: number[] = []
  const leaves = Array.from({ length: n }, () => push(b, relu, [from], b.tensor([1, 1, 1, 8], 'int8', 0.05, 3)))
  for (let i = 0; i < n; i += 1000) {
    const part = leaves.slice(i, i + 1000)
    level.push(push(b, join, part, b.tensor([1, 1, 1, 8 * part.length], 'int8', 0.05, 3)))
  }
  b.graph.outputs.push(push(b, join, level, b.tensor([1, 1, 1, 8 * n], 'int8', 0.05, 3)))
  return b.graph
}

const CASES: Record<string, () => Graph> = {
  'RELU 20,000 deep': () => chain(20000, one, (b, x) => push(b, relu, [x], b.tensor(one, 'int8', 0.05, 3))),
  'DEQUANTIZE and QUANTIZE, 10,000 pairs': () =>
    chain(10000, one, (b, x) =>
      push(
        b,
        { type: 'QUANTIZE', attrs: {} },
        [push(b, { type: 'DEQUANTIZE', attrs: {} }, [x], b.tensor(one, 'float32'))],
        b.tensor(one, 'int8', 0.05, 3),
      ),
    ),
  'CONV_2D 8,000 deep': () =>
    chain(8000, one, (b, x) =>
      push(
        b,
        {
          type: 'CONV_2D',
          attrs: { padding: 'SAME', strideH: 1, strideW: 1, dilationH: 1, dilationW: 1, activation: 'RELU' },
        },
        [x, b.weights([8, 1, 1, 8], 0), b.bias(8, 8)],
        b.tensor(one, 'int8', 0.05, 3),
      ),
    ),
  'PAD 20,000 times of one row': () =>
    chain(20000, [1, 1, 1, 1], (b, x, i) => {
      const grows = i % 4000 === 0
      const before = b.graph.tensors[x]!.shape
      const shape = before.map((d, k) => d + +(grows && k === 1))
      return push(
        b,
        { type: 'PAD', attrs: {} },
        [x, b.ints([0, 0, 0, +grows, 0, 0, 0, 0], [4, 2])],
        b.tensor(shape, 'int8', 0.05, 3),
      )
    }),
  'a fan of 20,000': () => fan(20000),
}

for (const [name, make] of Object.entries(CASES)) {
  test(`${name}: written, read, planned and reported`, async () => {
    const graph = make()
    const file = within(LIMIT_MS, 'writing', () => writeTflite(graph))
    const read = within(LIMIT_MS, 'reading', () => readTflite(file))
    const packed = within(LIMIT_MS, 'packing', () => writePacked(read))
    within(LIMIT_MS, 'unpacking', () => readPacked(packed))
    assert.is(within(LIMIT_MS, 'reporting', () => inspectModel(file, { plan: 'size' })).ops.length, graph.ops.length)
    const program = within(LIMIT_MS, 'planning', () =>
      compileModel(read, { variant: 'simd', kernels: 'x86', plan: 'speed' }),
    )
    assert.ok(program.entries.length > 0)
  })
}

test('buffers that are placed in turn, too many for pairs, do not overlap', async () => {
  const graph = fan(3000)
  const model = await loadGraph(graph)
  const input = Int8Array.of(-128, -3, 0, 3, 4, 5, 100, 127)
  const [got] = model.run(input)
  const want = input.map((q) => Math.max(q, 3))
  for (let i = 0; i < 3000; i++) assert.equal(got!.subarray(8 * i, 8 * i + 8), want)
  const { arena } = (await model.program())!
  const live = arena.filter((b) => b.firstOp >= 0).sort((a, b) => a.offset - b.offset)
  assert.ok(live.length > 3000)
})

test('a long chain of square roots is one table', () => {
  const graph = chain(3000, one, (b, x, i) =>
    i === 0
      ? push(b, { type: 'DEQUANTIZE', attrs: {} }, [x], b.tensor(one, 'float32'))
      : i === 2999
        ? push(b, { type: 'QUANTIZE', attrs: {} }, [x], b.tensor(one, 'int8', 0.05, 3))
        : push(b, { type: 'SQRT', attrs: {} }, [x], b.tensor(one, 'float32')),
  )
  within(LIMIT_MS, 'compiling', () => {
    assert.is(compileModel(graph, { variant: 'simd', plan: 'speed' }).entries.length, 1)
  })
})

test.run()
