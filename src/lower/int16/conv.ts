/** int16 activations by int8 weights: CONV_2D, DEPTHWISE_CONV_2D, TRANSPOSE_CONV, FULLY_CONNECTED. */
import { OP_CONV16, RESCALE16_NARROW, RESCALE16_REAL, RESCALE16_WIDE } from '../../generated/layout.ts'
import { elements, type Activation, type OpOf, type Tensor } from '../../graph/graph.ts'
import { activationBoundsBuiltin, quantizeMultiplier } from '../../arithmetic/numerics.ts'
import { type Context, Unsupported } from '../context.ts'
import { align, littleEndian } from '../../base/words.ts'
import { present, type Buffer, type Value } from '../program.ts'
import {
  checkTransposed,
  geometryFields,
  imageOf,
  rowWindow,
  rowsOf,
  transposedWindow,
  windowOf,
  type FilterSize,
  type Geometry,
} from '../window.ts'
import { biasBuffer, multiplierBuffers, params16, scale16, wideMultiplier } from './common.ts'
import { lowerComputedFilter16 } from './matmul.ts'

interface Convolution {
  x: Value
  filter: Tensor
  geometry: Geometry
  transposed?: boolean
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
    throw cx.fail('lower/quantization', 'scales of the filter', t, {
      expected: `1 or ${channels}`,
      got: q?.scales.length ?? 0,
    })
  }
  if (q.zeroPoints.some((z) => z !== 0)) {
    throw cx.fail('lower/quantization', 'zero points of int8 weights', t, {
      expected: 0,
      got: q.zeroPoints.find((z) => z !== 0),
    })
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
function byChannel(data: Int8Array, channels: number): Int8Array {
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
  const { geometry: g, x, transposed } = c
  const { win } = g
  const outC = g.y.c
  const out = cx.output()
  const input = scale16(cx, x.tensor)
  const output = scale16(cx, out)
  const { data, scales } = weightsOf(cx, c.filter, outC)
  const bias = biasBuffer(cx, c.biasPosition, outC)
  const rescale = c.rescale[bias.wide === undefined ? 'none' : bias.wide ? 'wide' : 'narrow']
  if (rescale === undefined) {
    throw bias.wide === undefined
      ? cx.fail('lower/missing-input', 'LiteRT runs no such op without a bias')
      : cx.fail('lower/dtype', 'bias of 16-bit activations, which LiteRT reads as 64 bits', cx.input(c.biasPosition), {
          expected: 'int64 (or a quantized_bias_type of INT32)',
          got: 'int32',
        })
  }
  const reals = Array.from({ length: outC }, (_, o) => (input * scales[scales.length === 1 ? 0 : o]!) / output)
  const { multipliers, shifts } = channelScales(cx, reals, rescale)
  const taps = win.kh * win.kw
  const channelwise = byTap && g.groupIn === 1 && g.groupOut === 1 && taps <= CHANNELWISE_TAPS
  const inner = taps * g.groupIn
  // A channel's run may begin anywhere, but groups of a grouped convolution begin at a multiple of four channels only
  // if they have so many.
  const patch = channelwise ? taps : align(inner, 8)
  const rows = byTap && !channelwise ? byChannel(data, outC) : data
  const stored = channelwise ? rows : paddedRows(rows, outC, inner, patch)
  const weights = cx.buffers.constant(`${out.name} weights`, stored)
  const [actMin, actMax] = activationBoundsBuiltin(c.activation, params16(output))
  const y = cx.result()
  y.alias = true
  const scratch = cx.scratch(`${out.name} patches`, 64 + (channelwise ? 0 : 4 * patch))
  cx.plain(x)
  for (let n = 0; n < g.x.n; n++) {
    cx.push({
      record: 'Conv16Record',
      op: OP_CONV16,
      kernel: c.kernel,
      rows: rowsOf(win, g.x.h),
      reads: present(x.buffer, weights, bias.buffer, multipliers, shifts),
      writes: [y.buffer, scratch],
      macs: (transposed ? g.x.h * g.x.w : g.y.h * g.y.w) * inner * outC,
      fields: () => ({
        input: x.address() + n * 2 * g.x.h * g.x.w * g.x.c,
        inH: g.x.h,
        output: y.address() + n * 2 * g.y.h * g.y.w * outC,
        ...geometryFields(g),
        transposed: Number(transposed ?? false),
        channelwise: Number(channelwise),
        weights: weights.address,
        patch,
        bias: bias.buffer?.address ?? 0,
        multipliers: multipliers.address,
        shifts: shifts?.address ?? 0,
        rescale,
        awayFrom: c.awayFrom ?? outC,
        actMin,
        actMax,
        scratch: scratch.address,
      }),
    })
  }
}

/** Input, output and window of a convolution by `filter`; the output's shape is checked against it. */
function windowed(cx: Context, x: Tensor, filter: FilterSize, outC: number): Pick<Geometry, 'x' | 'y' | 'win'> {
  const image = imageOf(cx, x)
  const win = windowOf(cx, (cx.op as OpOf<'CONV_2D' | 'DEPTHWISE_CONV_2D'>).attrs, image, filter)
  if (win.y.out < 1 || win.x.out < 1) throw cx.fail('lower/shape', 'the window is larger than the image', x)
  cx.expectShape(cx.output(), [image.n, win.y.out, win.x.out, outC])
  return { x: image, y: { n: image.n, h: win.y.out, w: win.x.out, c: outC }, win }
}

export function lowerConv16(cx: Context): void {
  const op = cx.op as OpOf<'CONV_2D'>
  const x = cx.value(0)
  const filter = cx.input(1, 'filter')
  const { n: o, h: kh, w: kw, c: ci } = imageOf(cx, filter)
  const window = windowed(cx, x.tensor, { kh, kw }, o)
  const groups = window.x.c / ci
  if (!Number.isInteger(groups) || o % groups !== 0) {
    throw cx.fail('lower/shape', 'channels do not match', filter, { expected: `a divisor of ${window.x.c}`, got: ci })
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
  const { h: kh, w: kw, c: o } = imageOf(cx, filter)
  const window = windowed(cx, x.tensor, { kh, kw }, o)
  const { depthMultiplier } = op.attrs
  if (o !== window.x.c * depthMultiplier) {
    throw cx.fail('lower/shape', 'channels do not match', filter, { expected: window.x.c * depthMultiplier, got: o })
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
  const { n: o, h: kh, w: kw, c: ci } = imageOf(cx, filter)
  const image = imageOf(cx, x.tensor)
  const out = imageOf(cx, cx.output())
  const win = transposedWindow(cx, image, out, { kh, kw })
  if (ci !== image.c || out.c !== o || out.n !== image.n) {
    throw cx.fail('lower/shape', 'channels do not match', filter, {
      expected: `[${image.c} -> ${out.c}]`,
      got: `[${ci} -> ${o}]`,
    })
  }
  checkTransposed(cx, image, out, win)
  emit(
    cx,
    {
      x,
      filter,
      geometry: { x: image, y: out, win, groupIn: ci, groupOut: o },
      transposed: true,
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
    throw cx.fail('lower/shape', 'input and filter do not match', filter, {
      expected: `[${o},${x.tensor.shape.at(-1)}]`,
      got: `[${o},${k}]`,
    })
  }
  cx.expectShape(out, op.attrs.keepNumDims ? [...x.tensor.shape.slice(0, -1), o] : [rows, o])
  if (filter.dtype === 'int16') return lowerComputedFilter16(cx)
  emit(
    cx,
    {
      x,
      filter,
      geometry: {
        x: { n: 1, h: 1, w: rows, c: k },
        y: { n: 1, h: 1, w: rows, c: o },
        win: rowWindow(rows),
        groupIn: k,
        groupOut: o,
      },
      biasPosition: 2,
      activation: op.attrs.activation,
      rescale: { wide: RESCALE16_REAL, narrow: RESCALE16_NARROW, none: RESCALE16_NARROW },
      kernel: 'fully-connected-int16',
    },
    false,
  )
}
