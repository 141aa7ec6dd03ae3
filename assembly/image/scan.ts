/**
 * Entropy decoding of JPEG scans, block by block: coefficients as 64 i16 in natural order, not dequantized.
 * Damaged data gives what libjpeg gives: codes that are none count as zero, coefficients past a block's end hit its
 * last place, units behind the data's end stay zero.
 * Source: ITU-T T.81, annexes F (sequential) and G (progressive); libjpeg-turbo's jdhuff.c and jdphuff.c for damage.
 */
import { arithmeticBlock, restartArithmetic, startArithmetic } from './arithmetic'
import {
  approxHigh,
  approxLow,
  arithmetic,
  Component,
  fileEnd,
  huffmanTable,
  keepQuant,
  maxV,
  mcusX,
  mcusY,
  progressive,
  restartInterval,
  scanComponent,
  scanComponentIndex,
  scanCount,
  scanNumber,
  spectralEnd,
  spectralStart,
  setSuspended,
  ZIGZAG,
} from './frame'
import {
  bigEndian,
  bits,
  count,
  dataHeld,
  endScan,
  extend,
  fusedOf,
  insufficient,
  past,
  plain,
  position,
  refill,
  refillSlow,
  restart,
  seek,
  setBits,
  startAhead,
  symbolOf,
  take,
  takeAhead,
} from './huffman'
import { CORRUPT, fail, status } from './memory'

let endOfBandRun: i32 = 0
let restartsLeft: i32 = 0
/** Last row of units, in rows of whole units, in which data was found. */
export let lastGoodRow: i32 = 0

/**
 * How exactly the coefficients 0 to 9 of each component are known: the bit position still missing, -1 for not at all;
 * and the same before the last scan of the component. i32 x 64 each.
 */
const precision = memory.data(4 * 64 * 4, 16)
const precisionBefore = memory.data(4 * 64 * 4, 16)


@inline export function precisionOf(component: i32, k: i32, before: bool): i32 {
  if (before && scanNumber <= 1) return -1
  return load<i32>((before ? precisionBefore : precision) + ((<usize>(component * 64 + k)) << 2))
}

export function startScans(): void {
  memory.fill(precision, 0xff, 4 * 64 * 4)
  memory.fill(precisionBefore, 0xff, 4 * 64 * 4)
  lastGoodRow = 0
}

function dcDifference(table: usize): i32 {
  refill()
  const e = symbolOf(table, bits)
  setBits(past(bits, e & 255), count - (e & 255), position)
  const size = e >> 8
  if (size == 0) return 0
  const b = bits
  setBits(past(b, size), count - size, position)
  return extend(b, size)
}

/** Decodes into a block that is zero; the zigzag position behind the last coefficient: 1 when there is only a DC. */
function sequentialBlock(c: Component, block: usize): i32 {
  c.predictor += dcDifference(c.dc)
  store<i16>(block, <i16>c.predictor)
  const ac = c.ac
  let b = bits
  let n = count
  let p = position
  // k: the zigzag position that comes next.
  let k = 1
  let reach = 1
  while (k < 64) {
    if (n < 32) {
      const v = load<u64>(p)
      if (plain(v)) {
        b |= bigEndian(p, v) >> n
        p += (63 - n) >> 3
        n |= 56
      } else {
        setBits(b, n, p)
        refillSlow()
        b = bits
        n = count
        p = position
      }
    }
    let e = fusedOf(ac, b)
    if (e != 0) {
      // Shifts take the low six bits of their count, which are the length.
      b <<= <u64>e
      n -= e & 255
      k += (e >> 8) & 255
      const value = e >> 16
      if (value == 0) continue
      store<i16>(block + ((<usize>load<u8>(ZIGZAG + k - 1)) << 1), value)
      reach = k
    } else {
      e = symbolOf(ac, b)
      b <<= <u64>e
      n -= e & 255
      const size = (e >> 8) & 15
      if (size == 0) {
        k += e >> 12 == 15 ? 16 : 64
        continue
      }
      k += (e >> 12) + 1
      store<i16>(block + ((<usize>load<u8>(ZIGZAG + k - 1)) << 1), extend(b, size))
      b <<= <u64>size
      n -= size
      reach = k
    }
  }
  setBits(b, n, p)
  return reach
}

/** The same near the end of a file that ends without a marker. False where libjpeg finds too few bytes. */
function lastBlock(c: Component, block: usize): bool {
  refill()
  let e = symbolOf(c.dc, bits)
  let size = e >> 8
  if (!takeAhead(e & 255, size)) return false
  setBits(past(bits, e & 255), count - (e & 255), position)
  if (size > 0) {
    c.predictor += extend(bits, size)
    setBits(past(bits, size), count - size, position)
  }
  store<i16>(block, <i16>c.predictor)
  for (let k = 1; k < 64; k++) {
    refill()
    e = symbolOf(c.ac, bits)
    size = (e >> 8) & 15
    const run = e >> 12
    if (!takeAhead(e & 255, size)) return false
    setBits(past(bits, e & 255), count - (e & 255), position)
    k += run
    if (size > 0) {
      store<i16>(block + ((<usize>load<u8>(ZIGZAG + k)) << 1), extend(bits, size))
      setBits(past(bits, size), count - size, position)
    } else if (run != 15) break
  }
  return true
}

/** Source: T.81, figure G.3 and G.1.2.2. */
function acFirst(c: Component, out: usize): void {
  if (endOfBandRun > 0) {
    endOfBandRun--
    return
  }
  const ac = c.ac
  const end = spectralEnd
  const low = approxLow
  let k = spectralStart
  while (k <= end) {
    refill()
    const e = symbolOf(ac, bits)
    setBits(past(bits, e & 255), count - (e & 255), position)
    const run = e >> 12
    const size = (e >> 8) & 15
    if (size == 0) {
      if (run < 15) {
        endOfBandRun = (1 << run) - 1 + take(run)
        return
      }
      k += 16
      continue
    }
    k += run
    const value = extend(bits, size)
    setBits(past(bits, size), count - size, position)
    store<i16>(out + ((<usize>load<u8>(ZIGZAG + k)) << 1), <i16>(value << low))
    k++
  }
}

/** One more bit of a coefficient that is not zero. */
@inline function correct(at: usize, v: i32, plus: i32): void {
  if (take(1) != 0 && (v & plus) == 0) store<i16>(at, <i16>(v >= 0 ? v + plus : v - plus))
}

/** Source: T.81, figure G.7. */
function acRefine(c: Component, out: usize): void {
  const plus = 1 << approxLow
  const end = spectralEnd
  let k = spectralStart
  if (endOfBandRun == 0) {
    for (; k <= end; k++) {
      refill()
      const e = symbolOf(c.ac, bits)
      setBits(past(bits, e & 255), count - (e & 255), position)
      let run = e >> 12
      let value = 0
      if (((e >> 8) & 15) != 0) value = take(1) != 0 ? plus : -plus
      else if (run != 15) {
        endOfBandRun = (1 << run) + take(run)
        break
      }
      do {
        const at = out + ((<usize>load<u8>(ZIGZAG + k)) << 1)
        const v = <i32>load<i16>(at)
        if (v != 0) correct(at, v, plus)
        else if (--run < 0) break
        k++
      } while (k <= end)
      if (value != 0) store<i16>(out + ((<usize>load<u8>(ZIGZAG + k)) << 1), <i16>value)
    }
  }
  if (endOfBandRun > 0) {
    for (; k <= end; k++) {
      const at = out + ((<usize>load<u8>(ZIGZAG + k)) << 1)
      const v = <i32>load<i16>(at)
      if (v != 0) correct(at, v, plus)
    }
    endOfBandRun--
  }
}

/** One block of a file of several scans. */
function visit(c: Component, x: i32, y: i32): void {
  const out = c.coefficients + ((<usize>(y * c.blocksPerRow + x)) << 7)
  if (arithmetic) arithmeticBlock(c, out)
  else if (!progressive) sequentialBlock(c, out)
  else if (spectralStart == 0) {
    if (approxHigh == 0) {
      c.predictor += dcDifference(c.dc)
      store<i16>(out, <i16>(c.predictor << approxLow))
    } else if (take(1) != 0) store<i16>(out, <i16>((<i32>load<i16>(out)) | (1 << approxLow)))
  } else if (approxHigh == 0) acFirst(c, out)
  else acRefine(c, out)
}

/** Looks up the tables of the scan's components; fails when one is missing or the scan is impossible. */
export function startScan(at: usize): void {
  let blocks = 0
  for (let i = 0; i < scanCount; i++) {
    const c = scanComponent(i)
    blocks += c.h * c.v
    if (c.quant == 0) c.quant = keepQuant(c.tq)
  }
  if (scanCount > 1 && blocks > 10) return fail(CORRUPT, 'a scan has more than 10 blocks in a unit')
  if (progressive) checkProgression()
  for (let i = 0; i < scanCount && status == 0; i++) {
    const c = scanComponent(i)
    if (arithmetic) {
      startArithmetic(c)
      continue
    }
    if (!progressive || (spectralStart == 0 && approxHigh == 0)) c.dc = huffmanTable(c.dcIndex, false)
    if (!progressive || spectralStart > 0) c.ac = huffmanTable(c.acIndex, true)
    c.predictor = 0
  }
  seek(at)
  careful = false
  endless = !arithmetic && !hasEnd(at)
  endOfBandRun = 0
  restartsLeft = restartInterval
}

function checkProgression(): void {
  const fits =
    spectralStart == 0 ? spectralEnd == 0 : spectralStart <= spectralEnd && spectralEnd <= 63 && scanCount == 1
  if (!fits || approxLow > 13 || (approxHigh != 0 && approxHigh != approxLow + 1)) {
    return fail(CORRUPT, 'a progressive scan has impossible limits')
  }
  for (let i = 0; i < scanCount; i++) {
    const at = (<usize>scanComponentIndex(i)) << 8
    for (let k = min(spectralStart, 1); k <= max(spectralEnd, 9); k++) {
      const to = at + ((<usize>k) << 2)
      store<i32>(precisionBefore + to, scanNumber > 1 ? load<i32>(precision + to) : 0)
    }
    for (let k = spectralStart; k <= spectralEnd; k++) store<i32>(precision + at + ((<usize>k) << 2), approxLow)
  }
}

/** Before a unit: a restart marker where one is due. False when the file has no more bytes. */
@inline function beforeUnit(): bool {
  return restartInterval == 0 || restartsLeft-- > 0 || restartUnit()
}
function restartUnit(): bool {
  if (!restart()) return false
  careful = false
  endOfBandRun = 0
  for (let i = 0; i < scanCount; i++) {
    const c = scanComponent(i)
    if (arithmetic) restartArithmetic(c)
    else c.predictor = 0
  }
  restartsLeft = restartInterval - 1
  return true
}

/** Where the blocks of the unit being decoded lie: up to 10 of them, 128 bytes each. */
export const unit = memory.data(10 * 128, 16)
/** By block: the zigzag position behind its last coefficient. */
export const unitReach = memory.data(10 * 4, 4)

/** The file has no marker behind the scan but restart markers. */
let endless: bool = false
/** Bytes a block from which on libjpeg reads carefully. */
const CAREFUL: usize = 512
let careful: bool = false

function hasEnd(at: usize): bool {
  for (let p = fileEnd - 1; p-- > at;) {
    if (load<u8>(p) != 0xff) continue
    const code = load<u8>(p, 1)
    if (code >= 0xc0 && code != 0xff && (code < 0xd0 || code > 0xd7)) return true
  }
  return false
}

function carefulUnit(blocks: i32): bool {
  if (!careful) startAhead()
  careful = true
  let block: usize = unit
  for (let i = 0; i < scanCount; i++) {
    const c = scanComponent(i)
    for (let n = scanCount == 1 ? 1 : c.h * c.v; n > 0; n--, block += 128) {
      if (!lastBlock(c, block)) {
        setSuspended()
        return false
      }
    }
  }
  for (let i = 0; i < blocks; i++) store<i32>(unitReach + ((<usize>i) << 2), 64)
  return dataHeld()
}

function arithmeticUnit(blocks: i32): bool {
  let block: usize = unit
  for (let i = 0; i < scanCount; i++) {
    const c = scanComponent(i)
    for (let n = scanCount == 1 ? 1 : c.h * c.v; n > 0; n--, block += 128) arithmeticBlock(c, block)
  }
  for (let i = 0; i < blocks; i++) store<i32>(unitReach + ((<usize>i) << 2), 64)
  return status == 0
}

/** Decodes the next unit of a file of one scan. False when the file has no more bytes. */
export function decodeUnit(blocks: i32): bool {
  if (!beforeUnit()) return false
  memory.fill(unit, 0, (<usize>blocks) << 7)
  if (insufficient) {
    for (let i = 0; i < blocks; i++) store<i32>(unitReach + ((<usize>i) << 2), 1)
    return true
  }
  if (endless && (restartInterval > 0 || fileEnd - position < CAREFUL * blocks)) return carefulUnit(blocks)
  if (arithmetic) return arithmeticUnit(blocks)
  let block: usize = unit
  let reach: usize = unitReach
  if (scanCount == 1) store<i32>(reach, sequentialBlock(scanComponent(0), block))
  else {
    for (let i = 0; i < scanCount; i++) {
      const c = scanComponent(i)
      for (let n = c.h * c.v; n > 0; n--, block += 128, reach += 4) store<i32>(reach, sequentialBlock(c, block))
    }
  }
  return dataHeld()
}

/** Decodes a scan into the components' coefficients. False when failed or out of bytes. */
export function decodeScan(at: usize): bool {
  startScan(at)
  if (status != 0) return false
  const first = scanComponent(0)
  const single = scanCount == 1
  const unitsX = single ? first.blocksX : mcusX
  const unitsY = single ? first.blocksY : mcusY
  const rows = single ? first.unitRows : 1
  for (let y = 0; y < unitsY; y++) {
    for (let x = 0; x < unitsX; x++) {
      if (!insufficient) lastGoodRow = y / rows
      if (!beforeUnit()) return false
      if (insufficient) continue
      if (single) visit(first, x, y)
      else {
        for (let i = 0; i < scanCount; i++) {
          const c = scanComponent(i)
          for (let dy = 0; dy < c.v; dy++) for (let dx = 0; dx < c.h; dx++) visit(c, x * c.h + dx, y * c.v + dy)
        }
      }
      if (!dataHeld() || status != 0) return false
    }
  }
  endScan()
  return true
}
