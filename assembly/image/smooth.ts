/**
 * Progressive files whose last scans are missing: low frequencies that are not known yet are estimated from the means
 * of the 5x5 blocks around, as libjpeg does unless told otherwise.
 * Source: ITU-T T.81, K.8; libjpeg-turbo's decompress_smooth_data for the weights and for what happens at the edges.
 */
import { Component, component, componentCount, progressive, ZIGZAG } from './frame'
import { lastGoodRow, precisionOf } from './scan'

/** Weights of the 25 means for the DC and for the coefficients 1 to 9 in zigzag order, where no AC is known at all. */
const FULL = memory.data<i16>([
  -2, -6, -8, -6, -2, -6, 6, 42, 6, -6, -8, 42, 152, 42, -8, -6, 6, 42, 6, -6, -2, -6, -8, -6, -2, -1, -1, 0, 1, 1, -3,
  13, 0, -13, 3, -3, 38, 0, -38, 3, -3, 13, 0, -13, 3, -1, -1, 0, 1, 1, -1, -3, -3, -3, -1, -1, 13, 38, 13, -1, 0, 0, 0,
  0, 0, 1, -13, -38, -13, 1, 1, 3, 3, 3, 1, 0, 0, 1, 0, 0, 0, 2, 7, 2, 0, 0, -5, -14, -5, 0, 0, 2, 7, 2, 0, 0, 0, 1, 0,
  0, -1, 0, 0, 0, 1, 0, 9, 0, -9, 0, 0, 0, 0, 0, 0, 0, -9, 0, 9, 0, 1, 0, 0, 0, -1, 0, 0, 0, 0, 0, 0, 2, -5, 2, 0, 1, 7,
  -14, 7, 1, 0, 2, -5, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, -1, 0, 0, 2, 0, -2, 0, 0, 1, 0, -1, 0, 0, 0, 0, 0,
  0, 0, 0, 0, 0, 0, 0, 1, -3, 1, 0, 0, 0, 0, 0, 0, 0, -1, 3, -1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, -1, 0, 0, -3,
  0, 3, 0, 0, 1, 0, -1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 1, 0, 0, 0, 0, 0, 0, 0, -1, -2, -1, 0, 0, 0, 0, 0, 0,
])

/** The same for the coefficients 1 to 5 where some are known. */
const PARTIAL = memory.data<i16>([
  0, 0, 0, 0, 0, 0, 0, 0, 0, 0, -7, 50, 0, -50, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, -7, 0, 0, 0, 0, 50, 0, 0, 0, 0,
  0, 0, 0, 0, 0, -50, 0, 0, 0, 0, 7, 0, 0, 0, 0, -1, 0, 0, 0, 0, 13, 0, 0, 0, 0, -24, 0, 0, 0, 0, 13, 0, 0, 0, 0, -1, 0,
  0, 0, -1, 0, 1, 0, -1, 10, 0, -10, 1, 0, 0, 0, 0, 0, 1, -10, 0, 10, -1, 0, 1, 0, -1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
  -1, 13, -24, 13, -1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
])

/** Means of the window, and the block with what was estimated. */
const means = memory.data(25 * 4, 4)
export const smoothed = memory.data(128, 16)

/** Whether any of the file's first ten coefficients is not known exactly, and all may be divided by. */
export function needsSmoothing(): bool {
  if (!progressive) return false
  let useful = false
  for (let i = 0; i < componentCount; i++) {
    const c = component(i)
    if (c.quant == 0 || precisionOf(i, 0, false) < 0) return false
    for (let k = 0; k < 10; k++) {
      if (load<u16>(c.quant + ((<usize>load<u8>(ZIGZAG + k)) << 1)) == 0) return false
      if (k > 0 && precisionOf(i, k, false) != 0) useful = true
    }
  }
  return useful
}

/** Rows of units of a component, as the file's sampling factors have them. */
export function unitsOf(c: Component): i32 {
  return (c.blocksY + c.unitRows - 1) / c.unitRows
}

/** Fills `smoothed` from block (x, y) of component `index`. */
export function smoothBlock(index: i32, x: i32, y: i32): void {
  const c = component(index)
  memory.copy(smoothed, blockAt(c, x, y), 128)
  const row = y / c.unitRows
  const before = row > lastGoodRow
  let known = false
  for (let k = 1; k < 10; k++) if (precisionOf(index, k, before) != -1) known = true
  fetchMeans(c, x, y, row)
  const q0 = <i64>load<u16>(c.quant)
  const count = known ? 6 : 10
  for (let k = 1; k != count; k++) {
    const low = precisionOf(index, k, before)
    const at = (<usize>load<u8>(ZIGZAG + k)) << 1
    if (low == 0 || load<i16>(smoothed + at) != 0) continue
    const sum = q0 * weighted(known ? PARTIAL + <usize>(k - 1) * 50 : FULL + <usize>k * 50)
    const q = <i64>load<u16>(c.quant + at)
    let value = <i32>(((q << 7) + (sum < 0 ? -sum : sum)) / (q << 8))
    if (low > 0 && value >= 1 << low) value = (1 << low) - 1
    store<i16>(smoothed + at, <i16>(sum < 0 ? -value : value))
  }
  if (known) return
  const sum = q0 * weighted(FULL)
  const value = <i32>(((q0 << 7) + (sum < 0 ? -sum : sum)) / (q0 << 8))
  store<i16>(smoothed, <i16>(sum < 0 ? -value : value))
}


@inline function blockAt(c: Component, x: i32, y: i32): usize {
  return c.coefficients + ((<usize>(y * c.blocksPerRow + x)) << 7)
}

function fetchMeans(c: Component, x: i32, y: i32, row: i32): void {
  // Rows are counted as libjpeg does: in the last row of units by those that it has there.
  const units = unitsOf(c)
  const rest = c.blocksY % c.unitRows
  const rows = row < units - 1 || rest == 0 ? c.unitRows : rest
  const place = row * rows + (y - row * c.unitRows)
  const total = rows * units
  const above = place > 0 ? y - 1 : y
  const below = place < total - 1 ? y + 1 : y
  fetchRow(c, x, place > 1 ? y - 2 : above, means)
  fetchRow(c, x, above, means + 20)
  fetchRow(c, x, y, means + 40)
  fetchRow(c, x, below, means + 60)
  fetchRow(c, x, place < total - 2 ? y + 2 : below, means + 80)
}

function fetchRow(c: Component, x: i32, y: i32, to: usize): void {
  const last = c.blocksX - 1
  for (let dx = -2; dx <= 2; dx++, to += 4) {
    store<i32>(to, <i32>load<i16>(blockAt(c, min(max(x + dx, 0), last), y)))
  }
}

function weighted(weights: usize): i64 {
  let sum = 0
  for (let i: usize = 0; i < 25; i++) {
    sum += load<i32>(means + (i << 2)) * <i32>load<i16>(weights + (i << 1))
  }
  return <i64>sum
}
