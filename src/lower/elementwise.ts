/** Element by element: the unary ops as 256-entry tables, QUANTIZE, DEQUANTIZE. */
import { OP_CHANNEL_LUT, OP_LUT, OP_QUANTIZE } from '../generated/layout.ts'
import { elements, type OpOf } from '../graph/graph.ts'
import {
  activationBoundsBuiltin,
  clamp,
  f32,
  logistic,
  multiplyHalfAway,
  multiplyHalfUp,
  quantizeMultiplier,
  rha,
  rne,
  tanhf,
} from '../arithmetic/numerics.ts'
import { type Context, Unsupported, type Q } from './context.ts'
import { lowerLine, quantizedTable } from './floats.ts'
import { compose, functionOf, source } from './functions.ts'
import { rowwise, type Value } from './program.ts'

/** fn maps a raw input value to a raw output value; the table is indexed by the kernel-domain byte as unsigned. */
export function table(x: Q, y: Q, fn: (q: number) => number): Int8Array {
  const out = new Int8Array(256)
  for (let byte = 0; byte < 256; byte++) {
    const raw = ((byte << 24) >> 24) + x.shift
    out[byte] = clamp(fn(raw), y.low, y.high) - y.shift
  }
  return out
}

/** Where `rows` rows of x are read and those of y written, `skip` bytes in. */
const rowFields = (
  x: Value,
  y: Value,
  rows: number,
  skip = 0,
): Record<'input' | 'inRowStride' | 'inRing' | 'output' | 'outRowStride' | 'outRing', number> => ({
  input: x.address() + skip,
  inRowStride: x.rowStride,
  inRing: x.n > 1 ? rows : x.ringRows,
  output: y.address() + skip,
  outRowStride: y.rowStride,
  outRing: y.n > 1 ? rows : y.ringRows,
})

/** A table look-up, byte by byte. */
interface Lut {
  from: Value
  to: Value
  lut: Int8Array
  kernel: string
  /** Default: all bytes. */
  part?: { skip: number; bytes: number }
}

/** Whole values stream by rows, and are read from what they are a function of where nobody else needs them. */
export function emitLut(cx: Context, { from, to: y, lut, kernel, part }: Lut): void {
  const { of: x, table: composed } = part ? { of: from, table: lut } : source(cx, from, lut)
  if (!part) cx.functions.set(y, compose(functionOf(cx, from), lut))
  const table = cx.buffers.constant(`${kernel} table`, composed)
  const streams = !part && x.n === 1
  const rows = part ? 1 : x.n * x.h
  cx.push({
    record: 'LutRecord',
    op: OP_LUT,
    kernel,
    rows: rowwise(rows),
    reads: [x.buffer, table],
    writes: [y.buffer],
    stream: streams ? { from: x, to: y, order: 'element' } : undefined,
    fields: () => ({ ...rowFields(x, y, rows, part?.skip), bytes: part?.bytes ?? x.rowBytes, table: table.address }),
  })
}

export function unary(cx: Context, fn: (x: Q, y: Q, rawIn: number) => number): void {
  const x = cx.value(0)
  const xq = cx.q(x.tensor)
  const out = cx.output()
  const yq = cx.q(out)
  if (x.tensor.dtype !== out.dtype) throw new Unsupported(`${x.tensor.dtype} to ${out.dtype}`)
  cx.expectShape(out, x.tensor.shape)
  emitLut(cx, {
    from: x,
    to: cx.result(),
    lut: table(xq, yq, (q) => fn(xq, yq, q)),
    kernel: cx.op.type.toLowerCase().replaceAll('_', '-'),
  })
}

/** XNNPACK's float-to-8-bit step of its look-up tables. */
export const toTable = (y: number, q: Q): number => rne(f32(f32(y * f32(1 / q.scale)) + q.zeroPoint))
/** The real number that a raw value stands for. */
export const real = (x: Q, q: number): number => f32(f32(q - x.zeroPoint) * x.scale)

function fixedOutput(cx: Context): void {
  const q = cx.q(cx.output())
  if (q.scale !== f32(1 / 256)) {
    throw cx.fail('lower/quantization', 'output scale must be 1/256', cx.output(), { expected: 1 / 256, got: q.scale })
  }
}

export function lowerLogistic(cx: Context): void {
  fixedOutput(cx)
  unary(cx, (x, y, q) => toTable(logistic(real(x, q)), y))
}

export const lowerTanh = (cx: Context): void => unary(cx, (x, y, q) => toTable(tanhf(real(x, q)), y))

/** Standalone RELU, RELU6, RELU_N1_TO_1: rescale and clamp as TFLite's builtin kernels. */
export function lowerRelu(cx: Context): void {
  const activation = cx.op.type as 'RELU' | 'RELU6' | 'RELU_N1_TO_1'
  const x = cx.q(cx.input(0))
  const y = cx.q(cx.output())
  const { multiplier, shift } = quantizeMultiplier(f32(x.scale / y.scale))
  const [low, high] = activationBoundsBuiltin(activation, y)
  unary(cx, (_, __, q) => clamp(multiplyHalfAway(q - x.zeroPoint, multiplier, shift) + y.zeroPoint, low, high))
}

export function lowerLeakyRelu(cx: Context): void {
  const { alpha } = (cx.op as OpOf<'LEAKY_RELU'>).attrs
  if (!(Math.abs(alpha) <= 1e3)) {
    throw cx.fail('lower/attribute', 'alpha is out of range', undefined, { expected: '-1000..1000', got: alpha })
  }
  const x = cx.q(cx.input(0))
  const y = cx.q(cx.output())
  const positive = f32(x.scale / y.scale)
  const negative = f32(positive * f32(alpha))
  const xnn =
    positive >= f32(1 / 256) &&
    positive <= 128 &&
    negative >= -127.99609375 &&
    negative <= 128 &&
    Math.abs(negative) >= f32(1 / 256)
  if (xnn) {
    const mp = rne(f32(256 * positive))
    const mn = rne(f32(256 * negative))
    unary(cx, (_, __, q) => {
      const d = q - x.zeroPoint
      return ((d * (d > 0 ? mp : mn) + 128) >> 8) + y.zeroPoint
    })
    return
  }
  const identity = quantizeMultiplier(positive)
  const slope = quantizeMultiplier(f32(f32(x.scale * f32(alpha)) / y.scale))
  unary(cx, (_, __, q) => {
    const d = q - x.zeroPoint
    const r =
      d >= 0
        ? multiplyHalfAway(d, identity.multiplier, identity.shift)
        : Math.sign(slope.multiplier) * multiplyHalfAway(d, Math.abs(slope.multiplier), slope.shift)
    return r + y.zeroPoint
  })
}

/** Every byte of x through the table of its channel; `byChannel`: where that begins, in bytes. */
export function emitChannelLut(
  cx: Context,
  x: Value,
  y: Value,
  { tables, byChannel }: { tables: Int8Array; byChannel: Int32Array },
): void {
  const table = cx.buffers.constant('slopes', tables)
  const offsets = cx.buffers.constant('slopes by channel', byChannel)
  const channels = byChannel.length
  const rows = x.n * x.h
  cx.push({
    record: 'ChannelLutRecord',
    op: OP_CHANNEL_LUT,
    kernel: 'prelu',
    rows: rowwise(rows),
    reads: [x.buffer, table, offsets],
    writes: [y.buffer],
    stream: x.n === 1 ? { from: x, to: y, order: 'element' } : undefined,
    fields: () => ({
      ...rowFields(x, y, rows),
      pixels: x.rowBytes / channels,
      channels,
      table: table.address,
      offsets: offsets.address,
    }),
  })
}

/** Source: TFLite's integer hard-swish (int16 fixed point). */
export function lowerHardSwish(cx: Context): void {
  const x = cx.q(cx.input(0))
  const y = cx.q(cx.output())
  const step = f32(x.scale / 128)
  const out = quantizeMultiplier(f32(step / y.scale))
  const relu = quantizeMultiplier(f32(step / f32(3 / 32768)))
  if (out.shift > 0) throw cx.fail('lower/quantization', 'output scale is too small for hard-swish', cx.output())
  const sat16 = (v: number): number => clamp(v, -32768, 32767)
  const to16 = (m: number): number => (m >= 2 ** 31 - 1 - 2 ** 15 ? 32767 : Math.floor((m + 2 ** 15) / 65536))
  const doubling = (a: number, b: number): number =>
    a === -32768 && b === -32768 ? 32767 : Math.trunc((a * b + (a * b >= 0 ? 16384 : 1 - 16384)) / 32768)
  const shiftRight = (v: number, r: number): number => {
    const mask = 2 ** r - 1
    return (v >> r) + Number((v & mask) > (mask >> 1) + Number(v < 0))
  }
  unary(cx, (_, __, q) => {
    const v = (q - x.zeroPoint) * 128
    const pre = doubling(v, to16(out.multiplier))
    let t = v
    if (relu.shift > 0) t = sat16(t * 2 ** (relu.shift - 1))
    t = doubling(t, to16(relu.multiplier))
    if (relu.shift > 0) t = sat16(t * 2)
    if (relu.shift < 0) t = shiftRight(t, -relu.shift)
    t = (t + 32768) >> 1
    return shiftRight(Math.trunc((t * pre) / 32768), -out.shift) + y.zeroPoint
  })
}

export function lowerQuantize(cx: Context): void {
  const t = cx.input(0)
  const out = cx.output()
  const y = cx.q(out)
  cx.expectShape(out, t.shape)
  const tabular = cx.tabular.get(cx.op.inputs[0]!)
  if (tabular) {
    emitLut(cx, { from: tabular.x, to: cx.result(), lut: quantizedTable(tabular, y), kernel: 'requantize' })
    return
  }
  const x = cx.value(0)
  if (t.dtype === 'float32') {
    const to = cx.result()
    const count = elements(t.shape)
    cx.plain(x)
    to.alias = true
    cx.push({
      record: 'QuantizeRecord',
      op: OP_QUANTIZE,
      kernel: 'quantize',
      rows: rowwise(1),
      reads: [x.buffer],
      writes: [to.buffer],
      fields: () => ({
        input: x.address(),
        output: to.address(),
        count,
        zeroPoint: y.zero,
        inverseScale: f32(1 / y.scale),
      }),
    })
    return
  }
  const xq = cx.q(t)
  const ratio = f32(xq.scale / y.scale)
  if (t.dtype === out.dtype && ratio >= f32(1 / 256) && ratio <= 128) {
    const m = rne(f32(256 * ratio))
    emitLut(cx, {
      from: x,
      to: cx.result(),
      lut: table(xq, y, (q) => (((q - xq.zeroPoint) * m + 128) >> 8) + y.zeroPoint),
      kernel: 'requantize',
    })
    return
  }
  if (xq.scale === y.scale && xq.zero === y.zero) {
    // int8 and uint8 of the same real values: the same bytes in the kernels' domain.
    cx.alias(0, x)
    return
  }
  const { multiplier, shift } = quantizeMultiplier(xq.scale / y.scale)
  const block = table(xq, y, (q) => multiplyHalfUp(q - xq.zeroPoint, multiplier, shift) + y.zeroPoint)
  const tail = table(xq, y, (q) => multiplyHalfAway(q - xq.zeroPoint, multiplier, shift) + y.zeroPoint)
  const to = cx.result()
  if (block.every((v, i) => v === tail[i])) {
    emitLut(cx, { from: x, to, lut: block, kernel: 'requantize' })
    return
  }
  // The reference's vector code handles whole blocks of 16 with another rounding of negative ties.
  const n = elements(t.shape)
  const whole = n - (n % 16)
  cx.plain(x)
  to.alias = true
  const blocks = { skip: 0, bytes: whole }
  const rest = { skip: whole, bytes: n - whole }
  if (whole) emitLut(cx, { from: x, to, lut: block, kernel: 'requantize', part: blocks })
  if (n > whole) emitLut(cx, { from: x, to, lut: tail, kernel: 'requantize', part: rest })
}

export function lowerDequantize(cx: Context): void {
  const x = cx.value(0)
  const q = cx.q(x.tensor)
  const out = cx.output()
  if (out.dtype !== 'float32') throw new Unsupported(`DEQUANTIZE to ${out.dtype}`)
  cx.expectShape(out, x.tensor.shape)
  lowerLine(cx, x, q.zero, q.scale)
}

/** Concatenation's requantization of a uint8 input. */
export const concatTable = (x: Q, y: Q): Int8Array => {
  const inverse = f32(1 / y.scale)
  const k = f32(x.scale * inverse)
  const bias = f32(f32(-x.zeroPoint) * k)
  return table(x, y, (q) => rha(f32(f32(q * k) + bias)) + y.zeroPoint)
}
