/** Entry point for Cloudflare Workers and other isolates that may not compile wasm: takes an imported module only. */
import { createClassifier as classifierOf, type Classifier, type ClassifierOptions } from './classify/classifier.ts'
import type { WasmModule } from './base/host.ts'
import { type DecodeOptions, LIMITS } from './image/limits.ts'
import { ImageDecoder } from './image/wasm.ts'
import { checkLoadOptions } from './options/load-options.ts'
import { checkOptions, checkValue, group } from './options/options.ts'
import { loadPackedModule } from './engine/packed-module.ts'
import { notASource } from './options/source.ts'
import type { LoadOptions, Model } from './graph/types.ts'

export type { Classifier, ClassifierOptions } from './classify/classifier.ts'
export { ThimbleError } from './base/errors.ts'
export type * from './graph/types.ts'
export type { Metadata, Preprocess } from './graph/graph.ts'

/**
 * Instantiates a module made by `thimble pack` and imported by the Worker (`import model from './model.wasm'`).
 * Errors: `usage/source`, `format/packed-module`, `runtime/…`.
 *
 * @example worker
 * import { loadModel } from 'thimble/workerd'
 * import packed from './model.wasm'
 * const model = await loadModel(packed)
 * export default { fetch: () => Response.json(model.inputs) }
 */
export async function loadModel(source: WasmModule, options: LoadOptions = {}): Promise<Model> {
  if (!(source instanceof WebAssembly.Module)) {
    throw notASource(
      source,
      'an imported WebAssembly.Module: this platform cannot compile wasm',
      'thimble pack MODEL -o model.wasm, then import it',
    )
  }
  checkLoadOptions(options)
  return loadPackedModule(source, options)
}

/** Options of a classifier in a Worker, which decodes images with an imported module. */
export interface WorkerClassifierOptions extends ClassifierOptions {
  /**
   * The imported image module (`import image from 'thimble/image.wasm'`): with it, `classify` takes JPEG, PNG, BMP and
   * PNM bytes.
   */
  image?: WasmModule
  /** Most pixels and bytes of memory for an encoded image. Default 50 megapixels, 512 MiB: less is wise here. */
  imageLimits?: Pick<DecodeOptions, 'maxPixels' | 'maxBytes'>
}

/** The options that only this entry point has, checked. Errors: `usage/option`. */
function checkedOwn(options: WorkerClassifierOptions): WorkerClassifierOptions {
  if (typeof options !== 'object' || options === null) return checkOptions('createClassifier', options, {} as never)
  const { imageLimits } = options
  if (imageLimits !== undefined) checkValue('createClassifier: imageLimits', imageLimits, group(LIMITS))
  return options
}

/**
 * Makes a classifier of a loaded model: pixels in, or encoded bytes where the image module is given; labels with
 * probabilities out.
 * Errors: `usage/not-a-classifier`, `usage/labels`, `usage/preprocess`, `usage/option`, `image/unsupported-input`.
 *
 * @example worker
 * import { createClassifier, loadModel } from 'thimble/workerd'
 * import image from 'thimble/image.wasm'
 * import packed from './model.wasm'
 * const classifier = await createClassifier(await loadModel(packed), { image })
 * export default {
 *   fetch: async (request: Request) => Response.json(classifier.classify(new Uint8Array(await request.arrayBuffer()))),
 * }
 */
export async function createClassifier(model: Model, options: WorkerClassifierOptions = {}): Promise<Classifier> {
  const { image, imageLimits, ...rest } = checkedOwn(options)
  if (!image || typeof rest.decode === 'function') return classifierOf(model, rest)
  const decoder = new ImageDecoder(image, { ...imageLimits, decode: rest.decode ?? 'exact' })
  return classifierOf(model, {
    ...rest,
    prepare: (encoded, input, how, out) => decoder.prepare(encoded, input, how, out),
  })
}
