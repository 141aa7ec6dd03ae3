/** Entry point for browsers and other engines that compile wasm from bytes: URLs, bytes, responses, packed modules. */
import {
  createClassifier as classifierOf,
  type Classifier,
  type ClassifierOptions,
  type DecodeLater,
} from './classifier.ts'
import type { Engine } from './engine.ts'
import { ThimbleError } from './errors.ts'
import { decodeInBrowser } from './image/browser-decode.ts'
import { loadBytes } from './load.ts'
import { checkLoadOptions } from './load-options.ts'
import { loadPackedModule } from './packed-module.ts'
import type { LoadOptions, Model, Prediction } from './types.ts'

export * from './index.ts'
export { decodeInBrowser } from './image/browser-decode.ts'

export type ModelSource = string | URL | Uint8Array | ArrayBuffer | Response | WebAssembly.Module

async function fetchBytes(source: string | URL | Response): Promise<Uint8Array> {
  const response = source instanceof Response ? source : await fetch(source)
  if (!response.ok) {
    throw new ThimbleError('format/fetch', `the server answered ${response.status}`, {
      got: response.url,
      hint: 'check the address of the model',
    })
  }
  return new Uint8Array(await response.arrayBuffer())
}

/**
 * Loads a model. `source`: URL of a .tflite or .thimble file, its bytes, a fetch Response, or a WebAssembly.Module made
 * by `thimble pack`. Errors: ThimbleError `format/…`, `lower/…`, `plan/…`, `runtime/…`.
 */
export async function loadModel(source: ModelSource, options: LoadOptions = {}): Promise<Engine> {
  checkLoadOptions(options)
  if (source instanceof WebAssembly.Module) return loadPackedModule(source, options)
  if (typeof source === 'string' || source instanceof URL || source instanceof Response) {
    return loadBytes(await fetchBytes(source), options, source instanceof Response ? source.url : String(source))
  }
  if (source instanceof ArrayBuffer) return loadBytes(new Uint8Array(source), options)
  if (source instanceof Uint8Array) return loadBytes(source, options)
  throw new ThimbleError('usage/source', 'not a model source', {
    expected: 'a URL, bytes, Response or WebAssembly.Module',
    got: Object.prototype.toString.call(source),
  })
}

/**
 * Makes a classifier of a loaded model: image in, labels with probabilities out. Takes pixels (ImageData) at once, or
 * the bytes of an image file, decoded by the browser, as a promise.
 */
export async function createClassifier(
  model: Model,
  options: ClassifierOptions<DecodeLater> = {},
): Promise<Classifier<Promise<Prediction[]>>> {
  return classifierOf(model, { ...options, decode: options.decode ?? decodeInBrowser })
}
