/**
 * The GEMM microkernels a convolution may use: one row per `form` of a ConvRecord. A new microkernel is a file
 * assembly/kernels/gemm-*.ts, its case in conv.ts, its export in kernels/index.ts and its row here.
 */
import type { Loader } from '../kernels/packers.ts'
import { align, littleEndian } from '../base/words.ts'
import type { Kernels, Variant } from '../graph/types.ts'
import {
  packGemm,
  packRows3x8c8,
  packRows4,
  packRows4x16c4,
  packRows4x8c4,
  packScalar4,
  paddedSegment,
  type GemmShape,
  type Segments,
} from './pack.ts'
import type { Target } from './context.ts'
import type { Buffer } from './program.ts'
import type { Weights } from './weights.ts'

/**
 * Tiles that forms that pack panels take at a time where there is room: each panel of weights, which comes from far in
 * large layers, is then read once for all of them, and for the pixel that may be left after the last ones.
 */
export const GEMM_BATCH = 4

/** How weights and bias lie in panels of `nr` channels. */
export interface PanelForm {
  nr: number
  /** Weights [channels][k] int8 with zero point `zero`, k in segments of `segment`, in this kernel's order. */
  packWeights(weights: Int8Array, zero: number, shape: GemmShape): Int16Array | Int8Array
  /** Bytes of that. */
  weightBytes(panels: number, k: number, segment: number): number
  /** The same by the runtime's packer, see Recipe. */
  loadWeights?(loader: Loader, to: number, w: Weights, shape: GemmShape): boolean
  /**
   * Writes the plain bias (in panel order) and folds the input's zero point in, given weights that are loaded already.
   */
  foldBias?(loader: Loader, to: number, layer: PackedLayer): boolean
}

/** A layer whose weights are packed already, in `weights`. */
export interface PackedFilter {
  /** Bias in panel order. */
  plain: Int32Array
  weights: Buffer
  w: Weights
}

/** The same for weights [channels][k] in `panels` panels. */
export interface PackedLayer extends PackedFilter {
  panels: number
  k: number
  segment: number
}

export interface GemmForm extends PanelForm {
  /** `form` of the record. */
  id: number
  /** `gemm-` pixels x channels, and what tells it from others of that size. */
  name: string
  /** Pixels a tile; at most 4. */
  mr: number
  /** Variants whose runtime holds it, and kernel sets that take it; GEMM_FORMS lists the best first. */
  variants: readonly Variant[]
  kernels: readonly Kernels[]
  /** Bytes of panel for one segment of `bytes` contiguous input bytes; 0 in forms that read rows of int8. */
  panelBytes(bytes: number): number
  /**
   * Forms that read rows of int8: bytes of a row of `k`. They multiply raw weights and correct for their zero point.
   */
  rowBytes?(k: number): number
  /** Whether it is a good choice for so many output channels; default: always. */
  suits?(channels: number): boolean
  /** Weights with a zero point of their own do not fit. */
  signed?: boolean
  /** What is added to each activation as it is packed; the bias takes it off again. */
  activationOffset?: number
  /** Taken only where memory counts for more than time. */
  compact?: boolean
  /** Time against the form of its kernel set whose weights are 16 bits wide; default 1. */
  effort?(layer: { k: number; channels: number; zero: number }): number
  /** Whether the kernel is exact for these weights. */
  legal?(weights: Int8Array, k: number): boolean
}

/**
 * Packs 4x8 panels in as many goes as the staging memory asks for; the last panel of channels that are no multiple of 8
 * apart. `target`: where panels [p, p + count) go; default: behind their rows in the staging memory. `done` is told.
 */
function eachGo(
  { runtime, memory, staging, stagingBytes }: Loader,
  w: Weights,
  { k, segment }: Segments,
  { target, done }: { target?: (p: number) => number; done?: (at: number, p: number, count: number) => void },
): boolean {
  const channels = w.bias.length
  const padded = paddedSegment(segment)
  const panelBytes = (k / segment) * padded * 16
  const perGo = Math.floor((stagingBytes - 8 - (target ? 0 : 144)) / (8 * k + (target ? 0 : panelBytes)))
  if (!runtime.pack_gemm_4x8 || perGo < 1 || channels < 8) return false
  const pack = (channel: number, p: number, count: number): void => {
    const rows = w.raw.subarray(channel * k, (channel + count * 8) * k)
    const at = target?.(p) ?? staging + align(rows.length + 8, 16)
    memory.set(rows, staging)
    runtime.pack_gemm_4x8!(at, staging, count, k, segment, padded, w.zero, w.flip)
    done?.(at, p, count)
  }
  const whole = channels >> 3
  for (let p = 0; p < whole; p += perGo) pack(p * 8, p, Math.min(perGo, whole - p))
  if (channels & 7) pack(channels - 8, whole, 1)
  return true
}

function loadGemm4x8(loader: Loader, to: number, w: Weights, shape: GemmShape): boolean {
  const panelBytes = (shape.k / shape.segment) * paddedSegment(shape.segment) * 16
  return eachGo(loader, w, shape, { target: (p) => to + p * panelBytes })
}

/** The same as int8 with their zero point, by way of i16 in the staging memory. */
function loadGemm4x8w8(loader: Loader, to: number, w: Weights, shape: GemmShape): boolean {
  const { narrow_bytes } = loader.runtime
  const panel = (shape.k / shape.segment) * paddedSegment(shape.segment) * 8
  return (
    narrow_bytes !== undefined &&
    eachGo(loader, w, shape, {
      done: (at, p, count) => narrow_bytes(to + p * panel, at, count * panel, w.zero),
    })
  )
}

/**
 * Stages rows of weights in as many goes as the memory asks for, whole panels of `nr` at a time. `take` is told where
 * they lie, and their first panel.
 */
export function eachRows(
  { memory, staging, stagingBytes }: Loader,
  { w, k, nr }: { w: Weights; k: number; nr: number },
  take: (at: number, rows: number, panel: number) => void,
): boolean {
  const channels = w.bias.length
  const whole = Math.floor(channels / nr)
  const perGo = Math.floor((stagingBytes - 4) / (nr * k))
  if (perGo < 1) return false
  const go = (channel: number, rows: number, panel: number): void => {
    memory.set(w.raw.subarray(channel * k, (channel + rows) * k), staging)
    take(staging, rows, panel)
  }
  for (let p = 0; p < whole; p += perGo) go(p * nr, Math.min(perGo, whole - p) * nr, p)
  if (channels % nr) go(Math.max(0, channels - nr), Math.min(nr, channels), whole)
  return true
}

/**
 * Writes the plain bias and folds in what the input's zero point takes off, from rows of weights that `stage` stages:
 * where, how many, their first place in panel order.
 */
function foldRows(
  { runtime, memory }: Loader,
  to: number,
  { plain, w, k }: PackedLayer,
  stage: (take: (at: number, rows: number, place: number) => void) => boolean,
): boolean {
  const { fold_rows, flip_bytes } = runtime
  if (!fold_rows || !flip_bytes) return false
  memory.set(littleEndian(plain), to)
  return (
    !w.inputZero ||
    stage((at, rows, place) => {
      if (w.flip) flip_bytes(at, rows * k)
      fold_rows(to + place * 4, at, rows, k, w.zero, w.inputZero)
    })
  )
}

/** The bias of panels of `nr` channels, from rows of weights. */
export const foldByRows =
  (nr: number): NonNullable<PanelForm['foldBias']> =>
  (loader, to, layer) =>
    foldRows(loader, to, layer, (take) =>
      eachRows(loader, { w: layer.w, k: layer.k, nr }, (at, rows, p) => take(at, rows, p * nr)),
    )

/** Weights and bias of the forms that read rows of int8, by the runtime's packer for `nr` channels. */
const byRows = (
  nr: number,
  name: 'pack_gemm_4x16c4' | 'pack_gemm_3x8c8',
  panelBytes: (k: number) => number,
): Pick<GemmForm, 'loadWeights' | 'foldBias'> => ({
  loadWeights(loader, to, w, { k }) {
    const { [name]: pack } = loader.runtime
    return (
      pack !== undefined &&
      eachRows(loader, { w, k, nr }, (at, rows, p) => pack(to + p * panelBytes(k), at, rows, k, w.flip))
    )
  },
  foldBias: foldByRows(nr),
})

const multipleOf =
  (n: number) =>
  (k: number): number =>
    Math.ceil(k / n) * n

/** At most an eighth of the work is for channels that panels of `nr` repeat. */
export const fillsPanels =
  (nr: number) =>
  (channels: number): boolean =>
    Math.ceil(channels / nr) * nr <= channels * 1.125

/**
 * No weights k and k + 4 of a group of eight (with `apart` 8: k + 8 of sixteen) are both -128: their products' sum
 * could leave 16 bits.
 */
export function pairsFit(weights: Int8Array, k: number, apart: 4 | 8 = 4): boolean {
  if (!weights.includes(-128)) return true
  for (let row = 0; row < weights.length; row += k) {
    for (let i = 0; i + apart < k; i++) {
      if (weights[row + i] === -128 && weights[row + i + apart] === -128 && (i & apart) === 0) return false
    }
  }
  return true
}

/** No two neighbouring weights 2i, 2i + 1 are both -128: engines may add two products of a relaxed dot in 16 bits. */
function dotPairsFit(weights: Int8Array, k: number): boolean {
  if (!weights.includes(-128)) return true
  for (let row = 0; row < weights.length; row += k) {
    for (let i = 0; i + 1 < k; i += 2) if (weights[row + i] === -128 && weights[row + i + 1] === -128) return false
  }
  return true
}

/** Panels and i16 weights that forms 0 and 12 share. */
const WIDE: Omit<GemmForm, 'id' | 'name' | 'kernels'> = {
  mr: 4,
  nr: 8,
  variants: ['simd', 'relaxed'],
  panelBytes: (bytes) => paddedSegment(bytes) * 8,
  packWeights: (weights, zero, shape) => packGemm(weights, zero, shape),
  weightBytes: (panels, k, segment) => ((panels * k) / segment) * paddedSegment(segment) * 16,
  loadWeights: loadGemm4x8,
  foldBias({ runtime, memory }, to, { plain, weights, w, panels }) {
    if (!runtime.fold_gemm_4x8) return false
    memory.set(littleEndian(plain), to)
    if (w.inputZero) runtime.fold_gemm_4x8(to, weights.address, panels, weights.bytes / panels / 32, 0, w.inputZero)
    return true
  },
}

/**
 * What widening costs where activations are broadcast by shuffles, measured on whole networks on Zen 3: 1.018 to 1.030
 * in Node 20, 1.006 in Wasmtime 50. By loads it costs nothing.
 */
const WIDENING = 1.025

/**
 * What a weight zero point adds, counted in instructions of a tile and a panel, of which there are eight for each k: a
 * multiply and an add for each 2 k that all panels share, and twelve at the end.
 */
const correcting = ({ k, channels, zero }: { k: number; channels: number; zero: number }): number =>
  zero ? 1 / (8 * Math.ceil(channels / 8)) + 12 / (8 * k) : 0

/** The same as int8, which forms 11 and 14 share. */
const NARROW: Omit<GemmForm, 'id' | 'name' | 'kernels'> = {
  mr: 4,
  nr: 8,
  variants: ['simd', 'relaxed'],
  compact: true,
  panelBytes: (bytes) => paddedSegment(bytes) * 8,
  packWeights: (weights, zero, shape) => Int8Array.from(packGemm(weights, zero, shape), (v) => v + zero),
  weightBytes: (panels, k, segment) => ((panels * k) / segment) * paddedSegment(segment) * 8,
  loadWeights: loadGemm4x8w8,
  foldBias(loader, to, { plain, w, k, segment }) {
    const { fold_gemm_4x8 } = loader.runtime
    if (!fold_gemm_4x8) return false
    loader.memory.set(littleEndian(plain), to)
    const pairs = ((k / segment) * paddedSegment(segment)) / 2
    return (
      !w.inputZero ||
      eachGo(
        loader,
        w,
        { k, segment },
        {
          done: (at, p, count) => fold_gemm_4x8(to + p * 32, at, count, pairs, 0, w.inputZero),
        },
      )
    )
  },
}

export const GEMM_FORMS: readonly GemmForm[] = [
  {
    id: 9,
    name: 'gemm-4x16c4-dot',
    mr: 4,
    nr: 16,
    variants: ['relaxed'],
    kernels: ['arm-dot'],
    panelBytes: () => 0,
    rowBytes: multipleOf(4),
    legal: dotPairsFit,
    packWeights: (weights, _, { channels, k }) => packRows4x16c4(weights, channels, k),
    weightBytes: (panels, k) => panels * multipleOf(4)(k) * 16,
    ...byRows(16, 'pack_gemm_4x16c4', (k) => multipleOf(4)(k) * 16),
  },
  {
    id: 13,
    name: 'gemm-4x8c4-dot',
    mr: 4,
    nr: 8,
    variants: ['relaxed'],
    kernels: ['x86-vnni'],
    signed: true,
    activationOffset: 128,
    panelBytes: (bytes) => multipleOf(4)(bytes) * 4,
    packWeights: (weights, _, { channels, k, segment }) => packRows4x8c4(weights, channels, k, segment),
    weightBytes: (panels, k, segment) => ((panels * k) / segment) * multipleOf(4)(segment) * 8,
    loadWeights(loader, to, w, { k, segment }) {
      const { pack_gemm_4x8c4 } = loader.runtime
      const panel = (k / segment) * multipleOf(4)(segment) * 8
      return (
        pack_gemm_4x8c4 !== undefined &&
        eachRows(loader, { w, k, nr: 8 }, (at, rows, p) =>
          pack_gemm_4x8c4(to + p * panel, at, rows, k, segment, w.flip),
        )
      )
    },
    foldBias: foldByRows(8),
  },
  {
    id: 8,
    name: 'gemm-3x8c8',
    mr: 3,
    nr: 8,
    variants: ['simd', 'relaxed'],
    kernels: ['arm', 'arm-dot'],
    panelBytes: () => 0,
    rowBytes: multipleOf(8),
    legal: (weights, k) => pairsFit(weights, k),
    packWeights: (weights, _, { channels, k }) => packRows3x8c8(weights, channels, k),
    weightBytes: (panels, k) => panels * multipleOf(8)(k) * 8,
    ...byRows(8, 'pack_gemm_3x8c8', (k) => multipleOf(8)(k) * 8),
  },
  { id: 11, name: 'gemm-4x8-w8', kernels: ['x86'], effort: (layer) => 1 + correcting(layer), ...NARROW },
  {
    id: 14,
    name: 'gemm-4x8-w8-shuffle',
    kernels: ['generic'],
    effort: (layer) => WIDENING + correcting(layer),
    ...NARROW,
  },
  {
    id: 10,
    name: 'gemm-4x16',
    mr: 4,
    nr: 16,
    variants: ['simd'],
    kernels: ['avx2'],
    suits: fillsPanels(16),
    panelBytes: (bytes) => paddedSegment(bytes) * 8,
    packWeights: (weights, zero, shape) => packGemm(weights, zero, shape, 16),
    weightBytes: (panels, k, segment) => ((panels * k) / segment) * paddedSegment(segment) * 32,
  },
  { id: 12, name: 'gemm-4x8-shuffle', kernels: ['generic'], ...WIDE },
  { id: 0, name: 'gemm-4x8', kernels: ['x86', 'x86-vnni', 'arm', 'arm-dot', 'avx2'], ...WIDE },
]

/**
 * Stages rows of weights, four or a multiple of it at a time or one where memory is scarce, each panel's in turn.
 * `take` is told where they lie and their places in panel order.
 */
function eachFour(
  { memory, staging, stagingBytes }: Loader,
  w: Weights,
  k: number,
  take: (at: number, place: number, rows: number) => void,
): boolean {
  const channels = w.bias.length
  const whole = channels & ~3
  const most = Math.floor(stagingBytes / k)
  const perGo = most < 4 ? Math.min(most, 1) : most & ~3
  if (perGo < 1) return false
  const go = (channel: number, from: number, to: number): void => {
    for (let p = from; p < to; p += perGo) {
      const first = channel + p - from
      const rows = Math.min(perGo, to - p)
      memory.set(w.raw.subarray(first * k, (first + rows) * k), staging)
      take(staging, p, rows)
    }
  }
  go(0, 0, whole)
  if (channels < 4) for (let p = 0; p < 4; p++) go(Math.min(p, channels - 1), p, p + 1)
  else if (channels & 3) go(channels - 4, whole, whole + 4)
  return true
}

/** Order of a fully connected layer's weights. */
export const ROWS_FORM: PanelForm = {
  nr: 4,
  packWeights: (weights, _, { channels, k }) => packRows4(weights, channels, k),
  weightBytes: (panels, k) => panels * multipleOf(16)(k) * 4,
  loadWeights(loader, to, w, { k }) {
    const { pack_rows4 } = loader.runtime
    const panel = multipleOf(16)(k) * 4
    return (
      pack_rows4 !== undefined &&
      eachFour(loader, w, k, (at, p, rows) => pack_rows4(to + (p >> 2) * panel + (p & 3) * 16, at, rows, k, w.flip))
    )
  },
  foldBias: (loader, to, layer) =>
    foldRows(loader, to, layer, (take) =>
      eachFour(loader, layer.w, layer.k, (at, place, rows) => {
        // Places that repeat a channel have no bias of their own.
        const channels = layer.w.bias.length
        if (channels >= 4 || place < channels) take(at, rows, place)
      }),
    ),
}

/** Order of the scalar kernels' weights. */
export const SCALAR_FORM: PanelForm = {
  nr: 4,
  packWeights: (weights, _, { channels, k }) => packScalar4(weights, channels, k),
  weightBytes: (panels, k) => panels * k * 4,
  foldBias: foldByRows(4),
}

/**
 * `form` of scalar convolutions that take three pixels at a time as lanes of 64 bits (assembly/kernels/gemm-lanes.ts),
 * and what they pack: eight bytes for each of k, which is filled up to a multiple of four.
 */
export const LANES_FORM = 15
export const lanesBytes = (k: number): number => align(k, 4) * 8

/** Whether lanes pay: everywhere but on 32-bit processors, which have `arm` in the scalar variant. */
export const takesLanes = ({ variant, kernels }: Target, pixels: number): boolean =>
  variant === 'scalar' && kernels !== 'arm' && kernels !== 'arm-dot' && pixels > 1

/** The form that reads i16 weights: what convDirect takes too. */
export const WIDE_FORM: GemmForm = GEMM_FORMS.find((f) => f.id === 0)!

/** The form to use for weights [channels][k]. */
export function gemmForm({ variant, kernels, compact }: Target, weights: Weights, k: number): GemmForm {
  return (
    GEMM_FORMS.find(
      (f) =>
        f.variants.includes(variant) &&
        f.kernels.includes(kernels) &&
        (compact || !f.compact) &&
        !(f.signed && weights.zero) &&
        (f.suits?.(weights.bias.length) ?? true) &&
        (f.legal?.(weights.data, k) ?? true),
    ) ?? WIDE_FORM
  )
}
