/** Activation functions of Keras, by name, in the graph's ops. */
import type { OpType } from '../../graph/graph.ts'
import type { Nonlinearity } from '../net.ts'
import { isObject, type Json } from './config.ts'
import { fail, malformed, number, type Context, type Layer } from './layer.ts'

/** What one function is made from: x, its name, and the parameters that the file gives it. */
interface Use {
  c: Context
  l: Layer
  name: string
  x: number
  config: Json | undefined
}

const SAME: Record<string, Nonlinearity> = {
  linear: 'linear',
  relu: 'relu',
  relu6: 'relu6',
  sigmoid: 'sigmoid',
  tanh: 'tanh',
  softmax: 'softmax',
  swish: 'swish',
  silu: 'swish',
  hardswish: 'hard_swish',
  hardsilu: 'hard_swish',
}

const map = ({ c }: Use, type: OpType, from: number, as: string): number => c.net.map(as, { type }, from)
const plus = ({ c }: Use, from: number, as: string, offset: number): number => c.net.affine(as, from, [1], [offset])
const parameter = ({ config }: Use, key: string, fallback: number): number =>
  number(isObject(config) ? config[key] : undefined, fallback)

const FUNCTIONS: Record<string, (u: Use) => number> = {
  hardsigmoid: ({ c, name, x }) =>
    c.keras3 ? c.net.hardSigmoid(name, x, 1 / 6, 0.5) : c.net.hardSigmoid(name, x, 0.2, 0.5),
  leakyrelu: (u) =>
    u.c.net.leakyRelu(u.name, u.x, parameter(u, 'negative_slope', parameter(u, 'alpha', u.c.keras3 ? 0.2 : 0.3))),
  elu: (u) => {
    const alpha = parameter(u, 'alpha', 1)
    return alpha === 1 ? map(u, 'ELU', u.x, u.name) : u.c.net.scaledElu(u.name, u.x, { scale: 1, alpha })
  },
  celu: (u) => u.c.net.celu(u.name, u.x, parameter(u, 'alpha', 1)),
  selu: ({ c, name, x }) => c.net.scaledElu(name, x, { scale: 1.0507009873554805, alpha: 1.6732632423543772 }),
  gelu: ({ c, name, x, config }) =>
    c.net.map(name, { type: 'GELU', attrs: { approximate: isObject(config) && config.approximate === true } }, x),
  exponential: (u) => map(u, 'EXP', u.x, u.name),
  logsoftmax: (u) => map(u, 'LOG_SOFTMAX', u.x, u.name),
  softplus: ({ c, name, x }) => c.net.softplus(name, x),
  logsigmoid: (u) => map(u, 'LOG', u.c.net.unary(`${u.name}/sigmoid`, 'LOGISTIC', u.x), u.name),
  mish: ({ c, name, x }) => c.net.mish(name, x),
  softsign: ({ c, name, x }) => c.net.softsign(name, x),
  hardtanh: ({ c, name, x }) => c.net.clip(name, x, -1, 1),
  softshrink: (u) => {
    const threshold = parameter(u, 'threshold', 0.5)
    return u.c.net.binary(u.name, 'SUB', u.x, u.c.net.clip(`${u.name}/clip`, u.x, -threshold, threshold))
  },
  tanhshrink: ({ c, name, x }) => c.net.binary(name, 'SUB', x, c.net.unary(`${name}/tanh`, 'TANH', x)),
  // (x + sqrt(x x + b)) / 2
  squareplus: (u) => {
    const square = plus(u, u.c.net.binary(`${u.name}/square`, 'MUL', u.x, u.x), `${u.name}/b`, parameter(u, 'b', 4))
    const sum = u.c.net.binary(`${u.name}/sum`, 'ADD', u.x, map(u, 'SQRT', square, `${u.name}/sqrt`))
    return u.c.net.affine(u.name, sum, [0.5], [0])
  },
  sparsesigmoid: ({ c, name, x }) => c.net.hardSigmoid(name, x, 0.5, 0.5),
  // (clip(x, -1, 1) + 1)^2 / 4, and beyond 1 x itself.
  sparseplus: (u) => {
    const half = u.c.net.hardSigmoid(`${u.name}/half`, u.x, 0.5, 0.5)
    const inner = u.c.net.binary(`${u.name}/inner`, 'MUL', half, half)
    const above = u.c.net.unary(`${u.name}/above`, 'RELU', plus(u, u.x, `${u.name}/minus1`, -1))
    return u.c.net.binary(u.name, 'ADD', inner, above)
  },
  // One half of the channels gates the other.
  glu: ({ c, l, name, x }) => {
    const shape = c.net.shape(x)
    const depth = shape.at(-1)! / 2
    if (!Number.isInteger(depth)) return malformed(l, 'glu of an odd number of channels')
    const half = (which: number): number =>
      c.net.slice(
        `${name}/${which}`,
        x,
        shape.map((_, d) => (d === shape.length - 1 ? which * depth : 0)),
        shape.map((n, d) => (d === shape.length - 1 ? depth : n)),
      )
    return c.net.binary(name, 'MUL', half(0), c.net.unary(`${name}/gate`, 'LOGISTIC', half(1)))
  },
}

/** An activation by name or as a serialized object; undefined parameters take Keras' defaults. */
export function activate(c: Context, l: Layer, x: number, value: Json | undefined): number {
  if (value === null || value === undefined) return x
  const config: Json | undefined = isObject(value) ? value.config : undefined
  const spec = isObject(value)
    ? typeof config === 'string'
      ? config
      : typeof value.class_name === 'string'
        ? value.class_name
        : ''
    : value
  if (typeof spec !== 'string') return malformed(l, 'activation')
  const id = spec
    .toLowerCase()
    .replace(/_/g, '')
    .replace(/^(tf\.nn\.|keras\.activations\.)/, '')
  if (Object.hasOwn(SAME, id)) return c.net.activation(l.name, x, SAME[id]!)
  if (!Object.hasOwn(FUNCTIONS, id)) return fail(l, `activation "${spec}"`)
  return FUNCTIONS[id]!({ c, l, name: l.name, x, config })
}
