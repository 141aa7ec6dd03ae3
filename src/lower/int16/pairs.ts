/** Two int16 operands, element by element. */
import {
  OP_PAIRS16,
  PAIRS16_ADD,
  PAIRS16_ADD_POWERS,
  PAIRS16_ADD_SAME,
  PAIRS16_DIV,
  PAIRS16_FLOOR_DIV,
  PAIRS16_FLOOR_MOD,
  PAIRS16_MAXIMUM,
  PAIRS16_MINIMUM,
  PAIRS16_MUL,
} from '../../generated/layout.ts'
import { elements, type Activation, type OpOf } from '../../graph/graph.ts'
import { activationBoundsBuiltin, f32, quantizeMultiplier } from '../../arithmetic/numerics.ts'
import { broadcast, merge, offsets, type Dim } from '../broadcast.ts'
import { type Context, Unsupported } from '../context.ts'
import { rowwise } from '../program.ts'
import { HIGH, LOW, params16, scale16 } from './common.ts'

interface Pairs {
  kind: number
  /** Of operands of one shape: only these elements, first to last. */
  part?: [from: number, to: number]
  numbers?: Record<string, number>
  limits?: [number, number]
}

function emit(cx: Context, p: Pairs): void {
  const a = cx.plain(cx.value(0))
  const b = cx.plain(cx.value(1))
  const [from = 0, to = 0] = p.part ?? []
  const loops = p.part
    ? [{ size: to - from, a: 1, b: 1 }]
    : merge(broadcast(cx, a.tensor, b.tensor, cx.output()), ['a', 'b'])
  const outer = offsets(loops.splice(0, Math.max(0, loops.length - 4)))
  const [d0, d1, d2, d3] = [...Array<Dim>(4 - loops.length).fill({ size: 1, a: 0, b: 0 }), ...loops] as [
    Dim,
    Dim,
    Dim,
    Dim,
  ]
  const y = (from ? cx.computed(cx.op.outputs[0]!) : undefined) ?? cx.result()
  y.alias = true
  const [actMin, actMax] = p.limits ?? [LOW, HIGH]
  const part = 2 * d0.size * d1.size * d2.size * d3.size
  outer.forEach((start, i) =>
    cx.push({
      record: 'Pairs16Record',
      op: OP_PAIRS16,
      kernel: `${cx.op.type.toLowerCase().replaceAll('_', '-')}-int16`,
      rows: rowwise(1),
      reads: [a.buffer, b.buffer],
      writes: [y.buffer],
      fields: () => ({
        kind: p.kind,
        a: a.address() + 2 * (from + start.a),
        b: b.address() + 2 * (from + start.b),
        output: y.address() + 2 * from + i * part,
        d0: d0.size,
        d1: d1.size,
        d2: d2.size,
        d3: d3.size,
        a0: 2 * d0.a,
        a1: 2 * d1.a,
        a2: 2 * d2.a,
        a3: 2 * d3.a,
        b0: 2 * d0.b,
        b1: 2 * d1.b,
        b2: 2 * d2.b,
        b3: 2 * d3.b,
        aMultiplier: 0,
        aShift: 0,
        bMultiplier: 0,
        bShift: 0,
        multiplier: 0,
        shift: 0,
        actMin,
        actMax,
        ...p.numbers,
      }),
    }),
  )
}

/** Scales of both operands and the result, and the limits of the fused activation. */
function scalesOf(cx: Context): { a: number; b: number; y: number; limits: [number, number] } {
  const y = scale16(cx, cx.output())
  const { activation = 'NONE' } = cx.op.attrs as { activation?: Activation }
  return {
    a: scale16(cx, cx.input(0)),
    b: scale16(cx, cx.input(1)),
    y,
    limits: activationBoundsBuiltin(activation, params16(y)),
  }
}

/** Base-2 logarithm of a scale that is near a power of two. Source: TFLite CheckedLog2. */
export function powerOf(scale: number): number | undefined {
  const log = f32(f32(Math.log(scale)) * f32(1 / f32(Math.log(2))))
  const rounded = Math.round(log)
  return Math.abs(f32(log - rounded)) < 1e-3 ? rounded : undefined
}

/** ADD, SUB: by general scales, or, where the file says so, by powers of two. */
export function lowerAdd16(cx: Context): void {
  const { type, attrs } = cx.op as OpOf<'ADD' | 'SUB'>
  const { a, b, y, limits } = scalesOf(cx)
  const sign = type === 'SUB' ? -1 : 1
  const powers = attrs.powersOfTwo ? [a, b, y].map(powerOf) : [undefined]
  if (powers.every((p) => p !== undefined)) {
    const [pa, pb, py] = powers as [number, number, number]
    const [aShift, bShift] = [py - pa, py - pb]
    if (aShift < 0 || bShift < 0 || (aShift && bShift)) {
      throw cx.fail('lower/quantization', 'scales of a 16-bit sum of powers of two', cx.output(), {
        expected: 'one input with the output’s, none larger',
        got: `${a}, ${b}, ${y}`,
      })
    }
    if (aShift > 15 || bShift > 15) throw new Unsupported('scales that are more than 2^15 apart')
    if (sign > 0 && `${cx.input(0).shape}` !== `${cx.input(1).shape}`) {
      throw new Unsupported('broadcasting with scales of powers of two')
    }
    emit(cx, { kind: PAIRS16_ADD_POWERS, numbers: { aShift, bShift, bMultiplier: sign }, limits })
    return
  }
  const twice = 2 * Math.max(a, b)
  const [ma, mb, my] = [a / twice, b / twice, twice / (2 ** 15 * y)].map(quantizeMultiplier) as [
    { multiplier: number; shift: number },
    { multiplier: number; shift: number },
    { multiplier: number; shift: number },
  ]
  if (my.shift > 0) throw new Unsupported('an output scale that is 2^15 times smaller than an input’s')
  const numbers = {
    aMultiplier: ma.multiplier,
    aShift: ma.shift,
    bMultiplier: sign * mb.multiplier,
    bShift: mb.shift,
    multiplier: my.multiplier,
    shift: my.shift,
  }
  const sum: Pairs = { kind: PAIRS16_ADD, numbers, limits }
  const { shape } = cx.output()
  if (sign < 0 || `${cx.input(0).shape}` !== `${shape}` || `${cx.input(1).shape}` !== `${shape}`) {
    emit(cx, sum)
    return
  }
  // The reference's vector code, which takes tensors of one shape in blocks of 16, rounds operands once less.
  const n = elements(shape)
  const whole = n - (n % 16)
  if (whole) emit(cx, { ...sum, kind: PAIRS16_ADD_SAME, part: [0, whole] })
  if (n > whole) emit(cx, { ...sum, part: [whole, n] })
}

export function lowerMul16(cx: Context): void {
  const { a, b, y, limits } = scalesOf(cx)
  emit(cx, { kind: PAIRS16_MUL, numbers: { ...quantizeMultiplier(f32(f32(a * b) / y)) }, limits })
}

export function lowerDiv16(cx: Context): void {
  const { a, b, y, limits } = scalesOf(cx)
  emit(cx, { kind: PAIRS16_DIV, numbers: { ...quantizeMultiplier(f32(a / f32(b * y))) }, limits })
}

/** Of stored values, whatever the quantization says. */
const stored =
  (kind: number) =>
  (cx: Context): void => {
    for (const t of [cx.input(0), cx.input(1), cx.output()]) {
      if (t.dtype !== 'int16') throw new Unsupported(`int16 together with ${t.dtype} tensor "${t.name}"`)
    }
    emit(cx, { kind })
  }

export const lowerMaximum16 = stored(PAIRS16_MAXIMUM)
export const lowerMinimum16 = stored(PAIRS16_MINIMUM)
export const lowerFloorDiv16 = stored(PAIRS16_FLOOR_DIV)
export const lowerFloorMod16 = stored(PAIRS16_FLOOR_MOD)
