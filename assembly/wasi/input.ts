/**
 * The decoded picture -> the model's input: scale, crop or letterbox, channel order, tables; as
 * src/image/preprocess.ts.
 */
import { gray, resize, resize_rows_first } from '../image'
import { alloc } from '../image/memory'
import { thimble_input_ptr } from '../exec'
import { settings } from './settings'
import { channels, height, samples, setPicture, width } from './picture'
import { place, placePicture } from './placement'
import { axisTaps, stride } from './taps'

/** Fills input 0; false when there is no memory. */
export function fillInput(): bool {
  const s = settings()
  if (channels != 1 && (s.inputChannels == 1 || s.gray != 0)) {
    const out = alloc(<u64>width * height)
    if (out == 0) return false
    gray(samples, channels, width * height, out)
    setPicture(out, width, height, 1)
  }
  placePicture(width, height)
  const scaled = scalePicture()
  if (scaled == 0) return false
  const plane = s.inputWidth * s.inputHeight
  for (let c = 0; c < s.inputChannels; c++) {
    const table: usize = s.tables + c * 256 * s.inputBytes
    const first = s.nchw != 0 ? c * plane : c
    const step = s.nchw != 0 ? 1 : s.inputChannels
    if (place.countX * place.countY < plane) for (let i = 0; i < plane; i++) put(first + i * step, table, 0)
    const from = channels == 1 ? 0 : s.bgr != 0 ? 2 - c : c
    for (let y = 0; y < place.countY; y++) {
      let to = first + ((place.padY + y) * s.inputWidth + place.padX) * step
      let p = scaled + y * place.countX * channels + from
      for (let x = 0; x < place.countX; x++, to += step, p += channels) put(to, table, load<u8>(p))
    }
  }
  return true
}

/** Element `index` of the input becomes entry `value` of the table. */
// @ts-ignore: decorator
@inline
function put(index: i32, table: usize, value: i32): void {
  const bytes = settings().inputBytes
  const to: usize = thimble_input_ptr(0) + index * bytes
  if (bytes == 1) store<u8>(to, load<u8>(table + value))
  else if (bytes == 2) store<u16>(to, load<u16>(table + ((<usize>value) << 1)))
  else store<u32>(to, load<u32>(table + ((<usize>value) << 2)))
}

/** The picture at its place's size: countX x countY pixels; 0 when there is no memory. */
function scalePicture(): usize {
  const method = settings().method
  const w = width
  const h = height
  const n = channels
  const x = axisTaps(method, w, place.width, place.cropX, place.countX)
  const strideX = stride
  const y = axisTaps(method, h, place.height, place.cropY, place.countY)
  const strideY = stride
  if (x == 0 || y == 0) return 0
  const rowsFirst = h > place.height && h - place.height > 2 * (w - place.width)
  const axis = rowsFirst ? x : y
  const count = rowsFirst ? place.countX : place.countY
  const first = load<i32>(axis)
  const last = load<i32>(axis + ((<usize>(count - 1)) << 2)) + load<i32>(axis + ((<usize>(2 * count - 1)) << 2))
  const line = max(w, place.countX) * n
  const temp = alloc(rowsFirst ? <u64>line : <u64>(last - first) * place.countX * n)
  const sums = alloc(<u64>line * 4)
  const out = alloc(<u64>place.countX * place.countY * n)
  if (temp == 0 || sums == 0 || out == 0) return 0
  if (rowsFirst) {
    resize_rows_first(
      samples,
      w * n,
      n,
      first,
      last,
      x,
      place.countX,
      strideX,
      y,
      place.countY,
      strideY,
      temp,
      sums,
      out,
    )
  } else resize(samples, w * n, n, first, last, x, place.countX, strideX, y, place.countY, strideY, temp, sums, out)
  return out
}
