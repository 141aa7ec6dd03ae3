/**
 * The GEMM microkernels a convolution may use: one row per `form` of a ConvRecord. A new microkernel is a file
 * assembly/kernels/gemm-*.ts, its case in conv.ts, its export in kernels/index.ts and its row here.
 */
import type { Kernels, Variant } from '../types.ts'
import { packGemm, packRows3x8c8, packRows4x16c4, paddedSegment } from './pack.ts'

export interface GemmForm {
  /** `form` of the record. */
  id: number
  /** `gemm-` pixels x channels, and what tells it from others of that size. */
  name: string
  /** Pixels a tile, channels a panel; mr <= 8. */
  mr: number
  nr: number
  /** Variants whose runtime holds it, and kernel sets that take it; GEMM_FORMS lists the best first. */
  variants: readonly Variant[]
  kernels: readonly Kernels[]
  /** Bytes of panel for one segment of `bytes` contiguous input bytes; 0 in forms that read rows of int8. */
  panelBytes(bytes: number): number
  /** Forms that read rows of int8: bytes of a row of `k`. They multiply raw weights and correct for their zero point. */
  rowBytes?(k: number): number
  /** Whether the kernel is exact for these weights. */
  legal?(weights: Int8Array, k: number): boolean
  /** Weights [channels][k] int8 with zero point `zero`, k in segments of `segment`, in this kernel's order. */
  packWeights(weights: Int8Array, zero: number, channels: number, k: number, segment: number): Int16Array | Int8Array
}

const multipleOf = (n: number) => (k: number): number => Math.ceil(k / n) * n

/** No weights k and k + 4 of a group of eight are both -128: their products' sum could leave 16 bits. */
export function pairsFit(weights: Int8Array, k: number): boolean {
  for (let row = 0; row < weights.length; row += k) {
    for (let i = 0; i + 4 < k; i++) if (weights[row + i] === -128 && weights[row + i + 4] === -128 && (i & 4) === 0) return false
  }
  return true
}

/** No two neighbouring weights 2i, 2i + 1 are both -128: engines may add two products of a relaxed dot in 16 bits. */
export function dotPairsFit(weights: Int8Array, k: number): boolean {
  for (let row = 0; row < weights.length; row += k) {
    for (let i = 0; i + 1 < k; i += 2) if (weights[row + i] === -128 && weights[row + i + 1] === -128) return false
  }
  return true
}

export const GEMM_FORMS: readonly GemmForm[] = [
  {
    id: 9, name: 'gemm-4x16c4-dot', mr: 4, nr: 16, variants: ['relaxed'], kernels: ['arm-dot'],
    panelBytes: () => 0, rowBytes: multipleOf(4), legal: dotPairsFit,
    packWeights: (weights, _, channels, k) => packRows4x16c4(weights, channels, k)
  },
  {
    id: 8, name: 'gemm-3x8c8', mr: 3, nr: 8, variants: ['simd', 'relaxed'], kernels: ['arm', 'arm-dot'],
    panelBytes: () => 0, rowBytes: multipleOf(8), legal: pairsFit,
    packWeights: (weights, _, channels, k) => packRows3x8c8(weights, channels, k)
  },
  {
    id: 0, name: 'gemm-4x8', mr: 4, nr: 8, variants: ['simd', 'relaxed'], kernels: ['x86', 'arm', 'arm-dot', 'generic'],
    panelBytes: bytes => paddedSegment(bytes) * 8,
    packWeights: packGemm
  }
]

/** The form to use for weights [channels][k] in a variant, for a set of kernels. */
export function gemmForm(variant: Variant, kernels: Kernels, weights: Int8Array, k: number): GemmForm {
  return GEMM_FORMS.find(f => f.variants.includes(variant) && f.kernels.includes(kernels) && (f.legal?.(weights, k) ?? true)) ?? GEMM_FORMS.at(-1)!
}
