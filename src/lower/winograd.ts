/**
 * CONV_2D 3x3 by fewer products, exactly: with stride 1 by Winograd's F(4x4,3x3) in integers
 * (assembly/kernels/winograd.ts), with stride 2 by phases (polyphase.ts).
 */
import { OP_POLYPHASE, OP_WINOGRAD } from '../generated/layout.ts'
import type { Kernels } from '../graph/types.ts'
import { align } from '../base/words.ts'
import type { Context } from './context.ts'
import type { Convolution } from './convolution.ts'
import { constantVectors, epilogueOf } from './epilogue.ts'
import { eachRows, fillsPanels, foldByRows, type PanelForm } from './gemm.ts'
import { packPolyphase, packWinograd, polyphasePairs, winogradPairs } from './pack.ts'
import { present, splitPanels } from './program.ts'
import { gemmBuffers } from './weight-buffers.ts'
import type { Weights } from './weights.ts'
import type { Axis } from '../graph/window.ts'
import { rowsOf, windowInput, type Window } from './window.ts'

/** A kernel that makes fewer products than a 3x3 convolution's plain sum has. */
interface FewerProducts {
  name: 'winograd' | 'polyphase'
  op: number
  stride: 1 | 2
  /** Rows and columns of a tile of output pixels. */
  tile: number
  /** How many times faster it must be for what its weights take more: `positions` elements for 9. */
  worth: number
  /** Positions of a tile's transformed window, and sums of their products that are kept apart. */
  positions: number
  sums: number
  /** Bytes of the kernel's scratch before its tiles. */
  fixed: number
  /** Pairs of input channels. */
  pairs(channels: number): number
  /** Bytes from one position of a group of four to the next. */
  positionBytes(pairs: number): number
  /** Largest sum of a pixel's products, where a multiple of it has to fit 32 bits. */
  limit?: number
  pack: typeof packWinograd
  packer: 'pack_winograd' | 'pack_polyphase'
}

const WINOGRAD: FewerProducts = {
  name: 'winograd',
  op: OP_WINOGRAD,
  stride: 1,
  tile: 4,
  worth: 1.2,
  positions: 36,
  sums: 36,
  fixed: 2368,
  pairs: winogradPairs,
  // Apart, so that not all fall into the same sets of a cache.
  positionBytes: (pairs) => align(pairs, 4) * 16 + 64,
  // The 64-fold.
  limit: 2 ** 25 - 1,
  pack: packWinograd,
  packer: 'pack_winograd',
}

const POLYPHASE: FewerProducts = {
  name: 'polyphase',
  op: OP_POLYPHASE,
  stride: 2,
  tile: 2,
  worth: 1.1,
  positions: 25,
  sums: 9,
  fixed: 1664,
  pairs: polyphasePairs,
  positionBytes: (pairs) => pairs * 16,
  pack: packPolyphase,
  packer: 'pack_polyphase',
}

/** How `kernel` has weights in panels of `nr` channels. */
function formOf({ positions, pairs, pack, packer }: FewerProducts, nr: number): PanelForm {
  const panelBytes = (k: number): number => positions * pairs(k / 9) * nr * 4
  return {
    nr,
    packWeights: (weights, zero, { channels, k }) => pack(weights, zero, { channels, inputs: k / 9 }, nr),
    weightBytes: (panels, k) => panels * panelBytes(k),
    loadWeights(loader, to, w, { k }) {
      const { [packer]: load } = loader.runtime
      return (
        load !== undefined &&
        eachRows(loader, { w, k, nr }, (at, rows, p) =>
          load(to + p * panelBytes(k), at, rows, k / 9, nr, w.zero, w.flip),
        )
      )
    },
    foldBias: foldByRows(nr),
  }
}

const FORMS = new Map([WINOGRAD, POLYPHASE].map((kernel) => [kernel, [formOf(kernel, 8), formOf(kernel, 16)] as const]))

/** Channels a panel. */
const widthFor = (kernels: Kernels, outputs: number): 8 | 16 =>
  kernels === 'avx2' && outputs >= 16 && fillsPanels(16)(outputs) ? 16 : 8

/** Kernel sets that have it: those that multiply in 16 bits. */
const KERNELS: readonly Kernels[] = ['x86', 'avx2']

/** The kernel that a layer of enough channels with such a window can run by, exactly. */
function possible(cx: Context, weights: Weights, win: Window): FewerProducts | undefined {
  const { kh, kw, strideH, strideW, dilationH, dilationW } = win
  if (cx.variant !== 'simd' || !KERNELS.includes(cx.kernels) || cx.compact || !weights.safe) return undefined
  if (kh !== 3 || kw !== 3 || strideH !== strideW || dilationH * dilationW !== 1) return undefined
  const kernel = [WINOGRAD, POLYPHASE].find(({ stride }) => stride === strideH)
  return kernel && (kernel.limit === undefined || weights.bounded(kernel.limit)) ? kernel : undefined
}

/**
 * Nanoseconds that 64 pixels take, of `polyphase` 16: by each product of an input and an output channel, input channel,
 * output channel.
 */
type Cost = readonly [product: number, input: number, output: number]

/**
 * Measured on Zen 3 with Node 26 (`npm run bench:kernels -- 'conv 3x3'` shows where it leads); only ratios count. By
 * kernel set and channels a panel.
 */
const COSTS: Readonly<Record<string, Record<'direct' | FewerProducts['name'], Cost>>> = {
  'x86 8': { direct: [14.9, 0, 20], winograd: [3.44, 22, 52], polyphase: [2.45, 15, 8] },
  'avx2 8': { direct: [9.5, 10, 15], winograd: [3.4, 22, 56], polyphase: [2.45, 15, 8] },
  'avx2 16': { direct: [7.3, 23, 27], winograd: [1.85, 35, 48], polyphase: [1.33, 17, 8] },
}

/** What a single tile takes of four. */
const SINGLE = 0.45

const tilesOf = ({ tile }: FewerProducts, { out }: Axis): number => Math.ceil(out / tile)

/** Its time against that of the direct form. */
function effortOf(cx: Context, kernel: FewerProducts, { inputs, outputs }: Channels, { x, y }: Window): number {
  const nr = widthFor(cx.kernels, outputs)
  const costs = COSTS[`${cx.kernels} ${nr}`]
  if (!costs) return Infinity
  const channels = align(outputs, nr)
  const ns = ([product, input, output]: Cost): number =>
    inputs * channels * product + inputs * input + channels * output
  const tiles = tilesOf(kernel, x) * tilesOf(kernel, y)
  const groups = (tiles >> 2) + [0, SINGLE, 1, 1][tiles & 3]!
  return (groups * ns(costs[kernel.name])) / ((Math.ceil((x.out * y.out) / 4) / 16) * ns(costs.direct))
}

/** Channels of a convolution: of a group's input, of the whole output. */
interface Channels {
  inputs: number
  outputs: number
  groups: number
}

/** The kernel that makes fewer products, if a convolution takes one. */
export function fewerProducts(
  cx: Context,
  weights: Weights,
  win: Window,
  channels: Channels,
): FewerProducts | undefined {
  const { convolution } = cx
  if (convolution === 'direct' || channels.groups !== 1 || channels.outputs < 8) return undefined
  const kernel = possible(cx, weights, win)
  return kernel && (convolution === 'winograd' || kernel.worth * effortOf(cx, kernel, channels, win) <= 1)
    ? kernel
    : undefined
}

/** Bytes of the four tiles of a group. */
const TILES = 4 * 64
/** Groups that are transformed before they are multiplied, where there is room: weights are then read once for all. */
const BATCH = 8
/** Bytes of weights for each of which it is worth memory to have one more group: they come from beyond the caches. */
const FAR = 524288

/** A convolution to emit: x to y, their quantizations, the limits of y's own values. */
export function emitFewerProducts(cx: Context, layer: Convolution, kernel: FewerProducts): void {
  const { x, y, xq, oq, limits, weights, win } = layer
  const { positions, sums, tile, fixed } = kernel
  const { frame, zeroRow, prologue } = windowInput(cx, x, xq, win)
  const end = epilogueOf(oq, limits)
  const constants = constantVectors(cx, end)
  const pairs = kernel.pairs(x.c)
  const positionBytes = kernel.positionBytes(pairs)
  const nr = widthFor(cx.kernels, y.c)
  const form = FORMS.get(kernel)![nr === 8 ? 0 : 1]
  const groupBytes = TILES + positions * positionBytes + sums * 4 * nr * 4
  const tiles = tilesOf(kernel, win.y) * tilesOf(kernel, win.x)
  const most = Math.min(BATCH, Math.ceil(tiles / 4))
  const k = 9 * x.c
  const weightBytes = form.weightBytes(Math.ceil(y.c / nr), k, k)
  const least = Math.min(most, Math.max(1, Math.round(weightBytes / FAR)))
  const scratch = cx.scratch(`${kernel.name} windows`, fixed + groupBytes * least, fixed + groupBytes * most)
  const {
    weights: wb,
    bias: bb,
    scale: sb,
  } = gemmBuffers(cx, cx.output().name, weights, {
    form,
    k,
    segment: k,
  })
  for (let n = 0; n < x.n; n++) {
    cx.push({
      record: 'WinogradRecord',
      op: kernel.op,
      kernel: `${kernel.name}-4x${nr}`,
      rows: rowsOf(win, x.h),
      reads: present(frame.buffer, wb, bb, sb, scratch, zeroRow, constants),
      writes: [y.buffer, scratch],
      macs: win.y.out * win.x.out * y.c * k,
      effort: effortOf(cx, kernel, { inputs: x.c, outputs: y.c, groups: 1 }, win),
      prologue: n === 0 ? prologue : undefined,
      // All rows of a tile are written before the tiles behind have been read.
      stream: x.n === 1 ? { from: frame, to: y, lag: (tile - 1) * win.x.out + 1 } : undefined,
      block: { rows: tile, columns: tile },
      split: splitPanels(y.c, nr, [wb, bb, sb]),
      overread: 3 * x.c + 128,
      fields: () => ({
        input: frame.frameAddress(n),
        inRowStride: frame.rowStride,
        inRing: frame.ringRows,
        xStep: x.c,
        zeroRow: zeroRow?.address ?? 0,
        channels: x.c,
        pairs,
        positionBytes,
        output: y.address(n),
        outRowStride: y.rowStride,
        outRing: y.ringRows,
        outPixelStride: y.c,
        outW: win.x.out,
        outC: y.c,
        weights: wb.address,
        bias: bb.address,
        scale: sb.address,
        scratch: scratch.address,
        constants: constants.address,
        clamped: end.clamped,
        nr,
        batch: Math.max(1, Math.min(most, Math.floor((scratch.room! - fixed) / groupBytes))),
      }),
    })
  }
}
