/**
 * The two passes of a separable resize with tables of taps, the arithmetic of src/image/resize.ts: 22-bit fixed-point
 * weights, each pass rounded to 8 bits. The host makes the tables.
 */

/** Bits after the point of a weight. */
const PRECISION: i32 = 22
const HALF: i32 = 1 << (PRECISION - 1)

/** Weights may add up to a little more than one. */
@inline function clip(v: i32): i32 {
  return min(v >> PRECISION, 255)
}

/**
 * One row along x: n pixels of `channels` (1 or 3). Tap i is starts[i], counts[i] (i32) and weights[i * stride ...].
 * `row`: where column 0 lies. Every output with one whole tap is exact: its weight is one.
 */
export function resizeColumns(
  row: usize,
  channels: i32,
  n: i32,
  starts: usize,
  counts: usize,
  weights: usize,
  stride: i32,
  out: usize,
): void {
  for (let i = 0; i < n; i++, weights += (<usize>stride) << 2) {
    let p = row + load<i32>(starts + ((<usize>i) << 2)) * channels
    let w = weights
    const end = w + ((<usize>load<i32>(counts + ((<usize>i) << 2))) << 2)
    let r = HALF
    if (channels == 1) {
      for (; w < end; w += 4, p++) r += <i32>load<u8>(p) * load<i32>(w)
      store<u8>(out++, clip(r))
    } else {
      let g = HALF
      let b = HALF
      for (; w < end; w += 4, p += 3) {
        const k = load<i32>(w)
        r += <i32>load<u8>(p) * k
        g += <i32>load<u8>(p, 1) * k
        b += <i32>load<u8>(p, 2) * k
      }
      store<u8>(out, clip(r))
      store<u8>(out, clip(g), 1)
      store<u8>(out, clip(b), 2)
      out += 3
    }
  }
}

/**
 * One output row along y: `n` samples of `count` rows from `rows` on, `pitch` bytes apart. `sums`: n i32 of scratch.
 */
export function resizeRow(rows: usize, pitch: i32, n: i32, count: i32, weights: usize, out: usize, sums: usize): void {
  for (let x = 0; x < n; x++) store<i32>(sums + ((<usize>x) << 2), HALF)
  for (let k = 0; k < count; k++, rows += pitch, weights += 4) {
    const w = load<i32>(weights)
    for (let x = 0; x < n; x++) {
      const s = sums + ((<usize>x) << 2)
      store<i32>(s, load<i32>(s) + <i32>load<u8>(rows + x) * w)
    }
  }
  for (let x = 0; x < n; x++) store<u8>(out + x, clip(load<i32>(sums + ((<usize>x) << 2))))
}

/**
 * Triangle-filter taps of outputs `from` to `from + count` of an axis resized from inSize to outSize, {starts, counts,
 * weights} one behind the other: Pillow's arithmetic, as axisTaps in src/image/resize.ts.
 */
export function triangleTaps(inSize: i32, outSize: i32, from: i32, count: i32, stride: i32, at: usize): void {
  const scale = <f64>inSize / <f64>outSize
  const support = max<f64>(scale, 1)
  const inverse = 1 / support
  const counts = at + ((<usize>count) << 2)
  let weights = counts + ((<usize>count) << 2)
  for (let i = 0; i < count; i++, weights += (<usize>stride) << 2) {
    const center = (<f64>(from + i) + 0.5) * scale
    const start = max(0, <i32>(center - support + 0.5))
    const end = min(inSize, <i32>(center + support + 0.5))
    let sum: f64 = 0
    for (let x = start; x < end; x++) sum += triangle(x, center, inverse)
    for (let x = start; x < end; x++) {
      const w = triangle(x, center, inverse)
      store<i32>(weights + ((<usize>(x - start)) << 2), <i32>(0.5 + (sum == 0 ? w : w / sum) * <f64>(1 << PRECISION)))
    }
    store<i32>(at + ((<usize>i) << 2), start)
    store<i32>(counts + ((<usize>i) << 2), end - start)
  }
}


@inline function triangle(x: i32, center: f64, inverse: f64): f64 {
  return max<f64>(0, 1 - abs<f64>((<f64>x - center + 0.5) * inverse))
}
