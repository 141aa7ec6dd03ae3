/** float32 over whole rows and windows: softmax, L2 norm, sums and means, pools. Source: LiteRT's kernels on x86. */
import {
  FLOAT_POOL_AVERAGE,
  FLOAT_POOL_L2,
  FLOAT_POOL_MAXIMUM,
  FLOAT_POOL_MEAN,
  FLOAT_ROWS_L2_NORMALIZATION,
  FLOAT_ROWS_SOFTMAX,
  OP_FLOAT_POOL,
  OP_FLOAT_ROWS,
  OP_FLOAT_SUM,
} from '../generated/layout.ts'
import { elements, type Activation, type OpOf } from '../graph/graph.ts'
import { f32 } from '../arithmetic/numerics.ts'
import { windowAlong } from '../graph/window.ts'
import { type Context, Unsupported } from './context.ts'
import { rowwise, type Value } from './program.ts'
import { normalAxis } from './shape.ts'

/** Input 0 and output 0, both of float32. */
export function floats(cx: Context, position = 0): Value {
  const x = cx.value(position)
  const out = cx.output()
  if (x.tensor.dtype !== 'float32' || out.dtype !== 'float32') {
    throw new Unsupported(`${cx.op.type} from ${x.tensor.dtype} to ${out.dtype}`)
  }
  return cx.plain(x)
}

/** Limits of a fused activation as float32; infinite where there are none. */
export const floatLimits = (activation: Activation): { low: number; high: number } => ({
  low: activation === 'NONE' ? -Infinity : activation === 'RELU_N1_TO_1' ? -1 : 0,
  high: activation === 'RELU6' ? 6 : activation === 'RELU_N1_TO_1' ? 1 : Infinity,
})

function emitRows(cx: Context, kind: number): void {
  const x = floats(cx)
  const { shape } = x.tensor
  cx.expectShape(cx.output(), shape)
  const depth = shape[shape.length - 1] ?? 1
  const y = cx.result()
  cx.push({
    record: 'FloatRowsRecord',
    op: OP_FLOAT_ROWS,
    kernel: cx.op.type.toLowerCase().replaceAll('_', '-'),
    rows: rowwise(elements(shape) / depth),
    reads: [x.buffer],
    writes: [y.buffer],
    fields: () => ({ kind, input: x.address(), output: y.address(), depth }),
  })
}

/** XNNPACK's, over the last axis. */
export function lowerFloatSoftmax(cx: Context): void {
  const { beta } = (cx.op as OpOf<'SOFTMAX'>).attrs
  if (beta !== 1) throw new Unsupported(`SOFTMAX of float32 with beta ${beta} (1 is run)`)
  emitRows(cx, FLOAT_ROWS_SOFTMAX)
}

export const lowerFloatL2Normalization = (cx: Context): void => emitRows(cx, FLOAT_ROWS_L2_NORMALIZATION)

interface Group {
  size: number
  stride: number
}

/** Neighbouring dimensions that are reduced, or kept, as one: XNNPACK's order of sums depends on no more than these. */
function groups(shape: readonly number[], axes: ReadonlySet<number>, wanted: boolean): Group[] {
  const out: Group[] = []
  let stride = 4
  let open = false
  for (let i = shape.length - 1; i >= 0; i--) {
    if (axes.has(i) === wanted) {
      const first = out[0]
      if (open && first) first.size *= shape[i]!
      else out.unshift({ size: shape[i]!, stride })
      open = true
    } else open = false
    stride *= shape[i]!
  }
  return out
}

const MOST_RANK = 6

/** SUM and MEAN of float32. */
export function lowerFloatSum(cx: Context): void {
  const { keepDims } = (cx.op as OpOf<'MEAN' | 'SUM'>).attrs
  const x = floats(cx)
  const { shape } = x.tensor
  const list = cx.integers(1, 'axes').map((a) => normalAxis(cx, a, shape.length))
  if (shape.length > MOST_RANK || cx.input(1).shape.length > 1 || list.length === 0) {
    throw new Unsupported(`${cx.op.type} of float32 over ${list.length} axes of ${shape.length} dimensions`)
  }
  const axes = new Set(list)
  cx.expectShape(
    cx.output(),
    keepDims ? shape.map((d, i) => (axes.has(i) ? 1 : d)) : shape.filter((_, i) => !axes.has(i)),
  )
  const count = shape.reduce((a, d, i) => (axes.has(i) ? a * d : a), 1)
  if (count < 1) throw new Unsupported(`${cx.op.type} of nothing`)
  const four = (list: Group[]): Group[] => [...Array<Group>(4 - list.length).fill({ size: 1, stride: 0 }), ...list]
  const [k0, k1, k2, k3] = four(groups(shape, axes, false)) as [Group, Group, Group, Group]
  const [r0, r1, r2, r3] = four(groups(shape, axes, true)) as [Group, Group, Group, Group]
  const { type } = cx.op
  const y = cx.result()
  y.alias = true
  cx.push({
    record: 'FloatSumRecord',
    op: OP_FLOAT_SUM,
    kernel: type.toLowerCase(),
    rows: rowwise(1),
    reads: [x.buffer],
    writes: [y.buffer],
    fields: () => ({
      input: x.address(),
      output: y.address(),
      k0: k0.size,
      k1: k1.size,
      k2: k2.size,
      k3: k3.size,
      k0Stride: k0.stride,
      k1Stride: k1.stride,
      k2Stride: k2.stride,
      k3Stride: k3.stride,
      r0: r0.size,
      r1: r1.size,
      r2: r2.size,
      r3: r3.size,
      r0Stride: r0.stride,
      r1Stride: r1.stride,
      r2Stride: r2.stride,
      r3Stride: r3.stride,
      scale: type === 'MEAN' ? f32(1 / count) : 1,
      contiguous: axes.has(shape.length - 1) ? 1 : 0,
    }),
  })
}

/** A FLOAT_POOL constant. XNNPACK does not average windows that leave pixels out. */
function poolKind({ type, attrs: a }: OpOf<'AVERAGE_POOL_2D' | 'MAX_POOL_2D' | 'L2_POOL_2D'>): number {
  if (type === 'MAX_POOL_2D') return FLOAT_POOL_MAXIMUM
  if (type === 'L2_POOL_2D') return FLOAT_POOL_L2
  return a.strideH > a.filterH || a.strideW > a.filterW ? FLOAT_POOL_MEAN : FLOAT_POOL_AVERAGE
}

/** Pools of float32. */
export function lowerFloatPool(cx: Context): void {
  const op = cx.op as OpOf<'AVERAGE_POOL_2D' | 'MAX_POOL_2D' | 'L2_POOL_2D'>
  const { padding, strideH, strideW, filterH, filterW, activation } = op.attrs
  const x = floats(cx)
  if (x.tensor.shape.length !== 4) throw cx.fail('lower/shape', 'input must have rank 4', x.tensor)
  const [n, height, width, channels] = x.tensor.shape as [number, number, number, number]
  const v = windowAlong({ padding, size: height, kernel: filterH, stride: strideH })
  const w = windowAlong({ padding, size: width, kernel: filterW, stride: strideW })
  cx.expectShape(cx.output(), [n, v.out, w.out, channels])
  const limits = floatLimits(activation)
  const kind = poolKind(op)
  const y = cx.result()
  y.alias = true
  for (let i = 0; i < n; i++) {
    cx.push({
      record: 'FloatPoolRecord',
      op: OP_FLOAT_POOL,
      kernel: op.type.toLowerCase().replaceAll('_', '-'),
      rows: { rows: v.out, strideH, padTop: v.before, windowH: filterH, inRows: height },
      reads: [x.buffer],
      writes: [y.buffer],
      fields: () => ({
        kind,
        input: x.address() + 4 * i * height * width * channels,
        output: y.address() + 4 * i * v.out * w.out * channels,
        inW: width,
        outW: w.out,
        channels,
        filterH,
        filterW,
        strideW,
        padLeft: w.before,
        ...limits,
      }),
    })
  }
}
