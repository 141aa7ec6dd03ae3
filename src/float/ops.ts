/** Every op of the float executor that is not a window over an image: elementwise, reductions, data movement. */
import { ThimbleError } from '../base/errors.ts'
import { elements, type Graph, type Op, type OpOf } from '../graph/graph.ts'
import { stridesOf } from '../graph/elements.ts'
import { activate, type Values } from './values.ts'
import { hasSimd } from '../kernels/kernels.ts'
import { isGeneralOp, runGeneralOp } from './general.ts'
import * as plain from './kernels.ts'
import * as simd from './wasm.ts'

const BINARY: Record<'ADD' | 'SUB' | 'MUL' | 'DIV', (a: number, b: number) => number> = {
  ADD: (a, b) => a + b,
  SUB: (a, b) => a - b,
  MUL: (a, b) => a * b,
  DIV: (a, b) => a / b,
}

function unary(op: Op): ((v: number) => number) | undefined {
  switch (op.type) {
    case 'LOGISTIC':
      return (v) => 1 / (1 + Math.exp(-v))
    case 'TANH':
      return Math.tanh
    case 'HARD_SWISH':
      return (v) => (v * Math.min(6, Math.max(0, v + 3))) / 6
    case 'RELU':
      return (v) => Math.max(0, v)
    case 'RELU6':
      return (v) => Math.min(6, Math.max(0, v))
    case 'RELU_N1_TO_1':
      return (v) => Math.min(1, Math.max(-1, v))
    case 'LEAKY_RELU': {
      const { alpha } = op.attrs
      return (v) => (v < 0 ? v * alpha : v)
    }
    case 'QUANTIZE':
    case 'DEQUANTIZE':
    case 'RESHAPE':
    case 'SQUEEZE':
    case 'EXPAND_DIMS':
    case 'CAST':
      return (v) => v
    default:
      return undefined
  }
}

/** Row-major strides; 0 along dimensions of length 1, so that they broadcast. */
function broadcastStrides(shape: readonly number[], rank: number): number[] {
  const strides = new Array<number>(rank).fill(0)
  let step = 1
  for (let d = shape.length - 1; d >= 0; d--) {
    strides[d + rank - shape.length] = shape[d] === 1 ? 0 : step
    step *= shape[d]!
  }
  return strides
}

/** Calls `visit` for each index of `shape` with one flat offset per stride list. */
function walk(
  shape: readonly number[],
  strides: readonly (readonly number[])[],
  visit: (flat: number, offsets: readonly number[]) => void,
): void {
  const count = elements(shape)
  const index = new Array<number>(shape.length).fill(0)
  const offsets = strides.map(() => 0)
  for (let flat = 0; flat < count; flat++) {
    visit(flat, offsets)
    for (let d = shape.length - 1; d >= 0; d--) {
      const carry = ++index[d]! === shape[d]!
      strides.forEach((s, k) => {
        offsets[k]! += carry ? -s[d]! * (shape[d]! - 1) : s[d]!
      })
      if (!carry) break
      index[d] = 0
    }
  }
}

function binary(graph: Graph, op: OpOf<'ADD' | 'SUB' | 'MUL' | 'DIV'>, values: Values): Float32Array {
  const [a, b] = [values(op.inputs[0]!), values(op.inputs[1]!)]
  const shape = graph.tensors[op.outputs[0]!]!.shape
  const f = BINARY[op.type]
  const out = new Float32Array(elements(shape))
  if (a.length === out.length && b.length === out.length) for (let i = 0; i < out.length; i++) out[i] = f(a[i]!, b[i]!)
  else {
    const strides = [0, 1].map((i) => broadcastStrides(graph.tensors[op.inputs[i]!]!.shape, shape.length))
    walk(shape, strides, (i, [ia, ib]) => {
      out[i] = f(a[ia!]!, b[ib!]!)
    })
  }
  activate(out, op.attrs.activation)
  return out
}

function reduce(graph: Graph, op: OpOf<'MEAN' | 'SUM'>, values: Values): Float32Array {
  const x = values(op.inputs[0]!)
  const shape = graph.tensors[op.inputs[0]!]!.shape
  const axes = new Set([...values(op.inputs[1]!)].map((a) => (a < 0 ? a + shape.length : a)))
  const kept = shape.map((d, i) => (axes.has(i) ? 1 : d))
  const sums = new Float64Array(elements(kept))
  walk(shape, [broadcastStrides(kept, shape.length)], (i, [o]) => {
    sums[o!]! += x[i]!
  })
  const n = op.type === 'MEAN' ? x.length / sums.length : 1
  return Float32Array.from(sums, (v) => v / n)
}

function softmax(graph: Graph, op: OpOf<'SOFTMAX'>, values: Values): Float32Array {
  const x = values(op.inputs[0]!)
  const depth = graph.tensors[op.inputs[0]!]!.shape.at(-1)!
  const out = new Float32Array(x.length)
  for (let row = 0; row < x.length; row += depth) {
    let max = -Infinity
    for (let i = 0; i < depth; i++) max = Math.max(max, x[row + i]!)
    let sum = 0
    for (let i = 0; i < depth; i++) sum += Math.exp((x[row + i]! - max) * op.attrs.beta)
    for (let i = 0; i < depth; i++) out[row + i] = Math.exp((x[row + i]! - max) * op.attrs.beta) / sum
  }
  return out
}

function pad(graph: Graph, op: Op, values: Values): Float32Array {
  const x = values(op.inputs[0]!)
  const p = values(op.inputs[1]!)
  const shape = graph.tensors[op.inputs[0]!]!.shape
  const target = graph.tensors[op.outputs[0]!]!.shape
  const out = new Float32Array(elements(target))
  const strides = stridesOf(target)
  const start = shape.reduce((sum, _, d) => sum + p[2 * d]! * strides[d]!, 0)
  // Whole rows at a time: the last dimensions that are not padded are contiguous on both sides.
  let whole = shape.length
  while (whole > 0 && p[2 * whole - 2] === 0 && p[2 * whole - 1] === 0) whole--
  const row = elements(shape.slice(whole))
  const inner = whole === 0 ? 1 : shape[whole - 1]!
  const length = inner * row
  walk(shape.slice(0, Math.max(0, whole - 1)), [strides.slice(0, Math.max(0, whole - 1))], (i, [o]) => {
    out.set(x.subarray(i * length, (i + 1) * length), start + o!)
  })
  return out
}

/** Parts that make up `shape` along `axis`. */
function concatenate(parts: readonly Float32Array[], shape: readonly number[], axis: number): Float32Array {
  const inner = elements(shape.slice(axis + 1))
  const outer = elements(shape.slice(0, axis))
  const out = new Float32Array(elements(shape))
  const row = shape[axis]! * inner
  let at = 0
  parts.forEach((x) => {
    const width = outer ? x.length / outer : 0
    for (let o = 0; o < outer; o++) out.set(x.subarray(o * width, (o + 1) * width), o * row + at)
    at += width
  })
  return out
}

/** Cuts x of `shape` along `axis` into tensors of so many elements each. */
export function split(
  x: Float32Array,
  shape: readonly number[],
  axis: number,
  sizes: readonly number[],
): Float32Array[] {
  const outer = elements(shape.slice(0, axis))
  const row = elements(shape.slice(axis))
  let at = 0
  return sizes.map((size) => {
    const width = size / outer
    const out = new Float32Array(size)
    for (let o = 0; o < outer; o++) out.set(x.subarray(o * row + at, o * row + at + width), o * width)
    at += width
    return out
  })
}

function resize(graph: Graph, op: OpOf<'RESIZE_BILINEAR' | 'RESIZE_NEAREST_NEIGHBOR'>, values: Values): Float32Array {
  const x = values(op.inputs[0]!)
  const [batch, inH, inW, c] = graph.tensors[op.inputs[0]!]!.shape as [number, number, number, number]
  const [, outH, outW] = graph.tensors[op.outputs[0]!]!.shape as [number, number, number]
  const { alignCorners, halfPixelCenters } = op.attrs
  const nearest = op.type === 'RESIZE_NEAREST_NEIGHBOR'
  const source = (i: number, from: number, to: number): number => {
    const scale = alignCorners && to > 1 ? (from - 1) / (to - 1) : from / to
    if (nearest) {
      const v = (i + (halfPixelCenters ? 0.5 : 0)) * scale
      return Math.max(0, Math.min(from - 1, alignCorners ? Math.round(v) : Math.floor(v)))
    }
    return Math.max(0, Math.min(from - 1, halfPixelCenters && !alignCorners ? (i + 0.5) * scale - 0.5 : i * scale))
  }
  const out = new Float32Array(batch * outH * outW * c)
  let at = 0
  for (let n = 0; n < batch; n++) {
    for (let y = 0; y < outH; y++) {
      const sy = source(y, inH, outH)
      const y0 = Math.floor(sy)
      const y1 = Math.min(y0 + 1, inH - 1)
      const fy = sy - y0
      for (let i = 0; i < outW; i++) {
        const sx = source(i, inW, outW)
        const x0 = Math.floor(sx)
        const x1 = Math.min(x0 + 1, inW - 1)
        const fx = sx - x0
        const p = (yy: number, xx: number, k: number): number => x[((n * inH + yy) * inW + xx) * c + k]!
        for (let k = 0; k < c; k++) {
          const top = p(y0, x0, k) + (p(y0, x1, k) - p(y0, x0, k)) * fx
          const bottom = p(y1, x0, k) + (p(y1, x1, k) - p(y1, x0, k)) * fx
          out[at++] = top + (bottom - top) * fy
        }
      }
    }
  }
  return out
}

function fullyConnected(graph: Graph, op: OpOf<'FULLY_CONNECTED'>, values: Values): Float32Array {
  const x = values(op.inputs[0]!)
  const [channels, depth] = graph.tensors[op.inputs[1]!]!.shape as [number, number]
  const bias = op.inputs[2] === undefined || op.inputs[2] < 0 ? undefined : values(op.inputs[2])
  const rows = x.length / depth
  const out = new Float32Array(rows * channels)
  const gemm = hasSimd() ? simd.gemm : plain.gemm
  gemm({ a: x, b: values(op.inputs[1]!), bias }, out, { M: rows, N: channels, K: depth })
  activate(out, op.attrs.activation)
  return out
}

function argMax(graph: Graph, op: Op, values: Values): Float32Array {
  const x = values(op.inputs[0]!)
  const shape = graph.tensors[op.inputs[0]!]!.shape
  const axis = normalAxis(values(op.inputs[1]!)[0]!, shape.length)
  const inner = elements(shape.slice(axis + 1))
  const n = shape[axis]!
  const out = new Float32Array(x.length / n)
  for (let i = 0; i < out.length; i++) {
    const base = Math.floor(i / inner) * n * inner + (i % inner)
    for (let k = 1; k < n; k++) if (x[base + k * inner]! > x[base + out[i]! * inner]!) out[i] = k
  }
  return out
}

/** Where a slice begins, how many elements it has along each dimension, and how far apart they are. */
interface Slice {
  begin: readonly number[]
  extent: readonly number[]
  step: readonly number[]
}

function slice(x: Float32Array, shape: readonly number[], { begin, extent, step }: Slice): Float32Array {
  const strides = stridesOf(shape)
  const start = begin.reduce((sum, b, d) => sum + b * strides[d]!, 0)
  const out = new Float32Array(elements(extent))
  walk(extent, [strides.map((s, d) => s * step[d]!)], (i, [o]) => {
    out[i] = x[start + o!]!
  })
  return out
}

/** An axis counted from the front. */
export const normalAxis = (axis: number, rank: number): number => (axis < 0 ? axis + rank : axis)

function stridedSlice(graph: Graph, op: OpOf<'STRIDED_SLICE'>, values: Values): Float32Array {
  const shape = graph.tensors[op.inputs[0]!]!.shape
  const a = op.attrs
  if (a.ellipsisMask || a.newAxisMask) {
    throw new ThimbleError('lower/unsupported-op', 'STRIDED_SLICE with an ellipsis or a new axis')
  }
  const [begin, end, step] = [1, 2, 3].map((i) => [...values(op.inputs[i]!)]) as [number[], number[], number[]]
  if (step.some((s) => s < 1)) throw new ThimbleError('lower/unsupported-op', 'STRIDED_SLICE with a negative stride')
  const from = shape.map((d, i) =>
    (a.beginMask >> i) & 1 ? 0 : Math.min(d, Math.max(0, normalAxis(begin[i]!, begin[i]! < 0 ? d : 0))),
  )
  const to = shape.map((d, i) =>
    (a.shrinkAxisMask >> i) & 1
      ? from[i]! + 1
      : (a.endMask >> i) & 1
        ? d
        : Math.min(d, Math.max(0, normalAxis(end[i]!, end[i]! < 0 ? d : 0))),
  )
  const extent = shape.map((_, i) => Math.ceil((to[i]! - from[i]!) / step[i]!))
  return slice(values(op.inputs[0]!), shape, { begin: from, extent, step })
}

const STRUCTURED = new Set<Op['type']>([
  'ADD',
  'SUB',
  'MUL',
  'DIV',
  'FULLY_CONNECTED',
  'MEAN',
  'SUM',
  'SOFTMAX',
  'PAD',
  'RESIZE_BILINEAR',
  'RESIZE_NEAREST_NEIGHBOR',
  'ARG_MAX',
  'CONCATENATION',
  'PACK',
  'SPLIT',
  'UNPACK',
  'TRANSPOSE',
  'SLICE',
  'STRIDED_SLICE',
])

/** Whether `runSimpleOp` knows the op. */
export const isSimpleOp = (op: Op): boolean => STRUCTURED.has(op.type) || unary(op) !== undefined || isGeneralOp(op)

/** Errors: `lower/unsupported-op` for what is not here. */
export function runSimpleOp(graph: Graph, op: Op, values: Values): Float32Array[] {
  const f = unary(op)
  if (f) return [values(op.inputs[0]!).map(f)]
  const shape = (t: number): readonly number[] => graph.tensors[t]!.shape
  switch (op.type) {
    case 'ADD':
    case 'SUB':
    case 'MUL':
    case 'DIV':
      return [binary(graph, op, values)]
    case 'FULLY_CONNECTED':
      return [fullyConnected(graph, op, values)]
    case 'MEAN':
    case 'SUM':
      return [reduce(graph, op, values)]
    case 'SOFTMAX':
      return [softmax(graph, op, values)]
    case 'PAD':
      return [pad(graph, op, values)]
    case 'RESIZE_BILINEAR':
    case 'RESIZE_NEAREST_NEIGHBOR':
      return [resize(graph, op, values)]
    case 'ARG_MAX':
      return [argMax(graph, op, values)]
    case 'CONCATENATION': {
      const to = shape(op.outputs[0]!)
      const out = concatenate(op.inputs.map(values), to, normalAxis(op.attrs.axis, to.length))
      activate(out, op.attrs.activation)
      return [out]
    }
    case 'PACK': {
      const to = shape(op.outputs[0]!)
      return [concatenate(op.inputs.map(values), to, normalAxis(op.attrs.axis, to.length))]
    }
    case 'SPLIT':
      return split(
        values(op.inputs[1]!),
        shape(op.inputs[1]!),
        normalAxis(values(op.inputs[0]!)[0]!, shape(op.inputs[1]!).length),
        op.outputs.map((t) => elements(shape(t))),
      )
    case 'UNPACK':
      return split(
        values(op.inputs[0]!),
        shape(op.inputs[0]!),
        normalAxis(op.attrs.axis, shape(op.inputs[0]!).length),
        op.outputs.map((t) => elements(shape(t))),
      )
    case 'TRANSPOSE': {
      const order = [...values(op.inputs[1]!)]
      const strides = stridesOf(shape(op.inputs[0]!))
      const x = values(op.inputs[0]!)
      const out = new Float32Array(x.length)
      walk(shape(op.outputs[0]!), [order.map((d) => strides[d]!)], (i, [o]) => {
        out[i] = x[o!]!
      })
      return [out]
    }
    case 'SLICE': {
      const from = shape(op.inputs[0]!)
      const [begin, sizes] = [values(op.inputs[1]!), values(op.inputs[2]!)]
      const extent = from.map((d, i) => (sizes[i] === -1 ? d - begin[i]! : sizes[i]!))
      return [slice(values(op.inputs[0]!), from, { begin: [...begin], extent, step: from.map(() => 1) })]
    }
    case 'STRIDED_SLICE':
      return [stridedSlice(graph, op, values)]
    default:
      if (isGeneralOp(op)) return runGeneralOp(graph, op, values)
      throw new ThimbleError('lower/unsupported-op', `the float executor does not run ${op.type}`)
  }
}
