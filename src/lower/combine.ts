/** Functions of two 8-bit tensors that are neither sum nor product, by TFLite's builtin kernels. */
import {
  COMBINE_DIV,
  COMBINE_FLOOR_DIV,
  COMBINE_FLOOR_MOD,
  COMBINE_MAXIMUM,
  COMBINE_MINIMUM,
  COMBINE_PRELU,
  COMBINE_SQUARED_DIFFERENCE,
  OP_COMBINE,
} from '../generated/layout.ts'
import { elements, type OpOf } from '../graph/graph.ts'
import { activationBoundsBuiltin, clamp, f32, multiplyHalfAway, quantizeMultiplier } from '../arithmetic/numerics.ts'
import { type Context, shifted, Unsupported, type Q } from './context.ts'
import { emitChannelLut, table } from './elementwise.ts'
import { doublingHighProduct, reciprocal, roundingShift } from './fixed-point.ts'
import { emitPairs, operandsOf, UNUSED, type PairArithmetic } from './pairs.ts'
import type { Buffer } from './program.ts'

interface Combination {
  kind: number
  numbers?: Record<string, number>
  limits?: [number, number]
  table?: Buffer
  /** Exchanging the operands gives the same. */
  swappable?: boolean
  /** One result in the kernels' domain, of values in it; zero points and limits are `combine`'s. */
  value?(a: number, b: number): number
  raw?(a: number, b: number): number
}

function combine(cx: Context, make: (a: Q, b: Q, y: Q) => Combination): void {
  const { a, b, aq, bq, yq } = operandsOf(cx)
  const { kind, numbers, limits, table, swappable, value, raw } = make(aq, bq, yq)
  const { actMin, actMax } = shifted(limits ?? [yq.low, yq.high], yq)
  const fields = {
    kind,
    aZeroPoint: aq.zero,
    bZeroPoint: bq.zero,
    outputZeroPoint: yq.zero,
    actMin,
    actMax,
    ...UNUSED,
    table: 0,
    ...numbers,
  }
  const element: PairArithmetic['element'] =
    raw ?? (value && ((x, y) => clamp(value(x - aq.zero, y - bq.zero) + yq.zero, actMin, actMax)))
  emitPairs(cx, a, b, {
    record: 'CombineRecord',
    op: OP_COMBINE,
    kernel: cx.op.type.toLowerCase().replaceAll('_', '-'),
    fields,
    swapped: swappable ? { ...fields, aZeroPoint: bq.zero, bZeroPoint: aq.zero } : undefined,
    element,
    lanes: swappable && (cx.output().shape.at(-1) ?? 1) >= 16,
    table,
  })
}

/** Of the stored integers: LiteRT does not look at the quantization. */
export const lowerMaximum = (cx: Context): void =>
  combine(cx, () => ({ kind: COMBINE_MAXIMUM, swappable: true, raw: Math.max }))
export const lowerMinimum = (cx: Context): void =>
  combine(cx, () => ({ kind: COMBINE_MINIMUM, swappable: true, raw: Math.min }))

function onlySigned(cx: Context): void {
  if (cx.output().dtype === 'uint8') {
    throw new Unsupported(`${cx.op.type} of uint8, which LiteRT does not run either`)
  }
}

/** Of the stored integers, whatever the quantization says. LiteRT ends with an error where a divisor is 0. */
export function lowerFloorDiv8(cx: Context): void {
  onlySigned(cx)
  combine(cx, () => ({
    kind: COMBINE_FLOOR_DIV,
    raw: (a, b) => (b ? (Math.floor(a / b) << 24) >> 24 : 0),
  }))
}

export function lowerFloorMod8(cx: Context): void {
  onlySigned(cx)
  combine(cx, () => ({ kind: COMBINE_FLOOR_MOD, raw: (a, b) => (b ? a - b * Math.floor(a / b) : 0) }))
}

/** A multiplier that TFLite demands to be below 1. */
function belowOne(cx: Context, d: number): { multiplier: number; shift: number } {
  if (!(d < 1)) {
    throw cx.fail('lower/quantization', 'output scale is too small for the inputs', cx.output(), {
      expected: '< 1',
      got: d,
    })
  }
  return quantizeMultiplier(d)
}

export function lowerSquaredDifference8(cx: Context): void {
  onlySigned(cx)
  combine(cx, (a, b, y) => {
    const twice = f32(2 * Math.max(a.scale, b.scale))
    const ma = belowOne(cx, a.scale / twice)
    const mb = belowOne(cx, b.scale / twice)
    const m = belowOne(cx, (twice * twice) / f32(2 ** 14 * y.scale))
    return {
      kind: COMBINE_SQUARED_DIFFERENCE,
      numbers: {
        aMultiplier: ma.multiplier,
        aShift: ma.shift,
        bMultiplier: mb.multiplier,
        bShift: mb.shift,
        ...m,
      },
      value: (v, w) => {
        const difference =
          multiplyHalfAway(v * 128, ma.multiplier, ma.shift) - multiplyHalfAway(w * 128, mb.multiplier, mb.shift)
        return multiplyHalfAway(difference * difference, m.multiplier, m.shift)
      },
    }
  })
}

/** LiteRT ends with an error where a divisor is 0; here the quotient is. */
export function lowerDiv8(cx: Context): void {
  combine(cx, (a, b, y) => {
    const m = quantizeMultiplier(f32(a.scale / f32(b.scale * y.scale)))
    if (m.shift > 23) throw new Unsupported('DIV with an output scale that small')
    const entries = new Int32Array(512)
    for (let w = 1; w < 256; w++) {
      const { multiplier, bits } = reciprocal(w)
      entries[2 * w] = multiplier
      entries[2 * w + 1] = bits
    }
    return {
      kind: COMBINE_DIV,
      numbers: { multiplier: m.multiplier, shift: m.shift },
      limits: activationBoundsBuiltin((cx.op as OpOf<'DIV'>).attrs.activation, y),
      table: cx.buffers.constant('reciprocals', entries),
      value: (v, w) => {
        const x = w < 0 ? -v : v
        const headroom = x < 0 ? Math.clz32(-2 * x - 1) : Math.clz32(x) - 1
        const at = 2 * Math.abs(w)
        const quotient = doublingHighProduct((x << headroom) | 0, entries[at]!)
        return roundingShift(doublingHighProduct(quotient, m.multiplier), entries[at + 1]! + headroom - m.shift)
      },
    }
  })
}

/** A slope for each channel that is constant: a table for each; any other slope: element by element. */
export function lowerPrelu8(cx: Context): void {
  const x = cx.value(0)
  const alpha = cx.input(1)
  cx.expectShape(cx.output(), x.tensor.shape)
  const xq = cx.q(x.tensor)
  const aq = cx.q(alpha)
  const yq = cx.q(cx.output())
  const identity = quantizeMultiplier(f32(xq.scale / yq.scale))
  const slope = quantizeMultiplier(f32(f32(xq.scale * aq.scale) / yq.scale))
  const value = (d: number, w: number): number =>
    d >= 0
      ? multiplyHalfAway(d, identity.multiplier, identity.shift)
      : multiplyHalfAway(d * w, slope.multiplier, slope.shift)
  const channels = alpha.shape.at(-1) ?? 1
  const byChannel = elements(alpha.shape) === channels && channels === (x.tensor.shape.at(-1) ?? 1)
  if (!alpha.data || !byChannel || alpha.dtype !== x.tensor.dtype || alpha.shape.length > x.tensor.shape.length) {
    combine(cx, () => ({
      kind: COMBINE_PRELU,
      numbers: {
        aMultiplier: identity.multiplier,
        aShift: identity.shift,
        bMultiplier: slope.multiplier,
        bShift: slope.shift,
      },
      value,
    }))
    return
  }
  const raw = (byte: number): number => (aq.unsigned ? byte : (byte << 24) >> 24)
  const slopes = [...new Set(alpha.data)]
  const tables = new Int8Array(256 * slopes.length)
  slopes.forEach((byte, i) =>
    tables.set(
      table(xq, yq, (q) => yq.zeroPoint + value(q - xq.zeroPoint, raw(byte) - aq.zeroPoint)),
      256 * i,
    ),
  )
  const offsets = Int32Array.from(alpha.data, (byte) => 256 * slopes.indexOf(byte))
  emitChannelLut(cx, x, cx.result(), { tables, byChannel: offsets })
}
