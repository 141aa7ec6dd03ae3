/**
 * Values of ops whose inputs are all constants, by LiteRT's own arithmetic: int32 and int64 wrap, float32 rounds after
 * every step. Ops whose last bit depends on a library (EXP, SQRT, float sums) are not here: they stay for the engine.
 */
import {
  dtypeBytes,
  elements,
  type Activation,
  type DType,
  type OpAttributes,
  type OpType,
  type Tensor,
} from '../graph/graph.ts'
import { clamp, f32, rne } from '../arithmetic/numerics.ts'
import { eachElement, placeIn, stridesOf, type Place } from '../graph/elements.ts'
import type { Site } from './infer.ts'
import { axisOf, slicesOf } from './shapes.ts'

/** Numbers of a tensor; int64 as bigint. */
type Values = number[] | bigint[]
/** Bytes of the outputs, in their shapes; undefined: not this form of it. */
type Result = (Uint8Array | undefined)[] | undefined
type Evaluator<T extends OpType> = (s: Site, a: OpAttributes[T]) => Result
/** Of an op whose attributes do not matter. */
type Plain = (s: Site) => Result

const view = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)

/** Source: IEEE 754 half precision. */
function half(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1
  const exponent = (bits >> 10) & 31
  const fraction = bits & 1023
  if (exponent === 0) return sign * fraction * 2 ** -24
  if (exponent === 31) return fraction ? NaN : sign * Infinity
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15)
}

type Reader = (v: DataView, at: number) => number
const READERS: Partial<Record<DType, Reader>> = {
  int8: (v, at) => v.getInt8(at),
  uint8: (v, at) => v.getUint8(at),
  bool: (v, at) => Number(v.getUint8(at) !== 0),
  int16: (v, at) => v.getInt16(at, true),
  int32: (v, at) => v.getInt32(at, true),
  float16: (v, at) => half(v.getUint16(at, true)),
  float32: (v, at) => v.getFloat32(at, true),
}

/** Undefined for types that shape arithmetic has no use for. */
function read({ dtype, data, shape }: Tensor): Values | undefined {
  const v = view(data!)
  const n = elements(shape)
  if (dtype === 'int64') return Array.from({ length: n }, (_, i) => v.getBigInt64(8 * i, true))
  const reader = READERS[dtype]
  const width = dtypeBytes(dtype)
  return reader && Array.from({ length: n }, (_, i) => reader(v, width * i))
}

function write(values: Values, dtype: DType): Uint8Array | undefined {
  const bytes = new Uint8Array(values.length * dtypeBytes(dtype))
  const v = view(bytes)
  switch (dtype) {
    case 'int64':
      values.forEach((x, i) => v.setBigInt64(8 * i, BigInt(x), true))
      return bytes
    case 'int32':
      values.forEach((x, i) => v.setInt32(4 * i, Number(x), true))
      return bytes
    case 'int16':
      values.forEach((x, i) => v.setInt16(2 * i, Number(x), true))
      return bytes
    case 'float32':
      values.forEach((x, i) => v.setFloat32(4 * i, Number(x), true))
      return bytes
    case 'int8':
    case 'uint8':
    case 'bool':
      values.forEach((x, i) => v.setUint8(i, Number(x)))
      return bytes
    default:
      return undefined
  }
}

/** Bytes of an output whose elements are those of `x` at `from(coordinates)`. */
function take(x: Tensor, shape: readonly number[], from: (at: readonly number[]) => number): Uint8Array {
  const width = dtypeBytes(x.dtype)
  const out = new Uint8Array(elements(shape) * width)
  eachElement(shape, (at, flat) => {
    const i = from(at) * width
    out.set(x.data!.subarray(i, i + width), flat * width)
  })
  return out
}

const sameGrid = (a: Tensor, b: Tensor): boolean =>
  a.dtype === b.dtype &&
  (a.quantization?.scales[0] ?? 0) === (b.quantization?.scales[0] ?? 0) &&
  (a.quantization?.zeroPoints[0] ?? 0) === (b.quantization?.zeroPoints[0] ?? 0)

/** An op that moves elements of its first input: `from` gives the place of each output element in it. */
const moving =
  <A>(from: (s: Site, a: A) => Place | undefined): ((s: Site, a: A) => Result) =>
  (s, a) => {
    const place = sameGrid(s.input(0), s.output()) ? from(s, a) : undefined
    return place && [take(s.input(0), s.output().shape, place)]
  }

/** The input's bytes in another shape. */
const unchanged: Plain = (s) => (s.input(0).dtype === s.output().dtype ? [s.input(0).data!] : undefined)

type Scalar<V> = (a: V, b: V) => V
interface Arithmetic {
  int32?: Scalar<number>
  int64?: Scalar<bigint>
  float32?: Scalar<number>
}

const LIMITS: Record<Activation, readonly [number, number]> = {
  NONE: [-Infinity, Infinity],
  RELU: [0, Infinity],
  RELU_N1_TO_1: [-1, 1],
  RELU6: [0, 6],
}

function combine(s: Site, by: Arithmetic): Values | undefined {
  const [a, b] = [s.input(0), s.input(1)]
  const fn = by[a.dtype as keyof Arithmetic] as Scalar<number | bigint> | undefined
  const [x, y] = [read(a), read(b)]
  if (a.dtype !== b.dtype || !fn || !x || !y) return undefined
  const { shape } = s.output()
  const [i, j] = [placeIn(a.shape, shape.length), placeIn(b.shape, shape.length)]
  const out: (number | bigint)[] = []
  eachElement(shape, (at) => {
    out.push(fn(x[i(at)]!, y[j(at)]!))
  })
  return out as Values
}

function arithmetic(by: Arithmetic): Plain {
  return (s) => {
    const out = s.output()
    const { activation = 'NONE' } = s.op.attrs as { activation?: Activation }
    if (out.dtype !== s.input(0).dtype || (activation !== 'NONE' && out.dtype !== 'float32')) return undefined
    const values = combine(s, by)
    const [low, high] = LIMITS[activation]
    const limited = activation === 'NONE' ? values : (values as number[] | undefined)?.map((v) => clamp(v, low, high))
    return limited && [write(limited, out.dtype)]
  }
}

const comparison =
  (test: (a: number | bigint, b: number | bigint) => boolean): Plain =>
  (s) => {
    const by = (a: number | bigint, b: number | bigint): number => Number(test(a, b))
    const values = combine(s, { int32: by, float32: by, int64: by as never, bool: by } as Arithmetic)
    return values && [write(values, 'bool')]
  }

const wrap64 = (v: bigint): bigint => BigInt.asIntN(64, v)
/** Towards minus infinity; a division by zero is left to the engine, which refuses it. */
const floorDiv64 = (a: bigint, b: bigint): bigint => {
  const q = a / b
  return q * b !== a && a < 0n !== b < 0n ? q - 1n : q
}
const hasZero = (t: Tensor): boolean => read(t)?.some((v) => v === 0 || v === 0n) ?? true
const dividing =
  (by: Arithmetic): Plain =>
  (s) =>
    s.input(1).dtype !== 'float32' && hasZero(s.input(1)) ? undefined : arithmetic(by)(s)

function unary(by: { int32?: (v: number) => number; int64?: (v: bigint) => bigint; float32?: (v: number) => number }) {
  return (s: Site): (Uint8Array | undefined)[] | undefined => {
    const x = s.input(0)
    const fn = by[x.dtype as keyof typeof by] as ((v: number | bigint) => number | bigint) | undefined
    const values = read(x)
    if (!fn || !values || s.output().dtype !== x.dtype) return undefined
    return [write((values as (number | bigint)[]).map(fn) as Values, x.dtype)]
  }
}

function reduce(by: Arithmetic): Plain {
  return (s) => {
    const x = s.input(0)
    const fn = by[x.dtype as keyof Arithmetic] as Scalar<number | bigint> | undefined
    const values = read(x)
    const axes = s.integers(1)?.map((a) => axisOf(a, x.shape.length)!)
    if (!fn || !values || !axes || s.output().dtype !== x.dtype || elements(x.shape) === 0) return undefined
    const kept = x.shape.map((d, i) => (axes.includes(i) ? 1 : d))
    const to = placeIn(kept, kept.length)
    const out: (number | bigint)[] = []
    eachElement(x.shape, (at, flat) => {
      const i = to(at)
      const v = values[flat]!
      out[i] = out[i] === undefined ? v : fn(out[i], v)
    })
    return [write(out as Values, x.dtype)]
  }
}

/** C's conversions, of values that fit. */
function cast(values: Values, from: DType, to: DType): Values | undefined {
  switch (to) {
    case 'bool':
      return values.map((v) => Number(v !== 0 && v !== 0n))
    case 'float32':
      return values.map((v) => f32(Number(v)))
    case 'int64':
      return values.map((v) => (typeof v === 'bigint' ? v : BigInt(Number.isFinite(v) ? Math.trunc(v) : 0)))
    case 'int32':
    case 'int16':
    case 'int8':
    case 'uint8': {
      const bits = 8 * dtypeBytes(to)
      const wrapped = (v: number | bigint): number =>
        Number(
          (to === 'uint8' ? BigInt.asUintN : BigInt.asIntN)(bits, typeof v === 'bigint' ? v : BigInt(Math.trunc(v))),
        )
      const fits = from !== 'float32' || values.every((v) => Math.abs(Number(v)) < 2 ** 31)
      return fits ? values.map(wrapped) : undefined
    }
    default:
      return undefined
  }
}

function dequantized({ quantization, dtype, shape }: Tensor, values: number[]): number[] | undefined {
  if (dtype === 'float16' || dtype === 'float32') return values
  if (!quantization) return undefined
  const { scales, zeroPoints, axis } = quantization
  if (scales.length === 1) return values.map((v) => f32(f32(v - zeroPoints[0]!) * scales[0]!))
  const inner = elements(shape.slice(axis + 1))
  return values.map((v, i) => {
    const c = Math.floor(i / inner) % shape[axis]!
    return f32(f32(v - zeroPoints[c]!) * scales[c]!)
  })
}

/** Joins along an axis; `parts` have the output's type and grid. */
function joined(parts: readonly Tensor[], shape: readonly number[], axis: number): Uint8Array {
  const width = dtypeBytes(parts[0]!.dtype)
  const rows = elements(shape.slice(0, axis))
  const out = new Uint8Array(elements(shape) * width)
  let to = 0
  for (let r = 0; r < rows; r++) {
    for (const { data } of parts) {
      const bytes = data!.length / rows
      out.set(data!.subarray(r * bytes, (r + 1) * bytes), to)
      to += bytes
    }
  }
  return out
}

/** Cuts `x` along an axis into outputs of the given lengths. */
function cut(x: Tensor, axis: number, sizes: readonly number[]): Uint8Array[] {
  const inner = elements(x.shape.slice(axis + 1)) * dtypeBytes(x.dtype)
  const rows = elements(x.shape.slice(0, axis))
  const rowBytes = x.shape[axis]! * inner
  let first = 0
  return sizes.map((size) => {
    const out = new Uint8Array(rows * size * inner)
    for (let r = 0; r < rows; r++) {
      const at = r * rowBytes + first * inner
      out.set(x.data!.subarray(at, at + size * inner), r * size * inner)
    }
    first += size
    return out
  })
}

function slice(begin: readonly number[], x: Tensor): (at: readonly number[]) => number {
  const step = stridesOf(x.shape)
  return (at) => at.reduce((a, v, i) => a + (v + begin[i]!) * step[i]!, 0)
}

const EVALUATORS: { readonly [T in OpType]?: Evaluator<T> } = {
  SHAPE: (s) => [write([...s.shape(0)], s.output().dtype)],
  RANK: (s) => [write([s.shape(0).length], s.output().dtype)],
  RESHAPE: unchanged,
  SQUEEZE: unchanged,
  EXPAND_DIMS: unchanged,
  ADD: arithmetic({ int32: (a, b) => (a + b) | 0, int64: (a, b) => wrap64(a + b), float32: (a, b) => f32(a + b) }),
  SUB: arithmetic({ int32: (a, b) => (a - b) | 0, int64: (a, b) => wrap64(a - b), float32: (a, b) => f32(a - b) }),
  MUL: arithmetic({ int32: Math.imul, int64: (a, b) => wrap64(a * b), float32: (a, b) => f32(a * b) }),
  DIV: dividing({ int32: (a, b) => (a / b) | 0, int64: (a, b) => wrap64(a / b), float32: (a, b) => f32(a / b) }),
  FLOOR_DIV: dividing({
    int32: (a, b) => Math.floor(a / b) | 0,
    int64: floorDiv64,
    float32: (a, b) => f32(Math.floor(f32(a / b))),
  }),
  FLOOR_MOD: dividing({
    int32: (a, b) => a - Math.floor(a / b) * b,
    int64: (a, b) => a - floorDiv64(a, b) * b,
  }),
  SQUARED_DIFFERENCE: arithmetic({
    int32: (a, b) => Math.imul(a - b, a - b),
    float32: (a, b) => f32(f32(a - b) * f32(a - b)),
  }),
  MAXIMUM: arithmetic({ int32: Math.max, int64: (a, b) => (a > b ? a : b), float32: Math.max }),
  MINIMUM: arithmetic({ int32: Math.min, int64: (a, b) => (a < b ? a : b), float32: Math.min }),
  EQUAL: comparison((a, b) => a === b),
  NOT_EQUAL: comparison((a, b) => a !== b),
  LESS: comparison((a, b) => a < b),
  LESS_EQUAL: comparison((a, b) => a <= b),
  GREATER: comparison((a, b) => a > b),
  GREATER_EQUAL: comparison((a, b) => a >= b),
  LOGICAL_AND: arithmetic({ bool: (a: number, b: number) => a & b } as Arithmetic),
  LOGICAL_OR: arithmetic({ bool: (a: number, b: number) => a | b } as Arithmetic),
  LOGICAL_NOT: (s) => [s.input(0).data!.map((v) => Number(v === 0))],
  NEG: unary({ int32: (v) => -v | 0, int64: (v) => wrap64(-v), float32: (v) => -v }),
  ABS: unary({ int32: (v) => Math.abs(v) | 0, int64: (v) => (v < 0n ? wrap64(-v) : v), float32: Math.abs }),
  SQUARE: unary({ float32: (v) => f32(v * v) }),
  FLOOR: unary({ float32: Math.floor }),
  CEIL: unary({ float32: Math.ceil }),
  ROUND: unary({ float32: rne }),
  ZEROS_LIKE: (s) => [new Uint8Array(elements(s.output().shape) * dtypeBytes(s.output().dtype))],
  SUM: reduce({ int32: (a, b) => (a + b) | 0, int64: (a, b) => wrap64(a + b) }),
  REDUCE_PROD: reduce({ int32: Math.imul, int64: (a, b) => wrap64(a * b) }),
  REDUCE_MAX: reduce({ int32: Math.max, int64: (a, b) => (a > b ? a : b), float32: Math.max }),
  REDUCE_MIN: reduce({ int32: Math.min, int64: (a, b) => (a < b ? a : b), float32: Math.min }),
  REDUCE_ANY: reduce({ bool: (a: number, b: number) => a | b } as Arithmetic),
  REDUCE_ALL: reduce({ bool: (a: number, b: number) => a & b } as Arithmetic),
  CAST: (s) => {
    const x = s.input(0)
    const { dtype } = s.output()
    if (dtype === x.dtype) return [x.data!]
    const values = read(x)
    const made = values && cast(values, x.dtype, dtype)
    return made && [write(made, dtype)]
  },
  DEQUANTIZE: (s) => {
    const values = read(s.input(0))
    if (!values || s.output().dtype !== 'float32') return undefined
    const real = dequantized(s.input(0), values as number[])
    return real && [write(real, 'float32')]
  },
  QUANTIZE: (s) => {
    const out = s.output()
    const q = out.quantization
    const values = read(s.input(0))
    if (s.input(0).dtype !== 'float32' || !values || q?.scales.length !== 1 || !/^u?int8$/.test(out.dtype)) {
      return undefined
    }
    const [low, high] = out.dtype === 'int8' ? [-128, 127] : [0, 255]
    const inverse = f32(1 / q.scales[0]!)
    const grid = (v: number): number => (v !== v ? high : clamp(rne(f32(v * inverse)) + q.zeroPoints[0]!, low, high))
    return [write((values as number[]).map(grid), out.dtype)]
  },
  PACK: (s, attrs) => {
    const parts = s.op.inputs.map((_, i) => s.input(i))
    const { shape } = s.output()
    if (!parts.every((p) => sameGrid(p, s.output()))) return undefined
    return [joined(parts, shape, axisOf(attrs.axis, shape.length)!)]
  },
  CONCATENATION: (s, attrs) => {
    const parts = s.op.inputs.map((_, i) => s.input(i))
    const { shape } = s.output()
    if (attrs.activation !== 'NONE' || !parts.every((p) => sameGrid(p, s.output()))) return undefined
    return [joined(parts, shape, axisOf(attrs.axis, shape.length)!)]
  },
  UNPACK: (s, attrs) =>
    cut(
      s.input(0),
      axisOf(attrs.axis, s.shape(0).length)!,
      s.op.outputs.map(() => 1),
    ),
  SPLIT: (s) => {
    const axis = axisOf(s.integers(0)?.[0] ?? 0, s.shape(1).length)!
    return cut(
      s.input(1),
      axis,
      s.op.outputs.map((_, i) => s.output(i).shape[axis]!),
    )
  },
  SPLIT_V: (s) => {
    const axis = axisOf(s.integers(2)?.[0] ?? 0, s.shape(0).length)!
    return cut(
      s.input(0),
      axis,
      s.op.outputs.map((_, i) => s.output(i).shape[axis]!),
    )
  },
  FILL: (s) => {
    const value = s.input(1)
    return elements(value.shape) === 1 && value.dtype === s.output().dtype
      ? [take(value, s.output().shape, () => 0)]
      : undefined
  },
  RANGE: (s) => {
    const { dtype, shape } = s.output()
    const [start, , delta] = [0, 1, 2].map((p) => read(s.input(p))?.[0])
    if (start === undefined || delta === undefined || s.input(0).dtype !== dtype) return undefined
    const n = elements(shape)
    if (typeof start === 'bigint') {
      return [
        write(
          Array.from({ length: n }, (_, i) => start + BigInt(i) * (delta as bigint)),
          dtype,
        ),
      ]
    }
    // LiteRT adds the step again and again.
    let v = start
    const values = Array.from({ length: n }, () => {
      const at = v
      v = dtype === 'float32' ? f32(v + (delta as number)) : v + (delta as number)
      return at
    })
    return [write(values, dtype)]
  },
  TILE: moving((s) => {
    const { shape } = s.input(0)
    const step = stridesOf(shape)
    return (at) => at.reduce((a, v, i) => a + (v % shape[i]!) * step[i]!, 0)
  }),
  BROADCAST_TO: moving((s) => placeIn(s.shape(0), s.output().shape.length)),
  BROADCAST_ARGS: (s) => {
    const [a, b] = [s.integers(0), s.integers(1)]
    if (!a || !b) return undefined
    const n = Math.max(a.length, b.length)
    const at = (list: number[], i: number): number => list[i - n + list.length] ?? 1
    return [
      write(
        Array.from({ length: n }, (_, i) => (at(a, i) === 1 ? at(b, i) : at(a, i))),
        s.output().dtype,
      ),
    ]
  },
  TRANSPOSE: moving((s) => {
    const { shape } = s.input(0)
    const order = s.integers(1)!.map((a) => axisOf(a, shape.length)!)
    const step = stridesOf(shape)
    return (at) => at.reduce((a, v, i) => a + v * step[order[i]!]!, 0)
  }),
  SLICE: moving((s) => slice(s.integers(1)!, s.input(0))),
  STRIDED_SLICE: moving((s, attrs: OpAttributes['STRIDED_SLICE']) => {
    const x = s.input(0)
    const [begin, end, strides] = [s.integers(1)!, s.integers(2)!, s.integers(3)!]
    const slices = slicesOf(x.shape, { begin, end, step: strides }, attrs)!
    const step = stridesOf(x.shape)
    // Elements in the order of the spans, whatever dimensions the output has besides.
    const sizes = slices.spans.map((p) => p.size)
    const own = stridesOf(sizes)
    const out = stridesOf(s.output().shape)
    return (at) => {
      const flat = at.reduce((a, v, i) => a + v * out[i]!, 0)
      return slices.spans.reduce(
        (a, p, i) => a + (p.begin + p.step * (Math.floor(flat / own[i]!) % sizes[i]!)) * step[i]!,
        0,
      )
    }
  }),
  REVERSE_V2: moving((s) => {
    const { shape } = s.input(0)
    const axes = s.integers(1)?.map((a) => axisOf(a, shape.length))
    const step = stridesOf(shape)
    return axes && ((at) => at.reduce((a, v, i) => a + (axes.includes(i) ? shape[i]! - 1 - v : v) * step[i]!, 0))
  }),
  PAD: (s) => padded(s, new Uint8Array(dtypeBytes(s.output().dtype))),
  PADV2: (s) => (sameGrid(s.input(2), s.output()) ? padded(s, s.input(2).data!) : undefined),
  GATHER: (s, attrs) => {
    const [x, indices] = [s.input(0), s.integers(1)]
    const rank = x.shape.length
    const axis = axisOf(attrs.axis, rank)!
    const batch = axisOf(attrs.batchDims, s.shape(1).length + 1)!
    if (!indices || !sameGrid(x, s.output()) || indices.some((i) => i < 0 || i >= x.shape[axis]!)) return undefined
    const step = stridesOf(x.shape)
    const own = stridesOf(s.shape(1))
    const inner = s.shape(1).length - batch
    return [
      take(x, s.output().shape, (at) => {
        const which = [...at.slice(0, batch), ...at.slice(axis, axis + inner)]
        const index = indices[which.reduce((a, v, i) => a + v * own[i]!, 0)]!
        const place = [...at.slice(0, axis), index, ...at.slice(axis + inner)]
        return place.reduce((a, v, i) => a + v * step[i]!, 0)
      }),
    ]
  },
  SELECT: select,
  SELECT_V2: select,
}

/** SELECT's condition may also be one value for each index of the first dimension: left to the engine. */
function select(s: Site): Uint8Array[] | undefined {
  const [c, a, b] = [s.input(0), s.input(1), s.input(2)]
  const { shape } = s.output()
  if (c.dtype !== 'bool' || !sameGrid(a, b) || !sameGrid(a, s.output())) return undefined
  if (s.op.type === 'SELECT' && `${c.shape}` !== `${a.shape}`) return undefined
  const width = dtypeBytes(a.dtype)
  const [ic, ia, ib] = [c, a, b].map((t) => placeIn(t.shape, shape.length)) as [Place, Place, Place]
  const out = new Uint8Array(elements(shape) * width)
  eachElement(shape, (at, flat) => {
    const [t, i] = c.data![ic(at)] ? [a, ia(at)] : [b, ib(at)]
    out.set(t.data!.subarray(i * width, (i + 1) * width), flat * width)
  })
  return [out]
}

function padded(s: Site, value: Uint8Array): Uint8Array[] | undefined {
  const [x, y] = [s.input(0), s.output()]
  const pads = s.integers(1)
  if (!pads || !sameGrid(x, y) || y.quantization) return undefined
  const step = stridesOf(x.shape)
  const width = dtypeBytes(x.dtype)
  const out = new Uint8Array(elements(y.shape) * width)
  eachElement(y.shape, (at, flat) => {
    const from = at.map((v, i) => v - pads[2 * i]!)
    const inside = from.every((v, i) => v >= 0 && v < x.shape[i]!)
    const i = from.reduce((a, v, k) => a + v * step[k]!, 0) * width
    out.set(inside ? x.data!.subarray(i, i + width) : value, flat * width)
  })
  return [out]
}

/** Whether an op of this type can be a constant. */
export const canEvaluate = (type: OpType): boolean => Object.hasOwn(EVALUATORS, type)

/**
 * Contents of the outputs; undefined when this form of the op is not computed ahead. Requires: inputs are constants.
 */
export function evaluate(s: Site): Uint8Array[] | undefined {
  const rule = EVALUATORS[s.op.type] as ((s: Site, a: object) => Result) | undefined
  const made = rule?.(s, s.op.attrs)
  return made?.every((bytes) => bytes !== undefined) ? made : undefined
}
