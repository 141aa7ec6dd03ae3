/** The public surface that every entry point shares. */
export { ThimbleError, type ErrorCode, type ErrorDetail } from './errors.ts'
export type { DType, Graph, Metadata, Preprocess, Quantization, Tensor } from './graph.ts'
export type * from './types.ts'
export { inspectModel } from './inspect.ts'
export type { Classifier, ClassifierOptions, ClassifyLimits, Timings } from './classifier.ts'
