/**
 * Reads label files of every usual kind. The one parser for `--labels`, a caller's text or bytes, the archive behind a
 * `.tflite`, and files beside a model. Loaded by who has such a file.
 */
import { ThimbleError } from '../base/errors.ts'
import { FROM_ONE, MAX_LABELS, type LabelFile } from './labels.ts'
import { parsePythonLiteral } from '../base/literal.ts'

/** Most characters of a line that is a label. */
const MAX_LINE = 4096

const refuse = (what: string, detail: { expected?: string; got?: string | number; hint?: string } = {}): never => {
  throw new ThimbleError('format/labels', what, { expected: 'one label per line', ...detail })
}

// Characters -----------------------------------------------------------------

function utf16(bytes: Uint8Array, low: 0 | 1): string {
  let out = ''
  for (let i = 0; i + 1 < bytes.length; i += 2) out += String.fromCharCode(bytes[i + low]! | (bytes[i + 1 - low]! << 8))
  return out
}

/** Which of two bytes is the low one in UTF-16 without a byte order mark; undefined when it is none. */
function lowByte(bytes: Uint8Array): 0 | 1 | undefined {
  const pairs = Math.min(bytes.length, 4096) >> 1
  const zeros: [number, number] = [0, 0]
  for (let i = 0; i < 2 * pairs; i++) if (bytes[i] === 0) zeros[i & 1 ? 1 : 0]++
  if (pairs === 0 || bytes.length % 2 === 1) return undefined
  if (zeros[1] * 2 > pairs && zeros[0] === 0) return 0
  return zeros[0] * 2 > pairs && zeros[1] === 0 ? 1 : undefined
}

/** What Windows-1252 has where Latin-1 has control characters; engines disagree about its TextDecoder. */
const WINDOWS = '€\x81‚ƒ„…†‡ˆ‰Š‹Œ\x8dŽ\x8f\x90‘’“”•–—˜™š›œ\x9džŸ'

function windows1252(bytes: Uint8Array): string {
  let out = ''
  for (const b of bytes) out += b >= 0x80 && b < 0xa0 ? WINDOWS[b - 0x80]! : String.fromCharCode(b)
  return out
}

/** Text of a file: UTF-8, UTF-16 of either order, or else Latin-1 (Windows-1252), which is said in `notes`. */
function decode(bytes: Uint8Array, notes: string[]): string {
  if (bytes[0] === 0xff && bytes[1] === 0xfe) return utf16(bytes.subarray(2), 0)
  if (bytes[0] === 0xfe && bytes[1] === 0xff) return utf16(bytes.subarray(2), 1)
  const low = lowByte(bytes)
  if (low !== undefined) return utf16(bytes, low)
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    notes.push('the label file is not UTF-8 and was read as Latin-1')
    return windows1252(bytes)
  }
}

// Kinds of files -------------------------------------------------------------

/**
 * Reads a label file, given as bytes or text.
 *
 * Read are: one label per line (a blank line keeps its place); a number with every label (`0 cat`, `0: cat`, `0,cat`,
 * `cat 0`), from 0 or from 1; a WordNet id before every label, which is dropped; JSON: names, `{ "name", "id"? }`,
 * index to name, name to index (class_indices), `[id, name]`; a Python dict; `names:` of a YOLO data.yaml; a label
 * map (.pbtxt); CSV or TSV with a header. Names that begin with numbers stay names.
 * Errors: `format/labels`.
 */
export function readLabels(file: string | Uint8Array): LabelFile {
  const notes: string[] = []
  const text = (typeof file === 'string' ? file : decode(file, notes)).replace(/^\ufeff/, '')
  if (/[\0-\x08\x0e-\x1a]/.test(text)) refuse('the label file is not text')
  if (text.trim() === '') refuse('the label file is empty')
  const lines = text.split(/\r\n|\n|\r/)
  if (typeof file === 'string' && text.includes('\ufffd')) {
    notes.push('the labels hold U+FFFD, a character that could not be read: give the bytes of the file')
  }
  const found = structured(text, lines) ?? listed(lines)
  if (found.labels.length === 0) refuse('the label file names no class')
  if (found.labels.length > MAX_LABELS) {
    refuse('too many labels', { expected: `at most ${MAX_LABELS}`, got: found.labels.length })
  }
  if (found.fromOne) notes.push(FROM_ONE)
  return { ...found, notes: [...notes, ...found.notes] }
}

/** The labels of a file alone, see `readLabels`. */
export const parseLabels = (file: string | Uint8Array): string[] => readLabels(file).labels

/** Lines that are labels, with or without numbers. */
function listed(lines: readonly string[]): Found {
  const long = lines.findIndex((line) => line.length > MAX_LINE)
  if (long >= 0) {
    refuse(`line ${long + 1} of the label file is too long`, {
      expected: `at most ${MAX_LINE} characters`,
      got: lines[long]!.length,
    })
  }
  return table(lines) ?? numbered(lines) ?? plain(lines)
}

type Found = Omit<LabelFile, 'notes'> & { notes: string[] }
const just = (labels: string[]): Found => ({ labels, notes: [] })

/** Numbered names, by class index. Numbers must differ and begin at 0 or 1 where `from` asks for it. */
function byNumber(entries: readonly (readonly [number, string])[]): Found {
  let least = Infinity
  let most = -1
  for (const [i] of entries) {
    least = Math.min(least, i)
    most = Math.max(most, i)
  }
  if (most >= MAX_LABELS) refuse('a label index is out of range', { expected: `below ${MAX_LABELS}`, got: most })
  const first = least === 1 ? 1 : 0
  const labels = new Array<string>(most + 1 - first).fill('')
  const seen = new Set<number>()
  for (const [i, label] of entries) {
    if (seen.has(i)) refuse(`two labels have the number ${i}`, { expected: 'a number of its own for each' })
    seen.add(i)
    labels[i - first] = label
  }
  return { labels, notes: [], ...(first === 1 ? { fromOne: true } : {}) }
}

/** JSON, a Python literal, YAML or a label map; undefined for lines. */
function structured(text: string, lines: readonly string[]): Found | undefined {
  if (/^\s*[[{]/.test(text)) return bracketed(text, lines)
  if (/^\s*(#[^\n]*\n\s*)*item\s*(?::\s*)?[{<]/.test(text)) return labelMap(text)
  const names = lines.findIndex((line) => /^names\s*:/.test(line))
  const isYaml = (line: string): boolean => /^\s*($|#|---)|^\s|^-\s|^[\w-]+\s*:(\s|$)/.test(line)
  return names >= 0 && lines.slice(0, names).every(isYaml) ? yaml(lines, names) : undefined
}

/** What is in brackets; undefined where only the first line is (a class called `[background]`). */
function bracketed(text: string, lines: readonly string[]): Found | undefined {
  let value: unknown
  let problem: string
  try {
    return fromValue(JSON.parse(text))
  } catch (error) {
    if (error instanceof ThimbleError) throw error
    problem = (error as Error).message
  }
  const filled = lines.map((line) => line.trim()).filter((line) => line !== '')
  try {
    value = parsePythonLiteral(text)
  } catch {
    if (filled.length > 1 && /^(\[[^[\]]*\]|\{[^{}]*\})$/.test(filled[0]!)) return objectLines(filled)
    return refuse(`the label file is not valid JSON (${problem})`)
  }
  return fromValue(value)
}

/** A JSON object on every line, or lines that are labels. */
function objectLines(filled: readonly string[]): Found | undefined {
  try {
    return fromValue(filled.map((line) => JSON.parse(line) as unknown))
  } catch {
    return undefined
  }
}

const isObject = (v: unknown): v is Record<string, unknown> => typeof v === 'object' && v !== null && !Array.isArray(v)
const asIndex = (v: unknown): number | undefined => {
  const n = typeof v === 'number' ? v : typeof v === 'string' && /^\d{1,9}$/.test(v) ? Number(v) : NaN
  return Number.isInteger(n) && n >= 0 ? n : undefined
}

/** A name as a file's entry has it: text, `[id, name]`, or an object's name. */
function entryName(entry: unknown): string | undefined {
  if (typeof entry === 'string') return entry
  if (Array.isArray(entry)) return entry.length > 0 ? entryName(entry[entry.length - 1]) : undefined
  if (!isObject(entry)) return undefined
  const { displayName, display_name: display, name, label } = entry
  return [displayName, display, name, label].find((v): v is string => typeof v === 'string' && v !== '')
}

const badEntry = (at: string, got: unknown): never =>
  refuse(`the label file's ${at} is not a label`, {
    expected: 'a name',
    got: JSON.stringify(got)?.slice(0, 60) ?? 'nothing',
  })

/** Where files keep the names beside other things. */
const WRAPPERS = [
  'labels',
  'names',
  'classes',
  'class_names',
  'categories',
  'id2label',
  'class_indices',
  'label2id',
] as const

function fromValue(value: unknown): Found {
  if (Array.isArray(value)) return fromList(value)
  if (!isObject(value)) return badEntry('content', value)
  const wrapped = WRAPPERS.map((key) => value[key]).find((v) => Array.isArray(v) || isObject(v))
  if (wrapped !== undefined) return fromValue(wrapped)
  const entries = Object.entries(value)
  const keys = entries.map(([key]) => asIndex(key))
  const values = entries.map(([, v]) => asIndex(v))
  const inverse = values.every((v) => v !== undefined)
  // Names that are digits themselves: only a complete count tells that the values are the indices.
  const different = new Set(values)
  const counts = inverse && values.every((_, i) => different.has(i))
  if (inverse && (counts || !keys.every((k) => k !== undefined))) {
    return byNumber(entries.map(([key], i) => [values[i]!, key]))
  }
  return byNumber(
    entries.map(([key, entry], i) => [
      keys[i] ?? badEntry(`key "${key}"`, key),
      entryName(entry) ?? badEntry(`entry "${key}"`, entry),
    ]),
  )
}

function fromList(list: readonly unknown[]): Found {
  const names = list.map((entry, i) => entryName(entry) ?? badEntry(`entry ${i}`, entry))
  const ids = list.map((entry) => (isObject(entry) ? asIndex(entry.id) : undefined))
  return list.length > 0 && ids.every((id) => id !== undefined)
    ? byNumber(ids.map((id, i) => [id, names[i]!]))
    : just(names)
}

/** TensorFlow's label maps: `item { id: 1 name: "n02084071" display_name: "dog" }`. Ids without 0 count from 1. */
function labelMap(text: string): Found {
  const entries: [number, string][] = []
  const token =
    /#[^\n]*|([\w.]+)\s*(?::\s*)?([{<])|([\w.]+)\s*:\s*("(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|[-+\w.]+)|([}>])|[,;]|\s+/gy
  let item: { id?: number; name?: string; display?: string } = {}
  let depth = 0
  for (let at = 0; at < text.length; at = token.lastIndex) {
    token.lastIndex = at
    const match = token.exec(text)
    if (!match) {
      refuse('the label map is damaged', {
        expected: 'item { id: 1 name: "cat" }',
        got: JSON.stringify(text.slice(at, at + 30)),
      })
    }
    const [, , open, field, raw, close] = match!
    if (open && depth++ === 0) item = {}
    if (close && --depth < 0) refuse('the label map is damaged', { expected: 'item {', got: close })
    if (field && depth === 1) {
      if (field === 'id') item.id = asIndex(raw) ?? badEntry('id', raw)
      if (field === 'name') item.name = unquoted(raw!)
      if (field === 'display_name') item.display = unquoted(raw!)
    }
    if (close && depth === 0) {
      const label = item.display ?? item.name
      if (item.id === undefined || label === undefined) {
        refuse('an item of the label map has no id or no name', { expected: 'item { id: 1 name: "cat" }' })
      }
      entries.push([item.id!, label!])
    }
  }
  if (depth !== 0) refuse('the label map ends within an item')
  const found = byNumber(entries)
  // Detectors count without the background that the map's 0 is.
  return found.fromOne || entries.some(([id]) => id === 0)
    ? found
    : { ...found, labels: found.labels.slice(1), fromOne: true }
}

function unquoted(text: string): string {
  const trimmed = text.trim()
  if (!/^(["']).*\1$/s.test(trimmed) || trimmed.length < 2) return trimmed
  try {
    return String(parsePythonLiteral(trimmed))
  } catch {
    return trimmed.slice(1, -1)
  }
}

// YAML -----------------------------------------------------------------------

/** Where a character stands outside quotes, which open only at the beginning of a value. */
function outside(text: string, mark: string): number[] {
  const found: number[] = []
  let [quote, before] = ['', ',']
  for (let i = 0; i < text.length; i++) {
    const c = text[i]!
    if (quote) {
      if (c === quote) quote = ''
    } else if ((c === '"' || c === "'") && (before === ',' || before === ':')) quote = c
    else if (c === mark) found.push(i)
    if (!/\s/.test(c)) before = c
  }
  return found
}

/** Splits at a character that stands outside quotes. */
function splitOutside(text: string, mark: string): string[] {
  const ends = [...outside(text, mark), text.length]
  return ends.map((end, i) => text.slice(i === 0 ? 0 : ends[i - 1]! + 1, end))
}

/** A YAML scalar: quotes and a comment behind it are not part of it. */
function scalar(text: string): string {
  const quoted = /^\s*("(?:[^"\\]|\\.)*"|'(?:[^']|'')*')\s*(#.*)?$/.exec(text)
  if (quoted) return quoted[1]!.startsWith("'") ? quoted[1]!.slice(1, -1).replaceAll("''", "'") : unquoted(quoted[1]!)
  return text.replace(/(^|\s)#.*$/, '').trim()
}

/** `names:` of a YOLO data.yaml: a list or a map, in one line or in lines of their own. */
function yaml(lines: readonly string[], at: number): Found {
  const behind = lines[at]!.replace(/^names\s*:/, '')
    .replace(/(^|\s)#.*$/, '')
    .trim()
  const found = behind === '' ? yamlBlock(lines.slice(at + 1)) : yamlFlow([behind, ...lines.slice(at + 1)])
  const nc = /^nc\s*:\s*(\d+)/m.exec(lines.join('\n'))
  if (nc && Number(nc[1]) !== found.labels.length) {
    refuse('the data.yaml contradicts itself', { expected: `${nc[1]} names, as its nc says`, got: found.labels.length })
  }
  return found
}

function yamlBlock(lines: readonly string[]): Found {
  const names: string[] = []
  const entries: [number, string][] = []
  for (const line of lines) {
    if (/^\s*(#.*)?$/.test(line)) continue
    const item = /^\s*-(?:\s+(.*))?$/.exec(line)
    const pair = /^\s+["']?(\d+)["']?\s*:(?:\s+(.*))?$/.exec(line)
    if (item) names.push(scalar(item[1] ?? ''))
    else if (pair) entries.push([Number(pair[1]), scalar(pair[2] ?? '')])
    else if (/^\S/.test(line)) break
    else {
      refuse("a line of the data.yaml's names is not read", {
        expected: '- name, or 0: name',
        got: JSON.stringify(line.slice(0, 60)),
      })
    }
  }
  if (names.length > 0 && entries.length > 0) refuse("the data.yaml's names are a list and a map at once")
  return entries.length > 0 ? byNumber(entries) : just(names)
}

function yamlFlow(lines: readonly string[]): Found {
  const text = lines
    .map((line) => line.replace(/(^|\s)#.*$/, ''))
    .join(' ')
    .trim()
  const close = text[0] === '[' ? ']' : text[0] === '{' ? '}' : ''
  if (!close) return just([scalar(lines[0]!)])
  const [end] = outside(text.slice(1), close)
  if (end === undefined) return refuse("the data.yaml's names do not end", { expected: close })
  const parts = splitOutside(text.slice(1, end + 1), ',').filter(
    (part, i, all) => i < all.length - 1 || part.trim() !== '',
  )
  if (close === ']') return just(parts.map(scalar))
  return byNumber(
    parts.map((part) => {
      const [key, ...rest] = splitOutside(part, ':')
      return [asIndex(scalar(key!)) ?? badEntry('key', key), scalar(rest.join(':'))]
    }),
  )
}

// Tables ---------------------------------------------------------------------

/** Titles of columns, the best first. */
const NAME_TITLES = [
  'display_name',
  'displayname',
  'class_name',
  'classname',
  'label_name',
  'name',
  'names',
  'label',
  'labels',
  'class',
  'classes',
  'category',
  'species',
  'title',
  'description',
]
const NUMBER_TITLES = [
  'index',
  'idx',
  'id',
  'class_id',
  'classid',
  'class_index',
  'class_idx',
  'label_id',
  'labelid',
  'label_index',
  'category_id',
  'number',
  'no',
  '#',
  '',
  'label',
  'class',
  'value',
  'code',
  'target',
]

const titleOf = (cell: string): string =>
  cell
    .trim()
    .toLowerCase()
    .replace(/[\s-]+/g, '_')

/** Cells of a line of CSV (RFC 4180): quotes protect separators, doubled quotes are one. */
function cells(line: string, separator: string): string[] {
  const out: string[] = []
  const quotes = separator === '\t' ? /^ *"((?:[^"]|"")*)" */ : /^\s*"((?:[^"]|"")*)"\s*/
  for (let at = 0; ;) {
    const rest = line.slice(at)
    const quoted = quotes.exec(rest)
    const end =
      quoted && [separator, undefined].includes(rest[quoted[0].length]) ? quoted[0].length : rest.indexOf(separator)
    const cell = end < 0 ? rest : rest.slice(0, end)
    out.push((quoted?.[0] === cell ? quoted[1]!.replaceAll('""', '"') : cell).trim())
    if (end < 0 || end === rest.length) return out
    at += end + 1
  }
}

/** CSV or TSV with a header that has a title for the names; undefined for anything else. */
function table(lines: readonly string[]): Found | undefined {
  const filled = lines.filter((line) => line.trim() !== '')
  const separator = [',', '\t', ';', '|'].find((s) => cells(filled[0]!, s).length > 1)
  if (separator === undefined || filled.length < 2) return undefined
  const titles = cells(filled[0]!, separator).map(titleOf)
  const rows = filled.slice(1).map((line) => cells(line, separator))
  if (!titles.some((t) => NAME_TITLES.includes(t)) || !rows.every((r) => r.length === titles.length)) return undefined
  const whole = titles.map((_, c) => rows.every((r) => /^\d{1,9}$/.test(r[c]!)))
  const different = (c: number): boolean => new Set(rows.map((r) => r[c])).size === rows.length
  const pick = (names: readonly string[], fits: (c: number) => boolean): number | undefined =>
    names.map((name) => titles.findIndex((t, c) => t === name && fits(c))).find((c) => c >= 0)
  const name = pick(NAME_TITLES, (c) => !whole[c]) ?? pick(NAME_TITLES, () => true)!
  const number = pick(NUMBER_TITLES, (c) => c !== name && whole[c]! && different(c))
  if (number === undefined) return just(rows.map((r) => r[name]!))
  return byNumber(rows.map((r) => [Number(r[number]), r[name]!]))
}

// Lines ----------------------------------------------------------------------

/** A number and what stands for it in a line, and whether a mark parts them. */
const NUMBER_FIRST = /^\(?(\d{1,7})\)?(?:(\s*[:,;|=)\t]\s*|\s*\.\s+|\s+-\s+|\s{2,})|\s)(\S.*)$/
const NUMBER_LAST = /^(.*?\S)(?:(\s*[:,;|=\t]\s*|\s{2,})|\s)(\d{1,7})$/

const QUOTED = /^"(?:[^"]|"")*"$|^'[^']*'$/
/** A name without its quotes; doubled ones within are one. */
const bare = (name: string): string => (QUOTED.test(name) ? name.slice(1, -1).replaceAll('""', '"') : name)

/**
 * Lines that all have a number: `0 cat`, `0: cat`, `cat 0`. Names that begin with numbers are not: `3 of clubs` counts
 * from neither 0 nor 1, `1 euro, 2 euro` leaves the same name, `4 seats, 4 wheels` has a number twice.
 */
function numbered(lines: readonly string[]): Found | undefined {
  const filled = lines.map((line) => line.trim()).filter((line) => line !== '')
  const read = (pattern: RegExp, number: number, name: number, last: boolean): Found | undefined => {
    const found: RegExpExecArray[] = []
    for (const line of filled) {
      const match = pattern.exec(line)
      if (!match) return undefined
      found.push(match)
    }
    const entries = found.map((m): [number, string] => [Number(m[number]), bare(m[name]!)])
    const marked = found.every((m) => m[2] !== undefined)
    return areIndices(entries, marked, last) ? byNumber(entries) : undefined
  }
  return read(NUMBER_FIRST, 1, 3, false) ?? read(NUMBER_LAST, 3, 1, true)
}

/** `marked`: a colon or the like parts number and name. `last`: the number stands behind the name. */
function areIndices(entries: readonly (readonly [number, string])[], marked: boolean, last: boolean): boolean {
  const numbers = new Set(entries.map(([n]) => n))
  const names = new Set(entries.map(([, name]) => name))
  let [least, most] = [Infinity, -Infinity]
  for (const n of numbers) {
    least = Math.min(least, n)
    most = Math.max(most, n)
  }
  if (numbers.size !== entries.length || least > 1) return false
  if (names.size * 2 <= entries.length && entries.length > 1) return false
  const complete = numbers.size === most - least + 1
  if (last && !marked) return complete && least === 0 && entries.length > 1
  if (last) return complete
  return marked || numbers.size * 2 >= most - least + 1
}

/**
 * One label per line. A WordNet id before every one is dropped, a comma behind every one, and quotes around every one.
 */
function plain(lines: readonly string[]): Found {
  let labels = lines.map((line) => line.trim())
  while (labels[labels.length - 1] === '') labels.pop()
  const every = (pattern: RegExp): boolean => labels.every((line) => line === '' || pattern.test(line))
  if (every(/,$/)) labels = labels.map((line) => line.slice(0, -1).trimEnd())
  if (every(QUOTED)) labels = labels.map(bare)
  const ids = /^n\d{8}\s+(?=\S)/
  if (labels.every((line) => ids.test(line))) return just(labels.map((line) => line.replace(ids, '')))
  const title = labels.length > 1 && NAME_TITLES.includes(titleOf(labels[0]!))
  return { ...just(labels), ...(title ? { title } : {}) }
}
