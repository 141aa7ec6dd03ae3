/**
 * float32 convolutions and matrix products as XNNPACK computes them on x86 with FMA. They run one product after the
 * other: for the small ends of 8-bit models.
 */
import {
  FLOAT_CONV_COLUMNS,
  FLOAT_CONV_ROWS,
  FLOAT_CONV_TRANSPOSED,
  OP_FLOAT_CONV,
  OP_FLOAT_MATMUL,
} from '../generated/layout.ts'
import { elements, type Activation, type OpOf, type Tensor } from '../graph/graph.ts'
import { type Context, Unsupported } from './context.ts'
import { floatLimits, floats } from './float-rows.ts'
import { batchesOf, type Batch } from './matmul.ts'
import { present, rowwise, type Buffer, type Value } from './program.ts'
import { geometryFields, imageOf, rowsOf, transposedWindow, windowOf, type Geometry } from './window.ts'

/** A constant float32 operand; LiteRT takes another path for computed ones. */
function constant(cx: Context, position: number, role: string): Tensor {
  const t = cx.input(position, role)
  if (!t.data || t.dtype !== 'float32') {
    throw new Unsupported(
      `a ${role} of ${t.dtype}${t.data ? '' : ' that is computed'} beside float32 activations: quantize the model fully`,
    )
  }
  return t
}

function biasOf(cx: Context, position: number, count: number): Buffer {
  const t = constant(cx, position, 'bias')
  if (elements(t.shape) !== count) throw cx.fail('lower/shape', 'bias', t, { expected: count, got: elements(t.shape) })
  return cx.buffers.constant(t.name, t.data!)
}

interface FloatConvolution {
  order: number
  x: Value
  geometry: Geometry
  weights: Buffer
  bias: Buffer | undefined
  activation: Activation
}

function emitWindow(cx: Context, { order, x, geometry: g, weights, bias, activation }: FloatConvolution): void {
  const limits = floatLimits(activation)
  const y = cx.result()
  y.alias = true
  const pixels = order === FLOAT_CONV_TRANSPOSED ? g.x.h * g.x.w : g.y.h * g.y.w
  for (let i = 0; i < g.x.n; i++) {
    cx.push({
      record: 'FloatConvRecord',
      op: OP_FLOAT_CONV,
      kernel: 'float-conv',
      rows: rowsOf(g.win, g.x.h),
      reads: present(x.buffer, weights, bias),
      writes: [y.buffer],
      macs: pixels * g.win.kh * g.win.kw * g.groupIn * g.y.c,
      fields: () => ({
        order,
        input: x.address() + 4 * i * g.x.h * g.x.w * g.x.c,
        output: y.address() + 4 * i * g.y.h * g.y.w * g.y.c,
        weights: weights.address,
        bias: bias?.address ?? 0,
        ...geometryFields(g),
        ...limits,
      }),
    })
  }
}

/** Taps that XNNPACK's depthwise kernels take, column by column; larger windows go row by row. */
const MOST_DEPTHWISE_TAPS = 25

/** CONV_2D, DEPTHWISE_CONV_2D. */
export function lowerFloatConv(cx: Context): void {
  const op = cx.op as OpOf<'CONV_2D' | 'DEPTHWISE_CONV_2D'>
  const depthwise = op.type === 'DEPTHWISE_CONV_2D'
  const x = floats(cx)
  const w = constant(cx, 1, 'filter')
  const out = cx.output()
  if (x.tensor.shape.length !== 4 || w.shape.length !== 4) {
    throw cx.fail('lower/shape', 'tensors must have rank 4', x.tensor)
  }
  const image = imageOf(cx, x.tensor)
  const channels = image.c
  const [kh, kw] = [w.shape[1]!, w.shape[2]!]
  const units = depthwise ? w.shape[3]! : w.shape[0]!
  const groupIn = depthwise ? 1 : w.shape[3]!
  const multiplier = depthwise ? units / channels : 0
  if (depthwise ? !Number.isInteger(multiplier) || w.shape[0] !== 1 : channels % groupIn !== 0) {
    throw cx.fail('lower/shape', 'channels do not match', w, { expected: channels, got: `[${w.shape}]` })
  }
  const groupOut = depthwise ? multiplier : units / (channels / groupIn)
  if (!Number.isInteger(groupOut)) {
    throw cx.fail('lower/shape', 'channels do not match', w, { expected: channels, got: `[${w.shape}]` })
  }
  const win = windowOf(cx, op.attrs, image, { kh, kw })
  cx.expectShape(out, [image.n, win.y.out, win.x.out, units])
  if (!cx.hasInput(2)) throw new Unsupported(`${op.type} of float32 without a bias`)
  const taps = kh * kw
  const single = groupIn === 1 && groupOut === 1 && taps <= MOST_DEPTHWISE_TAPS
  const order = single ? FLOAT_CONV_COLUMNS : FLOAT_CONV_ROWS
  const y = { n: image.n, h: win.y.out, w: win.x.out, c: units }
  emitWindow(cx, {
    order,
    x,
    geometry: { x: image, y, win, groupIn, groupOut },
    weights: cx.buffers.constant(w.name, depthwise ? byChannel(w.data!, taps, units) : w.data!),
    bias: biasOf(cx, 2, units),
    activation: op.attrs.activation,
  })
}

/** [taps][channels] floats as [channels][taps]. */
function byChannel(data: Uint8Array, taps: number, channels: number): Uint8Array {
  const out = new Uint8Array(data.length)
  for (let t = 0; t < taps; t++) {
    for (let c = 0; c < channels; c++) {
      out.set(data.subarray(4 * (t * channels + c), 4 * (t * channels + c) + 4), 4 * (c * taps + t))
    }
  }
  return out
}

/** TRANSPOSE_CONV with an output size that the file holds. */
export function lowerFloatTransposeConv(cx: Context): void {
  const op = cx.op as OpOf<'TRANSPOSE_CONV'>
  const { padding, strideH, strideW, activation } = op.attrs
  const x = floats(cx, 2)
  const w = constant(cx, 1, 'filter')
  const out = cx.output()
  if (w.shape.length !== 4 || out.shape.length !== 4 || x.tensor.shape.length !== 4) {
    throw cx.fail('lower/shape', 'tensors must have rank 4', w)
  }
  const image = imageOf(cx, x.tensor)
  const y = imageOf(cx, out)
  const { n: o, h: kh, w: kw, c: ci } = imageOf(cx, w)
  const win = transposedWindow(cx, image, y, { kh, kw })
  if (ci !== image.c || y.c !== o || y.n !== image.n) {
    throw cx.fail('lower/shape', 'channels do not match', w, {
      expected: `[${image.c} -> ${y.c}]`,
      got: `[${ci} -> ${o}]`,
    })
  }
  const small = padding === 'SAME' ? kh < strideH || kw < strideW : kh > y.h || kw > y.w
  if (cx.isComputed(op.inputs[0]) || small) {
    throw new Unsupported('TRANSPOSE_CONV of float32 with a computed output size, or a filter smaller than its stride')
  }
  emitWindow(cx, {
    order: FLOAT_CONV_TRANSPOSED,
    x,
    geometry: { x: image, y, win, groupIn: ci, groupOut: o },
    weights: cx.buffers.constant(w.name, w.data!),
    bias: cx.hasInput(3) ? biasOf(cx, 3, o) : undefined,
    activation,
  })
}

interface Product {
  a: Value
  b: Value
  bias: Buffer | undefined
  rows: number
  inner: number
  columns: number
  batches: readonly Batch[]
  /** Elements from one to the next. */
  aRow: number
  aInner: number
  bInner: number
  bColumn: number
  activation: Activation
}

function emitProduct(cx: Context, p: Product): void {
  if (p.batches.length > 3) throw new Unsupported('matrix products over more than three separate dimensions')
  const [d0, d1, d2] = [...Array<Batch>(3 - p.batches.length).fill({ size: 1, a: 0, b: 0 }), ...p.batches] as [
    Batch,
    Batch,
    Batch,
  ]
  const y = cx.result()
  y.alias = true
  const limits = floatLimits(p.activation)
  cx.push({
    record: 'FloatMatmulRecord',
    op: OP_FLOAT_MATMUL,
    kernel: 'float-matmul',
    rows: rowwise(1),
    reads: present(p.a.buffer, p.b.buffer, p.bias),
    writes: [y.buffer],
    macs: d0.size * d1.size * d2.size * p.rows * p.inner * p.columns,
    fields: () => ({
      a: p.a.address(),
      b: p.b.address(),
      bias: p.bias?.address ?? 0,
      output: y.address(),
      d0: d0.size,
      d1: d1.size,
      d2: d2.size,
      a0: 4 * d0.a,
      a1: 4 * d1.a,
      a2: 4 * d2.a,
      b0: 4 * d0.b,
      b1: 4 * d1.b,
      b2: 4 * d2.b,
      m: p.rows,
      inner: p.inner,
      columns: p.columns,
      aRow: 4 * p.aRow,
      aInner: 4 * p.aInner,
      bInner: 4 * p.bInner,
      bColumn: 4 * p.bColumn,
      ...limits,
    }),
  })
}

/** FULLY_CONNECTED; the filter may be computed. */
export function lowerFloatFullyConnected(cx: Context): void {
  const { activation } = (cx.op as OpOf<'FULLY_CONNECTED'>).attrs
  const a = floats(cx)
  const b = floats(cx, 1)
  const [columns, inner] = b.tensor.shape as [number, number]
  const total = elements(a.tensor.shape)
  if (b.tensor.shape.length !== 2 || total % inner !== 0 || elements(cx.output().shape) !== (total / inner) * columns) {
    throw cx.fail('lower/shape', 'filter does not fit', b.tensor, {
      expected: `[units, depth] of ${total}`,
      got: `[${b.tensor.shape}]`,
    })
  }
  emitProduct(cx, {
    a,
    b,
    bias: cx.hasInput(2) ? biasOf(cx, 2, columns) : undefined,
    rows: total / inner,
    inner,
    columns,
    batches: [],
    aRow: inner,
    aInner: 1,
    bInner: 1,
    bColumn: inner,
    activation,
  })
}

/** BATCH_MATMUL. */
export function lowerFloatBatchMatmul(cx: Context): void {
  const { adjX, adjY } = (cx.op as OpOf<'BATCH_MATMUL'>).attrs
  const a = floats(cx)
  const b = floats(cx, 1)
  const out = cx.output()
  const { shape: sa } = a.tensor
  const { shape: sb } = b.tensor
  const [rows, inner] = (adjX ? [sa.at(-1), sa.at(-2)] : [sa.at(-2), sa.at(-1)]) as [number, number]
  const [columns, other] = (adjY ? [sb.at(-2), sb.at(-1)] : [sb.at(-1), sb.at(-2)]) as [number, number]
  if (sa.length < 2 || sb.length < 2 || inner !== other || out.shape.at(-2) !== rows || out.shape.at(-1) !== columns) {
    throw cx.fail('lower/shape', 'matrices do not fit', out, { expected: `[${sa}] by [${sb}]`, got: `[${out.shape}]` })
  }
  emitProduct(cx, {
    a,
    b,
    bias: undefined,
    rows,
    inner,
    columns,
    batches: batchesOf(cx, sa, sb),
    aRow: adjX ? 1 : inner,
    aInner: adjX ? rows : 1,
    bInner: adjY ? 1 : columns,
    bColumn: adjY ? inner : 1,
    activation: 'NONE',
  })
}
