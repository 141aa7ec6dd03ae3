/** CONV_2D as TFLite's builtin kernel computes it: fixed-point rescaling, where XNNPACK refuses the scales. */
import { OP_CONV_FIXED } from '../generated/layout.ts'
import type { OpOf } from '../graph/graph.ts'
import { activationBoundsBuiltin, quantizeMultiplier } from '../arithmetic/numerics.ts'
import { type Context, shifted } from './context.ts'
import { rowwise } from './program.ts'
import { filterOf, sameDtypes } from './weights.ts'
import { windowOf } from './window.ts'

/** Whether XNNPACK refuses the filter's scales and the builtin kernel runs: it takes no negative one. */
export const hasNegativeScale = (scales: Float32Array | undefined): boolean => scales?.some((s) => s < 0) ?? false

export function lowerConvFixed(cx: Context): void {
  const { attrs } = cx.op as OpOf<'CONV_2D'>
  // A PAD before it may be folded into the window.
  const x = cx.value(0)
  const w = cx.input(1, 'filter')
  const out = cx.output()
  sameDtypes(x.tensor, w, out)
  const [o, kh, kw, ci] = w.shape as [number, number, number, number]
  const [xq, oq] = [cx.q(x.tensor), cx.q(out)]
  const filter = filterOf(cx, w, cx.hasInput(2) ? cx.input(2, 'bias') : undefined, o)
  const win = windowOf(cx, attrs, x, { kh, kw })
  cx.expectShape(out, [x.n, win.y.out, win.x.out, o])
  const fixed = Array.from({ length: o }, (_, c) =>
    quantizeMultiplier((xq.scale * filter.scales[filter.scales.length === 1 ? 0 : c]!) / oq.scale),
  )
  const limits = activationBoundsBuiltin(attrs.activation, oq)
  const weights = cx.buffers.constant(`${out.name} weights`, filter.data)
  const bias = cx.buffers.constant(`${out.name} bias`, filter.bias)
  const multipliers = cx.buffers.constant(
    `${out.name} multipliers`,
    Int32Array.from(fixed, (f) => f.multiplier),
  )
  const shifts = cx.buffers.constant(
    `${out.name} shifts`,
    Int32Array.from(fixed, (f) => f.shift),
  )
  const y = cx.result()
  y.alias = true
  for (let i = 0; i < x.n; i++) {
    cx.push({
      record: 'ConvFixedRecord',
      op: OP_CONV_FIXED,
      kernel: 'conv-fixed-point',
      rows: { ...rowwise(1), strideH: attrs.strideH, padTop: win.y.before },
      reads: [x.buffer, weights, bias, multipliers, shifts],
      writes: [y.buffer],
      macs: win.y.out * win.x.out * o * kh * kw * ci,
      fields: () => ({
        input: x.address(i),
        inH: x.h,
        inW: x.w,
        inC: x.c,
        output: y.address(i),
        outH: win.y.out,
        outW: win.x.out,
        outC: o,
        kh,
        kw,
        groupIn: ci,
        groupOut: (o * ci) / x.c,
        strideW: attrs.strideW,
        padLeft: win.x.before,
        dilationH: attrs.dilationH,
        dilationW: attrs.dilationW,
        weights: weights.address,
        weightStep: kh * kw * ci,
        tapStep: ci,
        bias: bias.address,
        multipliers: multipliers.address,
        shifts: shifts.address,
        inputZeroPoint: xq.zero,
        weightZeroPoint: 0,
        outputZeroPoint: oq.zero,
        ...shifted(limits, oq),
        awayFrom: o,
      }),
    })
  }
}
