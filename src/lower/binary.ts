/** ADD, SUB, MUL: which arithmetic, and how operands broadcast. */
import { OP_BINARY } from '../generated/layout.ts'
import { elements, type OpOf } from '../graph.ts'
import {
  activationBoundsBuiltin,
  activationBoundsXnn,
  clamp,
  f32,
  multiplyHalfAway,
  quantizeMultiplier,
  rne,
} from '../numerics.ts'
import { broadcast, merge, type Dim } from './broadcast.ts'
import { type ByteFunction, type Context, shifted, Unsupported, type Q } from './context.ts'
import { emitLut, real, table, toTable } from './elementwise.ts'
import { joinFunctions } from './functions.ts'
import { rowwise, type Value } from './program.ts'
import { lowerArithmetic } from './words.ts'

/** A shape without its leading ones, as text. */
const trimmed = (shape: readonly number[]): string =>
  shape
    .slice(
      Math.max(
        0,
        shape.findIndex((d) => d !== 1),
      ),
    )
    .join()

interface BinaryArithmetic {
  kind: number
  limits: [number, number]
  numbers: Record<string, number>
  swappable: boolean
}

function addArithmetic(
  cx: Context,
  a: Q,
  b: Q,
  y: Q,
  sign: number,
  equalShapes: boolean,
  count: number,
): BinaryArithmetic {
  const { activation } = (cx.op as OpOf<'ADD'>).attrs
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
      wrapElements: sign > 0 && equalShapes ? count - (count % block) : 0,
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
  emitLut(
    cx,
    x,
    cx.result(),
    table(xq, yq, (q) => {
      const v = real(xq, q)
      return clamp(toTable(f32(v * v), yq), low, high)
    }),
    'square',
  )
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

/** The one value of a constant that has the same everywhere, as kernels see it. */
function uniform({ tensor }: Value): number | undefined {
  const { data, dtype } = tensor
  const first = data?.[0]
  return first !== undefined && data!.every((v) => v === first)
    ? dtype === 'uint8'
      ? first - 128
      : (first << 24) >> 24
    : undefined
}

/**
 * Both operands as one table's worth: they are functions of the same tensor, or one is a single constant. Undefined
 * where they are not, or where products may not fit 32 bits.
 */
function asFunction(
  cx: Context,
  arithmetic: BinaryArithmetic,
  operands: readonly [Value, Value],
  quantizations: readonly [Q, Q],
  yq: Q,
): ByteFunction | undefined {
  const { kind, numbers } = arithmetic
  if (kind > 1 && (numbers.wrapElements || [numbers.shift, numbers.aShift, numbers.bShift].some((s) => s! > 0))) {
    return undefined
  }
  const constants = [uniform(operands[0]), uniform(operands[1])] as const
  const f = joinFunctions(cx, operands, constants, elementOf(arithmetic, ...quantizations, yq))
  return f && sameShape(f.of.tensor.shape, cx.output().shape) ? f : undefined
}

const sameShape = (a: readonly number[], b: readonly number[]): boolean => trimmed(a) === trimmed(b)

export function lowerBinary(cx: Context): void {
  const out = cx.output()
  if (out.dtype === 'int32' || out.dtype === 'float32') return lowerArithmetic(cx)
  let a = cx.value(0)
  let b = cx.value(1)
  let aq = cx.q(a.tensor)
  let bq = cx.q(b.tensor)
  const yq = cx.q(out)
  if (a.tensor.dtype !== out.dtype || b.tensor.dtype !== out.dtype) {
    throw new Unsupported(`mixed ${a.tensor.dtype}, ${b.tensor.dtype} and ${out.dtype} tensors`)
  }
  const dims = broadcast(cx, a.tensor, b.tensor, out)
  const equal = trimmed(a.tensor.shape) === trimmed(b.tensor.shape)
  const count = elements(out.shape)
  if (cx.op.type === 'MUL' && cx.op.inputs[0] === cx.op.inputs[1]) {
    lowerSquare(cx, a, aq, yq)
    return
  }
  const arithmetic =
    cx.op.type === 'MUL'
      ? mulArithmetic(cx, aq, bq, yq)
      : addArithmetic(cx, aq, bq, yq, cx.op.type === 'SUB' ? -1 : 1, equal, count)
  const f = asFunction(cx, arithmetic, [a, b], [aq, bq], yq)
  // Of a plain tensor and a constant the kernel's lanes are as fast where rows are long.
  const plain = f && (f.of === a || f.of === b) && (a.tensor.data ?? b.tensor.data)
  if (f && !(plain && arithmetic.kind < 2 && (out.shape[out.shape.length - 1] ?? 1) >= 8)) {
    emitLut(cx, f.of, cx.result(), f.table, cx.op.type.toLowerCase())
    return
  }
  // One image: rows of the image, so that the step can stream. Otherwise rows are the outermost merged dimension.
  const spatial = out.shape.length === 4 && out.shape[0] === 1
  const merged = merge(spatial ? dims.slice(2) : dims, ['a', 'b'])
  if (!spatial && merged.length > 4) throw new Unsupported('broadcast over more than four separate dimensions')
  const rowDim = spatial ? dims[1]! : merged.length > 3 ? merged.shift()! : { size: 1, a: 0, b: 0 }
  // The kernel wants operand a contiguous in the innermost dimension.
  const last = merged[merged.length - 1]
  if (last && last.a === 0 && last.b === 1 && arithmetic.swappable) {
    for (const d of [...merged, rowDim]) [d.a, d.b] = [d.b, d.a]
    ;[a, b] = [b, a]
    ;[aq, bq] = [bq, aq]
    const n = arithmetic.numbers
    if (arithmetic.kind === 0) [n.aMultiplier, n.bMultiplier] = [n.bMultiplier!, n.aMultiplier!]
  }
  while (merged.length < 3) merged.unshift({ size: 1, a: 0, b: 0 })
  const [d1, d2, d3] = merged as [Dim, Dim, Dim]
  cx.plain(a)
  cx.plain(b)
  const y = cx.result()
  if (f) cx.functions.set(y, f)
  if (!spatial) y.alias = true
  const [x1, x2] = [a, b]
  // Operands of a lower rank are one run of bytes that the row stride walks through.
  const rowsKept = (v: Value): number => (spatial && v.tensor.shape.length === 4 ? v.ringRows : rowDim.size)
  const streams = rowDim.a !== 0 && x1.n === 1 && x1.h === y.h && x1.rowBytes === y.rowBytes && (spatial || y.h === 1)
  cx.push({
    record: 'BinaryRecord',
    op: OP_BINARY,
    kernel: ['add', 'multiply', 'add-fixed-point', 'multiply-fixed-point'][arithmetic.kind]!,
    rows: rowwise(rowDim.size),
    reads: [a.buffer, b.buffer],
    writes: [y.buffer],
    stream: streams ? { from: a, to: y, order: 'element' } : undefined,
    side: equal ? b : undefined,
    fields: () => ({
      kind: arithmetic.kind,
      a: x1.address(),
      aRing: rowsKept(x1),
      aRowStride: rowDim.a,
      a1: d1.a,
      a2: d2.a,
      a3: d3.a,
      b: x2.address(),
      bRing: rowsKept(x2),
      bRowStride: rowDim.b,
      b1: d1.b,
      b2: d2.b,
      b3: d3.b,
      output: y.address(),
      outRing: spatial ? y.ringRows : rowDim.size,
      outRowStride: spatial ? y.rowStride : d1.size * d2.size * d3.size,
      d1: d1.size,
      d2: d2.size,
      d3: d3.size,
      aZeroPoint: aq.zero,
      bZeroPoint: bq.zero,
      outputZeroPoint: yq.zero,
      ...(arithmetic.kind === 2
        ? { actMin: arithmetic.limits[0], actMax: arithmetic.limits[1] }
        : shifted(arithmetic.limits, yq)),
      aMultiplier: 0,
      aShift: 0,
      bMultiplier: 0,
      bShift: 0,
      multiplier: 0,
      shift: 0,
      wrapElements: 0,
      minus: 0,
      scale: 0,
      ...arithmetic.numbers,
    }),
  })
}
