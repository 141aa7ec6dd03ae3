/**
 * Small 8-bit models that the tests build themselves: together they hold every op that Thimble runs on 8-bit tensors.
 */
import { createHash } from 'node:crypto'
import type { DType, Graph, Op, OpAttributes, OpType, Tensor } from '../src/graph/graph.ts'
import { rng } from './util.ts'

/** TFLite_Detection_PostProcess as SSD exporters write it: fast NMS, one class for each box, of two. */
export const DETECTION_ATTRS: OpAttributes['DETECTION_POSTPROCESS'] = {
  maxDetections: 4,
  maxClassesPerDetection: 1,
  detectionsPerClass: 100,
  useRegularNms: false,
  nmsScoreThreshold: 0.1,
  nmsIouThreshold: 0.5,
  numClasses: 2,
  yScale: 10,
  xScale: 10,
  hScale: 5,
  wScale: 5,
}

/** A graph under construction: tensors and ops by number, weights from a seed. */
export class GraphBuilder {
  readonly graph: Graph = { tensors: [], ops: [], inputs: [], outputs: [], metadata: {} }
  private readonly next: () => number

  constructor(seed: number) {
    this.next = rng(seed)
  }

  tensor(shape: readonly number[], dtype: DType = 'int8', scale?: number, zeroPoint = 0): number {
    const t: Tensor = { name: `t${this.graph.tensors.length}`, shape, dtype }
    if (scale !== undefined) {
      t.quantization = { scales: Float32Array.of(scale), zeroPoints: Int32Array.of(zeroPoint), axis: 0 }
    }
    return this.graph.tensors.push(t) - 1
  }

  input(shape: readonly number[], dtype: DType = 'int8', scale = 0.05, zeroPoint = 3): number {
    const i = this.tensor(shape, dtype, scale, zeroPoint)
    this.graph.inputs.push(i)
    return i
  }

  ints(values: readonly number[], shape: readonly number[] = [values.length]): number {
    const i = this.tensor(shape, 'int32')
    this.graph.tensors[i]!.data = new Uint8Array(Int32Array.from(values).buffer)
    return i
  }

  /** 8-bit weights; one scale per index of `axis`, or one for all. */
  weights(shape: readonly number[], axis?: number, dtype: DType = 'int8'): number {
    const i = this.tensor(shape, dtype, 0.01, dtype === 'uint8' ? 120 : 0)
    const t = this.graph.tensors[i]!
    const n = axis === undefined ? 1 : shape[axis]!
    if (axis !== undefined) {
      t.quantization = {
        scales: Float32Array.from({ length: n }, () => 0.005 + 0.01 * this.next()),
        zeroPoints: new Int32Array(n),
        axis,
      }
    }
    t.data = Uint8Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () =>
      dtype === 'uint8' ? this.next() * 256 : 1 + this.next() * 254 - 127,
    )
    return i
  }

  bias(n: number, scales: number): number {
    const i = this.ints(Array.from({ length: n }, () => Math.floor(this.next() * 2000 - 1000)))
    this.graph.tensors[i]!.quantization = {
      scales: new Float32Array(scales).fill(0.0005),
      zeroPoints: new Int32Array(scales),
      axis: 0,
    }
    return i
  }

  op<T extends OpType>(type: T, inputs: readonly number[], outputs: readonly number[], attrs: OpAttributes[T]): number {
    this.graph.ops.push({ type, inputs, outputs, attrs } as unknown as Op)
    return outputs[0]!
  }

  done(...outputs: number[]): Graph {
    this.graph.outputs.push(...outputs)
    return this.graph
  }
}

const WINDOW = { padding: 'SAME', strideH: 1, strideW: 1, activation: 'NONE' } as const
const CONV = { ...WINDOW, dilationH: 1, dilationW: 1 } as const

/** Convolutions, residual add, pool, fully connected, softmax: a MobileNetV2 in miniature, per channel. */
function classifier(): Graph {
  const b = new GraphBuilder(1)
  const x = b.input([1, 9, 9, 3])
  const c = b.op(
    'CONV_2D',
    [x, b.weights([8, 3, 3, 3], 0), b.bias(8, 8)],
    [b.tensor([1, 5, 5, 8], 'int8', 0.03, -128)],
    { ...CONV, strideH: 2, strideW: 2, activation: 'RELU6' },
  )
  const d = b.op(
    'DEPTHWISE_CONV_2D',
    [c, b.weights([1, 3, 3, 8], 3), b.bias(8, 8)],
    [b.tensor([1, 5, 5, 8], 'int8', 0.04, 5)],
    { ...CONV, depthMultiplier: 1 },
  )
  const p = b.op(
    'CONV_2D',
    [d, b.weights([8, 1, 1, 8], 0), b.bias(8, 8)],
    [b.tensor([1, 5, 5, 8], 'int8', 0.05, -7)],
    CONV,
  )
  const a = b.op('ADD', [c, p], [b.tensor([1, 5, 5, 8], 'int8', 0.06, 1)], { activation: 'NONE' })
  const m = b.op('AVERAGE_POOL_2D', [a], [b.tensor([1, 1, 1, 8], 'int8', 0.06, 1)], {
    ...WINDOW,
    padding: 'VALID',
    filterH: 5,
    filterW: 5,
  })
  const r = b.op('RESHAPE', [m, b.ints([1, 8])], [b.tensor([1, 8], 'int8', 0.06, 1)], {})
  const f = b.op('FULLY_CONNECTED', [r, b.weights([10, 8]), b.bias(10, 1)], [b.tensor([1, 10], 'int8', 0.1, 2)], {
    activation: 'NONE',
    keepNumDims: false,
  })
  return b.done(b.op('SOFTMAX', [f], [b.tensor([1, 10], 'int8', 1 / 256, -128)], { beta: 1 }))
}

/** Legacy uint8, per tensor: dilated depthwise, pools, resize, concatenation, arg-max. */
function segmenter(): Graph {
  const b = new GraphBuilder(2)
  const x = b.input([1, 6, 7, 4], 'uint8', 0.02, 128)
  const pad = b.op(
    'PAD',
    [x, b.ints([0, 0, 1, 1, 2, 0, 0, 0], [4, 2])],
    [b.tensor([1, 8, 9, 4], 'uint8', 0.02, 128)],
    {},
  )
  const d = b.op(
    'DEPTHWISE_CONV_2D',
    [pad, b.weights([1, 3, 3, 8], undefined, 'uint8'), b.bias(8, 1)],
    [b.tensor([1, 4, 5, 8], 'uint8', 0.05, 100)],
    { ...CONV, padding: 'VALID', dilationH: 2, dilationW: 2, depthMultiplier: 2, activation: 'RELU' },
  )
  const m = b.op('MAX_POOL_2D', [d], [b.tensor([1, 2, 3, 8], 'uint8', 0.05, 100)], {
    ...WINDOW,
    strideH: 2,
    strideW: 2,
    filterH: 2,
    filterW: 2,
  })
  const u = b.op('RESIZE_BILINEAR', [m, b.ints([4, 5])], [b.tensor([1, 4, 5, 8], 'uint8', 0.05, 100)], {
    alignCorners: true,
    halfPixelCenters: false,
  })
  const c = b.op('CONCATENATION', [d, u], [b.tensor([1, 4, 5, 16], 'uint8', 0.05, 100)], {
    axis: 3,
    activation: 'NONE',
  })
  const n = b.op('RESIZE_NEAREST_NEIGHBOR', [c, b.ints([6, 7])], [b.tensor([1, 6, 7, 16], 'uint8', 0.05, 100)], {
    alignCorners: false,
    halfPixelCenters: true,
  })
  return b.done(b.op('ARG_MAX', [n, b.ints([3], [])], [b.tensor([1, 6, 7], 'int64')], { outputType: 'int64' }))
}

/** The elementwise ops, one after another, and the ones that only move data. */
function elementwise(): Graph {
  const b = new GraphBuilder(3)
  const shape = [1, 3, 5, 6]
  const x = b.input(shape)
  const y = b.input([1, 1, 1, 6], 'int8', 0.04, -9)
  const next = (scale: number, zeroPoint: number): number => b.tensor(shape, 'int8', scale, zeroPoint)
  let t = b.op('MUL', [x, y], [next(0.06, 4)], { activation: 'RELU_N1_TO_1' })
  t = b.op('SUB', [t, x], [next(0.07, -3)], { activation: 'NONE' })
  t = b.op('HARD_SWISH', [t], [next(0.05, -20)], {})
  t = b.op('LEAKY_RELU', [t], [next(0.05, 7)], { alpha: 0.125 })
  t = b.op('PRELU', [t, b.weights([6])], [next(0.05, 7)], {})
  t = b.op('RELU', [t], [next(0.05, 7)], {})
  t = b.op('RELU6', [t], [next(0.03, -128)], {})
  t = b.op('RELU_N1_TO_1', [t], [next(0.03, -128)], {})
  t = b.op('TANH', [t], [next(1 / 128, 0)], {})
  t = b.op('LOGISTIC', [t], [next(1 / 256, -128)], {})
  t = b.op('QUANTIZE', [t], [next(0.02, 11)], {})
  const halves = [b.tensor([1, 3, 5, 3], 'int8', 0.02, 11), b.tensor([1, 3, 5, 3], 'int8', 0.02, 11)]
  b.op('SPLIT', [b.ints([3], []), t], halves, { numSplits: 2 })
  const mean = b.op('MEAN', [halves[0]!, b.ints([1, 2])], [b.tensor([1, 3], 'int8', 0.01, 6)], { keepDims: false })
  return b.done(mean, b.op('DEQUANTIZE', [halves[1]!], [b.tensor([1, 3, 5, 3], 'float32')], {}))
}

/** Where a heat map is warmest and what lies there, in integers and floats, as pose networks end. */
function indexing(): Graph {
  const b = new GraphBuilder(4)
  const x = b.input([1, 4, 5, 6], 'int8', 0.03, -100)
  const column = (): number => b.tensor([1, 6], 'int32')
  const flat = b.op('RESHAPE', [x, b.ints([1, 20, 6])], [b.tensor([1, 20, 6], 'int8', 0.03, -100)], {})
  const best = b.op('ARG_MAX', [flat, b.ints([1], [])], [column()], { outputType: 'int32' })
  const row = b.op('FLOOR_DIV', [best, b.ints([5], [])], [column()], {})
  const left = b.op('MUL', [row, b.ints([5], [])], [column()], { activation: 'NONE' })
  const across = b.op('SUB', [best, left], [column()], { activation: 'NONE' })
  const places = b.op('PACK', [row, across, b.ints([0, 1, 2, 3, 4, 5], [1, 6])], [b.tensor([1, 6, 3], 'int32')], {
    axis: 2,
    valuesCount: 3,
  })
  const map = b.op('RESHAPE', [x, b.ints([4, 5, 6])], [b.tensor([4, 5, 6], 'int8', 0.03, -100)], {})
  const peaks = b.op('GATHER_ND', [map, places], [b.tensor([1, 6], 'int8', 0.03, -100)], {})
  const y = b.op(
    'QUANTIZE',
    [b.op('CAST', [row], [b.tensor([1, 6], 'float32')], {})],
    [b.tensor([1, 6], 'int8', 0.05, -128)],
    {},
  )
  const root = b.op(
    'SQRT',
    [b.op('DEQUANTIZE', [y], [b.tensor([1, 6], 'float32')], {})],
    [b.tensor([1, 6], 'float32')],
    {},
  )
  const rooted = b.op('QUANTIZE', [root], [b.tensor([1, 6], 'int8', 0.0151, -128)], {})
  const real = (i: number): number => b.op('DEQUANTIZE', [i], [b.tensor([1, 6], 'float32')], {})
  const ratio = b.op('DIV', [real(peaks), real(rooted)], [b.tensor([1, 6], 'float32')], { activation: 'NONE' })
  return b.done(places, rooted, ratio)
}

/** Name and graph of each; fresh copies, so that a test may change them. */
export const smallModels = (): { name: string; graph: Graph }[] => [
  { name: 'classifier', graph: classifier() },
  { name: 'segmenter', graph: segmenter() },
  { name: 'elementwise', graph: elementwise() },
  { name: 'indexing', graph: indexing() },
]

/** A graph as text that is equal for equal graphs: typed arrays as hex, long ones as their hash. */
export function graphText(graph: Graph): string {
  return JSON.stringify(
    graph,
    (_, v: unknown) => {
      if (ArrayBuffer.isView(v)) {
        return `${v.constructor.name} ${
          v.byteLength > 256
            ? createHash('sha256')
                .update(v as Uint8Array)
                .digest('hex')
            : Buffer.from(v.buffer, v.byteOffset, v.byteLength).toString('hex')
        }`
      }
      return v !== null && typeof v === 'object' && !Array.isArray(v)
        ? Object.fromEntries(Object.entries(v).sort(([a], [b]) => (a < b ? -1 : 1)))
        : v
    },
    1,
  )
}

/** Throws with the first line at which the two graphs differ. */
export function equalGraphs(got: Graph, want: Graph, what: string): void {
  const a = graphText(got)
  const b = graphText(want)
  if (a === b) return
  const left = a.split('\n')
  const right = b.split('\n')
  const i = left.findIndex((line, k) => line !== right[k])
  throw new Error(
    `${what}: line ${i}: got ${left[i]?.trim().slice(0, 200)}, expected ${right[i]?.trim().slice(0, 200)}`,
  )
}
