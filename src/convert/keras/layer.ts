/** What the functions of Keras layers get, and how they read a layer's configuration. */
import { ThimbleError } from '../../errors.ts'
import type { Padding } from '../../graph.ts'
import type { Net, Nonlinearity } from '../net.ts'
import type { Values } from '../builder.ts'
import { type CallArguments, isObject, type Json, type JsonObject, type LayerConfig } from './config.ts'
import type { KerasWeights } from './weights.ts'

/** What a layer is read into and from. */
export interface Context {
  net: Net
  weights: KerasWeights
  /** Keras 3 semantics: hard_sigmoid is relu6(x + 3) / 6, before it was clip(0.2 x + 0.5). */
  keras3: boolean
}

/** A layer's configuration; path: its name, after those of the models around it. */
export interface Layer extends LayerConfig {
  path: string[]
}

/** A tensor, or a number or array it is called with. */
export type Argument = number | { constant: number | Values }
/** What a layer is called with: its tensors and numbers, and all arguments as the file has them. */
export interface Call extends Pick<CallArguments, 'args'> {
  inputs: Argument[]
  kwargs: JsonObject
}

/** A layer's ops: gives the tensors that are its results. `x`: its first input. */
export type Run = (c: Context, l: Layer, x: number, call: Call) => number | number[]

/** Throws `lower/unsupported-op`. */
export const fail = (l: Layer, what: string): never => {
  throw new ThimbleError('lower/unsupported-op', `Keras ${l.className} with ${what}`, { tensor: l.path.join('/') })
}
/** Throws `format/keras`. */
export const malformed = (l: Layer, what: string): never => {
  throw new ThimbleError('format/keras', `${l.className} has a malformed ${what}`, { tensor: l.path.join('/') })
}

/** Errors: `format/keras` unless it is a whole number from 0 to 2^24. */
export function integer(l: Layer, value: Json | undefined, what: string): number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= 1 << 24
    ? value
    : malformed(l, what)
}

/** A pair as Keras writes it: [a, b], [a] or a for both. */
export function two(l: Layer, key: string, fallback?: number): [number, number] {
  const v = l.config[key] ?? fallback
  const list = Array.isArray(v) ? v : [v as Json, v as Json]
  return list.length === 1
    ? [integer(l, list[0], key), integer(l, list[0], key)]
    : [integer(l, list[0], key), integer(l, list[1], key)]
}

/** `fallback` for anything but a number. */
export const number = (v: Json | undefined, fallback: number): number => (typeof v === 'number' ? v : fallback)

/** Errors: `lower/unsupported-op` for any other than same and valid. */
export function padding(l: Layer): Padding {
  const p = String(l.config.padding ?? 'valid').toLowerCase()
  return p === 'same' ? 'SAME' : p === 'valid' ? 'VALID' : fail(l, `padding "${p}"`)
}

/** Errors: `lower/unsupported-op` for channels_first. */
export function channelsLast(l: Layer): void {
  if (l.config.data_format === 'channels_first') fail(l, 'data_format channels_first')
}

/** An activation by name or as a serialized object; undefined parameters take Keras' defaults. */
export function activate(c: Context, l: Layer, x: number, value: Json | undefined): number {
  if (value === null || value === undefined) return x
  const { name } = l
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
  const same: Record<string, Nonlinearity> = {
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
  if (Object.hasOwn(same, id)) return c.net.activation(name, x, same[id]!)
  if (id === 'hardsigmoid') {
    return c.keras3 ? c.net.hardSigmoid(name, x, 1 / 6, 0.5) : c.net.hardSigmoid(name, x, 0.2, 0.5)
  }
  if (id === 'leakyrelu') {
    return c.net.leakyRelu(
      name,
      x,
      number(isObject(config) ? (config.negative_slope ?? config.alpha) : undefined, c.keras3 ? 0.2 : 0.3),
    )
  }
  const op = (
    type: 'ELU' | 'GELU' | 'EXP' | 'LOG' | 'ABS' | 'LOG_SOFTMAX',
    from: number,
    as: string,
    attrs = {},
  ): number => c.net.op<never>({ type, inputs: [from], attrs } as never, as, c.net.shape(from))
  const softplus = (as: string): number =>
    op('LOG', c.net.affine(`${name}/plus1`, op('EXP', x, `${name}/exp`), [1], [1]), as)
  switch (id) {
    case 'elu': {
      const alpha = number(isObject(config) ? config.alpha : undefined, 1)
      return alpha === 1 ? op('ELU', x, name) : scaledElu(c, name, x, { scale: 1, alpha })
    }
    case 'selu':
      return scaledElu(c, name, x, { scale: 1.0507009873554805, alpha: 1.6732632423543772 })
    case 'gelu':
      return op('GELU', x, name, { approximate: isObject(config) && config.approximate === true })
    case 'exponential':
      return op('EXP', x, name)
    case 'logsoftmax':
      return op('LOG_SOFTMAX', x, name)
    case 'softplus':
      return softplus(name)
    case 'mish':
      return c.net.binary(name, 'MUL', x, c.net.unary(`${name}/tanh`, 'TANH', softplus(`${name}/softplus`)))
    case 'softsign':
      return c.net.binary(name, 'DIV', x, c.net.affine(`${name}/plus1`, op('ABS', x, `${name}/abs`), [1], [1]))
    case 'hardtanh':
      return c.net.clip(name, x, -1, 1)
    default:
      return fail(l, `activation "${spec}"`)
  }
}

/** scale * x above 0, scale * alpha * (exp(x) - 1) below. */
function scaledElu(c: Context, name: string, x: number, { scale, alpha }: { scale: number; alpha: number }): number {
  const elu = c.net.op<never>({ type: 'ELU', inputs: [x], attrs: {} } as never, `${name}/elu`, c.net.shape(x))
  const above = c.net.affine(`${name}/above`, c.net.unary(`${name}/relu`, 'RELU', elu), [scale], [0])
  // min(elu, 0) is -relu(-elu).
  const below = c.net.unary(`${name}/negative`, 'RELU', c.net.affine(`${name}/negated`, elu, [-1], [0]))
  return c.net.binary(name, 'ADD', above, c.net.affine(`${name}/below`, below, [-scale * alpha], [0]))
}
