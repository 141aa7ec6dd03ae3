/** The architectures that `thimble arch` compares, their counts, and what their papers say of them. */
import { ThimbleError } from '../base/errors.ts'
import type { Graph } from '../graph/graph.ts'
import type { Numbers } from './builder.ts'
import { googlenet, inceptionV3, vgg16 } from './classic.ts'
import { countArch, type ArchCounts } from './count.ts'
import { efficientnetLite0, mobilenetV1, mobilenetV2, mobilenetV3, type ArchOptions } from './mobilenet.ts'
import { COUNTED, derived, PUBLISHED, type Figure, type PublishedFigures } from './published.ts'

export type { ArchOptions } from './mobilenet.ts'
export type { Numbers } from './builder.ts'
export { countArch, type ArchCounts } from './count.ts'

interface Architecture {
  /** As people write it. */
  title: string
  size: number
  /** Smallest input that every window fits. */
  minSize: number
  build(o: ArchOptions): Graph
}

export const ARCHITECTURES = {
  mobilenet_v1: { title: 'MobileNet V1', size: 224, minSize: 32, build: (o) => mobilenetV1(o) },
  mobilenet_v1_full: {
    title: 'MobileNet V1, full convolutions',
    size: 224,
    minSize: 32,
    build: (o) => mobilenetV1(o, true),
  },
  mobilenet_v2: { title: 'MobileNet V2', size: 224, minSize: 32, build: mobilenetV2 },
  mobilenet_v3_small: { title: 'MobileNet V3 Small', size: 224, minSize: 32, build: (o) => mobilenetV3(o, false) },
  mobilenet_v3_large: { title: 'MobileNet V3 Large', size: 224, minSize: 32, build: (o) => mobilenetV3(o, true) },
  efficientnet_lite0: { title: 'EfficientNet-Lite0', size: 224, minSize: 32, build: efficientnetLite0 },
  googlenet: { title: 'GoogLeNet', size: 224, minSize: 32, build: googlenet },
  vgg16: { title: 'VGG16', size: 224, minSize: 32, build: vgg16 },
  inception_v3: { title: 'Inception V3', size: 299, minSize: 75, build: inceptionV3 },
} satisfies Record<string, Architecture>
export type ArchName = keyof typeof ARCHITECTURES

export interface ArchSpec {
  name: ArchName
  /** Default 1. */
  alpha?: number
  /** Default: the architecture's own. */
  size?: number
  /** Default 1000. */
  classes?: number
}

/**
 * Builds an architecture. numbers: `int8` (runs in the runtime, exports to .tflite), `float32` (the same weights),
 * `shape`.
 * Errors: `usage/arch` for an unknown name or values out of range.
 */
export function buildArch(spec: ArchSpec, numbers: Numbers = 'int8', seed = 1): Graph {
  if (!Object.hasOwn(ARCHITECTURES, spec.name)) {
    throw new ThimbleError('usage/arch', 'unknown architecture', {
      expected: Object.keys(ARCHITECTURES).join(', '),
      got: String(spec.name),
    })
  }
  const arch: Architecture = ARCHITECTURES[spec.name]
  const { alpha = 1, size = arch.size, classes = 1000 } = spec
  if (!(alpha >= 0.01 && alpha <= 4)) {
    throw new ThimbleError('usage/arch', 'width multiplier out of range', { expected: '0.01 to 4', got: alpha })
  }
  if (!Number.isInteger(size) || size < arch.minSize || size > 2048) {
    throw new ThimbleError('usage/arch', `input size out of range for ${spec.name}`, {
      expected: `${arch.minSize} to 2048`,
      got: size,
    })
  }
  if (!Number.isInteger(classes) || classes < 1 || classes > 100000) {
    throw new ThimbleError('usage/arch', 'number of classes out of range', { expected: '1 to 100000', got: classes })
  }
  const graph = arch.build({ alpha, size, classes, numbers, seed })
  graph.metadata.name = `${spec.name}_${alpha}_${size}`
  graph.metadata.source = `random weights, seed ${seed}`
  return graph
}

/**
 * Figures from the papers: multiply-adds and parameters in millions, ImageNet top-1 in percent, and what is to be said
 * of them.
 */
export interface Published {
  macs?: number
  params?: number
  top1?: number
  source: string
  top1Source: string
  notes: { macs?: string; params?: string }
  /** Whether the counts give the figure, rounded as it is. */
  follows: { macs?: boolean; params?: boolean }
}

function figuresOf(spec: ArchSpec): PublishedFigures | undefined {
  const key = `${spec.name} ${spec.alpha ?? 1} ${spec.size ?? ARCHITECTURES[spec.name]?.size}`
  return Object.hasOwn(PUBLISHED, key) && (spec.classes ?? 1000) === 1000 ? PUBLISHED[key] : undefined
}

/** Published ImageNet top-1 in percent. */
export const publishedTop1 = (spec: ArchSpec): number | undefined => figuresOf(spec)?.top1

/** Published figures of a network of 1000 classes; undefined when there are none. */
export function published(spec: ArchSpec): Published | undefined {
  const known = figuresOf(spec)
  if (!known) return undefined
  const { source, top1, top1Source = source, ...figures } = known
  const counts = countArch(buildArch(spec, 'shape'))
  const out: Published = { source, top1Source, notes: {}, follows: {}, ...(top1 !== undefined ? { top1 } : {}) }
  for (const kind of ['macs', 'params'] as const) {
    const figure = figures[kind]
    if (!figure) continue
    out[kind] = figure.millions
    out.follows[kind] = derived(kind, figure, counts) === figure.millions
    const about = note(figure, counts)
    if (about) out.notes[kind] = about
  }
  return out
}

function note(figure: Figure, counts: ArchCounts): string | undefined {
  if (figure.open) return figure.open(counts)
  return figure.of ? COUNTED[figure.of].text : figure.rounded ? 'rounded down' : undefined
}

/**
 * Multiplications of one layer, full and depthwise separable: the worked example is 8x8x3 to 8x8x256 with 5x5 kernels.
 */
export function separableExample(
  size = 8,
  channels = 3,
  filters = 256,
  kernel = 5,
): { full: number; separable: number; ratio: number } {
  const full = size * size * filters * kernel * kernel * channels
  const separable = size * size * channels * kernel * kernel + size * size * channels * filters
  return { full, separable, ratio: full / separable }
}
