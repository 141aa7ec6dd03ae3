/**
 * The float SIMD kernels (assembly/float.ts) as functions on Float32Arrays: copies in, runs, copies out. One module
 * instance for the whole process; a call leaves nothing behind that a later call depends on.
 */
import { align } from '../base/words.ts'
import { ThimbleError } from '../base/errors.ts'
import base64 from '../generated/float.ts'
import { corner, type ConvShape, type Factors, type LayerData, type Sizes } from './kernels.ts'

interface Exports {
  memory: WebAssembly.Memory
  reserve(bytes: number): number
  packPanels(b: number, packed: number, N: number, K: number): void
  gemm(
    a: number,
    lda: number,
    packed: number,
    bias: number,
    out: number,
    ldo: number,
    M: number,
    N: number,
    K: number,
  ): void
  im2col(...args: number[]): void
  depthwise(...args: number[]): void
  columnProducts(a: number, b: number, out: number, M: number, I: number, J: number): void
  clamp(x: number, n: number, lo: number, hi: number): void
  snap(x: number, n: number, scale: number, zero: number, lo: number, hi: number): void
  depthwiseGradient(...args: number[]): void
  gate(g: number, y: number, n: number, lo: number, hi: number): void
  columnRanges(x: number, rows: number, C: number, min: number, max: number): void
  columnSums(x: number, rows: number, C: number, sums: number): void
  columnSquares(g: number, x: number, rows: number, C: number, sums: number): void
  addToColumns(x: number, rows: number, C: number, shift: number): void
  tapProducts(x: number, rows: number, taps: number, C: number, products: number, sums: number): void
  cholesky(a: number, n: number): number
  invertLower(l: number, out: number, n: number): void
  roundRow(...args: number[]): void
  outputError(row: number, q: number, H: number, K: number, d: number): number
  weightNoise(...args: number[]): number
}

/** Bounds of a fused activation. */
export type Bounds = readonly [lo: number, hi: number]

let instance: Exports | undefined

function kernels(): Exports {
  if (!instance) {
    const binary = atob(base64)
    const bytes = Uint8Array.from({ length: binary.length }, (_, i) => binary.charCodeAt(i))
    instance = new WebAssembly.Instance(new WebAssembly.Module(bytes)).exports as unknown as Exports
  }
  return instance
}

/** Hands out 16-byte aligned blocks of the module's memory, from its start; all of them are free again afterwards. */
class Arena {
  readonly k = kernels()
  // The module has no data of its own.
  private top = 64

  /** Room for `count` floats. */
  floats(count: number): number {
    const at = this.top
    this.top += (count * 4 + 15) & ~15
    if (this.top > 2 ** 32 - 65536 || !this.k.reserve(this.top + 64)) {
      throw new ThimbleError('runtime/memory', 'the float kernels need more memory than the engine gives', {
        got: `${this.top} bytes`,
      })
    }
    return at
  }

  put(data: Float32Array, count = data.length): number {
    const at = this.floats(count)
    const target = new Float32Array(this.k.memory.buffer, at, count)
    target.set(data)
    target.fill(0, data.length)
    return at
  }

  get(at: number, out: Float32Array): void {
    out.set(new Float32Array(this.k.memory.buffer, at, out.length))
  }

  /** Room for `count` doubles. */
  doubles(count: number): number {
    return this.floats(2 * count)
  }

  putDoubles(data: Float64Array): number {
    const at = this.doubles(data.length)
    new Float64Array(this.k.memory.buffer, at, data.length).set(data)
    return at
  }

  getDoubles(at: number, count: number): Float64Array {
    return new Float64Array(this.k.memory.buffer, at, count).slice()
  }

  /** Zeros. */
  cleared(count: number): number {
    const at = this.floats(count)
    new Float32Array(this.k.memory.buffer, at, count).fill(0)
    return at
  }

  /** [rows, C] with C filled up with zeros to a multiple of 4. */
  putRows(data: Float32Array, C: number): number {
    return putColumns(this, data, C, align(C, 4))
  }
}

/** Filter rows [N, K] as panels, and the bias beside them. */
function panels(
  arena: Arena,
  { b, bias }: Omit<Factors, 'a'>,
  { N, K }: Omit<Sizes, 'M'>,
): { packed: number; biases: number } {
  const packed = arena.floats(align(N, 8) * K)
  const rows = arena.put(b)
  arena.k.packPanels(rows, packed, N, K)
  return { packed, biases: arena.put(bias ?? new Float32Array(0), align(N, 8)) }
}

/** As `gemm` of kernels.ts with contiguous rows: out[m,n] = sum_k a[m,k] * b[n,k] + bias[n]. */
export function gemm({ a, b, bias }: Factors, out: Float32Array, { M, N, K }: Sizes, bounds?: Bounds): void {
  const arena = new Arena()
  const { packed, biases } = panels(arena, { b, bias }, { N, K })
  const x = arena.put(a)
  const ldo = align(N, 8)
  const y = arena.floats(M * ldo)
  arena.k.gemm(x, K, packed, biases, y, ldo, M, N, K)
  if (bounds) arena.k.clamp(y, M * ldo, ...bounds)
  readRows(arena, { from: y, stride: ldo }, out, { M, N })
}

/** Rows [M, N] that lie `stride` elements apart in the module. */
function readRows(
  arena: Arena,
  { from, stride }: { from: number; stride: number },
  out: Float32Array,
  { M, N }: Omit<Sizes, 'K'>,
): void {
  if (stride === N) {
    arena.get(from, out.subarray(0, M * N))
    return
  }
  const rows = new Float32Array(arena.k.memory.buffer, from, M * stride)
  for (let m = 0; m < M; m++) out.set(rows.subarray(m * stride, m * stride + N), m * N)
}

/** Elements of the unrolled matrix that are kept at a time. */
const SLAB = 1 << 18

/** A window as the module's kernels take it: size, strides, dilations, and where it begins. */
function windowOf(s: ConvShape): readonly number[] {
  const { top, left } = corner(s)
  return [s.kh, s.kw, s.strideH, s.strideW, s.dilationH, s.dilationW, top, left]
}

/** Each image of the batch in turn, copied to `input`; `each` gets its number. */
function eachImage(arena: Arena, x: Float32Array, s: ConvShape, each: (input: number, n: number) => void): void {
  const size = s.inH * s.inW * s.inC
  const input = arena.floats(size)
  for (let n = 0; n < s.batch; n++) {
    new Float32Array(arena.k.memory.buffer, input, size).set(x.subarray(n * size, (n + 1) * size))
    each(input, n)
  }
}

/** As `conv2d` of kernels.ts, one group. */
export function conv2d({ x, filter, bias }: LayerData, out: Float32Array, s: ConvShape, bounds?: Bounds): void {
  const K = s.kh * s.kw * s.inC
  if (s.kh === 1 && s.kw === 1 && s.strideH === 1 && s.strideW === 1) {
    gemm({ a: x, b: filter, bias }, out, { M: s.batch * s.outH * s.outW, N: s.outC, K }, bounds)
    return
  }
  const arena = new Arena()
  const { packed, biases } = panels(arena, { b: filter, bias }, { N: s.outC, K })
  const rows = Math.min(s.outH, Math.max(1, Math.floor(SLAB / (s.outW * K))))
  const slab = arena.floats(rows * s.outW * K)
  const ldo = align(s.outC, 8)
  const y = arena.floats(rows * s.outW * ldo)
  eachImage(arena, x, s, (input, n) => {
    for (let y0 = 0; y0 < s.outH; y0 += rows) {
      const y1 = Math.min(s.outH, y0 + rows)
      const M = (y1 - y0) * s.outW
      arena.k.im2col(input, slab, s.inH, s.inW, s.inC, s.outW, ...windowOf(s), y0, y1, 0, s.inC)
      arena.k.gemm(slab, K, packed, biases, y, ldo, M, s.outC, K)
      if (bounds) arena.k.clamp(y, M * ldo, ...bounds)
      const to = out.subarray((n * s.outH + y0) * s.outW * s.outC)
      readRows(arena, { from: y, stride: ldo }, to, { M, N: s.outC })
    }
  })
}

/** As `depthwiseConv2d` of kernels.ts, multiplier 1. */
export function depthwiseConv2d(
  { x, filter, bias }: LayerData,
  out: Float32Array,
  s: ConvShape,
  bounds?: Bounds,
): void {
  const arena = new Arena()
  const w = arena.put(filter)
  const b = arena.put(bias ?? new Float32Array(0), s.outC)
  const size = s.outH * s.outW * s.outC
  const y = arena.floats(size)
  eachImage(arena, x, s, (input, n) => {
    arena.k.depthwise(input, w, b, y, s.inH, s.inW, s.inC, s.outH, s.outW, ...windowOf(s))
    if (bounds) arena.k.clamp(y, size, ...bounds)
    arena.get(y, out.subarray(n * size, (n + 1) * size))
  })
}

/** Rows that `columnProducts` takes per call: bounds the module's memory. */
const BLOCK = 1 << 20

/**
 * out[i * J + j] += sum over m of a[m, i] * b[m, j]; sums of up to BLOCK elements in float32, then in double.
 * Shapes: a [M, I], b [M, J], out [I, J].
 */
export function columnProducts(
  a: Float32Array,
  b: Float32Array,
  out: Float64Array,
  { M, I, J }: { M: number; I: number; J: number },
): void {
  const [padI, padJ] = [align(I, 4), align(J, 8)]
  const step = Math.max(1, Math.min(M, Math.floor(BLOCK / Math.max(padI, padJ)), 4096))
  for (let m = 0; m < M; m += step) {
    const arena = new Arena()
    const rows = Math.min(step, M - m)
    const pa = putColumns(arena, a.subarray(m * I, (m + rows) * I), I, padI)
    const pb = a === b && padI === padJ ? pa : putColumns(arena, b.subarray(m * J, (m + rows) * J), J, padJ)
    const sums = arena.put(new Float32Array(0), padI * padJ)
    arena.k.columnProducts(pa, pb, sums, rows, padI, padJ)
    const got = new Float32Array(arena.k.memory.buffer, sums, padI * padJ)
    for (let i = 0; i < I; i++) for (let j = 0; j < J; j++) out[i * J + j]! += got[i * padJ + j]!
  }
}

/** A matrix of so many columns, each row padded with zeros to `padded`. */
function putColumns(arena: Arena, part: Float32Array, columns: number, padded: number): number {
  if (columns === padded) return arena.put(part)
  const rows = part.length / columns
  const at = arena.put(new Float32Array(0), rows * padded)
  const target = new Float32Array(arena.k.memory.buffer, at, rows * padded)
  for (let r = 0; r < rows; r++) target.set(part.subarray(r * columns, (r + 1) * columns), r * padded)
  return at
}

/** As `depthwiseConv2d` backwards: the gradient of x, given that of out. Shapes: g [N,OH,OW,C], filter [1,kh,kw,C]. */
export function depthwiseGradient(g: Float32Array, filter: Float32Array, s: ConvShape): Float32Array {
  const C = s.inC
  const padded = align(C, 4)
  const out = new Float32Array(s.batch * s.inH * s.inW * C)
  const [inPixels, outPixels] = [s.inH * s.inW, s.outH * s.outW]
  for (let n = 0; n < s.batch; n++) {
    const arena = new Arena()
    const w = arena.putRows(filter, C)
    const from = arena.putRows(g.subarray(n * outPixels * C, (n + 1) * outPixels * C), C)
    const to = arena.cleared(inPixels * padded)
    arena.k.depthwiseGradient(from, w, to, s.inH, s.inW, padded, s.outH, s.outW, ...windowOf(s))
    readRows(arena, { from: to, stride: padded }, out.subarray(n * inPixels * C), { M: inPixels, N: C })
  }
  return out
}

/** Gradients g of y, zero where y is at or outside the bounds of its activation. */
export function gate(g: Float32Array, y: Float32Array, [lo, hi]: Bounds): Float32Array {
  const arena = new Arena()
  const n = align(g.length, 4)
  const [a, b] = [arena.put(g, n), arena.put(y, n)]
  arena.k.gate(a, b, n, lo, hi)
  const out = new Float32Array(g.length)
  arena.get(a, out)
  return out
}

/** Smallest and largest value of each column of x [rows, C]. */
export function columnRanges(x: Float32Array, C: number): { min: Float32Array; max: Float32Array } {
  const arena = new Arena()
  const rows = x.length / C
  const padded = align(C, 4)
  const at = arena.putRows(x, C)
  const [lo, hi] = [arena.floats(padded), arena.floats(padded)]
  new Float32Array(arena.k.memory.buffer, lo, padded).fill(Infinity)
  new Float32Array(arena.k.memory.buffer, hi, padded).fill(-Infinity)
  arena.k.columnRanges(at, rows, padded, lo, hi)
  const [min, max] = [new Float32Array(C), new Float32Array(C)]
  arena.get(lo, min)
  arena.get(hi, max)
  return { min, max }
}

/** Rows whose sums are kept in float32 before they go on in double. */
const SUMMED_ROWS = 1024

/** Adds to `sums` [C] the sum over rows of x [rows, C]; with g, of g squared where x is not zero. */
export function addColumns(sums: Float64Array, x: Float32Array, g?: Float32Array): void {
  const C = sums.length
  const padded = align(C, 4)
  const step = SUMMED_ROWS * C
  const part = new Float32Array(C)
  for (let from = 0; from < x.length; from += step) {
    const arena = new Arena()
    const rows = Math.min(step, x.length - from) / C
    const at = arena.putRows(x.subarray(from, from + rows * C), C)
    const to = arena.cleared(padded)
    if (g) arena.k.columnSquares(arena.putRows(g.subarray(from, from + rows * C), C), at, rows, padded, to)
    else arena.k.columnSums(at, rows, padded, to)
    arena.get(to, part)
    for (let c = 0; c < C; c++) sums[c]! += part[c]!
  }
}

/** What becomes of a layer's sums: a shift per channel, then an activation, then a grid of 8-bit numbers; in place. */
export function finish(
  x: Float32Array,
  how: {
    shift?: Float32Array
    bounds?: Bounds | undefined
    grid?: { scale: number; zero: number; lo: number; hi: number }
  },
): void {
  const arena = new Arena()
  const C = how.shift?.length ?? 1
  const padded = how.shift ? align(C, 4) : 1
  const rows = x.length / C
  const at = how.shift ? arena.putRows(x, C) : arena.put(x)
  const count = rows * padded
  if (how.shift) arena.k.addToColumns(at, rows, padded, arena.put(how.shift, padded))
  if (how.bounds) arena.k.clamp(at, count, ...how.bounds)
  if (how.grid) arena.k.snap(at, count, how.grid.scale, how.grid.zero, how.grid.lo, how.grid.hi)
  readRows(arena, { from: at, stride: how.shift ? padded : C }, x, { M: rows, N: C })
}

/**
 * For each channel of rows [count, taps, C]: sums over rows of the products of its taps, [C] of [taps, taps], and of
 * the taps, [C] of [taps].
 */
export function tapProducts(
  rows: Float32Array,
  taps: number,
  C: number,
): { products: Float32Array[]; sums: Float32Array[] } {
  const arena = new Arena()
  const padded = align(C, 4)
  const count = rows.length / (taps * C)
  const pairs = (taps * (taps + 1)) / 2
  const at = arena.putRows(rows, C)
  const [to, sums] = [arena.cleared(pairs * padded), arena.cleared(taps * padded)]
  arena.k.tapProducts(at, count, taps, padded, to, sums)
  const got = new Float32Array(arena.k.memory.buffer, to, pairs * padded)
  const first = new Float32Array(arena.k.memory.buffer, sums, taps * padded)
  return {
    products: Array.from({ length: C }, (_, c) => {
      const out = new Float32Array(taps * taps)
      for (let i = 0, pair = 0; i < taps; i++) {
        for (let j = i; j < taps; j++, pair++) {
          out[i * taps + j] = got[pair * padded + c]!
          out[j * taps + i] = got[pair * padded + c]!
        }
      }
      return out
    }),
    sums: Array.from({ length: C }, (_, c) =>
      Float32Array.from({ length: taps }, (_value, i) => first[i * padded + c]!),
    ),
  }
}

/** Lower Cholesky factor of a [n, n], zero above the diagonal; undefined when a pivot is not positive. */
export function cholesky(a: Float64Array, n: number): Float64Array | undefined {
  const arena = new Arena()
  const at = arena.putDoubles(a)
  if (!arena.k.cholesky(at, n)) return undefined
  const l = arena.getDoubles(at, n * n)
  for (let i = 0; i < n; i++) l.fill(0, i * n + i + 1, (i + 1) * n)
  return l
}

/** Inverse of the lower triangular matrix l [n, n]. */
export function invertLower(l: Float64Array, n: number): Float64Array {
  const arena = new Arena()
  const from = arena.putDoubles(l)
  const to = arena.cleared(2 * n * n)
  arena.k.invertLower(from, to, n)
  return arena.getDoubles(to, n * n)
}

/** What `roundRows` minimizes, see assembly/float.ts. */
interface RoundRowForm {
  H: Float64Array
  U: Float64Array
  order: Int32Array
}

/** Rows in units of their scales, rounded to integers in [-qmax, qmax] that keep the layer's outputs. */
export function roundRows(
  rows: readonly Float64Array[],
  { H, U, order }: RoundRowForm,
  qmax: number,
  passes: number,
): Float64Array[] {
  const arena = new Arena()
  const K = order.length
  const [u, h] = [arena.putDoubles(U), arena.putDoubles(H)]
  const o = arena.floats(K)
  new Int32Array(arena.k.memory.buffer, o, K).set(order)
  const [row, q, w, g] = [arena.doubles(K), arena.doubles(K), arena.doubles(K), arena.doubles(K)]
  return rows.map((data) => {
    new Float64Array(arena.k.memory.buffer, row, K).set(data)
    arena.k.roundRow(row, q, u, h, o, K, w, g, qmax, passes)
    return arena.getDoubles(q, K)
  })
}

/** (q - row) H (q - row) of each row. */
export function outputErrors(
  rows: readonly Float64Array[],
  rounded: readonly Float64Array[],
  H: Float64Array,
): number[] {
  const arena = new Arena()
  const K = rows[0]?.length ?? 0
  const h = arena.putDoubles(H)
  const [a, b, d] = [arena.doubles(K), arena.doubles(K), arena.doubles(K)]
  return rows.map((row, i) => {
    new Float64Array(arena.k.memory.buffer, a, K).set(row)
    new Float64Array(arena.k.memory.buffer, b, K).set(rounded[i]!)
    return arena.k.outputError(a, b, h, K, d)
  })
}

/** Cost of rounding some rows of weights as a function of factors of their columns, see assembly/float.ts. */
export interface NoisyRows {
  /** Both [rows, n]. */
  weight: Float64Array
  cost: Float64Array
}

/**
 * Makes the function that adds to `gradient` and returns the cost. It keeps its arrays in the module until another is
 * made.
 */
export function weightNoise(
  { weight, cost }: NoisyRows,
  n: number,
  qmax: number,
): (s: Float64Array, inverse: Float64Array, gradient: Float64Array) => number {
  const arena = new Arena()
  const rows = weight.length / n
  const [w, c] = [arena.putDoubles(weight), arena.putDoubles(cost)]
  const [at, inv, to, share] = [arena.doubles(n), arena.doubles(n), arena.doubles(n), arena.doubles(n)]
  const view = (p: number): Float64Array => new Float64Array(arena.k.memory.buffer, p, n)
  return (s, inverse, gradient) => {
    view(at).set(s)
    view(inv).set(inverse)
    view(to).set(gradient)
    const total = arena.k.weightNoise(w, c, at, inv, to, share, rows, n, qmax)
    gradient.set(view(to))
    return total
  }
}
