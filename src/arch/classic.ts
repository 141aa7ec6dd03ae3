/**
 * GoogLeNet, VGG16 and Inception V3. Source: arXiv 1409.4842 table 1, 1409.1556 table 1 (D), 1512.00567 and the TF-slim
 * model.
 */
import type { Graph } from '../graph/graph.ts'
import { ArchBuilder } from './builder.ts'
import type { ArchOptions } from './mobilenet.ts'

const relu = { activation: 'RELU' as const }
type Widths = readonly [one: number, reduce3: number, three: number, reduce5: number, five: number, pool: number]
const INCEPTION: readonly (Widths | 'pool')[] = [
  [64, 96, 128, 16, 32, 32],
  [128, 128, 192, 32, 96, 64],
  'pool',
  [192, 96, 208, 16, 48, 64],
  [160, 112, 224, 24, 64, 64],
  [128, 128, 256, 24, 64, 64],
  [112, 144, 288, 32, 64, 64],
  [256, 160, 320, 32, 128, 128],
  'pool',
  [256, 160, 320, 32, 128, 128],
  [384, 192, 384, 48, 128, 128],
]

/** Without local response normalisation and auxiliary heads. */
export function googlenet(o: ArchOptions): Graph {
  const b = new ArchBuilder(o.numbers, o.seed)
  const w = (c: number): number => Math.max(8, Math.round(c * o.alpha))
  const image = b.input([1, o.size, o.size, 3])
  const pool = (name: string, x: number): number => b.pool(name, x, 'MAX_POOL_2D', { kernel: 3, stride: 2 })
  let x = pool('pool1', b.conv('conv1', image, w(64), { kernel: 7, stride: 2, ...relu }))
  x = pool('pool2', b.conv('conv2', b.conv('conv2/reduce', x, w(64), relu), w(192), { kernel: 3, ...relu }))
  INCEPTION.forEach((row, i) => {
    if (row === 'pool') {
      x = pool(`pool_${i}`, x)
      return
    }
    const [one, reduce3, three, reduce5, five, after] = row.map(w) as unknown as Widths
    const name = `inception${i}`
    x = b.concat(name, [
      b.conv(`${name}/1x1`, x, one, relu),
      b.conv(`${name}/3x3`, b.conv(`${name}/3x3_reduce`, x, reduce3, relu), three, { kernel: 3, ...relu }),
      b.conv(`${name}/5x5`, b.conv(`${name}/5x5_reduce`, x, reduce5, relu), five, { kernel: 5, ...relu }),
      b.conv(`${name}/pool_proj`, b.pool(`${name}/pool`, x, 'MAX_POOL_2D', { kernel: 3 }), after, relu),
    ])
  })
  x = b.classifier(b.globalAverage('pool', x), o.classes)
  return b.finish(image, x, { name: 'googlenet' })
}

export function vgg16(o: ArchOptions): Graph {
  const b = new ArchBuilder(o.numbers, o.seed)
  const w = (c: number): number => Math.max(8, Math.round(c * o.alpha))
  const image = b.input([1, o.size, o.size, 3])
  let x = image
  ;(
    [
      [64, 2],
      [128, 2],
      [256, 3],
      [512, 3],
      [512, 3],
    ] as const
  ).forEach(([channels, repeat], i) => {
    for (let k = 1; k <= repeat; k++) x = b.conv(`conv${i + 1}_${k}`, x, w(channels), { kernel: 3, ...relu })
    x = b.pool(`pool${i + 1}`, x, 'MAX_POOL_2D', { kernel: 2, stride: 2 })
  })
  x = b.dense('fc7', b.dense('fc6', b.flatten('flat', x), w(4096), relu), w(4096), relu)
  x = b.classifier(x, o.classes)
  return b.finish(image, x, { name: 'vgg16' })
}

/** Windows inside the image only, at every pixel and at every other. */
const INSIDE = { kernel: 3, padding: 'VALID' } as const
const HALVED = { ...INSIDE, stride: 2 } as const

export function inceptionV3(o: ArchOptions): Graph {
  const b = new ArchBuilder(o.numbers, o.seed)
  const w = (c: number): number => Math.max(8, Math.round(c * o.alpha))
  const image = b.input([1, o.size, o.size, 3])
  const conv: Conv = (name, x, channels, win) =>
    b.conv(name, x, w(channels), {
      ...(typeof win === 'object' && 'kernel' in win ? win : { kernel: win ?? 1 }),
      ...relu,
    })
  const average = (name: string, x: number): number => b.pool(name, x, 'AVERAGE_POOL_2D', { kernel: 3 })
  const layers: Layers = { b, conv, average }
  const shrink = (name: string, x: number): number => b.pool(name, x, 'MAX_POOL_2D', HALVED)
  let x = conv('stem3', conv('stem2', conv('stem1', image, 32, HALVED), 32, INSIDE), 64, 3)
  x = shrink('stem/pool1', x)
  x = shrink('stem/pool2', conv('stem5', conv('stem4', x, 80, { kernel: 1, padding: 'VALID' }), 192, INSIDE))
  for (const [i, pooled] of [32, 64, 64].entries()) {
    const n = `mixed${i}`
    x = b.concat(n, [
      conv(`${n}/1x1`, x, 64),
      conv(`${n}/5x5`, conv(`${n}/5x5_reduce`, x, 48), 64, 5),
      conv(`${n}/3x3b`, conv(`${n}/3x3a`, conv(`${n}/3x3_reduce`, x, 64), 96, 3), 96, 3),
      conv(`${n}/pool_proj`, average(`${n}/pool`, x), pooled),
    ])
  }
  x = b.concat('mixed3', [
    conv('mixed3/3x3', x, 384, HALVED),
    conv('mixed3/3x3c', conv('mixed3/3x3b', conv('mixed3/3x3_reduce', x, 64), 96, 3), 96, HALVED),
    shrink('mixed3/pool', x),
  ])
  for (const [i, c] of [128, 160, 160, 192].entries()) x = factorised(layers, `mixed${i + 4}`, x, c)
  x = b.concat('mixed8', [
    conv('mixed8/3x3', conv('mixed8/3x3_reduce', x, 192), 320, HALVED),
    conv(
      'mixed8/7x7',
      conv('mixed8/7x1', conv('mixed8/1x7', conv('mixed8/7x7_reduce', x, 192), 192, [1, 7]), 192, [7, 1]),
      192,
      HALVED,
    ),
    shrink('mixed8/pool', x),
  ])
  for (const n of ['mixed9', 'mixed10']) x = widened(layers, n, x)
  x = b.classifier(b.globalAverage('pool', x), o.classes)
  return b.finish(image, x, { name: 'inception_v3' })
}

/** A kernel of that size, square or rows by columns; or all that there is to say about the window. */
type Kernel = number | readonly [number, number]
type Conv = (
  name: string,
  x: number,
  channels: number,
  win?: Kernel | { kernel: Kernel; stride?: number; padding?: 'VALID' },
) => number
type Average = (name: string, x: number) => number
/** The layers that modules are made of. */
interface Layers {
  b: ArchBuilder
  conv: Conv
  average: Average
}

/** 7x7 as 1x7 and 7x1. */
function factorised({ b, conv, average }: Layers, n: string, x: number, c: number): number {
  const once = conv(`${n}/7x1`, conv(`${n}/1x7`, conv(`${n}/7x7_reduce`, x, c), c, [1, 7]), 192, [7, 1])
  let twice = conv(`${n}/double_reduce`, x, c)
  for (const [i, kernel] of (
    [
      [7, 1],
      [1, 7],
      [7, 1],
    ] as const
  ).entries()) {
    twice = conv(`${n}/double${i}`, twice, c, kernel)
  }
  return b.concat(n, [
    conv(`${n}/1x1`, x, 192),
    once,
    conv(`${n}/double3`, twice, 192, [1, 7]),
    conv(`${n}/pool_proj`, average(`${n}/pool`, x), 192),
  ])
}

/** The widest modules: 1x3 and 3x1 side by side. */
function widened({ b, conv, average }: Layers, n: string, x: number): number {
  const fork = (name: string, y: number): number[] => [
    conv(`${name}/1x3`, y, 384, [1, 3]),
    conv(`${name}/3x1`, y, 384, [3, 1]),
  ]
  return b.concat(n, [
    conv(`${n}/1x1`, x, 320),
    ...fork(`${n}/3x3`, conv(`${n}/3x3_reduce`, x, 384)),
    ...fork(`${n}/double`, conv(`${n}/double_3x3`, conv(`${n}/double_reduce`, x, 448), 384, 3)),
    conv(`${n}/pool_proj`, average(`${n}/pool`, x), 192),
  ])
}
