/** ADD, SUB, MUL: which arithmetic. */
import { OP_BINARY } from '../generated/layout.ts'
import { elements, type OpOf } from '../graph/graph.ts'
import {
  activationBoundsBuiltin,
  activationBoundsXnn,
  clamp,
  f32,
  multiplyHalfAway,
  quantizeMultiplier,
  rne,
} from '../arithmetic/numerics.ts'
import { trimmed } from './broadcast.ts'
import { type Context, shifted, type Q } from './context.ts'
import { emitLut, real, table, toTable } from './elementwise.ts'
import { emitPairs, operandsOf, UNUSED } from './pairs.ts'
import type { Value } from './program.ts'
import { lowerArithmetic } from './words.ts'

interface Operands {
  a: Q
  b: Q
  y: Q
}

interface BinaryArithmetic {
  kind: number
  limits: [number, number]
  numbers: Record<string, number>
  swappable: boolean
}

/** `wraps`: elements whose sum wraps in the reference's vectors, where their number is whole vectors. */
function addArithmetic(cx: Context, { a, b, y }: Operands, wraps: number): BinaryArithmetic {
  const { activation } = (cx.op as OpOf<'ADD'>).attrs
  const sign = cx.op.type === 'SUB' ? -1 : 1
  const ra = f32(a.scale / y.scale)
  const rb = f32(b.scale / y.scale)
  const inRange = (r: number): boolean => r >= f32(1 / 1024) && r < 256
  if (inRange(ra) && inRange(rb)) {
    const shift = 20 - Math.floor(Math.log2(Math.max(ra, rb)))
    const ma = rne(ra * 2 ** shift)
    const mb = sign * rne(rb * 2 ** shift)
    const rounding = (2 ** (shift - 1) - a.zero * ma - b.zero * mb) | 0
    return {
      kind: 0,
      swappable: true,
      limits: activationBoundsXnn(activation, y),
      numbers: { aMultiplier: ma, bMultiplier: mb, multiplier: rounding, shift },
    }
  }
  const twice = f32(2 * Math.max(a.scale, b.scale))
  const ma = quantizeMultiplier(a.scale / twice)
  const mb = quantizeMultiplier(b.scale / twice)
  const mo = quantizeMultiplier(twice / f32(2 ** 20 * y.scale))
  const block = y.unsigned ? 8 : 16
  return {
    kind: 2,
    swappable: false,
    limits: activationBoundsBuiltin(activation, y),
    numbers: {
      aMultiplier: ma.multiplier,
      aShift: ma.shift,
      bMultiplier: sign * mb.multiplier,
      bShift: mb.shift,
      multiplier: mo.multiplier,
      shift: mo.shift,
      wrapElements: sign > 0 ? wraps - (wraps % block) : 0,
      // The wrap happens on the file's own values.
      outputZeroPoint: y.zeroPoint,
      minus: y.shift,
    },
  }
}

function mulArithmetic(cx: Context, a: Q, b: Q, y: Q): BinaryArithmetic {
  const { activation } = (cx.op as OpOf<'MUL'>).attrs
  const scale = f32(f32(a.scale * b.scale) / y.scale)
  if (scale >= 2 ** -16 && scale < 256) {
    return { kind: 1, swappable: true, limits: activationBoundsXnn(activation, y), numbers: { scale } }
  }
  const m = quantizeMultiplier(scale)
  return {
    kind: 3,
    swappable: false,
    limits: activationBoundsBuiltin(activation, y),
    numbers: { multiplier: m.multiplier, shift: m.shift },
  }
}

/** MUL of a tensor with itself: XNNPACK makes it a square, one rounding less. */
function lowerSquare(cx: Context, x: Value, xq: Q, yq: Q): void {
  const [low, high] = activationBoundsXnn((cx.op as OpOf<'MUL'>).attrs.activation, yq)
  cx.expectShape(cx.output(), x.tensor.shape)
  const lut = table(xq, yq, (q) => {
    const v = real(xq, q)
    return clamp(toTable(f32(v * v), yq), low, high)
  })
  emitLut(cx, { from: x, to: cx.result(), lut, kernel: 'square' })
}

/** One element as the kernel computes it, in its domain; without `wrapElements`. Source: assembly/kernels/binary.ts. */
function elementOf(
  { kind, limits, numbers: n }: BinaryArithmetic,
  aq: Q,
  bq: Q,
  yq: Q,
): (a: number, b: number) => number {
  const { actMin, actMax } = shifted(limits, yq)
  if (kind === 0) {
    return (a, b) =>
      clamp(
        ((Math.imul(a, n.aMultiplier!) + Math.imul(b, n.bMultiplier!) + n.multiplier!) >> n.shift!) + yq.zero,
        actMin,
        actMax,
      )
  }
  if (kind === 1) return (a, b) => clamp(rne(f32((a - aq.zero) * (b - bq.zero) * n.scale!)) + yq.zero, actMin, actMax)
  if (kind === 3) {
    return (a, b) =>
      clamp(multiplyHalfAway((a - aq.zero) * (b - bq.zero), n.multiplier!, n.shift!) + yq.zero, actMin, actMax)
  }
  const sign = n.bMultiplier! < 0 ? -1 : 1
  return (a, b) => {
    const left = multiplyHalfAway((a - aq.zero) << 20, n.aMultiplier!, n.aShift!)
    const right = multiplyHalfAway((b - bq.zero) << 20, sign * n.bMultiplier!, n.bShift!)
    return (
      clamp(multiplyHalfAway((left + sign * right) | 0, n.multiplier!, n.shift!) + n.outputZeroPoint!, ...limits) -
      n.minus!
    )
  }
}

export function lowerBinary(cx: Context): void {
  const out = cx.output()
  if (/(32|64)$/.test(out.dtype)) return lowerArithmetic(cx)
  const { a, b, aq, bq, yq } = operandsOf(cx)
  if (cx.op.type === 'MUL' && cx.op.inputs[0] === cx.op.inputs[1]) {
    lowerSquare(cx, a, aq, yq)
    return
  }
  const equal = trimmed(a.tensor.shape) === trimmed(b.tensor.shape)
  const arithmetic =
    cx.op.type === 'MUL'
      ? mulArithmetic(cx, aq, bq, yq)
      : addArithmetic(cx, { a: aq, b: bq, y: yq }, equal ? elements(out.shape) : 0)
  const { kind, limits, numbers } = arithmetic
  const innermost = out.shape[out.shape.length - 1] ?? 1
  // Products may not fit 32 bits in a table's arithmetic.
  const tabled =
    kind < 2 || (!numbers.wrapElements && ![numbers.shift, numbers.aShift, numbers.bShift].some((s) => s! > 0))
  const fields = {
    kind,
    aZeroPoint: aq.zero,
    bZeroPoint: bq.zero,
    outputZeroPoint: yq.zero,
    ...(kind === 2 ? { actMin: limits[0], actMax: limits[1] } : shifted(limits, yq)),
    ...UNUSED,
    ...numbers,
  }
  emitPairs(cx, a, b, {
    record: 'BinaryRecord',
    op: OP_BINARY,
    kernel: ['add', 'multiply', 'add-fixed-point', 'multiply-fixed-point'][kind]!,
    fields,
    swapped: arithmetic.swappable
      ? {
          ...fields,
          aZeroPoint: bq.zero,
          bZeroPoint: aq.zero,
          aMultiplier: fields.bMultiplier,
          bMultiplier: fields.aMultiplier,
        }
      : undefined,
    element: tabled ? elementOf(arithmetic, aq, bq, yq) : undefined,
    lanes: kind < 2 && innermost >= 8,
  })
}
