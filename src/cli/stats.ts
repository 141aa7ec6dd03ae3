/** The few statistics that measurements are told in. */
export const sorted = (values: readonly number[]): number[] => [...values].sort((a, b) => a - b)

/** The value that a share `q` of them lie below, between two of them in proportion. */
export function quantile(values: readonly number[], q: number): number {
  const v = sorted(values)
  const at = (v.length - 1) * q
  const low = Math.floor(at)
  return v[low]! + (v[Math.min(low + 1, v.length - 1)]! - v[low]!) * (at - low)
}

export const median = (values: readonly number[]): number => quantile(values, 0.5)
