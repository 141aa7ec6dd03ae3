/** Convolutions, pooling and fully connected layers of ONNX. */
import { elements, type OpOf } from '../../graph/graph.ts'
import { Net, type Pads, type Window } from '../net.ts'
import { transpose } from '../values.ts'
import { attribute, constantInput, fail, malformed, type Handler, type Reader } from './reader.ts'
import type { OnnxNode } from './model.ts'
import { NCHW, type Constant, type Grid, type Value } from './values.ts'

const image = (id: number): Value => ({ kind: 'tensor', id, permutation: NCHW })
const two = (n: OnnxNode, key: string, fallback: readonly number[]): [number, number] => {
  const v = n.attributes.get(key)?.ints ?? []
  const list = v.length ? v : fallback
  if (list.length !== 2) return fail(n, `${list.length}-dimensional ${key}`)
  if (!list.every((d) => Number.isInteger(d) && d >= 1 && d <= 1 << 16)) return malformed(n, key)
  return [list[0]!, list[1]!]
}

/** Explicit padding [top, bottom, left, right] whatever way the node states it. */
function padsOf(n: OnnxNode, h: number, w: number, k: Omit<Window, 'padding'>): Pads {
  const auto = attribute.text(n, 'auto_pad', 'NOTSET')
  if (auto === 'VALID') return [0, 0, 0, 0]
  if (auto === 'SAME_UPPER' || auto === 'SAME_LOWER') {
    const total = [h, w].map((size, i) =>
      Math.max(
        (Math.ceil(size / k.stride[i]!) - 1) * k.stride[i]! + (k.kernel[i]! - 1) * (k.dilation?.[i] ?? 1) + 1 - size,
        0,
      ),
    )
    const first = total.map((t) => (auto === 'SAME_UPPER' ? Math.floor(t / 2) : Math.ceil(t / 2)))
    return [first[0]!, total[0]! - first[0]!, first[1]!, total[1]! - first[1]!]
  }
  const p = n.attributes.get('pads')?.ints ?? []
  if (p.length === 0) return [0, 0, 0, 0]
  if (p.length !== 4 || !p.every((v) => Number.isInteger(v) && v >= 0 && v < 1 << 16)) {
    return p.some((v) => v < 0) ? fail(n, 'negative pads') : malformed(n, 'pads')
  }
  return [p[0]!, p[2]!, p[1]!, p[3]!]
}

/** Moves a constant's axes, and its grid with it. */
function movedGrid(grid: Grid | undefined, order: readonly number[]): Grid | undefined {
  return grid && { ...grid, axis: grid.scales.length > 1 ? order.indexOf(grid.axis) : 0 }
}

/** Names the filter and bias that the builder has just made, and remembers their grids. */
function noteGrids(r: Reader, id: number, filter: Grid | undefined, bias: Constant | undefined): void {
  const op = r.net.ops.find((o) => o.outputs.includes(id))!
  if (filter) r.net.grids.set(r.net.tensors[op.inputs[1]!]!.name, filter)
  if (bias?.grid) r.net.grids.set(r.net.tensors[op.inputs[2]!]!.name, bias.grid)
}

export const conv: Handler = (r, n) => {
  const x = r.net.nhwc(n.name, r.input(n, 0))
  const w = constantInput(r, n, 1)
  const b = n.inputs[2] ? constantInput(r, n, 2) : undefined
  if (w.value.shape.length !== 4) return fail(n, `a filter of rank ${w.value.shape.length}`)
  const [o, perGroup, kh, kw] = w.value.shape as [number, number, number, number]
  const [, h, width, channels] = r.net.image(x, n.name)
  const groups = attribute.int(n, 'group', 1)
  if (groups < 1 || perGroup * groups !== channels || o % groups !== 0 || (b && b.value.data.length !== o)) {
    return malformed(n, 'filter')
  }
  const k = { kernel: [kh, kw] as const, stride: two(n, 'strides', [1, 1]), dilation: two(n, 'dilations', [1, 1]) }
  const pads = padsOf(n, h, width, k)
  const padding = Net.asPadding(h, width, k, pads)
  const padded = padding ? x : r.net.pad(`${n.name}/pad`, x, pads)
  const options = {
    bias: b && Float32Array.from(b.value.data),
    stride: k.stride,
    dilation: k.dilation,
    padding: padding ?? ('VALID' as const),
  }
  const data = Float32Array.from(w.value.data)
  const depthwise = perGroup === 1 && groups > 1
  const order = depthwise ? [1, 2, 3, 0] : [0, 2, 3, 1]
  const filter = transpose(data, w.value.shape, order)
  const id = depthwise
    ? r.net.depthwise(n.name, padded, { ...options, filter })
    : r.net.conv(n.name, padded, { ...options, filter })
  noteGrids(r, id, movedGrid(w.grid, order), b)
  return [image(id)]
}

export const convTranspose: Handler = (r, n) => {
  const x = r.net.nhwc(n.name, r.input(n, 0))
  const w = constantInput(r, n, 1)
  const b = n.inputs[2] ? constantInput(r, n, 2) : undefined
  if (w.value.shape.length !== 4 || attribute.int(n, 'group', 1) !== 1) return fail(n, 'groups or another rank than 4')
  if (two(n, 'dilations', [1, 1]).some((d) => d !== 1)) return fail(n, 'dilation')
  const stride = two(n, 'strides', [1, 1])
  const [kh, kw] = w.value.shape.slice(2) as [number, number]
  const [, h, width] = r.net.image(x, n.name)
  const pads = n.attributes.get('pads')?.ints ?? [0, 0, 0, 0]
  const extra = n.attributes.get('output_padding')?.ints ?? [0, 0]
  const filter = transpose(Float32Array.from(w.value.data), w.value.shape, [1, 2, 3, 0])
  const bias = b && Float32Array.from(b.value.data)
  // Transposed convolution without padding, cropped to what ONNX asks for.
  const full = r.net.transposeConv(n.name, x, { filter, bias, stride, padding: 'VALID' })
  const size = [h, width].map(
    (d, i) => (d - 1) * stride[i]! + [kh, kw][i]! - (pads[i] ?? 0) - (pads[i + 2] ?? 0) + (extra[i] ?? 0),
  )
  const [fn, fh, fw, fc] = r.net.image(full, n.name)
  if (size.some((s) => s < 1) || size[0]! + pads[0]! > fh || size[1]! + pads[1]! > fw) {
    return fail(n, 'output_padding beyond the result')
  }
  noteGridsTransposed(r, full, movedGrid(w.grid, [1, 2, 3, 0]), b)
  return [
    image(
      size[0] === fh && size[1] === fw
        ? full
        : r.net.slice(`${n.name}/crop`, full, [0, pads[0]!, pads[1]!, 0], [fn, size[0]!, size[1]!, fc]),
    ),
  ]
}

function noteGridsTransposed(r: Reader, id: number, filter: Grid | undefined, bias: Constant | undefined): void {
  const op = r.net.ops.find((o) => o.outputs.includes(id))!
  if (filter) r.net.grids.set(r.net.tensors[op.inputs[1]!]!.name, filter)
  if (bias?.grid) r.net.grids.set(r.net.tensors[op.inputs[3]!]!.name, bias.grid)
}

/** Rounding up the output length is padding at the end. */
function ceilPads(n: OnnxNode, [h, w]: readonly [number, number], k: Omit<Window, 'padding'>, pads: Pads): Pads {
  if (attribute.int(n, 'ceil_mode', 0) !== 1) return pads
  const grow = (size: number, i: 0 | 1, before: number, after: number): number => {
    const span = size + before + after - k.kernel[i]
    let out = Math.ceil(span / k.stride[i]) + 1
    // A window must start inside the input or the leading padding.
    if ((out - 1) * k.stride[i] >= size + before) out--
    return Math.max(0, (out - 1) * k.stride[i] - span)
  }
  return [pads[0], pads[1] + grow(h, 0, pads[0], pads[1]), pads[2], pads[3] + grow(w, 1, pads[2], pads[3])]
}

export const maxPool: Handler = (r, n) => {
  const x = r.net.nhwc(n.name, r.input(n, 0))
  const [, h, w] = r.net.image(x, n.name)
  const k = { kernel: two(n, 'kernel_shape', []), stride: two(n, 'strides', [1, 1]) }
  if (two(n, 'dilations', [1, 1]).some((d) => d !== 1)) return fail(n, 'dilation')
  return [image(r.net.maxPool(n.name, x, k, ceilPads(n, [h, w], k, padsOf(n, h, w, k))))]
}

export const averagePool: Handler = (r, n) => {
  const x = r.net.nhwc(n.name, r.input(n, 0))
  const [, h, w] = r.net.image(x, n.name)
  const k = { kernel: two(n, 'kernel_shape', []), stride: two(n, 'strides', [1, 1]) }
  const pads = padsOf(n, h, w, k)
  const ceiled = ceilPads(n, [h, w], k, pads)
  const countsPadding = attribute.int(n, 'count_include_pad', 0) === 1
  const none = ceiled.every((p) => p === 0)
  // TFLite leaves padding out of the mean: right for SAME unless the padding is to count.
  const padding = none ? 'VALID' : countsPadding ? undefined : Net.asPadding(h, w, k, ceiled)
  if (padding) return [image(r.net.pool(n.name, x, 'AVERAGE_POOL_2D', { ...k, padding }))]
  if (countsPadding && pads.every((p, i) => p === ceiled[i])) {
    return [
      image(r.net.pool(n.name, r.net.pad(`${n.name}/pad`, x, pads), 'AVERAGE_POOL_2D', { ...k, padding: 'VALID' })),
    ]
  }
  if (countsPadding) return fail(n, 'ceil_mode where padding counts')
  // Zeros around the image, and each place's mean over the whole window brought to one over what lies inside.
  const pooled = r.net.pool(`${n.name}/pool`, r.net.pad(`${n.name}/pad`, x, ceiled), 'AVERAGE_POOL_2D', {
    ...k,
    padding: 'VALID',
  })
  const [, outH, outW] = r.net.image(pooled, n.name)
  /** Pixels of a row or column of `size` inside window `i` along axis `d`. */
  const inside = (i: number, size: number, d: 0 | 1): number => {
    const first = i * k.stride[d] - ceiled[2 * d]!
    return Math.min(size, first + k.kernel[d]) - Math.max(0, first)
  }
  const factors = Float32Array.from({ length: outH * outW }, (_, i) => {
    const [oy, ox] = [Math.floor(i / outW), i % outW]
    const count = inside(oy, h, 0) * inside(ox, w, 1)
    return (k.kernel[0] * k.kernel[1]) / count
  })
  const scale = r.net.constant(`${n.name}/inside`, { shape: [1, outH, outW, 1], data: factors })
  return [image(r.net.binary(n.name, 'MUL', pooled, scale))]
}

export const globalPool =
  (kind: 'average' | 'max'): Handler =>
  (r, n) => {
    const x = r.net.nhwc(n.name, r.input(n, 0))
    const [, h, w] = r.net.image(x, n.name)
    if (kind === 'max') {
      return [image(r.net.pool(n.name, x, 'MAX_POOL_2D', { kernel: [h, w], stride: [1, 1], padding: 'VALID' }))]
    }
    return [image(r.net.mean(n.name, x, [1, 2], true))]
  }

/** y = alpha * x B + beta * C, with constant B. */
export const gemm: Handler = (r, n) => {
  const w = constantInput(r, n, 1)
  if (attribute.int(n, 'transA', 0) !== 0) return fail(n, 'transA')
  if (w.value.shape.length !== 2) return malformed(n, 'weights')
  const rows = attribute.int(n, 'transB', 0) === 1
  const b = n.inputs[2] ? r.input(n, 2) : undefined
  const y = fullyConnected(r, n, r.input(n, 0), {
    w,
    rows,
    b: b?.kind === 'constant' ? b : undefined,
    alpha: attribute.float(n, 'alpha', 1),
    beta: attribute.float(n, 'beta', 1),
  })
  if (!b || b.kind === 'constant') return [y]
  return fail(n, 'a bias that is not constant')
}

/** A product of two stacks of matrices in ONNX's own order of axes. */
function product(r: Reader, n: OnnxNode): Value {
  const [a, b] = [0, 1].map((i) => r.net.plain(`${n.name}/${i}`, r.input(n, i))) as [number, number]
  const [sa, sb] = [r.net.shape(a), r.net.shape(b)]
  if (sa.length < 2 || sb.length < 2) return fail(n, 'a vector as operand')
  if (sa.at(-1) !== sb.at(-2)) return malformed(n, `shape [${sa}] with [${sb}]`)
  const rank = Math.max(sa.length, sb.length)
  const stack = (s: readonly number[], i: number): number => s[i - rank + s.length] ?? 1
  const shape = Array.from({ length: rank - 2 }, (_, i) => Math.max(stack(sa, i), stack(sb, i)))
  shape.push(sa.at(-2)!, sb.at(-1)!)
  const attrs = { adjX: false, adjY: false }
  const id = r.net.op<OpOf<'BATCH_MATMUL'>>({ type: 'BATCH_MATMUL', inputs: [a, b], attrs }, n.name, shape)
  return { kind: 'tensor', id, permutation: shape.map((_, i) => i) }
}

export const matMul: Handler = (r, n) => {
  const w = r.input(n, 1)
  if (w.kind !== 'constant' || w.value.shape.length !== 2) return [product(r, n)]
  return [fullyConnected(r, n, r.input(n, 0), { w, rows: false, b: undefined, alpha: 1, beta: 1 })]
}

/** alpha * x w + beta * b; `w` is [O, K] where `rows`, else [K, O]. */
interface Affine {
  w: Constant
  rows: boolean
  b: Constant | undefined
  alpha: number
  beta: number
}

/** Weights to filter [O, K], its columns in the order in which the input is stored. */
function filterOf(
  r: Reader,
  n: OnnxNode,
  x: Value,
  { w, rows }: Affine,
): { filter: { shape: number[]; data: Float32Array }; grid: Grid | undefined; input: number; order?: number[] } {
  const data = Float32Array.from(w.value.data)
  const plain = rows ? { shape: [...w.value.shape], data } : transpose(data, w.value.shape, [1, 0])
  const grid = movedGrid(w.grid, rows ? [0, 1] : [1, 0])
  if (x.kind !== 'flat') return { filter: plain, grid, input: r.net.plain(n.name, x) }
  // Stored [N, H, W, C] flattens in another order than [N, C, H, W]: permute the columns instead.
  const { id, permutation } = x.of
  const inner = r.net.onnxShape(x.of).slice(1)
  const stored = r.net.shape(id)
  const input = r.net.reshape(`${n.name}/flat`, id, [stored[0]!, elements(stored.slice(1))])
  const [o] = plain.shape as [number]
  if (elements(inner) !== plain.shape[1]) return malformed(n, 'weights')
  const order = stored.slice(1).map((_, d) => permutation.indexOf(d + 1))
  const filter = transpose(plain.data, [o, ...inner], [0, ...order])
  return {
    filter: { shape: [o, elements(inner)], data: filter.data },
    grid: grid && grid.axis === 0 ? grid : undefined,
    input,
  }
}

function fullyConnected(r: Reader, n: OnnxNode, x: Value, layer: Affine): Value {
  const { w, rows, b, alpha, beta } = layer
  const shape = r.net.onnxShape(x)
  const depth = shape[shape.length - 1]!
  if (w.value.shape[rows ? 1 : 0] !== depth) return malformed(n, 'weights')
  const lazy = x.kind === 'flat' && x.of.permutation[0] === 0 ? x : r.net.settled(n.name, x)
  const { filter, grid, input } = filterOf(r, n, lazy, layer)
  const o = filter.shape[0]!
  if (b && b.value.data.length !== 1 && b.value.data.length !== o) {
    return fail(n, `a bias of shape [${b.value.shape.join(', ')}]`)
  }
  const bias = b && Float32Array.from({ length: o }, (_, i) => beta * b.value.data[b.value.data.length === 1 ? 0 : i]!)
  if (alpha !== 1) filter.data = filter.data.map((v) => v * alpha)
  const flat = r.net.fullyConnected(n.name, input, { filter, bias })
  noteGrids(r, flat, alpha === 1 ? grid : undefined, beta === 1 ? b : undefined)
  const id = shape.length === 2 ? flat : r.net.reshape(`${n.name}/rows`, flat, [...shape.slice(0, -1), o])
  return { kind: 'tensor', id, permutation: shape.map((_, i) => i) }
}
