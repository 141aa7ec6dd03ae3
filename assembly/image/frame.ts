/**
 * JPEG's segments as libjpeg reads them: frame, tables, scan headers, markers that say what the colours mean.
 * What libjpeg warns of is passed over, what it refuses fails; where it would wait for more bytes, `suspended` is set.
 * Source: ITU-T T.81, annex B; Adobe Technical Note 5116 (APP14); libjpeg-turbo's jdmarker.c for what is an error.
 */
import { AC_TABLE_BYTES, buildTable, DC_TABLE_BYTES } from './huffman'
import { alloc, CORRUPT, fail, status, TOO_LARGE, TRUNCATED, UNSUPPORTED } from './memory'
import { readExif, readXmp } from './orientation'


@unmanaged export class Component {
  id: i32
  h: i32
  v: i32
  /** Rows of blocks in a row of units as the file says, where one component alone is decoded as if it said 1. */
  unitRows: i32
  /** Quantization table index. */
  tq: i32
  /** Blocks that hold image content, and those that whole units hold across. */
  blocksX: i32
  blocksY: i32
  blocksPerRow: i32
  /** Samples per block side: 1, 2, 4 or 8. */
  size: i32
  /** Sample rows, `ring` of them used in turn: row y lies at (y % ring) * stride. */
  samples: usize
  stride: i32
  ring: i32
  /** Own size in samples, without padding. */
  width: i32
  height: i32
  /** Files of several scans: 64 i16 in natural order for each block. */
  coefficients: usize
  scans: i32
  predictor: i32
  /** Arithmetic coding: what the difference before was like, as the offset of its bins. */
  context: i32
  /** 64 i16 in natural order, the table when the component's first scan began; 0 before. */
  quant: usize
  /** Tables of the scan: Huffman's, or the bins of arithmetic coding. */
  dc: usize
  ac: usize
  dcIndex: i32
  acIndex: i32
}

const components = memory.data(4 * 128, 16)


@inline export function component(i: i32): Component {
  return changetype<Component>(components + ((<usize>i) << 7))
}
const scanIndices = memory.data(4 * 4, 4)


@inline export function scanComponent(i: i32): Component {
  return component(load<i32>(scanIndices + ((<usize>i) << 2)))
}


@inline export function scanComponentIndex(i: i32): i32 {
  return load<i32>(scanIndices + ((<usize>i) << 2))
}

/**
 * Natural index of each zigzag position, and 16 more for runs past the end: they hit the last coefficient, as in
 * libjpeg. Source: T.81, figure A.6.
 */
export const ZIGZAG = memory.data<u8>([
  0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21, 28,
  35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47,
  55, 62, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63,
])

/** Quantization tables, 64 i16 in natural order, and which of them are there. */
const quants = memory.data(4 * 128, 16)
let quantsPresent: i32 = 0

/**
 * Huffman tables as the file gives them, DC 0 to 3 and AC 0 to 3: counts of the lengths 1 to 16, then 256 values. Which
 * are there, which changed since the table for decoding was made, and where that is.
 */
const RAW_BYTES: usize = 272
const raws = memory.data(8 * 272, 16)
let rawsPresent: i32 = 0
let rawsChanged: i32 = 0
const built = memory.data(8 * 4, 4)

export let fileEnd: usize = 0
/** Where reading goes on; `unread`: the marker at `position` that was found and not yet dealt with, or 0. */
export let position: usize = 0
export let unread: i32 = 0
/** The bytes ended before what is being read. */
export let suspended: bool = false

export let found: bool = false
export let progressive: bool = false
export let arithmetic: bool = false
export let width: i32 = 0
export let height: i32 = 0
export let componentCount: i32 = 0
export let maxH: i32 = 0
export let maxV: i32 = 0
export let mcusX: i32 = 0
export let mcusY: i32 = 0
export let restartInterval: i32 = 0
export let jfif: bool = false
/** -1: no Adobe marker. */
export let adobe: i32 = -1
export let scanCount: i32 = 0
export let scanNumber: i32 = 0
export let spectralStart: i32 = 0
export let spectralEnd: i32 = 0
export let approxHigh: i32 = 0
export let approxLow: i32 = 0


@inline export function setPosition(at: usize, marker: i32): void {
  position = at
  unread = marker
}

export function setSuspended(): void {
  suspended = true
}

/** Reading stops there, before the file's end. */
export function endFileAt(end: usize): void {
  fileEnd = end
}

/** `end` must be followed by 64 bytes of 0xff, 0xd9 in turn. */
export function startFrame(at: usize, end: usize): void {
  fileEnd = end
  position = at
  unread = 0
  suspended = false
  found = false
  scanNumber = 0
  quantsPresent = 0
  rawsPresent = 0
  rawsChanged = 0
  memory.fill(built, 0, 32)
  startImage()
}

/** What every start-of-image marker forgets; tables stay. Source: T.81, B.2.1; libjpeg's get_soi. */
export function startImage(): void {
  jfif = false
  adobe = -1
  restartInterval = 0
  startConditioning()
}


@inline function be16(at: usize): i32 {
  return ((<i32>load<u8>(at)) << 8) | (<i32>load<u8>(at, 1))
}

/** Finds the next marker from `position` on: `unread` is its code, `position` its place. False: there is none. */
export function nextMarker(): bool {
  let at = position
  while (true) {
    while (load<u8>(at) != 0xff) at++
    let code = at + 1
    while (load<u8>(code) == 0xff) code++
    if (code >= fileEnd) {
      suspended = true
      position = fileEnd
      return false
    }
    unread = <i32>load<u8>(code)
    if (unread != 0) {
      position = code - 1
      return true
    }
    at = code + 1
  }
}

/** What `readMarkers` came to. */
export const AT_NOTHING: i32 = 0
export const AT_SCAN: i32 = 1
export const AT_END: i32 = 2

/** Reads segments up to and with a scan header, or the end-of-image marker. AT_NOTHING: failed or suspended. */
export function readMarkers(): i32 {
  while (true) {
    if (unread == 0 && !nextMarker()) return AT_NOTHING
    const marker = unread
    const body = position + 2
    if (marker == 0xd9) {
      setPosition(body, 0)
      return AT_END
    }
    if (marker == 0x01 || (marker >= 0xd0 && marker <= 0xd7)) {
      setPosition(body, 0)
      continue
    }
    if (marker == 0xd8) fail(CORRUPT, 'a second start-of-image marker')
    else if (marker < 0xc0 || (marker >= 0xf0 && marker != 0xfe) || marker == 0xde || marker == 0xdf) {
      fail(CORRUPT, 'an unknown marker')
    } else if (marker == 0xc3 || marker == 0xcb) fail(UNSUPPORTED, 'a lossless JPEG')
    else if ((marker >= 0xc5 && marker <= 0xc8) || (marker >= 0xcd && marker <= 0xcf)) {
      fail(UNSUPPORTED, 'a hierarchical JPEG')
    }
    if (status != 0) return AT_NOTHING
    if (!has(body, 2)) return AT_NOTHING
    const end = body + max(be16(body), 2)
    if (!readSegment(marker, body + 2, end)) return AT_NOTHING
    setPosition(end, 0)
    if (marker == 0xda) return AT_SCAN
    if (!has(end, 0)) return AT_NOTHING
  }
}

/** Whether n bytes from `at` on are there; what must wait for them is not read. */
function has(at: usize, n: usize): bool {
  if (at + n <= fileEnd) return true
  suspended = true
  return false
}

/**
 * False: failed or suspended. Errors are found in libjpeg's order, so that it doesn't matter whether the bytes behind
 * them are there. What follows the segments that are read in part is passed over.
 */
function readSegment(marker: i32, body: usize, end: usize): bool {
  if (marker == 0xe0) {
    if (end <= fileEnd && end >= body + 14 && load<u32>(body) == 0x4649464a && load<u8>(body, 4) == 0) jfif = true
  } else if (marker == 0xee) {
    if (end <= fileEnd && end >= body + 12 && load<u32>(body) == 0x626f6441 && load<u8>(body, 4) == 0x65) {
      adobe = <i32>load<u8>(body, 11)
    }
  } else if ((marker == 0xdb || marker == 0xc4 || marker == 0xcc) && be16(body - 2) < 2) {
    fail(CORRUPT, 'a table has no length')
  } else if (marker == 0xdb) readQuant(body, end)
  else if (marker == 0xc4) readHuffman(body, end)
  else if (marker == 0xdd) {
    if (end != body + 2) fail(CORRUPT, 'a restart interval has a wrong length')
    else if (has(body, 2)) restartInterval = be16(body)
  } else if (marker == 0xda) readScan(body, end)
  else if (marker == 0xcc) readConditioning(body, end)
  else if ((marker >= 0xc0 && marker <= 0xc2) || marker == 0xc9 || marker == 0xca) readFrame(marker, body, end)
  return status == 0 && !suspended
}

function readFrame(marker: i32, body: usize, end: usize): void {
  if (!has(body, 6)) return
  if (found) return fail(CORRUPT, 'a second frame header')
  height = be16(body + 1)
  width = be16(body + 3)
  componentCount = <i32>load<u8>(body, 5)
  if (load<u8>(body) != 8) {
    return fail(
      UNSUPPORTED,
      load<u8>(body) == 12 ? 'a JPEG with 12 bits a sample' : 'a JPEG with other than 8 bits a sample',
    )
  }
  if (height == 0) return fail(UNSUPPORTED, 'a JPEG whose height comes after its data (DNL)')
  if (width == 0) return fail(CORRUPT, 'the picture has no width')
  if (componentCount != 1 && componentCount != 3 && componentCount != 4) {
    return fail(UNSUPPORTED, 'a JPEG with other than 1, 3 or 4 colour components')
  }
  if (end != body + 6 + 3 * componentCount) return fail(CORRUPT, 'the frame header has a wrong length')
  if (!has(body, end - body)) return
  for (let i = 0; i < componentCount; i++) {
    const c = component(i)
    const p = body + 6 + 3 * i
    c.id = <i32>load<u8>(p)
    c.h = (<i32>load<u8>(p, 1)) >> 4
    c.v = (<i32>load<u8>(p, 1)) & 15
    c.tq = <i32>load<u8>(p, 2)
  }
  progressive = marker == 0xc2 || marker == 0xca
  arithmetic = marker >= 0xc9
  found = true
}

/** What follows from the frame's numbers, when the first scan begins. */
export function setUpFrame(): void {
  if (width > 65500 || height > 65500) return fail(TOO_LARGE, 'more than 65500 pixels in a row or column')
  maxV = 1
  maxH = 1
  for (let i = 0; i < componentCount; i++) {
    const c = component(i)
    if (c.h < 1 || c.h > 4 || c.v < 1 || c.v > 4) return fail(CORRUPT, 'a component has impossible sampling factors')
    c.unitRows = c.v
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
    if (maxH % c.h != 0 || maxV % c.v != 0) return fail(UNSUPPORTED, 'a JPEG with fractional sampling')
    c.blocksX = ((width * c.h + maxH - 1) / maxH + 7) / 8
    c.blocksY = ((height * c.v + maxV - 1) / maxV + 7) / 8
    c.blocksPerRow = mcusX * c.h
    c.scans = 0
    c.ac = 0
    c.dc = 0
    c.quant = 0
  }
}

function readQuant(at: usize, end: usize): void {
  while (at < end) {
    if (!has(at, 1)) return
    const wide = load<u8>(at) >> 4
    const index = load<u8>(at) & 15
    at++
    const bytes: usize = wide != 0 ? 128 : 64
    if (index > 3) return fail(CORRUPT, 'a quantization table is damaged')
    if (!has(at, bytes)) return
    const table = quants + ((<usize>index) << 7)
    for (let k = 0; k < 64; k++) {
      const q = wide != 0 ? be16(at + 2 * k) : <i32>load<u8>(at + k)
      store<i16>(table + ((<usize>load<u8>(ZIGZAG + k)) << 1), <i16>q)
    }
    quantsPresent |= 1 << index
    at += bytes
  }
  if (at != end) fail(CORRUPT, 'a quantization table is damaged')
}

/** A copy of quantization table `index` for a component to keep, or 0 after failing. */
export function keepQuant(index: i32): usize {
  if (index > 3 || ((quantsPresent >> index) & 1) == 0) {
    fail(CORRUPT, 'a component has no quantization table')
    return 0
  }
  const table = alloc(128)
  if (table != 0) memory.copy(table, quants + ((<usize>index) << 7), 128)
  return table
}

/**
 * What arithmetic coding takes for a small difference, {L, U} of each DC table, and for a low coefficient, Kx of each
 * AC table. Source: T.81, B.2.4.3 and F.1.4.4.
 */
export const conditioning = memory.data(16 * 2 + 16, 4)

function startConditioning(): void {
  for (let i: usize = 0; i < 16; i++) store<u16>(conditioning + 2 * i, 0x0100)
  memory.fill(conditioning + 32, 5, 16)
}

function readConditioning(at: usize, end: usize): void {
  for (; at < end; at += 2) {
    if (!has(at, 2)) return
    const index = <usize>load<u8>(at)
    const value = load<u8>(at, 1)
    if (index >= 32) return fail(CORRUPT, 'the conditioning of arithmetic coding is damaged')
    if (index >= 16) store<u8>(conditioning + 16 + index, value)
    else {
      store<u8>(conditioning + 2 * index, value & 15)
      store<u8>(conditioning + 2 * index, value >> 4, 1)
      if ((value & 15) > value >> 4) return fail(CORRUPT, 'the conditioning of arithmetic coding is damaged')
    }
  }
  if (at != end) fail(CORRUPT, 'the conditioning of arithmetic coding is damaged')
}

function readHuffman(at: usize, end: usize): void {
  while (at + 16 < end) {
    if (!has(at, 17)) return
    const slot = <i32>load<u8>(at)
    const index = slot & ~16
    let total = 0
    for (let i = 1; i <= 16; i++) total += <i32>load<u8>(at + i)
    if (total > 256 || at + 17 + total > end) return fail(CORRUPT, 'a Huffman table is damaged')
    if (!has(at + 17, total)) return
    if (index > 3) return fail(CORRUPT, 'a Huffman table is damaged')
    setRaw(index + (slot >= 16 ? 4 : 0), at + 1, at + 17, total)
    at += 17 + total
  }
  if (at != end) fail(CORRUPT, 'a Huffman table is damaged')
}

function setRaw(slot: i32, counts: usize, values: usize, total: i32): void {
  const raw = raws + <usize>slot * RAW_BYTES
  memory.fill(raw, 0, RAW_BYTES)
  memory.copy(raw, counts, 16)
  memory.copy(raw + 16, values, total)
  rawsPresent |= 1 << slot
  rawsChanged |= 1 << slot
}

/** Fills the first two tables of each kind with those of Motion JPEG, where there are none. Source: T.81, annex K.3. */
export function standardTables(): void {
  for (let i = 0; i < 2; i++) {
    if (((rawsPresent >> i) & 1) == 0) setRaw(i, STANDARD_DC + i * 16, STANDARD_DC + 32, 12)
    if (((rawsPresent >> (4 + i)) & 1) == 0) setRaw(4 + i, STANDARD_AC + i * 178, STANDARD_AC + i * 178 + 16, 162)
  }
}

/** The decoding table of DC table `index`, or of AC table `index`; 0 after failing. */
export function huffmanTable(index: i32, ac: bool): usize {
  const slot = index + (ac ? 4 : 0)
  if (index > 3 || ((rawsPresent >> slot) & 1) == 0) {
    fail(CORRUPT, 'a scan uses a Huffman table that is not there')
    return 0
  }
  const at = built + ((<usize>slot) << 2)
  if (load<u32>(at) == 0) store<u32>(at, <u32>alloc(<u64>(ac ? AC_TABLE_BYTES : DC_TABLE_BYTES)))
  const table = <usize>load<u32>(at)
  if (table != 0 && ((rawsChanged >> slot) & 1) != 0) {
    const raw = raws + <usize>slot * RAW_BYTES
    buildTable(table, raw, raw + 16, ac)
    rawsChanged &= ~(1 << slot)
  }
  return status == 0 ? table : 0
}

function readScan(body: usize, end: usize): void {
  if (!found) return fail(CORRUPT, 'image data before the frame header')
  if (!has(body, 1)) return
  const n = <i32>load<u8>(body)
  if (n < 1 || n > 4 || end != body + 4 + 2 * n) return fail(CORRUPT, 'a scan header is damaged')
  scanCount = n
  let used = 0
  for (let i = 0; i < scanCount; i++) {
    const p = body + 1 + 2 * i
    if (!has(p, 2)) return
    let index = 0
    // Entry i of a scan is never a component before the i-th, as in libjpeg.
    while (index < componentCount && (component(index).id != <i32>load<u8>(p) || index < i)) index++
    if (index == componentCount || ((used >> index) & 1) != 0) {
      return fail(CORRUPT, 'a scan names an unknown component')
    }
    used |= 1 << index
    store<i32>(scanIndices + ((<usize>i) << 2), index)
    const c = component(index)
    c.dcIndex = (<i32>load<u8>(p, 1)) >> 4
    c.acIndex = (<i32>load<u8>(p, 1)) & 15
  }
  const p = body + 1 + 2 * scanCount
  if (!has(p, 3)) return
  spectralStart = <i32>load<u8>(p)
  spectralEnd = <i32>load<u8>(p, 1)
  approxHigh = (<i32>load<u8>(p, 2)) >> 4
  approxLow = (<i32>load<u8>(p, 2)) & 15
  scanNumber++
}

/** `http://ns.adobe.com/xap/1.0/` and a zero. */
const XMP = memory.data<u8>([
  0x68, 0x74, 0x74, 0x70, 0x3a, 0x2f, 0x2f, 0x6e, 0x73, 0x2e, 0x61, 0x64, 0x6f, 0x62, 0x65, 0x2e, 0x63, 0x6f, 0x6d,
  0x2f, 0x78, 0x61, 0x70, 0x2f, 0x31, 0x2e, 0x30, 0x2f, 0,
])

/**
 * What Pillow finds in the segments before the first scan, with its own rules: it must get as far as that, and its
 * frame must be usable. Orientation comes from here: that of the EXIF segments, joined, else the last XMP segment's.
 * Source: Pillow's JpegImagePlugin.
 */
export function surveyHeader(at: usize): void {
  let seen = false
  let exif: usize = 0
  let exifBytes: usize = 0
  let joined = false
  let xmp: usize = 0
  let xmpBytes: usize = 0
  while (at + 1 < fileEnd) {
    if (load<u8>(at) != 0xff) {
      at++
      continue
    }
    const marker = <i32>load<u8>(at, 1)
    if (marker == 0xff) {
      at++
      continue
    }
    if (marker == 0) {
      at += 2
      continue
    }
    if (marker < 0xc0) return fail(CORRUPT, 'no marker where one must be')
    at += 2
    // Restart, start and end markers, and those reserved for extensions, have no body there.
    if ((marker >= 0xd0 && marker <= 0xd9) || (marker >= 0xf0 && marker <= 0xfd) || marker == 0xc8) continue
    if (at + 2 > fileEnd) return fail(TRUNCATED, 'the file ends inside a segment')
    const body = at + 2
    const end = max(at + <usize>be16(at), body)
    if (end > fileEnd) return fail(TRUNCATED, 'the file ends inside a segment')
    const size = end - body
    if (marker == 0xda) {
      if (!seen) return fail(CORRUPT, 'image data before the frame header')
      readExif(exif, exifBytes)
      readXmp(xmp, xmpBytes)
      return
    }
    if (marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xcc) {
      if (size < 6) return fail(CORRUPT, 'the frame header is too short')
      if (load<u8>(body) != 8) {
        return fail(
          UNSUPPORTED,
          load<u8>(body) == 12 ? 'a JPEG with 12 bits a sample' : 'a JPEG with other than 8 bits a sample',
        )
      }
      if (marker == 0xc3 || marker == 0xcb) return fail(UNSUPPORTED, 'a lossless JPEG')
      const n = load<u8>(body, 5)
      if (n != 1 && n != 3 && n != 4) return fail(UNSUPPORTED, 'a JPEG with other than 1, 3 or 4 colour components')
      if ((size - 6) % 3 != 0) return fail(CORRUPT, 'the frame header has a wrong length')
      seen = true
    } else if (marker == 0xdb) {
      for (let p = body; p < end;) {
        p += load<u8>(p) >> 4 == 0 ? 65 : 129
        if (p > end) return fail(CORRUPT, 'a quantization table is damaged')
      }
    } else if (marker == 0xe1) {
      if (size >= 6 && load<u32>(body) == 0x66697845 && load<u16>(body, 4) == 0) {
        if (exifBytes == 0) {
          exif = body
          exifBytes = size
        } else {
          if (!joined) {
            const all = alloc(fileEnd - exif)
            if (all == 0) return
            memory.copy(all, exif, exifBytes)
            exif = all
            joined = true
          }
          memory.copy(exif + exifBytes, body + 6, size - 6)
          exifBytes += size - 6
        }
      } else if (size >= 29 && memory.compare(body, XMP, 29) == 0) {
        xmp = body + 29
        xmpBytes = size - 29
      }
    } else if (size < 7 && size >= 4) {
      // Their versions are missing.
      if (marker == 0xe0 && load<u32>(body) == 0x4649464a) return fail(CORRUPT, 'the JFIF marker is too short')
      const adobe = load<u32>(body) == 0x626f6441 && size > 4 && load<u8>(body, 4) == 0x65
      if (marker == 0xee && adobe) return fail(CORRUPT, 'the Adobe marker is too short')
    }
    at = end
  }
  fail(TRUNCATED, 'the file ends before its image data')
}

/** Counts of DC tables 0 and 1, and their values. Source: T.81, K.3.1. */
const STANDARD_DC = memory.data<u8>([
  0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6,
  7, 8, 9, 10, 11,
])

/** Counts and values of AC tables 0 and 1. Source: T.81, K.3.2. */
const STANDARD_AC = memory.data<u8>([
  0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 125, 1, 2, 3, 0, 4, 17, 5, 18, 33, 49, 65, 6, 19, 81, 97, 7, 34, 113, 20,
  50, 129, 145, 161, 8, 35, 66, 177, 193, 21, 82, 209, 240, 36, 51, 98, 114, 130, 9, 10, 22, 23, 24, 25, 26, 37, 38, 39,
  40, 41, 42, 52, 53, 54, 55, 56, 57, 58, 67, 68, 69, 70, 71, 72, 73, 74, 83, 84, 85, 86, 87, 88, 89, 90, 99, 100, 101,
  102, 103, 104, 105, 106, 115, 116, 117, 118, 119, 120, 121, 122, 131, 132, 133, 134, 135, 136, 137, 138, 146, 147,
  148, 149, 150, 151, 152, 153, 154, 162, 163, 164, 165, 166, 167, 168, 169, 170, 178, 179, 180, 181, 182, 183, 184,
  185, 186, 194, 195, 196, 197, 198, 199, 200, 201, 202, 210, 211, 212, 213, 214, 215, 216, 217, 218, 225, 226, 227,
  228, 229, 230, 231, 232, 233, 234, 241, 242, 243, 244, 245, 246, 247, 248, 249, 250, 0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4,
  4, 0, 1, 2, 119, 0, 1, 2, 3, 17, 4, 5, 33, 49, 6, 18, 65, 81, 7, 97, 113, 19, 34, 50, 129, 8, 20, 66, 145, 161, 177,
  193, 9, 35, 51, 82, 240, 21, 98, 114, 209, 10, 22, 36, 52, 225, 37, 241, 23, 24, 25, 26, 38, 39, 40, 41, 42, 53, 54,
  55, 56, 57, 58, 67, 68, 69, 70, 71, 72, 73, 74, 83, 84, 85, 86, 87, 88, 89, 90, 99, 100, 101, 102, 103, 104, 105, 106,
  115, 116, 117, 118, 119, 120, 121, 122, 130, 131, 132, 133, 134, 135, 136, 137, 138, 146, 147, 148, 149, 150, 151,
  152, 153, 154, 162, 163, 164, 165, 166, 167, 168, 169, 170, 178, 179, 180, 181, 182, 183, 184, 185, 186, 194, 195,
  196, 197, 198, 199, 200, 201, 202, 210, 211, 212, 213, 214, 215, 216, 217, 218, 226, 227, 228, 229, 230, 231, 232,
  233, 234, 242, 243, 244, 245, 246, 247, 248, 249, 250,
])
