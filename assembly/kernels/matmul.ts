/**
 * Products of matrices that are both computed: BATCH_MATMUL, FULLY_CONNECTED with a computed filter.
 * Source: XNNPACK's qs8 GEMM (kind 0); TFLite's builtin BATCH_MATMUL (1) and ruy (2).
 */
import { MatmulRecord } from '../layout'
import { clamp, multiplyByQuantizedMultiplier, requantize } from '../requantize'

/** x * multiplier * 2^(shift - 31), both roundings half up. */
function multiplyHalfUp(x: i32, multiplier: i32, shift: i32): i32 {
  const left = shift > 0 ? shift : 0
  const t = ((i64(x) << left) * i64(multiplier) + (1 << 30)) >> 31
  return i32(shift < 0 ? (t + ((<i64>1) << (-shift - 1))) >> -shift : t)
}

function finish(r: MatmulRecord, acc: i32, column: i32, to: usize): void {
  if (r.bias) acc += load<i32>(r.bias + (column << 2))
  let y: i32
  if (r.kind == 0) {
    y = requantize(acc, r.scale, r.outputZeroPoint, r.actMin, r.actMax)
  } else {
    y =
      r.kind == 1
        ? multiplyByQuantizedMultiplier(acc, r.multiplier, r.shift)
        : multiplyHalfUp(acc, r.multiplier, r.shift)
    y = clamp(y + r.outputZeroPoint, r.actMin, r.actMax)
  }
  store<i8>(to + column, y)
}

/**
 * Four columns from `column` on, less their zero point, as int16 in runs of eight: run 0 of each column, run 1, ...;
 * 0 behind the end of the inner dimension and for columns that there are not.
 */
function packPanel(r: MatmulRecord, b: usize, column: i32): void {
  const inner = r.inner
  const runs = (inner + 7) >> 3
  for (let c = 0; c < 4; c++) {
    let to: usize = r.scratch + 16 + (c << 4)
    const from = b + (column + c) * r.bColumn
    const there = column + c < r.columns ? inner : 0
    for (let k = 0; k < runs << 3; k += 8) {
      if (r.bInner == 1 && k + 8 <= there) {
        v128.store(to, i16x8.sub(v128.load_ext<i8>(from + k), i16x8.splat(<i16>r.bZeroPoint)))
      } else {
        for (let i = 0; i < 8; i++) {
          store<i16>(to + (i << 1), k + i < there ? load<i8>(from + (k + i) * r.bInner) - r.bZeroPoint : 0)
        }
      }
      to += 64
    }
  }
}

/** All rows of a (their inner stride is 1) by the packed panel. Reads up to 7 bytes behind a row. */
function multiplyPanel(r: MatmulRecord, a: usize, aRow: i32, to: usize, column: i32): void {
  const zero = i16x8.splat(<i16>r.aZeroPoint)
  const end: usize = r.scratch + 16 + (((r.inner + 7) >> 3) << 6)
  for (let m = 0; m < r.m; m++) {
    let s0 = i32x4.splat(0)
    let s1 = i32x4.splat(0)
    let s2 = i32x4.splat(0)
    let s3 = i32x4.splat(0)
    let p = a
    for (let panel: usize = r.scratch + 16; panel < end; panel += 64) {
      const x = i16x8.sub(v128.load_ext<i8>(p), zero)
      s0 = i32x4.add(s0, i32x4.dot_i16x8_s(x, v128.load(panel)))
      s1 = i32x4.add(s1, i32x4.dot_i16x8_s(x, v128.load(panel, 16)))
      s2 = i32x4.add(s2, i32x4.dot_i16x8_s(x, v128.load(panel, 32)))
      s3 = i32x4.add(s3, i32x4.dot_i16x8_s(x, v128.load(panel, 48)))
      p += 8
    }
    // Sums of the four columns, by way of memory.
    const low = i32x4.add(v128.shuffle<i32>(s0, s1, 0, 4, 1, 5), v128.shuffle<i32>(s0, s1, 2, 6, 3, 7))
    const high = i32x4.add(v128.shuffle<i32>(s2, s3, 0, 4, 1, 5), v128.shuffle<i32>(s2, s3, 2, 6, 3, 7))
    const sums = i32x4.add(v128.shuffle<i64>(low, high, 0, 2), v128.shuffle<i64>(low, high, 1, 3))
    v128.store(r.scratch, sums)
    const columns = min(r.columns - column, 4)
    for (let c = 0; c < columns; c++) finish(r, load<i32>(r.scratch + (c << 2)), column + c, to)
    a += aRow
    to += r.columns
  }
}

function product(r: MatmulRecord, a: usize, b: usize, to: usize): void {
  if (ASC_FEATURE_SIMD) {
    let aRow = r.aRow
    if (r.aInner != 1) {
      const gathered: usize = r.scratch + 16 + (((r.inner + 7) >> 3) << 6)
      let at = gathered
      for (let m = 0; m < r.m; m++) {
        for (let k = 0; k < r.inner; k++) store<i8>(at++, load<i8>(a + m * r.aRow + k * r.aInner))
      }
      a = gathered
      aRow = r.inner
    }
    for (let column = 0; column < r.columns; column += 4) {
      packPanel(r, b, column)
      multiplyPanel(r, a, aRow, to, column)
    }
    return
  }
  for (let m = 0; m < r.m; m++) {
    for (let n = 0; n < r.columns; n++) {
      let p = a
      let q = b + n * r.bColumn
      let acc = 0
      for (let k = 0; k < r.inner; k++) {
        acc += (load<i8>(p) - r.aZeroPoint) * (load<i8>(q) - r.bZeroPoint)
        p += r.aInner
        q += r.bInner
      }
      finish(r, acc, n, to)
    }
    a += r.aRow
    to += r.columns
  }
}

/** Sums wrap. The output is contiguous. */
export function matmul(record: usize): void {
  const r = changetype<MatmulRecord>(record)
  let to: usize = r.output
  for (let i = 0; i < r.d0; i++) {
    for (let j = 0; j < r.d1; j++) {
      for (let k = 0; k < r.d2; k++) {
        product(r, r.a + i * r.a0 + j * r.a1 + k * r.a2, r.b + i * r.b0 + j * r.b1 + k * r.b2, to)
        to += r.m * r.columns
      }
    }
  }
}
