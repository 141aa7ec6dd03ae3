/** What the functions of Keras layers get, and how they read a layer's configuration. */
import { ThimbleError } from '../../base/errors.ts'
import type { Padding } from '../../graph/graph.ts'
import type { Net } from '../net.ts'
import type { Values } from '../builder.ts'
import type { CallArguments, Json, JsonObject, LayerConfig } from './config.ts'
import type { KerasWeights } from './weights.ts'

/** What a layer is read into and from. */
export interface Context {
  net: Net
  weights: KerasWeights
  /** Keras 3 semantics: hard_sigmoid is relu6(x + 3) / 6, before it was clip(0.2 x + 0.5). */
  keras3: boolean
  /** Runs a layer, or a whole model, that another one holds; its path says where its weights are. */
  run(layer: Layer, inputs: readonly number[]): number[]
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

/** Does along the last axis what is meant along another one. */
export function lastAxis(
  c: Context,
  name: string,
  { x, axis }: { x: number; axis: number },
  run: (name: string, x: number) => number,
): number {
  const rank = c.net.shape(x).length
  if (axis === rank - 1) return run(name, x)
  const order = Array.from({ length: rank }, (_, i) => (i === axis ? rank - 1 : i === rank - 1 ? axis : i))
  return c.net.transpose(name, run(`${name}/last`, c.net.transpose(`${name}/moved`, x, order)), order)
}
