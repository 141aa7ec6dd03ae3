/**
 * A raw YUV frame -> a model's input. Rows become RGB one at a time, where the resize reads them: the samples are those
 * of a frame that was converted whole (src/image/source.ts) and then resized, and no RGB is ever larger than a few
 * rows.
 */
import { emit, fillBlack, InputPlan } from './input'
import { alloc } from './memory'
import { axisX, axisY, resizeColumns, resizeRow, setAxis } from './resize'

/** Where the planes are and how they become RGB; written by the host in this order, 4 bytes a field. */
@unmanaged export class RawPlan {
  width: i32
  height: i32
  luma: u32
  lumaStride: i32
  u: u32
  v: u32
  colourStride: i32
  /** Bytes from one colour sample to the next: 1 or 2. */
  step: i32
  /** Luma of black, then factors of 2^16: luma, V in red, U and V in green, U in blue. */
  base: i32
  gain: i32
  rv: i32
  gu: i32
  gv: i32
  bu: i32
}

/** Fills the input from a frame; false when there is no memory. Planes are followed by 16 bytes that may be read. */
export function fillFromRaw(plan: InputPlan, raw: RawPlan): bool {
  const n: i32 = plan.inputChannels == 1 || plan.gray != 0 ? 1 : 3
  if (!setAxis(axisX, plan.method, raw.width, plan.width, plan.cropX, plan.countX)) return false
  if (!setAxis(axisY, plan.method, raw.height, plan.height, plan.cropY, plan.countY)) return false
  if (plan.countX * plan.countY < plan.inputWidth * plan.inputHeight) fillBlack(plan)
  // The order shows in the last bit, see fillInput.
  return raw.height > plan.height && raw.height - plan.height > 2 * (raw.width - plan.width)
    ? rowsFirst(plan, raw, n)
    : columnsFirst(plan, raw, n)
}

function columnsFirst(plan: InputPlan, raw: RawPlan, n: i32): bool {
  const first = axisY.first
  const lineBytes = plan.countX * n
  const band = alloc(<u64>raw.width * 3 + 64)
  const temp = alloc(<u64>(axisY.last - first) * lineBytes + 32)
  const sums = ASC_FEATURE_SIMD ? temp : alloc(<u64>lineBytes * 4)
  const line = alloc(<u64>lineBytes + 32)
  if (band == 0 || temp == 0 || sums == 0 || line == 0) return false
  let done = first
  for (let i = 0; i < plan.countY; i++) {
    const slot = (<usize>i) << 2
    const start = load<i32>(axisY.starts + slot)
    const end = start + load<i32>(axisY.counts + slot)
    for (let y = max(done, start); y < end; y++) {
      convertRow(raw, y, n, band)
      resizeColumns(band, n, axisX, temp + <usize>(y - first) * lineBytes)
    }
    done = max(done, end)
    resizeRow(temp - <usize>first * lineBytes, lineBytes, lineBytes, axisY, i, line, sums)
    emit(plan, line, n, i)
  }
  return true
}

function rowsFirst(plan: InputPlan, raw: RawPlan, n: i32): bool {
  const first = axisX.first * n
  const width = axisX.last * n - first
  const pitch = raw.width * n
  let most = 0
  for (let i = 0; i < plan.countY; i++) most = max(most, load<i32>(axisY.counts + ((<usize>i) << 2)))
  // A row's RGB lies in the band before it becomes gray.
  const band = alloc(<u64>most * pitch + <u64>raw.width * 3 + 64)
  const temp = alloc(<u64>width + 32)
  const sums = ASC_FEATURE_SIMD ? temp : alloc(<u64>width * 4)
  const line = alloc(<u64>plan.countX * n + 32)
  if (band == 0 || temp == 0 || sums == 0 || line == 0) return false
  for (let i = 0; i < plan.countY; i++) {
    const slot = (<usize>i) << 2
    const start = load<i32>(axisY.starts + slot)
    const count = load<i32>(axisY.counts + slot)
    for (let k = 0; k < count; k++) convertRow(raw, start + k, n, band + <usize>(k * pitch))
    resizeRow(band + first - <usize>(start * pitch), pitch, width, axisY, i, temp, sums)
    resizeColumns(temp - first, n, axisX, line)
    emit(plan, line, n, i)
  }
  return true
}

/** Row y as RGB or gray at `out`, where width * 3 + 32 bytes may be written. */
function convertRow(raw: RawPlan, y: i32, n: i32, out: usize): void {
  const luma = <usize>raw.luma + <usize>y * raw.lumaStride
  const at = <usize>(y >> 1) * raw.colourStride
  const u = <usize>raw.u + at
  const v = <usize>raw.v + at
  if (ASC_FEATURE_SIMD) wideRgb(raw, luma, u, v, out)
  else plainRgb(raw, luma, u, v, out)
  if (n == 1) {
    // ITU-R BT.601 luma in 16-bit fixed point, as Pillow's convert('L').
    let p = out
    for (let x = 0; x < raw.width; x++, p += 3) {
      const gray = <i32>load<u8>(p) * 19595 + <i32>load<u8>(p, 1) * 38470 + <i32>load<u8>(p, 2) * 7471 + 0x8000
      store<u8>(out + x, gray >> 16)
    }
  }
}

/** Four colour samples, less 128. */
@inline function colours(at: usize, step: i32): v128 {
  const bytes = step == 1 ? v128.load32_zero(at) : v128.load64_zero(at)
  const spread =
    step == 1
      ? i8x16(0, -1, -1, -1, 1, -1, -1, -1, 2, -1, -1, -1, 3, -1, -1, -1)
      : i8x16(0, -1, -1, -1, 2, -1, -1, -1, 4, -1, -1, -1, 6, -1, -1, -1)
  return i32x4.sub(i8x16.swizzle(bytes, spread), i32x4.splat(128))
}


@inline function twice0(c: v128): v128 {
  return v128.shuffle<u32>(c, c, 0, 0, 1, 1)
}


@inline function twice1(c: v128): v128 {
  return v128.shuffle<u32>(c, c, 2, 2, 3, 3)
}


@inline function samples(low: v128, high: v128): v128 {
  return i16x8.narrow_i32x4_s(i32x4.shr_s(low, 16), i32x4.shr_s(high, 16))
}

function wideRgb(raw: RawPlan, luma: usize, u: usize, v: usize, out: usize): void {
  const step = raw.step
  const base = i32x4.splat(raw.base)
  const gain = i32x4.splat(raw.gain)
  const half = i32x4.splat(32768)
  const rv = i32x4.splat(raw.rv)
  const gu = i32x4.splat(raw.gu)
  const gv = i32x4.splat(raw.gv)
  const bu = i32x4.splat(raw.bu)
  const colourBytes = (<usize>step) << 2
  for (let x = 0; x < raw.width; x += 8, luma += 8, u += colourBytes, v += colourBytes, out += 24) {
    const shorts = v128.load_ext<u8>(luma)
    const l0 = i32x4.add(i32x4.mul(i32x4.sub(i32x4.extend_low_i16x8_s(shorts), base), gain), half)
    const l1 = i32x4.add(i32x4.mul(i32x4.sub(i32x4.extend_high_i16x8_s(shorts), base), gain), half)
    const cu = colours(u, step)
    const cv = colours(v, step)
    const red = i32x4.mul(cv, rv)
    const green = i32x4.add(i32x4.mul(cu, gu), i32x4.mul(cv, gv))
    const blue = i32x4.mul(cu, bu)
    const r = samples(i32x4.add(l0, twice0(red)), i32x4.add(l1, twice1(red)))
    const g = samples(i32x4.sub(l0, twice0(green)), i32x4.sub(l1, twice1(green)))
    const b = samples(i32x4.add(l0, twice0(blue)), i32x4.add(l1, twice1(blue)))
    const rg = i8x16.narrow_i16x8_u(r, g)
    const bb = i8x16.narrow_i16x8_u(b, b)
    v128.store(out, v128.shuffle<u8>(rg, bb, 0, 8, 16, 1, 9, 17, 2, 10, 18, 3, 11, 19, 4, 12, 20, 5))
    v128.store(out, v128.shuffle<u8>(rg, bb, 13, 21, 6, 14, 22, 7, 15, 23, 0, 0, 0, 0, 0, 0, 0, 0), 16)
  }
}


@inline function clamped(v: i32): i32 {
  return max(0, min(255, v >> 16))
}

function plainRgb(raw: RawPlan, luma: usize, u: usize, v: usize, out: usize): void {
  const step = raw.step
  for (let x = 0; x < raw.width; x++, out += 3) {
    const l = (<i32>load<u8>(luma + x) - raw.base) * raw.gain + 32768
    const at = <usize>((x >> 1) * step)
    const cu = <i32>load<u8>(u + at) - 128
    const cv = <i32>load<u8>(v + at) - 128
    store<u8>(out, clamped(l + raw.rv * cv))
    store<u8>(out, clamped(l - raw.gu * cu - raw.gv * cv), 1)
    store<u8>(out, clamped(l + raw.bu * cu), 2)
  }
}
