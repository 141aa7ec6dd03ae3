/** The assignment problem: rows to columns at the least cost. No dependencies. */

/** Costs above this are as bad as none; finite, so that sums of them stay numbers. */
const NEVER = 1e6

/**
 * Pairs [row, column] with the least sum of costs; each row and column at most once, `Infinity` never.
 * Source: the Hungarian method with potentials (Kuhn 1955, Munkres 1957), O(n^3).
 */
export function assign(costs: readonly (readonly number[])[]): [row: number, column: number][] {
  const n = Math.max(costs.length, costs[0]?.length ?? 0)
  if (costs.length === 0 || n === 0) return []
  const cost = (row: number, column: number): number => Math.min(NEVER, costs[row]?.[column] ?? NEVER)
  // Potentials of rows and columns, and the row of each column; index 0 is no row and no column.
  const u = new Float64Array(n + 1)
  const v = new Float64Array(n + 1)
  const rowOf = new Int32Array(n + 1)
  for (let row = 1; row <= n; row++) {
    const before = new Int32Array(n + 1)
    const least = new Float64Array(n + 1).fill(Infinity)
    const done = new Uint8Array(n + 1)
    rowOf[0] = row
    let column = 0
    do {
      done[column] = 1
      const from = rowOf[column]!
      let step = Infinity
      let to = 0
      for (let j = 1; j <= n; j++) {
        if (done[j]) continue
        const reduced = cost(from - 1, j - 1) - u[from]! - v[j]!
        if (reduced < least[j]!) {
          least[j] = reduced
          before[j] = column
        }
        if (least[j]! < step) {
          step = least[j]!
          to = j
        }
      }
      for (let j = 0; j <= n; j++) {
        if (done[j]) {
          u[rowOf[j]!]! += step
          v[j]! -= step
        } else least[j]! -= step
      }
      column = to
    } while (rowOf[column] !== 0)
    while (column !== 0) {
      const previous = before[column]!
      rowOf[column] = rowOf[previous]!
      column = previous
    }
  }
  const found: [number, number][] = []
  for (let j = 1; j <= n; j++) if (cost(rowOf[j]! - 1, j - 1) < NEVER) found.push([rowOf[j]! - 1, j - 1])
  return found.sort((a, b) => a[0] - b[0])
}
