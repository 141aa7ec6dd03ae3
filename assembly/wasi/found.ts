/** Boxes, points and shares of classes as text and as the JSON of `thimble detect`, `pose` and `segment`. */
import { HEAD_MOVENET, HEAD_PLANES } from './config'
import {
  box,
  boxHeight,
  boxWidth,
  boxX,
  boxY,
  Candidate,
  candidate,
  count,
  moveNetValue,
  pixels,
  PLANE_CLASSES,
  pointValue,
} from './heads'
import { printLabel, printLabelJson, printPointName } from './labels'
import { settings } from './settings'
import { ascii, decimal, integer, number, scaled } from './text'
import { photoHeight, photoWidth, photoX, photoY } from './view'

/** Percent with one digit, right-aligned to `  100.0 %`. */
function percent(value: f64): void {
  const tenths = scaled(value * 100, 1)
  ascii(tenths < 100 ? '    ' : tenths < 1000 ? '   ' : '  ')
  decimal(tenths, 1)
  ascii(' %  ')
}

/** Math.round of JavaScript. */
// @ts-ignore: decorator
@inline
function whole(x: f64): void {
  integer(<i64>floor<f64>(x + 0.5))
}

/** The class with most pixels behind (`pixels` of them, `index`), the lower number first; -1: none. */
export function nextClass(most: u32, index: i32): i32 {
  let best = -1
  for (let i = 0; i < PLANE_CLASSES; i++) {
    const n = load<u32>(pixels + ((<usize>i) << 2))
    if (n == 0 || n > most || (n == most && i <= index)) continue
    if (best < 0 || n > load<u32>(pixels + ((<usize>best) << 2))) best = i
  }
  return best
}

// @ts-ignore: decorator
@inline
export function pixelsOf(i: i32): u32 {
  return load<u32>(pixels + ((<usize>i) << 2))
}

export function printFound(): void {
  if (settings().head == HEAD_PLANES) {
    for (let i = nextClass(u32.MAX_VALUE, -1); i >= 0; i = nextClass(pixelsOf(i), i)) {
      percent(<f64>pixelsOf(i) / (<f64>photoWidth * <f64>photoHeight))
      printLabel(i)
      ascii(', ')
      integer(pixelsOf(i))
      ascii(' pixels\n')
    }
    return
  }
  const people = settings().points > 0
  let printed = 0
  for (let i = 0; i < count; i++) {
    const c = candidate(i)
    const inside = box(c)
    if (!inside && !people) continue
    percent(c.score)
    printLabel(c.index)
    if (inside) {
      ascii('  ')
      whole(boxWidth)
      ascii(' x ')
      whole(boxHeight)
      ascii(' at ')
      whole(boxX)
      ascii(', ')
      whole(boxY)
    }
    ascii('\n')
    printed++
  }
  if (printed == 0) {
    ascii('  nothing reaches a score of ')
    number(load<f64>(<usize>settings().thresholds), 4)
    ascii('\n')
  }
}

function printBox(): void {
  ascii('"box": {"x": ')
  number(boxX, 1)
  ascii(', "y": ')
  number(boxY, 1)
  ascii(', "width": ')
  number(boxWidth, 1)
  ascii(', "height": ')
  number(boxHeight, 1)
  ascii('}')
}

function printPoints(c: Candidate): void {
  const s = settings()
  const moveNet = s.head == HEAD_MOVENET
  const n = s.pointNameCount > 0 ? min(s.points, s.pointNameCount) : s.points
  ascii('"points": [')
  for (let p = 0; p < n; p++) {
    ascii(p == 0 ? '{"name": ' : ', {"name": ')
    printPointName(p)
    ascii(', "x": ')
    number(photoX(moveNet ? moveNetValue(p, 0) : pointValue(c, p, 0)), 1)
    ascii(', "y": ')
    number(photoY(moveNet ? moveNetValue(p, 1) : pointValue(c, p, 1)), 1)
    if (s.pointValues == 3) {
      ascii(', "score": ')
      number(moveNet ? moveNetValue(p, 2) : pointValue(c, p, 2), 4)
    }
    ascii('}')
  }
  ascii(']')
}

export function printFoundJson(): void {
  const s = settings()
  ascii(', "width": ')
  integer(photoWidth)
  ascii(', "height": ')
  integer(photoHeight)
  let first = true
  if (s.head == HEAD_PLANES) {
    ascii(', "classes": [')
    for (let i = nextClass(u32.MAX_VALUE, -1); i >= 0; i = nextClass(pixelsOf(i), i)) {
      ascii(first ? '\n    {"label": ' : ',\n    {"label": ')
      first = false
      printLabelJson(i)
      ascii(', "index": ')
      integer(i)
      ascii(', "pixels": ')
      integer(pixelsOf(i))
      ascii(', "share": ')
      number(<f64>pixelsOf(i) / (<f64>photoWidth * <f64>photoHeight), 6)
      ascii('}')
    }
    ascii('\n  ]')
    return
  }
  const people = s.points > 0
  ascii(people ? ', "poses": [' : ', "detections": [')
  for (let i = 0; i < count; i++) {
    const c = candidate(i)
    const inside = box(c)
    if (!inside && !people) continue
    ascii(first ? '\n    {' : ',\n    {')
    first = false
    if (people) {
      ascii('"score": ')
      number(c.score, 4)
      ascii(', ')
      if (inside) {
        printBox()
        ascii(', ')
      }
      printPoints(c)
    } else {
      printBox()
      ascii(', "score": ')
      number(c.score, 4)
      ascii(', "label": ')
      printLabelJson(c.index)
      ascii(', "index": ')
      integer(c.index)
    }
    ascii('}')
  }
  ascii('\n  ]')
}
