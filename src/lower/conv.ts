/** CONV_2D and FULLY_CONNECTED, which each may become the other. */
import {
  FULLY_CONNECTED_BYTES,
  OP_CONV,
  OP_CONV_DIRECT,
  OP_FULLY_CONNECTED,
  SLOT_BYTES,
  TILE_BYTES,
} from '../generated/layout.ts'
import { elements, type OpOf } from '../graph/graph.ts'
import { activationBoundsXnn } from '../arithmetic/numerics.ts'
import type { Kernels } from '../graph/types.ts'
import { align } from '../base/words.ts'
import { type Context, Unsupported } from './context.ts'
import { hasNegativeScale, lowerConvFixed } from './conv-fixed.ts'
import type { Convolution } from './convolution.ts'
import { constantVectors, epilogueFields, epilogueOf } from './epilogue.ts'
import {
  fillsPanels,
  GEMM_BATCH,
  type GemmForm,
  gemmForm,
  LANES_FORM,
  lanesBytes,
  pairsFit,
  ROWS_FORM,
  SCALAR_FORM,
  takesLanes,
  WIDE_FORM,
} from './gemm.ts'
import { lowerComputedFilter } from './matmul.ts'
import { paddedSegment } from './pack.ts'
import { type Buffer, present, rowwise, splitPanels, Value } from './program.ts'
import { gemmBuffers } from './weight-buffers.ts'
import { readWeights, sameDtypes } from './weights.ts'
import { rowsOf, rowWindow, type Window, windowInput, windowOf } from './window.ts'
import { emitFewerProducts, fewerProducts } from './winograd.ts'

export function lowerConv(cx: Context): void {
  const op = cx.op as OpOf<'CONV_2D'>
  const x = cx.value(0)
  const w = cx.input(1, 'filter')
  const out = cx.output()
  if (hasNegativeScale(w.quantization?.scales)) return lowerConvFixed(cx)
  sameDtypes(x.tensor, w, out)
  if (!cx.hasInput(2)) throw new Unsupported('CONV_2D without bias')
  if (w.shape.length !== 4 || x.tensor.shape.length !== 4) {
    throw cx.fail('lower/shape', 'input and filter must have rank 4', w)
  }
  const o = w.shape[0]!
  const kh = w.shape[1]!
  const kw = w.shape[2]!
  const ci = w.shape[3]!
  if (x.c % ci || o % (x.c / ci)) {
    throw cx.fail('lower/shape', "input channels must be a multiple of the filter's", w, { expected: x.c, got: ci })
  }
  const xq = cx.q(x.tensor)
  const oq = cx.q(out)
  const weights = readWeights(cx, { x: xq, out: oq, w, b: cx.input(2, 'bias'), channels: o, inner: kh * kw * ci })
  const win = windowOf(cx, op.attrs, x, { kh, kw })
  cx.expectShape(out, [x.n, win.y.out, win.x.out, o])
  const limits = activationBoundsXnn(op.attrs.activation, oq)
  emitConv(cx, { x, y: cx.result(), xq, oq, limits, weights, win }, x.c / ci)
}

/** `groups` convolutions of x side by side into y. */
export function emitConv(cx: Context, layer: Convolution, groups = 1): void {
  const { x, y, weights, win } = layer
  const o = y.c
  const ci = x.c / groups
  const k = win.kh * win.kw * ci
  if (groups === 1 && isOnePixel(x, win)) {
    emitFullyConnected(cx, layer, k, x.n)
    return
  }
  const scalar = !cx.simd || !weights.safe
  const fewer = fewerProducts(cx, weights, win, { inputs: ci, outputs: o, groups })
  if (fewer) {
    emitFewerProducts(cx, layer, fewer)
    return
  }
  const form = gemmForm(cx, weights, k)
  if (!scalar && groups === 1 && widensRows(form, layer)) {
    emitConvDirect(cx, layer)
    return
  }
  const lanes = takesLanes(cx, win.y.out * win.x.out)
  emitGemm(cx, layer, { form, groups, scalar, lanes })
}

/** Whether the window is the whole image, which then is one row of a fully connected layer. */
const isOnePixel = (x: Value, win: Window): boolean =>
  win.y.out === 1 &&
  win.x.out === 1 &&
  win.kh === x.h &&
  win.kw === x.w &&
  !win.y.before &&
  !win.x.before &&
  win.dilationH === 1 &&
  win.dilationW === 1 &&
  !x.frame.left &&
  !x.frame.right &&
  !x.pad

/**
 * Whether to widen whole rows rather than to gather patches. Forms that read or pack int8 gather at little cost, which
 * more than one panel of outputs has to share.
 */
function widensRows(form: GemmForm, { x, y, win }: Convolution): boolean {
  if ((form.rowBytes && y.c > ONE_PANEL) || form.activationOffset) return false
  if (win.kw === 1 || win.dilationW !== 1 || win.x.out < 4 || y.c < 8) return false
  return x.c <= DIRECT_CHANNELS || (form === WIDE_FORM && y.c <= DIRECT_OUTPUTS && fillsPanels(4)(win.x.out))
}

/** What the records of a convolution by GEMM have in common. */
interface GemmChoice {
  form: GemmForm
  groups: number
  scalar: boolean
  /** Scalar: three pixels at a time. */
  lanes: boolean
}

/** How a GEMM reads its input and what it packs. */
interface GemmPanels {
  /** Runs of bytes that a row of the window lies in. */
  segments: number
  segmentBytes: number
  /** The input's pixels are rows of the GEMM as they lie. */
  direct: boolean
  /** Of a row, in forms that read rows of int8. */
  rowBytes: number
  segmentPanelBytes: number
  panelBytes: number
}

function panelsOf({ x, win }: Convolution, { form, groups, scalar }: GemmChoice): GemmPanels {
  const ci = x.c / groups
  const k = win.kh * win.kw * ci
  const contiguous = groups === 1 && win.dilationW === 1
  const segments = contiguous ? 1 : win.kw
  const segmentBytes = contiguous ? win.kw * ci : ci
  const direct = win.kh === 1 && segments === 1
  const rowBytes = form.rowBytes?.(k) ?? 0
  const segmentPanelBytes = form.panelBytes(segmentBytes)
  const panelBytes = scalar ? k : rowBytes ? (direct ? 0 : form.mr * rowBytes) : segmentPanelBytes * win.kh * segments
  return { segments, segmentBytes, direct, rowBytes, segmentPanelBytes, panelBytes }
}

/** Scratch memory of a GEMM: slots of packed pixels, tiles in work behind them. */
interface GemmScratch {
  buffer: Buffer
  /** Slots that it has room for once it is placed, but the one for a pixel that is left at the end. */
  batch(): number
}

/** One slot will do, more where the arena has room; the last of several is for a pixel that is left at the end. */
function scratchOf(cx: Context, { y, win }: Convolution, choice: GemmChoice, panels: GemmPanels): GemmScratch {
  const { form, groups, scalar, lanes } = choice
  const { direct, rowBytes, panelBytes } = panels
  const narrow = y.c / groups < form.nr
  const slotBytes = SLOT_BYTES + panelBytes
  const fixed = TILE_BYTES + (narrow ? form.mr * form.nr : 0) + 64
  const most = scalar || rowBytes || narrow ? 1 : Math.min(GEMM_BATCH + 1, Math.ceil((win.y.out * win.x.out) / form.mr))
  const plain = lanes ? lanesBytes(panelBytes) : direct ? 0 : panelBytes + 16
  const buffer = scalar
    ? cx.scratch('conv patches', plain)
    : cx.scratch('conv patches', fixed + slotBytes, fixed + slotBytes * most)
  const batch = (): number => Math.max(1, Math.min(most, Math.floor((buffer.room! - fixed) / slotBytes)) - 1)
  return { buffer, batch }
}

function emitGemm(cx: Context, layer: Convolution, choice: GemmChoice): void {
  const { form, groups, scalar, lanes } = choice
  const { x, y, xq, oq, limits, weights, win } = layer
  const o = y.c
  const ci = x.c / groups
  const k = win.kh * win.kw * ci
  const { frame, zeroRow, prologue } = windowInput(cx, x, xq, win)
  const panels = panelsOf(layer, choice)
  const { segments, segmentBytes, rowBytes, segmentPanelBytes, panelBytes } = panels
  const og = o / groups
  const end = epilogueOf(oq, limits)
  const constants = scalar ? undefined : constantVectors(cx, end)
  // A panel is packed before its pixels' results are written; a form that reads the input itself goes on reading it.
  const lag = scalar ? 1 : rowBytes && panels.direct ? form.mr : 0
  const { buffer: scratch, batch } = scratchOf(cx, layer, choice, panels)
  for (let g = 0; g < groups; g++) {
    const part = weights.part(g * og, (g + 1) * og)
    const name = cx.output().name
    const packed = scalar ? part : part.offset(form.activationOffset ?? 0)
    const shape = { form: scalar ? SCALAR_FORM : form, k, segment: segmentBytes }
    const { weights: wb, bias: bb, scale: sb } = gemmBuffers(cx, name, packed, shape)
    for (let n = 0; n < x.n; n++) {
      cx.push({
        record: 'ConvRecord',
        op: OP_CONV,
        kernel: lanes ? 'conv-lanes' : scalar ? 'conv-scalar' : k === ci ? form.name : `conv-${form.name}`,
        rows: rowsOf(win, x.h),
        reads: present(frame.buffer, wb, bb, sb, scratch, zeroRow, constants),
        writes: [y.buffer, scratch],
        macs: win.y.out * win.x.out * og * k,
        effort: scalar ? undefined : form.effort?.({ k, channels: og, zero: weights.zero }),
        form: lanes ? LANES_FORM : scalar ? undefined : form.id,
        split: splitPanels(og, scalar ? SCALAR_FORM.nr : form.nr, [wb, bb, sb]),
        prologue: g === 0 && n === 0 ? prologue : undefined,
        stream:
          x.n === 1 && groups === 1
            ? {
                from: frame,
                to: y,
                lag,
                ...(k === ci && win.strideH === 1 && win.strideW === 1 ? { order: 'pixel' as const } : {}),
              }
            : undefined,
        fields: () => ({
          input: frame.frameAddress(n) + g * ci,
          inRowStride: frame.rowStride,
          inRing: frame.ringRows,
          xStep: win.strideW * x.c,
          zeroRow: zeroRow?.address ?? 0,
          kh: win.kh,
          dilationH: win.dilationH,
          segments,
          segmentBytes,
          segmentStep: win.dilationW * x.c,
          output: y.address(n) + g * og,
          outRowStride: y.rowStride,
          outRing: y.ringRows,
          outPixelStride: o,
          outW: win.x.out,
          outC: og,
          weights: wb.address,
          bias: bb.address,
          scale: sb.address,
          scratch: scratch.address,
          panelBytes,
          segmentPanelBytes,
          constants: constants?.address ?? 0,
          clamped: end.clamped,
          form: lanes ? LANES_FORM : form.id,
          mr: form.mr,
          nr: form.nr,
          batch: batch(),
          rowBytes,
          ...epilogueFields(end),
          weightZeroPoint: weights.zero,
          scalar: Number(scalar),
        }),
      })
    }
  }
}

/**
 * Input channels up to which widening whole rows beats packing patches; output channels, where its microkernel is as
 * good: few panels share a packed patch.
 */
const DIRECT_CHANNELS = 4
/**
 * Outputs for which rows are widened rather than patches gathered, by instructions counted (tools/arm-count): vww's
 * first layer, 3 to 8 channels, 1.01 to 0.59 M on a Cortex-A72, 1.18 to 0.59 M on an A76; 3 to 32 channels are better
 * off with patches (9.8 against 11.6 M, 6.7 against 11.6 M).
 */
const ONE_PANEL = 8
const DIRECT_OUTPUTS = 32

function emitConvDirect(cx: Context, { x, y, xq, oq, limits, weights, win }: Convolution): void {
  const segment = win.kw * x.c
  const k = segment * win.kh
  const windowH = (win.kh - 1) * win.dilationH + 1
  const right = Math.max(0, (win.x.out - 1) * win.strideW + win.kw - x.w - win.x.before)
  const padLeftBytes = win.x.before * x.c * 2
  const padRightBytes = right * x.c * 2
  const ringStride = align(padLeftBytes + x.w * x.c * 2 + padRightBytes + 32, 16)
  const table = align(win.kh * 4, 16)
  const end = epilogueOf(oq, limits)
  const constants = constantVectors(cx, end)
  const scratch = cx.scratch('widened rows', table + (windowH + 1) * ringStride)
  const name = cx.output().name
  const { weights: wb, bias: bb, scale: sb } = gemmBuffers(cx, name, weights, { form: WIDE_FORM, k, segment })
  for (let n = 0; n < x.n; n++) {
    cx.push({
      record: 'ConvDirectRecord',
      op: OP_CONV_DIRECT,
      kernel: 'conv-direct-4x8',
      rows: rowsOf(win, x.h),
      reads: [x.buffer, wb, bb, sb, constants, scratch],
      writes: [y.buffer, scratch],
      macs: win.y.out * win.x.out * y.c * k,
      stream: x.n === 1 ? { from: x, to: y } : undefined,
      fields: () => ({
        input: x.address(n),
        inRowStride: x.rowStride,
        inRing: x.ringRows,
        rowBytes: x.rowBytes,
        rowTable: scratch.address,
        ring: scratch.address + table,
        ringStride,
        padLeftBytes,
        padRightBytes,
        xStep: win.strideW * x.c * 2,
        kh: win.kh,
        dilationH: win.dilationH,
        pairBytes: paddedSegment(segment) * 2,
        inputZeroPoint: xq.zero,
        output: y.address(n),
        outRowStride: y.rowStride,
        outRing: y.ringRows,
        outW: win.x.out,
        outC: y.c,
        weights: wb.address,
        bias: bb.address,
        scale: sb.address,
        constants: constants.address,
        clamped: end.clamped,
      }),
    })
  }
}

export function lowerFullyConnected(cx: Context): void {
  const op = cx.op as OpOf<'FULLY_CONNECTED'>
  const x = cx.value(0)
  const w = cx.input(1, 'filter')
  const out = cx.output()
  sameDtypes(x.tensor, w, out)
  if (w.shape.length !== 2) throw cx.fail('lower/shape', 'filter must have rank 2', w)
  const [o, k] = w.shape as [number, number]
  const rows = elements(x.tensor.shape) / k
  if (!Number.isInteger(rows) || elements(out.shape) !== rows * o) {
    throw cx.fail('lower/shape', 'input, filter and output sizes do not match', w, {
      expected: `${elements(x.tensor.shape)} / ${k} rows`,
      got: `[${out.shape}]`,
    })
  }
  cx.expectShape(out, op.attrs.keepNumDims ? [...x.tensor.shape.slice(0, -1), o] : [rows, o])
  if (!w.data) return lowerComputedFilter(cx)
  const xq = cx.q(x.tensor)
  const oq = cx.q(out)
  const b = cx.hasInput(2) ? cx.input(2, 'bias') : undefined
  const weights = readWeights(cx, { x: xq, out: oq, w, b, channels: o, inner: k })
  const limits = activationBoundsXnn(op.attrs.activation, oq)
  if (rows < 4) {
    emitFullyConnected(cx, { x, y: cx.result(), oq, limits, weights }, k, rows)
    return
  }
  // Many rows: one image of `rows` pixels through the GEMM.
  const xr = new Value({ ...x.tensor, shape: [1, 1, rows, k] }, { n: 1, h: 1, w: rows, c: k }, cx.plain(x).buffer)
  const result = cx.result()
  const yr = new Value({ ...out, shape: [1, 1, rows, o] }, { n: 1, h: 1, w: rows, c: o }, result.buffer)
  result.alias = true
  yr.alias = true
  xr.alias = true
  emitConv(cx, { x: xr, y: yr, xq, oq, limits, weights, win: rowWindow(rows) })
  result.producer = undefined
}

/** Kernel sets of processors that multiply bytes faster than what they are widened to. */
const MULTIPLY_BYTES: ReadonlySet<Kernels> = new Set(['arm', 'arm-dot'])

/** `rows` rows of `k` values in x. */
function emitFullyConnected(cx: Context, layer: Omit<Convolution, 'xq' | 'win'>, k: number, rows: number): void {
  const { x, y, oq, limits, weights } = layer
  const o = weights.bias.length
  const name = cx.output().name
  const scalar = !cx.simd || !weights.safe
  const form = scalar ? SCALAR_FORM : ROWS_FORM
  const { weights: wb, bias: bb, scale: sb } = gemmBuffers(cx, name, weights, { form, k, segment: k })
  const bytes = !scalar && MULTIPLY_BYTES.has(cx.kernels) && pairsFit(weights.data, k, 8)
  const scratch = cx.scratch('widened row', scalar || bytes ? 0 : align(k, 16) * 2)
  cx.plain(x)
  const end = epilogueOf(oq, limits)
  cx.push({
    record: 'FullyConnectedRecord',
    op: OP_FULLY_CONNECTED,
    kernel: scalar ? 'fully-connected-scalar' : bytes ? 'fully-connected-bytes' : 'fully-connected',
    rows: rowwise(rows),
    reads: [x.buffer, wb, bb, sb],
    writes: [y.buffer, scratch],
    macs: rows * k * o,
    // Rows lie as far apart as they have channels.
    split: rows === 1 ? splitPanels(o, ROWS_FORM.nr, [wb, bb, sb]) : undefined,
    fields: () => ({
      input: x.address(),
      output: y.address(),
      inC: k,
      outC: o,
      weights: wb.address,
      bias: bb.address,
      scale: sb.address,
      scratch: scratch.address,
      ...epilogueFields(end),
      weightZeroPoint: weights.zero,
      scalar: bytes ? FULLY_CONNECTED_BYTES : Number(scalar),
    }),
  })
}
