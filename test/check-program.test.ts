/**
 * Stored programs of every kind of record: they are stored, and whatever number of theirs is another one, they are
 * refused or end soon, with their own tables as they were; one that fails is replaced by the graph.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { arrayType, instantiateProgram } from '../src/engine/engine.ts'
import { CORE_OPCODES } from '../src/kernels/core-kernels.ts'
import { ALL_KINDS } from '../src/formats/check-kinds.ts'
import { CORE_KINDS, isCheckedPacker, tablesFit } from '../src/formats/check-program.ts'
import { writePacked } from '../src/formats/packed-write.ts'
import { PACKERS, type LoadStep } from '../src/formats/programs.ts'
import { readTflite } from '../src/formats/tflite.ts'
import * as layout from '../src/generated/layout.ts'
import { LAYOUT } from '../src/generated/layout.ts'
import { elements, type Graph } from '../src/graph/graph.ts'
import { engineFeatures } from '../src/kernels/kernels.ts'
import { loadGraph } from '../src/engine/load-graph.ts'
import { loadBytes } from '../src/engine/load.ts'
import { compileModel, type Program } from '../src/plan/compile.ts'
import { withPrograms } from '../src/plan/record.ts'
import { runtimeModule } from '../src/engine/runtime.ts'
import type { Kernels, Model, TypedArray, Variant } from '../src/graph/types.ts'
import { recordName, STORED_OPCODES } from './program-records.ts'
import { GraphBuilder, smallModels } from './small-models.ts'
import { root } from './util.ts'

const TARGETS: readonly (readonly [Variant, Kernels])[] = [
  ['simd', 'x86'],
  ['simd', 'arm'],
  ['relaxed', 'arm-dot'],
  ['relaxed', 'x86-vnni'],
]
/** Kinds of convolutions that the other models here have not, in bands. */
function convolutions(): Graph {
  const b = new GraphBuilder(7)
  const window = { padding: 'SAME', strideH: 1, strideW: 1, activation: 'NONE', dilationH: 1, dilationW: 1 } as const
  const tensor = (channels: number): number => b.tensor([1, 40, 40, channels], 'int8', 0.05, 2)
  const conv = (x: number, k: number, from: number, to: number): number =>
    b.op('CONV_2D', [x, b.weights([to, k, k, from], 0), b.bias(to, to)], [tensor(to)], window)
  const depthwise = (x: number, kh: number, kw: number): number =>
    b.op('DEPTHWISE_CONV_2D', [x, b.weights([1, kh, kw, 64], 3), b.bias(64, 64)], [tensor(64)], {
      ...window,
      depthMultiplier: 1,
    })
  const x = conv(b.input([1, 40, 40, 16]), 3, 16, 16)
  const wide = depthwise(depthwise(conv(x, 1, 16, 64), 5, 5), 2, 4)
  return b.done(
    b.op(
      'CONV_2D',
      [wide, b.weights([32, 3, 3, 64], 0), b.bias(32, 32)],
      [b.tensor([1, 20, 20, 32], 'int8', 0.05, 2)],
      { ...window, strideH: 2, strideW: 2 },
    ),
  )
}

const lines = (file: string): string[] =>
  gunzipSync(readFileSync(root + file))
    .toString()
    .trim()
    .split('\n')

/** Recorded models of one op, the first of each kind, and small ones. */
function models(): { name: string; graph: Graph }[] {
  const directory = 'test/goldens/ops'
  const read = (base64: string): Graph => readTflite(Buffer.from(base64, 'base64'))
  const recorded = readdirSync(root + directory).map((name) => ({
    name,
    graph: read((JSON.parse(lines(`${directory}/${name}`)[0]!) as { model: string }).model),
  }))
  const [detection] = JSON.parse(lines('test/fixtures/detection/detection.json.gz').join('')) as { model: string }[]
  return [
    ...recorded,
    ...smallModels(),
    { name: 'convolutions', graph: convolutions() },
    { name: 'detection', graph: read(detection!.model) },
  ]
}

const all = models()

/** A record of a program that has one of this kind. */
interface Found {
  program: Program
  variant: Variant
  /** Offset of the record in the plan. */
  at: number
}
const found = new Map<number, Found>()
for (const { graph } of all) {
  for (const [variant, kernels] of TARGETS) {
    const program = compileModel(graph, { variant, kernels, plan: 'speed' })
    const { address, bytes } = program.image[0]!
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    for (let i = 0; i < program.header.opCount!; i++) {
      const at = view.getUint32(program.header.opTable! - address + 4 * i, true) - address
      const op = view.getUint32(at, true)
      if (!found.has(op)) found.set(op, { program, variant, at })
    }
  }
}

test('every kind of record and every packer has its check', () => {
  for (const [name, op] of STORED_OPCODES) {
    assert.is(ALL_KINDS.has(op), op !== layout.OP_GROUP, `${name}: an entry in src/formats/check-kinds.ts`)
  }
  // A program of the core's kernels is checked without loading the others.
  for (const op of CORE_OPCODES) assert.is(CORE_KINDS.has(op), op !== layout.OP_GROUP, `opcode ${op}`)
  for (const name of PACKERS) assert.ok(isCheckedPacker(name), `${name}: an entry in PACKINGS`)
})

test('models of every kind are stored with all programs', () => {
  for (const { name, graph } of all) {
    const got = withPrograms(graph).programs?.map((p) => p.for)
    assert.equal(
      got,
      TARGETS.map((t) => t.join(' ')),
      name,
    )
  }
  for (const [name, op] of STORED_OPCODES) assert.ok(found.has(op), `no model here has a record of ${name}`)
})

const HOSTILE = [0, -1, 3, 1030, 40000, 2 ** 30, -(2 ** 31)]
/** Addresses that every kind writes to. A run that does not end fails the file. */
const WRITTEN = /^(output|values|hidden|cell|state|ring|outBoxes|outClasses|outScores|outCount)$/

/** The words of the plan; the executor's own ones, those of the records' state, as 0. */
function planOf(program: Program, memory: ArrayBufferLike): string {
  const { opTable, opCount } = program.header
  const bytes = new Uint8Array(memory).slice(opTable, opTable! + program.planBytes)
  const view = new DataView(bytes.buffer)
  const { fields } = LAYOUT.Record as { fields: readonly string[] }
  for (let i = 0; i < opCount!; i++) {
    const at = view.getUint32(4 * i, true) - opTable!
    for (const name of ['done', 'need']) view.setUint32(at + 4 * fields.indexOf(name), 0, true)
  }
  return Buffer.from(bytes).toString('latin1')
}

for (const [name, op] of STORED_OPCODES) {
  test(`hostile numbers in ${name}`, async () => {
    const { program, variant, at } = found.get(op)!
    if (variant === 'relaxed' && !engineFeatures().relaxed) return
    const module = await runtimeModule(variant)
    const { address, bytes } = program.image[0]!
    const { fields } = LAYOUT[recordName(op)] as { fields: readonly string[] }
    let refused = 0
    for (const [k, field] of fields.entries()) {
      for (const value of [...HOSTILE, address, address + at, program.stateAddress]) {
        const plan = bytes.slice()
        const view = new DataView(plan.buffer)
        const before = view.getInt32(at + 4 * k, true)
        if (field === 'op' || before === value) continue
        view.setInt32(at + 4 * k, value, true)
        const what = `${field} ${before} as ${value}`
        if (!tablesFit(program, view, address, ALL_KINDS)) {
          refused++
          continue
        }
        assert.not(WRITTEN.test(field) && value >>> 0 < program.stateAddress, `${what} is taken`)
        const runtime = instantiateProgram(module, program)
        new Uint8Array(runtime.memory.buffer).set(plan, address)
        const want = planOf(program, runtime.memory.buffer)
        try {
          runtime.thimble_invoke()
        } catch (error) {
          assert.ok(error instanceof WebAssembly.RuntimeError)
        }
        assert.is(planOf(program, runtime.memory.buffer), want, `${what}: writes over the plan`)
      }
    }
    assert.ok(refused > 15, `${refused} refused`)
  })
}

test('a program that leaves out an input or an output, or has them elsewhere, is refused', () => {
  let moved = 0
  for (const { name, graph } of all) {
    for (const [variant, kernels] of TARGETS) {
      const program = compileModel(graph, { variant, kernels, plan: 'speed' })
      const { address, bytes } = program.image[0]!
      const fits = (header: Program['header'], plan: Uint8Array): boolean =>
        tablesFit({ ...program, header }, new DataView(plan.buffer), address, ALL_KINDS)
      const what = `${name}, ${variant} ${kernels}`
      assert.ok(fits(program.header, bytes.slice()), what)
      if (program.header.opCount! > 0) assert.not(fits({ ...program.header, opCount: 0 }, bytes.slice()), what)
      const { inputTable, outputTable } = program.header
      const end = program.arenaAddress + program.arenaBytes
      const port = (table: number): { at: number; length: number } => {
        const view = new DataView(bytes.buffer, bytes.byteOffset)
        const from = table - address
        return { at: view.getUint32(from, true), length: view.getUint32(from + 4, true) }
      }
      const withPort = (table: number, at: number, length: number): Uint8Array => {
        const plan = bytes.slice()
        const view = new DataView(plan.buffer)
        view.setUint32(table - address, at, true)
        view.setUint32(table - address + 4, length, true)
        return plan
      }
      const { at, length } = port(outputTable!)
      if (at < program.arenaAddress || length < 2) continue
      assert.not(fits(program.header, withPort(outputTable!, at + 1, length - 1)), `${what}: the output one byte on`)
      assert.not(fits(program.header, withPort(inputTable!, end - 1, 1)), `${what}: an input that nothing reads`)
      moved++
    }
  }
  assert.ok(moved > 100, `${moved} ports`)
})

const inputsOf = (model: Model): TypedArray[] =>
  model.inputs.map(({ dtype, shape }) => {
    const data = new (arrayType(dtype))(elements(shape))
    for (let i = 0; i < data.length; i++) {
      data[i] = data instanceof BigInt64Array ? BigInt(i % 3) : (i * 37) % 100
    }
    return data
  })

test('a stored program that fails in its first run is replaced by the graph', async () => {
  let replaced = 0
  for (const { name, graph } of smallModels()) {
    const stored = withPrograms(graph)
    const program = stored.programs!.find((p) => p.for === 'simd x86')!
    const [first, ...steps] = program.steps as [{ to: number; words: Int32Array }, ...LoadStep[]]
    // What the last record reads lies outside of the memory.
    const words = first.words.slice()
    const last = program.header.opCount! - 1
    const at = (words[(program.header.opTable! - first.to) / 4 + last]! - first.to) / 4
    const op = words[at]!
    if (last === 0) continue
    const { fields } = LAYOUT[recordName(op)] as { fields: readonly string[] }
    const read = fields.findIndex((f) => f === 'input' || f === 'a')
    if (read < 0) continue
    words[at + read] = -65536
    const wrong = { ...program, steps: [{ to: first.to, words }, ...steps] }
    const bytes = writePacked({ ...stored, programs: [wrong] })
    let model = await loadBytes(bytes, { kernels: 'x86' })
    const want = await loadGraph(graph, { kernels: 'x86' })
    const input = inputsOf(want)
    if (replaced === 0) {
      // Where nothing had to be compiled yet there is no compiler: one clear error.
      assert.throws(() => model.run(input), /runtime\//)
      await loadBytes(writePacked(graph), { kernels: 'x86' })
      model = await loadBytes(bytes, { kernels: 'x86' })
    }
    const out = want.outputs.map((o) => new (arrayType(o.dtype))(elements(o.shape)))
    for (let run = 0; run < 3; run++) {
      assert.equal(model.run(input, { out }), want.run(input), `${name}, run ${run}`)
    }
    assert.is(model.arenaBytes, want.arenaBytes)
    assert.is(model.memoryBytes, want.memoryBytes)
    model.reset()
    model.dispose()
    assert.throws(() => model.run(input), /runtime\/disposed/)
    replaced++
  }
  assert.ok(replaced >= 3, `${replaced} models`)
})

test.run()
