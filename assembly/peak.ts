/**
 * What the vector units can do at most, for tools/bench-kernels/peak.ts (MACS there: multiply-adds a turn): multiply
 * and add on registers alone, `turns` times. Each function's result depends on every accumulator.
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

/** Ten accumulators of 128 bits: 80 multiply-adds a turn. */
export function dot128(turns: i32): i32 {
  return ten(turns, false)
}

/** The same with relaxed dot products, where it is built with relaxed SIMD: 160 multiply-adds a turn. */
export function relaxed128(turns: i32): i32 {
  return ten(turns, true)
}

// @ts-ignore: decorator
@inline
function joined(a: v128, b: v128, c: v128, d: v128): v128 {
  return i8x16.narrow_i16x8_s(i16x8.narrow_i32x4_s(a, c), i16x8.narrow_i32x4_s(b, d))
}

/**
 * Twenty, paired by the revectorizer to ten of 256 bits: 160 multiply-adds a turn. `at`: 0, not known to the compiler.
 */
export function dot256(turns: i32, at: usize): i32 {
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
export function products128(turns: i32): i32 {
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
