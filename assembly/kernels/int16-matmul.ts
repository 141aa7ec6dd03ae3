/**
 * Products of two matrices of int16, or of int16 and int8, neither of them constant weights of a convolution.
 * Source: TFLite's reference batch_matmul.h and fully_connected.h on int16, sums of 64 bits.
 */
import { Matmul16Record } from '../layout'
import { clamp } from '../requantize'

function product(r: Matmul16Record, a: usize, b: usize): i64 {
  let acc: i64 = 0
  const narrow = r.bBytes == 1
  for (let k = 0; k < r.inner; k++) {
    const w: i32 = narrow ? <i32>load<i8>(b) : <i32>load<i16>(b)
    acc += i64(load<i16>(a) * w)
    a += r.aInner
    b += r.bInner
  }
  return acc
}

/** The output is contiguous. */
export function matmul16(record: usize): void {
  const r = changetype<Matmul16Record>(record)
  let to: usize = r.output
  for (let i = 0; i < r.d0; i++) {
    for (let j = 0; j < r.d1; j++) {
      for (let k = 0; k < r.d2; k++) {
        let a: usize = r.a + i * r.a0 + j * r.a1 + k * r.a2
        const b: usize = r.b + i * r.b0 + j * r.b1 + k * r.b2
        for (let m = 0; m < r.m; m++) {
          for (let n = 0; n < r.columns; n++) {
            let acc = product(r, a, b + n * r.bColumn)
            if (r.bias) acc += load<i64>(r.bias + (n << 3))
            const at: u32 = r.perColumn ? n << 2 : 0
            const shift = load<i32>(r.shifts + at)
            const q = i32((acc * i64(load<i32>(r.multipliers + at)) + (i64(1) << (shift - 1))) >> shift)
            store<i16>(to, clamp(q, r.actMin, r.actMax))
            to += 2
          }
          a += r.aRow
        }
      }
    }
  }
}
