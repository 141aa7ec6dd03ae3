/** Small dense linear algebra in double: symmetric positive definite n x n matrices, row-major. */
import { cholesky, invertLower } from '../float/wasm.ts'

/**
 * Upper triangular U with inverse(a) = U^T U, which sequential rounding needs: row k tells how an error in column k is
 * best made up for by the columns after it.
 */
export function inverseFactor(a: Float64Array, n: number): Float64Array | undefined {
  // Reversing the order turns the lower factor of `a` into the wanted upper factor of its inverse.
  const reversed = new Float64Array(n * n)
  for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) reversed[(n - 1 - i) * n + (n - 1 - j)] = a[i * n + j]!
  const l = cholesky(reversed, n)
  if (!l) return undefined
  const inverse = invertLower(l, n)
  const u = new Float64Array(n * n)
  for (let i = 0; i < n; i++) for (let j = i; j < n; j++) u[i * n + j] = inverse[(n - 1 - i) * n + (n - 1 - j)]!
  return u
}
