/**
 * Thousands of damaged files and graphs: each ends in a model that runs or in one ThimbleError, soon.
 * THIMBLE_SEED picks another set; a failure names the seed, the model and the mutant, and each mutant depends only on
 * them. Without ../shared the small models that the tests build themselves are damaged instead.
 */
import { readFileSync } from 'node:fs'
import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { arrayType } from '../src/engine/engine.ts'
import { ThimbleError } from '../src/base/errors.ts'
import { crc32 } from '../src/base/scan.ts'
import { readModel } from '../src/formats/index.ts'
import { writePacked } from '../src/formats/packed-write.ts'
import { sums, writeFrame } from '../src/formats/packed-frame.ts'
import type { LoadStep, RecordedProgram } from '../src/formats/programs.ts'
import { readPacked } from '../src/formats/packed.ts'
import { readTflite } from '../src/formats/tflite.ts'
import { writeTflite } from '../src/formats/tflite-write.ts'
import { elements, type Graph } from '../src/graph/graph.ts'
import { loadGraph } from '../src/engine/load-graph.ts'
import { loadBytes } from '../src/engine/load.ts'
import { withPrograms } from '../src/plan/record.ts'
import type { Model, TypedArray } from '../src/graph/types.ts'
import { dice, mutateBytes, mutateGraph, target, type Dice, type Target } from './mutate.ts'
import { smallModels } from './small-models.ts'
import { processorMs, shared, skip } from './util.ts'

const SEED = Number(process.env.THIMBLE_SEED ?? 20240607) >>> 0
console.log(`THIMBLE_SEED=${SEED}`)

/** Longest that reading, and that loading and one run, may take of the processor. */
const READ_MS = 1000
const RUN_MS = 4000
/** Mutants that would compute longer than this are loaded but not run. */
const MAX_MACS = 2e8

/** Models that are always there. */
const small: Target[] = smallModels().map(({ name, graph }) => target(`small ${name}`, writeTflite(graph)))
const REAL = [
  'ad01_int8',
  'deeplabv3_mnv2_dm05_pascal_quant',
  'keras_lstm_mnist_ptq',
  'kws_ref_model',
  'mobilenet_v1_0.25_128_quant',
  'model_invoking_error',
  'movenet_single_pose_lightning_ptq',
  'pretrainedResnet_quant',
  'str_ww_ref_model',
  'tf2_mobilenet_v2_1.0_224_ptq',
  'vww_96_float',
  'vww_96_int8',
]
const folder = shared('models')
const real: Target[] = folder
  ? REAL.map((name) => target(name, new Uint8Array(readFileSync(`${folder}/${name}.tflite`))))
  : []
if (!folder) skip('mutants of real models', 'no ../shared/models')

/** Numbers that depend on the seed, the name and the mutant's number alone. */
const mutantDice = (name: string, i: number): Dice =>
  dice((SEED ^ crc32(new TextEncoder().encode(`${name} ${i}`))) >>> 0)

/** Runs `body`; a ThimbleError is its code, anything else a failed test that says how to repeat it. */
async function outcome(where: string, what: string, limit: number, body: () => unknown): Promise<string> {
  const start = processorMs()
  let code = 'loads'
  try {
    await body()
  } catch (error) {
    if (!(error instanceof ThimbleError)) {
      throw new Error(
        `THIMBLE_SEED=${SEED}, ${where}, ${what}: ${error instanceof Error ? error.stack : String(error)}`,
      )
    }
    assert.match(error.message, /^(format|lower|plan|runtime)\/[a-z-]+: [^\n]+$/, where)
    code = error.code
  }
  const ms = processorMs() - start
  assert.ok(ms < limit, `THIMBLE_SEED=${SEED}, ${where}, ${what}: took ${ms.toFixed(0)} ms`)
  return code
}

/** How the mutants of one test ended. */
class Tally {
  private readonly counts = new Map<string, number>()
  total = 0
  add(code: string): void {
    this.counts.set(code, (this.counts.get(code) ?? 0) + 1)
    this.total++
  }
  of(code: string): number {
    return this.counts.get(code) ?? 0
  }
  print(): void {
    console.log(
      `${this.total} mutants: ${[...this.counts]
        .sort((a, b) => b[1] - a[1])
        .map(([code, n]) => `${code} ${n}`)
        .join(', ')}`,
    )
  }
}

function randomInputs(model: Model, d: Dice): TypedArray[] {
  return model.inputs.map(({ dtype, shape }) => {
    const data = new (arrayType(dtype))(elements(shape))
    for (let i = 0; i < data.length; i++) {
      data[i] = data instanceof BigInt64Array ? BigInt(d.int(256)) : d.int(256) - 128
    }
    return data
  })
}

/** Loads in either variant and runs once. */
async function loadAndRun(graph: Graph, d: Dice): Promise<void> {
  const model = await loadGraph(graph, { variant: d.pick(['simd', 'scalar']) })
  try {
    const macs = (await model.program())!.entries.reduce((sum, e) => sum + e.macs, 0)
    if (macs > MAX_MACS || model.memoryBytes > 1 << 26) return
    const outputs = model.run(randomInputs(model, d))
    assert.is(outputs.length, model.outputs.length)
    outputs.forEach((o, i) => assert.is(o.length, elements(model.outputs[i]!.shape)))
  } finally {
    model.dispose()
  }
}

test('damaged .tflite files: a graph or an error', async () => {
  const tally = new Tally()
  for (const t of [...real, ...small]) {
    const count = t.bytes.length > 1e6 ? 60 : 250
    for (let i = 0; i < count; i++) {
      const { bytes, what } = mutateBytes(t, mutantDice(t.name, i))
      tally.add(await outcome(`${t.name}, mutant ${i}`, what, READ_MS, () => readModel(bytes)))
    }
  }
  tally.print()
  assert.ok(
    tally.of('loads') > tally.total / 50 && tally.of('loads') < tally.total / 2,
    'some mutants load, most do not',
  )
})

test('damaged .tflite files that still read: the engine loads and runs them, or says why not', async () => {
  const tally = new Tally()
  for (const t of [...real.filter((r) => r.bytes.length < 4e5), ...small]) {
    for (let i = 0, ran = 0; ran < 45 && i < 450; i++) {
      const d = mutantDice(`run ${t.name}`, i)
      const { bytes, what } = mutateBytes(t, d)
      let graph: Graph
      try {
        graph = readModel(bytes)
      } catch {
        continue
      }
      ran++
      tally.add(await outcome(`${t.name}, run mutant ${i}`, what, RUN_MS, () => loadAndRun(graph, d)))
    }
  }
  tally.print()
  assert.ok(tally.of('loads') > tally.total / 20)
})

test('well-formed files of graphs that make no sense: the same', async () => {
  const tally = new Tally()
  for (const t of [...real.filter((r) => r.bytes.length < 1e5), ...small]) {
    const source = readTflite(t.bytes)
    // What has state is not written to .tflite.
    if (source.ops.some((op) => op.type === 'UNSUPPORTED') || source.tensors.some((x) => x.initial)) continue
    for (let i = 0; i < 200; i++) {
      const d = mutantDice(`graph ${t.name}`, i)
      const { graph, what } = mutateGraph(source, d)
      const bytes = writeTflite(graph)
      tally.add(await outcome(`${t.name}, graph mutant ${i}`, what, RUN_MS, () => loadAndRun(readTflite(bytes), d)))
    }
  }
  tally.print()
  assert.ok(tally.of('loads') > tally.total / 20)
})

test('damaged .thimble files never load', async () => {
  const tally = new Tally()
  const packable = [...real.filter((r) => r.bytes.length < 4e5), ...small]
    .map((t) => ({ name: t.name, graph: readTflite(t.bytes) }))
    .filter(({ graph }) => graph.ops.every((op) => op.type !== 'UNSUPPORTED'))
  for (const { name, graph } of packable) {
    const bytes = writePacked(graph)
    const file: Target = { name, bytes, structure: [[0, bytes.length]] }
    for (let i = 0; i < 200; i++) {
      const mutant = mutateBytes(file, mutantDice(`packed ${name}`, i))
      if (Buffer.compare(mutant.bytes, bytes) === 0) continue
      const code = await outcome(`${name}, packed mutant ${i}`, mutant.what, READ_MS, () => readModel(mutant.bytes))
      assert.is.not(code, 'loads', `THIMBLE_SEED=${SEED}, ${name}, packed mutant ${i}, ${mutant.what}`)
      tally.add(code)
    }
  }
  tally.print()
})

test('.thimble files damaged before they were sealed: a graph or an error, and the engine runs it or says why not', async () => {
  const tally = new Tally()
  for (const t of small) {
    const packed = writePacked(readTflite(t.bytes))
    const dataStart = new DataView(packed.buffer).getUint32(24, true)
    const file: Target = { name: t.name, bytes: packed.subarray(32, dataStart), structure: [[0, dataStart - 32]] }
    for (let i = 0; i < 300; i++) {
      const d = mutantDice(`sealed ${t.name}`, i)
      const bytes = packed.slice()
      // Digits and letters for others keep most of the JSON readable.
      let what = 'JSON'
      if (d.int(3)) {
        for (let n = 1 + d.int(3); n > 0; n--) {
          const at = 32 + d.int(dataStart - 32)
          if (bytes[at]! >= 48 && bytes[at]! < 58) bytes[at] = 48 + d.int(10)
          else n += d.int(2)
        }
      } else {
        const mutant = mutateBytes(file, d)
        what = mutant.what
        bytes.set(mutant.bytes.subarray(0, dataStart - 32), 32)
      }
      new DataView(bytes.buffer).setUint32(12, sums(bytes).checksum, true)
      tally.add(await outcome(`${t.name}, sealed mutant ${i}`, what, RUN_MS, () => loadAndRun(readPacked(bytes), d)))
    }
  }
  tally.print()
  assert.ok(tally.of('loads') > 20)
})

const NUMBERS = [0, 1, -1, 3, 64, 1024, 65536, 1e6, 2 ** 29, 2 ** 30, 2 ** 31 - 1, -(2 ** 31)]

/** A program that something else wrote: numbers of its head, its steps or its records changed. */
function wrongProgram(program: RecordedProgram, d: Dice): { program: RecordedProgram; what: string } {
  const header: Record<string, number> = { ...program.header }
  const steps = program.steps.map((s) => ({ ...s })) as LoadStep[]
  const out = { ...program, header, steps }
  const number = (before: number): number => (d.int(2) ? d.pick(NUMBERS) : before + d.int(65) - 32)
  switch (d.int(6)) {
    case 0: {
      const key = d.pick(Object.keys(header))
      header[key] = d.int(8) ? number(header[key]!) : (undefined as never)
      return { program: out, what: `header ${key} ${header[key]}` }
    }
    case 1: {
      const key = d.pick(['memoryBytes', 'arenaAddress', 'arenaBytes'] as const)
      out[key] = d.int(8) ? number(out[key]) : ('1' as never)
      return { program: out, what: `${key} ${out[key]}` }
    }
    case 2: {
      const i = d.int(steps.length)
      const step = steps[i]!
      if ('call' in step) {
        const args = [...step.args]
        const k = d.int(args.length)
        args[k] = number(args[k]!)
        steps[i] = { ...step, args }
        return { program: out, what: `argument ${k} of ${step.call} ${args[k]}` }
      }
      steps[i] = { ...step, to: number(step.to) }
      return { program: out, what: `step ${i} to` }
    }
    default: {
      // Tables and records: the words of the first step.
      const first = steps[0] as { to: number; words: Int32Array }
      const words = first.words.slice()
      const changed = Array.from({ length: 1 + d.int(3) }, () => {
        const k = d.int(words.length)
        words[k] = number(words[k]!)
        return `word ${k} ${words[k]}`
      })
      steps[0] = { ...first, words }
      return { program: out, what: changed.join() }
    }
  }
}

test('.thimble files with programs that nobody compiled: the graph instead, an answer or an error, soon', async () => {
  const tally = new Tally()
  for (const t of small) {
    const graph = withPrograms(readTflite(t.bytes))
    const program = graph.programs!.find((p) => p.for === 'simd x86')!
    for (let i = 0; i < 500; i++) {
      const d = mutantDice(`program ${t.name}`, i)
      const wrong = wrongProgram(program, d)
      const bytes = writePacked({ ...graph, programs: [wrong.program] })
      const code = await outcome(`${t.name}, program ${i}`, wrong.what, RUN_MS, async () => {
        const model = await loadBytes(bytes, { kernels: 'x86' })
        model.run(randomInputs(model, d))
        model.dispose()
      })
      assert.ok(code === 'loads' || code.startsWith('runtime/'), code)
      tally.add(code)
    }
  }
  tally.print()
  assert.ok(tally.total >= 500)
})

test('what a file says of its programs, of any type: the graph instead', async () => {
  const t = small[0]!
  const packed = writePacked(withPrograms(readTflite(t.bytes)))
  const want = await loadGraph(readTflite(t.bytes))
  const input = randomInputs(want, dice(1))
  const text = new TextDecoder().decode(packed.subarray(32, new DataView(packed.buffer).getUint32(24, true)))
  for (const [from, to] of [
    [/"count":\d+/g, '"count":-1'],
    [/"count":\d+/g, '"count":500000000'],
    [/"count":\d+/g, '"count":"1"'],
    [/"bytes":\d+/g, '"bytes":-4'],
    [/"bytes":\d+/g, '"bytes":1.5'],
    [/"steps":\d+/g, '"steps":null'],
    [/"memoryBytes":\d+/g, '"memoryBytes":4294901760'],
    [/"header":\{[^}]*\}/g, '"header":null'],
    [/"header":\{[^}]*\}/g, '"header":{}'],
    [/"opCount":\d+/g, '"opCount":100000000'],
    [/"inputTable":\d+/g, '"inputTable":4294967292'],
  ] as const) {
    const programs = text.slice(text.indexOf('"programs":'), text.indexOf('"tensors":'))
    const json = text.replace(programs, programs.replace(from, to)).trimEnd()
    assert.is.not(json, text.trimEnd())
    const bytes = reframed(packed, json)
    const code = await outcome(t.name, `${to}`, RUN_MS, async () => {
      const model = await loadBytes(bytes, { kernels: 'x86' })
      assert.equal(model.run(input), want.run(input))
    })
    assert.is(code, 'loads', to)
  }
})

/** The same file with another header, sealed. */
function reframed(packed: Uint8Array, json: string): Uint8Array {
  const start = new DataView(packed.buffer).getUint32(24, true)
  return writeFrame(json, [{ at: 0, bytes: packed.subarray(start) }], packed.length - start, true)
}

test.run()
