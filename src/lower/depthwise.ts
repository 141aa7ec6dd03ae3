/** DEPTHWISE_CONV_2D. */
import { OP_DEPTHWISE, OP_STRIDED_COPY } from '../generated/layout.ts'
import type { OpOf } from '../graph/graph.ts'
import { activationBoundsBuiltin, activationBoundsXnn, f32, quantizeMultiplier } from '../arithmetic/numerics.ts'
import { align } from '../base/words.ts'
import { type Context, Unsupported } from './context.ts'
import { emitConv } from './conv.ts'
import { depthwiseForm } from './depthwise-forms.ts'
import type { Convolution } from './convolution.ts'
import { constantVectors, epilogueFields, epilogueOf } from './epilogue.ts'
import { packDepthwise, packTaps, panelOrder } from './pack.ts'
import { present, rowwise, type Buffer, type Split, type Value } from './program.ts'
import { depthwiseBuffers, type WeightBuffers } from './weight-buffers.ts'
import { readWeights, sameDtypes, type Weights } from './weights.ts'
import { rowsOf, windowInput, windowOf } from './window.ts'

export function lowerDepthwise(cx: Context): void {
  const op = cx.op as OpOf<'DEPTHWISE_CONV_2D'>
  let x = cx.value(0)
  const w = cx.input(1, 'filter')
  const out = cx.output()
  sameDtypes(x.tensor, w, out)
  if (!cx.hasInput(2)) throw new Unsupported('DEPTHWISE_CONV_2D without bias')
  if (w.shape.length !== 4 || w.shape[0] !== 1 || x.tensor.shape.length !== 4) {
    throw cx.fail('lower/shape', 'filter must be [1, kh, kw, C*m]', w, {
      expected: '[1, kh, kw, C*m]',
      got: `[${w.shape}]`,
    })
  }
  const kh = w.shape[1]!
  const kw = w.shape[2]!
  const o = w.shape[3]!
  if (o % x.c) {
    throw cx.fail('lower/shape', "output channels must be a multiple of the input's", w, { expected: x.c, got: o })
  }
  const xq = cx.q(x.tensor)
  const oq = cx.q(out)
  const weights = readWeights(cx, { x: xq, out: oq, w, b: cx.input(2, 'bias'), channels: o, inner: 1 })
  const win = windowOf(cx, op.attrs, x, { kh, kw })
  cx.expectShape(out, [x.n, win.y.out, win.x.out, o])
  const limits = activationBoundsXnn(op.attrs.activation, oq)
  const axis = w.quantization!.axis
  if (w.dtype === 'uint8' && axis !== 0) {
    // LiteRT leaves this form to the builtin kernel: fixed-point requantization, per tensor.
    const d = f32(f32(xq.scale) * f32(w.quantization!.scales[0]!)) / oq.scale
    const repeated = repeatChannels(cx, x, o)
    const builtin = activationBoundsBuiltin(op.attrs.activation, oq)
    const layer = { x: repeated, y: cx.result(), xq, oq, limits: builtin, weights, win }
    emitDepthwise(cx, layer, quantizeMultiplier(d))
    return
  }
  if (x.c === 1) {
    // One input channel: an ordinary convolution, the filter's last axis first.
    emitConv(cx, { x, y: cx.result(), xq, oq, limits, weights: weights.transposed(), win })
    return
  }
  x = repeatChannels(cx, x, o)
  emitDepthwise(cx, { x, y: cx.result(), xq, oq, limits, weights, win })
}

/** Depth multiplier m: every channel m times. */
function repeatChannels(cx: Context, x: Value, channels: number): Value {
  if (channels === x.c) return x
  const m = channels / x.c
  const to = cx.temporary({ ...x.tensor, name: `${x.tensor.name} (repeated)`, shape: [x.n, x.h, x.w, channels] })
  to.pad = x.pad
  cx.push({
    record: 'StridedCopyRecord',
    op: OP_STRIDED_COPY,
    kernel: 'repeat-channels',
    rows: rowwise(1),
    reads: [x.buffer],
    writes: [to.buffer],
    fields: () => ({
      input: x.address(),
      output: to.address(),
      d0: 1,
      d1: x.n * x.h * x.w,
      d2: x.c,
      d3: m,
      in0: 0,
      in1: x.c,
      in2: 1,
      in3: 0,
      out0: 0,
      out1: channels,
      out2: m,
      out3: 1,
      bytes: 1,
    }),
  })
  to.alias = true
  return to
}

/** Constants of a depthwise kernel without packer: `data` as it is, bias and scale in panels of `width`. */
function tapBuffers(cx: Context, w: Weights, data: Int16Array, width: number): WeightBuffers {
  const { name } = cx.output()
  return {
    weights: cx.buffers.constant(`${name} weights`, data),
    bias: cx.buffers.constant(`${name} bias`, panelOrder(w.foldedBias(), width)),
    scale: cx.buffers.constant(`${name} scale`, panelOrder(w.scale, width)),
  }
}

/** Channels one by one. */
const splitDepthwise = (channels: number, constants: readonly Buffer[]): Split => ({
  blocks: channels,
  constants,
  part: ({ input, output }, from, to) => ({ input: input! + from, output: output! + from, channels: to - from }),
})

/** `fixed`: requantization in fixed point, per tensor. */
function emitDepthwise(cx: Context, layer: Convolution, fixed?: { multiplier: number; shift: number }): void {
  const { x, y, xq, oq, limits, weights, win } = layer
  const { frame, zeroRow, prologue } = windowInput(cx, x, xq, win)
  const taps = win.kh * win.kw
  const c = y.c
  const scalar = !cx.simd || !weights.safe || fixed !== undefined
  const fast = !scalar && win.kh === win.kw && (win.strideW === 1 || (win.strideW === 2 && win.dilationW === 1))
  const form = fast ? depthwiseForm(cx, weights, win.kh, win.strideW) : undefined
  const {
    weights: wb,
    bias: bb,
    scale: sb,
  } = form
    ? depthwiseBuffers(cx, cx.output().name, weights, form)
    : scalar
      ? tapBuffers(cx, weights, packTaps(weights.data, weights.zero, c), 1)
      : tapBuffers(cx, weights, packDepthwise(weights.data, weights.zero, c, taps), 8)
  const end = epilogueOf(oq, limits)
  const constants = form ? constantVectors(cx, end) : undefined
  const scratchBytes = form ? (form.scratch ?? 0) : align(taps + 1, 2) * 4 + 48
  const scratch = scratchBytes ? cx.scratch('depthwise taps', scratchBytes) : undefined
  for (let n = 0; n < x.n; n++) {
    cx.push({
      record: 'DepthwiseRecord',
      op: form ? form.op : OP_DEPTHWISE,
      kernel: form ? `${form.name}-s${win.strideW}` : scalar ? 'depthwise-scalar' : 'depthwise',
      rows: rowsOf(win, x.h),
      reads: [frame.buffer, wb, bb, sb, ...present(zeroRow, scratch, constants)],
      writes: [y.buffer, ...(scratch ? [scratch] : [])],
      macs: win.y.out * win.x.out * c * taps,
      split: scalar ? splitDepthwise(c, [wb, bb, sb]) : undefined,
      overread: form ? form.overread[win.strideW]! * win.dilationW * c + 16 : 0,
      prologue: n === 0 ? prologue : undefined,
      stream: x.n === 1 ? { from: frame, to: y } : undefined,
      fields: () => ({
        input: frame.frameAddress(n),
        inRowStride: frame.rowStride,
        inRing: frame.ringRows,
        xStep: win.strideW * c,
        zeroRow: zeroRow?.address ?? 0,
        kh: win.kh,
        kw: win.kw,
        dilationH: win.dilationH,
        tapStep: win.dilationW * c,
        output: y.address(n),
        outRowStride: y.rowStride,
        outRing: y.ringRows,
        outW: win.x.out,
        channels: c,
        outPixelStride: c,
        weights: wb.address,
        bias: bb.address,
        scale: sb.address,
        scratch: scratch?.address ?? 0,
        constants: constants?.address ?? 0,
        clamped: end.clamped,
        ...epilogueFields(end),
        weightZeroPoint: weights.zero,
        strideW: win.strideW,
        scalar: Number(scalar),
        fixedPoint: Number(fixed !== undefined),
        multiplier: fixed?.multiplier ?? 0,
        shift: fixed?.shift ?? 0,
      }),
    })
  }
}
