/**
 * Memory and errors of the image path. One picture at a time: `reset` takes everything back, `alloc` gives from the
 * heap's start on and grows the memory up to a limit; a failure is kept with its text until the next `reset`.
 *
 * The memory may have other owners: an adapter that makes a component of the WASI command takes pages of its own by
 * memory.grow. Only what was there at the start and what `alloc` itself grew is used.
 */

/**
 * What kind of failure: the host's `image/truncated`, `image/corrupt`, `image/unsupported-format`, `image/too-large`.
 */
export const TRUNCATED: i32 = 1
export const CORRUPT: i32 = 2
export const UNSUPPORTED: i32 = 3
export const TOO_LARGE: i32 = 4

/** 0, or the kind of the first failure since `reset`, and what it says. */
export let status: i32 = 0
export let message: string = ''

const PAGE: u64 = 0x10000
/** Ranges of memory that are ours, {start, end} in bytes as u64, in the order in which they were grown. */
const MOST_RANGES: i32 = 64
const ranges = memory.data(64 * 16, 16)
let rangeCount: i32 = 0
/** The range that is being used up, and where its free part begins. */
let current: i32 = 0
let top: u64 = 0

/** Most bytes that may be used, and those that are. */
let limit: u64 = 0x4000000
let used: u64 = 0


@inline function rangeStart(i: i32): u64 {
  return load<u64>(ranges + ((<usize>i) << 4))
}


@inline function rangeEnd(i: i32): u64 {
  return load<u64>(ranges + ((<usize>i) << 4), 8)
}


@inline function setRange(i: i32, start: u64, end: u64): void {
  store<u64>(ranges + ((<usize>i) << 4), start)
  store<u64>(ranges + ((<usize>i) << 4), end, 8)
}

/** Says what is ours: from `start` to `end`. Without it, from the heap's start to the end of the memory. */
export function own(start: u64, end: u64): void {
  setRange(0, start, end)
  rangeCount = 1
}

export function reset(maxBytes: u32): void {
  if (rangeCount == 0) own(<u64>__heap_base, (<u64>memory.size()) << 16)
  current = 0
  top = rangeStart(0)
  limit = <u64>maxBytes
  used = 0
  status = 0
  message = ''
}

export function fail(kind: i32, text: string): void {
  if (status != 0) return
  status = kind
  message = text
}

/** 16-byte aligned, not cleared; 0 after failing with TOO_LARGE. */
export function alloc(bytes: u64): usize {
  const start = (top + 15) & ~15
  const end = start + bytes
  used += end - top
  if (bytes > limit || used > limit) {
    fail(TOO_LARGE, 'the picture needs more memory than allowed')
    return 0
  }
  if (end <= rangeEnd(current)) {
    top = end
    return <usize>start
  }
  return elsewhere(bytes)
}

/** From a later range of ours, or from new pages. */
function elsewhere(bytes: u64): usize {
  while (current + 1 < rangeCount) {
    current++
    top = rangeStart(current)
    if (top + bytes <= rangeEnd(current)) return take(bytes)
  }
  const end = rangeEnd(current)
  const first = (<u64>memory.size()) << 16
  // Pages that follow ours make our last range longer; behind another owner's, they make a new one.
  const from = first == end ? (top + 15) & ~15 : first
  const pages = (from + bytes - first + PAGE - 1) >> 16
  if ((first >> 16) + pages > 0x10000 || memory.grow(<i32>pages) < 0) {
    fail(TOO_LARGE, 'the engine gives no more memory')
    return 0
  }
  if (first == end) setRange(current, rangeStart(current), first + (pages << 16))
  else {
    if (rangeCount == MOST_RANGES) {
      fail(TOO_LARGE, 'the memory has too many owners')
      return 0
    }
    current = rangeCount++
    setRange(current, first, first + (pages << 16))
    top = first
  }
  return take(bytes)
}

function take(bytes: u64): usize {
  const start = (top + 15) & ~15
  top = start + bytes
  return <usize>start
}

/** Everything given so far stays: `reset` takes back only what comes after it. */
export function keep(): void {
  setRange(0, (top + 15) & ~15, rangeEnd(current))
  rangeCount = 1
  current = 0
}
