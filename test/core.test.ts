/** Core modules: fewer kernels, the same bytes, and the full module where a graph needs another kernel. */
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { CORE_OPCODES, coreRuns, OTHER_PACKERS } from '../src/kernels/core-kernels.ts'
import { instantiateProgram } from '../src/engine/engine.ts'
import { openFrame } from '../src/formats/packed-frame.ts'
import { writePacked } from '../src/formats/packed-write.ts'
import * as L from '../src/generated/layout.ts'
import type { Graph } from '../src/graph/graph.ts'
import { engineFeatures } from '../src/kernels/kernels.ts'
import { loadGraph } from '../src/engine/load-graph.ts'
import { loadBytes } from '../src/engine/load.ts'
import { PROGRAM_BASE } from '../src/base/memory.ts'
import { LINKER_EXPORT } from '../src/pack/link.ts'
import { parseModule } from '../src/pack/wasm.ts'
import { compileModel } from '../src/plan/compile.ts'
import { withPrograms } from '../src/plan/record.ts'
import { buildFor, runtimeBytes, runtimeModule } from '../src/engine/runtime.ts'
import type { TypedArray, Variant } from '../src/graph/types.ts'
import { GraphBuilder, smallModels } from './small-models.ts'
import { equalBytes, rng } from './util.ts'

const VARIANTS = (['simd', 'relaxed'] as const).filter((v) => v === 'simd' || engineFeatures().relaxed)

test('static data ends where programs begin', async () => {
  for (const variant of ['simd', 'scalar', 'relaxed'] as const) {
    const { data } = parseModule(await runtimeBytes(variant))
    const end = Math.max(...data.map(({ address, bytes }) => address + bytes.length))
    assert.ok(end <= PROGRAM_BASE, `${variant}: ${end}`)
  }
})

/** A graph whose kernel is not in the core, but may be in a stored program. */
function upscaler(): Graph {
  const b = new GraphBuilder(5)
  const x = b.input([1, 4, 4, 8])
  const shape = b.ints([1, 8, 8, 8])
  const y = b.op('TRANSPOSE_CONV', [shape, b.weights([8, 2, 2, 8], 0), x], [b.tensor([1, 8, 8, 8], 'int8', 0.1, -3)], {
    padding: 'SAME',
    strideH: 2,
    strideW: 2,
    activation: 'NONE',
  })
  return b.done(y)
}
const models = [...smallModels(), { name: 'upscaler', graph: upscaler() }]
const isRare = (op: number): boolean => !CORE_OPCODES.has(op)

const inputsOf = (infos: readonly { shape: readonly number[]; dtype: string }[]): TypedArray[] => {
  const r = rng(7)
  return infos.map(({ shape, dtype }) => {
    const n = shape.reduce((a, b) => a * b, 1)
    if (dtype === 'float32') return Float32Array.from({ length: n }, () => r() * 2 - 1)
    const values = Array.from({ length: n }, () => r.int(100))
    return dtype === 'int32'
      ? Int32Array.from(values)
      : dtype === 'uint8'
        ? Uint8Array.from(values)
        : Int8Array.from(values)
  })
}

test('a core module is at most 48 KB, exports what a host needs and imports nothing', async () => {
  for (const variant of ['simd', 'relaxed'] as const) {
    const bytes = await runtimeBytes(`${variant}-core`)
    assert.ok(bytes.length <= 48 * 1024, `${variant}: ${bytes.length} bytes`)
    const [core, full] = [parseModule(bytes), parseModule(await runtimeBytes(variant))]
    assert.is(core.imports.length, 0)
    assert.equal(
      core.exports.map(({ name, kind }) => [name, kind]),
      full.exports
        .filter(({ name }) => !LINKER_EXPORT.test(name) && !OTHER_PACKERS.includes(name))
        .map(({ name, kind }) => [name, kind]),
    )
    assert.equal(core.memory, full.memory)
  }
})

test('every opcode of the list is one, and kernels that are not listed are gone', async () => {
  const opcodes = new Set(Object.entries(L).flatMap(([name, value]) => (name.startsWith('OP_') ? [value] : [])))
  for (const op of CORE_OPCODES) assert.ok(opcodes.has(op), `opcode ${op}`)
  assert.ok([...opcodes].some((op) => !coreRuns([op as number])))
})

test('models of core kernels get the core module, which computes what the full one does', async () => {
  let compared = 0
  for (const { name, graph } of models) {
    for (const variant of VARIANTS) {
      const program = compileModel(graph, { variant, kernels: 'x86', plan: 'speed' })
      const build = buildFor(variant, program.usedOpcodes)
      assert.is(build, program.usedOpcodes.some(isRare) ? variant : `${variant}-core`, name)
      if (build === variant) continue
      compared++
      const [core, full] = await Promise.all(
        ([build, variant] as const).map(async (b) => {
          const runtime = instantiateProgram(await runtimeModule(b), program)
          const [at, bytes] = [runtime.thimble_input_ptr(0), runtime.thimble_input_bytes(0)]
          const r = rng(11)
          new Uint8Array(runtime.memory.buffer, at, bytes).set(Uint8Array.from({ length: bytes }, () => r.int(256)))
          assert.is(runtime.thimble_invoke(), 0, name)
          return new Uint8Array(runtime.memory.buffer)
        }),
      )
      equalBytes(core!, full!, `${name}, ${variant}`)
    }
  }
  assert.ok(compared >= 2, `${compared} compared`)
})

test('models of other kernels load and run, from the graph and from a stored program', async () => {
  let fromPrograms = 0
  for (const { name, graph } of models) {
    const { usedOpcodes } = compileModel(graph, { variant: 'simd', kernels: 'x86', plan: 'speed' })
    if (!usedOpcodes.some(isRare)) continue
    const bytes = writePacked(withPrograms(graph))
    fromPrograms += Number(openFrame(bytes).header.programs !== undefined)
    const options = { variant: 'simd' as Variant, kernels: 'x86' as const }
    const [a, b] = await Promise.all([loadGraph(graph, options), loadBytes(bytes, options)])
    const inputs = inputsOf(a.inputs)
    const [x, y] = [a.run(inputs), b.run(inputs)]
    x.forEach((out, i) => equalBytes(y[i]!, out, `${name}, output ${i}`))
  }
  assert.ok(fromPrograms > 0, 'no model with a rare kernel has a program')
})

test('the scalar variant has one module', () => assert.is(buildFor('scalar', []), 'scalar'))

test.run()
