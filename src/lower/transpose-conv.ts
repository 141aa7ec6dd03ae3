/** TRANSPOSE_CONV. */
import { OP_TRANSPOSE_CONV } from '../generated/layout.ts'
import type { OpOf } from '../graph.ts'
import { activationBoundsBuiltin, activationBoundsXnn, f32, quantizeMultiplier } from '../numerics.ts'
import { type Context, shifted } from './context.ts'
import { rowwise } from './program.ts'
import { readWeights, sameDtypes } from './weights.ts'
import { checkWindow } from './window.ts'

export function lowerTransposeConv(cx: Context): void {
  const op = cx.op as OpOf<'TRANSPOSE_CONV'>
  const w = cx.input(1, 'filter')
  const x = cx.value(2)
  const out = cx.output()
  sameDtypes(x.tensor, w, out)
  if (w.shape.length !== 4 || out.shape.length !== 4 || x.tensor.shape.length !== 4) {
    throw cx.fail('lower/shape', 'tensors must have rank 4', w)
  }
  const [o, kh, kw, ci] = w.shape as [number, number, number, number]
  const { strideH, strideW } = op.attrs
  checkWindow(cx, { strideH, strideW, dilationH: 1, dilationW: 1 }, kh, kw)
  const [n, oh, ow, oc] = out.shape as [number, number, number, number]
  if (ci !== x.c || oc !== o || n !== x.n) {
    throw cx.fail('lower/shape', 'channels do not match', w, `[${x.c} -> ${oc}]`, `[${ci} -> ${o}]`)
  }
  if (
    op.attrs.padding === 'SAME'
      ? Math.ceil(oh / strideH) !== x.h || Math.ceil(ow / strideW) !== x.w
      : Math.floor((oh - kh) / strideH) + 1 !== x.h || Math.floor((ow - kw) / strideW) + 1 !== x.w
  ) {
    throw cx.fail('lower/shape', 'output size does not match the input size', out, `${x.h}x${x.w}`, `${oh}x${ow}`)
  }
  const xq = cx.q(x.tensor)
  const oq = cx.q(out)
  const b = cx.hasInput(3) ? cx.input(3, 'bias') : undefined
  const weights = readWeights(cx, { x: xq, out: oq, w, b, channels: o, inner: kh * kw * ci })
  // XNNPACK takes an output size that the file holds, not one that the model computes.
  const builtin =
    cx.isComputed(op.inputs[0]) || (op.attrs.padding === 'SAME' ? kh < strideH || kw < strideW : kh > oh || kw > ow)
  const fixedPoint = builtin ? (xq.unsigned ? 1 : 2) : 0
  const limits = builtin
    ? activationBoundsBuiltin(op.attrs.activation, oq)
    : activationBoundsXnn(op.attrs.activation, oq)
  const scales = w.quantization!.scales
  const product = xq.unsigned ? f32 : (v: number): number => v
  const fixed = Array.from({ length: o }, (_, c) =>
    quantizeMultiplier(product(xq.scale * scales[scales.length === 1 ? 0 : c]!) / oq.scale),
  )
  const name = out.name
  // The plain bias: the kernel subtracts zero points itself, since an output pixel has a varying number of taps.
  const wb = cx.buffers.constant(`${name} weights`, weights.data)
  const bb = cx.buffers.constant(`${name} bias`, weights.bias)
  const sb = cx.buffers.constant(`${name} scale`, weights.scale)
  const mb = cx.buffers.constant(
    `${name} multipliers`,
    Int32Array.from(fixed, (f) => f.multiplier),
  )
  const hb = cx.buffers.constant(
    `${name} shifts`,
    Int32Array.from(fixed, (f) => f.shift),
  )
  const y = cx.result()
  const scratch = cx.scratch('transpose-conv accumulators', oh * ow * o * 4)
  cx.plain(x)
  for (let i = 0; i < n; i++) {
    cx.push({
      record: 'TransposeConvRecord',
      op: OP_TRANSPOSE_CONV,
      kernel: 'transpose-conv',
      rows: { ...rowwise(1), strideH, padTop: Math.max((x.h - 1) * strideH + kh - oh, 0) >> 1 },
      reads: [x.buffer, wb, bb, sb, mb, hb],
      writes: [y.buffer, scratch],
      macs: x.h * x.w * kh * kw * ci * o,
      fields: () => ({
        input: x.address(i),
        inH: x.h,
        inW: x.w,
        inC: ci,
        output: y.address(i),
        outH: oh,
        outW: ow,
        outC: o,
        kh,
        kw,
        strideW,
        padLeft: Math.max((x.w - 1) * strideW + kw - ow, 0) >> 1,
        weights: wb.address,
        bias: bb.address,
        scale: sb.address,
        scratch: scratch.address,
        inputZeroPoint: xq.zero,
        weightZeroPoint: weights.zero,
        outputZeroPoint: oq.zero,
        ...shifted(limits, oq),
        fixedPoint,
        multipliers: mb.address,
        shifts: hb.address,
      }),
    })
  }
}
