/**
 * float32 functions of one variable to the bit as XNNPACK's kernels compute them on x86 with FMA and AVX2: every step
 * rounded to float32, products and sums fused where those are; numbers too small for a float32's exponent count as 0.
 * The roots begin with the estimate of the processor's RSQRTPS (AMD's since Zen), and differ in the last bits where
 * another one has another estimate.
 */
import { bitsOf, floatOf } from './libm.ts'
import { f32, rne } from './numerics.ts'

const double = new Float64Array(1)
const halves = new Uint32Array(double.buffer)

/** a * b + c of float32 numbers, rounded once. */
export function fma(a: number, b: number, c: number): number {
  const p = a * b
  const s = p + c
  const t = s - p
  const rest = p - (s - t) + (c - t)
  if (rest === 0 || !Number.isFinite(s)) return f32(s)
  // An odd last bit stands for what lies beyond it, so that the second rounding is the only one.
  double[0] = s
  if (halves[0]! % 2 === 0) {
    if (rest > 0 === s > 0) halves[0]!++
    else {
      if (halves[0] === 0) halves[1]!--
      halves[0]!--
    }
  }
  return f32(double[0])
}

/** c[0] + x * (c[1] + x * ...), every step fused. */
function polynomial(x: number, c: readonly number[]): number {
  let y = c[c.length - 1]!
  for (let i = c.length - 2; i >= 0; i--) y = fma(x, y, c[i]!)
  return y
}

/** The second where one is not a number, as the processor's instructions. */
const least = (a: number, b: number): number => (a < b ? a : b)
const most = (a: number, b: number): number => (a > b ? a : b)

const TINY = 2 ** -126
/** Numbers without a full exponent are 0. */
export const flush = (x: number): number => (Math.abs(x) < TINY ? x * 0 : x)

const LOG2E = f32(Math.LOG2E)
const LN2 = f32(Math.LN2)
const EXP_P = [0.693147182, 0.0480780415, 0.00553756347].map(f32)
const EXP_Q = [1, -0.277210861, 0.0239876043].map(f32)

export function exp32(x: number): number {
  const z = least(most(f32(flush(x) * LOG2E), -127), 128)
  const whole = rne(z)
  const r = f32(z - whole)
  const power = whole === -127 ? 0 : 2 ** whole
  const y = f32(1 + f32(f32(r * polynomial(r, EXP_P)) / polynomial(r, EXP_Q)))
  return flush(f32((power < 2 ** 128 ? power : Infinity) * y))
}

const SQRT2 = f32(1.414213419)
const SQRT1_2 = f32(7.0710688829e-1)
const LOG_P = [1, 1, 1.82499691844e-1].map(f32)
const LOG_Q = [1, 1.5, 0.599170029163, 0.049584995955].map(f32)

export function log32(x: number): number {
  const v = f32(flush(x) * SQRT2)
  if (v === 0) return -Infinity
  const bits = bitsOf(v)
  if (bits < 0) return NaN
  const exponent = ((bits >>> 23) & 255) - 127
  const m = f32(f32(floatOf((bits & 0x7fffff) | 0x3f800000) * SQRT1_2) - 1)
  return fma(exponent, LN2, f32(f32(m * polynomial(m, LOG_P)) / polynomial(m, LOG_Q)))
}

const TANH_P = [1, 1.3412411511e-1, 3.5330520477e-3, 2.1235626264e-5, 1.4248920266e-8].map(f32)
const TANH_Q = [1, 4.6745735407e-1, 2.6018999517e-2, 3.3472978976e-4, 8.136594829e-7].map(f32)

/** An odd rational function. */
function rational(x: number, p: readonly number[], q: readonly number[]): number {
  const square = flush(f32(x * x))
  return f32(f32(x * polynomial(square, p)) / polynomial(square, q))
}

export function tanh32(x: number): number {
  const limit = f32(7.9807181358)
  return rational(most(-limit, least(limit, flush(x))), TANH_P, TANH_Q)
}

const GELU_P = [7.9788452387e-1, 6.697217375e-2, 9.3065137044e-3, 3.2973114867e-4, 1.260978388e-5, 4.5835321316e-8]
const GELU_Q = [1, 2.5060352683e-1, 2.8431978077e-2, 1.8622842617e-3, 7.2267655923e-5, 1.1988805682e-6]
const APPROXIMATE_GELU_P = [
  7.9788458347e-1, 6.0803253204e-2, 7.2898347862e-3, 2.6887017884e-4, 1.4302649106e-5, 4.954441124e-8,
]
const APPROXIMATE_GELU_Q = [1, 2.4369759858e-1, 2.4381054565e-2, 1.3060354395e-3, 7.6477612311e-5, 1.343345275e-6]

const geluOf =
  (limit: number, p: readonly number[], q: readonly number[]) =>
  (x: number): number =>
    flush(f32(f32(flush(x) * 0.5) * f32(rational(most(-limit, least(limit, flush(x))), p, q) + 1)))

export const gelu32 = geluOf(f32(5.163828373), GELU_P.map(f32), GELU_Q.map(f32))
export const approximateGelu32 = geluOf(f32(4.84974098), APPROXIMATE_GELU_P.map(f32), APPROXIMATE_GELU_Q.map(f32))

const PI = f32(Math.PI)
const TWO_PI_HIGH = 6.28125
const TWO_PI_LOW = f32(1.9353072e-3)
const SIN_P = [1, -1.3314664364e-1, 3.2340581529e-3].map(f32)
const SIN_Q = [1, 3.3519912511e-2, 4.8770775902e-4].map(f32)

/** x less whole turns. */
function turned(x: number): number {
  const turns = rne(f32(x * f32(0.15915494)))
  return fma(-turns, TWO_PI_LOW, fma(-turns, TWO_PI_HIGH, x))
}

function sineOf(x: number): number {
  x = least(x, f32(PI - x))
  x = most(x, f32(-PI - x))
  return rational(least(x, f32(PI - x)), SIN_P, SIN_Q)
}

export const sin32 = (x: number): number => sineOf(turned(flush(x)))
export const cos32 = (x: number): number => sineOf(f32(f32(f32(1.5707963705) - turned(flush(x))) + f32(-4.3711388e-8)))

const MAGIC = 12583039
const SIGMOID = [0.9999997019767761, 0.4999915063381195, 0.16667652130126953, 0.04189782217144966, 0.008289290592074394]

export function logistic32(x: number): number {
  if (Number.isNaN(x)) return x
  const z = -Math.abs(flush(x))
  const magic = fma(z, LOG2E, MAGIC)
  if (z < f32(-87.33654022216797)) return x > 0 ? 1 : 0
  const n = f32(magic - MAGIC)
  const power = 2 ** n
  const t = fma(n, -LN2, z)
  const e = fma(flush(f32(t * power)), polynomial(t, SIGMOID), power)
  const y = f32(e / f32(e + 1))
  return x > 0 || Object.is(x, 0) ? f32(1 - y) : y
}

const ELU_MAGIC = 1.5 * 2 ** 21
const ELU_TABLE = [0x3f800000, 0x3f7837f0, 0x3f7504f3, 0x3f7744fd]
const ELU_C = [0.5000000596046448, 0.1667184978723526, 0.04166393354535103]

export function elu32(x: number): number {
  x = flush(x)
  if (!(x < 0)) return x === 0 ? 0 : x
  const z = most(f32(-17.32868), x)
  const magic = fma(z, LOG2E, ELU_MAGIC)
  const bits = bitsOf(magic)
  const n = f32(magic - ELU_MAGIC)
  const power = floatOf((ELU_TABLE[bits & 3]! + (bits << 21)) | 0)
  let t = fma(n, -LN2, z)
  const p = f32(polynomial(t, ELU_C) * t)
  t = f32(t * power)
  return f32(fma(p, t, t) + f32(power - 1))
}

export const hardSwish32 = (x: number): number => flush(f32(least(most(fma(flush(x), f32(1 / 6), 0.5), 0), 1) * x))

/**
 * The estimate of RSQRTPS by the upper 12 bits of the mantissa: where each run of 16 begins, less what the run before
 * had (base 36), and the steps within the runs of one sixteenth; for even exponents, then for odd ones.
 */
const ESTIMATES = [
  {
    first: 61439,
    runs: 'ggfggffgffffffeffefeeeeeeeeededededddddddcddcdcdcdcccccccbccbcbdbbcbbbbbbbbbbabbabababaaabaaaaaaaaaa9aa9a9a9a99a99a99999999989989989898989889889888888888888788887887878787877877778777777777778776777767767767676767676676676676666667666666666666656666566656',
    steps:
      '111111101111111111011111110111110111101111101110110111011101011011101101101101101101011011011010101101101010101101010110101010101010101010101010101010010101001010101101001010101001010010100101010010100101001001010010100101001001001010010010',
  },
  {
    first: 59040,
    runs: 'bbcbabbbbabbababaabaaaaa9aaa9a9aa99a999999999999899898988988988888888888878878787878778777877777777777767776776767676766766766676666666666666656665666565665656556565565565555655555555555555556455555455545545545455454545454454544544544454445444444544444444',
    steps:
      '101101101101101011010110110110011010101101010011010101010101010101010101010100101010101001010100101010010010100101001010001010010010100010010010010010010010010010010100100100100010001001000100100001001000100100010001000100010010001000100010',
  },
]

let estimates: Int16Array | undefined

/** Bits 11 to 26 of the estimates for 1 <= x < 4, two runs of 4096. */
export function rsqrtEstimates(): Int16Array {
  if (estimates) return estimates
  estimates = new Int16Array(8192)
  ESTIMATES.forEach(({ first, runs, steps }, odd) => {
    let start = first
    for (let i = 0; i < 4096; i++) {
      if (i % 16 === 0) {
        if (i) start -= parseInt(runs[i / 16 - 1]!, 36)
        estimates![odd * 4096 + i] = start
      } else estimates![odd * 4096 + i] = estimates![odd * 4096 + i - 1]! - Number(steps[(i >> 8) * 15 + (i % 16) - 1]!)
    }
  })
  return estimates
}

/** 1 / sqrt(x) to about twelve bits. */
function estimate(x: number): number {
  if (Number.isNaN(x) || x < 0) return NaN
  if (x === 0) return Infinity * Math.sign(1 / x)
  if (x === Infinity) return 0
  const bits = bitsOf(x)
  const exponent = (bits >>> 23) - 127
  const odd = exponent & 1
  const found = rsqrtEstimates()[odd * 4096 + ((bits >>> 11) & 4095)]!
  return floatOf((((found & 0xffff) | 0x70000) << 11) - (((exponent - odd) / 2) << 23))
}

/** One step of Newton's iteration. */
function refined(x: number, y: number): number {
  const error = f32(f32(x * f32(y * y)) - 1)
  return f32(y - f32(error * f32(0.5 * y)))
}

/** NaN at 0. */
export function rsqrt32(x: number): number {
  x = flush(x)
  return x === Infinity ? 0 : refined(x, estimate(x))
}

export function sqrt32(x: number): number {
  x = flush(x)
  if (x === 0 || x === Infinity) return x
  return f32(x * refined(x, estimate(x)))
}
