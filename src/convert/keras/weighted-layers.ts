/** Keras layers with weights: convolutions, Dense, batch norm. */
import { activate } from './activations.ts'
import type { Values } from '../builder.ts'
import { transpose } from '../values.ts'
import {
  channelsLast,
  fail,
  integer,
  lastAxis,
  malformed,
  number,
  padding,
  two,
  type Context,
  type Layer,
  type Run,
} from './layer.ts'

/** A weight layer's result, with its activation as an op of its own (folding fuses it). */
const finish = (c: Context, l: Layer, y: number): number =>
  activate(c, { ...l, name: `${l.name}/activation` }, y, l.config.activation)

/** Kernels by name and shape, then the bias of `channels` values where the layer has one. */
const weightsOf = (c: Context, l: Layer, kernels: Record<string, readonly number[]>, channels: number): Values[] =>
  c.weights.get(
    l.path,
    Object.entries(l.config.use_bias === false ? kernels : { ...kernels, bias: [channels] }).map(([name, shape]) => ({
      name,
      shape,
    })),
  )
const hwioToOhwi = (v: Values): Values => transpose(v.data, v.shape, [3, 0, 1, 2])

export const conv2d: Run = (c, l, x) => {
  channelsLast(l)
  const [, , , channels] = c.net.image(x, l.name)
  const kernel = two(l, 'kernel_size')
  const filters = integer(l, l.config.filters, 'filters')
  const groups = number(l.config.groups, 1)
  if (groups < 1 || channels % groups !== 0 || filters % groups !== 0) return malformed(l, 'groups')
  const [w, b] = weightsOf(c, l, { kernel: [...kernel, channels / groups, filters] }, filters)
  const o = {
    filter: hwioToOhwi(w!),
    bias: b?.data,
    stride: two(l, 'strides', 1),
    dilation: two(l, 'dilation_rate', 1),
    padding: padding(l),
  }
  return finish(c, l, c.net.conv(l.name, x, o))
}

export const depthwise: Run = (c, l, x) => {
  channelsLast(l)
  const [, , , channels] = c.net.image(x, l.name)
  const kernel = two(l, 'kernel_size')
  const m = number(l.config.depth_multiplier, 1)
  const [w, b] = weightsOf(c, l, { depthwise_kernel: [...kernel, channels, m] }, channels * m)
  const filter = { shape: [1, ...kernel, channels * m], data: w!.data }
  return finish(
    c,
    l,
    c.net.depthwise(l.name, x, {
      filter,
      bias: b?.data,
      stride: two(l, 'strides', 1),
      dilation: two(l, 'dilation_rate', 1),
      padding: padding(l),
    }),
  )
}

export const separable: Run = (c, l, x) => {
  channelsLast(l)
  const [, , , channels] = c.net.image(x, l.name)
  const kernel = two(l, 'kernel_size')
  const filters = integer(l, l.config.filters, 'filters')
  const m = number(l.config.depth_multiplier, 1)
  const [dw, pw, b] = weightsOf(
    c,
    l,
    { depthwise_kernel: [...kernel, channels, m], pointwise_kernel: [1, 1, channels * m, filters] },
    filters,
  )
  const y = c.net.depthwise(`${l.name}/depthwise`, x, {
    filter: { shape: [1, ...kernel, channels * m], data: dw!.data },
    stride: two(l, 'strides', 1),
    dilation: two(l, 'dilation_rate', 1),
    padding: padding(l),
  })
  return finish(c, l, c.net.conv(l.name, y, { filter: hwioToOhwi(pw!), bias: b?.data }))
}

/** Length along one axis, as Keras counts it. */
function transposedLength(
  l: Layer,
  { size, kernel, stride, extra }: Record<'size' | 'kernel' | 'stride', number> & { extra: number | undefined },
): number {
  const same = padding(l) === 'SAME'
  if (extra === undefined) return same ? size * stride : size * stride + Math.max(kernel - stride, 0)
  return (size - 1) * stride + kernel + extra - (same ? 2 * Math.floor(kernel / 2) : 0)
}

/** `output_padding` as one number an axis; undefined where there is none. */
const extraOf = (l: Layer, axis: number): number | undefined => {
  const given = l.config.output_padding
  if (given === null || given === undefined) return undefined
  return integer(l, Array.isArray(given) ? (given[axis] ?? given[0]) : given, 'output_padding')
}

export const transposeConv: Run = (c, l, x) => {
  channelsLast(l)
  const [, h, w, channels] = c.net.image(x, l.name)
  const kernel = two(l, 'kernel_size')
  const stride = two(l, 'strides', 1)
  const filters = integer(l, l.config.filters, 'filters')
  if (two(l, 'dilation_rate', 1).some((d) => d !== 1)) return fail(l, 'dilation')
  const [v, b] = weightsOf(c, l, { kernel: [...kernel, filters, channels] }, filters)
  const size = (axis: 0 | 1): number =>
    transposedLength(l, { size: axis ? w : h, kernel: kernel[axis], stride: stride[axis], extra: extraOf(l, axis) })
  return finish(
    c,
    l,
    c.net.transposeConv(l.name, x, {
      filter: transpose(v!.data, v!.shape, [2, 0, 1, 3]),
      bias: b?.data,
      stride,
      padding: padding(l),
      size: [size(0), size(1)],
    }),
  )
}

export const transposeConv1d: Run = (c, l, x) => {
  channelsLast(l)
  const [n, t, channels] = c.net.shape(x) as [number, number, number]
  const [kernel, stride] = [two(l, 'kernel_size')[0], two(l, 'strides', 1)[0]]
  const filters = integer(l, l.config.filters, 'filters')
  if (two(l, 'dilation_rate', 1)[0] !== 1) return fail(l, 'dilation')
  const [v, b] = weightsOf(c, l, { kernel: [kernel, filters, channels] }, filters)
  const width = transposedLength(l, { size: t, kernel, stride, extra: extraOf(l, 0) })
  const y = c.net.transposeConv(`${l.name}/image`, c.net.reshape(`${l.name}/in`, x, [n, 1, t, channels]), {
    filter: transpose(v!.data, [1, ...v!.shape], [2, 0, 1, 3]),
    bias: b?.data,
    stride: [1, stride],
    padding: padding(l),
    size: [1, width],
  })
  return finish(c, l, c.net.reshape(l.name, y, [n, width, filters]))
}

/** A one-dimensional convolution is a two-dimensional one of height 1. */
export const conv1d =
  (kind: 'Conv1D' | 'DepthwiseConv1D'): Run =>
  (c, l, x) => {
    channelsLast(l)
    const [n, t, channels] = c.net.shape(x) as [number, number, number]
    if (c.net.shape(x).length !== 3) return malformed(l, 'input rank')
    const one = (key: string): number => two(l, key, 1)[1]
    const k = two(l, 'kernel_size')[0]
    const causal = l.config.padding === 'causal'
    let y = c.net.reshape(`${l.name}/image`, x, [n, 1, t, channels])
    if (causal) y = c.net.pad(`${l.name}/causal`, y, [0, 0, (k - 1) * one('dilation_rate'), 0])
    const o = {
      stride: [1, one('strides')] as const,
      dilation: [1, one('dilation_rate')] as const,
      padding: causal ? ('VALID' as const) : padding(l),
    }
    if (kind === 'Conv1D') {
      const filters = integer(l, l.config.filters, 'filters')
      const groups = number(l.config.groups, 1)
      if (groups < 1 || channels % groups !== 0 || filters % groups !== 0) return malformed(l, 'groups')
      const [w, b] = weightsOf(c, l, { kernel: [k, channels / groups, filters] }, filters)
      y = c.net.conv(`${l.name}/conv`, y, {
        ...o,
        filter: hwioToOhwi({ shape: [1, ...w!.shape], data: w!.data }),
        bias: b?.data,
      })
    } else {
      const m = number(l.config.depth_multiplier, 1)
      const [w, b] = weightsOf(c, l, { depthwise_kernel: [k, channels, m] }, channels * m)
      y = c.net.depthwise(`${l.name}/depthwise`, y, {
        ...o,
        filter: { shape: [1, 1, k, channels * m], data: w!.data },
        bias: b?.data,
      })
    }
    const [, , ot, oc] = c.net.shape(y) as [number, number, number, number]
    return finish(c, l, c.net.reshape(l.name, y, [n, ot, oc]))
  }

export const separable1d: Run = (c, l, x) => {
  channelsLast(l)
  const [n, t, channels] = c.net.shape(x) as [number, number, number]
  const k = two(l, 'kernel_size')[0]
  const filters = integer(l, l.config.filters, 'filters')
  const m = number(l.config.depth_multiplier, 1)
  const [dw, pw, b] = weightsOf(
    c,
    l,
    { depthwise_kernel: [k, channels, m], pointwise_kernel: [1, channels * m, filters] },
    filters,
  )
  const one = (key: string): number => two(l, key, 1)[1]
  const causal = l.config.padding === 'causal'
  let y = c.net.reshape(`${l.name}/image`, x, [n, 1, t, channels])
  if (causal) y = c.net.pad(`${l.name}/causal`, y, [0, 0, (k - 1) * one('dilation_rate'), 0])
  y = c.net.depthwise(`${l.name}/depthwise`, y, {
    filter: { shape: [1, 1, k, channels * m], data: dw!.data },
    stride: [1, one('strides')],
    dilation: [1, one('dilation_rate')],
    padding: causal ? 'VALID' : padding(l),
  })
  y = c.net.conv(`${l.name}/pointwise`, y, {
    filter: hwioToOhwi({ shape: [1, ...pw!.shape], data: pw!.data }),
    bias: b?.data,
  })
  const [, , ot, oc] = c.net.shape(y) as [number, number, number, number]
  return finish(c, l, c.net.reshape(l.name, y, [n, ot, oc]))
}

export const dense: Run = (c, l, x) => {
  const shape = c.net.shape(x)
  const depth = shape[shape.length - 1]!
  const units = integer(l, l.config.units, 'units')
  const [w, b] = weightsOf(c, l, { kernel: [depth, units] }, units)
  const filter = transpose(w!.data, w!.shape, [1, 0])
  const flat = c.net.fullyConnected(l.name, x, { filter, bias: b?.data })
  const y = shape.length === 2 ? flat : c.net.reshape(`${l.name}/rows`, flat, [...shape.slice(0, -1), units])
  return finish(c, l, y)
}

export const batchNorm: Run = (c, l, x) => {
  const rank = c.net.shape(x).length
  const axis = Array.isArray(l.config.axis) ? l.config.axis[0] : (l.config.axis ?? -1)
  if (typeof axis !== 'number') return malformed(l, 'axis')
  const at = (axis + rank) % rank
  const channels = c.net.shape(x)[at]!
  const want = [
    ...(l.config.scale !== false ? ['gamma'] : []),
    ...(l.config.center !== false ? ['beta'] : []),
    'moving_mean',
    'moving_variance',
  ]
  const got = c.weights.get(
    l.path,
    want.map((name) => ({ name, shape: [channels] })),
  )
  const of = (name: string): Float32Array | undefined => got[want.indexOf(name)]?.data
  const apply = (as: string, y: number): number =>
    c.net.batchNorm(as, y, {
      gamma: of('gamma'),
      beta: of('beta'),
      mean: of('moving_mean')!,
      variance: of('moving_variance')!,
      epsilon: number(l.config.epsilon, 1e-3),
    })
  return lastAxis(c, l.name, { x, axis: at }, apply)
}
