/**
 * Photos taught, as features in the file: two constants that no op reads, so that every runtime leaves them alone and a
 * packed module leaves them out. `learned/photos`: int8 [photos, views, features]. `learned/notes`: JSON in UTF-8,
 * `{ version, photos: [[class, name], …] }`.
 */
import { ThimbleError } from '../base/errors.ts'
import { elements, type Graph, type Tensor } from '../graph/graph.ts'
import { prune } from './cut.ts'
import { BETWEEN, FILTER } from './join.ts'
import { VIEWS } from './views.ts'

const PHOTOS = 'learned/photos'
const NOTES = 'learned/notes'
const VERSION = 1

/** What is kept of a photo, and what it is called in the report. */
export interface Taught {
  label: string
  name: string
  /** Int8 features of the views, one after the other. */
  features: Int8Array
}

/** The two tensors. */
export function keptTensors(taught: readonly Taught[]): Tensor[] {
  const each = taught[0]!.features.length
  const rows = new Uint8Array(taught.length * each)
  taught.forEach((t, i) => rows.set(new Uint8Array(t.features.buffer, t.features.byteOffset, each), i * each))
  const notes = new TextEncoder().encode(
    JSON.stringify({ version: VERSION, photos: taught.map(({ label, name }) => [label, name]) }),
  )
  return [
    { name: PHOTOS, shape: [taught.length, VIEWS, each / VIEWS], dtype: 'int8', data: rows },
    { name: NOTES, shape: [notes.length], dtype: 'uint8', data: notes },
  ]
}

const damaged = (what: string, expected: string, got: string): ThimbleError =>
  new ThimbleError('usage/base', `the photos that the learned file keeps: ${what}`, {
    expected,
    got,
    hint: 'learn again from the photos, or use a base model',
  })

function notesOf(bytes: Uint8Array): [string, string][] {
  let notes: { version?: unknown; photos?: unknown } | null
  try {
    notes = JSON.parse(new TextDecoder().decode(bytes)) as typeof notes
  } catch {
    throw damaged('their names', 'JSON', 'something else')
  }
  if (notes?.version !== VERSION) throw damaged('another version', String(VERSION), String(notes?.version))
  const { photos } = notes
  const fits = (p: unknown): p is [string, string] =>
    Array.isArray(p) && p.length === 2 && p.every((v) => typeof v === 'string') && p[0]!.trim() !== ''
  if (!Array.isArray(photos) || !photos.every(fits)) throw damaged('their names', '[class, name] each', 'others')
  return photos
}

export interface LearnedFile {
  base: Graph
  baseName: string
  /** Undefined where it was exported without them. */
  taught: Taught[] | undefined
}

/** The network that a learned file was learned on, and the photos that it keeps; undefined for any other file. */
export function learnedFile(graph: Graph): LearnedFile | undefined {
  const { tensors, ops } = graph
  const find = (name: string): Tensor | undefined => tensors.find((t) => t.name === name)
  const head = ops.find((op) => op.type === 'FULLY_CONNECTED' && tensors[op.inputs[1]!]?.name === FILTER)
  const about = graph.metadata.extra?.learned as { base?: unknown } | undefined
  if (!head || typeof about?.base !== 'string') return undefined
  const baseName = about.base
  let features = head.inputs[0]!
  while (BETWEEN.includes(tensors[features]!.name)) {
    const before = ops.find((op) => op.outputs.includes(features))
    if (!before) throw damaged('their features', 'an op before the head', 'none')
    features = before.inputs[0]!
  }
  const base = prune(graph, [features])
  const [photos, notes] = [find(PHOTOS), find(NOTES)]
  if (!photos?.data || !notes?.data) return { base, baseName, taught: undefined }
  const length = elements(tensors[features]!.shape)
  const named = notesOf(notes.data)
  const [count, views, each] = photos.shape
  if (
    photos.dtype !== 'int8' ||
    photos.shape.length !== 3 ||
    count !== named.length ||
    views !== VIEWS ||
    each !== length
  ) {
    throw damaged(
      'their shape',
      `int8 [${named.length}, ${VIEWS}, ${length}]`,
      `${photos.dtype} [${photos.shape.join(', ')}]`,
    )
  }
  const size = VIEWS * length
  const { data } = photos
  return {
    base,
    baseName,
    taught: named.map(([label, name], i) => ({
      label,
      name,
      features: Int8Array.from(data.subarray(i * size, (i + 1) * size), (v) => (v << 24) >> 24),
    })),
  }
}

/** Bytes of the kept photos in a file. */
export const keptBytes = (taught: readonly Taught[]): number =>
  taught.length ? keptTensors(taught).reduce((sum, t) => sum + t.data!.length, 0) : 0
