/** Entry point for browsers and other engines that compile wasm from bytes: URLs, bytes, responses, packed modules. */
import {
  createClassifier as classifierOf,
  type Classifier,
  type ClassifierOptions,
  type DecodeLater,
} from './classify/classifier.ts'
import type { HostResponse, HostUrl, WasmModule } from './base/host.ts'
import { decodeAnywhere } from './image/browser-decode.ts'
import { loadBytes } from './engine/load.ts'
import type * as PackedModules from './engine/packed-module.ts'
import { checkLoadOptions } from './options/load-options.ts'
import { fetchBytes, isWasm, notASource } from './options/source.ts'
import type { LoadOptions, Model, Prediction } from './graph/types.ts'

export * from './index.ts'
export { decodeAnywhere as decodeImage, decodeAnywhere, decodeInBrowser } from './image/browser-decode.ts'

/** Where a model comes from: URL, bytes, a fetch response, or a module made by `thimble pack`. */
export type ModelSource = string | HostUrl | Uint8Array | ArrayBuffer | HostResponse | WasmModule

/** What reads packed modules, for those who have one. */
const packedModules = (): Promise<typeof PackedModules> => import('./engine/packed-module.ts')

const loadAny = async (bytes: Uint8Array, options: LoadOptions, name?: string): Promise<Model> =>
  isWasm(bytes) ? (await packedModules()).loadWasm(bytes, options, name) : loadBytes(bytes, options, name)

/**
 * Loads a model. `source`: URL of a .tflite, .thimble or packed .wasm file, its bytes, a fetch Response, or a
 * WebAssembly.Module made by `thimble pack`. Errors: ThimbleError `format/…`, `lower/…`, `plan/…`, `runtime/…`,
 * `usage/…`.
 *
 * @example page
 * import { loadModel } from 'thimble/browser'
 * const model = await loadModel('/models/mobilenet_v2_1.0_224.thimble')
 * console.log(model.inputs[0]!.shape, model.why)
 */
export async function loadModel(source: ModelSource, options: LoadOptions = {}): Promise<Model> {
  checkLoadOptions(options)
  if (source instanceof WebAssembly.Module) return (await packedModules()).loadPackedModule(source, options)
  if (typeof source === 'string' || source instanceof URL || source instanceof Response) {
    return loadAny(await fetchBytes(source), options, source instanceof Response ? source.url : String(source))
  }
  if (source instanceof ArrayBuffer) return loadAny(new Uint8Array(source), options)
  if (source instanceof Uint8Array) return loadAny(source, options)
  throw notASource(source, 'a URL, bytes, Response or WebAssembly.Module')
}

/**
 * Makes a classifier of a loaded model: image in, labels with probabilities out. Takes pixels (ImageData) at once, or
 * the bytes of an image file, as a promise: JPEG, PNG, BMP and PNM by Thimble's own decoder, with the same pixels and
 * scores as on every host, other formats (WebP, AVIF, GIF) by the browser's. `decode: decodeInBrowser` leaves all to
 * the browser, whose pixels differ a little from those of other hosts.
 * Errors: `usage/not-a-classifier`, `usage/labels`, `usage/preprocess`, `usage/option`, `image/unsupported-input`.
 *
 * @example page
 * import { createClassifier, loadModel } from 'thimble/browser'
 * const classifier = await createClassifier(await loadModel('/model.thimble'))
 * const photo = await (await fetch('/photo.jpg')).arrayBuffer()
 * const [best] = await classifier.classify(photo)
 * console.log(best!.label)
 */
export async function createClassifier(
  model: Model,
  options: ClassifierOptions<DecodeLater> = {},
): Promise<Classifier<Promise<Prediction[]>>> {
  const decode = (options as ClassifierOptions<DecodeLater> | null)?.decode
  if (typeof decode === 'function') return classifierOf(model, { ...options, decode })
  const fast = decode === 'fast'
  // What is no object is refused there.
  return classifierOf(
    model,
    options && { ...options, decode: (bytes, wanted) => decodeAnywhere(bytes, fast ? { atLeast: wanted } : {}) },
  )
}
