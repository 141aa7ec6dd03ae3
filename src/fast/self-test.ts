/**
 * Compares the fast runtime with the ordinary one on small random data: every kernel that the revectorizer may touch,
 * at sizes around the edges of its tiles. What it does not reach stays as it is without the flag, and slow:
 * tools/bench-kernels shows that.
 */
import { Engine, instantiateProgram, sharedMemory, tensorInfo } from '../engine/engine.ts'
import { elements, type Activation, type DType, type Graph, type Op, type Padding } from '../graph/graph.ts'
import { compileModel } from '../plan/compile.ts'
import type { Kernels, TypedArray } from '../graph/types.ts'

/** A layer of the test, on an input of its own: [h, w, c] to o channels; depthwise: o = c. */
interface Layer {
  type: 'conv' | 'depthwise'
  dtype: DType
  h: number
  w: number
  c: number
  o: number
  k: number
  stride: number
  dilation: number
  padding: Padding
  activation: Activation
}

type ImageSize = readonly [h: number, w: number, c: number]

const layer = (type: Layer['type'], [h, w, c]: ImageSize, o: number, more: Partial<Layer> = {}): Layer => ({
  type,
  dtype: 'int8',
  h,
  w,
  c,
  o,
  k: type === 'conv' ? 1 : 3,
  stride: 1,
  dilation: 1,
  padding: 'SAME',
  activation: 'RELU6',
  ...more,
})

const LAYERS: readonly Layer[] = [
  // GEMM: full and overlapping panels of 16 and 8 channels, rows of whole tiles and of one pixel more, odd and short K.
  layer('conv', [4, 4, 16], 32),
  layer('conv', [3, 3, 17], 31, { activation: 'NONE' }),
  layer('conv', [1, 13, 3], 16),
  layer('conv', [5, 1, 40], 48, { dtype: 'uint8' }),
  layer('conv', [3, 3, 9], 24),
  layer('conv', [2, 3, 33], 13, { activation: 'NONE' }),
  layer('conv', [3, 2, 8], 5, { dtype: 'uint8' }),
  layer('conv', [5, 5, 8], 16, { k: 3, stride: 2 }),
  layer('conv', [6, 5, 5], 40, { k: 3, dilation: 2, dtype: 'uint8' }),
  // Long panels.
  layer('conv', [4, 8, 258], 32),
  layer('conv', [1, 5, 256], 16, { activation: 'NONE' }),
  layer('conv', [4, 7, 300], 31, { dtype: 'uint8' }),
  // By Winograd: panels of 16 and of 8 channels, groups of four tiles, of two, and a single tile.
  layer('conv', [12, 11, 32], 32, { k: 3 }),
  layer('conv', [8, 12, 24], 31, { k: 3, dtype: 'uint8' }),
  layer('conv', [18, 18, 16], 21, { k: 3, padding: 'VALID', activation: 'NONE' }),
  // By phases: groups of four tiles and a single one; panels that overlap.
  layer('conv', [20, 20, 96], 64, { k: 3, stride: 2 }),
  layer('conv', [17, 17, 64], 47, { k: 3, stride: 2, dtype: 'uint8', padding: 'VALID' }),
  // Few input channels.
  layer('conv', [9, 11, 3], 32, { k: 3, stride: 2 }),
  layer('conv', [8, 9, 3], 16, { k: 3, dtype: 'uint8' }),
  layer('conv', [7, 8, 4], 24, { k: 3, padding: 'VALID' }),
  layer('conv', [6, 7, 1], 8, { k: 5, activation: 'NONE' }),
  layer('depthwise', [5, 6, 32], 32),
  layer('depthwise', [4, 5, 23], 23, { activation: 'NONE' }),
  layer('depthwise', [3, 1, 16], 16, { dtype: 'uint8' }),
  layer('depthwise', [4, 8, 31], 31),
  layer('depthwise', [5, 7, 40], 40, { padding: 'VALID' }),
  layer('depthwise', [7, 7, 32], 32, { stride: 2 }),
  layer('depthwise', [8, 6, 9], 9, { stride: 2, dtype: 'uint8' }),
  layer('depthwise', [6, 9, 24], 24, { stride: 2, activation: 'NONE' }),
  layer('depthwise', [6, 8, 48], 48, { dilation: 2 }),
  layer('depthwise', [5, 6, 24], 24, { k: 5 }),
  layer('depthwise', [7, 7, 17], 17, { k: 5, stride: 2, dtype: 'uint8' }),
  layer('depthwise', [3, 4, 4], 4),
]

/** The same bytes in every process. */
class Random {
  #state = 0x2545f491
  byte(): number {
    this.#state ^= this.#state << 13
    this.#state ^= this.#state >>> 17
    this.#state ^= this.#state << 5
    return (this.#state >>> 16) & 255
  }
}

const perTensor = (
  scale: number,
  zeroPoint: number,
): { scales: Float32Array; zeroPoints: Int32Array; axis: number } => ({
  scales: Float32Array.of(scale),
  zeroPoints: Int32Array.of(zeroPoint),
  axis: 0,
})

/** Adds a layer whose outputs spread over the range of their type. */
function addLayer(graph: Graph, l: Layer, random: Random): void {
  const unsigned = l.dtype === 'uint8'
  const deep = l.type === 'depthwise'
  const taps = l.k * l.k * (deep ? 1 : l.c)
  const axis = deep ? 3 : 0
  const scales = Float32Array.from({ length: unsigned ? 1 : l.o }, () => 0.008 + random.byte() / 32768)
  const size = (n: number): number =>
    l.padding === 'SAME' ? Math.ceil(n / l.stride) : Math.floor((n - (l.k - 1) * l.dilation - 1) / l.stride) + 1
  const inputZero = (unsigned ? 128 : 0) + (random.byte() >> 3) - 16
  const bias = Int32Array.from({ length: l.o }, () => (random.byte() - 128) * 64)
  const at = graph.tensors.length
  graph.tensors.push(
    { name: `x${at}`, shape: [1, l.h, l.w, l.c], dtype: l.dtype, quantization: perTensor(0.02, inputZero) },
    {
      name: `w${at}`,
      shape: deep ? [1, l.k, l.k, l.o] : [l.o, l.k, l.k, l.c],
      dtype: l.dtype,
      data: Uint8Array.from({ length: taps * l.o }, () => random.byte()),
      quantization: {
        scales,
        zeroPoints: Int32Array.from(scales, () => (unsigned ? 121 : 0)),
        axis: unsigned ? 0 : axis,
      },
    },
    { name: `b${at}`, shape: [l.o], dtype: 'int32', data: new Uint8Array(bias.buffer), quantization: perTensor(1, 0) },
    {
      name: `y${at}`,
      shape: [1, size(l.h), size(l.w), l.o],
      dtype: l.dtype,
      quantization: perTensor(0.02 * 0.012 * 100 * Math.sqrt(taps), unsigned ? 118 : -7),
    },
  )
  const attrs = {
    padding: l.padding,
    strideH: l.stride,
    strideW: l.stride,
    dilationH: l.dilation,
    dilationW: l.dilation,
    activation: l.activation,
  }
  const io = { inputs: [at, at + 1, at + 2], outputs: [at + 3] }
  graph.ops.push(
    deep
      ? { type: 'DEPTHWISE_CONV_2D', ...io, attrs: { ...attrs, depthMultiplier: 1 } }
      : { type: 'CONV_2D', ...io, attrs },
  )
  graph.inputs.push(at)
  graph.outputs.push(at + 3)
}

/** Adds an op on inputs of the given shapes, without weights. */
function addOp(
  graph: Graph,
  type: 'ADD' | 'MUL' | 'AVERAGE_POOL_2D' | 'MEAN' | 'SOFTMAX',
  shape: readonly number[],
  out: readonly number[],
): void {
  const at = graph.tensors.length
  const operands = type === 'ADD' || type === 'MUL' ? 2 : 1
  for (let i = 0; i < operands; i++) {
    graph.tensors.push({
      name: `${type} x${i}`,
      shape,
      dtype: 'int8',
      quantization: perTensor(0.02 + i * 0.013, 3 - i * 8),
    })
    graph.inputs.push(at + i)
  }
  const y = at + operands
  const inputs = Array.from({ length: operands }, (_, i) => at + i)
  graph.tensors.push({
    name: `${type} y`,
    shape: out,
    dtype: 'int8',
    quantization:
      type === 'SOFTMAX'
        ? perTensor(1 / 256, -128)
        : perTensor(type === 'AVERAGE_POOL_2D' ? 0.02 : 0.031, type === 'AVERAGE_POOL_2D' ? 3 : -5),
  })
  if (type === 'MEAN') {
    graph.tensors.push({ name: 'axes', shape: [2], dtype: 'int32', data: new Uint8Array(Int32Array.of(1, 2).buffer) })
    inputs.push(y + 1)
  }
  const attrs: Partial<Record<typeof type, Op['attrs']>> = {
    ADD: { activation: 'NONE' },
    MUL: { activation: 'NONE' },
    SOFTMAX: { beta: 1 },
    MEAN: { keepDims: false },
    AVERAGE_POOL_2D: { padding: 'VALID', strideH: 1, strideW: 1, filterH: 3, filterW: 3, activation: 'NONE' },
  }
  graph.ops.push({ type, inputs, outputs: [y], attrs: attrs[type] } as Op)
  graph.outputs.push(y)
}

/** One graph per op: planning many independent ops at once takes long. */
function testGraphs(random: Random): Graph[] {
  const made = (fill: (graph: Graph) => void): Graph => {
    const graph: Graph = { tensors: [], ops: [], inputs: [], outputs: [], metadata: {} }
    fill(graph)
    return graph
  }
  return [
    // A convolution of one pixel is a fully connected layer.
    ...[...LAYERS, layer('conv', [1, 1, 45], 11)].map((l) => made((graph) => addLayer(graph, l, random))),
    made((graph) => addOp(graph, 'ADD', [1, 3, 5, 13], [1, 3, 5, 13])),
    made((graph) => addOp(graph, 'MUL', [1, 3, 5, 13], [1, 3, 5, 13])),
    made((graph) => addOp(graph, 'AVERAGE_POOL_2D', [1, 4, 5, 19], [1, 2, 3, 19])),
    made((graph) => addOp(graph, 'MEAN', [1, 4, 5, 19], [1, 19])),
    made((graph) => addOp(graph, 'SOFTMAX', [1, 37], [1, 37])),
  ]
}

/** Runs of each op: code that is optimized at its first call is what the later ones run. */
const RUNS = 3

function load(graph: Graph, module: WebAssembly.Module, kernels: Kernels): Engine {
  const fast = kernels === 'avx2'
  // The ordinary kernels are in the core module, which has no others than direct ones for every convolution.
  const program = compileModel(graph, {
    variant: 'simd',
    kernels,
    plan: 'speed',
    convolution: fast ? 'best' : 'direct',
  })
  const info = (i: number): ReturnType<typeof tensorInfo> => tensorInfo(graph.tensors[i]!)
  const memory = fast ? sharedMemory(program) : undefined
  return new Engine(
    instantiateProgram(module, program, memory),
    {
      inputs: graph.inputs.map(info),
      outputs: graph.outputs.map(info),
      variant: 'simd',
      kernels,
      why: '',
      metadata: {},
    },
    program,
  )
}

interface Case {
  graph: Graph
  inputs: TypedArray[][]
  expected: TypedArray[]
}

export class SelfTest {
  readonly #cases: Case[]

  /** Takes the expected outputs from the ordinary runtime. */
  constructor(ordinary: WebAssembly.Module) {
    const random = new Random()
    this.#cases = testGraphs(random).map((graph) => {
      const engine = load(graph, ordinary, 'x86')
      const inputs = Array.from({ length: RUNS }, () =>
        engine.inputs.map(({ shape, dtype }) => {
          const bytes = Uint8Array.from({ length: elements(shape) }, () => random.byte())
          return dtype === 'uint8' ? bytes : new Int8Array(bytes.buffer)
        }),
      )
      return { graph, inputs, expected: inputs.map((x) => engine.run(x)[0]!) }
    })
  }

  /** The first op whose outputs differ in the fast runtime, if one does. */
  differs(fast: WebAssembly.Module): string | undefined {
    for (const [number, { graph, inputs, expected }] of this.#cases.entries()) {
      const engine = load(graph, fast, 'avx2')
      for (const [run, x] of inputs.entries()) {
        const y = engine.run(x)[0]!
        if (y.some((v, i) => v !== expected[run]![i])) return `${graph.ops[0]!.type} (case ${number})`
      }
    }
    return undefined
  }
}
