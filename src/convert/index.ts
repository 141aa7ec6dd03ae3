/**
 * One door for models of other tools: the format is recognised by content, and everything becomes the shared graph.
 * TFLite, .thimble, Keras (.h5, .keras), TensorFlow.js (layers and graph models), Teachable Machine's zips, ONNX (float
 * and QDQ), PyTorch state dicts. Parsers are loaded when they are needed; nothing of this ships with the runtime.
 */
import { ThimbleError } from '../base/errors.ts'
import { checkGraph } from '../formats/check.ts'
import { isFolded, settle } from '../fold/index.ts'
import type { Graph } from '../graph/graph.ts'
import { parseLabels } from '../answers/label-file.ts'
import { floatModelOf } from '../graph/float-model.ts'
import { foldGraph } from './fold.ts'
import { impliedPreprocess } from './implied.ts'
import type { StateDict } from './pytorch.ts'
import type { Sidecar } from './sidecar.ts'
import { readZip, isZip } from './zip.ts'

export type { Sidecar } from './sidecar.ts'
export { foldGraph } from './fold.ts'

export type ModelFormat = 'tflite' | 'thimble' | 'keras-h5' | 'keras' | 'tfjs' | 'onnx' | 'pytorch' | 'safetensors'

export interface ReadOptions {
  /** Files beside the model, when it is given as bytes. A path finds its own. */
  sidecar?: Sidecar
  /** For models that leave dimensions open, in the file's own axis order. */
  inputShape?: readonly number[]
  /** Side of the square input, for state dicts (which do not say). Default: the architecture's own. */
  size?: number
  /** The file's own name, which may tell what a state dict does not: `tf_efficientnet_lite0.pth`. A path's is known. */
  name?: string
  /** Off: the graph as read, with batch norm and the like still separate. Default on. */
  fold?: boolean
}

const ascii = (bytes: Uint8Array, from: number, to: number): string => String.fromCharCode(...bytes.subarray(from, to))

/** The format by its first bytes (and, for zip archives, its entries' names); undefined when none fits. */
export async function sniffModel(bytes: Uint8Array): Promise<ModelFormat | 'zip' | undefined> {
  if (ascii(bytes, 4, 8) === 'TFL3') return 'tflite'
  if (ascii(bytes, 0, 7) === 'THIMBLE') return 'thimble'
  if (ascii(bytes, 1, 4) === 'HDF' && bytes[0] === 0x89) return 'keras-h5'
  if (isZip(bytes)) {
    const names = zipNames(bytes)
    if (names.some((n) => n === 'data.pkl' || n.endsWith('/data.pkl'))) return 'pytorch'
    if (names.includes('model.weights.h5') && names.includes('config.json')) return 'keras'
    return 'zip'
  }
  const { isJson } = await import('./tfjs/index.ts')
  if (isJson(bytes)) return 'tfjs'
  const { isPytorch } = await import('./pytorch.ts')
  if (isPytorch(bytes)) return 'pytorch'
  const { isSafetensors } = await import('./safetensors.ts')
  if (isSafetensors(bytes)) return 'safetensors'
  const { isOnnx } = await import('./onnx/model.ts')
  return isOnnx(bytes) ? 'onnx' : undefined
}

function zipNames(bytes: Uint8Array): string[] {
  const names: string[] = []
  readZip(bytes, (name) => {
    names.push(name)
    return false
  })
  return names
}

/**
 * Reads a model made by another tool.
 * source: a path (file, or a folder that holds a model.json or saved model file), a file URL, or the bytes.
 * Returns: a float32 graph, NHWC, batch norm folded; for models that are quantized already (QDQ ONNX, int8 .tflite,
 * .thimble) an 8-bit graph.
 * Errors: `format/…` for files that are damaged or of an unknown kind, `lower/unsupported-op` naming what has no
 * equivalent.
 */
export async function readFloatModel(
  source: string | URL | Uint8Array | ArrayBuffer,
  options: ReadOptions = {},
): Promise<Graph> {
  if (typeof source === 'string' || source instanceof URL) {
    const { openPath } = await import('./files.ts')
    const { bytes, sidecar, path } = await openPath(source)
    return readFloatModel(bytes, {
      ...options,
      name: path.replace(/^.*[\\/]/, ''),
      sidecar: options.sidecar ?? sidecar,
    })
  }
  // A Buffer's slices are views: readers take them for copies.
  const bytes =
    source instanceof Uint8Array
      ? new Uint8Array(source.buffer, source.byteOffset, source.byteLength)
      : new Uint8Array(source)
  const format = await sniffModel(bytes)
  if (format === 'zip') return fromZip(bytes, options)
  const graph = await readers[format ?? unknown(bytes)](bytes, options)
  // The .tflite reader checks by itself, and knows of variables.
  const check = (g: Graph): Graph => {
    if (format !== 'tflite') checkGraph(g)
    return g
  }
  check(graph)
  const implied = graph.metadata.preprocess ? undefined : impliedPreprocess(graph)
  if (implied) graph.metadata = { ...graph.metadata, preprocess: implied }
  return options.fold === false ? graph : check(foldGraph(graph))
}

const readers: Record<ModelFormat, (bytes: Uint8Array, o: ReadOptions) => Promise<Graph>> = {
  tflite: async (bytes, o) => withoutShapes((await import('../formats/tflite.ts')).readTflite(bytes), o),
  thimble: async (bytes) => (await import('../formats/packed.ts')).readPacked(bytes),
  'keras-h5': async (bytes, o) => (await import('./keras/h5.ts')).readKerasH5(bytes, { inputShape: o.inputShape }),
  keras: async (bytes, o) => (await import('./keras/h5.ts')).readKerasArchive(bytes, { inputShape: o.inputShape }),
  tfjs: async (bytes, o) => (await import('./tfjs/index.ts')).readTfjs(bytes, o.sidecar, { inputShape: o.inputShape }),
  onnx: async (bytes, o) => (await import('./onnx/import.ts')).readOnnx(bytes, o.sidecar, { inputShape: o.inputShape }),
  pytorch: async (bytes, o) => fromStateDict((await import('./pytorch.ts')).readStateDict(bytes), o),
  safetensors: async (bytes, o) => fromStateDict((await import('./safetensors.ts')).readSafetensors(bytes), o),
}

/**
 * A float graph in which all is a constant that its shapes decide, those of the call where it names any. An 8-bit graph
 * stays: LiteRT computes by other kernels what has a size that the model computes.
 */
function withoutShapes(graph: Graph, { inputShape }: ReadOptions): Graph {
  if (!floatModelOf(graph)) return graph
  const settled = settle(graph, inputShape && [inputShape])
  return { ...settled, ops: settled.ops.filter((_, i) => !isFolded(settled, i)) }
}

async function fromStateDict(state: StateDict, o: ReadOptions): Promise<Graph> {
  const { graphFromStateDict } = await import('./torch-models.ts')
  return graphFromStateDict(state, o.size, (await architectureBeside(o)) ?? o.name)
}

/** What the config.json beside weights of the Hugging Face hub says. */
async function architectureBeside({ sidecar }: ReadOptions): Promise<string | undefined> {
  const bytes = await sidecar?.('config.json')
  try {
    const { architecture } = JSON.parse(new TextDecoder().decode(bytes)) as { architecture?: unknown }
    return typeof architecture === 'string' ? architecture : undefined
  } catch {
    return undefined
  }
}

function unknown(bytes: Uint8Array): never {
  throw new ThimbleError('format/unknown', 'file is no model that is read', {
    expected: '.tflite, .thimble, .h5, .keras, model.json, .onnx, .pt, .safetensors, or a .zip of one',
    got:
      bytes.length === 0
        ? 'an empty file'
        : `${bytes.length} bytes starting ${[...bytes.subarray(0, 4)].map((b) => b.toString(16).padStart(2, '0')).join(' ')}`,
  })
}

/** Entries that are models themselves, in order of preference: Teachable Machine zips hold one. */
const INSIDE: readonly RegExp[] = [
  /(^|\/)model\.json$/,
  /\.keras$/,
  /\.h5$/,
  /\.onnx$/,
  /unquant\.tflite$/,
  /\.tflite$/,
  /\.(pt|pth)$/,
]

/** A zip that holds a model beside its labels. */
async function fromZip(bytes: Uint8Array, options: ReadOptions): Promise<Graph> {
  const names = zipNames(bytes).filter((n) => !n.startsWith('__MACOSX/'))
  if (names.some((n) => /(^|\/)archive_(format|version)$/.test(n)) && names.some((n) => /(^|\/)models\//.test(n))) {
    throw new ThimbleError('format/zip', 'file is a torch.export program', {
      hint: 'export to ONNX, or save the weights with torch.save(model.state_dict(), path)',
    })
  }
  const entry = INSIDE.map(
    (pattern) => names.filter((n) => pattern.test(n)).sort((a, b) => a.length - b.length)[0],
  ).find((n) => n !== undefined)
  if (!entry) {
    throw new ThimbleError('format/zip', 'archive holds no model', {
      got: names.slice(0, 4).join(', ') || 'no entries',
      hint: 'expected model.json, .h5, .keras, .onnx, .tflite or a PyTorch file inside',
    })
  }
  const folder = entry.includes('/') ? entry.slice(0, entry.lastIndexOf('/') + 1) : ''
  const files = readZip(bytes, (n) => n.startsWith(folder))
  const inner = files.get(entry)!
  if (isZip(inner) && (await sniffModel(inner)) === 'zip') {
    throw new ThimbleError('format/zip', 'archive within an archive', { got: entry })
  }
  const sidecar: Sidecar = (name) => files.get(folder + name)
  const graph = await readFloatModel(inner, { ...options, name: entry.slice(folder.length), sidecar })
  if (!graph.metadata.labels) await addLabels(graph, sidecar)
  return graph
}

/** The label file beside the model, as Teachable Machine and others write it. Errors: `format/labels`. */
export async function addLabels(graph: Graph, sidecar: Sidecar): Promise<void> {
  const bytes = (await sidecar('labels.txt')) ?? (await sidecar('class_indices.json'))
  if (!bytes) return
  graph.metadata = {
    ...graph.metadata,
    labels: parseLabels(bytes),
    task: graph.metadata.task ?? 'classification',
  }
}
