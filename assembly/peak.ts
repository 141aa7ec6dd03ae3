/**
 * What the vector units can do at most, for tools/bench-kernels/peak.ts (LOOPS there: multiply-adds a turn): multiply
 * and add, `turns` times. Engines schedule and spill each loop in their own way, so there are several of a kind: on
 * registers alone, with more and with fewer accumulators, and the kernels' own tiles on a panel that stays in the first
 * cache. The best one counts. Each function's result depends on every accumulator.
 */

// @ts-ignore: decorator
@inline
function mac(c: v128, w: v128, relaxed: bool = false): v128 {
  if (ASC_FEATURE_RELAXED_SIMD && relaxed) return i32x4.relaxed_dot_i8x16_i7x16_add_s(w, c, c)
  return i32x4.add(c, i32x4.dot_i16x8_s(c, w))
}

// @ts-ignore: decorator
@inline
function ten(turns: i32, relaxed: bool): i32 {
  const w = v128.load(0)
  let a = v128.load(16)
  let b = v128.load(32)
  let c = v128.load(48)
  let d = v128.load(64)
  let e = v128.load(80)
  let f = v128.load(96)
  let g = v128.load(112)
  let h = v128.load(128)
  let i = v128.load(144)
  let j = v128.load(160)
  do {
    a = mac(a, w, relaxed)
    b = mac(b, w, relaxed)
    c = mac(c, w, relaxed)
    d = mac(d, w, relaxed)
    e = mac(e, w, relaxed)
    f = mac(f, w, relaxed)
    g = mac(g, w, relaxed)
    h = mac(h, w, relaxed)
    i = mac(i, w, relaxed)
    j = mac(j, w, relaxed)
  } while (--turns)
  const s = v128.xor(
    v128.xor(v128.xor(a, b), v128.xor(c, d)),
    v128.xor(v128.xor(e, f), v128.xor(v128.xor(g, h), v128.xor(i, j))),
  )
  return i32x4.extract_lane(s, 0)
}

// @ts-ignore: decorator
@inline
function eight(turns: i32, relaxed: bool): i32 {
  const w = v128.load(0)
  let a = v128.load(16)
  let b = v128.load(32)
  let c = v128.load(48)
  let d = v128.load(64)
  let e = v128.load(80)
  let f = v128.load(96)
  let g = v128.load(112)
  let h = v128.load(128)
  do {
    a = mac(a, w, relaxed)
    b = mac(b, w, relaxed)
    c = mac(c, w, relaxed)
    d = mac(d, w, relaxed)
    e = mac(e, w, relaxed)
    f = mac(f, w, relaxed)
    g = mac(g, w, relaxed)
    h = mac(h, w, relaxed)
  } while (--turns)
  const s = v128.xor(v128.xor(v128.xor(a, b), v128.xor(c, d)), v128.xor(v128.xor(e, f), v128.xor(g, h)))
  return i32x4.extract_lane(s, 0)
}

// @ts-ignore: decorator
@inline
function step(c: v128, x: v128, w: v128, relaxed: bool): v128 {
  if (ASC_FEATURE_RELAXED_SIMD && relaxed) return i32x4.relaxed_dot_i8x16_i7x16_add_s(w, x, c)
  return i32x4.add(c, i32x4.dot_i16x8_s(x, w))
}

/** Four pixels by two vectors, activations broadcast from memory, `STEPS` steps a turn. */
// @ts-ignore: decorator
@inline
function tile(turns: i32, relaxed: bool): i32 {
  do {
    let x: usize = 0
    let w: usize = 4096
    let c00 = i64x2.splat(0)
    let c01 = c00
    let c10 = c00
    let c11 = c00
    let c20 = c00
    let c21 = c00
    let c30 = c00
    let c31 = c00
    do {
      const w0 = v128.load(w)
      const w1 = v128.load(w, 16)
      const a0 = v128.load_splat<i32>(x)
      c00 = step(c00, a0, w0, relaxed)
      c01 = step(c01, a0, w1, relaxed)
      const a1 = v128.load_splat<i32>(x, 4)
      c10 = step(c10, a1, w0, relaxed)
      c11 = step(c11, a1, w1, relaxed)
      const a2 = v128.load_splat<i32>(x, 8)
      c20 = step(c20, a2, w0, relaxed)
      c21 = step(c21, a2, w1, relaxed)
      const a3 = v128.load_splat<i32>(x, 12)
      c30 = step(c30, a3, w0, relaxed)
      c31 = step(c31, a3, w1, relaxed)
      w += 32
      x += 16
    } while (x < STEPS * 16)
    // To memory, as kernels do: nothing else lives through the loop.
    v128.store(SUMS, c00)
    v128.store(SUMS, c01, 16)
    v128.store(SUMS, c10, 32)
    v128.store(SUMS, c11, 48)
    v128.store(SUMS, c20, 64)
    v128.store(SUMS, c21, 80)
    v128.store(SUMS, c30, 96)
    v128.store(SUMS, c31, 112)
  } while (--turns)
  return load<i32>(SUMS)
}

const STEPS: usize = 128
const SUMS: usize = 16384

/** Ten accumulators of 128 bits: 80 multiply-adds a turn. */
export function dotTen(turns: i32): i32 {
  return ten(turns, false)
}
/** Eight: 64. */
export function dotEight(turns: i32): i32 {
  return eight(turns, false)
}
/** A tile: 64 a step. */
export function dotTile(turns: i32): i32 {
  return tile(turns, false)
}

/** The same with relaxed dot products, where it is built with relaxed SIMD: twice as many multiply-adds. */
export function relaxedTen(turns: i32): i32 {
  return ten(turns, true)
}
export function relaxedEight(turns: i32): i32 {
  return eight(turns, true)
}
export function relaxedTile(turns: i32): i32 {
  return tile(turns, true)
}

// @ts-ignore: decorator
@inline
function joined(a: v128, b: v128, c: v128, d: v128): v128 {
  return i8x16.narrow_i16x8_s(i16x8.narrow_i32x4_s(a, c), i16x8.narrow_i32x4_s(b, d))
}

/**
 * Twenty, paired by the revectorizer to ten of 256 bits: 160 multiply-adds a turn. `at`: 0, not known to the compiler.
 */
export function wideTwenty(turns: i32, at: usize): i32 {
  const v = v128.load(at)
  const w = v128.load(at, 16)
  let a = v128.load(at, 32)
  let b = v128.load(at, 48)
  let c = v128.load(at, 64)
  let d = v128.load(at, 80)
  let e = v128.load(at, 96)
  let f = v128.load(at, 112)
  let g = v128.load(at, 128)
  let h = v128.load(at, 144)
  let i = v128.load(at, 160)
  let j = v128.load(at, 176)
  let k = v128.load(at, 192)
  let l = v128.load(at, 208)
  let m = v128.load(at, 224)
  let n = v128.load(at, 240)
  let o = v128.load(at, 256)
  let p = v128.load(at, 272)
  let q = v128.load(at, 288)
  let r = v128.load(at, 304)
  let s = v128.load(at, 320)
  let t = v128.load(at, 336)
  do {
    a = mac(a, v)
    b = mac(b, w)
    c = mac(c, v)
    d = mac(d, w)
    e = mac(e, v)
    f = mac(f, w)
    g = mac(g, v)
    h = mac(h, w)
    i = mac(i, v)
    j = mac(j, w)
    k = mac(k, v)
    l = mac(l, w)
    m = mac(m, v)
    n = mac(n, w)
    o = mac(o, v)
    p = mac(p, w)
    q = mac(q, v)
    r = mac(r, w)
    s = mac(s, v)
    t = mac(t, w)
  } while (--turns)
  const x = v128.xor(
    v128.xor(joined(a, b, c, d), joined(e, f, g, h)),
    v128.xor(joined(i, j, k, l), v128.xor(joined(m, n, o, p), joined(q, r, s, t))),
  )
  return i32x4.extract_lane(x, 0)
}

// @ts-ignore: decorator
@inline
function products(c: v128, x: v128, w: v128): v128 {
  return i32x4.add(
    c,
    i32x4.extadd_pairwise_i16x8_s(i16x8.add(i16x8.extmul_low_i8x16_s(x, w), i16x8.extmul_high_i8x16_s(x, w))),
  )
}

/**
 * Eight accumulators of products of int8 added in pairs in 16 bits, what arm64 kernels do: 128 multiply-adds a turn.
 */
export function productsEight(turns: i32): i32 {
  const w = v128.load(0)
  let a = v128.load(16)
  let b = v128.load(32)
  let c = v128.load(48)
  let d = v128.load(64)
  let e = v128.load(80)
  let f = v128.load(96)
  let g = v128.load(112)
  let h = v128.load(128)
  do {
    a = products(a, a, w)
    b = products(b, b, w)
    c = products(c, c, w)
    d = products(d, d, w)
    e = products(e, e, w)
    f = products(f, f, w)
    g = products(g, g, w)
    h = products(h, h, w)
  } while (--turns)
  return i32x4.extract_lane(
    v128.xor(v128.xor(v128.xor(a, b), v128.xor(c, d)), v128.xor(v128.xor(e, f), v128.xor(g, h))),
    0,
  )
}

/** The same with four: 64. */
export function productsFour(turns: i32): i32 {
  const w = v128.load(0)
  let a = v128.load(16)
  let b = v128.load(32)
  let c = v128.load(48)
  let d = v128.load(64)
  do {
    a = products(a, a, w)
    b = products(b, b, w)
    c = products(c, c, w)
    d = products(d, d, w)
  } while (--turns)
  return i32x4.extract_lane(v128.xor(v128.xor(a, b), v128.xor(c, d)), 0)
}

/** Four pixels by four vectors, paired to two of 256 bits: 128 a step. `at`: 0, not known to the compiler. */
export function wideTile(turns: i32, at: usize): i32 {
  let sum = i64x2.splat(0)
  do {
    let x: usize = at
    let w: usize = at + 4096
    const end = x + STEPS * 16
    const b0 = v128.load(at)
    const b1 = v128.load(at, 16)
    const b2 = v128.load(at, 32)
    const b3 = v128.load(at, 48)
    let c00 = b0
    let c01 = b1
    let c02 = b2
    let c03 = b3
    let c10 = b0
    let c11 = b1
    let c12 = b2
    let c13 = b3
    let c20 = b0
    let c21 = b1
    let c22 = b2
    let c23 = b3
    let c30 = b0
    let c31 = b1
    let c32 = b2
    let c33 = b3
    do {
      const w0 = v128.load(w)
      const w1 = v128.load(w, 16)
      const w2 = v128.load(w, 32)
      const w3 = v128.load(w, 48)
      const a0 = v128.load_splat<i32>(x)
      c00 = step(c00, a0, w0, false)
      c01 = step(c01, a0, w1, false)
      c02 = step(c02, a0, w2, false)
      c03 = step(c03, a0, w3, false)
      const a1 = v128.load_splat<i32>(x, 4)
      c10 = step(c10, a1, w0, false)
      c11 = step(c11, a1, w1, false)
      c12 = step(c12, a1, w2, false)
      c13 = step(c13, a1, w3, false)
      const a2 = v128.load_splat<i32>(x, 8)
      c20 = step(c20, a2, w0, false)
      c21 = step(c21, a2, w1, false)
      c22 = step(c22, a2, w2, false)
      c23 = step(c23, a2, w3, false)
      const a3 = v128.load_splat<i32>(x, 12)
      c30 = step(c30, a3, w0, false)
      c31 = step(c31, a3, w1, false)
      c32 = step(c32, a3, w2, false)
      c33 = step(c33, a3, w3, false)
      w += 64
      x += 16
    } while (x < end)
    sum = v128.xor(
      sum,
      v128.xor(
        v128.xor(joined(c00, c01, c02, c03), joined(c10, c11, c12, c13)),
        v128.xor(joined(c20, c21, c22, c23), joined(c30, c31, c32, c33)),
      ),
    )
  } while (--turns)
  return i32x4.extract_lane(sum, 0)
}
