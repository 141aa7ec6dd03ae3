/**
 * Float kernels of the reference executor in plain TypeScript: no wasm, any engine. Values are float32, sums are
 * double, so results are at least as close to the real numbers as a float32 runtime's.
 */
import type { Padding } from '../graph/graph.ts'
import { windowAlong, type Axis } from '../graph/window.ts'

/** One convolution, stripped of layout decisions: NHWC in and out. */
export interface ConvShape {
  batch: number
  inH: number
  inW: number
  inC: number
  outH: number
  outW: number
  outC: number
  kh: number
  kw: number
  strideH: number
  strideW: number
  dilationH: number
  dilationW: number
  padding: Padding
}

/** Where the windows go, down and across. */
export const axesOf = ({ padding, ...s }: ConvShape): { y: Axis; x: Axis } => ({
  y: windowAlong({ padding, size: s.inH, out: s.outH, kernel: s.kh, stride: s.strideH, dilation: s.dilationH }),
  x: windowAlong({ padding, size: s.inW, out: s.outW, kernel: s.kw, stride: s.strideW, dilation: s.dilationW }),
})

/** Rows and columns of padding before the image's first pixel. */
export function corner(s: ConvShape): { top: number; left: number } {
  const { y, x } = axesOf(s)
  return { top: y.before, left: x.before }
}

/** What a convolution reads. */
export interface LayerData {
  x: Float32Array
  filter: Float32Array
  bias?: Float32Array | undefined
}

/** Operands of a matrix product: a [M,K], b [N,K] and bias [N] or none, rows contiguous. */
export interface Factors {
  a: Float32Array
  b: Float32Array
  bias?: Float32Array | undefined
}
export interface Sizes {
  M: number
  N: number
  K: number
}

/**
 * out[m,n] = sum_k a[m,k] * b[n,k] + bias[n].
 * Shape: out [M,N], row stride `ldc` (default N), first column `c0`.
 */
export function gemm(
  { a, b, bias }: Factors,
  out: Float32Array,
  { M, N, K }: Sizes,
  { ldc = N, c0 = 0 }: { ldc?: number; c0?: number } = {},
): void {
  /** Row m from column n on. */
  const rest = (m: number, n: number): void => {
    for (; n < N; n++) {
      let s = 0
      for (let k = 0; k < K; k++) s += a[m * K + k]! * b[n * K + k]!
      out[m * ldc + c0 + n] = s + (bias ? bias[n]! : 0)
    }
  }
  let m = 0
  for (; m + 4 <= M; m += 4) {
    const a0 = m * K
    const a1 = a0 + K
    const a2 = a1 + K
    const a3 = a2 + K
    let n = 0
    for (; n + 2 <= N; n += 2) {
      const b0 = n * K
      const b1 = b0 + K
      const s0 = bias ? bias[n]! : 0
      const s1 = bias ? bias[n + 1]! : 0
      let c00 = s0
      let c01 = s1
      let c10 = s0
      let c11 = s1
      let c20 = s0
      let c21 = s1
      let c30 = s0
      let c31 = s1
      for (let k = 0; k < K; k++) {
        const w0 = b[b0 + k]!
        const w1 = b[b1 + k]!
        const x0 = a[a0 + k]!
        const x1 = a[a1 + k]!
        const x2 = a[a2 + k]!
        const x3 = a[a3 + k]!
        c00 += x0 * w0
        c01 += x0 * w1
        c10 += x1 * w0
        c11 += x1 * w1
        c20 += x2 * w0
        c21 += x2 * w1
        c30 += x3 * w0
        c31 += x3 * w1
      }
      let o = m * ldc + c0 + n
      out[o] = c00
      out[o + 1] = c01
      o += ldc
      out[o] = c10
      out[o + 1] = c11
      o += ldc
      out[o] = c20
      out[o + 1] = c21
      o += ldc
      out[o] = c30
      out[o + 1] = c31
    }
    for (let i = 0; i < 4; i++) rest(m + i, n)
  }
  for (; m < M; m++) rest(m, 0)
}

/** Output rows y0..y1 of image n, and channels c0..c0+channels of its input. */
export interface Slab {
  n: number
  y0: number
  y1: number
  c0: number
  channels: number
}

/**
 * Rows of the convolution's matrix form: one row of kh*kw*C input values (zeros outside) per output position.
 * Shapes: x [N,H,W,C]; returns [rows, kh*kw*channels].
 */
export function im2col(x: Float32Array, s: ConvShape, { n, y0, y1, c0, channels }: Slab): Float32Array {
  const { top, left } = corner(s)
  const K = s.kh * s.kw * channels
  const out = new Float32Array((y1 - y0) * s.outW * K)
  let row = 0
  for (let oy = y0; oy < y1; oy++) {
    for (let ox = 0; ox < s.outW; ox++, row += K) {
      let at = row
      for (let ky = 0; ky < s.kh; ky++) {
        const iy = oy * s.strideH - top + ky * s.dilationH
        for (let kx = 0; kx < s.kw; kx++, at += channels) {
          const ix = ox * s.strideW - left + kx * s.dilationW
          if (iy < 0 || iy >= s.inH || ix < 0 || ix >= s.inW) continue
          const from = ((n * s.inH + iy) * s.inW + ix) * s.inC + c0
          for (let c = 0; c < channels; c++) out[at + c] = x[from + c]!
        }
      }
    }
  }
  return out
}

/** Grouped convolution. Shapes: x [N,H,W,C], filter [O,kh,kw,C/groups], bias [O], out [N,OH,OW,O]. */
export function conv2d({ x, filter, bias }: LayerData, out: Float32Array, s: ConvShape): void {
  const groupIn = filter.length / (s.outC * s.kh * s.kw)
  const groups = s.inC / groupIn
  const groupOut = s.outC / groups
  const K = s.kh * s.kw * groupIn
  const pointwise = s.kh === 1 && s.kw === 1 && s.strideH === 1 && s.strideW === 1 && groups === 1
  if (pointwise) {
    gemm({ a: x, b: filter, bias }, out, { M: s.batch * s.outH * s.outW, N: s.outC, K })
    return
  }
  // Rows in slabs of about a megabyte, so that the unrolled matrix stays in cache.
  const rows = Math.max(1, Math.floor(262144 / Math.max(1, s.outW * K)))
  for (let n = 0; n < s.batch; n++) {
    for (let y = 0; y < s.outH; y += rows) {
      const y1 = Math.min(s.outH, y + rows)
      const M = (y1 - y) * s.outW
      for (let g = 0; g < groups; g++) {
        const a = im2col(x, s, { n, y0: y, y1, c0: g * groupIn, channels: groupIn })
        const b = groups === 1 ? filter : filter.subarray(g * groupOut * K, (g + 1) * groupOut * K)
        const part = groups === 1 ? bias : bias?.subarray(g * groupOut)
        const target = out.subarray((n * s.outH + y) * s.outW * s.outC)
        gemm({ a, b, bias: part }, target, { M, N: groupOut, K }, { ldc: s.outC, c0: g * groupOut })
      }
    }
  }
}

/** Shapes: x [N,H,W,C], filter [1,kh,kw,C*m], bias [C*m], out [N,OH,OW,C*m]. */
export function depthwiseConv2d({ x, filter, bias }: LayerData, out: Float32Array, s: ConvShape): void {
  const { top, left } = corner(s)
  const m = s.outC / s.inC
  const acc = new Float64Array(s.outC)
  for (let n = 0; n < s.batch; n++) {
    for (let oy = 0; oy < s.outH; oy++) {
      for (let ox = 0; ox < s.outW; ox++) {
        if (bias) acc.set(bias)
        else acc.fill(0)
        for (let ky = 0; ky < s.kh; ky++) {
          const iy = oy * s.strideH - top + ky * s.dilationH
          if (iy < 0 || iy >= s.inH) continue
          for (let kx = 0; kx < s.kw; kx++) {
            const ix = ox * s.strideW - left + kx * s.dilationW
            if (ix < 0 || ix >= s.inW) continue
            const from = ((n * s.inH + iy) * s.inW + ix) * s.inC
            const w = (ky * s.kw + kx) * s.outC
            if (m === 1) for (let c = 0; c < s.inC; c++) acc[c]! += x[from + c]! * filter[w + c]!
            else for (let c = 0; c < s.outC; c++) acc[c]! += x[from + Math.floor(c / m)]! * filter[w + c]!
          }
        }
        out.set(acc, ((n * s.outH + oy) * s.outW + ox) * s.outC)
      }
    }
  }
}

/** Shapes as `conv2d` without filter; padding is not counted by the average. */
export function pool2d(x: Float32Array, out: Float32Array, s: ConvShape, kind: 'average' | 'max'): void {
  const { top, left } = corner(s)
  for (let n = 0; n < s.batch; n++) {
    for (let oy = 0; oy < s.outH; oy++) {
      for (let ox = 0; ox < s.outW; ox++) {
        const y0 = Math.max(0, oy * s.strideH - top)
        const y1 = Math.min(s.inH, oy * s.strideH - top + s.kh)
        const x0 = Math.max(0, ox * s.strideW - left)
        const x1 = Math.min(s.inW, ox * s.strideW - left + s.kw)
        const to = ((n * s.outH + oy) * s.outW + ox) * s.outC
        for (let c = 0; c < s.outC; c++) {
          let best = kind === 'max' ? -Infinity : 0
          for (let y = y0; y < y1; y++) {
            for (let i = x0; i < x1; i++) {
              const v = x[((n * s.inH + y) * s.inW + i) * s.inC + c]!
              best = kind === 'max' ? Math.max(best, v) : best + v
            }
          }
          out[to + c] = kind === 'max' ? best : best / ((y1 - y0) * (x1 - x0))
        }
      }
    }
  }
}

/**
 * Transposed convolution. Shapes: x [N,H,W,I], filter [O,kh,kw,I], bias [O], out [N,OH,OW,O]; `s.in*` is x, `s.out*` is
 * out.
 */
export function transposeConv2d({ x, filter, bias }: LayerData, out: Float32Array, s: ConvShape): void {
  // The padding of the forward convolution that this one inverts.
  const { top, left } = corner({ ...s, inH: s.outH, inW: s.outW, outH: s.inH, outW: s.inW })
  for (let i = 0; i < out.length; i++) out[i] = bias ? bias[i % s.outC]! : 0
  for (let n = 0; n < s.batch; n++) {
    for (let iy = 0; iy < s.inH; iy++) {
      for (let ix = 0; ix < s.inW; ix++) {
        const from = ((n * s.inH + iy) * s.inW + ix) * s.inC
        for (let ky = 0; ky < s.kh; ky++) {
          for (let kx = 0; kx < s.kw; kx++) {
            const oy = iy * s.strideH - top + ky
            const ox = ix * s.strideW - left + kx
            if (oy < 0 || oy >= s.outH || ox < 0 || ox >= s.outW) continue
            const to = ((n * s.outH + oy) * s.outW + ox) * s.outC
            for (let o = 0; o < s.outC; o++) {
              const w = ((o * s.kh + ky) * s.kw + kx) * s.inC
              let sum = out[to + o]!
              for (let c = 0; c < s.inC; c++) sum += x[from + c]! * filter[w + c]!
              out[to + o] = sum
            }
          }
        }
      }
    }
  }
}
