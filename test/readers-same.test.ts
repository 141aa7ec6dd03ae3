/**
 * What the readers and writers of model files answer to seeded damage stays as it is: the same graph, or the same one
 * sentence, as digests of many answers. That each answer is sound, test/malformed.test.ts and the fuzzer tell; here no
 * bound, default or word of a refusal moves unseen.
 *
 * After a change that is meant: THIMBLE_UPDATE=1 npx tsx test/readers-same.test.ts, and look at which.
 */
import { createHash } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ThimbleError } from '../src/base/errors.ts'
import { parseMetadata } from '../src/formats/check-metadata.ts'
import { checkGraph } from '../src/formats/check.ts'
import { readFlexMap, writeFlexMap } from '../src/formats/flexbuffer.ts'
import { readModel, sniffFormat } from '../src/formats/index.ts'
import { labelArchive, metadataBuffers } from '../src/formats/metadata-write.ts'
import { readMetadata } from '../src/formats/metadata.ts'
import { writeFrame } from '../src/formats/packed-frame.ts'
import { writePacked } from '../src/formats/packed-write.ts'
import { fromLeb128, toLeb128 } from '../src/formats/programs.ts'
import { writeTflite } from '../src/formats/tflite-write.ts'
import { ultralyticsMetadata } from '../src/formats/ultralytics.ts'
import { readZipFile } from '../src/formats/zip.ts'
import type { Graph } from '../src/graph/graph.ts'
import { encodeModule, parseModule } from '../src/pack/wasm.ts'
import { changeBytes, changeFlatBuffer, changeJsonText, changeText } from '../tools/fuzz/mutators.ts'
import { dice, mutateBytes, mutateGraph, target, type Dice } from './mutate.ts'
import { graphText, smallModels } from './small-models.ts'
import { root } from './util.ts'

const test = suite('readers-same')
const FILE = `${root}test/fixtures/reader-digests.json`
const update = process.env.THIMBLE_UPDATE === '1'
const stored = JSON.parse(readFileSync(FILE, 'utf8')) as Record<string, string[]>
const now: Record<string, string[]> = {}

const hash = (content: string | Uint8Array): string => createHash('sha256').update(content).digest('hex')
const shown = (value: unknown): string =>
  value instanceof Uint8Array
    ? hash(value)
    : value instanceof Map
      ? JSON.stringify([...(value as Map<unknown, unknown>)])
      : typeof value === 'object' && value !== null && 'tensors' in value
        ? graphText(value as Graph)
        : (JSON.stringify(value) ?? 'undefined')

/** What `body` gives, or the sentence that it throws. */
function answer(body: () => unknown): string {
  try {
    return shown(body())
  } catch (error) {
    if (!(error instanceof ThimbleError)) throw error
    return error.message
  }
}

/** A digest of every 25 answers, so that a difference says roughly where it is. */
function same(name: string, count: number, body: (d: Dice, i: number) => unknown): void {
  test(name, () => {
    const answers = Array.from({ length: count }, (_, i) => answer(() => body(dice(7919 * i + name.length), i)))
    const distinct = new Set(answers).size
    assert.ok(distinct > 8, `only ${distinct} different answers of ${count}`)
    const groups = Array.from({ length: Math.ceil(count / 25) }, (_, i) => answers.slice(25 * i, 25 * i + 25))
    now[name] = groups.map((group) => hash(group.join('\n')).slice(0, 8))
    if (update) return
    now[name].forEach((digest, i) => {
      if (digest === stored[name]?.[i]) return
      assert.unreachable(
        `answers ${25 * i} to ${25 * i + 24} are others:\n${groups[i]!.map((a) => a.slice(0, 150)).join('\n')}`,
      )
    })
  })
}

const text = (s: string): Uint8Array => new TextEncoder().encode(s)
/** A FlatBuffer with another field, or another byte where none is found. */
const changedFields = (bytes: Uint8Array, d: Dice): Uint8Array =>
  changeFlatBuffer(work(bytes, d)) ?? changeBytes(work(bytes, d))
const work = (bytes: Uint8Array, d: Dice) => ({ bytes, dice: d, other: bytes, words: [] })
const labelled = (graph: Graph): Graph => ({
  ...graph,
  metadata: {
    name: 'a model',
    description: 'for tests',
    license: 'MIT',
    labels: Array.from({ length: 10 }, (_, i) => `class ${i}`),
    task: 'classification',
    preprocess: { fit: 'stretch', method: 'bilinear-fast', channels: 'rgb', mean: [1, 2, 3], std: [4, 5, 6] },
  },
})

const graphs = smallModels().map((m) => m.graph)
const files = graphs.map((graph, i) => target(`small ${i}`, writeTflite(i === 0 ? labelled(graph) : graph)))

same('.tflite, bytes changed', 1200, (d, i) => readModel(mutateBytes(files[i % files.length]!, d).bytes))
same('.tflite, fields changed', 600, (d, i) => readModel(changedFields(files[i % files.length]!.bytes, d)))
same('graphs checked', 1200, (d, i) => {
  const { graph } = mutateGraph(graphs[i % graphs.length]!, d)
  checkGraph(graph)
  return graph
})
same('graphs written as .tflite', 600, (d, i) => writeTflite(mutateGraph(graphs[i % graphs.length]!, d).graph))
same('graphs written as .thimble', 400, (d, i) => writePacked(mutateGraph(graphs[i % graphs.length]!, d).graph))

const packed = graphs.map((graph, i) => writePacked(i === 0 ? labelled(graph) : graph))
/** The file with another header, its sums in order. */
function withHeader(file: Uint8Array, d: Dice): Uint8Array {
  const view = new DataView(file.buffer, file.byteOffset)
  const [size, data] = [view.getUint32(20, true), file.slice(view.getUint32(24, true))]
  const json = changeJsonText(file.slice(32, 32 + size), d)!
  return writeFrame(new TextDecoder().decode(json), [{ at: 0, bytes: data }], data.length, d.int(2) > 0)
}
same('.thimble, header changed', 800, (d, i) => readModel(withHeader(packed[i % packed.length]!, d)))
same('.thimble, bytes changed', 400, (d, i) => {
  const bytes = changeBytes(work(packed[i % packed.length]!, d))
  return [sniffFormat(bytes), shown(readModel(bytes))]
})

const whole = writeTflite(labelled(graphs[0]!))
const metadata = metadataBuffers(labelled(graphs[0]!)).find((b) => b.name === 'TFLITE_METADATA')!.data
same('metadata', 400, (d) => readMetadata(changedFields(metadata, d), whole, graphs[0]!))
same('metadata as JSON', 300, (d) =>
  parseMetadata(changeJsonText(text(JSON.stringify(labelled(graphs[0]!).metadata)), d)!),
)
const archive = Uint8Array.from(labelArchive(labelled(graphs[0]!).metadata))
same('archives behind models', 400, (d) => readZipFile(changeBytes(work(archive, d)), 'labels.txt'))

const flex = [
  writeFlexMap({ max_detections: 20, nms_score_threshold: { real: 0.5 }, use_regular_nms: false }),
  writeFlexMap({ a: 1, b: 300, c: 70_000, d: -5, e: true, y_scale: { real: 10.25 } }),
]
same('options of custom ops', 500, (d, i) =>
  i < 2 ? readFlexMap(flex[i]!) : readFlexMap(changeBytes(work(flex[i % 2]!, d))),
)

const YOLO = [
  "{'stride': 32, 'task': 'detect', 'batch': 1, 'imgsz': [640, 480], 'names': {0: 'person', 1: 'b\\'us', 10: \"it's\"}}",
  '{"stride": 16, "task": "pose", "imgsz": [64, 64], "kpt_shape": [17, 3], "names": {"0": "a", "1": "b"}, "half": false}',
]
same('what Ultralytics says', 500, (d, i) => {
  const said = YOLO[i % 2]!
  return ultralyticsMetadata(i < 2 ? said : new TextDecoder().decode(changeText(work(text(said), d))))
})

/** A module of every kind of section. */
const module = encodeModule({
  types: [Uint8Array.of(0x60, 0, 0), Uint8Array.of(0x60, 1, 0x7f, 1, 0x7f)],
  imports: [{ module: 'env', name: 'abort', type: 0 }],
  functions: [
    { type: 0, body: Uint8Array.of(0, 0x10, 0, 0x0b) },
    {
      type: 1,
      body: Uint8Array.of(1, 2, 0x7f, 0x20, 0, 0x41, 0xc0, 0x00, 0x6a, 0x04, 0x7f, 0x41, 1, 0x05, 0x23, 0, 0x0b, 0x0b),
    },
    { type: 1, body: Uint8Array.of(0, 0x02, 0x40, 0x0e, 1, 0, 0, 0x0b, 0x20, 0, 0x28, 2, 4, 0x0b) },
  ],
  table: { refType: 0x70, limits: { min: 1 } },
  memory: { min: 1, max: 2 },
  globals: [{ valueType: 0x7f, mutable: true, init: Uint8Array.of(0x41, 5, 0x0b) }],
  exports: [
    { name: 'memory', kind: 'memory', index: 0 },
    { name: 'f', kind: 'func', index: 1 },
    { name: 'g', kind: 'global', index: 0 },
  ],
  elements: [{ offset: 0, functions: [2] }],
  data: [{ address: 16, bytes: Uint8Array.of(1, 2, 3) }],
  customs: [{ name: 'thimble.meta', bytes: text('{}') }],
})
same('modules', 800, (d, i) => encodeModule(parseModule(i === 0 ? module : changeBytes(work(module, d)))))

same('numbers of steps', 100, (d) => {
  const numbers = Int32Array.from({ length: 1 + d.int(20) }, () =>
    d.pick([0, 1, -1, 127, 128, 70_000, -(2 ** 31), 2 ** 31 - 1]),
  )
  const bytes = toLeb128(numbers)
  assert.equal(fromLeb128(bytes, numbers.length), numbers)
  return [hash(bytes), answer(() => [...fromLeb128(changeBytes(work(bytes, d)), numbers.length)])]
})

test('nothing is stored that is no more', () => {
  if (update) {
    const lines = Object.entries(now).map(([name, digests]) => `  ${JSON.stringify(name)}: ${JSON.stringify(digests)}`)
    writeFileSync(FILE, `{\n${lines.join(',\n')}\n}\n`)
  } else assert.equal(Object.keys(stored).sort(), Object.keys(now).sort())
})

test.run()
