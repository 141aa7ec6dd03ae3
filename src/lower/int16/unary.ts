/** One int16 operand, element by element; QUANTIZE and DEQUANTIZE from and to int16; SOFTMAX. */
import {
  OP_SOFTMAX16,
  OP_SOFTMAX8_16,
  OP_UNARY16,
  TYPE_FLOAT32,
  TYPE_INT16,
  TYPE_INT32,
  TYPE_INT8,
  UNARY16_FROM_FLOAT,
  UNARY16_LOGISTIC,
  UNARY16_LOGISTIC_FIXED,
  UNARY16_LOOKUP,
  UNARY16_RESCALE,
  UNARY16_SQRT,
  UNARY16_TANH,
  UNARY16_TANH_FIXED,
  UNARY16_TO_FLOAT,
} from '../../generated/layout.ts'
import { elements, type DType, type OpOf } from '../../graph/graph.ts'
import { activationBoundsBuiltin, exp, expf, f32, quantizeMultiplier, rha } from '../../arithmetic/numerics.ts'
import { logf } from '../../arithmetic/libm.ts'
import { type Context, Unsupported } from '../context.ts'
import { present, rowwise, type Buffer } from '../program.ts'
import { softmaxTable } from '../reduce.ts'
import { approximateGelu, gelu } from '../unary.ts'
import { grid, HIGH, LOW, params16, scale16 } from './common.ts'
import { powerOf } from './pairs.ts'

const TYPES: Partial<Record<DType, number>> = {
  int8: TYPE_INT8,
  uint8: TYPE_INT8,
  int16: TYPE_INT16,
  int32: TYPE_INT32,
  float32: TYPE_FLOAT32,
}

function emit(cx: Context, kind: number, numbers: Record<string, number>, table?: Buffer): void {
  const x = cx.plain(cx.value(0))
  const out = cx.output()
  cx.expectShape(out, x.tensor.shape)
  const [from, to] = [TYPES[x.tensor.dtype], TYPES[out.dtype]]
  if (from === undefined || to === undefined) throw new Unsupported(`${x.tensor.dtype} to ${out.dtype}`)
  const y = cx.result()
  y.alias = true
  cx.push({
    record: 'Unary16Record',
    op: OP_UNARY16,
    kernel: `${cx.op.type.toLowerCase().replaceAll('_', '-')}-int16`,
    rows: rowwise(1),
    reads: present(x.buffer, table),
    writes: [y.buffer],
    fields: () => ({
      kind,
      input: x.address(),
      output: y.address(),
      count: elements(out.shape),
      from,
      to,
      inputZeroPoint: 0,
      outputZeroPoint: 0,
      multiplier: 0,
      shift: 0,
      below: 0,
      belowShift: 0,
      low: LOW,
      high: HIGH,
      scale: 0,
      outputScale: 0,
      table: table?.address ?? 0,
      ...numbers,
    }),
  })
}

type Multiplier = ReturnType<typeof quantizeMultiplier>

const rescale = (m: Multiplier, below: Multiplier = m): Record<string, number> => ({
  multiplier: m.multiplier,
  shift: m.shift,
  below: below.multiplier,
  belowShift: below.shift,
})

const scales = (cx: Context): { x: number; y: number } => ({
  x: scale16(cx, cx.input(0)),
  y: scale16(cx, cx.output()),
})

export function lowerRelu16(cx: Context): void {
  const { x, y } = scales(cx)
  const [low, high] = activationBoundsBuiltin(cx.op.type as 'RELU' | 'RELU6', params16(y))
  emit(cx, UNARY16_RESCALE, { ...rescale(quantizeMultiplier(f32(x / y))), low, high })
}

export function lowerLeakyRelu16(cx: Context): void {
  const { alpha } = (cx.op as OpOf<'LEAKY_RELU'>).attrs
  const { x, y } = scales(cx)
  emit(cx, UNARY16_RESCALE, rescale(quantizeMultiplier(f32(x / y)), quantizeMultiplier(f32(f32(x * f32(alpha)) / y))))
}

export function lowerAbs16(cx: Context): void {
  const { x, y } = scales(cx)
  const m = x === y ? { multiplier: 2 ** 30, shift: 1 } : quantizeMultiplier(f32(x / y))
  emit(cx, UNARY16_RESCALE, rescale(m, { ...m, multiplier: -m.multiplier }))
}

/** The stored value, negated, whatever the quantization says; the least stays what it is. */
export function lowerNeg16(cx: Context): void {
  emit(cx, UNARY16_RESCALE, { ...rescale({ multiplier: -(2 ** 30), shift: 1 }), low: -(2 ** 31), high: 2 ** 31 - 1 })
}

/**
 * Source: TFLite LUTPopulate on int16. `real`: the function on float32 (or, with `round` the identity, float64)
 * numbers.
 */
function lookup(
  input: { scale: number; zeroPoint: number },
  output: number,
  real: (x: number) => number,
  round: (x: number) => number = f32,
): Int16Array {
  const least = round(input.scale * (LOW - input.zeroPoint))
  const most = round(input.scale * (HIGH - input.zeroPoint))
  const step = round(round(most - least) / 512)
  const half = round(step / 2)
  const inverse = round(65536 / round(round(output * HIGH) - round(output * LOW)))
  const limited = (v: number): number => Math.min(Math.max(v, LOW), HIGH)
  const table = new Int16Array(513)
  for (let i = 0; i < 512; i++) {
    const at = round(least + round(i * step))
    const sample = rha(round(real(at) * inverse))
    const middle = rha(round(real(round(at + half)) * inverse))
    const next = round(real(round(least + round((i + 1) * step))) * inverse)
    const between = rha(round(round(next + sample) / 2))
    table[i] = limited(round(sample - rha(round(round(between - middle) / 2))))
  }
  table[512] = limited(rha(round(real(most) * inverse)))
  return table
}

function lowerLookup(cx: Context, real: (x: number) => number): void {
  const { x, y } = scales(cx)
  const table = lookup({ scale: x, zeroPoint: 0 }, y, real)
  emit(cx, UNARY16_LOOKUP, {}, cx.buffers.constant(`${cx.output().name} table`, table))
}

export const lowerExp16 = (cx: Context): void => lowerLookup(cx, expf)

export function lowerLog16(cx: Context): void {
  const least = f32(LOW * scale16(cx, cx.output()))
  lowerLookup(cx, (x) => (x <= 0 ? least : logf(x)))
}

/** Roots of negative values, where LiteRT stops, count as those of 0. */
export function lowerRsqrt16(cx: Context): void {
  const most = f32(HIGH * scale16(cx, cx.output()))
  lowerLookup(cx, (x) => (x <= 0 ? most : f32(1 / f32(Math.sqrt(x)))))
}

/** Roots of negative values, where LiteRT stops, are 0. */
export function lowerSqrt16(cx: Context): void {
  const { x, y } = scales(cx)
  emit(cx, UNARY16_SQRT, { scale: x, outputScale: y })
}

export const lowerGelu16 = (cx: Context): void =>
  lowerLookup(cx, (cx.op as OpOf<'GELU'>).attrs.approximate ? approximateGelu : gelu)

/** Where the entries of LiteRT's table of logistic(i / 24) are one more than the nearest integer. */
const RAISED = [
  4, 8, 12, 14, 15, 16, 17, 19, 20, 21, 22, 25, 27, 28, 29, 30, 31, 33, 34, 35, 37, 39, 40, 41, 43, 44, 45, 46, 49, 50,
  54, 62, 63, 64, 66, 82, 86, 93, 100, 103, 112, 116, 135, 255,
]

/** 2^16 * logistic(i / 24). */
function logisticTable(cx: Context): Buffer {
  const table = new Int16Array(256)
  for (let i = 0; i < 256; i++) table[i] = Math.round(65536 / (1 + exp(-i / 24))) + Number(RAISED.includes(i))
  return cx.buffers.constant('logistic table', table)
}

/** The multiplier that brings a scale to 1/12288, and how far it is shifted. */
function toTwelfths(scale: number): { multiplier: number; shift: number } {
  let m = scale * 4096 * 3
  let shift = 0
  while (m <= 32767 / 2 && shift <= 30) {
    shift++
    m *= 2
  }
  return { multiplier: Math.trunc(m), shift }
}

function lowerSigmoid(cx: Context, general: number, fixed: number, shifts: readonly number[]): void {
  const { x, y } = scales(cx)
  if (powerOf(y) !== -15 || (cx.op.type === 'LOGISTIC' && y !== 2 ** -15)) {
    throw cx.fail('lower/quantization', 'output scale', cx.output(), { expected: 1 / 32768, got: y })
  }
  const power = powerOf(x)
  const shift = power === undefined ? -1 : 12 + power
  if (shifts.includes(shift)) {
    emit(cx, fixed, { shift })
    return
  }
  const { multiplier, shift: right } = toTwelfths(x)
  if (multiplier > 65535) throw new Unsupported('an input scale above 5')
  emit(cx, general, { multiplier, shift: right }, logisticTable(cx))
}

export const lowerLogistic16 = (cx: Context): void => lowerSigmoid(cx, UNARY16_LOGISTIC, UNARY16_LOGISTIC_FIXED, [0])
export const lowerTanh16 = (cx: Context): void => lowerSigmoid(cx, UNARY16_TANH, UNARY16_TANH_FIXED, [0, 1])

/** Zero point as kernels see it. */
const zeroOf = (dtype: DType, zeroPoint: number): number => (dtype === 'uint8' ? zeroPoint - 128 : zeroPoint)

const LIMITS: Partial<Record<DType, [number, number]>> = {
  int8: [-128, 127],
  uint8: [-128, 127],
  int16: [LOW, HIGH],
  int32: [-(2 ** 31), 2 ** 31 - 1],
}

export function lowerQuantize16(cx: Context): void {
  const from = cx.input(0)
  const to = cx.output()
  const y = grid(cx, to)
  if (from.dtype === 'float32') {
    emit(cx, UNARY16_FROM_FLOAT, { scale: f32(1 / y.scale), outputScale: y.scale, outputZeroPoint: y.zeroPoint })
    return
  }
  const x = grid(cx, from)
  if (from.dtype === 'int16' && to.dtype === 'uint8') throw new Unsupported('int16 to uint8')
  const [low, high] = LIMITS[to.dtype] ?? [LOW, HIGH]
  emit(cx, UNARY16_RESCALE, {
    ...rescale(quantizeMultiplier(x.scale / y.scale)),
    inputZeroPoint: zeroOf(from.dtype, x.zeroPoint),
    outputZeroPoint: zeroOf(to.dtype, y.zeroPoint),
    low,
    high,
  })
}

export function lowerDequantize16(cx: Context): void {
  if (cx.output().dtype !== 'float32') throw new Unsupported(`DEQUANTIZE to ${cx.output().dtype}`)
  emit(cx, UNARY16_TO_FLOAT, { scale: scale16(cx, cx.input(0)) })
}

/** Tables that are the same for every softmax. Source: TFLite SoftmaxPrepare. */
function softmaxTables(cx: Context): { exponentials: Buffer; reciprocals: Buffer } {
  const exact = (x: number): number => x
  return {
    exponentials: cx.buffers.constant(
      'softmax exponentials',
      lookup({ scale: 10 / 65535, zeroPoint: HIGH }, 2 / 65535, exp, exact),
    ),
    reciprocals: cx.buffers.constant(
      'softmax reciprocals',
      lookup({ scale: 1 / 65535, zeroPoint: LOW }, 2 / 65535, (x) => 1 / (1 + x), exact),
    ),
  }
}

/** Of an 8-bit tensor: in floats, to the whole range of int16. */
function lowerSoftmaxWide(cx: Context): void {
  const { beta } = (cx.op as OpOf<'SOFTMAX'>).attrs
  const x = cx.plain(cx.value(0))
  const { shape } = x.tensor
  const out = cx.output()
  const p = out.quantization
  cx.expectShape(out, shape)
  if (!p || p.zeroPoints[0] !== LOW || Math.abs(p.scales[0]! - 1 / 65536) > 0.001 / 65536) {
    throw cx.fail('lower/quantization', 'output scale and zero point', out, {
      expected: `1/65536, ${LOW}`,
      got: `${p?.scales[0]}, ${p?.zeroPoints[0]}`,
    })
  }
  if (!(beta > 0)) throw cx.fail('lower/attribute', 'beta must be positive', undefined, { expected: '> 0', got: beta })
  const depth = shape.at(-1) ?? 1
  const table = softmaxTable(cx, cx.q(x.tensor).scale, beta)
  const outScale = p.scales[0]!
  const y = cx.result()
  y.alias = true
  cx.push({
    record: 'SoftmaxRecord',
    op: OP_SOFTMAX8_16,
    kernel: 'softmax-int16',
    rows: rowwise(elements(shape) / depth),
    reads: [x.buffer, table],
    writes: [y.buffer],
    fields: () => ({
      input: x.address(),
      output: y.address(),
      depth,
      table: table.address,
      outScale,
      outputZeroPoint: LOW,
      unsigned: 0,
      xor: 0,
    }),
  })
}

export function lowerSoftmax16(cx: Context): void {
  const { beta } = (cx.op as OpOf<'SOFTMAX'>).attrs
  const x = cx.plain(cx.value(0))
  const { shape, dtype } = x.tensor
  if (dtype === 'int8' || dtype === 'uint8') return lowerSoftmaxWide(cx)
  const out = cx.output()
  cx.expectShape(out, shape)
  const scale = scale16(cx, out)
  if (Math.abs(scale - 1 / 32768) > 0.001 / 32768) {
    throw cx.fail('lower/quantization', 'output scale', out, { expected: 1 / 32768, got: scale })
  }
  if (!(beta > 0)) throw cx.fail('lower/attribute', 'beta must be positive', undefined, { expected: '> 0', got: beta })
  const m = quantizeMultiplier(f32(scale16(cx, x.tensor) * f32(beta)) / (10 / 65535))
  const depth = shape.at(-1) ?? 1
  const { exponentials, reciprocals } = softmaxTables(cx)
  const y = cx.result()
  y.alias = true
  cx.push({
    record: 'Softmax16Record',
    op: OP_SOFTMAX16,
    kernel: 'softmax-int16',
    rows: rowwise(elements(shape) / depth),
    reads: [x.buffer, exponentials, reciprocals],
    writes: [y.buffer],
    fields: () => ({
      input: x.address(),
      output: y.address(),
      depth,
      multiplier: m.multiplier,
      shift: m.shift,
      exponentials: exponentials.address,
      reciprocals: reciprocals.address,
    }),
  })
}
