/** What a caller's options come to on this engine: variant, kernels, the fast runtime, metadata. */
import { ThimbleError } from '../base/errors.ts'
import type { Metadata } from '../graph/graph.ts'
import { chooseVariant, type VariantChoice } from './runtime.ts'
import type { LoadOptions } from '../graph/types.ts'

/** Metadata with the caller's labels and preprocessing on top. */
export const withOptions = (metadata: Metadata, options: LoadOptions): Metadata => ({
  ...metadata,
  ...(options.labels ? { labels: options.labels } : {}),
  ...(options.preprocess ? { preprocess: options.preprocess } : {}),
})

/**
 * The runtime for `fast: true`, compiled and tested, or why there is none; it imports shared memory and has `avx2`
 * kernels.
 */
export interface FastRuntime {
  module?: WebAssembly.Module
  why: string
}
/** Where an entry point has it from. */
export type FastSource = () => Promise<FastRuntime>

export interface Choice extends VariantChoice {
  module?: WebAssembly.Module
}

/** Resolves `variant`, `kernels`, `threads` and `fast`; `module` is set where it is the fast runtime. */
export async function choose(options: LoadOptions, fast?: FastSource): Promise<Choice> {
  const one = (options.threads ?? 1) === 1
  const choice = chooseVariant(one ? options.variant : threadedVariant(options.variant), options.kernels)
  if (!options.fast) return choice
  const { module, why } = await (choice.variant !== 'simd' && choice.kernels !== 'x86-vnni'
    ? { why: `the ${choice.variant} variant has no fast kernels` }
    : !choice.kernels.startsWith('x86')
      ? { why: `${choice.kernels} kernels are in use` }
      : (fast?.() ?? { why: 'only Node has it' }))
  return module
    ? { variant: 'simd', kernels: 'avx2', module, why }
    : { ...choice, why: `${choice.why}; not fast: ${why}` }
}

function threadedVariant(wanted: LoadOptions['variant']): 'simd' {
  if (wanted !== undefined && wanted !== 'auto' && wanted !== 'simd') {
    throw new ThimbleError('usage/variant', 'threads run the simd variant only', { expected: 'simd', got: wanted })
  }
  return 'simd'
}
