/** Kinds of records that stored programs have. */
import * as layout from '../src/generated/layout.ts'
import { LAYOUT } from '../src/generated/layout.ts'

/** Of programs for threads, for `fast`, and of packed modules whose weights are in flash: never stored. */
const NOT_STORED = new Set(['OP_BARRIER', 'OP_DEPTHWISE3X3_WIDE', 'OP_PARTS'])

/** Name and number of every other opcode. */
export const STORED_OPCODES = Object.entries(layout as unknown as Record<string, number>).filter(
  ([name]) => name.startsWith('OP_') && !NOT_STORED.has(name),
)

/** Records of opcodes that have none of their own name, by a part of theirs. */
const SHARED = [
  ['DEPTHWISE', 'DepthwiseRecord'],
  ['RESIZE', 'ResizeBilinearRecord'],
  ['SOFTMAX', 'SoftmaxRecord'],
  ['POOL', 'PoolRecord'],
  ['POLYPHASE', 'WinogradRecord'],
] as const

/** The record of an opcode in LAYOUT. */
export function recordName(op: number): keyof typeof LAYOUT {
  const name = STORED_OPCODES.find(([, n]) => n === op)![0].slice(3)
  const camel = name.replace(/_?([A-Z])([A-Z0-9]*)/g, (_, a: string, b: string) => a + b.toLowerCase())
  const names = Object.keys(LAYOUT) as (keyof typeof LAYOUT)[]
  return (
    names.find((n) => n.toLowerCase() === `${camel}record`.toLowerCase()) ??
    SHARED.find(([part]) => name.includes(part))![1]
  )
}
