/** Class names: reading label files of the usual kinds, and picking the best scores. No dependencies. */
import { ThimbleError } from './errors.ts'

/** Most classes a label file may name. */
const MAX_LABELS = 1_000_000

/**
 * Labels of a file, by class index; `''` where an indexed file leaves a gap.
 *
 * Read are: one label per line; `index  label` on every line (Coral, Teachable Machine); a WordNet id before every
 * label (`n01440764 tench, Tinca tinca`: the id is dropped); a JSON array of names or of `{ "name" | "label", "id"? }`;
 * a JSON object from index to name or to `[id, name]` (Keras' imagenet_class_index.json).
 * Errors: `format/labels`.
 */
export function parseLabels(text: string): string[] {
  const body = text.replace(/^\ufeff/, '')
  if (/^\s*[[{]/.test(body)) return jsonLabels(body)
  if (body.includes('\0')) {
    throw new ThimbleError('format/labels', 'the label file is not text', { expected: 'one label per line' })
  }
  const lines = body.split(/\r\n|\n|\r/).map((line) => line.trim())
  while (lines.length > 0 && lines[lines.length - 1] === '') lines.pop()
  if (lines.length === 0) {
    throw new ThimbleError('format/labels', 'the label file is empty', { expected: 'one label per line' })
  }
  const indexed = lines.filter((line) => line !== '').map((line) => /^(\d{1,7})(?:\s+|\s*[:,;]\s*)(\S.*)$/.exec(line))
  if (indexed.every((match) => match !== null) && new Set(indexed.map((m) => m[1])).size === indexed.length) {
    return byIndex(indexed.map((m): [number, string] => [Number(m[1]), m[2]!]))
  }
  const ids = /^n\d{8}\s+(?=\S)/
  return lines.every((line) => ids.test(line)) ? lines.map((line) => line.replace(ids, '')) : lines
}

function byIndex(entries: [number, string][]): string[] {
  const count = entries.reduce((n, [i]) => Math.max(n, i + 1), 0)
  if (count > MAX_LABELS) {
    throw new ThimbleError('format/labels', 'a label index is out of range', {
      expected: `below ${MAX_LABELS}`,
      got: count - 1,
    })
  }
  const labels = new Array<string>(count).fill('')
  for (const [i, label] of entries) labels[i] = label
  return labels
}

function jsonLabels(text: string): string[] {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw new ThimbleError('format/labels', `the label file is not valid JSON (${(error as Error).message})`)
  }
  const bad = (at: string, got: unknown): never => {
    throw new ThimbleError('format/labels', `the label file's ${at} is not a label`, {
      expected: 'a name',
      got: JSON.stringify(got)?.slice(0, 60),
    })
  }
  const name = (entry: unknown, at: string): string => {
    if (typeof entry === 'string') return entry
    if (Array.isArray(entry) && typeof entry[entry.length - 1] === 'string') return entry[entry.length - 1] as string
    if (entry && typeof entry === 'object') {
      const { name, label, displayName } = entry as Record<string, unknown>
      for (const v of [displayName, name, label]) if (typeof v === 'string') return v
    }
    return bad(at, entry)
  }
  const index = (key: unknown, at: string): number => {
    const i = Number(key)
    return Number.isInteger(i) && i >= 0 ? i : bad(at, key)
  }
  if (Array.isArray(value)) {
    const id = (entry: unknown): unknown =>
      entry && typeof entry === 'object' && !Array.isArray(entry) ? (entry as { id?: unknown }).id : undefined
    if (value.length > 0 && value.every((entry) => id(entry) !== undefined)) {
      return byIndex(value.map((entry, i) => [index(id(entry), `entry ${i}`), name(entry, `entry ${i}`)]))
    }
    return value.map((entry, i) => name(entry, `entry ${i}`))
  }
  const wrapped = (value as { labels?: unknown }).labels
  if (Array.isArray(wrapped)) return wrapped.map((entry, i) => name(entry, `entry ${i}`))
  return byIndex(
    Object.entries(value as object).map(([key, entry]) => [index(key, `key "${key}"`), name(entry, `entry "${key}"`)]),
  )
}

/** What an index without a name is called. */
export const labelOf = (labels: readonly string[] | undefined, index: number): string =>
  labels?.[index] || `class ${index}`

/**
 * Indices of the k best scores that reach `threshold`, best first; equal scores in index order. NaN counts as the
 * worst.
 */
export function topK(scores: ArrayLike<number>, k: number, threshold = -Infinity): number[] {
  const best: number[] = []
  for (let i = 0; i < scores.length; i++) {
    const s = scores[i]!
    if (!(s >= threshold) || (best.length === k && !(s > scores[best[k - 1]!]!))) continue
    let at = best.length
    while (at > 0 && s > scores[best[at - 1]!]!) at--
    best.splice(at, 0, i)
    if (best.length > k) best.pop()
  }
  return best
}
