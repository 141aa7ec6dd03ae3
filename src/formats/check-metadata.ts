/** Checks of Metadata from a file that anyone may have written: every field of its type and within limits. */
import { ThimbleError } from '../base/errors.ts'
import type { Metadata } from '../graph/graph.ts'
import { MAX_LABELS } from '../answers/labels.ts'
import { checkPreprocess } from '../options/options.ts'

const bad = (name: string, expected: string, got: unknown, cause?: unknown): ThimbleError =>
  new ThimbleError('format/metadata', `metadata ${name}`, {
    cause,
    expected,
    got: JSON.stringify(got)?.slice(0, 80) ?? 'nothing',
  })

const isObject = (v: unknown): v is Record<string, unknown> => typeof v === 'object' && v !== null && !Array.isArray(v)

function oneOf<const T extends string>(value: unknown, names: readonly T[], name: string): T {
  if (!names.includes(value as T)) throw bad(name, names.join(', '), value)
  return value as T
}

/** The known fields of `value`, checked. Errors: `format/metadata`. */
export function checkMetadata(value: unknown): Metadata {
  if (!isObject(value)) throw bad('block', 'an object', value)
  const out: Metadata = {}
  for (const name of ['name', 'description', 'license', 'source', 'author', 'version', 'preprocessFrom'] as const) {
    const text = value[name]
    if (text === undefined) continue
    if (typeof text !== 'string') throw bad(name, 'a string', text)
    out[name] = text
  }
  if (value.labels !== undefined) {
    const labels = value.labels
    if (!Array.isArray(labels) || labels.length > MAX_LABELS || !labels.every((l) => typeof l === 'string')) {
      throw bad('labels', `at most ${MAX_LABELS} strings`, labels)
    }
    out.labels = labels
  }
  if (value.preprocess !== undefined) out.preprocess = checkPreprocess(value.preprocess, 'file')
  if (value.task !== undefined) {
    out.task = oneOf(value.task, ['classification', 'detection', 'segmentation', 'landmarks', 'features'], 'task')
  }
  if (value.scores !== undefined) out.scores = oneOf(value.scores, ['softmax', 'sigmoid', 'identity'], 'scores')
  if (value.extra !== undefined) {
    if (!isObject(value.extra)) throw bad('extra', 'an object', value.extra)
    out.extra = value.extra
  }
  return out
}

/** Name under which a `.tflite` lists Metadata as JSON. */
export const JSON_METADATA = 'THIMBLE_METADATA'

/** Metadata from JSON text. Errors: `format/metadata`. */
export function parseMetadata(bytes: Uint8Array): Metadata {
  let value: unknown
  try {
    value = JSON.parse(new TextDecoder().decode(bytes))
  } catch (error) {
    throw bad('block', 'JSON', new TextDecoder().decode(bytes.subarray(0, 40)), error)
  }
  return checkMetadata(value)
}
