/** What a packed module says about itself: the JSON of its `thimble.meta` section and the source of the C header. */
import { ABI_VERSION } from '../generated/layout.ts'
import { tensorBytes, type Metadata } from '../graph/graph.ts'
import type { FlashMeta, PackedMeta } from '../engine/packed-module.ts'
import type { Kernels, TensorInfo, Variant } from '../graph/types.ts'
import { headOf } from '../vision/recognise.ts'

export interface SizedTensor extends TensorInfo {
  bytes: number
}

/** Everything a host or an embedder may want to know before it instantiates the module. */
export interface ModuleMeta extends PackedMeta {
  name: string
  inputs: SizedTensor[]
  outputs: SizedTensor[]
  /** Bytes below `__heap_base`: static data, plan, weights, arena. */
  memoryBytes: number
  /** Bytes of weights and tables. */
  weightBytes: number
  /** 64 KiB pages that the module declares, or would. */
  memoryPages: number
  /** Memory is declared as `memoryBytes` pages of one byte. */
  pageSize?: 1
  /** Multiply-adds of one inference. */
  macs: number
}

export interface MetaInput {
  name: string
  variant: Variant
  kernels: Kernels
  inputs: readonly TensorInfo[]
  outputs: readonly TensorInfo[]
  metadata: Metadata
  arenaBytes: number
  memoryBytes: number
  weightBytes: number
  memoryPages: number
  pageSize?: 1
  macs: number
  flash?: FlashMeta
}

/** A tensor's description with its bytes. */
export const sized = (t: TensorInfo): SizedTensor => ({
  name: t.name,
  shape: [...t.shape],
  dtype: t.dtype,
  scale: t.scale,
  zeroPoint: t.zeroPoint,
  bytes: tensorBytes(t),
})

/** The metadata, with the head that the outputs were recognised as where nothing describes one. */
function described({ metadata, inputs, outputs }: MetaInput): Metadata {
  const head = headOf({ inputs, outputs, metadata })
  return head && metadata.extra?.head === undefined ? { ...metadata, extra: { ...metadata.extra, head } } : metadata
}

/** Plain JSON data; nothing in it depends on when or where it was made. */
export function moduleMeta(m: MetaInput): ModuleMeta {
  const { name, variant, kernels, arenaBytes, memoryBytes, weightBytes, memoryPages, macs } = m
  return {
    abi: ABI_VERSION,
    ...described(m),
    name,
    variant,
    kernels,
    inputs: m.inputs.map(sized),
    outputs: m.outputs.map(sized),
    arenaBytes,
    memoryBytes,
    weightBytes,
    memoryPages,
    ...(m.pageSize ? { pageSize: m.pageSize } : {}),
    macs,
    ...(m.flash ? { flash: m.flash } : {}),
  }
}
