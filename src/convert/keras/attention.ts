/** Keras' attention layers. Masks are not read: none is what inference on whole inputs has. */
import { elements } from '../../graph/graph.ts'
import type { Values } from '../builder.ts'
import { transpose } from '../values.ts'
import { fail, integer, malformed, number, type Call, type Context, type Layer, type Run } from './layer.ts'

const matmul = (c: Context, name: string, a: number, b: number): number => {
  const [sa, sb] = [c.net.shape(a), c.net.shape(b)]
  const attrs = { adjX: false, adjY: false }
  return c.net.op<never>({ type: 'BATCH_MATMUL', inputs: [a, b], attrs } as never, name, [
    ...sa.slice(0, -1),
    sb.at(-1)!,
  ])
}

const tensorsOf = (l: Layer, { inputs, kwargs }: Call): { query: number; value: number; key: number } => {
  for (const name of ['use_causal_mask', 'attention_mask', 'query_mask', 'value_mask', 'key_mask', 'mask']) {
    const given = kwargs[name]
    if (given !== undefined && given !== null && given !== false) return fail(l, name)
  }
  const [query, value, key, ...more] = inputs.filter((i) => typeof i === 'number')
  if (query === undefined || value === undefined || more.length) return malformed(l, 'number of inputs')
  return { query, value, key: key ?? value }
}

/** softmax(query key^T) value over the last two dimensions. */
function attend(c: Context, name: string, { query, value, key }: Record<'query' | 'value' | 'key', number>): number {
  const rank = c.net.shape(key).length
  const order = Array.from({ length: rank }, (_, i) => (i < rank - 2 ? i : 2 * rank - 3 - i))
  const scores = matmul(c, `${name}/scores`, query, c.net.transpose(`${name}/keys`, key, order))
  return matmul(c, `${name}/sum`, c.net.softmax(`${name}/softmax`, scores), value)
}

export const multiHead: Run = (c, l, _x, call) => {
  const { query, value, key } = tensorsOf(l, call)
  const odd = ['use_gate', 'sliding_window', 'flash_attention'].find((k) => Boolean(l.config[k]))
  if (odd) return fail(l, odd)
  const heads = integer(l, l.config.num_heads, 'num_heads')
  const size = integer(l, l.config.key_dim, 'key_dim')
  const shapes = [query, value, key].map((t) => c.net.shape(t))
  if (shapes.some((s) => s.length !== 3 || s[0] !== 1)) return fail(l, 'anything but sequences [1, steps, values]')
  const bias = l.config.use_bias !== false
  const own = (name: string, kernel: number[], added: number[]): Values[] =>
    c.weights.get(
      [...l.path, c.weights.inner(l.path).find((n) => n === name) ?? `${name}_dense`],
      [{ name: 'kernel', shape: kernel }, ...(bias ? [{ name: 'bias', shape: added }] : [])],
    )
  /** [1, steps, values] to [1, heads, steps, depth]; `gain` goes into the weights. */
  const split = (name: string, x: number, depth: number, gain = 1): number => {
    const [, steps, values] = c.net.shape(x) as [number, number, number]
    const [w, b] = own(name, [values, heads, depth], [heads, depth])
    const scaled = (v: Float32Array): Float32Array => (gain === 1 ? v : v.map((e) => e * gain))
    const y = c.net.fullyConnected(`${l.name}/${name}`, x, {
      filter: transpose(scaled(w!.data), [values, heads * depth], [1, 0]),
      bias: b && scaled(b.data),
    })
    const apart = c.net.reshape(`${l.name}/${name}/heads`, y, [1, steps, heads, depth])
    return c.net.transpose(`${l.name}/${name}/first`, apart, [0, 2, 1, 3])
  }
  const depth = number(l.config.value_dim, size)
  const together = attend(c, l.name, {
    query: split('query', query, size, 1 / Math.sqrt(size)),
    key: split('key', key, size),
    value: split('value', value, depth),
  })
  const steps = shapes[0]![1]!
  const back = c.net.transpose(`${l.name}/back`, together, [0, 2, 1, 3])
  const rows = c.net.reshape(`${l.name}/rows`, back, [steps, heads * depth])
  const given = l.config.output_shape
  const out = typeof given === 'number' ? given : Array.isArray(given) ? elements(given as number[]) : shapes[0]![2]!
  const name = c.weights.inner(l.path).includes('attention_output') ? 'attention_output' : 'output'
  const [w, b] = own(name, [heads, depth, out], [out])
  const y = c.net.fullyConnected(`${l.name}/output`, rows, {
    filter: transpose(w!.data, [heads * depth, out], [1, 0]),
    bias: b?.data,
  })
  if (call.kwargs.return_attention_scores === true) return fail(l, 'return_attention_scores')
  return c.net.reshape(l.name, y, [1, steps, out])
}

export const attention: Run = (c, l, _x, call) => {
  const { query, value, key } = tensorsOf(l, call)
  if ((l.config.score_mode ?? 'dot') !== 'dot') return fail(l, `score_mode ${JSON.stringify(l.config.score_mode)}`)
  const [scale] = l.config.use_scale === true ? c.weights.get(l.path, [{ name: 'scale', shape: [] }]) : []
  const scaled = scale ? c.net.affine(`${l.name}/scaled`, query, [scale.data[0]!], [0]) : query
  return attend(c, l.name, { query: scaled, value, key })
}

export const additive: Run = (c, l, _x, call) => {
  const { query, value, key } = tensorsOf(l, call)
  const [[n, tq, depth], [, tv]] = [c.net.shape(query), c.net.shape(key)] as [number[], number[]]
  const sum = c.net.binary(
    `${l.name}/sum`,
    'ADD',
    c.net.reshape(`${l.name}/queries`, query, [n!, tq!, 1, depth!]),
    c.net.reshape(`${l.name}/keys`, key, [n!, 1, tv!, depth!]),
  )
  const bent = c.net.unary(`${l.name}/tanh`, 'TANH', sum)
  const [scale] = l.config.use_scale === false ? [] : c.weights.get(l.path, [{ name: 'scale', shape: [depth!] }])
  const scaled = scale ? c.net.affine(`${l.name}/scaled`, bent, scale.data, [0]) : bent
  const scores = c.net.reduce(`${l.name}/scores`, scaled, { type: 'SUM', axes: [3], keepDims: false })
  return matmul(c, l.name, c.net.softmax(`${l.name}/softmax`, scores), value)
}
