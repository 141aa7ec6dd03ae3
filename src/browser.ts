/** Entry point for browsers and other engines that compile wasm from bytes: URLs, bytes, responses, packed modules. */
import { Engine } from './engine.ts'
import { ThimbleError } from './errors.ts'
import { loadBytes } from './load.ts'
import { loadPackedModule } from './packed-module.ts'
import type { LoadOptions } from './types.ts'

export * from './index.ts'

export type ModelSource = string | URL | Uint8Array | ArrayBuffer | Response | WebAssembly.Module

async function fetchBytes(source: string | URL | Response): Promise<Uint8Array> {
  const response = source instanceof Response ? source : await fetch(source)
  if (!response.ok) throw new ThimbleError('format/fetch', `the server answered ${response.status}`, { got: response.url, hint: 'check the address of the model' })
  return new Uint8Array(await response.arrayBuffer())
}

/**
 * Loads a model. `source`: URL of a .tflite or .thimble file, its bytes, a fetch Response, or a WebAssembly.Module made by
 * `thimble pack`. Errors: ThimbleError `format/…`, `lower/…`, `plan/…`, `runtime/…`.
 */
export async function loadModel(source: ModelSource, options: LoadOptions = {}): Promise<Engine> {
  if (source instanceof WebAssembly.Module) return loadPackedModule(source, options)
  if (typeof source === 'string' || source instanceof URL || source instanceof Response) {
    return loadBytes(await fetchBytes(source), options, source instanceof Response ? source.url : String(source))
  }
  if (source instanceof ArrayBuffer) return loadBytes(new Uint8Array(source), options)
  if (source instanceof Uint8Array) return loadBytes(source, options)
  throw new ThimbleError('usage/source', 'not a model source', { expected: 'a URL, bytes, Response or WebAssembly.Module', got: Object.prototype.toString.call(source) })
}
