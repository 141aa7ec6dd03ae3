/** Bytes to a ready model. No file system, no fetch: the entry points add those. */
import { Engine, instantiateProgram, tensorInfo } from './engine.ts'
import { readModel } from './formats/index.ts'
import type { Graph, Metadata } from './graph.ts'
import { compileModel } from './plan/compile.ts'
import { chooseVariant, runtimeModule } from './runtime.ts'
import type { LoadOptions } from './types.ts'

/** Metadata with the caller's labels and preprocessing on top. */
export const withOptions = (metadata: Metadata, options: LoadOptions): Metadata => ({
  ...metadata,
  ...(options.labels ? { labels: options.labels } : {}),
  ...(options.preprocess ? { preprocess: options.preprocess } : {})
})

/** Compiles and instantiates a graph. */
export async function loadGraph(graph: Graph, options: LoadOptions = {}): Promise<Engine> {
  const { variant, why } = chooseVariant(options.variant)
  const program = compileModel(graph, { variant, plan: options.plan ?? 'speed' })
  const exports = instantiateProgram(await runtimeModule(variant), program)
  return new Engine(exports, {
    inputs: graph.inputs.map(i => tensorInfo(graph, i)), outputs: graph.outputs.map(i => tensorInfo(graph, i)),
    variant, why, metadata: withOptions(graph.metadata, options)
  }, program)
}

/** Reads a model file's bytes (.tflite or .thimble), compiles and instantiates it. */
export async function loadBytes(bytes: Uint8Array, options: LoadOptions = {}, name?: string): Promise<Engine> {
  return loadGraph(readModel(bytes, name), options)
}
