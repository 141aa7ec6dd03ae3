/** TRANSPOSE_CONV. */
import { OP_TRANSPOSE_CONV } from '../generated/layout.ts'
import type { OpOf } from '../graph/graph.ts'
import { activationBoundsBuiltin, activationBoundsXnn, f32, quantizeMultiplier } from '../arithmetic/numerics.ts'
import { type Context, type Q, shifted } from './context.ts'
import { rowwise } from './program.ts'
import { readWeights, sameDtypes } from './weights.ts'
import { checkTransposed, transposedWindow } from './window.ts'

/** What fixed-point requantization multiplies each of `count` channels by; `scales` are the filter's. */
function fixedPointOf(
  x: Q,
  out: Q,
  scales: Float32Array,
  count: number,
): { multipliers: Int32Array; shifts: Int32Array } {
  const product = x.unsigned ? f32 : (v: number): number => v
  const multipliers = new Int32Array(count)
  const shifts = new Int32Array(count)
  for (let c = 0; c < count; c++) {
    const scale = scales[scales.length === 1 ? 0 : c]!
    const { multiplier, shift } = quantizeMultiplier(product(x.scale * scale) / out.scale)
    multipliers[c] = multiplier
    shifts[c] = shift
  }
  return { multipliers, shifts }
}

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
  const [n, oh, ow, oc] = out.shape as [number, number, number, number]
  const image = { n, h: oh, w: ow, c: oc }
  const win = transposedWindow(cx, x, image, { kh, kw })
  const { strideH, strideW } = win
  if (ci !== x.c || oc !== o || n !== x.n) {
    throw cx.fail('lower/shape', 'channels do not match', w, { expected: `[${x.c} -> ${oc}]`, got: `[${ci} -> ${o}]` })
  }
  checkTransposed(cx, x, image, win)
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
  const fixed = fixedPointOf(xq, oq, w.quantization!.scales, o)
  const name = out.name
  // The plain bias: the kernel subtracts zero points itself, since an output pixel has a varying number of taps.
  const wb = cx.buffers.constant(`${name} weights`, weights.data)
  const bb = cx.buffers.constant(`${name} bias`, weights.bias)
  const sb = cx.buffers.constant(`${name} scale`, weights.scale)
  const mb = cx.buffers.constant(`${name} multipliers`, fixed.multipliers)
  const hb = cx.buffers.constant(`${name} shifts`, fixed.shifts)
  const y = cx.result()
  const scratch = cx.scratch('transpose-conv accumulators', oh * ow * o * 4)
  cx.plain(x)
  for (let i = 0; i < n; i++) {
    cx.push({
      record: 'TransposeConvRecord',
      op: OP_TRANSPOSE_CONV,
      kernel: 'transpose-conv',
      rows: { ...rowwise(1), strideH, padTop: win.y.before },
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
        padLeft: win.x.before,
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
