/** Class names: fitting those of a file to a model, and picking the best scores. */

/** The note of a file whose numbers begin with 1. */
export const FROM_ONE = "the label file numbers its classes from 1: its 1 is taken for the model's first class"

/** Most labels of a file. */
export const MAX_LABELS = 1 << 20

/** What a label file says. */
export interface LabelFile {
  /** Names by class index; `''` for a blank line, or where numbers leave a gap. */
  labels: string[]
  /** What was decided while reading and could be wrong, one sentence each. */
  notes: string[]
  /** The file numbers its classes from 1: `labels[0]` is its class 1. */
  fromOne?: boolean
  /** The first line may be a column's title. */
  title?: boolean
}

// Fitting --------------------------------------------------------------------

/**
 * A file's labels for a model with this many classes: what the file leaves open (counting from 1, a column's title,
 * a class "background" that only one of them has) is decided by the number. Undefined when they do not fit.
 */
export function fitLabels(file: LabelFile, classes: number): LabelFile | undefined {
  const { labels, notes } = file
  if (labels.length === classes) return file
  if (file.fromOne && labels.length + 1 === classes) {
    return { labels: ['', ...labels], notes: notes.filter((note) => note !== FROM_ONE) }
  }
  if (file.title && labels.length === classes + 1) {
    return {
      labels: labels.slice(1),
      notes: [...notes, `the label file's first line, ${JSON.stringify(labels[0])}, is taken for a title`],
    }
  }
  return undefined
}

/** Why `labels` do not fit a model with `classes` classes, as a hint. */
export function misfitHint(labels: readonly string[], classes: number): string {
  const blank = labels.indexOf('')
  if (blank >= 0 && labels.filter((l) => l !== '').length === classes) {
    return `the name of class ${blank} is blank: take the blank lines out, if they are no classes`
  }
  const sizes = [labels.length, classes].sort((a, b) => a - b)
  if (sizes[0] === 1000 && sizes[1] === 1001) {
    return 'TensorFlow\'s ImageNet models have 1001 classes, "background" first; others have 1000'
  }
  if (labels.length + 1 === classes) return 'does the model have a class "background" that the file lacks?'
  if (labels.length === classes + 1) return 'does the file name a class "background" that the model lacks?'
  return 'give the label file that belongs to this model'
}

// Scores ---------------------------------------------------------------------

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
