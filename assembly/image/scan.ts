/**
 * Entropy decoding of JPEG scans. Sequential scans go straight to samples of the wanted size; progressive ones are
 * collected as coefficients first. Coefficients that the wanted size doesn't need are passed over, several at a time.
 * Source: ITU-T T.81, annexes F (sequential) and G (progressive).
 */
import {
  acTable,
  approxHigh,
  approxLow,
  Component,
  component,
  dcTable,
  fileEnd,
  mcusX,
  mcusY,
  progressive,
  quantTable,
  restartInterval,
  scanComponent,
  scanCount,
  spectralEnd,
  spectralStart,
  ZIGZAG,
} from './frame'
import {
  bits,
  checkEnd,
  count,
  extend,
  fusedOf,
  nextMarker,
  overrun,
  plain,
  position,
  refill,
  refillSlow,
  restart,
  seek,
  setBits,
  skipOf,
  symbolOf,
  take,
} from './huffman'
import { inverseDct } from './idct'
import { CORRUPT, fail, status } from './memory'

/** The block being decoded: 64 i32, natural order, dequantized. */
const block = memory.data(64 * 4, 16)
/** False when only the block's DC is set. */
let filled: bool = true
let endOfBandRun: i32 = 0
/** Most scans that one component may have; encoders write about ten. */
const MAX_SCANS: i32 = 40

function dcDifference(table: usize): i32 {
  refill()
  const e = symbolOf(table, bits)
  const size = e >> 8
  setBits(bits << (e & 255), count - (e & 255), position)
  if (size == 0) return 0
  if (size > 15) {
    fail(CORRUPT, 'invalid Huffman code in the image data')
    return 0
  }
  const b = bits
  const value = extend(b, size)
  setBits(b << size, count - size, position)
  return value
}

function sequentialBlock(c: Component): void {
  if (filled) memory.fill(block, 0, 256)
  filled = false
  c.predictor += dcDifference(c.dc)
  const quant = c.quant
  const lastK = c.lastK
  const ac = c.ac
  store<i32>(block, c.predictor * load<i32>(quant))
  let b = bits
  let n = count
  let p = position
  // k: the zigzag position that comes next.
  let k = 1
  while (k < 64) {
    if (n <= 32) {
      const v = load<u32>(p)
      if (plain(v)) {
        b |= (<u64>bswap<u32>(v)) << (32 - n)
        n += 32
        p += 4
      } else {
        setBits(b, n, p)
        refillSlow()
        b = bits
        n = count
        p = position
      }
    }
    if (k > lastK) {
      const s = skipOf(ac, b)
      const next = k + ((s >> 8) & 255)
      // An entry that reaches the block's end may hold the next block's bits behind it.
      if (s != 0 && (next < 64 || (next == 64 && s < 1 << 16))) {
        b <<= s & 255
        n -= s & 255
        if (s >= 1 << 16) break
        k = next
        continue
      }
    }
    let e = fusedOf(ac, b)
    let value: i32
    if (e != 0) {
      b <<= e & 255
      n -= e & 255
      k += (e >> 8) & 255
      value = e >> 16
    } else {
      e = symbolOf(ac, b)
      b <<= e & 255
      n -= e & 255
      const size = (e >> 8) & 15
      if (size == 0) {
        k += e >> 12 == 15 ? 16 : 64
        value = 0
      } else {
        k += (e >> 12) + 1
        value = extend(b, size)
        b <<= size
        n -= size
      }
    }
    if (k > 64) {
      // End of block, unless a coefficient went too far.
      if (value != 0) fail(CORRUPT, 'coefficients run past the end of a block')
      break
    }
    const index = (<usize>load<u8>(ZIGZAG + k - 1)) << 2
    if (k - 1 <= lastK) {
      store<i32>(block + index, value * load<i32>(quant + index))
      filled = true
    }
  }
  setBits(b, n, p)
}

/** Source: T.81, figure G.3 and G.1.2.2. */
function acFirst(c: Component, out: usize): void {
  if (endOfBandRun > 0) {
    endOfBandRun--
    return
  }
  for (let k = spectralStart; k <= spectralEnd; k++) {
    refill()
    const e = symbolOf(c.ac, bits)
    setBits(bits << (e & 255), count - (e & 255), position)
    const run = e >> 12
    const size = (e >> 8) & 15
    if (size == 0) {
      if (run < 15) {
        endOfBandRun = (1 << run) - 1 + take(run)
        return
      }
      k += 15
      continue
    }
    k += run
    if (k > spectralEnd) {
      fail(CORRUPT, 'coefficients run past the end of a block')
      return
    }
    const value = extend(bits, size)
    setBits(bits << size, count - size, position)
    store<i16>(out + ((<usize>load<u8>(ZIGZAG + k)) << 1), <i16>(value << approxLow))
  }
}

/** One more bit of a coefficient that is not zero. */
@inline function correct(at: usize, v: i32, plus: i32): void {
  if (take(1) != 0 && (v & plus) == 0) store<i16>(at, <i16>(v > 0 ? v + plus : v - plus))
}

/** Source: T.81, figure G.7. */
function acRefine(c: Component, out: usize): void {
  const plus = 1 << approxLow
  let k = spectralStart
  if (endOfBandRun == 0) {
    for (; k <= spectralEnd; k++) {
      refill()
      const e = symbolOf(c.ac, bits)
      setBits(bits << (e & 255), count - (e & 255), position)
      let run = e >> 12
      let value = 0
      const size = (e >> 8) & 15
      if (size == 0) {
        if (run < 15) {
          endOfBandRun = (1 << run) + take(run)
          break
        }
      } else {
        if (size != 1) {
          fail(CORRUPT, 'a refinement of more than one bit')
          return
        }
        value = take(1) != 0 ? plus : -plus
      }
      for (; k <= spectralEnd; k++) {
        const at = out + ((<usize>load<u8>(ZIGZAG + k)) << 1)
        const v = <i32>load<i16>(at)
        if (v != 0) correct(at, v, plus)
        else if (--run < 0) break
      }
      if (value != 0) {
        if (k > spectralEnd) {
          fail(CORRUPT, 'coefficients run past the end of a block')
          return
        }
        store<i16>(out + ((<usize>load<u8>(ZIGZAG + k)) << 1), <i16>value)
      }
    }
  }
  if (endOfBandRun > 0) {
    for (; k <= spectralEnd; k++) {
      const at = out + ((<usize>load<u8>(ZIGZAG + k)) << 1)
      const v = <i32>load<i16>(at)
      if (v != 0) correct(at, v, plus)
    }
    endOfBandRun--
  }
}

function visit(c: Component, x: i32, y: i32): void {
  if (!progressive) {
    sequentialBlock(c)
    inverseDct(block, c.size, !filled, c.samples + y * c.size * c.stride + x * c.size, c.stride)
    return
  }
  const out = c.coefficients + ((<usize>(y * c.blocksPerRow + x)) << 7)
  if (spectralStart == 0) {
    if (approxHigh == 0) {
      c.predictor += dcDifference(c.dc)
      store<i16>(out, <i16>(c.predictor << approxLow))
    } else if (take(1) != 0) store<i16>(out, <i16>((<i32>load<i16>(out)) | (1 << approxLow)))
  } else if (approxHigh == 0) acFirst(c, out)
  else acRefine(c, out)
}

/** Looks up the tables of the scan's components; fails when one is missing. */
function prepare(): void {
  for (let i = 0; i < scanCount; i++) {
    const s = scanComponent(i)
    const c = component(s.index)
    if (++c.scans > MAX_SCANS) return fail(CORRUPT, 'too many scans')
    if (!progressive && c.seen != 0) return fail(CORRUPT, 'a component is in two scans')
    const needsDc = !progressive || (spectralStart == 0 && approxHigh == 0)
    const needsAc = !progressive || spectralStart > 0
    if (needsDc) c.dc = dcTable(s.dc)
    if (needsAc) c.ac = acTable(s.ac)
    c.quant = quantTable(c.tq)
    if ((needsDc && c.dc == 0) || (needsAc && c.ac == 0) || c.quant == 0) {
      return fail(CORRUPT, 'a scan uses a table that is not there')
    }
    if (spectralStart == 0) c.seen = 1
    c.predictor = 0
  }
}

/** Decodes the scan whose data starts at `at`; the position of the marker behind it. */
export function decodeScan(at: usize): usize {
  prepare()
  if (status != 0) return 0
  seek(at)
  endOfBandRun = 0
  filled = true
  const first = component(scanComponent(0).index)
  const single = scanCount == 1
  const unitsX = single ? first.blocksX : mcusX
  const unitsY = single ? first.blocksY : mcusY
  let left = restartInterval
  for (let y = 0; y < unitsY; y++) {
    for (let x = 0; x < unitsX; x++) {
      if (restartInterval > 0 && left-- == 0) {
        restart(fileEnd)
        endOfBandRun = 0
        for (let i = 0; i < scanCount; i++) component(scanComponent(i).index).predictor = 0
        left = restartInterval - 1
      }
      if (single) visit(first, x, y)
      else {
        for (let i = 0; i < scanCount; i++) {
          const c = component(scanComponent(i).index)
          for (let dy = 0; dy < c.v; dy++) for (let dx = 0; dx < c.h; dx++) visit(c, x * c.h + dx, y * c.v + dy)
        }
      }
      if (overrun()) checkEnd(fileEnd)
      if (status != 0) return 0
    }
  }
  return nextMarker(position, false)
}

/** Progressive: coefficients to samples, after the last scan. */
export function finishProgressive(c: Component): void {
  for (let y = 0; y < c.blocksY; y++) {
    for (let x = 0; x < c.blocksX; x++) {
      const from = c.coefficients + ((<usize>(y * c.blocksPerRow + x)) << 7)
      let any = 0
      if (c.size > 1) {
        for (let k = 1; k <= c.lastK; k++) {
          const index = <usize>load<u8>(ZIGZAG + k)
          const v = <i32>load<i16>(from + (index << 1))
          any |= v
          store<i32>(block + (index << 2), v * load<i32>(c.quant + (index << 2)))
        }
      }
      store<i32>(block, <i32>load<i16>(from) * load<i32>(c.quant))
      inverseDct(block, c.size, any == 0, c.samples + y * c.size * c.stride + x * c.size, c.stride)
    }
  }
}
