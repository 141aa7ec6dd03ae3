/** The options of loadModel: their table, for every entry point. No dependencies, so that a Worker may have it. */
import { checkOptions, flag, listOf, oneOf, preprocessing, type Rule, type Rules, text, whole } from './options.ts'
import type { LoadOptions } from '../graph/types.ts'

/** Most worker threads. */
export const MOST_THREADS = 16

/** A list of shapes, with gaps for inputs that keep theirs, or shapes by name. */
const shapes: Rule = {
  expected: 'a list of shapes such as [[1, 320, 320, 3]], or an object of shapes by input name',
  accepts: (v) =>
    typeof v === 'object' &&
    v !== null &&
    Object.values(v).every(
      (s) => s === undefined || (Array.isArray(s) && s.every((d) => Number.isSafeInteger(d) && (d as number) >= 1)),
    ),
}

const LOAD: Rules<LoadOptions> = {
  variant: oneOf(['auto', 'simd', 'scalar', 'relaxed']),
  kernels: oneOf(['auto', 'generic', 'x86', 'x86-vnni', 'arm', 'arm-dot']),
  plan: oneOf(['speed', 'size']),
  fast: flag,
  threads: whole(1, MOST_THREADS),
  inputShapes: shapes,
  labels: { ...listOf(text), expected: 'a list of names' },
  preprocess: preprocessing,
}

/** Errors: `usage/option`, `usage/preprocess`. */
export const checkLoadOptions = (options?: LoadOptions, owner = 'loadModel'): LoadOptions =>
  checkOptions(owner, options, LOAD)
