/**
 * float32 functions of glibc's libm to the bit, as TFLite's tables call them; from IEEE + - * / only, so that every
 * engine gives the same. expf and tanhf are in numerics.ts.
 */
import { EXP2_32, expf, f32, rne } from './numerics.ts'

const float = new Float32Array(1)
const word = new Int32Array(float.buffer)

/** The bits of a float32. */
export function bitsOf(x: number): number {
  float[0] = x
  return word[0]!
}

/** The float32 of these bits. */
export function floatOf(bits: number): number {
  word[0] = bits
  return float[0]!
}

/** 1/c and log(c) for sixteen c between sqrt(1/2) and sqrt(2). */
const LOG_TABLE = [
  1.398907162146528, -0.33569133332882284, 1.3403141896637998, -0.2929040563774074, 1.286432210124115,
  -0.2518726580937369, 1.2367150214269895, -0.21245868807117255, 1.1906977166711752, -0.17453945183745634,
  1.1479821020556429, -0.1380057072319758, 1.1082251448272158, -0.10275976698545139, 1.0711297413057381,
  -0.06871392447020525, 1.036437278977283, -0.0357891387398228, 1, 0, 0.9492859795739057, 0.05204517742929496,
  0.8951049428609004, 0.11081431298787942, 0.8476821620351103, 0.1652495223695143, 0.8050314851692001,
  0.21687389031699977, 0.7664671008843108, 0.2659635028121397, 0.731428603316328, 0.3127556664073557,
]
const LN2 = 0.6931471805599453

/** Natural logarithm; NaN below 0, -Infinity at 0. */
export function logf(x: number): number {
  if (Number.isNaN(x) || x < 0) return NaN
  if (x === 0) return -Infinity
  if (x === Infinity || x === 1) return x === 1 ? 0 : x
  let bits = bitsOf(x)
  if (bits < 0x00800000) bits = bitsOf(f32(x * 2 ** 23)) - (23 << 23)
  const t = (bits - 0x3f330000) | 0
  const i = (t >>> 19) & 15
  const k = t >> 23
  const r = floatOf((bits - (t & 0xff800000)) | 0) * LOG_TABLE[2 * i]! - 1
  const base = LOG_TABLE[2 * i + 1]! + k * LN2
  const r2 = r * r
  const y = -0.25089342214237154 * r2 + (0.333456765744066 * r + -0.4999997485802103)
  return f32(y * r2 + (base + r))
}

/** c[0] + x * (c[1] + x * ...), every step rounded to f32. */
function polynomial(x: number, c: readonly number[]): number {
  let y = c[c.length - 1]!
  for (let i = c.length - 2; i >= 0; i--) y = f32(c[i]! + f32(x * y))
  return y
}

const ERX = f32(8.4506291151e-1)
const PP = [1.2837916613e-1, -3.2504209876e-1, -2.8481749818e-2, -5.770270247e-3, -2.3763017452e-5].map(f32)
const QQ = [1, 3.9791721106e-1, 6.50222525e-2, 5.0813062117e-3, 1.3249473704e-4, -3.9602282413e-6].map(f32)
const PA = [
  -2.3621185683e-3, 4.1485610604e-1, -3.7220788002e-1, 3.1834661961e-1, -1.1089469492e-1, 3.5478305072e-2,
  -2.1663755178e-3,
].map(f32)
const QA = [
  1, 1.0642088205e-1, 5.4039794207e-1, 7.1828655899e-2, 1.2617121637e-1, 1.3637083583e-2, 1.1984500103e-2,
].map(f32)
const RA = [
  -9.8649440333e-3, -6.938585639e-1, -1.0558626175e1, -6.2375331879e1, -1.6239666748e2, -1.8460508728e2,
  -8.1287437439e1, -9.8143291473,
].map(f32)
const SA = [
  1, 1.965127182e1, 1.3765776062e2, 4.3456588745e2, 6.4538726807e2, 4.2900814819e2, 1.0863500214e2, 6.5702495575,
  -6.0424413532e-2,
].map(f32)
const RB = [
  -9.864943102e-3, -7.9928326607e-1, -1.7757955551e1, -1.6063638306e2, -6.3756646729e2, -1.0250950928e3,
  -4.8351919556e2,
].map(f32)
const SB = [
  1, 3.0338060379e1, 3.2579251099e2, 1.5367296143e3, 3.1998581543e3, 2.553050293e3, 4.7452853394e2, -2.2440952301e1,
].map(f32)

/** Complementary error function. */
export function erfcf(x: number): number {
  if (Number.isNaN(x)) return NaN
  const magnitude = Math.abs(x)
  if (magnitude < 0.84375) {
    if (magnitude < 2 ** -26) return f32(1 - x)
    const z = f32(x * x)
    const y = f32(polynomial(z, PP) / polynomial(z, QQ))
    if (x < 0.25) return f32(1 - f32(x + f32(x * y)))
    return f32(0.5 - f32(f32(x * y) + f32(x - 0.5)))
  }
  if (magnitude < 1.25) {
    const s = f32(magnitude - 1)
    const ratio = f32(polynomial(s, PA) / polynomial(s, QA))
    return x >= 0 ? f32(f32(1 - ERX) - ratio) : f32(1 + f32(ERX + ratio))
  }
  if (magnitude >= 28 || (x < 0 && magnitude >= 6)) return x > 0 ? 0 : 2
  const s = f32(1 / f32(magnitude * magnitude))
  const near = magnitude < floatOf(0x4036db6d)
  const ratio = near ? f32(polynomial(s, RA) / polynomial(s, SA)) : f32(polynomial(s, RB) / polynomial(s, SB))
  const z = floatOf(bitsOf(magnitude) & 0xffffe000)
  const r = f32(expf(f32(f32(-z * z) - 0.5625)) * expf(f32(f32(f32(z - magnitude) * f32(z + magnitude)) + ratio)))
  return x > 0 ? f32(r / magnitude) : f32(2 - f32(r / magnitude))
}

/** log2(c) for the sixteen c of LOG_TABLE. */
const LOG2_TABLE = [
  -0.48430022186289673, -0.42257122959194704, -0.3633754347673556, -0.30651309567405577, -0.25180720160537634,
  -0.19910014943794563, -0.14825100623281615, -0.09913323807318392, -0.051632812977629436, 0.0, 0.07508531937943004,
  0.15987125980713107, 0.2384046664317681, 0.31288288605863257, 0.38370422656453185, 0.451211048935815,
]
const LOG2_POLYNOMIAL = [
  0.288457581109214, -0.36092606229713164, 0.480898481472577, -0.7213474675006291, 1.4426950408774342,
] as const

/** log2 of a positive float32, to float64's precision nearly. */
function log2Of(x: number): number {
  let bits = bitsOf(x)
  if (bits < 0x00800000) bits = bitsOf(f32(x * 2 ** 23)) - (23 << 23)
  const t = (bits - 0x3f330000) | 0
  const i = (t >>> 19) & 15
  const r = floatOf((bits - (t & 0xff800000)) | 0) * LOG_TABLE[2 * i]! - 1
  const [a, b, c, d, e] = LOG2_POLYNOMIAL
  const r2 = r * r
  return (a * r + b) * (r2 * r2) + ((c * r + d) * r2 + (e * r + (LOG2_TABLE[i]! + (t >> 23))))
}

/** 2^x, rounded to float32. */
function exp2Of(x: number): number {
  if (x > 127.99999995700433) return Infinity
  if (x <= -150) return 0
  const k = rne(x * 32)
  const r = x - k / 32
  const scale = EXP2_32[((k % 32) + 32) % 32]! * 2 ** Math.floor(k / 32)
  return f32(((0.05550361559341535 * r + 0.2402284522445722) * (r * r) + (0.6931471806916203 * r + 1)) * scale)
}

/** x to the power of y, as glibc's powf. */
export function powf(x: number, y: number): number {
  if (y === 0 || x === 1) return 1
  if (Number.isNaN(x) || Number.isNaN(y)) return NaN
  const magnitude = Math.abs(x)
  if (Math.abs(y) === Infinity) return magnitude === 1 ? 1 : magnitude > 1 === y > 0 ? Infinity : 0
  const odd = Math.abs(y % 2) === 1
  const sign = odd && (x < 0 || Object.is(x, -0)) ? -1 : 1
  if (magnitude === 0 || magnitude === Infinity) return sign * ((magnitude === 0) === y > 0 ? 0 : Infinity)
  if (x < 0 && !Number.isInteger(y)) return NaN
  return sign * exp2Of(y * log2Of(magnitude))
}

/** The same as TFLite computes it where one exponent serves a whole tensor: a whole one from 1 on multiplies. */
export function powOfOne(x: number, y: number): number {
  const whole = Math.trunc(f32(y + (y < 0 ? -0.5 : 0.5)))
  if (!(whole >= 1 && Math.abs(f32(y - whole)) < f32(1e-5))) return powf(x, y)
  const most = f32(3.4028234663852886e38)
  const times = (a: number, b: number): number => Math.max(Math.min(f32(a * b), most), -most)
  const power = (n: number): number => {
    if (n === 1) return x
    const half = power(n >> 1)
    const square = times(half, half)
    return n % 2 ? times(x, square) : square
  }
  return power(whole)
}

/** What the kernels of POW and LOG_SOFTMAX look up, little-endian: see PowerRecord in assembly/layout.ts. */
export function powerTable(): Uint8Array {
  const view = new DataView(new ArrayBuffer(8 * (48 + 32)))
  for (let i = 0; i < 16; i++) {
    view.setFloat64(24 * i, LOG_TABLE[2 * i]!, true)
    view.setFloat64(24 * i + 8, LOG_TABLE[2 * i + 1]!, true)
    view.setFloat64(24 * i + 16, LOG2_TABLE[i]!, true)
  }
  EXP2_32.forEach((v, i) => view.setFloat64(384 + 8 * i, v, true))
  return new Uint8Array(view.buffer)
}
