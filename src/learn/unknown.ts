/**
 * How near an image is to what was taught, and where "unknown" begins: an image is unknown when its best logit and the
 * cosine to the nearest photo taught, weighed and added, stay below a threshold. The threshold is such that a wanted
 * share of the photos taught would be recognised, each judged by what was learned from the others.
 */
import { argMax, classSizes, type Closed, closedFormOf, type Examples, type Problem, type Trained } from './solve.ts'

/** Photos that stand for all: unit rows, row-major. Unknown: logit < threshold - weight * largest cosine. */
export interface Nearness {
  features: number
  prototypes: Float64Array
  weight: number
  threshold: number
}

/** What the threshold was found from, and what it does to the photos themselves. */
export interface UnknownReport {
  /** `photos`: on photos left out. `classes`: of photos of other classes, since each class has a single one. */
  from: 'photos' | 'classes'
  /** Share of photos left out that are still recognised as something taught. */
  kept: number
  /** Share of the photos of `none`, each left out, that are called unknown; absent without such photos. */
  none?: number
  /** Share of photos called unknown when their whole class is left out; absent with many photos. */
  strangers?: number
}

/** The cosine's weight where the logits of a photo's own class are ahead by 1, and where each class has one photo. */
const WEIGHT = 14
const SINGLES_WEIGHT = 24
/** Steps of L2_NORMALIZATION's output from 0 to 1. */
export const UNIT_STEPS = 128
/** Most prototypes, and the fewest of a class. */
const PROTOTYPES = 128
const PROTOTYPES_A_CLASS = 2
/** Of the photos of other classes, those that a first guess lets pass. */
const SINGLES_PASS = 0.25
/** Share of the photos of classes not shown that lie below the half-way threshold's lower end. */
const STRANGERS_BELOW = 0.95
/** Photos judged in finding the threshold. */
const JUDGED = 400
/** Photos up to which each class is left out in turn; all of them are judged. */
const STRANGERS = 300

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0
  for (let d = 0; d < a.length; d++) sum += a[d]! * b[d]!
  return sum
}

/** Rows brought to length 1, one by one. */
function unitRows(rows: Float64Array, features: number): Float64Array[] {
  return Array.from({ length: rows.length / features }, (_, r) => {
    const row = rows.slice(r * features, (r + 1) * features)
    const length = Math.sqrt(dot(row, row)) || 1
    for (let d = 0; d < features; d++) row[d]! /= length
    return row
  })
}

/** Up to `most` of the members: the one nearest to all, then each time the one that is farthest from those chosen. */
function spread(unit: readonly Float64Array[], members: readonly number[], most: number): number[] {
  if (members.length <= most) return [...members]
  const cosine = (i: number, j: number): number => dot(unit[i]!, unit[j]!)
  const mean = new Float64Array(unit[0]!.length)
  for (const i of members) unit[i]!.forEach((v, d) => (mean[d]! += v))
  const first = members.reduce((a, b) => (dot(unit[b]!, mean) > dot(unit[a]!, mean) ? b : a))
  const chosen = [first]
  const nearest = members.map((i) => cosine(i, first))
  while (chosen.length < most) {
    let at = 0
    nearest.forEach((v, k) => (at = v < nearest[at]! ? k : at))
    chosen.push(members[at]!)
    members.forEach((i, k) => (nearest[k] = Math.max(nearest[k]!, cosine(i, members[at]!))))
  }
  return chosen.sort((a, b) => a - b)
}

interface Question {
  examples: Examples
  problem: Problem
  closed: Closed
  trained: Trained
  /** Features of the photos as they are, without variations: row-major, of any length. */
  whole: Float64Array
  /** The class of photos of nothing taught, if there is one. */
  none: number | undefined
  /** Share of photos to be recognised, 0 to 1. */
  keep: number
}

/** Value of a sorted list below which `share` of it lies. */
const quantile = (sorted: readonly number[], share: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]!

/**
 * The threshold from the score that enough of the photos reach: where those of classes that were not shown stay clearly
 * below it, half way to them, since a few photos know little of how far their like can be.
 */
function between(reached: number, strangers: readonly number[]): number {
  const below = strangers.length ? quantile(strangers, STRANGERS_BELOW) : reached
  return below < reached ? (below + reached) / 2 : reached
}

/** How near what was taught is, with its threshold. Needs at least two classes besides none. */
export function nearnessOf({ examples, problem, closed, trained, whole, none, keep }: Question): {
  nearness: Nearness
  report: UnknownReport
} {
  const { count: n, features, labels, classes } = examples
  const sizes = classSizes(labels, classes)
  const unit = unitRows(examples.rows, features)
  // As L2_NORMALIZATION gives them: small features round to nothing.
  const asked = unitRows(whole, features)
  for (const row of asked) for (let d = 0; d < features; d++) row[d] = Math.round(row[d]! * UNIT_STEPS) / UNIT_STEPS
  const weight = (Math.max(...sizes) > 1 ? WEIGHT : SINGLES_WEIGHT) * trained.gain
  const taught = Array.from({ length: n }, (_, i) => i).filter((i) => labels[i] !== none)
  const step = Math.max(1, Math.ceil(n / JUDGED))
  const judged = Array.from({ length: n }, (_, i) => i).filter((i) => i % step === 0)
  // Per photo asked and class: the cosine to the nearest other photo of that class.
  const near = new Map(
    judged.map((i) => {
      const best = new Float64Array(classes).fill(-1)
      for (const j of taught) {
        if (j === i) continue
        const c = labels[j]!
        best[c] = Math.max(best[c]!, dot(asked[i]!, unit[j]!))
      }
      return [i, best] as const
    }),
  )
  const best = (values: Float64Array, leave?: number): number =>
    values.reduce((m, v, c) => (c === none || c === leave ? m : Math.max(m, v)), -Infinity)
  const logits = (i: number): Float64Array => trained.leftOut.subarray(i * classes, (i + 1) * classes)
  const score = (i: number): number => best(logits(i)) + weight * best(near.get(i)!)
  const sorted = (scores: readonly number[]): number[] => [...scores].sort((a, b) => a - b)
  const kinds = Array.from({ length: classes }, (_, c) => c).filter((c) => c !== none)
  const own = sorted(judged.filter((i) => labels[i] !== none && sizes[labels[i]!]! > 1).map(score))
  const strangers =
    n <= STRANGERS
      ? sorted(
          kinds.flatMap((c) =>
            withoutClass(c, problem, closed).map(
              ({ photo, said }) => trained.gain * best(said, c) + weight * best(near.get(photo)!, c),
            ),
          ),
        )
      : []
  const threshold = own.length
    ? between(quantile(own, 1 - keep), strangers)
    : quantile(strangers.length ? strangers : sorted(judged.map(score)), SINGLES_PASS)
  const passing = (scores: readonly number[]): number => scores.filter((s) => s >= threshold).length / scores.length
  const report: UnknownReport = {
    from: own.length ? 'photos' : 'classes',
    kept: own.length ? passing(own) : 1,
  }
  const nones = judged.filter((i) => labels[i] === none)
  if (nones.length) {
    const refused = nones.filter((i) => score(i) < threshold || (sizes[none!]! > 1 && argMax(logits(i)) === none))
    report.none = refused.length / nones.length
  }
  if (strangers.length) report.strangers = 1 - passing(strangers)
  const most = Math.max(PROTOTYPES_A_CLASS, Math.floor(PROTOTYPES / kinds.length))
  const kept = kinds.flatMap((c) =>
    spread(
      unit,
      taught.filter((i) => labels[i] === c),
      most,
    ),
  )
  const prototypes = new Float64Array(kept.length * features)
  kept.forEach((i, k) => prototypes.set(unit[i]!, k * features))
  return { nearness: { features, prototypes, weight, threshold }, report }
}

/** The answers to a class' photos of the closed form that was never shown the class. */
function withoutClass(
  c: number,
  { products, labels, classes }: Problem,
  closed: Closed,
): { photo: number; said: Float64Array }[] {
  const n = labels.length
  const all = Array.from({ length: n }, (_, i) => i)
  const inside = all.filter((i) => labels[i] !== c)
  const shown = new Float64Array(inside.length ** 2)
  inside.forEach((i, a) => inside.forEach((j, b) => (shown[a * inside.length + b] = products[i * n + j]!)))
  const { coefficients, bias } = closedFormOf(
    { products: shown, labels: inside.map((i) => labels[i]!), classes },
    closed,
  )
  return all
    .filter((i) => labels[i] === c)
    .map((photo) => {
      const said = bias.slice()
      inside.forEach((j, a) => {
        for (let k = 0; k < classes; k++) said[k]! += products[photo * n + j]! * coefficients[a * classes + k]!
      })
      return { photo, said }
    })
}
