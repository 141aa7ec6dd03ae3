/** Activations, arithmetic and batch norm of ONNX: ops that do not care about the layout. */
import { type OpOf } from '../../graph/graph.ts'
import type { Nonlinearity } from '../net.ts'
import { attribute, constant, constantInput, fail, malformed, numbersOf, type Handler, type Reader } from './reader.ts'
import type { OnnxNode } from './model.ts'
import { NCHW, type Activation, type Value } from './values.ts'

/** Applies a map that works element by element; a flattening that is still open stays open. */
function elementwise(r: Reader, n: OnnxNode, i: number, f: (id: number) => number): Value[] {
  const x = r.input(n, i)
  if (x.kind === 'flat') return [{ kind: 'flat', of: { ...x.of, id: f(x.of.id) } }]
  const settled = r.net.settled(n.name, x)
  return [{ ...settled, id: f(settled.id) }]
}

export const activation =
  (kind: Nonlinearity): Handler =>
  (r, n) =>
    elementwise(r, n, 0, (id) => r.net.activation(n.name, id, kind))

export const hardSigmoid: Handler = (r, n) =>
  elementwise(r, n, 0, (id) =>
    r.net.hardSigmoid(n.name, id, attribute.float(n, 'alpha', 0.2), attribute.float(n, 'beta', 0.5)),
  )

export const negate: Handler = (r, n) => elementwise(r, n, 0, (id) => r.net.affine(n.name, id, [-1], [0]))

export const leakyRelu: Handler = (r, n) =>
  elementwise(r, n, 0, (id) => r.net.leakyRelu(n.name, id, attribute.float(n, 'alpha', 0.01)))

export const clip: Handler = (r, n) => {
  const bound = (i: number, key: string, open: number): number => {
    const given =
      n.attributes.get(key)?.f ??
      (n.inputs[i] ? (numbersOf(r.input(n, i))?.[0] ?? fail(n, 'bounds that are not constant')) : undefined)
    return given === undefined || Math.abs(given) > 1e30 ? open : given
  }
  const [lo, hi] = [bound(1, 'min', -Infinity), bound(2, 'max', Infinity)]
  return elementwise(r, n, 0, (id) => r.net.clip(n.name, id, lo, hi))
}

/** A function of one input that the graph has an op for. */
export const map =
  (type: 'ABS' | 'EXP' | 'LOG' | 'SQRT' | 'SIN' | 'COS' | 'FLOOR' | 'CEIL' | 'SIGN'): Handler =>
  (r, n) =>
    elementwise(r, n, 0, (id) => r.net.map(n.name, { type }, id))

/** A function of one input that takes several ops. */
export const made =
  (f: (r: Reader, n: OnnxNode, id: number) => number): Handler =>
  (r, n) =>
    elementwise(r, n, 0, (id) => f(r, n, id))

export const elu = made((r, n, id) => {
  const alpha = attribute.float(n, 'alpha', 1)
  return alpha === 1 ? r.net.map(n.name, { type: 'ELU' }, id) : r.net.scaledElu(n.name, id, { scale: 1, alpha })
})
export const selu = made((r, n, id) =>
  r.net.scaledElu(n.name, id, {
    scale: attribute.float(n, 'gamma', 1.0507009873554805),
    alpha: attribute.float(n, 'alpha', 1.6732632423543772),
  }),
)
export const celu = made((r, n, id) => r.net.celu(n.name, id, attribute.float(n, 'alpha', 1)))
export const softplus = made((r, n, id) => r.net.softplus(n.name, id))
export const softsign = made((r, n, id) => r.net.softsign(n.name, id))
export const mish = made((r, n, id) => r.net.mish(n.name, id))
export const reciprocal = made((r, n, id) =>
  r.net.binary(n.name, 'DIV', r.net.constant(`${n.name}/one`, { shape: [1], data: Float32Array.of(1) }), id),
)

export const gelu: Handler = (r, n) => {
  const approximate = attribute.text(n, 'approximate', 'none') === 'tanh'
  return elementwise(r, n, 0, (id) => r.net.map(n.name, { type: 'GELU', attrs: { approximate } }, id))
}

/** A whole power as products, a half one as a root. */
export const power: Handler = (r, n) => {
  const by = numbersOf(r.input(n, 1))
  if (by?.length !== 1 || ![0.5, 1, 2, 3, 4].includes(by[0]!)) {
    return fail(n, 'an exponent other than 0.5, 1, 2, 3 or 4')
  }
  return elementwise(r, n, 0, (id) => {
    if (by[0] === 0.5) return r.net.map(n.name, { type: 'SQRT' }, id)
    let y = id
    for (let i = 2; i <= by[0]!; i++) y = r.net.binary(`${n.name}/${i}`, 'MUL', y, id)
    return y
  })
}

/** Over the last dimension, with gains and offsets. */
export const layerNorm: Handler = (r, n) => {
  const x = r.net.settled(n.name, r.input(n, 0))
  const shape = r.net.onnxShape(x)
  const axis = attribute.int(n, 'axis', -1)
  if (axis !== -1 && axis !== shape.length - 1) return fail(n, `axis ${axis}`)
  const permutation = shape.map((_, i) => i)
  const y = r.net.standardize(
    n.name,
    r.net.arrange(n.name, x, permutation),
    [shape.length - 1],
    attribute.float(n, 'epsilon', 1e-5),
  )
  const gain = constantInput(r, n, 1).value.data
  const offset = n.inputs[2] ? constantInput(r, n, 2).value.data : [0]
  return [
    { kind: 'tensor', id: r.net.affine(`${n.name}/scaled`, y, Array.from(gain), Array.from(offset)), permutation },
  ]
}

/** Over groups of channels; gains and offsets are of the groups before opset 21, of the channels from then on. */
export const groupNorm: Handler = (r, n) => {
  const x = r.net.settled(n.name, r.input(n, 0))
  const rank = x.permutation.length
  const last = [0, rank - 1, ...Array.from({ length: rank - 2 }, (_, i) => i + 1)]
  const id = r.net.arrange(`${n.name}/last`, x, last)
  const shape = r.net.shape(id)
  const [batch, channels] = [shape[0]!, shape.at(-1)!]
  const groups = attribute.int(n, 'num_groups', 0)
  if (rank < 3 || groups < 1 || channels % groups !== 0) return malformed(n, 'num_groups')
  const places = shape.slice(1, -1).reduce((a, b) => a * b, 1)
  const apart = r.net.reshape(`${n.name}/groups`, id, [batch, places, groups, channels / groups])
  const normal = r.net.standardize(n.name, apart, [1, 3], attribute.float(n, 'epsilon', 1e-5))
  const perChannel = (i: number): number[] => {
    const { data } = constantInput(r, n, i).value
    if (data.length !== channels && data.length !== groups) return malformed(n, 'gains or offsets')
    return Array.from({ length: channels }, (_, c) => data[Math.floor((c * data.length) / channels)]!)
  }
  const together = r.net.reshape(`${n.name}/together`, normal, shape)
  const y = r.net.affine(`${n.name}/scaled`, together, perChannel(1), perChannel(2))
  return [{ kind: 'tensor', id: y, permutation: last }]
}

/** Over all but batch and channels, then a gain and an offset for each channel. */
export const instanceNorm: Handler = (r, n) => {
  const x = r.net.settled(n.name, r.input(n, 0))
  const rank = x.permutation.length
  if (rank < 3) return malformed(n, 'input')
  const over = x.permutation.slice(2).sort((a, b) => a - b)
  const id = r.net.standardize(n.name, x.id, over, attribute.float(n, 'epsilon', 1e-5))
  const perChannel = (i: number): Value => {
    const { value } = constantInput(r, n, i)
    return constant(value.name, { ...value, shape: [1, value.data.length, ...new Array<number>(rank - 2).fill(1)] })
  }
  const all = (i: number, v: number): boolean => constantInput(r, n, i).value.data.every((d) => d === v)
  let y: Value = { ...x, id }
  if (!all(1, 1)) y = combine(r, `${n.name}/gain`, 'MUL', [y, perChannel(1)])
  if (!all(2, 0)) y = combine(r, `${n.name}/offset`, 'ADD', [y, perChannel(2)])
  return [y]
}

/** Min and Max: with a constant number, or of several activations. */
export const bound =
  (side: 'min' | 'max'): Handler =>
  (r, n) => {
    if (n.inputs.length > 1 && n.inputs.every((_, i) => r.input(n, i).kind !== 'constant')) {
      const type = side === 'min' ? ('MINIMUM' as const) : ('MAXIMUM' as const)
      return [
        n.inputs
          .slice(1)
          .reduce(
            (total, _, i) =>
              combine(r, i === n.inputs.length - 2 ? n.name : `${n.name}/${i}`, type, [total, r.input(n, i + 1)]),
            r.input(n, 0),
          ),
      ]
    }
    const at = n.inputs.length === 2 ? [0, 1].find((i) => r.input(n, i).kind === 'constant') : undefined
    const value = at === undefined ? undefined : numbersOf(r.input(n, at))
    if (value === undefined || value.some((v) => v !== value[0])) {
      return fail(n, 'operands that are not one constant number')
    }
    return elementwise(r, n, 1 - at!, (id) =>
      side === 'min' ? r.net.clip(n.name, id, -Infinity, value[0]!) : r.net.clip(n.name, id, value[0]!, Infinity),
    )
  }

export const prelu: Handler = (r, n) => {
  const slope = constantInput(r, n, 1).value
  const x = r.input(n, 0)
  const shape = r.net.onnxShape(x)
  if (
    slope.data.length !== 1 &&
    (slope.data.length !== shape[1] ||
      (slope.shape.length !== shape.length - 1 && slope.shape.length !== shape.length) ||
      slope.shape[slope.shape.length - shape.length + 1] !== shape[1])
  ) {
    return fail(n, `slopes of shape [${slope.shape.join(', ')}]`)
  }
  if (shape.length !== 4) return fail(n, `rank ${shape.length}`)
  return [{ kind: 'tensor', id: r.net.prelu(n.name, r.net.nhwc(n.name, x), slope.data), permutation: NCHW }]
}

function combine(
  r: Reader,
  name: string,
  type: 'ADD' | 'SUB' | 'MUL' | 'DIV' | 'MAXIMUM' | 'MINIMUM',
  [a, b]: readonly [Value, Value],
): Value {
  const rank = Math.max(r.net.onnxShape(a).length, r.net.onnxShape(b).length)
  const permutation = commonLayout(r, [a, b], rank)
  const [x, y] = [r.net.arrange(`${name}/a`, a, permutation), r.net.arrange(`${name}/b`, b, permutation)]
  const id = type === 'MAXIMUM' || type === 'MINIMUM' ? r.net.pair(name, type, x, y) : r.net.binary(name, type, x, y)
  return { kind: 'tensor', id, permutation }
}

export const binary =
  (type: 'ADD' | 'SUB' | 'MUL' | 'DIV'): Handler =>
  (r, n) => [combine(r, n.name, type, [r.input(n, 0), r.input(n, 1)])]

export const sum: Handler = (r, n) => [
  n.inputs
    .slice(1)
    .reduce(
      (total, _, i) =>
        combine(r, i === n.inputs.length - 2 ? n.name : `${n.name}/${i}`, 'ADD', [total, r.input(n, i + 1)]),
      r.input(n, 0),
    ),
]

/** The layout that the largest operand is stored in; others follow. */
export function commonLayout(r: Reader, values: readonly Value[], rank: number): readonly number[] {
  const plain = Array.from({ length: rank }, (_, i) => i)
  const candidates = values.filter((v): v is Activation => v.kind === 'tensor' && v.permutation.length === rank)
  const size = (v: Activation): number => r.net.shape(v.id).reduce((p, d) => p * d, 1)
  return candidates.sort((p, q) => size(q) - size(p))[0]?.permutation ?? plain
}

export const batchNorm: Handler = (r, n) => {
  const x = r.input(n, 0)
  const rank = r.net.onnxShape(x).length
  const [gamma, beta, mean, variance] = [1, 2, 3, 4].map((i) =>
    Float32Array.from(constantInput(r, n, i).value.data),
  ) as [Float32Array, Float32Array, Float32Array, Float32Array]
  if ([gamma, beta, variance].some((v) => v.length !== mean.length)) return malformed(n, 'statistics')
  if (attribute.int(n, 'training_mode', 0) !== 0 || attribute.int(n, 'spatial', 1) !== 1) {
    return fail(n, 'training mode')
  }
  // Channels are axis 1: stored last.
  const permutation = rank === 4 ? NCHW : rank === 3 ? [0, 2, 1] : rank === 2 ? [0, 1] : fail(n, `rank ${rank}`)
  const id = r.net.batchNorm(n.name, r.net.arrange(n.name, x, permutation), {
    gamma,
    beta,
    mean,
    variance,
    epsilon: attribute.float(n, 'epsilon', 1e-5),
  })
  return [{ kind: 'tensor', id, permutation }]
}

export const softmax: Handler = (r, n) => overAxis(r, n, (name, x) => r.net.softmax(name, x))

export const logSoftmax: Handler = (r, n) => overAxis(r, n, (name, x) => r.net.map(name, { type: 'LOG_SOFTMAX' }, x))

/** A function over the last dimension, applied over the node's axis. */
function overAxis(r: Reader, n: OnnxNode, f: (name: string, x: number) => number): Value[] {
  const x = r.net.settled(n.name, r.input(n, 0))
  const shape = r.net.onnxShape(x)
  const rank = shape.length
  const given = attribute.int(n, 'axis', r.opset >= 13 ? -1 : 1)
  const axis = given < 0 ? given + rank : given
  if (axis >= rank) return malformed(n, 'axis')
  if (r.opset < 13 && shape.slice(axis + 1).some((d) => d !== 1)) {
    // Old softmax runs over everything from the axis on.
    const depth = shape.slice(axis).reduce((a, b) => a * b, 1)
    const rows = r.net.reshape(`${n.name}/rows`, r.net.plain(n.name, x), [
      shape.slice(0, axis).reduce((a, b) => a * b, 1),
      depth,
    ])
    return [
      {
        kind: 'tensor',
        id: r.net.reshape(n.name, f(`${n.name}/rows`, rows), shape),
        permutation: shape.map((_, i) => i),
      },
    ]
  }
  const permutation =
    x.permutation[axis] === rank - 1
      ? x.permutation
      : shape.map((_, i) => (i === axis ? rank - 1 : i < axis ? i : i - 1))
  return [{ kind: 'tensor', id: f(n.name, r.net.arrange(n.name, x, permutation)), permutation }]
}

/** Same value again: dropout at inference, identity, casts between float types. */
export const identity: Handler = (r, n) => [r.input(n, 0)]

export const cast: Handler = (r, n) => {
  const to = attribute.int(n, 'to', 1)
  const x = r.input(n, 0)
  if (![1, 10, 11, 16].includes(to)) return fail(n, `target type ${to}`)
  if (x.kind === 'tensor' && r.net.tensors[x.id]!.dtype !== 'float32') {
    const shape = r.net.shape(x.id)
    return [{ ...x, id: r.net.op<OpOf<'CAST'>>({ type: 'CAST', inputs: [x.id], attrs: {} }, n.name, shape) }]
  }
  return [x]
}
