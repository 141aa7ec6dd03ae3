/**
 * Pools, reductions over any axes and bilinear resize of int16.
 * Source: TFLite's reference pooling.h, reduce.h and resize_bilinear.h on int16.
 */
import {
  Pool16Record,
  Reduce16Record,
  REDUCE16_MAXIMUM,
  REDUCE16_MEAN,
  REDUCE16_MINIMUM,
  REDUCE16_PRODUCT,
  REDUCE16_SUM,
  Resize16Record,
} from '../layout'
import { clamp, multiplyByQuantizedMultiplier } from '../requantize'

export function pool16(record: usize, y0: i32, y1: i32): void {
  const r = changetype<Pool16Record>(record)
  const channels = r.channels
  const pixel = channels << 1
  for (let y = y0; y < y1; y++) {
    let to: usize = r.output + y * r.outW * pixel
    const top = y * r.strideH - r.padTop
    const fromY = max(top, 0)
    const toY = min(top + r.filterH, r.inRows)
    for (let x = 0; x < r.outW; x++) {
      const left = x * r.strideW - r.padLeft
      const fromX = max(left, 0)
      const toX = min(left + r.filterW, r.inW)
      const count = (toY - fromY) * (toX - fromX)
      for (let c = 0; c < channels; c++) {
        let acc = r.average ? 0 : -32768
        for (let iy = fromY; iy < toY; iy++) {
          let from: usize = r.input + (iy * r.inW + fromX) * pixel + (c << 1)
          for (let ix = fromX; ix < toX; ix++) {
            const v: i32 = load<i16>(from)
            acc = r.average ? acc + v : max(acc, v)
            from += pixel
          }
        }
        if (r.average) acc = (acc > 0 ? acc + (count >> 1) : acc - (count >> 1)) / count
        store<i16>(to, clamp(acc, r.actMin, r.actMax))
        to += 2
      }
    }
  }
}

// @ts-ignore: decorator
@inline
function scaled(x: i64, multiplier: i32, shift: i32): i32 {
  return i32((x * i64(multiplier) + (i64(1) << (shift - 1))) >> shift)
}

// @ts-ignore: decorator
@inline
function step(kind: i32, acc: i32, v: i32, multiplier: i32, shift: i32): i32 {
  if (kind == REDUCE16_MAXIMUM) return max(acc, v)
  if (kind == REDUCE16_MINIMUM) return min(acc, v)
  if (kind == REDUCE16_PRODUCT) return scaled(i64(acc) * i64(v), multiplier, shift)
  return acc + v
}

/** Half away from zero. */
function sumOf(v: f32): i32 {
  const whole = trunc<f32>(v)
  return i32(abs<f32>(v - whole) >= 0.5 ? whole + copysign<f32>(1, v) : whole)
}

function finish(r: Reduce16Record, acc: i32): i32 {
  switch (r.kind) {
    case REDUCE16_MEAN:
      return clamp(multiplyByQuantizedMultiplier(acc, r.multiplier, r.shift), -32768, 32767)
    case REDUCE16_SUM:
      return clamp(sumOf(<f32>acc * r.scale), -32768, 32767)
    case REDUCE16_PRODUCT:
      return clamp(scaled(i64(acc), r.multiplier, r.shift), -32768, 32767)
    default:
      return clamp(acc, -32768, 32767)
  }
}

export function reduce16(record: usize): void {
  const r = changetype<Reduce16Record>(record)
  const kind = r.kind
  const first = kind == REDUCE16_MAXIMUM ? -32768 : kind == REDUCE16_MINIMUM ? 32767 : 0
  let to: usize = r.output
  for (let a = 0; a < r.k0; a++) {
    for (let b = 0; b < r.k1; b++) {
      for (let c = 0; c < r.k2; c++) {
        for (let d = 0; d < r.k3; d++) {
          const at: usize = r.input + a * r.k0Stride + b * r.k1Stride + c * r.k2Stride + d * r.k3Stride
          let acc = kind == REDUCE16_PRODUCT ? i32.MIN_VALUE : first
          for (let e = 0; e < r.r0; e++) {
            for (let f = 0; f < r.r1; f++) {
              for (let g = 0; g < r.r2; g++) {
                let from = at + e * r.r0Stride + f * r.r1Stride + g * r.r2Stride
                for (let h = 0; h < r.r3; h++) {
                  const v: i32 = load<i16>(from)
                  acc = acc == i32.MIN_VALUE ? v : step(kind, acc, v, r.multiplier, r.shift)
                  from += r.r3Stride
                }
              }
            }
          }
          store<i16>(to, finish(r, acc))
          to += 2
        }
      }
    }
  }
}

/** Weights of 10 bits along each axis; the result is divided by 2^20, half away from zero. */
export function resize16(record: usize): void {
  const r = changetype<Resize16Record>(record)
  let to: usize = r.output
  const bytes = r.channels << 1
  for (let y = 0; y < <i32>r.rows; y++) {
    const rowEntry: usize = r.rowTable + y * 12
    const row0: usize = r.input + load<i32>(rowEntry)
    const row1: usize = r.input + load<i32>(rowEntry, 4)
    const wy = i64(load<i32>(rowEntry, 8))
    for (let x = 0; x < r.outW; x++) {
      const entry: usize = r.columnTable + x * 12
      const x0: usize = load<i32>(entry)
      const x1: usize = load<i32>(entry, 4)
      const wx = i64(load<i32>(entry, 8))
      for (let c = 0; c < bytes; c += 2) {
        const top = i64(load<i16>(row0 + x0 + c)) * (1024 - wx) + i64(load<i16>(row0 + x1 + c)) * wx
        const bottom = i64(load<i16>(row1 + x0 + c)) * (1024 - wx) + i64(load<i16>(row1 + x1 + c)) * wx
        const v = top * (1024 - wy) + bottom * wy
        store<i16>(to, i32((v + (v > 0 ? 1 << 19 : -(1 << 19))) / (1 << 20)))
        to += 2
      }
    }
  }
}
