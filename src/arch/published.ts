/**
 * What the papers say of the architectures, and how each figure follows from the counts: which of the counts it is, and
 * how it is rounded. A figure that does not follow from its published architecture says so, with the arithmetic.
 * Sources of each are in its `source`; top-1 is ImageNet validation, single crop, in percent.
 */
import type { ArchCounts } from './count.ts'

/** One published figure, in millions. */
export interface Figure {
  millions: number
  /** Digits after the point; -2 rounds to hundreds of millions. */
  decimals: number
  /** Default: to nearest. */
  rounded?: 'down'
  /** Default: the whole network. */
  of?: keyof typeof COUNTED
  /** Why it does not follow from the architecture; the arithmetic, from the counts. */
  open?(c: ArchCounts): string
}

export interface PublishedFigures {
  macs?: Figure
  params?: Figure
  top1?: number
  source: string
  top1Source?: string
}

/** What a figure counts, where it is not the whole network. */
export const COUNTED = {
  convolutions: {
    text: 'convolutions only, without the fully connected layers',
    macs: (c: ArchCounts) => c.convMacs,
    params: (c: ArchCounts) => c.params,
  },
  filters: {
    text: "filters only, in thousands of 1024 as in GoogLeNet's table 1 (its 112K are 114,688)",
    macs: (c: ArchCounts) => c.macs,
    params: (c: ArchCounts) => (c.filterParams * 1000) / 1024,
  },
  'batch norm': {
    text: 'batch norm not folded: a scale and a shift per channel',
    macs: (c: ArchCounts) => c.macs,
    params: (c: ArchCounts) => c.params + c.convBiases,
  },
} as const

/** The count that a figure is about, rounded as it is. */
export function derived(kind: 'macs' | 'params', f: Figure, c: ArchCounts): number {
  const exact = (f.of ? COUNTED[f.of][kind](c) : c[kind]) / 1e6
  const unit = 10 ** -f.decimals
  return Number(
    ((f.rounded === 'down' ? Math.floor(exact / unit) : Math.round(exact / unit)) * unit).toFixed(
      Math.max(0, f.decimals),
    ),
  )
}

const m = (n: number, decimals = 2): string => `${(n / 1e6).toFixed(decimals)} M`
const whole = (millions: number, how: Omit<Figure, 'millions' | 'decimals'> = {}): Figure => ({
  millions,
  decimals: 0,
  ...how,
})
const tenths = (millions: number, how: Omit<Figure, 'millions' | 'decimals'> = {}): Figure => ({
  millions,
  decimals: 1,
  ...how,
})

const V1 = 'arXiv 1704.04861'
const V2 = 'arXiv 1801.04381, table 4'
const V3 = 'arXiv 1905.02244, table 3'
/** github.com/tensorflow/models, research/slim: README.md and nets/mobilenet_v1.md. */
const SLIM = 'TF-slim'

/** GoogLeNet's own table 1, in millions of operations, from `convolution` to `linear`. */
const GOOGLENET_OPS = [34, 360, 128, 304, 73, 88, 100, 119, 170, 54, 71, 1]
/**
 * A full 7x7 convolution of 3 channels to 64 at 112x112, and the separable one (depth multiplier 8) that table 1's
 * `2.7K` parameters and `34M` operations are.
 */
export const GOOGLENET_STEM = { full: 7 * 7 * 3 * 64 * 112 ** 2, separable: (7 * 7 * 3 * 8 + 3 * 8 * 64) * 112 ** 2 }

function googlenetMacs(c: ArchCounts): string {
  const separable = c.macs - GOOGLENET_STEM.full + GOOGLENET_STEM.separable
  return `does not follow from GoogLeNet's paper: its table 1 sums to ${GOOGLENET_OPS.reduce((a, b) => a + b)} M, with the first 7x7 convolution depthwise separable (${m(GOOGLENET_STEM.separable, 1)}; the whole is then ${m(separable, 1)}); with the full 7x7 drawn in the paper (${m(GOOGLENET_STEM.full, 1)}) it is ${m(c.macs, 1)}`
}

function inceptionParams(c: ArchCounts): string {
  const perClass = 2049
  const body = c.params - 1000 * perClass
  return `does not follow from the architecture: ${m(body)} before the classifier and ${perClass} a class make ${m(body + 120 * perClass)} with the 120 classes of that table and ${m(c.params)} with 1000; 23.2 M would take ${Math.round((23.2e6 - body) / perClass)}`
}

const v1 = (macs: Figure, params: number): PublishedFigures => ({
  macs,
  params: tenths(params),
  source: `${V1}, tables 6 and 7`,
})
/**
 * Top-1 of TF-slim's MobileNet V1 by size 224, 192, 160, 128: the paper prints seven of the sixteen, of another
 * training and within 0.9.
 */
const V1_TOP1: Record<string, readonly number[]> = {
  1: [70.9, 70, 68, 65.2],
  0.75: [68.4, 67.2, 65.3, 62.1],
  0.5: [63.3, 61.7, 59.1, 56.3],
  0.25: [49.8, 47.7, 45.5, 41.5],
}

/** Keyed by name, α and input size. */
export const PUBLISHED: Record<string, PublishedFigures> = {
  'mobilenet_v1 1 224': v1(whole(569), 4.2),
  'mobilenet_v1 0.75 224': v1(whole(325), 2.6),
  'mobilenet_v1 0.5 224': v1(whole(149), 1.3),
  'mobilenet_v1 0.25 224': v1(whole(41), 0.5),
  'mobilenet_v1 1 192': v1(whole(418), 4.2),
  'mobilenet_v1 1 160': v1(whole(290, { of: 'convolutions' }), 4.2),
  'mobilenet_v1 1 128': v1(whole(186), 4.2),
  'mobilenet_v1_full 1 224': {
    macs: whole(4866, { of: 'convolutions' }),
    params: tenths(29.3),
    top1: 71.7,
    source: `${V1}, table 4`,
  },
  'mobilenet_v2 1 224': {
    macs: whole(300, { rounded: 'down' }),
    params: tenths(3.4, { rounded: 'down' }),
    top1: 72,
    source: V2,
  },
  'mobilenet_v3_small 1 224': { macs: whole(56, { rounded: 'down' }), params: tenths(2.5), top1: 67.4, source: V3 },
  'mobilenet_v3_large 1 224': {
    macs: whole(219, {
      open: (c) =>
        `does not follow from the paper's table 1: its layers are ${m(c.macs, 1)}, and the authors' released model is listed with 217`,
    }),
    params: tenths(5.4, { rounded: 'down' }),
    top1: 75.2,
    source: V3,
  },
  'mobilenet_v3_large 0.75 224': { macs: whole(155), params: tenths(4), top1: 73.3, source: V3 },
  'efficientnet_lite0 1 224': {
    macs: whole(407, {
      open: (c) => `does not follow from the layers: convolutions and the classifier are ${m(c.macs, 1)}`,
    }),
    params: tenths(4.7, { of: 'batch norm' }),
    top1: 75.1,
    source: 'github.com/tensorflow/tpu, models/official/efficientnet/lite',
  },
  'googlenet 1 224': {
    macs: whole(1550, { open: googlenetMacs }),
    params: tenths(6.8, { of: 'filters' }),
    top1: 69.8,
    source: `${V1}, table 8`,
  },
  'vgg16 1 224': {
    macs: { millions: 15300, decimals: -2, of: 'convolutions' },
    params: whole(138),
    top1: 71.5,
    source: `${V1}, table 8`,
  },
  'inception_v3 1 299': {
    params: tenths(23.2, { open: inceptionParams }),
    top1: 78,
    source: `${V1}, table 10`,
    top1Source: SLIM,
  },
}
for (const [alpha, row] of Object.entries(V1_TOP1)) {
  row.forEach((top1, i) => {
    const key = `mobilenet_v1 ${alpha} ${[224, 192, 160, 128][i]}`
    PUBLISHED[key] = { ...(PUBLISHED[key] ?? { source: SLIM }), top1, top1Source: SLIM }
  })
}
