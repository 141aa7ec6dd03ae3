/**
 * Every choice of variant and kernels that this engine runs exactly; tests take each in turn. THIMBLE_FAST=1: only
 * `fast`, which must then be there (test/engines/fast.test.ts starts tests so, on a Node that has it).
 */
import './relaxed.ts'
import { engineFeatures, KERNELS } from '../src/kernels/kernels.ts'
import { fastRuntime } from '../src/engine/load-node.ts'
import { PLAIN } from '../src/engine/runtime.ts'
import type { Kernels, LoadOptions, Variant } from '../src/graph/types.ts'

export interface Choice {
  variant: Variant
  kernels: Kernels
}

/** What loads a model so. */
export const optionsOf = (c: Choice): LoadOptions => (c.kernels === 'avx2' ? { fast: true } : { ...c })

const features = engineFeatures()

/**
 * Choices that can't run here, with the reason; test/kernels.test.ts skips them by name, for all tests. `fast` is not
 * among them: test/engines/fast.test.ts runs tests with it on a Node that has it, or is skipped.
 */
export const missing: { name: string; reason: string }[] = []

async function choices(): Promise<Choice[]> {
  const fast = await fastRuntime()
  const avx2: Choice = { variant: 'simd', kernels: 'avx2' }
  if (process.env.THIMBLE_FAST === '1') {
    if (!fast.module) throw new Error(`no fast runtime here: ${fast.why}`)
    return [avx2]
  }
  const simd = KERNELS.filter((k) => !PLAIN[k]).map((kernels) => ({ variant: 'simd' as const, kernels }))
  const out: Choice[] = [...simd, { variant: 'scalar', kernels: 'generic' }]
  if (!features.relaxed) missing.push({ name: 'relaxed', reason: 'this engine has no relaxed SIMD' })
  else out.push({ variant: 'relaxed', kernels: 'generic' })
  if (features.unsignedDot) out.push({ variant: 'relaxed', kernels: 'x86-vnni' })
  else missing.push({ name: 'relaxed with x86-vnni kernels', reason: 'this engine has no VPDPBUSD' })
  if (features.signedDot) out.push({ variant: 'relaxed', kernels: 'arm-dot' })
  else missing.push({ name: 'relaxed with arm-dot kernels', reason: 'this engine has no signed relaxed dot product' })
  if (fast.module) out.push(avx2)
  return out
}

export const CHOICES: readonly Choice[] = await choices()

export const nameOf = (c: Choice): string => (c.kernels === 'generic' ? c.variant : `${c.variant} ${c.kernels}`)
