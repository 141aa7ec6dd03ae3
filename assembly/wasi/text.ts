/** Buffered text output: to stdout, to stderr one line at a time, or to the body of a response. UTF-8. */
import { sink_2 } from './http-calls'
import { sink_1 } from './system'

/** As much as an output stream of wasi:io takes at a time. */
const SIZE = 4096
const buffer = memory.data(4096)
let used: i32 = 0
let target: i32 = 1
/** False once the reader is gone. */
export let open: bool = true

/** Where the text lies that was printed and not flushed, and its length, which is as if it never was then. */
export const printedAt: usize = buffer
export function takePrinted(): i32 {
  const n = used
  used = 0
  return n
}

export function flush(): void {
  if (used > 0 && open) open = target == RESPONSE ? sink_2(buffer, used) : sink_1(target, buffer, used)
  used = 0
}

/** Forgets what was printed, and that a reader was gone. */
export function restart(): void {
  used = 0
  open = true
}

/** 1: stdout, 2: stderr, RESPONSE. */
export const RESPONSE: i32 = 0
export function printTo(fd: i32): void {
  if (fd == target) return
  flush()
  open = true
  target = fd
}

export function byte(b: i32): void {
  if (used == SIZE) flush()
  store<u8>(buffer + used++, b)
}

/** ASCII. */
export function ascii(text: string): void {
  for (let i = 0; i < text.length; i++) byte(load<u16>(changetype<usize>(text) + ((<usize>i) << 1)))
}

/** UTF-8 on one line, whatever it is made of. */
export function line(text: usize, bytes: i32): void {
  for (let i = 0; i < bytes; i++) {
    const c = load<u8>(text + i)
    byte(c < 0x20 || c == 0x7f ? 0x3f : c)
  }
}

/** A JSON string with its quotes. */
export function json(text: usize, bytes: i32): void {
  byte(0x22)
  for (let i = 0; i < bytes; i++) {
    const c = load<u8>(text + i)
    if (c == 0x22 || c == 0x5c) byte(0x5c)
    if (c >= 0x20) byte(c)
    else {
      ascii('\\u00')
      byte(0x30 + (c >> 4))
      byte((c & 15) < 10 ? 0x30 + (c & 15) : 0x57 + (c & 15))
    }
  }
  byte(0x22)
}

export function integer(n: i64): void {
  if (n < 0) {
    byte(0x2d)
    n = -n
  }
  if (n >= 10) integer(n / 10)
  byte(0x30 + <i32>(n % 10))
}

/** `n / 10^digits` with that many digits behind the point. */
export function decimal(n: i64, digits: i32): void {
  let unit: i64 = 1
  for (let i = 0; i < digits; i++) unit *= 10
  integer(n / unit)
  byte(0x2e)
  for (n %= unit, unit /= 10; unit > 0; n %= unit, unit /= 10) byte(0x30 + <i32>(n / unit))
}

/** `value` >= 0 times 10^digits, rounded as JavaScript's toFixed: exactly, half up. */
export function scaled(value: f64, digits: i32): i64 {
  const whole = floor<f64>(value)
  // 59 bits behind the point: ten times that is below 2^63.
  let rest = <u64>((value - whole) * 576460752303423488)
  let n = <i64>whole
  for (let i = 0; i < digits; i++) {
    rest *= 10
    n = n * 10 + <i64>(rest >> 59)
    rest &= 576460752303423487
  }
  return n + i64(rest >= 288230376151711744)
}

/** Rounded to that many digits behind the point, without zeros at the end. */
export function number(value: f64, digits: i32): void {
  let n = scaled(min<f64>(abs<f64>(value), 1e9), digits)
  if (value < 0 && n > 0) byte(0x2d)
  while (digits > 0 && n % 10 == 0) {
    n /= 10
    digits--
  }
  if (digits > 0) decimal(n, digits)
  else integer(n)
}
