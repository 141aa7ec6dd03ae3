/**
 * Convolution of any kernel, stride, dilation and group as GEMM over patches: rows of four output pixels are packed to
 * a panel [K/2][4 pixels][2] i16 and multiplied with weights [N/8][K/2][8][2] i16 (microkernel 4x8, dot_i16x8).
 *
 * Shapes: input frame [inRows, W, C] NHWC i8; output [rows, outW, outC] i8. Bias and scale are in panel order, eight a
 * panel; when outC > 8 is no multiple of 8 the last panel covers channels outC-8..outC-1 again.
 * Requires: |acc * scale| <= 2^22. Reads past end: 0..15 bytes of input. Writes: exactly the output rows.
 * Source: numerics as XNNPACK's qs8-qc8w fp32 GEMM; tile study in the repository's ARCHITECTURE.md.
 */
import { ConvRecord } from '../layout'
import { requantize4 } from '../simd'
import { requantize } from '../requantize'
import { dot, sum } from '../scalar'

/** Address of input row `iy`, or the zero row outside the image. */
// @ts-ignore: decorator
@inline
function rowAt(r: ConvRecord, iy: i32): usize {
  if (<u32>iy >= <u32>r.inRows) return r.zeroRow
  const slot = iy < r.inRing ? iy : iy % r.inRing
  return r.input + slot * r.inRowStride
}

// @ts-ignore: decorator
@inline
function outputRow(r: ConvRecord, y: i32): usize {
  const slot = y < r.outRing ? y : y % r.outRing
  return r.output + slot * r.outRowStride
}

/** Packs `bytes` int8 of four rows into [k/2][4][2] i16, eight k a step. */
// @ts-ignore: decorator
@inline
function pack4(panel: usize, p0: usize, p1: usize, p2: usize, p3: usize, bytes: i32): void {
  let q: usize = 0
  do {
    const a0 = v128.load_ext<i8>(p0 + q), a1 = v128.load_ext<i8>(p1 + q)
    const a2 = v128.load_ext<i8>(p2 + q), a3 = v128.load_ext<i8>(p3 + q)
    const t0 = v128.shuffle<i32>(a0, a1, 0, 4, 1, 5), t1 = v128.shuffle<i32>(a2, a3, 0, 4, 1, 5)
    const t2 = v128.shuffle<i32>(a0, a1, 2, 6, 3, 7), t3 = v128.shuffle<i32>(a2, a3, 2, 6, 3, 7)
    v128.store(panel, v128.shuffle<i64>(t0, t1, 0, 2))
    v128.store(panel, v128.shuffle<i64>(t0, t1, 1, 3), 16)
    v128.store(panel, v128.shuffle<i64>(t2, t3, 0, 2), 32)
    v128.store(panel, v128.shuffle<i64>(t2, t3, 1, 3), 48)
    panel += 64
    q += 8
  } while (q < <usize>bytes)
}

/** One panel of four pixels against all weights. y0..y3: where the four pixels' outputs go. */
function gemm4x8(r: ConvRecord, y0: usize, y1: usize, y2: usize, y3: usize): void {
  const panel: usize = r.scratch
  const panelEnd = panel + r.panelBytes
  const last = r.outC - 8
  let w: usize = r.weights, bias: usize = r.bias, scale: usize = r.scale
  let n = 0
  while (true) {
    const b0 = v128.load(bias), b1 = v128.load(bias, 16)
    let c00 = b0, c01 = b1, c10 = b0, c11 = b1, c20 = b0, c21 = b1, c30 = b0, c31 = b1
    let a = panel
    do {
      const w0 = v128.load(w), w1 = v128.load(w, 16)
      const a0 = v128.load_splat<i32>(a)
      c00 = i32x4.add(c00, i32x4.dot_i16x8_s(a0, w0))
      c01 = i32x4.add(c01, i32x4.dot_i16x8_s(a0, w1))
      const a1 = v128.load_splat<i32>(a, 4)
      c10 = i32x4.add(c10, i32x4.dot_i16x8_s(a1, w0))
      c11 = i32x4.add(c11, i32x4.dot_i16x8_s(a1, w1))
      const a2 = v128.load_splat<i32>(a, 8)
      c20 = i32x4.add(c20, i32x4.dot_i16x8_s(a2, w0))
      c21 = i32x4.add(c21, i32x4.dot_i16x8_s(a2, w1))
      const a3 = v128.load_splat<i32>(a, 12)
      c30 = i32x4.add(c30, i32x4.dot_i16x8_s(a3, w0))
      c31 = i32x4.add(c31, i32x4.dot_i16x8_s(a3, w1))
      w += 32
      a += 16
    } while (a < panelEnd)
    const s0 = v128.load(scale), s1 = v128.load(scale, 16)
    const magic = v128.load_splat<i32>(changetype<usize>(r), offsetof<ConvRecord>('magic'))
    const zero = v128.load_splat<i32>(changetype<usize>(r), offsetof<ConvRecord>('magicMinusZero'))
    const low = v128.load_splat<i8>(changetype<usize>(r), offsetof<ConvRecord>('actMin'))
    const high = v128.load_splat<i8>(changetype<usize>(r), offsetof<ConvRecord>('actMax'))
    const h0 = i16x8.narrow_i32x4_s(requantize4(c00, s0, magic, zero), requantize4(c01, s1, magic, zero))
    const h1 = i16x8.narrow_i32x4_s(requantize4(c10, s0, magic, zero), requantize4(c11, s1, magic, zero))
    const q01 = i8x16.min_s(i8x16.max_s(i8x16.narrow_i16x8_s(h0, h1), low), high)
    v128.store64_lane(y0 + n, q01, 0)
    v128.store64_lane(y1 + n, q01, 1)
    const h2 = i16x8.narrow_i32x4_s(requantize4(c20, s0, magic, zero), requantize4(c21, s1, magic, zero))
    const h3 = i16x8.narrow_i32x4_s(requantize4(c30, s0, magic, zero), requantize4(c31, s1, magic, zero))
    const q23 = i8x16.min_s(i8x16.max_s(i8x16.narrow_i16x8_s(h2, h3), low), high)
    v128.store64_lane(y2 + n, q23, 0)
    v128.store64_lane(y3 + n, q23, 1)
    if (n >= last) break
    n += 8
    if (n > last) n = last
    bias += 32
    scale += 32
  }
}

function convSimd(r: ConvRecord, y0: i32, y1: i32): void {
  const outW = r.outW, outC = r.outC
  const narrow = outC < 8
  // Behind the panel: room for four pixels of up to eight channels, where narrow outputs are staged.
  const stage: usize = r.scratch + r.panelBytes + 64
  let y = y0, x = 0
  while (y < y1) {
    // The next four pixels; past the last one, the last one again.
    const ya = y, xa = x
    let p = pixelAfter(ya, xa, outW, y1)
    const yb = <i32>(p >> 32), xb = <i32>p
    p = pixelAfter(yb, xb, outW, y1)
    const yc = <i32>(p >> 32), xc = <i32>p
    p = pixelAfter(yc, xc, outW, y1)
    const yd = <i32>(p >> 32), xd = <i32>p
    packPatches(r, ya, xa, yb, xb, yc, xc, yd, xd)
    const step = r.outPixelStride
    const oa = outputRow(r, ya) + xa * step, ob = outputRow(r, yb) + xb * step
    const oc = outputRow(r, yc) + xc * step, od = outputRow(r, yd) + xd * step
    if (narrow) {
      gemm4x8(r, stage, stage + 8, stage + 16, stage + 24)
      memory.copy(oa, stage, outC)
      memory.copy(ob, stage + 8, outC)
      memory.copy(oc, stage + 16, outC)
      memory.copy(od, stage + 24, outC)
    } else {
      gemm4x8(r, oa, ob, oc, od)
    }
    x += 4
    while (x >= outW) {
      x -= outW
      y++
    }
  }
}

/** (y, x) of the pixel after this one as y << 32 | x; the last pixel before row `end` is its own successor. */
// @ts-ignore: decorator
@inline
function pixelAfter(y: i32, x: i32, outW: i32, end: i32): i64 {
  if (x + 1 < outW) x++
  else if (y + 1 < end) {
    y++
    x = 0
  }
  return (<i64>y << 32) | <i64>x
}

function packPatches(r: ConvRecord, ya: i32, xa: i32, yb: i32, xb: i32, yc: i32, xc: i32, yd: i32, xd: i32): void {
  const stride = r.strideH, top = r.padTop, xStep = r.xStep
  const segments = r.segments, bytes = r.segmentBytes, segmentStep = r.segmentStep
  // Bytes of panel per segment: pairs of k, four pixels, two bytes each.
  const advance: usize = ((bytes + 1) >> 1) << 4
  let panel: usize = r.scratch
  for (let ky = 0; ky < r.kh; ky++) {
    const dy = ky * r.dilationH - top
    let p0 = rowAt(r, ya * stride + dy) + xa * xStep
    let p1 = rowAt(r, yb * stride + dy) + xb * xStep
    let p2 = rowAt(r, yc * stride + dy) + xc * xStep
    let p3 = rowAt(r, yd * stride + dy) + xd * xStep
    for (let s = 0; s < segments; s++) {
      pack4(panel, p0, p1, p2, p3, bytes)
      panel += advance
      p0 += segmentStep
      p1 += segmentStep
      p2 += segmentStep
      p3 += segmentStep
    }
  }
}

/** Scalar: patch gathered to scratch, weights [N][K] i8 row-major. */
function convScalar(r: ConvRecord, y0: i32, y1: i32): void {
  const outW = r.outW, outC = r.outC, segments = r.segments, bytes = r.segmentBytes
  const k = r.panelBytes
  const direct = r.kh == 1 && segments == 1
  for (let y = y0; y < y1; y++) {
    for (let x = 0; x < outW; x++) {
      let patch: usize = r.scratch
      if (direct) patch = rowAt(r, y * r.strideH - r.padTop) + x * r.xStep
      else {
        let to = patch
        for (let ky = 0; ky < r.kh; ky++) {
          let from = rowAt(r, y * r.strideH - r.padTop + ky * r.dilationH) + x * r.xStep
          for (let s = 0; s < segments; s++) {
            memory.copy(to, from, bytes)
            to += bytes
            from += r.segmentStep
          }
        }
      }
      const to = outputRow(r, y) + x * r.outPixelStride
      const correction = r.weightZeroPoint == 0 ? 0 : r.weightZeroPoint * sum(patch, k)
      let w: usize = r.weights
      for (let n = 0; n < outC; n++) {
        const acc = load<i32>(r.bias + (n << 2)) - correction + dot(patch, w, k)
        store<i8>(to + n, requantize(acc, load<f32>(r.scale + (n << 2)), r.outputZeroPoint, r.actMin, r.actMax))
        w += k
      }
    }
  }
}

export function conv(record: usize, y0: i32, y1: i32): void {
  const r = changetype<ConvRecord>(record)
  if (ASC_FEATURE_SIMD && !r.scalar) convSimd(r, y0, y1)
  else convScalar(r, y0, y1)
}
