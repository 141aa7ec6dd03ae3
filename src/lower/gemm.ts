/**
 * The GEMM microkernels a convolution may use: one row per `form` of a ConvRecord. A new microkernel is a file
 * assembly/kernels/gemm-*.ts, its case in conv.ts and its row here.
 */
import type { Variant } from '../types.ts'
import { packGemm, paddedSegment } from './pack.ts'

export interface GemmForm {
  /** `form` of the record. */
  id: number
  /** `gemm-` pixels x channels, and what tells it from others of that size. */
  name: string
  /** Pixels a tile, channels a panel; mr <= 8. */
  mr: number
  nr: number
  /** Variants whose runtime holds it. */
  variants: readonly Variant[]
  /** Bytes of panel for one segment of `bytes` contiguous input bytes. */
  panelBytes(bytes: number): number
  /** Weights [channels][k] int8 minus `zero`, k in segments of `segment`, in this kernel's order. */
  packWeights(weights: Int8Array, zero: number, channels: number, k: number, segment: number): Int16Array | Int8Array
}

export const GEMM_FORMS: readonly GemmForm[] = [
  {
    id: 0, name: 'gemm-4x8', mr: 4, nr: 8, variants: ['simd', 'relaxed'],
    panelBytes: bytes => paddedSegment(bytes) * 8,
    packWeights: packGemm
  }
]

/** The form to use in a variant. */
export function gemmForm(variant: Variant): GemmForm {
  return GEMM_FORMS.find(f => f.variants.includes(variant)) ?? GEMM_FORMS[0]!
}
