/** CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED, TRANSPOSE_CONV, and PAD folded into them. */
import { OP_CONV, OP_CONV_DIRECT, OP_DEPTHWISE, OP_FULLY_CONNECTED, OP_STRIDED_COPY, OP_TRANSPOSE_CONV, SLOT_BYTES, TILE_BYTES } from '../generated/layout.ts'
import { elements, type Activation, type OpOf, type Padding, type Tensor } from '../graph.ts'
import { activationBoundsBuiltin, activationBoundsXnn, f32, quantizeMultiplier } from '../numerics.ts'
import { align, Context, shifted, Unsupported, type Q } from './context.ts'
import { depthwiseForm } from './depthwise.ts'
import { fillsPanels, GEMM_BATCH, gemmForm, WIDE_FORM } from './gemm.ts'
import { packDepthwise, paddedSegment, panelOrder } from './pack.ts'
import { rowwise, Value, type Buffer, type Step } from './program.ts'
import { depthwiseBuffers, gemmBuffers, readWeights, rowBuffers, type WeightBuffers, type Weights } from './weights.ts'

const MAGIC = 0x4b400000

interface Axis { out: number; before: number; after: number }

/** Output size and padding along one axis. Source: TFLite ComputePadding. */
export function padAxis(padding: Padding, size: number, kernel: number, stride: number, dilation: number, before = 0, after = 0): Axis {
  const effective = (kernel - 1) * dilation + 1
  if (padding === 'SAME') {
    const out = Math.ceil(size / stride)
    const total = Math.max((out - 1) * stride + effective - size, 0)
    return { out, before: total >> 1, after: total - (total >> 1) }
  }
  return { out: Math.floor((size + before + after - effective) / stride) + 1, before, after }
}

function checkPositive(cx: Context, name: string, h: number, w: number): void {
  if (!(h >= 1 && w >= 1)) throw cx.fail('lower/attribute', `${name} must be positive`, undefined, '>= 1', h >= 1 ? w : h)
}

function checkWindow(cx: Context, a: { strideH: number; strideW: number; dilationH: number; dilationW: number }, kh: number, kw: number): void {
  checkPositive(cx, 'stride', a.strideH, a.strideW)
  checkPositive(cx, 'dilation', a.dilationH, a.dilationW)
  checkPositive(cx, 'filter size', kh, kw)
}

function sameDtypes(x: Tensor, filter: Tensor, out: Tensor): void {
  const { dtype } = x
  if ((dtype === 'int8' || dtype === 'uint8') && filter.dtype === dtype && out.dtype === dtype) return
  for (const t of [x, filter, out]) if (t.dtype !== 'int8' && t.dtype !== 'uint8') throw new Unsupported(`${t.dtype} tensor "${t.name}"`)
  throw new Unsupported(`mixed ${dtype} and ${filter.dtype !== dtype ? filter.dtype : out.dtype} tensors`)
}

interface Window {
  kh: number; kw: number; strideH: number; strideW: number; dilationH: number; dilationW: number
  y: Axis; x: Axis
}

const NO_PADDING = { top: 0, bottom: 0, left: 0, right: 0 }

function windowOf(cx: Context, a: OpOf<'CONV_2D'>['attrs'], x: Value, kh: number, kw: number): Window {
  checkWindow(cx, a, kh, kw)
  const pad = x.pad ?? NO_PADDING
  return {
    kh, kw, strideH: a.strideH, strideW: a.strideW, dilationH: a.dilationH, dilationW: a.dilationW,
    y: padAxis(a.padding, x.h, kh, a.strideH, a.dilationH, pad.top, pad.bottom),
    x: padAxis(a.padding, x.w, kw, a.strideW, a.dilationW, pad.left, pad.right)
  }
}

/** The input with its horizontal padding, and the row of zero points that stands for rows outside the image. */
function windowInput(cx: Context, value: Value, position: number, q: Q, win: Window): { frame: Value; zeroRow?: Buffer; prologue: Step[] } {
  const right = Math.max(0, (win.x.out - 1) * win.strideW + (win.kw - 1) * win.dilationW + 1 - value.w - win.x.before)
  const frame = cx.framed(value, cx.op.inputs[position]!, win.x.before, right, q.zero)
  const prologue = cx.padFills(frame)
  const bottom = (win.y.out - 1) * win.strideH - win.y.before + (win.kh - 1) * win.dilationH + 1 - value.h
  let zeroRow: Buffer | undefined
  if (win.y.before > 0 || bottom > 0) {
    const buffer = cx.buffers.arena(`${value.tensor.name} (zero row)`, () => frame.rowStride + 16)
    zeroRow = buffer
    prologue.push(...cx.fillStep(buffer, () => ({ rows: 1, output: buffer.address, outRowStride: 0, bytes: frame.rowStride + 8, value: q.zero & 255 })))
  }
  return { frame, zeroRow, prologue }
}

const rowsOf = (win: Window, inRows: number): { rows: number; strideH: number; padTop: number; windowH: number; inRows: number } =>
  ({ rows: win.y.out, strideH: win.strideH, padTop: win.y.before, windowH: (win.kh - 1) * win.dilationH + 1, inRows })

const present = (...buffers: (Buffer | undefined)[]): Buffer[] => buffers.filter(b => b !== undefined)

/** What requantization ends with: rounding by MAGIC, the output's zero point, the limits minus the kernel domain's shift. */
interface Epilogue { magicMinusZero: number; outputZeroPoint: number; actMin: number; actMax: number; /** 1: the limits exclude some int8. */ clamped: number }

function epilogueOf(out: Q, limits: [number, number]): Epilogue {
  const actMin = limits[0] - out.shift, actMax = limits[1] - out.shift
  return { magicMinusZero: MAGIC - out.zero, outputZeroPoint: out.zero, actMin, actMax, clamped: Number(actMin > -128 || actMax < 127) }
}

/** Its constants as vectors, 64 bytes: a load with an offset is cheaper than a broadcast. */
function constantVectors(cx: Context, e: Epilogue): Buffer {
  const key = `${e.outputZeroPoint} ${e.actMin} ${e.actMax}`, known = cx.epilogues.get(key)
  if (known) return known
  const words = new Int32Array(16), bytes = new Int8Array(words.buffer)
  words.fill(MAGIC, 0, 4).fill(e.magicMinusZero, 4, 8)
  bytes.fill(e.actMin, 32, 48).fill(e.actMax, 48, 64)
  const buffer = cx.buffers.constant('epilogue constants', words)
  cx.epilogues.set(key, buffer)
  return buffer
}

export function lowerConv(cx: Context): void {
  const op = cx.op as OpOf<'CONV_2D'>
  const x = cx.value(0), w = cx.input(1, 'filter'), out = cx.output()
  sameDtypes(x.tensor, w, out)
  if (!cx.hasInput(2)) throw new Unsupported('CONV_2D without bias')
  if (w.shape.length !== 4 || x.tensor.shape.length !== 4) throw cx.fail('lower/shape', 'input and filter must have rank 4', w)
  const o = w.shape[0]!, kh = w.shape[1]!, kw = w.shape[2]!, ci = w.shape[3]!
  if (x.c % ci || o % (x.c / ci)) throw cx.fail('lower/shape', 'input channels must be a multiple of the filter\'s', w, x.c, ci)
  const xq = cx.q(x.tensor), oq = cx.q(out)
  const weights = readWeights(cx, xq, oq, w, cx.input(2, 'bias'), o, kh * kw * ci)
  const win = windowOf(cx, op.attrs, x, kh, kw)
  cx.expectShape(out, [x.n, win.y.out, win.x.out, o])
  const limits = activationBoundsXnn(op.attrs.activation, oq)
  emitConv(cx, x, cx.result(), xq, oq, limits, weights, win, x.c / ci)
}

function emitConv(cx: Context, x: Value, y: Value, xq: Q, oq: Q, limits: [number, number], weights: Weights, win: Window, groups: number): void {
  const o = y.c, ci = x.c / groups, k = win.kh * win.kw * ci
  const onePixel = win.y.out === 1 && win.x.out === 1 && win.kh === x.h && win.kw === x.w && !win.y.before && !win.x.before && win.dilationH === 1 && win.dilationW === 1
  if (groups === 1 && onePixel && !x.frame.left && !x.frame.right && !x.pad) {
    emitFullyConnected(cx, x, y, oq, limits, weights, k, x.n)
    return
  }
  const scalar = !cx.simd || !weights.safe
  const form = gemmForm(cx.variant, cx.kernels, weights, k, cx.compact)
  // Forms that read rows of int8 gather patches at little cost.
  if (!scalar && !form.rowBytes && groups === 1 && win.kw > 1 && win.dilationW === 1 && win.x.out >= 4 && o >= 8 && (ci <= DIRECT_CHANNELS || (form === WIDE_FORM && o <= DIRECT_OUTPUTS && fillsPanels(4)(win.x.out)))) {
    emitConvDirect(cx, x, y, xq, oq, limits, weights, win)
    return
  }
  const { frame, zeroRow, prologue } = windowInput(cx, x, 0, xq, win)
  const contiguous = groups === 1 && win.dilationW === 1
  const segments = contiguous ? 1 : win.kw, segmentBytes = contiguous ? win.kw * ci : ci
  const og = o / groups
  const end = epilogueOf(oq, limits), constants = scalar ? undefined : constantVectors(cx, end)
  const direct = win.kh === 1 && segments === 1
  const rowBytes = form.rowBytes?.(k) ?? 0, segmentPanelBytes = form.panelBytes(segmentBytes)
  const panelBytes = scalar ? k : rowBytes ? (direct ? 0 : form.mr * rowBytes) : segmentPanelBytes * win.kh * segments
  // A panel is packed before its pixels' results are written; a form that reads the input itself goes on reading it.
  const lag = scalar ? 1 : rowBytes && direct ? form.mr : 0
  // One slot will do, more where the arena has room; the last of several is for a pixel that is left at the end.
  const narrow = og < form.nr, slotBytes = SLOT_BYTES + panelBytes, fixed = TILE_BYTES + (narrow ? form.mr * form.nr : 0) + 64
  const most = scalar || rowBytes || narrow ? 1 : Math.min(GEMM_BATCH + 1, Math.ceil(win.y.out * win.x.out / form.mr))
  const scratch = cx.scratch('conv patches', scalar ? k + 16 : fixed + slotBytes, fixed + slotBytes * most)
  for (let g = 0; g < groups; g++) {
    const part = weights.part(g * og, (g + 1) * og), name = cx.output().name
    const { weights: wb, bias: bb, scale: sb } = scalar ? rowBuffers(cx, name, part, 1) : gemmBuffers(cx, name, part, form, k, segmentBytes)
    for (let n = 0; n < x.n; n++) {
      cx.push({
        record: 'ConvRecord', op: OP_CONV, kernel: scalar ? 'conv-scalar' : k === ci ? form.name : `conv-${form.name}`,
        rows: rowsOf(win, x.h), reads: present(frame.buffer, wb, bb, sb, scratch, zeroRow, constants), writes: [y.buffer, scratch],
        macs: win.y.out * win.x.out * og * k, form: scalar ? undefined : form.id,
        prologue: g === 0 && n === 0 ? prologue : undefined,
        stream: x.n === 1 && groups === 1 ? { from: frame, to: y, lag, ...(k === ci && win.strideH === 1 && win.strideW === 1 ? { order: 'pixel' as const } : {}) } : undefined,
        fields: () => ({
          input: frame.frameAddress(n) + g * ci, inRowStride: frame.rowStride, inRing: frame.ringRows, xStep: win.strideW * x.c,
          zeroRow: zeroRow?.address ?? 0, kh: win.kh, dilationH: win.dilationH, segments, segmentBytes, segmentStep: win.dilationW * x.c,
          output: y.address(n) + g * og, outRowStride: y.rowStride, outRing: y.ringRows, outPixelStride: o, outW: win.x.out, outC: og,
          weights: wb.address, bias: bb.address, scale: sb.address, scratch: scratch.address, panelBytes,
          segmentPanelBytes, constants: constants?.address ?? 0, clamped: end.clamped, form: form.id, mr: form.mr, nr: form.nr, batch: Math.max(1, Math.min(most, Math.floor((scratch.room! - fixed) / slotBytes)) - 1), rowBytes,
          magic: MAGIC, magicMinusZero: end.magicMinusZero, actMin: end.actMin, actMax: end.actMax, outputZeroPoint: end.outputZeroPoint,
          weightZeroPoint: weights.zero, scalar: Number(scalar)
        })
      })
    }
  }
}

/** Input channels up to which widening whole rows beats packing patches; output channels, where its microkernel is as good: few panels share a packed patch. */
const DIRECT_CHANNELS = 4
const DIRECT_OUTPUTS = 32

function emitConvDirect(cx: Context, x: Value, y: Value, xq: Q, oq: Q, limits: [number, number], weights: Weights, win: Window): void {
  const segment = win.kw * x.c, k = segment * win.kh, windowH = (win.kh - 1) * win.dilationH + 1
  const right = Math.max(0, (win.x.out - 1) * win.strideW + win.kw - x.w - win.x.before)
  const padLeftBytes = win.x.before * x.c * 2, padRightBytes = right * x.c * 2
  const ringStride = align(padLeftBytes + x.w * x.c * 2 + padRightBytes + 32, 16), table = align(win.kh * 4, 16)
  const end = epilogueOf(oq, limits), constants = constantVectors(cx, end)
  const scratch = cx.scratch('widened rows', table + (windowH + 1) * ringStride)
  const name = cx.output().name
  const { weights: wb, bias: bb, scale: sb } = gemmBuffers(cx, name, weights, WIDE_FORM, k, segment)
  for (let n = 0; n < x.n; n++) {
    cx.push({
      record: 'ConvDirectRecord', op: OP_CONV_DIRECT, kernel: 'conv-direct-4x8',
      rows: rowsOf(win, x.h), reads: [x.buffer, wb, bb, sb, constants, scratch], writes: [y.buffer, scratch], macs: win.y.out * win.x.out * y.c * k,
      stream: x.n === 1 ? { from: x, to: y } : undefined,
      fields: () => ({
        input: x.address(n), inRowStride: x.rowStride, inRing: x.ringRows, rowBytes: x.rowBytes,
        rowTable: scratch.address, ring: scratch.address + table, ringStride, padLeftBytes, padRightBytes, xStep: win.strideW * x.c * 2,
        kh: win.kh, dilationH: win.dilationH, pairBytes: paddedSegment(segment) * 2, inputZeroPoint: xq.zero,
        output: y.address(n), outRowStride: y.rowStride, outRing: y.ringRows, outW: win.x.out, outC: y.c,
        weights: wb.address, bias: bb.address, scale: sb.address, constants: constants.address, clamped: end.clamped
      })
    })
  }
}

export function lowerDepthwise(cx: Context): void {
  const op = cx.op as OpOf<'DEPTHWISE_CONV_2D'>
  let x = cx.value(0)
  const w = cx.input(1, 'filter'), out = cx.output()
  sameDtypes(x.tensor, w, out)
  if (!cx.hasInput(2)) throw new Unsupported('DEPTHWISE_CONV_2D without bias')
  if (w.shape.length !== 4 || w.shape[0] !== 1 || x.tensor.shape.length !== 4) throw cx.fail('lower/shape', 'filter must be [1, kh, kw, C*m]', w, '[1, kh, kw, C*m]', `[${w.shape}]`)
  const kh = w.shape[1]!, kw = w.shape[2]!, o = w.shape[3]!
  if (o % x.c) throw cx.fail('lower/shape', 'output channels must be a multiple of the input\'s', w, x.c, o)
  const xq = cx.q(x.tensor), oq = cx.q(out)
  const weights = readWeights(cx, xq, oq, w, cx.input(2, 'bias'), o, 1)
  const win = windowOf(cx, op.attrs, x, kh, kw)
  cx.expectShape(out, [x.n, win.y.out, win.x.out, o])
  const limits = activationBoundsXnn(op.attrs.activation, oq)
  const axis = w.quantization!.axis
  if (w.dtype === 'uint8' && axis !== 0) {
    // LiteRT leaves this form to the builtin kernel: fixed-point requantization, per tensor.
    const d = f32(f32(xq.scale) * f32(w.quantization!.scales[0]!)) / oq.scale
    emitDepthwise(cx, repeatChannels(cx, x, o), cx.result(), xq, oq, activationBoundsBuiltin(op.attrs.activation, oq), weights, win, quantizeMultiplier(d))
    return
  }
  if (x.c === 1) {
    // One input channel: an ordinary convolution, the filter's last axis first.
    emitConv(cx, x, cx.result(), xq, oq, limits, weights.transposed(), win, 1)
    return
  }
  x = repeatChannels(cx, x, o)
  emitDepthwise(cx, x, cx.result(), xq, oq, limits, weights, win)
}

/** Depth multiplier m: every channel m times. */
function repeatChannels(cx: Context, x: Value, channels: number): Value {
  if (channels === x.c) return x
  const m = channels / x.c
  const to = cx.temporary({ ...x.tensor, name: `${x.tensor.name} (repeated)`, shape: [x.n, x.h, x.w, channels] })
  to.pad = x.pad
  cx.push({
    record: 'StridedCopyRecord', op: OP_STRIDED_COPY, kernel: 'repeat-channels', rows: rowwise(1), reads: [x.buffer], writes: [to.buffer],
    fields: () => ({
      input: x.address(), output: to.address(), d0: 1, d1: x.n * x.h * x.w, d2: x.c, d3: m,
      in0: 0, in1: x.c, in2: 1, in3: 0, out0: 0, out1: channels, out2: m, out3: 1, bytes: 1
    })
  })
  to.alias = true
  return to
}

/** Constants of a depthwise kernel without packer: `data` as it is, bias and scale in panels of `width`. */
function tapBuffers(cx: Context, name: string, w: Weights, data: Int16Array, width: number): WeightBuffers {
  return {
    weights: cx.buffers.constant(`${name} weights`, data), bias: cx.buffers.constant(`${name} bias`, panelOrder(w.foldedBias(), width)),
    scale: cx.buffers.constant(`${name} scale`, panelOrder(w.scale, width))
  }
}

function emitDepthwise(cx: Context, x: Value, y: Value, xq: Q, oq: Q, limits: [number, number], weights: Weights, win: Window, fixed?: { multiplier: number; shift: number }): void {
  const { frame, zeroRow, prologue } = windowInput(cx, x, 0, xq, win)
  const taps = win.kh * win.kw, c = y.c
  const scalar = !cx.simd || !weights.safe || fixed !== undefined
  const fast = !scalar && win.kh === win.kw && (win.strideW === 1 || (win.strideW === 2 && win.dilationW === 1))
  const form = fast ? depthwiseForm(cx.variant, cx.kernels, weights, win.kh, win.strideW) : undefined
  const name = cx.output().name
  const { weights: wb, bias: bb, scale: sb } = form ? depthwiseBuffers(cx, name, weights, form) : scalar ? tapBuffers(cx, name, weights, Int16Array.from(weights.data, v => v - weights.zero), 1)
    : tapBuffers(cx, name, weights, packDepthwise(weights.data, weights.zero, c, taps), 8)
  const end = epilogueOf(oq, limits), constants = form ? constantVectors(cx, end) : undefined
  const scratchBytes = form ? form.scratch ?? 0 : align(taps + 1, 2) * 4 + 48
  const scratch = scratchBytes ? cx.scratch('depthwise taps', scratchBytes) : undefined
  for (let n = 0; n < x.n; n++) {
    cx.push({
      record: 'DepthwiseRecord', op: form ? form.op : OP_DEPTHWISE,
      kernel: form ? `${form.name}-s${win.strideW}` : scalar ? 'depthwise-scalar' : 'depthwise',
      rows: rowsOf(win, x.h), reads: [frame.buffer, wb, bb, sb, ...present(zeroRow, scratch, constants)],
      writes: [y.buffer, ...(scratch ? [scratch] : [])], macs: win.y.out * win.x.out * c * taps, overread: form ? form.overread[win.strideW]! * win.dilationW * c + 16 : 0,
      prologue: n === 0 ? prologue : undefined,
      stream: x.n === 1 ? { from: frame, to: y } : undefined,
      fields: () => ({
        input: frame.frameAddress(n), inRowStride: frame.rowStride, inRing: frame.ringRows, xStep: win.strideW * c, zeroRow: zeroRow?.address ?? 0,
        kh: win.kh, kw: win.kw, dilationH: win.dilationH, tapStep: win.dilationW * c,
        output: y.address(n), outRowStride: y.rowStride, outRing: y.ringRows, outW: win.x.out, channels: c,
        weights: wb.address, bias: bb.address, scale: sb.address, scratch: scratch?.address ?? 0, constants: constants?.address ?? 0, clamped: end.clamped,
        magic: MAGIC, magicMinusZero: end.magicMinusZero, actMin: end.actMin, actMax: end.actMax, outputZeroPoint: end.outputZeroPoint,
        weightZeroPoint: weights.zero, strideW: win.strideW, scalar: Number(scalar),
        fixedPoint: Number(fixed !== undefined), multiplier: fixed?.multiplier ?? 0, shift: fixed?.shift ?? 0
      })
    })
  }
}

export function lowerFullyConnected(cx: Context): void {
  const op = cx.op as OpOf<'FULLY_CONNECTED'>
  const x = cx.value(0), w = cx.input(1, 'filter'), out = cx.output()
  sameDtypes(x.tensor, w, out)
  if (w.shape.length !== 2) throw cx.fail('lower/shape', 'filter must have rank 2', w)
  const [o, k] = w.shape as [number, number]
  const rows = elements(x.tensor.shape) / k
  if (!Number.isInteger(rows) || elements(out.shape) !== rows * o) throw cx.fail('lower/shape', 'input, filter and output sizes do not match', w, `${elements(x.tensor.shape)} / ${k} rows`, `[${out.shape}]`)
  cx.expectShape(out, op.attrs.keepNumDims ? [...x.tensor.shape.slice(0, -1), o] : [rows, o])
  const xq = cx.q(x.tensor), oq = cx.q(out)
  const weights = readWeights(cx, xq, oq, w, cx.hasInput(2) ? cx.input(2, 'bias') : undefined, o, k)
  const limits = activationBoundsXnn(op.attrs.activation as Activation, oq)
  if (rows < 4) {
    emitFullyConnected(cx, x, cx.result(), oq, limits, weights, k, rows)
    return
  }
  // Many rows: one image of `rows` pixels through the GEMM.
  const xr = new Value({ ...x.tensor, shape: [1, 1, rows, k] }, { n: 1, h: 1, w: rows, c: k }, cx.plain(x).buffer)
  const result = cx.result()
  const yr = new Value({ ...out, shape: [1, 1, rows, o] }, { n: 1, h: 1, w: rows, c: o }, result.buffer)
  xr.alias = yr.alias = result.alias = true
  const one: Axis = { out: 1, before: 0, after: 0 }
  emitConv(cx, xr, yr, xq, oq, limits, weights, { kh: 1, kw: 1, strideH: 1, strideW: 1, dilationH: 1, dilationW: 1, y: one, x: { out: rows, before: 0, after: 0 } }, 1)
  result.producer = undefined
}

function emitFullyConnected(cx: Context, x: Value, y: Value, oq: Q, limits: [number, number], weights: Weights, k: number, rows: number): void {
  const o = weights.bias.length, name = cx.output().name
  const scalar = !cx.simd || !weights.safe
  const { weights: wb, bias: bb, scale: sb } = rowBuffers(cx, name, weights, 4)
  const scratch = cx.scratch('widened row', scalar ? 0 : align(k, 16) * 2)
  cx.plain(x)
  const end = epilogueOf(oq, limits)
  cx.push({
    record: 'FullyConnectedRecord', op: OP_FULLY_CONNECTED, kernel: scalar ? 'fully-connected-scalar' : 'fully-connected', rows: rowwise(rows),
    reads: [x.buffer, wb, bb, sb], writes: [y.buffer, scratch], macs: rows * k * o,
    fields: () => ({
      input: x.address(), output: y.address(), inC: k, outC: o, weights: wb.address, bias: bb.address, scale: sb.address, scratch: scratch.address,
      magic: MAGIC, magicMinusZero: end.magicMinusZero, actMin: end.actMin, actMax: end.actMax, outputZeroPoint: end.outputZeroPoint,
      weightZeroPoint: weights.zero, scalar: Number(scalar)
    })
  })
}

export function lowerTransposeConv(cx: Context): void {
  const op = cx.op as OpOf<'TRANSPOSE_CONV'>
  const w = cx.input(1, 'filter'), x = cx.value(2), out = cx.output()
  sameDtypes(x.tensor, w, out)
  if (w.shape.length !== 4 || out.shape.length !== 4 || x.tensor.shape.length !== 4) throw cx.fail('lower/shape', 'tensors must have rank 4', w)
  const [o, kh, kw, ci] = w.shape as [number, number, number, number]
  const { strideH, strideW } = op.attrs
  checkWindow(cx, { strideH, strideW, dilationH: 1, dilationW: 1 }, kh, kw)
  const [n, oh, ow, oc] = out.shape as [number, number, number, number]
  if (ci !== x.c || oc !== o || n !== x.n) throw cx.fail('lower/shape', 'channels do not match', w, `[${x.c} -> ${oc}]`, `[${ci} -> ${o}]`)
  if (op.attrs.padding === 'SAME' ? Math.ceil(oh / strideH) !== x.h || Math.ceil(ow / strideW) !== x.w
    : Math.floor((oh - kh) / strideH) + 1 !== x.h || Math.floor((ow - kw) / strideW) + 1 !== x.w) {
    throw cx.fail('lower/shape', 'output size does not match the input size', out, `${x.h}x${x.w}`, `${oh}x${ow}`)
  }
  const xq = cx.q(x.tensor), oq = cx.q(out)
  const weights = readWeights(cx, xq, oq, w, cx.hasInput(3) ? cx.input(3, 'bias') : undefined, o, kh * kw * ci)
  const builtin = op.attrs.padding === 'SAME' ? kh < strideH || kw < strideW : kh > oh || kw > ow
  if (builtin && !xq.unsigned) throw new Unsupported('int8 TRANSPOSE_CONV with a kernel smaller than its stride (LiteRT\'s rounding there is not reproducible)')
  const limits = builtin ? activationBoundsBuiltin(op.attrs.activation, oq) : activationBoundsXnn(op.attrs.activation, oq)
  const scales = w.quantization!.scales
  const fixed = Array.from({ length: o }, (_, c) => quantizeMultiplier(f32(f32(xq.scale) * f32(scales[scales.length === 1 ? 0 : c]!)) / oq.scale))
  const name = out.name
  // The plain bias: the kernel subtracts zero points itself, since an output pixel has a varying number of taps.
  const wb = cx.buffers.constant(`${name} weights`, weights.data), bb = cx.buffers.constant(`${name} bias`, weights.bias), sb = cx.buffers.constant(`${name} scale`, weights.scale)
  const mb = cx.buffers.constant(`${name} multipliers`, Int32Array.from(fixed, f => f.multiplier)), hb = cx.buffers.constant(`${name} shifts`, Int32Array.from(fixed, f => f.shift))
  const y = cx.result()
  const scratch = cx.scratch('transpose-conv accumulators', oh * ow * o * 4)
  cx.plain(x)
  for (let i = 0; i < n; i++) {
    cx.push({
      record: 'TransposeConvRecord', op: OP_TRANSPOSE_CONV, kernel: 'transpose-conv',
      rows: { ...rowwise(1), strideH, padTop: Math.max((x.h - 1) * strideH + kh - oh, 0) >> 1 },
      reads: [x.buffer, wb, bb, sb, mb, hb], writes: [y.buffer, scratch], macs: x.h * x.w * kh * kw * ci * o,
      fields: () => ({
        input: x.address(i), inH: x.h, inW: x.w, inC: ci, output: y.address(i), outH: oh, outW: ow, outC: o, kh, kw, strideW,
        padLeft: Math.max((x.w - 1) * strideW + kw - ow, 0) >> 1, weights: wb.address, bias: bb.address, scale: sb.address, scratch: scratch.address,
        inputZeroPoint: xq.zero, weightZeroPoint: weights.zero, outputZeroPoint: oq.zero, ...shifted(limits, oq), fixedPoint: Number(builtin),
        multipliers: mb.address, shifts: hb.address
      })
    })
  }
}
