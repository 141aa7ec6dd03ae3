/**
 * MobileNet V1, V2, V3 and EfficientNet-Lite0. Source: arXiv 1704.04861 table 1, 1801.04381 table 2, 1905.02244 tables
 * 1 and 2; the EfficientNet-Lite release notes.
 */
import type { Graph } from '../graph/graph.ts'
import { ArchBuilder, type Numbers } from './builder.ts'

export interface ArchOptions {
  /** Width multiplier α. */
  alpha: number
  /** Side of the square input: the resolution multiplier ρ times 224 (or the architecture's own size). */
  size: number
  classes: number
  numbers: Numbers
  seed: number
}

/** To the nearest multiple of 8, never more than 10 % below. Source: the TF-slim models. */
function divisible(channels: number, divisor = 8): number {
  const rounded = Math.max(divisor, Math.floor(channels + divisor / 2) - (Math.floor(channels + divisor / 2) % divisor))
  return rounded < 0.9 * channels ? rounded + divisor : rounded
}

const V1: readonly (readonly [channels: number, stride: number])[] = [
  [64, 1],
  [128, 2],
  [128, 1],
  [256, 2],
  [256, 1],
  [512, 2],
  [512, 1],
  [512, 1],
  [512, 1],
  [512, 1],
  [512, 1],
  [1024, 2],
  [1024, 1],
]

/** `full`: 3x3 convolutions over all channels instead of depthwise separable ones, the paper's table 4. */
export function mobilenetV1(o: ArchOptions, full = false): Graph {
  const b = new ArchBuilder(o.numbers, o.seed)
  const width = (c: number): number => Math.max(8, Math.floor(c * o.alpha))
  const image = b.input([1, o.size, o.size, 3])
  let x = b.conv('stem', image, width(32), { kernel: 3, stride: 2, activation: 'RELU6' })
  V1.forEach(([channels, stride], i) => {
    if (full) {
      x = b.conv(`block${i + 1}`, x, width(channels), { kernel: 3, stride, activation: 'RELU6' })
      return
    }
    x = b.depthwise(`block${i + 1}/depthwise`, x, { kernel: 3, stride, activation: 'RELU6' })
    x = b.conv(`block${i + 1}/pointwise`, x, width(channels), { activation: 'RELU6' })
  })
  x = b.classifier(b.globalAverage('pool', x), o.classes)
  return b.finish(image, x, { name: full ? 'mobilenet_v1_full' : 'mobilenet_v1' })
}

const V2: readonly (readonly [expansion: number, channels: number, repeat: number, stride: number])[] = [
  [1, 16, 1, 1],
  [6, 24, 2, 2],
  [6, 32, 3, 2],
  [6, 64, 4, 2],
  [6, 96, 3, 1],
  [6, 160, 3, 2],
  [6, 320, 1, 1],
]

export function mobilenetV2(o: ArchOptions): Graph {
  const b = new ArchBuilder(o.numbers, o.seed)
  const image = b.input([1, o.size, o.size, 3])
  let x = b.conv('stem', image, divisible(32 * o.alpha), { kernel: 3, stride: 2, activation: 'RELU6' })
  let n = 0
  for (const [expansion, channels, repeat, first] of V2) {
    for (let i = 0; i < repeat; i++) {
      x = invertedResidual(b, `block${++n}`, x, {
        hidden: expansion * b.shape(x).at(-1)!,
        out: divisible(channels * o.alpha),
        kernel: 3,
        stride: i === 0 ? first : 1,
      })
    }
  }
  x = b.conv('head', x, o.alpha > 1 ? divisible(1280 * o.alpha) : 1280, { activation: 'RELU6' })
  x = b.classifier(b.globalAverage('pool', x), o.classes)
  return b.finish(image, x, { name: 'mobilenet_v2' })
}

/** Channels of the expansion and of the result; window and stride of the depthwise layer between them. */
interface Block {
  hidden: number
  out: number
  kernel: number
  stride: number
}

function invertedResidual(b: ArchBuilder, name: string, x: number, { hidden, out, kernel, stride }: Block): number {
  const from = b.shape(x).at(-1)!
  let y = hidden === from ? x : b.conv(`${name}/expand`, x, hidden, { activation: 'RELU6' })
  y = b.depthwise(`${name}/depthwise`, y, { kernel, stride, activation: 'RELU6' })
  y = b.conv(`${name}/project`, y, out)
  return stride === 1 && from === out ? b.add(`${name}/add`, x, y) : y
}

const LITE0: readonly (readonly [
  expansion: number,
  kernel: number,
  channels: number,
  repeat: number,
  stride: number,
])[] = [
  [1, 3, 16, 1, 1],
  [6, 3, 24, 2, 2],
  [6, 5, 40, 2, 2],
  [6, 3, 80, 3, 2],
  [6, 5, 112, 3, 1],
  [6, 5, 192, 4, 2],
  [6, 3, 320, 1, 1],
]

/** Stem and head are not widened, as in the Lite models. */
export function efficientnetLite0(o: ArchOptions): Graph {
  const b = new ArchBuilder(o.numbers, o.seed)
  const image = b.input([1, o.size, o.size, 3])
  let x = b.conv('stem', image, 32, { kernel: 3, stride: 2, activation: 'RELU6' })
  let n = 0
  for (const [expansion, kernel, channels, repeat, first] of LITE0) {
    for (let i = 0; i < repeat; i++) {
      x = invertedResidual(b, `block${++n}`, x, {
        hidden: expansion * b.shape(x).at(-1)!,
        out: divisible(channels * o.alpha),
        kernel,
        stride: i === 0 ? first : 1,
      })
    }
  }
  x = b.conv('head', x, 1280, { activation: 'RELU6' })
  x = b.classifier(b.globalAverage('pool', x), o.classes)
  return b.finish(image, x, { name: 'efficientnet_lite0' })
}

type Row = readonly [
  kernel: number,
  hidden: number,
  channels: number,
  excite: boolean,
  hardSwish: boolean,
  stride: number,
]
const V3_SMALL: readonly Row[] = [
  [3, 16, 16, true, false, 2],
  [3, 72, 24, false, false, 2],
  [3, 88, 24, false, false, 1],
  [5, 96, 40, true, true, 2],
  [5, 240, 40, true, true, 1],
  [5, 240, 40, true, true, 1],
  [5, 120, 48, true, true, 1],
  [5, 144, 48, true, true, 1],
  [5, 288, 96, true, true, 2],
  [5, 576, 96, true, true, 1],
  [5, 576, 96, true, true, 1],
]
const V3_LARGE: readonly Row[] = [
  [3, 16, 16, false, false, 1],
  [3, 64, 24, false, false, 2],
  [3, 72, 24, false, false, 1],
  [5, 72, 40, true, false, 2],
  [5, 120, 40, true, false, 1],
  [5, 120, 40, true, false, 1],
  [3, 240, 80, false, true, 2],
  [3, 200, 80, false, true, 1],
  [3, 184, 80, false, true, 1],
  [3, 184, 80, false, true, 1],
  [3, 480, 112, true, true, 1],
  [3, 672, 112, true, true, 1],
  [5, 672, 160, true, true, 2],
  [5, 960, 160, true, true, 1],
  [5, 960, 160, true, true, 1],
]

/** Widths of expansions follow the block's own input, rounded already, as in the TF-slim models. */
export function mobilenetV3(o: ArchOptions, large: boolean): Graph {
  const b = new ArchBuilder(o.numbers, o.seed)
  const image = b.input([1, o.size, o.size, 3])
  const swish = (name: string, x: number): number => b.hardSwish(`${name}/hard_swish`, x)
  let x = swish('stem', b.conv('stem', image, divisible(16 * o.alpha), { kernel: 3, stride: 2 }))
  const rows = large ? V3_LARGE : V3_SMALL
  rows.forEach(([kernel, hidden, channels, excite, hs, stride], i) => {
    const name = `block${i + 1}`
    const from = b.shape(x).at(-1)!
    const wide = divisible((from * hidden) / (i === 0 ? 16 : rows[i - 1]![2]))
    const out = divisible(channels * o.alpha)
    const act = hs ? {} : { activation: 'RELU' as const }
    const after = (n: string, y: number): number => (hs ? swish(n, y) : y)
    let y = wide === from ? x : after(`${name}/expand`, b.conv(`${name}/expand`, x, wide, act))
    y = after(`${name}/depthwise`, b.depthwise(`${name}/depthwise`, y, { kernel, stride, ...act }))
    if (excite) y = b.squeezeExcite(`${name}/se`, y, divisible(wide / 4))
    y = b.conv(`${name}/project`, y, out)
    x = stride === 1 && from === out ? b.add(`${name}/add`, x, y) : y
  })
  x = swish('head', b.conv('head', x, divisible(rows.at(-1)![1] * o.alpha)))
  const hidden = large ? 1280 : 1024
  x = swish('hidden', b.dense('hidden', b.globalAverage('pool', x), o.alpha > 1 ? divisible(hidden * o.alpha) : hidden))
  x = b.classifier(x, o.classes)
  return b.finish(image, x, { name: large ? 'mobilenet_v3_large' : 'mobilenet_v3_small' })
}
