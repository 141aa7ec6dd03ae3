/**
 * Keras `.h5` and `.keras` files.
 * Source: Keras' legacy H5 format (model_config, layer_names, weight_names) and saving_lib (config.json,
 * model.weights.h5).
 */
import { ThimbleError } from '../../base/errors.ts'
import type { Graph } from '../../graph/graph.ts'
import { Hdf5Dataset, openHdf5, type Hdf5Attribute, type Hdf5Group } from '../hdf5/file.ts'
import { bad } from '../hdf5/reader.ts'
import { readZip } from '../zip.ts'
import type { Json } from './config.ts'
import { kerasGraph, type KerasOptions } from './model.ts'
import { KerasWeights, weightPath, type NamedWeight } from './weights.ts'

const MAX_GROUPS = 100000

/** String-list attributes; long ones are split over `name0`, `name1`, … */
function strings(attributes: ReadonlyMap<string, Hdf5Attribute>, name: string): string[] | undefined {
  const whole = attributes.get(name)
  if (whole) return whole.strings()
  const parts: string[][] = []
  for (let i = 0; attributes.has(`${name}${i}`); i++) parts.push(attributes.get(`${name}${i}`)!.strings())
  return parts.length ? parts.flat() : undefined
}

const values = (dataset: Hdf5Dataset): NamedWeight['value'] => ({ shape: dataset.shape, data: dataset.numbers() })

/** Weights of the legacy layout: one group per outer layer, datasets named by `weight_names`. */
function legacyWeights(root: Hdf5Group): NamedWeight[] {
  const group = root.group('model_weights') ?? root
  const out: NamedWeight[] = []
  for (const layer of strings(group.attributes, 'layer_names') ??
    bad('file has no layer_names', 'an HDF5 file that Keras did not write')) {
    const g = group.group(layer)
    if (!g) return bad(`layer group "${layer}" is missing`)
    for (const name of strings(g.attributes, 'weight_names') ?? []) {
      const dataset = g.get(name)
      if (!(dataset instanceof Hdf5Dataset)) return bad(`weight "${layer}/${name}" is missing`)
      const path = weightPath(name)
      out.push({ path: path.includes(layer) ? path : [layer, ...path], value: values(dataset) })
    }
  }
  return out
}

/** `CamelCase` to the `snake_case` that Keras 3 names weight groups by. */
const snake = (s: string): string =>
  s
    .replace(/\W+/g, '')
    .replace(/(.)([A-Z][a-z]+)/g, '$1_$2')
    .replace(/([a-z])([A-Z])/g, '$1_$2')
    .toLowerCase()

/** Layer names by the group names of `model.weights.h5`, for files whose groups carry no `name`. */
function groupNames(config: Json, prefix: string, out: Map<string, string>, depth = 0): void {
  const layers =
    typeof config === 'object' &&
    config !== null &&
    !Array.isArray(config) &&
    typeof config.config === 'object' &&
    config.config !== null &&
    !Array.isArray(config.config)
      ? config.config.layers
      : undefined
  if (!Array.isArray(layers) || depth > 16) return
  const used = new Map<string, number>()
  for (const l of layers) {
    if (typeof l !== 'object' || l === null || Array.isArray(l)) continue
    const base = snake(String(l.class_name))
    const n = used.get(base) ?? 0
    used.set(base, n + 1)
    const path = `${prefix}/layers/${n ? `${base}_${n}` : base}`
    const name =
      typeof l.config === 'object' && l.config !== null && !Array.isArray(l.config) ? l.config.name : undefined
    out.set(path, String(l.name ?? name ?? ''))
    groupNames(l, path, out, depth + 1)
  }
}

/** Weights of a `.keras` archive: numbered variables in `…/vars` groups. */
function numberedWeights(root: Hdf5Group, config: Json): NamedWeight[] {
  const out: NamedWeight[] = []
  const known = new Map<string, string>()
  groupNames(config, '', known)
  let visited = 0
  const walk = (node: Hdf5Group, path: string, names: string[]): void => {
    if (++visited > MAX_GROUPS || names.length > 40) bad('file has too many groups')
    const vars = node.group('vars')
    const own = vars?.attributes.get('name')?.text() ?? known.get(path)
    const scope = own ? [...names, own] : names
    for (const key of vars?.keys() ?? []) {
      const dataset = vars!.get(key)
      if (dataset instanceof Hdf5Dataset) out.push({ path: [...scope, `#${key}`], value: values(dataset) })
    }
    for (const key of node.keys()) {
      if (key === 'vars') continue
      const child = node.group(key)
      if (child) walk(child, `${path}/${key}`, scope)
    }
  }
  walk(root, '', [])
  return out
}

function json(source: string, what: string): Json {
  try {
    return JSON.parse(source) as Json
  } catch {
    return bad(`${what} is not JSON`)
  }
}

/**
 * Reads a `.h5` that holds a whole model.
 * Errors: `format/hdf5` for a damaged file or one without an architecture, and those of `kerasGraph`.
 */
export function readKerasH5(bytes: Uint8Array, options: KerasOptions = {}): Graph {
  const root = openHdf5(bytes)
  const config = root.attributes.get('model_config')
  if (!config) {
    throw new ThimbleError('format/hdf5', 'file holds weights but no architecture', {
      expected: 'attribute model_config',
      hint: 'save with model.save("model.h5"), not save_weights',
    })
  }
  const version = root.attributes.get('keras_version') ?? root.group('model_weights')?.attributes.get('keras_version')
  const weights = new KerasWeights(legacyWeights(root))
  return kerasGraph(json(config.text(), 'model_config'), weights, { version: version?.text(), ...options })
}

/** Reads a `.keras` archive. Errors: as for `readKerasH5`, and `format/zip`. */
export function readKerasArchive(bytes: Uint8Array, options: KerasOptions = {}): Graph {
  const files = readZip(
    bytes,
    (name) => name === 'config.json' || name === 'metadata.json' || name === 'model.weights.h5',
  )
  const config = files.get('config.json')
  const stored = files.get('model.weights.h5')
  if (!config || !stored) return bad('archive lacks config.json or model.weights.h5')
  const metadata = files.get('metadata.json')
  const parsed = json(new TextDecoder().decode(config), 'config.json')
  const meta = metadata ? json(new TextDecoder().decode(metadata), 'metadata.json') : {}
  const version = typeof meta === 'object' && meta !== null && !Array.isArray(meta) ? meta.keras_version : undefined
  const weights = numberedWeights(openHdf5(stored), parsed)
  return kerasGraph(parsed, new KerasWeights(weights), {
    version: typeof version === 'string' ? version : '3',
    ...options,
  })
}
