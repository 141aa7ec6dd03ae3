/**
 * The networks of face-api (npm `@vladmandic/face-api`), whose files hold weights but no topology: the network is known
 * by its weights' names and built here. Source: face-api 1.7, src/tinyYolov2, ssdMobilenetv1, faceFeatureExtractor,
 * xception.
 */
import { ThimbleError } from '../base/errors.ts'
import type { Graph, Padding, Preprocess } from '../graph/graph.ts'
import { foldGraph } from './fold.ts'
import { Net } from './net.ts'
import type { TfjsWeight } from './tfjs/weights.ts'
import { transpose } from './values.ts'

export type FaceNetwork =
  'tiny-detector' | 'ssd-detector' | 'landmarks' | 'landmarks-tiny' | 'age-gender' | 'expression'

/** Values of BatchNorm's epsilon and the leaky slope as face-api writes them. */
const EPSILON = 0.0010000000474974513
const SLOPE = 0.10000000149011612

const EXPRESSIONS = ['neutral', 'happy', 'sad', 'angry', 'fearful', 'disgusted', 'surprised']
/** The 416 is face-api's default; any multiple of 32 works. */
const TINY_SIZE = 416
const SSD_SIZE = 512
const CROP_SIZE = 112

/** Which network a list of weights belongs to; undefined for none of them. */
export function faceNetworkOf(weights: readonly TfjsWeight[]): FaceNetwork | undefined {
  const shapes = new Map(weights.map((w) => [w.name, w.shape]))
  if (
    shapes.has('MobilenetV1/Conv2d_0_pointwise/weights') &&
    shapes.has('Prediction/BoxPredictor_5/ClassPredictor/weights')
  ) {
    return 'ssd-detector'
  }
  if (
    shapes.get('conv8/filters')?.at(-1) === 25 &&
    shapes.has('conv5/depthwise_filter') &&
    !shapes.has('conv6/depthwise_filter')
  ) {
    return 'tiny-detector'
  }
  if (shapes.has('entry_flow/conv_in/filters') && shapes.has('fc/age/weights')) return 'age-gender'
  if (!shapes.has('dense0/conv0/filters')) return undefined
  const answers = shapes.get('fc/weights')?.[1]
  if (answers === 136) return shapes.has('dense3/conv3/bias') ? 'landmarks' : 'landmarks-tiny'
  return answers === EXPRESSIONS.length && shapes.has('dense3/conv3/bias') ? 'expression' : undefined
}

/** Names of a convolution's weights. */
interface Weights {
  filters: string
  bias: string
}

/** As most networks name them. */
const inFolder = (name: string): Weights => ({ filters: `${name}/filters`, bias: `${name}/bias` })

/** Layers of a face-api network over a table of its weights. */
class Layers {
  readonly net = new Net()
  private readonly weights: ReadonlyMap<string, TfjsWeight>

  constructor(weights: readonly TfjsWeight[]) {
    this.weights = new Map(weights.map((w) => [w.name, w]))
  }

  get(name: string): TfjsWeight {
    const w = this.weights.get(name)
    if (!w) throw new ThimbleError('format/tfjs', 'a weight of the network is missing', { tensor: name })
    return w
  }

  vector(name: string): Float32Array {
    return this.get(name).data
  }

  /** HWIO filter as OHWI; of its output channels only those that `keep` names. */
  filter(name: string, keep?: (channel: number) => boolean): { shape: number[]; data: Float32Array } {
    const w = this.get(name)
    const all = transpose(w.data, w.shape, [3, 0, 1, 2])
    if (!keep) return { shape: [...all.shape], data: all.data }
    const row = all.data.length / all.shape[0]!
    const rows = Array.from({ length: all.shape[0]! }, (_, c) => c).filter(keep)
    const data = new Float32Array(rows.length * row)
    rows.forEach((c, i) => data.set(all.data.subarray(c * row, (c + 1) * row), i * row))
    return { shape: [rows.length, ...all.shape.slice(1)], data }
  }

  conv(name: string, x: number, { filters, bias }: Weights, o: { stride?: number; padding?: Padding } = {}): number {
    return this.net.conv(name, x, { filter: this.filter(filters), bias: this.vector(bias), padding: 'SAME', ...o })
  }

  /** A 1x1 convolution that gives some of the original's channels. */
  head(name: string, x: number, { filters, bias }: Weights, keep: (channel: number) => boolean): number {
    return this.net.conv(name, x, {
      filter: this.filter(filters, keep),
      bias: this.vector(bias).filter((_, c) => keep(c)),
    })
  }

  depthwise(name: string, x: number, filters: string, stride = 1): number {
    const { shape, data } = this.get(filters)
    const [kh, kw, c, m] = shape as [number, number, number, number]
    return this.net.depthwise(name, x, { filter: { shape: [1, kh, kw, c * m], data }, stride })
  }

  /** Depthwise 3x3, pointwise 1x1, bias. */
  separable(name: string, x: number, stride = 1): number {
    return this.conv(name, this.depthwise(`${name}/depthwise`, x, `${name}/depthwise_filter`, stride), {
      filters: `${name}/pointwise_filter`,
      bias: `${name}/bias`,
    })
  }

  dense(name: string, x: number, from: string): number {
    const w = this.get(`${from}/weights`)
    const filter = transpose(w.data, w.shape, [1, 0])
    return this.net.fullyConnected(name, x, {
      filter: { shape: [...filter.shape], data: filter.data },
      bias: this.vector(`${from}/bias`),
    })
  }

  relu(x: number): number {
    return this.net.activation('relu', x, 'relu')
  }
}

const image = (mean: readonly number[], std: number): Preprocess => ({
  fit: 'fit',
  method: 'bilinear',
  channels: 'rgb',
  mean,
  std: [std],
})
const pool = (net: Net, x: number, kernel: number, stride: number): number =>
  net.pool('pool', x, 'MAX_POOL_2D', { kernel: [kernel, kernel], stride: [stride, stride], padding: 'SAME' })

/**
 * TinyYOLOv2 with separable convolutions; 5 anchors. Outputs: centres [1,n,n,10], sizes [1,n,n,10], scores [1,n,n,5],
 * split so that each has a scale of its own.
 */
function tinyDetector(l: Layers, size: number): Graph {
  const { net } = l
  const leaky = (x: number): number => net.leakyRelu('leaky', x, SLOPE)
  let x = net.input('image', [1, size, size, 3])
  x = pool(net, leaky(l.conv('conv0', x, inFolder('conv0'), { padding: 'VALID' })), 2, 2)
  for (let i = 1; i <= 5; i++) x = pool(net, leaky(l.separable(`conv${i}`, x)), 2, i < 5 ? 2 : 1)
  const part = (name: string, from: number, to: number): number =>
    l.head(name, x, inFolder('conv8'), (c) => c % 5 >= from && c % 5 < to)
  const anchors = [
    [1.603231, 2.094468],
    [6.041143, 7.080126],
    [2.882459, 3.518061],
    [4.266906, 5.178857],
    [9.041765, 10.66308],
  ]
  return net.finish([part('centres', 0, 2), part('sizes', 2, 4), part('scores', 4, 5)], {
    task: 'detection',
    labels: ['face'],
    preprocess: image([117.001, 114.697, 97.404], 255),
    extra: { detection: { kind: 'yolo', anchors, iouThreshold: 0.4, scoreThreshold: 0.5 } },
  })
}

/**
 * SSD with a MobileNet V1 1.0 backbone. Outputs: boxes [1,5118,4] (ty, tx, th, tw), scores [1,5118,1], logits. Of the
 * three classes of the weights only the face's is kept.
 */
function ssdDetector(l: Layers, size: number): Graph {
  const { net } = l
  const pointwise = (at: string, x: number, stride = 1): number =>
    net.activation(
      'relu6',
      l.conv(at, x, { filters: `${at}/weights`, bias: `${at}/convolution_bn_offset` }, { stride }),
      'relu6',
    )
  let x = pointwise('MobilenetV1/Conv2d_0_pointwise', net.input('image', [1, size, size, 3]), 2)
  const maps: number[] = []
  for (let i = 1; i <= 13; i++) {
    const at = `MobilenetV1/Conv2d_${i}_depthwise`
    const bn = (name: string): Float32Array => l.vector(`${at}/BatchNorm/${name}`)
    x = l.depthwise(at, x, `${at}/depthwise_weights`, [2, 4, 6, 12].includes(i) ? 2 : 1)
    x = net.batchNorm(`${at}/norm`, x, {
      gamma: bn('gamma'),
      beta: bn('beta'),
      mean: bn('moving_mean'),
      variance: bn('moving_variance'),
      epsilon: EPSILON,
    })
    x = pointwise(`MobilenetV1/Conv2d_${i}_pointwise`, net.activation('relu6', x, 'relu6'))
    if (i === 11) maps.push(x)
  }
  maps.push(x)
  for (let i = 0; i < 8; i++) {
    x = pointwise(`Prediction/Conv2d_${i}_pointwise`, x, i % 2 ? 2 : 1)
    if (i % 2) maps.push(x)
  }
  const flat = (name: string, y: number, width: number): number =>
    net.reshape(name, y, [
      1,
      net
        .shape(y)
        .slice(1)
        .reduce((a, b) => a * b, 1) / width,
      width,
    ])
  const boxes = maps.map((m, i) => {
    const at = `Prediction/BoxPredictor_${i}/BoxEncodingPredictor`
    return flat(`boxes${i}`, l.conv(at, m, { filters: `${at}/weights`, bias: `${at}/biases` }), 4)
  })
  const scores = maps.map((m, i) => {
    const at = `Prediction/BoxPredictor_${i}/ClassPredictor`
    return flat(
      `scores${i}`,
      l.head(at, m, { filters: `${at}/weights`, bias: `${at}/biases` }, (c) => c % 3 === 1),
      1,
    )
  })
  return net.finish([net.concat('boxes', boxes, 1), net.concat('scores', scores, 1)], {
    task: 'detection',
    labels: ['face'],
    preprocess: image([127.5], 127.5),
    extra: {
      detection: {
        kind: 'ssd',
        maps: maps.map((m) => net.shape(m).slice(1, 3)),
        minScale: 0.2,
        maxScale: 0.95,
        aspectRatios: [1, 2, 0.5, 3, 0.3333],
        boxScales: [10, 10, 5, 5],
        scores: 'sigmoid',
        iouThreshold: 0.5,
        scoreThreshold: 0.5,
      },
    },
  })
}

/** Sums of all earlier layers, each a depthwise separable convolution: `count` of them, the first with stride 2. */
function denseBlock(l: Layers, name: string, x: number, count: number): number {
  // The very first one, on the photo itself, is an ordinary one.
  let sum = l.relu(
    l.net.shape(x)[3] === 3
      ? l.conv(`${name}/conv0`, x, inFolder(`${name}/conv0`), { stride: 2 })
      : l.separable(`${name}/conv0`, x, 2),
  )
  let y = sum
  for (let i = 1; i < count; i++) {
    sum = l.net.add(`${name}/sum${i}`, sum, l.separable(`${name}/conv${i}`, y))
    y = l.relu(sum)
  }
  return y
}

const cropInput = image([122.782, 117.001, 104.298], 255)

/** Dense blocks of separable convolutions and one fully connected layer; [1, answers]. */
function denseNetwork(l: Layers, size: number, blocks: number, layers: number): number {
  let x = l.net.input('face', [1, size, size, 3])
  for (let i = 0; i < blocks; i++) x = denseBlock(l, `dense${i}`, x, layers)
  return l.dense('fc', l.net.globalAverage('pool', x), 'fc')
}

/** Output: [1,136], x and y of 68 points as shares of the input's side. */
function landmarks(l: Layers, size: number, blocks: number, layers: number): Graph {
  return l.net.finish([denseNetwork(l, size, blocks, layers)], { task: 'landmarks', preprocess: cropInput })
}

/** Output: [1,7] probabilities. */
function expression(l: Layers, size: number): Graph {
  const logits = denseNetwork(l, size, 4, 4)
  return l.net.finish([l.net.softmax('probabilities', logits)], {
    task: 'classification',
    labels: EXPRESSIONS,
    scores: 'identity',
    preprocess: cropInput,
  })
}

/** A small Xception. Outputs: age [1,1] in years, gender [1,2] (male, female) probabilities. */
function ageGender(l: Layers, size: number): Graph {
  const { net } = l
  const reduction = (x: number, at: string, activate = true): number => {
    const a = l.separable(`${at}/separable_conv0`, activate ? l.relu(x) : x)
    const b = pool(net, l.separable(`${at}/separable_conv1`, l.relu(a)), 3, 2)
    return net.add(at, b, l.conv(`${at}/expansion_conv`, x, inFolder(`${at}/expansion_conv`), { stride: 2 }))
  }
  const main = (x: number, at: string): number => {
    let y = x
    for (let i = 0; i < 3; i++) y = l.separable(`${at}/separable_conv${i}`, l.relu(y))
    return net.add(at, y, x)
  }
  let x = net.input('face', [1, size, size, 3])
  x = l.relu(l.conv('entry_flow/conv_in', x, inFolder('entry_flow/conv_in'), { stride: 2 }))
  x = reduction(reduction(x, 'entry_flow/reduction_block_0', false), 'entry_flow/reduction_block_1')
  for (let i = 0; i < 2; i++) x = main(x, `middle_flow/main_block_${i}`)
  x = l.relu(l.separable('exit_flow/separable_conv', reduction(x, 'exit_flow/reduction_block')))
  const features = net.globalAverage('pool', x)
  const gender = net.softmax('gender', l.dense('gender_logits', features, 'fc/gender'))
  return net.finish([l.dense('age', features, 'fc/age'), gender], {
    task: 'classification',
    labels: ['male', 'female'],
    scores: 'identity',
    preprocess: cropInput,
  })
}

/**
 * The float32 graph of a face-api network, batch norm folded. `size`: side of the square input, for the detectors.
 * Errors: `format/tfjs` for weights that are missing or of another shape.
 */
export function faceApiGraph(network: FaceNetwork, weights: readonly TfjsWeight[], size?: number): Graph {
  const l = new Layers(weights)
  if (size !== undefined && (!Number.isInteger(size) || size < 64 || size > 2048 || size % 32)) {
    throw new ThimbleError('usage/option', 'the size does not fit this network', {
      expected: 'a multiple of 32 from 64 to 2048',
      got: size,
    })
  }
  switch (network) {
    case 'tiny-detector':
      return foldGraph(tinyDetector(l, size ?? TINY_SIZE))
    case 'ssd-detector':
      return foldGraph(ssdDetector(l, size ?? SSD_SIZE))
    case 'landmarks':
      return foldGraph(landmarks(l, CROP_SIZE, 4, 4))
    case 'landmarks-tiny':
      return foldGraph(landmarks(l, CROP_SIZE, 3, 3))
    case 'age-gender':
      return foldGraph(ageGender(l, CROP_SIZE))
    case 'expression':
      return foldGraph(expression(l, CROP_SIZE))
  }
}
