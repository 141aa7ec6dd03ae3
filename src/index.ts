/** The public surface that every entry point shares. */
export { ThimbleError, type ErrorCode, type ErrorDetail } from './errors.ts'
export type { DType, Graph, Metadata, Preprocess, Quantization, Tensor } from './graph.ts'
export type * from './types.ts'
import type { inspectModel as inspect } from './inspect.ts'
import type { ModelReport } from './types.ts'

/**
 * Reports on a model file's bytes without running it: tensors, ops, kernels, counts, memory. Unsupported ops are listed.
 * Errors: `format/…` for a file that is broken or no model, `usage/option`.
 */
export const inspectModel = async (...args: Parameters<typeof inspect>): Promise<ModelReport> =>
  (await import('./inspect.ts')).inspectModel(...args)

export type { Classifier, ClassifierOptions, ClassifyLimits, Timings } from './classifier.ts'
