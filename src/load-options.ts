/** The options of loadModel: their table, for every entry point. No dependencies, so that a Worker may have it. */
import { checkOptions, flag, listOf, oneOf, preprocessing, type Rules, text, whole } from './options.ts'
import type { LoadOptions } from './types.ts'

/** Most worker threads. */
export const MOST_THREADS = 16

const LOAD: Rules<LoadOptions> = {
  variant: oneOf(['auto', 'simd', 'scalar', 'relaxed']),
  kernels: oneOf(['auto', 'generic', 'x86', 'arm', 'arm-dot']),
  plan: oneOf(['speed', 'size']),
  fast: flag,
  threads: whole(1, MOST_THREADS),
  labels: { ...listOf(text), expected: 'a list of names' },
  preprocess: preprocessing,
}

/** Errors: `usage/option`, `usage/preprocess`. */
export const checkLoadOptions = (options?: LoadOptions, owner = 'loadModel'): LoadOptions =>
  checkOptions(owner, options, LOAD)
