/** Small dense linear algebra in double: symmetric positive definite n x n matrices, row-major. */

/**
 * Lower Cholesky factor of a symmetric positive definite matrix.
 * Returns undefined when a pivot is not positive (the matrix is not definite enough for double precision).
 */
export function cholesky(a: Float64Array, n: number): Float64Array | undefined {
  const l = new Float64Array(n * n)
  for (let i = 0; i < n; i++) {
    const ri = i * n
    for (let j = 0; j <= i; j++) {
      const rj = j * n
      let s = a[ri + j]!
      for (let k = 0; k < j; k++) s -= l[ri + k]! * l[rj + k]!
      if (i === j) {
        if (!(s > 0)) return undefined
        l[ri + i] = Math.sqrt(s)
      } else l[ri + j] = s / l[rj + j]!
    }
  }
  return l
}

/** Inverse of a lower triangular matrix. */
function invertLower(l: Float64Array, n: number): Float64Array {
  const inverse = new Float64Array(n * n)
  for (let i = 0; i < n; i++) {
    const row = inverse.subarray(i * n, (i + 1) * n)
    for (let k = 0; k < i; k++) {
      const f = -l[i * n + k]!
      if (f !== 0) for (let j = 0; j <= k; j++) row[j]! += f * inverse[k * n + j]!
    }
    const d = 1 / l[i * n + i]!
    for (let j = 0; j < i; j++) row[j]! *= d
    row[i] = d
  }
  return inverse
}

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
