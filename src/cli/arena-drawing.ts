/**
 * The arena as a picture: one row per op (rows that look alike are joined), bytes from left to right. Letters are
 * tensors, `+` is scratch, `.` is free at that time.
 */
import type { ModelReport } from '../graph/types.ts'
import { grouped, table } from './text.ts'

type Buffer = ModelReport['arena'][number]
const LETTERS = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ'

interface Row {
  first: number
  last: number
  op: string
  cells: string
  used: number
  top: number
}

/** The drawing, `width` columns in all; '' when nothing is planned. */
export function drawArena(report: ModelReport, width: number): string {
  const { arena, arenaBytes, ops } = report
  if (arena.length === 0 || arenaBytes === 0) return ''
  const cellCount = Math.max(20, width - 46)
  const tensors = new Set([...report.inputs.map((t) => t.name), ...ops.flatMap((op) => op.outputs.map((t) => t.name))])
  const glyphs = new Map<Buffer, string>()
  let next = 0
  for (const buffer of arena) glyphs.set(buffer, tensors.has(buffer.name) ? LETTERS[next++ % LETTERS.length]! : '+')

  const rows: Row[] = []
  for (const { index, op } of ops) {
    const live = arena.filter((b) => b.firstOp <= index && index <= b.lastOp)
    const row = {
      first: index,
      last: index,
      op: shortOp(op),
      cells: cells(live, glyphs, arenaBytes, cellCount),
      used: covered(live),
      top: Math.max(0, ...live.map((b) => b.offset + b.bytes)),
    }
    const previous = rows[rows.length - 1]
    if (previous && previous.cells === row.cells && previous.used === row.used) {
      previous.last = index
      if (previous.op !== row.op && !previous.op.endsWith(' ...')) previous.op += ' ...'
    } else rows.push(row)
  }
  const peak = Math.max(...rows.map((r) => r.top))
  const lines = rows.map((r) => [
    r.first === r.last ? `${r.first}` : `${r.first}-${r.last}`,
    r.op,
    r.cells,
    grouped(r.used),
    r.top === peak ? '<- peak' : '',
  ])
  const scale = `0${' '.repeat(Math.max(1, cellCount - 1 - grouped(arenaBytes).length))}${grouped(arenaBytes)}`
  return table([['op', '', scale, 'in use', ''], ...lines], [0, 3], 1)
}

function cells(live: readonly Buffer[], glyphs: Map<Buffer, string>, total: number, count: number): string {
  const row = new Array<string>(count).fill('.')
  // Large ones first, so that a small one keeps a cell of its own.
  for (const buffer of [...live].sort((a, b) => b.bytes - a.bytes)) {
    const from = Math.min(count - 1, Math.floor((buffer.offset / total) * count))
    const to = Math.max(from + 1, Math.min(count, Math.round(((buffer.offset + buffer.bytes) / total) * count)))
    row.fill(glyphs.get(buffer)!, from, to)
  }
  return row.join('')
}

/** Bytes covered by at least one buffer. */
function covered(live: readonly Buffer[]): number {
  let end = 0
  let sum = 0
  for (const { offset, bytes } of [...live].sort((a, b) => a.offset - b.offset)) {
    sum += Math.max(0, offset + bytes - Math.max(end, offset))
    end = Math.max(end, offset + bytes)
  }
  return sum
}

const SHORT: Record<string, string> = {
  DEPTHWISE_CONV_2D: 'DW_CONV_2D',
  FULLY_CONNECTED: 'FULLY_CONN',
  AVERAGE_POOL_2D: 'AVG_POOL',
  MAX_POOL_2D: 'MAX_POOL',
  CONCATENATION: 'CONCAT',
  RESIZE_BILINEAR: 'RESIZE_BIL',
  RESIZE_NEAREST_NEIGHBOR: 'RESIZE_NN',
}
const shortOp = (op: string): string => (SHORT[op] ?? op).slice(0, 11)
