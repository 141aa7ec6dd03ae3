/**
 * Linear classifiers of few examples, in double precision and in terms of the examples' products: weights are sums of
 * examples, so a few hundred examples of a thousand features cost what their number costs.
 */
import { random } from '../quantize/augment.ts'
import { inverseFactor } from '../quantize/linear-algebra.ts'

/** Examples: `count` photos of `views` rows each (the photo, its mirror image), row-major, with a class per photo. */
export interface Examples {
  count: number
  views: number
  features: number
  rows: Float64Array
  labels: Int32Array
  classes: number
}

/** Examples moved to mean 0 and scaled to mean square length 1, with the products of all rows (plus 1 for the bias). */
export interface Products {
  mean: Float64Array
  scale: number
  products: Float64Array
}

export function productsOf({ count, views, features, rows }: Examples): Products {
  const n = count * views
  const mean = new Float64Array(features)
  for (let r = 0; r < n; r++) for (let d = 0; d < features; d++) mean[d]! += rows[r * features + d]! / n
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

export interface Ridge {
  strength: number
  /** Per photo and class: how much of the photo is in the class' weights. */
  coefficients: Float64Array
  /** Per photo and class: what the classifier of all other photos says, about 1 for its class and 0 for others. */
  leftOut: Float64Array
}

const RIDGE_STRENGTHS = [0.01, 0.03, 0.1, 0.3, 1, 3]

export const argMax = (values: Float64Array): number => values.reduce((best, v, i) => (v > values[best]! ? i : best), 0)

/** Products of photos: means over their views. */
function photoProducts({ count, views }: Examples, products: Float64Array): Float64Array {
  const n = count * views
  const out = new Float64Array(count * count)
  for (let i = 0; i < n; i++) {
    const row = Math.floor(i / views) * count
    for (let j = 0; j < n; j++) out[row + Math.floor(j / views)]! += products[i * n + j]! / (views * views)
  }
  return out
}

/**
 * Ridge regression on the classes, in closed form; its leave-one-out answers are exact and cost nothing more. The
 * strength is the one with most photos right when left out, then with the smallest squared error.
 */
export function ridge(examples: Examples, products: Float64Array): Ridge {
  const { count: n, classes, labels } = examples
  const photos = photoProducts(examples, products)
  const target = (i: number, c: number): number => (labels[i] === c ? 1 : 0)
  let best: (Ridge & { right: number; error: number }) | undefined
  for (const strength of RIDGE_STRENGTHS) {
    const a = photos.slice()
    for (let i = 0; i < n; i++) a[i * n + i]! += strength
    const u = inverseFactor(a, n)
    if (!u) continue
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
      return target(i, at % classes) - v / diagonal[i]!
    })
    let right = 0
    let error = 0
    for (let i = 0; i < n; i++) {
      const said = leftOut.subarray(i * classes, (i + 1) * classes)
      if (argMax(said) === labels[i]) right++
      said.forEach((v, c) => (error += (v - target(i, c)) ** 2))
    }
    if (!best || right > best.right || (right === best.right && error < best.error)) {
      best = { strength, coefficients, leftOut, right, error }
    }
  }
  // Products are positive semidefinite: the largest strength always has a factor.
  return best!
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

/** From the closed form's answers, 0 to 1, to logits of a softmax that leans to the right class. */
const START_GAIN = 4

interface Descent {
  products: Float64Array
  /** Class per row. */
  labels: ArrayLike<number>
  classes: number
  start: Float64Array
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
    const next = ahead.map((v, i) => v - rate * (p[i]! / n + strength * v))
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
  /** Per row and class. */
  coefficients: Float64Array
  /** On photos held out in turn; absent where a class has a single photo. */
  crossValidation?: { folds: number; accuracy: number; loss: number }
}

const STRENGTHS = [1e-4, 1e-3, 1e-2]
const DEFAULT_STRENGTH = 1e-3
const FOLDS = 4
const STEPS = { fold: 80, final: 200 }

/** A fold per photo: the photos of each class, shuffled by the seed, dealt out in turn. */
function dealt({ labels, classes }: Examples, folds: number, seed: number): Int32Array {
  const next = random(seed)
  const fold = new Int32Array(labels.length)
  for (let c = 0; c < classes; c++) {
    const members = [...labels.keys()].filter((i) => labels[i] === c)
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
export function trainSoftmax(examples: Examples, products: Float64Array, begin: Ridge, seed: number): Trained {
  const { count, views, classes, labels } = examples
  const n = count * views
  const rowLabels = Int32Array.from({ length: n }, (_, r) => labels[Math.floor(r / views)]!)
  const start = Float64Array.from(
    { length: n * classes },
    (_, at) =>
      (START_GAIN / views) * begin.coefficients[Math.floor(at / (views * classes)) * classes + (at % classes)]!,
  )
  const sizes = new Int32Array(classes)
  labels.forEach((c) => sizes[c]!++)
  const folds = Math.min(FOLDS, Math.max(...sizes))
  const finish = (strength: number): Float64Array =>
    descend({ products, labels: rowLabels, classes, start, strength, steps: STEPS.final })
  if (Math.min(...sizes) < 2) return { strength: DEFAULT_STRENGTH, coefficients: finish(DEFAULT_STRENGTH) }
  const fold = dealt(examples, folds, seed)
  const results = STRENGTHS.map((strength) => ({ strength, right: 0, loss: 0 }))
  for (let f = 0; f < folds; f++) {
    const rows = [...rowLabels.keys()]
    const inside = rows.filter((r) => fold[Math.floor(r / views)] !== f)
    // The photos themselves are asked, not their mirror images.
    const outside = rows.filter((r) => r % views === 0 && fold[r / views] === f)
    const own = part(products, n, inside, inside)
    const across = part(products, n, outside, inside)
    const insideLabels = inside.map((r) => rowLabels[r]!)
    for (const result of results) {
      const coefficients = descend({
        products: own,
        labels: insideLabels,
        classes,
        // The closed form has seen the photos held out: these steps begin at nothing.
        start: new Float64Array(inside.length * classes),
        strength: result.strength,
        steps: STEPS.fold,
      })
      const p = scoresOf(across, inside.length, coefficients, classes)
      softmaxRows(p, classes)
      outside.forEach((r, i) => {
        const said = p.subarray(i * classes, (i + 1) * classes)
        if (argMax(said) === rowLabels[r]) result.right++
        result.loss -= Math.log(Math.max(said[rowLabels[r]!]!, 1e-12))
      })
    }
  }
  const best = results.reduce((a, b) => (b.loss < a.loss ? b : a))
  return {
    strength: best.strength,
    coefficients: finish(best.strength),
    crossValidation: { folds, accuracy: best.right / count, loss: best.loss / count },
  }
}

/** A linear layer on the features as they are: weights [classes, features] and bias [classes]. */
export interface Linear {
  weights: Float64Array
  bias: Float64Array
}

/** The layer that the coefficients of rows stand for. */
export function linearOf(
  { features, rows, classes }: Examples,
  { mean, scale }: Products,
  coefficients: Float64Array,
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
  return { weights, bias }
}
