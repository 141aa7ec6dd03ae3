/** Element by element: ADD, SUB, MUL, the unary ops as 256-entry tables, QUANTIZE, DEQUANTIZE. */
import { OP_BINARY, OP_DEQUANTIZE, OP_LUT, OP_QUANTIZE } from '../generated/layout.ts'
import { elements, type OpOf, type Tensor } from '../graph.ts'
import {
  activationBoundsBuiltin, activationBoundsXnn, clamp, f32, logistic, multiplyHalfAway, multiplyHalfUp, quantizeMultiplier,
  rha, rne, tanhf
} from '../numerics.ts'
import { Context, shifted, Unsupported, type Q } from './context.ts'
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

/** Table look-up step over `rows` rows of `bytes` bytes starting `skip` bytes in; whole values stream by rows. */
function emitLut(cx: Context, x: Value, y: Value, lut: Int8Array, kernel: string, part?: { skip: number; bytes: number }): void {
  const table = cx.buffers.constant(`${kernel} table`, lut)
  const streams = !part && x.n === 1
  const rows = part ? 1 : x.n * x.h
  cx.push({
    record: 'LutRecord', op: OP_LUT, kernel, rows: rowwise(rows), reads: [x.buffer, table], writes: [y.buffer],
    stream: streams ? { from: x, to: y, order: 'element' } : undefined,
    fields: () => ({
      input: x.address() + (part?.skip ?? 0), inRowStride: x.rowStride, inRing: x.n > 1 ? rows : x.ringRows,
      output: y.address() + (part?.skip ?? 0), outRowStride: y.rowStride, outRing: y.n > 1 ? rows : y.ringRows,
      bytes: part?.bytes ?? x.rowBytes, table: table.address
    })
  })
}

function unary(cx: Context, fn: (x: Q, y: Q, rawIn: number) => number): void {
  const x = cx.value(0), xq = cx.q(x.tensor), out = cx.output(), yq = cx.q(out)
  if (x.tensor.dtype !== out.dtype) throw new Unsupported(`${x.tensor.dtype} to ${out.dtype}`)
  cx.expectShape(out, x.tensor.shape)
  emitLut(cx, x, cx.result(), table(xq, yq, q => fn(xq, yq, q)), cx.op.type.toLowerCase().replaceAll('_', '-'))
}

/** XNNPACK's float-to-8-bit step of its look-up tables. */
const toTable = (y: number, q: Q): number => rne(f32(f32(y * f32(1 / q.scale)) + q.zeroPoint))
const real = (x: Q, q: number): number => f32(f32(q - x.zeroPoint) * x.scale)

function fixedOutput(cx: Context): void {
  const q = cx.q(cx.output())
  if (q.scale !== f32(1 / 256)) throw cx.fail('lower/quantization', 'output scale must be 1/256', cx.output(), 1 / 256, q.scale)
}

export function lowerLogistic(cx: Context): void {
  fixedOutput(cx)
  unary(cx, (x, y, q) => toTable(logistic(real(x, q)), y))
}

export const lowerTanh = (cx: Context): void => unary(cx, (x, y, q) => toTable(tanhf(real(x, q)), y))

/** Standalone RELU, RELU6, RELU_N1_TO_1: rescale and clamp as TFLite's builtin kernels. */
export function lowerRelu(cx: Context): void {
  const activation = cx.op.type as 'RELU' | 'RELU6' | 'RELU_N1_TO_1'
  const x = cx.q(cx.input(0)), y = cx.q(cx.output())
  const { multiplier, shift } = quantizeMultiplier(f32(x.scale / y.scale))
  const [low, high] = activationBoundsBuiltin(activation, y)
  unary(cx, (_, __, q) => clamp(multiplyHalfAway(q - x.zeroPoint, multiplier, shift) + y.zeroPoint, low, high))
}

export function lowerLeakyRelu(cx: Context): void {
  const { alpha } = (cx.op as OpOf<'LEAKY_RELU'>).attrs
  if (!(Math.abs(alpha) <= 1e3)) throw cx.fail('lower/attribute', 'alpha is out of range', undefined, '-1000..1000', alpha)
  const x = cx.q(cx.input(0)), y = cx.q(cx.output())
  const positive = f32(x.scale / y.scale), negative = f32(positive * f32(alpha))
  const xnn = positive >= f32(1 / 256) && positive <= 128 && negative >= -127.99609375 && negative <= 128 && Math.abs(negative) >= f32(1 / 256)
  if (xnn) {
    const mp = rne(f32(256 * positive)), mn = rne(f32(256 * negative))
    unary(cx, (_, __, q) => {
      const d = q - x.zeroPoint
      return ((d * (d > 0 ? mp : mn) + 128) >> 8) + y.zeroPoint
    })
    return
  }
  const identity = quantizeMultiplier(positive), slope = quantizeMultiplier(f32(f32(x.scale * f32(alpha)) / y.scale))
  unary(cx, (_, __, q) => {
    const d = q - x.zeroPoint
    const r = d >= 0 ? multiplyHalfAway(d, identity.multiplier, identity.shift)
      : Math.sign(slope.multiplier) * multiplyHalfAway(d, Math.abs(slope.multiplier), slope.shift)
    return r + y.zeroPoint
  })
}

/** Source: TFLite's integer hard-swish (int16 fixed point). */
export function lowerHardSwish(cx: Context): void {
  const x = cx.q(cx.input(0)), y = cx.q(cx.output())
  const step = f32(x.scale / 128)
  const out = quantizeMultiplier(f32(step / y.scale)), relu = quantizeMultiplier(f32(step / f32(3 / 32768)))
  if (out.shift > 0) throw cx.fail('lower/quantization', 'output scale is too small for hard-swish', cx.output())
  const sat16 = (v: number): number => clamp(v, -32768, 32767)
  const to16 = (m: number): number => m >= 2 ** 31 - 1 - 2 ** 15 ? 32767 : Math.floor((m + 2 ** 15) / 65536)
  const doubling = (a: number, b: number): number => a === -32768 && b === -32768 ? 32767 : Math.trunc((a * b + (a * b >= 0 ? 16384 : 1 - 16384)) / 32768)
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
    return shiftRight(Math.trunc(t * pre / 32768), -out.shift) + y.zeroPoint
  })
}

export function lowerQuantize(cx: Context): void {
  const t = cx.input(0), out = cx.output(), y = cx.q(out)
  cx.expectShape(out, t.shape)
  const x = cx.value(0)
  if (t.dtype === 'float32') {
    const to = cx.result(), count = elements(t.shape)
    cx.plain(x)
    to.alias = true
    cx.push({
      record: 'QuantizeRecord', op: OP_QUANTIZE, kernel: 'quantize', rows: rowwise(1), reads: [x.buffer], writes: [to.buffer],
      fields: () => ({ input: x.address(), output: to.address(), count, zeroPoint: y.zero, inverseScale: f32(1 / y.scale) })
    })
    return
  }
  const xq = cx.q(t), ratio = f32(xq.scale / y.scale)
  if (t.dtype === out.dtype && ratio >= f32(1 / 256) && ratio <= 128) {
    const m = rne(f32(256 * ratio))
    emitLut(cx, x, cx.result(), table(xq, y, q => (((q - xq.zeroPoint) * m + 128) >> 8) + y.zeroPoint), 'requantize')
    return
  }
  if (xq.scale === y.scale && xq.zero === y.zero) {
    // int8 and uint8 of the same real values: the same bytes in the kernels' domain.
    cx.alias(0, x)
    return
  }
  const { multiplier, shift } = quantizeMultiplier(xq.scale / y.scale)
  const block = table(xq, y, q => multiplyHalfUp(q - xq.zeroPoint, multiplier, shift) + y.zeroPoint)
  const tail = table(xq, y, q => multiplyHalfAway(q - xq.zeroPoint, multiplier, shift) + y.zeroPoint)
  const to = cx.result()
  if (block.every((v, i) => v === tail[i])) {
    emitLut(cx, x, to, block, 'requantize')
    return
  }
  // The reference's vector code handles whole blocks of 16 with another rounding of negative ties.
  const n = elements(t.shape), whole = n - (n % 16)
  cx.plain(x)
  to.alias = true
  if (whole) emitLut(cx, x, to, block, 'requantize', { skip: 0, bytes: whole })
  if (n > whole) emitLut(cx, x, to, tail, 'requantize', { skip: whole, bytes: n - whole })
}

export function lowerDequantize(cx: Context): void {
  const x = cx.value(0), q = cx.q(x.tensor), out = cx.output()
  if (out.dtype !== 'float32') throw new Unsupported(`DEQUANTIZE to ${out.dtype}`)
  cx.expectShape(out, x.tensor.shape)
  const y = cx.result(), count = elements(out.shape)
  cx.plain(x)
  cx.push({
    record: 'DequantizeRecord', op: OP_DEQUANTIZE, kernel: 'dequantize', rows: rowwise(1), reads: [x.buffer], writes: [y.buffer],
    fields: () => ({ input: x.address(), output: y.address(), count, zeroPoint: q.zero, scale: q.scale })
  })
}

interface Dim { size: number; a: number; b: number }

/** Broadcast dimensions, outermost first, merged where both operands run on. Strides in bytes. */
function broadcast(cx: Context, a: Tensor, b: Tensor, out: Tensor): Dim[] {
  const rank = out.shape.length
  const pad = (s: readonly number[]): number[] => [...Array<number>(Math.max(0, rank - s.length)).fill(1), ...s]
  const sa = pad(a.shape), sb = pad(b.shape)
  const dims: Dim[] = []
  let strideA = 1, strideB = 1
  for (let i = rank - 1; i >= 0; i--) {
    const size = out.shape[i]!
    if ((sa[i] !== size && sa[i] !== 1) || (sb[i] !== size && sb[i] !== 1) || sa.length > rank || sb.length > rank || size !== Math.max(sa[i]!, sb[i]!)) {
      throw cx.fail('lower/shape', 'shapes do not broadcast', out, `[${a.shape}] with [${b.shape}]`, `[${out.shape}]`)
    }
    dims.unshift({ size, a: sa[i] === 1 ? 0 : strideA, b: sb[i] === 1 ? 0 : strideB })
    strideA *= sa[i]!
    strideB *= sb[i]!
  }
  return dims
}

function merge(dims: Dim[]): Dim[] {
  const out: Dim[] = []
  for (const d of dims) {
    if (d.size === 1) continue
    const p = out[out.length - 1]
    if (p && p.a === d.a * d.size && p.b === d.b * d.size) out[out.length - 1] = { size: p.size * d.size, a: d.a, b: d.b }
    else out.push(d)
  }
  return out
}

/** A shape without its leading ones, as text. */
const trimmed = (shape: readonly number[]): string => shape.slice(Math.max(0, shape.findIndex(d => d !== 1))).join()

interface BinaryArithmetic { kind: number; limits: [number, number]; numbers: Record<string, number>; swappable: boolean }

function addArithmetic(cx: Context, a: Q, b: Q, y: Q, sign: number, equalShapes: boolean, count: number): BinaryArithmetic {
  const { activation } = (cx.op as OpOf<'ADD'>).attrs
  const ra = f32(a.scale / y.scale), rb = f32(b.scale / y.scale)
  const inRange = (r: number): boolean => r >= f32(1 / 1024) && r < 256
  if (inRange(ra) && inRange(rb)) {
    const shift = 20 - Math.floor(Math.log2(Math.max(ra, rb)))
    const ma = rne(ra * 2 ** shift), mb = sign * rne(rb * 2 ** shift)
    const rounding = (2 ** (shift - 1) - a.zero * ma - b.zero * mb) | 0
    return { kind: 0, swappable: true, limits: activationBoundsXnn(activation, y), numbers: { aMultiplier: ma, bMultiplier: mb, multiplier: rounding, shift } }
  }
  const twice = f32(2 * Math.max(a.scale, b.scale))
  const ma = quantizeMultiplier(a.scale / twice), mb = quantizeMultiplier(b.scale / twice)
  const mo = quantizeMultiplier(twice / f32(2 ** 20 * y.scale))
  const block = y.unsigned ? 8 : 16
  return {
    kind: 2, swappable: false, limits: activationBoundsBuiltin(activation, y), numbers: {
      aMultiplier: ma.multiplier, aShift: ma.shift, bMultiplier: sign * mb.multiplier, bShift: mb.shift, multiplier: mo.multiplier, shift: mo.shift,
      wrapElements: sign > 0 && equalShapes ? count - (count % block) : 0,
      // The wrap happens on the file's own values.
      outputZeroPoint: y.zeroPoint, minus: y.shift
    }
  }
}

function mulArithmetic(cx: Context, a: Q, b: Q, y: Q): BinaryArithmetic {
  const { activation } = (cx.op as OpOf<'MUL'>).attrs
  const scale = f32(f32(a.scale * b.scale) / y.scale)
  if (scale >= 2 ** -16 && scale < 256) return { kind: 1, swappable: true, limits: activationBoundsXnn(activation, y), numbers: { scale } }
  const m = quantizeMultiplier(scale)
  return { kind: 3, swappable: false, limits: activationBoundsBuiltin(activation, y), numbers: { multiplier: m.multiplier, shift: m.shift } }
}

/** MUL of a tensor with itself: XNNPACK makes it a square, one rounding less. */
function lowerSquare(cx: Context, x: Value, xq: Q, yq: Q): void {
  const [low, high] = activationBoundsXnn((cx.op as OpOf<'MUL'>).attrs.activation, yq)
  cx.expectShape(cx.output(), x.tensor.shape)
  emitLut(cx, x, cx.result(), table(xq, yq, q => {
    const v = real(xq, q)
    return clamp(toTable(f32(v * v), yq), low, high)
  }), 'square')
}

export function lowerBinary(cx: Context): void {
  const out = cx.output()
  let a = cx.value(0), b = cx.value(1)
  let aq = cx.q(a.tensor), bq = cx.q(b.tensor)
  const yq = cx.q(out)
  if (a.tensor.dtype !== out.dtype || b.tensor.dtype !== out.dtype) throw new Unsupported(`mixed ${a.tensor.dtype}, ${b.tensor.dtype} and ${out.dtype} tensors`)
  const dims = broadcast(cx, a.tensor, b.tensor, out)
  const equal = trimmed(a.tensor.shape) === trimmed(b.tensor.shape), count = elements(out.shape)
  if (cx.op.type === 'MUL' && cx.op.inputs[0] === cx.op.inputs[1]) {
    lowerSquare(cx, a, aq, yq)
    return
  }
  const arithmetic = cx.op.type === 'MUL' ? mulArithmetic(cx, aq, bq, yq) : addArithmetic(cx, aq, bq, yq, cx.op.type === 'SUB' ? -1 : 1, equal, count)
  // One image: rows of the image, so that the step can stream. Otherwise rows are the outermost merged dimension.
  const spatial = out.shape.length === 4 && out.shape[0] === 1
  const merged = merge(spatial ? dims.slice(2) : dims)
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
  if (!spatial) y.alias = true
  const [x1, x2] = [a, b]
  // Operands of a lower rank are one run of bytes that the row stride walks through.
  const rowsKept = (v: Value): number => spatial && v.tensor.shape.length === 4 ? v.ringRows : rowDim.size
  const streams = rowDim.a !== 0 && x1.n === 1 && x1.h === y.h && x1.rowBytes === y.rowBytes && (spatial || y.h === 1)
  cx.push({
    record: 'BinaryRecord', op: OP_BINARY, kernel: ['add', 'multiply', 'add-fixed-point', 'multiply-fixed-point'][arithmetic.kind]!,
    rows: rowwise(rowDim.size), reads: [a.buffer, b.buffer], writes: [y.buffer],
    stream: streams ? { from: a, to: y, order: 'element' } : undefined,
    side: equal ? b : undefined,
    fields: () => ({
      kind: arithmetic.kind,
      a: x1.address(), aRing: rowsKept(x1), aRowStride: rowDim.a, a1: d1.a, a2: d2.a, a3: d3.a,
      b: x2.address(), bRing: rowsKept(x2), bRowStride: rowDim.b, b1: d1.b, b2: d2.b, b3: d3.b,
      output: y.address(), outRing: spatial ? y.ringRows : rowDim.size, outRowStride: spatial ? y.rowStride : d1.size * d2.size * d3.size, d1: d1.size, d2: d2.size, d3: d3.size,
      aZeroPoint: aq.zero, bZeroPoint: bq.zero, outputZeroPoint: yq.zero,
      ...(arithmetic.kind === 2 ? { actMin: arithmetic.limits[0], actMax: arithmetic.limits[1] } : shifted(arithmetic.limits, yq)),
      aMultiplier: 0, aShift: 0, bMultiplier: 0, bShift: 0, multiplier: 0, shift: 0, wrapElements: 0, minus: 0, scale: 0, ...arithmetic.numbers
    })
  })
}

/** Concatenation's requantization of a uint8 input. */
export const concatTable = (x: Q, y: Q): Int8Array => {
  const inverse = f32(1 / y.scale), k = f32(x.scale * inverse), bias = f32(f32(-x.zeroPoint) * k)
  return table(x, y, q => rha(f32(f32(q * k) + bias)) + y.zeroPoint)
}
