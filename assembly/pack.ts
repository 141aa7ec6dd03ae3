/**
 * Weight packers: what the host would otherwise do for every weight when it loads a model. Not part of packed modules.
 * src/lower/pack.ts draws the orders and computes the same in JavaScript.
 */

/** Mask of the first n of eight i16 lanes. */
// @ts-ignore: decorator
@inline
function firstLanes(n: i32): v128 {
  return i16x8.gt_s(i16x8.splat(<i16>n), i16x8(0, 1, 2, 3, 4, 5, 6, 7))
}

/** Eight weights at `p` as i16 minus their zero point. */
// @ts-ignore: decorator
@inline
function weights8(p: usize, flip: v128, zero: v128, mask: v128): v128 {
  return v128.and(i16x8.sub(i16x8.extend_low_i8x16_s(v128.xor(v128.load64_zero(p), flip)), zero), mask)
}

/** Four rows of four pairs of i16 to four columns, the columns 32 bytes apart. */
// @ts-ignore: decorator
@inline
function transpose4(to: usize, a: v128, b: v128, c: v128, d: v128): void {
  const t0 = v128.shuffle<i32>(a, b, 0, 4, 1, 5)
  const t1 = v128.shuffle<i32>(c, d, 0, 4, 1, 5)
  const t2 = v128.shuffle<i32>(a, b, 2, 6, 3, 7)
  const t3 = v128.shuffle<i32>(c, d, 2, 6, 3, 7)
  v128.store(to, v128.shuffle<i64>(t0, t1, 0, 2))
  v128.store(to, v128.shuffle<i64>(t0, t1, 1, 3), 32)
  v128.store(to, v128.shuffle<i64>(t2, t3, 0, 2), 64)
  v128.store(to, v128.shuffle<i64>(t2, t3, 1, 3), 96)
}

/**
 * GEMM 4x8: `panels` x 8 rows of k int8 (after xor with `flip`) minus `zero` to [panel][K/2][8][2] i16, k in segments
 * that are padded to `padded`. Reads 0..7 bytes and writes 0..127 bytes past the end.
 */
export function pack_gemm_4x8(
  to: usize,
  from: usize,
  panels: i32,
  k: usize,
  segment: usize,
  padded: usize,
  zero: i32,
  flip: i32,
): void {
  if (!ASC_FEATURE_SIMD || !segment) return
  const flips = i8x16.splat(<i8>flip)
  const zeros = i16x8.splat(<i16>zero)
  for (let p = 0; p < panels; p++) {
    for (let s: usize = 0; s < k; s += segment) {
      let out = to
      for (let i: usize = 0; i < segment; i += 8) {
        const q = from + s + i
        const mask = firstLanes(<i32>(segment - i))
        transpose4(
          out,
          weights8(q, flips, zeros, mask),
          weights8(q + k, flips, zeros, mask),
          weights8(q + 2 * k, flips, zeros, mask),
          weights8(q + 3 * k, flips, zeros, mask),
        )
        const h = q + 4 * k
        transpose4(
          out + 16,
          weights8(h, flips, zeros, mask),
          weights8(h + k, flips, zeros, mask),
          weights8(h + 2 * k, flips, zeros, mask),
          weights8(h + 3 * k, flips, zeros, mask),
        )
        out += 128
      }
      // A segment padded beyond what was written.
      for (const end = to + (padded << 4); out < end; out += 32) {
        v128.store(out, i64x2.splat(0))
        v128.store(out, i64x2.splat(0), 16)
      }
      to += padded << 4
    }
    from += k << 3
  }
}

/** bias[c] -= inputZero * Σ weights, for packed panels of [pairs][8][2] i16, `skip` bytes apart. */
export function fold_gemm_4x8(bias: usize, weights: usize, panels: i32, pairs: i32, skip: i32, inputZero: i32): void {
  if (!ASC_FEATURE_SIMD) return
  const ones = i16x8.splat(1)
  const factor = i32x4.splat(inputZero)
  for (let p = 0; p < panels; p++) {
    let a = i32x4.splat(0)
    let b = i32x4.splat(0)
    for (let i = 0; i < pairs; i++) {
      a = i32x4.add(a, i32x4.dot_i16x8_s(v128.load(weights), ones))
      b = i32x4.add(b, i32x4.dot_i16x8_s(v128.load(weights, 16), ones))
      weights += 32
    }
    v128.store(bias, i32x4.sub(v128.load(bias), i32x4.mul(a, factor)))
    v128.store(bias, i32x4.sub(v128.load(bias, 16), i32x4.mul(b, factor)), 16)
    bias += 32
    weights += skip
  }
}

/** Eight channels of two taps, interleaved. */
// @ts-ignore: decorator
@inline
function tapPair(to: usize, a: v128, b: v128): void {
  v128.store(to, v128.shuffle<i16>(a, b, 0, 8, 1, 9, 2, 10, 3, 11))
  v128.store(to, v128.shuffle<i16>(a, b, 4, 12, 5, 13, 6, 14, 7, 15), 16)
}

/** [9][channels] int8 (after xor with `flip`) minus `zero` to depthwise 3x3 order; channels >= 8. */
export function pack_depthwise3x3(to: usize, from: usize, channels: i32, zero: i32, flip: i32): void {
  if (!ASC_FEATURE_SIMD) return
  const flips = i8x16.splat(<i8>flip)
  const zeros = i16x8.splat(<i16>zero)
  const all = i64x2.splat(-1)
  const none = i64x2.splat(0)
  const n: usize = channels
  for (let c = 0; c < channels; c += 8) {
    let q = from + min(c, channels - 8)
    const a = weights8(q, flips, zeros, all)
    const b = weights8(q + n, flips, zeros, all)
    const d = weights8(q + 2 * n, flips, zeros, all)
    q += 3 * n
    tapPair(to, a, weights8(q, flips, zeros, all))
    tapPair(to + 32, b, weights8(q + n, flips, zeros, all))
    tapPair(to + 64, d, weights8(q + 2 * n, flips, zeros, all))
    q += 3 * n
    const x = weights8(q, flips, zeros, all)
    const y = weights8(q + n, flips, zeros, all)
    const z = weights8(q + 2 * n, flips, zeros, all)
    tapPair(to + 96, x, y)
    tapPair(to + 128, z, none)
    tapPair(to + 160, none, x)
    tapPair(to + 192, y, z)
    to += 224
  }
}

/** bias[c] -= inputZero * Σ (w - weightZero), for rows of k int8. */
export function fold_rows(bias: usize, weights: usize, rows: i32, k: i32, weightZero: i32, inputZero: i32): void {
  for (let c = 0; c < rows; c++) {
    store<i32>(bias, load<i32>(bias) - inputZero * (sumRow(weights, k) - k * weightZero))
    weights += k
    bias += 4
  }
}

/** Σ p[i] over k int8. */
function sumRow(p: usize, k: i32): i32 {
  let total = 0
  let i = 0
  if (ASC_FEATURE_SIMD) {
    let acc = i32x4.splat(0)
    for (; i + 16 <= k; i += 16) {
      acc = i32x4.add(acc, i32x4.extadd_pairwise_i16x8_s(i16x8.extadd_pairwise_i8x16_s(v128.load(p + i))))
    }
    total =
      i32x4.extract_lane(acc, 0) + i32x4.extract_lane(acc, 1) + i32x4.extract_lane(acc, 2) + i32x4.extract_lane(acc, 3)
  }
  for (; i < k; i++) total += load<i8>(p + i)
  return total
}

/** Moves n bytes between uint8 and int8. */
export function flip_bytes(p: usize, n: i32): void {
  let i = 0
  if (ASC_FEATURE_SIMD) {
    for (; i + 16 <= n; i += 16) v128.store(p + i, v128.xor(v128.load(p + i), i8x16.splat(<i8>0x80)))
  }
  for (; i < n; i++) store<u8>(p + i, load<u8>(p + i) ^ 0x80)
}

/** n i16 plus `add`, which are int8 values, to i8. Reads 0..30 and writes 0..15 bytes past the end. */
export function narrow_bytes(to: usize, from: usize, n: i32, add: i32): void {
  if (!ASC_FEATURE_SIMD) return
  const adds = i16x8.splat(<i16>add)
  for (let i = 0; i < n; i += 16) {
    v128.store(to + i, i8x16.narrow_i16x8_s(i16x8.add(v128.load(from), adds), i16x8.add(v128.load(from, 16), adds)))
    from += 32
  }
}

/** Four int8 at `p`, of which only the first n count, after xor with `flip`. */
// @ts-ignore: decorator
@inline
function weights4(p: usize, n: usize, flips: u32): u32 {
  return n >= 4 ? load<u32>(p) ^ flips : (load<u32>(p) ^ flips) & (((<u32>1) << ((<u32>n) << 3)) - 1)
}

/**
 * GEMM 4x16c4: `rows` rows of k int8 (after xor with `flip`), 16 to a panel, to [panel][K/4][16][4] int8, zeros
 * where the last panel lacks rows. Reads 0..3 bytes past the end.
 */
export function pack_gemm_4x16c4(to: usize, from: usize, rows: i32, k: usize, flip: i32): void {
  const flips = <u32>flip * 0x01010101
  const panelBytes = ((k + 3) & ~3) << 4
  memory.fill(to, 0, <usize>((rows + 15) >> 4) * panelBytes)
  for (let r = 0; r < rows; r++) {
    let out = to + <usize>(r >> 4) * panelBytes + ((<usize>(r & 15)) << 2)
    for (let i: usize = 0; i < k; i += 4) {
      store<u32>(out, weights4(from + i, k - i, flips))
      out += 64
    }
    from += k
  }
}

/**
 * GEMM 4x8c4: `rows` rows of k int8 (after xor with `flip`), a multiple of 8 or less than 8, to [panel][K/4][8][4]
 * int8, k in segments that are padded to four with zeros. Reads 0..3 bytes past the end.
 */
export function pack_gemm_4x8c4(to: usize, from: usize, rows: i32, k: usize, segment: usize, flip: i32): void {
  if (!segment) return
  const flips = <u32>flip * 0x01010101
  const panelBytes = (k / segment) * (((segment + 3) & ~3) << 3)
  if (rows & 7) memory.fill(to, 0, panelBytes)
  for (let r = 0; r < rows; r++) {
    let out = to + <usize>(r >> 3) * panelBytes + ((<usize>(r & 7)) << 2)
    for (let s: usize = 0; s < k; s += segment) {
      for (let i: usize = 0; i < segment; i += 4) {
        store<u32>(out, weights4(from + i, segment - i, flips))
        out += 32
      }
      from += segment
    }
  }
}

/** GEMM 3x8c8: the same, 8 to a panel, to [panel][K/8][64] int8. */
export function pack_gemm_3x8c8(to: usize, from: usize, rows: i32, k: usize, flip: i32): void {
  const flips = <u32>flip * 0x01010101
  const panelBytes = ((k + 7) & ~7) << 3
  memory.fill(to, 0, <usize>((rows + 7) >> 3) * panelBytes)
  for (let r = 0; r < rows; r++) {
    const lane = r & 3
    const other: usize = (4 + (lane ^ 1)) << 1
    const own: usize = lane << 1
    const low = lane & 1 ? other : own
    const high = lane & 1 ? own : other
    let out = to + <usize>(r >> 3) * panelBytes + ((<usize>((r >> 2) & 1)) << 5)
    for (let i: usize = 0; i < k; i += 4) {
      const four = weights4(from + i, k - i, flips)
      store<u16>(out + low, <u16>four)
      store<u16>(out + high, <u16>(four >> 16))
      out += i & 4 ? 48 : 16
    }
    from += k
  }
}

/** Up to four pairs of i16, `step` bytes apart. */
// @ts-ignore: decorator
@inline
function storePairs(to: usize, v: v128, step: usize, pairs: i32): void {
  v128.store32_lane(to, v, 0)
  if (pairs > 1) v128.store32_lane(to + step, v, 1)
  if (pairs > 2) v128.store32_lane(to + 2 * step, v, 2)
  if (pairs > 3) v128.store32_lane(to + 3 * step, v, 3)
}

/** The terms of G' in kernels/winograd.ts of three of a filter. */
// @ts-ignore: decorator
@inline
function term0(a: v128): v128 {
  return i16x8.mul(a, i16x8.splat(6))
}
// @ts-ignore: decorator
@inline
function term1(a: v128, b: v128, c: v128): v128 {
  return i16x8.shl(i16x8.add(i16x8.add(a, b), c), 1)
}
// @ts-ignore: decorator
@inline
function term2(a: v128, b: v128, c: v128): v128 {
  return i16x8.shl(i16x8.add(i16x8.sub(a, b), c), 1)
}
// @ts-ignore: decorator
@inline
function term3(a: v128, b: v128, c: v128): v128 {
  return i16x8.add(i16x8.add(a, i16x8.shl(b, 1)), i16x8.shl(c, 2))
}
// @ts-ignore: decorator
@inline
function term4(a: v128, b: v128, c: v128): v128 {
  return i16x8.add(i16x8.sub(a, i16x8.shl(b, 1)), i16x8.shl(c, 2))
}

/** One row of a filter that is transformed downwards, to its six positions. */
function winogradRow(to: usize, a: v128, b: v128, c: v128, step: usize, pairs: i32, position: usize): void {
  storePairs(to, term0(a), step, pairs)
  storePairs(to + position, term1(a, b, c), step, pairs)
  storePairs(to + 2 * position, term2(a, b, c), step, pairs)
  storePairs(to + 3 * position, term3(a, b, c), step, pairs)
  storePairs(to + 4 * position, term4(a, b, c), step, pairs)
  storePairs(to + 5 * position, term0(c), step, pairs)
}

/**
 * Winograd: `rows` filters [3][3][channels] int8 (after xor with `flip`) minus `zero`, `nr` to a panel, transformed to
 * [panel][36 positions][pairs][nr][2] i16. Reads 0..7 bytes past the end.
 */
export function pack_winograd(to: usize, from: usize, rows: i32, channels: i32, nr: i32, zero: i32, flip: i32): void {
  if (!ASC_FEATURE_SIMD || ASC_FEATURE_RELAXED_SIMD) return
  const flips = i8x16.splat(<i8>flip)
  const zeros = i16x8.splat(<i16>zero)
  const pairs = max(2, (channels + 1) >> 1)
  const step: usize = nr << 2
  const position = <usize>pairs * step
  const row = position * 6
  const n: usize = channels
  if (channels <= 2) memory.fill(to, 0, <usize>(rows / nr) * 6 * row)
  for (let o = 0; o < rows; o++) {
    let out = to + <usize>(o / nr) * 6 * row + ((<usize>(o % nr)) << 2)
    for (let c = 0; c < channels; c += 8) {
      const mask = firstLanes(channels - c)
      const q = from + c
      const g0 = weights8(q, flips, zeros, mask)
      const g1 = weights8(q + n, flips, zeros, mask)
      const g2 = weights8(q + 2 * n, flips, zeros, mask)
      const g3 = weights8(q + 3 * n, flips, zeros, mask)
      const g4 = weights8(q + 4 * n, flips, zeros, mask)
      const g5 = weights8(q + 5 * n, flips, zeros, mask)
      const g6 = weights8(q + 6 * n, flips, zeros, mask)
      const g7 = weights8(q + 7 * n, flips, zeros, mask)
      const g8 = weights8(q + 8 * n, flips, zeros, mask)
      const some = min(4, pairs - (c >> 1))
      winogradRow(out, term0(g0), term0(g1), term0(g2), step, some, position)
      winogradRow(out + row, term1(g0, g3, g6), term1(g1, g4, g7), term1(g2, g5, g8), step, some, position)
      winogradRow(out + 2 * row, term2(g0, g3, g6), term2(g1, g4, g7), term2(g2, g5, g8), step, some, position)
      winogradRow(out + 3 * row, term3(g0, g3, g6), term3(g1, g4, g7), term3(g2, g5, g8), step, some, position)
      winogradRow(out + 4 * row, term4(g0, g3, g6), term4(g1, g4, g7), term4(g2, g5, g8), step, some, position)
      winogradRow(out + 5 * row, term0(g6), term0(g7), term0(g8), step, some, position)
      out += step << 2
    }
    from += 9 * n
  }
}

/** One row of a filter that was combined downwards, to its five positions: where the first, third and fourth are. */
function polyphaseRow(
  to: usize,
  a: v128,
  b: v128,
  c: v128,
  step: usize,
  pairs: i32,
  position: usize,
  first: usize,
  third: usize,
  fourth: usize,
): void {
  storePairs(to + first * position, a, step, pairs)
  storePairs(to + (first + 1) * position, b, step, pairs)
  storePairs(to + third * position, i16x8.add(a, c), step, pairs)
  storePairs(to + fourth * position, b, step, pairs)
  storePairs(to + (fourth + 1) * position, c, step, pairs)
}

/**
 * Convolution 3x3 with stride 2: `rows` filters [3][3][channels] int8 (after xor with `flip`) minus `zero`, `nr` to a
 * panel, to [panel][25 positions][pairs][nr][2] i16 in the order of kernels/polyphase.ts. Reads 0..7 bytes past the
 * end.
 */
export function pack_polyphase(to: usize, from: usize, rows: i32, channels: i32, nr: i32, zero: i32, flip: i32): void {
  if (!ASC_FEATURE_SIMD || ASC_FEATURE_RELAXED_SIMD) return
  const flips = i8x16.splat(<i8>flip)
  const zeros = i16x8.splat(<i16>zero)
  const pairs = max(4, (channels + 1) >> 1)
  const step: usize = nr << 2
  const position = <usize>pairs * step
  const n: usize = channels
  if (channels <= 6) memory.fill(to, 0, <usize>(rows / nr) * 25 * position)
  for (let o = 0; o < rows; o++) {
    let out = to + <usize>(o / nr) * 25 * position + ((<usize>(o % nr)) << 2)
    for (let c = 0; c < channels; c += 8) {
      const mask = firstLanes(channels - c)
      const q = from + c
      const g0 = weights8(q, flips, zeros, mask)
      const g1 = weights8(q + n, flips, zeros, mask)
      const g2 = weights8(q + 2 * n, flips, zeros, mask)
      const g3 = weights8(q + 3 * n, flips, zeros, mask)
      const g4 = weights8(q + 4 * n, flips, zeros, mask)
      const g5 = weights8(q + 5 * n, flips, zeros, mask)
      const g6 = weights8(q + 6 * n, flips, zeros, mask)
      const g7 = weights8(q + 7 * n, flips, zeros, mask)
      const g8 = weights8(q + 8 * n, flips, zeros, mask)
      const some = min(4, pairs - (c >> 1))
      polyphaseRow(out, g0, g1, g2, step, some, position, 0, 4, 6)
      polyphaseRow(out, g3, g4, g5, step, some, position, 2, 5, 8)
      polyphaseRow(out, i16x8.add(g0, g6), i16x8.add(g1, g7), i16x8.add(g2, g8), step, some, position, 10, 12, 13)
      polyphaseRow(out, g3, g4, g5, step, some, position, 15, 19, 21)
      polyphaseRow(out, g6, g7, g8, step, some, position, 17, 20, 23)
      out += step << 2
    }
    from += 9 * n
  }
}

/**
 * Fully connected: rows of k int8 (after xor with `flip`) to [rows/4][K/16][4][16] int8, K padded with zeros. `rows`: a
 * multiple of four, or one row, whose first 16 bytes go to `to`.
 */
export function pack_rows4(to: usize, from: usize, rows: i32, k: i32, flip: i32): void {
  if (!ASC_FEATURE_SIMD) return
  const flips = i8x16.splat(<i8>flip)
  const n: usize = k
  const whole = n & ~15
  const four = rows > 1
  for (; rows > 0; rows -= 4) {
    let p = from
    for (const end = from + whole; p < end; p += 16) {
      v128.store(to, v128.xor(v128.load(p), flips))
      if (four) {
        v128.store(to, v128.xor(v128.load(p + n), flips), 16)
        v128.store(to, v128.xor(v128.load(p + 2 * n), flips), 32)
        v128.store(to, v128.xor(v128.load(p + 3 * n), flips), 48)
      }
      to += 64
    }
    if (k & 15) {
      for (let j = min(rows, 4); j; j--, p += n) {
        for (let i: usize = 0; i < 16; i++) store<u8>(to++, whole + i < n ? load<u8>(p + i) ^ (<u8>flip) : 0)
      }
    }
    from += n << 2
  }
}

/**
 * Depthwise in int8: [taps][channels] int8 (after xor with `flip`) to [block of 8 channels][vector][8][bytes]. `table`:
 * the tap of each byte of each vector, int8, negative for zero; channels >= 8.
 */
export function pack_taps(
  to: usize,
  from: usize,
  channels: i32,
  vectors: i32,
  bytes: i32,
  table: usize,
  flip: i32,
): void {
  for (let c = 0; c < channels; c += 8) {
    const start = from + <usize>min(c, channels - 8)
    for (let v = 0; v < vectors; v++) {
      for (let j: usize = 0; j < 8; j++) {
        for (let i = 0; i < bytes; i++) {
          const tap: i32 = load<i8>(table + <usize>(v * bytes + i))
          store<i8>(to++, tap < 0 ? 0 : <i8>(load<u8>(start + <usize>(tap * channels) + j) ^ flip))
        }
      }
    }
  }
}

/**
 * Depthwise in pairs of i16: the same minus `zero` to [block of `width` channels][pair][width][2]; channels >= width.
 * `table`: two taps a pair.
 */
export function pack_pairs(
  to: usize,
  from: usize,
  channels: i32,
  width: i32,
  pairs: i32,
  table: usize,
  zero: i32,
  flip: i32,
): void {
  for (let c = 0; c < channels; c += width) {
    const start = from + <usize>min(c, channels - width)
    for (let v = 0; v < pairs; v++) {
      const a = <i32>load<i8>(table + <usize>(2 * v))
      const b = <i32>load<i8>(table + <usize>(2 * v + 1))
      for (let j: usize = 0; j < <usize>width; j++) {
        store<i16>(to, a < 0 ? 0 : <i16>(<i32>(<i8>(load<u8>(start + <usize>(a * channels) + j) ^ flip)) - zero))
        store<i16>(to, b < 0 ? 0 : <i16>(<i32>(<i8>(load<u8>(start + <usize>(b * channels) + j) ^ flip)) - zero), 2)
        to += 4
      }
    }
  }
}

/**
 * bias[c] -= inputZero * Σ (w - weightZero) over the taps, for [taps][channels] int8 (after xor with `flip`); bias in
 * panels of `width` <= channels.
 */
export function fold_taps(
  bias: usize,
  weights: usize,
  channels: i32,
  width: i32,
  taps: i32,
  weightZero: i32,
  flip: i32,
  inputZero: i32,
): void {
  for (let c = 0; c < channels; c += width) {
    let w = weights + <usize>min(c, channels - width)
    for (let j = 0; j < width; j++) {
      let sum = -taps * weightZero
      for (let t = 0; t < taps; t++) sum += <i32>(<i8>(load<u8>(w + <usize>(t * channels)) ^ flip))
      store<i32>(bias, load<i32>(bias) - inputZero * sum)
      bias += 4
      w++
    }
  }
}

/**
 * n f32 scales of weights to requantization scales, `requantScale` of src/arithmetic/numerics.ts; input and output
 * scale by their bits. Writes up to the next multiple of 16 bytes.
 */
export function requantize_scales(at: usize, n: i32, inputBits: i32, outputBits: i32): void {
  const input = reinterpret<f32>(inputBits)
  const output = reinterpret<f32>(outputBits)
  const end = at + ((<usize>n) << 2)
  if (ASC_FEATURE_SIMD) {
    const inputs = f32x4.splat(input)
    const outputs = f32x4.splat(output)
    for (; at < end; at += 16) v128.store(at, f32x4.div(f32x4.mul(v128.load(at), inputs), outputs))
    return
  }
  for (; at < end; at += 4) store<f32>(at, (load<f32>(at) * input) / output)
}
