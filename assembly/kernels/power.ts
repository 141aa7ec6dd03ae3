/** POW of two tensors of 32-bit words: glibc's powf, and whole powers of int32. The host has the same (src/libm.ts). */
import { ARITHMETIC_FLOAT_POW, ARITHMETIC_FLOAT_POW_OF_ONE, ArithmeticRecord } from '../layout'

/** 1/c and log2(c) for sixteen c between sqrt(1/2) and sqrt(2). */
const LOG2_TABLE: usize = memory.data<f64>([
  1.398907162146528, -0.48430022186289673, 1.3403141896637998, -0.42257122959194704, 1.286432210124115,
  -0.3633754347673556, 1.2367150214269895, -0.30651309567405577, 1.1906977166711752, -0.25180720160537634,
  1.1479821020556429, -0.19910014943794563, 1.1082251448272158, -0.14825100623281615, 1.0711297413057381,
  -0.09913323807318392, 1.036437278977283, -0.051632812977629436, 1.0, 0.0, 0.9492859795739057, 0.07508531937943004,
  0.8951049428609004, 0.15987125980713107, 0.8476821620351103, 0.2384046664317681, 0.8050314851692001,
  0.31288288605863257, 0.7664671008843108, 0.38370422656453185, 0.731428603316328, 0.451211048935815,
])

/** 2^(i/32), correctly rounded. */
export const EXP2_TABLE: usize = memory.data<f64>([
  1.0, 1.0218971486541166, 1.0442737824274138, 1.0671404006768237, 1.0905077326652577, 1.1143867425958924,
  1.1387886347566916, 1.1637248587775775, 1.189207115002721, 1.215247359980469, 1.241857812073484, 1.2690509571917332,
  1.2968395546510096, 1.3252366431597413, 1.3542555469368927, 1.383909881963832, 1.4142135623730951, 1.4451808069770467,
  1.4768261459394993, 1.5091644275934228, 1.5422108254079407, 1.5759808451078865, 1.6104903319492543, 1.645755478153965,
  1.681792830507429, 1.718619298122478, 1.7562521603732995, 1.7947090750031072, 1.8340080864093424, 1.8741676341103,
  1.9152065613971474, 1.9571441241754002,
])

/** log2 of a positive float. */
function log2(x: f32): f64 {
  let bits = reinterpret<i32>(x)
  if (bits < 0x00800000) bits = reinterpret<i32>(x * <f32>8388608) - (23 << 23)
  const t = bits - 0x3f330000
  const entry = LOG2_TABLE + (((t >>> 19) & 15) << 4)
  const r = <f64>reinterpret<f32>(bits - (t & 0xff800000)) * load<f64>(entry) - 1
  const r2 = r * r
  const low = 0.28845303544354784 * r - 0.36093614020490585
  const middle = 0.48089806895992855 * r - 0.7213474764124101
  return low * (r2 * r2) + (middle * r2 + (1.4426950408774342 * r + (load<f64>(entry, 8) + <f64>(t >> 23))))
}

function exp2(x: f64): f32 {
  if (x > 127.99999995700433) return Infinity
  if (x <= -150) return 0
  const k = i32(nearest<f64>(x * 32))
  const r = x - <f64>k / 32
  const power = reinterpret<f64>((<i64>((k >> 5) + 1023)) << 52)
  const scale = load<f64>(EXP2_TABLE + ((k & 31) << 3)) * power
  const low = 0.05550361559341535 * r + 0.2402284522445722
  return <f32>((low * (r * r) + (0.6931471806916203 * r + 1)) * scale)
}

function powf(x: f32, y: f32): f32 {
  if (y == 0 || x == 1) return 1
  if (x != x || y != y) return NaN
  const magnitude = abs(x)
  if (abs(y) == Infinity) return magnitude == 1 ? 1 : magnitude > 1 == y > 0 ? Infinity : 0
  const odd = abs(y) < 16777216 && trunc<f32>(y) == y && (i32(y) & 1) != 0
  const sign: f32 = odd && reinterpret<i32>(x) < 0 ? -1 : 1
  if (magnitude == 0 || magnitude == Infinity) return sign * ((magnitude == 0) == y > 0 ? <f32>0 : <f32>Infinity)
  if (x < 0 && trunc<f32>(y) != y) return NaN
  return sign * exp2(<f64>y * log2(magnitude))
}

/** x to the power n >= 1, limited to finite numbers where it multiplies. */
function powWhole(x: f32, n: i32): f32 {
  if (n == 1) return x
  let y = powWhole(x, n >> 1)
  y = max(min(y * y, f32.MAX_VALUE), -f32.MAX_VALUE)
  return n & 1 ? max(min(x * y, f32.MAX_VALUE), -f32.MAX_VALUE) : y
}

/** Source: TFLite's optimized POW. */
function powOfOne(x: f32, y: f32): f32 {
  const whole = i32(trunc<f32>(y + (y < 0 ? <f32>-0.5 : <f32>0.5)))
  return whole >= 1 && abs(y - <f32>whole) < <f32>1e-5 ? powWhole(x, whole) : powf(x, y)
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
  const r = changetype<ArithmeticRecord>(record)
  let to: usize = r.output
  for (let i = 0; i < r.d0; i++) {
    for (let j = 0; j < r.d1; j++) {
      for (let k = 0; k < r.d2; k++) {
        let a: usize = r.a + i * r.a0 + j * r.a1 + k * r.a2
        let b: usize = r.b + i * r.b0 + j * r.b1 + k * r.b2
        for (const end: usize = to + (r.d3 << 2); to < end; to += 4) {
          if (r.kind == ARITHMETIC_FLOAT_POW) store<f32>(to, powf(load<f32>(a), load<f32>(b)))
          else if (r.kind == ARITHMETIC_FLOAT_POW_OF_ONE) store<f32>(to, powOfOne(load<f32>(a), load<f32>(b)))
          else store<i32>(to, powi(load<i32>(a), load<i32>(b)))
          a += r.a3
          b += r.b3
        }
      }
    }
  }
}
