/** Plans in `.thimble` files: what the planner would find, taken without asking it, and never trusted. */
import { readFileSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { readPacked, writePacked } from '../src/formats/packed.ts'
import { tensorBytes, type Graph } from '../src/graph.ts'
import { loadGraph } from '../src/load.ts'
import { lower } from '../src/lower/index.ts'
import { compileModel, type Program } from '../src/plan/compile.ts'
import { arrangeStored, withPlans, type StoredPlan } from '../src/plan/stored.ts'
import type { Kernels, TypedArray, Variant } from '../src/types.ts'
import { smallModels } from './small-models.ts'
import { equalBytes, rng } from './util.ts'

const TARGETS: [Variant, Kernels][] = [['simd', 'x86'], ['simd', 'generic'], ['simd', 'arm'], ['relaxed', 'arm-dot'], ['scalar', 'generic']]
const shipped = (): Graph => readPacked(readFileSync(new URL('../weights/mobilenet_v2_1.0_224.thimble', import.meta.url)))
const planFor = (graph: Graph, variant: Variant, kernels: Kernels): StoredPlan => graph.plans!.find(p => p.for.includes(`${variant} ${kernels}`))!

function equalPrograms(got: Program, want: Program, what: string): void {
  assert.is(got.arenaBytes, want.arenaBytes, `${what}: arena`)
  assert.equal(got.image.map(p => p.address), want.image.map(p => p.address), `${what}: addresses`)
  equalBytes(got.image[0]!.bytes, want.image[0]!.bytes, `${what}: records`)
}

test('the shipped model is loaded without the planner, as the planner would', () => {
  const graph = shipped()
  for (const [variant, kernels] of TARGETS) {
    const what = `${variant} ${kernels}`
    assert.ok(arrangeStored(lower(graph, variant, kernels), planFor(graph, variant, kernels)), `${what}: the stored plan fits`)
    equalPrograms(compileModel(graph, { variant, kernels, plan: 'speed' }), compileModel({ ...graph, plans: undefined }, { variant, kernels, plan: 'speed' }), what)
  }
})

test('small models: plans survive the file and are the planner\'s', () => {
  for (const { name, graph } of smallModels()) {
    const bytes = writePacked(withPlans(graph)), back = readPacked(bytes)
    equalBytes(writePacked(withPlans(readPacked(bytes))), bytes, `${name}: packed again`)
    if (!back.plans) continue
    for (const [variant, kernels] of TARGETS) equalPrograms(compileModel(back, { variant, kernels, plan: 'speed' }), compileModel(graph, { variant, kernels, plan: 'speed' }), `${name} ${variant} ${kernels}`)
  }
})

test('the plan that is stored is the one that runs', () => {
  const graph = shipped(), plan = planFor(graph, 'simd', 'x86')
  const raised = { ...plan, offsets: plan.offsets.map(o => o + 4) }
  assert.is(compileModel({ ...graph, plans: [raised] }, { variant: 'simd', kernels: 'x86', plan: 'speed' }).arenaBytes, compileModel(graph, { variant: 'simd', kernels: 'x86', plan: 'speed' }).arenaBytes + 64)
  assert.is(compileModel({ ...graph, plans: [raised] }, { variant: 'simd', kernels: 'x86', plan: 'size' }).arenaBytes, compileModel({ ...graph, plans: undefined }, { variant: 'simd', kernels: 'x86', plan: 'size' }).arenaBytes, 'only for the speed plan')
})

async function answer(graph: Graph): Promise<TypedArray[]> {
  const model = await loadGraph(graph, { variant: 'simd' })
  const r = rng(5)
  const inputs = graph.inputs.map((t, i) => {
    const bytes = Uint8Array.from({ length: tensorBytes(graph.tensors[t]!) }, () => r.int(256))
    return model.inputs[i]!.dtype === 'int8' ? new Int8Array(bytes.buffer) : model.inputs[i]!.dtype === 'uint8' ? bytes : undefined
  })
  const out = inputs.includes(undefined) ? [] : model.run(inputs as TypedArray[])
  model.dispose()
  return out
}

test('a changed plan is passed over or gives the same answer', async () => {
  const r = rng(11)
  let taken = 0, refused = 0
  for (const { name, graph } of smallModels()) {
    const planned = withPlans(graph)
    if (!planned.plans) continue
    const want = await answer(graph), all = ['simd x86', 'simd generic', 'simd arm']
    for (let round = 0; round < 40; round++) {
      const plan = r.pick(planned.plans), units = [...plan.units], offsets = [...plan.offsets]
      const list = r.int(3) ? offsets : units, at = r.int(list.length)
      const kind = r.int(5)
      if (kind === 0) list[at] = r.int(200)
      else if (kind === 1) list.splice(at, 1)
      else if (kind === 2) list[at]! += r.int(2) ? 1 : -Math.min(1, list[at]!)
      else if (kind === 3) list[at] = 2 ** r.int(53)
      else offsets.fill(offsets[r.int(offsets.length)] ?? 0)
      const changed = { for: all, units, offsets }
      if (arrangeStored(lower(graph, 'simd', 'x86'), changed)) taken++
      else refused++
      const got = await answer({ ...graph, plans: [changed] })
      got.forEach((g, i) => equalBytes(g, want[i]!, `${name}, ${JSON.stringify(changed)}`))
    }
  }
  assert.ok(taken > 8 && refused > 40, `${taken} taken, ${refused} refused`)
})

test.run()
