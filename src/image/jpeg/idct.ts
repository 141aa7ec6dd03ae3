/**
 * Inverse DCT in the integer arithmetic of libjpeg's default method (islow), to 8x8 samples and, for scaled decoding,
 * to 4x4, 2x2 and 1x1: the same bytes as libjpeg's and so Pillow's.
 * Shapes: block [8][8] dequantized coefficients in natural order, cleared afterwards; out rows of `stride` bytes.
 * Source: libjpeg-turbo's description of jidctint (Loeffler, Ligtenberg, Moschytz 1989, 12 multiplications) and
 * jidctred.
 * Columns and rows are spelled out: one function for both took 1.6 times as long (Node 20).
 */

/** Bits after the point of constants, and extra bits kept between the passes. */
const CONST_BITS = 13
const PASS1_BITS = 2

// Constants by their value, times 2^13.
const C0_211 = 1730
const C0_298 = 2446
const C0_390 = 3196
const C0_509 = 4176
const C0_541 = 4433
const C0_601 = 4926
const C0_720 = 5906
const C0_765 = 6270
const C0_850 = 6967
const C0_899 = 7373
const C1_061 = 8697
const C1_175 = 9633
const C1_272 = 10426
const C1_451 = 11893
const C1_501 = 12299
const C1_847 = 15137
const C1_961 = 16069
const C2_053 = 16819
const C2_172 = 17799
const C2_562 = 20995
const C3_072 = 25172
const C3_624 = 29692

const workspace = /* @__PURE__ */ new Int32Array(64)

/** To 0..255 around 128. */
const sample = (v: number): number => {
  const x = v + 128
  return x < 0 ? 0 : x > 255 ? 255 : x
}

export type Idct = (block: Int32Array, out: Uint8Array, at: number, stride: number) => void

/** The transform for a block size of 8, 4, 2 or 1 samples. */
export const idctOfSize = (size: number): Idct => (size === 8 ? idct8 : size === 4 ? idct4 : size === 2 ? idct2 : idct1)

function idct8(block: Int32Array, out: Uint8Array, at: number, stride: number): void {
  const ws = workspace
  for (let i = 0; i < 8; i++) {
    const b0 = block[i]!
    const b1 = block[i + 8]!
    const b2 = block[i + 16]!
    const b3 = block[i + 24]!
    const b4 = block[i + 32]!
    const b5 = block[i + 40]!
    const b6 = block[i + 48]!
    const b7 = block[i + 56]!
    if ((b1 | b2 | b3 | b4 | b5 | b6 | b7) === 0) {
      const dc = b0 << PASS1_BITS
      ws[i + 56] = dc
      ws[i + 48] = dc
      ws[i + 40] = dc
      ws[i + 32] = dc
      ws[i + 24] = dc
      ws[i + 16] = dc
      ws[i + 8] = dc
      ws[i] = dc
      continue
    }
    let z1 = Math.imul(b2 + b6, C0_541)
    const e2 = (z1 - Math.imul(b6, C1_847)) | 0
    const e3 = (z1 + Math.imul(b2, C0_765)) | 0
    const e0 = (b0 + b4) << CONST_BITS
    const e1 = (b0 - b4) << CONST_BITS
    const t10 = (e0 + e3) | 0
    const t13 = (e0 - e3) | 0
    const t11 = (e1 + e2) | 0
    const t12 = (e1 - e2) | 0
    z1 = -Math.imul(b7 + b1, C0_899)
    const z2 = -Math.imul(b5 + b3, C2_562)
    const z5 = Math.imul(b7 + b3 + b5 + b1, C1_175)
    const z3 = (z5 - Math.imul(b7 + b3, C1_961)) | 0
    const z4 = (z5 - Math.imul(b5 + b1, C0_390)) | 0
    const o0 = (Math.imul(b7, C0_298) + z1 + z3) | 0
    const o1 = (Math.imul(b5, C2_053) + z2 + z4) | 0
    const o2 = (Math.imul(b3, C3_072) + z2 + z3) | 0
    const o3 = (Math.imul(b1, C1_501) + z1 + z4) | 0
    const round = 1 << (CONST_BITS - PASS1_BITS - 1)
    const shift = CONST_BITS - PASS1_BITS
    ws[i] = (t10 + o3 + round) >> shift
    ws[i + 56] = (t10 - o3 + round) >> shift
    ws[i + 8] = (t11 + o2 + round) >> shift
    ws[i + 48] = (t11 - o2 + round) >> shift
    ws[i + 16] = (t12 + o1 + round) >> shift
    ws[i + 40] = (t12 - o1 + round) >> shift
    ws[i + 24] = (t13 + o0 + round) >> shift
    ws[i + 32] = (t13 - o0 + round) >> shift
  }
  block.fill(0)
  for (let i = 0, o = at; i < 64; i += 8, o += stride) {
    const b0 = ws[i]!
    const b1 = ws[i + 1]!
    const b2 = ws[i + 2]!
    const b3 = ws[i + 3]!
    const b4 = ws[i + 4]!
    const b5 = ws[i + 5]!
    const b6 = ws[i + 6]!
    const b7 = ws[i + 7]!
    let z1 = Math.imul(b2 + b6, C0_541)
    const e2 = (z1 - Math.imul(b6, C1_847)) | 0
    const e3 = (z1 + Math.imul(b2, C0_765)) | 0
    const e0 = (b0 + b4) << CONST_BITS
    const e1 = (b0 - b4) << CONST_BITS
    const t10 = (e0 + e3) | 0
    const t13 = (e0 - e3) | 0
    const t11 = (e1 + e2) | 0
    const t12 = (e1 - e2) | 0
    z1 = -Math.imul(b7 + b1, C0_899)
    const z2 = -Math.imul(b5 + b3, C2_562)
    const z5 = Math.imul(b7 + b3 + b5 + b1, C1_175)
    const z3 = (z5 - Math.imul(b7 + b3, C1_961)) | 0
    const z4 = (z5 - Math.imul(b5 + b1, C0_390)) | 0
    const o0 = (Math.imul(b7, C0_298) + z1 + z3) | 0
    const o1 = (Math.imul(b5, C2_053) + z2 + z4) | 0
    const o2 = (Math.imul(b3, C3_072) + z2 + z3) | 0
    const o3 = (Math.imul(b1, C1_501) + z1 + z4) | 0
    const round = 1 << (CONST_BITS + PASS1_BITS + 2)
    const shift = CONST_BITS + PASS1_BITS + 3
    out[o] = sample((t10 + o3 + round) >> shift)
    out[o + 7] = sample((t10 - o3 + round) >> shift)
    out[o + 1] = sample((t11 + o2 + round) >> shift)
    out[o + 6] = sample((t11 - o2 + round) >> shift)
    out[o + 2] = sample((t12 + o1 + round) >> shift)
    out[o + 5] = sample((t12 - o1 + round) >> shift)
    out[o + 3] = sample((t13 + o0 + round) >> shift)
    out[o + 4] = sample((t13 - o0 + round) >> shift)
  }
}

function idct4(block: Int32Array, out: Uint8Array, at: number, stride: number): void {
  const ws = workspace
  for (let i = 0; i < 8; i++) {
    // The second pass does not use column 4, nor the first row 4.
    if (i === 4) continue
    const e = block[i]! << (CONST_BITS + 1)
    const even = (Math.imul(block[i + 16]!, C1_847) - Math.imul(block[i + 48]!, C0_765)) | 0
    const z1 = block[i + 56]!
    const z2 = block[i + 40]!
    const z3 = block[i + 24]!
    const z4 = block[i + 8]!
    const o0 = (Math.imul(z2, C1_451) - Math.imul(z1, C0_211) - Math.imul(z3, C2_172) + Math.imul(z4, C1_061)) | 0
    const o2 = (Math.imul(z3, C0_899) - Math.imul(z1, C0_509) - Math.imul(z2, C0_601) + Math.imul(z4, C2_562)) | 0
    const round = 1 << (CONST_BITS - PASS1_BITS)
    const shift = CONST_BITS - PASS1_BITS + 1
    ws[i] = (e + even + o2 + round) >> shift
    ws[i + 24] = (e + even - o2 + round) >> shift
    ws[i + 8] = (e - even + o0 + round) >> shift
    ws[i + 16] = (e - even - o0 + round) >> shift
  }
  block.fill(0)
  for (let i = 0, o = at; i < 32; i += 8, o += stride) {
    const e = ws[i]! << (CONST_BITS + 1)
    const even = (Math.imul(ws[i + 2]!, C1_847) - Math.imul(ws[i + 6]!, C0_765)) | 0
    const z1 = ws[i + 7]!
    const z2 = ws[i + 5]!
    const z3 = ws[i + 3]!
    const z4 = ws[i + 1]!
    const o0 = (Math.imul(z2, C1_451) - Math.imul(z1, C0_211) - Math.imul(z3, C2_172) + Math.imul(z4, C1_061)) | 0
    const o2 = (Math.imul(z3, C0_899) - Math.imul(z1, C0_509) - Math.imul(z2, C0_601) + Math.imul(z4, C2_562)) | 0
    const round = 1 << (CONST_BITS + PASS1_BITS + 3)
    const shift = CONST_BITS + PASS1_BITS + 4
    out[o] = sample((e + even + o2 + round) >> shift)
    out[o + 3] = sample((e + even - o2 + round) >> shift)
    out[o + 1] = sample((e - even + o0 + round) >> shift)
    out[o + 2] = sample((e - even - o0 + round) >> shift)
  }
}

function idct2(block: Int32Array, out: Uint8Array, at: number, stride: number): void {
  const ws = workspace
  for (let i = 0; i < 8; i++) {
    // Only column 0 and the odd ones are used.
    if (i === 2 || i === 4 || i === 6) continue
    const e = block[i]! << (CONST_BITS + 2)
    const o =
      (Math.imul(block[i + 40]!, C0_850) -
        Math.imul(block[i + 56]!, C0_720) -
        Math.imul(block[i + 24]!, C1_272) +
        Math.imul(block[i + 8]!, C3_624)) |
      0
    const round = 1 << (CONST_BITS - PASS1_BITS + 1)
    const shift = CONST_BITS - PASS1_BITS + 2
    ws[i] = (e + o + round) >> shift
    ws[i + 8] = (e - o + round) >> shift
  }
  block.fill(0)
  for (let i = 0, a = at; i < 16; i += 8, a += stride) {
    const e = ws[i]! << (CONST_BITS + 2)
    const o =
      (Math.imul(ws[i + 5]!, C0_850) -
        Math.imul(ws[i + 7]!, C0_720) -
        Math.imul(ws[i + 3]!, C1_272) +
        Math.imul(ws[i + 1]!, C3_624)) |
      0
    const round = 1 << (CONST_BITS + PASS1_BITS + 4)
    const shift = CONST_BITS + PASS1_BITS + 5
    out[a] = sample((e + o + round) >> shift)
    out[a + 1] = sample((e - o + round) >> shift)
  }
}

function idct1(block: Int32Array, out: Uint8Array, at: number): void {
  out[at] = sample((block[0]! + 4) >> 3)
  block.fill(0)
}
