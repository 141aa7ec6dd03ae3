/**
 * JPEG to gray or RGB samples: baseline, extended and progressive files of 8 bits, Huffman or arithmetic coding, any
 * sampling, restart markers. Samples equal libjpeg-turbo's with its defaults, and so Pillow's, also for damaged files;
 * refused is what Pillow refuses, but for arithmetic coding of more than 64 KiB, which Pillow can't read in pieces.
 * On request at 1/2, 1/4 or 1/8 of the size, as libjpeg does it.
 */
import { componentRow, isYcc, MARGIN, rgbRow, rowOf } from './colour'
import {
  AT_END,
  AT_NOTHING,
  AT_SCAN,
  arithmetic,
  Component,
  component,
  componentCount,
  endFileAt,
  fileEnd,
  found,
  height,
  maxH,
  maxV,
  mcusX,
  mcusY,
  position,
  progressive,
  readMarkers,
  scanComponent,
  scanCount,
  setPosition,
  setUpFrame,
  standardTables,
  startFrame,
  startImage,
  surveyHeader,
  suspended,
  width,
} from './frame'
import { inverseDct } from './idct'
import { alloc, CORRUPT, fail, status, TOO_LARGE, TRUNCATED } from './memory'
import { orientation, turn } from './orientation'
import { decodeScan, decodeUnit, startScan, startScans, unit, unitReach } from './scan'
import { needsSmoothing, smoothBlock, smoothed, unitsOf } from './smooth'
import { pictureAt, setPicture } from './result'
import { endScan } from './huffman'

/** Eighths of the full size. */
let scale: i32 = 8
/** Most scans that a file may have, and most blocks that all of them may visit, per block of the picture. */
const MAX_SCANS: i32 = 500
const MAX_VISITS: i64 = 64
/** Block visits that any file may cost. */
const FREE_VISITS: i64 = 4_000_000
/** Pillow hands a file to libjpeg in pieces of so many bytes, and stops at the end of that with the last row. */
const PIECE: usize = 65536
let pieceStart: usize = 0

/** Size of the upright picture at full size. */
export function fullWidth(): i32 {
  return orientation >= 5 ? height : width
}
export function fullHeight(): i32 {
  return orientation >= 5 ? width : height
}

/** Reads the header of the file at `file`, which must be followed by at least 64 bytes that may be overwritten. */
export function openJpeg(file: usize, length: usize): void {
  const end = file + length
  // End-of-image markers behind the file stop every search.
  for (let i: usize = 0; i < 64; i += 2) store<u16>(end + i, 0xd9ff)
  pieceStart = file
  startFrame(file + 2, end)
  if (length < 4 || load<u16>(file) != 0xd8ff) return fail(CORRUPT, 'no start-of-image marker')
  surveyHeader(file + 2)
  if (status != 0) return
  // Tables alone may come first.
  let at = readMarkers()
  while (at == AT_END && !found) {
    if (load<u16>(position) != 0xd8ff) break
    setPosition(position + 2, 0)
    startImage()
    at = readMarkers()
  }
  if (at != AT_SCAN) return atFault('no image data')
  setUpFrame()
}

function atFault(text: string): void {
  if (suspended) fail(TRUNCATED, 'the file ends before its image does')
  else fail(CORRUPT, text)
}

/** Decodes to the smallest scale that is at least wantedWidth x wantedHeight upright; 0: full size. */
export function decodeJpeg(wantedWidth: i32, wantedHeight: i32): void {
  if (status != 0) return
  scale = pickScale(orientation >= 5 ? wantedHeight : wantedWidth, orientation >= 5 ? wantedWidth : wantedHeight)
  if (!progressive && !arithmetic) standardTables()
  startScans()
  if (!progressive && scanCount == componentCount) decodeOne()
  else decodeMany()
  if (status == 0) turn()
}

function pickScale(w: i32, h: i32): i32 {
  if (w <= 0 || h <= 0) return 8
  for (let n = 1; n < 8; n <<= 1) if ((width * n + 7) / 8 >= w && (height * n + 7) / 8 >= h) return n
  return 8
}

/** Bytes of the lines that a row of pixels is made from. */
let lineBytes: usize = 0
let lines: usize = 0
let outputRow: i32 = 0
let outWidth: i32 = 0
let outHeight: i32 = 0

/**
 * Block sizes, room for two rows of units of samples, and for the result. Subsampled components are shrunk less.
 * Source: libjpeg's jdmaster.c.
 */
function allocate(): void {
  outWidth = (width * scale + 7) / 8
  outHeight = (height * scale + 7) / 8
  const channels = componentCount == 1 ? 1 : 3
  for (let i = 0; i < componentCount; i++) {
    const c = component(i)
    let size = scale
    while (size < 8 && (maxH * scale) % (c.h * size * 2) == 0 && (maxV * scale) % (c.v * size * 2) == 0) size *= 2
    c.size = size
    c.stride = (c.blocksPerRow * size + 47) & ~15
    c.ring = 2 * c.v * size
    c.width = (width * c.h * size + maxH * 8 - 1) / (maxH * 8)
    c.height = (height * c.v * size + maxV * 8 - 1) / (maxV * 8)
    const samples = alloc(<u64>c.stride * c.ring + 64)
    if (samples == 0) return
    c.samples = samples + MARGIN
  }
  lineBytes = ((<usize>outWidth + 31) & ~15) + 4 * MARGIN
  lines = alloc(<u64>lineBytes * 6)
  const pixels = alloc(<u64>outWidth * outHeight * channels + 64)
  if (status == 0) setPicture(pixels, outWidth, outHeight, channels)
  outputRow = 0
}

/** A file of one scan: units go straight to samples, rows of units to pixels. */
function decodeOne(): void {
  startScan(position)
  if (status == 0) allocate()
  if (status != 0) return
  let blocks = 0
  for (let i = 0; i < scanCount; i++) blocks += scanComponent(i).h * scanComponent(i).v
  for (let y = 0; y < mcusY; y++) {
    for (let x = 0; x < mcusX; x++) {
      if (!decodeUnit(blocks)) return atFault('')
      placeUnit(x, y)
    }
    emitRows(y + 1)
  }
  endScan()
  checkEnd()
}

/** The unit's blocks as samples. */
function placeUnit(x: i32, y: i32): void {
  let block: usize = unit
  let reach: usize = unitReach
  for (let i = 0; i < scanCount; i++) {
    const c = scanComponent(i)
    const stride = <usize>c.stride
    for (let dy = 0; dy < c.v; dy++) {
      let out = rowOf(c, (y * c.v + dy) * c.size) + x * c.h * c.size
      for (let dx = 0; dx < c.h; dx++, block += 128, reach += 4, out += c.size) {
        inverseDct(block, c.quant, load<i32>(reach), c.size, out, stride)
      }
    }
  }
}

/**
 * What follows the last row, as far as Pillow has handed it over by then: an error there counts, its end does not.
 */
function checkEnd(): void {
  const end = pieceStart + ((position - pieceStart + PIECE - 1) / PIECE) * PIECE
  endFileAt(min(end, fileEnd))
  if (readMarkers() == AT_SCAN) fail(CORRUPT, 'a second scan of components that were complete')
}

/** A file of several scans: coefficients of all, then samples. */
function decodeMany(): void {
  checkScans()
  for (let i = 0; i < componentCount && status == 0; i++) {
    const c = component(i)
    // Smoothing looks at all rows of the last units, also where the picture ends before.
    const bytes = (<u64>c.blocksPerRow * <u64>(unitsOf(c) * c.unitRows)) << 7
    c.coefficients = alloc(bytes)
    if (status == 0) memory.fill(c.coefficients, 0, <usize>bytes)
  }
  if (status == 0) allocate()
  if (status != 0) return
  while (true) {
    if (!decodeScan(position)) return atFault('')
    const next = readMarkers()
    if (next == AT_END) break
    if (next == AT_NOTHING) return atFault('')
  }
  const smooth = needsSmoothing()
  for (let y = 0; y < mcusY; y++) {
    for (let i = 0; i < componentCount; i++) {
      for (let dy = 0; dy < component(i).v; dy++) finishBlocks(i, y * component(i).v + dy, smooth)
    }
    emitRows(y + 1)
  }
}

function finishBlocks(index: i32, y: i32, smooth: bool): void {
  const c = component(index)
  if (y >= c.blocksY) return
  let out = rowOf(c, y * c.size)
  const stride = <usize>c.stride
  let block = c.coefficients + ((<usize>(y * c.blocksPerRow)) << 7)
  for (let x = 0; x < c.blocksX; x++, out += c.size, block += 128) {
    if (smooth) {
      smoothBlock(index, x, y)
      inverseDct(smoothed, c.quant, 64, c.size, out, stride)
    } else if (c.quant == 0) gray(c.size, out, stride)
    else inverseDct(block, c.quant, reachOf(block), c.size, out, stride)
  }
}

/** A component without data. */
function gray(size: i32, out: usize, stride: usize): void {
  for (let y = 0; y < size; y++, out += stride) memory.fill(out, 128, size)
}

/** 1 for a block that has at most a DC, 10 where rows 4 to 7 are zero, else 64. */
function reachOf(block: usize): i32 {
  let low = load<u64>(block) & 0xffff_ffff_ffff_0000
  for (let at: usize = 8; at < 64; at += 8) low |= load<u64>(block + at)
  let high: u64 = 0
  for (let at: usize = 64; at < 128; at += 8) high |= load<u64>(block + at)
  return high != 0 ? 64 : low != 0 ? 10 : 1
}

/**
 * Counts the scans to come and the blocks that they visit before any is decoded: a small file may ask for a large
 * picture thousands of times.
 */
function checkScans(): void {
  let visits: i64 = 0
  let scans = 0
  let at = position
  let picture: i64 = 0
  for (let i = 0; i < componentCount; i++) picture += <i64>component(i).blocksX * component(i).blocksY
  let here = <i64>0
  for (let i = 0; i < scanCount; i++) here += <i64>scanComponent(i).blocksX * scanComponent(i).blocksY
  while (true) {
    visits += here
    scans++
    at = nextScan(at)
    if (at == 0) break
    here = scanBlocks(at)
    at += 2
  }
  if (scans > MAX_SCANS || (visits > FREE_VISITS && visits > MAX_VISITS * picture)) {
    fail(TOO_LARGE, 'the picture takes too many scans')
  }
}

/** The place of the next scan header's length from `at` on, or 0. */
function nextScan(at: usize): usize {
  while (at + 1 < fileEnd) {
    if (load<u8>(at) != 0xff) {
      at++
      continue
    }
    const marker = load<u8>(at, 1)
    if (marker == 0xda) return at + 2
    at += marker == 0xff ? 1 : 2
  }
  return 0
}

/** Blocks of the components that the scan header at `at` names. */
function scanBlocks(at: usize): i64 {
  if (at + 3 > fileEnd) return 0
  let blocks: i64 = 0
  const n = min(<i32>load<u8>(at, 2), 4)
  for (let i = 0; i < n; i++) {
    const p = at + 3 + 2 * i
    if (p >= fileEnd) break
    for (let k = 0; k < componentCount; k++) {
      const c: Component = component(k)
      if (c.id == <i32>load<u8>(p)) blocks += <i64>c.blocksX * c.blocksY
    }
  }
  return blocks
}

/** Writes the pixel rows whose samples are there after `unitRows` rows of units: all but one, which needs the next. */
function emitRows(unitRows: i32): void {
  const end = unitRows == mcusY ? outHeight : min(unitRows * maxV * scale - 1, outHeight)
  const w = <usize>outWidth
  if (componentCount == 1) {
    for (; outputRow < end; outputRow++) {
      memory.copy(pictureAt + <usize>outputRow * w, rowOf(component(0), outputRow), w)
    }
    return
  }
  const ycc = isYcc()
  const first = lines + MARGIN
  const sums = first + lineBytes * 4
  for (; outputRow < end; outputRow++) {
    const a = componentRow(component(0), outputRow, scale, first, sums)
    const b = componentRow(component(1), outputRow, scale, first + lineBytes, sums)
    const c = componentRow(component(2), outputRow, scale, first + 2 * lineBytes, sums)
    const k: usize = componentCount == 4 ? componentRow(component(3), outputRow, scale, first + 3 * lineBytes, sums) : 0
    rgbRow(a, b, c, k, ycc, outWidth, pictureAt + <usize>outputRow * w * 3)
  }
}
