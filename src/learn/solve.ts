/**
 * Linear classifiers of few examples, in double precision and in terms of the examples' products: weights are sums of
 * examples, so a few hundred examples of a thousand features cost what their number costs.
 */
import { random } from '../quantize/augment.ts'
import { inverseFactor } from '../quantize/linear-algebra.ts'

/** Examples, one a photo, row-major, with a class each. Rows are of about length 1 (see `unitRows`). */
export interface Examples {
  count: number
  features: number
  rows: Float64Array
  labels: Int32Array
  classes: number
}

/** How much the photo itself counts beside its other views, which share the rest. */
const WHOLE = 0.7

/** Views of a photo, `views` rows each, as one example: their mean by weights, each brought to length 1 first. */
export function unitRows(rows: Float64Array, features: number, views: number): { rows: Float64Array; norm: number } {
  const n = rows.length / features
  const out = new Float64Array((n / views) * features)
  let lengths = 0
  for (let r = 0; r < n; r++) {
    let squares = 0
    for (let d = 0; d < features; d++) squares += rows[r * features + d]! ** 2
    const length = Math.sqrt(squares)
    lengths += length / n
    const to = Math.floor(r / views) * features
    const weight = views === 1 ? 1 : r % views ? (1 - WHOLE) / (views - 1) : WHOLE
    const share = weight / (length || 1)
    for (let d = 0; d < features; d++) out[to + d]! += rows[r * features + d]! * share
  }
  return { rows: out, norm: lengths || 1 }
}

/**
 * How far examples are moved to their mean where each class has one: with so few it is a poor one, and half way was
 * right more often than either end.
 */
const SINGLES_MOVE = 0.5

/** Examples moved to mean 0 and scaled to mean square length 1, with the products of all rows (plus 1 for the bias). */
export interface Products {
  mean: Float64Array
  scale: number
  products: Float64Array
}

export function productsOf({ count: n, features, rows, labels, classes }: Examples): Products {
  const mean = new Float64Array(features)
  const move = Math.max(...classSizes(labels, classes)) > 1 ? 1 : SINGLES_MOVE
  for (let r = 0; r < n; r++) for (let d = 0; d < features; d++) mean[d]! += (move * rows[r * features + d]!) / n
  const moved = new Float64Array(n * features)
  let squares = 0
  for (let r = 0; r < n; r++) {
    for (let d = 0; d < features; d++) {
      const v = rows[r * features + d]! - mean[d]!
      moved[r * features + d] = v
      squares += v * v
    }
  }
  const scale = Math.sqrt(squares / n) || 1
  const products = new Float64Array(n * n)
  for (let i = 0; i < n; i++) {
    const a = moved.subarray(i * features, (i + 1) * features)
    for (let j = 0; j <= i; j++) {
      const b = j * features
      let sum = 0
      for (let d = 0; d < features; d++) sum += a[d]! * moved[b + d]!
      const product = sum / (scale * scale) + 1
      products[i * n + j] = product
      products[j * n + i] = product
    }
  }
  return { mean, scale, products }
}

/** Examples by their products, and the class of each. */
export interface Problem {
  products: Float64Array
  labels: ArrayLike<number>
  classes: number
}

/** A classifier without steps: answers are products * coefficients + bias. */
export interface Closed {
  /** Per example and class: how much of the example is in the class' weights. */
  coefficients: Float64Array
  /** Per class. */
  bias: Float64Array
  /** Per example and class: what the classifier of all other examples says; its own class is ahead by 1 in the mean. */
  leftOut: Float64Array
  /** By how much the own class is ahead of the others in the answers to the examples themselves. */
  lead: number
}

/** Ridge regression's strength where each class has one example: there is nothing to choose by. */
const SINGLES_STRENGTH = 3
/** Share of the scatter's trace that is added to its diagonal, for one photo a class: half of it for two, and so on. */
const SHRINKAGE = 0.5
/** Share of the lead on examples that is at least left on others: of few, what is left out may say nothing. */
const LEAST_LEAD = 0.1
/** Least of what is added, where the examples of each class are all the same. */
const LEAST_SHRINKAGE = 0.01

export function argMax(values: ArrayLike<number>): number {
  let best = 0
  for (let i = 1; i < values.length; i++) if (values[i]! > values[best]!) best = i
  return best
}

export function classSizes(labels: ArrayLike<number>, classes: number): Int32Array {
  const sizes = new Int32Array(classes)
  for (let i = 0; i < labels.length; i++) sizes[labels[i]!]!++
  return sizes
}

/** Ridge regression on the classes. The products are positive semidefinite: there is a solution. */
function ridge({ products, labels, classes }: Problem): Closed {
  const n = labels.length
  const a = products.slice()
  for (let i = 0; i < n; i++) a[i * n + i]! += SINGLES_STRENGTH
  const u = inverseFactor(a, n)!
  const own = new Float64Array(n * classes)
  for (let i = 0; i < n; i++) own[i * classes + labels[i]!] = 1
  const { solved: coefficients, diagonal } = solvedBy(u, own, n)
  const leftOut = coefficients.map((v, at) => own[at]! - v / diagonal[Math.floor(at / classes)]!)
  const inside = scoresOf(products, n, coefficients, classes)
  const sizes = classSizes(labels, classes)
  return {
    coefficients,
    bias: new Float64Array(classes),
    leftOut,
    lead: leadOf(inside, { labels, classes, sizes, least: 1 }),
  }
}

/** inverse(a) * b for `a` of n rows with inverse(a) = U^T U, and the inverse's diagonal. */
function solvedBy(u: Float64Array, b: Float64Array, n: number): { solved: Float64Array; diagonal: Float64Array } {
  const columns = b.length / n
  const half = new Float64Array(b.length)
  const solved = new Float64Array(b.length)
  const diagonal = new Float64Array(n)
  for (let k = 0; k < n; k++) {
    const sum = half.subarray(k * columns, (k + 1) * columns)
    for (let i = k; i < n; i++) {
      const v = u[k * n + i]!
      diagonal[i]! += v * v
      for (let c = 0; c < columns; c++) sum[c]! += v * b[i * columns + c]!
    }
    for (let i = k; i < n; i++) {
      const v = u[k * n + i]!
      for (let c = 0; c < columns; c++) solved[i * columns + c]! += v * sum[c]!
    }
  }
  return { solved, diagonal }
}

/** Per column, the rows of each class less their mean, in place. */
function centreByClass(values: Float64Array, { labels, classes }: Pick<Problem, 'labels' | 'classes'>): void {
  const columns = values.length / labels.length
  const sizes = classSizes(labels, classes)
  const means = new Float64Array(classes * columns)
  for (let i = 0; i < labels.length; i++) {
    const c = labels[i]!
    for (let j = 0; j < columns; j++) means[c * columns + j]! += values[i * columns + j]! / sizes[c]!
  }
  for (let i = 0; i < labels.length; i++) {
    for (let j = 0; j < columns; j++) values[i * columns + j]! -= means[labels[i]! * columns + j]!
  }
}

function transposed(a: Float64Array, n: number): Float64Array {
  const out = new Float64Array(n * n)
  for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) out[j * n + i] = a[i * n + j]!
  return out
}

/**
 * Linear discriminant analysis: nearest class mean, by distances in which a direction counts the less the more examples
 * of one class differ in it. With S = R^T R + d I for the examples less their class' mean R, the answer to x is
 * x^T S^-1 m - m^T S^-1 m / 2 for each class mean m, both seen from the mean of these means. Products alone are needed:
 * S^-1 = (I - R^T (R R^T + d I)^-1 R) / d. Half of what the classes' weights differ in length is taken back.
 * A class without examples gets the mean of the others, 0.
 */
function discriminant(problem: Problem): Closed {
  const { products, labels, classes } = problem
  const n = labels.length
  const sizes = classSizes(labels, classes)
  const present = sizes.reduce((count, size) => count + (size ? 1 : 0), 0)
  const across = products.slice()
  centreByClass(across, problem)
  const scatter = transposed(across, n)
  centreByClass(scatter, problem)
  let trace = 0
  for (let i = 0; i < n; i++) trace += scatter[i * n + i]!
  const d = Math.max((SHRINKAGE * present * trace) / n, LEAST_SHRINKAGE)
  for (let i = 0; i < n; i++) scatter[i * n + i]! += d
  const u = inverseFactor(scatter, n)!
  const means = new Float64Array(n * classes)
  const toMeans = new Float64Array(n * classes)
  for (let j = 0; j < n; j++) {
    const c = labels[j]!
    means[j * classes + c] = 1 / sizes[c]!
    for (let i = 0; i < n; i++) toMeans[i * classes + c]! += across[i * n + j]! / sizes[c]!
  }
  const less = solvedBy(u, toMeans, n).solved
  centreByClass(less, problem)
  const coefficients = means.map((v, at) => (v - less[at]!) / d)
  // In terms of S^-1: of each example with each mean, of each mean with each mean, of each example with itself.
  const withMeans = scoresOf(products, n, coefficients, classes)
  const ofMeans = new Float64Array(classes * classes)
  for (let i = 0; i < n; i++) {
    const c = labels[i]!
    for (let k = 0; k < classes; k++) ofMeans[c * classes + k]! += withMeans[i * classes + k]! / sizes[c]!
  }
  const withItself = squaresOf(u, across, n).map((v, i) => (products[i * n + i]! - v) / d)
  // The mean of the means, with each mean and with itself.
  const average = (values: Float64Array): number => {
    let total = 0
    for (let k = 0; k < classes; k++) if (sizes[k]) total += values[k]! / present
    return total
  }
  const middle = Float64Array.from({ length: classes }, (_, k) => average(ofMeans.subarray(k * classes)))
  const origin = average(middle)
  const leftOut = new Float64Array(n * classes)
  for (let i = 0; i < n; i++) {
    const own = labels[i]!
    const said = leftOut.subarray(i * classes, (i + 1) * classes)
    const mean = (a: number, b: number): number => ofMeans[a * classes + b]!
    const near = (k: number): number => withMeans[i * classes + k]!
    // r = x - m of its class. Without x, S is S - share r r^T, and the class' mean is farther from x by `share`.
    const share = sizes[own]! / (sizes[own]! - 1)
    const r = withItself[i]! - 2 * near(own) + mean(own, own)
    const rest = Math.max(1 - share * r, 1e-9)
    // Answers are half of what x lies nearer to a mean than to the origin.
    const fromOrigin = average(withMeans.subarray(i * classes))
    const aside = withItself[i]! - fromOrigin - near(own) + middle[own]!
    const itself = withItself[i]! - 2 * fromOrigin + origin + (share * aside * aside) / rest
    for (let k = 0; k < classes; k++) {
      const distance = withItself[i]! - 2 * near(k) + mean(k, k)
      const along = withItself[i]! - near(k) - near(own) + mean(own, k)
      said[k] = sizes[k]! && k !== own ? 0.5 * (itself - distance - (share * along * along) / rest) : -Infinity
    }
    if (sizes[own]! > 1) said[own] = 0.5 * (itself - share * share * (r + (share * r * r) / rest))
    const least = said.reduce((m, v) => (v > -Infinity ? Math.min(m, v) : m), Infinity)
    said.forEach((v, k) => (said[k] = v > -Infinity ? v : least))
  }
  for (const rows of [coefficients, withMeans]) scaleRows(rows, sizes, 1)
  const lengths = new Float64Array(classes)
  coefficients.forEach((v, at) => (lengths[at % classes]! += v * withMeans[at]!))
  const longest = Math.max(...lengths)
  const factor = lengths.map((v) => (v > 0 ? (longest / v) ** 0.25 : 1))
  const bias = factor.map((f, k) => -0.5 * f * (ofMeans[k * classes + k]! - origin))
  for (const rows of [coefficients, leftOut]) rows.forEach((v, at) => (rows[at] = v * factor[at % classes]!))
  const inside = withMeans.map((v, at) => v * factor[at % classes]! + bias[at % classes]!)
  const own = leadOf(inside, { labels, classes, sizes, least: 1 })
  const lead = Math.max(leadOf(leftOut, { labels, classes, sizes, least: 2 }), LEAST_LEAD * own) || 1
  for (const rows of [coefficients, bias, leftOut]) scaleRows(rows, sizes, 1 / lead)
  return { coefficients, bias, leftOut, lead: own / lead }
}

/** Squared lengths of U times each column of n x n values. */
function squaresOf(u: Float64Array, values: Float64Array, n: number): Float64Array {
  const squares = new Float64Array(n)
  const row = new Float64Array(n)
  for (let k = 0; k < n; k++) {
    row.fill(0)
    for (let i = k; i < n; i++) {
      const v = u[k * n + i]!
      const from = i * n
      for (let j = 0; j < n; j++) row[j]! += v * values[from + j]!
    }
    for (let j = 0; j < n; j++) squares[j]! += row[j]! * row[j]!
  }
  return squares
}

/** Each row of a value a class less its mean over the classes that have examples, times `factor`, in place. */
function scaleRows(rows: Float64Array, sizes: Int32Array, factor: number): void {
  const classes = sizes.length
  const present = sizes.reduce((count, size) => count + (size ? 1 : 0), 0)
  for (let at = 0; at < rows.length; at += classes) {
    let mean = 0
    for (let k = 0; k < classes; k++) if (sizes[k]) mean += rows[at + k]! / present
    for (let k = 0; k < classes; k++) rows[at + k] = sizes[k] ? (rows[at + k]! - mean) * factor : 0
  }
}

/** By how much their own class is ahead of the mean of the others, of examples of classes with at least `least`. */
function leadOf(
  said: Float64Array,
  { labels, classes, sizes, least }: Omit<Problem, 'products'> & { sizes: Int32Array; least: number },
): number {
  let [lead, count] = [0, 0]
  const others = sizes.reduce((sum, size) => sum + (size ? 1 : 0), 0) - 1
  for (let i = 0; i < labels.length; i++) {
    const own = labels[i]!
    if (sizes[own]! < least) continue
    count++
    for (let k = 0; k < classes; k++) {
      if (sizes[k]) lead += k === own ? said[i * classes + k]! : -said[i * classes + k]! / others
    }
  }
  return lead / (count || 1)
}

/** What needs no steps; its leave-one-out answers are exact and cost nothing more. */
export function closedForm(problem: Problem): Closed {
  return Math.max(...classSizes(problem.labels, problem.classes)) < 2 ? ridge(problem) : discriminant(problem)
}

/** The same of a part of what another has seen, with answers as large as its own. */
export function closedFormOf(problem: Problem, whole: Closed): Closed {
  const { coefficients, bias, leftOut, lead } = closedForm(problem)
  const factor = lead > 0 ? whole.lead / lead : 1
  const scaled = (values: Float64Array): Float64Array => values.map((v) => v * factor)
  return { coefficients: scaled(coefficients), bias: scaled(bias), leftOut: scaled(leftOut), lead: lead * factor }
}

/** Softmax of each row of `classes` values, in place. */
function softmaxRows(values: Float64Array, classes: number): void {
  for (let at = 0; at < values.length; at += classes) {
    let max = -Infinity
    for (let c = 0; c < classes; c++) max = Math.max(max, values[at + c]!)
    let sum = 0
    for (let c = 0; c < classes; c++) {
      values[at + c] = Math.exp(values[at + c]! - max)
      sum += values[at + c]!
    }
    for (let c = 0; c < classes; c++) values[at + c]! /= sum
  }
}

/** Minus the logarithm of the probability of the right class, summed over rows of logits. */
function logLoss(logits: Float64Array, labels: ArrayLike<number>, classes: number): number {
  const p = logits.slice()
  softmaxRows(p, classes)
  let loss = 0
  for (let i = 0; i < labels.length; i++) loss -= Math.log(Math.max(p[i * classes + labels[i]!]!, 1e-12))
  return loss
}

/** out[i] = sum over j of products[i, j] * coefficients[j], for `rows` of `from` columns. */
function scoresOf(products: Float64Array, from: number, coefficients: Float64Array, classes: number): Float64Array {
  const rows = products.length / from
  const out = new Float64Array(rows * classes)
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < from; j++) {
      const v = products[i * from + j]!
      for (let c = 0; c < classes; c++) out[i * classes + c]! += v * coefficients[j * classes + c]!
    }
  }
  return out
}

/** Logits by which the right class is ahead of the others in the mean, of examples left out. */
const GAINS = [1.5, 2, 3, 4, 6, 8, 12]
/** Of classes with one example each. */
const SINGLES_GAIN = 8

/** From the closed form's answers to logits: the gain whose logits are least surprised by examples left out. */
function gainOf({ leftOut }: Closed, { labels, classes }: Problem): number {
  const sizes = classSizes(labels, classes)
  const asked = Array.from({ length: labels.length }, (_, i) => i).filter((i) => sizes[labels[i]!]! > 1)
  if (asked.length === 0) return SINGLES_GAIN
  const said = Float64Array.from(asked.flatMap((i) => Array.from(leftOut.subarray(i * classes, (i + 1) * classes))))
  const right = asked.map((i) => labels[i]!)
  const tried = GAINS.map((gain) => {
    const logits = said.map((v) => v * gain)
    return { gain, loss: logLoss(logits, right, classes) }
  })
  return tried.reduce((a, b) => (b.loss < a.loss ? b : a)).gain
}

/** The closed form's logits of rows by their products with `from` examples. */
function logitsOf(products: Float64Array, from: number, { coefficients, bias }: Closed, gain: number): Float64Array {
  const classes = bias.length
  return scoresOf(products, from, coefficients, classes).map((v, at) => (v + bias[at % classes]!) * gain)
}

interface Descent extends Problem {
  /** Logits of the examples from which the steps begin. */
  begin: Float64Array
  /** How strongly the steps are held to them. */
  strength: number
  steps: number
}

/** Softmax regression by a number of accelerated gradient steps (Nesterov), all examples at once: what they add. */
function descend({ products, labels, classes, begin, strength, steps }: Descent): Float64Array {
  const n = labels.length
  // The largest eigenvalue is at most the largest sum of magnitudes of a row.
  let bound = 0
  for (let i = 0; i < n; i++) {
    let sum = 0
    for (let j = 0; j < n; j++) sum += Math.abs(products[i * n + j]!)
    bound = Math.max(bound, sum)
  }
  const rate = 1 / ((0.5 * bound) / n + strength)
  let at = new Float64Array(n * classes)
  let ahead = at
  let pace = 1
  for (let step = 0; step < steps; step++) {
    const p = scoresOf(products, n, ahead, classes)
    for (let i = 0; i < p.length; i++) p[i]! += begin[i]!
    softmaxRows(p, classes)
    for (let i = 0; i < n; i++) p[i * classes + labels[i]!]! -= 1
    const nextPace = (1 + Math.sqrt(1 + 4 * pace * pace)) / 2
    const push = (pace - 1) / nextPace
    const next = new Float64Array(n * classes)
    const further = new Float64Array(n * classes)
    for (let i = 0; i < next.length; i++) {
      const v = ahead[i]!
      next[i] = v - rate * (p[i]! / n + strength * v)
      further[i] = next[i]! + push * (next[i]! - at[i]!)
    }
    ahead = further
    at = next
    pace = nextPace
  }
  return at
}

export interface Trained {
  strength: number
  /** Logits that stand for one of the closed form's answers. */
  gain: number
  /** Per example and class. */
  coefficients: Float64Array
  /** Per class. */
  bias: Float64Array
  /** Logits of each example, by a classifier that was not shown it. */
  leftOut: Float64Array
  /** On photos held out in turn; absent where a class has a single photo. */
  crossValidation?: { folds: number; accuracy: number; loss: number }
}

/** How strongly the softmax steps are held to the closed form, from its own answer on. */
const STRENGTHS = [1, 0.1]
const FOLDS = 4
const STEPS = { fold: 60, final: 100 }

/** A fold per photo: the photos of each class, shuffled by the seed, dealt out in turn. */
function dealt({ labels, classes }: Pick<Problem, 'labels' | 'classes'>, folds: number, seed: number): Int32Array {
  const next = random(seed)
  const fold = new Int32Array(labels.length)
  const all = Array.from({ length: labels.length }, (_, i) => i)
  for (let c = 0; c < classes; c++) {
    const members = all.filter((i) => labels[i] === c)
    const order = members.map((photo) => ({ photo, key: next() })).sort((a, b) => a.key - b.key || a.photo - b.photo)
    order.forEach(({ photo }, i) => (fold[photo] = i % folds))
  }
  return fold
}

/** Products of some rows with others. */
function part(products: Float64Array, n: number, rows: readonly number[], columns: readonly number[]): Float64Array {
  const out = new Float64Array(rows.length * columns.length)
  let at = 0
  for (const r of rows) for (const c of columns) out[at++] = products[r * n + c]!
  return out
}

/** The softmax head: from the closed form on, with the strength that is best on photos held out. */
export function trainSoftmax(problem: Problem, closed: Closed, seed: number): Trained {
  const { products, labels, classes } = problem
  const n = labels.length
  const gain = gainOf(closed, problem)
  const sizes = classSizes(labels, classes)
  const finish = (strength: number): Pick<Trained, 'strength' | 'gain' | 'coefficients' | 'bias'> => {
    const begin = logitsOf(products, n, closed, gain)
    const added = descend({ ...problem, begin, strength, steps: STEPS.final })
    const coefficients = closed.coefficients.map((v, i) => v * gain + added[i]!)
    return { strength, gain, coefficients, bias: closed.bias.map((v) => v * gain) }
  }
  if (Math.min(...sizes) < 2) return { ...finish(STRENGTHS[0]!), leftOut: closed.leftOut.map((v) => v * gain) }
  const folds = Math.min(FOLDS, Math.max(...sizes))
  const fold = dealt(problem, folds, seed)
  const all = Array.from({ length: n }, (_, i) => i)
  const results = STRENGTHS.map((strength) => ({ strength, leftOut: new Float64Array(n * classes) }))
  for (let f = 0; f < folds; f++) {
    const inside = all.filter((i) => fold[i] !== f)
    const outside = all.filter((i) => fold[i] === f)
    const shown = { products: part(products, n, inside, inside), labels: inside.map((i) => labels[i]!), classes }
    const across = part(products, n, outside, inside)
    // The closed form of all has seen the photos held out: these steps begin at their own.
    const own = closedFormOf(shown, closed)
    const begin = logitsOf(shown.products, inside.length, own, gain)
    const apart = logitsOf(across, inside.length, own, gain)
    for (const { strength, leftOut } of results) {
      const added = descend({ ...shown, begin, strength, steps: STEPS.fold })
      const said = scoresOf(across, inside.length, added, classes).map((v, i) => v + apart[i]!)
      outside.forEach((i, k) => leftOut.set(said.subarray(k * classes, (k + 1) * classes), i * classes))
    }
  }
  const judged = results.map((r) => ({ ...r, loss: logLoss(r.leftOut, labels, classes) / n }))
  const best = judged.reduce((a, b) => (b.loss < a.loss ? b : a))
  const right = all.filter((i) => argMax(best.leftOut.subarray(i * classes, (i + 1) * classes)) === labels[i])
  return {
    ...finish(best.strength),
    leftOut: best.leftOut,
    crossValidation: { folds, accuracy: right.length / n, loss: best.loss },
  }
}

/** A linear layer on features of length `norm` (1: brought to it): weights [classes, features] and bias [classes]. */
export interface Linear {
  weights: Float64Array
  bias: Float64Array
}

/** The layer that coefficients and a bias stand for, on features whose length is `norm` where the rows' is 1. */
export function linearOf(
  { features, rows, classes }: Examples,
  { mean, scale }: Products,
  trained: Pick<Trained, 'coefficients' | 'bias'>,
  norm: number,
): Linear {
  const { coefficients } = trained
  const weights = new Float64Array(classes * features)
  const bias = trained.bias.slice()
  for (let r = 0; r < coefficients.length / classes; r++) {
    for (let c = 0; c < classes; c++) {
      const k = coefficients[r * classes + c]!
      bias[c]! += k
      for (let d = 0; d < features; d++) {
        weights[c * features + d]! += (k * (rows[r * features + d]! - mean[d]!)) / (scale * scale)
      }
    }
  }
  for (let c = 0; c < classes; c++) {
    for (let d = 0; d < features; d++) bias[c]! -= weights[c * features + d]! * mean[d]!
  }
  return { weights: weights.map((w) => w / norm), bias }
}
