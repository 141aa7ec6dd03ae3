/**
 * The planner's shortcuts against doing the work in full: placing every buffer anew, the lowest place that is free,
 * every way to share a step's work between threads, every part of a group; and what stored programs copy.
 */
import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { readModel } from '../src/formats/index.ts'
import { LAYOUT, OP_PARTS } from '../src/generated/layout.ts'
import type { Graph } from '../src/graph/graph.ts'
import { rowwise, type Buffer, type RecordName, type Step } from '../src/lower/program.ts'
import { type Overlay, planArena, type Placement, type Request } from '../src/plan/arena.ts'
import { arrange } from '../src/plan/arrange.ts'
import { Bands, wholeValues } from '../src/plan/bands.ts'
import { compileModel, type Program } from '../src/plan/compile.ts'
import { makeTables, type TableItem } from '../src/plan/encode.ts'
import { compileFlash } from '../src/plan/flash.ts'
import { Liveness } from '../src/plan/liveness.ts'
import { shareUnits } from '../src/plan/shares.ts'
import { withPrograms } from '../src/plan/record.ts'
import {
  blocksWithin,
  constantsOf,
  divides,
  headBytes,
  partable,
  sliceBytes,
  sliceNeed,
  totalBytes,
} from '../src/plan/slices.ts'
import type { Unit } from '../src/plan/unit.ts'
import { align16, graphs, lowered, network } from './plan-networks.ts'
import { GraphBuilder } from './small-models.ts'
import { refusal, rng, type Rng } from './util.ts'

// Arena -----------------------------------------------------------------------

const alive = (a: Request, b: Request): boolean => a.first <= b.last && b.first <= a.last

/** Requests and overlays of every kind: also of buffers that are not alive together, or empty. */
function arena(r: Rng, count: number): { requests: Request[]; overlays: Overlay[] } {
  const requests = Array.from({ length: count }, (): Request => {
    const first = r.int(count)
    return { bytes: r.int(9) ? 1 + r.int(400) : 0, first, last: first + r.int(5) }
  })
  const overlays: Overlay[] = []
  for (let k = r.int(count); k > 0; k--) {
    const [from, to] = [r.int(count), r.int(count)]
    if (from !== to) overlays.push({ from, to, margin: r.int(300) })
  }
  return { requests, overlays }
}

/** The order, raises and rounds of planArena, with every buffer placed anew each time. */
function placedAnew(requests: readonly Request[], overlays: readonly Overlay[], bound: number): Placement {
  const sizes = requests.map((q) => align16(q.bytes))
  const used = requests.flatMap((_, i) => (sizes[i]! > 0 ? [i] : []))
  const order = [...used]
    .sort((a, b) => requests[a]!.first - requests[b]!.first)
    .sort((a, b) => requests[b]!.last - requests[a]!.last || sizes[b]! - sizes[a]! || used.indexOf(a) - used.indexOf(b))
  const margins = new Map<string, number>()
  for (const { from, to, margin } of overlays) {
    if (used.includes(from) && used.includes(to) && alive(requests[from]!, requests[to]!)) {
      margins.set(`${from} ${to}`, Math.min(align16(margin), sizes[to]!))
    }
  }
  const raise = requests.map(() => 0)
  for (const o of [...overlays].sort((a, b) => requests[b.to]!.first - requests[a.to]!.first)) {
    raise[o.from] = Math.max(raise[o.from]!, raise[o.to]! + align16(o.margin))
  }
  let best: number[] = requests.map(() => 0)
  let peak = Infinity
  for (const raises of overlays.length ? [raise, raise.map(() => 0)] : [raise.map(() => 0)]) {
    const turn = [...order]
    for (let round = 0; round < 30 && peak > align16(bound); round++) {
      const offsets: (number | undefined)[] = requests.map(() => undefined)
      let top = 0
      let highest = 0
      for (const [n, i] of turn.entries()) {
        const inTheWay = (at: number): number | undefined => {
          for (const k of used) {
            const o = offsets[k]
            if (o === undefined || !alive(requests[i]!, requests[k]!)) continue
            const below = margins.get(`${k} ${i}`) ?? sizes[i]!
            const above = margins.get(`${i} ${k}`) ?? sizes[k]!
            if (at > o - below && at < o + above) return o + above
          }
          return undefined
        }
        let at = raises[i]!
        for (let next = inTheWay(at); next !== undefined; next = inTheWay(at)) at = next
        offsets[i] = at
        if (at + sizes[i]! <= top) continue
        top = at + sizes[i]!
        highest = n
        if (top >= peak) break
      }
      if (top < peak) {
        peak = top
        best = offsets.map((o) => o ?? 0)
      }
      if (highest === 0) break
      turn.unshift(...turn.splice(highest, 1))
    }
  }
  return { offsets: best, peak: used.length ? peak : 0 }
}

test('arena: what is left where it was lies where placing it anew puts it', () => {
  const r = rng(21)
  for (let n = 0; n < 400; n++) {
    const { requests, overlays } = arena(r, 1 + r.int(14))
    const bound = n % 3 ? 0 : r.int(900)
    assert.equal(planArena(requests, overlays, bound), placedAnew(requests, overlays, bound), `case ${n}`)
  }
})

test('arena: two that are alive at once are apart, or the result begins its margin before', () => {
  const r = rng(22)
  let over = 0
  for (let n = 0; n < 600; n++) {
    const { requests, overlays } = arena(r, 2 + r.int(12))
    const { offsets, peak } = planArena(requests, overlays)
    for (const [i, a] of requests.entries()) {
      assert.ok(a.bytes === 0 || offsets[i]! + a.bytes <= peak)
      for (const [k, b] of requests.entries()) {
        if (i === k || !a.bytes || !b.bytes || !alive(a, b)) continue
        if (offsets[i]! + a.bytes <= offsets[k]! || offsets[k]! + b.bytes <= offsets[i]!) continue
        const before = (from: number, to: number): boolean =>
          overlays.some((o) => o.from === from && o.to === to && offsets[to]! + o.margin <= offsets[from]!)
        assert.ok(before(i, k) || before(k, i), `case ${n}: ${i} and ${k}`)
        over++
      }
    }
  }
  assert.ok(over > 100, `${over} overlaid`)
})

test('arena: of thousands at once each lies in the lowest gap that is large enough when it begins', () => {
  const stay = Array.from({ length: 3000 }, (): Request => ({ bytes: 16, first: 0, last: 1000 }))
  const base = 3000 * 16
  const r = rng(23)
  for (let n = 0; n < 6; n++) {
    const requests = Array.from({ length: 400 }, (_, i): Request => {
      const first = 1 + Math.floor(i / (1 + n))
      return { bytes: r.int(12) ? 1 + r.int(300) : 0, first, last: first + r.int(25) }
    })
    const { offsets, peak } = planArena([...stay, ...requests])
    let top = base
    for (const [i, q] of requests.entries()) {
      const size = align16(q.bytes)
      if (size === 0) continue
      const taken = requests
        .map((other, k) => ({ other, k, from: offsets[3000 + k]! }))
        .filter(({ other, k }) => k < i && other.bytes > 0 && other.last >= q.first)
        .sort((a, b) => a.from - b.from)
      let at = base
      for (const { other, from } of taken) {
        if (from - at >= size) break
        at = Math.max(at, from + align16(other.bytes))
      }
      assert.is(offsets[3000 + i], at, `case ${n}, buffer ${i}`)
      top = Math.max(top, at + size)
    }
    assert.is(peak, top)
  }
})

// Threads ---------------------------------------------------------------------

interface Work {
  record: RecordName
  rows: number
  /** Blocks of channels, 0: it does not divide. */
  blocks: number
  /** Rows that are computed together. */
  together: number
  macs: number
}

const unitOf = ({ record, rows, blocks, together, macs }: Work): Unit => {
  const step: Step = {
    record,
    op: 1,
    kernel: '',
    opIndex: 7,
    rows: rowwise(rows),
    reads: [],
    writes: [],
    fields: () => ({}),
    macs,
    ...(blocks ? { split: { blocks, constants: [], part: () => ({}) } } : {}),
    ...(together > 1 ? { block: { rows: together, columns: 1 } } : {}),
  }
  return { prologue: [], steps: [step], bandRows: rows, bytes: 0 }
}

function tablesOf(units: readonly Unit[], threads: number): TableItem[][] {
  shareUnits(units, threads)
  return makeTables(units, threads)
}

const ROW_KERNELS = [
  'CopyRecord',
  'LutRecord',
  'ChannelLutRecord',
  'ConvRecord',
  'ConvDirectRecord',
  'WinogradRecord',
  'DepthwiseRecord',
  'BinaryRecord',
  'PoolRecord',
  'ResizeBilinearRecord',
  'GatherRecord',
]

test('threads: a step is shared by rows or by channels, whichever leaves the slowest thread less', () => {
  let byChannels = 0
  let byRows = 0
  const kinds = ['ConvRecord', 'FullyConnectedRecord', 'SoftmaxRecord'] as const
  for (const record of kinds) {
    for (const threads of [2, 3, 4]) {
      for (const together of [1, 2, 4]) {
        for (let rows = 1; rows <= 17; rows++) {
          for (const blocks of [0, 1, 2, 3, 4, 5, 7, 8, 9, 16, 17]) {
            const what = `${record}, ${threads} threads, ${rows} rows in tiles of ${together}, ${blocks} blocks`
            const unit = unitOf({ record, rows, blocks, together, macs: 1e6 })
            const shares = tablesOf([unit], threads).map((t) => t.filter((i) => i.kind === 'step'))
            // The largest share of rows, in whole tiles, or of blocks, which cost a tenth more.
            const start = (n: number, k: number): number => Math.round((n * k) / threads)
            const tiles = Math.ceil(rows / together)
            const row = (k: number): number => Math.min(rows, start(tiles, k) * together)
            const each = Array.from({ length: threads }, (_, k) => row(k + 1) - row(k))
            const rowsEach = record === 'ConvRecord' && rows >= threads ? Math.max(...each) / rows : Infinity
            const blocksEach = blocks >= threads ? (Math.ceil(blocks / threads) * 1.1) / blocks : Infinity
            const channels = blocksEach < rowsEach
            // 35,000 ns in all, 2,500 to meet.
            const splits = 35_000 * Math.min(blocksEach, rowsEach) + 2500 < 35_000
            if (!splits) {
              assert.equal(
                shares.map((s) => s.length),
                [1, ...new Array<number>(threads - 1).fill(0)],
                what,
              )
              continue
            }
            let next = 0
            for (const [t, share] of shares.entries()) {
              assert.is(share.length, 1, what)
              const item = share[0] as TableItem & { kind: 'step' }
              if (channels) {
                assert.equal([item.first, item.rows], [0, rows], what)
                assert.equal(item.part, [start(blocks, t), start(blocks, t + 1)], what)
                byChannels++
              } else {
                assert.is(item.part, undefined, what)
                assert.is(item.first, next, what)
                assert.is(item.rows, Math.min(rows, start(tiles, t + 1) * together), what)
                next = item.rows
                byRows++
              }
            }
            if (!channels) assert.is(next, rows, what)
          }
        }
      }
    }
  }
  assert.ok(byChannels > 500 && byRows > 500, `${byChannels} and ${byRows}`)
})

test('threads: which kernels compute any range of rows, and what is not worth a meeting', () => {
  const splits = (work: Partial<Work>): boolean =>
    tablesOf([unitOf({ record: 'ConvRecord', rows: 8, blocks: 0, together: 1, macs: 1e6, ...work })], 2)[1]!.length > 1
  const names = Object.keys(LAYOUT).filter((n) => n.endsWith('Record')) as RecordName[]
  assert.equal(names.filter((record) => splits({ record })).sort(), [...ROW_KERNELS].sort())
  // Blocks share the work of one row, too.
  const row = { record: 'FullyConnectedRecord', rows: 1, blocks: 4 } as const
  assert.ok(splits(row))
  assert.not(splits({ ...row, macs: 1000 }))
  const [a, b] = [unitOf({ ...row, together: 1, macs: 1e6 }), unitOf({ ...row, together: 1, macs: 1e6 })]
  const { stream } = lowered(network(3, 1)).steps.find((step) => step.stream)!
  const pair: Unit = { ...a, steps: [{ ...a.steps[0]!, stream }, ...b.steps] }
  assert.is(tablesOf([pair], 2)[1]!.length, 0)
  // What a unit needs of one before is waited for, and what runs alone; nobody waits twice, nor for what is not needed.
  const work = (record: RecordName): Work => ({ record, rows: 8, blocks: 0, together: 1, macs: 1e6 })
  const kinds = (records: RecordName[], needed: boolean): string[] => {
    const buffers = records.map((_, i): Buffer => ({ name: `${i}`, bytes: 64, address: 0, first: i, last: i }))
    const units = records.map((record, i): Unit => {
      const unit = unitOf(work(record))
      const [step] = unit.steps
      return { ...unit, steps: [{ ...step!, reads: needed ? buffers.slice(0, i) : [], writes: [buffers[i]!] }] }
    })
    return tablesOf(units, 2).map((t) => t.map((i) => (i.kind === 'barrier' ? i.target : 'step')).join(' '))
  }
  const [alone, shared] = ['SoftmaxRecord', 'ConvRecord'] as const
  assert.equal(kinds([alone, shared], true), ['step 2 step 4', '2 step 4'])
  assert.equal(kinds([shared, alone, alone, shared], true), ['step 2 step step 4 step 6', 'step 2 4 step 6'])
  assert.equal(kinds([shared, shared], true), ['step 2 step 4', 'step 2 step 4'])
  assert.equal(kinds([alone, alone], true), ['step step', ''])
  assert.equal(kinds([alone, shared], false), ['step step 2', 'step 2'])
  assert.equal(kinds([shared, shared], false), ['step step 2', 'step step 2'])
})

/** Models with variables, as they were recorded. */
const stateful = (count: number): Graph[] =>
  gunzipSync(readFileSync(new URL('./goldens/ops/VARIABLES.jsonl.gz', import.meta.url)))
    .toString()
    .trim()
    .split('\n')
    .slice(0, count)
    .map((line) => readModel(Uint8Array.from(Buffer.from((JSON.parse(line) as { model: string }).model, 'base64'))))

test('programs: what resets state, where threads meet, and which group an entry is of', () => {
  const groups = new Set<number>()
  let resets = 0
  for (const graph of [...graphs(), ...stateful(4)]) {
    for (const threads of [1, 2]) {
      const program = compileModel(graph, { variant: 'simd', plan: 'size', threads })
      const { header, barrierCounter, entries } = program
      assert.is(barrierCounter > 0, threads > 1)
      for (const [i, e] of entries.entries()) {
        if (e.kernel !== 'group') {
          assert.ok(e.kernel !== 'barrier' || e.group === undefined, 'nobody meets within a group')
          continue
        }
        assert.type(e.group, 'number')
        assert.is(entries[i + 1]!.group, e.group, 'its members follow')
        groups.add(e.group!)
      }
      const view = new DataView(program.image[0]!.bytes.slice().buffer)
      const word = (at: number): number => view.getUint32(at - header.opTable!, true)
      // The tables of all threads, one behind the other, and behind them the one that resets.
      const end = [{ count: entries.length }, ...program.workers].reduce(
        (at, { count }) => at + 4 * count,
        header.opTable!,
      )
      assert.equal(
        program.workers.map((w) => w.table),
        program.workers.map((_, i) => header.opTable! + 4 * entries.length + 4 * i * program.workers[0]!.count),
      )
      assert.is(header.resetTable, header.resetCount ? end : 0)
      resets += header.resetCount!
      // Each record says its opcode; those of a reset write state.
      for (let i = 0; i < entries.length; i++) assert.is(word(word(header.opTable! + 4 * i)), entries[i]!.opcode)
      for (let i = 0; i < header.resetCount!; i++) {
        const record = word(header.resetTable! + 4 * i)
        assert.ok(program.usedOpcodes.includes(word(record)))
        const output = word(record + 4 * LAYOUT.CopyRecord.fields.indexOf('output'))
        assert.ok(output >= program.stateAddress && output < program.stateAddress + program.stateBytes)
      }
      assert.is(program.stateBytes > 0, header.resetCount! > 0)
    }
  }
  assert.ok(groups.size > 1 && resets > 4, `${groups.size} groups, ${resets} resets`)
})

test('programs: state lies behind the weights, the arena behind that, each where its size and alignment put it', () => {
  for (const graph of [...graphs(), ...stateful(4)]) {
    for (const threads of [1, 3]) {
      const p = compileModel(graph, { variant: 'simd', plan: 'speed', threads, base: 2048 })
      const { header } = p
      assert.is(p.image[0]!.address, 2048)
      assert.is(header.opTable, 2048)
      assert.equal([header.inputCount, header.outputCount], [graph.inputs.length, graph.outputs.length])
      assert.is(header.outputTable, header.inputTable! + 8 * graph.inputs.length)
      const ports = header.outputTable! + 8 * graph.outputs.length
      const counter = Math.ceil(ports / 64) * 64
      assert.is(p.barrierCounter, threads > 1 ? counter : 0)
      const planEnd = threads > 1 ? counter + 64 : align16(ports)
      assert.is(p.planBytes, planEnd - 2048)
      // Constants and state, in turn.
      let at = planEnd
      let weights = 0
      for (const { address, bytes } of p.image.slice(1)) {
        assert.is(address, at)
        if (at < p.stateAddress) weights += bytes.length
        at = align16(at + bytes.length)
      }
      assert.is(p.weightBytes, weights)
      assert.is(p.stateAddress + p.stateBytes, at)
      assert.is(p.arenaAddress, Math.ceil(at / 64) * 64)
      assert.ok(p.slackBytes >= 128)
      assert.is(p.memoryBytes, Math.ceil((p.arenaAddress + p.arenaBytes + p.slackBytes) / 65536) * 65536)
      const placed = p.arena.map((b) => b.offset + b.bytes)
      assert.ok(p.arenaBytes >= Math.max(0, ...placed))
      for (const [list, tensors] of [
        [p.inputs, graph.inputs],
        [p.outputs, graph.outputs],
      ] as const) {
        assert.equal(
          list.map((port) => port.tensorIndex),
          tensors,
        )
      }
    }
  }
})

// Slices ----------------------------------------------------------------------

interface Link {
  from: number
  bytes: number
  to: number
}
interface Read extends Link {
  /** Bytes that it takes in memory and of the segment. */
  place: number
  size: number
  ops: number[]
}

/** Every slice that a chain brings in, as the executor reads it; those of parts behind the one that has them. */
function chainOf(segment: Uint8Array, first: Link): Read[] {
  const view = new DataView(segment.buffer, segment.byteOffset, segment.byteLength)
  const out: Read[] = []
  for (let link = first; link.bytes > 0;) {
    const word = (at: number): number => view.getInt32(link.from + at, true)
    const [from, bytes, to, count, runs, zeros] = [0, 4, 8, 12, 16, 20].map(word) as [
      number,
      number,
      number,
      number,
      number,
      number,
    ]
    const ops: number[] = []
    const inner: Read[] = []
    let at = 24 + 4 * count
    for (let i = 0; i < count; i++) {
      assert.is(word(24 + 4 * i), link.to + at, 'records lie one behind the other')
      const op = word(at)
      ops.push(op)
      if (op !== OP_PARTS) {
        // The next record begins where the table says.
        at = i + 1 < count ? word(24 + 4 * (i + 1)) - link.to : at
        continue
      }
      const { fields, size } = LAYOUT.PartsRecord as { fields: readonly string[]; size: number }
      const field = (name: string): number => word(at + 4 * fields.indexOf(name))
      inner.push(...chainOf(segment, { from: field('from'), bytes: field('bytes'), to: field('to') }))
      at += size
    }
    let copied = 0
    let end = link.to + link.bytes
    for (let k = 0; k < runs; k++) {
      const entry = link.bytes - 8 * (runs - k)
      const [address, length] = [word(entry), word(entry + 4)]
      assert.ok(address >= end && length > 0, 'runs go upwards')
      end = address + length
      copied += length
    }
    const region = zeros || copied
    assert.ok(end <= link.to + link.bytes + region, 'runs lie in the region')
    assert.ok(copied < region || zeros === 0, 'nothing is cleared that is copied whole')
    assert.is((link.to + link.bytes) % (region ? 16 : 4), 0)
    out.push({ ...link, place: link.bytes + region, size: link.bytes + copied, ops }, ...inner)
    link = { from, bytes, to }
  }
  return out
}

const headAt = ({ image }: Program, at: number): Link => {
  const { address, bytes } = image[0]!
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const word = (k: number): number => view.getInt32(at - address + k, true)
  return { from: word(0), bytes: word(4), to: word(8) }
}

test('slices: the segment is read once from end to end, into the memory that is its unit’s', () => {
  let parts = 0
  for (const graph of [...graphs(), network(900, 6), network(901, 7)]) {
    const least = compileFlash(graph, { variant: 'scalar', base: 4096 })
    const total = least.arenaAddress + least.arenaBytes + least.slackBytes
    for (const ram of [undefined, total, Math.floor(1.2 * total), 2 * total]) {
      const p = compileFlash(graph, { variant: 'scalar', base: 4096, ram })
      assert.ok(ram === undefined || p.arenaAddress + p.arenaBytes + p.slackBytes <= ram)
      const { bytes, slices, largest, units, read } = p.flash!
      const all = chainOf(bytes, headAt(p, 4096))
      const resetting = p.header.resetTable ? chainOf(bytes, headAt(p, p.header.resetTable)) : []
      const every = [...all, ...resetting]
      assert.is(every.length, slices)
      assert.is(Math.max(0, ...every.map((s) => s.place)), largest)
      let end = 0
      for (const s of [...every].sort((a, b) => a.from - b.from)) {
        assert.is(s.from, end, 'one behind the other')
        end += s.size
      }
      assert.is(end, bytes.length)
      assert.is(
        all.length,
        units.reduce((n, u) => n + u.slices, 0),
      )
      assert.is(
        all.reduce((n, s) => n + s.size, 0),
        units.reduce((n, u) => n + u.read - u.again, 0),
      )
      assert.is(
        units.reduce((n, u) => n + u.read, 0),
        read,
      )
      // A slice of a unit lies in the arena, where the report says that the unit's weights are.
      const rooms = p.arena.filter((b) => b.name.startsWith('weights of op'))
      let at = 0
      units.forEach((u, i) => {
        const own = all.slice(at, (at += u.slices))
        assert.is(Math.max(0, ...own.map((s) => s.place)), u.largest)
        const { offset, bytes: room } = rooms[i]!
        for (const s of own) {
          assert.ok(s.to >= p.arenaAddress + offset)
          assert.ok(s.to + s.place <= p.arenaAddress + offset + room, `unit ${i} of ${units.length}`)
        }
      })
      parts += all.filter((s) => s.ops.includes(OP_PARTS)).length
      const needs = [...p.arena.map((b) => align16(b.offset + b.bytes)), ...resetting.map((s) => align16(s.place))]
      assert.ok(p.arenaBytes >= Math.max(0, ...needs) && p.arenaBytes <= Math.max(0, ...needs) + 16)
      for (const s of resetting) assert.is(s.to, p.arenaAddress)
    }
  }
  assert.ok(parts > 5, `${parts} groups in parts`)
})

test('slices: no more members of a group come in parts than its memory asks for, the largest first', () => {
  let some = 0
  for (let seed = 0; seed < 16; seed++) {
    const graph = network(920 + seed, 4 + (seed % 4))
    const smallest = compileFlash(graph, { variant: 'scalar', base: 4096 })
    const total = smallest.arenaAddress + smallest.arenaBytes + smallest.slackBytes
    for (const ram of [undefined, ...[1.1, 1.6].map((times) => Math.floor(times * total))]) {
      const p = compileFlash(graph, { variant: 'scalar', base: 4096, ram })
      const l = lowered(graph, p.plan, 'scalar')
      const rooms = p.arena.filter((b) => b.name.startsWith('weights of op'))
      const all = chainOf(p.flash!.bytes, headAt(p, 4096))
      let at = 0
      let step = 0
      p.flash!.units.forEach((u, i) => {
        const own = all.slice(at, (at += u.slices))
        const [head] = own
        const members = p.entries.filter((e) => e.kernel !== 'group' && e.group === i).length
        const steps = l.steps.slice(step, (step += Math.max(1, members)))
        assert.is(steps[0]!.opIndex, u.firstOp)
        const inParts = head!.ops.filter((op) => op === OP_PARTS).length
        if (!head!.ops.includes(OP_PARTS)) return
        const room = rooms[i]!.bytes
        const prologue = steps.flatMap((s) => s.prologue ?? [])
        assert.ok(sliceNeed(steps, true).most > room || sliceNeed(steps).most > room, 'all of it would not fit')
        const large = partable(steps)
        const fits = (count: number): boolean => {
          const chosen = new Set(large.slice(0, count))
          const left = room - headBytes(prologue, steps, chosen)
          return (
            left >= 0 &&
            [...chosen].every((s) =>
              divides(s) ? blocksWithin(s, left) > 0 : sliceBytes([s.record], totalBytes(constantsOf([s]))) <= left,
            )
          )
        }
        let least = 1
        while (least < large.length && !fits(least)) least++
        assert.is(inParts, least, `network ${seed}, unit ${i}`)
        some += Number(least < large.length)
      })
    }
  }
  assert.ok(some > 0, 'a group that keeps some of its large members')
})

test('slices: constants of half a kilobyte are not brought in by parts, a byte more is', () => {
  const member = (bytes: number): Step => ({
    ...unitOf({ record: 'ConvRecord', rows: 4, blocks: 0, together: 1, macs: 1 }).steps[0]!,
    reads: [{ name: 'weights', bytes, constant: new Uint8Array(bytes), address: 0, first: 0, last: 0 }],
  })
  const members = [512, 513, 16, 2000, 496, 528].map(member)
  assert.equal(
    partable(members).map((s) => s.reads[0]!.bytes),
    [2000, 513, 528],
  )
  // In parts of channels from a kilobyte on, if there are any to divide.
  const divided = (bytes: number, blocks: number): boolean =>
    divides({ ...member(bytes), split: { blocks, constants: [], part: () => ({}) } })
  assert.equal(
    [divided(1024, 2), divided(1025, 2), divided(1025, 1), divides(member(4000))],
    [false, true, false, false],
  )
})

test('slices: with a plan and a limit that plan or none', () => {
  const graph = network(930, 6)
  const takes = (p: Program): number => p.arenaAddress + p.arenaBytes + p.slackBytes
  const of = (plan: 'speed' | 'size' | undefined, ram?: number): Program =>
    compileFlash(graph, { variant: 'scalar', base: 4096, plan, ram })
  const small = takes(of('size'))
  assert.is(of(undefined).plan, 'size')
  assert.is(of('speed').plan, 'speed')
  for (const ram of [small, 2 * small, 20 * small]) {
    assert.is(of('size', ram).plan, 'size')
    assert.ok(takes(of('size', ram)) <= ram)
  }
  assert.is(of('speed', 20 * small).plan, 'speed')
  assert.is(of(undefined, 20 * small).plan, 'speed')
  assert.is(of(undefined, small).plan === 'size' || takes(of('speed', small)) <= small, true)
  for (const plan of ['size', undefined] as const) {
    const error = refusal(() => of(plan, small - 16))
    assert.is(error.code, 'plan/memory')
    assert.match(String(error.got), new RegExp(`^${small} bytes`))
  }
})

test('slices: a unit whose result lies on its input counts its own slice, larger for that, less what is shared', () => {
  let dearer = 0
  for (let seed = 0; seed < 30; seed++) {
    const l = lowered(network(940 + seed, 3 + (seed % 4)), 'size', seed % 2 ? 'scalar' : 'simd')
    const { steps } = l
    const options = { inputs: l.inputs.map((p) => p.buffer), outputs: l.outputs.map((p) => p.buffer) }
    wholeValues(steps)
    const live = new Liveness(steps, options.inputs, options.outputs)
    const units = new Bands(steps, { ...options, threads: 1, plan: 'size', slices: {} }).units(0.5)
    let at = 0
    for (const u of units) {
      const i = at
      at += u.steps.length
      if (u.steps.length > 1 || !u.overlay) continue
      const { from, to, margin } = u.overlay
      const [a, b] = [live.spans.get(from)!, live.spans.get(to)!]
      const shared = align16(a.bytes) + align16(b.bytes) - align16(Math.max(b.bytes, margin + a.bytes))
      const need = align16(sliceNeed(u.steps, true).least)
      assert.is(u.bytes, live.live(i, i) + live.scratch[i]! + need - shared, `network ${seed}, step ${i}`)
      dearer += Number(need > align16(sliceNeed(u.steps).least))
    }
  }
  assert.ok(dearer > 0, `${dearer} whose slice is larger for it`)
})

test('arranged in slices: each has what its unit needs at least, and grows as far as that is of use', () => {
  let grown = 0
  for (const graph of graphs()) {
    for (const budget of [undefined, 20_000, 100_000]) {
      const { units, live, placement } = arrange(lowered(graph, 'size', 'scalar'), { plan: 'size', slices: { budget } })
      const end = Math.max(placement.peak, budget ?? 0)
      units.forEach((u, i) => {
        const slice = u.slice!
        const { least, most } = sliceNeed(u.steps, u.overlay !== undefined)
        assert.is(slice.bytes, least)
        const useful = most + align16(most >> 4)
        assert.ok(slice.room! >= least && slice.room! <= Math.max(least, useful))
        const at = (b: Buffer): number => placement.offsets[live.indexOf(b)]!
        // Between its neighbours there is no more room for it, unless it has all that it can use.
        const others = live.filter((b) => b !== slice && b.first <= i && b.last >= i)
        for (const b of others) {
          const clear = at(b) >= at(slice) + slice.room! || align16(at(b) + (b.room ?? b.bytes)) <= at(slice)
          assert.ok(clear || b.bytes === 0, `${b.name} and ${slice.name}`)
        }
        grown += Number(slice.room! > least)
        if (slice.room! >= useful) return
        const above = Math.min(end, ...others.map(at).filter((o) => o >= at(slice) + slice.room!))
        assert.ok(above - (at(slice) + slice.room!) < 16 || slice.room === least, `${slice.name} could grow`)
      })
    }
  }
  assert.ok(grown > 5, `${grown} grown`)
})

// Stored programs -------------------------------------------------------------

test('stored programs: a constant is not made by copying far more than it has', () => {
  // Sums over the weights of 16 rows, 64 bytes, from 16 · k.
  const folds = (k: number): number => {
    const b = new GraphBuilder(1)
    const y = b.tensor([1, 16], 'int8', 0.5, 3)
    b.op('FULLY_CONNECTED', [b.input([1, k]), b.weights([16, k]), b.bias(16, 1)], [y], {
      activation: 'NONE',
      keepNumDims: false,
    })
    const { programs } = withPrograms(b.done(y))
    const { steps } = programs!.find((p) => p.for === 'simd x86')!
    assert.is(steps.filter((s) => 'call' in s && s.call === 'pack_rows4').length, 16)
    return steps.filter((s) => 'call' in s && s.call === 'fold_rows').length
  }
  assert.equal([folds(16_384), folds(16_368)], [0, 16])
})

test.run()
