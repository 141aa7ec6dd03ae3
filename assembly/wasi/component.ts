/**
 * What `thimble pack --target component` exports for pictures: core functions of `thimble:vision/model`, with the
 * records laid out as the canonical ABI has them. What is handed out stays until the next call.
 * Source: the component model's CanonicalABI.md; the types are those of src/pack/component/model.ts.
 */
import { alloc, own, reset, status, TOO_LARGE } from '../image/memory'
import { SLACK } from '../image/picture'
import { invoked, look, MEMORY_LIMIT, sentence } from './answer'
import { HEAD_MOVENET } from './config'
import { nextClass, pixelsOf } from './found'
import { box, boxHeight, boxWidth, boxX, boxY, Candidate, candidate, count, moveNetValue, pointValue } from './heads'
import { labelAt, labelBytes, pointNameAt, pointNameBytes } from './labels'
import { found, score } from './scores'
import { settings } from './settings'
import { ascii, integer, printedAt, takePrinted } from './text'
import { photoHeight, photoWidth, photoX, photoY } from './view'

const BAD_IMAGE: i32 = 1
const TOO_LARGE_CASE: i32 = 2
const FAILED: i32 = 3

/** result<list, error>: which; the list's address and length, or the error's case and its text. */
const area = memory.data(16, 8)
let owned = false

/** Frees everything but the program, and makes room for a file. */
export function room(bytes: usize): usize {
  if (!owned) own(<u64>settings().heap, <u64>settings().memoryEnd)
  owned = true
  reset(MEMORY_LIMIT)
  return alloc(<u64>bytes + <u64>SLACK)
}

/** Room for the encoded image. Traps where there is none: a question that can't be read has no answer. */
export function image_realloc(_old: usize, _oldBytes: usize, _alignment: usize, bytes: usize): usize {
  const at = room(bytes)
  if (at == 0) unreachable()
  return at
}

function answer(list: usize, length: i32): usize {
  store<u32>(area, 0)
  store<u32>(area, list, 4)
  store<i32>(area, length, 8)
  return area
}

function failure(): usize {
  takePrinted()
  sentence()
  store<u32>(area, 1)
  store<i32>(area, invoked != 0 ? FAILED : status == TOO_LARGE ? TOO_LARGE_CASE : BAD_IMAGE, 4)
  store<u32>(area, <u32>printedAt, 8)
  store<i32>(area, takePrinted(), 12)
  return area
}

/** The picture's answer, as `look` has it. No room was asked for where the file is empty. */
function see(file: usize, bytes: usize, top: i32): usize {
  return look(bytes == 0 ? room(0) : file, bytes, top)
}

/** A string that is `word` and a number; false when there is no memory. */
function numbered(to: usize, word: string, i: i32): bool {
  takePrinted()
  ascii(word)
  integer(i)
  const n = takePrinted()
  const at = alloc(n)
  if (at == 0) return false
  memory.copy(at, printedAt, n)
  store<u32>(to, <u32>at)
  store<i32>(to, n, 4)
  return true
}

function putLabel(to: usize, i: i32): bool {
  if (labelBytes(i) == 0) return numbered(to, 'class ', i)
  store<u32>(to, <u32>labelAt(i))
  store<i32>(to, labelBytes(i), 4)
  return true
}

function putPointName(to: usize, i: i32): bool {
  if (i >= settings().pointNameCount) return numbered(to, '', i)
  store<u32>(to, <u32>pointNameAt(i))
  store<i32>(to, pointNameBytes(i), 4)
  return true
}

function putBox(to: usize): void {
  store<f64>(to, boxX)
  store<f64>(to, boxY, 8)
  store<f64>(to, boxWidth, 16)
  store<f64>(to, boxHeight, 24)
}

const PREDICTION = 24

export function image_classify(file: usize, bytes: usize, top: u32): usize {
  const order = see(file, bytes, <i32>max<u32>(1, min<u32>(top, <u32>settings().classes)))
  const n = min(found, <i32>min<u32>(top, i32.MAX_VALUE))
  const list = order != 0 ? alloc(<u64>n * PREDICTION) : 0
  if (list == 0) return failure()
  for (let i = 0; i < n; i++) {
    const index = load<i32>(order + ((<usize>i) << 2))
    const to = list + <usize>i * PREDICTION
    if (!putLabel(to, index)) return failure()
    store<i32>(to, index, 8)
    store<f64>(to, <f64>score(index), 16)
  }
  return answer(list, n)
}

const DETECTION = 56

export function image_detect(file: usize, bytes: usize): usize {
  const list = see(file, bytes, 0) != 0 ? alloc(<u64>count * DETECTION) : 0
  if (list == 0) return failure()
  let n = 0
  for (let i = 0; i < count; i++) {
    const c = candidate(i)
    if (!box(c)) continue
    const to = list + <usize>n * DETECTION
    n++
    putBox(to)
    store<f64>(to, c.score, 32)
    if (!putLabel(to + 40, c.index)) return failure()
    store<i32>(to, c.index, 48)
  }
  return answer(list, n)
}

const POINT = 40

/** The list of a person's key points; false when there is no memory. */
function putPoints(to: usize, c: Candidate): bool {
  const s = settings()
  const moveNet = s.head == HEAD_MOVENET
  const n = s.pointNameCount > 0 ? min(s.points, s.pointNameCount) : s.points
  const list = alloc(<u64>n * POINT)
  if (list == 0) return false
  for (let p = 0; p < n; p++) {
    const at = list + <usize>p * POINT
    if (!putPointName(at, p)) return false
    store<f64>(at, photoX(moveNet ? moveNetValue(p, 0) : pointValue(c, p, 0)), 8)
    store<f64>(at, photoY(moveNet ? moveNetValue(p, 1) : pointValue(c, p, 1)), 16)
    const scored = s.pointValues == 3
    store<u64>(at, u64(scored), 24)
    store<f64>(at, !scored ? 0 : moveNet ? moveNetValue(p, 2) : pointValue(c, p, 2), 32)
  }
  store<u32>(to, <u32>list)
  store<i32>(to, n, 4)
  return true
}

const PERSON = 56

export function image_pose(file: usize, bytes: usize): usize {
  const list = see(file, bytes, 0) != 0 ? alloc(<u64>count * PERSON) : 0
  if (list == 0) return failure()
  for (let i = 0; i < count; i++) {
    const c = candidate(i)
    const to = list + <usize>i * PERSON
    store<f64>(to, c.score)
    store<u64>(to, u64(box(c)), 8)
    putBox(to + 16)
    if (!putPoints(to + 48, c)) return failure()
  }
  return answer(list, count)
}

const SHARE = 24

export function image_segment(file: usize, bytes: usize): usize {
  if (see(file, bytes, 0) == 0) return failure()
  let classes = 0
  for (let i = nextClass(u32.MAX_VALUE, -1); i >= 0; i = nextClass(pixelsOf(i), i)) classes++
  const list = alloc(<u64>classes * SHARE)
  if (list == 0) return failure()
  let to = list
  for (let i = nextClass(u32.MAX_VALUE, -1); i >= 0; i = nextClass(pixelsOf(i), i)) {
    if (!putLabel(to, i)) return failure()
    store<i32>(to, i, 8)
    store<u32>(to, pixelsOf(i), 12)
    store<f64>(to, <f64>pixelsOf(i) / (<f64>photoWidth * <f64>photoHeight), 16)
    to += SHARE
  }
  return answer(list, classes)
}
