/**
 * The limits of stored programs, number by number: the least and the most that each count of each kind of record may
 * be, in a memory where what is written must fit, and in one where only the work counts; the same for packers.
 *
 * After a change that is meant: THIMBLE_UPDATE=1 npx tsx test/program-limits.test.ts, and look at the difference.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { ALL_KINDS } from '../src/formats/check-kinds.ts'
import { type CheckedHead, headFits, opcodesIn, stepsFit, tablesFit } from '../src/formats/check-program.ts'
import { PACKERS } from '../src/formats/programs.ts'
import * as layout from '../src/generated/layout.ts'
import { ABI_VERSION, LAYOUT } from '../src/generated/layout.ts'
import { recordName, STORED_OPCODES } from './program-records.ts'
import { rng, root } from './util.ts'

type Fields = Record<string, number>
/** Of a field: the least and the most that is taken. */
type Limits = Record<string, [least: number, most: number]>

const FILE = `${root}test/fixtures/program-limits.json`
const update = process.env.THIMBLE_UPDATE === '1'
const stored = JSON.parse(readFileSync(FILE, 'utf8')) as Record<string, Record<string, Limits>>
const now: typeof stored = {}

const FIRST = 1024
const ARENA = 8192
const MOST = 2 ** 30
/** Where writes must fit, and where there is room for everything but work. */
const MEMORIES = { reach: 1 << 20, work: MOST }

interface Entry {
  name: keyof typeof LAYOUT
  fields: Fields
}

/** Tables and records as a program has them from FIRST on: one input, one output, the records in order. */
function programOf(entries: readonly Entry[], memoryBytes: number): { head: CheckedHead; view: DataView } {
  const view = new DataView(new ArrayBuffer(ARENA - FIRST))
  const opTable = FIRST
  const inputTable = opTable + 4 * entries.length
  const outputTable = inputTable + 8
  let at = outputTable + 8
  entries.forEach(({ name, fields }, i) => {
    view.setUint32(opTable - FIRST + 4 * i, at, true)
    const {
      fields: names,
      f32,
      size,
    } = LAYOUT[name] as { fields: readonly string[]; f32: readonly string[]; size: number }
    names.forEach((field, k) => {
      const value = fields[field] ?? 0
      if (f32.includes(field)) view.setFloat32(at - FIRST + 4 * k, value, true)
      else view.setInt32(at - FIRST + 4 * k, value, true)
    })
    at += size
  })
  for (const table of [inputTable, outputTable]) {
    view.setUint32(table - FIRST, ARENA, true)
    view.setUint32(table - FIRST + 4, 16, true)
  }
  const header = {
    abiVersion: ABI_VERSION,
    opCount: entries.length,
    opTable,
    inputCount: 1,
    inputTable,
    outputCount: 1,
    outputTable,
    resetCount: 0,
    resetTable: 0,
  }
  return { head: { memoryBytes, arenaAddress: ARENA, arenaBytes: 4096, header }, view }
}

/** The first and the last number from 0 to MOST that is taken, or [-1, -1]; what is taken is one range. */
function range(takes: (value: number) => boolean): [number, number] {
  const least = [0, 1, 2, 3].find(takes)
  if (least === undefined) return [-1, -1]
  if (takes(MOST)) return [least, MOST]
  let low = least
  let high = MOST
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2)
    if (takes(middle)) low = middle
    else high = middle
  }
  return [least, low]
}

/** Addresses of what kernels write; everything else of a record is a number. */
const ADDRESS =
  /^(output|values|indices|hidden|cell|state|ring|rowTable|outBoxes|outClasses|outScores|outCount|scratch|input|a|b)$/

/** A record whose numbers are small and different. */
function recordOf(op: number, seed: number, scalar: boolean): Entry {
  const name = recordName(op)
  const next = rng(1000 * op + seed)
  const { fields: names } = LAYOUT[name] as { fields: readonly string[] }
  const fields: Fields = {}
  for (const field of names) fields[field] = ADDRESS.test(field) ? ARENA : 2 + next.int(5)
  Object.assign(fields, { op, first: 0, scalar: Number(scalar), outRing: 9 })
  if ('depth' in fields && name === 'GatherNdRecord') fields.depth = 2
  return { name, fields }
}

const takes = (entry: Entry, memoryBytes: number, before: readonly Entry[] = []): boolean => {
  const { head, view } = programOf([...before, entry], memoryBytes)
  return headFits(head, 1, 1) && tablesFit(head, view, FIRST, ALL_KINDS)
}

function limitsOf(entry: Entry, memoryBytes: number): Limits {
  const out: Limits = {}
  for (const field of Object.keys(entry.fields)) {
    if (field === 'op' || ADDRESS.test(field)) continue
    const [least, most] = range((v) => takes({ ...entry, fields: { ...entry.fields, [field]: v } }, memoryBytes))
    if (least !== 0 || most !== MOST) out[field] = [least, most]
  }
  return out
}

for (const [name, op] of STORED_OPCODES) {
  // Groups have a test of their own.
  if (op === layout.OP_GROUP) continue
  test(`limits of ${name}`, () => {
    const records: Record<string, Limits> = {}
    for (const [memory, bytes] of Object.entries(MEMORIES)) {
      for (const [i, scalar] of [false, true, false].entries()) {
        const entry = recordOf(op, i, scalar)
        if (scalar && !(LAYOUT[entry.name].fields as readonly string[]).includes('scalar')) continue
        assert.ok(takes(entry, bytes), 'the record itself')
        records[`${memory} ${i}`] = limitsOf(entry, bytes)
      }
    }
    now[name] = records
    if (!update) assert.equal(records, stored[name])
  })
}

test('what is written begins in the arena, or in state where it may', () => {
  const states: Record<string, string[]> = {
    OP_COPY: ['output'],
    OP_FILL: ['output'],
    OP_LSTM: ['hidden', 'cell'],
    OP_SVDF: ['state'],
  }
  // Reads the input and writes the output, so that the record that is looked at need not.
  const copy = recordOf(layout.OP_COPY, 0, false)
  for (const [name, op] of STORED_OPCODES) {
    if (op === layout.OP_GROUP) continue
    const entry = recordOf(op, 0, false)
    const state = FIRST + 8 + 16 + LAYOUT[copy.name].size + LAYOUT[entry.name].size
    for (const field of Object.keys(entry.fields).filter((f) => ADDRESS.test(f))) {
      const at = (v: number): boolean =>
        takes({ ...entry, fields: { ...entry.fields, [field]: v } }, MEMORIES.reach, [copy])
      if (/^(input|a|b|indices|rowTable)$/.test(field) && at(0)) continue
      const first = states[name]?.includes(field) ? state : ARENA
      const what = `${name} ${field}`
      assert.equal([at(first - 1), at(first), at(ARENA + 4096), at(ARENA + 4097)], [false, true, true, false], what)
    }
  }
})

test('scratch may be nothing only where a kernel makes no use of it', () => {
  const without = (scalar: number): string[] =>
    STORED_OPCODES.filter(([, op]) => {
      const entry = recordOf(op, 0, scalar === 1)
      return 'scratch' in entry.fields && takes({ ...entry, fields: { ...entry.fields, scratch: 0 } }, MEMORIES.reach)
    }).map(([name]) => name)
  const always = [
    'OP_DEPTHWISE3X3',
    'OP_DEPTHWISE3X3_DOT',
    'OP_DEPTHWISE3X3_PRODUCTS',
    'OP_DEPTHWISE5X5',
    'OP_MAX_POOL',
  ]
  assert.equal(without(0).sort(), always)
  assert.equal(without(1).sort(), [...always, 'OP_DEPTHWISE', 'OP_FULLY_CONNECTED'].sort())
})

const fill = (rows: number, inRows: number): Entry => ({
  name: 'FillRecord',
  fields: { op: layout.OP_FILL, rows, inRows, output: ARENA, outRowStride: 1, bytes: 1 },
})
const group = (count: number, bandRows: number): Entry => ({
  name: 'GroupRecord',
  fields: { op: layout.OP_GROUP, rows: 1, count, bandRows },
})

test('groups: their members follow, each reads rows that the one before has made', () => {
  const cases: [string, Entry[], boolean][] = [
    ['two members', [group(2, 1), fill(8, 0), fill(8, 8)], true],
    ['the first member may read any rows', [group(2, 1), fill(8, 99), fill(8, 8)], true],
    ['more rows than there are', [group(2, 1), fill(8, 0), fill(8, 9)], false],
    ['each is held to the one before it', [group(3, 1), fill(8, 0), fill(4, 8), fill(8, 5)], false],
    ['what follows a group is held to none', [group(2, 1), fill(8, 0), fill(8, 8), fill(8, 99)], true],
    ['a group after a group', [group(1, 1), fill(8, 0), group(1, 1), fill(9, 99)], true],
    ['no members', [group(0, 1), fill(8, 0)], false],
    ['more members than records', [group(2, 1), fill(8, 0)], false],
    ['a group within a group', [group(2, 1), fill(8, 0), group(1, 1), fill(8, 0)], false],
    ['bands of no rows', [group(1, 0), fill(8, 0)], false],
    ['a band of one row', [group(1, 1), fill(8, 0)], true],
  ]
  for (const [what, entries, fits] of cases) {
    const { head, view } = programOf(entries, MEMORIES.reach)
    assert.is(tablesFit(head, view, FIRST, ALL_KINDS), fits, what)
    if (fits) {
      const whole = new DataView(new ArrayBuffer(ARENA))
      new Uint8Array(whole.buffer).set(new Uint8Array(view.buffer), FIRST)
      assert.equal(
        opcodesIn(head, whole),
        entries.map((e) => e.fields.op),
      )
    }
  }
})

test('work is summed over the records, and rows count', () => {
  const copies = (count: number, rows: number): boolean => {
    const entries = Array.from({ length: count }, () => fill(rows, 0))
    const { head, view } = programOf(entries, MOST)
    return tablesFit(head, view, FIRST, ALL_KINDS)
  }
  // 17 for each row: one byte and what a row costs.
  const most = Math.floor(2e9 / 17)
  assert.equal([copies(1, most), copies(1, most + 1)], [true, false])
  assert.equal([copies(4, Math.floor(most / 4)), copies(4, Math.floor(most / 4) + 1)], [true, false])
  const member = (rows: number): boolean => {
    const { head, view } = programOf([group(1, 1), fill(rows, 0)], MOST)
    return tablesFit(head, view, FIRST, ALL_KINDS)
  }
  const banded = Math.floor(2e9 / 18)
  assert.equal([member(banded), member(banded + 1)], [true, false])
})

test('the head: every number against the memory, and against the ports of the file', () => {
  const { head } = programOf([fill(1, 0)], MEMORIES.reach)
  const { header } = head
  const end = ARENA
  const cases: [string, Partial<CheckedHead>, Fields, boolean][] = [
    ['as it is', {}, {}, true],
    ['no header', { header: undefined as never }, {}, false],
    ['memory of nothing', { memoryBytes: FIRST - 1, arenaAddress: FIRST, arenaBytes: 0 }, {}, false],
    ['memory up to 1 GiB', { memoryBytes: MOST }, {}, true],
    ['memory above', { memoryBytes: MOST + 1 }, {}, false],
    ['memory not whole', { memoryBytes: MEMORIES.reach + 0.5 }, {}, false],
    ['an arena that ends with the memory', { arenaBytes: MEMORIES.reach - ARENA }, {}, true],
    ['an arena beyond it', { arenaBytes: MEMORIES.reach - ARENA + 1 }, {}, false],
    ['an arena of nothing', { arenaBytes: 0 }, {}, true],
    ['an arena of less', { arenaBytes: -1 }, {}, false],
    ['an arena at the memory’s end', { arenaAddress: MEMORIES.reach, arenaBytes: 0 }, {}, true],
    ['an arena behind it', { arenaAddress: MEMORIES.reach + 1, arenaBytes: 0 }, {}, false],
    ['an arena before the first address', { arenaAddress: FIRST - 1 }, {}, false],
    ['another ABI', {}, { abiVersion: ABI_VERSION + 1 }, false],
    ['another number of inputs', {}, { inputCount: 2 }, false],
    ['another number of outputs', {}, { outputCount: 0 }, false],
    ['a field that is no number', {}, { resetTable: Number.NaN }, false],
    ['a field below 0', {}, { resetTable: -1 }, false],
    ['a field of 32 bits', {}, { resetTable: 2 ** 32 - 1 }, true],
    ['a field of more', {}, { resetTable: 2 ** 32 }, false],
    ['ops before the first address', {}, { opTable: FIRST - 4 }, false],
    ['ops between words', {}, { opTable: FIRST + 2 }, false],
    ['ops up to the arena', {}, { opTable: end - 4 }, true],
    ['ops into the arena', {}, { opTable: end }, false],
    ['inputs up to the arena', {}, { inputTable: end - 8 }, true],
    ['inputs into the arena', {}, { inputTable: end - 4 }, false],
    ['outputs up to the arena', {}, { outputTable: end - 8 }, true],
    ['outputs into the arena', {}, { outputTable: end - 4 }, false],
    ['resets up to the arena', {}, { resetCount: 2, resetTable: end - 8 }, true],
    ['resets into the arena', {}, { resetCount: 2, resetTable: end - 4 }, false],
  ]
  for (const [what, changes, fields, fits] of cases) {
    const changed = { ...head, header: { ...header, ...fields }, ...changes }
    assert.is(headFits(changed, 1, 1), fits, what)
  }
  const missing = Object.fromEntries(Object.entries(header).filter(([name]) => name !== 'resetCount'))
  assert.not(headFits({ ...head, header: missing }, 1, 1))
  assert.not(headFits({ ...head, header: null as never }, 1, 1))
})

test('tables: whole, apart from each other and from the records', () => {
  const program = (): ReturnType<typeof programOf> => programOf([fill(1, 0), fill(1, 0)], MEMORIES.reach)
  const records = FIRST + 8 + 16
  const cases: [string, (p: { view: DataView; header: Fields }) => void, boolean][] = [
    ['as it is', () => {}, true],
    ['one record twice', ({ view }) => view.setUint32(4, records, true), false],
    ['a record between words', ({ view }) => view.setUint32(4, records + 54, true), false],
    ['a record that begins in another', ({ view }) => view.setUint32(4, records + 48, true), false],
    ['a record over the table', ({ view }) => view.setUint32(4, FIRST, true), false],
    ['a record before the memory that is there', ({ view }) => view.setUint32(4, FIRST - 52, true), false],
    ['a record whose end is missing', ({ view }) => view.setUint32(4, ARENA - 48, true), false],
    ['an opcode that nobody knows', ({ view }) => view.setUint32(records - FIRST, 9999, true), false],
    ['the tables of ports one', ({ header }) => void (header.outputTable = header.inputTable!), false],
    ['the tables of ports a word apart', ({ header }) => void (header.outputTable = header.inputTable! + 4), false],
    ['an input before the arena', ({ view }) => view.setUint32(8, ARENA - 1, true), false],
    ['an input up to the end', ({ view }) => view.setUint32(12, 4096, true), true],
    ['an input beyond', ({ view }) => view.setUint32(12, 4097, true), false],
    ['an output in state', ({ view }) => view.setUint32(16, records + 104, true), true],
    ['an output in a record', ({ view }) => view.setUint32(16, records + 103, true), false],
    ['an output up to the end', ({ view }) => view.setUint32(20, 4096, true), true],
    ['an output beyond', ({ view }) => view.setUint32(20, 4097, true), false],
  ]
  for (const [what, change, fits] of cases) {
    const { head, view } = program()
    const header = { ...head.header }
    change({ view, header })
    assert.is(tablesFit({ ...head, header }, view, FIRST), fits, what)
  }
  // The list of what a reset runs is held to the same.
  const { head, view } = program()
  const reset = records + 104
  const header = { ...head.header, resetCount: 1, resetTable: reset }
  const resets = (record: number): boolean => {
    view.setUint32(reset - FIRST, record, true)
    return tablesFit({ ...head, header }, view, FIRST)
  }
  const at = reset + 4
  const { fields: names } = LAYOUT.FillRecord as { fields: readonly string[] }
  names.forEach((field, k) => view.setInt32(at - FIRST + 4 * k, fill(1, 0).fields[field] ?? 0, true))
  assert.equal([resets(at), resets(at + 2), resets(records)], [true, false, false])
  // Memory that ends within the tables.
  assert.not(tablesFit(head, new DataView(view.buffer, 0, 20), FIRST))
})

/** A step of the loader, as the file has it. */
const step = (what: number, ...args: number[]): number[] => [what, args.length, ...args]
const stepsTaken = (words: readonly number[], memoryBytes = MEMORIES.reach, dataBytes = 1000): boolean =>
  stepsFit(Int32Array.from(words), { ...programOf([], memoryBytes).head }, PACKERS, dataBytes)

test('steps of loading: written inside the memory, read inside the data', () => {
  const end = MEMORIES.reach
  const cases: [string, number[], boolean][] = [
    ['none', [], true],
    ['data', step(0, FIRST, 0, 1000), true],
    ['data from beyond its end', step(0, FIRST, 1, 1000), false],
    ['data from after its end', step(0, FIRST, 1001, 0), false],
    ['data of less than nothing', step(0, FIRST, 0, -1), false],
    ['data from before', step(0, FIRST, -1, 1), false],
    ['data up to the end and the margin', step(0, end + 128 - 1000, 0, 1000), true],
    ['data past it', step(0, end + 129 - 1000, 0, 1000), false],
    ['data before the first address', step(0, FIRST - 1, 0, 1), false],
    ['data with an argument more', step(0, FIRST, 0, 1, 0), false],
    ['data with one less', step(0, FIRST, 0), false],
    ['words', step(-1, FIRST, 1, 2, 3), true],
    ['no words', step(-1, FIRST), true],
    ['words up to the end', step(-1, end + 128 - 12, 1, 2, 3), true],
    ['words past it', step(-1, end + 129 - 12, 1, 2, 3), false],
    ['a fill', step(-2, FIRST, (end + 128 - FIRST) / 4, 7), true],
    ['a fill past the end', step(-2, FIRST, (end + 128 - FIRST) / 4 + 1, 7), false],
    ['a fill of less than nothing', step(-2, FIRST, -1, 7), false],
    ['a fill with an argument less', step(-2, FIRST, 1), false],
    ['no step', step(-3, FIRST, 1, 1), false],
    ['a packer that nobody knows', step(PACKERS.length + 1, FIRST, 1, 1), false],
    ['a step without arguments', [-1, 0], false],
    ['a step without its count', [-1], false],
    ['a step that is cut off', [-1, 3, FIRST, 1], false],
    ['two steps', [...step(-1, FIRST, 1), ...step(0, FIRST, 0, 8)], true],
    ['a wrong one behind a right one', [...step(-1, FIRST, 1), ...step(0, FIRST, 0, 1001)], false],
  ]
  for (const [what, words, fits] of cases) assert.is(stepsTaken(words), fits, what)
  // Work of loading is summed: 2^32 bytes at most, and 16 for each step.
  const most = 2 ** 30 - 2048
  const fills = (n: number): number[] => Array.from({ length: n }, () => step(-2, FIRST, most / 4, 0)).flat()
  assert.equal([stepsTaken(fills(4), MOST), stepsTaken(fills(5), MOST)], [true, false])
})

for (const [i, name] of PACKERS.entries()) {
  test(`limits of ${name}`, () => {
    const limits: Record<string, Limits> = {}
    for (const [memory, bytes] of Object.entries(MEMORIES)) {
      for (const seed of [1, 2]) {
        const next = rng(100 * i + seed)
        const args = [FIRST, ...Array.from({ length: 8 }, () => 3 + next.int(20))]
        const fits = (changed: number[]): boolean => stepsTaken(step(i + 1, ...changed), bytes)
        assert.ok(fits(args))
        const out: Limits = {}
        args.forEach((_, k) => {
          if (k === 0) return
          const takes = (v: number): boolean => fits(args.map((a, n) => (n === k ? v : a)))
          const [least, most] = range(takes)
          if (least === 0 && most === MOST) return
          out[k] = [least, most]
          for (const less of [-1, -7, -(2 ** 31)]) assert.not(takes(less), `argument ${k}: ${less}`)
        })
        limits[`${memory} ${seed}`] = out
      }
    }
    now[name] = limits
    if (!update) assert.equal(limits, stored[name])
  })
}

test('nothing is stored that is no more', () => {
  if (update) {
    const lines = Object.entries(now).map(([name, records]) => `  "${name}": ${JSON.stringify(records)}`)
    writeFileSync(FILE, `{\n${lines.join(',\n')}\n}\n`)
  } else assert.equal(Object.keys(stored).sort(), Object.keys(now).sort())
})

test.run()
