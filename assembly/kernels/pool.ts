/** Pooling over windows clipped to the image, and mean over any axes. */
import { MeanRecord, PoolRecord } from '../layout'
import { clamp } from '../requantize'

/** Adds eight int8 to two vectors of i32 at `acc`. */
// @ts-ignore: decorator
@inline
function accumulate8(acc: usize, p: usize): void {
  const x = v128.load_ext<i8>(p)
  v128.store(acc, i32x4.add(v128.load(acc), i32x4.extend_low_i16x8_s(x)))
  v128.store(acc, i32x4.add(v128.load(acc, 16), i32x4.extend_high_i16x8_s(x)), 16)
}

/** acc[c] += p[c] for n channels. */
function accumulate(acc: usize, p: usize, n: i32): void {
  let c = 0
  if (ASC_FEATURE_SIMD) for (; c + 8 <= n; c += 8) accumulate8(acc + (c << 2), p + c)
  for (; c < n; c++) store<i32>(acc + (c << 2), load<i32>(acc + (c << 2)) + load<i8>(p + c))
}

/** Sums of a window that fit sixteen bits. */
const SHORT_WINDOW = 256

/**
 * Quotients of four sums, rounded half away from zero. The f32 quotient is exact enough to truncate: it is an integer,
 * or at least 1 / count from one.
 */
// @ts-ignore: decorator
@inline
function divide4(sum: v128, count: v128, half: v128): v128 {
  const sign = i32x4.shr_s(sum, 31)
  const rounded = i32x4.add(sum, i32x4.sub(v128.xor(half, sign), sign))
  return i32x4.trunc_sat_f32x4_s(f32x4.div(f32x4.convert_i32x4_s(rounded), count))
}

/**
 * Average of eight channels from `column` bytes into rows [fromY, toY), `width` pixels each, to `out`. unsigned: halves
 * round up as they do in uint8.
 */
function average8(r: PoolRecord, column: i32, fromY: i32, toY: i32, width: i32, out: usize): void {
  const channels: usize = r.channels
  const count = (toY - fromY) * width
  let acc = i16x8.splat(0)
  for (let iy = fromY; iy < toY; iy++) {
    let p: usize = r.input + (iy < r.inRing ? iy : iy % r.inRing) * r.inRowStride + column
    for (const end = p + <usize>width * channels; p < end; p += channels) acc = i16x8.add(acc, v128.load_ext<i8>(p))
  }
  const lift = i32x4.splat(r.unsigned ? count << 7 : 0)
  const minus = i32x4.splat(r.unsigned ? 128 : 0)
  const divisor = f32x4.splat(<f32>count)
  const half = i32x4.splat(count >> 1)
  const low = i32x4.sub(divide4(i32x4.add(i32x4.extend_low_i16x8_s(acc), lift), divisor, half), minus)
  const high = i32x4.sub(divide4(i32x4.add(i32x4.extend_high_i16x8_s(acc), lift), divisor, half), minus)
  const h = i16x8.narrow_i32x4_s(low, high)
  const q = i8x16.narrow_i16x8_s(h, h)
  v128.store64_lane(out, i8x16.min_s(i8x16.max_s(q, i8x16.splat(<i8>r.actMin)), i8x16.splat(<i8>r.actMax)), 0)
}

/**
 * Average pool. Shapes: input [inRows, W, C] i8, output [rows, outW, C] i8; scratch C i32.
 * The divisor counts only elements inside the image. Source: TFLite's builtin average pool (integer).
 */
export function averagePool(record: usize, y0: i32, y1: i32): void {
  const r = changetype<PoolRecord>(record)
  const channels = r.channels
  for (let y = y0; y < y1; y++) {
    const top = y * r.strideH - r.padTop
    const fromY = max(top, 0)
    const toY = min(top + r.filterH, r.inRows)
    let out: usize = r.output + (y < r.outRing ? y : y % r.outRing) * r.outRowStride
    for (let x = 0; x < r.outW; x++) {
      const left = x * r.strideW - r.padLeft
      const fromX = max(left, 0)
      const toX = min(left + r.filterW, r.inW)
      const count = (toY - fromY) * (toX - fromX)
      if (ASC_FEATURE_SIMD && channels >= 8 && count <= SHORT_WINDOW) {
        // The last eight channels may overlap the ones before.
        for (let c = 0; ; c = min(c + 8, channels - 8)) {
          average8(r, fromX * channels + c, fromY, toY, toX - fromX, out + c)
          if (c == channels - 8) break
        }
        out += channels
        continue
      }
      memory.fill(r.scratch, 0, channels << 2)
      for (let iy = fromY; iy < toY; iy++) {
        let p: usize = r.input + (iy < r.inRing ? iy : iy % r.inRing) * r.inRowStride + fromX * channels
        for (let ix = fromX; ix < toX; ix++) {
          accumulate(r.scratch, p, channels)
          p += channels
        }
      }
      const half = count >> 1
      for (let c = 0; c < channels; c++) {
        const acc = load<i32>(r.scratch + (c << 2))
        let q: i32
        if (r.unsigned) q = (acc + (count << 7) + half) / count - 128
        else q = (acc > 0 ? acc + half : acc - half) / count
        store<i8>(out + c, clamp(q, r.actMin, r.actMax))
      }
      out += channels
    }
  }
}

/** Max pool: maximum of the window's elements inside the image, then the clamp. Shapes as averagePool. */
export function maxPool(record: usize, y0: i32, y1: i32): void {
  const r = changetype<PoolRecord>(record)
  const channels = r.channels
  for (let y = y0; y < y1; y++) {
    const top = y * r.strideH - r.padTop
    const fromY = max(top, 0)
    const toY = min(top + r.filterH, r.inRows)
    let out: usize = r.output + (y < r.outRing ? y : y % r.outRing) * r.outRowStride
    for (let x = 0; x < r.outW; x++) {
      const left = x * r.strideW - r.padLeft
      const fromX = max(left, 0)
      const toX = min(left + r.filterW, r.inW)
      memory.fill(out, 0x80, channels)
      for (let iy = fromY; iy < toY; iy++) {
        let p: usize = r.input + (iy < r.inRing ? iy : iy % r.inRing) * r.inRowStride + fromX * channels
        for (let ix = fromX; ix < toX; ix++) {
          let c = 0
          if (ASC_FEATURE_SIMD) {
            for (; c + 16 <= channels; c += 16) v128.store(out + c, i8x16.max_s(v128.load(out + c), v128.load(p + c)))
          }
          for (; c < channels; c++) store<i8>(out + c, max(load<i8>(out + c), load<i8>(p + c)))
          p += channels
        }
      }
      for (let c = 0; c < channels; c++) store<i8>(out + c, clamp(load<i8>(out + c), r.actMin, r.actMax))
      out += channels
    }
  }
}

/**
 * Adds sixteen int8 at each of n addresses `step` apart to sixteen i32 at `acc`; in i16 while 256 of them cannot
 * overflow.
 */
function accumulate16(acc: usize, p: usize, step: usize, n: i32): void {
  while (n > 0) {
    let low = i16x8.splat(0)
    let high = i16x8.splat(0)
    const most = min(n, 256)
    for (let i = 0; i < most; i++) {
      low = i16x8.add(low, v128.load_ext<i8>(p))
      high = i16x8.add(high, v128.load_ext<i8>(p, 8))
      p += step
    }
    n -= most
    v128.store(acc, i32x4.add(v128.load(acc), i32x4.extend_low_i16x8_s(low)))
    v128.store(acc, i32x4.add(v128.load(acc, 16), i32x4.extend_high_i16x8_s(low)), 16)
    v128.store(acc, i32x4.add(v128.load(acc, 32), i32x4.extend_low_i16x8_s(high)), 32)
    v128.store(acc, i32x4.add(v128.load(acc, 48), i32x4.extend_high_i16x8_s(high)), 48)
  }
}

/** Sums of a block of `n` channels over the reduced dimensions, to scratch. */
function sumReduced(r: MeanRecord, base: usize, n: i32): void {
  memory.fill(r.scratch, 0, 64)
  for (let a = 0; a < r.r0; a++) {
    for (let b = 0; b < r.r1; b++) {
      for (let c = 0; c < r.r2; c++) {
        let p = base + a * r.r0Stride + b * r.r1Stride + c * r.r2Stride
        if (ASC_FEATURE_SIMD && n == 16) {
          accumulate16(r.scratch, p, r.r3Stride, r.r3)
        } else {
          for (let d = 0; d < r.r3; d++) {
            accumulate(r.scratch, p, n)
            p += r.r3Stride
          }
        }
      }
    }
  }
}

/** Mean over any axes. Scratch: sixteen i32. Source: XNNPACK's quantized mean. */
export function mean(record: usize): void {
  const r = changetype<MeanRecord>(record)
  let out: usize = r.output
  const block = r.k3Stride == 1 ? 16 : 1
  for (let a = 0; a < r.k0; a++) {
    for (let b = 0; b < r.k1; b++) {
      for (let c = 0; c < r.k2; c++) {
        const base: usize = r.input + a * r.k0Stride + b * r.k1Stride + c * r.k2Stride
        for (let d = 0; d < r.k3; d += block) {
          const n = min(block, r.k3 - d)
          sumReduced(r, base + d * r.k3Stride, n)
          for (let i = 0; i < n; i++) {
            const total = f32(load<i32>(r.scratch + (i << 2)) + r.sumBias) * r.scale
            const q = nearest<f32>(min<f32>(max<f32>(total + r.offset, r.low), r.high))
            store<i8>(out, i32(q) - r.minus)
            out++
          }
        }
      }
    }
  }
}
