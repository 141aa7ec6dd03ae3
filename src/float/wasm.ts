/**
 * The float SIMD kernels (assembly/float.ts) as functions on Float32Arrays: copies in, runs, copies out. One module
 * instance for the whole process; a call leaves nothing behind that a later call depends on.
 */
import { align } from '../words.ts'
import { ThimbleError } from '../errors.ts'
import base64 from '../generated/float.ts'
import { corner, type ConvShape } from './kernels.ts'

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
}

/** Filter rows [N, K] as panels, and the bias beside them. */
function panels(
  arena: Arena,
  b: Float32Array,
  bias: Float32Array | undefined,
  N: number,
  K: number,
): { packed: number; biases: number } {
  const packed = arena.floats(align(N, 8) * K)
  const rows = arena.put(b)
  arena.k.packPanels(rows, packed, N, K)
  return { packed, biases: arena.put(bias ?? new Float32Array(0), align(N, 8)) }
}

/** As `gemm` of kernels.ts with contiguous rows: out[m,n] = sum_k a[m,k] * b[n,k] + bias[n]. */
export function gemm(
  a: Float32Array,
  b: Float32Array,
  bias: Float32Array | undefined,
  out: Float32Array,
  M: number,
  N: number,
  K: number,
  bounds?: Bounds,
): void {
  const arena = new Arena()
  const { packed, biases } = panels(arena, b, bias, N, K)
  const x = arena.put(a)
  const ldo = align(N, 8)
  const y = arena.floats(M * ldo)
  arena.k.gemm(x, K, packed, biases, y, ldo, M, N, K)
  if (bounds) arena.k.clamp(y, M * ldo, ...bounds)
  readRows(arena, y, ldo, out, M, N)
}

function readRows(arena: Arena, from: number, stride: number, out: Float32Array, M: number, N: number): void {
  if (stride === N) {
    arena.get(from, out.subarray(0, M * N))
    return
  }
  const rows = new Float32Array(arena.k.memory.buffer, from, M * stride)
  for (let m = 0; m < M; m++) out.set(rows.subarray(m * stride, m * stride + N), m * N)
}

/** Elements of the unrolled matrix that are kept at a time. */
const SLAB = 1 << 18

/** As `conv2d` of kernels.ts, one group. */
export function conv2d(
  x: Float32Array,
  filter: Float32Array,
  bias: Float32Array | undefined,
  out: Float32Array,
  s: ConvShape,
  bounds?: Bounds,
): void {
  const K = s.kh * s.kw * s.inC
  if (s.kh === 1 && s.kw === 1 && s.strideH === 1 && s.strideW === 1) {
    gemm(x, filter, bias, out, s.batch * s.outH * s.outW, s.outC, K, bounds)
    return
  }
  const arena = new Arena()
  const { packed, biases } = panels(arena, filter, bias, s.outC, K)
  const rows = Math.min(s.outH, Math.max(1, Math.floor(SLAB / (s.outW * K))))
  const image = s.inH * s.inW * s.inC
  const input = arena.floats(image)
  const slab = arena.floats(rows * s.outW * K)
  const ldo = align(s.outC, 8)
  const y = arena.floats(rows * s.outW * ldo)
  const { top, left } = corner(s)
  for (let n = 0; n < s.batch; n++) {
    new Float32Array(arena.k.memory.buffer, input, image).set(x.subarray(n * image, (n + 1) * image))
    for (let y0 = 0; y0 < s.outH; y0 += rows) {
      const y1 = Math.min(s.outH, y0 + rows)
      const M = (y1 - y0) * s.outW
      arena.k.im2col(
        input,
        slab,
        s.inH,
        s.inW,
        s.inC,
        s.outW,
        s.kh,
        s.kw,
        s.strideH,
        s.strideW,
        s.dilationH,
        s.dilationW,
        top,
        left,
        y0,
        y1,
        0,
        s.inC,
      )
      arena.k.gemm(slab, K, packed, biases, y, ldo, M, s.outC, K)
      if (bounds) arena.k.clamp(y, M * ldo, ...bounds)
      readRows(arena, y, ldo, out.subarray((n * s.outH + y0) * s.outW * s.outC), M, s.outC)
    }
  }
}

/** As `depthwiseConv2d` of kernels.ts, multiplier 1. */
export function depthwiseConv2d(
  x: Float32Array,
  filter: Float32Array,
  bias: Float32Array | undefined,
  out: Float32Array,
  s: ConvShape,
  bounds?: Bounds,
): void {
  const arena = new Arena()
  const w = arena.put(filter)
  const b = arena.put(bias ?? new Float32Array(0), s.outC)
  const [inSize, outSize] = [s.inH * s.inW * s.inC, s.outH * s.outW * s.outC]
  const input = arena.floats(inSize)
  const y = arena.floats(outSize)
  const { top, left } = corner(s)
  for (let n = 0; n < s.batch; n++) {
    new Float32Array(arena.k.memory.buffer, input, inSize).set(x.subarray(n * inSize, (n + 1) * inSize))
    arena.k.depthwise(
      input,
      w,
      b,
      y,
      s.inH,
      s.inW,
      s.inC,
      s.outH,
      s.outW,
      s.kh,
      s.kw,
      s.strideH,
      s.strideW,
      s.dilationH,
      s.dilationW,
      top,
      left,
    )
    if (bounds) arena.k.clamp(y, outSize, ...bounds)
    arena.get(y, out.subarray(n * outSize, (n + 1) * outSize))
  }
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
  M: number,
  I: number,
  J: number,
): void {
  const [padI, padJ] = [align(I, 4), align(J, 8)]
  const step = Math.max(1, Math.min(M, Math.floor(BLOCK / Math.max(padI, padJ)), 4096))
  for (let m = 0; m < M; m += step) {
    const arena = new Arena()
    const rows = Math.min(step, M - m)
    const pa = putColumns(arena, a, m, rows, I, padI)
    const pb = a === b && padI === padJ ? pa : putColumns(arena, b, m, rows, J, padJ)
    const sums = arena.put(new Float32Array(0), padI * padJ)
    arena.k.columnProducts(pa, pb, sums, rows, padI, padJ)
    const got = new Float32Array(arena.k.memory.buffer, sums, padI * padJ)
    for (let i = 0; i < I; i++) for (let j = 0; j < J; j++) out[i * J + j]! += got[i * padJ + j]!
  }
}

/** Rows m.. of a matrix with `columns` columns, each padded with zeros to `padded`. */
function putColumns(
  arena: Arena,
  data: Float32Array,
  m: number,
  rows: number,
  columns: number,
  padded: number,
): number {
  const part = data.subarray(m * columns, (m + rows) * columns)
  if (columns === padded) return arena.put(part)
  const at = arena.put(new Float32Array(0), rows * padded)
  const target = new Float32Array(arena.k.memory.buffer, at, rows * padded)
  for (let r = 0; r < rows; r++) target.set(part.subarray(r * columns, (r + 1) * columns), r * padded)
  return at
}
