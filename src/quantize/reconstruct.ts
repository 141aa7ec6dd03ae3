/**
 * Adaptive rounding: stored weights that keep a layer's outputs on the inputs that the int8 model really has. Columns
 * are rounded one after the other, and each one's error is spread over those still to come; coordinate descent on the
 * same quadratic form ends it. Before that, weights are moved towards the float layer's outputs as far as its quantized
 * inputs foretell them.
 * Source: Frantar et al. 2022 (GPTQ, arXiv 2210.17323).
 */
import { corner, type ConvShape } from '../float/kernels.ts'
import { addColumns, columnProducts, gemm, outputErrors, roundRows, tapProducts } from '../float/wasm.ts'
import { roundEven } from '../base/round.ts'
import { inverseFactor } from './linear-algebra.ts'
import { QMAX } from './weights.ts'

/** Sums over sampled input rows x [K] of one group of a layer. */
export interface Moments {
  K: number
  count: number
  /** Sum of x and of x squared, [K]. */
  x: Float64Array
  squares: Float64Array
  /** Sum of x x^T, [K, K]; only where rounding can use it. */
  xx?: Float64Array
  /** What the layers before lost: sums of d = (float input - x), [K], and of d x^T, [K, K]. */
  loss?: { d: Float64Array; dx: Float64Array }
}

export const emptyMoments = (K: number, products = true, loss = false): Moments => ({
  K,
  count: 0,
  x: new Float64Array(K),
  squares: new Float64Array(K),
  ...(products ? { xx: new Float64Array(K * K) } : {}),
  ...(products && loss ? { loss: { d: new Float64Array(K), dx: new Float64Array(K * K) } } : {}),
})

/** Adds `count` rows, [count, K], and what the float model has in their place. */
export function addMoments(m: Moments, rows: Float32Array, count: number, float?: Float32Array): void {
  const { K, xx, x, squares, loss } = m
  if (xx) columnProducts(rows, rows, xx, { M: count, I: K, J: K })
  if (loss && float) {
    const lost = new Float32Array(rows.length)
    for (let i = 0; i < lost.length; i++) lost[i] = float[i]! - rows[i]!
    columnProducts(lost, rows, loss.dx, { M: count, I: K, J: K })
    addColumns(loss.d, lost)
  }
  addColumns(x, rows)
  addColumns(squares, rows, rows)
  m.count += count
}

const plus = (a: Float64Array, b: Float64Array): Float64Array => a.map((v, i) => v + b[i]!)

/** Moments of two sets of rows together. */
export const sum = (a: Moments, b: Moments): Moments => ({
  K: a.K,
  count: a.count + b.count,
  x: plus(a.x, b.x),
  squares: plus(a.squares, b.squares),
  ...(a.xx && b.xx ? { xx: plus(a.xx, b.xx) } : {}),
  ...(a.loss && b.loss ? { loss: { d: plus(a.loss.d, b.loss.d), dx: plus(a.loss.dx, b.loss.dx) } } : {}),
})

/** Variance of each column. */
export const variances = ({ count, x, squares }: Moments): Float64Array =>
  squares.map((s, i) => Math.max(0, s / count - (x[i]! / count) ** 2))

/** Output positions to sample from an image with `total` of them: at most `limit`, evenly spread with a stride. */
export function positions(total: number, limit: number, phase: number): Int32Array {
  if (total <= limit) return Int32Array.from({ length: total }, (_, i) => i)
  const step = total / limit
  return Int32Array.from({ length: limit }, (_, i) => Math.min(total - 1, Math.floor((i + phase) * step)))
}

/**
 * Rows of the convolution's matrix form at some output positions of image 0; channels [c0, c1). Shapes:
 * [positions, kh*kw*channels].
 */
export function gatherRows(
  x: Float32Array,
  s: ConvShape,
  at: Int32Array,
  [c0, c1]: readonly [from: number, to: number],
): Float32Array {
  const channels = c1 - c0
  const { top, left } = corner(s)
  const K = s.kh * s.kw * channels
  const out = new Float32Array(at.length * K)
  for (let r = 0; r < at.length; r++) {
    const oy = Math.floor(at[r]! / s.outW)
    const ox = at[r]! % s.outW
    let to = r * K
    for (let ky = 0; ky < s.kh; ky++) {
      const iy = oy * s.strideH - top + ky * s.dilationH
      for (let kx = 0; kx < s.kw; kx++, to += channels) {
        const ix = ox * s.strideW - left + kx * s.dilationW
        if (iy < 0 || iy >= s.inH || ix < 0 || ix >= s.inW) continue
        const from = (iy * s.inW + ix) * s.inC + c0
        out.set(x.subarray(from, from + channels), to)
      }
    }
  }
  return out
}

/** Covariance of x: a bias absorbs what an error does to the mean. Undefined without products. */
export function covariance({ K, count, xx, x }: Moments): Float64Array | undefined {
  if (!xx) return undefined
  const H = new Float64Array(K * K)
  for (let i = 0; i < K; i++) {
    for (let j = 0; j < K; j++) H[i * K + j] = xx[i * K + j]! / count - (x[i]! / count) * (x[j]! / count)
  }
  return H
}

/** Covariance of what was lost with what is there, [K, K]. */
function lossCovariance({ K, count, x, loss }: Moments): Float64Array | undefined {
  if (!loss) return undefined
  const out = new Float64Array(K * K)
  for (let i = 0; i < K; i++) {
    const mean = loss.d[i]! / count
    for (let j = 0; j < K; j++) out[i * K + j] = loss.dx[i * K + j]! / count - mean * (x[j]! / count)
  }
  return out
}

/** a [M, K] times the transposed b [N, K]. */
function product(a: Float32Array, b: Float32Array, K: number): Float32Array {
  const [M, N] = [a.length / K, b.length / K]
  const out = new Float32Array(M * N)
  gemm({ a, b }, out, { M, N, K })
  return out
}

/** [K, K] as floats, rows for columns. */
function turned(a: Float64Array, K: number): Float32Array {
  const out = new Float32Array(K * K)
  for (let i = 0; i < K; i++) for (let j = 0; j < K; j++) out[j * K + i] = a[i * K + j]!
  return out
}

/**
 * What to add to rows [R, K] of weights so that, on inputs with losses, they come nearest to the float layer's outputs:
 * the part of the losses that the inputs foretell, rows D H^-1 with D = cov(loss, x). Undefined without losses.
 */
export function regained(rows: Float32Array, m: Moments, { U, order }: RoundingForm): Float32Array | undefined {
  const { K } = m
  const D = lossCovariance(m)
  if (!D) return undefined
  const wanted = product(rows, turned(D, K), K)
  // H^-1 = U^T U with the columns in `order`.
  const permuted = wanted.map((_, i) => wanted[i - (i % K) + order[i % K]!]!)
  const solved = product(product(permuted, Float32Array.from(U), K), turned(U, K), K)
  const out = new Float32Array(rows.length)
  solved.forEach((v, i) => (out[i - (i % K) + order[i % K]!] = v))
  return out
}

/** The share of `added` that is best on other samples: the minimum of a parabola, in [0, 1]. */
export function shareThatHolds(rows: Float32Array, added: Float32Array, other: Moments): number {
  const { K } = other
  const [D, H] = [lossCovariance(other), covariance(other)]
  if (!D || !H) return 0
  const [a, b] = [product(rows, turned(D, K), K), product(added, Float32Array.from(H), K)]
  let [linear, square] = [0, 0]
  added.forEach((v, i) => {
    linear += a[i]! * v
    square += b[i]! * v
  })
  return square > 0 ? Math.max(0, Math.min(1, linear / square)) : 0
}

/** What the rounding of one layer's rows minimizes: (q - row) H (q - row). */
export interface RoundingForm {
  H: Float64Array
  U: Float64Array
  order: Int32Array
}

/**
 * Shrinks the covariance towards its diagonal, by one unknown per sample: what few samples say about columns together
 * is chance. Undefined without more samples than unknowns, or when it can't be factored: rounding to nearest is best
 * then.
 */
export function roundingForm(m: Moments): RoundingForm | undefined {
  const { K, count } = m
  const rho = K / count
  const H = rho < 1 ? covariance(m) : undefined
  if (!H) return undefined
  let diagonal = 0
  for (let i = 0; i < K; i++) diagonal += H[i * K + i]! / K
  const shrunk = H.map((v) => v * (1 - rho))
  for (let i = 0; i < K; i++) shrunk[i * K + i] = H[i * K + i]! + 1e-4 * diagonal + 1e-12
  // Columns of large variance first: the others can make up for them.
  const order = Int32Array.from({ length: K }, (_, i) => i).sort(
    (a, b) => shrunk[b * K + b]! - shrunk[a * K + a]! || a - b,
  )
  const permuted = new Float64Array(K * K)
  for (let i = 0; i < K; i++) for (let j = 0; j < K; j++) permuted[i * K + j] = shrunk[order[i]! * K + order[j]!]!
  const U = inverseFactor(permuted, K)
  return U && { H: shrunk, U, order }
}

const clampQ = (v: number): number => (v > QMAX ? QMAX : v < -QMAX ? -QMAX : v)

/** A row in units of its scale, each weight to the nearest step. */
export const roundNearest = (row: Float64Array): Float64Array => row.map((v) => clampQ(roundEven(v)))

/** Times that single weights are moved where that gains. */
const PASSES = 4

/** Rows in units of their scales, rounded to keep the layer's outputs. */
export const roundAdaptive = (rows: readonly Float64Array[], form: RoundingForm): Float64Array[] =>
  roundRows(rows, form, QMAX, PASSES)

/** (q - row) H (q - row): mean squared error of each row's output, in units of its scale squared. */
export const outputError = outputErrors

/** Adds rows [count, taps, C] to the moments of each channel's taps. */
export function addTapMoments(all: readonly Moments[], rows: Float32Array, taps: number, count: number): void {
  const { products, sums } = tapProducts(rows, taps, all.length)
  all.forEach((m, c) => {
    const [xx, x] = [products[c]!, sums[c]!]
    for (let i = 0; i < taps; i++) {
      m.x[i]! += x[i]!
      m.squares[i]! += xx[i * taps + i]!
    }
    if (m.xx) for (let k = 0; k < xx.length; k++) m.xx[k]! += xx[k]!
    m.count += count
  })
}
