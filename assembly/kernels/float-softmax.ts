/** LOG_SOFTMAX of float32: TFLite's kernel on Eigen's vectors of four, glibc's functions beside them. */
import { FloatLogSoftmaxRecord } from '../layout'

/** glibc's logf of a positive number. */
function logf(x: f32, table: usize): f32 {
  if (x == 1) return 0
  const bits = reinterpret<i32>(x)
  const t = bits - 0x3f330000
  const entry = table + ((t >>> 19) & 15) * 24
  const r = <f64>reinterpret<f32>(bits - (t & 0xff800000)) * load<f64>(entry) - 1
  const base = load<f64>(entry, 8) + <f64>(t >> 23) * 0.6931471805599453
  const r2 = r * r
  const y = -0.25089342214237154 * r2 + (0.333456765744066 * r + -0.4999997485802103)
  return <f32>(y * r2 + (base + r))
}

/** glibc's expf of a number that is not positive. */
function expf(x: f32, table: usize): f32 {
  if (x < <f32>-103.97207641601562) return 0
  const z = <f64>x * 46.16624130844683
  const k = i32(nearest<f64>(z))
  const r = z - <f64>k
  const scale = load<f64>(table + ((k & 31) << 3), 384) * reinterpret<f64>((<i64>((k >> 5) + 1023)) << 52)
  const low = (0.05550361559341535 / 32768) * r + 0.2402284522445722 / 1024
  return <f32>((low * (r * r) + ((0.6931471806916203 / 32) * r + 1)) * scale)
}

/** Eigen's exp of a number that is not positive, as its vectors compute it. */
function expOfVector(x: f32): f32 {
  if (x < -104) return 0
  const m = floor<f32>(x * <f32>1.44269504088896341 + <f32>0.5)
  let r = m * <f32>-0.693359375 + x
  r = m * <f32>2.1219444e-4 + r
  const r2 = r * r
  const odd = r2 * <f32>8.36894474923610687e-3 + <f32>0.166665181517601013
  let y = r2 * <f32>1.374496379867196e-3 + <f32>4.166965186595917e-2
  y = r2 * y + <f32>0.49999988079071045
  y = r * odd + y
  y = r2 * y + (r + 1)
  return <f32>(<f64>y * reinterpret<f64>((<i64>(i32(m) + 1023)) << 52))
}

/** Sum of n in the order of Eigen's vectors: two of four at a time, one more, then one by one. */
function sumOf(p: usize, n: i32): f32 {
  const whole = n & ~3
  if (!whole) {
    let sum = load<f32>(p)
    for (let i = 1; i < n; i++) sum += load<f32>(p + (i << 2))
    return sum
  }
  // Lanes are summed where they lie: nobody needs the numbers after.
  const pairs = n & ~7
  for (let i = 8; i < pairs; i++) {
    const to = p + ((i & 7) << 2)
    store<f32>(to, load<f32>(to) + load<f32>(p + (i << 2)))
  }
  if (pairs) for (let i: usize = 0; i < 16; i += 4) store<f32>(p + i, load<f32>(p + i) + load<f32>(p + i, 16))
  if (whole > pairs && pairs) {
    for (let i: usize = 0; i < 16; i += 4) store<f32>(p + i, load<f32>(p + i) + load<f32>(p + i + (pairs << 2)))
  }
  let sum = load<f32>(p) + load<f32>(p, 8) + (load<f32>(p, 4) + load<f32>(p, 12))
  for (let i = whole; i < n; i++) sum += load<f32>(p + (i << 2))
  return sum
}

export function floatLogSoftmax(record: usize): void {
  const r = changetype<FloatLogSoftmaxRecord>(record)
  const depth = r.depth
  const whole = depth & ~3
  for (let y: u32 = 0; y < r.rows; y++) {
    const from: usize = r.input + ((y * depth) << 2)
    const to: usize = r.output + ((y * depth) << 2)
    let top = load<f32>(from)
    for (let i = 1; i < depth; i++) top = max(top, load<f32>(from + (i << 2)))
    for (let i = 0; i < depth; i++) {
      const x = load<f32>(from + (i << 2)) - top
      store<f32>(to + (i << 2), i < whole ? expOfVector(x) : expf(x, r.table))
    }
    const log = logf(sumOf(to, depth), r.table)
    for (let i = 0; i < depth; i++) store<f32>(to + (i << 2), load<f32>(from + (i << 2)) - top - log)
  }
}
