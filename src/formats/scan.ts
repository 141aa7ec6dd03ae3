/**
 * Whole-array checks for vectors of thousands of quantization parameters. They run once, while the engine still
 * interprets the code: few simple operations an element count there, hence the unrolled loops on 32-bit words.
 */

/** Whether every element is 0. */
export function allZero(words: Int32Array): boolean {
  const n = words.length, even = n & ~7
  let seen = 0
  for (let i = 0; i < even; i += 8) {
    seen |= words[i]! | words[i + 1]! | words[i + 2]! | words[i + 3]! | words[i + 4]! | words[i + 5]! | words[i + 6]! | words[i + 7]!
  }
  for (let i = even; i < n; i++) seen |= words[i]!
  return seen === 0
}

/** Bits of the smallest normal float32: added to the bits of infinity or NaN, they reach the sign. */
const EXPONENT_STEP = 0x00800000

/** Whether every element is finite and its sign bit is clear. */
export function allFinite(values: Float32Array): boolean {
  const words = new Int32Array(values.buffer, values.byteOffset, values.length)
  const n = words.length, even = n & ~3
  let seen = 0
  for (let i = 0; i < even; i += 4) {
    const a = words[i]!, b = words[i + 1]!, c = words[i + 2]!, d = words[i + 3]!
    seen |= a | b | c | d | a + EXPONENT_STEP | b + EXPONENT_STEP | c + EXPONENT_STEP | d + EXPONENT_STEP
  }
  for (let i = even; i < n; i++) seen |= words[i]! | words[i]! + EXPONENT_STEP
  return seen >= 0
}
