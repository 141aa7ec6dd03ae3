/**
 * JPEG's other entropy coding: binary arithmetic coding with adaptive probabilities, for sequential and progressive
 * scans. Damaged data gives what libjpeg gives: zeros behind the data's end, and blocks left as they are from a code
 * that is none on to the next restart. A file that ends inside its data is truncated.
 * Source: ITU-T T.81, annex D (the decoder), F.1.4 and F.2.4 (sequential), G.1.3 and G.2 (progressive); libjpeg-turbo's
 * jdarith.c for damage.
 */
import {
  approxHigh,
  approxLow,
  Component,
  conditioning,
  fileEnd,
  progressive,
  spectralEnd,
  spectralStart,
  ZIGZAG,
} from './frame'
import { position, setBits } from './huffman'
import { fail, TRUNCATED } from './memory'

/**
 * Table D.3, and one state more whose probability stays a half (T.851, table 5):
 * Qe << 16 | next state after the more probable symbol << 8 | whether that symbol changes << 7 | next one after the
 * other.
 */
const STATES = memory.data<u32>([
  0x5a1d0181, 0x2586020e, 0x11140310, 0x080b0412, 0x03d80514, 0x01da0617, 0x00e50719, 0x006f081c, 0x0036091e,
  0x001a0a21, 0x000d0b23, 0x00060c09, 0x00030d0a, 0x00010d0c, 0x5a7f0f8f, 0x3f251024, 0x2cf21126, 0x207c1227,
  0x17b91328, 0x1182142a, 0x0cef152b, 0x09a1162d, 0x072f172e, 0x055c1830, 0x04061931, 0x03031a33, 0x02401b34,
  0x01b11c36, 0x01441d38, 0x00f51e39, 0x00b71f3b, 0x008a203c, 0x0068213e, 0x004e223f, 0x003b2320, 0x002c0921,
  0x5ae125a5, 0x484c2640, 0x3a0d2741, 0x2ef12843, 0x261f2944, 0x1f332a45, 0x19a82b46, 0x15182c48, 0x11772d49,
  0x0e742e4a, 0x0bfb2f4b, 0x09f8304d, 0x0861314e, 0x0706324f, 0x05cd3330, 0x04de3432, 0x040f3532, 0x03633633,
  0x02d43734, 0x025c3835, 0x01f83936, 0x01a43a37, 0x01603b38, 0x01253c39, 0x00f63d3a, 0x00cb3e3b, 0x00ab3f3d,
  0x008f203d, 0x5b1241c1, 0x4d044250, 0x412c4351, 0x37d84452, 0x2fe84553, 0x293c4654, 0x23794756, 0x1edf4857,
  0x1aa94957, 0x174e4a48, 0x14244b48, 0x119c4c4a, 0x0f6b4d4a, 0x0d514e4b, 0x0bb64f4d, 0x0a40304d, 0x583251d0,
  0x4d1c5258, 0x438e5359, 0x3bdd545a, 0x34ee555b, 0x2eae565c, 0x299a575d, 0x25164756, 0x557059d8, 0x4ca95a5f,
  0x44d95b60, 0x3e225c61, 0x38245d63, 0x32b45e63, 0x2e17565d, 0x56a860df, 0x4f466165, 0x47e56266, 0x41cf6367,
  0x3c3d6468, 0x375e5d63, 0x52316669, 0x4c0f676a, 0x4639686b, 0x415e6367, 0x56276ae9, 0x50e76b6c, 0x4b85676d,
  0x55976d6e, 0x504f6b6f, 0x5a106fee, 0x55226d70, 0x59eb6ff0, 0x5a1d7171,
])

const TABLES: i32 = 16
const DC_BINS: usize = 64
const AC_BINS: usize = 256
/** The bins of all DC tables, then of all AC tables; each the more probable symbol << 7 | state. */
const bins = memory.data(16 * 64 + 16 * 256, 16)
const fixedBin = memory.data<u8>([113])

/**
 * The interval's size, the code less the interval's base with the bits to come below, and how many of those there are.
 */
let interval: i32 = 0
let code: i32 = 0
let ahead: i32 = 0
/** A code that is none was met: nothing is decoded before the next restart. */
let broken: bool = false
/** A marker was met: zeros follow. */
let ended: bool = false

/** Forgets the tables of a component of the scan, as every scan and every restart begins. */
function startComponent(c: Component): void {
  if (!progressive || (spectralStart == 0 && approxHigh == 0)) {
    memory.fill(c.dc, 0, DC_BINS)
    c.predictor = 0
    c.context = 0
  }
  if (!progressive || spectralStart > 0) memory.fill(c.ac, 0, AC_BINS)
}

export function startArithmetic(c: Component): void {
  c.dc = bins + <usize>c.dcIndex * DC_BINS
  c.ac = bins + <usize>TABLES * DC_BINS + <usize>c.acIndex * AC_BINS
  restartArithmetic(c)
}

export function restartArithmetic(c: Component): void {
  startComponent(c)
  interval = 0
  code = 0
  ahead = -16
  broken = false
  ended = false
}

function byteAt(at: usize): i32 {
  if (at < fileEnd) return <i32>load<u8>(at)
  fail(TRUNCATED, 'the file ends before its image does')
  return 0
}

function nextByte(): i32 {
  if (ended) return 0
  let at = position
  let byte = byteAt(at)
  if (byte == 0xff) {
    do byte = byteAt(++at)
    while (byte == 0xff)
    if (byte == 0) byte = 0xff
    else {
      // A marker, which stays.
      ended = true
      byte = 0
      at -= 2
    }
  }
  setBits(0, 0, at + 1)
  return byte
}

/** The next decision of a bin, 0 or 1. Source: T.81, D.2. */
function decide(bin: usize): i32 {
  while (interval < 0x8000) {
    if (--ahead < 0) {
      code = (code << 8) | nextByte()
      ahead += 8
      // The first two bytes fill the register.
      if (ahead < 0 && ++ahead == 0) interval = 0x8000
    }
    interval <<= 1
  }
  const was = <i32>load<u8>(bin)
  const state = load<u32>(STATES + ((<usize>(was & 127)) << 2))
  const qe = <i32>(state >> 16)
  const probable = (was & 128) ^ (<i32>((state >> 8) & 127))
  const other = (was & 128) ^ (<i32>(state & 255))
  interval -= qe
  const size = interval << ahead
  if (code >= size) {
    code -= size
    const exchanged = interval < qe
    interval = qe
    store<u8>(bin, exchanged ? probable : other)
    return exchanged ? was >> 7 : (was >> 7) ^ 1
  }
  if (interval >= 0x8000) return was >> 7
  const exchanged = interval < qe
  store<u8>(bin, exchanged ? other : probable)
  return exchanged ? (was >> 7) ^ 1 : was >> 7
}

/** The bits below the highest one of a magnitude. Source: T.81, figure F.24. */
@inline function magnitude(highest: i32, bin: usize): i32 {
  let v = highest
  for (let m = highest >> 1; m != 0; m >>= 1) if (decide(bin) != 0) v |= m
  return v + 1
}

/** The highest bit of a magnitude from the bin on; 0: impossible. `lastBin` is the one that decided last. */
let lastBin: usize = 0
function category(bin: usize, m: i32): i32 {
  while (decide(bin) != 0) {
    m <<= 1
    if (m == 0x8000) {
      broken = true
      return 0
    }
    bin++
  }
  lastBin = bin
  return m
}

/** Adds a difference to the component's predictor. Source: T.81, F.2.4.1. */
function dcDifference(c: Component): void {
  let bin = c.dc + <usize>c.context
  if (decide(bin) == 0) {
    c.context = 0
    return
  }
  const negative = decide(bin + 1)
  bin += 2 + <usize>negative
  let m = decide(bin)
  lastBin = bin
  if (m != 0) {
    m = category(c.dc + 20, m)
    if (m == 0) return
  }
  const limits = conditioning + ((<usize>c.dcIndex) << 1)
  const low = (1 << (<i32>load<u8>(limits))) >> 1
  const high = (1 << (<i32>load<u8>(limits, 1))) >> 1
  c.context = m < low ? 0 : (m > high ? 12 : 4) + 4 * negative
  const v = magnitude(m, lastBin + 14)
  c.predictor += negative != 0 ? -v : v
}

/** The coefficients from zigzag position k to `end`. Source: T.81, F.2.4.2. */
function acCoefficients(c: Component, block: usize, k: i32, end: i32, low: i32): void {
  for (; k <= end; k++) {
    let bin = c.ac + <usize>(3 * (k - 1))
    // End of the block.
    if (decide(bin) != 0) return
    while (decide(bin + 1) == 0) {
      bin += 3
      if (++k > end) {
        broken = true
        return
      }
    }
    const negative = decide(fixedBin)
    bin += 2
    let m = decide(bin)
    lastBin = bin
    if (m != 0 && decide(bin) != 0) {
      const few = k <= <i32>load<u8>(conditioning + 32 + <usize>c.acIndex)
      m = category(c.ac + (few ? 189 : 217), 2)
      if (m == 0) return
    }
    const v = magnitude(m, lastBin + 14)
    store<i16>(block + ((<usize>load<u8>(ZIGZAG + k)) << 1), <i16>((negative != 0 ? -v : v) << low))
  }
}

/** Source: T.81, figure G.10. */
function acRefine(c: Component, block: usize): void {
  const plus = 1 << approxLow
  const end = spectralEnd
  let before = end
  while (before > 0 && load<i16>(block + ((<usize>load<u8>(ZIGZAG + before)) << 1)) == 0) before--
  for (let k = spectralStart; k <= end; k++) {
    let bin = c.ac + <usize>(3 * (k - 1))
    if (k > before && decide(bin) != 0) return
    while (true) {
      const at = block + ((<usize>load<u8>(ZIGZAG + k)) << 1)
      const v = <i32>load<i16>(at)
      if (v != 0) {
        if (decide(bin + 2) != 0) store<i16>(at, <i16>(v < 0 ? v - plus : v + plus))
        break
      }
      if (decide(bin + 1) != 0) {
        store<i16>(at, <i16>(decide(fixedBin) != 0 ? -plus : plus))
        break
      }
      bin += 3
      if (++k > end) {
        broken = true
        return
      }
    }
  }
}

/** Decodes one block of the scan, 64 i16 in natural order, zero before its first scan. */
export function arithmeticBlock(c: Component, block: usize): void {
  if (progressive && spectralStart == 0 && approxHigh > 0) {
    if (decide(fixedBin) != 0) store<i16>(block, <i16>((<i32>load<i16>(block)) | (1 << approxLow)))
    return
  }
  if (broken) return
  if (progressive && spectralStart > 0) {
    if (approxHigh == 0) acCoefficients(c, block, spectralStart, spectralEnd, approxLow)
    else acRefine(c, block)
    return
  }
  dcDifference(c)
  if (broken) return
  store<i16>(block, <i16>(c.predictor << (progressive ? approxLow : 0)))
  if (!progressive) acCoefficients(c, block, 1, 63, 0)
}
