/** What is compared: from photos shown to scores of photos asked. All others see photos as they are, one view each. */
import { featuresOnly, int8Features, joinHead } from '../../src/learn/join.ts'
import { teach } from '../../src/learn/teach.ts'
import { VIEWS } from '../../src/learn/views.ts'
import { loadGraph } from '../../src/load-graph.ts'
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

/** Real features of photos as they are. */
function realRows({ base, photos, features }: Embedded, which: readonly number[]): Float64Array[] {
  const { scale, zeroPoint } = int8Features(base)
  return which.map((i) => Float64Array.from(photos[i]!.subarray(0, features), (q) => (q - zeroPoint) * scale))
}

const dot = (a: Float64Array, b: Float64Array): number => {
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!
  return sum
}
const unit = (row: Float64Array): Float64Array => {
  const length = Math.sqrt(dot(row, row)) || 1
  return row.map((v) => v / length)
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
  const prototypes =
    nearness &&
    Array.from({ length: nearness.prototypes.length / set.features }, (_, k) =>
      nearness.prototypes.subarray(k * set.features, (k + 1) * set.features),
    )
  const weights = labels.map((_, c) => linear.weights.subarray(c * set.features, (c + 1) * set.features))
  const real = keep ? realRows(set, asked) : []
  const said = asked.map((i, at) => {
    const row = set.photos[i]!.subarray(0, set.features)
    const scores = engine.run(offset ? Uint8Array.from(row, (v) => v + offset) : row)[0] as Int8Array
    const { best, sure } = bestOf(scores)
    if (!nearness) return { best, sure }
    // For the order of all: scores of int8 come to their end.
    const x = unit(real[at]!)
    const cosine = Math.max(...prototypes!.map((p) => dot(p, x)))
    const logit = Math.max(...weights.map((w, c) => dot(w, real[at]!) + linear.bias[c]!))
    return { best: best === labels.length ? -1 : best, sure: logit + nearness.weight * cosine }
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
  const move = (row: Float64Array): Float64Array => row.map((v, d) => v - mean[d]!)
  const moved = x.map(move)
  const scale = Math.sqrt(moved.reduce((sum, row) => sum + dot(row, row), 0) / n) || 1
  const kernel = (a: Float64Array, b: Float64Array): number => dot(a, b) / (scale * scale) + 1
  const k = moved.map((a) => Float64Array.from(moved, (b) => kernel(a, b)))
  const bound = Math.max(...k.map((row) => row.reduce((sum, v) => sum + Math.abs(v), 0)))
  const decay = 0.001
  const rate = 1 / ((0.5 * bound) / n + decay)
  let at = labels.map(() => new Float64Array(classes))
  let ahead = at
  let pace = 1
  const logits = (row: Float64Array, from: Rows): Float64Array => {
    const out = new Float64Array(classes)
    row.forEach((v, j) => {
      for (let c = 0; c < classes; c++) out[c]! += v * from[j]![c]!
    })
    return out
  }
  for (let step = 0; step < 400; step++) {
    const from = ahead
    const next = from.map((a, i) => {
      const p = softmax(logits(k[i]!, from))
      return a.map((v, c) => v - rate * ((p[c]! - (labels[i] === c ? 1 : 0)) / n + decay * v))
    })
    const nextPace = (1 + Math.sqrt(1 + 4 * pace * pace)) / 2
    const before = at
    ahead = next.map((a, i) => a.map((v, c) => v + ((pace - 1) / nextPace) * (v - before[i]![c]!)))
    at = next
    pace = nextPace
  }
  return realRows(set, asked).map((row) => {
    const y = move(row)
    return bestOf(
      softmax(
        logits(
          Float64Array.from(moved, (b) => kernel(y, b)),
          at,
        ),
      ),
    )
  })
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
  const known = realRows(set, shown).map(unit)
  return realRows(set, asked).map((row) => {
    const x = unit(row)
    const order = known.map((y, i) => ({ i, near: dot(x, y) })).sort((a, b) => b.near - a.near || a.i - b.i)
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
  const known = realRows(set, shown).map(unit)
  const weights = taught.map((_, c) => {
    const sum = new Float64Array(set.features)
    known.forEach((row, i) => labels[i] === c && row.forEach((v, d) => (sum[d]! += v)))
    return unit(sum)
  })
  return realRows(set, asked).map((row) => {
    const x = unit(row)
    return bestOf(Float64Array.from(weights, (w) => dot(w, x)))
  })
}
