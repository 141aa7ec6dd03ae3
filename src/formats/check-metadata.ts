/** Checks of Metadata from a file that anyone may have written: every field of its type and within limits. */
import { ThimbleError } from '../errors.ts'
import type { Metadata, Preprocess } from '../graph.ts'

export const MAX_LABELS = 1 << 20

const bad = (name: string, expected: string, got: unknown): ThimbleError =>
  new ThimbleError('format/metadata', `metadata ${name}`, {
    expected,
    got: JSON.stringify(got)?.slice(0, 80) ?? 'nothing',
  })

const isObject = (v: unknown): v is Record<string, unknown> => typeof v === 'object' && v !== null && !Array.isArray(v)

function oneOf<const T extends string>(value: unknown, names: readonly T[], name: string): T {
  if (!names.includes(value as T)) throw bad(name, names.join(', '), value)
  return value as T
}

/** One number for all channels, or one for each of up to 4. */
function perChannel(value: unknown, name: string, nonZero: boolean): number[] {
  const valid = (v: unknown): boolean => typeof v === 'number' && Number.isFinite(v) && !(nonZero && v === 0)
  if (!Array.isArray(value) || value.length < 1 || value.length > 4 || !value.every(valid)) {
    throw bad(name, `1 to 4 finite numbers${nonZero ? ', none of them 0' : ''}`, value)
  }
  return value as number[]
}

/** Errors: `format/metadata`. */
export function checkPreprocess(value: unknown): Preprocess {
  if (!isObject(value)) throw bad('preprocess', 'an object', value)
  const { shorterSide } = value
  if (
    shorterSide !== undefined &&
    !(Number.isInteger(shorterSide) && (shorterSide as number) >= 1 && (shorterSide as number) <= 65535)
  ) {
    throw bad('preprocess.shorterSide', '1 to 65535', shorterSide)
  }
  return {
    fit: oneOf(value.fit, ['stretch', 'crop', 'fit'], 'preprocess.fit'),
    ...(shorterSide === undefined ? {} : { shorterSide: shorterSide as number }),
    method: oneOf(value.method, ['bilinear', 'bilinear-fast', 'nearest', 'area'], 'preprocess.method'),
    channels: oneOf(value.channels, ['rgb', 'bgr', 'gray'], 'preprocess.channels'),
    mean: perChannel(value.mean, 'preprocess.mean', false),
    std: perChannel(value.std, 'preprocess.std', true),
  }
}

/** The known fields of `value`, checked. Errors: `format/metadata`. */
export function checkMetadata(value: unknown): Metadata {
  if (!isObject(value)) throw bad('block', 'an object', value)
  const out: Metadata = {}
  for (const name of ['name', 'description', 'license', 'source', 'author', 'version'] as const) {
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
  if (value.preprocess !== undefined) out.preprocess = checkPreprocess(value.preprocess)
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
  } catch {
    throw bad('block', 'JSON', new TextDecoder().decode(bytes.subarray(0, 40)))
  }
  return checkMetadata(value)
}
