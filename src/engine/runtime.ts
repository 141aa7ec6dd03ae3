/** The wasm runtime modules: which variants this engine can run, and their compiled modules (compiled once each). */
import { ThimbleError } from '../base/errors.ts'
import { fromBase64 } from '../base/base64.ts'
import { type Compressed, decompress } from '../base/compressed.ts'
import { coreRuns } from '../kernels/core-kernels.ts'
import { chooseKernels, engineFeatures, hasSimd, kernelsFromEnvironment } from '../kernels/kernels.ts'
import type { Packers } from '../kernels/packers.ts'
import type { Kernels, Variant } from '../graph/types.ts'

export interface RuntimeExports extends Packers {
  memory: WebAssembly.Memory
  header: WebAssembly.Global
  run(from: number, to: number): number
  /** Entries of an op table, of any thread; only in the runtime for threads. */
  thimble_thread?(table: number, count: number): number
  thimble_abi(): number
  thimble_invoke(): number
  /** Modules packed before there was state have none. */
  thimble_reset?(): number
  thimble_input_ptr(i: number): number
  thimble_input_bytes(i: number): number
  thimble_output_ptr(i: number): number
  thimble_output_bytes(i: number): number
  xxh32_blocks(state: number, from: number, bytes: number): void
}

export interface VariantChoice {
  variant: Variant
  kernels: Kernels
  why: string
}

/** Kernel sets that use what the relaxed variant has more, and those of the same processors that do not. */
export const PLAIN: Readonly<Partial<Record<Kernels, Kernels>>> = { 'arm-dot': 'arm', 'x86-vnni': 'x86' }

/** Resolves `auto` and checks that the engine can run what was asked for, exactly. */
export function chooseVariant(wanted: Variant | 'auto' = 'auto', wantedKernels?: Kernels | 'auto'): VariantChoice {
  const kernels = wantedKernels ?? kernelsFromEnvironment() ?? 'auto'
  if (!['auto', 'simd', 'scalar', 'relaxed'].includes(wanted)) {
    throw new ThimbleError('usage/variant', 'unknown variant', {
      expected: 'auto, simd, scalar or relaxed',
      got: String(wanted),
    })
  }
  const simd = hasSimd()
  if (wanted === 'scalar' || (wanted === 'auto' && !simd)) {
    return {
      variant: 'scalar',
      kernels: 'generic',
      why: wanted === 'auto' ? 'this engine has no SIMD' : 'asked for by the caller',
    }
  }
  if (!simd) {
    throw new ThimbleError('runtime/variant', `the ${wanted} variant needs SIMD`, {
      got: 'an engine without it',
      hint: 'use variant "scalar" or "auto"',
    })
  }
  if (wanted === 'relaxed' && !engineFeatures().relaxed) {
    throw new ThimbleError('runtime/variant', 'the relaxed variant needs relaxed SIMD', {
      got: 'an engine without it',
      hint: 'use variant "simd" or "auto"',
    })
  }
  const pick = chooseKernels(kernels)
  const plain = PLAIN[pick.kernels]
  const variant = wanted === 'auto' ? (plain ? 'relaxed' : 'simd') : wanted
  if (variant === 'simd' && plain) {
    if (kernels === 'auto') {
      return { variant, kernels: plain, why: `asked for by the caller; ${plain} kernels: floating point as there` }
    }
    throw new ThimbleError('usage/kernels', 'these kernels are in the relaxed variant only', {
      expected: 'variant "relaxed" or "auto"',
      got: 'variant "simd"',
    })
  }
  const reason = wanted === 'auto' ? 'this engine has fixed-width SIMD' : 'asked for by the caller'
  return { variant, kernels: pick.kernels, why: `${reason}; ${pick.kernels} kernels: ${pick.why}` }
}

/** Runtime builds: the variants, those with the core kernels only, and the SIMD one for shared memory. */
export type Build = Variant | 'simd-core' | 'relaxed-core' | 'threads'

const modules = new Map<Build, WebAssembly.Module>()
const embedded = new Map<Build, string>()

/** Brings a runtime along, as base64, so that nothing has to be loaded for it. */
export const embedRuntime = (build: Build, base64: string): void => void embedded.set(build, base64)

const SOURCES: Readonly<Record<Build, () => Promise<{ default: Compressed }>>> = {
  simd: () => import('../generated/simd.ts'),
  scalar: () => import('../generated/scalar.ts'),
  relaxed: () => import('../generated/relaxed.ts'),
  'simd-core': () => import('../generated/simd-core.ts'),
  'relaxed-core': () => import('../generated/relaxed-core.ts'),
  threads: () => import('../generated/threads.ts'),
}

/** Bytes of a runtime module. */
export async function runtimeBytes(build: Build): Promise<Uint8Array<ArrayBuffer>> {
  const base64 = embedded.get(build)
  return base64 === undefined ? decompress((await SOURCES[build]()).default) : fromBase64(base64)
}

export async function runtimeModule(build: Build): Promise<WebAssembly.Module> {
  const known = modules.get(build)
  if (known) return known
  const module = new WebAssembly.Module(await runtimeBytes(build))
  modules.set(build, module)
  return module
}

/** The smallest build of a variant that runs a program of these opcodes. */
export const buildFor = (variant: Variant, opcodes: Iterable<number>): Build =>
  variant !== 'scalar' && coreRuns(opcodes) ? `${variant}-core` : variant
