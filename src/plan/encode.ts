/**
 * Units to op tables: one table a thread, records behind it, written at absolute addresses. With several threads every
 * unit that is worth it is split by output rows, or by channels where that shares the work better; its rings and
 * scratch are private to each thread; barriers keep units in order.
 */
import { ThimbleError } from '../base/errors.ts'
import { LAYOUT, OP_BARRIER, OP_GROUP } from '../generated/layout.ts'
import { rowwise, type Buffer, type Rows, type Step } from '../lower/program.ts'
import { align } from '../base/words.ts'
import { firstRows } from './schedule.ts'
import type { Part, Share, Unit } from './unit.ts'

/**
 * One entry of an op table. `first`, `rows`: the share of output rows; `part`: of channels. `unit`: whose private
 * buffers it uses.
 */
export type TableItem =
  | { kind: 'step'; step: Step; first: number; rows: number; part?: Part; unit: Unit; opIndex: number; group?: number }
  | { kind: 'group'; unit: Unit; first: number; rows: number; opIndex: number; index: number }
  | { kind: 'barrier'; target: number; first: boolean; opIndex: number }

function unitItems(unit: Unit, index: number, { first, rows, part }: Share): TableItem[] {
  const banded = unit.steps.length > 1
  const starts = firstRows(unit.steps, first)
  const items: TableItem[] = unit.prologue.map((step) => ({
    kind: 'step',
    step,
    first: 0,
    rows: step.rows.rows,
    unit,
    opIndex: step.opIndex,
  }))
  if (banded) items.push({ kind: 'group', unit, first, rows, opIndex: unit.steps[0]!.opIndex, index })
  unit.steps.forEach((step, k) =>
    items.push({
      kind: 'step',
      step,
      first: starts[k]!,
      rows: k === unit.steps.length - 1 ? rows : step.rows.rows,
      ...(part ? { part } : {}),
      unit,
      opIndex: step.opIndex,
      ...(banded ? { group: index } : {}),
    }),
  )
  return items
}

/** The op table of every thread; thread 0 also runs what is not split. */
export function makeTables(units: readonly Unit[], threads: number): TableItem[][] {
  const tables: TableItem[][] = Array.from({ length: threads }, () => [])
  let barriers = 0
  let shared = false
  const meet = (opIndex: number): void => {
    barriers++
    for (const t of tables) t.push({ kind: 'barrier', target: barriers * threads, first: barriers === 1, opIndex })
  }
  units.forEach((unit, index) => {
    const { opIndex, rows } = unit.steps[unit.steps.length - 1]!
    const shares = threads > 1 ? unit.shares! : [{ first: 0, rows: rows.rows }]
    if (threads > 1 && unit.meets) {
      meet(opIndex)
      shared = false
    }
    shared ||= shares.length > 1
    shares.forEach((share, t) => tables[t]!.push(...unitItems(unit, index, share)))
  })
  // The caller waits for what the others do at the end.
  if (shared) meet(units[units.length - 1]!.steps[0]!.opIndex)
  return tables
}

/** The op table of steps that run once, one after the other, by themselves. */
export const plainTable = (steps: readonly Step[]): TableItem[] =>
  steps.flatMap((step, index) => {
    const unit: Unit = { prologue: [], steps: [step], bandRows: step.rows.rows, bytes: 0 }
    return unitItems(unit, index, { first: 0, rows: step.rows.rows })
  })

const recordOf = (item: TableItem): keyof typeof LAYOUT =>
  item.kind === 'step' ? item.step.record : item.kind === 'group' ? 'GroupRecord' : 'BarrierRecord'
export const opcodeOf = (item: TableItem): number =>
  item.kind === 'step' ? item.step.op : item.kind === 'group' ? OP_GROUP : OP_BARRIER

export interface TableSizes {
  /** Address of each thread's table. */
  tables: number[]
  /** Address of each record, by thread and entry. */
  records: number[][]
  /** First address behind all records. */
  end: number
  /** Bytes of private buffers that each further thread needs. */
  privateBytes: number
}

/** What each thread needs for itself in a unit: the rings between its steps, and kernel scratch. */
function privateBuffers(unit: Unit): Buffer[] {
  const rings = unit.steps.slice(0, -1).map((s) => s.stream!.to.buffer)
  const scratch = unit.steps.flatMap((s) => [...s.reads, ...s.writes]).filter((b) => b.transient)
  return [...new Set([...rings, ...scratch])]
}

/** Scratch of further threads has all the room that it can use. */
const privateBytesOf = (b: Buffer): number => b.useful ?? b.bytes

export function layOutTables(tables: readonly TableItem[][], base: number): TableSizes {
  let at = base
  const addresses = tables.map((t) => {
    const here = at
    at += t.length * 4
    return here
  })
  at = align(at, 16)
  const records = tables.map((t) =>
    t.map((item) => {
      const here = at
      at += align(LAYOUT[recordOf(item)].size, 16)
      return here
    }),
  )
  const split = new Set(tables.slice(1).flatMap((t) => t.flatMap((item) => (item.kind === 'step' ? [item.unit] : []))))
  let privateBytes = 0
  for (const u of split) {
    privateBytes = Math.max(
      privateBytes,
      privateBuffers(u).reduce((a, b) => a + align(privateBytesOf(b), 16), 0),
    )
  }
  return { tables: addresses, records, end: at, privateBytes: align(privateBytes, 64) }
}

type Fields = Record<string, number>

/** The head that all records have in common. */
export const headOf = (op: number, first: number, { rows, strideH, padTop, windowH, inRows }: Rows): Fields => ({
  op,
  first,
  rows,
  strideH,
  padTop,
  windowH,
  inRows,
  done: 0,
  need: 0,
})

/**
 * Milliseconds that the calling thread waits for the others: at the first barrier, which only a dead thread fails to
 * reach, and at later ones. The others wait for it without end: it ends them.
 */
const WAKING_PATIENCE = 2_000
const PATIENCE = 10_000

/** The thread that runs a table, and the address where all threads meet. */
interface RunBy {
  thread: number
  barrierCounter: number
}

/** The head of an item's record, and its own fields. */
function fieldsOf(item: TableItem, { thread, barrierCounter }: RunBy): { head: Fields; own: Fields } {
  if (item.kind === 'barrier') {
    const patience = thread > 0 ? 0 : item.first ? WAKING_PATIENCE : PATIENCE
    return {
      head: headOf(OP_BARRIER, thread, rowwise(1)),
      own: { counter: barrierCounter, target: item.target, patience },
    }
  }
  if (item.kind === 'group') {
    return {
      head: headOf(OP_GROUP, item.first, rowwise(item.rows)),
      own: { count: item.unit.steps.length, bandRows: item.unit.bandRows },
    }
  }
  const { strideH, padTop, windowH, inRows } = item.step.rows
  return {
    head: headOf(item.step.op, item.first, { rows: item.rows, strideH, padTop, windowH, inRows }),
    own: item.part ? partFields(item.step, item.part) : item.step.fields(),
  }
}

/** Fields of a part of a step whose constants all lie in memory. */
function partFields({ split, fields }: Step, [from, to]: Part): Fields {
  const { blocks, constants, part } = split!
  const whole = constants.map((b) => b.address)
  for (const b of constants) b.address += (b.bytes / blocks) * from
  const own = fields()
  constants.forEach((b, i) => {
    b.address = whole[i]!
  })
  return { ...own, ...part(own, from, to) }
}

/** Where fields lie in a record: byte offset, for floats its complement. */
type Offsets = Record<string, number>
const offsets = new Map<string, Offsets>()

function offsetsOf(name: keyof typeof LAYOUT): Offsets {
  const known = offsets.get(name)
  if (known) return known
  const layout = LAYOUT[name] as { fields: readonly string[]; f32: readonly string[] }
  const made: Offsets = {}
  layout.fields.forEach((field, i) => {
    made[field] = layout.f32.includes(field) ? ~(i * 4) : i * 4
  })
  offsets.set(name, made)
  return made
}

/** Writes those of `fields` that the record has; returns how many. */
function writeFields(view: DataView, at: number, where: Offsets, fields: Fields): number {
  let written = 0
  for (const field in fields) {
    const offset = where[field]
    const value = fields[field]!
    // Limits of floats may be infinite.
    if (offset === undefined || !(offset < 0 ? value >= -Infinity : Number.isFinite(value))) continue
    if (offset < 0) view.setFloat32(at + ~offset, value, true)
    else view.setInt32(at + offset, value, true)
    written++
  }
  return written
}

/** Writes a whole record. Errors: `plan/internal` for a field that is missing or no number. */
export function writeFieldsOf(view: DataView, at: number, name: keyof typeof LAYOUT, fields: Fields): void {
  if (writeFields(view, at, offsetsOf(name), fields) * 4 === LAYOUT[name].size) return
  const field = LAYOUT[name].fields.find((f) => !Number.isFinite(fields[f]))
  throw new ThimbleError('plan/internal', `record field ${name}.${field} is ${field && fields[field]}`)
}

/** Writes a port table. */
export function writePorts(view: DataView, at: number, ports: readonly { address: number; bytes: number }[]): void {
  ports.forEach((p, i) => {
    view.setUint32(at + i * 8, p.address, true)
    view.setUint32(at + i * 8 + 4, p.bytes, true)
  })
}

function writeRecord(view: DataView, at: number, item: TableItem, by: RunBy): void {
  const name = recordOf(item)
  const where = offsetsOf(name)
  const { head, own } = fieldsOf(item, by)
  if ((writeFields(view, at, where, head) + writeFields(view, at, where, own)) * 4 === LAYOUT[name].size) return
  const all: Fields = { ...head, ...own }
  const field = LAYOUT[name].fields.find((f) => !Number.isFinite(all[f]))
  throw new ThimbleError('plan/internal', `record field ${name}.${field} is ${field && all[field]}`, {
    op: `op ${item.opIndex}`,
  })
}

/** A table for each thread, and where everything goes: `privateAddress` is for buffers of further threads. */
interface PlacedTables {
  tables: readonly TableItem[][]
  sizes: TableSizes
  barrierCounter: number
  privateAddress: number
}

/** Writes all tables and records. `view` begins at address `base`. */
export function writeTables(view: DataView, base: number, placed: PlacedTables): void {
  const { tables, sizes, barrierCounter, privateAddress } = placed
  tables.forEach((table, thread) =>
    table.forEach((item, i) => {
      const own = thread > 0 && item.kind === 'step' ? privateBuffers(item.unit) : []
      const shared = own.map(({ address, room }) => ({ address, room }))
      let at = privateAddress + (thread - 1) * sizes.privateBytes
      for (const b of own) {
        b.address = at
        if (b.transient) b.room = privateBytesOf(b)
        at += align(privateBytesOf(b), 16)
      }
      view.setUint32(sizes.tables[thread]! - base + i * 4, sizes.records[thread]![i]!, true)
      writeRecord(view, sizes.records[thread]![i]! - base, item, { thread, barrierCounter })
      own.forEach((b, k) => Object.assign(b, shared[k]!))
    }),
  )
}
