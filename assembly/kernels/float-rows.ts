/**
 * Softmax, sums and pools of float32, to the bit as LiteRT computes them on x86 with FMA and AVX2: XNNPACK's kernels
 * add in eight lanes, the builtin ones one by one.
 */
import {
  FLOAT_POOL_AVERAGE,
  FLOAT_POOL_L2,
  FLOAT_POOL_MEAN,
  FLOAT_ROWS_SOFTMAX,
  FloatPoolRecord,
  FloatRowsRecord,
  FloatSumRecord,
} from '../layout'
import { flush, fma } from './float-unary'

/** exp of x <= 0. Source: XNNPACK's raddstoreexpminusmax, rr2 p5. */
function expOfMinus(x: f32): f32 {
  if (x < <f32>-87.33654022216797) return 0
  const magic = fma(x, 1.4426950216293335, 12583039)
  const power = reinterpret<f32>(reinterpret<i32>(magic) << 23)
  const n = magic - <f32>12583039
  const t = fma(n, -1.428606765330187e-6, fma(n, -0.693145751953125, x))
  let p = fma(0.008289290592074394, t, 0.04189782217144966)
  p = fma(p, t, 0.16667652130126953)
  p = fma(p, t, 0.4999915063381195)
  p = fma(p, t, 0.9999997019767761)
  return fma(flush(t * power), p, power)
}

/** Of a run of n numbers at p, lane `lane` of eight: `sums` accumulators take whole blocks of 32 in turn. */
// @ts-ignore: decorator
@inline
function laneOf(p: usize, n: i32, lane: i32, sums: i32): f32 {
  let a: f32 = 0
  let b: f32 = 0
  let c: f32 = 0
  let d: f32 = 0
  const four = sums == 4
  let i = lane
  const whole = n & ~31
  for (; i < whole; i += 32) {
    const at = p + (i << 2)
    a += load<f32>(at)
    b += load<f32>(at, 32)
    if (four) {
      c += load<f32>(at, 64)
      d += load<f32>(at, 96)
    } else {
      a += load<f32>(at, 64)
      b += load<f32>(at, 96)
    }
  }
  const eights = n & ~7
  if (four) {
    if (i < eights) a += load<f32>(p + (i << 2))
    if (i + 8 < eights) b += load<f32>(p + (i << 2), 32)
    if (i + 16 < eights) c += load<f32>(p + (i << 2), 64)
    a = a + c + (b + d)
  } else {
    a += b
    for (; i < eights; i += 8) a += load<f32>(p + (i << 2))
  }
  i = eights + lane
  return i < n ? a + load<f32>(p + (i << 2)) : a
}

/** The eight lanes as one. Pairs of a constant `sums`, so that each is compiled for itself. */
function sumOfTwo(p: usize, n: i32): f32 {
  const even = laneOf(p, n, 0, 2) + laneOf(p, n, 4, 2) + (laneOf(p, n, 2, 2) + laneOf(p, n, 6, 2))
  return even + (laneOf(p, n, 1, 2) + laneOf(p, n, 5, 2) + (laneOf(p, n, 3, 2) + laneOf(p, n, 7, 2)))
}

function sumOfFour(p: usize, n: i32): f32 {
  const even = laneOf(p, n, 0, 4) + laneOf(p, n, 4, 4) + (laneOf(p, n, 2, 4) + laneOf(p, n, 6, 4))
  return even + (laneOf(p, n, 1, 4) + laneOf(p, n, 5, 4) + (laneOf(p, n, 3, 4) + laneOf(p, n, 7, 4)))
}

function softmax(from: usize, to: usize, depth: i32): void {
  let top = load<f32>(from)
  for (let i = 1; i < depth; i++) top = max(top, load<f32>(from + (i << 2)))
  for (let i = 0; i < depth; i++) store<f32>(to + (i << 2), expOfMinus(load<f32>(from + (i << 2)) - top))
  const inverse = <f32>1 / sumOfTwo(to, depth)
  for (let i = 0; i < depth; i++) store<f32>(to + (i << 2), flush(load<f32>(to + (i << 2)) * inverse))
}

/** Source: TFLite's builtin kernel. */
function l2Normalization(from: usize, to: usize, depth: i32): void {
  let squares: f32 = 0
  for (let i = 0; i < depth; i++) squares += load<f32>(from + (i << 2)) * load<f32>(from + (i << 2))
  const norm = max<f32>(sqrt<f32>(squares), 1e-6)
  for (let i = 0; i < depth; i++) store<f32>(to + (i << 2), load<f32>(from + (i << 2)) / norm)
}

export function floatRows(record: usize): void {
  const r = changetype<FloatRowsRecord>(record)
  const depth = r.depth
  for (let y: u32 = 0; y < r.rows; y++) {
    const from: usize = r.input + ((y * depth) << 2)
    const to: usize = r.output + ((y * depth) << 2)
    if (r.kind == FLOAT_ROWS_SOFTMAX) softmax(from, to, depth)
    else l2Normalization(from, to, depth)
  }
}

/** Source: XNNPACK's rsum (contiguous) and rdsum. */
export function floatSum(record: usize): void {
  const r = changetype<FloatSumRecord>(record)
  let to: usize = r.output
  for (let i = 0; i < r.k0 * r.k1; i++) {
    const first: usize = r.input + (i / r.k1) * r.k0Stride + (i % r.k1) * r.k1Stride
    for (let j = 0; j < r.k2; j++) {
      for (let l = 0; l < r.k3; l++) {
        const base = first + j * r.k2Stride + l * r.k3Stride
        let total: f32 = 0
        for (let m = 0; m < r.r0 * r.r1; m++) {
          for (let n = 0; n < r.r2; n++) {
            let p: usize = base + (m / r.r1) * r.r0Stride + (m % r.r1) * r.r1Stride + n * r.r2Stride
            let sum: f32 = 0
            if (r.contiguous) sum = sumOfFour(p, r.r3)
            else {
              for (let k = 0; k < r.r3; k++) {
                sum += load<f32>(p)
                p += r.r3Stride
              }
            }
            total += flush(sum * r.scale)
          }
        }
        store<f32>(to, total)
        to += 4
      }
    }
  }
}

/** Elements of a window that are added before what came before them. */
const NINE = 9

/** Average, of nine taps at a time, columns first. Source: XNNPACK's avgpool 9p. */
function average(r: FloatPoolRecord, from: usize, y: i32, x: i32): f32 {
  let total: f32 = 0
  let s0: f32 = 0
  let s1: f32 = 0
  let s2: f32 = 0
  let s3: f32 = 0
  let s4: f32 = 0
  let s5: f32 = 0
  let s6: f32 = 0
  let s7: f32 = 0
  let s8: f32 = 0
  let taps = 0
  let seen = 0
  const all = r.filterH * r.filterW
  for (let kx = 0; kx < r.filterW; kx++) {
    for (let ky = 0; ky < r.filterH; ky++) {
      let v: f32 = 0
      if (<u32>(y + ky) < <u32>r.inRows && <u32>(x + kx) < <u32>r.inW) {
        v = load<f32>(from + ((((y + ky) * r.inW + x + kx) * r.channels) << 2))
        seen++
      }
      const at = taps % NINE
      if (at == 0) s0 = v
      else if (at == 1) s1 = v
      else if (at == 2) s2 = v
      else if (at == 3) s3 = v
      else if (at == 4) s4 = v
      else if (at == 5) s5 = v
      else if (at == 6) s6 = v
      else if (at == 7) s7 = v
      else s8 = v
      taps++
      if (taps % NINE == 0 || taps == all) {
        total += s2 + s3 + (s4 + s5) + (s0 + s1 + s8 + (s6 + s7))
        s0 = 0
        s1 = 0
        s2 = 0
        s3 = 0
        s4 = 0
        s5 = 0
        s6 = 0
        s7 = 0
        s8 = 0
      }
    }
  }
  return total * (<f32>1 / <f32>seen)
}

/** Maximum; average and root of the mean square as TFLite's builtin kernels have them. */
function rowByRow(r: FloatPoolRecord, from: usize, y: i32, x: i32): f32 {
  let most: f32 = -Infinity
  let sum: f32 = 0
  let squares: f32 = 0
  let seen = 0
  for (let ky = max(0, -y), kEnd = min(r.filterH, <i32>r.inRows - y); ky < kEnd; ky++) {
    for (let kx = max(0, -x), xEnd = min(r.filterW, r.inW - x); kx < xEnd; kx++) {
      const v = load<f32>(from + ((((y + ky) * r.inW + x + kx) * r.channels) << 2))
      most = max(most, v)
      sum += v
      squares += v * v
      seen++
    }
  }
  if (r.kind == FLOAT_POOL_MEAN) return sum / <f32>seen
  return r.kind == FLOAT_POOL_L2 ? sqrt<f32>(squares * (<f32>1 / <f32>seen)) : most
}

export function floatPool(record: usize, y0: i32, y1: i32): void {
  const r = changetype<FloatPoolRecord>(record)
  const channels = r.channels
  for (let y = y0; y < y1; y++) {
    let to: usize = r.output + ((y * r.outW * channels) << 2)
    for (let x = 0; x < r.outW; x++) {
      for (let c = 0; c < channels; c++) {
        const from: usize = r.input + (c << 2)
        const top = y * r.strideH - r.padTop
        const left = x * r.strideW - r.padLeft
        const v = r.kind == FLOAT_POOL_AVERAGE ? average(r, from, top, left) : rowByRow(r, from, top, left)
        store<f32>(to, min(max(v, r.low), r.high))
        to += 4
      }
    }
  }
}
