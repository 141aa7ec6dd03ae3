/**
 * Inverse DCT of one block: 8x8 samples with libjpeg's default method (islow), or 4x4, 2x2 or 1 with its reduced ones.
 * Shapes: block i16 [8][8] in natural order, quant i16 [8][8]; out rows `stride` bytes apart.
 * Out of range as the x86 code of libjpeg-turbo: products and sums of inputs wrap at 16 bits, results of a pass are
 * clamped to 16 bits. Valid files come nowhere near.
 * Source: Loeffler, Ligtenberg, Moschytz (ICASSP 1989) with 13-bit constants and 2 extra bits between the passes, as in
 * libjpeg's jidctint.c and jidctred.c.
 */

const workspace = memory.data(64 * 4, 16)


@inline function sample(v: i32): i32 {
  return max(min(v, 127), -128) + 128
}


@inline function clamp16(v: i32): i32 {
  return max(min(v, 32767), -32768)
}


@inline function product(block: usize, quant: usize, index: i32): i32 {
  const at = (<usize>index) << 1
  return <i32>(<i16>(<i32>load<i16>(block + at) * <i32>load<i16>(quant + at)))
}

/**
 * `reach`: zigzag position behind the last coefficient that is not zero (1: at most the DC; any larger number will do).
 */
export function inverseDct(block: usize, quant: usize, reach: i32, size: i32, out: usize, stride: usize): void {
  if (reach <= 1 || size == 1) flat(product(block, quant, 0), size, out, stride)
  else if (size == 8) {
    if (ASC_FEATURE_SIMD) wide8(block, quant, reach, out, stride)
    else plain8(block, quant, out, stride)
  } else if (size == 4) idct4(block, quant, out, stride)
  else idct2(block, quant, out, stride)
}

/** A block of one value. */
function flat(dc: i32, size: i32, out: usize, stride: usize): void {
  const v = size == 1 ? (dc + 4) >> 3 : (<i32>(<i16>(dc << 2)) + 16) >> 5
  const samples = <u64>sample(v) * 0x0101010101010101
  if (size == 8) for (let y = 0; y < 8; y++, out += stride) store<u64>(out, samples)
  else if (size == 4) for (let y = 0; y < 4; y++, out += stride) store<u32>(out, <u32>samples)
  else if (size == 2) {
    store<u16>(out, <u16>samples)
    store<u16>(out + stride, <u16>samples)
  } else store<u8>(out, <u8>samples)
}

// One pass of the 8-point transform over eight lanes, in: in0 ... in7, out: out0 ... out7. Globals are slow to write in
// most engines, so the first pass of few rows is spelled out by the inlined helpers below.

@inline function pairs(a: v128, b: v128, high: bool): v128 {
  return high ? v128.shuffle<u16>(a, b, 4, 12, 5, 13, 6, 14, 7, 15) : v128.shuffle<u16>(a, b, 0, 8, 1, 9, 2, 10, 3, 11)
}


@inline function constants(a: i16, b: i16): v128 {
  return v128.splat<i32>(((<i32>a) & 0xffff) | ((<i32>b) << 16))
}


@inline function descale(low: v128, high: v128, shift: i32): v128 {
  return i16x8.narrow_i32x4_s(i32x4.shr_s(low, shift), i32x4.shr_s(high, shift))
}

/** Eight vectors of a pass. */
const lanes = memory.data(8 * 16, 16)


@inline function setLane(i: i32, v: v128): void {
  v128.store(lanes + ((<usize>i) << 4), v)
}


@inline function lane(i: i32): v128 {
  return v128.load(lanes + ((<usize>i) << 4))
}

/** Results go to `lanes`. `half`: in4 to in7 are zero. */
@inline function pass(
  in0: v128,
  in1: v128,
  in2: v128,
  in3: v128,
  in4: v128,
  in5: v128,
  in6: v128,
  in7: v128,
  half: bool,
  shift: i32,
): void {
  const round = v128.splat<i32>(1 << (shift - 1))
  // Even part.
  const s26l = half ? pairs(in2, i16x8.splat(0), false) : pairs(in2, in6, false)
  const s26h = half ? pairs(in2, i16x8.splat(0), true) : pairs(in2, in6, true)
  const k3 = constants(10703, 4433)
  const k2 = constants(4433, -10704)
  const e3l = i32x4.dot_i16x8_s(s26l, k3)
  const e3h = i32x4.dot_i16x8_s(s26h, k3)
  const e2l = i32x4.dot_i16x8_s(s26l, k2)
  const e2h = i32x4.dot_i16x8_s(s26h, k2)
  const sum = half ? in0 : i16x8.add(in0, in4)
  const difference = half ? in0 : i16x8.sub(in0, in4)
  const e0l = i32x4.add(i32x4.shl(i32x4.extend_low_i16x8_s(sum), 13), round)
  const e0h = i32x4.add(i32x4.shl(i32x4.extend_high_i16x8_s(sum), 13), round)
  const e1l = half ? e0l : i32x4.add(i32x4.shl(i32x4.extend_low_i16x8_s(difference), 13), round)
  const e1h = half ? e0h : i32x4.add(i32x4.shl(i32x4.extend_high_i16x8_s(difference), 13), round)
  const t0l = i32x4.add(e0l, e3l)
  const t0h = i32x4.add(e0h, e3h)
  const t3l = i32x4.sub(e0l, e3l)
  const t3h = i32x4.sub(e0h, e3h)
  const t1l = i32x4.add(e1l, e2l)
  const t1h = i32x4.add(e1h, e2h)
  const t2l = i32x4.sub(e1l, e2l)
  const t2h = i32x4.sub(e1h, e2h)
  // Odd part.
  const z3 = half ? in3 : i16x8.add(in7, in3)
  const z4 = half ? in1 : i16x8.add(in5, in1)
  const zl = pairs(z3, z4, false)
  const zh = pairs(z3, z4, true)
  const kz3 = constants(-6436, 9633)
  const kz4 = constants(9633, 6437)
  const z3l = i32x4.dot_i16x8_s(zl, kz3)
  const z3h = i32x4.dot_i16x8_s(zh, kz3)
  const z4l = i32x4.dot_i16x8_s(zl, kz4)
  const z4h = i32x4.dot_i16x8_s(zh, kz4)
  const s71l = half ? pairs(i16x8.splat(0), in1, false) : pairs(in7, in1, false)
  const s71h = half ? pairs(i16x8.splat(0), in1, true) : pairs(in7, in1, true)
  const s53l = half ? pairs(i16x8.splat(0), in3, false) : pairs(in5, in3, false)
  const s53h = half ? pairs(i16x8.splat(0), in3, true) : pairs(in5, in3, true)
  const k0 = constants(-4927, -7373)
  const k1 = constants(-7373, 4926)
  const k4 = constants(-4176, -20995)
  const k5 = constants(-20995, 4177)
  const o0l = i32x4.add(i32x4.dot_i16x8_s(s71l, k0), z3l)
  const o0h = i32x4.add(i32x4.dot_i16x8_s(s71h, k0), z3h)
  setLane(3, descale(i32x4.add(t3l, o0l), i32x4.add(t3h, o0h), shift))
  setLane(4, descale(i32x4.sub(t3l, o0l), i32x4.sub(t3h, o0h), shift))
  const o1l = i32x4.add(i32x4.dot_i16x8_s(s53l, k4), z4l)
  const o1h = i32x4.add(i32x4.dot_i16x8_s(s53h, k4), z4h)
  setLane(2, descale(i32x4.add(t2l, o1l), i32x4.add(t2h, o1h), shift))
  setLane(5, descale(i32x4.sub(t2l, o1l), i32x4.sub(t2h, o1h), shift))
  const o2l = i32x4.add(i32x4.dot_i16x8_s(s53l, k5), z3l)
  const o2h = i32x4.add(i32x4.dot_i16x8_s(s53h, k5), z3h)
  setLane(1, descale(i32x4.add(t1l, o2l), i32x4.add(t1h, o2h), shift))
  setLane(6, descale(i32x4.sub(t1l, o2l), i32x4.sub(t1h, o2h), shift))
  const o3l = i32x4.add(i32x4.dot_i16x8_s(s71l, k1), z4l)
  const o3h = i32x4.add(i32x4.dot_i16x8_s(s71h, k1), z4h)
  setLane(0, descale(i32x4.add(t0l, o3l), i32x4.add(t0h, o3h), shift))
  setLane(7, descale(i32x4.sub(t0l, o3l), i32x4.sub(t0h, o3h), shift))
}


@inline function low32(a: v128, b: v128): v128 {
  return v128.shuffle<u32>(a, b, 0, 4, 1, 5)
}


@inline function high32(a: v128, b: v128): v128 {
  return v128.shuffle<u32>(a, b, 2, 6, 3, 7)
}


@inline function low64(a: v128, b: v128): v128 {
  return v128.shuffle<u64>(a, b, 0, 2)
}


@inline function high64(a: v128, b: v128): v128 {
  return v128.shuffle<u64>(a, b, 1, 3)
}


@inline function dequantized(block: usize, quant: usize, row: usize): v128 {
  return i16x8.mul(v128.load(block + (row << 4)), v128.load(quant + (row << 4)))
}

function wide8(block: usize, quant: usize, reach: i32, out: usize, stride: usize): void {
  const zero = i16x8.splat(0)
  const rest = v128.or(
    v128.or(v128.or(v128.load(block, 16), v128.load(block, 32)), v128.or(v128.load(block, 48), v128.load(block, 64))),
    v128.or(v128.or(v128.load(block, 80), v128.load(block, 96)), v128.load(block, 112)),
  )
  if (!v128.any_true(rest)) {
    // Columns of one value each.
    const w = i16x8.shl(dequantized(block, quant, 0), 2)
    const low = v128.shuffle<u16>(w, w, 0, 0, 1, 1, 2, 2, 3, 3)
    const high = v128.shuffle<u16>(w, w, 4, 4, 5, 5, 6, 6, 7, 7)
    secondPass(
      v128.shuffle<u32>(low, low, 0, 0, 0, 0),
      v128.shuffle<u32>(low, low, 1, 1, 1, 1),
      v128.shuffle<u32>(low, low, 2, 2, 2, 2),
      v128.shuffle<u32>(low, low, 3, 3, 3, 3),
      v128.shuffle<u32>(high, high, 0, 0, 0, 0),
      v128.shuffle<u32>(high, high, 1, 1, 1, 1),
      v128.shuffle<u32>(high, high, 2, 2, 2, 2),
      v128.shuffle<u32>(high, high, 3, 3, 3, 3),
      out,
      stride,
    )
    return
  }
  // The first ten coefficients in zigzag order lie in the first four rows.
  if (reach <= 10) {
    pass(
      dequantized(block, quant, 0),
      dequantized(block, quant, 1),
      dequantized(block, quant, 2),
      dequantized(block, quant, 3),
      zero,
      zero,
      zero,
      zero,
      true,
      11,
    )
  } else {
    wholePass(
      dequantized(block, quant, 0),
      dequantized(block, quant, 1),
      dequantized(block, quant, 2),
      dequantized(block, quant, 3),
      dequantized(block, quant, 4),
      dequantized(block, quant, 5),
      dequantized(block, quant, 6),
      dequantized(block, quant, 7),
      11,
    )
  }
  const a0 = pairs(lane(0), lane(1), false)
  const a1 = pairs(lane(0), lane(1), true)
  const a2 = pairs(lane(2), lane(3), false)
  const a3 = pairs(lane(2), lane(3), true)
  const a4 = pairs(lane(4), lane(5), false)
  const a5 = pairs(lane(4), lane(5), true)
  const a6 = pairs(lane(6), lane(7), false)
  const a7 = pairs(lane(6), lane(7), true)
  const b0 = low32(a0, a2)
  const b1 = high32(a0, a2)
  const b2 = low32(a1, a3)
  const b3 = high32(a1, a3)
  const b4 = low32(a4, a6)
  const b5 = high32(a4, a6)
  const b6 = low32(a5, a7)
  const b7 = high32(a5, a7)
  secondPass(
    low64(b0, b4),
    high64(b0, b4),
    low64(b1, b5),
    high64(b1, b5),
    low64(b2, b6),
    high64(b2, b6),
    low64(b3, b7),
    high64(b3, b7),
    out,
    stride,
  )
}

/** `pass` of eight rows or columns, of which there is one: called, it costs less than a copy more would weigh. */
function wholePass(
  in0: v128,
  in1: v128,
  in2: v128,
  in3: v128,
  in4: v128,
  in5: v128,
  in6: v128,
  in7: v128,
  shift: i32,
): void {
  pass(in0, in1, in2, in3, in4, in5, in6, in7, false, shift)
}

/** Rows, lanes being rows: to samples, turned back. */
function secondPass(
  in0: v128,
  in1: v128,
  in2: v128,
  in3: v128,
  in4: v128,
  in5: v128,
  in6: v128,
  in7: v128,
  out: usize,
  stride: usize,
): void {
  wholePass(in0, in1, in2, in3, in4, in5, in6, in7, 18)
  const centre = i8x16.splat(-128)
  // Bytes: column i's rows, then column i + 1's.
  const c01 = v128.xor(i8x16.narrow_i16x8_s(lane(0), lane(1)), centre)
  const c23 = v128.xor(i8x16.narrow_i16x8_s(lane(2), lane(3)), centre)
  const c45 = v128.xor(i8x16.narrow_i16x8_s(lane(4), lane(5)), centre)
  const c67 = v128.xor(i8x16.narrow_i16x8_s(lane(6), lane(7)), centre)
  const p01 = v128.shuffle<u8>(c01, c01, 0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15)
  const p23 = v128.shuffle<u8>(c23, c23, 0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15)
  const p45 = v128.shuffle<u8>(c45, c45, 0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15)
  const p67 = v128.shuffle<u8>(c67, c67, 0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15)
  const q0 = pairs(p01, p23, false)
  const q1 = pairs(p01, p23, true)
  const q2 = pairs(p45, p67, false)
  const q3 = pairs(p45, p67, true)
  const r0 = low32(q0, q2)
  const r1 = high32(q0, q2)
  const r2 = low32(q1, q3)
  const r3 = high32(q1, q3)
  v128.store_lane<u64>(out, r0, 0)
  v128.store_lane<u64>(out + stride, r0, 1)
  out += stride << 1
  v128.store_lane<u64>(out, r1, 0)
  v128.store_lane<u64>(out + stride, r1, 1)
  out += stride << 1
  v128.store_lane<u64>(out, r2, 0)
  v128.store_lane<u64>(out + stride, r2, 1)
  out += stride << 1
  v128.store_lane<u64>(out, r3, 0)
  v128.store_lane<u64>(out + stride, r3, 1)
}

/** The same without SIMD. */
function plain8(block: usize, quant: usize, out: usize, stride: usize): void {
  let rest: u64 = 0
  for (let at: usize = 16; at < 128; at += 8) rest |= load<u64>(block + at)
  for (let x = 0; x < 8; x++) {
    const ws = workspace + ((<usize>x) << 2)
    const b0 = product(block, quant, x)
    if (rest == 0) {
      for (let y: usize = 0; y < 8; y++) store<i32>(ws + (y << 5), <i32>(<i16>(b0 << 2)))
      continue
    }
    points8(
      b0,
      product(block, quant, x + 8),
      product(block, quant, x + 16),
      product(block, quant, x + 24),
      product(block, quant, x + 32),
      product(block, quant, x + 40),
      product(block, quant, x + 48),
      product(block, quant, x + 56),
      11,
      ws,
      32,
    )
  }
  for (let ws: usize = workspace, end = workspace + 256; ws < end; ws += 32, out += stride) {
    points8(
      load<i32>(ws),
      load<i32>(ws, 4),
      load<i32>(ws, 8),
      load<i32>(ws, 12),
      load<i32>(ws, 16),
      load<i32>(ws, 20),
      load<i32>(ws, 24),
      load<i32>(ws, 28),
      18,
      ws,
      4,
    )
    for (let x: usize = 0; x < 8; x++) store<u8>(out + x, sample(load<i32>(ws + (x << 2))))
  }
}


@inline function wrap16(v: i32): i32 {
  return <i32>(<i16>v)
}


@inline function points8(
  b0: i32,
  b1: i32,
  b2: i32,
  b3: i32,
  b4: i32,
  b5: i32,
  b6: i32,
  b7: i32,
  shift: i32,
  to: usize,
  step: usize,
): void {
  const e3 = b2 * 10703 + b6 * 4433
  const e2 = b2 * 4433 - b6 * 10704
  const e0 = (wrap16(b0 + b4) << 13) + (1 << (shift - 1))
  const e1 = (wrap16(b0 - b4) << 13) + (1 << (shift - 1))
  const s3 = wrap16(b7 + b3)
  const s4 = wrap16(b5 + b1)
  const z3 = s4 * 9633 - s3 * 6436
  const z4 = s3 * 9633 + s4 * 6437
  const o0 = z3 - b7 * 4927 - b1 * 7373
  const o1 = z4 - b5 * 4176 - b3 * 20995
  const o2 = z3 - b5 * 20995 + b3 * 4177
  const o3 = z4 - b7 * 7373 + b1 * 4926
  store<i32>(to, clamp16((e0 + e3 + o3) >> shift))
  store<i32>(to + 7 * step, clamp16((e0 + e3 - o3) >> shift))
  store<i32>(to + step, clamp16((e1 + e2 + o2) >> shift))
  store<i32>(to + 6 * step, clamp16((e1 + e2 - o2) >> shift))
  store<i32>(to + 2 * step, clamp16((e1 - e2 + o1) >> shift))
  store<i32>(to + 5 * step, clamp16((e1 - e2 - o1) >> shift))
  store<i32>(to + 3 * step, clamp16((e0 - e3 + o0) >> shift))
  store<i32>(to + 4 * step, clamp16((e0 - e3 - o0) >> shift))
}

/** 4x4: row and column 4 don't count. */
function idct4(block: usize, quant: usize, out: usize, stride: usize): void {
  // The other rows all zero: columns of one value each.
  let rest: u64 = 0
  for (let at: usize = 16; at < 128; at += 8) if (at < 64 || at >= 80) rest |= load<u64>(block + at)
  for (let x = 0; x < 8; x++) {
    if (x == 4) continue
    const ws = workspace + ((<usize>x) << 2)
    const b0 = product(block, quant, x)
    if (rest == 0) {
      for (let y: usize = 0; y < 4; y++) store<i32>(ws + (y << 5), <i32>(<i16>(b0 << 2)))
      continue
    }
    points4(
      b0,
      product(block, quant, x + 8),
      product(block, quant, x + 16),
      product(block, quant, x + 24),
      product(block, quant, x + 40),
      product(block, quant, x + 48),
      product(block, quant, x + 56),
      12,
      ws,
      32,
    )
  }
  for (let ws: usize = workspace, end = workspace + 128; ws < end; ws += 32, out += stride) {
    points4(
      load<i32>(ws),
      load<i32>(ws, 4),
      load<i32>(ws, 8),
      load<i32>(ws, 12),
      load<i32>(ws, 20),
      load<i32>(ws, 24),
      load<i32>(ws, 28),
      19,
      ws,
      4,
    )
    for (let x: usize = 0; x < 4; x++) store<u8>(out + x, sample(load<i32>(ws + (x << 2))))
  }
}


@inline function points4(
  b0: i32,
  b1: i32,
  b2: i32,
  b3: i32,
  b5: i32,
  b6: i32,
  b7: i32,
  shift: i32,
  to: usize,
  step: usize,
): void {
  const e0 = (b0 << 14) + (1 << (shift - 1))
  const e2 = b2 * 15137 - b6 * 6270
  const o0 = b5 * 11893 - b7 * 1730 + b1 * 8697 - b3 * 17799
  const o2 = b1 * 20995 + b3 * 7373 - b5 * 4926 - b7 * 4176
  store<i32>(to, clamp16((e0 + e2 + o2) >> shift))
  store<i32>(to + 3 * step, clamp16((e0 + e2 - o2) >> shift))
  store<i32>(to + step, clamp16((e0 - e2 + o0) >> shift))
  store<i32>(to + 2 * step, clamp16((e0 - e2 - o0) >> shift))
}

/** 2x2: the DC and the odd rows and columns. */
function idct2(block: usize, quant: usize, out: usize, stride: usize): void {
  for (let x = 0; x < 8; x++) {
    if (x == 2 || x == 4 || x == 6) continue
    const ws = workspace + ((<usize>x) << 2)
    points2(
      product(block, quant, x),
      product(block, quant, x + 8),
      product(block, quant, x + 24),
      product(block, quant, x + 40),
      product(block, quant, x + 56),
      13,
      ws,
      32,
    )
  }
  for (let ws: usize = workspace, end = workspace + 64; ws < end; ws += 32, out += stride) {
    points2(load<i32>(ws), load<i32>(ws, 4), load<i32>(ws, 12), load<i32>(ws, 20), load<i32>(ws, 28), 20, ws, 4)
    store<u8>(out, sample(load<i32>(ws)))
    store<u8>(out, sample(load<i32>(ws, 4)), 1)
  }
}


@inline function points2(b0: i32, b1: i32, b3: i32, b5: i32, b7: i32, shift: i32, to: usize, step: usize): void {
  const e = (b0 << 15) + (1 << (shift - 1))
  const o = b1 * 29692 - b3 * 10426 + b5 * 6967 - b7 * 5906
  store<i32>(to, (e + o) >> shift)
  store<i32>(to + step, (e - o) >> shift)
}
