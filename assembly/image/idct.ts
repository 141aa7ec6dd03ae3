/**
 * Inverse DCT of one block to 8x8 samples, or to 4x4, 2x2 or 1 from its lowest frequencies alone.
 * 8x8 gives libjpeg's `islow` results bit for bit. Source: Loeffler, Ligtenberg, Moschytz (ICASSP 1989) with 13-bit
 * constants and 2 extra bits between the passes, as in libjpeg's jidctint.c. Smaller sizes: the N-point transform of
 * the same scale.
 */

const workspace = memory.data(64 * 4, 16)


@inline function put(at: usize, v: i32): void {
  store<u8>(at, (v & ~255) == 0 ? v : ~(v >> 31) & 255)
}


@inline function coefficient(block: usize, index: i32): i32 {
  return load<i32>(block + ((<usize>index) << 2))
}

/**
 * `block`: 64 dequantized coefficients in natural order, of which the lowest size x size are read. `dcOnly`: the others
 * are zero. Writes size x size samples at `out`, rows `stride` apart.
 */
export function inverseDct(block: usize, size: i32, dcOnly: bool, out: usize, stride: usize): void {
  if (dcOnly || size == 1) {
    const v = ((load<i32>(block) + 4) >> 3) + 128
    const sample = <u64>((v & ~255) == 0 ? v : ~(v >> 31) & 255) * 0x0101010101010101
    if (size == 8) for (let y = 0; y < 8; y++, out += stride) store<u64>(out, sample)
    else if (size == 4) for (let y = 0; y < 4; y++, out += stride) store<u32>(out, <u32>sample)
    else if (size == 2) {
      store<u16>(out, <u16>sample)
      store<u16>(out + stride, <u16>sample)
    } else store<u8>(out, <u8>sample)
  } else if (size == 8) idct8(block, out, stride)
  else if (size == 4) idct4(block, out, stride)
  else idct2(block, out, stride)
}

/** 2-point: c0 + c1 and c0 - c1. */
function idct2(b: usize, out: usize, stride: usize): void {
  const c0 = load<i32>(b) + 4
  const c8 = load<i32>(b, 32)
  const c1 = load<i32>(b, 4)
  const c9 = load<i32>(b, 36)
  put(out, ((c0 + c8 + c1 + c9) >> 3) + 128)
  put(out + 1, ((c0 + c8 - c1 - c9) >> 3) + 128)
  put(out + stride, ((c0 - c8 + c1 - c9) >> 3) + 128)
  put(out + stride + 1, ((c0 - c8 - c1 + c9) >> 3) + 128)
}

/** 4-point: even part c0 +- c2, odd part c1, c3 turned by pi/8, scaled by sqrt 2. */
function idct4(b: usize, out: usize, stride: usize): void {
  for (let x = 0; x < 4; x++) {
    const c0 = (coefficient(b, x) << 13) + 1024
    const c1 = coefficient(b, x + 8)
    const c2 = coefficient(b, x + 16) << 13
    const c3 = coefficient(b, x + 24)
    const odd0 = c1 * 10703 + c3 * 4433
    const odd1 = c1 * 4433 - c3 * 10703
    const ws = workspace + ((<usize>x) << 2)
    store<i32>(ws, (c0 + c2 + odd0) >> 11)
    store<i32>(ws, (c0 - c2 + odd1) >> 11, 16)
    store<i32>(ws, (c0 - c2 - odd1) >> 11, 32)
    store<i32>(ws, (c0 + c2 - odd0) >> 11, 48)
  }
  for (let ws: usize = workspace, end = workspace + 64; ws < end; ws += 16, out += stride) {
    const c0 = (load<i32>(ws) << 13) + 131072
    const c1 = load<i32>(ws, 4)
    const c2 = load<i32>(ws, 8) << 13
    const c3 = load<i32>(ws, 12)
    const odd0 = c1 * 10703 + c3 * 4433
    const odd1 = c1 * 4433 - c3 * 10703
    put(out, ((c0 + c2 + odd0) >> 18) + 128)
    put(out + 1, ((c0 - c2 + odd1) >> 18) + 128)
    put(out + 2, ((c0 - c2 - odd1) >> 18) + 128)
    put(out + 3, ((c0 + c2 - odd0) >> 18) + 128)
  }
}

function idct8(b: usize, out: usize, stride: usize): void {
  for (let x = 0; x < 8; x++, b += 4) {
    const ws = workspace + ((<usize>x) << 2)
    const b0 = load<i32>(b)
    const b1 = load<i32>(b, 32)
    const b2 = load<i32>(b, 64)
    const b3 = load<i32>(b, 96)
    const b4 = load<i32>(b, 128)
    const b5 = load<i32>(b, 160)
    const b6 = load<i32>(b, 192)
    const b7 = load<i32>(b, 224)
    if ((b1 | b2 | b3 | b4 | b5 | b6 | b7) == 0) {
      const v = b0 << 2
      store<i32>(ws, v)
      store<i32>(ws, v, 32)
      store<i32>(ws, v, 64)
      store<i32>(ws, v, 96)
      store<i32>(ws, v, 128)
      store<i32>(ws, v, 160)
      store<i32>(ws, v, 192)
      store<i32>(ws, v, 224)
      continue
    }
    const e1 = (b2 + b6) * 4433
    const e2 = e1 - b6 * 15137
    const e3 = e1 + b2 * 6270
    const e0 = ((b0 + b4) << 13) + 1024
    const e4 = ((b0 - b4) << 13) + 1024
    const z1 = (b7 + b1) * -7373
    const z2 = (b5 + b3) * -20995
    const z5 = (b7 + b3 + b5 + b1) * 9633
    const z3 = (b7 + b3) * -16069 + z5
    const z4 = (b5 + b1) * -3196 + z5
    const o0 = b7 * 2446 + z1 + z3
    const o1 = b5 * 16819 + z2 + z4
    const o2 = b3 * 25172 + z2 + z3
    const o3 = b1 * 12299 + z1 + z4
    store<i32>(ws, (e0 + e3 + o3) >> 11)
    store<i32>(ws, (e0 + e3 - o3) >> 11, 224)
    store<i32>(ws, (e4 + e2 + o2) >> 11, 32)
    store<i32>(ws, (e4 + e2 - o2) >> 11, 192)
    store<i32>(ws, (e4 - e2 + o1) >> 11, 64)
    store<i32>(ws, (e4 - e2 - o1) >> 11, 160)
    store<i32>(ws, (e0 - e3 + o0) >> 11, 96)
    store<i32>(ws, (e0 - e3 - o0) >> 11, 128)
  }
  for (let ws: usize = workspace, end = workspace + 256; ws < end; ws += 32, out += stride) {
    const b0 = load<i32>(ws)
    const b1 = load<i32>(ws, 4)
    const b2 = load<i32>(ws, 8)
    const b3 = load<i32>(ws, 12)
    const b4 = load<i32>(ws, 16)
    const b5 = load<i32>(ws, 20)
    const b6 = load<i32>(ws, 24)
    const b7 = load<i32>(ws, 28)
    const e1 = (b2 + b6) * 4433
    const e2 = e1 - b6 * 15137
    const e3 = e1 + b2 * 6270
    const e0 = ((b0 + b4) << 13) + 131072
    const e4 = ((b0 - b4) << 13) + 131072
    const z1 = (b7 + b1) * -7373
    const z2 = (b5 + b3) * -20995
    const z5 = (b7 + b3 + b5 + b1) * 9633
    const z3 = (b7 + b3) * -16069 + z5
    const z4 = (b5 + b1) * -3196 + z5
    const o0 = b7 * 2446 + z1 + z3
    const o1 = b5 * 16819 + z2 + z4
    const o2 = b3 * 25172 + z2 + z3
    const o3 = b1 * 12299 + z1 + z4
    put(out, ((e0 + e3 + o3) >> 18) + 128)
    put(out + 7, ((e0 + e3 - o3) >> 18) + 128)
    put(out + 1, ((e4 + e2 + o2) >> 18) + 128)
    put(out + 6, ((e4 + e2 - o2) >> 18) + 128)
    put(out + 2, ((e4 - e2 + o1) >> 18) + 128)
    put(out + 5, ((e4 - e2 - o1) >> 18) + 128)
    put(out + 3, ((e0 - e3 + o0) >> 18) + 128)
    put(out + 4, ((e0 - e3 - o0) >> 18) + 128)
  }
}
