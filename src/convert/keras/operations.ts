/**
 * Keras 3 operations on tensors (`keras.ops.*`, `x / 255`, slices), which the functional graph stores as layers of
 * their own; TensorFlow's functions in Keras 2 graphs go by the same names.
 */
import { activate } from './activations.ts'
import { elements, type DType, type OpType } from '../../graph/graph.ts'
import type { Values } from '../builder.ts'
import { broadcast } from '../net.ts'
import { isObject, type Json, type JsonObject } from './config.ts'
import { fail, lastAxis, malformed, number, type Argument, type Context, type Layer, type Run } from './layer.ts'

/** Appends an op with one output. */
export function emit(
  c: Context,
  { dtype, ...op }: { type: OpType; inputs: readonly number[]; attrs?: object; dtype?: DType },
  name: string,
  shape: readonly number[],
): number {
  return c.net.op<never>({ attrs: {}, ...op } as never, name, shape, dtype)
}

/** Tensors as they are, numbers and arrays as constants. */
export const operands = (c: Context, l: Layer, inputs: readonly Argument[]): number[] =>
  inputs.map((i) => {
    if (typeof i === 'number') return i
    const v: Values = typeof i.constant === 'number' ? { shape: [1], data: Float32Array.of(i.constant) } : i.constant
    // A scalar among arrays: what broadcasts needs a dimension.
    return c.net.constant(`${l.name}/constant`, v.shape.length ? v : { shape: [1], data: v.data })
  })

const unary =
  (type: OpType, attrs: object = {}): Run =>
  (c, l, x) =>
    emit(c, { type, inputs: [x], attrs }, l.name, c.net.shape(x))

const pair =
  (type: OpType): Run =>
  (c, l, _x, { inputs }) => {
    const [a, b, ...more] = operands(c, l, inputs)
    if (b === undefined || more.length) return malformed(l, 'number of operands')
    return both(c, type, l.name, [a!, b])
  }

export const both = (c: Context, type: OpType, name: string, [a, b]: readonly [number, number]): number =>
  type === 'ADD' || type === 'SUB' || type === 'MUL' || type === 'DIV'
    ? c.net.binary(name, type, a, b)
    : emit(c, { type, inputs: [a, b] }, name, broadcast(c.net.shape(a), c.net.shape(b), name))

/** A whole power as products, a half one as a root; else POW. */
const power: Run = (c, l, x, call) => {
  const [base, by] = call.inputs
  const n = typeof by === 'object' && typeof by.constant === 'number' && base === x ? by.constant : undefined
  if (n === 0.5) return unary('SQRT')(c, l, x, call)
  if (n === undefined || ![1, 2, 3, 4].includes(n)) return pair('POW')(c, l, x, call)
  let y = x
  for (let i = 2; i <= n; i++) y = c.net.binary(i === n ? l.name : `${l.name}/${i}`, 'MUL', y, x)
  return y
}

/** Layers that take the largest or least of several tensors. */
export const extreme =
  (type: 'MAXIMUM' | 'MINIMUM'): Run =>
  (c, l, _x, { inputs }) => {
    const ids = operands(c, l, inputs)
    if (ids.length < 2) return malformed(l, 'number of inputs')
    return ids
      .slice(1)
      .reduce((sum, id, i) => both(c, type, i === ids.length - 2 ? l.name : `${l.name}/${i}`, [sum, id]), ids[0]!)
  }

/** An option of the operation, or of the call. */
export const option = (l: Layer, kwargs: JsonObject, ...keys: string[]): Json | undefined =>
  keys.map((k) => l.config[k] ?? kwargs[k]).find((v) => v !== undefined && v !== null)

/** `axis` as dimensions counted from the front; all of them where it is null. */
export function axes(c: Context, l: Layer, x: number, kwargs: JsonObject): number[] {
  const rank = c.net.shape(x).length
  const given = option(l, kwargs, 'axis', 'axes')
  if (given === undefined) return Array.from({ length: rank }, (_, i) => i)
  return (Array.isArray(given) ? given : [given]).map((a) => {
    const axis = typeof a === 'number' && a < 0 ? a + rank : a
    return typeof axis === 'number' && Number.isInteger(axis) && axis >= 0 && axis < rank
      ? axis
      : malformed(l, `axis ${JSON.stringify(a)}`)
  })
}

const oneAxis = (c: Context, l: Layer, x: number, kwargs: JsonObject): number =>
  option(l, kwargs, 'axis') === undefined ? c.net.shape(x).length - 1 : axes(c, l, x, kwargs)[0]!

const reduce =
  (type: 'MEAN' | 'SUM' | 'REDUCE_MAX' | 'REDUCE_MIN'): Run =>
  (c, l, x, { kwargs }) =>
    c.net.reduce(l.name, x, {
      type,
      axes: axes(c, l, x, kwargs),
      keepDims: option(l, kwargs, 'keepdims') === true,
    })

/** Mean of the squared distance from the mean. */
const variance: Run = (c, l, x, { kwargs }) => {
  const over = axes(c, l, x, kwargs)
  const mean = c.net.mean(`${l.name}/mean`, x, over, true)
  const square = both(c, 'SQUARED_DIFFERENCE', `${l.name}/square`, [x, mean])
  return c.net.mean(l.name, square, over, option(l, kwargs, 'keepdims') === true)
}

const without = (shape: readonly number[], axis: number): number[] => shape.filter((_, d) => d !== axis)

const best =
  (type: 'ARG_MAX' | 'ARG_MIN'): Run =>
  (c, l, x, { kwargs }) => {
    const axis = oneAxis(c, l, x, kwargs)
    if (option(l, kwargs, 'keepdims') === true) return fail(l, 'keepdims')
    const at = c.net.int32(`${l.name}/axis`, [], [axis])
    const shape = without(c.net.shape(x), axis)
    return emit(c, { type, inputs: [x, at], attrs: { outputType: 'int32' }, dtype: 'int32' }, l.name, shape)
  }

const list = (l: Layer, value: Json | undefined, what: string): number[] =>
  Array.isArray(value) && value.every((v) => typeof v === 'number' && Number.isInteger(v))
    ? (value as number[])
    : typeof value === 'number' && Number.isInteger(value)
      ? [value]
      : malformed(l, what)

const reshape: Run = (c, l, x, { kwargs }) => {
  const target = list(l, option(l, kwargs, 'newshape', 'shape'), 'shape')
  const known = elements(target.filter((d) => d !== -1))
  const count = elements(c.net.shape(x))
  // An open batch is -1; of several open dimensions the first is.
  const shape = target.map((d, i) => (d === -1 && i === 0 && target.indexOf(-1, 1) > 0 ? 1 : d))
  return c.net.reshape(
    l.name,
    x,
    shape.map((d) => (d === -1 ? count / known : d)),
  )
}

const transpose: Run = (c, l, x, { kwargs }) => {
  const rank = c.net.shape(x).length
  const given = option(l, kwargs, 'axes', 'perm')
  const order = given === undefined ? Array.from({ length: rank }, (_, i) => rank - 1 - i) : list(l, given, 'axes')
  return order.every((d, i) => d === i) ? x : c.net.transpose(l.name, x, order)
}

const expandDims: Run = (c, l, x, { kwargs }) => {
  const shape = [...c.net.shape(x)]
  const axis = number(option(l, kwargs, 'axis'), -1)
  shape.splice(axis < 0 ? axis + shape.length + 1 : axis, 0, 1)
  return c.net.reshape(l.name, x, shape)
}

const squeeze: Run = (c, l, x, { kwargs }) => {
  const shape = c.net.shape(x)
  const gone = option(l, kwargs, 'axis') === undefined ? undefined : axes(c, l, x, kwargs)
  return c.net.reshape(
    l.name,
    x,
    shape.filter((d, i) => (gone ? !gone.includes(i) : d !== 1 || i === 0)),
  )
}

const concatenate: Run = (c, l, _x, { inputs, kwargs }) =>
  c.net.concat(l.name, operands(c, l, inputs), number(option(l, kwargs, 'axis'), -1))

const stack: Run = (c, l, _x, { inputs, kwargs }) => {
  const ids = operands(c, l, inputs)
  const shape = [...c.net.shape(ids[0]!)]
  const given = number(option(l, kwargs, 'axis'), 0)
  const axis = given < 0 ? given + shape.length + 1 : given
  shape.splice(axis, 0, 1)
  return c.net.concat(
    l.name,
    ids.map((id, i) => c.net.reshape(`${l.name}/${i}`, id, shape)),
    axis,
  )
}

const split: Run = (c, l, x, { kwargs }) => {
  const axis = oneAxis(c, l, x, kwargs)
  const shape = c.net.shape(x)
  const given = option(l, kwargs, 'indices_or_sections', 'num_or_size_splits')
  const size = shape[axis]!
  const ends =
    typeof given === 'number'
      ? Array.from({ length: given }, (_, i) => ((i + 1) * size) / given)
      : [...list(l, given, 'indices_or_sections'), size]
  if (!ends.every((e, i) => Number.isInteger(e) && e > (ends[i - 1] ?? 0) && e <= size)) return malformed(l, 'sections')
  return ends.map((end, i) => {
    const first = ends[i - 1] ?? 0
    return c.net.slice(
      `${l.name}/${i}`,
      x,
      shape.map((_, d) => (d === axis ? first : 0)),
      shape.map((n, d) => (d === axis ? end - first : n)),
    )
  })
}

const clip: Run = (c, l, x, { kwargs }) =>
  c.net.clip(
    l.name,
    x,
    number(option(l, kwargs, 'x_min', 'clip_value_min'), -Infinity),
    number(option(l, kwargs, 'x_max', 'clip_value_max'), Infinity),
  )

const pad: Run = (c, l, x, { kwargs }) => {
  const width = option(l, kwargs, 'pad_width', 'paddings')
  const shape = c.net.shape(x)
  const mode = String(option(l, kwargs, 'mode') ?? 'constant').toLowerCase()
  if (!Array.isArray(width) || width.length !== shape.length) return malformed(l, 'pad_width')
  const pads = width.map((w) => list(l, w, 'pad_width'))
  if (!pads.every((p) => p.length === 2 && p.every((v) => v >= 0))) return malformed(l, 'pad_width')
  const value = number(option(l, kwargs, 'constant_values'), 0)
  const out = shape.map((d, i) => d + pads[i]![0]! + pads[i]![1]!)
  const amounts = c.net.int32(`${l.name}/paddings`, [shape.length, 2], pads.flat())
  if (mode === 'reflect' || mode === 'symmetric') {
    return emit(c, { type: 'MIRROR_PAD', inputs: [x, amounts], attrs: { mode: mode.toUpperCase() } }, l.name, out)
  }
  if (mode !== 'constant') return fail(l, `mode "${mode}"`)
  if (value === 0) return emit(c, { type: 'PAD', inputs: [x, amounts] }, l.name, out)
  const filling = c.net.constant(`${l.name}/value`, { shape: [1], data: Float32Array.of(value) })
  return emit(c, { type: 'PADV2', inputs: [x, amounts, filling] }, l.name, out)
}

const matmul: Run = (c, l, _x, { inputs }) => {
  const [a, b] = operands(c, l, inputs)
  if (b === undefined) return malformed(l, 'number of operands')
  const [sa, sb] = [c.net.shape(a!), c.net.shape(b)]
  if (sa.length < 2 || sb.length < 2 || sa.at(-1) !== sb.at(-2)) return malformed(l, 'operand shapes')
  const batch = broadcast(sa.slice(0, -2), sb.slice(0, -2), l.name)
  return emit(c, { type: 'BATCH_MATMUL', inputs: [a!, b], attrs: { adjX: false, adjY: false } }, l.name, [
    ...batch,
    sa.at(-2)!,
    sb.at(-1)!,
  ])
}

const resize: Run = (c, l, x, { kwargs }) => {
  const [h, w] = list(l, option(l, kwargs, 'size'), 'size')
  const method = option(l, kwargs, 'interpolation') ?? 'bilinear'
  const odd = ['antialias', 'crop_to_aspect_ratio', 'pad_to_aspect_ratio'].find((k) => option(l, kwargs, k) === true)
  if (odd) return fail(l, odd)
  if (method !== 'nearest' && method !== 'bilinear') return fail(l, `interpolation ${JSON.stringify(method)}`)
  c.net.image(x, l.name)
  if (h === undefined || w === undefined) return malformed(l, 'size')
  return c.net.resize(l.name, x, method === 'nearest' ? 'RESIZE_NEAREST_NEIGHBOR' : 'RESIZE_BILINEAR', {
    h,
    w,
    alignCorners: false,
    halfPixelCenters: true,
  })
}

function reversed(c: Context, name: string, x: number, over: readonly number[]): number {
  const at = c.net.int32(`${name}/axes`, [over.length], over)
  return emit(c, { type: 'REVERSE_V2', inputs: [x, at] }, name, c.net.shape(x))
}

/** One part of a subscript: a slice, an index, an ellipsis or a new axis. */
type Part = { slice: [Json, Json, Json] } | { index: number } | 'ellipsis' | 'new'

function partsOf(l: Layer, key: Json): Part[] {
  const items = Array.isArray(key) ? key : [key]
  return items.map((item): Part => {
    if (typeof item === 'number') return { index: item }
    if (item === null) return 'new'
    const config = isObject(item) && isObject(item.config) ? item.config : {}
    if (isObject(item) && item.class_name === '__ellipsis__') return 'ellipsis'
    if (isObject(item) && item.class_name === '__slice__') {
      return { slice: [config.start ?? null, config.stop ?? null, config.step ?? null] }
    }
    return fail(l, `the subscript ${JSON.stringify(item).slice(0, 60)}`)
  })
}

/** x[key] as NumPy has it: slices, indices, an ellipsis, new axes. */
const getItem: Run = (c, l, x, { kwargs, args }) => {
  const key = args[1] ?? kwargs.key
  if (key === undefined) return malformed(l, 'subscript')
  const parts = partsOf(l, key)
  const shape = c.net.shape(x)
  const used = parts.filter((p) => p !== 'ellipsis' && p !== 'new').length
  if (used > shape.length || parts.filter((p) => p === 'ellipsis').length > 1) return malformed(l, 'subscript')
  const whole = (n: number): Part[] => Array.from({ length: n }, () => ({ slice: [null, null, null] }))
  const at = parts.indexOf('ellipsis')
  const full =
    at >= 0
      ? [...parts.slice(0, at), ...whole(shape.length - used), ...parts.slice(at + 1)]
      : [...parts, ...whole(shape.length - used)]
  const [begin, end, step, result] = [[], [], [], []] as [number[], number[], number[], number[]]
  const backwards: number[] = []
  for (const part of full) {
    if (part === 'new' || part === 'ellipsis') {
      result.push(1)
      continue
    }
    const d = shape[begin.length]!
    const bound = (v: Json, fallback: number): number =>
      v === null
        ? fallback
        : typeof v === 'number'
          ? Math.max(0, Math.min(d, v < 0 ? v + d : v))
          : malformed(l, 'slice')
    if ('index' in part) {
      // The batch may be open in the file: here it is 1.
      const i = part.index < 0 ? part.index + d : part.index
      if (i < 0 || i >= d) return malformed(l, 'index')
      begin.push(i)
      end.push(i + 1)
      step.push(1)
      continue
    }
    const s = part.slice[2] ?? 1
    if (typeof s !== 'number' || s === 0) return malformed(l, 'step')
    if (s < 0) backwards.push(begin.length)
    // A negative step counts from the end of the reversed dimension.
    const mirrored = (v: Json): Json => (typeof v === 'number' ? (v < 0 ? -1 - v : d - 1 - v) : v)
    const [first, last] = s < 0 ? [mirrored(part.slice[0]), mirrored(part.slice[1])] : part.slice
    const [from, to] = [bound(first, 0), bound(last, d)]
    if (to <= from) return fail(l, 'an empty slice')
    begin.push(from)
    end.push(to)
    step.push(Math.abs(s))
    result.push(Math.ceil((to - from) / Math.abs(s)))
  }
  const extent = begin.map((b, d) => Math.ceil((end[d]! - b) / step[d]!))
  let y = backwards.length ? reversed(c, `${l.name}/reversed`, x, backwards) : x
  if (step.some((s) => s > 1)) {
    const constants = [begin, end, step].map((v, i) =>
      c.net.int32(`${l.name}/${['begin', 'end', 'step'][i]!}`, [v.length], v),
    )
    const attrs = { beginMask: 0, endMask: 0, ellipsisMask: 0, newAxisMask: 0, shrinkAxisMask: 0 }
    y = emit(c, { type: 'STRIDED_SLICE', inputs: [y, ...constants], attrs }, `${l.name}/slice`, extent)
  } else if (extent.some((n, d) => n !== shape[d])) y = c.net.slice(`${l.name}/slice`, y, begin, extent)
  return result.length === extent.length && result.every((n, i) => n === extent[i])
    ? y
    : c.net.reshape(l.name, y, result)
}

/** Softmax over any dimensions, the last one by itself. */
export const softmaxOver: Run = (c, l, x, { kwargs }) => {
  const shape = c.net.shape(x)
  const over = option(l, kwargs, 'axis') === undefined ? [shape.length - 1] : axes(c, l, x, kwargs)
  if (over.length === 1) return lastAxis(c, l.name, { x, axis: over[0]! }, (name, y) => c.net.softmax(name, y))
  const kept = shape.map((_, d) => d).filter((d) => !over.includes(d))
  const order = [...kept, ...over]
  const moved = order.every((d, i) => d === i) ? x : c.net.transpose(`${l.name}/moved`, x, order)
  const count = elements(over.map((d) => shape[d]!))
  const rows = c.net.reshape(`${l.name}/rows`, moved, [elements(shape) / count, count])
  const y = c.net.reshape(
    `${l.name}/back`,
    c.net.softmax(`${l.name}/softmax`, rows),
    order.map((d) => shape[d]!),
  )
  const back = shape.map((_, d) => order.indexOf(d))
  return back.every((d, i) => d === i) ? y : c.net.transpose(l.name, y, back)
}

/** The tensor `times[d]` times along each dimension. */
export function repeated(c: Context, name: string, x: number, times: readonly number[]): number {
  let y = x
  times.forEach((n, d) => {
    if (n > 1) y = c.net.concat(`${name}/${d}`, new Array<number>(n).fill(y), d)
  })
  return y
}

const tile: Run = (c, l, x, { kwargs }) => {
  const given = list(l, option(l, kwargs, 'repeats', 'multiples'), 'repeats')
  const rank = c.net.shape(x).length
  if (given.length > rank || given.some((n) => n < 1)) return malformed(l, 'repeats')
  return repeated(c, l.name, x, [...new Array<number>(rank - given.length).fill(1), ...given])
}

/** Every value along an axis several times, one beside the other. */
const repeat: Run = (c, l, x, { kwargs }) => {
  const times = option(l, kwargs, 'repeats')
  if (typeof times !== 'number' || times < 1) return fail(l, 'other than one number of repeats')
  if (option(l, kwargs, 'axis') === undefined) return fail(l, 'no axis')
  const axis = oneAxis(c, l, x, kwargs)
  const shape = c.net.shape(x)
  const apart = c.net.reshape(`${l.name}/apart`, x, shape.toSpliced(axis + 1, 0, 1))
  const counts = apart === x ? [] : c.net.shape(apart).map((_, d) => (d === axis + 1 ? times : 1))
  return c.net.reshape(l.name, repeated(c, l.name, apart, counts), shape.with(axis, shape[axis]! * times))
}

const permuted = (c: Context, name: string, x: number, order: readonly number[]): number =>
  order.every((d, i) => d === i) ? x : c.net.transpose(name, x, order)

/** An option that is one dimension, counted from the front. */
const dimension = (c: Context, l: Layer, x: number, { key, kwargs }: { key: string; kwargs: JsonObject }): number => {
  const rank = c.net.shape(x).length
  const given = option(l, kwargs, key)
  const d = typeof given === 'number' && given < 0 ? given + rank : given
  return typeof d === 'number' && Number.isInteger(d) && d >= 0 && d < rank ? d : malformed(l, key)
}

const swapAxes: Run = (c, l, x, { kwargs }) => {
  const [a, b] = [dimension(c, l, x, { kwargs, key: 'axis1' }), dimension(c, l, x, { kwargs, key: 'axis2' })]
  const order = c.net.shape(x).map((_, d) => (d === a ? b : d === b ? a : d))
  return permuted(c, l.name, x, order)
}

const moveAxis: Run = (c, l, x, { kwargs }) => {
  const [from, to] = [dimension(c, l, x, { kwargs, key: 'source' }), dimension(c, l, x, { kwargs, key: 'destination' })]
  const rest = c.net.shape(x).flatMap((_, d) => (d === from ? [] : [d]))
  return permuted(c, l.name, x, rest.toSpliced(to, 0, from))
}

interface Extent {
  axis: number
  first: number
  count: number
}

/** A part of one dimension. */
const part = (c: Context, name: string, x: number, { axis, first, count }: Extent): number =>
  c.net.slice(
    name,
    x,
    c.net.shape(x).map((_, d) => (d === axis ? first : 0)),
    c.net.shape(x).map((n, d) => (d === axis ? count : n)),
  )

const roll: Run = (c, l, x, { kwargs }) => {
  const shift = option(l, kwargs, 'shift')
  if (typeof shift !== 'number' || option(l, kwargs, 'axis') === undefined) return fail(l, 'more than one axis')
  const axis = oneAxis(c, l, x, kwargs)
  const size = c.net.shape(x)[axis]!
  const by = ((shift % size) + size) % size
  if (by === 0) return x
  const parts = [
    part(c, `${l.name}/end`, x, { axis, first: size - by, count: by }),
    part(c, `${l.name}/start`, x, { axis, first: 0, count: size - by }),
  ]
  return c.net.concat(l.name, parts, axis)
}

const unstack: Run = (c, l, x, { kwargs }) => {
  const axis = option(l, kwargs, 'axis') === undefined ? 0 : axes(c, l, x, kwargs)[0]!
  const shape = c.net.shape(x)
  return Array.from({ length: shape[axis]! }, (_, i) =>
    c.net.reshape(
      `${l.name}/${i}`,
      part(c, `${l.name}/part${i}`, x, { axis, first: i, count: 1 }),
      without(shape, axis),
    ),
  )
}

/** Constant places along an axis, as slices one behind the other. */
const take: Run = (c, l, x, { inputs, kwargs, args }) => {
  const given = args[1] ?? option(l, kwargs, 'indices')
  const operand = inputs[1]
  const at =
    typeof given === 'number' || Array.isArray(given)
      ? list(l, given, 'indices')
      : typeof operand === 'object' && typeof operand.constant === 'object'
        ? [...operand.constant.data]
        : fail(l, 'computed indices')
  if (option(l, kwargs, 'axis') === undefined) return fail(l, 'no axis')
  const axis = oneAxis(c, l, x, kwargs)
  const size = c.net.shape(x)[axis]!
  const places = at.map((i) => (i < 0 ? i + size : i))
  if (!places.length || !places.every((i) => Number.isInteger(i) && i >= 0 && i < size)) return malformed(l, 'indices')
  const parts = places.map((i, n) => part(c, `${l.name}/${n}`, x, { axis, first: i, count: 1 }))
  const y = parts.length === 1 ? parts[0]! : c.net.concat(l.name, parts, axis)
  return typeof given === 'number' ? c.net.reshape(l.name, y, without(c.net.shape(x), axis)) : y
}

/** sqrt(sum(x x)), or sum(|x|) where the order is 1. */
function length(
  c: Context,
  l: Layer,
  x: number,
  o: { axes: number[]; keepDims: boolean; order: Json | undefined },
): number {
  const reduced = (name: string, y: number): number => c.net.reduce(name, y, { type: 'SUM', ...o })
  if (o.order === 1) return reduced(`${l.name}/length`, c.net.map(`${l.name}/abs`, { type: 'ABS' }, x))
  if (o.order !== undefined && o.order !== 2 && o.order !== 'euclidean') {
    return fail(l, `order ${JSON.stringify(o.order)}`)
  }
  const sum = reduced(`${l.name}/sum`, c.net.binary(`${l.name}/square`, 'MUL', x, x))
  return c.net.map(`${l.name}/length`, { type: 'SQRT' }, sum)
}

const norm: Run = (c, l, x, { kwargs }) =>
  length(c, l, x, {
    axes: axes(c, l, x, kwargs),
    keepDims: option(l, kwargs, 'keepdims') === true,
    order: option(l, kwargs, 'ord'),
  })

const normalize: Run = (c, l, x, { kwargs }) => {
  const over = [option(l, kwargs, 'axis') === undefined ? c.net.shape(x).length - 1 : oneAxis(c, l, x, kwargs)]
  const order = option(l, kwargs, 'order')
  if (order === undefined || order === 2) {
    return lastAxis(c, l.name, { x, axis: over[0]! }, (name, y) =>
      emit(c, { type: 'L2_NORMALIZATION', inputs: [y], attrs: { activation: 'NONE' } }, name, c.net.shape(y)),
    )
  }
  return both(c, 'DIV', l.name, [x, length(c, l, x, { axes: over, keepDims: true, order })])
}

const function_ =
  (name: string): Run =>
  (c, l, x, { kwargs }) => {
    const config: JsonObject = { ...kwargs, ...l.config }
    return activate(c, l, x, { class_name: name, config })
  }

const same: Run = (_c, _l, x) => x

/** By the operation's name in lower case without underscores; TensorFlow's names beside NumPy's. */
const OPERATIONS: Record<string, Run> = {
  add: pair('ADD'),
  addv2: pair('ADD'),
  subtract: pair('SUB'),
  sub: pair('SUB'),
  multiply: pair('MUL'),
  mul: pair('MUL'),
  divide: pair('DIV'),
  truediv: pair('DIV'),
  truedivide: pair('DIV'),
  maximum: pair('MAXIMUM'),
  minimum: pair('MINIMUM'),
  power,
  pow: power,
  squareddifference: pair('SQUARED_DIFFERENCE'),
  absolute: unary('ABS'),
  abs: unary('ABS'),
  negative: unary('NEG'),
  neg: unary('NEG'),
  exp: unary('EXP'),
  log: unary('LOG'),
  sin: unary('SIN'),
  cos: unary('COS'),
  floor: unary('FLOOR'),
  ceil: unary('CEIL'),
  sign: unary('SIGN'),
  sqrt: unary('SQRT'),
  rsqrt: unary('RSQRT'),
  square: (c, l, x) => c.net.binary(l.name, 'MUL', x, x),
  mean: reduce('MEAN'),
  reducemean: reduce('MEAN'),
  sum: reduce('SUM'),
  reducesum: reduce('SUM'),
  max: reduce('REDUCE_MAX'),
  amax: reduce('REDUCE_MAX'),
  reducemax: reduce('REDUCE_MAX'),
  min: reduce('REDUCE_MIN'),
  amin: reduce('REDUCE_MIN'),
  reducemin: reduce('REDUCE_MIN'),
  var: variance,
  argmax: best('ARG_MAX'),
  argmin: best('ARG_MIN'),
  reshape,
  transpose,
  expanddims: expandDims,
  squeeze,
  concatenate,
  concat: concatenate,
  stack,
  split,
  clip,
  clipbyvalue: clip,
  pad,
  matmul,
  resize,
  getitem: getItem,
  flip: (c, l, x, { kwargs }) => reversed(c, l.name, x, axes(c, l, x, kwargs)),
  softmax: softmaxOver,
  tile,
  repeat,
  swapaxes: swapAxes,
  moveaxis: moveAxis,
  roll,
  unstack,
  take,
  std: (c, l, x, call) => {
    const squared = variance(c, { ...l, name: `${l.name}/variance` }, x, call) as number
    return c.net.map(l.name, { type: 'SQRT' }, squared)
  },
  norm,
  normalize,
  logsumexp: (c, l, x, { kwargs }) => {
    const o = { axes: axes(c, l, x, kwargs), keepDims: option(l, kwargs, 'keepdims') === true }
    const sum = c.net.reduce(`${l.name}/sum`, c.net.map(`${l.name}/exp`, { type: 'EXP' }, x), { type: 'SUM', ...o })
    return c.net.map(l.name, { type: 'LOG' }, sum)
  },
  log1p: (c, l, x) => c.net.map(l.name, { type: 'LOG' }, c.net.affine(`${l.name}/plus1`, x, [1], [1])),
  expm1: (c, l, x) => c.net.affine(l.name, c.net.map(`${l.name}/exp`, { type: 'EXP' }, x), [1], [-1]),
  reciprocal: (c, l, x) =>
    both(c, 'DIV', l.name, [c.net.constant(`${l.name}/one`, { shape: [1], data: Float32Array.of(1) }), x]),
  identity: same,
  stopgradient: same,
  cast: same,
  castt: same,
  copy: same,
}
for (const name of [
  'relu',
  'relu6',
  'sigmoid',
  'tanh',
  'silu',
  'swish',
  'hard_silu',
  'hard_swish',
  'hard_sigmoid',
  'leaky_relu',
  'elu',
  'celu',
  'selu',
  'gelu',
  'softplus',
  'softsign',
  'mish',
  'log_softmax',
  'log_sigmoid',
  'hard_tanh',
  'soft_shrink',
  'tanh_shrink',
  'squareplus',
  'sparse_plus',
  'sparse_sigmoid',
  'glu',
  'exponential',
]) {
  OPERATIONS[name.replaceAll('_', '')] = function_(name)
}

/** The operation of this name; undefined where there is none. */
export const operation = (name: string): Run | undefined => {
  const key = name.replace(/^.*\./, '').replaceAll('_', '').toLowerCase()
  return Object.hasOwn(OPERATIONS, key) ? OPERATIONS[key] : undefined
}
