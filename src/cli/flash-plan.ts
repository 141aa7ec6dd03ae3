/**
 * What is copied from flash when, as a table: a row a unit of ops, its slices, their memory, what is read and read
 * again.
 */
import type { FlashReport } from '../graph/types.ts'
import { bytes, grouped, table } from './text.ts'

const BAR = 24

/** One line on all of it. */
export const flashLine = ({ bytes: all, slices, largestSlice, readBytes }: FlashReport): string =>
  `${bytes(all)}: ${slices} slices of at most ${grouped(largestSlice)} bytes, ${bytes(readBytes)} copied an inference`

/** The rows; '' for modules that do not list them. A bar shows how large the largest slice is. */
export function drawFlash({ units, largestSlice }: FlashReport): string {
  if (!units?.length) return ''
  const rows = units.map((u) => [
    u.firstOp === u.lastOp ? `${u.firstOp}` : `${u.firstOp}-${u.lastOp}`,
    '#'.repeat(Math.ceil((u.largest / largestSlice) * BAR)).padEnd(BAR, '.'),
    `${u.slices}`,
    grouped(u.largest),
    grouped(u.read),
    u.again ? grouped(u.again) : '',
  ])
  return table([['op', 'largest slice', 'slices', 'bytes', 'read', 'of it again'], ...rows], [0, 2, 3, 4, 5], 1)
}
