/**
 * Plans stay as they are: the order, groups, memory and records of networks of every kind, for every way to compile
 * them, as digests. What a change of the planner moves shows here; whether it is right, test/planner.test.ts and the
 * goldens tell.
 *
 * After a change that is meant: THIMBLE_UPDATE=1 npx tsx test/plan-same.test.ts, and look at which.
 */
import { createHash } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { LAYOUT_ID } from '../src/generated/layout.ts'
import type { Graph } from '../src/graph/graph.ts'
import { type Overlay, planArena, type Request } from '../src/plan/arena.ts'
import { type CompileOptions, compileModel, type Program } from '../src/plan/compile.ts'
import { GraphBuilder, smallModels } from './small-models.ts'
import { rng, root, skip } from './util.ts'

interface Digests {
  /** Order, groups and memory. */
  plan: string
  /** The same with all addresses and the records themselves, which change with their layout. */
  records: string
}
interface Stored {
  layout: number
  models: Record<string, Digests>
  arenas: string
}

const FILE = `${root}test/fixtures/plan-digests.json`
const update = process.env.THIMBLE_UPDATE === '1'
const stored = JSON.parse(readFileSync(FILE, 'utf8')) as Stored
const now: Stored = { layout: LAYOUT_ID, models: {}, arenas: '' }
const digest = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 12)

const WAYS: readonly CompileOptions[] = [
  { variant: 'simd', plan: 'speed', kernels: 'x86' },
  { variant: 'simd', plan: 'size', kernels: 'x86' },
  { variant: 'simd', plan: 'speed', kernels: 'arm' },
  { variant: 'scalar', plan: 'speed' },
  { variant: 'scalar', plan: 'size' },
  { variant: 'simd', plan: 'speed', threads: 2 },
  { variant: 'simd', plan: 'size', threads: 3, base: 4096 },
]

const planOf = ({ plan, arenaBytes, stateBytes, slackBytes, arena, entries, usedForms, workers }: Program): string =>
  JSON.stringify({
    plan,
    arenaBytes,
    stateBytes,
    slackBytes,
    arena,
    entries,
    usedForms,
    counts: workers.map((w) => w.count),
  })

function recordsOf({ image, ...program }: Program): string {
  const parts = image.map(({ address, bytes }, i) => [address, i === 0 ? digest(bytes.join()) : bytes.length])
  return JSON.stringify({ ...program, image: parts })
}

/** A network of inverted residuals and more, of sizes from the seed: large enough for bands, overlays and gaps. */
function network(seed: number): Graph {
  const r = rng(seed)
  const b = new GraphBuilder(seed)
  const window = { padding: 'SAME', strideH: 1, strideW: 1, activation: 'NONE', dilationH: 1, dilationW: 1 } as const
  let [h, w, c] = [20 + r.int(60), 16 + r.int(60), 3]
  const tensor = (): number => b.tensor([1, h, w, c], 'int8', 0.05, 2)
  const conv = (x: number, k: number, to: number, stride = 1): number => {
    const filter = b.weights([to, k, k, c], 0)
    ;[h, w, c] = [Math.ceil(h / stride), Math.ceil(w / stride), to]
    return b.op('CONV_2D', [x, filter, b.bias(to, to)], [tensor()], { ...window, strideH: stride, strideW: stride })
  }
  const depthwise = (x: number, k: number, stride: number): number => {
    ;[h, w] = [Math.ceil(h / stride), Math.ceil(w / stride)]
    return b.op('DEPTHWISE_CONV_2D', [x, b.weights([1, k, k, c], 3), b.bias(c, c)], [tensor()], {
      ...window,
      strideH: stride,
      strideW: stride,
      depthMultiplier: 1,
    })
  }
  let x = conv(b.input([1, h, w, c]), 3, 8 + 8 * r.int(3), 2)
  const kept: number[] = []
  for (let block = 2 + r.int(4); block > 0; block--) {
    const [from, channels] = [x, c]
    const stride = 1 + r.int(2)
    x = conv(depthwise(conv(x, 1, c * (2 + r.int(4))), r.int(3) ? 3 : 5, stride), 1, r.int(3) ? channels : channels + 8)
    if (stride === 1 && c === channels && r.int(4)) x = b.op('ADD', [from, x], [tensor()], { activation: 'NONE' })
    if (r.int(4) === 0) kept.push(x)
  }
  if (r.int(2)) x = conv(x, 3, 16)
  const pool = b.op('AVERAGE_POOL_2D', [x], [b.tensor([1, 1, 1, c], 'int8', 0.05, 2)], {
    padding: 'VALID',
    strideH: 1,
    strideW: 1,
    activation: 'NONE',
    filterH: h,
    filterW: w,
  })
  const flat = b.op('RESHAPE', [pool, b.ints([1, c])], [b.tensor([1, c], 'int8', 0.05, 2)], {})
  const scores = b.op(
    'FULLY_CONNECTED',
    [flat, b.weights([10, c], 0), b.bias(10, 10)],
    [b.tensor([1, 10], 'int8', 0.1, 4)],
    {
      activation: 'NONE',
      keepNumDims: false,
    },
  )
  return b.done(scores, ...kept.slice(0, 1))
}

const graphs: { name: string; graph: Graph }[] = [
  ...smallModels(),
  ...Array.from({ length: 24 }, (_, i) => ({ name: `network ${i}`, graph: network(i) })),
]

const sameLayout = update || stored.layout === LAYOUT_ID
if (!sameLayout) {
  skip('records of plans', 'recorded with another layout: THIMBLE_UPDATE=1 npx tsx test/plan-same.test.ts')
}

for (const { name, graph } of graphs) {
  test(name, () => {
    const programs = WAYS.map((way) => compileModel(graph, way))
    const got = {
      plan: digest(programs.map(planOf).join('\n')),
      records: digest(programs.map(recordsOf).join('\n')),
    }
    now.models[name] = got
    if (update) return
    assert.is(got.plan, stored.models[name]?.plan, 'order, groups or memory')
    if (sameLayout) assert.is(got.records, stored.models[name]?.records, 'addresses or records')
  })
}

test('arenas of many buffers, few and very many, with overlays and bounds', () => {
  const r = rng(5)
  const placed: unknown[] = []
  for (const count of [0, 1, 2, 5, 9, 14, 20, 33, 60, 200, 900, 3000]) {
    for (let round = 0; round < (count > 100 ? 2 : 8); round++) {
      const steps = 1 + r.int(2 * count + 2)
      const requests = Array.from({ length: count }, (): Request => {
        const first = r.int(steps)
        return { bytes: r.int(8) ? r.int(5000) : 0, first, last: first + r.int(round % 2 ? 3 : 12) }
      })
      const overlays: Overlay[] =
        round % 3 === 0
          ? []
          : requests.slice(1).flatMap((q, i) => {
              const fits = q.first === requests[i]!.last && q.bytes > 0 && requests[i]!.bytes > 0
              return fits ? [{ from: i, to: i + 1, margin: r.int(300) }] : []
            })
      placed.push(planArena(requests, overlays, round % 4 === 3 ? 20_000 : 0))
    }
  }
  now.arenas = digest(JSON.stringify(placed))
  if (!update) assert.is(now.arenas, stored.arenas.split(' ')[0])
})

test('thousands of buffers alive at once: none over another, gaps are used again', () => {
  const r = rng(6)
  const requests = Array.from({ length: 3600 }, (_, i): Request => {
    const first = Math.floor(i / 3)
    // Every third one is soon gone.
    return { bytes: 16 * (1 + r.int(40)), first, last: first + (i % 3 ? 1100 + r.int(100) : r.int(9)) }
  })
  const { offsets, peak } = planArena(requests)
  const sorted = requests.map((q, i) => ({ ...q, from: offsets[i]!, to: offsets[i]! + q.bytes }))
  sorted.sort((a, b) => a.from - b.from)
  sorted.forEach((a, i) => {
    for (let k = i + 1; k < sorted.length && sorted[k]!.from < a.to; k++) {
      const b = sorted[k]!
      assert.ok(a.last < b.first || b.last < a.first, `two at ${b.from}`)
    }
  })
  assert.is(peak, Math.max(...sorted.map((q) => q.to)))
  const all = requests.reduce((sum, q) => sum + q.bytes, 0)
  assert.ok(peak < 0.75 * all, `${peak} of ${all}`)
  now.arenas += ` ${digest(JSON.stringify(offsets))}`
  if (!update) assert.is(now.arenas, stored.arenas)
})

test('nothing is stored that is no more', () => {
  if (update) writeFileSync(FILE, `${JSON.stringify(now, null, 1)}\n`)
  else assert.equal(Object.keys(stored.models).sort(), Object.keys(now.models).sort())
})

test.run()
