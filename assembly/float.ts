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
