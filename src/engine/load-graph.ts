/** A graph to a ready model: the compiler, which a file that holds a program for the engine does not need. */
import { choose, type FastSource, withOptions } from './choice.ts'
import { Engine, instantiateProgram, sharedMemory, tensorInfo, type EngineDescription } from './engine.ts'
import { readModel } from '../formats/index.ts'
import { readPacked } from '../formats/packed.ts'
import { settle } from '../fold/index.ts'
import type { Graph } from '../graph/graph.ts'
import { compileModel, type Program } from '../plan/compile.ts'
import { refuseFloat } from '../graph/float-model.ts'
import { buildFor, runtimeModule } from './runtime.ts'
import { stages } from '../base/stages.ts'
import { checkThreads, ThreadPool } from '../threads/pool.ts'
import type { Kernels, LoadOptions, Variant } from '../graph/types.ts'

/** Compiles and instantiates a graph. `name`, of its file, is for messages. */
export async function loadGraph(
  source: Graph,
  options: LoadOptions = {},
  fast?: FastSource,
  name?: string,
): Promise<Engine> {
  refuseFloat(source, name)
  stages.begin?.('settle shapes')
  const graph = settle(source, options.inputShapes)
  const threads = options.threads ?? 1
  stages.begin?.('probe the engine')
  const { variant, kernels, why, module: fastModule } = await choose(options, fast)
  const plan = options.plan ?? 'speed'
  const about = (reason: string): EngineDescription => ({
    inputs: graph.inputs.map((i) => tensorInfo(graph.tensors[i]!)),
    outputs: graph.outputs.map((i) => tensorInfo(graph.tensors[i]!)),
    variant,
    kernels,
    why: reason,
    metadata: withOptions(graph.metadata, options),
  })
  if (threads === 1) {
    const program = compileModel(graph, { variant, kernels, plan })
    const memory = fastModule && sharedMemory(program)
    stages.begin?.('compile the wasm')
    const module = fastModule ?? (await runtimeModule(buildFor(variant, program.usedOpcodes)))
    stages.begin?.('instantiate')
    return new Engine(instantiateProgram(module, program, memory), about(why), program)
  }
  checkThreads(threads)
  const program = compileModel(graph, { variant, kernels, plan, threads })
  const module = fastModule ?? (await runtimeModule('threads'))
  const memory = sharedMemory(program)
  const pool = await ThreadPool.start(module, memory, program)
  const shared = `${threads} threads on shared memory`
  try {
    return new Engine(
      instantiateProgram(module, program, memory),
      about(options.fast ? `${shared}; ${why}` : shared),
      program,
      { pool },
    )
  } catch (error) {
    pool.stop()
    throw error
  }
}

/** Reads a model file's bytes, compiles and instantiates it. */
export async function loadFile(
  bytes: Uint8Array,
  options: LoadOptions,
  name?: string,
  fast?: FastSource,
): Promise<Engine> {
  stages.begin?.('parse')
  return loadGraph(readModel(bytes, name), options, fast, name)
}

/** What a `.thimble` file's program was recorded from, for profiles. */
export const compileAgain = (bytes: Uint8Array, variant: Variant, kernels: Kernels): Program =>
  compileModel(readPacked(bytes), { variant, kernels, plan: 'speed' })
