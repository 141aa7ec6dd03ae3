/** The wasm runtime modules: which variants this engine can run, and their compiled modules (compiled once each). */
import { ThimbleError } from './errors.ts'
import type { Variant } from './types.ts'

export interface RuntimeExports {
  memory: WebAssembly.Memory
  header: WebAssembly.Global
  run(from: number, to: number): number
  thimble_abi(): number
  thimble_invoke(): number
  thimble_input_ptr(i: number): number
  thimble_input_bytes(i: number): number
  thimble_output_ptr(i: number): number
  thimble_output_bytes(i: number): number
}

/** (module (func (result v128) i32.const 0 i8x16.splat)) */
const SIMD_PROBE = Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 8, 1, 6, 0, 65, 0, 253, 15, 11)

export const hasSimd = (): boolean => WebAssembly.validate(SIMD_PROBE)

export interface VariantChoice { variant: Variant; why: string }

/** Resolves `auto` and checks that the engine can run what was asked for. */
export function chooseVariant(wanted: Variant | 'auto' = 'auto'): VariantChoice {
  if (!['auto', 'simd', 'scalar', 'relaxed'].includes(wanted)) {
    throw new ThimbleError('usage/variant', 'unknown variant', { expected: 'auto, simd, scalar or relaxed', got: String(wanted) })
  }
  const simd = hasSimd()
  if (wanted === 'auto') {
    return simd ? { variant: 'simd', why: 'this engine has fixed-width SIMD' } : { variant: 'scalar', why: 'this engine has no SIMD' }
  }
  if (wanted !== 'scalar' && !simd) throw new ThimbleError('runtime/variant', `the ${wanted} variant needs SIMD`, { got: 'an engine without it', hint: 'use variant "scalar" or "auto"' })
  return { variant: wanted, why: 'asked for by the caller' }
}

/** Runtime builds: the variants, and the SIMD one for shared memory. */
export type Build = Variant | 'threads'

const modules = new Map<Build, WebAssembly.Module>()

export function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  const binary = atob(text)
  const out = new Uint8Array(binary.length)
  for (let i = 0; i < out.length; i++) out[i] = binary.charCodeAt(i)
  return out
}

/** Bytes of a variant's runtime module. */
export async function runtimeBytes(variant: Build): Promise<Uint8Array<ArrayBuffer>> {
  const file = variant === 'threads' ? await import('./generated/threads.ts') : variant === 'simd' ? await import('./generated/simd.ts') : variant === 'scalar' ? await import('./generated/scalar.ts') : await import('./generated/relaxed.ts')
  return fromBase64(file.default)
}

export async function runtimeModule(variant: Build): Promise<WebAssembly.Module> {
  const known = modules.get(variant)
  if (known) return known
  const module = new WebAssembly.Module(await runtimeBytes(variant))
  modules.set(variant, module)
  return module
}
