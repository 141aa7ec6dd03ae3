/** Planner: live buffers never overlap, overlays keep their margin, rings are exact, and the peaks of known networks. */
import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { readModel } from '../src/formats/index.ts'
import { planArena, liveMaximum, type Overlay, type Request } from '../src/plan/arena.ts'
import { compileModel } from '../src/plan/compile.ts'
import { need, shared } from './util.ts'

const request = fc.record({ bytes: fc.integer({ min: 0, max: 500 }), first: fc.integer({ min: 0, max: 12 }), length: fc.integer({ min: 0, max: 5 }) })
  .map(({ bytes, first, length }): Request => ({ bytes, first, last: first + length }))

test('live buffers never overlap, offsets are aligned, the peak covers them', () => {
  fc.assert(fc.property(fc.array(request, { maxLength: 24 }), requests => {
    const { offsets, peak } = planArena(requests)
    requests.forEach((a, i) => {
      if (!a.bytes) return
      assert.is(offsets[i]! % 16, 0)
      assert.ok(offsets[i]! + a.bytes <= peak)
      requests.forEach((b, j) => {
        if (j <= i || !b.bytes || a.last < b.first || b.last < a.first) return
        assert.ok(offsets[i]! + a.bytes <= offsets[j]! || offsets[j]! + b.bytes <= offsets[i]!, `buffers ${i} and ${j} overlap`)
      })
    })
    assert.ok(peak >= liveMaximum(requests.map(r => ({ ...r, bytes: Math.floor(r.bytes / 16) * 16 }))))
  }), { seed: 1, numRuns: 300 })
})

test('an overlaid result begins at least the margin before its input, or clear of it', () => {
  fc.assert(fc.property(fc.array(fc.record({ bytes: fc.integer({ min: 16, max: 400 }), margin: fc.integer({ min: 0, max: 100 }) }), { minLength: 2, maxLength: 10 }), chain => {
    const requests = chain.map((c, i): Request => ({ bytes: c.bytes, first: i, last: i + 1 }))
    const overlays = chain.slice(1).map((c, i): Overlay => ({ from: i, to: i + 1, margin: c.margin }))
    const { offsets } = planArena(requests, overlays)
    for (const { from, to, margin } of overlays) {
      const clear = offsets[from]! + requests[from]!.bytes <= offsets[to]! || offsets[to]! + requests[to]!.bytes <= offsets[from]!
      assert.ok(clear || offsets[to]! + margin <= offsets[from]!, `${to} over ${from}`)
    }
  }), { seed: 2, numRuns: 300 })
})

/** Arena peaks by model: what TFLite Micro plans for it (never above), and ours (a rise is a regression). */
const PEAKS: Record<string, { tflm?: number; speed: number; size: number }> = {
  vww_96_int8: { tflm: 73728, speed: 33000, size: 33000 },
  kws_ref_model: { tflm: 16000, speed: 16000, size: 11500 },
  pretrainedResnet_quant: { tflm: 49152, speed: 38000, size: 38000 },
  'tf2_mobilenet_v2_1.0_224_ptq': { tflm: 1505280, speed: 260000, size: 250000 },
  'mobilenet_v1_0.25_128_quant': { speed: 60000, size: 60000 }
}

for (const [name, peaks] of Object.entries(PEAKS)) {
  need(test, `peak of ${name}`, shared(`models/${name}.tflite`), '../shared is missing', path => {
    for (const variant of ['simd', 'scalar'] as const) {
      for (const plan of ['speed', 'size'] as const) {
        const { arenaBytes } = compileModel(readModel(readFileSync(path)), { variant, plan })
        assert.ok(arenaBytes <= Math.min(peaks[plan], peaks.tflm ?? Infinity), `${variant} ${plan}: ${arenaBytes} bytes, at most ${Math.min(peaks[plan], peaks.tflm ?? Infinity)}`)
      }
    }
  })
}

test('the shipped model', () => {
  const bytes = readFileSync(new URL('../weights/mobilenet_v2_1.0_224.thimble', import.meta.url))
  const { arenaBytes } = compileModel(readModel(bytes), { variant: 'simd', plan: 'speed' })
  assert.ok(arenaBytes <= 280000, `${arenaBytes} bytes`)
})

test.run()
