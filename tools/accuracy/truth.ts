/** What photos show, by their names: the classes of a labelled folder as indices of a model's output. */
import { readdirSync, readFileSync } from 'node:fs'
import { basename, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ThimbleError } from '../../src/base/errors.ts'

/** A photo and the index of its class. */
export interface Labelled {
  file: string
  truth: number
}

export interface LabelledPhotos {
  photos: Labelled[]
  /** How names became indices, one sentence. */
  how: string
}

/** What is known of the model: how many classes, their names. */
export interface Classes {
  count: number
  labels: readonly string[]
}

/** Folders that may stand for classes, with photos or without. */
export const classFolders = (folder: string): string[] =>
  readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && !entry.name.startsWith('.'))
    .map((entry) => entry.name)

/** The 1,000 WordNet ids of ImageNet's classes, in the order of their indices: sorted. */
const imagenetIds = (): string[] =>
  readFileSync(fileURLToPath(new URL('./synsets.txt', import.meta.url)), 'utf8')
    .trim()
    .split('\n')

const SYNSET = /^(n\d{8})(?![0-9])/

/** Names that differ in case, spaces and underscores only are one. */
const plain = (name: string): string =>
  name
    .normalize('NFC')
    .toLowerCase()
    .replace(/[\s_-]+/g, ' ')
    .trim()

const sample = (names: readonly string[]): string =>
  names.slice(0, 5).join(', ') + (names.length > 5 ? ` and ${names.length - 5} more` : '')

/** As numbers where all are, else by their characters. */
function sorted(names: Iterable<string>): string[] {
  const list = [...new Set(names)]
  const numeric = list.every((name) => /^\d+$/.test(name))
  return list.sort((a, b) => (numeric ? Number(a) - Number(b) : a < b ? -1 : a > b ? 1 : 0))
}

/**
 * Class names of photos to indices, and by what rule; `folders`: all there are, those without photos too, which count
 * where the order tells. Errors: `usage/labels` for names that fit no rule.
 */
function indicesOf(
  names: readonly string[],
  folders: readonly string[],
  classes: Classes,
): { index: Map<string, number>; how: string } {
  const found = (how: string, index: (name: string) => number | undefined) => {
    const entries = names.map((name): [string, number | undefined] => [name, index(name)])
    const fits = entries.every(([, i]) => i !== undefined && Number.isInteger(i) && i >= 0 && i < classes.count)
    return fits ? { index: new Map(entries as [string, number][]), how } : undefined
  }
  const own = new Map(classes.labels.map((label, i) => [plain(label), i]))
  const ids = new Map(imagenetIds().map((id, i) => [id, i]))
  // TensorFlow's models have a class "background" before ImageNet's.
  const background = classes.count === 1001 ? 1 : 0
  const synset = (name: string): number | undefined => {
    const id = SYNSET.exec(name)?.[1]
    const at = id === undefined ? undefined : ids.get(id)
    return at === undefined ? undefined : at + background
  }
  const all = sorted([...names, ...folders])
  const isImagenet = classes.count === 1000 || classes.count === 1001
  const result =
    (isImagenet ? found(`WordNet ids${background ? ', class 0 being the background' : ''}`, synset) : undefined) ??
    found("the model's labels", (name) => own.get(plain(name)) ?? own.get(plain(name.replace(SYNSET, '')))) ??
    found('indices', (name) => (/^\d{1,7}$/.test(name) ? Number(name) : undefined)) ??
    (all.length === classes.count ? found('the order of the sorted names', (name) => all.indexOf(name)) : undefined)
  if (result) return result
  const unknown = names.filter((name) => synset(name) === undefined && !own.has(plain(name)))
  throw new ThimbleError('usage/labels', "the photos' classes are not the model's", {
    expected: `WordNet ids (ImageNet), the model's labels (${sample(classes.labels) || 'it has none'}), indices below ${classes.count}, or ${classes.count} folders in their order`,
    got:
      `${names.length} classes: ${sample(unknown.length ? unknown : names)}` +
      (all.length > names.length ? `; ${all.length} with folders that no photo is in` : ''),
    hint: 'give the labels the model was trained with by --labels, or name the folders by index',
  })
}

/**
 * Photos of `folder` with their classes: by the folder below it that they are in, or by a WordNet id that their own
 * names begin with. Photos with neither are an error. `folders`: `classFolders(folder)`. Errors: `usage/labels`.
 */
export function labelledPhotos(
  folder: string,
  files: readonly string[],
  classes: Classes & { folders?: readonly string[] },
): LabelledPhotos {
  const nameOf = (file: string): string | undefined => {
    const parts = relative(folder, file).split(sep)
    return parts.length > 1 ? parts[0] : SYNSET.exec(basename(file))?.[1]
  }
  const named = files.map((file) => ({ file, name: nameOf(file) }))
  const bare = named.filter((n) => n.name === undefined).map((n) => basename(n.file))
  if (bare.length) {
    throw new ThimbleError('usage/labels', `nothing says what ${bare.length} of ${files.length} photos show`, {
      expected: 'names such as n01440764_tench.JPEG, or one folder a class',
      got: sample(bare),
    })
  }
  const names = sorted(named.map((n) => n.name!))
  const inFolders = files.some((file) => relative(folder, file).includes(sep))
  const { index, how } = indicesOf(names, inFolders ? (classes.folders ?? []) : [], classes)
  return { photos: named.map(({ file, name }) => ({ file, truth: index.get(name!)! })), how }
}
