/** Real values of the outputs, as src/vision/values.ts and src/classify/classifier.ts dequantize them. */
import { thimble_output_ptr } from '../exec'
import { DTYPE_FLOAT32, DTYPE_INT16, DTYPE_INT32, DTYPE_INT64, DTYPE_INT8, DTYPE_UINT8, OutputInfo } from './config'
import { settings } from './settings'

// @ts-ignore: decorator
@inline
export function outputInfo(output: i32): OutputInfo {
  return changetype<OutputInfo>(<usize>settings().outputs + <usize>output * offsetof<OutputInfo>())
}

/** Element i of an output. */
export function real(output: i32, i: i32): f32 {
  const info = outputInfo(output)
  const at: usize = thimble_output_ptr(output)
  const n = <usize>i
  let q: i32
  switch (info.type) {
    case DTYPE_INT8:
      q = load<i8>(at + n)
      break
    case DTYPE_UINT8:
      q = load<u8>(at + n)
      break
    case DTYPE_INT16:
      q = load<i16>(at + (n << 1))
      break
    case DTYPE_INT32:
      q = load<i32>(at + (n << 2))
      break
    case DTYPE_INT64:
      return <f32>load<i64>(at + (n << 3))
    default:
      return load<f32>(at + (n << 2))
  }
  return info.scale > 0 ? <f32>(<f64>(q - info.zeroPoint) * <f64>info.scale) : <f32>q
}

/** Index of the largest of `count` elements from `at` on, `step` apart; the first among equals. */
export function largest(output: i32, at: i32, count: i32, step: i32): i32 {
  let best = 0
  let most = real(output, at)
  for (let i = 1; i < count; i++) {
    const v = real(output, at + i * step)
    if (v > most) {
      most = v
      best = i
    }
  }
  return best
}

/** An output that is stored as floats. */
// @ts-ignore: decorator
@inline
export function isFloat(output: i32): bool {
  return outputInfo(output).type == DTYPE_FLOAT32
}
