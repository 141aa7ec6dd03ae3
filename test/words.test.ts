/**
 * Between floats and bytes; int32 and float32 arithmetic, CAST, SQRT and GATHER_ND: against JavaScript's own arithmetic
 * and by their refusals.
 */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { writePacked } from '../src/formats/packed-write.ts'
import type { DType, Graph, OpType } from '../src/graph/graph.ts'
import { loadModel } from '../src/node.ts'
import { compileModel } from '../src/plan/compile.ts'
import type { TypedArray } from '../src/graph/types.ts'
import { CHOICES, nameOf, optionsOf } from './choices.ts'
import { GraphBuilder } from './small-models.ts'
import { errorCode, rng } from './util.ts'

const INT_MIN = -(2 ** 31)

const run = async (
  graph: Graph,
  inputs: TypedArray[],
  check: (out: TypedArray[], choice: string) => void,
): Promise<void> => {
  for (const choice of CHOICES) {
    const model = await loadModel(writePacked(graph), optionsOf(choice))
    check(model.run(inputs), nameOf(choice))
    model.dispose()
  }
}

const code = (graph: Graph): string =>
  errorCode(() => compileModel(graph, { variant: 'simd', kernels: 'generic', plan: 'speed' }))

/** One op of two operands that broadcast: [2, 3, 4] with [3, 1]. */
function binary(type: OpType, dtype: DType, activation = 'NONE'): Graph {
  const b = new GraphBuilder(1)
  const shape = [2, 3, 4]
  const x = b.input(shape, dtype)
  const y = b.input([3, 1], dtype)
  for (const i of [x, y]) delete b.graph.tensors[i]!.quantization
  return b.done(b.op(type, [x, y], [b.tensor(shape, dtype)], { activation }))
}

const pairs = <T>(x: ArrayLike<T>, y: ArrayLike<T>): [T, T][] => Array.from(x, (a, i) => [a, y[(i >> 2) % 3]!])

test('int32 ADD, SUB and MUL wrap', async () => {
  const dice = rng(5)
  const x = Int32Array.from({ length: 24 }, () => dice() * 2 ** 32 + INT_MIN)
  const y = Int32Array.of(INT_MIN, 77777, -3)
  const ops = { ADD: (a: number, b: number) => (a + b) | 0, SUB: (a: number, b: number) => (a - b) | 0, MUL: Math.imul }
  for (const [type, f] of Object.entries(ops)) {
    await run(binary(type as OpType, 'int32'), [x, y], ([out], name) =>
      assert.equal(
        [...out!],
        pairs(x, y).map(([a, b]) => f(a, b)),
        `${type}, ${name}`,
      ),
    )
  }
})

test('float32 ADD, SUB, MUL and DIV round once, and know infinities', async () => {
  const dice = rng(6)
  const x = Float32Array.from({ length: 24 }, () => (dice() - 0.5) * 10 ** (dice() * 20 - 10))
  const y = Float32Array.of(0, -1e-3, 7.5)
  x[4] = Infinity
  const ops = {
    ADD: (a: number, b: number) => a + b,
    SUB: (a: number, b: number) => a - b,
    MUL: (a: number, b: number) => a * b,
    DIV: (a: number, b: number) => a / b,
  }
  for (const [type, f] of Object.entries(ops)) {
    await run(binary(type as OpType, 'float32'), [x, y], ([out], name) =>
      assert.equal(
        [...out!],
        pairs(x, y).map(([a, b]) => Math.fround(f(a, b))),
        `${type}, ${name}`,
      ),
    )
  }
})

function floorDiv(divisors: readonly number[]): Graph {
  const b = new GraphBuilder(2)
  const x = b.input([4, divisors.length], 'int32')
  delete b.graph.tensors[x]!.quantization
  return b.done(b.op('FLOOR_DIV', [x, b.ints(divisors)], [b.tensor([4, divisors.length], 'int32')], {}))
}

test('FLOOR_DIV rounds towards minus infinity', async () => {
  const divisors = [48, -48, 1, -1, 7]
  const x = Int32Array.of(
    0,
    1,
    INT_MIN,
    INT_MIN,
    13,
    47,
    47,
    5,
    5,
    -13,
    48,
    -48,
    -5,
    -5,
    -14,
    -1,
    -1,
    2 ** 31 - 1,
    2 ** 31 - 1,
    14,
  )
  await run(floorDiv(divisors), [x], ([out], name) =>
    assert.equal(
      [...out!],
      Array.from(x, (a, i) => Math.floor(a / divisors[i % 5]!) | 0),
      name,
    ),
  )
})

test('CAST gives the numbers themselves, whatever the quantization', async () => {
  for (const [dtype, values] of [
    ['uint8', Uint8Array.of(0, 1, 127, 128, 255)],
    ['int8', Int8Array.of(-128, -1, 0, 1, 127)],
    ['int32', Int32Array.of(INT_MIN, -1, 0, 16777217, 2 ** 31 - 1)],
  ] as [DType, TypedArray][]) {
    const b = new GraphBuilder(3)
    const x = b.input([5], dtype, 0.25, 7)
    if (dtype === 'int32') delete b.graph.tensors[x]!.quantization
    const graph = b.done(b.op('CAST', [x], [b.tensor([5], 'float32')], {}))
    await run(graph, [values], ([out], name) =>
      assert.equal([...out!], Array.from(values as Int32Array, Math.fround), `${dtype}, ${name}`),
    )
  }
})

test('QUANTIZE rounds ties to even, clamps, and takes NaN for the most; DEQUANTIZE subtracts before it multiplies', async () => {
  const scale = Math.fround(0.0078125)
  const dice = rng(9)
  for (const n of [1, 7, 8, 9, 16, 31, 64]) {
    for (const [dtype, zero] of [
      ['int8', -3],
      ['int8', 127],
      ['uint8', 131],
      ['uint8', 0],
    ] as const) {
      const b = new GraphBuilder(9)
      const x = b.input([n], 'float32')
      const low = dtype === 'int8' ? -128 : 0
      delete b.graph.tensors[x]!.quantization
      const q = b.op('QUANTIZE', [x], [b.tensor([n], dtype, scale, zero)], {})
      const graph = b.done(q, b.op('DEQUANTIZE', [q], [b.tensor([n], 'float32')], {}))
      const special = [NaN, Infinity, -Infinity, 1e30, -1e30, -0, 1e-42]
      const values = Float32Array.from({ length: n }, (_, i) =>
        i % 3 === 0 ? special[dice.int(7)]! : i % 3 === 1 ? (dice.int(600) - 300 + 0.5) * scale : (dice() - 0.5) * 5,
      )
      const even = (v: number): number => {
        const f = Math.floor(v)
        const r = v - f
        return r > 0.5 || (r === 0.5 && f % 2 !== 0) ? f + 1 : f
      }
      const want = Array.from(values, (v) =>
        Number.isNaN(v)
          ? low + 255
          : Math.max(low, Math.min(low + 255, even(Math.fround(v * Math.fround(1 / scale))) + zero)),
      )
      await run(graph, [values], ([bytes, floats], name) => {
        assert.equal([...bytes!], want, `${n} ${dtype}, ${name}`)
        assert.equal(
          [...floats!],
          want.map((v) => Math.fround((v - zero) * scale)),
          `${n} ${dtype} back, ${name}`,
        )
      })
    }
  }
})

/** DEQUANTIZE, a square root, QUANTIZE. */
function root(scale: number): Graph {
  const b = new GraphBuilder(4)
  const x = b.input([256], 'int8', 0.1, -100)
  const float = (): number => b.tensor([256], 'float32')
  const t = b.op('SQRT', [b.op('DEQUANTIZE', [x], [float()], {})], [float()], {})
  return b.done(b.op('QUANTIZE', [t], [b.tensor([256], 'int8', scale, -128)], {}))
}

test('SQRT between 8-bit tensors is a table', async () => {
  const x = Int8Array.from({ length: 256 }, (_, i) => i - 128)
  const scale = Math.fround(0.0187)
  await run(root(scale), [x], ([out], name) => {
    for (let i = 0; i < 256; i++) {
      const v = Math.fround((x[i]! + 100) * Math.fround(0.1))
      const q = Math.sqrt(v) / scale
      // The root of a negative number is no number, and that is quantized to the maximum.
      const want = v < 0 ? 127 : Math.min(Math.round(q) - 128, 127)
      assert.is(out![i], want, `${name}, ${x[i]}`)
    }
  })
})

test('GATHER_ND picks slices, and an index outside is an error that leaves the model whole', async () => {
  const b = new GraphBuilder(7)
  const x = b.input([3, 4, 5])
  const i = b.input([2, 3, 2], 'int32')
  delete b.graph.tensors[i]!.quantization
  const graph = b.done(b.op('GATHER_ND', [x, i], [b.tensor([2, 3, 5], 'int8', 0.05, 3)], {}))
  const values = Int8Array.from({ length: 60 }, (_, k) => k - 30)
  const places = Int32Array.of(0, 0, 2, 3, 1, 2, 0, 3, 2, 0, 1, 1)
  const want = Array.from({ length: 6 }, (_, k) => [
    ...values.subarray(20 * places[2 * k]! + 5 * places[2 * k + 1]!).subarray(0, 5),
  ]).flat()
  await run(graph, [values, places], ([out], name) => assert.equal([...out!], want, name))
  const model = await loadModel(writePacked(graph))
  for (const [at, bad] of [
    [1, 4],
    [0, 3],
    [11, -1],
    [4, INT_MIN],
  ] as const) {
    const wrong = places.slice()
    wrong[at] = bad
    assert.is(
      errorCode(() => model.run([values, wrong])),
      'runtime/index',
    )
    assert.equal([...model.run([values, places])[0]!], want)
  }
})

test('what is not run is refused by name', () => {
  assert.is(code(binary('FLOOR_MOD', 'float32')), 'lower/unsupported-op')
  assert.is(code(floorDiv([3, 0])), 'lower/constant')
})

test.run()
