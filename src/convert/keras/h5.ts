/**
 * Keras `.h5` and `.keras` files. HDF5 is read by `h5wasm` (the HDF5 C library in WebAssembly), loaded only when such a
 * file comes.
 * Source: Keras' legacy H5 format (model_config, layer_names, weight_names) and saving_lib (config.json,
 * model.weights.h5).
 */
import { ThimbleError } from '../../errors.ts'
import type { Graph } from '../../graph.ts'
import { readZip } from '../zip.ts'
import type { Json } from './config.ts'
import { kerasGraph, type KerasOptions } from './model.ts'
import { KerasWeights, weightPath, type NamedWeight } from './weights.ts'

const MAX_GROUPS = 100000
const bad = (what: string, got?: string): never => {
  throw new ThimbleError('format/hdf5', what, got === undefined ? {} : { got })
}

/** The part of h5wasm that is used. */
interface Attr {
  value: unknown
}
interface Node {
  type: string
  attrs: Record<string, Attr>
  keys?(): string[]
  get?(name: string): Node | null
  shape?: number[] | null
  dtype?: unknown
  value?: unknown
}

const text = (v: unknown): string =>
  typeof v === 'string' ? v : v instanceof Uint8Array ? new TextDecoder().decode(v) : bad('attribute is not text')
/** String-list attributes; long ones are split over `name0`, `name1`, … */
function strings(attrs: Record<string, Attr>, name: string): string[] | undefined {
  const list = (v: unknown): string[] => (Array.isArray(v) ? v.map(text) : typeof v === 'string' ? [v] : [])
  if (name in attrs) return list(attrs[name]!.value)
  const out: string[] = []
  for (let i = 0; `${name}${i}` in attrs; i++) out.push(...list(attrs[`${name}${i}`]!.value))
  return out.length ? out : undefined
}

function values(node: Node, where: string): NamedWeight['value'] {
  const shape = node.shape ?? []
  const data = node.value
  const count = shape.reduce((a, b) => a * b, 1)
  if (!ArrayBuffer.isView(data) || data instanceof DataView) {
    if (typeof data === 'number' || typeof data === 'bigint') return { shape: [], data: Float32Array.of(Number(data)) }
    return bad(`dataset "${where}" does not hold numbers`)
  }
  const floats =
    data instanceof Float32Array ? data : Float32Array.from(data as unknown as ArrayLike<number | bigint>, Number)
  if (floats.length !== count) return bad(`dataset "${where}" is truncated`)
  return { shape: [...shape], data: floats }
}

/** Opens a file for the time of `use`. Whatever the HDF5 library says about a broken file becomes `format/hdf5`. */
async function withHdf5<T>(bytes: Uint8Array, use: (root: Node) => T): Promise<T> {
  const h5 = await import('h5wasm')
  const { FS, activate_throwing_error_handler: throwErrors } = await h5.ready
  // Errors of the library as exceptions instead of pages on stderr.
  throwErrors()
  const path = `/model-${counter++}.h5`
  let file: InstanceType<typeof h5.File> | undefined
  try {
    FS.writeFile(path, bytes)
    file = new h5.File(path, 'r')
    if (file.file_id < 0n) bad('file does not open as HDF5')
    return use(file as unknown as Node)
  } catch (error) {
    if (error instanceof ThimbleError) throw error
    return bad('damaged HDF5 file', error instanceof Error ? error.message.split('\n')[0]! : String(error))
  } finally {
    try {
      file?.close()
    } catch {
      /* a file that did not open cannot close */
    }
    try {
      FS.unlink(path)
    } catch {
      /* nor be removed twice */
    }
  }
}
let counter = 0

/** Weights of the legacy layout: one group per outer layer, datasets named by `weight_names`. */
function legacyWeights(root: Node): NamedWeight[] {
  const group = root.get?.('model_weights') ?? root
  const out: NamedWeight[] = []
  for (const layer of strings(group.attrs, 'layer_names') ??
    bad('file has no layer_names', 'an HDF5 file that Keras did not write')) {
    const g = group.get?.(layer)
    if (!g) return bad(`layer group "${layer}" is missing`)
    for (const name of strings(g.attrs, 'weight_names') ?? []) {
      const dataset = g.get?.(name)
      if (!dataset || dataset.type !== 'Dataset') return bad(`weight "${layer}/${name}" is missing`)
      const path = weightPath(name)
      out.push({ path: path.includes(layer) ? path : [layer, ...path], value: values(dataset, name) })
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
function numberedWeights(root: Node, config: Json): NamedWeight[] {
  const out: NamedWeight[] = []
  const known = new Map<string, string>()
  groupNames(config, '', known)
  let visited = 0
  const walk = (node: Node, path: string, names: string[]): void => {
    if (++visited > MAX_GROUPS || names.length > 40) bad('file has too many groups')
    const vars = node.get?.('vars')
    const own = vars?.attrs.name ? text(vars.attrs.name.value) : known.get(path)
    const scope = own ? [...names, own] : names
    for (const key of vars?.keys?.() ?? []) {
      const dataset = vars!.get!(key)
      if (dataset?.type === 'Dataset') {
        out.push({ path: [...scope, `#${key}`], value: values(dataset, `${path}/${key}`) })
      }
    }
    for (const key of node.keys?.() ?? []) {
      if (key === 'vars') continue
      const child = node.get!(key)
      if (child?.type === 'Group') walk(child, `${path}/${key}`, scope)
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
export async function readKerasH5(bytes: Uint8Array, options: KerasOptions = {}): Promise<Graph> {
  const { config, weights, version } = await withHdf5(bytes, (root) => {
    const attribute = root.attrs.model_config
    if (!attribute) {
      throw new ThimbleError('format/hdf5', 'file holds weights but no architecture', {
        expected: 'attribute model_config',
        hint: 'save with model.save("model.h5"), not save_weights',
      })
    }
    const version = root.attrs.keras_version ?? root.get?.('model_weights')?.attrs.keras_version
    return {
      config: text(attribute.value),
      weights: legacyWeights(root),
      version: version ? text(version.value) : undefined,
    }
  })
  return kerasGraph(json(config, 'model_config'), new KerasWeights(weights), { version, ...options })
}

/** Reads a `.keras` archive. Errors: as for `readKerasH5`, and `format/zip`. */
export async function readKerasArchive(bytes: Uint8Array, options: KerasOptions = {}): Promise<Graph> {
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
  const weights = await withHdf5(stored, (root) => numberedWeights(root, parsed))
  return kerasGraph(parsed, new KerasWeights(weights), {
    version: typeof version === 'string' ? version : '3',
    ...options,
  })
}
