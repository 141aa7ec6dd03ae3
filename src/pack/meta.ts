/** What a packed module says about itself: the JSON of its `thimble.meta` section and the source of the C header. */
import { tensorBytes, type Metadata, type Preprocess } from '../graph.ts'
import type { TensorInfo, Variant } from '../types.ts'

/** Version of the exported functions (contract: `thimble_abi()`). */
export const PACKED_ABI = 1
/** Name of the custom section. */
export const META_SECTION = 'thimble.meta'

export interface PackedTensor extends TensorInfo { bytes: number }

export interface PackedMeta {
  abi: number
  name: string
  variant: Variant
  inputs: PackedTensor[]
  outputs: PackedTensor[]
  labels?: string[]
  preprocess?: Preprocess
  task?: Metadata['task']
  license?: string
  source?: string
  author?: string
  version?: string
  description?: string
  /** Bytes of the activation arena; of everything below `__heap_base`; of weights and tables. */
  arenaBytes: number
  memoryBytes: number
  weightBytes: number
  /** 64 KiB pages that the module declares. */
  memoryPages: number
  /** Multiply-adds of one inference. */
  macs?: number
}

export interface MetaInput {
  name: string
  variant: Variant
  inputs: readonly TensorInfo[]
  outputs: readonly TensorInfo[]
  metadata: Metadata
  arenaBytes: number
  memoryBytes: number
  weightBytes: number
  memoryPages: number
  macs?: number
}

const withBytes = (t: TensorInfo): PackedTensor => ({ name: t.name, shape: [...t.shape], dtype: t.dtype, scale: t.scale, zeroPoint: t.zeroPoint, bytes: tensorBytes(t) })

/** Plain JSON data; nothing in it depends on when or where it was made. */
export function packedMeta(m: MetaInput): PackedMeta {
  const { labels, preprocess, task, license, source, author, version, description } = m.metadata
  return {
    abi: PACKED_ABI, name: m.name, variant: m.variant,
    inputs: m.inputs.map(withBytes), outputs: m.outputs.map(withBytes),
    labels, preprocess, task, license, source, author, version, description,
    arenaBytes: m.arenaBytes, memoryBytes: m.memoryBytes, weightBytes: m.weightBytes, memoryPages: m.memoryPages, macs: m.macs
  }
}
