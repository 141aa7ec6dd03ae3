/** Model configurations of Keras 2, Keras 3 and TensorFlow.js layers: which layer is called on what. */
import { ThimbleError } from '../../base/errors.ts'
import { elements } from '../../graph/graph.ts'
import type { Values } from '../builder.ts'

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json }
export type JsonObject = { [key: string]: Json }

export const isObject = (v: unknown): v is JsonObject => typeof v === 'object' && v !== null && !Array.isArray(v)
const bad = (what: string, where?: string): never => {
  throw new ThimbleError('format/keras', what, where === undefined ? {} : { tensor: where })
}

export interface LayerConfig {
  className: string
  name: string
  config: JsonObject
  inbound: Json
  /** Stored as a layer, but a function applied to tensors (`keras.ops`). */
  operation?: boolean
}

/** One call of a layer: output `tensorIndex` of call `node` of `layer`. */
export interface TensorRef {
  layer: string
  node: number
  tensor: number
}
/** The tensors and constants that one call reads. */
export interface CallArguments {
  inputs: (TensorRef | number | Values)[]
  kwargs: JsonObject
  /** Keras 3: the arguments as they stand, tensors among them. */
  args: Json[]
}

export function parseLayer(value: Json): LayerConfig {
  if (
    !isObject(value) ||
    typeof value.class_name !== 'string' ||
    (!isObject(value.config) && !Array.isArray(value.config))
  ) {
    return bad('malformed layer in the model configuration')
  }
  const config = Array.isArray(value.config) ? { layers: value.config } : value.config
  const name =
    typeof value.name === 'string' ? value.name : typeof config.name === 'string' ? config.name : value.class_name
  const operation = typeof value.module === 'string' && /^keras\.(src\.)?ops\b/.test(value.module)
  return {
    className: value.class_name,
    name,
    config,
    inbound: value.inbound_nodes ?? [],
    ...(operation ? { operation } : {}),
  }
}

/** Wrappers that hold a whole model. */
export const isModel = (className: string): boolean =>
  className === 'Sequential' || className === 'Functional' || className === 'Model'

export const layersOf = (config: JsonObject): LayerConfig[] => {
  if (!Array.isArray(config.layers) || config.layers.length > 20000) {
    return bad('model configuration has no list of layers')
  }
  return config.layers.map(parseLayer)
}

/** An array that an operation is called with. */
function arrayOf(value: Json | undefined): Values {
  const shape: number[] = []
  for (let v = value; Array.isArray(v); v = v[0]) shape.push(v.length)
  const flat = Array.isArray(value) ? value.flat(8) : [value ?? null]
  if (!flat.every((v): v is number => typeof v === 'number') || flat.length !== elements(shape)) {
    return bad('malformed constant in the model configuration')
  }
  return { shape, data: Float32Array.from(flat) }
}

/** Arguments that are tensors, in the order of their positions. */
const OPERANDS = ['x', 'x1', 'x2', 'y', 'inputs', 'sequence', 'sequences', 'query', 'value', 'key', 'initial_state']

const ref = (layer: Json | undefined, node: Json | undefined, tensor: Json | undefined): TensorRef =>
  typeof layer === 'string' && typeof node === 'number' && typeof tensor === 'number'
    ? { layer, node, tensor }
    : bad('malformed connection in the model configuration')

/** Keras 3: tensors are spelled out among the arguments. */
function keras3Arguments(value: Json, out: CallArguments['inputs'], depth = 0): void {
  if (depth > 6) bad('arguments are nested too deeply')
  if (Array.isArray(value)) for (const v of value) keras3Arguments(v, out, depth + 1)
  else if (typeof value === 'number') out.push(value)
  else if (isObject(value) && value.class_name === '__keras_tensor__' && isObject(value.config)) {
    const h = value.config.keras_history
    if (!Array.isArray(h)) bad('tensor without keras_history')
    out.push(ref((h as Json[])[0], (h as Json[])[1], (h as Json[])[2]))
  } else if (
    isObject(value) &&
    (value.class_name === '__tensor__' || value.class_name === '__numpy__') &&
    isObject(value.config)
  ) {
    out.push(arrayOf(value.config.value))
  }
}

function keras2Arguments(node: Json): CallArguments {
  // [[layer, node, tensor, kwargs], …]; a single flat entry in some files.
  const entries = Array.isArray(node) && typeof node[0] === 'string' ? [node] : node
  if (!Array.isArray(entries)) return bad('malformed connection in the model configuration')
  const kwargs: JsonObject = {}
  const inputs: CallArguments['inputs'] = entries.map((e) => {
    if (!Array.isArray(e)) return bad('malformed connection in the model configuration')
    if (isObject(e[3])) Object.assign(kwargs, e[3])
    return e[0] === '_CONSTANT_VALUE' && typeof e[2] === 'number' ? e[2] : ref(e[0], e[1], e[2])
  })
  // TFOpLambda passes its second operand by name: a number, or a tensor as [layer, node, tensor].
  const y = kwargs.y
  if (typeof y === 'number') inputs.push(y)
  else if (Array.isArray(y) && typeof y[0] === 'string') {
    inputs.push(y[0] === '_CONSTANT_VALUE' && typeof y[2] === 'number' ? y[2] : ref(y[0], y[1], y[2]))
  }
  return { inputs, kwargs, args: [] }
}

/** The arguments of each call of a layer. */
export function callsOf(layer: LayerConfig): CallArguments[] {
  if (!Array.isArray(layer.inbound)) return bad('malformed inbound_nodes', layer.name)
  return layer.inbound.map((node) => {
    if (!isObject(node)) return keras2Arguments(node)
    const inputs: CallArguments['inputs'] = []
    const kwargs = isObject(node.kwargs) ? node.kwargs : {}
    keras3Arguments(node.args ?? [], inputs)
    // Operands may be given by name.
    for (const key of OPERANDS) {
      if (kwargs[key] !== undefined) keras3Arguments(kwargs[key], inputs)
    }
    return { inputs, kwargs, args: Array.isArray(node.args) ? node.args : [] }
  })
}

/** `input_layers` / `output_layers`: a list of refs, or one flat ref. */
export function refsOf(value: Json | undefined): TensorRef[] {
  if (!Array.isArray(value)) return bad('model configuration lacks its inputs or outputs')
  const list = typeof value[0] === 'string' ? [value] : value
  return list.map((r) =>
    Array.isArray(r) ? ref(r[0], r[1], r[2]) : bad('malformed connection in the model configuration'),
  )
}
