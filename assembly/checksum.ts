/**
 * XXH32 over whole blocks of 16 bytes, for model files that are checked as they are loaded. Not part of packed modules.
 * src/formats/xxh32.ts begins and ends it and computes the same in JavaScript. Source: the XXH32 algorithm of xxHash.
 */

// @ts-ignore: decorator
@inline
function round(lane: u32, word: u32): u32 {
  return rotl<u32>(lane + word * 0x85ebca77, 13) * 0x9e3779b1
}

/** The four lanes at once. */
function blocksSimd(state: usize, p: usize, bytes: usize): void {
  const p1 = i32x4.splat(0x9e3779b1)
  const p2 = i32x4.splat(0x85ebca77)
  let lanes = v128.load(state)
  for (const end = p + bytes; p < end; p += 16) {
    lanes = i32x4.add(lanes, i32x4.mul(v128.load(p), p2))
    lanes = i32x4.mul(v128.or(i32x4.shl(lanes, 13), i32x4.shr_u(lanes, 19)), p1)
  }
  v128.store(state, lanes)
}

/** Takes `bytes`, a multiple of 16, at `p` into the four lanes at `state`. */
export function xxh32_blocks(state: usize, p: usize, bytes: usize): void {
  if (ASC_FEATURE_SIMD) return blocksSimd(state, p, bytes)
  let a = load<u32>(state)
  let b = load<u32>(state, 4)
  let c = load<u32>(state, 8)
  let d = load<u32>(state, 12)
  for (const end = p + bytes; p < end; p += 16) {
    a = round(a, load<u32>(p))
    b = round(b, load<u32>(p, 4))
    c = round(c, load<u32>(p, 8))
    d = round(d, load<u32>(p, 12))
  }
  store<u32>(state, a)
  store<u32>(state, b, 4)
  store<u32>(state, c, 8)
  store<u32>(state, d, 12)
}
