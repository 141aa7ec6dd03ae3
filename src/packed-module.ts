/** Runs a module made by `thimble pack`: everything is inside it, its metadata in the custom section `thimble.meta`. */
import { Engine } from './engine.ts'
import { ThimbleError } from './errors.ts'
import { ABI_VERSION } from './generated/layout.ts'
import type { Metadata } from './graph.ts'
import { withOptions } from './load.ts'
import type { RuntimeExports } from './runtime.ts'
import type { Kernels, LoadOptions, TensorInfo, Variant } from './types.ts'

/** Contents of the custom section. */
export interface PackedMeta extends Metadata {
  abi: number
  variant: Variant
  /** What the kernels were chosen for; default `generic`. */
  kernels?: Kernels
  inputs: TensorInfo[]
  outputs: TensorInfo[]
  arenaBytes: number
}

export const META_SECTION = 'thimble.meta'

export function packedMeta(module: WebAssembly.Module): PackedMeta {
  const [section] = WebAssembly.Module.customSections(module, META_SECTION)
  if (!section) {
    throw new ThimbleError('format/packed-module', `the module has no ${META_SECTION} section`, {
      hint: 'make it with: thimble pack MODEL -o OUT.wasm',
    })
  }
  let meta: PackedMeta
  try {
    meta = JSON.parse(new TextDecoder().decode(section)) as PackedMeta
  } catch {
    throw new ThimbleError('format/packed-module', `the ${META_SECTION} section is not JSON`)
  }
  if (meta.abi !== ABI_VERSION || !Array.isArray(meta.inputs) || !Array.isArray(meta.outputs)) {
    throw new ThimbleError('format/packed-module', 'packed by another version', {
      expected: `abi ${ABI_VERSION}`,
      got: `abi ${meta.abi}`,
      hint: 'pack the model again',
    })
  }
  return meta
}

/** Instantiates a packed module; synchronous, nothing is compiled. */
export function loadPackedModule(module: WebAssembly.Module, options: LoadOptions = {}): Engine {
  const meta = packedMeta(module)
  const exports = new WebAssembly.Instance(module).exports as unknown as RuntimeExports
  const { inputs, outputs, variant, kernels, abi, arenaBytes, ...metadata } = meta
  return new Engine(exports, {
    inputs,
    outputs,
    variant,
    kernels: kernels ?? 'generic',
    why: `fixed when the module was packed${options.fast ? '; not fast: a packed module brings its own kernels' : ''}`,
    metadata: withOptions(metadata, options),
    arenaBytes,
  })
}
