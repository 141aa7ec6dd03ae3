/** Names of classes, and of key points. */
import { settings } from './settings'
import { ascii, integer, json, line } from './text'

/** Address and length of a label; no length: it has none. */
export function labelAt(i: i32): usize {
  const s = settings()
  return i < s.labelCount ? <usize>load<u32>(<usize>s.labels + ((<usize>i) << 2)) : 0
}
export function labelBytes(i: i32): i32 {
  const s = settings()
  return i < s.labelCount
    ? load<i32>(<usize>s.labels + ((<usize>i) << 2), 4) - load<i32>(<usize>s.labels + ((<usize>i) << 2))
    : 0
}

/** A label as it is, or in JSON; `class N` where there is none. */
export function printLabel(i: i32): void {
  if (labelBytes(i) > 0) return line(labelAt(i), labelBytes(i))
  ascii('class ')
  integer(i)
}
export function printLabelJson(i: i32): void {
  if (labelBytes(i) > 0) return json(labelAt(i), labelBytes(i))
  ascii('"class ')
  integer(i)
  ascii('"')
}

/** Address and length of the name of a key point below `pointNameCount`. */
export function pointNameAt(i: i32): usize {
  return <usize>load<u32>(<usize>settings().pointNames + ((<usize>i) << 2))
}
export function pointNameBytes(i: i32): i32 {
  return load<i32>(<usize>settings().pointNames + ((<usize>i) << 2), 4) - <i32>pointNameAt(i)
}

/** Name of a key point, or its number. */
export function printPointName(i: i32): void {
  if (i < settings().pointNameCount) return json(pointNameAt(i), pointNameBytes(i))
  ascii('"')
  integer(i)
  ascii('"')
}
