/** A small float network and pictures for it: what the quantizer's tests calibrate and compare on. */
import { GraphBuilder } from '../src/convert/builder.ts'
import type { Activation, Graph, Metadata } from '../src/graph/graph.ts'
import { rng } from './util.ts'

export const SIZE = 24
export const CLASSES = 10
export const METADATA: Metadata = {
  name: 'tiny',
  description: 'a test',
  license: 'MIT',
  task: 'classification',
  scores: 'softmax',
  labels: Array.from({ length: CLASSES }, (_, i) => `thing <${i}>`),
  preprocess: {
    fit: 'crop',
    shorterSide: 26,
    method: 'bilinear',
    channels: 'rgb',
    mean: [120, 116, 104],
    std: [58, 57, 57.5],
  },
}

/** Kernels of k x k; sizes of the input's and of the output's channels. */
interface Layer {
  k: number
  from: number[]
  to: number[]
  stride?: number
  activation: Activation
}

/**
 * An inverted-residual network whose channels differ in size by up to e^5 inside the blocks, the next layer making up
 * for it, as in trained networks with folded batch norm.
 */
export function tinyNet(seed: number): Graph {
  const next = rng(seed)
  const b = new GraphBuilder()
  const normal = (): number => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next())
  const uneven = (n: number): number[] => Array.from({ length: n }, () => Math.exp(5 * next() - 4))
  const even = (n: number): number[] => new Array<number>(n).fill(1)
  const bias = (sizes: number[]): Float32Array => Float32Array.from(sizes, (s) => 0.3 * s * normal())
  /** Rows of `k` taps times input channels of the sizes `from`, for output channels of the sizes `to`. */
  const conv = (name: string, x: number, { k, from, to, stride = 1, activation }: Layer): number => {
    const row = k * k * from.length
    const data = Float32Array.from(
      { length: to.length * row },
      (_, i) => (normal() * Math.sqrt(2 / row) * to[Math.floor(i / row)]!) / from[i % from.length]!,
    )
    return b.conv(name, x, {
      filter: { shape: [to.length, k, k, from.length], data },
      bias: bias(to),
      stride,
      activation,
    })
  }
  const block = (name: string, x: number, [inC, inner, outC]: readonly number[], stride: number): number => {
    const [first, second] = [uneven(inner!), uneven(inner!)]
    const expand = conv(`${name}/expand`, x, { k: 1, from: even(inC!), to: first, activation: 'RELU' })
    const data = Float32Array.from(
      { length: 9 * inner! },
      (_, i) => (normal() * Math.sqrt(2 / 9) * second[i % inner!]!) / first[i % inner!]!,
    )
    const depthwise = b.depthwise(`${name}/depthwise`, expand, {
      filter: { shape: [1, 3, 3, inner!], data },
      bias: bias(second),
      stride,
      activation: 'RELU',
    })
    return conv(`${name}/project`, depthwise, { k: 1, from: second, to: even(outC!), activation: 'NONE' })
  }
  const image = b.input('image', [1, SIZE, SIZE, 3])
  const stem = conv('stem', image, { k: 3, from: even(3), to: even(16), stride: 2, activation: 'RELU6' })
  const first = block('block1', stem, [16, 32, 24], 2)
  const second = b.add('block2/add', first, block('block2', first, [24, 48, 24], 1))
  const head = conv('head', second, { k: 1, from: even(24), to: even(64), activation: 'RELU6' })
  const data = Float32Array.from({ length: CLASSES * 64 }, () => normal() / 8)
  return b.finish(
    [
      b.fullyConnected('logits', b.globalAverage('pool', head), {
        filter: { shape: [CLASSES, 64], data },
        bias: bias(even(CLASSES)),
      }),
    ],
    { ...METADATA },
  )
}

/** A smooth random picture with edges, as values from -2 to 2. */
export function picture(seed: number): Float32Array {
  const next = rng(seed)
  const waves = Array.from({ length: 9 }, () => [next() - 0.5, next() - 0.5, 6 * next(), 2 * next() - 1] as const)
  return Float32Array.from({ length: SIZE * SIZE * 3 }, (_, i) => {
    const [c, x, y] = [i % 3, Math.floor(i / 3) % SIZE, Math.floor(i / 3 / SIZE)]
    const v = [0, 1, 2].reduce((s, k) => {
      const [fx, fy, phase, height] = waves[3 * c + k]!
      return s + height * Math.sin(fx * x + fy * y + phase)
    }, 0)
    return Math.max(-2, Math.min(2, x > 12 === (seed % 2 === 0) ? v : 0.4 * v + 0.8))
  })
}

export const calibration = Array.from({ length: 12 }, (_, i) => picture(100 + i))
/** Others than those. */
export const unseen = Array.from({ length: 12 }, (_, i) => picture(500 + i))
