/**
 * Depthwise convolution of any window, stride and dilation, depth multiplier 1.
 *
 * Shapes: input frame [inRows, W, C] i8 with its padding; output [rows, outW, C] i8.
 * Weights, SIMD: [C/8][taps/2][8][2] i16, taps padded to even with zeros, the last block overlapping; scalar: [C][taps]
 * i16. Requires (SIMD): |acc * scale| <= 2^22. Reads past end: 0..7 bytes. Writes: exactly the output rows.
 */
import { DepthwiseRecord } from '../layout'
import { requantize4, widen } from '../simd'
import { high, low, mac, rowAt } from './depthwise-row'
import { clamp, multiplyByQuantizedMultiplier, roundWithin } from '../requantize'

/** Fills scratch with the address of each tap of the window at column 0 of output row y; an even number of them. */
function tapAddresses(r: DepthwiseRecord, y: i32): void {
  let table: usize = r.scratch
  for (let ky = 0; ky < r.kh; ky++) {
    let tap = rowAt(r, y, ky)
    for (let kx = 0; kx < r.kw; kx++) {
      store<u32>(table, <u32>tap)
      table += 4
      tap += r.tapStep
    }
  }
  store<u32>(table, load<u32>(r.scratch))
}

function rowSimd(r: DepthwiseRecord, out: usize): void {
  const channels = r.channels
  const narrow = channels < 8
  const last = channels - 8
  const pairs = (r.kh * r.kw + 1) >> 1
  const tableEnd: usize = r.scratch + (pairs << 3)
  const at = changetype<usize>(r)
  const actMin = v128.load_splat<i8>(at, offsetof<DepthwiseRecord>('actMin'))
  const actMax = v128.load_splat<i8>(at, offsetof<DepthwiseRecord>('actMax'))
  for (let x = 0; x < r.outW; x++) {
    let w: usize = r.weights
    let bias: usize = r.bias
    let scale: usize = r.scale
    let n = 0
    while (true) {
      const offset: usize = x * r.xStep + n
      let c0 = v128.load(bias)
      let c1 = v128.load(bias, 16)
      let table: usize = r.scratch
      do {
        const a = widen(<usize>load<u32>(table) + offset)
        const b = widen(<usize>load<u32>(table, 4) + offset)
        c0 = mac(c0, low(a, b), v128.load(w))
        c1 = mac(c1, high(a, b), v128.load(w, 16))
        w += 32
        table += 8
      } while (table < tableEnd)
      const magic = v128.load_splat<i32>(at, offsetof<DepthwiseRecord>('magic'))
      const zero = v128.load_splat<i32>(at, offsetof<DepthwiseRecord>('magicMinusZero'))
      const h = i16x8.narrow_i32x4_s(
        requantize4(c0, v128.load(scale), magic, zero),
        requantize4(c1, v128.load(scale, 16), magic, zero),
      )
      const q = i8x16.min_s(i8x16.max_s(i8x16.narrow_i16x8_s(h, h), actMin), actMax)
      if (narrow) {
        // Fewer than eight channels: staged behind the tap table.
        v128.store64_lane(tableEnd + 16, q, 0)
        memory.copy(out, tableEnd + 16, channels)
        break
      }
      v128.store64_lane(out + n, q, 0)
      if (n >= last) break
      n += 8
      if (n > last) n = last
      bias += 32
      scale += 32
    }
    out += channels
  }
}

/** Weights [C][taps] i16; windows of 3 x 3 without a table of taps. */
function rowScalar(r: DepthwiseRecord, out: usize): void {
  const table: usize = r.scratch
  const taps = r.kh * r.kw
  const tableEnd = table + (taps << 2)
  const step: usize = r.tapStep
  const square = taps == 9 && r.kw == 3
  const zero = r.outputZeroPoint
  const low = f32(r.actMin - zero)
  const high = f32(r.actMax - zero)
  // In locals: engines and compilers must take every store for one that changes a field.
  const fixedPoint = r.fixedPoint
  const channels = r.channels
  const stride = r.outPixelStride
  const xStep = r.xStep
  const weights: usize = r.weights
  const biases: usize = r.bias
  const scales: usize = r.scale
  const outW = r.outW
  const p0: usize = load<u32>(table)
  const p1: usize = square ? <usize>load<u32>(table, 12) : 0
  const p2: usize = square ? <usize>load<u32>(table, 24) : 0
  for (let x = 0; x < outW; x++) {
    const pixel: usize = x * xStep
    let a = p0 + pixel
    let b = p1 + pixel
    let c = p2 + pixel
    let w = weights
    let bias = biases
    let scale = scales
    let to = out
    for (const end = out + channels; to < end; to++) {
      let acc = load<i32>(bias)
      if (square) {
        acc +=
          load<i8>(a) * load<i16>(w) +
          load<i8>(a + step) * load<i16>(w, 2) +
          load<i8>(a + 2 * step) * load<i16>(w, 4) +
          load<i8>(b) * load<i16>(w, 6) +
          load<i8>(b + step) * load<i16>(w, 8) +
          load<i8>(b + 2 * step) * load<i16>(w, 10) +
          load<i8>(c) * load<i16>(w, 12) +
          load<i8>(c + step) * load<i16>(w, 14) +
          load<i8>(c + 2 * step) * load<i16>(w, 16)
        a++
        b++
        c++
        w += 18
      } else {
        const offset = pixel + (to - out)
        for (let tap = table; tap < tableEnd; tap += 4, w += 2) {
          acc += load<i8>(<usize>load<u32>(tap) + offset) * load<i16>(w)
        }
      }
      store<i8>(
        to,
        fixedPoint
          ? clamp(multiplyByQuantizedMultiplier(acc, r.multiplier, r.shift) + zero, r.actMin, r.actMax)
          : roundWithin(f32(acc) * load<f32>(scale), low, high) + zero,
      )
      bias += 4
      scale += 4
    }
    out += stride
  }
}

export function depthwise(record: usize, y0: i32, y1: i32): void {
  const r = changetype<DepthwiseRecord>(record)
  for (let y = y0; y < y1; y++) {
    tapAddresses(r, y)
    const out: usize = r.output + (y < r.outRing ? y : y % r.outRing) * r.outRowStride
    if (ASC_FEATURE_SIMD && !r.scalar) rowSimd(r, out)
    else rowScalar(r, out)
  }
}
