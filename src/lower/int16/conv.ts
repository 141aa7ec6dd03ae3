/** int16 activations by int8 weights: CONV_2D, DEPTHWISE_CONV_2D, TRANSPOSE_CONV, FULLY_CONNECTED. */
import { OP_CONV16, RESCALE16_NARROW, RESCALE16_REAL, RESCALE16_WIDE } from '../../generated/layout.ts'
import { elements, type Activation, type OpOf, type Tensor } from '../../graph.ts'
import { activationBoundsBuiltin, quantizeMultiplier } from '../../numerics.ts'
import { type Context, Unsupported } from '../context.ts'
import { align, littleEndian } from '../../words.ts'
import { present, rowwise, type Buffer, type Value } from '../program.ts'
import { windowAlong, type Axis } from '../../window.ts'
import { checkWindow } from '../window.ts'
import { biasBuffer, multiplierBuffers, params16, scale16, wideMultiplier } from './common.ts'
import { lowerComputedFilter16 } from './matmul.ts'

/** A convolution over an image, in elements. */
interface Geometry {
  batch: number
  inH: number
  inW: number
  inC: number
  outC: number
  kh: number
  kw: number
  groupIn: number
  groupOut: number
  strideH: number
  strideW: number
  dilationH: number
  dilationW: number
  y: Axis
  x: Axis
  transposed?: boolean
}

interface Convolution {
  x: Value
  filter: Tensor
  geometry: Geometry
  biasPosition: number
  activation: Activation
  /** How sums become results for a bias of 64 bits and of 32, and without one; undefined: LiteRT runs no such op. */
  rescale: { wide: number; narrow: number | undefined; none: number | undefined }
  /** The channel from which on sums of 32 bits are rounded half away from zero; default: none is. */
  awayFrom?: number
  kernel: string
}

/** Constant int8 weights, zero point 0, one scale or one a channel. */
function weightsOf(cx: Context, t: Tensor, channels: number): { data: Int8Array; scales: Float32Array } {
  if (t.dtype !== 'int8') throw new Unsupported(`${t.dtype} weights with int16 activations`)
  if (!t.data) throw new Unsupported('weights that are computed')
  const q = t.quantization
  if (!q || (q.scales.length !== 1 && q.scales.length !== channels)) {
    throw cx.fail('lower/quantization', 'scales of the filter', t, `1 or ${channels}`, q?.scales.length ?? 0)
  }
  if (q.zeroPoints.some((z) => z !== 0)) {
    throw cx.fail(
      'lower/quantization',
      'zero points of int8 weights',
      t,
      0,
      q.zeroPoints.find((z) => z !== 0),
    )
  }
  return { data: new Int8Array(t.data.buffer, t.data.byteOffset, t.data.length), scales: q.scales }
}

/** [channels][inner] with every channel's run padded with zeros to `patch`, channels to a multiple of four. */
function paddedRows(data: Int8Array, channels: number, inner: number, patch: number): Int8Array {
  if (inner === patch && channels % 4 === 0) return data
  const out = new Int8Array(align(channels, 4) * patch)
  for (let c = 0; c < channels; c++) out.set(data.subarray(c * inner, (c + 1) * inner), c * patch)
  return out
}

/** [taps][channels] as [channels][taps]. */
function transposed(data: Int8Array, channels: number): Int8Array {
  const taps = data.length / channels
  const out = new Int8Array(data.length)
  for (let t = 0; t < taps; t++) for (let c = 0; c < channels; c++) out[c * taps + t] = data[t * channels + c]!
  return out
}

/** Taps whose products of 22 bits fit the sum of 32 bits that the kernel has for channels by themselves. */
const CHANNELWISE_TAPS = 511

/** A multiplier and shift a channel, or a float64. */
function channelScales(
  cx: Context,
  reals: readonly number[],
  rescale: number,
): { multipliers: Buffer; shifts: Buffer | undefined } {
  const { name } = cx.output()
  if (rescale === RESCALE16_REAL) {
    const bytes = littleEndian(Float64Array.from(reals))
    return { multipliers: cx.buffers.constant(`${name} scales`, bytes), shifts: undefined }
  }
  return multiplierBuffers(
    cx,
    name,
    reals.map((real) => {
      if (rescale === RESCALE16_WIDE) return wideMultiplier(real)
      const m = quantizeMultiplier(real)
      if (m.shift > 29) throw new Unsupported('an output scale that is much smaller than its input’s')
      return m
    }),
  )
}

function emit(cx: Context, c: Convolution, byTap: boolean): void {
  const { geometry: g, x } = c
  const out = cx.output()
  const input = scale16(cx, x.tensor)
  const output = scale16(cx, out)
  const { data, scales } = weightsOf(cx, c.filter, g.outC)
  const bias = biasBuffer(cx, c.biasPosition, g.outC)
  const rescale = c.rescale[bias.wide === undefined ? 'none' : bias.wide ? 'wide' : 'narrow']
  if (rescale === undefined) {
    throw bias.wide === undefined
      ? cx.fail('lower/missing-input', 'LiteRT runs no such op without a bias')
      : cx.fail(
          'lower/dtype',
          'bias of 16-bit activations, which LiteRT reads as 64 bits',
          cx.input(c.biasPosition),
          'int64 (or a quantized_bias_type of INT32)',
          'int32',
        )
  }
  const reals = Array.from({ length: g.outC }, (_, o) => (input * scales[scales.length === 1 ? 0 : o]!) / output)
  const { multipliers, shifts } = channelScales(cx, reals, rescale)
  const taps = g.kh * g.kw
  const channelwise = byTap && g.groupIn === 1 && g.groupOut === 1 && taps <= CHANNELWISE_TAPS
  const inner = taps * g.groupIn
  // A channel's run may begin anywhere, but groups of a grouped convolution begin at a multiple of four channels only if they have so many.
  const patch = channelwise ? taps : align(inner, 8)
  const rows = byTap && !channelwise ? transposed(data, g.outC) : data
  const stored = channelwise ? rows : paddedRows(rows, g.outC, inner, patch)
  const weights = cx.buffers.constant(`${out.name} weights`, stored)
  const [actMin, actMax] = activationBoundsBuiltin(c.activation, params16(output))
  const y = cx.result()
  y.alias = true
  const scratch = cx.scratch(`${out.name} patches`, 64 + (channelwise ? 0 : 4 * patch))
  cx.plain(x)
  for (let n = 0; n < g.batch; n++) {
    cx.push({
      record: 'Conv16Record',
      op: OP_CONV16,
      kernel: c.kernel,
      rows: {
        ...rowwise(g.y.out),
        strideH: g.strideH,
        padTop: g.y.before,
        windowH: (g.kh - 1) * g.dilationH + 1,
        inRows: g.inH,
      },
      reads: present(x.buffer, weights, bias.buffer, multipliers, shifts),
      writes: [y.buffer, scratch],
      macs: g.transposed ? g.inH * g.inW * taps * g.groupIn * g.outC : g.y.out * g.x.out * g.outC * inner,
      fields: () => ({
        input: x.address() + n * 2 * g.inH * g.inW * g.inC,
        inH: g.inH,
        inW: g.inW,
        inC: g.inC,
        output: y.address() + n * 2 * g.y.out * g.x.out * g.outC,
        outW: g.x.out,
        outC: g.outC,
        kh: g.kh,
        kw: g.kw,
        groupIn: g.groupIn,
        groupOut: g.groupOut,
        strideW: g.strideW,
        padLeft: g.x.before,
        dilationH: g.dilationH,
        dilationW: g.dilationW,
        transposed: Number(g.transposed ?? false),
        channelwise: Number(channelwise),
        weights: weights.address,
        patch,
        bias: bias.buffer?.address ?? 0,
        multipliers: multipliers.address,
        shifts: shifts?.address ?? 0,
        rescale,
        awayFrom: c.awayFrom ?? g.outC,
        actMin,
        actMax,
        scratch: scratch.address,
      }),
    })
  }
}

function rank4(cx: Context, ...tensors: Tensor[]): void {
  for (const t of tensors) {
    if (t.shape.length !== 4) throw cx.fail('lower/shape', 'rank', t, 4, t.shape.length)
  }
}

/** The window of a convolution over x, and the output's shape checked against it. */
function windowed(
  cx: Context,
  a: OpOf<'CONV_2D' | 'DEPTHWISE_CONV_2D'>['attrs'],
  x: Value,
  outC: number,
  kh: number,
  kw: number,
): Pick<
  Geometry,
  'batch' | 'inH' | 'inW' | 'inC' | 'outC' | 'kh' | 'kw' | 'strideH' | 'strideW' | 'dilationH' | 'dilationW' | 'y' | 'x'
> {
  checkWindow(cx, a, kh, kw)
  const [batch, inH, inW, inC] = x.tensor.shape as [number, number, number, number]
  const y = windowAlong({ padding: a.padding, size: inH, kernel: kh, stride: a.strideH, dilation: a.dilationH })
  const w = windowAlong({ padding: a.padding, size: inW, kernel: kw, stride: a.strideW, dilation: a.dilationW })
  if (y.out < 1 || w.out < 1) throw cx.fail('lower/shape', 'the window is larger than the image', x.tensor)
  cx.expectShape(cx.output(), [batch, y.out, w.out, outC])
  const { strideH, strideW, dilationH, dilationW } = a
  return { batch, inH, inW, inC, outC, kh, kw, strideH, strideW, dilationH, dilationW, y, x: w }
}

export function lowerConv16(cx: Context): void {
  const op = cx.op as OpOf<'CONV_2D'>
  const x = cx.value(0)
  const filter = cx.input(1, 'filter')
  rank4(cx, x.tensor, filter, cx.output())
  const [o, kh, kw, ci] = filter.shape as [number, number, number, number]
  const window = windowed(cx, op.attrs, x, o, kh, kw)
  const groups = window.inC / ci
  if (!Number.isInteger(groups) || o % groups !== 0) {
    throw cx.fail('lower/shape', 'channels do not match', filter, `a divisor of ${window.inC}`, ci)
  }
  emit(
    cx,
    {
      x,
      filter,
      geometry: { ...window, groupIn: ci, groupOut: o / groups },
      biasPosition: 2,
      activation: op.attrs.activation,
      rescale: {
        wide: RESCALE16_WIDE,
        narrow: op.attrs.narrowBias && RESCALE16_NARROW,
        none: undefined,
      },
      ...(groups > 1 ? { awayFrom: 0 } : {}),
      kernel: 'conv-int16',
    },
    false,
  )
}

export function lowerDepthwise16(cx: Context): void {
  const op = cx.op as OpOf<'DEPTHWISE_CONV_2D'>
  const x = cx.value(0)
  const filter = cx.input(1, 'filter')
  rank4(cx, x.tensor, filter, cx.output())
  const [, kh, kw, o] = filter.shape as [number, number, number, number]
  const window = windowed(cx, op.attrs, x, o, kh, kw)
  const { depthMultiplier } = op.attrs
  if (o !== window.inC * depthMultiplier) {
    throw cx.fail('lower/shape', 'channels do not match', filter, window.inC * depthMultiplier, o)
  }
  emit(
    cx,
    {
      x,
      filter,
      geometry: { ...window, groupIn: 1, groupOut: depthMultiplier },
      biasPosition: 2,
      activation: op.attrs.activation,
      rescale: { wide: RESCALE16_WIDE, narrow: undefined, none: RESCALE16_WIDE },
      kernel: 'depthwise-int16',
    },
    true,
  )
}

export function lowerTransposeConv16(cx: Context): void {
  const op = cx.op as OpOf<'TRANSPOSE_CONV'>
  const filter = cx.input(1, 'filter')
  const x = cx.value(2)
  const out = cx.output()
  rank4(cx, x.tensor, filter, out)
  const [o, kh, kw, ci] = filter.shape as [number, number, number, number]
  const { strideH, strideW, padding } = op.attrs
  checkWindow(cx, { strideH, strideW, dilationH: 1, dilationW: 1 }, kh, kw)
  const [batch, inH, inW, inC] = x.tensor.shape as [number, number, number, number]
  const [n, oh, ow, oc] = out.shape as [number, number, number, number]
  if (ci !== inC || oc !== o || n !== batch) {
    throw cx.fail('lower/shape', 'channels do not match', filter, `[${inC} -> ${oc}]`, `[${ci} -> ${o}]`)
  }
  const fits = (size: number, small: number, k: number, stride: number): boolean =>
    padding === 'SAME' ? Math.ceil(size / stride) === small : Math.floor((size - k) / stride) + 1 === small
  if (!fits(oh, inH, kh, strideH) || !fits(ow, inW, kw, strideW)) {
    throw cx.fail('lower/shape', 'output size does not match the input size', out, `${inH}x${inW}`, `${oh}x${ow}`)
  }
  const along = (out: number, kernel: number, stride: number, size: number): Axis => ({
    // What the forward convolution of the output pads.
    ...windowAlong({ padding: 'SAME', size: out, kernel, stride, out: size }),
    out,
  })
  emit(
    cx,
    {
      x,
      filter,
      geometry: {
        batch,
        inH,
        inW,
        inC,
        outC: o,
        kh,
        kw,
        groupIn: ci,
        groupOut: o,
        strideH,
        strideW,
        dilationH: 1,
        dilationW: 1,
        y: along(oh, kh, strideH, inH),
        x: along(ow, kw, strideW, inW),
        transposed: true,
      },
      biasPosition: 3,
      activation: op.attrs.activation,
      rescale: {
        wide: RESCALE16_WIDE,
        narrow: op.attrs.narrowBias && RESCALE16_NARROW,
        none: RESCALE16_WIDE,
      },
      awayFrom: o - (o % 8),
      kernel: 'transpose-conv-int16',
    },
    false,
  )
}

export function lowerFullyConnected16(cx: Context): void {
  const op = cx.op as OpOf<'FULLY_CONNECTED'>
  const x = cx.value(0)
  const filter = cx.input(1, 'filter')
  const out = cx.output()
  if (filter.shape.length !== 2) throw cx.fail('lower/shape', 'filter must have rank 2', filter)
  const [o, k] = filter.shape as [number, number]
  const rows = elements(x.tensor.shape) / k
  if (!Number.isInteger(rows)) {
    throw cx.fail(
      'lower/shape',
      'input and filter do not match',
      filter,
      `[${o},${x.tensor.shape.at(-1)}]`,
      `[${o},${k}]`,
    )
  }
  cx.expectShape(out, op.attrs.keepNumDims ? [...x.tensor.shape.slice(0, -1), o] : [rows, o])
  if (filter.dtype === 'int16') return lowerComputedFilter16(cx)
  const one: Axis = { out: 1, before: 0, after: 0 }
  emit(
    cx,
    {
      x,
      filter,
      geometry: {
        batch: 1,
        inH: 1,
        inW: rows,
        inC: k,
        outC: o,
        kh: 1,
        kw: 1,
        groupIn: k,
        groupOut: o,
        strideH: 1,
        strideW: 1,
        dilationH: 1,
        dilationW: 1,
        y: one,
        x: { out: rows, before: 0, after: 0 },
      },
      biasPosition: 2,
      activation: op.attrs.activation,
      rescale: { wide: RESCALE16_REAL, narrow: RESCALE16_NARROW, none: RESCALE16_NARROW },
      kernel: 'fully-connected-int16',
    },
    false,
  )
}
