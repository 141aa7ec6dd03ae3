/**
 * Component planes to rows of gray or RGB, with libjpeg's integer arithmetic for upsampling and colour.
 * Source: JFIF 1.02; libjpeg's jdsample.c "fancy" upsampling (3/4 near, 1/4 far) and jdcolor.c; Pillow's CMYK to RGB.
 */
import { adobe, Component, component, componentCount, jfif, maxH, maxV } from './frame'


@inline function sample(at: usize): i32 {
  return <i32>load<u8>(at)
}

/**
 * Row y of a component at full width, `line` taking it where it must be made; its address. `scale`: eighths of the full
 * size. `sums`: scratch of 4 bytes a sample.
 */
export function componentRow(c: Component, y: i32, scale: i32, line: usize, sums: usize): usize {
  const scaleX = (maxH * scale) / (c.h * c.size)
  const scaleY = (maxV * scale) / (c.v * c.size)
  const stride = <usize>c.stride
  const w = c.width
  if (scaleX == 1 && scaleY == 1) return c.samples + <usize>y * stride
  const smooth = scale > 1
  const nearRow = y / scaleY
  const near = c.samples + <usize>nearRow * stride
  if (smooth && scaleX == 2 && scaleY == 1 && w > 2) {
    smoothRow(near, w, line)
    return line
  }
  const far = c.samples + min(max(nearRow + (y & 1 ? 1 : -1), 0), c.height - 1) * c.stride
  if (smooth && scaleX == 2 && scaleY == 2 && w > 2) {
    for (let x = 0; x < w; x++) store<i32>(sums + ((<usize>x) << 2), sample(near + x) * 3 + sample(far + x))
    smoothSums(sums, w, line)
    return line
  }
  if (smooth && scaleX == 1 && scaleY == 2) {
    const bias = y & 1 ? 2 : 1
    for (let x = 0; x < w; x++) store<u8>(line + x, (sample(near + x) * 3 + sample(far + x) + bias) >> 2)
    return line
  }
  let out = line
  for (let x = 0; x < w; x++) {
    const v = load<u8>(near + x)
    for (let i = 0; i < scaleX; i++) store<u8>(out++, v)
  }
  return line
}

function smoothRow(s: usize, width: i32, out: usize): void {
  const last = width - 1
  store<u8>(out, load<u8>(s))
  store<u8>(out, (sample(s) * 3 + sample(s + 1) + 2) >> 2, 1)
  for (let x = 1; x < last; x++) {
    const v = sample(s + x) * 3
    store<u8>(out + 2 * x, (v + sample(s + x - 1) + 1) >> 2)
    store<u8>(out + 2 * x, (v + sample(s + x + 1) + 2) >> 2, 1)
  }
  store<u8>(out + 2 * last, (sample(s + last) * 3 + sample(s + last - 1) + 1) >> 2)
  store<u8>(out + 2 * last, load<u8>(s + last), 1)
}

function smoothSums(sums: usize, width: i32, out: usize): void {
  const last = width - 1
  let before = load<i32>(sums)
  let here = before
  for (let x = 0; x <= last; x++) {
    const after = x < last ? load<i32>(sums + ((<usize>x) << 2), 4) : here
    store<u8>(out + 2 * x, (here * 3 + before + 8) >> 4)
    store<u8>(out + 2 * x, (here * 3 + after + 7) >> 4, 1)
    before = here
    here = after
  }
}


@inline function put(at: usize, v: i32): void {
  store<u8>(at, (v & ~255) == 0 ? v : ~(v >> 31) & 255)
}

/** Whether the first three components are YCbCr. Source: libjpeg's default_decompress_parms. */
export function isYcc(): bool {
  if (componentCount == 4) return adobe == 2
  if (jfif) return true
  if (adobe >= 0) return adobe != 0
  return !(component(0).id == 82 && component(1).id == 71 && component(2).id == 66)
}

/** Writes width RGB pixels. `k`: the fourth component's row, or 0. */
export function rgbRow(a: usize, b: usize, c: usize, k: usize, ycc: bool, width: i32, out: usize): void {
  const end = out + width * 3
  const start = out
  if (ycc) {
    for (; out < end; out += 3, a++, b++, c++) {
      const y = sample(a)
      const u = sample(b) - 128
      const v = sample(c) - 128
      put(out, y + ((v * 91881 + 32768) >> 16))
      put(out + 1, y + ((32768 - u * 22554 - v * 46802) >> 16))
      put(out + 2, y + ((u * 116130 + 32768) >> 16))
    }
  } else {
    for (; out < end; out += 3, a++, b++, c++) {
      store<u8>(out, load<u8>(a))
      store<u8>(out, load<u8>(b), 1)
      store<u8>(out, load<u8>(c), 2)
    }
  }
  if (k == 0) return
  // Inks are stored inverted, as Adobe writes them; YCCK holds them the right way round.
  for (let at = start, i = 0; at < end; at++) {
    const white = sample(k)
    const ink = ycc ? sample(at) : 255 - sample(at)
    const t = ink * white + 128
    put(at, white - (((t >> 8) + t) >> 8))
    if (++i == 3) {
      i = 0
      k++
    }
  }
}
