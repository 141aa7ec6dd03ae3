/** What is compared: from photos shown to scores of photos asked. All others see photos as they are, one view each. */
import { gemm } from '../../src/float/wasm.ts'
import { featuresOnly, headOnUnit, int8Features, joinHead } from '../../src/learn/join.ts'
import { teach } from '../../src/learn/teach.ts'
import { VIEWS } from '../../src/learn/views.ts'
import { loadGraph } from '../../src/engine/load-graph.ts'
import type { Embedded } from './embed.ts'

/** Photos by number, and the classes (numbers of the set) that are taught. */
export interface Trial {
  set: Embedded
  taught: readonly number[]
  shown: readonly number[]
  asked: readonly number[]
  seed: number
}

/** Per photo asked: the best class as an index of `taught` (-1: unknown) and how sure. */
export interface Said {
  best: number
  sure: number
}

type Rows = readonly Float64Array[]

const dot = (a: Float64Array, b: Float64Array): number => {
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!
  return sum
}
const unit = (row: Float64Array): Float64Array => {
  const length = Math.sqrt(dot(row, row)) || 1
  return row.map((v) => v / length)
}
/** Real features of a set's photos as they are, and the same of length 1: many trials ask for the same ones. */
interface Real {
  rows: Float64Array[]
  units: Float64Array[]
}
const reals = new WeakMap<Embedded, Real>()

function realOf(set: Embedded): Real {
  const found = reals.get(set)
  if (found) return found
  const { scale, zeroPoint } = int8Features(set.base)
  const rows = set.photos.map((photo) => {
    const row = new Float64Array(set.features)
    for (let d = 0; d < row.length; d++) row[d] = (photo[d]! - zeroPoint) * scale
    return row
  })
  const real = { rows, units: rows.map(unit) }
  reals.set(set, real)
  return real
}

const realRows = (set: Embedded, which: readonly number[]): Float64Array[] => which.map((i) => realOf(set).rows[i]!)
const unitRows = (set: Embedded, which: readonly number[]): Float64Array[] => which.map((i) => realOf(set).units[i]!)

/** Products of every row with every other, [rows, others], in SIMD. */
function products(rows: Rows, others: Rows): Float32Array[] {
  const K = others[0]!.length
  const flat = (list: Rows): Float32Array => {
    const out = new Float32Array(list.length * K)
    list.forEach((row, i) => out.set(row, i * K))
    return out
  }
  const [M, N] = [rows.length, others.length]
  const out = new Float32Array(M * N)
  gemm({ a: flat(rows), b: flat(others) }, out, { M, N, K })
  return rows.map((_, i) => out.subarray(i * N, (i + 1) * N))
}

const bestOf = (scores: ArrayLike<number>): Said => {
  let best = 0
  for (let i = 1; i < scores.length; i++) if (scores[i]! > scores[best]!) best = i
  return { best, sure: scores[best]! }
}

const classOf = ({ set, taught, shown }: Trial): number[] => shown.map((i) => taught.indexOf(set.labels[i]!))

/** Ours, whole: the int8 head that `thimble learn` writes, run by the engine. `keep` 0: no unknown. */
export async function ours(trial: Trial, keep = 0): Promise<Said[]> {
  const { set, taught, shown, asked, seed } = trial
  const { scale, zeroPoint, offset } = int8Features(set.base)
  const labels = taught.map((c) => set.classes[c]!)
  const photos = shown.map((i) => ({
    label: set.classes[set.labels[i]!]!,
    name: String(i),
    features: set.photos[i]!.subarray(0, VIEWS * set.features),
  }))
  const { head, observed } = teach(photos, { labels, scale, zeroPoint, seed, keep })
  const engine = await loadGraph(joinHead(featuresOnly(set.base), head, observed, {}))
  const { nearness, linear } = head
  const rowsOf = (values: Float64Array): Float64Array[] =>
    Array.from({ length: values.length / set.features }, (_, k) =>
      values.subarray(k * set.features, (k + 1) * set.features),
    )
  const cosines = nearness && products(unitRows(set, asked), rowsOf(nearness.prototypes))
  const inputs = headOnUnit(set.features) ? unitRows(set, asked) : realRows(set, asked)
  const logits = nearness && products(inputs, rowsOf(linear.weights).slice(0, labels.length))
  const said = asked.map((i, at) => {
    const row = set.photos[i]!.subarray(0, set.features)
    const scores = engine.run(offset ? Uint8Array.from(row, (v) => v + offset) : row)[0] as Int8Array
    const { best, sure } = bestOf(scores)
    if (!nearness) return { best, sure }
    // For the order of all: scores of int8 come to their end.
    const logit = Math.max(...logits![at]!.map((v, c) => v + linear.bias[c]!))
    return {
      best: best === labels.length ? -1 : best,
      sure: logit + nearness.weight * Math.max(...cosines![at]!),
    }
  })
  engine.dispose()
  return said
}

/**
 * Softmax regression in double precision on standardised float features, from zero to convergence (400 accelerated
 * steps), weight decay 0.001: last-layer training as usual.
 */
export function floatHead(trial: Trial): Said[] {
  const { set, taught, shown, asked } = trial
  const classes = taught.length
  const x = realRows(set, shown)
  const labels = classOf(trial)
  const n = x.length
  const mean = x[0]!.map((_, d) => x.reduce((sum, row) => sum + row[d]!, 0) / n)
  const move = (row: Float64Array): Float64Array => {
    const out = row.slice()
    for (let d = 0; d < out.length; d++) out[d]! -= mean[d]!
    return out
  }
  const moved = x.map(move)
  const scale = Math.sqrt(moved.reduce((sum, row) => sum + dot(row, row), 0) / n) || 1
  const kernels = (rows: Rows): Float64Array[] =>
    products(rows, moved).map((row) => Float64Array.from(row, (v) => v / (scale * scale) + 1))
  const k = kernels(moved)
  const bound = Math.max(...k.map((row) => row.reduce((sum, v) => sum + Math.abs(v), 0)))
  const decay = 0.001
  const rate = 1 / ((0.5 * bound) / n + decay)
  // [n, classes], row-major.
  let at = new Float64Array(n * classes)
  let ahead = at
  let pace = 1
  const logits = (row: Float64Array, from: Float64Array): Float64Array => {
    const out = new Float64Array(classes)
    for (let j = 0; j < n; j++) {
      const v = row[j]!
      for (let c = 0; c < classes; c++) out[c]! += v * from[j * classes + c]!
    }
    return out
  }
  for (let step = 0; step < 400; step++) {
    const next = new Float64Array(n * classes)
    for (let i = 0; i < n; i++) {
      const p = softmax(logits(k[i]!, ahead))
      for (let c = 0; c < classes; c++) {
        const v = ahead[i * classes + c]!
        next[i * classes + c] = v - rate * ((p[c]! - (labels[i] === c ? 1 : 0)) / n + decay * v)
      }
    }
    const nextPace = (1 + Math.sqrt(1 + 4 * pace * pace)) / 2
    const before = at
    ahead = next.map((v, i) => v + ((pace - 1) / nextPace) * (v - before[i]!))
    at = next
    pace = nextPace
  }
  return kernels(realRows(set, asked).map(move)).map((row) => bestOf(softmax(logits(row, at))))
}

function softmax(z: Float64Array): Float64Array {
  const max = Math.max(...z)
  const e = z.map((v) => Math.exp(v - max))
  const sum = e.reduce((a, b) => a + b, 0)
  return e.map((v) => v / sum)
}

/**
 * Nearest neighbours as @tensorflow-models/knn-classifier counts them: products of features brought to length 1, the
 * classes of the k largest, the share of each; of equal shares the class that was shown first.
 */
export function neighbours(trial: Trial, k: number): Said[] {
  const { set, taught, shown, asked } = trial
  const labels = classOf(trial)
  const seen = unitRows(set, shown)
  return products(unitRows(set, asked), seen).map((row) => {
    const order = [...row].map((cosine, i) => ({ i, cosine })).sort((a, b) => b.cosine - a.cosine || a.i - b.i)
    const shares = new Float64Array(taught.length)
    const most = Math.min(k, order.length)
    for (const { i } of order.slice(0, most)) shares[labels[i]!]! += 1 / most
    return bestOf(shares)
  })
}

/** Coral's weight imprinting: a class' weights are the mean of its features of length 1, brought to length 1 again. */
export function imprinted(trial: Trial): Said[] {
  const { set, taught, shown, asked } = trial
  const labels = classOf(trial)
  const seen = unitRows(set, shown)
  const weights = taught.map((_, c) => {
    const sum = new Float64Array(set.features)
    seen.forEach((row, i) => labels[i] === c && row.forEach((v, d) => (sum[d]! += v)))
    return unit(sum)
  })
  return products(unitRows(set, asked), weights).map(bestOf)
}
