/**
 * JPEG's segments: frame, tables, EXIF orientation, colour model.
 * Source: ITU-T T.81, annex B; Exif 2.32, 4.6.4; Adobe Technical Note 5116 (APP14).
 */
import { AC_TABLE_BYTES, buildTable, DC_TABLE_BYTES } from './huffman'
import { alloc, CORRUPT, fail, status, TRUNCATED, UNSUPPORTED } from './memory'


@unmanaged export class Component {
  id: i32
  h: i32
  v: i32
  /** Quantization table index. */
  tq: i32
  /** Blocks that hold image content, and those that whole units hold across. */
  blocksX: i32
  blocksY: i32
  blocksPerRow: i32
  /** Samples per block side: 1, 2, 4 or 8. Last zigzag position that such a block reads. */
  size: i32
  lastK: i32
  samples: usize
  stride: i32
  /** Own size in samples, without padding. */
  width: i32
  height: i32
  /** Progressive: 64 natural-order i16 for each block. */
  coefficients: usize
  seen: i32
  scans: i32
  predictor: i32
  quant: usize
  dc: usize
  ac: usize
  /** Last zigzag position that the scans still to come need. */
  reach: i32
}


@unmanaged export class ScanComponent {
  index: i32
  dc: i32
  ac: i32
}

const components = memory.data(4 * 128, 16)


@inline export function component(i: i32): Component {
  return changetype<Component>(components + ((<usize>i) << 7))
}
const scanComponents = memory.data(4 * 16, 16)


@inline export function scanComponent(i: i32): ScanComponent {
  return changetype<ScanComponent>(scanComponents + ((<usize>i) << 4))
}

/** Natural index of each zigzag position. Source: T.81, figure A.6. */
export const ZIGZAG = memory.data<u8>([
  0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21, 28,
  35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47,
  55, 62, 63,
])

/** Pointers to tables, by index; 0 where there is none. Quantization: 64 i32 in natural order. */
const tables = memory.data(12 * 4, 16)


@inline export function quantTable(i: i32): usize {
  return <usize>load<u32>(tables + ((<usize>i) << 2))
}


@inline export function dcTable(i: i32): usize {
  return <usize>load<u32>(tables + ((<usize>i) << 2), 16)
}


@inline export function acTable(i: i32): usize {
  return <usize>load<u32>(tables + ((<usize>i) << 2), 32)
}

export let fileEnd: usize = 0
export let found: bool = false
export let progressive: bool = false
export let width: i32 = 0
export let height: i32 = 0
export let componentCount: i32 = 0
export let maxH: i32 = 0
export let maxV: i32 = 0
export let mcusX: i32 = 0
export let mcusY: i32 = 0
export let restartInterval: i32 = 0
export let orientation: i32 = 1
export let jfif: bool = false
/** -1: no Adobe marker. */
export let adobe: i32 = -1
export let scanCount: i32 = 0
export let spectralStart: i32 = 0
export let spectralEnd: i32 = 0
export let approxHigh: i32 = 0
export let approxLow: i32 = 0
/** Where the scan header was. */
export let scanBody: usize = 0
export let scanBodyEnd: usize = 0


@inline function be16(at: usize): i32 {
  return ((<i32>load<u8>(at)) << 8) | (<i32>load<u8>(at, 1))
}

export function startFrame(end: usize): void {
  fileEnd = end
  jfif = false
  found = false
  restartInterval = 0
  orientation = 1
  adobe = -1
  memory.fill(tables, 0, 48)
}

/**
 * Reads segments from `at` on; stops behind a start-of-scan segment, at the end-of-image marker (gives 0), or with
 * `headerOnly` behind the frame header. The file must be followed by an end-of-image marker.
 */
export function readSegments(at: usize, headerOnly: bool): usize {
  while (status == 0) {
    while (load<u8>(at) == 0xff && load<u8>(at, 1) == 0xff) at++
    const marker = <i32>load<u8>(at, 1)
    if (at >= fileEnd) {
      fail(TRUNCATED, 'the file ends before its end-of-image marker')
      return 0
    }
    if (load<u8>(at) != 0xff) {
      fail(CORRUPT, 'no marker where one must be')
      return 0
    }
    if (marker == 0xd9) {
      if (at + 1 >= fileEnd) fail(TRUNCATED, 'the file ends before its end-of-image marker')
      return 0
    }
    if (marker == 0x01 || (marker >= 0xd0 && marker <= 0xd8)) {
      at += 2
      continue
    }
    const length = be16(at + 2)
    const body = at + 4
    const end = at + 2 + length
    if (length < 2) fail(CORRUPT, 'a segment has no length')
    else if (end > fileEnd) fail(TRUNCATED, 'the file ends inside a segment')
    if (status != 0) return 0
    if (marker == 0xda) {
      readScan(body, end)
      return end
    }
    readSegment(marker, body, end)
    if (headerOnly && found) return end
    at = end
  }
  return 0
}

function readSegment(marker: i32, body: usize, end: usize): void {
  if (marker == 0xdb) readQuant(body, end)
  else if (marker == 0xc4) readHuffman(body, end)
  else if (marker == 0xdd) {
    if (end >= body + 2) restartInterval = be16(body)
  } else if (marker == 0xcc || marker == 0xc9 || marker == 0xca) fail(UNSUPPORTED, 'arithmetic-coded JPEG')
  else if (marker == 0xdc) fail(UNSUPPORTED, 'JPEG whose height comes after its data (DNL)')
  else if (marker == 0xc3 || marker == 0xcb) fail(UNSUPPORTED, 'lossless JPEG')
  else if (marker >= 0xc0 && marker <= 0xc2) readFrame(marker, body, end)
  else if ((marker >= 0xc5 && marker <= 0xcf && marker != 0xc8) || marker == 0xde || marker == 0xdf) {
    fail(UNSUPPORTED, 'hierarchical JPEG')
  } else if (marker == 0xe0 && end >= body + 5 && load<u32>(body) == 0x4649464a) jfif = true
  else if (marker == 0xe1 && end >= body + 20 && load<u32>(body) == 0x66697845) readExif(body + 6, end)
  else if (marker == 0xee && end >= body + 12 && load<u32>(body) == 0x626f6441 && load<u8>(body, 4) == 0x65) {
    adobe = <i32>load<u8>(body, 11)
  }
}


@inline function tiff16(at: usize, little: bool): i32 {
  return little ? <i32>load<u16>(at) : be16(at)
}


@inline function tiff32(at: usize, little: bool): u32 {
  return little ? load<u32>(at) : bswap<u32>(load<u32>(at))
}

function readExif(tiff: usize, end: usize): void {
  const little = load<u16>(tiff) == 0x4949
  if (!little && load<u16>(tiff) != 0x4d4d) return
  const size = <u32>(end - tiff)
  const ifd = tiff32(tiff + 4, little)
  if (tiff16(tiff + 2, little) != 42 || ifd > size || ifd + 2 > size) return
  const entries = tiff16(tiff + ifd, little)
  for (let i = 0; i < entries; i++) {
    const at = ifd + 2 + <u32>i * 12
    if (at + 12 > size) return
    const entry = tiff + at
    if (tiff16(entry, little) != 0x0112) continue
    const type = tiff16(entry + 2, little)
    const value = type == 3 ? tiff16(entry + 8, little) : type == 4 ? <i32>tiff32(entry + 8, little) : 1
    if (value >= 1 && value <= 8) orientation = value
    return
  }
}

function readFrame(marker: i32, body: usize, end: usize): void {
  if (found) return fail(CORRUPT, 'second frame header')
  if (end < body + 6) return fail(CORRUPT, 'the frame header is too short')
  height = be16(body + 1)
  width = be16(body + 3)
  componentCount = <i32>load<u8>(body, 5)
  if (load<u8>(body) != 8) {
    return fail(
      UNSUPPORTED,
      load<u8>(body) == 12 ? 'JPEG with 12 bits a sample' : 'JPEG with other than 8 bits a sample',
    )
  }
  if (height == 0) return fail(UNSUPPORTED, 'JPEG whose height comes after its data (DNL)')
  if (width == 0) return fail(CORRUPT, 'the picture has no width')
  if (componentCount != 1 && componentCount != 3 && componentCount != 4) {
    return fail(UNSUPPORTED, 'JPEG with other than 1, 3 or 4 components')
  }
  if (end < body + 6 + 3 * componentCount) return fail(CORRUPT, 'the frame header is too short')
  maxV = 1
  maxH = 1
  for (let i = 0; i < componentCount; i++) {
    const c = component(i)
    const p = body + 6 + 3 * i
    c.id = <i32>load<u8>(p)
    c.h = (<i32>load<u8>(p, 1)) >> 4
    c.v = (<i32>load<u8>(p, 1)) & 15
    c.tq = <i32>load<u8>(p, 2)
    if (c.h < 1 || c.h > 4 || c.v < 1 || c.v > 4 || c.tq > 3) {
      return fail(CORRUPT, 'a component has impossible sampling factors')
    }
    // One component is never subsampled against itself.
    if (componentCount == 1) {
      c.v = 1
      c.h = 1
    }
    maxH = max(maxH, c.h)
    maxV = max(maxV, c.v)
  }
  mcusX = (width + 8 * maxH - 1) / (8 * maxH)
  mcusY = (height + 8 * maxV - 1) / (8 * maxV)
  for (let i = 0; i < componentCount; i++) {
    const c = component(i)
    if (maxH % c.h != 0 || maxV % c.v != 0) return fail(UNSUPPORTED, 'JPEG with fractional sampling')
    c.blocksX = ((width * c.h + maxH - 1) / maxH + 7) / 8
    c.blocksY = ((height * c.v + maxV - 1) / maxV + 7) / 8
    c.blocksPerRow = mcusX * c.h
    c.scans = 0
    c.seen = 0
    c.ac = 0
    c.dc = 0
    c.quant = 0
  }
  progressive = marker == 0xc2
  found = true
}

function readQuant(at: usize, end: usize): void {
  while (at < end) {
    const wide = load<u8>(at) >> 4
    const index = load<u8>(at) & 15
    at++
    const bytes: usize = wide != 0 ? 128 : 64
    if (wide > 1 || index > 3 || at + bytes > end) return fail(CORRUPT, 'a quantization table is damaged')
    // A component that was decoded with the old table has used it already; one being collected keeps it.
    const table = alloc(256)
    if (table == 0) return
    store<u32>(tables + ((<usize>index) << 2), <u32>table)
    for (let k = 0; k < 64; k++) {
      const q = wide != 0 ? be16(at + 2 * k) : <i32>load<u8>(at + k)
      store<i32>(table + ((<usize>load<u8>(ZIGZAG + k)) << 2), q)
    }
    at += bytes
  }
}

function readHuffman(at: usize, end: usize): void {
  while (at < end) {
    const kind = load<u8>(at) >> 4
    const index = load<u8>(at) & 15
    if (kind > 1 || index > 3 || at + 17 > end) return fail(CORRUPT, 'a Huffman table is damaged')
    let total = 0
    for (let i = 1; i <= 16; i++) total += <i32>load<u8>(at + i)
    if (total > 256 || at + 17 + total > end) return fail(CORRUPT, 'a Huffman table is damaged')
    const slot = tables + (kind == 0 ? 16 : 32) + ((<usize>index) << 2)
    if (load<u32>(slot) == 0) store<u32>(slot, <u32>alloc(<u64>(kind == 0 ? DC_TABLE_BYTES : AC_TABLE_BYTES)))
    if (status != 0) return
    buildTable(<usize>load<u32>(slot), at + 1, at + 17, total, kind == 1)
    if (status != 0) return
    at += 17 + total
  }
}

export function readScan(body: usize, end: usize): void {
  if (!found) return fail(CORRUPT, 'image data before the frame header')
  scanBody = body
  scanBodyEnd = end
  scanCount = <i32>load<u8>(body)
  if (scanCount < 1 || scanCount > componentCount || end < body + 4 + 2 * scanCount) {
    return fail(CORRUPT, 'a scan header is damaged')
  }
  let blocks = 0
  let used = 0
  for (let i = 0; i < scanCount; i++) {
    const p = body + 1 + 2 * i
    const s = scanComponent(i)
    s.index = -1
    for (let k = 0; k < componentCount; k++) if (component(k).id == <i32>load<u8>(p)) s.index = k
    s.dc = (<i32>load<u8>(p, 1)) >> 4
    s.ac = (<i32>load<u8>(p, 1)) & 15
    if (s.index < 0 || s.dc > 3 || s.ac > 3 || ((used >> s.index) & 1) != 0) {
      return fail(CORRUPT, 'a scan names an unknown component or table')
    }
    used |= 1 << s.index
    blocks += component(s.index).h * component(s.index).v
  }
  if (scanCount > 1 && blocks > 10) return fail(CORRUPT, 'a scan has more than 10 blocks in a unit')
  const p = body + 1 + 2 * scanCount
  spectralStart = <i32>load<u8>(p)
  spectralEnd = <i32>load<u8>(p, 1)
  approxHigh = (<i32>load<u8>(p, 2)) >> 4
  approxLow = (<i32>load<u8>(p, 2)) & 15
  if (!progressive) {
    approxLow = 0
    approxHigh = 0
    spectralStart = 0
    spectralEnd = 63
    return
  }
  const fits =
    spectralStart == 0 ? spectralEnd == 0 : spectralStart <= spectralEnd && spectralEnd <= 63 && scanCount == 1
  if (!fits || approxLow > 13 || (approxHigh != 0 && approxHigh != approxLow + 1)) {
    fail(CORRUPT, 'a progressive scan has impossible limits')
  }
}
