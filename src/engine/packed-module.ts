/** Runs a module made by `thimble pack`: everything is inside it, its metadata in the custom section `thimble.meta`. */
import { Engine } from './engine.ts'
import { ThimbleError } from '../base/errors.ts'
import { shown } from '../options/options.ts'
import { checkMetadata } from '../formats/check-metadata.ts'
import { MAX_OPERANDS, checkShape } from '../formats/check-shape.ts'
import { ABI_VERSION, STATUS_INEXACT } from '../generated/layout.ts'
import type { Metadata } from '../graph/graph.ts'
import { KERNELS, relaxedDotIsSigned } from '../kernels/kernels.ts'
import { withOptions } from './choice.ts'
import type { RuntimeExports } from './runtime.ts'
import type { Kernels, LoadOptions, TensorInfo, Variant } from '../graph/types.ts'

/** Contents of the custom section. */
export interface PackedMeta extends Metadata {
  abi: number
  variant: Variant
  /** What the kernels were chosen for; default `generic`. */
  kernels?: Kernels
  inputs: TensorInfo[]
  outputs: TensorInfo[]
  arenaBytes: number
  /** Weights and op records that linear memory does not hold, in modules that were packed so. */
  flash?: FlashMeta
}

export interface FlashMeta {
  /** Of the segment that holds them. */
  bytes: number
  /** Pieces that are copied into memory in turn, and the bytes of the largest. */
  slices: number
  largestSlice: number
  /** Bytes that one inference copies. */
  readBytes: number
}

export const META_SECTION = 'thimble.meta'

/** Exports of a packed module besides the two globals (contract, section 3). */
export const PACKED_EXPORTS = [
  'memory',
  'thimble_abi',
  'thimble_input_ptr',
  'thimble_input_bytes',
  'thimble_output_ptr',
  'thimble_output_bytes',
  'thimble_invoke',
] as const

/** Exports that modules of earlier versions lack. */
export const LATER_EXPORTS = ['thimble_reset'] as const

const bad = (
  what: string,
  detail: { expected?: string; got?: unknown; hint?: string; cause?: unknown } = {},
): ThimbleError =>
  new ThimbleError('format/packed-module', what, {
    hint: 'make it with: thimble pack MODEL -o OUT.wasm',
    ...detail,
    got: detail.got === undefined ? undefined : String(detail.got).slice(0, 80),
  })

/** A tensor as the section describes it. Errors: `format/packed-module`, `format/shape`. */
function tensorOf(value: unknown, where: string): TensorInfo {
  const { name, shape, dtype, scale, zeroPoint } = (value ?? {}) as Partial<TensorInfo>
  const fits =
    typeof name === 'string' &&
    Array.isArray(shape) &&
    typeof dtype === 'string' &&
    Number.isFinite(scale) &&
    Number.isInteger(zeroPoint)
  if (!fits) {
    throw bad(`${where} of the ${META_SECTION} section`, {
      expected: 'name, shape, dtype, scale, zeroPoint',
      got: JSON.stringify(value),
    })
  }
  checkShape({ name, shape, dtype })
  return value as TensorInfo
}

const tensorsOf = (value: unknown, where: string): TensorInfo[] => {
  if (!Array.isArray(value) || value.length < 1 || value.length > MAX_OPERANDS) {
    throw bad(`${where} of the ${META_SECTION} section`, {
      expected: `1 to ${MAX_OPERANDS} tensors`,
      got: JSON.stringify(value),
    })
  }
  return value.map((t, i) => tensorOf(t, `${where} ${i}`))
}

/** What a module says about itself, checked. Errors: `format/packed-module`, `format/metadata`, `format/shape`. */
export function packedMeta(module: WebAssembly.Module): PackedMeta {
  const [section] = WebAssembly.Module.customSections(module, META_SECTION)
  if (!section) throw bad(`the module has no ${META_SECTION} section`)
  let meta: PackedMeta
  try {
    meta = JSON.parse(new TextDecoder().decode(section)) as PackedMeta
  } catch (cause) {
    throw bad(`the ${META_SECTION} section is not JSON`, { cause })
  }
  if (meta?.abi !== ABI_VERSION) {
    throw bad('packed by another version', {
      expected: `abi ${ABI_VERSION}`,
      got: `abi ${shown(meta?.abi)}`,
      hint: 'pack the model again',
    })
  }
  const { variant, kernels } = meta
  if (!['simd', 'scalar', 'relaxed'].includes(variant)) {
    throw bad('variant', { expected: 'simd, scalar or relaxed', got: shown(variant) })
  }
  if (kernels !== undefined && !KERNELS.includes(kernels)) {
    throw bad('kernels', { expected: KERNELS.join(', '), got: shown(kernels) })
  }
  return { ...meta, inputs: tensorsOf(meta.inputs, 'inputs'), outputs: tensorsOf(meta.outputs, 'outputs') }
}

/** The module's exports. Errors: `format/packed-module`, `runtime/abi`, `runtime/memory`. */
function instantiate(module: WebAssembly.Module): RuntimeExports {
  const [imported] = WebAssembly.Module.imports(module)
  if (imported) {
    const command = imported.module === 'wasi_snapshot_preview1'
    throw bad(command ? 'the module is a WASI command' : 'the module imports something', {
      expected: 'no imports',
      got: `${imported.module} ${imported.name}`,
      ...(command ? { hint: 'run it with a WASI engine, or pack with --target core' } : {}),
    })
  }
  const kinds = new Map(WebAssembly.Module.exports(module).map(({ name, kind }) => [name, kind]))
  for (const name of PACKED_EXPORTS) {
    const kind = name === 'memory' ? 'memory' : 'function'
    if (kinds.get(name) !== kind) throw bad(`no ${kind} ${name} is exported`)
  }
  let exports: RuntimeExports
  try {
    exports = new WebAssembly.Instance(module).exports as unknown as RuntimeExports
  } catch (cause) {
    if (cause instanceof RangeError) {
      throw new ThimbleError('runtime/memory', 'the engine gives no memory for the module', {
        hint: 'use a smaller model, or dispose of others',
        cause,
      })
    }
    throw bad(`the module can't be instantiated (${(cause as Error).message})`, { cause })
  }
  const abi = exports.thimble_abi()
  if (abi !== ABI_VERSION) {
    throw new ThimbleError('runtime/abi', 'packed by another version', {
      expected: `abi ${ABI_VERSION}`,
      got: `abi ${abi}`,
      hint: 'pack the model again',
    })
  }
  return exports
}

/**
 * Throws `runtime/kernels` where the module's relaxed dot products would not be exact. An engine that may not compile
 * is asked by the module itself, which refuses to run.
 */
function checkExact(exports: RuntimeExports): void {
  if (relaxedDotIsSigned() ?? exports.thimble_invoke() !== STATUS_INEXACT) return
  throw new ThimbleError('runtime/kernels', "the module's kernels would not be exact here", {
    expected: 'an engine whose relaxed dot product is signed (V8 and others on arm64)',
    got: 'another relaxed dot product',
    hint: 'pack the model with other --kernels, or load the model file itself',
  })
}

/** Instantiates a packed module; synchronous, nothing of the model is compiled. */
export function loadPackedModule(module: WebAssembly.Module, options: LoadOptions = {}): Engine {
  const { inputs, outputs, variant, kernels, abi, arenaBytes, ...rest } = packedMeta(module)
  const metadata = checkMetadata(rest)
  const exports = instantiate(module)
  if (kernels === 'arm-dot') checkExact(exports)
  return new Engine(exports, {
    inputs,
    outputs,
    variant,
    kernels: kernels ?? 'generic',
    why: `fixed when the module was packed${options.fast ? '; not fast: a packed module brings its own kernels' : ''}`,
    metadata: withOptions(metadata, options),
    arenaBytes: Number.isInteger(arenaBytes) ? arenaBytes : 0,
  })
}

/** Compiles and loads the bytes of a packed module. Errors: `format/wasm`, and those of `loadPackedModule`. */
export async function loadWasm(bytes: Uint8Array, options: LoadOptions = {}, name = 'the module'): Promise<Engine> {
  let module: WebAssembly.Module
  try {
    module = await WebAssembly.compile(bytes as Uint8Array<ArrayBuffer>)
  } catch (cause) {
    throw new ThimbleError('format/wasm', `${name} can't be compiled (${(cause as Error).message})`, {
      hint: 'the file is damaged, or this engine lacks what it was packed for: try --variant simd or scalar, or no --page-size',
      cause,
    })
  }
  return loadPackedModule(module, options)
}
