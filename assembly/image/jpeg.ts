/**
 * JPEG to gray or RGB samples: baseline, extended and progressive Huffman files of 8 bits, any sampling, restart
 * markers, EXIF orientation. At full size the samples equal libjpeg's. A picture that is wanted smaller is decoded at
 * 1/2, 1/4 or 1/8 directly, without decoding the coefficients that this doesn't need.
 */
import { componentRow, isYcc, rgbRow } from './colour'
import {
  approxHigh,
  component,
  componentCount,
  fileEnd,
  found,
  height,
  maxH,
  maxV,
  mcusX,
  mcusY,
  orientation,
  progressive,
  readScan,
  readSegments,
  scanBody,
  scanBodyEnd,
  scanComponent,
  scanCount,
  spectralEnd,
  spectralStart,
  startFrame,
  width,
} from './frame'
import { nextMarker } from './huffman'
import { alloc, CORRUPT, fail, status } from './memory'
import { decodeScan, finishProgressive } from './scan'

/** The result: upright samples, row by row. */
export let pixels: usize = 0
export let pixelWidth: i32 = 0
export let pixelHeight: i32 = 0
export let pixelChannels: i32 = 0

let next: usize = 0
let scale: i32 = 8

/** Size of the upright picture at full size. */
export function fullWidth(): i32 {
  return orientation >= 5 ? height : width
}
export function fullHeight(): i32 {
  return orientation >= 5 ? width : height
}

/**
 * Reads the header of the file at `file`, which must be followed by at least 16 bytes that the module may overwrite.
 */
export function openJpeg(file: usize, length: usize): void {
  const end = file + length
  // An end-of-image marker behind the file stops every search.
  memory.fill(end, 0, 16)
  store<u32>(end, 0xd9ffd9ff)
  startFrame(end)
  if (length < 4 || load<u16>(file) != 0xd8ff) return fail(CORRUPT, 'no start-of-image marker')
  next = readSegments(file + 2, true)
  if (!found && status == 0) fail(CORRUPT, 'no frame header')
}

/** Decodes to the smallest scale that is at least wantedWidth x wantedHeight upright; 0: full size. */
export function decodeJpeg(wantedWidth: i32, wantedHeight: i32): void {
  if (status != 0) return
  scale = pickScale(orientation >= 5 ? wantedHeight : wantedWidth, orientation >= 5 ? wantedWidth : wantedHeight)
  let at = readSegments(next, false)
  if (status != 0) return
  if (at == 0) return fail(CORRUPT, 'no image data')
  if (!allocate()) return
  const needed = progressive && scale < 8 ? neededScans(at) : 0xffffffffffffffff
  for (let i = 0; at != 0; i++) {
    at = i < 64 && ((needed >> i) & 1) == 0 ? nextMarker(at, false) : decodeScan(at)
    if (status != 0) return
    if (!progressive && complete()) break
    at = readSegments(at, false)
    if (status != 0) return
  }
  if (!complete()) return fail(CORRUPT, 'a component has no image data')
  if (progressive) for (let i = 0; i < componentCount; i++) finishProgressive(component(i))
  assemble()
  turn()
}

function pickScale(w: i32, h: i32): i32 {
  if (w <= 0 || h <= 0) return 8
  for (let n = 1; n < 8; n <<= 1) if ((width * n + 7) / 8 >= w && (height * n + 7) / 8 >= h) return n
  return 8
}

function complete(): bool {
  for (let i = 0; i < componentCount; i++) if (component(i).seen == 0) return false
  return true
}

/**
 * Block sizes, and memory for samples and coefficients. Subsampled components are shrunk less. Source: libjpeg's
 * jdmaster.c.
 */
function allocate(): bool {
  for (let i = 0; i < componentCount; i++) {
    const c = component(i)
    let size = scale
    while (size < 8 && (maxH * scale) % (c.h * size * 2) == 0 && (maxV * scale) % (c.v * size * 2) == 0) size *= 2
    c.size = size
    c.lastK = size == 1 ? 0 : size == 2 ? 4 : size == 4 ? 24 : 63
    c.stride = c.blocksPerRow * size
    c.width = (width * c.h * size + maxH * 8 - 1) / (maxH * 8)
    c.height = (height * c.v * size + maxV * 8 - 1) / (maxV * 8)
    const blocks = <u64>c.blocksPerRow * <u64>(mcusY * c.v)
    c.samples = alloc(blocks * size * size)
    c.coefficients = progressive && status == 0 ? alloc(blocks * 128) : 0
    if (status != 0) return false
    if (progressive) memory.fill(c.coefficients, 0, <usize>(blocks * 128))
  }
  return true
}

/**
 * Bit i: the wanted size needs scan i from the one at `at` on. A first scan of high frequencies is needed only when a
 * later refinement reaches from them down to wanted ones.
 */
function neededScans(at: usize): u64 {
  const list = alloc(64 * 4)
  if (list == 0) return 0
  const firstBody = scanBody
  const firstEnd = scanBodyEnd
  let total = 0
  while (at != 0 && total < 64) {
    let mask = 0
    for (let i = 0; i < scanCount; i++) mask |= 1 << scanComponent(i).index
    store<u32>(
      list + ((<usize>total) << 2),
      spectralStart | (spectralEnd << 8) | (approxHigh > 0 ? 1 << 16 : 0) | (mask << 24),
    )
    total++
    at = nextScan(nextMarker(at, false))
    if (status != 0) return 0
  }
  for (let i = 0; i < componentCount; i++) component(i).reach = component(i).lastK
  let needed: u64 = 0
  while (--total >= 0) {
    const e = <i32>load<u32>(list + ((<usize>total) << 2))
    for (let i = 0; i < componentCount; i++) {
      if (((e >> (24 + i)) & 1) != 0 && (e & 255) <= component(i).reach) needed |= (<u64>1) << total
    }
    if (((needed >> total) & 1) == 0 || ((e >> 16) & 1) == 0) continue
    for (let i = 0; i < componentCount; i++) {
      if (((e >> (24 + i)) & 1) != 0) component(i).reach = max(component(i).reach, (e >> 8) & 255)
    }
  }
  readScan(firstBody, firstEnd)
  return needed
}

/**
 * Reads the next scan header from the marker at `at` on, and only that; the position of its data, 0 when there is none.
 */
function nextScan(at: usize): usize {
  while (true) {
    while (load<u8>(at) == 0xff && load<u8>(at, 1) == 0xff) at++
    const length = ((<usize>load<u8>(at, 2)) << 8) | (<usize>load<u8>(at, 3))
    const marker = load<u8>(at, 1)
    // Whatever is wrong here is found when the segments are read in turn.
    if (at >= fileEnd || load<u8>(at) != 0xff || marker == 0xd9 || length < 2 || at + 2 + length > fileEnd) return 0
    if (marker == 0xda) {
      readScan(at + 4, at + 2 + length)
      return at + 2 + length
    }
    at += 2 + length
  }
}

function assemble(): void {
  pixelWidth = (width * scale + 7) / 8
  pixelHeight = (height * scale + 7) / 8
  pixelChannels = componentCount == 1 ? 1 : 3
  const w = <usize>pixelWidth
  pixels = alloc(<u64>w * pixelHeight * pixelChannels)
  // Rows of padded width, one per component, and scratch for sums.
  const lineBytes: usize = (w + 64) & ~15
  const lines = alloc(<u64>lineBytes * 8)
  if (status != 0) return
  const sums = lines + lineBytes * 4
  if (componentCount == 1) {
    const c = component(0)
    for (let y = 0; y < pixelHeight; y++) memory.copy(pixels + <usize>y * w, c.samples + y * c.stride, w)
    return
  }
  const ycc = isYcc()
  for (let y = 0, out = pixels; y < pixelHeight; y++, out += w * 3) {
    const a = componentRow(component(0), y, scale, lines, sums)
    const b = componentRow(component(1), y, scale, lines + lineBytes, sums)
    const c = componentRow(component(2), y, scale, lines + 2 * lineBytes, sums)
    const k: usize = componentCount == 4 ? componentRow(component(3), y, scale, lines + 3 * lineBytes, sums) : 0
    rgbRow(a, b, c, k, ycc, pixelWidth, out)
  }
}

/** Makes the picture upright. Source: Exif 2.32, 4.6.4 A. */
function turn(): void {
  if (orientation <= 1 || status != 0) return
  const w = <i32>pixelWidth
  const h = <i32>pixelHeight
  const n = pixelChannels
  const out = alloc(<u64>w * <u64>h * <u64>n)
  if (out == 0) return
  // Source pixel of the upright picture's corner, and the steps to its right and lower neighbours.
  const right = w - 1
  const bottom = (h - 1) * w
  let from = 0
  let dx = 1
  let dy = w
  if (orientation == 2) {
    from = right
    dx = -1
    dy = w
  } else if (orientation == 3) {
    from = right + bottom
    dx = -1
    dy = -w
  } else if (orientation == 4) {
    from = bottom
    dx = 1
    dy = -w
  } else if (orientation == 5) {
    from = 0
    dx = w
    dy = 1
  } else if (orientation == 6) {
    from = bottom
    dx = -w
    dy = 1
  } else if (orientation == 7) {
    from = right + bottom
    dx = -w
    dy = -1
  } else {
    from = right
    dx = w
    dy = -1
  }
  if (orientation >= 5) {
    pixelWidth = h
    pixelHeight = w
  }
  let to = out
  for (let y = 0; y < pixelHeight; y++) {
    let i = from + y * dy
    for (let x = 0; x < pixelWidth; x++, i += dx) {
      const p = pixels + i * n
      for (let c = 0; c < n; c++) store<u8>(to++, load<u8>(p + c))
    }
  }
  pixels = out
}
