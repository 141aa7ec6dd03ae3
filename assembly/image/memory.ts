/**
 * Memory and errors of the image module. One image at a time: `reset` gives everything back, `alloc` takes from the
 * heap's start on and grows the memory up to a limit; a failure is kept with its text until the next `reset`.
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

/** Most bytes of linear memory that may be used. */
let limit: u64 = 0x4000000
let top: usize = 0

export function reset(maxBytes: u32): void {
  top = __heap_base
  limit = <u64>maxBytes
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
  const end = <u64>start + bytes
  if (end > limit) {
    fail(TOO_LARGE, 'the picture needs more memory than allowed')
    return 0
  }
  const pages = <i32>((end + 0xffff) >> 16)
  const missing = pages - memory.size()
  if (missing > 0 && memory.grow(missing) < 0) {
    fail(TOO_LARGE, 'the engine gives no more memory')
    return 0
  }
  top = <usize>end
  return start
}

/** What `alloc` would still give, to free everything taken since with `release`. */
export function mark(): usize {
  return top
}

export function release(to: usize): void {
  top = to
}
