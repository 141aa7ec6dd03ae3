/** A threaded program as what lies between its barriers, read from the tables that the threads run. */
import { LAYOUT, OP_BARRIER, OP_GROUP } from '../../src/generated/layout.ts'
import type { Program } from '../../src/plan/compile.ts'

/** A call of `thimble_thread`: address of an entry of an op table, and entries; the first one's place in the table. */
export interface Call {
  address: number
  count: number
  index: number
}

/** Every thread's calls between one barrier and the next. */
export type Span = Call[][]

function callsOf(program: Program, table: number, count: number): Call[][] {
  const { address: base, bytes } = program.image[0]!
  const view = new DataView(bytes.buffer, bytes.byteOffset)
  const word = (at: number): number => view.getUint32(at - base, true)
  const spans: Call[][] = [[]]
  for (let index = 0; index < count; index++) {
    const address = table + index * 4
    const record = word(address)
    if (word(record) === OP_BARRIER) {
      spans.push([])
      continue
    }
    const members = word(record) === OP_GROUP ? word(record + LAYOUT.Record.size) : 0
    spans.at(-1)!.push({ address, count: 1 + members, index })
    index += members
  }
  return spans
}

export function spansOf(program: Program): Span[] {
  const { opTable, opCount } = program.header as { opTable: number; opCount: number }
  const threads = [{ table: opTable, count: opCount }, ...program.workers].map(({ table, count }) =>
    callsOf(program, table, count),
  )
  return threads[0]!.map((_, i) => threads.map((spans) => spans[i] ?? []))
}
