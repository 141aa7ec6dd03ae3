/** Public types of the runtime API. */
import type { Disposes } from '../base/dispose.ts'
import type { DType, Metadata, Preprocess } from './graph.ts'

/** Builds of the runtime: fixed-width SIMD, none, or relaxed SIMD. All give the same bytes. */
export type Variant = 'simd' | 'scalar' | 'relaxed'

/**
 * What kernels are chosen for. `generic`: good everywhere, assumes nothing. `x86`, `arm`: 128-bit SIMD of that
 * processor family. `arm-dot`, `x86-vnni`: the engine's relaxed dot product is exact and one instruction, on signed
 * bytes, or on signed by unsigned ones (need `relaxed`). `avx2`: 256-bit SIMD by V8's revectorizer; only `fast` gives
 * these.
 */
export type Kernels = 'generic' | 'x86' | 'x86-vnni' | 'arm' | 'arm-dot' | 'avx2'

/** Shapes of the inputs, in the graph's order or by name; inputs left out keep the file's. */
export type InputShapes = readonly (readonly number[] | undefined)[] | Readonly<Record<string, readonly number[]>>

/** How a model is to run: kernels, memory plan, threads, input shapes; and what its file does not say. */
export interface LoadOptions {
  /** Which wasm variant to run; `auto` (default) picks by what the engine can do. */
  variant?: Variant | 'auto'
  /**
   * What to choose kernels for; `auto` (default) finds out by probing the engine. Every choice gives the same bytes.
   */
  kernels?: Kernels | 'auto'
  /** `speed` (default) or `size`: smallest arena and weights. */
  plan?: 'speed' | 'size'
  /**
   * Opt in to AVX2 through V8's revectorizer, an experimental engine flag: Node 26 or later on x86-64. Used only after
   * its code was found to compute the same bytes; else the model loads as without it and `why` says the reason.
   */
  fast?: boolean
  /** Worker threads. Default 1. */
  threads?: number
  /**
   * Other shapes for the inputs, in their order or by name: a model with an open batch or image size is planned anew
   * for them. What is left out keeps the file's shape.
   */
  inputShapes?: InputShapes
  labels?: string[]
  preprocess?: Preprocess
}

/** The values of a tensor, in its own dtype; bool is `Uint8Array`, int64 `BigInt64Array`. */
export type TypedArray = Int8Array | Uint8Array | Int16Array | Int32Array | Float32Array | BigInt64Array

/** An input or output: real = (stored - zeroPoint) * scale. Shapes are NHWC for images. */
export interface TensorInfo {
  name: string
  shape: readonly number[]
  dtype: DType
  /** Per-tensor quantization; 0/0 when the tensor has none. */
  scale: number
  zeroPoint: number
}

/** A loaded model, ready to run. */
export interface Model extends Disposes {
  readonly inputs: readonly TensorInfo[]
  readonly outputs: readonly TensorInfo[]
  readonly variant: Variant
  /** What the kernels were chosen for; packed modules without a choice: `generic`. */
  readonly kernels: Kernels
  /** One sentence: why this variant and these kernels were picked. */
  readonly why: string
  readonly metadata: Metadata
  /** Bytes of linear memory this model holds, and of its arena. */
  readonly memoryBytes: number
  readonly arenaBytes: number
  /**
   * One inference. `input` is one typed array of the input's dtype and element count, or one per input.
   * Returns one typed array per output, fresh copies unless `out` is given (then those are filled and returned, nothing
   * allocated).
   */
  run(input: TypedArray | readonly TypedArray[], options?: { out?: TypedArray | readonly TypedArray[] }): TypedArray[]
  /**
   * Brings a model with state (streaming, recurrent) back to where it began: the next run is the first one again.
   * Nothing to do for other models.
   */
  reset(): void
}

/** Raw pixels: row-major, 8 bits a channel, 1 (gray), 3 (RGB) or 4 (RGBA, alpha ignored) channels. */
export interface PixelImage {
  data: Uint8Array | Uint8ClampedArray
  width: number
  height: number
  channels?: 1 | 3 | 4
}

/** One class of an image: its name, its index in the output, and a score from 0 to 1. */
export interface Prediction {
  label: string
  index: number
  score: number
}

/** One op of a compiled model, for `inspect` and `bench --profile`. */
export interface OpReport {
  index: number
  op: string
  kernel: string
  inputs: { name: string; shape: readonly number[]; dtype: DType }[]
  outputs: { name: string; shape: readonly number[]; dtype: DType }[]
  macs: number
  params: number
}

/** What `inspect` knows about a model file. */
export interface ModelReport {
  format: string
  fileBytes: number
  inputs: (TensorInfo & { bytes: number })[]
  outputs: (TensorInfo & { bytes: number })[]
  ops: OpReport[]
  macs: number
  params: number
  arenaBytes: number
  weightBytes: number
  memoryBytes: number
  /** What the model is where it computes in floats, in words: it does not run before `thimble quantize`. */
  floatModel?: string
  /** Ops Thimble can't run, all of them; empty when the model is supported. */
  unsupported: { index: number; op: string; tensor?: string; reason: string }[]
  /** Arena buffers: byte range and the first and last op index that needs it. */
  arena: { name: string; offset: number; bytes: number; firstOp: number; lastOp: number }[]
  variant: Variant
  kernels: Kernels
  plan: 'speed' | 'size'
  /** Weights that stay in flash: of modules packed so, and where a report on one is asked for. */
  flash?: FlashReport
  metadata: Metadata
}

/** What of a module's weights and op records is brought into memory, and when. */
export interface FlashReport {
  bytes: number
  slices: number
  largestSlice: number
  /** Bytes that one inference copies. */
  readBytes: number
  /** Ops that run together and what is copied for them, `again` of it not for the first time; not in packed modules. */
  units?: { firstOp: number; lastOp: number; slices: number; largest: number; read: number; again: number }[]
}
