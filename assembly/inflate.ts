/**
 * Raw deflate data of zip archives, as a small module without imports: write `bytes` bytes at what `input` gives, then
 * take the result from what `inflate` gives.
 */
import { alloc, reset, status } from './image/memory'
import { runOn, startInflate, STOP_END, takeBytes } from './image/inflate'

const SLACK: u64 = 16
let from: usize = 0
let size: usize = 0

/** Room for `bytes` bytes, or 0. */
export function input(bytes: u32): usize {
  reset(0x4000_0000)
  size = <usize>bytes
  from = alloc(<u64>bytes + SLACK)
  return from
}

/** Where the data lies that the input gives, which must be exactly `bytes` bytes; 0: it is something else. */
export function inflate(bytes: u32): usize {
  // One piece: all of it stays in the window.
  if (!startInflate(from, size, <u64>bytes, max<usize>(<usize>bytes, 1), true)) return 0
  const at = takeBytes(<usize>bytes)
  return at != 0 && status == 0 && runOn() == STOP_END ? at : 0
}
