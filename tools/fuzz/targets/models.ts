/** Models that the engine runs: what loads must also run, and give the same bytes with SIMD and without. */
import { readdirSync, readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { FlatBuffer } from '../../../src/formats/flatbuffer.ts'
import { readFlexMap, writeFlexMap } from '../../../src/formats/flexbuffer.ts'
import { readModel } from '../../../src/formats/index.ts'
import { readMetadata } from '../../../src/formats/metadata.ts'
import { metadataBuffers } from '../../../src/formats/metadata-write.ts'
import { writePacked } from '../../../src/formats/packed-write.ts'
import { sums, writeFrame } from '../../../src/formats/packed-frame.ts'
import { readTflite } from '../../../src/formats/tflite.ts'
import { writeTflite } from '../../../src/formats/tflite-write.ts'
import { arrayType } from '../../../src/engine/engine.ts'
import { elements, type Graph } from '../../../src/graph/graph.ts'
import { crc32 } from '../../../src/base/scan.ts'
import { loadGraph } from '../../../src/engine/load-graph.ts'
import { loadBytes } from '../../../src/engine/load.ts'
import { packGraph } from '../../../src/pack/pack.ts'
import { encodeModule, parseModule } from '../../../src/pack/wasm.ts'
import { loadWasm } from '../../../src/engine/packed-module.ts'
import { withPrograms } from '../../../src/plan/record.ts'
import type { Model, TypedArray } from '../../../src/graph/types.ts'
import { dice, mutateGraph } from '../../../test/mutate.ts'
import { smallModels } from '../../../test/small-models.ts'
import { changeBytes, changeFlatBuffer, changeJsonText } from '../mutators.ts'
import { randomGraph } from '../random-models.ts'
import type { FuzzTarget } from '../target.ts'

/** Models that would compute longer than this are loaded but not run. */
const MAX_MACS = 1e7
const MAX_MEMORY = 1 << 24

const inputsOf = (model: Model): TypedArray[] =>
  model.inputs.map(({ dtype, shape }) => {
    const data = new (arrayType(dtype))(elements(shape))
    for (let i = 0; i < data.length; i++) {
      const v = ((i * 37 + 11) % 256) - 128
      data[i] = data instanceof BigInt64Array ? BigInt(v) : v
    }
    return data
  })

const sameBytes = (a: ArrayBufferView, b: ArrayBufferView): boolean =>
  Buffer.compare(
    new Uint8Array(a.buffer, a.byteOffset, a.byteLength),
    new Uint8Array(b.buffer, b.byteOffset, b.byteLength),
  ) === 0

/** Runs a graph in both variants. */
export async function runGraph(graph: Graph): Promise<void> {
  const answers: TypedArray[][] = []
  for (const variant of ['simd', 'scalar'] as const) {
    const model = await loadGraph(graph, { variant, kernels: 'generic' })
    try {
      const macs = (await model.program())!.entries.reduce((sum, e) => sum + e.macs, 0)
      if (macs > MAX_MACS || model.memoryBytes > MAX_MEMORY) return
      answers.push(model.run(inputsOf(model)))
    } finally {
      model.dispose()
    }
  }
  const [simd, scalar] = answers
  simd!.forEach((output, i) => {
    if (!sameBytes(output, scalar![i]!)) throw new Error(`output ${i} differs between simd and scalar`)
  })
}

const graphs = (): Graph[] => smallModels().map((m) => m.graph)

/** The two smallest models of each kind of op that LiteRT's answers are recorded of. */
function oneOpModels(): Uint8Array[] {
  const folder = 'test/goldens/ops'
  return readdirSync(folder)
    .filter((name) => name.endsWith('.jsonl.gz'))
    .flatMap((name) =>
      gunzipSync(readFileSync(`${folder}/${name}`))
        .toString()
        .trim()
        .split('\n')
        .map((line) => Uint8Array.from(Buffer.from((JSON.parse(line) as { model: string }).model, 'base64')))
        .sort((a, b) => a.length - b.length)
        .slice(0, 2),
    )
}

const soundGraphs = (): Graph[] => Array.from({ length: 24 }, (_, i) => randomGraph(dice(i)))

/** Those of them that a .thimble file may hold. */
const oneOpGraphs = (): Graph[] =>
  oneOpModels()
    .map((bytes) => readModel(bytes))
    .filter((g) => g.ops.every((op) => op.type !== 'UNSUPPORTED'))

const tflite: FuzzTarget = {
  name: 'tflite',
  about: '.tflite: reader, lowering, planner, engine; simd and scalar give the same bytes',
  seeds: () => [...graphs(), ...soundGraphs()].map((g) => writeTflite(g)).concat(oneOpModels()),
  run: async (bytes) => runGraph(readModel(bytes)),
  change(work) {
    if (work.dice.int(2)) return changeFlatBuffer(work)
    if (work.dice.int(3) === 0) {
      const sound = randomGraph(work.dice)
      return writeTflite(work.dice.int(2) ? sound : mutateGraph(sound, work.dice).graph)
    }
    let graph: Graph
    try {
      graph = readTflite(work.bytes)
      if (graph.ops.some((op) => op.type === 'UNSUPPORTED') || graph.tensors.some((t) => t.initial)) return undefined
      return writeTflite(mutateGraph(graph, work.dice).graph)
    } catch {
      return undefined
    }
  },
}

const headerOf = (bytes: Uint8Array): [json: Uint8Array, data: Uint8Array] | undefined => {
  if (bytes.length < 32) return undefined
  const view = new DataView(bytes.buffer, bytes.byteOffset)
  const [size, data] = [view.getUint32(20, true), view.getUint32(24, true)]
  return data > bytes.length ? undefined : [bytes.subarray(32, 32 + size), bytes.subarray(data)]
}

/** Size and checksum, and every second time the seal, as they must be. */
function sealed(bytes: Uint8Array): Uint8Array {
  if (bytes.length < 32) return bytes
  const out = new Uint8Array(Math.ceil(bytes.length / 16) * 16)
  out.set(bytes)
  const view = new DataView(out.buffer)
  view.setUint32(16, out.length, true)
  if (view.getUint32(28, true) !== 0) view.setUint32(28, sums(out).seal, true)
  view.setUint32(12, sums(out).checksum, true)
  return out
}

const thimble: FuzzTarget = {
  name: 'thimble',
  about: '.thimble with and without programs, checksum and seal in order: header, tensors, programs, engine',
  seeds: () => [...graphs(), ...oneOpGraphs()].flatMap((g) => [writePacked(g), writePacked(withPrograms(g))]),
  async run(bytes) {
    const model = await loadBytes(bytes, { kernels: 'x86', variant: 'simd' })
    try {
      if (model.memoryBytes <= MAX_MEMORY) model.run(inputsOf(model))
    } finally {
      model.dispose()
    }
  },
  change({ bytes, dice }) {
    const parts = headerOf(bytes)
    const json = parts && changeJsonText(parts[0], dice)
    if (!json) return undefined
    const text = new TextDecoder().decode(json)
    const data = parts[1].slice(0, parts[1].length & ~15)
    return writeFrame(text, [{ at: 0, bytes: data }], data.length, dice.int(2) > 0)
  },
  seal: sealed,
  maxBytes: 1 << 18,
}

const packed: FuzzTarget = {
  name: 'packed',
  about: 'packed modules whose section, exports, data or memory are wrong: what loads runs without a trap',
  seeds: async () => {
    const out: Uint8Array[] = []
    for (const g of [...graphs(), ...soundGraphs().slice(0, 3)]) {
      for (const variant of ['simd', 'scalar'] as const) {
        for (const weights of ['memory', 'flash'] as const) out.push((await packGraph(g, { variant, weights })).wasm)
      }
    }
    return out
  },
  async run(bytes) {
    const model = await loadWasm(bytes)
    try {
      model.run(inputsOf(model))
    } finally {
      model.dispose()
    }
  },
  // A module is code: whoever writes its functions may let it loop. What is around them must not mislead the host.
  blind: false,
  maxBytes: 1 << 18,
  change(work) {
    const { dice: d } = work
    const m = parseModule(work.bytes)
    switch (d.int(6)) {
      case 0: {
        const e = d.pick(m.exports)
        const alike = m.exports.filter((x) => x.kind === e.kind)
        e.index = d.pick(alike).index
        break
      }
      case 1: {
        const e = d.pick(m.exports)
        if (d.int(2)) m.exports.splice(m.exports.indexOf(e), 1)
        else e.name = `${e.name}x`
        break
      }
      case 2:
        if (m.memory) {
          m.memory = { min: d.pick([0, 1, m.memory.min, m.memory.min + 1, 4096]), max: d.pick([1, 4096, 65536]) }
        }
        break
      default: {
        const section = m.customs.find((c) => c.name === 'thimble.meta')
        if (!section) return undefined
        section.bytes = (d.int(4) && changeJsonText(section.bytes, d)) || changeBytes({ ...work, bytes: section.bytes })
      }
    }
    return encodeModule(m)
  },
}

const wasm: FuzzTarget = {
  name: 'wasm',
  about: "the linker's reader of modules: what it reads it writes so that it reads the same",
  seeds: packed.seeds,
  run(bytes) {
    const again = encodeModule(parseModule(bytes))
    if (!sameBytes(again, encodeModule(parseModule(again)))) throw new Error('written differently the second time')
  },
  maxBytes: 1 << 17,
}

const classifier = smallModels()[0]!.graph
const LABELS = Array.from({ length: 10 }, (_, i) => `class ${i}`)
classifier.metadata = {
  name: 'a model',
  description: 'for tests',
  license: 'MIT',
  labels: LABELS,
  task: 'classification',
  preprocess: { fit: 'stretch', method: 'bilinear-fast', channels: 'rgb', mean: [1, 2, 3], std: [4, 5, 6] },
}
const whole = writeTflite(classifier)
const bare = readTflite(whole)

const metadata: FuzzTarget = {
  name: 'metadata',
  about: "TFLite's metadata FlatBuffer, with the archive of its labels behind the model",
  seeds: () =>
    metadataBuffers(classifier)
      .filter((b) => b.name === 'TFLITE_METADATA')
      .map((b) => b.data),
  run(bytes) {
    new FlatBuffer(bytes, 'metadata').root('M001')
    const read = readMetadata(bytes, whole, bare)
    if (read.preprocess?.std.some((s) => s === 0 || !Number.isFinite(s))) throw new Error('a deviation of 0 or none')
  },
  change: changeFlatBuffer,
}

const flexbuffer: FuzzTarget = {
  name: 'flexbuffer',
  about: 'options of custom ops (TFLite_Detection_PostProcess)',
  seeds: () => [
    writeFlexMap({ max_detections: 20, nms_score_threshold: { real: 0.5 }, use_regular_nms: false }),
    writeFlexMap({ a: 1, b: 300, c: 70_000, d: -5, y_scale: { real: 10 } }),
  ],
  run: (bytes) => void readFlexMap(bytes),
}

/** A seed of its own for each input, for targets that choose. */
export const diceOf = (bytes: Uint8Array): ReturnType<typeof dice> => dice(crc32(bytes))

export default [tflite, thimble, packed, wasm, metadata, flexbuffer]
