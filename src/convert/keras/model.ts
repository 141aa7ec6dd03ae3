/**
 * Keras-family models (Sequential, Functional, nested) to a float graph. The weights come from `.h5`, `.keras` or
 * TensorFlow.js.
 */
import { ThimbleError } from '../../base/errors.ts'
import { Refusals } from '../refusals.ts'
import type { Graph } from '../../graph/graph.ts'
import { Net } from '../net.ts'
import {
  callsOf,
  isModel,
  isObject,
  layersOf,
  parseLayer,
  refsOf,
  type Json,
  type JsonObject,
  type CallArguments,
  type LayerConfig,
  type TensorRef,
} from './config.ts'
import type { Argument, Context } from './layer.ts'
import { isKnown, runLayer } from './layers.ts'
import type { KerasWeights } from './weights.ts'

export interface KerasOptions {
  /** Keras' own version as the file states it: decides what `hard_sigmoid` is. */
  version?: string | undefined
  /** Stands in for dimensions that the file leaves open, e.g. [1, 224, 224, 3]. */
  inputShape?: readonly number[] | undefined
}

const MAX_DEPTH = 16
const bad = (what: string, where?: string): never => {
  throw new ThimbleError('format/keras', what, where === undefined ? {} : { tensor: where })
}

/** Shape of an input layer with open dimensions filled: batch 1, the others from the options. */
function inputShape(config: JsonObject, name: string, options: KerasOptions): number[] {
  const given = config.batch_shape ?? config.batch_input_shape ?? config.batchInputShape
  if (!Array.isArray(given) || given.length < 1 || given.length > 5) return bad('input has no shape', name)
  return given.map((d, i) => {
    if (i === 0) return 1
    const length =
      typeof d === 'number' ? d : options.inputShape?.length === given.length ? options.inputShape[i] : undefined
    if (length === undefined) {
      throw new ThimbleError('format/shape', 'input has an open dimension', {
        tensor: name,
        got: JSON.stringify(given),
        hint: 'give the input shape, e.g. --input-shape 1x224x224x3',
      })
    }
    if (!Number.isInteger(length) || length < 1 || length > 1 << 20) bad(`input has a bad dimension ${length}`, name)
    return length
  })
}

const isRef = (i: CallArguments['inputs'][number]): i is TensorRef => typeof i === 'object' && 'layer' in i

/** The lowest call index by which each layer is referred to. */
function firstNodes(refs: readonly TensorRef[]): Map<string, number> {
  const first = new Map<string, number>()
  for (const r of refs) first.set(r.layer, Math.min(r.node, first.get(r.layer) ?? Infinity))
  return first
}

/** Where in nested models a layer is. */
interface Place {
  path: readonly string[]
  depth: number
}

/** A functional model while its layers are called. */
interface Functional {
  name: string
  layers: ReadonlyMap<string, LayerConfig>
  callOf: (r: TensorRef) => CallArguments
  /** Tensors of every call so far, by `layer#node`. */
  values: Map<string, number[]>
}

/** Kinds of layers in a model, and in the models in it, that are not read: each once, with the first that is one. */
function unknownLayers(m: LayerConfig, depth: number, found: Map<string, string>): Map<string, string> {
  if (depth > MAX_DEPTH) return found
  for (const l of layersOf(m.config)) {
    if (isModel(l.className)) unknownLayers(l, depth + 1, found)
    else if (!isKnown(l) && !found.has(l.className)) found.set(l.className, l.name)
    else if (isObject(l.config.layer)) unknownLayers({ ...l, config: { layers: [l.config.layer] } }, depth + 1, found)
  }
  return found
}

/** Notes all layers that have no equivalent, before any is read. */
function refuseUnknown(root: LayerConfig, refusals: Refusals): void {
  const found = [...unknownLayers(root, 0, new Map())]
  if (found.length === 0) return
  const named = found.map(([kind, name]) => (found.length > 1 ? `${kind} ("${name}")` : kind))
  refusals.add(
    new ThimbleError('lower/unsupported-op', `Keras layer${found.length > 1 ? 's' : ''} ${named.join(', ')}`, {
      ...(found.length > 1 ? {} : { tensor: found[0]![1] }),
      hint: found.some(([kind]) => kind === 'Lambda')
        ? 'a Lambda layer is Python code, which the file does not say: write it as layers or keras.ops, or export to .tflite'
        : 'replace them by layers that are read, or export to .tflite',
    }),
  )
}

class Builder {
  private readonly net = new Net()
  private readonly refusals = new Refusals()
  private readonly context: Context
  private readonly options: KerasOptions

  constructor(weights: KerasWeights, options: KerasOptions) {
    this.options = options
    this.context = {
      net: this.net,
      weights,
      keras3: Number.parseInt(options.version ?? '2', 10) >= 3,
      run: (l, inputs) =>
        isModel(l.className)
          ? this.model(l, [...inputs], { path: l.path, depth: l.path.length })
          : runLayer(this.context, l, [...inputs], { kwargs: {}, args: [] }),
    }
  }

  build(root: LayerConfig): Graph {
    refuseUnknown(root, this.refusals)
    const outputs = this.refusals.attempt(() => this.model(root, undefined, { path: [], depth: 0 })) ?? []
    this.refusals.finish()
    return this.net.finish(outputs, { name: root.name })
  }

  /** Runs a model on given tensors, or makes graph inputs when it is the outermost. */
  private model(m: LayerConfig, inputs: number[] | undefined, place: Place): number[] {
    if (place.depth > MAX_DEPTH) bad('models are nested too deeply', m.name)
    return m.className === 'Sequential' ? this.sequential(m, inputs, place) : this.functional(m, inputs, place)
  }

  private layer(
    l: LayerConfig,
    inputs: Argument[],
    call: Pick<CallArguments, 'kwargs' | 'args'>,
    place: Place,
  ): number[] {
    const path = [...place.path, l.name]
    if (isModel(l.className)) {
      const tensors = inputs.filter((i) => typeof i === 'number')
      return this.model(l, tensors, { path, depth: place.depth + 1 })
    }
    // Behind a refused layer the next ones are looked at as if it gave what it takes.
    const standIn = (): number[] => inputs.filter((i) => typeof i === 'number').slice(0, 1)
    if (!isKnown(l) && this.refusals.any) return standIn()
    return this.refusals.attempt(() => runLayer(this.context, { ...l, path }, inputs, call)) ?? standIn()
  }

  private sequential(m: LayerConfig, inputs: number[] | undefined, place: Place): number[] {
    const layers = layersOf(m.config)
    let x = inputs
    for (const l of layers) {
      if (l.className === 'InputLayer') {
        x ??= [this.net.input(l.name, inputShape(l.config, l.name, this.options))]
        continue
      }
      x ??= [this.net.input(`${l.name}_input`, this.firstShape(l, 0))]
      x = this.layer(l, x, { kwargs: {}, args: [] }, place)
    }
    return x ?? bad('model has no layers', m.name)
  }

  /** Input shape that the first layer of a Sequential (itself possibly a model) states. */
  private firstShape(l: LayerConfig, depth: number): number[] {
    const config = l.config
    if (config.batch_shape ?? config.batch_input_shape ?? config.batchInputShape) {
      return inputShape(config, l.name, this.options)
    }
    if (isModel(l.className) && depth < MAX_DEPTH) {
      const first = layersOf(config)[0]
      if (first) return this.firstShape(first, depth + 1)
    }
    if (this.options.inputShape) return [...this.options.inputShape]
    return bad('model does not state its input shape', l.name)
  }

  private functional(m: LayerConfig, inputs: number[] | undefined, place: Place): number[] {
    const layers = new Map(layersOf(m.config).map((l) => [l.name, l]))
    const values = new Map<string, number[]>()
    const inputRefs = refsOf(m.config.input_layers)
    if (inputs && inputs.length < inputRefs.length) bad('nested model gets too few inputs', m.name)
    inputRefs.forEach((r, i) => {
      const l = layers.get(r.layer) ?? bad('input layer is missing', r.layer)
      values.set(`${r.layer}#${r.node}`, [
        inputs ? inputs[i]! : this.net.input(l.name, inputShape(l.config, l.name, this.options)),
      ])
    })
    const calls = new Map([...layers.values()].map((l) => [l.name, callsOf(l)]))
    const outputs = refsOf(m.config.output_layers)
    const first = firstNodes([...outputs, ...[...calls.values()].flat().flatMap((c) => c.inputs.filter(isRef))])
    const callOf = (r: TensorRef): CallArguments => {
      const list = calls.get(r.layer) ?? bad('layer is connected but not defined', r.layer)
      // A nested model counts its own creation as call 0 in most versions.
      const offset = isModel(layers.get(r.layer)!.className) && first.get(r.layer)! > 0 ? 1 : 0
      return list[r.node - offset] ?? (list.length === 1 ? list[0] : undefined) ?? bad('layer is never called', r.layer)
    }
    const model: Functional = { name: m.name, layers, callOf, values }
    return outputs.map((r) => this.evaluate(r, model, place))
  }

  /** Depth-first over the calls that `want` needs, without recursion: files may chain thousands of layers. */
  private evaluate(want: TensorRef, model: Functional, place: Place): number {
    const { layers, callOf, values } = model
    const key = (r: TensorRef): string => `${r.layer}#${r.node}`
    const stack: TensorRef[] = [want]
    const open = new Set<string>()
    while (stack.length) {
      const r = stack[stack.length - 1]!
      if (values.has(key(r))) {
        stack.pop()
        continue
      }
      const layer = layers.get(r.layer) ?? bad('layer is connected but not defined', r.layer)
      const call = callOf(r)
      const missing = call.inputs.filter((i): i is TensorRef => isRef(i) && !values.has(key(i)))
      if (missing.length) {
        if (open.has(key(r))) bad('layers form a cycle', r.layer)
        open.add(key(r))
        for (const m of missing) stack.push(m)
        continue
      }
      const inputs = call.inputs.map((i) =>
        !isRef(i)
          ? { constant: i }
          : (values.get(key(i))![i.tensor] ?? bad('connection to an output that does not exist', i.layer)),
      )
      values.set(key(r), this.layer(layer, inputs, call, place))
      stack.pop()
    }
    return values.get(key(want))![want.tensor] ?? bad('output does not exist', model.name)
  }
}

/**
 * Builds the graph of a model configuration (`{ class_name, config }`), unfolded.
 * Errors: `format/keras` for a malformed configuration or weights that do not fit, `format/shape`,
 * `lower/unsupported-op` naming a layer that has no equivalent.
 */
export function kerasGraph(modelConfig: Json, weights: KerasWeights, options: KerasOptions = {}): Graph {
  const root = parseLayer(
    isObject(modelConfig) && isObject(modelConfig.model_config) ? modelConfig.model_config : modelConfig,
  )
  if (!isModel(root.className)) {
    throw new ThimbleError('format/keras', 'outermost object is not a Sequential or Functional model', {
      got: root.className,
      hint: 'subclassed models do not store their structure; export to .tflite or ONNX',
    })
  }
  return new Builder(weights, options).build(root)
}
