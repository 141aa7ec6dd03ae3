/**
 * Gradients through the float executor: from a vector on the output to one on every activation, and on the weights of
 * convolutions. The quantizer uses them to see how much an error somewhere costs in the logits.
 */
import { elements, type Graph, type Op } from '../graph/graph.ts'
import { convShape, type FloatModel } from './execute.ts'
import { bounds, type Values } from './values.ts'
import { corner, im2col, type ConvShape } from './kernels.ts'
import { elementwise } from './general.ts'
import { normalAxis, split } from './ops.ts'
import { eachElement, stridesOf } from '../graph/elements.ts'
import { columnProducts, depthwiseGradient, gate, gemm } from './wasm.ts'

type Weighted = Extract<Op, { type: 'CONV_2D' | 'DEPTHWISE_CONV_2D' | 'FULLY_CONNECTED' }>

export interface Gradients {
  /** By tensor index; absent where no path to the output is differentiated. */
  tensors: Map<number, Float32Array>
  /** Gradient on the output before its activation, by index in graph.ops, for weighted ops. */
  preactivation: Map<number, Float32Array>
}

/** Zero where a fused activation clamps. */
function throughActivation(
  g: Float32Array,
  y: Float32Array,
  limits: readonly [number, number] | undefined,
): Float32Array {
  return limits ? gate(g, y, limits) : g
}

/** [N, K] to [K, N]. */
function transposed(b: Float32Array, N: number, K: number): Float32Array {
  const out = new Float32Array(b.length)
  for (let n = 0; n < N; n++) for (let k = 0; k < K; k++) out[k * N + n] = b[n * K + k]!
  return out
}

function convInput(g: Float32Array, filter: Float32Array, s: ConvShape): Float32Array | undefined {
  const K = s.kh * s.kw * s.inC
  if (filter.length !== s.outC * K) return undefined
  const M = s.batch * s.outH * s.outW
  const columns = new Float32Array(M * K)
  gemm({ a: g, b: transposed(filter, s.outC, K) }, columns, { M, N: K, K: s.outC })
  if (s.kh === 1 && s.kw === 1 && s.strideH === 1 && s.strideW === 1) return columns
  const out = new Float32Array(s.batch * s.inH * s.inW * s.inC)
  visitTaps(s, (row, tap, from) => {
    const at = row * K + tap * s.inC
    for (let c = 0; c < s.inC; c++) out[from + c]! += columns[at + c]!
  })
  return out
}

/** Calls `visit(output position, tap, offset of the input pixel)` for every tap inside the image. */
function visitTaps(s: ConvShape, visit: (row: number, tap: number, from: number) => void): void {
  const { top, left } = corner(s)
  let row = 0
  for (let n = 0; n < s.batch; n++) {
    for (let oy = 0; oy < s.outH; oy++) {
      for (let ox = 0; ox < s.outW; ox++, row++) {
        for (let ky = 0; ky < s.kh; ky++) {
          const iy = oy * s.strideH - top + ky * s.dilationH
          if (iy < 0 || iy >= s.inH) continue
          for (let kx = 0; kx < s.kw; kx++) {
            const ix = ox * s.strideW - left + kx * s.dilationW
            if (ix >= 0 && ix < s.inW) visit(row, ky * s.kw + kx, ((n * s.inH + iy) * s.inW + ix) * s.inC)
          }
        }
      }
    }
  }
}

function depthwiseInput(g: Float32Array, filter: Float32Array, s: ConvShape): Float32Array | undefined {
  return s.inC === s.outC ? depthwiseGradient(g, filter, s) : undefined
}

function poolInput(g: Float32Array, x: Float32Array, s: ConvShape, kind: 'average' | 'max'): Float32Array {
  const out = new Float32Array(x.length)
  const C = s.inC
  const taps: number[] = []
  let current = -1
  const flush = (): void => {
    if (current < 0) return
    for (let c = 0; c < C; c++) {
      const v = g[current * C + c]!
      if (kind === 'average') for (const from of taps) out[from + c]! += v / taps.length
      else out[taps.reduce((best, from) => (x[from + c]! > x[best + c]! ? from : best), taps[0]!) + c]! += v
    }
  }
  visitTaps(s, (row, _, from) => {
    if (row !== current) {
      flush()
      current = row
      taps.length = 0
    }
    taps.push(from)
  })
  flush()
  return out
}

/** The transposition by `order` undone: g of `shape` to the order that it had before. */
function transposeBack(g: Float32Array, shape: readonly number[], order: readonly number[]): Float32Array {
  const before = new Array<number>(shape.length)
  order.forEach((d, i) => (before[d] = shape[i]!))
  const strides = stridesOf(before)
  const out = new Float32Array(g.length)
  eachElement(shape, (at, i) => {
    out[at.reduce((sum, v, d) => sum + v * strides[order[d]!]!, 0)] = g[i]!
  })
  return out
}

/** Derivative of an elementwise op at x. */
function slope(op: Op): ((x: number) => number) | undefined {
  switch (op.type) {
    case 'RELU':
      return (x) => (x > 0 ? 1 : 0)
    case 'RELU6':
      return (x) => (x > 0 && x < 6 ? 1 : 0)
    case 'RELU_N1_TO_1':
      return (x) => (x > -1 && x < 1 ? 1 : 0)
    case 'LEAKY_RELU': {
      const { alpha } = op.attrs
      return (x) => (x < 0 ? alpha : 1)
    }
    case 'LOGISTIC':
      return (x) => {
        const y = 1 / (1 + Math.exp(-x))
        return y * (1 - y)
      }
    case 'TANH':
      return (x) => 1 - Math.tanh(x) ** 2
    case 'HARD_SWISH':
      return (x) => (x <= -3 ? 0 : x >= 3 ? 1 : (2 * x + 3) / 6)
    case 'RESHAPE':
    case 'SQUEEZE':
    case 'EXPAND_DIMS':
    case 'QUANTIZE':
    case 'DEQUANTIZE':
      return () => 1
    default: {
      // By differences: what it costs is wanted to a few percent.
      const f = elementwise(op)
      return f && ((x) => (f(x + 1e-3) - f(x - 1e-3)) / 2e-3)
    }
  }
}

/** Spreads a reduction's gradient: the reduced dimensions must be a block (for images: height and width). */
function meanInput(graph: Graph, op: Op, g: Float32Array, values: Values): Float32Array | undefined {
  const shape = graph.tensors[op.inputs[0]!]!.shape
  const axes = new Set([...values(op.inputs[1]!)].map((a) => (a < 0 ? a + shape.length : a)))
  const last = shape.length - 1
  if (axes.has(last) || shape.some((d, i) => i < last && !axes.has(i) && d !== 1)) return undefined
  const C = shape[last]!
  const n = elements(shape) / C
  const scale = op.type === 'MEAN' ? 1 / n : 1
  const out = new Float32Array(n * C)
  for (let i = 0; i < out.length; i++) out[i] = g[i % C]! * scale
  return out
}

function padInput(graph: Graph, op: Op, g: Float32Array, values: Values): Float32Array | undefined {
  const [n, h, w, c] = graph.tensors[op.inputs[0]!]!.shape as number[]
  const p = values(op.inputs[1]!)
  if (c === undefined || p[0] || p[1] || p[6] || p[7]) return undefined
  const [, H, W] = graph.tensors[op.outputs[0]!]!.shape as number[]
  const out = new Float32Array(n! * h! * w! * c)
  for (let b = 0; b < n!; b++) {
    for (let y = 0; y < h!; y++) {
      const from = ((b * H! + y + p[2]!) * W! + p[4]!) * c
      out.set(g.subarray(from, from + w! * c), (b * h! + y) * w! * c)
    }
  }
  return out
}

function concatInputs(
  graph: Graph,
  op: Extract<Op, { type: 'CONCATENATION' }>,
  g: Float32Array,
): (Float32Array | undefined)[] {
  const shape = graph.tensors[op.outputs[0]!]!.shape
  return split(
    g,
    shape,
    normalAxis(op.attrs.axis, shape.length),
    op.inputs.map((t) => elements(graph.tensors[t]!.shape)),
  )
}

function productInputs(op: Op, g: Float32Array, values: Values): (Float32Array | undefined)[] {
  const [a, b] = [values(op.inputs[0]!), values(op.inputs[1]!)]
  // Equal sizes, or one factor per channel (squeeze-excite).
  const one = (x: Float32Array, other: Float32Array): Float32Array => {
    const out = new Float32Array(x.length)
    for (let i = 0; i < g.length; i++) out[i % x.length]! += g[i]! * other[i % other.length]!
    return out
  }
  return [one(a, b), one(b, a)]
}

/** Gradients of one op's inputs; undefined where this op (or this form of it) is not differentiated. */
function inputGradients(model: FloatModel, op: Op, g: Float32Array, values: Values): (Float32Array | undefined)[] {
  const { graph } = model
  const x = (): Float32Array => values(op.inputs[0]!)
  switch (op.type) {
    case 'CONV_2D':
      return [convInput(g, values(op.inputs[1]!), convShape(graph, op))]
    case 'DEPTHWISE_CONV_2D':
      return [depthwiseInput(g, values(op.inputs[1]!), convShape(graph, op))]
    case 'FULLY_CONNECTED': {
      const [O, K] = graph.tensors[op.inputs[1]!]!.shape as [number, number]
      const out = new Float32Array((g.length / O) * K)
      gemm({ a: g, b: transposed(values(op.inputs[1]!), O, K) }, out, { M: g.length / O, N: K, K: O })
      return [out]
    }
    case 'AVERAGE_POOL_2D':
    case 'MAX_POOL_2D':
      return [poolInput(g, x(), convShape(graph, op), op.type === 'MAX_POOL_2D' ? 'max' : 'average')]
    case 'ADD':
      return op.inputs.map((t) => (values(t).length === g.length ? g : undefined))
    case 'SUB':
      return op.inputs.map((t, i) => (values(t).length === g.length ? (i ? g.map((v) => -v) : g) : undefined))
    case 'MUL':
      return productInputs(op, g, values)
    case 'MEAN':
    case 'SUM':
      return [meanInput(graph, op, g, values)]
    case 'PAD':
      return [padInput(graph, op, g, values)]
    case 'CONCATENATION':
      return concatInputs(graph, op, g)
    case 'MAXIMUM':
    case 'MINIMUM': {
      const [a, b] = [values(op.inputs[0]!), values(op.inputs[1]!)]
      if (a.length !== g.length) return []
      const larger = op.type === 'MAXIMUM'
      const first = g.map((v, i) => (a[i]! >= b[i % b.length]! === larger ? v : 0))
      return [first, b.length === g.length ? g.map((v, i) => v - first[i]!) : undefined]
    }
    case 'TRANSPOSE': {
      const order = [...values(op.inputs[1]!)]
      return [transposeBack(g, graph.tensors[op.outputs[0]!]!.shape, order)]
    }
    default: {
      const f = slope(op)
      return f ? [g.map((v, i) => v * f(x()[i]!))] : []
    }
  }
}

/**
 * Backpropagates from the tensors of `seeds`.
 * `values`: every activation of one inference of the same model.
 */
export function backward(model: FloatModel, values: Values, seeds: ReadonlyMap<number, Float32Array>): Gradients {
  const { graph } = model
  const tensors = new Map(seeds)
  const preactivation = new Map<number, Float32Array>()
  for (let i = graph.ops.length - 1; i >= 0; i--) {
    const op = graph.ops[i]!
    const y = op.outputs[0]!
    const g = tensors.get(y)
    if (!g || op.outputs.length !== 1) continue
    const activation = 'activation' in op.attrs ? op.attrs.activation : 'NONE'
    const inner = throughActivation(g, values(y), bounds(activation))
    if (op.type === 'CONV_2D' || op.type === 'DEPTHWISE_CONV_2D' || op.type === 'FULLY_CONNECTED') {
      preactivation.set(i, inner)
    }
    inputGradients(model, op, inner, values).forEach((d, k) => {
      const t = op.inputs[k]!
      if (!d || graph.tensors[t]!.data) return
      const known = tensors.get(t)
      if (!known) tensors.set(t, d === g ? d.slice() : d)
      else for (let e = 0; e < d.length; e++) known[e]! += d[e]!
    })
  }
  return { tensors, preactivation }
}

/**
 * Gradient on the weights of an ungrouped convolution or fully connected layer of batch 1, as columns by rows: [K, O].
 * `g`: gradient on the output before its activation.
 */
export function weightGradient(graph: Graph, op: Weighted, x: Float32Array, g: Float32Array): Float64Array | undefined {
  if (op.type === 'DEPTHWISE_CONV_2D') return undefined
  const filter = graph.tensors[op.inputs[1]!]!.shape
  const O = filter[0]!
  const K = elements(filter.slice(1))
  const out = new Float64Array(K * O)
  if (op.type === 'FULLY_CONNECTED') {
    columnProducts(x, g, out, { M: g.length / O, I: K, J: O })
    return out
  }
  const s = convShape(graph, op)
  if (K !== s.kh * s.kw * s.inC || s.batch !== 1) return undefined
  const pointwise = s.kh === 1 && s.kw === 1 && s.strideH === 1 && s.strideW === 1
  const rows = Math.max(1, Math.floor((1 << 20) / (s.outW * K)))
  if (pointwise) columnProducts(x, g, out, { M: s.outH * s.outW, I: K, J: O })
  else {
    for (let y = 0; y < s.outH; y += rows) {
      const y1 = Math.min(s.outH, y + rows)
      columnProducts(
        im2col(x, s, { n: 0, y0: y, y1, c0: 0, channels: s.inC }),
        g.subarray(y * s.outW * O, y1 * s.outW * O),
        out,
        { M: (y1 - y) * s.outW, I: K, J: O },
      )
    }
  }
  return out
}
