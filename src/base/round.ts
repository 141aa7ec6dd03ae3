/** 1.5 * 2^52: adding it leaves a double no bits after the point. */
const SHIFT = 6755399441055744

/** Rounds to the nearest integer, ties to even, as LiteRT and NumPy do. Requires: |v| < 2^51. */
export const roundEven = (v: number): number => v + SHIFT - SHIFT
