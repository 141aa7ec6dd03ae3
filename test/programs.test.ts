/** Programs in `.thimble` files: what compiling would give, taken without compiling, and only where they are sealed. */
import { readFileSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { createInstance, fillInstance, instantiateProgram } from '../src/engine/engine.ts'
import { ThimbleError } from '../src/base/errors.ts'
import { crc32 } from '../src/base/scan.ts'
import { isSealed, openFrame, sums } from '../src/formats/packed-frame.ts'
import { writePacked } from '../src/formats/packed-write.ts'
import { readProgram } from '../src/formats/packed-program.ts'
import { readPacked } from '../src/formats/packed.ts'
import { fromLeb128, runSteps, toLeb128 } from '../src/formats/programs.ts'
import { xxh32Blocks, xxh32End, xxh32Start } from '../src/formats/xxh32.ts'
import { tensorBytes, type Graph } from '../src/graph/graph.ts'
import { loadGraph } from '../src/engine/load-graph.ts'
import { loadBytes } from '../src/engine/load.ts'
import { compileModel } from '../src/plan/compile.ts'
import { withPrograms } from '../src/plan/record.ts'
import { engineFeatures } from '../src/kernels/kernels.ts'
import { runtimeModule } from '../src/engine/runtime.ts'
import type { Kernels, TypedArray, Variant } from '../src/graph/types.ts'
import { equalGraphs, smallModels } from './small-models.ts'
import { equalBytes, rng } from './util.ts'

const TARGETS: [Variant, Kernels][] = [
  ['simd', 'x86'],
  ['simd', 'arm'],
  ['relaxed', 'arm-dot'],
  ['relaxed', 'x86-vnni'],
]
const weights = (name: string): Uint8Array =>
  new Uint8Array(readFileSync(new URL(`../weights/${name}.thimble`, import.meta.url)))
const manifest = JSON.parse(readFileSync(new URL('../weights/manifest.json', import.meta.url), 'utf8')) as {
  name: string
  file: string
}[]
const programmed = smallModels()
  .map((m) => ({ ...m, bytes: writePacked(withPrograms(m.graph)) }))
  .filter((m) => openFrame(m.bytes).header.programs !== undefined)

/** Memory as it is after the stored program, and after compiling the graph. */
async function memories(bytes: Uint8Array, variant: Variant, kernels: Kernels): Promise<Uint8Array[]> {
  const frame = openFrame(bytes)
  const { program } = readProgram(frame, `${variant} ${kernels}`)!
  const module = await runtimeModule(variant)
  const stored = createInstance(module)
  fillInstance(stored, { ...program, write: (loader) => runSteps(program.steps, frame.data, loader) })
  const compiled = instantiateProgram(module, compileModel(readPacked(bytes), { variant, kernels, plan: 'speed' }))
  return [stored, compiled].map((r) => new Uint8Array(r.memory.buffer))
}

const canRun = (variant: Variant): boolean => variant !== 'relaxed' || engineFeatures().relaxed

test('a program leaves the memory as compiling does, for every kernel set', async () => {
  assert.ok(programmed.length >= 3)
  for (const { name, bytes } of programmed) {
    for (const [variant, kernels] of TARGETS) {
      if (!canRun(variant)) continue
      const [stored, compiled] = await memories(bytes, variant, kernels)
      equalBytes(stored!, compiled!, `${name}, ${variant} ${kernels}`)
    }
  }
})

for (const { name, file } of manifest) {
  test(`${name} as it is shipped: its programs are what compiling gives`, () => {
    const bytes = weights(file.replace(/\.thimble$/, ''))
    assert.ok(
      isSealed(bytes, xxh32Blocks),
      `the programs of ${file} are for another runtime or planner: npm run zoo -- --repack, and raise REVISION in src/formats/programs.ts if those of before would not run right`,
    )
    equalBytes(writePacked(withPrograms(readPacked(bytes))), bytes, file)
  })
}

/** Values for all inputs; undefined for models with other than 8-bit ones. */
function inputsOf(graph: Graph): TypedArray[] | undefined {
  const r = rng(5)
  const inputs = graph.inputs.map((t) => {
    const bytes = Uint8Array.from({ length: tensorBytes(graph.tensors[t]!) }, () => r.int(256))
    return graph.tensors[t]!.dtype === 'int8'
      ? new Int8Array(bytes.buffer)
      : graph.tensors[t]!.dtype === 'uint8'
        ? bytes
        : undefined
  })
  return inputs.includes(undefined) ? undefined : (inputs as TypedArray[])
}

const code = async (body: () => Promise<unknown>): Promise<string> => {
  try {
    await body()
    return 'no error'
  } catch (error) {
    if (error instanceof ThimbleError) return error.code
    throw error
  }
}

const seal = (bytes: Uint8Array): void => {
  const view = new DataView(bytes.buffer)
  view.setUint32(28, sums(bytes).seal, true)
  view.setUint32(12, sums(bytes).checksum, true)
}

test('with or without its program, in every way to load it, a file gives the same answer', async () => {
  let asked = 0
  for (const { name, graph, bytes } of programmed) {
    const input = inputsOf(graph)
    if (!input) continue
    const reference = await loadGraph(graph)
    const want = reference.run(input)
    for (const options of [
      {},
      { kernels: 'arm' as const },
      { variant: 'scalar' as const },
      { kernels: 'generic' as const },
      { plan: 'size' as const },
      { threads: 2 },
    ]) {
      const model = await loadBytes(bytes, options)
      model.run(input).forEach((got, i) => equalBytes(got, want[i]!, `${name}, ${JSON.stringify(options)}`))
      if (!Object.keys(options).length) {
        assert.equal({ ...model }, { ...reference }, name)
        assert.is((await model.program())!.entries.length, (await reference.program())!.entries.length)
        assert.is(model.arenaBytes, reference.arenaBytes)
      }
      model.dispose()
      asked++
    }
    reference.dispose()
  }
  assert.ok(asked >= 18, `only ${asked} models were asked`)
})

test('options that a caller gives go above what the file says', async () => {
  const model = await loadBytes(
    writePacked(withPrograms({ ...programmed[0]!.graph, metadata: { name: 'a', labels: ['x'] } })),
    { labels: ['y'] },
  )
  assert.equal([model.metadata.name, model.metadata.labels], ['a', ['y']])
})

/** What `load` gives, and the instances that were made for it. */
async function withInstances<T>(load: () => Promise<T>): Promise<{ loaded: T; made: WebAssembly.Instance[] }> {
  const { Instance } = WebAssembly
  const made: WebAssembly.Instance[] = []
  WebAssembly.Instance = class extends Instance {
    constructor(module: WebAssembly.Module, imports?: WebAssembly.Imports) {
      super(module, imports)
      made.push(this)
    }
  }
  try {
    return { loaded: await load(), made }
  } finally {
    WebAssembly.Instance = Instance
  }
}

test('checking the file in the memory of the model to be leaves nothing there', async () => {
  for (const { name, bytes } of programmed) {
    const [stored] = await memories(bytes, 'simd', 'x86')
    const { loaded, made } = await withInstances(() => loadBytes(bytes, { variant: 'simd', kernels: 'x86' }))
    const runtimes = made.filter((i) => 'thimble_invoke' in i.exports || 'run' in i.exports)
    const memory = (runtimes[runtimes.length - 1]!.exports as { memory: WebAssembly.Memory }).memory
    equalBytes(new Uint8Array(memory.buffer), stored!, name)
    loaded.dispose()
  }
})

test('a program is taken only from a sealed file', async () => {
  for (const { name, graph, bytes } of programmed) {
    const input = inputsOf(graph)
    if (!input) continue
    const want = (await loadGraph(graph)).run(input)
    // Programs that would do something else, in a file whose checksum holds.
    const data = new DataView(bytes.buffer).getUint32(24, true)
    const frame = openFrame(bytes)
    const found = (frame.header.programs as { for: string; steps: number; bytes: number }[]).find(
      (p) => p.for === 'simd x86',
    )!
    const wrong = bytes.slice()
    wrong.fill(1, data + found.steps, data + found.steps + found.bytes)
    new DataView(wrong.buffer).setUint32(12, sums(wrong).checksum, true)
    assert.is(isSealed(wrong, xxh32Blocks), false)
    ;(await loadBytes(wrong, { kernels: 'x86' }))
      .run(input)
      .forEach((got, i) => equalBytes(got, want[i]!, `${name}, edited`))
    // The same with a seal is nonsense: the graph is there.
    seal(wrong)
    assert.ok(isSealed(wrong, xxh32Blocks))
    ;(await loadBytes(wrong, { kernels: 'x86' }))
      .run(input)
      .forEach((got, i) => equalBytes(got, want[i]!, `${name}, sealed`))
  }
})

test('damage is found before a program runs', async () => {
  const r = rng(3)
  const { bytes } = programmed[1]!
  for (let round = 0; round < 400; round++) {
    const at = r.int(8 * bytes.length)
    bytes[at >> 3]! ^= 1 << (at & 7)
    assert.ok(
      ['format/packed', 'format/version', 'format/not-a-model'].includes(await code(() => loadBytes(bytes))),
      `bit ${at}`,
    )
    bytes[at >> 3]! ^= 1 << (at & 7)
  }
  assert.is(await code(() => loadBytes(bytes)), 'no error')
  for (const n of [0, 8, 31, 32, 4096]) {
    assert.ok(
      ['format/packed', 'format/not-a-model'].includes(await code(() => loadBytes(bytes.subarray(0, n)))),
      `${n} bytes`,
    )
  }
})

test('a file at an odd place in memory, and one in a Buffer', async () => {
  const { graph, bytes } = programmed[0]!
  const want = (await loadGraph(graph)).run(inputsOf(graph)!)
  const outer = new Uint8Array(bytes.length + 7)
  outer.set(bytes, 3)
  for (const moved of [outer.subarray(3, 3 + bytes.length), Buffer.from(bytes)]) {
    const before = Uint8Array.from(moved)
    assert.ok(isSealed(moved, xxh32Blocks))
    ;(await loadBytes(moved)).run(inputsOf(graph)!).forEach((got, i) => equalBytes(got, want[i]!, 'output'))
    equalBytes(moved, before, 'the file')
  }
})

test('files of version 1 are still read', async () => {
  const { graph } = smallModels()[0]!
  const bytes = writePacked(graph)
  const view = new DataView(bytes.buffer)
  view.setUint32(8, 1, true)
  view.setUint32(12, crc32(bytes.subarray(16)), true)
  equalGraphs(readPacked(bytes), graph, 'graph')
  bytes[bytes.length - 20]! ^= 1
  assert.is(await code(() => loadBytes(bytes)), 'format/packed')
})

test('XXH32 is XXH32, in JavaScript and in the runtimes', async () => {
  const hash = (bytes: Uint8Array): number => {
    const lanes = xxh32Start()
    xxh32Blocks(lanes, bytes)
    return xxh32End(lanes, bytes.length)
  }
  // Of the reference implementation.
  assert.is(hash(Uint8Array.from({ length: 32 }, (_, i) => i)), 0x830741c1)
  const long = Uint8Array.from({ length: 1600 }, (_, i) => i * 7)
  assert.is(hash(long), 0x07c23cca)
  for (const variant of ['simd', 'scalar'] as const) {
    const runtime = createInstance(await runtimeModule(variant))
    const memory = new Uint8Array(runtime.memory.buffer)
    const lanes = new Int32Array(runtime.memory.buffer, 2048, 4)
    lanes.set(xxh32Start())
    memory.set(long, 4096)
    runtime.xxh32_blocks(2048, 4096, 800)
    runtime.xxh32_blocks(2048, 4896, 800)
    assert.is(xxh32End(lanes, 1600), 0x07c23cca, variant)
  }
})

test('LEB128: every number comes back', () => {
  const r = rng(1)
  const numbers = Int32Array.from({ length: 20000 }, (_, i) => (i < 400 ? i - 200 : (r.int(2 ** 32) | 0) >> r.int(32)))
  numbers.set([-(2 ** 31), 2 ** 31 - 1, -64, 63, 64, -65, 0, -1])
  assert.equal(fromLeb128(toLeb128(numbers), numbers.length), numbers)
  assert.equal([...toLeb128(Int32Array.of(-123456))], [0xc0, 0xbb, 0x78], 'as the standard has it')
  assert.equal([...fromLeb128(Uint8Array.of(5, 0x80), 4)], [5, 0, 0, 0], 'cut short')
})

test('steps that no encoder wrote', () => {
  const loader = { runtime: {}, memory: new Uint8Array(64) }
  const data = new Uint8Array(32)
  for (const steps of [
    [0, 3, 0, 0],
    [0, -2, 0],
    [0, 3, 60, 0, 16],
    [3, 0],
    [99, 1, 0],
    [-1, 3, 62, 1, 2],
    [-2, 3, 60, 2, 1],
    [-2, 3, 0, -1, 1],
    [-7, 0],
  ]) {
    assert.throws(
      () => runSteps(Int32Array.from(steps), data, loader),
      (e: unknown) => e instanceof RangeError,
      `${steps}`,
    )
  }
})

test.run()
