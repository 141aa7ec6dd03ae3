/**
 * Picture to input tensor, as one module without imports: decoding of JPEG, PNG, BMP and PNM, resizing, and the tables
 * that turn samples into the model's input. The same samples on every host; all planning (placement, tables) is the
 * host's.
 *
 * One picture at a time: begin, write the file, open, decode (or begin and write pixels), then resize. Memory grows to
 * what a picture needs, within the limit given to begin.
 */
import { alloc, message, reset, status } from './image/memory'
import { decodePicture, openedHeight, openedWidth, openPicture, sniff, SLACK } from './image/picture'
import { pictureAt, pictureChannels, pictureHeight, pictureWidth } from './image/result'
import { resizeColumns, resizeRow, triangleTaps } from './image/resize'

/** Starts a picture: forgets the last one. Room for `bytes` bytes, or 0 after failing. */
export function begin(bytes: u32, maxBytes: u32): usize {
  reset(maxBytes)
  return alloc(<u64>bytes + SLACK)
}

/** Further room, or 0 after failing. */
export function reserve(bytes: u32): usize {
  return alloc(<u64>bytes)
}

/** 0, or the kind of failure: 1 truncated, 2 corrupt, 3 unsupported, 4 too large. */
export function failure(): i32 {
  return status
}
/** What the failure says: UTF-16. */
export function message_ptr(): usize {
  return changetype<usize>(message)
}
export function message_length(): i32 {
  return message.length
}

/** The format of a file: 0 for none that is read here, 1 JPEG, 2 PNG, 3 BMP, 4 PNM. */
export function format_of(file: usize, bytes: u32): i32 {
  return sniff(file, <usize>bytes)
}
/** Reads a file's header; 0 or the kind of failure. */
export function open(file: usize, bytes: u32): i32 {
  openPicture(file, <usize>bytes)
  return status
}
/** The upright picture's full size. */
export function full_width(): i32 {
  return openedWidth()
}
export function full_height(): i32 {
  return openedHeight()
}
/**
 * Decodes; a JPEG to 1/8, 1/4, 1/2 or full size, the smallest that is at least width x height (0: full). 0 or the kind
 * of failure.
 */
export function decode(width: i32, height: i32): i32 {
  decodePicture(width, height)
  return status
}

export function pixels_ptr(): usize {
  return pictureAt
}
export function pixels_width(): i32 {
  return pictureWidth
}
export function pixels_height(): i32 {
  return pictureHeight
}
export function pixels_channels(): i32 {
  return pictureChannels
}

/** ITU-R BT.601 luma in 16-bit fixed point, as Pillow's convert('L'). */
export function gray(picture: usize, channels: i32, count: i32, out: usize): void {
  for (let i = 0; i < count; i++, picture += channels) {
    store<u8>(
      out + i,
      (<i32>load<u8>(picture) * 19595 +
        <i32>load<u8>(picture, 1) * 38470 +
        <i32>load<u8>(picture, 2) * 7471 +
        0x8000) >>
        16,
    )
  }
}

/** Taps of the triangle filter for one axis at `at`: {starts, counts, weights}. */
export function triangle_taps(inSize: i32, outSize: i32, from: i32, count: i32, stride: i32, at: usize): void {
  triangleTaps(inSize, outSize, from, count, stride, at)
}

/**
 * Columns first: rows `first` to `last` of the picture, narrowed, into `temp`; then `countY` rows into `out`.
 * `x` and `y`: addresses of taps {starts, counts, weights} laid out one behind the other, `countX` and `countY` of
 * them. `pitch`: bytes of a picture row. `sums`: 4 bytes a sample of the widest row worked on.
 */
export function resize(
  picture: usize,
  pitch: i32,
  channels: i32,
  first: i32,
  last: i32,
  x: usize,
  countX: i32,
  strideX: i32,
  y: usize,
  countY: i32,
  strideY: i32,
  temp: usize,
  sums: usize,
  out: usize,
): void {
  const n = countX * channels
  const countsX = x + ((<usize>countX) << 2)
  const weightsX = countsX + ((<usize>countX) << 2)
  for (let r = first; r < last; r++) {
    resizeColumns(picture + r * pitch, channels, countX, x, countsX, weightsX, strideX, temp + (r - first) * n)
  }
  const countsY = y + ((<usize>countY) << 2)
  const weightsY = countsY + ((<usize>countY) << 2)
  for (let i = 0; i < countY; i++) {
    const at = (<usize>i) << 2
    resizeRow(
      temp + (load<i32>(y + at) - first) * n,
      n,
      n,
      load<i32>(countsY + at),
      weightsY + ((<usize>(i * strideY)) << 2),
      out + i * n,
      sums,
    )
  }
}

/** Rows first, for pictures that shrink more in height: columns `first` to `last` of each row. */
export function resize_rows_first(
  picture: usize,
  pitch: i32,
  channels: i32,
  first: i32,
  last: i32,
  x: usize,
  countX: i32,
  strideX: i32,
  y: usize,
  countY: i32,
  strideY: i32,
  temp: usize,
  sums: usize,
  out: usize,
): void {
  const n = (last - first) * channels
  const countsX = x + ((<usize>countX) << 2)
  const weightsX = countsX + ((<usize>countX) << 2)
  const countsY = y + ((<usize>countY) << 2)
  const weightsY = countsY + ((<usize>countY) << 2)
  for (let i = 0; i < countY; i++) {
    const at = (<usize>i) << 2
    resizeRow(
      picture + load<i32>(y + at) * pitch + first * channels,
      pitch,
      n,
      load<i32>(countsY + at),
      weightsY + ((<usize>(i * strideY)) << 2),
      temp,
      sums,
    )
    resizeColumns(temp - first * channels, channels, countX, x, countsX, weightsX, strideX, out + i * countX * channels)
  }
}

/**
 * Samples through tables of 256 bytes, one per channel of the tensor. `from`, `to`: first sample of a pixel and first
 * element of the tensor's pixel; steps in samples and elements.
 */
export function lookup(samples: usize, step: i32, count: i32, table: usize, out: usize, outStep: i32): void {
  for (let i = 0; i < count; i++, samples += step, out += outStep) store<u8>(out, load<u8>(table + load<u8>(samples)))
}
