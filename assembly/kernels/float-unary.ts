/**
 * Functions of one float32, to the bit as XNNPACK's kernels compute them on x86 with FMA and AVX2: every step rounded
 * to f32, products and sums fused where those are. The host has the same for tables (src/arithmetic/xnnpack.ts).
 */
import {
  FloatTableRecord,
  FloatUnaryRecord,
  UNARY_ABS,
  UNARY_APPROXIMATE_GELU,
  UNARY_CEIL,
  UNARY_COS,
  UNARY_ELU,
  UNARY_EXP,
  UNARY_FLOOR,
  UNARY_GELU,
  UNARY_HARD_SWISH,
  UNARY_INT_ABS,
  UNARY_INT_NEG,
  UNARY_INT_SIGN,
  UNARY_LEAKY_RELU,
  UNARY_LOG,
  UNARY_LOGISTIC,
  UNARY_NEG,
  UNARY_RELU,
  UNARY_RELU6,
  UNARY_RELU_0_TO_1,
  UNARY_RELU_N1_TO_1,
  UNARY_ROUND,
  UNARY_RSQRT,
  UNARY_SIGN,
  UNARY_SIN,
  UNARY_SQRT,
  UNARY_SQUARE,
} from '../layout'

export function floatTable(record: usize): void {
  const r = changetype<FloatTableRecord>(record)
  const table: usize = r.table
  for (let i = 0; i < r.count; i++) {
    store<f32>(r.output + (i << 2), load<f32>(table + ((<usize>load<u8>(r.input + i)) << 2)))
  }
}

/** a * b + c, rounded once: an odd last bit of the f64 stands for what lies beyond it. */
export function fma(a: f32, b: f32, c: f32): f32 {
  const p = <f64>a * <f64>b
  const s = p + <f64>c
  const t = s - p
  const rest = p - (s - t) + (<f64>c - t)
  let bits = reinterpret<i64>(s)
  if (rest != 0 && rest == rest && !(bits & 1)) bits += rest > 0 == s > 0 ? 1 : -1
  return <f32>reinterpret<f64>(bits)
}

/** The second where one is not a number. */
// @ts-ignore: decorator
@inline
function least(a: f32, b: f32): f32 {
  return a < b ? a : b
}

// @ts-ignore: decorator
@inline
function most(a: f32, b: f32): f32 {
  return a > b ? a : b
}

/** Numbers without a full exponent are 0. */
// @ts-ignore: decorator
@inline
export function flush(x: f32): f32 {
  return reinterpret<u32>(x) & 0x7f800000 ? x : x * 0
}

/** What x86 makes where there is no number: other engines would choose another sign. */
// @ts-ignore: decorator
@inline
export function invalid(): f32 {
  return reinterpret<f32>(0xffc00000)
}

const LOG2E: f32 = 1.44269504
const LN2: f32 = 0.693147182

/** 2^n for whole n from -127 (0) to 128 (infinity). */
// @ts-ignore: decorator
@inline
function power2(n: f32): f32 {
  return reinterpret<f32>((i32(n) + 127) << 23)
}

export function exp32(x: f32): f32 {
  const z = least(most(flush(x) * LOG2E, -127), 128)
  const whole = nearest<f32>(z)
  const r = z - whole
  const p = r * fma(r, fma(r, 0.00553756347, 0.0480780415), 0.693147182)
  const q = fma(r, fma(r, 0.0239876043, -0.277210861), 1)
  return flush(power2(whole) * (1 + p / q))
}

function log32(x: f32): f32 {
  const v = flush(x) * <f32>1.414213419
  if (v == 0) return -Infinity
  const bits = reinterpret<i32>(v)
  if (bits < 0) return NaN
  const m = reinterpret<f32>((bits & 0x7fffff) | 0x3f800000) * <f32>0.70710688829 - 1
  const p = m * fma(m, fma(m, 0.182499691844, 1), 1)
  const q = fma(m, fma(m, fma(m, 0.049584995955, 0.599170029163), 1.5), 1)
  return fma(<f32>((bits >> 23) - 127), LN2, p / q)
}

function tanh32(x: f32): f32 {
  const v = most(-7.9807181358, least(7.9807181358, flush(x)))
  const s = flush(v * v)
  const p = fma(s, fma(s, fma(s, 1.4248920266e-8, 2.1235626264e-5), 3.5330520477e-3), 1.3412411511e-1)
  const q = fma(s, fma(s, fma(s, 8.136594829e-7, 3.3472978976e-4), 2.6018999517e-2), 4.6745735407e-1)
  return (v * fma(s, p, 1)) / fma(s, q, 1)
}

// @ts-ignore: decorator
@inline
function halfOf(x: f32, error: f32): f32 {
  return flush(flush(x) * <f32>0.5 * (error + 1))
}

function gelu32(x: f32): f32 {
  const v = most(-5.163828373, least(5.163828373, flush(x)))
  const s = flush(v * v)
  let p = fma(s, fma(s, fma(s, 4.5835321316e-8, 1.260978388e-5), 3.2973114867e-4), 9.3065137044e-3)
  p = v * fma(s, fma(s, p, 6.697217375e-2), 7.9788452387e-1)
  const q = fma(s, fma(s, fma(s, 1.1988805682e-6, 7.2267655923e-5), 1.8622842617e-3), 2.8431978077e-2)
  return halfOf(x, p / fma(s, fma(s, q, 2.5060352683e-1), 1))
}

function approximateGelu32(x: f32): f32 {
  const v = most(-4.84974098, least(4.84974098, flush(x)))
  const s = flush(v * v)
  let p = fma(s, fma(s, fma(s, 4.954441124e-8, 1.4302649106e-5), 2.6887017884e-4), 7.2898347862e-3)
  p = v * fma(s, fma(s, p, 6.0803253204e-2), 7.9788458347e-1)
  const q = fma(s, fma(s, fma(s, 1.343345275e-6, 7.6477612311e-5), 1.3060354395e-3), 2.4381054565e-2)
  return halfOf(x, p / fma(s, fma(s, q, 2.4369759858e-1), 1))
}

const PI: f32 = 3.1415927

/** x less whole turns. */
function turned(x: f32): f32 {
  const turns = nearest<f32>(x * <f32>0.15915494)
  return fma(-turns, 1.9353072e-3, fma(-turns, 6.28125, x))
}

function sine(x: f32): f32 {
  let v = least(x, PI - x)
  v = most(v, -PI - v)
  v = least(v, PI - v)
  const s = flush(v * v)
  const p = v * fma(s, fma(s, 3.2340581529e-3, -1.3314664364e-1), 1)
  return p / fma(s, fma(s, 4.8770775902e-4, 3.3519912511e-2), 1)
}

function logistic32(x: f32): f32 {
  if (x != x) return x
  const z = -abs(flush(x))
  if (z < <f32>-87.33654022216797) return x > 0 ? 1 : 0
  const n = fma(z, LOG2E, 12583039) - <f32>12583039
  const power = power2(n)
  const t = fma(n, -LN2, z)
  let p = fma(fma(0.008289290592074394, t, 0.04189782217144966), t, 0.16667652130126953)
  p = fma(fma(p, t, 0.4999915063381195), t, 0.9999997019767761)
  const e = fma(flush(t * power), p, power)
  const y = e / (e + 1)
  return reinterpret<i32>(x) >= 0 ? 1 - y : y
}

/** 2^(i/4), less i/4 in the exponent. */
// @ts-ignore: decorator
@inline
function quarter(i: i32): i32 {
  switch (i) {
    case 0:
      return 0x3f800000
    case 1:
      return 0x3f7837f0
    case 2:
      return 0x3f7504f3
    default:
      return 0x3f7744fd
  }
}

function elu32(x: f32): f32 {
  const v = flush(x)
  if (!(v < 0)) return v == 0 ? 0 : v
  const z = most(-17.32868003845215, v)
  const magic = fma(z, LOG2E, 3145728)
  const bits = reinterpret<i32>(magic)
  const power = reinterpret<f32>(quarter(bits & 3) + (bits << 21))
  let t = fma(magic - <f32>3145728, -LN2, z)
  const p = t * fma(fma(0.04166393354535103, t, 0.1667184978723526), t, 0.5000000596046448)
  t *= power
  return fma(p, t, t) + (power - 1)
}

function hardSwish32(x: f32): f32 {
  return flush(least(most(fma(flush(x), 0.16666667, 0.5), 0), 1) * x)
}

/** 1 / sqrt(x) to about twelve bits: `table` for 1 <= x < 4. */
function estimate(x: f32, table: usize): f32 {
  if (!(x >= 0)) return NaN
  if (x == 0) return <f32>1 / x
  const bits = reinterpret<i32>(x)
  const exponent = (bits >>> 23) - 127
  const odd = exponent & 1
  const found = i32(load<u16>(table + (((odd << 12) | ((bits >>> 11) & 4095)) << 1)))
  return reinterpret<f32>(((found | 0x70000) << 11) - (((exponent - odd) >> 1) << 23))
}

/** One step of Newton's iteration. */
// @ts-ignore: decorator
@inline
function refined(x: f32, y: f32): f32 {
  const error = x * (y * y) - <f32>1
  return y - error * (<f32>0.5 * y)
}

function rsqrt32(x: f32, table: usize): f32 {
  const v = flush(x)
  if (v <= 0) return invalid()
  return v == Infinity ? 0 : refined(v, estimate(v, table))
}

function sqrt32(x: f32, table: usize): f32 {
  const v = flush(x)
  if (v < 0) return invalid()
  return v == 0 || v == Infinity ? v : v * refined(v, estimate(v, table))
}

// @ts-ignore: decorator
@inline
function limited(x: f32, low: f32, high: f32): f32 {
  return x < low ? low : x > high ? high : x
}

function valueOf(r: FloatUnaryRecord, x: f32): f32 {
  switch (r.kind) {
    case UNARY_ABS:
      return abs(x)
    case UNARY_NEG:
      return <f32>0 - x
    case UNARY_SQUARE:
      return x * x
    case UNARY_FLOOR:
      return floor<f32>(x)
    case UNARY_CEIL:
      return ceil<f32>(x)
    case UNARY_ROUND:
      return nearest<f32>(x)
    case UNARY_SIGN:
      return x > 0 ? 1 : x < 0 ? -1 : x == 0 ? 0 : x
    case UNARY_RELU:
      return limited(x, 0, Infinity)
    case UNARY_RELU6:
      return limited(x, 0, 6)
    case UNARY_RELU_N1_TO_1:
      return limited(x, -1, 1)
    case UNARY_RELU_0_TO_1:
      return limited(x, 0, 1)
    case UNARY_LEAKY_RELU:
      return x < 0 ? x * r.alpha : x
    case UNARY_HARD_SWISH:
      return hardSwish32(x)
    case UNARY_EXP:
      return exp32(x)
    case UNARY_LOG:
      return log32(x)
    case UNARY_SIN:
      return sine(turned(flush(x)))
    case UNARY_COS:
      return sine(<f32>1.5707963705 - turned(flush(x)) + <f32>-4.3711388e-8)
    case UNARY_LOGISTIC:
      return logistic32(x)
    case UNARY_ELU:
      return elu32(x)
    case UNARY_GELU:
      return gelu32(x)
    case UNARY_APPROXIMATE_GELU:
      return approximateGelu32(x)
    case UNARY_SQRT:
      return sqrt32(x, r.table)
    case UNARY_RSQRT:
      return rsqrt32(x, r.table)
    default:
      return tanh32(x)
  }
}

/** Element by element: float32, or int32 for the UNARY_INT_ kinds. */
export function floatUnary(record: usize): void {
  const r = changetype<FloatUnaryRecord>(record)
  for (let i = 0; i < r.count << 2; i += 4) {
    if (r.kind >= UNARY_INT_ABS) {
      const x = load<i32>(r.input + i)
      const sign = i32(x > 0) - i32(x < 0)
      store<i32>(r.output + i, r.kind == UNARY_INT_NEG ? -x : r.kind == UNARY_INT_SIGN ? sign : x < 0 ? -x : x)
    } else store<f32>(r.output + i, valueOf(r, load<f32>(r.input + i)))
  }
}
