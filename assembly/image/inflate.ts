/**
 * zlib streams, into a sliding window: the caller takes what it needs and says where to stop, so that neither a
 * compression bomb nor a wrong header makes anything grow. Accepted and refused as by zlib.
 * Source: RFC 1950 and 1951; zlib's inflate for incomplete and over-subscribed codes.
 */
import { alloc } from './memory'

/** Why `run` stopped. */
export const STOP_OUTPUT: i32 = 0
export const STOP_INPUT: i32 = 1
export const STOP_END: i32 = 2
export const STOP_ERROR: i32 = 3

/** What comes next. */
const AT_HEADER: i32 = 0
const AT_BLOCK: i32 = 1
const IN_STORED: i32 = 2
const IN_CODES: i32 = 3
const IN_MATCH: i32 = 4
const AT_CHECK: i32 = 5
const DONE: i32 = 6
const BROKEN: i32 = 7
let state: i32 = 0
let bare: bool = false

/** Bits taken from the input and not yet used, lowest first; the bytes that follow them, and the input's end. */
let hold: u64 = 0
let held: i32 = 0
let next: usize = 0
let inputEnd: usize = 0

const HISTORY: usize = 32768
/** Copies may write so many bytes too far. */
const OVERRUN: usize = 32
let window: usize = 0
let capacity: usize = 0
/** What the caller has not taken yet, and where output goes. */
let taken: usize = 0
let written: usize = 0
/** Bytes put out so far in all, and at most. */
let total: u64 = 0
let limit: u64 = 0

let lastBlock: bool = false
/** Bytes left of a stored block or of a match, and the match's distance. */
let left: i32 = 0
let distance: i32 = 0
let adlerLow: u32 = 1
let adlerHigh: u32 = 0

const LOOK: i32 = 10
/**
 * A table by the next LOOK bits: value << 16 | kind << 8 | code length. Kinds: 0 literal, 16 + extra bits for a length
 * or distance whose base is the value, 64 not a code, 96 end of block, 128 a longer code. Behind it the code's
 * canonical form: counts by length (i32 x 16), then symbols (u16).
 */
const COUNTS: usize = 4096
const SYMBOLS: usize = COUNTS + 64
const literals = memory.data(4096 + 64 + 640, 16)
const distances = memory.data(4096 + 64 + 64, 16)
/** Code lengths of the block being described, and of the code that they are in. */
const lengths = memory.data(320, 16)
const order = memory.data<u8>([16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15])

const LENGTH_BASE = memory.data<u16>([
  3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258,
])
const LENGTH_EXTRA = memory.data<u8>([
  0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0,
])
const DISTANCE_BASE = memory.data<u16>([
  1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145,
  8193, 12289, 16385, 24577,
])

/**
 * Starts on the `bytes` bytes at `from`, which 16 readable bytes must follow. At most `most` bytes are put out; `piece`
 * of them can be taken at once. `raw`: deflate data without zlib's header and checksum. False without memory.
 */
export function startInflate(from: usize, bytes: usize, most: u64, piece: usize, raw: bool = false): bool {
  bare = raw
  state = raw ? AT_BLOCK : AT_HEADER
  hold = 0
  held = 0
  next = from
  inputEnd = from + bytes
  capacity = HISTORY + 2 * max<usize>(piece, 32768)
  window = alloc(<u64>(capacity + OVERRUN))
  taken = window
  written = window
  total = 0
  limit = most
  lastBlock = false
  goesOn = false
  adlerLow = 1
  adlerHigh = 0
  return window != 0
}

/** Position of the first byte that was not used. */
export function inputPosition(): usize {
  return next - <usize>(held >> 3)
}

/** Stops at `end` from now on; nothing behind it was used. */
export function endInput(end: usize): void {
  inputEnd = end
}

/** The address of the next `bytes` bytes, at most `piece`, or 0: see `stopped`. */
export function takeBytes(bytes: usize): usize {
  while (written - taken < bytes) {
    if (taken - window > HISTORY && window + capacity - written < bytes) slide()
    stopped = run(window + capacity)
    if (stopped != STOP_OUTPUT && written - taken < bytes) return 0
  }
  const at = taken
  taken += bytes
  return at
}

/** Why there were too few bytes. */
export let stopped: i32 = 0
/** Bytes that were put out and not taken. */
export function bytesLeft(): usize {
  return written - taken
}

/** Goes on without room for output: what zlib does before it returns with its output full. */
export function runOn(): i32 {
  limit = total
  goesOn = true
  return run(window + capacity)
}
/** Whether what needs no output is read when there is no room for any. */
let goesOn: bool = false

function slide(): void {
  const from = min(taken, written - HISTORY)
  memory.copy(window, from, written - from)
  const by = from - window
  taken -= by
  written -= by
}


@inline function overrun(): bool {
  return next - <usize>(held >> 3) > inputEnd
}


@inline function refill(): void {
  hold |= load<u64>(next) << (<u64>held)
  next += (63 - held) >> 3
  held |= 56
}


@inline function drop(n: i32): void {
  hold >>= <u64>n
  held -= n
}


@inline function peek(n: i32): i32 {
  return (<i32>hold) & ((1 << n) - 1)
}

/** State to come back to when the input ends within what is being read. */
let savedHold: u64 = 0
let savedHeld: i32 = 0
let savedNext: usize = 0


@inline function save(): void {
  savedHold = hold
  savedHeld = held
  savedNext = next
}


@inline function goBack(): i32 {
  hold = savedHold
  held = savedHeld
  next = savedNext
  return STOP_INPUT
}

function broken(): i32 {
  state = BROKEN
  return STOP_ERROR
}

/** Decodes until the output reaches `end` or the limit, or something stops it. */
function run(end: usize): i32 {
  const room = <u64>(end - written)
  const stop = total + room > limit ? written + <usize>(limit - total) : end
  const before = written
  const why = steps(stop)
  updateAdler(before)
  total += <u64>(written - before)
  return why == AT_CHECK ? check() : why
}

function steps(stop: usize): i32 {
  while (true) {
    if (written == stop && !goesOn) return STOP_OUTPUT
    save()
    if (state == AT_HEADER) {
      refill()
      const cmf = peek(8)
      const header = (cmf << 8) | ((<i32>(hold >> 8)) & 255)
      if (next - <usize>((held - 16) >> 3) > inputEnd) return goBack()
      if (header % 31 != 0 || (cmf & 15) != 8 || cmf >> 4 > 7) return broken()
      // A dictionary that nobody has.
      if ((header & 32) != 0) return goBack()
      drop(16)
      state = AT_BLOCK
    } else if (state == AT_BLOCK) {
      if (lastBlock) {
        state = bare ? DONE : AT_CHECK
        continue
      }
      const why = blockHeader()
      if (why >= 0) return why
    } else if (state == IN_STORED) {
      if (left == 0) {
        state = AT_BLOCK
        continue
      }
      if (written == stop) return STOP_OUTPUT
      // Whole bytes only are held here: give them back.
      next -= held >> 3
      hold = 0
      held = 0
      if (next >= inputEnd) return STOP_INPUT
      const n = min(<usize>left, min(stop - written, inputEnd - next))
      memory.copy(written, next, n)
      next += n
      written += n
      left -= <i32>n
    } else if (state == IN_MATCH) {
      if (written == stop) return STOP_OUTPUT
      // The window always holds as much as a distance can reach, unless there was less.
      if (<usize>distance > written - window) return broken()
      copyMatch(stop)
      if (left == 0) state = IN_CODES
    } else if (state == IN_CODES) {
      const why = codes(stop)
      if (why >= 0) return why
    } else if (state == AT_CHECK) return AT_CHECK
    else return state == DONE ? STOP_END : STOP_ERROR
  }
}

/** The stream's checksum. */
function check(): i32 {
  save()
  const bits = held & 7
  drop(bits)
  refill()
  const want = bswap<u32>(<u32>hold)
  held -= 32
  if (overrun()) return goBack()
  held += 32
  if (want != ((adlerHigh << 16) | adlerLow)) return broken()
  drop(32)
  state = DONE
  return STOP_END
}

function updateAdler(from: usize): void {
  let a = adlerLow
  let b = adlerHigh
  while (from < written) {
    const end = min(written, from + 5552)
    for (; from + 8 <= end; from += 8) {
      const v = load<u64>(from)
      a += (<u32>v) & 255
      b += a
      a += (<u32>(v >> 8)) & 255
      b += a
      a += (<u32>(v >> 16)) & 255
      b += a
      a += (<u32>(v >> 24)) & 255
      b += a
      a += (<u32>(v >> 32)) & 255
      b += a
      a += (<u32>(v >> 40)) & 255
      b += a
      a += (<u32>(v >> 48)) & 255
      b += a
      a += <u32>(v >> 56)
      b += a
    }
    for (; from < end; from++) {
      a += <u32>load<u8>(from)
      b += a
    }
    a %= 65521
    b %= 65521
  }
  adlerLow = a
  adlerHigh = b
}

/** -1: go on. */
function blockHeader(): i32 {
  refill()
  const last = ((<i32>hold) & 1) != 0
  const kind = ((<i32>hold) >> 1) & 3
  drop(3)
  if (overrun()) return goBack()
  if (kind == 3) return broken()
  if (kind == 0) {
    drop(held & 7)
    refill()
    const n = (<u32>hold) & 0xffff
    const check = (<u32>(hold >> 16)) & 0xffff
    drop(32)
    if (overrun()) return goBack()
    if (n != (check ^ 0xffff)) return broken()
    left = <i32>n
    lastBlock = last
    state = IN_STORED
    return -1
  }
  if (kind == 1) {
    memory.fill(lengths, 8, 144)
    memory.fill(lengths + 144, 9, 112)
    memory.fill(lengths + 256, 7, 24)
    memory.fill(lengths + 280, 8, 8)
    build(literals, lengths, 288, false)
    memory.fill(lengths, 5, 32)
    build(distances, lengths, 32, true)
  } else {
    const why = readCodes()
    if (why >= 0) return why
  }
  lastBlock = last
  state = IN_CODES
  return -1
}

/** The code lengths of a block with its own codes. */
function readCodes(): i32 {
  refill()
  const literalCount = peek(5) + 257
  const distanceCount = ((<i32>(hold >> 5)) & 31) + 1
  const lengthCount = ((<i32>(hold >> 10)) & 15) + 4
  drop(14)
  if (overrun()) return goBack()
  if (literalCount > 286 || distanceCount > 30) return broken()
  memory.fill(lengths, 0, 19)
  for (let i = 0; i < lengthCount; i++) {
    if (held < 8) refill()
    store<u8>(lengths + load<u8>(order + i), <u8>peek(3))
    drop(3)
  }
  if (overrun()) return goBack()
  if (!build(literals, lengths, 19, false)) return broken()
  let i = 0
  let before = 0
  while (i < literalCount + distanceCount) {
    refill()
    const e = symbol(literals)
    if (overrun()) return goBack()
    // Not a code.
    if (e < 0) return broken()
    if (e < 16) {
      store<u8>(lengths + i++, <u8>e)
      before = e
      continue
    }
    let n: i32
    let value = 0
    if (e == 16) {
      if (i == 0) {
        drop(2)
        return overrun() ? goBack() : broken()
      }
      value = before
      n = 3 + peek(2)
      drop(2)
    } else if (e == 17) {
      n = 3 + peek(3)
      drop(3)
    } else {
      n = 11 + peek(7)
      drop(7)
    }
    if (overrun()) return goBack()
    if (i + n > literalCount + distanceCount) return broken()
    memory.fill(lengths + i, <u8>value, n)
    i += n
    before = value
  }
  if (load<u8>(lengths + 256) == 0) return broken()
  if (!buildPair(literalCount, distanceCount)) return broken()
  return -1
}

function buildPair(literalCount: i32, distanceCount: i32): bool {
  return build(literals, lengths, literalCount, false) && build(distances, lengths + literalCount, distanceCount, true)
}

/** The symbol of a table, its bits dropped; -1 when the bits are no code. */
function symbol(table: usize): i32 {
  let code = 0
  let first = 0
  let index = 0
  let bits = <u32>hold
  for (let length = 1; length <= 15; length++) {
    code |= bits & 1
    bits >>= 1
    const count = load<i32>(table + ((<usize>length) << 2), COUNTS)
    if (code - count < first) {
      drop(length)
      return <i32>load<u16>(table + ((<usize>(index + code - first)) << 1), SYMBOLS)
    }
    index += count
    first = (first + count) << 1
    code <<= 1
  }
  return -1
}

/** Makes a table of code lengths. False when they are no code that zlib takes. */
function build(table: usize, from: usize, n: i32, isDistance: bool): bool {
  memory.fill(table, 0, SYMBOLS)
  for (let i = 0; i < n; i++) {
    const at = table + ((<usize>load<u8>(from + i)) << 2)
    store<i32>(at, load<i32>(at, COUNTS) + 1, COUNTS)
  }
  store<i32>(table, 0, COUNTS)
  let free = 1
  let longest = 0
  for (let length = 1; length <= 15; length++) {
    const count = load<i32>(table + ((<usize>length) << 2), COUNTS)
    free = (free << 1) - count
    if (free < 0) return false
    if (count > 0) longest = length
  }
  // Incomplete: allowed only as a single code of one bit, and as none at all.
  if (free > 0 && longest > 1) return false
  if (free > 0 && longest == 1 && n == 19) return false
  if (longest == 0 && n == 19) return false
  const next = memory.data(16 * 4, 4)
  const codes = memory.data(16 * 4, 4)
  let index = 0
  let code = 0
  for (let length = 1; length <= 15; length++) {
    const count = load<i32>(table + ((<usize>length) << 2), COUNTS)
    store<i32>(next + ((<usize>length) << 2), index)
    store<i32>(codes + ((<usize>length) << 2), code)
    index += count
    code = (code + count) << 1
  }
  for (let i: usize = 0; i < 1 << LOOK; i++) store<u32>(table + (i << 2), 64 << 8)
  for (let i = 0; i < n; i++) {
    const length = <i32>load<u8>(from + i)
    if (length == 0) continue
    const slot = (<usize>length) << 2
    const place = load<i32>(next + slot)
    store<i32>(next + slot, place + 1)
    store<u16>(table + ((<usize>place) << 1), <u16>i, SYMBOLS)
    const value = load<i32>(codes + slot)
    store<i32>(codes + slot, value + 1)
    const reversed = reverse(value, length)
    if (length > LOOK) {
      store<u32>(table + ((<usize>(reversed & ((1 << LOOK) - 1))) << 2), 128 << 8)
      continue
    }
    const e = entry(i, length, isDistance)
    for (let k = reversed; k < 1 << LOOK; k += 1 << length) store<u32>(table + ((<usize>k) << 2), e)
  }
  return true
}

function reverse(code: i32, length: i32): i32 {
  let out = 0
  for (let i = 0; i < length; i++) {
    out = (out << 1) | (code & 1)
    code >>= 1
  }
  return out
}

function entry(symbol: i32, length: i32, isDistance: bool): u32 {
  if (isDistance) {
    if (symbol > 29) return (64 << 8) | length
    const extra = symbol < 2 ? 0 : (symbol >> 1) - 1
    return ((<u32>load<u16>(DISTANCE_BASE + ((<usize>symbol) << 1))) << 16) | ((16 + extra) << 8) | length
  }
  if (symbol < 256) return (symbol << 16) | length
  if (symbol == 256) return (96 << 8) | length
  if (symbol > 285) return (64 << 8) | length
  const i = symbol - 257
  return (
    ((<u32>load<u16>(LENGTH_BASE + ((<usize>i) << 1))) << 16) | ((16 + <i32>load<u8>(LENGTH_EXTRA + i)) << 8) | length
  )
}

/** The entry of the next code in a table. */
@inline function entryOf(table: usize, isDistance: bool, h: u64): u32 {
  const e = load<u32>(table + ((<usize>(h & ((1 << LOOK) - 1))) << 2))
  return ((e >> 8) & 255) == 128 ? longEntry(table, isDistance, h) : e
}
function longEntry(table: usize, isDistance: bool, h: u64): u32 {
  const keptHold = hold
  const keptHeld = held
  hold = h
  held = 64
  const s = symbol(table)
  const length = 64 - held
  hold = keptHold
  held = keptHeld
  return s < 0 ? 64 << 8 : entry(s, length, isDistance)
}

/** Literals and matches of a block; -1: the block ended, or a match is to be copied. */
function codes(stop: usize): i32 {
  let h = hold
  let n = held
  let p = next
  let w = written
  const end = inputEnd
  // Where to stop before the next code.
  const full: usize = goesOn ? 0 : stop
  while (true) {
    if (w == full) return keep(h, n, p, w, STOP_OUTPUT)
    const h0 = h
    const n0 = n
    const p0 = p
    h |= load<u64>(p) << (<u64>n)
    p += (63 - n) >> 3
    n |= 56
    const e = entryOf(literals, false, h)
    const kind = (e >> 8) & 255
    h >>= <u64>(e & 255)
    n -= e & 255
    if (kind == 0) {
      if (p > end && p - <usize>(n >> 3) > end) return keep(h0, n0, p0, w, STOP_INPUT)
      if (w == stop) return keep(h0, n0, p0, w, STOP_OUTPUT)
      store<u8>(w++, <u8>(e >> 16))
      continue
    }
    if (kind >= 64) {
      if (p > end && p - <usize>(n >> 3) > end) return keep(h0, n0, p0, w, STOP_INPUT)
      keep(h, n, p, w, 0)
      if (kind != 96) return broken()
      state = AT_BLOCK
      return -1
    }
    const lengthBits = kind - 16
    left = <i32>(e >> 16) + ((<i32>h) & ((1 << lengthBits) - 1))
    h >>= <u64>lengthBits
    n -= lengthBits
    const d = entryOf(distances, true, h)
    const dKind = (d >> 8) & 255
    h >>= <u64>(d & 255)
    n -= d & 255
    if (dKind >= 64) {
      if (p > end && p - <usize>(n >> 3) > end) return keep(h0, n0, p0, w, STOP_INPUT)
      keep(h, n, p, w, 0)
      return broken()
    }
    const distanceBits = dKind - 16
    distance = <i32>(d >> 16) + ((<i32>h) & ((1 << distanceBits) - 1))
    h >>= <u64>distanceBits
    n -= distanceBits
    if (p > end && p - <usize>(n >> 3) > end) return keep(h0, n0, p0, w, STOP_INPUT)
    if (w + left <= stop && <usize>distance <= w - window && distance >= 8) {
      let to = w
      let at = w - distance
      w += left
      do {
        store<u64>(to, load<u64>(at))
        to += 8
        at += 8
      } while (to < w)
      continue
    }
    keep(h, n, p, w, 0)
    state = IN_MATCH
    return -1
  }
}

function keep(h: u64, n: i32, p: usize, w: usize, why: i32): i32 {
  hold = h
  held = n
  next = p
  written = w
  return why
}

function copyMatch(stop: usize): void {
  const n = min(<usize>left, stop - written)
  let from = written - distance
  for (const end = written + n; written < end; written++, from++) store<u8>(written, load<u8>(from))
  left -= <i32>n
}
