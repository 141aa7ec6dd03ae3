/** `thimble/quantize`: float models to 8-bit ones, in Node and in pages. */
export { ThimbleError } from './base/errors.ts'
export {
  type CalibrationInput,
  quantizeModel,
  type QuantizedModel,
  type QuantizeModelOptions,
} from './quantize/model.ts'
export type { Summary } from './quantize/evaluate.ts'
export type { Sample } from './quantize/quantize.ts'
export type { SchemeName } from './quantize/scheme.ts'
export type { ImageSource, PixelFormat, RawFrame } from './image/source.ts'
export type { Preprocess } from './graph/graph.ts'
