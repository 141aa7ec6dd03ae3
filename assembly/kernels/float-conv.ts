/**
 * Convolutions, matrix products and bilinear resizing of float32, to the bit as XNNPACK computes them on x86 with FMA:
 * every product is fused with the sum so far, one after the other. Far from fast: the heavy part of a model is 8-bit.
 */
import {
  FLOAT_CONV_COLUMNS,
  FLOAT_CONV_TRANSPOSED,
  FloatConvRecord,
  FloatMatmulRecord,
  ResizeBilinearRecord,
} from '../layout'
import { flush, fma } from './float-unary'
import { eachOuter } from './odometer'

// @ts-ignore: decorator
@inline
function limited(x: f32, low: f32, high: f32): f32 {
  return min(max(flush(x), low), high)
}

/** One output: taps in their order, the channels of each in theirs. */
function pixel(r: FloatConvRecord, y: i32, x: i32, o: i32): f32 {
  const columns = r.order == FLOAT_CONV_COLUMNS
  const transposed = r.order == FLOAT_CONV_TRANSPOSED
  const inner = columns ? r.kh : r.kw
  const groupIn = r.groupIn
  const from: usize = r.input + (((o / r.groupOut) * groupIn) << 2)
  const weights: usize = r.weights + ((o * r.kh * r.kw * groupIn) << 2)
  let sum: f32 = r.bias ? load<f32>(r.bias + (o << 2)) : 0
  for (let tap = 0, taps = r.kh * r.kw; tap < taps; tap++) {
    const ky = columns ? tap % inner : tap / inner
    const kx = columns ? tap / inner : tap % inner
    let iy = y * r.strideH - r.padTop + ky * r.dilationH
    let ix = x * r.strideW - r.padLeft + kx * r.dilationW
    if (transposed) {
      iy = y + r.padTop - ky
      ix = x + r.padLeft - kx
      if (iy % r.strideH || ix % r.strideW) continue
      iy /= r.strideH
      ix /= r.strideW
    }
    if (<u32>iy >= <u32>r.inRows || <u32>ix >= <u32>r.inW) continue
    const p: usize = from + (((iy * r.inW + ix) * r.inC) << 2)
    const w: usize = weights + (((ky * r.kw + kx) * groupIn) << 2)
    for (let c = 0; c < groupIn; c++) sum = fma(load<f32>(p + (c << 2)), load<f32>(w + (c << 2)), sum)
  }
  return limited(sum, r.low, r.high)
}

export function floatConv(record: usize, y0: i32, y1: i32): void {
  const r = changetype<FloatConvRecord>(record)
  let to: usize = r.output + ((y0 * r.outW * r.outC) << 2)
  for (let y = y0; y < y1; y++) {
    for (let x = 0; x < r.outW; x++) {
      for (let o = 0; o < r.outC; o++) {
        store<f32>(to, pixel(r, y, x, o))
        to += 4
      }
    }
  }
}


@unmanaged
class Multiplied extends FloatMatmulRecord {
  // @ts-ignore: decorator
  @inline
  row(i: i32, j: i32, k: i32, to: usize): usize {
    const a: usize = this.a + i * this.a0 + j * this.a1 + k * this.a2
    const b: usize = this.b + i * this.b0 + j * this.b1 + k * this.b2
    for (let y = 0; y < this.m; y++) {
      for (let x = 0; x < this.columns; x++) {
        let p = a + y * this.aRow
        let w = b + x * this.bColumn
        let sum: f32 = this.bias ? load<f32>(this.bias + (x << 2)) : 0
        for (let n = 0; n < this.inner; n++) {
          sum = fma(load<f32>(p), load<f32>(w), sum)
          p += this.aInner
          w += this.bInner
        }
        store<f32>(to, limited(sum, this.low, this.high))
        to += 4
      }
    }
    return to
  }
}

export function floatMatmul(record: usize): void {
  eachOuter<Multiplied>(record)
}

/** As resizeBilinear; the last word of a table's entry is a float32 from 0 to 1. Source: XNNPACK's ibilinear. */
export function floatResize(record: usize, y0: i32, y1: i32): void {
  const r = changetype<ResizeBilinearRecord>(record)
  for (let y = y0; y < y1; y++) {
    const row: usize = r.rowTable + y * 12
    const top: usize = r.input + load<i32>(row)
    const bottom: usize = r.input + load<i32>(row, 4)
    const wy = load<f32>(row, 8)
    let to: usize = r.output + y * r.outRowStride
    for (let x = 0; x < r.outW; x++) {
      const column: usize = r.columnTable + x * 12
      const left: usize = load<i32>(column)
      const right: usize = load<i32>(column, 4)
      const wx = load<f32>(column, 8)
      for (let c: usize = 0, end: usize = r.channels << 2; c < end; c += 4) {
        const a = load<f32>(top + left + c)
        const b = load<f32>(bottom + left + c)
        const t = a + (load<f32>(top + right + c) - a) * wx
        const u = b + (load<f32>(bottom + right + c) - b) * wx
        store<f32>(to, t + (u - t) * wy)
        to += 4
      }
    }
  }
}
