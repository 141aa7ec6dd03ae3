/**
 * PNG: every colour type and bit depth, Adam7, tRNS. Grayscale comes out with 1 channel, the rest with 3; alpha is laid
 * over white; 16-bit samples give their high byte, but for gray without alpha: what is above 255 is white. A colour key
 * is compared as Pillow does it: its low bytes with samples of 8 bits as they come out.
 * Accepted and refused as by Pillow: checksums of all chunks before the image data count, of those behind not; the
 * image data's own (Adler-32) counts when it is reached.
 * Source: PNG specification, third edition (chunks 5, colour types 11.2, filters 9, interlace 8); Pillow's
 * PngImagePlugin and ZipDecode.
 */
import { crc32 } from './crc32'
import {
  bytesLeft,
  endInput,
  inputPosition,
  runOn,
  startInflate,
  STOP_END,
  STOP_ERROR,
  stopped,
  takeBytes,
} from './inflate'
import { alloc, CORRUPT, fail, status, TRUNCATED } from './memory'
import { orientation, readExif, readXmp, startOrientation, turn } from './orientation'
import { unfilter } from './png-filter'
import { setPicture } from './result'

const GRAY: i32 = 0
const RGB: i32 = 2
const PALETTE: i32 = 3
const GRAY_ALPHA: i32 = 4
const RGB_ALPHA: i32 = 6

const IHDR: u32 = 0x52444849
const PLTE: u32 = 0x45544c50
const IDAT: u32 = 0x54414449
const IEND: u32 = 0x444e4549
const TRNS: u32 = 0x534e5274
const EXIF: u32 = 0x66495865
const ITXT: u32 = 0x74585469
const TEXT: u32 = 0x74584574
const ZTXT: u32 = 0x7458547a
const ACTL: u32 = 0x4c546361
const FCTL: u32 = 0x4c546366
const FDAT: u32 = 0x54416466
const ICCP: u32 = 0x50434369
const GAMA: u32 = 0x414d4167
const CHRM: u32 = 0x4d524863
const SRGB: u32 = 0x42475273
const PHYS: u32 = 0x73594870

let file: usize = 0
let fileEnd: usize = 0
let width: i32 = 0
let height: i32 = 0
let depth: i32 = 0
let type: i32 = -1
let interlaced: bool = false
/** Samples of a pixel in the file, and in the result. */
let samples: i32 = 0
let channels: i32 = 0
/** The first IDAT chunk's length field. */
let firstData: usize = 0

/** RGB and alpha of 256 colours, and whether any is not opaque or a colour key is set. */
const colours = memory.data(256 * 4, 4)
let hasAlpha: bool = false
let hasKey: bool = false
/** The last EXIF chunk, the last text that holds EXIF, and the last that holds XMP: their length fields, or 0. */
let exifChunk: usize = 0
let profileChunk: usize = 0
let xmpChunk: usize = 0
/** Frames that an APNG says it has; -1: it says nothing, or says it twice. Its last sequence number. */
let frames: i64 = -1
let sequence: i64 = -1
/** Whether a frame's header came before the image data; an APNG of several frames. */
let framed: bool = false
let animated: bool = false
let keyR: i32 = 0
let keyG: i32 = 0
let keyB: i32 = 0


@inline function be32(at: usize): u32 {
  return bswap<u32>(load<u32>(at))
}


@inline function be16(at: usize): i32 {
  return ((<i32>load<u8>(at)) << 8) | (<i32>load<u8>(at, 1))
}

/** Size of the upright picture. */
export function pngWidth(): i32 {
  return orientation >= 5 ? height : width
}
export function pngHeight(): i32 {
  return orientation >= 5 ? width : height
}

function isName(at: usize): bool {
  for (let i: usize = 0; i < 4; i++) {
    const c = load<u8>(at + i)
    if (!((c >= 0x30 && c <= 0x39) || (c >= 0x41 && c <= 0x5a) || c == 0x5f || (c >= 0x61 && c <= 0x7a))) return false
  }
  return true
}

/** Reads the chunks before the image data. */
export function openPng(from: usize, length: usize): void {
  file = from
  fileEnd = from + length
  width = 0
  height = 0
  type = -1
  firstData = 0
  // Colours that no palette has are black.
  for (let i: usize = 0; i < 256; i++) store<u32>(colours + (i << 2), 0xff000000)
  hasAlpha = false
  hasKey = false
  frames = -1
  sequence = -1
  framed = false
  exifChunk = 0
  profileChunk = 0
  xmpChunk = 0
  if (length < 8) return fail(TRUNCATED, 'the file ends in its signature')
  if (load<u32>(from, 4) != 0x0a1a0a0d) {
    return fail(CORRUPT, 'line ends were changed in the signature (a text-mode transfer)')
  }
  let at = from + 8
  while (true) {
    if (at + 8 > fileEnd) return fail(TRUNCATED, 'the file ends before its image data')
    const bytes = <usize>be32(at)
    const name = load<u32>(at, 4)
    const body = at + 8
    if (!isName(at + 4)) return fail(CORRUPT, 'no chunk where one must be')
    if (name == IDAT) break
    if (name == IEND) return fail(CORRUPT, 'no image data')
    if (<u64>body + bytes + 4 > <u64>fileEnd) return fail(TRUNCATED, 'the file ends inside a chunk')
    if (name == IHDR) readHeader(body, bytes)
    else if (name == PLTE) readPalette(body, bytes)
    else if (name == FDAT) fail(CORRUPT, 'a later frame before the image data')
    else readChunk(at)
    if (status != 0) return
    if (crc32(at + 4, bytes + 4) != be32(body + bytes)) return fail(CORRUPT, 'the checksum of a chunk is wrong')
    at = body + bytes + 4
  }
  if (type < 0) return fail(CORRUPT, 'image data before the header')
  animated = frames > 1 || (frames == 1 && !framed)
  orient()
  firstData = at
}

/** The least bytes that Pillow takes a chunk with. */
function leastBytes(name: u32): usize {
  if (name == GAMA) return 4
  if (name == CHRM) return 32
  if (name == SRGB) return 1
  if (name == PHYS) return 9
  if (name == ACTL) return 8
  if (name == FCTL) return 26
  return name == FDAT ? 4 : 0
}

/** A whole chunk besides header and palette, before the image data or behind it. Fails where Pillow does. */
function readChunk(chunk: usize): void {
  const bytes = <usize>be32(chunk)
  const name = load<u32>(chunk, 4)
  const body = chunk + 8
  if (bytes < leastBytes(name)) return fail(CORRUPT, 'a chunk is shorter than it must be')
  if (name == TRNS) readTransparency(body, bytes)
  else if (name == EXIF) exifChunk = chunk
  else if (name == TEXT || name == ZTXT || name == ITXT) readText(chunk)
  else if (name == ICCP) {
    const method = textEnd(body, bytes) + 1
    // Without a name the first byte is taken for it.
    const at: usize = method > bytes ? 0 : method
    if (at >= bytes || load<u8>(body + at) != 0) fail(CORRUPT, 'a colour profile of an unknown compression')
  } else if (name == ACTL) {
    const count = <i64>be32(body)
    frames = frames >= 0 || count == 0 || count > 0x8000_0000 ? -1 : count
  } else if (name == FCTL || name == FDAT) {
    const number = <i64>be32(body)
    if (number != sequence + 1 || (name == FDAT && sequence < 0)) return fail(CORRUPT, 'the frames are out of order')
    sequence = number
    if (name == FDAT) return
    framed = true
    const right = <u64>be32(body + 12) + <u64>be32(body + 4)
    const bottom = <u64>be32(body + 16) + <u64>be32(body + 8)
    if (right > <u64>width || bottom > <u64>height) fail(CORRUPT, 'a frame is larger than the picture')
  }
}

/** Where the text that begins at `body` ends: at its first zero, or with the chunk. */
function textEnd(body: usize, bytes: usize): usize {
  let n: usize = 0
  while (n < bytes && load<u8>(body + n) != 0) n++
  return n
}

/** `Raw profile type exif` and a zero. */
const PROFILE_KEY = memory.data<u8>([
  0x52, 0x61, 0x77, 0x20, 0x70, 0x72, 0x6f, 0x66, 0x69, 0x6c, 0x65, 0x20, 0x74, 0x79, 0x70, 0x65, 0x20, 0x65, 0x78,
  0x69, 0x66, 0,
])
const PROFILE_KEY_BYTES: usize = 22
/** `XML:com.adobe.xmp` and a zero. */
const XMP_KEY = memory.data<u8>([
  0x58, 0x4d, 0x4c, 0x3a, 0x63, 0x6f, 0x6d, 0x2e, 0x61, 0x64, 0x6f, 0x62, 0x65, 0x2e, 0x78, 0x6d, 0x70, 0,
])
const XMP_KEY_BYTES: usize = 18
/** Text that is looked at: far more than the first directory of EXIF needs. */
const TEXT_BYTES: usize = 1 << 17

function readText(chunk: usize): void {
  const bytes = <usize>be32(chunk)
  const body = chunk + 8
  if (load<u32>(chunk, 4) == ZTXT) {
    const method = textEnd(body, bytes) + 1
    if (method < bytes && load<u8>(body + method) != 0) return fail(CORRUPT, 'a text of an unknown compression')
  }
  if (bytes >= PROFILE_KEY_BYTES && memory.compare(body, PROFILE_KEY, PROFILE_KEY_BYTES) == 0) profileChunk = chunk
  else if (bytes >= XMP_KEY_BYTES && memory.compare(body, XMP_KEY, XMP_KEY_BYTES) == 0) xmpChunk = chunk
}

/** What `openText` found: bytes that may be read, none where the chunk's text is damaged. */
let text: usize = 0
let textBytes: usize = 0

/** The text of a chunk of text behind its keyword, as far as it is looked at. */
function openText(chunk: usize, keyBytes: usize): void {
  const name = load<u32>(chunk, 4)
  const end = chunk + 8 + <usize>be32(chunk)
  let compressed = name == ZTXT
  text = chunk + 8 + keyBytes
  textBytes = 0
  if (text >= end) return
  if (compressed) text++
  else if (name == ITXT) {
    // Flag and method of compression, a language and a translated keyword.
    if (text + 2 > end || (load<u8>(text) != 0 && load<u8>(text, 1) != 0)) return
    compressed = load<u8>(text) != 0
    text += 2
    for (let i = 0; i < 2; i++) {
      text += textEnd(text, end - text) + 1
      if (text > end) return
    }
  }
  if (!compressed) {
    textBytes = end - text
    return
  }
  const out = alloc(TEXT_BYTES)
  if (out == 0 || !startInflate(text, end - text, TEXT_BYTES, 1)) return
  let length: usize = 0
  while (length < TEXT_BYTES) {
    const byte = takeBytes(1)
    if (byte == 0) break
    store<u8>(out + length++, load<u8>(byte))
  }
  if (stopped == STOP_ERROR && length < TEXT_BYTES) return
  text = out
  textBytes = length
}

/**
 * Which way up by all chunks that were read: the last EXIF chunk, else the last profile of ImageMagick's; where that
 * says nothing, the last XMP. Source: Pillow's Image.getexif.
 */
function orient(): void {
  startOrientation()
  if (exifChunk != 0) readExif(exifChunk + 8, <usize>be32(exifChunk))
  else if (profileChunk != 0) readProfile()
  if (xmpChunk == 0) return
  openText(xmpChunk, XMP_KEY_BYTES)
  readXmp(text, textBytes)
}

/** EXIF as text: three lines, then hexadecimal digits. */
function readProfile(): void {
  openText(profileChunk, PROFILE_KEY_BYTES)
  const out = alloc(min(textBytes, TEXT_BYTES) + 16)
  if (out == 0) return
  let bytes: usize = 0
  let lines = 0
  let high = -1
  for (const end = text + min(textBytes, TEXT_BYTES); text < end; text++) {
    const c = <i32>load<u8>(text)
    if (c == 0x0a) lines++
    if (lines < 3 || c <= 0x20) continue
    const letter = c | 0x20
    const digit = c >= 0x30 && c <= 0x39 ? c - 0x30 : letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1
    if (digit < 0) return
    if (high < 0) high = digit
    else {
      store<u8>(out + bytes++, (high << 4) | digit)
      high = -1
    }
  }
  readExif(out, bytes)
}

function readHeader(body: usize, bytes: usize): void {
  if (bytes < 13) return fail(CORRUPT, 'the header has a wrong length')
  width = <i32>be32(body)
  height = <i32>be32(body + 4)
  depth = load<u8>(body, 8)
  type = load<u8>(body, 9)
  interlaced = load<u8>(body, 12) != 0
  if (width <= 0 || height <= 0) return fail(CORRUPT, 'the header gives no size')
  if (load<u8>(body, 11) != 0) return fail(CORRUPT, 'an unknown filter method')
  const small = depth == 1 || depth == 2 || depth == 4
  const wide = depth == 8 || depth == 16
  const known =
    type == GRAY
      ? small || wide
      : type == PALETTE
        ? small || depth == 8
        : (type == RGB || type == GRAY_ALPHA || type == RGB_ALPHA) && wide
  if (!known) return fail(CORRUPT, 'a colour type or bit depth that does not exist')
  samples = type == RGB ? 3 : type == GRAY_ALPHA ? 2 : type == RGB_ALPHA ? 4 : 1
  channels = type == GRAY || type == GRAY_ALPHA ? 1 : 3
}

function readPalette(body: usize, bytes: usize): void {
  if (type != PALETTE) return
  if (bytes / 3 > 256) return fail(CORRUPT, 'the palette has more than 256 colours')
  for (let i: usize = 0; i < 256; i++) {
    const at = colours + (i << 2)
    const known = i * 3 + 3 <= bytes
    for (let c: usize = 0; c < 3; c++) store<u8>(at + c, known ? load<u8>(body + i * 3 + c) : 0)
  }
}

/** The last one counts. */
function readTransparency(body: usize, bytes: usize): void {
  if (type == PALETTE) {
    for (let i: usize = 0; i < 256; i++) store<u8>(colours + (i << 2), i < bytes ? load<u8>(body + i) : 255, 3)
    hasAlpha = true
  } else if (type == GRAY || type == RGB) {
    if (bytes < <usize>(type == RGB ? 6 : 2)) return fail(CORRUPT, 'the transparency has a wrong length')
    hasKey = true
    keyR = load<u8>(body, 1)
    if (depth == 1) keyR = be16(body) != 0 ? 255 : 0
    keyG = type == RGB ? <i32>load<u8>(body, 3) : 0
    keyB = type == RGB ? <i32>load<u8>(body, 5) : 0
  }
}

/** Pillow hands the image data on in pieces: up to so many bytes of a chunk. */
const PIECE: usize = 65536

/** Compressed data of the chunks from `firstData` on, moved together, and where the pieces end in it. */
let data: usize = 0
let dataBytes: usize = 0
let ends: usize = 0
let endCount: i32 = 0
/** Where the data of a chunk begins that the file ends in. */
let cutFrom: usize = 0
/** The chunk behind them. */
let after: usize = 0

function gather(): void {
  let count = 0
  for (let at = firstData; isData(at); at = nextChunk(at)) count += <i32>(<usize>be32(at) / PIECE) + 1
  ends = alloc(<u64>count * 4)
  if (ends == 0) return
  data = firstData
  let to = data
  endCount = 0
  cutFrom = usize.MAX_VALUE
  let at = firstData
  while (isData(at)) {
    const bytes = <usize>be32(at)
    const next = nextChunk(at)
    const there = min(bytes, fileEnd - (at + 8))
    if (there < bytes) cutFrom = to
    memory.copy(to, at + 8, there)
    for (let n: usize = 0; n < there; n += PIECE) {
      store<u32>(ends + ((<usize>endCount) << 2), <u32>(to + min(n + PIECE, there)))
      endCount++
    }
    to += there
    at = next
  }
  after = at
  dataBytes = to - data
  // Where the data was, rubbish may stand behind it; it is not looked at.
}

function isData(at: usize): bool {
  return at + 8 <= fileEnd && load<u32>(at, 4) == IDAT
}


@inline function nextChunk(at: usize): usize {
  return <usize>min(<u64>at + 12 + <u64>be32(at), <u64>fileEnd)
}

/** Adam7: first column and row, column and row step of each pass. */
const ADAM7 = memory.data<u8>([0, 0, 8, 8, 4, 0, 8, 8, 0, 4, 4, 8, 2, 0, 4, 4, 0, 2, 2, 4, 1, 0, 2, 2, 0, 1, 1, 2])


@inline function adam7(pass: i32, what: i32): i32 {
  return load<u8>(ADAM7 + pass * 4 + what)
}


@inline function passSize(size: i32, first: i32, step: i32): i32 {
  return size > first ? (size - first + step - 1) / step : 0
}


@inline function bytesOf(pixels: i32): usize {
  return <usize>((<u64>pixels * <u64>(samples * depth) + 7) >> 3)
}

export function decodePng(): void {
  const rowBytes = bytesOf(width)
  const step = <usize>max(1, (samples * depth) >> 3)
  let most: u64 = 0
  const passes = interlaced ? 7 : 1
  for (let pass = 0; pass < passes; pass++) {
    const w = interlaced ? passSize(width, adam7(pass, 0), adam7(pass, 2)) : width
    const h = interlaced ? passSize(height, adam7(pass, 1), adam7(pass, 3)) : height
    if (w > 0) most += <u64>h * <u64>(bytesOf(w) + 1)
  }
  gather()
  if (status == 0) readBehind()
  const out = alloc(<u64>width * height * channels + 64)
  // The row being made and the one above it, with room before them for pixels that are not there.
  const rows = alloc(2 * <u64>(rowBytes + 64))
  const line = alloc(<u64>width * channels + 64)
  if (status != 0 || !startInflate(data, dataBytes, most, rowBytes + 1)) return
  setPicture(out, width, height, channels)
  let row = rows + 16
  let given: u64 = 0
  let above = row + rowBytes + 48
  memory.fill(rows, 0, 2 * (rowBytes + 64))
  for (let pass = 0; pass < passes; pass++) {
    const x0 = interlaced ? adam7(pass, 0) : 0
    const y0 = interlaced ? adam7(pass, 1) : 0
    const dx = interlaced ? adam7(pass, 2) : 1
    const dy = interlaced ? adam7(pass, 3) : 1
    const w = passSize(width, x0, dx)
    if (w == 0) continue
    const bytes = bytesOf(w)
    memory.fill(above, 0, bytes)
    for (let y = y0; y < height; y += dy) {
      const packed = takeBytes(bytes + 1)
      if (packed == 0) {
        if (!endedEarly(given, rowBytes + 1)) return
        blank(out, pass, y)
        turn()
        return
      }
      given += bytes + 1
      memory.copy(row, packed + 1, bytes)
      if (!unfilter(load<u8>(packed), row, above, bytes, step)) return fail(CORRUPT, 'an unknown row filter')
      if (dx == 1) expand(row, w, out + (<usize>y * width + x0) * channels)
      else {
        expand(row, w, line)
        spread(line, w, out + (<usize>y * width + x0) * channels, dx)
      }
      const swap = row
      row = above
      above = swap
    }
  }
  if (checkEnd()) turn()
}

/**
 * Whether the data ended where a row does, which Pillow takes when it sees the end with the row: in one piece. Fails
 * otherwise. `given`: bytes of the rows that there were, each of at most `piece`.
 */
function endedEarly(given: u64, piece: usize): bool {
  if (stopped == STOP_END && bytesLeft() == 0 && given > 0) {
    if (!startInflate(data, dataBytes, given, piece)) return false
    for (let n: u64 = 0; n < given;) {
      const bytes = min<u64>(given - n, piece)
      takeBytes(<usize>bytes)
      n += bytes
    }
    endPiece()
    if (runOn() == STOP_END) return true
  }
  if (stopped == STOP_ERROR) fail(CORRUPT, 'the image data is damaged')
  else fail(TRUNCATED, 'the image data ends early')
  return false
}

/** No more input than the rest of the piece that is being read. */
function endPiece(): void {
  const at = inputPosition()
  for (let i = 0; i < endCount; i++) {
    const end = <usize>load<u32>(ends + ((<usize>i) << 2))
    if (end < at) continue
    endInput(end)
    return
  }
}

/** Rows that have no data: black. */
function blank(out: usize, pass: i32, fromRow: i32): void {
  const rowBytes = <usize>width * channels
  if (!interlaced) {
    for (let y = fromRow; y < height; y++) black(out + <usize>y * rowBytes, width)
    return
  }
  for (let p = pass; p < 7; p++) {
    for (let y = p == pass ? fromRow : adam7(p, 1); y < height; y += adam7(p, 3)) {
      for (let x = adam7(p, 0); x < width; x += adam7(p, 2)) {
        black(out + (<usize>y * width + x) * channels, 1)
      }
    }
  }
}

/** Zero samples: the first colour of a palette, clear where there is alpha. */
function black(at: usize, n: i32): void {
  for (let i = 0; i < n; i++, at += channels) {
    if (type == PALETTE) paint(at, 0)
    else memory.fill(at, type == GRAY_ALPHA || type == RGB_ALPHA ? 255 : 0, channels)
  }
}

/** What follows the last row: the data of its piece as far as it can be read without more rows. */
function checkEnd(): bool {
  const at = inputPosition()
  endPiece()
  if (runOn() == STOP_ERROR) {
    fail(CORRUPT, 'the image data is damaged')
    return false
  }
  if (at <= cutFrom && cutFrom != usize.MAX_VALUE) {
    fail(TRUNCATED, 'the file ends inside a chunk')
    return false
  }
  return status == 0
}

/** The chunks behind the data, up to the next frame: they count like those before, whatever their checksums. */
function readBehind(): void {
  for (let chunk = after; chunk + 8 <= fileEnd; chunk = nextChunk(chunk)) {
    const name = load<u32>(chunk, 4)
    if (!isName(chunk + 4) || name == IEND || (animated && name == FCTL)) break
    const bytes = <usize>be32(chunk)
    if (<u64>chunk + 8 + bytes > <u64>fileEnd) return fail(TRUNCATED, 'the file ends inside a chunk')
    if (name == IHDR && bytes < 13) return fail(CORRUPT, 'the header has a wrong length')
    readChunk(chunk)
    if (status != 0) return
  }
  orient()
}

/** A row's samples as 8-bit gray or RGB. */
function expand(row: usize, n: i32, to: usize): void {
  if (type == PALETTE) return expandPalette(row, n, to)
  if (depth < 8) return expandBits(row, n, to)
  if (type == GRAY && depth == 16) return clipGray(row, n, to)
  const wide = depth == 16 ? 2 : 1
  if (depth == 8 && !hasKey && samples == channels) {
    memory.copy(to, row, <usize>n * channels)
    return
  }
  const step = samples * wide
  const alphaAt = samples != channels ? channels * wide : -1
  for (let i = 0; i < n; i++, row += step, to += channels) {
    let alpha = 255
    if (alphaAt >= 0) alpha = <i32>load<u8>(row + alphaAt)
    else if (hasKey && isKey(row, wide)) alpha = 0
    for (let c = 0; c < channels; c++) store<u8>(to + c, overWhite(<i32>load<u8>(row + c * wide), alpha))
  }
}

/** 16-bit gray as Pillow's conversion has it: not scaled. */
function clipGray(row: usize, n: i32, to: usize): void {
  for (let i = 0; i < n; i++, row += 2) {
    const v = load<u8>(row) != 0 ? 255 : <i32>load<u8>(row, 1)
    store<u8>(to + i, hasKey && v == keyR ? 255 : v)
  }
}

function isKey(row: usize, wide: usize): bool {
  return load<u8>(row) == keyR && (channels == 1 || (load<u8>(row + wide) == keyG && load<u8>(row + 2 * wide) == keyB))
}


@inline function overWhite(v: i32, alpha: i32): i32 {
  return alpha == 255 ? v : (2 * (v * alpha + 255 * (255 - alpha)) + 255) / 510
}


@inline function bitsAt(row: usize, x: i32): i32 {
  const bit = x * depth
  return (load<u8>(row + (bit >> 3)) >> (8 - depth - (bit & 7))) & ((1 << depth) - 1)
}

function expandBits(row: usize, n: i32, to: usize): void {
  const most = (1 << depth) - 1
  for (let x = 0; x < n; x++) {
    const v = (bitsAt(row, x) * 255) / most
    store<u8>(to + x, hasKey && v == keyR ? 255 : v)
  }
}

function expandPalette(row: usize, n: i32, to: usize): void {
  if (depth == 8) for (let x = 0; x < n; x++, to += 3) paint(to, <i32>load<u8>(row + x))
  else for (let x = 0; x < n; x++, to += 3) paint(to, bitsAt(row, x))
}


@inline function paint(to: usize, index: i32): void {
  const colour = colours + ((<usize>index) << 2)
  const alpha = hasAlpha ? <i32>load<u8>(colour, 3) : 255
  for (let c: usize = 0; c < 3; c++) store<u8>(to + c, overWhite(<i32>load<u8>(colour + c), alpha))
}

/** Pixels of an interlaced row to their places. */
function spread(line: usize, n: i32, to: usize, step: i32): void {
  for (let i = 0; i < n; i++, to += step * channels) {
    for (let c = 0; c < channels; c++) store<u8>(to + c, load<u8>(line++))
  }
}
