/**
 * The outputs -> boxes, points or shares of classes: the arithmetic of src/vision/heads and boxes.ts. One export for
 * each kind of head, so that a command has its model's alone.
 */
import { alloc } from '../image/memory'
import {
  COORDINATES_AUTO,
  COORDINATES_PIXELS,
  FORM_FIRST,
  FORM_INDICES,
  FORM_LAST,
  FORM_MASK_LOGITS,
  SCORES_SOFTMAX,
} from './config'
import { settings } from './settings'
import { largest, real } from './values'
import { photoHeight, photoWidth, photoX, photoY, x0, xx, y0, yy } from './view'

/** Shares of the input. */
@unmanaged export class Candidate {
  left: f64
  top: f64
  right: f64
  bottom: f64
  score: f64
  index: i32
  /** Element of the first key point's first number. */
  points: i32
}

/** Most that is found in one picture, and most candidates that are compared. */
const MOST = 100
const MOST_CANDIDATES = 30_000

/** Addresses of candidates (u32), and how many there are. */
export let list: usize = 0
export let count: i32 = 0

// @ts-ignore: decorator
@inline
export function candidate(i: i32): Candidate {
  return changetype<Candidate>(<usize>load<u32>(list + ((<usize>i) << 2)))
}
// @ts-ignore: decorator
@inline
function setCandidate(i: i32, c: Candidate): void {
  store<u32>(list + ((<usize>i) << 2), <u32>changetype<usize>(c))
}

/** Room for n candidates; false when there is no memory. */
function room(n: i32): bool {
  count = 0
  list = alloc(<u64>n * 4 + 4)
  return list != 0
}

function add(left: f64, top: f64, right: f64, bottom: f64, score: f64, index: i32, points: i32 = 0): bool {
  const at = alloc(offsetof<Candidate>())
  if (at == 0) return false
  const c = changetype<Candidate>(at)
  c.left = left
  c.top = top
  c.right = right
  c.bottom = bottom
  c.score = score
  c.index = index
  c.points = points
  setCandidate(count++, c)
  return true
}

// @ts-ignore: decorator
@inline
function threshold(): f64 {
  return load<f64>(<usize>settings().thresholds)
}

/** Best score first, equal scores in the given order. Merges runs; false when there is no memory. */
function sort(): bool {
  const other = alloc(<u64>count * 4 + 4)
  if (other == 0) return false
  let from = list
  let to = other
  for (let run = 1; run < count; run *= 2) {
    for (let start = 0; start < count; start += 2 * run) {
      const middle = min(start + run, count)
      const end = min(start + 2 * run, count)
      let a = start
      let b = middle
      for (let k = start; k < end; k++) {
        const first =
          b >= end ||
          (a < middle &&
            !(
              changetype<Candidate>(<usize>load<u32>(from + ((<usize>b) << 2))).score >
              changetype<Candidate>(<usize>load<u32>(from + ((<usize>a) << 2))).score
            ))
        store<u32>(to + ((<usize>k) << 2), load<u32>(from + ((<usize>(first ? a++ : b++)) << 2)))
      }
    }
    const swap = from
    from = to
    to = swap
  }
  list = from
  return true
}

function overlap(a: Candidate, b: Candidate): f64 {
  const areaA = (a.right - a.left) * (a.bottom - a.top)
  const areaB = (b.right - b.left) * (b.bottom - b.top)
  if (!(areaA > 0 && areaB > 0)) return 0
  const width = min<f64>(a.right, b.right) - max<f64>(a.left, b.left)
  const height = min<f64>(a.bottom, b.bottom) - max<f64>(a.top, b.top)
  if (!(width > 0 && height > 0)) return 0
  return (width * height) / (areaA + areaB - width * height)
}

/** Greedy suppression by class of sorted candidates. */
function suppress(): void {
  const most = load<f64>(<usize>settings().thresholds, 8)
  const all = min(count, MOST_CANDIDATES)
  count = 0
  for (let i = 0; i < all && count < MOST; i++) {
    const c = candidate(i)
    let k = 0
    while (k < count && (candidate(k).index != c.index || overlap(candidate(k), c) <= most)) k++
    if (k == count) setCandidate(count++, c)
  }
}

/** Math.round of JavaScript. */
// @ts-ignore: decorator
@inline
function rounded(x: f64): f64 {
  return floor<f64>(x + 0.5)
}

/** Whether all values lie between 0 and 1 and some strictly. */
function areScores(output: i32, n: i32): bool {
  let between = false
  for (let i = 0; i < n; i++) {
    const v = real(output, i)
    if (!(v >= 0 && v <= 1)) return false
    if (v > 0 && v < 1) between = true
  }
  return between
}

export function head_1(): bool {
  const s = settings()
  const n = s.rows
  const swapped = !areScores(s.output2, n) && areScores(s.output1, n)
  const scores = swapped ? s.output1 : s.output2
  const classes = swapped ? s.output2 : s.output1
  const said = s.output3 < 0 ? <f64>n : trunc<f64>(<f64>real(s.output3, 0))
  if (!room(n)) return false
  for (let i = 0; i < n && <f64>i < said; i++) {
    const score = <f64>real(scores, i)
    if (!(score >= threshold())) continue
    const index = <i32>max<f64>(0, rounded(<f64>real(classes, i)))
    const box = 4 * i
    const top = <f64>real(s.output0, box)
    const left = <f64>real(s.output0, box + 1)
    const bottom = <f64>real(s.output0, box + 2)
    if (!add(left, top, <f64>real(s.output0, box + 3), bottom, score, index)) return false
  }
  if (!sort()) return false
  count = min(count, MOST)
  return true
}

export function head_2(): bool {
  const s = settings()
  const output = s.output0
  const row = s.rowStep
  const step = s.valueStep
  const least = threshold()
  let pixels = s.coordinates == COORDINATES_PIXELS
  if (s.coordinates == COORDINATES_AUTO) {
    for (let i = 0; i < s.rows && !pixels; i++) {
      for (let k = 0; k < 4; k++) pixels = pixels || real(output, i * row + k * step) > 2
    }
  }
  const sx = pixels ? 1 / <f64>s.inputWidth : 1
  const sy = pixels ? 1 / <f64>s.inputHeight : 1
  const first = 4 + s.objectness
  if (!room(s.rows)) return false
  for (let i = 0; i < s.rows; i++) {
    const at = i * row
    const sure = s.objectness != 0 ? <f64>real(output, at + 4 * step) : 1
    if (!(sure > (s.percent != 0 ? 100 * least : least))) continue
    const index = s.classes > 0 ? largest(output, at + first * step, s.classes, step) : 0
    const best = s.classes > 0 ? <f64>real(output, at + (first + index) * step) : 1
    const score = s.percent != 0 ? sure / 100 : <f64>(<f32>(sure * best))
    if (!(score > least)) continue
    const x = <f64>real(output, at) * sx
    const y = <f64>real(output, at + step) * sy
    const w = <f64>real(output, at + 2 * step) * sx
    const h = <f64>real(output, at + 3 * step) * sy
    if (!add(x - w / 2, y - h / 2, x + w / 2, y + h / 2, score, index, at + (first + s.classes) * step)) return false
  }
  if (!sort()) return false
  suppress()
  scaleX = sx
  scaleY = sy
  return true
}

/** What key points' coordinates are multiplied by. */
let scaleX: f64 = 1
let scaleY: f64 = 1

/** Number `k` of key point `p` of a candidate: x, y or score. */
export function pointValue(c: Candidate, p: i32, k: i32): f64 {
  const s = settings()
  const v = <f64>real(s.output0, c.points + (p * s.pointValues + k) * s.valueStep)
  return k == 0 ? v * scaleX : k == 1 ? v * scaleY : v
}

/** An object in cells. */
@unmanaged class Cube {
  x: i32
  y: i32
  width: i32
  height: i32
  index: i32
  score: f64
}
const CUBE = offsetof<Cube>()

// @ts-ignore: decorator
@inline
function cube(cubes: usize, i: i32): Cube {
  return changetype<Cube>(cubes + <usize>i * CUBE)
}

/** Joins `b` to the first of `n` objects of its class that it touches; says whether there is one. */
function join(cubes: usize, n: i32, b: Cube): bool {
  for (let i = 0; i < n; i++) {
    const a = cube(cubes, i)
    if (a.index != b.index) continue
    if (a.x + a.width < b.x || a.y + a.height < b.y || a.x > b.x + b.width || a.y > b.y + b.height) continue
    a.x = min(a.x, b.x)
    a.y = min(a.y, b.y)
    a.width = max(a.width, b.x + b.width - a.x)
    a.height = max(a.height, b.y + b.height - a.y)
    a.score = max<f64>(a.score, b.score)
    return true
  }
  return false
}

/** Score of class c of a cell of logits. */
function softmaxOf(output: i32, at: i32, n: i32, c: i32): f64 {
  let most: f64 = -Infinity
  for (let i = 0; i < n; i++) most = max<f64>(most, <f64>real(output, at + i))
  let sum: f64 = 0
  for (let i = 0; i < n; i++) sum += NativeMath.exp(<f64>real(output, at + i) - most)
  return NativeMath.exp(<f64>real(output, at + c) - most) / sum
}

export function head_3(): bool {
  const s = settings()
  const n = s.classes
  const cells = s.rows * s.columns
  const joined = alloc(<u64>cells * (n - 1) * CUBE + CUBE)
  const reach = alloc(<u64>cells * (n - 1) * CUBE + CUBE)
  if (joined == 0 || reach == 0 || !room(cells * (n - 1))) return false
  let kept = 0
  for (let i = 0; i < cells; i++) {
    for (let c = 1; c < n; c++) {
      const score = s.scores == SCORES_SOFTMAX ? softmaxOf(s.output0, i * n, n, c) : <f64>real(s.output0, i * n + c)
      if (!(score >= threshold())) continue
      const cell = cube(joined, kept)
      cell.x = i % s.columns
      cell.y = i / s.columns
      cell.width = 1
      cell.height = 1
      cell.index = c - 1
      cell.score = score
      if (!join(joined, kept, cell)) kept++
    }
  }
  let reached = 0
  for (let i = 0; i < kept; i++) {
    const o = cube(joined, i)
    if (join(reach, reached, o)) continue
    memory.copy(reach + <usize>reached * CUBE, joined + <usize>i * CUBE, CUBE)
    reached++
    const left = <f64>o.x / <f64>s.columns
    const top = <f64>o.y / <f64>s.rows
    const right = <f64>(o.x + o.width) / <f64>s.columns
    if (!add(left, top, right, <f64>(o.y + o.height) / <f64>s.rows, o.score, o.index)) return false
  }
  if (!sort()) return false
  count = min(count, MOST)
  return true
}

/** Points that score less do not count for the person. */
const POINT_SCORE: f64 = 0.1

export function head_4(): bool {
  const s = settings()
  const output = s.output0
  let left: f64 = Infinity
  let top: f64 = Infinity
  let right: f64 = -Infinity
  let bottom: f64 = -Infinity
  let sum: f64 = 0
  let sure = 0
  for (let p = 0; p < s.points; p++) {
    const y = <f64>real(output, 3 * p)
    const x = <f64>real(output, 3 * p + 1)
    const score = <f64>real(output, 3 * p + 2)
    left = min<f64>(left, x)
    right = max<f64>(right, x)
    top = min<f64>(top, y)
    bottom = max<f64>(bottom, y)
    if (score > POINT_SCORE) {
      sum += score
      sure++
    }
  }
  const score = sure > 0 ? sum / <f64>sure : 0
  if (!room(1)) return false
  return !(score >= threshold()) || add(left, top, right, bottom, score, 0)
}

/** The same for MoveNet, whose points are y, x, score. */
export function moveNetValue(p: i32, k: i32): f64 {
  return <f64>real(settings().output0, 3 * p + (k == 0 ? 1 : k == 1 ? 0 : 2))
}

/** Pixels of each class (u32 by index), and how many classes there may be. */
export let pixels: usize = 0
export const PLANE_CLASSES = 65536

/** Class of every cell (u16); 0 when there is no memory. */
function planes(): usize {
  const s = settings()
  const cells = s.rows * s.columns
  const out = alloc(<u64>cells * 2)
  if (out == 0) return 0
  const several = s.outputCount > 1
  memory.fill(out, 0, (<usize>cells) << 1)
  for (let k = 0; k < s.outputCount; k++) {
    const output = load<i32>(<usize>s.outputList + ((<usize>k) << 2))
    for (let i = 0; i < cells; i++) {
      let c: i32 = -1
      if (s.form == FORM_INDICES) c = <i32>max<f64>(0, rounded(<f64>real(output, i)))
      else if (s.form == FORM_LAST || s.form == FORM_FIRST) {
        c = largest(output, i * s.rowStep, s.classes, s.valueStep)
        if (several) c = c > 0 ? k + 1 : -1
      } else {
        const v = <f64>real(output, i)
        c = i32((s.form == FORM_MASK_LOGITS ? 1 / (1 + NativeMath.exp(-v)) : v) > threshold())
      }
      if (c >= 0) store<u16>(out + ((<usize>i) << 1), c)
    }
  }
  return out
}

/** One axis of the picture on the cells: the cell before it (i32, -1 beyond the input), the share of the next (f32). */
function axis(size: i32, scale: f64, offset: f64, input: f64, cells: i32): usize {
  const out = alloc(<u64>size * 8)
  if (out == 0) return 0
  for (let i = 0; i < size; i++) {
    const u = (<f64>i + 0.5 - offset) / scale
    const cell = max<f64>(0, min<f64>(<f64>(cells - 1), (u * <f64>cells) / input - 0.5))
    const at = out + ((<usize>i) << 3)
    store<i32>(at, u < 0 || u > input ? -1 : <i32>floor<f64>(cell))
    store<f32>(at, <f32>(cell - floor<f64>(cell)), 4)
  }
  return out
}

/** Of four cells the class that covers most. */
function most(a: i32, b: i32, c: i32, d: i32, across: f64, down: f64): i32 {
  if (a == b && a == c && a == d) return a
  const s0 = (1 - across) * (1 - down)
  const s1 = across * (1 - down)
  const s2 = (1 - across) * down
  const s3 = across * down
  let best: f64 = -1
  let out = 0
  for (let k = 0; k < 4; k++) {
    const id = k == 0 ? a : k == 1 ? b : k == 2 ? c : d
    let sum: f64 = 0
    if (a == id) sum += s0
    if (b == id) sum += s1
    if (c == id) sum += s2
    if (d == id) sum += s3
    if (sum > best) {
      best = sum
      out = id
    }
  }
  return out
}

export function head_5(): bool {
  const s = settings()
  const plane = planes()
  const columns = s.columns
  const rows = s.rows
  const x = axis(photoWidth, xx, x0, <f64>s.inputWidth, columns)
  const y = axis(photoHeight, yy, y0, <f64>s.inputHeight, rows)
  pixels = alloc(PLANE_CLASSES * 4)
  if (plane == 0 || x == 0 || y == 0 || pixels == 0) return false
  memory.fill(pixels, 0, PLANE_CLASSES * 4)
  for (let j = 0; j < photoHeight; j++) {
    const row = load<i32>(y + ((<usize>j) << 3))
    const down = <f64>load<f32>(y + ((<usize>j) << 3), 4)
    const top = plane + ((<usize>(row * columns)) << 1)
    const below: usize = row < rows - 1 ? (<usize>columns) << 1 : 0
    for (let i = 0; i < photoWidth; i++) {
      const left = load<i32>(x + ((<usize>i) << 3))
      let c = 0
      if (left >= 0 && row >= 0) {
        const right: usize = left < columns - 1 ? 2 : 0
        const at = top + ((<usize>left) << 1)
        c = most(
          load<u16>(at),
          load<u16>(at + right),
          load<u16>(at + below),
          load<u16>(at + below + right),
          <f64>load<f32>(x + ((<usize>i) << 3), 4),
          down,
        )
      }
      const n = pixels + ((<usize>c) << 2)
      store<u32>(n, load<u32>(n) + 1)
    }
  }
  return true
}

/** A candidate's box in the picture, cut at its borders; false when nothing is left. */
export let boxX: f64 = 0
export let boxY: f64 = 0
export let boxWidth: f64 = 0
export let boxHeight: f64 = 0
export function box(c: Candidate): bool {
  boxX = max<f64>(0, photoX(c.left))
  boxY = max<f64>(0, photoY(c.top))
  boxWidth = min<f64>(<f64>photoWidth, photoX(c.right)) - boxX
  boxHeight = min<f64>(<f64>photoHeight, photoY(c.bottom)) - boxY
  return boxWidth > 0 && boxHeight > 0 && boxWidth < Infinity && boxHeight < Infinity
}
