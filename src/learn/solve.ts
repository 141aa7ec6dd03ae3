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

/** Views of a photo, `views` rows each, as one example: their mean, each brought to length 1 first. */
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
    const share = 1 / ((length || 1) * views)
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

export interface Ridge {
  strength: number
  /** Per example and class: how much of the example is in the class' weights. */
  coefficients: Float64Array
  /** Per example and class: what the classifier of all other examples says, about 1 for its class and 0 for others. */
  leftOut: Float64Array
}

/** Strengths tried, from the best guess on: later ones must be better. */
const RIDGE_STRENGTHS = [3, 1]
/** Of examples from which on the first strength is taken: each costs the cube of their number. */
const MANY = 800
/** Where each class has one example, there is nothing to choose by. */
const SINGLES_STRENGTH = 3

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

/** Ridge regression on the classes with one strength. The products are positive semidefinite: there is a solution. */
export function ridgeOf({ products, labels, classes }: Problem, strength: number): Ridge {
  const n = labels.length
  const a = products.slice()
  for (let i = 0; i < n; i++) a[i * n + i]! += strength
  const u = inverseFactor(a, n)!
  const half = new Float64Array(n * classes)
  const coefficients = new Float64Array(n * classes)
  const diagonal = new Float64Array(n)
  // inverse(a) = U^T U
  for (let k = 0; k < n; k++) {
    for (let i = k; i < n; i++) {
      const v = u[k * n + i]!
      diagonal[i]! += v * v
      half[k * classes + labels[i]!]! += v
    }
  }
  for (let k = 0; k < n; k++) {
    for (let i = k; i < n; i++) {
      const v = u[k * n + i]!
      for (let c = 0; c < classes; c++) coefficients[i * classes + c]! += v * half[k * classes + c]!
    }
  }
  const leftOut = coefficients.map((v, at) => {
    const i = Math.floor(at / classes)
    return (labels[i] === at % classes ? 1 : 0) - v / diagonal[i]!
  })
  return { strength, coefficients, leftOut }
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
function gainOf({ leftOut }: Ridge, { labels, classes }: Problem): { gain: number; loss: number } {
  const sizes = classSizes(labels, classes)
  const asked = Array.from({ length: labels.length }, (_, i) => i).filter((i) => sizes[labels[i]!]! > 1)
  if (asked.length === 0) return { gain: SINGLES_GAIN, loss: Infinity }
  const said = Float64Array.from(asked.flatMap((i) => Array.from(leftOut.subarray(i * classes, (i + 1) * classes))))
  const right = asked.map((i) => labels[i]!)
  let lead = 0
  right.forEach((own, k) => {
    for (let c = 0; c < classes; c++) {
      const v = said[k * classes + c]!
      lead += (c === own ? v : -v / (classes - 1)) / right.length
    }
  })
  // Where nothing can be told apart, any gain is wrong.
  const one = 1 / Math.max(lead, 0.01)
  return GAINS.map((ahead) => {
    const gain = ahead * one
    return {
      gain,
      loss: logLoss(
        said.map((v) => v * gain),
        right,
        classes,
      ),
    }
  }).reduce((a, b) => (b.loss < a.loss ? b : a))
}

/**
 * Ridge regression on the classes, in closed form; its leave-one-out answers are exact and cost nothing more. The
 * strength is the one whose logits are least surprised by examples left out; the largest ones come to class means.
 */
export function ridge(problem: Problem): Ridge {
  const sizes = classSizes(problem.labels, problem.classes)
  if (Math.max(...sizes) < 2) return ridgeOf(problem, SINGLES_STRENGTH)
  const tried = problem.labels.length > MANY ? RIDGE_STRENGTHS.slice(0, 1) : RIDGE_STRENGTHS
  return tried
    .map((strength) => {
      const solved = ridgeOf(problem, strength)
      return { solved, loss: gainOf(solved, problem).loss }
    })
    .reduce((a, b) => (b.loss < a.loss ? b : a)).solved
}

interface Descent extends Problem {
  start: Float64Array
  /** How strongly the coefficients are held to the start. */
  strength: number
  steps: number
}

/** Softmax regression by a number of accelerated gradient steps (Nesterov), all examples at once. */
function descend({ products, labels, classes, start, strength, steps }: Descent): Float64Array {
  const n = labels.length
  // The largest eigenvalue is at most the largest sum of magnitudes of a row.
  let bound = 0
  for (let i = 0; i < n; i++) {
    let sum = 0
    for (let j = 0; j < n; j++) sum += Math.abs(products[i * n + j]!)
    bound = Math.max(bound, sum)
  }
  const rate = 1 / ((0.5 * bound) / n + strength)
  let at = start.slice()
  let ahead = start.slice()
  let pace = 1
  for (let step = 0; step < steps; step++) {
    const p = scoresOf(products, n, ahead, classes)
    softmaxRows(p, classes)
    for (let i = 0; i < n; i++) p[i * classes + labels[i]!]! -= 1
    const next = ahead.map((v, i) => v - rate * (p[i]! / n + strength * (v - start[i]!)))
    const nextPace = (1 + Math.sqrt(1 + 4 * pace * pace)) / 2
    const push = (pace - 1) / nextPace
    ahead = next.map((v, i) => v + push * (v - at[i]!))
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
export function trainSoftmax(problem: Problem, begin: Ridge, seed: number): Trained {
  const { products, labels, classes } = problem
  const n = labels.length
  const { gain } = gainOf(begin, problem)
  const sizes = classSizes(labels, classes)
  const start = begin.coefficients.map((v) => v * gain)
  const finish = (strength: number): Float64Array => descend({ ...problem, start, strength, steps: STEPS.final })
  if (Math.min(...sizes) < 2) {
    const strength = STRENGTHS[0]!
    return { strength, gain, coefficients: finish(strength), leftOut: begin.leftOut.map((v) => v * gain) }
  }
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
    const own = ridgeOf(shown, begin.strength).coefficients.map((v) => v * gain)
    for (const { strength, leftOut } of results) {
      const coefficients = descend({ ...shown, start: own, strength, steps: STEPS.fold })
      const said = scoresOf(across, inside.length, coefficients, classes)
      outside.forEach((i, k) => leftOut.set(said.subarray(k * classes, (k + 1) * classes), i * classes))
    }
  }
  const judged = results.map((r) => ({ ...r, loss: logLoss(r.leftOut, labels, classes) / n }))
  const best = judged.reduce((a, b) => (b.loss < a.loss ? b : a))
  const right = all.filter((i) => argMax(best.leftOut.subarray(i * classes, (i + 1) * classes)) === labels[i])
  return {
    strength: best.strength,
    gain,
    coefficients: finish(best.strength),
    leftOut: best.leftOut,
    crossValidation: { folds, accuracy: right.length / n, loss: best.loss },
  }
}

/** A linear layer on the features as they are: weights [classes, features] and bias [classes]. */
export interface Linear {
  weights: Float64Array
  bias: Float64Array
}

/** The layer that coefficients stand for, on features whose length is `norm` where the rows' is 1. */
export function linearOf(
  { features, rows, classes }: Examples,
  { mean, scale }: Products,
  coefficients: Float64Array,
  norm = 1,
): Linear {
  const weights = new Float64Array(classes * features)
  const bias = new Float64Array(classes)
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
