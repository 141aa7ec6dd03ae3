/**
 * The kernels that depthwise convolutions of a window of their own may use. A new one is a file
 * assembly/kernels/depthwise*-*.ts, its opcode and its row here.
 */
import type { Loader } from '../kernels/packers.ts'
import {
  OP_DEPTHWISE3X3,
  OP_DEPTHWISE3X3_DOT,
  OP_DEPTHWISE3X3_PRODUCTS,
  OP_DEPTHWISE3X3_WIDE,
  OP_DEPTHWISE5X5,
} from '../generated/layout.ts'
import type { Kernels, Variant } from '../graph/types.ts'
import { align, littleEndian } from '../base/words.ts'
import type { Target } from './context.ts'
import { fillsPanels, type PackedFilter } from './gemm.ts'
import {
  packDepthwise3x3,
  packDepthwise3x3Wide,
  packPairs,
  PAIRS_5X5_S1,
  PAIRS_5X5_S2,
  panelStarts,
  wideOrder,
  type PairPanels,
} from './pack.ts'
import type { Weights } from './weights.ts'

export interface DepthwiseForm {
  op: number
  name: string
  /** Rows and columns of the window. */
  window: number
  /** Variants whose runtime holds it, and kernel sets that take it; DEPTHWISE_FORMS lists the best first. */
  variants: readonly Variant[]
  kernels: readonly Kernels[]
  /** Pixels that it may read past the end of its input, by horizontal stride. */
  overread: Readonly<Record<number, number>>
  /** Whether the kernel is exact for weights [taps][channels] with this zero point, at this horizontal stride. */
  legal?(weights: Int8Array, zero: number, channels: number, stride: number): boolean
  /**
   * Whether it is there for, and good at, so many channels at this horizontal stride; default: with a whole panel of
   * them.
   */
  suits?(channels: number, stride: number): boolean
  /** weights [taps][channels] in this kernel's order. */
  packWeights(weights: Int8Array, zero: number, channels: number): Int16Array | Int8Array
  /** Bytes of that for each `width` (default: eight) channels. */
  panelBytes: number
  width?: number
  /** Bias and scale in this kernel's order; default: in panels of `width`. */
  order?<T extends Int32Array | Float32Array>(v: T): T
  /** Bytes of scratch; default: none. */
  scratch?: number
  /** The same by the runtime's packer, see Recipe. */
  loadWeights?(loader: Loader, to: number, w: Weights): boolean
  /**
   * Writes the plain bias (in panel order) and folds the input's zero point in, given weights that are loaded already.
   */
  foldBias?(loader: Loader, to: number, layer: PackedFilter): boolean
}

function load3x3({ runtime, memory, staging, stagingBytes }: Loader, to: number, w: Weights): boolean {
  if (!runtime.pack_depthwise3x3 || w.raw.length > stagingBytes) return false
  memory.set(w.raw, staging)
  runtime.pack_depthwise3x3(to, staging, w.bias.length, w.zero, w.flip)
  return true
}

/** Five of a panel's seven pairs of vectors hold every tap once. */
function fold3x3({ runtime, memory }: Loader, to: number, { plain, weights, w }: PackedFilter): boolean {
  if (!runtime.fold_gemm_4x8) return false
  memory.set(littleEndian(plain), to)
  if (w.inputZero) runtime.fold_gemm_4x8(to, weights.address, weights.bytes / 224, 5, 64, w.inputZero)
  return true
}

/** Whether no channel has -128 at both taps of a pair: products that the kernel adds in 16 bits. */
function pairsFit(weights: Int8Array, channels: number, pairs: readonly (readonly [number, number])[]): boolean {
  return pairs.every(([a, b]) => {
    for (let c = 0; c < channels; c++) {
      if (weights[a * channels + c] === -128 && weights[b * channels + c] === -128) return false
    }
    return true
  })
}

/** Taps ky * 3 + kx whose products depthwise3x3-products.ts adds in 16 bits, by stride. */
const PRODUCT_PAIRS: Record<number, readonly (readonly [number, number])[]> = {
  1: [
    [2, 8],
    [1, 2],
    [4, 5],
    [0, 1],
    [3, 4],
    [3, 6],
  ],
  2: [
    [0, 1],
    [3, 4],
    [2, 6],
    [5, 7],
  ],
}
/** And those that an engine without a dot product instruction adds for depthwise3x3-dot.ts. */
const DOT_PAIRS = [
  [0, 3],
  [1, 4],
  [2, 5],
] as const

/** The zero point's negative is an int8 weight of its own, and its pairs of products fit 16 bits. */
const zeroFits = (zero: number): boolean => zero >= -127 && zero <= 127

/** Stages the filter and a table of taps behind it; where the table is, or undefined without room for both. */
function stageTaps(
  { memory, staging, stagingBytes }: Loader,
  w: Weights,
  taps: readonly (readonly number[])[],
): number | undefined {
  const table = staging + align(w.raw.length, 16)
  const numbers = Int8Array.from(taps.flat())
  if (table + numbers.length > staging + stagingBytes) return undefined
  memory.set(w.raw, staging)
  memory.set(littleEndian(numbers), table)
  return table
}

const foldTaps =
  (width: number): NonNullable<DepthwiseForm['foldBias']> =>
  ({ runtime, memory, staging, stagingBytes }, to, { plain, w }) => {
    if (!runtime.fold_taps || w.raw.length > stagingBytes) return false
    memory.set(littleEndian(plain), to)
    if (!w.inputZero) return true
    memory.set(w.raw, staging)
    runtime.fold_taps(to, staging, w.bias.length, width, w.raw.length / w.bias.length, w.zero, w.flip, w.inputZero)
    return true
  }

/** Weights and bias of the forms that keep them int8. `vectors`: taps per vector as for packTaps. */
const byTaps = (
  vectors: readonly (readonly number[])[],
): Pick<DepthwiseForm, 'packWeights' | 'loadWeights' | 'foldBias'> => ({
  packWeights: (weights, _, channels) => packTaps(weights, channels, vectors),
  loadWeights(loader, to, w) {
    const table = loader.runtime.pack_taps && stageTaps(loader, w, vectors)
    if (table !== undefined) {
      loader.runtime.pack_taps!(to, loader.staging, w.bias.length, vectors.length, vectors[0]!.length, table, w.flip)
    }
    return table !== undefined
  },
  foldBias: foldTaps(8),
})

/** And of those that keep pairs of i16, in panels of `width`. */
const byPairs = (
  pairs: PairPanels['pairs'],
  width: number,
): Pick<DepthwiseForm, 'packWeights' | 'loadWeights' | 'foldBias'> => ({
  packWeights: (weights, zero, channels) => packPairs(weights, zero, channels, { pairs, width }),
  loadWeights(loader, to, w) {
    const table = loader.runtime.pack_pairs && stageTaps(loader, w, pairs)
    if (table !== undefined) {
      loader.runtime.pack_pairs!(to, loader.staging, w.bias.length, width, pairs.length, table, w.zero, w.flip)
    }
    return table !== undefined
  },
  foldBias: foldTaps(width),
})

/** [block of 8 channels][vector][8 channels][bytes] i8 from taps per vector; tap -1: zero. */
function packTaps(weights: Int8Array, channels: number, vectors: readonly (readonly number[])[]): Int8Array {
  const starts = panelStarts(channels, 8)
  const bytes = vectors[0]!.length
  const out = new Int8Array(starts.length * vectors.length * 8 * bytes)
  starts.forEach((start, p) =>
    vectors.forEach((taps, v) => {
      for (let c = 0; c < 8; c++) {
        taps.forEach((tap, i) => {
          if (tap >= 0) out[((p * vectors.length + v) * 8 + c) * bytes + i] = weights[tap * channels + start + c]!
        })
      }
    }),
  )
  return out
}

export const DEPTHWISE_FORMS: readonly DepthwiseForm[] = [
  {
    op: OP_DEPTHWISE3X3_DOT,
    name: 'depthwise-3x3-dot',
    window: 3,
    variants: ['relaxed'],
    kernels: ['arm-dot'],
    overread: { 1: 1, 2: 2 },
    panelBytes: 96,
    legal: (weights, zero, channels) => zeroFits(zero) && pairsFit(weights, channels, DOT_PAIRS),
    ...byTaps([
      [0, 3, 6, -1],
      [1, 4, 7, -1],
      [2, 5, 8, -1],
    ]),
  },
  {
    op: OP_DEPTHWISE3X3_PRODUCTS,
    name: 'depthwise-3x3-products',
    window: 3,
    variants: ['simd', 'relaxed'],
    kernels: ['arm', 'arm-dot'],
    overread: { 1: 1, 2: 3 },
    panelBytes: 112,
    legal: (weights, zero, channels, stride) => zeroFits(zero) && pairsFit(weights, channels, PRODUCT_PAIRS[stride]!),
    ...byTaps([
      [0, 3],
      [1, 4],
      [2, 5],
      [6, 7],
      [8, -1],
      [-1, 6],
      [7, 8],
    ]),
  },
  {
    op: OP_DEPTHWISE3X3_WIDE,
    name: 'depthwise-3x3-wide',
    window: 3,
    variants: ['simd'],
    kernels: ['avx2'],
    overread: { 1: 1 },
    panelBytes: 448,
    width: 16,
    suits: (channels, stride) => stride === 1 && fillsPanels(16)(channels),
    packWeights: packDepthwise3x3Wide,
    order: wideOrder,
    scratch: 48,
  },
  {
    op: OP_DEPTHWISE3X3,
    name: 'depthwise-3x3',
    window: 3,
    variants: ['simd', 'relaxed'],
    kernels: ['generic', 'x86', 'x86-vnni', 'arm', 'arm-dot', 'avx2'],
    overread: { 1: 1, 2: 0 },
    panelBytes: 224,
    packWeights: packDepthwise3x3,
    loadWeights: load3x3,
    foldBias: fold3x3,
  },
  {
    op: OP_DEPTHWISE5X5,
    name: 'depthwise-5x5',
    window: 5,
    variants: ['simd', 'relaxed'],
    kernels: ['generic', 'x86', 'x86-vnni', 'arm', 'arm-dot', 'avx2'],
    overread: { 1: 1 },
    panelBytes: 256,
    width: 4,
    suits: (channels, stride) => stride === 1 && channels >= 4,
    ...byPairs(PAIRS_5X5_S1, 4),
  },
  {
    op: OP_DEPTHWISE5X5,
    name: 'depthwise-5x5',
    window: 5,
    variants: ['simd', 'relaxed'],
    kernels: ['generic', 'x86', 'x86-vnni', 'arm', 'arm-dot', 'avx2'],
    overread: { 2: 1 },
    panelBytes: 416,
    suits: (channels, stride) => stride === 2 && channels >= 8,
    ...byPairs(PAIRS_5X5_S2, 8),
  },
]

/** The kernel to use for weights [window * window][channels], stride 1 or 2. */
export function depthwiseForm(
  { variant, kernels }: Target,
  weights: Weights,
  window: number,
  stride: number,
): DepthwiseForm | undefined {
  const channels = weights.bias.length
  return DEPTHWISE_FORMS.find(
    (f) =>
      f.window === window &&
      f.variants.includes(variant) &&
      f.kernels.includes(kernels) &&
      (f.suits?.(channels, stride) ?? channels >= (f.width ?? 8)) &&
      (f.legal?.(weights.data, weights.zero, channels, stride) ?? true),
  )
}
