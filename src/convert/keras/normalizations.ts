/** Keras' normalizations, and products of whole tensors. */
import { elements } from '../../graph/graph.ts'
import { fail, malformed, number, type Context, type Layer, type Run } from './layer.ts'
import { axes, emit, operands, option } from './operations.ts'

/** Values along some dimensions as a constant that broadcasts over the others. */
function spread(c: Context, name: string, x: number, { over, data }: { over: readonly number[]; data: Float32Array }) {
  const shape = c.net.shape(x).map((n, d) => (over.includes(d) ? n : 1))
  const first = shape.findIndex((n) => n !== 1)
  return c.net.constant(name, { shape: first < 0 ? [1] : shape.slice(first), data })
}

/** Gains and offsets along some dimensions, where the layer has them. */
function scaled(c: Context, l: Layer, y: number, over: readonly number[]): number {
  const want = [...(l.config.scale === false ? [] : ['gamma']), ...(l.config.center === false ? [] : ['beta'])]
  const shape = over.map((d) => c.net.shape(y)[d]!)
  const got = c.weights.get(
    l.path,
    want.map((name) => ({ name, shape })),
  )
  const of = (name: string): Float32Array | undefined => got[want.indexOf(name)]?.data
  const [gain, offset] = [of('gamma'), of('beta')]
  if (over.length === 1 && over[0] === c.net.shape(y).length - 1) {
    return want.length ? c.net.affine(`${l.name}/scaled`, y, gain ?? [1], offset ?? [0]) : y
  }
  const z = gain ? c.net.binary(`${l.name}/scaled`, 'MUL', y, spread(c, `${l.name}/gamma`, y, { over, data: gain })) : y
  return offset
    ? c.net.binary(`${l.name}/shifted`, 'ADD', z, spread(c, `${l.name}/beta`, y, { over, data: offset }))
    : z
}

export const layerNorm: Run = (c, l, x, { kwargs }) => {
  if (l.config.rms_scaling === true) return fail(l, 'rms_scaling')
  const over = option(l, kwargs, 'axis') === undefined ? [c.net.shape(x).length - 1] : axes(c, l, x, kwargs)
  const y = c.net.standardize(l.name, x, over, number(l.config.epsilon, 1e-3))
  return scaled(c, l, y, over)
}

/** x / sqrt(mean(x x) + epsilon), scaled. */
export const rmsNorm: Run = (c, l, x, { kwargs }) => {
  const over = option(l, kwargs, 'axis') === undefined ? [c.net.shape(x).length - 1] : axes(c, l, x, kwargs)
  const mean = c.net.mean(`${l.name}/mean`, c.net.binary(`${l.name}/square`, 'MUL', x, x), over, true)
  const sum = c.net.affine(`${l.name}/epsilon`, mean, [1], [number(l.config.epsilon, 1e-6)])
  const y = c.net.binary(`${l.name}/normal`, 'MUL', x, c.net.map(`${l.name}/rsqrt`, { type: 'RSQRT' }, sum))
  const shape = c.net.shape(x)
  const [scale] = c.weights.get(l.path, [{ name: 'scale', shape: over.map((d) => shape[d]!) }])
  return c.net.binary(l.name, 'MUL', y, spread(c, `${l.name}/scale`, y, { over, data: scale!.data }))
}

export const groupNorm: Run = (c, l, x) => {
  const shape = c.net.shape(x)
  const channels = shape.at(-1)!
  if (![-1, shape.length - 1].includes(number(l.config.axis, -1))) {
    return fail(l, `axis ${JSON.stringify(l.config.axis)}`)
  }
  const given = number(l.config.groups, 32)
  const groups = given === -1 ? channels : given
  if (groups < 1 || channels % groups !== 0) return malformed(l, 'groups')
  const places = elements(shape.slice(1, -1))
  const apart = c.net.reshape(`${l.name}/groups`, x, [shape[0]!, places, groups, channels / groups])
  const y = c.net.standardize(l.name, apart, [1, 3], number(l.config.epsilon, 1e-3))
  return scaled(c, l, c.net.reshape(`${l.name}/together`, y, shape), [shape.length - 1])
}

/** x / sqrt(sum(x x)), which is at least 1e-12. */
function unit(c: Context, name: string, x: number, over: readonly number[]): number {
  if (over.length === 1 && over[0] === c.net.shape(x).length - 1) {
    return emit(c, { type: 'L2_NORMALIZATION', inputs: [x], attrs: { activation: 'NONE' } }, name, c.net.shape(x))
  }
  const square = c.net.binary(`${name}/square`, 'MUL', x, x)
  const sum = c.net.reduce(`${name}/sum`, square, { type: 'SUM', axes: over, keepDims: true })
  const some = c.net.pair(
    `${name}/some`,
    'MAXIMUM',
    sum,
    c.net.constant(`${name}/least`, { shape: [1], data: Float32Array.of(1e-12) }),
  )
  return c.net.binary(name, 'MUL', x, c.net.map(`${name}/rsqrt`, { type: 'RSQRT' }, some))
}

export const unitNorm: Run = (c, l, x, { kwargs }) =>
  unit(c, l.name, x, option(l, kwargs, 'axis') === undefined ? [c.net.shape(x).length - 1] : axes(c, l, x, kwargs))

/** Sums of products along one axis of each tensor, batch by batch. */
export const dot: Run = (c, l, _x, { inputs }) => {
  const [a, b] = operands(c, l, inputs)
  if (a === undefined || b === undefined) return malformed(l, 'number of inputs')
  const ranks = [a, b].map((t) => c.net.shape(t).length)
  const given = Array.isArray(l.config.axes) ? l.config.axes : [l.config.axes, l.config.axes]
  const at = ranks.map((rank, i) => (number(given[i], -1) + rank) % rank)
  if (ranks.some((r) => r !== 2 && r !== 3) || at.includes(0)) return fail(l, 'these axes')
  /** [batch, others, values along the axis]. */
  const rows = [a, b].map((t, i) => {
    const x = l.config.normalize === true ? unit(c, `${l.name}/unit${i}`, t, [at[i]!]) : t
    const [n, d1, d2] = c.net.shape(x) as [number, number, number]
    if (ranks[i] === 2) return c.net.reshape(`${l.name}/row${i}`, x, [n, 1, d1])
    return at[i] === 1 && d2 ? c.net.transpose(`${l.name}/rows${i}`, x, [0, 2, 1]) : x
  })
  const [p, q] = rows as [number, number]
  if (c.net.shape(p)[2] !== c.net.shape(q)[2]) return malformed(l, 'axes')
  if (ranks.every((r) => r === 2)) {
    const sums = c.net.binary(`${l.name}/product`, 'MUL', p, q)
    return c.net.reshape(l.name, c.net.reduce(`${l.name}/sum`, sums, { type: 'SUM', axes: [2], keepDims: false }), [
      c.net.shape(p)[0]!,
      1,
    ])
  }
  const shape = [c.net.shape(p)[0]!, c.net.shape(p)[1]!, c.net.shape(q)[1]!]
  const y = emit(
    c,
    {
      type: 'BATCH_MATMUL',
      inputs: [p, c.net.transpose(`${l.name}/columns`, q, [0, 2, 1])],
      attrs: { adjX: false, adjY: false },
    },
    `${l.name}/product`,
    shape,
  )
  const kept = shape.filter((_, d) => d === 0 || ranks[d - 1] === 3)
  return kept.length === 3 ? y : c.net.reshape(l.name, y, kept)
}
