/**
 * Whole-array checks for vectors of thousands of quantization parameters. They run once, while the engine still
 * interprets the code: what the engine does natively is left to it, loops hold one comparison.
 */

/** Whether every element is 0. */
export function allZero(words: Int32Array): boolean {
  const n = words.length
  for (let i = 0; i < n; i++) if (words[i] !== 0) return false
  return true
}

/** Whether every element is finite and not negative. */
export function allFinite(values: Float32Array): boolean {
  if (values.includes(NaN) || values.includes(Infinity)) return false
  const n = values.length
  for (let i = 0; i < n; i++) if (values[i]! < 0) return false
  return true
}
