/** The public surface that every entry point shares. */
export { ThimbleError, type ErrorCode, type ErrorDetail } from './base/errors.ts'
export type { DType, Graph, Metadata, Preprocess, Quantization, Tensor } from './graph/graph.ts'
export type * from './graph/types.ts'
import type { LoadOptions, ModelReport } from './graph/types.ts'

/**
 * Reports on a model file's bytes, for the variant and kernels that `options` name: tensors, ops, kernels,
 * multiply-adds, bytes of weights and arena. Unsupported ops are listed, not thrown. `name` is for messages.
 * Errors: `format/…` for a broken file, `usage/option`.
 *
 * @example
 * import { readFile } from 'node:fs/promises'
 * import { inspectModel } from 'thimble'
 * const { macs, arenaBytes, unsupported } = await inspectModel(await readFile('model.thimble'))
 * console.log(macs / 1e6, 'million multiply-adds,', arenaBytes, 'bytes of arena')
 * console.log(unsupported.length, 'unsupported ops')
 */
export async function inspectModel(bytes: Uint8Array, options: LoadOptions = {}, name?: string): Promise<ModelReport> {
  return (await import('./engine/inspect.ts')).inspectModel(bytes, options, name)
}
export type { Classifier, ClassifierOptions, ClassifyLimits, Timings } from './classify/classifier.ts'
