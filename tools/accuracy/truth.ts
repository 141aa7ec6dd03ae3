/** What photos show, by their names: the classes of a labelled folder as indices of a model's output. */
import { readFileSync } from 'node:fs'
import { basename, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ThimbleError } from '../../src/errors.ts'

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

/** Class names to indices, and by what rule. Errors: `usage/labels` for names that fit no rule. */
function indicesOf(names: readonly string[], classes: Classes): { index: Map<string, number>; how: string } {
  const found = (how: string, index: (name: string, at: number) => number | undefined) => {
    const entries = names.map((name, at): [string, number | undefined] => [name, index(name, at)])
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
  const isImagenet = classes.count === 1000 || classes.count === 1001
  const result =
    (isImagenet ? found(`WordNet ids${background ? ', class 0 being the background' : ''}`, synset) : undefined) ??
    found("the model's labels", (name) => own.get(plain(name)) ?? own.get(plain(name.replace(SYNSET, '')))) ??
    found('indices', (name) => (/^\d{1,7}$/.test(name) ? Number(name) : undefined)) ??
    (names.length === classes.count ? found('the order of the sorted names', (_, at) => at) : undefined)
  if (result) return result
  const unknown = names.filter((name) => synset(name) === undefined && !own.has(plain(name)))
  throw new ThimbleError('usage/labels', "the photos' classes are not the model's", {
    expected: `WordNet ids (ImageNet), the model's labels (${sample(classes.labels) || 'it has none'}), indices below ${classes.count}, or ${classes.count} folders in their order`,
    got: `${names.length} classes: ${sample(unknown.length ? unknown : names)}`,
    hint: 'give the labels the model was trained with by --labels, or name the folders by index',
  })
}

/**
 * Photos of `folder` with their classes: by the folder below it that they are in, or by a WordNet id that their own
 * names begin with. Photos with neither are an error. Errors: `usage/labels`.
 */
export function labelledPhotos(folder: string, files: readonly string[], classes: Classes): LabelledPhotos {
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
  const numeric = named.every((n) => /^\d+$/.test(n.name!))
  const names = [...new Set(named.map((n) => n.name!))].sort((a, b) =>
    numeric ? Number(a) - Number(b) : a < b ? -1 : a > b ? 1 : 0,
  )
  const { index, how } = indicesOf(names, classes)
  return { photos: named.map(({ file, name }) => ({ file, truth: index.get(name!)! })), how }
}
