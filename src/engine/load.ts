/** Bytes to a ready model. No file system, no fetch: the entry points add those. */
import { choose, type FastSource, withOptions } from './choice.ts'
import { coreRuns } from '../kernels/core-kernels.ts'
import {
  createInstance,
  Engine,
  fillInstance,
  instantiateProgram,
  tensorInfo,
  type EngineDescription,
  type Spare,
} from './engine.ts'
import { ThimbleError } from '../base/errors.ts'
import { opcodesIn, tablesFit } from '../formats/check-program.ts'
import { isSealed, peekFrame } from '../formats/packed-frame.ts'
import { holdsProgram, readProgram } from '../formats/packed-program.ts'
import { runSteps, targetName } from '../formats/programs.ts'
import { startProbe } from '../kernels/kernels.ts'
import type * as Compiling from './load-graph.ts'
import { PROGRAM_BASE } from '../base/memory.ts'
import type { Program } from '../plan/compile.ts'
import { buildFor, runtimeModule, type RuntimeExports } from './runtime.ts'
import { stages } from '../base/stages.ts'
import type { LoadOptions } from '../graph/types.ts'

let loaded: typeof Compiling | undefined

/** Loaded when a file holds no program for the engine. */
const compiler = async (): Promise<typeof Compiling> => (loaded ??= await import('./load-graph.ts'))

/** Begins to load the compiler for a file that will need it, by its name, while it is still being read. */
export function expectFile(name: string): void {
  // What goes wrong here is said when the compiler is needed.
  if (/\.tflite$/i.test(name)) compiler().catch(() => undefined)
}

/**
 * The engine for a file that holds a sound program for what `options` ask for; undefined for any other file, whose
 * graph is to be compiled.
 */
async function loadProgram(bytes: Uint8Array, options: LoadOptions): Promise<Engine | undefined> {
  if ((options.threads ?? 1) !== 1 || (options.plan ?? 'speed') !== 'speed' || options.fast || options.inputShapes) {
    return undefined
  }
  const frame = peekFrame(bytes)
  if (!frame) return undefined
  stages.begin?.('probe the engine')
  const { variant, kernels, why } = await choose(options)
  const target = targetName(variant, kernels)
  if (!holdsProgram(frame, target)) return undefined
  stages.begin?.('compile the wasm')
  let module = await runtimeModule(buildFor(variant, []))
  stages.begin?.('instantiate')
  let full: WebAssembly.Module | undefined = variant === 'scalar' ? module : undefined
  let exports = createInstance(module)
  stages.begin?.('check the seal')
  if (!isSealed(bytes, (lanes, body) => hashInside(exports, lanes, body))) return undefined
  stages.begin?.('read the program')
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
  const compile = async (): Promise<Program> => (await compiler()).compileAgain(bytes, variant, kernels)
  const fill = (): DataView => {
    fillInstance(exports, { ...program, write: (loader) => runSteps(program.steps, frame.data, loader) })
    return new DataView(exports.memory.buffer)
  }
  // The graph, in the module that is there already and where the compiler is. Where the graph's kernels are not in that
  // module, the program was of another graph.
  const spare = (): Spare | undefined => {
    const made = loaded?.compileAgain(bytes, variant, kernels)
    if (!made || (module !== full && !coreRuns(made.usedOpcodes))) return undefined
    return { exports: instantiateProgram(module, made), program: made }
  }
  try {
    stages.begin?.('pack weights')
    const memory = fill()
    stages.begin?.('check the records')
    if (!tablesFit(program, memory)) {
      // Perhaps of kernels that the core modules do not have.
      const { ALL_KINDS } = await import('../formats/check-kinds.ts')
      if (!tablesFit(program, memory, 0, ALL_KINDS)) return undefined
    }
    const opcodes = opcodesIn(program, memory)
    if (!coreRuns(opcodes)) {
      full = await runtimeModule(variant)
      module = full
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
  const ready = await loadProgram(bytes, options)
  if (ready) return ready
  stages.begin?.('import the compiler')
  return (await compiler()).loadFile(bytes, options, name, fast)
}
