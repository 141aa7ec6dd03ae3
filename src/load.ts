/** Bytes to a ready model. No file system, no fetch: the entry points add those. */
import {
  createInstance,
  Engine,
  fillInstance,
  instantiateProgram,
  sharedMemory,
  tensorInfo,
  type EngineDescription,
  type Spare,
} from './engine.ts'
import { coreRuns } from './core-kernels.ts'
import { ThimbleError } from './errors.ts'
import { opcodesIn, tablesFit } from './formats/check-program.ts'
import { readModel } from './formats/index.ts'
import { isSealed, peekFrame } from './formats/packed-frame.ts'
import { holdsProgram, readPacked, readProgram } from './formats/packed.ts'
import { runSteps, targetName } from './formats/programs.ts'
import { settle } from './fold/index.ts'
import type { Graph, Metadata } from './graph.ts'
import { startProbe } from './kernels.ts'
import { compileModel, PROGRAM_BASE, refuseFloat, type Program } from './plan/compile.ts'
import { buildFor, chooseVariant, runtimeModule, type RuntimeExports, type VariantChoice } from './runtime.ts'
import { checkThreads, ThreadPool } from './threads/pool.ts'
import type { LoadOptions } from './types.ts'

/** Metadata with the caller's labels and preprocessing on top. */
export const withOptions = (metadata: Metadata, options: LoadOptions): Metadata => ({
  ...metadata,
  ...(options.labels ? { labels: options.labels } : {}),
  ...(options.preprocess ? { preprocess: options.preprocess } : {}),
})

/**
 * The runtime for `fast: true`, compiled and tested, or why there is none; it imports shared memory and has `avx2`
 * kernels.
 */
export interface FastRuntime {
  module?: WebAssembly.Module
  why: string
}
/** Where an entry point has it from. */
export type FastSource = () => Promise<FastRuntime>

export interface Choice extends VariantChoice {
  module?: WebAssembly.Module
}

/** Resolves `variant`, `kernels`, `threads` and `fast`; `module` is set where it is the fast runtime. */
export async function choose(options: LoadOptions, fast?: FastSource): Promise<Choice> {
  const one = (options.threads ?? 1) === 1
  const choice = chooseVariant(one ? options.variant : threadedVariant(options.variant), options.kernels)
  if (!options.fast) return choice
  const { module, why } = await (choice.variant !== 'simd' && choice.kernels !== 'x86-vnni'
    ? { why: `the ${choice.variant} variant has no fast kernels` }
    : !choice.kernels.startsWith('x86')
      ? { why: `${choice.kernels} kernels are in use` }
      : (fast?.() ?? { why: 'only Node has it' }))
  return module
    ? { variant: 'simd', kernels: 'avx2', module, why }
    : { ...choice, why: `${choice.why}; not fast: ${why}` }
}

/** Compiles and instantiates a graph. */
export async function loadGraph(source: Graph, options: LoadOptions = {}, fast?: FastSource): Promise<Engine> {
  refuseFloat(source)
  const graph = settle(source, options.inputShapes)
  const threads = options.threads ?? 1
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
    return new Engine(
      instantiateProgram(fastModule ?? (await runtimeModule(buildFor(variant, program.usedOpcodes))), program, memory),
      about(why),
      program,
    )
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

function threadedVariant(wanted: LoadOptions['variant']): 'simd' {
  if (wanted !== undefined && wanted !== 'auto' && wanted !== 'simd') {
    throw new ThimbleError('usage/variant', 'threads run the simd variant only', { expected: 'simd', got: wanted })
  }
  return 'simd'
}

/**
 * The engine for a file that holds a sound program for what `options` ask for; undefined for any other file, whose graph
 * is to be compiled.
 */
async function loadProgram(bytes: Uint8Array, options: LoadOptions): Promise<Engine | undefined> {
  if ((options.threads ?? 1) !== 1 || (options.plan ?? 'speed') !== 'speed' || options.fast || options.inputShapes) {
    return undefined
  }
  const frame = peekFrame(bytes)
  if (!frame) return undefined
  const { variant, kernels, why } = await choose(options)
  const target = targetName(variant, kernels)
  if (!holdsProgram(frame, target)) return undefined
  let module = await runtimeModule(buildFor(variant, []))
  let full: WebAssembly.Module | undefined = variant === 'scalar' ? module : undefined
  let exports = createInstance(module)
  if (!isSealed(bytes, (lanes, body) => hashInside(exports, lanes, body))) return undefined
  const ready = readProgram(frame, target)
  if (!ready) return undefined
  const { program, inputs, outputs, metadata } = ready
  const about: EngineDescription = {
    inputs: inputs.map(tensorInfo),
    outputs: outputs.map(tensorInfo),
    variant,
    kernels,
    why,
    metadata: withOptions(metadata, options),
    arenaBytes: program.arenaBytes,
  }
  const compile = (): Program => compileModel(readPacked(bytes), { variant, kernels, plan: 'speed' })
  const fill = (): DataView => {
    fillInstance(exports, { ...program, write: (loader) => runSteps(program.steps, frame.data, loader) })
    return new DataView(exports.memory.buffer)
  }
  // The graph, in the module that is there already. Where its kernels are not in it, the program was of another graph.
  const spare = (): Spare | undefined => {
    const made = compile()
    if (module !== full && !coreRuns(made.usedOpcodes)) return undefined
    return { exports: instantiateProgram(module, made), program: made }
  }
  try {
    const memory = fill()
    if (!tablesFit(program, memory)) return undefined
    const opcodes = opcodesIn(program, memory)
    if (!coreRuns(opcodes)) {
      module = full = await runtimeModule(variant)
      exports = createInstance(module)
      fill()
    }
    return new Engine(exports, about, compile, { spare })
  } catch (error) {
    // Whatever a program does that no encoder wrote: the graph is there.
    const known = [ThimbleError, RangeError, WebAssembly.RuntimeError]
    if (known.some((type) => error instanceof type)) return undefined
    throw error
  }
}

/** Hashes by way of the runtime's first memory, which is as it was afterwards. */
function hashInside(runtime: RuntimeExports, lanes: Int32Array, body: Uint8Array): void {
  const at = PROGRAM_BASE
  const from = at + 16
  const room = (runtime.memory.buffer.byteLength - from) & -16
  const memory = new Uint8Array(runtime.memory.buffer)
  const state = new Int32Array(runtime.memory.buffer, at, 4)
  state.set(lanes)
  for (let i = 0; i < body.length; i += room) {
    const part = body.subarray(i, i + room)
    memory.set(part, from)
    runtime.xxh32_blocks(at, from, part.length)
  }
  lanes.set(state)
  memory.fill(0, at)
}

/**
 * Reads a model file's bytes (.tflite or .thimble), compiles what the file does not hold compiled, and instantiates it.
 */
export async function loadBytes(
  bytes: Uint8Array,
  options: LoadOptions = {},
  name?: string,
  fast?: FastSource,
): Promise<Engine> {
  if ((options.kernels ?? 'auto') === 'auto') startProbe()
  return (await loadProgram(bytes, options)) ?? loadGraph(readModel(bytes, name), options, fast)
}
