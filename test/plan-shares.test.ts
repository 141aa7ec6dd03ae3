/**
 * How threads share a program, against a model that keeps every byte by itself: which bytes each thread reads and
 * writes of a unit, whether any of them is another thread's, and which of the ways to share it is the fastest.
 */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { LAYOUT, OP_BARRIER, OP_GROUP } from '../src/generated/layout.ts'
import { rowwise, Value, type Buffer, type RecordName, type Rows, type Step } from '../src/lower/program.ts'
import { layOutTables, makeTables, plainTable, writeTables, type TableItem } from '../src/plan/encode.ts'
import { shareUnits } from '../src/plan/shares.ts'
import type { Share, Unit } from '../src/plan/unit.ts'
import { refusal, rng, type Rng } from './util.ts'

// Programs ----------------------------------------------------------------------

const bufferOf = (name: string, bytes: number, more: Partial<Buffer> = {}): Buffer => ({
  name,
  bytes,
  address: 0,
  first: 0,
  last: 0,
  ...more,
})

/** A picture in a buffer of its own: some have a frame, more than one image, or are rings. */
function picture(r: Rng, name: string, h: number): Value {
  const [n, w, c] = [r.int(12) ? 1 : 2, 1 + r.int(3), 1 + r.int(3)]
  const buffer = bufferOf(name, 0)
  const value = new Value({ name, shape: [n, h, w, c], dtype: 'int8' }, { n, h, w, c }, buffer)
  if (r.int(2)) value.frame = { left: r.int(3), right: r.int(3), fill: 0 }
  if (r.int(12) === 0) value.ring = 1
  buffer.bytes = value.bytes
  return value
}

const OF_ROWS: readonly RecordName[] = ['ConvRecord', 'DepthwiseRecord', 'LutRecord', 'CopyRecord', 'BinaryRecord']
const KINDS: readonly RecordName[] = [...OF_ROWS, 'FullyConnectedRecord', 'SoftmaxRecord']

/** Rows of a kernel whose window lies over `inRows` rows, or beyond them by less than its height. */
function windowed(r: Rng, inRows: number): Rows {
  const windowH = 1 + r.int(Math.min(3, inRows))
  const strideH = 1 + r.int(2)
  const padTop = r.int(windowH)
  const most = Math.floor((inRows - 1 + padTop) / strideH) + 1
  return { rows: Math.max(1, most - r.int(2)), strideH, padTop, windowH, inRows }
}

const base = (record: RecordName, rows: Rows, more: Partial<Step>): Step => ({
  record,
  op: 1,
  kernel: '',
  opIndex: 0,
  rows,
  reads: [],
  writes: [],
  fields: () => ({}),
  ...more,
})

/** A step from one picture to another; some have a second operand, scratch, weights, tiles, parts, work to do. */
function streaming(r: Rng, from: Value, name: string): { step: Step; to: Value } {
  const rows = windowed(r, from.h)
  const to = picture(r, name, rows.rows)
  const side = r.int(5) ? undefined : r.int(6) ? picture(r, `${name} side`, rows.rows) : from
  const blocks = r.int(3) ? 0 : 1 + r.int(6)
  const reads = [from.buffer, ...(side ? [side.buffer] : [])]
  if (r.int(3) === 0) reads.push(bufferOf('weights', 64, { constant: new Uint8Array(64) }))
  if (r.int(6) === 0) reads.push(bufferOf('all of it', 16))
  const step = base(r.pick(KINDS.filter((k) => k !== 'CopyRecord' || !side)), rows, {
    reads,
    writes: [to.buffer, ...(r.int(4) ? [] : [bufferOf('scratch', 99, { transient: true })])],
    stream: { from, to },
    side,
    ...(r.int(5) ? { macs: r.int(3) * 100_000 } : {}),
    ...(r.int(3) ? {} : { effort: 1 + r() }),
    ...(blocks ? { split: { blocks, constants: [], part: () => ({}) } } : {}),
    ...(r.int(4) ? {} : { block: { rows: 1 + r.int(4), columns: 2 } }),
  })
  return { step, to }
}

/** Runs of bytes from one place to another, forwards or backwards. */
function copying(r: Rng, from: Buffer, to: Buffer): Step {
  const rows = 2 + r.int(5)
  const side = (buffer: Buffer): { at: number; stride: number } => {
    const stride = r.pick([4, 6, -4, 0])
    return { at: buffer.address + 8 + (stride < 0 ? -stride * rows : 0), stride }
  }
  const [a, b] = [side(from), side(to)]
  const record = r.pick(['CopyRecord', 'LutRecord'] as const)
  return base(record, rowwise(rows), {
    reads: [from, ...(r.int(4) ? [] : [bufferOf('table', 256, { constant: new Uint8Array(256) })])],
    writes: [to],
    macs: r.int(3) * 200_000,
    fields: () => ({ input: a.at, inRowStride: a.stride, output: b.at, outRowStride: b.stride, bytes: 4 }),
  })
}

const unitOf = (steps: Step[]): Unit => ({ prologue: [], steps, bandRows: 1, bytes: 0 })

/** Units that read what those before them have made, or each other's memory. */
function program(r: Rng): Unit[] {
  const values = [picture(r, 'input', 6 + r.int(8))]
  const places = [0, 1, 2].map((i) =>
    bufferOf(`place ${i}`, 90, {
      address: 1000 * i,
      ...(r.int(5) ? {} : { state: true, constant: new Uint8Array(90) }),
    }),
  )
  return Array.from({ length: 2 + r.int(6) }, (_, i) => {
    if (r.int(4) === 0) return unitOf([copying(r, r.pick(places), r.pick(places))])
    let from = r.int(3) ? values.at(-1)! : r.pick(values)
    const steps: Step[] = []
    for (let k = r.int(3) ? 1 : 2 + r.int(2); k > 0 && from.h > 1; k--) {
      const { step, to } = streaming(r, from, `${i}.${k}`)
      // What lies between two members of a group is a ring of each thread's, of one image.
      steps.push(step)
      from = to
    }
    if (steps.length === 0) return unitOf([copying(r, places[0]!, places[1]!)])
    // Some results take the place of what is no longer needed, or of what is.
    if (r.int(4) === 0) {
      const { to } = steps.at(-1)!.stream!
      const [old] = steps.at(-1)!.writes
      steps.at(-1)!.writes = steps.at(-1)!.writes.map((b) => (b === old ? values[0]!.buffer : b))
      to.buffer = values[0]!.buffer
    }
    values.push(from)
    return unitOf(steps)
  })
}

// The model -----------------------------------------------------------------------

/** Bytes of buffers, one by one; -1 stands for bytes that nobody counts: all of the buffer. */
type Bytes = Map<Buffer, Set<number>>
interface Touched {
  reads: Bytes
  writes: Bytes
}

const BIGGEST = 400

/** Everything from the first to the last of some bytes. */
function mark(into: Bytes, buffer: Buffer, bytes: readonly number[] | 'all'): void {
  const set = into.get(buffer) ?? new Set<number>()
  into.set(buffer, set)
  const [from, to] = bytes === 'all' ? [-BIGGEST, BIGGEST] : [Math.min(...bytes), Math.max(...bytes)]
  for (let i = from; i <= to; i++) set.add(i)
}

const range = (from: number, to: number): number[] => Array.from({ length: Math.max(0, to - from) }, (_, i) => from + i)

/** Rows of its input that a step reads for some rows of its output. */
const rowsRead = ({ rows: { strideH, padTop, windowH, inRows } }: Step, out: readonly number[]): number[] => {
  const all = out.flatMap((y) => range(0, windowH).map((k) => y * strideH - padTop + k))
  const inside = [...new Set(all)].filter((y) => y >= 0 && y < inRows)
  return inside.length ? range(Math.min(...inside), Math.max(...inside) + 1) : []
}

/** A row as it is read: with the padding at both of its ends, of which the right one runs into the next row's. */
const padded = (v: Value, y: number): number[] => range(y * v.rowStride, (y + 1) * v.rowStride + v.frame.left * v.c)
/** As it is written: its pixels. */
const pixels = (v: Value, y: number): number[] => {
  const at = y * v.rowStride + v.frame.left * v.c
  return range(at, at + v.w * v.c)
}

/** What one step touches for some rows of its output. */
function touch(step: Step, out: readonly number[], part: boolean, { reads, writes }: Touched): void {
  const { stream, side, record } = step
  const known = (v: Value): boolean => v.n === 1 && v.ring === 0
  const runs = !stream && (record === 'CopyRecord' || record === 'LutRecord')
  const f = step.fields()
  const run = (buffer: Buffer, at: number, stride: number): number[] =>
    out.flatMap((y) => [at + y * stride, at + y * stride + f.bytes! - 1].map((b) => b - buffer.address))
  for (const b of step.reads) {
    if (b.transient || (b.constant && !b.state)) continue
    const asInput = stream !== undefined && stream.from.buffer === b
    const asSide = side !== undefined && side.buffer === b
    if (part) mark(reads, b, 'all')
    else if (runs && b === step.reads[0]) mark(reads, b, run(b, f.input!, f.inRowStride!))
    else if (asInput && !asSide && known(stream.from)) {
      const rows = rowsRead(step, out)
      if (rows.length) {
        mark(
          reads,
          b,
          rows.flatMap((y) => padded(stream.from, y)),
        )
      }
    } else if (asSide && !asInput && known(side)) {
      mark(
        reads,
        b,
        out.flatMap((y) => padded(side, y)),
      )
    } else mark(reads, b, 'all')
  }
  for (const b of step.writes) {
    if (b.transient) continue
    if (part) mark(writes, b, 'all')
    else if (runs && b === step.writes[0]) mark(writes, b, run(b, f.output!, f.outRowStride!))
    else if (stream && b === stream.to.buffer && known(stream.to)) {
      mark(
        writes,
        b,
        out.flatMap((y) => pixels(stream.to, y)),
      )
    } else mark(writes, b, 'all')
  }
}

/** What a thread touches of a unit, but for what it has for itself. */
function touchedBy({ steps }: Unit, { first, rows, part }: Share): Touched {
  const touched: Touched = { reads: new Map(), writes: new Map() }
  let out = range(first, rows)
  for (const step of [...steps].reverse()) {
    touch(step, out, part !== undefined, touched)
    out = rowsRead(step, out)
  }
  for (const step of steps.slice(0, -1)) {
    touched.reads.delete(step.stream!.to.buffer)
    touched.writes.delete(step.stream!.to.buffer)
  }
  return touched
}

const meet = (a: Bytes, b: Bytes): boolean =>
  [...a].some(([buffer, bytes]) => {
    const others = b.get(buffer)
    return others !== undefined && [...bytes].some((at) => others.has(at))
  })

/** Whether one changes what the other reads or changes. */
const clash = (a: Touched, b: Touched): boolean =>
  meet(a.writes, b.writes) || meet(a.writes, b.reads) || meet(a.reads, b.writes)

const start = (n: number, k: number, threads: number): number => Math.round((n * k) / threads)

/** All ways to share a unit: like the one before, by rows, by channels, not at all. */
function waysOf({ steps }: Unit, threads: number, before: { rows: number; shares: Share[] } | undefined): Share[][] {
  const last = steps.at(-1)!
  const { rows } = last.rows
  const tile = steps.length > 1 ? 1 : (last.block?.rows ?? 1)
  const ways: Share[][] = []
  const each = range(0, threads)
  const byRows = rows >= threads && steps.every((s) => OF_ROWS.includes(s.record))
  if (byRows && before && steps.length === 1) {
    const scaled = before.shares.map((s) => ({
      first: (s.first * rows) / before.rows,
      rows: (s.rows * rows) / before.rows,
    }))
    const whole = (y: number): boolean => y === rows || (y % tile === 0 && y === Math.floor(y))
    if (scaled.every((s) => whole(s.first) && whole(s.rows))) ways.push(scaled)
  }
  if (byRows) {
    const row = (k: number): number => Math.min(rows, tile * start(Math.ceil(rows / tile), k, threads))
    ways.push(each.map((k) => ({ first: row(k), rows: row(k + 1) })))
  }
  const blocks = steps.length === 1 ? (last.split?.blocks ?? 0) : 0
  if (blocks >= threads) {
    ways.push(each.map((k) => ({ first: 0, rows, part: [start(blocks, k, threads), start(blocks, k + 1, threads)] })))
  }
  ways.push([{ first: 0, rows }])
  return ways
}

/** Nanoseconds of a unit on one thread: 0.035 a multiply-add, or 0.3 a byte of its result. */
const timeOf = ({ steps }: Unit): number =>
  steps
    .map(({ macs = 0, effort = 1, stream, writes: [first] }) => {
      const bytes = stream ? stream.to.bytes : first ? (first.measure ? first.measure() : first.bytes) : 0
      return Math.max(macs * effort * 0.035, bytes * 0.3)
    })
    .reduce((a, b) => a + b, 0)

interface Decision {
  shares: Share[]
  meets: boolean
}

function decided(units: readonly Unit[], threads: number): Decision[] {
  let done: Touched[][] = []
  let together = false
  let before: { rows: number; shares: Share[] } | undefined
  return units.map((unit) => {
    const { rows } = unit.steps.at(-1)!.rows
    const ways = waysOf(unit, threads, before).map((shares) => {
      const own = shares.map((s) => touchedBy(unit, s))
      const meets = own.some((a, t) => done.some((past) => past.some((b, k) => k !== t && clash(a, b))))
      const whole = shares[0]!.part ? unit.steps[0]!.split!.blocks / 1.1 : rows
      const largest = Math.max(...shares.map((s) => (s.part ? s.part[1] - s.part[0] : s.rows - s.first))) / whole
      const alone = shares.length === 1
      const waits = meets || (!alone && !together)
      return { shares, meets, own, ns: timeOf(unit) * largest + (waits ? 2400 : 0) + (alone ? 0 : 100) }
    })
    const least = Math.min(...ways.map((w) => w.ns))
    const { shares, meets, own } = ways.find((w) => w.ns <= least)!
    if (meets) {
      done = []
      together = false
      before = undefined
    }
    done.push(own)
    if (shares.length > 1) together = true
    if (shares.length > 1 && !shares[0]!.part) before = { rows, shares }
    return { shares, meets }
  })
}

// Tests -----------------------------------------------------------------------------

test('each unit is shared in the fastest way, and threads meet where one needs what another has changed', () => {
  const r = rng(31)
  const seen = { meets: 0, goesOn: 0, parts: 0, rows: 0, alone: 0, groups: 0, uneven: 0 }
  for (let n = 0; n < 1500; n++) {
    const threads = 2 + r.int(3)
    const units = program(r)
    const want = decided(units, threads)
    shareUnits(units, threads)
    for (const [i, u] of units.entries()) {
      const what = `program ${n}, ${threads} threads, unit ${i}`
      assert.equal(u.shares, want[i]!.shares, what)
      assert.is(u.meets, want[i]!.meets, what)
      const shared = u.shares!.length > 1
      seen[u.meets ? 'meets' : 'goesOn']++
      if (!shared) seen.alone++
      else if (u.shares![0]!.part) seen.parts++
      else {
        seen.rows++
        seen.groups += Number(u.steps.length > 1)
        const { rows } = u.steps.at(-1)!.rows
        seen.uneven += Number(u.shares!.some((s, k) => s.first !== start(rows, k, threads)))
      }
    }
  }
  for (const [kind, count] of Object.entries(seen)) assert.ok(count > 60, `${count} ${kind}`)
})

test('a part of the image stays one thread’s through layers of other heights, where its rows divide', () => {
  const layers = (...of: { rows: number; stride: number; tile: number }[]): number[][] => {
    const r = rng(1)
    let from = picture(r, 'input', 24)
    const units = of.map(({ rows, stride, tile }, i) => {
      const to = new Value(from.tensor, { n: 1, h: rows, w: 2, c: 1 }, bufferOf(`${i}`, 2 * rows))
      const step = base(
        'ConvRecord',
        { rows, strideH: stride, padTop: 0, windowH: stride, inRows: from.h },
        {
          reads: [from.buffer],
          writes: [to.buffer],
          stream: { from, to },
          macs: 3e5,
          block: { rows: tile, columns: 1 },
        },
      )
      from = to
      return unitOf([step])
    })
    shareUnits(units, 2)
    return units.map((u) => [u.shares![0]!.first, ...u.shares!.map((s) => s.rows), Number(u.meets)])
  }
  const before = { rows: 24, stride: 1, tile: 8 }
  // In tiles of eight the first thread has 16 of 24 rows, so two thirds of what is made of them.
  assert.equal(layers(before, { rows: 12, stride: 2, tile: 1 }), [
    [0, 16, 24, 0],
    [0, 8, 12, 0],
  ])
  // The last tile need not be whole: it ends where the rows do.
  assert.equal(layers(before, { rows: 12, stride: 2, tile: 8 })[1], [0, 8, 12, 0])
  // Two thirds of twelve are no whole tiles of three rows, those of seven are no whole rows: all meet.
  assert.equal(layers(before, { rows: 12, stride: 2, tile: 3 })[1], [0, 6, 12, 1])
  assert.equal(layers(before, { rows: 7, stride: 3, tile: 1 })[1], [0, 4, 7, 1])
})

// Op tables -------------------------------------------------------------------------

/** What is in a table, in words. */
const wordsOf = (table: readonly TableItem[], units: readonly Unit[]): string[] =>
  table.map((item) => {
    if (item.kind === 'barrier') return `meet ${item.target}${item.first ? ' first' : ''} op ${item.opIndex}`
    const unit = units.indexOf(item.unit)
    const rows = `${item.first} to ${item.rows}`
    if (item.kind === 'group') return `group ${item.index} of ${unit}: ${rows} op ${item.opIndex}`
    const part = item.part ? ` part ${item.part.join(' to ')}` : ''
    return `${unit}.${item.step.kernel}: ${rows}${part}${item.group === undefined ? '' : ` in ${item.group}`}`
  })

test('op tables: what is shared is in all, the rest in the first; all meet before what asks for it, and last', () => {
  const r = rng(32)
  for (let n = 0; n < 300; n++) {
    const threads = 1 + r.int(4)
    const units = program(r)
    units.forEach((u, i) => {
      u.steps.forEach((s, k) => Object.assign(s, { kernel: String.fromCharCode(97 + k), opIndex: 10 * i + k }))
      if (r.int(3) === 0) u.prologue = [base('CopyRecord', rowwise(3), { kernel: 'before', opIndex: 10 * i })]
    })
    shareUnits(units, Math.max(2, threads))
    const want: string[][] = range(0, threads).map(() => [])
    let meetings = 0
    let open = false
    const barrier = (opIndex: number): void => {
      meetings++
      for (const t of want) t.push(`meet ${meetings * threads}${meetings === 1 ? ' first' : ''} op ${opIndex}`)
      open = false
    }
    units.forEach((u, i) => {
      const last = u.steps.at(-1)!
      const shares = threads === 1 ? [{ first: 0, rows: last.rows.rows }] : u.shares!.slice(0, threads)
      if (threads > 1 && u.meets) barrier(last.opIndex)
      open ||= shares.length > 1
      shares.forEach((share: Share, t) => {
        for (const p of u.prologue) want[t]!.push(`${i}.${p.kernel}: 0 to ${p.rows.rows}`)
        const group = u.steps.length > 1
        if (group) want[t]!.push(`group ${i} of ${i}: ${share.first} to ${share.rows} op ${u.steps[0]!.opIndex}`)
        // Where each member begins: at the first row that the next one reads, its first where none is.
        const begins: number[] = []
        let first = share.first
        for (const s of [...u.steps].reverse()) {
          begins.unshift(first)
          first = Math.max(0, Math.min(first * s.rows.strideH - s.rows.padTop, s.rows.inRows))
        }
        u.steps.forEach((s, k) => {
          const end = s === last ? share.rows : s.rows.rows
          const part = share.part ? ` part ${share.part.join(' to ')}` : ''
          want[t]!.push(`${i}.${s.kernel}: ${begins[k]} to ${end}${part}${group ? ` in ${i}` : ''}`)
        })
      })
    })
    if (open) barrier(units.at(-1)!.steps[0]!.opIndex)
    assert.equal(
      makeTables(units, threads).map((t) => wordsOf(t, units)),
      want,
      `program ${n}`,
    )
  }
})

/** A convolution's own fields, behind the head that all records have. */
const OWN_ZEROS = Object.fromEntries(LAYOUT.ConvRecord.fields.slice(LAYOUT.Record.fields.length).map((f) => [f, 0]))

/** The numbers of a record by name. */
function fieldsAt(view: DataView, at: number, name: keyof typeof LAYOUT): Record<string, number> {
  const { fields, f32 } = LAYOUT[name] as { fields: readonly string[]; f32: readonly string[] }
  return Object.fromEntries(
    fields.map((f, i) => [f, f32.includes(f) ? view.getFloat32(at + 4 * i, true) : view.getInt32(at + 4 * i, true)]),
  )
}

/** A step whose record says where its weights, their sums and its scratch lie. */
function weighted(own: Record<'weights' | 'sums' | 'table' | 'scratch', Buffer>): Step {
  return base('ConvRecord', rowwise(9), {
    op: 77,
    reads: [own.weights, own.sums, own.table],
    writes: [own.scratch],
    fields: () => ({
      ...OWN_ZEROS,
      weights: own.weights.address,
      output: own.sums.address,
      input: own.table.address,
      kh: own.scratch.address,
      outC: own.scratch.room ?? -1,
    }),
    split: {
      blocks: 6,
      constants: [own.weights, own.sums],
      part: ({ output }, from, to) => ({ outC: output! + 1000 * from + to }),
    },
  })
}

test('records: a part of the channels has its share of the constants, a further thread scratch of its own', () => {
  const own = {
    weights: bufferOf('weights', 600, { address: 5000, constant: new Uint8Array(600) }),
    sums: bufferOf('sums', 24, { address: 7000, constant: new Uint8Array(24) }),
    table: bufferOf('table', 60, { address: 8000, constant: new Uint8Array(60) }),
    scratch: bufferOf('scratch', 40, { address: 9000, transient: true, useful: 100, room: 48 }),
  }
  const unit: Unit = {
    ...unitOf([weighted(own)]),
    shares: [
      { first: 0, rows: 9, part: [0, 2] },
      { first: 0, rows: 9, part: [2, 4] },
      { first: 0, rows: 9, part: [4, 6] },
    ],
    meets: false,
  }
  const tables = makeTables([unit], 3)
  const sizes = layOutTables(tables, 256)
  // 100 bytes of scratch for each, in whole cache lines.
  assert.is(sizes.privateBytes, 128)
  const before = JSON.stringify(own)
  const view = new DataView(new ArrayBuffer(sizes.end - 256))
  writeTables(view, 256, { tables, sizes, barrierCounter: 64, privateAddress: 20_000 })
  assert.is(JSON.stringify(own), before, 'nothing has moved')
  for (const [t, from] of [0, 2, 4].entries()) {
    const at = sizes.records[t]![0]! - 256
    assert.is(view.getUint32(sizes.tables[t]! - 256, true), at + 256)
    const f = fieldsAt(view, at, 'ConvRecord')
    assert.equal(
      [f.op, f.first, f.rows, f.strideH, f.padTop, f.windowH, f.inRows, f.done, f.need],
      [77, 0, 9, 1, 0, 1, 9, 0, 0],
    )
    assert.is(f.weights, 5000 + 100 * from)
    assert.is(f.output, 7000 + 4 * from)
    assert.is(f.input, 8000, 'what is not divided stays')
    assert.is(f.kh, t === 0 ? 9000 : 20_000 + 128 * (t - 1))
    assert.is(f.outC, 7000 + 4 * from + 1000 * from + from + 2)
    const barrier = fieldsAt(view, sizes.records[t]![1]! - 256, 'BarrierRecord')
    assert.equal([barrier.op, barrier.first, barrier.rows, barrier.counter, barrier.target], [OP_BARRIER, t, 1, 64, 3])
    assert.is(barrier.patience, t === 0 ? 2000 : 0)
  }
})

test('records: a group says how many members it has and how high its bands are', () => {
  const value = picture(rng(4), 'between', 9)
  const member = (rows: Rows): Step =>
    base('ConvRecord', rows, { fields: () => OWN_ZEROS, stream: { from: value, to: value } })
  const unit: Unit = {
    ...unitOf([member(rowwise(9)), member({ rows: 4, strideH: 2, padTop: 1, windowH: 3, inRows: 9 })]),
    bandRows: 3,
  }
  const tables = makeTables([unit], 1)
  const sizes = layOutTables(tables, 0)
  assert.is(sizes.privateBytes, 0)
  const view = new DataView(new ArrayBuffer(sizes.end))
  writeTables(view, 0, { tables, sizes, barrierCounter: 0, privateAddress: 0 })
  const group = fieldsAt(view, sizes.records[0]![0]!, 'GroupRecord')
  assert.equal([group.op, group.first, group.rows, group.count, group.bandRows], [OP_GROUP, 0, 4, 2, 3])
  assert.equal([group.strideH, group.padTop, group.windowH, group.inRows], [1, 0, 1, 4])
  const last = fieldsAt(view, sizes.records[0]![2]!, 'ConvRecord')
  assert.equal([last.rows, last.strideH, last.padTop, last.windowH, last.inRows], [4, 2, 1, 3, 9])
})

test('records: a field that is missing, and one that is no number, are a fault of ours with the op’s name', () => {
  const error = (fields: Record<string, number>): string => {
    const tables = [plainTable([base('ConvRecord', rowwise(2), { opIndex: 41, fields: () => fields })])]
    const sizes = layOutTables(tables, 0)
    const view = new DataView(new ArrayBuffer(sizes.end))
    return refusal(() => {
      writeTables(view, 0, { tables, sizes, barrierCounter: 0, privateAddress: 0 })
    }).message
  }
  const { weights, ...rest } = OWN_ZEROS
  assert.is(weights, 0)
  assert.match(error(rest), /record field ConvRecord.weights is undefined.*op 41/)
  assert.match(error({ ...OWN_ZEROS, outC: NaN }), /record field ConvRecord.outC is NaN/)
  assert.match(error({ ...OWN_ZEROS, outC: Infinity }), /record field ConvRecord.outC is Infinity/)
})

test.run()
