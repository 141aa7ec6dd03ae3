/**
 * The planner's parts against their definitions, worked out the slow way: who is alive when, which cut is best, where
 * buffers lie, what each thread does; and whole plans against the same ops run one at a time.
 */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { arrayType } from '../src/engine/engine.ts'
import { readModel } from '../src/formats/index.ts'
import { targetName } from '../src/formats/programs.ts'
import { LAYOUT, OP_BARRIER, OP_GROUP } from '../src/generated/layout.ts'
import { dtypeBytes, elements, type DType, type Graph, type Op } from '../src/graph/graph.ts'
import { loadGraph } from '../src/engine/load-graph.ts'
import type { Lowered } from '../src/lower/index.ts'
import type { Buffer, Step, Value } from '../src/lower/program.ts'
import { liveMaximum, type Overlay, planArena, type Request } from '../src/plan/arena.ts'
import { arrange } from '../src/plan/arrange.ts'
import { Bands, wholeValues } from '../src/plan/bands.ts'
import { Candidates, Group, type Candidate } from '../src/plan/candidates.ts'
import { arenaOf, lowerModel, placeAll, slackOf } from '../src/plan/compile.ts'
import { floatModelOf, quantizeCommand, refuseFloat } from '../src/graph/float-model.ts'
import {
  headOf,
  layOutTables,
  makeTables,
  opcodeOf,
  plainTable,
  writeTables,
  writeFieldsOf,
  writePorts,
  type TableItem,
} from '../src/plan/encode.ts'
import { compileFlash, runsOf } from '../src/plan/flash.ts'
import { Liveness } from '../src/plan/liveness.ts'
import { withPrograms } from '../src/plan/record.ts'
import { packGraph } from '../src/pack/pack.ts'
import { loadPackedModule } from '../src/engine/packed-module.ts'
import { ringRows, shareStart } from '../src/plan/schedule.ts'
import { shareUnits } from '../src/plan/shares.ts'
import {
  blocksWithin,
  constantsOf,
  divides,
  headBytes,
  partable,
  partBytes,
  sliceBytes,
  sliceNeed,
  totalBytes,
} from '../src/plan/slices.ts'
import type { Unit } from '../src/plan/unit.ts'
import type { Kernels, TypedArray, Variant } from '../src/graph/types.ts'
import { opCasesOf } from './op-cases.ts'
import { align16, graphs, lowered, network } from './plan-networks.ts'
import { GraphBuilder } from './small-models.ts'
import { equalBytes, refusal, rng, root } from './util.ts'

const test = suite('plan parts')

// Arena -----------------------------------------------------------------------

/** The smallest peak of all orders, each buffer as low as it can lie: an optimal placement is one of them. */
function smallestPeak(requests: readonly Request[]): number {
  const sizes = requests.map((q) => align16(q.bytes))
  let best = Infinity
  const offsets: number[] = []
  const placed: number[] = []
  const go = (peak: number): void => {
    if (peak >= best) return
    if (placed.length === requests.length) {
      best = peak
      return
    }
    for (let i = 0; i < requests.length; i++) {
      if (placed.includes(i)) continue
      const near = placed.filter(
        (k) => requests[k]!.first <= requests[i]!.last && requests[i]!.first <= requests[k]!.last,
      )
      const clear = (at: number): boolean =>
        near.every((k) => at + sizes[i]! <= offsets[k]! || at >= offsets[k]! + sizes[k]!)
      const at = [0, ...near.map((k) => offsets[k]! + sizes[k]!)].filter(clear).sort((a, b) => a - b)[0]!
      offsets[i] = at
      placed.push(i)
      go(Math.max(peak, at + sizes[i]!))
      placed.pop()
    }
  }
  go(0)
  return best
}

test('arena: few buffers are placed as well as any order of them can be', () => {
  const r = rng(1)
  let worse = 0
  const count = 250
  for (let n = 0; n < count; n++) {
    const requests = Array.from({ length: 6 }, (): Request => {
      const first = r.int(8)
      return { bytes: 1 + r.int(300), first, last: first + r.int(5) }
    })
    const { offsets, peak } = planArena(requests)
    const best = smallestPeak(requests)
    assert.ok(peak >= best && peak <= 1.2 * best, `${peak} bytes where ${best} do`)
    worse += Number(peak > best)
    assert.is(peak, Math.max(...offsets.map((o, i) => o + align16(requests[i]!.bytes))))
    // A bound that is known to be reachable changes nothing but when the search ends.
    assert.ok(planArena(requests, [], best).peak <= Math.max(best, peak))
  }
  assert.ok(worse <= count / 60, `${worse} of ${count} could be smaller`)
  assert.equal(planArena([]), { offsets: [], peak: 0 })
  assert.equal(planArena([{ bytes: 0, first: 0, last: 3 }]), { offsets: [0], peak: 0 })
})

test('arena: a bound ends the search at the first placement that keeps it', () => {
  // In the order of their last steps these need more than they have to.
  const r = rng(2)
  let gained = 0
  for (let n = 0; n < 200; n++) {
    const requests = Array.from({ length: 9 }, (): Request => {
      const first = r.int(9)
      return { bytes: 1 + r.int(400), first, last: first + r.int(6) }
    })
    const loose = planArena(requests, [], Infinity).peak
    const tight = planArena(requests).peak
    assert.ok(loose >= tight)
    gained += Number(loose > tight)
    // Any bound between the two is kept.
    assert.ok(planArena(requests, [], loose).peak <= loose)
    if (loose > tight + 16) assert.ok(planArena(requests, [], tight + 16).peak <= tight + 16)
  }
  assert.ok(gained > 20, `the search gained in ${gained} cases`)
})

test('arena: a chain in place takes its largest buffer and what margins ask for', () => {
  for (const margin of [0, 16, 40, 100]) {
    for (const count of [2, 3, 7]) {
      const requests = Array.from({ length: count }, (_, i): Request => ({ bytes: 320, first: i, last: i + 1 }))
      const overlays = requests.slice(1).map((_, i): Overlay => ({ from: i, to: i + 1, margin }))
      const { peak, offsets } = planArena(requests, overlays)
      const inPlace = 320 + (count - 1) * align16(margin)
      assert.is(peak, Math.min(inPlace, 640), `${count} buffers, margin ${margin}`)
      if (inPlace < 640) {
        assert.equal(
          offsets,
          requests.map((_, i) => (count - 1 - i) * align16(margin)),
        )
      }
    }
  }
  // Where the two are not alive together an overlay is nothing.
  const apart = [
    { bytes: 32, first: 0, last: 1 },
    { bytes: 32, first: 2, last: 3 },
  ]
  assert.is(planArena(apart, [{ from: 0, to: 1, margin: 16 }]).peak, 32)
})

/** What comes after neighbours that stay, the peak above them and where each is put. */
const GAPS: [string, Request[], number, number[]][] = [
  [
    'two gaps beside each other are one',
    [
      { bytes: 160, first: 1, last: 1 },
      { bytes: 160, first: 1, last: 2 },
      { bytes: 320, first: 3, last: 3 },
    ],
    320,
    [0, 160, 0],
  ],
  [
    'whichever is free first',
    [
      { bytes: 160, first: 1, last: 2 },
      { bytes: 160, first: 1, last: 1 },
      { bytes: 320, first: 3, last: 3 },
    ],
    320,
    [0, 160, 0],
  ],
  [
    'the one between two gaps joins both',
    [
      { bytes: 160, first: 1, last: 1 },
      { bytes: 160, first: 1, last: 3 },
      { bytes: 160, first: 1, last: 2 },
      { bytes: 480, first: 4, last: 4 },
    ],
    480,
    [0, 160, 320, 0],
  ],
  [
    'a gap is split, its rest is used',
    [
      { bytes: 320, first: 1, last: 1 },
      { bytes: 160, first: 2, last: 3 },
      { bytes: 160, first: 2, last: 3 },
    ],
    320,
    [0, 0, 160],
  ],
  [
    'a gap of the same size is gone',
    [
      { bytes: 160, first: 1, last: 1 },
      { bytes: 160, first: 2, last: 3 },
      { bytes: 16, first: 2, last: 3 },
    ],
    176,
    [0, 0, 160],
  ],
  [
    'the lowest that is large enough, not the first',
    [
      { bytes: 32, first: 1, last: 1 },
      { bytes: 16, first: 1, last: 9 },
      { bytes: 64, first: 1, last: 1 },
      { bytes: 16, first: 1, last: 9 },
      { bytes: 64, first: 2, last: 2 },
      { bytes: 32, first: 2, last: 2 },
    ],
    128,
    [0, 32, 48, 112, 48, 0],
  ],
  [
    'a gap at the end grows',
    [
      { bytes: 160, first: 1, last: 1 },
      { bytes: 320, first: 2, last: 2 },
    ],
    320,
    [0, 0],
  ],
  [
    'one that is not at the end does not',
    [
      { bytes: 160, first: 1, last: 1 },
      { bytes: 16, first: 1, last: 9 },
      { bytes: 320, first: 2, last: 2 },
    ],
    496,
    [0, 160, 176],
  ],
  [
    'what lives in the same step is not free',
    [
      { bytes: 160, first: 1, last: 2 },
      { bytes: 160, first: 2, last: 2 },
    ],
    320,
    [0, 160],
  ],
]

test('arena: with thousands alive at a time gaps are joined, split and grown', () => {
  // 3000 neighbours that stay force the simple way; what follows them tells how gaps are used.
  const stay = Array.from({ length: 3000 }, (): Request => ({ bytes: 16, first: 0, last: 100 }))
  const base = 3000 * 16
  for (const [what, more, peak, offsets] of GAPS) {
    const placed = planArena([...stay, ...more])
    assert.is(placed.peak, base + peak, what)
    assert.equal(
      placed.offsets.slice(3000).map((o) => o - base),
      offsets,
      what,
    )
  }
})

test('the largest sum alive, and what reports are told of the arena', () => {
  const requests = [
    { bytes: 10, first: 0, last: 1 },
    { bytes: 20, first: 1, last: 2 },
    { bytes: 40, first: 3, last: 5 },
    { bytes: 0, first: 0, last: 9 },
  ]
  assert.is(liveMaximum(requests), 48)
  assert.is(liveMaximum(requests.slice(0, 2)), 48)
  assert.is(liveMaximum([]), 0)
  const unit = (...ops: number[]): Unit => ({ steps: ops.map((opIndex) => ({ opIndex })) }) as unknown as Unit
  const buffer = (first: number, last: number, bytes = 5, room?: number): Buffer => ({
    name: `${first}`,
    bytes,
    address: 0,
    first,
    last,
    room,
  })
  const live = [buffer(-1, 0), buffer(0, 1, 5, 9), buffer(1, Infinity), buffer(2, 2), buffer(0, 0, 0)]
  assert.equal(arenaOf([unit(3, 4), unit(7, 8)], live, [0, 16, 32, 48, 64]), [
    { name: '-1', offset: 0, bytes: 5, firstOp: -1, lastOp: 4 },
    { name: '0', offset: 16, bytes: 9, firstOp: 3, lastOp: 8 },
    { name: '1', offset: 32, bytes: 5, firstOp: 7, lastOp: 8 },
    { name: '2', offset: 48, bytes: 5, firstOp: 8, lastOp: 8 },
  ])
})

// Networks --------------------------------------------------------------------

const sizeOf = (b: Buffer): number => (b.measure ? b.measure() : b.bytes)

/** Steps first to last that need each arena buffer; an output's last is behind them all. */
function lifetimes({ steps, inputs, outputs }: Lowered): Map<Buffer, { first: number; last: number }> {
  const out = new Map<Buffer, { first: number; last: number }>()
  const uses = (b: Buffer): number[] =>
    steps.flatMap((s, i) =>
      [s, ...(s.prologue ?? [])].some((p, k) => p.writes.includes(b) || (k === 0 && p.reads.includes(b))) ? [i] : [],
    )
  const all = new Set(steps.flatMap((s) => [...s.reads, ...s.writes, ...(s.prologue ?? []).flatMap((p) => p.writes)]))
  for (const { buffer } of [...inputs, ...outputs]) all.add(buffer)
  for (const b of all) {
    if (b.constant) continue
    const at = uses(b)
    const isInput = inputs.some((p) => p.buffer === b)
    const isOutput = outputs.some((p) => p.buffer === b)
    out.set(b, {
      first: isInput ? 0 : (at[0] ?? 0),
      last: isOutput ? steps.length : (at.at(-1) ?? 0),
    })
  }
  return out
}

test('liveness: bytes of any stretch of steps are those of the buffers that some step of it needs', () => {
  let joined = 0
  for (const graph of graphs()) {
    const l = lowered(graph)
    const { steps } = l
    const live = new Liveness(
      steps,
      l.inputs.map((p) => p.buffer),
      l.outputs.map((p) => p.buffer),
    )
    const spans = lifetimes(l)
    assert.is(live.spans.size, spans.size)
    for (const [b, { first, last }] of spans) {
      const span = live.spans.get(b)!
      assert.equal([span.first, span.last, span.bytes, span.buffer], [first, last, sizeOf(b), b], b.name)
      const given = l.inputs.some((p) => p.buffer === b) && !l.outputs.some((p) => p.buffer === b)
      assert.is(span.input, given)
    }
    const whole = [...spans].filter(([b]) => !b.transient)
    for (let i = 0; i < steps.length; i++) {
      for (let k = i; k < steps.length; k++) {
        const want = whole.reduce((sum, [b, s]) => sum + (s.first <= k && s.last >= i ? align16(sizeOf(b)) : 0), 0)
        assert.is(live.live(i, k), want, `steps ${i} to ${k}`)
      }
      const scratch = [...spans].filter(([b, s]) => b.transient && s.first <= i && s.last >= i)
      assert.is(live.scratch[i], Math.max(0, ...scratch.map(([b]) => align16(sizeOf(b)))))
      // Joined to the next: that streams what this one streams, and nobody else reads it.
      const next = steps[i + 1]
      const to = steps[i]!.stream?.to
      const readers = steps.filter((s) => to && s.reads.includes(to.buffer))
      const joins =
        next !== undefined &&
        to !== undefined &&
        next.stream?.from === to &&
        !to.alias &&
        readers.length === 1 &&
        steps[i]!.rows.rows === next.rows.inRows
      assert.is(live.joins[i], joins, `step ${i}`)
      joined += Number(joins)
    }
    const inner = new Set(steps.flatMap((s, i) => (live.joins[i] ? [s.stream!.to.buffer] : [])))
    const atLeast = Math.max(0, ...whole.filter(([b]) => !inner.has(b)).map(([b]) => align16(sizeOf(b))))
    assert.is(live.atLeast, atLeast)
  }
  assert.ok(joined > 30)
})

/** The cost model, as candidates.ts describes it: nanoseconds against running the steps whole. */
function nsOf(steps: readonly Step[], bandRows: number): number {
  const bands = Math.ceil(steps.at(-1)!.rows.rows / bandRows)
  let ns = bands * steps.length * 40
  steps.forEach((s, i) => {
    const weights = s.reads.filter((b) => b.constant).reduce((a, b) => a + b.bytes, 0)
    ns += (bands - 1) * weights * 0.01
    const { rows: blockRows, columns } = s.block ?? { rows: 1, columns: 1 }
    const h = Math.max(1, Math.round(s.rows.rows / bands))
    const w = s.stream?.to.w ?? 1
    const tiles = Math.ceil((Math.ceil(h / blockRows) * Math.ceil(w / columns)) / 4)
    ns += (s.macs ?? 0) * 0.035 * ((tiles * 4 * blockRows * columns) / (h * w) - 1)
    // Tensors inside that no longer leave the second cache.
    if (i < steps.length - 1) ns -= Math.max(0, s.stream!.to.h * s.stream!.to.rowStride - 262144) * 0.05
  })
  return ns
}
const HEIGHTS = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32]

/** Every unit that steps may be part of, by its first step, worked out without leaving any out. */
function everyUnit(l: Lowered, largestMargin: number, threads = 1): Candidate[][] {
  const { steps } = l
  const options = { inputs: l.inputs.map((p) => p.buffer), outputs: l.outputs.map((p) => p.buffer), threads }
  const candidates = new Candidates(steps, options)
  const { live } = candidates
  const singles = candidates.singles(largestMargin)
  return singles.map((single, first) => {
    const out = [single]
    for (let last = first + 1; live.joins[last - 1] && last < first + 8; last++) {
      const inside = steps.slice(first, last)
      const inner = inside.reduce((sum, s) => sum + align16(sizeOf(s.stream!.to.buffer)), 0)
      const scratch = Math.max(...live.scratch.subarray(first, last + 1))
      const whole = live.live(first, last) + scratch
      const saved = inside.reduce((a, s) => a + Math.max(0, s.stream!.to.h * s.stream!.to.rowStride - 262144) * 0.05, 0)
      const group = new Group(candidates, first, last, { saved, whole, inner, largestMargin })
      for (let k = 0; k < HEIGHTS.length && HEIGHTS[k]! < steps[last]!.rows.rows; k++) {
        const candidate = group.candidate(k)
        const members = steps.slice(first, last + 1)
        assert.is(candidate.bandRows, HEIGHTS[k])
        assert.ok(Math.abs(candidate.ns - nsOf(members, HEIGHTS[k]!)) < 1e-6, `${candidate.ns} ns`)
        assert.is(group.ns(k), candidate.ns)
        const rings = ringRows(members, HEIGHTS[k]!, threads).reduce(
          (sum, rows, i) =>
            sum +
            align16(
              rows * inside[i]!.stream!.to.rowStride + inside[i]!.stream!.to.frame.left * inside[i]!.stream!.to.c,
            ),
          0,
        )
        const overlaid = overlaidBytes(l, candidate, live)
        assert.is(candidate.bytes, whole - inner + rings - overlaid, `steps ${first} to ${last}, ${HEIGHTS[k]} rows`)
        out.push(candidate)
      }
      assert.is(group.heights, HEIGHTS.filter((h) => h < steps[last]!.rows.rows).length)
      assert.ok(group.leastBytes() <= Math.min(Infinity, ...out.filter((c) => c.last === last).map((c) => c.bytes)))
    }
    return out
  })
}

/** Bytes that a result saves on what it lies over. */
function overlaidBytes(l: Lowered, { overlay, last }: Candidate, live: Liveness): number {
  if (!overlay) return 0
  const { from, to, margin } = overlay
  assert.is(to, l.steps[last]!.stream!.to.buffer)
  const [a, b] = [live.spans.get(from)!, live.spans.get(to)!]
  assert.ok(a.last <= last, 'what is read later is not overwritten')
  return align16(a.bytes) + align16(b.bytes) - align16(Math.max(b.bytes, margin + a.bytes))
}

interface CutOf {
  ns: number
  peak: number
}

/** All cuts into units: time and the largest unit of each, without those that another beats in both. */
function everyCut(units: readonly (readonly Candidate[])[]): CutOf[] {
  const best: CutOf[][] = new Array<CutOf[]>(units.length + 1)
  best[units.length] = [{ ns: 0, peak: 0 }]
  for (let i = units.length - 1; i >= 0; i--) {
    const all = units[i]!.flatMap((u) =>
      best[u.last + 1]!.map((rest) => ({ ns: u.ns + rest.ns, peak: Math.max(u.bytes, rest.peak) })),
    ).sort((a, b) => a.peak - b.peak || a.ns - b.ns)
    const kept: CutOf[] = []
    for (const c of all) if (kept.length === 0 || c.ns < kept.at(-1)!.ns - 1e-9) kept.push(c)
    best[i] = kept
  }
  return best[0]!
}

test('bands: of all cuts the smallest within the time, the fastest within a budget', () => {
  let banded = 0
  let spared = 0
  for (let seed = 0; seed < 26; seed++) {
    const l = lowered(network(100 + seed, 2 + (seed % 7)), seed % 2 ? 'speed' : 'size')
    const { steps } = l
    const options = { inputs: l.inputs.map((p) => p.buffer), outputs: l.outputs.map((p) => p.buffer), threads: 1 }
    for (const largestMargin of [-1, 0.125, 0.5]) {
      wholeValues(steps)
      const cuts = everyCut(everyUnit(l, largestMargin))
      const fastest = Math.min(...cuts.map((c) => c.ns))
      const computeNs = steps.reduce((a, s) => a + (s.macs ?? 0) * 0.035 + 200, 0)
      const peakWithin = (ns: number): number => Math.min(...cuts.filter((c) => c.ns <= ns + 1e-6).map((c) => c.peak))
      const cutOf = (plan: 'speed' | 'size', budget?: number): { ns: number; peak: number; units: Unit[] } => {
        const bands = new Bands(steps, { ...options, plan })
        const units = bands.units(largestMargin)
        void budget
        const ns = units.reduce((a, u) => a + (u.steps.length > 1 ? nsOf(u.steps, u.bandRows) : 0), 0)
        assert.equal(
          units.flatMap((u) => u.steps),
          steps,
          'every step once, in order',
        )
        return { ns, peak: Math.max(...units.map((u) => u.bytes)), units }
      }
      wholeValues(steps)
      const small = cutOf('size')
      assert.is(small.peak, peakWithin(Infinity), `seed ${seed}: the smallest`)
      assert.ok(
        small.ns <= Math.min(...cuts.filter((c) => c.peak <= small.peak).map((c) => c.ns)) + 1e-6,
        'and quickest',
      )
      const speed = cutOf('speed')
      assert.is(speed.peak, peakWithin(fastest + 0.03 * computeNs), `seed ${seed}: the smallest within 3 %`)
      assert.ok(speed.ns <= fastest + 0.03 * computeNs + 1e-6)
      banded += Number(speed.units.some((u) => u.steps.length > 1))
      spared += Number(small.peak < speed.peak)
      for (const u of small.units) {
        const rings = u.steps.length > 1 ? ringRows(u.steps, u.bandRows) : []
        void rings
        assert.is(
          u.prologue.length,
          u.steps.reduce((n, s) => n + (s.prologue?.length ?? 0), 0),
        )
      }
    }
  }
  assert.ok(banded > 20 && spared > 5, `${banded} with bands, ${spared} where memory costs more time`)
})

test('bands in slices: what the records and constants of a unit take counts, and a budget is kept by the fastest', () => {
  let kept = 0
  for (let seed = 0; seed < 10; seed++) {
    const l = lowered(network(300 + seed, 3 + (seed % 4)), 'size')
    const { steps } = l
    const options = { inputs: l.inputs.map((p) => p.buffer), outputs: l.outputs.map((p) => p.buffer), threads: 1 }
    const of = (budget: number | undefined, plan: 'speed' | 'size'): Unit[] =>
      new Bands(steps, { ...options, plan, slices: { budget } }).units(0.5)
    const peakOf = (units: readonly Unit[]): number => Math.max(...units.map((u) => u.bytes))
    const nsOfAll = (units: readonly Unit[]): number =>
      units.reduce((a, u) => a + (u.steps.length > 1 ? nsOf(u.steps, u.bandRows) : 0), 0)
    const least = of(undefined, 'size')
    const free = of(Infinity, 'speed')
    const live = new Liveness(steps, options.inputs, options.outputs)
    for (const [i, u] of least.entries()) {
      if (u.steps.length > 1 || u.overlay) continue
      const at = least.slice(0, i).reduce((n, v) => n + v.steps.length, 0)
      const slice = align16(sliceNeed(u.steps).least)
      assert.is(u.bytes, live.live(at, at) + live.scratch[at]! + slice)
    }
    for (const share of [0, 0.3, 0.7, 1]) {
      const budget = Math.round(peakOf(least) + share * (peakOf(free) - peakOf(least)))
      const units = of(budget, 'speed')
      assert.ok(peakOf(units) <= budget, `${peakOf(units)} of ${budget}`)
      assert.ok(nsOfAll(units) <= nsOfAll(least) + 1e-6)
      kept++
    }
    // More memory never costs time.
    const times = [0, 0.5, 1, 2].map((f) => nsOfAll(of(peakOf(least) * (1 + f), 'speed')))
    times.slice(1).forEach((ns, i) => assert.ok(ns <= times[i]! + 1e-6))
    // Where nothing keeps within the budget the smallest is taken.
    assert.is(peakOf(of(peakOf(least) - 16, 'size')), peakOf(least))
  }
  assert.is(kept, 40)
})

// Memory ----------------------------------------------------------------------

interface Placed {
  b: Buffer
  from: number
  to: number
}

test('arranged: no two buffers of a unit meet, but for a result behind what it is computed from; scratch gets the gaps', () => {
  let overlaid = 0
  let roomy = 0
  for (const graph of graphs()) {
    for (const [plan, slices, threads] of [
      ['speed', undefined, 1],
      ['size', undefined, 1],
      ['size', {}, 1],
      ['speed', { budget: 60_000 }, 1],
      ['speed', undefined, 3],
    ] as const) {
      const l = lowered(graph, plan)
      const { units, live, placement, scratch } = arrange(l, { plan, threads, slices })
      const at = (b: Buffer): Placed => {
        const from = placement.offsets[live.indexOf(b)]!
        return { b, from, to: from + (b.room ?? b.bytes) }
      }
      const places = live.map(at)
      for (const p of places) {
        assert.is(p.from % 16, 0)
        assert.ok(p.to <= placement.peak, `${p.b.name} ends at ${p.to} of ${placement.peak}`)
        assert.ok(p.b.room === undefined || (p.b.room >= p.b.bytes && p.b.room <= Math.max(p.b.bytes, p.b.useful ?? 0)))
      }
      const overlays = new Map(units.flatMap((u, i) => (u.overlay ? [[i, u.overlay] as const] : [])))
      places.forEach((x, i) =>
        places.slice(i + 1).forEach((y) => {
          const [first, last] = [Math.max(x.b.first, y.b.first), Math.min(x.b.last, y.b.last)]
          if (first > last || x.from >= y.to || y.from >= x.to) return
          const overlay = first === last ? overlays.get(first) : undefined
          const pair = overlay && [overlay.from, overlay.to].every((b) => b === x.b || b === y.b)
          assert.ok(pair, `${x.b.name} and ${y.b.name} in unit ${first}`)
          const [from, to] = [at(overlay.from), at(overlay.to)]
          assert.ok(from.b.last === first && to.b.first === first, 'overlaid in the one unit that needs both')
          assert.ok(to.from + overlay.margin <= from.from, `${to.b.name} begins too late for ${from.b.name}`)
          overlaid++
        }),
      )
      // Every buffer that a unit touches is there while it runs.
      units.forEach((u, i) => {
        for (const s of [...u.prologue, ...u.steps]) {
          for (const b of [...s.reads, ...s.writes]) {
            if (b.constant) continue
            assert.ok(b.first <= i && b.last >= i, `${b.name} in unit ${i}`)
            const owner = scratch.get(b)
            if (owner) {
              assert.ok(owner.transient && owner.bytes >= b.bytes && owner.first <= i && owner.last >= i)
              assert.is(b.room, owner.room)
              assert.ok(owner.useful! >= b.useful!)
            } else assert.ok(live.includes(b))
          }
        }
      })
      for (const p of l.inputs) assert.is(p.buffer.first, -1)
      for (const p of l.outputs) assert.is(p.buffer.last, Infinity)
      if (threads > 1 || slices) continue
      // A scratch that could use more has the largest gap of its unit.
      for (const b of live) {
        if (!b.transient || b.first !== b.last || b.useful! <= b.bytes) continue
        const others = places
          .filter((p) => p.b !== b && p.b.first <= b.first && p.b.last >= b.first)
          .sort((x, y) => x.from - y.from)
        let largest = 0
        let end = 0
        for (const { from, to } of [...others, { from: placement.peak, to: 0 }]) {
          largest = Math.max(largest, from - end)
          end = Math.max(end, align16(to))
        }
        assert.is(b.room, Math.max(b.bytes, Math.min(largest, b.useful!)), b.name)
        roomy += Number(b.room! > b.bytes)
      }
    }
  }
  assert.ok(overlaid > 20, `${overlaid} overlays`)
  assert.ok(roomy > 0, `${roomy} scratches with more room`)
})

test('arranged: the peak is what the largest unit needs, or near it', () => {
  for (let seed = 0; seed < 12; seed++) {
    for (const plan of ['speed', 'size'] as const) {
      const { units, placement } = arrange(lowered(network(500 + seed, 6), plan), { plan })
      const most = Math.max(...units.map((u) => u.bytes))
      assert.ok(placement.peak <= 1.25 * Math.max(most, 1024), `${placement.peak} for ${most}`)
    }
  }
})

// Threads and records ---------------------------------------------------------

test('op tables: threads share the rows of what is worth it, and meet before and after', () => {
  for (const threads of [1, 2, 3, 4]) {
    let split = 0
    for (const graph of graphs()) {
      const l = lowered(graph)
      const { units } = arrange(l, { plan: 'speed', threads })
      const tables = makeTables(units, threads)
      assert.is(tables.length, threads)
      // Barriers are the same everywhere, their targets count up by the number of threads.
      const barriers = tables.map((t) => t.filter((i) => i.kind === 'barrier'))
      barriers.forEach((list) => {
        assert.equal(list, barriers[0])
        list.forEach((b, i) => {
          assert.is(b.target, (i + 1) * threads)
          assert.is(b.first, i === 0)
        })
      })
      if (threads === 1) assert.is(barriers[0]!.length, 0)
      // What each thread does between two barriers.
      const spans = tables.map((t) => {
        const out: TableItem[][] = [[]]
        for (const item of t) {
          if (item.kind === 'barrier') out.push([])
          else out.at(-1)!.push(item)
        }
        return out
      })
      const unitOf = (i: TableItem): Unit => (i as { unit: Unit }).unit
      const seen = spans[0]!.flatMap((items) => [...new Set(items.map(unitOf))])
      assert.equal(seen, units, 'thread 0 takes part in every unit, in order')
      spans[0]!.forEach((items, k) => {
        const active = spans.filter((s) => s[k]!.length > 0)
        if (active.length < 2) return
        // Several at a time share units; those that one runs alone are the first thread's.
        assert.is(active.length, threads)
        const shared = spans[1]!.length > k ? [...new Set(spans[1]![k]!.map(unitOf))] : []
        split += shared.length
        for (const s of active.slice(1)) assert.equal([...new Set(s[k]!.map(unitOf))], shared, 'the same units for all')
        const first = [...new Set(items.map(unitOf))]
        assert.equal(
          first.filter((u) => shared.includes(u)),
          shared,
          'in the same order',
        )
        for (const { steps } of shared) {
          const rows = steps.at(-1)!.rows.rows
          const shares = active.map((s) => s[k]!.filter((i) => i.kind === 'step' && i.step === steps.at(-1)))
          // All rows once, whole tiles of them, or all rows of all blocks of channels once.
          let next = 0
          const { block, split: divided } = steps.at(-1)!
          const together = steps.length === 1 ? (block?.rows ?? 1) : 1
          shares.forEach((list, t) => {
            const {
              first,
              rows: end,
              part,
            } = list[0] as { first: number; rows: number; part?: readonly [number, number] }
            assert.is(list.length, 1)
            if (part) {
              assert.equal([first, end], [0, rows])
              assert.is(part[0], next)
              assert.ok(part[1] > part[0], 'a part of the channels')
            } else {
              assert.is(first, next)
              assert.ok(end % together === 0 || end === rows, 'whole tiles')
              assert.ok(steps.length === 1 || first === shareStart(rows, t, threads), 'as the rings are made')
            }
            next = part ? part[1] : end
          })
          assert.is(next, 'part' in shares[0]![0]! ? divided!.blocks : rows)
        }
      })
    }
    assert.ok(threads === 1 ? split === 0 : split > 5, `${split} units are split`)
  }
})

test('shares of rows: all of them, equal but for one row', () => {
  for (const [rows, threads] of [
    [10, 3],
    [7, 7],
    [224, 4],
    [5, 2],
  ] as const) {
    const starts = Array.from({ length: threads + 1 }, (_, t) => shareStart(rows, t, threads))
    assert.equal([starts[0], starts.at(-1)], [0, rows])
    starts.slice(1).forEach((s, i) => assert.ok(Math.abs(s - starts[i]! - rows / threads) < 1, 'equal but for one row'))
  }
})

test('a group is a record of its own before its members, and what must run first comes before it', () => {
  for (const graph of graphs()) {
    const l = lowered(graph, 'size')
    const { units } = arrange(l, { plan: 'size' })
    const [table] = makeTables(units, 1)
    let at = 0
    units.forEach((u, index) => {
      for (const step of u.prologue) {
        const item = table![at++]!
        assert.ok(item.kind === 'step' && item.step === step && item.first === 0 && item.rows === step.rows.rows)
        assert.is(opcodeOf(item), step.op)
      }
      if (u.steps.length > 1) {
        const item = table![at++]!
        assert.is(opcodeOf(item), OP_GROUP)
        assert.ok(item.kind === 'group' && item.index === index && item.first === 0)
        assert.is((item as { rows: number }).rows, u.steps.at(-1)!.rows.rows)
        assert.is(item.opIndex, u.steps[0]!.opIndex)
      }
      for (const step of u.steps) {
        const item = table![at++]!
        assert.ok(item.kind === 'step' && item.step === step && item.first === 0 && item.rows === step.rows.rows)
        assert.is((item as { group?: number }).group, u.steps.length > 1 ? index : undefined)
      }
    })
    assert.is(at, table!.length)
    // Tables, then records behind them: 16-byte aligned, none over another.
    const sizes = layOutTables([table!, plainTable(l.steps.slice(0, 1))], 1024)
    assert.equal(sizes.tables, [1024, 1024 + 4 * table!.length])
    let end = align16(1024 + 4 * (table!.length + 1))
    ;[table!, plainTable(l.steps.slice(0, 1))].forEach((t, i) =>
      t.forEach((item, k) => {
        assert.is(sizes.records[i]![k], end)
        const name = item.kind === 'step' ? item.step.record : item.kind === 'group' ? 'GroupRecord' : 'BarrierRecord'
        end += align16(LAYOUT[name].size)
      }),
    )
    assert.is(sizes.end, end)
  }
})

test('further threads have rings and scratch of their own', () => {
  let own = 0
  for (const graph of graphs()) {
    const l = lowered(graph)
    const { units } = arrange(l, { plan: 'speed', threads: 2 })
    const tables = makeTables(units, 2)
    const sizes = layOutTables(tables, 1024)
    const { privateBytes } = sizes
    const shared = new Set(tables[1]!.flatMap((i) => (i.kind === 'step' ? [i.unit] : [])))
    const need = Math.max(
      0,
      ...[...shared].map((u) => {
        const inner = u.steps.slice(0, -1).map((s) => s.stream!.to.buffer)
        const scratch = u.steps.flatMap((s) => [...s.reads, ...s.writes].filter((b) => b.transient))
        return [...new Set([...inner, ...scratch])].reduce((sum, b) => sum + align16(b.useful ?? b.bytes), 0)
      }),
    )
    assert.is(privateBytes, Math.ceil(need / 64) * 64)
    own += Number(need > 0)
    // While the second table is written its buffers lie there, and afterwards where they were.
    l.buffers.forEach((b, i) => (b.address = 1 << (20 + (i % 3))))
    const before = l.buffers.map((b) => b.address)
    const seen = new Set<number>()
    for (const u of shared) {
      for (const s of u.steps) {
        const fields = s.fields
        s.fields = () => {
          for (const b of [...s.reads, ...s.writes]) if (b.transient) seen.add(b.address)
          return fields()
        }
      }
    }
    const view = new DataView(new ArrayBuffer(sizes.end - 1024))
    writeTables(view, 1024, { tables, sizes, barrierCounter: 512, privateAddress: 1 << 24 })
    assert.equal(
      l.buffers.map((b) => b.address),
      before,
    )
    tables.forEach((t, k) =>
      t.forEach((item, i) => {
        const at = view.getUint32(sizes.tables[k]! - 1024 + 4 * i, true)
        assert.is(at, sizes.records[k]![i])
        assert.is(view.getUint32(at - 1024, true), opcodeOf(item))
        if (item.kind !== 'barrier') return
        const where = (name: string): number => at - 1024 + 4 * LAYOUT.BarrierRecord.fields.indexOf(name as never)
        assert.equal([view.getInt32(where('counter'), true), view.getInt32(where('target'), true)], [512, item.target])
        // The calling thread does not wait for ever; what it waits for at first is that the others wake up.
        assert.is(view.getInt32(where('patience'), true), k > 0 ? 0 : item.first ? 2000 : 10_000)
      }),
    )
    const scratch = [...shared].some((u) => u.steps.some((s) => [...s.reads, ...s.writes].some((b) => b.transient)))
    assert.is(
      [...seen].some((a) => a >= 1 << 24),
      scratch,
    )
  }
  assert.ok(own > 0)
})

test('records: every field at its place; what is missing or no number is a fault of ours, named', () => {
  const view = new DataView(new ArrayBuffer(64))
  const head = headOf(OP_BARRIER, 3, { rows: 4, strideH: 2, padTop: 1, windowH: 3, inRows: 9 })
  assert.equal(head, {
    op: OP_BARRIER,
    first: 3,
    rows: 4,
    strideH: 2,
    padTop: 1,
    windowH: 3,
    inRows: 9,
    done: 0,
    need: 0,
  })
  writeFieldsOf(view, 8, 'Slice', { from: 1, bytes: 2, to: 3, count: 4, runs: 5, zeros: 6 })
  LAYOUT.Slice.fields.forEach((field, i) => {
    assert.is(view.getInt32(8 + 4 * i, true), { from: 1, bytes: 2, to: 3, count: 4, runs: 5, zeros: 6 }[field])
  })
  assert.is(view.getInt32(4, true), 0)
  assert.is(view.getInt32(8 + LAYOUT.Slice.size, true), 0)
  for (const [fields, message] of [
    [{ from: 1, bytes: 2, to: 3, count: 4, runs: 5 }, /record field Slice.zeros is undefined/],
    [{ from: 1, bytes: NaN, to: 3, count: 4, runs: 5, zeros: 0 }, /record field Slice.bytes is NaN/],
    [{ from: Infinity, bytes: 1, to: 3, count: 4, runs: 5, zeros: 0 }, /record field Slice.from is Infinity/],
  ] as const) {
    const error = refusal(() => writeFieldsOf(view, 8, 'Slice', fields))
    assert.is(error.code, 'plan/internal')
    assert.match(error.message, message)
  }
  writePorts(view, 16, [
    { address: 0xfffffff0, bytes: 7 },
    { address: 32, bytes: 9 },
  ])
  assert.equal(
    [16, 20, 24, 28].map((i) => view.getUint32(i, true)),
    [0xfffffff0, 7, 32, 9],
  )
})

// Compiling -------------------------------------------------------------------

test('buffers are placed one behind the other; what kernels may read behind them is the most of all steps', () => {
  const buffers = [5, 16, 0, 33].map((bytes): Buffer => ({ name: '', bytes, address: 0, first: 0, last: 0 }))
  assert.is(placeAll(buffers, 64), 64 + 16 + 16 + 0 + 48)
  assert.equal(
    buffers.map((b) => b.address),
    [64, 80, 96, 96],
  )
  const step = (overread?: number): Step => ({ overread }) as unknown as Step
  assert.is(slackOf([]), 128)
  assert.is(slackOf([step(5), step()]), 128)
  assert.is(slackOf([step(129), step(4000), step(300)]), 4000)
})

test('float models are refused by their first float weights, unless anything in them is quantized', () => {
  const float = (weighted: boolean, quantized: boolean, stored: DType = 'float32'): Graph => {
    const b = new GraphBuilder(1)
    const x = b.tensor([1, 4], 'float32')
    b.graph.inputs.push(x)
    const w = b.tensor([3, 4], stored)
    b.graph.tensors[w]!.data = new Uint8Array(12 * dtypeBytes(stored))
    const y = b.tensor([1, 3], 'float32')
    if (quantized) {
      const q = b.tensor([1, 4], 'int8', 0.1, 0)
      b.op('QUANTIZE', [x], [q], {})
    }
    b.op('LOGISTIC', [x], [b.tensor([1, 4], 'float32')], {})
    const wide = stored === 'float16' ? b.tensor([3, 4], 'float32') : w
    if (wide !== w) b.op('DEQUANTIZE', [w], [wide], {})
    if (weighted) b.op('FULLY_CONNECTED', [x, wide, -1], [y], { activation: 'NONE', keepNumDims: false })
    return b.done(y)
  }
  assert.equal(floatModelOf(float(true, false)), { index: 1, weights: 'float32' })
  assert.equal(floatModelOf(float(true, false, 'int8')), { index: 1, weights: 'int8' })
  assert.equal(floatModelOf(float(true, false, 'float16')), { index: 2, weights: 'float16' })
  assert.is(floatModelOf(float(true, true)), undefined)
  assert.is(floatModelOf(float(false, false)), undefined)
  const error = refusal(() => refuseFloat(float(true, false, 'int8'), 'a b/net.tflite'))
  assert.is(error.code, 'lower/float-model')
  assert.is(error.op, 'FULLY_CONNECTED at op 1')
  assert.match(error.message, 'a float model with int8 weights (dynamic range)')
  assert.match(error.message, 'thimble quantize "a b/net.tflite" --calibration PHOTOS -o "a b/net.int8.thimble"')
  const some = float(true, false)
  const unknown: Op = { type: 'UNSUPPORTED', inputs: [], outputs: [], attrs: { name: 'ATAN2' } }
  const both = refusal(() => refuseFloat({ ...some, ops: [...some.ops, unknown] }))
  assert.match(both.message, 'quantize it first: ')
  assert.match(both.message, `have to leave the model before: ATAN2 at op ${some.ops.length}`)
  assert.not.match(refusal(() => refuseFloat(some)).message, 'refused too')
  assert.is(quantizeCommand(), 'thimble quantize MODEL --calibration PHOTOS -o OUT.thimble')
  assert.is(quantizeCommand('https://a.b/net.tflite'), quantizeCommand())
  assert.is(quantizeCommand('web-model/'), 'thimble quantize web-model/ --calibration PHOTOS -o web-model.int8.thimble')
  refuseFloat(float(false, false))
  refuseFloat(float(true, true))
})

test('what cannot run is named: all of it, up to eight kinds, with the tool that put it there', () => {
  const unsupported = (...names: string[]): Graph => {
    const b = new GraphBuilder(1)
    let x = b.input([1, 4])
    for (const name of names) {
      const y = b.tensor([1, 4], 'int8', 0.05, 3)
      b.graph.ops.push({
        type: 'UNSUPPORTED',
        inputs: [x],
        outputs: [y],
        attrs: { name, reason: 'not known' },
      } as never)
      x = y
    }
    return b.done(x)
  }
  const message = (...names: string[]): string => {
    const error = refusal(() => lowerModel(unsupported(...names), { variant: 'simd', plan: 'speed' }))
    assert.is(error.code, 'lower/unsupported-op')
    return error.message
  }
  assert.match(message('FFT'), /cannot run FFT at op 0 \([^)]+\); see OPERATORS.md/)
  assert.match(message('FFT', 'RFFT'), /cannot run FFT at op 0 \(tensor ".*\), RFFT at op 1 \(tensor ".*\);/)
  assert.match(message('FFT', 'RFFT', 'FFT', 'FFT'), /FFT at op 0 \([^)]+\) and 2 more of the kind, at ops 2, 3, RFFT/)
  const nine = message(...Array.from({ length: 9 }, (_, i) => `OP${i}`))
  assert.match(nine, /OP7 at op 7 \([^)]+\) and 1 more kinds \(9 ops in all\);/)
  assert.not.match(nine, /OP8/)
  assert.not.match(message(...Array.from({ length: 8 }, (_, i) => `OP${i}`)), /more/)
  for (const [name, what, hint] of [
    ['CUSTOM edgetpu-custom-op', /compiled for the Edge TPU/, /edgetpu_compiler/],
    ['CUSTOM ethos-u', /Vela/, /went into vela/],
    ['CUSTOM FlexErf', /ops of TensorFlow itself/, /TFLITE_BUILTINS_INT8/],
    ['WHILE', /control flow/, /unroll=True/],
    ['IF', /control flow/, /unroll=True/],
    ['WHILE with no end', /control flow/, /unroll=True/],
    ['RFFT2D', /cannot run/, /without the spectrogram/],
    ['NON_MAX_SUPPRESSION_V5', /size depends on the input/, /post-processing/],
  ] as const) {
    const said = message('FFT', name, name)
    assert.match(said, what)
    assert.match(said, hint)
    assert.match(said, /cannot run FFT at op 0 /)
    assert.match(said, `${name} at op 1 `)
    assert.match(said, /see OPERATORS.md/)
  }
})

test('ops behind one that cannot run are looked at, too; a single fault keeps its own error', () => {
  const b = new GraphBuilder(1)
  const x = b.input([1, 4, 4, 8])
  const refused = b.tensor([1, 4, 4, 8], 'int8', 0.05, 3)
  b.graph.ops.push({ type: 'UNSUPPORTED', inputs: [x], outputs: [refused], attrs: { name: 'FFT' } } as never)
  const logistic = (from: number, name: string): number => {
    const y = b.tensor([1, 4, 4, 8], 'int8', 0.05, 3)
    b.graph.tensors[y] = { ...b.graph.tensors[y]!, name }
    b.graph.ops.push({ type: 'LOGISTIC', inputs: [from], outputs: [y], attrs: {} } as never)
    return y
  }
  const square = b.tensor([1, 4, 4, 8], 'int8', 0.05, 3)
  b.graph.ops.push({ type: 'SQUARE', inputs: [refused], outputs: [square], attrs: {} } as never)
  const beside = logistic(x, 'beside')
  const graph = b.done(square, beside)
  const error = refusal(() => lowerModel(graph, { variant: 'simd', plan: 'speed' }))
  assert.is(error.code, 'lower/unsupported-op')
  for (const said of [
    /FFT at op 0 /,
    /SQUARE at op 1 /,
    /LOGISTIC at op 2 \(tensor "beside": output scale must be 1.256/,
  ]) {
    assert.match(error.message, said)
  }
  const alone = { ...graph, ops: graph.ops.slice(2), outputs: [beside] }
  assert.is(refusal(() => lowerModel(alone, { variant: 'simd', plan: 'speed' })).code, 'lower/quantization')
})

// Slices ----------------------------------------------------------------------

test('slices: what a unit needs of its constants, at least and at most', () => {
  let parted = 0
  for (const graph of graphs()) {
    const l = lowered(graph, 'size')
    for (const step of l.steps) {
      const constants = [...new Set(step.reads.filter((b) => b.constant && !b.state))]
      assert.equal(constantsOf([step]), constants)
      const total = constants.reduce((sum, b) => sum + align16(b.bytes), 0)
      assert.is(totalBytes(constants), total)
      const { split } = step
      assert.is(divides(step), split !== undefined && split.blocks > 1 && total > 1024)
      const { least, most } = sliceNeed([step])
      assert.ok(least <= most)
      const record = Math.ceil(LAYOUT[step.record].size / 4) * 4
      const prologue = (step.prologue ?? []).reduce((sum, s) => sum + 4 + Math.ceil(LAYOUT[s.record].size / 4) * 4, 0)
      const tables = LAYOUT.Slice.size + 4 + record
      assert.is(most, total ? align16(tables + prologue + 8) + total : tables + prologue)
      if (!divides(step)) {
        assert.is(least, most)
        continue
      }
      parted++
      const blocks = split!.blocks
      const part = (n: number): number =>
        constants.reduce((sum, b) => sum + align16(split!.constants.includes(b) ? (b.bytes / blocks) * n : b.bytes), 0)
      for (const n of [1, blocks >> 1, blocks]) assert.is(partBytes(step, n), part(n))
      const needs = (n: number): number => sliceBytes([step.record], part(n))
      for (const bytes of [0, needs(1) - 1, needs(1), needs(blocks) - 1, needs(blocks), needs(blocks) + 999]) {
        let fits = 0
        while (fits < blocks && needs(fits + 1) <= bytes) fits++
        assert.is(blocksWithin(step, bytes), fits, `${bytes} bytes`)
      }
      // The least part that is worth a call: of about a kilobyte.
      const worth = Math.min(blocks, Math.max(1, Math.ceil((1024 * blocks) / part(blocks))))
      const before = prologue ? LAYOUT.Slice.size + prologue : 0
      assert.is(least, Math.min(most, Math.max(before, needs(worth))))
    }
    const { joins } = new Liveness(
      l.steps,
      l.inputs.map((p) => p.buffer),
      l.outputs.map((p) => p.buffer),
    )
    l.steps.forEach((_, i) => {
      if (!joins[i]) return
      const pair = l.steps.slice(i, i + 2)
      const own = (s: Step): number => totalBytes(constantsOf([s]))
      const large = partable(pair)
      assert.equal(new Set(large), new Set(pair.filter((s) => own(s) > 512)))
      assert.ok(large.length < 2 || own(large[0]!) >= own(large[1]!), 'the largest first')
      const prologue = pair.flatMap((s) => s.prologue ?? [])
      const head = headBytes(prologue, pair, new Set(large))
      const resident = totalBytes(constantsOf(pair.filter((s) => !large.includes(s))))
      const records = [
        ...prologue.map((s) => s.record),
        'GroupRecord' as const,
        ...pair.map((s) => (large.includes(s) ? ('PartsRecord' as const) : s.record)),
      ]
      assert.is(head, align16(sliceBytes(records, resident) + 8))
      const { least, most } = sliceNeed(pair)
      const alone = large.map((s) => sliceNeed([{ ...s, prologue: undefined }]).least)
      assert.is(least, Math.min(most, head + Math.max(0, ...alone)))
    })
  }
  assert.ok(parted > 10)
})

test('runs: what is copied begins and ends with a byte, and what lies between two is zeros that are worth it', () => {
  const r = rng(11)
  for (let n = 0; n < 400; n++) {
    const region = new Uint8Array(r.int(120))
    for (let k = r.int(9); k > 0; k--) region[r.int(Math.max(1, region.length))] = 1 + r.int(255)
    const least = 1 + r.int(20)
    // Every gap of `least` zeros or more, the ends of the region apart, parts two runs.
    const want: { at: number; bytes: number }[] = []
    region.forEach((byte, at) => {
      const before = want.at(-1)
      if (byte === 0) return
      if (before && at - (before.at + before.bytes) < least) before.bytes = at + 1 - before.at
      else want.push({ at, bytes: 1 })
    })
    assert.equal(runsOf(region, least), want)
  }
})

test('a program in slices says what it is: ops, opcodes, ports, and what its memory is for', () => {
  for (const graph of graphs()) {
    const { units } = arrange(lowered(graph, 'size'), { plan: 'size', slices: {} })
    const p = compileFlash(graph, { variant: 'simd', kernels: 'generic', base: 4096 })
    assert.equal(
      p.usedOpcodes,
      [...new Set(p.usedOpcodes)].sort((a, b) => a - b),
    )
    const steps = units.flatMap((u) => [...u.prologue, ...(u.steps.length > 1 ? [undefined] : []), ...u.steps])
    assert.equal(
      p.entries.map((e) => e.opIndex),
      steps.map((s, i) => (s ?? steps[i + 1]!).opIndex),
    )
    assert.ok(steps.every((s) => !s || p.usedOpcodes.includes(s.op)))
    // Two heads at most, then inputs and outputs of eight bytes each, then state, then the arena.
    const head = LAYOUT.Slice.size
    const { inputTable, outputTable } = p.header as { inputTable: number; outputTable: number }
    assert.is(p.header.opTable, 4096)
    assert.is(inputTable, 4096 + head + (p.header.resetTable ? head : 0))
    assert.is(outputTable, inputTable + 8 * graph.inputs.length)
    assert.is(p.planBytes, align16(outputTable + 8 * graph.outputs.length) - 4096)
    assert.is(p.arenaAddress, 4096 + p.planBytes + p.stateBytes)
    const resident = new DataView((p.image[0]!.bytes as Uint8Array<ArrayBuffer>).slice().buffer)
    for (const [table, list] of [
      [inputTable, p.inputs],
      [outputTable, p.outputs],
    ] as const) {
      list.forEach((port, i) => {
        const at = table - 4096 + 8 * i
        assert.equal([resident.getUint32(at, true), resident.getUint32(at + 4, true)], [port.address, port.bytes])
        assert.ok(port.address >= p.arenaAddress && port.address + port.bytes <= p.arenaAddress + p.arenaBytes)
      })
    }
    // Each unit's slice, by the ops that it is of.
    const slices = p.arena.filter((b) => b.name.startsWith('weights of op'))
    assert.equal(
      slices.map((b) => b.name),
      slices.map((b) => `weights of op ${b.firstOp === b.lastOp ? b.firstOp : `${b.firstOp} to ${b.lastOp}`}`),
    )
    assert.is(slices.length, units.length)
  }
})

test('rows are shared where a unit takes as long as meeting costs, and has a row for every thread', () => {
  const step = lowered(network(3, 1)).steps.find((s) => s.stream)!
  const unit = (bytes: number, macs: number, rows: number): Unit => {
    const to = Object.create(step.stream!.to, { bytes: { value: bytes } }) as Value
    return {
      prologue: [],
      steps: [{ ...step, record: 'LutRecord', macs, rows: { ...step.rows, rows }, stream: { ...step.stream!, to } }],
      bandRows: 0,
      bytes: 0,
    }
  }
  const threadsOf = (bytes: number, macs: number, rows: number): number => {
    const units = [unit(bytes, macs, rows)]
    shareUnits(units, 2)
    return makeTables(units, 2).filter((t) => t.some((i) => i.kind === 'step')).length
  }
  // 0.3 nanoseconds a byte, or 0.035 a multiply-add, whichever is more: 5000 ns.
  assert.is(threadsOf(16_667, 0, 8), 2)
  assert.is(threadsOf(16_666, 0, 8), 1)
  assert.is(threadsOf(0, 142_858, 8), 2)
  assert.is(threadsOf(0, 142_857, 8), 1)
  assert.is(threadsOf(16_666, 142_857, 8), 1)
  assert.is(threadsOf(16_667, 0, 2), 2)
  assert.is(threadsOf(16_667, 0, 1), 1)
  // Five of nine rows take longer than half.
  assert.is(threadsOf(16_667, 0, 9), 1)
})

test('stored programs: one for every set of kernels that hosts choose, of the settled graph', () => {
  const graph = network(5, 3)
  const made = withPrograms(graph)
  assert.equal(
    made.programs!.map((p) => p.for),
    [
      ['simd', 'x86'],
      ['simd', 'arm'],
      ['relaxed', 'arm-dot'],
      ['relaxed', 'x86-vnni'],
    ].map(([variant, kernels]) => targetName(variant as Variant, kernels as Kernels)),
  )
  for (const [i, p] of made.programs!.entries()) {
    assert.ok(p.steps.length > 0 && p.arenaBytes > 0, `program ${i}`)
    assert.ok(p.memoryBytes >= p.arenaAddress + p.arenaBytes)
  }
  // What can't run keeps its graph, without programs.
  const b = new GraphBuilder(1)
  const x = b.input([1, 4])
  const y = b.tensor([1, 4], 'int8', 0.05, 3)
  b.graph.ops.push({ type: 'UNSUPPORTED', inputs: [x], outputs: [y], attrs: { name: 'FFT', reason: '' } } as never)
  const none = b.done(y)
  assert.is(withPrograms(none), none)
})

// Whole plans -----------------------------------------------------------------

const inputsFor = (graph: Graph, seed: number): TypedArray[] => {
  const r = rng(seed)
  return graph.inputs.map((i) => {
    const { dtype, shape } = graph.tensors[i]!
    const data = new (arrayType(dtype))(elements(shape))
    for (let k = 0; k < data.length; k++) data[k] = r.int(256) - (dtype === 'uint8' ? 0 : 128)
    return data
  })
}

/** The outputs when every op is a model of its own: nothing is planned then. */
async function opByOp(graph: Graph, inputs: readonly TypedArray[]): Promise<TypedArray[]> {
  const values = new Map(graph.inputs.map((t, i) => [t, inputs[i]!]))
  for (const op of graph.ops) {
    const reads = [...new Set(op.inputs.filter((t) => t >= 0 && !graph.tensors[t]!.data))]
    const alone: Graph = { ...graph, ops: [op], inputs: reads, outputs: [...op.outputs], metadata: {} }
    const model = await loadGraph(alone, { variant: 'scalar', kernels: 'generic' })
    model.run(reads.map((t) => values.get(t)!)).forEach((data, i) => values.set(op.outputs[i]!, data))
    model.dispose()
  }
  return graph.outputs.map((t) => values.get(t)!)
}

test('plans of every kind compute what the ops compute one at a time', async () => {
  for (let seed = 0; seed < 9; seed++) {
    const graph = network(700 + seed, 3 + (seed % 5))
    const inputs = [inputsFor(graph, 1), inputsFor(graph, 2)]
    const want = [await opByOp(graph, inputs[0]!), await opByOp(graph, inputs[1]!)]
    for (const [variant, kernels, plan] of [
      ['simd', 'x86', 'speed'],
      ['simd', 'arm', 'size'],
      ['scalar', 'generic', 'size'],
      ['scalar', 'generic', 'speed'],
    ] as [Variant, Kernels, 'speed' | 'size'][]) {
      const model = await loadGraph(graph, { variant, kernels, plan })
      // Twice each: what a run leaves behind does not matter.
      for (const k of [0, 1, 0]) {
        model.run(inputs[k]!).forEach((o, i) => equalBytes(o, want[k]![i]!, `network ${seed}, ${variant} ${plan}`))
      }
      model.dispose()
    }
  }
})

test('programs in slices compute the same in as little memory as they can, and in more', async () => {
  for (let seed = 0; seed < 5; seed++) {
    const graph = network(800 + seed, 3 + seed)
    const inputs = inputsFor(graph, 3)
    const want = await opByOp(graph, inputs)
    for (const variant of ['simd', 'scalar'] as const) {
      const least = await packGraph(graph, { variant, weights: 'flash' })
      for (const factor of [1, 1.15, 1.7, 4]) {
        const ram = Math.floor(least.meta.memoryBytes * factor)
        const { wasm, meta } = factor > 1 ? await packGraph(graph, { variant, weights: 'flash', ram }) : least
        assert.ok(meta.memoryBytes <= ram, `network ${seed}: ${meta.memoryBytes} of ${ram} bytes`)
        const model = loadPackedModule(new WebAssembly.Module(wasm as Uint8Array<ArrayBuffer>))
        for (const run of [1, 2]) {
          model
            .run(inputs)
            .forEach((o, i) => equalBytes(o, want[i]!, `network ${seed}, ${variant}, ${ram}, run ${run}`))
        }
      }
      const constants = constantsOf(lowered(graph, 'size', variant).steps)
      assert.is(
        least.meta.weightBytes,
        constants.reduce((sum, b) => sum + b.bytes, 0),
      )
      const smallest = sizeOfUnits(graph, variant)
      assert.ok(least.sizes.arenaBytes <= 1.3 * Math.max(4096, smallest), `${least.sizes.arenaBytes} for ${smallest}`)
    }
  }
})

test('state in slices: kept from run to run, begun anew by reset, as in memory', async () => {
  for (const { model } of opCasesOf(`${root}test/goldens/ops`, /^VARIABLES$/).slice(0, 3)) {
    const graph = readModel(Uint8Array.from(Buffer.from(model, 'base64')))
    const inputs = [0, 1, 2].map((k) => inputsFor(graph, k))
    const reference = await loadGraph(graph, { variant: 'scalar', kernels: 'generic' })
    const sequence = inputs.map((x) => reference.run(x).map((o) => o.slice()))
    for (const variant of ['simd', 'scalar'] as const) {
      const { wasm, sizes } = await packGraph(graph, { variant, weights: 'flash' })
      assert.ok(sizes.stateBytes > 0)
      const model = loadPackedModule(new WebAssembly.Module(wasm as Uint8Array<ArrayBuffer>))
      for (const round of [1, 2]) {
        inputs.forEach((x, k) => {
          model.run(x).forEach((o, i) => equalBytes(o, sequence[k]![i]!, `${variant}, round ${round}, run ${k}`))
        })
        model.reset()
      }
    }
  }
})

/** The largest unit of the smallest plan in slices. */
function sizeOfUnits(graph: Graph, variant: Variant): number {
  const l = lowered(graph, 'size', variant)
  return Math.max(...arrange(l, { plan: 'size', slices: {} }).units.map((u) => u.bytes))
}

test.run()
