/**
 * Kernels against the plain-loop oracle: random shapes around the tile edges, every variant and plan, and memory
 * outside the arena untouched. The oracle itself is held to LiteRT's answers.
 */
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { arrayType, Engine, instantiateProgram, sharedMemory, tensorInfo } from '../src/engine/engine.ts'
import { readTflite } from '../src/formats/tflite.ts'
import type { Activation, Graph, Padding } from '../src/graph/graph.ts'
import type { Convolution } from '../src/lower/context.ts'
import { fastRuntime } from '../src/engine/load-node.ts'
import { compileModel } from '../src/plan/compile.ts'
import { runtimeModule } from '../src/engine/runtime.ts'
import type { Kernels, TypedArray } from '../src/graph/types.ts'
import { CHOICES as ALL, missing, nameOf, type Choice } from './choices.ts'
import { layerCases } from './op-cases.ts'
import { oracle } from './oracle.ts'
import { GraphBuilder } from './small-models.ts'
import { equalBytes, rng, skip } from './util.ts'

/** With the scalar kernels of 32-bit processors, which only packed modules take. */
const CHOICES: readonly Choice[] =
  process.env.THIMBLE_FAST === '1' ? ALL : [...ALL, { variant: 'scalar', kernels: 'arm' }]
const SEED = Number(process.env.THIMBLE_SEED ?? 20261124)
const modules = new Map<Choice, WebAssembly.Module>()
for (const choice of CHOICES) {
  modules.set(choice, choice.kernels === 'avx2' ? (await fastRuntime()).module! : await runtimeModule(choice.variant))
}
for (const { name, reason } of missing) skip(`kernels and recorded answers, ${name}`, reason)
const GUARD = 0xa5

/**
 * Runs a graph in one variant with one set of kernels; guard bytes fill everything that no buffer owns and must
 * survive.
 */
function run(
  graph: Graph,
  inputs: TypedArray[],
  choice: Choice,
  { plan, convolution = 'best' }: { plan: 'speed' | 'size'; convolution?: Convolution },
): TypedArray[] {
  const { variant, kernels } = choice
  const program = compileModel(graph, { variant, kernels, plan, convolution })
  const exports = instantiateProgram(
    modules.get(choice)!,
    program,
    kernels === 'avx2' ? sharedMemory(program) : undefined,
  )
  const memory = new Uint8Array(exports.memory.buffer)
  memory.fill(GUARD, program.arenaAddress)
  const constants = memory.slice(0, program.arenaAddress)
  const engine = new Engine(
    exports,
    {
      inputs: graph.inputs.map((i) => tensorInfo(graph.tensors[i]!)),
      outputs: graph.outputs.map((i) => tensorInfo(graph.tensors[i]!)),
      variant,
      kernels,
      why: '',
      metadata: {},
    },
    program,
  )
  const first = engine.run(inputs)
  const again = engine.run(inputs)
  first.forEach((o, i) => equalBytes(again[i]!, o, 'the second run'))
  for (let i = program.arenaAddress + program.arenaBytes; i < memory.length; i++) {
    if (memory[i] !== GUARD) {
      throw new Error(`byte ${i - program.arenaAddress - program.arenaBytes} past the arena was written`)
    }
  }
  // Op records hold the executor's band state; the constants behind them must not change.
  const plan0 = program.image[0]!.address + program.image[0]!.bytes.length
  equalBytes(memory.slice(plan0, program.arenaAddress), constants.slice(plan0), 'constants')
  return first
}

function check(graph: Graph, seed: number, convolution: Convolution = 'best'): void {
  const random = rng(seed)
  const inputs = graph.inputs.map((i) => {
    const t = graph.tensors[i]!
    const n = t.shape.reduce((a, b) => a * b, 1)
    const x = new (arrayType(t.dtype) as Int8ArrayConstructor)(n)
    const mode = random.int(8)
    for (let k = 0; k < n; k++) x[k] = mode === 0 ? -128 : mode === 1 ? 127 : random.int(256) - 128
    return x
  })
  const want = oracle(graph, inputs)
  for (const choice of CHOICES) {
    for (const plan of ['speed', 'size'] as const) {
      const got = run(graph, inputs, choice, { plan, convolution })
      got.forEach((o, i) =>
        equalBytes(Int32Array.from(o as Int8Array), want[i]!, `${nameOf(choice)} ${plan} output ${i}`),
      )
    }
  }
}

/** Around the tiles of 4 rows and 8 or 16 channels. */
const channels = fc.constantFrom(1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 23, 24, 25, 31, 32, 33)
const size = fc.integer({ min: 1, max: 11 })
const zeroPoint = fc.constantFrom(-128, -5, 0, 3, 127)
const activation = fc.constantFrom<Activation>('NONE', 'RELU', 'RELU6', 'RELU_N1_TO_1')
const padding = fc.constantFrom<Padding>('SAME', 'VALID')
const dtype = fc.constantFrom<'int8' | 'uint8'>('int8', 'int8', 'uint8')
const settings = (numRuns: number): fc.Parameters<unknown> => ({ seed: SEED, numRuns, endOnFailure: true })

const outSize = (
  padding: Padding,
  size: number,
  { k, stride, dilation }: { k: number; stride: number; dilation: number },
): number => (padding === 'SAME' ? Math.ceil(size / stride) : Math.floor((size - (k - 1) * dilation - 1) / stride) + 1)
const zero = (z: number, type: string): number => (type === 'uint8' ? z + 128 : z)

test('conv: any kernel, stride, dilation, group and padding', () => {
  fc.assert(
    fc.property(
      fc.record({
        n: fc.constantFrom(1, 1, 1, 2),
        h: size,
        w: size,
        c: channels,
        o: channels,
        kh: fc.integer({ min: 1, max: 4 }),
        kw: fc.integer({ min: 1, max: 5 }),
        sh: fc.integer({ min: 1, max: 3 }),
        sw: fc.integer({ min: 1, max: 3 }),
        dh: fc.constantFrom(1, 1, 2),
        dw: fc.constantFrom(1, 1, 2),
        groups: fc.constantFrom(1, 1, 1, 2, 4),
        padding,
        activation,
        dtype,
        zi: zeroPoint,
        zo: zeroPoint,
        perChannel: fc.boolean(),
        seed: fc.nat(1e9),
      }),
      (p) => {
        const c = p.c * p.groups
        const o = p.o * p.groups
        const oh = outSize(p.padding, p.h, { k: p.kh, stride: p.sh, dilation: p.dh })
        const ow = outSize(p.padding, p.w, { k: p.kw, stride: p.sw, dilation: p.dw })
        fc.pre(oh >= 1 && ow >= 1)
        const b = new GraphBuilder(p.seed)
        const per = p.perChannel && p.dtype === 'int8'
        const x = b.input([p.n, p.h, p.w, c], p.dtype, 0.05, zero(p.zi, p.dtype))
        const y = b.tensor([p.n, oh, ow, o], p.dtype, 0.11, zero(p.zo, p.dtype))
        b.op(
          'CONV_2D',
          [x, b.weights([o, p.kh, p.kw, p.c], per ? 0 : undefined, p.dtype), b.bias(o, per ? o : 1)],
          [y],
          {
            padding: p.padding,
            strideH: p.sh,
            strideW: p.sw,
            dilationH: p.dh,
            dilationW: p.dw,
            activation: p.activation,
          },
        )
        check(b.done(y), p.seed)
      },
    ),
    settings(160),
  )
})

test('conv: the largest sums, at the ends of what lanes of 21 bits hold', () => {
  // Weights of uint8 models reach -128.
  for (const k of [1, 59, 60, 61, 64, 120, 121, 8000, 8001, 8300]) {
    for (const extreme of [0, 255]) {
      const b = new GraphBuilder(k)
      const x = b.input([1, 1, 5, k], 'uint8', 0.05, 128)
      const w = b.weights([5, 1, 1, k], undefined, 'uint8')
      // One channel of the middle, one in turn; the others as far from 0 as can be.
      b.graph.tensors[w]!.data!.forEach((_, i, data) => {
        const channel = Math.floor(i / k)
        if (channel !== 2) data[i] = channel === 3 && i & 1 ? 255 - extreme : extreme
      })
      const y = b.tensor([1, 1, 5, 5], 'uint8', 0.05 * 0.01 * 128 * k, 128)
      const attrs = {
        padding: 'VALID',
        strideH: 1,
        strideW: 1,
        dilationH: 1,
        dilationW: 1,
        activation: 'NONE',
      } as const
      const graph = b.done(b.op('CONV_2D', [x, w, b.bias(5, 1)], [y], attrs))
      const inputs = [0, 255, 7].map((fill) =>
        Uint8Array.from({ length: 5 * k }, (_, i) =>
          fill === 7 ? (i * 97) & 255 : (i / k) % 2 < 1 ? fill : 255 - fill,
        ),
      )
      for (const input of inputs) {
        const [want] = oracle(graph, [input])
        for (const choice of CHOICES) {
          if (choice.variant !== 'scalar') continue
          const [got] = run(graph, [input], choice, { plan: 'size' })
          equalBytes(Int32Array.from(got as Uint8Array), want!, `${nameOf(choice)}, ${k} products`)
        }
      }
    }
  }
})

test('conv: tiles that are packed together where the arena has room, and a pixel that is left', () => {
  let roomy = 0
  fc.assert(
    fc.property(
      fc.record({
        h: size,
        w: size,
        c: fc.constantFrom(3, 8, 9, 17, 40),
        o: fc.constantFrom(3, 8, 13, 16, 24, 33),
        k: fc.constantFrom(1, 1, 1, 2, 3),
        padding,
        activation,
        dtype,
        zi: zeroPoint,
        zo: zeroPoint,
        seed: fc.nat(1e9),
      }),
      (p) => {
        const made = (before: boolean): Graph => {
          const b = new GraphBuilder(p.seed)
          const per = p.dtype === 'int8'
          const outputs = []
          const oh = outSize(p.padding, p.h, { k: p.k, stride: 1, dilation: 1 })
          const ow = outSize(p.padding, p.w, { k: p.k, stride: 1, dilation: 1 })
          fc.pre(oh >= 1 && ow >= 1)
          // Its input's memory is free once the convolution runs.
          if (before) {
            outputs.push(
              b.op('MAX_POOL_2D', [b.input([1, 40, 40, 8])], [b.tensor([1, 4, 4, 8], 'int8', 0.05, 3)], {
                padding: 'VALID',
                strideH: 10,
                strideW: 10,
                filterH: 2,
                filterW: 2,
                activation: 'NONE',
              }),
            )
          }
          const x = b.input([1, p.h, p.w, p.c], p.dtype, 0.05, zero(p.zi, p.dtype))
          const y = b.tensor([1, oh, ow, p.o], p.dtype, 0.11, zero(p.zo, p.dtype))
          outputs.push(
            b.op(
              'CONV_2D',
              [x, b.weights([p.o, p.k, p.k, p.c], per ? 0 : undefined, p.dtype), b.bias(p.o, per ? p.o : 1)],
              [y],
              { padding: p.padding, strideH: 1, strideW: 1, dilationH: 1, dilationW: 1, activation: p.activation },
            ),
          )
          return b.done(...outputs)
        }
        const patches = (graph: Graph): number =>
          compileModel(graph, { variant: 'simd', kernels: 'x86', plan: 'speed' }).arena.find(
            (b) => b.name === 'conv patches',
          )?.bytes ?? 0
        if (patches(made(true)) > patches(made(false))) roomy++
        check(made(true), p.seed)
      },
    ),
    settings(40),
  )
  if (!roomy) throw new Error('no convolution had room for several tiles')
})

/** A 3x3 convolution with stride 1 or 2, and the channels that its input's producer makes. */
const winogradLayer = fc.record({
  stride: fc.constantFrom(1, 2),
  n: fc.constantFrom(1, 1, 1, 2),
  h: size,
  w: fc.integer({ min: 1, max: 19 }),
  c: channels,
  o: fc.constantFrom(8, 9, 12, 15, 16, 17, 24, 31, 32, 33, 40),
  padding,
  activation,
  dtype,
  zi: zeroPoint,
  zo: zeroPoint,
  before: fc.boolean(),
  seed: fc.nat(1e9),
})
const STRIDE_1 = { strideH: 1, strideW: 1, dilationH: 1, dilationW: 1 }

test('winograd, polyphase: windows over every edge, any channels, alone and after another layer', () => {
  fc.assert(
    fc.property(winogradLayer, (p) => {
      const oh = outSize(p.padding, p.h, { k: 3, stride: p.stride, dilation: 1 })
      const ow = outSize(p.padding, p.w, { k: 3, stride: p.stride, dilation: 1 })
      fc.pre(oh >= 1 && ow >= 1)
      const b = new GraphBuilder(p.seed)
      const per = p.dtype === 'int8'
      const convolve = (x: number, [c, o, k, stride = 1]: [number, number, number, number?], y: number): number =>
        b.op('CONV_2D', [x, b.weights([o, k, k, c], per ? 0 : undefined, p.dtype), b.bias(o, per ? o : 1)], [y], {
          ...STRIDE_1,
          strideH: stride,
          strideW: stride,
          padding: k === 1 ? 'SAME' : p.padding,
          activation: p.activation,
        })
      const scale = 0.2 + Math.sqrt(p.c) * 0.03
      let x = b.input([p.n, p.h, p.w, p.c], p.dtype, 0.05, zero(p.zi, p.dtype))
      // A producer and a consumer that may run with it in bands of a few rows.
      if (p.before) x = convolve(x, [p.c, p.c, 1], b.tensor([p.n, p.h, p.w, p.c], p.dtype, 0.05, zero(p.zi, p.dtype)))
      let y = convolve(x, [p.c, p.o, 3, p.stride], b.tensor([p.n, oh, ow, p.o], p.dtype, scale, zero(p.zo, p.dtype)))
      if (p.before && p.padding === 'SAME') {
        y = convolve(y, [p.o, 8, 3], b.tensor([p.n, oh, ow, 8], p.dtype, 1.1, zero(p.zo, p.dtype)))
      }
      check(b.done(y), p.seed, 'winograd')
    }),
    settings(250),
  )
})

test('winograd, polyphase: in bands of a few rows, in rings that do not hold the rest', () => {
  const banded = new Set<string>()
  for (let seed = 0; seed < 12; seed++) {
    const stride = 1 + (seed & 1)
    const [h, w, c] = [61 + seed, 40 - seed, 24 + 4 * seed] as const
    const b = new GraphBuilder(seed)
    const layer = (x: number, [from, to, k]: [number, number, number], scale: number, step = 1): number => {
      const [, ih, iw] = b.graph.tensors[x]!.shape as [number, number, number]
      const shape = [1, Math.ceil(ih / step), Math.ceil(iw / step), to]
      return b.op(
        'CONV_2D',
        [x, b.weights([to, k, k, from], 0), b.bias(to, to)],
        [b.tensor(shape, 'int8', scale, -5)],
        { ...STRIDE_1, strideH: step, strideW: step, padding: 'SAME', activation: 'RELU6' },
      )
    }
    const first = layer(b.input([1, h, w, 8]), [8, c, 1], 0.05)
    const graph = b.done(layer(layer(first, [c, c, 3], 0.3, stride), [c, 8, 1], 0.9))
    const { entries } = compileModel(graph, {
      variant: 'simd',
      kernels: 'x86',
      plan: 'speed',
      convolution: 'winograd',
    })
    for (const e of entries) if (/winograd|polyphase/.test(e.kernel) && e.group !== undefined) banded.add(e.kernel)
    check(graph, seed, 'winograd')
  }
  assert.equal([...banded].sort(), ['polyphase-4x8', 'winograd-4x8'])
})

test('winograd: sums that almost leave 32 bits, and the direct kernel where they could', () => {
  const kernelOf = (graph: Graph, kernels: Kernels): string | undefined =>
    compileModel(graph, { variant: 'simd', kernels, plan: 'speed', convolution: 'winograd' }).entries.find(
      (e) => e.macs,
    )?.kernel
  for (const [c, taken] of [
    [229, true],
    [230, false],
  ] as const) {
    const b = new GraphBuilder(c)
    // Largest values of windows, almost all of them near the end of the type.
    const x = b.op(
      'MAX_POOL_2D',
      [b.input([1, 28, 35, c], 'int8', 0.05, -128)],
      [b.tensor([1, 4, 5, c], 'int8', 0.05, -128)],
      {
        padding: 'VALID',
        strideH: 7,
        strideW: 7,
        filterH: 7,
        filterW: 7,
        activation: 'NONE',
      },
    )
    const w = b.weights([8, 3, 3, c])
    // Half of the channels at one end, half at the other, so that all products have one sign for one of the inputs.
    const bytes = new Int8Array(b.graph.tensors[w]!.data!.buffer)
    bytes.forEach((_, i) => {
      bytes[i] = (Math.floor(i / (9 * c)) & 1) === 0 ? 127 : -127
    })
    b.graph.tensors[w]!.quantization!.scales[0] = 1e-4
    const y = b.tensor([1, 4, 5, 8], 'int8', 1.5, 0)
    b.op('CONV_2D', [x, w, b.ints(new Array<number>(8).fill(0))], [y], {
      ...STRIDE_1,
      padding: 'SAME',
      activation: 'NONE',
    })
    const graph = b.done(y)
    assert.is(kernelOf(graph, 'x86') === 'winograd-4x8', taken, `${c} channels`)
    for (let seed = 0; seed < 8; seed++) check(graph, seed, 'winograd')
  }
})

test('winograd, polyphase: chosen where it pays, never where memory counts for more', () => {
  interface Way {
    plan: 'speed' | 'size'
    kernels?: Kernels
    stride?: number
  }
  const kernel = (c: number, o: number, size: number, { plan, kernels = 'x86', stride = 1 }: Way): string => {
    const b = new GraphBuilder(1)
    const y = b.op(
      'CONV_2D',
      [b.input([1, size, size, c]), b.weights([o, 3, 3, c], 0), b.bias(o, o)],
      [b.tensor([1, Math.ceil(size / stride), Math.ceil(size / stride), o], 'int8', 0.9, 3)],
      { ...STRIDE_1, strideH: stride, strideW: stride, padding: 'SAME', activation: 'RELU' },
    )
    return compileModel(b.done(y), { variant: 'simd', kernels, plan }).entries.find((e) => e.macs)!.kernel
  }
  assert.is(kernel(64, 64, 20, { plan: 'speed' }), 'winograd-4x8')
  assert.is(kernel(64, 64, 20, { plan: 'speed', kernels: 'avx2' }), 'winograd-4x16')
  assert.is(kernel(64, 64, 20, { plan: 'size' }), 'conv-gemm-4x8-w8')
  assert.is(kernel(64, 64, 2, { plan: 'speed' }), 'conv-gemm-4x8')
  assert.is(kernel(4, 8, 20, { plan: 'speed' }), 'conv-direct-4x8')
  assert.is(kernel(16, 16, 20, { plan: 'speed' }), 'winograd-4x8')
  assert.is(kernel(64, 64, 20, { plan: 'speed', kernels: 'arm' }), 'conv-gemm-3x8c8')
  assert.is(kernel(64, 64, 20, { plan: 'speed', stride: 2 }), 'polyphase-4x8')
  assert.is(kernel(64, 64, 20, { plan: 'speed', kernels: 'avx2', stride: 2 }), 'polyphase-4x16')
  assert.is(kernel(64, 64, 20, { plan: 'size', stride: 2 }), 'conv-gemm-4x8-w8')
  assert.is(kernel(64, 64, 2, { plan: 'speed', stride: 2 }), 'conv-gemm-4x8')
  assert.is(kernel(3, 32, 64, { plan: 'speed', stride: 2 }), 'conv-direct-4x8')
})

test('depthwise: any window, stride, dilation and multiplier', () => {
  fc.assert(
    fc.property(
      fc.record({
        n: fc.constantFrom(1, 1, 1, 2),
        h: size,
        w: size,
        c: channels,
        m: fc.constantFrom(1, 1, 1, 2, 3),
        k: fc.constantFrom([3, 3], [3, 3], [5, 5], [1, 1], [2, 3], [7, 1]),
        s: fc.constantFrom([1, 1], [2, 2], [1, 2], [3, 2]),
        d: fc.constantFrom([1, 1], [1, 1], [2, 2], [1, 3]),
        padding,
        activation,
        dtype,
        zi: zeroPoint,
        zo: zeroPoint,
        seed: fc.nat(1e9),
      }),
      (p) => {
        const [kh, kw] = p.k as [number, number]
        const [sh, sw] = p.s as [number, number]
        const [dh, dw] = p.d as [number, number]
        const oh = outSize(p.padding, p.h, { k: kh, stride: sh, dilation: dh })
        const ow = outSize(p.padding, p.w, { k: kw, stride: sw, dilation: dw })
        const o = p.c * p.m
        fc.pre(oh >= 1 && ow >= 1)
        const b = new GraphBuilder(p.seed)
        const per = p.dtype === 'int8'
        const x = b.input([p.n, p.h, p.w, p.c], p.dtype, 0.05, zero(p.zi, p.dtype))
        const y = b.tensor([p.n, oh, ow, o], p.dtype, 0.07, zero(p.zo, p.dtype))
        b.op(
          'DEPTHWISE_CONV_2D',
          [x, b.weights([1, kh, kw, o], per ? 3 : undefined, p.dtype), b.bias(o, per ? o : 1)],
          [y],
          {
            padding: p.padding,
            strideH: sh,
            strideW: sw,
            dilationH: dh,
            dilationW: dw,
            activation: p.activation,
            depthMultiplier: p.m,
          },
        )
        check(b.done(y), p.seed)
      },
    ),
    settings(160),
  )
})

test('depthwise 5x5: rows of any length, dilated or not, blocks of four and eight channels', () => {
  fc.assert(
    fc.property(
      fc.record({
        h: fc.integer({ min: 1, max: 7 }),
        w: fc.integer({ min: 1, max: 19 }),
        c: fc.constantFrom(3, 4, 5, 7, 8, 9, 11, 12, 16, 20, 24, 27),
        s: fc.constantFrom([1, 1], [2, 2], [1, 2], [2, 1], [3, 3]),
        d: fc.constantFrom([1, 1], [1, 1], [1, 1], [2, 2], [1, 3], [2, 1]),
        padding,
        activation,
        dtype,
        zi: zeroPoint,
        zo: zeroPoint,
        seed: fc.nat(1e9),
      }),
      (p) => {
        const [sh, sw] = p.s as [number, number]
        const [dh, dw] = p.d as [number, number]
        const oh = outSize(p.padding, p.h, { k: 5, stride: sh, dilation: dh })
        const ow = outSize(p.padding, p.w, { k: 5, stride: sw, dilation: dw })
        fc.pre(oh >= 1 && ow >= 1)
        const b = new GraphBuilder(p.seed)
        const per = p.dtype === 'int8'
        const x = b.input([1, p.h, p.w, p.c], p.dtype, 0.05, zero(p.zi, p.dtype))
        const y = b.tensor([1, oh, ow, p.c], p.dtype, 0.07, zero(p.zo, p.dtype))
        b.op(
          'DEPTHWISE_CONV_2D',
          [x, b.weights([1, 5, 5, p.c], per ? 3 : undefined, p.dtype), b.bias(p.c, per ? p.c : 1)],
          [y],
          {
            padding: p.padding,
            strideH: sh,
            strideW: sw,
            dilationH: dh,
            dilationW: dw,
            activation: p.activation,
            depthMultiplier: 1,
          },
        )
        check(b.done(y), p.seed)
      },
    ),
    settings(120),
  )
})

test('fully connected: rows and channels around the tile', () => {
  fc.assert(
    fc.property(
      fc.record({
        rows: fc.integer({ min: 1, max: 9 }),
        k: fc.integer({ min: 1, max: 70 }),
        o: fc.integer({ min: 1, max: 20 }),
        bias: fc.boolean(),
        activation,
        dtype,
        zi: zeroPoint,
        zo: zeroPoint,
        seed: fc.nat(1e9),
      }),
      (p) => {
        const b = new GraphBuilder(p.seed)
        const x = b.input([p.rows, p.k], p.dtype, 0.05, zero(p.zi, p.dtype))
        const y = b.tensor([p.rows, p.o], p.dtype, 0.09, zero(p.zo, p.dtype))
        b.op('FULLY_CONNECTED', [x, b.weights([p.o, p.k], undefined, p.dtype), p.bias ? b.bias(p.o, 1) : -1], [y], {
          activation: p.activation,
          keepNumDims: false,
        })
        check(b.done(y), p.seed)
      },
    ),
    settings(120),
  )
})

test('fully connected on arm: products of bytes, unless the sum of two leaves 16 bits', () => {
  for (const [k, at, apart, bytes] of [
    [32, 3, 8, false],
    [32, 16, 8, false],
    [32, 8, 8, true],
    [32, 3, 4, true],
    [37, 23, 8, false],
    [37, 24, 8, true],
  ] as const) {
    const b = new GraphBuilder(k)
    const w = b.weights([9, k], undefined, 'int8')
    const data = new Int8Array(b.graph.tensors[w]!.data!.buffer).fill(-127)
    data[4 * k + at] = -128
    data[4 * k + at + apart] = -128
    const y = b.tensor([1, 9], 'int8', 4, 3)
    const x = b.input([1, k], 'int8', 0.05, 0)
    b.op('FULLY_CONNECTED', [x, w, b.bias(9, 1)], [y], { activation: 'NONE', keepNumDims: false })
    const graph = b.done(y)
    const { entries } = compileModel(graph, { variant: 'simd', plan: 'speed', kernels: 'arm' })
    assert.is(
      entries.at(-1)!.kernel,
      bytes ? 'fully-connected-bytes' : 'fully-connected',
      `${at} and ${at + apart} of ${k}`,
    )
    for (let seed = 0; seed < 24; seed++) check(graph, seed)
  }
})

test('add, sub, mul with broadcasting', () => {
  fc.assert(
    fc.property(
      fc.record({
        type: fc.constantFrom<'ADD' | 'SUB' | 'MUL'>('ADD', 'SUB', 'MUL'),
        shape: fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 4 }),
        c: channels,
        dropA: fc.integer({ min: 0, max: 31 }),
        dropB: fc.integer({ min: 0, max: 31 }),
        activation,
        dtype,
        sa: fc.constantFrom(0.05, 0.11, 0.013),
        zi: zeroPoint,
        zo: zeroPoint,
        seed: fc.nat(1e9),
      }),
      (p) => {
        const full = [...p.shape, p.c].slice(-4)
        const drop = (mask: number): number[] => full.map((d, i) => ((mask >> i) & 1 && mask < 16 ? 1 : d))
        const wideA = drop(p.dropA)
        const wideB = drop(p.dropB & ~p.dropA)
        const out = full.map((_, i) => Math.max(wideA[i]!, wideB[i]!))
        // Leading ones may be left out.
        const lower = (shape: number[]): number[] =>
          p.seed & 1
            ? shape.slice(
                Math.min(
                  shape.length - 1,
                  Math.max(
                    0,
                    shape.findIndex((d) => d !== 1),
                  ),
                ),
              )
            : shape
        const sa = wideA
        const sb = lower(wideB)
        const b = new GraphBuilder(p.seed)
        const x = b.input(sa, p.dtype, p.sa, zero(p.zi, p.dtype))
        const z = b.input(sb, p.dtype, 0.07, zero(3, p.dtype))
        const y = b.tensor(out, p.dtype, 0.09, zero(p.zo, p.dtype))
        b.op(p.type, [x, z], [y], { activation: p.activation })
        check(b.done(y), p.seed)
      },
    ),
    settings(160),
  )
})

test('average pool: windows whose sums just fit sixteen bits, and larger ones', () => {
  for (const [h, w] of [
    [16, 16],
    [16, 17],
    [3, 85],
  ] as const) {
    for (const dtype of ['int8', 'uint8'] as const) {
      for (let seed = 0; seed < 24; seed++) {
        const b = new GraphBuilder(seed)
        const x = b.input([1, h, w, 11], dtype, 0.05, zero(3, dtype))
        const y = b.tensor([1, 1, 1, 11], dtype, 0.05, zero(3, dtype))
        b.op('AVERAGE_POOL_2D', [x], [y], {
          padding: 'VALID',
          filterH: h,
          filterW: w,
          strideH: 1,
          strideW: 1,
          activation: 'NONE',
        })
        check(b.done(y), seed)
      }
    }
  }
})

test('pools and mean', () => {
  fc.assert(
    fc.property(
      fc.record({
        type: fc.constantFrom<'AVERAGE_POOL_2D' | 'MAX_POOL_2D' | 'MEAN'>('AVERAGE_POOL_2D', 'MAX_POOL_2D', 'MEAN'),
        n: fc.constantFrom(1, 1, 2),
        h: size,
        w: size,
        c: channels,
        kh: fc.integer({ min: 1, max: 4 }),
        kw: fc.integer({ min: 1, max: 4 }),
        sh: fc.integer({ min: 1, max: 3 }),
        sw: fc.integer({ min: 1, max: 3 }),
        padding,
        axes: fc.uniqueArray(fc.integer({ min: 0, max: 3 }), { minLength: 1, maxLength: 3 }),
        dtype,
        zi: zeroPoint,
        zo: zeroPoint,
        seed: fc.nat(1e9),
      }),
      (p) => {
        const b = new GraphBuilder(p.seed)
        const shape = [p.n, p.h, p.w, p.c]
        const x = b.input(shape, p.dtype, 0.05, zero(p.zi, p.dtype))
        if (p.type === 'MEAN') {
          const y = b.tensor(
            shape.map((d, i) => (p.axes.includes(i) ? 1 : d)),
            p.dtype,
            0.031,
            zero(p.zo, p.dtype),
          )
          b.op('MEAN', [x, b.ints(p.axes)], [y], { keepDims: true })
          return check(b.done(y), p.seed)
        }
        const oh = outSize(p.padding, p.h, { k: p.kh, stride: p.sh, dilation: 1 })
        const ow = outSize(p.padding, p.w, { k: p.kw, stride: p.sw, dilation: 1 })
        fc.pre(oh >= 1 && ow >= 1)
        const y = b.tensor([p.n, oh, ow, p.c], p.dtype, 0.05, zero(p.zi, p.dtype))
        b.op(p.type, [x], [y], {
          padding: p.padding,
          strideH: p.sh,
          strideW: p.sw,
          filterH: p.kh,
          filterW: p.kw,
          activation: 'NONE',
        })
        check(b.done(y), p.seed)
      },
    ),
    settings(160),
  )
})

test('chains of MobileNet blocks: bands, rings and overlays', () => {
  fc.assert(
    fc.property(
      fc.record({
        h: fc.integer({ min: 3, max: 20 }),
        w: fc.integer({ min: 3, max: 20 }),
        seed: fc.nat(1e9),
        blocks: fc.array(
          fc.record({
            e: fc.constantFrom(8, 12, 24, 40),
            o: fc.constantFrom(8, 8, 16, 20),
            s: fc.constantFrom(1, 1, 2),
            k: fc.constantFrom(3, 3, 5),
            residual: fc.boolean(),
          }),
          { minLength: 1, maxLength: 4 },
        ),
      }),
      (p) => {
        const b = new GraphBuilder(p.seed)
        const plain = {
          padding: 'SAME',
          strideH: 1,
          strideW: 1,
          dilationH: 1,
          dilationW: 1,
          activation: 'NONE',
        } as const
        let h = Math.ceil(p.h / 2)
        let w = Math.ceil(p.w / 2)
        let c = 8
        let x = b.op(
          'CONV_2D',
          [b.input([1, p.h, p.w, 3]), b.weights([8, 3, 3, 3], 0), b.bias(8, 8)],
          [b.tensor([1, h, w, 8], 'int8', 0.06, 2)],
          { ...plain, strideH: 2, strideW: 2, activation: 'RELU6' },
        )
        for (const k of p.blocks) {
          const e = b.op(
            'CONV_2D',
            [x, b.weights([k.e, 1, 1, c], 0), b.bias(k.e, k.e)],
            [b.tensor([1, h, w, k.e], 'int8', 0.05, -128)],
            { ...plain, activation: 'RELU6' },
          )
          const h2 = Math.ceil(h / k.s)
          const w2 = Math.ceil(w / k.s)
          const d = b.op(
            'DEPTHWISE_CONV_2D',
            [e, b.weights([1, k.k, k.k, k.e], 3), b.bias(k.e, k.e)],
            [b.tensor([1, h2, w2, k.e], 'int8', 0.04, -128)],
            { ...plain, strideH: k.s, strideW: k.s, activation: 'RELU6', depthMultiplier: 1 },
          )
          const o = b.op(
            'CONV_2D',
            [d, b.weights([k.o, 1, 1, k.e], 0), b.bias(k.o, k.o)],
            [b.tensor([1, h2, w2, k.o], 'int8', 0.06, 4)],
            plain,
          )
          x =
            k.residual && k.o === c && k.s === 1
              ? b.op('ADD', [x, o], [b.tensor([1, h2, w2, k.o], 'int8', 0.08, 1)], { activation: 'NONE' })
              : o
          h = h2
          w = w2
          c = k.o
        }
        const m = b.op('MEAN', [x, b.ints([1, 2])], [b.tensor([1, c], 'int8', 0.05, 0)], { keepDims: false })
        check(b.done(m), p.seed)
      },
    ),
    settings(60),
  )
})

test('an operand that is one constant, which becomes a table, gives what the same numbers as an input give', () => {
  const dice = rng(77)
  for (let i = 0; i < 200; i++) {
    const unsigned = i % 2 === 1
    const dtype = unsigned ? 'uint8' : 'int8'
    const type = (['ADD', 'SUB', 'MUL'] as const)[dice.int(3)]!
    const activation = (['NONE', 'RELU', 'RELU6', 'RELU_N1_TO_1'] as const)[dice.int(4)]!
    const q = dice.int(256) - (unsigned ? 0 : 128)
    // Up to scales whose ratio only the fixed-point kernels take.
    const scale = (): number => Math.fround(2 ** (dice() * 24 - 16))
    const zero = (): number => dice.int(256) - (unsigned ? 0 : 128)
    const numbers = [scale(), zero(), scale(), zero(), scale(), zero()] as const
    const first = dice.int(2) === 1
    const build = (constant: boolean): Graph => {
      const b = new GraphBuilder(1)
      const [sx, zx, sc, zc, sy, zy] = numbers
      const x = b.input([1, 2, 128, 1], dtype, sx, zx)
      const c = constant ? b.tensor([1], dtype, sc, zc) : b.input([1], dtype, sc, zc)
      if (constant) b.graph.tensors[c]!.data = Uint8Array.of(q)
      return b.done(b.op(type, first ? [c, x] : [x, c], [b.tensor([1, 2, 128, 1], dtype, sy, zy)], { activation }))
    }
    const x = new (unsigned ? Uint8Array : Int8Array)(256).map((_, k) => (unsigned ? k : k - 128))
    const c = new (unsigned ? Uint8Array : Int8Array)(1).fill(q)
    for (const choice of CHOICES) {
      let want: TypedArray
      try {
        want = run(build(false), [x, c], choice, { plan: 'speed' })[0]!
      } catch (error) {
        if (!/lower\/|expected/.test(String((error as { code?: string }).code))) throw error
        continue
      }
      equalBytes(
        run(build(true), [x], choice, { plan: 'speed' })[0]!,
        want,
        `${nameOf(choice)} ${type} ${activation} ${dtype} ${numbers} ${q} ${first}`,
      )
    }
  }
})

test('PRELU broadcasts its slopes and rounds twice as TFLite does', () => {
  const slopes = [-128, -5, 0, 2, 3, 2, 127]
  const channels = slopes.length
  for (const unsigned of [false, true]) {
    const dtype = unsigned ? 'uint8' : 'int8'
    const offset = unsigned ? 128 : 0
    const shape = [1, 16, 16, channels]
    const slopeZero = 1
    const build = (alphaShape: readonly number[], input = shape): Graph => {
      const b = new GraphBuilder(1)
      const x = b.input(input, dtype, 0.5, offset - 28)
      const a = b.tensor(alphaShape, dtype, 0.125, offset + slopeZero)
      b.graph.tensors[a]!.data = Uint8Array.from(
        { length: alphaShape.reduce((p, q) => p * q, 1) },
        (_, i) => slopes[i % channels]! + offset,
      )
      return b.done(b.op('PRELU', [x, a], [b.tensor(input, dtype, 0.25, offset + 9)], {}))
    }
    // Half of it, halves up; and half of that, halves away from zero.
    const quarter = (v: number): number => {
      const half = Math.floor(v / 2 + 0.5)
      return Math.sign(half) * Math.floor(Math.abs(half) / 2 + 0.5)
    }
    const values = Array.from({ length: 256 * channels }, (_, i) => Math.floor(i / channels) - 128)
    const want = values.map((v, i) => {
      const d = v + 28
      return (
        Math.max(-128, Math.min(127, 9 + (d >= 0 ? 2 * d : quarter(d * (slopes[i % channels]! - slopeZero))))) + offset
      )
    })
    const input = new (unsigned ? Uint8Array : Int8Array)(values.map((v) => v + offset))
    for (const choice of CHOICES) {
      for (const alpha of [[channels], [1, 1, channels], [16, channels], [16, 1, channels]]) {
        assert.equal([...run(build(alpha), [input], choice, { plan: 'size' })[0]!], want, `${nameOf(choice)} ${dtype}`)
      }
    }
  }
})

test("the oracle gives LiteRT's answers", () => {
  const cases = layerCases({
    own: /^(CONV_2D|CONV_2D-3x3|FULLY_CONNECTED|ADD|SUB|MUL|AVERAGE_POOL_2D|MEAN)$/,
    bundled: /^(conv|fc|add|sub|mul|avg|mean|ties-(FC|GEMM|IGEMM|mul|add|mean)) /,
  })
  let count = 0
  for (const { note, model, runs } of cases) {
    const graph = readTflite(Buffer.from(model, 'base64'))
    const { type, attrs } = graph.ops[0]!
    if (type === 'AVERAGE_POOL_2D' && attrs.activation !== 'NONE') continue
    const unsigned = graph.tensors[graph.inputs[0]!]!.dtype === 'uint8'
    const raw = (data: string): ArrayLike<number> => {
      const bytes = new Uint8Array(Buffer.from(data, 'base64'))
      return unsigned ? bytes : new Int8Array(bytes.buffer)
    }
    for (const { inputs, outputs } of runs) {
      const [got] = oracle(graph, inputs.map(raw))
      equalBytes(got!, Int32Array.from(raw(outputs[0]!.data)), `${note}, case ${count}`)
      count++
    }
  }
  assert.ok(count >= 200, `only ${count} cases were compared`)
})

test.run()
