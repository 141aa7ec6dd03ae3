/**
 * Float kernels of the reference executor and the quantizer: a module of its own, never part of the int8 runtime.
 * Addresses are bytes. f32 throughout, sums in a fixed order, so every engine gives the same bits.
 */

/** Grows memory to at least `bytes`. Returns 0 when the engine refuses. */
export function reserve(bytes: u32): i32 {
  const pages = <i32>((<u64>bytes + 65535) >> 16) - memory.size()
  return pages <= 0 || memory.grow(pages) >= 0 ? 1 : 0
}

/**
 * b [N, K] row-major to panels [N/8][K][8], the last one filled with zeros.
 * Writes: ceil(N/8) * K * 32 bytes.
 */
export function packPanels(b: usize, packed: usize, N: i32, K: i32): void {
  for (let n = 0; n < N; n += 8) {
    for (let k = 0; k < K; k++) {
      for (let j = 0; j < 8; j++) {
        store<f32>(packed, n + j < N ? load<f32>(b + ((<usize>(n + j) * K + k) << 2)) : 0)
        packed += 4
      }
    }
  }
}

/**
 * out[m, n] = bias[n] + sum over k of a[m * lda + k] * b[n, k], for 4 rows at a time.
 * Shapes: a [M, K] (rows `lda` elements apart), packed as `packPanels`, bias [ceil(N/8)*8], out [M, ldo] (row stride in
 * elements).
 * Requires: out rows have room for ceil(N/8)*8 elements, or N % 8 = 0. Reads past end: nothing.
 */
export function gemm(
  a: usize,
  lda: i32,
  packed: usize,
  bias: usize,
  out: usize,
  ldo: i32,
  M: i32,
  N: i32,
  K: i32,
): void {
  const rowA = (<usize>lda) << 2
  const rowO = (<usize>ldo) << 2
  for (let m = 0; m < M; m += 4) {
    const left = M - m
    // Missing rows repeat the last one: computed and stored over it with equal values.
    const a0 = a + <usize>m * rowA
    const a1 = left > 1 ? a0 + rowA : a0
    const a2 = left > 2 ? a1 + rowA : a1
    const a3 = left > 3 ? a2 + rowA : a2
    const o0 = out + <usize>m * rowO
    const o1 = left > 1 ? o0 + rowO : o0
    const o2 = left > 2 ? o1 + rowO : o1
    const o3 = left > 3 ? o2 + rowO : o2
    let w = packed
    for (let n = 0; n < N; n += 8) {
      const at = (<usize>n) << 2
      let c00 = v128.load(bias + at)
      let c01 = v128.load(bias + at, 16)
      let c10 = c00
      let c11 = c01
      let c20 = c00
      let c21 = c01
      let c30 = c00
      let c31 = c01
      for (let k: usize = 0, end = (<usize>K) << 2; k < end; k += 4) {
        const b0 = v128.load(w)
        const b1 = v128.load(w, 16)
        w += 32
        const x0 = v128.load32_splat(a0 + k)
        c00 = f32x4.add(c00, f32x4.mul(x0, b0))
        c01 = f32x4.add(c01, f32x4.mul(x0, b1))
        const x1 = v128.load32_splat(a1 + k)
        c10 = f32x4.add(c10, f32x4.mul(x1, b0))
        c11 = f32x4.add(c11, f32x4.mul(x1, b1))
        const x2 = v128.load32_splat(a2 + k)
        c20 = f32x4.add(c20, f32x4.mul(x2, b0))
        c21 = f32x4.add(c21, f32x4.mul(x2, b1))
        const x3 = v128.load32_splat(a3 + k)
        c30 = f32x4.add(c30, f32x4.mul(x3, b0))
        c31 = f32x4.add(c31, f32x4.mul(x3, b1))
      }
      v128.store(o0 + at, c00)
      v128.store(o0 + at, c01, 16)
      v128.store(o1 + at, c10)
      v128.store(o1 + at, c11, 16)
      v128.store(o2 + at, c20)
      v128.store(o2 + at, c21, 16)
      v128.store(o3 + at, c30)
      v128.store(o3 + at, c31, 16)
    }
  }
}

/**
 * Rows of a convolution's matrix form: kh*kw*channels input values per output position, zeros outside the image.
 * Shapes: x [H, W, C] of one image; rows for output rows y0..y1, channels c0..c0+channels.
 */
export function im2col(
  x: usize,
  out: usize,
  H: i32,
  W: i32,
  C: i32,
  outW: i32,
  kh: i32,
  kw: i32,
  strideH: i32,
  strideW: i32,
  dilationH: i32,
  dilationW: i32,
  top: i32,
  left: i32,
  y0: i32,
  y1: i32,
  c0: i32,
  channels: i32,
): void {
  const bytes = (<usize>channels) << 2
  for (let oy = y0; oy < y1; oy++) {
    for (let ox = 0; ox < outW; ox++) {
      for (let ky = 0; ky < kh; ky++) {
        const iy = oy * strideH - top + ky * dilationH
        for (let kx = 0; kx < kw; kx++) {
          const ix = ox * strideW - left + kx * dilationW
          if (<u32>iy < <u32>H && <u32>ix < <u32>W) memory.copy(out, x + ((<usize>(iy * W + ix) * C + c0) << 2), bytes)
          else memory.fill(out, 0, bytes)
          out += bytes
        }
      }
    }
  }
}

/**
 * Depthwise convolution of one image, multiplier 1.
 * Shapes: x [H, W, C], filter [kh, kw, C], bias [C], out [outH, outW, C].
 */
export function depthwise(
  x: usize,
  filter: usize,
  bias: usize,
  out: usize,
  H: i32,
  W: i32,
  C: i32,
  outH: i32,
  outW: i32,
  kh: i32,
  kw: i32,
  strideH: i32,
  strideW: i32,
  dilationH: i32,
  dilationW: i32,
  top: i32,
  left: i32,
): void {
  const pixel = (<usize>C) << 2
  for (let oy = 0; oy < outH; oy++) {
    const ky0 = max(0, (top - oy * strideH + dilationH - 1) / dilationH)
    for (let ox = 0; ox < outW; ox++) {
      let c = 0
      for (; c + 8 <= C; c += 8) {
        const at = (<usize>c) << 2
        let s0 = v128.load(bias + at)
        let s1 = v128.load(bias + at, 16)
        for (let ky = ky0; ky < kh; ky++) {
          const iy = oy * strideH - top + ky * dilationH
          if (iy >= H) break
          for (let kx = 0; kx < kw; kx++) {
            const ix = ox * strideW - left + kx * dilationW
            if (<u32>ix >= <u32>W) continue
            const p = x + <usize>(iy * W + ix) * pixel + at
            const w = filter + <usize>(ky * kw + kx) * pixel + at
            s0 = f32x4.add(s0, f32x4.mul(v128.load(p), v128.load(w)))
            s1 = f32x4.add(s1, f32x4.mul(v128.load(p, 16), v128.load(w, 16)))
          }
        }
        v128.store(out + at, s0)
        v128.store(out + at, s1, 16)
      }
      for (; c < C; c++) {
        const at = (<usize>c) << 2
        let s = load<f32>(bias + at)
        for (let ky = ky0; ky < kh; ky++) {
          const iy = oy * strideH - top + ky * dilationH
          if (iy >= H) break
          for (let kx = 0; kx < kw; kx++) {
            const ix = ox * strideW - left + kx * dilationW
            if (<u32>ix >= <u32>W) continue
            s +=
              load<f32>(x + <usize>(iy * W + ix) * pixel + at) * load<f32>(filter + <usize>(ky * kw + kx) * pixel + at)
          }
        }
        store<f32>(out + at, s)
      }
      out += pixel
    }
  }
}

/**
 * out[i, j] += sum over m of a[m, i] * b[m, j]: products of columns, for Gram matrices and regressions.
 * Shapes: a [M, I], b [M, J], out [I, J]. Requires: I and J multiples of 4 and 8 (pad with zero columns).
 */
export function columnProducts(a: usize, b: usize, out: usize, M: i32, I: i32, J: i32): void {
  const rowA = (<usize>I) << 2
  const rowB = (<usize>J) << 2
  for (let i = 0; i < I; i += 4) {
    for (let j = 0; j < J; j += 8) {
      let pa = a + ((<usize>i) << 2)
      let pb = b + ((<usize>j) << 2)
      const o = out + <usize>i * rowB + ((<usize>j) << 2)
      let c00 = v128.load(o)
      let c01 = v128.load(o, 16)
      let c10 = v128.load(o + rowB)
      let c11 = v128.load(o + rowB, 16)
      let c20 = v128.load(o + 2 * rowB)
      let c21 = v128.load(o + 2 * rowB, 16)
      let c30 = v128.load(o + 3 * rowB)
      let c31 = v128.load(o + 3 * rowB, 16)
      for (let m = 0; m < M; m++) {
        const b0 = v128.load(pb)
        const b1 = v128.load(pb, 16)
        const x0 = v128.load32_splat(pa)
        const x1 = v128.load32_splat(pa, 4)
        const x2 = v128.load32_splat(pa, 8)
        const x3 = v128.load32_splat(pa, 12)
        c00 = f32x4.add(c00, f32x4.mul(x0, b0))
        c01 = f32x4.add(c01, f32x4.mul(x0, b1))
        c10 = f32x4.add(c10, f32x4.mul(x1, b0))
        c11 = f32x4.add(c11, f32x4.mul(x1, b1))
        c20 = f32x4.add(c20, f32x4.mul(x2, b0))
        c21 = f32x4.add(c21, f32x4.mul(x2, b1))
        c30 = f32x4.add(c30, f32x4.mul(x3, b0))
        c31 = f32x4.add(c31, f32x4.mul(x3, b1))
        pa += rowA
        pb += rowB
      }
      v128.store(o, c00)
      v128.store(o, c01, 16)
      v128.store(o + rowB, c10)
      v128.store(o + rowB, c11, 16)
      v128.store(o + 2 * rowB, c20)
      v128.store(o + 2 * rowB, c21, 16)
      v128.store(o + 3 * rowB, c30)
      v128.store(o + 3 * rowB, c31, 16)
    }
  }
}

/** Clamps n values in place. */
export function clamp(x: usize, n: i32, lo: f32, hi: f32): void {
  const l = f32x4.splat(lo)
  const h = f32x4.splat(hi)
  let i = 0
  for (; i + 4 <= n; i += 4, x += 16) v128.store(x, f32x4.pmin(h, f32x4.pmax(l, v128.load(x))))
  for (; i < n; i++, x += 4) store<f32>(x, min(hi, max(lo, load<f32>(x))))
}

/** Moves n values in place to the grid scale * (q - zero), q in [lo, hi], rounding to even. */
export function snap(x: usize, n: i32, scale: f32, zero: f32, lo: f32, hi: f32): void {
  const s = f32x4.splat(scale)
  const l = f32x4.splat(lo - zero)
  const h = f32x4.splat(hi - zero)
  let i = 0
  for (; i + 4 <= n; i += 4, x += 16) {
    v128.store(x, f32x4.mul(f32x4.pmin(h, f32x4.pmax(l, f32x4.nearest(f32x4.div(v128.load(x), s)))), s))
  }
  for (; i < n; i++, x += 4) store<f32>(x, min(hi - zero, max(lo - zero, nearest(load<f32>(x) / scale))) * scale)
}

// What the quantizer measures and rounds ------------------------------------------------------------------------------

/**
 * Gradient of a depthwise convolution's input, one image, multiplier 1: adds g * filter to every pixel a tap has read.
 * Shapes: g [outH, outW, C], filter [kh, kw, C], out [H, W, C]. Requires: C a multiple of 4 (pad with zero channels).
 */
export function depthwiseGradient(
  g: usize,
  filter: usize,
  out: usize,
  H: i32,
  W: i32,
  C: i32,
  outH: i32,
  outW: i32,
  kh: i32,
  kw: i32,
  strideH: i32,
  strideW: i32,
  dilationH: i32,
  dilationW: i32,
  top: i32,
  left: i32,
): void {
  const pixel = (<usize>C) << 2
  for (let oy = 0; oy < outH; oy++) {
    for (let ox = 0; ox < outW; ox++, g += pixel) {
      for (let ky = 0; ky < kh; ky++) {
        const iy = oy * strideH - top + ky * dilationH
        if (<u32>iy >= <u32>H) continue
        for (let kx = 0; kx < kw; kx++) {
          const ix = ox * strideW - left + kx * dilationW
          if (<u32>ix >= <u32>W) continue
          const p = out + <usize>(iy * W + ix) * pixel
          const w = filter + <usize>(ky * kw + kx) * pixel
          for (let at: usize = 0; at < pixel; at += 16) {
            v128.store(p + at, f32x4.add(v128.load(p + at), f32x4.mul(v128.load(g + at), v128.load(w + at))))
          }
        }
      }
    }
  }
}

/** Zeroes g where a fused activation clamped y to lo or hi. Requires: n a multiple of 4. */
export function gate(g: usize, y: usize, n: i32, lo: f32, hi: f32): void {
  const l = f32x4.splat(lo)
  const h = f32x4.splat(hi)
  for (let end = g + ((<usize>n) << 2); g < end; g += 16, y += 16) {
    const v = v128.load(y)
    v128.store(g, v128.and(v128.load(g), v128.and(f32x4.gt(v, l), f32x4.lt(v, h))))
  }
}

/**
 * Smallest and largest value of each column: lowers `min` and raises `max`.
 * Shapes: x [rows, C], min and max [C]. Requires: C a multiple of 4.
 */
export function columnRanges(x: usize, rows: i32, C: i32, min: usize, max: usize): void {
  const bytes = (<usize>C) << 2
  for (let r = 0; r < rows; r++, x += bytes) {
    for (let at: usize = 0; at < bytes; at += 16) {
      const v = v128.load(x + at)
      v128.store(min + at, f32x4.pmin(v128.load(min + at), v))
      v128.store(max + at, f32x4.pmax(v128.load(max + at), v))
    }
  }
}

/** sums[c] += sum over rows of x. Shapes: x [rows, C], sums [C]. Requires: C a multiple of 4. */
export function columnSums(x: usize, rows: i32, C: i32, sums: usize): void {
  const bytes = (<usize>C) << 2
  for (let r = 0; r < rows; r++, x += bytes) {
    for (let at: usize = 0; at < bytes; at += 16) {
      v128.store(sums + at, f32x4.add(v128.load(sums + at), v128.load(x + at)))
    }
  }
}

/**
 * sums[c] += sum over rows of g * g where x is not zero. Shapes: g and x [rows, C], sums [C]. Requires: C a multiple of
 * 4.
 */
export function columnSquares(g: usize, x: usize, rows: i32, C: i32, sums: usize): void {
  const bytes = (<usize>C) << 2
  const zero = f32x4.splat(0)
  for (let r = 0; r < rows; r++, g += bytes, x += bytes) {
    for (let at: usize = 0; at < bytes; at += 16) {
      const v = v128.and(v128.load(g + at), f32x4.ne(v128.load(x + at), zero))
      v128.store(sums + at, f32x4.add(v128.load(sums + at), f32x4.mul(v, v)))
    }
  }
}

/** Adds shift[c] to every row of x [rows, C]. Requires: C a multiple of 4. */
export function addToColumns(x: usize, rows: i32, C: i32, shift: usize): void {
  const bytes = (<usize>C) << 2
  for (let r = 0; r < rows; r++, x += bytes) {
    for (let at: usize = 0; at < bytes; at += 16) {
      v128.store(x + at, f32x4.add(v128.load(x + at), v128.load(shift + at)))
    }
  }
}

/**
 * For each channel, sums over rows of the products of its taps: products[i, j, c] += x[r, i, c] * x[r, j, c] for j >=
 * i, and sums[i, c] += x[r, i, c].
 * Shapes: x [rows, taps, C], products [taps * (taps + 1) / 2, C], sums [taps, C]. Requires: C a multiple of 4.
 */
export function tapProducts(x: usize, rows: i32, taps: i32, C: i32, products: usize, sums: usize): void {
  const tap = (<usize>C) << 2
  const row = <usize>taps * tap
  for (let at: usize = 0; at < tap; at += 16) {
    let p = x + at
    for (let r = 0; r < rows; r++, p += row) {
      let to = products + at
      let sum = sums + at
      for (let i: usize = 0; i < row; i += tap, sum += tap) {
        const a = v128.load(p + i)
        v128.store(sum, f32x4.add(v128.load(sum), a))
        for (let j = i; j < row; j += tap, to += tap) {
          v128.store(to, f32x4.add(v128.load(to), f32x4.mul(a, v128.load(p + j))))
        }
      }
    }
  }
}

// @ts-ignore: decorator
@inline
function dot(a: usize, b: usize, n: i32): f64 {
  let s0 = f64x2.splat(0)
  let s1 = s0
  let i = 0
  for (; i + 4 <= n; i += 4, a += 32, b += 32) {
    s0 = f64x2.add(s0, f64x2.mul(v128.load(a), v128.load(b)))
    s1 = f64x2.add(s1, f64x2.mul(v128.load(a, 16), v128.load(b, 16)))
  }
  s0 = f64x2.add(s0, s1)
  let s = f64x2.extract_lane(s0, 0) + f64x2.extract_lane(s0, 1)
  for (; i < n; i++, a += 8, b += 8) s += load<f64>(a) * load<f64>(b)
  return s
}

/** to[i] += f * from[i]. */
// @ts-ignore: decorator
@inline
function axpy(to: usize, from: usize, f: f64, n: i32): void {
  const v = f64x2.splat(f)
  let i = 0
  for (; i + 2 <= n; i += 2, to += 16, from += 16) {
    v128.store(to, f64x2.add(v128.load(to), f64x2.mul(v, v128.load(from))))
  }
  if (i < n) store<f64>(to, load<f64>(to) + f * load<f64>(from))
}

/**
 * Lower Cholesky factor of a symmetric matrix [n, n] of doubles, in place; what is above the diagonal stays.
 * Returns 0 when a pivot is not positive.
 */
export function cholesky(a: usize, n: i32): i32 {
  const row = (<usize>n) << 3
  for (let i = 0; i < n; i++) {
    const ri = a + <usize>i * row
    for (let j = 0; j < i; j++) {
      const rj = a + <usize>j * row
      const at = (<usize>j) << 3
      store<f64>(ri + at, (load<f64>(ri + at) - dot(ri, rj, j)) / load<f64>(rj + at))
    }
    const at = (<usize>i) << 3
    const pivot = load<f64>(ri + at) - dot(ri, ri, i)
    if (!(pivot > 0)) return 0
    store<f64>(ri + at, sqrt(pivot))
  }
  return 1
}

/** Inverse of the lower triangular matrix l [n, n] of doubles. Requires: `out` is zero. */
export function invertLower(l: usize, out: usize, n: i32): void {
  const size = (<usize>n) << 3
  for (let i = 0; i < n; i++) {
    const row = out + <usize>i * size
    const from = l + <usize>i * size
    for (let k = 0; k < i; k++) {
      const f = -load<f64>(from + ((<usize>k) << 3))
      if (f !== 0) axpy(row, out + <usize>k * size, f, k + 1)
    }
    const d = 1 / load<f64>(from + ((<usize>i) << 3))
    for (let j = 0; j < i; j++) store<f64>(row + ((<usize>j) << 3), load<f64>(row + ((<usize>j) << 3)) * d)
    store<f64>(row + ((<usize>i) << 3), d)
  }
}

// @ts-ignore: decorator
@inline
function clampQ(v: f64, qmax: f64): f64 {
  return min(qmax, max(-qmax, nearest(v)))
}

/**
 * Rounds one row of weights, in units of its scale, to integers q that minimize (q - row) H (q - row): one column after
 * the other in `order`, each one's error spread over the rest by U, then single steps as long as they gain.
 * Shapes: row, q, w, g [K] (w and g are scratch), U and H [K, K], order [K] of i32.
 */
export function roundRow(
  row: usize,
  q: usize,
  U: usize,
  H: usize,
  order: usize,
  K: i32,
  w: usize,
  g: usize,
  qmax: f64,
  passes: i32,
): void {
  const size = (<usize>K) << 3
  for (let i = 0; i < K; i++) {
    store<f64>(w + ((<usize>i) << 3), load<f64>(row + ((<usize>load<i32>(order + ((<usize>i) << 2))) << 3)))
  }
  memory.fill(g, 0, size)
  for (let i = 0; i < K; i++) {
    const at = (<usize>i) << 3
    const wanted = load<f64>(w + at)
    const v = clampQ(wanted, qmax)
    store<f64>(q + ((<usize>load<i32>(order + ((<usize>i) << 2))) << 3), v)
    const u = U + <usize>i * size + at
    const error = (wanted - v) / load<f64>(u)
    if (error !== 0) axpy(w + at + 8, u + 8, -error, K - i - 1)
  }
  for (let i = 0; i < K; i++) {
    const at = (<usize>i) << 3
    const d = load<f64>(q + at) - load<f64>(row + at)
    if (d !== 0) axpy(g, H + <usize>i * size, d, K)
  }
  for (let pass = 0; pass < passes; pass++) {
    let moved = 0
    for (let k = 0; k < K; k++) {
      const at = (<usize>k) << 3
      const h = load<f64>(H + <usize>k * size + at)
      if (!(h > 0)) continue
      const before = load<f64>(q + at)
      const step = min(qmax, max(-qmax, before + nearest(-load<f64>(g + at) / h))) - before
      // Only moves that gain: 2 g step + h step^2 < 0.
      if (step === 0 || 2 * load<f64>(g + at) * step + h * step * step >= 0) continue
      store<f64>(q + at, before + step)
      moved++
      axpy(g, H + <usize>k * size, step, K)
    }
    if (moved === 0) break
  }
}

/** (q - row) H (q - row). Shapes: row and q [K], H [K, K]. */
export function outputError(row: usize, q: usize, H: usize, K: i32, d: usize): f64 {
  const size = (<usize>K) << 3
  for (let at: usize = 0; at < size; at += 8) store<f64>(d + at, load<f64>(q + at) - load<f64>(row + at))
  let error: f64 = 0
  for (let i = 0; i < K; i++) {
    const v = load<f64>(d + ((<usize>i) << 3))
    if (v !== 0) error += v * dot(H + <usize>i * size, d, K)
  }
  return error
}

/** The 24th root of a number from 1 on: three square roots, then Newton's steps to the third root of what is left. */
function root24(v: f64): f64 {
  const eighth = sqrt(sqrt(sqrt(v)))
  let root = 1 + (eighth - 1) / 3
  for (let i = 0; i < 5; i++) root -= (root - eighth / (root * root)) / 3
  return root
}

/**
 * Adds what rounding the weights of some rows costs, and its gradient, for factors of the columns: the sum over rows of
 * (max over c of |w| s)^2 / qmax^2 / 12 times the sum over c of cost / s^2, with a smooth maximum of exponent 24.
 * Shapes: weight and cost [rows, n], s, inverse, gradient and share (scratch) [n] of doubles. Returns the sum.
 */
export function weightNoise(
  weight: usize,
  cost: usize,
  s: usize,
  inverse: usize,
  gradient: usize,
  share: usize,
  rows: i32,
  n: i32,
  qmax: f64,
): f64 {
  const size = (<usize>n) << 3
  let total: f64 = 0
  for (let r = 0; r < rows; r++, weight += size, cost += size) {
    let most: f64 = 0
    for (let at: usize = 0; at < size; at += 8) most = max(most, load<f64>(weight + at) * load<f64>(s + at))
    if (most === 0) continue
    let sum: f64 = 0
    let noise: f64 = 0
    for (let at: usize = 0; at < size; at += 8) {
      const v = (load<f64>(weight + at) * load<f64>(s + at)) / most
      const cube = v * v * v
      const six = cube * cube
      const twelve = six * six
      const p = twelve * twelve
      store<f64>(share + at, p)
      sum += p
      const i = load<f64>(inverse + at)
      noise += load<f64>(cost + at) * i * i
    }
    const top = (most * root24(sum)) / qmax
    const square = top * top
    total += (square * noise) / 12
    const a = (2 * square * noise) / (12 * sum)
    const b = (2 * square) / 12
    for (let at: usize = 0; at < size; at += 8) {
      const i = load<f64>(inverse + at)
      store<f64>(gradient + at, load<f64>(gradient + at) + a * load<f64>(share + at) - b * load<f64>(cost + at) * i * i)
    }
  }
  return total
}
