/** One function per Keras layer class: its inference behaviour in the graph's ops. */
import { activate } from './activations.ts'
import { ThimbleError } from '../../base/errors.ts'
import { elements } from '../../graph/graph.ts'
import type { Values } from '../builder.ts'
import type { Pads } from '../net.ts'
import type { CallArguments, Json, JsonObject } from './config.ts'
import {
  channelsLast,
  fail,
  integer,
  malformed,
  number,
  padding,
  two,
  type Argument,
  type Context,
  type Layer,
  type Run,
} from './layer.ts'
import { additive, attention, multiHead } from './attention.ts'
import { dot, groupNorm, layerNorm, rmsNorm, unitNorm } from './normalizations.ts'
import { extreme, operands, operation, repeated, softmaxOver } from './operations.ts'
import { RECURRENT } from './recurrent.ts'
import { bidirectional, inner, timeDistributed } from './wrappers.ts'
import {
  batchNorm,
  conv1d,
  conv2d,
  dense,
  depthwise,
  separable,
  separable1d,
  transposeConv,
  transposeConv1d,
} from './weighted-layers.ts'

const relu: Run = (c, l, x) => {
  const max = l.config.max_value ?? undefined
  const slope = number(Array.isArray(l.config.negative_slope) ? l.config.negative_slope[0] : l.config.negative_slope, 0)
  if (number(Array.isArray(l.config.threshold) ? l.config.threshold[0] : l.config.threshold, 0) !== 0) {
    return fail(l, 'a threshold (a step in the middle, which 8 bits do not hold well)')
  }
  const cap = Array.isArray(max) ? max[0] : max
  if (cap === undefined || cap === null) return c.net.leakyRelu(l.name, x, slope)
  if (typeof cap !== 'number' || cap <= 0) return fail(l, `max_value ${JSON.stringify(max)}`)
  if (slope !== 0) return c.net.clip(l.name, c.net.leakyRelu(`${l.name}/leaky`, x, slope), -Infinity, cap)
  if (cap === 6) return c.net.activation(l.name, x, 'relu6')
  // min(max(x, 0), cap) = relu6(6 x / cap) * cap / 6
  return c.net.affine(
    l.name,
    c.net.activation(`${l.name}/relu6`, c.net.affine(`${l.name}/in`, x, [6 / cap], [0]), 'relu6'),
    [cap / 6],
    [0],
  )
}

const pool =
  (kind: 'AVERAGE_POOL_2D' | 'MAX_POOL_2D'): Run =>
  (c, l, x) => {
    channelsLast(l)
    const kernel = two(l, 'pool_size', 2)
    const stride = l.config.strides === null || l.config.strides === undefined ? kernel : two(l, 'strides')
    return c.net.pool(l.name, x, kind, { kernel, stride, padding: padding(l) })
  }

const pool1d =
  (kind: 'AVERAGE_POOL_2D' | 'MAX_POOL_2D'): Run =>
  (c, l, x) => {
    const [n, t, ch] = c.net.shape(x) as [number, number, number]
    const k = two(l, 'pool_size', 2)[0]
    const s = l.config.strides === null || l.config.strides === undefined ? k : two(l, 'strides')[0]
    const y = c.net.pool(`${l.name}/pool`, c.net.reshape(`${l.name}/image`, x, [n, 1, t, ch]), kind, {
      kernel: [1, k],
      stride: [1, s],
      padding: padding(l),
    })
    return c.net.reshape(l.name, y, [n, c.net.shape(y)[2]!, ch])
  }

const globalAverage: Run = (c, l, x) => {
  channelsLast(l)
  const rank = c.net.shape(x).length
  return c.net.mean(
    l.name,
    x,
    Array.from({ length: rank - 2 }, (_, i) => i + 1),
    l.config.keepdims === true,
  )
}

const globalMax: Run = (c, l, x) => {
  channelsLast(l)
  const [n, h, w, ch] = c.net.image(x, l.name)
  const y = c.net.pool(`${l.name}/pool`, x, 'MAX_POOL_2D', { kernel: [h, w], stride: [1, 1], padding: 'VALID' })
  return l.config.keepdims === true ? y : c.net.reshape(l.name, y, [n, ch])
}

const globalMaxOfAll: Run = (c, l, x) => {
  channelsLast(l)
  const axes = Array.from({ length: c.net.shape(x).length - 2 }, (_, i) => i + 1)
  return c.net.reduce(l.name, x, { type: 'REDUCE_MAX', axes, keepDims: l.config.keepdims === true })
}

function pads(l: Layer, key: string): Pads {
  const v = l.config[key]
  const list = Array.isArray(v) ? v : [v as Json, v as Json]
  const side = (e: Json | undefined): [number, number] =>
    Array.isArray(e) ? [integer(l, e[0], key), integer(l, e[1], key)] : [integer(l, e, key), integer(l, e, key)]
  return [...side(list[0]), ...side(list[1])]
}

const crop: Run = (c, l, x) => {
  channelsLast(l)
  const [n, h, w, ch] = c.net.image(x, l.name)
  const [top, bottom, left, right] = pads(l, 'cropping')
  if (top + bottom >= h || left + right >= w) return malformed(l, 'cropping')
  return c.net.slice(l.name, x, [0, top, left, 0], [n, h - top - bottom, w - left - right, ch])
}

const reshape: Run = (c, l, x, call) => {
  // .h5 files do not say that it is keras.ops.reshape.
  if (l.config.newshape !== undefined) return operation('reshape')!(c, l, x, call)
  const target = l.config.target_shape ?? l.config.targetShape
  if (!Array.isArray(target)) return malformed(l, 'target_shape')
  const shape = target.map((d) => (d === -1 || d === null ? -1 : integer(l, d, 'target_shape')))
  const rest = elements(shape.filter((d) => d !== -1))
  return c.net.reshape(l.name, x, [
    c.net.shape(x)[0]!,
    ...shape.map((d) => (d === -1 ? elements(c.net.shape(x).slice(1)) / rest : d)),
  ])
}

const permute: Run = (c, l, x) => {
  const dims = l.config.dims
  if (!Array.isArray(dims) || dims.length !== c.net.shape(x).length - 1) return malformed(l, 'dims')
  const order = [0, ...dims.map((d) => integer(l, d, 'dims'))]
  return order.every((d, i) => d === i) ? x : c.net.transpose(l.name, x, order)
}

const merge =
  (type: 'ADD' | 'SUB' | 'MUL'): ((...of: Parameters<Run>) => number) =>
  (c, l, _x, { inputs }): number => {
    const ids = operands(c, l, inputs)
    if (ids.length < 2) return malformed(l, 'number of inputs')
    return ids
      .slice(1)
      .reduce((sum, id, i) => c.net.binary(i === ids.length - 2 ? l.name : `${l.name}/${i}`, type, sum, id), ids[0]!)
  }

const average: Run = (c, l, x, call) =>
  c.net.affine(l.name, merge('ADD')(c, { ...l, name: `${l.name}/sum` }, x, call), [1 / call.inputs.length], [0])

const concatenate: Run = (c, l, _x, { inputs }) =>
  c.net.concat(
    l.name,
    inputs.map((i) => (typeof i === 'number' ? i : malformed(l, 'input'))),
    number(l.config.axis, -1),
  )

const upSampling: Run = (c, l, x) => {
  channelsLast(l)
  const [, h, w] = c.net.image(x, l.name)
  const [sy, sx] = two(l, 'size', 2)
  const method = l.config.interpolation ?? 'nearest'
  if (method !== 'nearest' && method !== 'bilinear') return fail(l, `interpolation "${String(method)}"`)
  return c.net.resize(l.name, x, method === 'nearest' ? 'RESIZE_NEAREST_NEIGHBOR' : 'RESIZE_BILINEAR', {
    h: h * sy,
    w: w * sx,
    alignCorners: false,
    halfPixelCenters: true,
  })
}

/** The middle of the image, as large as it can be with the aspect ratio of the result. */
function cropToAspect(c: Context, l: Layer, x: number, [oh, ow]: readonly [number, number]): number {
  const [n, h, w, ch] = c.net.image(x, l.name)
  const height = Math.max(1, Math.min(h, Math.trunc((w * oh) / ow)))
  const width = Math.max(1, Math.min(w, Math.trunc((h * ow) / oh)))
  const begin = [0, Math.trunc((h - height) / 2), Math.trunc((w - width) / 2), 0]
  return c.net.slice(`${l.name}/crop`, x, begin, [n, height, width, ch])
}

const resizing: Run = (c, l, x) => {
  const method = l.config.interpolation ?? 'bilinear'
  const [, h, w] = c.net.image(x, l.name)
  const [oh, ow] = [integer(l, l.config.height, 'height'), integer(l, l.config.width, 'width')]
  if (oh === h && ow === w) return x
  if (l.config.pad_to_aspect_ratio === true) return fail(l, 'pad_to_aspect_ratio')
  if (method !== 'nearest' && method !== 'bilinear') return fail(l, `interpolation "${String(method)}"`)
  const from = l.config.crop_to_aspect_ratio === true ? cropToAspect(c, l, x, [oh, ow]) : x
  return c.net.resize(l.name, from, method === 'nearest' ? 'RESIZE_NEAREST_NEIGHBOR' : 'RESIZE_BILINEAR', {
    h: oh,
    w: ow,
    alignCorners: false,
    halfPixelCenters: true,
  })
}

const list = (v: Json | undefined, fallback: number): number[] =>
  Array.isArray(v) ? v.flat(8).map((e) => Number(e)) : [number(v, fallback)]

const normalization: Run = (c, l, x) => {
  const channels = c.net.shape(x).at(-1)!
  const own = l.config.mean !== null && l.config.mean !== undefined
  const spread = (v: number[]): number[] => (v.length === 1 ? new Array<number>(channels).fill(v[0]!) : v)
  const [mean, variance] = own
    ? [spread(list(l.config.mean, 0)), spread(list(l.config.variance, 1))]
    : c.weights
        .get(l.path, [
          { name: 'moving_mean', shape: [channels] },
          { name: 'moving_variance', shape: [channels] },
        ])
        .map((v) => [...v.data])
  if (l.config.invert === true) return fail(l, 'invert')
  // Keras divides by max(sqrt(variance), 1e-7).
  return c.net.affine(
    l.name,
    x,
    variance!.map((v) => 1 / Math.max(Math.sqrt(v), 1e-7)),
    mean!.map((m, i) => -m / Math.max(Math.sqrt(variance![i]!), 1e-7)),
  )
}

/** tf.* functions called on Keras tensors (TFOpLambda). */
const lambda: Run = (c, l, x, call) => {
  const { kwargs } = call
  const f = String(l.config.function ?? l.className)
  if (/relu$/.test(f) && typeof kwargs.max_value === 'number') {
    return relu(c, { ...l, config: kwargs }, x, call)
  }
  const run = operation(f)
  if (!run) return fail(l, `function "${f}"`)
  return run(c, { ...l, config: {} }, x, call)
}

/** What a layer does to images, done to rows: time is their width. */
const along =
  (run: Run, keys: Record<string, 'pair' | 'sides'>, rename: Record<string, string> = {}): Run =>
  (c, l, x, call) => {
    const [n, t, ch] = c.net.shape(x) as [number, number, number]
    const config: JsonObject = { ...l.config }
    for (const [key, kind] of Object.entries(keys)) {
      const v = l.config[key] ?? (key === 'padding' || key === 'cropping' ? 1 : 2)
      const [a, b] = Array.isArray(v) ? v : [v, v]
      config[key] =
        kind === 'pair'
          ? [1, a!]
          : [
              [0, 0],
              [a!, b ?? a!],
            ]
    }
    for (const [from, to] of Object.entries(rename)) config[to] = config[from]!
    const image = c.net.reshape(`${l.name}/image`, x, [n, 1, t, ch])
    const y = run(c, { ...l, config }, image, call) as number
    const [, , ot, oc] = c.net.shape(y) as number[]
    return oc === undefined ? y : c.net.reshape(`${l.name}/rows`, y, [n, ot!, oc])
  }

const centerCrop: Run = (c, l, x) => {
  channelsLast(l)
  const [n, h, w, ch] = c.net.image(x, l.name)
  const [oh, ow] = [integer(l, l.config.height, 'height'), integer(l, l.config.width, 'width')]
  if (oh > h || ow > w) return fail(l, 'an image smaller than the crop')
  return c.net.slice(l.name, x, [0, Math.floor((h - oh) / 2), Math.floor((w - ow) / 2), 0], [n, oh, ow, ch])
}

/** relu(x) - slope relu(-x), with a slope for each place. */
function preluByPlace(c: Context, l: Layer, x: number, alpha: Values): number {
  const below = c.net.unary(`${l.name}/below`, 'RELU', c.net.affine(`${l.name}/negated`, x, [-1], [0]))
  const slopes = c.net.constant(`${l.name}/slopes`, { shape: [1, ...alpha.shape], data: alpha.data })
  const bent = c.net.binary(`${l.name}/bent`, 'MUL', below, slopes)
  return c.net.binary(l.name, 'SUB', c.net.unary(`${l.name}/above`, 'RELU', x), bent)
}

/** [1, values] as often as asked for, one after the other. */
const repeatVector: Run = (c, l, x) => {
  const [n, depth] = c.net.shape(x) as [number, number]
  const times = integer(l, l.config.n, 'n')
  if (c.net.shape(x).length !== 2 || times < 1) return malformed(l, 'input rank')
  return repeated(c, l.name, c.net.reshape(`${l.name}/row`, x, [n, 1, depth]), [1, times, 1])
}

const identity: Run = (_c, _l, x) => x

const RUN: Record<string, Run> = {
  Conv2D: conv2d,
  DepthwiseConv2D: depthwise,
  SeparableConv2D: separable,
  Conv2DTranspose: transposeConv,
  Conv1D: conv1d('Conv1D'),
  Conv1DTranspose: transposeConv1d,
  DepthwiseConv1D: conv1d('DepthwiseConv1D'),
  Dense: dense,
  BatchNormalization: batchNorm,
  SyncBatchNormalization: batchNorm,
  BatchNormalizationV1: batchNorm,
  BatchNormalizationV2: batchNorm,
  Activation: (c, l, x) => activate(c, l, x, l.config.activation),
  ReLU: relu,
  LeakyReLU: (c, l, x) => c.net.leakyRelu(l.name, x, number(l.config.negative_slope ?? l.config.alpha, 0.3)),
  Softmax: softmaxOver,
  PReLU: (c, l, x) => {
    const shape = c.net.shape(x)
    const [alpha] = c.weights.get(l.path, [{ name: 'alpha', shape: new Array<number>(shape.length - 1).fill(-1) }])
    const many = alpha!.data.length !== 1 && alpha!.data.length !== shape.at(-1)
    return many ? preluByPlace(c, l, x, alpha!) : c.net.prelu(l.name, x, alpha!.data)
  },
  ZeroPadding2D: (c, l, x) => {
    channelsLast(l)
    return c.net.pad(l.name, x, pads(l, 'padding'))
  },
  Cropping2D: crop,
  MaxPooling2D: pool('MAX_POOL_2D'),
  AveragePooling2D: pool('AVERAGE_POOL_2D'),
  MaxPooling1D: pool1d('MAX_POOL_2D'),
  AveragePooling1D: pool1d('AVERAGE_POOL_2D'),
  GlobalAveragePooling2D: globalAverage,
  GlobalAveragePooling1D: globalAverage,
  GlobalAveragePooling3D: globalAverage,
  GlobalMaxPooling2D: globalMax,
  Flatten: (c, l, x) => c.net.reshape(l.name, x, [c.net.shape(x)[0]!, elements(c.net.shape(x).slice(1))]),
  Reshape: reshape,
  Permute: permute,
  Add: merge('ADD'),
  Subtract: merge('SUB'),
  Multiply: merge('MUL'),
  Average: average,
  Maximum: extreme('MAXIMUM'),
  Minimum: extreme('MINIMUM'),
  Dot: dot,
  LayerNormalization: layerNorm,
  RMSNormalization: rmsNorm,
  ...RECURRENT,
  MultiHeadAttention: multiHead,
  Attention: attention,
  AdditiveAttention: additive,
  TimeDistributed: timeDistributed,
  Bidirectional: bidirectional,
  SpectralNormalization: inner,
  RepeatVector: repeatVector,
  GroupNormalization: groupNorm,
  UnitNormalization: unitNorm,
  ELU: (c, l, x) => activate(c, l, x, { class_name: 'elu', config: l.config }),
  CenterCrop: centerCrop,
  UpSampling1D: along(upSampling, { size: 'pair' }),
  ZeroPadding1D: along((c, l, x) => c.net.pad(l.name, x, pads(l, 'padding')), { padding: 'sides' }),
  Cropping1D: along(crop, { cropping: 'sides' }),
  SeparableConv1D: separable1d,
  GlobalMaxPooling1D: along(globalMax, {}),
  GlobalMaxPooling3D: globalMaxOfAll,
  Concatenate: concatenate,
  UpSampling2D: upSampling,
  Resizing: resizing,
  Normalization: normalization,
  Rescaling: (c, l, x) => c.net.affine(l.name, x, list(l.config.scale, 1), list(l.config.offset, 0)),
  TFOpLambda: lambda,
  SlicingOpLambda: lambda,
  TensorFlowOpLayer: lambda,
}
for (const name of [
  'Dropout',
  'SpatialDropout1D',
  'SpatialDropout2D',
  'GaussianDropout',
  'GaussianNoise',
  'AlphaDropout',
  'ActivityRegularization',
  'RandomFlip',
  'RandomRotation',
  'RandomZoom',
  'RandomTranslation',
  'RandomContrast',
  'RandomBrightness',
  'RandomCrop',
  'Identity',
  'InputLayer',
]) {
  RUN[name] = identity
}
RUN.GlobalAvgPool2D = RUN.GlobalAveragePooling2D!

/** What runs a layer; undefined for one that has no equivalent. */
function runOf({ className, operation: isOperation }: Pick<Layer, 'className' | 'operation'>): Run | undefined {
  const own = !isOperation && Object.hasOwn(RUN, className) ? RUN[className] : undefined
  return own ?? operation(className)
}

/** Whether a layer is read at all; what its configuration asks for may still not be. */
export const isKnown = (layer: Pick<Layer, 'className' | 'operation'>): boolean => runOf(layer) !== undefined

/** Runs one call of a layer. Errors: `lower/unsupported-op` naming the layer. */
export function runLayer(
  c: Context,
  layer: Layer,
  inputs: Argument[],
  { kwargs, args }: Pick<CallArguments, 'kwargs' | 'args'>,
): number[] {
  const run = runOf(layer)
  if (!run) throw new ThimbleError('lower/unsupported-op', `Keras layer ${layer.className}`, { tensor: layer.name })
  const x = inputs.find((i) => typeof i === 'number')
  if (typeof x !== 'number') {
    throw new ThimbleError('format/keras', 'layer is called on nothing', { tensor: layer.path.join('/') })
  }
  const made = run(c, layer, x, { inputs, kwargs, args })
  return typeof made === 'number' ? [made] : made
}
