/**
 * Checking the options of a call against a table: one rule for each option. An unknown key, a wrong type, NaN, a number
 * out of range and a misspelt word are one ThimbleError that names the function, what was expected, what was given, and
 * the nearest right word. The command line (cli/args.ts) reads its values by the same rules. No dependencies.
 *
 *     checkOptions('createClassifier', options, { topK: whole(1), scores: oneOf(['auto', 'softmax']) })
 */
import { ThimbleError, type ErrorCode } from '../base/errors.ts'
import type { Preprocess } from '../graph/graph.ts'

/** What an option may be. */
export interface Rule {
  /** In words, for messages: `a whole number from 1 to 16`. */
  readonly expected: string
  readonly accepts: (value: unknown) => boolean
  /** The words of a choice, from which the nearest is suggested. */
  readonly words?: readonly string[]
  /** Looks inside an accepted value; throws its own, more exact error. */
  readonly inside?: (value: unknown, name: string) => void
}

/** A rule for every option of `T`: an option without one does not compile. */
export type Rules<T extends object> = { readonly [K in keyof Required<T>]: Rule }

// Rules ----------------------------------------------------------------------

/** One of a few words. */
export const oneOf = (words: readonly string[]): Rule => ({
  expected: words.join(', '),
  words,
  accepts: (v) => words.includes(v as string),
})

const range = (kind: string, min: number, max: number): string =>
  max === Infinity ? (min === -Infinity ? kind : `${kind} from ${min} on`) : `${kind} from ${min} to ${max}`

/** A whole number from `min` to `max`, both included. */
export const whole = (min = 1, max = Infinity): Rule => ({
  expected: range('a whole number', min, max),
  accepts: (v) => Number.isSafeInteger(v) && (v as number) >= min && (v as number) <= max,
})

/** A finite number from `min` to `max`, both included. */
export const real = (min = -Infinity, max = Infinity): Rule => ({
  expected: range('a number', min, max),
  accepts: (v) => Number.isFinite(v) && (v as number) >= min && (v as number) <= max,
})

export const flag: Rule = { expected: 'true or false', accepts: (v) => typeof v === 'boolean' }
export const text: Rule = { expected: 'a string', accepts: (v) => typeof v === 'string' }
export const callback: Rule = { expected: 'a function', accepts: (v) => typeof v === 'function' }

/** A list (or typed array) of `min` to `max` values that all keep `rule`. */
export const listOf = (rule: Rule, min = 0, max = Infinity): Rule => ({
  expected: `a list${min > 0 || max < Infinity ? ` of ${min === max ? min : `${min} to ${max}`}` : ''}, each ${rule.expected}`,
  accepts: (v) => Array.isArray(v) && v.length >= min && v.length <= max && v.every(rule.accepts),
})

/** Class names: a list of strings, or the bytes or text of a label file. */
export const labelNames: Rule = {
  expected: 'a list of names, or the bytes or text of a label file',
  accepts: (v) =>
    typeof v === 'string' ||
    v instanceof Uint8Array ||
    (Array.isArray(v) && v.every((name) => typeof name === 'string')),
}

/** An object that has these, whatever they hold. */
export const having = (...keys: readonly string[]): Rule => ({
  expected: `an object with ${keys.join(', ')}`,
  accepts: (v) =>
    typeof v === 'object' && v !== null && keys.every((key) => (v as Record<string, unknown>)[key] !== undefined),
})

/** An object in which these are numbers, of any size. */
export const numbersIn = (...keys: readonly string[]): Rule => ({
  expected: `an object in which ${keys.join(', ')} are numbers`,
  accepts: (v) =>
    typeof v === 'object' && v !== null && keys.every((key) => typeof (v as Record<string, unknown>)[key] === 'number'),
})

/** A group of options with rules of its own. */
export const group = <T extends object>(rules: Rules<T>): Rule => ({
  expected: `an object of ${Object.keys(rules).join(', ')}`,
  accepts: isObject,
  inside: (value, name) => void checkOptions(name, value as T, rules),
})

/** How an image becomes a tensor. */
export const preprocessing: Rule = {
  expected: 'an object of fit, method, channels, mean and std',
  accepts: isObject,
  inside: (value) => void checkPreprocess(value),
}

// Checking -------------------------------------------------------------------

function isObject(v: unknown): v is Record<string, unknown> {
  return typeof v === 'object' && v !== null && !Array.isArray(v) && !ArrayBuffer.isView(v)
}

/** What a value is, for messages: `Promise`, `null`, `Array`, `string`. */
export const kindOf = (value: unknown): string =>
  value === null || value === undefined ? String(value) : Object.prototype.toString.call(value).slice(8, -1)

/** Values of a list that are shown. */
const SHOWN = 16

/** What is shown of a value within another one. */
const brief = (value: unknown): unknown =>
  ArrayBuffer.isView(value)
    ? `${kindOf(value)} of ${value.byteLength} bytes`
    : Array.isArray(value) && value.length > SHOWN
      ? `${value.length} values`
      : typeof value === 'number' && !Number.isFinite(value)
        ? String(value)
        : value

/** A value in few words, for messages. */
export function shown(value: unknown): string {
  if (value === undefined) return 'nothing'
  if (typeof value === 'function') return 'a function'
  if (typeof value === 'number' || typeof value === 'bigint') return String(value)
  if (typeof value === 'symbol') return 'a symbol'
  if (value instanceof Promise) return 'a promise (await it first)'
  if (ArrayBuffer.isView(value)) return `${kindOf(value)} of ${value.byteLength} bytes`
  if (Array.isArray(value) && value.length > SHOWN) return `a list of ${value.length} values`
  try {
    const json = JSON.stringify(value, (_, inner: unknown) => brief(inner)) ?? 'nothing'
    return json.length > 80 ? `${json.slice(0, 77)}...` : json
  } catch {
    return kindOf(value)
  }
}

/**
 * Throws what is wrong with `value`; `name` is the option as the caller wrote it.
 * Errors: `code`, by default `usage/option`.
 */
export function checkValue(name: string, value: unknown, rule: Rule, code: ErrorCode = 'usage/option'): void {
  if (rule.accepts(value)) {
    rule.inside?.(value, name)
    return
  }
  const near = typeof value === 'string' && rule.words ? nearest(value, rule.words) : undefined
  throw new ThimbleError(code, `${name} is not usable`, {
    expected: rule.expected,
    got: shown(value),
    hint: near === undefined ? undefined : `did you mean ${JSON.stringify(near)}?`,
  })
}

/**
 * The options of a call, checked: `{}` where there are none. Options that are undefined count as not given.
 * Errors: `usage/option`.
 */
export function checkOptions<T extends object>(owner: string, options: T | undefined, rules: Rules<T>): T {
  if (options === undefined) return {} as T
  if (!isObject(options)) {
    throw new ThimbleError('usage/option', `the options of ${owner} are not an object`, {
      expected: `{ ${Object.keys(rules).join(', ')} }`,
      got: shown(options),
    })
  }
  for (const [key, value] of Object.entries(options)) {
    if (value === undefined) continue
    if (!Object.hasOwn(rules, key)) throw unknownOption(owner, key, Object.keys(rules))
    checkValue(`${owner}: ${key}`, value, rules[key as keyof T])
  }
  return options
}

/** An option that there is not, with the nearest there is. */
export function unknownOption(owner: string, key: string, known: readonly string[], prefix = ''): ThimbleError {
  const near = nearest(key, known)
  return new ThimbleError('usage/option', `${owner} has no option ${prefix}${key}`, {
    expected: known.map((name) => prefix + name).join(', '),
    hint: near === undefined ? undefined : `did you mean ${prefix}${near}?`,
  })
}

/**
 * The word that `given` was probably meant to be: equal but for case and punctuation, or the beginning of exactly one,
 * or the fewest typing errors away (a third of its letters at most); undefined when nothing is near.
 */
export function nearest(given: string, words: readonly string[]): string | undefined {
  const plain = (s: string): string => s.toLowerCase().replace(/[^a-z0-9]/g, '')
  const wanted = plain(given.slice(0, 64))
  if (wanted === '') return undefined
  const same = words.find((word) => plain(word) === wanted)
  if (same !== undefined) return same
  const longer = words.filter((word) => plain(word).startsWith(wanted))
  if (longer.length === 1) return longer[0]
  let best: string | undefined
  let least = Infinity
  for (const word of words) {
    const other = plain(word)
    const distance = typingErrors(wanted, other)
    if (distance < least && distance <= Math.max(1, Math.floor(Math.max(wanted.length, other.length) / 3))) {
      least = distance
      best = word
    }
  }
  return best
}

/** Letters to insert, leave out, replace or swap with their neighbour (optimal string alignment). */
function typingErrors(a: string, b: string): number {
  const rows = Array.from({ length: a.length + 1 }, (_, i) => [i, ...new Array<number>(b.length).fill(0)])
  for (let j = 0; j <= b.length; j++) rows[0]![j] = j
  for (let i = 1; i <= a.length; i++) {
    for (let j = 1; j <= b.length; j++) {
      const replaced = rows[i - 1]![j - 1]! + Number(a[i - 1] !== b[j - 1])
      let least = Math.min(rows[i - 1]![j]! + 1, rows[i]![j - 1]! + 1, replaced)
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        least = Math.min(least, rows[i - 2]![j - 2]! + 1)
      }
      rows[i]![j] = least
    }
  }
  return rows[a.length]![b.length]!
}

// Preprocessing --------------------------------------------------------------

const finite: Rule = real()
const finiteNotZero: Rule = {
  expected: 'a number other than 0',
  accepts: (v) => Number.isFinite(v) && v !== 0,
}
/** One value for all channels, or one for each of three. */
const perChannel = (rule: Rule): Rule => ({
  expected: `1 or 3 values, each ${rule.expected}`,
  accepts: (v) => Array.isArray(v) && (v.length === 1 || v.length === 3) && v.every(rule.accepts),
})

const PREPROCESS: Rules<Preprocess> = {
  fit: oneOf(['stretch', 'crop', 'fit']),
  shorterSide: whole(1, 16384),
  method: oneOf(['bilinear', 'bilinear-fast', 'nearest', 'area']),
  channels: oneOf(['rgb', 'bgr', 'gray']),
  mean: perChannel(finite),
  std: perChannel(finiteNotZero),
}

/**
 * A copy of a preprocessing, checked; the same limits for a caller's and for a file's.
 * `from`: `caller` refuses unknown keys, as they may be misspelt; `file` leaves them out, as they may be newer.
 * Errors: `usage/preprocess` for a caller's, `format/metadata` for a file's.
 */
export function checkPreprocess(value: unknown, from: 'caller' | 'file' = 'caller'): Preprocess {
  const code = from === 'file' ? 'format/metadata' : 'usage/preprocess'
  const what = from === 'file' ? 'metadata preprocess' : 'preprocess'
  if (!isObject(value)) {
    throw new ThimbleError(code, `${what} is not an object`, { expected: preprocessing.expected, got: shown(value) })
  }
  if (from === 'caller') {
    const odd = Object.keys(value).find((key) => value[key] !== undefined && !Object.hasOwn(PREPROCESS, key))
    if (odd !== undefined) throw unknownOption(what, odd, Object.keys(PREPROCESS))
  }
  const out: Record<string, unknown> = {}
  for (const [key, rule] of Object.entries(PREPROCESS)) {
    if (key === 'shorterSide' && value[key] === undefined) continue
    checkValue(`${what}.${key}`, value[key], rule, code)
    out[key] = value[key]
  }
  return out as unknown as Preprocess
}
