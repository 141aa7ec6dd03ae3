/**
 * The command of `thimble pack --target wasi`: names what is in pictures, or where, as the model's head is.
 *
 *   wasmtime run --dir=. classify.wasm [--json] [--top N] [--decode fast] IMAGE... (- for stdin)
 *   wasmtime run --dir=. detect.wasm [--json] IMAGE...
 *
 * Output as that of `thimble classify`, `detect`, `pose` or `segment`: one answer per picture, errors as one line each
 * on stderr. Exit code 0: done; 1: a picture is at fault; 2: the call is at fault.
 */
import { thimble_invoke } from '../exec'
import { alloc, keep, message, own, reset, status } from '../image/memory'
import { SLACK } from '../image/picture'
import { computeHead, hint, kind, MEMORY_LIMIT, names, refusal } from './answer'
import { nthBest, printPredictions } from './predictions'
import { settings } from './settings'
import { fillInput } from './input'
import { decode, decodedFast, reduced } from './picture'
import { best, computeScores, found, score } from './scores'
import {
  argumentCount,
  closeFile,
  exit,
  microseconds,
  openError,
  ENOENT,
  openFile,
  read,
  readArguments,
  STDIN,
  textLength,
} from './system'
import { printFound, printFoundJson } from './found'
import { printLabel } from './labels'
import { ascii, byte, decimal, flush, integer, json, line, printTo } from './text'
import { frame } from './view'

export { config, static_end } from './settings'
export {
  header,
  flash_slices,
  thimble_abi,
  thimble_input_ptr,
  thimble_input_bytes,
  thimble_output_ptr,
  thimble_output_bytes,
  thimble_invoke,
  thimble_reset,
} from '../exec'
export * from '../kernels'
export { head_1, head_2, head_3, head_4, head_5 } from './heads'
export { image_realloc, image_classify, image_detect, image_pose, image_segment } from './component'
export { http_handle } from './http'
export { http_room, sink_2 } from './http-calls'
export { sink_1 } from './system'

const CHUNK: usize = 65536
const STDIN_NAME = memory.data<u8>([0x2d])

let asJson = false
let fast = false
let top: i32 = 5
let exitCode: i32 = 0
let answers: i32 = 0
let decodeTime: i64 = 0
let prepareTime: i64 = 0
let inferTime: i64 = 0
let headTime: i64 = 0

export function _start(): void {
  own(<u64>settings().heap, <u64>settings().memoryEnd)
  reset(MEMORY_LIMIT)
  const pointers = readArguments()
  keep()
  if (pointers == 0) fatal('runtime/arguments: the engine gives no arguments')
  else run(pointers)
  if (asJson && answers > 0) {
    printTo(1)
    ascii('\n]\n')
  }
  flush()
  if (exitCode != 0) exit(exitCode)
}

function fatal(what: string, more: string = ''): void {
  exitCode = 2
  printTo(2)
  ascii('thimble: ')
  ascii(what)
  ascii(more)
  byte(10)
}

function same(text: usize, word: string): bool {
  let i = 0
  while (i < word.length && load<u8>(text + i) == <u8>word.charCodeAt(i)) i++
  return i == word.length && load<u8>(text + i) == 0
}

// @ts-ignore: decorator
@inline
function argument(pointers: usize, i: i32): usize {
  return load<u32>(pointers + ((<usize>i) << 2))
}

function run(pointers: usize): void {
  let images = 0
  for (let i = 1; i < argumentCount; i++) {
    const text = argument(pointers, i)
    if (same(text, '--json')) asJson = true
    else if (names() && same(text, '--decode')) {
      const how = i + 1 < argumentCount ? argument(pointers, ++i) : 0
      fast = how != 0 && same(how, 'fast')
      if (!fast && (how == 0 || !same(how, 'exact'))) {
        return fatal('usage/option: --decode is not usable; expected exact or fast')
      }
    } else if (same(text, '--help') || same(text, '-h')) return help()
    else if (names() && (same(text, '--top') || same(text, '-n'))) {
      top = i + 1 < argumentCount ? whole(argument(pointers, ++i)) : 0
      if (top < 1) return fatal('usage/option: --top is not usable; expected a whole number from 1 on')
    } else if (load<u8>(text) == 0x2d && load<u8>(text, 1) != 0) {
      return fatal('usage/option: unknown option; usage: ', usage())
    } else {
      // Options may stand anywhere: pictures are gathered at the list's front.
      store<u32>(pointers + ((<usize>images) << 2), text)
      images++
    }
  }
  if (images == 0) {
    return fatal('usage/arguments: no IMAGE given; usage: ', usage())
  }
  top = min(top, settings().classes)
  for (let i = 0; i < images; i++) answer(argument(pointers, i))
}

// @ts-ignore: decorator
@inline
function usage(): string {
  return names() ? 'classify.wasm [--json] [--top N] [--decode fast] IMAGE...' : 'detect.wasm [--json] IMAGE...'
}

function help(): void {
  printTo(1)
  ascii(usage())
  ascii(names() ? '\n\nNames what is in pictures.' : '\n\nFinds in pictures what the model finds.')
  ascii(' IMAGE: .jpg, .png, .bmp, .ppm, .pgm or .pbm; - for stdin.\n')
  if (names()) ascii('--decode fast: JPEGs at 1/2, 1/4 or 1/8 of their size where the model needs no more.\n')
  ascii('The engine must give access to their folder, e.g. wasmtime run --dir=. classify.wasm photo.jpg\n')
}

/** Up to 6 digits, else 0. */
function whole(text: usize): i32 {
  let value = 0
  for (let i = 0; load<u8>(text + i) != 0; i++) {
    const c = load<u8>(text + i)
    if (c < 0x30 || c > 0x39 || i == 6) return 0
    value = value * 10 + (c - 0x30)
  }
  return value
}

function problem(kind: string, name: usize, what: string, hint: string): void {
  exitCode = max(exitCode, 1)
  printTo(2)
  ascii('thimble: ')
  ascii(kind)
  ascii(': ')
  line(name, textLength(name))
  ascii(': ')
  ascii(what)
  ascii(hint)
  byte(10)
  flush()
}

let fileBytes: usize = 0
/** Reads all of a descriptor; 0 when it can't be read or is too large. SLACK writable bytes follow. */
function readAll(fd: i32): usize {
  let start = alloc(CHUNK)
  let room: usize = CHUNK
  fileBytes = 0
  while (status == 0) {
    const n = read(fd, start + fileBytes, <i32>min<usize>(room - fileBytes, CHUNK))
    if (n < 0) return 0
    if (n == 0 && room - fileBytes >= SLACK) break
    fileBytes += n
    if (room - fileBytes >= SLACK) continue
    // Twice the room, behind what there is if nobody else took that.
    const more = alloc(room)
    if (more != 0 && more != start + room) {
      const moved = alloc(room * 2)
      if (moved != 0) memory.copy(moved, start, fileBytes)
      start = moved
    }
    room *= 2
  }
  return status == 0 ? start : 0
}

function readPicture(name: usize): usize {
  const stdin = same(name, '-')
  const fd = stdin ? STDIN : openFile(name)
  if (fd < 0) {
    problem(
      'usage/file',
      name,
      openError == -1
        ? 'no folder that holds it was given'
        : openError == ENOENT
          ? 'no such file'
          : "it can't be opened",
      openError == -1 ? '; run with --dir=FOLDER' : '',
    )
    exitCode = 2
    return 0
  }
  const file = readAll(fd)
  if (!stdin) closeFile(fd)
  if (file == 0 && status == 0) {
    problem('usage/file', name, "it can't be read", '')
    exitCode = 2
  }
  return file
}

function answer(name: usize): void {
  reset(MEMORY_LIMIT)
  const file = readPicture(name)
  if (file == 0 && status == 0) return
  const start = microseconds()
  if (status == 0) decode(file, fileBytes, fast)
  const decoded = microseconds()
  const ok = status == 0 && (names() || frame()) && fillInput()
  const filled = microseconds()
  const code = ok ? thimble_invoke() : 0
  if (code != 0) return problem('runtime/status', name, refusal(code), '')
  const done = microseconds()
  const list: usize = !ok ? 0 : names() ? (computeScores() ? best(top) : 0) : usize(computeHead())
  headTime = microseconds() - done
  if (list == 0) {
    return problem(kind(status), name, message, hint(status))
  }
  decodeTime = decoded - start
  prepareTime = filled - decoded
  inferTime = done - filled
  printTo(1)
  if (asJson) printJson(name, list)
  else printText(name, list)
  flush()
}

function printText(name: usize, list: usize): void {
  if (answers++ > 0) byte(10)
  if (same(name, '-')) ascii('stdin')
  else line(name, textLength(name))
  byte(10)
  if (!names()) printFound()
  for (let i = 0; names() && i < found; i++) {
    const index = nthBest(list, i)
    const tenths = <i64>nearest(<f64>score(index) * 1000)
    ascii(tenths < 100 ? '    ' : tenths < 1000 ? '   ' : '  ')
    decimal(tenths, 1)
    ascii(' %  ')
    printLabel(index)
    byte(10)
  }
  ascii('  ')
  line(settings().name, settings().nameBytes)
  ascii(': decode ')
  milliseconds(decodeTime, 1)
  ascii(' ms')
  if (reduced > 1) {
    ascii(' (fast, at 1/')
    integer(reduced)
    byte(0x29)
  }
  ascii(', preprocess ')
  milliseconds(prepareTime, 1)
  ascii(' ms, inference ')
  milliseconds(inferTime, 1)
  ascii(' ms\n')
}

function milliseconds(us: i64, digits: i32): void {
  if (digits == 1) decimal((us + 50) / 100, 1)
  else decimal(us, 3)
}

function printJson(name: usize, list: usize): void {
  ascii(answers++ == 0 ? '[\n' : ',\n')
  ascii('  {"file": ')
  json(name, textLength(name))
  ascii(', "model": ')
  json(settings().name, settings().nameBytes)
  if (names()) printPredictions(list)
  else printFoundJson()
  ascii(', ')
  if (decodedFast) {
    ascii('"decode": "fast", "reduced": ')
    integer(reduced)
    ascii(', ')
  }
  ascii('"timings": {"decodeMs": ')
  milliseconds(decodeTime, 3)
  ascii(', "preprocessMs": ')
  milliseconds(prepareTime, 3)
  ascii(', "inferMs": ')
  milliseconds(inferTime, 3)
  if (!names()) {
    ascii(', "headMs": ')
    milliseconds(headTime, 3)
  }
  ascii('}}')
}
