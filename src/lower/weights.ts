/**
 * Filters and biases in the terms that kernels compute in. Most of a model's bytes pass through here once, at load:
 * what touches every weight is left to the runtime's own packers (assembly/pack.ts) where it has them, and computed
 * here only on demand.
 */
import { elements, type Tensor } from '../graph/graph.ts'
import { requantScale, requantScales } from '../arithmetic/numerics.ts'
import { allZero, largestMagnitude, largestScale } from '../base/scan.ts'
import { int32View } from '../base/words.ts'
import { Unsupported, type Context, type Q } from './context.ts'

/** Largest |acc * scale| whose magic-number rounding is exact. */
const MAGIC_LIMIT = 2 ** 22

/**
 * What makes requantization scales (numerics.ts, `requantScale`): a filter's own scales, one or one per channel, and
 * the scales of input and output.
 */
interface Rescale {
  scales: Float32Array
  input: number
  output: number
}

/**
 * A filter of `channels` output channels. Element i belongs to channel floor(i / inner) % channels: [channels][inner]
 * for convolutions, [outer][channels] with inner 1 for depthwise ones.
 */
export class Weights {
  /** Bytes as stored; `flip` (0x80 for uint8, else 0) makes them int8. */
  readonly raw: Uint8Array
  readonly flip: number
  /** Zero point of the int8 values. */
  readonly zero: number
  readonly inner: number
  readonly rescale: Rescale
  /** Plain bias per output channel. */
  readonly bias: Int32Array
  /** The input's zero point, which multiplies the sum of a channel's weights out of the bias. */
  readonly inputZero: number
  /** Largest distance of an input value from its zero point. */
  readonly reach: number
  /** Whether the magic-number epilogue is exact for every channel. */
  readonly safe: boolean
  private signed?: Int8Array
  private requantized?: Float32Array

  /** `largest`: the largest requantization scale. */
  constructor(
    fields:
      | {
          raw: Uint8Array
          flip: number
          zero: number
          inner: number
          rescale: Rescale
          bias: Int32Array
          inputZero: number
          reach: number
          largest: number
        }
      | { of: Weights; raw: Uint8Array; rescale: Rescale; bias: Int32Array; inner?: number; inputZero?: number },
  ) {
    const from = 'of' in fields ? fields.of : fields
    this.raw = fields.raw
    this.rescale = fields.rescale
    this.bias = fields.bias
    this.flip = from.flip
    this.zero = from.zero
    this.inner = fields.inner ?? from.inner
    this.inputZero = fields.inputZero ?? from.inputZero
    this.reach = from.reach
    this.safe = 'of' in fields ? fields.of.safe : this.isSafe(fields.largest)
  }

  /** f32 requantization scale per output channel. */
  get scale(): Float32Array {
    const { scales, input, output } = this.rescale
    return (this.requantized ??=
      scales.length === this.bias.length
        ? requantScales(input, scales, output)
        : new Float32Array(this.bias.length).fill(requantScale(input, scales[0]!, output)))
  }

  /** As int8. */
  get data(): Int8Array {
    if (this.signed) return this.signed
    const data = new Int8Array(this.raw.buffer, this.raw.byteOffset, this.raw.length)
    if (!this.flip) return (this.signed = data)
    const out = new Int8Array(data.length)
    for (let i = 0; i < out.length; i++) out[i] = data[i]! ^ 0x80
    return (this.signed = out)
  }

  /** Channels [from, to) of [channels][inner]. */
  part(from: number, to: number): Weights {
    if (from === 0 && to === this.bias.length) return this
    return new Weights({
      of: this,
      raw: this.raw.subarray(from * this.inner, to * this.inner),
      rescale:
        this.rescale.scales.length === 1
          ? this.rescale
          : { ...this.rescale, scales: this.rescale.scales.subarray(from, to) },
      bias: this.bias.subarray(from, to),
    })
  }

  /** What gives the same accumulators for inputs that are `n` larger. */
  offset(n: number): Weights {
    return n
      ? new Weights({ of: this, raw: this.raw, rescale: this.rescale, bias: this.bias, inputZero: this.inputZero + n })
      : this
  }

  /** [inner of all channels][channels], a depthwise filter, as [channels][...]. */
  transposed(): Weights {
    const channels = this.bias.length
    const k = this.raw.length / channels
    const raw = new Uint8Array(this.raw.length)
    for (let i = 0; i < k; i++) for (let c = 0; c < channels; c++) raw[c * k + i] = this.raw[i * channels + c]!
    return new Weights({ of: this, raw, rescale: this.rescale, bias: this.bias, inner: k })
  }

  /** Σ (w - zero) and Σ |w - zero| over channel c. */
  private sums(c: number): [sum: number, absolute: number] {
    const { data, zero, inner } = this
    const channels = this.bias.length
    let sum = 0
    let absolute = 0
    for (let start = c * inner; start < data.length; start += channels * inner) {
      for (let i = start; i < start + inner; i++) {
        const v = data[i]! - zero
        sum += v
        absolute += v < 0 ? -v : v
      }
    }
    return [sum, absolute]
  }

  /** What |Σ x (w - zero)| can't exceed, from the sizes alone. */
  private get most(): number {
    const weight = this.flip ? Math.max(128 + this.zero, 127 - this.zero) : 128
    return (this.raw.length / this.bias.length) * weight * this.reach
  }

  /** Whether no channel's |Σ x (w - zero)| exceeds `limit` for int8 x. */
  bounded(limit: number): boolean {
    const { bias, reach, most } = this
    return (most / reach) * 128 <= limit || bias.every((_, c) => this.sums(c)[1] * 128 <= limit)
  }

  /** Whether |acc * scale| keeps below MAGIC_LIMIT. Bounds that cost little decide almost always. */
  private isSafe(largest: number): boolean {
    // Accumulators wrap at 32 bits.
    if (2 ** 31 * largest <= MAGIC_LIMIT) return true
    const { bias, reach, most } = this
    const channels = bias.length
    if ((most + largestMagnitude(bias)) * largest <= MAGIC_LIMIT) return true
    const { scale } = this
    for (let c = 0; c < channels; c++) {
      const own = bias[c]! < 0 ? -bias[c]! : bias[c]!
      if (
        (most + own) * scale[c]! > MAGIC_LIMIT &&
        Math.min(this.sums(c)[1] * reach + own, 2 ** 31) * scale[c]! > MAGIC_LIMIT
      ) {
        return false
      }
    }
    return true
  }

  /** bias[c] - inputZero * Σ (w - zero). */
  foldedBias(): Int32Array {
    if (!this.inputZero) return this.bias
    return this.bias.map((b, c) => b - Math.imul(this.inputZero, this.sums(c)[0]))
  }
}

/** The largest requantization scale of a filter. Errors: `lower/quantization` for one outside [0, 256). */
function largestRequantScale(cx: Context, w: Tensor, { scales, input, output }: Rescale): number {
  // Requantization keeps the order of scales.
  const weight = largestScale(scales)
  const largest = requantScale(input, weight, output)
  if (weight >= 0 && largest < 256) return largest
  const all = requantScales(input, scales, output)
  const bad = all.findIndex((s) => !(s >= 0 && s < 256))
  if (bad >= 0) {
    throw cx.fail('lower/quantization', `requantization scale of channel ${bad}`, w, {
      expected: '[0, 256)',
      got: all[bad],
    })
  }
  return all.reduce((a, b) => Math.max(a, b), 0)
}

/** Errors: Unsupported unless input, filter and output are all int8 or all uint8. */
export function sameDtypes(x: Tensor, filter: Tensor, out: Tensor): void {
  const { dtype } = x
  if ((dtype === 'int8' || dtype === 'uint8') && filter.dtype === dtype && out.dtype === dtype) return
  for (const t of [x, filter, out]) {
    if (t.dtype !== 'int8' && t.dtype !== 'uint8') throw new Unsupported(`${t.dtype} tensor "${t.name}"`)
  }
  throw new Unsupported(`mixed ${dtype} and ${filter.dtype !== dtype ? filter.dtype : out.dtype} tensors`)
}

/** What multiplies x into out: filter, bias or none, output channels, and weights of each of those. */
interface Layer {
  x: Q
  out: Q
  w: Tensor
  b: Tensor | undefined
  channels: number
  inner: number
}

/** Reads filter and bias. */
export function readWeights(cx: Context, { x, out, w, b, channels, inner }: Layer): Weights {
  if (!w.data) throw new Unsupported('filter must be a constant')
  if (b && !b.data) throw new Unsupported('bias must be a constant')
  if (b && b.dtype !== 'int32') throw new Unsupported(`${b.dtype} bias`)
  const p = w.quantization
  if (!p || p.scales.length === 0) throw cx.fail('lower/quantization', 'filter has no quantization parameters', w)
  if (p.scales.length !== 1 && p.scales.length !== channels) {
    throw cx.fail('lower/quantization', 'filter scales', w, { expected: `1 or ${channels}`, got: p.scales.length })
  }
  if (b && elements(b.shape) !== channels) {
    throw cx.fail('lower/shape', 'bias length', b, { expected: channels, got: elements(b.shape) })
  }
  if (w.dtype === 'int8' && !allZero(p.zeroPoints)) {
    throw cx.fail('lower/quantization', 'int8 filter must have zero point 0', w, {
      expected: 0,
      got: p.zeroPoints.find((z) => z !== 0),
    })
  }
  const zeroRaw = w.dtype === 'uint8' ? (p.zeroPoints[0] ?? 0) : 0
  if (w.dtype === 'uint8' && (zeroRaw < 0 || zeroRaw > 255)) {
    throw cx.fail('lower/quantization', 'filter zero point is out of range', w, { expected: '0..255', got: zeroRaw })
  }
  const rescale = { scales: p.scales, input: x.scale, output: out.scale }
  const unsigned = w.dtype === 'uint8'
  return new Weights({
    raw: w.data,
    flip: unsigned ? 0x80 : 0,
    zero: unsigned ? zeroRaw - 128 : 0,
    inner,
    rescale,
    bias: b ? int32View(b.data!) : new Int32Array(channels),
    inputZero: x.zero,
    reach: Math.max(x.high - x.zeroPoint, x.zeroPoint - x.low),
    largest: largestRequantScale(cx, w, rescale),
  })
}

/** A constant int8 filter and its bias, as the file has them. */
export interface Filter {
  data: Uint8Array
  scales: Float32Array
  bias: Int32Array
}

/**
 * For kernels that take scales of any sign. Errors: `lower/quantization`, `lower/shape`; unsupported by name otherwise.
 */
export function filterOf(cx: Context, w: Tensor, b: Tensor | undefined, channels: number): Filter {
  if (!w.data || (b && !b.data)) throw new Unsupported('filter and bias must be constants')
  const p = w.quantization
  if (w.dtype !== 'int8' || (b && b.dtype !== 'int32')) throw new Unsupported(`${w.dtype} filter of negative scales`)
  if (!p || (p.scales.length !== 1 && p.scales.length !== channels) || !allZero(p.zeroPoints)) {
    throw cx.fail('lower/quantization', 'filter scales', w, {
      expected: `1 or ${channels}, zero points 0`,
      got: p?.scales.length ?? 0,
    })
  }
  if (b && elements(b.shape) !== channels) {
    throw cx.fail('lower/shape', 'bias length', b, { expected: channels, got: elements(b.shape) })
  }
  return { data: w.data, scales: p.scales, bias: b ? int32View(b.data!) : new Int32Array(channels) }
}
