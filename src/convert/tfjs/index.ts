/**
 * TensorFlow.js models: `model.json` of a layers model or a graph model, and Teachable Machine's `metadata.json` beside
 * it.
 * Source: tfjs-converter and tfjs-layers (format of model.json), Teachable Machine image export.
 */
import { ThimbleError } from '../../base/errors.ts'
import type { Graph, Metadata } from '../../graph/graph.ts'
import { faceApiGraph, faceNetworkOf } from '../face-api.ts'
import { isObject, type Json, type JsonObject } from '../keras/config.ts'
import { kerasGraph, type KerasOptions } from '../keras/model.ts'
import { KerasWeights, weightPath } from '../keras/weights.ts'
import { safeName, type Sidecar } from '../sidecar.ts'
import { tfGraph } from './graph-model.ts'
import { readManifest } from './weights.ts'

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)
/** JSON text that TensorFlow.js or Keras could have written: starts with `{`, or `[` for a list of weights alone. */
export const isJson = (bytes: Uint8Array): boolean => /^\s*[[{]/.test(text(bytes.subarray(0, 64)))

/** Reads JSON, or undefined when it is none. */
function tryJson(bytes: Uint8Array | undefined): Json | undefined {
  if (!bytes) return undefined
  try {
    return JSON.parse(text(bytes).replace(/^\uFEFF/, '')) as Json
  } catch {
    return undefined
  }
}

/** What Teachable Machine writes beside the model: labels, image size, and with it a known preprocessing. */
function teachableMachine(meta: Json | undefined, graph: Graph): Metadata {
  if (!isObject(meta) || !Array.isArray(meta.labels)) return {}
  const labels = meta.labels.filter((l): l is string => typeof l === 'string')
  const shape = graph.tensors[graph.inputs[0]!]!.shape
  const image = shape.length === 4 && typeof meta.tmVersion === 'string'
  return {
    labels,
    task: 'classification',
    ...(typeof meta.modelName === 'string' ? { name: meta.modelName } : {}),
    ...(image
      ? {
          preprocess: {
            fit: 'crop',
            method: 'bilinear',
            channels: shape[3] === 1 ? 'gray' : 'rgb',
            mean: [127.5],
            std: [127.5],
          },
        }
      : {}),
  }
}

/** The Keras configuration inside `modelTopology`, in either of the two ways it is stored. */
function layersTopology(topology: JsonObject): Json {
  if (topology.model_config !== undefined) {
    return typeof topology.model_config === 'string'
      ? (tryJson(new TextEncoder().encode(topology.model_config)) ?? null)
      : topology.model_config
  }
  return topology
}

/** A list of weights without a topology: read when it is one of face-api's networks. */
async function weightsOnly(manifest: Json[], sidecar: Sidecar | undefined): Promise<Graph> {
  const weights = await readManifest(manifest, sidecar)
  const network = faceNetworkOf(weights)
  if (!network) {
    throw new ThimbleError('format/tfjs', 'this JSON lists weights only', {
      expected: 'model.json with modelTopology, or a weight list of face-api 1.7',
      got: `${weights.length} weights`,
    })
  }
  return faceApiGraph(network, weights)
}

/**
 * Reads `model.json` (or a weight list of face-api, see face-api.ts); shards come from the sidecar.
 * Errors: `format/tfjs`, `format/sidecar`, and those of `kerasGraph`.
 */
export async function readTfjs(bytes: Uint8Array, sidecar?: Sidecar, options: KerasOptions = {}): Promise<Graph> {
  const model = tryJson(bytes)
  if (Array.isArray(model)) return weightsOnly(model, sidecar)
  if (!isObject(model)) throw new ThimbleError('format/tfjs', 'file is not a JSON object')
  const topology = model.modelTopology
  if (!isObject(topology)) {
    const hint = model.weightsManifest
      ? 'this JSON lists weights only; the model.json with modelTopology is needed'
      : "expected TensorFlow.js' model.json"
    throw new ThimbleError('format/tfjs', 'JSON has no modelTopology', { hint })
  }
  const weights = await readManifest(model.weightsManifest, sidecar)
  const graph = Array.isArray(topology.node)
    ? tfGraph(
        topology,
        weights,
        isObject(model.signature)
          ? model.signature
          : isObject(model.userDefinedMetadata) && isObject(model.userDefinedMetadata.signature)
            ? model.userDefinedMetadata.signature
            : undefined,
        options,
      )
    : kerasGraph(
        layersTopology(topology),
        new KerasWeights(weights.map((w) => ({ path: weightPath(w.name), value: { shape: w.shape, data: w.data } }))),
        { version: typeof topology.keras_version === 'string' ? topology.keras_version : '2', ...options },
      )
  graph.metadata = {
    ...graph.metadata,
    ...teachableMachine(tryJson(await sidecar?.(safeName('metadata.json'))), graph),
  }
  return graph
}
