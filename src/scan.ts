/**
 * Whole-array checks for vectors of thousands of quantization parameters. They run once, while the engine still
 * interprets the code, so they are left to what it does natively: a sorted copy has its extremes at its ends.
 */

const ascending = (words: Int32Array): Int32Array => words.length > 1 ? words.slice().sort() : words

/** Whether every element is 0. */
export function allZero(words: Int32Array): boolean {
  const sorted = ascending(words), n = sorted.length
  return n === 0 || (sorted[0] === 0 && sorted[n - 1] === 0)
}

/** Whether every element lies in [low, high]. */
export function allWithin(words: Int32Array, low: number, high: number): boolean {
  const sorted = ascending(words), n = sorted.length
  return n === 0 || (sorted[0]! >= low && sorted[n - 1]! <= high)
}

/** Largest absolute value; 0 of none. */
export function largestMagnitude(words: Int32Array): number {
  const sorted = ascending(words), n = sorted.length
  return n === 0 ? 0 : Math.max(-sorted[0]!, sorted[n - 1]!)
}

/** Bits of the float32 Infinity; NaNs are above, negative numbers below 0. */
const INFINITY = 0x7f800000

/** The largest of finite, not negative numbers (-0 is none), 0 of no numbers; -1 where there is any other number. Their bits are in their own order. */
export function largestScale(scales: Float32Array): number {
  const { length } = scales
  if (length === 0) return 0
  const bits = ascending(new Int32Array(scales.buffer, scales.byteOffset, length))
  if (bits[0]! < 0 || bits[length - 1]! >= INFINITY) return -1
  return new Float32Array(bits.buffer, bits.byteOffset, length)[length - 1]!
}
