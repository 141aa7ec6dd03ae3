/** Comparisons, logic, SELECT, CAST and TOPK_V2: ops on elements of any type. */
import {
  COMPARE_AND,
  COMPARE_EQUAL,
  COMPARE_GREATER,
  COMPARE_GREATER_EQUAL,
  COMPARE_LESS,
  COMPARE_LESS_EQUAL,
  COMPARE_NOT_EQUAL,
  COMPARE_OR,
  OP_COMPARE,
  OP_CONVERT,
  OP_SELECT,
  OP_TOP_K,
  TYPE_BOOL,
  TYPE_FLOAT32,
  TYPE_INT16,
  TYPE_INT32,
  TYPE_INT64,
  TYPE_INT8,
  TYPE_UINT8,
} from '../generated/layout.ts'
import { dtypeBytes, elements, type DType, type OpOf, type OpType, type Tensor } from '../graph/graph.ts'
import { clamp, multiplyHalfAway, quantizeMultiplier } from '../arithmetic/numerics.ts'
import { merge, strides } from './broadcast.ts'
import { type Context, Unsupported } from './context.ts'
import { emitLut, table } from './elementwise.ts'
import { scale16 } from './int16/common.ts'
import { rowwise, Value } from './program.ts'
import { normalAxis } from './shape.ts'

const TYPES: Partial<Record<DType, number>> = {
  int8: TYPE_INT8,
  uint8: TYPE_UINT8,
  bool: TYPE_BOOL,
  int16: TYPE_INT16,
  int32: TYPE_INT32,
  int64: TYPE_INT64,
  float32: TYPE_FLOAT32,
}

/** The TYPE constant of a tensor's elements. */
export function typeOf(cx: Context, { dtype }: Tensor): number {
  const type = TYPES[dtype]
  if (type === undefined) throw new Unsupported(`${cx.op.type} of ${dtype}`)
  return type
}

/** A loop over the output with the bytes from one turn to the next in each operand. */
interface Turn {
  size: number
  c: number
  a: number
  b: number
}
const MOST = 4

/** Four loops that one record makes: where they begin in each operand, in bytes, and in the output, in elements. */
interface Part {
  loops: Turn[]
  c: number
  a: number
  b: number
  out: number
}

/** Operands broadcast over `shape`: four loops, and a part for each turn of what is left. */
function partsOf(shape: readonly number[], operands: { c?: Tensor; a: Tensor; b: Tensor }): Part[] {
  const steps = (t: Tensor | undefined): number[] => {
    if (!t) return shape.map(() => 0)
    const own = strides(t.shape, dtypeBytes(t.dtype))
    const first = shape.length - t.shape.length
    return shape.map((_, i) => (i < first || t.shape[i - first] === 1 ? 0 : own[i - first]!))
  }
  const [c, a, b] = [steps(operands.c), steps(operands.a), steps(operands.b)]
  const loops: Turn[] = merge(
    shape.map((size, i) => ({ size, c: c[i]!, a: a[i]!, b: b[i]! })),
    ['c', 'a', 'b'],
  )
  const outer = loops.splice(0, Math.max(0, loops.length - MOST))
  const inner = [...Array<Turn>(MOST - loops.length).fill({ size: 1, c: 0, a: 0, b: 0 }), ...loops]
  const elements = inner.reduce((n, { size }) => n * size, 1)
  let starts = [{ c: 0, a: 0, b: 0 }]
  for (const d of outer) {
    starts = starts.flatMap(({ c, a, b }) =>
      Array.from({ length: d.size }, (_, i) => ({ c: c + i * d.c, a: a + i * d.a, b: b + i * d.b })),
    )
  }
  return starts.map((start, i) => ({ ...start, loops: inner, out: i * elements }))
}

/** The loops as both records hold them: sizes, and the steps of some of the operands. */
const turnFields = (loops: readonly Turn[], operands: readonly ('c' | 'a' | 'b')[]): Record<string, number> =>
  Object.fromEntries([
    ...loops.map(({ size }, i) => [`d${i}`, size]),
    ...operands.flatMap((name) => loops.map((loop, i) => [`${name}${i}`, loop[name]])),
  ])

const COMPARISONS: Partial<Record<OpType, number>> = {
  EQUAL: COMPARE_EQUAL,
  NOT_EQUAL: COMPARE_NOT_EQUAL,
  LESS: COMPARE_LESS,
  LESS_EQUAL: COMPARE_LESS_EQUAL,
  GREATER: COMPARE_GREATER,
  GREATER_EQUAL: COMPARE_GREATER_EQUAL,
  LOGICAL_AND: COMPARE_AND,
  LOGICAL_OR: COMPARE_OR,
}

const NO_GRID = { zero: 0, multiplier: 0, shift: 0 }

interface Comparison {
  kind: number
  a: Value
  b: Value
  y: Value
  parts: readonly Part[]
  ga: typeof NO_GRID
  gb: typeof NO_GRID
}

function pushCompare(cx: Context, { kind, a, b, y, parts, ga, gb }: Comparison): void {
  const type = typeOf(cx, a.tensor)
  cx.plain(a)
  cx.plain(b)
  y.alias = true
  for (const part of parts) {
    cx.push({
      record: 'CompareRecord',
      op: OP_COMPARE,
      kernel: 'compare',
      rows: rowwise(1),
      reads: [a.buffer, b.buffer],
      writes: [y.buffer],
      fields: () => ({
        kind,
        type,
        a: a.address() + part.a,
        b: b.address() + part.b,
        output: y.address() + part.out,
        ...turnFields(part.loops, ['a', 'b']),
        aZeroPoint: ga.zero,
        aMultiplier: ga.multiplier,
        aShift: ga.shift,
        bZeroPoint: gb.zero,
        bMultiplier: gb.multiplier,
        bShift: gb.shift,
      }),
    })
  }
}

/** Where LiteRT's comparison of 8-bit values still sees only the sign of those of a scale of 1 and more. */
const SIGNS_BELOW = 2 ** 15

/** A scale of a half: keeps the order of what is compared. */
const AS_STORED = { zero: 0, ...quantizeMultiplier(0.5) }

/**
 * An 8-bit operand where one of the two has a scale over 1: as LiteRT's multiplication by less than 1 makes of it when
 * it gets more, -1 for negative values and 1 for others; the other operand by its own scale. Only -2 to 2 tell apart.
 */
function withSigns(cx: Context, x: Value): Value {
  const q = cx.q(x.tensor)
  if (q.scale === 1 || q.scale >= SIGNS_BELOW) {
    throw cx.fail('lower/quantization', 'LiteRT compares no such scale', x.tensor, {
      expected: `less than ${SIGNS_BELOW} and not 1`,
      got: q.scale,
    })
  }
  const { multiplier, shift } = quantizeMultiplier(q.scale)
  const y = cx.temporary({ name: `${x.tensor.name} (signs)`, shape: x.tensor.shape, dtype: 'int8' })
  const lut = table(q, { ...q, low: -128, high: 127, shift: 0 }, (raw) => {
    const d = raw - q.zeroPoint
    return shift > 0 ? (d < 0 ? -1 : 1) : clamp(multiplyHalfAway(d * 256, multiplier, shift), -2, 2)
  })
  emitLut(cx, { from: x, to: y, lut, kernel: 'compare-signs' })
  return y
}

function emitCompare(cx: Context, kind: number, a: Value, b: Value): void {
  const out = cx.output()
  const type = typeOf(cx, a.tensor)
  if (a.tensor.dtype !== b.tensor.dtype || out.dtype !== 'bool') {
    throw new Unsupported(`${cx.op.type} of ${a.tensor.dtype} and ${b.tensor.dtype} to ${out.dtype}`)
  }
  // LiteRT compares the order of int16 as stored, their equality by scales.
  const scaled = type === TYPE_INT8 || type === TYPE_UINT8 || (type === TYPE_INT16 && kind <= COMPARE_NOT_EQUAL)
  const grid = (t: Tensor): typeof NO_GRID => {
    if (!scaled) return NO_GRID
    const q = type === TYPE_INT16 ? { scale: scale16(cx, t), zero: 0 } : cx.q(t)
    if (q.scale >= 1) {
      throw cx.fail('lower/quantization', 'equality of 16-bit values with a scale of 1 and more', t, {
        expected: '< 1',
        got: q.scale,
      })
    }
    return { zero: q.zero, ...quantizeMultiplier(q.scale) }
  }
  const parts = partsOf(out.shape, { a: a.tensor, b: b.tensor })
  const eight = type === TYPE_INT8 || type === TYPE_UINT8
  if (eight && [a, b].some(({ tensor }) => cx.q(tensor).scale >= 1)) {
    const [sa, sb] = [withSigns(cx, a), withSigns(cx, b)]
    pushCompare(cx, { kind, a: sa, b: sb, y: cx.result(), parts, ga: AS_STORED, gb: AS_STORED })
    return
  }
  const [ga, gb] = [grid(a.tensor), grid(b.tensor)]
  pushCompare(cx, { kind, a, b, y: cx.result(), parts, ga, gb })
}

/** EQUAL, NOT_EQUAL, LESS, LESS_EQUAL, GREATER, GREATER_EQUAL, LOGICAL_AND, LOGICAL_OR. */
export const lowerCompare = (cx: Context): void => emitCompare(cx, COMPARISONS[cx.op.type]!, cx.value(0), cx.value(1))

/** LOGICAL_NOT: bytes of a bool tensor are 0 and 1. */
export function lowerNot(cx: Context): void {
  const x = cx.plain(cx.value(0))
  if (x.tensor.dtype !== 'bool') throw new Unsupported(`LOGICAL_NOT of ${x.tensor.dtype}`)
  const y = cx.result()
  y.alias = true
  cx.copyRows(x, y, 1, 'not')
}

interface Choice {
  c: Value
  a: Value
  b: Value
  y: Value
  parts: readonly Part[]
}

function pushSelect(cx: Context, { c, a, b, y, parts }: Choice): void {
  const bytes = dtypeBytes(y.tensor.dtype)
  y.alias = true
  for (const part of parts) {
    cx.push({
      record: 'SelectRecord',
      op: OP_SELECT,
      kernel: 'select',
      rows: rowwise(1),
      reads: [c.buffer, a.buffer, b.buffer],
      writes: [y.buffer],
      fields: () => ({
        condition: c.address() + part.c,
        a: a.address() + part.a,
        b: b.address() + part.b,
        output: y.address() + part.out * bytes,
        bytes,
        ...turnFields(part.loops, ['c', 'a', 'b']),
      }),
    })
  }
}

/** SELECT, SELECT_V2. */
export function lowerSelect(cx: Context): void {
  const [c, a, b] = [cx.plain(cx.value(0)), cx.plain(cx.value(1)), cx.plain(cx.value(2))]
  const out = cx.output()
  if (c.tensor.dtype !== 'bool' || a.tensor.dtype !== out.dtype || b.tensor.dtype !== out.dtype) {
    throw new Unsupported(`${cx.op.type} by ${c.tensor.dtype} of ${a.tensor.dtype} and ${b.tensor.dtype}`)
  }
  let condition = c.tensor
  // SELECT's condition may also have one value for each index of the first dimension.
  if (cx.op.type === 'SELECT' && `${condition.shape}` !== `${a.tensor.shape}`) {
    if (elements(condition.shape) !== 1 && elements(condition.shape) !== a.tensor.shape[0]) {
      throw cx.fail('lower/shape', 'condition', condition, {
        expected: `[${a.tensor.shape}]`,
        got: `[${condition.shape}]`,
      })
    }
    condition = { ...condition, shape: a.tensor.shape.map((_, i) => (i === 0 ? elements(condition.shape) : 1)) }
  }
  const parts = partsOf(out.shape, { c: condition, a: a.tensor, b: b.tensor })
  pushSelect(cx, { c, a, b, y: cx.result(), parts })
}

/** ONE_HOT: a comparison with 0, 1, 2 … along the new dimension, and a choice. */
export function lowerOneHot(cx: Context): void {
  const { axis } = (cx.op as OpOf<'ONE_HOT'>).attrs
  const [indices, on, off] = [cx.plain(cx.value(0)), cx.plain(cx.value(2)), cx.plain(cx.value(3))]
  const out = cx.output()
  const { dtype, shape } = indices.tensor
  if (dtype !== 'int32' && dtype !== 'int64') throw new Unsupported(`ONE_HOT of ${dtype} indices`)
  if (on.tensor.dtype !== out.dtype || off.tensor.dtype !== out.dtype) {
    throw new Unsupported(`ONE_HOT of ${on.tensor.dtype} and ${off.tensor.dtype} to ${out.dtype}`)
  }
  const at = axis === -1 ? shape.length : normalAxis(cx, axis, shape.length + 1)
  const depth = out.shape[at]!
  cx.expectShape(out, [...shape.slice(0, at), depth, ...shape.slice(at)])
  const counts = countsOf(depth, dtypeBytes(dtype) / 4)
  const counted = {
    name: `${out.name} (counts)`,
    dtype,
    shape: [depth, ...shape.slice(at).map(() => 1)],
  } satisfies Tensor
  const numbers = new Value(
    counted,
    { n: 1, h: 1, w: 1, c: counts.byteLength },
    cx.buffers.constant(counted.name, counts),
  )
  const spread = { ...indices.tensor, shape: [...shape.slice(0, at), 1, ...shape.slice(at)] }
  const hot = cx.temporary({ name: `${out.name} (hot)`, shape: out.shape, dtype: 'bool' })
  pushCompare(cx, {
    kind: COMPARE_EQUAL,
    a: indices,
    b: numbers,
    y: hot,
    parts: partsOf(out.shape, { a: spread, b: counted }),
    ga: NO_GRID,
    gb: NO_GRID,
  })
  const scalar = (t: Tensor): Tensor => ({ ...t, shape: [] })
  const parts = partsOf(out.shape, { c: hot.tensor, a: scalar(on.tensor), b: scalar(off.tensor) })
  pushSelect(cx, { c: hot, a: on, b: off, y: cx.result(), parts })
}

/** 0, 1, 2 …, each in so many words. */
const countsOf = (count: number, words: number): Int32Array =>
  Int32Array.from({ length: count * words }, (_, i) => (i % words === 0 ? i / words : 0))

/** CAST between any two types of element, but for what is the same bytes. */
export function emitConvert(cx: Context, x: Value): void {
  const [from, to] = [typeOf(cx, x.tensor), typeOf(cx, cx.output())]
  const count = elements(x.tensor.shape)
  cx.plain(x)
  const y = cx.result()
  y.alias = true
  cx.push({
    record: 'ConvertRecord',
    op: OP_CONVERT,
    kernel: 'convert',
    rows: rowwise(1),
    reads: [x.buffer],
    writes: [y.buffer],
    fields: () => ({ input: x.address(), output: y.address(), count, from, to }),
  })
}

export function lowerTopK(cx: Context): void {
  const x = cx.plain(cx.value(0))
  const { shape, dtype } = x.tensor
  const type = typeOf(cx, x.tensor)
  const [values, indices] = [cx.output(0), cx.output(1)]
  if (dtype === 'int64' || dtype === 'bool' || indices.dtype !== 'int32') {
    throw new Unsupported(`TOPK_V2 of ${dtype} with ${indices.dtype} indices`)
  }
  if (values.dtype !== dtype) {
    throw cx.fail('lower/dtype', 'output type', values, { expected: dtype, got: values.dtype })
  }
  const depth = shape[shape.length - 1]!
  const k = values.shape[values.shape.length - 1]!
  const outer = elements(shape) / depth
  const y = cx.result(0)
  const at = cx.result(1)
  y.alias = true
  at.alias = true
  cx.push({
    record: 'TopKRecord',
    op: OP_TOP_K,
    kernel: 'top-k',
    rows: rowwise(1),
    reads: [x.buffer],
    writes: [y.buffer, at.buffer],
    fields: () => ({
      input: x.address(),
      values: y.address(),
      indices: at.address(),
      outer,
      depth,
      k,
      type: type === TYPE_UINT8 ? TYPE_INT8 : type,
      bytes: dtypeBytes(dtype),
    }),
  })
}
