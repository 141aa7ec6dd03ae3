/**
 * The decoded picture -> a model's input: scale, crop or letterbox, channel order, tables of 256 values per channel;
 * the arithmetic of src/image/preprocess.ts.
 */
import { alloc } from './memory'
import { Axis, axisX, axisY, resizeColumns, resizeRow, setAxis } from './resize'
import { pictureAt, pictureChannels, pictureHeight, pictureWidth, setPicture } from './result'

/**
 * What is wanted. The whole picture is scaled to width x height; of that, countX x countY pixels from (cropX, cropY) on
 * go to (padX, padY) of the input; what stays uncovered is black. Every field is 4 bytes; the host writes it by this
 * order.
 */
@unmanaged export class InputPlan {
  inputWidth: i32
  inputHeight: i32
  /** 1 or 3. */
  inputChannels: i32
  /** 1: [1, C, H, W]. */
  nchw: i32
  /** 1: the first channel is blue. */
  bgr: i32
  /** 1: colour pictures become gray first. */
  gray: i32
  /** As METHOD_… in taps.ts. */
  method: i32
  /** Address of 256 elements of `inputBytes` bytes for each input channel. */
  tables: u32
  inputBytes: i32
  /** Address of the input. */
  out: u32
  width: i32
  height: i32
  cropX: i32
  cropY: i32
  countX: i32
  countY: i32
  padX: i32
  padY: i32
}

/** Fills the input from the picture; false when there is no memory. */
export function fillInput(plan: InputPlan): bool {
  if (pictureChannels != 1 && (plan.inputChannels == 1 || plan.gray != 0) && !toGray()) return false
  const w = pictureWidth
  const h = pictureHeight
  const n = pictureChannels
  if (!setAxis(axisX, plan.method, w, plan.width, plan.cropX, plan.countX)) return false
  if (!setAxis(axisY, plan.method, h, plan.height, plan.cropY, plan.countY)) return false
  if (plan.countX * plan.countY < plan.inputWidth * plan.inputHeight) fillBlack(plan)
  // The order shows in the last bit. Source: Pillow 13.
  return h > plan.height && h - plan.height > 2 * (w - plan.width)
    ? rowsFirst(plan, w * n, n)
    : columnsFirst(plan, w * n, n)
}

function columnsFirst(plan: InputPlan, pitch: i32, n: i32): bool {
  const first = axisY.first
  const lineBytes = plan.countX * n
  const temp = alloc(<u64>(axisY.last - first) * lineBytes + 32)
  const sums = ASC_FEATURE_SIMD ? temp : alloc(<u64>lineBytes * 4)
  const line = alloc(<u64>lineBytes + 32)
  if (temp == 0 || sums == 0 || line == 0) return false
  let done = first
  for (let i = 0; i < plan.countY; i++) {
    const slot = (<usize>i) << 2
    const start = load<i32>(axisY.starts + slot)
    // Only rows that some output reads: nearest and bilinear-fast skip many.
    const end = start + load<i32>(axisY.counts + slot)
    for (let y = max(done, start); y < end; y++) {
      resizeColumns(pictureAt + <usize>y * pitch, n, axisX, temp + <usize>(y - first) * lineBytes)
    }
    done = max(done, end)
    resizeRow(temp - <usize>first * lineBytes, lineBytes, lineBytes, axisY, i, line, sums)
    emit(plan, line, n, i)
  }
  return true
}

/** For pictures that shrink more in height. */
function rowsFirst(plan: InputPlan, pitch: i32, n: i32): bool {
  const first = axisX.first * n
  const width = axisX.last * n - first
  const temp = alloc(<u64>width + 32)
  const sums = ASC_FEATURE_SIMD ? temp : alloc(<u64>width * 4)
  const line = alloc(<u64>plan.countX * n + 32)
  if (temp == 0 || sums == 0 || line == 0) return false
  for (let i = 0; i < plan.countY; i++) {
    resizeRow(pictureAt + first, pitch, width, axisY, i, temp, sums)
    resizeColumns(temp - first, n, axisX, line)
    emit(plan, line, n, i)
  }
  return true
}


@inline function tableOf(plan: InputPlan, c: i32): usize {
  return <usize>plan.tables + <usize>(c * 256 * plan.inputBytes)
}

/** One finished row of 8-bit samples through the tables to its place. */
export function emit(plan: InputPlan, line: usize, n: i32, row: i32): void {
  const bytes = plan.inputBytes
  const channels = plan.inputChannels
  const pixel = (plan.padY + row) * plan.inputWidth + plan.padX
  if (bytes == 1 && n == 3 && channels == 3 && plan.nchw == 0) {
    const t0 = tableOf(plan, 0)
    const t1 = tableOf(plan, 1)
    const t2 = tableOf(plan, 2)
    const r: usize = plan.bgr != 0 ? 2 : 0
    let to = <usize>plan.out + pixel * 3
    for (const end = to + plan.countX * 3; to < end; to += 3, line += 3) {
      store<u8>(to, load<u8>(t0 + load<u8>(line + r)))
      store<u8>(to, load<u8>(t1 + load<u8>(line, 1)), 1)
      store<u8>(to, load<u8>(t2 + load<u8>(line + 2 - r)), 2)
    }
    return
  }
  for (let c = 0; c < channels; c++) {
    const table = tableOf(plan, c)
    const step = plan.nchw != 0 ? 1 : channels
    let to = plan.nchw != 0 ? c * plan.inputWidth * plan.inputHeight + pixel : pixel * channels + c
    let p = line + (n == 1 ? 0 : plan.bgr != 0 ? 2 - c : c)
    for (let x = 0; x < plan.countX; x++, to += step, p += n) put(plan.out, to, bytes, table, load<u8>(p))
  }
}

/** Element `index` of the input becomes entry `value` of the table. */
@inline function put(out: usize, index: i32, bytes: i32, table: usize, value: i32): void {
  const to = out + <usize>index * bytes
  if (bytes == 1) store<u8>(to, load<u8>(table + value))
  else if (bytes == 2) store<u16>(to, load<u16>(table + ((<usize>value) << 1)))
  else store<u32>(to, load<u32>(table + ((<usize>value) << 2)))
}

export function fillBlack(plan: InputPlan): void {
  const plane = plan.inputWidth * plan.inputHeight
  for (let c = 0; c < plan.inputChannels; c++) {
    const first = plan.nchw != 0 ? c * plane : c
    const step = plan.nchw != 0 ? 1 : plan.inputChannels
    for (let i = 0; i < plane; i++) put(plan.out, first + i * step, plan.inputBytes, tableOf(plan, c), 0)
  }
}

/** ITU-R BT.601 luma in 16-bit fixed point, as Pillow's convert('L'). */
function toGray(): bool {
  const count = pictureWidth * pictureHeight
  const out = alloc(<u64>count + 32)
  if (out == 0) return false
  let p = pictureAt
  for (let i = 0; i < count; i++, p += 3) {
    store<u8>(
      out + i,
      (<i32>load<u8>(p) * 19595 + <i32>load<u8>(p, 1) * 38470 + <i32>load<u8>(p, 2) * 7471 + 0x8000) >> 16,
    )
  }
  setPicture(out, pictureWidth, pictureHeight, 1)
  return true
}
