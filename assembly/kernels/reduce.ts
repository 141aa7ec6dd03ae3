/** Maximum, minimum, product, sum over any axes. Source: TFLite's builtin reductions, XNNPACK's maxima and minima. */
import {
  REDUCE_MAXIMUM32,
  REDUCE_MAXIMUM8,
  REDUCE_MAXIMUM_FLOAT,
  REDUCE_MEAN32,
  REDUCE_MINIMUM32,
  REDUCE_MINIMUM8,
  REDUCE_MINIMUM_FLOAT,
  REDUCE_PRODUCT32,
  REDUCE_PRODUCT8,
  REDUCE_PRODUCT_FLOAT,
  REDUCE_SUM32,
  ReduceRecord,
} from '../layout'
import { clamp } from '../requantize'

/** x times the step's factor, half up. */
// @ts-ignore: decorator
@inline
function scaled(r: ReduceRecord, x: i64): i32 {
  return i32((x * r.multiplier + ((<i64>1) << (r.shift - 1))) >> r.shift)
}

/** What n = r3 elements at p, `step` apart, make of the result so far; `first`: there is none yet. */
function run(r: ReduceRecord, p: usize, state: i64, first: bool): i64 {
  const kind = r.kind
  const step = r.r3Stride
  let i = 0
  if (first) {
    state =
      kind <= REDUCE_PRODUCT8
        ? load<i8>(p)
        : kind >= REDUCE_MAXIMUM_FLOAT
          ? i64(reinterpret<u32>(load<f32>(p)))
          : i64(load<i32>(p))
    if (kind == REDUCE_PRODUCT8) state -= r.inputZeroPoint
    i = 1
    p += step
  }
  for (; i < r.r3; i++) {
    switch (kind) {
      case REDUCE_MAXIMUM8:
        state = max(state, i64(load<i8>(p)))
        break
      case REDUCE_MINIMUM8:
        state = min(state, i64(load<i8>(p)))
        break
      case REDUCE_PRODUCT8:
        state = scaled(r, state * (load<i8>(p) - r.inputZeroPoint))
        break
      case REDUCE_MAXIMUM32:
        state = max(state, i64(load<i32>(p)))
        break
      case REDUCE_MINIMUM32:
        state = min(state, i64(load<i32>(p)))
        break
      case REDUCE_PRODUCT32:
        state *= load<i32>(p)
        break
      case REDUCE_SUM32:
      case REDUCE_MEAN32:
        state += load<i32>(p)
        break
      case REDUCE_MAXIMUM_FLOAT:
        state = i64(reinterpret<u32>(max(reinterpret<f32>(u32(state)), load<f32>(p))))
        break
      case REDUCE_MINIMUM_FLOAT:
        state = i64(reinterpret<u32>(min(reinterpret<f32>(u32(state)), load<f32>(p))))
        break
      case REDUCE_PRODUCT_FLOAT:
        state = i64(reinterpret<u32>(reinterpret<f32>(u32(state)) * load<f32>(p)))
        break
    }
    p += step
  }
  return state
}

/** Sixteen neighbouring results of a maximum or minimum of bytes. */
function columns16(r: ReduceRecord, base: usize, to: usize): void {
  const largest = r.kind == REDUCE_MAXIMUM8
  let most = v128.load(base)
  for (let a = 0; a < r.r0; a++) {
    for (let b = 0; b < r.r1; b++) {
      for (let c = 0; c < r.r2; c++) {
        let p: usize = base + a * r.r0Stride + b * r.r1Stride + c * r.r2Stride
        for (let d = 0; d < r.r3; d++) {
          const x = v128.load(p)
          most = largest ? i8x16.max_s(most, x) : i8x16.min_s(most, x)
          p += r.r3Stride
        }
      }
    }
  }
  v128.store(to, most)
}

function finish(r: ReduceRecord, state: i64, to: usize): void {
  if (r.kind <= REDUCE_MINIMUM8) store<i8>(to, state)
  else if (r.kind == REDUCE_PRODUCT8) store<i8>(to, clamp(scaled(r, state) + r.outputZeroPoint, -128, 127))
  else if (r.kind == REDUCE_MEAN32) store<i32>(to, i32(state / (r.r0 * r.r1 * r.r2 * r.r3)))
  else store<i32>(to, i32(state))
}

/** Every reduced dimension holds at least one element. */
export function reduce(record: usize): void {
  const r = changetype<ReduceRecord>(record)
  const width = r.kind <= REDUCE_PRODUCT8 ? 1 : 4
  const wide = ASC_FEATURE_SIMD && r.kind <= REDUCE_MINIMUM8 && r.k3Stride == 1
  let to: usize = r.output
  for (let i = 0; i < r.k0; i++) {
    for (let j = 0; j < r.k1; j++) {
      for (let k = 0; k < r.k2; k++) {
        const base: usize = r.input + i * r.k0Stride + j * r.k1Stride + k * r.k2Stride
        let l = 0
        if (ASC_FEATURE_SIMD && wide) {
          for (; l + 16 <= r.k3; l += 16) {
            columns16(r, base + l, to)
            to += 16
          }
        }
        for (; l < r.k3; l++) {
          let state: i64 = 0
          let first = true
          for (let a = 0; a < r.r0; a++) {
            for (let b = 0; b < r.r1; b++) {
              for (let c = 0; c < r.r2; c++) {
                state = run(r, base + l * r.k3Stride + a * r.r0Stride + b * r.r1Stride + c * r.r2Stride, state, first)
                first = false
              }
            }
          }
          finish(r, state, to)
          to += width
        }
      }
    }
  }
}
