/**
 * Planner: live buffers never overlap, overlays keep their margin, rings are exact, and the peaks of known networks.
 */
import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { readModel } from '../src/formats/index.ts'
import type { Graph } from '../src/graph/graph.ts'
import { planArena, liveMaximum, type Overlay, type Request } from '../src/plan/arena.ts'
import { compileModel } from '../src/plan/compile.ts'
import { overlayMargin, ringRows } from '../src/plan/schedule.ts'
import { Value, type Step } from '../src/lower/program.ts'
import { GraphBuilder } from './small-models.ts'
import { recordedNetworks } from './recorded.ts'
import { errorCode } from './util.ts'

const request = fc
  .record({
    bytes: fc.integer({ min: 0, max: 500 }),
    first: fc.integer({ min: 0, max: 12 }),
    length: fc.integer({ min: 0, max: 5 }),
  })
  .map(({ bytes, first, length }): Request => ({ bytes, first, last: first + length }))

test('live buffers never overlap, offsets are aligned, the peak covers them', () => {
  fc.assert(
    fc.property(fc.array(request, { maxLength: 24 }), (requests) => {
      const { offsets, peak } = planArena(requests)
      requests.forEach((a, i) => {
        if (!a.bytes) return
        assert.is(offsets[i]! % 16, 0)
        assert.ok(offsets[i]! + a.bytes <= peak)
        requests.forEach((b, j) => {
          if (j <= i || !b.bytes || a.last < b.first || b.last < a.first) return
          assert.ok(
            offsets[i]! + a.bytes <= offsets[j]! || offsets[j]! + b.bytes <= offsets[i]!,
            `buffers ${i} and ${j} overlap`,
          )
        })
      })
      assert.ok(peak >= liveMaximum(requests.map((r) => ({ ...r, bytes: Math.floor(r.bytes / 16) * 16 }))))
    }),
    { seed: 1, numRuns: 300 },
  )
})

test('an overlaid result begins at least the margin before its input, or clear of it', () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ bytes: fc.integer({ min: 16, max: 400 }), margin: fc.integer({ min: 0, max: 100 }) }), {
        minLength: 2,
        maxLength: 10,
      }),
      (chain) => {
        const requests = chain.map((c, i): Request => ({ bytes: c.bytes, first: i, last: i + 1 }))
        const overlays = chain.slice(1).map((c, i): Overlay => ({ from: i, to: i + 1, margin: c.margin }))
        const { offsets } = planArena(requests, overlays)
        for (const { from, to, margin } of overlays) {
          const clear =
            offsets[from]! + requests[from]!.bytes <= offsets[to]! ||
            offsets[to]! + requests[to]!.bytes <= offsets[from]!
          assert.ok(clear || offsets[to]! + margin <= offsets[from]!, `${to} over ${from}`)
        }
      },
    ),
    { seed: 2, numRuns: 300 },
  )
})

/** A chain of windowed steps over one image, rows of one channel. */
const chain = fc
  .record({
    h: fc.integer({ min: 1, max: 40 }),
    w: fc.integer({ min: 1, max: 6 }),
    lag: fc.integer({ min: 0, max: 4 }),
    bandRows: fc.integer({ min: 1, max: 12 }),
    layers: fc.array(
      fc.record({
        window: fc.integer({ min: 1, max: 7 }),
        stride: fc.integer({ min: 1, max: 3 }),
        pad: fc.integer({ min: 0, max: 6 }),
        c: fc.integer({ min: 1, max: 4 }),
      }),
      { minLength: 1, maxLength: 6 },
    ),
  })
  .map(({ h, w, lag, bandRows, layers }) => {
    const value = (h: number, c: number): Value =>
      new Value(
        { name: '', shape: [1, h, w, c], dtype: 'int8' },
        { n: 1, h, w, c },
        { name: '', bytes: 0, address: 0, first: 0, last: 0 },
      )
    let from = value(h, 2)
    const steps: Step[] = []
    for (const { window, stride, pad, c } of layers) {
      const padTop = Math.min(pad, window - 1)
      const rows = Math.ceil(from.h / stride)
      const to = value(rows, c)
      steps.push({
        record: 'ConvRecord',
        op: 0,
        kernel: '',
        opIndex: 0,
        rows: { rows, strideH: stride, padTop, windowH: window, inRows: from.h },
        reads: [from.buffer],
        writes: [to.buffer],
        fields: () => ({}),
        stream: { from, to, lag },
      })
      from = to
    }
    return { steps, bandRows }
  })

/** Calls `band` for every band of a group: rows computed before and after it, by step. */
function walk(
  steps: readonly Step[],
  bandRows: number,
  band: (before: number[], after: number[], target: number) => void,
): void {
  const rows = steps.at(-1)!.rows.rows
  let done = steps.map(() => 0)
  for (let target = 0; target < rows;) {
    target = Math.min(target + bandRows, rows)
    const after = [...done]
    for (let k = steps.length - 1, need = target; k >= 0; k--) {
      after[k] = Math.max(need, done[k]!)
      const r = steps[k]!.rows
      need = Math.min((need - 1) * r.strideH - r.padTop + r.windowH, r.inRows)
    }
    band(done, after, target)
    done = after
  }
}

test("rings hold the rows that the executor's schedule asks for, no more", () => {
  fc.assert(
    fc.property(chain, ({ steps, bandRows }) => {
      const ring = steps.slice(1).map(() => 1)
      walk(steps, bandRows, (before, after) =>
        steps.slice(1).forEach(({ rows: r }, k) => {
          const oldest = Math.max(0, Math.min(before[k + 1]! * r.strideH - r.padTop, r.inRows))
          if (after[k + 1]! > before[k + 1]!) ring[k] = Math.max(ring[k]!, after[k]! - oldest)
        }),
      )
      assert.equal(
        ringRows(steps, bandRows),
        ring.map((n, k) => Math.min(n, steps[k]!.stream!.to.h)),
      )
    }),
    { seed: 3, numRuns: 2000 },
  )
})

test('bands of a multiple of the height need no smaller rings', () => {
  fc.assert(
    fc.property(
      chain,
      fc.integer({ min: 1, max: 4 }),
      fc.integer({ min: 1, max: 3 }),
      ({ steps, bandRows }, factor, threads) => {
        const low = ringRows(steps, bandRows, threads)
        const high = ringRows(steps, bandRows * factor, threads)
        low.forEach((rows, k) =>
          assert.ok(high[k]! >= rows, `ring ${k}: ${rows} rows, ${high[k]} in bands of ${factor} times the height`),
        )
      },
    ),
    { seed: 5, numRuns: 2000 },
  )
})

test('the margin of an overlay is the largest of the whole schedule', () => {
  fc.assert(
    fc.property(chain, ({ steps, bandRows }) => {
      const from = steps[0]!.stream!.from
      const to = steps.at(-1)!.stream!.to
      const { rows, strideH, padTop } = steps[0]!.rows
      const dead = (done: number): number => Math.max(0, Math.min(done * strideH - padTop, from.h))
      let margin = 0
      if (steps.length > 1) {
        walk(steps, bandRows, (_, after, target) => {
          margin = Math.max(
            margin,
            target * to.rowStride - (after[0]! >= rows ? from.h : dead(after[0]!)) * from.rowStride,
          )
        })
      } else {
        const behind = Math.ceil(Math.max(0, steps[0]!.stream!.lag! - 1) / to.w)
        for (let y = 0; y < rows; y++) {
          margin = Math.max(margin, Math.min(y + 1 + behind, rows) * to.rowStride - dead(y) * from.rowStride)
        }
      }
      assert.is(overlayMargin(steps, bandRows, from), margin)
    }),
    { seed: 4, numRuns: 2000 },
  )
})

interface Peaks {
  /** What TFLite Micro plans for it. */
  tflm?: number
  speed: number
  size: number
}

/** Arena peaks by model: never above TFLite Micro's, and a rise is a regression. */
const PEAKS: Readonly<Record<string, Peaks>> = {
  vww_96_int8: { tflm: 73728, speed: 31000, size: 31000 },
  kws_ref_model: { tflm: 16000, speed: 16000, size: 11500 },
  pretrainedResnet_quant: { tflm: 49152, speed: 37500, size: 37500 },
  'tf2_mobilenet_v2_1.0_224_ptq': { tflm: 1505280, speed: 240000, size: 240000 },
  'mobilenet_v1_0.25_128_quant': { speed: 53000, size: 53000 },
  separable_96: { speed: 31000, size: 31000 },
  spotter_49x10: { speed: 16000, size: 11500 },
  residual_32: { speed: 37500, size: 37500 },
  legacy_64: { speed: 44500, size: 44500 },
  'mobilenet_v2_1.0_224': { speed: 240000, size: 240000 },
}

for (const { name, path } of recordedNetworks) {
  const peaks = PEAKS[name]
  if (!peaks) continue
  test(`peak of ${name}`, () => {
    for (const variant of ['simd', 'scalar'] as const) {
      for (const plan of ['speed', 'size'] as const) {
        const { arenaBytes } = compileModel(readModel(readFileSync(path)), { variant, plan })
        const most = Math.min(peaks[plan], peaks.tflm ?? Infinity)
        assert.ok(arenaBytes <= most, `${variant} ${plan}: ${arenaBytes} bytes, at most ${most}`)
      }
    }
  })
}

/** Mostly pointwise convolutions, whose weights the size plan keeps as they are. */
const POINTWISE = /^(tf2_mobilenet_v2|mobilenet_v2_1\.0_224|vww_96|separable_96)/

test('the size plan keeps weights in eight bits', () => {
  const networks = recordedNetworks.filter(({ name }) => POINTWISE.test(name))
  assert.ok(networks.length >= 2)
  for (const { name, path } of networks) {
    const graph = readModel(readFileSync(path))
    const [speed, size] = (['speed', 'size'] as const).map((plan) =>
      compileModel(graph, { variant: 'simd', kernels: 'x86', plan }),
    )
    const [bytes, most] = [size!.weightBytes, 0.66 * speed!.weightBytes]
    assert.ok(bytes <= most, `${name}: ${bytes} bytes, at most ${most}`)
    assert.ok(
      size!.usedForms.includes(11) && !speed!.usedForms.includes(11),
      `${name}: forms ${size!.usedForms} and ${speed!.usedForms}`,
    )
  }
})

test('the shipped model', () => {
  const bytes = readFileSync(new URL('../weights/mobilenet_v2_1.0_224.thimble', import.meta.url))
  const { arenaBytes } = compileModel(readModel(bytes), { variant: 'simd', plan: 'speed' })
  assert.ok(arenaBytes <= 280000, `${arenaBytes} bytes`)
})

test('what does not fit into 4 GiB is refused when it is planned', () => {
  const sum = (width: number): Graph => {
    const b = new GraphBuilder(1)
    const shape = [1, 20_000, width, 3]
    const [x, y] = [b.input(shape), b.input(shape)]
    const out = (): number => b.tensor(shape, 'int8', 0.1, 3)
    return b.done(
      b.op('ADD', [x, y], [out()], { activation: 'NONE' }),
      b.op('SUB', [x, y], [out()], { activation: 'NONE' }),
    )
  }
  // Both inputs and an output, the other one over an input: 3.6 and 6.3 GB.
  for (const plan of ['speed', 'size'] as const) {
    assert.ok(compileModel(sum(20_000), { variant: 'simd', plan }).memoryBytes > 3.6e9)
    assert.is(
      errorCode(() => compileModel(sum(35_000), { variant: 'simd', plan })),
      'plan/memory',
    )
  }
})

test.run()
