/** From photos' features to a head: the solver, the unknown and the report, without a network. */
import { headOnUnit, type Head } from './join.ts'
import type { Taught } from './keep.ts'
import { confusionOf, type Double, doublesOf, type Doubtful } from './report.ts'
import { closedForm, type Examples, linearOf, type Problem, productsOf, trainSoftmax, unitRows } from './solve.ts'
import { nearnessOf, type UnknownReport } from './unknown.ts'
import { VIEWS } from './views.ts'

/** Classes of pictures of nothing that is taught. */
export const NONE = ['none', 'unknown']
/** The label of what is none of the classes. */
export const UNKNOWN = 'unknown'

/** How well the classes can be told apart, judged on photos left out, and which photos look wrong. */
export interface TeachReport {
  labels: string[]
  /** Photos per class. */
  photos: number[]
  /** Share of photos that the closed form of all other photos gets right. */
  leaveOneOut: number
  /** [class][class said], counts of the same. */
  confusion: number[][]
  /** Of the head as it is trained, on photos held out in turn; absent where a class has a single photo. */
  crossValidation?: { folds: number; accuracy: number; loss: number }
  strength: number
  mislabelled: Doubtful[]
  doubles: Double[]
  /** Absent where everything is called one of the classes. */
  unknown?: UnknownReport
}

/** Features are int8: real = scale * (stored - zeroPoint). */
export interface Lesson {
  /** Classes in the order of the head's rows. */
  labels: string[]
  /** The class of pictures of nothing, the last one, if there is one. */
  none?: number | undefined
  scale: number
  zeroPoint: number
  seed: number
  /** Share of things taught to be recognised; 0: everything is one of the classes. */
  keep: number
}

/** The head for photos of at least two classes besides none; `observed`: all their int8 features, row-major. */
export function teach(
  taught: readonly Taught[],
  { labels, none, scale, zeroPoint, seed, keep }: Lesson,
): { head: Head; observed: Int8Array; report: TeachReport } {
  const features = taught[0]!.features.length / VIEWS
  const observed = new Int8Array(taught.length * VIEWS * features)
  taught.forEach((t, i) => observed.set(t.features, i * VIEWS * features))
  // A loop: `from` takes ten times as long.
  const reals = new Float64Array(observed.length)
  for (let i = 0; i < reals.length; i++) reals[i] = (observed[i]! - zeroPoint) * scale
  const { rows, norm } = unitRows(reals, features, VIEWS)
  const examples: Examples = {
    count: taught.length,
    features,
    rows,
    labels: Int32Array.from(taught, ({ label }) =>
      none !== undefined && NONE.includes(label) ? none : labels.indexOf(label),
    ),
    classes: labels.length,
  }
  const products = productsOf(examples)
  const problem: Problem = { products: products.products, labels: examples.labels, classes: labels.length }
  const closed = closedForm(problem)
  const trained = trainSoftmax(problem, closed, seed)
  const whole = new Float64Array(taught.length * features)
  for (let i = 0; i < taught.length; i++) {
    whole.set(reals.subarray(i * VIEWS * features, (i * VIEWS + 1) * features), i * features)
  }
  const found = keep ? nearnessOf({ examples, problem, closed, trained, whole, none, keep }) : undefined
  const { confusion, mislabelled } = confusionOf(taught, examples, closed, labels)
  return {
    head: {
      linear: linearOf(examples, products, trained, headOnUnit(features) ? 1 : norm),
      none: none !== undefined,
      nearness: found?.nearness,
    },
    observed,
    report: {
      labels,
      photos: labels.map((_, c) => examples.labels.filter((l) => l === c).length),
      leaveOneOut: confusion.reduce((sum, row, c) => sum + row[c]!, 0) / taught.length,
      confusion,
      ...(trained.crossValidation ? { crossValidation: trained.crossValidation } : {}),
      strength: trained.strength,
      mislabelled,
      doubles: doublesOf(taught, examples),
      ...(found ? { unknown: found.report } : {}),
    },
  }
}
