/** Pools, reductions, softmax, arg-max. */
import {
  OP_ARG_MAX,
  OP_ARG_MAX32,
  OP_AVERAGE_POOL,
  OP_MAX_POOL,
  OP_MEAN,
  OP_REDUCE,
  OP_SOFTMAX,
  REDUCE_MAXIMUM32,
  REDUCE_MAXIMUM8,
  REDUCE_MAXIMUM_FLOAT,
  REDUCE_MEAN32,
  REDUCE_MINIMUM32,
  REDUCE_MINIMUM8,
  REDUCE_MINIMUM_FLOAT,
  REDUCE_PRODUCT32,
  REDUCE_PRODUCT8,
  REDUCE_PRODUCT_FLOAT,
  REDUCE_SUM32,
} from '../generated/layout.ts'
import { dtypeBytes, elements, type DType, type OpOf, type OpType } from '../graph/graph.ts'
import { activationBoundsBuiltin, activationBoundsXnn, expf, f32, quantizeMultiplier } from '../arithmetic/numerics.ts'
import { merge } from './broadcast.ts'
import { type Context, shifted, Unsupported } from './context.ts'
import { rowwise, type Buffer } from './program.ts'
import { normalAxis } from './shape.ts'
import { windowAlong } from '../graph/window.ts'

export function lowerPool(cx: Context): void {
  const op = cx.op as OpOf<'AVERAGE_POOL_2D' | 'MAX_POOL_2D'>
  const a = op.attrs
  const average = op.type === 'AVERAGE_POOL_2D'
  const x = cx.plain(cx.value(0))
  const out = cx.output()
  const xq = cx.q(x.tensor)
  const q = cx.q(out)
  if (x.tensor.shape.length !== 4) throw cx.fail('lower/shape', 'input must have rank 4', x.tensor)
  if (x.tensor.dtype !== out.dtype || xq.scale !== q.scale || xq.zeroPoint !== q.zeroPoint) {
    throw new Unsupported(`${op.type} that changes the quantization`)
  }
  for (const v of [a.filterH, a.filterW, a.strideH, a.strideW]) {
    if (!(v >= 1)) {
      throw cx.fail('lower/attribute', 'filter and stride must be positive', undefined, { expected: '>= 1', got: v })
    }
  }
  const y = windowAlong({ padding: a.padding, size: x.h, kernel: a.filterH, stride: a.strideH })
  const w = windowAlong({ padding: a.padding, size: x.w, kernel: a.filterW, stride: a.strideW })
  if (y.out < 1 || w.out < 1 || out.shape.join() !== [x.n, y.out, w.out, x.c].join()) {
    throw cx.fail('lower/shape', 'output shape', out, {
      expected: `[${x.n},${y.out},${w.out},${x.c}]`,
      got: `[${out.shape}]`,
    })
  }
  const xnn =
    !average &&
    a.strideH <= a.filterH &&
    a.strideW <= a.filterW &&
    !(a.filterH === 1 && a.filterW === 1 && (a.strideH > 1 || a.strideW > 1))
  const limits = xnn ? activationBoundsXnn(a.activation, q) : activationBoundsBuiltin(a.activation, q)
  const to = cx.result()
  const scratch = cx.scratch('pool sums', average ? x.c * 4 : 0)
  for (let n = 0; n < x.n; n++) {
    cx.push({
      record: 'PoolRecord',
      op: average ? OP_AVERAGE_POOL : OP_MAX_POOL,
      kernel: average ? 'average-pool' : 'max-pool',
      rows: { rows: y.out, strideH: a.strideH, padTop: y.before, windowH: a.filterH, inRows: x.h },
      reads: [x.buffer],
      writes: [to.buffer, scratch],
      stream: x.n === 1 ? { from: x, to } : undefined,
      fields: () => ({
        input: x.address(n),
        inRowStride: x.rowStride,
        inRing: x.ringRows,
        output: to.address(n),
        outRowStride: to.rowStride,
        outRing: to.ringRows,
        inW: x.w,
        outW: w.out,
        channels: x.c,
        filterH: a.filterH,
        filterW: a.filterW,
        strideW: a.strideW,
        padLeft: w.before,
        ...shifted(limits, q),
        unsigned: Number(q.unsigned),
        scratch: scratch.address,
      }),
    })
  }
}

interface Dim {
  size: number
  stride: number
}

type ReducerType = 'MEAN' | 'SUM' | 'REDUCE_MAX' | 'REDUCE_MIN' | 'REDUCE_PROD'

/** The four loops over kept and reduced dimensions, and where each run of them begins, in elements. */
interface ReduceLoops {
  kept: Dim[]
  reduced: Dim[]
  /** Indices of kept dimensions that are more than four: where their input begins. */
  bases: number[]
  /** Elements that one result is made of. */
  count: number
}

const padded = (dims: readonly Dim[]): Dim[] => [
  ...Array<Dim>(Math.max(0, 4 - dims.length)).fill({ size: 1, stride: 0 }),
  ...dims,
]

/**
 * Dimensions by what happens to them. Errors: `lower/shape`; unsupported: more than four separate reduced dimensions.
 */
export function reduceLoops(cx: Context, shape: readonly number[], width: number): ReduceLoops {
  const { type } = cx.op
  const out = cx.output()
  const { keepDims } = (cx.op as OpOf<ReducerType>).attrs
  if (cx.input(1).shape.length > 1) throw new Unsupported(`${type} with axes of rank 2 or more`)
  const axes = new Set(cx.integers(1, 'axes').map((a) => normalAxis(cx, a, shape.length)))
  const kept: Dim[] = []
  const reduced: Dim[] = []
  let stride = width
  for (let i = shape.length - 1; i >= 0; i--) {
    ;(axes.has(i) ? reduced : kept).unshift({ size: shape[i]!, stride })
    stride *= shape[i]!
  }
  cx.expectShape(out, keepDims ? shape.map((d, i) => (axes.has(i) ? 1 : d)) : shape.filter((_, i) => !axes.has(i)))
  const count = reduced.reduce((a, d) => a * d.size, 1)
  if (count < 1) throw new Unsupported(`${type} of nothing`)
  const inner = merge(kept, ['stride'])
  let bases = [0]
  for (const d of inner.splice(0, Math.max(0, inner.length - 4))) {
    bases = bases.flatMap((b) => Array.from({ length: d.size }, (_, i) => b + i * d.stride))
  }
  const loops = merge(reduced, ['stride'])
  if (loops.length > 4) throw new Unsupported(`${type} with more than four separate reduced dimensions`)
  return { kept: padded(inner), reduced: padded(loops), bases, count }
}

export const loopFields = ({ kept: k, reduced: r }: ReduceLoops) => ({
  k0: k[0]!.size,
  k1: k[1]!.size,
  k2: k[2]!.size,
  k3: k[3]!.size,
  k0Stride: k[0]!.stride,
  k1Stride: k[1]!.stride,
  k2Stride: k[2]!.stride,
  k3Stride: k[3]!.stride,
  r0: r[0]!.size,
  r1: r[1]!.size,
  r2: r[2]!.size,
  r3: r[3]!.size,
  r0Stride: r[0]!.stride,
  r1Stride: r[1]!.stride,
  r2Stride: r[2]!.stride,
  r3Stride: r[3]!.stride,
})

/** XNNPACK's mean; its sum is the same without the division. */
export function lowerMeanOrSum(cx: Context): void {
  const x = cx.plain(cx.value(0))
  const t = x.tensor
  const out = cx.output()
  if (t.dtype === 'int32') return lowerReduce(cx)
  const xq = cx.q(t)
  const q = cx.q(out)
  const sum = cx.op.type === 'SUM'
  if (t.dtype !== out.dtype) throw new Unsupported(`${cx.op.type} from ${t.dtype} to ${out.dtype}`)
  const loops = reduceLoops(cx, t.shape, 1)
  const n = loops.count
  const scale = f32(f32(xq.scale / q.scale) * (sum ? 1 : f32(1 / f32(n))))
  const offset = f32(q.zeroPoint - f32(f32(n * xq.zeroPoint) * scale))
  const y = cx.result()
  y.alias = true
  const scratch = cx.scratch('mean sums', 64)
  const part = elements(out.shape) / loops.bases.length
  loops.bases.forEach((base, i) =>
    cx.push({
      record: 'MeanRecord',
      op: OP_MEAN,
      kernel: sum ? 'sum' : 'mean',
      rows: rowwise(1),
      reads: [x.buffer],
      writes: [y.buffer, scratch],
      fields: () => ({
        input: x.address() + base,
        output: y.address() + i * part,
        ...loopFields(loops),
        sumBias: q.shift * n,
        scale,
        offset,
        low: q.low,
        high: q.high,
        minus: q.shift,
        scratch: scratch.address,
      }),
    }),
  )
}

const REDUCE_KINDS: Partial<Record<OpType, Partial<Record<DType, number>>>> = {
  REDUCE_MAX: {
    int8: REDUCE_MAXIMUM8,
    uint8: REDUCE_MAXIMUM8,
    int32: REDUCE_MAXIMUM32,
    float32: REDUCE_MAXIMUM_FLOAT,
  },
  REDUCE_MIN: {
    int8: REDUCE_MINIMUM8,
    uint8: REDUCE_MINIMUM8,
    int32: REDUCE_MINIMUM32,
    float32: REDUCE_MINIMUM_FLOAT,
  },
  REDUCE_PROD: { int8: REDUCE_PRODUCT8, int32: REDUCE_PRODUCT32, float32: REDUCE_PRODUCT_FLOAT },
  REDUCE_ANY: { bool: REDUCE_MAXIMUM8 },
  REDUCE_ALL: { bool: REDUCE_MINIMUM8 },
  SUM: { int32: REDUCE_SUM32 },
  MEAN: { int32: REDUCE_MEAN32 },
}

/** What a product of `n` values takes as a factor at every step: TFLite's, 15 bits and a right shift. */
function productFactor(inScale: number, outScale: number, n: number): { multiplier: number; shift: number } {
  const { multiplier, shift } = quantizeMultiplier(inScale / outScale ** (1 / n))
  if (shift > 14) throw new Unsupported('REDUCE_PROD with an output scale that small')
  return { multiplier: multiplier < 0x7fff0000 ? (multiplier + 0x8000) >> 16 : 0x7fff, shift: 15 - shift }
}

/** Maxima and minima of stored values, whatever the quantization says; products; sums of integers. */
export function lowerReduce(cx: Context): void {
  const x = cx.plain(cx.value(0))
  const { dtype, shape } = x.tensor
  const out = cx.output()
  const kind = REDUCE_KINDS[cx.op.type]?.[dtype]
  if (kind === undefined) throw new Unsupported(`${cx.op.type} of ${dtype}`)
  if (out.dtype !== dtype) throw new Unsupported(`${cx.op.type} from ${dtype} to ${out.dtype}`)
  const width = dtypeBytes(dtype)
  const loops = reduceLoops(cx, shape, width)
  // A product over nothing but dimensions of 1 is the stored value, whatever the quantization says.
  const product = kind === REDUCE_PRODUCT8 && loops.count > 1
  const xq = product ? cx.q(x.tensor) : undefined
  const yq = product ? cx.q(out) : undefined
  const factor = xq && yq ? productFactor(xq.scale, yq.scale, loops.count) : { multiplier: 0, shift: 1 }
  const y = cx.result()
  y.alias = true
  const part = (elements(out.shape) / loops.bases.length) * width
  loops.bases.forEach((base, i) =>
    cx.push({
      record: 'ReduceRecord',
      op: OP_REDUCE,
      kernel: cx.op.type.toLowerCase().replace('_', '-'),
      rows: rowwise(1),
      reads: [x.buffer],
      writes: [y.buffer],
      fields: () => ({
        kind: kind === REDUCE_PRODUCT8 && !product ? REDUCE_MAXIMUM8 : kind,
        input: x.address() + base,
        output: y.address() + i * part,
        ...loopFields(loops),
        inputZeroPoint: xq?.zero ?? 0,
        outputZeroPoint: yq?.zero ?? 0,
        ...factor,
      }),
    }),
  )
}

/** expf(-scale * beta * d) of the differences 0 to 255. */
export function softmaxTable(cx: Context, scale: number, beta: number): Buffer {
  const c = f32(f32(-scale) * f32(beta))
  const exponentials = new Float32Array(256)
  for (let d = 0; d < 256; d++) exponentials[d] = expf(f32(c * d))
  return cx.buffers.constant('softmax table', exponentials)
}

export function lowerSoftmax(cx: Context): void {
  const { beta } = (cx.op as OpOf<'SOFTMAX'>).attrs
  const x = cx.plain(cx.value(0))
  const t = x.tensor
  const out = cx.output()
  const xq = cx.q(t)
  const q = cx.q(out)
  if (t.dtype !== out.dtype) throw new Unsupported(`SOFTMAX from ${t.dtype} to ${out.dtype}`)
  cx.expectShape(out, t.shape)
  if (!(beta > 0)) throw cx.fail('lower/attribute', 'beta must be positive', undefined, { expected: '> 0', got: beta })
  if (!q.unsigned && (q.scale !== f32(1 / 256) || q.zeroPoint !== -128)) {
    throw cx.fail('lower/quantization', 'int8 softmax output must have scale 1/256 and zero point -128', out, {
      expected: '1/256, -128',
      got: `${q.scale}, ${q.zeroPoint}`,
    })
  }
  const depth = t.shape[t.shape.length - 1] ?? 1
  const table = softmaxTable(cx, xq.scale, beta)
  const y = cx.result()
  y.alias = true
  // The usual last op: write the caller's bytes right away.
  const index = cx.op.outputs[0]!
  y.raw = q.unsigned && cx.uses[index] === 1 && cx.outputs.has(index)
  cx.push({
    record: 'SoftmaxRecord',
    op: OP_SOFTMAX,
    kernel: 'softmax',
    rows: rowwise(elements(t.shape) / depth),
    reads: [x.buffer, table],
    writes: [y.buffer],
    fields: () => ({
      input: x.address(),
      output: y.address(),
      depth,
      table: table.address,
      outScale: q.scale,
      outputZeroPoint: q.zeroPoint,
      unsigned: Number(q.unsigned),
      xor: y.raw ? 0 : 0x80,
    }),
  })
}

export function lowerArgMax(cx: Context): void {
  const { outputType } = (cx.op as OpOf<'ARG_MAX' | 'ARG_MIN'>).attrs
  let x = cx.plain(cx.value(0))
  const t = x.tensor
  const out = cx.output()
  const { type } = cx.op
  const words = t.dtype === 'float32' || t.dtype === 'int32'
  if (!words && t.dtype !== 'bool') cx.q(t)
  if (cx.op.type === 'ARG_MIN' && !words) {
    // The smallest byte is the largest of the complements.
    const complement = cx.temporary({ ...t, name: `${t.name} (complement)` })
    cx.copyRows(x, complement, 0xff, 'complement')
    complement.alias = true
    x = complement
  }
  const axis = normalAxis(cx, cx.integers(1, 'axis')[0] ?? 0, t.shape.length)
  const depth = t.shape[axis]!
  const inner = t.shape.slice(axis + 1).reduce((a, b) => a * b, 1)
  const outer = t.shape.slice(0, axis).reduce((a, b) => a * b, 1)
  if (depth < 1 || elements(out.shape) !== inner * outer || out.dtype !== outputType) {
    throw cx.fail('lower/shape', 'output size or type', out, {
      expected: `${inner * outer} ${outputType}`,
      got: `${elements(out.shape)} ${out.dtype}`,
    })
  }
  const y = cx.result()
  cx.push({
    record: words ? 'ArgMax32Record' : 'ArgMaxRecord',
    op: words ? OP_ARG_MAX32 : OP_ARG_MAX,
    kernel: 'arg-max',
    rows: rowwise(1),
    reads: [x.buffer],
    writes: [y.buffer],
    fields: () => ({
      input: x.address(),
      output: y.address(),
      outer,
      depth,
      inner,
      outBytes: outputType === 'int64' ? 8 : 4,
      ...(words && { floats: Number(t.dtype === 'float32'), least: Number(type === 'ARG_MIN') }),
    }),
  })
}
