/** The architectures that `thimble arch` compares, their counts, and what their papers say of them. */
import { ThimbleError } from '../errors.ts'
import { elements, type Graph } from '../graph.ts'
import { opMacs } from '../inspect.ts'
import type { Numbers } from './builder.ts'
import { googlenet, inceptionV3, vgg16 } from './classic.ts'
import { efficientnetLite0, mobilenetV1, mobilenetV2, mobilenetV3, type ArchOptions } from './mobilenet.ts'

export type { ArchOptions } from './mobilenet.ts'
export type { Numbers } from './builder.ts'

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
  mobilenet_v1_full: { title: 'MobileNet V1, full convolutions', size: 224, minSize: 32, build: (o) => mobilenetV1(o, true) },
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
 * Builds an architecture. numbers: `int8` (runs in the runtime, exports to .tflite), `float32` (the same weights), `shape`.
 * Errors: `usage/arch` for an unknown name or values out of range.
 */
export function buildArch(spec: ArchSpec, numbers: Numbers = 'int8', seed = 1): Graph {
  if (!Object.hasOwn(ARCHITECTURES, spec.name)) throw new ThimbleError('usage/arch', 'unknown architecture', { expected: Object.keys(ARCHITECTURES).join(', '), got: String(spec.name) })
  const arch: Architecture = ARCHITECTURES[spec.name]
  const { alpha = 1, size = arch.size, classes = 1000 } = spec
  if (!(alpha >= 0.01 && alpha <= 4)) throw new ThimbleError('usage/arch', 'width multiplier out of range', { expected: '0.01 to 4', got: alpha })
  if (!Number.isInteger(size) || size < arch.minSize || size > 2048) throw new ThimbleError('usage/arch', `input size out of range for ${spec.name}`, { expected: `${arch.minSize} to 2048`, got: size })
  if (!Number.isInteger(classes) || classes < 1 || classes > 100000) throw new ThimbleError('usage/arch', 'number of classes out of range', { expected: '1 to 100000', got: classes })
  const graph = arch.build({ alpha, size, classes, numbers, seed })
  graph.metadata.name = `${spec.name}_${alpha}_${size}`
  graph.metadata.source = `random weights, seed ${seed}`
  return graph
}

export interface ArchCounts {
  /** Trained parameters with batch norm folded: filters and biases. */
  params: number
  /** Multiply-adds of convolutions and fully connected layers. */
  macs: number
  /** Bytes of the weights as int8 filters with int32 biases, and as float32. */
  int8Bytes: number
  floatBytes: number
}

/** Counts from shapes alone. */
export function countArch(graph: Graph): ArchCounts {
  const counts: ArchCounts = { params: 0, macs: 0, int8Bytes: 0, floatBytes: 0 }
  for (const op of graph.ops) {
    counts.macs += opMacs(graph, op)
    if (op.type !== 'CONV_2D' && op.type !== 'DEPTHWISE_CONV_2D' && op.type !== 'FULLY_CONNECTED') continue
    const [filter, bias] = [elements(graph.tensors[op.inputs[1]!]!.shape), elements(graph.tensors[op.inputs[2]!]!.shape)]
    counts.params += filter + bias
    counts.int8Bytes += filter + 4 * bias
    counts.floatBytes += 4 * (filter + bias)
  }
  return counts
}

/** Figures from the papers: multiply-adds and parameters in millions, ImageNet top-1 in percent (TF-slim's released weights). */
export interface Published { macs?: number; params?: number; top1?: number; source: string }

const V1_PAPER = 'arXiv 1704.04861'
/** Keyed by name, α and input size. */
const PUBLISHED: Record<string, Published> = {
  'mobilenet_v1 1 224': { macs: 569, params: 4.2, top1: 70.9, source: V1_PAPER }, 'mobilenet_v1 0.75 224': { macs: 325, params: 2.6, top1: 68.4, source: V1_PAPER },
  'mobilenet_v1 0.5 224': { macs: 149, params: 1.3, top1: 63.3, source: V1_PAPER }, 'mobilenet_v1 0.25 224': { macs: 41, params: 0.5, top1: 49.8, source: V1_PAPER },
  'mobilenet_v1 1 192': { macs: 418, params: 4.2, top1: 70, source: V1_PAPER }, 'mobilenet_v1 1 160': { macs: 290, params: 4.2, top1: 68, source: V1_PAPER }, 'mobilenet_v1 1 128': { macs: 186, params: 4.2, top1: 65.2, source: V1_PAPER },
  'mobilenet_v1 0.75 192': { top1: 67.2, source: 'TF-slim' }, 'mobilenet_v1 0.75 160': { top1: 65.3, source: 'TF-slim' }, 'mobilenet_v1 0.75 128': { top1: 62.1, source: 'TF-slim' },
  'mobilenet_v1 0.5 192': { top1: 61.7, source: 'TF-slim' }, 'mobilenet_v1 0.5 160': { top1: 59.1, source: 'TF-slim' }, 'mobilenet_v1 0.5 128': { top1: 56.3, source: 'TF-slim' },
  'mobilenet_v1 0.25 192': { top1: 47.7, source: 'TF-slim' }, 'mobilenet_v1 0.25 160': { top1: 45.5, source: 'TF-slim' }, 'mobilenet_v1 0.25 128': { top1: 41.5, source: 'TF-slim' },
  'mobilenet_v1_full 1 224': { macs: 4866, params: 29.3, top1: 71.7, source: V1_PAPER },
  'mobilenet_v2 1 224': { macs: 300, params: 3.4, top1: 72, source: 'arXiv 1801.04381' }, 'mobilenet_v2 1.4 224': { macs: 585, params: 6.9, top1: 74.7, source: 'arXiv 1801.04381' },
  'mobilenet_v3_small 1 224': { macs: 56, params: 2.5, top1: 67.4, source: 'arXiv 1905.02244' }, 'mobilenet_v3_large 1 224': { macs: 219, params: 5.4, top1: 75.2, source: 'arXiv 1905.02244' },
  'efficientnet_lite0 1 224': { macs: 407, params: 4.7, top1: 75.1, source: 'EfficientNet-Lite release' },
  'googlenet 1 224': { macs: 1550, params: 6.8, top1: 69.8, source: V1_PAPER }, 'vgg16 1 224': { macs: 15300, params: 138, top1: 71.5, source: V1_PAPER }, 'inception_v3 1 299': { params: 23.2, top1: 78, source: V1_PAPER },
}

export function published(spec: ArchSpec): Published | undefined {
  const key = `${spec.name} ${spec.alpha ?? 1} ${spec.size ?? ARCHITECTURES[spec.name]?.size}`
  return Object.hasOwn(PUBLISHED, key) ? PUBLISHED[key] : undefined
}

/** Multiplications of one layer, full and depthwise separable: the worked example is 8x8x3 to 8x8x256 with 5x5 kernels. */
export function separableExample(size = 8, channels = 3, filters = 256, kernel = 5): { full: number; separable: number; ratio: number } {
  const full = size * size * filters * kernel * kernel * channels
  const separable = size * size * channels * kernel * kernel + size * size * channels * filters
  return { full, separable, ratio: full / separable }
}
