/**
 * POW of two tensors of 32-bit words: glibc's powf, and whole powers of int32. The host has the same
 * (src/arithmetic/libm.ts).
 */
import { ARITHMETIC_FLOAT_POW, ARITHMETIC_FLOAT_POW_OF_ONE, PowerRecord } from '../layout'
import { invalid } from './float-unary'

/** log2 of a positive float. */
function log2(x: f32, table: usize): f64 {
  let bits = reinterpret<i32>(x)
  if (bits < 0x00800000) bits = reinterpret<i32>(x * <f32>8388608) - (23 << 23)
  const t = bits - 0x3f330000
  const entry = table + ((t >>> 19) & 15) * 24
  const r = <f64>reinterpret<f32>(bits - (t & 0xff800000)) * load<f64>(entry) - 1
  const r2 = r * r
  const low = 0.28845303544354784 * r - 0.36093614020490585
  const middle = 0.48089806895992855 * r - 0.7213474764124101
  return low * (r2 * r2) + (middle * r2 + (1.4426950408774342 * r + (load<f64>(entry, 16) + <f64>(t >> 23))))
}

function exp2(x: f64, table: usize): f32 {
  if (x > 127.99999995700433) return Infinity
  if (x <= -150) return 0
  const k = i32(nearest<f64>(x * 32))
  const r = x - <f64>k / 32
  const power = reinterpret<f64>((<i64>((k >> 5) + 1023)) << 52)
  const scale = load<f64>(table + ((k & 31) << 3), 384) * power
  const low = 0.05550361559341535 * r + 0.2402284522445722
  return <f32>((low * (r * r) + (0.6931471806916203 * r + 1)) * scale)
}

function powf(x: f32, y: f32, table: usize): f32 {
  if (y == 0 || x == 1) return 1
  if (x != x || y != y) return NaN
  const magnitude = abs(x)
  if (abs(y) == Infinity) return magnitude == 1 ? 1 : magnitude > 1 == y > 0 ? Infinity : 0
  const odd = abs(y) < 16777216 && trunc<f32>(y) == y && (i32(y) & 1) != 0
  const sign: f32 = odd && reinterpret<i32>(x) < 0 ? -1 : 1
  if (magnitude == 0 || magnitude == Infinity) return sign * ((magnitude == 0) == y > 0 ? <f32>0 : <f32>Infinity)
  if (x < 0 && trunc<f32>(y) != y) return invalid()
  return sign * exp2(<f64>y * log2(magnitude, table), table)
}

/** x to the power n >= 1, limited to finite numbers where it multiplies. */
function powWhole(x: f32, n: i32): f32 {
  if (n == 1) return x
  let y = powWhole(x, n >> 1)
  y = max(min(y * y, f32.MAX_VALUE), -f32.MAX_VALUE)
  return n & 1 ? max(min(x * y, f32.MAX_VALUE), -f32.MAX_VALUE) : y
}

/** Source: TFLite's optimized POW. */
function powOfOne(x: f32, y: f32, table: usize): f32 {
  const whole = i32(trunc<f32>(y + (y < 0 ? <f32>-0.5 : <f32>0.5)))
  return whole >= 1 && abs(y - <f32>whole) < <f32>1e-5 ? powWhole(x, whole) : powf(x, y, table)
}

/** Wraps; a negative exponent makes 0, 1 or -1. */
function powi(x: i32, y: i32): i32 {
  if (y < 0) return x == 1 ? 1 : x == -1 ? (y & 1 ? -1 : 1) : 0
  let power = 1
  for (; y; y >>= 1) {
    if (y & 1) power *= x
    x *= x
  }
  return power
}

export function power(record: usize): void {
  const r = changetype<PowerRecord>(record)
  let to: usize = r.output
  for (let i = 0; i < r.d0; i++) {
    for (let j = 0; j < r.d1; j++) {
      for (let k = 0; k < r.d2; k++) {
        let a: usize = r.a + i * r.a0 + j * r.a1 + k * r.a2
        let b: usize = r.b + i * r.b0 + j * r.b1 + k * r.b2
        for (const end: usize = to + (r.d3 << 2); to < end; to += 4) {
          if (r.kind == ARITHMETIC_FLOAT_POW) store<f32>(to, powf(load<f32>(a), load<f32>(b), r.table))
          else if (r.kind == ARITHMETIC_FLOAT_POW_OF_ONE) store<f32>(to, powOfOne(load<f32>(a), load<f32>(b), r.table))
          else store<i32>(to, powi(load<i32>(a), load<i32>(b)))
          a += r.a3
          b += r.b3
        }
      }
    }
  }
}
