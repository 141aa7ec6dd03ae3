/** Every choice of variant and kernels that this engine runs exactly; tests take each in turn. */
import './relaxed.ts'
import { engineFeatures, KERNELS } from '../src/kernels.ts'
import type { Kernels, Variant } from '../src/types.ts'

export interface Choice { variant: Variant; kernels: Kernels }

const features = engineFeatures()

/** Choices that can't run here, with the reason, to be skipped by name. */
export const missing: { name: string; reason: string }[] = []

function choices(): Choice[] {
  const simd = KERNELS.filter(k => k !== 'arm-dot').map(kernels => ({ variant: 'simd' as const, kernels }))
  const out: Choice[] = [...simd, { variant: 'scalar', kernels: 'generic' }]
  if (!features.relaxed) missing.push({ name: 'relaxed', reason: 'this engine has no relaxed SIMD' })
  else out.push({ variant: 'relaxed', kernels: 'generic' })
  if (features.signedDot) out.push({ variant: 'relaxed', kernels: 'arm-dot' })
  else missing.push({ name: 'relaxed with arm-dot kernels', reason: 'this engine has no signed relaxed dot product' })
  return out
}

export const CHOICES: readonly Choice[] = choices()

export const nameOf = (c: Choice): string => c.kernels === 'generic' ? c.variant : `${c.variant} ${c.kernels}`
