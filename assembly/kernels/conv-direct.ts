/**
 * Convolution with few input channels (the first layer of a network) or few output channels: no patches are packed.
 * Each input row is widened once to i16, padding included, into a ring of as many rows as the window is high; the
 * microkernel (4 pixels x 8 channels, dot_i16x8) broadcasts pairs of neighbouring elements straight from there.
 *
 * Shapes: input rows [inRows, W, C] i8 without padding; output [rows, outW, outC] i8, outW >= 4, outC >= 8.
 * Weights [outC/8][kh][pairs][8][2] i16, pairs = ceil(kw * C / 2); bias (with the input's zero point folded in) and
 * scale eight a panel; the last panel may overlap.
 * Requires: |acc * scale| <= 2^22. Reads past end: 0..7 bytes of input. Writes: exactly the output rows. SIMD only.
 */
import { ConvDirectRecord } from '../layout'
import { finish4x8 } from '../simd'

/** Fills `bytes` bytes at `to` with the i16 `value`; up to 14 bytes more. */
function fill16(to: usize, value: i32, bytes: i32): void {
  const v = i16x8.splat(<i16>value)
  for (const end = to + bytes; to < end; to += 16) v128.store(to, v)
}

// @ts-ignore: decorator
@inline
function ringRow(r: ConvDirectRecord, iy: i32): usize {
  return r.ring + (iy % r.windowH) * r.ringStride
}

/** Widens input row `iy` into the ring, left to right: each part's last vector runs into the next part. */
function widenRow(r: ConvDirectRecord, iy: i32): void {
  const from: usize = r.input + (iy < r.inRing ? iy : iy % r.inRing) * r.inRowStride
  const row = ringRow(r, iy)
  const to = row + r.padLeftBytes
  const n: usize = r.rowBytes
  fill16(row, r.inputZeroPoint, r.padLeftBytes)
  for (let i: usize = 0; i < n; i += 8) v128.store(to + (i << 1), v128.load_ext<i8>(from + i))
  fill16(to + (n << 1), r.inputZeroPoint, r.padRightBytes)
}

/** Four neighbouring output pixels, all channels. at: byte offset of the first one's window in a row; y: its output. */
function tile(r: ConvDirectRecord, at: usize, y: usize): void {
  const xs: usize = r.xStep
  const pairBytes: usize = r.pairBytes
  const step: usize = r.outC
  const last = r.outC - 8
  const rows: usize = r.rowTable
  const rowsEnd = rows + (r.kh << 2)
  let w: usize = r.weights
  let bias: usize = r.bias
  let scale: usize = r.scale
  let n = 0
  while (true) {
    const b0 = v128.load(bias)
    const b1 = v128.load(bias, 16)
    let c00 = b0
    let c01 = b1
    let c10 = b0
    let c11 = b1
    let c20 = b0
    let c21 = b1
    let c30 = b0
    let c31 = b1
    let row = rows
    do {
      let p0 = <usize>load<u32>(row) + at
      let p1 = p0 + xs
      let p2 = p1 + xs
      let p3 = p2 + xs
      const end = p0 + pairBytes
      do {
        const w0 = v128.load(w)
        const w1 = v128.load(w, 16)
        const a0 = v128.load_splat<i32>(p0)
        c00 = i32x4.add(c00, i32x4.dot_i16x8_s(a0, w0))
        c01 = i32x4.add(c01, i32x4.dot_i16x8_s(a0, w1))
        const a1 = v128.load_splat<i32>(p1)
        c10 = i32x4.add(c10, i32x4.dot_i16x8_s(a1, w0))
        c11 = i32x4.add(c11, i32x4.dot_i16x8_s(a1, w1))
        const a2 = v128.load_splat<i32>(p2)
        c20 = i32x4.add(c20, i32x4.dot_i16x8_s(a2, w0))
        c21 = i32x4.add(c21, i32x4.dot_i16x8_s(a2, w1))
        const a3 = v128.load_splat<i32>(p3)
        c30 = i32x4.add(c30, i32x4.dot_i16x8_s(a3, w0))
        c31 = i32x4.add(c31, i32x4.dot_i16x8_s(a3, w1))
        w += 32
        p0 += 4
        p1 += 4
        p2 += 4
        p3 += 4
      } while (p0 < end)
      row += 4
    } while (row < rowsEnd)
    const at = y + n
    finish4x8(
      r.constants,
      r.clamped,
      scale,
      at,
      at + step,
      at + 2 * step,
      at + 3 * step,
      c00,
      c01,
      c10,
      c11,
      c20,
      c21,
      c30,
      c31,
    )
    if (n >= last) break
    n += 8
    if (n > last) n = last
    bias += 32
    scale += 32
  }
}

export function convDirect(record: usize, y0: i32, y1: i32): void {
  if (!ASC_FEATURE_SIMD) return
  const r = changetype<ConvDirectRecord>(record)
  const outW = r.outW
  // Rows outside the image: one more row behind the ring.
  const zeroRow: usize = r.ring + r.windowH * r.ringStride
  if (y0 * r.strideH < r.padTop || (y1 - 1) * r.strideH - r.padTop + r.windowH > r.inRows) {
    fill16(zeroRow, r.inputZeroPoint, r.ringStride)
  }
  let widened = 0
  for (let y = y0; y < y1; y++) {
    const top = y * r.strideH - r.padTop
    if (widened < top) widened = top
    const bottom = min(top + r.windowH, r.inRows)
    for (; widened < bottom; widened++) widenRow(r, widened)
    for (let ky = 0; ky < r.kh; ky++) {
      const iy = top + ky * r.dilationH
      store<u32>(r.rowTable + (ky << 2), <u32>iy < <u32>r.inRows ? ringRow(r, iy) : zeroRow)
    }
    const out: usize = r.output + (y < r.outRing ? y : y % r.outRing) * r.outRowStride
    for (let x = 0; ; x += 4) {
      // The last tile may overlap the one before.
      if (x > outW - 4) x = outW - 4
      tile(r, x * r.xStep, out + x * r.outC)
      if (x >= outW - 4) break
    }
  }
}
