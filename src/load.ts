/** Bytes to a ready model. No file system, no fetch: the entry points add those. */
import { Engine, instantiateProgram, sharedMemory, tensorInfo, type EngineDescription } from './engine.ts'
import { ThimbleError } from './errors.ts'
import { readModel } from './formats/index.ts'
import type { Graph, Metadata } from './graph.ts'
import { compileModel } from './plan/compile.ts'
import { chooseVariant, runtimeModule } from './runtime.ts'
import { checkThreads, ThreadPool } from './threads/pool.ts'
import type { LoadOptions } from './types.ts'

/** Metadata with the caller's labels and preprocessing on top. */
export const withOptions = (metadata: Metadata, options: LoadOptions): Metadata => ({
  ...metadata,
  ...(options.labels ? { labels: options.labels } : {}),
  ...(options.preprocess ? { preprocess: options.preprocess } : {})
})

/** Compiles and instantiates a graph. */
export async function loadGraph(graph: Graph, options: LoadOptions = {}): Promise<Engine> {
  const threads = options.threads ?? 1
  const { variant, kernels, why } = chooseVariant(threads === 1 ? options.variant : threadedVariant(options.variant), options.kernels)
  const plan = options.plan ?? 'speed'
  const about = (reason: string): EngineDescription => ({
    inputs: graph.inputs.map(i => tensorInfo(graph, i)), outputs: graph.outputs.map(i => tensorInfo(graph, i)),
    variant, kernels, why: reason, metadata: withOptions(graph.metadata, options)
  })
  if (threads === 1) {
    const program = compileModel(graph, { variant, kernels, plan })
    return new Engine(instantiateProgram(await runtimeModule(variant), program), about(why), program)
  }
  checkThreads(threads)
  const program = compileModel(graph, { variant, kernels, plan, threads })
  const module = await runtimeModule('threads'), memory = sharedMemory(program)
  const pool = await ThreadPool.start(module, memory, program)
  return new Engine(instantiateProgram(module, program, memory), about(`${threads} threads on shared memory`), program, pool)
}

function threadedVariant(wanted: LoadOptions['variant']): 'simd' {
  if (wanted !== undefined && wanted !== 'auto' && wanted !== 'simd') throw new ThimbleError('usage/variant', 'threads run the simd variant only', { expected: 'simd', got: wanted })
  return 'simd'
}

/** Reads a model file's bytes (.tflite or .thimble), compiles and instantiates it. */
export async function loadBytes(bytes: Uint8Array, options: LoadOptions = {}, name?: string): Promise<Engine> {
  return loadGraph(readModel(bytes, name), options)
}
