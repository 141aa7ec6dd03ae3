/**
 * Files that somebody made to break things, where a checksum says nothing: programs of `.thimble` files number by
 * number, the sections of packed modules, label files in broken encodings. Each ends in an answer or in one
 * ThimbleError, soon.
 */
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { arrayType } from '../src/engine/engine.ts'
import { ThimbleError } from '../src/base/errors.ts'
import { writePacked } from '../src/formats/packed-write.ts'
import type { LoadStep, ProgrammedGraph, RecordedProgram } from '../src/formats/programs.ts'
import { elements } from '../src/graph/graph.ts'
import { readLabels } from '../src/answers/label-file.ts'
import { loadBytes } from '../src/engine/load-node.ts'
import { loadGraph } from '../src/engine/load-graph.ts'
import { loadWasm, META_SECTION } from '../src/engine/packed-module.ts'
import { packGraph } from '../src/pack/pack.ts'
import { Reader, Writer } from '../src/pack/bytes.ts'
import { withPrograms } from '../src/plan/record.ts'
import type { Model, TypedArray } from '../src/graph/types.ts'
import { smallModels } from './small-models.ts'
import { processorMs, rng } from './util.ts'

const test = suite('hostile')
const SLOW_MS = 2000

const inputsOf = (model: Model): TypedArray[] =>
  model.inputs.map(({ dtype, shape }) => {
    const data = new (arrayType(dtype))(elements(shape))
    for (let i = 0; i < data.length; i++) data[i] = data instanceof BigInt64Array ? BigInt(i % 3) : (i * 37) % 100
    return data
  })
const answersOf = (model: Model, inputs: TypedArray[]): string =>
  model
    .run(inputs)
    .map((o) => Buffer.from(o.buffer, o.byteOffset, o.byteLength).toString('hex'))
    .join()

/** The answer of the first run, or the code of the error; anything else, a trap too, is thrown on. */
async function ending(load: () => Promise<Model>, inputs: TypedArray[], what: string): Promise<string> {
  const start = processorMs()
  try {
    const model = await load()
    const out = answersOf(model, inputs)
    answersOf(model, inputs)
    model.dispose()
    return out
  } catch (error) {
    if (!(error instanceof ThimbleError)) throw new Error(`${what}: ${String(error)}`, { cause: error })
    assert.not.match(error.message, /\n|undefined|\[object/, what)
    return error.code
  } finally {
    const took = processorMs() - start
    assert.ok(took < SLOW_MS, `${what} took ${took.toFixed(0)} ms`)
  }
}

// Programs ----------------------------------------------------------------------

const OPTIONS = { kernels: 'x86', variant: 'simd' } as const
type First = { to: number; words: Int32Array }

/** A file whose program has one word of its plan changed, sealed again. */
const withWord = (graph: ProgrammedGraph, program: RecordedProgram, at: number, value: number): Uint8Array => {
  const [first, ...steps] = program.steps as [First, ...LoadStep[]]
  const words = first.words.slice()
  words[at] = value
  return writePacked({ ...graph, programs: [{ ...program, steps: [{ to: first.to, words }, ...steps] }] })
}

test('programs: every number of tables, records and ports as another one: an answer, the graph’s, or an error', async () => {
  const r = rng(41)
  const seen = { same: 0, other: 0, refused: 0 }
  for (const { name, graph } of smallModels().slice(0, 3)) {
    const stored = withPrograms(graph)
    const program = stored.programs!.find((p) => p.for === 'simd x86')!
    const reference = await loadGraph(graph, OPTIONS)
    const inputs = inputsOf(reference)
    const want = answersOf(reference, inputs)
    const { to, words } = program.steps[0] as First
    const size = program.memoryBytes
    const values = [0, 1, -1, -(2 ** 31), size + 1, size - 4, program.arenaAddress]
    const inputPort = (program.header.inputTable! - to) / 4
    for (let at = 0; at < words.length; at++) {
      // Each number as one of them, ports as all. What a program computes that holds is its author's, as weights are.
      for (const value of at >= inputPort ? values : [r.pick(values)]) {
        if (words[at] === value) continue
        const what = `${name}: word ${at}, ${words[at]} as ${value}`
        const bytes = withWord(stored, program, at, value)
        const got = await ending(() => loadBytes(bytes, OPTIONS), inputs, what)
        if (got === want) seen.same++
        else if (/^[a-z]+\//.test(got)) seen.refused++
        else seen.other++
      }
    }
  }
  assert.ok(seen.same > 200, JSON.stringify(seen))
})

// All but the number of records: a program of fewer is a program.
test('programs: every number of the head as another one: the graph’s answer', async () => {
  const { graph } = smallModels()[0]!
  const stored = withPrograms(graph)
  const program = stored.programs!.find((p) => p.for === 'simd x86')!
  const reference = await loadGraph(graph, OPTIONS)
  const inputs = inputsOf(reference)
  const want = answersOf(reference, inputs)
  const values = [0, 1, -1, 2 ** 31, 2 ** 32, -(2 ** 31), NaN, 0.5, 1e300, program.memoryBytes + 1]
  const heads: ((value: number) => Partial<RecordedProgram>)[] = [
    (memoryBytes) => ({ memoryBytes }),
    (arenaAddress) => ({ arenaAddress }),
    (arenaBytes) => ({ arenaBytes }),
    ...Object.keys(program.header)
      .filter((field) => field !== 'opCount')
      .map((field) => (value: number) => ({
        header: { ...program.header, [field]: value },
      })),
  ]
  for (const [i, head] of heads.entries()) {
    for (const value of values) {
      const changed = head(value)
      const what = JSON.stringify(changed)
      const bytes = writePacked({ ...stored, programs: [{ ...program, ...changed }] })
      const got = await ending(() => loadBytes(bytes, OPTIONS), inputs, what)
      assert.is(got, want, `number ${i}: ${what}`)
    }
  }
})

// Packed modules -------------------------------------------------------------------

/** A module's sections. */
const sectionsOf = (wasm: Uint8Array): { id: number; bytes: Uint8Array }[] => {
  const r = new Reader(wasm, 8)
  const out: { id: number; bytes: Uint8Array }[] = []
  while (!r.done) out.push({ id: r.u8(), bytes: r.take(r.u32()) })
  return out
}
const custom = (name: string, content: Uint8Array): { id: number; bytes: Uint8Array } => ({
  id: 0,
  bytes: new Writer().name(name).bytes(content).finish(),
})
const moduleOf = (sections: readonly { id: number; bytes: Uint8Array }[]): Uint8Array => {
  const w = new Writer().bytes(Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0))
  for (const { id, bytes } of sections) w.u8(id).u32(bytes.length).bytes(bytes)
  return w.finish()
}

test('packed modules: sections cut, doubled, missing, in no UTF-8, with every field of another type', async () => {
  const { graph } = smallModels()[0]!
  const { wasm, meta } = await packGraph(graph, { variant: 'scalar' })
  const reference = await loadGraph(graph, { variant: 'scalar' })
  const inputs = inputsOf(reference)
  const want = answersOf(reference, inputs)
  const others = sectionsOf(wasm).filter(({ id, bytes }) => id !== 0 || new Reader(bytes).name() !== META_SECTION)
  const text = JSON.stringify(meta)
  const encoded = new TextEncoder().encode(text)
  const after = (what: string, ...sections: { id: number; bytes: Uint8Array }[]): Promise<string> =>
    ending(() => loadWasm(moduleOf([...others, ...sections])), inputs, what)
  const section = (json: string | Uint8Array): { id: number; bytes: Uint8Array } =>
    custom(META_SECTION, typeof json === 'string' ? new TextEncoder().encode(json) : json)
  assert.is(await after('as it is', section(text)), want)
  assert.is(await after('twice', section(text), section(text)), want)
  assert.is(await after('another behind it', section(text), section('{')), want)
  assert.is(await after('another before it', section('{'), section(text)), 'format/packed-module')
  assert.is(await after('none'), 'format/packed-module')
  assert.is(await after('names in no UTF-8', custom('\ud800', encoded)), 'format/packed-module')
  assert.is(await after('empty', section('')), 'format/packed-module')
  for (let end = 1; end < encoded.length; end += 1 + (encoded.length >> 5)) {
    assert.is(await after(`${end} bytes`, section(encoded.subarray(0, end))), 'format/packed-module')
  }
  const broken = encoded.slice()
  broken.fill(0xff, 0, 3)
  assert.is(await after('no UTF-8', section(broken)), 'format/packed-module')
  assert.is(await after('deep', section('['.repeat(200_000))), 'format/packed-module')
  const values = [null, 0, -1, 1e300, '', 'x', [], {}, true, [[]], ['x', 1], { length: 2 ** 31 }, 2 ** 31, 0.5]
  for (const key of Object.keys(meta)) {
    for (const value of values) {
      const got = await after(`${key}: ${JSON.stringify(value)}`, section(JSON.stringify({ ...meta, [key]: value })))
      assert.ok(got === want || /^(format|lower|runtime)\//.test(got), `${key}: ${JSON.stringify(value)} gives ${got}`)
    }
  }
  for (const side of ['inputs', 'outputs'] as const) {
    for (const key of Object.keys(meta[side][0]!)) {
      for (const value of [...values, [2 ** 31], [1, -1], [1, 1e9, 1e9], ['1'], [NaN]]) {
        const changed = JSON.stringify({
          ...meta,
          [side]: [{ ...meta[side][0], [key]: value }, ...meta[side].slice(1)],
        })
        const got = await after(`${side} ${key}: ${JSON.stringify(value)}`, section(changed))
        // Scales and names are the module's to say; where tensors lie is not.
        if (got !== want) assert.match(got, /^(format|lower|runtime)\//, `${side} ${key}: ${JSON.stringify(value)}`)
      }
    }
  }
})

test('packed modules: any byte of any section but code and data changed: an answer, or an error', async () => {
  const { graph } = smallModels()[0]!
  const { wasm } = await packGraph(graph, { variant: 'scalar' })
  const reference = await loadGraph(graph, { variant: 'scalar' })
  const inputs = inputsOf(reference)
  const r = rng(42)
  const sections = sectionsOf(wasm)
  let answers = 0
  for (let n = 0; n < 250; n++) {
    const which = r.pick(sections.map((_, i) => i).filter((i) => sections[i]!.id !== 10 && sections[i]!.id !== 11))
    const bytes = sections[which]!.bytes.slice()
    bytes[r.int(bytes.length)] = r.pick([0, 1, 0x7f, 0x80, 0xff, r.int(256)])
    const changed = moduleOf(sections.map((s, i) => (i === which ? { ...s, bytes } : s)))
    const got = await ending(() => loadWasm(changed), inputs, `change ${n} of section ${sections[which]!.id}`)
    answers += Number(!/^[a-z]+\//.test(got))
  }
  assert.ok(answers > 5)
})

// Labels -----------------------------------------------------------------------------

test('labels: UTF-16 with and without a mark, cut within a character, line ends of every kind, odd bytes', () => {
  const names = ['Katze', 'Bär', 'Vogel', 'Hund']
  const units = (text: string, big: boolean): number[] =>
    [...text].flatMap((c) => {
      const u = c.charCodeAt(0)
      return big ? [u >> 8, u & 255] : [u & 255, u >> 8]
    })
  for (const ends of [
    ['\n', '\n', '\n', '\n'],
    ['\r\n', '\n', '\r\n', ''],
    ['\r', '\r', '\r', '\r'],
    ['\r\n', '\r\n', '\n', '\r\n'],
  ]) {
    const text = names.map((name, i) => name + ends[i]!).join('')
    assert.equal(readLabels(text).labels, names, JSON.stringify(ends))
    for (const big of [false, true]) {
      for (const mark of ['', '\ufeff']) {
        const file = Uint8Array.from(units(mark + text, big))
        assert.equal(readLabels(file).labels, names, `${JSON.stringify(ends)}, ${big ? 'BE' : 'LE'}`)
      }
    }
  }
  const r = rng(43)
  for (let n = 0; n < 400; n++) {
    const text = names.map((name) => name + r.pick(['\n', '\r\n', '\r', '\n\n', ',', '\t', '\0'])).join('')
    const whole = r.int(2) ? Uint8Array.from(units(text, r.int(2) === 0)) : new TextEncoder().encode(text)
    const bytes = whole.slice(0, whole.length - r.int(3))
    for (let k = r.int(4); k > 0; k--) bytes[r.int(bytes.length)] = r.int(256)
    try {
      const { labels } = readLabels(bytes)
      assert.ok(labels.length > 0 && labels.every((l) => typeof l === 'string'), `file ${n}`)
    } catch (error) {
      if (!(error instanceof ThimbleError)) throw error
      assert.match(error.code, /^format\//)
    }
  }
})

test.run()
