/**
 * Networks of the sizes that microcontrollers run, built here with weights from a seed: the shapes of MLPerf Tiny's and
 * of the MobileNets, so that every engine has layers to work on where no model file is at hand. Their outputs mean
 * nothing.
 */
import type { Activation, Graph } from '../src/graph/graph.ts'
import { GraphBuilder } from './small-models.ts'

type Shape = readonly [batch: number, height: number, width: number, channels: number]

interface Layer {
  channels: number
  kernel?: readonly [height: number, width: number]
  stride?: number
  activation?: Activation
}

/** What a rectifier takes from the root mean square of its input, given back by the weights (He et al. 2015). */
const GAIN = 1.5

/** `axis`: of the output channels; `terms`: products in a sum. */
interface Weights {
  shape: readonly number[]
  axis: number
  terms: number
}

/** A chain of layers under construction. */
class Chain {
  readonly b: GraphBuilder
  at: number
  private readonly legacy: boolean
  private shape: Shape
  private scale = 0.027

  /** `legacy`: uint8 with one scale a tensor; else int8 with one a channel. */
  constructor(seed: number, shape: Shape, legacy = false) {
    this.b = new GraphBuilder(seed)
    this.legacy = legacy
    this.shape = shape
    this.at = this.b.input(shape, this.dtype, this.scale, legacy ? 127 : -1)
  }

  private get dtype(): 'int8' | 'uint8' {
    return this.legacy ? 'uint8' : 'int8'
  }

  /** A tensor for values of 0 to 6, or of both signs. */
  private output(shape: readonly number[], positive: boolean): number {
    this.scale = positive ? 6 / 255 : 12 / 255
    return this.b.tensor(shape, this.dtype, this.scale, (this.legacy ? 128 : 0) - (positive ? 128 : 3))
  }

  /**
   * Weights whose products with values of the usual size sum up to values of the usual size, and a bias in their units.
   */
  private weights({ shape, axis, terms }: Weights): [weights: number, bias: number] {
    const index = this.b.weights(shape, this.legacy ? undefined : axis, this.dtype)
    const { scales } = this.b.graph.tensors[index]!.quantization!
    // Of numbers spread evenly over 8 bits, times the builder's 0.01.
    const rms = 0.74
    scales.forEach((s, i) => {
      scales[i] = (s * GAIN) / (rms * Math.sqrt(terms))
    })
    const bias = this.b.bias(shape[axis]!, scales.length)
    this.b.graph.tensors[bias]!.quantization!.scales.set(scales.map((s) => s * this.scale))
    return [index, bias]
  }

  private convolve(
    type: 'CONV_2D' | 'DEPTHWISE_CONV_2D',
    { channels, kernel = [3, 3], stride = 1, activation }: Layer,
  ) {
    const [batch, height, width, depth] = this.shape
    const depthwise = type === 'DEPTHWISE_CONV_2D'
    const [area, ...window] = [kernel[0] * kernel[1], ...kernel]
    const inputs = [
      this.at,
      ...this.weights(
        depthwise
          ? { shape: [1, ...window, channels], axis: 3, terms: area }
          : { shape: [channels, ...window, depth], axis: 0, terms: area * depth },
      ),
    ]
    this.shape = [batch, Math.ceil(height / stride), Math.ceil(width / stride), channels]
    const attrs = { padding: 'SAME', strideH: stride, strideW: stride, dilationH: 1, dilationW: 1 } as const
    const output = this.output(this.shape, activation !== 'NONE')
    const common = { ...attrs, activation: activation ?? 'RELU6' }
    this.at = depthwise
      ? this.b.op(type, inputs, [output], { ...common, depthMultiplier: 1 })
      : this.b.op(type, inputs, [output], common)
    return this
  }

  conv(layer: Layer): this {
    return this.convolve('CONV_2D', layer)
  }

  /** Depthwise 3x3, then pointwise: a separable convolution. */
  separable(channels: number, stride = 1): this {
    this.convolve('DEPTHWISE_CONV_2D', { channels: this.shape[3], stride })
    return this.conv({ channels, kernel: [1, 1] })
  }

  /** MobileNetV2's block: wider, depthwise, narrower without activation; added to its input where shapes agree. */
  inverted(channels: number, stride = 1): this {
    const [before, depth] = [this.at, this.shape[3]]
    this.conv({ channels: depth * 4, kernel: [1, 1] })
    this.convolve('DEPTHWISE_CONV_2D', { channels: depth * 4, stride })
    this.conv({ channels, kernel: [1, 1], activation: 'NONE' })
    return stride === 1 && channels === depth ? this.add(before) : this
  }

  /** Two 3x3 convolutions beside a shortcut. */
  residual(channels: number, stride = 1): this {
    const before = { at: this.at, shape: this.shape, scale: this.scale }
    this.conv({ channels, stride }).conv({ channels, activation: 'NONE' })
    const main = this.at
    if (stride === 1 && channels === before.shape[3]) return this.add(before.at)
    Object.assign(this, before)
    this.conv({ channels, stride, kernel: [1, 1], activation: 'NONE' })
    return this.add(main)
  }

  private add(other: number): this {
    this.at = this.b.op('ADD', [other, this.at], [this.output(this.shape, true)], { activation: 'RELU' })
    return this
  }

  /** Mean over the picture, fully connected, softmax. */
  classify(classes: number): Graph {
    const { b } = this
    const [batch, , , channels] = this.shape
    const mean = b.tensor([batch, channels], this.dtype, this.scale, this.legacy ? 0 : -128)
    b.op('MEAN', [this.at, b.ints([1, 2])], [mean], { keepDims: false })
    this.shape = [batch, 1, 1, channels]
    const [index, bias] = this.weights({ shape: [classes, channels], axis: 0, terms: channels })
    const logits = b.tensor([batch, classes], this.dtype, 0.1, this.legacy ? 128 : 0)
    b.op('FULLY_CONNECTED', [mean, index, bias], [logits], { activation: 'NONE', keepNumDims: false })
    const scores = b.tensor([batch, classes], this.dtype, 1 / 256, this.legacy ? 0 : -128)
    return b.done(b.op('SOFTMAX', [logits], [scores], { beta: 1 }))
  }
}

/** MobileNetV1 0.25 at 96, as for visual wake words. */
function separable(): Graph {
  const net = new Chain(11, [1, 96, 96, 3])
    .conv({ channels: 8, stride: 2 })
    .separable(16)
    .separable(32, 2)
    .separable(32)
  net.separable(64, 2).separable(64).separable(128, 2)
  for (let i = 0; i < 5; i++) net.separable(128)
  return net.separable(256, 2).separable(256).classify(16)
}

/** A keyword spotter over 49 steps of 10 coefficients. */
function spotter(): Graph {
  const net = new Chain(12, [1, 49, 10, 1]).conv({ channels: 64, kernel: [10, 4], stride: 2 })
  for (let i = 0; i < 4; i++) net.separable(64)
  return net.classify(16)
}

/** ResNet-8 at 32: full 3x3 convolutions. */
const residual = (): Graph =>
  new Chain(13, [1, 32, 32, 3]).conv({ channels: 16 }).residual(16).residual(32, 2).residual(64, 2).classify(16)

/** Inverted residuals at 64 in the uint8 of before: one scale a tensor, zero points everywhere. */
function legacy(): Graph {
  const net = new Chain(14, [1, 64, 64, 3], true).conv({ channels: 16, stride: 2 })
  net.inverted(16).inverted(24, 2).inverted(24).inverted(32, 2).inverted(32)
  return net.inverted(64, 2).inverted(64).classify(16)
}

export interface MadeNetwork {
  name: string
  /** Multiply-adds. */
  macs: number
  graph: Graph
}

export const madeNetworks = (): MadeNetwork[] => [
  { name: 'separable_96', macs: 7.5e6, graph: separable() },
  { name: 'spotter_49x10', macs: 2.7e6, graph: spotter() },
  { name: 'residual_32', macs: 12.5e6, graph: residual() },
  { name: 'legacy_64', macs: 8.5e6, graph: legacy() },
]
