/**
 * GoogLeNet, VGG16 and Inception V3. Source: arXiv 1409.4842 table 1, 1409.1556 table 1 (D), 1512.00567 and the TF-slim
 * model.
 */
import type { Graph } from '../graph.ts'
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

export function inceptionV3(o: ArchOptions): Graph {
  const b = new ArchBuilder(o.numbers, o.seed)
  const w = (c: number): number => Math.max(8, Math.round(c * o.alpha))
  const image = b.input([1, o.size, o.size, 3])
  const conv = (
    name: string,
    x: number,
    channels: number,
    kernel: number | readonly [number, number] = 1,
    stride = 1,
    padding: 'SAME' | 'VALID' = 'SAME',
  ): number => b.conv(name, x, w(channels), { kernel, stride, padding, ...relu })
  const average = (name: string, x: number): number => b.pool(name, x, 'AVERAGE_POOL_2D', { kernel: 3 })
  const shrink = (name: string, x: number): number =>
    b.pool(name, x, 'MAX_POOL_2D', { kernel: 3, stride: 2, padding: 'VALID' })
  let x = conv('stem3', conv('stem2', conv('stem1', image, 32, 3, 2, 'VALID'), 32, 3, 1, 'VALID'), 64, 3)
  x = shrink('stem/pool1', x)
  x = shrink('stem/pool2', conv('stem5', conv('stem4', x, 80, 1, 1, 'VALID'), 192, 3, 1, 'VALID'))
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
    conv('mixed3/3x3', x, 384, 3, 2, 'VALID'),
    conv('mixed3/3x3c', conv('mixed3/3x3b', conv('mixed3/3x3_reduce', x, 64), 96, 3), 96, 3, 2, 'VALID'),
    shrink('mixed3/pool', x),
  ])
  for (const [i, c] of [128, 160, 160, 192].entries()) x = factorised(b, `mixed${i + 4}`, x, c, conv, average)
  x = b.concat('mixed8', [
    conv('mixed8/3x3', conv('mixed8/3x3_reduce', x, 192), 320, 3, 2, 'VALID'),
    conv(
      'mixed8/7x7',
      conv('mixed8/7x1', conv('mixed8/1x7', conv('mixed8/7x7_reduce', x, 192), 192, [1, 7]), 192, [7, 1]),
      192,
      3,
      2,
      'VALID',
    ),
    shrink('mixed8/pool', x),
  ])
  for (const n of ['mixed9', 'mixed10']) x = widened(b, n, x, conv, average)
  x = b.classifier(b.globalAverage('pool', x), o.classes)
  return b.finish(image, x, { name: 'inception_v3' })
}

type Conv = (name: string, x: number, channels: number, kernel?: number | readonly [number, number]) => number
type Average = (name: string, x: number) => number

/** 7x7 as 1x7 and 7x1. */
function factorised(b: ArchBuilder, n: string, x: number, c: number, conv: Conv, average: Average): number {
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
function widened(b: ArchBuilder, n: string, x: number, conv: Conv, average: Average): number {
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
