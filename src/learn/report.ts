/** What a training found out about the photos: which look wrong, which are there twice, how well classes part. */
import { argMax, classSizes, type Closed, type Examples } from './solve.ts'
import type { Taught } from './keep.ts'

/** A photo that the classifier of all other photos takes for another class. */
export interface Doubtful {
  name: string
  label: string
  looksLike: string
  /** By how much the other class is ahead; 1 is as sure as the classifier is of a typical photo. */
  by: number
}

/** Two photos whose features hardly differ. */
export interface Double {
  a: string
  b: string
  /** Cosine of their features. */
  similarity: number
}

/** Lead of another class from which on a photo is named. */
const DOUBTFUL = 0.25
/** Cosine from which on two photos are named as nearly the same. */
const DOUBLE = 0.985

/** Photos as near as copies, mirrored ones too, the nearest first. */
export function doublesOf(taught: readonly Taught[], { count, features, rows }: Examples): Double[] {
  const lengths = Array.from({ length: count }, (_, i) =>
    Math.sqrt(rows.subarray(i * features, (i + 1) * features).reduce((sum, v) => sum + v * v, 0)),
  )
  const found: Double[] = []
  for (let i = 0; i < count; i++) {
    for (let j = i + 1; j < count; j++) {
      let sum = 0
      for (let d = 0; d < features; d++) sum += rows[i * features + d]! * rows[j * features + d]!
      const similarity = sum / (lengths[i]! * lengths[j]! || 1)
      if (similarity >= DOUBLE) found.push({ a: taught[i]!.name, b: taught[j]!.name, similarity })
    }
  }
  return found.sort((x, y) => y.similarity - x.similarity)
}

/** Counts of [class][class said], and the photos that look like another class, the surest first. */
export function confusionOf(
  taught: readonly Taught[],
  { labels: own, classes }: Examples,
  { leftOut }: Closed,
  labels: readonly string[],
): { confusion: number[][]; mislabelled: Doubtful[] } {
  const sizes = classSizes(own, classes)
  const confusion = labels.map(() => labels.map(() => 0))
  const mislabelled: Doubtful[] = []
  taught.forEach(({ name, label }, i) => {
    const said = leftOut.subarray(i * classes, (i + 1) * classes)
    const best = argMax(said)
    confusion[own[i]!]![best]!++
    const by = said[best]! - said[own[i]!]!
    // A class of one photo has nothing left to recognise it by.
    if (best !== own[i] && by >= DOUBTFUL && sizes[own[i]!]! > 1) {
      mislabelled.push({ name, label, looksLike: labels[best]!, by })
    }
  })
  return { confusion, mislabelled: mislabelled.sort((a, b) => b.by - a.by) }
}
