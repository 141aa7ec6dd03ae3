/** Entry point for Node: files, URLs, bytes, responses and packed modules. */
import { readFile } from 'node:fs/promises'
import { createClassifier as classifierOf, type Classifier, type ClassifierOptions, type Decode } from './classifier.ts'
import type { Engine } from './engine.ts'
import { ThimbleError } from './errors.ts'
import simdRuntime from './generated/simd-core-raw.ts'
import type { FastRuntime } from './choice.ts'
import { loadBytes as loadWith } from './load.ts'
import { checkLoadOptions } from './load-options.ts'
import { isWasm, loadPackedModule, loadWasm } from './packed-module.ts'
import { embedRuntime } from './runtime.ts'
import { fetchBytes, isUrl, notASource } from './source.ts'
import type { LoadOptions, Model } from './types.ts'

export * from './index.ts'

export type ModelSource = string | URL | Uint8Array | ArrayBuffer | Response | WebAssembly.Module

/** Reads a file, with one clear error when it is missing, a folder, or too large. */
async function fileBytes(path: string | URL): Promise<Uint8Array> {
  try {
    return await readFile(path)
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    const what =
      code === 'ENOENT'
        ? 'no such file'
        : code === 'EISDIR'
          ? 'a folder, not a model file'
          : code === 'EACCES'
            ? 'no permission to read the file'
            : message
    throw new ThimbleError('format/file', `${what}: ${path}`, { cause: error })
  }
}

/** What `fast: true` runs on; loaded when it is asked for. */
export const fastRuntime = async (): Promise<FastRuntime> => (await import('./fast/runtime.ts')).fastRuntime()

/** Loads the bytes of a .tflite, .thimble or packed .wasm file, see `loadModel`; `name` is for messages. */
export async function loadBytes(bytes: Uint8Array, options: LoadOptions = {}, name?: string): Promise<Engine> {
  checkLoadOptions(options)
  if (isWasm(bytes)) return loadWasm(bytes, options, name)
  embedRuntime('simd-core', simdRuntime)
  return loadWith(bytes, options, name, fastRuntime)
}

/** The URL that a source names, if it names one. */
const urlOf = (source: string | URL): URL | undefined => {
  if (source instanceof URL) return source
  return isUrl(source) && URL.canParse(source) ? new URL(source) : undefined
}

/**
 * Loads a model. `source`: path of a .tflite, .thimble or packed .wasm file, a file: or http(s): URL, the bytes, a fetch
 * Response, or a WebAssembly.Module made by `thimble pack`. Errors: ThimbleError `format/…`, `lower/…`, `plan/…`,
 * `runtime/…`.
 */
export async function loadModel(source: ModelSource, options: LoadOptions = {}): Promise<Engine> {
  checkLoadOptions(options)
  if (source instanceof WebAssembly.Module) return loadPackedModule(source, options)
  if (typeof source === 'string' || source instanceof URL) {
    const url = urlOf(source)
    const bytes = url && url.protocol !== 'file:' ? await fetchBytes(url) : await fileBytes(url ?? source)
    return loadBytes(bytes, options, String(source))
  }
  if (source instanceof Uint8Array) return loadBytes(source, options)
  if (source instanceof ArrayBuffer) return loadBytes(new Uint8Array(source), options)
  if (typeof Response !== 'undefined' && source instanceof Response) {
    return loadBytes(await fetchBytes(source), options, source.url)
  }
  throw notASource(source, 'a path, URL, bytes, Response or WebAssembly.Module')
}

/**
 * Makes a classifier of a loaded model: image in, labels with probabilities out. Takes pixels or JPEG, PNG, BMP and PNM
 * bytes. See `classifier.ts` for the options.
 */
export async function createClassifier(model: Model, options: ClassifierOptions<Decode> = {}): Promise<Classifier> {
  if (typeof options.decode === 'function' || options.prepare) return classifierOf(model, options)
  const { imageDecoder } = await import('./image/decode.ts')
  const decoder = imageDecoder({ decode: options.decode ?? 'exact' })
  return classifierOf(model, {
    ...options,
    prepare: (encoded, input, how, out) => decoder.prepare(encoded, input, how, out),
  })
}
