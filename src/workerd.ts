/** Entry point for Cloudflare Workers and other isolates that may not compile wasm: takes an imported module only. */
import type { Engine } from './engine.ts'
import { ThimbleError } from './errors.ts'
import { loadPackedModule } from './packed-module.ts'
import type { LoadOptions } from './types.ts'

export { createClassifier, type Classifier, type ClassifierOptions } from './classifier.ts'
export { ThimbleError } from './errors.ts'
export type * from './types.ts'
export type { Metadata, Preprocess } from './graph.ts'

/** Instantiates a module made by `thimble pack` and imported by the Worker (`import model from './model.wasm'`). */
export async function loadModel(source: WebAssembly.Module, options: LoadOptions = {}): Promise<Engine> {
  if (!(source instanceof WebAssembly.Module)) {
    throw new ThimbleError('usage/source', 'this platform cannot compile wasm', { expected: 'an imported WebAssembly.Module', got: Object.prototype.toString.call(source), hint: 'thimble pack MODEL -o model.wasm, then import it' })
  }
  return loadPackedModule(source, options)
}
