/**
 * Component rows to rows of gray or RGB, with libjpeg's integer arithmetic for upsampling and colour.
 * Source: JFIF 1.02; libjpeg's jdsample.c "fancy" upsampling (3/4 near, 1/4 far) and jdcolor.c; Pillow's CMYK to RGB.
 */
import { adobe, Component, component, componentCount, jfif, maxH, maxV } from './frame'

/** Bytes before a row that may be written, and behind its width. */
export const MARGIN: usize = 16


@inline function sample(at: usize): i32 {
  return <i32>load<u8>(at)
}


@inline export function rowOf(c: Component, y: i32): usize {
  return c.samples + <usize>(y % c.ring) * <usize>c.stride
}

/**
 * Row y of a component at full width, `line` taking it where it must be made; its address. `scale`: eighths of the full
 * size. `sums`: scratch of 2 bytes a sample. All three have MARGIN bytes around them.
 */
export function componentRow(c: Component, y: i32, scale: i32, line: usize, sums: usize): usize {
  const scaleX = (maxH * scale) / (c.h * c.size)
  const scaleY = (maxV * scale) / (c.v * c.size)
  const w = c.width
  if (scaleX == 1 && scaleY == 1) return rowOf(c, y)
  const smooth = scale > 1
  const nearRow = y / scaleY
  const near = rowOf(c, nearRow)
  if (smooth && scaleX == 2 && scaleY == 1 && w > 2) {
    smoothRow(near, w, line)
    return line
  }
  const far = rowOf(c, min(max(nearRow + (y & 1 ? 1 : -1), 0), c.height - 1))
  if (smooth && scaleX == 2 && scaleY == 2 && w > 2) {
    addRows(near, far, w, sums)
    smoothSums(sums, w, line)
    return line
  }
  if (smooth && scaleX == 1 && scaleY == 2) {
    mixRows(near, far, y & 1 ? 2 : 1, w, line)
    return line
  }
  let out = line
  for (let x = 0; x < w; x++) {
    const v = load<u8>(near + x)
    for (let i = 0; i < scaleX; i++) store<u8>(out++, v)
  }
  return line
}

/** Twice as wide. The ends are repeated beyond the row, which makes them equal themselves. */
function smoothRow(s: usize, width: i32, out: usize): void {
  store<u8>(s - 1, load<u8>(s))
  store<u8>(s + width, load<u8>(s + width - 1))
  if (ASC_FEATURE_SIMD) {
    const one = i16x8.splat(1)
    const two = i16x8.splat(2)
    for (let x = 0; x < width; x += 16, s += 16, out += 32) {
      const here = v128.load(s)
      const before = v128.load(s - 1)
      const after = v128.load(s + 1)
      const hl = i16x8.extend_low_i8x16_u(here)
      const hh = i16x8.extend_high_i8x16_u(here)
      const tl = i16x8.add(hl, i16x8.add(hl, hl))
      const th = i16x8.add(hh, i16x8.add(hh, hh))
      v128.store(
        out,
        zipped(
          i16x8.shr_u(i16x8.add(i16x8.add(tl, i16x8.extend_low_i8x16_u(before)), one), 2),
          i16x8.shr_u(i16x8.add(i16x8.add(tl, i16x8.extend_low_i8x16_u(after)), two), 2),
        ),
      )
      v128.store(
        out,
        zipped(
          i16x8.shr_u(i16x8.add(i16x8.add(th, i16x8.extend_high_i8x16_u(before)), one), 2),
          i16x8.shr_u(i16x8.add(i16x8.add(th, i16x8.extend_high_i8x16_u(after)), two), 2),
        ),
        16,
      )
    }
    return
  }
  for (let x = 0; x < width; x++, s++, out += 2) {
    const v = sample(s) * 3
    store<u8>(out, (v + sample(s - 1) + 1) >> 2)
    store<u8>(out, (v + sample(s + 1) + 2) >> 2, 1)
  }
}

/** Bytes of even and odd lanes, in turn. */
@inline function zipped(even: v128, odd: v128): v128 {
  return v128.or(even, i16x8.shl(odd, 8))
}

/** 3/4 and 1/4 of two rows, times 4, as u16, with the ends repeated beyond the row. */
function addRows(near: usize, far: usize, width: i32, sums: usize): void {
  if (ASC_FEATURE_SIMD) {
    for (let x = 0; x < width; x += 16, near += 16, far += 16) {
      const n = v128.load(near)
      const f = v128.load(far)
      const nl = i16x8.extend_low_i8x16_u(n)
      const nh = i16x8.extend_high_i8x16_u(n)
      const to = sums + ((<usize>x) << 1)
      v128.store(to, i16x8.add(i16x8.add(nl, i16x8.add(nl, nl)), i16x8.extend_low_i8x16_u(f)))
      v128.store(to, i16x8.add(i16x8.add(nh, i16x8.add(nh, nh)), i16x8.extend_high_i8x16_u(f)), 16)
    }
  } else {
    for (let x = 0; x < width; x++) {
      store<u16>(sums + ((<usize>x) << 1), <u16>(sample(near + x) * 3 + sample(far + x)))
    }
  }
  store<u16>(sums - 2, load<u16>(sums))
  const end = sums + ((<usize>width) << 1)
  store<u16>(end, load<u16>(end - 2))
}

function smoothSums(s: usize, width: i32, out: usize): void {
  if (ASC_FEATURE_SIMD) {
    const eight = i16x8.splat(8)
    const seven = i16x8.splat(7)
    for (let x = 0; x < width; x += 8, s += 16, out += 16) {
      const here = v128.load(s)
      const three = i16x8.add(here, i16x8.add(here, here))
      v128.store(
        out,
        zipped(
          i16x8.shr_u(i16x8.add(i16x8.add(three, v128.load(s - 2)), eight), 4),
          i16x8.shr_u(i16x8.add(i16x8.add(three, v128.load(s + 2)), seven), 4),
        ),
      )
    }
    return
  }
  for (let x = 0; x < width; x++, s += 2, out += 2) {
    const three = <i32>load<u16>(s) * 3
    store<u8>(out, (three + <i32>load<u16>(s - 2) + 8) >> 4)
    store<u8>(out, (three + <i32>load<u16>(s, 2) + 7) >> 4, 1)
  }
}

function mixRows(near: usize, far: usize, bias: i32, width: i32, out: usize): void {
  for (let x = 0; x < width; x++) store<u8>(out + x, (sample(near + x) * 3 + sample(far + x) + bias) >> 2)
}


@inline function put(at: usize, v: i32): void {
  store<u8>(at, (v & ~255) == 0 ? v : ~(v >> 31) & 255)
}

/** Whether the first three components are YCbCr. Source: libjpeg's default_decompress_parms. */
export function isYcc(): bool {
  if (componentCount == 4) return adobe > 0
  if (jfif) return true
  if (adobe >= 0) return adobe != 0
  return !(component(0).id == 82 && component(1).id == 71 && component(2).id == 66)
}

/**
 * Writes width RGB pixels, and up to 45 bytes behind them. `k`: the fourth component's row, or 0.
 */
export function rgbRow(a: usize, b: usize, c: usize, k: usize, ycc: bool, width: i32, out: usize): void {
  if (ASC_FEATURE_SIMD) {
    if (ycc) for (let x = 0; x < width; x += 16) yccPixels(a + x, b + x, c + x, out + x * 3)
    else {
      for (let x = 0; x < width; x += 16) {
        interleave(v128.load(a + x), v128.load(b + x), v128.load(c + x), out + x * 3)
      }
    }
  } else plainRow(a, b, c, ycc, width, out)
  if (k != 0) ink(k, ycc, width, out)
}

/** Sixteen pixels. Products of 16 bits suffice: no value of a component gives another result (tested for all). */
@inline function yccPixels(a: usize, b: usize, c: usize, out: usize): void {
  const centre = i16x8.splat(128)
  const y = v128.load(a)
  const u = v128.load(b)
  const v = v128.load(c)
  const yl = i16x8.extend_low_i8x16_u(y)
  const yh = i16x8.extend_high_i8x16_u(y)
  const ul = i16x8.sub(i16x8.extend_low_i8x16_u(u), centre)
  const uh = i16x8.sub(i16x8.extend_high_i8x16_u(u), centre)
  const vl = i16x8.sub(i16x8.extend_low_i8x16_u(v), centre)
  const vh = i16x8.sub(i16x8.extend_high_i8x16_u(v), centre)
  interleave(
    i8x16.narrow_i16x8_u(redOf(yl, vl), redOf(yh, vh)),
    i8x16.narrow_i16x8_u(greenOf(yl, ul, vl), greenOf(yh, uh, vh)),
    i8x16.narrow_i16x8_u(blueOf(yl, ul), blueOf(yh, uh)),
    out,
  )
}

/** Y + 1.402 Cr: 91881 / 2^16 is 1 + 26345 / 2^16. */
@inline function redOf(y: v128, v: v128): v128 {
  return i16x8.add(i16x8.add(y, v), i16x8.q15mulr_sat_s(v, i16x8.splat(13173)))
}

/** Y + 1.772 Cb: 116130 / 2^16 is 2 - 14942 / 2^16. */
@inline function blueOf(y: v128, u: v128): v128 {
  return i16x8.add(i16x8.add(y, i16x8.add(u, u)), i16x8.q15mulr_sat_s(u, i16x8.splat(-7471)))
}

/** Y - 0.34414 Cb - 0.71414 Cr: (-22554 Cb + 18734 Cr) / 2^16 - Cr. */
@inline function greenOf(y: v128, u: v128, v: v128): v128 {
  const k = v128.splat<i32>((-22554 & 0xffff) | (18734 << 16))
  const half = v128.splat<i32>(32768)
  const low = i32x4.dot_i16x8_s(v128.shuffle<u16>(u, v, 0, 8, 1, 9, 2, 10, 3, 11), k)
  const high = i32x4.dot_i16x8_s(v128.shuffle<u16>(u, v, 4, 12, 5, 13, 6, 14, 7, 15), k)
  const mixed = i16x8.narrow_i32x4_s(i32x4.shr_s(i32x4.add(low, half), 16), i32x4.shr_s(i32x4.add(high, half), 16))
  return i16x8.add(i16x8.sub(y, v), mixed)
}

/** Sixteen pixels of three samples each, from three planes. */
@inline function interleave(r: v128, g: v128, b: v128, out: usize): void {
  const rgLow = v128.shuffle<u8>(r, g, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
  const rgHigh = v128.shuffle<u8>(r, g, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)
  v128.store(out, v128.shuffle<u8>(rgLow, b, 0, 1, 16, 2, 3, 17, 4, 5, 18, 6, 7, 19, 8, 9, 20, 10))
  const middle = v128.shuffle<u8>(rgLow, rgHigh, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 0, 0, 0, 0, 0)
  v128.store(out, v128.shuffle<u8>(middle, b, 0, 21, 1, 2, 22, 3, 4, 23, 5, 6, 24, 7, 8, 25, 9, 10), 16)
  v128.store(out, v128.shuffle<u8>(rgHigh, b, 26, 6, 7, 27, 8, 9, 28, 10, 11, 29, 12, 13, 30, 14, 15, 31), 32)
}

function plainRow(a: usize, b: usize, c: usize, ycc: bool, width: i32, out: usize): void {
  const end = out + width * 3
  if (!ycc) {
    for (; out < end; out += 3, a++, b++, c++) {
      store<u8>(out, load<u8>(a))
      store<u8>(out, load<u8>(b), 1)
      store<u8>(out, load<u8>(c), 2)
    }
    return
  }
  for (; out < end; out += 3, a++, b++, c++) {
    const y = sample(a)
    const u = sample(b) - 128
    const v = sample(c) - 128
    put(out, y + ((v * 91881 + 32768) >> 16))
    put(out + 1, y + ((32768 - u * 22554 - v * 46802) >> 16))
    put(out + 2, y + ((u * 116130 + 32768) >> 16))
  }
}

/** Inks are stored inverted, as Adobe writes them; YCCK holds them the right way round. */
function ink(k: usize, ycc: bool, width: i32, out: usize): void {
  const end = out + width * 3
  for (; out < end; out += 3, k++) {
    const white = sample(k)
    for (let c: usize = 0; c < 3; c++) {
      const t = (ycc ? sample(out + c) : 255 - sample(out + c)) * white + 128
      put(out + c, white - (((t >> 8) + t) >> 8))
    }
  }
}
