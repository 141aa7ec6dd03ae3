/** CONV_2D 3x3 with stride 1 by Winograd's F(4x4,3x3) in integers (assembly/kernels/winograd.ts). */
import { OP_WINOGRAD } from '../generated/layout.ts'
import type { Kernels } from '../types.ts'
import { align } from '../words.ts'
import type { Context } from './context.ts'
import type { Convolution } from './convolution.ts'
import { constantVectors, epilogueOf } from './epilogue.ts'
import { eachRows, fillsPanels, foldByRows, type PanelForm } from './gemm.ts'
import { packWinograd, winogradPairs } from './pack.ts'
import { present, splitPanels } from './program.ts'
import { gemmBuffers } from './weight-buffers.ts'
import type { Weights } from './weights.ts'
import type { Axis } from '../window.ts'
import { rowsOf, windowInput, type Window } from './window.ts'

/** Bytes of a panel of `nr` channels. */
const panelBytes = (k: number, nr: number): number => 36 * winogradPairs(k / 9) * nr * 4

const formOf = (nr: number): PanelForm => ({
  nr,
  packWeights: (weights, zero, { channels, k }) => packWinograd(weights, zero, { channels, inputs: k / 9 }, nr),
  weightBytes: (panels, k) => panels * panelBytes(k, nr),
  loadWeights(loader, to, w, { k }) {
    const { pack_winograd } = loader.runtime
    return (
      pack_winograd !== undefined &&
      eachRows(loader, { w, k, nr }, (at, rows, p) =>
        pack_winograd(to + p * panelBytes(k, nr), at, rows, k / 9, nr, w.zero, w.flip),
      )
    )
  },
  foldBias: foldByRows(nr),
})

const NARROW = formOf(8)
const WIDE = formOf(16)

const formFor = (kernels: Kernels, outputs: number): PanelForm =>
  kernels === 'avx2' && outputs >= 16 && fillsPanels(16)(outputs) ? WIDE : NARROW

/** Kernel sets that have it: those that multiply in 16 bits. */
const KERNELS: readonly Kernels[] = ['x86', 'avx2']

/** Largest sum of products whose 64-fold fits 32 bits. */
const LIMIT = 2 ** 25 - 1

/** Whether a layer of enough channels can run so, exactly. */
function possible(cx: Context, weights: Weights, win: Window): boolean {
  const { kh, kw, strideH, strideW, dilationH, dilationW } = win
  return (
    cx.variant === 'simd' &&
    KERNELS.includes(cx.kernels) &&
    !cx.compact &&
    kh === 3 &&
    kw === 3 &&
    strideH * strideW * dilationH * dilationW === 1 &&
    weights.safe &&
    weights.bounded(LIMIT)
  )
}

/** Nanoseconds that 64 pixels take: by each product of an input and an output channel, input channel, output channel. */
type Cost = readonly [product: number, input: number, output: number]

/**
 * Measured on Zen 3 with Node 26 (`npm run bench:kernels -- 'conv 3x3'` shows where it leads); only ratios count. By kernel
 * set and channels a panel.
 */
const COSTS: Readonly<Record<string, { direct: Cost; winograd: Cost }>> = {
  'x86 8': { direct: [14.9, 0, 20], winograd: [3.44, 22, 52] },
  'avx2 8': { direct: [9.5, 10, 15], winograd: [3.4, 22, 56] },
  'avx2 16': { direct: [7.3, 23, 27], winograd: [1.85, 35, 48] },
}

/** How many times faster it must be for what its weights take more: 36 elements for 9. */
const WORTH = 1.2
/** What a single tile takes of four. */
const SINGLE = 0.45

const tilesOf = ({ out }: Axis): number => Math.ceil(out / 4)

/** Whether it is so much faster. */
function pays(cx: Context, inputs: number, outputs: number, { x, y }: Window): boolean {
  const { nr } = formFor(cx.kernels, outputs)
  const costs = COSTS[`${cx.kernels} ${nr}`]
  if (!costs) return false
  const channels = align(outputs, nr)
  const ns = ([product, input, output]: Cost): number =>
    inputs * channels * product + inputs * input + channels * output
  const tiles = tilesOf(x) * tilesOf(y)
  const groups = (tiles >> 2) + [0, SINGLE, 1, 1][tiles & 3]!
  return WORTH * groups * ns(costs.winograd) <= (Math.ceil((x.out * y.out) / 4) / 16) * ns(costs.direct)
}

/** Channels of a convolution: of a group's input, of the whole output. */
interface Channels {
  inputs: number
  outputs: number
  groups: number
}

/** Whether a convolution takes this form. */
export function takesWinograd(
  cx: Context,
  weights: Weights,
  win: Window,
  { inputs, outputs, groups }: Channels,
): boolean {
  const { convolution } = cx
  return (
    convolution !== 'direct' &&
    (convolution === 'winograd' || pays(cx, inputs, outputs, win)) &&
    groups === 1 &&
    outputs >= 8 &&
    possible(cx, weights, win)
  )
}

/** Bytes of the kernel's scratch before the groups, and of a group: its tiles, windows, sums. */
const FIXED = 2368
const TILES = 4 * 64
const GAP = 64
/** Groups that are transformed before they are multiplied, where there is room: weights are then read once for all. */
const BATCH = 8
/** Bytes of weights for each of which it is worth memory to have one more group: they come from beyond the caches. */
const FAR = 524288

/** A convolution to emit: x to y, their quantizations, the limits of y's own values. */
export function emitWinograd(cx: Context, { x, y, xq, oq, limits, weights, win }: Convolution): void {
  const { frame, zeroRow, prologue } = windowInput(cx, x, xq, win)
  const end = epilogueOf(oq, limits)
  const constants = constantVectors(cx, end)
  const pairs = winogradPairs(x.c)
  const positionBytes = align(pairs, 4) * 16 + GAP
  const form = formFor(cx.kernels, y.c)
  const { nr } = form
  const groupBytes = TILES + 36 * positionBytes + 36 * 4 * nr * 4
  const tiles = tilesOf(win.y) * tilesOf(win.x)
  const most = Math.min(BATCH, Math.ceil(tiles / 4))
  const k = 9 * x.c
  const weightBytes = form.weightBytes(Math.ceil(y.c / nr), k, k)
  const least = Math.min(most, Math.max(1, Math.round(weightBytes / FAR)))
  const scratch = cx.scratch('winograd windows', FIXED + groupBytes * least, FIXED + groupBytes * most)
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
      op: OP_WINOGRAD,
      kernel: nr === 8 ? 'winograd-4x8' : 'winograd-4x16',
      rows: rowsOf(win, x.h),
      reads: present(frame.buffer, wb, bb, sb, scratch, zeroRow, constants),
      writes: [y.buffer, scratch],
      macs: win.y.out * win.x.out * y.c * k,
      prologue: n === 0 ? prologue : undefined,
      // Four rows are written before the tiles behind have been read.
      stream: x.n === 1 ? { from: frame, to: y, lag: 3 * win.x.out + 1 } : undefined,
      block: { rows: 4, columns: 4 },
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
        batch: Math.max(1, Math.min(most, Math.floor((scratch.room! - FIXED) / groupBytes))),
      }),
    })
  }
}
