/**
 * The WASI (preview 1) calls that the command uses, with files as whole byte ranges.
 * Source: WASI's wasi_snapshot_preview1 witx.
 */
import { alloc, status } from '../image/memory'

// @ts-ignore: decorator
@external("wasi_snapshot_preview1", "args_sizes_get")
declare function args_sizes_get(count: usize, bytes: usize): i32
// @ts-ignore: decorator
@external("wasi_snapshot_preview1", "args_get")
declare function args_get(pointers: usize, text: usize): i32
// @ts-ignore: decorator
@external("wasi_snapshot_preview1", "fd_prestat_get")
declare function fd_prestat_get(fd: i32, to: usize): i32
// @ts-ignore: decorator
@external("wasi_snapshot_preview1", "fd_prestat_dir_name")
declare function fd_prestat_dir_name(fd: i32, to: usize, bytes: i32): i32
// @ts-ignore: decorator
@external("wasi_snapshot_preview1", "path_open")
declare function path_open(
  fd: i32,
  lookup: i32,
  path: usize,
  bytes: i32,
  how: i32,
  rights: i64,
  inherited: i64,
  flags: i32,
  to: usize,
): i32
// @ts-ignore: decorator
@external("wasi_snapshot_preview1", "fd_read")
declare function fd_read(fd: i32, vectors: usize, count: i32, to: usize): i32
// @ts-ignore: decorator
@external("wasi_snapshot_preview1", "fd_write")
declare function fd_write(fd: i32, vectors: usize, count: i32, to: usize): i32
// @ts-ignore: decorator
@external("wasi_snapshot_preview1", "fd_close")
declare function fd_close(fd: i32): i32
// @ts-ignore: decorator
@external("wasi_snapshot_preview1", "clock_time_get")
declare function clock_time_get(clock: i32, precision: i64, to: usize): i32
// @ts-ignore: decorator
@external("wasi_snapshot_preview1", "proc_exit")
declare function proc_exit(code: i32): void

export const STDIN: i32 = 0
const CLOCK_MONOTONIC: i32 = 1
const RIGHT_FD_READ: i64 = 2
const FIRST_PREOPEN: i32 = 3
export const ENOENT: i32 = 44
const EINTR: i32 = 27

/** Results of calls: two words, and a vector { address, bytes }. */
const words = memory.data(16, 8)
const vector = memory.data(8, 8)
const LONGEST_PREOPEN = 1024
const preopen = memory.data(1024)

/** Address of argc pointers to NUL-terminated text; `argumentCount` of them. 0 when there is no room. */
export let argumentCount: i32 = 0
export function readArguments(): usize {
  if (args_sizes_get(words, words + 4) != 0) return 0
  argumentCount = load<i32>(words)
  const pointers = alloc(<u64>(argumentCount << 2))
  const text = alloc(<u64>load<u32>(words, 4))
  if (status != 0 || args_get(pointers, text) != 0) return 0
  return pointers
}

export function textLength(text: usize): i32 {
  let n = 0
  while (load<u8>(text + n) != 0) n++
  return n
}

/** Steps over leading `/` and `./`: the root and the working folder are one, as in wasi-libc. */
function stripped(path: usize, end: usize): usize {
  while (path < end) {
    if (load<u8>(path) == 0x2f) path++
    else if (load<u8>(path) == 0x2e && (path + 1 == end || load<u8>(path, 1) == 0x2f)) path++
    else break
  }
  return path
}

/** Path of `path` below a preopened folder's name, or 0 when it does not lie there. */
function below(path: usize, folder: usize, bytes: i32): usize {
  path = stripped(path, path + textLength(path))
  let end = folder + bytes
  folder = stripped(folder, end)
  while (end > folder && load<u8>(end - 1) == 0x2f) end--
  if (folder == end) return path
  for (; folder < end; folder++, path++) if (load<u8>(path) != load<u8>(folder)) return 0
  return load<u8>(path) == 0x2f ? stripped(path, path + textLength(path)) : 0
}

/** The errno of the last failed `openFile`. */
export let openError: i32 = 0

/** Opens a file for reading through whichever preopened folder holds it; the descriptor, or -1. */
export function openFile(path: usize): i32 {
  openError = ENOENT
  let found = false
  for (let fd = FIRST_PREOPEN; fd_prestat_get(fd, words) == 0; fd++) {
    const bytes = load<i32>(words, 4)
    if (load<u8>(words) != 0 || bytes > LONGEST_PREOPEN || fd_prestat_dir_name(fd, preopen, bytes) != 0) continue
    const rest = below(path, preopen, bytes)
    if (rest == 0) continue
    const code = path_open(fd, 1, rest, textLength(rest), 0, RIGHT_FD_READ, 0, 0, words)
    if (code == 0) return load<i32>(words)
    openError = code
    found = true
  }
  if (!found) openError = -1
  return -1
}

export function closeFile(fd: i32): void {
  fd_close(fd)
}

/** Up to `bytes` bytes; 0 at the end, -1 on failure. */
export function read(fd: i32, to: usize, bytes: i32): i32 {
  store<u32>(vector, to)
  store<i32>(vector, bytes, 4)
  let code = fd_read(fd, vector, 1, words)
  while (code == EINTR) code = fd_read(fd, vector, 1, words)
  return code == 0 ? load<i32>(words) : -1
}

/** Writes all of it, or false. The packer leaves it out where no descriptor is written to. */
export function sink_1(fd: i32, from: usize, bytes: i32): bool {
  while (bytes > 0) {
    store<u32>(vector, from)
    store<i32>(vector, bytes, 4)
    const code = fd_write(fd, vector, 1, words)
    if (code == EINTR) continue
    const done = load<i32>(words)
    if (code != 0 || done <= 0) return false
    from += done
    bytes -= done
  }
  return true
}

/** Microseconds of a clock that only goes forward. */
export function microseconds(): i64 {
  return clock_time_get(CLOCK_MONOTONIC, 1000, words) == 0 ? load<i64>(words) / 1000 : 0
}

export function exit(code: i32): void {
  proc_exit(code)
}
