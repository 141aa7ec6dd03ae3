/**
 * What the rules of 16-bit activations share: their quantization, bounds, multipliers of 15 bits, channels' constants.
 */
import { elements, tensorBytes, type Tensor } from '../../graph/graph.ts'
import { quantizeMultiplier, type QuantParams } from '../../arithmetic/numerics.ts'
import { type Context, Unsupported } from '../context.ts'
import type { Buffer } from '../program.ts'

export const LOW = -32768
export const HIGH = 32767

/** Scale of a per-tensor int16 activation, whose zero point LiteRT wants to be 0. */
export function scale16(cx: Context, t: Tensor): number {
  if (t.dtype !== 'int16') throw new Unsupported(`int16 together with ${t.dtype} tensor "${t.name}"`)
  const { scale, zeroPoint } = grid(cx, t)
  if (zeroPoint !== 0) {
    throw cx.fail('lower/quantization', 'zero point of a 16-bit tensor', t, { expected: 0, got: zeroPoint })
  }
  return scale
}

/** Scale and zero point of a quantized tensor of any integer type. */
export function grid(cx: Context, t: Tensor): { scale: number; zeroPoint: number } {
  const p = t.quantization
  if (!p || p.scales.length === 0) throw cx.fail('lower/quantization', 'tensor has no quantization parameters', t)
  if (p.scales.length !== 1) throw new Unsupported(`per-channel activation "${t.name}"`)
  const scale = p.scales[0]!
  if (!(scale > 0) || !Number.isFinite(scale)) {
    throw cx.fail('lower/quantization', 'scale must be a positive number', t, { expected: '> 0', got: scale })
  }
  return { scale, zeroPoint: p.zeroPoints[0] ?? 0 }
}

/** As activationBounds… take it. */
export const params16 = (scale: number): QuantParams => ({ scale, zeroPoint: 0, low: LOW, high: HIGH })

/** A real multiplier as TFLite applies it to 64-bit sums: 15 bits, and a right shift. */
export function wideMultiplier(real: number): { multiplier: number; shift: number } {
  const { multiplier, shift } = quantizeMultiplier(real)
  if (shift > 14) throw new Unsupported('an output scale that is much smaller than its input’s')
  return { multiplier: multiplier < 0x7fff0000 ? (multiplier + 0x8000) >> 16 : 0x7fff, shift: 15 - shift }
}

/** Buffers of multipliers and shifts, one each channel. */
export function multiplierBuffers(
  cx: Context,
  name: string,
  of: readonly { multiplier: number; shift: number }[],
): { multipliers: Buffer; shifts: Buffer } {
  return {
    multipliers: cx.buffers.constant(
      `${name} multipliers`,
      Int32Array.from(of, (m) => m.multiplier),
    ),
    shifts: cx.buffers.constant(
      `${name} shifts`,
      Int32Array.from(of, (m) => m.shift),
    ),
  }
}

/** A constant bias as int64; `wide`: the file has it so. */
export function biasBuffer(
  cx: Context,
  position: number,
  channels: number,
): { buffer: Buffer | undefined; wide: boolean | undefined } {
  if (!cx.hasInput(position)) return { buffer: undefined, wide: undefined }
  const t = cx.input(position, 'bias')
  if (!t.data) throw new Unsupported('a bias that is computed')
  if ((t.dtype !== 'int32' && t.dtype !== 'int64') || elements(t.shape) !== channels) {
    throw cx.fail('lower/shape', 'bias', t, { expected: `${channels} int64 or int32`, got: `[${t.shape}] ${t.dtype}` })
  }
  const view = new DataView(t.data.buffer, t.data.byteOffset, tensorBytes(t))
  const words = new Int32Array(2 * channels)
  for (let c = 0; c < channels; c++) {
    if (t.dtype === 'int64') {
      words[2 * c] = view.getInt32(8 * c, true)
      words[2 * c + 1] = view.getInt32(8 * c + 4, true)
    } else {
      words[2 * c] = view.getInt32(4 * c, true)
      words[2 * c + 1] = words[2 * c]! >> 31
    }
  }
  return { buffer: cx.buffers.constant(`${t.name} (64 bits)`, words), wide: t.dtype === 'int64' }
}
