/**
 * The host's side of the arithmetic: everything that is computed once, before the first inference, so that kernels only
 * do integers and single f32 steps. Deterministic on every engine: only IEEE + - * / and Math.fround, no Math.exp.
 * Source: XNNPACK and TFLite as LiteRT 2.3.0 runs them.
 */
import type { Activation } from '../graph/graph.ts'

export const f32 = Math.fround

/** Round to nearest, ties to even. */
export function rne(x: number): number {
  const r = Math.round(x)
  return r - x === 0.5 && r % 2 !== 0 ? r - 1 : r
}

/** Round to nearest, ties away from zero. */
export const rha = (x: number): number => {
  const whole = Math.trunc(x)
  return Math.abs(x - whole) >= 0.5 ? whole + Math.sign(x) : whole
}

export const clamp = (x: number, low: number, high: number): number => Math.min(Math.max(x, low), high)

/** Per-tensor quantization of an 8-bit tensor, in the file's own (raw) domain. */
export interface QuantParams {
  scale: number
  zeroPoint: number
  low: number
  high: number
}

const REAL_BOUNDS: Record<Activation, [number, number]> = {
  NONE: [-Infinity, Infinity],
  RELU: [0, Infinity],
  RELU_N1_TO_1: [-1, 1],
  RELU6: [0, 6],
}

/** Quantized clamp of a fused activation as XNNPACK rounds it: RNE(clamp(f32(f32(v / s) + z))). */
export function activationBoundsXnn(activation: Activation, q: QuantParams): [number, number] {
  if (activation === 'NONE') return [q.low, q.high]
  const bound = (v: number): number =>
    Number.isFinite(v) ? rne(clamp(f32(f32(v / q.scale) + q.zeroPoint), q.low, q.high)) : v < 0 ? q.low : q.high
  const limits = REAL_BOUNDS[activation]
  return [bound(limits[0]), bound(limits[1])]
}

/** The same as TFLite's builtin kernels round it: z + round-half-away(f32(v / s)). */
export function activationBoundsBuiltin(activation: Activation, q: QuantParams): [number, number] {
  const bound = (v: number): number =>
    Number.isFinite(v) ? clamp(q.zeroPoint + rha(f32(v / q.scale)), q.low, q.high) : v < 0 ? q.low : q.high
  const [low, high] = REAL_BOUNDS[activation]
  return [bound(low), bound(high)]
}

/** A real multiplier as Q31 and a left shift: d = multiplier * 2^(shift - 31). Source: TFLite QuantizeMultiplier. */
export function quantizeMultiplier(d: number): { multiplier: number; shift: number } {
  if (d === 0 || !Number.isFinite(d)) return { multiplier: 0, shift: 0 }
  let shift = Math.max(-1074, Math.floor(Math.log2(Math.abs(d))) + 1)
  let m = d / 2 ** shift
  while (Math.abs(m) >= 1) {
    m /= 2
    shift++
  }
  while (Math.abs(m) < 0.5) {
    m *= 2
    shift--
  }
  let multiplier = rha(m * 2 ** 31)
  if (multiplier === 2 ** 31) {
    multiplier /= 2
    shift++
  }
  if (shift < -31) return { multiplier: 0, shift: 0 }
  return { multiplier, shift }
}

function roundedProduct(x: number, multiplier: number, shift: number): bigint {
  const left = BigInt(Math.max(shift, 0))
  return ((BigInt(x) << left) * BigInt(multiplier) + (1n << 30n)) >> 31n
}

/** x * d, first rounding half up, second half away from zero (the scalar flavour). */
export function multiplyHalfAway(x: number, multiplier: number, shift: number): number {
  if (shift > 31) return 0
  const t = roundedProduct(x, multiplier, shift)
  const r = BigInt(Math.max(-shift, 0))
  const mask = (1n << r) - 1n
  return Number((t >> r) + ((t & mask) > (mask >> 1n) + (t < 0n ? 1n : 0n) ? 1n : 0n))
}

/** x * d, both roundings half up (the vector flavour). */
export function multiplyHalfUp(x: number, multiplier: number, shift: number): number {
  const t = roundedProduct(x, multiplier, shift)
  const r = BigInt(Math.max(-shift, 0))
  return Number(r === 0n ? t : (t + (1n << (r - 1n))) >> r)
}

/** f32 per-channel requantization scale, in the reference's order of roundings. */
export const requantScale = (input: number, weight: number, output: number): number =>
  f32(f32(f32(input) * f32(weight)) / f32(output))

/** The same for every channel, `weights` being float32 values. Short: it runs while the engine still interprets it. */
export function requantScales(input: number, weights: Float32Array, output: number): Float32Array {
  const n = weights.length
  const out = new Float32Array(n)
  const round = Math.fround
  input = round(input)
  output = round(output)
  for (let c = 0; c < n; c++) out[c] = round(input * weights[c]!) / output
  return out
}

/** 2^(i/32), correctly rounded: the table of glibc's expf. */
export const EXP2_32: readonly number[] = [
  1.0, 1.0218971486541166, 1.0442737824274138, 1.0671404006768237, 1.0905077326652577, 1.1143867425958924,
  1.1387886347566916, 1.1637248587775775, 1.189207115002721, 1.215247359980469, 1.241857812073484, 1.2690509571917332,
  1.2968395546510096, 1.3252366431597413, 1.3542555469368927, 1.383909881963832, 1.4142135623730951, 1.4451808069770467,
  1.4768261459394993, 1.5091644275934228, 1.5422108254079407, 1.5759808451078865, 1.6104903319492543, 1.645755478153965,
  1.681792830507429, 1.718619298122478, 1.7562521603732995, 1.7947090750031072, 1.8340080864093424, 1.8741676341103,
  1.9152065613971474, 1.9571441241754002,
]

/** glibc's expf: f64 polynomial over a table of 2^(i/32), rounded once to f32. */
export function expf(x: number): number {
  if (x < -103.97207641601562) return 0
  if (x > 88.72283935546875) return Infinity
  const z = x * (32 * 1.4426950408889634)
  const k = rne(z)
  const r = z - k
  const C0 = 0.05550361559341535 / 32768
  const C1 = 0.2402284522445722 / 1024
  const C2 = 0.6931471806916203 / 32
  const scale = EXP2_32[((k % 32) + 32) % 32]! * 2 ** Math.floor(k / 32)
  return f32(((C0 * r + C1) * (r * r) + (C2 * r + 1)) * scale)
}

/** exp in f64, within an ulp (fdlibm's algorithm). */
export function exp(x: number): number {
  if (x > 709.782712893384) return Infinity
  if (x < -745.1332191019411) return 0
  const k = Math.trunc(1.4426950408889634 * x + (x < 0 ? -0.5 : 0.5))
  const hi = x - k * 6.9314718036912381649e-1
  const lo = k * 1.90821492927058770002e-10
  const r = hi - lo
  const t = r * r
  const c =
    r -
    t *
      (1.66666666666666019037e-1 +
        t *
          (-2.77777777770155933842e-3 +
            t * (6.61375632143793436117e-5 + t * (-1.6533902205465251539e-6 + t * 4.13813679705723846039e-8))))
  const y = 1 - (lo - (r * c) / (2 - c) - hi)
  return k < -1021 ? y * 2 ** (k + 100) * 2 ** -100 : y * 2 ** k
}

/** glibc's expm1f, every step rounded to f32. */
export function expm1f(x: number): number {
  const LN2_HI = f32(6.9313812256e-1)
  const LN2_LO = f32(9.0580006145e-6)
  const INV_LN2 = f32(1.4426950216)
  const Q = [-3.3333335072e-2, 1.5873016091e-3, -7.936507609e-5, 4.0082177293e-6, -2.0109921195e-7].map(f32)
  const magnitude = Math.abs(x)
  if (magnitude >= f32(18.714973)) {
    if (magnitude >= f32(88.72168)) return x > 0 ? Infinity : -1
    if (x < 0) return -1
  }
  let k = 0
  let c = 0
  if (magnitude > f32(0.34657359)) {
    let hi: number
    let lo: number
    if (magnitude < f32(1.0397207)) {
      k = x > 0 ? 1 : -1
      hi = f32(x - k * LN2_HI)
      lo = k * LN2_LO
    } else {
      k = Math.trunc(f32(f32(INV_LN2 * x) + (x > 0 ? 0.5 : -0.5)))
      hi = f32(x - f32(k * LN2_HI))
      lo = f32(k * LN2_LO)
    }
    x = f32(hi - lo)
    c = f32(f32(hi - x) - lo)
  } else if (magnitude < 2 ** -25) return x
  const hfx = f32(0.5 * x)
  const hxs = f32(x * hfx)
  let r1 = Q[4]!
  for (let i = 3; i >= 0; i--) r1 = f32(Q[i]! + f32(hxs * r1))
  r1 = f32(1 + f32(hxs * r1))
  let t = f32(3 - f32(r1 * hfx))
  let e = f32(hxs * f32(f32(r1 - t) / f32(6 - f32(x * t))))
  if (k === 0) return f32(x - f32(f32(x * e) - hxs))
  e = f32(f32(x * f32(e - c)) - c)
  e = f32(e - hxs)
  if (k === -1) return f32(f32(0.5 * f32(x - e)) - 0.5)
  if (k === 1) return x < -0.25 ? f32(-2 * f32(e - f32(x + 0.5))) : f32(1 + f32(2 * f32(x - e)))
  if (k <= -2 || k > 56) return f32(f32(f32(1 - f32(e - x)) * 2 ** k) - 1)
  if (k < 23) {
    t = f32(1 - 2 ** -k)
    return f32(f32(t - f32(e - x)) * 2 ** k)
  }
  t = f32(2 ** -k)
  return f32(f32(f32(x - f32(e + t)) + 1) * 2 ** k)
}

/** glibc's tanhf. */
export function tanhf(x: number): number {
  const magnitude = Math.abs(x)
  if (Number.isNaN(x)) return x
  let z = 1
  if (magnitude < 22) {
    if (magnitude < 2 ** -55) return x
    if (magnitude >= 1) z = f32(1 - f32(2 / f32(expm1f(f32(2 * magnitude)) + 2)))
    else {
      const t = expm1f(f32(-2 * magnitude))
      z = f32(f32(-t) / f32(t + 2))
    }
  }
  return x >= 0 ? z : -z
}

/** XNNPACK's logistic on f32: f64 inside, saturated outside +-100. */
export function logistic(x: number): number {
  if (x > 100) return 1
  if (x < -100) return 0
  const e = exp(x)
  return f32(e / (1 + e))
}
